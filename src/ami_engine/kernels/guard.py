"""Judge the plan: the state as the guards see it, their verdict, and the latches it sets."""

import math

from ami_engine.kernels.decision import Decision, Plan
from ami_engine.kernels.ledger import size_of
from ami_engine.kernels.markouts import MAX_PENDING, N_HORIZONS
from ami_engine.kernels.observed import executions_now
from ami_engine.kernels.orders import Wanted, find_working, remaining_lots
from ami_engine.kernels.plan import ns_of
from ami_engine.kernels.recent_orders import twin_age_ms
from ami_engine.kernels.records import Cell, EngineState
from decision_schema.instruments import floor_steps, price_of
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
from dmc_core.dmc.decide import ACT, CANCEL, EXIT, HOLD, STOP, decide
from dmc_core.dmc.guards import BREACH, GUARD_SLOT, GUARDS, LIMIT_SLOT

NAN = math.nan

_ADVERSE_COOLDOWN = LIMIT_SLOT["adverse_cooldown_ms"]
_STREAK_COOLDOWN = LIMIT_SLOT["streak_cooldown_ms"]
_VOLATILITY_PAUSE = LIMIT_SLOT["volatility_pause_ms"]
_DUPLICATE = LIMIT_SLOT["duplicate_window_ms"]

_ADVERSE_15 = GUARD_SLOT["adverse_selection_high_15"]
_ADVERSE_60 = GUARD_SLOT["adverse_selection_high_60"]
_STREAK = GUARD_SLOT["loss_streak"]
_HALT = GUARD_SLOT["volatility_halt"]
_JUMP = GUARD_SLOT["jump"]
_JUMP_NOISE = GUARD_SLOT["jump_noise"]
_REPEATED = GUARD_SLOT["repeated_execution"]
_STOPS = tuple(int(guard.severity is Action.STOP) for guard in GUARDS)
_REASONS = tuple(guard.reason for guard in GUARDS)


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
    weigh(cell, limits, decision, hook_failed, now_ns)
    _latch(state, cell, limits, decision, inconsistent, now_ns)


@kernel
def weigh(cell: Cell, limits: list[float], decision: Decision, hook_failed: int, now_ns: int) -> None:
    """Judge every row, shrink or refuse the plan's orders; nothing but the decision is changed.

    Args:
        cell: The market of the step.
        limits: Its policy as a vector.
        decision: As for `judge_plan`.
        hook_failed: 1 = the private policy hook failed: nothing new may go out.
        now_ns: The time of the step.
    """
    plan, verdict, judgement = decision.plan, decision.verdict, decision.judgement
    asked = decision.proposed.action
    verdict.mark = OK
    verdict.kept = OK
    verdict.hold = _why_hold(cell, asked, plan)
    judged = HOLD if verdict.hold != OK else asked
    decision.n_legs = 0
    if judged == ACT:
        _write_legs(cell, limits, decision, now_ns)
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
def _write_legs(cell: Cell, limits: list[float], decision: Decision, now_ns: int) -> None:
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
        leg.keeps = 0
        leg.twin_age_ms = NAN
        if working >= 0 and want.takes == 0 and left <= want.lots:
            leg.keeps = int(cell.orders.slots[working].price_ticks == want.price_ticks)
        if limits[_DUPLICATE] > 0.0 and leg.keeps == 0:
            leg.twin_age_ms = twin_age_ms(cell.recent, want, now_ns)
            for k in range(i):
                if _is_twin(plan.wanted[k], want) and decision.legs[k].keeps == 0:
                    leg.twin_age_ms = 0.0
    decision.n_legs = plan.n_wanted


@kernel
def _is_twin(a: Wanted, b: Wanted) -> bool:
    same_price = a.takes == b.takes and (a.takes == 1 or a.price_ticks == b.price_ticks)
    return same_price and a.side == b.side and a.lots == b.lots


@kernel
def _latch(
    state: EngineState, cell: Cell, limits: list[float], decision: Decision, inconsistent: int, now_ns: int
) -> None:
    """Set and obey what outlives a step: STOP, exit, pauses."""
    verdict, verdicts = decision.verdict, decision.judgement.verdicts
    adverse = verdicts[_ADVERSE_15] == BREACH or verdicts[_ADVERSE_60] == BREACH
    if limits[_ADVERSE_COOLDOWN] > 0.0 and adverse:
        cell.adverse_until_ns = now_ns + ns_of(limits[_ADVERSE_COOLDOWN])
    if verdicts[_STREAK] == BREACH:
        state.streak_until_ns = now_ns + ns_of(limits[_STREAK_COOLDOWN])
        state.account.consecutive_losses = 0
    violent = verdicts[_HALT] == BREACH or verdicts[_JUMP] == BREACH or verdicts[_JUMP_NOISE] == BREACH
    if limits[_VOLATILITY_PAUSE] > 0.0 and violent:
        cell.sanity.pause_until_ns = now_ns + ns_of(limits[_VOLATILITY_PAUSE])
    if verdicts[_REPEATED] == BREACH and state.tripped_executions == 0:
        state.tripped_executions = executions_now(state, limits, now_ns)
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
def enable_executions(state: EngineState) -> None:
    """Let trading go on after repeated executions disabled it: only for a person, with a reason on record.

    The fills before it count no more.

    Source: Commission Delegated Regulation (EU) 2017/589, Art. 15(3).
    """
    state.tripped_executions = 0
    state.executions_since = state.executions.added


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
