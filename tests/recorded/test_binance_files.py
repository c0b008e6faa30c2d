"""Recorded captures of Binance, Hyperliquid and Bybit: every row becomes an event, none is a defect."""

import gzip
import itertools
import tracemalloc
from collections import Counter

import pytest

from ami_engine.adapters.binance import BinanceSource
from ami_engine.adapters.captures import BybitSource, HyperliquidSource
from decision_schema.decode_event import decode_event
from decision_schema.errors import MarketDataError

FOLDER = "binance-raw-20240808"
PERPETUAL = "usdm_btcusdt_20240808.gz"
FILES = {
    "spot_btcusdt_20240808.gz": {"bookTicker": 28_040, "depth": 3_451, "trade": 9_757, "snapshot": 1},
    "spot_btcusdt_20240809.gz": {"bookTicker": 45_134, "depth": 3_044, "trade": 10_147},
    PERPETUAL: {"bookTicker": 66_089, "depth": 6_551, "trade": 21_313, "snapshot": 1},
}
"""Messages of each channel, as the folder's README counts them."""
MAX_PEAK_BYTES = 4_000_000


def check(source, counts):
    """Every row is an event that can be decoded; returns the events of the first 2,000 rows."""
    assert source.progress() == 0.0
    found: Counter[str] = Counter()
    last, shown = 0.0, []
    while (event := source.next_event()) is not None:
        found[event["channel"]] += 1
        assert "defect" not in event
        if len(shown) < 2_000:
            shown.append(event)
            assert decode_event(event).bad is None
            assert last <= source.progress() <= 1.0
            last = source.progress()
    assert found == counts
    assert source.rows == source.events == sum(counts.values())
    assert source.progress() == 1.0
    assert source.hints == []
    return shown


@pytest.mark.parametrize("name", FILES)
def test_each_message_is_an_event(mdm_data, name):
    source = BinanceSource(mdm_data / FOLDER / name)
    events = check(source, FILES[name])
    assert source.quality()["defects"] == {}
    assert {event["market_id"] for event in events} == {"BTCUSDT"}
    assert all(event["received_ns"] // 10**18 == 1 for event in events)
    for event in events:
        if event["channel"] == "bookTicker":
            assert event["bid"] < event["ask"]
            assert event["book_seq"] == event["seq"]


def test_contiguous_files_are_one_stream(mdm_data):
    """No number is missing, within the files and from one to the next."""
    names = [name for name in FILES if name.startswith("spot")]
    source = BinanceSource([mdm_data / FOLDER / name for name in names], market_id="btc")
    last: dict[str, int] = {}
    received = 0
    for event in iter(source.next_event, None):
        channel = event["channel"]
        assert event["market_id"] == "btc"
        if channel in last and "prev_seq" in event:
            assert event["prev_seq"] == last[channel]
        if "seq" in event:
            last[channel] = event["seq"]
        assert event["received_ns"] >= received
        received = event["received_ns"]
    assert set(last) == {"bookTicker", "depth", "trade"}
    assert source.rows == 41_249 + 58_325
    assert source.quality()["defects"] == {}


def test_the_book_of_the_perpetual_follows(mdm_data):
    """The changes chain by `prev_seq`, and replayed over the snapshot they meet the quotes."""
    source = BinanceSource(mdm_data / FOLDER / PERPETUAL)
    sides = {"buy": {}, "sell": {}}
    seq, met, compared, snapshot_seq = None, 0, 0, None
    for event in iter(source.next_event, None):
        if event["channel"] == "snapshot":
            snapshot_seq = event["book_seq"]
            sides = {"buy": dict(event["bids"]), "sell": dict(event["asks"])}
        elif event["channel"] == "depth":
            assert seq in (None, event["prev_seq"])
            seq = event["seq"]
            if snapshot_seq is not None and seq >= snapshot_seq:
                for side, price, size in event["deltas"]:
                    sides[side][price] = size
                    if size == 0.0:
                        del sides[side][price]
        elif event["channel"] == "bookTicker" and event["book_seq"] == seq and snapshot_seq is not None:
            compared += 1
            best = max(sides["buy"]), min(sides["sell"])
            met += best == (event["bid"], event["ask"])
    assert met == compared > 100


def test_memory_is_constant(mdm_data):
    source = BinanceSource(mdm_data / FOLDER / PERPETUAL)
    tracemalloc.start()
    try:
        for _ in itertools.islice(iter(source.next_event, None), 40_000):
            pass
        assert tracemalloc.get_traced_memory()[1] < MAX_PEAK_BYTES
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("part", [0.001, 0.3, 0.7, 0.999])
def test_a_cut_file_gives_what_it_holds(mdm_data, tmp_path, part):
    name = "spot_btcusdt_20240808.gz"
    packed = (mdm_data / FOLDER / name).read_bytes()
    file = tmp_path / name
    file.write_bytes(packed[: int(part * len(packed))])
    with gzip.open(mdm_data / FOLDER / name) as rows:
        first = [next(rows) for _ in range(3)]
    source = BinanceSource(file)
    events = []
    with pytest.raises(MarketDataError, match=rf"^{name}: row \d+: the gzip stream is cut: \d+ rows before"):
        events.extend(iter(source.next_event, None))
    assert events[0]["received_ns"] == int(first[0].split()[0])
    assert len(events) > (41_249 * part * 0.8 if part > 0.1 else 3)
    assert source.quality()["defects"] in ({"torn_row": 1}, {})


def test_hyperliquid(mdm_data):
    source = HyperliquidSource(mdm_data / "hyperliquid-btc-20250126" / "btcusd_20250126.gz")
    events = check(source, {"l2Book": 46, "trades": 9})
    assert source.quality()["defects"] == {"repeated_row": 1}
    books = [event for event in events if event["channel"] == "l2Book"]
    assert {(len(event["bids"]), len(event["asks"])) for event in books} == {(20, 20)}
    assert all(event["bids"][0][0] < event["asks"][0][0] for event in books)
    assert {trade["aggressor_side"] for event in events for trade in event.get("trades", ())} == {
        "buy",
        "sell",
    }


def test_bybit(mdm_data):
    source = BybitSource(mdm_data / "bybit-xrpusdt-20241201" / "xrpusdt-ob500.data.zip")
    events = check(source, {"orderbook.500": 50})
    assert source.quality()["defects"] == {}
    snapshot, *changes = events
    sides = {"buy": dict(snapshot["bids"]), "sell": dict(snapshot["asks"])}
    assert {len(side) for side in sides.values()} == {500}
    seq = snapshot["seq"]
    for event in changes:
        assert event["prev_seq"] == seq
        seq = event["seq"]
        for side, price, size in event["deltas"]:
            sides[side][price] = size
            if size == 0.0:
                del sides[side][price]
    assert (max(sides["buy"]), min(sides["sell"])) == (1.9537, 1.9538)
