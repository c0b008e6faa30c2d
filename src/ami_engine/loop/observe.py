"""An admitted input into the state: time first, then the market, then money."""

import math

from ami_engine.execution.entries import apply_entry
from ami_engine.kernels.costs import see_mid
from ami_engine.kernels.features import accept_book, accept_trade, advance_time, refresh_features
from ami_engine.kernels.ledger import mark_position, position_value, value_account
from ami_engine.kernels.markouts import advance_markouts, refresh_own
from ami_engine.kernels.orders import follow_queues
from ami_engine.kernels.quality import count_event
from ami_engine.kernels.records import Cell
from ami_engine.kernels.telemetry import record_time
from ami_engine.loop.engine import Engine
from decision_schema.events import HALTS, Event, Funding, Settlement
from decision_schema.units import UnixNs


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
    see_mid(cell.costs, market.book.mid, cell.position.settled)
    value_account(state.account, state.positions, now_ns)


def _take_event(engine: Engine, cell: Cell, event: Event, now_ns: UnixNs) -> None:
    state, market = engine.state, cell.market
    if state.first_ns < 0:
        state.first_ns = now_ns
    count_event(cell.quality, event, market.book, now_ns)
    for trade in event.trades:
        side = 0 if trade.aggressor_side is None else 1 if trade.aggressor_side == "buy" else -1
        accept_trade(market, trade.price, trade.size, side)
    if event.has_book:
        accept_book(market, now_ns if event.ts_ns is None else min(event.ts_ns, now_ns))
        cell.quality.one_sided += int(market.book.n_bids == 0 or market.book.n_asks == 0)
        follow_queues(cell.orders, market.book, market.tick_num, market.tick_den)
    if event.status is not None:
        status = event.status.lower()
        if status == "reconnected":
            record_time(state.reconnects, now_ns)
        else:
            closed = status in HALTS
            cell.quality.halts += int(closed and cell.session_open == 1)
            cell.session_open = 0 if closed else 1
    if not engine.capabilities.live:
        _take_corporate(engine, cell, event)


def _take_corporate(engine: Engine, cell: Cell, event: Event) -> None:
    """Book funding and settlement of a simulated account, once a step; a live venue reports them itself."""
    name = f"step {engine.state.step}"
    if event.funding_rate is not None and cell.position.lots != 0:
        amount = -event.funding_rate * position_value(cell.position)
        if math.isfinite(amount):
            entry = Funding(entry_id=name, market_id=event.market_id, amount=amount)
            apply_entry(engine.state.account, cell.position, entry)
    if event.settlement is not None:
        settlement = Settlement(entry_id=name, market_id=event.market_id, price=event.settlement)
        apply_entry(engine.state.account, cell.position, settlement)
