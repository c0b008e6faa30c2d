"""Instrument: price grid, lots, fees and bounds of one market, and the rounding on them.

Inside the engine prices of orders are whole ticks and sizes whole lots. A tick or a lot is an
exact fraction ``num / den`` taken from its decimal text, so that ``price_of`` gives the float
nearest to the decimal price: 57 ticks of 0.01 are 0.57, not 0.5700000000000001.
"""

import math
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Literal

import msgspec

from decision_schema.errors import ContractError
from decision_schema.kernel import kernel
from decision_schema.units import Lots, Notional, Price, Size, Ticks, UnixNs

GRID_TOLERANCE = 1e-6
"""Prices and sizes within this part of a step take the step."""
FLOAT_TOLERANCE = 2.0**-51
"""... or within this part of themselves: beyond 1e9 steps a float knows its step no better."""
MOST_STEPS = 2.0**61
"""Most steps that rounding gives."""


@kernel
def price_of(ticks: Ticks, num: int, den: int) -> Price:
    """Give the price of a whole number of ticks of ``num / den``.

    >>> price_of(57, 1, 100)
    0.57
    """
    price = float(ticks) * float(num)
    return price if den == 1 else price / float(den)


@kernel
def steps_of(price: Price, num: int, den: int) -> float:
    """Give a price in ticks (or a size in lots) of ``num / den``, fractional where off the grid.

    >>> steps_of(0.5, 1, 100)
    50.0
    """
    steps = price * den
    return steps if num == 1 else steps / num  # to divide by 1 changes nothing and costs most


@kernel
def _tolerance(steps: float) -> float:
    tolerance = GRID_TOLERANCE + FLOAT_TOLERANCE * abs(steps)
    if tolerance > 0.25:
        return 0.25
    return tolerance


@kernel
def _within(steps: float) -> float:
    """Take steps beyond 2**61 for so many: sums of whole ones then fit 64 bits."""
    if steps > MOST_STEPS:
        return MOST_STEPS
    if steps < -MOST_STEPS:
        return -MOST_STEPS
    return steps


@kernel
def floor_steps(value: float, num: int, den: int) -> int:
    """Round to the grid downwards: the price of a buy, the size of any order.

    >>> floor_steps(0.57, 1, 100), floor_steps(0.579, 1, 100)
    (57, 57)
    """
    steps = steps_of(value, num, den)
    return math.floor(_within(steps + _tolerance(steps)))


@kernel
def ceil_steps(value: float, num: int, den: int) -> int:
    """Round to the grid upwards: the price of a sell.

    >>> ceil_steps(0.57, 1, 100), ceil_steps(0.571, 1, 100)
    (57, 58)
    """
    steps = steps_of(value, num, den)
    return math.ceil(_within(steps - _tolerance(steps)))


def parse_step(text: str, field: str) -> tuple[int, int]:
    """Read a decimal step such as ``"0.01"`` as an exact fraction (numerator, denominator).

    Raises:
        ContractError: The text is no positive decimal number, or finer than 1e-12.
    """
    try:
        step = Decimal(text) if isinstance(text, str) else Decimal("NaN")
    except InvalidOperation:
        step = Decimal("NaN")
    if not step.is_finite():
        raise ContractError(f'{field} is {text!r}: give a decimal string such as "0.01"')
    # The bounds come before the fraction, whose size grows with the exponent.
    in_bounds = Decimal("1e-12") <= step <= Decimal("1e12")
    fraction = Fraction(step) if in_bounds else Fraction(0)
    if not in_bounds or fraction.denominator > 10**12 or fraction.numerator > 10**12:
        raise ContractError(f"{field} is {text!r}: give a step between 1e-12 and 1e12")
    return fraction.numerator, fraction.denominator


@kernel
def unit_loss(is_binary: bool, multiplier: float, long: bool, price: Price) -> Notional:
    """Give the amount at risk of one unit of size at a price; nan where the price is nan.

    Linear: multiplier x abs(price), either side. Binary: long multiplier x price, short multiplier x
    (1 - price), the most that can be lost when it settles at 0 or 1.

    >>> (
    ...     unit_loss(False, 10.0, False, 3.0),
    ...     unit_loss(True, 1.0, True, 0.25),
    ...     unit_loss(True, 1.0, False, 0.25),
    ... )
    (30.0, 0.25, 0.75)
    """
    if is_binary and not long:
        loss = 1.0 - price
        return 0.0 if loss < 0.0 else multiplier * loss
    return multiplier * abs(price)


