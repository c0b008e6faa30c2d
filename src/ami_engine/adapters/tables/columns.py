"""Which column of a table holds what: given by the user, or known by its name.

Names are compared without case, spaces, dots and underscores: ``bid_price`` is ``BidPrice``.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from decision_schema.errors import ConfigError, MarketDataError

Kind: TypeAlias = Literal["quotes", "trades", "deltas", "orders"]
Rows: TypeAlias = Literal["auto", "quotes", "trades", "deltas", "orders"]

FIELDS = (
    "ts", "received", "seq", "prev_seq", "market_id", "bid", "ask", "bid_size", "ask_size", "price", "size",
    "side", "trade_id", "order_id", "action", "is_snapshot", "status",
)  # fmt: skip
"""What a column can hold; levels of a book are known by their names."""

# Common names, the likeliest first. The numbers of messages (seq) are never guessed.
_NAMES: dict[str, str] = {
    "ts": "timestamp time ts tsevent exchts datetime dt exchangetimestamp eventtime tsns tsus tsms",
    "received": "received localtimestamp tsrecv tsinit localts receivedns receivedms receivedat",
    "market_id": "marketid symbol instrument ticker pair",
    "bid": "bid bidprice bidpx bestbid bestbidprice",
    "ask": "ask askprice askpx offer ofr offerprice bestask bestaskprice bestoffer",
    "bid_size": "bidsize bidsiz bidsz bidqty bidquantity bidamount bidvolume bestbidsize bestbidqty",
    "ask_size": "asksize asksiz asksz askqty askquantity askamount askvolume ofrsiz ofrsize offersize "
    "bestasksize bestaskqty",
    "price": "price last px lastprice tradeprice",
    "size": "size qty quantity amount volume sz lastsize tradesize",
    "side": "side aggressorside direction takerside",
    "trade_id": "tradeid id",
    "order_id": "orderid id",
    "action": "action",
    "is_snapshot": "issnapshot",
}
_NEEDED: dict[str, tuple[str, ...]] = {
    "quotes": (),
    "trades": ("price", "size"),
    "deltas": ("side", "price", "size"),
    "orders": ("order_id", "action", "side", "price", "size"),
}
_USED: dict[str, frozenset[str]] = {
    "quotes": frozenset(("bid", "ask", "bid_size", "ask_size")),
    "trades": frozenset(("price", "size", "side", "trade_id")),
    "deltas": frozenset(("side", "price", "size", "action", "is_snapshot")),
    "orders": frozenset(("order_id", "action", "side", "price", "size")),
}
_HEAD = frozenset(("ts", "received", "seq", "prev_seq", "market_id", "status"))
_PRICE_WORDS = "price|px"
_WORDS = rf"({_PRICE_WORDS}|size|sz|amount|qty|quantity|volume)"
_LEVELS = (
    re.compile(rf"(bid|ask)s?[_ .]?{_WORDS}[_ .]?(\d+)", re.IGNORECASE),  # bid_price_00, bid_px_00
    re.compile(rf"(bid|ask)s?\[(\d+)\][_ .]?{_WORDS}", re.IGNORECASE),  # bids[0].price
    re.compile(rf"(bid|ask)s?[_ .]?(\d+)[_ .]?{_WORDS}", re.IGNORECASE),  # bid1_price
)
MAX_SHOWN = 30
"""Names of columns that an error shows."""
MAX_NAME = 40
"""Characters of a column's name that a message shows."""


@dataclass(frozen=True)
class Places:
    """Where the cells of a row stand.

    Args:
        kind: What each row is.
        at: Index by field, 0 first.
        bids: Indexes of price and size of each level, best first; likewise `asks`.
        names: Names of the columns; empty = the file has no header.
    """

    kind: Kind
    at: Mapping[str, int]
    bids: tuple[tuple[int, int], ...] = ()
    asks: tuple[tuple[int, int], ...] = ()
    names: tuple[str, ...] = field(default=(), compare=False)

    def name_of(self, place: int) -> str:
        """Return how to call a column in a message: its name in quotes, else its index."""
        return repr(self.names[place]) if self.names else str(place)


def check_columns(columns: Mapping[str, str | int] | None) -> dict[str, str | int]:
    """Refuse a mapping of columns that is none.

    Raises:
        ConfigError: A field is unknown, or a column is neither a name nor an index.

    >>> check_columns({"ts": "time", "bid": 1})
    {'ts': 'time', 'bid': 1}
    """
    if columns is not None and not isinstance(columns, Mapping):
        raise ConfigError(
            f"columns is {columns!r}: give a table such as {{ts = 'time', bid = 'b', ask = 'a'}}"
        )
    for name, column in (columns or {}).items():
        if name not in FIELDS:
            near = difflib.get_close_matches(str(name), FIELDS, 1)
            meant = f": did you mean {near[0]!r}?" if near else f": give one of {', '.join(FIELDS)}"
            raise ConfigError(f"columns: the field {name!r} is unknown{meant}")
        whole = isinstance(column, int) and not isinstance(column, bool) and column >= 0
        if not whole and not (isinstance(column, str) and column):
            raise ConfigError(f"columns: {name} is {column!r}: give a column's name, or its index from 0 on")
    return dict(columns or {})


