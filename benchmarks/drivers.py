"""The drivers beside each other: `python -m benchmarks.drivers [ROWS] [--memory ROWS] [--markdown FILE]`.

The same seeded quotes and trades through the compiled batch loop, its interpreted twin, and the loop of
one event at a time, interpreted and compiled. All do the full step: features, model, every guard, order
management, fills. Each is timed three times and the best one counts; compare figures of one run only.
The first run with numba compiles for some minutes.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ami_engine.loop.column_source import ColumnSource
from ami_engine.loop.run_batch import run_batch
from ami_engine.loop.run_loop import run_loop
from ami_engine.mdm.kernel_model import kernel_model
from ami_engine.mdm.reference_model import propose_reference
from ami_engine.mdm.scorer import Scorer
from ami_engine.sim.paper_broker import PaperBroker
from benchmarks.sections import write_section
from decision_schema.instruments import Instrument
from decision_schema.types import Action, Proposal
from dmc_core.dmc.decide import ACT
from dmc_core.dmc.risk_policy import RiskPolicy

SLOW_ROWS = 3_000
SOURCE_ROWS = 30_000
MARKET = Instrument(market_id="M", tick_size="0.01", lot_size="1")
POLICY = RiskPolicy(
    max_per_market_usd=1e6, max_total_exposure_usd=1e6, throttle_refresh_ms=100, daily_loss_stop_usd=0,
    adv15_max_ticks=0, adv60_max_ticks=0, cancel_rate_limit=0, sigma_spike_z_max=0,
)  # fmt: skip


def rows(count: int, seed: int = 0, start_ns: int = 1_700_000_000_000_000_000) -> dict[str, Any]:
    """A walk on a grid of cents, a book of one level a side, and a trade at the touch in every sixth row."""
    rng = np.random.default_rng(seed)
    ts_ns = start_ns + np.cumsum(rng.integers(1, 20_000_000, count))
    bid = np.floor(100.0 * (100.0 + np.cumsum(rng.normal(0.0, 0.003, count)))) / 100.0
    ask = np.round(bid + 0.01 * rng.integers(2, 7, count), 2)
    sizes = rng.integers(1, 50, (2, count)).astype(float)
    is_trade = rng.random(count) < 0.17
    side = rng.choice([-1, 1], count)
    quote = [np.where(is_trade, np.nan, column) for column in (bid, ask, *sizes)]
    return {
        **dict(zip(("ts_ns", "bid", "ask", "bid_size", "ask_size"), (ts_ns, *quote), strict=True)),
        "trade_price": np.where(is_trade, np.where(side > 0, ask, bid), np.nan),
        "trade_size": np.where(is_trade, sizes[0], np.nan),
        "trade_side": np.where(is_trade, side, 0),
    }


def best(run: Callable[[], Any], count: int) -> float:
    """Rows a second of the fastest of three runs."""
    times = []
    for _ in range(3):
        begun = time.perf_counter()
        run()
        times.append(time.perf_counter() - begun)
    return count / min(times)


WEIGHTS = np.array([0.3, 0.5, -0.2, 0.1])


@kernel_model(
    reasons=("leans",),
    scorer=Scorer(
        lambda block: np.nan_to_num(block) @ WEIGHTS,
        ("imbalance", "microprice_alpha_ticks", "trade_imbalance", "sigma"),
    ),
)
def scored(x: Any, _memory: Any, proposed: Any) -> None:
    """Quote around the mid, moved by a linear score of four features."""
    proposed.action, proposed.confidence, proposed.reason = ACT, 0.7, 0
    proposed.value = x.mid + x.scores[0] * x.tick


def in_python(features: dict[str, float]) -> Proposal:
    """The same, as a Python model of named features."""
    known = [features.get(name, 0.0) for name in scored.scorer.features]
    value = features["mid"] + float(np.array(known) @ WEIGHTS) * 0.01
    return Proposal(action=Action.ACT, confidence=0.7, reasons=["leans"], params={"value": value})


def batch(
    data: Any,
    fast: bool,
    broker: Callable[[], PaperBroker] = PaperBroker,
    model: Any = propose_reference,
    **more: Any,
) -> Any:
    return run_batch(
        data, model=model, policy=POLICY, instruments=[MARKET], broker=broker(), run_id="b",
        market_id="M", fast=fast, **more,
    )  # fmt: skip


def events(data: Any, fast: bool, model: Any = propose_reference) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run_loop(
            ColumnSource(data, "M", [MARKET]), PaperBroker(), decision_engine=model,
            risk_policy=POLICY, run_id="e", output_dir=folder, fast=fast,
        )  # fmt: skip


def late() -> PaperBroker:
    return PaperBroker(queue="power", entry_latency_ms=5, response_latency_ms=5)


def compare(count: int) -> list[tuple[str, float]]:
    data, few = rows(count), {name: column[:SLOW_ROWS] for name, column in rows(count).items()}
    some = {name: column[:SOURCE_ROWS] for name, column in data.items()}
    is_quote = ~np.isnan(data["bid"])
    quotes = {name: column[is_quote] for name, column in data.items() if not name.startswith("trade")}
    return [
        ("batch, compiled, quotes only", best(lambda: batch(quotes, True), int(is_quote.sum()))),
        ("batch, compiled, quotes and trades", best(lambda: batch(data, True), count)),
        ("batch, compiled, with latency and queue model", best(lambda: batch(data, True, late), count)),
        ("batch, compiled, with a column scorer", best(lambda: batch(data, True, model=scored), count)),
        (
            "batch, compiled, a source of events",
            best(lambda: batch(ColumnSource(some, "M", [MARKET]), True), SOURCE_ROWS),
        ),
        ("batch, interpreted", best(lambda: batch(few, False), SLOW_ROWS)),
        ("event by event, compiled core, packets stored", best(lambda: events(few, True), SLOW_ROWS)),
        (
            "event by event, compiled core, with a column scorer",
            best(lambda: events(few, True, scored), SLOW_ROWS),
        ),
        ("event by event, a Python model", best(lambda: events(few, False, in_python), SLOW_ROWS)),
        ("event by event, interpreted, packets stored", best(lambda: events(few, False), SLOW_ROWS)),
    ]


def memory(count: int) -> str:
    """Peak memory of a run over so many rows, in pieces, its rows streamed to Parquet."""

    def pieces() -> Iterator[dict[str, Any]]:
        start_ns = 1_700_000_000_000_000_000
        for seed in range(count // 250_000):
            piece = rows(250_000, seed, start_ns)
            start_ns = int(piece["ts_ns"][-1])
            yield piece

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        summary = batch(pieces(), True, output_dir=folder).summary
        seconds = time.perf_counter() - begun
        size = sum(file.stat().st_size for file in Path(folder).rglob("*.parquet"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return (
        f"{summary['steps']:,} rows streamed to Parquet: {summary['steps'] / seconds:,.0f} rows/s, peak "
        f"{peak} MB (before it {before} MB), {size / summary['steps']:.1f} bytes a row"
    )


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("rows", type=int, nargs="?", default=1_000_000)
    given.add_argument("--memory", type=int, default=0, help="rows of the memory run; 0 = none")
    given.add_argument("--markdown", type=Path, help="write the tables into their section of this file, too")
    asked = given.parse_args()
    lines = []
    if asked.memory:
        batch(rows(1_000), True)
        lines.append(memory(asked.memory))
    found = compare(asked.rows) if asked.rows else []
    if found:
        slowest = found[-1][1]
        lines += ["", "| driver | rows/s | against the last line |", "|---|---:|---:|"]
        lines += [f"| {name} | {speed:,.0f} | {speed / slowest:.1f} |" for name, speed in found]
    print("\n".join(lines))
    if asked.markdown:
        write_section(asked.markdown, "Drivers beside each other", lines)


if __name__ == "__main__":
    main()
