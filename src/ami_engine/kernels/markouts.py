"""Markouts: what the mid did after each of our fills, 1, 5, 15 and 60 seconds later.

In a step `advance_markouts` comes before the book is accepted, `record_fill` with the fill.
"""

from dataclasses import dataclass, field

from ami_engine.kernels.book import NAN
from ami_engine.kernels.features import (
    ADVERSE_15_TICKS,
    ADVERSE_60_TICKS,
    LAST_FILL_AGE_MS,
    MARKOUT_1_TICKS,
    NS_IN_MS,
    MarketState,
    in_ticks,
)
from ami_engine.kernels.rolling import Ring, new_ring, ring_mean, ring_push
from decision_schema.reasons import OK, TOO_MANY_MARKOUTS
from decision_schema.units import NS_PER_SECOND

HORIZONS_NS = (1 * NS_PER_SECOND, 5 * NS_PER_SECOND, 15 * NS_PER_SECOND, 60 * NS_PER_SECOND)
"""Ascending: so the last horizon is always the last to be done."""
N_HORIZONS = 4
HORIZON_15 = 2
HORIZON_60 = 3
MAX_PENDING = 256
"""Fills of one market that can await their markouts."""
WINDOW_FILLS = 20
"""Resolved fills over which a markout is averaged."""


def _recent() -> list[Ring]:
    return [new_ring(WINDOW_FILLS) for _ in range(N_HORIZONS)]


@dataclass(slots=True)
class MarkoutState:
    """Our fills of one market that await their markouts, and what came of the others.

    Fill number i stands at place ``i % MAX_PENDING``. Lists of four go by horizon.

    Args:
        side: +1 bought, -1 sold.
        added: Fills tracked so far.
        untracked: Fills that found no place.
        done: Fills resolved so far: number of the next one to resolve.
        recent: The last resolved markouts, in ticks.
        mean: Their average; nan without any.
        total: Sum of all resolved markouts of the run, in ticks.
        last_fill_ns: Time of the last fill; -1 = none yet.
    """

    price: list[float] = field(default_factory=lambda: [NAN] * MAX_PENDING)
    side: list[int] = field(default_factory=lambda: [0] * MAX_PENDING)
    fill_ns: list[int] = field(default_factory=lambda: [0] * MAX_PENDING)
    added: int = 0
    untracked: int = 0
    done: list[int] = field(default_factory=lambda: [0] * N_HORIZONS)
    recent: list[Ring] = field(default_factory=_recent)
    mean: list[float] = field(default_factory=lambda: [NAN] * N_HORIZONS)
    total: list[float] = field(default_factory=lambda: [0.0] * N_HORIZONS)
    last_fill_ns: int = -1


def record_fill(k: MarkoutState, price: float, side: int, now_ns: int) -> int:
    """Track one fill of ours at `now_ns` (ns); `side` is +1 bought, -1 sold.

    Returns:
        OK, or TOO_MANY_MARKOUTS: the capacity is reached and the fill has no markout.

    >>> record_fill(MarkoutState(), 0.5, 1, 0) == OK
    True
    """
    k.last_fill_ns = now_ns
    if k.added - k.done[N_HORIZONS - 1] >= MAX_PENDING:
        k.untracked += 1
        return TOO_MANY_MARKOUTS
    place = k.added % MAX_PENDING
    k.price[place] = price
    k.side[place] = side
    k.fill_ns[place] = now_ns
    k.added += 1
    return OK


def advance_markouts(k: MarkoutState, now_ns: int, mid: float, tick_num: int, tick_den: int) -> None:
    """Resolve the fills due at or before `now_ns` (ns) with the mid before the event at hand.

    Formula: ``markout = side * (mid - price)``, in ticks; positive = good for us. While the mid is
    unknown, fills that are due wait for the next known one.

    >>> k = MarkoutState()
    >>> record_fill(k, 0.50, 1, 0) == OK
    True
    >>> advance_markouts(k, 5_000_000_000, 0.52, 1, 100)
    >>> k.mean
    [2.0, 2.0, nan, nan]
    """
    if mid != mid:
        return
    worth = in_ticks(mid, tick_num, tick_den)
    for h in range(N_HORIZONS):
        while k.done[h] < k.added:
            place = k.done[h] % MAX_PENDING
            if k.fill_ns[place] + HORIZONS_NS[h] > now_ns:
                break
            paid = in_ticks(k.price[place], tick_num, tick_den)
            markout = worth - paid if k.side[place] > 0 else paid - worth
            ring_push(k.recent[h], markout)
            k.mean[h] = ring_mean(k.recent[h])
            k.total[h] += markout
            k.done[h] += 1


def adverse_ticks(k: MarkoutState, horizon: int) -> float:
    """Give how far the mid moved against our last fills, in ticks; nan without any.

    Formula: minus the mean of the last 20 markouts at that horizon (an index of HORIZONS_NS).

    >>> k = MarkoutState()
    >>> k.mean[HORIZON_15] = -1.5
    >>> adverse_ticks(k, HORIZON_15)
    1.5
    """
    return 0.0 - k.mean[horizon]


def refresh_own(m: MarketState, k: MarkoutState, now_ns: int) -> None:
    """Write the own features as of `now_ns` (ns): markouts, adverse moves, age of the last fill.

    >>> from decision_schema.instruments import Instrument
    >>> from ami_engine.kernels.features import new_market_state
    >>> m, k = new_market_state(Instrument(), 1_000_000_000), MarkoutState()
    >>> record_fill(k, 0.5, 1, 1_000_000) == OK
    True
    >>> refresh_own(m, k, 3_000_000)
    >>> m.features[LAST_FILL_AGE_MS]
    2.0
    """
    for h in range(N_HORIZONS):
        m.features[MARKOUT_1_TICKS + h] = k.mean[h]
    m.features[ADVERSE_15_TICKS] = adverse_ticks(k, HORIZON_15)
    m.features[ADVERSE_60_TICKS] = adverse_ticks(k, HORIZON_60)
    if k.last_fill_ns >= 0:
        m.features[LAST_FILL_AGE_MS] = float(now_ns - k.last_fill_ns) / NS_IN_MS
