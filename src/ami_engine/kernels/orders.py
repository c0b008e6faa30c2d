"""Own orders of one market: wanted against working, cancels, exits, and what reports change.

An order lives in a slot from the step that sends it until the broker gives evidence of its end.
What may still fill counts at full size: sent, live, being cancelled, or of unknown state.
"""

import math
from dataclasses import dataclass, field

from ami_engine.kernels.book import Book
from decision_schema.instruments import price_of
from decision_schema.kernel import kernel

FREE, SENT, LIVE, CANCELING, UNKNOWN = 0, 1, 2, 3, 4
"""State of a slot. SENT = no answer yet; CANCELING = cancel or replacement sent; UNKNOWN = no evidence."""

STATUS_NAMES = ("free", "sent", "live", "canceling", "unknown")
"""The same in words, by number."""

GTC, IOC, FOK = 0, 1, 2
SUBMIT, REPLACE, CANCEL = 1, 2, 3

MAX_ORDER_SLOTS = 64
"""Own orders of one market at a time, also those whose end is not confirmed."""

MAX_LEVEL = 16
"""Levels a side that a proposal can name."""
MAX_INTENTS = 96
"""Messages of one market in one step: a cancel of every order, and one message a wanted order."""
NEVER = -(2**62)

KEPT, THROTTLED, AWAITING, NO_CANCEL, FULL = 0, 1, 2, 3, 4
"""Why a wanted order changes nothing now."""


@dataclass(slots=True)
class OrderSlot:
    """One own order. Prices in ticks, sizes in lots, times in ns; queue_ahead in units, nan = unknown.

    ``paid`` is the sum of price x lots of its fills.
    """

    status: int = FREE
    side: int = 0
    level: int = 0
    takes: int = 0
    price_ticks: int = 0
    lots: int = 0
    filled_lots: int = 0
    paid: float = 0.0
    tif: int = GTC
    post_only: int = 0
    reduce_only: int = 0
    is_exit: int = 0
    step: int = 0
    leg: int = 0
    created_ns: int = 0
    cancel_ns: int = 0
    ttl_ns: int = 0
    replaces: int = -1
    queue_ahead: float = math.nan


@dataclass(slots=True)
class Wanted:
    """One order the plan wants. ``takes`` = no limit price; ``allowed`` = the guards let it out."""

    side: int = 0
    level: int = 0
    takes: int = 0
    price_ticks: int = 0
    lots: int = 0
    tif: int = GTC
    post_only: int = 0
    reduce_only: int = 0
    ttl_ns: int = 0
    allowed: int = 1


@dataclass(slots=True)
class Intent:
    """One message to the broker: the slot it concerns, and for a replacement the slot it ends."""

    op: int = 0
    slot: int = 0
    replaces: int = -1


@dataclass(slots=True)
class Intents:
    """The messages of one market in one step.

    Args:
        n: So many entries of `items` count.
        most: No cancel is asked for beyond so many; what has no room follows in another step.
    """

    n: int = 0
    most: int = MAX_INTENTS
    items: list[Intent] = field(default_factory=lambda: [Intent() for _ in range(MAX_INTENTS)])


@dataclass(slots=True)
class Orders:
    """The slots of one market, all free from `used` on, and the abilities of its broker."""

    can_cancel: int = 0
    can_replace: int = 0
    used: int = 0
    rejected_ns: list[int] = field(default_factory=lambda: [NEVER] * (2 * MAX_LEVEL))
    slots: list[OrderSlot] = field(default_factory=lambda: [OrderSlot() for _ in range(MAX_ORDER_SLOTS)])


@kernel
def remaining_lots(order: OrderSlot) -> int:
    """Give what may still fill, in lots."""
    return 0 if order.status == FREE else order.lots - order.filled_lots


@kernel
def open_lots(orders: Orders, side: int) -> int:
    """Sum what may still fill on one side, in lots."""
    total = 0
    for i in range(orders.used):
        order = orders.slots[i]
        if order.status != FREE and order.side == side:
            total += order.lots - order.filled_lots
    return total


