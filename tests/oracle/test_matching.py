"""The queue of kernels/matching.py against one that counts lot by lot."""

from hypothesis import given
from hypothesis import strategies as st

from ami_engine.kernels.matching import ACCEPTED, apply_book, arrive, on_trade
from ami_engine.kernels.venue import BUY, GTC, SELL, WORKING, Venue, load_side
from tests.oracle.matching_oracle import TokenQueues

PRICES = (48, 49, 50)

books = st.tuples(*[st.integers(1, 12)] * len(PRICES)).map(lambda lots: dict(zip(PRICES, lots, strict=True)))
acts = st.one_of(
    st.tuples(st.just("join"), st.sampled_from(PRICES), st.integers(1, 5)),
    st.tuples(st.just("sell"), st.sampled_from(PRICES), st.integers(1, 25)),
    st.tuples(st.just("show"), books, st.just(0)),
)


def show(venue, displayed):
    levels = sorted(displayed.items(), reverse=True)
    load_side(venue, BUY, len(levels), [t / 100 for t, _ in levels], [float(n) for _, n in levels])
    apply_book(venue)


@given(books, st.lists(acts, max_size=25))
def test_queue_and_fills_are_those_of_the_lot_by_lot_queue(displayed, script):
    venue, oracle = Venue(), TokenQueues()
    names: dict[int, str] = {}
    slots: dict[str, int] = {}
    fills: list[tuple[str, int]] = []
    show(venue, displayed)
    for n, (act, subject, lots) in enumerate(script):
        venue.now_ns += 1_000_000_000  # so no book foretells a trade
        if act == "join":
            answer, slot = arrive(venue, BUY, subject, lots, GTC, False, False)
            assert answer == ACCEPTED
            names[slot] = f"order {n}"
            slots[names[slot]] = slot
            oracle.join(names[slot], subject, lots, displayed[subject])
        elif act == "sell":
            # As in an event: the trade first, then what the market shows after it.
            on_trade(venue, SELL, subject, float(lots))
            oracle.sell(subject, lots)
            for execution in venue.executions[: venue.n_executions]:
                fills += [(names[execution.slot], execution.ticks)] * execution.lots
            venue.n_executions = 0
            show(venue, displayed)
            oracle.show(displayed)
        else:
            displayed = subject
            show(venue, displayed)
            oracle.show(displayed)
        assert fills == oracle.fills
        for name, slot in slots.items():
            ahead = oracle.ahead(name)
            if ahead is None:
                assert names[slot] != name or venue.orders[slot].state != WORKING
            else:
                assert venue.orders[slot].queue_ahead == ahead
