"""What happens outside a step, as typed values: market events, orders, reports, ledger entries.

A source yields dicts; `decode_event` turns one into an `Event` at the edge, once. It never
raises: what is wrong with the input becomes ``Event.bad``, with the value that was seen.
"""

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from numbers import Integral, Real
from typing import Any, Literal, TypeAlias, cast

import msgspec

from decision_schema.errors import ContractError
from decision_schema.units import NS_PER_MS, Lots, Notional, Price, Size, UnixNs

Side: TypeAlias = Literal["buy", "sell"]
TimeInForce: TypeAlias = Literal["GTC", "IOC", "FOK"]
Level: TypeAlias = tuple[Price, Size]

MAX_LEVELS = 20
"""Levels a side that the market state keeps, best first."""
MAX_INPUT_ITEMS = 5_000
"""Levels or trades of one event; a longer list is ``oversize_event``."""
MAX_NS = 2**63 - 1
UNSET = msgspec.UNSET
"""An absent part of an event (None means: carried, and empty)."""


class Trade(msgspec.Struct, frozen=True, omit_defaults=True):
    """One public print.

    Args:
        price: Traded price.
        size: Traded size.
        aggressor_side: Who took liquidity; None = not said (then judged against the mid).
        ts_ns: Venue time; None = that of the event.
    """

    price: Price
    size: Size
    aggressor_side: Side | None = None
    ts_ns: UnixNs | None = None


