"""What a file of recorded data is, by the content of its first rows, whatever its name says."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from ami_engine.adapters.binance import BinanceSource
from ami_engine.adapters.captured.capture_lines import CaptureSource
from ami_engine.adapters.captures import BybitSource, HyperliquidSource
from ami_engine.adapters.csv_source import CsvSource
from ami_engine.adapters.files.day_in_name import day_in_name
from ami_engine.adapters.files.market_in_name import market_in_name
from ami_engine.adapters.files.rows import HEAD_BYTES, RowReader
from ami_engine.adapters.files.unpack import Broken, Unpacked, kind_of
from ami_engine.adapters.inspecting.foreign_forms import OWN_SOURCE, foreign_bytes, foreign_rows
from ami_engine.adapters.inspecting.lobster_forms import (
    are_books,
    are_messages,
    books_beside,
    messages_beside,
)
from ami_engine.adapters.lobster import LobsterSource
from ami_engine.adapters.parquet_source import ParquetSource
from ami_engine.adapters.recorded import RecordedSource, check_file
from ami_engine.adapters.tables.table_source import TableSource
from decision_schema.errors import MarketDataError

SOURCES: dict[str, Callable[..., RecordedSource]] = {
    "binance": BinanceSource,
    "bybit": BybitSource,
    "csv": CsvSource,
    "hyperliquid": HyperliquidSource,
    "lobster": LobsterSource,
    "parquet": ParquetSource,
}
"""Sources by the name of their format."""
CAPTURES: dict[str, type[CaptureSource]] = {
    "binance": BinanceSource,
    "hyperliquid": HyperliquidSource,
    "bybit": BybitSource,
}
ROWS_READ = 50
"""First rows with text that are looked at."""
SOME_DAY = "2000-01-01"
"""Stands for the day of times since midnight where the name of the file tells none."""


class Recognised(NamedTuple):
    """What a file is, and how the config names it.

    Args:
        format: Name of the source: ``data.source``.
        params: Its arguments beside ``files``: ``data.params``.
        why: By what it was recognised.
        guessed: Which params are guesses: from the name of the file, or for want of better.
    """

    format: str
    params: dict[str, Any]
    why: str
    guessed: tuple[str, ...] = ()


def recognise(file: Path) -> Recognised:
    r"""Recognise the format of a file by the content of its first rows.

    Raises:
        MarketDataError: The file cannot be read, or no source reads it; the message says what it
            looks like and what to do.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "eurusd.txt"
    >>> _ = file.write_text("time,bid,ask\n2024-08-08T23:54:16.5Z,1.09,1.10\n")
    >>> recognise(file)[:2]
    ('csv', {'market_id': 'EURUSD'})
    """
    check_file(file)
    head = first_bytes(file)
    if head.startswith(b"PAR1"):
        return _parquet(file)
    if foreign := foreign_bytes(head):
        raise MarketDataError(f"{file.name} {foreign}")
    if b"\0" in head[:HEAD_BYTES] and not head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise MarketDataError(f"{file.name} is binary and of no format that is known: {OWN_SOURCE}")
    rows = _first_rows(file)
    if are_messages(rows):
        return _lobster(file)
    if are_books(rows):
        levels = rows[0].count(",") // 4 + 1
        raise MarketDataError(
            f"{file.name} looks like a LOBSTER book file (levels a side: {levels}), which "
            f"is not run alone: inspect {messages_beside(file)}, and give this one as its orderbook"
        )
    if (capture := _capture(file, rows)) is not None:
        return capture
    if foreign := foreign_rows(rows):
        raise MarketDataError(f"{file.name} {foreign}")
    return _table("csv", CsvSource, file)


def first_bytes(file: Path) -> bytes:
    """Return the first bytes of a file's content, unpacked; those of a file that is cut as far as they go.

    Raises:
        MarketDataError: It cannot be read, or its packing is damaged from the start.
    """
    head = b""
    try:
        for piece in Unpacked(file):
            head += piece
            if len(head) >= HEAD_BYTES:
                break
    except Broken as error:
        if not head:
            raise MarketDataError(
                f"{file.name}: the {error.kind} stream is {error.how} before its first row: download it again"
            ) from None
    except OSError as error:
        raise MarketDataError(f"{file} cannot be read: {error.strerror}") from None
    if not head:
        raise MarketDataError(f"{file.name} is packed, but empty: download it again")
    return head


def _first_rows(file: Path) -> list[str]:
    """Read the first rows that hold something; of a file that is cut within them, those before.

    Raises:
        MarketDataError: There is none.
    """
    rows: list[str] = []
    reader = RowReader(file)
    try:
        for _, text in reader:
            if text.strip() and (reader.flaw != "torn" or not rows):
                rows.append(text)
            if len(rows) == ROWS_READ:
                break
    except MarketDataError:
        if not rows:
            raise
    if not rows:
        raise MarketDataError(f"{file.name} holds blank rows only: download it again")
    return rows


def _capture(file: Path, rows: list[str]) -> Recognised | None:
    """Try the venues whose captures are known."""
    if not any("{" in row for row in rows):
        return None
    for name, make in CAPTURES.items():
        try:
            source = make(file)
        except MarketDataError:
            continue
        seen = (kind for peek in source.peeks.values() for kind, _ in peek.seen)
        kinds = ", ".join(dict.fromkeys(seen))
        return Recognised(name, {}, f"{source.venue} messages ({kinds}) in its first rows")
    return None


def _lobster(file: Path) -> Recognised:
    day, market, book = day_in_name(file.name), market_in_name(file.name), books_beside(file)
    params = {"date": SOME_DAY if day is None else day.isoformat()}
    if market:
        params["market_id"] = market
    if book is not None:
        params["opening_book"] = str(book)
    else:
        params["opening"] = "empty"
    why = "rows of time, type, order id, size, price and direction, as LOBSTER's message files have them"
    return Recognised("lobster", params, why, tuple(params))


def _parquet(file: Path) -> Recognised:
    with file.open("rb") as stream:
        packed = kind_of(stream.read(HEAD_BYTES))
    if packed != "plain":
        raise MarketDataError(f"{file.name} is Parquet packed by {packed}: unpack it first")
    return _table("parquet", ParquetSource, file)


def _table(name: str, make: Callable[..., TableSource], file: Path) -> Recognised:
    """Try a table as it is, then with what is missing guessed."""
    failure: MarketDataError | None = None
    for extra in ({}, {"date": SOME_DAY}, {"rows": "quotes"}):
        try:
            source = make(file, **extra)
        except MarketDataError as error:
            failure = failure or error
            continue
        return _of_table(name, file, source, extra)
    raise failure or MarketDataError(f"{file.name} holds no row")


def _of_table(name: str, file: Path, source: TableSource, extra: dict[str, str]) -> Recognised:
    """Say what a table is, by the columns that its source found."""
    table = source.table_of(file)
    places = table.places
    guesses = dict(extra)
    since_midnight = not places.names and not table.look.stamps.time_format
    if since_midnight and (day := day_in_name(file.name)) is not None:
        guesses["date"] = day.isoformat()
    if "market_id" not in places.at and (market := market_in_name(file.name)):
        guesses["market_id"] = market
    if places.kind in ("orders", "deltas") and "is_snapshot" not in places.at:
        guesses["opening"] = "empty"
    why = f"rows of {places.kind} without a header, by their form"
    if places.names:
        used = [f"{field} {places.name_of(place)}" for field, place in places.at.items()]
        sides = {"bids": places.bids, "asks": places.asks}
        used += [f"{len(levels)} {side}" for side, levels in sides.items() if levels]
        why = f"a table of {places.kind}: {', '.join(used)}"
    return Recognised(name, guesses, why, tuple(guesses))
