"""A broker that fills against what a source shows: a thin front on the venue of kernels.matching.

It answers at once. The conditions of a fill stand in docs/fills.md, one by one.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ami_engine.kernels import matching
from ami_engine.kernels.book import Book
from ami_engine.kernels.book_builder import BookBuilder, build, pass_by
from ami_engine.kernels.venue import (
    BUY,
    FILL,
    MAX_VENUE_ORDERS,
    SELL,
    WORKING,
    Venue,
    aggressor_by_quote,
    load_side,
    market_lots,
    trade_ticks,
    venue_for,
)
from ami_engine.ports import Broker, RunContext
from ami_engine.sim.order_terms import read_terms
from decision_schema.events import UNSET, Event, Fill, Order, OrderStatus, OrderUpdate
from decision_schema.instruments import DEFAULT_INSTRUMENT, Instrument, price_of
from decision_schema.reasons import OK
from decision_schema.units import Lots, Price, Size, Ticks, UnixMs, UnixNs

MAX_ENDED = 65_536
"""Ended orders whose last state is remembered."""

_REFUSALS = {
    matching.NO_BOOK: "no_book",
    matching.WOULD_TAKE: "post_only_would_take",
    matching.NOTHING_TO_REDUCE: "nothing_to_reduce",
    matching.NO_SHORT: "no_short",
    matching.NO_SLOT: "too_many_orders",
    matching.NOT_WORKING: "not_working",
}


@dataclass(slots=True)
class _Market:
    """One market: the book in prices, the venue in ticks, and whose order stands in which slot."""

    instrument: Instrument
    min_lots: Lots
    venue: Venue
    book: Book = field(default_factory=Book)
    staged: Book = field(default_factory=Book)
    builder: BookBuilder = field(default_factory=BookBuilder)
    placed: list["_Placed | None"] = field(default_factory=lambda: [None] * MAX_VENUE_ORDERS)

    def price(self, ticks: Ticks) -> Price:
        """Give a price of whole ticks; `Instrument.price` without reading the tick's text again."""
        return price_of(ticks, self.venue.tick_num, self.venue.tick_den)

    def size(self, lots: Lots) -> Size:
        """Give a size of whole lots."""
        return price_of(lots, self.venue.lot_num, self.venue.lot_den)


@dataclass(slots=True)
class _Placed:
    """An order that the venue took."""

    order: Order
    market: _Market
    slot: int = -1
    fills: int = 0
    filled_lots: int = 0
    paid: float = 0.0  # sum of price x lots

    def update(self, status: OrderStatus, now_ns: UnixNs, reason: str = "") -> OrderUpdate:
        """Say how the order stands."""
        return OrderUpdate(
            client_order_id=self.order.client_order_id,
            status=status,
            filled_size=self.market.size(self.filled_lots),
            avg_price=self.paid / self.filled_lots if self.filled_lots else None,
            reason=reason,
            ts_ns=now_ns,
        )


