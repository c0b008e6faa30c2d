"""The book of one market in dicts and exact fractions, written from docs/events.md and the rules of the builder.

It is handed the dict that a source yields. Slow, and right: everything is searched, sorted and summed anew.
"""

from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

SHOWN = 20
SIDES = ("buy", "sell")
NAMES = {"buy": "bid", "sell": "ask"}
ORDERS_KEPT = 65_536
WAITING_KEPT = 1_000


def exact(size: float | None) -> Fraction | None:
    """The decimal that a size was written as; None = not known."""
    return None if size is None else Fraction(repr(size))


@dataclass
class View:
    """What is shown: levels best first, (price, size); None = not known."""

    levels: dict[str, list[tuple[float, Fraction | None]]] = field(
        default_factory=lambda: {"buy": [], "sell": []}
    )
    depths: dict[str, Fraction | None] = field(default_factory=lambda: {"buy": None, "sell": None})
    depth: Fraction | None = None
    mid: float | None = None

    def best(self, side: str) -> float | None:
        return self.levels[side][0][0] if self.levels[side] else None

    def put(self, side: str, levels: list[tuple[float, Fraction | None]]) -> None:
        self.levels[side] = levels[:SHOWN]
        sizes = [size for _, size in self.levels[side]]
        self.depths[side] = None if None in sizes else sum(sizes, Fraction(0))

    def copy(self) -> "View":
        return replace(self, levels=dict(self.levels), depths=dict(self.depths))


