"""Rows of a batch run as people read them: names for numbers, null for what is absent."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ami_engine.kernels.inputs import MARKET, TIMER
from ami_engine.kernels.orders import CANCEL, FOK, GTC, IOC, REPLACE, SUBMIT
from ami_engine.kernels.rows import DecisionRow, FillRow, OrderRow
from ami_engine.loop.batch_counts import text_of_reason
from ami_engine.loop.column_values import load_polars
from decision_schema.errors import ContractError
from decision_schema.reasons import NAMES
from decision_schema.types import Action
from dmc_core.dmc.guards import GUARDS
from dmc_core.layout import layout_of

if TYPE_CHECKING:
    import numpy as np

Table: TypeAlias = Literal["decisions", "fills", "orders"]
ROW_KINDS: dict[Table, Any] = {"decisions": DecisionRow, "fills": FillRow, "orders": OrderRow}
TABLES: tuple[Table, ...] = ("decisions", "fills", "orders")
CELL_BYTES = 8

_REASONS = ("", *NAMES[1:])
_SIDES = ("sell", "", "buy")
_WORDS: dict[str, tuple[str, ...]] = {
    "kind": ("market", "timer") if (MARKET, TIMER) == (0, 1) else (),
    "bad": _REASONS,
    "why": _REASONS,
    "kept": _REASONS,
    "proposed": tuple(map(str, Action)),
    "action": tuple(map(str, Action)),
    "flags": ("", "buy", "sell", "both"),
    "side": _SIDES,
    "liquidity": ("maker", "taker", ""),
    "op": ("", "submit", "replace", "cancel") if (SUBMIT, REPLACE, CANCEL) == (1, 2, 3) else (),
    "tif": ("GTC", "IOC", "FOK") if (GTC, IOC, FOK) == (0, 1, 2) else (),
}
"""Words of a column by code; of sides by code + 1."""
_RENAMED = {"flags": "clamped", "cell": "market_id", "reason": "model_reason"}
_TRUTHS = frozenset(("post_only", "reduce_only"))
_SMALL = frozenset(("n_messages", "n_reports", "order_leg", "old_leg", "level"))


def guard_names(mask: int) -> tuple[str, ...]:
    """Name the guards of ``DecisionRow.refusing``: bit i is row i of the guard table.

    >>> guard_names(0b11) == (GUARDS[0].name, GUARDS[1].name)
    True
    """
    return tuple(guard.name for i, guard in enumerate(GUARDS) if mask >> i & 1)


@dataclass(frozen=True, slots=True)
class Names:
    """What the numbers of a run's rows stand for.

    Args:
        market_ids: Name of each market; a list may grow while the run goes on.
        model_reasons: The model's own reasons; empty = their numbers are shown.
    """

    market_ids: Sequence[str]
    model_reasons: Sequence[str] = ()


def columns_of(rows: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """Turn rows into columns: field k of row i stands at ``[k, i]``, as the 8 bytes that it is."""
    import numpy as np

    flat = np.ascontiguousarray(rows).view(np.int64).reshape(len(rows), rows.dtype.itemsize // CELL_BYTES)
    return flat.T.copy()  # also of one row, whose transpose would be the row itself


def check_columns(table: Table, columns: Any) -> None:
    """Refuse what are no columns of a table.

    Raises:
        ContractError: The table is unknown, or the array is of another shape.
    """
    if table not in ROW_KINDS:
        raise ContractError(f"table {table!r} is unknown: give one of {', '.join(TABLES)}")
    shape: tuple[int, ...] = getattr(columns, "shape", ())
    wanted = len(fields_of(table))
    if len(shape) != 2 or shape[0] != wanted or columns.dtype.itemsize != CELL_BYTES:
        raise ContractError(f"columns of {table} have shape {shape}: give {wanted} rows of 8-byte cells")


def fields_of(table: Table) -> tuple[str, ...]:
    """Give the names of the fields of a table's rows."""
    names: tuple[str, ...] = layout_of(ROW_KINDS[table]()).names or ()
    return names


def frame_of(table: Table, columns: Sequence["np.ndarray[Any, Any]"], names: Names) -> Any:
    """Make a polars DataFrame of columns of 8 bytes a cell, in the order of a row's fields.

    Raises:
        ConfigError: polars is not installed.
    """
    import numpy as np

    polars = load_polars("a frame")
    layout = layout_of(ROW_KINDS[table]())
    series = []
    for name, column in zip(layout.names or (), columns, strict=True):
        shown = _RENAMED.get(name, name)
        if layout[name] == np.float64:
            made = polars.Series(shown, column.view(np.float64), nan_to_null=True)
        elif name == "cell":
            made = _market_ids(polars, column, names.market_ids).alias(shown)
        elif name == "because":
            made = _first_reasons(polars, column, names.model_reasons).alias(shown)
        elif name == "refusing":
            made = _refusals(polars, column).alias(shown)
        elif name == "reason" and names.model_reasons:
            texts = polars.Series(["", *names.model_reasons], dtype=polars.Categorical)
            made = texts.gather(column + 1).alias(shown)
        elif name in _WORDS:
            words = _WORDS[name]
            place = column + 1 if name == "side" else column
            made = polars.Series(words, dtype=polars.Enum(words)).gather(place).alias(shown)
        elif name in _TRUTHS:
            made = polars.Series(shown, column != 0)
        elif name in _SMALL:
            made = polars.Series(shown, column.astype(np.int32))
        else:
            made = polars.Series(shown, column)
        series.append(made)
    return polars.DataFrame(series)


def _market_ids(polars: Any, column: Any, market_ids: Sequence[str]) -> Any:
    """Name markets; -1 (a timer, an input of no market) has none."""
    texts = polars.Series([*market_ids, None], dtype=polars.Categorical)
    column = column if not len(column) or column.min() >= 0 else (column + len(texts)) % len(texts)
    return texts.gather(column)


def _first_reasons(polars: Any, column: Any, model_reasons: Sequence[str]) -> Any:
    """Give the first reasons of decisions as texts; '' = there is none."""
    codes, places = _different(polars, column)
    texts = [text_of_reason(code, tuple(model_reasons)) for code in codes.tolist()]
    return polars.Series(texts, dtype=polars.Categorical).gather(places)


def _refusals(polars: Any, column: Any) -> Any:
    """Give the guards that refused as lists of names, in the order of the guard table."""
    masks, places = _different(polars, column)
    names = polars.Enum([guard.name for guard in GUARDS])
    return polars.Series(list(map(guard_names, masks.tolist())), dtype=polars.List(names)).gather(places)


def _different(polars: Any, column: Any) -> tuple[Any, Any]:
    """Give the different numbers of a column, and the place of each cell's number among them."""
    import numpy as np

    different = polars.Series(column).unique().sort().to_numpy()  # few: np.unique would sort all cells
    return different, np.searchsorted(different, column)


def order_ids_of(name_order: Callable[[int, int], str], step: str, leg: str) -> Any:
    """Make the expression that names orders by the step and leg that sent them; null where there is none."""
    polars = load_polars("a frame")

    def named(places: Any) -> Any:
        steps, legs = (places.struct.field(name).to_list() for name in (step, leg))
        texts = [name_order(at, number) if at >= 0 else None for at, number in zip(steps, legs, strict=True)]
        return polars.Series(texts, dtype=polars.String)

    return polars.struct(step, leg).map_batches(named, return_dtype=polars.String, is_elementwise=True)
