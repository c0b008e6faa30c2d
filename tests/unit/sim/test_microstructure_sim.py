"""The simulated market: always valid, the same by seed, and one that a naive quoter can trade in."""

import itertools
import math
import re

import pytest

from ami_engine.kernels import rng
from ami_engine.ports import RunContext
from ami_engine.sim.ladder import Ladder
from ami_engine.sim.microstructure_sim import START_NS, MicrostructureSim
from ami_engine.sim.paper_broker import PaperBroker
from ami_engine.sim.synthetic_source import SyntheticSource
from decision_schema.decode_event import decode_event
from decision_schema.errors import ContractError
from decision_schema.events import Order

SCALES = {
    "guide": {},
    "equity": {"mid": 100, "spread": 0.02, "tick_size": "0.01", "kind": "linear", "lot_size": "100"},
    "crypto": {
        "mid": 60_000,
        "spread": 0.1,
        "tick_size": "0.1",
        "kind": "linear",
        "lot_size": "0.001",
        "levels": 20,
    },
    "fx": {"mid": 1.1, "spread": 0.00008, "tick_size": "0.00001", "kind": "linear", "interval_ms": 20},
    "near the edge": {"mid": 0.02, "spread": 0.01, "volatility": 2.0, "trade_rate": 1.0, "trade_lots": 60},
    "one tick wide": {"mid": 0.5, "spread": 0.01, "tick_size": "0.01", "levels": 1, "impact": 0.5},
    "all wild": {
        "volatility": 10.0,
        "impact": 10.0,
        "interval_ms": 60_000,
        "depth_lots": 1,
        "trade_rate": 1.0,
    },
}


def check_event(event, instrument, levels, n):
    """Say whether an event is what the contract promises; return its decoded form."""
    decoded = decode_event(event)
    assert decoded.bad is None
    assert (event["market_id"], event["seq"]) == (instrument.market_id, n)
    assert 1 <= len(event["bids"]) <= levels
    assert 1 <= len(event["asks"]) <= levels
    assert event["bids"][0][0] < event["asks"][0][0]
    for price, size in event["bids"] + event["asks"]:
        assert instrument.price_min < price < instrument.price_max
        assert size > 0.0
        assert abs(size - instrument.size(instrument.lots(size))) < 1e-9
    return decoded


@pytest.mark.parametrize("scale", SCALES)
def test_every_event_is_valid(scale):
    """3 seeds of 1,000 events for each of 7 scales: 21,000 events."""
    for seed in range(3):
        sim = MicrostructureSim(**SCALES[scale], seed=seed)
        levels = SCALES[scale].get("levels", 5)
        before = None
        for n in range(1_000):
            event = sim.next_state()
            check_event(event, sim.instrument, levels, n)
            assert event["ts_ns"] == START_NS + n * SCALES[scale].get("interval_ms", 100) * 1_000_000
            check_trades(event["trades"], before)
            before = event


def check_trades(trades, before):
    """Trades print at what the event before displayed, from the best level, and not more than it."""
    if before is None:
        assert trades == []
        return
    displayed = before["asks" if trades and trades[0]["aggressor_side"] == "buy" else "bids"]
    for i, trade in enumerate(trades):
        price, size = displayed[i]
        assert trade["price"] == price
        assert 0.0 < trade["size"] <= size
        assert i == len(trades) - 1 or trade["size"] == size
        assert trade["aggressor_side"] == trades[0]["aggressor_side"]


def test_the_same_seed_gives_the_same_events_whatever_else_draws():
    first = MicrostructureSim(seed=5)
    second = MicrostructureSim(seed=5)
    other = MicrostructureSim(seed=6)
    for _ in range(300):
        other.next_state()
        rng.draw_u64(5, rng.MODEL, 0, 0, 0)
        assert first.next_state() == second.next_state()


def test_another_seed_or_market_gives_others():
    runs = [
        MicrostructureSim(seed=0),
        MicrostructureSim(seed=1),
        MicrostructureSim(seed=0, market_id="OTHER"),
    ]
    books = [[sim.next_state()["bids"] for _ in range(50)] for sim in runs]
    assert books[0] != books[1] != books[2] != books[0]


def events_of(source):
    return list(iter(source.next_event, None))


def test_a_source_starts_again_when_opened():
    source = SyntheticSource(MicrostructureSim(seed=5), num_events=50)
    source.open(RunContext(run_id="a"))
    first = events_of(source)
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


def test_the_source_tells_its_instrument():
    sim = MicrostructureSim(market_id="X", taker_fee=0.002)
    (instrument,) = SyntheticSource(sim, num_events=0).instruments()
    assert (instrument.market_id, instrument.kind, instrument.price_max) == ("X", "binary", 1.0)
    assert (instrument.maker_fee, instrument.taker_fee) == (0.0002, 0.002)


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
        ({"levels": 0}, "levels is 0: give a whole number from 1 to 20"),
        ({"levels": 2.0}, "levels is 2.0"),
        ({"interval_ms": 0}, "interval_ms is 0"),
        ({"tick_size": "x"}, "tick_size is 'x'"),
        ({"lot_size": "0"}, "lot_size is '0'"),
        ({"kind": "option"}, "kind is 'option'"),
        ({"seed": 1.5}, "seed is 1.5"),
        ({"trade_rate": 1.5}, "trade_rate is 1.5: give a number from 0 to 1"),
        ({"depth_lots": 0.5}, "depth_lots is 0.5"),
        ({"volatility": -1.0}, "volatility is -1.0"),
    ],
)
def test_arguments_that_make_no_market(arguments, told):
    with pytest.raises(ContractError, match=re.escape(told)):
        MicrostructureSim(**arguments)


