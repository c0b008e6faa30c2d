"""Where the plan quotes: two prices around a fair value, skewed by inventory, on the grid."""

import math

from decision_schema.instruments import ceil_steps, floor_steps


def fair_value(value: float, microprice: float, mid: float) -> float:
    """Choose the fair value: the model's, else the size-weighted mid, else the mid; nan = none known."""
    if not math.isnan(value):
        return value
    return mid if math.isnan(microprice) else microprice


def skew_ticks(position: float, max_position: float, max_skew_ticks: float) -> float:
    """Give the shift of both quotes in ticks: a long position lowers them, at most by the maximum.

    >>> skew_ticks(5.0, 10.0, 4.0), skew_ticks(-20.0, 10.0, 4.0)
    (-2.0, 4.0)
    """
    if max_position <= 0.0:
        return 0.0
    part = position / max_position
    part = min(1.0, max(-1.0, part))
    return -part * max_skew_ticks


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
