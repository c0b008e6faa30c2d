"""A limit order book with price-time priority, in whole ticks and whole lots.

Each price has a queue of orders, first come, first served. A side keeps its prices sorted with the
best at the end, so that the best is read, and emptied, in constant time. Orders of the simulated
agents have no name; an order of ours carries its slot, and what happens to it is told to `fill_own`.
"""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable

from ami_engine.kernels.venue import BUY, SELL
from decision_schema.units import Lots, Ticks, UnixNs

NOBODY = -1
"""Owner of an order that is not ours."""


class Entry:
    """One order in the book; ``lots`` is what it has open, 0 once it has left."""

    __slots__ = ("lots", "owner", "place", "side", "ticks")

    def __init__(self, side: int, ticks: Ticks, lots: Lots, owner: int) -> None:
        self.side = side
        self.ticks = ticks
        self.lots = lots
        self.owner = owner
        self.place = -1  # in LimitBook.patient


class Level:
    """The queue at one price; ``lots`` is the sum of it, ``own`` our part of the sum."""

    __slots__ = ("lots", "own", "queue")

    def __init__(self) -> None:
        self.lots = 0
        self.own = 0
        self.queue: deque[Entry] = deque()


class BookSide:
    """One side. Its prices are kept as ``sign * ticks``, so that the greatest is the best on both sides."""

    __slots__ = ("keys", "levels", "others", "sign")

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.others: Lots = 0
        """Lots of the side that are not ours."""
        self.keys: list[int] = []
        self.levels: dict[int, Level] = {}

    @property
    def best(self) -> Ticks | None:
        """Best price; None where nobody rests."""
        return self.sign * self.keys[-1] if self.keys else None

    def add(self, entry: Entry) -> None:
        """Put an order at the end of the queue of its price."""
        key = self.sign * entry.ticks
        level = self.levels.get(key)
        if level is None:
            level = self.levels[key] = Level()
            insort(self.keys, key)
        level.queue.append(entry)
        level.lots += entry.lots
        if entry.owner >= 0:
            level.own += entry.lots
        else:
            self.others += entry.lots

    def reduce(self, entry: Entry, lots: Lots) -> None:
        """Take lots off an order; without any left it leaves its queue, and an empty price the side."""
        key = self.sign * entry.ticks
        level = self.levels[key]
        entry.lots -= lots
        level.lots -= lots
        if entry.owner >= 0:
            level.own -= lots
        else:
            self.others -= lots
        if entry.lots > 0:
            return
        queue = level.queue
        if queue[0] is entry:
            queue.popleft()
        else:
            queue.remove(entry)
        if not queue:
            del self.levels[key]
            if self.keys[-1] == key:
                self.keys.pop()
            else:
                del self.keys[bisect_left(self.keys, key)]


