"""Send the orders of a tape through hftbacktest; runs in its own environment: `python run_hft.py FOLDER`.

Every tape in the folder is run once for each model, exchange and latency of `CASES`; the fills go
to ``<tape>.fills.npz``. Prices and sizes are whole ticks and lots (tick_size = lot_size = 1), so
its arithmetic is exact.

Every fill of a resting order is seen: no two messages share a time, the time is moved on from one
possible response to the next, and the orders are read each time. Of an order that takes several
levels at once hftbacktest tells only the sum and the last level; both are kept.
"""

import sys
from pathlib import Path

import numba
import numpy as np
from hftbacktest import (
    BUY_EVENT,
    DEPTH_EVENT,
    EXCH_EVENT,
    LOCAL_EVENT,
    SELL_EVENT,
    TRADE_EVENT,
    BacktestAsset,
    HashMapMarketDepthBacktest,
)
from hftbacktest import __version__ as hft_version
from hftbacktest.order import LIMIT
from hftbacktest.types import event_dtype

sys.path.insert(0, str(Path(__file__).parent))
from cases import CASES, Case
from market import LEVEL, MS, Tape, load

SHORT_OF = 1e-6
"""Lots that each order is sent short.

In hftbacktest 2.4.4 an order that a trade fills to the last lot, with none of the trade left, stays
in the book of PartialFillExchange; the next trade there ends the run with an error.
"""
FEED_LATENCY = 100 * MS
"""Longer than any response, so that the run does not end before the last one."""
SEEN = np.dtype([("order", "i8"), ("ts", "i8"), ("lots", "f8"), ("last_ticks", "i8"), ("last_lots", "f8")])


def events_of(rows: np.ndarray) -> np.ndarray:
    """Give the rows in the format of hftbacktest."""
    events = np.zeros(len(rows), event_dtype)
    kind = np.where(rows["kind"] == LEVEL, DEPTH_EVENT, TRADE_EVENT)
    side = np.where(rows["side"] > 0, BUY_EVENT, SELL_EVENT)
    events["ev"] = kind | side | EXCH_EVENT | LOCAL_EVENT
    events["exch_ts"] = rows["ts"]
    events["local_ts"] = rows["ts"] + FEED_LATENCY
    events["px"], events["qty"] = rows["ticks"], rows["lots"]
    return events


def asset_of(events: np.ndarray, case: Case) -> BacktestAsset:
    """Describe the market to hftbacktest."""
    asset = (
        BacktestAsset()
        .data(events)
        .linear_asset(1.0)
        .constant_order_latency(case.entry_ms * MS, case.response_ms * MS)
        .trading_qty_fee_model(0.0, 0.0)
        .tick_size(1.0)
        .lot_size(1.0)
        .last_trades_capacity(0)
    )
    asset = asset.partial_fill_exchange() if case.partial else asset.no_partial_fill_exchange()
    if case.queue == "conservative":
        return asset.risk_adverse_queue_model()
    if case.queue.startswith("power"):
        model = {"power": "", "power2": "2", "power3": "3"}[case.queue]
        return getattr(asset, f"power_prob_queue_model{model}")(case.power)
    return getattr(asset, f"{case.queue.replace('log', 'log_prob_queue_model')}")()


@numba.njit
def drive(hbt, steps, orders, cancels, seen):
    """Go from step to step; send, cancel and read what became of the orders."""
    count = 0
    sent = 0
    dropped = 0
    left = np.zeros(len(orders) + 1)
    for step in steps:
        if hbt.elapse(step - hbt.current_timestamp) != 0:
            return -1
        while sent < len(orders) and orders[sent].ts == step:
            order = orders[sent]
            left[order.id] = order.lots - SHORT_OF
            if order.side > 0:
                hbt.submit_buy_order(0, order.id, order.ticks, left[order.id], order.tif, LIMIT, False)
            else:
                hbt.submit_sell_order(0, order.id, order.ticks, left[order.id], order.tif, LIMIT, False)
            sent += 1
        while dropped < len(cancels) and orders[cancels[dropped]].cancel_ts == step:
            hbt.cancel(0, orders[cancels[dropped]].id, False)
            dropped += 1
        for pending in range(2):  # what was sent now may have arrived at once
            if pending and hbt.elapse(0) != 0:
                return -1
            values = hbt.orders(0).values()
            while values.has_next():
                told = values.get()
                if told.leaves_qty < left[told.order_id] - 0.5:
                    seen[count].order = told.order_id
                    seen[count].ts = told.exch_timestamp
                    seen[count].lots = left[told.order_id] - told.leaves_qty
                    seen[count].last_ticks = told.exec_price_tick
                    seen[count].last_lots = told.exec_qty
                    left[told.order_id] = told.leaves_qty
                    count += 1
            hbt.clear_inactive_orders(0)
    return count if sent == len(orders) else -1


def run(tape: Tape, events: np.ndarray, case: Case) -> np.ndarray:
    """Run one tape under one case and give the fills as hftbacktest tells them."""
    orders = tape.orders
    starts = np.unique(tape.rows["ts"])
    entry, response = case.entry_ms * MS, case.response_ms * MS
    sent = np.concatenate((orders["ts"], orders["cancel_ts"]))
    steps = np.unique(np.concatenate((starts, starts + response, sent, sent + entry + response)))
    steps = steps[(steps > starts[0]) & (steps < starts[-1] + FEED_LATENCY)]
    hbt = HashMapMarketDepthBacktest([asset_of(events, case)])
    hbt.elapse(0)
    seen = np.zeros(20 * len(orders), SEEN)
    count = drive(hbt, steps, orders, np.argsort(orders["cancel_ts"], kind="stable"), seen)
    hbt.close()
    if count < 0:
        raise RuntimeError(f"hftbacktest ended {tape.name} under {case} with an error")
    return seen[:count]


def main() -> None:
    """Run all tapes of a folder."""
    for file in sorted(Path(sys.argv[1]).glob("*.tape.npz")):
        tape = load(file)
        events = events_of(tape.rows)
        found = {case.name: run(tape, events, case) for case in CASES}
        np.savez(file.with_name(file.name.replace(".tape.", ".fills.")), version=hft_version, **found)
        print(f"{tape.name}: {sum(map(len, found.values()))} fills in {len(found)} runs")


if __name__ == "__main__":
    main()
