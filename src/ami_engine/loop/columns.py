"""Read market data that stand in columns: arrays, frames, or chunks of them.

What is known by its name: times, book, depth, the print of the row, the market. The names of other
libraries for the same (``bid_price``, ``ts_event``) are known, too.
"""

import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ami_engine.adapters.tables.cells import SIDES
from ami_engine.loop.column_tables import is_table, table_of
from ami_engine.loop.column_values import floats_of, ints_of, is_text, texts_of
from decision_schema.errors import ConfigError, ContractError

if TYPE_CHECKING:
    import numpy as np

ROWS = 65_536
"""Rows of a piece."""
MAX_MARKET_ID = 128
FLOATS = (
    "bid", "ask", "mid", "bid_size", "ask_size", "bid_depth", "ask_depth", "depth", "trade_price",
    "trade_size",
)  # fmt: skip
COLUMNS = ("ts_ns", "received_ns", "seq", *FLOATS, "trade_side", "market_id")
"""What a row can hold; bit i of `Columns.present` is for the i-th."""
BIT = {name: 1 << i for i, name in enumerate(COLUMNS)}
_STAMP_UNITS = {"ns": 1, "us": 1_000, "ms": 1_000_000}
_STAMPS = {
    **{f"ts_{unit}": ("ts_ns", ns) for unit, ns in _STAMP_UNITS.items()},
    **{f"received_{unit}": ("received_ns", ns) for unit, ns in _STAMP_UNITS.items()},
    **dict.fromkeys(("ts_event", "exch_ts"), ("ts_ns", 1)),
    **dict.fromkeys(("ts_init", "ts_recv", "local_ts"), ("received_ns", 1)),
}
_ALIASES = {
    **{name: name for name in COLUMNS},
    **{name: of for name, (of, _) in _STAMPS.items()},
    **dict.fromkeys(("bid_price", "bid_price_00", "bid_px_00"), "bid"),
    **dict.fromkeys(("ask_price", "ask_price_00", "ask_px_00"), "ask"),
    **dict.fromkeys(("bid_size_00", "bid_sz_00"), "bid_size"),
    **dict.fromkeys(("ask_size_00", "ask_sz_00"), "ask_size"),
    "mid_price": "mid",
    "price": "trade_price",
    "size": "trade_size",
    "aggressor_side": "trade_side",
    "instrument_id": "market_id",
    "symbol": "market_id",
}
_KNOWN_UNUSED = frozenset(("trade_id", "order_id", "side", "action", "flags"))
"""Names of others that are like ours but mean something else."""
_NEAR = 0.75


@dataclass(frozen=True, slots=True)
class Columns:
    """Rows of market data as contiguous arrays that nobody may write to.

    Args:
        length: Number of rows.
        present: Bit mask of the columns that the data have, by `BIT`.
        ts_ns: Venue's times, int64; -1 = absent. Likewise `received_ns` (ours) and `seq`.
        bid: Best bid, float64; nan = absent. Likewise `ask` to `trade_size`.
        trade_side: +1 where a buyer took, -1 a seller, 0 where none is said; int64.
        market: Place of each row's market in `market_ids`; int32.
        market_ids: Names of the markets seen so far, in order of appearance.
        unused: Names of columns that were not read.
    """

    length: int
    present: int
    ts_ns: "np.ndarray[Any, Any]"
    received_ns: "np.ndarray[Any, Any]"
    seq: "np.ndarray[Any, Any]"
    bid: "np.ndarray[Any, Any]"
    ask: "np.ndarray[Any, Any]"
    mid: "np.ndarray[Any, Any]"
    bid_size: "np.ndarray[Any, Any]"
    ask_size: "np.ndarray[Any, Any]"
    bid_depth: "np.ndarray[Any, Any]"
    ask_depth: "np.ndarray[Any, Any]"
    depth: "np.ndarray[Any, Any]"
    trade_price: "np.ndarray[Any, Any]"
    trade_size: "np.ndarray[Any, Any]"
    trade_side: "np.ndarray[Any, Any]"
    market: "np.ndarray[Any, Any]"
    market_ids: tuple[str, ...]
    unused: tuple[str, ...]

    def has(self, name: str) -> bool:
        """Tell whether the data have a column."""
        return self.present & BIT[name] != 0


