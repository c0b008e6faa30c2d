"""Plain quotes and trades are decoded by a short way, to the same events as by the long one."""

import enum
import math
from collections import deque
from types import MappingProxyType
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decision_schema.decode_event import _plain_event, decode_event

NAN, INF = math.nan, math.inf


class Text(str):
    """A text of a type of its own."""


class Number(float):
    """A number of a type of its own."""


class Pair(NamedTuple):
    """A level of a type of its own."""

    price: float
    size: float


class Name(enum.StrEnum):
    """A member is a text, too."""

    BID = "bid"


NUMBERS = st.sampled_from(
    [0.5, 1.0, 0.0, -0.0, -1.0, 1e308, NAN, INF, -INF, 1, 0, True, None, "0.5", Number(0.5)]
)
WHOLES = st.sampled_from(
    [0, 1, 7, 10**18, 2**63 - 1, 2**63, 2**63 // 10**6, 10**30, -1, True, None, 1.0, 1.5, "7", NAN]
)
TEXTS = st.sampled_from(["M", "", "trades", "é", "\ud800", "m" * 128, "m" * 129, Text("M"), None, 7])
SIDES = st.sampled_from(["buy", "sell", "BUY", "bid", "", "unknown", None, 1, Text("buy")])
PRINTS = st.fixed_dictionaries(
    {},
    optional={
        "price": NUMBERS,
        "size": NUMBERS,
        "aggressor_side": SIDES,
        "ts_ns": WHOLES,
        "ts": WHOLES,
        "id": st.just(7),
    },
)
GOOD_PRINTS = st.fixed_dictionaries(
    {"price": st.just(0.5), "size": st.just(2.0)},
    optional={"aggressor_side": st.sampled_from(["buy", "sell"]), "ts_ns": WHOLES, "ts": st.just(7)},
)
TRADES = st.lists(PRINTS, max_size=2) | st.tuples(PRINTS) | st.lists(GOOD_PRINTS, max_size=3) | st.just(None)
PRICES = st.sampled_from([0.5, 0.49, 0.25, 0.25, 1e308, -1e308, 5e-324, 0.0, 1, INF, -INF, NAN, True, "0.5"])
LEVEL = (
    st.tuples(PRICES, NUMBERS)
    | st.tuples(PRICES, NUMBERS).map(list)
    | st.sampled_from(
        [None, "ab", (), (0.5,), (0.5, 1.0, 2.0), {0.25: 1, 0.5: 2}, {0.25, 0.5}, Pair(0.5, 1.0)]
    )
)
GOOD_LEVELS = st.lists(
    st.tuples(st.sampled_from([0.1, 0.25, 0.49, 0.5, 7.0]), st.sampled_from([1.0, 0.0, -0.0, 2.5])),
    unique_by=lambda level: level[0],
)
LADDER = GOOD_LEVELS.map(sorted) | GOOD_LEVELS.map(lambda levels: sorted(levels, reverse=True))
LEVELS = (
    LADDER
    | LADDER.map(tuple)
    | LADDER.map(lambda levels: [list(level) for level in levels])
    | st.tuples(LADDER, LEVEL).map(lambda both: [*both[0], both[1]])
    | st.lists(LEVEL, max_size=3)
    | st.sampled_from([None, "", "ab", 7, {}, {0.5: 1.0}, {(0.5, 1.0)}, deque([(0.5, 1.0)]), b"ab"])
)
RAW = st.dictionaries(
    st.sampled_from(
        ["bid", "ask", "mid", "bid_size", "ask_size", "bid_depth", "ask_depth", "depth", Name.BID]
    ),
    NUMBERS,
).flatmap(
    lambda numbers: st.fixed_dictionaries(
        {},
        optional={
            **dict.fromkeys(
                ("ts_ns", "ts_ms", "received_ns", "received_ms", "seq", "prev_seq", "book_seq"), WHOLES
            ),
            **dict.fromkeys(
                ("market_id", "channel", "kind", "status", "defect", "instrument", "note"), TEXTS
            ),
            "trades": TRADES,
            "bids": LEVELS,
            "asks": LEVELS,
            7: st.just(7),
        },
    ).map(lambda others: {**numbers, **others})
)
QUOTE = st.fixed_dictionaries(
    {"bid": st.just(0.49), "ask": st.just(0.51)},
    optional={
        "ts_ms": WHOLES,
        "received_ns": WHOLES,
        "seq": WHOLES,
        "bid_size": NUMBERS,
        "market_id": TEXTS,
        "trades": TRADES,
    },
)


def parts(event):
    """Give all of an event, and what it is made of."""
    shown = {name: getattr(event, name) for name in event.__struct_fields__ if name != "bad"}
    bad = None if event.bad is None else event.bad.reason
    return repr(shown), bad, [type(value) for value in shown.values()]


SNAPSHOT = st.fixed_dictionaries({"bids": LEVELS, "asks": LEVELS, "trades": TRADES, "ts_ns": st.just(5)})


@settings(max_examples=2_500, deadline=None)
@given(RAW | QUOTE | SNAPSHOT, st.sampled_from(["", "D"]), st.sampled_from([0, 0, 5]))
def test_the_short_way_gives_what_the_long_one_gives(raw, market_id, offset_ns):
    kept = repr(raw)
    assert parts(decode_event(raw, market_id, offset_ns)) == parts(
        decode_event(MappingProxyType(raw), market_id, offset_ns)
    )
    assert repr(raw) == kept


@pytest.mark.parametrize(
    "raw",
    [
        {"bid": 0.49, "ask": 0.51},
        {"ts_ns": 5, "received_ms": 7, "market_id": "N", "bid": 0.49, "bid_size": 0.0, "seq": 1},
        {"ts_ms": 5, "trades": [{"price": 0.5, "size": 2.0, "aggressor_side": "sell"}]},
        {"ts_ms": 5, "trades": [{"price": 0.5, "size": 2.0}]},
        {"ts_ns": 5, "trades": [{"price": 0.5, "size": 2.0, "aggressor_side": "buy", "ts_ns": 4}]},
        {"ts_ms": 5, "trades": [{"price": 0.5, "size": 2.0}, {"price": 0.4, "size": 1.0}]},
        {"bids": [(0.5, 1.0), (0.25, 0.0)], "asks": [(0.51, 2.0), (0.52, 3.0)], "trades": []},
        {"bids": (), "asks": [[0.51, 2.0], [0.52, 3.0]], "bid": None, "depth": None},
    ],
)
def test_plain_events_go_the_short_way(raw):
    short = _plain_event(raw, "M")
    assert short is not None
    assert msgspec.json.encode(short) == msgspec.json.encode(decode_event(MappingProxyType(raw), "M"))


@pytest.mark.parametrize(
    ("field", "levels"),
    [
        ("bids", [(0.5, 1.0), (0.5, 1.0)]),
        ("asks", [(0.52, 1.0), (0.51, 1.0)]),
        ("asks", [(0.5, 1.0), (INF, 1.0)]),
        ("bids", [(-INF, 1.0)]),
        ("bids", [(NAN, 1.0)]),
        ("bids", [(0.5, -1.0)]),
        ("bids", [(0.5, INF)]),
        ("bids", [{0.25: 1.0, 0.5: 2.0}]),
        ("bids", [(0.5, 1)]),
        ("bids", [(1.0, 1.0)] * 5_001),
    ],
)
def test_what_is_no_plain_level_goes_the_long_way(field, levels):
    assert _plain_event({field: levels}, "M") is None


def test_a_key_that_fails_when_it_is_compared_loses_nothing():
    class Key:
        def __hash__(self):
            return hash("bid")

        def __eq__(self, other):
            raise RuntimeError("no")

    assert decode_event({Key(): 0.5}, "M").bad.reason == "invalid_input:event"
