"""One column of a table as numbers: contiguous, of one type, with the cells in which nothing stands marked.

A column comes as a numpy array, a list, or an Arrow column (then polars reads it). Numbers keep their
value: what a float64 or an int64 cannot hold is refused with its row, counted from 0 as in ``bid[3]``.
"""

import importlib
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NoReturn

from decision_schema.errors import ConfigError, ContractError

if TYPE_CHECKING:
    import numpy as np

MAX_WHOLE = 2**53
"""Up to it a float64 holds every whole number."""
MAX_INT64 = 2**63 - 1
MAX_SHOWN = 40
"""Characters of a value that a message shows."""
NS_OF_UNIT = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9,
              "D": 86_400 * 10**9}  # fmt: skip
SAFE_DIGITS = 15
"""Significant digits that every float64 holds."""


def load_polars(what: str) -> Any:
    """Import polars.

    Raises:
        ConfigError: It is not installed.
    """
    try:
        return importlib.import_module("polars")
    except ImportError:
        raise ConfigError(f"{what} needs polars: pip install 'mdm-engine[data]'") from None


def floats_of(name: str, column: Any, first_row: int = 0) -> "np.ndarray[Any, Any]":
    """Read a column of prices or sizes; nan = absent.

    Args:
        name: Its name, for messages.
        column: What `column_tables.raw_column` gave.
        first_row: Number of its first row, for messages.

    Raises:
        ContractError: A cell is no number, or a float64 does not hold it exactly.

    >>> import numpy as np
    >>> floats_of("bid", np.array([0.5, None, Decimal("0.25")], object)).tolist()
    [0.5, nan, 0.25]
    >>> floats_of("bid", np.array(["0.5"]))
    Traceback (most recent call last):
    decision_schema.errors.ContractError: bid[0] is '0.5', a text: give numbers (float64), null where absent
    """
    import numpy as np

    give = "give numbers (float64), null where absent"
    values, absent = _cells(name, column, first_row, give)
    kind = values.dtype.kind
    if kind == "O":
        values, absent = _numbers_of_objects(name, values, absent, first_row, give), None
    elif kind in "iu":
        bad = (values > MAX_WHOLE) | (values < -MAX_WHOLE) if values.dtype.itemsize == 8 else _no(values)
        _refuse(name, values, bad, first_row, f"which a float64 does not hold exactly: {give}")
    elif kind == "f" and values.dtype.itemsize > 8:
        exact = values.astype(np.float64)
        bad = (exact != values) & (values == values)  # nan stays nan
        _refuse(name, values, bad, first_row, f"which a float64 does not hold exactly: {give}")
    elif kind != "f":
        _wrong_kind(name, values, first_row, give)
    floats = np.require(values, np.float64, ("C", "A"))
    if absent is not None and absent.any():
        floats = np.where(absent, np.nan, floats)
    return floats


def ints_of(
    name: str, column: Any, unit_ns: int = 1, first_row: int = 0, *, timed: bool = True
) -> "np.ndarray[Any, Any]":
    """Read a column of stamps, as ns since 1970 UTC, or of numbers of messages; -1 = absent.

    Args:
        name: Its name, for messages.
        column: What `column_tables.raw_column` gave.
        unit_ns: By what whole numbers are multiplied; datetimes have their own unit.
        first_row: Number of its first row, for messages.
        timed: Whether datetimes are accepted.

    Raises:
        ContractError: A cell is nan, negative, no whole number, or beyond an int64.

    >>> import numpy as np
    >>> ints_of("ts_ms", np.array([1, 2]), 1_000_000).tolist()
    [1000000, 2000000]
    >>> ints_of("ts_ns", np.array(["1970-01-01T00:00:01", "NaT"], "datetime64[ms]")).tolist()
    [1000000000, -1]
    """
    import numpy as np

    give = "give whole numbers from 0 on, null where absent"
    values, absent = _cells(name, column, first_row, give)
    kind = values.dtype.kind
    if kind == "O":
        values, absent = _ints_of_objects(name, values, absent, first_row, give)
    elif kind == "M" and timed:
        values, absent, unit_ns = _ints_of_datetimes(name, values, absent)
    elif kind == "f":
        values = _ints_of_floats(name, values, absent, first_row, give)
    elif kind not in "iu":
        _wrong_kind(name, values, first_row, give)
    stands = None if absent is None or not absent.any() else ~absent
    bad = values < 0 if values.dtype.kind == "i" else _no(values)
    _refuse(name, values, bad if stands is None else bad & stands, first_row, give)
    if unit_ns > 1 or values.dtype.kind == "u":
        bad = values > MAX_INT64 // unit_ns
        wide = f"beyond an int64 in ns: {give}; is the unit that of the column's name?"
        _refuse(name, values, bad if stands is None else bad & stands, first_row, wide)
    ints = np.require(values, np.int64, ("C", "A"))
    if unit_ns > 1:
        ints = ints * unit_ns
    return ints if stands is None else np.where(stands, ints, -1)


