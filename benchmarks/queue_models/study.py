"""Shadow order study: `MDM_DATA=... python -m benchmarks.queue_models.study [ORDERS]`.

Replays the LOBSTER hour with shadows beside real orders, and writes to RESULTS.md what each model
of the queue predicts against what became of the real order. ORDERS = at most so many of a group.
"""

import os
import random
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.queue_models.cancels import cancels_table
from benchmarks.queue_models.hour import AT_BEST, CENT, FAR, INSIDE, NEAR, Hour, RealOrder, read_hour
from benchmarks.queue_models.shadows import (
    BOOK_FIRST,
    JOINED,
    MODELS,
    PATIENCE_NS,
    Outcome,
    follow_exactly,
    follow_models,
)

SEED = 20120621
MOST = 4_000
DRAWS = 2_000
MINUTES = 60
MINUTE_NS = 60 * 10**9
MARKOUT_NS = 10**9
TRUTH = "the real orders"
TOLD_OTHERWISE = ("conservative", "power 3", "log")
"""Models that are also shown the market in the other ways of `follow_models`."""
Numbers = NDArray[np.float64]
Of = Callable[[RealOrder], bool]


def _is_ahead(order: RealOrder) -> bool:
    return order.ahead > 0


PLACES: dict[str, Of] = {
    "at the best": lambda order: order.where == AT_BEST,
    "1-5 ticks behind": lambda order: order.where == NEAR and _is_ahead(order),
    "6-20 ticks behind": lambda order: order.where == FAR and _is_ahead(order),
    "better than the best": lambda order: order.where == INSIDE,
    "1-20 behind, nobody ahead": lambda order: order.where in (NEAR, FAR) and not _is_ahead(order),
}
LENGTHS: dict[str, Of] = {
    "under 100 shares ahead": lambda order: 0 < order.ahead < 100,
    "100": lambda order: order.ahead == 100,
    "101-300": lambda order: 100 < order.ahead <= 300,
    "over 300": lambda order: order.ahead > 300,
}


