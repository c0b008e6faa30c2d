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
MAX_MARGINS = 16
"""Most margins of one proposal."""
MAX_MARGIN_TEXT = 64
"""Longest name or unit of a margin, in characters."""


class Margin(msgspec.Struct, frozen=True, omit_defaults=True):
    """A limit of the model's own, and how near it is: shown beside the guards, judged by none of them.

    Args:
        name: What was compared.
        value: What the model saw.
        limit: Its own limit.
        unit: Unit of both.
        least: The value must not fall below the limit; else it must not exceed it.

    Raises:
        ContractError: A text is empty or too long, or a number is not finite.

    >>> Margin("edge", 1.5, 1.0, "ticks", least=True).margin
    0.5
    """

    name: str
    value: float
    limit: float
    unit: str = ""
    least: bool = False

    def __post_init__(self) -> None:
        """Check what msgspec checks only on decode."""
        for field, least_length in (("name", 1), ("unit", 0)):
            text = getattr(self, field)
            if not isinstance(text, str) or not least_length <= len(text) <= MAX_MARGIN_TEXT:
                raise ContractError(
                    f"margin: {field} must be a text of {least_length} to {MAX_MARGIN_TEXT} signs"
                )
        for field in ("value", "limit"):
            number = _finite(getattr(self, field))
            if number is None:
                raise ContractError(f"margin {self.name}: {field} must be a finite number")
            msgspec.structs.force_setattr(self, field, number)
        msgspec.structs.force_setattr(self, "least", bool(self.least))

    @property
    def margin(self) -> float:
        """Room left in the unit of the margin; negative = beyond the limit."""
        return self.value - self.limit if self.least else self.limit - self.value


def _finite(given: object) -> float | None:
    """Read a number, also one of numpy; None where it is none or not finite."""
    if isinstance(given, bool | str | bytes | bytearray):
        return None
    try:
        number = float(given)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


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
        margins: Limits of the model's own and how near they are, at most 16: `Margin`, or a dict of
            the same; they are recorded and shown, not judged.

    Raises:
        ContractError: The action is none of `Action`, or the confidence is not a finite
            number in [0, 1], or reasons, params or margins are of another type.

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
    margins: list[Margin] = msgspec.field(default_factory=list)

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
        if self.margins or not isinstance(self.margins, list):
            msgspec.structs.force_setattr(self, "margins", _margins(self.margins))


def _margins(given: object) -> list[Margin]:
    """Read the margins of a proposal; each name once."""
    if not isinstance(given, list | tuple) or len(given) > MAX_MARGINS:
        raise ContractError(f"margins must be a list of at most {MAX_MARGINS}")
    margins: list[Margin] = []
    for item in given:
        try:
            margins.append(item if isinstance(item, Margin) else Margin(**item))
        except TypeError:
            raise ContractError("margins must be of Margin, or dicts of name, value and limit") from None
    if len({margin.name for margin in margins}) < len(margins):
        raise ContractError("margins: two have the same name")
    return margins


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
