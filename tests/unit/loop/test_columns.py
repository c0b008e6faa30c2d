"""Columns of market data: whatever they come in, the same numbers, or one line that says what is wrong."""

import datetime as dt
import math
import sys
from decimal import Decimal

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_engine.loop import column_values
from ami_engine.loop.columns import BIT, COLUMNS, FLOATS, chunks_of, read_columns
from decision_schema.errors import ConfigError, ContractError

NAN = math.nan
ARRAYS = ("ts_ns", "received_ns", "seq", *FLOATS, "trade_side", "market")


class OnlyArrow:
    """A frame of another library: it hands out an Arrow stream and nothing else."""

    def __init__(self, frame):
        self.frame = frame

    def __arrow_c_stream__(self, requested_schema=None):
        return self.frame.__arrow_c_stream__(requested_schema)


class Reader:
    """As pyarrow's RecordBatchReader: an Arrow stream that can also be read batch by batch."""

    def __init__(self, frames):
        self.frames = frames
        self.taken = 0

    def __arrow_c_stream__(self, requested_schema=None):
        raise AssertionError("taken in whole")

    def read_next_batch(self):
        return next(iter(self))

    def __iter__(self):
        for frame in self.frames:
            self.taken += 1
            yield OnlyArrow(frame)


def quotes(**columns):
    return {"ts_ns": [1, 2], "bid": [0.4, 0.5], **columns}


def same(one, other):
    assert (one.length, one.present, one.market_ids) == (other.length, other.present, other.market_ids)
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


def forms(frame):
    """Give one table in every form."""
    arrays = {name: frame[name].to_numpy() for name in frame.columns}
    structured = np.empty(len(frame), [(name, array.dtype) for name, array in arrays.items()])
    for name, array in arrays.items():
        structured[name] = array
    return {
        "lists": frame.to_dict(as_series=False),
        "arrays": arrays,
        "structured": structured,
        "series": frame.to_dict(),
        "frame": frame,
        "arrow": OnlyArrow(frame),
        "lazy": frame.lazy(),
        "iterator": iter([frame]),
        "reader": Reader([frame[:1], frame[1:]]),
        "halves": [arrays and frame[:2], OnlyArrow(frame[2:])],
    }


TABLE = pl.DataFrame(
    {
        "ts_ns": [10, 20, 30],
        "received_ns": [11, 22, 33],
        "seq": [1, 2, 3],
        "bid": [0.1, NAN, 0.3],
        "ask_size": pl.Series([1, 2, 3], dtype=pl.Int16),
        "trade_side": ["buy", "", "sell"],
        "market_id": ["B", "A", "B"],
    }
)


@pytest.mark.parametrize("form", forms(TABLE))
def test_every_form_gives_the_same(form):
    columns = read_columns(forms(TABLE)[form])
    assert columns.ts_ns.tolist() == [10, 20, 30]
    assert columns.received_ns.tolist() == [11, 22, 33]
    assert columns.seq.tolist() == [1, 2, 3]
    np.testing.assert_array_equal(columns.bid, [0.1, NAN, 0.3])
    assert columns.ask_size.tolist() == [1.0, 2.0, 3.0]
    assert columns.trade_side.tolist() == [1, 0, -1]
    assert columns.market.tolist() == [0, 1, 0]
    assert columns.market_ids == ("B", "A")
    assert np.isnan(columns.ask).all()
    assert [name for name in COLUMNS if columns.has(name)] == [
        "ts_ns", "received_ns", "seq", "bid", "ask_size", "trade_side", "market_id",
    ]  # fmt: skip


@pytest.mark.parametrize("form", forms(TABLE))
def test_every_array_has_one_type_whatever_the_data_were(form):
    """A compiled loop over them is compiled once."""
    columns = read_columns(forms(TABLE)[form])
    for name in ARRAYS:
        array = getattr(columns, name)
        dtype = np.int32 if name == "market" else np.float64 if name in FLOATS else np.int64
        assert type(array) is np.ndarray
        assert array.dtype == np.dtype(dtype)
        assert array.dtype.isnative
        assert len(array) == 3
        flags = array.flags
        assert (flags.c_contiguous, flags.aligned, flags.writeable) == (True, True, False), name


