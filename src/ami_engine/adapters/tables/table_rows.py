"""From the cells of one row of a table to an event.

`row_reader` makes the function for a table once; its parts are closures, for they run for every row.
"""

from collections.abc import Callable, Mapping

from ami_engine.adapters.captured.capture_values import Unusable
from ami_engine.adapters.tables.cells import SIDES, TRUTHS, NumberReader, find, number_reader
from ami_engine.adapters.tables.columns import Places
from ami_engine.adapters.tables.row_heads import Cells, Row, RowFunction, RowRules, head_reader
from decision_schema.events import Level

ACTIONS: Mapping[str, str] = {
    **dict.fromkeys(("add", "added", "create", "created", "new", "insert", "a"), "add"),
    **dict.fromkeys(("modify", "modified", "change", "changed", "update", "updated", "m", "u"), "modify"),
    **dict.fromkeys(
        ("delete", "deleted", "cancel", "canceled", "cancelled", "remove", "removed", "d"), "delete"
    ),
    **dict.fromkeys(("execute", "executed", "trade", "traded", "fill", "filled", "f", "e"), "execute"),
    **dict.fromkeys(("clear", "reset", "r"), "clear"),
    "reduce": "reduce",
}
"""What happens to an order, as it is written, in small letters."""
_OTHER_SIDE = {"buy": "sell", "sell": "buy"}


def row_reader(places: Places, rules: RowRules) -> RowFunction:
    """Make the function that reads the cells of one row.

    A row of ``deltas`` gives ``deltas`` of one level, and the key ``is_snapshot``: rows of one
    message are put together by `message_groups`.

    Raises:
        Unusable: A cell cannot be used; by the function.

    >>> places = Places("quotes", {"bid": 0, "ask": 1})
    >>> row_reader(places, RowRules())(["0.49", "0.51"])
    {'bid': 0.49, 'ask': 0.51}
    """
    if places.kind == "quotes":
        return _level_rows(places, rules) if places.bids or places.asks else _quote_rows(places, rules)
    return {"trades": _trade_rows, "deltas": _delta_rows, "orders": _order_rows}[places.kind](places, rules)


def _quote_rows(places: Places, rules: RowRules) -> RowFunction:
    head, count = head_reader(places, rules), rules.count
    sides: list[tuple[str, str, int, int, NumberReader, NumberReader]] = []
    for side in ("bid", "ask"):
        if side in places.at:
            name = f"{side}_size"
            price = number_reader(side, rules.price_scale)
            size = number_reader(name, rules.size_scale)
            sides.append((side, name, places.at[side], places.at.get(name, -1), price, size))

    def quote(cells: Cells) -> Row:
        row = head(cells)
        for side, name, price_at, size_at, read_price, read_size in sides:
            price = read_price(cells[price_at])
            size = read_size(cells[size_at]) if size_at >= 0 else None
            if price is None or (price == 0.0 and not size):
                row[side] = None
                count("empty_side")
                continue
            row[side] = price
            if size is not None:
                row[name] = size
        return row

    return quote


def _level_rows(places: Places, rules: RowRules) -> RowFunction:
    head, count = head_reader(places, rules), rules.count
    sides = [(name, levels) for name, levels in (("bids", places.bids), ("asks", places.asks)) if levels]
    read_price = number_reader("price", rules.price_scale)
    read_size = number_reader("size", rules.size_scale)

    def book(cells: Cells) -> Row:
        row = head(cells)
        for side, levels in sides:
            shown: list[Level] = []
            for price_at, size_at in levels:
                price, size = read_price(cells[price_at]), read_size(cells[size_at])
                if price is not None and (price != 0.0 or size):
                    shown.append((price, size or 0.0))
            if not shown:
                count("empty_side")
            row[side] = shown
        return row

    return book


