"""Parquet files give the events that the same table gives as CSV, in constant memory."""

import sys
from datetime import UTC, date, datetime, time
from decimal import Decimal

import pytest

from ami_engine.adapters import parquet_source
from ami_engine.adapters.csv_source import CsvSource
from ami_engine.adapters.parquet_source import ParquetSource
from decision_schema.errors import ConfigError, MarketDataError

pl = pytest.importorskip("polars")

T = 1_723_161_256_000  # ms
NS = T * 10**6


def events(source):
    return list(iter(source.next_event, None))


@pytest.fixture
def parquet(tmp_path):
    def make(table, **arguments):
        pl.DataFrame(table).write_parquet(tmp_path / "a.parquet")
        return ParquetSource(tmp_path / "a.parquet", **arguments)

    return make


TABLES = {
    "quotes": (
        {"timestamp": [T * 1000 + i // 2 for i in range(1_000)], "symbol": ["A", "B"] * 500,
         "bid": [None if i % 50 == 0 else 0.4 + i % 7 / 100 for i in range(1_000)], "ask": [0.5 + i % 9 / 100 for i in range(1_000)],
         "bid_size": [float(i % 3) for i in range(1_000)], "ask_size": [i % 5 for i in range(1_000)], "note": ["x"] * 1_000},
        {},
    ),
    "levels": (
        {"timestamp": [T, T], "bid_price_00": [0.49, 0.0], "bid_size_00": [5, 0], "ask_price_00": [0.51, 0.52],
         "ask_size_00": [7.5, None]},
        {"market_id": "X"},
    ),
    "trades": (
        {"timestamp": [T, T, T], "id": [1, 1, 2], "side": ["buy", "buy", None], "price": [1e-7, 1e-7, 123456.789],
         "amount": [0.1, 0.1, 1e22]},
        {"repeats": "hold", "market_id": "X"},
    ),
    "deltas": (
        {"timestamp": [T, T, T + 1], "is_snapshot": [True, True, False], "side": ["bid", "ask", "ask"],
         "price": [0.49, 0.51, 0.51], "amount": [5.0, 6.0, 0.0]},
        {},
    ),
    "orders": (
        {"received": [T, T], "id": ["a", "b"], "action": ["created", "bust"], "direction": ["bid", "ask"],
         "price": [5853300, 5859400], "volume": [18, 200]},
        {"price_scale": 0.0001, "columns": {"received": "received", "order_id": 1, "action": "action", "side": 3,
                                            "price": "price", "size": "volume"}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", TABLES)
def test_the_same_table_gives_the_same_events(parquet, tmp_path, kind, monkeypatch):
    monkeypatch.setattr(parquet_source, "SLICE_ROWS", 7)
    columns, arguments = TABLES[kind]
    frame = pl.DataFrame(columns)
    frame.write_csv(tmp_path / "a.csv")
    ours, texts = parquet(columns, **arguments), CsvSource(tmp_path / "a.csv", **arguments)
    got, expected = events(ours), events(texts)
    assert len(got) > 0
    for one, other in zip(got, expected, strict=True):
        if "defect" in other:  # the text of a row and its number are the format's own
            one, other = ({**event, "row": 0, "raw": ""} for event in (one, other))
        assert one == other
    assert (ours.rows, ours.counts, ours.hints) == (texts.rows, texts.counts, texts.hints)
    assert ours.progress() == 1.0


NEW_YORK = "America/New_York"
MOMENT = datetime(2024, 8, 8, 23, 54, 16, 123_456)


@pytest.mark.parametrize(
    ("stamps", "dtype", "arguments", "ns"),
    [
        ([MOMENT], pl.Datetime("us"), {}, NS + 123_456_000),
        ([MOMENT], pl.Datetime("ms"), {}, NS + 123_000_000),
        ([MOMENT.replace(tzinfo=UTC)], pl.Datetime("ns", "UTC"), {"timezone": NEW_YORK}, NS + 123_456_000),
        ([NS + 123_456_789], pl.Datetime("ns", NEW_YORK), {}, NS + 123_456_789),
        (
            [datetime(2024, 8, 8, 19, 54, 16, 123_456)],
            pl.Datetime("us"),
            {"timezone": NEW_YORK},
            NS + 123_456_000,
        ),
        ([MOMENT], pl.Datetime("us"), {"time_unit": "ms"}, NS + 123_456_000),
        ([MOMENT], pl.Datetime("us"), {"time_format": "%Y"}, NS + 123_456_000),
        ([date(2024, 8, 8)], pl.Date, {}, NS - 86_056 * 10**9),
        ([time(23, 54, 16)], pl.Time, {"date": "2024-08-08"}, NS),
        ([Decimal("1723161256.123456789")], pl.Decimal(30, 9), {}, NS + 123_456_789),
        (["2024-08-08T23:54:16.123456789Z"], pl.String, {}, NS + 123_456_789),
        ([NS // 1000], pl.UInt64, {"time_unit": "us"}, NS),
    ],
)
def test_times_of_any_type_are_exact(parquet, stamps, dtype, arguments, ns):
    found = parquet({"ts": pl.Series(stamps, dtype=dtype), "bid": [0.49], "ask": [0.51]}, **arguments)
    assert events(found) == [{"ts_ns": ns, "bid": 0.49, "ask": 0.51}]


def test_numbers_of_any_type(parquet):
    columns = {
        "ts": [T], "bid": pl.Series([0.49], dtype=pl.Float32), "ask": pl.Series([Decimal("0.5100")]),
        "bid_size": pl.Series([5], dtype=pl.UInt8), "ask_size": [float("nan")], "list": [[1, 2]],
    }  # fmt: skip
    assert events(parquet(columns)) == [{"ts_ns": NS, "bid": 0.49, "bid_size": 5.0, "ask": 0.51}]


def test_a_row_that_cannot_be_used_holds(parquet):
    found = parquet({"ts": [T, None, T], "bid": ["0.49", "0.5", "x"], "ask": [0.51, 0.51, 0.51]})
    assert events(found) == [
        {"ts_ns": NS, "bid": 0.49, "ask": 0.51},
        {"defect": "bad_stamp", "row": 2, "raw": ",0.5,0.51"},
        {"defect": "bad_number:bid", "row": 3, "raw": f"{T},x,0.51", "ts_ns": NS},
    ]


@pytest.mark.parametrize(
    ("columns", "arguments", "message"),
    [
        ({"ts": [T], "bid": [1.0], "ask": [1.0]}, {"columns": {"ts": "tss", "bid": "bid", "ask": "ask"}},
         "a.parquet has no column 'tss' for ts: did you mean 'ts'? It has: ts, bid, ask"),
        ({"ts": [T], "bid": [1.0], "ask": [1.0]}, {"time_unit": "us"},
         ("a.parquet: column 'ts', row 1: 1723161256000 read as us is before the year 1990: it looks like "
         "milliseconds: set time_unit = 'ms'")),
        ({"ts": [time(1)], "bid": [1.0], "ask": [1.0]}, {},
         "a.parquet: column 'ts' holds times without a day: set date = '2014-05-06' with it"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_read_is_refused_at_once(parquet, columns, arguments, message):
    with pytest.raises(MarketDataError) as caught:
        parquet(columns, **arguments)
    assert str(caught.value) == message


def test_what_is_no_parquet_is_refused_in_one_line(tmp_path):
    (tmp_path / "a.parquet").write_text("ts,bid,ask\n1,2,3\n")
    with pytest.raises(
        MarketDataError, match=r"\Aa\.parquet is no Parquet: .*: download the file again\Z"
    ) as caught:
        ParquetSource(tmp_path / "a.parquet")
    assert "\n" not in str(caught.value)


def test_a_damaged_file_gives_what_came_before(tmp_path):
    count = 1_000
    frame = pl.DataFrame(
        {"ts": range(T, T + count), "bid": [0.49 + i / 1e6 for i in range(count)], "ask": [0.6] * count}
    )
    file = tmp_path / "a.parquet"
    frame.write_parquet(file, row_group_size=100, compression="uncompressed")
    found = ParquetSource(file)
    data = bytearray(file.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 4_000] = b"\xff" * 4_000
    file.write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet_source, "SLICE_ROWS", 100)
        with pytest.raises(MarketDataError, match="cannot be read, those before are kept"):
            events(found)
    assert found.events > 0
    assert found.next_event() is None


def test_of_a_damaged_file_only_what_is_damaged_is_lost(tmp_path):
    """All rows before the damaged group are given, also within a slice; the others are counted."""
    count = 1_000
    frame = pl.DataFrame(
        {"ts": range(T, T + count), "bid": [0.49 + i % 7 / 100 for i in range(count)], "ask": [0.6] * count}
    )
    file = tmp_path / "a.parquet"
    frame.write_parquet(file, row_group_size=50, compression="zstd")
    found = ParquetSource(file)
    data = bytearray(file.read_bytes())
    start = 4 + data[4:].find(b"\x28\xb5\x2f\xfd", len(data) * 2 // 5)  # a zstd frame
    data[start : start + 4] = bytes(4)
    file.write_bytes(data)
    with pytest.raises(MarketDataError) as caught:
        events(found)
    kept = found.rows
    assert kept > 0
    assert kept % 50 == 0
    assert f"a.parquet: rows from {kept + 1} on cannot be read, those before are kept" in str(caught.value)
    assert found.quality()["defects"] == {"lost_row": count - kept}


def test_an_empty_table_gives_nothing(parquet):
    assert events(parquet({"ts": pl.Series([], dtype=pl.Int64), "bid": [], "ask": []})) == []


def test_without_polars_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(ConfigError) as caught:
        ParquetSource(tmp_path / "a.parquet")
    assert str(caught.value) == "polars is not installed: pip install 'mdm-engine[data]'"


def test_memory_stays_constant(tmp_path):
    rows = 300_000
    frame = pl.DataFrame(
        {"ts": range(T, T + rows), "bid": [1 + i % 997 / 1000 for i in range(rows)], "ask": [3.0] * rows}
    )
    frame.write_parquet(tmp_path / "a.parquet", row_group_size=50_000)
    found = ParquetSource(tmp_path / "a.parquet")
    found.next_event()
    blocks = sys.getallocatedblocks()
    most = 0
    for number, _ in enumerate(iter(found.next_event, None)):
        if number % 10_000 == 0:
            most = max(most, sys.getallocatedblocks() - blocks)
    assert number == rows - 2
    assert most < 20_000
