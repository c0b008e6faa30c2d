"""Where the rows of a batch run go: into Parquet files part by part, or into memory."""

import contextlib
import importlib
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ami_engine.loop.column_values import load_polars
from ami_engine.loop.row_frames import (
    ROW_KINDS,
    TABLES,
    Names,
    Table,
    check_columns,
    fields_of,
    frame_of,
)
from decision_schema.errors import ConfigError, RunExists, TraceError
from dmc_core.layout import layout_of

if TYPE_CHECKING:
    import numpy as np

PART_ROWS = 131_072
"""Rows of a part: at 27 columns 28 MB in memory, twice while one is written."""
PARTS = "part-*.parquet"


class RowMemory:
    """Keeps the rows of a run in memory, as columns.

    Args:
        market_ids: Name of each market; the list may grow.
        model_reasons: The model's own reasons by number.

    >>> from ami_engine.kernels.rows import FillRow
    >>> from ami_engine.loop.row_frames import columns_of
    >>> from dmc_core.layout import array_of
    >>> memory = RowMemory(["M"])
    >>> memory.append("fills", columns_of(array_of([FillRow(step=3, price=0.5)])))
    >>> memory.arrays("fills")["price"].tolist()
    [0.5]
    """

    def __init__(self, market_ids: Sequence[str], *, model_reasons: Sequence[str] = ()) -> None:
        self.names = Names(market_ids, model_reasons)
        self.rows: dict[Table, int] = dict.fromkeys(TABLES, 0)
        self._pieces: dict[Table, list[np.ndarray[Any, Any]]] = {table: [] for table in TABLES}

    def append(self, table: Table, columns: "np.ndarray[Any, Any]") -> None:
        """Take rows as columns of 8-byte cells; nobody may write to them afterwards.

        Raises:
            ContractError: They are no columns of this table.
        """
        check_columns(table, columns)
        if columns.shape[1]:
            self._pieces[table].append(columns)
            self.rows[table] += columns.shape[1]

    def columns(self, table: Table) -> "np.ndarray[Any, Any]":
        """Give the columns of a table, 8 bytes a cell."""
        import numpy as np

        pieces = self._pieces[table]
        if len(pieces) != 1:
            nothing = np.empty((len(fields_of(table)), 0), np.int64)
            self._pieces[table] = pieces = [np.concatenate([nothing, *pieces], axis=1)]
        return pieces[0]

    def arrays(self, table: Table) -> "dict[str, np.ndarray[Any, Any]]":
        """Give the columns of a table by name, as the numbers of kernels/rows.py; without polars, too."""
        import numpy as np

        layout = layout_of(ROW_KINDS[table]())
        return {
            name: column.view(np.float64) if layout[name] == np.float64 else column
            for name, column in zip(fields_of(table), self.columns(table), strict=True)
        }

    def frame(self, table: Table) -> Any:
        """Give a table as a polars DataFrame, with names for numbers."""
        return frame_of(table, list(self.columns(table)), self.names)

    def close(self) -> None:
        """Do nothing: rows in memory need no end."""


