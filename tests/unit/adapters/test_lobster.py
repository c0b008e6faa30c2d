"""LOBSTER rows become events; what cannot be used is held, counted or said in one line."""

import gzip

import pytest

from ami_engine.adapters.lobster import LobsterSource
from decision_schema.decode_event import decode_event
from decision_schema.errors import ConfigError, MarketDataError

NAME = "AAPL_2012-06-21_34200000_57600000_message_1.csv"
MESSAGES = """34200.004241176,1,16113575,18,5853300,1
34200.00426064,2,16113575,8,5853300,1
34200.1,3,16113575,10,5853300,1
34200.1,4,77,100,5859400,-1
34200.2,5,0,18,5856550,-1
34201,6,-1,500,5857000,-1
34202,7,0,0,-1,-1
34203,7,0,0,0,-1
34204,7,0,0,1,-1
"""
BOOK = "5859400,200,5853300,18\n"
NINE = 1_340_285_400 * 10**9  # 09:30 New York


@pytest.fixture
def folder(tmp_path):
    (tmp_path / NAME).write_text(MESSAGES)
    (tmp_path / "book.csv").write_text(BOOK * 9)
    return tmp_path


def events(source):
    return list(iter(source.next_event, None))


def order(op, order_id, side, price, size):
    return [{"op": op, "order_id": order_id, "side": side, "price": price, "size": size}]


def test_each_type_of_message(folder):
    got = events(LobsterSource(folder / NAME))
    assert all(event["market_id"] == "AAPL" and event["channel"] == "messages" for event in got)
    assert [event["ts_ns"] - NINE for event in got[:4]] == [4_241_176, 4_260_640, 100_000_000, 100_000_000]
    parts = [
        {key: event[key] for key in ("order_messages", "trades", "status") if key in event} for event in got
    ]
    assert parts == [
        {"order_messages": order("add", 16113575, "buy", 585.33, 18.0)},
        {"order_messages": order("reduce", 16113575, "buy", 585.33, 8.0)},
        {"order_messages": order("delete", 16113575, "buy", 585.33, 10.0)},
        {"order_messages": order("execute", 77, "sell", 585.94, 100.0),
         "trades": [{"price": 585.94, "size": 100.0, "aggressor_side": "buy"}]},
        {"trades": [{"price": 585.655, "size": 18.0, "aggressor_side": "buy"}]},
        {"trades": [{"price": 585.7, "size": 500.0}]},
        {"status": "halted"},
        {"status": "paused"},
        {"status": "trading"},
    ]  # fmt: skip
    assert [event["seq"] for event in got] == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    # prev_seq is that of the last change of the book.
    assert [event["prev_seq"] for event in got] == [0, 1, 2, 3, 4, 4, 4, 4, 4]
    assert [event["book_seq"] for event in got] == [1, 2, 3, 4, 4, 4, 4, 4, 4]
    assert all(decode_event(event).bad is None for event in got)


def test_the_opening_book_stands_for_the_first_message(folder):
    (folder / "open.csv").write_text(
        "5859400,200,5853300,18,9999999999,0,5853000,150,5861000,5,-9999999999,0\n"
    )
    first, second, *_ = events(LobsterSource(folder / NAME, opening_book=folder / "open.csv"))
    assert first == {
        "market_id": "AAPL", "channel": "messages", "ts_ns": NINE + 4_241_176, "seq": 1, "prev_seq": 0, "book_seq": 1,
        "bids": [(585.33, 18.0), (585.3, 150.0)], "asks": [(585.94, 200.0), (586.1, 5.0)],
    }  # fmt: skip
    assert "bids" not in second
    assert second["order_messages"][0]["op"] == "reduce"


def test_an_opening_execution_keeps_its_trade(folder):
    (folder / NAME).write_text("34200.1,4,77,100,5859400,-1\n")
    [event] = events(LobsterSource(folder / NAME, opening_book=folder / "book.csv"))
    assert "order_messages" not in event
    assert (event["asks"], event["trades"][0]["aggressor_side"]) == ([(585.94, 200.0)], "buy")


