"""The plan: from a proposal to the complete orders it stands for, on the grid of the instrument.

Without terms of the model's own it quotes two prices around a fair value, skewed by inventory.
"""

import math

from ami_engine.kernels.decision import (
    FROM_MICROPRICE,
    FROM_MID,
    FROM_MODEL,
    FROM_NOTHING,
    FROM_VALUE,
    Plan,
    Proposed,
    Rules,
    Terms,
)
from ami_engine.kernels.features import MICROPRICE
from ami_engine.kernels.ledger import size_of
from ami_engine.kernels.orders import GTC, IOC
from ami_engine.kernels.records import Cell
from decision_schema.instruments import ceil_steps, floor_steps, price_of
from decision_schema.kernel import kernel
from decision_schema.reasons import (
    LEG_BELOW_MINIMUM,
    LEG_NO_SHORT,
    LEG_NOTHING_TO_REDUCE,
    LEG_OUT_OF_BOUNDS,
    NO_ORDER_TERMS,
    OK,
)
from decision_schema.units import NS_PER_MS
from dmc_core.dmc.guards import LIMIT_SLOT

MAX_STEPS = 2.0**53
"""Beyond it a float holds no whole ticks or lots."""
MAX_MS = 2**42
"""A longer time, 139 years, is for ever: in nanoseconds it would not fit 64 bits."""
_QUOTE_TTL = LIMIT_SLOT["quote_ttl_ms"]
_MAX_INVENTORY = LIMIT_SLOT["max_abs_inventory"]
_MAX_SKEW = LIMIT_SLOT["max_inventory_skew_ticks"]


@kernel
def ns_of(ms: float) -> int:
    """Give milliseconds in nanoseconds, at most 139 years.

    >>> ns_of(1.5), ns_of(1e300) == MAX_MS * NS_PER_MS
    (1500000, True)
    """
    if ms > MAX_MS:
        return MAX_MS * NS_PER_MS
    return int(ms * NS_PER_MS)


@kernel
def plan_orders(proposed: Proposed, cell: Cell, rules: Rules, plan: Plan) -> None:
    """Complete an ACT to orders.

    Terms of the model are rounded (buys down, sells up, sizes down). Without terms the plan
    quotes both sides around its value, else the microprice, else the mid: at half the market's
    spread or the configured distance, both shifted by inventory, never taking.

    Args:
        proposed: What the model wants.
        cell: Its market.
        rules: What its orders go by.
        plan: Written.
    """
    plan.n_wanted = 0
    plan.n_dropped = 0
    plan.terms_from = FROM_NOTHING
    plan.reason = proposed.problem
    if proposed.problem != OK:
        return
    if proposed.has_terms == 1:
        plan.terms_from = FROM_MODEL
        for i in range(proposed.n_terms):
            _add_terms(plan, proposed.terms[i], cell, rules)
    else:
        _quote(plan, proposed.value, cell, rules)
    if plan.n_wanted == 0 and plan.reason == OK and (proposed.has_terms == 0 or proposed.n_terms > 0):
        plan.reason = plan.dropped[0] if plan.n_dropped > 0 else NO_ORDER_TERMS


@kernel
def _quote(plan: Plan, value: float, cell: Cell, rules: Rules) -> None:
    """Want a buy and a sale around the fair value."""
    market, book = cell.market, cell.market.book
    num, den = market.tick_num, market.tick_den
    microprice = market.features[MICROPRICE]
    fair = fair_value(value, microprice, book.mid)
    half_spread = rules.half_spread_ticks * num / den
    if math.isnan(half_spread):
        half_spread = 0.5 * (book.ask - book.bid)
    if math.isnan(fair) or math.isnan(half_spread):
        plan.reason = NO_ORDER_TERMS
        return
    if not (abs(fair) + abs(half_spread)) * den / num < MAX_STEPS:
        plan.reason = LEG_OUT_OF_BOUNDS
        return
    if not math.isnan(value):
        plan.terms_from = FROM_VALUE
    elif math.isnan(microprice):
        plan.terms_from = FROM_MID
    else:
        plan.terms_from = FROM_MICROPRICE
    limits = rules.limits
    held = size_of(cell.position, cell.position.lots)
    skew = skew_ticks(held, limits[_MAX_INVENTORY], limits[_MAX_SKEW])
    ttl_ns = ns_of(limits[_QUOTE_TTL])
    buy = bid_ticks(fair, half_spread, skew, book.ask, num, den)
    _add(plan, 1, 0, 0, buy, rules.size, GTC, 1, 0, ttl_ns, cell)
    sell = ask_ticks(fair, half_spread, skew, book.bid, num, den)
    _add(plan, -1, 0, 0, sell, rules.size, GTC, 1, 0, ttl_ns, cell)


