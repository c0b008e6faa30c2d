"""Redaction: what is hidden, what is left alone, and the promises of purity."""

import collections
import dataclasses
import datetime
import decimal
import enum
import importlib.util
import json
import math
import subprocess
import sys
import types
import uuid
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ami_engine.security.redaction import CYCLE, MARKER, TOO_DEEP, redact_secrets, redact_text


def _load_corpus() -> types.ModuleType:
    # Tests are no package: the generator is loaded from the file beside this one.
    spec = importlib.util.spec_from_file_location(
        "secret_corpus", Path(__file__).with_name("secret_corpus.py")
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["secret_corpus"] = module
    spec.loader.exec_module(module)
    return module


corpus = _load_corpus()

HEX = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
KEY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zv"
PASSWORD = "Tr0ub4dor&3"
PHRASE = "abandon ability able about above absent absorb abstract absurd abuse access accident"
ADDRESS = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"


def test_example_of_the_guide() -> None:
    """The integration guide's example holds to the letter."""
    assert redact_secrets({"api_key": "secret123", "mid": 0.5}) == {"api_key": "***REDACTED***", "mid": 0.5}
    assert MARKER == "***REDACTED***"


# ---------------------------------------------------------------- the corpus


def test_recall_precision_and_false_alarms_on_the_corpus() -> None:
    """The figures of docs/security.md hold for seeds that nobody tuned to."""
    positives = [case for seed in (101, 102) for case in corpus.positives(seed, 600)]
    negatives = [case for seed in (101, 102) for case in corpus.negatives(seed, 600)]
    caught = [case for case in positives if not corpus.leaks(redact_secrets(case.value), case.secrets)]
    alarms = [case for case in negatives if redact_secrets(case.value) != case.value]
    missed = sorted({case.template for case in positives} - {case.template for case in caught})
    assert len(caught) / len(positives) >= 0.995, missed
    assert len(caught) / (len(caught) + len(alarms)) >= 0.995, [case.template for case in alarms]
    assert len(alarms) / len(negatives) <= 0.002, [case.template for case in alarms]


def test_little_is_lost_beside_a_secret() -> None:
    """Collateral: the neighbours of a secret keep their values."""
    market = {
        "mid": 0.5,
        "symbol": "BTCUSDT",
        "token": "USDC",
        "client_order_id": "01HV3K9T7QZ2M5R8W4X6Y1B0CD",
    }
    for case in corpus.positives(7, 300):
        kept = redact_secrets({**market, "case": case.value})
        assert {name: kept[name] for name in market} == market


def test_corpus_is_redacted_once_and_for_all() -> None:
    """Redacting twice equals redacting once on realistic values, too."""
    for case in corpus.positives(11, 300) + corpus.negatives(11, 300):
        once = redact_secrets(case.value)
        assert redact_secrets(once) == once


# ---------------------------------------------------------------- tables


STRONG_NAMES = """
    api_key apiKey API_KEY APIKey api.key api-key apikey secret API_SECRET client_secret private_key
    walletPrivateKey password db_password passwd pwd passphrase access_token refreshToken X-MBX-APIKEY
    OK-ACCESS-KEY OK-ACCESS-SIGN OK-ACCESS-PASSPHRASE CB-ACCESS-KEY CB-ACCESS-SIGN API-Sign KC-API-SIGN
    KC-API-PASSPHRASE POLY_API_KEY POLY_PASSPHRASE authorization Proxy-Authorization Cookie Set-Cookie
    listenKey signing_key totp_secret otp seed_phrase recovery_phrase api_key_binance secret-live
    passw0rd p@ssword s3cret аpi_kеy pаsswοrd api\u200b_key ａｐｉＫｅｙ пароль 密码"""


@pytest.mark.parametrize("name", STRONG_NAMES.split())
def test_strong_names_always_hide(name: str) -> None:
    """A strong name hides whatever text stands under it, however harmless it looks."""
    assert redact_secrets({name: "abc", "mid": 0.5}) == {name: MARKER, "mid": 0.5}


OTHER_NAMES = """
    token tokens token_id key keys tick_size_key key_level session trading_session authority author
    passed monkey compass signal sign design pin pinned seed hash tx_hash order_id wallet secretary
    api_key_count has_secret password_length signature_type secret_name private_key_path public_key
    passive turnkey keyboard tokenizer assigned nonce salt state_root mid"""


@pytest.mark.parametrize("name", OTHER_NAMES.split())
@pytest.mark.parametrize(
    "value", ["USDC", "BTC-USDT-SWAP-20240927", ADDRESS, "7" * 77, 42, -1, 0.25, True, None]
)
def test_harmless_values_stay_under_other_names(name: str, value: Any) -> None:
    """Symbols, addresses, token ids and numbers stay under names that are no credentials."""
    assert redact_secrets({name: value}) == {name: value}


PASSWORDS = ["secret123", "abc12345", "hunter2hunter2", "Tr0ub4dor!", "a1b2c3d4"]
ASSETS = [
    "USDC",
    "WBTC.e",
    "1INCH",
    "axlUSDC",
    "stETH",
    "ethereum",
    "usd-coin",
    "aave-v3-usdc",
    "PEPE2024",
    "BTC24",
]


@pytest.mark.parametrize("name", ["token", "rest_token", "TOKEN"])
@pytest.mark.parametrize("value", PASSWORDS)
def test_a_token_that_mixes_small_letters_and_digits_is_a_password(name: str, value: str) -> None:
    """Also in a list of two, in text and in an address; beside a symbol and a price, too."""
    assert redact_secrets({name: value, "symbol": "BTCUSDT"}) == {name: MARKER, "symbol": "BTCUSDT"}
    assert redact_secrets([name, value]) == [name, MARKER]
    assert redact_text(f'{{"{name}": "{value}"}}') == f'{{"{name}": "{MARKER}"}}'
    assert value not in redact_text(f"GET /ws?x=1&{name}={value}&y=2")


@pytest.mark.parametrize("name", ["token", "baseToken", "quote_token"])
@pytest.mark.parametrize("value", ASSETS)
def test_a_token_that_looks_like_an_asset_stays(name: str, value: str) -> None:
    """Symbols are short or capitals, names of assets are words or joined by hyphens."""
    assert redact_secrets({name: value}) == {name: value}
    assert redact_text(f"{name}={value} listed") == f"{name}={value} listed"


@pytest.mark.parametrize(
    "value",
    [
        {"base_token": "yvUSDC2024"},
        {"token": "yvUSDC2024", "decimals": 6},
        {"columns": ["token", "depth10min", "sigma5m60"]},
    ],
)
def test_what_stands_around_a_token_says_that_it_is_an_asset(value: Any) -> None:
    """The name, its record, or that it is a column of a table."""
    assert redact_secrets(value) == value


def test_what_a_file_holds_is_hidden_under_its_path() -> None:
    """A path in prose is none of its own secret; what stands in quotes after it is."""
    assert redact_text("{'/run/secrets/api_key': 'abc'}") == f"{{'/run/secrets/api_key': '{MARKER}'}}"


@pytest.mark.parametrize(
    "name", ["token", "key", "auth", "sign", "session", "sid", "binance_key", "usertoken"]
)
@pytest.mark.parametrize("value", [KEY, HEX, "0x" + HEX, "q7Zx2LmP9vRt4KsW1bNc"])
def test_weak_names_hide_what_looks_secret(name: str, value: str) -> None:
    """A weak name hides random text; a token may be an asset with a long address."""
    if name == "token" and value.startswith("0x"):
        assert redact_secrets({name: value}) == {name: value}
        return
    assert redact_secrets({name: value}) == {name: MARKER}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"GET /order?symbol=X&signature={HEX}&ts=1", f"GET /order?symbol=X&signature={MARKER}&ts=1"),
        (f"Authorization: Bearer {KEY}, retrying", f"Authorization: {MARKER}, retrying"),
        (f"-H 'X-MBX-APIKEY: {KEY}' https://x.y", f"-H 'X-MBX-APIKEY: {MARKER}' https://x.y"),
        (f"postgres://bot:{PASSWORD}@db:5432/x", f"postgres://{MARKER}@db:5432/x"),
        ("postgres://bot:a/b@db:5432/x", f"postgres://{MARKER}@db:5432/x"),
        (f"API_SECRET={PASSWORD} python run.py", f"API_SECRET={MARKER} python run.py"),
        ("run --api-key abc -p hunter22 -p 8080", f"run --api-key {MARKER} -p {MARKER} -p 8080"),
        (f"sshpass -p '{PASSWORD}' ssh x", f"sshpass -p '{MARKER}' ssh x"),
        ("curl -u bob:pass1 https://x", f"curl -u {MARKER} https://x"),
        ("Creds(api_key='abc def', user='x')", f"Creds(api_key='{MARKER}', user='x')"),
        ('{"a":{"apiKey":"q"},"mid":0.5}', f'{{"a":{{"apiKey":"{MARKER}"}},"mid":0.5}}'),
        ('\\"secret\\": \\"abc\\", \\"mid\\": 1', f'\\"secret\\": \\"{MARKER}\\", \\"mid\\": 1'),
        (f"mnemonic: {PHRASE}", f"mnemonic: {MARKER}"),
        (f"seed phrase for the wallet is {PHRASE}.", f"seed phrase for the wallet is {MARKER}."),
        ("Cookie: sid=abc; theme=dark", f"Cookie: {MARKER}"),
        ("<apiKey>abc</apiKey>", f"<apiKey>{MARKER}</apiKey>"),
        ("['--api-secret', 'abcdef']", f"['--api-secret', '{MARKER}']"),
        ("[('X-MBX-APIKEY', 'abc')]", f"[('X-MBX-APIKEY', '{MARKER}')]"),
        ("8=FIX.4.4|553=bob|554=pw1234|10=1", f"8=FIX.4.4|553=bob|554={MARKER}|10=1"),
        ("machine x login bob password correct", f"machine x login bob password {MARKER}"),
        ("password is hunter2", f"password is {MARKER}"),
        (f"with key {KEY} today", f"with key {MARKER} today"),
        ("аpi_kеy=abc", f"аpi_kеy={MARKER}"),
        ("passphrase: correct horse battery", f"passphrase: {MARKER}"),
        ("%22secret%22%3A%22abc%22&x=1", f"%22secret%22%3A%22{MARKER}%22&x=1"),
        ("-----BEGIN EC PRIVATE KEY-----\nMHc\n-----END EC PRIVATE KEY----- z", f"{MARKER} z"),
        ("cut -----BEGIN PRIVATE KEY-----\nMHc", f"cut {MARKER}"),
        ('name="api_secret"\r\n\r\nabc\r\n--x', f'name="api_secret"\r\n\r\n{MARKER}\r\n--x'),
        (f"found {KEY}{KEY} in the log", f"found {MARKER} in the log"),
        ("secrets={'a': 'b', 'c': (1)} done", f"secrets={MARKER} done"),
    ],
)
def test_text(text: str, shown: str) -> None:
    """In text only the secret goes; what stands around it stays."""
    assert redact_text(text) == shown
    assert redact_secrets([text]) == [shown]
    assert redact_secrets(text.encode()) == shown.encode()


