"""Shadows beside real orders of the LOBSTER hour: what each model of the queue may get wrong, and what not.

The whole study, with its figures, is benchmarks/queue_models.
"""

import gzip
from itertools import islice

import pytest

from benchmarks.queue_models.hour import BUY, FOLDER, SELL, RealBook, read_hour
from benchmarks.queue_models.shadows import follow_exactly, follow_models
from benchmarks.queue_models.study import sample

ROWS = 7_000
MODELS = ("conservative", "power 3", "all ahead", "no queue", "trade through")


@pytest.fixture(scope="module")
def hour(mdm_data):
    return read_hour(mdm_data, ROWS)


@pytest.fixture(scope="module")
def orders(hour):
    return sample(hour, 60)


@pytest.fixture(scope="module")
def exact(hour, orders, mdm_data):
    return follow_exactly(hour, orders, mdm_data)


@pytest.fixture(scope="module")
def outcomes(hour, orders):
    return follow_models(hour, orders, MODELS)


def part(outcomes, is_so):
    outcomes = list(outcomes)
    assert len(outcomes) >= 15
    return sum(map(is_so, outcomes)) / len(outcomes)


def all_kept(outcomes):
    """All but the rare orders that others overtook in the data: nobody can tell their queue."""
    return [outcome for outcome in outcomes if not outcome.order.overtaken]


def filled(outcomes):
    return [outcome for outcome in all_kept(outcomes) if outcome.order.filled]


def unfilled(outcomes):
    return [outcome for outcome in all_kept(outcomes) if not outcome.order.filled]


def shares(outcomes):
    return sum(outcome.at_end for outcome in outcomes)


def test_the_truth_is_the_book_of_the_file(hour, mdm_data):
    book = RealBook(hour.opening)
    right = 0
    with gzip.open(mdm_data / FOLDER / "AAPL_2012-06-21_orderbook_50.top1.csv.gz", "rt") as tops:
        for row, top in zip(hour.rows[1:], islice(tops, 1, None), strict=False):
            book.apply(row)
            best = [
                (book.sides[side].best(), book.sides[side].sizes[book.sides[side].best()])
                for side in (SELL, BUY)
            ]
            right += [cell for level in best for cell in level] == [int(cell) for cell in top.split(",")]
    assert right / (ROWS - 1) > 0.99


def test_told_every_order_the_broker_agrees_with_the_truth(exact):
    assert part(exact, lambda o: o.order.overtaken) < 0.01
    assert part(filled(exact), lambda o: (o.first, o.at_end) == (o.order.first, o.order.filled)) == 1.0
    assert part(unfilled(exact), lambda o: (o.at_end, o.ahead) == (0, o.true_ahead)) == 1.0


def test_conservative_fills_nothing_false_and_nothing_early(outcomes):
    assert part(unfilled(outcomes["conservative"]), lambda o: o.at_end == 0) == 1.0
    assert part(filled(outcomes["conservative"]), lambda o: o.first >= o.order.first or o.first < 0) == 1.0
    assert part(filled(outcomes["conservative"]), lambda o: o.first == o.order.first) >= 0.7


def test_the_true_queue_is_between_the_two_bounds(outcomes):
    for bound, sign in (("conservative", 1), ("all ahead", -1)):
        working = [o for o in unfilled(outcomes[bound]) if o.ahead == o.ahead]
        assert part(working, lambda o, sign=sign: sign * (o.ahead - o.true_ahead) >= 0) == 1.0


def test_the_models_are_ordered(outcomes):
    """From those that fill too little to those that fill too much."""
    filled_shares = [
        shares(outcomes[name]) for name in ("trade through", "conservative", "all ahead", "no queue")
    ]
    assert filled_shares == sorted(filled_shares)
    assert shares(outcomes["conservative"]) <= shares(outcomes["power 3"]) <= shares(outcomes["no queue"])
    assert part(filled(outcomes["no queue"]), lambda o: o.first < o.order.first) > 0.1
    assert part(filled(outcomes["trade through"]), lambda o: o.first > o.order.first or o.first < 0) > 0.8
