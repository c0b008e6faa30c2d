"""One-lot orders that rest in a market without touching it: when would each have been filled?

The rule is the same for every market, real or simulated. It is that of `kernels.matching` with the
conservative queue, for one lot and with each probe alone in the market:

- A probe rests behind the size displayed at its price; between two displayed prices nobody is ahead;
  beyond the last displayed one the queue is unknown until the price shows.
- A trade at its price first uses up the queue, then fills it; a trade through its price fills it.
- A displayed size below the queue lowers the queue to it, so cancellations are those behind the probe.
- A best price of the other side at or through its price fills it.

Every fill is at the probe's own price.
"""

from dataclasses import dataclass, field

from ami_engine.kernels.venue import BUY, Venue, VenueSide, displayed_at

DISTANCES = (0, 1, 2, 3, 5, 10, 30, 100)
"""Ticks behind the best price of the own side."""
HORIZONS_S = (10, 60)
LIFE_NS = max(HORIZONS_S) * 1_000_000_000


@dataclass(slots=True)
class Probe:
    """One order: what is ahead of it in lots (nan = unknown), and when it was filled (-1 = not)."""

    side: int
    distance: int
    ticks: int
    placed_ns: int
    ahead: float
    filled_ns: int = -1

    def filled_within(self, life_ns: int) -> bool:
        """Tell whether it was filled within so much time."""
        return 0 <= self.filled_ns <= self.placed_ns + life_ns


@dataclass(slots=True)
class Probes:
    """All probes; those that still rest stand by side and price."""

    every: list[Probe] = field(default_factory=list)
    resting: dict[int, dict[int, list[Probe]]] = field(default_factory=lambda: {1: {}, -1: {}})

    def place(self, now_ns: int, venue: Venue) -> None:
        """Place one probe at each distance on both sides; those that are too old leave."""
        for side, at in self.resting.items():
            for ticks in list(at):
                at[ticks] = [probe for probe in at[ticks] if now_ns - probe.placed_ns <= LIFE_NS]
                if not at[ticks]:
                    del at[ticks]
            levels = _own(venue, side)
            for distance in DISTANCES:
                ticks = levels.ticks[0] - side * distance
                probe = Probe(side, distance, ticks, now_ns, displayed_at(levels, side, ticks))
                self.every.append(probe)
                at.setdefault(ticks, []).append(probe)

    def on_trade(self, now_ns: int, aggressor: int, ticks: int, lots: float) -> None:
        """Let one trade meet the probes of the side that was taken."""
        side = -aggressor
        at = self.resting[side]
        for price in [price for price in at if side * (price - ticks) > 0 and lots >= 1.0]:
            self._fill(now_ns, side, price)
        left = []
        for probe in at.pop(ticks, ()):
            rest = lots - probe.ahead
            if rest >= 1.0:
                probe.filled_ns = now_ns
                continue
            probe.ahead = max(0.0, -rest) if rest == rest else probe.ahead
            left.append(probe)
        if left:
            at[ticks] = left

    def on_book(self, now_ns: int, venue: Venue, changed: dict[int, bool]) -> None:
        """Let a new book meet the probes; `changed` says which side is not as it was."""
        for side, at in self.resting.items():
            own, other = _own(venue, side), _own(venue, -side)
            if changed[-side] and other.n_levels and not other.lots[0] < 1.0:
                for ticks in [ticks for ticks in at if side * (ticks - other.ticks[0]) >= 0]:
                    self._fill(now_ns, side, ticks)
            if changed[side] and own.n_levels:
                self._show(side, dict(zip(own.ticks[: own.n_levels], own.lots, strict=False)))

    def _show(self, side: int, shown: dict[int, float]) -> None:
        """Lower the queues to what is displayed; as `displayed_at`, but of many prices at once."""
        last = min(shown) if side == BUY else max(shown)
        for ticks, probes in self.resting[side].items():
            if side * (ticks - last) < 0:
                continue
            displayed = shown.get(ticks, 0.0)
            if displayed == displayed:
                for probe in probes:
                    probe.ahead = displayed if not probe.ahead <= displayed else probe.ahead

    def _fill(self, now_ns: int, side: int, ticks: int) -> None:
        for probe in self.resting[side].pop(ticks):
            probe.filled_ns = now_ns


def _own(venue: Venue, side: int) -> VenueSide:
    return venue.bids if side == BUY else venue.asks
