"""The projected worst case: what the account would hold if all that works on a side filled, and a leg too."""

import math
from dataclasses import dataclass, field

from decision_schema.instruments import unit_loss
from decision_schema.kernel import kernel
from dmc_core.dmc.context import GuardContext
from dmc_core.dmc.guards import ABSENT, GUARDS, LIMIT_SLOT, MALFORMED, N_LEG_ROWS, OFF, PRESENT, SLOT
from dmc_core.dmc.measures import (
    at_risk,
    distance_bps,
    gap_ticks,
    in_noise,
    larger,
    multiple_of,
    part_of_equity,
)

NAN = math.nan
INFINITY = math.inf
FLAT_TOLERANCE = 1e-9
"""Sizes that differ by less than this part are equal: sums of decimal sizes are not exact."""

_MARKET_NOW = SLOT["market_exposure_usd"]
_TOTAL_NOW = SLOT["total_exposure_usd"]
_EQUITY = SLOT["equity_usd"]
_SPREAD_BPS = SLOT["spread_bps"]
_SIGMA = SLOT["sigma_5m"]
_MARKET = SLOT["projected_market_exposure_usd"]
_TOTAL = SLOT["projected_total_exposure_usd"]
_INVENTORY = SLOT["projected_abs_inventory"]
_OPEN = SLOT["projected_open_orders"]
_LONG = SLOT["projected_long"]
_SHORT = SLOT["projected_short"]
_NET = SLOT["projected_net_exposure_usd"]
_LEVERAGE = SLOT["projected_leverage"]
_CONCENTRATION = SLOT["projected_concentration"]
_ALLOCATED = SLOT["allocated_exposure_usd"]
_ALLOCATED_ORDERS = SLOT["allocated_open_orders"]
_MESSAGES = SLOT["projected_messages"]
_VALUE = SLOT["order_value_usd"]
_WANTED_VALUE = SLOT["wanted_value_usd"]
_WANTED_SIZE = SLOT["wanted_size"]
_DISTANCE = SLOT["price_distance_bps"]
_DISTANCE_NOISE = SLOT["price_distance_noise"]
_GAP = SLOT["self_gap_ticks"]
_MULTIPLE = SLOT["size_multiple"]
_TWIN = SLOT["same_order_age_ms"]
_OF_ORDER = (_WANTED_VALUE, _WANTED_SIZE, _DISTANCE, _DISTANCE_NOISE, _GAP, _MULTIPLE, _TWIN)
"""Observed numbers of an order itself, which the account without one does not have."""
_N_OF_ORDER = len(_OF_ORDER)
_RARE = (
    *_OF_ORDER, _LONG, _SHORT, _NET, _LEVERAGE, _CONCENTRATION, _ALLOCATED, _ALLOCATED_ORDERS, _MESSAGES,
)  # fmt: skip
"""Observed numbers of rows that few policies turn on: written only where some limit asks for one."""
_N_RARE = len(_RARE)
_RARE_LIMITS = tuple(
    LIMIT_SLOT[guard.limit]
    for guard in GUARDS
    if SLOT[guard.observed] in _RARE and SLOT[guard.observed] not in (_ALLOCATED, _ALLOCATED_ORDERS)
)
_N_RARE_LIMITS = len(_RARE_LIMITS)
_WITHOUT_TERMS = (*_OF_ORDER, _VALUE, _MARKET)
NO_TERMS_ROWS = sum(1 << row for row, guard in enumerate(GUARDS) if SLOT[guard.observed] in _WITHOUT_TERMS)
"""Bits of the rows that an ACT without terms and without a price has no number for."""

