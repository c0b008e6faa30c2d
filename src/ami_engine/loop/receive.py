"""Inputs at the edge: a source's dict becomes an event, and is admitted to the state or held."""

import msgspec

from ami_engine.kernels.book import check_book, stage_event
from ami_engine.kernels.records import NONE, Cell
from ami_engine.loop.engine import Engine
from ami_engine.security.redaction import redact_secrets
from decision_schema import reasons
from decision_schema.decode_event import decode_event
from decision_schema.events import Bad, Event
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
    """Judge whether an event may change the state; a refused one carries why. Changes no market state.

    The order is by sequence number in its market and channel, else by our time of receipt, else by
    the venue's. The merged book is left staged in the market.
    """
    if event.bad is not None or event.kind != "market":
        return event
    cell = engine.cell_of(event)
    code = _refusal(engine, cell, event, now_ns)
    if code != reasons.OK:
        return msgspec.structs.replace(event, bad=Bad(NAMES[code]))
    return event


def _refusal(engine: Engine, cell: Cell, event: Event, now_ns: UnixNs) -> int:
    if cell.index < 0:
        return reasons.TOO_MANY_MARKETS
    channel = engine.channel_of(event)
    if channel < 0:
        return reasons.TOO_MANY_CHANNELS
    last = cell.last_seq[channel]
    if event.seq is not None and last != NONE:
        if event.seq == last:
            return reasons.DUPLICATE_SEQ
        if event.seq < last:
            return reasons.OUT_OF_ORDER
    stamp = event.stamp_ns
    if event.seq is None and stamp is not None and stamp < cell.last_stamp_ns[channel]:
        return reasons.OUT_OF_ORDER
    latest = max(event.ts_ns or 0, event.received_ns or 0)
    if latest > now_ns + engine.config.run.max_clock_skew_ms * NS_PER_MS:
        return reasons.FUTURE_EVENT
    bounds = cell.market
    for trade in event.trades:
        if not bounds.price_min < trade.price <= bounds.price_max:
            return reasons.INVALID_TRADE
    if event.settlement is not None and not bounds.price_min <= event.settlement <= bounds.price_max:
        return reasons.INVALID_SETTLEMENT
    if event.has_book:
        stage_event(cell.market.book, event, cell.market.staged)
        return check_book(cell.market.staged, bounds.price_min, bounds.price_max)
    return reasons.OK
