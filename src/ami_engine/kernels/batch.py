"""The whole system in one loop without Python: inputs in, rows of decisions, fills and orders out.

`step_input` is a step with a model that is a kernel and the paper venue; what it does, and in which
order, is what run_loop.py and step.py do one event at a time.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from ami_engine.kernels.book import Book, copy_book
from ami_engine.kernels.decision import Decision, Rules
from ami_engine.kernels.fused import decide_step, open_step, take_input
from ami_engine.kernels.inputs import DepartureRow, Input, TradeRow
from ami_engine.kernels.model_input import ModelInput
from ami_engine.kernels.orders import CANCEL, CANCELING, REPLACE, SENT, UNKNOWN, open_lots
from ami_engine.kernels.paper import (
    FILL_REPORT,
    Paper,
    PaperMarket,
    cancel_order,
    query_order,
    replace_order,
    show_event,
    submit_order,
    take_reports,
)
from ami_engine.kernels.proposing import check_proposed
from ami_engine.kernels.records import Cell, EngineState, Memory
from ami_engine.kernels.reports import slot_of, take_fill, take_status
from ami_engine.kernels.rows import DecisionRow, FillRow, OrderRow
from decision_schema.instruments import price_of
from decision_schema.kernel import kernel
from decision_schema.reasons import OK
from decision_schema.units import NS_PER_SECOND

NAN = math.nan
LEG_BITS = 16
"""An order is named ``step << LEG_BITS | leg`` where one number has to do."""
LEG_MASK = (1 << LEG_BITS) - 1
QUERY_INTERVAL_NS = 1 * NS_PER_SECOND


@dataclass(slots=True)
class BatchState:
    """How far a batch run is.

    Args:
        n_rows: Rows written of decisions since they were last taken away; likewise of fills and orders.
        next_query_ns: When the broker may next be asked for orders that lack evidence.
    """

    n_rows: int = 0
    n_fills: int = 0
    n_orders: int = 0
    next_query_ns: int = 0


@kernel
def step_input(
    batch: BatchState,
    state: EngineState,
    cells: list[Cell],
    rules: list[Rules],
    decision: Decision,
    x: ModelInput,
    model: Callable[[ModelInput, Memory, object], None],
    paper: Paper,
    markets: list[PaperMarket],
    inp: Input,
    trades: list[TradeRow],
    departures: list[DepartureRow],
    rows: list[DecisionRow],
    fills: list[FillRow],
    orders: list[OrderRow],
) -> None:
    """Take one input through the whole system, its staged book standing in its market."""
    cell = cells[inp.cell]
    if inp.is_read == 1 and inp.cell >= 0:
        show_event(
            paper, markets, inp.cell, inp, cell.market.book, cell.market.staged, trades, departures
        )
    open_step(state, inp.now_ns)
    n_reports = take_reports(paper, markets, inp.now_ns)
    inconsistent = 0
    for i in range(n_reports):
        inconsistent += apply_report(batch, state, cells, paper, i, fills)
    why = take_input(state, cells, decision, x, inp, trades)
    if why == OK:
        model(x, cell.memory, decision.proposed)
        why = check_proposed(decision.proposed)
    decide_step(state, cells, rules, decision, inp.cell, inconsistent)
    _write_row(batch, state, cell, decision, inp, why, n_reports, rows)
    for i in range(decision.n_messages):
        _send(batch, state, cells, decision, i, paper, markets, orders)
    if inp.asks_after == 1:
        ask_for_evidence(batch, state, cells, paper, markets)


@kernel
def run_inputs(
    batch: BatchState,
    state: EngineState,
    cells: list[Cell],
    rules: list[Rules],
    decision: Decision,
    x: ModelInput,
    model: Callable[[ModelInput, Memory, object], None],
    paper: Paper,
    markets: list[PaperMarket],
    inputs: list[Input],
    books: list[Book],
    trades: list[TradeRow],
    departures: list[DepartureRow],
    first: int,
    last: int,
    rows: list[DecisionRow],
    fills: list[FillRow],
    orders: list[OrderRow],
    room: int,
) -> int:
    """Take inputs `first` to `last` through the system; `books` holds the book that each leads to.

    Returns:
        How far it came: before `last` where the rows of fills or orders have less than `room` left.
    """
    for i in range(first, last):
        if len(fills) - batch.n_fills < room or len(orders) - batch.n_orders < room:
            return i
        inp = inputs[i]
        if inp.bad == OK and inp.has_book == 1:
            copy_book(books[i], cells[inp.cell].market.staged)
        step_input(
            batch, state, cells, rules, decision, x, model, paper, markets, inp, trades, departures,
            rows, fills, orders,
        )  # fmt: skip
    return last


@kernel
def apply_report(
    batch: BatchState, state: EngineState, cells: list[Cell], paper: Paper, i: int, fills: list[FillRow]
) -> int:
    """Take one report of the paper venue; 1 = our orders cannot explain it."""
    report = paper.out[i]
    cell = cells[report.cell]
    order_step, order_leg = report.number >> LEG_BITS, report.number & LEG_MASK
    slot = slot_of(cell.orders, order_step, order_leg)
    if report.kind != FILL_REPORT:
        if slot >= 0:
            take_status(cell.orders, slot, report.status, state.now_ns)
        return 0
    wrong = take_fill(
        state, cell, slot, report.side, report.lots, report.price, report.fee, report.role, state.now_ns
    )
    row = fills[batch.n_fills]
    batch.n_fills += 1
    row.step, row.now_ns, row.ts_ns, row.cell = state.step, state.now_ns, report.ts_ns, report.cell
    row.order_step, row.order_leg, row.side, row.liquidity = order_step, order_leg, report.side, report.role
    row.price, row.fee = report.price, report.fee
    row.size = price_of(report.lots, cell.market.lot_num, cell.market.lot_den)
    return wrong


@kernel
def _send(
    batch: BatchState,
    state: EngineState,
    cells: list[Cell],
    decision: Decision,
    i: int,
    paper: Paper,
    markets: list[PaperMarket],
    orders: list[OrderRow],
) -> None:
    """Hand one message to the paper venue, and write its row."""
    m = decision.messages[i]
    market = cells[m.cell].market
    number = m.step << LEG_BITS | m.leg
    if m.op == CANCEL:
        cancel_order(paper, markets, m.cell, number)
    elif m.op == REPLACE:
        old = m.old_step << LEG_BITS | m.old_leg
        replace_order(
            paper, markets, m.cell, old, number, m.side, m.price_ticks, m.takes, m.lots, m.tif, m.post_only,
            m.reduce_only,
        )  # fmt: skip
    else:
        submit_order(
            paper, markets, m.cell, number, m.side, m.price_ticks, m.takes, m.lots, m.tif, m.post_only,
            m.reduce_only,
        )  # fmt: skip
    row = orders[batch.n_orders]
    batch.n_orders += 1
    row.step, row.now_ns, row.cell, row.op = state.step, state.now_ns, m.cell, m.op
    row.order_step, row.order_leg, row.old_step, row.old_leg = m.step, m.leg, -1, -1
    if m.op == REPLACE:
        row.old_step, row.old_leg = m.old_step, m.old_leg
    row.side, row.tif, row.post_only, row.reduce_only = m.side, m.tif, m.post_only, m.reduce_only
    row.level = m.level
    row.price = NAN
    row.size = NAN
    if m.op != CANCEL:
        row.size = price_of(m.lots, market.lot_num, market.lot_den)
        if m.takes == 0:
            row.price = price_of(m.price_ticks, market.tick_num, market.tick_den)


@kernel
def ask_for_evidence(
    batch: BatchState,
    state: EngineState,
    cells: list[Cell],
    paper: Paper,
    markets: list[PaperMarket],
) -> None:
    """Ask for orders that wait for an answer too long, at most once a second, as the live loop does."""
    if state.now_ns < batch.next_query_ns:
        return
    batch.next_query_ns = state.now_ns + QUERY_INTERVAL_NS
    for c in range(state.n_cells):
        slots = cells[c].orders.slots
        for i in range(cells[c].orders.used):
            order = slots[i]
            late = order.status == SENT or order.status == CANCELING
            late = late and state.now_ns - order.created_ns > QUERY_INTERVAL_NS
            if order.status == UNKNOWN or late:
                query_order(paper, markets, c, order.step << LEG_BITS | order.leg)


@kernel
def _write_row(
    batch: BatchState,
    state: EngineState,
    cell: Cell,
    decision: Decision,
    inp: Input,
    why: int,
    n_reports: int,
    rows: list[DecisionRow],
) -> None:
    row, verdict, judgement = rows[batch.n_rows], decision.verdict, decision.judgement
    batch.n_rows += 1
    row.step, row.now_ns, row.cell, row.kind, row.bad = state.step, state.now_ns, inp.cell, inp.kind, inp.bad
    row.proposed, row.action = decision.proposed.action, verdict.action
    row.reason = decision.proposed.reason
    row.confidence = decision.proposed.confidence
    row.why = why
    if verdict.mark != OK:
        row.why = verdict.mark
    elif verdict.hold != OK:
        row.why = verdict.hold
    row.kept = verdict.kept
    refusing = 0
    for i in range(judgement.n_refusing):
        refusing |= 1 << judgement.refusing[i]
    row.refusing = refusing
    flags = 0
    for i in range(decision.n_legs):
        leg = decision.legs[i]
        if leg.clamped == 1 and leg.allowed == 1:
            flags |= 1 if leg.side > 0 else 2
    row.flags = flags
    row.n_messages, row.n_reports = decision.n_messages, n_reports
    row.position_lots = cell.position.lots
    row.open_buy_lots, row.open_sell_lots = open_lots(cell.orders, 1), open_lots(cell.orders, -1)
    book, account = cell.market.book, state.account
    row.bid, row.ask, row.mid = book.bid, book.ask, book.mid
    row.equity, row.realized_pnl, row.unrealized_pnl = account.equity, account.realized, account.unrealized
    row.fees, row.drawdown = account.fees, account.drawdown
