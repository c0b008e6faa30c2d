"""Each condition of a fill, by its number in kernels/matching.py, as a table of cases."""

import math

import pytest

from ami_engine.kernels.matching import (
    ACCEPTED,
    NO_BOOK,
    NO_SHORT,
    NO_SLOT,
    NOT_WORKING,
    NOTHING_TO_REDUCE,
    WOULD_TAKE,
    apply_book,
    arrive,
    cancel,
    on_trade,
    replace,
)
from ami_engine.kernels.venue import (
    ANY_PRICE,
    BUY,
    CANCEL,
    CANCELED,
    FILL,
    FILLED,
    FOK,
    GTC,
    IOC,
    MAX_VENUE_ORDERS,
    NAN,
    SELL,
    WORKING,
    Venue,
    aggressor_by_quote,
    load_side,
    market_lots,
    trade_ticks,
    venue_for,
)
from decision_schema.instruments import Instrument

BIDS = ((50, 10), (49, 20), (47, 30))
ASKS = ((52, 8), (53, 20), (55, 30))


def show(venue, bids=None, asks=None):
    """Show levels (ticks, lots) on the sides that are given; ticks of 0.01, lots of 1."""
    for side, levels in ((BUY, bids), (SELL, asks)):
        if levels is not None:
            load_side(venue, side, len(levels), [t / 100 for t, _ in levels], [float(n) for _, n in levels])
    apply_book(venue)
    return drain(venue)


def market(bids=BIDS, asks=ASKS, **fields):
    venue = Venue(**fields)
    show(venue, bids, asks)
    return venue


def drain(venue):
    """Return (slot, ticks, lots, maker) of what happened, and forget it."""
    done = [
        (e.slot, e.ticks, e.lots, e.maker) for e in venue.executions[: venue.n_executions] if e.kind == FILL
    ]
    venue.n_executions = 0
    return done


def place(venue, side, ticks, lots, time_in_force=GTC, post_only=False, reduce_only=False):
    answer, slot = arrive(venue, side, ticks, lots, time_in_force, post_only, reduce_only)
    assert answer == ACCEPTED
    return slot


def resting(venue, side, ticks, lots):
    slot = place(venue, side, ticks, lots)
    assert venue.orders[slot].state == WORKING
    assert venue.n_executions == 0
    return slot


# 1: no book


def test_an_order_is_refused_before_any_book():
    assert arrive(Venue(), BUY, 50, 1, GTC, False, False) == (NO_BOOK, -1)


def test_one_side_is_book_enough():
    venue = market(asks=())
    assert venue.orders[resting(venue, BUY, 60, 1)].queue_ahead == 0.0


# 2, 3, 5, 6: taking


@pytest.mark.parametrize(
    ("side", "limit", "lots", "time_in_force", "fills", "state", "open_lots"),
    [
        (BUY, 52, 5, GTC, [(52, 5)], FILLED, 0),
        (BUY, 52, 8, GTC, [(52, 8)], FILLED, 0),
        (BUY, 52, 9, GTC, [(52, 8)], WORKING, 1),
        (BUY, 54, 40, GTC, [(52, 8), (53, 20)], WORKING, 12),
        (BUY, ANY_PRICE, 40, GTC, [(52, 8), (53, 20), (55, 12)], FILLED, 0),
        (BUY, ANY_PRICE, 99, GTC, [(52, 8), (53, 20), (55, 30)], CANCELED, 41),
        (BUY, 51, 5, IOC, [], CANCELED, 5),
        (BUY, 53, 40, IOC, [(52, 8), (53, 20)], CANCELED, 12),
        (BUY, 53, 28, FOK, [(52, 8), (53, 20)], FILLED, 0),
        (BUY, 53, 29, FOK, [], CANCELED, 29),
        (SELL, 50, 4, GTC, [(50, 4)], FILLED, 0),
        (SELL, 48, 31, GTC, [(50, 10), (49, 20)], WORKING, 1),
        (SELL, -ANY_PRICE, 60, IOC, [(50, 10), (49, 20), (47, 30)], FILLED, 0),
        (SELL, 49, 31, FOK, [], CANCELED, 31),
    ],
)
def test_taking_walks_the_levels(side, limit, lots, time_in_force, fills, state, open_lots):
    venue = market()
    slot = place(venue, side, limit, lots, time_in_force)
    assert drain(venue) == [(slot, ticks, part, False) for ticks, part in fills]
    assert (venue.orders[slot].state, venue.orders[slot].lots) == (state, open_lots)
    assert venue.position == side * sum(part for _, part in fills)


