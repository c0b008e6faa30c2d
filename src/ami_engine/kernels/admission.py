"""Rows of a table become inputs of a step: what `loop/edge.py` does with events, in numbers alone.

A row carries single prices and sizes, and at most one trade, on the channel "" of its market. It gives
what the dict of its cells gives, absent ones left out: what can be read, its order, the future, its
book, the bounds. What a row cannot say: that a side is empty (None in a dict), levels, orders, status.
"""

import math
from dataclasses import dataclass, field

from ami_engine.kernels.book import NAN, Book
from ami_engine.kernels.channels import Channels, judge_order, note_order
from ami_engine.kernels.event_clock import MAX_NS, EventTime, asks_wall, settle_event, stamp_event
from ami_engine.kernels.inputs import FIELDS, MARKET, NO_STATUS, NONE, Input, TradeRow
from ami_engine.kernels.latency import Latency, delay_ns
from ami_engine.kernels.quotes import (
    ASK,
    ASK_DEPTH,
    ASK_SIZE,
    BID,
    BID_DEPTH,
    BID_SIZE,
    DEPTH,
    MID,
    QUOTE,
    SHOWS_ASKS,
    SHOWS_BIDS,
    TOP,
    Parts,
    QuoteState,
    build_quote,
)
from decision_schema.kernel import kernel
from decision_schema.reasons import (
    CROSSED_BOOK,
    FUTURE_EVENT,
    INVALID_ASK,
    INVALID_BID,
    INVALID_INPUT,
    INVALID_MID,
    INVALID_TRADE,
    LOCKED_BOOK,
    OK,
    PRICE_JUMP,
    TOO_MANY_MARKETS,
)

RECEIVED_FIELD = FIELDS.index("received_ns")
TS_FIELD = FIELDS.index("ts_ns")
SEQ_FIELD = FIELDS.index("seq")
BID_FIELD = FIELDS.index("bid")
ASK_FIELD = FIELDS.index("ask")
MID_FIELD = FIELDS.index("mid")
BID_SIZE_FIELD = FIELDS.index("bid_size")
ASK_SIZE_FIELD = FIELDS.index("ask_size")
BID_DEPTH_FIELD = FIELDS.index("bid_depth")
ASK_DEPTH_FIELD = FIELDS.index("ask_depth")
DEPTH_FIELD = FIELDS.index("depth")
TRADES_FIELD = FIELDS.index("trades")
INFINITY = float("inf")
NEW = -2
"""Cell of a feed of which no row could be read yet: its market is to be made."""
_READ = (OK, INVALID_BID, INVALID_ASK, INVALID_MID, INVALID_TRADE, CROSSED_BOOK, LOCKED_BOOK, PRICE_JUMP)
"""Codes of rows that came in order, be they usable or not."""


@dataclass(slots=True)
class MarketRow:
    """One row of a table: -1 (times, seq) and nan (the rest) are absent.

    Args:
        feed: Number of its market among the feeds.
        ts_ns: The venue's time; `received_ns` ours.
        trade_price: With `trade_size` the print of the row; it has one where either is carried.
        trade_side: +1 where a buyer took, -1 a seller, 0 where none is said.
    """

    feed: int = 0
    ts_ns: int = NONE
    received_ns: int = NONE
    seq: int = NONE
    bid: float = NAN
    ask: float = NAN
    mid: float = NAN
    bid_size: float = NAN
    ask_size: float = NAN
    bid_depth: float = NAN
    ask_depth: float = NAN
    depth: float = NAN
    trade_price: float = NAN
    trade_size: float = NAN
    trade_side: int = 0


@dataclass(slots=True)
class MarketFeed:
    """What admission keeps of one market, beside its book.

    Args:
        cell: Number of the market; -1 = there is no room for it.
        seen: 1 = a row of it could be read: until then its rows belong to no market.
        price_min: Prices must be above it.
        price_max: Prices must not be above it.
        offset_ns: Added to the venue's times.
        max_skew_ns: How far a time may be ahead of the clock.
    """

    cell: int = 0
    seen: int = 0
    price_min: float = 0.0
    price_max: float = INFINITY
    offset_ns: int = 0
    max_skew_ns: int = 0
    channels: Channels = field(default_factory=Channels)
    quotes: QuoteState = field(default_factory=QuoteState)
    parts: Parts = field(default_factory=Parts)