class LimitBook:
    """Both sides of a market.

    Args:
        fill_own: Called with an order of ours and what a taker would take of it, at the front of its
            queue; returns what was taken. It must take something or remove the order.

    >>> book = LimitBook(lambda entry, lots: 0)
    >>> for ticks, lots in ((52, 4), (51, 3), (51, 2)):
    ...     _ = book.rest(SELL, ticks, lots)
    >>> book.take(BUY, 52, 6), book.shown(SELL, 5)
    ([(51, 5), (52, 1)], [(52, 3)])
    """

    __slots__ = ("asks", "bids", "fill_own", "now_ns", "patient", "prints")

    def __init__(self, fill_own: Callable[[Entry, Lots], Lots]) -> None:
        self.bids = BookSide(BUY)
        self.asks = BookSide(SELL)
        self.patient: list[Entry] = []
        """Orders that may be drawn for cancellation, in no order."""
        self.now_ns: UnixNs = 0
        self.prints: list[tuple[UnixNs, int, Ticks, Lots]] = []
        """What traded since somebody emptied it: time, side that took, price, size."""
        self.fill_own = fill_own

    def side(self, sign: int) -> BookSide:
        """Give the bids for BUY, the asks for SELL."""
        return self.bids if sign == BUY else self.asks

    def rest(
        self, side: int, ticks: Ticks, lots: Lots, owner: int = NOBODY, *, patient: bool = False
    ) -> Entry:
        """Add an order that takes nothing."""
        entry = Entry(side, ticks, lots, owner)
        self.side(side).add(entry)
        if patient:
            entry.place = len(self.patient)
            self.patient.append(entry)
        return entry

    def leave(self, entry: Entry) -> None:
        """Take an order out of the book; one that has left already stays away."""
        if entry.lots > 0:
            self.reduce(entry, entry.lots)

    def reduce(self, entry: Entry, lots: Lots) -> None:
        """Take lots off a resting order."""
        self.side(entry.side).reduce(entry, lots)
        if entry.lots == 0 and entry.place >= 0:
            last = self.patient.pop()
            if last is not entry:
                self.patient[entry.place] = last
                last.place = entry.place
            entry.place = -1

    def take(self, side: int, limit: Ticks, lots: Lots) -> list[tuple[Ticks, Lots]]:
        """Let an agent take up to a limit; return what traded, price by price."""
        against = self.side(-side)
        keys, levels = against.keys, against.levels
        last = -side * limit
        prints: list[tuple[Ticks, Lots]] = []
        while lots > 0 and keys and keys[-1] >= last:
            key = keys[-1]
            taken = 0
            while lots > taken and key in levels:
                entry = levels[key].queue[0]
                if entry.owner >= 0:
                    taken += self.fill_own(entry, lots - taken)
                else:
                    part = min(entry.lots, lots - taken)
                    taken += part
                    self.reduce(entry, part)
            if taken > 0:
                prints.append((against.sign * key, taken))
                self.prints.append((self.now_ns, side, against.sign * key, taken))
                lots -= taken
        return prints

    def take_as_own(self, side: int, limit: Ticks, lots: Lots) -> list[tuple[Ticks, Lots]]:
        """Let an order of ours take up to a limit, passing our own resting orders."""
        against = self.side(-side)
        last = -side * limit
        prints: list[tuple[Ticks, Lots]] = []
        for key in against.keys[::-1]:
            if lots == 0 or key < last:
                break
            taken = 0
            for entry in tuple(against.levels[key].queue):
                if taken == lots:
                    break
                if entry.owner < 0:
                    part = min(entry.lots, lots - taken)
                    taken += part
                    self.reduce(entry, part)
            if taken > 0:
                prints.append((against.sign * key, taken))
                self.prints.append((self.now_ns, side, against.sign * key, taken))
                lots -= taken
        return prints

    def takeable(self, side: int, limit: Ticks) -> Lots:
        """Give the lots of others that an order of ours could take within its limit."""
        against = self.side(-side)
        last = -side * limit
        total = 0
        for key in reversed(against.keys):
            if key < last:
                break
            level = against.levels[key]
            total += level.lots - level.own
        return total

    def shown(self, sign: int, count: int) -> list[tuple[Ticks, Lots]]:
        """Give up to `count` prices of a side with all that rests there, best first.

        Where our own bids and asks stand at or through each other, which only they can, those that do
        are left out on both sides.
        """
        side, other = self.side(sign), self.side(-sign)
        levels, shown = side.levels, []
        through = -other.keys[-1] if other.keys else None  # as a key of this side
        for key in reversed(side.keys):
            level = levels[key]
            if through is not None and key >= through:
                continue
            shown.append((sign * key, level.lots))
            if len(shown) == count:
                break
        return shown

    def ahead_of(self, entry: Entry) -> Lots:
        """Give the lots of others that stand before an order at its price."""
        ahead = 0
        for other in self.side(entry.side).levels[entry.side * entry.ticks].queue:
            if other is entry:
                break
            if other.owner < 0:
                ahead += other.lots
        return ahead
