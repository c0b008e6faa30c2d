"""The simulated market: always valid, the same by seed, and one that answers to our orders."""

import hashlib
import json
import os
import re
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ami_engine.kernels import matching, rng
from ami_engine.kernels.venue import ANY_PRICE, BUY, FILL, GTC, IOC, SELL
from ami_engine.ports import OrderTerms, OrderVenue, RunContext
from ami_engine.sim.microstructure_sim import START_NS, MicrostructureSim
from ami_engine.sim.presets import PRESETS
from ami_engine.sim.synthetic_source import SyntheticSource
from decision_schema.decode_event import decode_event
from decision_schema.errors import ContractError

CASES = {
    "guide": {"mid": 0.5, "spread": 0.01},
    "equity": {"preset": "equity"},
    "crypto": {"preset": "crypto", "levels": 20},
    "fx": {"preset": "fx", "interval_ms": 20},
    "near zero": {"mid": 0.001, "spread": 0.001, "trade_rate": 10.0},
    "near one": {"mid": 0.98, "spread": 0.02, "volatility": 5.0, "trade_lots": 60},
    "one tick wide": {"spread": 0.01, "tick_size": "0.01", "levels": 1, "impact": 0.5},
    "two prices": {"mid": 0.4, "spread": 0.4, "tick_size": "0.4"},
    "very many ticks": {"tick_size": "0.000000001", "levels": 20},
    "one lot": {"depth_lots": 1, "trade_lots": 1},
    "takers only": {"trade_rate": 200.0, "trade_lots": 1e9, "interval_ms": 10},
    "no takers": {"trade_rate": 0.0},
    "no news": {"volatility": 0.0, "impact": 0.0},
    "all wild": {"volatility": 1_000.0, "impact": 1_000.0, "depth_lots": 1, "trade_rate": 20.0},
    "every millisecond": {"interval_ms": 1},
}


def check_event(event, sim, n, interval_ms=100, levels=5, one_sided=False):
    """Say whether an event is what the contract promises."""
    instrument = sim.instrument
    assert decode_event(event).bad is None
    assert (event["market_id"], event["seq"]) == (instrument.market_id, n)
    assert event["ts_ns"] == START_NS + n * interval_ms * 1_000_000
    bids, asks = event["bids"], event["asks"]
    if not one_sided:
        assert bids
        assert asks
    assert max(len(bids), len(asks)) <= levels
    assert not bids or not asks or bids[0][0] < asks[0][0]
    assert bids == sorted(bids, reverse=True)
    assert asks == sorted(asks)
    for price, size in bids + asks + [(trade["price"], trade["size"]) for trade in event["trades"]]:
        assert instrument.price_min < price < instrument.price_max
        assert price == instrument.price(round(price / instrument.price(1)))
        assert size > 0.0
        assert size == instrument.size(instrument.lots(size))
    times = [
        event["ts_ns"] - interval_ms * 1_000_000,
        *(trade["ts_ns"] for trade in event["trades"]),
        event["ts_ns"],
    ]
    assert times == sorted(times)
    assert {trade["aggressor_side"] for trade in event["trades"]} <= {"buy", "sell"}


@pytest.mark.parametrize("case", CASES)
def test_every_event_is_valid(case):
    arguments = CASES[case]
    for seed in range(2):
        sim = MicrostructureSim(**arguments, seed=seed)
        for n in range(400):
            event = sim.next_state()
            check_event(event, sim, n, arguments.get("interval_ms", 100), arguments.get("levels", 5))
            assert n > 0 or event["trades"] == []


def test_an_hour_between_two_events_is_an_hour_of_trading():
    sim = MicrostructureSim(seed=1, interval_ms=3_600_000)
    sim.next_state()
    trades = sim.next_state()["trades"]
    assert 1_500 < len(trades) < 12_000