class PaperBroker(Broker):
    """Fill orders against the market data of the run, without moving the market.

    Args:
        instruments: Of the markets, where the broker is used without a run; a run brings its own.
            A market that nobody describes has the documented default instrument.
    """

    def __init__(self, instruments: Iterable[Instrument] = ()) -> None:
        self._given = {instrument.market_id: instrument for instrument in instruments}
        self._start(self._given)

    def _start(self, instruments: dict[str, Instrument]) -> None:
        self._instruments = instruments
        self._markets: dict[str, _Market] = {}
        self._working: dict[str, _Placed] = {}
        self._ended: OrderedDict[str, OrderUpdate] = OrderedDict()
        self._reports: list[Fill | OrderUpdate] = []
        self._now_ns: UnixNs = 0

    def open(self, context: RunContext) -> None:
        """Forget everything and take the instruments of the run."""
        self._start({**self._given, **context.instruments})

    def on_event(self, event: Event, now_ns: UnixNs) -> None:
        """Let the trades of an event meet our orders, then its book."""
        if event.kind != "market":
            return
        self._now_ns = now_ns
        market = self._markets.get(event.market_id)
        if market is None:
            market = self._add_market(event.market_id)
        has_book = event.has_book
        if has_book:
            bounds = market.instrument
            if (
                build(market.builder, market.book, event, market.staged, bounds.price_min, bounds.price_max)
                != OK
            ):
                return
        else:
            pass_by(market.builder, event)
        if event.bad is not None:
            return
        venue = market.venue
        for trade in event.trades:
            if trade.aggressor_side is None:
                aggressor = aggressor_by_quote(trade.price, market.book.mid)
            else:
                aggressor = BUY if trade.aggressor_side == "buy" else SELL
            ticks = trade_ticks(trade.price, aggressor, venue.tick_num, venue.tick_den)
            matching.on_trade(venue, aggressor, ticks, market_lots(trade.size, venue.lot_num, venue.lot_den))
            self._drain(market)
        if has_book:
            market.book, market.staged = market.staged, market.book
            self._show_book(market, event)

    def submit_order(self, order: Order) -> OrderUpdate:
        """Place one order; it is live, filled, canceled or rejected on return."""
        if self.query_order(order.client_order_id) is not None:
            return self._answer(order.client_order_id, "rejected", "duplicate_client_order_id")
        market = self._markets.get(order.market_id)
        if market is None:
            return self._reject(order, "no_book")
        terms = read_terms(order, market.instrument, market.venue, market.min_lots)
        if isinstance(terms, str):
            return self._reject(order, terms)
        answer, slot = matching.arrive(
            market.venue,
            *terms,
        )
        if answer != matching.ACCEPTED:
            return self._reject(order, _REFUSALS[answer])
        return self._take_place(order, market, slot)

    def cancel_order(self, client_order_id: str) -> OrderUpdate:
        """Cancel one order; one that has ended already is told as it ended."""
        placed = self._working.get(client_order_id)
        if placed is None:
            return self._ended.get(client_order_id) or self._answer(client_order_id, "not_found")
        matching.cancel(placed.market.venue, placed.slot)
        return self._finish(placed, "canceled")

    def replace_order(self, client_order_id: str, order: Order) -> OrderUpdate:
        """Replace one order by another; where the new one is rejected, the old one works on.

        The new order's size is its own open size, and its fills count from zero. The answer is
        about the new order; the old one is then known as canceled, `replaced`.
        """
        if self.query_order(order.client_order_id) is not None:
            return self._answer(order.client_order_id, "rejected", "duplicate_client_order_id")
        old = self._working.get(client_order_id)
        if old is None:
            return self._reject(order, "not_working")
        market = old.market
        if order.market_id != market.instrument.market_id:
            return self._reject(order, "other_market")
        terms = read_terms(order, market.instrument, market.venue, market.min_lots)
        if isinstance(terms, str):
            return self._reject(order, terms)
        answer, slot = matching.replace(
            market.venue,
            old.slot,
            *terms,
        )
        if answer != matching.ACCEPTED:
            return self._reject(order, _REFUSALS[answer])
        self._finish(old, "canceled", "replaced")
        return self._take_place(order, market, slot)

    def cancel_all(self, market_id: str | None = None) -> None:
        """Cancel every order of one market, or of all; `process_fills` tells each."""
        for placed in list(self._working.values()):
            if market_id is None or placed.order.market_id == market_id:
                matching.cancel(placed.market.venue, placed.slot)
                self._reports.append(self._finish(placed, "canceled"))

    def query_order(self, client_order_id: str) -> OrderUpdate | None:
        """Tell how an order stands or ended; None if the id is not known."""
        placed = self._working.get(client_order_id)
        if placed is not None:
            return placed.update("live", self._now_ns)
        return self._ended.get(client_order_id)

    def process_fills(self, now_ms: UnixMs) -> list[Fill | OrderUpdate]:
        """Return fills, and cancels that nobody asked for one by one, since the last call, in order."""
        reports, self._reports = self._reports, []
        return reports

    def get_state(self) -> dict[str, Any]:
        """Return positions in units of base, and open orders with the size ahead of them in the queue."""
        return {
            "positions": {name: market.size(market.venue.position) for name, market in self._markets.items()},
            "open_orders": [_open_order(placed) for placed in self._working.values()],
        }

    def _add_market(self, market_id: str) -> _Market:
        instrument = self._instruments.get(market_id)
        if instrument is None:
            instrument = msgspec.structs.replace(DEFAULT_INSTRUMENT, market_id=market_id)
        market = _Market(instrument, instrument.min_lots, venue_for(instrument))
        self._markets[market_id] = market
        return market

    def _show_book(self, market: _Market, event: Event) -> None:
        book, venue = market.book, market.venue
        shown = built = event.deltas is not UNSET or len(event.order_messages) > 0
        if built or not all(
            part is UNSET for part in (event.bids, event.bid, event.bid_size, event.bid_depth)
        ):
            load_side(venue, BUY, book.n_bids, book.bid_prices, book.bid_sizes)
            shown = True
        if built or not all(
            part is UNSET for part in (event.asks, event.ask, event.ask_size, event.ask_depth)
        ):
            load_side(venue, SELL, book.n_asks, book.ask_prices, book.ask_sizes)
            shown = True
        if shown:
            matching.apply_book(venue)
            self._drain(market)

    def _answer(self, client_order_id: str, status: OrderStatus, reason: str = "") -> OrderUpdate:
        return OrderUpdate(client_order_id=client_order_id, status=status, reason=reason, ts_ns=self._now_ns)

    def _reject(self, order: Order, reason: str) -> OrderUpdate:
        return self._remember(self._answer(order.client_order_id, "rejected", reason))

    def _remember(self, update: OrderUpdate) -> OrderUpdate:
        self._ended[update.client_order_id] = update
        if len(self._ended) > MAX_ENDED:
            self._ended.popitem(last=False)
        return update

    def _take_place(self, order: Order, market: _Market, slot: int) -> OrderUpdate:
        placed = _Placed(order, market, slot)
        market.placed[slot] = placed
        self._working[order.client_order_id] = placed
        self._drain(market)
        if order.client_order_id in self._ended:
            return self._ended[order.client_order_id]
        if market.venue.orders[slot].state == WORKING:
            return placed.update("live", self._now_ns)
        return self._finish(placed, "canceled", "not_filled_at_once")

    def _finish(self, placed: _Placed, status: OrderStatus, reason: str = "") -> OrderUpdate:
        update = placed.update(status, self._now_ns, reason)
        del self._working[placed.order.client_order_id]
        placed.market.placed[placed.slot] = None
        return self._remember(update)

    def _drain(self, market: _Market) -> None:
        """Turn what the venue did into reports, in its order."""
        venue = market.venue
        for execution in venue.executions[: venue.n_executions]:
            placed = market.placed[execution.slot]
            if placed is None:
                continue
            if execution.kind != FILL:
                self._reports.append(self._finish(placed, "canceled", "nothing_to_reduce"))
                continue
            price = market.price(execution.ticks)
            placed.fills += 1
            placed.filled_lots += execution.lots
            placed.paid += price * execution.lots
            order = placed.order
            self._reports.append(
                Fill(
                    fill_id=f"{order.client_order_id}-{placed.fills}",
                    client_order_id=order.client_order_id,
                    market_id=order.market_id,
                    side=order.side,
                    price=price,
                    size=market.size(execution.lots),
                    fee=execution.fee,
                    liquidity_side="maker" if execution.maker else "taker",
                    ts_ns=self._now_ns,
                )
            )
            if execution.open_lots == 0:
                self._finish(placed, "filled")
        venue.n_executions = 0


def _open_order(placed: _Placed) -> dict[str, Any]:
    order, market = placed.order, placed.market
    working = market.venue.orders[placed.slot]
    ahead = working.queue_ahead
    return {
        "client_order_id": order.client_order_id,
        "market_id": order.market_id,
        "side": order.side,
        "price": order.price,
        "open_size": market.size(working.lots),
        "filled_size": market.size(placed.filled_lots),
        "queue_ahead": ahead * market.venue.lot_num / market.venue.lot_den if ahead == ahead else None,
    }
