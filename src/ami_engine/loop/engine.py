"""Engine: the state of a run and the constants that its steps go by."""

import hashlib
import os
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from ami_engine.config import ExecutionSection, RunConfig, TraceSection
from ami_engine.execution.entries import EntryLog
from ami_engine.execution.order_ids import OrderIds
from ami_engine.kernels.channels import MAX_CHANNELS
from ami_engine.kernels.records import MAX_MARKETS, Cell, EngineState, new_cell, new_state
from ami_engine.mdm.decision_engine import DecisionEngine
from ami_engine.ports import Capabilities
from decision_schema.events import Event
from decision_schema.instruments import DEFAULT_INSTRUMENT, Instrument
from dmc_core.dmc.guards import limits_of
from dmc_core.dmc.policy_hook import PolicyHook
from dmc_core.dmc.risk_policy import RiskPolicy, market_policy


class Rules(NamedTuple):
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
    ) -> None:
        self.run_id = run_id
        self.run_key = run_key
        self.config = config
        self.policy = policy
        self._account_rules = Rules(policy, limits_of(policy), config.execution)
        self.market_rules = {
            section.market_id: Rules(own, limits_of(own), section.execution)
            for section in config.markets
            for own in [market_policy(policy, section.guards)]
        }
        self.policy_hook = policy_hook
        self.model = model
        self.instruments = dict(instruments)
        self.capabilities = capabilities
        self.state: EngineState = new_state(config.run.initial_equity)
        self.market_ids: list[str] = []
        self.ids = OrderIds()
        self.entries = EntryLog()
        self._cells: dict[str, Cell] = {}
        self._rules: list[Rules] = []
        self._channels: dict[str, dict[str, int]] = {}
        self._nowhere = self._make_cell(-1, DEFAULT_INSTRUMENT)

    def cell_of(self, event: Event) -> Cell:
        """Give the market of an event, made at its first valid one; else a blank that trades nothing."""
        cell = self._cells.get(event.market_id)
        if cell is not None:
            return cell
        if event.bad is not None or event.kind != "market" or len(self.market_ids) >= MAX_MARKETS:
            return self._nowhere
        cell = self._make_cell(len(self.market_ids), self.instrument(event.market_id))
        self._cells[event.market_id] = cell
        self._channels[event.market_id] = {}
        self.market_ids.append(event.market_id)
        self._rules.append(self.market_rules.get(event.market_id, self._account_rules))
        self.state.cells.append(cell)
        self.state.positions.append(cell.position)
        return cell

    def rules_of(self, cell: Cell) -> Rules:
        """Give what the orders of a market go by."""
        return self._rules[cell.index] if cell.index >= 0 else self._account_rules

    def known_cell(self, market_id: str) -> Cell | None:
        """Give the market of that name, if it has been seen."""
        return self._cells.get(market_id)

    def channel_of(self, event: Event) -> int:
        """Give the number of an event's channel in its market; -1 = more channels than the state follows."""
        channels = self._channels.get(event.market_id)
        if channels is None:
            return 0
        number = channels.get(event.channel)
        if number is None:
            if len(channels) == MAX_CHANNELS:
                return -1
            number = channels[event.channel] = len(channels)
        return number

    def instrument(self, market_id: str) -> Instrument:
        """Give the instrument of a market."""
        found = self.instruments.get(market_id)
        if found is None:
            found = msgspec.structs.replace(DEFAULT_INSTRUMENT, market_id=market_id)
            self.instruments[market_id] = found
        return found

    def _make_cell(self, index: int, instrument: Instrument) -> Cell:
        can = self.capabilities
        return new_cell(index, instrument, self.config.sample_ns, can.cancel, can.replace)


def what_a_run_is(config: RunConfig) -> RunConfig:
    """Leave out of a config where a run is stored and how long it goes on: they do not change a step."""
    return msgspec.structs.replace(
        config,
        run=msgspec.structs.replace(config.run, steps=None),
        trace=TraceSection(),
    )


def run_key(run_id: str, config: RunConfig, *, live: bool) -> bytes:
    """Make the run key: random for live orders, else the same for the same run."""
    if live:
        return os.urandom(16)  # noqa: TID251 - two live runs must never share an order id
    body = msgspec.json.encode([run_id, what_a_run_is(config)], order="deterministic")
    return hashlib.sha256(b"mdm-run-key\n" + body).digest()[:16]
