"""From verdicts to one decision: each leg on its projected worst case, then the action.

A leg increases risk unless it cannot flip the position even if everything on its side fills.
Refusals stop only what increases risk; the worst case of a buy is the position and every buy
that works, waits for its cancel, is of unknown state, or is wanted, all filled (a sale: the
mirror).
"""

import math
from dataclasses import dataclass, field

from decision_schema.instruments import unit_loss
from decision_schema.kernel import kernel
from dmc_core.dmc.context import GuardContext
from dmc_core.dmc.guards import (
    ABSENT,
    FIRST_LEG_ROW,
    LIMIT_SLOT,
    MALFORMED,
    N_GUARDS,
    N_LEG_ROWS,
    OFF,
    PRESENT,
    SEVERITY,
    SLOT,
    VALUE_SLOT,
)
from dmc_core.dmc.judge import judge

ACT, HOLD, CANCEL, EXIT, STOP = 0, 1, 2, 3, 4
"""Actions by severity, as in guards.ACTIONS."""

MAX_LEGS = 16
"""Most orders of one proposal."""
FLAT_TOLERANCE = 1e-9
"""Sizes that differ by less than this part are equal: sums of decimal sizes are not exact."""

NAN = math.nan
_NO_FRACTION = 2.0**53
_MARKET = SLOT["projected_market_exposure_usd"]
_TOTAL = SLOT["projected_total_exposure_usd"]
_INVENTORY = SLOT["projected_abs_inventory"]
_OPEN = SLOT["projected_open_orders"]
_VALUE = SLOT["order_value_usd"]
_TOTAL_NOW = SLOT["total_exposure_usd"]
_MARKET_NOW = SLOT["market_exposure_usd"]
_MAX_MARKET = LIMIT_SLOT["max_per_market_usd"]
_MAX_TOTAL = LIMIT_SLOT["max_total_exposure_usd"]
_MAX_INVENTORY = LIMIT_SLOT["max_abs_inventory"]
_MAX_OPEN = LIMIT_SLOT["max_open_orders"]
_MIN_VALUE = LIMIT_SLOT["min_order_usd"]
_LEG_SLOTS = VALUE_SLOT[FIRST_LEG_ROW:]
_MARKET_ROW = 1 << VALUE_SLOT.index(_MARKET)
_SEVERER = tuple(
    sum(1 << row for row in range(FIRST_LEG_ROW) if SEVERITY[row] > action) for action in range(STOP + 1)
)
"""By action: bits of the rows whose breach asks for more than it."""


@dataclass(slots=True)
class Leg:
    """One wanted order, before and after judgement.

    Args:
        side: +1 buy, -1 sell, 0 = an ACT that names no terms.
        price: Limit; nan = take.
        size: Units of base; shrunk where a limit clamps.
        lot: Sizes shrink to whole multiples of it; 0 = any size.
        min_size: A leg that would shrink below it is refused instead.
        replaces: What still works of the order it would replace in one act.
        increasing: Written: 1 = it can increase risk.
        allowed: Written: 1 = it may go out.
        clamped: Written: 1 = its size was shrunk.
        values: Written: observed numbers of the leg rows, in the order of LEG_ROWS.
        presence: Written: their presence.
        verdicts: Written: their verdicts.
    """

    side: int = 0
    price: float = NAN
    size: float = 0.0
    lot: float = 0.0
    min_size: float = 0.0
    replaces: float = 0.0
    increasing: int = 1
    allowed: int = 0
    clamped: int = 0
    values: list[float] = field(default_factory=lambda: [NAN] * N_LEG_ROWS)
    presence: list[int] = field(default_factory=lambda: [ABSENT] * N_LEG_ROWS)
    verdicts: list[int] = field(default_factory=lambda: [OFF] * N_LEG_ROWS)


@dataclass(slots=True)
class Worst:
    """Worst position on both sides, its dearest price, and the orders working, as legs are added."""

    long: float = NAN
    short: float = NAN
    long_price: float = NAN
    short_price: float = NAN
    orders: float = NAN


