"""mdm-engine on the rule: `python ours.py DATA.npz --variant NAME`; prints one line of JSON.

`plain`: no latency, the conservative queue model; `queue`: 5 ms each way and the power queue model.
Both do the full step: features, model, all guards, order management, and a row of every decision, fill
and order, kept in memory.
"""

import logging
import time
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
ROWS = None
"""All rows."""
REPEATS = 5
WARM_ROWS = 200
MARKET = "M"
NS_PER_MS = 1_000_000


def run_ours(columns: dict[str, np.ndarray], variant: str) -> dict[str, Any]:
    """Run the rule over the columns with the engine, and give the counts that come out."""
    from ami_engine.config import ExecutionSection, FeaturesSection, RunConfig, RunSection
    from ami_engine.loop.run_batch import run_batch
    from ami_engine.mdm.reference_model import propose_reference
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
    result = run_batch(
        columns, broker=broker, config=config, market_id=MARKET, run_id="peers", model=propose_reference
    )
    summary = result.summary
    return {
        "acts": summary["action_counts"].get("ACT", 0),
        "sent": summary["orders_submitted"] - summary["orders_replaced"],
        "modified": summary["orders_replaced"],
        "cancelled": summary["orders_canceled"] - summary["orders_replaced"],
        "fills": summary["fills"],
        "refusals": summary["refusals"],
        "ended": summary["ended"],
    }


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
