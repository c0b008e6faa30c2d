"""The whole system on one screen: one input in, one guarded decision and its packet out.

Nothing else enters a step. Events, timers, the broker's reports and the time are stamped and
handed in by the driver (run_loop.py), and recorded; so the same inputs give the same bytes.
A batch run takes the same kernels through one compiled loop (kernels/fused.py).
"""

from collections.abc import Sequence
from typing import NamedTuple

from ami_engine.execution.gateway import Message
from ami_engine.loop.address import address
from ami_engine.loop.decide import decide
from ami_engine.loop.edge import Admitted
from ami_engine.loop.engine import Engine
from ami_engine.loop.propose import propose
from ami_engine.loop.record import record
from ami_engine.loop.reports import apply_reports
from ami_engine.loop.verdict_words import words_of
from decision_schema.events import Report
from decision_schema.step_packet import StepPacket


class Step(NamedTuple):
    """What a step gives back: its record, and the messages that leave once it is written."""

    packet: StepPacket
    messages: list[Message]


def step(engine: Engine, admitted: Admitted, reports: Sequence[Report]) -> Step:
    """Turn one input into a guarded decision.

    Args:
        engine: State and constants of the run; its state is moved on.
        admitted: A market event or a timer, as `edge.Edge` gave it, with its time.
        reports: What the broker said since the last step, in order.
    """
    core, inp = engine.core, admitted.inp
    core.open(inp.now_ns)
    remarks = apply_reports(engine, reports, inp.now_ns)  # what the broker did with the last intents
    why = core.take(admitted)  # time, book, trades, features, marks; may the model be asked?
    asked = propose(engine, admitted, why)  # the model, or why it is not asked
    in_use = decide(engine, inp, len(remarks))  # plan, every guard, latches, wanted orders less working ones
    words = words_of(core.decision, asked.action, asked.told.reasons, remarks, in_use)
    messages = address(engine, words.action, asked.travels)  # each message under its own name for ever
    return Step(record(engine, admitted, reports, asked, in_use, words, messages), messages)
