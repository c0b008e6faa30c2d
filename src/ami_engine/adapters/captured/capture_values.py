"""Numbers of a venue's message: each is read once, and what cannot be used says which field it was."""

from collections.abc import Mapping
from typing import Any

from decision_schema.units import NS_PER_MS, Price, Size

MAX_WHOLE = 2**63 - 1
INFINITY = float("inf")
MICROSECONDS_FROM = 10**15
"""A venue's time from here on counts microseconds, below it milliseconds."""
NS_PER_US = 1_000


class Unusable(Exception):
    """A message cannot be used; its text is the code of why, with the field: ``bad_number:p``."""


def number(data: Mapping[str, Any], key: str, least: float = 0.0) -> float:
    """Read a finite number, written as text or not, that is not below `least`.

    Raises:
        Unusable: ``missing_field`` or ``bad_number``.

    >>> number({"p": "0.5"}, "p")
    0.5
    """
    value = data.get(key)
    if value is None:
        raise Unusable(f"missing_field:{key}")
    try:
        result = float(value)
    except (TypeError, ValueError, OverflowError):
        raise Unusable(f"bad_number:{key}") from None
    if not least <= result < INFINITY or value is True or value is False:
        raise Unusable(f"bad_number:{key}")
    return result


def whole(data: Mapping[str, Any], key: str) -> int:
    """Read a whole number from 0 on.

    Raises:
        Unusable: ``missing_field`` or ``bad_number``.
    """
    value = data.get(key)
    if value is None:
        raise Unusable(f"missing_field:{key}")
    if type(value) is not int or not 0 <= value <= MAX_WHOLE:
        raise Unusable(f"bad_number:{key}")
    return value


def levels(data: Mapping[str, Any], key: str, price: Any = 0, size: Any = 1) -> list[tuple[Price, Size]]:
    """Read a list of levels; `price` and `size` say where they stand in each.

    Raises:
        Unusable: ``missing_field`` or ``bad_number``; a price must be above 0, a size not below it.

    >>> levels({"b": [["0.5", "3"], ["0.4", "0"]]}, "b")
    [(0.5, 3.0), (0.4, 0.0)]
    """
    rows = data.get(key)
    if rows is None:
        raise Unusable(f"missing_field:{key}")
    if type(rows) is not list:
        raise Unusable(f"bad_number:{key}")
    try:
        read = [(float(row[price]), float(row[size])) for row in rows]
    except (TypeError, ValueError, LookupError, OverflowError):
        raise Unusable(f"bad_number:{key}") from None
    for at, amount in read:
        if not (0.0 < at < INFINITY and 0.0 <= amount < INFINITY):
            raise Unusable(f"bad_number:{key}")
    return read


def best_first(shown: list[tuple[Price, Size]], *, highest: bool) -> list[tuple[Price, Size]]:
    """Put the levels of one side of a snapshot in order; those without size are left out.

    >>> best_first([(0.4, 9.0), (0.5, 3.0), (0.3, 0.0)], highest=True)
    [(0.5, 3.0), (0.4, 9.0)]
    """
    return sorted([level for level in shown if level[1] > 0.0], reverse=highest)


def venue_time(data: Mapping[str, Any], key: str) -> dict[str, int]:
    """Read a venue's time as the keys of an event; nothing where the message carries none.

    Raises:
        Unusable: ``bad_number``.

    >>> venue_time({"E": 1723161255208}, "E"), venue_time({"E": 1723161255208123}, "E")
    ({'ts_ms': 1723161255208}, {'ts_ns': 1723161255208123000})
    """
    read = trade_time(data, key)
    return {"ts_ms": data[key]} if read and data[key] < MICROSECONDS_FROM else read


def trade_time(data: Mapping[str, Any], key: str) -> dict[str, int]:
    """Read the venue's time of one trade as the key ``ts_ns``; nothing where it carries none.

    Raises:
        Unusable: ``bad_number``.
    """
    if data.get(key) is None:
        return {}
    stamp = whole(data, key)
    stamp *= NS_PER_US if stamp >= MICROSECONDS_FROM else NS_PER_MS
    if stamp > MAX_WHOLE:
        raise Unusable(f"bad_number:{key}")
    return {"ts_ns": stamp}
