"""The whole system on one screen: one input in, one guarded decision and its packet out.

Nothing else enters a step. Events, timers, the broker's reports and the time are stamped and
handed in by the driver (run_loop.py), and recorded; so the same inputs give the same bytes.
"""

from collections.abc import Sequence
from typing import NamedTuple

from ami_engine.execution.gateway import Message
from ami_engine.execution.plan import Plan, plan_orders
from ami_engine.kernels.telemetry import record_step
from ami_engine.loop.engine import Engine
from ami_engine.loop.guard import guard
from ami_engine.loop.observe import observe
from ami_engine.loop.propose import propose
from ami_engine.loop.pursue import pursue
from ami_engine.loop.record import record
from ami_engine.loop.reports import apply_reports
from decision_schema.events import Event, Report
from decision_schema.packet_v2 import PacketV2
from decision_schema.types import Action
from decision_schema.units import UnixNs


class Step(NamedTuple):
    """What a step gives back: its record, and the messages that leave once it is written."""

    packet: PacketV2
    messages: list[Message]


def step(engine: Engine, event: Event, reports: Sequence[Report], now_ns: UnixNs) -> Step:
    """Turn one input into a guarded decision.

    Args:
        engine: State and constants of the run; its state is moved on.
        event: A market event as `receive.receive` and `receive.admit` gave it, or a timer.
        reports: What the broker said since the last step, in order.
        now_ns: The time of this step.
    """
    state = engine.state
    state.step += 1
    state.now_ns = now_ns
    state.had_error = 0
    cell = engine.cell_of(event)

    remarks = apply_reports(engine, reports, now_ns)  # what the broker did with the last intents
    observe(engine, cell, event, now_ns)  # time, book, trades, features, marks
    proposal = propose(engine, cell, event, now_ns)  # the model, or why it is not asked
    plan = Plan()
    if proposal.action is Action.ACT:  # the proposal completed to orders on the grid
        rules = engine.rules_of(cell)
        plan = plan_orders(proposal.params, cell, event.market_id, rules.execution, rules.policy)
    verdict = guard(
        engine, cell, proposal, plan, remarks, now_ns
    )  # every row; sizes shrink, legs fall, latches close
    messages = pursue(engine, cell, verdict, plan, now_ns)  # wanted orders less working orders
    record_step(state.errors, state.had_error, engine.policy.error_window_steps)
    packet = record(engine, cell, event, reports, now_ns, proposal, plan, verdict, messages)
    return Step(packet, messages)