def test_a_book_in_step_stands_in_every_event(folder):
    source = LobsterSource(folder / NAME, orderbook=folder / "book.csv")
    got = events(source)
    assert all(event["bids"] == [(585.33, 18.0)] and event["asks"] == [(585.94, 200.0)] for event in got)
    assert not any("order_messages" in event for event in got)
    assert sum("trades" in event for event in got) == 3
    assert [event["book_seq"] for event in got] == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert source.progress() == 1.0


@pytest.mark.parametrize(("rows", "kept"), [(5, 5), (12, 9)])
def test_books_that_are_not_in_step_are_said_at_the_end(folder, rows, kept):
    (folder / "book.csv").write_text(BOOK * rows)
    source = LobsterSource(folder / NAME, orderbook=folder / "book.csv")
    with pytest.raises(MarketDataError) as caught:
        events(source)
    assert (
        str(caught.value) == f"{NAME} has 9 rows, but book.csv {rows}: give the book file of these messages"
    )
    assert (source.events, source.next_event()) == (kept, None)


def test_a_book_row_that_cannot_be_used_holds_its_message(folder):
    (folder / "book.csv").write_text(BOOK * 4 + "5859400,200,58533\n" + BOOK * 4)
    got = events(LobsterSource(folder / NAME, orderbook=folder / "book.csv"))
    assert [event.get("defect") for event in got] == [None] * 4 + ["bad_book_row"] + [None] * 4


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("34200.3,1,5,18,5853300\n", "wrong_columns:5"),
        ("34200.3,1,5,18,5853300,1,7\n", "wrong_columns:7"),
        ("34200.x,1,5,18,5853300,1\n", "bad_stamp"),
        ("90000,1,5,18,5853300,1\n", "bad_stamp"),
        ("34200.3,9,5,18,5853300,1\n", "unknown_type:9"),
        ("34200.3,foo,5,18,5853300,1\n", "bad_number:type"),
        ("34200.3,1,x,18,5853300,1\n", "bad_number:order_id"),
        ("34200.3,1,5,1.8,5853300,1\n", "bad_number:size"),
        ("34200.3,1,5,18,,1\n", "bad_number:price"),
        ("34200.3,1,5,18,5853300,0\n", "bad_number:direction"),
        ("34200.3,7,0,0,5,-1\n", "bad_number:price"),
        ("34200.3,1,5,18", "torn_row"),
        ("34200.3,1,5,18,5853300,-", "torn_row"),
    ],
)
def test_a_row_that_cannot_be_used_holds(folder, row, reason):
    (folder / NAME).write_text(MESSAGES + row)
    source = LobsterSource(folder / NAME)
    held = events(source)[-1]
    assert held == {"market_id": "AAPL", "defect": reason, "row": 10, "raw": row.rstrip("\n")}
    assert source.counts[reason] == 1


@pytest.mark.parametrize(("defects", "prev_seq"), [("hold", 3), ("skip", 2)])
def test_a_row_that_holds_breaks_the_chain_of_changes(folder, defects, prev_seq):
    rows = MESSAGES.splitlines(keepends=True)
    rows[2] = "oops\n"
    (folder / NAME).write_text("".join(rows))
    after = next(
        event for event in events(LobsterSource(folder / NAME, defects=defects)) if event.get("seq") == 4
    )
    assert after["prev_seq"] == prev_seq


def test_times_that_go_back_are_counted_and_blank_rows_left_out(folder):
    (folder / NAME).write_text(MESSAGES + "\n34203.5,5,0,18,5856550,-1\n  \n")
    source = LobsterSource(folder / NAME)
    assert len(events(source)) == 10
    assert source.counts == {"clock_back": 1, "blank_row": 2}


def test_days_are_one_stream(folder):
    later = "AAPL_2012-06-22_34200000_57600000_message_1.csv"
    (folder / later).write_text(MESSAGES)
    got = events(LobsterSource([folder / NAME, folder / later]))
    assert [event["seq"] for event in got] == list(range(1, 19))
    assert got[9]["ts_ns"] - got[0]["ts_ns"] == 86_400 * 10**9


