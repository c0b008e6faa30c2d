"""The edge: what a step is told of an event in numbers."""

import math

from ami_engine.clock import EventClock, WallClock
from ami_engine.kernels.channels import MAX_CHANNELS
from ami_engine.kernels.inputs import FIELDS, HALTED, OPEN, RECONNECTED, TIMER, Input
from ami_engine.kernels.records import MAX_MARKETS
from ami_engine.loop.edge import Edge
from decision_schema.decode_event import decode_event
from decision_schema.events import Bad, Event
from decision_schema.instruments import Instrument
from decision_schema.reasons import NAMES

SKEW_NS = 1_000


def new_edge(clock=None):
    return Edge(
        clock or EventClock(), SKEW_NS, lambda name: Instrument(market_id=name, price_min=0.0, price_max=1.0)
    )


def admit(edge, **raw):
    return edge.admit(decode_event(raw, "M"))


def test_a_quote_between_other_events_tells_nothing_of_theirs():
    edge, alone = new_edge(), new_edge()
    others = [
        {"bids": [[0.4, 1.0]], "asks": [[0.6, 1.0]], "ts_ns": 1},
        {"trades": [{"price": 0.5, "size": 1.0}], "ts_ns": 1},
        {"status": "halt", "ts_ns": 1},
        {"funding": 0.1, "ts_ns": 1},
        {"settlement": 0.5, "ts_ns": 1},
        {"bid": math.inf, "ts_ns": 1},
        {"bid": 2.0, "ts_ns": 1},
    ]
    for other in others:
        edge.admit(decode_event(other, "N"))
        found, expected = admit(edge, ts_ns=1, bid=0.49, ask=0.51), admit(alone, ts_ns=1, bid=0.49, ask=0.51)
        found.inp.cell, expected.inp.cell = 0, 0
        assert repr(found.inp) == repr(expected.inp)
        assert (found.trades, found.departures) == ([], [])


def test_levels_orders_and_what_they_lost():
    edge = new_edge()
    first = admit(edge, bids=[[0.4, 1.0]], asks=[[0.6, 1.0]], ts_ns=1)
    inp = first.inp
    assert (inp.is_snapshot, inp.is_change, inp.is_quote, inp.shows_bids, inp.shows_asks) == (1, 0, 0, 1, 1)
    assert (first.book.bid, first.book.ask, first.is_new) == (0.4, 0.6, True)
    order = {"order_id": 7, "side": "buy", "price": 0.45}
    second = admit(edge, order_messages=[{"op": "add", "size": 3.0, **order}], ts_ns=2)
    inp = second.inp
    assert (inp.is_snapshot, inp.is_change, inp.has_order_messages, inp.by_order) == (0, 1, 1, 1)
    assert (inp.public_orders, inp.n_departures, second.book.bid, second.is_new) == (1, 0, 0.45, False)
    third = admit(edge, order_messages=[{"op": "execute", "size": 1.0, **order}], ts_ns=3)
    assert (third.inp.n_departures, third.departures[0].size, third.departures[0].executed) == (1, 1.0, True)
    late = admit(edge, order_messages=[{"op": "execute", "size": 1.0, **order}], ts_ns=2)
    assert (NAMES[late.inp.bad], late.inp.is_read, late.inp.n_departures) == ("out_of_order", 0, 0)
    quote = admit(edge, bid=0.46, ts_ns=3)
    assert (quote.inp.by_order, quote.inp.public_orders, quote.inp.n_departures) == (1, 1, 0)


def test_one_side_of_a_book_is_shown_alone():
    edge = new_edge()
    for raw, shows in (
        ({"bid_depth": 5.0}, (1, 0)),
        ({"asks": []}, (0, 1)),
        ({"mid": 0.5}, (0, 0)),
        ({"deltas": []}, (1, 1)),
    ):
        inp = admit(edge, ts_ns=1, **raw).inp
        assert (inp.shows_bids, inp.shows_asks) == shows
        assert inp.has_book == 1


