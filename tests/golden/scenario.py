"""Twenty events by hand, the reference model, the paper broker: what a decision looks like today."""

import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from ami_engine.config import RunConfig, RunSection
from ami_engine.loop.run_loop import run_loop
from ami_engine.mdm.reference_model import propose_reference
from ami_engine.ports import MarketDataSource
from ami_engine.sim.paper_broker import PaperBroker
from ami_engine.trace.trace_logger import TRACES
from decision_schema.instruments import Instrument
from dmc_core.dmc.risk_policy import RiskPolicy

GOLDEN = Path(__file__).with_name("packets.jsonl")
BEGIN_MS = 1_767_225_600_000


def book(
    second: float, *bids: tuple[float, float], asks: Sequence[tuple[float, float]], **more: Any
) -> dict[str, Any]:
    """A book at a second of the scenario."""
    return {"ts_ms": BEGIN_MS + int(second * 1000), "bids": list(bids), "asks": list(asks), **more}


def sold(price: float, size: float) -> list[dict[str, Any]]:
    """A seller takes what is bid."""
    return [{"price": price, "size": size, "aggressor_side": "sell"}]


def bought(price: float, size: float) -> list[dict[str, Any]]:
    """A buyer takes what is offered."""
    return [{"price": price, "size": size, "aggressor_side": "buy"}]


POLICY = RiskPolicy(max_abs_inventory=1.0, stale_cancel_ms=1_200.0)  # so that fills and silence pull orders

EVENTS: list[Mapping[str, Any]] = [
    book(0, (0.49, 20), (0.48, 50), asks=[(0.51, 15), (0.52, 40)]),  # a first book: quote both sides
    book(1, (0.49, 20), (0.48, 50), asks=[(0.51, 15), (0.52, 40)]),  # nothing changed: the quotes are kept
    book(2, (0.49, 5), (0.48, 50), asks=[(0.51, 15)], trades=sold(0.49, 15)),  # the queue before us shrinks
    book(3, (0.48, 50), asks=[(0.51, 15)], trades=sold(0.485, 30)),  # our bid is filled
    book(4, (0.48, 50), (0.475, 9), asks=[(0.5, 30)]),  # the market moves down: replace
    book(5, (0.485, 2), asks=[(0.49, 90)]),  # one tick wide: the edge is too small
    book(6, (0.3, 10), asks=[(0.7, 10)]),  # very wide: a guard refuses
    {"ts_ms": BEGIN_MS + 7_000, "bid": 0.49, "ask": 0.51, "bid_depth": 8.0, "ask_depth": 8.0},  # scalars only
    {"ts_ms": BEGIN_MS + 8_000, "bid": "0.49", "ask": 0.51},  # a price as text
    {"ts_ms": BEGIN_MS + 8_100, "bid": float("nan"), "ask": 0.51},
    book(8.2, (0.53, 10), asks=[(0.51, 10)]),  # crossed
    book(3, (0.49, 10), asks=[(0.51, 10)]),  # an older one
    {"ts_ms": BEGIN_MS + 8_300},  # nothing but its time
    book(9, (0.49, 20), asks=[(0.51, 20)], note={"api_key": "not-to-be-seen-1", "regime": "calm"}),
    book(10, (0.49, 20), asks=[(0.51, 20)], trades=bought(0.515, 40)),  # our ask is filled
    book(11, asks=[(0.51, 20)]),  # one side empty
    book(12, (0.49, 20), asks=[(0.51, 20)], funding={"rate": 0.001}),
    book(16, (0.45, 20), asks=[(0.47, 20)], trades=sold(0.45, 60)),  # a fall through our bid
    book(32, (0.44, 20), asks=[(0.46, 20)]),  # later it is known to have been adverse
    {"ts_ms": BEGIN_MS + 33_000, "settlement": 0.0},
]


class Scenario(MarketDataSource):
    """The twenty events, as data."""

    def __init__(self) -> None:
        self._left = iter(EVENTS)

    def next_event(self) -> Mapping[str, Any] | None:
        """Give the next."""
        return next(self._left, None)

    def instruments(self) -> Sequence[Instrument]:
        """One market from 0 to 1."""
        return [Instrument(market_id="M", kind="binary", tick_size="0.005", lot_size="1", taker_fee=0.01)]


def run() -> str:
    """Run the scenario and give its packets as they are stored, without what must differ.

    Left out: the hash ``h``. Order ids, which are made from the whole config, become their number
    in the order in which they appear, so that a new setting does not change every packet.
    """
    with tempfile.TemporaryDirectory() as folder:
        # A private model or policy of whoever runs this must not count.
        with mock.patch("ami_engine.loop.run_loop.load_policy_hook", return_value=None):
            run_loop(
                Scenario(),
                PaperBroker(),
                decision_engine=propose_reference,
                risk_policy=POLICY,
            config=RunConfig(run=RunSection(timer_ms=0)),
                run_id="golden",
                output_dir=folder,
            )
        text = Path(folder, "golden", TRACES).read_text(encoding="utf-8")
    text = re.sub(r',"h":"[0-9a-f]{64}"}$', "}", text, flags=re.MULTILINE)
    numbers: dict[str, str] = {}
    return re.sub(
        r"\b[A-Z2-7]{26}\b", lambda found: numbers.setdefault(found[0], f"order-{len(numbers) + 1}"), text
    )
