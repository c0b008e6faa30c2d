"""How long a message is under way: constant, drawn, or from a table of measured times."""

import math
from dataclasses import dataclass, field

from ami_engine.kernels import rng

ENTRY, RESPONSE, FEED = 0, 1, 2
"""Which way: us to the venue, the venue to us about our orders, the venue to us about the market."""
MAX_SIGMA = 3.0


@dataclass(slots=True)
class Latency:
    """Delays of one way.

    Args:
        way: ENTRY, RESPONSE or FEED, so that each draws its own numbers.
        median_ns: The constant, or the median of what is drawn.
        sigma: Standard deviation of the logarithm of what is drawn (lognormal); 0 = constant.
        at_ns: Times of a table, ascending; where it has any, the table says all.
        delays_ns: What was measured at them.
    """

    way: int = ENTRY
    median_ns: int = 0
    sigma: float = 0.0
    at_ns: list[int] = field(default_factory=list)
    delays_ns: list[int] = field(default_factory=list)


def is_none(latency: Latency) -> bool:
    """Tell whether a message arrives in the instant in which it is sent, always.

    >>> is_none(Latency()), is_none(Latency(median_ns=1))
    (True, False)
    """
    return latency.median_ns == 0 and len(latency.at_ns) == 0


def delay_ns(latency: Latency, seed: int, market: int, sent_ns: int) -> int:
    """Give how long a message sent at `sent_ns` is under way, in nanoseconds.

    Messages of a market sent at the same instant travel together: the time of sending is the key of
    the draw, so that one more message shifts no other's luck. In a table the delay is interpolated
    linearly; before its first and after its last time it is theirs.

    >>> delay_ns(Latency(median_ns=5_000_000), 0, 0, 7)
    5000000
    >>> delay_ns(Latency(at_ns=[100, 200], delays_ns=[10, 20]), 0, 0, 150)
    15
    """
    if len(latency.at_ns) > 0:
        return _from_table(latency, sent_ns)
    if latency.sigma == 0.0:
        return latency.median_ns
    word = rng.stream_key(seed, rng.LATENCY, market, sent_ns)
    return int(float(latency.median_ns) * math.exp(latency.sigma * rng.normal(word, latency.way)))


def _from_table(latency: Latency, sent_ns: int) -> int:
    at, delays = latency.at_ns, latency.delays_ns
    if sent_ns <= at[0]:
        return delays[0]
    low, high = 0, len(at) - 1
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
