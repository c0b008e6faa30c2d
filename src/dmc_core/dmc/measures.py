"""What the guards measure, one scalar function a formula; an unknown number is nan."""

import math

from decision_schema.instruments import unit_loss
from decision_schema.kernel import kernel

NAN = math.nan
INFINITY = math.inf
BPS = 1e4
MOST_TICKS = 1e6
"""A larger distance in ticks counts as so many: also that to an order which is not there."""


@kernel
def larger(a: float, b: float) -> float:
    """Give the larger of two numbers; nan where either is.

    >>> larger(1.0, 2.0), larger(1.0, NAN)
    (2.0, nan)
    """
    if a != a or b != b:
        return a + b
    if b > a:
        return b
    return a


@kernel
def at_risk(units: float, price: float, long: bool, is_binary: int, multiplier: float) -> float:
    """Give the most that so many units can lose; none lose nothing at any price.

    >>> at_risk(4.0, 0.75, False, 1, 1.0), at_risk(0.0, NAN, True, 0, 1.0)
    (1.0, 0.0)
    """
    if units <= 0.0:
        return 0.0
    return units * unit_loss(is_binary == 1, multiplier, long, price)


@kernel
def signed_at_risk(units: float, price: float, is_binary: int, multiplier: float) -> float:
    """Give what a position can lose, below 0 where it is short.

    >>> signed_at_risk(-4.0, 0.75, 1, 1.0)
    -1.0
    """
    if units < 0.0:
        return -at_risk(-units, price, False, is_binary, multiplier)
    return at_risk(units, price, True, is_binary, multiplier)


@kernel
def part_of_equity(amount: float, equity: float) -> float:
    """Give an amount as a part of the equity; without any equity only nothing is a part of it.

    >>> part_of_equity(50.0, 200.0), part_of_equity(0.0, -1.0), part_of_equity(1.0, 0.0)
    (0.25, 0.0, inf)
    """
    if amount == 0.0:
        return 0.0
    if equity <= 0.0:
        return INFINITY
    return amount / equity


@kernel
def distance_bps(price: float, mid: float) -> float:
    """Give how far a price is from the mid, in parts of the mid.

    >>> distance_bps(101.0, 100.0), distance_bps(-1.0, 0.0)
    (100.0, nan)
    """
    if mid == 0.0:
        return NAN
    return abs(price - mid) / abs(mid) * BPS


@kernel
def in_noise(distance: float, spread: float, sigma: float) -> float:
    """Give a distance in multiples of the larger of spread and sigma, of those that are known (all in bps).

    >>> in_noise(30.0, 10.0, 2.0), in_noise(30.0, NAN, 2.0), in_noise(30.0, NAN, NAN), in_noise(0.0, 0.0, NAN)
    (3.0, 15.0, nan, 0.0)
    """
    scale = spread
    if not sigma <= scale and sigma == sigma:
        scale = sigma
    if distance == 0.0:
        return 0.0
    return distance / scale if scale > 0.0 else NAN


@kernel
def gap_ticks(side: int, price: float, own_bid: float, own_ask: float, tick: float) -> float:
    """Give how far an order stays from the nearest own one of the other side, in ticks; 0 = they meet.

    Args:
        side: +1 buy, -1 sell.
        price: Its limit; nan = it takes, and so meets whatever rests.
        own_bid: Highest own buy; -inf = none.
        own_ask: Lowest own sell; inf = none.
        tick: Price step; nan = not known: two prices that differ are one tick apart, at least.

    >>> gap_ticks(1, 0.5, -INFINITY, 0.75, 0.125), gap_ticks(1, NAN, -INFINITY, 0.75, 0.125)
    (2.0, 0.0)
    >>> gap_ticks(-1, 0.5, -INFINITY, 0.75, NAN), gap_ticks(-1, 0.5, 0.25, 0.75, NAN)
    (1000000.0, 1.0)
    """
    other = own_ask if side > 0 else own_bid
    way = float(side) * other
    if way == INFINITY:
        return MOST_TICKS
    if other != other:
        return NAN
    if price != price:
        return 0.0
    if way == -INFINITY:
        return -MOST_TICKS
    gap = float(side) * (other - price)
    if tick > 0.0:
        gap = gap / tick
    elif gap != 0.0:
        gap = 1.0 if gap > 0.0 else -1.0
    if gap > MOST_TICKS:
        return MOST_TICKS
    if gap < -MOST_TICKS:
        return -MOST_TICKS
    return gap


@kernel
def multiple_of(size: float, typical: float) -> float:
    """Give a size in multiples of the typical one.

    >>> multiple_of(30.0, 10.0), multiple_of(30.0, NAN)
    (3.0, nan)
    """
    return size / typical if typical > 0.0 else NAN
