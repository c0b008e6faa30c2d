"""Read a file of recorded data once, from end to end, and say what is in it, in constant memory."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from ami_engine.adapters.inspecting.clock_survey import ClockSurvey
from ami_engine.adapters.inspecting.data_hints import clock_hints, market_hints, price_hints, time_hints
from ami_engine.adapters.inspecting.inspected import Inspection
from ami_engine.adapters.inspecting.market_survey import MarketSurvey
from ami_engine.adapters.inspecting.recognise import SOME_DAY, SOURCES, Recognised, recognise
from ami_engine.adapters.recorded import check_file
from ami_engine.kernels.records import MAX_MARKETS
from ami_engine.ports import MarketDataSource, RunContext
from decision_schema.decode_event import decode_event
from decision_schema.errors import MarketDataError
from decision_schema.events import Event
from decision_schema.reasons import NAMES, TOO_MANY_MARKETS
from decision_schema.units import NS_PER_SECOND, UnixNs

Progress: TypeAlias = Callable[[int, float | None], None]
"""Told now and then how many events were read, and which part of the file."""
TELL_EVERY = 2_000
MAX_REASONS = 1_000
OTHER = "other"
"""Counts the events whose reason is one more than that."""
NO_NAME = "default"
"""Name of a market that no event names."""


def inspect_file(
    file: Path, source: MarketDataSource | None = None, progress: Progress | None = None
) -> Inspection:
    r"""Read all events of a file and say what is in it.

    Events are judged as the engine judges them: their order, and the book they make. Nothing is
    written, and no clock is read.

    Args:
        file: A file of recorded data.
        source: What reads it; None = as it is recognised.
        progress: Told how far the reading is.

    Raises:
        MarketDataError: The file cannot be read at all, or is not recognised. One that breaks in
            the middle is reported up to there, with `Inspection.broken`.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "quotes.csv"
    >>> _ = file.write_text("time,bid,ask\n1723161256000,1.09,1.10\n1723161257000,1.10,1.10\n")
    >>> seen = inspect_file(file)
    >>> seen.rows, seen.seconds, seen.markets[0].refused
    (2, 1.0, {'locked_book': 1})
    """
    if source is None:
        found = recognise(file)
        source = SOURCES[found.format](file, **found.params)
    else:
        check_file(file)
        found = Recognised(type(source).__name__, {}, "the source was given")
    survey = _Survey()
    source.open(RunContext(run_id="inspect"))
    try:
        broken = _read(source, survey, progress)
    finally:
        source.close()
    quality = source.quality()
    if not survey.events and (broken or not quality.get("rows")):
        raise MarketDataError(broken or f"{file.name} holds no row that gives an event: download it again")
    return survey.result(file, found, quality, broken)


def _read(source: MarketDataSource, survey: "_Survey", progress: Progress | None) -> str:
    """Read a source to its end; return why it broke off, empty if it did not."""
    try:
        while (raw := source.next_event()) is not None:
            survey.take(decode_event(raw, NO_NAME, source.clock_offset_ns))
            if progress is not None and survey.events % TELL_EVERY == 0:
                progress(survey.events, source.progress())
    except MarketDataError as error:
        return str(error)
    return ""


class _Survey:
    """All markets of a file, and its times."""

    def __init__(self) -> None:
        self.events = 0
        self._markets: dict[str, MarketSurvey] = {}
        self._unreadable: Counter[str] = Counter()
        self._clock = ClockSurvey()
        self._received: tuple[UnixNs, UnixNs] | None = None
        self._venue: tuple[UnixNs, UnixNs] | None = None
        self._stamps: tuple[UnixNs, UnixNs] | None = None
        self._last_ns = -1
        self._time_back = 0
        self._silence_ns = 0

    def take(self, event: Event) -> None:
        """Take one event."""
        self.events += 1
        self._take_times(event)
        if event.bad is not None:
            reason = event.bad.reason
            known = reason in self._unreadable or len(self._unreadable) < MAX_REASONS
            self._unreadable[reason if known else OTHER] += 1
            return
        market = self._markets.get(event.market_id)
        if market is None:
            if len(self._markets) == MAX_MARKETS:
                self._unreadable[NAMES[TOO_MANY_MARKETS]] += 1
                return
            market = self._markets[event.market_id] = MarketSurvey(event.market_id)
        market.take(event)

    def _take_times(self, event: Event) -> None:
        self._clock.add(event)
        self._received = _widened(self._received, event.received_ns)
        self._venue = _widened(self._venue, event.ts_ns)
        stamp = event.stamp_ns
        if stamp is None:
            return
        if self._stamps is not None:
            self._time_back += stamp < self._last_ns
            self._silence_ns = max(self._silence_ns, stamp - self._stamps[1])
        self._stamps = _widened(self._stamps, stamp)
        self._last_ns = stamp

    def result(self, file: Path, found: Recognised, quality: dict[str, Any], broken: str) -> Inspection:
        """Say what was read."""
        surveys = sorted(self._markets.values(), key=lambda market: -market.events)
        first, last = self._stamps or (None, None)
        clock = self._clock.figures()
        hints = list(quality.get("hints", ()))
        if found.params.get("date") == SOME_DAY:
            hints.append(f"the name of the file tells no day: {SOME_DAY} stands for it: set date")
        if found.params.get("opening") == "empty":
            hints.append("the book is taken to be empty at the start: levels never touched stay unknown")
        hints += time_hints(self.events, first, last, hints)
        hints += clock_hints(clock)
        hints += market_hints(surveys, hints)
        hints += price_hints(surveys)
        received, venue = self._received or (None, None), self._venue or (None, None)
        return Inspection(
            file=file.name,
            format=found.format,
            why=found.why,
            params=found.params,
            guessed=list(found.guessed),
            bytes=file.stat().st_size,
            rows=quality.get("rows", self.events),
            events=self.events,
            broken=broken,
            first_received_ns=received[0],
            last_received_ns=received[1],
            first_venue_ns=venue[0],
            last_venue_ns=venue[1],
            seconds=0.0 if first is None or last is None else (last - first) / NS_PER_SECOND,
            longest_silence_seconds=self._silence_ns / NS_PER_SECOND,
            time_back=self._time_back,
            defects=quality.get("defects", {}),
            remarks=quality.get("remarks", {}),
            unreadable=dict(self._unreadable.most_common()),
            clock=clock,
            markets=[survey.figures() for survey in surveys],
            hints=hints,
        )


def _widened(span: tuple[UnixNs, UnixNs] | None, stamp: UnixNs | None) -> tuple[UnixNs, UnixNs] | None:
    if stamp is None or (span is not None and span[0] <= stamp <= span[1]):
        return span
    return (stamp, stamp) if span is None else (min(span[0], stamp), max(span[1], stamp))
