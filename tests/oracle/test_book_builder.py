"""The book builder against a slow model, at every prefix; the full book and the orders against dicts."""

import math
import random
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ami_engine.kernels import depth as depth_kernel
from ami_engine.kernels import public_orders as orders_kernel
from ami_engine.kernels.book import Book, copy_book
from ami_engine.kernels.book_builder import BookBuilder, build
from ami_engine.kernels.depth import (
    ASKS,
    BIDS,
    DepthSide,
    change_level,
    load_levels,
    set_level,
    size_at,
    write_below,
)
from ami_engine.kernels.public_orders import (
    PublicOrders,
    add_order,
    clear_orders,
    find_order,
    remove_order,
)
from decision_schema.decode_event import decode_event
from decision_schema.reasons import NAMES, OK
from tests.oracle.book_oracle import SHOWN, BookOracle, View, exact

NAN = math.nan
UNBOUNDED = (0.0, math.inf)


class Market:
    """A market as the loop keeps it: staged is copied to the book where it can be used."""

    def __init__(self, price_min: float = 0.0, price_max: float = math.inf) -> None:
        self.builder, self.book, self.staged = BookBuilder(), Book(), Book()
        self.bounds = (price_min, price_max)

    def happen(self, event: dict) -> str:
        decoded = decode_event(event)
        assert decoded.bad is None, decoded.bad
        code = build(self.builder, self.book, decoded, self.staged, *self.bounds)
        if code == OK:
            self.accept()
        return NAMES[code]

    def accept(self) -> None:
        copy_book(self.staged, self.book)


class SwappingMarket(Market):
    """A market as the paper broker keeps it: staged and book change places."""

    def accept(self) -> None:
        self.book, self.staged = self.staged, self.book


def is_same(number: float, expected: Fraction | float | None) -> bool:
    if expected is None:
        return math.isnan(number)
    return math.isclose(number, expected, rel_tol=1e-11, abs_tol=0.0)


def assert_same(book: Book, view: View) -> None:
    """Prices are equal, sizes are equal but for the rounding of their sums."""
    for side, best, count, prices, sizes, depth in (
        ("buy", book.bid, book.n_bids, book.bid_prices, book.bid_sizes, book.bid_depth),
        ("sell", book.ask, book.n_asks, book.ask_prices, book.ask_sizes, book.ask_depth),
    ):
        levels = view.levels[side]
        assert prices[:count] == [price for price, _ in levels]
        assert all(is_same(sizes[i], levels[i][1]) for i in range(count)), (sizes[:count], levels)
        assert best == prices[0] if count else math.isnan(best)
        assert is_same(depth, view.depths[side])
    assert book.mid == view.mid if view.mid is not None else math.isnan(book.mid)
    assert is_same(book.depth, view.depth)


# ---------------------------------------------------------------- streams

