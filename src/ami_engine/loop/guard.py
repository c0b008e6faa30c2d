"""Judge the plan: the state as the guards see it, their verdict, and the latches it sets."""

import math
from dataclasses import dataclass, field
from typing import Any

from ami_engine.execution.plan import Plan
from ami_engine.features.catalogue import named
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
from ami_engine.kernels.orders import count_open, find_working, remaining_lots
from ami_engine.kernels.records import Cell, open_sizes
from ami_engine.kernels.telemetry import count_recent
from ami_engine.loop.engine import Engine
from decision_schema import reasons
from decision_schema.instruments import floor_steps, price_of, unit_loss
from decision_schema.reasons import NAMES
from decision_schema.types import Action, GuardResult, Proposal
from decision_schema.units import NS_PER_MS, NS_PER_SECOND, UnixNs
from dmc_core.dmc.context import GuardContext, observe
from dmc_core.dmc.decide import Judgement, Leg, decide
from dmc_core.dmc.guards import ACTIONS, BREACH, GUARD_SLOT, GUARDS, MALFORMED, PRESENT, SLOT, limits_of
from dmc_core.dmc.modulator import all_results, clamp_flags, refusal_codes, refusal_names
from dmc_core.dmc.policy_hook import apply_hook
from dmc_core.dmc.risk_policy import RiskPolicy

_FROM_FEATURES = tuple(
    (SLOT[name], index)
    for name, index in (
        ("staleness_ms", STALENESS_MS),
        ("depth", DEPTH),
        ("spread_bps", SPREAD_BPS),
        ("spread_ticks", SPREAD_TICKS),
        ("sigma_spike_z", SIGMA_SPIKE_Z),
        ("sigma_5m", SIGMA_5M),
        ("spread_med_5m", SPREAD_MED_5M),
        ("depth_p10_5m", DEPTH_P10_5M),
        ("staleness_max_5m", STALENESS_MAX_5M),
        ("adverse_15_ticks", ADVERSE_15_TICKS),
        ("adverse_60_ticks", ADVERSE_60_TICKS),
    )
)
_ADVERSE = (GUARD_SLOT["adverse_selection_high_15"], GUARD_SLOT["adverse_selection_high_60"])
_STREAK = GUARD_SLOT["loss_streak"]


@dataclass(slots=True)
class Verdict:
    """What comes of a proposal, and why.

    Args:
        action: Final action.
        reasons: Why, the deciding reason first.
        flags: Names of refusing rows, then remarks.
        codes: Reason codes of the refusals.
        refusals: Full rows of the refusals.
        policy: The policy it was judged by.
    """

    action: Action
    reasons: list[str]
    flags: list[str]
    codes: list[str]
    judgement: Judgement
    context: GuardContext
    policy: RiskPolicy
    legs: list[Leg] = field(default_factory=list)
    refusals: list[GuardResult] = field(default_factory=list)


def guard(
    engine: Engine, cell: Cell, proposal: Proposal, plan: Plan, remarks: list[str], now_ns: UnixNs
) -> Verdict:
    """Judge every row on the state, shrink or refuse the plan's orders, and set the latches."""
    state = engine.state
    own, limits, _ = engine.rules_of(cell)
    policy = own
    context = _context(engine, cell, policy, now_ns)
    hook_flags: list[str] = []
    hook_failed = False
    if engine.policy_hook is not None:
        policy, hook_flags, hook_failed = apply_hook(
            engine.policy_hook, policy, hook_context(cell, context, now_ns)
        )
        state.had_error |= int(hook_failed)
        if policy is not own:  # also its windows and costs count
            limits = limits_of(policy)
            context = _context(engine, cell, policy, now_ns)

    asked = proposal.action
    hold = _why_hold(cell, asked, plan)
    judged = Action.HOLD if hold else asked
    legs = _legs(cell, plan) if judged is Action.ACT else []
    judgement = Judgement()
    decide(ACTIONS.index(judged), legs, context, limits, judgement, no_new_risk=hook_failed)
    for want, leg in zip(plan.wanted, legs, strict=False):
        want.allowed = int(leg.allowed)
        if leg.clamped:
            want.lots = floor_steps(leg.size, cell.market.lot_num, cell.market.lot_den)

    codes = refusal_codes(judgement, legs, context)
    if hook_failed and any(leg.increasing for leg in legs):
        codes.insert(0, NAMES[reasons.POLICY_HOOK_ERROR])
    refusals = all_results(judgement, legs, context, limits, refusals_only=True) if judgement.refusing else []
    action, words = ACTIONS[judgement.action], codes
    if hold and action is Action.HOLD:
        words = [hold]
    elif action is asked and not codes:
        words = list(proposal.reasons)
    if action is Action.EXIT and asked is Action.EXIT and cell.position.lots == 0:
        words = [NAMES[reasons.NOTHING_TO_EXIT]]
    verdict = Verdict(
        action=action,
        reasons=words or list(proposal.reasons),
        flags=[*refusal_names(judgement), *clamp_flags(legs), *hook_flags, *plan.dropped],
        codes=codes,
        judgement=judgement,
        context=context,
        policy=policy,
        legs=legs,
        refusals=refusals,
    )
    _latch(engine, cell, verdict, remarks, now_ns)
    return verdict


