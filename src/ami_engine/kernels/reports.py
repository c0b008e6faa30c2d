"""What the broker said, into the state, in numbers: states of orders, fills, failures."""

from ami_engine.kernels.costs import record_cost
from ami_engine.kernels.ledger import apply_fill, size_of
from ami_engine.kernels.markouts import record_fill
from ami_engine.kernels.orders import (
    Orders,
    acknowledge,
    end_order,
    fail_cancel,
    fill_order,
    lose_order,
    reject_order,
)
from ami_engine.kernels.records import Cell, EngineState
from ami_engine.kernels.telemetry import record_time
from decision_schema.kernel import kernel
from decision_schema.units import NS_PER_MS

SENT, LIVE, FILLED, CANCELED, REJECTED, EXPIRED, UNKNOWN, NOT_FOUND = 0, 1, 2, 3, 4, 5, 6, 7
"""What a broker says of an order."""
STATUS_CODES = {
    "sent": SENT,
    "live": LIVE,
    "filled": FILLED,
    "canceled": CANCELED,
    "rejected": REJECTED,
    "expired": EXPIRED,
    "unknown": UNKNOWN,
    "not_found": NOT_FOUND,
}
"""The texts of `decision_schema.events.OrderStatus` in numbers."""

REQUEST_LIFETIME_NS = 10_000 * NS_PER_MS
"""Time after which a request that the venue does not know can no more arrive there."""
CANCEL_LOST_NS = 1_000 * NS_PER_MS
"""Age of a cancel from which an order that is still live shows that it was lost."""


@kernel
def slot_of(orders: Orders, step: int, leg: int) -> int:
    """Find the slot of the order with that name, also of one that has ended; -1 = another one has it."""
    for i in range(orders.used):
        if orders.slots[i].step == step and orders.slots[i].leg == leg:
            return i
    for i in range(orders.used, len(orders.slots)):
        if orders.slots[i].step == step and orders.slots[i].leg == leg:
            return i
    return -1


@kernel
def take_status(orders: Orders, slot: int, status: int, now_ns: int) -> None:
    """Take the state in which the broker says that an order of ours is."""
    order = orders.slots[slot]
    if status == LIVE:
        acknowledge(orders, slot)
        if now_ns - order.cancel_ns >= CANCEL_LOST_NS:
            fail_cancel(orders, slot)
    elif status == UNKNOWN:
        lose_order(orders, slot)
    elif status == REJECTED:
        reject_order(orders, slot, now_ns)
    elif status in (CANCELED, EXPIRED):
        if order.replaces >= 0:
            acknowledge(orders, slot)  # placed and ended at once: what it replaced is gone
        end_order(orders, slot)
    elif status == FILLED:
        acknowledge(orders, slot)  # counted until its fills are here
    elif status == NOT_FOUND:
        if now_ns - order.created_ns >= REQUEST_LIFETIME_NS:
            end_order(orders, slot)  # not found, and can no more arrive
        else:
            fail_cancel(orders, slot)  # not found yet: a cancel is to be asked for again


@kernel
def take_fill(
    state: EngineState,
    cell: Cell,
    slot: int,
    side: int,
    lots: int,
    price: float,
    fee: float,
    role: int,
    now_ns: int,
) -> int:
    """Book an execution of ours that was not booked before: ledger, costs, markouts, its order.

    Args:
        state: Account and counts.
        cell: Its market.
        slot: Its order; -1 = another order has the slot by now, or there is none.
        side: 1 bought, -1 sold.
        lots: Above 0.
        price: Finite; from 0 to 1 in a binary market.
        fee: Above 0 = paid.
        role: MAKER, TAKER or UNSAID.
        now_ns: The time of the step.

    Returns:
        1 = the order stands on the other side.
    """
    apply_fill(state.account, cell.position, side, lots, price, fee)
    amount = size_of(cell.position, lots) * cell.position.multiplier
    mid = record_cost(cell.costs, role, side, lots, amount, price, fee)
    record_fill(cell.markouts, price, side, now_ns, amount, mid)
    record_time(state.executions, now_ns)
    if side > 0:
        state.fills_bought += 1
    else:
        state.fills_sold += 1
    if slot < 0:
        return 0
    wrong_side = int(cell.orders.slots[slot].side != side)
    fill_order(cell.orders, slot, lots, price)
    return wrong_side


@kernel
def take_status_at(cells: list[Cell], at: int, slot: int, status: int, now_ns: int) -> None:
    """Take the state of an order of market `at`; like the next, for callers that hold records in lists."""
    take_status(cells[at].orders, slot, status, now_ns)


@kernel
def take_fill_at(
    states: list[EngineState],
    cells: list[Cell],
    at: int,
    slot: int,
    side: int,
    lots: int,
    price: float,
    fee: float,
    role: int,
    now_ns: int,
) -> int:
    """Book an execution in market `at`: `take_fill`."""
    return take_fill(states[0], cells[at], slot, side, lots, price, fee, role, now_ns)


@kernel
def take_failure(state: EngineState, is_rate_limit: int, ops_cooldown_ns: int, now_ns: int) -> None:
    """Count a failed call to the broker; `ops_cooldown_ns` (0 = none) is the pause that it starts.

    Of a cancel that failed, `fail_cancel` tells the order.
    """
    state.had_error = 1
    record_time(state.failures, now_ns)
    if is_rate_limit == 1:
        record_time(state.rate_limits, now_ns)
    if ops_cooldown_ns > 0:
        state.ops_until_ns = max(state.ops_until_ns, now_ns + ops_cooldown_ns)
