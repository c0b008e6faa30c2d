"""Features, windows and markouts against plain oracles, bit for bit, at every prefix."""

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ami_engine.features.catalogue import FEATURES, named
from ami_engine.features.feature_builder import build_features
from ami_engine.kernels.book_builder import BookBuilder, build
from ami_engine.kernels.features import (
    N_MARKET_FEATURES,
    SAMPLES_REMEMBERED,
    MarketState,
    accept_book,
    accept_trade,
    advance_time,
    new_market_state,
    refresh_features,
)
from ami_engine.kernels.markouts import (
    MAX_PENDING,
    MarkoutState,
    advance_markouts,
    record_fill,
    refresh_own,
)
from ami_engine.kernels.rolling import (
    new_ring,
    pairwise_sum,
    ring_max,
    ring_mean,
    ring_median,
    ring_percentile,
    ring_push_ordered,
    ring_std,
    ring_sum,
    ring_sum_of_squares,
)
from decision_schema.decode_event import decode_event
from decision_schema.instruments import Instrument
from decision_schema.reasons import OK, TOO_MANY_MARKOUTS
from tests.oracle.feature_oracle import FeatureOracle, MarkoutOracle

NAN = math.nan
SECOND = 10**9
START = 1_700_000_000 * SECOND + 123_456_789
SIDES = {"buy": 1, "sell": -1, None: 0}
BEYOND_ONE_BOOK = {
    *("spread_med_5m", "depth_p10_5m", "staleness_max_5m"),
    *("order_flow_imbalance", "trade_imbalance", "trade_intensity"),
}

GRIDS = [
    Instrument(tick_size="0.01", maker_fee=0.0),
    Instrument(tick_size="0.5", maker_fee=0.0002),
    Instrument(tick_size="0.003", maker_fee=-0.0001, price_min=-1e9),
]


_builders: dict[int, tuple[MarketState, BookBuilder]] = {}


def builder_of(m: MarketState) -> BookBuilder:
    """Each market's own builder; the market is kept, so that no other takes its place in memory."""
    return _builders.setdefault(id(m), (m, BookBuilder()))[1]


def step(m: MarketState, now: int, venue: int, event: dict) -> None:
    """What a step does with one event, as far as features go."""
    decoded = decode_event(event)
    assert decoded.bad is None
    advance_time(m, now)
    for trade in decoded.trades:
        accept_trade(m, trade.price, trade.size, SIDES[trade.aggressor_side])
    if decoded.has_book:
        assert build(builder_of(m), m.book, decoded, m.staged, m.price_min, m.price_max) == OK
        accept_book(m, venue)
    refresh_features(m, now)


# ---------------------------------------------------------------- streams

SIZES = st.sampled_from([0.1, 0.3, 1.0, 2.0, 7.7, 1e-3, 12345.678])
MAYBE_SIZE = st.one_of(st.none(), SIZES, st.just(0.0))
GAPS = st.one_of(
    st.sampled_from([0, 1, SECOND, 5 * SECOND]),
    st.integers(0, 2 * SECOND),
    st.integers(0, 90).map(lambda s: s * SECOND),
    st.sampled_from([299, 300, 301, 331, 332, 333, 334, 3600, 7200]).map(lambda s: s * SECOND),
)
TRADES = st.lists(
    st.fixed_dictionaries(
        {
            "price": st.integers(80, 120).map(lambda t: t / 100),
            "size": SIZES,
            "aggressor_side": st.sampled_from(["buy", "sell", None]),
        }
    ),
    max_size=3,
)


@st.composite
def book_events(draw, tick: float, low: int) -> dict:
    """A book told in full: levels, or scalars where a side or a size may be absent."""
    best_bid = draw(st.integers(low, low + 40))
    best_ask = best_bid + draw(st.integers(1, 5))
    event: dict = {}
    if draw(st.booleans()):
        for side, best, away in (("bids", best_bid, -1), ("asks", best_ask, 1)):
            count = draw(st.sampled_from([0, 1, 2, 5, 25]))
            sizes = draw(st.lists(st.one_of(SIZES, SIZES, st.just(0.0)), min_size=count, max_size=count))
            event[side] = [((best + away * i) * tick, size) for i, size in enumerate(sizes)]
    else:
        event["bid"] = draw(st.sampled_from([best_bid * tick] * 3 + [None]))
        event["ask"] = draw(st.sampled_from([best_ask * tick] * 3 + [None]))
        event["bid_depth"] = draw(MAYBE_SIZE)
        event["ask_depth"] = draw(MAYBE_SIZE)
        if draw(st.integers(0, 3)) == 0:
            quarters = draw(st.integers(4 * best_bid, 4 * best_ask))
            event["mid"] = quarters * tick / 4  # nearer to 0 it would be a jump, which is refused
    if draw(st.integers(0, 3)) == 0:
        event["depth"] = draw(MAYBE_SIZE)
    return event


