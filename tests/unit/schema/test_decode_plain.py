"""Plain quotes and trades are decoded by a short way, to the same events as by the long one."""

import enum
import math
from types import MappingProxyType

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
    optional={"aggressor_side": st.sampled_from(["buy", "sell"])},
)
TRADES = (
    st.lists(PRINTS, max_size=2)
    | st.tuples(PRINTS)
    | st.lists(GOOD_PRINTS, min_size=1, max_size=1)
    | st.just(None)
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
            "bids": st.just([(0.5, 1.0)]),
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


@settings(max_examples=1_500, deadline=None)
@given(RAW | QUOTE, st.sampled_from(["", "D"]), st.sampled_from([0, 0, 5]))
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
    ],
)
def test_plain_events_go_the_short_way(raw):
    short = _plain_event(raw, "M")
    assert short is not None
    assert msgspec.json.encode(short) == msgspec.json.encode(decode_event(MappingProxyType(raw), "M"))


def test_a_key_that_fails_when_it_is_compared_loses_nothing():
    class Key:
        def __hash__(self):
            return hash("bid")

        def __eq__(self, other):
            raise RuntimeError("no")

    assert decode_event({Key(): 0.5}, "M").bad.reason == "invalid_input:event"
