"""A broker that fills against what a source shows, or in the book of a simulated market.

It carries orders to a venue and brings back what became of them, each after its latency. The
conditions of a fill stand in docs/fills.md, one by one.
"""

import zlib
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from ami_engine.kernels import matching
from ami_engine.kernels.latency import ENTRY, RESPONSE, delay_ns, is_none
from ami_engine.kernels.queue import QueueModel
from ami_engine.kernels.venue import FILL, MAX_VENUE_ORDERS
from ami_engine.ports import Broker, OrderTerms, OrderVenue, RunContext
from ami_engine.sim.fill_settings import read_latency, read_latency_table, read_queue_model
from ami_engine.sim.order_terms import Grid, grid_of, read_terms
from ami_engine.sim.recorded_venue import RecordedVenue
from decision_schema.errors import ConfigError
from decision_schema.events import Event, Fill, Order, OrderStatus, OrderUpdate
from decision_schema.instruments import DEFAULT_INSTRUMENT, Instrument
from decision_schema.units import NS_PER_MS, NS_PER_SECOND, DurationNs, Lots, UnixMs, UnixNs

MAX_ENDED = 65_536
"""Ended orders whose last state is remembered."""
MAX_LAG_NS = 60 * NS_PER_SECOND
"""An event that seems older was stamped by a clock that is wrong."""

_REFUSALS = {
    matching.NO_BOOK: "no_book",
    matching.WOULD_TAKE: "post_only_would_take",
    matching.NOTHING_TO_REDUCE: "nothing_to_reduce",
    matching.NO_SHORT: "no_short",
    matching.NO_SLOT: "too_many_orders",
    matching.NOT_WORKING: "not_working",
}


class _Request(NamedTuple):
    """A message of ours on its way to the venue.

    Args:
        op: What is asked for.
        due_ns: When it arrives, by the venue's clock.
        order_id: The order to cancel or to replace, else the new one.
        order: The new order.
        terms: The same on the grid.
        known_lots: What we knew to be filled of the order to replace.
    """

    op: Literal["submit", "replace", "cancel"]
    due_ns: UnixNs
    order_id: str
    order: Order | None = None
    terms: OrderTerms | None = None
    known_lots: Lots = 0


@dataclass(slots=True)
class _Market:
    """One market: its venue, what is on its way there, and whose order stands in which slot.

    ``lag_ns`` is how late its last event came to us, ``heard_ns`` when its last answer will.
    """

    instrument: Instrument
    grid: Grid
    venue: OrderVenue
    number: int
    lag_ns: DurationNs = 0
    requests: deque[_Request] = field(default_factory=deque)
    last_due_ns: UnixNs = 0
    heard_ns: UnixNs = 0
    placed: list["_Placed | None"] = field(default_factory=lambda: [None] * MAX_VENUE_ORDERS)
    position: Lots = 0


@dataclass(slots=True)
class _Placed:
    """An order that the venue took; ``told_lots`` is what we have heard to be filled of it."""

    order: Order
    lots: Lots
    market: _Market
    slot: int = -1
    fills: int = 0
    filled_lots: Lots = 0
    told_lots: Lots = 0
    paid: float = 0.0  # sum of price x lots

    def update(self, status: OrderStatus, ts_ns: UnixNs, reason: str = "") -> OrderUpdate:
        """Say how the order stands."""
        return OrderUpdate(
            client_order_id=self.order.client_order_id,
            status=status,
            filled_size=self.market.grid.size(self.filled_lots),
            avg_price=self.paid / self.filled_lots if self.filled_lots else None,
            reason=reason,
            ts_ns=ts_ns,
        )