def read_columns(data: Any, *, market_id: str = "", ignore: Collection[str] = ()) -> Columns:
    """Read all rows of some data at once.

    Args:
        data: {name: array or list}, a structured array, anything with ``__arrow_c_stream__`` (frames of
            polars, pandas, pyarrow, duckdb; needs polars), a polars LazyFrame, or several such tables
            one after the other. Columns are known by name: a stamp (``ts_ns``, ``ts_us``, ``ts_ms`` of
            the venue, ``received_ns`` … of ours; datetimes have their own unit, without a zone they are
            UTC) and at least one of ``bid``, ``ask``, ``mid``, ``trade_price`` with ``trade_size``.
        market_id: Name of the market where no column names it.
        ignore: Names of columns that are not read, however like a known one they are.

    Returns:
        Arrays without a copy where the data hold them so; null and nan are absent.

    Raises:
        ConfigError: A column is missing, named twice or probably misspelt, or lengths differ.
        ContractError: A cell is of a wrong type, or not held exactly; it names column, row and value.

    >>> columns = read_columns({"ts_ms": [1, 2], "bid": [0.49, 0.5], "ask": [0.51, None], "note": ["", ""]})
    >>> columns.ts_ns.tolist(), columns.ask.tolist(), columns.unused
    ([1000000, 2000000], [0.51, nan], ('note',))
    >>> read_columns({"ts_ms": [1, 2], "bid": [0.49, 0.5], "akk": [0.51, 0.52], "aks": [1, 2]})
    Traceback (most recent call last):
    decision_schema.errors.ConfigError: unknown column 'aks': did you mean 'ask'? Else ignore=('aks',)
    """
    reader = _Reader(market_id, ignore)
    pieces = [reader.read(table, 0, _length(table)) for table in _tables(data, ROWS)]
    if not pieces:
        raise ConfigError("data holds no table: give at least one chunk of rows")
    return pieces[0] if len(pieces) == 1 else _joined(pieces)


def chunks_of(
    data: Any, rows: int = ROWS, *, market_id: str = "", ignore: Collection[str] = ()
) -> Iterator[Columns]:
    """Read data piece by piece, so that data larger than memory need no more than a piece of it.

    A sequence or iterator of tables, a polars LazyFrame and a pyarrow RecordBatchReader (of duckdb:
    ``fetch_record_batch()``) are read as they come; other Arrow streams are taken in whole first.

    Args:
        data: As in `read_columns`; all tables have the same columns.
        rows: Most rows of a piece.
        market_id: As in `read_columns`.
        ignore: As in `read_columns`.

    Yields:
        Pieces in order; a market keeps its number in all of them. Of no rows no piece comes.

    Raises:
        ConfigError: As `read_columns`; or `rows` is no whole number above 0.
        ContractError: As `read_columns`; rows are counted over all pieces.

    >>> [piece.bid.tolist() for piece in chunks_of({"ts_ns": [1, 2, 3], "bid": [0.1, 0.2, 0.3]}, 2)]
    [[0.1, 0.2], [0.3]]
    """
    if isinstance(rows, bool) or not isinstance(rows, int) or rows < 1:
        raise ConfigError(f"rows is {rows!r}: give a whole number from 1 on")
    reader = _Reader(market_id, ignore)
    for table in _tables(data, rows):
        length = _length(table)
        for begin in range(0, length, rows):
            yield reader.read(table, begin, min(begin + rows, length))
        if length == 0:
            reader.check(table)


