"""How long a message is under way: constant, drawn, or from a table of measured times."""

import math
from dataclasses import dataclass

from ami_engine.kernels.rng import LATENCY, normal, stream_key
from decision_schema.kernel import kernel

ENTRY, RESPONSE, FEED = 0, 1, 2
"""Which way: us to the venue, the venue to us about our orders, the venue to us about the market."""
MAX_SIGMA = 3.0
LONGEST_NS = 1_000_000_000_000_000_000
"""No draw is longer: about 32 years."""
AT = 0
"""Row of a table with the times, ascending; what was measured at them stands in row 1 + way."""


@dataclass(slots=True)
class Latency:
    """Delays of one way.

    Args:
        way: ENTRY, RESPONSE or FEED, so that each draws its own numbers.
        median_ns: The constant, or the median of what is drawn.
        sigma: Standard deviation of the logarithm of what is drawn (lognormal); 0 = constant.
    """

    way: int = ENTRY
    median_ns: int = 0
    sigma: float = 0.0


def no_table() -> list[list[int]]:
    """Give the table of measured latencies that has none: its rows are times, entry, response.

    >>> no_table()
    [[], [], []]
    """
    return [[], [], []]


@kernel
def is_none(latency: Latency) -> bool:
    """Tell whether a message arrives in the instant in which it is sent, always; a table is asked apart.

    >>> is_none(Latency()), is_none(Latency(median_ns=1))
    (True, False)
    """
    return latency.median_ns == 0


@kernel
def delay_ns(latency: Latency, seed: int, market: int, sent_ns: int) -> int:
    """Give how long a message sent at `sent_ns` is under way, in nanoseconds.

    Messages of a market sent at the same instant travel together: the time of sending is the key of
    the draw, so that one more message shifts no other's luck.

    >>> delay_ns(Latency(median_ns=5_000_000), 0, 0, 7)
    5000000
    """
    if latency.sigma == 0.0:
        return latency.median_ns
    word = stream_key(seed, LATENCY, market, sent_ns)
    drawn = float(latency.median_ns) * math.exp(latency.sigma * normal(word, latency.way))
    return int(drawn) if drawn < float(LONGEST_NS) else LONGEST_NS


@kernel
def measured_ns(at: list[int], delays: list[int], sent_ns: int) -> int:
    """Give the delay by a table: linear between its times, before its first and after its last theirs.

    >>> measured_ns([100, 200], [10, 20], 150)
    15
    """
    low = 0
    high = len(at) - 1
    if sent_ns <= at[low]:
        return delays[low]
    if sent_ns >= at[high]:
        return delays[high]
    while high - low > 1:  # at[low] <= sent < at[high]
        middle = (low + high) // 2
        if at[middle] <= sent_ns:
            low = middle
        else:
            high = middle
    part = float(sent_ns - at[low]) / float(at[high] - at[low])
    return delays[low] + int(part * float(delays[high] - delays[low]))


@kernel
def way_ns(latency: Latency, table: list[list[int]], seed: int, market: int, sent_ns: int) -> int:
    """Give how long a message is under way: where the table has rows, it says all.

    >>> way_ns(Latency(ENTRY, 7), no_table(), 0, 0, 150), way_ns(Latency(ENTRY), [[100], [9], [8]], 0, 0, 150)
    (7, 9)
    """
    if len(table[AT]) > 0:
        return measured_ns(table[AT], table[1 + latency.way], sent_ns)
    return delay_ns(latency, seed, market, sent_ns)
