"""The edge: an event, decoded, becomes the input of a step, or is held with the reason why.

Here stand the clock, the order of the channels and the books of what venues send; none of it depends on
what we trade, so live loop and batch run share it, and the core sees numbers only.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from ami_engine.clock import EventClock, WallClock
from ami_engine.kernels.book import Book
from ami_engine.kernels.book_builder import READ_ANYWAY, BookBuilder, Departure, build, pass_by
from ami_engine.kernels.channels import MAX_CHANNELS, Channels, judge_order, note_order
from ami_engine.kernels.inputs import HALTED, NONE, OPEN, RECONNECTED, TIMER, Input, TradeRow
from ami_engine.kernels.records import MAX_MARKETS
from decision_schema import reasons
from decision_schema.events import HALTS, UNSET, Bad, Event
from decision_schema.instruments import Instrument
from decision_schema.reasons import NAMES
from decision_schema.units import DurationNs, UnixNs

_CODES = {name: code for code, name in enumerate(NAMES)}
_READ_ANYWAY = frozenset((*READ_ANYWAY, reasons.INVALID_TRADE, reasons.INVALID_SETTLEMENT))


@dataclass(slots=True)
class EdgeMarket:
    """What is known of a market's messages: number, bounds, channels, full book."""

    number: int
    price_min: float
    price_max: float
    builder: BookBuilder = field(default_factory=BookBuilder)
    book: Book = field(default_factory=Book)
    staged: Book = field(default_factory=Book)
    channels: Channels = field(default_factory=Channels)
    channel_numbers: dict[str, int] = field(default_factory=dict)


class Admitted(NamedTuple):
    """An event at the door of a step.

    Args:
        event: With `bad` set where it is held.
        inp: The same in numbers.
        book: What its market's book becomes; valid where it is admitted and carries a part of the book.
        trades: Its public prints.
        departures: Lots that orders of others lost.
        is_new: Whether it is the first of its market.
    """

    event: Event
    inp: Input
    book: Book
    trades: list[TradeRow]
    departures: list[Departure]
    is_new: bool = False


class Edge:
    """Stamps and admits the events of a run.

    Args:
        clock: Says when they are.
        max_skew_ns: How far a venue's time may be ahead of ours.
        instrument_of: Gives the instrument of a market by its name.
    """

    def __init__(
        self,
        clock: EventClock | WallClock,
        max_skew_ns: DurationNs,
        instrument_of: Callable[[str], Instrument],
    ) -> None:
        self.clock = clock
        self.market_ids: list[str] = []
        self.markets: dict[str, EdgeMarket] = {}
        self._max_skew_ns = max_skew_ns
        self._instrument_of = instrument_of
        self._nowhere = EdgeMarket(NONE, 0.0, 0.0)

    def admit(self, event: Event) -> Admitted:
        """Judge whether an event may change the state; a refused one carries why.

        The order is by sequence number in its market and channel, else by our time of receipt, else by
        the venue's. The book builder reads what is in order.
        """
        stamp = self.clock.stamp(event)
        n_markets = len(self.market_ids)
        market = self._market_of(event)
        if event.bad is None:
            code = self._out_of_line(market, event, stamp)
            is_read = code == reasons.OK
            if is_read:
                note_order(market.channels, self._channel_of(market, event), event)
                code = _unusable(market, event)
                is_read = code == reasons.OK or code in _READ_ANYWAY
            if code != reasons.OK:
                event = msgspec.structs.replace(event, bad=Bad(NAMES[code]))
        else:
            code, is_read = code_of(event.bad), event.bad.raw is None and event.bad.reason in _READ_NAMES
        now_ns = self.clock.settle(event, stamp, in_order=is_read)
        inp = _input_of(event, market, code, is_read, now_ns)
        book = market.staged
        if code == reasons.OK and inp.has_book == 1:
            market.book, market.staged = market.staged, market.book
        trades = [
            TradeRow(trade.price, trade.size, _SIDES[trade.aggressor_side]) for trade in event.trades
        ]
        departures = market.builder.departures if inp.has_order_messages == 1 else []
        inp.n_trades, inp.n_departures = len(trades), len(departures)
        return Admitted(event, inp, book, trades, departures, len(self.market_ids) > n_markets)

    def timer(self, market_id: str, due_ns: UnixNs) -> Admitted:
        """Give the timer event of a market."""
        number = self.markets[market_id].number
        event = Event(kind="timer", market_id=market_id, ts_ns=due_ns)
        inp = Input(kind=TIMER, cell=number, now_ns=due_ns, ts_ns=due_ns)
        return Admitted(event, inp, self._nowhere.book, [], [])

    def _market_of(self, event: Event) -> EdgeMarket:
        """Give the market of an event, made at its first valid one; else a blank that trades nothing."""
        market = self.markets.get(event.market_id)
        if market is not None:
            return market
        if event.bad is not None or len(self.market_ids) >= MAX_MARKETS:
            return self._nowhere
        bounds = self._instrument_of(event.market_id)
        market = EdgeMarket(len(self.market_ids), bounds.price_min, bounds.price_max)
        self.markets[event.market_id] = market
        self.market_ids.append(event.market_id)
        return market

    def _channel_of(self, market: EdgeMarket, event: Event) -> int:
        """Give the number of an event's channel in its market; -1 = more channels than are followed."""
        number = market.channel_numbers.get(event.channel)
        if number is None:
            if len(market.channel_numbers) == MAX_CHANNELS:
                return NONE
            number = market.channel_numbers[event.channel] = len(market.channel_numbers)
        return number

    def _out_of_line(self, market: EdgeMarket, event: Event, now_ns: UnixNs) -> int:
        """Say why an event does not come in the order of its channel, or has no place in the state."""
        if market.number < 0:
            return reasons.TOO_MANY_MARKETS
        channel = self._channel_of(market, event)
        if channel < 0:
            return reasons.TOO_MANY_CHANNELS
        code = judge_order(market.channels, channel, event)
        if code != reasons.OK:
            return code
        latest = max(event.ts_ns or 0, event.received_ns or 0)
        return reasons.FUTURE_EVENT if latest > now_ns + self._max_skew_ns else reasons.OK


