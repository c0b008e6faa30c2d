"""Inputs at the edge: a source's dict becomes an event, and is admitted to the state or held."""

import msgspec

from ami_engine.kernels.book_builder import READ_ANYWAY, build, pass_by
from ami_engine.kernels.channels import NONE, judge_order, note_order
from ami_engine.kernels.features import MarketState
from ami_engine.kernels.records import Cell
from ami_engine.loop.engine import Engine
from ami_engine.security.redaction import redact_secrets
from decision_schema import reasons
from decision_schema.decode_event import decode_event
from decision_schema.events import UNSET, Bad, Event
from decision_schema.packet_v2 import tag_floats
from decision_schema.reasons import NAMES
from decision_schema.units import NS_PER_MS, UnixNs

MAX_EXTRA_BYTES = 32_768
"""Most bytes of an event's unknown fields, or of a bad input, that a packet keeps."""


def receive(raw: object, default_market: str, clock_offset_ns: int) -> Event:
    """Decode and redact what a source yields, so that the model sees what is stored."""
    event = decode_event(raw, default_market, clock_offset_ns)
    if event.bad is not None:
        return msgspec.structs.replace(event, bad=Bad(event.bad.reason, storable(event.bad.raw)))
    if event.extra:
        extra = storable(event.extra)
        if not isinstance(extra, dict):
            name = NAMES[reasons.OVERSIZE_EVENT]
            return Event(market_id=event.market_id, ts_ns=event.ts_ns, received_ns=event.received_ns,
                         channel=event.channel, seq=event.seq, bad=Bad(f"{name}:extra"))  # fmt: skip
        return msgspec.structs.replace(event, extra=extra)
    return event


def storable(raw: object) -> object:
    """Redact a foreign value and make it plain; one too large for a packet becomes a note of its size."""
    plain = tag_floats(redact_secrets(raw))
    try:
        size = len(msgspec.json.encode(plain))
    except (ValueError, RecursionError) as error:  # a whole number of thousands of digits
        return f"<left out: {type(error).__name__}>"
    return plain if size <= MAX_EXTRA_BYTES else f"<left out: {size} bytes>"


def admit(engine: Engine, event: Event, now_ns: UnixNs) -> Event:
    """Judge whether an event may change the state; a refused one carries why.

    The order is by sequence number in its market and channel, else by our time of receipt, else by
    the venue's. The book builder reads what is in order; the merged book is left staged, the book
    in use stays as it is.
    """
    if event.bad is not None or event.kind != "market":
        return event
    cell = engine.cell_of(event)
    code = _out_of_line(engine, cell, event, now_ns)
    if code == reasons.OK:
        note_order(
            cell.channels,
            engine.channel_of(event),
            NONE if event.seq is None else event.seq,
            NONE if event.prev_seq is None else event.prev_seq,
            NONE if event.stamp_ns is None else event.stamp_ns,
            int(event.has_book),
        )
        code = _unusable(cell.market, event)
    if code != reasons.OK:
        return msgspec.structs.replace(event, bad=Bad(NAMES[code]))
    return event


def _out_of_line(engine: Engine, cell: Cell, event: Event, now_ns: UnixNs) -> int:
    """Say why an event does not come in the order of its channel, or has no place in the state."""
    if cell.index < 0:
        return reasons.TOO_MANY_MARKETS
    channel = engine.channel_of(event)
    if channel < 0:
        return reasons.TOO_MANY_CHANNELS
    seq = NONE if event.seq is None else event.seq
    stamp_ns = NONE if event.stamp_ns is None else event.stamp_ns
    is_snapshot = int(event.bids is not UNSET and event.asks is not UNSET)
    code = judge_order(cell.channels, channel, seq, stamp_ns, is_snapshot)
    if code != reasons.OK:
        return code
    latest = max(event.ts_ns or 0, event.received_ns or 0)
    if latest > now_ns + engine.config.run.max_clock_skew_ms * NS_PER_MS:
        return reasons.FUTURE_EVENT
    return reasons.OK


def _unusable(market: MarketState, event: Event) -> int:
    """Say why an event in order must not change the market; the book builder has read it."""
    code = reasons.OK
    if not event.has_book:
        pass_by(market.builder, event)
    else:
        code = build(market.builder, market.book, event, market.staged, market.price_min, market.price_max)
    if code != reasons.OK:
        return code
    for trade in event.trades:
        if not market.price_min < trade.price <= market.price_max:
            return reasons.INVALID_TRADE
    if event.settlement is not None and not market.price_min <= event.settlement <= market.price_max:
        return reasons.INVALID_SETTLEMENT
    return reasons.OK


_READ_ANYWAY = frozenset(
    NAMES[code] for code in (*READ_ANYWAY, reasons.INVALID_TRADE, reasons.INVALID_SETTLEMENT)
)


def is_read(event: Event) -> bool:
    """Tell whether an event came in order: an admitted one, or one that was read but cannot be used."""
    return event.bad is None or (event.bad.raw is None and event.bad.reason in _READ_ANYWAY)
