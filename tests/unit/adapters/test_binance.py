"""Raw captures of Binance: what each message becomes, and what rows that cannot be used do."""

import gzip
import inspect
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ami_engine.adapters.binance import BinanceSource
from ami_engine.adapters.captured.capture_peek import ROWS_PEEKED
from ami_engine.ports import RunContext
from decision_schema.decode_event import decode_event
from decision_schema.errors import ConfigError, MarketDataError

NS = 1723161254087891268
"""Our stamp of the first row; each later row is 1 us younger."""
MS = 1723161255343


def quote(u=100, symbol="BTCUSDT", **values):
    return {"u": u, "s": symbol, "b": "61837.63", "B": "3.5", "a": "61837.64", "A": "1.25", **values}


def changes(first=101, last=103, symbol="BTCUSDT", **values):
    return {"e": "depthUpdate", "E": MS, "s": symbol, "U": first, "u": last, "b": [["61837.63", "0.00"], ["61830.00", "2"]], "a": [["61837.64", "0.5"]], **values}  # fmt: skip


def trade(t=7, symbol="BTCUSDT", **values):
    return {"e": "trade", "E": MS, "s": symbol, "t": t, "p": "61837.63", "q": "0.02", "T": MS - 1, "m": True, "M": True, **values}  # fmt: skip


def summed(a=9, symbol="BTCUSDT", **values):
    return {"e": "aggTrade", "E": MS, "a": a, "s": symbol, "p": "61837.5", "q": "0.3", "f": 7, "l": 8, "T": MS - 2, "m": False, **values}  # fmt: skip


def snapshot(seq=102, **values):
    return {"lastUpdateId": seq, "bids": [["61837.63", "3.5"], ["61837.62", "1"]], "asks": [["61837.64", "1.25"]], **values}  # fmt: skip


def stream(name, data):
    return {"stream": name, "data": data}


def text_of(messages, stamps=True):
    rows = []
    for place, message in enumerate(messages):
        text = message if isinstance(message, str) else json.dumps(message, separators=(",", ":"))
        rows.append(f"{NS + 1_000 * place} {text}" if stamps else text)
    return "".join(f"{row}\n" for row in rows)


@pytest.fixture
def capture(tmp_path):
    """Makes a source of rows; a row that is no text becomes JSON."""

    def make(*messages, stamps=True, name="capture.txt", **arguments):
        content = (
            messages[0]
            if len(messages) == 1 and isinstance(messages[0], bytes)
            else text_of(messages, stamps).encode()
        )
        file = tmp_path / name
        file.write_bytes(content)
        return BinanceSource(file, **arguments)

    return make


def all_of(source):
    return list(iter(source.next_event, None))


QUOTE = {
    "market_id": "BTCUSDT",
    "channel": "bookTicker",
    "seq": 100,
    "book_seq": 100,
    "bid": 61837.63,
    "bid_size": 3.5,
    "ask": 61837.64,
    "ask_size": 1.25,
}
CHANGES = {
    "market_id": "BTCUSDT",
    "channel": "depth",
    "ts_ms": MS,
    "seq": 103,
    "prev_seq": 100,
    "book_seq": 103,
    "deltas": [("buy", 61837.63, 0.0), ("buy", 61830.0, 2.0), ("sell", 61837.64, 0.5)],
}
TRADE = {
    "market_id": "BTCUSDT",
    "channel": "trade",
    "ts_ms": MS,
    "seq": 7,
    "prev_seq": 6,
    "trades": [{"price": 61837.63, "size": 0.02, "aggressor_side": "sell", "ts_ns": (MS - 1) * 10**6}],
}
SUMMED = {
    "market_id": "BTCUSDT",
    "channel": "aggTrade",
    "ts_ms": MS,
    "seq": 9,
    "prev_seq": 8,
    "trades": [{"price": 61837.5, "size": 0.3, "aggressor_side": "buy", "ts_ns": (MS - 2) * 10**6}],
}
SNAPSHOT = {
    "market_id": "BTCUSDT",
    "channel": "snapshot",
    "book_seq": 102,
    "bids": [(61837.63, 3.5), (61837.62, 1.0)],
    "asks": [(61837.64, 1.25)],
}
OTHER = {"market_id": "BTCUSDT", "channel": "other"}
FUTURES_TOP = changes(u=102, b=[["61837.63", "3.5"], ["61837.62", "1"]], a=[["61837.64", "1.25"]], pu=99)

