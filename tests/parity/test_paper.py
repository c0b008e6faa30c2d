"""The paper broker in numbers: interpreted and compiled, call by call, the same to the last bit."""

import math
import random

import pytest

from ami_engine.kernels import paper as kernels
from ami_engine.kernels.book import Book
from ami_engine.kernels.inputs import DepartureRow, Input, TradeRow
from ami_engine.kernels.latency import ENTRY, FEED, RESPONSE, Latency, measured_ns, way_ns
from ami_engine.kernels.paper import MAX_ENDS, MAX_REPORTS, MAX_REQUESTS, Report
from ami_engine.kernels.queue import CONSERVATIVE, GIVEN, LOG, POWER, queue_after
from ami_engine.kernels.rng import normal, stream_key, uniform
from ami_engine.kernels.venue import BUY, SELL, level_ticks, market_lots, nearest_ticks
from ami_engine.sim.paper_broker import PaperBroker
from decision_schema.instruments import Instrument
from dmc_core import layout
from dmc_core.jit import can_compile, compiled

pytestmark = pytest.mark.skipif(not can_compile(), reason="numba is not installed: nothing to compare")

MS = 1_000_000
BASE_NS = 1_700_000_000_000_000_000
NAN = math.nan
INSTRUMENTS = (
    Instrument(
        market_id="M", tick_size="0.01", lot_size="1", maker_fee=-0.001, taker_fee=0.002, min_notional=0.4
    ),
    Instrument(
        market_id="N",
        tick_size="0.05",
        lot_size="0.1",
        short="no",
        taker_fee=0.003,
        fee_per="unit",
        min_size=0.2,
    ),
)
SETTINGS = [
    {},
    {"partial_fills": False, "queue": "log"},
    {"queue": "power", "entry_latency_ms": 4.0},
    {"response_latency_ms": 30.0},
    {
        "entry_latency_ms": 3.0,
        "response_latency_ms": 9.0,
        "latency_sigma": 0.7,
        "queue": "power",
        "queue_power": 1.0,
    },
    {"table": True, "partial_fills": False},
]
ODD = [0.0, -0.0, 1.0, -1.0, 0.5, 7.0, 1e-9, 1e300, -1e300, math.inf, -math.inf, NAN, 2.0**53, 1e18]


def same(first, second):
    return repr(first) == repr(second)  # floats in full; nan is nan


class Twins:
    """The same broker twice."""

    def __init__(self, settings, seed):
        settings = dict(settings)
        table = (
            [[0, 90 * MS], [2 * MS, 7 * MS], [MS, 40 * MS]] if settings.pop("table", False) else [[], [], []]
        )
        broker = PaperBroker(INSTRUMENTS, **settings)
        self.paper = broker.paper_for(seed)
        self.markets = [broker.market_for(instrument, cell) for cell, instrument in enumerate(INSTRUMENTS)]
        self.papers, self.cells = layout.array_of([self.paper]), layout.array_of(self.markets)
        self.table, self.rows = table, layout_table(table)
        self.out, self.outs = Report(), layout.array_of([Report()])
        self.read = Report()

    def call(self, name, *numbers, table=True):
        kernel = getattr(kernels, name)
        extra = ((self.table,), (self.rows,)) if table else ((), ())
        plain = kernel(self.paper, self.markets, *extra[0], *numbers)
        fast = compiled(kernel)(self.papers[0], self.cells, *extra[1], *numbers)
        assert plain == fast
        return plain

    def show(self, m, event):
        inp, books, trades, departures = event
        kernels.show_event(self.paper, self.markets, self.table, m, inp, *books, trades, departures)
        laid = layout.array_of(books)
        compiled(kernels.show_event)(
            self.papers[0],
            self.cells,
            self.rows,
            m,
            layout.array_of([inp])[0],
            laid[0],
            laid[1],
            layout.array_of(trades),
            layout.array_of(departures),
        )

    def hear(self, now_ns):
        heard = []
        for _ in range(self.call("take_reports", now_ns)):
            kernels.next_report(self.paper, self.markets, self.out)
            compiled(kernels.next_report)(self.papers[0], self.cells, self.outs[0])
            layout.read_record(self.outs[0], self.read)
            assert same(self.out, self.read)
            heard.append(repr(self.out))
        return heard

    def compare(self):
        """All of the state."""
        assert same(layout.array_of([self.paper]).tolist(), self.papers.tolist())
        assert same(layout.array_of(self.markets).tolist(), self.cells.tolist())