@kernel
def venue_time(row: MarketRow, feed: MarketFeed) -> int:
    """Give the venue's time of a row by the source's clock offset; -1 = it carries none."""
    if row.ts_ns < 0:
        return NONE
    offset = feed.offset_ns
    if offset > 0 and row.ts_ns > MAX_NS - offset:
        return MAX_NS
    moved = row.ts_ns + offset
    return max(0, moved)


@kernel
def feed_delay(row: MarketRow, feed: MarketFeed, latency: Latency, seed: int) -> int:
    """Draw how long a row was under way to us, where it carries no time of ours."""
    if latency.median_ns > 0 and row.received_ns < 0:
        stamp = venue_time(row, feed)
        if stamp >= 0:
            return delay_ns(latency, seed, 0, stamp)
    return 0


@kernel
def admit_row(
    feed: MarketFeed,
    book: Book,
    staged: Book,
    time: EventTime,
    row: MarketRow,
    delay_ns: int,
    wall_ns: int,
    trades: list[TradeRow],
    trade_at: int,
    inp: Input,
) -> None:
    """Judge whether a row may change the state, and write it as an input.

    Args:
        feed: Its market.
        book: The last valid book of the market; the step that takes the input makes `staged` of it.
        staged: What the book becomes where `inp.bad` is 0 and `inp.has_book` is 1. Nobody else may
            write to it: a crossed book stands there until the next row.
        time: Clock of the run.
        row: What the row carries.
        delay_ns: How long it was under way to us, where it carries only the venue's time.
        wall_ns: The wall's time, for books that come before any time was carried.
        trades: Where its trade is written, at `trade_at`.
        trade_at: A place in `trades` that is free.
        inp: Is written anew, all of it but `asks_after`.

    >>> feed, book, staged, time, inp = MarketFeed(), Book(), Book(), EventTime(), Input()
    >>> row = MarketRow(ts_ns=5, bid=0.49, ask=0.51)
    >>> admit_row(feed, book, staged, time, row, 0, 0, [TradeRow()], 0, inp)
    >>> inp.bad, inp.now_ns, inp.is_quote, staged.mid
    (0, 5, 1, 0.5)
    """
    parts = feed.parts
    inp.kind = MARKET
    inp.bad = OK
    inp.is_read = 0
    inp.now_ns = time.last_ns
    inp.trade_at = trade_at
    inp.n_trades = 0
    inp.is_snapshot = 0
    inp.is_change = 0
    inp.departure_at = 0
    inp.n_departures = 0
    inp.by_order = 0
    inp.public_orders = 0
    inp.has_order_messages = 0
    inp.status = NO_STATUS
    inp.funding_rate = NAN
    inp.settlement = NAN
    wrong = read_row(parts, row)
    carried = parts.carried
    inp.bad_field = wrong
    inp.ts_ns = NONE if wrong == RECEIVED_FIELD else venue_time(row, feed)
    inp.has_book = int(carried != 0)
    inp.is_quote = int(carried & (TOP | QUOTE) != 0)
    inp.shows_bids = int(carried & SHOWS_BIDS != 0)
    inp.shows_asks = int(carried & SHOWS_ASKS != 0)
    if wrong >= 0:
        inp.cell = feed.cell if feed.seen == 1 else NONE
        inp.bad = _code_of(wrong)
        return
    inp.cell = feed.cell
    stamp_ns = row.received_ns if row.received_ns >= 0 else inp.ts_ns
    if asks_wall(time, stamp_ns, inp.has_book) == 1:
        now_ns = max(time.last_ns, wall_ns)
    else:
        now_ns = stamp_event(time, stamp_ns, delay_ns if row.received_ns < 0 else 0)
    if _has_trade(row) == 1:
        trade = trades[trade_at]
        trade.price = row.trade_price
        trade.size = row.trade_size
        trade.side = row.trade_side
        inp.n_trades = 1
    if feed.cell < 0:
        inp.bad = TOO_MANY_MARKETS
        inp.now_ns = time.last_ns
        return
    feed.seen = 1
    code = judge_order(feed.channels, 0, row.seq, stamp_ns, 0)
    if code == OK and max(stamp_ns, inp.ts_ns) - feed.max_skew_ns > now_ns:
        code = FUTURE_EVENT
    if code == OK:
        note_order(feed.channels, 0, row.seq, NONE, stamp_ns, inp.has_book)
        if carried != 0:
            code = build_quote(feed.quotes, parts, book, staged, 0, feed.price_min, feed.price_max)
        if code == OK and inp.n_trades == 1 and not feed.price_min < row.trade_price <= feed.price_max:
            code = INVALID_TRADE
        inp.is_read = is_read(code)
    inp.bad = code
    inp.now_ns = settle_event(time, stamp_ns, now_ns, inp.is_read)


