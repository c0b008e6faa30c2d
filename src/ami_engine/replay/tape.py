"""A recorded run stepped through again, so that each of its steps can be judged under other limits.

The inputs of the packets are fed to `step`, with the recorded proposals in place of the model: the state
at the moment of judging is that of the run, and what is asked of it goes through the same `plan_and_see`
and `weigh`. Every step is compared with its record; the first that differs ends the tape.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ami_engine.config import RunConfig
from ami_engine.execution.order_ids import OrderIds
from ami_engine.kernels.decision import Decision, Rules
from ami_engine.kernels.fused import plan_and_see
from ami_engine.kernels.guard import weigh
from ami_engine.kernels.observed import see
from ami_engine.loop.day_start import venue_day
from ami_engine.loop.edge import Admitted, Edge
from ami_engine.loop.engine import Engine
from ami_engine.loop.packet_rows import is_undecoded
from ami_engine.loop.step import step
from ami_engine.mdm.decision_engine import DecisionEngine
from ami_engine.ports import Capabilities
from ami_engine.replay.recorded import read_facts
from ami_engine.trace.reader import read_packets
from decision_schema.errors import ConfigError, ContractError, TraceError
from decision_schema.events import Event, Report
from decision_schema.instruments import Instrument
from decision_schema.packet_v2 import PacketV2, untag_floats
from decision_schema.reasons import NAMES, OK
from decision_schema.types import Action, Margin, Proposal
from decision_schema.units import NS_PER_MS, UnixNs
from dmc_core.dmc.guards import GUARDS, limits_of
from dmc_core.dmc.risk_policy import RiskPolicy, tighten
from dmc_core.dmc.smallest_change import Judged
from dmc_core.dmc.worst_case import Leg

Look = Callable[[PacketV2], None]
"""Called where a step is judged: the state is as the guards saw it."""


class Tape:
    """The steps of a recorded run, done again.

    Args:
        run_dir: Folder of the run; its packets must be those of `run_loop`.

    Raises:
        ConfigError: It is no run folder, or has no packets.
        TraceError: The manifest cannot be read, or names another guard table than this version has.
    """

    def __init__(self, run_dir: str | Path) -> None:
        self.run_dir = Path(run_dir)
        facts = read_facts(self.run_dir)
        try:
            self._make(facts)
        except (KeyError, TypeError, ValueError, msgspec.ValidationError, ConfigError) as error:
            raise TraceError(f"{self.run_dir}: its manifest cannot be judged by again: {error}") from None
        if [row["name"] for row in facts["guards"]["rows"]] != [guard.name for guard in GUARDS]:
            version = facts.get("versions", {}).get("mdm_engine", "unknown")
            raise TraceError(
                f"{self.run_dir}: the run was judged by another guard table (mdm-engine {version}): judge it "
                "again with that version"
            )
        self.failed = False
        self._packet: PacketV2 | None = None
        self._look: Look | None = None
        self._error: Exception | None = None
        self._at = -1
        self._shadow = Decision()

    def _make(self, facts: Mapping[str, Any]) -> None:
        config = msgspec.convert(facts["config"], RunConfig, strict=False)
        capabilities = msgspec.convert(facts["capabilities"], Capabilities)
        run_id = facts["chain"]["run_id"]
        self.engine = Engine(
            run_id=run_id,
            run_key=b"",  # the recorded names of orders count
            config=config,
            policy=config.guards,
            model=DecisionEngine(self._propose),
            instruments={
                name: msgspec.convert(found, Instrument, strict=False)
                for name, found in facts["instruments"].items()
            },
            capabilities=capabilities,
            policy_hook=self._hook,
            day=venue_day(config.run.day_zone, config.run.day_start),
        )
        self._ids = self.engine.ids = _RecordedIds()
        self._clock = _RecordedClock()
        self.edge = Edge(self._clock, config.run.max_clock_skew_ms * NS_PER_MS, self.engine.instrument)

    def steps(self, look: Look | None = None) -> Iterator[PacketV2]:
        """Do the steps again; give each packet when its step is done.

        Args:
            look: Called with each packet where it is judged; it may call `judge`.

        Raises:
            TraceError: A packet cannot be read, or the step does not come out as it is recorded.
        """
        self._look = look
        for packet in read_packets(self.run_dir):
            try:
                self._step(packet)
            except (KeyError, IndexError, TypeError, ValueError, msgspec.ValidationError) as error:
                if error is self._error:
                    raise
                raise self._fault(packet, f"it cannot be read: {error!r}") from None
            yield packet

    def judge(self, policy: RiskPolicy) -> Judged:
        """Judge the step at hand under a policy of its market; only while `look` is called.

        The proposal is completed to orders anew, and windows and costs are those of the policy; positions,
        working orders, fills and pauses are as recorded. Where the private policy hook tightened the step,
        what it recorded tightens this policy, too.
        """
        packet = self._packet
        if packet is None:
            raise RuntimeError("judge is called outside of a step")
        core, at = self.engine.core, self._at
        decision = self._shadow
        decision.proposed = core.proposed
        own = core.rule_records[at]
        rules = [*core.rule_records]
        rules[at] = Rules(
            limits_of(policy), own.size, own.half_spread_ticks, own.min_requote_ticks, own.exit_slippage_ticks
        )
        plan_and_see(core.state, core.cells, rules, decision, at)
        limits = rules[at].limits
        tightened = packet.guards.get("tightened")
        if tightened:
            policy = tighten(policy, msgspec.structs.replace(policy, **tightened))[0]
            limits = limits_of(policy)
            see(core.state, core.cells, core.cells[at], limits, decision.context, core.state.now_ns)
        return self._weigh(limits)

    def judge_same_orders(self, limits: list[float]) -> Judged:
        """Judge the orders of the last `judge` under other limits; only while `look` is called."""
        core, at = self.engine.core, self._at
        see(core.state, core.cells, core.cells[at], limits, self._shadow.context, core.state.now_ns)
        return self._weigh(limits)

    @property
    def policy(self) -> RiskPolicy:
        """The run's policy of the market at hand."""
        return self.engine.rules[self._at].policy

    @property
    def limits(self) -> list[float]:
        """The limits of the step at hand, tightened where its record says so; only while `look` is called."""
        packet = self._packet
        if packet is None:
            raise RuntimeError("there is no step at hand")
        tightened = packet.guards.get("tightened", {})
        return limits_of(msgspec.structs.replace(self.policy, **tightened))

    def own(self) -> Judged:
        """Give what the guards said in the last step, under the run's own limits."""
        return _judged(self.engine.core.decision)

    @property
    def latched(self) -> str:
        """Name what stood against any ACT whatever the limits: a STOP or an exit; empty = nothing."""
        core, at = self.engine.core, self._at
        if core.state.stopped != OK:
            return f"stopped since step {core.state.stop_step}: {NAMES[core.state.stopped]}"
        return "exiting" if core.cells[at].exiting == 1 else ""

    # ------------------------------------------------------------ one step

    def _step(self, packet: PacketV2) -> None:
        self._packet = packet
        admitted = self._admit(packet)
        reports: list[Report] = msgspec.convert(packet.external["reports"], list[Report])
        self._at = admitted.inp.cell
        self._ids.names = [intent["client_order_id"] for intent in packet.intents if intent["op"] != "cancel"]
        made, _ = step(self.engine, admitted, reports)
        self._packet = None
        if self._error is not None:
            raise self._error
        if msgspec.to_builtins(made.guards) != packet.guards:
            raise self._fault(packet, "its verdicts come out otherwise")
        if made.final_action.action != packet.final_action["action"]:
            raise self._fault(packet, "its decision comes out otherwise")

    def _admit(self, packet: PacketV2) -> Admitted:
        event: Event = msgspec.convert(packet.input, Event)
        self._clock.now_ns = packet.external["now_ns"]
        if event.kind == "timer":
            return self.edge.timer(event.market_id, event.ts_ns or 0)
        if event.kind != "market":
            raise TraceError(
                f"{self.run_dir}: step {packet.step} is a {event.kind}: a run is not judged again beyond it"
            )
        bad = event.bad
        if bad is not None and not is_undecoded(event):  # the edge finds it out again
            event = msgspec.structs.replace(event, bad=None)
        admitted = self.edge.admit(event)
        if admitted.is_new:
            self.engine.add_market(event.market_id)
        again = admitted.event.bad
        if (again and again.reason) != (bad and bad.reason):
            raise self._fault(packet, "its input is judged otherwise")
        return admitted

    def _propose(self, _features: Mapping[str, float]) -> Proposal:
        """Stand for the model: give the recorded proposal."""
        packet = self._packet
        if packet is None:
            raise ContractError("no step is at hand")
        return proposal_of(packet)

    def _hook(self, base: RiskPolicy, _context: Mapping[str, Any]) -> RiskPolicy:
        """Stand for the private policy hook, and let others look at the moment of judging."""
        packet = self._packet
        if packet is None:
            raise RuntimeError("no step is at hand")
        flags = (packet.mismatch or {}).get("flags", ())
        self.failed = any(flag.startswith(f"{_HOOK_FAILED}:") for flag in flags)
        if self._look is not None:
            try:
                self._look(packet)
            except Exception as error:  # noqa: BLE001 - a hook's error is taken for its failure: it is told later
                self._error = error
        if self.failed:
            raise RuntimeError("the recorded hook failed")
        tightened = packet.guards.get("tightened")
        return msgspec.structs.replace(base, **tightened) if tightened else base

    def _weigh(self, limits: list[float]) -> Judged:
        core, at, decision = self.engine.core, self._at, self._shadow
        for want in decision.plan.wanted[: decision.plan.n_wanted]:
            want.allowed = 1
        lots = [want.lots for want in decision.plan.wanted[: decision.plan.n_wanted]]
        weigh(core.cells[at], limits, decision, int(self.failed), core.state.now_ns)
        for want, before in zip(decision.plan.wanted, lots, strict=False):
            want.lots = before  # a leg that was shrunk: the next judgement is of the whole order again
        return _judged(decision)

    def _fault(self, packet: PacketV2, what: str) -> TraceError:
        return TraceError(
            f"{self.run_dir}: step {packet.step} cannot be judged again: {what}. The record was changed "
            "(mdm verify tells), or another version of mdm-engine made it"
        )


