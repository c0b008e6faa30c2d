"""From verdicts to one decision: each leg on its projected worst case, then the action.

A leg increases risk unless it cannot flip the position even if everything on its side fills.
Refusals stop only what increases risk; the worst case of a buy is the position and every buy
that works, waits for its cancel, is of unknown state, or is wanted, all filled (a sale: the
mirror).
"""

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from decision_schema.instruments import unit_loss
from dmc_core.dmc.context import GuardContext
from dmc_core.dmc.guards import (
    ABSENT,
    BREACH,
    LEG_ROWS,
    LIMIT_SLOT,
    MALFORMED,
    MARKET_ROWS,
    N_GUARDS,
    OFF,
    PRESENT,
    SEVERITY,
    SLOT,
    UNKNOWN,
    VALUE_SLOT,
)
from dmc_core.dmc.judge import judge

ACT, HOLD, CANCEL, EXIT, STOP = 0, 1, 2, 3, 4
"""Actions by severity, as in guards.ACTIONS."""

FLAT_TOLERANCE = 1e-9
"""Sizes that differ by less than this part are equal: sums of decimal sizes are not exact."""

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
_LEG_SLOTS = tuple(VALUE_SLOT[i] for i in LEG_ROWS)


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
        increasing: Written: whether it can increase risk.
        allowed: Written: whether it may go out.
        clamped: Written: whether its size was shrunk.
        values: Written: observed numbers of the leg rows, in the order of LEG_ROWS.
        presence: Written: their presence.
        verdicts: Written: their verdicts.
    """

    side: int
    price: float
    size: float
    lot: float = 0.0
    min_size: float = 0.0
    replaces: float = 0.0
    increasing: bool = True
    allowed: bool = False
    clamped: bool = False
    values: list[float] = field(default_factory=list)
    presence: list[int] = field(default_factory=list)
    verdicts: list[int] = field(default_factory=list)


@dataclass(slots=True)
class Judgement:
    """What the guards say of one proposal.

    Args:
        action: The final one, by severity number.
        verdicts: By row; rows of legs: of the account as it is, nothing new wanted.
        refusing: Rows that refuse, in table order.
    """

    action: int = HOLD
    verdicts: list[int] = field(default_factory=lambda: [OFF] * N_GUARDS)
    refusing: list[int] = field(default_factory=list)


def decide(
    action: int,
    legs: list[Leg],
    context: GuardContext,
    limits: list[float],
    out: Judgement,
    *,
    no_new_risk: bool = False,
) -> None:
    """Judge every row, every leg, and the action.

    Args:
        action: The proposed one, by severity number.
        legs: The wanted orders of an ACT (none = pull all); written with their judgement.
        context: Observed state.
        limits: The policy as a vector.
        out: Written: final action, verdicts, refusing rows.
        no_new_risk: Whether legs that increase risk are refused whatever the rows say.
    """
    verdicts = out.verdicts
    judge(MARKET_ROWS, context.observed, context.presence, limits, verdicts)
    blocking = [i for i in MARKET_ROWS if verdicts[i] == BREACH or verdicts[i] == UNKNOWN]
    _project(context, None, _worst_now(context), limits)
    judge(LEG_ROWS, context.observed, context.presence, limits, verdicts)

    refused_legs: list[int] = []
    wants_risk = False
    survives = action == ACT
    if action == ACT and legs:
        refused_legs = _judge_legs(legs, context, limits, verdicts, blocked=no_new_risk or bool(blocking))
        survives = any(leg.allowed for leg in legs)
        wants_risk = any(leg.increasing for leg in legs)

    severest = HOLD
    for i in blocking:
        if verdicts[i] == BREACH and SEVERITY[i] > severest:
            severest = SEVERITY[i]
    if action == ACT and survives and severest < EXIT:
        out.action = ACT
    elif action == ACT:
        out.action = severest
    else:
        out.action = max(severest, action)
    acts_anyway = max(action, HOLD)
    severer = [i for i in blocking if verdicts[i] == BREACH and SEVERITY[i] > acts_anyway]
    out.refusing = list(blocking) if wants_risk else severer
    out.refusing.extend(refused_legs)


class _Worst(NamedTuple):
    """Worst position on both sides, its dearest price, and the orders working, as legs are added."""

    long: float
    short: float
    long_price: float
    short_price: float
    orders: float


def _worst_now(context: GuardContext) -> _Worst:
    below = context.inventory if context.signed else -context.inventory
    return _Worst(
        long=context.inventory + context.open_buy,
        short=below - context.open_sell,
        long_price=context.mid,
        short_price=context.mid,
        orders=context.open_orders,
    )


def _judge_legs(
    legs: list[Leg], context: GuardContext, limits: list[float], as_is: list[int], *, blocked: bool
) -> list[int]:
    """Judge the legs in turn, each on what the allowed ones before it add; return the refusing rows."""
    refusing: list[int] = []
    worst = _worst_now(context)
    kept = [as_is[i] for i in LEG_ROWS]
    for leg in legs:
        base = _base(leg, worst)
        leg.increasing = leg.side == 0 or not (context.opens_known and _cannot_flip(base, leg))
        if leg.increasing and leg.side != 0:
            _clamp(leg, base, worst, context, limits)
        _project(context, leg, _with(leg, worst, context), limits)
        judge(LEG_ROWS, context.observed, context.presence, limits, as_is)
        leg.values = [context.observed[slot] for slot in _LEG_SLOTS]
        leg.presence = [context.presence[slot] for slot in _LEG_SLOTS]
        leg.verdicts = [as_is[i] for i in LEG_ROWS]
        refused = [i for i in LEG_ROWS if _refuses(leg, i, as_is[i], context)]
        leg.allowed = not leg.increasing or not (blocked or refused)
        if leg.increasing:
            refusing.extend(i for i in refused if i not in refusing)
            if not leg.allowed and context.opens_known:
                _keep_what_reduces(leg, base)
        if leg.allowed:  # what a level gives up still counts: it is not confirmed before the next leg leaves
            after = _with(leg, worst, context)
            worst = after._replace(long=max(worst.long, after.long), short=min(worst.short, after.short))
    for place, i in enumerate(LEG_ROWS):
        as_is[i] = kept[place]
    _project(context, None, _worst_now(context), limits)
    return sorted(refusing)


def _refuses(leg: Leg, row: int, verdict: int, context: GuardContext) -> bool:
    if verdict == UNKNOWN and leg.side == 0 and VALUE_SLOT[row] == _MARKET:
        # Without terms and without a price nothing can be asked of the market's exposure.
        return context.presence[_MARKET] != ABSENT
    return verdict in (BREACH, UNKNOWN)


def _base(leg: Leg, worst: _Worst) -> float:
    """Give the worst position on the leg's side before it: its own predecessor is not counted twice."""
    return worst.long - leg.replaces if leg.side > 0 else worst.short + leg.replaces


