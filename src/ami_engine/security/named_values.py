"""Names with values in free text: `name=value`, `"name": "value"`, `Name: value`.

The name is judged by `key_names`, the value by `value_patterns`. Every pattern is possessive
or bounded, so the time grows linearly with the text.
"""

import re

from ami_engine.security.key_names import KeyClass, key_class, words
from ami_engine.security.late_pattern import late
from ami_engine.security.value_patterns import MARKER, looks_secret, must_hide

# A text in which none of these occurs names no secret.
_HINTS = sorted(
    words(
        "key secret token pass auth sig cookie pwd cred session ses pin pw otp jwt bearer mnemonic "
        "seed phrase words recovery wallet backup private priv ticket csrf sid -p -u hmac xpr wif sec "
        "login user s3c p4s p@s t0k k3y senha contrasena parola sifre kennwort code x-app keystore cst "
        "sk= ak= pk="
    )
)
_NAMED = late(
    r"(?<![\w.-])([\w.-]{1,80}+)"
    r"((?:\\*[\"'`]|%22|&quot;)?\]?\s{0,4}+(?:=>|->|:=|={1,2}|:|%3[DdAa]|[＝：→])\s{0,4}+)"
)
_QUOTES = ('"', "'", "`")
_PATH_BEFORE = late(r"[\"'`](?:[A-Za-z]:|[.~])?[/\\](?:[\w. -]{1,80}[/\\])*$")
_PREVIOUS_WORD = late(r"(?<![A-Za-z])([A-Za-z]{2,14})[ ]$")
_OPENING = late(r"[bBrRuUfF]{0,2}(\\*)([\"'`]|%22|&quot;)")
_TO_CLOSING = {q: late(rf"(?:[^\\{q}]|\\.)*", re.DOTALL) for q in "\"'`"}
_INNER_AND = r"&(?!quot;|[\w.%\[\]-]{1,60}+=)"  # an ampersand that starts no next parameter
_BARE_VALUE = late(rf"(?:(?!%2[26])[^\s&,;\"'`<>|]|{_INNER_AND})+")
_FIRST_WORD = late(r"[^\s\"'`,;&]{0,40}")
_WEAK_VALUE = late(r"(?:(?!%2[26]|&quot;)[^\s&,;\"'`<>|=])+={0,2}")
_TO_BLANK = late(rf"(?:[^\s&]|{_INNER_AND})+")
_TO_LINE_END = late(r"(?:(?!\\[rn])[^\r\n])+")
_SCHEME_AND_TOKEN = late(r"[A-Za-z][\w-]{2,20} [^\s,;=\"'{}]+={0,2}(?=$|[\s,;}\]])")
_WORDS_ONLY = late(r"[A-Za-z][A-Za-z ,-]*")
# Placeholders, and source code as tracebacks quote it: self.secret, load_secret(...), keys[0].
_HOLDER = late(
    r"(?:self|cls|os)\.\w.*|[A-Za-z_][A-Za-z_.]*\(.*|[\s,.:;()\[\]]+|\d{1,3}|"
    r"\$\{[\w.]+\}|\$[A-Z][A-Z0-9_]{2,}|"
    r"<[\w -]*>|\{[\w.]*\}+|\{\{.*|%s|%\(\w+\)s|\*+|[xX]{3,}|\.{3,}|-+|…|\[[a-z]+"
)
_NO_VALUE = words(
    "none null nil true false missing required invalid not is was ok fail failed set unset empty "
    "redacted hidden masked expired wrong incorrect too must cannot undefined optional string str "
    "bytes int text unknown disabled enabled valid rejected accepted absent present configured "
    "denied mismatch yes no on off n/a na the a an for from in and or does has should may will "
    "error bad malformed never only unchanged changed rotated updated loaded found verified "
    "checked ignored stored read mandatory expected forbidden unauthorized authorized tbd todo"
)


def has_hint(text: str) -> bool:
    """Tell whether a text may name a secret; cheap, and wrong only on the safe side."""
    if not text.isascii():
        return True
    lowered = text.lower()
    for hint in _HINTS:  # noqa: SIM110  # a generator would double the time
        if hint in lowered:
            return True
    return False


def name_class(text: str, start: int, name: str) -> KeyClass:
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
        if match is not None:
            return pos, match.end()
    if kind >= KeyClass.SIGNATURE:
        return pos, _bare_end(text, pos)
    return pos, _bare_end(text, pos, _WEAK_VALUE)


def _bare_end(text: str, pos: int, pattern: re.Pattern[str] = _BARE_VALUE) -> int:
    match = pattern.match(text, pos)
    if match is None:
        return pos
    return pos + len(match[0].rstrip(".)]}"))


def hide_named(text: str) -> str:
    """Hide the value of each name in the text that announces a secret."""
    pieces: list[str] = []
    done = pos = 0
    while (found := _NAMED.search(text, pos)) is not None:
        pos = found.end()
        name = found[1]
        if name.isdigit():
            continue
        kind = name_class(text, found.start(), name)
        if kind <= KeyClass.USER:
            continue
        if _is_file(text, found):
            continue
        before = text[found.start() - 1 : found.start()]
        quoted = before if before in tuple("\"'`") and found[2][:1] != before else ""
        first = _FIRST_WORD.match(text, pos)
        if first is not None and len(first[0]) < 40 and (says_nothing(first[0]) or first[0] == name):
            continue
        if quoted and text[pos : pos + 1] == quoted:  # a prompt: 'Password: '
            continue
        start, end = _value_span(text, pos, kind, name, quoted)
        value = text[start:end]
        in_query = before in ("?", "&") and looks_secret(value, 12)
        if start == end or not (in_query or must_hide(kind, value)) or says_nothing(value):
            continue
        pieces += [text[done:start], MARKER]
        done = pos = end
    return "".join(pieces) + text[done:] if pieces else text


def _is_file(text: str, found: re.Match[str]) -> bool:
    """Tell whether a name is the end of a quoted path that prose tells of: "'/etc/passwd': not found"."""
    start = found.start()
    if found[2][:1] not in _QUOTES or text[found.end() : found.end() + 1] in _QUOTES:
        return False  # not quoted, or the value is: what the file holds
    if text[start - 1 : start] not in ("/", "\\"):
        return False
    return _PATH_BEFORE.search(text, max(0, start - 256), start) is not None


def says_nothing(value: str) -> bool:
    """Tell whether a value in prose is a placeholder or the start of a sentence."""
    if value == MARKER or (len(value) <= 200 and _HOLDER.fullmatch(value)):
        return True
    return value.split(" ", 1)[0].rstrip(".,:;!?)]}").lower() in _NO_VALUE
