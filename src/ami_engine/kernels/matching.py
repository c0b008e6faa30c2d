"""The venue as our own orders see it: they meet a recorded market that they do not change.

Prices are whole ticks, our sizes whole lots; sizes of the market are lots as floats, nan where
unknown. The exact conditions, each implemented once:

 1. An order is refused while neither side of the book is known.
 2. A buy whose limit is at or above the lowest ask (no limit: any ask) takes the displayed levels
    from the best up to its limit, each at that level's price, as taker; a sell likewise.
 3. What is taken of a level is gone from the venue's copy until the market shows another size there.
 4. A post-only order that would take, or that has no limit, is refused.
 5. What an IOC order, or one without a limit, does not take at once is cancelled.
 6. A FOK order takes all of its size at once, or is cancelled without any.
 7. A reduce-only order is cut to the opposite position less what other working reduce-only orders
    of that side have open, refused if nothing is left, never filled beyond the position, and
    cancelled once there is no opposite position; where short sales are off, so is any sell beyond
    the position less other working sells.
 8. The rest of a GTC order rests, behind the size displayed at its price.
 9. A price better than the best displayed one, or between two displayed ones, has nobody ahead.
10. A price beyond the last displayed level, on a side not displayed, or of unknown size has an
    unknown queue; it stands behind all that is displayed when the price first shows.
11. What a displayed size falls by beyond what has traded there was cancelled; the queue model says
    which share of it stood behind us (`queue.share_behind`). No more can be ahead than is displayed.
12. A trade at our price whose taker is on the other side first uses up the queue ahead, then fills
    us with what remains; an unknown queue does not fill.
13. A trade through our price fills us, at our price, up to its size, and clears our queue.
14. Better prices come first, then earlier arrivals; no lot of a trade is used twice, neither by
    two of our orders nor by us and the queue between them.
15. A trade without a named taker is a buy above the middle of the book before it, a sell below; at
    the middle, or with no middle known, it does nothing.
16. A new book whose opposite side is at or through our price fills us, at our price, up to the size
    displayed there; an unknown size fills whole. This also holds for what condition 2 takes.
17. Trades of an event meet the book before the event; then its book is applied. Where a trade at our
    price comes by itself after the book that shows it, within 10 ms, what the queue lost by that book
    is given back first: it traded, it was not cancelled.
18. A replacement is one act: refused, it changes nothing; same side and price and no larger size
    keep the place in the queue; anything else leaves and arrives anew. Only a working order can be
    replaced or cancelled; a filled or cancelled one never returns.
19. The fee of a fill is its value (price x size x multiplier), or its size where fees are per unit,
    times the maker or taker rate.
20. Where the data tell each order: who was there before us is ahead, who came later is behind.
    Cancellations and executions ahead shorten the queue; an execution behind us, or at a worse price,
    would have been ours: it clears our queue and fills us up to its size. Once executions are told so,
    trades are not matched; before, one fills us only where nobody is ahead.
21. Without partial fills an order that would fill with at least one lot fills whole.
"""

import math

from ami_engine.kernels.queue import CONSERVATIVE, queue_after
from ami_engine.kernels.venue import (
    ANY_PRICE,
    BUY,
    CANCEL,
    CANCELED,
    FILL,
    FILLED,
    FOK,
    GTC,
    MAX_LOTS,
    MAX_VENUE_ORDERS,
    NAN,
    SELL,
    WORKING,
    Venue,
    VenueOrder,
    VenueSide,
    displayed_at,
)
from decision_schema.instruments import price_of
from decision_schema.kernel import kernel

BOOK_FIRST_NS = 10_000_000
"""A trade that comes so long after the displayed size fell is what made it fall."""

# Answers to an order.
ACCEPTED, NO_BOOK, WOULD_TAKE, NOTHING_TO_REDUCE, NO_SHORT, NO_SLOT, NOT_WORKING = 0, 1, 2, 3, 4, 5, 6


@kernel
def fee_of(venue: Venue, ticks: int, lots: int, maker: bool) -> float:
    """Give the fee of a fill in quote currency, positive = paid (condition 19).

    >>> fee_of(Venue(tick_num=1, tick_den=100, taker_fee=0.001), 50, 10, False)
    0.005
    """
    price = price_of(ticks, venue.tick_num, venue.tick_den)
    size = price_of(lots, venue.lot_num, venue.lot_den)
    rate = venue.maker_fee if maker else venue.taker_fee
    return size * rate if venue.fee_per_unit else price * size * venue.multiplier * rate


