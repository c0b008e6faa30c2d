"""Ask the model, unless the input itself says that this step holds."""

from typing import Any

import msgspec

from ami_engine.features.catalogue import named
from ami_engine.kernels.ledger import average_price, size_of
from ami_engine.kernels.orders import FREE, STATUS_NAMES, count_open, remaining_lots
from ami_engine.kernels.records import Cell, open_sizes
from ami_engine.loop.engine import Engine
from ami_engine.loop.receive import storable
from ami_engine.mdm.view import ModelRng, View, WorkingOrder
from decision_schema import reasons
from decision_schema.events import Event
from decision_schema.instruments import price_of
from decision_schema.reasons import NAMES
from decision_schema.types import Action, Proposal
from decision_schema.units import NS_PER_MS, UnixNs


def propose(engine: Engine, cell: Cell, event: Event, now_ns: UnixNs) -> Proposal:
    """Give the model's proposal, or HOLD with the reason for which it is not asked."""
    reason = _why_not_asked(engine, cell, event, now_ns)
    if reason:
        pulls = reason == NAMES[reasons.SETTLED] and count_open(cell.orders) > 0
        return Proposal(action=Action.CANCEL if pulls else Action.HOLD, confidence=1.0, reasons=[reason])
    model = engine.model
    offered: dict[str, Any] = {"now_ns": now_ns}
    if model.wants("view"):
        offered["view"] = view_of(engine, cell, now_ns)
    if model.wants("instrument"):
        offered["instrument"] = engine.instrument(event.market_id)
    if model.wants("event"):
        offered["event"] = msgspec.to_builtins(event)
    if model.wants("rng"):
        offered["rng"] = ModelRng(engine.config.run.seed, cell.index, engine.state.step)
    return model.propose(named(cell.market.features), **offered)


def _why_not_asked(engine: Engine, cell: Cell, event: Event, now_ns: UnixNs) -> str:
    if event.bad is not None:
        return event.bad.reason
    if event.kind != "market":
        return NAMES[reasons.TIMER]
    if cell.position.settled:
        return NAMES[reasons.SETTLED]
    if cell.market.books == 0:
        return NAMES[reasons.NO_MARKET]
    if now_ns - engine.state.first_ns < engine.model.warmup_ms * NS_PER_MS:
        return NAMES[reasons.WARMING_UP]
    return ""


def view_of(engine: Engine, cell: Cell, now_ns: UnixNs) -> View:
    """Show the model its account: position, budget under the limits, and working orders."""
    market, position = cell.market, cell.position
    inventory = size_of(position, position.lots)
    open_buy, open_sell = open_sizes(cell)
    limit = engine.rules_of(cell).policy.max_abs_inventory
    orders = []
    for i in range(cell.orders.used):
        order = cell.orders.slots[i]
        if order.status == FREE:
            continue
        price = None if order.takes else price_of(order.price_ticks, market.tick_num, market.tick_den)
        orders.append(
            WorkingOrder(
                side="buy" if order.side > 0 else "sell",
                level=order.level,
                price=price,
                size=size_of(position, remaining_lots(order)),
                status=STATUS_NAMES[order.status],
                age_ms=(now_ns - order.created_ns) / NS_PER_MS,
                queue_ahead=None if order.queue_ahead != order.queue_ahead else order.queue_ahead,
            )
        )
    filled_ns = cell.markouts.last_fill_ns
    return View(
        position=inventory,
        average_price=None if position.lots == 0 else average_price(position),
        equity=engine.state.account.equity,
        budget_long=max(0.0, limit - inventory - open_buy),
        budget_short=max(0.0, limit + inventory - open_sell),
        orders=tuple(orders),
        last_fill_age_ms=None if filled_ns < 0 else (now_ns - filled_ns) / NS_PER_MS,
    )


def proposal_record(proposal: Proposal) -> dict[str, Any]:
    """Give the proposal as it is stored."""
    return {
        "action": str(proposal.action),
        "confidence": proposal.confidence,
        "reasons": proposal.reasons,
        "params": params_record(proposal.params),
    }


def params_record(params: dict[str, Any]) -> dict[str, Any]:
    """Give params as they are stored; what a packet cannot hold is left out of it."""
    plain = storable(params) if params else {}
    return plain if isinstance(plain, dict) else {"left_out": plain}