TICKS = st.integers(94, 106)
UNITS = (8, 10, 1_000)  # eighths add up exactly; tenths and thousandths do not
SIZES = st.integers(0, 40)
LADDERS = st.tuples(
    st.integers(0, 4),
    st.lists(SIZES, max_size=6),
    st.sampled_from([0, 0, 0, 25]),
    st.sampled_from([1, 1, 1, 1, 1_000]),
)
LEVEL_NUMBERS = st.sampled_from(["none", "now", "now", "now", "ahead", "behind", "anew", "own", "own behind"])
CHANGE_NUMBERS = st.sampled_from(
    ["next"] * 6 + ["none", "bare", "lost", "late", "again", "overlap", "of book", "other"]
)
QUOTE_NUMBERS = st.sampled_from(["none", "none", "now", "ahead", "far ahead", "behind"])
SNAPSHOTS = st.tuples(st.just("snapshot"), LEVEL_NUMBERS, LADDERS, LADDERS)
ONE_SIDE = st.tuples(st.just("one side"), st.sampled_from(["bids", "asks"]), LADDERS)
DELTAS = st.tuples(
    st.just("deltas"),
    CHANGE_NUMBERS,
    st.lists(st.tuples(st.sampled_from(["buy", "sell"]), TICKS, SIZES | st.just(0)), max_size=5),
)
QUOTES = st.tuples(
    st.just("quote"),
    QUOTE_NUMBERS,
    st.dictionaries(st.sampled_from(["bid", "ask"]), TICKS | st.none(), max_size=2),
    st.dictionaries(st.sampled_from(["bid_size", "ask_size"]), SIZES | st.none(), min_size=1, max_size=2),
)
SCALARS = st.tuples(
    st.just("scalars"),
    st.dictionaries(st.sampled_from(["bid", "ask", "mid"]), TICKS | st.none(), max_size=3),
    st.dictionaries(st.sampled_from(["bid_depth", "ask_depth", "depth"]), SIZES | st.none(), max_size=2),
)
ORDERS = st.tuples(
    st.just("orders"),
    CHANGE_NUMBERS,
    st.lists(
        st.tuples(
            st.sampled_from(["add"] * 4 + ["reduce", "execute", "delete", "modify", "clear"]),
            st.integers(1, 7),
            st.sampled_from(["buy", "sell", None]),
            TICKS | st.none(),
            SIZES | st.none(),
        ),
        min_size=1,
        max_size=3,
    ),
)
BOTH = st.tuples(st.just("both"), DELTAS, QUOTES)
LEVEL_FEED = st.lists(SNAPSHOTS | DELTAS | DELTAS | DELTAS | QUOTES | QUOTES, min_size=8, max_size=40)
ORDER_FEED = st.lists(
    SNAPSHOTS | ORDERS | ORDERS | ORDERS | ORDERS | DELTAS | ONE_SIDE, min_size=8, max_size=40
)
ANY_FEED = st.lists(
    SNAPSHOTS | ONE_SIDE | DELTAS | DELTAS | QUOTES | QUOTES | SCALARS | ORDERS | ORDERS | BOTH,
    min_size=8,
    max_size=40,
)


class Writer:
    """Turns drawn words into the dicts of a venue that numbers its book."""

    def __init__(self, unit: int) -> None:
        self.unit = unit
        self.number = 10

    def write(self, drawn: tuple) -> dict:
        return getattr(self, "_" + drawn[0].replace(" ", "_"))(*drawn[1:])

    def _size(self, count: int | None) -> float | None:
        return None if count is None else count / self.unit

    def _ladder(self, best: int, away: int, ladder: tuple) -> list[tuple[float, float]]:
        inside, sizes, more, scale = ladder
        counts = [*sizes, *[3] * more]
        return [
            ((best + away * (i + inside)) * scale / 100, count / self.unit)
            for i, count in enumerate(counts)
            if best + away * (i + inside) > 0
        ]

    def _snapshot(self, number: str, bids: tuple, asks: tuple) -> dict:
        event = {"bids": self._ladder(102, -1, bids), "asks": self._ladder(99, 1, asks)}
        if number == "anew":
            self.number = 1
        if number.startswith("own"):  # numbered as the changes are, on their channel
            return event | {"channel": "changes", "seq": max(0, self.number - 2 * (number == "own behind"))}
        move = {"none": None, "now": 0, "anew": 0, "ahead": 3, "behind": -2}[number]
        return event if move is None else event | {"book_seq": max(0, self.number + move)}

    def _one_side(self, name: str, ladder: tuple) -> dict:
        return {name: self._ladder(*((101, -1) if name == "bids" else (100, 1)), ladder)}

    def _change_numbers(self, number: str) -> dict:
        if number == "other":
            return {"channel": "other changes", "seq": self.number + 1, "prev_seq": self.number + 1}
        return {"channel": "changes"} | self._own_numbers(number)

    def _own_numbers(self, number: str) -> dict:
        before = self.number
        if number == "none":
            return {}
        if number == "late":
            return {"seq": max(0, before - 2), "prev_seq": max(0, before - 3)}
        if number == "again":
            return {"seq": before, "prev_seq": max(0, before - 1)}
        self.number += 2 + (number == "lost")
        if number == "bare":
            return {"seq": self.number}
        if number == "overlap":
            return {"seq": self.number, "prev_seq": max(0, before - 1)}
        event = {"seq": self.number, "prev_seq": before + (number == "lost")}
        return event | {"book_seq": self.number} if number == "of book" else event

    def _deltas(self, number: str, deltas: list) -> dict:
        changes = [(side, tick / 100, count / self.unit) for side, tick, count in deltas]
        return {"deltas": changes} | self._change_numbers(number)

    def _quote(self, number: str, prices: dict, sizes: dict) -> dict:
        event = {name: None if tick is None else tick / 100 for name, tick in prices.items()}
        event |= {name: self._size(count) for name, count in sizes.items()}
        move = {"none": None, "now": 0, "ahead": 1, "far ahead": 4, "behind": -1}[number]
        return event if move is None else event | {"book_seq": max(0, self.number + move)}

    def _scalars(self, prices: dict, sizes: dict) -> dict:
        event = {name: None if tick is None else tick / 100 for name, tick in prices.items()}
        return event | {name: self._size(count) for name, count in sizes.items()}

    def _orders(self, number: str, messages: list) -> dict:
        written = []
        for op, name, side, tick, count in messages:
            if op == "add":
                side, tick = side or "buy", tick or 100
            if op in ("add", "reduce", "execute"):
                count = count or 0
            message = {"side": side, "price": None if tick is None else tick / 100, "size": self._size(count)}
            message = {key: value for key, value in message.items() if value is not None}
            written.append({"op": op} if op == "clear" else {"op": op, "order_id": name, **message})
        return {"order_messages": written} | self._change_numbers(number)

    def _both(self, deltas: tuple, quote: tuple) -> dict:
        written = self.write(deltas)
        return self.write(quote) | written


