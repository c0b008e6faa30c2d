"""Secrets in free text: log lines, messages, URLs, headers, command lines, reprs.

One grammar serves most of them: a name, a separator, a value; the name is judged by
`key_names`, the value by `value_patterns`. Every pattern is possessive or bounded, so the
time grows linearly with the text.
"""

import re
from collections.abc import Callable

from ami_engine.security.key_names import KeyClass, key_class, strip_invisible, words
from ami_engine.security.value_patterns import MARKER, hide_formats, looks_secret, must_hide

# A text in which none of these occurs names no secret.
_HINTS = sorted(
    words(
        "key secret token pass auth sig cookie pwd cred session ses pin pw otp jwt bearer mnemonic "
        "seed phrase words recovery wallet backup private priv ticket csrf sid -p -u hmac xpr wif sec "
        "login user senha contrasena parola sifre kennwort code x-app keystore cst sk= ak= pk="
    )
)
# Symbols and words; numbers and times; hashes, uuids and addresses; order ids.
_HARMLESS = re.compile(
    r"[\w.+/-]{0,15}|[-\d\s:.,+/TZ]*|(?:0x)?[0-9a-f-]*|0x[0-9A-Fa-f]*|(?!AKIA|ASIA)[A-Z0-9]{0,40}"
)
is_harmless = _HARMLESS.fullmatch
_ONE_WORD = re.compile(r"[\w.+/-]*")

_NAMED = re.compile(
    r"(?<![\w.-])([\w.-]{1,80}+)"
    r"((?:\\*[\"'`]|%22|&quot;)?+\]?\s{0,4}+(?:=>|->|:=|={1,2}|:|%3[DdAa]|[＝：])\s{0,4}+)"
)
_PREVIOUS_WORD = re.compile(r"(?<![A-Za-z])([A-Za-z]{2,14})[ ]$")
_OPENING = re.compile(r"[bBrRuUfF]{0,2}(\\*)([\"'`]|%22|&quot;)")
_TO_CLOSING = {q: re.compile(rf"(?:[^\\{q}]|\\.)*+", re.DOTALL) for q in "\"'`"}
_BARE_VALUE = re.compile(r"(?:(?!%2[26]|&quot;)[^\s&,;\"'`<>|])++")
_FIRST_WORD = re.compile(r"[^\s\"'`,;&]{0,40}")
_WEAK_VALUE = re.compile(r"(?:(?!%2[26]|&quot;)[^\s&,;\"'`<>|=])++={0,2}")
_TO_BLANK = re.compile(r"\S++")
_TO_LINE_END = re.compile(r"(?:(?!\\[rn])[^\r\n])++")
_SCHEME_AND_TOKEN = re.compile(r"[A-Za-z][\w-]{2,20} [^\s,;=\"'{}]+={0,2}(?=$|[\s,;\"'}\]])")
_WORDS_ONLY = re.compile(r"[A-Za-z][A-Za-z ,-]*")
_HOLDER = re.compile(
    r"\$\{?[\w.]+\}?|<[\w -]*>|\{[\w.]*\}+|\{\{.*|%\(?\w*\)?s?|\*+|[xX]{3,}|\.{3,}|-+|…|os\.\w.*|\[\w+"
)
_NO_VALUE = words(
    "none null nil true false missing required invalid not is was ok fail failed set unset empty "
    "redacted hidden masked expired wrong incorrect too must cannot undefined optional string str "
    "bytes int text unknown disabled enabled valid rejected accepted absent present configured "
    "denied mismatch yes no on off n/a na the a an for from in and or does has should may will "
    "error bad malformed never only unchanged changed rotated updated loaded found verified "
    "checked ignored stored read mandatory forbidden unauthorized authorized tbd todo"
)

