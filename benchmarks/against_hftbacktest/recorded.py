"""The recorded perpetual as a tape: read by the project's own adapter, levels and trades by venue time."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ami_engine.adapters.binance import BinanceSource
from benchmarks.against_hftbacktest.market import BUY, LEVEL, MS, ROW, SELL, TRADE, Message, Tape, schedule

FILE = Path("binance-raw-20240808") / "usdm_btcusdt_20240808.gz"
TICK_DEN, LOT_DEN = 10, 1000
REACH = 3_500
"""Ticks around the first price whose levels are kept: far more than the price moves or we use."""


def recorded_rows(data: Path) -> np.ndarray:
    """Read depth and trades; a trade before the book of its millisecond; times made unique."""
    source = BinanceSource(data / FILE)
    opening: Message = (0, LEVEL, [])
    opened = 0  # number of the state of the book in the snapshot
    changes: list[tuple[int, Message]] = []
    trades: list[Message] = []
    while (event := source.next_event()) is not None:
        at = event["ts_ms"] * MS
        if event["channel"] == "snapshot":
            levels = [("buy", *level) for level in event["bids"]] + [
                ("sell", *level) for level in event["asks"]
            ]
            opening, opened = (at, LEVEL, parts_of(levels)), event["book_seq"]
        elif event["channel"] == "depth":
            changes.append((event["book_seq"], (at, LEVEL, parts_of(event["deltas"]))))
        elif event["channel"] == "trade":
            told = [(trade["aggressor_side"], trade["price"], trade["size"]) for trade in event["trades"]]
            trades.append((at, TRADE, parts_of(told)))
    later = [message for number, message in changes if number > opened]
    later += [message for message in trades if message[0] > opening[0]]
    later.sort(key=lambda message: (message[0], -message[1]))
    middle = opening[2][0][1]
    rows: list[tuple[int, int, int, int, int]] = []
    ts = 0
    for at, kind, parts in [opening, *later]:
        ts = max(ts + 1, at)
        rows += [(ts, kind, *part) for part in parts if abs(part[1] - middle) <= REACH]
    return np.array(rows, ROW)


def parts_of(told: Iterable[tuple[str, float, float]]) -> list[tuple[int, int, int]]:
    """Give sides, prices and sizes in whole ticks and lots."""
    return [
        (BUY if side == "buy" else SELL, round(price * TICK_DEN), round(size * LOT_DEN))
        for side, price, size in told
    ]


def recorded_tape(data: Path, count: int = 2_000, seed: int = 1) -> Tape:
    """Make the recorded market and orders for it; most at most 0.04 BTC."""
    rows = recorded_rows(data)
    return Tape("recorded-btcusdt-perpetual", rows, schedule(rows, count, seed, 40, 10), TICK_DEN, LOT_DEN)
