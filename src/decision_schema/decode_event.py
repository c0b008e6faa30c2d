"""From the dict that a source yields to an `Event`: at the edge, once, and without ever raising.

What is wrong with the input becomes ``Event.bad``, with the value that was seen.
"""

import hashlib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any, get_args

from decision_schema.events import Bad, Delta, Event, Level, OrderMessage, OrderOp, Side, Trade
from decision_schema.scalars import Reject, is_whole, read_number, read_size, read_text
from decision_schema.units import NS_PER_MS, UnixNs

MAX_INPUT_ITEMS = 5_000
"""Levels, changes, order messages or trades of one event; a longer list is ``oversize_event``."""
MAX_NS = 2**63 - 1


def _time(raw: Mapping[Any, Any], stem: str) -> UnixNs | None:
    """Read ``stem_ns`` or ``stem_ms`` as nanoseconds; fractions of a nanosecond are dropped."""
    for field, scale in ((f"{stem}_ns", 1), (f"{stem}_ms", NS_PER_MS)):
        value = raw.get(field)
        if value is None:
            continue
        # Whole numbers stay exact; a float of milliseconds is good to its own precision.
        if is_whole(value):
            stamp = int(value) * scale
        else:
            number = read_number(value, field)
            stamp = int((value if isinstance(value, Decimal) else Decimal(number)) * scale)
        if not 0 <= stamp <= MAX_NS:
            raise Reject(field)
        return stamp
    return None


def _items(value: object, field: str) -> Sequence[Any]:
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise Reject(field)
    if len(value) > MAX_INPUT_ITEMS:
        raise Reject(field, "oversize_event")
    return value


def _levels(value: object, field: str) -> tuple[Level, ...]:
    levels: list[Level] = []
    for item in _items(value, field):
        if not isinstance(item, Sequence) or isinstance(item, str | bytes) or len(item) != 2:
            raise Reject(field)
        levels.append((read_number(item[0], field), read_size(item[1], field)))
    sign = 1.0 if field == "asks" else -1.0
    if any(sign * (after[0] - before[0]) <= 0.0 for before, after in pairwise(levels)):
        raise Reject(field)
    return tuple(levels)


_SIDES: dict[object, Side | None] = {
    "buy": "buy",
    "BUY": "buy",
    "sell": "sell",
    "SELL": "sell",
    None: None,
    "": None,
    "unknown": None,
}


_BOOK_SIDES: dict[object, Side] = {"buy": "buy", "sell": "sell", "bid": "buy", "ask": "sell"}


def _deltas(value: object) -> tuple[Delta, ...]:
    deltas: list[Delta] = []
    for item in _items(value, "deltas"):
        if not isinstance(item, Sequence) or isinstance(item, str | bytes) or len(item) != 3:
            raise Reject("deltas")
        side = _BOOK_SIDES.get(item[0]) if isinstance(item[0], str) else None
        if side is None:
            raise Reject("deltas")
        deltas.append((side, read_number(item[1], "deltas"), read_size(item[2], "deltas")))
    return tuple(deltas)


_OPS = frozenset(get_args(OrderOp))


def _order_messages(value: object) -> tuple[OrderMessage, ...]:
    field = "order_messages"
    messages: list[OrderMessage] = []
    for item in _items(value, field):
        op = item.get("op") if isinstance(item, Mapping) else None
        if not isinstance(op, str) or op not in _OPS:
            raise Reject(field)
        side, price, size = (item.get(name) for name in ("side", "price", "size"))
        if side is not None and (not isinstance(side, str) or side not in _BOOK_SIDES):
            raise Reject(field)
        if (op == "add" and (side is None or price is None)) or (
            op in ("add", "reduce", "execute") and size is None
        ):
            raise Reject(field)
        messages.append(
            OrderMessage(
                op=op,  # type: ignore[arg-type]
                order_id=0 if op == "clear" else _order_number(item.get("order_id")),
                side=None if side is None else _BOOK_SIDES[side],
                price=None if price is None else read_number(price, field),
                size=None if size is None else read_size(size, field),
            )
        )
    return tuple(messages)


