"""MarketSurvey: what one market's events are like, judged as the engine judges them, in constant memory."""

from collections import Counter

from ami_engine.adapters.inspecting.course import Course
from ami_engine.adapters.inspecting.grid_seen import GridSeen
from ami_engine.adapters.inspecting.inspected import MarketFigures, Picture, PriceFigures, SpreadFigures
from ami_engine.adapters.inspecting.quantiles import Quantiles
from ami_engine.kernels.book import Book
from ami_engine.kernels.book_builder import BookBuilder, build, pass_by
from ami_engine.kernels.channels import MAX_CHANNELS, Channels, take_in_order
from decision_schema.events import HALTS, UNSET, Event
from decision_schema.reasons import (
    INVALID_TRADE,
    NAMES,
    OK,
    TOO_MANY_CHANNELS,
)
from decision_schema.units import NS_PER_SECOND, DurationNs, Price, UnixNs

PARTS = ("quotes", "snapshots", "book_changes", "order_messages", "trades")
_PRICE_MIN, _PRICE_MAX = 0.0, float("inf")
_DIGITS = 10
"""Decimals of a spread that are given: what is finer is rounding."""


class PriceRange:
    """First, last, lowest and highest of some prices, and their course."""

    def __init__(self) -> None:
        self.first = self.last = self.low = self.high = float("nan")
        self.course = Course()

    def add(self, at_ns: UnixNs, price: Price, spread_bps: float) -> None:
        """Take one price; a time below 0 = it has none."""
        if self.first != self.first:
            self.first = self.low = self.high = price
        self.last = price
        if price < self.low:
            self.low = price
        elif price > self.high:
            self.high = price
        if at_ns >= 0:
            self.course.add(at_ns, price, spread_bps)


