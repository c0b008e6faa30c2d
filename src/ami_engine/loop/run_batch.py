"""`run_batch`: a backtest over columns, compiled where it can be; the decisions of `run_loop` as rows."""

import signal
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ami_engine import clock
from ami_engine.config import RunConfig
from ami_engine.execution.order_ids import client_order_id
from ami_engine.loop.arguments import settled
from ami_engine.loop.batch import BatchRun, model_reasons_of
from ami_engine.loop.batch_files import RowFiles, RowMemory
from ami_engine.loop.column_source import ColumnSource
from ami_engine.loop.columns import Columns, chunks_of
from ami_engine.loop.day_start import venue_day
from ami_engine.loop.engine import Engine, run_key
from ami_engine.loop.facts import end_state, fill_model_of, manifest_of, peak_memory_mb, strays
from ami_engine.loop.packet_rows import PacketRows
from ami_engine.loop.result import BatchResult
from ami_engine.loop.row_frames import columns_of
from ami_engine.loop.run_loop import Progress, RunProgress, run_loop
from ami_engine.loop.signals import handled_signals
from ami_engine.mdm.decision_engine import DecisionEngine
from ami_engine.ports import Broker, MarketDataSource
from ami_engine.sim.paper_broker import PaperBroker
from ami_engine.trace.trace_logger import TraceLogger, write_summary
from decision_schema.errors import ConfigError
from decision_schema.instruments import Instrument
from decision_schema.units import NS_PER_SECOND
from dmc_core.dmc.policy_hook import load_policy_hook
from dmc_core.dmc.risk_policy import RiskPolicy
from dmc_core.jit import can_compile


def run_batch(
    data: Any,
    *,
    model: Any = None,
    policy: RiskPolicy | None = None,
    broker: Broker | None = None,
    instruments: Iterable[Instrument] = (),
    market_id: str = "",
    config: RunConfig | None = None,
    run_id: str | None = None,
    output_dir: str | Path | None = None,
    steps: int | None = None,
    dry_run: bool = False,
    seed: int | None = None,
    progress: Progress | None = None,
    fast: bool | None = None,
    packets: bool = False,
) -> BatchResult:
    """Run a model over columns of market data.

    The whole loop is compiled where model and broker are: a `kernel_model` and the paper broker. What
    it cannot call (a Python model, a policy hook, another broker or a queue function, sources of
    events) goes through `run_loop` one event at a time; decisions, fills and orders are the same.

    Args:
        data: A mapping from names to arrays, anything with ``__arrow_c_stream__`` (a frame of polars,
            pandas, pyarrow, duckdb), a structured array, or an iterable of such pieces, in the order of
            time; docs/batch.md has the columns. Or a MarketDataSource of recorded data, or several.
        model: A `kernel_model`, another model as `run_loop` takes it, or None = the private hook, else
            the reference model.
        policy: Limits; None = those of the config, else the defaults.
        broker: How orders fill; None = the paper broker without latency.
        instruments: Of the markets, beside those of the config.
        market_id: Name of the market where the data has no column ``market_id``, or none stands there.
        config: All further settings.
        run_id: Name of the run; None = made from the time.
        output_dir: Folder that holds the runs: rows are streamed to ``run_id/decisions/*.parquet`` and
            so on, and memory stays constant; None = rows are kept in memory, and no file is left.
        steps: Most rows of the data; None = all.
        dry_run: Everything but sending orders.
        seed: Seed of every chance; None = that of the config, 0.
        progress: Called now and then with how far the run is.
        fast: Compiled (needs numba), or interpreted; None = compiled where numba is installed. Where
            each event goes through Python anyway, None = interpreted.
        packets: Write the full packets of `run_loop` to `output_dir`, too.

    Returns:
        Summary and frames; ``summary["driver"]`` is ``compiled``, ``interpreted`` or ``per event``, and
        why it is the last one is told in ``summary["explanation"]``. An interrupt ends the run after
        the rows at hand; what is done is whole.

    Raises:
        ConfigError: An argument makes no sense, a column is missing, or the model cannot be compiled.
        ContractError: A cell of the data cannot be read.
    """
    if packets and output_dir is None:
        raise ConfigError("packets are asked for, but no output_dir: say where they go")
    config = settled(config or RunConfig(), steps, dry_run, policy, run_id, output_dir, seed)
    engine_model = model if isinstance(model, DecisionEngine) else _decision_engine(model, config)
    broker = PaperBroker() if broker is None else broker
    if not isinstance(broker, Broker):
        raise ConfigError(f"broker is a {type(broker).__name__}: give an instance of a Broker")
    told = tuple(instruments)
    known = {i.market_id: i for i in (*told, *config.instruments)}
    only = market_id or (next(iter(known)) if len(known) == 1 else "default")
    is_of_events = _is_sources(data)
    why = _why_per_event(engine_model, broker, config, is_of_events=is_of_events, packets=packets)
    if why or not isinstance(broker, PaperBroker):
        source = data if is_of_events else ColumnSource(data, only, told)
        if is_of_events:
            named = {i.market_id for i in config.instruments}
            more = (*(i for i in told if i.market_id not in named), *config.instruments)
            config = msgspec.structs.replace(config, instruments=more)
        keeps = output_dir is not None
        return _per_event(source, broker, engine_model, config, progress, why, fast=fast is True, keeps=keeps)
    compile_it = can_compile() if fast is None else fast
    engine = Engine(
        run_id=config.run.run_id or "",
        run_key=run_key(config.run.run_id or "", config, live=False),
        config=config,
        policy=config.guards,
        model=engine_model,
        instruments=known,
        capabilities=broker.capabilities(),
        fast=compile_it,
        day=venue_day(config.run.day_zone, config.run.day_start),
    )
    pieces = chunks_of(data, market_id=only)
    if output_dir is None:
        memory = RowMemory(engine.market_ids, model_reasons=model_reasons_of(engine))
        return _run(engine, broker, memory, pieces, progress, None)
    trace = TraceLogger(
        engine.run_id, config.trace.output_dir, manifest=manifest_of(engine), must_be_new=True
    )
    with trace, RowFiles(trace.run_dir, engine.market_ids, model_reasons=model_reasons_of(engine)) as files:
        return _run(engine, broker, files, pieces, progress, trace)


