"""The edge: events become inputs of a step in numbers, with the book, trades and departures beside them.

What may change the state is judged here, once: the order on the channel, the future, the book, the
bounds. `kernels/admission.py` has the same rules for rows of a table.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import msgspec

from ami_engine.kernels.book import Book
from ami_engine.kernels.book_builder import (
    READ_ANYWAY,
    BookBuilder,
    Departure,
    build_parts,
    pass_by,
    read_parts,
)
from ami_engine.kernels.channels import MAX_CHANNELS, NONE, Channels, judge_order, note_order
from ami_engine.kernels.inputs import (
    FIELDS,
    HALTED,
    NO_STATUS,
    OPEN,
    RECONNECTED,
    TIMER,
    Input,
    TradeRow,
)
from ami_engine.kernels.quotes import QUOTE, SHOWS_ASKS, SHOWS_BIDS, TOP, Parts
from ami_engine.kernels.records import MAX_MARKETS
from decision_schema.events import HALTS, UNSET, Bad, Event, Trade
from decision_schema.instruments import Instrument
from decision_schema.reasons import (
    FUTURE_EVENT,
    INVALID_INPUT,
    INVALID_SETTLEMENT,
    INVALID_TRADE,
    NAMES,
    OK,
    TOO_MANY_CHANNELS,
    TOO_MANY_MARKETS,
)
from decision_schema.units import DurationNs, UnixNs

NAN = float("nan")
READ = frozenset((OK, *READ_ANYWAY, INVALID_TRADE, INVALID_SETTLEMENT))
"""Codes of events that came in order, be they usable or not."""
_CODES = {name: code for code, name in enumerate(NAMES)}
_PLACES = {name: place for place, name in enumerate(FIELDS)}
_SIDES = {"buy": 1, "sell": -1, None: 0}


class Clock(Protocol):
    """Time of a run; `ami_engine.clock` has the two there are."""

    def stamp_ns(self, stamp_ns: int, is_ours: int, has_book: int) -> UnixNs:
        """Give the time that a step of an event would have."""

    def settle_ns(self, stamp_ns: int, now_ns: UnixNs, in_order: int) -> UnixNs:
        """Move on to it where the event is in order; give the time of the step."""

    def last_ns(self) -> UnixNs:
        """Give the time of a step whose input cannot be read."""


@dataclass(slots=True)
class EdgeMarket:
    """What the edge keeps of one market.

    Args:
        number: Its number, in the order in which the markets were first seen.
        price_min: Prices must be above it.
        price_max: Prices must not be above it.
        builder: What is known of its book, for the counts that a record shows.
        book: The last valid book.
        staged: What the event at hand would make of it.
        names: Number of each channel by its name.
        channels: The last message of each.
    """

    number: int
    price_min: float
    price_max: float
    builder: BookBuilder = field(default_factory=BookBuilder)
    book: Book = field(default_factory=Book)
    staged: Book = field(default_factory=Book)
    names: dict[str, int] = field(default_factory=dict)
    channels: Channels = field(default_factory=Channels)


class FeedCounts(NamedTuple):
    """What went wrong with the messages of one market; see docs/events.md."""

    gaps: int = 0
    resyncs: int = 0
    messages_lost: int = 0
    late_quotes: int = 0
    unknown_orders: int = 0


@dataclass(slots=True)
class Admitted:
    """An event at the door of a step; valid until the next one is admitted.

    Args:
        event: With `bad` set where it is held.
        inp: The same in numbers.
        book: What its market's book becomes; valid where it is admitted and carries a part of the book.
        trades: Its public prints.
        departures: Lots that orders of others lost.
        is_new: Whether it is the first of its market.
        is_staged: Whether the core has what it takes of it.
    """

    event: Event
    inp: Input
    book: Book
    trades: list[TradeRow]
    departures: list[Departure]
    is_new: bool = False
    is_staged: bool = False


class Edge:
    """Stamps and admits the events of a run.

    Args:
        clock: Says when they are.
        max_skew_ns: How far a venue's time may be ahead of ours.
        instrument_of: Gives the instrument of a market by its name, asked once.

    >>> from ami_engine.clock import EventClock
    >>> edge = Edge(EventClock(), 10**9, lambda name: Instrument(market_id=name))
    >>> admitted = edge.admit(Event(market_id="M", ts_ns=5, bid=0.49, ask=0.51))
    >>> admitted.is_new, admitted.inp.cell, admitted.inp.now_ns, admitted.book.mid
    (True, 0, 5, 0.5)
    >>> edge.admit(Event(market_id="M", ts_ns=4, bid=0.48)).event.bad.reason
    'out_of_order'
    """

    def __init__(
        self,
        clock: Clock,
        max_skew_ns: DurationNs,
        instrument_of: Callable[[str], Instrument],
    ) -> None:
        self.clock = clock
        self.market_ids: list[str] = []
        self.markets: dict[str, EdgeMarket] = {}
        self._max_skew_ns = max_skew_ns
        self._instrument_of = instrument_of
        self._parts = Parts()
        self._is_plain = True
        self._nowhere = Book()
        self._out = Admitted(Event(), Input(), self._nowhere, [], [])

    def counts(self) -> dict[str, FeedCounts]:
        """Give what went wrong with the messages, by market."""
        return {
            name: FeedCounts(
                market.builder.gaps,
                market.builder.resyncs,
                market.channels.lost,
                market.builder.late_quotes,
                market.builder.unknown_orders,
            )
            for name, market in self.markets.items()
        }

    def admit(self, event: Event) -> Admitted:
        """Judge whether a market event may change the state, and write it as an input.

        The order is by sequence number in its market and channel, else by our time of receipt, else
        by the venue's. The book builder reads what is in order.
        """
        out = self._out
        out.event = event
        out.is_new = out.is_staged = False
        if event.bad is not None:
            self._write_unreadable(event, event.bad)
            return out
        inp, parts, clock = out.inp, self._parts, self.clock
        ours, venues = event.received_ns, event.ts_ns
        ts_ns = NONE if venues is None else venues
        stamp_ns = ts_ns if ours is None else ours
        read_parts(parts, event)
        carried = parts.carried
        has_levels = parts.levels_bids == 1 or parts.levels_asks == 1
        has_book = 1 if has_levels or carried != 0 else 0
        now_ns = clock.stamp_ns(stamp_ns, 0 if ours is None else 1, has_book)
        market = self.markets.get(event.market_id)
        if market is None:
            market = self._begin(event.market_id)
        trades, settlement = event.trades, event.settlement
        if market is None:
            code = TOO_MANY_MARKETS
            inp.cell = NONE
            inp.by_order = inp.public_orders = 0
        else:
            inp.cell = market.number
            code = self._order(market, event, ts_ns, stamp_ns, now_ns, has_book)
            if code == OK:
                low, high = market.price_min, market.price_max
                if has_book == 1:
                    code = build_parts(market.builder, parts, market.book, event, market.staged, low, high)
                else:
                    pass_by(market.builder, event)
                if code == OK and trades:
                    code = _judge_trades(trades, low, high)
                if code == OK and settlement is not None and not low <= settlement <= high:
                    code = INVALID_SETTLEMENT
        in_order = 1 if code in READ else 0
        inp.bad = code
        inp.is_read = in_order
        inp.now_ns = clock.settle_ns(stamp_ns, now_ns, in_order)
        inp.ts_ns = ts_ns
        inp.has_book = has_book
        inp.is_quote = 1 if carried & (TOP | QUOTE) != 0 else 0
        has_more = event.status is not None or settlement is not None or event.funding_rate is not None
        if has_more or has_levels or trades or not self._is_plain:
            self._write_rest(event, market)
        inp.shows_bids = 1 if carried & SHOWS_BIDS != 0 or parts.levels_bids == 1 else 0
        inp.shows_asks = 1 if carried & SHOWS_ASKS != 0 or parts.levels_asks == 1 else 0
        if market is not None:
            if code == OK and has_book == 1:
                market.book, market.staged = market.staged, market.book
                out.book = market.book
            builder = market.builder
            inp.by_order = builder.follows_orders
            inp.public_orders = builder.orders.added
        if code != OK:
            out.event = msgspec.structs.replace(event, bad=Bad(NAMES[code]))
        return out

    def timer(self, market_id: str, due_ns: UnixNs) -> Admitted:
        """Give the timer event of a market; what was admitted last stays valid."""
        event = Event(kind="timer", market_id=market_id, ts_ns=due_ns)
        inp = Input(kind=TIMER, cell=self.markets[market_id].number, now_ns=due_ns, ts_ns=due_ns)
        return Admitted(event, inp, self._nowhere, [], [])

    def _begin(self, name: str) -> EdgeMarket | None:
        """Begin a market; None = there is no room for one more."""
        if len(self.markets) >= MAX_MARKETS:
            return None
        bounds = self._instrument_of(name)
        market = EdgeMarket(len(self.markets), bounds.price_min, bounds.price_max)
        self.markets[name] = market
        self.market_ids.append(name)
        self._out.is_new = True
        return market

    def _order(
        self, market: EdgeMarket, event: Event, ts_ns: int, stamp_ns: int, now_ns: int, has_book: int
    ) -> int:
        """Say why an event does not come in the order of its channel; note it where it does."""
        names = market.names
        channel = names.get(event.channel)
        if channel is None:
            if len(names) == MAX_CHANNELS:
                return TOO_MANY_CHANNELS
            channel = names[event.channel] = len(names)
        number, before, is_snapshot = event.seq, NONE, 0
        if number is None:
            seq = NONE
        else:
            seq = number
            before = NONE if event.prev_seq is None else event.prev_seq
            is_snapshot = int(event.bids is not UNSET and event.asks is not UNSET)
        code = judge_order(market.channels, channel, seq, stamp_ns, is_snapshot)
        if code != OK:
            return code
        if stamp_ns - self._max_skew_ns > now_ns or ts_ns - self._max_skew_ns > now_ns:
            return FUTURE_EVENT
        note_order(market.channels, channel, seq, before, stamp_ns, has_book)
        return OK

    def _write_rest(self, event: Event, market: EdgeMarket | None) -> None:
        """Write what a plain quote does not have; those that follow find it empty."""
        inp, parts = self._out.inp, self._parts
        status, rate, settlement = event.status, event.funding_rate, event.settlement
        trades = event.trades
        inp.bad_field = NONE
        inp.n_trades = len(trades)
        self._out.trades = [
            TradeRow(trade.price, trade.size, _SIDES[trade.aggressor_side]) for trade in trades
        ]
        has_levels = parts.levels_bids == 1 or parts.levels_asks == 1
        if has_levels:
            self._write_levels(event, market)
        else:
            inp.is_snapshot = inp.is_change = inp.has_order_messages = inp.n_departures = 0
            self._out.departures = []
        inp.status = NO_STATUS if status is None else _status_of(status)
        inp.funding_rate = NAN if rate is None else rate
        inp.settlement = NAN if settlement is None else settlement
        self._is_plain = not (has_levels or trades) and status is None and rate is None and settlement is None

    def _write_levels(self, event: Event, market: EdgeMarket | None) -> None:
        """Write what an event tells of levels and orders, and what orders of others lost by it."""
        out = self._out
        inp = out.inp
        tells_orders = len(event.order_messages) > 0
        inp.is_snapshot = int(event.bids is not UNSET and event.asks is not UNSET)
        inp.is_change = int(event.deltas is not UNSET or tells_orders)
        inp.has_order_messages = int(tells_orders)
        is_built = tells_orders and market is not None and inp.is_read == 1
        out.departures = market.builder.departures if is_built and market is not None else []
        inp.n_departures = len(out.departures)

    def _write_unreadable(self, event: Event, bad: Bad) -> None:
        """Write an event that could not be decoded: it has no part but its times."""
        self._is_plain = False
        out = self._out
        inp = out.inp
        market = self.markets.get(event.market_id)
        inp.cell = NONE if market is None else market.number
        inp.bad, inp.bad_field = code_of(bad.reason)
        inp.now_ns = self.clock.last_ns()
        inp.ts_ns = NONE if event.ts_ns is None else event.ts_ns
        inp.is_read = inp.has_book = inp.is_quote = inp.shows_bids = inp.shows_asks = 0
        inp.is_snapshot = inp.is_change = inp.has_order_messages = 0
        inp.n_trades = inp.n_departures = 0
        inp.by_order = 0 if market is None else market.builder.follows_orders
        inp.public_orders = 0 if market is None else market.builder.orders.added
        inp.status = NO_STATUS
        inp.funding_rate = inp.settlement = NAN
        out.trades, out.departures = [], []


def _judge_trades(trades: tuple[Trade, ...], price_min: float, price_max: float) -> int:
    for trade in trades:
        if not price_min < trade.price <= price_max:
            return INVALID_TRADE
    return OK


def _status_of(status: str) -> int:
    word = status.lower()
    return RECONNECTED if word == "reconnected" else HALTED if word in HALTS else OPEN


def code_of(reason: str) -> tuple[int, int]:
    """Give the number of the reason of an event that cannot be read, and of its field, -1 = none.

    >>> NAMES[code_of("invalid_input:bid")[0]], NAMES[code_of("invalid_input:depth")[0]]
    ('invalid_input:bid', 'invalid_input')
    """
    name, _, subject = reason.partition(":")
    code = _CODES.get(reason)
    return _CODES.get(name, INVALID_INPUT) if code is None else code, _PLACES.get(subject, NONE)


def reason_of(bad: int, bad_field: int) -> str:
    """Give the recorded reason of an input that changes no state; of a defect not what the source calls it.

    >>> reason_of(*code_of("oversize_event:bids"))
    'oversize_event:bids'
    """
    name = NAMES[bad]
    return name if bad_field < 0 or ":" in name else f"{name}:{FIELDS[bad_field]}"
