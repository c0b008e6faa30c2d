"""The whole system in one loop without Python: inputs in, rows of decisions, fills and orders out.

`step_input` is a step with a model that is a kernel and the paper venue; what it does, and in which
order, is what run_loop.py and step.py do one event at a time.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from ami_engine.kernels.admission import NEW, MarketFeed, MarketRow, admit_row, feed_delay, read_row
from ami_engine.kernels.book import Book, copy_book
from ami_engine.kernels.costs import MAKER, TAKER
from ami_engine.kernels.decision import Decision, Proposed, Rules
from ami_engine.kernels.event_clock import EventTime
from ami_engine.kernels.fused import decide_step, open_step, take_input
from ami_engine.kernels.inputs import FIELDS, MARKET, TIMER, DepartureRow, Input, TradeRow
from ami_engine.kernels.latency import Latency
from ami_engine.kernels.model_input import ModelInput, show_scores
from ami_engine.kernels.orders import (
    CANCEL,
    CANCELING,
    FREE,
    REPLACE,
    SENT,
    UNKNOWN,
    count_open,
    fail_cancel,
    open_lots,
)
from ami_engine.kernels.paper import (
    IS_REJECTED,
    NOTE,
    PAPER_REASONS,
    PAPER_STATUSES,
    UPDATE,
    Paper,
    PaperMarket,
    Report,
    cancel,
    next_report,
    query,
    replace,
    show_event,
    submit,
    take_reports,
)
from ami_engine.kernels.plan import ns_of
from ami_engine.kernels.proposing import check_proposed
from ami_engine.kernels.records import Cell, EngineState, Memory
from ami_engine.kernels.reports import STATUS_CODES, slot_of, take_failure, take_fill, take_status
from ami_engine.kernels.rows import DECISIONS, DecisionColumns, FillRow, OrderRow
from decision_schema.instruments import price_of
from decision_schema.kernel import kernel
from decision_schema.reasons import INVALID_INPUT, MODEL_ERROR, OK
from decision_schema.units import NS_PER_SECOND
from dmc_core.dmc.decide import HOLD
from dmc_core.dmc.guards import (
    BREACH,
    FIRST_LEG_ROW,
    LIMIT_SLOT,
    N_GUARDS,
    SEVERITY,
    VALUE_SLOT,
)
from dmc_core.dmc.guards import (
    UNKNOWN as UNKNOWN_VERDICT,
)

NAN = math.nan
LEG_BITS = 16
"""An order is named ``step << LEG_BITS | leg`` where one number has to do."""
LEG_MASK = (1 << LEG_BITS) - 1
QUERY_INTERVAL_NS = 1 * NS_PER_SECOND
MAX_TIMERS_IN_GAP = 4_096
"""Timer steps of each market in one gap between events: a wrong stamp must not hang the run."""

NEEDS_MARKET, NEEDS_ROOM, DONE = 1, 2, 0
"""Why `run_columns` came back: a market without a cell, rows to be taken away, the end."""

# What `DecisionRow.because` says, by range: the first reason of a decision.
NO_REASON = -1
BAD_FIELD = 1_000
"""And above: a field that could not be read, by its place in inputs.FIELDS."""
MODEL_REASON = 2_000
"""And above: the model's own words."""
BAD_VALUE, BAD_PROPOSAL = 3_000, 3_001
"""The model's `value`, or its whole answer, was no number or no proposal."""
GUARD_REASON = 10_000
"""And above: row of the guard table x 4, plus 0 its own reason, 1 a missing input, 2 an unusable one."""

_N_REASONS = len(PAPER_REASONS)
_N_FIELDS = len(FIELDS)
_STATUSES = tuple(STATUS_CODES.get(text, -1) for text in PAPER_STATUSES)
_OPS_COOLDOWN = LIMIT_SLOT["ops_cooldown_ms"]