MESSAGES = {
    "spot quote": (stream("btcusdt@bookTicker", quote()), QUOTE),
    "futures quote": (stream("btcusdt@bookTicker", quote(e="bookTicker", E=MS, T=MS)), QUOTE | {"ts_ms": MS}),
    "raw spot quote": (quote(), QUOTE),
    "raw futures quote": (quote(e="bookTicker", E=MS), QUOTE | {"ts_ms": MS}),
    "all quotes": (stream("!bookTicker", quote()), QUOTE),
    "quote in numbers": (quote(b=61837.63, B=3.5, a=61837.64, A=1.25), QUOTE),
    "empty bid": (quote(b="0.00000000", B="0.00000000"), QUOTE | {"bid": None, "bid_size": 0.0}),
    "bid without size": (quote(B="0.000"), QUOTE | {"bid": None, "bid_size": 0.0}),
    "ask without price": (quote(a="0.000"), QUOTE | {"ask": None, "ask_size": 0.0}),
    "spot changes": (stream("btcusdt@depth@100ms", changes()), CHANGES),
    "slow changes": (stream("btcusdt@depth", changes()), CHANGES),
    "futures changes": (stream("btcusdt@depth@0ms", changes(T=MS - 1, pu=88)), CHANGES | {"prev_seq": 88}),
    "futures changes, 500 ms": (stream("btcusdt@depth@500ms", changes(pu=88)), CHANGES | {"prev_seq": 88}),
    "raw changes": (changes(), CHANGES),
    "first changes ever": (changes(U=0), CHANGES | {"prev_seq": 0}),
    "no change": (changes(b=[], a=[]), CHANGES | {"deltas": []}),
    "old spot levels": (changes(b=[["1.5", "2", []]], a=[]), CHANGES | {"deltas": [("buy", 1.5, 2.0)]}),
    "microseconds": (changes(E=MS * 1000 + 7), {key: value for key, value in CHANGES.items() if key != "ts_ms"} | {"ts_ns": MS * 10**6 + 7_000}),
    "trade": (stream("btcusdt@trade", trade()), TRADE),
    "raw trade": (trade(), TRADE),
    "futures trade": (trade(X="MARKET", m=False), TRADE | {"trades": [TRADE["trades"][0] | {"aggressor_side": "buy"}]}),
    "insurance fund": (trade(X="INSURANCE_FUND"), {k: v for k, v in TRADE.items() if k != "trades"} | {"origin": "INSURANCE_FUND"}),
    "no price": (trade(X="NA", p="0", q="0"), {k: v for k, v in TRADE.items() if k != "trades"} | {"origin": "NA"}),
    "summed trade": (stream("btcusdt@aggTrade", summed()), SUMMED),
    "raw summed trade": (summed(), SUMMED),
    "spot snapshot": (snapshot(), SNAPSHOT),
    "futures snapshot": (snapshot(E=MS, T=MS - 8), SNAPSHOT | {"ts_ms": MS}),
    "coin futures snapshot": (snapshot(symbol="BTCUSD_PERP", E=MS), SNAPSHOT | {"ts_ms": MS, "market_id": "BTCUSD_PERP"}),
    "snapshot in disorder": (snapshot(bids=[["61837.62", "1"], ["60000", "0"], ["61837.63", "3.5"]]), SNAPSHOT),
    "wrapped snapshot": (stream("btcusdt@snapshot", snapshot()), SNAPSHOT),
    "spot best levels": (stream("btcusdt@depth5", snapshot()), SNAPSHOT),
    "spot best levels, fast": (stream("btcusdt@depth20@100ms", snapshot()), SNAPSHOT),
    "futures best levels": (stream("btcusdt@depth10@100ms", FUTURES_TOP), SNAPSHOT | {"ts_ms": MS}),
    "mark price": (
        stream("btcusdt@markPrice@1s", {"e": "markPriceUpdate", "E": MS, "s": "BTCUSDT", "p": "61800.5", "i": "61801.5", "P": "61700", "r": "-0.0001", "T": MS + 9}),
        {"market_id": "BTCUSDT", "channel": "markPrice", "ts_ms": MS, "mark_price": 61800.5, "index_price": 61801.5, "funding_rate_next": -0.0001, "funding_due_ms": MS + 9},
    ),
    "mark price of a delivery": ({"e": "markPriceUpdate", "E": MS, "s": "BTCUSDT", "p": "1.5", "r": "", "T": 0}, {"market_id": "BTCUSDT", "channel": "markPrice", "ts_ms": MS, "mark_price": 1.5}),
    "candle": (stream("btcusdt@kline_1m", {"e": "kline", "E": MS, "s": "BTCUSDT", "k": {"o": "1"}}), OTHER | {"ts_ms": MS, "stream": "btcusdt@kline_1m"}),
    "raw candle": ({"e": "kline", "E": MS, "s": "BTCUSDT", "k": {}}, OTHER | {"ts_ms": MS, "stream": "kline"}),
    "liquidation": (stream("!forceOrder@arr", {"e": "forceOrder", "E": MS, "o": {"s": "BTCUSDT", "S": "SELL"}}), OTHER | {"ts_ms": MS, "stream": "!forceOrder@arr"}),
}  # fmt: skip