def _with(leg: Leg, worst: _Worst, context: GuardContext) -> _Worst:
    """Give the worst case with this leg filled, too."""
    if leg.side == 0:
        return worst
    price = _price(leg, context)
    long_price = price if math.isnan(worst.long_price) else worst.long_price
    short_price = price if math.isnan(worst.short_price) else worst.short_price
    orders = worst.orders + (0.0 if leg.replaces > 0.0 else 1.0)
    if leg.side > 0:
        long_price = _dearer(long_price, price, context, long=True)
        return _Worst(_base(leg, worst) + leg.size, worst.short, long_price, short_price, orders)
    short_price = _dearer(short_price, price, context, long=False)
    return _Worst(worst.long, _base(leg, worst) - leg.size, long_price, short_price, orders)


def _price(leg: Leg, context: GuardContext) -> float:
    """Give the leg's own price; a taking leg pays the far touch, else the mid."""
    if not math.isnan(leg.price):
        return leg.price
    touch = context.ask if leg.side > 0 else context.bid
    return context.mid if math.isnan(touch) else touch


def _dearer(known: float, price: float, context: GuardContext, *, long: bool) -> float:
    """Give the price at which more is at risk; a binary short risks more at the lower one."""
    if math.isnan(price):
        return known
    if context.is_binary and not long:
        return min(known, price)
    return max(abs(known), abs(price))


