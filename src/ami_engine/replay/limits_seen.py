"""What a policy's limits meet in given data: a recorded run, or files of market data."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from ami_engine.adapters.inspecting.quantiles import Quantiles
from ami_engine.clock import EventClock
from ami_engine.config import RunConfig
from ami_engine.loop.edge import Edge
from ami_engine.loop.engine import Engine
from ami_engine.loop.feed import END, DirectFeed, Failure, Tap
from ami_engine.loop.step import step
from ami_engine.mdm.decision_engine import DecisionEngine
from ami_engine.ports import Capabilities, MarketDataSource, RunContext
from ami_engine.replay.recorded import read_facts
from ami_engine.trace.reader import read_packets
from decision_schema.errors import TraceError
from decision_schema.events import Event
from decision_schema.instruments import DEFAULT_INSTRUMENT, Instrument, unit_loss
from decision_schema.types import Action, Proposal
from decision_schema.units import NS_PER_MS
from dmc_core.dmc.guards import N_OBSERVED, SLOT
from dmc_core.dmc.policy_check import (
    Finding,
    RowsSeen,
    grid_findings,
    interval_findings,
    size_findings,
)
from dmc_core.dmc.risk_policy import RiskPolicy

MAX_EVENTS = 200_000
"""Events of a file that are looked at."""
MOST_MARKETS = 8
"""Markets whose grid and sizes are looked at."""
_BOOK = ("bid", "ask", "mid", "bids", "asks", "deltas", "order_messages")
_EDGE = SLOT["edge_ticks"]
NAN = float("nan")


@dataclass(slots=True)
class _Market:
    last_ns: int = 0
    low: float = float("inf")
    high: float = 0.0


@dataclass(slots=True)
class _Waits:
    """Times between two books of a market, in ms."""

    quantiles: Quantiles = field(default_factory=Quantiles)
    longest: float = 0.0

    def add(self, ms: float) -> None:
        self.quantiles.add(ms)
        self.longest = max(self.longest, ms)


class LimitsSeen:
    """Takes steps one by one, and says what the limits make of them.

    Args:
        policy: The policy to check.
        instruments: Of the markets, by id.
    """

    def __init__(self, policy: RiskPolicy, instruments: Mapping[str, Instrument]) -> None:
        self.policy = policy
        self.rows = RowsSeen(policy)
        self._instruments = instruments
        self._markets: dict[str, _Market] = {}
        self._waits = _Waits()

    def take(
        self,
        market_id: str,
        now_ns: int,
        features: Mapping[str, float],
        values: list[float],
        *,
        is_book: bool,
    ) -> None:
        """Take one step: what the guards saw, by slot, and whether it brought a book that could be used."""
        cost = features.get("cost_ticks", self.policy.cost_ticks)
        values[_EDGE] = self.policy.tp_ticks - cost
        self.rows.take(values)
        if not is_book or (market_id not in self._markets and len(self._markets) == MOST_MARKETS):
            return
        market = self._markets.setdefault(market_id, _Market())
        if market.last_ns:
            self._waits.add((now_ns - market.last_ns) / NS_PER_MS)
        market.last_ns = now_ns
        mid = features.get("mid")
        if mid is not None:
            market.low, market.high = min(market.low, mid), max(market.high, mid)

    def findings(self) -> list[Finding]:
        """Give what the limits trip on, or never will."""
        found = self.rows.findings()
        for market_id, market in self._markets.items():
            if market.high > 0.0:
                instrument = self._instruments.get(market_id, DEFAULT_INSTRUMENT)
                found += grid_findings(self.policy, float(instrument.tick_size), market.low, market.high)
                found += size_findings(self.policy, _least_at_risk(instrument, market.low))
        waits = self._waits.quantiles
        median, p95 = waits.at(0.5), waits.at(0.95)
        if median is not None and p95 is not None:
            found += interval_findings(self.policy, median, p95, self._waits.longest)
        return list({(f.kind, *f.limits, f.seen): f for f in found}.values())


def _least_at_risk(instrument: Instrument, mid: float) -> float:
    """Give what the smallest buy puts at risk."""
    size = max(float(instrument.lot_size), float(instrument.min_size or 0.0))
    return size * unit_loss(instrument.kind == "binary", float(instrument.multiplier), True, mid)


def seen_in_run(run_dir: str | Path, policy: RiskPolicy) -> LimitsSeen:
    """Take the steps of a recorded run.

    Raises:
        ConfigError: It is no run with packets.
        TraceError: A packet cannot be read.
    """
    facts = read_facts(run_dir)
    instruments = {
        name: msgspec.convert(found, Instrument, strict=False) for name, found in facts["instruments"].items()
    }
    slots = [SLOT.get(observed["name"]) for observed in facts["guards"]["observed"]]
    seen = LimitsSeen(policy, instruments)
    for packet in read_packets(run_dir):
        values = [NAN] * N_OBSERVED
        try:
            for slot, value in zip(slots, packet.guards["values"], strict=True):
                if slot is not None and value is not None:
                    values[slot] = value
            is_book = not packet.input.get("bad") and any(name in packet.input for name in _BOOK)
            seen.take(
                packet.input.get("market_id", ""), packet.external["now_ns"], packet.mdm["features"], values,
                is_book=is_book,
            )  # fmt: skip
        except (KeyError, TypeError, ValueError) as error:
            raise TraceError(f"{run_dir}: step {packet.step} is no packet of the engine: {error!r}") from None
    return seen


def seen_in_data(
    source: MarketDataSource, policy: RiskPolicy, instruments: Iterable[Instrument], most: int = MAX_EVENTS
) -> LimitsSeen:
    """Step through events as a run would, with a model that holds, and take what the guards see.

    Args:
        source: Recorded events.
        policy: The policy to check.
        instruments: Of the markets.
        most: Most events.

    Raises:
        MarketDataError: The source cannot deliver.
    """
    known = {instrument.market_id: instrument for instrument in (*source.instruments(), *instruments)}
    config = RunConfig(guards=policy)
    engine = Engine(
        run_id="check",
        run_key=b"",
        config=config,
        policy=policy,
        model=DecisionEngine(_hold),
        instruments=known,
        capabilities=Capabilities(),
    )
    edge = Edge(EventClock(), config.run.max_clock_skew_ms * NS_PER_MS, engine.instrument)
    seen = LimitsSeen(policy, engine.instruments)
    source.open(RunContext(run_id="check", seed=0, instruments=known, dry_run=True, venues={}))
    feed = DirectFeed(Tap(source, next(iter(known)) if len(known) == 1 else "default"))
    try:
        for _ in range(most):
            taken = feed.take()
            if isinstance(taken, Failure):
                raise taken.error
            if taken is END:
                break
            if isinstance(taken, Event):
                _take_event(engine, edge, seen, taken)
    finally:
        feed.close()
        source.close()
    return seen


def _hold(_features: Mapping[str, float]) -> Proposal:
    return Proposal(action=Action.HOLD, confidence=0.0)


def _take_event(engine: Engine, edge: Edge, seen: LimitsSeen, event: Event) -> None:
    admitted = edge.admit(event)
    if admitted.is_new:
        engine.add_market(event.market_id)
    packet, _ = step(engine, admitted, [])
    values = [NAN if value is None else value for value in packet.guards.values]
    is_book = admitted.event.bad is None and admitted.inp.has_book == 1
    features = msgspec.to_builtins(packet.mdm.features)
    seen.take(event.market_id, admitted.inp.now_ns, features, values, is_book=is_book)