def layout_table(table):
    import numpy as np

    return np.array(table, dtype=np.int64).reshape(3, -1)


def random_book(rng, tick, lot):
    book, middle = Book(), rng.randint(30, 40)
    book.n_bids, book.n_asks = rng.choice([0, 1, 3, 5]), rng.choice([1, 2, 4, 20])
    for k in range(book.n_bids):
        book.bid_prices[k] = (middle - 1 - k) * tick
        book.bid_sizes[k] = rng.choice([lot * rng.randint(1, 9), NAN, 2.5 * lot])
    for k in range(book.n_asks):
        book.ask_prices[k] = (middle + 1 + k) * tick + rng.choice([0.0, 0.0, tick / 3])
        book.ask_sizes[k] = rng.choice([lot * rng.randint(1, 9), NAN, 0.5 * lot])
    book.mid = middle * tick
    return book


def random_event(rng, m, now_ns, before, *, by_order):
    tick, lot = (0.01, 1.0) if m == 0 else (0.05, 0.1)
    after = random_book(rng, tick, lot)
    trades = [
        TradeRow(
            rng.randint(28, 42) * tick,
            rng.choice([lot * rng.randint(1, 8), 1e12]),
            rng.choice([BUY, SELL, 0]),
        )
        for _ in range(4)
    ]
    departures = [
        DepartureRow(
            rng.choice([BUY, SELL]),
            rng.randint(28, 42) * tick,
            lot * rng.randint(1, 5),
            rng.randint(0, 9),
            rng.randint(0, 1),
        )
        for _ in range(3)
    ]
    inp = Input(
        cell=m,
        bad=int(rng.random() < 0.1),
        is_read=int(rng.random() < 0.95),
        now_ns=now_ns,
        ts_ns=rng.choice([-1, now_ns, now_ns - 2 * MS, now_ns - 10**12]),
        has_book=int(rng.random() < 0.7),
        shows_bids=int(rng.random() < 0.8),
        shows_asks=int(rng.random() < 0.8),
        trade_at=1,
        n_trades=rng.choice([0, 0, 1, 3]),
        n_departures=rng.randint(0, 3) if by_order else 0,
        by_order=int(by_order),
        public_orders=rng.randint(0, 9) if by_order else 0,
    )
    return inp, [before, after], trades, departures


@pytest.mark.parametrize("seed", range(18))
def test_random_days_are_the_same_in_both_forms(seed):
    rng = random.Random(seed)
    twins = Twins(SETTINGS[seed % len(SETTINGS)], seed)
    now_ns, number, heard = BASE_NS, 0, []
    books = [random_book(rng, 0.01, 1.0), random_book(rng, 0.05, 0.1)]
    for step in range(250):
        at, m = rng.random(), rng.choice([0, 0, 1])
        old = max(0, number - rng.randint(0, 12))
        if at < 0.45:
            now_ns += rng.choice([0, 1, 3, 11, 25]) * MS
            event = random_event(rng, m, now_ns, books[m], by_order=seed % 4 == 3)
            twins.show(m, event)
            books[m] = event[1][1]
        elif at < 0.75:
            number += 1
            terms = (
                rng.choice([BUY, SELL]),
                rng.randint(28, 42) if rng.random() < 0.97 else rng.choice([0, -5, 10**17]),
                int(rng.random() < 0.1),
                rng.randint(0, 9),
                rng.choice([0, 0, 0, 1, 2]),
                int(rng.random() < 0.2),
                int(rng.random() < 0.3),
            )
            if rng.random() < 0.3:
                twins.call("replace", m, old, number, *terms)
            else:
                twins.call("submit", m, number, *terms)
        elif at < 0.85:
            twins.call("cancel", m, old)
        elif at < 0.88:
            twins.call("query", m, old, table=False)
        else:
            heard += twins.hear(now_ns)
        if step % 50 == 49:
            twins.compare()
    heard += twins.hear(now_ns + 10**11)
    twins.compare()
    assert len(heard) > 50


