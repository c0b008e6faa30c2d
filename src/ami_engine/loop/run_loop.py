"""The live driver: takes events, stamps the time, and feeds `step` one input at a time.

For each event: decode, admit, show it to the broker, drain the broker's reports, step, write the
packet, send its messages. What the broker answers is an input of the next packet.
"""

import logging
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import msgspec

from ami_engine import clock
from ami_engine.config import RunConfig
from ami_engine.execution.gateway import Gateway, Message
from ami_engine.kernels.ledger import value_account
from ami_engine.kernels.orders import CANCELING, SENT, UNKNOWN
from ami_engine.loop.arguments import feed_delay_of, settled, sources_of, timer_interval_ns, venues_of
from ami_engine.loop.day_start import venue_day
from ami_engine.loop.edge import Admitted, Edge
from ami_engine.loop.engine import Engine, run_key
from ami_engine.loop.facts import (
    end_state,
    fill_model_of,
    fraction_done,
    manifest_of,
    open_orders,
    peak_memory_mb,
    quality_of_source,
    strays,
)
from ami_engine.loop.fast_core import FastCore
from ami_engine.loop.feed import END, NOTHING, DirectFeed, Failure, Feed, MergedFeed, PumpedFeed, Taken, Tap
from ami_engine.loop.record import state_record
from ami_engine.loop.reports import apply_reports
from ami_engine.loop.signals import handled_signals
from ami_engine.loop.step import step
from ami_engine.loop.timers import Timers
from ami_engine.mdm.decision_engine import DecisionEngine
from ami_engine.ports import Broker, Capabilities, MarketDataSource, RunContext
from ami_engine.security.redaction import redact_text
from ami_engine.sim.paper_broker import PaperBroker
from ami_engine.summary import RunSummary
from ami_engine.trace.trace_logger import TraceLogger
from decision_schema.errors import ConfigError
from decision_schema.events import Event, Report
from decision_schema.instruments import Instrument
from decision_schema.units import NS_PER_MS, NS_PER_SECOND, UnixNs
from dmc_core.dmc.policy_hook import PolicyHook, load_policy_hook
from dmc_core.dmc.risk_policy import RiskPolicy

_log = logging.getLogger(__name__)

MAX_SOURCE_FAILURES = 5
"""Failures of a source in a row after which the run ends."""
QUERY_INTERVAL_NS = 1 * NS_PER_SECOND
CLOSING_ROUNDS = 20
"""Times that open orders are cancelled and asked for at the end of a run."""
CLOSING_PAUSE_SECONDS = 0.05
CLOSING_NS = 10 * NS_PER_SECOND
"""Time that passes between them at a simulated venue, so that what is under way arrives."""
FLUSH_EVERY = 256
"""Packets that a simulated run may hold back from the operating system."""


class RunProgress(NamedTuple):
    """How far a run is.

    Args:
        events: Events done.
        fraction: Part of the data read, from 0 to 1; None = not known.
        summary: Counts so far.
        note: What is going on where no event is taken for long; empty = nothing special.
    """

    events: int
    fraction: float | None
    summary: RunSummary
    note: str = ""


Progress = Callable[[RunProgress], None]


