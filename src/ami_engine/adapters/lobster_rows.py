"""Rows of LOBSTER's two files: a message each, and the levels of the book after it."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from ami_engine.adapters.captured.capture_values import Unusable
from ami_engine.adapters.tables.stamps import StampReader
from decision_schema.errors import MarketDataError
from decision_schema.events import Level

Levels: TypeAlias = tuple[list[Level], list[Level]]
"""Bids and asks, best first."""
MessageParts: TypeAlias = Callable[[str], dict[str, Any]]

FIELDS = ("time", "type", "order_id", "size", "price", "direction")
"""Columns of a message; some files have a seventh, which is not used."""
PRICE_UNITS = 10_000
"""Prices count units of which so many make a dollar."""
NO_PRICE = 9_999_999_999
"""Stands, with either sign, where a level is empty."""
_SIDES = {"1": ("buy", "sell"), "-1": ("sell", "buy")}
"""The side on which the order rests, and the side of who trades against it."""
_OPS = {"1": "add", "2": "reduce", "3": "delete", "4": "execute"}
_STATUS = {-1: "halted", 0: "paused", 1: "trading"}
_HIDDEN, _CROSS, _HALT = "5", "6", "7"
_TYPES = frozenset((*_OPS, _HIDDEN, _CROSS, _HALT))


def message_reader(read_time: StampReader, width: int) -> MessageParts:
    """Make the function from a row of the message file to the keys of its event.

    Args:
        read_time: Reader of seconds after midnight.
        width: Number of columns.

    Raises:
        Unusable: A cell cannot be used, or there are too few or many; by the function.

    >>> from datetime import UTC, date
    >>> from ami_engine.adapters.tables.stamps import midnight_reader
    >>> parts = message_reader(midnight_reader(date(2012, 6, 21), UTC, 10**9), 6)
    >>> parts("34200.5,5,7,18,5853300,1")["trades"]
    [{'price': 585.33, 'size': 18.0, 'aggressor_side': 'sell'}]
    """

    def parts(text: str) -> dict[str, Any]:
        cells = text.split(",")
        if len(cells) != width:
            raise Unusable(f"wrong_columns:{len(cells)}")
        stamp, kind, order_id, size, price, direction = cells[:6]
        try:
            event: dict[str, Any] = {"ts_ns": read_time(stamp)}
        except ValueError:
            raise Unusable("bad_stamp") from None
        if kind not in _TYPES:
            raise Unusable(f"unknown_type:{kind}" if len(kind) < 3 else "bad_number:type")
        number = _whole(price, "price")
        if kind == _HALT:
            if number not in _STATUS:
                raise Unusable("bad_number:price")
            return {**event, "status": _STATUS[number]}
        trade: dict[str, Any] = {"price": number / PRICE_UNITS, "size": float(_whole(size, "size"))}
        if kind == _CROSS:
            return {**event, "trades": [trade]}
        if direction not in _SIDES:
            raise Unusable("bad_number:direction")
        side, aggressor = _SIDES[direction]
        if kind != _HIDDEN:
            message = {"op": _OPS[kind], "order_id": _whole(order_id, "order_id"), "side": side}
            event["order_messages"] = [{**message, **trade}]
        if kind in ("4", _HIDDEN):
            event["trades"] = [{**trade, "aggressor_side": aggressor}]
        return event

    return parts


def levels_reader(width: int) -> Callable[[str], Levels]:
    """Make the function from a row of the book file to the levels of both sides.

    Args:
        width: Number of columns: four for each level.

    Raises:
        Unusable: A cell is no number, or there are too few or many; by the function.

    >>> levels_reader(4)("5859400,200,-9999999999,0")
    ([], [(585.94, 200.0)])
    """

    def levels(text: str) -> Levels:
        cells = text.split(",")
        if len(cells) != width:
            raise Unusable(f"wrong_columns:{len(cells)}")
        try:
            numbers = [int(cell) for cell in cells]
        except ValueError:
            raise Unusable("bad_number:level") from None
        asks = [
            (price / PRICE_UNITS, float(size))
            for price, size in zip(numbers[0::4], numbers[1::4], strict=True)
            if size != 0 or abs(price) != NO_PRICE
        ]
        bids = [
            (price / PRICE_UNITS, float(size))
            for price, size in zip(numbers[2::4], numbers[3::4], strict=True)
            if size != 0 or abs(price) != NO_PRICE
        ]
        return bids, asks

    return levels


def check_messages(where: str, rows: Sequence[tuple[int, str]]) -> int:
    """Judge by its first rows whether a file holds messages; return its number of columns.

    Raises:
        MarketDataError: It holds something else, or prices in dollars.
    """
    number, text = rows[0]
    shown = f"{where}: row {number} {text[:60]!r}"
    if not any(character.isdigit() for character in text):
        raise MarketDataError(f"{shown} is a header, and LOBSTER has none: delete it, or use the csv source")
    widths = []
    for _, row in rows:
        cells = row.split(",")
        if len(cells) in (6, 7) and cells[1] in _TYPES:
            if "." in cells[4]:
                raise MarketDataError(
                    f"{shown}: the price is in dollars already, LOBSTER's is in 1/10,000: use the csv source"
                )
            if all(_is_whole(cell) for cell in cells[2:6]):
                widths.append(len(cells))
    if widths:
        return widths[0]
    cells = text.split(",")
    if len(cells) % 4 == 0 and all(_is_whole(cell) for cell in cells):
        raise MarketDataError(f"{shown} is a row of a book file: give it as orderbook or opening_book")
    raise MarketDataError(
        f"{shown} is no LOBSTER message ({', '.join(FIELDS)}, without a header): use the csv source"
    )


def check_levels(where: str, rows: Sequence[tuple[int, str]]) -> int:
    """Judge by its first row whether a file holds books; return its number of columns.

    Raises:
        MarketDataError: It holds something else.
    """
    number, text = rows[0]
    cells = text.split(",")
    if len(cells) % 4 or not all(_is_whole(cell) for cell in cells):
        raise MarketDataError(
            f"{where}: row {number} {text[:60]!r} is no row of a LOBSTER book file, which has ask price, ask "
            "size, bid price and bid size of each level: give the file named ..._orderbook_..."
        )
    return len(cells)


def _whole(text: str, field: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise Unusable(f"bad_number:{field}") from None


def _is_whole(text: str) -> bool:
    return text.removeprefix("-").isdigit()
