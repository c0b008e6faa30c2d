"""What both systems are given: rows of a market and a schedule of orders, in whole ticks and lots.

A message is a run of rows with one time; no two messages share one. Its levels are new sizes
(0 = gone); a trade is a message of its own. The first message is the whole book.
"""

import random
from bisect import insort
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

LEVEL, TRADE = 0, 1
BUY, SELL = 1, -1
GTC, GTX, FOK, IOC = 0, 1, 2, 3  # as hftbacktest numbers them; GTX = post-only

ROW = np.dtype([("ts", "i8"), ("kind", "i1"), ("side", "i1"), ("ticks", "i8"), ("lots", "i8")])
ORDER = np.dtype(
    [
        ("id", "i8"), ("ts", "i8"), ("side", "i1"), ("ticks", "i8"),
        ("lots", "i8"), ("tif", "i1"), ("cancel_ts", "i8"),
    ]
)  # fmt: skip
MS = 1_000_000
LATENCY = 5 * MS
FEWEST = 24
"""Levels a side of a synthetic book, about: more than the paper broker is shown."""
MAX_ALIVE = 48
"""Orders of ours at one time; the paper venue takes 64 a market."""


@dataclass
class Tape:
    """A market and the orders sent to it; a tick is 1 / tick_den, a lot 1 / lot_den."""

    name: str
    rows: np.ndarray
    orders: np.ndarray
    tick_den: int = 100
    lot_den: int = 1

    def save(self, folder: Path) -> Path:
        """Write it where the other environment can read it."""
        file = folder / f"{self.name}.tape.npz"
        np.savez(file, rows=self.rows, orders=self.orders, dens=(self.tick_den, self.lot_den))
        return file


def load(file: Path) -> Tape:
    """Read what `save` wrote."""
    with np.load(file) as parts:
        return Tape(
            file.name.removesuffix(".tape.npz"), parts["rows"], parts["orders"], *parts["dens"].tolist()
        )


Message = tuple[int, int, list[tuple[int, int, int]]]
"""Time, kind, [(side, ticks, lots)]."""


def messages(rows: np.ndarray) -> list[Message]:
    """Put the rows of each message together."""
    found: list[Message] = []
    for ts, kind, side, ticks, lots in rows.tolist():
        if not found or found[-1][0] != ts:
            found.append((ts, kind, []))
        found[-1][2].append((side, ticks, lots))
    return found


# ---------------------------------------------------------------- a synthetic market


@dataclass
class Regime:
    """How a synthetic market behaves.

    Args:
        spread: Ticks between bids and asks at the start.
        reach: Ticks beyond the best at which orders are added.
        lots: Largest order of the market.
        sweep: Chance that a taker takes several levels.
        shift: Chance that makers leave a side and the book moves.
        batch: Actions whose changes come in one message.
        split: Each changed level comes in a message of its own, so that a trade and the change it
            made have others between them.
        size_of_ours: Largest order of ours, but for takers.
    """

    name: str
    spread: int = 1
    reach: int = 6
    lots: int = 20
    sweep: float = 0.2
    shift: float = 0.002
    batch: int = 1
    split: bool = False
    size_of_ours: int = 12


REGIMES = (
    Regime("deep-queues", reach=5, lots=30, sweep=0.05, shift=0.001),
    Regime("thin-and-wide", spread=6, reach=25, lots=6, sweep=0.5, shift=0.004, size_of_ours=8),
    Regime("jumping", spread=2, reach=10, lots=12, sweep=0.3, shift=0.02),
    Regime("batched", reach=8, lots=20, sweep=0.2, shift=0.004, batch=12),
    Regime("split", reach=6, lots=25, sweep=0.3, shift=0.003, batch=4, split=True),
)


@dataclass
class _Crowd:
    """Orders of everybody else, first come first served; tells what a venue would publish."""

    rng: random.Random
    regime: Regime
    levels: dict[int, dict[int, list[list[int]]]] = field(default_factory=lambda: {BUY: {}, SELL: {}})
    prices: dict[int, list[int]] = field(default_factory=lambda: {BUY: [], SELL: []})  # side x ticks
    changed: dict[tuple[int, int], None] = field(default_factory=dict)

    def best(self, side: int) -> int:
        return side * self.prices[side][-1]

    def add(self, side: int, ticks: int, lots: int) -> None:
        if ticks not in self.levels[side]:
            self.levels[side][ticks] = []
            insort(self.prices[side], side * ticks)
        self.levels[side][ticks].append([lots])
        self.changed[side, ticks] = None

    def drop(self, side: int, ticks: int, place: int) -> None:
        queue = self.levels[side][ticks]
        del queue[place]
        if not queue:
            del self.levels[side][ticks]
            self.prices[side].remove(side * ticks)
        self.changed[side, ticks] = None

    def take(self, side: int, lots: int, levels: int) -> list[tuple[int, int, int]]:
        """Let a taker of `side` take up to so many levels; leave some on each side."""
        prints = []
        while lots > 0 and levels > 0 and len(self.prices[-side]) > FEWEST:
            ticks = self.best(-side)
            queue = self.levels[-side][ticks]
            took = min(lots, queue[0][0])
            prints.append((side, ticks, took))
            queue[0][0] -= took
            lots -= took
            self.changed[-side, ticks] = None
            if queue[0][0] == 0:
                self.drop(-side, ticks, 0)
                levels -= ticks not in self.levels[-side]
        return prints

    def act(self) -> list[tuple[int, int, int]]:
        """Do one thing at random; give the trades it made."""
        rng, regime = self.rng, self.regime
        side = rng.choice((BUY, SELL))
        what = rng.random()
        if what < regime.shift:  # makers of one side leave the best levels, those of the other follow
            for _ in range(rng.randint(1, 4)):
                if len(self.prices[side]) > FEWEST:
                    ticks = self.best(side)
                    while ticks in self.levels[side]:
                        self.drop(side, ticks, 0)
            for _ in range(4):
                room = self.best(SELL) - self.best(BUY) - 1
                if room > 0:
                    self.add(
                        -side, self.best(-side) - side * rng.randint(1, room), rng.randint(1, regime.lots)
                    )
            return []
        if what < 0.14:
            levels = rng.randint(2, 3) if rng.random() < regime.sweep else 1
            return self.take(side, rng.randint(1, 2 * regime.lots), levels)
        if what < 0.60 or len(self.prices[side]) <= FEWEST + 4:
            room = min(self.best(SELL) - self.best(BUY) - 1, 2)
            away = min(rng.randint(-room, regime.reach), rng.randint(0, regime.reach))
            self.add(side, self.best(side) - side * away, rng.randint(1, regime.lots))
            return []
        ticks = side * rng.choice(self.prices[side][-regime.reach :])
        queue = self.levels[side][ticks]
        if len(queue) > 1 or ticks != self.best(side) or rng.random() < 0.3:
            self.drop(side, ticks, rng.randrange(len(queue)))
        return []


