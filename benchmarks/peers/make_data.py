"""Make the market that every side trades in: `python make_data.py FILE [--quotes N]`.

A seeded random walk on a grid: quotes about every 10 ms, a public trade after every fifth one. It is
no model of a real market; it gives every side the same work to do.
"""

import argparse
from pathlib import Path

import numpy as np

SEED = 20_240_808
START_NS = 1_700_000_000_000_000_000
START_TICKS = 10_000
TICK_DEN = 100
MEAN_GAP_NS = 10_000_000
MOVE = 0.02
"""Chance of a quote that the bid moves by a tick; as likely the spread is drawn anew."""
TRADE = 0.2
"""Chance that a trade follows a quote."""


def last_drawn(drawn: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Give at each row the value of the last row at which one was drawn; the first row always draws."""
    drawn = drawn.copy()
    drawn[0] = True
    return values[np.maximum.accumulate(np.where(drawn, np.arange(len(drawn)), 0))]


def make(quotes: int, seed: int = SEED) -> dict[str, np.ndarray]:
    """Make the table: quotes and trades merged in the order of their times, which are unique."""
    rng = np.random.default_rng(seed)
    ts = START_NS + np.cumsum(rng.exponential(MEAN_GAP_NS, quotes).astype(np.int64) + 1_000)

    step = rng.integers(0, 2, quotes) * 2 - 1
    bid = START_TICKS + np.cumsum(np.where(rng.random(quotes) < MOVE, step, 0))
    spread = last_drawn(rng.random(quotes) < MOVE, rng.integers(1, 4, quotes))
    ask = bid + spread
    # A quote shows another size on one side; a side whose price has moved always shows another size.
    on_bid = rng.random(quotes) < 0.5
    bid_moved = np.diff(bid, prepend=0) != 0
    ask_moved = np.diff(ask, prepend=0) != 0
    bid_size = last_drawn(on_bid | bid_moved, rng.integers(1, 51, quotes)).astype(float)
    ask_size = last_drawn(~on_bid | ask_moved, rng.integers(1, 51, quotes)).astype(float)

    gap = np.diff(ts, append=ts[-1] + MEAN_GAP_NS)
    traded = np.flatnonzero((rng.random(quotes) < TRADE) & (gap > 2))
    after = ts[traded] + 1 + (rng.random(len(traded)) * (gap[traded] - 2)).astype(np.int64)
    side = rng.integers(0, 2, len(traded)) * 2 - 1
    price = np.where(side > 0, ask[traded], bid[traded])
    displayed = np.where(side > 0, ask_size[traded], bid_size[traded])
    size = np.ceil(displayed * rng.random(len(traded)))
    size = np.maximum(size, 1.0)

    times = np.concatenate((ts, after))
    order = np.argsort(times, kind="stable")

    def merged(of_quotes: np.ndarray, of_trades: np.ndarray) -> np.ndarray:
        return np.concatenate((of_quotes, of_trades))[order]

    none, zero = np.full(len(traded), np.nan), np.zeros(quotes)
    return {
        "ts_ns": times[order],
        "bid": merged(bid / TICK_DEN, none),
        "ask": merged(ask / TICK_DEN, none),
        "bid_size": merged(bid_size, none),
        "ask_size": merged(ask_size, none),
        "trade_price": merged(np.full(quotes, np.nan), price / TICK_DEN),
        "trade_size": merged(np.full(quotes, np.nan), size),
        "trade_side": merged(zero, side).astype(np.int8),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--quotes", type=int, default=1_000_000)
    given = parser.parse_args()
    given.file.parent.mkdir(parents=True, exist_ok=True)
    table = make(given.quotes)
    np.savez(given.file, **table)
    trades = int((table["trade_side"] != 0).sum())
    print(f"{given.quotes:,} quotes and {trades:,} trades in {given.file.name}")


if __name__ == "__main__":
    main()
