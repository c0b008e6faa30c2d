"""The only file that reads a clock."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from ami_engine.kernels.event_clock import NONE, EventTime, asks_wall, settle_event, stamp_event
from decision_schema.events import Event
from decision_schema.units import DurationNs, UnixNs


def wall_ns() -> UnixNs:
    """Read the wall clock."""
    return time.time_ns()


def elapsed_ns() -> int:
    """Read the monotonic clock; only differences mean anything."""
    return time.perf_counter_ns()


def pause(seconds: float) -> None:
    """Wait; only for a broker's answer at the end of a run, never in a step."""
    time.sleep(seconds)


def wall_text() -> str:
    """Give the wall time for people, to the second, in UTC."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class EventClock:
    """Time as the events carry it: ours where they have it, else the venue's, else one wall reading.

    It never goes back: an older stamp takes the last one, and admission judges its order. It moves
    only with events that came in order, be their book usable or not. A stamp more than a year ahead
    is followed once the next one bears it out: one wrong stamp must not make all that follows look
    old. The wall is read only for a book, and only where no event has carried a time: in data of
    one's own from years ago, an event that lost its time must not make all that follows look old.

    Args:
        feed_delay: Gives how long a message of the venue's time was under way, for events that carry
            no time of ours; None = they are seen as they happen.
    """

    live = False

    def __init__(self, feed_delay: Callable[[UnixNs], DurationNs] | None = None) -> None:
        self._feed_delay = feed_delay
        self._time = EventTime()

    def stamp(self, event: Event) -> UnixNs:
        """Give the time that a step of this event would have; 0 = none is known yet."""
        if event.bad is not None:
            return self._time.last_ns
        stamp = event.stamp_ns
        is_ours = event.received_ns is not None
        return self.stamp_ns(NONE if stamp is None else stamp, int(is_ours), int(event.has_book))

    def settle(self, event: Event, now_ns: UnixNs, *, in_order: bool) -> UnixNs:
        """Move on to the stamp of an event in order; another one leaves the time as it is."""
        stamp = event.stamp_ns
        return self.settle_ns(NONE if stamp is None else stamp, now_ns, int(in_order))

    def stamp_ns(self, stamp_ns: int, is_ours: int, has_book: int) -> UnixNs:
        """Do as `stamp` in numbers: what the event carries (-1 = nothing), and whether by our clock."""
        time = self._time
        delay = 0
        if stamp_ns < 0:
            if asks_wall(time, stamp_ns, has_book) == 1:
                return max(time.last_ns, wall_ns())
        elif self._feed_delay is not None and is_ours == 0:
            delay = self._feed_delay(stamp_ns)
        return stamp_event(time, stamp_ns, delay)

    def settle_ns(self, stamp_ns: int, now_ns: UnixNs, in_order: int) -> UnixNs:
        """Do as `settle` in numbers."""
        return settle_event(self._time, stamp_ns, now_ns, in_order)

    def last_ns(self) -> UnixNs:
        """Give the time of a step whose input cannot be read."""
        return self._time.last_ns


class WallClock:
    """Time as it passes; it never goes back."""

    live = True

    def __init__(self) -> None:
        self._last: UnixNs = 0

    def stamp(self, event: Event) -> UnixNs:
        """Give the present time."""
        self._last = max(self._last, wall_ns())
        return self._last

    def settle(self, event: Event, now_ns: UnixNs, *, in_order: bool) -> UnixNs:
        """Give the time of the step: the wall moves on whatever the event is."""
        return now_ns

    def stamp_ns(self, stamp_ns: int, is_ours: int, has_book: int) -> UnixNs:
        """Give the present time."""
        self._last = max(self._last, wall_ns())
        return self._last

    def settle_ns(self, stamp_ns: int, now_ns: UnixNs, in_order: int) -> UnixNs:
        """Give the time of the step."""
        return now_ns

    def last_ns(self) -> UnixNs:
        """Give the present time."""
        return self.stamp_ns(NONE, 0, 0)
