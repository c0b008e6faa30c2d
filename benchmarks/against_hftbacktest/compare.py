"""Compare the fills of PaperBroker and hftbacktest, one by one, and say why they differ.

`python -m benchmarks.against_hftbacktest.compare --data FOLDER` prints the tables and writes
RESULTS.md; see README.md.
"""

import argparse
import platform
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np

from benchmarks.against_hftbacktest import bridge, run_mdm
from benchmarks.against_hftbacktest.bridge import RULES, Fill, Step
from benchmarks.against_hftbacktest.cases import CASES, Case
from benchmarks.against_hftbacktest.market import REGIMES, TRADE, Tape, synthetic_tape
from benchmarks.against_hftbacktest.recorded import recorded_tape

HERE = Path(__file__).parent
COMMAND = "python -m benchmarks.against_hftbacktest.compare --data $MDM_DATA"
Told = dict[tuple[int, int], tuple[int, int, int]]
"""By order and time: lots, price and lots of the last fill."""


@dataclass
class Result:
    """Fills of one tape under one case; `why` counts those that differ by the rule that explains them."""

    tape: str
    case: Case
    orders: int
    theirs: int
    ours: int
    equal: int
    why: Counter[str] = field(default_factory=Counter)
    unexplained: int = 0

    @property
    def kind(self) -> tuple[str, bool]:
        return self.tape, self.case.partial


def told_by(fills: Iterable[Fill]) -> Told:
    """Give what hftbacktest would tell of these fills."""
    told: Told = {}
    for order, ts, ticks, lots in fills:
        told[order, ts] = (told.get((order, ts), (0,))[0] + lots, ticks, lots)
    return told


def read_told(seen: np.ndarray) -> Told:
    """Read what hftbacktest told, each order a little short of whole lots."""
    return {(order, ts): (round(lots), ticks, round(last)) for order, ts, lots, ticks, last in seen.tolist()}


def by_order(fills: Iterable[Fill]) -> dict[int, set[Fill]]:
    """Group fills by order."""
    found: dict[int, set[Fill]] = {}
    for fill in fills:
        found.setdefault(fill.order, set()).add(fill)
    return found


def compare(tape: Tape, steps: list[Step], case: Case, told: Told, ours: Iterable[Fill]) -> Result:
    """Compare the fills of one case, and give each that differs to the first rule that changes its order."""
    bare = bridge.run(tape, steps, case, frozenset())
    shown = told_by(bare)
    wrong = {key[0] for key in shown.keys() | told.keys() if shown.get(key) != told.get(key)}
    first = by_order(bridge.merge(bare))
    mine = by_order(bridge.merge(ours))
    theirs_all = {fill for fills in first.values() for fill in fills}
    ours_all = {fill for fills in mine.values() for fill in fills}
    result = Result(
        tape.name, case, len(tape.orders), len(theirs_all), len(ours_all), len(theirs_all & ours_all)
    )
    differ = Counter(fill.order for fill in theirs_all ^ ours_all)
    left = set(differ)
    last = by_order(bridge.merge(bridge.run(tape, steps, case, frozenset(RULES))))
    wrong |= {order for order in mine.keys() | last.keys() if mine.get(order) != last.get(order)}
    for count, name in enumerate(RULES, 1):
        if not left:
            break
        if not matters(name, case):
            continue
        now = by_order(bridge.merge(bridge.run(tape, steps, case, frozenset(list(RULES)[:count]))))
        for order in [order for order in left if now.get(order) != first.get(order)]:
            left.remove(order)
            if order not in wrong:
                result.why[name] += differ[order]
    result.unexplained = sum(differ[order] for order in left | wrong) + len(wrong - differ.keys())
    return result


def matters(name: str, case: Case) -> bool:
    """Tell whether a rule can change anything in a case."""
    if name in ("back", "zero", "share", "same"):
        return case.queue != "conservative"
    if name == "rest":
        return case.partial
    return True


