"""What a table is, as its first rows show, and the functions that read its rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ami_engine.adapters.captured.capture_values import Unusable
from ami_engine.adapters.tables.columns import Places, Rows, find_places
from ami_engine.adapters.tables.row_heads import Cells, RowFunction, RowRules, head_reader
from ami_engine.adapters.tables.stamp_choice import StampRules, choose_reader
from ami_engine.adapters.tables.stamps import StampReader
from ami_engine.adapters.tables.table_rows import row_reader
from decision_schema.errors import MarketDataError


@dataclass(frozen=True)
class Look:
    """What the first rows of a file tell.

    Args:
        where: Name of the file, for messages.
        names: Names of the columns; empty = there is no header.
        width: Number of columns.
        samples: First rows with their numbers.
        columns: Column by field, as the user gave it or a known form of file has it.
        stamps: How times are read.
        typed: How the times of a column are read whose type tells it, by index.
        delimiter: What stands between the cells of a text.
        header: The header as text; None = there is none.
    """

    where: str
    names: Sequence[str]
    width: int
    samples: Sequence[tuple[int, Cells]]
    columns: Mapping[str, str | int]
    stamps: StampRules
    typed: Mapping[int, StampRules] = field(default_factory=dict)
    delimiter: str = ","
    header: str | None = None


@dataclass(frozen=True)
class Table:
    """A file's columns, and the functions that read its rows.

    Args:
        look: What the first rows tell.
        places: Where the cells of a row stand.
        read: From cells to an event, or a part of one.
        head: From cells to what is known of an event that cannot be used.
        symbol_at: Column of the market's name where the user gave another; -1 = none.
    """

    look: Look
    places: Places
    read: RowFunction
    head: RowFunction
    symbol_at: int = -1


def table_of(look: Look, rows: Rows, rules: RowRules) -> Table:
    """Find the columns of a file, and make the functions that read its rows.

    Raises:
        MarketDataError: A column is missing, or its first stamp is no time.
    """
    places = find_places(look.where, look.names, look.width, look.columns, rows)
    symbol_at = -1
    if rules.market_id and "market_id" in places.at:
        symbol_at = places.at["market_id"]
        places = replace(places, at={name: at for name, at in places.at.items() if name != "market_id"})
    if look.samples:
        rules = replace(rules, ts=_stamps("ts", look, places), received=_stamps("received", look, places))
    return Table(look, places, row_reader(places, rules), head_reader(places, rules), symbol_at)


def known_parts(table: Table, cells: Cells | str) -> dict[str, Any]:
    """Return the market and the times of a row that cannot be used, as far as it tells."""
    if isinstance(cells, str):
        return {}
    try:
        return table.head(cells)
    except Unusable:
        return {}


def _stamps(name: str, look: Look, places: Places) -> StampReader | None:
    """Choose the reader of a column of times by the first rows; the first is judged, if no other is right."""
    place = places.at.get(name)
    if place is None:
        return None
    rules = look.typed.get(place, look.stamps)
    failure: MarketDataError | None = None
    for row, cells in look.samples:
        try:
            return choose_reader(
                cells[place], f"{look.where}: column {places.name_of(place)}, row {row}", rules
            )
        except MarketDataError as error:
            failure = failure or error
    raise failure or MarketDataError(f"{look.where} holds no row")
