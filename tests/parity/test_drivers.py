"""The drivers give the same: the live loop, the batch loop compiled, and its interpreted twin."""

import dataclasses
import itertools
import math
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest import mock

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ami_engine.adapters.binance import BinanceSource
from ami_engine.adapters.csv_source import CsvSource
from ami_engine.config import DataSection, ExecutionSection, MarketSection, RunConfig, RunSection
from ami_engine.kernels.rows import DECISIONS
from ami_engine.loop import run_batch as batch_module
from ami_engine.loop import run_loop as live_module
from ami_engine.loop.column_source import ColumnSource
from ami_engine.loop.engine import Engine
from ami_engine.loop.packet_rows import rows_of_run
from ami_engine.loop.run_batch import run_batch
from ami_engine.loop.run_loop import run_loop
from ami_engine.mdm.kernel_model import kernel_model
from ami_engine.mdm.reference_model import propose_reference
from ami_engine.ports import Broker
from ami_engine.sim.microstructure_sim import MicrostructureSim
from ami_engine.sim.paper_broker import PaperBroker
from ami_engine.sim.synthetic_source import SyntheticSource
from ami_engine.trace.trace_logger import TRACES
from decision_schema.instruments import Instrument
from dmc_core.dmc.decide import ACT, CANCEL, EXIT, STOP
from dmc_core.dmc.risk_policy import RiskPolicy
from dmc_core.jit import can_compile
from dmc_core.layout import array_of

NAN, INF = math.nan, math.inf
MS, SECOND = 10**6, 10**9
BEGIN_NS = 1_767_225_600 * SECOND
TABLES = ("decisions", "fills", "orders")
FORMS = (False, True) if can_compile() and not os.environ.get("MDM_INTERPRETED") else (False,)
"""Interpreted, compiled."""
NOT_THE_SAME = ("timing", "run_dir", "sources", "driver", "explanation")
INSTRUMENTS = (
    Instrument(market_id="A", tick_size="0.01", lot_size="1", kind="binary", taker_fee=0.01),
    Instrument(market_id="B", tick_size="0.05", lot_size="0.5", maker_fee=-0.0001, taker_fee=0.0005, price_max=1e6),
)  # fmt: skip
DEFAULT_POLICY, DEFAULT_CONFIG = RiskPolicy(), RunConfig(instruments=INSTRUMENTS)


@kernel_model(
    reasons=("quote", "leave", "pull", "take", "stop"),
    detail="{:.1f}",
    params={"stops_at": 1e9},
    memory={"asked": 0.0, "last_mid": NAN},
)
def moody(x, memory, proposed):
    """Do a bit of everything, what is no proposal among it."""
    asked = memory.values[0] + 1.0
    memory.values[0] = asked
    memory.values[1] = x.mid
    turn = int(asked) % 16
    proposed.confidence = 0.5
    proposed.detail = x.spread_ticks
    if asked >= x.params[0]:
        proposed.action = STOP
        proposed.reason = 4
    elif turn < 6:
        proposed.action = ACT
        proposed.reason = 0
        proposed.value = x.microprice
    elif turn < 10:
        proposed.action = ACT
        proposed.reason = 0
        proposed.has_terms = 1
        proposed.n_terms = 3
        for i in range(3):
            terms = proposed.terms[i]
            terms.side = 1 if i < 2 else -1
            terms.level = i % 2
            terms.price = x.mid - terms.side * x.tick * float(i + turn - 7)
            terms.size = x.lot * float(i + 1)
            terms.tif = 0
            terms.post_only = 0
            terms.reduce_only = 0
            terms.ttl_ms = 3_000 if i == 1 else -1
    elif turn == 10:
        proposed.action = ACT
        proposed.reason = 3
        proposed.has_terms = 1
        proposed.n_terms = 1
        terms = proposed.terms[0]
        terms.side = -1 if x.position > 0.0 else 1
        terms.level = 2
        terms.price = math.nan
        terms.size = x.lot * 2.0
        terms.tif = 1
        terms.post_only = 0
        terms.reduce_only = 0
        terms.ttl_ms = -1
    elif turn == 11:
        proposed.action = EXIT
        proposed.reason = 1
    elif turn == 12:
        proposed.action = CANCEL
        proposed.reason = 2
    elif turn == 13:
        proposed.action = ACT
        proposed.value = math.inf
        proposed.reason = 77
    elif turn == 14:
        proposed.confidence = 2.0
    else:
        proposed.reason = -5


