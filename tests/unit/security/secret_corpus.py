"""A seeded generator of values that hold secrets and of values that only look like it.

Only the generator is kept. Every case is drawn from a template, a way to nest it and a way to
make the secret, so that no two seeds give the same set.
"""

import base64
import enum
import json
import random
import string
import uuid
from collections import namedtuple
from collections.abc import Callable
from dataclasses import make_dataclass
from typing import Any, NamedTuple
from urllib.parse import quote

_BASE62 = string.ascii_letters + string.digits
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_WORDS_TEXT = (
    "orbit velvet cactus lemon anchor pistol tunnel gravity window hammer copper dragon meadow "
    "silver bridge planet rabbit summer candle forest mirror button castle helmet donkey violin"
)
_WORDS = _WORDS_TEXT.split()


class Positive(NamedTuple):
    """A value, the secrets it holds, and where it comes from."""

    value: Any
    secrets: tuple[str, ...]
    template: str


class Negative(NamedTuple):
    """A value that must come back unchanged, and where it comes from."""

    value: Any
    template: str


def _chars(alphabet: str, length: int) -> Callable[[random.Random], str]:
    return lambda rng: "".join(rng.choices(alphabet, k=length))


def _hex(length: int) -> Callable[[random.Random], str]:
    return _chars("0123456789abcdef", length)


def _b64(length: int) -> Callable[[random.Random], str]:
    return lambda rng: base64.b64encode(rng.randbytes(length)).decode()


def _url64(length: int) -> Callable[[random.Random], str]:
    return lambda rng: base64.urlsafe_b64encode(rng.randbytes(length)).decode().rstrip("=")


def _password(rng: random.Random) -> str:
    word = rng.choice(_WORDS).capitalize()
    return f"{word}{rng.choice('!#$%@^')}{rng.randrange(100, 9999)}{_chars(_BASE62, 4)(rng)}"


def _jwt(rng: random.Random) -> str:
    part = lambda data: base64.urlsafe_b64encode(json.dumps(data).encode()).decode().rstrip("=")  # noqa: E731
    return f"{part({'alg': 'HS256'})}.{part({'sub': rng.randrange(10**9)})}.{_url64(32)(rng)}"


def _pem(rng: random.Random) -> str:
    label = rng.choice(["EC PRIVATE KEY", "PRIVATE KEY", "RSA PRIVATE KEY", "OPENSSH PRIVATE KEY"])
    body = "\n".join(_chars(_BASE62 + "+/", 64)(rng) for _ in range(3))
    return f"-----BEGIN {label}-----\n{body}\n-----END {label}-----"


def _phrase(rng: random.Random) -> str:
    return " ".join(rng.choices(_WORDS, k=rng.choice([12, 24])))