def test_what_is_a_float64_or_int64_is_not_copied():
    data = {"ts_ns": np.arange(4), "bid": np.ones(4)}
    columns = read_columns(data)
    assert np.shares_memory(columns.ts_ns, data["ts_ns"])
    assert np.shares_memory(columns.bid, data["bid"])
    data["bid"][0] = 7.0  # the user's own array stays the user's
    frame = pl.DataFrame(data)
    assert all(np.shares_memory(piece.bid, frame["bid"].to_numpy()) for piece in chunks_of(frame, 2))
    assert np.shares_memory(columns.ask, columns.mid)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("ts_event", "bid_price", "ask_price"), ("ts_ns", "bid", "ask")),
        (
            ("ts_init", "price", "size", "aggressor_side"),
            ("received_ns", "trade_price", "trade_size", "trade_side"),
        ),
        (("ts_recv", "bid_px_00", "ask_px_00", "bid_sz_00"), ("received_ns", "bid", "ask", "bid_size")),
        (("exch_ts", "local_ts", "mid_price"), ("ts_ns", "received_ns", "mid")),
        (("ts_ms", "received_us", "mid"), ("ts_ns", "received_ns", "mid")),
        (
            ("ts_ns", "mid", "depth", "bid_depth", "ask_depth"),
            ("ts_ns", "mid", "depth", "bid_depth", "ask_depth"),
        ),
    ],
)
def test_the_names_of_other_libraries_are_known(names, expected):
    columns = read_columns({name: [1] for name in names})
    assert columns.present == sum(BIT[name] for name in expected)
    assert columns.unused == ()


@pytest.mark.parametrize(
    ("stamps", "ns"),
    [
        (pl.Series([1_700_000_000_123_456_789]).cast(pl.Datetime("ns")), 1_700_000_000_123_456_789),
        (pl.Series([1_700_000_000_123_457]).cast(pl.Datetime("us", "UTC")), 1_700_000_000_123_457_000),
        (pl.Series([1_700_000_000_123]).cast(pl.Datetime("ms", "Asia/Tokyo")), 1_700_000_000_123_000_000),
        (pl.Series([dt.date(2024, 1, 1)]), 1_704_067_200_000_000_000),
        (np.array(["2024-01-01T00:00:00.5"], "datetime64[us]"), 1_704_067_200_500_000_000),
        (np.array(["2024-01-01"], ">M8[s]"), 1_704_067_200_000_000_000),
        (np.array([7], "uint8"), 7),
        (np.array([7], ">i4"), 7),
        (np.array([7.0]), 7),
        ([7], 7),
        (np.array([7, None], object)[:1], 7),
        (np.array([2**63 - 1], "uint64"), 2**63 - 1),
    ],
)
def test_stamps_of_any_type_are_exact(stamps, ns):
    assert read_columns({"ts_ns": stamps, "bid": [1.0]}).ts_ns.tolist() == [ns]


@pytest.mark.parametrize(
    ("column", "numbers"),
    [
        (pl.Series([Decimal("0.1"), None]), [0.1, NAN]),
        (pl.Series(["1234567890123.25", "0.3"]).cast(pl.Decimal(38, 20)), [1234567890123.25, 0.3]),
        ([Decimal("-0.1"), 3], [-0.1, 3.0]),
        (np.array([0.1, 0.2], np.float32), [float(np.float32(0.1)), float(np.float32(0.2))]),
        (pl.Series([0.1, None], dtype=pl.Float32), [float(np.float32(0.1)), NAN]),
        (pl.Series([None, None]), [NAN, NAN]),
        (pl.Series([None, None], dtype=pl.String), [NAN, NAN]),
        (pl.Series([2**53, None]), [2.0**53, NAN]),
        (np.ma.array([0.1, 0.2], mask=[True, False]), [NAN, 0.2]),
        ([None, math.inf], [NAN, math.inf]),
        (np.array([1, 2, 3, 4])[::2], [1.0, 3.0]),
        (range(2), [0.0, 1.0]),
        ((np.float64(0.5), np.float64(0.25)), [0.5, 0.25]),
    ],
)  # fmt: skip
def test_numbers_of_any_type_keep_their_value(column, numbers):
    np.testing.assert_array_equal(read_columns(quotes(ask=column)).ask, numbers)


