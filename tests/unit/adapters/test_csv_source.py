"""CSV files become events; what cannot be used is held, counted or said in one line."""

import bz2
import gzip
import itertools
import sys
import tracemalloc

import pytest

from ami_engine.adapters.csv_source import CsvSource
from decision_schema.decode_event import decode_event
from decision_schema.errors import ConfigError, MarketDataError

T = 1_723_161_256_000  # ms
NS = T * 10**6
HEAD = "timestamp,bid,ask\n"


@pytest.fixture
def source(tmp_path):
    def make(text, name="a.csv", **arguments):
        file = tmp_path / name
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return CsvSource(file, **arguments)

    return make


def events(source):
    return list(iter(source.next_event, None))


# ---------------------------------------------------------------- what rows give


def test_quotes_with_sizes_and_both_times(source):
    text = "local_timestamp,timestamp,symbol,bid_price,bid_amount,ask_price,ask_amount\n"
    found = source(text + f"{T}005,{T}001,BTC,0.49,5,0.51,7\n")
    assert events(found) == [
        {"ts_ns": NS + 1_000, "received_ns": NS + 5_000, "market_id": "BTC",
         "bid": 0.49, "bid_size": 5.0, "ask": 0.51, "ask_size": 7.0}
    ]  # fmt: skip
    assert found.progress() == 1.0


@pytest.mark.parametrize(
    ("row", "bid", "ask", "counted"),
    [
        ("0,0,0.51,7", None, 0.51, 1),
        ("0.49,5,0,0", 0.49, None, 1),
        ("0,0,0,0", None, None, 2),
        (",,0.51,7", None, 0.51, 1),
        ("NaN,5,null,", None, None, 2),
        ("0.49,0,0.51,7", 0.49, 0.51, 0),  # a price without size is the engine's to judge
        ("0,5,0.51,7", 0.0, 0.51, 0),
        ("0.53,5,0.51,7", 0.53, 0.51, 0),
    ],
)
def test_an_empty_side(source, row, bid, ask, counted):
    found = source(f"time,bid,bidsiz,ofr,ofrsiz\n{T},{row}\n")
    [event] = events(found)
    assert (event["bid"], event["ask"]) == (bid, ask)
    assert found.counts["empty_side"] == counted
    assert decode_event(event).bad is None


def test_levels_best_first(source):
    names = "timestamp,bid_price_00,bid_size_00,bid_price_01,bid_size_01,ask_price_00,ask_size_00"
    found = source(f"{names}\n{T},0.49,5,0.48,6,0.51,7\n{T},0.49,5,,,0,0\n")
    first, second = events(found)
    assert first == {"ts_ns": NS, "bids": [(0.49, 5.0), (0.48, 6.0)], "asks": [(0.51, 7.0)]}
    assert second == {"ts_ns": NS, "bids": [(0.49, 5.0)], "asks": []}
    assert found.counts == {"empty_side": 1}


def test_trades(source):
    found = source(
        f"id,timestamp,side,price,amount\n7,{T},buy,0.5,2\nx-8,{T},S,0.5,2\n,{T},unknown,0.5,2\n",
        market_id="X",
    )
    assert events(found) == [
        {"market_id": "X", "ts_ns": NS, "trade_id": 7,
         "trades": [{"price": 0.5, "size": 2.0, "aggressor_side": "buy"}]},
        {"market_id": "X", "ts_ns": NS, "trade_id": "x-8",
         "trades": [{"price": 0.5, "size": 2.0, "aggressor_side": "sell"}]},
        {"market_id": "X", "ts_ns": NS, "trades": [{"price": 0.5, "size": 2.0}]},
    ]  # fmt: skip


def test_sides_of_ones_own(source):
    text = f"timestamp,side,price,size\n{T},0,0.5,2\n"
    held = source(text)
    assert events(held)[0]["defect"] == "unknown_side"
    assert "a side is not known: say what it means by sides = {'text' = 'buy'}" in held.hints
    [event] = events(source(text, sides={"0": "sell"}))
    assert event["trades"][0]["aggressor_side"] == "sell"


