"""What the guards see of the state: observed numbers, and the position and prices at stake.

Cheap numbers are written at each step, also where their limit is off, so that a record can be judged
under other limits later. What takes a walk over orders or markets is written only where its limit is on.
"""

import math

from ami_engine.kernels.features import (
    ADVERSE_15_TICKS,
    ADVERSE_60_TICKS,
    COST_TICKS,
    DEPTH,
    DEPTH_P10_5M,
    REALIZED_VOL_5M,
    SIGMA_5M,
    SIGMA_SPIKE_Z,
    SPREAD_BPS,
    SPREAD_MED_5M,
    SPREAD_TICKS,
    STALENESS_MAX_5M,
    STALENESS_MS,
)
from ami_engine.kernels.ledger import exposure, size_of
from ami_engine.kernels.orders import CANCELING, FREE, SENT, UNKNOWN, Orders, count_open
from ami_engine.kernels.plan import ns_of
from ami_engine.kernels.recent_orders import typical_lots
from ami_engine.kernels.records import Cell, EngineState, open_sizes
from ami_engine.kernels.sanity import crossed_ms, since_ms
from ami_engine.kernels.telemetry import count_recent
from decision_schema.instruments import price_of
from decision_schema.kernel import kernel
from decision_schema.units import NS_PER_MS, NS_PER_SECOND
from dmc_core.dmc.context import GuardContext, observe
from dmc_core.dmc.guards import LIMIT_SLOT, MALFORMED, PRESENT, SLOT
from dmc_core.dmc.measures import at_risk, in_noise, signed_at_risk

NAN = math.nan
INFINITY = math.inf
MS = float(NS_PER_MS)
_LONGEST_SEC = 4e9
"""A longer window is for ever."""

_FEATURES = (
    STALENESS_MS, DEPTH, SPREAD_BPS, SPREAD_TICKS, SIGMA_SPIKE_Z, SIGMA_5M, SPREAD_MED_5M, DEPTH_P10_5M,
    STALENESS_MAX_5M, ADVERSE_15_TICKS, ADVERSE_60_TICKS, REALIZED_VOL_5M,
)  # fmt: skip
_FEATURE_SLOTS = tuple(
    SLOT[name]
    for name in (
        "staleness_ms", "depth", "spread_bps", "spread_ticks", "sigma_spike_z", "sigma_5m", "spread_med_5m",
        "depth_p10_5m", "staleness_max_5m", "adverse_15_ticks", "adverse_60_ticks", "realized_vol_5m",
    )
)  # fmt: skip
_N_FEATURES = len(_FEATURES)

_DAILY_LOSS = SLOT["daily_loss_usd"]
_DRAWDOWN = SLOT["drawdown_usd"]
_EQUITY = SLOT["equity_usd"]
_FAILURES = SLOT["recent_failures"]
_ERROR_RATE = SLOT["error_rate"]
_MARKET_EXPOSURE = SLOT["market_exposure_usd"]
_TOTAL_EXPOSURE = SLOT["total_exposure_usd"]
_INVENTORY = SLOT["abs_inventory"]
_ADVERSE_LEFT = SLOT["adverse_cooldown_left_ms"]
_LOSSES = SLOT["consecutive_losses"]
_STREAK_LEFT = SLOT["streak_cooldown_left_ms"]
_EDGE = SLOT["edge_ticks"]
_CANCELS = SLOT["cancels_in_window"]
_OPS_LEFT = SLOT["ops_cooldown_left_ms"]
_RATE_LIMITED = SLOT["rate_limited_in_window"]
_RECONNECTS = SLOT["reconnects_in_window"]

_BREAKER_SEC = LIMIT_SLOT["circuit_breaker_window_sec"]
_ERROR_STEPS = LIMIT_SLOT["error_window_steps"]
_TP_TICKS = LIMIT_SLOT["tp_ticks"]
_COST_TICKS = LIMIT_SLOT["cost_ticks"]
_CANCEL_WINDOW = LIMIT_SLOT["cancel_window_ms"]
_DAILY_DRAWDOWN = SLOT["daily_drawdown_usd"]
_EXECUTIONS = SLOT["executions_in_window"]
_CROSSED = SLOT["crossed_ms"]
_FROZEN = SLOT["frozen_ms"]
_JUMP = SLOT["jump_bps"]
_JUMP_NOISE = SLOT["jump_noise"]
_PAUSE_LEFT = SLOT["volatility_pause_left_ms"]
_GAP_AGE = SLOT["gap_age_ms"]
_UNANSWERED = SLOT["unanswered_ms"]