# ---------------------------------------------------------------- arrival


@kernel
def takeable_lots(venue: Venue, side: int, limit: int) -> float:
    """Give the whole lots that an arriving order could take within its limit; inf if unknown."""
    against = venue.asks if side == BUY else venue.bids
    total = 0.0
    for i in range(against.n_levels):
        if side * (limit - against.ticks[i]) < 0:
            break
        if against.lots[i] != against.lots[i] or (not venue.partial_fills and against.lots[i] >= 1.0):
            return math.inf
        total += against.lots[i] if against.lots[i] >= float(MAX_LOTS) else float(math.floor(against.lots[i]))
    return total


@kernel
def reducible_lots(venue: Venue, side: int, leaving: int) -> int:
    """Give the lots a new reduce-only order may have; `leaving` is the slot it replaces, or -1."""
    room = -side * venue.position
    own = venue.bids if side == BUY else venue.asks
    for i in range(own.n_orders):
        slot = own.ranked[i]
        if slot != leaving and venue.orders[slot].reduce_only:
            room -= venue.orders[slot].lots
    return max(0, room)


@kernel
def refusal_of(
    venue: Venue, side: int, limit: int, lots: int, post_only: bool, reduce_only: bool, leaving: int
) -> int:
    """Say why an order would be refused, else ACCEPTED; `leaving` is the slot it replaces, or -1.

    >>> refusal_of(Venue(), BUY, 50, 1, False, False, -1) == NO_BOOK
    True
    """
    if venue.bids.n_levels == 0 and venue.asks.n_levels == 0:
        return NO_BOOK
    if post_only and (limit == side * ANY_PRICE or takeable_lots(venue, side, limit) > 0.0):
        return WOULD_TAKE
    if reduce_only:
        room = reducible_lots(venue, side, leaving)
        if room == 0:
            return NOTHING_TO_REDUCE
        if lots > room:
            lots = room
    if side == SELL and not venue.can_short:
        room = venue.position
        for i in range(venue.asks.n_orders):
            if venue.asks.ranked[i] != leaving:
                room -= venue.orders[venue.asks.ranked[i]].lots
        if lots > room:
            return NO_SHORT
    if leaving < 0 and _free_slot(venue) < 0:
        return NO_SLOT
    return ACCEPTED


@kernel
def arrive(
    venue: Venue, side: int, limit: int, lots: int, time_in_force: int, post_only: bool, reduce_only: bool
) -> tuple[int, int]:
    """Let an order reach the venue: it is refused, takes, rests or ends.

    Args:
        venue: Changed; fills are added to its executions.
        side: BUY or SELL.
        limit: In ticks; ``side * ANY_PRICE`` = no limit.
        lots: At least 1.
        time_in_force: GTC, IOC or FOK.
        post_only: Refuse rather than take.
        reduce_only: Never more than the opposite position.

    Returns:
        ACCEPTED and the slot, whose state is WORKING, FILLED or CANCELED; or a refusal and -1.
    """
    refusal = refusal_of(venue, side, limit, lots, post_only, reduce_only, -1)
    if refusal != ACCEPTED:
        return refusal, -1
    return ACCEPTED, _place(venue, side, limit, lots, time_in_force, reduce_only)


@kernel
def _free_slot(venue: Venue) -> int:
    for slot in range(MAX_VENUE_ORDERS):
        if venue.orders[slot].state != WORKING:
            return slot
    return -1


@kernel
def _place(venue: Venue, side: int, limit: int, lots: int, time_in_force: int, reduce_only: bool) -> int:
    slot = _free_slot(venue)
    order = venue.orders[slot]
    if reduce_only:
        room = reducible_lots(venue, side, -1)
        if lots > room:
            lots = room
    order.state = WORKING
    order.side = side
    order.ticks = limit
    order.lots = lots
    order.filled = 0
    order.queue_ahead = NAN
    order.reduce_only = reduce_only
    if time_in_force != FOK or takeable_lots(venue, side, limit) >= float(lots):
        _match_levels(venue, slot, False)
    if order.state == WORKING:
        if time_in_force == GTC and limit != side * ANY_PRICE:
            own = venue.bids if side == BUY else venue.asks
            order.queue_ahead = order.shown = displayed_at(own, side, limit)
            order.traded = order.fell = order.cleared = 0.0
            order.number = venue.public_orders
            _rank(venue, own, slot)
        else:
            order.state = CANCELED
    _end_reduce_only(venue)
    return slot