def _cannot_flip(base: float, leg: Leg) -> bool:
    slack = FLAT_TOLERANCE * max(abs(base), leg.size)
    after = base + leg.side * leg.size
    return after <= slack if leg.side > 0 else after >= -slack  # nan compares false: increasing


def _keep_what_reduces(leg: Leg, base: float) -> None:
    """Shrink a refused leg that would flip the position to the part that closes it."""
    closes = -base * leg.side
    if leg.lot > 0.0:
        closes = math.floor(closes / leg.lot + FLAT_TOLERANCE) * leg.lot if closes > 0.0 else 0.0
    if closes > 0.0 and closes >= leg.min_size:
        leg.size = closes
        leg.clamped = True
        leg.allowed = True


def _clamp(leg: Leg, base: float, worst: _Worst, context: GuardContext, limits: list[float]) -> None:
    """Shrink an increasing leg to what the position and exposure limits leave."""
    long = leg.side > 0
    then = _with(leg, worst, context)
    price = then.long_price if long else then.short_price
    loss = unit_loss(context.is_binary, context.multiplier, long, price)
    most = limits[_MAX_INVENTORY]
    if loss > 0.0:
        most = min(most, limits[_MAX_MARKET] / loss, (limits[_MAX_TOTAL] - context.other_exposure) / loss)
    room = most - leg.side * base
    fits = room + FLAT_TOLERANCE * abs(most) >= leg.size
    if fits or not (math.isfinite(room) and math.isfinite(leg.size)):
        return
    if leg.lot > 0.0:
        room = math.floor(room / leg.lot + FLAT_TOLERANCE) * leg.lot
    if room > 0.0 and room >= leg.min_size:
        leg.size = room
        leg.clamped = True


def _snap(value: float, limit: float) -> float:
    """Take a value for the limit where they differ only by the rounding of sums."""
    return limit if abs(value - limit) <= FLAT_TOLERANCE * abs(limit) else value


def _at_risk(units: float, price: float, long: bool, context: GuardContext) -> float:
    """Give the most that a side can lose; no units lose nothing at any price."""
    return 0.0 if units <= 0.0 else units * unit_loss(context.is_binary, context.multiplier, long, price)


def _larger(a: float, b: float) -> float:
    """Give the larger of two; nan where either is."""
    return a + b if math.isnan(a) or math.isnan(b) else max(a, b)


def _project(context: GuardContext, leg: Leg | None, worst: _Worst, limits: list[float]) -> None:
    """Write the observed numbers of the leg rows for a worst case, the leg (if any) included."""
    side = 0 if leg is None else leg.side
    at_risk_long = _at_risk(worst.long, worst.long_price, True, context)
    at_risk_short = _at_risk(-worst.short, worst.short_price, False, context)
    either = _larger(at_risk_long, at_risk_short)
    if side == 0:
        market, inventory = either, _larger(abs(worst.long), abs(worst.short))
    else:
        market = at_risk_long if side > 0 else at_risk_short
        inventory = abs(worst.long) if side > 0 else abs(worst.short)
    total = context.other_exposure + either
    if leg is not None and side == 0 and math.isnan(total):
        # No terms and no mid: what the caller says is at risk now is all that can be judged.
        market, total = context.observed[_MARKET_NOW], context.observed[_TOTAL_NOW]
    value = math.nan
    if leg is not None and side != 0:
        value = leg.size * context.multiplier * abs(_price(leg, context))
    for slot, number, limit in (
        (_INVENTORY, inventory, limits[_MAX_INVENTORY]),
        (_MARKET, market, limits[_MAX_MARKET]),
        (_TOTAL, total, limits[_MAX_TOTAL]),
        (_OPEN, worst.orders, limits[_MAX_OPEN]),
        (_VALUE, value, limits[_MIN_VALUE]),
    ):
        context.observed[slot] = _snap(number, limit)
        if context.presence[slot] != MALFORMED:  # an input that cannot be used stays so
            context.presence[slot] = ABSENT if math.isnan(number) else PRESENT