def run_theirs(python: Path, tapes: list[Tape], folder: Path) -> tuple[str, dict[tuple[str, str], Told]]:
    """Run hftbacktest in its own environment; give its version and what it told."""
    for tape in tapes:
        tape.save(folder)
    subprocess.run([str(python), str(HERE / "run_hft.py"), str(folder)], check=True)
    told = {}
    hft_version = ""
    for tape in tapes:
        with np.load(folder / f"{tape.name}.fills.npz") as found:
            hft_version = str(found["version"])
            told |= {(tape.name, case.name): read_told(found[case.name]) for case in CASES}
    return hft_version, told


# ---------------------------------------------------------------- tables


def table(head: list[str], rows: list[list[object]], words: int) -> str:
    """Write a Markdown table; all but the first columns are numbers, 0 left empty."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * words + "---:|" * (len(head) - words)]
    for row in rows:
        cells = [f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def numbers(results: list[Result]) -> list[object]:
    """Sum results into the cells of a row."""
    why = Counter[str]()
    for result in results:
        why.update(result.why)
    sums = [
        sum(getattr(result, name) for result in results) for name in ("orders", "theirs", "ours", "equal")
    ]
    return [*sums, *(why[name] or "" for name in RULES), sum(result.unexplained for result in results)]


HEAD = ["orders", "fills hft", "fills mdm", "equal", *RULES, "unexplained"]


def report(tapes: list[Tape], results: list[Result], hft_version: str) -> str:
    """Write RESULTS.md."""
    sizes: list[list[object]] = [
        [
            tape.name,
            len(np.unique(tape.rows["ts"])),
            int((tape.rows["kind"] == TRADE).sum()),
            len(tape.rows),
            len(tape.orders),
        ]
        for tape in tapes
    ]
    kinds = list(dict.fromkeys(result.kind for result in results))
    brief = [
        [tape, "partial" if partial else "whole", *numbers([r for r in results if r.kind == (tape, partial)])]
        for tape, partial in kinds
    ]
    each = [[result.tape, result.case.name, *numbers([result])] for result in results]
    rules = "\n".join(f"{place}. **{name}**: {words}" for place, (name, words) in enumerate(RULES.items(), 1))
    return f"""# Fills of mdm-engine against hftbacktest {hft_version}

Written by `{COMMAND}`: Python {platform.python_version()}, numpy {version("numpy")}, mdm-engine
{version("mdm-engine")}; {len(results)} runs. How it works and what is equal stands in [README.md](README.md).

Fills of one order at one time and price count as one. *Equal*: the same order, time, price and quantity in
both. The columns behind it count the fills that only one of the two has, each under the first difference of
the models that changes the fills of its order. *Unexplained*: fills of orders for which the bridge does not
give exactly what hftbacktest, or PaperBroker, gave.

## The stated differences

Each says what mdm-engine does, and what hftbacktest does ("there"); they are put in one after the other.

{rules}

## By market and kind of fills, over all queue models and latencies

{table(["market", "fills", *HEAD], brief, 2)}

## Each run

{table(["market", "run: queue, fills, latency there + back", *HEAD], each, 2)}

## The markets

{table(["market", "messages", "trades", "rows", "orders"], sizes, 1)}
"""


def main() -> None:
    """Run everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of recorded data; else synthetic alone")
    parser.add_argument("--hft", type=Path, default=HERE / ".venv-hft" / "bin" / "python")
    parser.add_argument("--out", type=Path, default=HERE / "RESULTS.md")
    args = parser.parse_args()
    tapes = [synthetic_tape(regime) for regime in REGIMES]
    if args.data is not None:
        tapes.insert(0, recorded_tape(args.data))
    results = []
    with tempfile.TemporaryDirectory() as folder:
        hft_version, told = run_theirs(args.hft, tapes, Path(folder))
    for tape in tapes:
        steps, events = bridge.steps_of(tape.rows), run_mdm.events_of(tape)
        for case in CASES:
            ours = run_mdm.run(tape, events, case)
            result = compare(tape, steps, case, told[tape.name, case.name], ours)
            results.append(result)
            told_now = f"{result.equal} equal, {result.unexplained} unexplained"
            print(f"{tape.name}, {case.name}: {told_now}", flush=True)
    text = report(tapes, results, hft_version)
    args.out.write_text(text, encoding="utf-8")
    print(text)
    if any(result.unexplained for result in results):
        raise SystemExit("some fills are unexplained")


if __name__ == "__main__":
    main()
