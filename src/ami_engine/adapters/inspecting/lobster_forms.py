"""LOBSTER's two files by their first rows, and which file belongs to which."""

import re
from collections.abc import Sequence
from pathlib import Path

_MESSAGE = re.compile(r"\d{1,5}(?:\.\d+)?,[1-7],-?\d+,-?\d+,-?\d+,-?[01](?:,.*)?", re.ASCII)
_WHOLE = re.compile(r"-?\d{1,19}", re.ASCII)
_NO_PRICE = 9_999_999_999
_SECONDS_PER_DAY = 86_400.0
_MAX_RATIO = 1.5
"""An ask is no further above the bid: other tables of whole numbers are no books."""


def are_messages(rows: Sequence[str]) -> bool:
    """Tell whether rows are messages: seconds of a day, a type, an id, a size, a price, a direction.

    >>> are_messages(["34200.004241176,1,16113575,18,5853300,1"])
    True
    """
    found = [row for row in rows if _MESSAGE.fullmatch(row)]
    # A row or two that are torn do not make it another format.
    if len(found) < 0.9 * len(rows):
        return False
    times = [float(row.partition(",")[0]) for row in found]
    return times == sorted(times) and times[-1] < _SECONDS_PER_DAY


def are_books(rows: Sequence[str]) -> bool:
    """Tell whether rows are books: ask price, ask size, bid price and bid size of each level.

    >>> are_books(["5859400,200,5853300,18"])
    True
    """
    split = [row.split(",") for row in rows]
    found = [cells for cells in split if len(cells) % 4 == 0 and all(map(_WHOLE.fullmatch, cells))]
    if len(found) < 0.9 * len(rows):
        return False
    tops = [(int(cells[0]), int(cells[2])) for cells in found]
    both = [(ask, bid) for ask, bid in tops if abs(ask) != _NO_PRICE and abs(bid) != _NO_PRICE]
    return bool(both) and all(0 < bid < ask < _MAX_RATIO * bid for ask, bid in both)


def messages_beside(file: Path) -> str:
    """Name the message file that a book file belongs to, as far as its name tells."""
    found = _beside(file, "orderbook", "message")
    return "the message file that came with it" if found is None else found.name


def books_beside(file: Path) -> Path | None:
    """Find the book file that belongs to a message file; None = none stands beside it."""
    return _beside(file, "message", "orderbook")


def _beside(file: Path, own: str, other: str) -> Path | None:
    """Find the file of the same name with the other word, else one that begins alike."""
    before, word, after = file.name.partition(f"_{own}")
    if not word:
        return None
    name = before + f"_{other}" + after
    if (same := file.with_name(name)).is_file():
        return same
    start = name.partition(".")[0]
    alike = sorted(path for path in file.parent.iterdir() if path.name.startswith(f"{start}."))
    return next((path for path in alike if path.is_file()), None)
