"""`run_batch`: a backtest over columns, compiled; the packets are those of `run_loop`, kept as rows."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ami_engine import clock
from ami_engine.config import RunConfig
from ami_engine.execution.order_ids import client_order_id
from ami_engine.loop.arguments import settled
from ami_engine.loop.batch import BatchRun, model_reasons_of
from ami_engine.loop.batch_files import RowFiles, RowMemory
from ami_engine.loop.columns import Columns, chunks_of
from ami_engine.loop.engine import Engine, run_key
from ami_engine.loop.facts import end_state, manifest_of, peak_memory_mb, strays
from ami_engine.loop.result import BatchResult
from ami_engine.loop.run_loop import Progress, RunProgress
from ami_engine.loop.signals import handled_signals
from ami_engine.mdm.decision_engine import DecisionEngine
from ami_engine.sim.paper_broker import PaperBroker
from ami_engine.trace.trace_logger import TraceLogger
from decision_schema.errors import ConfigError
from decision_schema.instruments import Instrument
from decision_schema.units import NS_PER_SECOND
from dmc_core.dmc.risk_policy import RiskPolicy
from dmc_core.jit import can_compile


def run_batch(
    data: Any,
    *,
    model: Any = None,
    policy: RiskPolicy | None = None,
    broker: PaperBroker | None = None,
    instruments: Iterable[Instrument] = (),
    market_id: str = "",
    config: RunConfig | None = None,
    run_id: str | None = None,
    output_dir: str | Path | None = None,
    steps: int | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
    fast: bool | None = None,
) -> BatchResult:
    """Run a model over columns of market data.

    Args:
        data: A mapping from names to arrays, anything with ``__arrow_c_stream__`` (a frame of polars,
            pandas, pyarrow, duckdb), a structured array, or an iterable of such pieces, in the order of
            time; docs/batch.md has the columns.
        model: A `kernel_model`, or None = the reference model.
        policy: Limits; None = those of the config, else the defaults.
        broker: How orders fill; None = the paper broker without latency.
        instruments: Of the markets, beside those of the config.
        market_id: Name of the market where the data has no column ``market_id``.
        config: All further settings.
        run_id: Name of the run; None = made from the time.
        output_dir: Folder that holds the runs: rows are streamed to ``run_id/decisions/*.parquet`` and
            so on, and memory stays constant; None = rows are kept in memory, and no file is written.
        steps: Most rows of the data; None = all.
        seed: Seed of every chance; None = that of the config, 0.
        progress: Called now and then with how far the run is.
        fast: Compiled (needs numba), or interpreted; None = compiled where numba is installed.

    Returns:
        Summary and frames. An interrupt ends the run after the rows at hand; what is done is whole.

    Raises:
        ConfigError: An argument makes no sense, a column is missing, or the model cannot be compiled.
    """
    config = settled(config or RunConfig(), steps, False, policy, run_id, output_dir, seed)
    engine_model = model if isinstance(model, DecisionEngine) else _decision_engine(model, config)
    if engine_model.kernel_model is None:
        raise ConfigError(f"model {engine_model.model_id} is no kernel_model: give one, or use run_loop")
    broker = PaperBroker() if broker is None else broker
    if broker.share is not None:
        raise ConfigError(
            "the paper broker's queue is a Python function: it cannot be compiled, use run_loop"
        )
    compile_it = can_compile() if fast is None else fast
    known = {i.market_id: i for i in (*instruments, *config.instruments)}
    only = market_id or (next(iter(known)) if len(known) == 1 else "default")
    engine = Engine(
        run_id=config.run.run_id or "",
        run_key=run_key(config.run.run_id or "", config, live=False),
        config=config,
        policy=config.guards,
        model=engine_model,
        instruments=known,
        capabilities=broker.capabilities(),
        fast=compile_it,
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
    ended = ""
    signals: list[int] = []
    if trace is not None:
        trace.audit({"kind": "start", "at": clock.wall_text(), "run_id": engine.run_id, "driver": "batch"})
    run.wall_ns = clock.wall_ns()
    begun_ns = clock.elapsed_ns()
    with handled_signals(lambda number, _frame: signals.append(number)):
        for columns in pieces:
            run.take(columns)
            if progress is not None:
                progress(RunProgress(run.events, None, run.counts.summary))
            if signals:
                ended = f"signal:{signals[0]}"
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
        **run.counts.summary.get(),
        "ended": ended or "exhausted",
        **(end := end_state(engine, run.feed_counts(), broker.describe())),
        "sources": [],
        "timing": {
            "seconds": seconds,
            "events_per_second": run.events / seconds if seconds > 0.0 else 0.0,
            "peak_memory_mb": peak_memory_mb(),
        },
        "explanation": [*run.counts.summary.explain(end["stopped"]), *strays(engine)],
    }
    if trace is not None:
        trace.audit(
            {"kind": "stop", "at": clock.wall_text(), "ended": summary["ended"], "rows": dict(sink.rows)}
        )
        trace.write_summary(summary)
    return BatchResult(
        summary,
        rows=sink if isinstance(sink, RowMemory) else None,
        run_dir=None if trace is None else trace.run_dir,
        name_order=lambda step, leg: client_order_id(engine.run_key, step, leg),
    )
