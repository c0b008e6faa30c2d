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
)
from ami_engine.kernels.formulas import in_ticks
from ami_engine.kernels.rolling import Ring, new_ring, pairwise_sum, ring_mean, ring_push
from decision_schema.kernel import kernel
from decision_schema.reasons import OK, TOO_MANY_MARKOUTS
from decision_schema.units import NS_PER_SECOND

HORIZONS_NS = (1 * NS_PER_SECOND, 5 * NS_PER_SECOND, 15 * NS_PER_SECOND, 60 * NS_PER_SECOND)
"""Ascending: so the last horizon is always the last to be done."""
N_HORIZONS = 4
HORIZON_15 = 2
HORIZON_60 = 3
MAX_PENDING = 4_096
"""Fills of one market that can await their markouts."""
WINDOW_FILLS = 20
"""Resolved fills over which a markout is averaged."""
MIN_ADVERSE_FILLS = 5
"""Resolved fills from which on adverse moves are a pattern."""
ADVERSE_MEMORY_NS = 300 * NS_PER_SECOND
"""Time after the last resolved fill when the window starts anew: a guard that trips must let go."""


def _recent() -> list[Ring]:
    return [new_ring(WINDOW_FILLS) for _ in range(N_HORIZONS)]


@dataclass(slots=True)
class MarkoutState:
    """Our fills of one market that await their markouts, and what came of the others.

    Fill number i stands at place ``i % MAX_PENDING``. Lists of four go by horizon.

    Args:
        side: +1 bought, -1 sold.
        amount: Size x multiplier.
        mid: What the fill is measured against for adverse selection.
        added: Fills tracked so far.
        untracked: Fills that found no place.
        done: Fills resolved so far: number of the next one to resolve.
        recent: The last resolved markouts, in ticks.
        mean: Their average; nan without any.
        total: Sum of all resolved markouts of the run, in ticks.
        money: The same in account currency, each weighted by its amount.
        adverse: What the mid moved against the resolved fills, in account currency.
        resolved_ns: When the newest resolved fill was due.
        run: Resolved fills since the last silence of more than ADVERSE_MEMORY_NS, at most 20.
        last_fill_ns: Time of the last fill; -1 = none yet.
    """

    price: list[float] = field(default_factory=lambda: [NAN] * MAX_PENDING)
    side: list[int] = field(default_factory=lambda: [0] * MAX_PENDING)
    fill_ns: list[int] = field(default_factory=lambda: [0] * MAX_PENDING)
    amount: list[float] = field(default_factory=lambda: [0.0] * MAX_PENDING)
    mid: list[float] = field(default_factory=lambda: [NAN] * MAX_PENDING)
    added: int = 0
    untracked: int = 0
    done: list[int] = field(default_factory=lambda: [0] * N_HORIZONS)
    recent: list[Ring] = field(default_factory=_recent)
    mean: list[float] = field(default_factory=lambda: [NAN] * N_HORIZONS)
    total: list[float] = field(default_factory=lambda: [0.0] * N_HORIZONS)
    money: list[float] = field(default_factory=lambda: [0.0] * N_HORIZONS)
    adverse: list[float] = field(default_factory=lambda: [0.0] * N_HORIZONS)
    resolved_ns: list[int] = field(default_factory=lambda: [0] * N_HORIZONS)
    run: list[int] = field(default_factory=lambda: [0] * N_HORIZONS)
    last_fill_ns: int = -1