def replay(drawn: list[tuple], unit: int, bounds: tuple[float, float]) -> None:
    """Hand the same events to the builder, in both ways it is used, and to the model."""
    writer, oracle = Writer(unit), BookOracle(*bounds)
    market, swapping = Market(*bounds), SwappingMarket(*bounds)
    for words in drawn:
        event = writer.write(words)
        if not set(event) - {"channel", "book_seq"}:
            continue
        expected = oracle.happen(event)
        assert (market.happen(event), swapping.happen(event)) == (expected, expected), event
        assert_same(market.book, oracle.used)
        assert_same(swapping.book, oracle.used)
        builder = market.builder
        assert builder.held == int(oracle.kept is not None)
        if oracle.kept is not None:
            assert_same(market.staged, oracle.kept)
        assert (builder.gaps, builder.resyncs) == (oracle.gaps, oracle.resyncs)
        assert builder.late_quotes == oracle.late_quotes
        assert builder.unknown_orders == oracle.unknown_orders
        assert builder.orders.count == len(oracle.orders)


BOUNDS = st.sampled_from([UNBOUNDED, UNBOUNDED, (0.95, 1.04)])


@settings(max_examples=80)
@given(LEVEL_FEED, st.sampled_from(UNITS), BOUNDS)
def test_a_feed_of_levels_and_quotes_equals_the_model_at_every_prefix(drawn, unit, bounds):
    replay(drawn, unit, bounds)


@settings(max_examples=80)
@given(ORDER_FEED, st.sampled_from(UNITS), BOUNDS)
def test_a_feed_of_order_messages_equals_the_model_at_every_prefix(drawn, unit, bounds):
    replay(drawn, unit, bounds)


@settings(max_examples=120)
@given(ANY_FEED, st.sampled_from(UNITS), BOUNDS)
def test_all_kinds_of_events_mixed_equal_the_model_at_every_prefix(drawn, unit, bounds):
    replay(drawn, unit, bounds)


# ---------------------------------------------------------------- one side of a full book


@pytest.fixture
def small(monkeypatch):
    """Room for six levels and four orders in eight places."""
    monkeypatch.setattr(depth_kernel, "MAX_DEPTH", 6)
    monkeypatch.setattr(orders_kernel, "PLACES", 8)
    monkeypatch.setattr(orders_kernel, "MAX_PUBLIC_ORDERS", 4)


