"""Drives a batch run from its first piece of data to its summary, whatever ends it."""

import signal
from collections.abc import Iterator, Sequence
from contextlib import suppress
from types import FrameType
from typing import Any

from ami_engine import clock
from ami_engine.execution.order_ids import client_order_id
from ami_engine.loop.arguments import venues_of
from ami_engine.loop.batch import BatchRun
from ami_engine.loop.batch_events import EventRun
from ami_engine.loop.batch_files import RowFiles, RowMemory
from ami_engine.loop.columns import Columns
from ami_engine.loop.engine import Engine
from ami_engine.loop.facts import (
    end_state,
    fill_model_of,
    fraction_done,
    peak_memory_mb,
    quality_of_source,
    strays,
)
from ami_engine.loop.feed import Tap
from ami_engine.loop.result import BatchResult
from ami_engine.loop.run_loop import Progress, RunProgress
from ami_engine.loop.signals import handled_signals
from ami_engine.ports import MarketDataSource, RunContext
from ami_engine.sim.paper_broker import PaperBroker
from ami_engine.trace.trace_logger import RunFolder
from decision_schema.units import NS_PER_SECOND


def drive_columns(
    engine: Engine,
    broker: PaperBroker,
    sink: RowFiles | RowMemory,
    pieces: Iterator[Columns],
    progress: Progress | None,
    folder: RunFolder | None,
    engine_ns: int,
) -> BatchResult:
    """Run over columns; to make the engine, which may compile, took `engine_ns`."""
    run = BatchRun(engine, broker, sink)
    run.wall_ns = clock.wall_ns()

    def ends() -> Iterator[str]:
        """Take a piece at a time; yield why the run ends after it, empty = it does not."""
        if run.limit == 0:
            yield "steps"
        for columns in pieces:
            run.take(columns)
            yield "steps" if run.limit is not None and run.events >= run.limit else ""
        yield "exhausted"

    return _Drive(run, [], progress, folder, engine_ns).drive(ends())


def drive_sources(
    engine: Engine,
    broker: PaperBroker,
    sink: RowFiles | RowMemory,
    taps: Sequence[Tap],
    progress: Progress | None,
    folder: RunFolder | None,
    engine_ns: int,
) -> BatchResult:
    """Run over sources; to make the engine, which may compile, took `engine_ns`."""
    run = EventRun(engine, broker, sink, taps)

    def ends() -> Iterator[str]:
        """Take some events at a time; yield why the run ends after them, empty = it does not."""
        while True:
            run.take_events()
            yield run.ended

    return _Drive(run, [tap.source for tap in taps], progress, folder, engine_ns).drive(ends())


class _Drive:
    """One batch run: its signals, its progress, its records."""

    def __init__(
        self,
        run: BatchRun,
        sources: Sequence[MarketDataSource],
        progress: Progress | None,
        folder: RunFolder | None,
        engine_ns: int,
    ) -> None:
        self.engine_ns = engine_ns if run.fast else 0
        self.run, self.sources, self.progress, self.folder = run, sources, progress, folder
        self.engine, self.sink = run.engine, run.sink
        self.ended = self.signal_name = ""

    def drive(self, ends: Iterator[str]) -> BatchResult:
        """Go through all pieces; whatever ends it, the rows so far and a summary are left."""
        engine, run = self.engine, self.run
        self._audit({"kind": "start", "at": clock.wall_text(), "run_id": engine.run_id, "driver": "batch"})
        self.begun_ns = clock.elapsed_ns()
        opened: list[MarketDataSource] = []
        with handled_signals(self._on_signal):
            try:
                self._open(opened)
                while not self.ended:
                    self.ended = next(ends)
                    if self.progress is not None:
                        fraction = fraction_done(self.sources, run.events, run.limit)
                        self.progress(RunProgress(run.events, fraction, run.counts.summary))
                    if self.signal_name and not self.ended:
                        self.ended = f"signal:{self.signal_name}"
                run.close()
                self.sink.close()
            except BaseException as error:
                self.ended = f"error:{type(error).__name__}"
                with suppress(Exception):  # the error that ended the run is what the user must see
                    self._leave_whole(opened)
                raise
            summary = self._finish(opened)
        return BatchResult(
            summary,
            rows=self.sink if isinstance(self.sink, RowMemory) else None,
            run_dir=None if self.folder is None else self.folder.run_dir,
            name_order=lambda step, leg: client_order_id(engine.run_key, step, leg),
        )

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        """End after the present piece; a second signal interrupts at once."""
        if self.signal_name:
            raise KeyboardInterrupt
        self.signal_name = signal.Signals(number).name

    def _open(self, opened: list[MarketDataSource]) -> None:
        engine = self.engine
        context = RunContext(
            run_id=engine.run_id,
            seed=engine.config.run.seed,
            instruments=engine.instruments,
            venues=venues_of(self.sources),
        )
        for source in self.sources:
            source.open(context)
            opened.append(source)

    def _leave_whole(self, opened: list[MarketDataSource]) -> None:
        """Store what there is of a run that an error ended."""
        try:
            self.run.close()
        finally:
            try:
                self.sink.close()
            finally:
                self._finish(opened)

    def _finish(self, opened: list[MarketDataSource]) -> dict[str, Any]:
        for source in reversed(opened):
            try:
                source.close()
            except Exception as error:  # noqa: BLE001 - user code: the run's records come first
                name = type(source).__name__
                self._audit({"kind": "close_failed", "what": name, "error": type(error).__name__})
        summary = self._summary()
        if self.folder is not None:
            self._audit(
                {
                    "kind": "stop",
                    "at": clock.wall_text(),
                    "ended": self.ended,
                    "rows": dict(self.sink.rows),
                    "packets": 0,
                    "head": self.folder.first_head.hex(),
                }
            )
            self.folder.write_summary(summary)
        return summary

    def _summary(self) -> dict[str, Any]:
        run, engine = self.run, self.engine
        seconds = (clock.elapsed_ns() - self.begun_ns - run.compile_ns) / NS_PER_SECOND
        return {
            "run_id": engine.run_id,
            "run_dir": None if self.folder is None else str(self.folder.run_dir),
            "driver": "compiled" if run.fast else "interpreted",
            **run.counts.summary.get(),
            "ended": self.ended,
            **(end := end_state(engine, run.feed_counts(), fill_model_of(run.broker))),
            "sources": [quality_of_source(source) for source in self.sources],
            "timing": {
                "seconds": seconds,
                "events_per_second": run.events / seconds if seconds > 0.0 else 0.0,
                "compile_seconds": (self.engine_ns + run.compile_ns) / NS_PER_SECOND,
                "peak_memory_mb": peak_memory_mb(),
            },
            "explanation": [*run.counts.summary.explain(end["stopped"]), *strays(engine)],
        }

    def _audit(self, record: dict[str, Any]) -> None:
        if self.folder is not None:
            self.folder.audit(record)
