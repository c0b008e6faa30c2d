"""What is behind the prices, and knows nothing of them: fair value, how much is going on, asked spread.

It moves on a grid of time by draws of its own, so our orders never change it, and neither does how
often the market is shown. Volatility and activity rise and fall together (Clark 1973: both follow the
flow of news); now and then there is news, and the fair value jumps.
"""

import math

from ami_engine.kernels import rng
from ami_engine.sim.presets import Preset

GRID_MS = 100
"""Time between moves in milliseconds."""
DRAWS = 8
"""Draws reserved for each."""
MAX_LOG = 3.0
"""The logarithms below stay within it, in standard deviations."""


class FairValue:
    """The fair value in ticks.

    Args:
        preset: Of the market.
        start: Where it begins and is drawn back to, in ticks.
        spread: In ticks.
        low: Least value, in ticks.
        high: Greatest value, in ticks.
        width: Of the price range where it has two ends, in ticks, else 0; near the ends it moves less.
    """

    __slots__ = (
        "_chance", "_home", "_jump", "_jump_part", "_n", "_sigma", "_spread_keep", "_spread_noise",
        "_spread_sigma", "_spread_z", "_start", "_unit", "_vol_keep", "_vol_noise", "_vol_sigma", "_vol_z",
        "_width", "activity", "high", "low", "spread_factor", "ticks",
    )  # fmt: skip

    def __init__(
        self, preset: Preset, start: float, spread: float, low: float, high: float, width: float
    ) -> None:
        step_s = GRID_MS / 1_000
        self._start, self.low, self.high, self._width = start, low, high, width
        self._unit = start * (width - start) if width else 1.0
        self._home = 1.0 - math.exp(-step_s / preset.home_s)
        usual = (
            preset.volatility * spread * math.exp(-0.5 * preset.vol_sigma**2)
        )  # activity squares to more than 1
        self._sigma = usual * math.sqrt(step_s)
        self._jump = preset.jump * usual
        self._jump_part = 1.0 - math.exp(-step_s / preset.jump_s)
        self._vol_sigma = preset.vol_sigma
        self._vol_keep = math.exp(-step_s / preset.vol_s)
        self._vol_noise = math.sqrt(1.0 - self._vol_keep**2)
        self._spread_sigma = preset.spread_sigma
        self._spread_keep = math.exp(-step_s / preset.spread_s)
        self._spread_noise = math.sqrt(1.0 - self._spread_keep**2)
        self.reset(0)

    def reset(self, chance: int) -> None:
        """Go back to the start; `chance` is the stream key of its draws."""
        self._chance = chance
        self._n = 0
        self.ticks = self._start
        self._vol_z = self._spread_z = 0.0
        self._set_factors()

    def _set_factors(self) -> None:
        """Turn the two standard normal numbers into factors with mean 1."""
        sigma = self._vol_sigma
        self.activity = math.exp(sigma * self._vol_z - 0.5 * sigma * sigma)
        sigma = self._spread_sigma
        self.spread_factor = math.exp(sigma * self._spread_z - 0.5 * sigma * sigma)

    def step(self) -> None:
        """Move on by GRID_MS."""
        word, n = self._chance, self._n * DRAWS
        self._n += 1
        move = self._sigma * self.activity * rng.normal(word, n)
        if rng.uniform(word, n + 1) < self._jump_part:
            move += self._jump * self.activity * rng.normal(word, n + 2)
        ticks = self.ticks
        if self._width:
            move *= ticks * (self._width - ticks) / self._unit
        ticks += move + self._home * (self._start - ticks)
        self.ticks = min(self.high, max(self.low, ticks))
        z = self._vol_keep * self._vol_z + self._vol_noise * rng.normal(word, n + 3)
        self._vol_z = min(MAX_LOG, max(-MAX_LOG, z))
        z = self._spread_keep * self._spread_z + self._spread_noise * rng.normal(word, n + 4)
        self._spread_z = min(MAX_LOG, max(-MAX_LOG, z))
        self._set_factors()
