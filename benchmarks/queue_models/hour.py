"""The truth: what became of every real order of the LOBSTER hour, and the book around it.

It reads the rows by itself and shares no code with the engine, so that the two can disagree.
"""

import gzip
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = "lobster-aapl-20120621"
MESSAGES = "AAPL_2012-06-21_message_50.csv.gz"
OPENING = "AAPL_2012-06-21_orderbook_50.first672.csv.gz"
MIDNIGHT_NS = 1_340_251_200_000_000_000
"""Midnight in New York."""
BUY, SELL = 1, -1
ADD, REDUCE, DELETE, EXECUTE, HIDDEN = "1", "2", "3", "4", "5"
INSIDE, AT_BEST, NEAR, FAR, DEEPER = "inside", "at the best", "1 to 5 behind", "6 to 20 behind", "deeper"
CENT = 100
"""Prices of the files count 1/10,000 dollar."""
SHOWN = 20
"""Levels a side that the shadow orders are shown."""


@dataclass(frozen=True, slots=True)
class Row:
    """One message; `side` is that of the resting order, `price` in 1/10,000 dollar."""

    ns: int
    kind: str
    order_id: int
    size: int
    price: int
    side: int

    @property
    def traded(self) -> bool:
        """Whether it is an execution."""
        return self.kind in (EXECUTE, HIDDEN)


@dataclass(slots=True)
class RealOrder:
    """A real order and its fate; rows are numbers of messages.

    Args:
        row: Where it was added.
        ns: When.
        behind: Ticks behind the best price of its side just before; negative = better than it.
        ahead: Shares displayed at its price just before: the true queue.
        filled: Shares executed.
        cut: Shares cancelled in part.
        first: Row of the first execution; -1 = none.
        end: Row at which nothing of it was left; -1 = it outlived the file.
        overtaken: An order that came later to its price was executed before it.
    """

    row: int
    ns: int
    order_id: int
    side: int
    price: int
    size: int
    behind: int
    ahead: int
    filled: int = 0
    cut: int = 0
    first: int = -1
    end: int = -1
    overtaken: bool = False

    @property
    def cancelled(self) -> bool:
        """Whether something of it was left when it ended."""
        return self.filled < self.size

    @property
    def where(self) -> str:
        """The class of its place at arrival."""
        if self.behind < 0:
            return INSIDE
        if self.behind == 0:
            return AT_BEST
        if self.behind <= 5:
            return NEAR
        return FAR if self.behind <= 20 else DEEPER


@dataclass(slots=True)
class Side:
    """The displayed levels of a side, and the orders seen at each price in their order of arrival.

    `keys` are sorted, the best first: the price for asks, its negative for bids.
    """

    sign: int
    keys: list[int] = field(default_factory=list)
    sizes: dict[int, int] = field(default_factory=dict)
    queues: dict[int, dict[int, int]] = field(default_factory=lambda: defaultdict(dict))

    def change(self, price: int, by: int) -> None:
        """Add to a level; what is taken from one that is not known is lost."""
        size = self.sizes.get(price, 0) + by
        key = -self.sign * price
        if size > 0:
            if price not in self.sizes:
                insort(self.keys, key)
            self.sizes[price] = size
        elif self.sizes.pop(price, None) is not None:
            del self.keys[bisect_left(self.keys, key)]

    def best(self) -> int:
        """Give the best price."""
        return -self.sign * self.keys[0]

    def worst_shown(self) -> int:
        """Give the last price within the levels that are shown."""
        return -self.sign * self.keys[min(SHOWN, len(self.keys)) - 1]

    def shown(self, hidden: int = 0, at: int = 0) -> list[tuple[float, float]]:
        """Give the levels that are shown, in dollars, without some shares at one price."""
        levels = []
        for key in self.keys[: SHOWN + 1]:
            price = -self.sign * key
            size = self.sizes[price] - (hidden if price == at else 0)
            if size > 0:
                levels.append((price / 10_000, float(size)))
        return levels[:SHOWN]

    def ahead_of(self, order_id: int, price: int) -> int:
        """Give the shares before an order: those of the opening book, then by arrival."""
        queue = self.queues[price]
        ahead = self.sizes.get(price, 0) - sum(queue.values())
        for other, size in queue.items():
            if other == order_id:
                break
            ahead += size
        return ahead