@pytest.mark.parametrize(
    ("column", "sides"),
    [
        (["buy", "SELL"], [1, -1]),
        (["Buyer", None], [1, 0]),
        (["NO_AGGRESSOR", " seller "], [0, -1]),
        ([1, -1], [1, -1]),
        ([0.0, NAN], [0, 0]),
        (pl.Series([None, -1], dtype=pl.Int8), [0, -1]),
        (pl.Series(["sell", "buy"], dtype=pl.Categorical), [-1, 1]),
        (pl.Series(["sell", ""], dtype=pl.Enum(["", "buy", "sell"])), [-1, 0]),
        (np.array([b"buy", b"sell"]), [1, -1]),
    ],
)
def test_sides_as_numbers_or_words(column, sides):
    assert read_columns(quotes(trade_side=column)).trade_side.tolist() == sides


BIG = "which a float64 does not hold exactly: give numbers (float64), null where absent"
GIVE = "give numbers (float64), null where absent"
WHOLE = "give whole numbers from 0 on, null where absent"


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"bid": ["0.4", "0.5"]}, f"bid[0] is '0.4', a text: {GIVE}"),
        ({"bid": [0.4, "x"]}, f"bid[1] is 'x', a text: {GIVE}"),
        ({"bid": pl.Series([None, "x"])}, f"bid[1] is 'x', a text: {GIVE}"),
        ({"bid": [True, False]}, f"bid[0] is True, a bool: {GIVE}"),
        ({"bid": np.array([True, False])}, f"bid is bool: {GIVE}"),
        ({"bid": np.array([1j, 2])}, f"bid is complex128: {GIVE}"),
        ({"bid": pl.Series([[1], [2]])}, f"bid is List(Int64): {GIVE}"),
        ({"bid": pl.Series([True, None])}, f"bid is Boolean: {GIVE}"),
        ({"bid": [[1], [2]]}, f"bid[0] is [1], a list: {GIVE}"),
        ({"bid": [1, 2**53 + 1]}, f"bid[1] is 9007199254740993, {BIG}"),
        ({"bid": [0.5, Decimal(2**53 + 1)]}, f"bid[1] is 9007199254740993, {BIG}"),
        ({"bid": [0.5, 10**400]}, f"bid holds a number that no float64 holds: {GIVE}"),
        ({"bid": [0.5, Decimal("sNaN")]}, f"bid holds a number that no float64 holds: {GIVE}"),
        ({"bid": pl.Series([Decimal("0.1"), Decimal("0.12345678901234567")])}, f"bid[1] is 0.12345678901234567, {BIG}"),
        ({"ts_ns": [1, -2]}, f"ts_ns[1] is -2: {WHOLE}"),
        ({"ts_ns": [1.0, NAN]}, f"ts_ns[1] is nan: {WHOLE}"),
        ({"ts_ns": [1.0, 1.5]}, f"ts_ns[1] is 1.5, a float64 that is no whole number or too large to be exact: {WHOLE}, as int64"),
        ({"ts_ns": [1.0, 1.7e18]}, f"ts_ns[1] is 1.7e+18, a float64 that is no whole number or too large to be exact: {WHOLE}, as int64"),
        ({"ts_ns": [1, None]}, "ts_ns[1] is null: give each row a time"),
        ({"ts_ns": ["2024-01-01", "2024-01-02"]}, f"ts_ns[0] is '2024-01-01', a text: {WHOLE}"),
        ({"ts_ns": np.array([2**63, 1], np.uint64)}, f"ts_ns[0] is 9223372036854775808, beyond an int64 in ns: {WHOLE}; is the unit that of the column's name?"),
        ({"ts_ns": [1, 2**70]}, None),
        ({"ts_ns": np.array([1, 2], "timedelta64[ns]")}, f"ts_ns is timedelta64[ns]: {WHOLE}"),
        ({"ts_ns": np.array([1, 2], "datetime64[Y]")}, "ts_ns is datetime64[Y]: give datetime64[ns], [us], [ms] or [s]"),
        ({"ts_ns": [dt.datetime(2024, 1, 1)] * 2}, f"ts_ns[0] is datetime.datetime(2024, 1, 1, 0, 0), a datetime: {WHOLE}"),
        ({"seq": [1, -1]}, f"seq[1] is -1: {WHOLE}"),
        ({"seq": pl.Series([1, 2]).cast(pl.Datetime("ns"))}, f"seq is datetime64[ns]: {WHOLE}"),
        ({"trade_side": [1, 2]}, "trade_side[1] is 2: give +1, -1 or 0"),
        ({"trade_side": ["buy", "up"]}, "trade_side[1] is 'up': give buy, sell or '' (or +1, -1, 0)"),
        ({"market_id": ["A", None]}, "market_id[1] is null: give a text of at most 128"),
        ({"market_id": ["A", "x" * 129]}, "market_id[1] is a text of 129 characters: give a text of at most 128"),
        ({"market_id": [1, 2]}, "market_id is int64: give texts, such as 'BTCUSDT'"),
        ({"market_id": ["A", 2]}, "market_id[1] is 2: give texts"),
    ],
)  # fmt: skip
def test_a_wrong_cell_is_named(columns, message):
    with pytest.raises(ContractError) as error:
        read_columns(quotes(**columns))
    assert "\n" not in str(error.value)
    assert message is None or str(error.value) == message


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "data has no columns: give stamps (ts_ns) and prices (bid, ask)"),
        ({"bid": [1.0]}, "data has no column of times: give ts_ns (or ts_ms, received_ns, received_ms); it has bid"),
        ({"ts_ns": [1], "seq": [1]}, "data has no column of prices: give bid and ask, mid, or trade_price and trade_size; it has ts_ns, seq"),
        ({"ts_ns": [1], "price": [1]}, "data has trade_price but no trade_size: give both, or none; it has ts_ns, price"),
        ({"ts_ns": [1], "trade_size": [1]}, "data has trade_size but no trade_price: give both, or none; it has ts_ns, trade_size"),
        (quotes(aks=[1, 2]), "unknown column 'aks': did you mean 'ask'? Else ignore=('aks',)"),
        (quotes(ask_pric=[1, 2]), "unknown column 'ask_pric': did you mean 'ask_price'? Else ignore=('ask_pric',)"),
        ({"ts_ns": [1], "Bid": [1.0]}, "unknown column 'Bid': did you mean 'bid'? Else ignore=('Bid',)"),
        (quotes(ask=[1]), "column 'ask' has 1 rows, 'ts_ns' has 2: give columns of one length"),
        (quotes(bid_price=[1, 2]), "columns 'bid' and 'bid_price' both hold bid: drop one, or ignore=('bid_price',)"),
        (quotes(ts_ms=[1, 2]), "columns 'ts_ns' and 'ts_ms' both hold ts_ns: drop one, or ignore=('ts_ms',)"),
        (quotes(ask=np.ones((2, 2))), "column 'ask' has 2 dimensions: give one number a row"),
        (quotes(ask=0.5), "column 'ask' is of type float: give a numpy array or a list; of rows as dicts make a polars.DataFrame"),
        (quotes(ask="0.5"), "column 'ask' is of type str: give a numpy array or a list"),
        ([{"ts_ns": 1, "bid": 0.5}], "column 'ts_ns' is of type int: give a numpy array or a list; of rows as dicts make a polars.DataFrame"),
        (np.ones(3), "data is an array of float64: give a structured array, or {name: array}"),
        ("quotes.csv", "data is of type str: give {name: array} or a frame; of a file polars.scan_parquet(path)"),
        (3, "data is of type int: give {name: array} or a frame"),
        ([quotes(), 3], "chunk 1 is of type int: give {name: array} or a frame"),
        ([], "data holds no table: give at least one chunk of rows"),
        ([quotes(), quotes(ask=[1, 2])], "the chunk from row 2 on has a new column 'ask': give chunks of one schema"),
        ([quotes(ask=[1, 2]), quotes()], "the chunk from row 2 on lacks column 'ask': give chunks of one schema"),
    ],
)  # fmt: skip
def test_a_wrong_table_is_refused_in_one_line(data, message):
    with pytest.raises(ConfigError) as error:
        read_columns(data)
    assert str(error.value) == message