@st.composite
def streams(draw) -> tuple[Instrument, int, list[tuple[int, int, dict]]]:
    instrument = draw(st.sampled_from(GRIDS))
    sample_ns = draw(st.sampled_from([SECOND, SECOND, SECOND // 4]))
    tick = instrument.tick[0] / instrument.tick[1]
    low = draw(st.sampled_from([80, -30])) if instrument.price_min < 0 else 80
    now = START
    steps = []
    for _ in range(draw(st.integers(1, 14))):
        now += draw(GAPS)
        event = draw(
            st.one_of(book_events(tick, low), book_events(tick, low), st.just({}), SIZES.map(only_depth))
        )
        if draw(st.booleans()):
            event["trades"] = draw(TRADES)
        steps.append((now, now - draw(st.sampled_from([0, 5_000_000, 3 * SECOND, -1_270_000_000])), event))
    return instrument, sample_ns, steps


def only_depth(size: float) -> dict:
    return {"depth": size}


def market_features(m: MarketState) -> dict[str, float]:
    return named(m.features[:N_MARKET_FEATURES])


@settings(max_examples=120)
@given(streams())
def test_every_feature_equals_its_definition_at_every_prefix(stream):
    """Gaps of seconds and hours, equal stamps, one-sided books, unknown sizes, trades of all kinds."""
    instrument, sample_ns, steps = stream
    m = new_market_state(instrument, sample_ns)
    oracle = FeatureOracle(instrument.tick, instrument.maker_fee, sample_ns)
    for now, venue, event in steps:
        step(m, now, venue, event)
        oracle.happen(now, venue, event)
        assert market_features(m) == oracle.features()


def random_walk(seed: int, steps: int):
    """A stream long enough to fill every window with differing values."""
    rng = random.Random(seed)
    now, tick = START, 100
    for _ in range(steps):
        now += int(rng.expovariate(1.0) * 0.6 * SECOND)
        tick += rng.choice([-1, 0, 0, 1])
        n = rng.randint(1, 4)
        event: dict = {
            "bids": [((tick - i) / 100, rng.random() * 10 + 0.1) for i in range(n)],
            "asks": [((tick + rng.randint(1, 2) + i) / 100, rng.random() * 10 + 0.1) for i in range(n)],
        }
        event["asks"].sort()
        if len({price for price, _ in event["asks"]}) < n:
            event["asks"] = event["asks"][:1]
        if rng.random() < 0.4:
            side = rng.choice(["buy", "sell", None])
            event["trades"] = [{"price": tick / 100, "size": rng.random() + 0.01, "aggressor_side": side}]
        yield now, now - rng.randint(0, 50_000_000), event


def test_full_windows_equal_their_definitions_and_the_stateless_door():
    """Ten minutes of a moving market: every feature is present, and still exact."""
    m = new_market_state(GRIDS[1], SECOND)
    oracle = FeatureOracle(GRIDS[1].tick, GRIDS[1].maker_fee, SECOND)
    for i, (now, venue, event) in enumerate(random_walk(7, 1100)):
        step(m, now, venue, event)
        oracle.happen(now, venue, event)
        if i % 3 == 0:
            assert market_features(m) == oracle.features()
        if i % 50 == 0:
            check_stateless_door(m, oracle, GRIDS[1], now, venue, event)
    assert not any(math.isnan(value) for value in m.features[:N_MARKET_FEATURES])


def check_stateless_door(
    m: MarketState, oracle, instrument: Instrument, now: int, venue: int, event: dict
) -> None:
    door = build_features(
        event={**event, "ts_ns": venue},
        mid_history=oracle.sampled_mids(),
        now_ms=now // 1_000_000,
        instrument=instrument,
    )
    expected = {k: v for k, v in market_features(m).items() if k not in BEYOND_ONE_BOOK}
    assert door.pop("staleness_ms") == (now // 1_000_000 * 1_000_000 - venue) / 1e6
    expected.pop("staleness_ms")
    assert door == expected


@settings(max_examples=30)
@given(streams())
def test_build_features_equals_the_stream_wherever_it_can_know(stream):
    """One full book and the sampled mids give the same values as the events that led there."""
    instrument, _, steps = stream
    m = new_market_state(instrument, SECOND)
    oracle = FeatureOracle(instrument.tick, instrument.maker_fee, SECOND)
    for now, venue, event in steps:
        step(m, now, venue, event)
        oracle.happen(now, venue, event)
        if set(event) & {"bid", "bids"} and all(map(math.isfinite, oracle.sampled_mids())):
            check_stateless_door(m, oracle, instrument, now, venue, event)


@pytest.mark.parametrize(
    "gap", [1, 29, 299, 300, 301, SAMPLES_REMEMBERED - 1, SAMPLES_REMEMBERED, 333, 334, 1000]
)
def test_a_gap_equals_stepping_through_it(gap):
    """Skipping what no window can see changes nothing."""
    leap, walk = (new_market_state(GRIDS[0], SECOND) for _ in range(2))
    for now, venue, event in random_walk(gap, 100):
        step(leap, now, venue, event)
        step(walk, now, venue, event)
    for second in range(1, gap + 1):
        advance_time(walk, now + second * SECOND)
    advance_time(leap, now + gap * SECOND)
    for m in (leap, walk):
        refresh_features(m, now + gap * SECOND)
    assert market_features(leap) == market_features(walk)
    assert leap.next_sample_ns == walk.next_sample_ns


def test_a_gap_of_any_length_costs_the_same_number_of_samples():
    m = new_market_state(GRIDS[0], SECOND)
    step(m, START, START, {"bid": 0.49, "ask": 0.51})
    advance_time(m, START + 10**9 * SECOND)
    assert m.silences.tick == SAMPLES_REMEMBERED


def test_a_sample_is_the_state_before_its_boundary():
    """An event at the boundary itself is not in the sample of that boundary."""
    m = new_market_state(GRIDS[0], SECOND)
    for now, mid in ((SECOND // 2, 0.25), (SECOND, 0.5), (SECOND, 0.75)):
        step(m, now, now, {"mid": mid})
    assert m.sampled_mid == 0.25
    advance_time(m, 2 * SECOND)
    assert m.sampled_mid == 0.75


def test_a_trade_is_judged_against_the_mid_before_its_event_in_either_order():
    m = new_market_state(GRIDS[0], SECOND)
    step(m, 0, 0, {"mid": 0.5})
    advance_time(m, 1)
    m.staged.mid = 0.6
    accept_book(m, 1)
    accept_trade(m, 0.55, 2.0, 0)
    assert (m.bought, m.sold) == (2.0, 0.0)


def test_an_unknown_size_makes_order_flow_unknown_until_it_has_left_the_window():
    m = new_market_state(GRIDS[0], SECOND)
    known = {"bids": [(0.49, 1.0)], "asks": [(0.51, 1.0)]}
    for second, event in enumerate(
        [known, known, {"bid": 0.49, "ask": 0.51, "bid_depth": None, "ask_depth": None}]
    ):
        step(m, second * SECOND, second * SECOND, event)
    assert "order_flow_imbalance" not in market_features(m)
    present = []
    for second in range(3, 16):
        step(m, second * SECOND, second * SECOND, known)
        present.append("order_flow_imbalance" in market_features(m))
    # The change of second 3 back to known sizes is the last unknown one: nine full intervals follow.
    assert present == [False] * 10 + [True] * 3


@pytest.mark.parametrize("unknown", ["bid_depth", "ask_depth"])
def test_without_a_size_order_flow_stays_unknown_in_a_silent_market(unknown):
    m = new_market_state(GRIDS[0], SECOND)
    event = {"bid": 0.49, "ask": 0.51, "bid_depth": 1.0, "ask_depth": 1.0} | {unknown: None}
    for now in (0, 1, 60 * SECOND):
        step(m, now, now, event if now < SECOND else {})
    assert "order_flow_imbalance" not in market_features(m)


def test_an_empty_side_is_no_unknown_side():
    """A bid that is taken away is outflow of its size; both ends are known."""
    m = new_market_state(GRIDS[0], SECOND)
    step(m, 0, 0, {"bids": [(0.49, 7.0)], "asks": [(0.51, 1.0)]})
    step(m, 1, 1, {"bids": [], "asks": [(0.51, 1.0)]})
    features = market_features(m)
    assert features["order_flow_imbalance"] == -7.0
    assert features["imbalance"] == features["imbalance_w"] == -1.0
    assert not {"mid", "spread_bps", "microprice"} & set(features)


# ---------------------------------------------------------------- windows


@settings(max_examples=40)
@given(
    st.sampled_from([1, 2, 7, 8, 9, 30, 128, 129, 300]),
    st.sampled_from(["walk", "few", "wide", "gaps"]),
    st.integers(0, 2**32),
)
def test_rolling_statistics_equal_numpy(capacity, kind, seed):
    """Sum, mean, deviation, median, percentiles and maximum, at every prefix."""
    rng = random.Random(seed)
    draw = {
        "walk": lambda: rng.gauss(0.0, 1.0),
        "few": lambda: rng.choice([0.1, 0.2, 0.7]),
        "wide": lambda: rng.uniform(-1.0, 1.0) * 10.0 ** rng.randint(-12, 12),
        "gaps": lambda: rng.choice([NAN, NAN, math.inf, rng.random()]),
    }[kind]
    ring = new_ring(capacity)
    history: list[float] = []
    for i in range(2 * capacity + 20):
        history.append(draw())
        ring_push_ordered(ring, history[-1])
        window = np.array([x for x in history[-capacity:] if math.isfinite(x)])
        assert ring.values[ring.head : ring.head + ring.count] == window.tolist()
        if i % 5 and capacity > 30:
            continue
        mean = ring_mean(ring)
        if not len(window):
            assert ring_sum(ring) == ring_sum_of_squares(ring) == 0.0
            rest = (
                mean,
                ring_std(ring, mean),
                ring_median(ring),
                ring_percentile(ring, 10.0),
                ring_max(ring),
            )
            assert all(math.isnan(value) for value in rest)
            continue
        assert ring_sum(ring) == np.sum(window)
        assert mean == np.mean(window)
        assert ring_std(ring, mean) == np.std(window)
        assert ring_sum_of_squares(ring) == np.sum(window * window)
        assert ring_median(ring) == np.median(window)
        assert ring_max(ring) == np.max(window)
        for percent in (0.0, 10.0, 37.5, 90.0, 100.0):
            assert ring_percentile(ring, percent) == np.percentile(window, percent, method="linear")


@pytest.mark.parametrize("n", [*range(40), 127, 128, 129, 136, 255, 256, 257, 299, 300])
def test_pairwise_sum_equals_numpy_at_any_start(n):
    rng = random.Random(n)
    values = [rng.gauss(0.0, 1.0) * 10.0 ** rng.randint(-8, 8) for _ in range(n + 5)]
    assert pairwise_sum(values, 3, n) == np.sum(np.array(values[3 : 3 + n]))


# ---------------------------------------------------------------- markouts


@settings(max_examples=80)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.integers(0, 3 * SECOND), st.integers(0, 40).map(lambda s: s * SECOND), st.just(301 * SECOND)),
            st.one_of(st.none(), st.integers(80, 120).map(lambda t: t / 200)),
            st.lists(
                st.tuples(st.integers(40, 60).map(lambda t: t / 100), st.sampled_from([1, -1])), max_size=6
            ),
        ),
        max_size=40,
    )
)
def test_markouts_equal_their_definition_at_every_prefix(steps):
    """Steps of (gap, mid after or unknown, our fills), in the order of a step."""
    grid = GRIDS[0]
    m, k, oracle = new_market_state(grid, SECOND), MarkoutState(), MarkoutOracle(grid.tick)
    now, mid = START, NAN
    for gap, new_mid, fills in steps:
        now += gap
        advance_markouts(k, now, mid, *grid.tick)
        oracle.step(now, mid)
        for price, side in fills:
            assert record_fill(k, price, side, now, 1.0, NAN) == OK
            oracle.fill(now, price, side)
        mid = NAN if new_mid is None else new_mid
        refresh_own(m, k, now)
        own = named([*m.features])
        expected = {}
        for h, seconds in enumerate((1, 5, 15, 60)):
            found = oracle.markouts(seconds)
            assert k.done[h] == len(found)
            assert k.total[h] == (float(np.cumsum(found)[-1]) if found else 0.0)
            if found:
                expected[f"markout_{seconds}_ticks"] = float(np.mean(found[-20:]))
                recent = oracle.since_silence(seconds)[-20:]
                if seconds in (15, 60) and len(recent) >= 5 and now - oracle.last_due(seconds) <= 300 * SECOND:
                    expected[f"adverse_{seconds}_ticks"] = 0.0 - float(np.mean(recent))
        if oracle.fills:
            expected["last_fill_age_ms"] = (now - oracle.fills[-1][0]) / 1e6
        assert own == expected


def test_fills_beyond_the_capacity_are_counted_and_not_tracked():
    k = MarkoutState()
    assert [record_fill(k, 0.5, 1, 0, 1.0, NAN) for _ in range(MAX_PENDING + 1)] == [OK] * MAX_PENDING + [
        TOO_MANY_MARKOUTS
    ]
    advance_markouts(k, 60 * SECOND, 0.51, 1, 100)
    assert (k.done, k.untracked, k.mean) == ([MAX_PENDING] * 4, 1, [1.0] * 4)
    assert record_fill(k, 0.5, -1, 60 * SECOND, 1.0, NAN) == OK
    advance_markouts(k, 61 * SECOND, 0.51, 1, 100)
    assert k.total == [MAX_PENDING - 1.0, MAX_PENDING, MAX_PENDING, MAX_PENDING]


def test_own_features_stand_after_the_market_ones():
    assert [spec.kind for spec in FEATURES] == ["market"] * N_MARKET_FEATURES + ["own"] * 7
