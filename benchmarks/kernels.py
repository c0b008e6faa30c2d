"""The kernels one by one: `python -m benchmarks.kernels [CALLS] [--markdown FILE]`.

Nanoseconds a call in a loop without Python between, compiled and interpreted, over the same records: one
market, a book of one level a side, quotes that are kept. The best of three. The parts do not add up to a
step of a batch run, where orders fill and rows are read and written.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ami_engine.config import RunConfig
from ami_engine.kernels.admission import MarketFeed, MarketRow, admit_row
from ami_engine.kernels.decision import Decision
from ami_engine.kernels.event_clock import EventTime
from ami_engine.kernels.features import advance_time, refresh_features
from ami_engine.kernels.fused import judge_and_pursue, plan_and_see
from ami_engine.kernels.inputs import Input, TradeRow
from ami_engine.kernels.model_input import ModelInput, show_model
from ami_engine.kernels.observe import observe, take_market
from ami_engine.kernels.proposing import clear_proposed
from ami_engine.kernels.reference import propose_reference
from ami_engine.loop.engine import Engine
from ami_engine.loop.record_arrays import laid_out
from ami_engine.mdm.decision_engine import DecisionEngine
from ami_engine.sim.paper_broker import PaperBroker
from benchmarks.drivers import MARKET, POLICY
from benchmarks.sections import table, write_section
from decision_schema.kernel import kernel
from dmc_core.jit import bound, can_compile

BEGIN_NS = 1_700_000_000_000_000_000
STEP_NS = 10_000_000
SAMPLE_NS = 1_000_000_000


@kernel
def repeat_admit(n, feeds, cells, times, rows, trades, inputs):
    for _ in range(n):
        rows[0].ts_ns += STEP_NS
        market = cells[0].market
        admit_row(feeds[0], market.book, market.staged, times[0], rows[0], 0, 0, trades, 0, inputs[0])


@kernel
def repeat_market(n, cells, inputs, trades):
    for _ in range(n):
        inputs[0].now_ns += STEP_NS
        advance_time(cells[0].market, inputs[0].now_ns)
        take_market(cells[0].market, inputs[0], trades, inputs[0].now_ns)
        refresh_features(cells[0].market, inputs[0].now_ns)


@kernel
def repeat_sample(n, cells, inputs):
    for _ in range(n):
        inputs[0].now_ns += SAMPLE_NS
        advance_time(cells[0].market, inputs[0].now_ns)
        refresh_features(cells[0].market, inputs[0].now_ns)


@kernel
def repeat_observe(n, states, cells, inputs, trades):
    for _ in range(n):
        inputs[0].now_ns += STEP_NS
        states[0].now_ns = inputs[0].now_ns
        observe(states[0], cells, cells[0], inputs[0], trades, inputs[0].now_ns)


@kernel
def repeat_model(n, states, cells, xs, decisions):
    for _ in range(n):
        show_model(xs[0], states[0], cells[0])
        clear_proposed(decisions[0].proposed)
        propose_reference(xs[0], cells[0].memory, decisions[0].proposed)


@kernel
def repeat_plan(n, states, cells, rules, decisions):
    for _ in range(n):
        plan_and_see(states[0], cells, rules, decisions[0], 0)


@kernel
def repeat_judge(n, states, cells, rules, decisions):
    for _ in range(n):
        judge_and_pursue(states[0], cells, rules, decisions[0], 0, 0, 0)


def records(fast: bool) -> dict[str, Any]:
    """A market with a valid book, as lists of records or as arrays."""
    engine = Engine(
        run_id="k", run_key=b"k", config=RunConfig(), policy=POLICY, model=DecisionEngine(),
        instruments={MARKET.market_id: MARKET}, capabilities=PaperBroker().capabilities(), fast=fast,
    )  # fmt: skip
    engine.add_market(MARKET.market_id)
    staged = engine.cells[0].market.staged
    staged.bid, staged.ask, staged.mid = 99.98, 100.02, 100.0
    staged.bid_depth, staged.ask_depth, staged.depth = 20.0, 30.0, 50.0
    given = {
        "feeds": MarketFeed(cell=0, seen=1, price_max=1e9),
        "times": EventTime(),
        "rows": MarketRow(ts_ns=BEGIN_NS, bid=99.98, ask=100.02, bid_size=20.0, ask_size=30.0),
        "trades": TradeRow(),
        "inputs": Input(cell=0, is_read=1, now_ns=BEGIN_NS, has_book=1, is_quote=1),
        "decisions": Decision(),
        "xs": ModelInput(),
    }
    core = engine.core
    made = {name: laid_out([record], fast=fast) for name, record in given.items()}
    return made | {"states": core.states, "cells": core.cell_records, "rules": core.rule_records}


KERNELS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "observe: time, book, features, account": (repeat_observe, ("states", "cells", "inputs", "trades")),
    "of it: the market alone": (repeat_market, ("cells", "inputs", "trades")),
    "a sample of all windows, once a second": (repeat_sample, ("cells", "inputs")),
    "admit a row": (repeat_admit, ("feeds", "cells", "times", "rows", "trades", "inputs")),
    "show and ask the reference model": (repeat_model, ("states", "cells", "xs", "decisions")),
    "plan, and what the guards see": (repeat_plan, ("states", "cells", "rules", "decisions")),
    "every guard, then orders": (repeat_judge, ("states", "cells", "rules", "decisions")),
}


def measure(fast: bool, calls: int) -> dict[str, float]:
    """Nanoseconds a call of each kernel."""
    made, found = records(fast), {}
    for name, (function, names) in KERNELS.items():
        arguments = [made[each] for each in names]
        run = bound(function, (calls, *arguments)) if fast else function
        times = []
        for _ in range(3):
            begun = time.perf_counter()
            run(calls, *arguments)
            times.append(time.perf_counter() - begun)
        found[name] = min(times) / calls * 1e9
    return found


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("calls", type=int, nargs="?", default=200_000)
    given.add_argument("--markdown", type=Path, help="write the table into its section of this file, too")
    asked = given.parse_args()
    slow = measure(False, max(100, asked.calls // 100))
    quick = measure(True, asked.calls) if can_compile() else {}
    rows = []
    for name, ns in slow.items():
        fast_ns = quick.get(name, float("nan"))
        rows.append((name, f"{fast_ns:,.0f}", f"{ns:,.0f}", f"{ns / fast_ns:.0f}"))
    lines = table(("kernel", "compiled, ns", "interpreted, ns", "times"), rows)
    print("\n".join(lines))
    if asked.markdown:
        write_section(asked.markdown, "Kernels one by one", lines)


if __name__ == "__main__":
    main()
