"""ParquetSource: quotes, trades, levels or orders from Parquet files, read a slice at a time.

Every cell is made text, so that the same table as CSV gives the same events.
"""

import importlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import Any

from ami_engine.adapters.recorded import Files
from ami_engine.adapters.tables.columns import find_places
from ami_engine.adapters.tables.stamp_choice import StampRules
from ami_engine.adapters.tables.table import Look, Table
from ami_engine.adapters.tables.table_source import SAMPLE_ROWS, TableRow, TableSource
from decision_schema.errors import ConfigError, MarketDataError

SLICE_ROWS = 50_000
"""Rows in memory at once."""
_ISO = "%Y-%m-%dT%H:%M:%S%.9f"


class ParquetSource(TableSource):
    """Yield the rows of Parquet files as events; the same table as CSV gives the same events.

    Columns of times are read to the nanosecond, whatever `time_unit` says; those without a time zone
    are of `timezone`. Null is what an empty cell is. Needs polars: ``pip install 'mdm-engine[data]'``.

    Args:
        files: Path or paths; see `TableSource` and `RecordedSource`, also for the other arguments.

    Raises:
        ConfigError: An argument makes no sense, or polars is not installed.
        MarketDataError: A file is missing or no Parquet, or its columns or times are not what is needed.
    """

    def __init__(self, files: Files, **arguments: Any) -> None:
        try:
            self._polars: Any = importlib.import_module("polars")
        except ImportError:
            raise ConfigError("polars is not installed: pip install 'mdm-engine[data]'") from None
        super().__init__(files, **arguments)

    def _start(self) -> None:
        super()._start()
        self._fraction = 0.0

    def fraction_of(self, file: Path) -> float:
        """Return the part of the present file that has been read."""
        return self._fraction

    def look_at(self, file: Path) -> Look:
        """Find the columns that are needed, and read the first rows of them.

        Raises:
            MarketDataError: It cannot be read, or a column is missing.
        """
        schema = _tried(
            self._polars, lambda: self._polars.read_parquet_schema(file), f"{file.name} is no Parquet"
        )
        names = list(schema)
        places = find_places(file.name, names, len(names), self.columns, self.row_kind)
        used = sorted({*places.at.values(), *(at for level in (*places.bids, *places.asks) for at in level)})
        stamps = self.stamps_of(file)
        timed = [names[at] for at in used if schema[names[at]] == self._polars.Time]
        if timed and stamps.day is None:
            raise MarketDataError(
                f"{file.name}: column {timed[0]!r} holds times without a day: set date = '2014-05-06' with it"
            )
        typed = {place: _rules(self._polars, schema[names[at]], stamps) for place, at in enumerate(used)}
        look = Look(
            where=file.name,
            names=[names[at] for at in used],
            width=len(used),
            samples=(),
            columns={name: names[at] if isinstance(at, int) else at for name, at in self.columns.items()},
            stamps=stamps,
            typed={place: rules for place, rules in typed.items() if rules is not None},
        )
        first = self._slice(file, look, 0, SAMPLE_ROWS).iter_rows()
        return replace(look, samples=[(row, cells[:-1]) for row, cells in enumerate(first, 1)])

    def cells_of(self, file: Path, table: Table) -> Iterator[TableRow]:
        """Yield the rows of a file.

        Raises:
            MarketDataError: It is damaged; what came before was given, the rest is counted as lost.
        """
        polars, row, rows = self._polars, 0, SLICE_ROWS
        count = polars.scan_parquet(file).select(polars.len())
        total = _tried(polars, lambda: count.collect().item(), f"{file.name} cannot be read")
        self._fraction = 0.0
        while row < total:
            try:
                frame = self._slice(file, table.look, row, rows)
            except MarketDataError:
                if rows == 1:
                    self.lost("lost_row", total - row)
                    raise
                rows = max(1, rows // 10)  # what stands before the damage is kept
                continue
            for cells in frame.iter_rows():
                row += 1
                yield row, cells[:-1], "", cells[-1] and row > 1
            self._fraction = row / total

    def _slice(self, file: Path, look: Look, begin: int, rows: int) -> Any:
        """Read rows as text, and whether each equals the one before it in all columns."""
        polars = self._polars
        where = f"{file.name}: rows from {begin + 1} on cannot be read, those before are kept"
        before = min(begin, 1)  # one row more in front, to which the first is compared

        def read() -> Any:
            scan = polars.scan_parquet(file)
            schema = scan.collect_schema()
            same = [
                polars.col(name).eq_missing(polars.col(name).shift(1))
                for name, kind in schema.items()
                if not kind.is_nested()
            ]
            texts = [
                _text(polars, name, schema[name], look.typed.get(at)) for at, name in enumerate(look.names)
            ]
            repeats = polars.all_horizontal(same).alias("\n")  # a name that no column has
            return scan.slice(begin - before, rows + before).select(*texts, repeats).collect().slice(before)

        return _tried(polars, read, where)


def _rules(polars: Any, kind: Any, stamps: StampRules) -> StampRules | None:
    """Say how the times of a column are read as its type tells; None = as the user says."""
    if isinstance(kind, polars.Datetime):
        exact = kind.time_zone is not None or stamps.zone is UTC
        return replace(stamps, unit="ns" if exact else "iso", time_format="")
    if kind == polars.Date:
        return replace(stamps, unit="iso", time_format="")
    if kind == polars.Time:
        return replace(stamps, unit="ns", time_format="")
    return None


def _text(polars: Any, name: str, kind: Any, rules: StampRules | None) -> Any:
    """Make the expression of a column's text: times as ns, or as ISO where the zone is the user's."""
    column = polars.col(name)
    if isinstance(kind, polars.Datetime):
        if rules is not None and rules.unit == "iso":
            column = column.dt.strftime(_ISO)
        else:
            column = column.cast(polars.Datetime("ns", kind.time_zone)).cast(polars.Int64)
    elif kind == polars.Time:
        column = column.cast(polars.Int64)
    return column.cast(polars.String, strict=False).fill_null("")


def _tried(polars: Any, read: Callable[[], Any], what: str) -> Any:
    """Call polars.

    Raises:
        MarketDataError: It failed.
    """
    try:
        return read()
    except (polars.exceptions.PolarsError, polars.exceptions.PanicException, OSError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise MarketDataError(f"{what}: {reason[:200]}: download the file again") from None
