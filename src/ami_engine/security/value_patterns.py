"""Which values are secrets: by their own format, or by their look under a weak name."""

import re

from ami_engine.security.key_names import KeyClass, key_class
from ami_engine.security.late_pattern import late

MARKER = "***REDACTED***"
"""What stands in the output wherever a secret stood."""

# ---------------------------------------------------------------- look of a value

_NOT_SECRET = late(
    r"""
    [-+]?[\d.,_:\sTZ/+-]+                                   # numbers, dates, times
    | [0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}  # uuid
    | 0x[0-9A-Fa-f]{1,40}                                   # wallet or contract address, number
    | [0-9A-Z]{26} | [0-9a-z]{26}                           # ulid, client order id
    """,
    re.VERBOSE,
)
_SECRET_ALPHABET = late(r"[A-Za-z0-9+/=_.~!@#$%^&*:-]+")
_HEX = late(r"(?:0x)?(?=[A-Fa-f]*\d)(?=\d*[A-Fa-f])[0-9A-Fa-f]{20,}")
_RUN = late(r"[0-9]+|[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_ALNUM = late(r"[A-Za-z0-9]")
_CAMEL = late(r"(?:[A-Z]?[a-z]{3,}+|[A-Z]{2,5}+|[\W_]++)+")
# Addresses of assets: Solana; Starknet, Sui, Aptos (also with module and type); Cosmos.
_ASSET_ADDRESS = late(r"[1-9A-HJ-NP-Za-km-z]{43,44}|0x[0-9A-Fa-f]{1,64}(?:::\w+)*|(?:ibc|factory)/[\w/]+")
_PASSWORD = late(r"(?=[^a-z]*[a-z])(?=\D*\d)[\w!@#$%^&*+=]{8,15}")
_PIN = late(r"\d{4,8}")
_USER_PASSWORD = late(r"[^\s:/]{3,}:[^\s/:]{6,}")
_SEED_WORDS = late(r"\s*(?:[a-z]{3,8}[\s,;-]{1,4}){11,23}[a-z]{3,8}\s*")
_PLAIN_WORD = late(r"[A-Za-z _-]*|[\w-]{0,15}|\w+\([^()]*\)|[\w-]*(?:sha|SHA)-?\d+")
_MASK = late(r"[*•]*|\W?(?:redacted|masked|hidden|filtered)\W?", re.IGNORECASE)
_TICKER = late(r"[A-Z0-9.]{1,8}")


def looks_secret(value: str, shortest: int = 16) -> bool:
    """Tell whether a value under a weak name looks random enough to be a secret.

    Symbols, identifiers, numbers, dates, uuids and addresses do not; a mix of letters and
    digits that changes between them often does.

    >>> looks_secret("BTC-USDT-PERP-20240927"), looks_secret("q7Zx2LmP9vRt4KsW1bNc")
    (False, True)
    """
    if len(value) < shortest or MARKER in value:
        return False
    head = value[:512]
    if not _SECRET_ALPHABET.fullmatch(head) or _NOT_SECRET.fullmatch(head):
        return False
    if _HEX.fullmatch(head):
        return True
    runs = len(_RUN.findall(head))
    letters_and_digits = len(_ALNUM.findall(head))
    if letters_and_digits < 0.6 * len(head):
        return False
    # A date, a number or a word is one run however long; random text changes every 2-3 letters.
    crowded = runs >= max(4, min(6, 0.2 * letters_and_digits))
    has_digit = any(c.isdigit() for c in head)
    return crowded and (has_digit or not _CAMEL.fullmatch(head)) and not _is_identifier(head)


def _is_identifier(text: str) -> bool:
    """Parts joined by separators, each a word, a number or a short code: a name, not a secret."""
    parts = re.split(r"[-_.:/]", text)
    longest = max(len(_RUN.findall(part)) for part in parts)
    return longest <= (2 if len(parts) == 2 else 3) and len(parts) >= 2


def has_seed_words(value: str) -> bool:
    """Tell whether the whole value is 12 to 24 lower-case words."""
    return _SEED_WORDS.fullmatch(value[:300]) is not None


def must_hide(kind: KeyClass, value: str) -> bool:
    """Tell whether a text is to be hidden under a name of this class."""
    if kind <= KeyClass.USER:
        return False
    if kind >= KeyClass.HEADER:
        return not _MASK.fullmatch(value)
    if kind is KeyClass.SIGNATURE:
        return MARKER in value or not _PLAIN_WORD.fullmatch(value[:200]) or looks_secret(value)
    if kind is KeyClass.PHRASE:
        return not _TICKER.fullmatch(value) and not _MASK.fullmatch(value)
    if kind is KeyClass.PIN and _PIN.fullmatch(value):
        return True
    if len(value) < 8:
        return False
    if kind is KeyClass.SEED or kind is KeyClass.WORDS:
        return has_seed_words(value) or (kind is KeyClass.SEED and looks_secret(value))
    if kind in (KeyClass.ASSET, KeyClass.TOKEN) and _ASSET_ADDRESS.fullmatch(value):
        return False
    if kind is KeyClass.TOKEN and _PASSWORD.fullmatch(value):
        return True  # an asset's symbol is shorter or all capitals, its id has hyphens
    if kind is KeyClass.AUTH and _USER_PASSWORD.fullmatch(value[:512]):
        return looks_secret(value, 10)
    return looks_secret(value, 8 if kind is KeyClass.SHORT else 16)


# ---------------------------------------------------------------- formats

_TOKENS = late(
    r"""(?<![A-Za-z0-9])(?:
      eyJ[\w-]{8,1000}\.[\w-]{4,}(?:\.[\w-]*){0,3}                     # JWT, JWE
    | (?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])                     # AWS
    | gh[pousr]_\w{30,} | github_pat_\w{22,}                       # GitHub
    | gl(?:pat|dt|rt|cbt|ptt|soat)-[\w-]{20,}                      # GitLab
    | xox[a-z]-[\w-]{10,} | xapp-\d-[\w-]{10,} | xoxe\.[\w.-]{10,} # Slack
    | (?:sk|rk|pk)_(?:live|test)_\w{10,} | whsec_[\w+/=]{16,}      # Stripe
    | AIza[\w-]{35} | ya29\.[\w-]{16,} | GOCSPX-[\w-]{20,}         # Google
    | sk-(?=[\w-]{0,99}\d)[\w-]{20,} | (?:gsk|hf|xai|r8|pplx)[_-][A-Za-z0-9]{24,}  # OpenAI and kin
    | SG\.[\w-]{16,100}\.[\w-]{16,} | SK[0-9a-f]{32}(?!\w)            # SendGrid, Twilio
    | npm_\w{30,} | pypi-[\w-]{30,} | dop_v1_\w{32,} | dapi[0-9a-f]{32}
    | shp(?:at|ss|ca|pa)_\w{30,} | hvs\.[\w-]{20,} | gl(?:sa|c)_[\w=+/]{20,} | lin_api_\w{30,}
    | db-[A-Za-z0-9]{29}(?!\w) | sq0[a-z]{3}-[\w-]{22,} | PMAK-[\w-]{40,} | ntn_\w{40,}
    | \d{8,10}:[A-Za-z0-9_-]{35}(?![\w-])                          # Telegram bot
    | [MNO][\w-]{23,27}\.[\w-]{6}\.[\w-]{27,}                      # Discord bot
    | xprv[1-9A-HJ-NP-Za-km-z]{100,} | [KL5][1-9A-HJ-NP-Za-km-z]{50,51}(?![A-Za-z0-9])  # Bitcoin
    | S[A-Z2-7]{55}(?![A-Za-z0-9]) | sEd[1-9A-HJ-NP-Za-km-z]{28}(?![A-Za-z0-9])         # XLM, XRP
    | nsec1[a-z0-9]{58} | AGE-SECRET-KEY-1[A-Z0-9]{50,}
    )""",
    re.VERBOSE,
)
_PATHS = late(
    r"""(
      infura\.io/(?:ws/)?v3/ | alchemy\.com/(?:ws/)?v2/ | alchemyapi\.io/v2/
    | quiknode\.pro/ | hooks\.slack\.com/(?:services|workflows)/ | api\.telegram\.org/(?:file/)?bot
    | discord(?:app)?\.com/api/webhooks/\d+/ | /ws/(?=[A-Za-z0-9]{60}) | ankr\.com/\w+/
    | outlook\.office\.com/webhook/
    )(?!\*\*\*)[^\s"'?<>]{16,}""",
    re.VERBOSE,
)
# Exchange keys without a name: 64 mixed letters and digits; 64 bytes in base64.
_BARE = late(
    r"(?:(?<![A-Za-z0-9+/=_-])|(?<=[a-z]=))(?:[A-Za-z0-9]{64}|[A-Za-z0-9+/]{86}==)(?![A-Za-z0-9+/=_-])"
)
_NAME_BEFORE = late(r"([A-Za-z][\w.-]{0,40}+)[\\\"' ]{0,6}[:=][\\\"' ]{0,6}$")
_SCHEME = late(r"\b(bearer|basic)(\s{1,3}|%20)([A-Za-z0-9._~+/=-]{8,})", re.IGNORECASE)
_MIXED = late(r"(?=.*\d)(?=.*[A-Za-z])|(?=.*[a-z].*[A-Z])")
_USERINFO = late(r"(?<![A-Za-z0-9+.-])([A-Za-z][A-Za-z0-9+.-]{1,30}+://)([^\s\"'<>]{1,2000}+)")
_PATH_START = late(r"[/?#]")
_HOST_AND_PORT = late(r"[^:]*:\d{1,5}$|\[[0-9A-Fa-f:]+\]")


def _hide_pem(text: str) -> str:
    """Hide each private PEM block; one without an end reaches to the end of the text."""
    pieces, pos = [], 0
    while (begin := text.find("-----BEGIN ", pos)) >= 0:
        label = text.find("-----", begin + 11)
        if label < 0:
            break
        if "PRIVATE" not in text[begin:label] or label - begin > 60:
            pieces.append(text[pos : begin + 11])
            pos = begin + 11
            continue
        pieces += [text[pos:begin], MARKER]
        end = text.find("-----END ", label)
        close = text.find("-----", end + 9) if end >= 0 else -1
        pos = close + 5 if close >= 0 else len(text)
    return "".join(pieces) + text[pos:] if pieces else text


def _hide_bare(match: re.Match[str]) -> str:
    found = match[0]
    name = _NAME_BEFORE.search(match.string, max(0, match.start() - 48), match.start())
    if name is not None and key_class(name[1]) is KeyClass.DIGEST:
        return found
    mixed = any(map(str.islower, found)) and any(map(str.isupper, found))
    return MARKER if mixed and any(map(str.isdigit, found)) else found


def _hide_scheme(match: re.Match[str]) -> str:
    credentials = match[3]
    if len(credentials) >= 24 or _MIXED.match(credentials[1:]):
        return match[1] + match[2] + MARKER
    return match[0]


def _hide_userinfo(match: re.Match[str]) -> str:
    before_path = _PATH_START.split(match[2], maxsplit=1)[0]
    # The host begins after the last "@": passwords may hold one, and even a slash.
    user, at, _ = before_path.rpartition("@")
    if not at and not _HOST_AND_PORT.match(before_path) and ":" in before_path:
        user, at, _ = match[2].rpartition("@")
    if not at or user == MARKER or not (":" in user or looks_secret(user)):
        return match[0]
    return match[1] + MARKER + match[2][len(user) :]


def hide_formats(text: str, expect_random: bool = False) -> str:
    """Hide every part of the text that is a secret by its own format.

    Args:
        text: any text.
        expect_random: the text stands under a hash-like name, so long random text is normal.
    """
    if len(text) >= 16:
        text = _TOKENS.sub(MARKER, text)
        if len(text) >= 64 and not expect_random:
            text = _BARE.sub(_hide_bare, text)
        if "-----BEGIN " in text:
            text = _hide_pem(text)
    if "/" in text:
        text = _PATHS.sub(r"\1" + MARKER, text)
        if "://" in text and "@" in text:
            text = _USERINFO.sub(_hide_userinfo, text)
    if len(text) >= 13 and (" " in text or "%20" in text):
        text = _SCHEME.sub(_hide_scheme, text)
    return text