def test_columns_that_are_not_known_are_listed():
    data = quotes(note=["", ""], trade_id=[1, 2], asks=[1, 2])
    assert read_columns(data, ignore=["asks"]).unused == ("note", "trade_id", "asks")
    assert not read_columns(quotes(ask=[1, 2]), ignore="ask").has("ask")


def test_a_row_needs_only_one_of_its_times():
    columns = read_columns(quotes(ts_ns=[1, None], received_ms=[None, 2]))
    assert columns.ts_ns.tolist() == [1, -1]
    assert columns.received_ns.tolist() == [-1, 2_000_000]


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 8, 100])
def test_pieces_are_the_whole(rows):
    """A market keeps its number in all pieces, and rows are counted over them."""
    data = {"ts_ns": np.arange(8), "mid": np.arange(8.0), "market_id": list("AABACABD")}
    tables = [{name: column[a:b] for name, column in data.items()} for a, b in ((0, 3), (3, 3), (3, 8))]
    whole = read_columns(data)
    for given_data in (data, pl.DataFrame(data), pl.DataFrame(data).lazy(), iter(tables), tables):
        pieces = list(chunks_of(given_data, rows))
        assert all(0 < piece.length <= rows for piece in pieces)
        assert np.concatenate([piece.market for piece in pieces]).tolist() == whole.market.tolist()
        assert np.concatenate([piece.mid for piece in pieces]).tolist() == whole.mid.tolist()
        assert pieces[-1].market_ids == whole.market_ids == ("A", "B", "C", "D")
    data["market_id"][6] = None
    with pytest.raises(ContractError, match=r"market_id\[6\] is null"):
        list(chunks_of(data, rows))


