"""Cost against history and markets: `python -m benchmarks.growth [ROWS] [--interpreted] [--markdown FILE]`.

The same seeded quotes and trades as in benchmarks/drivers.py. By history: nanoseconds a row of each tenth
of one run; flat = the cost of a row does not grow with what came before. By markets: rows are dealt out
to 1, 4, 16 and 64 markets in turn; flat = the cost of a run is linear in its markets. Best of three.
"""

import argparse
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ami_engine.loop.run_batch import run_batch
from ami_engine.mdm.reference_model import propose_reference
from benchmarks.drivers import MARKET, POLICY, rows
from benchmarks.sections import table, write_section
from dmc_core.dmc.risk_policy import RiskPolicy

MARKETS = (1, 4, 16, 64)
PARTS = 10
WIDE: RiskPolicy = msgspec.structs.replace(POLICY, max_total_exposure_usd=1e9)


def run(data: Any, fast: bool, **more: Any) -> None:
    run_batch(data, model=propose_reference, policy=WIDE, run_id="g", market_id="M", fast=fast, **more)


def by_history(count: int, fast: bool) -> list[float]:
    """Nanoseconds a row of each tenth of a run, the best of three runs."""
    data, length = rows(count), count // PARTS
    best = [float("inf")] * PARTS
    for _ in range(3):
        stamps = []

        def pieces(stamps: list[float] = stamps) -> Iterator[dict[str, Any]]:
            for begin in range(0, length * PARTS, length):
                stamps.append(time.perf_counter())
                yield {name: column[begin : begin + length] for name, column in data.items()}
            stamps.append(time.perf_counter())

        run(pieces(), fast, instruments=[MARKET])
        spent = [1e9 * (end - begin) / length for begin, end in itertools.pairwise(stamps)]
        best = [min(pair) for pair in zip(best, spent, strict=True)]
    return best


def by_markets(count: int, markets: int, fast: bool) -> float:
    """Nanoseconds a row of a run over so many markets."""
    names = [f"M{i:02}" for i in range(markets)]
    data = rows(count) | {"market_id": np.array(names)[np.arange(count) % markets]}
    known = [msgspec.structs.replace(MARKET, market_id=name) for name in names]
    times = []
    for _ in range(3):
        begun = time.perf_counter()
        run(data, fast, instruments=known)
        times.append(time.perf_counter() - begun)
    return min(times) / count * 1e9


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("rows", type=int, nargs="?", default=1_000_000)
    given.add_argument("--interpreted", action="store_true")
    given.add_argument("--markdown", type=Path, help="write the tables into their section of this file, too")
    asked = given.parse_args()
    fast = not asked.interpreted
    run(rows(1_000), fast, instruments=[MARKET])  # compiles
    history = by_history(asked.rows, fast)
    first = by_markets(asked.rows, 1, fast)
    costs = [(n, first if n == 1 else by_markets(asked.rows, n, fast)) for n in MARKETS]
    length = asked.rows // PARTS
    lines = [
        f"One run over {asked.rows:,} rows, {'compiled' if fast else 'interpreted'}.",
        "",
        *table(
            ("rows before", "ns a row", "against the first"),
            [(f"{i * length:,}", f"{ns:,.0f}", f"{ns / history[0]:.2f}") for i, ns in enumerate(history)],
        ),
        "",
        *table(
            ("markets", "ns a row", "against one"),
            [(str(n), f"{ns:,.0f}", f"{ns / first:.2f}") for n, ns in costs],
        ),
    ]
    print("\n".join(lines))
    if asked.markdown:
        write_section(asked.markdown, "Cost against history and markets", lines)


if __name__ == "__main__":
    main()