@pytest.mark.parametrize("num_events", [-1, 1.5, True])
def test_a_source_wants_a_number_of_events(num_events):
    with pytest.raises(ContractError, match="num_events"):
        SyntheticSource(MicrostructureSim(), num_events=num_events)


def test_a_ladder_takes_through_levels_and_leaves_the_last_lot():
    ladder = Ladder(-1, 50, 99)
    ladder.lots = [2, 3]
    assert ladder.take(99) == [(50, 2), (51, 2)]
    assert (ladder.best, ladder.lots) == (51, [1])
    assert ladder.take(1) == []


def test_sizes_persist_and_keep_their_mean():
    """From one event to the next most of a level stays; over many, the mean is what was asked for."""
    sim = MicrostructureSim(seed=2, trade_rate=0.0, volatility=0.0, impact=0.0, depth_lots=20)
    before = dict(sim.next_state()["bids"])
    kept = total = 0.0
    for _ in range(3_000):
        now = dict(sim.next_state()["bids"])
        for price, size in before.items():
            if price in now:
                kept += min(size, now[price])
                total += size
        before = now
    assert kept / total > 0.9
    sizes = [size for _ in range(3_000) for _, size in sim.next_state()["asks"][1:]]
    assert 16.0 < sum(sizes) / len(sizes) < 26.0


def test_the_spread_varies_around_the_one_asked_for():
    sim = MicrostructureSim(seed=1)
    spreads = [
        event["asks"][0][0] - event["bids"][0][0] for event in (sim.next_state() for _ in range(4_000))
    ]
    assert 0.009 < sum(spreads) / len(spreads) < 0.012
    assert len({round(spread, 3) for spread in spreads}) > 5


def test_quotes_persist():
    sim = MicrostructureSim(seed=1)
    bids = [sim.next_state()["bids"][0][0] for _ in range(2_000)]
    moves = sum(a != b for a, b in itertools.pairwise(bids))
    assert 50 < moves < 400


def test_prices_stay_near_where_they_began():
    """Five hours: the fair value is drawn back, so a long demo does not run into a bound."""
    sim = MicrostructureSim(seed=4, interval_ms=1_000)
    mids = [0.5 * (e["bids"][0][0] + e["asks"][0][0]) for e in (sim.next_state() for _ in range(18_000))]
    assert 0.35 < min(mids) < max(mids) < 0.65
    assert abs(sum(mids) / len(mids) - 0.5) < 0.02


class NaiveQuoter:
    """Joins the best bid and ask with one lot each, and follows them; holds at most ten lots."""

    def __init__(self, sim):
        self.sim = sim
        self.broker = PaperBroker([sim.instrument])
        self.lot = sim.instrument.size(1)
        self.tick = sim.instrument.price(1)
        self.resting: dict[str, tuple[str, float]] = {}
        self.fills: list[tuple[int, int, float]] = []
        self.mids: list[float] = []
        self.orders = 0

    def run(self, events):
        for n in range(events):
            event = decode_event(self.sim.next_state())
            self.broker.on_event(event, event.ts_ns)
            for fill in self.broker.process_fills(0):
                self.fills.append((n, 1 if fill.side == "buy" else -1, fill.price))
                del self.resting[fill.side]
            bid, ask = event.bids[0][0], event.asks[0][0]
            self.mids.append(0.5 * (bid + ask))
            position = sum(sign for _, sign, _ in self.fills)
            for side, sign, price in (("buy", 1, bid), ("sell", -1, ask)):
                self.quote(side, price, allowed=sign * position < 10)
        return self

    def quote(self, side, price, *, allowed):
        name, resting = self.resting.get(side, ("", None))
        if name and (price != resting or not allowed):
            self.broker.cancel_order(name)
            del self.resting[side]
            name = ""
        if allowed and not name:
            self.orders += 1
            order = Order(
                client_order_id=f"{self.orders}",
                market_id="SIM",
                side=side,
                price=price,
                size=self.lot,
                post_only=True,
            )
            assert self.broker.submit_order(order).status == "live"
            self.resting[side] = (order.client_order_id, price)

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
    return [NaiveQuoter(MicrostructureSim(mid=0.5, spread=0.01, seed=seed)).run(2_000) for seed in range(20)]


def test_a_naive_quoter_is_filled_on_both_sides_with_every_seed(quoters):
    for quoter in quoters:
        sides = [sign for _, sign, _ in quoter.fills]
        assert sides.count(1) >= 10
        assert sides.count(-1) >= 10
        assert quoter.orders > len(quoter.fills) + 10


def test_a_naive_quoter_earns_less_than_the_half_spread_but_earns(quoters):
    """Half a spread is 5 ticks: adverse selection takes a good part of it, not all."""
    markouts = [quoter.markout_ticks(50) for quoter in quoters]
    mean = sum(markouts) / len(markouts)
    assert 1.5 < mean < 4.0
    assert min(markouts) > -2.0
    assert math.isfinite(max(markouts))


@pytest.mark.parametrize("scale", ["equity", "crypto", "fx"])
def test_a_naive_quoter_is_filled_on_other_scales(scale):
    quoter = NaiveQuoter(MicrostructureSim(**SCALES[scale], seed=1)).run(2_000)
    sides = [sign for _, sign, _ in quoter.fills]
    assert min(sides.count(1), sides.count(-1)) >= 10