_RANDOM = [
    _chars(_BASE62, 64), _chars(_BASE62, 36), _chars(_BASE62, 20), _hex(32), _hex(64), _b64(64),
    _b64(32), _url64(32), _url64(24), _b64(56), _chars(_BASE32, 32),
    lambda rng: "0x" + _hex(64)(rng),
]  # fmt: skip
_BY_FORMAT = [
    _jwt, _pem, lambda r: "AKIA" + _chars(string.ascii_uppercase + string.digits, 16)(r),
    lambda r: "ghp_" + _chars(_BASE62, 36)(r), lambda r: "github_pat_" + _chars(_BASE62, 40)(r),
    lambda r: f"xoxb-{r.randrange(10**11)}-{_chars(_BASE62, 24)(r)}",
    lambda r: "sk_live_" + _chars(_BASE62, 24)(r), lambda r: "AIza" + _chars(_BASE62 + "-_", 35)(r),
    lambda r: "sk-proj-" + _chars(_BASE62, 20)(r) + "7" + _chars(_BASE62, 20)(r),
    lambda r: f"{r.randrange(10**9, 10**10)}:{_chars(_BASE62, 35)(r)}",
    lambda r: "db-" + _chars(_BASE62, 29)(r), lambda r: "glpat-" + _chars(_BASE62, 20)(r),
    lambda r: "hvs." + _chars(_BASE62, 24)(r), lambda r: "xprv" + _chars(_BASE58, 107)(r),
    lambda r: "L" + _chars(_BASE58, 51)(r), lambda r: _chars(_BASE62, 61)(r) + "aA1",
]  # fmt: skip
_STRONG_TEXT = """
    api_key apiKey API_KEY apikey ApiKey api-key secret apiSecret API_SECRET secretKey client_secret
    clientSecret private_key privateKey PRIVATE_KEY wallet.private.key access_token accessToken
    refresh_token password Password DB_PASSWORD userPassword passphrase api_passphrase signature
    X-MBX-APIKEY OK-ACCESS-KEY OK-ACCESS-SIGN OK-ACCESS-PASSPHRASE CB-ACCESS-KEY CB-ACCESS-SIGN
    KC-API-KEY KC-API-SIGN KC-API-PASSPHRASE API-Key API-Sign POLY_API_KEY POLY_PASSPHRASE
    POLY_SIGNATURE X-BAPI-API-KEY X-GEMINI-APIKEY X-GEMINI-SIGNATURE bfx-apikey listenKey listen_key
    binance_api_key krakenApiSecret okx-api-secret-live session_token csrf_token auth_token
    bot_token webhook_secret signing_key hmac_key encryptionKey smtp_pass totp_secret jwt cookie
    Set-Cookie authorization Proxy-Authorization apі_key ѕecret pаssword api\u200b_key ｓｅｃｒｅｔ
    passw0rd s3cret APCA-API-SECRET-KEY sharedAccessKey consumer_secret credentials
    X-Auth-Signature kalshi_access_signature api.secret trading_password security_token pwd passwd
    """
_STRONG_NAMES = _STRONG_TEXT.split()
_WEAK_TEXT = "token key auth sign session sid rest_token binance_key KEY X-BM-KEY usertoken sk"
_WEAK_NAMES = _WEAK_TEXT.split()


def _nest(rng: random.Random, value: Any) -> Any:
    """Put a value somewhere inside a larger one."""
    mid = round(rng.random(), 4)
    return rng.choice(
        [
            lambda: value,
            lambda: {"mid": mid, "request": value},
            lambda: {"events": [{"ts": 1_717_171_717_000, "payload": {"inner": value}}], "n": 2},
            lambda: [mid, "BTCUSDT", [value]],
            lambda: ("okx", (value, mid)),
            lambda: (
                {"body": json.dumps({"mid": mid, "inner": value}, default=str)}
                if _is_json(value)
                else {"body": value}
            ),
            lambda: {("venue", 1): value, 7: None},
        ]
    )()


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value)
    except TypeError:
        return False
    return not isinstance(value, tuple)


def _named(rng: random.Random, name: str, secret: str) -> Any:
    """A secret under its name, in one of the shapes programs use."""
    identifier = name if name.isidentifier() and name.isascii() else "api_secret"
    return rng.choice(
        [
            lambda: {name: secret, "symbol": "ETHUSDT"},
            lambda: {name: secret},
            lambda: {name.encode(): secret.encode()},
            lambda: {name: [secret]},
            lambda: {("config", name): secret},
            lambda: {"headers": [(name, secret), ("Accept", "*/*")]},
            lambda: [[name, secret]],
            lambda: {"name": name, "value": secret},
            lambda: {"params": [{"key": name, "value": secret}]},
            lambda: namedtuple("Login", [identifier, "mid"])(secret, 0.5),
            lambda: make_dataclass("Config", [(identifier, str), ("mid", float)])(secret, 0.5),
            lambda: enum.Enum("Settings", {identifier.upper(): secret}).__members__[identifier.upper()],
            lambda: {name: {"nested": secret}},
            lambda: {"config": json.dumps({name: secret, "depth": 5})},
            lambda: json.dumps({"outer": json.dumps({name: secret})}),
            lambda: repr({name: secret, "retries": 3}),
            lambda: ValueError(f"request failed: {name}={secret}"),
            lambda: _chain(KeyError("inner"), RuntimeError({name: secret})),
        ]
    )()


def _chain(outer: BaseException, cause: BaseException) -> BaseException:
    outer.__cause__ = cause
    return outer


