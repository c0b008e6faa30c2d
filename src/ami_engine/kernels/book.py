"""The book of one market: levels best first, the top, the displayed depth; merged and checked.

Unknown numbers are nan. Counts of levels say how many entries of the fixed arrays are valid.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from decision_schema.events import MAX_LEVELS
from decision_schema.kernel import kernel
from decision_schema.reasons import CROSSED_BOOK, INVALID_ASK, INVALID_BID, INVALID_MID, LOCKED_BOOK, OK

NAN = math.nan


def _level_array() -> list[float]:
    return [NAN] * MAX_LEVELS


@dataclass(slots=True)
class Book:
    """One state of the displayed book.

    ``bid``, ``ask`` are nan where a side is empty or unknown. ``bid_depth`` is the displayed
    size of the kept levels of a side, or what the source said it is; ``depth`` the total.
    """

    bid: float = NAN
    ask: float = NAN
    mid: float = NAN
    bid_depth: float = NAN
    ask_depth: float = NAN
    depth: float = NAN
    n_bids: int = 0
    n_asks: int = 0
    bid_prices: list[float] = field(default_factory=_level_array)
    bid_sizes: list[float] = field(default_factory=_level_array)
    ask_prices: list[float] = field(default_factory=_level_array)
    ask_sizes: list[float] = field(default_factory=_level_array)


@kernel
def copy_book(source: Book, target: Book) -> None:
    """Make `target` equal to `source`; only valid levels are copied."""
    target.bid = source.bid
    target.ask = source.ask
    target.mid = source.mid
    target.bid_depth = source.bid_depth
    target.ask_depth = source.ask_depth
    target.depth = source.depth
    target.n_bids = source.n_bids
    target.n_asks = source.n_asks
    for i in range(source.n_bids):
        target.bid_prices[i] = source.bid_prices[i]
        target.bid_sizes[i] = source.bid_sizes[i]
    for i in range(source.n_asks):
        target.ask_prices[i] = source.ask_prices[i]
        target.ask_sizes[i] = source.ask_sizes[i]


@kernel
def check_book(book: Book, price_min: float, price_max: float) -> int:
    """Judge a merged book: OK, or the reason code for which it must not be used.

    >>> check_book(Book(bid=0.52, ask=0.51), 0.0, 1.0) == CROSSED_BOOK
    True
    """
    bid, ask, mid = book.bid, book.ask, book.mid
    if bid <= price_min or bid > price_max:
        return INVALID_BID
    if ask <= price_min or ask > price_max:
        return INVALID_ASK
    if mid <= price_min or mid > price_max or math.isinf(mid):
        return INVALID_MID
    if bid > ask:
        return CROSSED_BOOK
    if bid == ask:
        return LOCKED_BOOK
    if mid < bid or mid > ask:
        return INVALID_MID
    return OK


def replace_bids(staged: Book, levels: Sequence[tuple[float, float]]) -> None:
    """Put levels, best first, in the place of the bids."""
    staged.n_bids, staged.bid_depth = _load_levels(levels, staged.bid_prices, staged.bid_sizes)
    staged.bid = staged.bid_prices[0] if staged.n_bids else NAN


def replace_asks(staged: Book, levels: Sequence[tuple[float, float]]) -> None:
    """Put levels, best first, in the place of the asks."""
    staged.n_asks, staged.ask_depth = _load_levels(levels, staged.ask_prices, staged.ask_sizes)
    staged.ask = staged.ask_prices[0] if staged.n_asks else NAN


def _load_levels(
    levels: Sequence[tuple[float, float]], prices: list[float], sizes: list[float]
) -> tuple[int, float]:
    """Copy up to MAX_LEVELS levels of size > 0; return their count and total size."""
    count = 0
    total = 0.0
    for price, size in levels:
        if size <= 0.0:
            continue
        if count == MAX_LEVELS:
            break
        prices[count] = price
        sizes[count] = size
        total += size
        count += 1
    return count, total