DELTAS = f"""timestamp,local_timestamp,is_snapshot,side,price,amount
{T},{T},true,bid,0.48,6
{T},{T},true,ask,0.52,6
{T},{T},true,bid,0.49,5
{T},{T},true,ask,0.51,0
{T},{T},false,bid,0.49,0
{T + 1},{T + 1},false,ask,0.51,4
{T + 1},{T + 1},false,ask,0.51,4
{T + 1},{T + 1},false,ask,0.52,x
{T + 1},{T + 1},false,bid,0.48,1
"""


def test_rows_of_one_message_are_one_event(source):
    found = source(DELTAS)
    times = {"ts_ns": NS, "received_ns": NS}
    later = {"ts_ns": NS + 10**6, "received_ns": NS + 10**6}
    assert events(found) == [
        {**times, "bids": [(0.49, 5.0), (0.48, 6.0)], "asks": [(0.52, 6.0)]},
        {**times, "deltas": [("buy", 0.49, 0.0)]},
        {"defect": "bad_number:size", "row": 9, "raw": f"{T + 1},{T + 1},false,ask,0.52,x", **later},
        {**later, "deltas": [("sell", 0.51, 4.0), ("sell", 0.51, 4.0), ("buy", 0.48, 1.0)]},
    ]
    assert (found.rows, found.events) == (9, 4)
    assert found.counts == {"bad_number:size": 1, "repeated_row": 1}


def test_deltas_by_their_action(source):
    text = f"ts,act,side,price,size\n{T},update,B,0.5,3\n{T},DELETE,A,0.6,3\n{T + 1},clear,,,\n"
    columns = {"ts": "ts", "action": "act", "side": "side", "price": "price", "size": "size"}
    assert [sorted(event.items()) for event in events(source(text, rows="deltas", columns=columns))] == [
        [("deltas", [("buy", 0.5, 3.0), ("sell", 0.6, 0.0)]), ("ts_ns", NS)],
        [("asks", []), ("bids", []), ("ts_ns", NS + 10**6)],
    ]


def test_orders(source):
    rows = ["created,bid", "changed,ask", "deleted,bid", "trade,ask", "F,bid", "created,", "bust,bid"]
    lines = [f"{number},{T},{T},0.5,{2 * 10**8},{row}" for number, row in enumerate(rows, 1)]
    text = "id,timestamp,exchange.timestamp,price,volume,action,direction\n" + "\n".join(lines)
    found = source(text + f"\nab,{T},{T},,,reset,\n", size_scale=1e-8)
    parts = {"price": 0.5, "size": 2.0}
    got = events(found)
    assert [event.get("order_messages") for event in got] == [
        [{"op": "add", "order_id": 1, "side": "buy", **parts}],
        [{"op": "modify", "order_id": 2, "side": "sell", **parts}],
        [{"op": "delete", "order_id": 3, "side": "buy", **parts}],
        [{"op": "execute", "order_id": 4, "side": "sell", **parts}],
        [{"op": "execute", "order_id": 5, "side": "buy", **parts}],
        None,
        None,
        [{"op": "clear"}],
    ]
    assert [event["trades"] for event in got if "trades" in event] == [
        [{**parts, "aggressor_side": "buy"}],
        [{**parts, "aggressor_side": "sell"}],
    ]
    assert found.counts == {"unknown_side": 1, "unknown_action": 1}
    assert all(decode_event(event).bad is None for event in got if "defect" not in event)


def test_numbers_of_messages_and_status(source):
    columns = {
        "ts": "t",
        "bid": "b",
        "ask": "a",
        "seq": "n",
        "prev_seq": "p",
        "status": "s",
        "market_id": "m",
    }
    text = f"t,b,a,n,p,s,m\n{T},0.49,0.51,7,6,HALTED,X\n{T},0.49,0.51,,,,\n{T},0.49,0.51,7.5,,,\n"
    assert events(source(text, columns=columns, defects="skip")) == [
        {
            "ts_ns": NS,
            "channel": "quotes",
            "seq": 7,
            "prev_seq": 6,
            "market_id": "X",
            "status": "halted",
            "bid": 0.49,
            "ask": 0.51,
        },
        {"ts_ns": NS, "channel": "quotes", "bid": 0.49, "ask": 0.51},
    ]