def run_loop(
    source: MarketDataSource | Sequence[MarketDataSource],
    broker: Broker,
    steps: int | None = None,
    dry_run: bool = False,
    *,
    decision_engine: DecisionEngine | Any = None,
    risk_policy: RiskPolicy | None = None,
    run_id: str | None = None,
    output_dir: str | Path | None = None,
    seed: int | None = None,
    config: RunConfig | None = None,
    progress: Progress | None = None,
    fast: bool | None = None,
) -> dict[str, Any]:
    """Run the decision loop until the source ends, `steps` events are done, or a signal comes.

    Args:
        source: Gives events; several are merged in the order of their stamps (live ones in the order
            of arrival).
        broker: Carries out orders.
        steps: Most events of the source; None = all.
        dry_run: Everything but sending orders.
        decision_engine: A DecisionEngine, or a model for one; None = the private hook, else the
            reference model.
        risk_policy: Limits; None = those of the config, else the defaults.
        run_id: Name of the run; None = made from the time.
        output_dir: Folder that holds the runs; None = that of the config, ``./traces``.
        seed: Seed of every chance; None = that of the config, 0.
        config: All further settings; the arguments above win over it.
        progress: Called now and then with how far the run is.
        fast: Run the core compiled (needs numba), or interpreted; None = as the config says. Same packets.

    Returns:
        The summary, also written to ``summary.json``: ``run_id``, ``run_dir``, ``steps`` (events),
        ``packets``, ``ended``, ``stopped``, ``action_counts``, ``hold_reasons``, ``refusals``,
        ``orders_submitted``, ``orders_canceled``, ``fills``, ``realized_pnl``, ``unrealized_pnl``,
        ``fees``, ``final_equity``, ``max_drawdown``, ``markouts``, ``costs``, ``timing``,
        ``explanation`` …

    Raises:
        ConfigError: An argument makes no sense.
        RunExists: The run folder is there already.
        TraceError: The trace cannot be written.
    """
    if config is not None and not isinstance(config, RunConfig):
        raise ConfigError(f"config is a {type(config).__name__}: give a RunConfig, or config_from_dict(...)")
    config = settled(config or RunConfig(), steps, dry_run, risk_policy, run_id, output_dir, seed)
    model = decision_engine
    if not isinstance(model, DecisionEngine):
        section = config.model
        model = DecisionEngine(
            section.model if model is None else model,
            private_path=section.private_path,
            warmup_ms=section.warmup_ms,
            **section.params,
        )
    sources = sources_of(source)
    if not isinstance(broker, Broker):
        raise ConfigError(f"broker is a {type(broker).__name__}: give an instance of a Broker")
    return LiveRun(
        sources, broker, config, model, load_policy_hook(), progress, fast=_is_fast(config, fast)
    ).run()


def _is_fast(config: RunConfig, fast: bool | None) -> bool:
    return bool(config.run.fast if fast is None else fast)


def taps_of(sources: Sequence[MarketDataSource], instruments: Mapping[str, Instrument]) -> list[Tap]:
    """Name the market of the events of each source that name none: its only one, else the run's only one."""
    only = next(iter(instruments)) if len(instruments) == 1 else "default"
    own = [list(source.instruments()) for source in sources]
    return [
        Tap(source, found[0].market_id if len(found) == 1 else only)
        for source, found in zip(sources, own, strict=True)
    ]


