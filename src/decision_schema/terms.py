"""Order terms in a proposal's params: the complete form and the two shorthands, read once."""

import math
from collections.abc import Mapping
from decimal import Decimal
from numbers import Real
from typing import Any

import msgspec

from decision_schema.errors import ContractError
from decision_schema.events import Side, TimeInForce
from decision_schema.units import Price, Size

MAX_ORDERS = 16
"""Most orders of one proposal."""
TERM_KEYS = frozenset({"orders", "bid", "ask", "size", "bid_size", "ask_size", "side", "price"})
"""Params that are order terms; all others travel with the orders."""


class OrderTerms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One order that a model wants resting (or taken, where it has no price).

    Args:
        side: ``buy`` or ``sell``.
        price: Limit in quote currency; None = take.
        size: In units of base; None = the configured size.
        level: The model's own level on that side, 0 first; one order rests on each.
        market_id: Another market than the event's; empty = the event's.
        time_in_force: GTC, IOC or FOK.
        post_only: Must rest; the venue rejects it where it would take.
        reduce_only: May only bring the position closer to zero.
        ttl_ms: Age at which it is placed anew; None = the policy's.
    """

    side: Side
    price: Price | None = None
    size: Size | None = None
    level: int = 0
    market_id: str = ""
    time_in_force: TimeInForce = "GTC"
    post_only: bool = False
    reduce_only: bool = False
    ttl_ms: int | None = None


def _number(value: object, field: str, *, least: float) -> float:
    if isinstance(value, bool) or not isinstance(value, Real | Decimal):
        raise ContractError(f"params: {field} is of type {type(value).__name__}: give a number")
    try:
        number = float(value)
    except (OverflowError, ValueError):  # beyond a float; a signalling NaN
        number = math.nan
    if not math.isfinite(number) or number < least:
        raise ContractError(f"params: {field} is {number}: give a finite number{' > 0' if least > 0 else ''}")
    return number


_TINY = 5e-324


def _one(raw: object, place: str) -> OrderTerms:
    if isinstance(raw, OrderTerms):
        fields = msgspec.structs.asdict(raw)
    elif isinstance(raw, Mapping):
        fields = dict(raw)
    else:
        raise ContractError(f"params: {place} is of type {type(raw).__name__}: give a dict")
    for name, least in (("price", -math.inf), ("size", _TINY)):
        if fields.get(name) is not None:
            fields[name] = _number(fields[name], f"{place}.{name}", least=least)
    try:
        terms = msgspec.convert(fields, OrderTerms)
    except (msgspec.ValidationError, TypeError) as error:
        raise ContractError(f"params: {place}: {error}") from None
    if not 0 <= terms.level < MAX_ORDERS:
        raise ContractError(f"params: {place}.level is {terms.level}: give 0 to {MAX_ORDERS - 1}")
    if terms.ttl_ms is not None and terms.ttl_ms <= 0:
        raise ContractError(f"params: {place}.ttl_ms is {terms.ttl_ms}: give a number > 0")
    return terms


def read_terms(params: Mapping[str, Any]) -> list[OrderTerms] | None:
    """Read the orders that params name; None = they name none, so the plan completes them.

    Raises:
        ContractError: A term cannot be used; the message names it and the value.

    >>> [(t.side, t.price) for t in read_terms({"bid": 0.49, "ask": 0.51, "size": 2})]
    [('buy', 0.49), ('sell', 0.51)]
    >>> read_terms({"orders": []}), read_terms({"value": 0.5})
    ([], None)
    """
    if "orders" in params:
        orders = params["orders"]
        if not isinstance(orders, list | tuple):
            raise ContractError(f"params: orders is of type {type(orders).__name__}: give a list of dicts")
        if len(orders) > MAX_ORDERS:
            raise ContractError(f"params: {len(orders)} orders: give at most {MAX_ORDERS}")
        terms = [_one(raw, f"orders[{i}]") for i, raw in enumerate(orders)]
        places = {(t.market_id, t.side, t.level) for t in terms}
        if len(places) != len(terms):
            raise ContractError("params: two orders share a market, a side and a level: number their levels")
        return terms
    if params.get("bid") is not None or params.get("ask") is not None:
        quote: list[OrderTerms] = []
        for key, side in (("bid", "buy"), ("ask", "sell")):
            if params.get(key) is None:
                continue
            price = _number(params[key], key, least=-math.inf)
            given = params.get(f"{key}_size", params.get("size"))
            size = None if given is None else _number(given, "size", least=_TINY)
            quote.append(_one({"side": side, "price": price, "size": size}, key))
        return quote
    if params.get("side") is not None:
        limit, asked = params.get("price"), params.get("size")
        return [
            _one(
                {
                    "side": params["side"],
                    "price": None if limit is None else _number(limit, "price", least=-math.inf),
                    "size": None if asked is None else _number(asked, "size", least=_TINY),
                    "time_in_force": "IOC" if limit is None else "GTC",
                },
                "side",
            )
        ]
    return None
