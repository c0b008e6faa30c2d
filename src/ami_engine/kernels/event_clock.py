"""Time as the events carry it; `clock.EventClock` says how, and alone reads the wall."""

from dataclasses import dataclass

from decision_schema.kernel import kernel
from decision_schema.units import NS_PER_DAY

NONE = -1
MAX_JUMP_NS = 366 * NS_PER_DAY
"""Longest gap between two events that is taken for one."""
MAX_NS = 2**63 - 1


@dataclass(slots=True)
class EventTime:
    """How far the time of the events is.

    Args:
        last_ns: Time of the last event in order.
        carried: 1 = an event in order has carried a time.
        doubted_ns: The last stamp, where it jumped too far ahead to be followed at once; -1 = it did not.
    """

    last_ns: int = 0
    carried: int = 0
    doubted_ns: int = NONE


@kernel
def stamp_event(time: EventTime, stamp_ns: int, delay_ns: int) -> int:
    """Give the time that a step of an event would have.

    Args:
        time: How far the time is.
        stamp_ns: What the event carries, ours of receipt, else the venue's; -1 = none.
        delay_ns: How long it was under way to us, where it carries only the venue's; >= 0.

    >>> time = EventTime()
    >>> settle_event(time, 7, stamp_event(time, 5, 2), 1), stamp_event(time, 3, 0)
    (7, 7)
    """
    if stamp_ns < 0:
        return time.last_ns
    carried = stamp_ns + delay_ns if stamp_ns <= MAX_NS - delay_ns else MAX_NS
    if time.carried == 1 and carried - time.last_ns > MAX_JUMP_NS:
        before = time.doubted_ns
        time.doubted_ns = carried
        if before < 0 or carried < before or carried - before > MAX_JUMP_NS:
            return time.last_ns
    if carried < time.last_ns:
        return time.last_ns
    return carried


@kernel
def asks_wall(time: EventTime, stamp_ns: int, has_book: int) -> int:
    """Tell whether an event takes the wall's time: a book without a time, before any event carried one."""
    return int(stamp_ns < 0 and has_book == 1 and time.carried == 0)


@kernel
def settle_event(time: EventTime, stamp_ns: int, now_ns: int, in_order: int) -> int:
    """Move on to the stamp of an event in order; another one leaves the time as it is."""
    if in_order == 1:
        if now_ns > time.last_ns:
            time.last_ns = now_ns
        if stamp_ns >= 0:
            time.carried = 1
        time.doubted_ns = NONE
    return time.last_ns
