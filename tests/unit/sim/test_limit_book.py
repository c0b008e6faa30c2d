"""The order book against a slow one that keeps every order in one list."""

from hypothesis import given
from hypothesis import strategies as st

from ami_engine.kernels.venue import BUY, SELL
from ami_engine.sim.limit_book import LimitBook

PRICES = st.integers(40, 60)
LOTS = st.integers(1, 20)
ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("rest"), st.sampled_from([BUY, SELL]), PRICES, LOTS),
        st.tuples(st.just("take"), st.sampled_from([BUY, SELL]), PRICES, LOTS),
        st.tuples(st.just("leave"), st.integers(0, 50)),
        st.tuples(st.just("reduce"), st.integers(0, 50), LOTS),
    ),
    max_size=60,
)


class OneList:
    """Orders as [side, ticks, lots] in the order of their arrival; the best is looked for each time."""

    def __init__(self):
        self.orders = []

    def take(self, side, limit, lots):
        prints = {}
        while lots > 0:
            other = [order for order in self.orders if order[0] == -side and side * (limit - order[1]) >= 0]
            if not other:
                break
            best = min(other, key=lambda order: side * order[1])  # min keeps the first of equals
            part = min(lots, best[2])
            lots -= part
            best[2] -= part
            prints[best[1]] = prints.get(best[1], 0) + part
            if best[2] == 0:
                self.orders = [order for order in self.orders if order is not best]
        return list(prints.items())

    def shown(self, side):
        levels = {}
        for order in self.orders:
            if order[0] == side:
                levels[order[1]] = levels.get(order[1], 0) + order[2]
        return sorted(levels.items(), key=lambda level: -side * level[0])


@given(ACTS)
def test_it_does_what_a_list_of_orders_does(acts):
    """An arriving order takes what it reaches first, so that the book is never crossed."""
    book, slow = LimitBook(lambda entry, lots: 0), OneList()
    pairs = []
    came = traded = left = 0
    for name, *what in acts:
        if name == "rest":
            side, ticks, lots = what
            prints = book.take(side, ticks, lots)
            assert prints == slow.take(side, ticks, lots)
            taken = sum(part for _, part in prints)
            came += lots
            traded += 2 * taken
            if lots > taken:
                slow.orders.append([side, ticks, lots - taken])
                pairs.append(
                    (book.rest(side, ticks, lots - taken, patient=len(pairs) % 2 == 0), slow.orders[-1])
                )
        elif name == "take":
            prints = book.take(*what)
            assert prints == slow.take(*what)
            traded += sum(part for _, part in prints)  # the taker's own lots never came into the book
        elif pairs:
            entry, order = pairs[what[0] % len(pairs)]
            assert entry.lots == order[2]
            lots = entry.lots if name == "leave" else min(what[1], entry.lots)
            left += lots
            if name == "leave":
                book.leave(entry)
            elif lots:
                book.reduce(entry, lots)
            order[2] -= lots
            slow.orders = [other for other in slow.orders if other[2] > 0]
        check(book, slow)
    resting = sum(order[2] for order in slow.orders)
    assert came == traded + left + resting


def check(book, slow):
    for side in (BUY, SELL):
        assert book.shown(side, 100) == slow.shown(side)
        assert book.side(side).others == sum(lots for _, lots in slow.shown(side))
        best = slow.shown(side)[0][0] if slow.shown(side) else None
        assert book.side(side).best == best
    bids, asks = slow.shown(BUY), slow.shown(SELL)
    assert not bids or not asks or bids[0][0] < asks[0][0]
    assert all(entry.lots > 0 and book.patient[entry.place] is entry for entry in book.patient)