_MAX_EXECUTIONS = LIMIT_SLOT["max_executions"]
_EXECUTION_WINDOW = LIMIT_SLOT["execution_window_ms"]
_MAX_ANSWER = LIMIT_SLOT["max_answer_ms"]
_MAX_MESSAGES = LIMIT_SLOT["max_messages"]
_MESSAGE_WINDOW = LIMIT_SLOT["message_window_ms"]
_MIN_GAP = LIMIT_SLOT["self_trade_min_ticks"]
_MAX_NET = LIMIT_SLOT["max_net_exposure_usd"]
_MAX_TOTAL = LIMIT_SLOT["max_total_exposure_usd"]
_MAX_OPEN = LIMIT_SLOT["max_open_orders"]
_FAT_FINGER = LIMIT_SLOT["fat_finger_multiple"]


@kernel
def see(
    state: EngineState,
    cells: list[Cell],
    cell: Cell,
    limits: list[float],
    context: GuardContext,
    now_ns: int,
) -> None:
    """Write what the guards see of the state."""
    account, market, position = state.account, cell.market, cell.position
    for i in range(_N_FEATURES):
        observe(context, _FEATURE_SLOTS[i], market.features[_FEATURES[i]])
    window_ns = int(min(limits[_BREAKER_SEC], _LONGEST_SEC) * float(NS_PER_SECOND))
    cost = market.features[COST_TICKS]
    if cost != cost:
        cost = limits[_COST_TICKS]
    total = 0.0
    open_orders = 0
    for i in range(state.n_cells):
        total += exposure(cells[i].position)
        open_orders += count_open(cells[i].orders)
    inventory = size_of(position, position.lots)
    cancel_window_ns = ns_of(limits[_CANCEL_WINDOW])
    _supply(context, _DAILY_LOSS, -account.daily_pnl)
    _supply(context, _DRAWDOWN, account.drawdown)
    _supply(context, _EQUITY, account.equity)
    _supply(context, _FAILURES, float(count_recent(state.failures, now_ns, window_ns)))
    _supply(context, _ERROR_RATE, float(state.errors.errors) / limits[_ERROR_STEPS])
    _supply(context, _MARKET_EXPOSURE, exposure(position))
    _supply(context, _TOTAL_EXPOSURE, total)
    _supply(context, _INVENTORY, abs(inventory))
    _supply(context, _ADVERSE_LEFT, float(max(0, cell.adverse_until_ns - now_ns)) / MS)
    _supply(context, _LOSSES, float(account.consecutive_losses))
    _supply(context, _STREAK_LEFT, float(max(0, state.streak_until_ns - now_ns)) / MS)
    _supply(context, _EDGE, limits[_TP_TICKS] - cost)
    _supply(context, _CANCELS, float(count_recent(state.cancels, now_ns, cancel_window_ns)))
    _supply(context, _OPS_LEFT, float(max(0, state.ops_until_ns - now_ns)) / MS)
    _supply(context, _RATE_LIMITED, float(count_recent(state.rate_limits, now_ns, window_ns)))
    _supply(context, _RECONNECTS, float(count_recent(state.reconnects, now_ns, window_ns)))
    sanity, spread = cell.sanity, market.features[SPREAD_BPS]
    _supply(context, _DAILY_DRAWDOWN, account.daily_drawdown)
    _supply(context, _CROSSED, crossed_ms(sanity, now_ns))
    observe(context, _FROZEN, since_ms(sanity.changed_ns, now_ns))
    observe(context, _JUMP, sanity.jump_bps)
    observe(context, _JUMP_NOISE, in_noise(sanity.jump_bps, spread, market.features[SIGMA_5M]))
    _supply(context, _PAUSE_LEFT, float(max(0, sanity.pause_until_ns - now_ns)) / MS)
    observe(context, _GAP_AGE, since_ms(sanity.gap_ns, now_ns))
    _see_if_on(state, cells, limits, context, now_ns)
    context.inventory = inventory
    context.open_buy, context.open_sell = open_sizes(cell)
    context.open_orders = float(open_orders)
    context.other_exposure = other_exposure(state, cells, cell.index)
    _see_others(state, cells, cell.index, limits, context)
    _see_own_orders(cell, limits, context)
    context.mid, context.bid, context.ask = market.book.mid, market.book.bid, market.book.ask
    context.multiplier = market.multiplier
    context.is_binary = position.is_binary
    context.tick = float(market.tick_num) / float(market.tick_den)


@kernel
def _see_if_on(
    state: EngineState, cells: list[Cell], limits: list[float], context: GuardContext, now_ns: int
) -> None:
    """Write what the account has done lately, as far as a limit asks for it."""
    fills, oldest, messages = NAN, NAN, NAN
    if limits[_MAX_EXECUTIONS] > 0.0:
        fills = float(executions_now(state, limits, now_ns))
    if limits[_MAX_ANSWER] > 0.0:
        oldest = 0.0
        for i in range(state.n_cells):
            oldest = max(oldest, unanswered_ms(cells[i].orders, now_ns))
    if limits[_MAX_MESSAGES] > 0.0:
        messages = float(count_recent(state.messages, now_ns, ns_of(limits[_MESSAGE_WINDOW])))
    observe(context, _EXECUTIONS, fills)
    observe(context, _UNANSWERED, oldest)
    context.messages = messages


