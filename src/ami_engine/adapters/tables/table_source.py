"""TableSource: what sources of tables have in common, whatever the format of their files."""

import re
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import Any, TypeAlias

from ami_engine.adapters.captured.capture_values import Unusable
from ami_engine.adapters.files.day_in_name import day_in_name
from ami_engine.adapters.recorded import Files, OnDefect, OnRepeat, Opening, RecordedSource, one_of
from ami_engine.adapters.tables.cells import check_scale, check_texts
from ami_engine.adapters.tables.columns import Rows, check_columns
from ami_engine.adapters.tables.first_look import FIRST_EVENTS, hints_of
from ami_engine.adapters.tables.message_groups import message_groups
from ami_engine.adapters.tables.row_heads import Cells, RowRules
from ami_engine.adapters.tables.stamp_choice import StampRules, TimeUnit
from ami_engine.adapters.tables.stamp_patterns import pattern_reader
from ami_engine.adapters.tables.stamps import date_of, zone_of
from ami_engine.adapters.tables.table import Look, Table, known_parts, table_of
from ami_engine.adapters.tables.table_rows import ACTIONS
from decision_schema.errors import ConfigError

TableRow: TypeAlias = tuple[int, Cells | str, str, bool]
"""Number; cells, or the code of why there are none; text, if there is one; whether it repeats the last."""

_REMEDIES = {
    "unknown_side": "a side is not known: say what it means by sides = {'text' = 'buy'}",
    "unknown_action": "an action is not known: say what it means by actions = {'text' = 'delete'}",
}
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+", re.ASCII)
SAMPLE_ROWS = 20
"""First rows of a file that say which columns and times it has."""


