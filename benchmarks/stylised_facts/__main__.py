"""Print the facts of real and simulated markets as one Markdown table: a row a fact, a column a market."""

import argparse
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from benchmarks.stylised_facts.cases import Case, cases
from benchmarks.stylised_facts.facts import (
    IMPACT_S,
    MARKOUT_S,
    SIGN_LAGS,
    WINDOWS_S,
    Facts,
    Returns,
    Spread,
    facts_of,
)
from benchmarks.stylised_facts.probes import DISTANCES, HORIZONS_S
from benchmarks.stylised_facts.tape import cut, record

Cell = Callable[[Facts], float]
SHOWN_MARKOUTS = (0, 5)
"""Distances whose markouts stand in the table; `Facts` has all."""


@dataclass(frozen=True)
class Row:
    """One fact: its words, and how to read it."""

    words: str
    cell: Cell


def main() -> None:
    """Measure what was asked for, and print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stylised_facts", description=__doc__)
    parser.add_argument("what", choices=("real", "sim", "both", "halves"))
    parser.add_argument("--only", default="", help="columns whose name contains this")
    parser.add_argument("--seconds", type=float, help="no more of each market than this")
    parser.add_argument("--seed", type=int, default=1, help="of the simulated markets")
    wanted = parser.parse_args()
    halves = wanted.what == "halves"
    found = [
        case
        for case in cases("real" if halves else wanted.what, wanted.seed)
        if wanted.only.lower() in case.name.lower()
    ]
    print(table([column for case in found for column in _columns(case, wanted.seconds, halves)]))


def _columns(case: Case, seconds: float | None, halves: bool) -> list[tuple[str, Facts]]:
    """Measure one market, or each half of it: how far they differ says how well a fact is known."""
    begin = time.perf_counter()
    source, instrument = case.open()
    limits = [limit for limit in (case.seconds, seconds) if limit is not None]
    tape = record(source, instrument, min(limits, default=None), case.every_s)
    if halves:
        middle = tape.end / 2
        parts = {"1st": cut(tape, 0.0, middle), "2nd": cut(tape, middle, tape.end)}
        columns = [(f"{case.name}, {which}", facts_of(case.name, part)) for which, part in parts.items()]
    else:
        columns = [(case.name, facts_of(case.name, tape))]
    print(f"{case.name}: {time.perf_counter() - begin:.1f} s", file=sys.stderr, flush=True)
    return columns


def table(columns: Iterable[tuple[str, Facts]]) -> str:
    """Lay out the facts."""
    names, facts = zip(*columns, strict=True)
    lines = [" | ".join(("| fact", *names, "")).rstrip(), "|---|" + "---:|" * len(names)]
    lines += [
        " | ".join((f"| {row.words}", *(shown(row.cell(each)) for each in facts), "")).rstrip()
        for row in rows()
    ]
    return "\n".join(lines)


def shown(number: float) -> str:
    """Give a number in three digits; what is not known is a dash.

    >>> shown(1234.5), shown(0.12345), shown(float("nan"))
    ('1,234', '0.123', '–')
    """
    if number != number:
        return "–"
    size = abs(number)
    if size >= 100:
        return f"{number:,.0f}"
    if size >= 10:
        return f"{number:.1f}"
    return (
        f"{number:.2f}" if size >= 1 else f"{number:.3f}" if size >= 0.0095 or size == 0 else f"{number:.1e}"
    )


def rows() -> list[Row]:
    """Give all rows of the table, in order."""
    return [
        Row("seconds", lambda f: f.seconds),
        Row("events", lambda f: f.events),
        Row("moves of best prices, 1/s", lambda f: f.updates_per_s),
        *_spread("spread, ticks", lambda f: f.spread, ("mean", "median", "p90", "p99")),
        Row("spread, ticks: mean over updates", lambda f: f.spread_per_update),
        *_spread("spread, bps", lambda f: f.spread_bps, ("mean", "median", "p90", "p99")),
        *_spread("size at best, lots", lambda f: f.best, ("p10", "median", "p90")),
        *_spread("size at five best, lots", lambda f: f.deep, ("p10", "median", "p90")),
        *_spread("size at best / mean order", lambda f: f.best, ("p10", "median", "p90"), _mean_order),
        *_spread("size at five best / mean order", lambda f: f.deep, ("p10", "median", "p90"), _mean_order),
        Row("prints, 1/s", lambda f: f.trades_per_s),
        Row("orders that took, 1/s", lambda f: f.orders_per_s),
        *_spread("print, lots", lambda f: f.print_lots, ("mean", "median")),
        *_spread("order, lots", lambda f: f.order_lots, ("mean", "median", "p90", "p99")),
        *_spread("order / size at best before it", lambda f: f.order_of_best, ("median", "p90")),
        Row("half spread before orders / over time", lambda f: f.half_at_trades / f.half_spread),
        *(row for step in (1, 10) for row in _returns(step)),
        Row("variance ratio 10 s / 1 s", lambda f: f.variance_ratio),
        *(Row(f"signs of prints, lag {lag}", _entry("print_signs", lag)) for lag in SIGN_LAGS),
        *(Row(f"signs of orders, lag {lag}", _entry("order_signs", lag)) for lag in SIGN_LAGS),
        *(Row(f"Fano of prints, {window} s", _entry("print_fano", window)) for window in WINDOWS_S),
        *(Row(f"Fano of orders, {window} s", _entry("order_fano", window)) for window in WINDOWS_S),
        *(Row(f"impact after {s} s, ticks", _entry("impact", s)) for s in IMPACT_S),
        *(Row(f"impact after {s} s, half spreads", _entry("impact", s, "half_at_trades")) for s in IMPACT_S),
        Row("probes at each distance", lambda f: f.probes),
        *(
            Row(
                f"filled within {horizon} s, {distance} ticks away",
                _entry("fill_chance", (distance, horizon)),
            )
            for horizon in HORIZONS_S
            for distance in DISTANCES
        ),
        *(row for distance in SHOWN_MARKOUTS for row in _markouts(distance)),
    ]


NAN = float("nan")
STATES = {"mean": "mean", "p10": "10 %", "median": "median", "p90": "90 %", "p99": "99 %"}


def _entry(name: str, key: object, unit: str = "") -> Cell:
    """Read one entry of a fact, in units of another one."""

    def cell(facts: Facts) -> float:
        value: float = getattr(facts, name).get(key, NAN)
        scale: float = getattr(facts, unit) if unit else 1.0
        return value / scale

    return cell


def _part(of: Callable[[Facts], object], part: str, unit: Cell) -> Cell:
    def cell(facts: Facts) -> float:
        value: float = getattr(of(facts), part)
        return value / unit(facts)

    return cell


def _mean_order(facts: Facts) -> float:
    return facts.order_lots.mean


def _one(_: Facts) -> float:
    return 1.0


def _spread(
    words: str, of: Callable[[Facts], Spread], parts: tuple[str, ...], unit: Cell = _one
) -> list[Row]:
    return [Row(f"{words}: {STATES[part]}", _part(of, part, unit)) for part in parts]


def _returns(step: int) -> list[Row]:
    parts = {
        "ticks": "standard deviation, ticks",
        "bps": "standard deviation, bps",
        "kurtosis": "excess kurtosis",
        "beyond3": "part beyond 3 standard deviations",
        "still": "part that are zero",
        "lag1": "autocorrelation, lag 1",
        "clustering": "of absolute ones, mean of lags 1 to 10",
    }
    return [
        Row(f"{step} s returns: {words}", _part(lambda f: f.returns.get(step, Returns()), part, _one))
        for part, words in parts.items()
    ]


def _markouts(distance: int) -> list[Row]:
    words = f"markout of those {distance} ticks away after"
    return [
        Row(f"{words} {s} s, {unit}", _entry("markout", (distance, s), name))
        for unit, name in (("ticks", ""), ("half spreads", "half_spread"))
        for s in MARKOUT_S
    ]


if __name__ == "__main__":
    main()
