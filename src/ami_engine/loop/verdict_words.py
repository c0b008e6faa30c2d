"""The guards' verdict in words: reasons, flags, codes, and full rows of the refusals."""

from collections.abc import Sequence
from typing import NamedTuple

from ami_engine.kernels.decision import Decision
from ami_engine.loop.decide import PolicyInUse
from decision_schema import reasons
from decision_schema.reasons import NAMES
from decision_schema.types import Action, GuardResult
from dmc_core.dmc.guards import ACTIONS
from dmc_core.dmc.modulator import all_results, clamp_flags, refusal_codes, refusal_names
from dmc_core.dmc.worst_case import Leg


class Words(NamedTuple):
    """What comes of a proposal, and why.

    Args:
        action: Final action.
        reasons: Why, the deciding reason first.
        flags: Names of refusing rows, then remarks.
        codes: Reason codes of the refusals.
        refusals: Full rows of the refusals.
        legs: The orders that were judged.
    """

    action: Action
    reasons: list[str]
    flags: list[str]
    codes: list[str]
    refusals: list[GuardResult]
    legs: list[Leg]


_WITH_CODES = (reasons.STOP_LATCHED, reasons.EXITING)


def words_of(
    decision: Decision, proposed: Action, own: list[str], remarks: Sequence[str], in_use: PolicyInUse
) -> Words:
    """Put a decision into words.

    Args:
        decision: What the kernels decided.
        proposed: The action that the model wants.
        own: The model's own reasons.
        remarks: What the broker said that our orders cannot explain.
        in_use: The policy that it was judged by.
    """
    judgement, verdict, plan = decision.judgement, decision.verdict, decision.plan
    legs = [decision.legs[i] for i in range(decision.n_legs)]
    codes: list[str] = []
    refusals: list[GuardResult] = []
    flags: list[str] = []
    if judgement.n_refusing > 0:
        codes = refusal_codes(judgement, legs, decision.context.presence, {})
        refusals = all_results(judgement, legs, decision.context, in_use.limits, refusals_only=True)
        flags = refusal_names(judgement)
    if in_use.hook_failed and any(leg.increasing for leg in legs):
        codes.insert(0, NAMES[reasons.POLICY_HOOK_ERROR])
    flags += clamp_flags(legs)
    flags += in_use.hook_flags
    flags += [NAMES[plan.dropped[i]] for i in range(plan.n_dropped)]
    if verdict.kept != reasons.OK:
        flags.append(NAMES[verdict.kept])
    judged, action = ACTIONS[judgement.action], ACTIONS[verdict.action]
    words = codes
    if verdict.hold != reasons.OK and judged is Action.HOLD:
        words = [hold_name(verdict.hold)]
    elif judged is proposed and not codes:
        words = own
    if verdict.mark == reasons.VENUE_INCONSISTENT:
        words = [NAMES[verdict.mark], *remarks]
    elif verdict.mark in _WITH_CODES:
        words = [NAMES[verdict.mark], *codes]
    elif verdict.mark != reasons.OK:
        words = [NAMES[verdict.mark]]
    return Words(action, list(words or own), flags, codes, refusals, legs)


def hold_name(code: int) -> str:
    """Name what stood against an ACT before any guard was asked."""
    return f"{NAMES[code]}:value" if code == reasons.MODEL_ERROR else NAMES[code]
