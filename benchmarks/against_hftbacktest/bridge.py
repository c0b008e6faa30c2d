"""The rules of hftbacktest 2.4.4 in whole ticks and lots, and each way in which ours differ from them.

With no rule of ours this gives the fills of hftbacktest, with all of them those of PaperBroker.
`RULES` names each difference, in the order in which they are put in; a rule may lean on those
before it.

Of hftbacktest are the rules of its exchanges (an order for itself, met by the whole trade) and of
its queue models: at a change of a level by ``c = before - after - traded``, where c is not below 0,
``front = min(after, front - (1 - p) c + min(back - p c, 0))``; p is the chance that a lot stood behind.
"""

import math
from bisect import insort
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from benchmarks.against_hftbacktest.cases import Case
from benchmarks.against_hftbacktest.market import BUY, FOK, GTC, GTX, LEVEL, MS, SELL, Tape, messages

RULES = {
    "rest": "What a GTC order cannot take stays in the book at its limit. There it is filled at once at its"
    " limit, whatever is displayed.",
    "gone": "What we took of a level is gone until it shows another size. There it can be taken again at"
    " once.",
    "crossed": "A book at or through our price fills up to the size displayed there. There it fills all.",
    "through": "A trade through our price fills up to its size. There it fills all.",
    "back": "The lots behind us are counted after the trades. There before them, which makes too many.",
    "zero": "The queue ahead is never less than nothing. There an estimate can be, and the next trade then"
    " fills more than its size.",
    "floor": "A lot is filled once all of it is reached. There from a half on; what is less stays for the"
    " next trade, what is more is lost.",
    "once": "A lot of a trade goes to the queue or to one of our orders. There to each of our orders.",
    "share": "With nobody ahead or nobody behind no share is estimated, and what is within a millionth of"
    " a whole lot is one. There 0/0 puts us behind all that is displayed.",
    "same": "While a level shows the same size, what has traded there stands against its next fall. There"
    " any message about the level ends that.",
    "first": "A trade that follows a fall of the display at its price within 10 ms made it fall: what the"
    " queue lost by that is given back before the trade is counted. There it is taken off twice.",
    "levels": "20 levels are displayed; beyond them a queue is unknown until its price shows. There every"
    " level is known.",
}
SHOWN_LEVELS = 20
KEPT_LEVELS = 80
"""Levels kept for an order that takes; the book here never lets one go further."""

Levels = list[tuple[int, int]]


class Fill(NamedTuple):
    """Lots of one order filled at one time and price."""

    order: int
    ts: int
    ticks: int
    lots: int


def merge(fills: Iterable[Fill]) -> set[Fill]:
    """Add up the fills of one order at one time and price."""
    lots: dict[tuple[int, int, int], int] = {}
    for fill in fills:
        lots[fill[:3]] = lots.get(fill[:3], 0) + fill.lots
    return {Fill(*key, size) for key, size in lots.items()}


class Step(NamedTuple):
    """A message; of one that changes the book also the best levels after it, by side."""

    ts: int
    kind: int
    parts: list[tuple[int, int, int]]
    best: dict[int, Levels]


def steps_of(rows: np.ndarray) -> list[Step]:
    """Read the rows once, for all the runs over them."""
    book: dict[int, dict[int, int]] = {BUY: {}, SELL: {}}
    best: dict[int, Levels] = {BUY: [], SELL: []}
    steps = []
    for ts, kind, parts in messages(rows):
        if kind == LEVEL:
            for side, ticks, lots in parts:
                book[side][ticks] = lots
                if lots == 0:
                    del book[side][ticks]
            best = dict(best)
            for side in {part[0] for part in parts}:
                best[side] = sorted(book[side].items(), reverse=side == BUY)[:KEPT_LEVELS]
        steps.append(Step(ts, kind, parts, best))
    return steps


@dataclass(slots=True)
class Mine:
    """An order of ours that rests: what is left, ahead of it, last displayed, traded since."""

    id: int
    side: int
    ticks: int
    left: int
    front: float = 0.0
    shown: float = 0.0
    traded: float = 0.0
    fell: float = 0.0
    fell_at: int = 0
    cleared: float = 0.0


def share_of(case: Case) -> Callable[[float, float], float] | None:
    """Give the chance that a cancelled lot stood behind, by (front, back); None = none is estimated."""
    n = case.power
    return {
        "conservative": None,
        "power": lambda front, back: _over(back**n, back**n + front**n),
        "power2": lambda front, back: _over(back**n, (back + front) ** n),
        "power3": lambda front, back: 1.0 - _over(front, front + back) ** n,
        "log": lambda front, back: _over(_log(back), _log(back) + _log(front)),
        "log2": lambda front, back: _over(_log(back), _log(back + front)),
    }[case.queue]


def our_share(case: Case) -> Callable[[float, float], float] | None:
    """Give the same chance as PaperBroker has it, with its arithmetic."""
    share = share_of(case)
    if share is None:
        return None

    def kept(front: float, back: float) -> float:
        if back <= 0.0 or front <= 0.0:
            return 0.0 if back <= 0.0 else 1.0
        if case.queue == "power":
            return 1.0 / (1.0 + math.exp(case.power * (math.log(front) - math.log(back))))
        return min(1.0, max(0.0, share(front, back)))

    return kept


