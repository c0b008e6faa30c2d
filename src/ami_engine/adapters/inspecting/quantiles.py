"""Quantiles of many numbers in little memory, the same for the same numbers."""

from bisect import bisect_left
from itertools import accumulate

BUFFER = 1_024
"""Numbers of one weight that are kept; up to it the quantiles are exact."""


class Quantiles:
    """Take numbers one by one; give quantiles that are within about 1 % of rank.

    A full buffer is sorted and every second number of it goes to the next one, where each stands for
    two (Manku, Rajagopalan and Lindsay 1998; which half is kept alternates, so that errors cancel).

    >>> quantiles = Quantiles()
    >>> for number in range(100_001):
    ...     quantiles.add(float(number))
    >>> abs(quantiles.at(0.5) - 50_000.0) < 1_000.0, quantiles.least, quantiles.count
    (True, 0.0, 100001)
    """

    def __init__(self) -> None:
        self.count = 0
        self.least = float("inf")
        self._buffers: list[list[float]] = [[]]
        self._odd = [0]

    def add(self, number: float) -> None:
        """Take one number."""
        self.count += 1
        if number < self.least:
            self.least = number
        buffer = self._buffers[0]
        buffer.append(number)
        if len(buffer) == BUFFER:
            self._hand_up(0)

    def _hand_up(self, level: int) -> None:
        buffer = self._buffers[level]
        if level + 1 == len(self._buffers):
            self._buffers.append([])
            self._odd.append(0)
        buffer.sort()
        above = self._buffers[level + 1]
        above += buffer[self._odd[level] :: 2]
        self._odd[level] ^= 1
        buffer.clear()
        if len(above) >= BUFFER:
            self._hand_up(level + 1)

    def at(self, part: float) -> float | None:
        """Give the number below which a part of all lies; None = no number was taken."""
        weighted = sorted(
            (number, 1 << level) for level, buffer in enumerate(self._buffers) for number in buffer
        )
        if not weighted:
            return None
        ranks = list(accumulate(weight for _, weight in weighted))
        return weighted[min(bisect_left(ranks, part * ranks[-1]), len(ranks) - 1)][0]