@dataclass(slots=True)
class BatchState:
    """How far a batch run is, and what it has counted.

    Args:
        n_rows: Rows written of decisions since they were last taken away; likewise of fills and orders.
        next_query_ns: When the broker may next be asked for orders that lack evidence.
        timer_ns: Interval of timers; 0 = there are none.
        next_timer_ns: When the next one is due; 0 = not known yet.
        refusals: Refusals by row of the guard table; `first_refusal` the step of the first of each.
        bad_fields: Inputs refused for a field, by its place in inputs.FIELDS; `first_bad_field` likewise.
        unusable: Answers of the model that were no proposal.
        n_rejected: Orders rejected.
        rejections: The same by reason of PAPER_REASONS; `first_rejection` the number of the first of each.
    """

    n_rows: int = 0
    n_fills: int = 0
    n_orders: int = 0
    next_query_ns: int = 0
    timer_ns: int = 0
    next_timer_ns: int = 0
    unusable: int = 0
    n_rejected: int = 0
    refusals: list[int] = field(default_factory=lambda: [0] * N_GUARDS)
    first_refusal: list[int] = field(default_factory=lambda: [0] * N_GUARDS)
    bad_fields: list[int] = field(default_factory=lambda: [0] * _N_FIELDS)
    first_bad_field: list[int] = field(default_factory=lambda: [0] * _N_FIELDS)
    rejections: list[int] = field(default_factory=lambda: [0] * _N_REASONS)
    first_rejection: list[int] = field(default_factory=lambda: [0] * _N_REASONS)


@dataclass(slots=True)
class Door:
    """What a batch run needs beside the state: the scratch of a step, the broker, and where a row stands.

    Args:
        pending: 1 = the row at hand is admitted, its timers are not through.
        known: Markets known before it.
        n_reasons: How many reasons of its own the model has words for.
        timer_at: The next market to get its timer at this instant; `timers_left` instants may follow.
    """

    decision: Decision = field(default_factory=Decision)
    x: ModelInput = field(default_factory=ModelInput)
    paper: Paper = field(default_factory=Paper)
    report: Report = field(default_factory=Report)
    inp: Input = field(default_factory=Input)
    timer: Input = field(default_factory=Input)
    pending: int = 0
    known: int = 0
    n_reasons: int = 0
    timer_at: int = 0
    timers_left: int = 0


@kernel
def step_input(
    batch: BatchState,
    state: EngineState,
    cells: list[Cell],
    rules: list[Rules],
    door: Door,
    model: Callable[[ModelInput, Memory, Proposed], None],
    markets: list[PaperMarket],
    table: list[list[int]],
    inp: Input,
    trades: list[TradeRow],
    departures: list[DepartureRow],
    rows: DecisionColumns,
    fills: list[FillRow],
    orders: list[OrderRow],
) -> None:
    """Take one input through the whole system, its staged book standing in its market."""
    cell, paper, decision = cells[inp.cell], door.paper, door.decision
    if inp.kind == MARKET and inp.is_read == 1 and inp.cell >= 0:
        market = cell.market
        show_event(paper, markets, table, inp.cell, inp, market.book, market.staged, trades, departures)
    open_step(state, inp.now_ns)
    n_reports = take_reports(paper, markets, table, inp.now_ns)
    inconsistent = 0
    for _ in range(n_reports):
        next_report(paper, markets, door.report)
        inconsistent += _apply_report(batch, state, cells, rules, door.report, fills, inp.now_ns)
    why = take_input(state, cells, decision, door.x, inp, trades)
    asked = why == OK
    if asked:
        model(door.x, cell.memory, decision.proposed)
        why = check_proposed(decision.proposed)
        batch.unusable += int(why != OK)
        if not 0 <= decision.proposed.reason < door.n_reasons:
            decision.proposed.reason = -1  # it has no words
    decide_step(state, cells, rules, decision, inp.cell, inconsistent)
    _count_refusals(batch, state, decision)
    _write_row(batch, state, cell, decision, inp, why, n_reports, rows)
    for i in range(decision.n_messages):
        _send(batch, state, cells, decision, i, paper, markets, table, orders)
    if inp.asks_after == 1:
        _ask_for_evidence(batch, state, cells, paper, markets)