@pytest.mark.parametrize(
    "text",
    [
        "token=USDC key=BTCUSDT:1m sign=-1 session: RTH seed=42",
        "password: required", "api key missing", "invalid signature: retry later", "the secret is out",
        "token refresh in 30s", "private key loaded from /etc/bot/key.pem", "PWD=/srv/bot",
        "api_key=os.environ['API_KEY']", "api_key: ${API_KEY}", "password=None, token=None",
        f"tx 0x{HEX} sent to {ADDRESS}", f"public key {HEX}", f"storage key: {HEX}",
        "bearer bonds, basic materials, Basic Attention Token", "Bearer token required",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----", "ssh://git@host/repo",
        "wss://x.y:9443/ws/btcusdt@trade", "https://x.y:8443/a/@b", "2024-05-31T12:00:00.123Z",
        "risk-20240927-momentum-long-v2", "watch btc eth sol xrp doge ada btc eth sol xrp doge ada btc",
        '{"token": "USDC", "mid": 0.10, "hash": "' + HEX + '"}', "[not json] {neither}",
        "8=FIX.4.4|35=D|55=BTC", "timezone is '/etc/passwd': give a name such as 'UTC'",
        'cannot read "./conf/api_key": no such file', "the token depth10min is a column",
    ],
)  # fmt: skip
def test_text_without_secrets_is_untouched(text: str) -> None:
    """Text about tokens, keys and sessions is no secret; JSON keeps its own spelling."""
    assert redact_text(text) == text


