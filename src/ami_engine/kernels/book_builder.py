"""The book from what a venue sends: snapshots, changes of levels, messages of orders, quotes.

`build` merges one event over what is known and leaves the result staged. The rules, each counted:

- Changes need a snapshot first. Those that come before it wait, and are applied behind it where
  they are newer; a snapshot without a number is newer than all that came before it.
- A message that does not follow the last one (``prev_seq``) is a gap: the levels are forgotten
  until the next snapshot; quotes alone still make a book of one level a side.
- A quote stands before the levels: those at and beyond its price are hidden. Changes that are at
  least as new (``book_seq``, else the order of arrival) end it; a quote older than the levels or
  than the last quote changes nothing. Single prices without a size stand until the next quote or
  change where levels are known.
- A message about an order never seen takes only from the sizes that levels told, not from those of
  orders that are known; and it makes no order: a venue may tell of one that has ended.
- A crossed or locked book is kept but not used: the next message is merged over it.
- A mid that jumps by a factor of 100 is used once the next one bears it out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ami_engine.kernels.book import NAN, Book, copy_book, replace_asks, replace_bids
from ami_engine.kernels.depth import (
    ASKS,
    BIDS,
    DUST,
    DepthSide,
    change_level,
    copy_side,
    load_levels,
    set_level,
    size_at,
    write_below,
)
from ami_engine.kernels.public_orders import (
    PublicOrders,
    add_order,
    clear_orders,
    find_order,
    remove_order,
    requeue,
)
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
    Parts,
    QuoteState,
    build_quote,
    judge_staged,
    merge_parts,
    show_quotes,
    take_quote,
)
from decision_schema.events import UNSET, Event, Level, OrderMessage
from decision_schema.reasons import (
    AWAITING_SNAPSHOT,
    CROSSED_BOOK,
    GAP,
    INVALID_ASK,
    INVALID_BID,
    INVALID_MID,
    LOCKED_BOOK,
    OK,
    PRICE_JUMP,
    SUPERSEDED,
)

# What is known of the levels.
NO_LEVELS = 0
SYNCED = 1
AWAITING = 2
NONE = -1

MAX_PENDING = 1_000
"""Messages that wait for a snapshot; beyond them the oldest is forgotten."""

READ_ANYWAY = frozenset(
    (
        INVALID_BID,
        INVALID_ASK,
        INVALID_MID,
        CROSSED_BOOK,
        LOCKED_BOOK,
        GAP,
        AWAITING_SNAPSHOT,
        SUPERSEDED,
        PRICE_JUMP,
    )
)
"""Reasons of `build`: the event does not change the book that is used, but the builder has read it."""


class Departure(NamedTuple):
    """Lots that an order of the venue lost: what was ahead of, or behind, an order of ours.

    Args:
        side: +1 a bid, -1 an ask.
        price: Its limit.
        size: What it lost.
        number: Its place in the order of arrival; 0 = it was there before the data began.
        executed: It traded; else it was cancelled.
    """

    side: int
    price: float
    size: float
    number: int
    executed: bool


@dataclass(slots=True)
class BookBuilder:
    """What is known of a book beyond its best levels.

    Args:
        status: Whether the levels can be used.
        seq: State of the book that the levels show; -1 = not numbered.
        numbered_on: Channel whose own numbers these are; None = those of the book.
        changes_on: Channel of the last numbered change.
        shown_bids: Levels of the last snapshot, not yet in `bids`; likewise `shown_asks`.
        unread: 1 = they are not.
        bids: All levels.
        orders: Orders of everybody, in a feed that tells each.
        follows_orders: 1 = an order message was applied since the last snapshot.
        untold_bids: Then, of the sizes in `bids`, those of orders never seen; likewise `untold_asks`.
        pending: Messages that wait for a snapshot.
        quotes: Quotes that stand before the levels, and doubts about what is staged.
        parts: What the event at hand says in single numbers.
        gaps: Times that messages were lost.
        resyncs: Snapshots after a gap.
        unknown_orders: Messages about orders that were never seen, or were open when they began.
        departures: What orders lost in the last event that was built.
    """

    status: int = NO_LEVELS
    seq: int = -1
    numbered_on: str | None = None
    changes_on: str | None = None
    shown_bids: Sequence[Level] = ()
    shown_asks: Sequence[Level] = ()
    unread: int = 0
    bids: DepthSide = field(default_factory=lambda: DepthSide(BIDS))
    asks: DepthSide = field(default_factory=lambda: DepthSide(ASKS))
    orders: PublicOrders = field(default_factory=PublicOrders)
    follows_orders: int = 0
    untold_bids: DepthSide = field(default_factory=lambda: DepthSide(BIDS))
    untold_asks: DepthSide = field(default_factory=lambda: DepthSide(ASKS))
    pending: list[Event] = field(default_factory=list)
    quotes: QuoteState = field(default_factory=QuoteState)
    parts: Parts = field(default_factory=Parts)
    gaps: int = 0
    resyncs: int = 0
    unknown_orders: int = 0
    departures: list[Departure] = field(default_factory=list)

    @property
    def late_quotes(self) -> int:
        """Quotes older than the levels."""
        return self.quotes.late_quotes

    @property
    def held(self) -> int:
        """Whether what is staged is crossed, and the next message is merged over it."""
        return self.quotes.held


def build(
    builder: BookBuilder, book: Book, event: Event, staged: Book, price_min: float, price_max: float
) -> int:
    """Merge an event that carries a part of the book; the result is left in `staged`.

    Args:
        builder: Moved on by every event in order, also by one whose book cannot be used.
        book: The last valid book.
        event: In order on its channel.
        staged: What `book` becomes where the answer is OK.
        price_min: Prices must be above it.
        price_max: Prices must not be above it.

    Returns:
        OK, or the reason code for which the staged book must not be used.

    >>> builder, book, staged = BookBuilder(), Book(), Book()
    >>> shown = Event(bids=((0.49, 5.0), (0.48, 9.0)), asks=((0.51, 5.0),), book_seq=10)
    >>> build(builder, book, shown, staged, 0.0, 1.0) == OK
    True
    >>> change = Event(deltas=(("buy", 0.49, 0.0),), seq=11, prev_seq=10)
    >>> build(builder, staged, change, book, 0.0, 1.0) == OK, book.bid
    (True, 0.48)
    >>> lost = Event(deltas=(("buy", 0.47, 1.0),), seq=13, prev_seq=12)
    >>> build(builder, book, lost, staged, 0.0, 1.0) == GAP
    True
    """
    parts = builder.parts
    read_parts(parts, event)
    return build_parts(builder, parts, book, event, staged, price_min, price_max)


def build_parts(
    builder: BookBuilder,
    parts: Parts,
    book: Book,
    event: Event,
    staged: Book,
    price_min: float,
    price_max: float,
) -> int:
    """Merge an event whose single numbers are read already; see `build`."""
    if builder.departures:
        builder.departures = []
    quotes = builder.quotes
    has_levels = parts.levels_bids == 1 or parts.levels_asks == 1
    if not has_levels and builder.status != SYNCED:
        return build_quote(quotes, parts, book, staged, _lost(builder), price_min, price_max)
    is_whole = event.bids is not UNSET and event.asks is not UNSET  # nothing of the last one stays
    if quotes.held == 0 and not is_whole:
        copy_book(book, staged)
    if has_levels:
        code = _levels(builder, event, staged)
        if code != OK:
            quotes.held = quotes.held if code != GAP else 0
            return code
    is_late = False
    if parts.carried & QUOTE:
        seq = builder.seq if builder.status == SYNCED and builder.numbered_on is None else NONE
        is_late = take_quote(quotes, parts, staged, seq) == 0
        if not is_late:
            _show(builder, staged)
    if has_levels or not is_late:
        merge_parts(parts, staged)
    return judge_staged(quotes, staged, book.mid, price_min, price_max)


def read_parts(parts: Parts, event: Event) -> None:
    """Read what an event says in single numbers, and of which sides it tells levels.

    >>> parts = Parts()
    >>> read_parts(parts, Event(bid=0.49, ask=None, deltas=()))
    >>> parts.carried == BID | ASK, parts.bid, parts.ask, parts.levels_bids
    (True, 0.49, nan, 1)
    """
    carried = 0
    value = event.bid
    if value is UNSET:
        parts.bid = NAN
    else:
        carried |= BID
        parts.bid = NAN if value is None else value
    value = event.ask
    if value is UNSET:
        parts.ask = NAN
    else:
        carried |= ASK
        parts.ask = NAN if value is None else value
    value = event.mid
    if value is UNSET:
        parts.mid = NAN
    else:
        carried |= MID
        parts.mid = NAN if value is None else value
    value = event.bid_size
    if value is UNSET:
        parts.bid_size = NAN
    else:
        carried |= BID_SIZE
        parts.bid_size = NAN if value is None else value
    value = event.ask_size
    if value is UNSET:
        parts.ask_size = NAN
    else:
        carried |= ASK_SIZE
        parts.ask_size = NAN if value is None else value
    value = event.bid_depth
    if value is UNSET:
        parts.bid_depth = NAN
    else:
        carried |= BID_DEPTH
        parts.bid_depth = NAN if value is None else value
    value = event.ask_depth
    if value is UNSET:
        parts.ask_depth = NAN
    else:
        carried |= ASK_DEPTH
        parts.ask_depth = NAN if value is None else value
    value = event.depth
    if value is UNSET:
        parts.depth = NAN
    else:
        carried |= DEPTH
        parts.depth = NAN if value is None else value
    parts.carried = carried
    parts.book_seq = NONE if event.book_seq is None else event.book_seq
    built = event.deltas is not UNSET or len(event.order_messages) > 0
    parts.levels_bids = int(built or event.bids is not UNSET)
    parts.levels_asks = int(built or event.asks is not UNSET)


def _lost(builder: BookBuilder) -> int:
    """Tell whether a side that no quote tells is not known any more."""
    return int(builder.status == AWAITING and builder.gaps > 0)


def _levels(builder: BookBuilder, event: Event, staged: Book) -> int:
    """Take what the event says of levels, and show it."""
    code = OK
    if event.bids is not UNSET and event.asks is not UNSET:
        code = _take_snapshot(builder, event, staged)
    elif event.bids is not UNSET:
        _read_shown(builder)
        load_levels(builder.bids, event.bids)
        if builder.follows_orders == 1:
            load_levels(builder.untold_bids, event.bids)
        builder.quotes.quoted_bid = 0
        replace_bids(staged, event.bids)
        pass_by(builder, event)
    elif event.asks is not UNSET:
        _read_shown(builder)
        load_levels(builder.asks, event.asks)
        if builder.follows_orders == 1:
            load_levels(builder.untold_asks, event.asks)
        builder.quotes.quoted_ask = 0
        replace_asks(staged, event.asks)
        pass_by(builder, event)
    if code == OK and (event.deltas is not UNSET or event.order_messages):
        code = _follow(builder, event)
        if code == OK:
            _show(builder, staged)
    return code


def _take_snapshot(builder: BookBuilder, event: Event, staged: Book) -> int:
    """Begin anew from all levels, then apply what waited and is newer."""
    seq = _seq_of(event)
    own = _numbers_of(event)
    if builder.status == SYNCED and builder.numbered_on == own and 1 < seq < builder.seq:
        return SUPERSEDED
    builder.numbered_on = own
    builder.resyncs += int(builder.status == AWAITING and builder.gaps > builder.resyncs)
    builder.status, builder.seq = SYNCED, seq
    builder.shown_bids = () if event.bids is UNSET else event.bids
    builder.shown_asks = () if event.asks is UNSET else event.asks
    builder.unread = 1
    builder.follows_orders = 0
    clear_orders(builder.orders)
    replace_bids(staged, builder.shown_bids)
    replace_asks(staged, builder.shown_asks)
    if 0 <= seq <= 1:  # the venue began to number anew
        builder.quotes.quote_seq = -1
    if seq < 0 or own is not None or builder.quotes.quote_seq <= seq:
        builder.quotes.quoted_bid = builder.quotes.quoted_ask = 0
    pending, builder.pending = builder.pending, []
    for waiting in pending:
        if 0 <= seq < _seq_of(waiting) and _same_numbers(builder, waiting):
            _follow(builder, waiting)
    if builder.status != SYNCED:
        return GAP
    if pending or builder.quotes.quoted_bid or builder.quotes.quoted_ask:
        _show(builder, staged)
    return OK


def _seq_of(event: Event) -> int:
    """Give the state of the book after the changes of an event; -1 = not numbered."""
    if event.book_seq is not None:
        return event.book_seq
    return -1 if event.seq is None else event.seq


def _same_numbers(builder: BookBuilder, event: Event) -> bool:
    """Tell whether changes are numbered as the levels are: a channel's own numbers are no other's."""
    return builder.numbered_on is None or builder.numbered_on == _numbers_of(event)


def _numbers_of(event: Event) -> str | None:
    return None if event.book_seq is not None or event.seq is None else event.channel


def pass_by(builder: BookBuilder, event: Event) -> None:
    """Count a message that changes no level, where the changes are numbered with it.

    Without it the next change would seem to follow a lost one.
    """
    if builder.status != SYNCED or event.channel != builder.changes_on or builder.changes_on is None:
        return
    seq = _seq_of(event)
    follows = event.prev_seq is None or event.prev_seq <= builder.seq
    if follows and seq > builder.seq >= 0 and _same_numbers(builder, event):
        builder.seq = seq


def _follow(builder: BookBuilder, event: Event) -> int:
    """Apply changes if they follow the levels at hand."""
    messages = event.order_messages
    if _clears(messages):
        builder.status, builder.seq = SYNCED, -1
        builder.pending = []
    if builder.status != SYNCED:
        builder.status = AWAITING
        builder.pending.append(event)
        if len(builder.pending) > MAX_PENDING:
            del builder.pending[0]
        return AWAITING_SNAPSHOT
    seq = _seq_of(event)
    same = _same_numbers(builder, event)
    before = builder.seq if same else -1
    if before >= 0 and 0 <= seq <= before:
        return SUPERSEDED
    if before >= 0 and event.prev_seq is not None and event.prev_seq > before:
        builder.status = AWAITING
        builder.gaps += 1
        builder.pending = [event]
        builder.quotes.quoted_bid = builder.quotes.quoted_ask = 0
        return GAP
    _read_shown(builder)
    if event.deltas is not UNSET:
        bids, asks = builder.bids, builder.asks
        for side, price, size in event.deltas:
            set_level(bids if side == "buy" else asks, price, size)
        if builder.follows_orders == 1:
            for side, price, size in event.deltas:
                set_level(builder.untold_bids if side == "buy" else builder.untold_asks, price, size)
    if messages and builder.follows_orders == 0:
        copy_side(builder.bids, builder.untold_bids)
        copy_side(builder.asks, builder.untold_asks)
        builder.follows_orders = 1
    for message in messages:
        _apply_order(builder, message)
    if seq >= 0:
        builder.seq = seq
        if not same:
            builder.numbered_on = _numbers_of(event)
        builder.changes_on = event.channel
    if seq < 0 or builder.numbered_on is not None or seq >= builder.quotes.quote_seq:
        builder.quotes.quoted_bid = builder.quotes.quoted_ask = 0
    return OK


def _clears(messages: Sequence[OrderMessage]) -> bool:
    for message in messages:  # noqa: SIM110 - a generator takes four times as long
        if message.op == "clear":
            return True
    return False


def _read_shown(builder: BookBuilder) -> None:
    """Put the levels of the last snapshot into the full book, where the first change needs them."""
    if builder.unread == 1:
        load_levels(builder.bids, builder.shown_bids)
        load_levels(builder.asks, builder.shown_asks)
        builder.shown_bids = builder.shown_asks = ()
        builder.unread = 0


def _apply_order(builder: BookBuilder, message: OrderMessage) -> None:
    """Apply one message about one order; of an order never seen, what its price and size tell."""
    orders = builder.orders
    if message.op == "clear":
        builder.bids.count = builder.asks.count = 0
        builder.untold_bids.count = builder.untold_asks.count = 0
        clear_orders(orders)
        return
    at = find_order(orders, message.order_id)
    if at >= 0 and message.op != "add":
        _change_known(builder, at, message)
        return
    builder.unknown_orders += int(at >= 0 or message.op != "add")
    if message.side is None or message.price is None or message.size is None:
        return
    is_bid, price, size = message.side == "buy", message.price, message.size
    depth, untold = (builder.bids, builder.untold_bids) if is_bid else (builder.asks, builder.untold_asks)
    if message.op != "add":
        told = min(size, size_at(untold, price))
        if message.op != "modify":
            change_level(untold, price, -told)
            change_level(depth, price, -told)
            executed = message.op == "execute"
            builder.departures.append(Departure(1 if is_bid else -1, price, told, 0, executed))
        elif told > 0.0 and add_order(orders, message.order_id, 1 if is_bid else -1, price, told):
            orders.numbers[find_order(orders, message.order_id)] = 0  # it was there before
            change_level(untold, price, -told)
        return
    if at >= 0:  # a number that is open already begins anew
        change_level(_side_of(builder, at), orders.prices[at], -orders.sizes[at])
        _depart(builder, at, orders.sizes[at], False)
        remove_order(orders, at)
    if size > 0.0:
        if not add_order(orders, message.order_id, 1 if is_bid else -1, price, size):
            change_level(untold, price, size)  # no room: its end will be one of an order never seen
        change_level(depth, price, size)


def _change_known(builder: BookBuilder, at: int, message: OrderMessage) -> None:
    orders = builder.orders
    side, price, size = _side_of(builder, at), orders.prices[at], orders.sizes[at]
    change_level(side, price, -size)
    if message.op == "modify":
        price = price if message.price is None else message.price
        left = size if message.size is None else message.size
        orders.peaks[at] = left
    else:
        left = 0.0 if message.op == "delete" or message.size is None else size - message.size
    if left <= DUST * orders.peaks[at]:
        _depart(builder, at, size, message.op == "execute")
        remove_order(orders, at)
        return
    if price != orders.prices[at] or left > size:  # to another price or to more: it goes to the back
        _depart(builder, at, size, False)
        requeue(orders, at)
    else:
        _depart(builder, at, size - left, message.op == "execute")
    change_level(side, price, left)
    orders.prices[at], orders.sizes[at] = price, left


def _depart(builder: BookBuilder, at: int, size: float, executed: bool) -> None:
    orders = builder.orders
    builder.departures.append(
        Departure(orders.sides[at], orders.prices[at], size, orders.numbers[at], executed)
    )


def _side_of(builder: BookBuilder, at: int) -> DepthSide:
    return builder.bids if builder.orders.sides[at] > 0 else builder.asks


def _show(builder: BookBuilder, staged: Book) -> None:
    """Write the best levels, the quote before them, into the staged book."""
    quotes = builder.quotes
    if builder.status != SYNCED:
        show_quotes(quotes, staged, _lost(builder))
        return
    _read_shown(builder)
    staged.n_bids, staged.bid_depth = _show_side(
        builder.bids, quotes.quoted_bid, quotes.bid, quotes.bid_size, staged.bid_prices, staged.bid_sizes
    )
    staged.bid = staged.bid_prices[0] if staged.n_bids > 0 else NAN
    staged.n_asks, staged.ask_depth = _show_side(
        builder.asks, quotes.quoted_ask, quotes.ask, quotes.ask_size, staged.ask_prices, staged.ask_sizes
    )
    staged.ask = staged.ask_prices[0] if staged.n_asks > 0 else NAN


def _show_side(
    side: DepthSide, quoted: int, price: float, size: float, prices: list[float], sizes: list[float]
) -> tuple[int, float]:
    if quoted == 0:
        return write_below(side, NAN, prices, sizes, 0)
    if price != price:  # the quote says that the side is empty
        return 0, 0.0
    prices[0], sizes[0] = price, size
    count, below = write_below(side, price, prices, sizes, 1)
    return count, size + below
