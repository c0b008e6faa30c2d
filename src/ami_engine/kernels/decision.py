"""What one step decided, in numbers: proposal, plan, guards, verdict, messages.

It is written anew by each step, holds nothing from one step to the next, and everything that a packet
says of a decision is made from it.
"""

import math
from dataclasses import dataclass, field

from ami_engine.kernels.orders import GTC, Intents, Wanted
from dmc_core.dmc.context import GuardContext
from dmc_core.dmc.decide import HOLD, MAX_LEGS, Judgement
from dmc_core.dmc.guards import N_LIMITS
from dmc_core.dmc.worst_case import Leg

NAN = math.nan
MAX_MESSAGES = 256
"""Messages of one step; of a STOP in many markets the others follow in the next steps."""

FROM_NOTHING, FROM_MODEL, FROM_VALUE, FROM_MICROPRICE, FROM_MID = 0, 1, 2, 3, 4
TERMS_FROM = ("", "model", "value", "microprice", "mid")
"""Where the terms of a plan came from, by number."""


@dataclass(slots=True)
class Rules:
    """What the orders of one market go by.

    Args:
        limits: The policy as a vector, by slot of guards.LIMIT_NAMES.
        size: Size of an order where the model gives none.
        half_spread_ticks: Distance of the plan's quotes from the fair value; nan = half the market's.
        min_requote_ticks: Least move of a price worth a replacement.
        exit_slippage_ticks: How far beyond the touch an exit may take.
    """

    limits: list[float] = field(default_factory=lambda: [0.0] * N_LIMITS)
    size: float = 1.0
    half_spread_ticks: float = NAN
    min_requote_ticks: int = 1
    exit_slippage_ticks: int = 2


@dataclass(slots=True)
class Terms:
    """One order as a model wants it: price nan = take, size nan = the configured, ttl -1 = the policy's."""

    side: int = 0
    price: float = NAN
    size: float = NAN
    level: int = 0
    tif: int = GTC
    post_only: int = 0
    reduce_only: int = 0
    ttl_ms: int = -1


@dataclass(slots=True)
class Proposed:
    """A proposal in numbers.

    Args:
        action: By severity number, ACT 0 to STOP 4.
        confidence: Probability that it is right.
        value: Fair price to quote around; nan = none given.
        problem: Reason code where its terms cannot be read; 0 = they can.
        has_terms: 1 = `terms` is the complete set wanted, also where it is empty.
        n_terms: Orders wanted.
        reason: Which of the model's own reasons; -1 = none.
        detail: A number that goes with it; nan = none.
    """

    action: int = HOLD
    confidence: float = 0.0
    value: float = NAN
    problem: int = 0
    has_terms: int = 0
    n_terms: int = 0
    reason: int = -1
    detail: float = NAN
    terms: list[Terms] = field(default_factory=lambda: [Terms() for _ in range(MAX_LEGS)])


@dataclass(slots=True)
class Plan:
    """The complete set of orders wanted, on the grid.

    Args:
        n_wanted: Orders in `wanted`.
        terms_from: FROM_NOTHING to FROM_MID.
        reason: Reason code for which there is no plan; 0 = there is one.
        n_dropped: Legs that rounding or bounds removed; their reason codes stand in `dropped`.
    """

    n_wanted: int = 0
    terms_from: int = FROM_NOTHING
    reason: int = 0
    n_dropped: int = 0
    wanted: list[Wanted] = field(default_factory=lambda: [Wanted() for _ in range(MAX_LEGS)])
    dropped: list[int] = field(default_factory=lambda: [0] * MAX_LEGS)


@dataclass(slots=True)
class Verdict:
    """What became of the proposal.

    Args:
        action: Final action, by severity number.
        hold: Reason code of what stood against an ACT before any guard was asked; 0 = nothing.
        mark: Reason code of a latch that decided instead: VENUE_INCONSISTENT, STOP_LATCHED, EXITING or
            NOTHING_TO_EXIT; 0 = none did.
        kept: Reason code for which a wanted order changes nothing; 0 = none.
    """

    action: int = HOLD
    hold: int = 0
    mark: int = 0
    kept: int = 0


@dataclass(slots=True)
class Message:
    """One message to the broker.

    Args:
        op: SUBMIT, REPLACE or CANCEL of orders.py.
        cell: Number of the market.
        slot: The order it concerns (of a replacement: the new one).
        step: Step of the order it concerns; with `leg` its name for ever.
        leg: Its number in that step.
        old_slot: Of a replacement: the order that ends; with `old_step` and `old_leg`.
    """

    op: int = 0
    cell: int = 0
    slot: int = 0
    step: int = 0
    leg: int = 0
    old_slot: int = -1
    old_step: int = 0
    old_leg: int = 0
    side: int = 0
    takes: int = 0
    price_ticks: int = 0
    lots: int = 0
    tif: int = 0
    post_only: int = 0
    reduce_only: int = 0
    level: int = 0


@dataclass(slots=True)
class Decision:
    """All of it; of the lists as many entries count as the counts say."""

    proposed: Proposed = field(default_factory=Proposed)
    plan: Plan = field(default_factory=Plan)
    context: GuardContext = field(default_factory=GuardContext)
    n_legs: int = 0
    legs: list[Leg] = field(default_factory=lambda: [Leg() for _ in range(MAX_LEGS)])
    judgement: Judgement = field(default_factory=Judgement)
    verdict: Verdict = field(default_factory=Verdict)
    intents: Intents = field(default_factory=Intents)
    n_messages: int = 0
    messages: list[Message] = field(default_factory=lambda: [Message() for _ in range(MAX_MESSAGES)])
