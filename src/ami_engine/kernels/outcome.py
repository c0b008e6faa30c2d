"""What a step came to, laid out flat: so that a compiled step is read with two copies, not field by field.

Two lists, one of whole numbers and one of floats. What every step has stands at fixed places; what there
may be more or less of follows, one kind after the other, with its count among the fixed ones.
"""

from dataclasses import dataclass, field

from ami_engine.kernels.decision import Decision
from ami_engine.kernels.features import N_FEATURES
from ami_engine.kernels.orders import FREE
from ami_engine.kernels.records import Cell, EngineState
from decision_schema.kernel import kernel
from dmc_core.dmc.guards import N_GUARDS, N_LEG_ROWS, N_OBSERVED

# Places of whole numbers.
ACTION, HOLD_CODE, MARK, KEPT, JUDGED, PROPOSED, REASON = 0, 1, 2, 3, 4, 5, 6
N_REFUSING, N_LEGS, N_WANTED, N_DROPPED, TERMS_FROM, N_MESSAGES = 7, 8, 9, 10, 11, 12
STEP, STOPPED, STOP_STEP, FILLS_BOUGHT, FILLS_SOLD = 13, 14, 15, 16, 17
N_POSITIONS, N_OPEN, N_EXITING, USED = 18, 19, 20, 21
N_UNKNOWN, N_UNSEEN = 22, 23
"""How many features are nan, and how many of the guards' numbers are not finite; their places follow."""
VERDICTS = 24
TAIL = VERDICTS + N_GUARDS
LEG_INTS = 4 + 2 * N_LEG_ROWS
"""Of a leg: side, increasing, allowed, clamped; presence and verdicts of its rows."""
WANTED_INTS = 6
"""Of a wanted order: side, level, takes, ticks, lots, allowed."""
MESSAGE_INTS = 15
"""Of a message: op, cell, slot, step, leg, old slot, side, takes, ticks, lots, tif, post only, reduce only,
level, old step."""

# Places of floats.
CONFIDENCE, VALUE, DETAIL = 0, 1, 2
EQUITY, REALIZED, UNREALIZED, FEES, MAX_DRAWDOWN, FUNDING = 3, 4, 5, 6, 7, 8
FEATURES = 10
OBSERVED = FEATURES + N_FEATURES
FLOAT_TAIL = OBSERVED + N_OBSERVED
LEG_FLOATS = 1 + N_LEG_ROWS
"""Of a leg: its size, and the observed numbers of its rows."""

MAX_INTS = 1 << 16
MAX_FLOATS = FLOAT_TAIL + 16 * LEG_FLOATS


@dataclass(slots=True)
class Outcome:
    """The two lists."""

    ints: list[int] = field(default_factory=lambda: [0] * MAX_INTS)
    floats: list[float] = field(default_factory=lambda: [0.0] * MAX_FLOATS)


@kernel
def write_outcome(out: Outcome, state: EngineState, cells: list[Cell], decision: Decision, at: int) -> None:
    """Lay out what the step of market `at` came to; `USED` says how many whole numbers there are."""
    ints, floats = out.ints, out.floats
    verdict, judgement = decision.verdict, decision.judgement
    plan, proposed = decision.plan, decision.proposed
    ints[ACTION] = verdict.action
    ints[HOLD_CODE] = verdict.hold
    ints[MARK] = verdict.mark
    ints[KEPT] = verdict.kept
    ints[JUDGED] = judgement.action
    ints[PROPOSED] = proposed.action
    ints[REASON] = proposed.reason
    ints[N_REFUSING] = judgement.n_refusing
    ints[N_LEGS] = decision.n_legs
    ints[N_WANTED] = plan.n_wanted
    ints[N_DROPPED] = plan.n_dropped
    ints[TERMS_FROM] = plan.terms_from
    ints[N_MESSAGES] = decision.n_messages
    ints[STEP] = state.step
    ints[STOPPED] = state.stopped
    ints[STOP_STEP] = state.stop_step
    ints[FILLS_BOUGHT] = state.fills_bought
    ints[FILLS_SOLD] = state.fills_sold
    for i in range(N_GUARDS):
        ints[VERDICTS + i] = judgement.verdicts[i]
    account = state.account
    floats[CONFIDENCE] = proposed.confidence
    floats[VALUE] = proposed.value
    floats[DETAIL] = proposed.detail
    floats[EQUITY] = account.equity
    floats[REALIZED] = account.realized
    floats[UNREALIZED] = account.unrealized
    floats[FEES] = account.fees
    floats[MAX_DRAWDOWN] = account.max_drawdown
    floats[FUNDING] = account.funding
    place = _write_seen(ints, floats, decision, cells[at].market.features)
    ints[USED] = _write_state(ints, _write_orders(ints, floats, decision, place), state, cells)


