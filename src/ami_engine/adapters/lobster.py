"""LobsterSource: order messages of NASDAQ as LOBSTER rebuilds them, with or without its book files."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

from ami_engine.adapters.captured.capture_values import Unusable
from ami_engine.adapters.files.day_in_name import day_in_name
from ami_engine.adapters.files.first_rows import first_rows
from ami_engine.adapters.files.rows import RowReader
from ami_engine.adapters.lobster_rows import (
    Levels,
    MessageParts,
    check_levels,
    check_messages,
    levels_reader,
    message_reader,
)
from ami_engine.adapters.recorded import (
    Files,
    OnDefect,
    OnRepeat,
    Opening,
    RecordedSource,
    check_file,
    expand_path,
)
from ami_engine.adapters.tables.stamps import date_of, midnight_reader, zone_of
from decision_schema.errors import ConfigError, MarketDataError
from decision_schema.units import NS_PER_SECOND

PEEKED_ROWS = 10
"""First rows of a file that show whether it is the right one."""
_END = "no more rows"


@dataclass(frozen=True)
class _Day:
    """One message file and what belongs to it."""

    market_id: str
    parts_of: MessageParts
    book: Path | None = None
    levels_of: Callable[[str], Levels] | None = None
    opening: Levels | None = None


class LobsterSource(RecordedSource):
    """Yield one event for each row of LOBSTER message files.

    With `opening_book` the first event is the book after the first message, and the other messages
    change it. With `orderbook` every event carries the levels after it. With neither, the messages wait
    for a snapshot that never comes, unless `opening` is ``empty``.

    ``seq`` is the number of the row, ``book_seq`` that of the last row that changed the book. A row that
    holds breaks the chain of ``prev_seq``, for it may have changed the book: what changes it later waits
    for a snapshot. With ``defects = "skip"`` the book goes on as if the row were not there.

    Args:
        files: Message files, named like ``AAPL_2012-06-21_34200000_57600000_message_10.csv``; see
            `RecordedSource`, also for the arguments that are not told here.
        opening_book: Book file for each message file; its first row is the book after the first message.
        orderbook: Book file for each message file, with a row for each message.
        date: Day of the data; empty = as the file's name says.
        market_id: Name of the market; empty = the first part of the file's name.
        timezone: In which times count from midnight.

    Raises:
        ConfigError: An argument makes no sense, or no day is known.
        MarketDataError: A file is missing, empty or not of LOBSTER.
    """

    def __init__(
        self,
        files: Files,
        *,
        opening_book: Files = (),
        orderbook: Files = (),
        date: str = "",
        market_id: str = "",
        timezone: str = "America/New_York",
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
        if opening_book and orderbook:
            raise ConfigError("opening_book and orderbook are given: give one of them")
        self._day = date_of(date) if date else None
        self._zone = zone_of(timezone)
        openings = _one_each("opening_book", opening_book, self.files)
        books = _one_each("orderbook", orderbook, self.files)
        self._days = [
            self._day_of(file, opens, book)
            for file, opens, book in zip(self.files, openings, books, strict=True)
        ]
        self.market_id = self._days[0].market_id

    def _day_of(self, file: Path, opens: Path | None, book: Path | None) -> _Day:
        """Look at the first rows of a message file and of its book file."""
        day = self._day or day_in_name(file.name)
        if day is None:
            raise ConfigError(f"{file.name} does not tell its day: set date, such as '2012-06-21'")
        rows = first_rows(file, PEEKED_ROWS)
        width = check_messages(file.name, rows)
        parts_of = message_reader(midnight_reader(day, self._zone, NS_PER_SECOND), width)
        name = self.market_id or (file.name.split("_")[0] if "_" in file.name else "")
        if book is not None:
            levels_of = levels_reader(check_levels(book.name, first_rows(book, 1)))
            return _Day(name, parts_of, book, levels_of)
        if opens is None:
            return _Day(name, parts_of)
        return _Day(name, parts_of, opening=self._opening_of(opens, file, rows[0], parts_of))

    def _opening_of(self, opens: Path, file: Path, first: tuple[int, str], parts_of: MessageParts) -> Levels:
        row, text = first
        try:
            parts_of(text)
        except Unusable as error:
            raise MarketDataError(
                f"{file.name}: row {row} {text[:60]!r} cannot be used ({error}), and the opening book is the "
                "one after it: download the file again"
            ) from None
        rows = first_rows(opens, 1)
        return levels_reader(check_levels(opens.name, rows))(rows[0][1])

    def _start(self) -> None:
        super()._start()
        self._reader: RowReader | None = None
        self._last_ns = 0
        self._book_seq = 0

    def fraction_of(self, file: Path) -> float:
        """Return the part of the present file that has been read."""
        return 0.0 if self._reader is None or self._reader.file != file else self._reader.fraction

    def rows_of(self, file: Path) -> Iterator[Mapping[str, Any] | None]:
        """Yield the events of one file, None for a row that gives none.

        Raises:
            MarketDataError: A file is cut or damaged, or the two have not as many rows; what came
                before was given.
        """
        day = self._days[self._done_files]
        self.market_id = day.market_id
        self._reader = reader = RowReader(file)
        messages = self._filled(reader)
        books = self._books(day)
        before = self.rows
        last = ""
        for row, text in messages:
            levels = next(books, _END)
            if levels == _END:
                done = self.rows - before
                raise _uneven(file, done + 1 + sum(1 for _ in messages), day.book, done)
            self.rows += 1
            try:
                event = self._event(day, text, levels, reader.flaw)
            except Unusable as error:
                given = self.unusable(str(error), row, text)
                self._book_seq = (
                    self._book_seq if given is None else self.rows
                )  # it may have changed the book
            else:
                given = event if text != last else self.repeated(row, text, event)
                self._book_seq = event["book_seq"] if given is event else self._book_seq
            last = text
            yield given
        if day.book is not None and (more := sum(1 for _ in books)):
            raise _uneven(file, self.rows - before, day.book, self.rows - before + more)

    def _books(self, day: _Day) -> Iterator[Levels | str | None]:
        """Yield what stands beside each message: levels, None, or the code of why they cannot be used."""
        if day.book is None or day.levels_of is None:
            yield day.opening
            yield from repeat(None)
            return
        reader = RowReader(day.book)
        for _, text in self._filled(reader):
            try:
                levels: Levels | str = day.levels_of(text)
            except Unusable:
                levels = "bad_book_row"
            yield levels if reader.flaw in ("", "unterminated") else "bad_book_row"

    def _event(self, day: _Day, text: str, levels: Levels | str | None, flaw: str) -> dict[str, Any]:
        """Make the event of a message and of the levels beside it."""
        if flaw and flaw != "unterminated":
            raise Unusable(f"{flaw}_row")
        try:
            parts = day.parts_of(text)
        except Unusable as error:
            raise Unusable("torn_row" if flaw else str(error)) from None
        if isinstance(levels, str):
            raise Unusable(levels)
        if parts["ts_ns"] < self._last_ns:
            self.counts["clock_back"] += 1
        self._last_ns = parts["ts_ns"]
        event: dict[str, Any] = {"market_id": day.market_id} if day.market_id else {}
        changes = levels is not None or "order_messages" in parts
        book_seq = self.rows if changes else self._book_seq
        event.update(channel="messages", seq=self.rows, prev_seq=self._book_seq, book_seq=book_seq)
        event.update(parts)
        if levels is not None:
            event.pop("order_messages", None)
            event["bids"], event["asks"] = levels
        return event

    def _filled(self, reader: RowReader) -> Iterator[tuple[int, str]]:
        """Yield the rows that hold something; the others are counted."""
        for row, text in reader:
            if text and not text.isspace():
                yield row, text
            else:
                self.counts["blank_row"] += 1


def _one_each(name: str, given: Files, files: list[Path]) -> list[Path | None]:
    """Return a book file for each message file, None where none are given."""
    if not given:
        return [None] * len(files)
    paths = [expand_path(path) for path in ([given] if isinstance(given, str | os.PathLike) else given)]
    if len(paths) != len(files):
        raise ConfigError(f"{name} names {len(paths)} files, and files {len(files)}: give one for each")
    for path in paths:
        check_file(path)
    return list(paths)


def _uneven(file: Path, messages: int, book: Path | None, books: int) -> MarketDataError:
    name = "" if book is None else book.name
    return MarketDataError(
        f"{file.name} has {messages:,} rows, but {name} {books:,}: give the book file of these messages"
    )