def code_of(bad: Bad) -> int:
    """Give the reason code of a bad input, whatever its subject."""
    code = _CODES.get(bad.reason)
    return _CODES[bad.reason.partition(":")[0]] if code is None else code


def _unusable(market: EdgeMarket, event: Event) -> int:
    """Say why an event in order must not change the market; the book builder has read it."""
    code = reasons.OK
    low, high = market.price_min, market.price_max
    if not event.has_book:
        pass_by(market.builder, event)
    else:
        code = build(market.builder, market.book, event, market.staged, low, high)
    if code != reasons.OK:
        return code
    for trade in event.trades:
        if not low < trade.price <= high:
            return reasons.INVALID_TRADE
    if event.settlement is not None and not low <= event.settlement <= high:
        return reasons.INVALID_SETTLEMENT
    return reasons.OK


_READ_NAMES = frozenset(NAMES[code] for code in _READ_ANYWAY)
_SIDES = {"buy": 1, "sell": -1, None: 0}


def _input_of(event: Event, market: EdgeMarket, code: int, is_read: bool, now_ns: UnixNs) -> Input:
    built = event.deltas is not UNSET or len(event.order_messages) > 0
    shows_bids = built or not (
        event.bids is UNSET and event.bid is UNSET and event.bid_size is UNSET and event.bid_depth is UNSET
    )
    shows_asks = built or not (
        event.asks is UNSET and event.ask is UNSET and event.ask_size is UNSET and event.ask_depth is UNSET
    )
    inp = Input(
        cell=market.number,
        bad=code,
        is_read=int(is_read),
        now_ns=now_ns,
        ts_ns=NONE if event.ts_ns is None else event.ts_ns,
        has_book=int(event.has_book),
        shows_bids=int(shows_bids),
        shows_asks=int(shows_asks),
        is_snapshot=int(event.bids is not UNSET and event.asks is not UNSET),
        is_change=int(built),
        is_quote=int(event.bid is not UNSET or event.ask is not UNSET or event.has_quote),
        by_order=market.builder.follows_orders,
        public_orders=market.builder.orders.added,
        has_order_messages=int(len(event.order_messages) > 0),
    )
    if event.status is not None:
        inp.status = _status(event.status.lower())
    if event.funding_rate is not None:
        inp.funding_rate = event.funding_rate
    if event.settlement is not None:
        inp.settlement = event.settlement
    return inp


def _status(word: str) -> int:
    if word == "reconnected":
        return RECONNECTED
    return HALTED if word in HALTS else OPEN