def test_an_event_read_but_unusable_keeps_the_book_and_says_so():
    edge = new_edge()
    admit(edge, ts_ns=1, bid=0.49, ask=0.51)
    crossed = admit(edge, ts_ns=5, bid=0.52)
    assert (NAMES[crossed.inp.bad], crossed.inp.is_read, crossed.inp.now_ns) == ("crossed_book", 1, 5)
    assert crossed.event.bad == Bad("crossed_book")
    assert edge.markets["M"].book.bid == 0.49
    mended = admit(edge, ts_ns=6, ask=0.53)  # merged over what is held
    assert (mended.inp.bad, mended.book.bid, mended.book.ask) == (0, 0.52, 0.53)
    beyond = admit(edge, ts_ns=7, ask=0.54, trades=[{"price": 3.0, "size": 1.0}])
    assert (NAMES[beyond.inp.bad], beyond.inp.is_read, edge.markets["M"].book.ask) == (
        "invalid_input:trades",
        1,
        0.53,
    )
    ended = admit(edge, ts_ns=8, settlement=2.0)
    assert (NAMES[ended.inp.bad], ended.inp.is_read) == ("invalid_input:settlement", 1)


def test_what_cannot_be_read_has_a_code_a_field_and_no_part():
    edge = new_edge()
    unknown = admit(edge, ts_ns=9, bid="0.5", ask=0.51).inp
    assert (unknown.cell, unknown.now_ns, unknown.ts_ns, unknown.has_book) == (-1, 0, 9, 0)
    assert (NAMES[unknown.bad], FIELDS[unknown.bad_field]) == ("invalid_input:bid", "bid")
    admit(edge, ts_ns=1, bid=0.49, ask=0.51)
    for raw, name, field in (
        ({"depth": -1.0}, "invalid_input", "depth"),
        ({"bids": [[0.4, 1.0]] * 9_999}, "oversize_event", "bids"),
        ({"instrument": {}}, "ok", ""),
        ({"instrument": {"tick": 1}}, "unsupported_input", "instrument"),
        ({"defect": "torn line"}, "defect", ""),
    ):
        inp = admit(edge, ts_ns=9, **raw).inp
        assert (inp.cell, NAMES[inp.bad], inp.is_read) == (0, name, int(name == "ok"))
        assert (FIELDS[inp.bad_field] if inp.bad_field >= 0 else "") == field


def test_words_of_the_session():
    edge = new_edge()
    for word, status in (("Halted", HALTED), ("RECONNECTED", RECONNECTED), ("open", OPEN)):
        assert admit(edge, ts_ns=1, status=word).inp.status == status
    assert admit(edge, ts_ns=1).inp.status == Input().status


def test_there_is_room_for_so_many_markets_and_channels():
    edge = new_edge()
    for i in range(MAX_MARKETS):
        assert edge.admit(Event(market_id=str(i), ts_ns=1, bid=0.5)).inp.cell == i
    beyond = edge.admit(Event(market_id="one more", ts_ns=1, bid=0.5))
    assert (NAMES[beyond.inp.bad], beyond.inp.cell, beyond.is_new) == ("capacity:markets", -1, False)
    for i in range(MAX_CHANNELS - 1):
        assert edge.admit(Event(market_id="7", channel=str(i), ts_ns=1)).inp.bad == 0
    beyond = edge.admit(Event(market_id="7", channel="one more", ts_ns=1))
    assert NAMES[beyond.inp.bad] == "capacity:channels"


def test_a_timer_leaves_what_was_admitted_valid():
    edge = new_edge()
    admitted = admit(edge, ts_ns=5, bid=0.49, ask=0.51)
    timer = edge.timer("M", 4)
    assert (timer.inp.kind, timer.inp.cell, timer.inp.now_ns, timer.event.ts_ns) == (TIMER, 0, 4, 4)
    assert (admitted.inp.now_ns, admitted.event.bid, admitted.book.bid) == (5, 0.49, 0.49)


def test_the_wall_clock_stamps_what_is_good_and_what_is_not():
    edge = new_edge(WallClock())
    first = admit(edge, bid=0.49, ask=0.51).inp.now_ns
    second = admit(edge, bid="no").inp.now_ns
    assert 1_600_000_000 * 10**9 < first <= second