@kernel
def _rank(venue: Venue, own: VenueSide, slot: int) -> None:
    """Insert by price, behind the earlier arrivals of the same price."""
    order = venue.orders[slot]
    place = own.n_orders
    while place > 0 and order.side * (order.ticks - venue.orders[own.ranked[place - 1]].ticks) > 0:
        own.ranked[place] = own.ranked[place - 1]
        place -= 1
    own.ranked[place] = slot
    own.n_orders += 1


@kernel
def _end(venue: Venue, slot: int, state: int) -> None:
    order = venue.orders[slot]
    order.state = state
    own = venue.bids if order.side == BUY else venue.asks
    kept = 0
    for i in range(own.n_orders):
        if own.ranked[i] != slot:
            own.ranked[kept] = own.ranked[i]
            kept += 1
    own.n_orders = kept


# ---------------------------------------------------------------- cancel and replace


@kernel
def cancel(venue: Venue, slot: int) -> bool:
    """Cancel a working order; False, and nothing happens, if it works no more."""
    if venue.orders[slot].state != WORKING:
        return False
    _end(venue, slot, CANCELED)
    return True


@kernel
def replace(
    venue: Venue,
    slot: int,
    side: int,
    limit: int,
    lots: int,
    time_in_force: int,
    post_only: bool,
    reduce_only: bool,
) -> tuple[int, int]:
    """Replace a working order by another in one act (condition 18); `lots` is the new open size.

    Returns:
        ACCEPTED and the slot of the new order (the same, if it kept its place); or a refusal and
        -1, and the old order works on.
    """
    order = venue.orders[slot]
    if order.state != WORKING:
        return NOT_WORKING, -1
    refusal = refusal_of(venue, side, limit, lots, post_only, reduce_only, slot)
    if refusal != ACCEPTED:
        return refusal, -1
    if reduce_only:
        room = reducible_lots(venue, side, slot)
        if lots > room:
            lots = room
    if side == order.side and limit == order.ticks and lots <= order.lots and time_in_force == GTC:
        order.lots = lots
        order.filled = 0
        order.reduce_only = reduce_only
        return ACCEPTED, slot
    _end(venue, slot, CANCELED)
    return ACCEPTED, _place(venue, side, limit, lots, time_in_force, reduce_only)


# ---------------------------------------------------------------- fills


@kernel
def on_trade(venue: Venue, aggressor: int, ticks: int, lots: float) -> None:
    """Let one public trade meet our resting orders (conditions 12 to 14).

    Args:
        venue: Changed; fills are added to its executions.
        aggressor: Side that took: BUY, SELL, or 0 = not known, and nothing happens.
        ticks: Traded price.
        lots: Traded size.
    """
    if aggressor == 0:
        return
    side = -aggressor
    own = venue.bids if side == BUY else venue.asks
    unused = lots
    passed = 0.0  # lots of the queue at this price that the trade used up: ahead of later orders too
    rank = 0
    while rank < own.n_orders:
        slot = own.ranked[rank]
        order = venue.orders[slot]
        better_by = side * (order.ticks - ticks)
        if better_by < 0:
            break
        if better_by > 0:
            order.queue_ahead = 0.0
        elif order.queue_ahead == order.queue_ahead and venue.by_order == 0:
            _count_trade(venue, order, lots)
            ahead = order.queue_ahead - passed
            used = min(ahead, unused)
            if used > 0.0:
                passed += used
                unused -= used
            order.queue_ahead = order.queue_ahead - passed if order.queue_ahead > passed else 0.0
        if order.queue_ahead == 0.0:
            unused -= float(_fill(venue, slot, order.ticks, unused, True))
        if order.state == WORKING:
            rank += 1
    _end_reduce_only(venue)


@kernel
def on_departure(venue: Venue, side: int, ticks: int, lots: float, number: int, executed: bool) -> None:
    """Let an order of somebody else lose lots, in data that tell each order (condition 20).

    Args:
        venue: Changed; fills are added to its executions.
        side: Of that order.
        ticks: Its price.
        lots: What it lost.
        number: Its place in the order of arrival.
        executed: They traded; else they were cancelled.
    """
    own = venue.bids if side == BUY else venue.asks
    unused = lots
    rank = 0
    while rank < own.n_orders:
        slot = own.ranked[rank]
        order = venue.orders[slot]
        better_by = side * (order.ticks - ticks)
        if better_by < 0:
            break
        if better_by == 0 and number <= order.number:
            if order.queue_ahead == order.queue_ahead:
                order.queue_ahead = order.queue_ahead - lots if order.queue_ahead > lots else 0.0
        elif executed:
            order.queue_ahead = 0.0
            unused -= float(_fill(venue, slot, order.ticks, unused, True))
        if order.state == WORKING:
            rank += 1
    _end_reduce_only(venue)


