"""The only file that reads a clock."""

import time
from datetime import UTC, datetime

from decision_schema.events import Event
from decision_schema.units import NS_PER_DAY, UnixNs


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


MAX_JUMP_NS = 366 * NS_PER_DAY
"""Longest gap between two events that is taken for one."""


class EventClock:
    """Time as the events carry it: ours where they have it, else the venue's, else one wall reading.

    It never goes back: an older stamp takes the last one, and admission judges its order. Nor does
    it follow a stamp more than a year ahead: one wrong stamp must not make all that follows look
    old, and admission refuses it as a future event. The
    wall is read only for a book, and only where no event has carried a time: in data of one's own
    from years ago, an event that lost its time must not make all that follows look old.
    """

    live = False

    def __init__(self) -> None:
        self._last: UnixNs = 0
        self._carried = False

    def stamp(self, event: Event) -> UnixNs:
        """Give the time of the step that takes this event; 0 = none is known yet."""
        carried = event.ts_ns if event.received_ns is None else event.received_ns
        if carried is not None:
            if not self._carried or carried - self._last <= MAX_JUMP_NS:
                self._last = max(self._last, carried)
            self._carried = True
        elif not self._carried and event.bad is None and event.has_book:
            self._last = max(self._last, wall_ns())
        return self._last


class WallClock:
    """Time as it passes; it never goes back."""

    live = True

    def __init__(self) -> None:
        self._last: UnixNs = 0

    def stamp(self, event: Event) -> UnixNs:
        """Give the present time."""
        self._last = max(self._last, wall_ns())
        return self._last
