"""Microseconds a step by stage: `python benchmarks/stages.py [EVENTS] [--fast]`.

Wraps each stage of the loop with a timer and runs the simulated market. The timers cost about
0.2 us a call, so small stages read a little high. Figures of one run compare with each other, not
with another machine's.
"""

import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from ami_engine.execution.gateway import Gateway
from ami_engine.loop import feed
from ami_engine.loop import run_loop as driver
from ami_engine.loop import step as step_module
from ami_engine.loop.core import Core
from ami_engine.loop.edge import Edge
from ami_engine.loop.fast_core import FastCore
from ami_engine.sim.microstructure_sim import MicrostructureSim
from ami_engine.sim.paper_broker import PaperBroker
from ami_engine.sim.synthetic_source import SyntheticSource
from ami_engine.summary import RunSummary
from ami_engine.trace.trace_logger import TraceLogger

STAGES: tuple[tuple[str, Any, str], ...] = (
    ("source: simulate the event", SyntheticSource, "next_event"),
    ("decode and redact", feed, "receive"),
    ("admit: stamp, order, book", Edge, "admit"),
    ("paper broker: match the event", Gateway, "on_event"),
    ("drain reports", Gateway, "drain"),
    ("apply reports", step_module, "apply_reports"),
    ("observe: book, features, marks", Core, "take"),
    ("observe: book, features, marks", FastCore, "take"),
    ("propose: the model", step_module, "propose"),
    ("plan, guards, pursue", Core, "decide"),
    ("plan, guards, pursue", FastCore, "decide"),
    ("the verdict in words", step_module, "words_of"),
    ("messages: ids and orders", step_module, "address"),
    ("record: the packet", step_module, "record"),
    ("trace: encode, chain, write", TraceLogger, "append"),
    ("summary", RunSummary, "update"),
    ("paper broker: take the messages", Gateway, "send"),
)


def timed(function: Callable[..., Any], spent: dict[str, int], name: str) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        begun = time.perf_counter_ns()
        try:
            return function(*args, **kwargs)
        finally:
            spent[name] += time.perf_counter_ns() - begun

    return call


def main(events: int, fast: bool) -> None:
    spent: dict[str, int] = defaultdict(int)
    for name, owner, attribute in STAGES:
        setattr(owner, attribute, timed(getattr(owner, attribute), spent, name))
    source = SyntheticSource(MicrostructureSim(mid=0.5, spread=0.01), num_events=events)
    with tempfile.TemporaryDirectory() as folder:
        summary = driver.run_loop(source, PaperBroker(), run_id="stages", output_dir=folder, fast=fast)
    total = summary["timing"]["seconds"] * 1e6 / events
    for name in dict.fromkeys(name for name, _, _ in STAGES):
        print(f"{name:34s}{spent[name] / 1e3 / events:8.1f} us")
    print(f"{'the rest of the driver':34s}{total - sum(spent.values()) / 1e3 / events:8.1f} us")
    print(f"{'whole step':34s}{total:8.1f} us = {1e6 / total:,.0f} events/s over {events:,} events")


if __name__ == "__main__":
    counts = [argument for argument in sys.argv[1:] if argument != "--fast"]
    main(int(counts[0]) if counts else 20_000, "--fast" in sys.argv)