_MAX_MARKET = LIMIT_SLOT["max_per_market_usd"]
_MAX_TOTAL = LIMIT_SLOT["max_total_exposure_usd"]
_MAX_INVENTORY = LIMIT_SLOT["max_abs_inventory"]
_MAX_OPEN = LIMIT_SLOT["max_open_orders"]
_MAX_LONG = LIMIT_SLOT["max_long"]
_MAX_SHORT = LIMIT_SLOT["max_short"]
_MAX_NET = LIMIT_SLOT["max_net_exposure_usd"]
_MAX_LEVERAGE = LIMIT_SLOT["max_leverage"]
_MAX_CONCENTRATION = LIMIT_SLOT["max_concentration"]
_MIN_VALUE = LIMIT_SLOT["min_order_usd"]
_MAX_VALUE = LIMIT_SLOT["max_order_usd"]
_MAX_SIZE = LIMIT_SLOT["max_order_size"]
_COLLAR = LIMIT_SLOT["price_collar_bps"]
_COLLAR_NOISE = LIMIT_SLOT["price_collar_noise"]
_MIN_GAP = LIMIT_SLOT["self_trade_min_ticks"]
_MAX_MULTIPLE = LIMIT_SLOT["fat_finger_multiple"]
_MIN_AGE = LIMIT_SLOT["duplicate_window_ms"]
_MAX_MESSAGES = LIMIT_SLOT["max_messages"]
_RESERVE = LIMIT_SLOT["message_reserve"]


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
        keeps: 1 = that order is the wanted one already: no message leaves.
        twin_age_ms: Age of the last order of the same side, price and size; nan = there is none.
        wanted: Written: its size as wanted, before a limit clamps.
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
    keeps: int = 0
    twin_age_ms: float = NAN
    wanted: float = NAN
    increasing: int = 1
    allowed: int = 0
    clamped: int = 0
    values: list[float] = field(default_factory=lambda: [NAN] * N_LEG_ROWS)
    presence: list[int] = field(default_factory=lambda: [ABSENT] * N_LEG_ROWS)
    verdicts: list[int] = field(default_factory=lambda: [OFF] * N_LEG_ROWS)


@dataclass(slots=True)
class Worst:
    """The worst case as legs are added.

    Args:
        long: Position if all buys fill; `short` if all sales do.
        long_price: The dearest price of that side; `short_price` likewise.
        orders: Orders working in the account.
        messages: Messages sent lately.
        own_bid: The highest own buy; `own_ask` the lowest own sale.
    """

    long: float = NAN
    short: float = NAN
    long_price: float = NAN
    short_price: float = NAN
    orders: float = NAN
    messages: float = NAN
    own_bid: float = NAN
    own_ask: float = NAN


@kernel
def see_worst(context: GuardContext, worst: Worst) -> None:
    """Write the worst case of the account as it is."""
    below = context.inventory if context.signed == 1 else -context.inventory
    worst.long = context.inventory + context.open_buy
    worst.short = below - context.open_sell
    worst.long_price = context.mid
    worst.short_price = context.mid
    worst.orders = context.open_orders
    worst.messages = context.messages
    worst.own_bid = context.own_bid
    worst.own_ask = context.own_ask


@kernel
def take_leg(after: Worst, worst: Worst) -> None:
    """Go on from the worst case with a leg that may leave.

    What a level gives up still counts: it is not confirmed before the next leg leaves.
    """
    if after.long > worst.long:
        worst.long = after.long
    if after.short < worst.short:
        worst.short = after.short
    worst.long_price = after.long_price
    worst.short_price = after.short_price
    worst.orders = after.orders
    worst.messages = after.messages
    worst.own_bid = after.own_bid
    worst.own_ask = after.own_ask


@kernel
def base_of(leg: Leg, worst: Worst) -> float:
    """Give the worst position on the leg's side before it: its own predecessor is not counted twice."""
    return worst.long - leg.replaces if leg.side > 0 else worst.short + leg.replaces