def test_what_was_taken_is_gone_until_the_level_shows_another_size():
    venue = market()
    place(venue, BUY, 52, 6, IOC)
    place(venue, BUY, 52, 6, IOC)
    assert [lots for _, _, lots, _ in drain(venue)] == [6, 2]
    place(venue, BUY, 52, 6, IOC)
    show(venue, bids=BIDS)
    place(venue, BUY, 52, 6, IOC)
    assert drain(venue) == []
    show(venue, asks=ASKS)
    place(venue, BUY, 52, 6, IOC)
    assert drain(venue) == []
    show(venue, asks=((51, 3), *ASKS))
    place(venue, BUY, 52, 6, IOC)
    assert [lots for _, _, lots, _ in drain(venue)] == [3]
    show(venue, asks=((52, 9), *ASKS[1:]))
    place(venue, BUY, 52, 6, IOC)
    assert [lots for _, _, lots, _ in drain(venue)] == [6]


def test_an_unknown_size_fills_whole():
    venue = market(asks=((52, NAN), (53, 5)))
    slot = place(venue, BUY, 60, 1_000, FOK)
    assert drain(venue) == [(slot, 52, 1_000, False)]


def test_a_part_of_a_lot_cannot_be_taken():
    venue = market(asks=((52, 2.5),))
    place(venue, BUY, 52, 5, IOC)
    assert [lots for _, _, lots, _ in drain(venue)] == [2]


# 4: post-only


@pytest.mark.parametrize(
    ("side", "limit", "answer"),
    [
        (BUY, 51, ACCEPTED),
        (BUY, 52, WOULD_TAKE),
        (BUY, ANY_PRICE, WOULD_TAKE),
        (SELL, 51, ACCEPTED),
        (SELL, 50, WOULD_TAKE),
        (SELL, -ANY_PRICE, WOULD_TAKE),
    ],
)
def test_post_only_never_takes(side, limit, answer):
    venue = market()
    assert arrive(venue, side, limit, 1, GTC, True, False)[0] == answer
    assert drain(venue) == []


# 7: reduce-only and no short sales


@pytest.mark.parametrize(
    ("position", "side", "lots", "answer", "accepted"),
    [
        (5, SELL, 3, ACCEPTED, 3),
        (5, SELL, 9, ACCEPTED, 5),
        (5, BUY, 3, NOTHING_TO_REDUCE, 0),
        (0, SELL, 3, NOTHING_TO_REDUCE, 0),
        (-4, BUY, 9, ACCEPTED, 4),
    ],
)
def test_reduce_only_is_cut_to_the_position(position, side, lots, answer, accepted):
    venue = market(position=position)
    got, slot = arrive(venue, side, 51, lots, GTC, False, True)
    assert got == answer
    assert slot < 0 or venue.orders[slot].lots == accepted


def test_reduce_only_orders_share_the_position():
    venue = market(position=5)
    place(venue, SELL, 54, 3, reduce_only=True)
    assert venue.orders[place(venue, SELL, 55, 3, reduce_only=True)].lots == 2
    assert arrive(venue, SELL, 56, 1, GTC, False, True)[0] == NOTHING_TO_REDUCE


def test_reduce_only_never_turns_the_position_round():
    """Another sale takes most of the position while the reduce-only one rests."""
    venue = market(position=5)
    slot = place(venue, SELL, 51, 5, reduce_only=True)
    place(venue, SELL, 50, 3, IOC)
    drain(venue)
    on_trade(venue, BUY, 51, 100.0)
    assert drain(venue) == [(slot, 51, 2, True)]
    assert venue.position == 0
    assert venue.orders[slot].state == CANCELED


def test_reduce_only_is_cancelled_by_the_venue_when_there_is_nothing_left():
    venue = market(position=5)
    slot = place(venue, SELL, 55, 5, reduce_only=True)
    place(venue, SELL, 50, 5, IOC)
    kinds = [(e.kind, e.slot) for e in venue.executions[: venue.n_executions]]
    assert kinds[-1] == (CANCEL, slot)
    assert venue.orders[slot].state == CANCELED
    assert venue.asks.n_orders == 0


