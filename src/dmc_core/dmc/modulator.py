"""`modulate`: a proposal, a policy and a context in; the decision and how it differs out."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from decision_schema import reasons
from decision_schema.terms import TERM_KEYS, OrderTerms, read_terms
from decision_schema.types import Action, FinalDecision, GuardResult, MismatchInfo, Proposal
from dmc_core.dmc import policy_hook
from dmc_core.dmc.context import GuardContext, read_context
from dmc_core.dmc.decide import HOLD, Judgement, decide
from dmc_core.dmc.guards import (
    ACTIONS,
    BREACH,
    FIRST_LEG_ROW,
    GUARDS,
    LIMIT_OF,
    N_GUARDS,
    SEVERITY,
    UNKNOWN,
    VALUE_SLOT,
    guard_result,
    limits_of,
    reason_of,
)
from dmc_core.dmc.model_margins import margin_results
from dmc_core.dmc.policy_hook import PolicyHook, apply_hook, load_policy_hook
from dmc_core.dmc.risk_policy import RiskPolicy
from dmc_core.dmc.worst_case import Leg

SIGN_OF_SIDE = {"buy": 1, "sell": -1}


def modulate(
    proposal: Proposal, policy: RiskPolicy, context: Mapping[str, Any]
) -> tuple[FinalDecision, MismatchInfo]:
    """Judge a proposal under a policy; never raises, never widens, never makes an ACT.

    Args:
        proposal: What the model wants.
        policy: The limits; the private hook, where there is one, may tighten them.
        context: Observed state. Needed for an ACT: ``now_ms``, ``last_event_ts_ms``, ``depth``,
            ``spread_bps``, ``current_total_exposure_usd``, ``abs_inventory``. All keys stand in
            docs/guards.md. What is absent and needed, or not a finite number, refuses.

    Returns:
        The decision with the params that may go out, and the refusals with every row.

    >>> context = dict(
    ...     now_ms=1000,
    ...     last_event_ts_ms=990,
    ...     depth=100.0,
    ...     spread_bps=400.0,
    ...     current_total_exposure_usd=0.0,
    ...     abs_inventory=0.0,
    ... )
    >>> final, mismatch = modulate(Proposal(action=Action.ACT, confidence=0.8), RiskPolicy(), context)
    >>> final.action, final.allowed, mismatch.flags
    (<Action.ACT: 'ACT'>, True, [])
    >>> final, mismatch = modulate(Proposal(action=Action.ACT, confidence=0.8), RiskPolicy(), {})
    >>> final.action, mismatch.reason_codes[0]
    (<Action.HOLD: 'HOLD'>, 'missing_input:current_total_exposure_usd')
    """
    if not isinstance(policy, RiskPolicy):
        return _without_policy(proposal)
    policy, hook_flags, hook_failed = apply_hook(_hook(), policy, context)
    seen = read_context(context, policy)
    asked, params, terms, problem = _read_proposal(proposal, seen.market_id)
    legs = _legs(terms) if asked is Action.ACT else []
    limits = limits_of(policy)
    judgement = Judgement()
    decide(ACTIONS.index(asked), len(legs), legs, seen, limits, judgement, int(hook_failed))

    action = ACTIONS[judgement.action]
    remarks = [problem] if problem else []
    if hook_failed and any(leg.increasing for leg in legs):
        remarks.append(reasons.NAMES[reasons.POLICY_HOOK_ERROR])
    codes = refusal_codes(judgement, legs, seen.presence, seen.sources)
    codes = [*remarks, *codes] if action is Action.HOLD else [*codes, *remarks]
    decision = FinalDecision(
        action=action,
        allowed=action is asked and not problem,
        reasons=list(codes if codes and action is not Action.ACT else proposal.reasons),
        params=_params_left(params, terms, legs) if action is Action.ACT else _without_terms(params),
    )
    return decision, MismatchInfo(
        flags=[*refusal_names(judgement), *clamp_flags(legs), *filter(None, [problem]), *hook_flags],
        reason_codes=codes,
        throttle_refresh_ms=policy.throttle_refresh_ms,
        guards=[*all_results(judgement, legs, seen, limits), *_own_margins(proposal)],
    )


def _own_margins(proposal: object) -> list[GuardResult]:
    """Give the model's own margins; a proposal that is none has none."""
    return margin_results(proposal.margins) if isinstance(proposal, Proposal) else []