class RealBook:
    """The book as the messages change it."""

    def __init__(self, opening: str) -> None:
        cells = [int(cell) for cell in opening.split(",")]
        self.sides = {BUY: Side(BUY), SELL: Side(SELL)}
        for side, at in ((SELL, 0), (BUY, 2)):
            for price, size in zip(cells[at::4], cells[at + 1 :: 4], strict=True):
                if size > 0:
                    self.sides[side].change(price, size)

    def mid(self) -> float:
        """Give the middle of the best prices."""
        return (self.sides[BUY].best() + self.sides[SELL].best()) / 2

    def apply(self, row: Row) -> None:
        """Let one message change it."""
        if row.kind == HIDDEN:
            return
        side = self.sides[row.side]
        side.change(row.price, row.size if row.kind == ADD else -row.size)
        queue = side.queues[row.price]
        if row.kind == ADD:
            queue[row.order_id] = row.size
        elif row.order_id in queue:
            queue[row.order_id] -= row.size
            if queue[row.order_id] <= 0:
                del queue[row.order_id]


@dataclass
class Hour:
    """All rows, the first row of the opening book, and every order that was added after it.

    `mids` are those after each row, in 1/10,000 dollar.
    """

    rows: list[Row]
    opening: str
    orders: list[RealOrder]
    mids: list[float]


def files(data: Path) -> tuple[Path, Path]:
    """Give the message file and the one that opens the book."""
    return data / FOLDER / MESSAGES, data / FOLDER / OPENING


def read_hour(data: Path, rows: int | None = None) -> Hour:
    """Read the files, or their first rows, and follow every order to its end."""
    messages, book = files(data)
    with gzip.open(book, "rt") as lines:
        opening = next(lines)
    with gzip.open(messages, "rt") as lines:
        read = [_row(line) for _, line in zip(range(rows or 10**9), lines, strict=False)]
    mids: list[float] = []
    return Hour(read, opening, list(_lives(read, opening, mids)), mids)


def _row(line: str) -> Row:
    stamp, kind, order_id, size, price, side = line.split(",")
    whole, _, part = stamp.partition(".")
    ns = MIDNIGHT_NS + int(whole) * 10**9 + int(part.ljust(9, "0")[:9])
    return Row(ns, kind, int(order_id), int(size), int(price), int(side))


def _lives(rows: list[Row], opening: str, mids: list[float]) -> Iterator[RealOrder]:
    """The opening book is the one after the first row, so that order is not followed."""
    book = RealBook(opening)
    mids.append(book.mid())
    living: dict[int, RealOrder] = {}
    for i, row in enumerate(rows[1:], start=1):
        order = living.get(row.order_id)
        if row.kind == ADD:
            own = book.sides[row.side]
            behind = row.side * (own.best() - row.price) // CENT
            ahead = own.sizes.get(row.price, 0)
            order = RealOrder(i, row.ns, row.order_id, row.side, row.price, row.size, behind, ahead)
            living[row.order_id] = order
            yield order
        elif order is not None and row.kind != HIDDEN:
            if row.kind == EXECUTE:
                order.filled += row.size
                order.first = i if order.first < 0 else order.first
                for other in book.sides[row.side].queues[row.price]:
                    if other == row.order_id:
                        break
                    living[other].overtaken = True
            elif row.kind == REDUCE:
                order.cut += row.size
            if row.kind == DELETE or order.filled + order.cut >= order.size:
                order.end = i
                del living[row.order_id]
        book.apply(row)
        mids.append(book.mid())
