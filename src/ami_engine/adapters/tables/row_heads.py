"""What all rows of tables have in common: their market, times and numbers, and how cells are read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ami_engine.adapters.captured.capture_values import Unusable
from ami_engine.adapters.tables.cells import read_whole
from ami_engine.adapters.tables.columns import Places
from ami_engine.adapters.tables.stamps import StampReader

Cells: TypeAlias = Sequence[str]
Row: TypeAlias = dict[str, Any]
RowFunction: TypeAlias = Callable[[Cells], Row]


def _uncounted(code: str) -> None:
    """Take note of nothing."""


@dataclass(frozen=True)
class RowRules:
    """How the cells of a table are read.

    Args:
        ts: Reader of the venue's times.
        received: Reader of our times of receipt.
        market_id: Name of the market; empty = a column or the config says.
        price_scale: Factor of prices.
        size_scale: Factor of sizes.
        sides: What a text of a side stands for, beside the common ones.
        actions: What a text of an action stands for, beside the common ones.
        count: Told of what is odd, by its code.
    """

    ts: StampReader | None = None
    received: StampReader | None = None
    market_id: str = ""
    price_scale: float = 1.0
    size_scale: float = 1.0
    sides: Mapping[str, Any] = field(default_factory=dict)
    actions: Mapping[str, Any] = field(default_factory=dict)
    count: Callable[[str], None] = _uncounted


def head_reader(places: Places, rules: RowRules) -> RowFunction:
    """Make the function that reads the market, the times and the numbers of a row.

    Raises:
        Unusable: One of them cannot be used; by the function.
    """
    at = places.at
    readers: list[tuple[str, int, StampReader]] = []
    for name, reader in (("ts", rules.ts), ("received", rules.received)):
        if reader is not None:
            readers.append((f"{name}_ns", at[name], reader))
    numbers = [(name, at[name]) for name in ("seq", "prev_seq") if name in at]
    texts = [(name, at[name]) for name in ("market_id", "status") if name in at]
    fixed = {"market_id": rules.market_id} if rules.market_id else {}
    if "seq" in at:  # each kind of rows has its own numbers: files of two kinds may tell of one market
        fixed["channel"] = places.kind

    def head(cells: Cells) -> Row:
        row: Row = fixed.copy()
        for key, place, read in readers:
            try:
                row[key] = read(cells[place])
            except ValueError:
                if key == "ts_ns" and len(readers) == 2 and not cells[place].strip():
                    continue  # ours of receipt is there
                raise Unusable("bad_stamp") from None
        for key, place in numbers:
            if (number := read_whole(cells[place], key)) is not None:
                row[key] = number
        for key, place in texts:
            if text := cells[place].strip():
                row[key] = text if key == "market_id" else text.lower()
        return row

    return head
