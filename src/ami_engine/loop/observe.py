"""Inputs into the state: admission, the broker's reports, then time, market and money."""

import math
from collections.abc import Sequence

import msgspec

from ami_engine.execution.entries import apply_entry, entry_id, whole_lots
from ami_engine.kernels.book import check_book, stage_event
from ami_engine.kernels.features import accept_book, accept_trade, advance_time, refresh_features
from ami_engine.kernels.ledger import mark_position, position_value, value_account
from ami_engine.kernels.markouts import advance_markouts, record_fill, refresh_own
from ami_engine.kernels.orders import (
    acknowledge,
    end_order,
    fail_cancel,
    fill_order,
    follow_queues,
    lose_order,
    reject_order,
    remaining_lots,
)
from ami_engine.kernels.records import NONE, Cell
from ami_engine.kernels.telemetry import record_time
from ami_engine.loop.engine import Engine
from ami_engine.security.redaction import redact_secrets
from decision_schema import reasons
from decision_schema.errors import ContractError
from decision_schema.events import (
    Bad,
    BrokerNote,
    Event,
    Fill,
    Funding,
    LedgerEntry,
    OrderUpdate,
    Report,
    Settlement,
    Transfer,
    decode_event,
)
from decision_schema.instruments import price_of
from decision_schema.packet_v2 import tag_floats
from decision_schema.reasons import NAMES
from decision_schema.units import NS_PER_MS, UnixNs

MAX_EXTRA_BYTES = 32_768
"""Most bytes of an event's unknown fields, or of a bad input, that a packet keeps."""
_CLOSED = frozenset({"halt", "halted", "closed", "paused", "suspended"})
_RATE_LIMIT_MARKS = ("ratelimit", "toomanyrequests", "ddosprotection", "429")


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
    stamp = event.received_ns if event.received_ns is not None else event.ts_ns
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


def apply_reports(engine: Engine, reports: Sequence[Report], now_ns: UnixNs) -> list[str]:
    """Take what the broker said: orders, ledger entries, failures; return what it cannot explain."""
    remarks: list[str] = []
    for report in reports:
        if isinstance(report, OrderUpdate):
            _take_update(engine, report, now_ns, remarks)
        elif isinstance(report, BrokerNote):
            _take_note(engine, report, now_ns)
        else:
            _take_entry(engine, report, now_ns, remarks)
    return remarks


def _take_update(engine: Engine, update: OrderUpdate, now_ns: UnixNs, remarks: list[str]) -> None:
    place = engine.ids.find(update.client_order_id)
    if place is None:
        if update.status in ("live", "filled"):
            remarks.append(f"unknown order {update.client_order_id[:64]}")
        return
    if place.slot < 0:
        return
    cell = engine.state.cells[place.market]
    orders = cell.orders
    if not engine.capabilities.fills:
        _fill_from_update(engine, cell, place.slot, update, now_ns, remarks)
    if update.status == "live":
        acknowledge(orders, place.slot)
        if now_ns - orders.slots[place.slot].cancel_ns >= CANCEL_LOST_NS:
            fail_cancel(orders, place.slot)
    elif update.status == "unknown":
        lose_order(orders, place.slot)
    elif update.status == "rejected":
        reject_order(orders, place.slot)
    elif update.status in ("canceled", "expired"):
        if orders.slots[place.slot].replaces >= 0:
            acknowledge(orders, place.slot)  # placed and ended at once: what it replaced is gone
        end_order(orders, place.slot)
    elif update.status == "filled":
        acknowledge(orders, place.slot)  # counted until its fills are here
    elif now_ns - orders.slots[place.slot].created_ns >= REQUEST_LIFETIME_NS:
        end_order(orders, place.slot)  # not found, and can no more arrive
    else:
        fail_cancel(orders, place.slot)  # not found yet: a cancel is to be asked for again


REQUEST_LIFETIME_NS = 10_000 * NS_PER_MS
"""Time after which a request that the venue does not know can no more arrive there."""
CANCEL_LOST_NS = 1_000 * NS_PER_MS
"""Age of a cancel from which an order that is still live shows that it was lost."""


def _fill_from_update(
    engine: Engine, cell: Cell, slot: int, update: OrderUpdate, now_ns: UnixNs, remarks: list[str]
) -> None:
    """Make the fill that an update proves, where the broker reports no fills of its own."""
    order = cell.orders.slots[slot]
    market = cell.market
    filled = update.filled_size
    if filled is None:
        if update.status != "filled":
            return
        filled = order.lots * market.lot_num / market.lot_den
    done = order.filled_lots * market.lot_num / market.lot_den
    lots = round((filled - done) * market.lot_den / market.lot_num)
    if lots <= 0:
        return
    if update.avg_price is not None:  # of all that is filled: what the fills before it paid is taken off
        price = (update.avg_price * (order.filled_lots + lots) - order.paid) / lots
    elif order.takes == 0:
        price = price_of(order.price_ticks, market.tick_num, market.tick_den)
    else:
        price = market.book.mid
    if not math.isfinite(price):
        remarks.append(f"fill without a price {update.client_order_id}")
        return
    fill = Fill(
        fill_id=f"{update.client_order_id}-{order.filled_lots + lots}",
        client_order_id=update.client_order_id,
        market_id=engine.market_ids[cell.index],
        side="buy" if order.side > 0 else "sell",
        price=price,
        size=lots * market.lot_num / market.lot_den,
    )
    _take_entry(engine, fill, now_ns, remarks)