def test_day_market_and_zone_of_ones_own(folder):
    (folder / "m.csv").write_text(MESSAGES)
    source = LobsterSource(
        folder / "m.csv", date="2012-06-22", market_id="X", timezone="UTC"
    )
    first = events(source)[0]
    assert (first["market_id"], first["ts_ns"]) == ("X", 1_340_357_400_004_241_176)
    assert first["order_messages"][0]["price"] == 585.33


def test_a_seventh_column_is_not_used(folder):
    (folder / NAME).write_text(MESSAGES.replace("\n", ",null\n"))
    assert len(events(LobsterSource(folder / NAME, defects="stop"))) == 9


def test_a_cut_file_gives_what_came_before_then_says_so(folder):
    rows = "".join(f"{34200 + i / 1000:.3f},1,{i * 7919 % 10007},{i % 97},5853300,1\n" for i in range(20_000))
    packed = gzip.compress(rows.encode())
    (folder / (NAME + ".gz")).write_bytes(packed[: len(packed) // 2])
    source = LobsterSource(folder / (NAME + ".gz"))
    with pytest.raises(MarketDataError, match="the gzip stream is cut"):
        events(source)
    assert source.events > 1_000
    assert source.counts["torn_row"] <= 1


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        (BOOK, {}, f"{NAME}: row 1 '5859400,200,5853300,18' is a row of a book file: give it as orderbook or opening_book"),
        ("34200.1,1,5,18,585.33,1\n", {}, (f"{NAME}: row 1 '34200.1,1,5,18,585.33,1': the price is in dollars already, "
         "LOBSTER's is in 1/10,000: use the csv source")),
        ("time,bid,ask\n", {}, (f"{NAME}: row 1 'time,bid,ask' is a header, and LOBSTER has none: delete it, or use the "
         "csv source")),
        ("339,1.38833,1.38835\n", {}, (f"{NAME}: row 1 '339,1.38833,1.38835' is no LOBSTER message (time, type, order_id, "
         "size, price, direction, without a header): use the csv source")),
        ("oops\n" + MESSAGES, {"opening_book": "book.csv"},
         f"{NAME}: row 1 'oops' is a header, and LOBSTER has none: delete it, or use the csv source"),
        ("34200.1,1,5\n" + MESSAGES, {"opening_book": "book.csv"},
         (f"{NAME}: row 1 '34200.1,1,5' cannot be used (wrong_columns:3), and the opening book is the one after it: "
         "download the file again")),
        (MESSAGES, {"opening_book": NAME}, (f"{NAME}: row 1 '34200.004241176,1,16113575,18,5853300,1' is no row of a "
         "LOBSTER book file, which has ask price, ask size, bid price and bid size of each level: give the file named "
         "..._orderbook_...")),
        ("\n\n", {}, f"{NAME} holds no row that can be read: download it again"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_at_once(folder, text, arguments, message):
    (folder / NAME).write_text(text)
    with pytest.raises(MarketDataError) as caught:
        LobsterSource(folder / NAME, **{name: folder / file for name, file in arguments.items()})
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"opening_book": "x", "orderbook": "y"}, "opening_book and orderbook are given: give one of them"),
        ({"orderbook": ["x", "y"]}, "orderbook names 2 files, and files 1: give one for each"),
        ({"date": "June"}, "date is 'June': give a day such as 2012-06-21"),
        ({"timezone": "Mars"}, "timezone is 'Mars': give one such as UTC, America/New_York or -05:00"),
        ({}, "m.csv does not tell its day: set date, such as '2012-06-21'"),
    ],
)
def test_settings_that_make_no_sense(folder, arguments, message):
    (folder / "m.csv").write_text(MESSAGES)
    with pytest.raises(ConfigError) as caught:
        LobsterSource(folder / "m.csv", **arguments)
    assert str(caught.value) == message