_FLAG = re.compile(
    r"(?<![\w-])(--?[A-Za-z][\w-]{0,60}+)[\"']?,?[ \t]{1,4}"
    r"(?!-)(?:\"([^\"\n]*)\"|'([^'\n]*)'|([^\s\"',]+))"
)
_SHORT_PASSWORD = re.compile(r"(?=[^\s]*[A-Za-z])(?=[^\s]*[\d!@#$%^&*])[^\s/.:=,]{6,128}")
_QUOTED_PAIR = re.compile(r"[(\[]\s*b?([\"'])([^\"'\s]{1,60})\1\s*,\s*b?([\"'])((?:(?!\3)[^\\]|\\.)*+)\3")
_NAME_AND_VALUE = re.compile(
    r"[\"']?\b(?:name|key|header|field|param)[\"']?\s{0,4}[:=]\s{0,4}([\"'])([\w. -]{1,60})\1\s{0,4},?"
    r"\s{0,4}[\"']?(?:value|val|content)[\"']?\s{0,4}[:=]\s{0,4}([\"'])((?:(?!\3)[^\\]|\\.)*+)\3",
    re.IGNORECASE,
)
_ELEMENT = re.compile(r"<([\w:.-]{1,60}+)(?:\s[^<>]{0,200}+)?>([^<>]{1,4000}+)(?=</)")
_SPOKEN = re.compile(
    r"(?<![\w.-])((?:(?:api|secret|private|access|signing|auth|bearer|session|refresh|listen)[ _-]?)?"
    r"(?:key|token|secret|password|passwd|passphrase|passcode|pwd|otp|signature|credentials?))"
    r"[ \t]{1,4}(?:(?:is|was|set|to|equals|value|of|has|now|being)[:=]?[ \t]{1,4}){0,3}"
    r"[\"'`(<\[]?([^\s\"'`,;<>()\[\]]{6,})",
    re.IGNORECASE,
)
_ALGORITHM = re.compile(
    r"(?:hmac|sha|md|ed|rsa|hs|rs|es|secp|aes|ecdsa|bcrypt|argon|v)[\w.-]{0,14}", re.IGNORECASE
)
_CHOICE = re.compile(r"(?=.*[A-Za-z])(?=.*[\d!@#$%^&*+/=])")
_STOP = words(
    "the and for with per from that this not was were has have had been into then are but its our "
    "your they them than when which who will would should could does did only each any all also "
    "between because after before where while there these those during under "
    "seed phrase mnemonic words recovery backup"
)
_INTRODUCED = re.compile(r"(?:mnemonic|seed|phrase|words|recovery|backup|wallet)", re.IGNORECASE)
_SEED_RUN = re.compile(
    rf"(?<![A-Za-z])(?:(?!(?:{'|'.join(sorted(_STOP))})\b)[a-z]{{3,8}}+(?:[\s,;.)-]|\d){{1,7}}+){{11,23}}"
    rf"(?!(?:{'|'.join(sorted(_STOP))})\b)[a-z]{{3,8}}(?![a-z])"
)
_FIX_SECRET = re.compile(r"((?:^|[\x01|^; ])(?:554|925|1402|96)=)(?!\*\*\*)([^\x01|^;]+)")
_BASIC_AUTH_FLAG = re.compile(r"(?<![\w-])(-u|--user|--proxy-user)([ =]?[\"']?)([^\s\"':]+:[^\s\"']+)")


def has_hint(text: str) -> bool:
    """Tell whether a text may name a secret; cheap, and wrong only on the safe side."""
    if not text.isascii():
        return True
    lowered = text.lower()
    return any(hint in lowered for hint in _HINTS)


def _name_class(text: str, start: int, name: str) -> KeyClass:
    """Class of a name in text, read together with the word before it ("API key")."""
    if not has_hint(name):
        return KeyClass.PLAIN
    kind = key_class(name)
    if kind is KeyClass.PLAIN and name.lower() not in ("code", "codes"):
        return kind
    if name.isalpha() and start >= 3:
        before = _PREVIOUS_WORD.search(text, max(0, start - 16), start)
        if before is not None:
            joint = key_class(f"{before[1]} {name}")
            return joint if kind is not KeyClass.STRONG else kind
    return kind


