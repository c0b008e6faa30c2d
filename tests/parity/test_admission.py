"""Admission: a dict through the edge, and its row interpreted and compiled, give the same input and book."""

import copy
import dataclasses
import math
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ami_engine.clock import EventClock
from ami_engine.kernels.admission import MarketFeed, MarketRow, admit_row
from ami_engine.kernels.book import Book, copy_book
from ami_engine.kernels.event_clock import MAX_JUMP_NS, MAX_NS, EventTime
from ami_engine.kernels.inputs import Input, TradeRow
from ami_engine.kernels.quality import DataQuality, count_event
from ami_engine.loop.edge import Edge, reason_of
from decision_schema.decode_event import decode_event
from decision_schema.instruments import Instrument
from decision_schema.kernel import kernel
from decision_schema.reasons import NAMES, OK
from dmc_core.jit import can_compile, compiled
from dmc_core.layout import array_of, read_record

pytestmark = pytest.mark.skipif(not can_compile(), reason="numba is not installed")

NAN, INF = math.nan, math.inf
SKEW_NS = 1_000
SIDES = {1: "buy", -1: "sell", 0: "unknown"}
PARTS = ("bid", "ask", "mid", "bid_size", "ask_size", "bid_depth", "ask_depth", "depth")


@kernel
def admit_at(
    feeds: list[MarketFeed],
    books: list[Book],
    staged: list[Book],
    times: list[EventTime],
    rows: list[MarketRow],
    i: int,
    delay_ns: int,
    wall_ns: int,
    trades: list[TradeRow],
    inputs: list[Input],
    qualities: list[DataQuality],
) -> None:
    """Admit row i, take its book as a step does, and count it."""
    inp = inputs[0]
    admit_row(feeds[0], books[0], staged[0], times[0], rows[i], delay_ns, wall_ns, trades, 1, inp)
    if inp.bad == OK:
        count_event(qualities[0], inp, books[0], trades, inp.now_ns)
        if inp.has_book == 1:
            copy_book(staged[0], books[0])


class Twin:
    """One form of the path of rows: records, or arrays of them."""

    def __init__(self, feed: MarketFeed, rows: list[MarketRow], *, fast: bool) -> None:
        parts = [[feed], [Book()], [Book()], [EventTime()], rows, [TradeRow(), TradeRow()], [Input()]]
        parts += [[DataQuality()]]
        self.fast = fast
        self.parts = [array_of(part) for part in parts] if fast else copy.deepcopy(parts)
        self.admit = compiled(admit_at) if fast else admit_at

    def take(self, i: int, delay_ns: int, wall_ns: int) -> None:
        feeds, books, staged, times, rows, trades, inputs, qualities = self.parts
        self.admit(feeds, books, staged, times, rows, i, delay_ns, wall_ns, trades, inputs, qualities)

    def read(self, at: int, record, place: int = 0):
        """Give a copy of a record."""
        if not self.fast:
            return copy.deepcopy(self.parts[at][place])
        read_record(self.parts[at][place], record)
        return record


FEED, BOOK, STAGED, TIME, ROWS, TRADES, INPUT, QUALITY = range(8)


