"""Secrets in free text: log lines, messages, URLs, headers, command lines, reprs."""

import re
from collections.abc import Callable

from ami_engine.security.key_names import KeyClass, key_class, strip_invisible, words
from ami_engine.security.late_pattern import late
from ami_engine.security.named_values import has_hint, hide_named, name_class, says_nothing
from ami_engine.security.value_patterns import MARKER, hide_formats, looks_secret, must_hide

# Symbols and words; numbers and times; hashes, uuids and addresses; order ids.
_HARMLESS = late(
    r"[\w.+/-]{0,15}|[-\d\s:.,+/TZ]*|(?:0x)?[0-9a-f-]*|0x[0-9A-Fa-f]*|(?!AKIA|ASIA)[A-Z0-9]{0,40}"
)
is_harmless = _HARMLESS.fullmatch
_ONE_WORD = late(r"[\w.+/-]*")

_FLAG = late(
    r"(?<![\w-])(--?[A-Za-z][\w-]{0,60}+)[\"']?,?[ \t]{1,4}"
    r"(?!--|-[A-Za-z](?:[\s=]|$))(?:\"([^\"\n]*)\"|'([^'\n]*)'|([^\s\"',]+))"
)
_SHORT_PASSWORD = late(r"(?=[^\s]*[A-Za-z])(?=[^\s]*[\d!@#$%^&*])[^\s/.:=,]{6,128}")
_QUOTED_PAIR = late(r"[(\[]\s*b?([\"'])([^\"'\s]{1,60})\1\s*,\s*b?([\"'])((?:(?!\3)[^\\]|\\.)*)\3")
_NAME_AND_VALUE = late(
    r"[\"']?\b(?:name|key|header|field|param)[\"']?\s{0,4}[:=]\s{0,4}([\"'])([\w. -]{1,60})\1\s{0,4},?"
    r"\s{0,4}[\"']?(?:value|val|content)[\"']?\s{0,4}[:=]\s{0,4}([\"'])((?:(?!\3)[^\\]|\\.)*)\3",
    re.IGNORECASE,
)
_ELEMENT = late(r"<([\w:.-]{1,60}+)(?:\s[^<>]{0,200}+)?>([^<>]{1,4000}+)(?=</)")
_SPOKEN = late(
    r"(?<![\w.-])((?:[A-Za-z0-9]{1,12}[_-]){0,3}"
    r"(?:(?:api|secret|private|access|signing|auth|bearer|session|refresh|listen)[ _-]?)?"
    r"(?:key|token|secret|password|passwd|passphrase|passcode|pwd|otp|signature|credentials?))"
    r"[ \t]{1,4}(?:(?:is|was|set|to|equals|value|of|has|now|being)[:=]?[ \t]{1,4}){0,3}"
    r"[\"'`(<\[]?([^\s\"'`,;<>()\[\]]{6,})",
    re.IGNORECASE,
)
_ALGORITHM = late(r"(?:hmac|sha|md|ed|rsa|hs|rs|es|secp|aes|ecdsa|bcrypt|argon|v)[\w.-]{0,14}", re.IGNORECASE)
_CHOICE = late(r"(?=.*[A-Za-z])(?=.*[\d!@#$%^&*+=])")
_STOP = words(
    "the and for with per from that this not was were has have had been into then are but its our "
    "your they them than when which who will would should could does did only each any all also "
    "between because after before where while there these those during under "
    "seed phrase mnemonic words recovery backup"
)
_INTRODUCED = late(r"(?:mnemonic|seed|phrase|words|recovery|backup|wallet)", re.IGNORECASE)
_SEED_RUN = late(
    rf"(?<![A-Za-z])(?:(?!(?:{'|'.join(sorted(_STOP))})\b)[a-z]{{3,8}}+[\s,;.)\d-]{{1,7}}+){{11,23}}"
    rf"(?!(?:{'|'.join(sorted(_STOP))})\b)[a-z]{{3,8}}(?![a-z])"
)
_FIX_SECRET = late(r"((?:^|[\x01|^; ])(?:554|925|1402|96)=)(?!\*\*\*)([^\x01|^;]+)")
_BASIC_AUTH_FLAG = late(r"(?<![\w-])(-u|--user|--proxy-user)([ =]?[\"']?)([^\s\"':]+:[^\s\"']+)")
_PROGRAM_FLAG = late(
    r"\b(?:mysql\w*|mariadb|sshpass|login|redis-cli)\b[^\n]{0,200}?\s(?:-p ?|-a )"
    r"[\"']?([^\s\"'-][^\s\"']{3,})"
)
_NETRC = late(r"\blogin\s{1,4}\S{1,100}\s{1,4}password\s{1,4}(\S{3,})")
_FORM_FIELD = late(r"name=\"([^\"\n]{1,60})\"[^\n]{0,200}\n(?:[^\r\n]{1,200}\n)?\r?\n([^\r\n]{1,8000})")


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
    return must_hide(key_class(flag), value) and not says_nothing(value)


def _hide_flags(text: str) -> str:
    def replace(match: re.Match[str]) -> str:
        group = match.lastindex or 0
        if not hides_flag_value(match[1], match[group]):
            return match[0]
        start, end = match.span(group)
        return match[0][: start - match.start()] + MARKER + match[0][end - match.start() :]

    return _FLAG.sub(replace, text)


def _is_named(match: re.Match[str]) -> bool:
    after = match.string[match.end() : match.end() + 8].lstrip()[:1]
    is_pair = after in (")", "]") and key_class(match[4]) is KeyClass.PLAIN
    return must_hide(key_class(match[2]), match[4]) and (is_pair or looks_secret(match[4], 8))


def _is_spoken(match: re.Match[str]) -> bool:
    kind = name_class(match.string, match.start(), match[1])
    value = match[2].rstrip(".:!?")
    if kind is KeyClass.TOKEN:
        kind = KeyClass.ASSET  # prose on tokens
    if kind < KeyClass.SIGNATURE:
        return must_hide(kind, value)
    mixed = _CHOICE.match(value[:200]) is not None or looks_secret(value)
    return mixed and not _ALGORITHM.fullmatch(value)


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
    text = hide_named(text)
    if "-" in text:
        text = _BASIC_AUTH_FLAG.sub(rf"\1\2{MARKER}", text) if "-u" in text else text
        text = _hide_group(_PROGRAM_FLAG, text, 1, lambda _: True)
        text = _hide_flags(text)
    if "name=" in lowered and "\n" in text:
        text = _hide_group(_FORM_FIELD, text, 2, lambda m: must_hide(key_class(m[1]), m[2]))
    if " " in text:
        text = _hide_group(_NETRC, text, 1, lambda _: True)
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
