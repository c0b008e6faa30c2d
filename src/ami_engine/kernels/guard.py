"""Judge the plan: the state as the guards see it, their verdict, and the latches it sets."""

import math

from ami_engine.kernels.decision import Decision, Plan
from ami_engine.kernels.features import (
    ADVERSE_15_TICKS,
    ADVERSE_60_TICKS,
    COST_TICKS,
    DEPTH,
    DEPTH_P10_5M,
    SIGMA_5M,
    SIGMA_SPIKE_Z,
    SPREAD_BPS,
    SPREAD_MED_5M,
    SPREAD_TICKS,
    STALENESS_MAX_5M,
    STALENESS_MS,
)
from ami_engine.kernels.ledger import exposure, size_of
from ami_engine.kernels.markouts import MAX_PENDING, N_HORIZONS
from ami_engine.kernels.orders import count_open, find_working, remaining_lots
from ami_engine.kernels.records import Cell, EngineState, open_sizes
from ami_engine.kernels.telemetry import count_recent
from decision_schema.instruments import floor_steps, price_of, unit_loss
from decision_schema.kernel import kernel
from decision_schema.reasons import (
    EXITING,
    NOTHING_TO_EXIT,
    OK,
    SESSION_CLOSED,
    STOP_LATCHED,
    STOP_PROPOSED,
    TOO_MANY_MARKOUTS,
    VENUE_INCONSISTENT,
)
from decision_schema.types import Action
from decision_schema.units import NS_PER_MS, NS_PER_SECOND
from dmc_core.dmc.context import GuardContext, observe
from dmc_core.dmc.decide import ACT, CANCEL, EXIT, HOLD, STOP, decide
from dmc_core.dmc.guards import BREACH, GUARD_SLOT, GUARDS, LIMIT_SLOT, MALFORMED, PRESENT, SLOT

NAN = math.nan
MS = float(NS_PER_MS)
_LONGEST_SEC = 4e9
"""A longer window is for ever."""

_FEATURES = (
    STALENESS_MS, DEPTH, SPREAD_BPS, SPREAD_TICKS, SIGMA_SPIKE_Z, SIGMA_5M, SPREAD_MED_5M, DEPTH_P10_5M,
    STALENESS_MAX_5M, ADVERSE_15_TICKS, ADVERSE_60_TICKS,
)  # fmt: skip
_FEATURE_SLOTS = tuple(
    SLOT[name]
    for name in (
        "staleness_ms", "depth", "spread_bps", "spread_ticks", "sigma_spike_z", "sigma_5m", "spread_med_5m",
        "depth_p10_5m", "staleness_max_5m", "adverse_15_ticks", "adverse_60_ticks",
    )
)  # fmt: skip
_N_FEATURES = len(_FEATURES)

_DAILY_LOSS = SLOT["daily_loss_usd"]
_DRAWDOWN = SLOT["drawdown_usd"]
_EQUITY = SLOT["equity_usd"]
_FAILURES = SLOT["recent_failures"]
_ERROR_RATE = SLOT["error_rate"]
_MARKET_EXPOSURE = SLOT["market_exposure_usd"]
_TOTAL_EXPOSURE = SLOT["total_exposure_usd"]
_INVENTORY = SLOT["abs_inventory"]
_ADVERSE_LEFT = SLOT["adverse_cooldown_left_ms"]
_LOSSES = SLOT["consecutive_losses"]
_STREAK_LEFT = SLOT["streak_cooldown_left_ms"]
_EDGE = SLOT["edge_ticks"]
_CANCELS = SLOT["cancels_in_window"]
_OPS_LEFT = SLOT["ops_cooldown_left_ms"]
_RATE_LIMITED = SLOT["rate_limited_in_window"]
_RECONNECTS = SLOT["reconnects_in_window"]

_BREAKER_SEC = LIMIT_SLOT["circuit_breaker_window_sec"]
_ERROR_STEPS = LIMIT_SLOT["error_window_steps"]
_TP_TICKS = LIMIT_SLOT["tp_ticks"]
_COST_TICKS = LIMIT_SLOT["cost_ticks"]
_CANCEL_WINDOW = LIMIT_SLOT["cancel_window_ms"]
_ADVERSE_COOLDOWN = LIMIT_SLOT["adverse_cooldown_ms"]
_STREAK_COOLDOWN = LIMIT_SLOT["streak_cooldown_ms"]

_ADVERSE_15 = GUARD_SLOT["adverse_selection_high_15"]
_ADVERSE_60 = GUARD_SLOT["adverse_selection_high_60"]
_STREAK = GUARD_SLOT["loss_streak"]
_STOPS = tuple(int(guard.severity is Action.STOP) for guard in GUARDS)
_REASONS = tuple(guard.reason for guard in GUARDS)


