"""Raw captures of Hyperliquid and Bybit: what each message becomes."""

import json
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ami_engine.adapters.captures import BybitSource, HyperliquidSource
from decision_schema.decode_event import decode_event
from decision_schema.errors import MarketDataError

NS = 1737918843893903000
MS = 1737918843000


def level(price, size):
    return {"px": price, "sz": size, "n": 2}


def book(time=MS, coin="BTC", **values):
    shown = [[level("105055.0", "3.5"), level("105054.0", "0.25")], [level("105056.0", "1")]]
    return {"channel": "l2Book", "data": {"coin": coin, "time": time, "levels": shown, **values}}


def coin_trade(tid=5, side="B", coin="BTC", **values):
    return {"coin": coin, "side": side, "px": "105056.0", "sz": "0.02", "time": MS + tid, "hash": "0x0", "tid": tid, "users": ["0xa", "0xb"], **values}  # fmt: skip


def orders(kind="delta", u=8, **values):
    data = {
        "s": "XRPUSDT",
        "b": [["1.9531", "10"], ["1.9530", "0"]],
        "a": [["1.9532", "7"]],
        "u": u,
        "seq": 99,
    }
    return {
        "topic": "orderbook.500.XRPUSDT",
        "type": kind,
        "ts": MS,
        "cts": MS - 2,
        "data": {**data, **values},
    }


def public_trade(**values):
    return {"T": MS + 1, "s": "XRPUSDT", "S": "Sell", "v": "4", "p": "1.95", "L": "PlusTick", "i": "id", "BT": False, **values}  # fmt: skip


BTC = {"market_id": "BTC", "received_ns": NS + 1_000}
XRP = {"market_id": "XRPUSDT"}
MESSAGES = {
    "book": (
        HyperliquidSource,
        book(),
        {"channel": "l2Book", "ts_ms": MS, "bids": [(105055.0, 3.5), (105054.0, 0.25)], "asks": [(105056.0, 1.0)]},
    ),
    "book without bids": (
        HyperliquidSource,
        book(levels=[[], [level("1.5", "2")]]),
        {"channel": "l2Book", "ts_ms": MS, "bids": [], "asks": [(1.5, 2.0)]},
    ),
    "coin trades": (
        HyperliquidSource,
        {"channel": "trades", "data": [coin_trade(9, "A"), coin_trade(5)]},
        {
            "channel": "trades",
            "ts_ns": (MS + 9) * 10**6,
            "trades": [
                {"price": 105056.0, "size": 0.02, "aggressor_side": "sell", "ts_ns": (MS + 9) * 10**6},
                {"price": 105056.0, "size": 0.02, "aggressor_side": "buy", "ts_ns": (MS + 5) * 10**6},
            ],
            "trade_ids": [9, 5],
        },
    ),
    "other channel": (
        HyperliquidSource,
        {"channel": "activeAssetCtx", "data": {"coin": "BTC", "ctx": {}}},
        {"channel": "other", "stream": "activeAssetCtx"},
    ),
    "snapshot": (
        BybitSource,
        orders("snapshot"),
        {"channel": "orderbook.500", "ts_ms": MS, "seq": 8, "book_seq": 8, "bids": [(1.9531, 10.0)], "asks": [(1.9532, 7.0)]},
    ),
    "changes": (
        BybitSource,
        orders(),
        {
            "channel": "orderbook.500",
            "ts_ms": MS,
            "seq": 8,
            "prev_seq": 7,
            "book_seq": 8,
            "deltas": [("buy", 1.9531, 10.0), ("buy", 1.953, 0.0), ("sell", 1.9532, 7.0)],
        },
    ),
    "public trades": (
        BybitSource,
        {"topic": "publicTrade.XRPUSDT", "type": "snapshot", "ts": MS + 3, "data": [public_trade(), public_trade(BT=True)]},
        {
            "channel": "publicTrade",
            "ts_ms": MS + 3,
            "trades": [{"price": 1.95, "size": 4.0, "aggressor_side": "sell", "ts_ns": (MS + 1) * 10**6}],
        },
    ),
    "other topic": (
        BybitSource,
        {"topic": "tickers.XRPUSDT", "type": "delta", "ts": MS, "data": {"symbol": "XRPUSDT", "fundingRate": "0.0001"}},
        {"channel": "other", "ts_ms": MS, "stream": "tickers.XRPUSDT"},
    ),
}  # fmt: skip


def make(source, tmp_path, *messages, **arguments):
    """Hyperliquid rows carry our stamp, Bybit rows do not."""
    file = tmp_path / "capture"
    rows = [message if isinstance(message, str) else json.dumps(message) for message in messages]
    if source is HyperliquidSource:
        rows = [f"{NS + 1_000 * place} {row}" for place, row in enumerate(rows)]
    file.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    return source(file, **arguments)


def all_of(source):
    return list(iter(source.next_event, None))


def first_of(source):
    return book(MS - 1) if source is HyperliquidSource else orders(u=1)


@pytest.mark.parametrize("case", MESSAGES)
def test_messages(tmp_path, case):
    venue, message, expected = MESSAGES[case]
    source = make(venue, tmp_path, first_of(venue), message)
    _, event = all_of(source)
    assert event == (BTC if venue is HyperliquidSource else XRP) | expected
    decoded = decode_event(event)
    assert decoded.bad is None
    assert set(decoded.extra) <= {"trade_ids", "stream"}
    assert source.counts == ({"block_trade": 1} if case == "public trades" else {})