@kernel
def run_inputs(
    batches: list[BatchState],
    states: list[EngineState],
    cells: list[Cell],
    rules: list[Rules],
    doors: list[Door],
    model: Callable[[ModelInput, Memory, Proposed], None],
    markets: list[PaperMarket],
    table: list[list[int]],
    inputs: list[Input],
    books: list[Book],
    trades: list[TradeRow],
    departures: list[DepartureRow],
    first: int,
    last: int,
    columns: list[DecisionColumns],
    fills: list[FillRow],
    orders: list[OrderRow],
    room: int,
) -> int:
    """Take inputs `first` to `last` through the system; `books` holds the book that each leads to.

    Returns:
        How far it came: before `last` where the rows of fills or orders have less than `room` left.
    """
    batch, state, door, rows = batches[0], states[0], doors[0], columns[0]
    for i in range(first, last):
        if _is_short(batch, fills, orders, room):
            return i
        inp = inputs[i]
        if inp.bad == OK and inp.has_book == 1:
            copy_book(books[i], cells[inp.cell].market.staged)
        step_input(
            batch, state, cells, rules, door, model, markets, table, inp, trades, departures, rows, fills,
            orders,
        )  # fmt: skip
    return last


@kernel
def run_columns(
    batches: list[BatchState],
    states: list[EngineState],
    cells: list[Cell],
    rules: list[Rules],
    doors: list[Door],
    model: Callable[[ModelInput, Memory, Proposed], None],
    markets: list[PaperMarket],
    table: list[list[int]],
    times: list[EventTime],
    feeds: list[MarketFeed],
    feed_latencies: list[Latency],
    seed: int,
    wall_ns: int,
    market_rows: list[MarketRow],
    scores: list[list[float]],
    first: int,
    last: int,
    columns: list[DecisionColumns],
    fills: list[FillRow],
    orders: list[OrderRow],
    room: int,
    trades: list[TradeRow],
    departures: list[DepartureRow],
) -> tuple[int, int]:
    """Take rows `first` to `last` of a table through the system, due timers before each.

    `scores` holds what the model's scorer gave for each row; it is empty where there is none.

    Returns:
        How far it came, and why it came back: NEEDS_MARKET, NEEDS_ROOM or DONE.
    """
    batch, state, door, time, rows = batches[0], states[0], doors[0], times[0], columns[0]
    latency = feed_latencies[0]
    for i in range(first, last):
        inp = door.inp
        if door.pending == 0:
            row = market_rows[i]
            feed = feeds[row.feed]
            door.known = state.n_cells
            if feed.seen == 0:
                if feed.cell == NEW and read_row(feed.parts, row) < 0:
                    return i, NEEDS_MARKET
                if feed.cell >= 0:
                    door.known -= 1  # this is its first row: timers that are due before it are not its own
            delay = feed_delay(row, feed, latency, seed)
            cell = cells[feed.cell if feed.cell >= 0 else -1]
            admit_row(feed, cell.market.book, cell.market.staged, time, row, delay, wall_ns, trades, 0, inp)
            door.pending = 1
            door.timer_at = 0
            door.timers_left = MAX_TIMERS_IN_GAP
        through = _run_timers(
            batch, state, cells, rules, door, model, markets, table, trades, departures, rows, fills, orders,
            room,
        )  # fmt: skip
        if through == 0 or _is_short(batch, fills, orders, room):
            return i, NEEDS_ROOM
        door.pending = 0
        show_scores(door.x, scores, i)
        step_input(
            batch, state, cells, rules, door, model, markets, table, inp, trades, departures, rows, fills,
            orders,
        )  # fmt: skip
    return last, DONE


@kernel
def _is_short(
    batch: BatchState,
    fills: list[FillRow],
    orders: list[OrderRow],
    room: int,
) -> bool:
    """Tell whether the rows of a step might find no place."""
    if batch.n_rows == DECISIONS:
        return True
    return len(fills) - batch.n_fills < room or len(orders) - batch.n_orders < room


