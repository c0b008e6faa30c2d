"""What the broker said, into the state: orders, ledger entries, failures."""

import math
from collections.abc import Sequence

import msgspec

from ami_engine.execution.entries import apply_entry, check_entry, entry_id, whole_lots
from ami_engine.kernels.costs import MAKER, TAKER, UNSAID
from ami_engine.kernels.orders import fail_cancel
from ami_engine.kernels.plan import ns_of
from ami_engine.kernels.records import Cell
from ami_engine.kernels.reports import STATUS_CODES, take_failure
from ami_engine.loop.engine import Engine
from decision_schema.errors import ContractError
from decision_schema.events import BrokerNote, Fill, LedgerEntry, OrderUpdate, Report, Transfer
from decision_schema.instruments import price_of
from decision_schema.units import UnixNs

_ROLES = {"maker": MAKER, "taker": TAKER}
_RATE_LIMIT_MARKS = ("ratelimit", "toomanyrequests", "ddosprotection", "429")


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
    if not engine.capabilities.fills:
        cell = engine.core.cells[place.market]
        _fill_from_update(engine, cell, place.slot, update, now_ns, remarks)
    engine.core.take_status(place.market, place.slot, STATUS_CODES[update.status], now_ns)


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
        filled = price_of(order.lots, market.lot_num, market.lot_den)
    done = price_of(order.filled_lots, market.lot_num, market.lot_den)
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
        size=price_of(lots, market.lot_num, market.lot_den),
    )
    _take_entry(engine, fill, now_ns, remarks)


def _take_note(engine: Engine, note: BrokerNote, now_ns: UnixNs) -> None:
    is_rate_limit = any(mark in note.error.lower() for mark in _RATE_LIMIT_MARKS)
    take_failure(engine.state, int(is_rate_limit), ns_of(float(engine.policy.ops_cooldown_ms)), now_ns)
    place = engine.ids.find(note.client_order_id) if note.call == "cancel_order" else None
    if place is not None and place.slot >= 0:
        fail_cancel(engine.core.cells[place.market].orders, place.slot)


def _take_entry(engine: Engine, entry: LedgerEntry, now_ns: UnixNs, remarks: list[str]) -> None:
    if isinstance(entry, Fill) and not entry.market_id:
        place = engine.ids.find(entry.client_order_id)
        if place is not None:  # the market is that of its order
            entry = msgspec.structs.replace(entry, market_id=engine.market_ids[place.market])
    if engine.entries.seen(entry_id(entry)):
        return
    if isinstance(entry, Transfer):
        apply_entry(engine.state.account, None, entry)
        return
    number = engine.number_of(entry.market_id)
    if number is None:
        remarks.append(f"entry for an unknown market {entry.market_id[:64]}")
        return
    position = engine.core.cells[number].position
    try:
        if isinstance(entry, Fill):
            check_entry(position, entry)
            _take_fill(engine, number, entry, now_ns, remarks)
        else:
            apply_entry(engine.state.account, position, entry)
    except ContractError as error:
        remarks.append(str(error))


def _take_fill(engine: Engine, number: int, fill: Fill, now_ns: UnixNs, remarks: list[str]) -> None:
    side = 1 if fill.side == "buy" else -1
    _, _, lot_num, lot_den = engine.grids[number]
    lots = whole_lots(fill.size, lot_num, lot_den)
    role = _ROLES.get(fill.liquidity_side, UNSAID)
    place = engine.ids.find(fill.client_order_id)
    ours = place is not None and place.market == number
    slot = place.slot if place is not None and ours else -1
    wrong = engine.core.take_fill(number, slot, side, lots, fill.price, fill.fee, role, now_ns)
    if not ours:
        remarks.append(f"fill of an unknown order {fill.client_order_id[:64]}")
    elif engine.ids.fill(fill.client_order_id, lots) < 0 or wrong:
        remarks.append(f"fill beyond order {fill.client_order_id}")