BINARY = st.fixed_dictionaries(
    {"mid": st.floats(0.1, 0.9), "spread": st.floats(0.001, 0.1)},
    optional={
        "tick_size": st.sampled_from(["0.001", "0.0005", "0.00001"]),
        "levels": st.integers(1, 20),
        "interval_ms": st.sampled_from([1, 50, 100, 1_000, 5_000]),
        "depth_lots": st.floats(1, 1e6),
        "trade_rate": st.floats(0, 20),
        "trade_lots": st.floats(1, 1e6),
        "volatility": st.floats(0, 100),
        "informed": st.floats(0, 1),
        "impact": st.floats(0, 100),
        "preset": st.sampled_from(["prediction_market", "equity", "fx"]),
        "seed": st.integers(-(2**63), 2**63 - 1),
    },
)


@settings(max_examples=40)
@given(BINARY)
def test_any_arguments_that_are_taken_make_valid_events(arguments):
    sim = MicrostructureSim(**{"tick_size": "0.001", "kind": "binary"} | arguments)
    for n in range(20):
        check_event(sim.next_state(), sim, n, arguments.get("interval_ms", 100), arguments.get("levels", 5))


ORDERS = st.lists(
    st.tuples(
        st.integers(0, 30),
        st.builds(
            OrderTerms,
            st.sampled_from([BUY, SELL]),
            st.one_of(st.integers(1, 999), st.integers(485, 515), st.just(0)),
            st.one_of(st.integers(1, 50), st.integers(1, 10**9)),
            st.sampled_from([GTC, GTC, IOC]),
            st.booleans(),
            st.booleans(),
        ),
        st.sampled_from(["arrive", "replace", "cancel"]),
    ),
    max_size=40,
)


@settings(max_examples=60)
@given(ORDERS, st.integers(0, 5))
def test_whatever_we_send_the_market_stays_valid(orders, seed):
    """Sizes up to a billion lots, at any price, with or without a limit; a side may then be ours alone."""
    sim = MicrostructureSim(0.5, 0.01, seed=seed)
    slots = [-1]
    n = 0
    for wait, terms, act in orders:
        for _ in range(wait):
            event = sim.next_state()
            check_event(event, sim, n, one_sided=True)
            n += 1
        if terms.limit == 0:
            terms = terms._replace(limit=terms.side * ANY_PRICE)
        slot = slots[len(slots) // 2]
        if act == "cancel" and slot >= 0:
            sim.venue.cancel(slot)
        elif act == "replace" and slot >= 0:
            slots.append(sim.venue.replace(slot, terms)[1])
        else:
            slots.append(sim.venue.arrive(terms)[1])
        for execution in sim.venue.take_executions():
            if execution.kind == FILL:
                assert execution.lots > 0
                assert execution.open_lots >= 0
    check_event(sim.next_state(), sim, n, one_sided=True)
    for side in (sim.venue.book.bids, sim.venue.book.asks):
        assert side.keys == sorted(side.levels)
        for level in side.levels.values():
            assert level.lots == sum(entry.lots for entry in level.queue)
            assert level.own == sum(entry.lots for entry in level.queue if entry.owner >= 0)
            assert all(entry.lots > 0 for entry in level.queue)
        assert side.others == sum(level.lots - level.own for level in side.levels.values())


# ---------------------------------------------------------------- chance


def digest(sim, events=200):
    text = json.dumps([sim.next_state() for _ in range(events)])
    return hashlib.sha256(text.encode()).hexdigest()


def test_the_same_seed_gives_the_same_bytes_whatever_else_draws():
    first, second, other = (MicrostructureSim(seed=seed) for seed in (5, 5, 6))
    for _ in range(300):
        other.next_state()
        rng.draw_u64(5, rng.MODEL, 0, 0, 0)
        assert first.next_state() == second.next_state()


@pytest.mark.parametrize("preset", PRESETS)
def test_another_process_with_other_hashes_gives_the_same_bytes(preset):
    script = f"from tests.unit.sim.test_microstructure_sim import *; print(digest(MicrostructureSim(preset={preset!r}, seed=7)))"
    environment = {**os.environ, "PYTHONHASHSEED": "123"}
    out = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
    )
    assert out.stdout.strip() == digest(MicrostructureSim(preset=preset, seed=7))


