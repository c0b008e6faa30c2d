"""The LOBSTER hour: every message, its opening book, and the book in step, against the README's counts."""

import gzip
from collections import Counter
from itertools import islice, pairwise

import pytest

from ami_engine.adapters.lobster import LobsterSource
from ami_engine.kernels.book import Book
from ami_engine.kernels.book_builder import BookBuilder, build
from decision_schema.decode_event import decode_event
from decision_schema.reasons import OK

ROWS = 91_997
BY_TYPE = {"add": 44_256, "reduce": 469, "delete": 41_004, "execute": 4_067, "hidden": 2_201}
NO_PRICE = 9_999_999_999


@pytest.fixture
def folder(mdm_data):
    return mdm_data / "lobster-aapl-20120621"


@pytest.fixture
def messages(folder):
    return folder / "AAPL_2012-06-21_message_50.csv.gz"


def tops(folder):
    with gzip.open(folder / "AAPL_2012-06-21_orderbook_50.top1.csv.gz", "rt") as rows:
        for row in rows:
            ask, ask_size, bid, bid_size = (int(cell) for cell in row.split(","))
            yield [(bid / 10_000, bid_size)], [(ask / 10_000, ask_size)]


def kind(event):
    return event["order_messages"][0]["op"] if "order_messages" in event else "hidden"


def test_every_message_once_by_its_type(messages):
    source = LobsterSource(messages)
    got = list(iter(source.next_event, None))
    assert Counter(kind(event) for event in got) == BY_TYPE
    assert sum(len(event.get("trades", ())) for event in got) == 6_268
    assert [event["seq"] for event in got] == list(range(1, ROWS + 1))
    stamps = [event["ts_ns"] for event in got]
    assert stamps[0] == 1_340_285_400_004_241_176
    assert sum(one == other for one, other in pairwise(stamps)) == 5_898
    assert max(other - one for one, other in pairwise(stamps)) // 10**7 == 306
    assert set(source.counts) == {"repeated_row"}
    off_tick = [
        trade for event in got for trade in event.get("trades", ()) if round(trade["price"] * 10_000) % 100
    ]
    assert len(off_tick) == 19
    assert source.progress() == 1.0


def test_the_opening_book_then_changes_build_the_tops(folder, messages):
    """The book builder follows the messages to the oracle's top in 99.9 % of rows, as the README found."""
    source = LobsterSource(messages, opening_book=folder / "AAPL_2012-06-21_orderbook_50.first672.csv.gz")
    builder, book, staged = BookBuilder(), Book(), Book()
    right = 0
    for event, (bids, asks) in zip(iter(source.next_event, None), tops(folder), strict=True):
        assert ("bids" in event) == (event["seq"] == 1)
        if event["seq"] == 1:
            assert (len(event["bids"]), len(event["asks"])) == (50, 40)
        decoded = decode_event(event)
        if decoded.has_book and build(builder, book, decoded, staged, 0.0, 1e6) == OK:
            book, staged = staged, book
        right += (book.bid, book.bid_sizes[0], book.ask, book.ask_sizes[0]) == (*bids[0], *asks[0])
    assert builder.gaps == 0
    assert right == 91_907


def test_in_step_with_the_tops_each_event_carries_its_row(folder, messages):
    source = LobsterSource(messages, orderbook=folder / "AAPL_2012-06-21_orderbook_50.top1.csv.gz")
    trades = 0
    for event, (bids, asks) in zip(iter(source.next_event, None), tops(folder), strict=True):
        assert (event["bids"], event["asks"]) == (bids, asks)
        trades += len(event.get("trades", ()))
    assert trades == 6_268
    assert source.events == ROWS


def test_sentinels_are_no_levels(folder, messages):
    file = folder / "AAPL_2012-06-21_orderbook_50.first672.csv.gz"
    source = LobsterSource(messages, orderbook=file)
    got = list(islice(iter(source.next_event, None), 672))
    assert sum(100 - len(event["bids"]) - len(event["asks"]) for event in got) == 522
    assert all(0.0 < price < NO_PRICE / 10_000 for event in got for price, _ in event["bids"] + event["asks"])


def test_the_product_of_ten_levels(folder):
    source = LobsterSource(
        folder / "AAPL_2012-06-21_message_10.first998.csv.gz",
        orderbook=folder / "AAPL_2012-06-21_orderbook_10.first998.csv.gz",
    )
    got = list(iter(source.next_event, None))
    assert len(got) == 999
    assert all(len(event["bids"]) == len(event["asks"]) == 10 for event in got)
    assert all(decode_event(event).bad is None for event in got)