def levels_of(side: DepthSide) -> list[tuple[float, float]]:
    """All levels, best first."""
    count = side.count
    return list(zip(side.prices[:count], side.sizes[:count], strict=True))[::-1]


def best_levels(sizes: dict[float, float], sign: float, most: int) -> list[tuple[float, float]]:
    return sorted(sizes.items(), key=lambda level: -sign * level[0])[:most]


CHANGES = st.lists(
    st.tuples(st.sampled_from(["set", "set", "change", "load"]), st.integers(-9, 9), st.integers(-6, 12)),
    max_size=60,
)


@given(CHANGES, st.sampled_from([BIDS, ASKS]), st.integers(-9, 9))
def test_a_side_with_room_for_six_equals_a_sorted_dict_cut_to_six(changes, sign, top):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(depth_kernel, "MAX_DEPTH", 6)
        side, truth = DepthSide(sign), {}
        for kind, price, amount in changes:
            if kind == "set":
                set_level(side, price, max(0.0, amount))
                truth[price] = max(0.0, amount)
            elif kind == "change":
                change_level(side, price, amount)
                truth[price] = truth.get(price, 0.0) + amount
            else:
                told = [(sign * (price - i), float(amount + i)) for i in range(max(0, amount))]
                load_levels(side, [(p, size if p % 3 else 0.0) for p, size in told])
                truth = {p: size for p, size in told if p % 3}
            truth = dict(best_levels({p: s for p, s in truth.items() if s > 0.0}, sign, 6))
            assert levels_of(side) == best_levels(truth, sign, 6)
            assert [size_at(side, p) for p in range(-9, 10)] == [truth.get(p, 0.0) for p in range(-9, 10)]
        for limit, written in ((NAN, 0), (top, 1), (top, SHOWN - 2), (top, SHOWN)):
            prices, sizes = [NAN] * SHOWN, [NAN] * SHOWN
            below = [
                level
                for level in best_levels(truth, sign, 6)
                if limit != limit or sign * level[0] < sign * limit
            ]
            below = below[: SHOWN - written]
            assert write_below(side, limit, prices, sizes, written) == (
                written + len(below), sum(size for _, size in below),
            )  # fmt: skip
            assert list(zip(prices, sizes, strict=True))[written : written + len(below)] == below


def test_a_full_side_forgets_its_worst_level_and_takes_none_that_is_worse(small):
    bids = DepthSide(BIDS)
    for price in (5.0, 1.0, 3.0, 2.0, 4.0, 6.0):
        set_level(bids, price, price)
    set_level(bids, 0.5, 9.0)
    assert [price for price, _ in levels_of(bids)] == [6.0, 5.0, 4.0, 3.0, 2.0, 1.0]
    set_level(bids, 3.5, 9.0)
    assert [price for price, _ in levels_of(bids)] == [6.0, 5.0, 4.0, 3.5, 3.0, 2.0]
    set_level(bids, 1.0, 0.0)  # forgotten already
    set_level(bids, 3.0, 7.0)
    assert levels_of(bids)[-2:] == [(3.0, 7.0), (2.0, 2.0)]


def test_tenths_that_sum_to_nothing_leave_no_level():
    for sign in (BIDS, ASKS):
        side = DepthSide(sign)
        for change in (
            0.1,
            0.2,
            -0.3,
            0.7,
            *[-0.1] * 7,
            1e9,
            0.3,
            -1e9,
            -0.3,
            1_000.0,
            1e-8,
            -1_000.0,
            -1e-8,
        ):
            change_level(side, 0.5, change)
        assert side.count == 0


def test_a_level_told_anew_stands_however_little_is_left_of_what_it_was():
    side = DepthSide(BIDS)
    set_level(side, 0.5, 1e6)
    set_level(side, 0.5, 3e-8)
    change_level(side, 0.5, -1e-8)
    assert side.sizes[0] == pytest.approx(2e-8)


