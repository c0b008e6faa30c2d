"""What the data of one market were like: counts that judge nothing."""

from dataclasses import dataclass

from ami_engine.kernels.book import Book
from ami_engine.kernels.inputs import Input, TradeRow
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
def count_event(q: DataQuality, inp: Input, book: Book, trades: list[TradeRow], now_ns: int) -> None:
    """Count an accepted event; `book` is the one that stood before it."""
    q.events += 1
    q.snapshots += inp.is_snapshot
    q.changes += inp.is_change
    q.quotes += inp.is_quote
    for i in range(inp.trade_at, inp.trade_at + inp.n_trades):
        q.trades += 1
        if trades[i].price < book.bid or trades[i].price > book.ask:
            q.trades_outside += 1
    if q.first_ns < 0:
        q.first_ns = now_ns
    else:
        q.longest_silence_ns = max(q.longest_silence_ns, now_ns - q.last_ns)
    q.last_ns = now_ns
    if inp.ts_ns >= 0:
        if inp.ts_ns < q.last_venue_ns:
            q.venue_time_back += 1
        q.last_venue_ns = inp.ts_ns
