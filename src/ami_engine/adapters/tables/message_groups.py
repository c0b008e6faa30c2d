"""Rows of one level each put together to the messages that the venue sent."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from decision_schema.decode_event import MAX_INPUT_ITEMS
from decision_schema.events import Delta, Level

Event = Mapping[str, Any]
_KEY = ("received_ns", "ts_ns", "is_snapshot", "market_id")


def message_groups(rows: Iterable[Event | None]) -> Iterator[Event]:
    """Yield an event for each run of rows with the same times, market and ``is_snapshot``.

    Other events, such as those that hold, come before the message in whose midst they stand.

    >>> row = {"ts_ns": 1, "is_snapshot": False}
    >>> rows = [{**row, "deltas": [("buy", 0.49, 5.0)]}, {**row, "deltas": [("sell", 0.51, 0.0)]}]
    >>> list(message_groups(rows))
    [{'ts_ns': 1, 'deltas': [('buy', 0.49, 5.0), ('sell', 0.51, 0.0)]}]
    """
    group: dict[str, Any] | None = None
    key: tuple[Any, ...] = ()
    for row in rows:
        if row is None:
            continue
        if "is_snapshot" not in row:
            yield row
            continue
        own = tuple(row.get(name) for name in _KEY)
        deltas: list[Delta] | None = None if group is None else group["deltas"]
        # A message of changes may be cut in two, so that the memory it takes has a bound.
        if group is None or deltas is None or own != key or (not own[2] and len(deltas) >= MAX_INPUT_ITEMS):
            if group is not None:
                yield _message(group)
            group, key = {**row, "deltas": list(row["deltas"])}, own
            continue
        deltas += row["deltas"]
        if "seq" in row:
            group["seq"] = row["seq"]
    if group is not None:
        yield _message(group)


def _message(group: dict[str, Any]) -> Event:
    """Turn a group into changes of levels, or into a snapshot with both sides best first."""
    if not group.pop("is_snapshot"):
        return group
    deltas: list[Delta] = group.pop("deltas")
    group["bids"] = _side(deltas, "buy")
    group["asks"] = _side(deltas, "sell")
    return group


def _side(deltas: list[Delta], side: str) -> list[Level]:
    """Order one side; of a price that comes twice the later size counts, and the deepest are cut."""
    sizes = {price: size for of, price, size in deltas if of == side}
    levels = [(price, size) for price, size in sizes.items() if size > 0.0]
    return sorted(levels, reverse=side == "buy")[:MAX_INPUT_ITEMS]