@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(1, 10**11) | st.integers(1, 99)), max_size=40),
    st.randoms(),
)
def test_a_level_stands_as_long_as_an_order_of_it_rests(added, chance):
    """Sizes from 0.00000001 to 1000 at one price, come and gone in any order."""
    side, resting, gone = DepthSide(BIDS), [], list(added)
    while gone or resting:
        if gone and (not resting or chance.random() < 0.6):
            resting.append(gone.pop())
            price, units = resting[-1]
            change_level(side, price, units / 10**8)
        else:
            price, units = resting.pop(chance.randrange(len(resting)))
            change_level(side, price, -units / 10**8)
        assert [p for p, _ in levels_of(side)] == sorted({p for p, _ in resting}, reverse=True)
        for price, size in levels_of(side):
            assert size == pytest.approx(
                sum(u for p, u in resting if p == price) / 10**8, rel=1e-6, abs=1e-11
            )


# ---------------------------------------------------------------- orders of everybody

TABLE = st.lists(
    st.tuples(st.sampled_from(["add", "add", "remove", "clear"]), st.integers(0, 40)), max_size=60
)


@given(TABLE)
def test_a_table_of_eight_places_equals_a_dict_whatever_collides(steps):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(orders_kernel, "PLACES", 8)
        patch.setattr(orders_kernel, "MAX_PUBLIC_ORDERS", 7)
        orders, truth = PublicOrders(), {}
        for op, name in steps:
            if op == "add" and name not in truth:
                assert add_order(orders, name, 1 - 2 * (name % 2), name / 7, name / 3) == (len(truth) < 7)
                if len(truth) < 7:
                    truth[name] = (1 - 2 * (name % 2), name / 7, name / 3)
            elif op == "remove" and name in truth:
                remove_order(orders, find_order(orders, name))
                del truth[name]
            elif op == "clear" and name > 30:
                clear_orders(orders)
                truth = {}
            assert orders.count == len(truth)
            for each in range(41):
                at = find_order(orders, each)
                assert (at >= 0) == (each in truth)
                if at >= 0:
                    assert (orders.sides[at], orders.prices[at], orders.sizes[at]) == truth[each]
                    assert orders.peaks[at] == orders.sizes[at]


def colliding(home: int, count: int) -> list[int]:
    """Numbers of orders that all belong to one place of the table."""
    undo = pow(orders_kernel._MIX, -1, 2**64)
    numbers = ((home << 32 | low) * undo % 2**64 for low in range(10 * count))
    return [number for number in numbers if number < 2**63][:count]


def test_orders_that_collide_over_the_end_of_the_table_are_found_and_removed():
    last = orders_kernel.PLACES - 1
    numbers = [*colliding(last - 1, 40), *colliding(last, 40), *colliding(0, 40), *colliding(2, 40)]
    assert len(set(numbers)) == 160
    chance = random.Random(3)
    chance.shuffle(numbers)
    orders = PublicOrders()
    for number in numbers:
        assert add_order(orders, number, 1, 0.5, number / 2**40)
    left = set(numbers)
    for number in chance.sample(numbers, 160):
        remove_order(orders, find_order(orders, number))
        left.discard(number)
        assert find_order(orders, number) == -1
        assert all(orders.sizes[find_order(orders, each)] == each / 2**40 for each in left)
    assert not any(orders.sides)


def test_a_table_filled_to_its_limit_refuses_one_more_and_finds_all():
    orders = PublicOrders()
    most = orders_kernel.MAX_PUBLIC_ORDERS
    assert all(add_order(orders, number, 1, 0.5, 1.0) for number in range(most))
    assert not add_order(orders, most, 1, 0.5, 1.0)
    assert find_order(orders, most) == -1
    assert all(orders.ids[find_order(orders, number)] == number for number in range(0, most, 7))
    clear_orders(orders)
    assert find_order(orders, 1) == -1


# ---------------------------------------------------------------- rules, one by one

SNAPSHOT = {"bids": [(0.49, 5.0), (0.48, 9.0)], "asks": [(0.51, 5.0), (0.52, 9.0)]}


