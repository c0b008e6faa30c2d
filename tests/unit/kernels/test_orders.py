"""Own orders: wanted against working, exits, and what evidence changes."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_engine.kernels.book import Book
from ami_engine.kernels.orders import (
    AWAITING,
    CANCEL,
    CANCELING,
    FREE,
    FULL,
    GTC,
    IOC,
    KEPT,
    LIVE,
    MAX_ORDER_SLOTS,
    NO_CANCEL,
    REPLACE,
    SENT,
    SUBMIT,
    THROTTLED,
    UNKNOWN,
    Intents,
    Orders,
    OrderSlot,
    Wanted,
    acknowledge,
    cancel_orders,
    count_open,
    end_order,
    exit_position,
    fail_cancel,
    fill_order,
    find_working,
    follow_queues,
    lose_order,
    open_lots,
    reach_wanted,
    reject_order,
    remaining_lots,
    request_cancel,
)

BUY, SELL = 1, -1


def orders(*slots: OrderSlot, can_cancel=1, can_replace=0) -> Orders:
    """A market whose first slots are these."""
    made = Orders(can_cancel=can_cancel, can_replace=can_replace, used=len(slots))
    made.slots[: len(slots)] = slots
    return made


def slot(side=BUY, price=50, lots=5, status=LIVE, **terms) -> OrderSlot:
    return OrderSlot(status=status, side=side, price_ticks=price, lots=lots, **terms)


def want(side=BUY, price=50, lots=5, **terms) -> Wanted:
    return Wanted(side=side, price_ticks=price, lots=lots, **terms)


def written(intents):
    return intents.items[: intents.n]


def reach(working, *wanted, now_ns=0, throttle_ns=0, min_requote=1):
    intents = Intents()
    spare = want(level=7)  # beyond the count: not wanted
    why = reach_wanted(working, [*wanted, spare], len(wanted), now_ns, throttle_ns, min_requote, intents)
    return why, [(i.op, i.slot, i.replaces) for i in written(intents)]


# ---------------------------------------------------------------- counts


def test_all_that_may_fill_counts_in_full():
    made = orders(
        slot(status=SENT), slot(status=LIVE, filled_lots=2), slot(status=CANCELING), slot(status=UNKNOWN),
        slot(status=FREE), slot(SELL, lots=7),
    )  # fmt: skip
    assert (open_lots(made, BUY), open_lots(made, SELL), count_open(made)) == (18, 7, 5)
    assert [remaining_lots(made.slots[i]) for i in range(6)] == [5, 3, 5, 5, 0, 7]


def test_the_newest_order_of_a_level_is_the_working_one_exits_apart():
    made = orders(
        slot(step=1), slot(step=3, is_exit=1), slot(step=2), slot(step=9, level=1), slot(step=9, status=FREE)
    )
    assert find_working(made, BUY, 0) == 2
    assert find_working(made, BUY, 1) == 3
    assert find_working(made, SELL, 0) == -1


# ---------------------------------------------------------------- wanted against working

CASES = {
    "nothing works": (Orders(can_cancel=1), want(), {}, KEPT, [(SUBMIT, 0, -1)]),
    "the same": (slot(), want(), {}, KEPT, []),
    "more is wanted": (slot(lots=2), want(lots=5), {}, KEPT, []),
    "filled in part": (slot(filled_lots=3), want(), {}, KEPT, []),
    "moved": (slot(), want(price=51), {}, AWAITING, [(CANCEL, 0, -1)]),
    "moved too little": (slot(), want(price=51), {"min_requote": 2}, THROTTLED, []),
    "moved too early": (slot(), want(price=51), {"now_ns": 9, "throttle_ns": 10}, THROTTLED, []),
    "moved in time": (slot(), want(price=51), {"now_ns": 10, "throttle_ns": 10}, AWAITING, [(CANCEL, 0, -1)]),
    "shrinks": (slot(), want(lots=4), {"throttle_ns": 10**9}, AWAITING, [(CANCEL, 0, -1)]),
    "shrinks below what is left": (slot(filled_lots=2), want(lots=3), {}, KEPT, []),
    "aged": (slot(ttl_ns=5), want(), {"now_ns": 5}, AWAITING, [(CANCEL, 0, -1)]),
    "not aged": (slot(ttl_ns=5), want(), {"now_ns": 4}, KEPT, []),
    "another kind": (slot(), want(post_only=1), {}, AWAITING, [(CANCEL, 0, -1)]),
    "now takes": (slot(), want(takes=1, tif=IOC), {}, AWAITING, [(CANCEL, 0, -1)]),
    "not answered yet": (slot(status=SENT), want(price=51), {}, AWAITING, []),
    "being cancelled": (slot(status=CANCELING), want(price=51), {}, AWAITING, []),
    "unknown": (slot(status=UNKNOWN), want(price=51), {}, AWAITING, []),
    "refused by a guard": (slot(), want(price=51, allowed=0), {}, KEPT, []),
    "not wanted": (slot(SELL), want(), {}, KEPT, [(CANCEL, 0, -1), (SUBMIT, 1, -1)]),
    "unknown and not wanted": (
        slot(SELL, status=UNKNOWN),
        want(),
        {},
        KEPT,
        [(CANCEL, 0, -1), (SUBMIT, 1, -1)],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_one_level_is_brought_to_its_wanted_order(name):
    working, wanted, terms, why, intents = CASES[name]
    made = working if isinstance(working, Orders) else orders(working)
    if not isinstance(working, Orders):
        made = orders(OrderSlot(**{f: getattr(working, f) for f in working.__slots__}))
    if isinstance(working, Orders):
        made = Orders(can_cancel=1)
    assert reach(made, wanted, **terms) == (why, intents)


def test_a_replacement_takes_a_slot_of_its_own_and_both_count():
    made = orders(slot(filled_lots=1), can_replace=1)
    assert reach(made, want(price=51)) == (KEPT, [(REPLACE, 1, 0)])
    assert [made.slots[i].status for i in (0, 1)] == [CANCELING, SENT]
    assert open_lots(made, BUY) == 4 + 5


def test_a_taking_order_does_not_replace_in_one_act():
    made = orders(slot(), can_replace=1)
    assert reach(made, want(takes=1, tif=IOC)) == (AWAITING, [(CANCEL, 0, -1)])


def test_without_cancel_a_level_waits_for_its_order():
    made = orders(slot(), can_cancel=0)
    assert reach(made, want(price=51)) == (NO_CANCEL, [])
    assert reach(made) == (KEPT, [])
    assert made.slots[0].status == LIVE


def test_a_full_table_says_so():
    made = orders(*[slot(level=i % 15, side=BUY if i < 32 else SELL) for i in range(MAX_ORDER_SLOTS)])
    assert reach(made, *[want(level=i) for i in range(16)], want(SELL, level=15))[0] == FULL
    made.can_replace = 1
    assert reach(made, want(price=51))[0] == FULL
    assert made.slots[0].status in (LIVE, CANCELING)


def test_a_cancel_is_asked_once_until_it_fails():
    made, intents = orders(slot(), slot(status=UNKNOWN)), Intents()
    assert [request_cancel(made, i, 7, intents) for i in (0, 1, 0, 1)] == [1, 1, 1, 1]
    assert [i.slot for i in written(intents)] == [0, 1]
    assert made.slots[1].status == UNKNOWN  # a cancel is no evidence
    for i in (0, 1):
        fail_cancel(made, i)
    assert [made.slots[i].status for i in (0, 1)] == [LIVE, UNKNOWN]
    assert [request_cancel(made, i, 8, intents) for i in (0, 1)] == [1, 1]
    assert intents.n == 4


def test_a_cancel_without_room_is_asked_for_another_time():
    made, intents = orders(slot(), slot()), Intents(most=1)
    assert cancel_orders(made, 0, 7, 0, intents) == 1
    assert [made.slots[i].status for i in (0, 1)] == [CANCELING, LIVE]
    intents.n = 0
    assert cancel_orders(made, 0, 8, 0, intents) == 0
    assert [i.slot for i in written(intents)] == [1]


def test_only_sides_that_can_increase_are_pulled():
    made, intents = orders(slot(BUY, lots=3), slot(SELL, lots=3)), Intents()
    assert cancel_orders(made, 5, 0, 1, intents) == 0
    assert [i.slot for i in written(intents)] == [0]  # long 5: the sale of 3 cannot flip it
    made, intents = orders(slot(BUY, lots=3), slot(SELL, lots=6)), Intents()
    cancel_orders(made, 5, 0, 1, intents)
    assert [i.slot for i in written(intents)] == [0, 1]
    assert cancel_orders(orders(slot(), slot(status=SENT), can_cancel=0), 0, 0, 0, Intents()) == 2


# ---------------------------------------------------------------- exits


def leave(made, position, touch=50, slippage=2):
    intents = Intents()
    exit_position(made, position, touch, slippage, 0, intents)
    return [(i.op, i.slot) for i in written(intents)]


def test_an_exit_cancels_first_and_waits_for_the_confirmation():
    made = orders(slot(SELL), slot(BUY))
    assert leave(made, 5) == [(CANCEL, 0), (CANCEL, 1)]
    assert leave(made, 5) == []
    end_order(made, 0)
    assert leave(made, 5) == []
    end_order(made, 1)
    assert leave(made, 5) == [(SUBMIT, 0)]
    sale = made.slots[0]
    assert (sale.side, sale.price_ticks, sale.lots, sale.tif, sale.reduce_only, sale.is_exit) == (
        SELL,
        48,
        5,
        IOC,
        1,
        1,
    )
    assert leave(made, 5) == []  # one at a time


def test_a_short_is_bought_back_above_the_touch():
    made = Orders(can_cancel=1)
    leave(made, -3)
    assert (made.slots[0].side, made.slots[0].price_ticks, made.slots[0].lots) == (BUY, 52, 3)


def test_what_cannot_be_pulled_and_may_fill_is_left_out_of_the_exit():
    made = orders(
        slot(SELL, lots=2, status=UNKNOWN, cancel_ns=1), slot(BUY, lots=9, status=UNKNOWN, cancel_ns=1)
    )
    assert leave(made, 5) == [(SUBMIT, 2)]
    assert made.slots[2].lots == 3
    assert leave(orders(slot(SELL, lots=5), can_cancel=0), 5) == []


def test_a_waiting_exit_is_not_cancelled():
    made, intents = orders(slot(SELL, is_exit=1)), Intents()
    cancel_orders(made, 5, 0, 0, intents)
    assert intents.n == 0


# ---------------------------------------------------------------- evidence


def test_an_acknowledged_replacement_ends_what_it_replaced():
    made = orders(slot(status=CANCELING), slot(status=SENT, replaces=0))
    acknowledge(made, 1)
    assert [made.slots[i].status for i in (0, 1)] == [FREE, LIVE]


def _reject(made, i):
    reject_order(made, i, 0)


def test_a_rejected_level_waits_for_the_throttle():
    made = orders(slot(status=SENT, side=1, level=0))
    reject_order(made, 0, 100)
    intents = Intents()
    wanted = [Wanted(side=1, price_ticks=50, lots=1), Wanted(side=-1, price_ticks=52, lots=1)]
    assert reach_wanted(made, wanted, 2, 150, 60, 1, intents) == THROTTLED
    assert intents.n == 1  # the other side is not held back
    acknowledge(made, intents.items[0].slot)
    assert reach_wanted(made, wanted, 2, 160, 60, 1, intents) == KEPT
    assert intents.n == 2


def test_a_refused_replacement_leaves_the_old_one_working():
    made = orders(slot(status=CANCELING, cancel_ns=5), slot(status=SENT, replaces=0))
    reject_order(made, 1, 5)
    assert [made.slots[i].status for i in (0, 1)] == [LIVE, FREE]
    assert (made.slots[0].cancel_ns, made.used) == (0, 1)


def test_a_lost_replacement_leaves_both_unknown():
    made = orders(slot(status=CANCELING), slot(status=SENT, replaces=0))
    lose_order(made, 1)
    assert [made.slots[i].status for i in (0, 1)] == [UNKNOWN, UNKNOWN]
    acknowledge(made, 1)  # the new one is there: the old one is not
    assert [made.slots[i].status for i in (0, 1)] == [FREE, LIVE]


def test_an_ended_order_is_not_revived_by_late_news():
    made = orders(slot(status=FREE), slot())
    for late in (acknowledge, lose_order, _reject, fail_cancel, end_order):
        late(made, 0)
        assert made.slots[0].status == FREE


def test_the_old_order_filling_whole_frees_the_new_one_from_it():
    made = orders(slot(status=CANCELING), slot(status=SENT, replaces=0))
    fill_order(made, 0, 5, 0.5)
    assert [made.slots[i].status for i in (0, 1)] == [FREE, SENT]
    assert made.slots[1].replaces == -1


@pytest.mark.parametrize("status", [SENT, LIVE, CANCELING, UNKNOWN])
def test_a_fill_is_evidence_and_a_full_one_the_end(status):
    made = orders(slot(status=status, lots=3))
    fill_order(made, 0, 1, 0.5)
    assert made.slots[0].status == (CANCELING if status == CANCELING else LIVE)
    assert remaining_lots(made.slots[0]) == 2
    fill_order(made, 0, 2, 0.25)
    assert (made.slots[0].status, made.slots[0].filled_lots, made.slots[0].paid, made.used) == (
        FREE,
        3,
        1.0,
        0,
    )


def test_a_fill_of_a_replacement_shows_that_the_old_one_is_gone():
    made = orders(slot(status=CANCELING), slot(status=SENT, replaces=0, lots=3))
    fill_order(made, 1, 1, 0.5)
    assert [made.slots[i].status for i in (0, 1)] == [FREE, LIVE]


def test_queues_are_what_was_displayed_and_only_shrink():
    made = orders(slot(price=49), slot(price=50), slot(SELL, price=52, takes=1), slot(price=40))
    shown = Book(bid=0.49, n_bids=1)
    shown.bid_prices[0], shown.bid_sizes[0] = 0.49, 30.0
    follow_queues(made, shown, 1, 100)
    assert [made.slots[i].queue_ahead for i in (0, 1)] == [30.0, 0.0]  # better than the best: nothing ahead
    assert math.isnan(made.slots[3].queue_ahead)
    shown.bid_sizes[0] = 90.0
    follow_queues(made, shown, 1, 100)
    assert made.slots[0].queue_ahead == 30.0
    shown.bid_sizes[0] = 4.0
    follow_queues(made, shown, 1, 100)
    assert made.slots[0].queue_ahead == 4.0


# ---------------------------------------------------------------- whatever happens

steps = st.lists(
    st.tuples(
        st.sampled_from(["reach", "ack", "reject", "lose", "end", "fill", "fail", "pull", "exit"]),
        st.integers(0, 5), st.integers(1, 4), st.sampled_from([BUY, SELL]), st.integers(0, 2),
    ),
    max_size=60,
)  # fmt: skip


@given(steps, st.booleans(), st.booleans())
def test_slots_stay_sound(taken, can_cancel, can_replace):
    """Free from `used` on; no two slots replace one; nothing is filled beyond; at most one order sent a level."""
    made = Orders(can_cancel=int(can_cancel), can_replace=int(can_replace))
    for now_ns, (what, i, lots, side, level) in enumerate(taken):
        intents = Intents()
        busy = i < made.used and made.slots[i].status != FREE
        if what == "reach":
            before = find_working(made, side, level)
            reach_wanted(made, [want(side, 50 + i, lots, level=level, tif=GTC)], 1, now_ns, 0, 1, intents)
            submits = [intent for intent in written(intents) if intent.op == SUBMIT]
            assert not submits or before < 0
        elif what == "pull":
            cancel_orders(made, 0, now_ns, 0, intents)
        elif what == "exit":
            exit_position(made, side * lots, 50, 2, now_ns, intents)
        elif what == "fill" and busy:
            fill_order(made, i, min(lots, remaining_lots(made.slots[i])), 0.5)
        elif busy:
            {
                "ack": acknowledge,
                "reject": _reject,
                "lose": lose_order,
                "end": end_order,
                "fail": fail_cancel,
            }.get(what, end_order)(made, i)
        for intent in written(intents):
            if intent.op != CANCEL:
                made.slots[intent.slot].step = now_ns
        assert all(order.status == FREE for order in made.slots[made.used :])
        assert made.used == 0 or made.slots[made.used - 1].status != FREE
        pointed = [order.replaces for order in made.slots[: made.used] if order.replaces >= 0]
        assert len(set(pointed)) == len(pointed)
        assert all(made.slots[k].status != FREE for k in pointed)
        assert all(0 <= order.filled_lots <= order.lots for order in made.slots[: made.used])
