"""Inspection: counts as the engine's, hints on what looks wrong, and what a broken file still gives."""

import gzip
import random
import tracemalloc
from itertools import pairwise

import pytest

from ami_engine.adapters import MarketDataSource
from ami_engine.adapters.files.market_in_name import market_in_name
from ami_engine.adapters.inspecting.clock_survey import ClockSurvey
from ami_engine.adapters.inspecting.course import MAX_BUCKETS, Course
from ami_engine.adapters.inspecting.grid_seen import GridSeen
from ami_engine.adapters.inspecting.inspection import inspect_file
from ami_engine.adapters.inspecting.quantiles import Quantiles
from ami_engine.config import config_from_dict
from ami_engine.loop.run_loop import run_loop
from ami_engine.sim.paper_broker import PaperBroker
from decision_schema.errors import MarketDataError
from decision_schema.events import Event
from decision_schema.types import Action, Proposal

START = 1_723_161_256_000
NS = 10**6


class Given(MarketDataSource):
    def __init__(self, events, clock_offset_ns=0):
        self.events = iter(events)
        self.clock_offset_ns = clock_offset_ns

    def next_event(self):
        event = next(self.events, None)
        if isinstance(event, Exception):
            raise event
        return event


@pytest.fixture
def inspect(tmp_path):
    """Inspect given events, or a file of given content."""
    file = tmp_path / "x.csv"

    def call(content, name="x.csv"):
        if isinstance(content, list):
            file.write_text("anything")
            return inspect_file(file, Given(content))
        named = tmp_path / name
        named.write_bytes(content.encode() if isinstance(content, str) else content)
        return inspect_file(named)

    return call


def quote(at, bid=9.5, ask=9.6, **more):
    return {"market_id": "X", "ts_ms": START + at, "bid": bid, "ask": ask, **more}


def changes(at, seq, *deltas, **more):
    return {
        "market_id": "X",
        "channel": "depth",
        "ts_ms": START + at,
        "seq": seq,
        "prev_seq": seq - 1,
        "deltas": list(deltas),
        **more,
    }


def snapshot(at, bids, asks, **more):
    return {"market_id": "X", "channel": "snapshot", "ts_ms": START + at, "bids": bids, "asks": asks, **more}


