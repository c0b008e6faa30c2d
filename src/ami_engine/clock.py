"""The only file that reads a clock."""

import time
from datetime import UTC, datetime

from decision_schema.events import Event
from decision_schema.units import UnixNs


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

    It never goes back: an older stamp takes the last one, and admission judges its order.
    """

    live = False

    def __init__(self) -> None:
        self._last: UnixNs = 0

    def stamp(self, event: Event) -> UnixNs:
        """Give the time of the step that takes this event."""
        if event.received_ns is not None:
            now = event.received_ns
        elif event.ts_ns is not None:
            now = event.ts_ns
        else:
            now = wall_ns()
        self._last = max(self._last, now)
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
