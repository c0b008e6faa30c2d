"""What a model proposes and what the guards make of it."""

import math
from enum import StrEnum
from typing import Any

import msgspec

from decision_schema.errors import ContractError


class Action(StrEnum):
    """What to do with the market at this step, from mildest to most severe."""

    ACT = "ACT"
    """Bring the working orders to the wanted ones."""
    HOLD = "HOLD"
    """Do nothing; resting orders stay."""
    CANCEL = "CANCEL"
    """Pull the resting orders."""
    EXIT = "EXIT"
    """Pull the resting orders and close the position."""
    STOP = "STOP"
    """Pull everything and refuse new risk until an operator arms again."""


_NO_NUMBERS = (bool, str, bytes, bytearray)


class Proposal(msgspec.Struct, frozen=True):
    """One model's answer to one step.

    Args:
        action: What the model wants.
        confidence: Probability in [0, 1] that this action is right.
        reasons: Short words of the model's own; they are recorded, not judged.
        params: Order terms and anything else that is to travel with the orders.
            ``orders`` = the complete set wanted, or the shorthands ``bid``, ``ask``, ``size``
            (``bid_size``, ``ask_size``), or ``side``, ``price``, ``size``; ``value`` = fair price
            around which the plan quotes.

    Raises:
        ContractError: The action is none of `Action`, or the confidence is not a finite
            number in [0, 1], or reasons or params are of another type.

    >>> Proposal(action=Action.ACT, confidence=0.8, params={"value": 0.5}).action
    <Action.ACT: 'ACT'>
    >>> Proposal(action="ACT", confidence=1.5)
    Traceback (most recent call last):
    decision_schema.errors.ContractError: confidence is 1.5: give a finite probability in [0, 1]
    """

    action: Action
    confidence: float
    reasons: list[str] = msgspec.field(default_factory=list)
    params: dict[str, Any] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check what msgspec checks only on decode."""
        try:
            action = Action(self.action)
        except ValueError:
            raise ContractError(f"action is {self.action!r}: give one of {', '.join(Action)}") from None
        if isinstance(self.confidence, _NO_NUMBERS):
            raise ContractError(f"confidence is {self.confidence!r}: give a finite probability in [0, 1]")
        try:
            confidence = float(self.confidence)
        except (TypeError, ValueError, OverflowError):
            raise ContractError(
                f"confidence is of type {type(self.confidence).__name__}: give a finite probability in [0, 1]"
            ) from None
        if not (math.isfinite(confidence) and 0.0 <= confidence <= 1.0):
            raise ContractError(f"confidence is {confidence}: give a finite probability in [0, 1]")
        if not isinstance(self.reasons, (list, tuple)) or not all(isinstance(r, str) for r in self.reasons):
            raise ContractError("reasons must be a list of strings")
        if not isinstance(self.params, dict) or not all(isinstance(key, str) for key in self.params):
            raise ContractError("params must be a dict with string keys")
        msgspec.structs.force_setattr(self, "action", action)
        msgspec.structs.force_setattr(self, "confidence", confidence)
        msgspec.structs.force_setattr(self, "reasons", list(self.reasons))


class GuardResult(msgspec.Struct, frozen=True):
    """One guard's verdict at one step.

    Args:
        name: Row of the guard table.
        verdict: ``pass``, ``breach``, ``unknown``, ``not_evaluated`` or ``off``.
        value: What was observed; None where it was absent or not finite.
        limit: The policy's limit.
        margin: ``sign * (limit - value)``; positive = room left, in the unit of the guard.
        unit: Unit of value, limit and margin.
        refuses: Whether it stopped this action.
        severity: The action it asks for when it refuses.
        reason: Reason code.
        leg: Index of the judged leg; None for a row of the market or the account.
    """

    name: str
    verdict: str
    value: float | None
    limit: float
    margin: float | None
    unit: str
    refuses: bool
    severity: Action
    reason: str
    leg: int | None = None


class FinalDecision(msgspec.Struct, frozen=True):
    """What the guards let through.

    Args:
        action: The most severe of the proposal and every refusing guard.
        allowed: True where the proposed action goes out (for an ACT: at least one leg).
        reasons: Reason codes, the deciding one first; the model's own words where it held.
        params: The proposal's params, sizes clamped, without refused legs.
    """

    action: Action
    allowed: bool
    reasons: list[str]
    params: dict[str, Any]


class MismatchInfo(msgspec.Struct, frozen=True):
    """How the decision differs from the proposal.

    Args:
        flags: Names of the refusing rows in table order, then other remarks
            (``clamped:buy``, ``policy_hook_error:ValueError``, ``policy_hook_looser:min_depth``).
        reason_codes: Reason codes of the refusals, each once: the deciding ones first, then in table order.
        throttle_refresh_ms: Least time between two replacements of one order.
        guards: Full rows of the refusals; all rows where `modulate` is called alone.
    """

    flags: list[str] = msgspec.field(default_factory=list)
    reason_codes: list[str] = msgspec.field(default_factory=list)
    throttle_refresh_ms: int = 0
    guards: list[GuardResult] = msgspec.field(default_factory=list)
