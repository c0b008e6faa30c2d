"""A batch run over sources gives what the live loop gives on them, interpreted and compiled."""

import random
from unittest import mock

import msgspec
import pytest

from ami_engine.adapters.binance import BinanceSource
from ami_engine.adapters.csv_source import CsvSource
from ami_engine.adapters.lobster import LobsterSource
from ami_engine.config import DataSection, ExecutionSection, RunConfig, RunSection
from ami_engine.loop import run_batch as batch_module
from ami_engine.loop import run_loop as live_module
from ami_engine.loop.input_chunk import InputArrays
from ami_engine.loop.packet_rows import rows_of_run
from ami_engine.loop.run_batch import run_batch
from ami_engine.loop.run_loop import run_loop
from ami_engine.ports import MarketDataSource
from ami_engine.sim.paper_broker import PaperBroker
from ami_engine.trace.trace_logger import TRACES
from decision_schema.instruments import Instrument
from tests.parity.test_drivers import (
    BEGIN_NS,
    BROKERS,
    FORMS,
    INSTRUMENTS,
    MS,
    NOT_THE_SAME,
    SECOND,
    TABLES,
    TIGHT,
    WIDE,
    _Spy,
    check_rows,
    differences,
    moody,
    state_of,
)


class Given(MarketDataSource):
    """Yields what it is given; an exception among it is raised."""

    def __init__(self, events, instruments=INSTRUMENTS):
        self._events, self._instruments = list(events), instruments

    def open(self, context):
        self._left = iter(self._events)

    def next_event(self):
        event = next(self._left, None)
        if isinstance(event, Exception):
            raise event
        return event

    def instruments(self):
        return self._instruments


def told(summary):
    """Give a summary without what may differ; what the sources say of their data may not."""
    kept = {name: value for name, value in summary.items() if name not in {*NOT_THE_SAME} - {"sources", "explanation"}}
    return msgspec.to_builtins(kept)


def check(make_sources, tmp_path, *, broker=None, forms=FORMS, **setup):
    """Run sources live and in a batch; give the live summary."""
    setup = {"run_id": "same", "seed": 3, **setup}
    spy = _Spy()
    with mock.patch.object(live_module, "Engine", spy):
        model, policy = setup.pop("model", moody), setup.pop("policy", WIDE)
        live = run_loop(
            make_sources(), PaperBroker(**(broker or {})), decision_engine=model, risk_policy=policy,
            output_dir=tmp_path, **setup,
        )  # fmt: skip
    rows = {
        table: {} if array is None else {name: array[name] for name in array.dtype.names}
        for table, array in rows_of_run(live["run_dir"], model.reasons).items()
    }
    state = state_of(spy.engine)
    for fast in forms:
        with mock.patch.object(batch_module, "Engine", spy):
            result = run_batch(
                make_sources(), model=model, policy=policy, broker=PaperBroker(**(broker or {})), fast=fast, **setup
            )
        assert result.summary["driver"] == ("compiled" if fast else "interpreted"), result.summary["explanation"]
        check_rows(rows, {table: result.arrays(table) for table in TABLES})
        assert differences(told(live), told(result.summary), "summary") == []
        assert differences(state, state_of(spy.engine), "state") == []
    return live


# ---------------------------------------------------------------- events of every kind


