"""Which field names announce a secret.

A name is folded (case, width, accents, look-alike letters, zero-width characters),
split into words (camelCase, SCREAMING_CASE, kebab-case, dots) and judged by its words:
`binance_apiKey` announces a secret, `api_key_count` and `tick_size_key` do not.
"""

import re
import unicodedata
from enum import IntEnum


class KeyClass(IntEnum):
    """What a field name says about its value, from nothing to everything.

    Up to USER a value is judged by its own format only; from SIGNATURE on it is hidden by
    default; between them `must_hide` looks at the value.
    """

    PLAIN = 0  # says nothing
    DIGEST = 1  # a hash: long random text is expected
    VALUE = 2  # the value half of a name and value pair
    USER = 3  # an account name: makes a weak neighbour stronger
    WORDS = 4  # a secret only if it is twelve words or more
    WEAK = 5  # a secret only if it looks like one
    ASSET = 6  # weak, but an asset's address is at home here
    TOKEN = 7  # an asset or a password: weak, or a short mix of small letters and digits
    AUTH = 8  # weak, or user:password
    SHORT = 9  # weak, but a short random text is enough
    PIN = 10  # weak, or four to eight digits
    SEED = 11  # weak, or twelve words and more
    SIGNATURE = 12  # a secret unless it is a word or a function's signature
    PHRASE = 13  # a secret unless it is as short as a ticker
    HEADER = 14  # always a secret; in text it reaches to the end of the line
    STRONG = 15  # always a secret


def words(text: str) -> frozenset[str]:
    """Set of the blank-separated words of a text: keeps word lists readable."""
    return frozenset(text.split())