_LOADED: dict[tuple[int, int] | None, PolicyHook | None] = {}


def _hook() -> PolicyHook | None:
    """Load the private hook, again only where its file has changed."""
    try:
        stat = policy_hook.HOOK_FILE.stat()
        version = (stat.st_mtime_ns, stat.st_size)
    except OSError:
        version = None
    if version not in _LOADED:
        _LOADED.clear()
        _LOADED[version] = load_policy_hook()
    return _LOADED[version]


def _without_policy(proposal: object) -> tuple[FinalDecision, MismatchInfo]:
    """Refuse what could add risk; nothing can be judged, and pulling or closing needs no limit."""
    name = reasons.NAMES[reasons.INVALID_POLICY]
    passes = isinstance(proposal, Proposal) and proposal.action is not Action.ACT
    return (
        FinalDecision(
            action=proposal.action if isinstance(proposal, Proposal) and passes else Action.HOLD,
            allowed=passes,
            reasons=[name],
            params={},
        ),
        MismatchInfo(flags=[name], reason_codes=[name]),
    )


def _read_proposal(
    proposal: object, market_id: str
) -> tuple[Action, dict[str, Any], list[OrderTerms] | None, str]:
    """Read action, params and order terms; what cannot be read or proven is a HOLD with its reason."""
    if not isinstance(proposal, Proposal):
        return Action.HOLD, {}, None, reasons.NAMES[reasons.INVALID_PROPOSAL]
    try:
        params = dict(proposal.params)
        terms = read_terms(params) if proposal.action is Action.ACT else None
    except Exception:  # noqa: BLE001 - params hold the user's own objects: whatever they raise, they are no terms
        return Action.HOLD, {}, None, reasons.NAMES[reasons.INVALID_ORDER_TERMS]
    if any(term.market_id not in ("", market_id) for term in terms or ()):
        return Action.HOLD, _without_terms(params), None, reasons.NAMES[reasons.INVALID_ORDER_TERMS]
    if any(term.size is None for term in terms or ()):
        return Action.HOLD, _without_terms(params), None, f"{reasons.NAMES[reasons.MISSING_INPUT]}:size"
    return proposal.action, params, terms, ""


def _legs(terms: list[OrderTerms] | None) -> list[Leg]:
    if terms is None:
        return [Leg(side=0, price=math.nan, size=0.0)]
    return [
        Leg(
            side=SIGN_OF_SIDE[term.side],
            price=math.nan if term.price is None else term.price,
            size=math.nan if term.size is None else term.size,
        )
        for term in terms
    ]


def refusing_rows(judgement: Judgement) -> list[int]:
    """List the rows that refuse, in table order."""
    return [judgement.refusing[i] for i in range(judgement.n_refusing)]


def refusal_names(judgement: Judgement) -> list[str]:
    """Name the refusing rows in table order."""
    return [GUARDS[i].name for i in refusing_rows(judgement)]