@kernel
def _run_timers(
    batch: BatchState,
    state: EngineState,
    cells: list[Cell],
    rules: list[Rules],
    door: Door,
    model: Callable[[ModelInput, Memory, Proposed], None],
    markets: list[PaperMarket],
    table: list[list[int]],
    trades: list[TradeRow],
    departures: list[DepartureRow],
    rows: DecisionColumns,
    fills: list[FillRow],
    orders: list[OrderRow],
    room: int,
) -> int:
    """Step once for each known market at each multiple of the interval up to now; 0 = rows have no room."""
    now_ns = door.inp.now_ns
    if batch.timer_ns == 0 or now_ns == 0:
        return 1
    if door.known == 0 or batch.next_timer_ns == 0:
        batch.next_timer_ns = now_ns - now_ns % batch.timer_ns + batch.timer_ns
        return 1
    timer = door.timer
    while batch.next_timer_ns <= now_ns:
        if door.timer_at == 0:
            door.timers_left -= 1
            if door.timers_left == 0:
                batch.next_timer_ns = now_ns - now_ns % batch.timer_ns
        while door.timer_at < door.known:
            if _is_short(batch, fills, orders, room):
                return 0
            timer.kind = TIMER
            timer.cell = door.timer_at
            timer.now_ns = batch.next_timer_ns
            timer.ts_ns = batch.next_timer_ns
            door.timer_at += 1
            timer.asks_after = int(door.timer_at == door.known)
            step_input(
                batch, state, cells, rules, door, model, markets, table, timer, trades, departures, rows,
                fills, orders,
            )  # fmt: skip
        door.timer_at = 0
        batch.next_timer_ns += batch.timer_ns
    return 1


@kernel
def _apply_report(
    batch: BatchState,
    state: EngineState,
    cells: list[Cell],
    rules: list[Rules],
    report: Report,
    fills: list[FillRow],
    now_ns: int,
) -> int:
    """Take one report of the paper venue; 1 = our orders cannot explain it."""
    cell = cells[report.cell]
    order_step, order_leg = report.number >> LEG_BITS, report.number & LEG_MASK
    slot = slot_of(cell.orders, order_step, order_leg)
    if report.kind == NOTE:
        ops_cooldown_ns = ns_of(rules[-1].limits[_OPS_COOLDOWN])
        take_failure(state, 0, ops_cooldown_ns, now_ns)
        if slot >= 0:
            fail_cancel(cell.orders, slot)
        return 0
    if report.kind == UPDATE:
        if slot >= 0:
            take_status(cell.orders, slot, _STATUSES[report.status], now_ns)
        if report.status == IS_REJECTED:
            batch.n_rejected += 1
            if batch.rejections[report.reason] == 0:
                batch.first_rejection[report.reason] = batch.n_rejected
            batch.rejections[report.reason] += 1
        return 0
    role = MAKER if report.maker == 1 else TAKER
    wrong = take_fill(state, cell, slot, report.side, report.lots, report.price, report.fee, role, now_ns)
    row = fills[batch.n_fills]
    batch.n_fills += 1
    row.step, row.now_ns, row.ts_ns, row.cell = state.step, now_ns, report.ts_ns, report.cell
    row.order_step, row.order_leg, row.side, row.liquidity = order_step, order_leg, report.side, role
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
    table: list[list[int]],
    orders: list[OrderRow],
) -> None:
    """Hand one message to the paper venue, and write its row."""
    m = decision.messages[i]
    market = cells[m.cell].market
    number, old = m.step << LEG_BITS | m.leg, m.old_step << LEG_BITS | m.old_leg
    if m.op == CANCEL:
        cancel(paper, markets, table, m.cell, number)
    elif m.op == REPLACE:
        replace(
            paper, markets, table, m.cell, old, number, m.side, m.price_ticks, m.takes, m.lots, m.tif,
            m.post_only, m.reduce_only,
        )  # fmt: skip
    else:
        submit(
            paper, markets, table, m.cell, number, m.side, m.price_ticks, m.takes, m.lots, m.tif,
            m.post_only, m.reduce_only,
        )  # fmt: skip
    row = orders[batch.n_orders]
    batch.n_orders += 1
    row.step, row.now_ns, row.cell, row.op = state.step, state.now_ns, m.cell, m.op
    row.order_step, row.order_leg, row.old_step, row.old_leg = m.step, m.leg, -1, -1
    if m.op == REPLACE:
        row.old_step, row.old_leg = m.old_step, m.old_leg
    row.side, row.tif, row.post_only, row.reduce_only = 0, 0, 0, 0
    row.level, row.price, row.size = 0, NAN, NAN
    if m.op != CANCEL:
        row.side, row.tif, row.post_only, row.reduce_only = m.side, m.tif, m.post_only, m.reduce_only
        row.level = m.level
        row.size = price_of(m.lots, market.lot_num, market.lot_den)
        if m.takes == 0:
            row.price = price_of(m.price_ticks, market.tick_num, market.tick_den)