@dataclass
class BookOracle:
    """Everything that is known of one book; `used` is the last that could be used."""

    price_min: float
    price_max: float
    used: View = field(default_factory=View)
    kept: View | None = None
    status: str = "no levels"
    number: int | None = None
    numbers: str | None = None  # whose: a channel's own; None = the book's
    levels: dict[str, dict[float, Fraction]] = field(default_factory=lambda: {"buy": {}, "sell": {}})
    untold: dict[str, dict[float, Fraction]] = field(default_factory=lambda: {"buy": {}, "sell": {}})
    orders: dict[int, tuple[str, float, Fraction]] = field(default_factory=dict)
    waiting: list[dict[str, Any]] = field(default_factory=list)
    quotes: dict[str, tuple[float | None, Fraction | None] | None] = field(
        default_factory=lambda: {"buy": None, "sell": None}
    )
    quote_number: int | None = None
    channel: str | None = None
    doubted: float | None = None
    gaps: int = 0
    resyncs: int = 0
    late_quotes: int = 0
    unknown_orders: int = 0

    def happen(self, event: dict[str, Any]) -> str:
        """Take an event that carries a part of the book; say ``ok``, or why the book is not used."""
        view = (self.used if self.kept is None else self.kept).copy()
        reason = self._take_levels(event, view)
        if reason != "ok":
            if reason == "gap":
                self.kept = None
            return reason
        is_quote = "bid_size" in event or "ask_size" in event
        has_levels = bool({"bids", "asks", "deltas", "order_messages"} & set(event))
        if not is_quote or self._take_quote(event, view) or has_levels:
            self._take_scalars(event, view, is_quote)
        reason = self._judge(view)
        self.kept = view if reason in ("crossed_book", "locked_book") else None
        if reason == "ok":
            reason = self._doubt(view)
        if reason == "ok":
            self.used = view
        return reason

    # ------------------------------------------------------------ levels

    def _take_levels(self, event: dict[str, Any], view: View) -> str:
        told = {side: event[name] for side, name in (("buy", "bids"), ("sell", "asks")) if name in event}
        if len(told) == 2:
            reason = self._begin(event, told)
            if reason != "ok":
                return reason
            self._show(view)
        for side in told if len(told) == 1 else ():
            self._load(side, told[side])
            self.quotes[side] = None
            view.put(side, best_first(self.levels[side], side))
            self._pass_by(event)
        if "deltas" in event or "order_messages" in event:
            reason = self._follow(event)
            if reason != "ok":
                return reason
            self._show(view)
        return "ok"

    def _load(self, side: str, levels: list[tuple[float, float]]) -> None:
        sizes = {price: Fraction(repr(size)) for price, size in levels if size > 0}
        self.levels[side], self.untold[side] = dict(sizes), dict(sizes)

    def _begin(self, event: dict[str, Any], told: dict[str, list[tuple[float, float]]]) -> str:
        number, numbers = number_of(event), numbers_of(event)
        anew = number in (0, 1)
        known = self.status == "synced" and self.numbers == numbers and None not in (number, self.number)
        if known and number < self.number and not anew:
            return "superseded"
        if self.status == "awaiting" and self.gaps > self.resyncs:
            self.resyncs += 1
        self.status, self.number, self.numbers, self.orders = "synced", number, numbers, {}
        for side in SIDES:
            self._load(side, told[side])
        if anew:
            self.quote_number = None
        self._end_quotes(number, numbers)
        waiting, self.waiting = self.waiting, []
        for late in waiting:
            later = number is not None and number_of(late) is not None and number_of(late) > number
            if later and self._is_alike(late):
                self._follow(late)
        return "ok" if self.status == "synced" else "gap"

    def _follow(self, event: dict[str, Any]) -> str:
        messages = event.get("order_messages", [])
        if any(message["op"] == "clear" for message in messages):
            self.status, self.number, self.waiting = "synced", None, []
        if self.status != "synced":
            self.status = "awaiting"
            self.waiting = [*self.waiting, event][-WAITING_KEPT:]
            return "awaiting_snapshot"
        number, before, alike = number_of(event), event.get("prev_seq"), self._is_alike(event)
        if self.number is not None and alike:
            if number is not None and number <= self.number:
                return "superseded"
            if before is not None and before > self.number:
                self.status, self.waiting, self.quotes = "awaiting", [event], {"buy": None, "sell": None}
                self.gaps += 1
                return "gap"
        for side, price, size in event.get("deltas", []):
            put_size(self.levels[side], price, Fraction(repr(size)))
            put_size(self.untold[side], price, Fraction(repr(size)))
        for message in messages:
            self._order(message)
        if number is not None:
            self.number, self.channel = number, event.get("channel", "")
            self.numbers = self.numbers if alike else numbers_of(event)
        self._end_quotes(number, self.numbers)
        return "ok"

    def _pass_by(self, event: dict[str, Any]) -> None:
        """Count a message without changes where the changes are numbered with it."""
        number, before = number_of(event), event.get("prev_seq")
        if self.status != "synced" or None in (number, self.number) or self.channel != event.get("channel", ""):
            return
        if self._is_alike(event) and number > self.number and (before is None or before <= self.number):
            self.number = number

    def _is_alike(self, event: dict[str, Any]) -> bool:
        """Whether the numbers of an event can be compared with those of the levels."""
        return self.numbers is None or self.numbers == numbers_of(event)

    def _end_quotes(self, number: int | None, numbers: str | None) -> None:
        """End quotes that are not newer; they bear numbers of the book, or none."""
        if number is None or numbers is not None or self.quote_number is None or self.quote_number <= number:
            self.quotes = {"buy": None, "sell": None}

    # ------------------------------------------------------------ orders

    def _order(self, message: dict[str, Any]) -> None:
        op, name = message["op"], message.get("order_id")
        side, price, size = message.get("side"), message.get("price"), exact(message.get("size"))
        if op == "clear":
            self.levels, self.untold, self.orders = {"buy": {}, "sell": {}}, {"buy": {}, "sell": {}}, {}
            return
        known = name in self.orders
        if known == (op == "add"):
            self.unknown_orders += 1
        if known and op != "add":
            side, at, left = self.orders.pop(name)
            self._add(side, at, -left)
            if op == "modify":
                at, left = at if price is None else price, left if size is None else size
            else:
                left = Fraction(0) if op == "delete" or size is None else left - size
            if left > 0:
                self.orders[name] = (side, at, left)
                self._add(side, at, left)
        elif side is not None and price is not None and size is not None:
            told = min(size, self.untold[side].get(price, Fraction(0)))
            if op == "add":
                self._open(name, side, price, size)
            elif op != "modify":
                self._tell(side, price, -told)
                self._add(side, price, -told)
            elif told > 0 and len(self.orders) < ORDERS_KEPT:
                self._tell(side, price, -told)
                self.orders[name] = (side, price, told)

    def _open(self, name: int, side: str, price: float, size: Fraction) -> None:
        if name in self.orders:
            old_side, old_price, old_size = self.orders.pop(name)
            self._add(old_side, old_price, -old_size)
        if size > 0:
            self._add(side, price, size)
            if len(self.orders) < ORDERS_KEPT:
                self.orders[name] = (side, price, size)
            else:
                self._tell(side, price, size)

    def _tell(self, side: str, price: float, change: Fraction) -> None:
        put_size(self.untold[side], price, self.untold[side].get(price, Fraction(0)) + change)

    def _add(self, side: str, price: float, change: Fraction) -> None:
        put_size(self.levels[side], price, self.levels[side].get(price, Fraction(0)) + change)

    # ------------------------------------------------------------ quotes and single numbers

    def _take_quote(self, event: dict[str, Any], view: View) -> bool:
        number = event.get("book_seq")
        if number is not None and (
            (self.quote_number is not None and number < self.quote_number)
            or (
                self.status == "synced"
                and self.numbers is None
                and self.number is not None
                and number <= self.number
            )
        ):
            self.late_quotes += 1
            return False
        self.quote_number = number
        for side in SIDES:
            price, size = NAMES[side], f"{NAMES[side]}_size"
            if price in event or size in event:
                told = exact(event.get(size))
                self.quotes[side] = (None if told == 0 else event.get(price, view.best(side)), told)
        self._show(view)
        return True

    def _show(self, view: View) -> None:
        for side in SIDES:
            quote = self.quotes[side]
            levels = best_first(self.levels[side], side) if self.status == "synced" else []
            if quote is None and self.status == "synced":
                view.put(side, levels)
            elif (quote is None and self.status == "awaiting" and self.gaps) or (quote is not None and quote[0] is None):
                view.put(side, [])
            elif quote is not None:
                worse = [level for level in levels if is_worse(level[0], quote[0], side)]
                view.put(side, [quote, *worse])

    def _take_scalars(self, event: dict[str, Any], view: View, is_quote: bool) -> None:
        shown = {side: self._is_shown(event, side, is_quote) for side in SIDES}
        for side in SIDES:
            price, depth = NAMES[side], f"{NAMES[side]}_depth"
            best = view.best(side)
            if not shown[side] and price in event:
                if depth not in event and (event[price] is None or event[price] != best):
                    view.depths[side] = None
                best = event[price]
            if depth in event:
                view.depths[side] = exact(event[depth])
            if not shown[side] and (price in event or depth in event):
                view.levels[side] = [] if best is None else [(best, view.depths[side])]
        if "depth" in event:
            view.depth = exact(event["depth"])
        elif any(shown.values()) or "bid_depth" in event or "ask_depth" in event:
            known = [depth for depth in view.depths.values() if depth is not None]
            view.depth = sum(known, Fraction(0)) if known else None
        bid, ask = view.best("buy"), view.best("sell")
        if "mid" in event:
            view.mid = event["mid"]
        elif any(shown.values()) or "bid" in event or "ask" in event:
            view.mid = None if bid is None or ask is None else 0.5 * (bid + ask)

    def _is_shown(self, event: dict[str, Any], side: str, is_quote: bool) -> bool:
        """Whether levels or a quote of the event say what this side is."""
        if "deltas" in event or "order_messages" in event or f"{NAMES[side]}s" in event:
            return True
        return f"{NAMES[side]}_size" in event or (is_quote and NAMES[side] in event)

    # ------------------------------------------------------------ judgement

    def _judge(self, view: View) -> str:
        bid, ask, mid = view.best("buy"), view.best("sell"), view.mid
        for name, price in (("bid", bid), ("ask", ask), ("mid", mid)):
            if price is not None and not self.price_min < price <= self.price_max:
                return f"invalid_input:{name}"
        if bid is not None and ask is not None and bid >= ask:
            return "crossed_book" if bid > ask else "locked_book"
        if mid is not None and ((bid is not None and mid < bid) or (ask is not None and mid > ask)):
            return "invalid_input:mid"
        return "ok"

    def _doubt(self, view: View) -> str:
        last, doubted, self.doubted = self.used.mid, self.doubted, None
        if self.price_max < float("inf") or last is None or view.mid is None or last <= 0 or view.mid <= 0:
            return "ok"
        if is_near(last, view.mid) or (doubted is not None and is_near(doubted, view.mid)):
            return "ok"
        self.doubted = view.mid
        return "price_jump"


def numbers_of(event: dict[str, Any]) -> str | None:
    """Whose numbers an event bears: those of its channel, or None = those of the book."""
    return None if "book_seq" in event or "seq" not in event else event.get("channel", "")


def number_of(event: dict[str, Any]) -> int | None:
    """The state of the book after the changes of an event."""
    return event.get("book_seq", event.get("seq"))


def put_size(sizes: dict[float, Fraction], price: float, size: Fraction) -> None:
    sizes.pop(price, None)
    if size > 0:
        sizes[price] = size


def best_first(levels: dict[float, Fraction], side: str) -> list[tuple[float, Fraction | None]]:
    return sorted(levels.items(), reverse=side == "buy")


def is_worse(price: float, than: float, side: str) -> bool:
    return price < than if side == "buy" else price > than


def is_near(price: float, other: float) -> bool:
    return price / other < 100 and other / price < 100