@kernel
def record_fill(k: MarkoutState, price: float, side: int, now_ns: int, amount: float, mid: float) -> int:
    """Track one fill of ours.

    Args:
        k: Changed.
        price: What was paid.
        side: +1 bought, -1 sold.
        now_ns: When.
        amount: Size x multiplier; 0 = no money is counted.
        mid: The mid at the fill; nan = unknown: `price` stands for it.

    Returns:
        OK, or TOO_MANY_MARKOUTS: the capacity is reached and the fill has no markout.

    >>> record_fill(MarkoutState(), 0.5, 1, 0, 1.0, NAN) == OK
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
    k.amount[place] = amount
    k.mid[place] = mid if mid == mid else price
    k.added += 1
    return OK


@kernel
def advance_markouts(k: MarkoutState, now_ns: int, mid: float, tick_num: int, tick_den: int) -> None:
    """Resolve the fills due at or before `now_ns` (ns) with the mid before the event at hand.

    Formula: ``markout = side * (mid - price)``, in ticks; positive = good for us. In money it is times
    the amount, and ``adverse = side * (mid at the fill - mid) * amount``; positive = bad for us. While
    the mid is unknown, fills that are due wait for the next known one.

    >>> k = MarkoutState()
    >>> record_fill(k, 0.50, 1, 0, 1.0, NAN) == OK
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
            due_ns = k.fill_ns[place] + HORIZONS_NS[h]
            if due_ns > now_ns:
                break
            if due_ns - k.resolved_ns[h] > ADVERSE_MEMORY_NS:
                k.run[h] = 0
            k.run[h] = min(k.run[h] + 1, WINDOW_FILLS)
            k.resolved_ns[h] = due_ns
            paid = in_ticks(k.price[place], tick_num, tick_den)
            markout = worth - paid if k.side[place] > 0 else paid - worth
            ring_push(k.recent[h], markout)
            k.mean[h] = ring_mean(k.recent[h])
            k.total[h] += markout
            signed = k.amount[place] if k.side[place] > 0 else -k.amount[place]
            k.money[h] += (mid - k.price[place]) * signed
            k.adverse[h] += (k.mid[place] - mid) * signed
            k.done[h] += 1


@kernel
def adverse_ticks(k: MarkoutState, horizon: int, now_ns: int) -> float:
    """Give how far the mid moved against our last fills, in ticks; nan while that is no pattern.

    Formula: minus the mean of the last 20 markouts at that horizon (an index of HORIZONS_NS) since the
    last silence of five minutes, from five of them on, and until five minutes after the newest.

    >>> k = MarkoutState()
    >>> for _ in range(5):
    ...     tracked = record_fill(k, 0.50, 1, 0, 1.0, NAN)
    >>> advance_markouts(k, 15_000_000_000, 0.48, 1, 100)
    >>> adverse_ticks(k, HORIZON_15, 15_000_000_000), adverse_ticks(k, HORIZON_15, 316_000_000_000)
    (2.0, nan)
    """
    n = k.run[horizon]
    if n < MIN_ADVERSE_FILLS or now_ns - k.resolved_ns[horizon] > ADVERSE_MEMORY_NS:
        return NAN
    r = k.recent[horizon]
    return 0.0 - pairwise_sum(r.values, r.head + r.count - n, n) / n


@kernel
def refresh_own(m: MarketState, k: MarkoutState, now_ns: int) -> None:
    """Write the own features as of `now_ns` (ns): markouts, adverse moves, age of the last fill.

    >>> from decision_schema.instruments import Instrument
    >>> from ami_engine.kernels.features import new_market_state
    >>> m, k = new_market_state(Instrument(), 1_000_000_000), MarkoutState()
    >>> record_fill(k, 0.5, 1, 1_000_000, 1.0, NAN) == OK
    True
    >>> refresh_own(m, k, 3_000_000)
    >>> m.features[LAST_FILL_AGE_MS]
    2.0
    """
    for h in range(N_HORIZONS):
        m.features[MARKOUT_1_TICKS + h] = k.mean[h]
    m.features[ADVERSE_15_TICKS] = adverse_ticks(k, HORIZON_15, now_ns)
    m.features[ADVERSE_60_TICKS] = adverse_ticks(k, HORIZON_60, now_ns)
    if k.last_fill_ns >= 0:
        m.features[LAST_FILL_AGE_MS] = float(now_ns - k.last_fill_ns) / NS_IN_MS