def find_places(
    where: str, names: Sequence[str], width: int, columns: Mapping[str, str | int], rows: Rows
) -> Places:
    """Find the place of each field, and what the rows are.

    Args:
        where: File, for messages.
        names: Names of the columns; empty = there is no header.
        width: Number of columns.
        columns: What the user gave: then no other field is guessed, only levels.
        rows: What the user says that rows are.

    Raises:
        MarketDataError: A column is missing or named twice, or what rows are is not clear.

    >>> find_places("a.csv", ["time", "BidPrice", "OFR"], 3, {}, "auto").at
    {'ts': 0, 'bid': 1, 'ask': 2}
    """
    at = {name: _place(where, name, column, names, width) for name, column in columns.items()}
    bids, asks = _find_levels(names) if not {"bid", "ask", "price"} & at.keys() else ((), ())
    if not columns:
        at = _guess(names)
    kind: Kind = _kind_of(where, at, bool(bids or asks), names) if rows == "auto" else rows
    if kind == "quotes" and (bids or asks):
        at = {name: place for name, place in at.items() if name not in _USED["quotes"]}
    elif kind == "quotes" and not {"bid", "ask"} & at.keys():
        raise _missing(where, kind, "bid and ask", names)
    else:
        bids = asks = ()
    for name in _NEEDED[kind]:
        if name not in at:
            raise _missing(where, kind, name, names)
    if not {"ts", "received"} & at.keys():
        raise _missing(where, kind, "ts", names)
    used = _HEAD | _USED[kind]
    at = {name: at[name] for name in FIELDS if name in at and name in used}
    guessed = {place for name, place in at.items() if name not in columns}
    guessed.update(place for level in (*bids, *asks) for place in level)
    _check_names(where, names, guessed)
    return Places(kind, at, bids, asks, tuple(names))


def _check_names(where: str, names: Sequence[str], guessed: set[int]) -> None:
    """Refuse a header in which a column that is used unasked has the name of another one.

    Raises:
        MarketDataError: Nobody can tell which of the two is meant.
    """
    for place in sorted(guessed) if names else ():
        same = [other for other, name in enumerate(names) if name.strip() == names[place].strip()]
        if len(same) > 1:
            places = ", ".join(map(str, same))
            raise MarketDataError(
                f"{where} has {len(same)} columns {names[place].strip()!r}, at {places}: give the "
                "index of the one that counts, such as columns = {ts = 0, bid = 1, ask = 2}"
            )


def _key(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _place(where: str, name: str, column: str | int, names: Sequence[str], width: int) -> int:
    """Find one column that the user gave."""
    if isinstance(column, int):
        if column >= width:
            raise MarketDataError(
                f"{where}: columns: {name} is {column}, but a row has {width} columns: give 0 to {width - 1}"
            )
        return column
    if not names:
        raise MarketDataError(
            f"{where}: columns: {name} is {column!r}, but the file has no header: give the index, 0 first"
        )
    found = [place for place, known in enumerate(names) if known == column]
    if not found:
        found = [
            place for place, known in enumerate(names) if known.strip().lower() == column.strip().lower()
        ]
    if not found:
        near = difflib.get_close_matches(column, names, 1)
        meant = f"did you mean {near[0]!r}? It has" if near else "it has"
        raise MarketDataError(f"{where} has no column {column!r} for {name}: {meant}: {_shown(names)}")
    if len(found) > 1:
        raise MarketDataError(
            f"{where} has {len(found)} columns {column!r}: give the index of the one for {name}"
        )
    return found[0]


def _guess(names: Sequence[str]) -> dict[str, int]:
    known = {_key(name): place for place, name in reversed(list(enumerate(names)))}
    at = {}
    for name, common in _NAMES.items():
        places = [known[word] for word in common.split() if word in known]
        if places:
            at[name] = places[0]
    return at


def _kind_of(where: str, at: Mapping[str, Any], levels: bool, names: Sequence[str]) -> Kind:
    """Say what rows are by which columns there are."""
    if levels:
        return "quotes"
    quoted = "bid" in at and "ask" in at
    traded = "price" in at and "size" in at
    if quoted and traded:
        raise MarketDataError(f"{where} has quotes and trades in a row: set rows = 'quotes' or 'trades'")
    if quoted:
        return "quotes"
    if traded and {"side", "order_id", "action"} <= at.keys():
        return "orders"
    if traded and {"side", "is_snapshot"} <= at.keys():
        return "deltas"
    if traded:
        return "trades"
    if "bid" in at or "ask" in at:
        return "quotes"
    raise MarketDataError(
        f"{where}: no columns of bid and ask, nor of price and size: give columns, such as "
        f"columns = {{ts = 'time', bid = 'b', ask = 'a'}}. It has: {_shown(names)}"
    )


def _find_levels(names: Sequence[str]) -> tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]:
    """Find the columns of levels; a level needs both its price and its size."""
    found: dict[tuple[str, int, bool], int] = {}
    for place, name in enumerate(names):
        for pattern in _LEVELS:
            if match := pattern.fullmatch(name.strip()):
                side, *parts = (part.lower() for part in match.groups())
                number = next(int(part) for part in parts if part.isdigit())
                priced = any(part in _PRICE_WORDS.split("|") for part in parts)
                found.setdefault((side, number, priced), place)
                break

    def side_of(side: str) -> tuple[tuple[int, int], ...]:
        numbers = sorted(number for of, number, priced in found if of == side and priced)
        return tuple(
            (found[side, number, True], found[side, number, False])
            for number in numbers
            if (side, number, False) in found
        )

    return side_of("bid"), side_of("ask")


def _missing(where: str, kind: str, name: str, names: Sequence[str]) -> MarketDataError:
    has = f" It has: {_shown(names)}" if names else ""
    example = "bid = 1, ask = 2" if " and " in name else f"{name} = {0 if not names else repr('…')}"
    return MarketDataError(
        f"{where}: rows of {kind} need a column of {name}: give columns = {{{example}}}.{has}"
    )


def _shown(names: Sequence[str]) -> str:
    short = [name if len(name) <= MAX_NAME else f"{name[:MAX_NAME]}…" for name in names[:MAX_SHOWN]]
    return ", ".join(short) + (", …" if len(names) > MAX_SHOWN else "")
