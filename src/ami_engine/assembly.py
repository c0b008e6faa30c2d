"""From a RunConfig to a wired run: the only file that knows the concrete sources and brokers."""

import difflib
from pathlib import Path
from typing import Any

import msgspec

from ami_engine.config import RunConfig
from ami_engine.loop.configured_broker import made, make_broker
from ami_engine.loop.run_batch import run_batch
from ami_engine.loop.run_loop import Progress, run_loop
from ami_engine.ports import Broker, MarketDataSource
from ami_engine.sim.microstructure_sim import MicrostructureSim
from ami_engine.sim.synthetic_source import SyntheticSource
from decision_schema.errors import ConfigError


def run_config(config: RunConfig, progress: Progress | None = None) -> dict[str, Any]:
    """Run what a config describes and return its summary.

    Raises:
        ConfigError: The mode and its parts do not go together, or a part cannot be loaded.
    """
    sources, broker = make_sources(config), make_broker(config)
    _check_mode(config, sources, broker)
    return run_loop(sources, broker, config=config, progress=progress)


def backtest_config(
    config: RunConfig, progress: Progress | None = None, *, packets: bool = True
) -> dict[str, Any]:
    """Run what a config of recorded data describes as `run_batch` does, and return its summary.

    Args:
        config: The run.
        progress: Called now and then with how far the run is.
        packets: Write a packet a step; False = tables of rows instead.

    Raises:
        ConfigError: The mode and its parts do not go together, or a part cannot be loaded.
    """
    sources, broker = make_sources(config), make_broker(config)
    _check_mode(config, sources, broker)
    folder = config.trace.output_dir
    return run_batch(
        sources, broker=broker, config=config, output_dir=folder, packets=packets, progress=progress
    ).summary


FORMATS = {
    "binance": "ami_engine.adapters.binance:BinanceSource",
    "bybit": "ami_engine.adapters.captures:BybitSource",
    "csv": "ami_engine.adapters.csv_source:CsvSource",
    "hyperliquid": "ami_engine.adapters.captures:HyperliquidSource",
    "lobster": "ami_engine.adapters.lobster:LobsterSource",
    "parquet": "ami_engine.adapters.parquet_source:ParquetSource",
}
"""Formats of recorded files, by their name in the config."""


def make_sources(config: RunConfig) -> list[MarketDataSource]:
    """Make the sources of ``[data]``."""
    section = config.data
    if section.sources:
        return [
            make_source(entry.source, entry.params, f"data.sources[{number}].source")
            for number, entry in enumerate(section.sources)
        ]
    if section.source != "sim":
        return [make_source(section.source, section.params, "data.source")]
    if section.params:
        raise ConfigError(
            "config: data.params goes with a source of your own; the simulator takes [data.sim]"
        )
    arguments = {name: getattr(section.sim, name) for name in section.sim.__struct_fields__}
    num_events = arguments.pop("num_events")
    return [SyntheticSource(MicrostructureSim(**arguments), num_events=num_events)]


def make_source(name: str, params: dict[str, Any], place: str = "source") -> MarketDataSource:
    """Make one source of recorded files, or of the user's own.

    Args:
        name: A format, or ``module:name``.
        params: Keyword arguments.
        place: Where the name stands, for messages.

    Raises:
        ConfigError: The name is not known, or the arguments are not taken.
        MarketDataError: A file cannot be read.
    """
    if name not in FORMATS and ":" not in name:
        near = difflib.get_close_matches(name, FORMATS, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"give one of {', '.join(FORMATS)}, or module:name"
        raise ConfigError(f"config: {place} is {name!r}: {hint}")
    source = made(FORMATS.get(name, name), params, place)
    if not isinstance(source, MarketDataSource):
        raise ConfigError(f"config: {place} gave a {type(source).__name__}: give a MarketDataSource")
    return source


def _check_mode(config: RunConfig, sources: list[MarketDataSource], broker: Broker) -> None:
    """Refuse a mode that its parts contradict, above all real orders where none are meant."""
    mode, live = config.run.mode, broker.capabilities().live
    if live and mode != "live":
        raise ConfigError(
            f"config: run.mode is {mode!r} but broker {config.broker.broker!r} sends real orders"
        )
    if mode == "live" and not live:
        raise ConfigError("config: run.mode is 'live' but the broker is not live: give one in [broker]")
    if mode in ("sim", "backtest") and any(source.live for source in sources):
        raise ConfigError(f"config: run.mode is {mode!r} but the source is live: use 'paper' or 'live'")
    if mode != "sim" and config.data.source == "sim" and not config.data.sources:
        raise ConfigError(
            f"config: run.mode is {mode!r} but data.source is the simulator: give one in [data]"
        )


def with_run(config: RunConfig, **changes: Any) -> RunConfig:
    """Give a config with changed ``[run]`` settings, ``output_dir`` among them; None changes nothing."""
    changes = {name: value for name, value in changes.items() if value is not None}
    output_dir = changes.pop("output_dir", None)
    if output_dir is not None:
        config = msgspec.structs.replace(
            config, trace=msgspec.structs.replace(config.trace, output_dir=str(Path(output_dir)))
        )
    return msgspec.structs.replace(config, run=msgspec.structs.replace(config.run, **changes))
