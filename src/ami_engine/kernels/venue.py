"""The records of one market at the paper venue, and the market's side of it in ticks and lots.

Prices are whole ticks, our sizes whole lots; sizes of the market are lots as floats, nan where
unknown. What happens between the two is in `matching`.
"""

import math
from dataclasses import dataclass, field

from ami_engine.kernels.queue import QueueModel
from decision_schema.events import MAX_LEVELS
from decision_schema.instruments import GRID_TOLERANCE, Instrument, ceil_steps, floor_steps, steps_of
from decision_schema.kernel import kernel

NAN = math.nan
MAX_VENUE_ORDERS = 64
"""Working orders of ours a market."""
MAX_EXECUTIONS = MAX_LEVELS + 2 * MAX_VENUE_ORDERS
"""One call fills at most once a level and once an order, and cancels each order at most once."""
MAX_LOTS = 1 << 53
"""Sizes stay below it, so that lots are exact as floats."""
ANY_PRICE = 1 << 62
"""Limit of a buy without one; a sell has its negative."""

BUY, SELL = 1, -1  # sides of orders and trades
GTC, IOC, FOK = 0, 1, 2  # times in force
FREE, WORKING, FILLED, CANCELED = 0, 1, 2, 3  # states of an order
FILL, CANCEL = 1, 2  # kinds of an execution


@dataclass(slots=True)
class VenueOrder:
    """One order of ours; its slot may be used again once it works no more.

    ``lots`` is what is still open, ``filled`` what was filled, ``queue_ahead`` the lots of the
    market that come before us at our price (nan = unknown). ``shown`` is what was displayed there
    when last seen (nan = not displayed), ``traded`` what has traded there since, as far as no fall
    of the display before it explains it: ``fell`` is how far that has fallen since ``fell_ns``, and
    ``cleared`` what it took off the queue. Orders of others with a number up to ``number`` were there
    before us. ``share`` is what a queue function of the user's said of cancellations; nan = nothing.
    """

    state: int = FREE
    side: int = BUY
    ticks: int = 0
    lots: int = 0
    filled: int = 0
    queue_ahead: float = NAN
    shown: float = NAN
    traded: float = 0.0
    fell: float = 0.0
    fell_ns: int = 0
    cleared: float = 0.0
    number: int = 0
    reduce_only: bool = False
    share: float = NAN


@dataclass(slots=True)
class Execution:
    """What happened to an order of ours: a FILL, or a CANCEL that the venue did by itself.

    ``open_lots`` is what the order has open after it.
    """

    kind: int = FILL
    slot: int = 0
    ticks: int = 0
    lots: int = 0
    open_lots: int = 0
    maker: bool = False
    fee: float = 0.0
    ts_ns: int = 0


@dataclass(slots=True)
class VenueSide:
    """One side: the displayed levels, best first, and the slots of our working orders by rank.

    ``shown`` is what a level displays, ``lots`` what is left of it for us; ``taken`` = 1 where they
    may differ. ``was_…`` is where `load_side` keeps the levels before.
    """

    n_levels: int = 0
    ticks: list[int] = field(default_factory=lambda: [0] * MAX_LEVELS)
    shown: list[float] = field(default_factory=lambda: [NAN] * MAX_LEVELS)
    lots: list[float] = field(default_factory=lambda: [NAN] * MAX_LEVELS)
    taken: int = 0
    n_orders: int = 0
    ranked: list[int] = field(default_factory=lambda: [0] * MAX_VENUE_ORDERS)
    was_ticks: list[int] = field(default_factory=lambda: [0] * MAX_LEVELS)
    was_shown: list[float] = field(default_factory=lambda: [NAN] * MAX_LEVELS)
    was_lots: list[float] = field(default_factory=lambda: [NAN] * MAX_LEVELS)


@dataclass(slots=True)
class Venue:
    """One market at the venue. Whoever calls a function below reads ``executions`` and zeroes the count.

    ``now_ns`` is the venue's time, ``partial_fills`` = False fills an order whole or not at all,
    ``by_order`` = 1 where the data tell each order of the market, ``public_orders`` how many of
    them there have been, ``executions_told`` = 1 once executions were told by them.
    """

    tick_num: int = 1
    tick_den: int = 100
    lot_num: int = 1
    lot_den: int = 1
    multiplier: float = 1.0
    maker_fee: float = 0.0
    taker_fee: float = 0.0
    fee_per_unit: bool = False
    can_short: bool = True
    queue: QueueModel = field(default_factory=QueueModel)
    partial_fills: bool = True
    now_ns: int = 0
    by_order: int = 0
    public_orders: int = 0
    executions_told: int = 0
    position: int = 0
    bids: VenueSide = field(default_factory=VenueSide)
    asks: VenueSide = field(default_factory=VenueSide)
    orders: list[VenueOrder] = field(default_factory=lambda: [VenueOrder() for _ in range(MAX_VENUE_ORDERS)])
    n_executions: int = 0
    executions: list[Execution] = field(default_factory=lambda: [Execution() for _ in range(MAX_EXECUTIONS)])