def _take_note(engine: Engine, note: BrokerNote, now_ns: UnixNs) -> None:
    state = engine.state
    state.had_error = 1
    record_time(state.failures, now_ns)
    if any(mark in note.error.lower() for mark in _RATE_LIMIT_MARKS):
        record_time(state.rate_limits, now_ns)
    if engine.policy.ops_cooldown_ms > 0:
        state.ops_until_ns = max(state.ops_until_ns, now_ns + engine.policy.ops_cooldown_ms * NS_PER_MS)
    place = engine.ids.find(note.client_order_id) if note.call == "cancel_order" else None
    if place is not None and place.slot >= 0:
        fail_cancel(state.cells[place.market].orders, place.slot)


def _take_entry(engine: Engine, entry: LedgerEntry, now_ns: UnixNs, remarks: list[str]) -> None:
    if isinstance(entry, Fill) and not entry.market_id:
        place = engine.ids.find(entry.client_order_id)
        if place is not None:  # the market is that of its order
            entry = msgspec.structs.replace(entry, market_id=engine.market_ids[place.market])
    if engine.entries.seen(entry_id(entry)):
        return
    state = engine.state
    if isinstance(entry, Transfer):
        apply_entry(state.account, None, entry)
        return
    cell = engine.known_cell(entry.market_id)
    if cell is None:
        remarks.append(f"entry for an unknown market {entry.market_id[:64]}")
        return
    try:
        apply_entry(state.account, cell.position, entry)
    except ContractError as error:
        remarks.append(str(error))
        return
    if isinstance(entry, Fill):
        _take_fill(engine, cell, entry, now_ns, remarks)


def _take_fill(engine: Engine, cell: Cell, fill: Fill, now_ns: UnixNs, remarks: list[str]) -> None:
    record_fill(cell.markouts, fill.price, 1 if fill.side == "buy" else -1, now_ns)
    place = engine.ids.find(fill.client_order_id)
    if place is None or place.market != cell.index:
        remarks.append(f"fill of an unknown order {fill.client_order_id[:64]}")
        return
    lots = whole_lots(fill.size, cell.market.lot_num, cell.market.lot_den)
    wrong_side = False
    if place.slot >= 0:  # else its slot serves another order by now
        wrong_side = cell.orders.slots[place.slot].side != (1 if fill.side == "buy" else -1)
        fill_order(cell.orders, place.slot, lots, fill.price)
    if engine.ids.fill(fill.client_order_id, lots) < 0 or wrong_side:
        remarks.append(f"fill beyond order {fill.client_order_id}")


def observe(engine: Engine, cell: Cell, event: Event, now_ns: UnixNs) -> None:
    """Move time on, then let an accepted event change its market, then value the account."""
    state, market = engine.state, cell.market
    advance_markouts(cell.markouts, now_ns, market.book.mid, market.tick_num, market.tick_den)
    advance_time(market, now_ns)
    if event.kind == "market" and event.bad is None:
        _take_event(engine, cell, event, now_ns)
    refresh_features(market, now_ns)
    refresh_own(market, cell.markouts, now_ns)
    mark_position(cell.position, market.book.mid, now_ns)
    value_account(state.account, state.positions, now_ns)


def _take_event(engine: Engine, cell: Cell, event: Event, now_ns: UnixNs) -> None:
    state, market = engine.state, cell.market
    if state.first_ns < 0:
        state.first_ns = now_ns
    channel = engine.channel_of(event)
    if event.seq is not None:
        cell.last_seq[channel] = event.seq
    stamp = event.received_ns if event.received_ns is not None else event.ts_ns
    if stamp is not None:
        cell.last_stamp_ns[channel] = max(cell.last_stamp_ns[channel], stamp)
    for trade in event.trades:
        side = 0 if trade.aggressor_side is None else 1 if trade.aggressor_side == "buy" else -1
        accept_trade(market, trade.price, trade.size, side)
    if event.has_book:
        accept_book(market, now_ns if event.ts_ns is None else min(event.ts_ns, now_ns))
        follow_queues(cell.orders, market.book, market.tick_num, market.tick_den)
    if event.status is not None:
        status = event.status.lower()
        if status == "reconnected":
            record_time(state.reconnects, now_ns)
        else:
            cell.session_open = 0 if status in _CLOSED else 1
    if not engine.capabilities.live:
        _take_corporate(engine, cell, event)


def _take_corporate(engine: Engine, cell: Cell, event: Event) -> None:
    """Book funding and settlement of a simulated account; a live venue reports them itself."""
    name = f"step {engine.state.step}"
    if event.funding_rate is not None and cell.position.lots != 0:
        amount = -event.funding_rate * position_value(cell.position)
        if math.isfinite(amount):
            entry = Funding(entry_id=name, market_id=event.market_id, amount=amount)
            if not engine.entries.seen(entry_id(entry)):
                apply_entry(engine.state.account, cell.position, entry)
    if event.settlement is not None:
        settlement = Settlement(entry_id=name, market_id=event.market_id, price=event.settlement)
        if not engine.entries.seen(entry_id(settlement)):
            apply_entry(engine.state.account, cell.position, settlement)


def open_sizes(cell: Cell) -> tuple[float, float]:
    """Sum what working orders may still buy and sell, in units."""
    market = cell.market
    buy = sell = 0
    for i in range(cell.orders.used):
        order = cell.orders.slots[i]
        if order.side > 0:
            buy += remaining_lots(order)
        else:
            sell += remaining_lots(order)
    scale_num, scale_den = market.lot_num, market.lot_den
    return buy * scale_num / scale_den, sell * scale_num / scale_den