@pytest.mark.parametrize(("lots", "answer"), [(3, ACCEPTED), (4, NO_SHORT)])
def test_without_short_sales_all_working_sells_are_covered(lots, answer):
    venue = market(position=5, can_short=False)
    place(venue, SELL, 55, 2)
    assert arrive(venue, SELL, 55, lots, GTC, False, False)[0] == answer


# 8, 9, 10: joining the queue


@pytest.mark.parametrize(
    ("side", "ticks", "ahead"),
    [
        (BUY, 50, 10.0),
        (BUY, 49, 20.0),
        (BUY, 51, 0.0),
        (BUY, 48, 0.0),
        (BUY, 46, NAN),
        (SELL, 52, 8.0),
        (SELL, 51, 0.0),
        (SELL, 54, 0.0),
        (SELL, 56, NAN),
    ],
)
def test_an_order_joins_behind_what_is_displayed(side, ticks, ahead):
    venue = market()
    got = venue.orders[resting(venue, side, ticks, 1)].queue_ahead
    assert got == ahead or (math.isnan(got) and math.isnan(ahead))


def test_an_unknown_price_stands_behind_all_when_it_first_shows():
    venue = market()
    slot = resting(venue, BUY, 45, 2)
    show(venue, bids=((47, 5), (45, 40)))
    assert venue.orders[slot].queue_ahead == 40.0
    show(venue, bids=((47, 5), (45, 60)))
    assert venue.orders[slot].queue_ahead == 40.0


def test_an_unknown_size_is_an_unknown_queue():
    venue = market(bids=((50, NAN),))
    slot = resting(venue, BUY, 50, 2)
    on_trade(venue, SELL, 50, 1_000.0)
    assert drain(venue) == []
    on_trade(venue, SELL, 49, 1.0)
    assert drain(venue) == [(slot, 50, 1, True)]


# 11: cancellations ahead


@pytest.mark.parametrize(
    ("bids", "ahead"),
    [
        (((50, 12),), 10.0),
        (((50, 10),), 10.0),
        (((50, 4),), 4.0),
        (((49, 9),), 0.0),
        (((51, 3), (49, 9)), 0.0),
        (((51, 3),), 10.0),
        (((51, 3), (50, NAN)), 10.0),
        ((), 10.0),
    ],
)
def test_a_smaller_displayed_size_lowers_the_queue(bids, ahead):
    venue = market()
    slot = resting(venue, BUY, 50, 1)
    show(venue, bids=bids, asks=())
    assert venue.orders[slot].queue_ahead == ahead


# 12, 13: trades


@pytest.mark.parametrize(
    ("aggressor", "ticks", "lots", "filled", "ahead"),
    [
        (SELL, 50, 4.0, 0, 6.0),
        (SELL, 50, 10.0, 0, 0.0),
        (SELL, 50, 12.0, 2, 0.0),
        (SELL, 50, 99.0, 5, 0.0),
        (SELL, 50, 11.5, 1, 0.0),
        (SELL, 49, 2.0, 2, 0.0),
        (SELL, 49, 99.0, 5, 0.0),
        (SELL, 51, 99.0, 0, 10.0),
        (BUY, 50, 99.0, 0, 10.0),
        (BUY, 49, 99.0, 0, 10.0),
        (0, 49, 99.0, 0, 10.0),
    ],
)
def test_a_trade_uses_the_queue_then_fills_us(aggressor, ticks, lots, filled, ahead):
    venue = market()
    slot = resting(venue, BUY, 50, 5)
    on_trade(venue, aggressor, ticks, lots)
    assert drain(venue) == ([(slot, 50, filled, True)] if filled else [])
    assert (venue.orders[slot].lots, venue.orders[slot].queue_ahead) == (5 - filled, ahead)


def test_the_mirror_for_sells():
    venue = market()
    slot = resting(venue, SELL, 52, 5)
    on_trade(venue, BUY, 52, 10.0)
    assert drain(venue) == [(slot, 52, 2, True)]
    on_trade(venue, BUY, 53, 1.0)
    assert drain(venue) == [(slot, 52, 1, True)]
    assert venue.position == -3