@kernel
def count_open(orders: Orders) -> int:
    """Count the orders whose end is not confirmed."""
    count = 0
    for i in range(orders.used):
        order = orders.slots[i]
        if order.status != FREE:
            count += 1
    return count


@kernel
def find_working(orders: Orders, side: int, level: int) -> int:
    """Find the newest order on a side and level, exits apart; -1 = none."""
    found = -1
    for i in range(orders.used):
        order = orders.slots[i]
        if order.status == FREE or order.side != side or order.level != level or order.is_exit == 1:
            continue
        if found < 0 or order.step > orders.slots[found].step:
            found = i
    return found


@kernel
def _free_slot(orders: Orders) -> int:
    for i in range(MAX_ORDER_SLOTS):
        if orders.slots[i].status == FREE:
            orders.used = max(orders.used, i + 1)
            return i
    return -1


@kernel
def _take_slot(orders: Orders, now_ns: int) -> int:
    """Take a slot for a new order; -1 = all are taken. Step and leg are set when it is addressed."""
    i = _free_slot(orders)
    if i < 0:
        return -1
    order = orders.slots[i]
    order.status = SENT
    order.filled_lots = 0
    order.paid = 0.0
    order.created_ns = now_ns
    order.cancel_ns = 0
    order.queue_ahead = math.nan
    return i


@kernel
def _place(orders: Orders, wanted: Wanted, replaces: int, now_ns: int) -> int:
    """Take a slot for a wanted order; -1 = all are taken."""
    i = _take_slot(orders, now_ns)
    if i < 0:
        return -1
    order = orders.slots[i]
    order.side = wanted.side
    order.level = wanted.level
    order.takes = wanted.takes
    order.price_ticks = wanted.price_ticks
    order.lots = wanted.lots
    order.tif = wanted.tif
    order.post_only = wanted.post_only
    order.reduce_only = wanted.reduce_only
    order.is_exit = 0
    order.ttl_ns = wanted.ttl_ns
    order.replaces = replaces
    return i


@kernel
def _add(intents: Intents, op: int, slot: int, replaces: int) -> None:
    intent = intents.items[intents.n]
    intent.op = op
    intent.slot = slot
    intent.replaces = replaces
    intents.n += 1


@kernel
def request_cancel(orders: Orders, i: int, now_ns: int, intents: Intents) -> int:
    """Ask for the cancel of one live order; a request under way is not repeated.

    Returns:
        1 = asked now or before, 0 = the broker cannot cancel, the order has no answer yet, or there is
        no room.
    """
    order = orders.slots[i]
    if order.status == CANCELING:
        return 1
    if orders.can_cancel == 0 or not (order.status == LIVE or order.status == UNKNOWN):
        return 0
    if order.status == UNKNOWN and order.cancel_ns > 0:
        return 1
    if intents.n >= intents.most:
        return 0
    if order.status == LIVE:
        order.status = CANCELING
    order.cancel_ns = now_ns
    _add(intents, CANCEL, i, -1)
    return 1


@kernel
def cancel_orders(
    orders: Orders, position_lots: int, now_ns: int, only_increasing: int, intents: Intents
) -> int:
    """Ask for the cancel of all orders, or only of the sides that can increase the position.

    Returns:
        How many orders stay because the broker cannot cancel them or has not answered yet.
    """
    buys_increase = position_lots + open_lots(orders, 1) > 0
    sells_increase = position_lots - open_lots(orders, -1) < 0
    stay = 0
    for i in range(orders.used):
        order = orders.slots[i]
        if order.status == FREE or order.is_exit == 1:
            continue
        if only_increasing == 1 and not (buys_increase if order.side > 0 else sells_increase):
            continue
        stay += 1 - request_cancel(orders, i, now_ns, intents)
    return stay