_HOOK_FAILED = "policy_hook_error"


class _RecordedClock:
    """The time of each step as it was recorded."""

    now_ns: UnixNs = 0

    def stamp_ns(self, stamp_ns: int, is_ours: int, has_book: int) -> UnixNs:
        return self.now_ns

    def settle_ns(self, stamp_ns: int, now_ns: UnixNs, in_order: int) -> UnixNs:
        return self.now_ns

    def last_ns(self) -> UnixNs:
        return self.now_ns


class _RecordedIds(OrderIds):
    """The names under which orders were sent."""

    names: Sequence[str] = ()

    def add(self, order_id: str, market: int, slot: int, lots: int) -> None:
        recorded, *self.names = self.names or [order_id]
        super().add(recorded, market, slot, lots)


def proposal_of(packet: PacketV2) -> Proposal:
    """Give the proposal of a packet as the model made it."""
    raw = untag_floats(packet.mdm["proposal"])
    return Proposal(
        action=Action(raw["action"]),
        confidence=raw["confidence"],
        reasons=list(raw["reasons"]),
        params=dict(raw["params"]),
        margins=[Margin(**margin) for margin in raw.get("margins", ())],
    )


def _judged(decision: Decision) -> Judged:
    """Copy what a decision holds of the guards."""
    judgement, context = decision.judgement, decision.context
    return Judged(
        judgement.action,
        decision.verdict.hold,
        judgement.refusing[: judgement.n_refusing],
        [_copy(leg) for leg in decision.legs[: decision.n_legs]],
        list(judgement.verdicts),
        list(context.observed),
        list(context.presence),
    )


def _copy(leg: Leg) -> Leg:
    """Copy a leg with the numbers that a judgement wrote."""
    copied = dataclasses.replace(leg)
    copied.values, copied.presence, copied.verdicts = list(leg.values), list(leg.presence), list(leg.verdicts)
    return copied