def delta(number: int, *deltas: tuple, before: int | None = None) -> dict:
    return {"deltas": list(deltas), "seq": number, "prev_seq": number - 1 if before is None else before}


def top_of(market: Market) -> tuple[float, float, float, float]:
    book = market.book
    return book.bid, book.bid_sizes[0], book.ask, book.ask_sizes[0]


def test_a_change_that_comes_twice_before_the_snapshot_does_not_spoil_it():
    market = Market()
    for number in (11, 11, 12):
        assert market.happen(delta(number, ("buy", 0.50, float(number)))) == "awaiting_snapshot"
    assert market.happen({**SNAPSHOT, "book_seq": 10}) == "ok"
    assert top_of(market) == (0.50, 12.0, 0.51, 5.0)
    assert market.happen(delta(13, ("buy", 0.50, 0.0))) == "ok"
    assert top_of(market)[:2] == (0.49, 5.0)


def test_changes_missing_between_those_that_wait_are_a_gap_and_a_later_snapshot_mends_it():
    market = Market()
    for number in (11, 13):
        assert market.happen(delta(number, ("buy", 0.50, float(number)))) == "awaiting_snapshot"
    assert market.happen({**SNAPSHOT, "book_seq": 10}) == "gap"
    assert market.happen(delta(14, ("sell", 0.51, 1.0))) == "awaiting_snapshot"
    assert market.happen({**SNAPSHOT, "book_seq": 12}) == "ok"
    assert top_of(market) == (0.50, 13.0, 0.51, 1.0)
    assert (market.builder.gaps, market.builder.resyncs) == (1, 1)


def test_after_a_gap_a_snapshot_without_a_number_is_newer_than_all_before_it():
    market = Market()
    market.happen(SNAPSHOT)
    assert market.happen(delta(5, ("buy", 0.49, 6.0))) == "ok"
    assert market.happen(delta(7, ("buy", 0.50, 7.0))) == "gap"
    assert market.happen(SNAPSHOT) == "ok"
    assert top_of(market) == (0.49, 5.0, 0.51, 5.0)
    assert market.happen(delta(9, ("buy", 0.49, 6.0))) == "ok"
    assert top_of(market) == (0.49, 6.0, 0.51, 5.0)


def test_a_venue_that_numbers_anew_is_followed_by_quotes_and_changes():
    market = Market()
    market.happen({**SNAPSHOT, "book_seq": 1_000})
    market.happen({"bid": 0.48, "bid_size": 1.0, "ask": 0.52, "ask_size": 1.0, "book_seq": 1_001})
    assert market.happen({**SNAPSHOT, "book_seq": 1}) == "ok"
    assert top_of(market) == (0.49, 5.0, 0.51, 5.0)
    assert market.happen({"bid": 0.50, "bid_size": 2.0, "book_seq": 2}) == "ok"
    assert top_of(market) == (0.50, 2.0, 0.51, 5.0)
    assert market.happen(delta(3, ("buy", 0.48, 1.0), before=1)) == "ok"
    assert top_of(market) == (0.49, 5.0, 0.51, 5.0)
    assert market.builder.late_quotes == 0


def test_a_snapshot_in_the_channel_of_the_changes_shows_a_message_lost_behind_it():
    market = Market()
    own = {"channel": "book"}
    market.happen({**SNAPSHOT, **own, "seq": 10})
    assert market.happen({**delta(12, ("buy", 0.50, 1.0)), **own}) == "gap"
    market.happen({**SNAPSHOT, **own, "seq": 13})
    assert market.happen({**delta(14, ("buy", 0.50, 1.0)), **own}) == "ok"
    assert market.book.bid == 0.50


def test_changes_with_numbers_of_their_own_end_a_quote_whatever_its_number():
    market = Market()
    own = {"channel": "book"}
    market.happen({**SNAPSHOT, **own, "seq": 10})
    market.happen({"bid": 0.47, "bid_size": 1.0, "ask": 0.53, "ask_size": 1.0, "book_seq": 5_000})
    assert top_of(market) == (0.47, 1.0, 0.53, 1.0)
    assert market.happen({**delta(11, ("buy", 0.48, 1.0)), **own}) == "ok"
    assert top_of(market) == (0.49, 5.0, 0.51, 5.0)


