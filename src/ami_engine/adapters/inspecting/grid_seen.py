"""The grid on which numbers of recorded data lie: a hint for a tick or a lot, never a rule."""

from decimal import Decimal
from math import gcd

UNITS = 1_000_000_000
"""Units in 1: finer steps are not seen."""
_EXACT_BELOW = 4_000_000.0
"""Up to it a float times UNITS is right to the unit; above it, steps of 0.001 are seen."""
_COARSE = 1_000


class GridSeen:
    """Take numbers one by one; `step` is the largest one of which all are multiples.

    >>> grid = GridSeen()
    >>> for price in (61800.2, 61800.3, 61799.9):
    ...     grid.add(price)
    >>> grid.step
    '0.1'
    """

    def __init__(self) -> None:
        self.units = 0
        self.count = 0
        self._last = 0.0

    def add(self, number: float) -> None:
        """Take one number; one that is not finite, or the same as the last, says nothing new."""
        if number == self._last or number - number != 0.0:
            return
        self._last = number
        if -_EXACT_BELOW < number < _EXACT_BELOW:
            units = round(number * UNITS)
        else:
            units = round(number * _COARSE) * (UNITS // _COARSE)
        self.count += 1
        if self.units == 0 or units % self.units:
            self.units = gcd(self.units, units)

    @property
    def step(self) -> str:
        """The step as decimal text; empty = fewer than two numbers were taken, or it is too fine."""
        if self.count < 2 or self.units == 0:
            return ""
        return format((Decimal(self.units) / UNITS).normalize(), "f")