def test_a_trade_of_unknown_taker_touches_neither_side():
    venue = market()
    slots = [resting(venue, BUY, 51, 5), resting(venue, SELL, 51, 5)]
    on_trade(venue, 0, 51, 99.0)
    assert drain(venue) == []
    assert [venue.orders[slot].state for slot in slots] == [WORKING, WORKING]


# 14: priority, and no lot twice


def test_better_prices_first_and_no_lot_twice():
    venue = market()
    late = resting(venue, BUY, 49, 4)
    early = resting(venue, BUY, 51, 3)
    on_trade(venue, SELL, 48, 5.0)
    assert drain(venue) == [(early, 51, 3, True), (late, 49, 2, True)]


def test_two_orders_at_one_price_share_a_trade():
    """5 of the market, ours of 3, 3 more of the market, ours of 2: a trade of 10 ends a lot before them."""
    venue = market(bids=((50, 5),))
    first = resting(venue, BUY, 50, 3)
    show(venue, bids=((50, 8),))
    second = resting(venue, BUY, 50, 2)
    on_trade(venue, SELL, 50, 10.0)
    assert drain(venue) == [(first, 50, 3, True)]
    assert venue.orders[second].queue_ahead == 1.0
    on_trade(venue, SELL, 50, 2.0)
    assert drain(venue) == [(second, 50, 1, True)]


def test_a_small_trade_moves_all_our_orders_of_the_price():
    venue = market(bids=((50, 5),))
    first = resting(venue, BUY, 50, 3)
    second = resting(venue, BUY, 50, 3)
    on_trade(venue, SELL, 50, 4.0)
    assert [venue.orders[slot].queue_ahead for slot in (first, second)] == [1.0, 1.0]
    on_trade(venue, SELL, 50, 6.0)
    assert drain(venue) == [(first, 50, 3, True), (second, 50, 2, True)]


# 15: unknown taker, and prices off the grid


@pytest.mark.parametrize(
    ("price", "mid", "aggressor"), [(0.51, 0.5, BUY), (0.49, 0.5, SELL), (0.5, 0.5, 0), (0.5, NAN, 0)]
)
def test_the_quote_test(price, mid, aggressor):
    assert aggressor_by_quote(price, mid) == aggressor


def test_off_the_grid_a_trade_is_at_our_price_not_through_it():
    assert trade_ticks(0.505, SELL, 1, 100) == 51
    assert trade_ticks(0.505, BUY, 1, 100) == 50


def test_levels_off_the_grid_go_away_from_the_other_side():
    venue = Venue()
    load_side(venue, BUY, 2, [0.509, 0.502], [3.0, 4.0])
    load_side(venue, SELL, 2, [0.511, 0.519], [5.0, 6.0])
    assert (venue.bids.n_levels, venue.bids.ticks[0], venue.bids.lots[0]) == (1, 50, 7.0)
    assert (venue.asks.n_levels, venue.asks.ticks[0], venue.asks.lots[0]) == (1, 52, 11.0)


@pytest.mark.parametrize(
    ("size", "lots"), [(0.7, 7.0), (0.29, 2.9), (0.29999999999, 3.0), (1e300, 1e301), (0.0, 0.0)]
)
def test_sizes_of_the_market_in_lots(size, lots):
    assert market_lots(size, 1, 10) == pytest.approx(lots, rel=1e-12)


# 16, 17: a book at or through our price


@pytest.mark.parametrize(
    ("asks", "filled"),
    [
        (((50, 3), (51, 9)), 3),
        (((49, 3), (50, 1), (51, 9)), 4),
        (((49, 30),), 5),
        (((50, NAN),), 5),
        (((51, 30),), 0),
    ],
)
def test_a_book_through_our_price_fills_at_our_price(asks, filled):
    venue = market()
    slot = resting(venue, BUY, 50, 5)
    done = show(venue, bids=((48, 10),), asks=asks)
    assert sum(lots for _, _, lots, _ in done) == filled
    assert {(where, ticks, maker) for where, ticks, _, maker in done} <= {(slot, 50, True)}
    assert filled == 5 or venue.orders[slot].queue_ahead == 0.0