def texts_of(name: str, column: Any, first_row: int = 0) -> "tuple[list[Any], np.ndarray[Any, Any]]":
    """Read a column of names: its different values in order of appearance, and the place of each row's.

    Raises:
        ContractError: It is no text.

    >>> import numpy as np
    >>> texts_of("market_id", np.array(["B", "A", "B"]))
    (['B', 'A'], array([0, 1, 0], dtype=int32))
    """
    import numpy as np

    if not isinstance(column, np.ndarray):
        polars = load_polars(f"column {name!r} of Arrow data")
        if isinstance(column.dtype, polars.Categorical | polars.Enum) or column.dtype == polars.String:
            column = column.cast(polars.String)
            found = column.unique(maintain_order=True)
            codes = column.replace_strict(
                found, polars.Series(range(len(found)), dtype=polars.Int32), return_dtype=polars.Int32
            )
            return found.to_list(), codes.to_numpy()
        column = np.array(column.to_list(), object)
    if column.dtype.kind == "S":
        column = np.char.decode(column, "utf-8", "replace")
    if column.dtype.kind not in "UO":
        raise ContractError(f"{name} is {column.dtype}: give texts, such as 'BTCUSDT'")
    values = column.tolist()
    if isinstance(column, np.ma.MaskedArray) or column.dtype.kind == "O":
        other = set(map(type, values)) - {str, type(None)}
        if other:
            row = next(i for i, value in enumerate(values) if type(value) in other)
            raise ContractError(f"{name}[{first_row + row}] is {_shown(values[row])}: give texts")
    index = {value: code for code, value in enumerate(dict.fromkeys(values))}
    return list(index), np.fromiter(map(index.__getitem__, values), np.int32, len(values))


def is_text(column: Any) -> bool:
    """Tell whether a raw column holds texts."""
    import numpy as np

    if not isinstance(column, np.ndarray):
        polars = load_polars("Arrow data")
        return isinstance(column.dtype, polars.Categorical | polars.Enum) or column.dtype == polars.String
    return column.dtype.kind in "US" or (column.dtype.kind == "O" and str in set(map(type, column)))


def _cells(name: str, column: Any, first_row: int, give: str) -> tuple[Any, Any]:
    """Give the values of a raw column as an array, and where none stands (None = everywhere one does)."""
    import numpy as np

    if isinstance(column, np.ma.MaskedArray):
        mask = np.ma.getmaskarray(column)
        return column.data, mask if mask.any() else None
    if isinstance(column, np.ndarray):
        return column, None
    polars, dtype = load_polars("Arrow data"), column.dtype
    absent = column.is_null().to_numpy() if column.null_count() else None
    if dtype == polars.Null:
        return np.full(len(column), np.nan), absent
    if isinstance(dtype, polars.Decimal):
        return _floats_of_decimals(name, polars, column, first_row, give), absent
    if isinstance(dtype, polars.Datetime) or dtype == polars.Date:
        unit = "D" if dtype == polars.Date else dtype.time_unit
        whole = column.to_physical().cast(polars.Int64).fill_null(0).to_numpy()
        return whole.view(f"datetime64[{unit}]"), absent
    if dtype.is_integer():
        return column.fill_null(0).to_numpy(), absent
    if dtype.is_float():
        return column.to_numpy(), absent
    if is_text(column) and column.null_count() < len(column):
        row = int(column.is_not_null().arg_max())
        raise ContractError(f"{name}[{first_row + row}] is {_shown(column[row])}, a text: {give}")
    if is_text(column):
        return np.full(len(column), np.nan), absent
    raise ContractError(f"{name} is {dtype}: {give}")


def _floats_of_decimals(name: str, polars: Any, column: Any, first_row: int, give: str) -> Any:
    """Round decimals to the nearest float64; those that it does not name are refused."""
    import numpy as np

    texts = column.cast(polars.String)
    digits = texts.str.replace_all(r"[-.]", "").str.strip_chars("0").str.len_bytes().max()
    if digits is not None and digits > SAFE_DIGITS:
        values = np.array(column.to_list(), object)
        return _numbers_of_objects(name, values, None, first_row, give)
    return texts.cast(polars.Float64).to_numpy()