@pytest.mark.parametrize(
    ("scale", "text", "price"),
    [
        (0.0001, "5853301", 585.3301),
        (0.0001, "5853301.5", 585.33015),
        (1e-9, "585330100000", 585.3301),
        (100, "0.07", 7.0),
        (0.0003, "7", 0.0021),
        (1, "585.3301", 585.3301),
    ],
)
def test_scaled_prices_are_the_nearest_floats(source, scale, text, price):
    assert events(source(f"{HEAD}{T},{text},{text}\n", price_scale=scale))[0]["bid"] == price


# ---------------------------------------------------------------- forms of files


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        (HEAD + f"{T},0.49,0.51\n", {}),
        ("\ufeff" + HEAD + f"{T},0.49,0.51\r\n", {}),
        (f"timestamp;bid;ask\n{T};0.49;0.51", {}),
        (f"timestamp\tbid\task\n{T}\t0.49\t0.51\n", {}),
        (f'"timestamp","bid","ask"\n"{T}","0.49","0.51"\n', {}),
        (f"timestamp|bid|ask\n{T}|0.49|0.51\n", {"delimiter": "|"}),
        (f"{T},0.49,0.51\n", {"columns": {"ts": 0, "bid": 1, "ask": 2}}),
        (f"x,y,z\n{T},0.49,0.51\n", {"columns": {"ts": 0, "bid": 1, "ask": 2}}),
        (f"1,2,3\n{T},0.49,0.51\n", {"columns": {"ts": "1", "bid": "2", "ask": "3"}, "header": True}),
        (f"\n\n{HEAD}\n{T},0.49,0.51\n  \n", {}),
        (HEAD + f"{T},0.49,0.51\n" + HEAD, {}),
        (gzip.compress(f"{HEAD}{T},0.49,0.51\n".encode(), mtime=0), {}),
        (bz2.compress(f"{HEAD}{T},0.49,0.51\n".encode()), {}),
        (HEAD + "2024-08-08T23:54:16Z,0.49,0.51\n", {}),
        (HEAD + "2024-08-08 19:54:16,0.49,0.51\n", {"timezone": "America/New_York"}),
        (HEAD + "8.8.2024 23:54:16,0.49,0.51\n", {"time_format": "%d.%m.%Y %H:%M:%S"}),
        (HEAD + "86056,0.49,0.51\n", {"time_unit": "s", "date": "2024-08-08"}),
        ("86056000,0.49,0.51\n", {"date": "2024-08-08"}),
        ("20240808 235416000,0.49,0.51,0\n", {}),
    ],
)
def test_the_same_quote_in_many_forms(source, text, arguments):
    assert events(source(text, **arguments)) == [{"ts_ns": NS, "bid": 0.49, "ask": 0.51}]


def test_a_file_name_tells_the_day(source):
    found = source("86056000,0.49,0.51\n86057000,0.49,0.51\n", name="fxcm_eurusd_20240808_quote.csv")
    assert [event["ts_ns"] for event in events(found)] == [NS, NS + 10**9]


def test_several_files_are_one_stream(source, tmp_path):
    for day in ("20240807", "20240808"):
        (tmp_path / f"x_{day}.csv").write_text("86056000,0.49,0.51\n")
    (tmp_path / "empty.csv").write_text(HEAD)
    (tmp_path / "more.csv").write_text(f"ask,bid,timestamp\n0.52,0.48,{T}\n")
    found = CsvSource(
        [tmp_path / name for name in ("x_20240807.csv", "x_20240808.csv", "empty.csv", "more.csv")]
    )
    assert [event["ts_ns"] for event in events(found)] == [NS - 86_400 * 10**9, NS, NS]