@kernel
def _move(
    orders: Orders,
    wanted: Wanted,
    now_ns: int,
    throttle_ns: int,
    min_requote_ticks: int,
    intents: Intents,
) -> int:
    """Bring one level to its wanted order; return why nothing changes, or KEPT."""
    i = find_working(orders, wanted.side, wanted.level)
    if i < 0:
        if now_ns - orders.rejected_ns[_level_place(wanted.side, wanted.level)] < throttle_ns:
            return THROTTLED
        slot = _place(orders, wanted, -1, now_ns)
        if slot < 0:
            return FULL
        _add(intents, SUBMIT, slot, -1)
        return KEPT
    order = orders.slots[i]
    if order.status != LIVE:
        return AWAITING
    left = order.lots - order.filled_lots
    moved = abs(wanted.price_ticks - order.price_ticks)
    must_shrink = left > wanted.lots
    aged = order.ttl_ns > 0 and now_ns - order.created_ns >= order.ttl_ns
    same_kind = (
        wanted.takes == 0 and wanted.tif == GTC
        and wanted.post_only == order.post_only and wanted.reduce_only == order.reduce_only
    )  # fmt: skip
    if not must_shrink:
        if same_kind and not aged and moved == 0:
            return KEPT
        if same_kind and not aged and moved < min_requote_ticks:
            return THROTTLED
        if now_ns - order.created_ns < throttle_ns:
            return THROTTLED
    if orders.can_replace == 1 and wanted.takes == 0 and wanted.tif == GTC:
        slot = _place(orders, wanted, i, now_ns)
        if slot < 0:
            return FULL
        order.status = CANCELING
        order.cancel_ns = now_ns
        _add(intents, REPLACE, slot, i)
        return KEPT
    return AWAITING if request_cancel(orders, i, now_ns, intents) == 1 else NO_CANCEL


@kernel
def reach_wanted(
    orders: Orders,
    wanted: list[Wanted],
    n_wanted: int,
    now_ns: int,
    throttle_ns: int,
    min_requote_ticks: int,
    intents: Intents,
) -> int:
    """Write the messages that bring the working orders to the wanted ones.

    A wanted order that the guards refused leaves its level as it is. An order on a level that
    nobody wants is cancelled.

    Args:
        orders: The market's slots.
        wanted: The complete set for this market: the first `n_wanted` of the list.
        n_wanted: How many.
        now_ns: The time of the step.
        throttle_ns: Least age of an order before it is replaced, unless its size must shrink.
        min_requote_ticks: Least move of the price worth a replacement.
        intents: Written: cancels first, since they never wait for a limit.

    Returns:
        The gravest reason for which a wanted order changes nothing: KEPT (none) to FULL.
    """
    for i in range(orders.used):
        order = orders.slots[i]
        if order.status == FREE or order.is_exit == 1:
            continue
        named = False
        for k in range(n_wanted):
            if wanted[k].side == order.side and wanted[k].level == order.level:
                named = True
        if not named:
            request_cancel(orders, i, now_ns, intents)
    gravest = KEPT
    for k in range(n_wanted):
        if wanted[k].allowed == 1:
            why = _move(orders, wanted[k], now_ns, throttle_ns, min_requote_ticks, intents)
            gravest = max(gravest, why)
    return gravest


@kernel
def exit_position(
    orders: Orders,
    position_lots: int,
    touch_ticks: int,
    slippage_ticks: int,
    now_ns: int,
    intents: Intents,
) -> None:
    """Close the position: cancel, wait for confirmation, then take at the touch, reduce-only.

    Args:
        orders: The market's slots.
        position_lots: Signed position, not 0.
        now_ns: The time of the step.
        touch_ticks: Last valid opposite touch: the bid for a long position, the ask for a short.
        slippage_ticks: How far beyond the touch the order may take.
        intents: Written.
    """
    side = -1 if position_lots > 0 else 1
    cancel_orders(orders, position_lots, now_ns, 0, intents)
    pending = 0
    for i in range(orders.used):
        order = orders.slots[i]
        if order.status == FREE:
            continue
        if order.is_exit == 1 or (orders.can_cancel == 1 and order.status != UNKNOWN):
            return  # something may still fill that will be confirmed: wait for it
        if order.side == side:
            pending += order.lots - order.filled_lots
    lots = abs(position_lots) - pending
    if lots <= 0:
        return
    slot = _take_slot(orders, now_ns)
    if slot < 0:
        return
    leaving = orders.slots[slot]
    leaving.side = side
    leaving.level = 0
    leaving.takes = 0
    leaving.price_ticks = touch_ticks + side * slippage_ticks
    leaving.lots = lots
    leaving.tif = IOC
    leaving.post_only = 0
    leaving.reduce_only = 1
    leaving.is_exit = 1
    leaving.ttl_ns = 0
    leaving.replaces = -1
    _add(intents, SUBMIT, slot, -1)


