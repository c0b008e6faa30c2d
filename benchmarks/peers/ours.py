"""mdm-engine on the rule: `python ours.py DATA.npz --variant NAME`; prints one line of JSON.

`plain`: no latency, the conservative queue model; `queue`: 5 ms each way and the power queue model.
Both do the full step: features, model, all guards, order management, and a trace of every decision.
"""

import logging
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import (
    INITIAL_EQUITY,
    LATENCY_NS,
    LIMITS,
    QUEUE_POWER,
    SAMPLE_NS,
    arguments,
    load,
    since_start,
    tell,
)

VARIANTS = ("plain", "queue")
ROWS = 20_000
"""Rows that the driver of one event at a time is given; its speed does not hang on how many there are."""
REPEATS = 1
WARM_ROWS = 200
MARKET = "M"
NS_PER_MS = 1_000_000


def run_ours(columns: dict[str, np.ndarray], variant: str) -> dict[str, Any]:
    """Run the rule over the columns with the engine, and give the counts that come out.

    SWAP HERE: when `ami_engine.loop.batch.run_batch(columns, ...)` is there, call it in the place of
    `run_loop(source, ...)` with the same broker and config, and set `ROWS` to None
    and `REPEATS` to 5.
    """
    from ami_engine.config import ExecutionSection, FeaturesSection, RunConfig, RunSection
    from ami_engine.loop.run_loop import run_loop
    from ami_engine.sim.paper_broker import PaperBroker
    from decision_schema.instruments import Instrument
    from dmc_core.dmc.risk_policy import RiskPolicy

    instrument = Instrument(market_id=MARKET, tick_size="0.01", lot_size="1", price_max=1e9)
    latency_ms = 0.0 if variant == "plain" else LATENCY_NS / NS_PER_MS
    broker = PaperBroker(
        [instrument],
        queue="conservative" if variant == "plain" else "power",
        queue_power=QUEUE_POWER,
        partial_fills=False,
        entry_latency_ms=latency_ms,
        response_latency_ms=latency_ms,
    )
    config = RunConfig(
        run=RunSection(initial_equity=INITIAL_EQUITY),
        features=FeaturesSection(sample_ms=SAMPLE_NS // NS_PER_MS),
        execution=ExecutionSection(size=1.0),
        guards=RiskPolicy(**LIMITS),
        instruments=[instrument],
    )
    with tempfile.TemporaryDirectory() as folder:
        summary = run_loop(source_of(columns), broker, config=config, output_dir=Path(folder), run_id="peers")
    return {
        "acts": summary["action_counts"].get("ACT", 0),
        "sent": summary["orders_submitted"] - summary["orders_replaced"],
        "modified": summary["orders_replaced"],
        "cancelled": summary["orders_canceled"] - summary["orders_replaced"],
        "fills": summary["fills"],
        "refusals": summary["refusals"],
        "ended": summary["ended"],
    }


def source_of(columns: dict[str, np.ndarray]) -> Any:
    """Give the columns as a source of one event at a time."""
    from ami_engine.ports import MarketDataSource

    class Rows(MarketDataSource):
        def __init__(self) -> None:
            self.rows = zip(*(column.tolist() for column in columns.values()), strict=True)

        def next_event(self) -> dict[str, Any] | None:
            row = next(self.rows, None)
            if row is None:
                return None
            ts_ns, bid, ask, bid_size, ask_size, price, size, side = row
            if side:
                word = "buy" if side > 0 else "sell"
                trade = {"price": price, "size": size, "aggressor_side": word}
                return {"market_id": MARKET, "ts_ns": ts_ns, "trades": [trade]}
            return {
                "market_id": MARKET, "ts_ns": ts_ns,
                "bid": bid, "ask": ask, "bid_size": bid_size, "ask_size": ask_size,
            }  # fmt: skip

    return Rows()


def main() -> None:
    logging.disable(logging.WARNING)
    given = arguments(VARIANTS)
    begun = time.perf_counter()
    columns = load(given.data, given.rows or ROWS)
    reading = time.perf_counter() - begun
    run_ours({name: column[:WARM_ROWS] for name, column in columns.items()}, given.variant)
    start_seconds = since_start() - reading
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        counts = run_ours(columns, given.variant)
        times.append(time.perf_counter() - started)
    tell(
        "mdm-engine",
        given.variant,
        columns,
        times,
        start_seconds,
        ("mdm-engine", "numpy"),
        full_step=True,
        **counts,
    )


if __name__ == "__main__":
    main()
