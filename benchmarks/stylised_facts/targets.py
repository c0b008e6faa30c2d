"""What each preset of the simulator should reach, and whether it does.

A range is what the two halves of the imitated file span (for a prediction market: two matches; for
crypto also the spot market), widened where the file is short. Run:
``python -m benchmarks.stylised_facts.targets [seeds]``.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.stylised_facts.cases import cases
from benchmarks.stylised_facts.facts import Facts, measure

Cell = Callable[[Facts], float]


@dataclass(frozen=True)
class Target:
    """A fact, and the range in which it should lie."""

    words: str
    cell: Cell
    low: float
    high: float


INF = float("inf")
ONE_S = "1 s returns: "
TARGETS = {
    "crypto": (
        Target("spread, ticks: 90 %", lambda f: f.spread.p90, 1, 1),
        Target("spread, ticks: mean", lambda f: f.spread.mean, 1, 2.8),
        Target("size at best / mean order: median", lambda f: f.best.median / f.order_lots.mean, 4, 15),
        Target("order / size at best: median", lambda f: f.order_of_best.median, 0.01, 0.06),
        Target("order: mean / median", lambda f: f.order_lots.mean / f.order_lots.median, 8, 25),
        Target("half spread before orders / over time", lambda f: f.half_at_trades / f.half_spread, 2, 8),
        Target("orders, 1/s", lambda f: f.orders_per_s, 10, 20),
        Target("moves of best prices, 1/s", lambda f: f.updates_per_s, 5, 11),
        Target(f"{ONE_S}standard deviation, ticks", lambda f: f.returns[1].ticks, 45, 110),
        Target(f"{ONE_S}excess kurtosis", lambda f: f.returns[1].kurtosis, 3, 25),
        Target(f"{ONE_S}part beyond 3 deviations", lambda f: f.returns[1].beyond3, 0.012, 0.025),
        Target(f"{ONE_S}part zero", lambda f: f.returns[1].still, 0.38, 0.52),
        Target(f"{ONE_S}clustering", lambda f: f.returns[1].clustering, 0.03, 0.3),
        Target("variance ratio", lambda f: f.variance_ratio, 0.65, 1.2),
        Target("signs of orders, lag 1", lambda f: f.order_signs[1], 0.15, 0.45),
        Target("signs of orders, lag 10", lambda f: f.order_signs[10], 0.09, 0.18),
        Target("signs of orders, lag 50", lambda f: f.order_signs[50], 0.01, 0.08),
        Target("Fano of orders, 1 s", lambda f: f.order_fano[1], 8, 36),
        Target("Fano of orders, 10 s", lambda f: f.order_fano[10], 20, 70),
        Target("impact, 1 s, ticks", lambda f: f.impact[1], 11, 30),
        Target("impact, 15 s / 1 s", lambda f: f.impact[15] / f.impact[1], 0.8, 2.2),
        Target("filled within 10 s at 0", lambda f: f.fill_chance[0, 10], 0.7, 0.85),
        Target("filled within 10 s at 100", lambda f: f.fill_chance[100, 10], 0.3, 0.5),
        Target("markout at 0, 1 s / deviation", lambda f: f.markout[0, 1] / f.returns[1].ticks, -1.0, -0.6),
        Target("markout at 0, 15 s / deviation", lambda f: f.markout[0, 15] / f.returns[1].ticks, -1.0, -0.4),
    ),
    "equity": (
        Target("spread, ticks: median", lambda f: f.spread.median, 16, 21),
        Target("spread, ticks: 99 %", lambda f: f.spread.p99, 33, 55),
        Target("size at best / mean order: median", lambda f: f.best.median / f.order_lots.mean, 0.7, 1.1),
        Target("five best / mean order: median", lambda f: f.deep.median / f.order_lots.mean, 4, 7),
        Target("order / size at best: median", lambda f: f.order_of_best.median, 0.8, 1.05),
        Target("half spread before orders / over time", lambda f: f.half_at_trades / f.half_spread, 0.7, 0.9),
        Target("orders, 1/s", lambda f: f.orders_per_s, 1.0, 1.6),
        Target("moves of best prices, 1/s", lambda f: f.updates_per_s, 3, 6),
        Target(f"{ONE_S}standard deviation, bps", lambda f: f.returns[1].bps, 0.7, 1.1),
        Target(f"{ONE_S}excess kurtosis", lambda f: f.returns[1].kurtosis, 8, 30),
        Target(f"{ONE_S}part zero", lambda f: f.returns[1].still, 0.3, 0.45),
        Target(f"{ONE_S}autocorrelation, lag 1", lambda f: f.returns[1].lag1, -0.06, 0.06),
        Target(f"{ONE_S}clustering", lambda f: f.returns[1].clustering, 0.05, 0.2),
        Target("variance ratio", lambda f: f.variance_ratio, 0.85, 1.25),
        Target("signs of orders, lag 1", lambda f: f.order_signs[1], 0.5, 0.65),
        Target("signs of orders, lag 5", lambda f: f.order_signs[5], 0.16, 0.32),
        Target("signs of orders, lag 20", lambda f: f.order_signs[20], -0.01, 0.09),
        Target("Fano of orders, 1 s", lambda f: f.order_fano[1], 4, 8),
        Target("Fano of orders, 10 s", lambda f: f.order_fano[10], 9, 25),
        Target("impact, 1 s, half spreads", lambda f: f.impact[1] / f.half_at_trades, 0.55, 0.85),
        Target("impact, 15 s, half spreads", lambda f: f.impact[15] / f.half_at_trades, 0.65, 1.05),
        Target("filled within 10 s at 0", lambda f: f.fill_chance[0, 10], 0.35, 0.5),
        Target("filled within 10 s at 10", lambda f: f.fill_chance[10, 10], 0.15, 0.25),
        Target("filled within 60 s at 0", lambda f: f.fill_chance[0, 60], 0.68, 0.82),
        Target("filled within 60 s at 30", lambda f: f.fill_chance[30, 60], 0.2, 0.35),
        Target("markout at 0, 1 s, half spreads", lambda f: f.markout[0, 1] / f.half_spread, -0.2, 0.05),
        Target("markout at 0, 15 s, half spreads", lambda f: f.markout[0, 15] / f.half_spread, -0.55, -0.2),
    ),
    "fx": (
        Target("spread, ticks: median", lambda f: f.spread.median, 10, 12),
        Target("spread, ticks: 90 %", lambda f: f.spread.p90, 13, 16),
        Target("spread, ticks: 99 %", lambda f: f.spread.p99, 15, 23),
        Target("moves of best prices, 1/s", lambda f: f.updates_per_s, 0.8, 2.5),
        Target(f"{ONE_S}standard deviation, ticks", lambda f: f.returns[1].ticks, 1.3, 2.8),
        Target(f"{ONE_S}excess kurtosis", lambda f: f.returns[1].kurtosis, 30, 400),
        Target(f"{ONE_S}part beyond 3 deviations", lambda f: f.returns[1].beyond3, 0.014, 0.026),
        Target(f"{ONE_S}part zero", lambda f: f.returns[1].still, 0.68, 0.82),
        Target(f"{ONE_S}autocorrelation, lag 1", lambda f: f.returns[1].lag1, 0, 0.15),
        Target(f"{ONE_S}clustering", lambda f: f.returns[1].clustering, 0.2, 0.4),
        Target("variance ratio", lambda f: f.variance_ratio, 0.9, 1.25),
        Target("filled within 60 s at 0", lambda f: f.fill_chance[0, 60], 0.15, 0.32),
        Target("filled within 60 s at 10", lambda f: f.fill_chance[10, 60], 0.04, 0.15),
        Target("markout at 0, 1 s, half spreads", lambda f: f.markout[0, 1] / f.half_spread, -1.5, -1.1),
        Target("markout at 0, 15 s, half spreads", lambda f: f.markout[0, 15] / f.half_spread, -1.5, -1.1),
    ),
    "prediction_market": (
        Target("spread, ticks of 0.001: median", lambda f: f.spread.median, 8, 60),
        Target("size at best / mean order: median", lambda f: f.best.median / f.order_lots.mean, 2, 6),
        Target("five best / mean order: median", lambda f: f.deep.median / f.order_lots.mean, 12, 40),
        Target("order / size at best: median", lambda f: f.order_of_best.median, 0.005, 0.3),
        Target("order: mean / median", lambda f: f.order_lots.mean / f.order_lots.median, 4, 20),
        Target(
            "half spread before orders / over time", lambda f: f.half_at_trades / f.half_spread, 0.65, 0.9
        ),
        Target(f"{ONE_S}excess kurtosis", lambda f: f.returns[1].kurtosis, 15, INF),
        Target(f"{ONE_S}part zero", lambda f: f.returns[1].still, 0.6, 0.92),
        Target(f"{ONE_S}clustering", lambda f: f.returns[1].clustering, 0.04, 0.2),
        Target("variance ratio", lambda f: f.variance_ratio, 0.5, 0.95),
        Target("signs of orders, lag 1", lambda f: f.order_signs[1], 0.15, 0.3),
        Target("signs of orders, lag 10", lambda f: f.order_signs[10], 0.03, 0.15),
        Target("Fano of orders, 1 s", lambda f: f.order_fano[1], 1, 2),
        Target("Fano of orders, 10 s", lambda f: f.order_fano[10], 1.5, 5),
        Target("impact, 1 s, half spreads", lambda f: f.impact[1] / f.half_at_trades, 0.17, 0.35),
        Target("impact, 15 s, half spreads", lambda f: f.impact[15] / f.half_at_trades, 0.35, 0.55),
        Target("markout at 0, 1 s, half spreads", lambda f: f.markout[0, 1] / f.half_spread, -0.6, -0.15),
        Target("markout at 0, 15 s, half spreads", lambda f: f.markout[0, 15] / f.half_spread, -0.6, -0.15),
    ),
}


def main() -> None:
    """Print each target, the fact of the simulator for a few seeds, and whether their median lies within."""
    seeds = [int(each) for each in sys.argv[1:]] or [1, 2, 3]
    measured: dict[str, list[Facts]] = {preset: [] for preset in TARGETS}
    for seed in seeds:
        for case in cases("sim", seed):
            source, instrument = case.open()
            measured[case.name.removeprefix("sim ")].append(
                measure(source, instrument, case.seconds, case.every_s)
            )
    print("| preset | fact | least | most |" + "".join(f" seed {seed} |" for seed in seeds) + " reached |")
    print("|---|---|---:|---:|" + "---:|" * len(seeds) + "---|")
    for preset, targets in TARGETS.items():
        hits = 0
        for target in targets:
            values = [target.cell(facts) for facts in measured[preset]]
            reached = target.low <= sorted(values)[len(values) // 2] <= target.high
            hits += reached
            shown = " | ".join(f"{value:.3g}" for value in (target.low, target.high, *values))
            print(f"| {preset} | {target.words} | {shown} | {'yes' if reached else 'no'} |")
        print(f"{preset}: {hits} of {len(targets)}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