def _closing_bracket(text: str, start: int) -> int:
    """Index after the bracket that closes the one at `start`, or of the line's end."""
    depth = 0
    for i in range(start, min(len(text), start + 20_000)):
        if text[i] in "([{":
            depth += 1
        elif text[i] in ")]}":
            depth -= 1
            if depth == 0:
                return i + 1
    return len(text)


def _value_span(text: str, pos: int, kind: KeyClass, name: str, quoted: str) -> tuple[int, int]:
    """Start and end of the value that begins at `pos`."""
    opening = _OPENING.match(text, pos)
    if opening is not None:
        start = opening.end()
        if opening[1] or len(opening[2]) > 1:
            end = text.find(opening[1] + opening[2], start)
        else:
            closing = _TO_CLOSING[opening[2]].match(text, start)
            end = closing.end() if closing is not None else -1
        return start, len(text) if end < 0 else end
    if text[pos : pos + 1] in tuple("([{") and kind >= KeyClass.HEADER:
        return pos, _closing_bracket(text, pos)
    lengthy = kind is KeyClass.PHRASE or name.lower().endswith(("phrase", "words"))
    if kind is KeyClass.HEADER or lengthy:
        if quoted:
            closing = _TO_CLOSING[quoted].match(text, pos)
            return pos, closing.end() if closing is not None else len(text)
        match = _SCHEME_AND_TOKEN.match(text, pos) if kind is KeyClass.HEADER else None
        if lengthy and kind is not KeyClass.HEADER:
            match = _WORDS_ONLY.match(text, pos)
        match = match or (_TO_LINE_END.match(text, pos) if kind is KeyClass.HEADER else None)
        if match is not None:
            return pos, max(match.end(), _bare_end(text, pos))
    if pos >= 2 and text[pos - 1] == "=" and name.isupper() and kind is KeyClass.STRONG:
        # An environment assignment: the shell ends it at a blank.
        match = _TO_BLANK.match(text, pos)
        if match is not None and "&" not in match[0]:
            return pos, match.end()
    if kind >= KeyClass.SIGNATURE:
        return pos, _bare_end(text, pos)
    return pos, _bare_end(text, pos, _WEAK_VALUE)


def _bare_end(text: str, pos: int, pattern: re.Pattern[str] = _BARE_VALUE) -> int:
    match = pattern.match(text, pos)
    if match is None:
        return pos
    return pos + len(match[0].rstrip(".)]}"))


def _hide_named(text: str) -> str:
    pieces: list[str] = []
    done = pos = 0
    while (found := _NAMED.search(text, pos)) is not None:
        pos = found.end()
        name = found[1]
        if name.isdigit():
            continue
        kind = _name_class(text, found.start(), name)
        if kind <= KeyClass.USER:
            continue
        before = text[found.start() - 1 : found.start()]
        quoted = before if before in tuple("\"'`") and found[2][:1] != before else ""
        if _says_nothing(_FIRST_WORD.match(text, pos)[0]):  # type: ignore[index]  # may be empty
            continue
        start, end = _value_span(text, pos, kind, name, quoted)
        value = text[start:end]
        in_query = before in ("?", "&") and looks_secret(value, 8)
        if start == end or not (in_query or must_hide(kind, value)) or _says_nothing(value):
            continue
        pieces += [text[done:start], MARKER]
        done = pos = end
    return "".join(pieces) + text[done:] if pieces else text


def _says_nothing(value: str) -> bool:
    """Tell whether a value in prose is a placeholder or the start of a sentence."""
    if value == MARKER or (len(value) <= 200 and _HOLDER.fullmatch(value)):
        return True
    return value.split(" ", 1)[0].rstrip(".,:;!?").lower() in _NO_VALUE