class _Heard(NamedTuple):
    """A report on its way to us; `placed` and `lots` where it tells of a fill."""

    at_ns: UnixNs
    report: Fill | OrderUpdate
    placed: _Placed | None = None
    lots: Lots = 0


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
        self._partial_fills = partial_fills
        self._entry = read_latency("entry_latency_ms", ENTRY, entry_latency_ms, latency_sigma)
        self._response = read_latency("response_latency_ms", RESPONSE, response_latency_ms, latency_sigma)
        if latency_table is not None:
            if entry_latency_ms or response_latency_ms or latency_sigma:
                raise ConfigError("give a latency_table or latencies in ms, not both")
            self._entry, self._response = read_latency_table(Path(latency_table))
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
        self._seed = seed
        self._markets: dict[str, _Market] = {}
        self._sent: dict[str, _Request] = {}
        self._working: dict[str, _Placed] = {}
        self._ended: OrderedDict[str, tuple[UnixNs, OrderUpdate]] = OrderedDict()
        self._reports: list[_Heard] = []
        self._now_ns: UnixNs = 0
        self._reactive = False

    def open(self, context: RunContext) -> None:
        """Forget everything, take the instruments of the run and the markets that take our orders."""
        self._start({**self._given, **context.instruments}, context.seed)
        for market_id, venue in context.venues.items():
            self._add_market(market_id, venue)
            self._reactive = True

    def describe(self) -> dict[str, Any]:
        """Say which fill and latency models are in use."""
        return {**self._description, "market": "reactive" if self._reactive else "recorded"}

    def on_event(self, event: Event, now_ns: UnixNs) -> None:
        """Let what is due arrive, then the trades of an event meet our orders, then its book."""
        if event.kind != "market":
            return
        self._now_ns = now_ns
        market = self._markets.get(event.market_id) or self._add_market(event.market_id)
        happened_ns = now_ns if event.ts_ns is None else max(min(event.ts_ns, now_ns), now_ns - MAX_LAG_NS)
        market.lag_ns = now_ns - happened_ns
        if isinstance(market.venue, RecordedVenue):
            market.venue.on_event(event, happened_ns)
        else:
            self._advance(market, happened_ns - 1)
        self._collect(market)

    def submit_order(self, order: Order) -> OrderUpdate:
        """Place one order: without latency it is live, filled, canceled or rejected on return, else sent."""
        refusal, market, terms = self._check(order)
        if refusal or market is None or terms is None:
            return self._refuse(order, refusal)
        request = _Request("submit", self._due_ns(market), order.client_order_id, order, terms)
        return self._send(market, request) or self._answer(order.client_order_id, "sent")

    def cancel_order(self, client_order_id: str) -> OrderUpdate | None:
        """Cancel one order; one that is known to have ended is told as it ended.

        With latency the answer is None, and the confirmation follows, unless a fill comes first.
        """
        placed = self._working.get(client_order_id)
        if placed is not None:
            market = placed.market
        else:
            sent = self._sent.get(client_order_id)
            if sent is None or sent.order is None:
                if self._is_unheard(client_order_id):
                    return None
                return self.query_order(client_order_id) or self._answer(client_order_id, "not_found")
            market = self._markets[sent.order.market_id]
        return self._send(market, _Request("cancel", self._due_ns(market), client_order_id))

    def replace_order(self, client_order_id: str, order: Order) -> OrderUpdate:
        """Replace one order by another; where the new one is rejected, the old one works on.

        The new order's size is its own open size, and its fills count from zero; what the old one
        fills while the message is under way is taken off it. The answer is about the new order; the
        old one is then known as canceled, `replaced`.
        """
        refusal, market, terms = self._check(order)
        if refusal == "duplicate_client_order_id":
            return self._refuse(order, refusal)
        old = self._working.get(client_order_id)
        if old is None and not self._is_unheard(client_order_id):
            return self._refuse(order, "not_working")
        if old is not None and order.market_id != old.market.instrument.market_id:
            return self._refuse(order, "other_market")
        if refusal or market is None or terms is None:
            return self._refuse(order, refusal)
        known_lots = old.told_lots if old is not None else 0
        request = _Request("replace", self._due_ns(market), client_order_id, order, terms, known_lots)
        return self._send(market, request) or self._answer(order.client_order_id, "sent")

    def cancel_all(self, market_id: str | None = None) -> None:
        """Cancel every order of one market, or of all; `process_fills` tells each."""
        for order_id, placed in list(self._working.items()):
            if market_id is None or placed.order.market_id == market_id:
                answer = self.cancel_order(order_id)
                if answer is not None:
                    self._reports.append(_Heard(self._now_ns, answer))

    def query_order(self, client_order_id: str) -> OrderUpdate | None:
        """Tell how an order stands or ended, as far as we have heard; None if the id is not known."""
        if client_order_id in self._sent:
            return self._answer(client_order_id, "sent")
        placed = self._working.get(client_order_id)
        if placed is not None:
            return placed.update("live", self._now_ns)
        if self._is_unheard(client_order_id):
            return self._answer(client_order_id, "live")
        return self._ended.get(client_order_id, (0, None))[1]

    def _is_unheard(self, client_order_id: str) -> bool:
        """Tell whether an order has ended and we have not heard of it yet."""
        return self._ended.get(client_order_id, (0, None))[0] > self._now_ns

    def process_fills(self, now_ms: UnixMs) -> list[Fill | OrderUpdate]:
        """Return what we hear of our orders up to now, in order: fills, answers, other ends."""
        self._now_ns = max(self._now_ns, now_ms * NS_PER_MS)
        for market in self._markets.values():
            if market.requests:
                self._advance(market, self._now_ns - market.lag_ns - 1)
        if not self._reports:
            return []
        now = [heard for heard in self._reports if heard.at_ns <= self._now_ns]
        self._reports = [heard for heard in self._reports if heard.at_ns > self._now_ns]
        now.sort(key=lambda heard: heard.at_ns)
        for heard in now:
            if heard.placed is not None:
                heard.placed.told_lots += heard.lots
        return [heard.report for heard in now]

    def get_state(self) -> dict[str, Any]:
        """Return positions and the orders that stand at the venue, by market and by order."""
        return {
            "positions": {name: market.grid.size(market.position) for name, market in self._markets.items()},
            "open_orders": [_open_order(placed) for placed in self._working.values()],
        }

    # ------------------------------------------------------------ on the way

    def _check(self, order: Order) -> tuple[str, _Market | None, OrderTerms | None]:
        """Check what we can before an order is sent: its id, its market, its grid."""
        if order.client_order_id in self._sent or self.query_order(order.client_order_id) is not None:
            return "duplicate_client_order_id", None, None
        market = self._markets.get(order.market_id)
        if market is None:
            return "no_book", None, None
        terms = read_terms(order, market.instrument, market.grid)
        if isinstance(terms, str):
            return terms, market, None
        return "", market, terms

    def _due_ns(self, market: _Market) -> UnixNs:
        """Say when a message sent now arrives: not before the one sent before it."""
        delay = delay_ns(self._entry, self._seed, market.number, self._now_ns)
        market.last_due_ns = max(market.last_due_ns, self._now_ns + delay)
        return market.last_due_ns

    def _send(self, market: _Market, request: _Request) -> OrderUpdate | None:
        """Send a message; None = it is under way, the answer will be heard."""
        at_once = not market.requests and request.due_ns <= self._now_ns - market.lag_ns
        if at_once and is_none(self._response):
            self._collect(market)
            if request.op == "replace" and request.order_id in self._working:
                request = request._replace(known_lots=self._working[request.order_id].filled_lots)
            return self._carry_out(market, request, self._now_ns)
        market.requests.append(request)
        if request.order is not None:
            self._sent[request.order.client_order_id] = request
        self._advance(market, self._now_ns - market.lag_ns)
        return None

    def _advance(self, market: _Market, ts_ns: UnixNs) -> None:
        """Let the messages arrive that are due by the venue's time."""
        self._collect(market)
        while market.requests and market.requests[0].due_ns <= ts_ns:
            request = market.requests.popleft()
            if request.order is not None:
                del self._sent[request.order.client_order_id]
            answer = self._carry_out(market, request, request.due_ns)
            if answer is not None:
                self._hear(market, request.due_ns, answer)

    def _carry_out(self, market: _Market, request: _Request, ts_ns: UnixNs) -> OrderUpdate | None:
        """Let one message arrive; the answer, None where there is nothing to say."""
        if isinstance(market.venue, RecordedVenue):
            market.venue.move_to(ts_ns)
        if request.op == "cancel":
            placed = self._working.get(request.order_id)
            if placed is None or not market.venue.cancel(placed.slot):
                return None
            return self._finish(placed, "canceled", ts_ns)
        order, terms = request.order, request.terms
        if order is None or terms is None:
            return None
        if request.op == "submit":
            answer, slot = market.venue.arrive(terms)
            if answer != matching.ACCEPTED:
                return self._reject(market, order, _REFUSALS[answer], ts_ns)
            return self._take_place(order, terms.lots, market, slot, ts_ns)
        old = self._working.get(request.order_id)
        if old is None:
            return self._reject(market, order, "not_working", ts_ns)
        asked = terms.lots
        terms = terms._replace(lots=asked - (old.filled_lots - request.known_lots))
        if terms.lots <= 0:
            market.venue.cancel(old.slot)
            self._hear(market, ts_ns, self._finish(old, "canceled", ts_ns, "filled_meanwhile"))
            return self._reject(market, order, "filled_meanwhile", ts_ns)
        answer, slot = market.venue.replace(old.slot, terms)
        if answer != matching.ACCEPTED:
            return self._reject(market, order, _REFUSALS[answer], ts_ns)
        self._finish(old, "canceled", ts_ns, "replaced")
        return self._take_place(order, asked, market, slot, ts_ns)

    def _hear(
        self,
        market: _Market,
        ts_ns: UnixNs,
        report: Fill | OrderUpdate,
        placed: _Placed | None = None,
        lots: Lots = 0,
    ) -> None:
        """Put a report on its way to us: it comes no sooner than the one before it."""
        self._reports.append(_Heard(self._heard_ns(market, ts_ns), report, placed, lots))

    def _heard_ns(self, market: _Market, ts_ns: UnixNs) -> UnixNs:
        delay = delay_ns(self._response, self._seed, market.number, ts_ns)
        market.heard_ns = max(market.heard_ns, ts_ns + delay)
        return market.heard_ns

    # ------------------------------------------------------------ at the venue

    def _add_market(self, market_id: str, venue: OrderVenue | None = None) -> _Market:
        instrument = self._instruments.get(market_id)
        if instrument is None:
            instrument = msgspec.structs.replace(DEFAULT_INSTRUMENT, market_id=market_id)
        if venue is None:
            venue = RecordedVenue(instrument, self._queue, partial_fills=self._partial_fills)
        market = _Market(instrument, grid_of(instrument), venue, zlib.crc32(market_id.encode()))
        venue.attach(lambda ts_ns: self._advance(market, ts_ns - 1))  # what happens then comes first
        self._markets[market_id] = market
        return market

    def _take_place(self, order: Order, lots: Lots, market: _Market, slot: int, ts_ns: UnixNs) -> OrderUpdate:
        placed = _Placed(order, lots, market, slot)
        market.placed[slot] = placed
        self._working[order.client_order_id] = placed
        self._collect(market)
        if order.client_order_id in self._ended:
            return self._ended[order.client_order_id][1]
        if market.venue.is_working(slot):
            return placed.update("live", ts_ns)
        return self._finish(placed, "canceled", ts_ns, "not_filled_at_once")

    def _collect(self, market: _Market) -> None:
        """Turn what the venue did into reports, in its order."""
        for execution in market.venue.take_executions():
            placed = market.placed[execution.slot]
            if placed is None:
                continue
            ts_ns = execution.ts_ns
            if execution.kind != FILL:
                self._hear(market, ts_ns, self._finish(placed, "canceled", ts_ns, "nothing_to_reduce"))
                continue
            price = market.grid.price(execution.ticks)
            placed.fills += 1
            placed.filled_lots += execution.lots
            placed.paid += price * execution.lots
            order = placed.order
            market.position += execution.lots if order.side == "buy" else -execution.lots
            fill = Fill(
                fill_id=f"{order.client_order_id}-{placed.fills}",
                client_order_id=order.client_order_id,
                market_id=order.market_id,
                side=order.side,
                price=price,
                size=market.grid.size(execution.lots),
                fee=execution.fee,
                liquidity_side="maker" if execution.maker else "taker",
                ts_ns=ts_ns,
            )
            self._hear(market, ts_ns, fill, placed, execution.lots)
            if execution.open_lots == 0:
                if placed.filled_lots >= placed.lots:
                    self._finish(placed, "filled", ts_ns)
                else:  # the venue had cut it down
                    self._hear(market, ts_ns, self._finish(placed, "canceled", ts_ns, "reduced"))

    def _finish(self, placed: _Placed, status: OrderStatus, ts_ns: UnixNs, reason: str = "") -> OrderUpdate:
        del self._working[placed.order.client_order_id]
        placed.market.placed[placed.slot] = None
        return self._remember(self._heard_ns(placed.market, ts_ns), placed.update(status, ts_ns, reason))

    def _reject(self, market: _Market, order: Order, reason: str, ts_ns: UnixNs) -> OrderUpdate:
        update = OrderUpdate(
            client_order_id=order.client_order_id, status="rejected", reason=reason, ts_ns=ts_ns
        )
        return self._remember(self._heard_ns(market, ts_ns), update)

    def _refuse(self, order: Order, reason: str) -> OrderUpdate:
        """Refuse what need not be sent."""
        update = self._answer(order.client_order_id, "rejected", reason)
        return update if reason == "duplicate_client_order_id" else self._remember(self._now_ns, update)

    def _remember(self, heard_ns: UnixNs, update: OrderUpdate) -> OrderUpdate:
        self._ended[update.client_order_id] = heard_ns, update
        if len(self._ended) > MAX_ENDED:
            self._ended.popitem(last=False)
        return update

    def _answer(self, client_order_id: str, status: OrderStatus, reason: str = "") -> OrderUpdate:
        return OrderUpdate(client_order_id=client_order_id, status=status, reason=reason, ts_ns=self._now_ns)


def _open_order(placed: _Placed) -> dict[str, Any]:
    order, market = placed.order, placed.market
    ahead = market.venue.queue_ahead(placed.slot)
    return {
        "client_order_id": order.client_order_id,
        "market_id": order.market_id,
        "side": order.side,
        "price": order.price,
        "open_size": market.grid.size(market.venue.open_lots(placed.slot)),
        "filled_size": market.grid.size(placed.filled_lots),
        "queue_ahead": ahead * market.grid.lot_num / market.grid.lot_den if ahead == ahead else None,
    }