def _trade_rows(places: Places, rules: RowRules) -> RowFunction:
    head, at = head_reader(places, rules), places.at
    read_price, read_size = _price_and_size(places, rules)
    side_at, id_at = at.get("side", -1), at.get("trade_id", -1)
    sides = {**SIDES, **rules.sides}

    def trade(cells: Cells) -> Row:
        row = head(cells)
        print_: Row = {"price": read_price(cells), "size": read_size(cells)}
        if side_at >= 0 and (side := find(sides, cells[side_at], "side")) is not None:
            print_["aggressor_side"] = side
        row["trades"] = [print_]
        if id_at >= 0 and cells[id_at]:
            row["trade_id"] = _name(cells[id_at])
        return row

    return trade


def _delta_rows(places: Places, rules: RowRules) -> RowFunction:
    head, at = head_reader(places, rules), places.at
    read_price, read_size = _price_and_size(places, rules)
    side_at, flag_at, action_at = at["side"], at.get("is_snapshot", -1), at.get("action", -1)
    sides, actions = {**SIDES, **rules.sides}, {**ACTIONS, **rules.actions}

    def delta(cells: Cells) -> Row:
        row = head(cells)
        row["is_snapshot"] = flag_at >= 0 and find(TRUTHS, cells[flag_at], "flag")
        op = find(actions, cells[action_at], "action") if action_at >= 0 else "modify"
        if op == "clear":
            return {**row, "is_snapshot": True, "deltas": []}
        side = find(sides, cells[side_at], "side")
        if side is None:
            raise Unusable("unknown_side")
        row["deltas"] = [(side, read_price(cells), 0.0 if op == "delete" else read_size(cells))]
        return row

    return delta


def _order_rows(places: Places, rules: RowRules) -> RowFunction:
    head, at = head_reader(places, rules), places.at
    read_price = number_reader("price", rules.price_scale)
    read_size = number_reader("size", rules.size_scale)
    id_at, action_at, side_at = at["order_id"], at["action"], at["side"]
    price_at, size_at = at["price"], at["size"]
    sides, actions = {**SIDES, **rules.sides}, {**ACTIONS, **rules.actions}

    def order(cells: Cells) -> Row:
        row = head(cells)
        op = find(actions, cells[action_at], "action")
        if op == "clear":
            row["order_messages"] = [{"op": op}]
            return row
        message: Row = {"op": op, "order_id": _name(cells[id_at])}
        side = find(sides, cells[side_at], "side")
        price, size = read_price(cells[price_at]), read_size(cells[size_at])
        if message["order_id"] == "":
            raise Unusable("bad_number:order_id")
        if size is None and op in ("add", "reduce", "execute"):
            raise Unusable("bad_number:size")
        if op == "add" and price is None:
            raise Unusable("bad_number:price")
        if op == "add" and side is None:
            raise Unusable("unknown_side")
        parts = {"side": side, "price": price, "size": size}
        message.update({name: value for name, value in parts.items() if value is not None})
        row["order_messages"] = [message]
        if op == "execute" and price is not None and size:
            row["trades"] = [{"price": price, "size": size}]
            if side is not None:
                row["trades"][0]["aggressor_side"] = _OTHER_SIDE[str(side)]
        return row

    return order


def _price_and_size(
    places: Places, rules: RowRules
) -> tuple[Callable[[Cells], float], Callable[[Cells], float]]:
    """Make readers of a price and a size that must be there."""

    def needed(name: str, scale: float) -> Callable[[Cells], float]:
        read, place = number_reader(name, scale), places.at[name]

        def value(cells: Cells) -> float:
            number = read(cells[place])
            if number is None:
                raise Unusable(f"bad_number:{name}")
            return number

        return value

    return needed("price", rules.price_scale), needed("size", rules.size_scale)


def _name(text: str) -> int | str:
    """Read the number of an order or a trade, which may be any text."""
    return int(text) if text.isdigit() and text.isascii() and len(text) < 19 else text.strip()
