"""The FX files, each with its own form of times: rows, span, crossed and locked quotes as the READMEs say."""

import itertools
from collections import Counter
from datetime import UTC, datetime

import pytest

from ami_engine.adapters.csv_source import CsvSource
from decision_schema.decode_event import decode_event

LEAN = "fx-eurusd-ticks-201405"
SMALL = "fx-small-quote-csv"
NS = 10**9


def seconds(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


# rows, crossed, locked, repeated stamps, gaps over a minute, largest gap in s, lowest and highest price
CASES = {
    "fxcm_eurusd_20140508_quote.zip": (LEAN, 167_466, 18_285, 19_051, 0, 22, 101.6, 1.38319, 1.39939),
    "fxcm_eurusd_20140506_quote.zip": (LEAN, 102_682, 9_999, 12_154, 0, 28, 144.8, 1.38756, 1.39515),
    "oanda_eurusd_20140508_quote.zip": (LEAN, 87_833, 0, 0, 1_562, 52, 212.5, 1.38320, 1.39948),
    "quote_tick_data.csv.gz": (SMALL, 9_500, 0, 0, None, None, 85.7, None, None),
    "usdjpy-ticks.csv.gz": (SMALL, 1_000, 0, 1, 7, None, None, None, None),
}
SPANS = {
    "fxcm_eurusd_20140508_quote.zip": ("-05:00", "2014-05-08T05:00:17.007", "2014-05-09T05:00"),
    "fxcm_eurusd_20140506_quote.zip": ("-05:00", "2014-05-06T05:00:00.339", "2014-05-07T05:00"),
    "oanda_eurusd_20140508_quote.zip": ("UTC", "2014-05-08T00:00:08.715", "2014-05-09T00:00"),
    "quote_tick_data.csv.gz": ("-05:00", "2020-01-01T22:00:00.065", "2020-01-02T04:01"),
    "usdjpy-ticks.csv.gz": ("UTC", "2013-01-01T22:00:00.295", "2013-01-01T22:35:14"),
}


@pytest.mark.parametrize("name", CASES)
def test_quotes_as_the_readme_counts_them(mdm_data, name):
    folder, rows, crossed, locked, repeated, gaps, largest, lowest, highest = CASES[name]
    zone, begin, end = SPANS[name]
    source = CsvSource(mdm_data / folder / name, timezone=zone)
    got = list(iter(source.next_event, None))
    assert (len(got), source.rows, source.events) == (rows, rows, rows)
    assert sum(event["bid"] > event["ask"] for event in got) == crossed
    assert sum(event["bid"] == event["ask"] for event in got) == locked
    steps = [after["ts_ns"] - before["ts_ns"] for before, after in itertools.pairwise(got)]
    assert min(steps) >= 0
    assert repeated in (None, sum(step == 0 for step in steps))
    assert gaps in (None, sum(step > 60 * NS for step in steps))
    assert largest in (None, round(max(steps) / NS, 1))
    prices = [price for event in got for price in (event["bid"], event["ask"])]
    assert lowest in (None, min(prices))
    assert highest in (None, max(prices))
    assert got[0]["ts_ns"] == round(seconds(begin) * 1_000) * 10**6
    assert seconds(begin) * NS < got[-1]["ts_ns"] < seconds(end) * NS
    assert not source.counts.keys() - {"repeated_row"}
    assert all(decode_event(event).bad is None for event in got[:1_000])


def test_bitstamp_orders(mdm_data):
    columns = {
        "received": "timestamp", "order_id": "id", "price": "price", "size": "volume", "action": "action",
        "side": "direction",
    }  # fmt: skip
    file = mdm_data / "bitstamp-btcusd-20150501" / "orders.csv.xz"
    source = CsvSource(file, rows="orders", columns=columns, size_scale=1e-8)
    messages = [event["order_messages"][0] for event in iter(source.next_event, None)]
    assert len(messages) == 50_414
    assert Counter(message["op"] for message in messages) == {"add": 24_894, "delete": 24_918, "modify": 602}
    assert messages[0] == {"op": "add", "order_id": 65595247, "side": "buy", "price": 236.47, "size": 2.0}
    assert messages[1]["size"] == 1.78855669
    assert source.counts == {"repeated_row": 1}
