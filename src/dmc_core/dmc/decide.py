"""From verdicts to one decision: each leg on its projected worst case, then the action.

A leg increases risk unless it cannot flip the position even if everything on its side fills.
Refusals stop only what increases risk; the worst case of a buy is the position and every buy
that works, waits for its cancel, is of unknown state, or is wanted, all filled (a sale: the
mirror).
"""

import math
from dataclasses import dataclass, field

from decision_schema.kernel import kernel
from dmc_core.dmc.context import GuardContext
from dmc_core.dmc.guards import (
    ABSENT,
    FIRST_LEG_ROW,
    N_GUARDS,
    N_LEG_ROWS,
    OFF,
    SEVERITY,
    VALUE_SLOT,
)
from dmc_core.dmc.judge import judge
from dmc_core.dmc.measures import larger
from dmc_core.dmc.worst_case import (
    FLAT_TOLERANCE,
    NO_TERMS_ROWS,
    Leg,
    Worst,
    base_of,
    choose_numbers,
    fill_leg,
    project,
    room_of,
    see_worst,
    take_leg,
)

ACT, HOLD, CANCEL, EXIT, STOP = 0, 1, 2, 3, 4
"""Actions by severity, as in guards.ACTIONS."""

MAX_LEGS = 16
"""Most orders of one proposal."""
_NO_FRACTION = 2.0**53
_LEG_SLOTS = VALUE_SLOT[FIRST_LEG_ROW:]
_SEVERER = tuple(
    sum(1 << row for row in range(FIRST_LEG_ROW) if SEVERITY[row] > action) for action in range(STOP + 1)
)
"""By action: bits of the rows whose breach asks for more than it."""


@dataclass(slots=True)
class Judgement:
    """What the guards say of one proposal.

    Args:
        action: The final one, by severity number.
        n_refusing: Rows that refuse; so many entries of `refusing`, in table order.
        verdicts: By row; rows of legs: of the account as it is, nothing new wanted.
        worst: Scratch: the worst case as far as legs were allowed; `after` with the leg at hand filled.
        nothing: Scratch: no leg.
    """

    action: int = HOLD
    n_refusing: int = 0
    refusing: list[int] = field(default_factory=lambda: [0] * N_GUARDS)
    verdicts: list[int] = field(default_factory=lambda: [OFF] * N_GUARDS)
    worst: Worst = field(default_factory=Worst)
    after: Worst = field(default_factory=Worst)
    nothing: Leg = field(default_factory=Leg)


@kernel
def decide(
    action: int,
    n_legs: int,
    legs: list[Leg],
    context: GuardContext,
    limits: list[float],
    out: Judgement,
    no_new_risk: int,
) -> None:
    """Judge every row, every leg, and the action.

    Args:
        action: The proposed one, by severity number.
        n_legs: Wanted orders of an ACT; 0 = pull all.
        legs: The first `n_legs` are written with their judgement.
        context: Observed state.
        limits: The policy as a vector.
        out: Written: final action, verdicts, refusing rows.
        no_new_risk: 1 = legs that increase risk are refused whatever the rows say.
    """
    breaches, unknowns = judge(0, FIRST_LEG_ROW, context.observed, context.presence, limits, out.verdicts)
    choose_numbers(context, limits)
    refusing_legs = 0
    wants_risk = 0
    survives = 0
    if action == ACT:
        if n_legs == 0:
            survives = 1
        else:
            blocked = 1 if no_new_risk == 1 or breaches | unknowns != 0 else 0
            refusing_legs = _judge_legs(n_legs, legs, context, limits, out, blocked)
        for k in range(n_legs):
            if legs[k].allowed == 1:
                survives = 1
            if legs[k].increasing == 1:
                wants_risk = 1
    see_worst(context, out.worst)  # the rows of legs, left as the account is
    project(context, out.worst, out.worst, limits, 0, out.nothing)
    judge(FIRST_LEG_ROW, N_GUARDS, context.observed, context.presence, limits, out.verdicts)

    severest = HOLD
    while breaches & _SEVERER[severest] != 0:
        severest += 1
    if action == ACT:
        out.action = ACT if survives == 1 and severest < EXIT else severest
    else:
        out.action = max(severest, action)
    refusing = breaches | unknowns
    if wants_risk == 0:
        refusing = breaches & _SEVERER[max(action, HOLD)]
    refusing |= refusing_legs
    n = 0
    row = 0
    while refusing != 0:
        if refusing & 1 == 1:
            out.refusing[n] = row
            n += 1
        refusing >>= 1
        row += 1
    out.n_refusing = n