class MarketSurvey:
    """Take the events of one market in order; `figures` says what they were like.

    The order of events and the book are judged as in the engine, for an instrument without bounds.
    """

    def __init__(self, market_id: str) -> None:
        self.market_id = market_id
        self.events = 0
        self.refused: Counter[str] = Counter()
        self.sizes = GridSeen()
        self.parts = dict.fromkeys(PARTS, 0)
        self._odd: Counter[str] = Counter()
        self._builder = BookBuilder()
        self._book, self._staged = Book(), Book()
        self._names: dict[str, int] = {}
        self._channels = Channels()
        self._mids, self._prints = PriceRange(), PriceRange()
        self._spreads, self._spreads_bps = Quantiles(), Quantiles()
        self._prices, self._print_prices = GridSeen(), GridSeen()
        self._first_ns = self._last_ns = self._venue_ns = -1
        self._silence_ns = 0
        self._halted = False

    def take(self, event: Event) -> None:
        """Take one event that could be decoded."""
        self.events += 1
        self._take_times(event)
        self._count_parts(event)
        for trade in event.trades:
            self._odd["trades_outside_quote"] += trade.price < self._book.bid or trade.price > self._book.ask
            self._prints.add(self._last_ns, trade.price, 0.0)
            self._print_prices.add(trade.price)
            self.sizes.add(trade.size)
        code = self._judge(event)
        if code != OK:
            self.refused[NAMES[code]] += 1
        elif event.has_book:
            self._accept_book()
        if event.status is not None:
            halted = event.status.lower() in HALTS
            self._odd["halts"] += halted and not self._halted
            self._halted = halted

    def _take_times(self, event: Event) -> None:
        stamp, venue = event.stamp_ns, event.ts_ns
        if stamp is not None:
            if self._first_ns < 0:
                self._first_ns = self._last_ns = stamp
            self._silence_ns = max(self._silence_ns, stamp - self._last_ns)
            self._first_ns = min(self._first_ns, stamp)
            self._last_ns = max(self._last_ns, stamp)
        if venue is not None:
            self._odd["venue_time_back"] += venue < self._venue_ns
            self._venue_ns = venue

    def _count_parts(self, event: Event) -> None:
        parts = self.parts
        if event.bids is not UNSET or event.asks is not UNSET:
            parts["snapshots"] += 1
        elif event.bid is not UNSET or event.ask is not UNSET or event.has_quote:
            parts["quotes"] += 1
        if event.deltas is not UNSET:
            parts["book_changes"] += 1
        parts["order_messages"] += len(event.order_messages)
        parts["trades"] += len(event.trades)

    def _judge(self, event: Event) -> int:
        """Judge the order of an event, then its trades and its book, which is left staged."""
        channel = self._names.setdefault(event.channel, len(self._names))
        if channel >= MAX_CHANNELS:
            return TOO_MANY_CHANNELS
        code = take_in_order(self._channels, channel, event)
        if code != OK:
            return code
        if not event.has_book:
            pass_by(self._builder, event)
        else:
            code = build(self._builder, self._book, event, self._staged, _PRICE_MIN, _PRICE_MAX)
        if code == OK and any(trade.price <= _PRICE_MIN for trade in event.trades):
            return INVALID_TRADE
        return code

    def _accept_book(self) -> None:
        self._book, self._staged = self._staged, self._book
        book = self._book
        bid, ask = book.bid, book.ask
        self._odd["one_sided"] += book.n_bids == 0 or book.n_asks == 0
        self._prices.add(bid)
        self._prices.add(ask)
        if book.n_bids > 0:
            self.sizes.add(book.bid_sizes[0])
        if book.n_asks > 0:
            self.sizes.add(book.ask_sizes[0])
        if book.mid == book.mid:
            spread = ask - bid
            bps = 0.0
            if spread == spread:
                bps = 10_000.0 * spread / book.mid
                self._spreads.add(spread)
                self._spreads_bps.add(bps)
            self._mids.add(self._last_ns, book.mid, bps)

    @property
    def unpriced_ns(self) -> DurationNs:
        """Time at the end without a price."""
        end_ns = self._range().course.end_ns
        return 0 if end_ns < 0 else self._last_ns - end_ns

    @property
    def span_ns(self) -> DurationNs:
        """From the earliest event to the latest."""
        return self._last_ns - self._first_ns

    @property
    def prices(self) -> tuple[Price, Price]:
        """Lowest and highest price; nan = there was none."""
        return self._range().low, self._range().high

    @property
    def grid(self) -> GridSeen:
        """The grid of best prices; of trades where there was no book."""
        return self._prices if self._prices.count else self._print_prices

    def figures(self) -> MarketFigures:
        """Say what the events were like."""
        builder = self._builder
        odd = {
            **self._odd,
            "messages_lost": self._channels.lost,
            "gaps": builder.gaps,
            "resyncs": builder.resyncs,
            "late_quotes": builder.late_quotes,
            "unknown_orders": builder.unknown_orders,
        }
        seconds = self.span_ns / NS_PER_SECOND
        timed = self._first_ns >= 0
        return MarketFigures(
            market_id=self.market_id,
            events=self.events,
            first_ns=self._first_ns if timed else None,
            last_ns=self._last_ns if timed else None,
            longest_silence_seconds=self._silence_ns / NS_PER_SECOND,
            parts=self.parts,
            per_second={name: count / seconds for name, count in self.parts.items() if seconds > 0.0},
            refused=dict(self.refused.most_common()),
            odd={name: count for name, count in odd.items() if count},
            price=self._price(),
            spread=self._spread(),
            tick_hint=self.grid.step,
            lot_hint=self.sizes.step,
            picture=self._picture(),
        )

    def _range(self) -> PriceRange:
        return self._mids if self._mids.first == self._mids.first else self._prints

    def _price(self) -> PriceFigures | None:
        found = self._range()
        if found.first != found.first:
            return None
        return PriceFigures(
            of="mid" if found is self._mids else "trade",
            first=round(found.first, _DIGITS),
            last=round(found.last, _DIGITS),
            low=round(found.low, _DIGITS),
            high=round(found.high, _DIGITS),
        )

    def _spread(self) -> SpreadFigures | None:
        if self._spreads.count == 0:
            return None
        median, p5, p95 = (round(self._spreads.at(part) or 0.0, _DIGITS) for part in (0.5, 0.05, 0.95))
        of_mid = (round(self._spreads_bps.at(part) or 0.0, _DIGITS) for part in (0.5, 0.05, 0.95))
        median_bps, p5_bps, p95_bps = of_mid
        return SpreadFigures(
            median=median, p5=p5, p95=p95, median_bps=median_bps, p5_bps=p5_bps, p95_bps=p95_bps
        )

    def _picture(self) -> Picture | None:
        course = self._range().course
        if not course.buckets:
            return None
        return Picture(
            begin_ns=course.begin_ns,
            end_ns=course.end_ns,
            width_ns=course.width_ns,
            buckets=course.buckets,
        )
