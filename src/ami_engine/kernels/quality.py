"""What the data of one market were like: counts that judge nothing."""

from dataclasses import dataclass

from ami_engine.kernels.book import Book
from ami_engine.kernels.inputs import Input, TradeRow
from decision_schema.events import UNSET, Event
from decision_schema.kernel import kernel


@dataclass(slots=True)
class DataQuality:
    """Counts over the events that a market accepted.

    Args:
        events: All of them.
        snapshots: With all levels of both sides.
        changes: With changes of levels or messages of orders.
        quotes: With single best prices.
        trades: Public prints.
        trades_outside: Prints below the bid or above the ask that stood before them: the streams of a
            venue are not in step, or the print is hidden or late.
        one_sided: After which a side of the book was empty.
        halts: That stopped the trading.
        venue_time_back: Older in the venue's time than the one before; channels may interleave.
        longest_silence_ns: Longest time without an event.
        first_ns: Time of the first; -1 = none yet.
        last_ns: Time of the last.
        last_venue_ns: Venue time of the last.
    """

    events: int = 0
    snapshots: int = 0
    changes: int = 0
    quotes: int = 0
    trades: int = 0
    trades_outside: int = 0
    one_sided: int = 0
    halts: int = 0
    venue_time_back: int = 0
    longest_silence_ns: int = 0
    first_ns: int = -1
    last_ns: int = -1
    last_venue_ns: int = -1


@kernel
def count_input(quality: DataQuality, inp: Input, book: Book, trades: list[TradeRow], now_ns: int) -> None:
    """Count an admitted input; `book` is the one that stood before it.

    >>> quality = DataQuality()
    >>> inp = Input(n_trades=1, is_quote=1)
    >>> count_input(quality, inp, Book(bid=0.49, ask=0.51), [TradeRow(0.52, 1.0, 1)], 5)
    >>> quality.trades_outside, quality.quotes, quality.first_ns
    (1, 1, 5)
    """
    quality.events += 1
    quality.snapshots += inp.is_snapshot
    quality.changes += inp.is_change
    quality.quotes += inp.is_quote
    for i in range(inp.trade_at, inp.trade_at + inp.n_trades):
        price = trades[i].price
        quality.trades += 1
        quality.trades_outside += int(price < book.bid or price > book.ask)
    if quality.first_ns < 0:
        quality.first_ns = now_ns
    elif now_ns - quality.last_ns > quality.longest_silence_ns:
        quality.longest_silence_ns = now_ns - quality.last_ns
    quality.last_ns = now_ns
    if inp.ts_ns >= 0:
        quality.venue_time_back += int(inp.ts_ns < quality.last_venue_ns)
        quality.last_venue_ns = inp.ts_ns


def count_event(quality: DataQuality, event: Event, book: Book, now_ns: int) -> None:
    """Count an accepted event, as `count_input` does its numbers."""
    inp = Input(
        ts_ns=-1 if event.ts_ns is None else event.ts_ns,
        n_trades=len(event.trades),
        is_snapshot=int(event.bids is not UNSET and event.asks is not UNSET),
        is_change=int(event.deltas is not UNSET or len(event.order_messages) > 0),
        is_quote=int(event.bid is not UNSET or event.ask is not UNSET or event.has_quote),
    )
    count_input(quality, inp, book, [TradeRow(trade.price) for trade in event.trades], now_ns)