@kernel
def close_round(
    batches: list[BatchState],
    states: list[EngineState],
    cells: list[Cell],
    rules: list[Rules],
    doors: list[Door],
    markets: list[PaperMarket],
    table: list[list[int]],
    fills: list[FillRow],
    now_ns: int,
) -> int:
    """Take what is reported up to now, at the end of a run; give how many orders are still open."""
    batch, state, door = batches[0], states[0], doors[0]
    for _ in range(take_reports(door.paper, markets, table, now_ns)):
        next_report(door.paper, markets, door.report)
        _apply_report(batch, state, cells, rules, door.report, fills, now_ns)
    n_open = 0
    for c in range(state.n_cells):
        n_open += count_open(cells[c].orders)
    return n_open


@kernel
def close_cancel(
    states: list[EngineState],
    cells: list[Cell],
    doors: list[Door],
    markets: list[PaperMarket],
    table: list[list[int]],
) -> None:
    """Ask for the cancel of every order that is open at the end of a run."""
    for c in range(states[0].n_cells):
        orders = cells[c].orders
        for i in range(orders.used):
            if orders.slots[i].status != FREE:
                number = orders.slots[i].step << LEG_BITS | orders.slots[i].leg
                cancel(doors[0].paper, markets, table, c, number)


@kernel
def _ask_for_evidence(
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
            waits = order.status == SENT or order.status == CANCELING
            late = waits and state.now_ns - order.created_ns > QUERY_INTERVAL_NS
            if order.status == UNKNOWN or late:
                query(paper, markets, c, order.step << LEG_BITS | order.leg)


@kernel
def _refuses_leg(decision: Decision, k: int, row: int) -> bool:
    leg = decision.legs[k]
    verdict = leg.verdicts[row - FIRST_LEG_ROW]
    return leg.increasing == 1 and (verdict in (BREACH, UNKNOWN_VERDICT))


@kernel
def _count_refusals(batch: BatchState, state: EngineState, decision: Decision) -> None:
    """Count the refusals by row, those of legs once for each leg."""
    judgement = decision.judgement
    for i in range(judgement.n_refusing):
        row = judgement.refusing[i]
        if row < FIRST_LEG_ROW:
            _count_refusal(batch, row, state.step << 12 | row)
            continue
        for k in range(decision.n_legs):
            if _refuses_leg(decision, k, row):
                _count_refusal(batch, row, state.step << 12 | (k + 1) << 6 | row)


@kernel
def _count_refusal(batch: BatchState, row: int, order: int) -> None:
    if batch.refusals[row] == 0:
        batch.first_refusal[row] = order
    batch.refusals[row] += 1


@kernel
def _because(decision: Decision, inp: Input, why: int) -> int:
    """Name the first reason of a decision; see the ranges above."""
    verdict, judgement, proposed = decision.verdict, decision.judgement, decision.proposed
    if verdict.mark != OK:
        return verdict.mark
    if verdict.hold != OK and judgement.action == HOLD:
        return BAD_VALUE if verdict.hold == MODEL_ERROR else verdict.hold
    if judgement.n_refusing > 0:
        return _guard_reason(decision)
    if why == INVALID_INPUT and inp.bad_field >= 0:
        return BAD_FIELD + inp.bad_field
    if why == MODEL_ERROR:
        return BAD_PROPOSAL
    if why != OK:
        return why
    return MODEL_REASON + proposed.reason if proposed.reason >= 0 else NO_REASON


@kernel
def _guard_reason(decision: Decision) -> int:
    """Name the reason of the first refusal that asks for the action that was taken, else of the first."""
    judgement = decision.judgement
    row = judgement.refusing[0]
    for i in range(judgement.n_refusing):
        asker = judgement.refusing[i]
        asks_for = SEVERITY[asker] if judgement.verdicts[asker] == BREACH else HOLD
        if asks_for == judgement.action:
            row = asker
            break
    verdict, presence = judgement.verdicts[row], decision.context.presence[VALUE_SLOT[row]]
    if row >= FIRST_LEG_ROW:  # legs speak for their rows
        for k in range(decision.n_legs):
            if _refuses_leg(decision, k, row):
                verdict = decision.legs[k].verdicts[row - FIRST_LEG_ROW]
                presence = decision.legs[k].presence[row - FIRST_LEG_ROW]
                break
    if verdict != UNKNOWN_VERDICT:
        return GUARD_REASON + 4 * row
    return GUARD_REASON + 4 * row + (1 if presence == 0 else 2)


@kernel
def _write_row(
    batch: BatchState,
    state: EngineState,
    cell: Cell,
    decision: Decision,
    inp: Input,
    why: int,
    n_reports: int,
    rows: DecisionColumns,
) -> None:
    at, verdict, judgement = batch.n_rows, decision.verdict, decision.judgement
    batch.n_rows += 1
    rows.step[at], rows.now_ns[at] = state.step, state.now_ns
    rows.cell[at], rows.kind[at], rows.bad[at] = inp.cell, inp.kind, inp.bad
    if inp.bad == INVALID_INPUT and inp.bad_field >= 0:
        if batch.bad_fields[inp.bad_field] == 0:
            batch.first_bad_field[inp.bad_field] = state.step
        batch.bad_fields[inp.bad_field] += 1
    rows.proposed[at], rows.action[at] = decision.proposed.action, verdict.action
    rows.reason[at] = decision.proposed.reason
    rows.confidence[at] = decision.proposed.confidence
    rows.because[at] = _because(decision, inp, why)
    rows.why[at] = why
    if verdict.mark != OK:
        rows.why[at] = verdict.mark
    elif verdict.hold != OK and judgement.action == HOLD:
        rows.why[at] = verdict.hold
    rows.kept[at] = verdict.kept
    refusing = 0
    for i in range(judgement.n_refusing):
        refusing |= 1 << judgement.refusing[i]
    rows.refusing[at] = refusing
    flags = 0
    for i in range(decision.n_legs):
        leg = decision.legs[i]
        if leg.clamped == 1 and leg.allowed == 1:
            flags |= 1 if leg.side > 0 else 2
    rows.flags[at] = flags
    rows.n_messages[at], rows.n_reports[at] = decision.n_messages, n_reports
    rows.position_lots[at] = cell.position.lots
    rows.open_buy_lots[at], rows.open_sell_lots[at] = open_lots(cell.orders, 1), open_lots(cell.orders, -1)
    book, account = cell.market.book, state.account
    rows.bid[at], rows.ask[at], rows.mid[at] = book.bid, book.ask, book.mid
    rows.equity[at], rows.realized_pnl[at] = account.equity, account.realized
    rows.unrealized_pnl[at] = account.unrealized
    rows.fees[at], rows.drawdown[at] = account.fees, account.drawdown
