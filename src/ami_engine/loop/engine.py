"""Engine: the state of a run and the constants that its steps go by."""

import hashlib
import math
import os
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from ami_engine.config import ExecutionSection, RunConfig, TraceSection
from ami_engine.execution.entries import EntryLog
from ami_engine.execution.order_ids import OrderIds
from ami_engine.kernels.decision import Rules
from ami_engine.kernels.records import Cell, EngineState, new_cell, new_state
from ami_engine.kernels.venue_day import VenueDay
from ami_engine.loop.core import Core
from ami_engine.loop.fast_core import FastCore
from ami_engine.mdm.decision_engine import DecisionEngine
from ami_engine.ports import Capabilities
from decision_schema.instruments import DEFAULT_INSTRUMENT, Instrument
from decision_schema.units import NS_PER_MS
from dmc_core.dmc.guards import limits_of
from dmc_core.dmc.policy_hook import PolicyHook
from dmc_core.dmc.risk_policy import RiskPolicy, market_policy


class MarketRules(NamedTuple):
    """What the orders of a market go by.

    Args:
        policy: Limits.
        limits: The same as a vector.
        execution: Size, distance and patience of orders.
    """

    policy: RiskPolicy
    limits: list[float]
    execution: ExecutionSection


class Engine:
    """One run's state, model, policy and instruments; `step` is the function that moves it on.

    Args:
        run_id: Name of the run.
        run_key: Secret of nobody: the bytes that make its client order ids its own.
        config: What the run was told.
        policy: Limits of the account, and of the markets that have none of their own in `config`.
        model: Where proposals come from.
        instruments: By market id; a market that is not among them gets the documented default.
        capabilities: What the broker can do.
        policy_hook: The private policy hook; None = there is none.
        fast: Whether the core runs compiled.
        day: When the days of the venue begin; None = at midnight UTC.
    """

    def __init__(
        self,
        *,
        run_id: str,
        run_key: bytes,
        config: RunConfig,
        policy: RiskPolicy,
        model: DecisionEngine,
        instruments: Mapping[str, Instrument],
        capabilities: Capabilities,
        policy_hook: PolicyHook | None = None,
        fast: bool = False,
        day: VenueDay | None = None,
    ) -> None:
        self.run_id = run_id
        self.run_key = run_key
        self.config = config
        self.policy = policy
        self.account_rules = MarketRules(policy, limits_of(policy), config.execution)
        self.market_rules = {
            section.market_id: MarketRules(own, limits_of(own), section.execution)
            for section in config.markets
            for own in [market_policy(policy, section.guards)]
        }
        self.policy_hook = policy_hook
        self.model = model
        self.instruments = dict(instruments)
        self.capabilities = capabilities
        self.market_ids: list[str] = []
        self.ids = OrderIds()
        self.entries = EntryLog()
        self._numbers: dict[str, int] = {}
        self.grids: list[tuple[int, int, int, int]] = []
        self.rules: list[MarketRules] = [self.account_rules]
        state = new_state(config.run.initial_equity)
        state.is_live = int(capabilities.live)
        state.warmup_ns = model.warmup_ms * NS_PER_MS
        self._shares = config.shares()
        state.reserved_part = sum(self._shares.values())
        if day is not None:
            state.account.day = day
        blank = self.make_cell(-1, DEFAULT_INSTRUMENT)
        make = FastCore if fast else Core
        self.core: Core | FastCore = make(state, blank, rules_record(self.account_rules))
        if model.kernel_model is not None:
            for i, value in enumerate(model.kernel_model.values_of(model.params)):
                self.core.x.params[i] = value

    @property
    def state(self) -> EngineState:
        """The account, the latch, the windows."""
        return self.core.state

    @property
    def cells(self) -> list[Cell]:
        """The markets seen so far, by number."""
        return self.core.cells[:-1]

    def add_market(self, market_id: str) -> None:
        """Take in a market of which the first valid event has come; it gets the next number."""
        rules = self.market_rules.get(market_id, self.account_rules)
        number = len(self.market_ids)
        self.market_ids.append(market_id)
        self._numbers[market_id] = number
        instrument = self.instrument(market_id)
        self.grids.append((*instrument.tick, *instrument.lot))
        self.rules.insert(number, rules)
        self.core.add(self.make_cell(number, self.instrument(market_id)), rules_record(rules))

    def number_of(self, market_id: str) -> int | None:
        """Give the number of a market, if it has been seen."""
        return self._numbers.get(market_id)

    def instrument(self, market_id: str) -> Instrument:
        """Give the instrument of a market."""
        found = self.instruments.get(market_id)
        if found is None:
            found = msgspec.structs.replace(DEFAULT_INSTRUMENT, market_id=market_id)
            self.instruments[market_id] = found
        return found

    def memory_digest(self, number: int) -> str | None:
        """Give the digest of the model's memory, of a kernel that of the market; None = it has none."""
        kernel_model = self.model.kernel_model
        if kernel_model is None:
            return self.model.memory_digest()
        if not kernel_model.memory:
            return None
        values = self.core.memory(number)[: len(kernel_model.memory)]
        return hashlib.sha256(",".join(value.hex() for value in values).encode()).hexdigest()[:16]

    def make_cell(self, index: int, instrument: Instrument) -> Cell:
        """Make the state of a market that has seen nothing yet."""
        can = self.capabilities
        cell = new_cell(index, instrument, self.config.sample_ns, can.cancel, can.replace)
        cell.reserved_part = self._shares.get(instrument.market_id, 0.0) if index >= 0 else 0.0
        if self.model.kernel_model is not None:
            cell.memory.values[:] = self.model.kernel_model.first_memory()
        return cell


def rules_record(rules: MarketRules) -> Rules:
    """Give what orders go by in numbers."""
    execution = rules.execution
    half_spread = execution.half_spread_ticks
    return Rules(
        limits=list(rules.limits),
        size=float(execution.size),
        half_spread_ticks=math.nan if half_spread is None else float(half_spread),
        min_requote_ticks=execution.min_requote_ticks,
        exit_slippage_ticks=execution.exit_slippage_ticks,
    )


def what_a_run_is(config: RunConfig) -> RunConfig:
    """Leave out of a config where a run is stored and how long it goes on: they do not change a step."""
    return msgspec.structs.replace(
        config,
        run=msgspec.structs.replace(config.run, steps=None, fast=False),
        trace=TraceSection(),
    )


def run_key(run_id: str, config: RunConfig, *, live: bool) -> bytes:
    """Make the run key: random for live orders, else the same for the same run."""
    if live:
        return os.urandom(16)  # noqa: TID251 - two live runs must never share an order id
    body = msgspec.json.encode([run_id, what_a_run_is(config)], order="deterministic")
    return hashlib.sha256(b"mdm-run-key\n" + body).digest()[:16]