@kernel
def _judge_legs(
    n_legs: int, legs: list[Leg], context: GuardContext, limits: list[float], out: Judgement, blocked: int
) -> int:
    """Judge the legs in turn, each on what those allowed before it add; return bits of the refusing rows."""
    refusing = 0
    worst, after = out.worst, out.after
    see_worst(context, worst)
    for k in range(n_legs):
        leg = legs[k]
        base = base_of(leg, worst)
        leg.wanted = leg.size
        leg.clamped = 0
        leg.increasing = 1
        if leg.side != 0 and context.opens_known == 1 and _cannot_flip(base, leg):
            leg.increasing = 0
        fill_leg(leg, worst, context, after)
        if leg.increasing == 1 and leg.side != 0:
            _clamp(leg, base, after, context, limits)
            if leg.clamped == 1:
                fill_leg(leg, worst, context, after)
        project(context, after, worst, limits, 1, leg)
        breaches, unknowns = judge(
            FIRST_LEG_ROW, N_GUARDS, context.observed, context.presence, limits, out.verdicts
        )
        for row in range(N_LEG_ROWS):
            slot = _LEG_SLOTS[row]
            leg.values[row] = context.observed[slot]
            leg.presence[row] = context.presence[slot]
            leg.verdicts[row] = out.verdicts[FIRST_LEG_ROW + row]
        if leg.side == 0:  # without terms and a price nothing can be asked of an order and its exposure
            for row in range(N_LEG_ROWS):
                if leg.presence[row] == ABSENT:
                    unknowns &= ~(NO_TERMS_ROWS & 1 << (FIRST_LEG_ROW + row))
        leg.allowed = 1
        if leg.increasing == 1:
            refusing |= breaches | unknowns
            if blocked == 1 or breaches | unknowns != 0:
                leg.allowed = 0
                if context.opens_known == 1:
                    _keep_what_reduces(leg, base)
                    fill_leg(leg, worst, context, after)
        if leg.allowed == 1:
            take_leg(after, worst)
    return refusing


@kernel
def _cannot_flip(base: float, leg: Leg) -> bool:
    slack = FLAT_TOLERANCE * larger(abs(base), leg.size)
    after = base + float(leg.side) * leg.size
    return after <= slack if leg.side > 0 else after >= -slack  # nan compares false: increasing


@kernel
def _whole(value: float) -> float:
    """Round down; beyond 2**53 a float is whole."""
    return float(math.floor(value)) if abs(value) < _NO_FRACTION else value


@kernel
def _keep_what_reduces(leg: Leg, base: float) -> None:
    """Shrink a refused leg that would flip the position to the part that closes it."""
    closes = -base * float(leg.side)
    if leg.lot > 0.0:
        closes = _whole(closes / leg.lot + FLAT_TOLERANCE) * leg.lot if closes > 0.0 else 0.0
    if closes > 0.0 and closes >= leg.min_size:
        leg.size = closes
        leg.clamped = 1
        leg.allowed = 1


@kernel
def _clamp(leg: Leg, base: float, after: Worst, context: GuardContext, limits: list[float]) -> None:
    """Shrink an increasing leg to what the position and exposure limits leave."""
    most = room_of(leg, after, context, limits)
    room = most - float(leg.side) * base
    fits = room + FLAT_TOLERANCE * abs(most) >= leg.size
    if fits or not (room - room == 0.0 and leg.size - leg.size == 0.0):
        return
    if leg.lot > 0.0:
        room = _whole(room / leg.lot + FLAT_TOLERANCE) * leg.lot
    if room > 0.0 and room >= leg.min_size:
        leg.size = room
        leg.clamped = 1
