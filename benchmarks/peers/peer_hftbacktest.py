"""hftbacktest on the rule: `python peer_hftbacktest.py DATA.npz --variant NAME`; prints one line of JSON.

`plain`: no latency, the cheapest queue model; `queue`: 5 ms each way and the power queue model;
`full`: as `queue`, with our features, model and guards inside the strategy.
Runs in an environment of its own (requirements-hftbacktest.txt).
"""

import math
import time
from typing import Any

import numba
import numpy as np
from common import (
    LATENCY_NS,
    LOT,
    MAX_INVENTORY,
    MAX_SKEW_TICKS,
    MIN_CONFIDENCE,
    QUEUE_POWER,
    THROTTLE_NS,
    TICK,
    TICK_DEN,
    arguments,
    is_trade,
    load,
    since_start,
    tell,
)
from hftbacktest import (
    BUY_EVENT,
    DEPTH_EVENT,
    EXCH_EVENT,
    LOCAL_EVENT,
    SELL_EVENT,
    TRADE_EVENT,
    BacktestAsset,
    ROIVectorMarketDepthBacktest,
)
from hftbacktest.order import FILLED, GTX, LIMIT
from hftbacktest.types import event_dtype

VARIANTS = ("plain", "queue", "full")
FOREVER = 10**15
FEED, END = 2, 1
WARM_ROWS = 2_000
REPEATS = 5
COUNTERS = np.dtype(
    [
        ("wakes", "i8"), ("acts", "i8"), ("sent", "i8"), ("modified", "i8"), ("cancelled", "i8"),
        ("fills", "i8"), ("buy_id", "i8"), ("sell_id", "i8"), ("next_id", "i8"),
        ("buy_ns", "i8"), ("sell_ns", "i8"), ("error", "i8"), ("farthest", "f8"),
    ],
    align=True,
)  # fmt: skip


def feed_of(columns: dict[str, np.ndarray]) -> np.ndarray:
    """Give the rows in its format: a quote as the levels that changed, the new one before the old one goes.

    The side that the market moves towards comes last, so that no row crosses the book: this spares the
    peer a search for the next level.
    """
    trade = is_trade(columns)
    at = np.flatnonzero(~trade)
    ts = columns["ts_ns"][at]
    bid = np.round(columns["bid"][at] * TICK_DEN).astype(np.int64)
    ask = np.round(columns["ask"][at] * TICK_DEN).astype(np.int64)
    bid_size, ask_size = columns["bid_size"][at], columns["ask_size"][at]
    up = np.diff(bid, prepend=bid[0]) + np.diff(ask, prepend=ask[0]) > 0
    parts = []
    for flag, price, size, first in (
        (BUY_EVENT, bid, bid_size, ~up),
        (SELL_EVENT, ask, ask_size, up),
    ):
        moved = np.diff(price, prepend=-1) != 0
        changed = moved | (np.diff(size, prepend=-1.0) != 0.0)
        if flag == SELL_EVENT:  # a quote that changes nothing is told all the same
            changed |= ~((np.diff(bid, prepend=-1) != 0) | (np.diff(bid_size, prepend=-1.0) != 0.0))
        gone = moved.copy()
        gone[0] = False
        place = np.where(first, 0, 2)
        was = np.concatenate((price[:1], price[:-1]))
        parts.append((ts[changed], place[changed], flag | DEPTH_EVENT, price[changed], size[changed]))
        parts.append((ts[gone], place[gone] + 1, flag | DEPTH_EVENT, was[gone], np.zeros(int(gone.sum()))))
    for flag, side in ((BUY_EVENT, 1), (SELL_EVENT, -1)):
        rows = columns["trade_side"] == side
        price = np.round(columns["trade_price"][rows] * TICK_DEN).astype(np.int64)
        place = np.zeros(len(price), np.int64)
        parts.append((columns["ts_ns"][rows], place, flag | TRADE_EVENT, price, columns["trade_size"][rows]))
    times = np.concatenate([part[0] for part in parts])
    places = np.concatenate([part[1] for part in parts])
    order = np.lexsort((places, times))
    rows = np.zeros(len(times), event_dtype)
    kinds = np.concatenate([np.full(len(part[0]), part[2], np.uint64) for part in parts])
    rows["ev"] = kinds[order] | np.uint64(EXCH_EVENT | LOCAL_EVENT)
    rows["exch_ts"] = rows["local_ts"] = times[order]
    rows["px"] = np.concatenate([part[3] for part in parts])[order] / TICK_DEN
    rows["qty"] = np.concatenate([part[4] for part in parts])[order]
    end = rows[-1:].copy()  # nobody is woken for the last row, so one follows that is not counted
    end["exch_ts"] += THROTTLE_NS
    end["local_ts"] += THROTTLE_NS
    return np.concatenate((rows, end))


