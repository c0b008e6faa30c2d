"""The formulas of the features: one definition each, from numbers to a number; unknown is nan."""

import math

from ami_engine.kernels.book import NAN, Book
from decision_schema.instruments import GRID_TOLERANCE, steps_of
from decision_schema.kernel import kernel

BPS = 1e4
LEVEL_DECAY = 0.5
"""Weight of a level in imbalance_w, relative to the level before it."""
LARGEST_HALF_TICK = 1e15


@kernel
def finite(value: float) -> float:
    """Give the value, or nan where it is not finite.

    >>> finite(1.5), finite(math.inf)
    (1.5, nan)
    """
    return value if value - value == 0.0 else NAN


@kernel
def part_of(value: float, whole: float) -> float:
    """Give ``value / whole``; nan where the whole is not above 0.

    >>> part_of(1.0, 4.0), part_of(1.0, 0.0)
    (0.25, nan)
    """
    return finite(value / whole) if whole > 0.0 else NAN


@kernel
def in_ticks(price: float, num: int, den: int) -> float:
    """Give a price in ticks of ``num / den``; within 1e-6 tick of a whole or half tick it is that.

    So prices on the grid and the mids between them come out exact: 0.57 is 57 ticks of 0.01,
    not 56.99999999999999.

    >>> in_ticks(0.57, 1, 100), in_ticks(0.575, 1, 100), in_ticks(0.57125, 1, 100)
    (57.0, 57.5, 57.125)
    """
    ticks = steps_of(price, num, den)
    halves = 2.0 * ticks
    if not -LARGEST_HALF_TICK < halves < LARGEST_HALF_TICK:
        return ticks
    nearest = float(math.floor(halves + 0.5))
    return 0.5 * nearest if abs(halves - nearest) <= 2.0 * GRID_TOLERANCE else ticks


@kernel
def log_change(before: float, after: float) -> float:
    """Give ``log(after / before)``; nan unless both prices are known and above 0.

    >>> log_change(2.0, 2.0), log_change(-1.0, 2.0)
    (0.0, nan)
    """
    if not (before > 0.0 and after > 0.0):
        return NAN
    ratio = after / before
    return math.log(ratio) if 0.0 < ratio < math.inf else NAN


@kernel
def spread_in_bps(bid: float, ask: float, mid: float) -> float:
    """Give the spread in 1/10,000 of the mid, ``(10⁴ ask - 10⁴ bid) / mid``; nan unless mid > 0.

    >>> spread_in_bps(0.49, 0.51, 0.5)
    400.0
    """
    return part_of(BPS * ask - BPS * bid, mid)


@kernel
def vwap(prices: list[float], sizes: list[float], n: int) -> float:
    """Give the size-weighted price of the first `n` levels, summed in their order; nan without size.

    >>> vwap([0.5, 0.25], [1.0, 3.0], 2)
    0.3125
    """
    value = 0.0
    size = 0.0
    for i in range(n):
        value += prices[i] * sizes[i]
        size += sizes[i]
    return part_of(value, size)


@kernel
def crossed_mean(bid: float, bid_size: float, ask: float, ask_size: float) -> float:
    """Weight each side's price by the other side's size: ``(bid·ask_size + ask·bid_size) / both``.

    With the best level it is the size-weighted mid (not the estimator of Stoikov 2018).

    >>> crossed_mean(0.25, 3.0, 0.75, 1.0)
    0.625
    """
    return part_of(bid * ask_size + ask * bid_size, bid_size + ask_size)


@kernel
def weighted_imbalance(book: Book) -> float:
    """Give the imbalance of all kept levels, each with half the weight of the one before it.

    Formula: ``(sum 2⁻ⁱ bid_sizeᵢ - sum 2⁻ⁱ ask_sizeᵢ) / (their sum)``, i = 0 at the best; nan where
    the size of a side is unknown.

    >>> book = Book(bid_depth=4.0, ask_depth=1.0, n_bids=2, n_asks=1)
    >>> book.bid_sizes[0], book.bid_sizes[1], book.ask_sizes[0] = 2.0, 2.0, 1.0
    >>> weighted_imbalance(book)
    0.5
    """
    if not (book.bid_depth >= 0.0 and book.ask_depth >= 0.0):
        return NAN
    bids = 0.0
    asks = 0.0
    weight = 1.0
    for i in range(book.n_bids):
        bids += weight * book.bid_sizes[i]
        weight *= LEVEL_DECAY
    weight = 1.0
    for i in range(book.n_asks):
        asks += weight * book.ask_sizes[i]
        weight *= LEVEL_DECAY
    return part_of(bids - asks, bids + asks)


@kernel
def best_bid_size(book: Book) -> float:
    """Give the size at the best bid: 0 where the side is empty, nan where it is unknown.

    >>> best_bid_size(Book(bid_depth=0.0)), best_bid_size(Book())
    (0.0, nan)
    """
    if book.n_bids > 0:
        return book.bid_sizes[0]
    return 0.0 if book.bid_depth == 0.0 else NAN


@kernel
def best_ask_size(book: Book) -> float:
    """Give the size at the best ask: 0 where the side is empty, nan where it is unknown.

    >>> best_ask_size(Book(ask_depth=0.0)), best_ask_size(Book())
    (0.0, nan)
    """
    if book.n_asks > 0:
        return book.ask_sizes[0]
    return 0.0 if book.ask_depth == 0.0 else NAN


@kernel
def order_flow(before: Book, after: Book) -> float:
    """Give the order-flow imbalance between two books, in units of base; nan with an unknown size.

    Formula: ``1{b' >= b} q' - 1{b' <= b} q`` of the best bid (price b, size q), minus the mirror of
    the best ask. An empty side stands at an infinite price with size 0.
    Source: Cont, Kukanov and Stoikov (2014), section 2.1.

    >>> old, new = Book(bid=0.49, ask=0.51, n_bids=1, n_asks=1), Book(bid=0.5, ask=0.51, n_bids=1, n_asks=1)
    >>> old.bid_sizes[0], old.ask_sizes[0], new.bid_sizes[0], new.ask_sizes[0] = 7.0, 5.0, 3.0, 4.0
    >>> order_flow(old, new)
    4.0
    """
    bid_size = best_bid_size(before)
    ask_size = best_ask_size(before)
    new_bid_size = best_bid_size(after)
    new_ask_size = best_ask_size(after)
    if not (bid_size >= 0.0 and ask_size >= 0.0 and new_bid_size >= 0.0 and new_ask_size >= 0.0):
        return NAN
    bid = before.bid if before.n_bids > 0 else -math.inf
    ask = before.ask if before.n_asks > 0 else math.inf
    new_bid = after.bid if after.n_bids > 0 else -math.inf
    new_ask = after.ask if after.n_asks > 0 else math.inf
    flow = 0.0
    if new_bid >= bid:
        flow += new_bid_size
    if new_bid <= bid:
        flow -= bid_size
    if new_ask <= ask:
        flow -= new_ask_size
    if new_ask >= ask:
        flow += ask_size
    return flow