@kernel
def fill_leg(leg: Leg, worst: Worst, context: GuardContext, after: Worst) -> None:
    """Write the worst case with this leg filled, too."""
    after.long = worst.long
    after.short = worst.short
    after.long_price = worst.long_price
    after.short_price = worst.short_price
    after.orders = worst.orders
    after.messages = worst.messages
    after.own_bid = worst.own_bid
    after.own_ask = worst.own_ask
    if leg.side == 0:
        return
    price = price_of_leg(leg, context)
    if worst.long_price != worst.long_price:
        after.long_price = price
    if worst.short_price != worst.short_price:
        after.short_price = price
    if not leg.replaces > 0.0:
        after.orders = worst.orders + 1.0
    if leg.keeps == 0:
        after.messages = worst.messages + 1.0
    if leg.side > 0:
        after.long_price = _dearer(after.long_price, price, context, 1)
        after.long = base_of(leg, worst) + leg.size
        if leg.price > worst.own_bid:
            after.own_bid = leg.price
    else:
        after.short_price = _dearer(after.short_price, price, context, 0)
        after.short = base_of(leg, worst) - leg.size
        if leg.price < worst.own_ask:
            after.own_ask = leg.price


@kernel
def price_of_leg(leg: Leg, context: GuardContext) -> float:
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
    return larger(abs(known), abs(price))


@kernel
def room_of(leg: Leg, after: Worst, context: GuardContext, limits: list[float]) -> float:
    """Give the largest position on the leg's side that the caps leave."""
    price = after.long_price if leg.side > 0 else after.short_price
    loss = unit_loss(context.is_binary == 1, context.multiplier, leg.side > 0, price)
    own = limits[_MAX_LONG] if leg.side > 0 else limits[_MAX_SHORT]
    most = _least(limits[_MAX_INVENTORY], own if own > 0.0 else INFINITY)
    if not loss > 0.0:
        return most
    equity = context.observed[_EQUITY]
    in_account = limits[_MAX_TOTAL] - context.other_exposure
    most = _least(most, limits[_MAX_MARKET] / loss)
    most = _least(most, in_account / loss)
    if context.reserved_exposure > 0.0:
        most = _least(most, (in_account - context.reserved_exposure) / loss)
    if limits[_MAX_LEVERAGE] > 0.0:
        most = _least(most, (limits[_MAX_LEVERAGE] * equity - context.other_exposure) / loss)
    if limits[_MAX_CONCENTRATION] > 0.0:
        most = _least(most, limits[_MAX_CONCENTRATION] * equity / loss)
    if limits[_MAX_NET] > 0.0:
        other = context.other_net_long if leg.side > 0 else context.other_net_short
        most = _least(most, (limits[_MAX_NET] - other) / loss)
    return most


@kernel
def _least(most: float, other: float) -> float:
    """Give the smaller of two; an unknown `other` is none."""
    if other < most:
        return other
    return most