def market_of(feed: np.ndarray, variant: str) -> Any:
    """Describe the market, with the models that a variant wants, and open a backtest on it."""
    asset = (
        BacktestAsset()
        .data(feed)
        .linear_asset(1.0)
        .trading_qty_fee_model(0.0, 0.0)
        .tick_size(TICK)
        .lot_size(LOT)
        .no_partial_fill_exchange()
        .roi_lb(float(feed["px"].min()) - 20 * TICK)
        .roi_ub(float(feed["px"].max()) + 20 * TICK)
        .last_trades_capacity(8 if variant == "full" else 0)
    )
    if variant == "plain":
        asset = asset.constant_order_latency(0, 0).risk_adverse_queue_model()
    else:
        asset = asset.constant_order_latency(LATENCY_NS, LATENCY_NS).power_prob_queue_model(QUEUE_POWER)
    return ROIVectorMarketDepthBacktest([asset])


@numba.njit
def pursue(hbt, c, side, ticks, allowed, now_ns):
    """Bring the order of one side to its wanted price; true where one was modified or cancelled."""
    number = c.buy_id if side > 0 else c.sell_id
    order = hbt.orders(0).get(number)
    if order is None:
        if not allowed:
            return False
        number = c.next_id
        c.next_id += 1
        c.sent += 1
        if side > 0:
            c.buy_id, c.buy_ns = number, now_ns
            hbt.submit_buy_order(0, number, ticks * TICK, LOT, GTX, LIMIT, False)
        else:
            c.sell_id, c.sell_ns = number, now_ns
            hbt.submit_sell_order(0, number, ticks * TICK, LOT, GTX, LIMIT, False)
        return False
    if not order.cancellable:
        return False
    if not allowed:
        c.cancelled += 1
        hbt.cancel(0, number, False)
        return True
    if order.price_tick == ticks or now_ns - (c.buy_ns if side > 0 else c.sell_ns) < THROTTLE_NS:
        return False
    c.modified += 1
    if side > 0:
        c.buy_ns = now_ns
    else:
        c.sell_ns = now_ns
    hbt.modify(0, number, ticks * TICK, LOT, False)
    return True


@numba.njit
def drive_plain(hbt, c):
    """Run the short rule at each row until the data end."""
    while True:
        code = hbt.wait_next_feed(False, FOREVER)
        if code != FEED:
            c.error = 0 if code == END else code
            return
        c.wakes += 1
        depth = hbt.depth(0)
        bid, ask = depth.best_bid_tick, depth.best_ask_tick
        # best_bid_qty and best_ask_qty of this book give the price in 2.4.4.
        bid_size, ask_size = depth.bid_qty_at_tick(bid), depth.ask_qty_at_tick(ask)
        hbt.clear_inactive_orders(0)
        now_ns = hbt.current_timestamp
        micro = (bid * ask_size + ask * bid_size) / (bid_size + ask_size)
        half = 0.5 * (ask - bid)
        edge = half - abs(micro - 0.5 * (bid + ask))
        if 1.0 / (1.0 + math.exp(-edge)) < MIN_CONFIDENCE:
            continue
        c.acts += 1
        position = hbt.position(0)
        c.farthest = max(c.farthest, abs(position))
        skew = -max(-1.0, min(1.0, position / MAX_INVENTORY)) * MAX_SKEW_TICKS
        buy = min(math.floor(micro - half + skew + 1e-6), ask - 1)
        sell = max(math.ceil(micro + half + skew - 1e-6), bid + 1)
        pursue(hbt, c, 1, buy, position < MAX_INVENTORY, now_ns)
        pursue(hbt, c, -1, sell, position > -MAX_INVENTORY, now_ns)


