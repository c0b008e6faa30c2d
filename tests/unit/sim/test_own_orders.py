"""Our orders in the simulated book: the conditions of kernels.matching, and what a real book adds to them."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ami_engine.kernels import matching
from ami_engine.kernels.venue import (
    ANY_PRICE,
    BUY,
    CANCEL,
    FILL,
    FOK,
    GTC,
    IOC,
    MAX_VENUE_ORDERS,
    SELL,
    WORKING,
    load_side,
    venue_for,
)
from ami_engine.ports import OrderTerms, OrderVenue
from ami_engine.sim.own_orders import SimVenue
from decision_schema.instruments import Instrument

CENTS = Instrument(market_id="M", tick_size="0.01", lot_size="1", maker_fee=-0.001, taker_fee=0.002)
UNSHORTABLE = Instrument(market_id="M", tick_size="0.01", lot_size="1", short="no")
LEVELS = {BUY: [(50, 10), (49, 25), (47, 7)], SELL: [(52, 8), (53, 20), (56, 5)]}


def venue_with(levels=LEVELS, instrument=CENTS, taken=lambda side, lots: None):
    """A market whose agents stand still."""
    venue = SimVenue(instrument, taken)
    for side, prices in levels.items():
        for ticks, lots in prices:
            venue.book.rest(side, ticks, lots)
    venue.is_open = True
    return venue


def order(side, limit, lots, tif=GTC, post_only=False, reduce_only=False):
    return OrderTerms(side, limit, lots, tif, post_only, reduce_only)


def fills(venue):
    return [
        (e.slot, e.ticks, e.lots, e.open_lots, e.maker) for e in venue.take_executions() if e.kind == FILL
    ]


def test_it_is_an_order_venue():
    venue = venue_with()
    assert isinstance(venue, OrderVenue)
    assert venue.market_id == "M"


def test_before_the_first_event_there_is_no_book():
    venue = venue_with()
    venue.is_open = False
    assert venue.arrive(order(BUY, 50, 1)) == (matching.NO_BOOK, -1)


@pytest.mark.parametrize(
    ("terms", "told", "works", "filled"),
    [
        (order(BUY, 50, 3), matching.ACCEPTED, True, []),
        (order(BUY, 52, 10), matching.ACCEPTED, True, [(52, 8)]),
        (order(BUY, 53, 10), matching.ACCEPTED, False, [(52, 8), (53, 2)]),
        (order(SELL, 49, 12), matching.ACCEPTED, False, [(50, 10), (49, 2)]),
        (order(BUY, ANY_PRICE, 40), matching.ACCEPTED, False, [(52, 8), (53, 20), (56, 5)]),
        (order(SELL, -ANY_PRICE, 11), matching.ACCEPTED, False, [(50, 10), (49, 1)]),
        (order(BUY, 52, 10, IOC), matching.ACCEPTED, False, [(52, 8)]),
        (order(BUY, 51, 10, IOC), matching.ACCEPTED, False, []),
        (order(BUY, 53, 28, FOK), matching.ACCEPTED, False, [(52, 8), (53, 20)]),
        (order(BUY, 53, 29, FOK), matching.ACCEPTED, False, []),
        (order(BUY, 51, 1, post_only=True), matching.ACCEPTED, True, []),
        (order(BUY, 52, 1, post_only=True), matching.WOULD_TAKE, False, []),
        (order(BUY, ANY_PRICE, 1, post_only=True), matching.WOULD_TAKE, False, []),
        (order(BUY, 51, 1, reduce_only=True), matching.NOTHING_TO_REDUCE, False, []),
    ],
)
def test_an_order_arrives(terms, told, works, filled):
    venue = venue_with()
    answer, slot = venue.arrive(terms)
    assert answer == told
    assert (slot == -1) == (answer != matching.ACCEPTED)
    assert [(ticks, lots) for _, ticks, lots, _, maker in fills(venue) if not maker] == filled
    if slot >= 0:
        assert venue.is_working(slot) == works
        assert venue.open_lots(slot) == terms.lots - sum(lots for _, lots in filled)


def test_the_book_shows_what_we_take_and_what_we_rest():
    venue = venue_with()
    venue.arrive(order(BUY, 52, 10))
    assert venue.book.shown(SELL, 5) == [(53, 20), (56, 5)]
    assert venue.book.shown(BUY, 1) == [(52, 2)]
    assert [(side, ticks, lots) for _, side, ticks, lots in venue.book.prints] == [(BUY, 52, 8)]


def test_what_we_take_is_told_to_the_agents():
    told = []
    venue = venue_with(taken=lambda side, lots: told.append((side, lots)))
    venue.arrive(order(BUY, 53, 10))
    venue.arrive(order(BUY, 40, 10))
    assert told == [(BUY, 10)]


def test_we_fill_after_exactly_what_is_ahead_of_us():
    venue = venue_with()
    _, slot = venue.arrive(order(BUY, 50, 4))
    venue.book.rest(BUY, 50, 99)
    assert venue.queue_ahead(slot) == 10.0
    venue.book.take(SELL, 50, 9)
    assert (venue.queue_ahead(slot), fills(venue)) == (1.0, [])
    venue.book.take(SELL, 50, 3)
    assert fills(venue) == [(slot, 50, 2, 2, True)]
    venue.book.take(SELL, 50, 50)
    assert fills(venue) == [(slot, 50, 2, 0, True)]
    assert not venue.is_working(slot)
    assert venue.queue_ahead(slot) != venue.queue_ahead(slot)
    assert venue.book.shown(BUY, 1) == [(50, 51)]


def test_a_cancellation_ahead_moves_us_up_and_one_behind_does_not():
    venue = venue_with({BUY: [(50, 10)], SELL: [(52, 8)]})
    ahead = venue.book.rest(BUY, 50, 5)
    _, slot = venue.arrive(order(BUY, 50, 4))
    behind = venue.book.rest(BUY, 50, 5)
    venue.book.leave(behind)
    assert venue.queue_ahead(slot) == 15.0
    venue.book.leave(ahead)
    assert venue.queue_ahead(slot) == 10.0


def test_fees_and_the_time_are_those_of_the_venue():
    venue = venue_with()
    venue.move_on(77)
    _, taker = venue.arrive(order(BUY, 52, 8))
    _, maker = venue.arrive(order(BUY, 51, 2))
    venue.move_on(99)
    venue.book.take(SELL, 51, 2)
    first, second = venue.take_executions()
    assert (first.slot, first.ts_ns, first.fee) == (taker, 77, pytest.approx(0.52 * 8 * 0.002))
    assert (second.slot, second.ts_ns, second.fee) == (maker, 99, pytest.approx(0.51 * 2 * -0.001))


def test_cancel_and_replace():
    venue = venue_with()
    _, slot = venue.arrive(order(BUY, 50, 6))
    venue.book.rest(BUY, 50, 9)
    assert venue.replace(slot, order(BUY, 50, 4)) == (matching.ACCEPTED, slot)
    assert (venue.queue_ahead(slot), venue.open_lots(slot)) == (10.0, 4)
    assert venue.book.shown(BUY, 1) == [(50, 23)]
    assert venue.replace(slot, order(BUY, 52, 4, post_only=True)) == (matching.WOULD_TAKE, -1)
    assert venue.is_working(slot)
    answer, slot = venue.replace(slot, order(BUY, 50, 5))
    assert (answer, venue.queue_ahead(slot)) == (matching.ACCEPTED, 19.0)
    assert venue.cancel(slot)
    assert not venue.cancel(slot)
    assert venue.replace(slot, order(BUY, 50, 1)) == (matching.NOT_WORKING, -1)
    assert venue.book.shown(BUY, 1) == [(50, 19)]


def test_our_orders_never_trade_with_each_other():
    """One that takes passes the resting one by; where they cross, the book shows neither."""
    venue = venue_with()
    _, ask = venue.arrive(order(SELL, 51, 5))
    _, bid = venue.arrive(order(BUY, 52, 10))
    assert fills(venue) == [(bid, 52, 8, 2, False)]
    assert (venue.open_lots(ask), venue.open_lots(bid)) == (5, 2)
    assert (venue.book.shown(BUY, 1), venue.book.shown(SELL, 1)) == ([(50, 10)], [(53, 20)])
    venue.book.take(SELL, 50, 3)
    assert fills(venue) == [(bid, 52, 2, 0, True)]
    assert venue.book.shown(SELL, 1) == [(51, 5)]


def test_what_is_ours_cannot_be_taken_by_us():
    venue = venue_with()
    venue.arrive(order(SELL, 51, 5))
    assert venue.arrive(order(BUY, 51, 1, post_only=True))[0] == matching.ACCEPTED
    _, slot = venue.arrive(order(BUY, 52, 9, FOK))
    assert (venue.is_working(slot), venue.take_executions()) == (False, [])


def test_the_order_that_is_replaced_does_not_count():
    """Neither among what reduces already, nor among what is offered already."""
    venue = venue_with(instrument=UNSHORTABLE)
    venue.arrive(order(BUY, 52, 8))
    _, slot = venue.arrive(order(SELL, 53, 8))
    answer, slot = venue.replace(slot, order(SELL, 54, 8))
    assert answer == matching.ACCEPTED
    answer, slot = venue.replace(slot, order(SELL, 55, 8, reduce_only=True))
    assert answer == matching.ACCEPTED
    answer, slot = venue.replace(slot, order(SELL, 54, 9, reduce_only=True))
    assert (answer, venue.open_lots(slot)) == (matching.ACCEPTED, 8)


def test_reduce_only_is_cut_never_flips_and_goes_when_there_is_nothing_left():
    venue = venue_with()
    venue.arrive(order(BUY, 52, 8))
    _, first = venue.arrive(order(SELL, 53, 6, reduce_only=True))
    _, second = venue.arrive(order(SELL, 54, 6, reduce_only=True))
    assert (venue.open_lots(first), venue.open_lots(second)) == (6, 2)
    assert venue.arrive(order(SELL, 54, 1, reduce_only=True)) == (matching.NOTHING_TO_REDUCE, -1)
    venue.arrive(order(SELL, 50, 5))
    venue.take_executions()
    venue.book.take(BUY, 55, 100)
    last = venue.take_executions()
    assert [(e.kind, e.slot, e.lots, e.open_lots) for e in last] == [
        (FILL, first, 3, 3),
        (CANCEL, first, 0, 3),
        (CANCEL, second, 0, 2),
    ]
    assert not venue.is_working(first)
    assert not venue.is_working(second)


def test_no_short_sale_where_there_is_none():
    venue = venue_with(instrument=UNSHORTABLE)
    assert venue.arrive(order(SELL, 53, 1)) == (matching.NO_SHORT, -1)
    venue.arrive(order(BUY, 52, 8))
    assert venue.arrive(order(SELL, 53, 5))[0] == matching.ACCEPTED
    assert venue.arrive(order(SELL, 54, 4)) == (matching.NO_SHORT, -1)
    assert venue.arrive(order(SELL, 54, 3))[0] == matching.ACCEPTED


def test_there_are_so_many_slots():
    venue = venue_with()
    slots = [venue.arrive(order(BUY, 40, 1))[1] for _ in range(MAX_VENUE_ORDERS)]
    assert sorted(slots) == list(range(MAX_VENUE_ORDERS))
    assert venue.arrive(order(BUY, 40, 1)) == (matching.NO_SLOT, -1)
    assert venue.replace(slots[7], order(BUY, 41, 1))[0] == matching.ACCEPTED
    venue.cancel(slots[3])
    assert venue.arrive(order(BUY, 40, 1)) == (matching.ACCEPTED, slots[3])


def test_a_slot_whose_fill_is_not_told_yet_is_not_used_again():
    venue = venue_with()
    _, first = venue.arrive(order(BUY, 52, 8))
    _, second = venue.arrive(order(BUY, 50, 1))
    assert first != second


def test_reset_forgets_orders_but_not_who_listens():
    heard = []
    venue = venue_with()
    venue.attach(heard.append)
    _, slot = venue.arrive(order(BUY, 53, 10))
    venue.reset()
    venue.is_open = True
    assert (venue.is_working(slot), venue.take_executions()) == (False, [])
    assert venue.arrive(order(SELL, 53, 10, reduce_only=True)) == (matching.NOTHING_TO_REDUCE, -1)
    venue.move_on(5)
    assert heard == [5]


# ---------------------------------------------------------------- against the venue of recorded data

SIDES = st.sampled_from([BUY, SELL])
TERMS = st.builds(
    OrderTerms,
    SIDES,
    st.integers(48, 54),
    st.integers(1, 12),
    st.sampled_from([GTC, GTC, GTC, IOC, FOK]),
    st.sampled_from([False, False, False, True]),
    st.sampled_from([False, False, True]),
)
ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("arrive"), TERMS),
        st.tuples(st.just("cancel"), st.integers(0, 30)),
        st.tuples(st.just("replace"), st.integers(0, 30), TERMS),
        st.tuples(st.just("take"), SIDES, st.integers(46, 56), st.integers(1, 30)),
        st.tuples(st.just("join"), SIDES, st.integers(47, 55), st.integers(1, 30)),
    ),
    min_size=15,
    max_size=40,
)


class Recorded:
    """The same market as data: what the others display, and the prints."""

    def __init__(self, instrument, sim):
        self.venue, self.sim = venue_for(instrument), sim
        self.show()

    def show(self):
        """Load what the others display, as a recording without us would."""
        for side in (BUY, SELL):
            one = self.sim.book.side(side)
            levels = [(key, one.levels[key]) for key in reversed(one.keys)]
            shown = [(side * key, level.lots - level.own) for key, level in levels if level.lots > level.own][
                :20
            ]
            load_side(self.venue, side, len(shown), [t / 100 for t, _ in shown], [float(n) for _, n in shown])
        matching.apply_book(self.venue)

    def executions(self):
        venue = self.venue
        told = [
            (e.kind, e.slot, e.ticks, e.lots, e.maker, e.fee) for e in venue.executions[: venue.n_executions]
        ]
        venue.n_executions = 0
        return told


def test_what_we_take_before_an_order_of_ours_shortens_the_queue_of_a_real_book_only():
    """A recorded market does not know what we took: what stood there still stands before our order."""
    sim = venue_with()
    data = Recorded(CENTS, sim)
    ask, recorded_ask = sim.arrive(order(SELL, 52, 1))[1], matching.arrive(data.venue, *order(SELL, 52, 1))[1]
    sim.arrive(order(BUY, 52, 8))
    matching.arrive(data.venue, *order(BUY, 52, 8))
    assert (sim.queue_ahead(ask), data.venue.orders[recorded_ask].queue_ahead) == (0.0, 8.0)
    sim.take_executions()
    data.executions()
    sim.book.take(BUY, 52, 1)
    matching.on_trade(data.venue, BUY, 52, 1.0)
    assert fills(sim) == [(ask, 52, 1, 0, True)]
    assert data.executions() == []
    matching.on_trade(data.venue, BUY, 52, 8.0)
    assert [execution[:4] for execution in data.executions()] == [(FILL, recorded_ask, 52, 1)]


OWN_TAKES_BEFORE_OWN = [
    ("arrive", order(SELL, 52, 1)),
    ("arrive", order(BUY, 52, 8)),
    ("take", BUY, 52, 1),
]


@given(ACTS, st.sampled_from([CENTS, UNSHORTABLE]))
@example(OWN_TAKES_BEFORE_OWN, CENTS)
def test_it_answers_and_fills_as_the_recorded_venue_does(acts, instrument):
    """Where nobody cancels, our queue is known and we take nothing before ourselves, the two venues are one."""
    never_empty = {side: [*levels, (50 - 20 * side, 99)] for side, levels in LEVELS.items()}
    sim = venue_with(never_empty, instrument)
    data = Recorded(instrument, sim)
    pairs = []

    def same(kinds_and_slots, executions):
        numbers = {slot: n for n, slot in enumerate(kinds_and_slots)}
        return [(kind, numbers.get(slot), *rest) for kind, slot, *rest in executions]

    for name, *what in acts:
        if takes_beside_us(sim, what[-1]):
            continue
        if name == "arrive":
            ours, theirs = sim.arrive(what[0]), matching.arrive(data.venue, *what[0])
            assert ours[0] == theirs[0]
            if ours[0] == matching.ACCEPTED:
                pairs.append((ours[1], theirs[1]))
        elif name == "take":
            for ticks, lots in sim.book.take(*what):
                matching.on_trade(data.venue, what[0], ticks, float(lots))
            data.show()
        elif name == "join":
            side, ticks, lots = what
            best = sim.book.side(-side).best
            if (best is None or side * (best - ticks) > 0) and crossing_free(sim):
                sim.book.rest(side, ticks, lots)
                data.show()
        elif pairs:
            ours, theirs = pairs[what[0] % len(pairs)]
            if name == "cancel":
                assert sim.cancel(ours) == matching.cancel(data.venue, theirs)
            else:
                one, two = sim.replace(ours, what[1]), matching.replace(data.venue, theirs, *what[1])
                assert one[0] == two[0]
                if one[0] == matching.ACCEPTED:
                    pairs = [pair for pair in pairs if pair != (ours, theirs)] + [(one[1], two[1])]
        ours = [(e.kind, e.slot, e.ticks, e.lots, e.maker, e.fee) for e in sim.take_executions()]
        theirs = data.executions()
        mine, other = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        assert sorted(same(mine, fills_of(ours))) == sorted(same(other, fills_of(theirs)))
        pairs = [(a, b) for a, b in pairs if sim.is_working(a) or data.venue.orders[b].state == WORKING]
        for a, b in pairs:
            assert sim.is_working(a)
            assert data.venue.orders[b].state == WORKING
            assert sim.open_lots(a) == data.venue.orders[b].lots


def takes_beside_us(sim, terms):
    """Tell whether an order of ours could take from a price where another of ours rests.

    There the two venues differ: what stood before the resting order is gone from the simulated book, while
    recorded data go on to show it.
    """
    if not isinstance(terms, OrderTerms):
        return False
    against = sim.book.side(-terms.side)
    levels = [against.levels[key] for key in against.keys if key >= -terms.side * terms.limit]
    return any(0 < level.own < level.lots for level in levels)


def crossing_free(sim):
    bid, ask = sim.book.bids.best, sim.book.asks.best
    return bid is None or ask is None or bid < ask


def fills_of(executions):
    return [execution for execution in executions if execution[0] == FILL]