def _why_hold(cell: Cell, asked: Action, plan: Plan) -> str:
    """Name what stands against an ACT before any guard is asked; empty = nothing."""
    if asked is not Action.ACT:
        return ""
    if cell.session_open == 0:
        return NAMES[reasons.SESSION_CLOSED]
    if cell.markouts.untracked > 0 and cell.markouts.added - min(cell.markouts.done) >= len(
        cell.markouts.price
    ):
        return NAMES[reasons.TOO_MANY_MARKOUTS]
    return plan.reason


def _context(engine: Engine, cell: Cell, policy: RiskPolicy, now_ns: UnixNs) -> GuardContext:
    state, account, market = engine.state, engine.state.account, cell.market
    context = GuardContext()
    for slot, index in _FROM_FEATURES:
        observe(context, slot, market.features[index])
    window_ns = int(policy.circuit_breaker_window_sec * NS_PER_SECOND)
    cost = market.features[COST_TICKS]
    total = 0.0
    for position in state.positions:
        total += exposure(position)
    for name, value in (
        ("daily_loss_usd", -account.daily_pnl),
        ("drawdown_usd", account.drawdown),
        ("equity_usd", account.equity),
        ("recent_failures", float(count_recent(state.failures, now_ns, window_ns))),
        ("error_rate", state.errors.errors / policy.error_window_steps),
        ("market_exposure_usd", exposure(cell.position)),
        ("total_exposure_usd", total),
        ("abs_inventory", abs(size_of(cell.position, cell.position.lots))),
        ("adverse_cooldown_left_ms", max(0, cell.adverse_until_ns - now_ns) / NS_PER_MS),
        ("consecutive_losses", float(account.consecutive_losses)),
        ("streak_cooldown_left_ms", max(0, state.streak_until_ns - now_ns) / NS_PER_MS),
        ("edge_ticks", policy.tp_ticks - (policy.cost_ticks if math.isnan(cost) else cost)),
        (
            "cancels_in_window",
            float(count_recent(state.cancels, now_ns, policy.cancel_window_ms * NS_PER_MS)),
        ),
        ("ops_cooldown_left_ms", max(0, state.ops_until_ns - now_ns) / NS_PER_MS),
        ("rate_limited_in_window", float(count_recent(state.rate_limits, now_ns, window_ns))),
        ("reconnects_in_window", float(count_recent(state.reconnects, now_ns, window_ns))),
    ):
        slot = SLOT[name]
        context.observed[slot] = value
        context.presence[slot] = PRESENT if math.isfinite(value) else MALFORMED
    context.inventory = size_of(cell.position, cell.position.lots)
    context.open_buy, context.open_sell = open_sizes(cell)
    open_orders = 0
    for other in state.cells:
        open_orders += count_open(other.orders)
    context.open_orders = float(open_orders)
    context.other_exposure = _other_exposure(engine, cell)
    context.mid, context.bid, context.ask = market.book.mid, market.book.bid, market.book.ask
    context.multiplier = market.multiplier
    context.is_binary = cell.position.is_binary == 1
    return context