# ---------------------------------------------------------------- containers and types


@dataclasses.dataclass(frozen=True)
class Login:
    exchange: str
    api_secret: str | None = None


class Tick(msgspec.Struct):
    mid: float
    token: str = "USDC"
    password: str = ""


class Side(enum.Enum):
    BUY = "buy"
    API_SECRET = "zzz"
    CODE = 7


Pair = collections.namedtuple("Pair", ["token", "secret"])


class Hostile:
    """Its repr prints a secret and its attributes raise."""

    def __repr__(self) -> str:
        return KEY

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(KEY)


class BrokenMapping(collections.UserDict[str, str]):
    def items(self) -> Any:
        raise RuntimeError(KEY)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({b"secret": b"abc"}, {b"secret": MARKER}),
        ({("binance", "secret"): "abc"}, {("binance", "secret"): MARKER}),
        ({Side.API_SECRET: "abc"}, {Side.API_SECRET: MARKER}),
        ({1: {"secret": "abc"}, None: [1]}, {1: {"secret": MARKER}, None: [1]}),
        ({f"https://u:{KEY}@h": 1}, {f"https://{MARKER}@h": 1}),
        ({f"ghp_{KEY}{KEY}": 1, f"ghp_{KEY}x{KEY}": 2}, {MARKER: 1, f"{MARKER}#2": 2}),
        ([("OK-ACCESS-SIGN", "abc=")], [("OK-ACCESS-SIGN", MARKER)]),
        ([(b"x-mbx-apikey", b"abc")], [(b"x-mbx-apikey", MARKER)]),
        (["Host", "x", "Authorization", "Bearer abc"], ["Host", "x", "Authorization", MARKER]),
        (["bot", "--api-key", "abc", "-p", "8080"], ["bot", "--api-key", MARKER, "-p", "8080"]),
        ({"name": "X-MBX-APIKEY", "value": "abc"}, {"name": "X-MBX-APIKEY", "value": MARKER}),
        ({"key": "token", "value": "USDC"}, {"key": "token", "value": "USDC"}),
        ({"auth": ("user", "pw")}, {"auth": (MARKER, MARKER)}),
        ({"user": "bob", "pass": "horse"}, {"user": "bob", "pass": MARKER}),
        ({"key": "abcDEF12345ghi", "secret": "x"}, {"key": MARKER, "secret": MARKER}),
        ({"seed": PHRASE.split()}, {"seed": [MARKER]}),
        ({"sig": {"r": "0x" + HEX, "s": HEX, "v": 27}}, {"sig": {"r": MARKER, "s": MARKER, "v": 27}}),
        ({"pin": "4821", "x": {"pin": 0.31}}, {"pin": MARKER, "x": {"pin": 0.31}}),
        ({"pin": 482913}, {"pin": MARKER}),
        ({"api_key": KEY, "m": f"bad {KEY}!", KEY: 1}, {"api_key": MARKER, "m": f"bad {MARKER}!", MARKER: 1}),
        ({"password": 12345678, "secrets": 3}, {"password": MARKER, "secrets": 3}),
        ({"api_key": None, "secret": "", "cookies": [], "password": False}, None),
        ({"api_key": "***", "secret": "[REDACTED]"}, None),
        ({"signature": "transfer(address,uint256)", "x": {"signature": "ed25519"}}, None),
        ({"Mnemonic": "SAP"}, None),
        (["api_key", "secret"], None),
        (["token", "key", "sign", "mid"], None),
        ({1, 2, "BTC"}, None),
        (frozenset({("secret", "abc")}), frozenset({("secret", MARKER)})),
        (Pair("USDC", "abc"), Pair("USDC", MARKER)),
        (Login("okx"), None),
        ([Login("okx", "abc")], [{"exchange": "okx", "api_secret": MARKER}]),
        ({Login("okx", "abc"): 1}, {MARKER: 1}),
        (Tick(0.5), None),
        (Tick(0.5, password="abc"), {"mid": 0.5, "token": "USDC", "password": MARKER}),
        (Side.BUY, None), (Side.CODE, None),
        (Side.API_SECRET, MARKER),
        (bytearray(b"password=abc"), bytearray(b"password=" + MARKER.encode())),
        (memoryview(b"password=abc"), b"password=" + MARKER.encode()),
        (b"\xff\x00 secret=abc", b"\xff\x00 secret=" + MARKER.encode()),
        (collections.OrderedDict(secret="abc"), {"secret": MARKER}),
        (types.MappingProxyType({"secret": "abc"}), {"secret": MARKER}),
        (collections.deque([{"secret": "abc"}], maxlen=3), collections.deque([{"secret": MARKER}])),
        (np.float64(0.5), 0.5), (np.int64(7), 7), (np.str_("mid"), "mid"),
        (np.array([1.0, 2.0]), [1.0, 2.0]),
        (np.array([(b"a", 1.0)], dtype=[("secret", "S3"), ("mid", "f8")]), [{"secret": MARKER, "mid": 1.0}]),
        (datetime.datetime(2024, 5, 31), None), (decimal.Decimal("1.10"), None), (uuid.UUID(int=7), None),
        (Path("/tmp/x"), "/tmp/x"),
        (object(), "<object>"),
        (BrokenMapping(a=KEY), "<BrokenMapping>"),
        (print, "<builtin_function_or_method>"), (Login, "<type>"),
        (json.dumps(json.dumps({"secret": "abc"})), json.dumps(json.dumps({"secret": MARKER}))),
        ("x" * 4_000_001, MARKER),
    ],
)  # fmt: skip
def test_types(value: Any, shown: Any) -> None:
    """Each kind of value and what it becomes; None stands for unchanged."""
    redacted = redact_secrets(value)
    expected = value if shown is None else shown
    assert redacted == expected
    assert type(redacted) is type(expected)