@dataclass(slots=True)
class Judgement:
    """What the guards say of one proposal.

    Args:
        action: The final one, by severity number.
        n_refusing: Rows that refuse; so many entries of `refusing`, in table order.
        verdicts: By row; rows of legs: of the account as it is, nothing new wanted.
        worst: Scratch: the worst case as far as legs were allowed; `after` with the leg at hand filled.
    """

    action: int = HOLD
    n_refusing: int = 0
    refusing: list[int] = field(default_factory=lambda: [0] * N_GUARDS)
    verdicts: list[int] = field(default_factory=lambda: [OFF] * N_GUARDS)
    worst: Worst = field(default_factory=Worst)
    after: Worst = field(default_factory=Worst)


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
    _see_worst(context, out.worst)  # the rows of legs, left as the account is
    _project(context, out.worst, limits, 0, 0, NAN)
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
def _see_worst(context: GuardContext, worst: Worst) -> None:
    below = context.inventory if context.signed == 1 else -context.inventory
    worst.long = context.inventory + context.open_buy
    worst.short = below - context.open_sell
    worst.long_price = context.mid
    worst.short_price = context.mid
    worst.orders = context.open_orders


@kernel
def _judge_legs(
    n_legs: int, legs: list[Leg], context: GuardContext, limits: list[float], out: Judgement, blocked: int
) -> int:
    """Judge the legs in turn, each on what those allowed before it add; return bits of the refusing rows."""
    refusing = 0
    worst, after = out.worst, out.after
    _see_worst(context, worst)
    for k in range(n_legs):
        leg = legs[k]
        base = _base(leg, worst)
        leg.clamped = 0
        leg.increasing = 1
        if leg.side != 0 and context.opens_known == 1 and _cannot_flip(base, leg):
            leg.increasing = 0
        _fill_leg(leg, worst, context, after)
        if leg.increasing == 1 and leg.side != 0:
            _clamp(leg, base, after, context, limits)
            if leg.clamped == 1:
                _fill_leg(leg, worst, context, after)
        value = NAN if leg.side == 0 else leg.size * context.multiplier * abs(_price(leg, context))
        _project(context, after, limits, 1, leg.side, value)
        breaches, unknowns = judge(
            FIRST_LEG_ROW, N_GUARDS, context.observed, context.presence, limits, out.verdicts
        )
        for row in range(N_LEG_ROWS):
            slot = _LEG_SLOTS[row]
            leg.values[row] = context.observed[slot]
            leg.presence[row] = context.presence[slot]
            leg.verdicts[row] = out.verdicts[FIRST_LEG_ROW + row]
        if leg.side == 0 and context.presence[_MARKET] == ABSENT:
            unknowns &= ~_MARKET_ROW  # without terms and a price nothing can be asked of that exposure
        leg.allowed = 1
        if leg.increasing == 1:
            refusing |= breaches | unknowns
            if blocked == 1 or breaches | unknowns != 0:
                leg.allowed = 0
                if context.opens_known == 1:
                    _keep_what_reduces(leg, base)
                    _fill_leg(leg, worst, context, after)
        if leg.allowed == 1:
            # What a level gives up still counts: it is not confirmed before the next leg leaves.
            if after.long > worst.long:
                worst.long = after.long
            if after.short < worst.short:
                worst.short = after.short
            worst.long_price = after.long_price
            worst.short_price = after.short_price
            worst.orders = after.orders
    return refusing


@kernel
def _base(leg: Leg, worst: Worst) -> float:
    """Give the worst position on the leg's side before it: its own predecessor is not counted twice."""
    return worst.long - leg.replaces if leg.side > 0 else worst.short + leg.replaces


@kernel
def _fill_leg(leg: Leg, worst: Worst, context: GuardContext, after: Worst) -> None:
    """Write the worst case with this leg filled, too."""
    after.long = worst.long
    after.short = worst.short
    after.long_price = worst.long_price
    after.short_price = worst.short_price
    after.orders = worst.orders
    if leg.side == 0:
        return
    price = _price(leg, context)
    if worst.long_price != worst.long_price:
        after.long_price = price
    if worst.short_price != worst.short_price:
        after.short_price = price
    if not leg.replaces > 0.0:
        after.orders = worst.orders + 1.0
    if leg.side > 0:
        after.long_price = _dearer(after.long_price, price, context, 1)
        after.long = _base(leg, worst) + leg.size
    else:
        after.short_price = _dearer(after.short_price, price, context, 0)
        after.short = _base(leg, worst) - leg.size


