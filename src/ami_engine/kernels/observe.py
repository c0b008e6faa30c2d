"""An admitted input into the state: time first, then the market, then money."""

import math

from ami_engine.kernels.costs import see_mid
from ami_engine.kernels.features import (
    MarketState,
    accept_book,
    accept_trade,
    advance_time,
    refresh_features,
)
from ami_engine.kernels.inputs import HALTED, MARKET, NO_STATUS, RECONNECTED, Input, TradeRow
from ami_engine.kernels.ledger import (
    apply_funding,
    apply_settlement,
    mark_position,
    position_value,
    value_account,
)
from ami_engine.kernels.markouts import advance_markouts, refresh_own
from ami_engine.kernels.orders import follow_queues
from ami_engine.kernels.quality import count_event
from ami_engine.kernels.records import Cell, EngineState
from ami_engine.kernels.sanity import see_book, see_refused
from ami_engine.kernels.telemetry import record_time
from decision_schema.kernel import kernel
from decision_schema.reasons import OK


@kernel
def observe(
    state: EngineState, cells: list[Cell], cell: Cell, inp: Input, trades: list[TradeRow], now_ns: int
) -> None:
    """Move time on, then let an admitted input change its market, then value the account.

    Args:
        state: Changed.
        cells: All markets.
        cell: That of the input; the book that the input leads to is staged in its market.
        inp: The input.
        trades: Its trades stand from `inp.trade_at` on.
        now_ns: The time of the step.
    """
    market, position = cell.market, cell.position
    advance_markouts(cell.markouts, now_ns, market.book.mid, market.tick_num, market.tick_den)
    advance_time(market, now_ns)
    cell.sanity.jump_bps = 0.0
    if inp.kind == MARKET:
        if inp.bad == OK:
            _take_event(state, cell, inp, trades, now_ns)
        else:
            see_refused(cell.sanity, inp.bad, now_ns)
    refresh_features(market, now_ns)
    refresh_own(market, cell.markouts, now_ns)
    mark_position(position, market.book.mid, now_ns)
    see_mid(cell.costs, market.book.mid, position.settled)
    value_account(state.account, cells, state.n_cells, now_ns)


@kernel
def _take_event(state: EngineState, cell: Cell, inp: Input, trades: list[TradeRow], now_ns: int) -> None:
    market, quality = cell.market, cell.quality
    if state.first_ns < 0:
        state.first_ns = now_ns
    count_event(quality, inp, market.book, trades, now_ns)
    if inp.has_book == 1:
        see_book(cell.sanity, market.book, market.staged, now_ns)
    take_market(market, inp, trades, now_ns)
    if inp.has_book == 1:
        if market.book.n_bids == 0 or market.book.n_asks == 0:
            quality.one_sided += 1
        follow_queues(cell.orders, market.book, market.tick_num, market.tick_den)
    if inp.status == RECONNECTED:
        record_time(state.reconnects, now_ns)
    elif inp.status != NO_STATUS:
        closed = inp.status == HALTED
        if closed and cell.session_open == 1:
            quality.halts += 1
        cell.session_open = 0 if closed else 1
    if state.is_live == 0:
        _take_corporate(state, cell, inp)


@kernel
def take_market(market: MarketState, inp: Input, trades: list[TradeRow], now_ns: int) -> None:
    """Let an admitted input change what is known of its market, the staged book with it."""
    for i in range(inp.trade_at, inp.trade_at + inp.n_trades):
        accept_trade(market, trades[i].price, trades[i].size, trades[i].side)
    if inp.has_book == 1:
        accept_book(market, now_ns if inp.ts_ns < 0 else min(inp.ts_ns, now_ns))


@kernel
def _take_corporate(state: EngineState, cell: Cell, inp: Input) -> None:
    """Book funding and settlement of a simulated account, once a step; a live venue reports them itself."""
    position = cell.position
    if inp.funding_rate == inp.funding_rate and position.lots != 0:
        amount = -inp.funding_rate * position_value(position)
        if math.isfinite(amount):
            apply_funding(state.account, position, amount)
    price = inp.settlement
    if price == price and (position.is_binary == 0 or (price >= 0.0 and price <= 1.0)):
        apply_settlement(state.account, position, price)
