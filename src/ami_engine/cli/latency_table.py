"""``mdm data latency``: a table of latencies measured from recorded data."""

import math
from pathlib import Path

from rich.console import Console

from ami_engine.adapters.inspecting.feed_delays import FeedDelays, measure_delays
from ami_engine.assembly import make_sources
from ami_engine.config import RunConfig
from ami_engine.ports import RunContext
from decision_schema.errors import ConfigError, MarketDataError
from decision_schema.units import NS_PER_MS

MAX_FACTOR = 100.0


def write_latency_table(
    config: RunConfig, file: Path, *, interval_ms: int, entry: float, response: float
) -> int:
    """Write a latency table for the data of a config, and say what is in it.

    Args:
        config: Its first source is measured.
        file: The table to write; an existing one is not overwritten.
        interval_ms: A row each.
        entry: Entry latency as a multiple of the feed's.
        response: Likewise the response latency.

    Raises:
        ConfigError: A number makes no sense, or the file is there already.
        MarketDataError: No message carries both times, or most were received before they happened.
    """
    if interval_ms < 1:
        raise ConfigError(f"--interval-ms is {interval_ms}: give a whole number >= 1")
    for name, factor in (("entry", entry), ("response", response)):
        if not 0.0 <= factor <= MAX_FACTOR:
            raise ConfigError(f"--{name} is {factor}: give a number from 0 to {MAX_FACTOR:g}")
    if file.exists():
        raise ConfigError(f"{file} exists already: give another name, or delete it")
    measured = _measure(config, interval_ms)
    lines = ["ts_ns,feed_ns,entry_ns,response_ns"]
    lines += [f"{at},{d},{round(entry * d)},{round(response * d)}" for at, d in measured.rows]
    try:
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}") from None
    say = Console(highlight=False, soft_wrap=True, markup=False).print
    delays = sorted(delay / NS_PER_MS for _, delay in measured.rows)
    say(f"{measured.messages:,} messages in {len(delays):,} intervals of {interval_ms} ms")
    say(f"feed latency, by interval: median {_at(delays, 0.5):.1f} ms, 95 % {_at(delays, 0.95):.1f} ms")
    if measured.negative:
        say(f"{measured.negative:,} were received before they happened and count as 0: set clock_offset_ms")
    say(f'wrote {file}: give it to [broker.paper] as latency_table = "{file}"')
    return 0


def _measure(config: RunConfig, interval_ms: int) -> FeedDelays:
    source = make_sources(config)[0]
    source.open(RunContext(run_id="latency"))
    try:
        measured = measure_delays(source, interval_ms * NS_PER_MS)
    finally:
        source.close()
    if not measured.rows:
        raise MarketDataError("no message carries both the venue's time and a time of receipt")
    if measured.negative > measured.messages // 2:
        raise MarketDataError(
            f"{measured.negative:,} of {measured.messages:,} messages were received before they happened: "
            "set clock_offset_ms as mdm data inspect suggests"
        )
    return measured


def _at(ordered: list[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, math.floor(part * len(ordered)))]