def test_too_many_messages_are_refused_and_no_report_is_lost():
    rng = random.Random(0)
    twins = Twins({"entry_latency_ms": 5.0, "response_latency_ms": 50.0}, 1)
    event = random_event(rng, 0, BASE_NS, random_book(rng, 0.01, 1.0), by_order=False)
    event[0].is_read, event[0].bad, event[0].ts_ns = 1, 0, -1
    twins.show(0, event)
    for number in range(MAX_REQUESTS + 5):
        twins.call("submit", 0, number, BUY, 30, 0, 5, 0, 0, 0)
    answers = twins.hear(BASE_NS)
    refused = [text for text in answers if f"status={kernels.IS_REJECTED}, reason=5" in text]
    assert len(answers) == MAX_REQUESTS + 5
    assert len(refused) == 5
    for _ in range(MAX_REPORTS // 60):  # nobody listens
        for number in range(60):
            twins.call("query", 0, number, table=False)
    assert kernels.is_full(twins.paper)
    twins.call("submit", 0, MAX_ENDS, BUY, 30, 0, 5, 0, 0, 0)
    assert (twins.paper.answer.status, twins.paper.answer.reason) == (kernels.IS_REJECTED, 5)
    twins.compare()
    under_way = twins.paper.reports.used
    assert len(twins.hear(BASE_NS + 20 * MS)) == under_way  # then there is room, and the rest arrives
    told = twins.hear(BASE_NS + 400 * MS) + twins.hear(BASE_NS + 800 * MS)
    assert len(told) == MAX_REQUESTS
    twins.compare()


def test_chance_and_delays_are_the_same_in_both_forms():
    import numpy as np

    rng = random.Random(3)
    table = [[10, 200, 10**12], [0, 50, 7], [9, 8, 10**9]]
    for _ in range(300):
        seed, market, at = rng.getrandbits(62), rng.getrandbits(32), rng.getrandbits(60)
        word, fast = stream_key(seed, 5, market, at), compiled(stream_key)(seed, 5, market, at)
        assert word == fast % 2**64
        for n in range(3):
            assert uniform(word, n) == compiled(uniform)(fast, n)
            assert normal(word, n) == compiled(normal)(fast, n)
    for way in (ENTRY, RESPONSE):
        latency = Latency(way, 5 * MS, 3.0)
        laid = layout.array_of([latency])
        for rows in (table, [[], [], []]):
            for at in [*range(0, 400, 37), 10**12, 10**18]:
                assert way_ns(latency, rows, 1, 2, at) == compiled(way_ns)(
                    laid[0], layout_table(rows), 1, 2, at
                )
    assert measured_ns(table[0], table[1], 100) == compiled(measured_ns)(
        np.array(table[0]), np.array(table[1]), 100
    )
    assert FEED not in (ENTRY, RESPONSE)


def test_sizes_prices_and_queues_are_the_same_at_extremes():
    for value in ODD:
        assert same(market_lots(value, 1, 1000), compiled(market_lots)(value, 1, 1000))
        if value == value:
            assert nearest_ticks(value, 1, 100) == compiled(nearest_ticks)(value, 1, 100)
            for side in (BUY, SELL):
                assert level_ticks(value, side, 1, 100) == compiled(level_ticks)(value, side, 1, 100)
    rng = random.Random(5)
    for _ in range(4000):
        numbers = [rng.choice([rng.uniform(0.0, 20.0), *ODD]) for _ in range(4)]
        for kind in (CONSERVATIVE, POWER, LOG, GIVEN):
            given = rng.choice([0.5, NAN, -1.0, 2.0])
            try:
                plain = queue_after(kind, 2.0, given, *numbers)
            except (ValueError, OverflowError, ZeroDivisionError):
                continue  # beyond what is ever asked
            assert same(plain, compiled(queue_after)(kind, 2.0, given, *numbers))