def test_the_market_of_a_row(source):
    text = f"timestamp,symbol,bid,ask\n{T},A,0.49,0.51\n{T},B,0.49,0.51\n{T},B,x,0.51\n"
    assert [event["market_id"] for event in events(source(text))] == ["A", "B", "B"]
    assert [event.get("market_id") for event in events(source(text, opening="empty"))] == [
        "A",
        "B",
        "A",
        "B",
        "B",
    ]
    named = source(text, market_id="X")
    assert [event["market_id"] for event in events(named)] == ["X", "X", "X"]
    assert named.hints == [
        "a.csv holds several markets (A, B, ...), all read as X: leave market_id empty to keep them apart"
    ]


# ---------------------------------------------------------------- rows that cannot be used

GOOD = f"{T},0.49,0.51\n"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (f"{T},0.49\n", "wrong_columns:2"),
        (f"{T},0.49,0.51,9\n", "wrong_columns:4"),
        (f"{T},0.49x,0.51\n", "bad_number:bid"),
        (f"{T},0.49,inf\n", "bad_number:ask"),
        (f"{T},0_1,0.51\n", "bad_number:bid"),
        (f"{T // 1000},0.49,0.51\n", "bad_stamp"),
        (f"{T}000,0.49,0.51\n", "bad_stamp"),
        (",0.49,0.51\n", "bad_stamp"),
        ("2024-08-08,0.49,0.51\n", "bad_stamp"),
        (f'{T},"0.49,0.51\n', "unclosed_quote"),
        (f'{T},"0.49"1,0.51\n', "bad_quote"),
        (f"{T},0.4", "torn_row"),
        (f"{T},0.49,-", "torn_row"),
        (f"{T},0.4\0,0.51\n", "binary_row"),
    ],
)
def test_a_row_that_cannot_be_used_holds(source, row, reason):
    text = HEAD + GOOD * 200 + row
    found = source(text)
    *before, held = events(found)
    assert (len(before), found.rows) == (200, 201)
    assert (held["defect"], held["row"], held["raw"]) == (reason, 202, row.rstrip("\n"))
    assert found.counts[reason] == 1
    assert decode_event(held).bad.reason == f"defect:{reason}"
    assert len(events(source(text, defects="skip"))) == 200
    stopping = source(text, defects="stop")
    with pytest.raises(MarketDataError) as caught:
        events(stopping)
    assert str(caught.value) == (
        f"a.csv: row 202: {reason}: {row.rstrip(chr(10))!r}; mend the row, or set defects = 'hold' to go on with a "
        "packet that holds"
    )


def test_an_unclosed_quote_tells_of_newlines(source):
    found = source(HEAD + GOOD + f'{T},"0.49\n0.5",0.51\n')
    assert [event.get("defect") for event in events(found)] == [None, "unclosed_quote", "wrong_columns:2"]
    assert found.hints == ["a quote is opened and not closed: cells that hold a newline are not supported"]


def test_a_held_row_keeps_the_market_and_times_it_tells(source):
    found = source(f"timestamp,symbol,bid,ask\n{T},A,x,0.51\n{T},A,0.49,0.51\n")
    held, _ = events(found)
    assert (held["market_id"], held["ts_ns"]) == ("A", NS)


def test_blank_rows_and_headers_are_counted_and_left_out(source):
    found = source(HEAD + "\n" + GOOD + "   \n" + HEAD + GOOD)
    assert len(events(found)) == 2
    assert found.quality()["defects"] == {"repeated_row": 1}
    assert found.quality()["remarks"] == {"blank_row": 2, "repeated_header": 1}


@pytest.mark.parametrize(("repeats", "given"), [("keep", 3), ("hold", 3), ("skip", 2)])
def test_repeats(source, repeats, given):
    found = source(HEAD + GOOD + GOOD + f"{T},0.48,0.51\n", repeats=repeats)
    got = events(found)
    assert len(got) == given
    assert [event.get("defect") for event in got].count("repeated_row") == (repeats == "hold")
    assert found.counts["repeated_row"] == 1


