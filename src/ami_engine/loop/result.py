"""BatchResult: what a batch run gives back."""

import html
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ami_engine.loop.batch_files import PARTS, RowMemory
from ami_engine.loop.column_values import load_polars
from ami_engine.loop.row_frames import TABLES, Table, guard_names, order_ids_of
from decision_schema.errors import ConfigError, ContractError, TraceError

if TYPE_CHECKING:
    import numpy as np

MONEY = ("equity", "realized_pnl", "unrealized_pnl", "fees", "drawdown")
"""Columns of `BatchResult.equity` besides step and now_ns."""
_SHOWN = (
    "run_id", "steps", "ended", "fills", "orders_submitted", "realized_pnl", "fees", "final_equity",
    "max_drawdown",
)  # fmt: skip


class BatchResult:
    """Summary and rows of a batch run; frames are made when they are first asked for.

    Args:
        summary: What the run came to.
        rows: Its rows in memory; None = they are in files.
        run_dir: Folder of its files; None = there are none.
        name_order: Gives the client order id for the step and leg that sent an order; None = frames
            have no ids, only ``order_step`` and ``order_leg``.
        make_rows: Writes the files of rows, where they are not there yet; None = they are.

    Raises:
        ConfigError: Neither rows nor a folder is given.

    >>> from ami_engine.kernels.rows import DecisionRow
    >>> from ami_engine.loop.row_frames import columns_of
    >>> from dmc_core.layout import array_of
    >>> memory = RowMemory(["M"])
    >>> rows = array_of([DecisionRow(step=i + 1, equity=e) for i, e in enumerate([9.0, 9.0, 8.0])])
    >>> memory.append("decisions", columns_of(rows))
    >>> result = BatchResult({"steps": 3}, rows=memory)
    >>> result.equity["equity"].to_list(), result.refusals(1)
    ([9.0, 8.0], ())
    """

    def __init__(
        self,
        summary: dict[str, Any],
        *,
        rows: RowMemory | None = None,
        run_dir: str | Path | None = None,
        name_order: Callable[[int, int], str] | None = None,
        make_rows: Callable[[], None] | None = None,
    ) -> None:
        if rows is None and run_dir is None:
            raise ConfigError("a result has neither rows nor run_dir: give one of them")
        self.summary = summary
        self.run_dir = None if run_dir is None else Path(run_dir)
        self._rows = rows
        self._name_order = name_order
        self._make_rows = make_rows
        self._frames: dict[str, Any] = {}

    @property
    def decisions(self) -> Any:
        """All decisions as a polars DataFrame, a row a step.

        ``market_id`` names the market, ``proposed`` and ``action`` are actions in order of severity,
        ``because`` the first reason of the decision, ``bad``, ``why`` and ``kept`` reasons ('' = none),
        ``refusing`` the names of the guards that refused, ``clamped`` the sides whose size was cut;
        numbers that are absent are null.
        """
        return self._frame("decisions")

    @property
    def fills(self) -> Any:
        """All fills as a polars DataFrame."""
        return self._frame("fills")

    @property
    def orders(self) -> Any:
        """All messages to the broker as a polars DataFrame."""
        return self._frame("orders")

    @property
    def equity(self) -> Any:
        """The account as a polars DataFrame: step, now_ns and the columns of `MONEY`.

        Thinned: the first step, the last one, and each at which one of the numbers changed.
        """
        if "equity" not in self._frames:
            self._frames["equity"] = self.scan_equity().collect()
        return self._frames["equity"]

    def scan(self, table: Table) -> Any:
        """Give a table as a polars LazyFrame, for what is larger than memory.

        Raises:
            ConfigError: polars is not installed.
            ContractError: There is no such table.
            TraceError: The folder has no part of it.
        """
        if table not in TABLES:
            raise ContractError(f"table {table!r} is unknown: give one of {', '.join(TABLES)}")
        polars = load_polars("a frame")
        if self._rows is not None:
            lazy = self._rows.frame(table).lazy()
        else:
            lazy = polars.scan_parquet(self._parts(table), glob=False)
        if self._name_order is None or table == "decisions":
            return lazy
        named = {"client_order_id": ("order_step", "order_leg")}
        if table == "orders":
            named["old_client_order_id"] = ("old_step", "old_leg")
        return lazy.with_columns(
            order_ids_of(self._name_order, step, leg).alias(name) for name, (step, leg) in named.items()
        )

    def scan_equity(self) -> Any:
        """Give `equity` as a polars LazyFrame."""
        polars = load_polars("a frame")
        last = polars.int_range(polars.len()) == polars.len() - 1
        first = polars.int_range(polars.len()) == 0
        changed = [polars.col(name).ne_missing(polars.col(name).shift(1)) for name in MONEY]
        return (
            self.scan("decisions")
            .select("step", "now_ns", *MONEY)
            .filter(polars.any_horizontal(first, last, *changed))
        )

    def arrays(self, table: Table) -> "dict[str, np.ndarray[Any, Any]]":
        """Give the columns of a table by name as the numbers of kernels/rows.py, also without polars.

        ``refusing`` is a bit mask then (see `guard_names`), ``because`` a number (see `text_of_reason`).

        Raises:
            ConfigError: The rows are in files.
            ContractError: There is no such table.
        """
        if table not in TABLES:
            raise ContractError(f"table {table!r} is unknown: give one of {', '.join(TABLES)}")
        if self._rows is None:
            raise ConfigError(f"rows of {table} are in {self.run_dir}: read .{table} or scan({table!r})")
        return self._rows.arrays(table)

    def refusals(self, step: int) -> tuple[str, ...]:
        """Name the guards that refused at a step.

        Raises:
            ContractError: The run has no such step.
        """
        if self._rows is not None:
            arrays = self._rows.arrays("decisions")
            found = list(map(guard_names, arrays["refusing"][arrays["step"] == step].tolist()))
        else:
            polars = load_polars("a frame")
            lazy = self.scan("decisions").filter(polars.col("step") == step)
            found = list(map(tuple, lazy.select("refusing").collect()["refusing"].to_list()))
        if not found:
            raise ContractError(f"step {step!r} is not in this run: see the column step of decisions")
        return found[0]

    def to_dict(self) -> dict[str, Any]:
        """Give the summary and where the rows are, as plain values."""
        return {**self.summary, "run_dir": None if self.run_dir is None else str(self.run_dir)}

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self._shown().items())
        return f"BatchResult({shown})"

    def _repr_html_(self) -> str:
        cells = {html.escape(name): html.escape(_words(value)) for name, value in self._shown().items()}
        rows = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in cells.items())
        return f"<table>{rows}</table>"

    def _shown(self) -> dict[str, Any]:
        shown = {name: self.summary[name] for name in _SHOWN if name in self.summary}
        return shown if self.run_dir is None else {**shown, "run_dir": str(self.run_dir)}

    def _parts(self, table: Table) -> list[Path]:
        if self._make_rows is not None:
            self._make_rows()
            self._make_rows = None
        files = sorted((self.run_dir or Path()).joinpath(table).glob(PARTS))
        if not files:
            raise TraceError(f"{self.run_dir} has no {table}: give the folder of a finished batch run")
        return files

    def _frame(self, table: Table) -> Any:
        if table not in self._frames:
            self._frames[table] = self.scan(table).collect()
        return self._frames[table]


def _words(value: Any) -> str:
    return f"{value:,.6g}" if isinstance(value, float) else str(value)