@kernel
def _add_terms(plan: Plan, terms: Terms, cell: Cell, rules: Rules) -> None:
    num, den = cell.market.tick_num, cell.market.tick_den
    takes = int(math.isnan(terms.price))
    tif = terms.tif
    ticks = 0
    if takes == 1:
        if tif == GTC:
            tif = IOC
    else:
        if abs(terms.price * den / num) > MAX_STEPS:
            _drop(plan, LEG_OUT_OF_BOUNDS)
            return
        if terms.side > 0:
            ticks = floor_steps(terms.price, num, den)
        else:
            ticks = ceil_steps(terms.price, num, den)
    size = terms.size
    if math.isnan(size):
        size = rules.size
    ttl_ns = ns_of(rules.limits[_QUOTE_TTL] if terms.ttl_ms < 0 else float(terms.ttl_ms))
    _add(
        plan, terms.side, terms.level, takes, ticks, size, tif, terms.post_only, terms.reduce_only,
        ttl_ns, cell,
    )  # fmt: skip


@kernel
def _drop(plan: Plan, reason: int) -> None:
    plan.dropped[plan.n_dropped] = reason
    plan.n_dropped += 1


@kernel
def _add(
    plan: Plan,
    side: int,
    level: int,
    takes: int,
    ticks: int,
    size: float,
    tif: int,
    post_only: int,
    reduce_only: int,
    ttl_ns: int,
    cell: Cell,
) -> None:
    """Take an order into the plan, or note why rounding and bounds leave nothing of it."""
    market, position = cell.market, cell.position
    if size * market.lot_den / market.lot_num > MAX_STEPS:
        _drop(plan, LEG_OUT_OF_BOUNDS)
        return
    lots = floor_steps(size, market.lot_num, market.lot_den)
    if takes == 0:
        price = price_of(ticks, market.tick_num, market.tick_den)
        if not market.price_min < price <= market.price_max:
            _drop(plan, LEG_OUT_OF_BOUNDS)
            return
        notional = abs(price) * size_of(position, lots) * market.multiplier
        if notional < cell.min_notional:
            _drop(plan, LEG_BELOW_MINIMUM)
            return
    if cell.can_short == 0 and side < 0:
        sold = 0
        for i in range(plan.n_wanted):
            if plan.wanted[i].side < 0:
                sold += plan.wanted[i].lots
        lots = min(lots, position.lots - sold)
        if lots <= 0:
            _drop(plan, LEG_NO_SHORT)
            return
    if reduce_only == 1:
        promised = 0
        for i in range(plan.n_wanted):
            if plan.wanted[i].reduce_only == 1 and plan.wanted[i].side == side:
                promised += plan.wanted[i].lots
        lots = min(lots, -side * position.lots - promised)
        if lots <= 0:
            _drop(plan, LEG_NOTHING_TO_REDUCE)
            return
    if lots < cell.min_lots:
        _drop(plan, LEG_BELOW_MINIMUM)
        return
    want = plan.wanted[plan.n_wanted]
    plan.n_wanted += 1
    want.side = side
    want.level = level
    want.takes = takes
    want.price_ticks = ticks
    want.lots = lots
    want.tif = tif
    want.post_only = post_only
    want.reduce_only = reduce_only
    want.ttl_ns = ttl_ns
    want.allowed = 1


@kernel
def fair_value(value: float, microprice: float, mid: float) -> float:
    """Choose the fair value: the model's, else the size-weighted mid, else the mid; nan = none known."""
    if not math.isnan(value):
        return value
    return mid if math.isnan(microprice) else microprice


@kernel
def skew_ticks(position: float, max_position: float, max_skew_ticks: float) -> float:
    """Give the shift of both quotes in ticks: a long position lowers them, at most by the maximum.

    >>> skew_ticks(5.0, 10.0, 4.0), skew_ticks(-20.0, 10.0, 4.0)
    (-2.0, 4.0)
    """
    if max_position <= 0.0:
        return 0.0
    part = position / max_position
    if part > 1.0:
        part = 1.0
    elif part < -1.0:
        part = -1.0
    return -part * max_skew_ticks


@kernel
def bid_ticks(
    fair: float, half_spread: float, skew: float, best_ask: float, tick_num: int, tick_den: int
) -> int:
    """Give the price of the buy quote in ticks: below the fair value, rounded down, never taking.

    Args:
        fair: Fair value.
        half_spread: Distance from it.
        skew: Shift by inventory, in ticks.
        best_ask: The market's ask; nan = empty side.
        tick_num: Numerator of the tick.
        tick_den: Its denominator.

    >>> bid_ticks(0.5, 0.01, 0.0, 0.51, 1, 100), bid_ticks(0.5, 0.01, 4.0, 0.51, 1, 100)
    (49, 50)
    """
    ticks = floor_steps(fair - half_spread + skew * tick_num / tick_den, tick_num, tick_den)
    if not math.isnan(best_ask):
        ticks = min(ticks, ceil_steps(best_ask, tick_num, tick_den) - 1)
    return ticks


@kernel
def ask_ticks(
    fair: float, half_spread: float, skew: float, best_bid: float, tick_num: int, tick_den: int
) -> int:
    """Give the price of the sell quote in ticks: above the fair value, rounded up, never taking.

    >>> ask_ticks(0.5, 0.01, 0.0, 0.49, 1, 100), ask_ticks(0.5, 0.01, -4.0, 0.49, 1, 100)
    (51, 50)
    """
    ticks = ceil_steps(fair + half_spread + skew * tick_num / tick_den, tick_num, tick_den)
    if not math.isnan(best_bid):
        ticks = max(ticks, floor_steps(best_bid, tick_num, tick_den) + 1)
    return ticks