def test_objects_show_their_type_only() -> None:
    """Neither repr nor attributes of an unknown object are used."""
    assert redact_secrets(Hostile()) == "<Hostile>"
    assert redact_secrets({"a": [Hostile()], "secret": Hostile()}) == {"a": ["<Hostile>"], "secret": MARKER}


def test_exceptions_become_dicts_with_their_causes() -> None:
    """Type, message, notes, cause, context and groups are kept and redacted."""
    error = ValueError({"secret": "x y"})
    error.__cause__ = KeyError(f"api_key={KEY}")
    error.add_note(f"Bearer {KEY}")
    assert redact_secrets(error) == {
        "exception": "ValueError",
        "args": [{"secret": MARKER}],
        "notes": [f"Bearer {MARKER}"],
        "cause": {"exception": "KeyError", "message": f"'api_key={MARKER}'"},
    }
    group = ExceptionGroup("two", [OSError(2, "gone", "/tmp/x"), ValueError(Hostile())])
    shown = redact_secrets({"error": group})["error"]
    assert [inner["exception"] for inner in shown["exceptions"]] == ["FileNotFoundError", "ValueError"]
    assert shown["exceptions"][1]["args"] == ["<Hostile>"]
    inner = RuntimeError("inner")
    inner.__context__ = ValueError(f"password={PASSWORD}")
    assert redact_secrets(inner)["context"]["message"] == f"password={MARKER}"
    inner.__context__.__context__ = inner
    assert redact_secrets(inner)["context"]["context"] == CYCLE


