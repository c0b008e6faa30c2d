"""From the verdict to messages: what must change between the working orders and the wanted ones."""

import math

from ami_engine.kernels.decision import MAX_MESSAGES, Decision, Message, Rules
from ami_engine.kernels.orders import (
    CANCEL,
    MAX_INTENTS,
    REPLACE,
    Intents,
    OrderSlot,
    cancel_orders,
    exit_position,
    find_working,
    reach_wanted,
    request_cancel,
)
from ami_engine.kernels.plan import ns_of
from ami_engine.kernels.recent_orders import remember_order
from ami_engine.kernels.records import Cell, EngineState
from ami_engine.kernels.telemetry import record_time
from decision_schema import reasons
from decision_schema.instruments import ceil_steps, floor_steps
from decision_schema.kernel import kernel
from decision_schema.reasons import OK
from dmc_core.dmc.decide import ACT, EXIT, STOP
from dmc_core.dmc.decide import CANCEL as PULL
from dmc_core.dmc.guards import BREACH, FIRST_LEG_ROW, GUARDS, LIMIT_SLOT, N_LEG_ROWS

_WHY_KEPT = (
    reasons.QUOTE_KEPT,
    reasons.REQUOTE_THROTTLED,
    reasons.AWAITING_BROKER,
    reasons.ORDER_OPEN_NO_CANCEL,
    reasons.TOO_MANY_ORDERS,
)
"""Reason code of what `reach_wanted` gives."""
KEEP, CANCEL_INCREASING, CANCEL_ALL = 0, 1, 2
_RESTING = tuple(("keep", "cancel_increasing", "cancel_all").index(guard.resting) for guard in GUARDS)
"""What a breach of each row does to resting orders."""
_THROTTLE = LIMIT_SLOT["throttle_refresh_ms"]
_FAT_FINGER = LIMIT_SLOT["fat_finger_multiple"]
_DUPLICATE = LIMIT_SLOT["duplicate_window_ms"]


@kernel
def pursue(
    state: EngineState, cells: list[Cell], cell: Cell, rules: Rules, decision: Decision, now_ns: int
) -> None:
    """Write the messages of this step, cancels of a level before what follows on it.

    After a STOP the orders of all other markets are cancelled first; those for which there is no room
    follow in the next steps.

    Args:
        state: Latches are read, cancels counted.
        cells: All markets.
        cell: The one of the step.
        rules: What its orders go by; the limits as the hook left them.
        decision: Judgement, legs, action and plan are read; messages and `verdict.kept` written.
        now_ns: The time of the step.
    """
    intents, verdict = decision.intents, decision.verdict
    decision.n_messages = 0
    verdict.kept = OK
    stopped = state.stopped != OK
    if stopped:
        _cancel_elsewhere(state, cells, cell, decision, now_ns)
    intents.n = 0
    intents.most = MAX_INTENTS
    lots = cell.position.lots
    if cell.exiting == 1:
        _exit(cell, rules, now_ns, intents)
    elif stopped or verdict.action == STOP or verdict.action == EXIT:
        cancel_orders(cell.orders, lots, now_ns, 0, intents)
    elif verdict.action == PULL:
        effect = CANCEL_ALL
        if decision.judgement.n_refusing > 0:
            effect = _resting_effect(decision)
        cancel_orders(cell.orders, lots, now_ns, int(effect == CANCEL_INCREASING), intents)
    else:
        effect = _resting_effect(decision)
        if effect != KEEP:
            cancel_orders(cell.orders, lots, now_ns, int(effect == CANCEL_INCREASING), intents)
        _cancel_refused_levels(cell, decision, now_ns, intents)
        if verdict.action == ACT:
            plan = decision.plan
            throttle_ns = ns_of(rules.limits[_THROTTLE])
            kept = reach_wanted(
                cell.orders, plan.wanted, plan.n_wanted, now_ns, throttle_ns, rules.min_requote_ticks, intents
            )
            if intents.n == 0 or kept > 1:
                verdict.kept = _WHY_KEPT[kept]
    remembers = int(rules.limits[_FAT_FINGER] > 0.0 or rules.limits[_DUPLICATE] > 0.0)
    _address(state, cell, intents, decision, now_ns, remembers)


