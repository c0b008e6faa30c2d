"""The first rows of a text file, which tell what it is."""

from itertools import islice
from pathlib import Path

from ami_engine.adapters.files.rows import RowReader
from decision_schema.errors import MarketDataError


def first_rows(file: Path, count: int) -> list[tuple[int, str]]:
    """Read the first rows that hold something, with their numbers; of a file that is cut, the whole ones.

    Raises:
        MarketDataError: It cannot be read, or holds no row.
    """
    rows: list[tuple[int, str]] = []
    reader = RowReader(file)
    whole = ((row, text) for row, text in reader if reader.flaw in ("", "unterminated") and text.strip())
    try:
        for row in islice(whole, count):
            rows.append(row)  # noqa: PERF402 - those before an error are kept
    except MarketDataError:
        if not rows:
            raise
    if not rows:
        raise MarketDataError(f"{file.name} holds no row that can be read: download it again")
    return rows
