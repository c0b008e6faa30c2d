"""When timer steps are due: at each multiple of an interval, as far as events have moved the time."""

from collections.abc import Iterator

from decision_schema.units import DurationNs, UnixNs

MAX_TIMERS_IN_GAP = 4_096
"""Timer steps of each market in one gap between events: a wrong stamp must not hang the run."""


class Timers:
    """Gives the instants at which each known market steps by time alone.

    Args:
        interval_ns: Between two of them; 0 = there are none.

    >>> timers = Timers(10)
    >>> list(timers.due(5, any_market=False)), list(timers.due(31, any_market=True))
    ([], [10, 20, 30])
    """

    def __init__(self, interval_ns: DurationNs) -> None:
        self.interval_ns = interval_ns
        self._next_ns: UnixNs = 0

    def due(self, now_ns: UnixNs, *, any_market: bool) -> Iterator[UnixNs]:
        """Yield each multiple of the interval up to now that has not been yielded yet.

        The first time of a run only sets the clock. Of a gap with more multiples than MAX_TIMERS_IN_GAP
        only the first ones and the last come.
        """
        interval_ns = self.interval_ns
        if interval_ns == 0 or now_ns == 0:
            return
        if not any_market or self._next_ns == 0:
            self._next_ns = now_ns - now_ns % interval_ns + interval_ns
            return
        left = MAX_TIMERS_IN_GAP
        while self._next_ns <= now_ns:
            left -= 1
            if left == 0:
                self._next_ns = now_ns - now_ns % interval_ns
            due_ns = self._next_ns
            self._next_ns += interval_ns
            yield due_ns
