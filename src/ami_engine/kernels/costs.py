"""Costs: what the fills of one market captured of the spread, and what was lost or earned after them.

Profit falls into parts that leave nothing out, in account currency:

    profit = spread captured + position pnl + funding - fees
    position pnl = inventory pnl - adverse selection within 60 s

**Bound**: each part is within the ledger's ``4 (n + m + 1) 2**-52 G`` of its exact value, where G
also holds the value of every fill at the mids it is measured against: at the fill, and once a horizon.

In a step `record_cost` comes with the fill, before the event of the step has changed the mid;
`see_mid` comes with the marks. The markouts, in money, stand in `kernels.markouts`.
"""

from dataclasses import dataclass, field

from ami_engine.kernels.book import NAN
from decision_schema.kernel import kernel
from decision_schema.units import Lots, Notional, Price

MAKER = 0
TAKER = 1
UNSAID = 2
N_ROLES = 3


@dataclass(slots=True)
class CostState:
    """The fills of one market, apart by role: MAKER, TAKER, and UNSAID where the broker does not say.

    Args:
        mid: The last valid mid before the settlement; nan = none yet.
        unpriced: Fills that came before any mid.
        fills: Fills booked.
        lots: Lots they traded, bought and sold together.
        value: Lots x price, in account currency.
        fees: Paid for them; negative = rebates.
        captured: Of the spread; see `record_cost`.
    """

    mid: float = NAN
    unpriced: int = 0
    fills: list[int] = field(default_factory=lambda: [0] * N_ROLES)
    lots: list[int] = field(default_factory=lambda: [0] * N_ROLES)
    value: list[float] = field(default_factory=lambda: [0.0] * N_ROLES)
    fees: list[float] = field(default_factory=lambda: [0.0] * N_ROLES)
    captured: list[float] = field(default_factory=lambda: [0.0] * N_ROLES)


@kernel
def see_mid(k: CostState, mid: Price, settled: int) -> None:
    """Keep a mid; nan keeps the last one, and so does a market that has ended.

    >>> k = CostState()
    >>> see_mid(k, 0.5, 0)
    >>> see_mid(k, NAN, 0)
    >>> see_mid(k, 0.9, 1)
    >>> k.mid
    0.5
    """
    if mid == mid and settled == 0:
        k.mid = mid


@kernel
def record_cost(
    k: CostState, role: int, side: int, lots: Lots, amount: float, price: Price, fee: Notional
) -> Price:
    """Count one fill and give the mid that it is measured against: the last one, else its own price.

    Formula: ``captured += side * (mid - price) * amount``, where `amount` is size x multiplier and
    `side` +1 bought, -1 sold. Who takes pays the half spread: a negative capture.

    >>> k = CostState(mid=10.0)
    >>> record_cost(k, MAKER, 1, 2, 2.0, 9.5, -0.25)
    10.0
    >>> k.captured[MAKER], k.fees[MAKER], k.value[MAKER]
    (1.0, -0.25, 19.0)
    """
    mid = k.mid
    if mid != mid:
        mid = price
        k.unpriced += 1
    k.fills[role] += 1
    k.lots[role] += lots
    k.value[role] += price * amount
    k.fees[role] += fee
    k.captured[role] += (mid - price if side > 0 else price - mid) * amount
    return mid


@kernel
def spread_captured(k: CostState) -> Notional:
    """Sum what all fills captured: makers, then takers, then the rest.

    >>> spread_captured(CostState(captured=[3.0, -1.0, 0.5]))
    2.5
    """
    return k.captured[MAKER] + k.captured[TAKER] + k.captured[UNSAID]


@kernel
def position_pnl(realized: Notional, unrealized: Notional, captured: Notional) -> Notional:
    """Give what positions earned as the mid moved: the profit of trading that no fill captured.

    Formula: ``realized + unrealized - captured``. It is the sum of position x move of the mid, and of
    corrections.

    >>> position_pnl(4.0, -1.0, 2.5)
    0.5
    """
    return realized + unrealized - captured


@kernel
def inventory_pnl(position: Notional, adverse: Notional) -> Notional:
    """Give what positions earned beyond the first 60 s after each fill.

    Formula: ``position pnl + adverse selection at 60 s``. It holds all of what has no markout at
    60 s (yet), settlements and corrections.

    >>> inventory_pnl(0.5, 0.75)
    1.25
    """
    return position + adverse