def test_chunks_are_taken_one_by_one():
    reader = Reader([pl.DataFrame(quotes())] * 5)
    pieces = chunks_of(reader, market_id="M")
    assert next(pieces).market_ids == ("M",)
    assert reader.taken == 1
    assert len(list(pieces)) == 4


def test_no_rows_no_pieces():
    empty = {"ts_ns": [], "bid": []}
    assert list(chunks_of(empty)) == list(chunks_of([])) == []
    assert read_columns(empty).length == read_columns(pl.DataFrame(empty)).length == 0
    with pytest.raises(ConfigError, match="no column of prices"):
        list(chunks_of({"ts_ns": []}))


@pytest.mark.parametrize("rows", [0, -1, 1.5, True, None])
def test_rows_of_a_piece_are_a_whole_number(rows):
    with pytest.raises(ConfigError, match="rows is"):
        list(chunks_of(quotes(), rows))


def test_a_market_needs_a_name():
    with pytest.raises(ConfigError, match="market_id is 3"):
        read_columns(quotes(), market_id=3)


def test_arrow_data_need_polars(monkeypatch):
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(ConfigError, match=r"needs polars: pip install 'mdm-engine\[data\]'"):
        read_columns(OnlyArrow(TABLE))
    assert read_columns(quotes(market_id=["A", "B"], trade_side=["buy", ""])).length == 2
    assert column_values.load_polars.__doc__


FLOAT = st.none() | st.floats(allow_nan=False)
ROW = st.tuples(
    st.integers(0, 2**63 - 1), st.none() | st.integers(0, 2**63 - 1), FLOAT, FLOAT,
    st.sampled_from([None, "buy", "sell", ""]), st.text("AB\x00é\U0001f600", max_size=3),
)  # fmt: skip


@given(st.lists(ROW, min_size=1, max_size=12), st.integers(1, 5))
def test_lists_frames_and_chunks_agree(rows, size):
    names = ("ts_ns", "seq", "bid", "trade_price", "trade_side", "market_id")
    kinds = (pl.Int64, pl.Int64, pl.Float64, pl.Float64, pl.String, pl.String)
    data = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    data["trade_size"] = data["trade_price"]
    frame = pl.DataFrame(
        data, schema_overrides=dict(zip(names, kinds, strict=True)) | {"trade_size": pl.Float64}
    )
    columns = read_columns(data)
    same(columns, read_columns(frame))
    same(columns, read_columns(OnlyArrow(frame)))
    same(columns, read_columns([frame[at : at + size] for at in range(0, len(rows), size)]))
    assert columns.ts_ns.tolist() == data["ts_ns"]
    assert [None if math.isnan(x) else x for x in columns.bid.tolist()] == data["bid"]
    assert [columns.market_ids[code] for code in columns.market] == data["market_id"]
    assert [None if seq < 0 else seq for seq in columns.seq.tolist()] == data["seq"]


@given(st.decimals(allow_nan=False, allow_infinity=False, places=8, min_value=-(10**9), max_value=10**9))
def test_a_decimal_is_read_as_its_float_or_refused(value):
    for column in ([value], pl.Series([value], dtype=pl.Decimal(38, 8))):
        try:
            number = read_columns({"ts_ns": [1], "bid": column}).bid[0]
        except ContractError:
            assert len(value.normalize().as_tuple().digits) > 15
        else:
            assert Decimal(repr(float(number))) == value