class Instrument(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one market trades, from the venue's rules; never inferred from data.

    Args:
        market_id: Name of the market in events and orders.
        kind: ``linear`` (worth q x price x multiplier) or ``binary`` (settles at 0 or 1).
        base: What is traded.
        quote: Currency of the price.
        settle: Currency of profit and loss; empty = quote.
        tick_size: Price step as a decimal string.
        lot_size: Size step as a decimal string.
        min_size: Least size of an order, in units of base.
        min_notional: Least value of an order, in quote currency.
        multiplier: Units of base in one unit of size.
        price_min: Prices must be above it (binary and default: 0).
        price_max: Prices must not be above it.
        maker_fee: Fee of a resting fill; negative = rebate.
        taker_fee: Fee of a taking fill.
        fee_per: What fees are counted by: ``value`` (0.001 = 10 bps of it) or ``unit`` of size
            (0.003 = 0.3 cents a share or contract).
        short: ``yes``, ``no``, or ``complement`` (a sale beyond the position buys the other outcome).
        expiry_ns: Time of expiry; None = none.

    Raises:
        ContractError: A step, fee or bound makes no sense.

    >>> Instrument(market_id="BTC", tick_size="0.1").price(605_001)
    60500.1
    """

    market_id: str = ""
    kind: Literal["linear", "binary"] = "linear"
    base: str = ""
    quote: str = ""
    settle: str = ""
    tick_size: str = "0.01"
    lot_size: str = "0.000001"
    min_size: Size = 0.0
    min_notional: Notional = 0.0
    multiplier: float = 1.0
    price_min: Price = 0.0
    price_max: Price = math.inf
    maker_fee: float = 0.0
    taker_fee: float = 0.0
    fee_per: Literal["value", "unit"] = "value"
    short: Literal["yes", "no", "complement"] = "yes"
    expiry_ns: UnixNs | None = None

    def __post_init__(self) -> None:
        """Check bounds, also when made in code."""
        parse_step(self.tick_size, "tick_size")
        parse_step(self.lot_size, "lot_size")
        if self.kind not in ("linear", "binary"):
            raise ContractError(f"kind is {self.kind!r}: give linear or binary")
        if self.short not in ("yes", "no", "complement"):
            raise ContractError(f"short is {self.short!r}: give yes, no or complement")
        if self.fee_per not in ("value", "unit"):
            raise ContractError(f"fee_per is {self.fee_per!r}: give value or unit")
        for name in ("min_size", "min_notional"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ContractError(f"{name} is {getattr(self, name)}: give a finite number >= 0")
        for name in ("maker_fee", "taker_fee"):
            fee = getattr(self, name)
            if self.fee_per == "value" and not abs(fee) < 1.0:
                raise ContractError(f"{name} is {fee}: give a part of the value, 0.001 = 10 bps")
            if not abs(fee) < math.inf:
                raise ContractError(f"{name} is {fee}: give a finite number")
        if not 0.0 < self.multiplier < math.inf:
            raise ContractError(f"multiplier is {self.multiplier}: give a finite number > 0")
        if self.kind == "binary":
            msgspec.structs.force_setattr(self, "price_min", max(self.price_min, 0.0))
            msgspec.structs.force_setattr(self, "price_max", min(self.price_max, 1.0))
        if not self.price_min < self.price_max:
            raise ContractError(f"price_min {self.price_min} is not below price_max {self.price_max}")

    @property
    def tick(self) -> tuple[int, int]:
        """The tick as numerator and denominator."""
        return parse_step(self.tick_size, "tick_size")

    @property
    def lot(self) -> tuple[int, int]:
        """The lot as numerator and denominator."""
        return parse_step(self.lot_size, "lot_size")

    @property
    def min_lots(self) -> Lots:
        """Least size of an order in lots, at least one."""
        return max(1, ceil_steps(self.min_size, *self.lot))

    def price(self, ticks: Ticks) -> Price:
        """Give the price of a whole number of ticks."""
        return price_of(ticks, *self.tick)

    def size(self, lots: Lots) -> Size:
        """Give the size of a whole number of lots."""
        return price_of(lots, *self.lot)

    def lots(self, size: Size) -> Lots:
        """Round a size down to whole lots."""
        return floor_steps(size, *self.lot)


DEFAULT_INSTRUMENT = Instrument()
"""What a market is taken for when neither source nor config says: linear, tick 0.01, lot 1e-6, no fees."""
