"""Names and values side by side in a list: header pairs, raw headers, argument lists."""

import re
from functools import lru_cache
from typing import Any

from ami_engine.security.free_text import hides_flag_value
from ami_engine.security.key_names import KeyClass, key_class
from ami_engine.security.named_values import has_hint
from ami_engine.security.value_patterns import MARKER, looks_secret, must_hide

_NAME_LIKE = re.compile(r"-{0,2}[^\W\d][\w .\u200b-\u200f-]{0,60}")
_FLAG_START = re.compile(r"--|-[A-Za-z]?(?:=|$)")
_may_name = lru_cache(4096)(has_hint)  # short names only


def hide_neighbours(items: list[Any]) -> list[str]:
    """Hide, in place, each text whose left neighbour names a secret; return what was hidden.

    >>> row = ["X-MBX-APIKEY", "abc"]
    >>> hide_neighbours(row), row
    (['abc'], ['X-MBX-APIKEY', '***REDACTED***'])
    """
    hidden = []
    for i in range(len(items) - 1):
        name = _as_text(items[i])
        if not name or not _NAME_LIKE.fullmatch(name):
            continue
        item = _as_text(items[i + 1])
        if not item or item == MARKER:
            continue
        if name.startswith("-"):
            hide = not _FLAG_START.match(item) and hides_flag_value(name, item)
        else:
            hide = _may_name(name) and _is_pair(name, item, alone=len(items) == 2)
        if hide:
            hidden.append(item)
            items[i + 1] = MARKER
    return hidden


def _is_pair(name: str, item: str, alone: bool) -> bool:
    kind = key_class(name)
    if kind is KeyClass.TOKEN and not alone:
        kind = KeyClass.ASSET  # a column of a table
    if kind < KeyClass.SIGNATURE or not must_hide(kind, item):
        return must_hide(kind, item)
    if looks_secret(item, 8) or (kind is KeyClass.HEADER and (" " in item or "=" in item)):
        return True
    # ["api_key", "secret"] lists names; a longer list may name columns.
    return (alone and key_class(item) <= KeyClass.USER) or (" " in item and not has_hint(item[:64]))


def _as_text(value: Any) -> str | None:
    if type(value) is bytes and len(value) <= 4096:
        return value.decode("utf-8", "surrogateescape")
    return value if type(value) is str else None