def test_another_seed_or_market_gives_others():
    runs = [
        MicrostructureSim(seed=0),
        MicrostructureSim(seed=1),
        MicrostructureSim(seed=0, market_id="OTHER"),
    ]
    books = [[sim.next_state()["bids"] for _ in range(50)] for sim in runs]
    assert books[0] != books[1] != books[2] != books[0]


def test_how_often_it_is_shown_changes_nothing():
    often, seldom = MicrostructureSim(seed=3, interval_ms=20), MicrostructureSim(seed=3, interval_ms=500)
    trades = []
    for n in range(1_001):
        event = often.next_state()
        trades += event["trades"]
        if n % 25 == 0:
            other = seldom.next_state()
            assert (event["bids"], event["asks"], trades) == (other["bids"], other["asks"], other["trades"])
            trades = []


def test_an_order_that_nobody_notices_changes_nothing():
    """Far below the market, and never the best while nobody else bids: the same events as without it."""
    alone, with_us = MicrostructureSim(seed=5), MicrostructureSim(seed=5)
    with_us.venue.attach(lambda ts_ns: None)
    for n in range(500):
        event = with_us.next_state()
        event["bids"] = [level for level in event["bids"] if level != (0.005, 7.0)]
        assert event == alone.next_state()
        if n == 100:
            answer, slot = with_us.venue.arrive(OrderTerms(BUY, 5, 7, GTC, True, False))
            assert answer == matching.ACCEPTED
        if n == 300:
            assert with_us.venue.cancel(slot)


# ---------------------------------------------------------------- sources


def events_of(source):
    return list(iter(source.next_event, None))


def test_a_source_starts_again_when_opened():
    source = SyntheticSource(MicrostructureSim(seed=5), num_events=50)
    source.open(RunContext(run_id="a"))
    first = events_of(source)
    source.venue.arrive(OrderTerms(BUY, ANY_PRICE, 1_000, IOC, False, False))
    source.open(RunContext(run_id="b", seed=9))
    assert events_of(source) == first
    assert len(first) == 50
    assert source.next_event() is None
    assert not source.live


def test_without_a_seed_the_run_gives_it():
    source = SyntheticSource(MicrostructureSim(), num_events=20)
    fresh = events_of(source)
    by_seed = {}
    for seed in (0, 9, 0):
        source.open(RunContext(run_id="r", seed=seed))
        by_seed.setdefault(seed, []).append(events_of(source))
    assert by_seed[0] == [fresh, fresh]
    assert by_seed[9] != [fresh]
    assert by_seed[9] == [events_of(SyntheticSource(MicrostructureSim(seed=9), num_events=20))]


def test_the_source_tells_its_instrument_and_its_venue():
    sim = MicrostructureSim(market_id="X", taker_fee=0.002)
    source = SyntheticSource(sim, num_events=0)
    (instrument,) = source.instruments()
    assert (instrument.market_id, instrument.kind, instrument.price_max) == ("X", "binary", 1.0)
    assert (instrument.maker_fee, instrument.taker_fee) == (0.0002, 0.002)
    assert isinstance(source.venue, OrderVenue)
    assert source.venue.market_id == "X"


