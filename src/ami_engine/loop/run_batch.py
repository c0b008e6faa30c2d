"""`run_batch`: a backtest over columns, compiled where it can be; the decisions of `run_loop` as rows."""

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ami_engine import clock
from ami_engine.config import RunConfig
from ami_engine.execution.order_ids import client_order_id
from ami_engine.kernels.batch import run_columns, run_inputs
from ami_engine.kernels.fused import decide_and_show
from ami_engine.loop.arguments import settled, sources_of, venues_of
from ami_engine.loop.batch import model_reasons_of
from ami_engine.loop.batch_files import RowFiles, RowMemory
from ami_engine.loop.column_source import ColumnSource
from ami_engine.loop.columns import chunks_of
from ami_engine.loop.compile_choice import events_of, is_compiled, tell_compiling
from ami_engine.loop.configured_broker import make_broker
from ami_engine.loop.day_start import venue_day
from ami_engine.loop.drive_batch import drive_columns, drive_sources
from ami_engine.loop.engine import Engine, run_key
from ami_engine.loop.facts import manifest_of
from ami_engine.loop.packet_rows import PacketRows
from ami_engine.loop.result import BatchResult
from ami_engine.loop.row_frames import columns_of
from ami_engine.loop.run_loop import Progress, run_loop, taps_of
from ami_engine.mdm.decision_engine import DecisionEngine
from ami_engine.ports import Broker, MarketDataSource
from ami_engine.sim.paper_broker import PaperBroker
from ami_engine.trace.trace_logger import RunFolder, write_summary
from decision_schema.errors import ConfigError
from decision_schema.instruments import Instrument
from dmc_core.dmc.policy_hook import load_policy_hook
from dmc_core.dmc.risk_policy import RiskPolicy


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
    """Run a model over recorded market data.

    The whole loop is compiled where model and broker are: a `kernel_model` and the paper broker. What
    it cannot call (a Python model, a policy hook, another broker or a queue function, a market that
    answers to orders) goes through `run_loop` one event at a time; decisions, fills and orders are the
    same.

    Args:
        data: A mapping from names to arrays, anything with ``__arrow_c_stream__`` (a frame of polars,
            pandas, pyarrow, duckdb), a structured array, or an iterable of such pieces, in the order of
            time; docs/batch.md has the columns. Or a MarketDataSource of recorded data, or several.
        model: A `kernel_model`, another model as `run_loop` takes it, or None = the private hook, else
            the reference model.
        policy: Limits; None = those of the config, else the defaults.
        broker: How orders fill; None = the broker of the config, else the paper broker without latency.
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
        fast: Compiled (needs numba), or interpreted; None = as the config says, else compiled where
            numba is installed and the run is so long that it pays.
        packets: Write the full packets of `run_loop` to `output_dir`. The tables are made of them, and
            stored, when they are first asked for.

    Returns:
        Summary and frames; ``summary["driver"]`` is ``compiled``, ``interpreted`` or ``per event``, and
        why it is the last one is told in ``summary["explanation"]``. An interrupt ends the run after
        the rows at hand, a second one at once; what is done is whole.

    Raises:
        ConfigError: An argument makes no sense, a column is missing, or the model cannot be compiled.
        ContractError: A cell of the data cannot be read.
    """
    if packets and output_dir is None:
        raise ConfigError("packets are asked for, but no output_dir: say where they go")
    config = settled(config or RunConfig(), steps, dry_run, policy, run_id, output_dir, seed)
    engine_model = model if isinstance(model, DecisionEngine) else _decision_engine(model, config)
    broker = make_broker(config) if broker is None else broker
    if not isinstance(broker, Broker):
        raise ConfigError(f"broker is a {type(broker).__name__}: give an instance of a Broker")
    told = tuple(instruments)
    sources = sources_of(data) if _is_sources(data) else []
    if broker.capabilities().live or any(given.live for given in sources):
        raise ConfigError("run_batch is for recorded data and simulated orders: use run_loop for live ones")
    if sources:
        named = {i.market_id for i in config.instruments}
        more = (*(i for i in told if i.market_id not in named), *config.instruments)
        config = msgspec.structs.replace(config, instruments=more)
    own = (instrument for source in sources for instrument in source.instruments())
    known = {i.market_id: i for i in (*told, *own, *config.instruments)}
    only = market_id or (next(iter(known)) if len(known) == 1 else "default")
    asked = config.run.fast if fast is None else fast
    events = events_of(data, config.run.steps)
    why = _why_per_event(engine_model, broker, config, sources, packets=packets)
    if why or not isinstance(broker, PaperBroker):
        compile_it = is_compiled(asked, decide_and_show, events)
        if compile_it:
            tell_compiling(decide_and_show, progress)
        return _per_event(
            sources or [ColumnSource(data, only, told)], broker, engine_model, config, progress, why,
            fast=compile_it, keeps=output_dir is not None, packets=packets,
        )  # fmt: skip
    kernel = run_inputs if sources else run_columns
    compile_it = is_compiled(asked, kernel, events)
    if compile_it:
        tell_compiling(kernel, progress)
    begun_ns = clock.elapsed_ns()
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
    engine_ns = clock.elapsed_ns() - begun_ns

    def drive(sink: RowFiles | RowMemory, folder: RunFolder | None) -> BatchResult:
        if sources:
            return drive_sources(engine, broker, sink, taps_of(sources, known), progress, folder, engine_ns)
        pieces = chunks_of(data, market_id=only)
        return drive_columns(engine, broker, sink, pieces, progress, folder, engine_ns)

    if output_dir is None:
        return drive(RowMemory(engine.market_ids, model_reasons=model_reasons_of(engine)), None)
    facts, runs = manifest_of(engine), config.trace.output_dir
    with (
        RunFolder(engine.run_id, runs, manifest=facts, must_be_new=True) as folder,
        RowFiles(folder.run_dir, engine.market_ids, model_reasons=model_reasons_of(engine)) as files,
    ):
        return drive(files, folder)


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
    model: DecisionEngine,
    broker: Broker,
    config: RunConfig,
    sources: Sequence[MarketDataSource],
    *,
    packets: bool,
) -> str:
    """Say why the compiled loop cannot be used; empty = it can."""
    if packets:
        return "full packets are asked for"
    if venues_of(sources):
        return "the market of the source answers to our orders"
    if config.run.dry_run:
        return "it is a dry run"
    if model.kernel_model is None:
        return f"the model {model.model_id} is Python, no kernel_model"
    if sources and model.kernel_model.scorer is not None:
        return "the model has a scorer, which reads ahead of columns only"
    if load_policy_hook() is not None:
        return "there is a private policy hook"
    if type(broker) is not PaperBroker:
        return f"the broker is a {type(broker).__name__}, not the paper broker"
    return "" if broker.share is None else "the queue of the paper broker is a Python function"


