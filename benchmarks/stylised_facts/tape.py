"""One pass over a source: the states of its book, its trades, and what became of the probes."""

import dataclasses
from array import array
from dataclasses import dataclass

import numpy as np

from ami_engine.kernels.book import Book
from ami_engine.kernels.book_builder import BookBuilder, build, pass_by
from ami_engine.kernels.channels import Channels, take_in_order
from ami_engine.kernels.venue import BUY, SELL, Venue, aggressor_by_quote, load_side, trade_ticks, venue_for
from ami_engine.ports import MarketDataSource
from benchmarks.stylised_facts.probes import Probe, Probes
from decision_schema.decode_event import decode_event
from decision_schema.events import Event
from decision_schema.instruments import Instrument
from decision_schema.reasons import OK

NS = 1_000_000_000
DEEP = 5
"""Levels a side whose sizes are added up."""
BOOK = np.dtype([(name, "f8") for name in ("at", "bid", "ask", "bid1", "ask1", "bid5", "ask5")])
"""A two-sided book: seconds from the first one, prices in ticks, lots at the best and at five levels."""
TRADE = np.dtype([(name, "f8") for name in ("at", "stamp", "sign", "lots", "mid", "half", "best")])
"""A print: seconds, the venue's own time, who took (0 = not known), lots; and before it the mid and half
the spread in ticks, and the lots at the best price of the side that was taken."""


@dataclass(frozen=True)
class Tape:
    """What was seen of one market."""

    events: int
    tick: float
    books: np.ndarray
    trades: np.ndarray
    probes: list[Probe]
    end: float


def cut(tape: Tape, begin: float, end: float) -> Tape:
    """Give what was seen from `begin` to `end`, in seconds; probes are those placed in it.

    The first book is the one in force at `begin`. Of the events, those that told a book are counted.
    """
    first = max(0, int(np.searchsorted(tape.books["at"], begin, side="right")) - 1)
    books = tape.books[first : int(np.searchsorted(tape.books["at"], end))].copy()
    books["at"] = np.maximum(books["at"], begin)
    trades = tape.trades[(tape.trades["at"] >= begin) & (tape.trades["at"] < end)].copy()
    for part in (books, trades):
        part["at"] -= begin
    shift = round(begin * NS)
    probes = [
        dataclasses.replace(
            probe,
            placed_ns=probe.placed_ns - shift,
            filled_ns=probe.filled_ns - shift if 0 <= probe.filled_ns < end * NS else -1,
        )
        for probe in tape.probes
        if begin * NS <= probe.placed_ns < end * NS
    ]
    return Tape(len(books), tape.tick, books, trades, probes, end - begin)


