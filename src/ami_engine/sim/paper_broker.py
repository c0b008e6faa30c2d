"""A broker that fills against what a source shows, or in the book of a simulated market.

It carries orders to a venue and brings back what became of them, each after its latency. The
conditions of a fill stand in docs/fills.md, one by one. The work is done by `kernels.paper`, in
numbers; here are the texts: ids of orders, names of markets, reports in words.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from ami_engine.kernels.latency import ENTRY, RESPONSE, no_table
from ami_engine.kernels.orders import REPLACE, SUBMIT
from ami_engine.kernels.paper import (
    IS_NOT_FOUND,
    IS_REJECTED,
    NOBODY,
    NOTHING,
    Paper,
    PaperMarket,
    Report,
    begin_event,
    find_placed,
    meet_book,
    meet_event,
    put_answer,
    say_standing,
)
from ami_engine.kernels.queue import QueueModel
from ami_engine.ports import Broker, OrderTerms, OrderVenue, RunContext
from ami_engine.sim.fill_settings import ask_shares, read_latency, read_latency_table, read_queue_model
from ami_engine.sim.order_terms import grid_of, read_terms
from ami_engine.sim.paper_market import Door, market_for
from ami_engine.sim.paper_numbers import Numbers, PaperArrays, PaperRecords
from ami_engine.sim.paper_texts import report_of, update_of
from ami_engine.sim.recorded_venue import RecordedVenue
from decision_schema.errors import ConfigError
from decision_schema.events import Event, Fill, Order, OrderStatus, OrderUpdate
from decision_schema.instruments import DEFAULT_INSTRUMENT, Instrument
from decision_schema.units import NS_PER_MS, UnixMs, UnixNs

MAX_ENDED = 65_536
"""Ended orders whose last state is remembered."""


class PaperBroker(Broker):
    """Fill orders against the market data of the run, or in the book of a simulated market.

    Args:
        instruments: Of the markets, where the broker is used without a run; a run brings its own.
            A market that nobody describes has the documented default instrument.
        queue: What is assumed of cancellations ahead of us: ``conservative``, ``power``, ``log``, or
            a function (or its ``module:name``) from the lots before us and behind us to the share of
            cancelled lots that stood behind.
        queue_power: Exponent of ``power``.
        partial_fills: False = an order fills whole as soon as any of it would.
        entry_latency_ms: From us to the venue: the constant, or the median of what is drawn.
        response_latency_ms: From the venue to us, of what became of our orders.
        latency_sigma: Of the logarithm of drawn latencies (lognormal); 0 = constant.
        latency_table: CSV file of measured latencies, with columns ``ts_ns, entry_ns, response_ns``.

    Raises:
        ConfigError: A setting makes no sense.
    """

    def __init__(
        self,
        instruments: Iterable[Instrument] = (),
        *,
        queue: str | Callable[[float, float], float] = "conservative",
        queue_power: float = 3.0,
        partial_fills: bool = True,
        entry_latency_ms: float = 0.0,
        response_latency_ms: float = 0.0,
        latency_sigma: float = 0.0,
        latency_table: str | Path | None = None,
    ) -> None:
        self._queue: QueueModel = read_queue_model(queue, queue_power)
        self._share = queue if callable(queue) else None
        self._partial_fills = partial_fills
        self._entry = read_latency("entry_latency_ms", ENTRY, entry_latency_ms, latency_sigma)
        self._response = read_latency("response_latency_ms", RESPONSE, response_latency_ms, latency_sigma)
        self._table = no_table()
        if latency_table is not None:
            if entry_latency_ms or response_latency_ms or latency_sigma:
                raise ConfigError("give a latency_table or latencies in ms, not both")
            self._table = read_latency_table(Path(latency_table))
        self._description = {
            "kind": "paper",
            "queue": queue if isinstance(queue, str) else f"{queue.__module__}:{queue.__qualname__}",
            **({"queue_power": queue_power} if queue == "power" else {}),
            "partial_fills": partial_fills,
            "entry_latency_ms": entry_latency_ms,
            "response_latency_ms": response_latency_ms,
            "latency_sigma": latency_sigma,
            **({"latency_table": Path(latency_table).name} if latency_table is not None else {}),
        }
        self._given = {instrument.market_id: instrument for instrument in instruments}
        self._start(self._given, 0)

    def _start(self, instruments: dict[str, Instrument], seed: int) -> None:
        self._instruments = instruments
        self._form: PaperRecords | PaperArrays = PaperRecords(self.paper_for(seed), self._table)
        self._doors: dict[str, Door] = {}
        self._takes_numbers = False
        self._numbers: dict[str, int] = {}
        self._ids: dict[int, tuple[str, Door]] = {}
        self._orders: dict[int, Order] = {}
        self._next_number = 0
        self._ends_read = 0
        self._ended: OrderedDict[str, OrderUpdate] = OrderedDict()
        self._reactive = False

    def open(self, context: RunContext) -> None:
        """Forget everything, take the instruments of the run and the markets that take our orders."""
        self._start({**self._given, **context.instruments}, context.seed)
        self._takes_numbers = (
            type(self).on_event is PaperBroker.on_event
            and self._share is None
            and not context.venues
            and self._given.keys() <= context.instruments.keys()  # else the loop may know other bounds
        )
        for market_id, venue in context.venues.items():
            self._add_market(market_id, venue)
            self._reactive = True

    # ------------------------------------------------------------ what a batch run takes

    @property
    def share(self) -> Callable[[float, float], float] | None:
        """The user's queue function; with one, events cannot be met by compiled kernels."""
        return self._share

    @property
    def table(self) -> list[list[int]]:
        """Measured latencies, as `kernels.latency.way_ns` takes them."""
        return self._table

    def paper_for(self, seed: int) -> Paper:
        """Make the numbers of a broker with these settings that has seen nothing."""
        return Paper(seed=seed, entry=self._entry, response=self._response)

    def market_for(self, instrument: Instrument, cell: int) -> PaperMarket:
        """Make the numbers of a market with these settings that has not been shown."""
        return market_for(instrument, cell, self._queue, partial_fills=self._partial_fills)

    # ------------------------------------------------------------ Broker

    def describe(self) -> dict[str, Any]:
        """Say which fill and latency models are in use."""
        return {**self._description, "market": "reactive" if self._reactive else "recorded"}

    def on_event(self, event: Event, now_ns: UnixNs) -> None:
        """Let what is due arrive, then the trades of an event meet our orders, then its book."""
        if event.kind != "market":
            return
        door = self._doors.get(event.market_id) or self._add_market(event.market_id)
        paper, market, record = self._form.paper, door.market, door.record
        if record is None:
            ts_ns = NOBODY if event.ts_ns is None else max(0, event.ts_ns)
            door.advance(paper, self._table, begin_event(paper, market, now_ns, ts_ns) - 1)
        else:
            record.read(event, now_ns)
            if meet_event(
                paper,
                self._form.markets,
                self._table,
                door.cell,
                record.inp,
                record.before,
                record.after,
                record.trades,
                record.departures,
            ):
                if self._share is not None:
                    ask_shares(market.venue, self._share)
                meet_book(paper, market, self._table)
            record.keep()
        self._read_ends()

    def on_numbers(self, market_id: str, numbers: Numbers) -> bool:
        """Do as `on_event` with what the loop has read of the event; False = the event itself is needed.

        The loop works out the same book by the same rules; where a user's function is asked, a market
        answers to orders or the bounds of a market may differ, the broker reads the event.
        """
        if not self._takes_numbers:
            return False
        door = self._doors.get(market_id) or self._add_market(market_id)
        if numbers.compiled and type(self._form) is PaperRecords:
            self._form = PaperArrays(self._form, numbers)
        self._form.show(door.cell, numbers)
        self._read_ends()
        return True

    def submit_order(self, order: Order) -> OrderUpdate:
        """Place one order: without latency it is live, filled, canceled or rejected on return, else sent."""
        refusal, door, terms = self._check(order)
        if refusal or door is None or terms is None:
            return self._refuse(order, refusal)
        return self._place(SUBMIT, door, order, terms, NOBODY)

    def cancel_order(self, client_order_id: str) -> OrderUpdate | None:
        """Cancel one order; one that is known to have ended is told as it ended.

        With latency the answer is None, and the confirmation follows, unless a fill comes first.
        """
        number = self._numbers.get(client_order_id)
        if number is None:
            return self._ended.get(client_order_id) or self._answer(client_order_id, "not_found")
        self._form.cancel(self._ids[number][1].cell, number)
        self._read_ends()
        answer = self._form.answer()
        if answer.status == IS_NOT_FOUND:
            return self._ended.get(client_order_id) or self._answer(client_order_id, "not_found")
        return None if answer.status == NOTHING else self._update(answer)

    def replace_order(self, client_order_id: str, order: Order) -> OrderUpdate:
        """Replace one order by another; where the new one is rejected, the old one works on.

        The new order's size is its own open size, and its fills count from zero; what the old one
        fills while the message is under way is taken off it. The answer is about the new order; the
        old one is then known as canceled, `replaced`.
        """
        refusal, door, terms = self._check(order)
        if refusal == "duplicate_client_order_id":
            return self._refuse(order, refusal)
        old_number = self._numbers.get(client_order_id, NOBODY)
        if old_number == NOBODY:
            return self._refuse(order, "not_working")
        _, old_door = self._ids[old_number]
        if not self._form.know_old(old_door.cell, old_number):
            return self._refuse(order, "not_working")
        is_other = order.market_id != old_door.instrument.market_id
        if is_other and find_placed(old_door.market, old_number) >= 0:
            return self._refuse(order, "other_market")
        if refusal or door is None or terms is None:
            return self._refuse(order, refusal)
        return self._place(REPLACE, door, order, terms, old_number)

    def cancel_all(self, market_id: str | None = None) -> None:
        """Cancel every order of one market, or of all; `process_fills` tells each."""
        for _, door, slot in self._working():
            order_id, _ = self._ids[door.market.placed[slot].number]
            if market_id is None or door.instrument.market_id == market_id:
                answer = self.cancel_order(order_id)
                if answer is not None:
                    put_answer(self._form.paper, self._form.paper.now_ns)

    def query_order(self, client_order_id: str) -> OrderUpdate | None:
        """Tell how an order stands or ended, as far as we have heard; None if the id is not known."""
        number = self._numbers.get(client_order_id)
        if number is not None:
            say_standing(self._form.paper, self._ids[number][1].market, number)
            answer = self._form.answer()
            if answer.status != IS_NOT_FOUND:
                return self._update(answer)
        return self._ended.get(client_order_id)

    def process_fills(self, now_ms: UnixMs) -> list[Fill | OrderUpdate]:
        """Return what we hear of our orders up to now, in order: fills, answers, other ends."""
        due = self._form.advance(now_ms * NS_PER_MS)
        self._read_ends()
        return [self._read(report) for report in self._form.reports(due)]

    def get_state(self) -> dict[str, Any]:
        """Return positions and the orders that stand at the venue, by market and by order."""
        return {
            "positions": {name: door.grid.size(door.market.position) for name, door in self._doors.items()},
            "open_orders": [self._open_order(door, slot) for _, door, slot in self._working()],
        }

    # ------------------------------------------------------------ texts and numbers

    def _check(self, order: Order) -> tuple[str, Door | None, OrderTerms | None]:
        """Check what we can before an order is sent: its id, its market, its grid."""
        if order.client_order_id in self._numbers or order.client_order_id in self._ended:
            return "duplicate_client_order_id", None, None
        door = self._doors.get(order.market_id)
        if door is None:
            return "no_book", None, None
        terms = read_terms(order, door.instrument, door.grid)
        if isinstance(terms, str):
            return terms, door, None
        return "", door, terms

    def _place(self, op: int, door: Door, order: Order, terms: OrderTerms, old_number: int) -> OrderUpdate:
        """Send a new order under the next number."""
        number = self._next_number
        self._next_number += 1
        self._numbers[order.client_order_id] = number
        self._ids[number] = (order.client_order_id, door)
        self._orders[number] = order
        self._form.send(door.cell, op, number, old_number, terms)
        answer = self._form.answer()
        update = self._update(answer)
        self._read_ends()
        if answer.status == IS_REJECTED and order.client_order_id not in self._ended:
            del self._orders[number]  # it was not sent
            self._remember(update)
        return update

    def _add_market(self, market_id: str, venue: OrderVenue | None = None) -> Door:
        instrument = self._instruments.get(market_id)
        if instrument is None:
            instrument = msgspec.structs.replace(DEFAULT_INSTRUMENT, market_id=market_id)
        cell = len(self._form.doors)
        record = RecordedVenue(instrument) if venue is None else None
        market = self.market_for(instrument, cell)
        door = Door(cell, instrument, grid_of(instrument), market, record, venue)
        self._doors[market_id] = door
        self._form.add(door)
        if venue is not None:

            def move_on(ts_ns: UnixNs) -> None:
                """Let what was sent before arrive before what happens then."""
                door.advance(self._form.paper, self._table, ts_ns - 1)
                self._read_ends()

            venue.attach(move_on)
        return door

    def _working(self) -> list[tuple[int, Door, int]]:
        """Give the orders that work, as they were placed: a running number, the market, the slot."""
        found = [
            (placed.nth, door, slot)
            for door in self._form.doors
            for slot, placed in enumerate(door.market.placed)
            if placed.number != NOBODY
        ]
        return sorted(found, key=lambda item: item[0])

    def _open_order(self, door: Door, slot: int) -> dict[str, Any]:
        placed, grid = door.market.placed[slot], door.grid
        order, ahead = self._orders[placed.number], door.queue_ahead(slot)
        return {
            "client_order_id": order.client_order_id,
            "market_id": order.market_id,
            "side": order.side,
            "price": order.price,
            "open_size": grid.size(door.open_lots(slot)),
            "filled_size": grid.size(placed.filled_lots),
            "queue_ahead": ahead * grid.lot_num / grid.lot_den if ahead == ahead else None,
        }

    def _read(self, report: Report) -> Fill | OrderUpdate:
        door = self._form.doors[report.cell]
        return report_of(report, self._ids[report.number][0], door.instrument.market_id, door.grid)

    def _update(self, answer: Report) -> OrderUpdate:
        order_id, door = self._ids[answer.number]
        return update_of(
            order_id,
            door.grid,
            answer.status,
            answer.reason,
            answer.filled_lots,
            answer.paid,
            answer.ts_ns,
        )

    def _read_ends(self) -> None:
        """Remember, in words, the orders that ended since the last call."""
        count = self._form.n_ends()
        while self._ends_read < count:
            number, status, reason, filled_lots, paid, ts_ns = self._form.end(self._ends_read)
            self._ends_read += 1
            order_id, door = self._ids[number]
            del self._orders[number]
            self._remember(update_of(order_id, door.grid, status, reason, filled_lots, paid, ts_ns))

    def _refuse(self, order: Order, reason: str) -> OrderUpdate:
        """Refuse what need not be sent."""
        update = self._answer(order.client_order_id, "rejected", reason)
        if reason != "duplicate_client_order_id":
            self._remember(update)
        return update

    def _remember(self, update: OrderUpdate) -> None:
        self._ended[update.client_order_id] = update
        if len(self._ended) > MAX_ENDED:
            order_id, _ = self._ended.popitem(last=False)
            number = self._numbers.pop(order_id, None)
            if number is not None:
                del self._ids[number]

    def _answer(self, client_order_id: str, status: OrderStatus, reason: str = "") -> OrderUpdate:
        return OrderUpdate(
            client_order_id=client_order_id, status=status, reason=reason, ts_ns=self._form.paper.now_ns
        )
