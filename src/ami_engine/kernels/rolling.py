"""Rolling windows on the sample grid: what was known of a quantity in its last `capacity` samples.

A window gives the same bits as numpy over the same numbers: sums are pairwise in eight lanes,
order statistics come from a copy of the window kept in ascending order. Work is done when a
sample is pushed or a statistic is asked for, never per market event.
"""

import math
from dataclasses import dataclass

from decision_schema.kernel import kernel

NAN = math.nan
INF = math.inf

_LANES = 8
_BLOCK = 128  # above it the pairwise sum halves its range
MAX_SUM = 960
"""Longest range that `pairwise_sum` sums as numpy does; the longest window has 300 samples."""


@dataclass(slots=True)
class Ring:
    """The known values among the last `capacity` samples, oldest first from ``values[head]``.

    Args:
        capacity: Length of the window in samples.
        values: Every value stands twice, `capacity` apart, so that the window is contiguous.
        ordered: The window in ascending order, filled up with inf; see `ring_push_ordered`.
        work: Space of `ring_std` and `ring_sum_of_squares`.
        ticks: Number of the sample that each value came with, by place.
        tick: Samples pushed so far, unknown ones too.
        head: Where the window starts.
        count: Known values in the window.
    """

    capacity: int
    values: list[float]
    ordered: list[float]
    work: list[float]
    ticks: list[int]
    tick: int = 0
    head: int = 0
    count: int = 0


def new_ring(capacity: int) -> Ring:
    """Make an empty window over `capacity` samples.

    >>> new_ring(3).count
    0
    """
    return Ring(capacity, [NAN] * (2 * capacity), [INF] * capacity, [NAN] * capacity, [0] * capacity)


@kernel
def ring_push(r: Ring, value: float) -> None:
    """Push one sample; a value that is not finite is unknown: it takes time, but no place.

    >>> ring = new_ring(2)
    >>> for sample in (1.0, 2.0, NAN, 4.0):
    ...     ring_push(ring, sample)
    >>> ring.values[ring.head : ring.head + ring.count]
    [4.0]
    """
    r.tick += 1
    if _oldest_leaves(r):
        r.head += 1
        r.count -= 1
        if r.head == r.capacity:
            r.head = 0
    if _is_finite(value):
        place = r.head + r.count
        if place >= r.capacity:
            place -= r.capacity
        r.values[place] = value
        r.values[place + r.capacity] = value
        r.ticks[place] = r.tick
        r.count += 1


@kernel
def ring_push_ordered(r: Ring, value: float) -> None:
    """Push one sample and keep ``ordered``, for windows that are asked for order statistics.

    >>> ring = new_ring(3)
    >>> for sample in (5.0, 3.0, 4.0, 1.0):
    ...     ring_push_ordered(ring, sample)
    >>> ring.ordered
    [1.0, 3.0, 4.0]
    """
    oldest = r.values[r.head]
    before = r.count
    ring_push(r, value)
    known = _is_finite(value)
    left = r.count < before or (known and r.count == before)
    if known or left:
        _replace(r.ordered, r.capacity, oldest if left else INF, value if known else INF)


@kernel
def ring_sum(r: Ring) -> float:
    """Sum the window; 0 when it is empty. Equal to ``np.sum``.

    >>> ring = new_ring(2)
    >>> for sample in (1.0, 2.0, 3.0):
    ...     ring_push(ring, sample)
    >>> ring_sum(ring)
    5.0
    """
    return pairwise_sum(r.values, r.head, r.count)


@kernel
def ring_mean(r: Ring) -> float:
    """Average the window; nan when it is empty. Equal to ``np.mean``.

    >>> ring = new_ring(2)
    >>> for sample in (1.0, 2.0, 3.0):
    ...     ring_push(ring, sample)
    >>> ring_mean(ring)
    2.5
    """
    if r.count == 0:
        return NAN
    return pairwise_sum(r.values, r.head, r.count) / r.count


@kernel
def ring_std(r: Ring, mean: float) -> float:
    """Give the population standard deviation of the window around its `mean`; nan when empty.

    Formula: ``sqrt(sum((x - mean)²) / n)``. Equal to ``np.std`` (ddof 0).

    >>> ring = new_ring(2)
    >>> for sample in (9.0, 1.0, 3.0):
    ...     ring_push(ring, sample)
    >>> ring_std(ring, ring_mean(ring))
    1.0
    """
    if r.count == 0:
        return NAN
    return math.sqrt(_sum_of_squares(r, mean) / r.count)


@kernel
def ring_sum_of_squares(r: Ring) -> float:
    """Sum the squares of the window; 0 when it is empty. Equal to ``np.sum(x * x)``.

    >>> ring = new_ring(2)
    >>> for sample in (3.0, 4.0):
    ...     ring_push(ring, sample)
    >>> ring_sum_of_squares(ring)
    25.0
    """
    return _sum_of_squares(r, 0.0)


@kernel
def ring_median(r: Ring) -> float:
    """Give the median of an ordered window; nan when it is empty. Equal to ``np.median``.

    >>> ring = new_ring(4)
    >>> for sample in (9.0, 1.0, 2.0, 4.0):
    ...     ring_push_ordered(ring, sample)
    >>> ring_median(ring)
    3.0
    """
    if r.count == 0:
        return NAN
    middle = r.count // 2
    if r.count % 2 == 1:
        return r.ordered[middle]
    return (r.ordered[middle - 1] + r.ordered[middle]) / 2.0