def _other_exposure(engine: Engine, cell: Cell) -> float:
    """Sum the worst case of all other markets, everything working filled."""
    total = 0.0
    for other in engine.state.cells:
        if other is cell:
            continue
        open_buy, open_sell = open_sizes(other)
        inventory = size_of(other.position, other.position.lots)
        long, short = max(0.0, inventory + open_buy), max(0.0, open_sell - inventory)
        if long == 0.0 and short == 0.0:
            continue
        mid, binary = other.market.book.mid, other.position.is_binary == 1
        multiplier = other.market.multiplier
        total += max(
            long * unit_loss(binary, multiplier, True, mid), short * unit_loss(binary, multiplier, False, mid)
        )
    return total


def hook_context(cell: Cell, context: GuardContext, now_ns: UnixNs) -> dict[str, Any]:
    """Give the private policy hook what the guards see, by name."""
    seen: dict[str, Any] = dict(named(cell.market.features))
    seen.update(
        (name, context.observed[slot])
        for name, slot in SLOT.items()
        if not math.isnan(context.observed[slot])
    )
    seen.update(now_ms=now_ns // NS_PER_MS, inventory=context.inventory)
    return seen


def _legs(cell: Cell, plan: Plan) -> list[Leg]:
    market = cell.market
    lot = market.lot_num / market.lot_den
    legs = []
    for want in plan.wanted:
        working = find_working(cell.orders, want.side, want.level)
        left = 0 if working < 0 else remaining_lots(cell.orders.slots[working])
        price = math.nan if want.takes else price_of(want.price_ticks, market.tick_num, market.tick_den)
        legs.append(
            Leg(
                side=want.side,
                price=price,
                size=size_of(cell.position, want.lots),
                lot=lot,
                min_size=size_of(cell.position, cell.min_lots),
                # What the level gives up stays counted: it may fill until its end is confirmed.
                replaces=size_of(cell.position, min(left, want.lots)),
            )
        )
    return legs


def _latch(engine: Engine, cell: Cell, verdict: Verdict, remarks: list[str], now_ns: UnixNs) -> None:
    """Set and obey what outlives a step: STOP, exit, pauses."""
    state, policy = engine.state, verdict.policy
    verdicts = verdict.judgement.verdicts
    if policy.adverse_cooldown_ms > 0 and any(verdicts[row] == BREACH for row in _ADVERSE):
        cell.adverse_until_ns = now_ns + policy.adverse_cooldown_ms * NS_PER_MS
    if verdicts[_STREAK] == BREACH:
        state.streak_until_ns = now_ns + policy.streak_cooldown_ms * NS_PER_MS
        state.account.consecutive_losses = 0
    if remarks:
        verdict.action = Action.STOP
        verdict.reasons = [NAMES[reasons.VENUE_INCONSISTENT], *remarks]
    if verdict.action is Action.STOP and state.stopped == reasons.OK:
        state.stopped = _stop_code(verdict, remarks)
        state.stop_step = state.step
    if verdict.action is Action.EXIT and cell.position.lots != 0:
        cell.exiting = 1
    if cell.position.lots == 0:
        cell.exiting = 0
    if state.stopped != reasons.OK and verdict.action is Action.ACT:
        verdict.action = Action.STOP
        verdict.reasons = [NAMES[reasons.STOP_LATCHED], *verdict.codes]
    elif cell.exiting == 1 and verdict.action in (Action.ACT, Action.HOLD, Action.CANCEL):
        verdict.action = Action.EXIT
        verdict.reasons = [NAMES[reasons.EXITING], *verdict.codes]


def _stop_code(verdict: Verdict, remarks: list[str]) -> int:
    if remarks:
        return reasons.VENUE_INCONSISTENT
    for row in verdict.judgement.refusing:
        if GUARDS[row].severity is Action.STOP and verdict.judgement.verdicts[row] == BREACH:
            return GUARDS[row].reason
    return reasons.STOP_PROPOSED
