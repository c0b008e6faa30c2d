"""The state of one market and its features after an input: snapshot, windowed, running.

In a step the driver calls `advance_time` first, then `accept_trade` and `accept_book` for what
the event carries, then `refresh_features`. An unknown number is nan; nothing is invented.
"""

import math
from dataclasses import dataclass

from ami_engine.kernels.book import NAN, Book, copy_book
from ami_engine.kernels.formulas import (
    BPS,
    best_ask_size,
    best_bid_size,
    crossed_mean,
    finite,
    in_ticks,
    log_change,
    order_flow,
    part_of,
    spread_in_bps,
    vwap,
    weighted_imbalance,
)
from ami_engine.kernels.rolling import (
    Ring,
    new_ring,
    ring_max,
    ring_mean,
    ring_median,
    ring_percentile,
    ring_push,
    ring_push_ordered,
    ring_std,
    ring_sum,
    ring_sum_of_squares,
)
from decision_schema.instruments import Instrument
from decision_schema.kernel import kernel

# Index of every feature in MarketState.features; the catalogue has them in the same order.
MID = 0
SPREAD = 1
SPREAD_BPS = 2
SPREAD_TICKS = 3
DEPTH = 4
BID_DEPTH = 5
ASK_DEPTH = 6
IMBALANCE = 7
IMBALANCE_W = 8
MICROPRICE = 9
MICROPRICE_ALPHA_TICKS = 10
VWAP_BID = 11
VWAP_ASK = 12
PRESSURE_TICKS = 13
COST_TICKS = 14
SIGMA = 15
SIGMA_5M = 16
SIGMA_SPIKE_Z = 17
REALIZED_VOL_5M = 18
SPREAD_MED_5M = 19
DEPTH_P10_5M = 20
STALENESS_MAX_5M = 21
STALENESS_MS = 22
ORDER_FLOW_IMBALANCE = 23
TRADE_IMBALANCE = 24
TRADE_INTENSITY = 25
N_MARKET_FEATURES = 26
MARKOUT_1_TICKS = 26
MARKOUT_5_TICKS = 27
MARKOUT_15_TICKS = 28
MARKOUT_60_TICKS = 29
ADVERSE_15_TICKS = 30
ADVERSE_60_TICKS = 31
LAST_FILL_AGE_MS = 32
N_FEATURES = 33

# Windows, in samples.
WINDOW_SIGMA = 30
WINDOW_LONG = 300
WINDOW_FLOW = 9  # and the running interval
WINDOW_TRADES = 60  # and the running interval
MIN_SIGMAS = 60
"""Known sigmas without which there is no sigma_spike_z."""
SAMPLES_REMEMBERED = WINDOW_LONG + WINDOW_SIGMA + 2
"""Samples older than these cannot be seen in any feature: of a longer gap only so many are taken."""

NS_IN_MS = 1e6
NS_IN_S = 1e9
NOISE = 1e-12
"""A spread of sigma below this part of its mean is rounding, not a spread."""


@dataclass(slots=True)
class MarketState:
    """What is known of one market: its grid, its book, its samples, its features.

    Args:
        price_min: Prices must be above it.
        book: The last valid book.
        staged: The book as the event at hand would make it, merged and checked before `accept_book`.
        book_ns: Venue time of the last valid book; -1 = none yet.
        books: Books accepted.
        since_ns: Time of the step that brought the first book.
        next_sample_ns: The next boundary of the sample grid, a multiple of `sample_ns`.
        prior_mid: Mid before the event at hand.
        sampled_mid: Mid of the last sample.
        flow: Order-flow imbalance of the running interval; nan where a size was unknown.
        bought: Volume that buyers took in the running interval; `sold` by sellers.
        trades: Trades of the running interval; `trades_seen` of all time.
        flow_window: Sum over the full intervals of the window, likewise `bought_window` and so on.
        features: Values by index; nan = absent.
        book_changed: 1 while the features of the book are older than it; `sampled` of the windows.
    """

    tick_num: int
    tick_den: int
    lot_num: int
    lot_den: int
    multiplier: float
    maker_fee: float
    taker_fee: float
    fee_per_unit: bool
    price_min: float
    price_max: float
    sample_ns: int
    book: Book
    staged: Book
    changes: Ring
    sigmas: Ring
    changes_long: Ring
    spreads: Ring
    depths: Ring
    silences: Ring
    flows: Ring
    bought_ring: Ring
    sold_ring: Ring
    trades_ring: Ring
    features: list[float]
    book_ns: int = -1
    books: int = 0
    since_ns: int = 0
    next_sample_ns: int = 0
    prior_mid: float = NAN
    sampled_mid: float = NAN
    flow: float = 0.0
    bought: float = 0.0
    sold: float = 0.0
    trades: float = 0.0
    trades_seen: int = 0
    flow_window: float = 0.0
    bought_window: float = 0.0
    sold_window: float = 0.0
    trades_window: float = 0.0
    book_changed: int = 0
    sampled: int = 0