class Recorder:
    """Takes the events of one market in order, judged as the engine judges them."""

    def __init__(self, instrument: Instrument, every_s: float, probes: Probes) -> None:
        self._instrument = instrument
        self._venue: Venue = venue_for(instrument)
        self._builder, self._channels = BookBuilder(), Channels()
        self._book, self._staged = Book(), Book()
        self._shown: dict[int, tuple[list[float], list[float]]] = {BUY: ([], []), SELL: ([], [])}
        self._names: dict[str, int] = {}
        self._every_ns = round(every_s * NS)
        self._next_ns = 0
        self._first_ns = self._now_ns = -1
        self._books, self._trades = array("d"), array("d")
        self._probes = probes
        self._events = 0

    @property
    def seconds(self) -> float:
        """Time since the first two-sided book."""
        return (self._now_ns - self._first_ns) / NS if self._first_ns >= 0 else 0.0

    def take(self, event: Event) -> None:
        """Take one event; its trades meet the book before it, as in the engine."""
        code = self._judge(event)
        if event.stamp_ns is not None:
            self._now_ns = max(self._now_ns, event.stamp_ns)
        if code != OK:
            return
        self._events += 1
        if self._first_ns >= 0:
            if self._now_ns >= self._next_ns:
                self._place()
            for trade in event.trades:
                self._take_trade(event, trade.price, trade.size, trade.aggressor_side, trade.ts_ns)
        if event.has_book:
            self._book, self._staged = self._staged, self._book
            self._take_book()

    def tape(self) -> Tape:
        """Give what was seen."""
        num, den = self._instrument.tick
        books = np.frombuffer(self._books, "f8").view(BOOK)
        trades = np.frombuffer(self._trades, "f8").view(TRADE)
        return Tape(self._events, num / den, books, trades, self._probes.every, self.seconds)

    def _judge(self, event: Event) -> int:
        if event.bad is not None:
            return -1
        channel = self._names.setdefault(event.channel, len(self._names))
        code = take_in_order(self._channels, channel, event)
        if code != OK:
            return code
        if not event.has_book:
            pass_by(self._builder, event)
            return OK
        low, high = self._instrument.price_min, self._instrument.price_max
        return build(self._builder, self._book, event, self._staged, low, high)

    def _place(self) -> None:
        """Place probes into the book as it stood before this event."""
        self._next_ns += (self._now_ns - self._next_ns) // self._every_ns * self._every_ns + self._every_ns
        if self._venue.bids.n_levels and self._venue.asks.n_levels:
            self._probes.place(self._now_ns - self._first_ns, self._venue)

    def _take_trade(
        self, event: Event, price: float, size: float, aggressor: str | None, stamp_ns: int | None
    ) -> None:
        venue, book = self._venue, self._book
        if aggressor is None:
            sign = aggressor_by_quote(price, book.mid)
        else:
            sign = BUY if aggressor == "buy" else SELL
        lots = size * venue.lot_den / venue.lot_num
        taken = venue.asks if sign == BUY else venue.bids
        best = taken.lots[0] if sign and taken.n_levels else np.nan
        mid, half = self._mid_and_half()
        own = stamp_ns or event.ts_ns or self._now_ns
        self._trades.extend((self.seconds, (own - self._first_ns) / NS, sign, lots, mid, half, best))
        if sign:
            ticks = trade_ticks(price, sign, venue.tick_num, venue.tick_den)
            self._probes.on_trade(self._now_ns - self._first_ns, sign, ticks, lots)

    def _mid_and_half(self) -> tuple[float, float]:
        venue, book = self._venue, self._book
        scale = venue.tick_den / venue.tick_num
        return book.mid * scale, 0.5 * (book.ask - book.bid) * scale

    def _take_book(self) -> None:
        book, venue = self._book, self._venue
        bids, asks = venue.bids, venue.asks
        parts = {
            BUY: (book.bid_prices[: book.n_bids], book.bid_sizes[: book.n_bids]),
            SELL: (book.ask_prices[: book.n_asks], book.ask_sizes[: book.n_asks]),
        }
        changed = {side: part != self._shown[side] for side, part in parts.items()}
        for side, part in parts.items():
            if changed[side]:
                load_side(venue, side, len(part[0]), *part)
        self._shown = parts
        two_sided = bids.n_levels > 0 and asks.n_levels > 0
        if two_sided and self._first_ns < 0:
            self._first_ns = self._next_ns = self._now_ns
        if self._first_ns >= 0:
            self._probes.on_book(self._now_ns - self._first_ns, venue, changed)
        if two_sided:
            scale = venue.tick_den / venue.tick_num
            deep_bid = sum(bids.lots[: min(DEEP, bids.n_levels)])
            deep_ask = sum(asks.lots[: min(DEEP, asks.n_levels)])
            at, bid, ask = self.seconds, round(book.bid * scale, 6), round(book.ask * scale, 6)
            self._books.extend((at, bid, ask, bids.lots[0], asks.lots[0], deep_bid, deep_ask))


def record(
    source: MarketDataSource,
    instrument: Instrument,
    seconds: float | None,
    every_s: float,
    probes: Probes | None = None,
) -> Tape:
    """Read a source to its end, or for so many seconds from its first two-sided book."""
    recorder = Recorder(instrument, every_s, probes or Probes())
    while (raw := source.next_event()) is not None:
        event = decode_event(raw, instrument.market_id, getattr(source, "clock_offset_ns", 0))
        if event.market_id != instrument.market_id or event.kind != "market":
            continue
        recorder.take(event)
        if seconds is not None and recorder.seconds > seconds:
            break
    return recorder.tape()