def full_driver() -> tuple[Any, Any]:
    """Give the strategy with the full rule, and what makes its state."""
    import full_rule
    from full_rule import accept_trade, begin, decide, note_fill, record_time, see_quote

    @numba.njit
    def fills(hbt, c, m, k, own):
        """Note what has been filled; give the lots that still work, or may, on both sides."""
        orders = hbt.orders(0)
        buy, sell = orders.get(c.buy_id), orders.get(c.sell_id)
        open_buy = open_sell = 0.0
        if buy is not None:
            if buy.status == FILLED:
                note_fill(m, k, own, 1, buy.exec_price, buy.exch_timestamp)
            else:
                open_buy = LOT
        if sell is not None:
            if sell.status == FILLED:
                note_fill(m, k, own, -1, sell.exec_price, sell.exch_timestamp)
            else:
                open_sell = LOT
        hbt.clear_inactive_orders(0)
        return open_buy, open_sell

    @numba.njit
    def drive_full(hbt, c, market, marks, windows, errors, state, observed, presence, limits, verdicts):
        """Run the full rule at each row until the data end."""
        m, k, own = market[0], marks[0], state[0]
        while True:
            code = hbt.wait_next_feed(False, FOREVER)
            if code != FEED:
                c.error = 0 if code == END else code
                return
            c.wakes += 1
            now_ns = hbt.current_timestamp
            begin(m, k, now_ns)
            trades = hbt.last_trades(0)
            if len(trades) > 0:
                for trade in trades:
                    accept_trade(m, trade.px, trade.qty, 1 if trade.ev & BUY_EVENT == BUY_EVENT else -1)
                hbt.clear_last_trades(0)
            else:
                depth = hbt.depth(0)
                bid, ask = depth.best_bid_tick, depth.best_ask_tick
                bid_size, ask_size = depth.bid_qty_at_tick(bid), depth.ask_qty_at_tick(ask)
                see_quote(m, bid / TICK_DEN, ask / TICK_DEN, bid_size, ask_size, now_ns)
            open_buy, open_sell = fills(hbt, c, m, k, own)
            if decide(
                m,
                k,
                windows,
                errors[0],
                own,
                observed,
                presence,
                limits,
                verdicts,
                open_buy,
                open_sell,
                now_ns,
            ):
                c.acts += 1
                c.farthest = max(c.farthest, abs(own.position))
                if pursue(hbt, c, 1, own.buy_ticks, own.buy_allowed == 1, now_ns):
                    record_time(windows[0], now_ns)
                if pursue(hbt, c, -1, own.sell_ticks, own.sell_allowed == 1, now_ns):
                    record_time(windows[0], now_ns)

    return drive_full, full_rule.new_state


def main() -> None:
    given = arguments(VARIANTS)
    begun = time.perf_counter()
    columns = load(given.data, given.rows)
    feed = feed_of(columns)
    reading = time.perf_counter() - begun
    drive, fresh = full_driver() if given.variant == "full" else (drive_plain, tuple)
    start_seconds = 0.0
    times = []
    for rows in (feed[:WARM_ROWS], *[feed] * REPEATS):
        hbt = market_of(rows, given.variant)
        counters, state = np.zeros(1, COUNTERS), fresh()
        counters["next_id"] = 1
        started = time.perf_counter()
        drive(hbt, counters[0], *state)
        times.append(time.perf_counter() - started)
        values = hbt.state_values(0)
        fills, position = int(values.num_trades), float(hbt.position(0))
        hbt.close()
        start_seconds = start_seconds or since_start() - reading
    times = times[1:]
    c = counters[0]
    if c["error"]:
        raise RuntimeError(f"hftbacktest ended with code {c['error']}")
    more = {name: int(c[name]) for name in ("wakes", "acts", "sent", "modified", "cancelled")}
    if given.variant == "full":
        more["refusals"] = int(state[4]["refusals"][0])
    tell(
        "hftbacktest",
        given.variant,
        columns,
        times,
        start_seconds,
        ("hftbacktest", "numba", "numpy"),
        feed_rows=len(feed) - 1,
        feed_rows_per_s=(len(feed) - 1) / min(times),
        fills=fills,
        position=position,
        farthest_position=float(c["farthest"]),
        **more,
    )


if __name__ == "__main__":
    main()