def test_the_end_of_an_order_never_seen_takes_nothing_from_orders_that_are_known():
    market = Market()
    add = {"op": "add", "side": "buy", "price": 0.49}
    end = {"op": "delete", "side": "buy", "price": 0.49, "size": 3.0}
    market.happen({"order_messages": [{"op": "clear"}, {**add, "order_id": 1, "size": 4.0}]})
    market.happen({"order_messages": [{**end, "order_id": 9}]})
    assert (market.book.bid, market.book.bid_depth) == (0.49, 4.0)

    market.happen(SNAPSHOT)  # five at 0.49 of orders that nobody has named
    market.happen({"order_messages": [{**add, "order_id": 1, "size": 4.0}]})
    for number, left in ((7, 6.0), (8, 4.0), (9, 4.0)):
        market.happen({"order_messages": [{**end, "order_id": number}]})
        assert market.book.bid_sizes[0] == left


def test_a_change_of_an_order_that_has_ended_does_not_revive_it():
    market = Market()
    order = {"order_id": 1, "side": "buy", "price": 0.50}
    market.happen({"order_messages": [{"op": "clear"}, {**order, "op": "add", "size": 3.0}]})
    market.happen({"order_messages": [{**order, "op": "delete", "size": 0.0}]})
    market.happen({"order_messages": [{**order, "op": "modify", "size": 2.0}]})
    assert market.book.n_bids == 0


def test_a_change_of_an_order_never_seen_names_a_part_of_its_level():
    market = Market()
    market.happen(SNAPSHOT)
    order = {"order_id": 1, "side": "buy", "price": 0.49}
    market.happen({"order_messages": [{**order, "op": "modify", "size": 2.0}]})
    market.happen(
        {"order_messages": [{**order, "order_id": 2, "op": "modify", "size": 9.0}]}
    )  # only 3.0 are left
    assert top_of(market)[:2] == (0.49, 5.0)
    market.happen({"order_messages": [{**order, "order_id": 3, "op": "modify", "size": 9.0}]})
    assert market.builder.orders.count == 2
    for name, left in ((1, 3.0), (3, 3.0)):
        market.happen({"order_messages": [{"op": "delete", "order_id": name}]})
        assert top_of(market)[:2] == (0.49, left)
    market.happen({"order_messages": [{"op": "delete", "order_id": 2}]})
    assert market.book.bid == 0.48


def test_sizes_that_levels_tell_between_order_messages_are_those_of_orders_never_seen():
    market = Market()
    market.happen(SNAPSHOT)
    order = {"order_id": 1, "side": "buy", "price": 0.50}
    market.happen({"order_messages": [{**order, "op": "add", "size": 1.0}]})
    market.happen({"deltas": [("buy", 0.48, 20.0)]})
    market.happen({"order_messages": [{**order, "op": "delete", "order_id": 7, "price": 0.48, "size": 19.0}]})
    assert market.book.bid_sizes[:3] == [1.0, 5.0, 1.0]
    market.happen({"bids": [(0.49, 8.0)]})
    market.happen({"order_messages": [{**order, "op": "delete", "order_id": 8, "price": 0.49, "size": 6.0}]})
    assert top_of(market)[:2] == (0.49, 2.0)
    market.happen({"asks": [(0.53, 8.0)]})
    order = {"op": "execute", "order_id": 9, "side": "sell", "price": 0.53, "size": 7.0}
    market.happen({"order_messages": [order]})
    assert top_of(market)[2:] == (0.53, 1.0)


def test_a_quote_of_the_same_state_as_a_snapshot_ends_with_it():
    market = Market()
    market.happen({"bid": 0.47, "bid_size": 1.0, "ask": 0.53, "ask_size": 1.0, "book_seq": 10})
    market.happen({**SNAPSHOT, "book_seq": 10})
    assert top_of(market) == (0.49, 5.0, 0.51, 5.0)