@kernel
def _write_seen(ints: list[int], floats: list[float], decision: Decision, features: list[float]) -> int:
    """Lay out what the model and the guards saw; give the next free place.

    The places of features that are nan come first, then those of the guards' numbers that are not finite;
    where rows refuse: which ones, and the presence of all numbers.
    """
    context, judgement, at = decision.context, decision.judgement, TAIL
    for i in range(N_FEATURES):
        floats[FEATURES + i] = features[i]
        if features[i] != features[i]:
            ints[at] = i
            at += 1
    ints[N_UNKNOWN] = at - TAIL
    for i in range(N_OBSERVED):
        floats[OBSERVED + i] = context.observed[i]
        if context.observed[i] - context.observed[i] != 0.0:
            ints[at] = i
            at += 1
    ints[N_UNSEEN] = at - TAIL - ints[N_UNKNOWN]
    if judgement.n_refusing > 0:
        for i in range(judgement.n_refusing):
            ints[at] = judgement.refusing[i]
            at += 1
        for i in range(N_OBSERVED):
            ints[at] = context.presence[i]
            at += 1
    return at


@kernel
def _write_orders(ints: list[int], floats: list[float], decision: Decision, at: int) -> int:
    """Lay out legs, wanted orders, dropped ones and messages; give the next free place."""
    plan = decision.plan
    for k in range(decision.n_legs):
        leg = decision.legs[k]
        ints[at] = leg.side
        ints[at + 1] = leg.increasing
        ints[at + 2] = leg.allowed
        ints[at + 3] = leg.clamped
        place = FLOAT_TAIL + k * LEG_FLOATS
        floats[place] = leg.size
        for row in range(N_LEG_ROWS):
            ints[at + 4 + row] = leg.presence[row]
            ints[at + 4 + N_LEG_ROWS + row] = leg.verdicts[row]
            floats[place + 1 + row] = leg.values[row]
        at += LEG_INTS
    for k in range(plan.n_wanted):
        want = plan.wanted[k]
        ints[at] = want.side
        ints[at + 1] = want.level
        ints[at + 2] = want.takes
        ints[at + 3] = want.price_ticks
        ints[at + 4] = want.lots
        ints[at + 5] = want.allowed
        at += WANTED_INTS
    for k in range(plan.n_dropped):
        ints[at] = plan.dropped[k]
        at += 1
    for k in range(decision.n_messages):
        m = decision.messages[k]
        ints[at] = m.op
        ints[at + 1] = m.cell
        ints[at + 2] = m.slot
        ints[at + 3] = m.step
        ints[at + 4] = m.leg
        ints[at + 5] = m.old_slot
        ints[at + 6] = m.side
        ints[at + 7] = m.takes
        ints[at + 8] = m.price_ticks
        ints[at + 9] = m.lots
        ints[at + 10] = m.tif
        ints[at + 11] = m.post_only
        ints[at + 12] = m.reduce_only
        ints[at + 13] = m.level
        ints[at + 14] = m.old_step
        at += MESSAGE_INTS
    return at


@kernel
def _write_state(ints: list[int], at: int, state: EngineState, cells: list[Cell]) -> int:
    """Lay out positions (cell, lots), open orders (cell, slot, status, lots) and exiting markets."""
    n_positions = 0
    for c in range(state.n_cells):
        if cells[c].position.lots != 0:
            ints[at] = c
            ints[at + 1] = cells[c].position.lots
            at += 2
            n_positions += 1
    n_open = 0
    for c in range(state.n_cells):
        orders = cells[c].orders
        for i in range(orders.used):
            slot = orders.slots[i]
            if slot.status != FREE and at + 4 < MAX_INTS - 256:
                ints[at] = c
                ints[at + 1] = i
                ints[at + 2] = slot.status
                ints[at + 3] = slot.lots - slot.filled_lots
                at += 4
                n_open += 1
    n_exiting = 0
    for c in range(state.n_cells):
        if cells[c].exiting == 1:
            ints[at] = c
            at += 1
            n_exiting += 1
    ints[N_POSITIONS] = n_positions
    ints[N_OPEN] = n_open
    ints[N_EXITING] = n_exiting
    return at