@kernel
def _cancel_elsewhere(
    state: EngineState, cells: list[Cell], cell: Cell, decision: Decision, now_ns: int
) -> None:
    """Cancel the orders of all other markets, as far as there is room beside this market's own messages."""
    intents = decision.intents
    for i in range(state.n_cells):
        other = cells[i]
        room = MAX_MESSAGES - MAX_INTENTS - decision.n_messages
        if other.index == cell.index or other.orders.used == 0 or room <= 0:
            continue
        intents.n = 0
        intents.most = min(room, MAX_INTENTS)
        cancel_orders(other.orders, other.position.lots, now_ns, 0, intents)
        _address(state, other, intents, decision, now_ns, 0)


@kernel
def _resting_effect(decision: Decision) -> int:
    """Give what the breached rows of market and account do to resting orders."""
    judgement = decision.judgement
    effect = KEEP
    for i in range(judgement.n_refusing):
        row = judgement.refusing[i]
        if row < FIRST_LEG_ROW and judgement.verdicts[row] == BREACH:
            effect = max(effect, _RESTING[row])
    return effect


@kernel
def _cancel_refused_levels(cell: Cell, decision: Decision, now_ns: int, intents: Intents) -> None:
    """Pull what works on a level whose new order a limit refused: the limit speaks of that side."""
    for i in range(decision.n_legs):
        leg, want = decision.legs[i], decision.plan.wanted[i]
        if leg.allowed == 1:
            continue
        pulls = False
        for row in range(N_LEG_ROWS):
            if leg.verdicts[row] == BREACH and _RESTING[FIRST_LEG_ROW + row] != KEEP:
                pulls = True
        if pulls:
            working = find_working(cell.orders, want.side, want.level)
            if working >= 0:
                request_cancel(cell.orders, working, now_ns, intents)


@kernel
def _exit(cell: Cell, rules: Rules, now_ns: int, intents: Intents) -> None:
    market, lots = cell.market, cell.position.lots
    num, den = market.tick_num, market.tick_den
    touch = market.book.bid if lots > 0 else market.book.ask
    if math.isnan(touch):
        cancel_orders(cell.orders, lots, now_ns, 0, intents)
        return
    ticks = floor_steps(touch, num, den) if lots > 0 else ceil_steps(touch, num, den)
    slippage = rules.exit_slippage_ticks
    if lots > 0 and math.isfinite(market.price_min):  # a sale must stay above the least price
        lowest = floor_steps(market.price_min, num, den) + 1
        slippage = max(0, min(slippage, ticks - lowest))
    elif lots < 0 and math.isfinite(market.price_max):  # a buy may not exceed the highest
        highest = floor_steps(market.price_max, num, den)
        slippage = max(0, min(slippage, highest - ticks))
    exit_position(cell.orders, lots, ticks, slippage, now_ns, intents)


@kernel
def _address(
    state: EngineState, cell: Cell, intents: Intents, decision: Decision, now_ns: int, remembers: int
) -> None:
    """Make the intents of a market messages, and name each new order (step, leg) for ever."""
    for i in range(intents.n):
        intent = intents.items[i]
        slot = cell.orders.slots[intent.slot]
        message = decision.messages[decision.n_messages]
        if intent.op != CANCEL:
            slot.step = state.step
            slot.leg = decision.n_messages
            if remembers == 1 and slot.is_exit == 0:
                remember_order(cell.recent, slot, now_ns)
        message.op = intent.op
        message.cell = cell.index
        message.slot = intent.slot
        message.old_slot = -1
        message.old_step = 0
        message.old_leg = 0
        _describe(message, slot)
        if intent.op == REPLACE:
            old = cell.orders.slots[intent.replaces]
            message.old_slot = intent.replaces
            message.old_step = old.step
            message.old_leg = old.leg
        if intent.op == CANCEL or intent.op == REPLACE:
            record_time(state.cancels, now_ns)
        record_time(state.messages, now_ns)
        decision.n_messages += 1


@kernel
def _describe(message: Message, order: OrderSlot) -> None:
    message.step = order.step
    message.leg = order.leg
    message.side = order.side
    message.takes = order.takes
    message.price_ticks = order.price_ticks
    message.lots = order.lots
    message.tif = order.tif
    message.post_only = order.post_only
    message.reduce_only = order.reduce_only
    message.level = order.level