def _is_sources(data: Any) -> bool:
    """Tell whether data come as events: a source, or a sequence of them."""
    if isinstance(data, MarketDataSource):
        return True
    return (
        isinstance(data, Sequence)
        and len(data) > 0
        and all(isinstance(given, MarketDataSource) for given in data)
    )


def _why_per_event(
    model: DecisionEngine, broker: Broker, config: RunConfig, *, is_of_events: bool, packets: bool
) -> str:
    """Say why the compiled loop cannot be used; empty = it can."""
    if packets:
        return "full packets are asked for"
    if is_of_events:
        return "the data come from a source of events"
    if config.run.dry_run:
        return "it is a dry run"
    if model.kernel_model is None:
        return f"the model {model.model_id} is Python, no kernel_model"
    if load_policy_hook() is not None:
        return "there is a private policy hook"
    if type(broker) is not PaperBroker:
        return f"the broker is a {type(broker).__name__}, not the paper broker"
    return "" if broker.share is None else "the queue of the paper broker is a Python function"


def _per_event(
    source: MarketDataSource | Sequence[MarketDataSource],
    broker: Broker,
    model: DecisionEngine,
    config: RunConfig,
    progress: Progress | None,
    why: str,
    *,
    fast: bool,
    keeps: bool,
) -> BatchResult:
    """Run the live driver over the data, and give its packets as rows."""
    sources = [source] if isinstance(source, MarketDataSource) else source
    if broker.capabilities().live or any(given.live for given in sources):
        raise ConfigError("run_batch is for recorded data and simulated orders: use run_loop for live ones")
    with tempfile.TemporaryDirectory(prefix="mdm-") as folder:
        summary = run_loop(
            source,
            broker,
            decision_engine=model,
            config=config,
            output_dir=None if keeps else folder,
            progress=progress,
            fast=fast,
        )
        if isinstance(source, ColumnSource) and source.failed is not None:
            raise source.failed
        run_dir = Path(summary["run_dir"])
        kernel_model = model.kernel_model
        words = None if kernel_model is None else kernel_model.reasons
        read = PacketRows(run_dir, words)
        sink: RowFiles | RowMemory
        if keeps:
            sink = RowFiles(run_dir, read.market_ids, model_reasons=read.model_reasons)
            with sink:
                _hand_over(read, sink)
        else:
            sink = RowMemory(read.market_ids, model_reasons=read.model_reasons)
            _hand_over(read, sink)
    key = run_key(summary["run_id"], config, live=False)
    summary["run_dir"] = str(run_dir) if keeps else None
    summary["driver"] = "per event"
    summary["explanation"] = [
        *summary["explanation"],
        f"Each event went through Python, not the compiled loop: {why}.",
    ]
    if keeps:
        write_summary(run_dir, summary)
    return BatchResult(
        summary,
        rows=sink if isinstance(sink, RowMemory) else None,
        run_dir=run_dir if keeps else None,
        name_order=lambda step, leg: client_order_id(key, step, leg),
    )