class RowFiles:
    """Writes the rows of a run to ``run_dir/decisions/part-00000.parquet``, likewise fills and orders.

    A part is written whole beside its place and then renamed: whatever ends the run, each part is
    valid. Writing goes on in a thread of its own while the next rows come. Use it as a context: rows
    taken so far are written also where the run fails.

    Args:
        run_dir: Folder of the run; made where it is missing.
        market_ids: Name of each market; the list may grow.
        model_reasons: The model's own reasons by number.
        part_rows: Rows of a part.

    Raises:
        ConfigError: polars is not installed, or `part_rows` is not above 0.
        RunExists: The folder holds parts of another run.
        TraceError: The folder cannot be written.
    """

    def __init__(
        self,
        run_dir: str | Path,
        market_ids: Sequence[str],
        *,
        model_reasons: Sequence[str] = (),
        part_rows: int = PART_ROWS,
    ) -> None:
        load_polars("Parquet output")
        if isinstance(part_rows, bool) or not isinstance(part_rows, int) or part_rows < 1:
            raise ConfigError(f"part_rows is {part_rows!r}: give a whole number from 1 on")
        self.run_dir = Path(run_dir)
        self.names = Names(market_ids, model_reasons)
        self.part_rows = part_rows
        self.rows: dict[Table, int] = dict.fromkeys(TABLES, 0)
        self._parts: dict[Table, int] = dict.fromkeys(TABLES, 0)
        self._held: dict[Table, int] = dict.fromkeys(TABLES, 0)
        self._columns: dict[Table, Any] = {}
        self._on_its_way: dict[Table, Any] = {}
        self._writing: dict[Table, Future[None]] = {}
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="mdm-rows")
        self._closed = False
        self._failed: TraceError | None = None
        for table in TABLES:
            folder = self.run_dir / table
            if any(folder.glob(PARTS)):
                raise RunExists(f"{folder} holds parts of a run: give another run id or output folder")
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise TraceError(f"{folder} cannot be made: {error.strerror}") from None

    def __enter__(self) -> "RowFiles":
        return self

    def __exit__(self, *failure: object) -> None:
        if failure[0] is None:
            self.close()
        else:  # what ended the run is what the user must see
            with contextlib.suppress(TraceError):
                self.close()

    def append(self, table: Table, columns: "np.ndarray[Any, Any]") -> None:
        """Take rows as columns of 8-byte cells.

        Raises:
            ContractError: They are no columns of this table.
            TraceError: An earlier part could not be written, or this is closed.
        """
        import numpy as np

        check_columns(table, columns)
        if self._failed:
            raise self._failed
        if self._closed:
            raise TraceError(f"{self.run_dir} is closed: rows of {table} come too late")
        done, count = 0, columns.shape[1]
        while done < count:
            if table not in self._columns:
                self._columns[table] = np.empty((len(fields_of(table)), self.part_rows), np.int64)
            held = self._held[table]
            taken = min(count - done, self.part_rows - held)
            self._columns[table][:, held : held + taken] = columns[:, done : done + taken]
            self._held[table] = held + taken
            self.rows[table] += taken
            done += taken
            if self._held[table] == self.part_rows:
                self._write(table)

    def close(self) -> None:
        """Write what is held; a table without rows gets one part without rows.

        After a part that could not be written none is written any more: there is never a gap between parts.

        Raises:
            TraceError: A part could not be written.
        """
        if self._closed:
            return
        self._closed = True
        try:
            if self._failed:
                raise self._failed
            for table in TABLES:
                if self._held[table] or not self._parts[table]:
                    self._write(table)
            for table in TABLES:
                self._wait(table)
        finally:
            self._writer.shutdown()

    def _write(self, table: Table) -> None:
        """Hand what is held to the writer; one part of a table is on its way at most."""
        import numpy as np

        self._wait(table)
        whole, free = self._columns.pop(table, None), self._on_its_way.pop(table, None)
        if whole is None:
            held = np.empty((len(fields_of(table)), 0), np.int64)
        else:
            held = whole[:, : self._held[table]]
            self._on_its_way[table] = whole
        if free is not None:  # its part is written
            self._columns[table] = free
        file = self.run_dir / table / f"part-{self._parts[table]:05}.parquet"
        self._held[table] = 0
        self._parts[table] += 1
        self._writing[table] = self._writer.submit(self._write_part, table, held, file)

    def _wait(self, table: Table) -> None:
        writing = self._writing.pop(table, None)
        if writing is not None:
            try:
                writing.result()
            except TraceError as error:
                self._failed = error
                raise

    def _write_part(self, table: Table, columns: Any, file: Path) -> None:
        polars = importlib.import_module("polars")
        part = file.with_suffix(".part")
        try:
            frame = frame_of(table, list(columns), self.names)
            frame.write_parquet(part, compression="zstd", compression_level=1)
            part.replace(file)
        except OSError as error:
            raise TraceError(f"{file} cannot be written: {error.strerror or error}") from None
        except polars.exceptions.PolarsError as error:
            raise TraceError(f"{file} cannot be written: {str(error).splitlines()[0]}") from None
