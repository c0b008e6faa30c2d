"""What the guards cost: `python -m benchmarks.guards [TIMES] [--markdown FILE]`.

One `modulate` from a dict; one `judge` of all rows, interpreted and compiled; what the loop sees and
judges in a step, compiled, with the default limits and with all of them on. The best of three hundred
short turns, in one process. Figures of one run compare with each other, not with another machine's.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ami_engine.kernels.decision import Decision, Rules
from ami_engine.kernels.guard import judge_plan
from ami_engine.kernels.observed import see
from ami_engine.kernels.records import Cell, EngineState, new_cell, new_state
from benchmarks.sections import write_section
from decision_schema.instruments import Instrument
from decision_schema.kernel import kernel
from decision_schema.types import Action, Proposal
from dmc_core.dmc.context import GuardContext, read_context
from dmc_core.dmc.decide import ACT, Judgement
from dmc_core.dmc.guards import GUARDS, N_GUARDS, limits_of
from dmc_core.dmc.judge import judge
from dmc_core.dmc.modulator import modulate
from dmc_core.dmc.risk_policy import TIGHTER, RiskPolicy
from dmc_core.jit import can_compile, compiled
from dmc_core.layout import array_of

CONTEXT = {
    "now_ms": 1_000_000, "last_event_ts_ms": 999_990, "depth": 100.0, "spread_bps": 400.0, "mid": 0.5,
    "bid": 0.49, "ask": 0.51, "current_total_exposure_usd": 0.0, "current_market_exposure_usd": 0.0,
    "abs_inventory": 0.0, "inventory": 0.0, "open_buy": 0.0, "open_sell": 0.0, "equity_usd": 100.0,
    "daily_realized_pnl_usd": 0.0, "cancels_in_window": 3, "adverse_15_ticks": 0.1, "sigma_5m": 3.0,
}  # fmt: skip
QUOTE = Proposal(action=Action.ACT, confidence=0.9, params={"bid": 0.49, "ask": 0.51, "size": 1.0})
ALL_ON = RiskPolicy(**{
    name: 1_000 for name, way in TIGHTER.items()
    if way == "lower_0_off" and getattr(RiskPolicy(), name) == 0
}, self_trade_min_ticks=1.0)  # fmt: skip


@kernel
def judge_often(
    times: int, contexts: list[GuardContext], rules: list[Rules], judgements: list[Judgement]
) -> int:
    """Judge all rows so many times."""
    found = 0
    context, limits, verdicts = contexts[0], rules[0].limits, judgements[0].verdicts
    for i in range(times):
        context.observed[0] = float(i)
        breaches, unknowns = judge(0, N_GUARDS, context.observed, context.presence, limits, verdicts)
        found ^= breaches ^ unknowns
    return found


@kernel
def see_often(
    times: int, states: list[EngineState], cells: list[Cell], rules: list[Rules], decisions: list[Decision]
) -> int:
    """Write what the guards see so many times."""
    for i in range(times):
        see(states[0], cells, cells[0], rules[0].limits, decisions[0].context, states[0].now_ns + i)
    return decisions[0].context.presence[0]


@kernel
def plan_often(
    times: int, states: list[EngineState], cells: list[Cell], rules: list[Rules], decisions: list[Decision]
) -> int:
    """Judge a plan of two orders so many times."""
    for i in range(times):
        judge_plan(states[0], cells[0], rules[0].limits, decisions[0], 0, 0, states[0].now_ns + i)
    return decisions[0].verdict.action


def best(call: Callable[[], Any], times: int) -> float:
    """Give the best of three hundred, in seconds a time."""
    spent = []
    for _ in range(300):
        begun = time.perf_counter()
        call()
        spent.append(time.perf_counter() - begun)
    return min(spent) / times


def a_step(policy: RiskPolicy) -> tuple[list[Any], ...]:
    """Make the records of a step that wants two orders."""
    instrument = Instrument(market_id="M", lot_size="1")
    cells = [new_cell(0, instrument, 10**9, True, True), new_cell(-1, instrument, 10**9, True, True)]
    book = cells[0].market.book
    book.bid, book.ask, book.mid, book.depth = 0.49, 0.51, 0.5, 100.0
    features = cells[0].market.features
    for i in range(len(features)):
        features[i] = 1.0
    features[4] = 100.0
    state, decision = new_state(1_000.0), Decision()
    state.n_cells, state.now_ns, state.account.equity = 1, 10**18, 1_000.0
    decision.proposed.action = ACT
    decision.plan.n_wanted = 2
    for want, side, ticks in zip(decision.plan.wanted, (1, -1), (49, 51), strict=False):
        want.side, want.price_ticks, want.lots = side, ticks, 1
    return [state], cells, [Rules(limits=limits_of(policy))], [decision]


def main(times: int, markdown: Path | None) -> None:
    policy = RiskPolicy()
    few = max(1, times // 200)

    def from_a_dict() -> None:
        for _ in range(few):
            modulate(QUOTE, policy, CONTEXT)

    seen, limits, out = read_context(CONTEXT, policy), limits_of(policy), Judgement()

    def interpreted() -> None:
        for _ in range(few):
            judge(0, N_GUARDS, seen.observed, seen.presence, limits, out.verdicts)

    cited = sum(guard.citation != "practice" for guard in GUARDS)
    rows = [
        (f"modulate from a dict, {N_GUARDS} rows, 2 orders", best(from_a_dict, few)),
        ("judge of all rows, interpreted", best(interpreted, few)),
    ]
    if can_compile():
        contexts, rules, outs = array_of([seen]), array_of([Rules(limits=limits)]), array_of([out])
        once = compiled(judge)
        fields = (contexts[0]["observed"], contexts[0]["presence"], rules[0]["limits"], outs[0]["verdicts"])
        once(0, N_GUARDS, *fields)

        def called() -> None:
            for _ in range(few):
                once(0, N_GUARDS, *fields)

        rows.append(("judge of all rows, compiled, called from Python", best(called, few)))
        often = compiled(judge_often)
        often(1, contexts, rules, outs)
        rows.append(
            ("judge of all rows, compiled loop", best(lambda: often(times, contexts, rules, outs), times))
        )
        for name, with_policy in (("default limits", policy), ("all limits on", ALL_ON)):
            step = tuple(array_of(records) for records in a_step(with_policy))
            for what, function in (
                ("see", compiled(see_often)),
                ("judge a plan of 2 orders", compiled(plan_often)),
            ):
                function(1, *step)
                spent = best(lambda call=function, step=step: call(times, *step), times)
                rows.append((f"{what}, compiled loop, {name}", spent))
    lines = ["| what | us |", "|---|---:|", *(f"| {what} | {spent * 1e6:.3f} |" for what, spent in rows)]
    lines += ["", f"{cited} of {N_GUARDS} rows answer to a rule."]
    print("\n".join(lines))
    if markdown is not None:
        write_section(markdown, "What the guards cost", lines)


if __name__ == "__main__":
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("times", nargs="?", type=int, default=2_000)
    asked.add_argument("--markdown", type=Path, help="write the table into its section of this file, too")
    given = asked.parse_args()
    main(given.times, given.markdown)