def test_a_cut_file_gives_what_came_before_then_says_so(source):
    packed = gzip.compress((HEAD + "".join(f"{T + i},0.49,0.5{i % 7}\n" for i in range(20_000))).encode())
    found = source(packed[: len(packed) // 2], name="a.csv.gz")
    got = []
    with pytest.raises(MarketDataError) as caught:
        got.extend(iter(found.next_event, None))
    assert str(caught.value).startswith("a.csv.gz: row ")
    assert "the gzip stream is cut" in str(caught.value)
    assert found.events > 1_000
    assert found.next_event() is None


# ---------------------------------------------------------------- refused at once


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        (HEAD + "1723161256000000,0.49,0.51\n", {"time_unit": "ms"},
         ("a.csv: column 'timestamp', row 2: 1723161256000000 read as ms is beyond the year 2100: it looks like "
         "microseconds: set time_unit = 'us'")),
        ("1723161256000,0.49,0.51\n", {"time_unit": "us", "columns": {"ts": 0, "bid": 1, "ask": 2}},
         ("a.csv: column 0, row 1: 1723161256000 read as us is before the year 1990: it looks like milliseconds: "
         "set time_unit = 'ms'")),
        (HEAD + "x,0.49,0.51\n", {},
         ("a.csv: column 'timestamp', row 2: 'x' is no time of 1990 to 2099 that is known: set time_format, such as "
         "'%d.%m.%Y %H:%M:%S.%f'")),
        ("339,1.1,1.2\n", {}, ("a.csv: row 1 '339,1.1,1.2' looks like milliseconds since midnight, bid and ask: "
         "set date = '2014-05-06' with its day")),
        ("339,1.1,5.2\n", {}, ("a.csv has no header that is known, and its columns are not: row 1 is '339,1.1,5.2': "
         "give columns, such as columns = {ts = 0, bid = 1, ask = 2}")),
        (f"{T},0.49,0.51\n", {}, ("a.csv has no header that is known, and its columns are not: row 1 is "
         f"'{T},0.49,0.51': give columns, such as columns = {{ts = 0, bid = 1, ask = 2}}")),
        (HEAD + f"{T},0.49,0.51,9\n" * 3, {}, "a.csv: row 2 has 4 columns, the header 3: correct the header"),
        (f'"timestamp,bid,ask\n{T},0.49,0.51\n', {},
         "a.csv: row 1: a quote is opened and not closed: '\"timestamp,bid,ask'"),
        ("\n \n", {}, "a.csv holds no row that can be read: download it again"),
        (HEAD + GOOD, {"columns": {"ts": "time", "bid": "bid", "ask": "ask"}},
         "a.csv has no column 'time' for ts: did you mean 'timestamp'? It has: timestamp, bid, ask"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_refused_at_once(source, text, arguments, message):
    with pytest.raises(MarketDataError) as caught:
        source(text, **arguments)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"delimiter": ",,"}, "delimiter is ',,': give one character, such as ',' or ';'"),
        ({"header": "yes"}, "header is 'yes': give true or false, or leave it out"),
        ({"rows": "bars"}, "rows is 'bars': give one of auto, quotes, trades, deltas, orders"),
        ({"time_unit": "m"}, "time_unit is 'm': give one of auto, s, ms, us, ns, iso"),
        ({"price_scale": 0}, "price_scale is 0: give a number above 0"),
        ({"size_scale": "x"}, "size_scale is 'x': give a number above 0"),
        ({"sides": {"x": "long"}}, "sides: 'x' is 'long': give one of buy, sell"),
        ({"actions": "x"}, "actions is 'x': give a table such as {'X' = 'add'}"),
        ({"market_id": "X", "columns": {"market_id": "m"}},
         "market_id is given, and a column of it too: give one of them"),
        ({"columns": {"bidd": "b"}}, "columns: the field 'bidd' is unknown: did you mean 'bid'?"),
    ],
)  # fmt: skip
def test_settings_that_make_no_sense(source, arguments, message):
    with pytest.raises(ConfigError) as caught:
        source(HEAD + GOOD, **arguments)
    assert str(caught.value) == message


def test_a_first_row_that_is_damaged_does_not_stop_the_file(source):
    found = source(HEAD + "zz,0.49,0.51\n" + GOOD)
    assert [event.get("defect") for event in events(found)] == ["bad_stamp", None]


# ---------------------------------------------------------------- hints