@kernel
def executions_now(state: EngineState, limits: list[float], now_ns: int) -> int:
    """Count the fills of the window; once they have disabled trading, what they came to then stays."""
    if state.tripped_executions > 0:
        return state.tripped_executions
    recent = count_recent(state.executions, now_ns, ns_of(limits[_EXECUTION_WINDOW]))
    return min(recent, state.executions.added - state.executions_since)


@kernel
def unanswered_ms(orders: Orders, now_ns: int) -> float:
    """Give the age of the oldest request that the broker has not answered, in ms; 0 = there is none."""
    oldest = 0
    for i in range(orders.used):
        order = orders.slots[i]
        if order.status == SENT or order.status == UNKNOWN:
            oldest = max(oldest, now_ns - order.created_ns)
        elif order.status == CANCELING:
            oldest = max(oldest, now_ns - order.cancel_ns)
    return float(oldest) / MS


@kernel
def _see_own_orders(cell: Cell, limits: list[float], context: GuardContext) -> None:
    """Write the nearest own orders and the usual size, as far as a limit asks for them."""
    market, own_bid, own_ask, typical = cell.market, NAN, NAN, NAN
    if limits[_MIN_GAP] > 0.0:
        own_bid, own_ask = -INFINITY, INFINITY
        for i in range(cell.orders.used):
            order = cell.orders.slots[i]
            if order.status == FREE:
                continue
            price = price_of(order.price_ticks, market.tick_num, market.tick_den)
            if order.takes == 1:  # it may trade at any price
                price = INFINITY if order.side > 0 else -INFINITY
            if order.side > 0 and price > own_bid:
                own_bid = price
            elif order.side < 0 and price < own_ask:
                own_ask = price
    if limits[_FAT_FINGER] > 0.0:
        typical = typical_lots(cell.recent) * (float(market.lot_num) / float(market.lot_den))
    context.own_bid = own_bid
    context.own_ask = own_ask
    context.typical_size = typical


@kernel
def _supply(context: GuardContext, slot: int, value: float) -> None:
    """Set an observed number that the loop always has: one that is not finite is unusable, not absent."""
    context.observed[slot] = value
    context.presence[slot] = PRESENT if value - value == 0.0 else MALFORMED


@kernel
def worst_of(cell: Cell) -> float:
    """Give what a market can lose at its mid, everything working filled."""
    open_buy, open_sell = open_sizes(cell)
    inventory = size_of(cell.position, cell.position.lots)
    mid, binary, multiplier = cell.market.book.mid, cell.position.is_binary, cell.market.multiplier
    long = at_risk(inventory + open_buy, mid, True, binary, multiplier)
    short = at_risk(open_sell - inventory, mid, False, binary, multiplier)
    return max(long, short)


@kernel
def other_exposure(state: EngineState, cells: list[Cell], index: int) -> float:
    """Sum the worst case of all other markets, everything working filled."""
    total = 0.0
    for i in range(state.n_cells):
        if i != index:
            total += worst_of(cells[i])
    return total


@kernel
def _see_others(
    state: EngineState, cells: list[Cell], index: int, limits: list[float], context: GuardContext
) -> None:
    """Write the net exposure of the other markets and what is kept free for them, where that is asked for."""
    long, short, kept, kept_orders = NAN, NAN, NAN, NAN
    if limits[_MAX_NET] > 0.0:
        long, short = 0.0, 0.0
        for i in range(state.n_cells):
            if i == index:
                continue
            other = cells[i]
            open_buy, open_sell = open_sizes(other)
            inventory = size_of(other.position, other.position.lots)
            mid, binary, multiplier = other.market.book.mid, other.position.is_binary, other.market.multiplier
            long += signed_at_risk(inventory + open_buy, mid, binary, multiplier)
            short += signed_at_risk(inventory - open_sell, mid, binary, multiplier)
    if state.reserved_part > 0.0:
        kept, kept_orders = 0.0, 0.0
        unseen = state.reserved_part - cells[index].reserved_part
        for i in range(state.n_cells):
            part = cells[i].reserved_part
            if i == index or part == 0.0:
                continue
            unseen -= part
            kept += _unused(part * limits[_MAX_TOTAL], worst_of(cells[i]))
            kept_orders += _unused(part * limits[_MAX_OPEN], float(count_open(cells[i].orders)))
        kept += _unused(unseen * limits[_MAX_TOTAL], 0.0)
        kept_orders += _unused(unseen * limits[_MAX_OPEN], 0.0)
    context.other_net_long = long
    context.other_net_short = -short
    context.reserved_exposure = kept
    context.reserved_orders = kept_orders


@kernel
def _unused(kept: float, used: float) -> float:
    """Give what is left of a part that is kept; nan where it is not known what is used."""
    if kept < used:
        return 0.0
    return kept - used