class _Spy:
    """Keeps the engine that a driver makes."""

    def __init__(self):
        self.engine = None

    def __call__(self, **arguments):
        self.engine = Engine(**arguments)
        return self.engine


@dataclasses.dataclass
class Setup:
    """What a run is told beside its data."""

    model: object = propose_reference
    policy: RiskPolicy = DEFAULT_POLICY
    broker: dict = dataclasses.field(default_factory=dict)
    config: RunConfig = DEFAULT_CONFIG
    seed: int = 0
    steps: int | None = None


def by_live(data, setup, *, fast=False):
    """Give rows, summary and state of a run of the live driver."""
    spy = _Spy()
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(live_module, "Engine", spy):
        source = ColumnSource(data, "A")
        summary = run_loop(
            source, PaperBroker(**setup.broker), decision_engine=setup.model, risk_policy=setup.policy,
            config=setup.config, run_id="same", seed=setup.seed, steps=setup.steps, output_dir=folder, fast=fast,
        )  # fmt: skip
        assert source.failed is None
        rows = rows_of_run(summary["run_dir"], setup.model.reasons)
    columns = {}
    for table, array in rows.items():
        columns[table] = {} if array is None else {name: array[name] for name in array.dtype.names}
    return columns, told(summary), state_of(spy.engine)


def by_batch(data, setup, *, fast):
    """Give rows, summary and state of a run of the batch driver."""
    spy = _Spy()
    with mock.patch.object(batch_module, "Engine", spy):
        result = run_batch(
            data, model=setup.model, policy=setup.policy, broker=PaperBroker(**setup.broker), market_id="A",
            config=setup.config, run_id="same", seed=setup.seed, steps=setup.steps, fast=fast,
        )  # fmt: skip
    assert result.summary["driver"] == ("compiled" if fast else "interpreted")
    columns = {table: result.arrays(table) for table in TABLES}
    return columns, told(result.summary), state_of(spy.engine)


def told(summary):
    """Give a summary as text, without what may differ."""
    kept = {name: value for name, value in summary.items() if name not in NOT_THE_SAME}
    kept["explanation"] = [line for line in summary["explanation"] if "Each event went" not in line]
    return kept


def state_of(engine):
    """Give the state and the markets that a run left as plain numbers."""
    core = engine.core
    states, cells = (part if isinstance(part, np.ndarray) else array_of(part) for part in (core.states, core.cell_records))
    cells = cells.copy()
    cells["market"]["staged"] = 0  # scratch: what a refused book was like
    return plain(states[0]), [plain(cell) for cell in cells[:-1]]


def plain(record):
    """Give a record of an array by field name."""
    if record.dtype.names is None:
        return record.tolist()
    return {name: plain(record[name]) for name in record.dtype.names}


def differences(one, other, at=""):
    """List where two nested values differ; nan equals nan, 0.0 is not -0.0."""
    if isinstance(one, dict) and isinstance(other, dict):
        if list(one) != list(other) and sorted(one) != sorted(other):
            return [f"{at}: {sorted(one)} but {sorted(other)}"]
        return [d for name in one for d in differences(one[name], other[name], f"{at}.{name}")]
    if isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        pairs = zip(one, other, strict=True)
        return [d for i, (a, b) in enumerate(pairs) for d in differences(a, b, f"{at}[{i}]")]
    return [] if repr(one) == repr(other) else [f"{at}: {one!r} but {other!r}"]