_TEXTS = [
    "GET /api/v3/account?timestamp=1717171717000&signature={} HTTP/1.1 -> 401",
    "https://api.venue.com/v1/orders?symbol=BTCUSDT&apiKey={}&recvWindow=5000",
    "symbol=BTCUSDT&side=BUY&api_key={}&qty=1",
    "Authorization: Bearer {}", "curl -H 'X-MBX-APIKEY: {}' https://api.binance.com/api/v3/account",
    "retry 3: headers={{'Authorization': 'Bearer {}', 'Accept': 'json'}}",
    "wss://user:{}@stream.venue.com:9443/ws", "export API_SECRET={}",
    "python bot.py --api-key {} --symbol BTCUSDT", "bot --password={} --dry-run",
    "Config(api_secret='{}', depth=5)", "loaded api key: {} from env", "the secret key is {}",
    "error: invalid signature {} for account 7", "<auth><apiKey>{}</apiKey></auth>",
    "secret: {}\nsymbol: BTCUSDT", "password = \"{}\"", "Server=db;User Id=bot;Password={};Port=1433",
    "8=FIX.4.4|35=A|553=bot|554={}|98=0|10=123|", "login with access_token -> {}",
    "Cookie: theme=dark; sessionid={}; lang=en", "Authorization: Basic {}",
    '{{"op":"login","args":[{{"apiKey":"{}"}}]}}', "argv=['bot', '--api-secret', '{}']",
    "clientSecret={}, retry=1", "ws login failed (apikey={})", "X-BAPI-SIGN: {}\r\nHost: api.bybit.com",
    "headers: [('OK-ACCESS-SIGN', '{}'), ('Host', 'okx.com')]",
    "payload {{\\\"secret\\\": \\\"{}\\\", \\\"mid\\\": 1}}",
]  # fmt: skip


_URLS: list[tuple[str, Callable[[random.Random], str] | None]] = [
    ("postgresql://bot:{}@db.local:5432/ticks", None),
    ("redis://:{}@cache:6379/0", None),
    ("amqp://user:{}@mq/vhost?heartbeat=5", _password),
    ("https://mainnet.infura.io/v3/{}", _hex(32)),
    ("wss://stream.binance.com:9443/ws/{}", _chars(_BASE62, 64)),
    ("https://hooks.slack.com/services/T0AB/B0CD/{}", _chars(_BASE62, 24)),
]


def positives(seed: int, count: int) -> list[Positive]:
    """Draw values that hold at least one secret."""
    rng = random.Random(seed)
    cases: list[Positive] = []
    kinds = ["strong", "weak", "format", "text", "phrase", "argv", "url", "echo", "bytes", "basic"]
    weights = [34, 8, 12, 24, 5, 4, 4, 4, 3, 2]
    for kind in rng.choices(kinds, weights, k=count):
        secret = rng.choice(_RANDOM)(rng)
        template = kind
        if kind == "strong":
            name = rng.choice(_STRONG_NAMES)
            secret = rng.choice([secret, secret, _password(rng)])
            value, template = _named(rng, name, secret), f"strong {name}"
        elif kind == "weak":
            name = rng.choice(_WEAK_NAMES)
            secret = rng.choice([_chars(_BASE62, 40), _hex(64), _url64(32), _chars(_BASE62, 22)])(rng)
            value, template = {name: secret, "symbol": "BTCUSDT"}, f"weak {name}"
        elif kind == "format":
            secret = rng.choice(_BY_FORMAT)(rng)
            place = rng.choice(["{}", "got {} from env", "note: {}", "id={}", "({})"])
            value = {rng.choice(["note", "msg", "x", "data"]): place.format(secret)}
        elif kind == "text":
            template = rng.choice(_TEXTS)
            in_url = any(mark in template for mark in ("&", "@", "Basic"))
            secret = quote(secret, safe="") if in_url else rng.choice([secret, _url64(20)(rng)])
            value = template.format(secret)
        elif kind == "phrase":
            secret = _phrase(rng)
            value = rng.choice(
                [
                    {"mnemonic": secret}, {"seedPhrase": secret}, {"seed": secret},
                    {"recovery_words": secret.split()}, f"mnemonic: {secret}",
                    f"restored wallet from seed phrase {secret}", {"wallet": {"mnemonic": secret}},
                    {"passphrase": secret}, {"words": secret},
                ]
            )  # fmt: skip
        elif kind == "argv":
            flag = rng.choice(["--api-key", "--secret", "--password", "-p", "--private-key"])
            secret = _password(rng) if flag == "-p" else secret
            value = {"argv": ["bot", flag, secret, "--mode", "paper"]}
        elif kind == "url":
            url, make = rng.choice(_URLS)
            secret = quote(make(rng) if make else secret, safe="")
            value = url.format(secret)
        elif kind == "echo":
            secret = _chars(_BASE62, 36)(rng)
            value = {"api_key": secret, "error": f"unknown client {secret} (code 7)", secret: 1}
        elif kind == "bytes":
            value = rng.choice([f"api_key={secret}".encode(), {"raw": f'{{"secret":"{secret}"}}'.encode()}])
        else:
            pair = f"{rng.choice(_WORDS)}:{_password(rng)}".encode()
            secret = base64.b64encode(pair).decode()
            value = f"proxy wants Basic {secret}"
        nested = _nest(rng, value)
        # Inside JSON a line end or a quote is written otherwise.
        secrets = (secret,) if "\n" not in secret else tuple(secret.split("\n")[1:-1])
        cases.append(Positive(nested, secrets, template))
    return cases


