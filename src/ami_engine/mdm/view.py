"""What a model may know of its own account: `View`, and chance that replays: `ModelRng`."""

import msgspec

from ami_engine.kernels.rng import MODEL, normal, stream_key, uniform
from decision_schema.events import Side
from decision_schema.units import DurationMs, Notional, Price, Size


class WorkingOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One own order whose end is not confirmed.

    Args:
        price: Limit; None = takes.
        size: What may still fill.
        status: ``sent``, ``live``, ``canceling`` or ``unknown``.
        age_ms: Time since it was sent.
        queue_ahead: Estimate of the size ahead of it; None = unknown.
    """

    side: Side
    level: int
    price: Price | None
    size: Size
    status: str
    age_ms: DurationMs
    queue_ahead: Size | None


class View(msgspec.Struct, frozen=True, kw_only=True):
    """The account as the model may see it.

    Args:
        position: Signed, in units.
        average_price: Average cost of the open position; None = flat.
        equity: Of the account.
        budget_long: Units that may be bought within `max_abs_inventory`, everything working filled.
        budget_short: The mirror.
        orders: Working orders in this market.
        last_fill_age_ms: None = no fill yet.
    """

    position: Size
    average_price: Price | None
    equity: Notional
    budget_long: Size
    budget_short: Size
    orders: tuple[WorkingOrder, ...]
    last_fill_age_ms: DurationMs | None


class ModelRng:
    """Chance for a model, drawn from (seed, market, step, n): the same in every replay."""

    __slots__ = ("_n", "_word")

    def __init__(self, seed: int, market: int, step: int) -> None:
        self._word = stream_key(seed, MODEL, market, step)
        self._n = 0

    def uniform(self) -> float:
        """Draw from [0, 1)."""
        self._n += 1
        return uniform(self._word, self._n)

    def normal(self) -> float:
        """Draw from the standard normal distribution."""
        self._n += 1
        return normal(self._word, self._n)