_STRONG = words(
    "secret password passwd pwd pswd passphrase passcode passkey passwort kennwort senha "
    "contrasena parola sifre apikey apisecret apipass apipassphrase apisign secretkey "
    "privatekey privkey accesstoken accesskey refreshtoken authtoken clientsecret listenkey "
    "sessiontoken signingkey credential cred bearer jwt totp otp xprv xpriv wif authent "
    "keystore passw pword"
)
_HEADERS = words("authorization cookie")
_PHRASES = words("mnemonic seedphrase seedwords")
_SIGNATURES = words("signature hmac")
_PAIRS = frozenset(
    f"{first} {second}"
    for second, firsts in {
        "key": "api secret private priv access auth authentication signing encryption encrypt "
        "decryption decrypt master hmac shared symmetric ssh pem deploy root wallet consumer recovery "
        "ok bm app",
        "secret": "api",
        "token": "access refresh auth id bearer session csrf xsrf security device bot login user "
        "sas oauth app api ws websocket listen reset verification csrfmiddleware personal "
        "admin jwt gateway private",
        "sign": "api access request ok bapi bm ftx",
        "sig": "api request access",
        "pass": "api db user smtp mysql redis admin login postgres email mail ftp proxy account "
        "wallet keystore database rabbitmq mongo broker root",
        "pw": "api db user smtp mysql redis admin login wallet keystore database account root",
        "pin": "trading security account login user card",
        "code": "otp mfa 2fa fa totp factor auth authorization verification recovery backup",
        "phrase": "seed recovery backup secret pass wallet",
        "words": "seed recovery backup mnemonic secret",
        "seed": "wallet hd master bip totp secret recovery",
        "application": "x",
        "authentication": "x",
        "id": "secret",
    }.items()
    for first in firsts.split()
)
_WEAK = {
    "token": KeyClass.TOKEN, "auth": KeyClass.AUTH, "oauth": KeyClass.AUTH,
    "authentication": KeyClass.AUTH, "pass": KeyClass.SHORT, "pw": KeyClass.SHORT,
    "pin": KeyClass.PIN, "seed": KeyClass.SEED, "phrase": KeyClass.WORDS,
    "words": KeyClass.WORDS, "word": KeyClass.WORDS, "wallet": KeyClass.WORDS,
    "recovery": KeyClass.WORDS, "backup": KeyClass.WORDS, "key": KeyClass.WEAK, "sign": KeyClass.WEAK,
    "sig": KeyClass.WEAK, "session": KeyClass.WEAK, "sessionid": KeyClass.WEAK,
    "sid": KeyClass.WEAK, "sk": KeyClass.WEAK, "ak": KeyClass.WEAK, "pk": KeyClass.WEAK,
    "private": KeyClass.WEAK, "priv": KeyClass.WEAK, "sec": KeyClass.WEAK,
    "ticket": KeyClass.WEAK, "cst": KeyClass.WEAK, "ssoid": KeyClass.WEAK, "csrf": KeyClass.WEAK,
    "username": KeyClass.USER, "user": KeyClass.USER, "login": KeyClass.USER,
    "value": KeyClass.VALUE, "val": KeyClass.VALUE, "v": KeyClass.VALUE,
}  # fmt: skip
# After a strong name these words speak about the secret; they are not the secret.
_ABOUT = words(
    "id ids name names count counts num number total len length size min max limit version type "
    "types kind mode method algorithm algo alg scheme format encoding enabled disabled required "
    "optional allowed present missing exists set unset configured loaded valid invalid verified "
    "verify checked ok status state expires expired expiry expiration expire exp ttl age at time "
    "timestamp ts ms ns seconds days date created updated changed modified rotated rotation rotate "
    "last next used usage url uri endpoint path file filename dir directory location env variable "
    "var field column label title description hint help policy rule rules strength score level "
    "levels index idx position rate ratio cost manager store backend provider source issuer "
    "audience scope scopes permission permissions role roles owner language prefix suffix ref arn "
    "reset attempts retries errors error failures failed success bits entropy domain consent "
    "per remaining left bucket refill capacity symbol address decimals amount balance price "
    "hash digest checksum sha fingerprint md pattern regex schema validator expected"
)
_DIGESTS = words("hash digest checksum sha crc fingerprint etag txid txhash root commit merkle cid")
# Before a strong name these words make it a question or a number.
_ASKING = words(
    "has is num n nb count requires require needs need use uses allow allows missing no without "
    "show hide redact mask total max min detect should can did was are rotate function method event call"
)
# Before "token" these words name an asset.
_ASSETS = words(
    "base quote pay payment receive collateral in out input output reward fee gas native from to lp pool "
    "sell buy src dst source target underlying wrapped staked debt borrow supply deposit erc spl"
)
# Before "key", "session" or "sign" these words name data, not access.
_DATA = words(
    "public pub verify verifying verification primary foreign sort partition cache bucket level "
    "price book group dict map size tick index row column hash idempotency dedup dedupe routing "
    "config feature series symbol instrument market order lookup object record event topic "
    "message hot sort s3 metric label tag shard time window trading regular extended overnight "
    "day night asian london trade flow position delta side return lot state entry composite unique "
    "storage state slot leaf node"
)
_FILLER = words(
    "value val str string raw plain plaintext text b base hex header param prod production test "
    "testnet mainnet live dev staging sandbox paper demo main primary secondary default old new "
    "current prev previous v binance okx bybit kraken coinbase kucoin gate bitget bitfinex bitmex "
    "deribit huobi htx mexc gemini bitstamp poloniex polymarket kalshi hyperliquid dydx alpaca "
    "ibkr oanda betfair us futures spot"
)
_FOREIGN = words("пароль секрет 密码 密碼 密钥 密鑰 パスワード 비밀번호")
_SUFFIXES = tuple(
    sorted(w for w in _STRONG | _HEADERS | _PHRASES | {"signature"} if len(w) >= 6 and w != "keystore")
)
_COMPOUNDS = {pair.replace(" ", ""): pair for pair in _PAIRS}
_SINGULARS = _STRONG | _HEADERS | _PHRASES | _SIGNATURES | frozenset(_WEAK) | frozenset(_COMPOUNDS)

_LOOK_ALIKES = str.maketrans(
    "аеорсухіјѕԁһкмтвӏԛԝпАВЕКМНОРСТУХІЅЈαεικορτυνχγηωΑΒΕΖΗΙΚΜΝΟΡΤΥΧıɡɑłøđħօᴀʙᴄᴅᴇғɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ",
    "aeopcyxijsdhkmtblqwnABEKMHOPCTYXISJaeikoptuvxynwABEZHIKMNOPTYXigalodhoabcdefghijklmnoprstuvwyz",
)
_LEET = str.maketrans("013457@$", "oieast" + "as")
_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+|[^\W_]")
_CACHE: dict[str, KeyClass] = {}
_CACHE_LIMIT = 4096


def strip_invisible(text: str) -> str:
    """Return the text without zero-width and other format characters."""
    return "".join(c for c in text if unicodedata.category(c) != "Cf")


def fold(name: str) -> str:
    r"""Fold width, accents, invisible characters and look-alike letters; keep case.

    >>> fold("ａpi\u200b_kеy")
    'api_key'
    """
    if name.isascii():
        return name
    plain = unicodedata.normalize("NFKD", strip_invisible(name).translate(_LOOK_ALIKES))
    return "".join(c for c in plain if not unicodedata.combining(c)).translate(_LOOK_ALIKES)