def check_rows(one, other, steps=None):
    """Compare rows field by field, up to a step."""
    for table in TABLES:
        left, right = one[table], other[table]
        names = list(left or right)
        lengths = [len(side["step"]) if side else 0 for side in (left, right)]
        if steps is not None:
            lengths = [int((side["step"] <= steps).sum()) if side else 0 for side in (left, right)]
        for name in names:
            a, b = (side[name][:n].tolist() if side else [] for side, n in zip((left, right), lengths, strict=True))
            where = next((i for i, (x, y) in enumerate(itertools.zip_longest(a, b)) if repr(x) != repr(y)), None)
            if where is not None:
                seen = [
                    {key: side[key][where].item() for key in side} if side and where < n else None
                    for side, n in zip((left, right), lengths, strict=True)
                ]
                raise AssertionError(f"{table}[{where}].{name}:\n{seen[0]}\nbut\n{seen[1]}")
        assert lengths[0] == lengths[1], table


def check(data, setup, forms=FORMS):
    """Run the data through all drivers; give what they gave."""
    live = by_live(data, setup)
    for fast in forms:
        batch = by_batch(data, setup, fast=fast)
        check_rows(live[0], batch[0])
        assert differences(live[1], batch[1], "summary") == []
        assert differences(live[2], batch[2], "state") == []
    return live


# ---------------------------------------------------------------- tables

GAPS_NS = (0, MS, 100 * MS, 100 * MS, 400 * MS, SECOND, 1_500 * MS + 7, 20 * SECOND, 65 * SECOND, -5 * MS, 700_123)
SIZES = (NAN, 0.0, 1.0, 7.0, 30.0, 200.0)
BAD_SIZES = (-1.0, INF, *SIZES)


class Table:
    """Grows a table row by row from choices."""

    def __init__(self, choose, markets, badness):
        self.choose, self.markets, self.badness = choose, markets, badness
        self.now_ns, self.ticks, self.seq = BEGIN_NS, [50, 4_000], 0
        self.rows = []

    def grow(self):
        choose = self.choose
        self.now_ns += choose(GAPS_NS)
        which = choose(range(self.markets))
        tick = (0.01, 0.05)[which]
        self.ticks[which] += choose((-3, -1, 0, 0, 0, 1, 3))
        self.ticks[which] = min(max(self.ticks[which], 5), 95 if which == 0 else 8_000)
        is_bad = choose(range(100)) < self.badness
        spread = choose((2, 2, 2, 1, 4, 0, -1) if is_bad else (2, 2, 2, 1, 4))
        bid, ask = tick * self.ticks[which], tick * (self.ticks[which] + spread)
        row = {"market_id": "AB"[which], "ts_ns": self.now_ns, "received_ns": None, "seq": None, "bid": bid, "ask": ask}
        row |= dict.fromkeys(("mid", "bid_depth", "ask_depth", "depth", "trade_price", "trade_size"), NAN)
        sizes = BAD_SIZES if is_bad else SIZES
        row["bid_size"], row["ask_size"], row["trade_side"] = choose(sizes), choose(sizes), 0
        kind = choose(range(8))
        if kind == 0:  # a print alone
            row["bid"] = row["ask"] = row["bid_size"] = row["ask_size"] = NAN
        if kind in (0, 1, 2, 3):
            row["trade_price"] = tick * (self.ticks[which] + choose((-2, 0, 0, spread, spread + 2)))
            row["trade_size"] = choose((1.0, 40.0, 500.0, *((0.0, NAN, -3.0) if is_bad else ())))
            row["trade_side"] = choose((-1, 0, 1))
        if kind == 4:
            row["received_ns"] = self.now_ns + choose((0, 3 * MS, -MS, 5 * SECOND))
        if kind == 5:
            self.seq += choose((1, 1, 0, 3, -1))
            row["seq"] = max(self.seq, 0)
        if kind == 6:
            row["mid"] = (bid + ask) / 2.0 if not is_bad else choose((INF, bid - 1.0, bid))
            row["bid_depth"], row["ask_depth"] = choose(sizes), choose(sizes)
        if is_bad and kind == 7:
            row[choose(("bid", "ask"))] = choose((NAN, INF, -INF, 0.0, 1e9))
        self.rows.append(row)

    def columns(self):
        return {name: [row[name] for row in self.rows] for name in self.rows[0]}