@pytest.mark.parametrize("case", MESSAGES)
@pytest.mark.parametrize("stamps", [True, False])
def test_messages(capture, case, stamps):
    """Each message behind a quote that tells the symbol."""
    message, expected = MESSAGES[case]
    first = quote(1, "BTCUSD_PERP" if case == "coin futures snapshot" else "BTCUSDT")
    source = capture(first, message, stamps=stamps)
    _, event = all_of(source)
    assert event == ({**expected, "received_ns": NS + 1_000} if stamps else expected)
    decoded = decode_event(event)
    assert decoded.bad is None
    assert set(decoded.extra) <= {
        "stream",
        "origin",
        "mark_price",
        "index_price",
        "funding_rate_next",
        "funding_due_ms",
    }
    assert decoded.funding_rate is None
    counts = {
        "empty bid": "empty_side",
        "bid without size": "empty_side",
        "ask without price": "empty_side",
        "insurance fund": "not_market_trade",
        "no price": "not_market_trade",
    }
    assert source.counts == ({counts[case]: 1} if case in counts else {})


BAD = {
    "missing price": (quote(b=None), "missing_field:b"),
    "missing size": ({k: v for k, v in trade().items() if k != "q"}, "missing_field:q"),
    "missing id": ({k: v for k, v in trade().items() if k != "t"}, "missing_field:t"),
    "missing side": ({k: v for k, v in trade().items() if k != "m"}, "missing_field:m"),
    "missing update": ({k: v for k, v in changes().items() if k != "U"}, "missing_field:U"),
    "missing levels": ({k: v for k, v in changes().items() if k != "a"}, "missing_field:a"),
    "missing asks": ({"lastUpdateId": 3, "bids": []}, "missing_field:asks"),
    "no number": (trade(q="many"), "bad_number:q"),
    "nan": (trade(p="nan"), "bad_number:p"),
    "infinite": (trade(p="inf"), "bad_number:p"),
    "too large": (trade(p="1e999"), "bad_number:p"),
    "negative size": (trade(q="-0.5"), "bad_number:q"),
    "negative price": (quote(a="-1"), "bad_number:a"),
    "truth": (quote(A=True), "bad_number:A"),
    "list": (quote(A=["1"]), "bad_number:A"),
    "side is text": (trade(m="true"), "bad_number:m"),
    "id is text": (trade(t="7"), "bad_number:t"),
    "id is negative": (trade(t=-7), "bad_number:t"),
    "id is huge": (trade(t=2**63), "bad_number:t"),
    "time is text": (trade(E="now"), "bad_number:E"),
    "time is far": (trade(T=10**18), "bad_number:T"),
    "level without size": (changes(b=[["1.5"]]), "bad_number:b"),
    "level is nan": (changes(a=[["nan", "1"]]), "bad_number:a"),
    "level of negative size": (changes(a=[["1.5", "-1"]]), "bad_number:a"),
    "level of price 0": (changes(a=[["0", "1"]]), "bad_number:a"),
    "levels are text": (changes(a="none"), "bad_number:a"),
    "torn inside": ('{"stream":"btcusdt@trade","data":{"e":"tr', "unreadable_row"),
    "nan in JSON": ('{"u": NaN}', "unreadable_row"),
    "two in a row": (json.dumps(trade()) + json.dumps(trade()), "unreadable_row"),
    "list in a row": ("[1, 2]", "unreadable_row"),
    "deep": ("[" * 100_000, "unreadable_row"),
    "no message": ("{}", "unknown_message"),
    "foreign": ({"channel": "l2Book", "data": {}}, "unknown_message"),
    "refusal": ({"code": -1003, "msg": "Too many requests"}, "venue_error"),
    "error": ({"error": {"code": 2, "msg": "Invalid request"}, "id": 1}, "venue_error"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_rows_that_cannot_be_used_hold(capture, case):
    message, reason = BAD[case]
    source = capture(quote(), message, quote(101))
    first, held, last = all_of(source)
    assert (first["seq"], last["seq"]) == (100, 101)
    raw = text_of([quote(), message]).splitlines()[1][:512]
    assert (held["defect"], held["row"], held["raw"]) == (reason, 2, raw)
    assert held.get("received_ns") == (None if reason == "unreadable_row" else NS + 1_000)
    assert held["market_id"] == "BTCUSDT"
    assert source.quality()["defects"] == {reason: 1}
    assert decode_event(held).bad.reason == f"defect:{reason}"


@pytest.mark.parametrize("case", BAD)
def test_rows_that_cannot_be_used_are_skipped_or_stop(capture, case):
    message, reason = BAD[case]
    source = capture(quote(), message, quote(101), defects="skip")
    assert [event["seq"] for event in all_of(source)] == [100, 101]
    assert source.counts == {reason: 1}
    source = capture(quote(), message, quote(101), defects="stop")
    assert source.next_event()["seq"] == 100
    with pytest.raises(MarketDataError, match=rf"^capture.txt: row 2: {reason}: "):
        source.next_event()
    assert source.next_event() is None


# ------------------------------------------------------------ rows and stamps


def test_torn_last_row(capture):
    whole = text_of([quote(), trade()])
    for cut in range(len(whole.splitlines()[0]) + 2, len(whole) - 2):
        source = capture(whole[:cut].encode())
        first, held = all_of(source)
        assert first["seq"] == 100
        assert (held["defect"], held["row"]) == ("torn_row", 2)
        assert source.counts == {"torn_row": 1}
    assert len(all_of(capture(whole[:-1].encode()))) == 2
    assert capture(whole[:-1].encode()).counts == {}


def test_a_cut_gzip_gives_its_rows_then_the_torn_one_then_the_error(capture):
    packed = gzip.compress(text_of([quote(u) for u in range(100, 3_000)]).encode())
    source = capture(packed[: len(packed) // 2], name="capture.gz")
    events = []
    with pytest.raises(MarketDataError) as error:
        events.extend(iter(source.next_event, None))
    assert source.next_event() is None
    assert [event["seq"] for event in events[:-1]] == list(range(100, 100 + len(events) - 1))
    assert events[-1]["defect"] == "torn_row"
    whole = len(events) - 1
    assert str(error.value) == (
        f"capture.gz: row {len(events)}: the gzip stream is cut: {whole} rows before it are kept; "
        "download the file again"
    )
    assert source.rows == source.events == len(events) > 500
    assert source.progress() == 1.0


@pytest.mark.parametrize(("digits", "unit"), [(19, 1), (16, 1_000), (13, 1_000_000)])
def test_stamps_of_any_unit(capture, digits, unit):
    stamps = [str(NS + 10**9 * row)[:digits] for row in range(4)]
    rows = [f"{stamp} {json.dumps(quote(100 + row))}" for row, stamp in enumerate(stamps)]
    strange = [
        f"{NS}0 {json.dumps(quote(200))}",
        f"{NS // 10**9} {json.dumps(quote(201))}",
        json.dumps(quote(202)),
        f"{NS / 10**9:.3f} {json.dumps(quote(203))}",
        f"{'9' * 19} {json.dumps(quote(204))}",
    ]
    other = f"{str(NS)[: 16 if digits == 13 else 13]} {json.dumps(quote(205))}"
    source = capture("\n".join([*rows, *strange, other]).encode())
    events = all_of(source)
    assert [event["received_ns"] for event in events[:4]] == [int(stamp) * unit for stamp in stamps]
    assert [event["defect"] for event in events[4:]] == ["bad_stamp"] * 6
    assert source.counts == {"bad_stamp": 6}


def test_a_stamp_in_a_capture_without_is_bad(capture):
    rows = [json.dumps(quote(100)), json.dumps(quote(101)), f"{NS} {json.dumps(quote(102))}"]
    events = all_of(capture("\n".join(rows).encode()))
    assert [event.get("defect") for event in events] == [None, None, "bad_stamp"]
    assert "received_ns" not in events[0]


def test_the_first_row_does_not_decide_alone(capture):
    """A capture that begins within a row: what is left of its stamp looks like milliseconds."""
    content = text_of([quote(u) for u in range(100, 104)])[6:]
    events = all_of(capture(content.encode()))
    assert [event.get("defect") for event in events] == ["bad_stamp", None, None, None]


def test_seconds_are_no_stamps(capture):
    with pytest.raises(
        MarketDataError, match=r"row 1 is '1723161254 {.*give stamps of ns, us or ms since 1970, or none"
    ):
        capture(f"{NS // 10**9} {json.dumps(quote())}".encode())


def test_tabs_blank_rows_and_windows(capture):
    content = f"\ufeff{NS}\t{json.dumps(quote())}\r\n\r\n  \r\n{NS}  {json.dumps(quote(101))}\r\n"
    source = capture(content.encode())
    assert [event["seq"] for event in all_of(source)] == [100, 101]
    assert (source.rows, source.events, source.counts) == (4, 2, {})


def test_a_clock_that_goes_back_is_counted(capture):
    rows = [f"{NS - row * 1_000} {json.dumps(quote(100 + row))}" for row in (0, 2, 1, 3)]
    source = capture("\n".join(rows).encode())
    assert [event["received_ns"] for event in all_of(source)] == [NS, NS - 2_000, NS - 1_000, NS - 3_000]
    assert source.counts == {"clock_back": 2}


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("keep", [100, 100, 100, 101]),
        ("skip", [100, 101]),
        ("hold", [100, "repeated_row", "repeated_row", 101]),
    ],
)
def test_repeated_rows(capture, policy, expected):
    """The same message is a repeat also where our stamp differs."""
    source = capture(quote(), quote(), quote(), quote(101), repeats=policy)
    events = all_of(source)
    assert [event.get("defect") or event["seq"] for event in events] == expected
    assert source.counts == {"repeated_row": 2}
    if policy == "hold":
        assert events[1]["received_ns"] == NS + 1_000
        assert events[1]["market_id"] == "BTCUSDT"


def test_binary_and_endless_rows(capture):
    content = (
        text_of([quote(u) for u in range(100, 110)])
        + f"{NS} \0\0\0\n{NS} "
        + '"'
        + "x" * 9_000_000
        + "\n"
        + text_of([quote(110)])
    )
    source = capture(content.encode())
    events = all_of(source)
    assert [event.get("defect") for event in events] == [None] * 10 + ["binary_row", "oversize_row", None]
    assert len(events[11]["raw"]) == 512


def test_acknowledgements_and_lists_give_no_event(capture):
    source = capture(
        {"result": None, "id": 1},
        {"result": ["btcusdt@trade"], "id": 2},
        quote(),
        stream("!ticker@arr", [{"s": "BTCUSDT"}]),
        {"e": "serverShutdown", "E": MS},
    )
    assert [event["channel"] for event in all_of(source)] == ["bookTicker"]
    assert source.counts == {"acknowledgement": 2, "no_market": 2}
    assert (source.rows, source.events) == (5, 1)


# ------------------------------------------------------------ symbols


def test_a_snapshot_before_any_symbol(capture):
    events = all_of(capture(snapshot(), quote()))
    assert [event["market_id"] for event in events] == ["BTCUSDT", "BTCUSDT"]


def test_nothing_names_a_symbol(capture):
    (event,) = all_of(capture(snapshot()))
    assert "market_id" not in event
    (event,) = all_of(capture(snapshot(), market_id="btc"))
    assert event["market_id"] == "btc"
    (event,) = all_of(capture(snapshot(), symbol="btcusdt"))
    assert event["market_id"] == "BTCUSDT"


def test_a_bad_row_among_several_symbols_names_no_market(capture):
    events = all_of(capture(quote(), quote(5, "ETHUSDT"), "torn", trade(q=None), trade(8)))
    assert [event.get("market_id") for event in events] == ["BTCUSDT", "ETHUSDT", None, "BTCUSDT", "BTCUSDT"]
    assert [event.get("defect") for event in events] == [
        None,
        None,
        "unreadable_row",
        "missing_field:q",
        None,
    ]


def test_each_symbol_is_a_market(capture):
    source = capture(quote(), quote(5, "ETHUSDT"), snapshot(), trade(symbol="ETHUSDT"))
    events = all_of(source)
    assert [event.get("market_id") for event in events] == ["BTCUSDT", "ETHUSDT", None, "ETHUSDT"]
    assert events[2]["defect"] == "missing_field:symbol"
    assert source.hints == []


@pytest.mark.parametrize(("symbol", "seqs"), [("", [100, 101]), ("ethusdt", [5]), ("BTCUSDT", [100, 101])])
def test_one_market_takes_one_symbol(capture, symbol, seqs):
    source = capture(quote(), quote(5, "ETHUSDT"), quote(101), market_id="mine", symbol=symbol)
    events = all_of(source)
    assert [event["seq"] for event in events] == seqs
    assert {event["market_id"] for event in events} == {"mine"}
    assert source.counts == {"other_symbol": 3 - len(seqs)}
    hint = "market_id is 'mine', but the data hold several symbols: only BTCUSDT is read; name the one you want by symbol"
    assert source.hints == ([hint] if symbol == "" else [])


def test_a_symbol_that_is_not_there(capture):
    source = capture(quote(), quote(5, "ETHUSDT"), symbol="XRPUSDT")
    assert all_of(source) == []
    assert source.hints == ["capture.txt holds no symbol XRPUSDT, but BTCUSDT, ETHUSDT: correct symbol"]
    source.open(RunContext(run_id="again"))
    assert source.hints == []


def test_files_of_different_symbols(tmp_path):
    files = [tmp_path / "btc", tmp_path / "eth"]
    for file, symbol in zip(files, ("BTCUSDT", "ETHUSDT"), strict=True):
        file.write_text(text_of([snapshot(), quote(103, symbol)]))
    source = BinanceSource(files)
    assert [event["market_id"] for event in all_of(source)] == ["BTCUSDT", "BTCUSDT", "ETHUSDT", "ETHUSDT"]
    assert source.progress() == 1.0
    assert source.quality()["files"] == ["btc", "eth"]
    assert source.counts == {"clock_back": 1}


def test_an_empty_opening_is_of_each_market(capture):
    source = capture(snapshot(), quote(), quote(5, "ETHUSDT"), opening="empty")
    given = all_of(source)
    empty = {"received_ns": given[2]["received_ns"], "channel": "opening", "bids": [], "asks": []}
    assert given[:2] == [{"market_id": "BTCUSDT", **empty}, {"market_id": "ETHUSDT", **empty}]
    named = all_of(capture(quote(), quote(5, "ETHUSDT"), opening="empty", market_id="x"))
    assert named[0] == {**empty, "market_id": "x", "received_ns": named[1]["received_ns"]}
    assert [event["channel"] for event in all_of(capture(snapshot(), opening="empty"))] == ["opening", "snapshot"]


# ------------------------------------------------------------ streams that tell the same


def test_trades_are_counted_once(capture):
    source = capture(trade(), summed(), trade(8), summed(10))
    assert ["trades" in event for event in all_of(source)] == [True, False, True, False]
    assert source.counts == {"beside_trade": 2}
    assert source.hints == ["BTCUSDT has both trade and aggTrade, which tell the same: aggTrade is left out"]


def test_best_levels_do_not_replace_a_full_book(capture):
    top = stream("btcusdt@depth5", snapshot(110))
    events = all_of(capture(snapshot(), top, changes()))
    assert ["bids" in event for event in events] == [True, False, False]
    assert events[1] == {
        "market_id": "BTCUSDT",
        "channel": "other",
        "stream": "partial",
        "received_ns": NS + 1_000,
    }


def test_streams_that_tell_the_same_are_told_for_each_symbol(capture):
    source = capture(trade(), summed(symbol="ETHUSDT"))
    assert ["trades" in event for event in all_of(source)] == [True, True]


# ------------------------------------------------------------ whose capture it is


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"time,bid,ask\n1,2,3\n", "capture.txt is no Binance capture: row 1 is 'time,bid,ask': try `mdm data inspect capture.txt`"),
        (b'1737918843893903000 {"channel":"l2Book","data":{}}\n', r"""capture.txt is no Binance capture: row 1 is '1737918843893903000 {"channel":"l2Book","data":{}}': try `mdm data inspect capture.txt`"""),
        (b"x" * 500, f"capture.txt is no Binance capture: row 1 is '{'x' * 80}': try `mdm data inspect capture.txt`"),
        (gzip.compress(b"\n\n", mtime=0), "capture.txt is no Binance capture: it holds no row: try `mdm data inspect capture.txt`"),
        (gzip.compress(text_of([quote()]).encode(), mtime=0)[:12], "capture.txt: row 1: the gzip stream is cut: 0 rows before it are kept; download the file again"),
        (b'{"result":null,"id":1}', """capture.txt is no Binance capture: row 1 is '{"result":null,"id":1}': try `mdm data inspect capture.txt`"""),
    ],
    ids=["csv", "another venue", "one long row", "blank", "cut at once", "only an acknowledgement"],
)  # fmt: skip
def test_refused(capture, content, message):
    with pytest.raises(MarketDataError) as error:
        capture(content)
    assert str(error.value) == message