class Market:
    """Tells a random walk in every way that an event can: tops, levels, changes, orders, prints, states."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.now_ns, self.ticks, self.seq, self.ids = BEGIN_NS, 50, 0, 0
        self.resting = []

    def event(self, market_id, *, by_order, badness):
        choose = self.random.choice
        self.now_ns += choose((0, MS, 40 * MS, 300 * MS, SECOND, 2_500 * MS))
        self.ticks = min(max(self.ticks + choose((-1, 0, 0, 0, 1)), 10), 90)
        event = {"market_id": market_id, "ts_ns": self.now_ns}
        if choose(range(100)) < badness:
            return self.bad(event)
        kinds = ("orders", "orders", "orders", "trade") if by_order else ("levels", "delta", "top", "trade", "both")
        kind = choose((*kinds, *kinds, "status"))
        if kind == "orders":
            event["order_messages"] = [self.order() for _ in range(choose((1, 1, 2, 4)))]
        if kind == "levels":
            count = choose((1, 3, 20))
            event["bids"] = [[self.price(-1 - i), choose((5.0, 40.0))] for i in range(min(count, self.ticks - 2))]
            event["asks"] = [[self.price(1 + i), choose((5.0, 40.0))] for i in range(count)]
        if kind == "delta":
            event["deltas"] = [
                [side, self.price(choose((1, 2, 3)) * sign), choose((0.0, 10.0, 60.0))]
                for side, sign in (("buy", -1), ("sell", 1))
            ]
        if kind in ("top", "both"):
            event |= {"bid": self.price(-1), "ask": self.price(choose((1, 2))), "bid_size": 30.0, "ask_size": 25.0}
        if kind in ("trade", "both"):
            event["trades"] = [
                {"price": self.price(choose((-2, -1, 1, 2))), "size": choose((1.0, 30.0, 300.0)), "aggressor_side": side}
                for side in self.random.choices(("buy", "sell"), k=choose((1, 1, 3)))
            ]
        if kind == "status":
            event["status"] = choose(("open", "halted", "open", "reconnected"))
        return event

    def bad(self, event):
        choose = self.random.choice
        return choose(
            (
                event | {"bid": 0.6, "ask": 0.5},
                event | {"bid": "x"},
                event | {"ts_ns": event["ts_ns"] - 3 * SECOND, "bid": 0.4, "ask": 0.5},
                event | {"ts_ns": event["ts_ns"] + 3_600 * SECOND, "channel": "c", "seq": 3, "prev_seq": 1},
                event | {"trades": [{"price": 7.0, "size": 1.0}]},
                {"defect": "torn_row", "row": 3, "raw": "abc"},
                {"market_id": "C" * 200},
                7,
            )
        )

    def price(self, offset):
        return round(0.01 * (self.ticks + offset), 2)

    def order(self):
        choose = self.random.choice
        if self.resting and choose(range(3)):
            which = choose(range(len(self.resting)))
            order = self.resting.pop(which)
            return {**order, "op": choose(("reduce", "delete", "execute", "execute"))}
        self.ids += 1
        side, sign = choose((("buy", -1), ("sell", 1)))
        price, size = self.price(choose((1, 2, 3)) * sign), choose((5.0, 20.0))
        order = {"op": "add", "order_id": self.ids, "side": side, "price": price, "size": size}
        self.resting.append(order)
        return order


def events_of(seed, count, markets=("A",), by_order=(), badness=5):
    """Give random events; those of markets in `by_order` tell each order."""
    made = {name: Market(seed + number) for number, name in enumerate(markets)}
    choose = random.Random(seed).choice
    for name in by_order:
        yield {"market_id": name, "ts_ns": BEGIN_NS, "order_messages": [{"op": "clear"}]}
    for _ in range(count):
        name = choose(markets)
        yield made[name].event(name, by_order=name in by_order, badness=badness)


CONFIGS = (
    RunConfig(),
    RunConfig(run=RunSection(timer_ms=500), execution=ExecutionSection(size=5.0)),
    RunConfig(data=DataSection(feed_latency_ms=30.0, feed_latency_sigma=0.5), run=RunSection(timer_ms=7_000, steps=250)),
)


@pytest.mark.parametrize("number", range(len(BROKERS)))
def test_events_of_every_kind_are_taken_as_the_live_loop_takes_them(number, tmp_path):
    by_order = ((), ("A",), ("A", "B"))[number % 3]
    live = check(
        lambda: Given(events_of(number, 400, ("A", "B"), by_order)), tmp_path, broker=BROKERS[number],
        config=CONFIGS[number % len(CONFIGS)], policy=(WIDE, TIGHT)[number % 2], forms=FORMS,
    )  # fmt: skip
    assert live["orders_submitted"] > 5
    assert live["bad_inputs"]


def test_sources_are_merged_and_their_failures_are_counted(tmp_path):
    def make():
        first, second = (list(events_of(seed, 150, (name,))) for seed, name in ((1, "A"), (2, "B")))
        first[40:40] = [OSError("gone"), OSError("gone")]
        return [Given(first, INSTRUMENTS[:1]), Given(second, INSTRUMENTS[1:])]

    live = check(make, tmp_path)
    assert live["source_failures"] == {"OSError": 2}
    assert set(live["markets"]) == {"A", "B"}


def test_a_source_that_goes_on_failing_ends_the_run(tmp_path):
    events = [*events_of(4, 30), *[OSError("gone")] * 5, *events_of(5, 30)]
    live = check(lambda: Given(events), tmp_path)
    assert (live["ended"], live["steps"]) == ("source_failed:OSError", 30)


def test_a_long_run_of_many_chunks_is_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(InputArrays.__init__, "__defaults__", (200,))
    monkeypatch.setattr("ami_engine.loop.batch.ROOM", 300)
    live = check(
        lambda: Given(events_of(8, 4_000, ("A", "B"), ("A",))), tmp_path, broker=BROKERS[1], forms=FORMS[-1:],
        config=RunConfig(run=RunSection(timer_ms=1_000)),
    )  # fmt: skip
    assert live["packets"] > 5_000
    assert live["fills"] > 10


def test_more_markets_than_there_is_room_for_hold(tmp_path):
    events = [{"market_id": f"M{i}", "ts_ns": BEGIN_NS + i, "bid": 0.4, "ask": 0.5} for i in range(300)]
    live = check(lambda: Given(events, ()), tmp_path, forms=FORMS[:1])
    assert live["bad_inputs"] == {"capacity:markets": 44}


# ---------------------------------------------------------------- recorded data

LOBSTER = "lobster-aapl-20120621/AAPL_2012-06-21_message_50.csv.gz"
STOCK = Instrument(market_id="AAPL", tick_size="0.01", lot_size="1", price_max=1e6, taker_fee=0.003)
COINS = [
    Instrument(market_id=name, tick_size="0.01", lot_size="0.00001", price_max=1e9) for name in ("SPOT", "PERP")
]  # fmt: skip


def lobster(folder):
    return [LobsterSource(folder / LOBSTER, market_id="AAPL", opening="empty")]


def coins(folder):
    files = (("spot", "SPOT", 0), ("usdm", "PERP", -1_273))
    return [
        BinanceSource(folder / f"binance-raw-20240808/{name}_btcusdt_20240808.gz", market_id=market, clock_offset_ms=offset)
        for name, market, offset in files
    ]


def quotes(folder):
    return [CsvSource(folder / "fx-small-quote-csv/usdjpy-ticks.csv.gz", timezone="UTC", market_id="YEN")]


YEN = Instrument(market_id="YEN", tick_size="0.001", lot_size="1", price_max=1e9)
RECORDED = {"lobster": (lobster, [STOCK]), "coins": (coins, COINS), "quotes": (quotes, [YEN])}


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_sources_are_the_same_in_both_drivers(name, mdm_data, tmp_path):
    make, instruments = RECORDED[name]
    config = RunConfig(instruments=tuple(instruments), execution=ExecutionSection(size=1.0, half_spread_ticks=1.0))
    broker = {"entry_latency_ms": 5.0, "response_latency_ms": 5.0, "queue": "power", "queue_power": 3.0}
    live = check(lambda: make(mdm_data), tmp_path, broker=broker, config=config, steps=3_000, forms=FORMS[-1:])
    assert live["steps"] >= 900
    assert live["orders_submitted"] > 50


def test_packets_of_a_batch_are_the_bytes_of_the_live_loop(mdm_data, tmp_path):
    setup = {"run_id": "same", "steps": 300, "config": RunConfig(instruments=(STOCK,))}
    live = run_loop(
        lobster(mdm_data), PaperBroker(), decision_engine=moody, risk_policy=WIDE, output_dir=tmp_path / "l", **setup
    )
    batch = run_batch(
        lobster(mdm_data), model=moody, policy=WIDE, output_dir=tmp_path / "b", packets=True, fast=False, **setup
    )
    made = [(tmp_path / folder / "same" / TRACES).read_bytes() for folder in "lb"]
    assert made[0] == made[1]
    assert made[0].count(b"\n") == 300
    assert not (tmp_path / "b" / "same" / "decisions").exists()
    assert batch.decisions.height == 300  # made of the packets when first asked for
    assert batch.fills.height == live["fills"]
    assert len(list((tmp_path / "b" / "same" / "decisions").iterdir())) == 1
