"""The plan: from a proposal to the complete orders it stands for, on the grid of the instrument."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from numbers import Real
from typing import Any

from ami_engine.config import ExecutionSection
from ami_engine.kernels.features import MICROPRICE
from ami_engine.kernels.ledger import size_of
from ami_engine.kernels.orders import FOK, GTC, IOC, Wanted
from ami_engine.kernels.plan import ask_ticks, bid_ticks, fair_value, skew_ticks
from ami_engine.kernels.records import Cell
from decision_schema import reasons
from decision_schema.errors import ContractError
from decision_schema.instruments import ceil_steps, floor_steps, price_of
from decision_schema.reasons import NAMES
from decision_schema.terms import TERM_KEYS, OrderTerms, read_terms
from decision_schema.units import NS_PER_MS
from dmc_core.dmc.risk_policy import RiskPolicy

MAX_STEPS = 2.0**53
"""Beyond it a float holds no whole ticks or lots."""
_TIF = {"GTC": GTC, "IOC": IOC, "FOK": FOK}


@dataclass(slots=True)
class Plan:
    """The complete set of orders wanted, and where their terms came from.

    Args:
        wanted: Orders on the grid.
        terms_from: ``model``, or what the plan quoted around: ``value``, ``microprice``, ``mid``.
        reason: Why there is no plan; empty = there is one.
        dropped: Reasons of legs that rounding or bounds removed.
        travels: Params that travel with the orders.
    """

    wanted: list[Wanted] = field(default_factory=list)
    terms_from: str = ""
    reason: str = ""
    dropped: list[str] = field(default_factory=list)
    travels: dict[str, Any] = field(default_factory=dict)


def plan_orders(
    params: Mapping[str, Any], cell: Cell, market_id: str, settings: ExecutionSection, policy: RiskPolicy
) -> Plan:
    """Complete an ACT to orders; pure.

    Terms of the model are rounded (buys down, sells up, sizes down). Without terms the plan
    quotes both sides around ``value``, else the microprice, else the mid: at half the market's
    spread or the configured distance, both shifted by inventory, never taking.
    """
    travels = {key: value for key, value in params.items() if key not in TERM_KEYS}
    try:
        terms = read_terms(params)
        if terms is not None:
            foreign = [term.market_id for term in terms if term.market_id not in ("", market_id)]
            if foreign:
                raise ContractError(f"orders for {foreign[0]!r} in a step of {market_id!r}")
    except ContractError:
        return Plan(reason=NAMES[reasons.INVALID_ORDER_TERMS])
    if terms is None:
        plan = _complete(params, cell, settings, policy)
    else:
        plan = Plan(terms_from="model")
        for term in terms:
            _add_terms(plan, term, cell, settings, policy)
    plan.travels = travels
    if not plan.wanted and not plan.reason and (terms is None or terms):
        plan.reason = plan.dropped[0] if plan.dropped else NAMES[reasons.NO_ORDER_TERMS]
    return plan


def _complete(params: Mapping[str, Any], cell: Cell, settings: ExecutionSection, policy: RiskPolicy) -> Plan:
    market, book = cell.market, cell.market.book
    value = math.nan
    if params.get("value") is not None:
        value = _finite(params["value"])
        if math.isnan(value):
            return Plan(reason=f"{NAMES[reasons.MODEL_ERROR]}:value")
    microprice = market.features[MICROPRICE]
    fair = fair_value(value, microprice, book.mid)
    terms_from = "value" if not math.isnan(value) else "mid" if math.isnan(microprice) else "microprice"
    num, den = market.tick_num, market.tick_den
    if settings.half_spread_ticks is not None:
        half_spread = settings.half_spread_ticks * num / den
    else:
        half_spread = 0.5 * (book.ask - book.bid)
    if math.isnan(fair) or math.isnan(half_spread):
        return Plan(reason=NAMES[reasons.NO_ORDER_TERMS])
    skew = skew_ticks(
        size_of(cell.position, cell.position.lots), policy.max_abs_inventory, policy.max_inventory_skew_ticks
    )
    if not (abs(fair) + abs(half_spread)) * den / num < MAX_STEPS:
        return Plan(reason=NAMES[reasons.LEG_OUT_OF_BOUNDS])
    plan = Plan(terms_from=terms_from)
    prices = (
        (1, bid_ticks(fair, half_spread, skew, book.ask, num, den)),
        (-1, ask_ticks(fair, half_spread, skew, book.bid, num, den)),
    )
    for side, ticks in prices:
        want = Wanted(side=side, price_ticks=ticks, post_only=1, ttl_ns=policy.quote_ttl_ms * NS_PER_MS)
        _add(plan, want, settings.size, cell)
    return plan


def _finite(given: object) -> float:
    """Read a number of any library; nan where it is none, or not finite."""
    if isinstance(given, bool) or not isinstance(given, Real | Decimal):
        return math.nan
    try:
        value = float(given)
    except (OverflowError, ValueError):  # beyond a float; a signalling NaN
        return math.nan
    return value if math.isfinite(value) else math.nan


def _add_terms(
    plan: Plan, term: OrderTerms, cell: Cell, settings: ExecutionSection, policy: RiskPolicy
) -> None:
    num, den = cell.market.tick_num, cell.market.tick_den
    side = 1 if term.side == "buy" else -1
    ttl_ms = policy.quote_ttl_ms if term.ttl_ms is None else term.ttl_ms
    want = Wanted(
        side=side,
        level=term.level,
        takes=1 if term.price is None else 0,
        tif=IOC if term.price is None and term.time_in_force == "GTC" else _TIF[term.time_in_force],
        post_only=int(term.post_only),
        reduce_only=int(term.reduce_only),
        ttl_ns=ttl_ms * NS_PER_MS,
    )
    if term.price is not None:
        steps = term.price * den / num
        if abs(steps) > MAX_STEPS:
            plan.dropped.append(NAMES[reasons.LEG_OUT_OF_BOUNDS])
            return
        want.price_ticks = floor_steps(term.price, num, den) if side > 0 else ceil_steps(term.price, num, den)
    _add(plan, want, settings.size if term.size is None else term.size, cell)


def _add(plan: Plan, want: Wanted, size: float, cell: Cell) -> None:
    """Take an order into the plan, or note why rounding and bounds leave nothing of it."""
    market = cell.market
    if size * market.lot_den / market.lot_num > MAX_STEPS:
        plan.dropped.append(NAMES[reasons.LEG_OUT_OF_BOUNDS])
        return
    want.lots = floor_steps(size, market.lot_num, market.lot_den)
    if want.takes == 0:
        price = price_of(want.price_ticks, market.tick_num, market.tick_den)
        if not market.price_min < price <= market.price_max:
            plan.dropped.append(NAMES[reasons.LEG_OUT_OF_BOUNDS])
            return
        notional = abs(price) * size_of(cell.position, want.lots) * market.multiplier
        if notional < cell.min_notional:
            plan.dropped.append(NAMES[reasons.LEG_BELOW_MINIMUM])
            return
    if cell.can_short == 0 and want.side < 0:
        sold = sum(other.lots for other in plan.wanted if other.side < 0)
        want.lots = min(want.lots, cell.position.lots - sold)
        if want.lots <= 0:
            plan.dropped.append(NAMES[reasons.LEG_NO_SHORT])
            return
    if want.reduce_only:
        promised = sum(other.lots for other in plan.wanted if other.reduce_only and other.side == want.side)
        want.lots = min(want.lots, -want.side * cell.position.lots - promised)
        if want.lots <= 0:
            plan.dropped.append(NAMES[reasons.LEG_NOTHING_TO_REDUCE])
            return
    if want.lots < cell.min_lots:
        plan.dropped.append(NAMES[reasons.LEG_BELOW_MINIMUM])
        return
    plan.wanted.append(want)