def test_what_waited_before_a_clear_is_forgotten():
    market = Market()
    market.happen(delta(11, ("buy", 0.50, 7.0)))
    market.happen({"order_messages": [{"op": "clear"}]})
    market.happen({**SNAPSHOT, "book_seq": 10})
    assert market.book.bid == 0.49


def test_an_order_changed_to_very_little_stands():
    market = Market()
    order = {"order_id": 1, "side": "buy", "price": 0.50}
    market.happen({"order_messages": [{"op": "clear"}, {**order, "op": "add", "size": 1e6}]})
    market.happen({"order_messages": [{**order, "op": "modify", "size": 3e-8}]})
    market.happen({"order_messages": [{**order, "op": "execute", "size": 1e-8}]})
    assert market.book.bid_sizes[0] == pytest.approx(2e-8)
    market.happen({"order_messages": [{**order, "op": "execute", "size": 2e-8}]})
    assert market.book.n_bids == 0


def test_orders_beyond_the_table_count_in_their_level_and_end_by_price_and_size(small):
    market = Market()
    market.happen({"order_messages": [{"op": "clear"}]})
    add = {"op": "add", "side": "sell", "price": 0.51, "size": 1.0}
    market.happen({"order_messages": [{**add, "order_id": number} for number in range(6)]})
    assert market.book.ask_sizes[0] == 6.0
    for number, left in ((0, 5.0), (4, 4.0), (5, 3.0), (1, 2.0), (2, 1.0)):
        market.happen({"order_messages": [{**add, "op": "delete", "order_id": number}]})
        assert market.book.ask_sizes[0] == left
    market.happen({"order_messages": [{**add, "op": "execute", "order_id": 3}]})
    assert market.book.n_asks == 0


def test_a_quote_older_than_the_levels_changes_nothing_and_is_counted():
    market = Market()
    market.happen({**SNAPSHOT, "book_seq": 10})
    market.happen({"depth": 3.0, "mid": 0.495})
    assert market.happen({"bid": 0.50, "bid_size": 1.0, "depth": 7.0, "book_seq": 10}) == "ok"
    assert (market.book.bid, market.book.mid, market.book.depth) == (0.49, 0.495, 3.0)
    assert market.builder.late_quotes == 1


def test_a_price_beside_a_quote_keeps_its_deeper_levels():
    market = Market()
    market.happen(SNAPSHOT)
    market.happen({"bid": 0.485, "bid_size": 1.0, "ask": 0.51})
    book = market.book
    assert list(zip(book.ask_prices[: book.n_asks], book.ask_sizes, strict=False))[1:] == [(0.52, 9.0)]
    assert math.isnan(book.ask_sizes[0])
    assert (book.bid_prices[: book.n_bids], book.bid_depth) == ([0.485, 0.48], 10.0)


def test_clear_opens_a_book_also_behind_other_messages():
    market = Market()
    add = {"op": "add", "side": "buy", "price": 0.49, "size": 1.0}
    assert market.happen({"order_messages": [{**add, "order_id": 1}]}) == "awaiting_snapshot"
    messages = [{**add, "order_id": 2}, {"op": "clear"}, {**add, "order_id": 3, "size": 2.0}]
    assert market.happen({"order_messages": messages, "seq": 40, "prev_seq": 39}) == "ok"
    assert (market.book.bid, market.book.bid_depth, market.book.n_bids) == (0.49, 2.0, 1)


def test_only_the_last_thousand_messages_wait(monkeypatch):
    market = Market()
    for number in range(2, 1_003):
        market.happen(delta(number, ("buy", 0.40, float(number))))
    assert len(market.builder.pending) == 1_000
    assert market.happen({**SNAPSHOT, "book_seq": 1}) == "gap"  # 2 is forgotten
    assert market.happen({**SNAPSHOT, "book_seq": 2}) == "ok"
    assert market.book.bid_sizes[2] == 1_002.0


def test_sizes_of_the_model_are_the_decimals_that_were_written():
    assert exact(0.1) + exact(0.2) == exact(0.3)