def test_record_with_more_than_its_fields_becomes_a_dict() -> None:
    """What is not a field is not shown."""
    login = Login("okx")
    object.__setattr__(login, "hidden", KEY)
    assert redact_secrets(login) == {"exchange": "okx", "api_secret": None}


def test_cycles_and_depth_are_cut() -> None:
    """A value inside itself and a value too deep end in a marker."""
    ring: list[Any] = [1]
    ring.append({"again": ring})
    assert redact_secrets(ring) == [1, {"again": CYCLE}]
    deep: Any = 1
    for _ in range(5_000):
        deep = [deep]
    shown, levels = redact_secrets(deep), 0
    while isinstance(shown, list):
        shown, levels = shown[0], levels + 1
    assert (shown, levels) == (TOO_DEEP, 41)


def test_shared_values_are_walked_once() -> None:
    """Two to the power of sixty paths take no longer than thirty lists."""
    shared: Any = {"secret": KEY}
    for _ in range(30):
        shared = [shared, shared]
    shown = redact_secrets(shared)
    for _ in range(30):
        shown = shown[1]
    assert shown == {"secret": MARKER}


def test_a_failing_walk_hides_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """An internal error never shows the value."""

    def fail(*_: object) -> None:
        raise RuntimeError("bug")

    monkeypatch.setattr("ami_engine.security.walk.hide_neighbours", fail)
    assert redact_secrets({"a": ["x", "y"], "mid": 0.5}) == MARKER
    assert redact_text('["x", "y"]') == MARKER