@pytest.mark.parametrize(
    ("rows", "hints"),
    [
        ([f"{T + i},5853300,5859400" for i in range(3)], ["prices look scaled by 10,000: set price_scale = 0.0001"]),
        ([f"{T + i},585330000000,585940000000" for i in range(3)],
         ["prices look scaled by 1,000,000,000: set price_scale = 1e-9"]),
        ([f"{T + i},5853300,5859401" for i in range(3)], []),
        ([f"{T},0.49,0.5{i % 9 + 1}" for i in range(100)],
         ["the first 100 events span 0 ns: check time_unit and time_format"]),
        ([f"{T + 86_400_000 * i},0.49,0.51" for i in range(2_000)],
         ["the first 1,000 events span 999 days: check time_unit and time_format"]),
        ([f"{T + i},0.5{i % 10},0.51" for i in range(2_000)],
         [("80.0 % of the first 1,000 quotes are crossed: check that bid and ask are not swapped; a feed of several "
          "venues may be so")]),
    ],
)  # fmt: skip
def test_hints_come_once_from_the_first_rows(source, rows, hints):
    found = source(HEAD + "\n".join(rows) + "\n")
    events(found)
    assert found.hints == hints


def test_a_file_of_which_no_row_can_be_used_says_why(source):
    found = source(f"timestamp;bid;ask\n{T};0,49;0,51\n")
    assert [event["defect"] for event in events(found)] == ["bad_number:bid"]
    assert found.hints == [
        "numbers are written with a comma, such as '0,49': write '0.49', with a point",
        "no row of a.csv can be used, most for bad_number:bid: check columns and delimiter",
    ]


def test_a_local_time_that_no_clock_showed_holds_and_is_counted(source):
    rows = ["2024-03-10 01:59:59,0.49,0.51", "2024-03-10 02:30:00,0.49,0.51", "2024-03-10 03:00:00,0.49,0.51"]
    found = source(HEAD + "\n".join(rows) + "\n", timezone="America/New_York")
    assert [event.get("defect") for event in events(found)] == [None, "bad_stamp", None]
    assert found.quality()["defects"] == {"bad_stamp": 1}
    with pytest.raises(MarketDataError) as caught:
        source(HEAD + rows[1] + "\n", timezone="America/New_York")
    assert str(caught.value).endswith(
        "'2024-03-10 02:30:00' was shown by no clock in America/New_York: there they went forward: check timezone"
    )


def test_histdata_times_are_not_utc(source):
    text = "20240808 235416000,0.49,0.51,0\n"
    assert source(text).hints == [
        "times of HistData are New York's without daylight saving: set timezone = '-05:00'"
    ]
    found = source(text, timezone="-05:00")
    assert [event["ts_ns"] for event in events(found)] == [NS + 5 * 3_600 * 10**9]
    assert found.hints == []


# ---------------------------------------------------------------- memory


def test_memory_stays_constant(tmp_path):
    """The peak over the first and the last rows is the same; in between no object stays (300,000 rows)."""
    file = tmp_path / "a.csv"
    with file.open("w") as out:
        out.write(HEAD)
        out.writelines(
            f"{T + i},{1 + i % 997 / 1000:.5f},{1.001 + i % 997 / 1000:.5f}\n" for i in range(300_000)
        )
    found = CsvSource(file)

    def read(count):
        return sum(1 for _ in itertools.islice(iter(found.next_event, None), count))

    def peak(count):
        tracemalloc.start()
        read(count)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(20_000) < 2_000_000
    blocks = sys.getallocatedblocks()
    assert read(260_000) == 260_000
    assert sys.getallocatedblocks() < blocks + 20_000
    assert peak(20_000) < 2_000_000 < file.stat().st_size
    assert found.next_event() is None


def test_open_begins_anew(source):
    from ami_engine.ports import RunContext

    found = source(HEAD + GOOD * 2)
    first = events(found)
    found.open(RunContext(run_id="again"))
    assert events(found) == first
    assert found.quality() == {
        "source": "CsvSource", "files": ["a.csv"], "rows": 2, "events": 2, "defects": {"repeated_row": 1}, "remarks": {}, "hints": []
    }  # fmt: skip