def _over(part: float, whole: float) -> float:
    return part / whole if whole else math.nan if part == 0.0 else math.inf


def _log(lots: float) -> float:
    return math.log(1.0 + lots) if lots > -1.0 else math.nan


class Bridge:
    """A venue by the rules of hftbacktest, with some of ours instead.

    Args:
        case: Queue model and kind of exchange.
        rules: Names of the rules of ours.
    """

    def __init__(self, case: Case, rules: frozenset[str]) -> None:
        self.partial = case.partial
        self.rules = rules
        self.share = our_share(case) if "share" in rules else share_of(case)
        self.book: dict[int, dict[int, int]] = {BUY: {}, SELL: {}}
        self.best: dict[int, Levels] = {BUY: [], SELL: []}
        self.gone: dict[tuple[int, int], int] = {}  # (side, ticks): lots that we took of it
        self.mine: dict[int, Mine] = {}
        self.ranked: dict[int, list[tuple[int, int]]] = {BUY: [], SELL: []}  # (-side * ticks, id)
        self.fills: list[Fill] = []
        self.now = 0

    # ------------------------------------------------------------ the market

    def show(self, step: Step) -> None:
        """Let a new book meet our orders: those that it reaches fill, the others' queues move."""
        for side, ticks, lots in step.parts:
            if self.book[side].get(ticks, 0) != lots:
                self.gone.pop((side, ticks), None)
            if lots:
                self.book[side][ticks] = lots
            else:
                self.book[side].pop(ticks, None)
        self.best = step.best
        everywhere = "levels" in self.rules
        if self.gone and everywhere:  # what is not displayed is forgotten
            shown = {(side, ticks) for side in (BUY, SELL) for ticks, _ in self.best[side][:SHOWN_LEVELS]}
            self.gone = {key: lots for key, lots in self.gone.items() if key in shown}
        changed = {(side, ticks) for side, ticks, _ in step.parts}
        for side in (BUY, SELL):
            for _, number in self.ranked[side][:]:
                order = self.mine[number]
                self._meet_book(order)
                if order.left and (everywhere or (side, order.ticks) in changed):
                    displayed = self.displayed(side, order.ticks)
                    if displayed != order.shown or "same" not in self.rules:
                        self._move_queue(order, displayed)

    def trade(self, aggressor: int, ticks: int, lots: int) -> None:
        """Let a trade meet our orders of the other side, the best first."""
        unused, passed = float(lots), 0.0
        side = -aggressor
        for _, number in self.ranked[side][:]:
            order = self.mine[number]
            better_by = side * (order.ticks - ticks)
            if better_by < 0:
                break
            if "once" not in self.rules:
                unused, passed = float(lots), 0.0
            if better_by > 0:
                order.front = 0.0
                unused -= self._fill(order, order.ticks, unused if "through" in self.rules else math.inf)
                continue
            self._count_trade(order, lots)
            if "floor" not in self.rules:
                order.front -= lots
                reached = math.floor(0.5 - order.front)
                if reached > 0:
                    order.front = 0.0
                    self._fill(order, order.ticks, reached)
            elif order.front == order.front:
                used = max(0.0, min(order.front - passed, unused))
                passed += used
                unused -= used
                order.front = max(0.0, order.front - passed)
                if order.front == 0.0:
                    unused -= self._fill(order, order.ticks, unused)

    def displayed(self, side: int, ticks: int) -> float:
        """Give the size displayed at a price; nan = beyond what is displayed."""
        if "levels" in self.rules:
            best = self.best[side]
            if not best or side * (ticks - best[min(len(best), SHOWN_LEVELS) - 1][0]) < 0:
                return math.nan
        return float(self.book[side].get(ticks, 0) - self.gone.get((side, ticks), 0))

    def reached(self, side: int, limit: int) -> Iterator[tuple[int, int]]:
        """Give the levels of the other side that a limit reaches, the best first."""
        best = self.best[-side]
        for place, (ticks, lots) in enumerate(best):
            if side * (limit - ticks) < 0 or (place == SHOWN_LEVELS and "levels" in self.rules):
                return
            yield ticks, lots - self.gone.get((-side, ticks), 0)
        if len(best) == KEPT_LEVELS:
            raise ValueError("an order reaches further than the levels that are kept")

    # ------------------------------------------------------------ our messages

    def arrive(self, number: int, side: int, limit: int, lots: int, tif: int) -> None:
        """Let an order arrive: it takes, rests or ends."""
        reached = [level for level in self.reached(side, limit) if level[1] >= 1]
        order = Mine(number, side, limit, lots)
        if reached and tif == GTX:
            return
        if reached and not self.partial:
            self._take(order, reached[0][0], math.inf)
        elif tif != FOK or sum(size for _, size in reached) >= lots:
            whole = reached and tif == GTC and "rest" not in self.rules
            for ticks, size in reached:
                if not (whole and side == BUY and ticks == limit):
                    self._take(order, ticks, size)
            if whole:
                self._take(order, limit, math.inf)
        if order.left and tif in (GTC, GTX):
            order.front = order.shown = self.displayed(side, limit)
            self.mine[number] = order
            insort(self.ranked[side], (-side * limit, number))

    def cancel(self, number: int) -> None:
        """Let an order leave, if it is still there."""
        order = self.mine.pop(number, None)
        if order is not None:
            self.ranked[order.side].remove((-order.side * order.ticks, number))

    # ------------------------------------------------------------ what happens to an order

    def _take(self, order: Mine, ticks: int, available: float) -> None:
        lots = self._fill(order, ticks, available)
        if "gone" in self.rules:
            key = (-order.side, ticks)
            self.gone[key] = self.gone.get(key, 0) + lots

    def _meet_book(self, order: Mine) -> None:
        """Fill an order of ours that the new book reaches."""
        against = self.best[-order.side]
        if not against or order.side * (order.ticks - against[0][0]) < 0:
            return
        for ticks, lots in self.reached(order.side, order.ticks):
            if "crossed" not in self.rules:
                self._fill(order, order.ticks, math.inf)
                return
            filled = self._fill(order, order.ticks, lots)
            self.gone[-order.side, ticks] = self.gone.get((-order.side, ticks), 0) + filled
            if order.left == 0:
                return

    def _move_queue(self, order: Mine, displayed: float) -> None:
        """Move the queue ahead of an order of ours to what its price displays now."""
        before, traded = order.shown, order.traded
        cancelled = before - displayed - traded
        order.shown, order.traded = displayed, 0.0
        front = order.front
        self._estimate(order, before, traded, cancelled, displayed)
        if front == front and cancelled > 0.0:
            if self.now - order.fell_at > 10 * MS:
                order.fell = order.cleared = 0.0
            order.fell += cancelled
            order.fell_at = self.now
            order.cleared += front - order.front

    def _count_trade(self, order: Mine, lots: int) -> None:
        """Count a trade at the price of an order of ours."""
        told = 0.0
        if "first" in self.rules and order.fell > 0.0 and self.now - order.fell_at <= 10 * MS:
            told = min(lots, order.fell)
            back = min(told, order.cleared)
            order.fell -= told
            order.cleared -= back
            order.front += back
        order.traded += lots - told

    def _estimate(
        self, order: Mine, before: float, traded: float, cancelled: float, displayed: float
    ) -> None:
        if order.front != order.front:
            order.front = displayed
            return
        if self.share is not None and cancelled >= 0.0 and not ("share" in self.rules and order.front == 0.0):
            back = before - order.front - (traded if "back" in self.rules else 0.0)
            behind = self.share(order.front, back) * cancelled
            if "share" in self.rules:
                order.front -= cancelled - min(max(0.0, back), behind)
            else:
                share = self.share(order.front, back)
                share = 1.0 if math.isinf(share) else share
                order.front += -(1.0 - share) * cancelled + min(back - share * cancelled, 0.0)
                if order.front != order.front:
                    order.front = displayed
            if "zero" in self.rules:
                order.front = max(0.0, order.front)
            if "share" in self.rules and abs(order.front - math.floor(order.front + 0.5)) <= 1e-6:
                order.front = float(math.floor(order.front + 0.5))
        if displayed < order.front:
            order.front = displayed

    def _fill(self, order: Mine, ticks: int, available: float) -> int:
        if not self.partial and available >= 1.0:
            available = math.inf
        lots = order.left if available >= order.left else math.floor(available)
        if lots <= 0:
            return 0
        order.left -= lots
        self.fills.append(Fill(order.id, self.now, ticks, lots))
        if order.left == 0:
            self.cancel(order.id)
        return lots


