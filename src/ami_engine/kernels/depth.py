"""One side of a full book: its levels in order, changed one by one.

Levels stand worst first, so that the many changes near the best price move few entries; arrays of
doubles, because to move entries of a list takes twice as long.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

from decision_schema.events import MAX_LEVELS

MAX_DEPTH = 8_192
"""Levels a side that are kept; beyond it the one farthest from the best price is forgotten."""
DUST = 1e-12
"""What is left after a removal, as a part of the largest size there was, up to which nothing is
left: the rounding of sums, not a size."""

BIDS = 1.0
ASKS = -1.0


@dataclass(slots=True)
class DepthSide:
    """Levels of one side.

    Args:
        sign: `BIDS` or `ASKS`.
        count: Levels; so many entries of the arrays are valid.
        prices: Worst first.
        sizes: Displayed sizes.
        peaks: The largest size of each since it came or was told anew.
    """

    sign: float
    count: int = 0
    prices: "array[float]" = field(default_factory=lambda: array("d"))
    sizes: "array[float]" = field(default_factory=lambda: array("d"))
    peaks: "array[float]" = field(default_factory=lambda: array("d"))


def _reserve(side: DepthSide) -> None:
    """Take the room on first use: most markets never have a full book."""
    side.prices = array("d", bytes(8 * MAX_DEPTH))
    side.sizes = array("d", bytes(8 * MAX_DEPTH))
    side.peaks = array("d", bytes(8 * MAX_DEPTH))


def place_of(side: DepthSide, price: float) -> int:
    """Find the first level that is not worse than `price`.

    >>> side = DepthSide(BIDS)
    >>> set_level(side, 0.5, 3.0)
    >>> place_of(side, 0.4), place_of(side, 0.5), place_of(side, 0.6)
    (0, 0, 1)
    """
    prices = side.prices
    low, high = 0, side.count
    if side.sign > 0.0:
        while low < high:
            middle = (low + high) // 2
            if prices[middle] < price:
                low = middle + 1
            else:
                high = middle
    else:
        while low < high:
            middle = (low + high) // 2
            if prices[middle] > price:
                low = middle + 1
            else:
                high = middle
    return low


def size_at(side: DepthSide, price: float) -> float:
    """Give the size of a level; 0 = there is none."""
    at = place_of(side, price)
    return side.sizes[at] if at < side.count and side.prices[at] == price else 0.0


def set_level(side: DepthSide, price: float, size: float) -> None:
    """Give a level its new size; 0 removes it.

    >>> side = DepthSide(ASKS)
    >>> set_level(side, 0.52, 1.0)
    >>> set_level(side, 0.51, 2.0)
    >>> set_level(side, 0.52, 0.0)
    >>> side.count, best_price(side)
    (1, 0.51)
    """
    at = place_of(side, price)
    known = at < side.count and side.prices[at] == price
    if size <= 0.0:
        if known:
            _remove(side, at)
    elif known:
        side.sizes[at] = side.peaks[at] = size
    else:
        _insert(side, at, price, size)


def change_level(side: DepthSide, price: float, change: float) -> None:
    """Add to a level, or take from it; never below 0, and no level is made by taking.

    >>> side = DepthSide(BIDS)
    >>> for change in (0.1, 0.2, -0.3):
    ...     change_level(side, 0.5, change)
    >>> side.count
    0
    """
    at = place_of(side, price)
    if at == side.count or side.prices[at] != price:
        if change > 0.0:
            _insert(side, at, price, change)
        return
    size = side.sizes[at] + change
    if size <= DUST * side.peaks[at]:
        _remove(side, at)
        return
    side.sizes[at] = size
    side.peaks[at] = max(side.peaks[at], size)


def _insert(side: DepthSide, at: int, price: float, size: float) -> None:
    if not side.prices:
        _reserve(side)
    if side.count == MAX_DEPTH:
        if at == 0:
            return
        _remove(side, 0)
        at -= 1
    count = side.count
    side.prices[at + 1 : count + 1] = side.prices[at:count]
    side.sizes[at + 1 : count + 1] = side.sizes[at:count]
    side.peaks[at + 1 : count + 1] = side.peaks[at:count]
    side.prices[at] = price
    side.sizes[at] = side.peaks[at] = size
    side.count = count + 1


def _remove(side: DepthSide, at: int) -> None:
    count = side.count
    side.prices[at : count - 1] = side.prices[at + 1 : count]
    side.sizes[at : count - 1] = side.sizes[at + 1 : count]
    side.peaks[at : count - 1] = side.peaks[at + 1 : count]
    side.count = count - 1


def load_levels(side: DepthSide, levels: Sequence[tuple[float, float]]) -> None:
    """Replace the side by levels (price, size), best first; sizes of 0 are left out."""
    if not side.prices:
        _reserve(side)
    shown = 0
    for _, size in levels:
        shown += int(size > 0.0)
    side.count = min(shown, MAX_DEPTH)
    at = side.count
    for price, size in levels:
        if size > 0.0 and at > 0:
            at -= 1
            side.prices[at] = price
            side.sizes[at] = side.peaks[at] = size


def copy_side(source: DepthSide, target: DepthSide) -> None:
    """Make `target` equal to `source`."""
    target.count = source.count
    target.prices = source.prices[:]
    target.sizes = source.sizes[:]
    target.peaks = source.peaks[:]


def best_price(side: DepthSide) -> float:
    """Give the best price of a side that has one."""
    return side.prices[side.count - 1]


def write_below(
    side: DepthSide, top: float, prices: list[float], sizes: list[float], written: int
) -> tuple[int, float]:
    """Write the best levels behind those `written` already; return the count and their total size.

    Args:
        side: Levels to take from.
        top: Only levels worse than this price are taken; nan = all.
        prices: Where to write prices, best first; room for `MAX_LEVELS`.
        sizes: Where to write sizes.
        written: Entries that stand there already.
    """
    last = side.count if top != top else place_of(side, top)
    first = max(0, last - (MAX_LEVELS - written))
    end = written + last - first
    prices[written:end] = side.prices[first:last][::-1]
    sizes[written:end] = side.sizes[first:last][::-1]
    total = 0.0
    for size in sizes[written:end]:
        total += size
    return end, total
