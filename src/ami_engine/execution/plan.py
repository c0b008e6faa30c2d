"""The text edge of the plan: what a proposal's params say, in numbers."""

import math
from collections.abc import Mapping
from decimal import Decimal
from numbers import Real
from typing import Any

from ami_engine.kernels.decision import Proposed, Terms
from ami_engine.kernels.orders import FOK, GTC, IOC
from ami_engine.kernels.plan import MAX_MS
from ami_engine.kernels.proposing import clear_proposed
from decision_schema.errors import ContractError
from decision_schema.reasons import INVALID_ORDER_TERMS, MODEL_ERROR
from decision_schema.terms import TERM_KEYS, OrderTerms, read_terms
from decision_schema.types import Action, Proposal
from dmc_core.dmc.guards import ACTIONS

_TIF = {"GTC": GTC, "IOC": IOC, "FOK": FOK}


def travels_of(params: Mapping[str, Any]) -> dict[str, Any]:
    """Give the params that travel with the orders: all but the terms.

    >>> travels_of({"bid": 0.49, "value": 0.5, "note": "x"})
    {'value': 0.5, 'note': 'x'}
    """
    return {key: value for key, value in params.items() if key not in TERM_KEYS}


def read_proposed(proposal: Proposal, market_id: str, proposed: Proposed) -> None:
    """Read a proposal into numbers; the terms of an ACT only, nothing else asks for them.

    Terms that cannot be read, or name another market, leave INVALID_ORDER_TERMS as the problem;
    a value that is no finite number leaves MODEL_ERROR, where the plan would quote around it.

    >>> from ami_engine.kernels.decision import Proposed
    >>> proposed = Proposed()
    >>> read_proposed(Proposal(Action.ACT, 0.9, params={"bid": 0.49, "ask": 0.51}), "M", proposed)
    >>> proposed.n_terms, proposed.terms[1].side, proposed.terms[1].price
    (2, -1, 0.51)
    """
    clear_proposed(proposed)
    proposed.action = ACTIONS.index(proposal.action)
    proposed.confidence = float(proposal.confidence)
    if proposal.action is not Action.ACT:
        return
    params = proposal.params
    try:
        terms = read_terms(params)
    except ContractError:
        proposed.problem = INVALID_ORDER_TERMS
        return
    if terms is not None:
        if any(term.market_id not in ("", market_id) for term in terms):
            proposed.problem = INVALID_ORDER_TERMS
            return
        proposed.has_terms = 1
        proposed.n_terms = len(terms)
        for place, term in zip(proposed.terms, terms, strict=False):
            _write_terms(place, term)
    elif params.get("value") is not None:
        proposed.value = _finite(params["value"])
        if math.isnan(proposed.value):
            proposed.problem = MODEL_ERROR


def _write_terms(place: Terms, term: OrderTerms) -> None:
    place.side = 1 if term.side == "buy" else -1
    place.price = math.nan if term.price is None else float(term.price)
    place.size = math.nan if term.size is None else float(term.size)
    place.level = term.level
    place.tif = _TIF[term.time_in_force]
    place.post_only = int(term.post_only)
    place.reduce_only = int(term.reduce_only)
    place.ttl_ms = -1 if term.ttl_ms is None else min(term.ttl_ms, MAX_MS)


def _finite(given: object) -> float:
    """Read a number of any library; nan where it is none, or not finite."""
    if isinstance(given, bool) or not isinstance(given, Real | Decimal):
        return math.nan
    try:
        value = float(given)
    except (OverflowError, ValueError):  # beyond a float; a signalling NaN
        return math.nan
    return value if math.isfinite(value) else math.nan
