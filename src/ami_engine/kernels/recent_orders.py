"""The last own orders of one market: their usual size, and whether the same one was sent before."""

import math
from dataclasses import dataclass, field

from ami_engine.kernels.orders import OrderSlot, Wanted
from ami_engine.kernels.rolling import Ring, new_ring, ring_median, ring_push_ordered
from decision_schema.kernel import kernel
from decision_schema.units import NS_PER_MS

NAN = math.nan
REMEMBERED = 32
"""Orders whose terms are remembered."""
TYPICAL_OF = 21
"""Orders whose median size is the usual one."""
LEAST_ORDERS = 5
"""Fewer orders have no usual size."""


def _whole() -> list[int]:
    return [0] * REMEMBERED


def _sizes() -> Ring:
    return new_ring(TYPICAL_OF)


@dataclass(slots=True)
class RecentOrders:
    """Terms of the last orders; number i stands at place ``i % REMEMBERED``.

    Args:
        added: Orders so far.
        sizes: Sizes of the last ones, in lots.
    """

    added: int = 0
    sides: list[int] = field(default_factory=_whole)
    takes: list[int] = field(default_factory=_whole)
    prices: list[int] = field(default_factory=_whole)
    lots: list[int] = field(default_factory=_whole)
    sent_ns: list[int] = field(default_factory=_whole)
    sizes: Ring = field(default_factory=_sizes)


@kernel
def remember_order(r: RecentOrders, order: OrderSlot, now_ns: int) -> None:
    """Remember an order that is being sent."""
    place = r.added % REMEMBERED
    r.sides[place] = order.side
    r.takes[place] = order.takes
    r.prices[place] = order.price_ticks
    r.lots[place] = order.lots
    r.sent_ns[place] = now_ns
    r.added += 1
    ring_push_ordered(r.sizes, float(order.lots))


@kernel
def typical_lots(r: RecentOrders) -> float:
    """Give the median size of the last orders, in lots; nan while there are too few.

    >>> r = RecentOrders()
    >>> for lots in (1, 2, 3, 4, 90):
    ...     remember_order(r, OrderSlot(side=1, lots=lots), 0)
    >>> typical_lots(r), typical_lots(RecentOrders())
    (3.0, nan)
    """
    return ring_median(r.sizes) if r.sizes.count >= LEAST_ORDERS else NAN


@kernel
def twin_age_ms(r: RecentOrders, wanted: Wanted, now_ns: int) -> float:
    """Give the age of the last order with the side, price and size of a wanted one; nan = none is known.

    >>> r = RecentOrders()
    >>> remember_order(r, OrderSlot(side=1, price_ticks=50, lots=2), 1_000_000)
    >>> twin_age_ms(r, Wanted(side=1, price_ticks=50, lots=2), 4_000_000)
    3.0
    >>> twin_age_ms(r, Wanted(side=1, price_ticks=50, lots=3), 4_000_000)
    nan
    """
    for back in range(1, min(r.added, REMEMBERED) + 1):
        i = (r.added - back) % REMEMBERED
        same_price = r.takes[i] == wanted.takes and (wanted.takes == 1 or r.prices[i] == wanted.price_ticks)
        if same_price and r.sides[i] == wanted.side and r.lots[i] == wanted.lots:
            return float(now_ns - r.sent_ns[i]) / float(NS_PER_MS)
    return NAN