@pytest.mark.parametrize(
    ("venue", "message", "reason"),
    [
        (HyperliquidSource, book(levels=None), "missing_field:levels"),
        (HyperliquidSource, book(levels=[[]]), "bad_number:levels"),
        (HyperliquidSource, book(levels=[[level("nan", "1")], []]), "bad_number:levels"),
        (HyperliquidSource, book(levels=[[["1", "2"]], []]), "bad_number:levels"),
        (
            HyperliquidSource,
            {"channel": "trades", "data": [coin_trade(), coin_trade(coin="ETH")]},
            "bad_coin",
        ),
        (HyperliquidSource, {"channel": "trades", "data": [7]}, "bad_coin"),
        (HyperliquidSource, {"channel": "trades", "data": [coin_trade(side="C")]}, "bad_side:side"),
        (HyperliquidSource, {"channel": "trades", "data": [coin_trade(side=None)]}, "missing_field:side"),
        (HyperliquidSource, {"channel": "trades", "data": [coin_trade(sz="-1")]}, "bad_number:sz"),
        (HyperliquidSource, {"channel": "trades", "data": [coin_trade(sz="0")]}, "bad_number:sz"),
        (HyperliquidSource, {"channel": "trades", "data": [coin_trade(side=["B"])]}, "bad_side:side"),
        (HyperliquidSource, {"stream": "x"}, "unknown_message"),
        (HyperliquidSource, "{torn", "unreadable_row"),
        (BybitSource, orders(u=None), "missing_field:u"),
        (BybitSource, orders(b=[["1", "x"]]), "bad_number:b"),
        (BybitSource, {**orders(), "data": None}, "missing_field:data"),
        (BybitSource, {**orders(), "ts": "now"}, "bad_number:ts"),
        (BybitSource, {"topic": "publicTrade.XRPUSDT", "data": [public_trade(S="B")]}, "bad_side:S"),
        (BybitSource, {"topic": "publicTrade.XRPUSDT", "data": ["x"]}, "missing_field:data"),
        (BybitSource, {"stream": "x"}, "unknown_message"),
    ],
)
def test_rows_that_cannot_be_used_hold(tmp_path, venue, message, reason):
    source = make(venue, tmp_path, first_of(venue), message, first_of(venue))
    _, held, last = all_of(source)
    assert (held["defect"], held["row"]) == (reason, 2)
    assert "defect" not in last
    assert source.counts == {reason: 1}


@pytest.mark.parametrize(
    ("venue", "answers"),
    [
        (HyperliquidSource, [{"channel": "subscriptionResponse", "data": {"method": "subscribe"}}, {"channel": "pong"}]),
        (BybitSource, [{"success": True, "ret_msg": "", "op": "subscribe"}, {"op": "pong"}]),
    ],
)  # fmt: skip
def test_answers_give_no_event(tmp_path, venue, answers):
    source = make(venue, tmp_path, *answers, first_of(venue))
    assert len(all_of(source)) == 1
    assert source.counts == {"acknowledgement": 2}


def test_what_concerns_no_market_gives_no_event(tmp_path):
    source = make(
        HyperliquidSource,
        tmp_path,
        book(),
        {"channel": "allMids", "data": {"mids": {}}},
        {"channel": "trades", "data": []},
    )
    assert len(all_of(source)) == 1
    assert source.counts == {"no_market": 2}


@pytest.mark.parametrize("symbol", ["kPEPE", "kpepe"])
def test_a_coin_keeps_its_letters(tmp_path, symbol):
    source = make(HyperliquidSource, tmp_path, book(coin="kPEPE"), book(), symbol=symbol)
    assert [event["market_id"] for event in all_of(source)] == ["kPEPE"]
    assert (source.counts, source.hints) == ({"other_symbol": 1}, [])


def test_a_book_received_twice_is_a_repeat(tmp_path):
    source = make(HyperliquidSource, tmp_path, book(), book(), book(MS + 1), repeats="skip")
    assert [event["ts_ms"] for event in all_of(source)] == [MS, MS + 1]
    assert source.counts == {"repeated_row": 1}


@pytest.mark.parametrize("venue", [HyperliquidSource, BybitSource])
def test_another_venue_is_refused(tmp_path, venue):
    other = BybitSource if venue is HyperliquidSource else HyperliquidSource
    with pytest.raises(
        MarketDataError,
        match=rf"^capture is no {venue.venue} capture: row 1 is .*: try `mdm data inspect capture`$",
    ):
        make(venue, tmp_path, first_of(other))


def test_a_zip_of_two_days_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "days.zip", "w") as archive:
        archive.writestr("1.data", json.dumps(orders()))
        archive.writestr("2.data", json.dumps(orders()))
    with pytest.raises(MarketDataError, match=r"days.zip holds 2 files \(1.data, 2.data\)"):
        BybitSource(tmp_path / "days.zip")


junk = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5) | st.sampled_from(["1.5", "nan", "-1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["px", "sz", "side", "coin", "S", "p", "v"]), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=300)
@given(case=st.sampled_from([*MESSAGES]), data=st.data(), value=junk)
def test_any_value_in_any_field_gives_an_event_or_a_defect(tmp_path_factory, case, data, value):
    venue, message, _ = MESSAGES[case]
    message = json.loads(json.dumps(message))
    part = message
    while True:
        key = (
            data.draw(st.sampled_from([*part]))
            if isinstance(part, dict)
            else data.draw(st.integers(0, len(part) - 1))
        )
        if not isinstance(part[key], dict | list) or not part[key] or data.draw(st.booleans()):
            break
        part = part[key]
    part[key] = value
    source = make(venue, tmp_path_factory.getbasetemp(), first_of(venue), message, first_of(venue))
    events = all_of(source)
    assert len(events) == 3 - source.counts["acknowledgement"] - source.counts["no_market"]
    for event in events:
        decoded = decode_event(event)
        assert (
            decoded.bad is None
            or decoded.bad.reason.startswith("defect:")
            or decoded.bad.reason in ("invalid_input:bids", "invalid_input:asks")
        )