def refusal_codes(
    judgement: Judgement, legs: Sequence[Leg], presence: Sequence[int], sources: Mapping[int, str]
) -> list[str]:
    """Give the reason codes of the refusals, each once: the deciding ones first, then in table order.

    Args:
        judgement: What the guards said.
        legs: The orders it was said of.
        presence: Of each observed number.
        sources: The input that is missing, by slot, where it is another than the slot's own.
    """
    refusing = refusing_rows(judgement)
    deciding = [i for i in refusing if _asks_for(i, judgement) == judgement.action]
    codes: list[str] = []
    for i in [*deciding, *refusing]:
        verdict, here = judgement.verdicts[i], presence[VALUE_SLOT[i]]
        if i >= FIRST_LEG_ROW:  # legs speak for their rows
            place = i - FIRST_LEG_ROW
            verdict, here = next(
                (leg.verdicts[place], leg.presence[place]) for leg in legs if _refuses_leg(leg, place)
            )
        code = reason_of(i, verdict, here, sources.get(VALUE_SLOT[i], ""))
        if code not in codes:
            codes.append(code)
    return codes


def _asks_for(row: int, judgement: Judgement) -> int:
    return SEVERITY[row] if judgement.verdicts[row] == BREACH else HOLD


def _refuses_leg(leg: Leg, place: int) -> bool:
    return leg.increasing == 1 and leg.verdicts[place] in (BREACH, UNKNOWN)


def clamp_flags(legs: list[Leg]) -> list[str]:
    """Name the legs whose size was shrunk."""
    return [f"clamped:{'buy' if leg.side > 0 else 'sell'}" for leg in legs if leg.clamped and leg.allowed]


def all_results(
    judgement: Judgement,
    legs: list[Leg],
    context: GuardContext,
    limits: list[float],
    *,
    refusals_only: bool = False,
) -> list[GuardResult]:
    """Build readable rows: the market's and account's, then each leg's."""
    results = []
    refusing = refusing_rows(judgement)
    rows = refusing if refusals_only else range(N_GUARDS)
    leg_rows = [i for i in rows if i >= FIRST_LEG_ROW]
    for i in rows:
        if i < FIRST_LEG_ROW:
            value, presence = context.observed[VALUE_SLOT[i]], context.presence[VALUE_SLOT[i]]
            limit = limits[LIMIT_OF[i]]
            results.append(
                guard_result(i, judgement.verdicts[i], value, limit, presence, refuses=i in refusing)
            )
    for number, leg in enumerate(legs if leg_rows else ()):
        for i in leg_rows:
            place = i - FIRST_LEG_ROW
            refuses = i in refusing and _refuses_leg(leg, place)
            if refuses or not refusals_only:
                results.append(
                    guard_result(
                        i, leg.verdicts[place], leg.values[place], limits[LIMIT_OF[i]], leg.presence[place],
                        refuses=refuses, leg=number,
                    )
                )  # fmt: skip
    return results


def _without_terms(params: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in params.items() if key not in TERM_KEYS}


def _params_left(
    params: Mapping[str, Any], terms: list[OrderTerms] | None, legs: list[Leg]
) -> dict[str, Any]:
    """Give the params in the form they came, sizes clamped, without refused legs."""
    if terms is None:
        return dict(params)
    kept = [(term, leg) for term, leg in zip(terms, legs, strict=True) if leg.allowed]
    if "orders" in params:
        left = _without_terms(params)
        orders = []
        for term, leg in kept:
            order = {name: getattr(term, name) for name in term.__struct_fields__}
            order["size"] = term.size if not leg.clamped else leg.size
            orders.append({name: value for name, value in order.items() if value not in (None, "")})
        left["orders"] = orders
        return left
    left = dict(params)
    if params.get("bid") is None and params.get("ask") is None:
        if kept and kept[0][1].clamped:
            left["size"] = kept[0][1].size
        return left if kept else _without_terms(params)
    any_clamped = any(leg.clamped for leg in legs)
    for term, leg in zip(terms, legs, strict=True):
        key = "bid" if term.side == "buy" else "ask"
        if not leg.allowed:
            left.pop(key, None)
            left.pop(f"{key}_size", None)
        elif any_clamped:
            left[f"{key}_size"] = leg.size
    if any_clamped:  # one size for both would say more than is left
        left.pop("size", None)
    return left
