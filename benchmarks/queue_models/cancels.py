"""Where cancelled orders stood: the one thing that the models of the queue assume.

For each whole or partial cancel up to `REACH` ticks behind the best, and each other order waiting
at that price with somebody before it and somebody behind it: was the cancelled one behind?
"""

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from ami_engine.kernels.queue import LOG, POWER, QueueModel, share_behind
from benchmarks.queue_models.hour import CENT, DELETE, REDUCE, Hour, RealBook

REACH = 20
PARTS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Bounds of the part of the other shares that is behind."""
ASSUMED = {f"power {n}": QueueModel(POWER, float(n)) for n in (1, 2, 3, 5)} | {"log": QueueModel(LOG)}


class Seen(NamedTuple):
    """A cancel as a waiting order saw it: shares before it and behind it, and where the cancel was."""

    front: float
    back: float
    behind: bool


def cancels(hour: Hour) -> Iterable[Seen]:
    """Yield each cancel once for each order that waited in the middle of that queue."""
    book = RealBook(hour.opening)
    for row in hour.rows[1:]:
        side = book.sides[row.side]
        queue = side.queues[row.price]
        near = row.side * (side.best() - row.price) <= REACH * CENT
        if row.kind in (REDUCE, DELETE) and near and row.order_id in queue:
            total = side.sizes[row.price]
            front = float(total - sum(queue.values()))  # they were there before the data began
            passed = False
            for other, size in queue.items():
                back = total - front - size
                if other == row.order_id:
                    passed = True  # it stood before all that follow
                elif front > 0 and back > 0:
                    yield Seen(front, back, not passed)
                front += size
        book.apply(row)


def cancels_table(hour: Hour) -> Iterable[str]:
    """Compare how often the cancelled order stood behind with what the models assume."""
    seen = list(cancels(hour))
    yield f"| part of the other shares that is behind | cases | stood behind, % | {' | '.join(ASSUMED)} |"
    yield "|---" + "|---:" * (2 + len(ASSUMED)) + "|"
    for low, high in [*pairwise(PARTS), (0.0, 1.0)]:
        among = [s for s in seen if low < s.back / (s.front + s.back) <= high]
        said = [
            sum(share_behind(model.kind, model.power, 0.0, s.front, s.back) for s in among)
            for model in ASSUMED.values()
        ]
        counts = [100 * count / len(among) for count in (sum(s.behind for s in among), *said)]
        name = f"{100 * low:.0f}-{100 * high:.0f} %" if high - low < 1.0 else "all"
        yield f"| {name} | {len(among):,} | {' | '.join(f'{count:.0f}' for count in counts)} |"
