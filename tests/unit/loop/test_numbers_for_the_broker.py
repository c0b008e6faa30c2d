"""The paper broker is shown what the loop has read: the same fills as where it reads the events itself."""

import random
from pathlib import Path

import pytest

from ami_engine.config import RunConfig
from ami_engine.loop.run_loop import run_loop
from ami_engine.ports import MarketDataSource
from ami_engine.sim.paper_broker import PaperBroker
from ami_engine.trace.trace_logger import TRACES
from decision_schema.instruments import Instrument
from decision_schema.types import Action, Proposal
from dmc_core.dmc.risk_policy import RiskPolicy

MS = 1_000_000
BEGIN_NS = 1_767_225_600_000 * MS
WIDE = RiskPolicy(
    max_abs_inventory=40.0, max_per_market_usd=1e6, max_total_exposure_usd=1e6, daily_loss_stop_usd=0.0,
    adv15_max_ticks=0.0, adv60_max_ticks=0.0,
)  # fmt: skip


class Events(MarketDataSource):
    """Events of a list."""

    def __init__(self, events):
        self.events = iter(events)

    def next_event(self):
        return next(self.events, None)


class Reader(PaperBroker):
    """Takes each event as it stands."""

    def on_event(self, event, now_ns):
        super().on_event(event, now_ns)

    def on_numbers(self, market_id, numbers):
        assert super().on_numbers(market_id, numbers) is False
        return False


class Counted(PaperBroker):
    """Counts what it is shown in numbers."""

    shown = 0

    def on_numbers(self, market_id, numbers):
        taken = super().on_numbers(market_id, numbers)
        self.shown += taken
        return taken


def events_of(seed, count):
    """Make a feed of all kinds of events, some of them wrong, of two markets."""
    chance = random.Random(seed)
    mid, seq, stamp = 50, 0, BEGIN_NS
    orders = []
    for _ in range(count):
        stamp += chance.choice([0, 1, 40, 300]) * MS
        mid = min(80, max(20, mid + chance.choice([-1, 0, 0, 1])))
        bids = [((mid - 1 - k) / 100, float(chance.randint(0, 30))) for k in range(chance.randint(0, 4))]
        asks = [((mid + 1 + k) / 100, float(chance.randint(0, 30))) for k in range(chance.randint(0, 4))]
        event = {"market_id": chance.choice("AAB"), "ts_ns": stamp - chance.choice([0, 0, 5 * MS])}
        kind = chance.randrange(10)
        if kind < 3:
            event |= {"bids": bids, "asks": asks}
        elif kind == 3:
            event |= {"bids": bids} if chance.random() < 0.5 else {"asks": asks}
        elif kind == 4:
            event |= {"bid": (mid - 1) / 100, "ask": (mid + chance.choice([-1, 1, 1])) / 100}
        elif kind == 5:
            event |= {"bid": (mid - 1) / 100, "bid_size": 9.0, "ask": (mid + 1) / 100, "ask_size": 0.0}
        elif kind == 6:
            side = chance.choice(["buy", "sell"])
            price = (mid - 1 if side == "buy" else mid + 1) / 100
            event |= {"deltas": [(side, price, float(chance.randint(0, 20)))]}
        elif kind == 7:
            op = chance.choice(["add", "reduce", "execute", "delete", "modify"])
            number = len(orders) + 1 if op == "add" else chance.randint(1, max(1, len(orders)))
            orders.append(number)
            message = {"op": op, "order_id": number, "side": chance.choice(["buy", "sell"])}
            message["price"] = (mid + (-1 if message["side"] == "buy" else 1)) / 100
            event |= {"order_messages": [{**message, "size": float(chance.randint(1, 9))}]}
        elif kind == 8:
            event |= chance.choice(
                [{"bid": "0.5"}, {"settlement": 7.0}, {"status": "open"}, {"depth": 5.0}, {}]
            )
        if chance.random() < 0.3:
            seq += chance.choice([1, 1, 1, 2])
            event |= {"book_seq": seq, "prev_seq": seq - 1}
        if chance.random() < 0.4:
            sides = chance.choices(["buy", "sell", None], k=chance.randint(1, 3))
            event["trades"] = [
                {"price": (mid + chance.randint(-2, 2)) / 100, "size": chance.choice([1.0, 8.0, 40.0]), "aggressor_side": side}
                for side in sides
            ]  # fmt: skip
        yield event


def quote(features):
    """Quote around the mid."""
    return Proposal(action=Action.ACT, confidence=0.9, params={"value": features.get("mid", 0.5)})


CONFIG = RunConfig(
    instruments=tuple(
        Instrument(market_id=name, tick_size="0.01", lot_size="1", price_min=0.0, price_max=1.0)
        for name in "AB"
    )
)
BROKERS = [
    {},
    {"entry_latency_ms": 4.0, "response_latency_ms": 30.0},
    {"partial_fills": False, "queue": "log"},
]


def packets_of(broker, seed, folder, *, fast=False, count=400):
    """Run and give the packets, and the fills."""
    summary = run_loop(
        Events(events_of(seed, count)), broker, run_id="same", output_dir=folder, fast=fast, config=CONFIG,
        decision_engine=quote, risk_policy=WIDE,
    )  # fmt: skip
    return Path(summary["run_dir"], TRACES).read_bytes(), summary


@pytest.mark.parametrize("settings", BROKERS, ids=str)
@pytest.mark.parametrize("seed", range(4))
def test_what_the_loop_has_read_fills_as_the_events_do(seed, settings, tmp_path):
    counted = Counted(**settings)
    shown, summary = packets_of(counted, seed, tmp_path / "numbers")
    read, _ = packets_of(Reader(**settings), seed, tmp_path / "events")
    assert shown == read
    assert counted.shown > 200
    assert summary["orders_submitted"] > 20


def test_orders_fill(tmp_path):
    fills = sum(packets_of(PaperBroker(), seed, tmp_path / str(seed))[1]["fills"] for seed in range(4))
    assert fills > 10


@pytest.mark.parametrize(
    "broker",
    [
        Counted(queue=lambda _ahead, _behind: 0.5),
        Counted([Instrument(market_id="C", price_max=0.3)]),
    ],
    ids=["a function of the user's", "an instrument that the run does not know"],
)
def test_the_broker_reads_the_events_where_the_loop_may_read_them_otherwise(broker, tmp_path):
    packets_of(broker, 1, tmp_path, count=50)
    assert broker.shown == 0