@kernel
def _price(leg: Leg, context: GuardContext) -> float:
    """Give the leg's own price; a taking leg pays the far touch, else the mid."""
    if leg.price == leg.price:
        return leg.price
    touch = context.ask if leg.side > 0 else context.bid
    return touch if touch == touch else context.mid


@kernel
def _dearer(known: float, price: float, context: GuardContext, long: int) -> float:
    """Give the price at which more is at risk; a binary short risks more at the lower one."""
    if price != price:
        return known
    if context.is_binary == 1 and long == 0:
        if price < known:
            return price
        return known
    return _larger(abs(known), abs(price))


@kernel
def _cannot_flip(base: float, leg: Leg) -> bool:
    slack = FLAT_TOLERANCE * _larger(abs(base), leg.size)
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
    price = after.long_price if leg.side > 0 else after.short_price
    loss = unit_loss(context.is_binary == 1, context.multiplier, leg.side > 0, price)
    most = limits[_MAX_INVENTORY]
    if loss > 0.0:
        in_market = limits[_MAX_MARKET] / loss
        in_account = (limits[_MAX_TOTAL] - context.other_exposure) / loss
        if in_market < most:
            most = in_market
        if in_account < most:
            most = in_account
    room = most - float(leg.side) * base
    fits = room + FLAT_TOLERANCE * abs(most) >= leg.size
    if fits or not (room - room == 0.0 and leg.size - leg.size == 0.0):
        return
    if leg.lot > 0.0:
        room = _whole(room / leg.lot + FLAT_TOLERANCE) * leg.lot
    if room > 0.0 and room >= leg.min_size:
        leg.size = room
        leg.clamped = 1


@kernel
def _at_risk(units: float, price: float, long: bool, context: GuardContext) -> float:
    """Give the most that a side can lose; no units lose nothing at any price."""
    if units <= 0.0:
        return 0.0
    return units * unit_loss(context.is_binary == 1, context.multiplier, long, price)


@kernel
def _larger(a: float, b: float) -> float:
    """Give the larger of two; nan where either is."""
    if a != a or b != b:
        return a + b
    if b > a:
        return b
    return a


@kernel
def _project(
    context: GuardContext, worst: Worst, limits: list[float], has_leg: int, side: int, value: float
) -> None:
    """Write the observed numbers of the leg rows for a worst case, a leg of that side (if any) included."""
    at_risk_long = _at_risk(worst.long, worst.long_price, True, context)
    at_risk_short = _at_risk(-worst.short, worst.short_price, False, context)
    either = _larger(at_risk_long, at_risk_short)
    if side == 0:
        market = either
        inventory = _larger(abs(worst.long), abs(worst.short))
    else:
        market = at_risk_long if side > 0 else at_risk_short
        inventory = abs(worst.long) if side > 0 else abs(worst.short)
    total = context.other_exposure + either
    if has_leg == 1 and side == 0 and total != total:
        # No terms and no mid: what the caller says is at risk now is all that can be judged.
        market = context.observed[_MARKET_NOW]
        total = context.observed[_TOTAL_NOW]
    _put(context, _INVENTORY, inventory, limits[_MAX_INVENTORY])
    _put(context, _MARKET, market, limits[_MAX_MARKET])
    _put(context, _TOTAL, total, limits[_MAX_TOTAL])
    _put(context, _OPEN, worst.orders, limits[_MAX_OPEN])
    _put(context, _VALUE, value, limits[_MIN_VALUE])


@kernel
def _put(context: GuardContext, slot: int, number: float, limit: float) -> None:
    """Write an observed number; one that differs from its limit only by the rounding of sums is the limit."""
    context.observed[slot] = limit if abs(number - limit) <= FLAT_TOLERANCE * abs(limit) else number
    if context.presence[slot] != MALFORMED:  # an input that cannot be used stays so
        context.presence[slot] = ABSENT if number != number else PRESENT
