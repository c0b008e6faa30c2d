"""The stateless door: what it answers, what it leaves out, what it refuses."""

import math
from collections import deque
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_engine.features.feature_builder import build_features
from decision_schema.errors import ContractError
from decision_schema.instruments import Instrument

BOOK = {"bid": 0.49, "ask": 0.51}
NOW_MS = 1_234_567_890


def test_the_guide_gets_what_it_promises():
    event = {"mid": 0.5, "bid": 0.49, "ask": 0.51, "depth": 100}
    features = build_features(event=event, mid_history=[0.49, 0.50, 0.51], now_ms=NOW_MS)
    assert features["mid"] == 0.5
    assert features["spread_bps"] == 400
    assert features["depth"] == 100
    assert features["spread_ticks"] == 2
    assert features["staleness_ms"] == 0
    up, up_again = math.log(0.50 / 0.49), math.log(0.51 / 0.50)
    assert features["sigma"] == features["sigma_5m"] == 1e4 * np.std([up, up_again])
    assert set(features) == {
        *("mid", "spread", "spread_bps", "spread_ticks", "depth", "cost_ticks", "staleness_ms"),
        *("sigma", "sigma_5m", "realized_vol_5m"),
    }


LEVELS = {"bids": [(99.0, 3.0), (98.0, 1.0)], "asks": [(101.0, 1.0), (103.0, 1.0)]}
DOLLAR = Instrument(tick_size="1", maker_fee=0.001)

CASES = [
    # event, feature, value by hand
    (LEVELS, "mid", 100.0),
    (LEVELS, "spread", 2.0),
    (LEVELS, "spread_bps", 200.0),
    (LEVELS, "spread_ticks", 2.0),
    (LEVELS, "depth", 6.0),
    (LEVELS, "bid_depth", 4.0),
    (LEVELS, "ask_depth", 2.0),
    (LEVELS, "imbalance", 2.0 / 6.0),
    (LEVELS, "imbalance_w", (3.5 - 1.5) / 5.0),
    (LEVELS, "microprice", 100.5),  # (99 x 1 + 101 x 3) / 4
    (LEVELS, "microprice_alpha_ticks", 0.5),
    (LEVELS, "vwap_bid", 98.75),
    (LEVELS, "vwap_ask", 102.0),
    (LEVELS, "pressure_ticks", (98.75 * 2 + 102.0 * 4) / 6 - 100.0),
    (LEVELS, "cost_ticks", 0.2),
    (LEVELS, "sigma", None),
    (LEVELS, "order_flow_imbalance", None),
    (LEVELS, "trade_intensity", None),
    (LEVELS, "spread_med_5m", None),
    ({"bids": [(99.0, 3.0)], "asks": []}, "mid", None),
    ({"bids": [(99.0, 3.0)], "asks": []}, "imbalance", 1.0),
    ({"bids": [(99.0, 3.0)], "asks": []}, "vwap_bid", 99.0),
    ({"bids": [(99.0, 3.0)], "asks": []}, "vwap_ask", None),
    ({"bid": 99.0, "ask": 101.0}, "depth", None),
    ({"bid": 99.0, "ask": 101.0}, "imbalance", None),
    ({"bid": 99.0, "ask": 101.0}, "microprice", None),
    ({"bid": 99.0, "ask": 101.0, "bid_depth": 5, "ask_depth": Decimal(5)}, "microprice_alpha_ticks", 0.0),
    ({"mid": 100.0}, "mid", 100.0),
    ({"mid": 100.0}, "spread_bps", None),
    ({"trades": [{"price": 99.0, "size": 1.0}]}, "staleness_ms", None),
    ({"bid": 99.0, "ask": 101.0, "ts_ms": NOW_MS - 250}, "staleness_ms", 250.0),
    ({"bid": 99.0, "ask": 101.0, "received_ms": NOW_MS - 250}, "staleness_ms", 250.0),
    ({"bid": 99.0, "ask": 101.0, "ts_ms": NOW_MS - 250, "received_ms": NOW_MS}, "staleness_ms", 250.0),
    ({}, "mid", None),
]


@pytest.mark.parametrize(("event", "name", "value"), CASES)
def test_a_feature_is_what_the_hand_computes_or_absent(event, name, value):
    features = build_features(event=event, mid_history=[], now_ms=NOW_MS, instrument=DOLLAR)
    if value is None:
        assert name not in features
    else:
        assert features[name] == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(("mids", "known"), [([], 0), ([1.0], 0), ([1.0, 1.1], 1), ([1.0, 1.1, 1.2], 2)])
def test_too_little_history_is_absent(mids, known):
    features = build_features(event=BOOK, mid_history=mids, now_ms=NOW_MS)
    assert ("realized_vol_5m" in features) == (known >= 1)
    assert ("sigma" in features) == (known >= 2)
    assert "sigma_spike_z" not in features


def test_sigma_spike_needs_sixty_sigmas_that_differ():
    """The first sigma comes with the third mid, so 62 mids give 60 of them."""
    mids = [0.5 + 0.01 * math.sin(i * i) for i in range(62)]
    assert "sigma_spike_z" not in build_features(event=BOOK, mid_history=mids[:61], now_ms=NOW_MS)
    assert "sigma_spike_z" in build_features(event=BOOK, mid_history=mids, now_ms=NOW_MS)
    assert "sigma_spike_z" not in build_features(event=BOOK, mid_history=[0.5] * 300, now_ms=NOW_MS)


