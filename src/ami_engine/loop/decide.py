"""Have the core decide, under the policy of the market or what the private hook makes of it."""

import math
from typing import Any, NamedTuple

from ami_engine.features.catalogue import named
from ami_engine.kernels.inputs import Input
from ami_engine.loop.engine import Engine
from decision_schema.units import NS_PER_MS
from dmc_core.dmc.guards import SLOT, limits_of
from dmc_core.dmc.policy_hook import apply_hook
from dmc_core.dmc.risk_policy import RiskPolicy


class PolicyInUse(NamedTuple):
    """The policy that a step was judged by.

    Args:
        policy: Its limits.
        limits: The same as a vector.
        hook_flags: Flags of the private policy hook.
        hook_failed: Whether that failed: then nothing new goes out.
    """

    policy: RiskPolicy
    limits: list[float]
    hook_flags: list[str]
    hook_failed: bool


_NO_FLAGS: list[str] = []


def decide(engine: Engine, inp: Input, inconsistent: int) -> PolicyInUse:
    """Turn the proposal into messages: plan, guards, latches, working orders.

    Args:
        engine: Its core is moved on.
        inp: The input of the step.
        inconsistent: How much of what the broker said our orders cannot explain.
    """
    rules = engine.rules[inp.cell]
    if engine.policy_hook is None:
        engine.core.decide(inp.cell, inconsistent)
        return PolicyInUse(rules.policy, rules.limits, _NO_FLAGS, False)
    core = engine.core
    core.plan_and_see(inp.cell)
    policy, flags, failed = apply_hook(engine.policy_hook, rules.policy, hook_context(engine, inp))
    if failed:
        core.state.had_error = 1
    limits = rules.limits
    if policy is not rules.policy:  # also its windows and costs count
        limits = limits_of(policy)
        core.set_limits(inp.cell, limits)
        core.see(inp.cell)
    core.judge_and_pursue(inp.cell, inconsistent, int(failed))
    core.set_limits(inp.cell, rules.limits)
    return PolicyInUse(policy, limits, flags, failed)


def hook_context(engine: Engine, inp: Input) -> dict[str, Any]:
    """Give the private policy hook what the guards see, by name."""
    context = engine.core.decision.context
    seen: dict[str, Any] = dict(named(engine.core.features(inp.cell)))
    for name, slot in SLOT.items():
        value = context.observed[slot]
        if not math.isnan(value):
            seen[name] = value
    seen.update(now_ms=inp.now_ns // NS_PER_MS, inventory=context.inventory)
    return seen
