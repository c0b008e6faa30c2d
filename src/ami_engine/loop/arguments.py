"""What `run_loop` was told: arguments over the config, checked and completed."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import msgspec

from ami_engine import clock
from ami_engine.config import RunConfig
from ami_engine.kernels.latency import FEED, Latency, delay_ns, is_none
from ami_engine.ports import MarketDataSource, OrderVenue
from decision_schema.errors import ConfigError
from decision_schema.units import NS_PER_MS, DurationNs, UnixNs
from dmc_core.dmc.risk_policy import RiskPolicy

TIMER_MS = 1_000


def sources_of(source: MarketDataSource | Sequence[MarketDataSource]) -> list[MarketDataSource]:
    """Give the sources of a run, one or several of one kind.

    Raises:
        ConfigError: There is none, one is something else, given twice, or of another kind.
    """
    sources = list(source) if isinstance(source, Sequence) else [source]
    if not sources:
        raise ConfigError("source is an empty list: give at least one MarketDataSource")
    for given in sources:
        if not isinstance(given, MarketDataSource):
            raise ConfigError(f"source is a {type(given).__name__}: give an instance of a MarketDataSource")
    if len({given.live for given in sources}) > 1:
        raise ConfigError("some sources are live and some are not: give all of one kind")
    if len(set(map(id, sources))) < len(sources):
        raise ConfigError("the same source is given twice: make one instance for each")
    return sources


def settled(
    config: RunConfig,
    steps: int | None,
    dry_run: bool,
    risk_policy: RiskPolicy | None,
    run_id: str | None,
    output_dir: str | Path | None,
    seed: int | None,
) -> RunConfig:
    """Let the arguments win over the config, and name the run."""
    if risk_policy is not None and not isinstance(risk_policy, RiskPolicy):
        raise ConfigError(f"risk_policy is a {type(risk_policy).__name__}: give a RiskPolicy")
    run, trace = config.run, config.trace
    named = run.run_id if run_id is None else run_id
    run = msgspec.structs.replace(
        run,
        run_id=_run_id_now() if named is None else named,
        steps=run.steps if steps is None else steps,
        dry_run=bool(dry_run or run.dry_run),
        seed=run.seed if seed is None else seed,
    )
    if output_dir is not None:
        trace = msgspec.structs.replace(trace, output_dir=str(output_dir))
    return msgspec.structs.replace(
        config, run=run, trace=trace, guards=config.guards if risk_policy is None else risk_policy
    )


def timer_interval_ns(config: RunConfig, *, live: bool) -> DurationNs:
    """Give the interval of timer events; 0 = there are none.

    Unless the config says, they come with a live source, and where a policy pulls orders that stand on
    a stale, crossed or frozen book: by time alone, where no event may come.
    """
    if config.run.timer_ms is not None:
        return config.run.timer_ms * NS_PER_MS
    policies = (config.guards, *(market.guards for market in config.markets))
    waits = (p.stale_cancel_ms > 0 or p.max_crossed_ms > 0 or p.max_frozen_ms > 0 for p in policies)
    if live or any(waits):
        return TIMER_MS * NS_PER_MS
    return 0


def feed_delay_of(config: RunConfig) -> Callable[[UnixNs], DurationNs] | None:
    """Give the delay of recorded events that carry only the venue's time; None = there is none."""
    section = config.data
    feed = Latency(FEED, round(section.feed_latency_ms * NS_PER_MS), section.feed_latency_sigma)
    return None if is_none(feed) else partial(delay_ns, feed, config.run.seed, 0)


def venues_of(sources: Sequence[MarketDataSource]) -> dict[str, OrderVenue]:
    """Give the simulated markets that take orders into their own book."""
    return {
        source.venue.market_id: source.venue
        for source in sources
        if not source.live and isinstance(source.venue, OrderVenue)
    }


def _run_id_now() -> str:
    return f"run-{clock.wall_text().replace(':', '')}-{clock.wall_ns() % 10**9:09d}"
