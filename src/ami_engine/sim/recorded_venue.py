"""The venue of a market whose data are a record: our orders meet it, it does not know of them.

It turns events into the calls of `kernels.matching`, where the conditions of a fill stand.
"""

from collections.abc import Callable

from ami_engine.kernels import matching
from ami_engine.kernels.book import Book
from ami_engine.kernels.book_builder import BookBuilder, build, pass_by
from ami_engine.kernels.queue import QueueModel
from ami_engine.kernels.venue import (
    BUY,
    SELL,
    WORKING,
    aggressor_by_quote,
    load_side,
    market_lots,
    nearest_ticks,
    trade_ticks,
    venue_for,
)
from ami_engine.ports import OrderTerms, VenueExecution
from decision_schema.events import UNSET, Event
from decision_schema.instruments import Instrument
from decision_schema.reasons import OK
from decision_schema.units import Lots, UnixNs


class RecordedVenue:
    """One market of recorded or live data.

    Args:
        instrument: Its grid, bounds and fees.
        queue: What is assumed of cancellations ahead of us.
        partial_fills: False = an order fills whole or not at all.
    """

    def __init__(self, instrument: Instrument, queue: QueueModel, *, partial_fills: bool) -> None:
        self._instrument = instrument
        self._venue = venue_for(instrument, queue, partial_fills=partial_fills)
        self._book, self._staged = Book(), Book()
        self._builder = BookBuilder()
        self._before: Callable[[UnixNs], None] | None = None
        self._executions: list[VenueExecution] = []

    @property
    def market_id(self) -> str:
        """Name of the market."""
        return self._instrument.market_id

    def attach(self, before: Callable[[UnixNs], None]) -> None:
        """Have `before` called with the time of each event, before it is matched."""
        self._before = before

    def move_to(self, now_ns: UnixNs) -> None:
        """Set the venue's time; it never goes back."""
        self._venue.now_ns = max(self._venue.now_ns, now_ns)

    def on_event(self, event: Event, ts_ns: UnixNs) -> None:
        """Let the trades of an event meet our orders, then its book.

        Args:
            event: In order on its channel; with a defect it changes the book only.
            ts_ns: When it happened, by the venue's clock.
        """
        if self._before is not None:
            self._before(ts_ns)
        self.move_to(ts_ns)
        bounds, builder = self._instrument, self._builder
        code = OK
        if event.has_book:
            code = build(builder, self._book, event, self._staged, bounds.price_min, bounds.price_max)
        else:
            pass_by(builder, event)
        usable = event.bad is None and code == OK
        self._venue.by_order = builder.follows_orders
        self._venue.public_orders = builder.orders.added
        if event.order_messages:
            self._take_departures(usable)
        if usable and not (self._venue.by_order == 1 and self._venue.executions_told == 1):
            self._take_trades(event)
        if usable and event.has_book:
            self._book, self._staged = self._staged, self._book
            self._show_book(event)

    def arrive(self, terms: OrderTerms) -> tuple[int, int]:
        """Let an order reach the market: ACCEPTED and its slot, or a refusal and -1."""
        answer = matching.arrive(self._venue, *terms)
        self._note()
        return answer

    def cancel(self, slot: int) -> bool:
        """Cancel a working order; False, and nothing happens, if it works no more."""
        return matching.cancel(self._venue, slot)

    def replace(self, slot: int, terms: OrderTerms) -> tuple[int, int]:
        """Replace a working order in one act; refused, the old one works on."""
        answer = matching.replace(self._venue, slot, *terms)
        self._note()
        return answer

    def is_working(self, slot: int) -> bool:
        """Tell whether the order in a slot works."""
        return self._venue.orders[slot].state == WORKING

    def open_lots(self, slot: int) -> Lots:
        """Give what an order has open."""
        return self._venue.orders[slot].lots

    def queue_ahead(self, slot: int) -> float:
        """Give the lots of others before a working order at its price; nan = not known."""
        return self._venue.orders[slot].queue_ahead

    def take_executions(self) -> list[VenueExecution]:
        """Give what happened since the last call, in order."""
        taken, self._executions = self._executions, []
        return taken

    def _note(self) -> None:
        """Note what the venue has done; its own record holds one call's executions."""
        venue = self._venue
        for e in venue.executions[: venue.n_executions]:
            self._executions.append(
                VenueExecution(e.kind, e.slot, e.ticks, e.lots, e.open_lots, e.maker, e.fee, e.ts_ns)
            )
        venue.n_executions = 0

    def _take_departures(self, usable: bool) -> None:
        """Follow the queues order by order; an unusable event fills nothing."""
        venue = self._venue
        for side, price, size, number, executed in self._builder.departures:
            if executed:
                venue.executions_told = 1
            ticks = nearest_ticks(price, venue.tick_num, venue.tick_den)
            lots = market_lots(size, venue.lot_num, venue.lot_den)
            matching.on_departure(venue, side, ticks, lots, number, executed and usable)
            self._note()

    def _take_trades(self, event: Event) -> None:
        """Match the trades."""
        venue = self._venue
        for trade in event.trades:
            if trade.aggressor_side is None:
                aggressor = aggressor_by_quote(trade.price, self._book.mid)
            else:
                aggressor = BUY if trade.aggressor_side == "buy" else SELL
            ticks = trade_ticks(trade.price, aggressor, venue.tick_num, venue.tick_den)
            matching.on_trade(venue, aggressor, ticks, market_lots(trade.size, venue.lot_num, venue.lot_den))
            self._note()

    def _show_book(self, event: Event) -> None:
        """Show our orders the sides that the event tells anew."""
        book, venue = self._book, self._venue
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
            self._note()
