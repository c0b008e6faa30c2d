"""The edge: events become inputs of a step in numbers, with the book, trades and departures beside them.

What may change the state is judged here, once: the order on the channel, the future, the book, the
bounds. `kernels/admission.py` has the same rules for rows of a table.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from ami_engine.clock import EventClock, WallClock
from ami_engine.kernels.book import Book
from ami_engine.kernels.book_builder import READ_ANYWAY, BookBuilder, build_parts, pass_by, read_parts
from ami_engine.kernels.channels import MAX_CHANNELS, NONE, Channels, judge_order, note_order
from ami_engine.kernels.inputs import (
    FIELDS,
    HALTED,
    NO_STATUS,
    OPEN,
    RECONNECTED,
    DepartureRow,
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
from decision_schema.units import DurationNs

NAN = float("nan")
READ = frozenset((OK, *READ_ANYWAY, INVALID_TRADE, INVALID_SETTLEMENT))
"""Codes of events that came in order, be they usable or not."""
_CODES = {name: code for code, name in enumerate(NAMES)}
_PLACES = {name: place for place, name in enumerate(FIELDS)}


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


@dataclass(slots=True)
class Admitted:
    """An event as a step takes it; valid until the next one is admitted.

    Args:
        event: With `bad` set where it may not change the state.
        inp: The same in numbers.
        book: The book that it leads to, where `inp.bad` is 0 and `inp.has_book` is 1.
        trades: Rows of its trades; `inp.n_trades` of them.
        departures: Rows of what orders of others lost; `inp.n_departures` of them.
        new_market: Name of the market that it begins, whose number is `inp.cell`; None = none.
    """

    event: Event
    inp: Input
    book: Book
    trades: list[TradeRow]
    departures: list[DepartureRow]
    new_market: str | None = None


class Edge:
    """Admits the events of a run.

    Args:
        clock: Time of the run.
        instrument_of: Gives the instrument of a market, asked once.
        max_skew_ns: How far a time may be ahead of the clock.

    >>> edge = Edge(EventClock(), lambda name: Instrument(market_id=name), 10**9)
    >>> admitted = edge.admit(Event(market_id="M", ts_ns=5, bid=0.49, ask=0.51))
    >>> admitted.new_market, admitted.inp.cell, admitted.inp.now_ns, admitted.book.mid
    ('M', 0, 5, 0.5)
    >>> edge.admit(Event(market_id="M", ts_ns=4, bid=0.48)).event.bad.reason
    'out_of_order'
    """

    def __init__(
        self,
        clock: EventClock | WallClock,
        instrument_of: Callable[[str], Instrument],
        max_skew_ns: DurationNs,
    ) -> None:
        self._clock = clock
        self._instrument_of = instrument_of
        self._max_skew_ns = max_skew_ns
        self._by_name: dict[str, EdgeMarket] = {}
        self._parts = Parts()
        self._is_plain = True
        self._out = Admitted(Event(), Input(), Book(), [TradeRow()], [DepartureRow()])
        self.market_ids: list[str] = []
        self.markets: list[EdgeMarket] = []

    def admit(self, event: Event) -> Admitted:
        """Judge whether a market event may change the state, and write it as an input.

        The order is by sequence number in its market and channel, else by our time of receipt, else
        by the venue's. The book builder reads what is in order.
        """
        out = self._out
        out.event = event
        out.new_market = None
        if event.bad is not None:
            self._write_unreadable(event, event.bad.reason)
            return out
        inp, parts, clock = out.inp, self._parts, self._clock
        ours, venues = event.received_ns, event.ts_ns
        ts_ns = NONE if venues is None else venues
        stamp_ns = ts_ns if ours is None else ours
        read_parts(parts, event)
        carried = parts.carried
        has_levels = parts.levels_bids == 1 or parts.levels_asks == 1
        has_book = 1 if has_levels or carried != 0 else 0
        now_ns = clock.stamp_ns(stamp_ns, 0 if ours is None else 1, has_book)
        market = self._by_name.get(event.market_id)
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
                    code = build_parts(
                        market.builder, parts, market.book, event, market.staged, low, high
                    )
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
        if has_levels or trades or not self._is_plain or event.status is not None:
            self._write_rest(event, market)
        elif settlement is not None or event.funding_rate is not None:
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

    def market(self, name: str) -> EdgeMarket | None:
        """Give what is kept of a market that has been seen."""
        return self._by_name.get(name)

    def _begin(self, name: str) -> EdgeMarket | None:
        """Begin a market; None = there is no room for one more."""
        if len(self.markets) >= MAX_MARKETS:
            return None
        bounds = self._instrument_of(name)
        market = EdgeMarket(len(self.markets), bounds.price_min, bounds.price_max)
        self._by_name[name] = market
        self.market_ids.append(name)
        self.markets.append(market)
        self._out.new_market = name
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
        latest = stamp_ns if stamp_ns > ts_ns else ts_ns
        if latest - self._max_skew_ns > now_ns:
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
        if trades:
            self._write_trades(trades)
        has_levels = parts.levels_bids == 1 or parts.levels_asks == 1
        if has_levels:
            self._write_levels(event, market)
        else:
            inp.is_snapshot = inp.is_change = inp.has_order_messages = inp.n_departures = 0
        inp.status = NO_STATUS if status is None else _status_of(status)
        inp.funding_rate = NAN if rate is None else rate
        inp.settlement = NAN if settlement is None else settlement
        self._is_plain = not (has_levels or trades) and status is None and rate is None and settlement is None

    def _write_trades(self, trades: tuple[Trade, ...]) -> None:
        rows = self._out.trades
        while len(rows) < len(trades):
            rows.append(TradeRow())
        for row, trade in zip(rows, trades, strict=False):
            side = trade.aggressor_side
            row.price = trade.price
            row.size = trade.size
            row.side = 0 if side is None else 1 if side == "buy" else -1

    def _write_levels(self, event: Event, market: EdgeMarket | None) -> None:
        """Write what an event tells of levels and orders, and what orders of others lost by it."""
        inp, rows = self._out.inp, self._out.departures
        tells_orders = len(event.order_messages) > 0
        inp.is_snapshot = int(event.bids is not UNSET and event.asks is not UNSET)
        inp.is_change = int(event.deltas is not UNSET or tells_orders)
        inp.has_order_messages = int(tells_orders)
        inp.n_departures = 0
        if not tells_orders or market is None or inp.is_read == 0:
            return
        departures = market.builder.departures
        inp.n_departures = len(departures)
        while len(rows) < len(departures):
            rows.append(DepartureRow())
        for row, departure in zip(rows, departures, strict=False):
            row.side, row.price, row.size, row.number, executed = departure
            row.executed = int(executed)

    def _write_unreadable(self, event: Event, reason: str) -> None:
        """Write an event that could not be decoded: it has no part but its times."""
        self._is_plain = False
        inp = self._out.inp
        market = self._by_name.get(event.market_id)
        inp.cell = NONE if market is None else market.number
        inp.bad, inp.bad_field = code_of(reason)
        inp.now_ns = self._clock.last_ns()
        inp.ts_ns = NONE if event.ts_ns is None else event.ts_ns
        inp.is_read = inp.has_book = inp.is_quote = inp.shows_bids = inp.shows_asks = 0
        inp.is_snapshot = inp.is_change = inp.has_order_messages = 0
        inp.n_trades = inp.n_departures = 0
        inp.by_order = 0 if market is None else market.builder.follows_orders
        inp.public_orders = 0 if market is None else market.builder.orders.added
        inp.status = NO_STATUS
        inp.funding_rate = inp.settlement = NAN


def _judge_trades(trades: tuple[Trade, ...], price_min: float, price_max: float) -> int:
    for trade in trades:
        if not price_min < trade.price <= price_max:
            return INVALID_TRADE
    return OK


def _status_of(status: str) -> int:
    word = status.lower()
    return RECONNECTED if word == "reconnected" else HALTED if word in HALTS else OPEN


def code_of(reason: str) -> tuple[int, int]:
    """Give the number of the reason of an event that could not be decoded, and of the field, -1 = none.

    >>> code, place = code_of("invalid_input:bid")
    >>> code == INVALID_INPUT, FIELDS[place]
    (True, 'bid')
    """
    name, _, subject = reason.partition(":")
    return _CODES.get(name, INVALID_INPUT), _PLACES.get(subject, NONE)


def reason_of(bad: int, bad_field: int) -> str:
    """Give the recorded reason of an input that changes no state.

    >>> reason_of(*code_of("oversize_event:bids"))
    'oversize_event:bids'
    """
    return NAMES[bad] if bad_field < 0 else f"{NAMES[bad]}:{FIELDS[bad_field]}"