def new_market_state(instrument: Instrument, sample_ns: int) -> MarketState:
    """Make the state of a market of which nothing has been seen; `sample_ns` > 0, nanoseconds.

    >>> new_market_state(Instrument(tick_size="0.5"), 1_000_000_000).tick_den
    2
    """
    tick_num, tick_den = instrument.tick
    lot_num, lot_den = instrument.lot
    return MarketState(
        tick_num=tick_num,
        tick_den=tick_den,
        lot_num=lot_num,
        lot_den=lot_den,
        multiplier=instrument.multiplier,
        maker_fee=instrument.maker_fee,
        taker_fee=instrument.taker_fee,
        fee_per_unit=instrument.fee_per == "unit",
        price_min=instrument.price_min,
        price_max=instrument.price_max,
        sample_ns=sample_ns,
        book=Book(),
        staged=Book(),
        changes=new_ring(WINDOW_SIGMA),
        sigmas=new_ring(WINDOW_LONG),
        changes_long=new_ring(WINDOW_LONG),
        spreads=new_ring(WINDOW_LONG),
        depths=new_ring(WINDOW_LONG),
        silences=new_ring(WINDOW_LONG),
        flows=new_ring(WINDOW_FLOW),
        bought_ring=new_ring(WINDOW_TRADES),
        sold_ring=new_ring(WINDOW_TRADES),
        trades_ring=new_ring(WINDOW_TRADES),
        features=[NAN] * N_FEATURES,
    )


@kernel
def advance_time(m: MarketState, now_ns: int) -> None:
    """Take the samples due at or before `now_ns` (ns); call it first in a step, before its event.

    A sample is taken at every multiple of ``sample_ns`` after the first book, of the state
    before it. After a gap longer than any window only the last samples are taken: the others
    could not be seen any more.

    >>> m = new_market_state(Instrument(), 1_000_000_000)
    >>> advance_time(m, 1_500_000_000)
    >>> m.staged.bid, m.staged.ask, m.staged.mid = 0.49, 0.51, 0.5
    >>> accept_book(m, 1_500_000_000)
    >>> advance_time(m, 4_000_000_000)
    >>> m.spreads.count, m.next_sample_ns
    (3, 5000000000)
    """
    m.prior_mid = m.book.mid
    if m.books == 0:
        m.since_ns = now_ns
        m.next_sample_ns = now_ns - now_ns % m.sample_ns + m.sample_ns
        return
    if now_ns < m.next_sample_ns:
        return
    due = (now_ns - m.next_sample_ns) // m.sample_ns + 1
    if due > SAMPLES_REMEMBERED:
        m.next_sample_ns += (due - SAMPLES_REMEMBERED) * m.sample_ns
        due = SAMPLES_REMEMBERED
    for _ in range(due):
        _take_sample(m)


