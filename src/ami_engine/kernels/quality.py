"""What the data of one market were like: counts that judge nothing."""

from dataclasses import dataclass

from ami_engine.kernels.book import Book
from decision_schema.events import UNSET, Event


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


def count_event(quality: DataQuality, event: Event, book: Book, now_ns: int) -> None:
    """Count an accepted event; `book` is the one that stood before it."""
    q = quality
    q.events += 1
    if event.bids is not UNSET and event.asks is not UNSET:
        q.snapshots += 1
    if event.deltas is not UNSET or event.order_messages:
        q.changes += 1
    if event.bid is not UNSET or event.ask is not UNSET or event.has_quote:
        q.quotes += 1
    for trade in event.trades:
        q.trades += 1
        q.trades_outside += int(trade.price < book.bid or trade.price > book.ask)
    if q.first_ns < 0:
        q.first_ns = now_ns
    else:
        q.longest_silence_ns = max(q.longest_silence_ns, now_ns - q.last_ns)
    q.last_ns = now_ns
    if event.ts_ns is not None:
        q.venue_time_back += int(event.ts_ns < q.last_venue_ns)
        q.last_venue_ns = event.ts_ns