@st.composite
def tables(draw):
    choose = lambda options: draw(st.sampled_from(options))  # noqa: E731
    table = Table(choose, draw(st.integers(1, 2)), draw(st.sampled_from((0, 10, 40))))
    for _ in range(draw(st.integers(1, 70))):
        table.grow()
    return table.columns()


def random_table(seed, rows, markets=2, badness=5):
    table = Table(random.Random(seed).choice, markets, badness)
    for _ in range(rows):
        table.grow()
    return table.columns()


WIDE = RiskPolicy(
    staleness_ms=1e9, min_depth=0.0, max_spread_bps=1e6, max_per_market_usd=1e7, max_total_exposure_usd=1e7,
    max_abs_inventory=40.0, daily_loss_stop_usd=0.0, throttle_refresh_ms=0, cancel_rate_limit=0, adv15_max_ticks=0.0,
    adv60_max_ticks=0.0, sigma_spike_z_max=0.0,
)  # fmt: skip
"""Hardly refuses anything."""
TIGHT = RiskPolicy(
    max_abs_inventory=3.0, stale_cancel_ms=900.0, quote_ttl_ms=2_500, max_drawdown_stop_usd=0.5, max_open_orders=2,
    adverse_cooldown_ms=5_000, max_consecutive_losses=1, ops_cooldown_ms=1_000, min_order_usd=0.2,
)  # fmt: skip
POLICIES = (RiskPolicy(), WIDE, TIGHT)
BROKERS = (
    {},
    {"entry_latency_ms": 40.0, "response_latency_ms": 15.0},
    {"entry_latency_ms": 300.0, "response_latency_ms": 900.0, "latency_sigma": 0.8, "queue": "log"},
    {"queue": "power", "queue_power": 2.0, "partial_fills": False},
    {"entry_latency_ms": 12_000.0, "response_latency_ms": 9_000.0},
)


@st.composite
def setups(draw):
    config = RunConfig(
        run=RunSection(timer_ms=draw(st.sampled_from((None, 0, 500, 7_000)))),
        data=DataSection(feed_latency_ms=draw(st.sampled_from((0.0, 0.0, 30.0))), feed_latency_sigma=0.5),
        execution=ExecutionSection(size=draw(st.sampled_from((1.0, 5.0)))),
        instruments=INSTRUMENTS,
        markets=draw(
            st.sampled_from(((), (MarketSection(market_id="B", guards=WIDE, execution=ExecutionSection(size=2.0)),)))
        ),
    )
    return Setup(
        model=draw(st.sampled_from((propose_reference, moody))),
        policy=draw(st.sampled_from(POLICIES)),
        broker=draw(st.sampled_from(BROKERS)),
        config=config,
        seed=draw(st.integers(0, 3)),
        steps=draw(st.sampled_from((None, None, None, 0, 17))),
    )


