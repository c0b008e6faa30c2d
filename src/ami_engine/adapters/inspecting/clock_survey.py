"""ClockSurvey: how far the recorder's clock was from the venue's, and the offset that mends it."""

from math import floor

from ami_engine.adapters.inspecting.inspected import ClockFigures
from ami_engine.adapters.inspecting.quantiles import Quantiles
from ami_engine.config import RunSection
from decision_schema.events import Event
from decision_schema.units import NS_PER_MS, DurationMs

SKEW_NS = RunSection().max_clock_skew_ms * NS_PER_MS
"""A venue's time further ahead of ours makes the engine hold the event."""
MS_DIGITS = 3


class ClockSurvey:
    """Take events; `figures` compares our times of receipt with the venue's.

    >>> clock = ClockSurvey()
    >>> clock.add(Event(received_ns=1_000_000_000, ts_ns=2_000_400_000))
    >>> clock.figures().offset_ms
    -1001
    """

    def __init__(self) -> None:
        self._delays = Quantiles()
        self._ahead = 0
        self._received = self._venue = False

    def add(self, event: Event) -> None:
        """Take one event."""
        received, venue = event.received_ns, event.ts_ns
        if received is not None:
            self._received = True
        if venue is not None:
            self._venue = True
            if received is not None:
                self._delays.add(received - venue)
                self._ahead += venue - received > SKEW_NS

    def figures(self) -> ClockFigures:
        """Suggest the offset that lets no message arrive before it happened."""
        offset, why = self._offset()
        return ClockFigures(
            count=self._delays.count,
            ahead=self._ahead,
            min_ms=_ms(self._delays.least) if self._delays.count else None,
            median_ms=_ms(self._delays.at(0.5)),
            p95_ms=_ms(self._delays.at(0.95)),
            offset_ms=offset,
            why=why,
        )

    def _offset(self) -> tuple[int, str]:
        if not self._delays.count:
            absent = " of receipt" if self._venue else " of the venue" if self._received else ""
            return 0, f"there are no times{absent} to compare"
        least = self._delays.least
        if least >= 0:
            return 0, "no message arrives before it happened"
        return floor(least / NS_PER_MS), "else messages arrive before they happened: our clock was behind"


def _ms(delay_ns: float | None) -> DurationMs | None:
    return None if delay_ns is None else round(delay_ns / NS_PER_MS, MS_DIGITS)
