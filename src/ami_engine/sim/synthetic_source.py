"""The simulated market as a source of events."""

from collections.abc import Mapping, Sequence
from typing import Any

from ami_engine.ports import MarketDataSource, RunContext
from ami_engine.sim.microstructure_sim import MicrostructureSim
from decision_schema.errors import ContractError
from decision_schema.instruments import Instrument


class SyntheticSource(MarketDataSource):
    """Yield the first events of a simulated market; opening it again starts it from the beginning.

    Args:
        sim: The market.
        num_events: How many events there are.

    Raises:
        ContractError: `num_events` is no whole number >= 0.

    >>> source = SyntheticSource(MicrostructureSim(mid=0.5, spread=0.01), num_events=1)
    >>> source.next_event()["market_id"], source.next_event()
    ('SIM', None)
    """

    live = False

    def __init__(self, sim: MicrostructureSim, num_events: int = 100) -> None:
        if isinstance(num_events, bool) or not isinstance(num_events, int) or num_events < 0:
            raise ContractError(f"num_events is {num_events!r}: give a whole number >= 0")
        self._sim = sim
        self.venue = sim.venue
        self._num_events = num_events
        self._given = 0

    def open(self, context: RunContext) -> None:
        """Start from the beginning; a simulator without a seed of its own takes the run's."""
        self._sim.reset(context.seed)
        self._given = 0

    def next_event(self) -> Mapping[str, Any] | None:
        """Return the next event of the market, or None after the last."""
        if self._given == self._num_events:
            return None
        self._given += 1
        return self._sim.next_state()

    def instruments(self) -> Sequence[Instrument]:
        """Return the instrument of the simulated market."""
        return (self._sim.instrument,)