def test_a_few_foreign_rows_at_the_start_are_judged_one_by_one(capture):
    noise = ["recorder started"] * (ROWS_PEEKED - 1)
    events = all_of(capture(*noise, quote()))
    assert [event.get("defect") for event in events] == ["unreadable_row"] * (ROWS_PEEKED - 1) + [None]
    with pytest.raises(MarketDataError):
        capture(*noise, "one more", quote())


def test_arguments_are_checked(capture):
    with pytest.raises(ConfigError, match="defects is 'drop'"):
        capture(quote(), defects="drop")
    named = inspect.signature(BinanceSource).parameters
    assert [*named] == ["files", "symbol", "market_id", "clock_offset_ms", "defects", "repeats", "opening"]


# ------------------------------------------------------------ junk

junk = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=6) | st.sampled_from(["1.5", "nan", "-1", "1e400"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*"beEutTpqmasUBAX"]), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
samples = st.sampled_from([message for message, _ in MESSAGES.values()])


@settings(max_examples=400)
@given(
    message=samples,
    key=st.sampled_from(
        [*"eEsutTpqmabUBAXio", "pu", "lastUpdateId", "bids", "asks", "data", "stream", "symbol"]
    ),
    value=junk,
)
def test_any_value_in_any_field_gives_an_event_or_a_defect(tmp_path_factory, message, key, value):
    message = json.loads(json.dumps(message))
    if key in message or "data" not in message:
        message[key] = value
    else:
        message["data"][key] = value
    file = tmp_path_factory.getbasetemp() / "junk"
    file.write_text(text_of([quote(), message, quote(101)]), encoding="utf-8", errors="surrogatepass")
    source = BinanceSource(file)
    events = all_of(source)
    assert (events[0]["seq"], events[-1]["seq"]) == (100, 101)
    assert len(events) == 3 - source.counts["acknowledgement"] - source.counts["no_market"]
    for event in events:
        decoded = decode_event(event)
        assert (
            decoded.bad is None
            or decoded.bad.reason.startswith("defect:")
            or decoded.bad.reason in ("invalid_input:bids", "invalid_input:asks")
        )
