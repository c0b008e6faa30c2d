"""Rows of columns as the compiled loop takes them: one short record a row, a chunk at a time."""

from dataclasses import fields
from typing import Any

from ami_engine.kernels.admission import MarketRow
from ami_engine.loop.columns import Columns
from dmc_core.layout import layout_of

CHUNK = 8_192
"""Rows of a chunk: a megabyte, which the cache near the core holds in part."""
_NAMES = tuple(field.name for field in fields(MarketRow))
_COLUMN_OF = {name: "market" if name == "feed" else name for name in _NAMES}


class MarketRows:
    """Lays the cells of columns side by side.

    Args:
        fast: As an array of records, for compiled code, or as a list of them.

    >>> from ami_engine.loop.columns import read_columns
    >>> rows = MarketRows(fast=False).load(read_columns({"ts_ms": [1, 2], "bid": [0.4, 0.5]}), 1, 2)
    >>> rows[0].ts_ns, rows[0].bid, rows[0].ask
    (2000000, 0.5, nan)
    """

    def __init__(self, *, fast: bool) -> None:
        self._fast = fast
        self._absent = MarketRow()
        self._rows: Any = None
        self._written = set(_NAMES)

    def load(self, columns: Columns, first: int, last: int) -> Any:
        """Give rows `first` to `last`, as records at most CHUNK of them; valid until the next call."""
        if not self._fast:
            cells = [self._cells(columns, name, first, last) for name in _NAMES]
            return [MarketRow(*row) for row in zip(*cells, strict=True)]
        import numpy as np

        if self._rows is None:
            self._rows = np.zeros(CHUNK, layout_of(self._absent))
        for name in _NAMES:
            column = getattr(columns, _COLUMN_OF[name])
            if len(column):
                self._rows[name][: last - first] = column[0] if len(column) == 1 else column[first:last]
                self._written.add(name)
            elif name in self._written:
                self._rows[name] = getattr(self._absent, name)
                self._written.discard(name)
        return self._rows

    def _cells(self, columns: Columns, name: str, first: int, last: int) -> list[Any]:
        column = getattr(columns, _COLUMN_OF[name])
        if len(column) <= 1:
            cell = column[0].item() if len(column) else getattr(self._absent, name)
            return [cell] * (last - first)
        cells: list[Any] = column[first:last].tolist()
        return cells


def feed_at(rows: Any, i: int) -> int:
    """Give the number of the feed of a row."""
    feed: int = rows[i].feed if isinstance(rows, list) else int(rows["feed"][i])
    return feed