def _hide_group(
    pattern: re.Pattern[str], text: str, value_group: int, hide: Callable[[re.Match[str]], bool]
) -> str:
    """Replace one group of each match that `hide` chooses."""

    def replace(match: re.Match[str]) -> str:
        if not match[value_group] or match[value_group] == MARKER or not hide(match):
            return match[0]
        start, end = match.span(value_group)
        return match[0][: start - match.start()] + MARKER + match[0][end - match.start() :]

    return pattern.sub(replace, text)


def hides_flag_value(flag: str, value: str) -> bool:
    """Tell whether the word after a command-line flag is a secret.

    >>> hides_flag_value("--api-key", "abc"), hides_flag_value("-p", "8080")
    (True, False)
    """
    if value == MARKER:
        return False
    if flag == "-p":
        return _SHORT_PASSWORD.fullmatch(value) is not None
    if len(flag) == 2:
        return flag[1] in "PkKstTwS" and looks_secret(value)
    return must_hide(key_class(flag), value) and not _says_nothing(value)


def _hide_flags(text: str) -> str:
    def replace(match: re.Match[str]) -> str:
        group = match.lastindex or 0
        if not hides_flag_value(match[1], match[group]):
            return match[0]
        start, end = match.span(group)
        return match[0][: start - match.start()] + MARKER + match[0][end - match.start() :]

    return _FLAG.sub(replace, text)


def _is_named(match: re.Match[str]) -> bool:
    return must_hide(key_class(match[2]), match[4]) and key_class(match[4]) is KeyClass.PLAIN


def _is_spoken(match: re.Match[str]) -> bool:
    kind, value = key_class(match[1]), match[2].rstrip(".:!?")
    if kind < KeyClass.SIGNATURE:
        return must_hide(kind, value)
    return _CHOICE.match(value[:200]) is not None and not _ALGORITHM.fullmatch(value)


def _hide_seed_words(text: str) -> str:
    def replace(match: re.Match[str]) -> str:
        near = text[max(0, match.start() - 60) : match.start()]
        return MARKER if _INTRODUCED.search(near) else match[0]

    return _SEED_RUN.sub(replace, text)


def _scrub(text: str) -> str:
    lowered = text.lower()
    if not has_hint(lowered):
        return _FIX_SECRET.sub(r"\1" + MARKER, text) if "8=FIX" in text else text
    if "8=FIX" in text:
        text = _FIX_SECRET.sub(r"\1" + MARKER, text)
    if "," in text:
        text = _hide_group(_QUOTED_PAIR, text, 4, _is_named)
    if "val" in lowered or "content" in lowered:
        text = _hide_group(_NAME_AND_VALUE, text, 4, lambda m: must_hide(key_class(m[2]), m[4]))
    if "</" in text:
        text = _hide_group(_ELEMENT, text, 2, lambda m: must_hide(key_class(m[1]), m[2]))
    text = _hide_named(text)
    if "-" in text:
        text = _BASIC_AUTH_FLAG.sub(rf"\1\2{MARKER}", text) if "-u" in text else text
        text = _hide_flags(text)
    if " " in text:
        text = _hide_group(_SPOKEN, text, 2, _is_spoken)
        if len(text) >= 47 and _INTRODUCED.search(lowered):
            text = _hide_seed_words(text)
    return text


def hide_in_text(text: str, expect_random: bool = False) -> str:
    """Hide the secrets in a text, in one pass.

    Args:
        text: any text.
        expect_random: the text stands under a hash-like name, so long random text is normal.
    """
    if is_harmless(text):
        return text
    hidden = hide_formats(text, expect_random)
    if hidden is text and _ONE_WORD.fullmatch(text):
        return text
    if text.isascii():
        return _scrub(hidden)
    visible = strip_invisible(hidden)
    scrubbed = _scrub(visible)
    return hidden if scrubbed == visible else scrubbed