def test_only_the_samples_that_a_window_sees_count():
    tail = [0.5 + 0.01 * math.sin(i) for i in range(400)]
    short, long = (
        build_features(event=BOOK, mid_history=m, now_ms=NOW_MS) for m in (tail, [0.9, 0.1] * 999 + tail)
    )
    assert short == long


def test_a_mid_that_has_no_logarithm_gives_no_change():
    """A price at or below 0 is allowed by some instruments; its changes are unknown, not invented."""
    anywhere = Instrument(price_min=-math.inf)
    features = build_features(
        event={"bid": -1.0, "ask": 1.0}, mid_history=[1.0, -1.0, 0.0, 2.0], now_ms=0, instrument=anywhere
    )
    assert features["mid"] == 0.0
    assert not {"sigma", "realized_vol_5m", "spread_bps"} & set(features)


@pytest.mark.parametrize("mids", [(0.49, 0.5, 0.51), deque([0.49, 0.5, 0.51]), np.array([0.49, 0.5, 0.51])])
def test_any_sequence_of_numbers_is_a_history(mids):
    assert build_features(event=BOOK, mid_history=mids, now_ms=NOW_MS) == build_features(
        event=BOOK, mid_history=[0.49, 0.5, 0.51], now_ms=NOW_MS
    )


BAD = [
    ({"event": None}, "event is a NoneType: give a dict"),
    ({"event": [0.49, 0.51]}, "event is a list: give a dict"),
    ({"event": {"bid": "0.49", "ask": 0.51}}, "event['bid'] is a str: "),
    ({"event": {"bid": math.nan, "ask": 0.51}}, "event['bid'] is a float: "),
    ({"event": {"bid": True, "ask": 0.51}}, "event['bid'] is a bool: "),
    ({"event": {**BOOK, "ask_depth": -1}}, "event['ask_depth'] is a int: "),
    ({"event": {**BOOK, "ts_ms": "now"}}, "event['ts_ms'] is a str: "),
    ({"event": {"bids": [(0.5, 1.0), (0.6, 1.0)]}}, "event['bids'] is a list: "),
    ({"event": {"deltas": [("buy", 0.5, 1.0)]}}, "event carries changes of a book alone: "),
    ({"event": {"bid": 0.52, "ask": 0.51}}, "event has bid 0.52, ask 0.51"),
    ({"event": {"bid": 0.51, "ask": 0.51}}, "event has bid 0.51, ask 0.51"),
    ({"event": {"bid": -0.1, "ask": 0.51}}, "event has bid -0.1"),
    ({"event": {**BOOK, "mid": 0.6}}, "event has bid 0.49, ask 0.51, mid 0.6"),
    ({"mid_history": None}, "mid_history is a NoneType: give a list"),
    ({"mid_history": 0.5}, "mid_history is a float: give a list"),
    ({"mid_history": "0.5"}, "mid_history is a str: give a list"),
    ({"mid_history": {0.5: 1}}, "mid_history is a dict: give a list"),
    ({"mid_history": np.float64(0.5)}, "mid_history is a float64: give a list"),
    ({"mid_history": [0.5, math.nan]}, "mid_history[1] is a float that is not finite: "),
    ({"mid_history": [0.5, math.inf]}, "mid_history[1] is a float that is not finite: "),
    ({"mid_history": [10**400]}, "mid_history[0] is a int that is not finite: "),
    ({"mid_history": [Decimal("sNaN")]}, "mid_history[0] is a Decimal that is not finite: "),
    ({"mid_history": ["0.5"]}, "mid_history[0] is a str: "),
    ({"mid_history": [None]}, "mid_history[0] is a NoneType: "),
    ({"mid_history": [True]}, "mid_history[0] is a bool: "),
    ({"mid_history": np.zeros((2, 2))}, "mid_history[0] is a list: "),
    ({"now_ms": None}, "now_ms is a NoneType: "),
    ({"now_ms": math.nan}, "now_ms is a float that is not finite: "),
    ({"now_ms": -1}, "now_ms is -1: "),
    ({"now_ms": 10**18}, "now_ms is 1000000000000000000: "),
    ({"instrument": "BTC"}, "instrument is a str: "),
]


@pytest.mark.parametrize(("wrong", "message"), BAD)
def test_bad_input_is_refused_in_one_clear_line(wrong, message):
    arguments = {"event": BOOK, "mid_history": [], "now_ms": NOW_MS} | wrong
    with pytest.raises(ContractError) as error:
        build_features(**arguments)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
FIELDS = st.sampled_from(
    ["bid", "ask", "mid", "depth", "bid_depth", "bids", "asks", "ts_ms", "seq", "trades"]
)


@given(
    st.dictionaries(FIELDS, st.floats(allow_nan=False) | ANYTHING, max_size=4) | ANYTHING,
    st.lists(st.floats(allow_nan=False, allow_infinity=False)) | ANYTHING,
    st.integers(0, 10**12) | ANYTHING,
)
def test_any_input_is_answered_with_finite_numbers_or_refused(event, mids, now_ms):
    try:
        features = build_features(event=event, mid_history=mids, now_ms=now_ms)
    except ContractError:
        return
    assert all(type(value) is float and math.isfinite(value) for value in features.values())