def _order_number(order_id: Any) -> int:
    """Read a venue's number of an order; a text becomes 63 bits of its digest."""
    if isinstance(order_id, str) and order_id:
        digest = hashlib.blake2b(read_text(order_id, "order_messages").encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") & MAX_NS
    return _count(order_id, "order_messages")


def _trades(value: object) -> tuple[Trade, ...]:
    trades: list[Trade] = []
    for item in _items(value, "trades"):
        if not isinstance(item, Mapping):
            raise Reject("trades")
        side = item.get("aggressor_side")
        if not isinstance(side, str | None) or side not in _SIDES:
            raise Reject("trades")
        stamp = item.get("ts_ns", item.get("ts"))
        if stamp is not None:
            stamp = _count(stamp, "trades")
        size = read_size(item.get("size"), "trades")
        if size == 0.0:
            raise Reject("trades")
        trades.append(Trade(read_number(item.get("price"), "trades"), size, _SIDES[side], stamp))
    return tuple(trades)


def _count(value: Any, field: str) -> int:
    if not is_whole(value) or not 0 <= value <= MAX_NS:
        raise Reject(field)
    return int(value)


def _optional(raw: Mapping[Any, Any], parts: dict[str, Any], field: str, read: Any) -> None:
    if field in raw:
        value = raw[field]
        parts[field] = None if value is None else read(value, field)


_HEAD = ("kind", "market_id", "channel", "ts_ms", "ts_ns", "received_ms", "received_ns")
_NUMBERS = ("seq", "prev_seq", "book_seq")
_SIZES = ("bid_size", "ask_size", "bid_depth", "ask_depth", "depth")
_LISTS = ("bids", "asks", "deltas", "order_messages", "trades")
_OTHER = ("bid", "ask", "mid", "funding", "settlement", "status", "instrument")
_KNOWN = frozenset((*_HEAD, *_NUMBERS, *_SIZES, *_LISTS, *_OTHER))


_TEXT, _WHOLE, _MILLIS, _NUMBER, _SIZE, _PRINTS, _SIDE = range(7)
_PLAIN: dict[object, int] = {
    **dict.fromkeys(("market_id", "channel"), _TEXT),
    **dict.fromkeys(("ts_ns", "received_ns", *_NUMBERS), _WHOLE),
    **dict.fromkeys(("ts_ms", "received_ms"), _MILLIS),
    **dict.fromkeys(("bid", "ask", "mid"), _NUMBER),
    **dict.fromkeys(_SIZES, _SIZE),
    **dict.fromkeys(("bids", "asks"), _SIDE),
    "trades": _PRINTS,
}
_INFINITY = float("inf")
_MAX_MS = MAX_NS // NS_PER_MS


def _plain_event(raw: dict[Any, Any], market_id: str) -> Event | None:
    """Decode a dict of plain quotes, levels and trades in one pass; None = all of it must be looked at.

    What it takes is decoded to the same event by the long way.
    """
    own = dict(raw)
    for key, value in raw.items():
        kind = _PLAIN.get(key)
        if kind == _NUMBER:
            if (type(value) is not float or value - value != 0.0) and value is not None:
                return None
        elif kind == _SIZE:
            if (type(value) is not float or not 0.0 <= value < _INFINITY) and value is not None:
                return None
        elif kind == _WHOLE:
            if type(value) is not int or not 0 <= value <= MAX_NS:
                return None
        elif kind == _SIDE:
            levels = _plain_levels(value, key)
            if levels is None:
                return None
            own[key] = levels
        elif kind == _TEXT:
            if type(value) is not str or not value.isascii() or not 0 < len(value) <= 128:
                return None
        elif kind == _PRINTS:
            trades = _plain_trades(value)
            if trades is None:
                return None
            own[key] = trades
        elif kind == _MILLIS:
            stem = key[:-3]
            if type(value) is not int or not 0 <= value <= _MAX_MS or f"{stem}_ns" in raw:
                return None
            del own[key]
            own[f"{stem}_ns"] = value * NS_PER_MS
        else:
            return None
    return Event(**own) if "market_id" in own else Event(market_id=market_id, **own)


def _plain_levels(value: object, field: str) -> tuple[Level, ...] | None:
    """Decode a list of plain levels."""
    if (type(value) is not list and type(value) is not tuple) or len(value) > MAX_INPUT_ITEMS:
        return None
    last = -_INFINITY
    are_tuples = True
    for item in value if field == "asks" else reversed(value):  # either way the prices rise
        if type(item) is not tuple:
            if type(item) is not list:
                return None
            are_tuples = False
        price, size = item
        if type(price) is not float or type(size) is not float or not price > last:
            return None
        if not 0.0 <= size < _INFINITY:
            return None
        last = price
    if last == _INFINITY:
        return None
    return tuple(value) if are_tuples else tuple(map(tuple, value))


def _plain_trades(value: object) -> tuple[Trade, ...] | None:
    """Decode a list of plain prints."""
    if type(value) is not list or len(value) > MAX_INPUT_ITEMS:
        return None
    trades: list[Trade] = []
    side: Side | None
    for item in value:
        if type(item) is not dict:
            return None
        price, size, side = item.get("price"), item.get("size"), item.get("aggressor_side")
        if type(price) is not float or price - price != 0.0:
            return None
        if type(size) is not float or not 0.0 < size < _INFINITY:
            return None
        if side is not None and (type(side) is not str or side not in ("buy", "sell")):
            return None
        stamp = item.get("ts_ns")
        if stamp is not None and (type(stamp) is not int or not 0 <= stamp <= MAX_NS):
            return None
        if len(item) != 2 + (side is not None) + (stamp is not None):
            return None
        trades.append(Trade(price, size, side, stamp))
    return tuple(trades)


def decode_event(raw: object, market_id: str = "", clock_offset_ns: int = 0) -> Event:
    """Decode what a source yields; never raises.

    Args:
        raw: A dict with the keys of docs/events.md. Unknown keys go to ``extra``.
        market_id: The market where the event names none.
        clock_offset_ns: The source's constant offset, added to the venue's times.

    Returns:
        The event; with ``bad`` set, and none of the parts, where a field cannot be used or the
        source says so by the key ``defect``.

    >>> decode_event({"bid": 0.49, "ask": 0.51}).bid
    0.49
    >>> decode_event({"bid": "0.49", "ask": 0.51}).bad.reason
    'invalid_input:bid'
    """
    if type(raw) is dict and clock_offset_ns == 0:
        try:
            plain = _plain_event(raw, market_id)
        except Exception:  # noqa: BLE001 - code of a foreign key failed: the long way says so
            plain = None
        if plain is not None:
            return plain
    if not isinstance(raw, Mapping):
        return Event(market_id=market_id, bad=Bad("invalid_input:event", raw))
    # The name and the times are read first and one by one: a bad price must not lose them.
    head: dict[str, Any] = {"market_id": market_id}
    try:
        if raw.get("market_id") not in (None, ""):
            head["market_id"] = read_text(raw["market_id"], "market_id")
        if raw.get("channel") is not None:
            head["channel"] = read_text(raw["channel"], "channel")
        head["received_ns"] = _time(raw, "received")
        stamp = _time(raw, "ts")
        head["ts_ns"] = None if stamp is None else min(max(0, stamp + clock_offset_ns), MAX_NS)
        for field in _NUMBERS:
            if raw.get(field) is not None:
                head[field] = _count(raw[field], field)
        if raw.get("defect"):
            return Event(**head, bad=Bad(f"defect:{read_text(raw['defect'], 'defect')}", raw))
        return Event(**head, **_parts(raw))
    except Reject as reject:
        return Event(**head, bad=Bad(reject.reason, raw))
    except Exception:  # noqa: BLE001 - code of a foreign mapping or number failed
        return Event(**head, bad=Bad("invalid_input:event", raw))


def _parts(raw: Mapping[Any, Any]) -> dict[str, Any]:
    parts: dict[str, Any] = {}
    if raw.get("instrument"):
        raise Reject("instrument", "unsupported_input")
    for field in ("bid", "ask", "mid"):
        _optional(raw, parts, field, read_number)
    for field in _SIZES:
        _optional(raw, parts, field, read_size)
    for field in ("bids", "asks"):
        if raw.get(field) is not None:
            parts[field] = _levels(raw[field], field)
    if raw.get("deltas") is not None:
        parts["deltas"] = _deltas(raw["deltas"])
    if raw.get("order_messages") is not None:
        parts["order_messages"] = _order_messages(raw["order_messages"])
    if raw.get("trades") is not None:
        parts["trades"] = _trades(raw["trades"])
    if raw.get("funding") is not None:
        funding = raw["funding"]
        rate = funding.get("rate") if isinstance(funding, Mapping) else funding
        parts["funding_rate"] = read_number(rate, "funding")
    if raw.get("settlement") is not None:
        settlement = raw["settlement"]
        price = settlement.get("price") if isinstance(settlement, Mapping) else settlement
        parts["settlement"] = read_number(price, "settlement")
    if raw.get("status") is not None:
        parts["status"] = read_text(raw["status"], "status")
    extra = {key: value for key, value in raw.items() if key not in _KNOWN}
    if extra:
        parts["extra"] = extra
    return parts