def run(tape: Tape, steps: list[Step], case: Case, rules: frozenset[str]) -> list[Fill]:
    """Send the orders of a tape through a bridge; a message comes before ours of the same time."""
    venue = Bridge(case, rules)
    at = 0
    for ts, kind, order in arrivals(tape.orders, case):
        at = _let_pass(venue, steps, at, ts)
        venue.now = ts
        if kind == 0:
            venue.arrive(*order)
        else:
            venue.cancel(order[0])
    _let_pass(venue, steps, at, steps[-1].ts)
    return venue.fills


def arrivals(orders: np.ndarray, case: Case) -> list[tuple[int, int, tuple[int, int, int, int, int]]]:
    """Give (time at the venue, 0 = new or 1 = cancel, order) in the order of arrival."""
    sent = []
    for number, ts, side, ticks, lots, tif, cancel_ts in orders.tolist():
        order = (number, side, ticks, lots, tif)
        sent += [(ts, 0, order), (cancel_ts, 1, order)]
    return [(ts + case.entry_ms * MS, kind, order) for ts, kind, order in sorted(sent)]


def _let_pass(venue: Bridge, steps: list[Step], at: int, until: int) -> int:
    while at < len(steps) and steps[at].ts <= until:
        step = steps[at]
        venue.now = step.ts
        if step.kind == LEVEL:
            venue.show(step)
        else:
            venue.trade(*step.parts[0])
        at += 1
    return at
