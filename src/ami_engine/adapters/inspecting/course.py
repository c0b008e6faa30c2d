"""The course of a price over time in a fixed number of buckets: what a small picture needs."""

import msgspec

from decision_schema.units import UnixNs

MAX_BUCKETS = 512
"""When more would be needed, two each become one."""
FIRST_WIDTH_NS = 1_000_000


class Bucket(msgspec.Struct):
    """What one stretch of time held.

    Args:
        low: Lowest price in it.
        high: Highest price in it.
        last: Last price in it.
        spread_bps: Sum of the spreads in it; see `count`.
        count: Prices in it; 0 = none.
    """

    low: float = 0.0
    high: float = 0.0
    last: float = 0.0
    spread_bps: float = 0.0
    count: int = 0


class Course:
    """Take prices with their times; times may go back, what is before the first is put to it.

    >>> course = Course()
    >>> for second in range(10):
    ...     course.add(1_723_161_256_000_000_000 + second * 10**9, 100.0 + second, 0.0)
    >>> len(course.buckets) <= MAX_BUCKETS, course.buckets[0].low, course.buckets[-1].last
    (True, 100.0, 109.0)
    """

    def __init__(self) -> None:
        self.begin_ns: UnixNs = -1
        self.end_ns: UnixNs = -1
        self.width_ns = FIRST_WIDTH_NS
        self.buckets: list[Bucket] = []

    def add(self, at_ns: UnixNs, price: float, spread_bps: float) -> None:
        """Take one price."""
        if self.begin_ns < 0:
            self.begin_ns = at_ns
        if at_ns > self.end_ns:
            self.end_ns = at_ns
        place = max(0, at_ns - self.begin_ns) // self.width_ns
        while place >= MAX_BUCKETS:
            self._halve()
            place = max(0, at_ns - self.begin_ns) // self.width_ns
        while place >= len(self.buckets):
            self.buckets.append(Bucket())
        bucket = self.buckets[place]
        if bucket.count == 0:
            bucket.low = bucket.high = price
        elif price < bucket.low:
            bucket.low = price
        elif price > bucket.high:
            bucket.high = price
        bucket.last = price
        bucket.spread_bps += spread_bps
        bucket.count += 1

    def _halve(self) -> None:
        self.width_ns *= 2
        pairs = zip(self.buckets[::2], [*self.buckets[1::2], Bucket()], strict=False)
        self.buckets = [_merged(first, second) for first, second in pairs]


def _merged(first: Bucket, second: Bucket) -> Bucket:
    if first.count == 0 or second.count == 0:
        return first if second.count == 0 else second
    return Bucket(
        min(first.low, second.low),
        max(first.high, second.high),
        second.last,
        first.spread_bps + second.spread_bps,
        first.count + second.count,
    )