class TableSource(RecordedSource):
    """Yield one event for each row of a table, or for each message of rows of ``deltas``.

    Args:
        files: Path or paths; see `RecordedSource`, also for the arguments that are not told here.
        columns: Column of each field, by name or by index from 0 on. Without it common names are
            known; levels such as ``bid_price_00`` are known unless bid, ask or price is given.
        rows: What a row is: ``quotes``, ``trades``, ``deltas`` (changes of levels), ``orders``;
            ``auto`` = judged by the columns there are.
        time_unit: Unit of times that are numbers; ``auto`` = judged by the first one.
        time_format: Pattern of times that are text, as of ``strptime``; empty = ISO 8601.
        timezone: Of times without an offset: ``UTC``, ``America/New_York``, ``-05:00``.
        date: Day of times since midnight; empty = the one in the file's name.
        price_scale: Factor of prices: 0.0001 for prices in 1/10,000.
        size_scale: Factor of sizes.
        sides: What texts of a side mean, beside the common ones: ``{"0": "sell"}``.
        actions: What texts of an action mean, beside the common ones: ``{"x": "delete"}``.
        market_id: Name of the market; empty = a column of it, or as the config says.

    Raises:
        ConfigError: An argument makes no sense.
        MarketDataError: A file is missing or empty, or its columns or times are not what is needed.
    """

    def __init__(
        self,
        files: Files,
        *,
        columns: Mapping[str, str | int] | None = None,
        rows: Rows = "auto",
        time_unit: TimeUnit = "auto",
        time_format: str = "",
        timezone: str = "UTC",
        date: str = "",
        price_scale: float = 1.0,
        size_scale: float = 1.0,
        sides: Mapping[str, str] | None = None,
        actions: Mapping[str, str] | None = None,
        market_id: str = "",
        clock_offset_ms: float = 0,
        defects: OnDefect = "hold",
        repeats: OnRepeat = "keep",
        opening: Opening = "snapshot",
    ) -> None:
        super().__init__(
            files,
            market_id=market_id,
            clock_offset_ms=clock_offset_ms,
            defects=defects,
            repeats=repeats,
            opening=opening,
        )
        self.columns = check_columns(columns)
        if market_id and "market_id" in self.columns:
            raise ConfigError("market_id is given, and a column of it too: give one of them")
        self.row_kind: Rows = one_of("rows", rows, Rows)
        unit: TimeUnit = one_of("time_unit", time_unit, TimeUnit)
        self.stamps = StampRules(unit, time_format, zone_of(timezone), date_of(date) if date else None)
        if time_format:
            pattern_reader(time_format, UTC, date_of("2000-01-01"))
        self.row_rules = RowRules(
            market_id=market_id,
            price_scale=check_scale("price_scale", price_scale),
            size_scale=check_scale("size_scale", size_scale),
            sides=check_texts("sides", sides, {"buy": 0, "sell": 0}),
            actions=check_texts("actions", actions, dict.fromkeys(ACTIONS.values())),
            count=self._count,
        )
        for file in self.files:
            self.table_of(file)

    @abstractmethod
    def look_at(self, file: Path) -> Look:
        """Read the first rows of a file.

        Raises:
            MarketDataError: It cannot be read, or holds no row.
        """

    @abstractmethod
    def cells_of(self, file: Path, table: Table) -> Iterator[TableRow]:
        """Yield the rows of a file behind its header.

        Raises:
            MarketDataError: It is cut or damaged; what came before was given.
        """

    def table_of(self, file: Path) -> Table:
        """Look at the first rows of a file, and make what reads the others.

        Raises:
            MarketDataError: It cannot be read, or its columns or times are not what is needed.
        """
        return table_of(self.look_at(file), self.row_kind, self.row_rules)

    def stamps_of(self, file: Path) -> StampRules:
        """Return how the times of a file are read; the day is that of its name where none is given."""
        return self.stamps if self.stamps.day else replace(self.stamps, day=day_in_name(file.name))

    def opening_markets(self) -> Sequence[str]:
        """Return the markets that the first rows name."""
        table = self.table_of(self.files[0])
        at = table.places.at.get("market_id")
        names = [] if at is None else [cells[at].strip() for _, cells in table.look.samples]
        return list(dict.fromkeys(names)) or [self.market_id]

    def rows_of(self, file: Path) -> Iterator[Mapping[str, Any] | None]:
        """Yield the events of one file, None for a row that gives none.

        Raises:
            MarketDataError: The file is cut or damaged; what came before was given.
        """
        table = self.table_of(file)
        events: Iterable[Mapping[str, Any] | None] = self._events_of(file, table)
        if table.places.kind == "deltas":
            events = message_groups(events)
        first: list[Mapping[str, Any]] = []
        try:
            for event in events:
                if len(first) < FIRST_EVENTS and event is not None and "defect" not in event:
                    first.append(event)
                    if len(first) == FIRST_EVENTS:
                        self._tell(first)
                yield event
        finally:
            if len(first) < FIRST_EVENTS:
                self._tell(first)
            if not first and (most := self.counts.most_common(1)):
                self.hint(
                    f"no row of {file.name} can be used, most for {most[0][0]}: check columns and delimiter"
                )

    def _events_of(self, file: Path, table: Table) -> Iterator[Mapping[str, Any] | None]:
        read, symbol_at, delimiter = table.read, table.symbol_at, table.look.delimiter
        symbols: set[str] = set()
        for row, cells, raw, repeats in self.cells_of(file, table):
            self.rows += 1
            try:
                if isinstance(cells, str):
                    raise Unusable(cells)
                event: Mapping[str, Any] | None = read(cells)
            except Unusable as error:
                if remedy := _remedy_of(str(error), cells):
                    self.hint(remedy)
                held = self.unusable(self.reason_of(str(error)), row, raw or delimiter.join(cells))
                yield None if held is None else {**held, **known_parts(table, cells)}
                continue
            if symbol_at >= 0:
                symbols.add(cells[symbol_at])
                if len(symbols) > 1:
                    self.hint(
                        f"{file.name} holds several markets ({', '.join(sorted(symbols))}, ...), all read as "
                        f"{self.market_id}: leave market_id empty to keep them apart"
                    )
                    symbol_at = -1
            if repeats and event is not None:
                event = self.repeated(row, raw or delimiter.join(cells), event)
            yield event

    def reason_of(self, reason: str) -> str:
        """Return the code of a row that cannot be read; a format may know better."""
        return reason

    def _count(self, code: str) -> None:
        self.counts[code] += 1

    def _tell(self, events: Sequence[Mapping[str, Any]]) -> None:
        for text in hints_of(events):
            self.hint(text)


def _remedy_of(reason: str, cells: Cells | str) -> str:
    """Say how a user may mend what makes a row unusable; empty = nothing is known."""
    if reason.startswith("bad_number:") and not isinstance(cells, str):
        written = next((cell.strip() for cell in cells if _DECIMAL_COMMA.fullmatch(cell.strip())), "")[:40]
        if written:
            with_point = written.replace(",", ".")
            return (
                f"numbers are written with a comma, such as {written!r}: write {with_point!r}, with a point"
            )
    return _REMEDIES.get(reason, "")