def _hand_over(read: PacketRows, sink: RowFiles | RowMemory) -> None:
    for rows in read.read():
        for table, part in (("decisions", rows.decisions), ("fills", rows.fills), ("orders", rows.orders)):
            if part is not None:
                sink.append(table, columns_of(part))  # type: ignore[arg-type]


def _decision_engine(model: Any, config: RunConfig) -> DecisionEngine:
    section = config.model
    return DecisionEngine(
        section.model if model is None else model,
        private_path=section.private_path,
        warmup_ms=section.warmup_ms,
        **section.params,
    )


def _run(
    engine: Engine,
    broker: PaperBroker,
    sink: RowFiles | RowMemory,
    pieces: Iterator[Columns],
    progress: Progress | None,
    trace: TraceLogger | None,
) -> BatchResult:
    run = BatchRun(engine, broker, sink)
    ended = "steps" if run.limit == 0 else ""
    signals: list[int] = []
    if trace is not None:
        trace.audit({"kind": "start", "at": clock.wall_text(), "run_id": engine.run_id, "driver": "batch"})
    run.wall_ns = clock.wall_ns()
    begun_ns = clock.elapsed_ns()
    with handled_signals(lambda number, _frame: signals.append(number)):
        for columns in () if ended else pieces:
            run.take(columns)
            if progress is not None:
                progress(RunProgress(run.events, None, run.counts.summary))
            if signals:
                ended = f"signal:{signal.Signals(signals[0]).name}"
            elif run.limit is not None and run.events >= run.limit:
                ended = "steps"
            if ended:
                break
        run.close()
    sink.close()
    seconds = (clock.elapsed_ns() - begun_ns) / NS_PER_SECOND
    summary: dict[str, Any] = {
        "run_id": engine.run_id,
        "run_dir": None if trace is None else str(trace.run_dir),
        "driver": "compiled" if run.fast else "interpreted",
        **run.counts.summary.get(),
        "ended": ended or "exhausted",
        **(end := end_state(engine, run.feed_counts(), fill_model_of(broker))),
        "sources": [],
        "timing": {
            "seconds": seconds,
            "events_per_second": run.events / seconds if seconds > 0.0 else 0.0,
            "peak_memory_mb": peak_memory_mb(),
        },
        "explanation": [*run.counts.summary.explain(end["stopped"]), *strays(engine)],
    }
    if trace is not None:
        stop = {"kind": "stop", "at": clock.wall_text(), "ended": summary["ended"], "rows": dict(sink.rows)}
        trace.audit(stop)
        trace.write_summary(summary)
    return BatchResult(
        summary,
        rows=sink if isinstance(sink, RowMemory) else None,
        run_dir=None if trace is None else trace.run_dir,
        name_order=lambda step, leg: client_order_id(engine.run_key, step, leg),
    )