@kernel
def ring_percentile(r: Ring, percent: float) -> float:
    """Give a percentile of an ordered window, linear between neighbours; nan when it is empty.

    Formula: position ``(n - 1) * percent / 100`` in ascending order. Equal to ``np.percentile``.
    Source: Hyndman and Fan (1996), definition 7.

    >>> ring = new_ring(3)
    >>> for sample in (30.0, 10.0, 20.0):
    ...     ring_push_ordered(ring, sample)
    >>> ring_percentile(ring, 25.0)
    15.0
    """
    if r.count == 0:
        return NAN
    position = float(r.count - 1) * (percent / 100.0)
    lower = math.floor(position)
    if lower >= r.count - 1:
        return r.ordered[r.count - 1]
    part = position - float(lower)
    below = r.ordered[lower]
    above = r.ordered[lower + 1]
    if part >= 0.5:  # from the nearer neighbour, as numpy does: the two differ in the last bit
        return above - (above - below) * (1.0 - part)
    return below + (above - below) * part


@kernel
def ring_max(r: Ring) -> float:
    """Give the maximum of an ordered window; nan when it is empty.

    >>> ring = new_ring(2)
    >>> for sample in (9.0, 1.0, 2.0):
    ...     ring_push_ordered(ring, sample)
    >>> ring_max(ring)
    2.0
    """
    if r.count == 0:
        return NAN
    return r.ordered[r.count - 1]


@kernel
def pairwise_sum(values: list[float], start: int, n: int) -> float:
    """Sum ``values[start : start + n]`` pairwise, in eight lanes; equal to ``np.sum`` up to `MAX_SUM`.

    A range above 128 is halved, at a multiple of eight, and each half is summed alone. The levels are
    written out: a compiled function that calls itself cannot be kept in a cache.

    Source: Higham (1993), The accuracy of floating point summation, section 4.

    >>> pairwise_sum([9.0, 1.0, 2.0, 3.0], 1, 3)
    6.0
    """
    if n <= _BLOCK:
        return _sum_block(values, start, n)
    half = n // 2
    half -= half % _LANES
    return _sum_half(values, start, half) + _sum_half(values, start + half, n - half)


@kernel
def _sum_half(values: list[float], start: int, n: int) -> float:
    if n <= _BLOCK:
        return _sum_block(values, start, n)
    half = n // 2
    half -= half % _LANES
    return _sum_quarter(values, start, half) + _sum_quarter(values, start + half, n - half)


@kernel
def _sum_quarter(values: list[float], start: int, n: int) -> float:
    if n <= _BLOCK:
        return _sum_block(values, start, n)
    half = n // 2
    half -= half % _LANES
    return _sum_block(values, start, half) + _sum_block(values, start + half, n - half)


@kernel
def _sum_block(values: list[float], start: int, n: int) -> float:
    total = 0.0
    done = 0
    if start < 0:  # it never is; said so, compiled code need not look at each index
        return NAN
    if n >= _LANES:
        done = n - n % _LANES
        a, b, c, d = values[start], values[start + 1], values[start + 2], values[start + 3]
        e, f, g, h = values[start + 4], values[start + 5], values[start + 6], values[start + 7]
        for i in range(start + _LANES, start + done, _LANES):
            a += values[i]
            b += values[i + 1]
            c += values[i + 2]
            d += values[i + 3]
            e += values[i + 4]
            f += values[i + 5]
            g += values[i + 6]
            h += values[i + 7]
        total = ((a + b) + (c + d)) + ((e + f) + (g + h))
    for i in range(start + done, start + n):
        total += values[i]
    return total


@kernel
def _sum_of_squares(r: Ring, center: float) -> float:
    values = r.values
    work = r.work
    start = r.head
    for i in range(r.count):
        deviation = values[start + i] - center
        work[i] = deviation * deviation
    return pairwise_sum(work, 0, r.count)


@kernel
def _is_finite(value: float) -> bool:
    return value - value == 0.0


@kernel
def _oldest_leaves(r: Ring) -> bool:
    return r.count > 0 and r.ticks[r.head] + r.capacity <= r.tick


@kernel
def _replace(ordered: list[float], capacity: int, old: float, new: float) -> None:
    """Put `new` where it belongs and take one `old` out; inf stands for an empty place."""
    rising = new > old
    low = 0
    high = capacity - 1
    while low < high:  # the last `old` if the new value is larger, else the first: fewest moves
        middle = (low + high + 1) // 2 if rising else (low + high) // 2
        if rising:
            if ordered[middle] <= old:
                low = middle
            else:
                high = middle - 1
        elif ordered[middle] < old:
            low = middle + 1
        else:
            high = middle
    while low + 1 < capacity and ordered[low + 1] < new:
        ordered[low] = ordered[low + 1]
        low += 1
    while low > 0 and ordered[low - 1] > new:
        ordered[low] = ordered[low - 1]
        low -= 1
    ordered[low] = new