@kernel
def project(
    context: GuardContext, worst: Worst, before: Worst, limits: list[float], has_leg: int, leg: Leg
) -> None:
    """Write the observed numbers of the leg rows.

    Args:
        context: Changed.
        worst: The worst case that is judged, the leg included.
        before: The same without the leg.
        limits: The policy as a vector.
        has_leg: 1 = of `leg`; 0 = of the account as it is.
        leg: The order that is judged.
    """
    side = leg.side if has_leg == 1 else 0
    binary, multiplier = context.is_binary, context.multiplier
    long = at_risk(worst.long, worst.long_price, True, binary, multiplier)
    short = at_risk(-worst.short, worst.short_price, False, binary, multiplier)
    either = larger(long, short)
    units_long = larger(worst.long, 0.0)
    units_short = larger(-worst.short, 0.0)
    if side == 0:
        market = either
        inventory = larger(abs(worst.long), abs(worst.short))
        net = larger(context.other_net_long + long, context.other_net_short + short)
    elif side > 0:
        market = long
        inventory = abs(worst.long)
        net = context.other_net_long + long
        units_short = 0.0
    else:
        market = short
        inventory = abs(worst.short)
        net = context.other_net_short + short
        units_long = 0.0
    total = context.other_exposure + either
    if has_leg == 1 and side == 0 and total != total:
        # No terms and no mid: what the caller says is at risk now is all that can be judged.
        market = context.observed[_MARKET_NOW]
        total = context.observed[_TOTAL_NOW]
    _put(context, _INVENTORY, inventory, limits[_MAX_INVENTORY])
    _put(context, _MARKET, market, limits[_MAX_MARKET])
    _put(context, _TOTAL, total, limits[_MAX_TOTAL])
    _put(context, _OPEN, worst.orders, limits[_MAX_OPEN])
    _put(context, _VALUE, NAN if side == 0 else leg.size * _worth(leg, context), limits[_MIN_VALUE])
    if context.projects_all == 0:
        return
    equity = context.observed[_EQUITY]
    _put(context, _LONG, units_long, limits[_MAX_LONG])
    _put(context, _SHORT, units_short, limits[_MAX_SHORT])
    _put(context, _NET, net, limits[_MAX_NET])
    _put(context, _LEVERAGE, part_of_equity(total, equity), limits[_MAX_LEVERAGE])
    _put(context, _CONCENTRATION, part_of_equity(market, equity), limits[_MAX_CONCENTRATION])
    _put(context, _ALLOCATED, total + context.reserved_exposure, limits[_MAX_TOTAL])
    _put(context, _ALLOCATED_ORDERS, worst.orders + context.reserved_orders, limits[_MAX_OPEN])
    _put(context, _MESSAGES, worst.messages + limits[_RESERVE], limits[_MAX_MESSAGES])
    if side == 0:
        for i in range(_N_OF_ORDER):
            _put(context, _OF_ORDER[i], NAN, 0.0)
    else:
        _project_order(context, before, limits, leg)


@kernel
def choose_numbers(context: GuardContext, limits: list[float]) -> None:
    """Say whether the numbers of leg rows that are rarely on are to be written, and clear them if not."""
    asked = 0
    if context.reserved_exposure == context.reserved_exposure or context.reserved_orders >= 0.0:
        asked = 1
    for i in range(_N_RARE_LIMITS):
        if limits[_RARE_LIMITS[i]] != 0.0:
            asked = 1
    if asked == 0 and context.projects_all == 1:
        for i in range(_N_RARE):
            _put(context, _RARE[i], NAN, 0.0)
    context.projects_all = asked


@kernel
def _worth(leg: Leg, context: GuardContext) -> float:
    """Give the value of one unit at the leg's price."""
    return context.multiplier * abs(price_of_leg(leg, context))


@kernel
def _project_order(context: GuardContext, before: Worst, limits: list[float], leg: Leg) -> None:
    """Write the observed numbers of the order itself."""
    price = price_of_leg(leg, context)
    distance = distance_bps(price, context.mid)
    noise = in_noise(distance, context.observed[_SPREAD_BPS], context.observed[_SIGMA])
    gap = gap_ticks(leg.side, leg.price, before.own_bid, before.own_ask, context.tick)
    _put(context, _WANTED_VALUE, leg.wanted * _worth(leg, context), limits[_MAX_VALUE])
    _put(context, _WANTED_SIZE, leg.wanted, limits[_MAX_SIZE])
    _put(context, _DISTANCE, distance, limits[_COLLAR])
    _put(context, _DISTANCE_NOISE, noise, limits[_COLLAR_NOISE])
    _put(context, _GAP, gap, limits[_MIN_GAP])
    _put(context, _MULTIPLE, multiple_of(leg.wanted, context.typical_size), limits[_MAX_MULTIPLE])
    _put(context, _TWIN, leg.twin_age_ms, limits[_MIN_AGE])


@kernel
def _put(context: GuardContext, slot: int, number: float, limit: float) -> None:
    """Write an observed number; one that differs from its limit only by the rounding of sums is the limit."""
    context.observed[slot] = limit if abs(number - limit) <= FLAT_TOLERANCE * abs(limit) else number
    if context.presence[slot] != MALFORMED:  # an input that cannot be used stays so
        context.presence[slot] = ABSENT if number != number else PRESENT
