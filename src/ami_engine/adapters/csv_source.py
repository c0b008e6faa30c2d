"""CsvSource: quotes, trades, levels or orders from text files with a row a line."""

import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ami_engine.adapters.files.first_rows import first_rows
from ami_engine.adapters.files.rows import RowReader
from ami_engine.adapters.recorded import Files
from ami_engine.adapters.tables.csv_shapes import known_shape
from ami_engine.adapters.tables.table import Look, Table
from ami_engine.adapters.tables.table_source import SAMPLE_ROWS, TableRow, TableSource
from decision_schema.errors import ConfigError, MarketDataError

DELIMITERS = ",;\t"
"""Where none is given, the one that stands most often in the first row."""
SHOWN_CHARACTERS = 80
"""Of a row, in messages."""


class CsvSource(TableSource):
    r"""Yield the rows of CSV files, packed or not, as events.

    A cell may stand in double quotes; one that holds a newline is not supported. Blank rows, and a
    header that comes again, are counted and left out.

    Args:
        files: Path or paths; see `TableSource` and `RecordedSource`, also for the other arguments.
        header: Whether the first row names the columns; None = it does if no cell of it is a number.
        delimiter: Between cells; with ``,`` and no `header` given, ``;`` and tab are recognised.

    Raises:
        ConfigError: An argument makes no sense.
        MarketDataError: A file is missing or empty, or its columns or times are not what is needed.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "quotes.csv"
    >>> _ = file.write_text("timestamp,bid,ask\n2024-08-08T23:54:16.5Z,0.49,0.51\n")
    >>> CsvSource(file, market_id="X").next_event()
    {'market_id': 'X', 'ts_ns': 1723161256500000000, 'bid': 0.49, 'ask': 0.51}
    """

    def __init__(
        self, files: Files, *, header: bool | None = None, delimiter: str = ",", **arguments: Any
    ) -> None:
        if header not in (True, False, None):
            raise ConfigError(f"header is {header!r}: give true or false, or leave it out")
        if not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '"\r\n':
            raise ConfigError(f"delimiter is {delimiter!r}: give one character, such as ',' or ';'")
        self.header = header
        self.delimiter = delimiter
        super().__init__(files, **arguments)

    def _start(self) -> None:
        super()._start()
        self._reader: RowReader | None = None

    def fraction_of(self, file: Path) -> float:
        """Return the part of the present file that has been read."""
        return 0.0 if self._reader is None or self._reader.file != file else self._reader.fraction

    def look_at(self, file: Path) -> Look:
        """Read the first rows of a file.

        Raises:
            MarketDataError: It cannot be read, holds no row, or has no header and no known form.
        """
        rows = first_rows(file, SAMPLE_ROWS + 1)
        number, text = rows[0]
        delimiter = self.delimiter
        if self.header is None and delimiter == ",":
            delimiter = max(DELIMITERS, key=text.count)
        try:
            first = split(text, delimiter)
        except csv.Error:
            raise MarketDataError(
                f"{file.name}: row {number}: a quote is opened and not closed: {text[:SHOWN_CHARACTERS]!r}"
            ) from None
        headed = _is_header(first) if self.header is None else self.header
        below = [(number, cells) for number, text in rows[headed:] if (cells := _cells(text, delimiter))]
        width = len(first) if headed else Counter(len(cells) for _, cells in below).most_common(1)[0][0]
        samples = [(number, cells) for number, cells in below if len(cells) == width]
        if below and not samples:
            number, cells = below[0]
            raise MarketDataError(
                f"{file.name}: row {number} has {len(cells)} columns, the header {width}: correct the header"
            )
        look = Look(
            where=file.name,
            names=tuple(name.strip() for name in first) if headed else (),
            width=width,
            samples=samples,
            columns=self.columns,
            stamps=self.stamps_of(file),
            delimiter=delimiter,
            header=text if headed else None,
        )
        return look if headed or self.columns else self._shaped(look, text)

    def _shaped(self, look: Look, first: str) -> Look:
        """Complete what is known of a file without a header by its form."""
        shape = (
            known_shape(look.where, look.samples, look.stamps)
            if self.row_kind in ("auto", "quotes")
            else None
        )
        if shape is None:
            raise MarketDataError(
                f"{look.where} has no header that is known, and its columns are not: row 1 is "
                f"{first[:SHOWN_CHARACTERS]!r}: give columns, such as columns = {{ts = 0, bid = 1, ask = 2}}"
            )
        if shape.hint:
            self.hint(shape.hint)
        return Look(
            look.where, (), look.width, look.samples, shape.columns, shape.stamps, delimiter=look.delimiter
        )

    def cells_of(self, file: Path, table: Table) -> Iterator[TableRow]:
        """Yield the rows of a file behind its header.

        Raises:
            MarketDataError: It is cut or damaged; what came before was given.
        """
        look = table.look
        header, delimiter, width = look.header, look.delimiter, look.width
        reader = self._reader = RowReader(file)
        last = None
        headers = 0
        for number, text in reader:
            if text == header:
                headers += 1
                if headers > 1:
                    self.counts["repeated_header"] += 1
                continue
            if not text or text.isspace():
                self.counts["blank_row"] += 1
                continue
            if '"' in text:
                cells = self._unquoted(text, delimiter)
            else:
                cells = text.split(delimiter)
            if type(cells) is list and len(cells) != width:
                cells = f"wrong_columns:{len(cells)}"
            if reader.flaw and reader.flaw != "unterminated":
                cells = f"{reader.flaw}_row"
            yield number, cells, text, text == last
            last = text

    def _unquoted(self, text: str, delimiter: str) -> list[str] | str:
        try:
            return split(text, delimiter)
        except csv.Error as error:
            if "unexpected end" not in str(error):
                return "bad_quote"
            self.hint("a quote is opened and not closed: cells that hold a newline are not supported")
            return "unclosed_quote"

    def reason_of(self, reason: str) -> str:
        """Return the code of a row that cannot be read: without its newline it was cut."""
        return "torn_row" if self._reader is not None and self._reader.flaw == "unterminated" else reason


def split(text: str, delimiter: str) -> list[str]:
    """Split a row into its cells.

    Raises:
        csv.Error: A quote is opened and not closed, or text follows a closed one.

    >>> split('1,"a,b",2', ",")
    ['1', 'a,b', '2']
    """
    if '"' not in text:
        return text.split(delimiter)
    return next(csv.reader((text,), delimiter=delimiter, strict=True))


def _cells(text: str, delimiter: str) -> list[str]:
    try:
        return split(text, delimiter)
    except csv.Error:
        return []


def _is_header(cells: list[str]) -> bool:
    """Tell whether a row names columns: none of its cells is a number."""
    for cell in cells:
        try:
            float(cell)
        except ValueError:
            continue
        return False
    return any(cell.strip() for cell in cells)