@kernel
def accept_book(m: MarketState, event_ns: int) -> None:
    """Make the staged book the book; `event_ns` is its venue time (ns).

    The order flow between the two is added to the running interval.

    >>> m = new_market_state(Instrument(), 1_000_000_000)
    >>> m.staged.bid, m.staged.ask, m.staged.mid = 0.49, 0.51, 0.5
    >>> accept_book(m, 7)
    >>> m.book.mid, m.book_ns
    (0.5, 7)
    """
    if m.books > 0:
        m.flow += order_flow(m.book, m.staged)
    copy_book(m.staged, m.book)
    m.books += 1
    m.book_ns = event_ns
    m.book_changed = 1


@kernel
def accept_trade(m: MarketState, price: float, size: float, side: int) -> None:
    """Count one public trade; `side` is +1 where a buyer took, -1 a seller, 0 where none is said.

    Without a side it is judged against the mid before the event: above = buy, below = sell,
    equal or mid unknown = counted, but on neither side. Trades before the first book are not
    counted.

    >>> m = new_market_state(Instrument(), 1_000_000_000)
    >>> m.staged.mid = 0.5
    >>> accept_book(m, 0)
    >>> advance_time(m, 1)
    >>> accept_trade(m, 0.51, 3.0, 0)
    >>> m.bought, m.sold
    (3.0, 0.0)
    """
    if m.books == 0:
        return
    m.trades += 1.0
    m.trades_seen += 1
    if side > 0 or (side == 0 and price > m.prior_mid):
        m.bought += size
    elif side < 0 or price < m.prior_mid:
        m.sold += size


@kernel
def refresh_features(m: MarketState, now_ns: int) -> None:
    """Write the market features as of `now_ns` (ns): call it last, after the event.

    Features of the book are computed after a book, windows after a sample, the rest each time.

    >>> m = new_market_state(Instrument(), 1_000_000_000)
    >>> m.staged.bid, m.staged.ask, m.staged.mid = 0.49, 0.51, 0.5
    >>> accept_book(m, 0)
    >>> refresh_features(m, 2_500_000)
    >>> m.features[SPREAD_BPS], m.features[STALENESS_MS]
    (400.0, 2.5)
    """
    if m.book_changed == 1:
        _write_book(m)
        m.book_changed = 0
    if m.sampled == 1:
        _write_windows(m)
        m.sampled = 0
    _write_running(m, now_ns)


@kernel
def sample_mid(m: MarketState, mid: float) -> None:
    """Take one sample of the mid: its log change, and sigma over the last changes.

    A change needs two known mids above 0 in a row; sigma needs two changes.

    >>> m = new_market_state(Instrument(), 1_000_000_000)
    >>> sample_mid(m, 1.0), sample_mid(m, 1.0), m.changes.count
    (None, None, 1)
    """
    change = log_change(m.sampled_mid, mid)
    m.sampled_mid = mid
    ring_push(m.changes, change)
    ring_push(m.changes_long, change)
    ring_push(m.sigmas, _sigma(m.changes))
    m.sampled = 1


@kernel
def _take_sample(m: MarketState) -> None:
    book = m.book
    sample_mid(m, book.mid)
    ring_push_ordered(m.spreads, spread_in_bps(book.bid, book.ask, book.mid))
    ring_push_ordered(m.depths, book.depth)
    ring_push_ordered(m.silences, float(m.next_sample_ns - m.book_ns) / NS_IN_MS)
    ring_push(m.flows, m.flow)
    ring_push(m.bought_ring, m.bought)
    ring_push(m.sold_ring, m.sold)
    ring_push(m.trades_ring, m.trades)
    m.flow = 0.0
    m.bought = 0.0
    m.sold = 0.0
    m.trades = 0.0
    m.next_sample_ns += m.sample_ns