@kernel
def see(
    state: EngineState,
    cells: list[Cell],
    cell: Cell,
    limits: list[float],
    context: GuardContext,
    now_ns: int,
) -> None:
    """Write what the guards see of the state."""
    account, market, position = state.account, cell.market, cell.position
    for i in range(_N_FEATURES):
        observe(context, _FEATURE_SLOTS[i], market.features[_FEATURES[i]])
    window_ns = int(min(limits[_BREAKER_SEC], _LONGEST_SEC) * float(NS_PER_SECOND))
    cost = market.features[COST_TICKS]
    if cost != cost:
        cost = limits[_COST_TICKS]
    total = 0.0
    open_orders = 0
    for i in range(state.n_cells):
        total += exposure(cells[i].position)
        open_orders += count_open(cells[i].orders)
    inventory = size_of(position, position.lots)
    cancel_window_ns = _ms_to_ns(limits[_CANCEL_WINDOW])
    _supply(context, _DAILY_LOSS, -account.daily_pnl)
    _supply(context, _DRAWDOWN, account.drawdown)
    _supply(context, _EQUITY, account.equity)
    _supply(context, _FAILURES, float(count_recent(state.failures, now_ns, window_ns)))
    _supply(context, _ERROR_RATE, float(state.errors.errors) / limits[_ERROR_STEPS])
    _supply(context, _MARKET_EXPOSURE, exposure(position))
    _supply(context, _TOTAL_EXPOSURE, total)
    _supply(context, _INVENTORY, abs(inventory))
    _supply(context, _ADVERSE_LEFT, float(max(0, cell.adverse_until_ns - now_ns)) / MS)
    _supply(context, _LOSSES, float(account.consecutive_losses))
    _supply(context, _STREAK_LEFT, float(max(0, state.streak_until_ns - now_ns)) / MS)
    _supply(context, _EDGE, limits[_TP_TICKS] - cost)
    _supply(context, _CANCELS, float(count_recent(state.cancels, now_ns, cancel_window_ns)))
    _supply(context, _OPS_LEFT, float(max(0, state.ops_until_ns - now_ns)) / MS)
    _supply(context, _RATE_LIMITED, float(count_recent(state.rate_limits, now_ns, window_ns)))
    _supply(context, _RECONNECTS, float(count_recent(state.reconnects, now_ns, window_ns)))
    context.inventory = inventory
    context.open_buy, context.open_sell = open_sizes(cell)
    context.open_orders = float(open_orders)
    context.other_exposure = _other_exposure(state, cells, cell.index)
    context.mid, context.bid, context.ask = market.book.mid, market.book.bid, market.book.ask
    context.multiplier = market.multiplier
    context.is_binary = position.is_binary


@kernel
def _ms_to_ns(ms: float) -> int:
    return int(min(ms, 1e3 * _LONGEST_SEC)) * NS_PER_MS


@kernel
def _supply(context: GuardContext, slot: int, value: float) -> None:
    """Set an observed number that the loop always has: one that is not finite is unusable, not absent."""
    context.observed[slot] = value
    context.presence[slot] = PRESENT if value - value == 0.0 else MALFORMED


@kernel
def _other_exposure(state: EngineState, cells: list[Cell], index: int) -> float:
    """Sum the worst case of all other markets, everything working filled."""
    total = 0.0
    for i in range(state.n_cells):
        if i == index:
            continue
        other = cells[i]
        open_buy, open_sell = open_sizes(other)
        inventory = size_of(other.position, other.position.lots)
        long = inventory + open_buy
        short = open_sell - inventory
        if not long > 0.0:
            long = 0.0
        if not short > 0.0:
            short = 0.0
        if long == 0.0 and short == 0.0:
            continue
        mid, binary = other.market.book.mid, other.position.is_binary == 1
        at_risk = long * unit_loss(binary, other.market.multiplier, True, mid)
        mirror = short * unit_loss(binary, other.market.multiplier, False, mid)
        if mirror > at_risk:
            at_risk = mirror
        total += at_risk
    return total


@kernel
def judge_plan(
    state: EngineState,
    cell: Cell,
    limits: list[float],
    decision: Decision,
    inconsistent: int,
    hook_failed: int,
    now_ns: int,
) -> None:
    """Judge every row on what the guards see, shrink or refuse the plan's orders, and set the latches.

    Args:
        state: Latches; changed.
        cell: The market of the step; changed.
        limits: Its policy as a vector.
        decision: Proposal, plan and context are read; legs, judgement and verdict are written, and what
            the guards leave of the plan's orders.
        inconsistent: Not 0 = the broker reported what our orders cannot explain.
        hook_failed: 1 = the private policy hook failed: nothing new may go out.
        now_ns: The time of the step.
    """
    weigh(cell, limits, decision, hook_failed)
    _latch(state, cell, limits, decision, inconsistent, now_ns)


