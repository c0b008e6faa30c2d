"""What holds for the venue whatever happens: nobody is filled too much, too dear, twice or too early."""

import math

from hypothesis import given
from hypothesis import strategies as st

from ami_engine.kernels.matching import ACCEPTED, apply_book, arrive, cancel, on_trade, replace
from ami_engine.kernels.venue import (
    ANY_PRICE,
    BUY,
    FILL,
    FOK,
    GTC,
    IOC,
    MAX_EXECUTIONS,
    NAN,
    SELL,
    WORKING,
    Venue,
    load_side,
)

sides = st.sampled_from((BUY, SELL))
sizes = st.one_of(st.integers(1, 20).map(float), st.floats(0.1, 20.0), st.just(NAN))
ladders = st.lists(sizes, min_size=0, max_size=4)
terms = st.tuples(
    sides,
    st.one_of(st.integers(90, 112), st.none()),
    st.integers(1, 15),
    st.sampled_from((GTC, GTC, IOC, FOK)),
    st.booleans(),
    st.booleans(),
)
acts = st.one_of(
    st.tuples(st.just("book"), st.integers(92, 108), st.integers(1, 3), ladders, ladders),
    st.tuples(st.just("trade"), st.sampled_from((BUY, SELL, 0)), st.integers(90, 112), st.floats(0.5, 30.0)),
    st.tuples(st.just("arrive"), terms),
    st.tuples(st.just("replace"), st.integers(0, 5), terms),
    st.tuples(st.just("cancel"), st.integers(0, 5)),
)


class Watched:
    """A venue whose every change is checked."""

    def __init__(self):
        self.venue = Venue(maker_fee=-0.0001, taker_fee=0.001)
        self.book: dict[tuple[int, int], float] = {}  # what is left to take, by (side, ticks)
        self.open: dict[int, list] = {}  # slot -> [side, limit, lots, reduce_only]
        self.position = 0
        self.fees = 0.0
        self.queues: dict[int, float] = {}

    def act(self, name, *args):
        getattr(self, name)(*args)
        self.check()

    def book_(self, best_bid, gap, bids, asks):
        for side, best, lots in ((BUY, best_bid, bids), (SELL, best_bid + gap, asks)):
            prices = [(best - side * i) / 100 for i in range(len(lots))]
            load_side(self.venue, side, len(lots), prices, lots)
        self.take_levels()
        apply_book(self.venue)
        self.drain(maker=True, by_book=True)

    def take_levels(self):
        self.book = {
            (side, levels.ticks[i]): levels.lots[i]
            for side, levels in ((BUY, self.venue.bids), (SELL, self.venue.asks))
            for i in range(levels.n_levels)
        }

    def trade(self, aggressor, ticks, lots):
        on_trade(self.venue, aggressor, ticks, lots)
        fills = self.drain(maker=True)
        assert sum(part for _, part in fills) <= lots
        assert all(self_side == -aggressor for self_side, _ in fills)

    def arrive(self, wanted):
        side, price, lots, time_in_force, post_only, reduce_only = wanted
        limit = side * ANY_PRICE if price is None else price
        answer, slot = arrive(self.venue, side, limit, lots, time_in_force, post_only, reduce_only)
        self.placed(answer, slot, wanted, limit)

    def replace(self, pick, wanted):
        if not self.open:
            return
        old = sorted(self.open)[pick % len(self.open)]
        side, price, lots, time_in_force, post_only, reduce_only = wanted
        limit = side * ANY_PRICE if price is None else price
        answer, slot = replace(self.venue, old, side, limit, lots, time_in_force, post_only, reduce_only)
        if answer == ACCEPTED:
            was = self.open.pop(old)
            kept = (
                slot == old and (side, limit) == (was[0], was[1]) and lots <= was[2] and time_in_force == GTC
            )
            if not kept:
                self.queues.pop(old, None)
        self.placed(answer, slot, wanted, limit)

    def placed(self, answer, slot, wanted, limit):
        side, _, lots, time_in_force, post_only, reduce_only = wanted
        if answer != ACCEPTED:
            assert self.venue.n_executions == 0
            return
        if reduce_only:
            promised = sum(open_lots for way, _, open_lots, reduces in self.open.values() if reduces and way == side)
            lots = min(lots, abs(self.position) - promised)
        self.open[slot] = [side, limit, lots, reduce_only]
        fills = self.drain(maker=False)
        taken = sum(part for _, part in fills)
        assert not (post_only and fills)
        assert time_in_force != FOK or taken in (0, lots)
        if self.venue.orders[slot].state != WORKING:
            self.open.pop(slot, None)

    def cancel(self, pick):
        if self.open:
            slot = sorted(self.open)[pick % len(self.open)]
            assert cancel(self.venue, slot)
            assert not cancel(self.venue, slot)
            del self.open[slot]

    def drain(self, *, maker, by_book=False):
        venue = self.venue
        assert venue.n_executions <= MAX_EXECUTIONS
        fills = []
        for execution in venue.executions[: venue.n_executions]:
            side, limit, lots, reduce_only = self.open[execution.slot]  # only a working order is ever named
            if execution.kind != FILL:
                assert reduce_only
                del self.open[execution.slot]
                continue
            assert execution.maker == maker
            assert 0 < execution.lots <= lots
            assert side * execution.ticks <= side * limit
            assert not maker or execution.ticks == limit
            before = self.position
            self.position += side * execution.lots
            assert not reduce_only or abs(self.position) < abs(before)
            if not maker:
                self.book[-side, execution.ticks] -= execution.lots
                assert not self.book[-side, execution.ticks] < 0
            value = execution.ticks / 100 * execution.lots
            assert math.isclose(execution.fee, value * (-0.0001 if maker else 0.001), rel_tol=1e-12)
            self.open[execution.slot][2] -= execution.lots
            assert self.open[execution.slot][2] == execution.open_lots
            if execution.open_lots == 0:
                del self.open[execution.slot]
            fills.append((side, execution.lots))
        venue.n_executions = 0
        return fills

    def check(self):
        venue = self.venue
        assert venue.position == self.position
        working = {slot for slot, order in enumerate(venue.orders) if order.state == WORKING}
        assert working == set(self.open)
        ranked = []
        for side, own in ((BUY, venue.bids), (SELL, venue.asks)):
            slots = own.ranked[: own.n_orders]
            prices = [side * venue.orders[slot].ticks for slot in slots]
            assert prices == sorted(prices, reverse=True)
            assert all(venue.orders[slot].side == side for slot in slots)
            ranked += slots
        assert sorted(ranked) == sorted(working)
        for slot in working:
            order = venue.orders[slot]
            assert (order.side, order.ticks, order.lots) == tuple(self.open[slot][:3])
            before = self.queues.get(slot, NAN)
            assert not order.queue_ahead > before
            assert math.isnan(before) or not math.isnan(order.queue_ahead)
        self.queues = {slot: venue.orders[slot].queue_ahead for slot in working}


@given(st.lists(acts, max_size=40))
def test_the_venue_keeps_its_rules(script):
    watched = Watched()
    for name, *args in script:
        watched.act("book_" if name == "book" else name, *args)


@given(st.lists(acts, max_size=25))
def test_the_same_acts_give_the_same_venue(script):
    ends = []
    for _ in range(2):
        watched = Watched()
        for name, *args in script:
            watched.act("book_" if name == "book" else name, *args)
        ends.append(
            repr((watched.venue.position, watched.venue.orders, watched.venue.bids, watched.venue.asks))
        )
    assert ends[0] == ends[1]