@kernel
def _code_of(field: int) -> int:
    """Give the reason code of a field that cannot be used."""
    if field == BID_FIELD:
        return INVALID_BID
    if field == ASK_FIELD:
        return INVALID_ASK
    if field == MID_FIELD:
        return INVALID_MID
    return INVALID_TRADE if field == TRADES_FIELD else INVALID_INPUT


@kernel
def is_read(code: int) -> int:
    """Tell whether a row was in order: it is admitted, or it was read but cannot be used."""
    return int(code in _READ)


@kernel
def read_row(parts: Parts, row: MarketRow) -> int:
    """Read the single numbers of a row; give the place in FIELDS of one that cannot be used, -1 = none.

    >>> parts = Parts()
    >>> read_row(parts, MarketRow(bid=0.49)), parts.carried == BID
    (-1, True)
    >>> FIELDS[read_row(parts, MarketRow(bid_size=-1.0))], parts.carried
    ('bid_size', 0)
    """
    parts.carried = 0
    if row.received_ns < NONE:
        return RECEIVED_FIELD
    if row.ts_ns < NONE:
        return TS_FIELD
    if row.seq < NONE:
        return SEQ_FIELD
    if math.isinf(row.bid):
        return BID_FIELD
    if math.isinf(row.ask):
        return ASK_FIELD
    if math.isinf(row.mid):
        return MID_FIELD
    if _is_no_size(row.bid_size):
        return BID_SIZE_FIELD
    if _is_no_size(row.ask_size):
        return ASK_SIZE_FIELD
    if _is_no_size(row.bid_depth):
        return BID_DEPTH_FIELD
    if _is_no_size(row.ask_depth):
        return ASK_DEPTH_FIELD
    if _is_no_size(row.depth):
        return DEPTH_FIELD
    if _has_trade(row) == 1:
        is_price = row.trade_price == row.trade_price and not math.isinf(row.trade_price)
        is_size = row.trade_size > 0.0 and row.trade_size < INFINITY
        if not is_price or not is_size or row.trade_side < -1 or row.trade_side > 1:
            return TRADES_FIELD
    carried = 0
    if row.bid == row.bid:
        carried |= BID
    if row.ask == row.ask:
        carried |= ASK
    if row.mid == row.mid:
        carried |= MID
    if row.bid_size == row.bid_size:
        carried |= BID_SIZE
    if row.ask_size == row.ask_size:
        carried |= ASK_SIZE
    if row.bid_depth == row.bid_depth:
        carried |= BID_DEPTH
    if row.ask_depth == row.ask_depth:
        carried |= ASK_DEPTH
    if row.depth == row.depth:
        carried |= DEPTH
    parts.carried = carried
    parts.bid = row.bid
    parts.ask = row.ask
    parts.mid = row.mid
    parts.bid_size = row.bid_size
    parts.ask_size = row.ask_size
    parts.bid_depth = row.bid_depth
    parts.ask_depth = row.ask_depth
    parts.depth = row.depth
    return NONE


@kernel
def _is_no_size(size: float) -> bool:
    """Tell whether a carried size is negative or not finite."""
    return size < 0.0 or size == INFINITY


@kernel
def _has_trade(row: MarketRow) -> int:
    return int(row.trade_price == row.trade_price or row.trade_size == row.trade_size)
