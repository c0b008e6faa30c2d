"""An order put on the grid of its market: what the venue accepts, in ticks and lots."""

from typing import NamedTuple

from ami_engine.kernels.venue import ANY_PRICE, BUY, FOK, GTC, IOC, MAX_LOTS, SELL
from ami_engine.ports import OrderTerms
from decision_schema.events import Order
from decision_schema.instruments import GRID_TOLERANCE, Instrument, price_of, steps_of
from decision_schema.units import Lots, Price, Size, Ticks

_SIDES = {"buy": BUY, "sell": SELL}
_TIMES_IN_FORCE = {"GTC": GTC, "IOC": IOC, "FOK": FOK}


class Grid(NamedTuple):
    """Tick and lot of an instrument as fractions, and its least order: its texts are read once."""

    tick_num: int
    tick_den: int
    lot_num: int
    lot_den: int
    min_lots: Lots

    def price(self, ticks: Ticks) -> Price:
        """Give a price of whole ticks."""
        return price_of(ticks, self.tick_num, self.tick_den)

    def size(self, lots: Lots) -> Size:
        """Give a size of whole lots."""
        return price_of(lots, self.lot_num, self.lot_den)


def grid_of(instrument: Instrument) -> Grid:
    """Read the grid of an instrument.

    >>> grid_of(Instrument(tick_size="0.5")).price(3)
    1.5
    """
    return Grid(*instrument.tick, *instrument.lot, instrument.min_lots)


def read_terms(order: Order, instrument: Instrument, grid: Grid) -> OrderTerms | str:
    """Put an order on the grid of its market, or say why the venue refuses it.

    >>> cents = Instrument(market_id="M", tick_size="0.01", lot_size="1")
    >>> buy = Order(client_order_id="A", market_id="M", side="buy", price=0.49, size=2.0)
    >>> read_terms(buy, cents, grid_of(cents)).limit
    49
    >>> read_terms(buy, cents, grid_of(cents)._replace(min_lots=3))
    'below_min_size'
    """
    side = _SIDES.get(order.side, 0)
    if side == 0:
        return "invalid_side"
    if order.time_in_force not in _TIMES_IN_FORCE:
        return "invalid_time_in_force"
    lots = steps_on_grid(order.size, grid.lot_num, grid.lot_den)
    if lots is None:
        return "off_grid_size"
    if lots < grid.min_lots:
        return "below_min_size"
    limit = side * ANY_PRICE
    if order.price is not None:
        ticks = steps_on_grid(order.price, grid.tick_num, grid.tick_den)
        if ticks is None:
            return "off_grid_price"
        if not instrument.price_min < order.price <= instrument.price_max:
            return "price_out_of_bounds"
        value = order.price * order.size * instrument.multiplier
        if value < instrument.min_notional and not order.reduce_only:
            return "below_min_notional"
        limit = ticks
    time_in_force = _TIMES_IN_FORCE[order.time_in_force]
    return OrderTerms(side, limit, lots, time_in_force, order.post_only, order.reduce_only)


def steps_on_grid(value: float, num: int, den: int) -> int | None:
    """Give a value in whole steps of ``num / den``; None if it is no whole number of them.

    >>> steps_on_grid(0.57, 1, 100), steps_on_grid(0.575, 1, 100), steps_on_grid(float("nan"), 1, 100)
    (57, None, None)
    """
    steps = steps_of(value, num, den)
    if not abs(steps) < MAX_LOTS:
        return None
    nearest = round(steps)
    return nearest if abs(steps - nearest) <= GRID_TOLERANCE else None