def test_the_displayed_size_fills_only_one_of_our_orders():
    venue = market()
    late = resting(venue, BUY, 50, 5)
    early = resting(venue, BUY, 51, 5)
    assert show(venue, bids=(), asks=((49, 7),)) == [(early, 51, 5, True), (late, 50, 2, True)]


# 18: cancel and replace


def test_cancel_ends_an_order_once():
    venue = market()
    slot = resting(venue, BUY, 50, 5)
    assert cancel(venue, slot)
    assert not cancel(venue, slot)
    on_trade(venue, SELL, 40, 99.0)
    assert drain(venue) == []


@pytest.mark.parametrize(
    ("ticks", "lots", "time_in_force", "ahead"),
    [
        (50, 5, GTC, 4.0),
        (50, 2, GTC, 4.0),
        (50, 6, GTC, 30.0),
        (49, 5, GTC, 20.0),
        (51, 5, GTC, 0.0),
    ],
)
def test_replacing_keeps_the_place_only_at_the_price_and_no_larger(ticks, lots, time_in_force, ahead):
    venue = market()
    slot = resting(venue, BUY, 50, 5)
    show(venue, bids=((50, 4), (49, 20)))
    show(venue, bids=((50, 30), (49, 20)))
    answer, new = replace(venue, slot, BUY, ticks, lots, time_in_force, False, False)
    assert answer == ACCEPTED
    assert (venue.orders[new].state, venue.orders[new].lots, venue.orders[new].queue_ahead) == (
        WORKING,
        lots,
        ahead,
    )
    assert venue.bids.n_orders == 1


def test_a_replacement_may_take():
    venue = market()
    slot = resting(venue, BUY, 50, 5)
    _, new = replace(venue, slot, BUY, 52, 5, GTC, False, False)
    assert drain(venue) == [(new, 52, 5, False)]
    assert venue.bids.n_orders == 0


def test_a_refused_replacement_changes_nothing():
    venue = market()
    slot = resting(venue, BUY, 50, 5)
    assert replace(venue, slot, BUY, 52, 5, GTC, True, False) == (WOULD_TAKE, -1)
    order = venue.orders[slot]
    assert (order.state, order.ticks, order.lots, order.queue_ahead) == (WORKING, 50, 5, 10.0)


def test_only_a_working_order_can_be_replaced():
    venue = market()
    slot = resting(venue, BUY, 50, 5)
    cancel(venue, slot)
    assert replace(venue, slot, BUY, 49, 5, GTC, False, False) == (NOT_WORKING, -1)


def test_a_replaced_reduce_only_order_frees_its_part_of_the_position():
    venue = market(position=5)
    slot = place(venue, SELL, 55, 5, reduce_only=True)
    answer, new = replace(venue, slot, SELL, 54, 9, GTC, False, True)
    assert (answer, venue.orders[new].lots) == (ACCEPTED, 5)


def test_a_full_venue_refuses_but_still_replaces():
    venue = market()
    slots = [resting(venue, BUY, 40, 1) for _ in range(MAX_VENUE_ORDERS)]
    assert arrive(venue, BUY, 40, 1, GTC, False, False) == (NO_SLOT, -1)
    assert replace(venue, slots[3], BUY, 41, 1, GTC, False, False) == (ACCEPTED, slots[3])
    cancel(venue, slots[0])
    assert arrive(venue, BUY, 40, 1, GTC, False, False) == (ACCEPTED, slots[0])


# 19: fees


def test_fees_are_a_part_of_the_value():
    cents = Instrument(tick_size="0.01", lot_size="0.1", multiplier=10.0, maker_fee=-0.0001, taker_fee=0.001)
    venue = venue_for(cents)
    load_side(venue, BUY, 1, [0.5], [1.0])
    load_side(venue, SELL, 1, [0.52], [0.4])
    place(venue, BUY, 52, 4)
    place(venue, BUY, 51, 5)
    on_trade(venue, SELL, 51, 5.0)
    fees = [e.fee for e in venue.executions[: venue.n_executions]]
    assert fees == pytest.approx([0.52 * 0.4 * 10 * 0.001, -0.51 * 0.5 * 10 * 0.0001], rel=1e-12)
