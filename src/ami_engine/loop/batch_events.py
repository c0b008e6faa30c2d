"""The batch driver over sources: events come in through the edge, and go on many at a time, compiled.

The edge admits an event in Python and puts it beside those before it. What it knows of a book or an
order of others hangs on the data alone, so it may run ahead of the decisions; a market that answers to
our orders must not be read ahead, and goes through run_loop.py.
"""

from collections.abc import Sequence

from ami_engine.clock import EventClock
from ami_engine.kernels import batch as kernels
from ami_engine.loop import batch
from ami_engine.loop.arguments import feed_delay_of, timer_interval_ns
from ami_engine.loop.batch import BatchRun
from ami_engine.loop.batch_files import RowFiles, RowMemory
from ami_engine.loop.edge import Admitted, Edge, FeedCounts, reason_of
from ami_engine.loop.engine import Engine
from ami_engine.loop.feed import DirectFeed, Failure, Feed, MergedFeed, Tap
from ami_engine.loop.input_chunk import InputArrays, InputChunk, InputList
from ami_engine.loop.run_loop import MAX_SOURCE_FAILURES
from ami_engine.loop.timers import Timers
from ami_engine.security.redaction import redact_text
from ami_engine.sim.paper_broker import PaperBroker
from decision_schema.events import Event
from decision_schema.units import NS_PER_MS

EVENTS = 256
"""Events between two looks at signals and at progress."""


class EventRun(BatchRun):
    """One run over sources, merged by time as `run_loop` merges them.

    Args:
        engine: Model (a kernel), policy, instruments; its core holds the state.
        broker: Says how orders fill.
        sink: Where rows go.
        taps: The sources, opened.
    """

    def __init__(
        self, engine: Engine, broker: PaperBroker, sink: RowFiles | RowMemory, taps: Sequence[Tap]
    ) -> None:
        super().__init__(engine, broker, sink)
        config = engine.config
        clock = EventClock(feed_delay_of(config))
        self._edge = Edge(clock, config.run.max_clock_skew_ms * NS_PER_MS, engine.instrument)
        self._timers = Timers(timer_interval_ns(config, live=False))
        self._feed: Feed = DirectFeed(taps[0]) if len(taps) == 1 else MergedFeed(taps)
        self._chunk: InputChunk = InputArrays() if self.fast else InputList()
        self._bad: list[tuple[int, str, bool]] = []
        self._failures = 0
        self.ended = ""

    def take_events(self) -> None:
        """Take some events through the system; `ended` says why where no more come."""
        for _ in range(EVENTS):
            if self.limit is not None and self.events >= self.limit:
                self.ended = "steps"
            if self.ended:
                break
            taken = self._feed.take()
            if isinstance(taken, Event):
                self._failures = 0
                self.events += 1
                self._take_event(taken)
            elif isinstance(taken, Failure):
                self._count_failure(taken.error)
            else:
                self.ended = "exhausted"
        self._take_chunk()
        self._take_rows()

    def _take_event(self, event: Event) -> None:
        """Admit one event; due timers come before it."""
        edge, known = self._edge, tuple(self.engine.market_ids)
        admitted = edge.admit(event)
        if admitted.is_new:
            self._take_chunk()  # the arrays of the markets are made anew
            self._make_market(event.market_id)
        for due_ns in self._timers.due(admitted.inp.now_ns, any_market=bool(known)):
            for market_id in known:
                timer = edge.timer(market_id, due_ns)
                timer.inp.asks_after = int(market_id == known[-1])
                self._put(timer)
        bad, inp = admitted.event.bad, admitted.inp
        if bad is not None:
            is_own = bad.reason != reason_of(inp.bad, inp.bad_field)
            self._bad.append((self._chunk.length, bad.reason, is_own))
        self._put(admitted)

    def _put(self, admitted: Admitted) -> None:
        self._chunk.put(admitted)
        if self._chunk.is_full:
            self._take_chunk()

    def _take_chunk(self) -> None:
        """Take the admitted events through the system."""
        chunk, core = self._chunk, self.engine.core
        at, last = 0, chunk.length
        held = [
            self._batches, core.states, core.cell_records, core.rule_records, self._doors, self._model(),
            self._markets, self._table, chunk.inputs, chunk.books, chunk.trades, chunk.departures,
        ]  # fmt: skip
        chunk.clear()
        counts, step = self.counts, core.state.step + 1
        for place, text, is_own in self._bad:
            counts.summary.count_bad_input(text)
            if is_own:
                counts.words[step + place] = text
        self._bad = []
        while at < last:
            rows_out = (self._decisions, self._fills, self._orders, batch.ROOM)
            at = int(self._call_kernel(kernels.run_inputs, [*held, at, last, *rows_out]))
            if at < last:
                self._take_rows()

    def _count_failure(self, error: Exception) -> None:
        """Count a failure of a source; too many in a row end the run."""
        self._failures += 1
        kind = type(error).__name__
        self.counts.summary.count_source_failure(kind, redact_text(str(error)))
        if self._failures >= MAX_SOURCE_FAILURES:
            self.ended = f"source_failed:{kind}"

    def close(self) -> None:
        """Take what was admitted before an error ended the run, then close it."""
        if self._run is not None:  # else it is not worth to compile for
            self._take_chunk()
        super().close()

    def _count_bad_inputs(self, batch: kernels.BatchState) -> None:
        """Nothing: they were counted by their words."""

    def feed_counts(self) -> dict[str, FeedCounts]:
        """Give what went wrong with the messages, by market."""
        return self._edge.counts()
