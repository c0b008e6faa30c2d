"""Compare probes one by one with `kernels.matching`: each is placed there too, alone in its market."""

from dataclasses import dataclass, field

from ami_engine.kernels import matching
from ami_engine.kernels.venue import GTC, Venue
from benchmarks.stylised_facts.cases import cases
from benchmarks.stylised_facts.probes import LIFE_NS, Probe, Probes
from benchmarks.stylised_facts.tape import record

SECONDS = {"BTCUSDT perp": 120, "AAPL": 300, "EURUSD": 6_000, "Betfair NBA": 3_000, "sim equity": 300}
EVERY_S = 15.0


@dataclass(slots=True)
class _Twin:
    probe: Probe
    venue: Venue
    filled_ns: int = -1


@dataclass(slots=True)
class TwinProbes(Probes):
    """Probes, and for each an order of `matching` that meets the same trades and books."""

    twins: list[_Twin] = field(default_factory=list)

    def place(self, now_ns: int, venue: Venue) -> None:
        """Place both."""
        before = len(self.every)
        Probes.place(self, now_ns, venue)
        for probe in self.every[before:]:
            own = Venue()
            _copy(venue, own)
            answer, _ = matching.arrive(own, probe.side, probe.ticks, 1, GTC, True, False)
            if answer == matching.ACCEPTED:
                self.twins.append(_Twin(probe, own))

    def on_trade(self, now_ns: int, aggressor: int, ticks: int, lots: float) -> None:
        """Let a trade meet both."""
        Probes.on_trade(self, now_ns, aggressor, ticks, lots)
        for twin in self._working(now_ns):
            twin.venue.now_ns = now_ns
            matching.on_trade(twin.venue, aggressor, ticks, lots)
            _note(twin, now_ns)

    def on_book(self, now_ns: int, venue: Venue, changed: dict[int, bool]) -> None:
        """Let a book meet both."""
        Probes.on_book(self, now_ns, venue, changed)
        for twin in self._working(now_ns):
            twin.venue.now_ns = now_ns
            _copy(venue, twin.venue)
            matching.apply_book(twin.venue)
            _note(twin, now_ns)

    def _working(self, now_ns: int) -> list[_Twin]:
        return [
            twin for twin in self.twins if twin.filled_ns < 0 and now_ns - twin.probe.placed_ns <= LIFE_NS
        ]


def _note(twin: _Twin, now_ns: int) -> None:
    if twin.venue.n_executions:
        twin.filled_ns = now_ns


def _copy(source: Venue, target: Venue) -> None:
    for shown, own in ((source.bids, target.bids), (source.asks, target.asks)):
        own.n_levels = shown.n_levels
        own.ticks[:] = shown.ticks
        own.lots[:] = shown.lots


def main() -> None:
    """Print how many probes of each market there were, were filled, and differ from their twin."""
    for case in cases("both"):
        if case.name not in SECONDS:
            continue
        probes = TwinProbes()
        record(*case.open(), SECONDS[case.name], EVERY_S, probes)
        filled = sum(twin.probe.filled_within(LIFE_NS) for twin in probes.twins)
        differ = sum(
            twin.filled_ns != (twin.probe.filled_ns if twin.probe.filled_within(LIFE_NS) else -1)
            for twin in probes.twins
        )
        print(f"{case.name}: {len(probes.twins):,} probes, {filled:,} filled, {differ:,} differ")


if __name__ == "__main__":
    main()