class LiveRun:
    """One run: what lives between its first and its last step."""

    def __init__(
        self,
        sources: Sequence[MarketDataSource],
        broker: Broker,
        config: RunConfig,
        model: DecisionEngine,
        policy_hook: PolicyHook | None,
        progress: Progress | None,
        *,
        fast: bool,
    ) -> None:
        self.sources, self.broker, self.config, self.progress = sources, broker, config, progress
        live = sources[0].live
        self.run_id = config.run.run_id or ""
        self.clock: clock.EventClock | clock.WallClock = (
            clock.WallClock() if live else clock.EventClock(feed_delay_of(config))
        )
        own = (i for source in sources for i in source.instruments())
        instruments = {i.market_id: i for i in (*own, *config.instruments)}
        self.taps = taps_of(sources, instruments)
        capabilities = broker.capabilities()
        if not isinstance(capabilities, Capabilities):
            raise ConfigError(
                f"broker.capabilities() gave a {type(capabilities).__name__}: give Capabilities"
            )
        self.live_broker = capabilities.live and not config.run.dry_run
        begun_ns = clock.elapsed_ns()
        self.engine = Engine(
            run_id=self.run_id,
            run_key=run_key(self.run_id, config, live=self.live_broker),
            config=config,
            policy=config.guards,
            model=model,
            instruments=instruments,
            capabilities=capabilities,
            policy_hook=policy_hook,
            fast=fast,
            day=venue_day(config.run.day_zone, config.run.day_start),
        )
        core = self.engine.core
        if isinstance(core, FastCore) and model.kernel_model is not None:
            core.prepare(model.kernel_model.asked)
        self.compile_ns = clock.elapsed_ns() - begun_ns if fast else 0
        self.edge = Edge(self.clock, config.run.max_clock_skew_ms * NS_PER_MS, self.engine.instrument)
        self.gateway = Gateway(
            broker,
            dry_run=config.run.dry_run,
            on_numbers=broker.on_numbers if isinstance(broker, PaperBroker) else None,
        )
        self.summary = RunSummary(dry_run=config.run.dry_run)
        self.timers = Timers(timer_interval_ns(config, live=live))
        self.next_query_ns: UnixNs = 0
        self.is_asked = capabilities.query and not config.run.dry_run
        self.ended = ""
        self.signal_name = ""
        self.source_failures = 0
        self.events = 0
        self.closing_reports: list[Report] = []
        self.closing_ns: list[UnixNs] = []
        self.fill_model: object = {}
        self.trace = TraceLogger(
            self.run_id, config.trace.output_dir, manifest=manifest_of(self.engine), must_be_new=True
        )

    def run(self) -> dict[str, Any]:
        """Run to the end; orders are cancelled and the records closed whatever happens."""
        run = self.config.run
        context = RunContext(
            run_id=self.run_id,
            seed=run.seed,
            instruments=self.engine.instruments,
            dry_run=run.dry_run,
            venues=venues_of(self.sources),
        )
        self.trace.audit({"kind": "start", "at": clock.wall_text(), "run_id": self.run_id})
        self.begun_ns = clock.elapsed_ns()
        opened: list[MarketDataSource | Broker] = []
        try:
            with handled_signals(self._on_signal):
                try:
                    parts: list[MarketDataSource | Broker] = [*self.sources, self.broker]
                    for part in parts:
                        part.open(context)
                        opened.append(part)
                    self.fill_model = fill_model_of(self.broker)
                    self._feed()
                finally:
                    self._cancel_all()
        except BaseException as error:
            self.ended = f"error:{type(error).__name__}"
            raise
        finally:
            summary = self._close(opened)
        return summary

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        """End after the present step; a second signal interrupts at once."""
        if self.signal_name:
            raise KeyboardInterrupt
        self.signal_name = signal.Signals(number).name

    def _feed(self) -> None:
        """Take events until there are no more, enough, or a signal."""
        limit = self.config.run.steps
        feed: Feed
        if self.clock.live:
            feed = PumpedFeed(self.taps)
        else:
            feed = DirectFeed(self.taps[0]) if len(self.taps) == 1 else MergedFeed(self.taps)
        try:
            while not self.ended:
                if self.signal_name:
                    self.ended = f"signal:{self.signal_name}"
                elif limit is not None and self.events >= limit:
                    self.ended = "steps"
                else:
                    self._take(feed.take())
        finally:
            feed.close()

    def _take(self, taken: Taken) -> None:
        if isinstance(taken, Event):
            self.source_failures = 0
            self.events += 1
            self._event(taken)
            if self.progress is not None and self.events % FLUSH_EVERY == 0:
                self.summary.set_fills(*self.engine.core.fills())
                fraction = fraction_done(self.sources, self.events, self.config.run.steps)
                self.progress(RunProgress(self.events, fraction, self.summary))
        elif isinstance(taken, Failure):
            self._source_failed(taken.error)
        elif taken is END:
            self.ended = "exhausted"
        elif taken is NOTHING:
            self._timers(self.clock.stamp(Event()), len(self.engine.market_ids))

    def _source_failed(self, error: Exception) -> None:
        self.source_failures += 1
        kind = type(error).__name__
        words = redact_text(str(error))
        self.summary.count_source_failure(kind, words)
        _log.info("source failed (%d in a row): %s: %s", self.source_failures, kind, words)
        self.trace.audit({"kind": "source_failure", "error": kind, "in_a_row": self.source_failures})
        if self.source_failures >= MAX_SOURCE_FAILURES:
            self.ended = f"source_failed:{kind}"

    def _event(self, event: Event) -> None:
        """Take one event through a step; due timers come first."""
        begun_ns = clock.elapsed_ns() if self.clock.live else 0
        n_known = len(self.engine.market_ids)
        admitted = self.edge.admit(event)
        if admitted.is_new:
            self.engine.add_market(event.market_id)
        now_ns = admitted.inp.now_ns
        if self.timers.interval_ns:
            self._timers(now_ns, n_known)
        if admitted.inp.is_read == 1:
            self.gateway.on_event(admitted.event, now_ns, self.engine.core.stage(admitted))
        self._step(admitted, begun_ns)
        if self.is_asked and now_ns >= self.next_query_ns:
            self._query(now_ns)

    def _timers(self, now_ns: UnixNs, n_markets: int) -> None:
        """Step once for each of the first markets at each instant that is due up to now."""
        for due in self.timers.due(now_ns, any_market=n_markets > 0):
            for market_id in self.engine.market_ids[:n_markets]:
                self._step(self.edge.timer(market_id, due), clock.elapsed_ns())
            if self.is_asked and due >= self.next_query_ns:
                self._query(due)

    def _step(self, admitted: Admitted, begun_ns: int) -> None:
        reports = self.gateway.drain(admitted.inp.now_ns)
        packet, messages = step(self.engine, admitted, reports)
        if self.clock.live:
            packet.latency_ms = (clock.elapsed_ns() - begun_ns) / NS_PER_MS
        self.trace.append(packet)
        self.summary.update(packet)
        if self.live_broker and any(message.op != "cancel" for message in messages):
            self.trace.sync()  # the packet is the record of the intents: on disk before any leaves
        elif self.clock.live or self.live_broker or packet.step % FLUSH_EVERY == 0:
            self.trace.flush()
        self.gateway.send(messages)

    def _query(self, now_ns: UnixNs) -> None:
        """Ask for evidence about orders that wait for it; this is done at most once a second."""
        engine = self.engine
        self.next_query_ns = now_ns + QUERY_INTERVAL_NS
        for cell, place, status, _ in engine.core.open_orders():
            is_late = False
            if status in (SENT, CANCELING):
                is_late = now_ns - engine.core.cells[cell].orders.slots[place].created_ns > QUERY_INTERVAL_NS
            if status == UNKNOWN or is_late:
                self.gateway.query(engine.ids.of(cell, place))

    def _cancel_all(self) -> None:
        """Cancel what still rests and take the confirmations, within a bound."""
        engine = self.engine
        now_ns = engine.state.now_ns
        for _ in range(CLOSING_ROUNDS):
            reports = self.gateway.drain(now_ns)
            self.closing_reports += reports
            self.closing_ns += [now_ns] * len(reports)
            for remark in apply_reports(engine, reports, now_ns):
                self.trace.audit({"kind": "venue_inconsistent", "what": remark})
            resting = open_orders(engine)
            if not resting or not engine.capabilities.cancel:
                break
            if self.live_broker and not reports:
                clock.pause(CLOSING_PAUSE_SECONDS)
            if not self.clock.live:
                now_ns += CLOSING_NS  # a simulated message arrives after its latency, also at the end
            self.gateway.send([Message("cancel", order_id) for order_id, _ in resting])
        value_account(engine.state.account, engine.cells, len(engine.cells), engine.state.now_ns)

    def _close(self, opened: list[MarketDataSource | Broker]) -> dict[str, Any]:
        for part in reversed(opened):
            try:
                part.close()
            except Exception as error:  # noqa: BLE001 - user code: the run's records come first
                self.trace.audit(
                    {"kind": "close_failed", "what": type(part).__name__, "error": type(error).__name__}
                )
        self.summary.count_reports(self.closing_reports)
        self.summary.set_fills(self.engine.state.fills_bought, self.engine.state.fills_sold)
        summary = self._summary()
        stop = {
            "kind": "stop",
            "at": clock.wall_text(),
            "ended": self.ended,
            "packets": self.trace.packets,
            "head": self.trace.head,
            "closing": {
                "reports": [msgspec.to_builtins(report) for report in self.closing_reports],
                "now_ns": self.closing_ns,
                "state": msgspec.to_builtins(state_record(self.engine)),
            },
        }
        try:
            self.trace.audit(stop)
            self.trace.write_summary(summary)
        finally:
            self.trace.close()
        return summary

    def _summary(self) -> dict[str, Any]:
        seconds = (clock.elapsed_ns() - self.begun_ns) / NS_PER_SECOND
        return {
            "run_id": self.run_id,
            "run_dir": str(self.trace.run_dir),
            **self.summary.get(),
            "ended": self.ended,
            **(end := end_state(self.engine, self.edge.counts(), self.fill_model)),
            "sources": [quality_of_source(source) for source in self.sources],
            "timing": {
                "seconds": seconds,
                "events_per_second": self.events / seconds if seconds > 0.0 else 0.0,
                "compile_seconds": self.compile_ns / NS_PER_SECOND,
                "peak_memory_mb": peak_memory_mb(),
            },
            "explanation": [*self.summary.explain(end["stopped"]), *strays(self.engine)],
        }
