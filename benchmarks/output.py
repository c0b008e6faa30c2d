"""What the output of a run costs: `python benchmarks/output.py [DECISIONS]`.

Writes rows of decisions to Parquet parts as a batch run does, and a tenth as many small dicts as lines
of JSON; both in one process, the best of three. "taken" is what the loop waits for, "written" the whole
until the last part is on its place. Figures of one run compare with each other, not with another machine's.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ami_engine.kernels.rows import DecisionRow
from ami_engine.loop.batch_files import RowFiles, RowMemory
from ami_engine.loop.columns import chunks_of
from ami_engine.loop.result import BatchResult
from ami_engine.loop.row_frames import columns_of
from dmc_core.layout import array_of

CHUNK = 16_384
REPEATS = 3


def rows_of(n: int) -> Any:
    """Make rows like those of a run: a walking mid, few reasons, some refusals, a changing account."""
    rng = np.random.default_rng(7)
    rows = np.repeat(array_of([DecisionRow()]), n)
    rows["step"] = np.arange(1, n + 1)
    rows["now_ns"] = 1_700_000_000_000_000_000 + np.cumsum(rng.integers(1_000, 5_000_000, n))
    rows["why"] = np.where(rng.random(n) < 0.1, rng.integers(1, 40, n), 0)
    rows["action"] = np.where(rng.random(n) < 0.3, 0, 1)
    rows["refusing"] = np.where(rng.random(n) < 0.05, 1 << rng.integers(0, 30, n), 0)
    rows["confidence"] = np.round(rng.random(n), 3)
    mid = 100.0 + 0.01 * np.cumsum(rng.integers(-1, 2, n))
    for name, shift in (("bid", -0.01), ("mid", 0.0), ("ask", 0.01)):
        rows[name] = mid + shift
    rows["position_lots"] = np.cumsum(rng.integers(-1, 2, n) * (rng.random(n) < 0.02))
    rows["unrealized_pnl"] = rows["position_lots"] * (mid - 100.0)
    rows["realized_pnl"] = np.cumsum(np.where(rng.random(n) < 0.01, 0.01, 0.0))
    rows["fees"] = np.cumsum(np.where(rng.random(n) < 0.01, 0.002, 0.0))
    rows["equity"] = 10_000.0 + rows["realized_pnl"] + rows["unrealized_pnl"] - rows["fees"]
    rows["drawdown"] = np.maximum.accumulate(rows["equity"]) - rows["equity"]
    return rows


def written(rows: Any, run_dir: Path) -> tuple[float, float]:
    begun = time.perf_counter()
    with RowFiles(run_dir, ["M"]) as files:
        for at in range(0, len(rows), CHUNK):
            files.append("decisions", columns_of(rows[at : at + CHUNK]))
        taken = time.perf_counter() - begun
    return taken, time.perf_counter() - begun


def kept(rows: Any) -> float:
    memory = RowMemory(["M"])
    begun = time.perf_counter()
    for at in range(0, len(rows), CHUNK):
        memory.append("decisions", columns_of(rows[at : at + CHUNK]))
    return time.perf_counter() - begun


def lines(rows: Any, file: Path) -> float:
    begun = time.perf_counter()
    names = rows.dtype.names
    with file.open("wb") as out:
        for at in range(0, len(rows), 1_000):
            for row in rows[at : at + 1_000].tolist():
                out.write(msgspec.json.encode(dict(zip(names, row, strict=True))) + b"\n")
    return time.perf_counter() - begun


def read_back(run_dir: Path) -> float:
    begun = time.perf_counter()
    assert len(BatchResult({}, run_dir=run_dir).equity)
    return time.perf_counter() - begun


def columns_read(rows: Any) -> float:
    quotes = {"ts_ns": rows["now_ns"].copy(), "bid": rows["bid"].copy(), "ask": rows["ask"].copy()}
    begun = time.perf_counter()
    assert sum(piece.length for piece in chunks_of(quotes)) == len(rows)
    return time.perf_counter() - begun


def main(n: int) -> None:
    rows, few = rows_of(n), max(1, n // 10)
    with tempfile.TemporaryDirectory() as folder:
        runs = [Path(folder, f"run_{i}") for i in range(REPEATS)]
        taken, whole = map(min, zip(*(written(rows, run) for run in runs), strict=True))
        size = sum(file.stat().st_size for file in runs[0].glob("decisions/*.parquet")) / n
        text = Path(folder, "lines.jsonl")
        json = min(lines(rows[:few], text) for _ in range(REPEATS)) / few
        json_size = text.stat().st_size / few
        back = min(read_back(run) for run in runs)
    memory = min(kept(rows) for _ in range(REPEATS))
    columns = min(columns_read(rows) for _ in range(REPEATS))
    print(f"Parquet, taken    {taken:8.3f} s  {taken / n * 1e9:8.0f} ns a decision")
    print(f"Parquet, written  {whole:8.3f} s  {whole / n * 1e9:8.0f} ns a decision {size:8.1f} bytes")
    print(f"memory            {memory:8.3f} s  {memory / n * 1e9:8.0f} ns a decision {208:8.1f} bytes")
    print(
        f"JSON lines of {few:,}: {json * few:.3f} s  {json * 1e9:8.0f} ns a decision {json_size:8.1f} bytes"
    )
    print(f"JSON against Parquet: {json / (whole / n):.1f} x the time, {json_size / size:.1f} x the bytes")
    print(f"equity read back  {back:8.3f} s;  quotes in columns read: {columns / n * 1e9:.1f} ns a row")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
