"""Messages in numbers become messages to a broker: each order under its own name for ever."""

from typing import Any

from ami_engine.execution.gateway import Message
from ami_engine.execution.order_ids import client_order_id
from ami_engine.kernels.orders import CANCEL, REPLACE
from ami_engine.loop.engine import Engine
from decision_schema.events import Order
from decision_schema.instruments import price_of
from decision_schema.step_packet import IntentRecord
from decision_schema.types import Action

_TIFS = ("GTC", "IOC", "FOK")


def address(engine: Engine, action: Action, travels: dict[str, Any]) -> list[Message]:
    """Give the messages of the step that was decided: cancels of a level before what follows on it.

    Args:
        engine: Its order ids are moved on.
        action: The final action.
        travels: Params that travel with the orders.
    """
    messages, decision = [], engine.core.decision
    for i in range(decision.n_messages):
        m = decision.messages[i]
        if m.op == CANCEL:
            messages.append(Message("cancel", engine.ids.of(m.cell, m.slot)))
            continue
        order_id = client_order_id(engine.run_key, m.step, m.leg)
        replaces = engine.ids.of(m.cell, m.old_slot) if m.op == REPLACE else ""
        engine.ids.add(order_id, m.cell, m.slot, m.lots)
        tick_num, tick_den, lot_num, lot_den = engine.grids[m.cell]
        order = Order(
            client_order_id=order_id,
            market_id=engine.market_ids[m.cell],
            side="buy" if m.side > 0 else "sell",
            price=None if m.takes else price_of(m.price_ticks, tick_num, tick_den),
            size=price_of(m.lots, lot_num, lot_den),
            time_in_force=_TIFS[m.tif],  # type: ignore[arg-type]
            post_only=m.post_only == 1,
            reduce_only=m.reduce_only == 1,
            level=m.level,
            action=str(action),
            params=travels,
        )
        messages.append(Message("replace" if m.op == REPLACE else "submit", order_id, order, replaces))
    return messages


def intent_of(message: Message) -> IntentRecord:
    """Give a message as it is stored among the intents."""
    order = message.order
    if order is None:
        return IntentRecord(message.op, message.client_order_id)
    intent = IntentRecord(
        op=message.op,
        client_order_id=message.client_order_id,
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
        intent.replaces = message.replaces
    return intent