class _Reader:
    """Reads tables of one schema; remembers markets and counts rows."""

    def __init__(self, market_id: str, ignore: Collection[str]) -> None:
        if not isinstance(market_id, str) or len(market_id) > MAX_MARKET_ID:
            raise ConfigError(
                f"market_id is {market_id!r}: give a text of at most {MAX_MARKET_ID} characters"
            )
        self.market_id = market_id
        self.ignore = frozenset((ignore,) if isinstance(ignore, str) else ignore)
        self.names: tuple[str, ...] | None = None
        self.places: dict[str, str] = {}
        self.present = 0
        self.unused: tuple[str, ...] = ()
        self.rows = 0
        self.markets: dict[str, int] = {}
        self.filled: dict[tuple[float, str], Any] = {}

    def check(self, table: Mapping[str, Any]) -> None:
        """Find the columns of the first table; refuse a later one that has others."""
        if self.names is None:
            self.places = find_columns(tuple(table), self.ignore)
            self.names = tuple(table)
            self.present = sum(BIT[name] for name in self.places)
            used = set(self.places.values())
            self.unused = tuple(name for name in table if name not in used)
        elif set(table) != set(self.names):
            name = min(set(table) ^ set(self.names))
            words = "lacks column" if name in self.names else "has a new column"
            raise ConfigError(
                f"the chunk from row {self.rows} on {words} {name!r}: give chunks of one schema"
            )

    def read(self, table: Mapping[str, Any], begin: int, end: int) -> Columns:
        """Read rows of a table."""
        self.check(table)
        n = end - begin

        def cells(name: str) -> tuple[str, Any]:
            place = self.places[name]
            return place, table[place][begin:end]

        def floats(name: str) -> Any:
            if name not in self.places:
                return self._constant(float("nan"), "f8", n)
            return _sealed(floats_of(*cells(name), self.rows))

        def ints(name: str) -> Any:
            if name not in self.places:
                return self._constant(-1, "i8", n)
            place, column = cells(name)
            timed = place in _STAMPS
            unit_ns = _STAMPS[place][1] if timed else 1
            return _sealed(ints_of(place, column, unit_ns, self.rows, timed=timed))

        ts_ns, received_ns = ints("ts_ns"), ints("received_ns")
        self._check_stamps(ts_ns, received_ns)
        columns = Columns(
            length=n,
            present=self.present,
            ts_ns=ts_ns,
            received_ns=received_ns,
            seq=ints("seq"),
            **{name: floats(name) for name in FLOATS},
            trade_side=self._sides(*cells("trade_side"))
            if "trade_side" in self.places
            else self._constant(0, "i8", n),
            market=self._codes(*cells("market_id")) if "market_id" in self.places else self._one_market(n),
            market_ids=tuple(self.markets),
            unused=self.unused,
        )
        self.rows += n
        return columns

    def _check_stamps(self, ts_ns: Any, received_ns: Any) -> None:
        none = (ts_ns < 0) & (received_ns < 0)
        if none.any():
            place = self.places.get("ts_ns", self.places.get("received_ns", "ts_ns"))
            raise ContractError(f"{place}[{self.rows + int(none.argmax())}] is null: give each row a time")

    def _sides(self, name: str, column: Any) -> Any:
        """Read sides: +1, -1, 0, or words."""
        import numpy as np

        if is_text(column):
            found, codes = texts_of(name, column, self.rows)
            sides = [_side_of(word) for word in found]
            if None in sides:
                code = sides.index(None)
                row = self.rows + int((codes == code).argmax())
                raise ContractError(f"{name}[{row}] is {found[code]!r}: give buy, sell or '' (or +1, -1, 0)")
            return _sealed(np.array(sides or [0], np.int64)[codes])
        numbers = np.nan_to_num(floats_of(name, column, self.rows), nan=0.0)
        bad = (numbers != 0.0) & (np.abs(numbers) != 1.0)
        if bad.any():
            row = int(bad.argmax())
            raise ContractError(f"{name}[{self.rows + row}] is {numbers[row]:g}: give +1, -1 or 0")
        return _sealed(numbers.astype(np.int64))

    def _codes(self, name: str, column: Any) -> Any:
        """Number the markets in the order in which they appear."""
        import numpy as np

        found, codes = texts_of(name, column, self.rows)
        for code, market_id in enumerate(found):
            if market_id is None or len(market_id) > MAX_MARKET_ID:
                row = self.rows + int((codes == code).argmax())
                seen = "null" if market_id is None else f"a text of {len(market_id)} characters"
                raise ContractError(f"{name}[{row}] is {seen}: give a text of at most {MAX_MARKET_ID}")
        names = [market_id or self.market_id for market_id in found]
        numbers = [self.markets.setdefault(name, len(self.markets)) for name in names]
        return _sealed(np.array(numbers or [0], np.int32)[codes])

    def _one_market(self, n: int) -> Any:
        self.markets.setdefault(self.market_id, 0)
        return self._constant(0, "i4", n)

    def _constant(self, value: float, dtype: str, n: int) -> Any:
        """Give an array of one value; all pieces share it."""
        import numpy as np

        key = (0.5 if value != value else value, dtype)  # nan is no key
        if key not in self.filled or len(self.filled[key]) < n:
            self.filled[key] = np.full(n, value, dtype)
        return _sealed(self.filled[key][:n])