@settings(max_examples=25, report_multiple_bugs=False, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(tables(), setups())
def test_all_drivers_give_the_same(data, setup):
    check(data, setup)


needs_numba = pytest.mark.skipif(not can_compile(), reason="numba is not installed: nothing to compare with")


@needs_numba
def test_a_long_run_is_the_same_compiled():
    data = random_table(11, 20_000)
    broker = {"entry_latency_ms": 60.0, "response_latency_ms": 30.0, "latency_sigma": 0.5, "queue": "log"}
    config = RunConfig(run=RunSection(timer_ms=10_000), instruments=INSTRUMENTS)
    live = check(data, Setup(model=moody, policy=WIDE, broker=broker, config=config, seed=5), forms=(True,))
    assert live[1]["packets"] > 20_000
    assert live[1]["fills"] > 500
    assert live[1]["bad_inputs"]
    assert live[1]["orders_rejected"]


@pytest.mark.parametrize("fast", FORMS)
def test_the_first_rows_of_data_give_the_first_rows_of_decisions(fast):
    data = random_table(3, 400)
    setup = Setup(model=moody, policy=WIDE, broker=BROKERS[1])
    whole, _, _ = by_batch(data, setup, fast=fast)
    for length in (1, 2, 57, 399):
        part, summary, _ = by_batch({name: column[:length] for name, column in data.items()}, setup, fast=fast)
        steps = summary["packets"]
        assert steps == length
        check_rows({**part, "fills": {}}, {**whole, "fills": {}}, steps=steps)
        # Orders are cancelled at the end, and what is under way arrives: only the fills before it are the same.
        last_ns = whole["decisions"]["now_ns"][steps - 1]
        fills = [
            {name: column[side["step"] <= steps - 1].tolist() for name, column in side.items()}
            for side in (part["fills"], whole["fills"])
        ]
        assert differences(*fills) == []
        assert last_ns == part["decisions"]["now_ns"][-1]


@pytest.mark.parametrize("fast", FORMS)
def test_pieces_of_any_size_give_the_same_rows(fast):
    data = random_table(4, 250)
    setup = Setup(model=moody, policy=WIDE, broker=BROKERS[2], config=RunConfig(
        run=RunSection(timer_ms=5_000), instruments=INSTRUMENTS
    ))  # fmt: skip
    whole = by_batch(data, setup, fast=fast)
    for sizes in ((1,), (7, 1, 100), (249,)):
        begin, pieces = 0, []
        for size in itertools.cycle(sizes):
            pieces.append({name: column[begin : begin + size] for name, column in data.items()})
            begin += size
            if begin >= 250:
                break
        parts = by_batch(iter(pieces), setup, fast=fast)
        check_rows(whole[0], parts[0])
        assert differences(whole[1:], parts[1:]) == []


@pytest.mark.parametrize("fast", FORMS)
def test_little_room_for_rows_gives_the_same_rows(fast, monkeypatch):
    data = random_table(5, 150)
    setup = Setup(model=moody, policy=WIDE, broker=BROKERS[0], config=RunConfig(
        run=RunSection(timer_ms=200), instruments=INSTRUMENTS
    ))  # fmt: skip
    whole = by_batch(data, setup, fast=fast)
    assert len(whole[0]["decisions"]["step"]) > DECISIONS
    monkeypatch.setattr("ami_engine.loop.batch.ROOM", DECISIONS - 40 if fast else 300)
    parts = by_batch(data, setup, fast=fast)
    check_rows(whole[0], parts[0])
    assert differences(whole[1:], parts[1:]) == []


# ---------------------------------------------------------------- what goes event by event


def python_model(features, **_):
    """Hold, in Python."""
    from decision_schema.types import Action, Proposal

    if features["mid"] > 0.6:
        return Proposal(action=Action.ACT, confidence=0.5, reasons=["high"], params={"value": features["mid"]})
    return Proposal(action=Action.HOLD, confidence=0.5, reasons=["low"])


class OwnBroker(PaperBroker):
    """A paper broker that could do something else."""


def half(front, back):
    """Say that half of what is cancelled stood behind us."""
    return 0.5


class Plain(Broker):
    """Fills every order at once, and tells it by the answer alone."""

    def submit_order(self, order):
        return {"status": "filled", "avg_price": order.price}


PER_EVENT = {
    "own": {"broker": Plain()},
    "model": {"model": python_model},
    "broker": {"broker": OwnBroker()},
    "queue": {"broker": PaperBroker(queue=half)},
    "dry": {"dry_run": True},
}


@pytest.mark.parametrize("why", PER_EVENT)
@pytest.mark.parametrize("to_files", [False, True])
def test_what_cannot_be_compiled_goes_event_by_event(why, to_files, tmp_path):
    data = random_table(6, 150, 1)
    given = {"policy": WIDE, "config": RunConfig(instruments=INSTRUMENTS[:1]), "run_id": "r", **PER_EVENT[why]}
    result = run_batch(data, output_dir=tmp_path if to_files else None, **given)
    assert result.summary["driver"] == "per event"
    assert "Each event went through Python" in result.summary["explanation"][-1]
    assert result.decisions["market_id"].to_list() == ["A"] * 150
    assert result.run_dir == (tmp_path / "r" if to_files else None)
    assert (tmp_path / "r" / TRACES).exists() == to_files
    assert result.fills.height == result.summary["fills"]
    if why == "model":
        assert set(result.decisions["model_reason"]) >= {"high", "low"}
    else:
        assert len(result.orders) == result.summary["orders_submitted"] + (result.orders["op"] == "cancel").sum()
        assert result.orders["client_order_id"].null_count() == 0
    if to_files:
        assert msgspec.json.decode((tmp_path / "r" / "summary.json").read_bytes())["driver"] == "per event"


def test_an_own_broker_that_is_the_paper_broker_gives_what_the_compiled_loop_gives(tmp_path):
    data = random_table(6, 300)
    setup = {"model": moody, "policy": WIDE, "config": RunConfig(instruments=INSTRUMENTS), "run_id": "same"}
    slow = run_batch(data, broker=OwnBroker(entry_latency_ms=20.0), **setup)
    full = run_batch(data, broker=PaperBroker(entry_latency_ms=20.0), output_dir=tmp_path, packets=True, **setup)
    quick = run_batch(data, broker=PaperBroker(entry_latency_ms=20.0), fast=FORMS[-1], **setup)
    assert slow.summary["driver"] == full.summary["driver"] == "per event"
    for table in TABLES:
        for other in (slow, full):
            assert getattr(other, table).equals(getattr(quick, table), null_equal=True), table
    assert differences(told(slow.summary), told(quick.summary)) == []


def test_sources_of_events_are_taken(tmp_path):
    source = SyntheticSource(MicrostructureSim(mid=0.5, spread=0.02), num_events=300)
    result = run_batch(source, run_id="same", output_dir=tmp_path)
    assert result.summary["driver"] == "per event"
    assert result.decisions.height == 300
    assert result.fills.height == result.summary["fills"]
    assert result.decisions["bid"].null_count() == 0


def test_a_cell_that_cannot_be_read_ends_an_event_by_event_run_with_its_name():
    from decision_schema.errors import ContractError

    with pytest.raises(ContractError, match=r"bid\[1\]"):
        run_batch({"ts_ns": [1, 2], "bid": [0.5, "x"], "ask": [0.6, 0.7]}, model=python_model)


# ---------------------------------------------------------------- recorded data

FX = "fx-eurusd-ticks-201405"
FILES = {
    "fxcm": (CsvSource, f"{FX}/fxcm_eurusd_20140508_quote.zip", {"timezone": "-05:00"}),
    "oanda": (CsvSource, f"{FX}/oanda_eurusd_20140508_quote.zip", {"timezone": "UTC"}),
    "quotes": (CsvSource, "fx-small-quote-csv/quote_tick_data.csv.gz", {"timezone": "-05:00"}),
    "usdjpy": (CsvSource, "fx-small-quote-csv/usdjpy-ticks.csv.gz", {"timezone": "UTC"}),
    "spot": (BinanceSource, "binance-raw-20240808/spot_btcusdt_20240808.gz", {}),
    "usdm": (BinanceSource, "binance-raw-20240808/usdm_btcusdt_20240808.gz", {}),
}
SCALARS = ("ts_ns", "received_ns", "bid", "ask", "mid", "bid_size", "ask_size", "bid_depth", "ask_depth", "depth")


def source_of(mdm_data, name):
    kind, file, arguments = FILES[name]
    return kind(mdm_data / file, **arguments)


def columns_of(source, count):
    """Write the quotes and single prints of a source as columns; what else it tells is left out."""
    rows = []
    for event in iter(source.next_event, None):
        trades = event.get("trades") or []
        if len(trades) > 1 or not ({"bid", "ask"} & event.keys() or trades) or {"bids", "deltas"} & event.keys():
            continue
        row = {"market_id": event.get("market_id", "A"), **{name: event.get(name) for name in SCALARS}}
        print_ = trades[0] if trades else {}
        row["trade_price"], row["trade_size"] = print_.get("price"), print_.get("size")
        row["trade_side"] = {"buy": 1, "sell": -1}.get(print_.get("aggressor_side"), 0)
        rows.append(row)
        if len(rows) == count:
            break
    return {name: [row[name] for row in rows] for name in rows[0]}


def instrument_for(data, source):
    """Give the market of some data a grid that orders can stand on."""
    market_id = data["market_id"][0]
    known = {found.market_id: found for found in source.instruments()}
    prices = [price for price in data["bid"] if price is not None]
    return known.get(market_id) or Instrument(
        market_id=market_id, tick_size="0.00001" if prices[0] < 10 else "0.001", lot_size="1", price_max=1e9
    )


@pytest.mark.parametrize("name", FILES)
def test_recorded_quotes_and_prints_are_the_same_in_all_drivers(mdm_data, name):
    source = source_of(mdm_data, name)
    data = columns_of(source, 3_000)
    config = RunConfig(
        instruments=(instrument_for(data, source),), execution=ExecutionSection(size=1.0, half_spread_ticks=0.5)
    )
    broker = {"entry_latency_ms": 20.0, "response_latency_ms": 20.0}
    live = check(data, Setup(model=moody, policy=WIDE, broker=broker, config=config), forms=FORMS[-1:])
    assert live[1]["steps"] > 900
    assert live[1]["orders_submitted"] > 100


def packets_of(source, folder, *, fast, **arguments):
    summary = run_loop(source, PaperBroker(entry_latency_ms=5.0), run_id="same", output_dir=folder, fast=fast, **arguments)
    return Path(summary["run_dir"], TRACES).read_bytes()


@needs_numba
def test_the_packets_of_the_simulated_market_are_the_same_bytes(tmp_path):
    made = [
        packets_of(
            SyntheticSource(MicrostructureSim(mid=0.5, spread=0.02), num_events=3_000), tmp_path / str(fast), fast=fast,
            decision_engine=moody, risk_policy=WIDE,
        )
        for fast in (False, True)
    ]  # fmt: skip
    assert made[0] == made[1]
    assert made[0].count(b"\n") == 3_000


@needs_numba
@pytest.mark.parametrize("name", FILES)
def test_the_packets_of_recorded_data_are_the_same_bytes(mdm_data, name, tmp_path):
    made = [
        packets_of(
            source_of(mdm_data, name), tmp_path / str(fast), fast=fast, steps=500, decision_engine=moody,
            risk_policy=WIDE,
        )
        for fast in (False, True)
    ]  # fmt: skip
    assert made[0] == made[1]
    assert made[0].count(b"\n") == 500


# ---------------------------------------------------------------- other processes

PROGRAM = """
import hashlib, sys, tempfile
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.parity.test_drivers import FORMS, Setup, WIDE, by_batch, moody, packets_of, random_table
from ami_engine.loop.column_source import ColumnSource
data = random_table(9, 200)
rows, summary, state = by_batch(data, Setup(model=moody, policy=WIDE), fast=FORMS[-1])
with tempfile.TemporaryDirectory() as folder:
    packets = packets_of(ColumnSource(data, "A"), folder, fast=False, decision_engine=moody, risk_policy=WIDE)
text = repr([{name: column.tolist() for name, column in rows[table].items()} for table in rows])
print(hashlib.sha256(packets + (text + repr(summary) + repr(state)).encode()).hexdigest())
"""


def test_other_processes_give_the_same_bytes():
    found = set()
    for more in ({"PYTHONHASHSEED": "1"}, {"PYTHONHASHSEED": "2", "TZ": "Asia/Tokyo", "LC_ALL": "C"}):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", PROGRAM, str(Path(__file__).resolve().parents[2])],
            env={**os.environ, **more}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found.add(done.stdout)
    assert len(found) == 1