def bits(value):
    """Give a record as bits that can be compared."""
    if dataclasses.is_dataclass(value):
        return {f.name: bits(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, list):
        return [bits(item) for item in value]
    if isinstance(value, float):
        return "nan" if value != value else struct.pack("<d", value)
    return (type(value), value)


def book_bits(book: Book):
    """Give the valid part of a book."""
    n_bids, n_asks = book.n_bids, book.n_asks
    sides = [
        book.bid_prices[:n_bids],
        book.bid_sizes[:n_bids],
        book.ask_prices[:n_asks],
        book.ask_sizes[:n_asks],
    ]
    return bits([book.bid, book.ask, book.mid, book.bid_depth, book.ask_depth, book.depth, *sides])


def dict_of(row: MarketRow) -> dict:
    """Give the dict that a row stands for."""
    raw = {name: getattr(row, name) for name in ("ts_ns", "received_ns", "seq") if getattr(row, name) != -1}
    raw |= {name: value for name in PARTS if (value := getattr(row, name)) == value}
    price, size = row.trade_price, row.trade_size
    if price == price or size == size:
        trade = {"price": price, "size": size, "aggressor_side": SIDES.get(row.trade_side, "neither")}
        raw["trades"] = [{name: value for name, value in trade.items() if value == value}]
    return raw


def check(rows: list[MarketRow], bounds, offset_ns=0, delay_ns=0) -> list[str]:
    """Take rows by all three ways; give the reasons."""
    low, high = bounds
    feed = MarketFeed(price_min=low, price_max=high, offset_ns=offset_ns, max_skew_ns=SKEW_NS)
    plain, fast = Twin(feed, rows, fast=False), Twin(feed, rows, fast=True)
    limits = {"price_min": repr(low)} | ({} if high == INF else {"price_max": repr(high)})
    instrument = Instrument(market_id="M", **{name: float(value) for name, value in limits.items()})
    clock = EventClock(None if delay_ns == 0 else lambda _: delay_ns)
    clock_wall = 1_700_000_000 * 10**9
    edge = Edge(clock, SKEW_NS, lambda _: instrument)
    seen, last = [], Book()
    for i, row in enumerate(rows):
        event = decode_event(dict_of(row), "M", offset_ns)
        if event.bad is None and event.stamp_ns is None and event.has_book and clock._time.carried == 0:
            return seen  # the wall's time: no two readings are the same
        admitted = edge.admit(event)
        for twin in (plain, fast):
            twin.take(i, delay_ns, clock_wall)
        inp = admitted.inp
        for twin in (plain, fast):
            own = twin.read(INPUT, Input())
            expected = dataclasses.replace(inp, trade_at=own.trade_at)
            assert bits(own) == bits(expected), (i, row)
            assert bits(twin.read(TIME, EventTime())) == bits(clock._time)
            if inp.bad == OK and inp.has_book == 1:
                assert book_bits(twin.read(BOOK, Book())) == book_bits(admitted.book)
            if inp.n_trades == 1:
                assert bits(twin.read(TRADES, TradeRow(), 1)) == bits(admitted.trades[0])
        for at, record in ((FEED, feed), (BOOK, last), (STAGED, last), (QUALITY, DataQuality())):
            assert bits(plain.read(at, None)) == bits(fast.read(at, copy.deepcopy(record)))
        reason = "" if admitted.event.bad is None else admitted.event.bad.reason
        if reason:
            assert reason == reason_of(inp.bad, inp.bad_field)
        seen.append(reason)
    market = edge.markets.get("M")
    if market is not None:
        own = plain.read(FEED, None)
        assert bits(own.quotes) == bits(market.builder.quotes)
        assert bits(own.channels) == bits(market.channels)
        assert own.seen == 1
    else:
        assert plain.read(FEED, None).seen == 0
    return seen


TICKS = st.integers(94, 106).map(lambda tick: tick / 100)
ODD = st.sampled_from([INF, -INF, -1.0, 0.0, -0.0, 1e308, 5e-324, 50_000.0])
SIZES = st.integers(0, 5).map(float)


def maybe(values, odd=ODD):
    """Mostly absent or usual."""
    return st.one_of(st.just(NAN), values, values, values, st.just(NAN) | odd)


STEPS = st.sampled_from(
    [0, 0, 1, 1, 7, 500, -1, -3, SKEW_NS, SKEW_NS + 2, MAX_JUMP_NS + 1, MAX_NS, "absent", "bad"]
)
SEQS = st.sampled_from(["absent"] * 4 + [1, 1, 1, 0, -1, 5, "bad"])
ROW = st.fixed_dictionaries(
    {
        "ts": STEPS,
        "received": st.just("absent") | STEPS,
        "seq": SEQS,
        **dict.fromkeys(("bid", "ask"), maybe(TICKS)),
        "mid": st.just(NAN) | maybe(TICKS),
        **dict.fromkeys(("bid_size", "ask_size"), maybe(SIZES)),
        **dict.fromkeys(("bid_depth", "ask_depth", "depth"), st.just(NAN) | maybe(SIZES)),
        "trade_price": st.just(NAN) | maybe(TICKS),
        "trade_size": st.just(NAN) | maybe(SIZES),
        "trade_side": st.sampled_from([1, -1, 0, 0, 3]),
    }
)


def rows_of(drawn: list[dict]) -> list[MarketRow]:
    """Turn steps of stamps and numbers into rows."""
    now, number, rows = 10**18, 0, []
    for parts in drawn:
        parts, stamps = dict(parts), {}
        for name, field in (("ts", "ts_ns"), ("received", "received_ns")):
            step = parts.pop(name)
            if step == "bad":
                stamps[field] = -7
            elif step != "absent":
                stamps[field] = max(0, min(now + step, MAX_NS))
                now = stamps[field] if abs(step) < SKEW_NS else now
        step = parts.pop("seq")
        if step == "bad":
            stamps["seq"] = -2
        elif step != "absent":
            number = max(0, number + step)
            stamps["seq"] = number
        rows.append(MarketRow(**stamps, **parts))
    return rows


@settings(max_examples=400, deadline=None)
@given(
    st.lists(ROW, min_size=1, max_size=12),
    st.sampled_from([(0.0, INF), (0.0, 1.02), (-1.0, 200.0)]),
    st.sampled_from([0, 0, 0, 5, -5, 10**18, -2 * 10**18]),
    st.sampled_from([0, 0, 3, 2_000]),
)
def test_a_dict_and_its_row_are_admitted_alike(drawn, bounds, offset_ns, delay_ns):
    check(rows_of(drawn), bounds, offset_ns, delay_ns)


def test_each_reason_that_a_row_can_have_is_met():
    base = MarketRow(ts_ns=10**18, seq=5, bid=0.99, ask=1.01)

    def row(**parts):
        return dataclasses.replace(base, **{"seq": -1, **parts})

    reasons = check(
        [
            row(ask=-1.0, ts_ns=-7),
            base,
            row(seq=5),
            row(seq=4),
            row(ts_ns=10**18 - 1),
            row(ts_ns=10**18, received_ns=10**18 - 1),
            row(received_ns=10**18, ts_ns=10**18 + SKEW_NS + 1),
            row(bid=INF),
            row(ask=-1.0),
            row(mid=INF),
            row(mid=2.0),
            row(bid_size=-1.0),
            row(trade_price=1.0),
            row(trade_price=1.0, trade_size=0.0),
            row(trade_price=-1.0, trade_size=2.0, trade_side=1),
            row(bid=1.02),
            row(bid=1.01),
            row(bid=NAN, ask=500.0, mid=300.0),
            row(bid=400.0, ask=500.0),
        ],
        (0.0, INF),
    )
    assert reasons == [
        "invalid_input:ts_ns",
        "",
        "duplicate_seq",
        "out_of_order",
        "out_of_order",
        "out_of_order",
        "future_event",
        "invalid_input:bid",
        "invalid_input:ask",
        "invalid_input:mid",
        "invalid_input:mid",
        "invalid_input:bid_size",
        "invalid_input:trades",
        "invalid_input:trades",
        "invalid_input:trades",
        "crossed_book",
        "locked_book",
        "price_jump",
        "",
    ]


def test_a_market_without_room_is_no_market():
    feed, time, inp = MarketFeed(cell=-1), EventTime(last_ns=3), Input()
    row = MarketRow(ts_ns=5, bid=0.4, ask=0.5)
    admit_row(feed, Book(), Book(), time, row, 0, 0, [TradeRow()], 0, inp)
    assert (NAMES[inp.bad], inp.cell, inp.is_read, inp.now_ns) == ("capacity:markets", -1, 0, 3)


def test_a_book_before_any_time_takes_the_walls():
    feed, book, staged, time, inp = MarketFeed(max_skew_ns=1), Book(), Book(), EventTime(), Input()
    for row, now_ns in (
        (MarketRow(trade_price=0.5, trade_size=1.0), 0),
        (MarketRow(bid=0.4, ask=0.5), 77),
        (MarketRow(ts_ns=80, bid=0.4), 80),
        (MarketRow(bid=0.45), 80),
    ):
        admit_row(feed, book, staged, time, row, 0, 77, [TradeRow()], 0, inp)
        assert (inp.bad, inp.now_ns) == (OK, now_ns)