def synthetic_rows(regime: Regime, actions: int, seed: int) -> np.ndarray:
    """Make the rows of a market of one regime."""
    crowd = _Crowd(random.Random(f"{regime.name}-{seed}"), regime)
    rng = crowd.rng
    for side in (BUY, SELL):
        first = 10_000 + (regime.spread if side == SELL else 0)
        for away in range(40):
            for _ in range(rng.randint(1, 4)):
                crowd.add(side, first - side * away, rng.randint(1, regime.lots))
    rows: list[tuple[int, int, int, int, int]] = []
    ts = 1_700_000_000_000_000_000

    def show(ts: int, split: bool) -> int:
        """Show what changed: bids, then asks; where split, first the levels that are gone."""
        told = [
            (side, ticks, sum(order[0] for order in crowd.levels[side].get(ticks, ())))
            for side, ticks in sorted(crowd.changed, key=lambda key: (-key[0], -key[0] * key[1]))
        ]
        for side, ticks, lots in sorted(told, key=lambda part: part[2] > 0) if split else told:
            rows.append((ts, LEVEL, side, ticks, lots))
            ts += split
        crowd.changed.clear()
        return ts

    show(ts, split=False)
    for action in range(actions):
        ts += rng.randint(1, 4 * MS)
        for side, ticks, lots in crowd.act():
            rows.append((ts, TRADE, side, ticks, lots))
            ts += 1
        if action % regime.batch == 0:
            ts = show(ts, regime.split)
    return np.array(rows, ROW)


# ---------------------------------------------------------------- orders


def schedule(rows: np.ndarray, count: int, seed: int, largest: int, reach: int) -> np.ndarray:
    """Make orders around the touch: most rest at some distance, some take, each ends in time.

    Prices are within `reach` ticks of the best of their side, or across the spread. Some leave in
    the very nanosecond of a message, some so that `LATENCY` later they arrive in that of another.
    """
    rng = random.Random(seed)
    found: list[tuple[int, ...]] = []
    ends: list[int] = []
    book: dict[int, dict[int, int]] = {BUY: {}, SELL: {}}
    told = messages(rows)
    every = max(1, (len(told) - 1) // count)
    life = (told[-1][0] - told[0][0]) * MAX_ALIVE // count  # as long as the orders find room
    for number, (_, kind, parts) in enumerate(told[:-1]):
        if kind == LEVEL:
            for side, ticks, lots in parts:
                if lots:
                    book[side][ticks] = lots
                else:
                    book[side].pop(ticks, None)
        if number == 0 or number % every:
            continue
        at = moment(rng, told, number)
        ends = [end for end in ends if end > at]
        side = rng.choice((BUY, SELL))
        best, against = max(book[BUY]), min(book[SELL])
        if side == SELL:
            best, against = against, best
        tif = rng.choices((GTC, GTX, IOC, FOK), (70, 15, 10, 5))[0]
        takes = tif in (IOC, FOK) or rng.random() < 0.08
        if takes:
            ticks = against + side * rng.randint(-1, 3)
        else:
            far = 3 * reach if rng.random() < 0.1 else reach
            ticks = best - side * min(rng.randint(0, far), rng.randint(-1, far))
        if len(ends) >= MAX_ALIVE:
            continue
        lots = rng.randint(1, 3 * largest if takes and rng.random() < 0.3 else largest)
        cancel = at + 20 * MS + int(rng.expovariate(1.5) * life)
        ends.append(cancel)
        found.append((len(found) + 1, at, side, ticks, lots, tif, cancel))
    return np.array(found, ORDER)


def moment(rng: random.Random, told: list[Message], number: int) -> int:
    """Draw a time from a message up to the next."""
    ts, following = told[number][0], told[number + 1][0]
    if (what := rng.random()) < 0.25:
        return ts
    if what < 0.4:
        later = next((message[0] for message in told[number:] if message[0] >= ts + LATENCY), ts)
        if ts <= later - LATENCY <= following:
            return later - LATENCY
    return rng.randint(ts, following)


def synthetic_tape(regime: Regime, actions: int = 6_000, count: int = 1_000, seed: int = 1) -> Tape:
    """Make a synthetic market and orders for it."""
    rows = synthetic_rows(regime, actions, seed)
    orders = schedule(rows, count, seed, regime.size_of_ours, min(regime.reach, 8))
    return Tape(f"synthetic-{regime.name}", rows, orders)