BOOK = ([(9.5, 1.0)], [(9.6, 1.0)])
REFUSED = {
    "crossed": ([quote(0), quote(1, 9.7)], {"crossed_book": 1}),
    "locked": ([quote(0), quote(1, 9.6)], {"locked_book": 1}),
    "duplicate": ([quote(0, seq=4), quote(1, seq=4)], {"duplicate_seq": 1}),
    "seq back": ([quote(0, seq=4), quote(1, seq=3), quote(2, seq=5)], {"out_of_order": 1}),
    "time back": ([quote(5), quote(4), quote(5)], {"out_of_order": 1}),
    "time back on another channel": ([quote(5), quote(4, channel="b")], {}),
    "no snapshot": ([changes(0, 4, ("buy", 9.5, 1.0))], {"awaiting_snapshot": 1}),
    "gap": (
        [snapshot(0, *BOOK, book_seq=1), changes(1, 2, ("buy", 9.4, 1.0)), changes(2, 4, ("buy", 9.3, 1.0))],
        {"gap": 1},
    ),
    "superseded": ([snapshot(0, *BOOK, book_seq=5), changes(1, 5, ("buy", 9.4, 1.0))], {"superseded": 1}),
    "jump": ([quote(0), quote(1, 9500.0, 9600.0), quote(2)], {"price_jump": 1}),
    "below zero": ([quote(0, -1.0)], {"invalid_input:bid": 1}),
    "a trade at zero": ([{"trades": [{"price": 0.0, "size": 1.0}]}], {"invalid_input:trades": 1}),
    "too many channels": ([quote(n, channel=str(n)) for n in range(18)], {"capacity:channels": 2}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_events_by_reason(inspect, case):
    events, refused = REFUSED[case]
    seen = inspect(events)
    assert seen.markets[0].refused == refused
    assert seen.events == seen.markets[0].events == len(events)


def random_events(seed):
    chance = random.Random(seed)
    seq, ts = 0, 0
    for _ in range(600):
        step = chance.choices((1, 0, 2, -1), (95, 2, 1, 2))[0]
        seq = max(1, seq + step)
        ts += chance.choices((7, 0, -20), (90, 7, 3))[0]
        middle = chance.choices((10.0, 10.1, 5000.0), (60, 39, 1))[0]
        bid, ask = round(middle - chance.choice((0.1, 0.1, 0.1, 0.2, -0.1, -0.3)), 2), round(middle + 0.1, 2)
        kind = chance.choices("qdsto", (40, 40, 4, 12, 4))[0]
        head = {"market_id": chance.choice("XXY"), "ts_ms": START + ts}
        if kind == "q":
            yield {
                **head,
                "channel": "q",
                "book_seq": seq,
                "bid": bid,
                "ask": ask,
                "bid_size": 1.0,
                "ask_size": 2.0,
            }
        elif kind == "d":
            side = chance.choice(("buy", "sell"))
            delta = (side, bid if side == "buy" else ask, chance.choice((0.0, 1.0, 3.0)))
            yield {
                **head,
                "channel": "d",
                "seq": seq,
                "prev_seq": seq - 1,
                "book_seq": seq,
                "deltas": [delta],
            }
        elif kind == "s":
            yield {
                **head,
                "channel": "s",
                "book_seq": seq,
                "bids": [(bid, 1.0), (bid - 1.0, 5.0)],
                "asks": [(ask, 1.0)],
            }
        elif kind == "t":
            yield {
                **head,
                "channel": "t",
                "trades": [{"price": chance.choice((bid, 10.0, ask + 1.0)), "size": 1.0}],
            }
        else:
            yield chance.choice(
                ({**head, "bid": "9"}, {**head, "defect": "torn_row"}, {**head, "status": "halted"})
            )


@pytest.mark.parametrize("seed", range(4))
def test_the_engine_counts_the_same(inspect, tmp_path, seed):
    events = list(random_events(seed))
    seen = inspect(events)
    summary = run_loop(
        Given(events), PaperBroker(), decision_engine=lambda features: Proposal(action=Action.HOLD, confidence=0.0),
        config=config_from_dict({"run": {"run_id": "r", "mode": "backtest"}}), output_dir=tmp_path,
    )  # fmt: skip
    refused = dict(seen.unreadable)
    for market in seen.markets:
        for reason, count in market.refused.items():
            refused[reason] = refused.get(reason, 0) + count
        data = summary["data"][market.market_id]
        for name in ("one_sided", "gaps", "resyncs", "late_quotes", "halts"):
            assert market.odd.get(name, 0) == data[name], name
    assert len(seen.markets) == 2
    assert refused == summary["bad_inputs"]
    assert {"crossed_book", "gap", "invalid_input:bid", "out_of_order"} <= refused.keys()


def test_figures_of_a_market(inspect):
    trade = {"price": 9.7, "size": 0.25, "aggressor_side": "buy"}
    seen = inspect([
        snapshot(0, *BOOK),
        changes(500, 2, ("buy", 9.55, 0.5), received_ms=START + 510),
        quote(1_000, 9.5, 9.6, bid_size=2.0, ask_size=1.0),
        {"market_id": "X", "ts_ms": START + 2_000, "channel": "t", "trades": [trade, trade]},
        {"market_id": "X", "ts_ms": START + 2_000, "order_messages": [{"op": "delete", "order_id": 7}], "channel": "o"},
        quote(4_000, 9.5, None),
        {"market_id": "X", "ts_ms": START + 3_000, "status": "halted", "channel": "s"},
    ])  # fmt: skip
    (market,) = seen.markets
    assert market.parts == {"quotes": 2, "snapshots": 1, "book_changes": 1, "order_messages": 1, "trades": 2}
    assert market.per_second["trades"] == 0.5
    assert market.odd == {
        "trades_outside_quote": 2,
        "one_sided": 1,
        "halts": 1,
        "venue_time_back": 1,
        "unknown_orders": 1,
    }
    assert (market.price.of, market.price.first, market.price.last) == ("mid", 9.55, 9.575)
    assert (market.price.low, market.price.high) == (9.55, 9.575)
    assert (market.spread.p5, market.spread.median, market.spread.p95) == (0.05, 0.05, 0.1)
    assert (market.tick_hint, market.lot_hint) == ("0.05", "0.25")
    assert (seen.seconds, seen.longest_silence_seconds, seen.time_back) == (4.0, 2.0, 1)
    assert seen.first_received_ns == seen.last_received_ns == (START + 510) * NS
    assert (seen.first_venue_ns, seen.last_venue_ns) == (START * NS, (START + 4_000) * NS)
    assert (seen.clock.count, seen.clock.min_ms, seen.clock.offset_ms) == (1, 10.0, 0)


def test_trades_alone_give_a_price(inspect):
    seen = inspect("ts,price,size\n1723161256000,9.5,1\n1723161257000,9.7,3\n")
    (market,) = seen.markets
    assert (market.price.of, market.price.low, market.price.high, market.spread) == ("trade", 9.5, 9.7, None)
    assert (market.tick_hint, market.lot_hint) == ("0.1", "1")
    assert market.odd == {}


def test_several_markets_the_busiest_first(inspect):
    seen = inspect(
        "ts,symbol,bid,ask\n" + "".join(f"172316125600{n},{'AB'[n % 3 > 0]},1.1,1.2\n" for n in range(9))
    )
    assert [(market.market_id, market.events) for market in seen.markets] == [("B", 6), ("A", 3)]


def test_more_markets_than_the_engine_holds(inspect):
    seen = inspect([quote(n, market_id=str(n)) for n in range(258)])
    assert len(seen.markets) == 256
    assert seen.unreadable == {"capacity:markets": 2}


ROWS = [f"{START + 10 * n},1.{n % 7}1,1.{n % 7}3" for n in range(400)]
TABLE = "\n".join(["ts,bid,ask", *ROWS]) + "\n"
TIGHT = "ts,bid,ask\n" + "1723161256000000,1.1,1.2\n" * 200
LONG = "ts,bid,ask\n2020-01-01,1.1,1.2\n2022-01-01,1.1,1.2\n"
SCALED = "ts,bid,ask\n" + "".join(f"{START + n},5853{n % 9}00,5859400\n" for n in range(50))
CROSSED = "ts,bid,ask\n" + "".join(f"{START + n},{1.2 if n % 4 else 1.0},1.1\n" for n in range(200))
DELTAS = "ts,side,price,size,is_snapshot\n1723161256000,bid,1.1,5,false\n1723161256001,bid,1.2,5,false\n"
HINTS = {
    "no sizes": (TABLE, "there are no sizes"),
    "no trades": (TABLE, "there are no trades"),
    "within a millisecond": (TIGHT, "check time_unit and time_format"),
    "over a year": (LONG, "check time_unit and time_format"),
    "scaled": (SCALED, "prices look scaled by 10,000"),
    "crossed": (CROSSED, "are crossed: check that bid and ask are not swapped"),
    "no snapshot": (DELTAS, "2 changes of the book wait for a snapshot that never comes"),
    "orders": (
        "id,ts,price,size,action,side\n7,1723161256000,1.1,5,add,bid\n",
        "taken to be empty at the start",
    ),
    "binary": ("ts,bid,ask\n1723161256000,0.4,0.5\n", "set kind = 'binary'"),
    "no price": ("ts,bid,ask\n1723161256000,,\n", "no price was read"),
    "no day": ("339,1.38833,1.38835\n634,1.38835,1.38836\n", "2000-01-01 stands for it: set date"),
}


@pytest.mark.parametrize("case", HINTS)
def test_hints(inspect, case):
    content, says = HINTS[case]
    hints = inspect(content).hints
    assert sum(says in hint for hint in hints) == 1, hints


EVENT_HINTS = {
    "seconds read as milliseconds": ([{"ts_ms": 1_723_161_256, "bid": 1.1, "ask": 1.2}], "the first time is before 1990"),
    "milliseconds read as nanoseconds": ([{"ts_ns": START, "bid": 1.1, "ask": 1.2}], "the first time is before 1990"),
    "centuries": ([{"ts_ms": START * 3, "bid": 1.1, "ask": 1.2}], "the first time is after 2099"),
    "no times": ([{"bid": 1.1, "ask": 1.2}], "no event has a time"),
    "scaled": ([quote(n, 5_853_300.0 + 100 * n, 5_859_400.0) for n in range(5)], "prices look scaled by 10,000"),
    "the end gives no price": ([quote(0), quote(1), quote(900, 9.9)], "X: the last 1 s of 1 s give no price"),
    "one stamp far ahead": (
        [quote(n, received_ms=START + n + 50) for n in range(9)] + [quote(90_000, received_ms=START + 10)],
        "once 90,040 ms further ahead than usual",
    ),
    "all ahead": ([quote(n, received_ms=START + n - 1_500) for n in range(9)], "held as future_event: set clock_offset_ms = -1500"),
}  # fmt: skip


@pytest.mark.parametrize("case", EVENT_HINTS)
def test_hints_on_events_of_any_source(inspect, case):
    events, says = EVENT_HINTS[case]
    hints = inspect(events).hints
    assert sum(says in hint for hint in hints) == 1, hints


def test_microseconds_given_as_milliseconds_are_refused_and_counted(inspect):
    seen = inspect([{"ts_ms": START * 1_000, "bid": 1.1, "ask": 1.2}] * 2)
    assert seen.unreadable == {"invalid_input:ts_ms": 2}
    assert seen.markets == []


BROKEN = {
    "cut gzip": (gzip.compress(TABLE.encode())[:-200], "the gzip stream is cut", 100),
    "damaged gzip": (gzip.compress(TABLE.encode())[:-8] + b"12345678", "the gzip stream is damaged", 399),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_file_that_breaks_is_reported_up_to_there(inspect, case):
    content, says, least = BROKEN[case]
    seen = inspect(content)
    assert says in seen.broken
    assert "download the file again" in seen.broken
    assert least <= seen.events <= 401
    assert seen.markets[0].price is not None


DEFECTS = {
    "torn last row": (TABLE + "1723161262", {"torn_row": 1}),
    "wrong columns": (TABLE + "1723161262000,1.1\n", {"wrong_columns:2": 1}),
    "bad number": (TABLE + "1723161262000,1.1,abc\n", {"bad_number:ask": 1}),
    "bad stamp": (TABLE + "never,1.1,1.2\n", {"bad_stamp": 1}),
    "a row again": (TABLE + ROWS[-1] + "\n", {"repeated_row": 1}),
    "binary row": (TABLE + "1723161\x00262000,1.1,1.2\n", {"binary_row": 1}),
}


@pytest.mark.parametrize("case", DEFECTS)
def test_defects_are_the_sources(inspect, case):
    content, defects = DEFECTS[case]
    seen = inspect(content)
    assert seen.defects == defects
    assert seen.rows == 401
    assert sum(seen.unreadable.values()) == (case != "a row again")


def test_a_source_that_fails_at_once_is_an_error(inspect):
    with pytest.raises(MarketDataError, match="gone"):
        inspect([MarketDataError("gone")])
    assert inspect([quote(0), MarketDataError("gone")]).broken == "gone"


def test_a_header_without_rows(inspect):
    with pytest.raises(MarketDataError, match="holds no row"):
        inspect("ts,bid,ask\n")


def test_reasons_without_end_are_counted_together(inspect):
    seen = inspect([quote(n, defect=f"wrong_columns:{n}") for n in range(1_005)])
    assert seen.unreadable["other"] == 5
    assert sum(seen.unreadable.values()) == 1_005


def test_memory_does_not_grow_with_the_file(tmp_path):
    file = tmp_path / "x"
    file.write_text("anything")
    events = (
        quote(7 * n, 9.0 + n % 89 / 100, 9.9 + n % 83 / 100, received_ms=START + 7 * n + n % 97)
        for n in range(12_000)
    )
    tracemalloc.start()
    inspect_file(file, Given(events))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1e6


def test_progress_is_told(tmp_path):
    file = tmp_path / "x.csv"
    file.write_text(TABLE + "\n".join(f"{START + 5000 + n},1.1,1.2" for n in range(5_000)) + "\n")
    told = []
    inspect_file(file, progress=lambda events, fraction: told.append((events, fraction)))
    assert [events for events, _ in told] == [2_000, 4_000]
    assert all(0.0 < fraction <= 1.0 for _, fraction in told)


CLOCKS = {
    "behind": ([(1_000, 2_277), (2_000, 3_200)], -1_277, "else messages arrive before they happened"),
    "a part of a millisecond": ([(1_000, 1_000.25)], -1, "else messages arrive before they happened"),
    "right": ([(1_000, 990), (1_000, 1_000)], 0, "no message arrives before it happened"),
    "only the venue's": ([(None, 1_000)], 0, "there are no times of receipt"),
    "only ours": ([(1_000, None)], 0, "there are no times of the venue"),
    "none": ([(None, None)], 0, "there are no times to compare"),
}


@pytest.mark.parametrize("case", CLOCKS)
def test_suggested_clock_offset(case):
    stamps, offset, why = CLOCKS[case]
    clock = ClockSurvey()
    for received, venue in stamps:
        clock.add(Event(received_ns=received and int(received * NS), ts_ns=venue and int(venue * NS)))
    figures = clock.figures()
    assert figures.offset_ms == offset
    assert why in figures.why


def test_the_suggested_offset_lets_no_message_arrive_early(inspect, tmp_path):
    events = [quote(n, received_ns=(START + n) * NS - 1_276_400_000 - n) for n in range(50)]
    offset = inspect(events).clock.offset_ms
    mended = inspect_file(tmp_path / "x.csv", Given(events, clock_offset_ns=offset * NS))
    assert (offset, mended.clock.offset_ms, mended.hints) == (-1_277, 0, mended.hints)
    assert 0.0 <= mended.clock.min_ms < 1.0


GRIDS = {
    "0.1": [61800.2, 61800.3, 61799.9],
    "0.25": [4800.25, 4801.0, 4800.5],
    "0.00001": [1.38833, 1.38835, 1.3884],
    "0.00000001": [0.00001234, 0.00001235],
    "0.000000001": [0.000000001, 0.000000003],
    "100": [5_853_300.0, 5_853_400.0],
    "0.01": [9_000_000.01, 9_000_000.03],
    "1000000": [3_000_000.0, 9_000_000.0, 1e9, 1_000_000.0],
    "": [5.0, 5.0, float("nan"), float("inf")],
}


@pytest.mark.parametrize("step", GRIDS)
def test_grid_seen(step):
    grid = GridSeen()
    for number in GRIDS[step]:
        grid.add(number)
    assert grid.step == step


@pytest.mark.parametrize("count", [1, 100, 1_023, 1_024, 20_000, 300_000])
@pytest.mark.parametrize("order", ["rising", "falling", "mixed", "alternating"])
def test_quantiles_are_near(count, order):
    numbers = list(range(count))
    if order == "falling":
        numbers.reverse()
    elif order == "mixed":
        random.Random(1).shuffle(numbers)
    elif order == "alternating":
        numbers = [n if n % 2 else count - 1 - n for n in numbers]
    quantiles = Quantiles()
    for number in numbers:
        quantiles.add(number)
    expected = sorted(numbers)
    for part in (0.05, 0.5, 0.95):
        exact = expected[max(0, -int(-part * count // 1) - 1)]
        assert abs(quantiles.at(part) - exact) <= (1 if count < 1_024 else 0.01 * count)
    assert quantiles.least == min(numbers)


def test_no_quantile_of_nothing():
    assert Quantiles().at(0.5) is None


@pytest.mark.parametrize("step_ns", [1, 10**6, 10**9, 3_600 * 10**9])
def test_course_keeps_all_prices_in_few_buckets(step_ns):
    course = Course()
    for n in range(3_000):
        course.add(START * NS + n * step_ns, 100.0 + n % 97, 2.0)
    assert 1 <= len(course.buckets) <= MAX_BUCKETS
    assert sum(bucket.count for bucket in course.buckets) == 3_000
    assert min(bucket.low for bucket in course.buckets if bucket.count) == 100.0
    assert max(bucket.high for bucket in course.buckets if bucket.count) == 196.0
    assert course.buckets[-1].last == 100.0 + 2_999 % 97
    assert sum(bucket.spread_bps for bucket in course.buckets) == 6_000.0
    assert course.end_ns == START * NS + 2_999 * step_ns
    assert course.width_ns * len(course.buckets) > 2_999 * step_ns


def test_course_takes_times_that_go_back_or_jump():
    course = Course()
    stamps = [START * NS, START * NS - 5, START * NS + 2**62, START * NS + 7]
    for price, stamp in enumerate(stamps):
        course.add(stamp, float(price), 0.0)
    assert sum(bucket.count for bucket in course.buckets) == 4
    assert len(course.buckets) <= MAX_BUCKETS
    assert all(before >= 0 for before, _ in pairwise([course.begin_ns, course.end_ns]))


NAMES = {
    "fxcm_eurusd_20140506_quote.zip": "EURUSD",
    "usdjpy-ticks.csv.gz": "USDJPY",
    "BTCUSDT-trades-2024-08-08.csv": "BTCUSDT",
    "1000pepeusdt.csv": "1000PEPEUSDT",
    "AAPL_2012-06-21_message_10.csv": "AAPL",
    "quotes.csv": "",
    "data_2024.csv": "",
    "usd.csv": "",
    "": "",
}


@pytest.mark.parametrize("name", NAMES)
def test_market_in_name(name):
    assert market_in_name(name) == NAMES[name]