def _singular(word: str) -> str:
    return word[:-1] if word.endswith("s") and word[:-1] in _SINGULARS else word


def _strong_kind(word: str) -> KeyClass | None:
    """Class of one word, or of two words joined by a blank, that is enough by itself."""
    if word in _HEADERS:
        return KeyClass.HEADER
    if word in _PHRASES:
        return KeyClass.PHRASE
    if word in _SIGNATURES:
        return KeyClass.SIGNATURE
    if word in _STRONG or word in _PAIRS or word in _COMPOUNDS:
        return KeyClass.STRONG
    tail = next((s for s in _SUFFIXES if word.endswith(s)), None)
    return _strong_kind(tail) if tail is not None and tail != word else None


def _strong_in(parts: list[str]) -> KeyClass | None:
    """Class of the first strong name among the words that nothing around it takes back.

    Returns PLAIN or WEAK if each strong name was taken back, None if there was none.
    """
    taken_back: KeyClass | None = None
    for i, word in enumerate(parts):
        pair = f"{word} {parts[i + 1]}" if i + 1 < len(parts) else word
        end, kind = i + 2, _strong_kind(pair)
        if pair == word or kind is None or pair not in _PAIRS:
            end, kind = i + 1, _strong_kind(word)
        if kind is None:
            continue
        about = _ABOUT.intersection(parts[end:])
        if not about and not _ASKING.intersection(parts[:i]):
            return kind
        if kind is not KeyClass.SIGNATURE and about == {"id"}:
            taken_back = KeyClass.WEAK
        elif taken_back is None:
            taken_back = KeyClass.DIGEST if about & _DIGESTS else KeyClass.PLAIN
    return taken_back


def classify(name: str) -> KeyClass:
    """Class of a field name.

    >>> classify("OK-ACCESS-PASSPHRASE").name, classify("tick_size_key").name
    ('STRONG', 'PLAIN')
    """
    if "".join(name.split()).casefold() in _FOREIGN:
        return KeyClass.STRONG
    if name in ("PWD", "OLDPWD"):  # often the shell's working directory
        return KeyClass.SHORT
    folded = fold(name)
    parts = [part.lower() for part in _WORD.findall(folded)]
    joined = _singular("".join(parts))
    named = [_singular(part) for part in parts if not part.isdigit()]
    if not named:
        return KeyClass.PLAIN
    kind = _strong_in(named)
    if kind is None and len(named) > 1:
        kind = _strong_in([joined])
    if kind is not None:
        return kind
    if named[-1] in _DIGESTS or "md5" in joined:
        return KeyClass.DIGEST
    if not folded.isalpha():
        leet = _singular(re.sub(r"[^a-z]", "", folded.lower().translate(_LEET)))
        if leet != joined and (_strong_kind(leet) or KeyClass.PLAIN) >= KeyClass.HEADER:
            return KeyClass.STRONG
    return _weak_in(named)


def _weak_in(parts: list[str]) -> KeyClass:
    """Class of a name without a strong part: its last telling word decides."""
    while len(parts) > 1 and parts[-1] in _FILLER:
        parts = parts[:-1]
    last = parts[-1]
    if last == "id" and len(parts) > 1 and parts[-2] in ("session", "ssession"):
        return KeyClass.WEAK
    kind = _WEAK.get(last, KeyClass.PLAIN)
    if kind is KeyClass.VALUE or kind is KeyClass.USER:
        return kind if len(parts) == 1 else KeyClass.PLAIN
    if kind is KeyClass.WEAK and _DATA.intersection(parts[:-1]):
        return KeyClass.PLAIN
    if kind is KeyClass.PLAIN and last.endswith("token"):
        kind = KeyClass.TOKEN
    if kind is KeyClass.TOKEN and _ASSETS.intersection((*parts[:-1], last.removesuffix("token"))):
        return KeyClass.ASSET
    return kind


def key_class(name: str) -> KeyClass:
    """Like `classify`, remembering the decision for short names (a bounded cache)."""
    kind = _CACHE.get(name)
    if kind is None:
        kind = classify(name if len(name) <= 200 else name[:100] + "_" + name[-100:])
        if len(name) <= 64:
            if len(_CACHE) >= _CACHE_LIMIT:
                _CACHE.clear()
            _CACHE[name] = kind
    return kind
