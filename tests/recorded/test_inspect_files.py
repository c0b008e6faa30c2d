"""Every recorded file: recognised with the figures of its README, or refused in one line."""

import pytest

from ami_engine.adapters.inspecting.inspection import inspect_file
from ami_engine.adapters.inspecting.recognise import recognise
from decision_schema.errors import MarketDataError

FX, BINANCE, LOBSTER = "fx-eurusd-ticks-201405", "binance-raw-20240808", "lobster-aapl-20120621"
FILES = {
    f"{BINANCE}/spot_btcusdt_20240808.gz": {
        "format": "binance", "rows": 41_249, "quotes": 28_040, "snapshots": 1, "book_changes": 3_451, "trades": 9_757,
        "refused": {"awaiting_snapshot": 3}, "offset_ms": -1_276, "low": 61_589.11, "high": 61_860.795, "tick": "0.01", "lot": "0.00001",
    },
    f"{BINANCE}/spot_btcusdt_20240809.gz": {
        "format": "binance", "rows": 58_325, "quotes": 45_134, "book_changes": 3_044, "trades": 10_147,
        "refused": {"awaiting_snapshot": 3_044}, "offset_ms": -1_277, "low": 61_556.045, "high": 61_744.375, "tick": "0.01", "lot": "0.00001",
        "hint": "wait for a snapshot that never comes",
    },
    f"{BINANCE}/usdm_btcusdt_20240808.gz": {
        "format": "binance", "rows": 93_954, "quotes": 66_089, "snapshots": 1, "book_changes": 6_551, "trades": 21_313,
        "refused": {"awaiting_snapshot": 6}, "offset_ms": -1_273, "low": 61_590.35, "high": 61_839.85, "tick": "0.1", "lot": "0.001",
        "hint": "93,954 events are more than 1,000 ms ahead of our clock",
    },
    f"{FX}/fxcm_eurusd_20140506_quote.zip": {
        "format": "csv", "rows": 102_682, "quotes": 102_682, "refused": {"locked_book": 12_154, "crossed_book": 9_999},
        "market": "EURUSD", "tick": "0.00001", "silence": 144.8, "hint": "9.7 % of quotes and book changes are crossed",
    },
    f"{FX}/fxcm_eurusd_20140508_quote.zip": {
        "format": "csv", "rows": 167_466, "quotes": 167_466, "refused": {"locked_book": 19_051, "crossed_book": 18_285},
        "market": "EURUSD", "tick": "0.00001", "silence": 101.6,
    },
    f"{FX}/oanda_eurusd_20140508_quote.zip": {
        "format": "csv", "rows": 87_833, "quotes": 87_833, "market": "EURUSD", "tick": "0.00001", "defects": {"repeated_row": 1}, "silence": 212.5, "hint": "no sizes",
    },
    "fx-small-quote-csv/quote_tick_data.csv.gz": {
        "format": "csv", "rows": 9_500, "quotes": 9_500, "tick": "0.00001", "silence": 85.7, "hint": "times of HistData are New York's",
    },
    "fx-small-quote-csv/usdjpy-ticks.csv.gz": {
        "format": "csv", "rows": 1_000, "quotes": 1_000, "refused": {"locked_book": 1}, "market": "USDJPY", "tick": "0.001",
    },
    "hyperliquid-btc-20250126/btcusd_20250126.gz": {
        "format": "hyperliquid", "rows": 55, "snapshots": 46, "trades": 64, "market": "BTC", "tick": "1", "lot": "0.00001",
        "defects": {"repeated_row": 1},
    },
    "bybit-xrpusdt-20241201/xrpusdt-ob500.data.zip": {
        "format": "bybit", "rows": 50, "snapshots": 1, "book_changes": 49, "market": "XRPUSDT", "low": 1.95315, "tick": "0.0001", "lot": "1",
    },
    f"{LOBSTER}/AAPL_2012-06-21_message_10.first998.csv.gz": {
        "format": "lobster", "rows": 999, "defects": {"repeated_row": 3}, "snapshots": 1, "market": "AAPL", "tick": "0.01", "lot": "1",
    },
    f"{LOBSTER}/AAPL_2012-06-21_message_50.csv.gz": {
        "format": "lobster", "rows": 91_997, "defects": {"repeated_row": 34}, "snapshots": 1, "trades": 6_268, "order_messages": 89_795, "market": "AAPL",
        "tick": "0.01", "lot": "1", "silence": 3.06,
    },
    "bitstamp-btcusd-20150501/orders.csv.xz": {
        "format": "csv", "rows": 50_414, "order_messages": 50_414, "silence": 13.6, "tick": "0.01", "defects": {"repeated_row": 1},
        "hint": "give no price that can be used: see what is refused",
    },
}  # fmt: skip
SLOW = ("fxcm_eurusd_20140508_quote.zip", "AAPL_2012-06-21_message_50.csv.gz", "orders.csv.xz")
NOT_READ = {
    "bats-pitch-sample": "looks like BATS PITCH",
    "betfair-stream": "looks like a stream of the Betfair Exchange",
    "bitstamp-btcusd-20150501": "JSON messages of no venue that is known",
    "cryptofeed-raw-ws": "looks like a raw capture of cryptofeed",
    "dbn-cme-es": "looks like Databento's DBN",
    "dbn-tiny-fixtures": "looks like Databento's DBN",
    "ibkr-l1-ticks-20220107": "looks like one JSON array",
    LOBSTER: "looks like a LOBSTER book file",
    "taq-messy-2018": "looks like R data",
}
"""By folder: what is said of each file in it that is not read."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name.endswith(SLOW) else ()) for name in FILES]
)
def test_files_that_are_read(mdm_data, name):
    expected = FILES[name]
    seen = inspect_file(mdm_data / name)
    (market,) = seen.markets
    assert (seen.format, seen.rows, seen.broken) == (expected["format"], expected["rows"], "")
    assert seen.unreadable == {}
    assert seen.defects == expected.get("defects", {})
    for part in ("quotes", "book_changes", "trades", "order_messages"):
        if part in expected:
            assert market.parts[part] == expected[part], part
    if "bitstamp" not in name:
        assert market.refused == expected.get("refused", {})
    assert seen.clock.offset_ms == expected.get("offset_ms", 0)
    assert (market.tick_hint, market.lot_hint) == (expected["tick"], expected.get("lot", market.lot_hint))
    assert market.market_id == expected.get("market", market.market_id)
    assert market.price.low == pytest.approx(expected.get("low", market.price.low))
    assert market.price.high == pytest.approx(expected.get("high", market.price.high))
    assert seen.longest_silence_seconds == pytest.approx(
        expected.get("silence", seen.longest_silence_seconds), abs=0.06
    )
    assert any(expected.get("hint", "") in hint for hint in [*seen.hints, ""])


def test_all_other_files_are_refused_in_one_line(mdm_data):
    others = 0
    for file in sorted(mdm_data.rglob("*")):
        name = file.relative_to(mdm_data).as_posix()
        if file.is_dir() or name in FILES or file.name == "README.md":
            continue
        others += 1
        with pytest.raises(MarketDataError, match=NOT_READ[file.parent.name]) as error:
            recognise(file)
        assert str(error.value).startswith(file.name)
        assert len(str(error.value).splitlines()) == 1
    assert others > 50


def test_their_readmes_are_no_data(mdm_data):
    for file in mdm_data.rglob("README.md"):
        with pytest.raises(MarketDataError, match=r"README\.md"):
            recognise(file)