@kernel
def _write_book(m: MarketState) -> None:
    book = m.book
    f = m.features
    mid_ticks = in_ticks(book.mid, m.tick_num, m.tick_den)
    f[MID] = book.mid
    f[SPREAD] = book.ask - book.bid
    f[SPREAD_BPS] = spread_in_bps(book.bid, book.ask, book.mid)
    f[SPREAD_TICKS] = in_ticks(book.ask, m.tick_num, m.tick_den) - in_ticks(book.bid, m.tick_num, m.tick_den)
    f[DEPTH] = book.depth
    f[BID_DEPTH] = book.bid_depth
    f[ASK_DEPTH] = book.ask_depth
    f[IMBALANCE] = part_of(book.bid_depth - book.ask_depth, book.bid_depth + book.ask_depth)
    f[IMBALANCE_W] = weighted_imbalance(book)
    f[MICROPRICE] = crossed_mean(book.bid, best_bid_size(book), book.ask, best_ask_size(book))
    f[MICROPRICE_ALPHA_TICKS] = in_ticks(f[MICROPRICE], m.tick_num, m.tick_den) - mid_ticks
    f[VWAP_BID] = vwap(book.bid_prices, book.bid_sizes, book.n_bids)
    f[VWAP_ASK] = vwap(book.ask_prices, book.ask_sizes, book.n_asks)
    pressure = crossed_mean(f[VWAP_BID], book.bid_depth, f[VWAP_ASK], book.ask_depth)
    f[PRESSURE_TICKS] = in_ticks(pressure, m.tick_num, m.tick_den) - mid_ticks
    charged = 1.0 / m.multiplier if m.fee_per_unit else abs(book.mid)
    f[COST_TICKS] = 2.0 * m.maker_fee * in_ticks(charged, m.tick_num, m.tick_den)
    for i in range(SIGMA):
        f[i] = finite(f[i])


@kernel
def _write_windows(m: MarketState) -> None:
    f = m.features
    sigma = _sigma(m.changes)
    f[SIGMA] = sigma
    f[SIGMA_5M] = _sigma(m.changes_long)
    f[SIGMA_SPIKE_Z] = NAN
    if m.sigmas.count >= MIN_SIGMAS:
        mean = ring_mean(m.sigmas)
        std = ring_std(m.sigmas, mean)
        if std > NOISE * mean:
            f[SIGMA_SPIKE_Z] = (sigma - mean) / std
    f[REALIZED_VOL_5M] = NAN
    if m.changes_long.count > 0:
        f[REALIZED_VOL_5M] = BPS * math.sqrt(ring_sum_of_squares(m.changes_long))
    f[SPREAD_MED_5M] = ring_median(m.spreads)
    f[DEPTH_P10_5M] = ring_percentile(m.depths, 10.0)
    f[STALENESS_MAX_5M] = ring_max(m.silences)
    for i in range(SIGMA, STALENESS_MS):
        f[i] = finite(f[i])
    complete = m.flows.count == WINDOW_FLOW or m.flows.count == m.flows.tick
    m.flow_window = ring_sum(m.flows) if complete else NAN
    m.bought_window = ring_sum(m.bought_ring)
    m.sold_window = ring_sum(m.sold_ring)
    m.trades_window = ring_sum(m.trades_ring)


@kernel
def _write_running(m: MarketState, now_ns: int) -> None:
    f = m.features
    if m.books == 0:
        return
    f[STALENESS_MS] = float(now_ns - m.book_ns) / NS_IN_MS
    f[ORDER_FLOW_IMBALANCE] = NAN
    if m.books > 1 and best_bid_size(m.book) >= 0.0 and best_ask_size(m.book) >= 0.0:
        f[ORDER_FLOW_IMBALANCE] = finite(m.flow_window + m.flow)
    if m.trades_seen > 0:
        bought = m.bought_window + m.bought
        sold = m.sold_window + m.sold
        f[TRADE_IMBALANCE] = part_of(bought - sold, bought + sold)
        start = m.next_sample_ns - (m.trades_ring.count + 1) * m.sample_ns
        if start < m.since_ns:
            start = m.since_ns
        f[TRADE_INTENSITY] = part_of(m.trades_window + m.trades, float(now_ns - start) / NS_IN_S)


@kernel
def _sigma(changes: Ring) -> float:
    """Standard deviation of log changes in bps: of two at least."""
    return BPS * ring_std(changes, ring_mean(changes)) if changes.count > 1 else NAN