def _per_event(
    sources: Sequence[MarketDataSource],
    broker: Broker,
    model: DecisionEngine,
    config: RunConfig,
    progress: Progress | None,
    why: str,
    *,
    fast: bool,
    keeps: bool,
    packets: bool,
) -> BatchResult:
    """Run the live driver over the data, and give its packets as rows."""
    with tempfile.TemporaryDirectory(prefix="mdm-") as temporary:
        summary = run_loop(
            sources,
            broker,
            decision_engine=model,
            config=config,
            output_dir=None if keeps else temporary,
            progress=progress,
            fast=fast,
        )
        for source in sources:
            if isinstance(source, ColumnSource) and source.failed is not None:
                raise source.failed
        run_dir = Path(summary["run_dir"])
        words = None if model.kernel_model is None else model.kernel_model.reasons
        memory = None
        if not keeps:
            read = PacketRows(run_dir, words)
            memory = RowMemory(read.market_ids, model_reasons=read.model_reasons)
            _hand_over(read, memory)
        elif not packets:
            _store_rows(run_dir, words)
    key = run_key(summary["run_id"], config, live=False)
    summary["run_dir"] = str(run_dir) if keeps else None
    summary["driver"] = "per event"
    if not packets:
        line = f"Each event went through Python, not the compiled loop: {why}."
        summary["explanation"] = [*summary["explanation"], line]
    if keeps:
        write_summary(run_dir, summary)
    return BatchResult(
        summary,
        rows=memory,
        run_dir=run_dir if keeps else None,
        name_order=lambda step, leg: client_order_id(key, step, leg),
        make_rows=(lambda: _store_rows(run_dir, words)) if packets else None,
    )


def _store_rows(run_dir: Path, words: Sequence[str] | None) -> None:
    """Write the rows of a run beside its packets."""
    read = PacketRows(run_dir, words)
    with RowFiles(run_dir, read.market_ids, model_reasons=read.model_reasons) as files:
        _hand_over(read, files)


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
