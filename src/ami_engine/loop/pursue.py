"""From the verdict to messages: what must change between the working orders and the wanted ones."""

import math
from typing import Any

from ami_engine.execution.gateway import Message
from ami_engine.execution.order_ids import client_order_id
from ami_engine.execution.plan import Plan
from ami_engine.kernels.ledger import size_of
from ami_engine.kernels.orders import (
    CANCEL,
    REPLACE,
    Intent,
    Wanted,
    cancel_orders,
    exit_position,
    find_working,
    reach_wanted,
    request_cancel,
)
from ami_engine.kernels.records import Cell
from ami_engine.kernels.telemetry import record_time
from ami_engine.loop.engine import Engine
from ami_engine.loop.guard import Verdict
from decision_schema import reasons
from decision_schema.events import Order
from decision_schema.instruments import ceil_steps, floor_steps, price_of
from decision_schema.reasons import NAMES
from decision_schema.types import Action
from decision_schema.units import NS_PER_MS, UnixNs
from dmc_core.dmc.guards import BREACH, GUARDS, LEG_ROWS

_TIFS = ("GTC", "IOC", "FOK")
_WHY_KEPT = (
    reasons.QUOTE_KEPT,
    reasons.REQUOTE_THROTTLED,
    reasons.AWAITING_BROKER,
    reasons.ORDER_OPEN_NO_CANCEL,
    reasons.TOO_MANY_ORDERS,
)
_EFFECT = {"keep": 0, "cancel_increasing": 1, "cancel_all": 2}


def pursue(engine: Engine, cell: Cell, verdict: Verdict, plan: Plan, now_ns: UnixNs) -> list[Message]:
    """Write the messages of this step, cancels of a level before what follows on it."""
    messages: list[Message] = []
    lots = cell.position.lots
    if engine.state.stopped != reasons.OK:
        for other in engine.state.cells:
            if other is not cell:
                intents: list[Intent] = []
                cancel_orders(other.orders, other.position.lots, now_ns, False, intents)
                _address(engine, other, intents, plan, Action.STOP, messages)
    intents = []
    if cell.exiting == 1:
        _exit(engine, cell, now_ns, intents)
    elif engine.state.stopped != reasons.OK or verdict.action in (Action.STOP, Action.EXIT):
        cancel_orders(cell.orders, lots, now_ns, False, intents)
    elif verdict.action is Action.CANCEL:
        effect = _resting_effect(verdict) if verdict.judgement.refusing else 2
        cancel_orders(cell.orders, lots, now_ns, effect == 1, intents)
    else:
        effect = _resting_effect(verdict)
        if effect > 0:
            cancel_orders(cell.orders, lots, now_ns, effect == 1, intents)
        if verdict.legs:
            _cancel_refused_levels(cell, verdict, plan.wanted, now_ns, intents)
        if verdict.action is Action.ACT:
            policy = verdict.policy
            kept = reach_wanted(
                cell.orders, plan.wanted, now_ns, policy.throttle_refresh_ms * NS_PER_MS,
                engine.rules_of(cell).execution.min_requote_ticks, intents,
            )  # fmt: skip
            if not intents or kept > 1:
                verdict.flags.append(NAMES[_WHY_KEPT[kept]])
    _address(engine, cell, intents, plan, verdict.action, messages)
    for message in messages:
        if message.op != "submit":
            record_time(engine.state.cancels, now_ns)
    return messages


def _resting_effect(verdict: Verdict) -> int:
    effect = 0
    for row in verdict.judgement.refusing:
        if row not in LEG_ROWS and verdict.judgement.verdicts[row] == BREACH:
            effect = max(effect, _EFFECT[GUARDS[row].resting])
    return effect


def _cancel_refused_levels(
    cell: Cell, verdict: Verdict, wanted: list[Wanted], now_ns: UnixNs, intents: list[Intent]
) -> None:
    """Pull what works on a level whose new order a limit refused: the limit speaks of that side."""
    for want, leg in zip(wanted, verdict.legs, strict=True):
        if leg.allowed:
            continue
        pulls = any(
            leg.verdicts[place] == BREACH and GUARDS[row].resting != "keep"
            for place, row in enumerate(LEG_ROWS)
        )
        working = find_working(cell.orders, want.side, want.level) if pulls else -1
        if working >= 0:
            request_cancel(cell.orders, working, now_ns, intents)


def _exit(engine: Engine, cell: Cell, now_ns: UnixNs, intents: list[Intent]) -> None:
    market, lots = cell.market, cell.position.lots
    touch = market.book.bid if lots > 0 else market.book.ask
    if math.isnan(touch):
        cancel_orders(cell.orders, lots, now_ns, False, intents)
        return
    round_to_grid = floor_steps if lots > 0 else ceil_steps
    ticks = round_to_grid(touch, market.tick_num, market.tick_den)
    slippage = engine.rules_of(cell).execution.exit_slippage_ticks
    if lots > 0 and math.isfinite(market.price_min):  # a sale must stay above the least price
        lowest = floor_steps(market.price_min, market.tick_num, market.tick_den) + 1
        slippage = max(0, min(slippage, ticks - lowest))
    elif lots < 0 and math.isfinite(market.price_max):  # a buy may not exceed the highest
        highest = floor_steps(market.price_max, market.tick_num, market.tick_den)
        slippage = max(0, min(slippage, highest - ticks))
    exit_position(cell.orders, lots, ticks, slippage, now_ns, intents)


def _address(
    engine: Engine, cell: Cell, intents: list[Intent], plan: Plan, action: Action, messages: list[Message]
) -> None:
    """Give each intent its ids: (step, leg) for ever."""
    market_id = engine.market_ids[cell.index] if cell.index >= 0 else ""
    step = engine.state.step
    for intent in intents:
        if intent.op == CANCEL:
            messages.append(Message("cancel", engine.ids.of(cell.index, intent.slot)))
            continue
        slot = cell.orders.slots[intent.slot]
        slot.step, slot.leg = step, len(messages)
        order_id = client_order_id(engine.run_key, step, slot.leg)
        replaces = engine.ids.of(cell.index, intent.replaces) if intent.op == REPLACE else ""
        engine.ids.add(order_id, cell.index, intent.slot, slot.lots)
        market = cell.market
        order = Order(
            client_order_id=order_id,
            market_id=market_id,
            side="buy" if slot.side > 0 else "sell",
            price=None if slot.takes else price_of(slot.price_ticks, market.tick_num, market.tick_den),
            size=size_of(cell.position, slot.lots),
            time_in_force=_TIFS[slot.tif],  # type: ignore[arg-type]
            post_only=bool(slot.post_only),
            reduce_only=bool(slot.reduce_only),
            level=slot.level,
            action=str(action),
            params=plan.travels,
        )
        messages.append(Message("replace" if intent.op == REPLACE else "submit", order_id, order, replaces))


def message_record(message: Message) -> dict[str, Any]:
    """Give a message as it is stored among the intents."""
    record: dict[str, Any] = {"op": message.op, "client_order_id": message.client_order_id}
    order = message.order
    if order is not None:
        record.update(
            market_id=order.market_id,
            side=order.side,
            price=order.price,
            size=order.size,
            time_in_force=order.time_in_force,
            post_only=order.post_only,
            reduce_only=order.reduce_only,
            level=order.level,
        )
    if message.replaces:
        record["replaces"] = message.replaces
    return record