@kernel
def apply_book(venue: Venue) -> None:
    """Let the book that was loaded meet our resting orders (conditions 10, 11 and 16)."""
    for own in (venue.bids, venue.asks):
        rank = 0
        while rank < own.n_orders:
            slot = own.ranked[rank]
            order = venue.orders[slot]
            _match_levels(venue, slot, True)
            if order.state == WORKING:
                displayed = displayed_at(own, order.side, order.ticks)
                if displayed != order.shown:  # else nothing new is told of our price, as yet
                    _requeue(venue, order, displayed)
                rank += 1
    _end_reduce_only(venue)


@kernel
def _requeue(venue: Venue, order: VenueOrder, displayed: float) -> None:
    """Bring the queue ahead of an order to a new displayed size at its price."""
    kind = venue.queue.kind if venue.by_order == 0 else CONSERVATIVE  # told of each order, none is needed
    before = order.queue_ahead
    order.queue_ahead = queue_after(
        kind, venue.queue.power, order.share, before, order.shown, order.traded, displayed
    )
    if before != before:
        order.number = venue.public_orders  # behind all that is displayed
    elif order.shown - order.traded - displayed > 0.0:
        if venue.now_ns - order.fell_ns > BOOK_FIRST_NS:
            order.fell = order.cleared = 0.0
        order.fell += order.shown - order.traded - displayed
        order.fell_ns = venue.now_ns
        order.cleared += before - order.queue_ahead
    order.shown = displayed
    order.traded = 0.0


@kernel
def _count_trade(venue: Venue, order: VenueOrder, lots: float) -> None:
    """Count a trade at the price of an order; what the book has shown of it already was no cancellation."""
    shown = 0.0
    if order.fell > 0.0 and venue.now_ns - order.fell_ns <= BOOK_FIRST_NS:
        shown = min(lots, order.fell)
        back = min(shown, order.cleared)
        order.fell -= shown
        order.cleared -= back
        order.queue_ahead += back
    order.traded += lots - shown


@kernel
def _match_levels(venue: Venue, slot: int, maker: bool) -> None:
    """Fill an order against the displayed levels it reaches: a taker at their prices, a maker at its own."""
    order = venue.orders[slot]
    against = venue.asks if order.side == BUY else venue.bids
    for i in range(against.n_levels):
        if order.state != WORKING or order.side * (order.ticks - against.ticks[i]) < 0:
            break
        ticks = order.ticks if maker else against.ticks[i]
        filled = _fill(venue, slot, ticks, against.lots[i], maker)
        if filled > 0:
            against.lots[i] -= float(filled)
            against.taken = 1


@kernel
def _fill(venue: Venue, slot: int, ticks: int, available: float, maker: bool) -> int:
    """Fill an order with up to `available` lots (nan = any number); return how many."""
    order = venue.orders[slot]
    lots = order.lots
    if order.reduce_only and lots > -order.side * venue.position:
        lots = -order.side * venue.position
    if available < float(lots) and (venue.partial_fills or available < 1.0):
        lots = int(available)
    if lots <= 0:
        return 0
    order.lots -= lots
    order.filled += lots
    venue.position += order.side * lots
    execution = venue.executions[venue.n_executions]
    venue.n_executions += 1
    execution.kind = FILL
    execution.slot = slot
    execution.ticks = ticks
    execution.lots = lots
    execution.open_lots = order.lots
    execution.maker = maker
    execution.fee = fee_of(venue, ticks, lots, maker)
    execution.ts_ns = venue.now_ns
    if order.lots == 0:
        _end(venue, slot, FILLED)
    return lots


@kernel
def _end_reduce_only(venue: Venue) -> None:
    """Cancel working reduce-only orders that have no opposite position left."""
    for own in (venue.bids, venue.asks):
        rank = 0
        while rank < own.n_orders:
            slot = own.ranked[rank]
            order = venue.orders[slot]
            if order.reduce_only and order.side * venue.position >= 0:
                _end(venue, slot, CANCELED)
                execution = venue.executions[venue.n_executions]
                venue.n_executions += 1
                execution.kind = CANCEL
                execution.slot = slot
                execution.lots = 0
                execution.ts_ns = venue.now_ns
            else:
                rank += 1