def _negative_values(rng: random.Random) -> list[tuple[str, Any]]:
    symbol = rng.choice(["BTCUSDT", "ETH-PERP", "SOL/USDC", "AAPL", "BTC-USDT-SWAP-20240927", "USDC"])
    address, digest = "0x" + _hex(40)(rng), _hex(64)(rng)
    ulid = rng.choice("01234567") + _chars("0123456789ABCDEFGHJKMNPQRSTVWXYZ", 25)(rng)
    digits = str(rng.randrange(10**70, 10**77))
    number = rng.randrange(1, 10**6)
    price = rng.random() * 1000
    return [
        ("token symbol", {"token": symbol, "price": price}), ("token address", {"token": address}),
        ("token ids", {"token_id": digits, "token": digits, "clobTokenIds": [digits, digits[::-1]]}),
        ("mint", {"token": _chars(_BASE58, 44)(rng), "decimals": 6}),
        ("limiter", {"tokens": number, "tokens_per_second": 10.0, "token_bucket": {"capacity": 20}}),
        ("key", {"key": f"{symbol}:1m", "keys": ["mid", "bid"], "monkey": digest}),
        ("levels", {"key_level": price, "key_levels": [1.5, 2.5], "tick_size_key": "0.01"}),
        ("session", {"session": rng.choice(["RTH", "london", "asia-open", "2024-05-31"]), "x": price}),
        ("words", {"authority": "SEC", "author": "jane", "passed": True, "compass": "N", "signal": price}),
        ("sign", {"sign": rng.choice([-1, 1, "+", "-", "negative"]), "trade_sign": -1, "signed": True}),
        ("hashes", {"hash": digest, "tx_hash": "0x" + digest, "sha256": digest, "state_root": digest}),
        ("digest64", {"checksum": _b64(64)(rng), "content_hash": _url64(32)(rng), "etag": _hex(32)(rng)}),
        ("orders", {"client_order_id": ulid, "orderId": str(number), "cl": ulid.lower(), "uuid": _uuid(rng)}),
        ("addresses", {"wallet": address, "maker": address, "owner": _chars(_BASE58, 44)(rng)}),
        ("solana tx", {"tx": _chars(_BASE58, 88)(rng), "signature_count": 2}),
        ("seed", {"seed": number, "random_seed": number, "rng_seed": str(number)}),
        ("prices", {"p": f"{price:.8f}", "q": "0.00120000", "ts": "2024-05-31T12:00:00.123456Z"}),
        ("empty", {"api_key": None, "secret": "", "password": False, "cookies": {}}),
        ("about", {"api_key_count": 3, "has_secret": True, "password_length": 12, "token_type": "Bearer"}),
        ("about 2", {"signature_type": 2, "signature_version": "v2", "secret_name": "prod/okx/main"}),
        ("about 3", {"api_key_env": "BINANCE_API_KEY", "private_key_path": "/etc/bot/key.pem"}),
        ("keys", {"public_key": _b64(32)(rng), "primary_key": digest, "idempotency_key": _uuid(rng)}),
        ("cache", {"cache_key": digest, "partition_key": symbol, "sort_key": f"{symbol}#{number}"}),
        ("pin", {"pin": price / 1000, "pinned": True, "spinning": 1}),
        ("auth", {"auth": rng.choice(["none", "hmac-sha256", True, "required"]), "authenticated": True}),
        ("list of names", ["api_key", "secret", "password"]),
        ("columns", {"columns": ["token", "key", "sign", "session", "mid"]}),
        ("pairs", [("token", symbol), ("key", "mid"), ("session", "RTH")]),
        ("name value", {"name": rng.choice(["token", "session", "seed"]), "value": symbol}),
        ("book", {"bids": [[f"{price:.2f}", "0.5"], ["1.0", "2"]], "asks": [[price, 1.0]], "u": number}),
        ("stream", {"stream": "btcusdt@depth@100ms", "stream_key": "btcusdt@trade", "listen": "book"}),
        ("text 1", f"token {symbol} listed, key level {price:.2f} passed, session RTH"),
        ("text 2", f"order {ulid} filled: sign=-1 key={symbol}:5m token={symbol} seed={number}"),
        ("text 3", rng.choice(["password: required", "api key missing", "secret not found"])),
        ("text 4", f"tx 0x{digest} confirmed for {address}"),
        ("text 5", f"GET /api/v3/depth?symbol={symbol}&limit=100 HTTP/1.1 200 {number}ms"),
        ("text 6", "rotate the api key, then restart; the token bucket refills 10 tokens per second"),
        ("text 7", f"https://polygonscan.com/token/{address}?a={digits[:20]}"),
        ("text 8", "bearer bonds and basic materials lead; basic configuration loaded"),
        ("text 9", f"-p {number % 65535} --key-level 5 --token {symbol} --session london"),
        ("url", f"wss://stream.venue.com:9443/ws/{symbol.lower()}@trade"),
        ("git", {"commit": _hex(40)(rng), "version": "1.2.3+" + _hex(8)(rng), "remote": "ssh://git@host/x"}),
        ("run", {"run_id": f"run_{number}", "packet_hash": digest, "prev": digest, "step": number}),
        ("json", json.dumps({"token": symbol, "mid": price, "hash": digest, "key": "l2"})),
        ("bytes", {"raw": rng.randbytes(24), "frame": b"\x00\x01", "token": symbol.encode()}),
        ("sentence", "the model says buy when the spread is wide and the depth on both sides is thin"),
        ("tickers", "watch " + " ".join(rng.choices(["btc", "eth", "sol", "xrp", "doge", "ada"], k=14))),
        ("strategy", {"strategy": f"mean_reversion_v2_5m_lookback{number}", "session_id": _uuid(rng)}),
        ("set", {"venues": {"okx", "bybit"}, "tokens": frozenset({symbol, "DAI"})}),
        ("mnemonic", {"Mnemonic": "SAP", "ISIN": "DE0007164600", "SecurityType": "Common stock"}),
        ("function", {"signature": "transfer(address,uint256)", "topic": "0x" + digest}),
        ("mixed", {"nonce": number, "salt": number, "expiry": "2024-06-28", "code": "OK-200"}),
        ("status", {"msg": "auth: ok, session: open, cookie: none, signature: verified"}),
        ("error", {"error": "401 Unauthorized: API-key format invalid.", "code": -2014}),
    ]  # fmt: skip


def _uuid(rng: random.Random) -> str:
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def negatives(seed: int, count: int) -> list[Negative]:
    """Draw values that hold no secret."""
    rng = random.Random(seed)
    cases: list[Negative] = []
    while len(cases) < count:
        cases += [Negative(_nest(rng, value), name) for name, value in _negative_values(rng)]
    return cases[:count]


def leaks(output: Any, secrets: tuple[str, ...]) -> bool:
    """Tell whether a secret, or any ten characters of it in a row, shows in the output."""
    shown = (repr(output), json.dumps(_jsonable(output), default=repr, ensure_ascii=False))
    return any(
        secret[i : i + 10] in text
        for text in shown
        for secret in secrets
        for i in range(max(1, len(secret) - 9))
    )


def _jsonable(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_jsonable(item) for item in value]
    return value