class Bad(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was wrong with an input.

    Args:
        reason: Reason code, with its subject: ``invalid_input:bid``.
        raw: What was seen, made storable; None where the event itself shows it.
    """

    reason: str
    raw: Any = None


class Event(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One message of the venue, or a timer, or a command, decoded.

    An absent part (`msgspec.UNSET`) leaves the market state as it is; None says that the side
    is empty. ``bids`` and ``asks`` are (price, size), best first, and win over the scalars.
    """

    kind: Literal["market", "timer", "command"] = "market"
    market_id: str = ""
    channel: str = ""
    ts_ns: UnixNs | None = None
    received_ns: UnixNs | None = None
    seq: int | None = None
    bid: Price | None | msgspec.UnsetType = UNSET
    ask: Price | None | msgspec.UnsetType = UNSET
    mid: Price | None | msgspec.UnsetType = UNSET
    bid_depth: Size | None | msgspec.UnsetType = UNSET
    ask_depth: Size | None | msgspec.UnsetType = UNSET
    depth: Size | None | msgspec.UnsetType = UNSET
    bids: tuple[Level, ...] | msgspec.UnsetType = UNSET
    asks: tuple[Level, ...] | msgspec.UnsetType = UNSET
    trades: tuple[Trade, ...] = ()
    funding_rate: float | None = None
    settlement: Price | None = None
    status: str | None = None
    extra: dict[str, Any] = msgspec.field(default_factory=dict)
    bad: Bad | None = None

    @property
    def has_book(self) -> bool:
        """Whether the event carries any part of the book."""
        return any(
            part is not UNSET
            for part in (self.bid, self.ask, self.mid, self.bids, self.asks, self.depth, self.bid_depth, self.ask_depth)
        )


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a broker is asked to place.

    Args:
        client_order_id: 26 characters, one for ever; the venue's name for it may differ.
        price: Limit; None = take at any price.
        level: The model's own level on that side, 0 first.
        action: ``ACT`` or ``EXIT``.
        params: The proposal's other params, for the broker.
    """

    client_order_id: str
    market_id: str
    side: Side
    price: Price | None
    size: Size
    time_in_force: TimeInForce = "GTC"
    post_only: bool = False
    reduce_only: bool = False
    level: int = 0
    action: str = "ACT"
    params: dict[str, Any] = msgspec.field(default_factory=dict)


OrderStatus: TypeAlias = Literal["live", "filled", "canceled", "rejected", "expired", "unknown", "not_found"]


class OrderUpdate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="order"):
    """What a broker says of one order.

    Args:
        status: ``unknown`` = no evidence; ``not_found`` = the venue does not know the id.
        filled_size: Filled so far, where the broker says so.
        avg_price: Average price of what is filled so far.
        reason: Free text or code of the venue.
    """

    client_order_id: str
    status: OrderStatus
    filled_size: Size | None = None
    avg_price: Price | None = None
    reason: str = ""
    ts_ns: UnixNs | None = None


class Fill(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="fill"):
    """An execution of ours: a ledger entry.

    Args:
        fill_id: The venue's id of this execution; a repeated one changes nothing.
        fee: In account currency, positive = paid.
        liquidity_side: Whether our order rested (``maker``) or took (``taker``).
    """

    fill_id: str
    client_order_id: str
    market_id: str
    side: Side
    price: Price
    size: Size
    fee: Notional = 0.0
    liquidity_side: Literal["maker", "taker", ""] = ""
    ts_ns: UnixNs | None = None


class Funding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="funding"):
    """A payment for holding a position: a ledger entry; positive = received."""

    entry_id: str
    market_id: str
    amount: Notional


class Settlement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="settlement"):
    """The end of a market at a price (binary: 0 or 1): a ledger entry that closes the position."""

    entry_id: str
    market_id: str
    price: Price


class Transfer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="transfer"):
    """Money paid in (positive) or out: a ledger entry that is no profit."""

    entry_id: str
    amount: Notional


class Correction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="correction"):
    """A repair by the venue or an operator: a ledger entry, with its reason.

    Args:
        lots: Change of the position, in lots, at `price`.
        amount: Change of cash beside it.
    """

    entry_id: str
    market_id: str
    reason: str
    lots: Lots = 0
    price: Price = 0.0
    amount: Notional = 0.0


class BrokerNote(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="note"):
    """A broker call that failed or answered what cannot be read.

    Args:
        call: Method that was called.
        error: Kind of the failure; the exception's text never stands here unredacted.
    """

    call: str
    error: str
    client_order_id: str = ""


LedgerEntry: TypeAlias = Fill | Funding | Settlement | Transfer | Correction
Report: TypeAlias = OrderUpdate | Fill | Funding | Settlement | Transfer | Correction | BrokerNote


class _Reject(Exception):
    """Carries what is wrong with a field out of the decoder."""

    def __init__(self, field: str, code: str = "invalid_input") -> None:
        self.reason = f"{code}:{field}" if field else code


def _number(value: object, field: str) -> float:
    if type(value) is not float:
        if isinstance(value, bool) or not isinstance(value, Real | Decimal):
            raise _Reject(field)
        try:
            value = float(value)
        except (OverflowError, ValueError):  # beyond a float; a signalling NaN
            raise _Reject(field) from None
    if not math.isfinite(value):
        raise _Reject(field)
    return value


def _is_whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _size(value: object, field: str) -> float:
    number = _number(value, field)
    if number < 0.0:
        raise _Reject(field)
    return number


def _time(raw: Mapping[Any, Any], stem: str) -> UnixNs | None:
    """Read ``stem_ns`` or ``stem_ms`` as nanoseconds; fractions of a nanosecond are dropped."""
    for field, scale in ((f"{stem}_ns", 1), (f"{stem}_ms", NS_PER_MS)):
        value = raw.get(field)
        if value is None:
            continue
        # Whole numbers stay exact; a float of milliseconds is good to its own precision.
        if _is_whole(value):
            stamp = int(value) * scale
        else:
            number = _number(value, field)
            stamp = int((value if isinstance(value, Decimal) else Decimal(number)) * scale)
        if not 0 <= stamp <= MAX_NS:
            raise _Reject(field)
        return stamp
    return None


def _levels(value: object, field: str) -> tuple[Level, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise _Reject(field)
    if len(value) > MAX_INPUT_ITEMS:
        raise _Reject(field, "oversize_event")
    levels: list[Level] = []
    for item in value:
        if not isinstance(item, Sequence) or isinstance(item, str | bytes) or len(item) != 2:
            raise _Reject(field)
        levels.append((_number(item[0], field), _size(item[1], field)))
    sign = 1.0 if field == "asks" else -1.0
    if any(sign * (after[0] - before[0]) <= 0.0 for before, after in zip(levels, levels[1:], strict=False)):
        raise _Reject(field)
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


def _trades(value: object) -> tuple[Trade, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise _Reject("trades")
    if len(value) > MAX_INPUT_ITEMS:
        raise _Reject("trades", "oversize_event")
    trades: list[Trade] = []
    for item in value:
        if not isinstance(item, Mapping):
            raise _Reject("trades")
        side = item.get("aggressor_side")
        if not isinstance(side, str | None) or side not in _SIDES:
            raise _Reject("trades")
        stamp = item.get("ts_ns", item.get("ts"))
        if stamp is not None:
            stamp = _count(stamp, "trades")
        size = _size(item.get("size"), "trades")
        if size == 0.0:
            raise _Reject("trades")
        trades.append(Trade(_number(item.get("price"), "trades"), size, _SIDES[side], stamp))
    return tuple(trades)


def _count(value: Any, field: str) -> int:
    if not _is_whole(value) or not 0 <= value <= MAX_NS:
        raise _Reject(field)
    return int(value)


def _text(value: object, field: str) -> str:
    if not isinstance(value, str) or len(value) > 128:
        raise _Reject(field)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _Reject(field) from None
    return str.__str__(value)


def _optional(raw: Mapping[Any, Any], parts: dict[str, Any], field: str, read: Any) -> None:
    if field in raw:
        value = raw[field]
        parts[field] = None if value is None else read(value, field)


_UNSUPPORTED = ("deltas", "order_messages", "instrument")
_KNOWN = frozenset(
    "kind market_id channel ts_ms ts_ns received_ms received_ns seq bid ask mid bid_depth ask_depth depth "
    "bids asks trades funding settlement status".split()
).union(_UNSUPPORTED)


def decode_event(raw: object, market_id: str = "", clock_offset_ns: int = 0) -> Event:
    """Decode what a source yields; never raises.

    Args:
        raw: A dict with the keys of docs/events.md. Unknown keys go to ``extra``.
        market_id: The market where the event names none.
        clock_offset_ns: The source's constant offset, added to the venue's times.

    Returns:
        The event; with ``bad`` set, and none of the parts, where a field cannot be used.

    >>> decode_event({"bid": 0.49, "ask": 0.51}).bid
    0.49
    >>> decode_event({"bid": "0.49", "ask": 0.51}).bad.reason
    'invalid_input:bid'
    """
    if not isinstance(raw, Mapping):
        return Event(market_id=market_id, bad=Bad("invalid_input:event", raw))
    # The name and the times are read first and one by one: a bad price must not lose them.
    head: dict[str, Any] = {"market_id": market_id}
    try:
        if raw.get("market_id") is not None:
            head["market_id"] = _text(raw["market_id"], "market_id")
        if raw.get("channel") is not None:
            head["channel"] = _text(raw["channel"], "channel")
        head["received_ns"] = _time(raw, "received")
        stamp = _time(raw, "ts")
        head["ts_ns"] = None if stamp is None else min(max(0, stamp + clock_offset_ns), MAX_NS)
        if raw.get("seq") is not None:
            head["seq"] = _count(raw["seq"], "seq")
        return Event(**head, **_parts(raw))
    except _Reject as reject:
        return Event(**head, bad=Bad(reject.reason, raw))
    except Exception:  # noqa: BLE001 - code of a foreign mapping or number failed
        return Event(**head, bad=Bad("invalid_input:event", raw))


def _parts(raw: Mapping[Any, Any]) -> dict[str, Any]:
    parts: dict[str, Any] = {}
    for field in _UNSUPPORTED:
        if raw.get(field):
            raise _Reject(field, "unsupported_input")
    for field in ("bid", "ask", "mid"):
        _optional(raw, parts, field, _number)
    for field in ("bid_depth", "ask_depth", "depth"):
        _optional(raw, parts, field, _size)
    for field in ("bids", "asks"):
        if raw.get(field) is not None:
            parts[field] = _levels(raw[field], field)
    if raw.get("trades") is not None:
        parts["trades"] = _trades(raw["trades"])
    if raw.get("funding") is not None:
        funding = raw["funding"]
        rate = funding.get("rate") if isinstance(funding, Mapping) else funding
        parts["funding_rate"] = _number(rate, "funding")
    if raw.get("settlement") is not None:
        settlement = raw["settlement"]
        price = settlement.get("price") if isinstance(settlement, Mapping) else settlement
        parts["settlement"] = _number(price, "settlement")
    if raw.get("status") is not None:
        parts["status"] = _text(raw["status"], "status")
    extra = {key: value for key, value in raw.items() if key not in _KNOWN}
    if extra:
        parts["extra"] = extra
    return parts


_STATUS: dict[str, OrderStatus] = {
    **dict.fromkeys(("live", "open", "new", "accepted", "working", "ack", "acknowledged", "pending_new"), "live"),
    **dict.fromkeys(("partially_filled", "partial"), "live"),
    **dict.fromkeys(("filled", "closed"), "filled"),
    **dict.fromkeys(("canceled", "cancelled"), "canceled"),
    **dict.fromkeys(("rejected", "refused"), "rejected"),
    "expired": "expired",
    "unknown": "unknown",
    "not_found": "not_found",
}


def decode_report(raw: object, client_order_id: str = "", market_id: str = "") -> Report:
    """Decode what a broker answers or reports.

    Args:
        raw: None (= accepted, live), an `OrderUpdate`, a `Fill` or another ledger entry, or a dict:
            with ``type`` as tag, or with ``price``, ``size`` and ``fill_id`` a fill, or with
            ``status`` an update.
        client_order_id: The order that was asked for, where the answer names none.
        market_id: Its market.

    Raises:
        ContractError: The answer cannot be read; the caller records the order as unknown.

    >>> decode_report(None, "A").status
    'live'
    >>> decode_report({"status": "REJECTED", "reason": "no funds"}, "A").reason
    'no funds'
    """
    if raw is None and client_order_id:
        return OrderUpdate(client_order_id=client_order_id, status="live")
    if isinstance(raw, OrderUpdate | Fill | Funding | Settlement | Transfer | Correction):
        fields: dict[str, Any] = {name: getattr(raw, name) for name in raw.__struct_fields__}
        tag: Any = raw.__struct_config__.tag
    elif isinstance(raw, Mapping):
        fields = {key: value for key, value in raw.items() if isinstance(key, str) and value is not None}
        tag = fields.pop("type", None)
        if tag is None:
            tag = "fill" if "fill_id" in fields else "order"
    else:
        raise ContractError(f"a broker answered a {type(raw).__name__}: return None, a dict or an OrderUpdate")
    kind = _REPORTS.get(tag) if isinstance(tag, str) else None
    if kind is None:
        raise ContractError(f"a broker reported type {_shown(tag)}: give one of {', '.join(_REPORTS)}")
    if kind in (OrderUpdate, Fill):
        fields.setdefault("client_order_id", client_order_id)
    if "market_id" in kind.__struct_fields__:
        fields.setdefault("market_id", market_id)
    if kind is OrderUpdate:
        status = fields.get("status")
        if not isinstance(status, str) or status.lower() not in _STATUS:
            raise ContractError(f"a broker answered status {_shown(status)}: give one of {', '.join(_STATUS)}")
        fields["status"] = _STATUS[status.lower()]
        fields["reason"] = _words(fields.get("reason"))
    if "ts_ms" in fields and "ts_ns" not in fields and _is_whole(fields["ts_ms"]):
        fields["ts_ns"] = int(fields["ts_ms"]) * NS_PER_MS
    try:
        known = {name: _plain(fields[name], name) for name in kind.__struct_fields__ if name in fields}
        report = cast("Report", msgspec.convert(known, kind))
    except _Reject as reject:
        raise ContractError(f"a broker's {tag} cannot be read: {reject.reason}") from None
    except msgspec.ValidationError as error:
        raise ContractError(f"a broker's {tag} cannot be read: {error}") from None
    _check_finite(report)
    return report


_REPORTS: dict[str, type[msgspec.Struct]] = {
    str(cls.__struct_config__.tag): cls
    for cls in (OrderUpdate, Fill, Funding, Settlement, Transfer, Correction)
}
MAX_WORDS = 500
"""Characters of a broker's free text that are kept."""


def _plain(value: object, field: str) -> object:
    """Give a number of any library as int or float, a text as str."""
    if isinstance(value, str):
        return value if field == "reason" else _text(value, field)
    if _is_whole(value):
        return int(cast("int", value))
    return _number(value, field) if isinstance(value, Real | Decimal) and not isinstance(value, bool) else value


def _words(value: object) -> str:
    """Give free text, or a venue's code, in storable form."""
    text = value if isinstance(value, str) else str(value) if isinstance(value, int) else ""
    return text[:MAX_WORDS].encode("utf-8", "backslashreplace").decode()


def _shown(value: object) -> str:
    """Show what was answered, short; the repr of an unknown object is never asked for."""
    return repr(str.__str__(value)[:40]) if isinstance(value, str) else f"of type {type(value).__name__}"


def _check_finite(report: Report) -> None:
    for name in report.__struct_fields__:
        value = getattr(report, name)
        if isinstance(value, float) and not math.isfinite(value):
            raise ContractError(f"a broker's report has {name} = {value}: give a finite number")
    if isinstance(report, OrderUpdate) and not report.client_order_id:
        raise ContractError("an order update names no order: give its client_order_id")
    if isinstance(report, Fill) and (report.size <= 0.0 or not report.fill_id):
        raise ContractError(f"a fill has size {report.size} and id {report.fill_id!r}: give a size > 0 and an id")
