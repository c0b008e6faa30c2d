"""A walk over the events of some sources without a run: how far each has been read, and where one can cut."""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ami_engine.adapters.recorded import RecordedSource
from ami_engine.loop.feed import END, Failure, MergedFeed, Taken, Tap
from ami_engine.loop.run_loop import MAX_SOURCE_FAILURES
from ami_engine.ports import MarketDataSource, RunContext
from decision_schema.events import Event
from decision_schema.units import UnixNs

_CONTEXT = RunContext(run_id="lookahead")


class Mark(NamedTuple):
    """One event of a source.

    Args:
        event: The event.
        rows: Rows that the source had read when it gave it; 0 = it does not tell.
        ts_ns: The venue's time as the data have it; None = none.
        received_ns: Our time of receipt; None = none.
    """

    event: Event
    rows: int
    ts_ns: UnixNs | None
    received_ns: UnixNs | None


class _Watched(Tap):
    """A source that is asked for its events, each of which is noted."""

    def watch(self) -> "_Watched":
        """Begin to note."""
        self.pending: deque[Mark] = deque()
        self.rows = 0
        self.ended = False
        return self

    def ask(self) -> Any:
        """Give an event as the source yields it, or a Failure or END."""
        raw = super().ask()
        self.rows = self.source.rows if isinstance(self.source, RecordedSource) else 0
        self.ended = self.ended or raw is END
        return raw

    def decode(self, asked: Any) -> Taken:
        """Turn what the source yields into an event, and note it."""
        taken = super().decode(asked)
        if isinstance(taken, Event):
            ts_ns = None if taken.ts_ns is None else taken.ts_ns - self.source.clock_offset_ns
            self.pending.append(Mark(taken, self.rows, ts_ns, taken.received_ns))
        return taken


class At(NamedTuple):
    """One event of all.

    Args:
        number: Its number, 1 first.
        lane: Which source gave it.
        mark: What is noted of it.
        following: The next event of each source; None = there is none.
    """

    number: int
    lane: int
    mark: Mark
    following: tuple[Mark | None, ...]


def walk(sources: Sequence[MarketDataSource]) -> Iterator[At]:
    """Yield the events of sources in the order in which a run takes them."""
    taps = [_Watched(source, "default").watch() for source in sources]
    for source in sources:
        source.open(_CONTEXT)
    try:
        feed = MergedFeed(taps)
        number = failures = 0
        while failures < MAX_SOURCE_FAILURES:
            taken = feed.take()
            if isinstance(taken, Failure):
                failures += 1
                continue
            failures = 0
            if not isinstance(taken, Event):
                return
            number += 1
            for lane, tap in enumerate(taps):
                if tap.pending and tap.pending[0].event is taken:
                    mark = tap.pending.popleft()
                    following = tuple(each.pending[0] if each.pending else None for each in taps)
                    yield At(number, lane, mark, following)
                    break
    finally:
        for source in sources:
            source.close()


def count_events(source: MarketDataSource, most: int) -> int:
    """Count the events of one source, at most so many."""
    events = 0
    for at in walk([source]):
        events = at.number
        if events == most:
            break
    return events
