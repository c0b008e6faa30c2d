"""Tables as they come: named arrays or lists, structured arrays, Arrow data."""

from collections.abc import Mapping, Sequence
from typing import Any

from ami_engine.loop.column_values import load_polars
from decision_schema.errors import ConfigError


def is_table(data: Any) -> bool:
    """Tell whether something is one table: named columns, a structured array or Arrow data."""
    import numpy as np

    return isinstance(data, Mapping | np.ndarray | np.void) or is_arrow(data)


def table_of(data: Any) -> dict[str, Any]:
    """Give the raw columns of one table by name.

    Raises:
        ConfigError: It has none, or they are of different lengths.

    >>> table_of({"bid": [0.5], "ask": [0.6, 0.7]})
    Traceback (most recent call last):
    decision_schema.errors.ConfigError: column 'ask' has 2 rows, 'bid' has 1: give columns of one length
    """
    import numpy as np

    if isinstance(data, Mapping):
        table = {str(name): raw_column(str(name), column) for name, column in data.items()}
    elif isinstance(data, np.ndarray):
        if data.dtype.names is None:
            raise ConfigError(
                f"data is an array of {data.dtype}: give a structured array, or {{name: array}}"
            )
        table = {name: raw_column(name, data[name]) for name in data.dtype.names}
    else:
        polars = load_polars(f"data of type {type(data).__name__}")
        try:
            frame = data if isinstance(data, polars.DataFrame) else polars.DataFrame(data)
        except ImportError as error:  # pandas hands out Arrow data only with pyarrow
            raise ConfigError(f"data: {error}: give {{name: frame[name].to_numpy()}} instead") from None
        table = {name: frame[name] for name in frame.columns}
    if not table:
        raise ConfigError("data has no columns: give stamps (ts_ns) and prices (bid, ask)")
    first = next(iter(table))
    for name, column in table.items():
        if len(column) != len(table[first]):
            raise ConfigError(
                f"column {name!r} has {len(column)} rows, {first!r} has {len(table[first])}: "
                "give columns of one length"
            )
    return table


def is_arrow(value: Any) -> bool:
    """Tell whether a value hands out Arrow data (polars, pandas >= 2.2, pyarrow, duckdb)."""
    return hasattr(value, "__arrow_c_stream__") or hasattr(value, "__arrow_c_array__")


def raw_column(name: str, column: Any) -> Any:
    """Give a column as a numpy array of one dimension or as a polars Series, without a copy where it is one.

    Raises:
        ConfigError: It is neither an array nor a list, or polars is needed and absent.

    >>> raw_column("bid", [0.5, None])
    array([0.5, None], dtype=object)
    """
    import numpy as np

    if is_arrow(column):
        polars = load_polars(f"column {name!r} of Arrow data")
        return column if isinstance(column, polars.Series) else polars.Series(column)
    if hasattr(column, "__array__"):
        array = column if isinstance(column, np.ma.MaskedArray) else np.asarray(column)
    elif isinstance(column, Sequence) and not isinstance(column, str | bytes):
        array = _array_of_list(column)
    else:
        hint = "; of rows as dicts make a polars.DataFrame" if isinstance(column, float | int) else ""
        raise ConfigError(
            f"column {name!r} is of type {type(column).__name__}: give a numpy array or a list{hint}"
        )
    if array.ndim != 1:
        raise ConfigError(f"column {name!r} has {array.ndim} dimensions: give one number a row")
    return array


def _array_of_list(column: Sequence[Any]) -> Any:
    """Make an array of a list; of mixed kinds, or of texts (numpy would cut them), one of objects."""
    import numpy as np

    kinds = set(map(type, column))
    if kinds <= {float, int}:
        return np.asarray(column if kinds else [], dtype=None if kinds else np.float64)
    if len(kinds) == 1 and issubclass(next(iter(kinds)), np.generic):
        return np.asarray(column)
    array = np.empty(len(column), object)
    array[:] = column
    return array