def sample(hour: Hour, most: int = MOST) -> list[RealOrder]:
    """Draw orders of each group whose whole life, and our patience after it, is in the file.

    Of those with nobody ahead, on which all models agree, an eighth as many.
    """
    last_ns = hour.rows[-1].ns - PATIENCE_NS
    whole = [o for o in hour.orders if o.end >= 0 and o.cut == 0 and hour.rows[o.end].ns <= last_ns]
    chance = random.Random(SEED)
    drawn: list[RealOrder] = []
    for belongs in PLACES.values():
        group = [order for order in whole if belongs(order)]
        drawn += chance.sample(group, min(most if group[0].ahead else most // 8, len(group)))
    return sorted(drawn, key=lambda order: order.row)


class Measured:
    """What one model predicted of some orders, beside the truth; arrays with an entry an order.

    Attributes:
        true: The real order traded.
        within: The shadow did before the real order ended, or with its last trade.
        error_ms: Its first fill less the true one; nan = one of the two is none.
        queue: Shares believed to be ahead at a cancel, less the true ones; nan = filled, or not known.
        shares: Filled by the end.
        true_shares: Of the real order.
        markout: Cents earned by the first fill against the mid a second later.
    """

    def __init__(self, hour: Hour, outcomes: list[Outcome]) -> None:
        orders = [outcome.order for outcome in outcomes]
        ns = np.array([row.ns for row in hour.rows])
        first = np.array([outcome.first for outcome in outcomes])
        true_first = np.array([order.first for order in orders])
        self.shares = np.array([float(outcome.at_end) for outcome in outcomes])
        self.true_shares = np.array([float(order.filled) for order in orders])
        self.true, self.within = true_first >= 0, self.shares > 0
        both = (first >= 0) & self.true
        self.error_ms = np.where(both, (ns[first] - ns[true_first]) / 1e6, np.nan)
        self.queue = np.array([outcome.ahead - outcome.true_ahead for outcome in outcomes])
        later = np.searchsorted(ns, ns[first] + MARKOUT_NS, side="right") - 1
        side, price = np.array([(order.side, order.price) for order in orders]).T
        self.markout = side * (np.array(hour.mids)[later] - price) / CENT
        self._minute = (np.array([order.ns for order in orders]) - ns[0]) // MINUTE_NS

    def hits(self) -> tuple[NDArray, ...]:
        """Tell which true fills are on time, early, late and missed."""
        error = self.error_ms
        return error == 0.0, error < 0.0, error > 0.0, self.true & np.isnan(error)

    def ratio(self, top: NDArray, bottom: NDArray) -> tuple[float, float]:
        """Give the ratio of two sums and its standard error, from minutes drawn again and again."""
        above = np.bincount(self._minute, top, MINUTES)
        below = np.bincount(self._minute, bottom, MINUTES)
        if below.sum() == 0.0:
            return np.nan, np.nan
        chance = np.random.default_rng(SEED)
        drawn = chance.multinomial(MINUTES, np.full(MINUTES, 1 / MINUTES), DRAWS)
        sums = drawn @ below
        again = (drawn @ above)[sums > 0] / sums[sums > 0]
        return float(above.sum() / below.sum()), float(again.std())


# ---------------------------------------------------------------- tables


def fills_table(measured: dict[str, Measured]) -> Iterable[str]:
    """Compare fills and no fills by the end of the real order."""
    yield (
        "| model | filled, % | fill or no fill right, % | of its fills false, % | shares, % of the true "
        "| markout 1 s, cents |"
    )
    yield "|---" + "|---:" * 5 + "|"
    for name, m in measured.items():
        some = np.ones_like(m.shares)
        markout = m.ratio(m.within * m.markout, m.within)
        cells = (
            _percent(*m.ratio(m.within, some)),
            _percent(*m.ratio(m.within == m.true, some)),
            _percent(*m.ratio(m.within & ~m.true, m.within)),
            _percent(*m.ratio(m.shares, m.true_shares)),
            "{:+.2f} ± {:.2f}".format(*markout) if m.within.any() else "",
        )
        yield f"| {name} | {' | '.join(cells)} |"


def times_table(measured: dict[str, Measured]) -> Iterable[str]:
    """Compare the times of the true fills, and the queue where the real order was cancelled."""
    yield (
        f"| model | on time, % | early, % | late up to {PATIENCE_NS // 10**9} s, % | missed, % "
        "| early by, ms: 50, 90 % | late by, ms: 50, 90 % | error of all, ms: 10, 50, 90 % "
        "| queue error, shares: mean, mean size |"
    )
    yield "|---" + "|---:" * 8 + "|"
    for name, m in measured.items():
        error, queue = m.error_ms, m.queue[~np.isnan(m.queue)]
        cells = (
            *(_percent(*m.ratio(hit, m.true)) for hit in m.hits()),
            _quantiles(-error[error < 0.0], 0.5, 0.9),
            _quantiles(error[error > 0.0], 0.5, 0.9),
            _quantiles(error[~np.isnan(error)], 0.1, 0.5, 0.9),
            f"{queue.mean():+.1f}, {np.abs(queue).mean():.1f}" if len(queue) else "",
        )
        yield f"| {name} | {' | '.join(cells)} |"


def groups_table(hour: Hour, outcomes: dict[str, list[Outcome]], groups: dict[str, Of]) -> Iterable[str]:
    """Compare the models in each group: early, late or missed; false fills; shares."""
    yield "| model | " + " | ".join(groups) + " |"
    yield "|---" + "|---:" * len(groups) + "|"
    for name, of_model in outcomes.items():
        cells = []
        for belongs in groups.values():
            m = Measured(hour, [outcome for outcome in of_model if belongs(outcome.order)])
            if name == TRUTH:
                cells.append(f"{len(m.true):,} orders, {m.true.sum():,} filled")
                continue
            _, early, late, missed = (100 * m.ratio(hit, m.true)[0] for hit in m.hits())
            false = int((m.within & ~m.true).sum())
            cells.append(
                f"{early:.1f}, {late + missed:.1f}, {false}, {100 * m.ratio(m.shares, m.true_shares)[0]:.0f}"
            )
        yield f"| {name} | {' | '.join(cells)} |"


def _percent(mean: float, error: float) -> str:
    return f"{100 * mean:.1f} ± {100 * error:.1f}" if mean == mean else ""


def _quantiles(values: Numbers, *parts: float) -> str:
    if len(values) == 0:
        return ""
    return ", ".join(f"{value:,.1f}" for value in np.quantile(values, parts))


def report(hour: Hour, outcomes: dict[str, list[Outcome]]) -> Iterable[str]:
    """Write all tables."""
    measured = {
        name: Measured(hour, [outcome for outcome in of_model if _is_ahead(outcome.order)])
        for name, of_model in outcomes.items()
    }
    some = measured[TRUTH]
    yield from ("", "## Orders with somebody ahead", "")
    yield f"{len(some.true):,} orders, {some.true.sum():,} of them filled at least in part. By their end:"
    yield from ("", *fills_table(measured), "", "Times of the true fills:", "")
    yield from times_table({name: m for name, m in measured.items() if name != TRUTH})
    for title, groups in (("place at arrival", PLACES), ("queue at arrival", LENGTHS)):
        yield from ("", f"## By {title}", "")
        yield "True fills early, %; late or missed, %; false fills, number; shares filled, % of the true."
        yield from ("", *groups_table(hour, outcomes, groups))
    yield from ("", "## Where cancelled orders stood", "", *cancels_table(hour))


def study(data: Path, most: int = MOST) -> tuple[Hour, dict[str, list[Outcome]]]:
    """Run every model over the sample."""
    hour = read_hour(data)
    orders = sample(hour, most)
    truth = [Outcome(order, order.first, order.filled, order.filled) for order in orders]
    outcomes = {
        TRUTH: truth,
        "exact": follow_exactly(hour, orders, data),
        **follow_models(hour, orders, MODELS),
    }
    for told in (JOINED, BOOK_FIRST):
        for name, of_model in follow_models(hour, orders, TOLD_OTHERWISE, told).items():
            outcomes[f"{name}, {told}"] = of_model
    return hour, outcomes


def main(most: int) -> None:
    begun = time.process_time()
    hour, outcomes = study(Path(os.environ["MDM_DATA"]), most)
    lines = [
        "# Shadow orders: what each model of the queue predicts",
        "",
        f"By `python -m benchmarks.queue_models.study {most}`, seed {SEED}; README.md says how to read it.",
        *report(hour, outcomes),
        "",
    ]
    Path(__file__).with_name("RESULTS.md").write_text("\n".join(lines), encoding="utf-8")
    print(f"{len(outcomes[TRUTH]):,} orders, {time.process_time() - begun:.0f} s of CPU")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else MOST)