def test_what_is_not_given_is_that_of_the_preset():
    sim = MicrostructureSim(preset="crypto", mid=100.0, taker_fee=0.0)
    assert (sim.instrument.tick_size, sim.instrument.kind, sim.instrument.taker_fee) == ("0.1", "linear", 0.0)
    assert abs(sim.next_state()["bids"][0][0] - 100.0) < 5.0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"mid": 1.0}, "mid is 1.0: it must lie at least one spread"),
        ({"mid": 0.0}, "mid is 0.0"),
        ({"mid": 100}, 'kind="linear"'),
        ({"mid": float("nan")}, "mid is nan"),
        ({"mid": "0.5"}, "mid is '0.5'"),
        ({"spread": 0.0}, "spread is 0.0"),
        ({"spread": -0.01}, "spread is -0.01"),
        ({"spread": 0.0005}, "spread is 0.0005: give at least the tick 0.001"),
        ({"spread": 0.6}, "must lie at least one spread"),
        ({"mid": 0.5, "spread": 0.5, "tick_size": "0.5"}, "tick_size is 0.5: give a smaller one"),
        ({"levels": 0}, "levels is 0: give a whole number from 1 to 20"),
        ({"levels": 2.0}, "levels is 2.0"),
        ({"interval_ms": 0}, "interval_ms is 0"),
        ({"tick_size": "x"}, "tick_size is 'x'"),
        ({"lot_size": "0"}, "lot_size is '0'"),
        ({"kind": "option"}, "kind is 'option'"),
        ({"seed": 1.5}, "seed is 1.5"),
        ({"trade_rate": -1.0}, "trade_rate is -1.0: give a number from 0 to 1000"),
        ({"depth_lots": 0.5}, "depth_lots is 0.5"),
        ({"volatility": -1.0}, "volatility is -1.0"),
        ({"informed": 1.5}, "informed is 1.5: give a number from 0 to 1"),
        ({"preset": "stocks"}, "preset is 'stocks': give one of prediction_market, equity, crypto, fx"),
    ],
)
def test_arguments_that_make_no_market(arguments, told):
    with pytest.raises(ContractError, match=re.escape(told)):
        MicrostructureSim(**arguments)


@pytest.mark.parametrize("num_events", [-1, 1.5, True])
def test_a_source_wants_a_number_of_events(num_events):
    with pytest.raises(ContractError, match="num_events"):
        SyntheticSource(MicrostructureSim(), num_events=num_events)


# ---------------------------------------------------------------- the market answers


def mid_of(event):
    return 0.5 * (event["bids"][0][0] + event["asks"][0][0])


def test_who_listens_hears_of_every_time_before_it_comes():
    sim, heard = MicrostructureSim(seed=2), []
    sim.venue.attach(heard.append)
    shown = [sim.next_state() for _ in range(200)]
    assert heard == sorted(heard)
    assert {event["ts_ns"] for event in shown} <= set(heard)
    assert {trade["ts_ns"] for event in shown for trade in event["trades"]} <= set(heard)


def test_an_order_may_arrive_between_two_events():
    """It is in the next book, and its executions carry the time at which it came."""
    sim, due = MicrostructureSim(seed=2), START_NS + 1_050_000_000
    came = []

    def before(ts_ns):
        if ts_ns >= due and not came:
            came.append((ts_ns, sim.venue.arrive(OrderTerms(BUY, ANY_PRICE, 5, IOC, False, False))))

    sim.venue.attach(before)
    events = [sim.next_state() for _ in range(12)]
    ((ts_ns, (answer, slot)),) = came
    assert answer == matching.ACCEPTED
    executions = sim.venue.take_executions()
    assert {(e.slot, e.ts_ns, e.maker) for e in executions} == {(slot, ts_ns, False)}
    assert due <= ts_ns <= START_NS + 1_100_000_000
    prints = [trade for event in events for trade in event["trades"] if trade["ts_ns"] == ts_ns]
    assert sum(trade["size"] for trade in prints) == 5


def after_our_order(lots, side, seed):
    """How far the mid is from where it would have been, in ticks, our way: 1 s and 60 s after."""
    alone, with_us = MicrostructureSim(seed=seed), MicrostructureSim(seed=seed)
    moves = []
    for n in range(801):
        theirs, ours = alone.next_state(), with_us.next_state()
        if n in (210, 800):
            moves.append(side * (mid_of(ours) - mid_of(theirs)) / 0.001)
        if n == 200:
            assert ours == theirs
            with_us.venue.arrive(OrderTerms(side, side * ANY_PRICE, lots, IOC, False, False))
    return moves


