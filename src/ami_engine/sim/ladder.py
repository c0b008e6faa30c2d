"""One side of a simulated book: consecutive ticks from the best outwards, with persistent sizes."""

from ami_engine.kernels import rng
from decision_schema.units import Lots, Ticks

ARRIVE = 0.3
"""Probability that a level grows in an event; the mean growth keeps its mean size."""
CANCEL = 0.3
"""Probability that a level shrinks in an event, by up to CANCEL_PART of it."""
CANCEL_PART = 0.4
NEW_BEST = 0.4
"""Mean size of a newly quoted best price, as a part of the mean size."""


class Ladder:
    """The displayed levels of a side.

    Args:
        sign: 1 for bids, -1 for asks.
        best: Best price in ticks.
        last: Price in ticks that no level may pass.
    """

    def __init__(self, sign: int, best: Ticks, last: Ticks) -> None:
        self.sign = sign
        self.best = best
        self.last = last
        self.lots: list[Lots] = []

    def shown(self) -> list[tuple[Ticks, Lots]]:
        """Return (ticks, lots), best first."""
        return [(self.best - self.sign * i, lots) for i, lots in enumerate(self.lots)]

    def take(self, lots: Lots) -> list[tuple[Ticks, Lots]]:
        """Take up to `lots` from the best price outwards, and all but the last lot; return the prints.

        >>> ladder = Ladder(1, 50, 1)
        >>> ladder.lots = [3, 9]
        >>> ladder.take(5), ladder.best, ladder.lots
        ([(50, 3), (49, 2)], 49, [7])
        """
        left = min(lots, sum(self.lots) - 1)
        prints = []
        while left > 0:
            part = min(left, self.lots[0])
            prints.append((self.best, part))
            left -= part
            self.lots[0] -= part
            if self.lots[0] == 0:
                del self.lots[0]
                self.best -= self.sign
        return prints

    def move(self, best: Ticks) -> None:
        """Make `best` the best price; prices ahead of the old one get no size yet.

        >>> ladder = Ladder(1, 50, 1)
        >>> ladder.lots = [3, 9]
        >>> ladder.move(51)
        >>> ladder.lots
        [0, 3, 9]
        """
        better_by = self.sign * (best - self.best)
        self.best = best
        if better_by > 0:
            self.lots = [0] * better_by + self.lots
        else:
            del self.lots[:-better_by]

    def change(self, word: int, side: int, levels: int, mean_lots: float) -> None:
        """Let one event's arrivals and cancellations happen; then `levels` levels have a size.

        Args:
            word: Stream key of the event.
            side: 0 or 1, so that the two sides draw their own numbers.
            levels: How many to show, fewer where the bound is near.
            mean_lots: Mean size of a level.
        """
        count = min(levels, self.sign * (self.best - self.last) + 1)
        known = len(self.lots)
        arrival = CANCEL * 0.5 * CANCEL_PART * mean_lots / ARRIVE
        del self.lots[count:]
        for i in range(count):
            u = rng.uniform(word, 2 * i + side)
            if i >= known:
                self.lots.append(rng.geometric_of(u, mean_lots))
            elif self.lots[i] == 0:
                self.lots[i] = rng.geometric_of(u, NEW_BEST * mean_lots)
            elif u < CANCEL:
                self.lots[i] -= int(u / CANCEL * CANCEL_PART * self.lots[i])
            elif u >= 1.0 - ARRIVE:
                self.lots[i] += rng.geometric_of((u - 1.0 + ARRIVE) / ARRIVE, arrival)
