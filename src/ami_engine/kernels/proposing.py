"""Around a compiled model: whether it is asked, what it starts from, and what its answer must be."""

import math

from ami_engine.kernels.decision import Proposed
from ami_engine.kernels.inputs import MARKET, Input
from ami_engine.kernels.orders import FOK, GTC, MAX_LEVEL, count_open
from ami_engine.kernels.records import Cell, EngineState
from decision_schema.kernel import kernel
from decision_schema.reasons import (
    INVALID_ORDER_TERMS,
    MODEL_ERROR,
    NO_MARKET,
    OK,
    SETTLED,
    TIMER,
    WARMING_UP,
)
from dmc_core.dmc.decide import ACT, CANCEL, HOLD, MAX_LEGS, STOP

NAN = math.nan


@kernel
def why_not_asked(state: EngineState, cell: Cell, inp: Input) -> int:
    """Give the reason code for which the input itself says that this step holds; OK = ask the model."""
    if inp.bad != OK:
        return inp.bad
    if inp.kind != MARKET:
        return TIMER
    if cell.position.settled == 1:
        return SETTLED
    if cell.market.books == 0:
        return NO_MARKET
    if state.now_ns - state.first_ns < state.warmup_ns:
        return WARMING_UP
    return OK


@kernel
def clear_proposed(proposed: Proposed) -> None:
    """Make a proposal the one that a silent model gives: HOLD with confidence 0."""
    proposed.action = HOLD
    proposed.confidence = 0.0
    proposed.value = NAN
    proposed.problem = OK
    proposed.has_terms = 0
    proposed.n_terms = 0
    proposed.reason = -1
    proposed.detail = NAN


@kernel
def hold_unasked(proposed: Proposed, cell: Cell, why: int) -> None:
    """Propose what a step without a model does: hold, or pull the orders of a market that has settled."""
    clear_proposed(proposed)
    proposed.confidence = 1.0
    if why == SETTLED and count_open(cell.orders) > 0:
        proposed.action = CANCEL


@kernel
def check_proposed(proposed: Proposed) -> int:
    """Judge what a compiled model wrote; OK, or MODEL_ERROR and the proposal is a HOLD.

    Terms that cannot be used stay with their reason in ``problem``, as those of any other model.

    >>> proposed = Proposed(action=ACT, confidence=1.5)
    >>> check_proposed(proposed) == MODEL_ERROR, proposed.action == HOLD
    (True, True)
    """
    known = ACT <= proposed.action <= STOP
    if not known or not (proposed.confidence >= 0.0 and proposed.confidence <= 1.0):
        clear_proposed(proposed)
        return MODEL_ERROR
    if proposed.has_terms == 1:
        if not 0 <= proposed.n_terms <= MAX_LEGS:
            proposed.n_terms = 0
            proposed.problem = INVALID_ORDER_TERMS
        for i in range(proposed.n_terms):
            if _is_unusable(proposed, i):
                proposed.problem = INVALID_ORDER_TERMS
    elif proposed.value - proposed.value != 0.0 and proposed.value == proposed.value:
        proposed.problem = MODEL_ERROR
    return OK


@kernel
def _is_unusable(proposed: Proposed, i: int) -> bool:
    terms = proposed.terms[i]
    if not (terms.side == 1 or terms.side == -1) or not 0 <= terms.level < MAX_LEVEL:
        return True
    if not GTC <= terms.tif <= FOK or terms.ttl_ms == 0 or terms.ttl_ms < -1:
        return True
    if terms.price == terms.price and terms.price - terms.price != 0.0:
        return True
    if terms.size == terms.size and not (terms.size > 0.0 and terms.size - terms.size == 0.0):
        return True
    for k in range(i):
        other = proposed.terms[k]
        if other.side == terms.side and other.level == terms.level:
            return True
    return False