def test_what_we_take_moves_the_market_more_the_more_it_is_and_it_comes_back():
    sides = [(side, seed) for side in (BUY, SELL) for seed in range(6)]
    means = {}
    for lots in (5, 200):
        moves = [after_our_order(lots, side, seed) for side, seed in sides]
        means[lots] = [sum(move[i] for move in moves) / len(moves) for i in (0, 1)]
    assert means[200][0] > means[5][0] > 0.0
    assert means[200][0] > 5.0
    assert means[200][1] < means[200][0] / 2


def test_a_large_order_that_rests_leans_on_the_market():
    """Makers see more on one side, and move to the other: for three seconds the mid stands higher by that."""
    moves = []
    for seed in range(20):
        side, shown = (BUY, "bids") if seed % 2 else (SELL, "asks")
        alone, with_us = MicrostructureSim(seed=seed), MicrostructureSim(seed=seed)
        for n in range(131):
            theirs, ours = alone.next_state(), with_us.next_state()
            if n == 100:
                ticks = round(ours[shown][0][0] / 0.001)
                with_us.venue.arrive(OrderTerms(side, ticks, 500, GTC, True, False))
            if n > 100:
                moves.append(side * (mid_of(ours) - mid_of(theirs)) / 0.001)
    assert sum(moves) / len(moves) > 0.2


class NaiveQuoter:
    """Joins the best bid and ask with one lot each, through the venue; holds at most ten lots."""

    def __init__(self, sim):
        self.sim, self.venue = sim, sim.venue
        self.tick = sim.instrument.price(1)
        self.resting = {}
        self.fills = []
        self.mids = []
        self.position = 0

    def run(self, events):
        for n in range(events):
            event = self.sim.next_state()
            self.mids.append(mid_of(event))
            for done in self.venue.take_executions():
                side = next(side for side, (slot, _) in self.resting.items() if slot == done.slot)
                self.fills.append((n, side, done.ticks * self.tick))
                self.position += side
                del self.resting[side]
            for side, (best, _) in ((BUY, event["bids"][0]), (SELL, event["asks"][0])):
                self.quote(side, round(best / self.tick), allowed=side * self.position < 10)
        return self

    def quote(self, side, ticks, *, allowed):
        slot, resting = self.resting.get(side, (-1, None))
        if slot >= 0 and (ticks != resting or not allowed):
            self.venue.cancel(slot)
            del self.resting[side]
            slot = -1
        if allowed and slot < 0:
            answer, slot = self.venue.arrive(OrderTerms(side, ticks, 1, GTC, True, False))
            assert answer == matching.ACCEPTED
            self.resting[side] = (slot, ticks)

    def markout_ticks(self, events):
        """Mean of what a fill has earned against the mid so many events later."""
        marks = [
            sign * (self.mids[n + events] - price) / self.tick
            for n, sign, price in self.fills
            if n + events < len(self.mids)
        ]
        return sum(marks) / len(marks)


@pytest.fixture(scope="module")
def quoters():
    return [NaiveQuoter(MicrostructureSim(mid=0.5, spread=0.01, seed=seed)).run(2_000) for seed in range(12)]


def test_a_naive_quoter_is_filled_on_both_sides_with_every_seed(quoters):
    for quoter in quoters:
        sides = [side for _, side, _ in quoter.fills]
        assert min(sides.count(BUY), sides.count(SELL)) >= 5


def test_a_naive_quoter_earns_less_than_the_half_spread(quoters):
    """Half a spread is 5 ticks: adverse selection takes a good part of it, not all."""
    markouts = [quoter.markout_ticks(50) for quoter in quoters]
    assert 0.5 < sum(markouts) / len(markouts) < 4.0


@pytest.mark.parametrize("preset", PRESETS)
def test_a_naive_quoter_is_filled_in_every_preset(preset):
    quoter = NaiveQuoter(MicrostructureSim(preset=preset, seed=1)).run(3_000)
    sides = [side for _, side, _ in quoter.fills]
    assert min(sides.count(BUY), sides.count(SELL)) >= 5