@kernel
def weigh(cell: Cell, limits: list[float], decision: Decision, hook_failed: int) -> None:
    """Judge every row, shrink or refuse the plan's orders; nothing but the decision is changed.

    Args:
        cell: The market of the step.
        limits: Its policy as a vector.
        decision: As for `judge_plan`.
        hook_failed: 1 = the private policy hook failed: nothing new may go out.
    """
    plan, verdict, judgement = decision.plan, decision.verdict, decision.judgement
    asked = decision.proposed.action
    verdict.mark = OK
    verdict.kept = OK
    verdict.hold = _why_hold(cell, asked, plan)
    judged = HOLD if verdict.hold != OK else asked
    decision.n_legs = 0
    if judged == ACT:
        _write_legs(cell, decision)
    decide(judged, decision.n_legs, decision.legs, decision.context, limits, judgement, hook_failed)
    for i in range(decision.n_legs):
        leg, want = decision.legs[i], plan.wanted[i]
        want.allowed = leg.allowed
        if leg.clamped == 1:
            want.lots = floor_steps(leg.size, cell.market.lot_num, cell.market.lot_den)
    verdict.action = judgement.action
    if verdict.action == EXIT and asked == EXIT and cell.position.lots == 0:
        verdict.mark = NOTHING_TO_EXIT


@kernel
def _why_hold(cell: Cell, asked: int, plan: Plan) -> int:
    """Name what stands against an ACT before any guard is asked; OK = nothing."""
    if asked != ACT:
        return OK
    if cell.session_open == 0:
        return SESSION_CLOSED
    markouts = cell.markouts
    if markouts.untracked > 0:
        done = markouts.done[0]
        for h in range(1, N_HORIZONS):
            done = min(done, markouts.done[h])
        if markouts.added - done >= MAX_PENDING:
            return TOO_MANY_MARKOUTS
    return plan.reason


@kernel
def _write_legs(cell: Cell, decision: Decision) -> None:
    market, plan = cell.market, decision.plan
    for i in range(plan.n_wanted):
        leg, want = decision.legs[i], plan.wanted[i]
        working = find_working(cell.orders, want.side, want.level)
        left = 0 if working < 0 else remaining_lots(cell.orders.slots[working])
        leg.side = want.side
        leg.price = NAN if want.takes == 1 else price_of(want.price_ticks, market.tick_num, market.tick_den)
        leg.size = size_of(cell.position, want.lots)
        leg.lot = float(market.lot_num) / float(market.lot_den)
        leg.min_size = size_of(cell.position, cell.min_lots)
        # What the level gives up stays counted: it may fill until its end is confirmed.
        leg.replaces = size_of(cell.position, min(left, want.lots))
    decision.n_legs = plan.n_wanted


@kernel
def _latch(
    state: EngineState, cell: Cell, limits: list[float], decision: Decision, inconsistent: int, now_ns: int
) -> None:
    """Set and obey what outlives a step: STOP, exit, pauses."""
    verdict, verdicts = decision.verdict, decision.judgement.verdicts
    adverse = verdicts[_ADVERSE_15] == BREACH or verdicts[_ADVERSE_60] == BREACH
    if limits[_ADVERSE_COOLDOWN] > 0.0 and adverse:
        cell.adverse_until_ns = now_ns + _ms_to_ns(limits[_ADVERSE_COOLDOWN])
    if verdicts[_STREAK] == BREACH:
        state.streak_until_ns = now_ns + _ms_to_ns(limits[_STREAK_COOLDOWN])
        state.account.consecutive_losses = 0
    if inconsistent != 0:
        verdict.action = STOP
        verdict.mark = VENUE_INCONSISTENT
    if verdict.action == STOP and state.stopped == OK:
        state.stopped = _stop_code(decision, inconsistent)
        state.stop_step = state.step
    if verdict.action == EXIT and cell.position.lots != 0:
        cell.exiting = 1
    if cell.position.lots == 0:
        cell.exiting = 0
    if state.stopped != OK and verdict.action == ACT:
        verdict.action = STOP
        verdict.mark = STOP_LATCHED
    elif cell.exiting == 1 and (verdict.action == ACT or verdict.action == HOLD or verdict.action == CANCEL):
        verdict.action = EXIT
        verdict.mark = EXITING


@kernel
def _stop_code(decision: Decision, inconsistent: int) -> int:
    if inconsistent != 0:
        return VENUE_INCONSISTENT
    judgement = decision.judgement
    for i in range(judgement.n_refusing):
        row = judgement.refusing[i]
        if _STOPS[row] == 1 and judgement.verdicts[row] == BREACH:
            return _REASONS[row]
    return STOP_PROPOSED
