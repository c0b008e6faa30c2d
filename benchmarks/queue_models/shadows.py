"""Shadow orders: each takes the place of a real order, in the view of one model of the queue.

A shadow arrives just before its real order, with the same side, price and size. The models see the
20 best levels without the real order, and all trades, as if its owner had only simulated it;
`follow_exactly` sees the messages of every order. A shadow whose real order was cancelled ends just
before that cancel; one whose real order was filled may wait for its own fill for another
`PATIENCE_NS`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import Any, Protocol

import msgspec

from ami_engine.adapters.lobster import LobsterSource
from ami_engine.sim.paper_broker import PaperBroker
from benchmarks.queue_models.hour import BUY, SELL, Hour, RealBook, RealOrder, Row, files
from decision_schema.decode_event import decode_event
from decision_schema.events import UNSET, Event, Order
from decision_schema.instruments import Instrument

JOINED, BOOK_FIRST = "joined", "book first"
PATIENCE_NS = 60 * 10**9
SHARES = Instrument(market_id="AAPL", tick_size="0.01", lot_size="1")
SIDES = {BUY: "buy", SELL: "sell"}

QUEUES: dict[str, dict[str, Any]] = {
    "conservative": {"queue": "conservative"},
    "power 1": {"queue": "power", "queue_power": 1.0},
    "power 2": {"queue": "power", "queue_power": 2.0},
    "power 3": {"queue": "power", "queue_power": 3.0},
    "power 5": {"queue": "power", "queue_power": 5.0},
    "log": {"queue": "log"},
    "0.7 behind": {"queue": lambda _front, _back: 0.7},
    "all ahead": {"queue": lambda _front, _back: 0.0},
}
"""Settings of the broker. 0.7 was found in these data, see `cancels`; with `all ahead` whoever cancels
stood ahead of us wherever that is possible, the opposite of `conservative`."""


@dataclass(slots=True)
class Outcome:
    """What a model predicts of one shadow.

    Args:
        order: The real order whose place it took.
        first: Row of its first fill; -1 = none.
        at_end: Shares filled by the end of the real order.
        filled: Shares filled in all.
        ahead: Shares believed to be ahead at the end of the real order; nan = filled or not known.
        true_ahead: Shares that were.
    """

    order: RealOrder
    first: int = -1
    at_end: int = 0
    filled: int = 0
    ahead: float = nan
    true_ahead: float = nan

    def fill(self, i: int, shares: int, late: bool = False) -> None:
        """Note what fills at a row; `late` = after the end of the real order."""
        if shares > 0:
            self.first = i if self.first < 0 else self.first
            self.filled += shares
            self.at_end += 0 if late else shares


class Model(Protocol):
    """How one shadow fills."""

    def see(self, row: Row, event: Event) -> int:
        """Take the trade of a row and the book after it; return the shares that fill."""

    def ahead(self) -> float:
        """Give the shares believed to be ahead; nan = not known."""


class BrokerModel:
    """One shadow at a paper broker of its own."""

    def __init__(self, order: RealOrder, before: Event, settings: dict[str, Any]) -> None:
        self.broker = PaperBroker([SHARES], **settings)
        self.broker.on_event(before, order.ns)
        place(self.broker, order)

    def see(self, row: Row, event: Event) -> int:
        self.broker.on_event(event, row.ns)
        return sum(int(fill.size) for fill in self.broker.process_fills(0))

    def ahead(self) -> float:
        return ahead_by_order(self.broker).get("shadow", nan)


class NaiveModel:
    """A rule without a queue: a trade at our price fills, or only what passes it does."""

    def __init__(self, order: RealOrder, at_price: bool, whole: bool) -> None:
        self.order, self.at_price, self.whole = order, at_price, whole
        self.open = order.size

    def see(self, row: Row, event: Event) -> int:
        order = self.order
        opposite = event.asks if order.side == BUY else event.bids
        passed = order.side * (order.price - row.price) if row.side == order.side else -1
        filled = 0
        if row.traded and (passed > 0 or (passed == 0 and self.at_price)):
            filled = self.open if self.whole else min(self.open, row.size)
        elif opposite and order.side * (order.price - round(opposite[0][0] * 10_000)) >= 0:
            filled = self.open
        self.open -= filled
        return filled

    def ahead(self) -> float:
        return nan


NAIVE: dict[str, dict[str, bool]] = {
    "touch, whole": {"at_price": True, "whole": True},
    "no queue": {"at_price": True, "whole": False},
    "trade through": {"at_price": False, "whole": True},
}
MODELS = (*QUEUES, *NAIVE)


def place(broker: PaperBroker, order: RealOrder, name: str = "shadow") -> None:
    """Send the shadow of a real order."""
    sent = Order(
        client_order_id=name,
        market_id=SHARES.market_id,
        side=SIDES[order.side],
        price=order.price / 10_000,
        size=float(order.size),
    )
    answer = broker.submit_order(sent)
    if answer is None or answer.status != "live":
        raise RuntimeError(f"the shadow of order {order.order_id} does not rest: {answer}")


def ahead_by_order(broker: PaperBroker) -> dict[str, float]:
    """Give the shares ahead of each working order; nan = not known."""
    found = ((told["client_order_id"], told["queue_ahead"]) for told in broker.get_state()["open_orders"])
    return {name: nan if ahead is None else ahead for name, ahead in found}


@dataclass(slots=True)
class Shadow:
    """The shadows of one real order, one of each model.

    Args:
        order: The real order.
        outcomes: Of each model.
        working: Models in which it is not filled yet.
        visible: Its price is among the levels shown.
        until_ns: When we lose patience; 0 = the real order lives.
    """

    order: RealOrder
    outcomes: dict[str, Outcome]
    working: dict[str, Model]
    visible: bool
    until_ns: int = 0

    def take(self, i: int, row: Row, events: Iterable[Event]) -> None:
        """Show a row to the models that wait."""
        for name, model in list(self.working.items()):
            for event in events:
                self.outcomes[name].fill(i, model.see(row, event), self.until_ns > 0)
            if self.outcomes[name].filled == self.order.size:
                del self.working[name]

    def end(self, ns: int, true_ahead: float) -> None:
        """Note the queues at the end of the real order; where it was never filled, all is over."""
        self.until_ns = ns + PATIENCE_NS
        for name, model in self.working.items():
            self.outcomes[name].ahead = model.ahead()
            self.outcomes[name].true_ahead = true_ahead
        if self.order.filled == 0:
            self.working.clear()

    def concerned(self, book: RealBook, row: Row) -> bool:
        """Tell whether a row can matter: a trade, our own level, or the other side upon us."""
        order = self.order
        was, self.visible = self.visible, _visible(order, book)
        return (
            row.traded
            or (row.price == order.price and row.side == order.side)
            or self.visible != was
            or order.side * (order.price - book.sides[-order.side].best()) >= 0
        )


def follow_models(
    hour: Hour, orders: Iterable[RealOrder], names: Iterable[str], told: str = ""
) -> dict[str, list[Outcome]]:
    """Run the shadows of some real orders through models, in one pass over the rows.

    Args:
        hour: All rows.
        orders: Real orders.
        names: Models.
        told: ``JOINED`` = the real order stays in the book, just behind its shadow; ``BOOK_FIRST`` =
            the book after a trade is told before the trade, in an event of its own.
    """
    starting = {order.row: order for order in orders}
    outcomes: dict[str, list[Outcome]] = {name: [] for name in names}
    book = RealBook(hour.opening)
    shadows: list[Shadow] = []
    for i, row in enumerate(hour.rows[1:], start=1):
        for shadow in shadows:
            order = shadow.order
            if order.end == i and order.cancelled:
                shadow.end(row.ns, book.sides[order.side].ahead_of(order.order_id, order.price))
        if i in starting:
            shadows.append(_begin(starting[i], book, outcomes))
        book.apply(row)
        for shadow in shadows:
            if shadow.concerned(book, row):
                event = _shown(book, None if told == JOINED else shadow.order, row)
                shadow.take(i, row, _apart(event) if told == BOOK_FIRST and row.traded else (event,))
            if shadow.order.end == i and not shadow.order.cancelled:
                shadow.end(row.ns, nan)
        shadows = [s for s in shadows if s.working and (s.until_ns == 0 or row.ns < s.until_ns)]
    return outcomes


def _begin(order: RealOrder, book: RealBook, outcomes: dict[str, list[Outcome]]) -> Shadow:
    shadow = Shadow(order, {name: Outcome(order) for name in outcomes}, {}, _visible(order, book))
    before = _shown(book, None)
    for name, outcome in shadow.outcomes.items():
        outcomes[name].append(outcome)
        if name in NAIVE:
            shadow.working[name] = NaiveModel(order, **NAIVE[name])
        else:
            shadow.working[name] = BrokerModel(order, before, QUEUES[name])
    return shadow


def _shown(book: RealBook, without: RealOrder | None, row: Row | None = None) -> Event:
    """Make the event of a row as a feed of levels and trades would tell it without one order."""
    bids, asks = book.sides[BUY], book.sides[SELL]
    raw: dict[str, Any] = {"market_id": SHARES.market_id, "bids": bids.shown(), "asks": asks.shown()}
    if without is not None:
        own = book.sides[without.side]
        left = own.queues[without.price].get(without.order_id, 0)
        raw["bids" if own is bids else "asks"] = own.shown(left, without.price)
    if row is not None and row.traded:
        raw["trades"] = [{"price": row.price / 10_000, "size": row.size, "aggressor_side": SIDES[-row.side]}]
    return decode_event(raw)


def _apart(event: Event) -> tuple[Event, Event]:
    return msgspec.structs.replace(event, trades=()), msgspec.structs.replace(event, bids=UNSET, asks=UNSET)


def _visible(order: RealOrder, book: RealBook) -> bool:
    return order.side * (order.price - book.sides[order.side].worst_shown()) >= 0


# ---------------------------------------------------------------- order by order


def follow_exactly(hour: Hour, orders: Iterable[RealOrder], data: Path) -> list[Outcome]:
    """Run shadows at brokers that are told every order; each ends with its real order.

    A broker holds one shadow a price at a time, so that none takes the trades of another.
    """
    lanes: list[tuple[PaperBroker, dict[tuple[int, int], int]]] = []  # with the rows at which prices are free
    starting: dict[int, tuple[PaperBroker, Outcome]] = {}
    for order in sorted(orders, key=lambda order: order.row):
        price = order.side, order.price
        lane = next((lane for lane in lanes if lane[1].get(price, 0) <= order.row), None)
        if lane is None:
            lane = PaperBroker([SHARES]), {}
            lanes.append(lane)
        lane[1][price] = order.end + 1
        starting[order.row] = lane[0], Outcome(order)
    messages, opening = files(data)
    source = LobsterSource(messages, opening_book=opening, market_id=SHARES.market_id)
    working: dict[str, tuple[PaperBroker, Outcome]] = {}
    book = RealBook(hour.opening)
    for i, row in enumerate(hour.rows):
        event = decode_event(source.next_event())
        for name in [name for name, (_, outcome) in working.items() if outcome.order.end == i]:
            broker, outcome = working[name]
            if outcome.order.cancelled:
                order = outcome.order
                outcome.ahead = ahead_by_order(broker).get(name, nan)
                outcome.true_ahead = book.sides[order.side].ahead_of(order.order_id, order.price)
                broker.cancel_order(name)
                del working[name]
        if i in starting:
            broker, outcome = starting[i]
            place(broker, outcome.order, str(i))
            working[str(i)] = starting[i]
        if i > 0:
            book.apply(row)
        for broker, _ in lanes:
            broker.on_event(event, row.ns)
            for fill in broker.process_fills(0):
                working[fill.client_order_id][1].fill(i, int(fill.size))
        for name in [name for name, (_, outcome) in working.items() if outcome.order.end == i]:
            working.pop(name)[0].cancel_order(name)
    return [outcome for _, outcome in starting.values()]