def test_result_shares_nothing_mutable_with_the_input() -> None:
    """Changing the result does not change the input."""
    value = {"a": [1.0, {"b": {2}}], "secret": [KEY], "empty": {"cookies": []}}
    shown = redact_secrets(value)
    shown["a"][1]["b"].add(3)
    shown["a"].append(4)
    shown["empty"]["cookies"].append(5)
    assert value == {"a": [1.0, {"b": {2}}], "secret": [KEY], "empty": {"cookies": []}}


def test_import_is_light() -> None:
    """Redaction loads neither numpy nor msgspec nor dataclasses."""
    code = (
        "import sys, ami_engine; base = set(sys.modules)\n"
        "import ami_engine.security.redaction\n"
        "heavy = {'numpy', 'msgspec', 'dataclasses', 'inspect', 'asyncio'} & (set(sys.modules) - base)\n"
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# ---------------------------------------------------------------- properties

PIECES = (
    "api_key secret token password = : \" ' \\ { } [ ] , & ? -p --key Bearer eyJ . / @ :// %22 - "
    "mnemonic abandon ability none *** ***REDACTED*** <a> </a> name= value= 8=FIX |554= is кey \u200b"
)
LONG_PIECES = [KEY, HEX, PASSWORD, PHRASE, " ", "\n", "-----BEGIN PRIVATE KEY-----", "-----END "]
NAMES = "api_key token key auth pin seed name value user pass signature mnemonic cookie hash mid"

_texts = st.one_of(
    st.text(max_size=60),
    st.text(st.characters(categories=["Cs", "Ll", "Cf", "Zs", "Po"]), max_size=20),  # lone surrogates too
    st.lists(st.sampled_from(PIECES.split() + LONG_PIECES), max_size=25).map("".join),
)
_names = st.one_of(st.sampled_from(NAMES.split()), _texts)
_objects = [Side.BUY, Side.API_SECRET, Login("okx"), Login("okx", KEY), Tick(1.0), object(), np.float64(1)]
_scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), _texts, st.binary(max_size=30), st.dates(),
    st.sampled_from(_objects), _texts.map(ValueError),
)  # fmt: skip
_values = st.recursive(
    _scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(_names, inner),
        st.dictionaries(st.one_of(_names, st.integers(), st.binary(max_size=8)), inner, max_size=5),
        st.sets(_texts, max_size=3),
        inner.map(lambda value: RuntimeError("x", value)),
        inner.map(lambda value: Pair(value, value)),
    ),
    max_leaves=20,
)