def venue_for(
    instrument: Instrument, queue: QueueModel | None = None, *, partial_fills: bool = True
) -> Venue:
    """Make the empty venue of an instrument; without a queue model it is the conservative one.

    >>> venue_for(Instrument(tick_size="0.5", taker_fee=0.001)).taker_fee
    0.001
    """
    tick_num, tick_den = instrument.tick
    lot_num, lot_den = instrument.lot
    return Venue(
        tick_num=tick_num,
        tick_den=tick_den,
        lot_num=lot_num,
        lot_den=lot_den,
        multiplier=instrument.multiplier,
        maker_fee=instrument.maker_fee,
        taker_fee=instrument.taker_fee,
        fee_per_unit=instrument.fee_per == "unit",
        can_short=instrument.short != "no",
        queue=queue or QueueModel(),
        partial_fills=partial_fills,
    )


@kernel
def market_lots(size: float, lot_num: int, lot_den: int) -> float:
    """Give a size of the market in lots; within tolerance of a whole number it is that number.

    >>> market_lots(0.7, 1, 10), market_lots(0.25, 1, 10)
    (7.0, 2.5)
    """
    lots = steps_of(size, lot_num, lot_den)
    if lots != lots or lots >= float(MAX_LOTS):
        return lots
    nearest = float(math.floor(lots + 0.5))
    return nearest if abs(lots - nearest) <= GRID_TOLERANCE else lots


@kernel
def aggressor_by_quote(price: float, mid: float) -> int:
    """Say who took, by the quote test: BUY above the mid before the trade, SELL below, else 0.

    Source: Lee, Ready, "Inferring trade direction from intraday data", 1991.

    >>> aggressor_by_quote(0.51, 0.5), aggressor_by_quote(0.5, 0.5)
    (1, 0)
    """
    if price > mid:
        return BUY
    if price < mid:
        return SELL
    return 0


@kernel
def level_ticks(price: float, side: int, tick_num: int, tick_den: int) -> int:
    """Give a displayed price in ticks; off the grid, bids go down, asks up; at most MAX_LOTS of them.

    >>> level_ticks(0.4955, BUY, 1, 100), level_ticks(0.4955, SELL, 1, 100)
    (49, 50)
    """
    steps = steps_of(price, tick_num, tick_den)
    if not abs(steps) < float(MAX_LOTS):
        return MAX_LOTS if steps > 0.0 else -MAX_LOTS
    if side == BUY:
        return floor_steps(price, tick_num, tick_den)
    return ceil_steps(price, tick_num, tick_den)


@kernel
def trade_ticks(price: float, aggressor: int, tick_num: int, tick_den: int) -> int:
    """Give a traded price in ticks; off the grid, towards the side that was not taken.

    So a trade between two ticks counts as at our price, not through it.

    >>> trade_ticks(0.4955, SELL, 1, 100), trade_ticks(0.4955, BUY, 1, 100)
    (50, 49)
    """
    return level_ticks(price, aggressor, tick_num, tick_den)


@kernel
def nearest_ticks(price: float, tick_num: int, tick_den: int) -> int:
    """Give the nearest whole tick of a price that others have an order at.

    >>> nearest_ticks(0.57, 1, 100)
    57
    """
    steps = steps_of(price, tick_num, tick_den) + 0.5
    if not abs(steps) < float(MAX_LOTS):
        return MAX_LOTS if steps > 0.0 else -MAX_LOTS
    return math.floor(steps)


@kernel
def load_side(venue: Venue, side: int, count: int, prices: list[float], sizes: list[float]) -> None:
    """Replace the displayed levels of a side; bids off the grid go down, asks up.

    What we took of a level stays gone while it shows the same size (condition 3). Call `apply_book`
    after the sides that the market showed anew.
    """
    levels = venue.bids if side == BUY else venue.asks
    n_before = 0
    if levels.taken == 1:
        n_before = levels.n_levels
        for i in range(n_before):
            levels.was_ticks[i] = levels.ticks[i]
            levels.was_shown[i] = levels.shown[i]
            levels.was_lots[i] = levels.lots[i]
    n = 0
    for i in range(count):
        ticks = level_ticks(prices[i], side, venue.tick_num, venue.tick_den)
        lots = market_lots(sizes[i], venue.lot_num, venue.lot_den)
        if n > 0 and levels.ticks[n - 1] == ticks:
            levels.shown[n - 1] += lots
        else:
            levels.ticks[n] = ticks
            levels.shown[n] = lots
            n += 1
    levels.n_levels = n
    levels.taken = 0
    k = 0
    for i in range(n):
        levels.lots[i] = levels.shown[i]
        while k < n_before and side * (levels.was_ticks[k] - levels.ticks[i]) > 0:
            k += 1
        if k < n_before and levels.was_ticks[k] == levels.ticks[i] and levels.was_shown[k] == levels.shown[i]:
            levels.lots[i] = levels.was_lots[k]
            if levels.was_lots[k] != levels.was_shown[k]:
                levels.taken = 1


@kernel
def displayed_at(levels: VenueSide, side: int, ticks: int) -> float:
    """Give the lots displayed at a price: 0 ahead of or between the levels, nan beyond the last.

    Less what we took of it, which is not before us any more.

    >>> bids = VenueSide(n_levels=2, ticks=[50, 48], lots=[7.0, 9.0])
    >>> [displayed_at(bids, BUY, ticks) for ticks in (51, 50, 49, 48, 47)]
    [0.0, 7.0, 0.0, 9.0, nan]
    """
    for i in range(levels.n_levels):
        if levels.ticks[i] == ticks:
            return levels.lots[i]
        if side * (ticks - levels.ticks[i]) > 0:
            return 0.0
    return NAN
