"""The stages composed: what the live loop calls one by one, and a batch run in one compiled loop.

    input -> reports -> observe -> model -> plan -> guards -> pursue -> messages to the venue

The live loop comes in twice a step, before its model (`take_input`) and behind it (`decide_step`);
batch.py repeats all of it without Python between.
"""

from ami_engine.kernels.decision import Decision, Proposed, Rules
from ami_engine.kernels.guard import judge_plan
from ami_engine.kernels.inputs import Input, TradeRow
from ami_engine.kernels.model_input import ModelInput, show_model
from ami_engine.kernels.observe import observe
from ami_engine.kernels.observed import see
from ami_engine.kernels.outcome import Outcome, write_outcome
from ami_engine.kernels.plan import plan_orders
from ami_engine.kernels.proposing import check_proposed, clear_proposed, hold_unasked, why_not_asked
from ami_engine.kernels.pursue import pursue
from ami_engine.kernels.records import Cell, EngineState, Memory
from ami_engine.kernels.telemetry import record_step
from decision_schema.kernel import kernel
from decision_schema.reasons import OK
from dmc_core.dmc.decide import ACT
from dmc_core.dmc.guards import LIMIT_SLOT

_ERROR_WINDOW = LIMIT_SLOT["error_window_steps"]


@kernel
def open_step(state: EngineState, now_ns: int) -> None:
    """Begin a step."""
    state.step += 1
    state.now_ns = now_ns
    state.had_error = 0


@kernel
def take_input(
    state: EngineState,
    cells: list[Cell],
    decision: Decision,
    x: ModelInput,
    inp: Input,
    trades: list[TradeRow],
) -> int:
    """Observe an input; give the reason for which the model is not asked, OK = it is, by `x`."""
    cell = cells[inp.cell]
    observe(state, cells, cell, inp, trades, inp.now_ns)
    why = why_not_asked(state, cell, inp)
    if why == OK:
        show_model(x, state, cell)
        clear_proposed(decision.proposed)
    else:
        hold_unasked(decision.proposed, cell, why)
    return why


@kernel
def plan_and_see(
    state: EngineState, cells: list[Cell], rules: list[Rules], decision: Decision, at: int
) -> None:
    """Complete the proposal that stands in `decision` to orders, and write what the guards see."""
    cell, rule, plan = cells[at], rules[at], decision.plan
    decision.n_legs = 0
    decision.n_messages = 0
    plan.n_wanted = 0
    plan.terms_from = 0
    plan.reason = OK
    plan.n_dropped = 0
    if decision.proposed.action == ACT:
        plan_orders(decision.proposed, cell, rule, plan)
    see(state, cells, cell, rule.limits, decision.context, state.now_ns)


@kernel
def judge_and_pursue(
    state: EngineState,
    cells: list[Cell],
    rules: list[Rules],
    decision: Decision,
    at: int,
    inconsistent: int,
    hook_failed: int,
) -> None:
    """Judge the plan, set the latches, and write the messages that bring working orders to wanted ones."""
    cell, rule = cells[at], rules[at]
    judge_plan(state, cell, rule.limits, decision, inconsistent, hook_failed, state.now_ns)
    pursue(state, cells, cell, rule, decision, state.now_ns)
    record_step(state.errors, state.had_error, int(rules[-1].limits[_ERROR_WINDOW]))


@kernel
def decide_step(
    state: EngineState, cells: list[Cell], rules: list[Rules], decision: Decision, at: int, inconsistent: int
) -> None:
    """Turn the proposal that stands in `decision` into messages: plan, guards, working orders."""
    plan_and_see(state, cells, rules, decision, at)
    judge_and_pursue(state, cells, rules, decision, at, inconsistent, 0)


@kernel
def open_at(states: list[EngineState], now_ns: int) -> None:
    """Begin a step; like the next two, for callers that hold each record in a list of one."""
    open_step(states[0], now_ns)


@kernel
def take_at(
    states: list[EngineState],
    cells: list[Cell],
    decisions: list[Decision],
    xs: list[ModelInput],
    inputs: list[Input],
    trades: list[TradeRow],
) -> int:
    """Observe an input: `take_input`."""
    return take_input(states[0], cells, decisions[0], xs[0], inputs[0], trades)


@kernel
def ask_model(_x: ModelInput, _memory: Memory, _proposed: Proposed) -> None:
    """Stand where the model of the run is compiled in; by itself it proposes nothing."""


@kernel
def ask_at(xs: list[ModelInput], cells: list[Cell], decisions: list[Decision], at: int) -> int:
    """Ask the model about market `at`; OK, or the reason for which its answer is no proposal."""
    ask_model(xs[0], cells[at].memory, decisions[0].proposed)
    return check_proposed(decisions[0].proposed)


@kernel
def try_model(xs: list[ModelInput], memories: list[Memory], answers: list[Proposed]) -> None:
    """Ask the model by itself, without a run."""
    ask_model(xs[0], memories[0], answers[0])


@kernel
def decide_and_show(
    states: list[EngineState],
    cells: list[Cell],
    rules: list[Rules],
    decisions: list[Decision],
    outs: list[Outcome],
    at: int,
    inconsistent: int,
) -> None:
    """Turn a proposal into messages, and lay out flat what the step came to."""
    decide_step(states[0], cells, rules, decisions[0], at, inconsistent)
    write_outcome(outs[0], states[0], cells, decisions[0], at)


@kernel
def show_outcome(
    states: list[EngineState], cells: list[Cell], decisions: list[Decision], outs: list[Outcome], at: int
) -> None:
    """Lay out flat what stands in the records now."""
    write_outcome(outs[0], states[0], cells, decisions[0], at)