def _same(left: Any, right: Any) -> bool:
    """Equality under which NaN equals itself."""
    if isinstance(left, float) and isinstance(right, float):
        return left == right or (math.isnan(left) and math.isnan(right))
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return len(left) == len(right) and all(
            _same(a, b) and _same(left[a], right[b]) for a, b in zip(left, right, strict=True)
        )
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(_same, left, right))
    return bool(left == right)


@settings(max_examples=400, deadline=None)
@given(_values)
def test_redaction_is_pure_total_and_idempotent(value: Any) -> None:
    """Whatever comes in: nothing is raised, nothing is mutated, once is enough."""
    before = repr(value)
    once = redact_secrets(value)
    assert repr(value) == before
    assert _same(redact_secrets(once), once)


@settings(max_examples=400, deadline=None)
@given(_texts)
def test_text_redaction_is_a_fixed_point(text: str) -> None:
    """A redacted text has nothing left to redact, as text and as bytes."""
    once = redact_text(text)
    assert redact_text(once) == once
    raw = redact_secrets(text.encode("utf-8", "surrogatepass"))
    assert redact_secrets(raw) == raw


@settings(max_examples=200, deadline=None)
@given(st.text(min_size=1).filter(lambda text: text.strip("*•") and "redacted" not in text.lower()), _values)
def test_a_strong_name_hides_any_text(secret: str, other: Any) -> None:
    """No text under a strong name survives, whatever stands beside it."""
    if not any(word in secret.lower() for word in ("masked", "hidden", "filtered")):
        assert redact_secrets({"other": other, "api_secret": secret})["api_secret"] == MARKER


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["mid", "bid", "ask", "qty", "sign", "seed", "tokens"]), st.floats() | st.integers()
    )
)
def test_numbers_pass_untouched(market: dict[str, float]) -> None:
    """A dict of numbers comes back equal and as another dict."""
    shown = redact_secrets(market)
    assert _same(shown, market)
    assert shown is not market


@settings(max_examples=60, deadline=None)
@given(_values, st.integers(0, 3))
def test_cycles_end(value: Any, levels: int) -> None:
    """A cycle through any value is cut, and the result has none."""
    ring: dict[str, Any] = {"value": value}
    inner: Any = ring
    for _ in range(levels):
        inner = [inner]
    ring["again"] = inner
    once = redact_secrets(ring)
    assert _same(redact_secrets(once), once)
    assert CYCLE in repr(once)


@pytest.mark.parametrize(
    "piece",
    [
        "a", "key=", "secret=none ", "-eyJ12345678", "-----BEGIN ", "abandon ability ", '"', "{", 'key="\\',
        "cookie: none ", "a://b:", "@", "<a ", '-a "', 'name="a" value="', "secret=[", "\ud800",
        "password is ", "ключ=", "\u200b",
    ],
)  # fmt: skip
def test_long_repetitions_end(piece: str) -> None:
    """Texts built to make patterns backtrack come to an end and to a fixed point."""
    once = redact_text(piece * 2_000)
    assert redact_text(once) == once