def _numbers_of_objects(name: str, values: Any, absent: Any, first_row: int, give: str) -> Any:
    """Read numbers of several types; None = absent."""
    import numpy as np

    nothing = values == None  # noqa: E711 - cell by cell
    nothing = nothing if absent is None else nothing | absent
    stands = np.flatnonzero(~nothing)
    found = values[stands].tolist()
    good = tuple(
        kind for kind in set(map(type, found)) if issubclass(kind, float | int | Decimal | np.number)
        and not issubclass(kind, bool | np.complexfloating)
    )  # fmt: skip
    _refuse_types(name, found, good, stands, first_row, give)
    floats = np.full(len(values), np.nan)
    try:
        exact = list(map(float, found))
    except (OverflowError, ValueError):  # beyond a float; a signalling NaN
        raise ContractError(f"{name} holds a number that no float64 holds: {give}") from None
    floats[stands] = exact
    wide = {kind for kind in good if issubclass(kind, int | Decimal | np.integer)}
    for at, (value, number) in enumerate(zip(found, exact, strict=True) if wide else ()):
        if type(value) in wide and not _names(value, number):
            raise ContractError(
                f"{name}[{first_row + stands[at]}] is {_shown(value)}, which a float64 does not hold "
                f"exactly: {give}"
            )
    return floats


def _names(value: Any, number: float) -> bool:
    """Tell whether the shortest text of a float64 is this whole number or decimal."""
    if isinstance(value, Decimal):
        return Decimal(repr(number)) == value or value.is_nan()
    return abs(int(value)) <= MAX_WHOLE


def _ints_of_objects(name: str, values: Any, absent: Any, first_row: int, give: str) -> tuple[Any, Any]:
    """Read whole numbers; None = absent."""
    import numpy as np

    nothing = values == None  # noqa: E711 - cell by cell
    nothing = nothing if absent is None else nothing | absent
    stands = np.flatnonzero(~nothing)
    found = values[stands].tolist()
    good = tuple(
        kind
        for kind in set(map(type, found))
        if issubclass(kind, int | np.integer) and not issubclass(kind, bool)
    )
    _refuse_types(name, found, good, stands, first_row, give)
    ints = np.zeros(len(values), np.int64)
    try:
        ints[stands] = found
    except OverflowError:
        raise ContractError(f"{name} holds a number beyond an int64: {give}") from None
    return ints, nothing


def _refuse_types(name: str, found: Any, good: Any, stands: Any, first_row: int, give: str) -> None:
    """Refuse the first value of a type that is not among the good ones."""
    if set(map(type, found)) <= set(good):
        return
    at = next(i for i, value in enumerate(found) if type(value) not in good)
    kind = "text" if isinstance(found[at], str) else type(found[at]).__name__
    raise ContractError(f"{name}[{first_row + stands[at]}] is {_shown(found[at])}, a {kind}: {give}")


def _ints_of_datetimes(name: str, values: Any, absent: Any) -> tuple[Any, Any, int]:
    """Read datetimes as whole numbers, where none stands, and their unit in ns."""
    import numpy as np

    unit, count = np.datetime_data(values.dtype)
    if unit not in NS_OF_UNIT:
        raise ContractError(f"{name} is {values.dtype}: give datetime64[ns], [us], [ms] or [s]")
    nothing = np.isnat(values)
    absent = nothing if absent is None else absent | nothing
    return (
        values.astype(values.dtype.newbyteorder("="), copy=False).view(np.int64),
        absent,
        NS_OF_UNIT[unit] * count,
    )


def _ints_of_floats(name: str, values: Any, absent: Any, first_row: int, give: str) -> Any:
    """Read whole numbers that came as floats."""
    import numpy as np

    stands = np.ones(len(values), bool) if absent is None else ~absent
    _refuse(name, values, ~np.isfinite(values) & stands, first_row, give)
    whole = (np.floor(values) == values) & (np.abs(values) <= MAX_WHOLE)
    inexact = f"a {values.dtype} that is no whole number or too large to be exact: {give}, as int64"
    _refuse(name, values, ~whole & stands, first_row, inexact)
    return np.where(stands, values, 0.0).astype(np.int64)


def _no(values: Any) -> Any:
    import numpy as np

    return np.zeros(len(values), bool)


def _refuse(name: str, values: Any, bad: Any, first_row: int, why: str) -> None:
    """Refuse the first bad value."""
    if bad.any():
        row = int(bad.argmax())
        joint = ", " if why.startswith(("which", "a ", "beyond")) else ": "
        raise ContractError(f"{name}[{first_row + row}] is {_shown(values[row].item())}{joint}{why}")


def _wrong_kind(name: str, values: Any, first_row: int, give: str) -> NoReturn:
    if values.dtype.kind in "US" and len(values):
        raise ContractError(f"{name}[{first_row}] is {_shown(values[0].item())}, a text: {give}")
    raise ContractError(f"{name} is {values.dtype}: {give}")


def _shown(value: Any) -> str:
    text = str(value) if isinstance(value, Decimal) else repr(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"