def find_columns(names: tuple[str, ...], ignore: Collection[str] = ()) -> dict[str, str]:
    """Find what each column holds.

    Args:
        names: Names of the columns.
        ignore: Names that are not read.

    Returns:
        The data's name of each known column, in the order of `COLUMNS`.

    Raises:
        ConfigError: One is missing, there twice, or likely misspelt.

    >>> find_columns(("ts_event", "bid_price", "ask_price"))
    {'ts_ns': 'ts_event', 'bid': 'bid_price', 'ask': 'ask_price'}
    """
    places: dict[str, str] = {}
    for name in names:
        known = _ALIASES.get(name)
        if known is None or name in ignore:
            continue
        if known in places:
            raise ConfigError(
                f"columns {places[known]!r} and {name!r} both hold {known}: drop one, or ignore=({name!r},)"
            )
        places[known] = name
    absent = [name for name, known in _ALIASES.items() if known not in places]
    for name in names:
        if name not in _ALIASES and name not in ignore and name not in _KNOWN_UNUSED:
            near = _nearest(name, absent)
            if near:
                raise ConfigError(f"unknown column {name!r}: did you mean {near!r}? Else ignore=({name!r},)")
    has = f"it has {', '.join(names[:20])}{', …' if len(names) > 20 else ''}"
    if not {"ts_ns", "received_ns"} & places.keys():
        raise ConfigError(
            f"data has no column of times: give ts_ns (or ts_ms, received_ns, received_ms); {has}"
        )
    if ("trade_price" in places) != ("trade_size" in places):
        there, gone = ("price", "size") if "trade_price" in places else ("size", "price")
        raise ConfigError(f"data has trade_{there} but no trade_{gone}: give both, or none; {has}")
    if not {"bid", "ask", "mid", "trade_price"} & places.keys():
        raise ConfigError(
            f"data has no column of prices: give bid and ask, mid, or trade_price and trade_size; {has}"
        )
    return {name: places[name] for name in COLUMNS if name in places}


def _nearest(name: str, known: list[str]) -> str | None:
    """Find what a name was meant to be: the same letters in another order, or nearly the same name."""
    lower = name.strip().lower()
    for other in known:
        if lower == other or sorted(lower) == sorted(other):
            return other
    return next(iter(difflib.get_close_matches(lower, known, 1, _NEAR)), None)


def _tables(data: Any, rows: int) -> Iterator[dict[str, Any]]:
    """Yield the tables of some data."""
    if hasattr(data, "collect_batches"):
        data = data.collect_batches(chunk_size=rows, maintain_order=True)
    elif is_table(data) and not hasattr(data, "read_next_batch"):
        yield table_of(data)
        return
    if isinstance(data, str | bytes) or not isinstance(data, Iterable):
        path = isinstance(data, str | bytes) or hasattr(data, "__fspath__")
        hint = "; of a file polars.scan_parquet(path)" if path else ""
        raise ConfigError(f"data is of type {type(data).__name__}: give {{name: array}} or a frame{hint}")
    for number, table in enumerate(data):
        if not is_table(table):
            raise ConfigError(
                f"chunk {number} is of type {type(table).__name__}: give {{name: array}} or a frame"
            )
        yield table_of(table)


def _length(table: Mapping[str, Any]) -> int:
    return len(next(iter(table.values())))


def _side_of(word: str | None) -> int | None:
    """Read a side; None = it is none."""
    word = (word or "").strip().lower()
    if word in ("no_aggressor", "no aggressor", "0"):
        return 0
    return {"buy": 1, "sell": -1, None: 0}[SIDES[word]] if word in SIDES else None


def _sealed(array: Any) -> Any:
    """Give a view that cannot be written to: of each column one type, whatever the data were."""
    view = array.view()
    view.flags.writeable = False
    return view


def _joined(pieces: list[Columns]) -> Columns:
    import numpy as np

    arrays = ("ts_ns", "received_ns", "seq", *FLOATS, "trade_side", "market")
    return Columns(
        length=sum(piece.length for piece in pieces),
        present=pieces[0].present,
        **{name: _sealed(np.concatenate([getattr(piece, name) for piece in pieces])) for name in arrays},
        market_ids=pieces[-1].market_ids,
        unused=pieces[0].unused,
    )
