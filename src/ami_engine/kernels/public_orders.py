"""The orders of everybody at the venue, by number: what a feed of order messages is built from.

A table with open addressing (linear probing; a removed entry is closed up by moving later ones
back), so that the same code runs compiled.
"""

from dataclasses import dataclass, field

PLACES = 131_072
"""Places of the table, a power of two."""
MAX_PUBLIC_ORDERS = PLACES // 2
"""Open orders that are followed; at most half full, the table finds each in a step or two."""
_MIX = 0x9E3779B97F4A7C15
_WORD = 0xFFFFFFFFFFFFFFFF


@dataclass(slots=True)
class PublicOrders:
    """Open orders of a venue.

    Args:
        count: Orders in the table.
        sides: +1 a bid, -1 an ask, 0 a free place.
        ids: The venue's numbers.
        prices: Limits.
        sizes: What is left of each.
        peaks: The size of each when it was told last as a whole.
        numbers: Place of each in the order of arrival: it has priority over higher ones at its price.
        added: Numbers given so far.
    """

    count: int = 0
    added: int = 0
    sides: list[int] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)
    prices: list[float] = field(default_factory=list)
    sizes: list[float] = field(default_factory=list)
    peaks: list[float] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)


def _home(order_id: int) -> int:
    """Spread numbers that follow one another over the table (multiplicative hashing; Knuth 1998, 6.4)."""
    return ((order_id * _MIX & _WORD) >> 32) & (PLACES - 1)


def find_order(orders: PublicOrders, order_id: int) -> int:
    """Find the place of an order; -1 = it is not known.

    >>> orders = PublicOrders()
    >>> add_order(orders, 7, 1, 0.5, 3.0)
    True
    >>> find_order(orders, 8), orders.sizes[find_order(orders, 7)]
    (-1, 3.0)
    """
    if orders.count == 0:
        return -1
    at = _home(order_id)
    while orders.sides[at] != 0:
        if orders.ids[at] == order_id:
            return at
        at = (at + 1) & (PLACES - 1)
    return -1


def add_order(orders: PublicOrders, order_id: int, side: int, price: float, size: float) -> bool:
    """Add an order that is not in the table; False = there is no room."""
    if not orders.sides:
        orders.sides = [0] * PLACES
        orders.ids = [0] * PLACES
        orders.prices = [0.0] * PLACES
        orders.sizes = [0.0] * PLACES
        orders.peaks = [0.0] * PLACES
        orders.numbers = [0] * PLACES
    if orders.count == MAX_PUBLIC_ORDERS:
        return False
    at = _home(order_id)
    while orders.sides[at] != 0:
        at = (at + 1) & (PLACES - 1)
    orders.sides[at] = side
    orders.ids[at] = order_id
    orders.prices[at] = price
    orders.sizes[at] = orders.peaks[at] = size
    orders.count += 1
    requeue(orders, at)
    return True


def requeue(orders: PublicOrders, at: int) -> None:
    """Put an order behind all others: it came, or it changed so that it lost its place."""
    orders.added += 1
    orders.numbers[at] = orders.added


def remove_order(orders: PublicOrders, at: int) -> None:
    """Free a place, and move back what stands behind it because it was taken.

    >>> orders = PublicOrders()
    >>> added = [add_order(orders, i, 1, 0.5, 1.0) for i in range(100)]
    >>> remove_order(orders, find_order(orders, 50))
    >>> find_order(orders, 50), orders.count, min(find_order(orders, i) for i in range(50)) >= 0
    (-1, 99, True)
    """
    orders.count -= 1
    gap = at
    orders.sides[gap] = 0
    at = (at + 1) & (PLACES - 1)
    while orders.sides[at] != 0:
        home = _home(orders.ids[at])
        # It may move to the gap unless its home lies after the gap, up to where it stands.
        if (at - home) & (PLACES - 1) >= (at - gap) & (PLACES - 1):
            orders.sides[gap] = orders.sides[at]
            orders.ids[gap] = orders.ids[at]
            orders.prices[gap] = orders.prices[at]
            orders.sizes[gap] = orders.sizes[at]
            orders.peaks[gap] = orders.peaks[at]
            orders.numbers[gap] = orders.numbers[at]
            orders.sides[at] = 0
            gap = at
        at = (at + 1) & (PLACES - 1)


def clear_orders(orders: PublicOrders) -> None:
    """Forget all orders."""
    if orders.count > 0:
        orders.sides = [0] * PLACES
        orders.count = 0