@kernel
def acknowledge(orders: Orders, i: int) -> None:
    """Take evidence that an order is live; a cancel under way stays under way."""
    order = orders.slots[i]
    if order.status == SENT or order.status == UNKNOWN:
        order.status = LIVE
        order.cancel_ns = 0
    if order.replaces >= 0:
        end_order(orders, order.replaces)
        order.replaces = -1


@kernel
def end_order(orders: Orders, i: int) -> None:
    """Take evidence that an order can fill no more: cancelled, expired, filled or never there."""
    orders.slots[i].status = FREE
    orders.slots[i].replaces = -1
    for k in range(orders.used):
        if orders.slots[k].replaces == i:
            orders.slots[k].replaces = -1
    while orders.used > 0 and orders.slots[orders.used - 1].status == FREE:
        orders.used -= 1


@kernel
def _level_place(side: int, level: int) -> int:
    return level if side > 0 else MAX_LEVEL + level


@kernel
def reject_order(orders: Orders, i: int, now_ns: int) -> None:
    """Take evidence that an order was refused; what it was to replace works on.

    Its level takes no new order before the throttle ends: a venue that refuses is not asked at each event.
    """
    if orders.slots[i].is_exit == 0:
        orders.rejected_ns[_level_place(orders.slots[i].side, orders.slots[i].level)] = now_ns
    replaced = orders.slots[i].replaces
    end_order(orders, i)
    if replaced >= 0 and orders.slots[replaced].status == CANCELING:
        orders.slots[replaced].status = LIVE
        orders.slots[replaced].cancel_ns = 0


@kernel
def lose_order(orders: Orders, i: int) -> None:
    """Mark an order, and what it was to replace, as of unknown state."""
    order = orders.slots[i]
    if order.status == FREE:
        return
    order.status = UNKNOWN
    if order.replaces >= 0 and orders.slots[order.replaces].status != FREE:
        orders.slots[order.replaces].status = UNKNOWN
        orders.slots[order.replaces].cancel_ns = 0


@kernel
def fail_cancel(orders: Orders, i: int) -> None:
    """Take note that a cancel failed: the order is as it was, and the cancel is asked for again."""
    order = orders.slots[i]
    order.cancel_ns = 0
    if order.status == CANCELING:
        order.status = LIVE


@kernel
def fill_order(orders: Orders, i: int, lots: int, price: float) -> None:
    """Count a fill; a full one ends the order. One that beat the report of a cancel counts, too."""
    order = orders.slots[i]
    order.filled_lots += lots
    order.paid += price * float(lots)
    if order.status == FREE:
        return
    acknowledge(orders, i)
    if order.filled_lots >= order.lots:
        end_order(orders, i)


@kernel
def follow_queues(orders: Orders, book: Book, tick_num: int, tick_den: int) -> None:
    """Estimate what is ahead of each live order: the displayed size when first seen, never more after."""
    for i in range(orders.used):
        order = orders.slots[i]
        if order.status == FREE or order.takes == 1:
            continue
        price = price_of(order.price_ticks, tick_num, tick_den)
        half_tick = 0.5 * tick_num / tick_den
        if order.side > 0:
            _follow(order, book.bid_prices, book.bid_sizes, book.n_bids, price, half_tick)
        else:
            _follow(order, book.ask_prices, book.ask_sizes, book.n_asks, price, half_tick)


@kernel
def _follow(
    order: OrderSlot, prices: list[float], sizes: list[float], count: int, price: float, half_tick: float
) -> None:
    if count == 0:
        return
    if order.side * (price - prices[0]) > half_tick:
        order.queue_ahead = 0.0
        return
    for k in range(count):
        if abs(prices[k] - price) < half_tick:
            if math.isnan(order.queue_ahead) or sizes[k] < order.queue_ahead:
                order.queue_ahead = sizes[k]
            return
