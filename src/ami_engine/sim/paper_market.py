"""One market of the paper broker: its numbers, and the door to where our orders meet it.

The door is the record of the market, which kernels read, or a simulated market that answers to our
orders: it is asked here, between the same kernels.
"""

import zlib
from dataclasses import dataclass

from ami_engine.kernels.matching import ACCEPTED, NOT_WORKING
from ami_engine.kernels.orders import CANCEL, REPLACE, SUBMIT
from ami_engine.kernels.paper import (
    Ask,
    Paper,
    PaperMarket,
    Request,
    advance,
    begin_send,
    conclude,
    end_send,
    hear_answer,
    next_request,
    note_execution,
    prepare,
    send,
    settle,
)
from ami_engine.kernels.queue import QueueModel
from ami_engine.kernels.venue import venue_for
from ami_engine.ports import OrderTerms, OrderVenue
from ami_engine.sim.order_terms import Grid
from ami_engine.sim.recorded_venue import RecordedVenue
from decision_schema.instruments import Instrument
from decision_schema.units import UnixNs


def market_for(instrument: Instrument, cell: int, queue: QueueModel, *, partial_fills: bool) -> PaperMarket:
    """Make the numbers of a market that has not been shown yet.

    Args:
        instrument: Its grid, bounds, fees and name.
        cell: Its place among the markets.
        queue: What is assumed of cancellations ahead of us.
        partial_fills: False = an order fills whole or not at all.

    >>> market_for(Instrument(market_id="M", tick_size="0.5"), 3, QueueModel(), partial_fills=True).cell
    3
    """
    return PaperMarket(
        venue=venue_for(instrument, queue, partial_fills=partial_fills),
        cell=cell,
        luck=zlib.crc32(instrument.market_id.encode()),
        min_lots=instrument.min_lots,
        min_notional=float(instrument.min_notional),
        price_min=float(instrument.price_min),
        price_max=float(instrument.price_max),
    )


@dataclass(slots=True)
class Door:
    """One market, `cell` its number; exactly one of ``record`` and ``venue`` is there."""

    cell: int
    instrument: Instrument
    grid: Grid
    market: PaperMarket
    record: RecordedVenue | None = None
    venue: OrderVenue | None = None

    def open_lots(self, slot: int) -> int:
        """Give what an order has open."""
        return self.market.venue.orders[slot].lots if self.venue is None else self.venue.open_lots(slot)

    def queue_ahead(self, slot: int) -> float:
        """Give the lots of others before a working order; nan = not known."""
        if self.venue is None:
            return self.market.venue.orders[slot].queue_ahead
        return self.venue.queue_ahead(slot)

    def send(self, paper: Paper, table: list[list[int]]) -> None:
        """Send `paper.request`; `paper.answer` says what we know at once."""
        if self.venue is None:
            send(paper, self.market, table)
            return
        self.collect(paper, table)
        way = begin_send(paper, self.market, table)
        if way == 2:
            self._carry_out(self.venue, paper, table, paper.request, paper.now_ns)
        elif way == 1:
            self.advance(paper, table, paper.now_ns - self.market.lag_ns)
            end_send(paper, self.market)

    def advance(self, paper: Paper, table: list[list[int]], ts_ns: UnixNs) -> None:
        """Let the messages arrive that are due by the venue's time."""
        if self.venue is None:
            advance(paper, self.market, table, ts_ns)
            return
        self.collect(paper, table)
        while (at := next_request(paper, self.market, ts_ns)) >= 0:
            request = self.market.requests[at]
            self._carry_out(self.venue, paper, table, request, request.due_ns)
            hear_answer(paper, self.market, table, request.due_ns)

    def collect(self, paper: Paper, table: list[list[int]]) -> None:
        """Turn what a simulated market did into reports, in its order."""
        if self.venue is not None:
            for execution in self.venue.take_executions():
                note_execution(paper, self.market, table, *execution)

    def _carry_out(
        self, venue: OrderVenue, paper: Paper, table: list[list[int]], request: Request, ts_ns: UnixNs
    ) -> None:
        prepare(paper, self.market, request)
        code, slot = _ask(venue, paper.ask)
        settle(paper, self.market, table, request, code, slot, ts_ns)
        if paper.ask.new_slot >= 0:
            self.collect(paper, table)
            conclude(paper, self.market, table, request.number, venue.is_working(slot), ts_ns)


def _ask(venue: OrderVenue, ask: Ask) -> tuple[int, int]:
    """Ask a simulated market, as `kernels.paper.ask_venue` asks a record."""
    terms = OrderTerms(ask.side, ask.limit, ask.lots, ask.tif, ask.post_only, ask.reduce_only)
    if ask.op == SUBMIT:
        return venue.arrive(terms)
    if ask.op == REPLACE:
        return venue.replace(ask.slot, terms)
    if ask.op == CANCEL and venue.cancel(ask.slot):
        return ACCEPTED, ask.slot
    return NOT_WORKING, -1
