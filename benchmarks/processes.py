"""Runs side by side: `python -m benchmarks.processes [ROWS] [--interpreted] [--markdown FILE]`.

Four equal runs through `run_many`, by one worker and by two. Each worker runs once before the clock is
started, so that its code is loaded. A machine whose cores share a cache, or are busy, gives less than two.
"""

import argparse
import functools
import time
from pathlib import Path

from ami_engine.loop.run_many import run_many
from benchmarks.drivers import batch, rows
from benchmarks.sections import table, write_section

RUNS = 4


def one_run(count: int, fast: bool) -> tuple[float, float]:
    """When a run began and ended, after a short one that loads the code."""
    batch(rows(1_000), fast)
    data = rows(count)
    begun = time.monotonic()
    batch(data, fast)
    return begun, time.monotonic()


def seconds(count: int, workers: int, fast: bool) -> float:
    """Time of the runs themselves: what each worker spent in them, the longest of the workers."""
    jobs = {str(i): functools.partial(one_run, count, fast) for i in range(RUNS)}
    spent = []
    for done in run_many(jobs, workers=workers):
        if done.error:
            raise SystemExit(f"run {done.name} failed: {done.error}")
        spent.append(done.result[1] - done.result[0])
    return sum(spent) / workers


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("rows", type=int, nargs="?", default=500_000)
    given.add_argument("--interpreted", action="store_true")
    given.add_argument("--markdown", type=Path, help="write the table into its section of this file, too")
    asked = given.parse_args()
    one, two = (min(seconds(asked.rows, n, not asked.interpreted) for _ in range(2)) for n in (1, 2))
    lines = table(
        ("workers", "rows/s", "against one"),
        [(str(n), f"{RUNS * asked.rows / s:,.0f}", f"{one / s:.2f}") for n, s in ((1, one), (2, two))],
    )
    print("\n".join(lines))
    if asked.markdown:
        head = [f"{RUNS} runs of {asked.rows:,} rows.", ""]
        write_section(asked.markdown, "Runs side by side", [*head, *lines])


if __name__ == "__main__":
    main()
