"""The ledger: what we hold, what it cost, what it earned; one fold over fills and other entries.

Positions are whole lots. Money is float64 in account currency, by one formula in one order:

    profit = realized + unrealized + funding - fees        equity = initial + transfers + profit

and equity is also cash + the value of all positions. **Bound**: after n entries in m markets each
amount is within ``4 (n + m + 1) 2**-52 G`` of its exact value, and so is the difference of the two
equities; G, the gross turnover, is the sum of the absolute amounts of all entries (initial equity,
trades, fees, funding, transfers, corrections) and of the present values of the positions. Drawdown
and daily profit compare two valuations: twice that, G with the larger values. Lots are exact.

Realised profit is by average cost: reducing a position scales its cost, so what is left keeps its
average price, and what is closed whole leaves exactly 0.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ami_engine.kernels.venue_day import NEVER, VenueDay, next_day_ns
from decision_schema.instruments import Instrument, price_of, unit_loss
from decision_schema.kernel import kernel
from decision_schema.units import Lots, Notional, Price, Size, UnixNs

NAN = math.nan
SCRATCH = 1e-9
"""A close that earns or loses less than this part of its value breaks even (rounding is no loss)."""


@dataclass(slots=True)
class Position:
    """What is held in one market, and what it earned; money in account currency.

    ``lots`` and ``cost`` are signed: a short of 3 lots sold at 10 has lots -3 and cost -30.
    ``mark`` is the last valid mid (nan = none yet), ``mark_ns`` when it was seen, ``last_price``
    that of the last fill. ``unrealized`` is as of the last `value_account`. ``bought_lots``,
    ``sold_lots`` and ``n_fills`` count fills only. ``settled`` is 1 once the market has ended.
    """

    lot_num: int
    lot_den: int
    multiplier: float
    is_binary: int
    lots: int = 0
    cost: float = 0.0
    realized: float = 0.0
    unrealized: float = 0.0
    fees: float = 0.0
    funding: float = 0.0
    mark: float = NAN
    mark_ns: int = 0
    last_price: float = NAN
    n_fills: int = 0
    bought_lots: int = 0
    sold_lots: int = 0
    settled: int = 0


class HasPosition(Protocol):
    """What holds the position of one market: a cell of the state."""

    @property
    def position(self) -> Position:
        """The position."""


@dataclass(slots=True)
class Account:
    """The sums over all markets, in account currency.

    ``unrealized`` and all that follows it is as of the last `value_account`. Drawdown and daily
    profit are differences of ``profit``, which transfers do not touch; ``peak_equity`` and
    ``day_anchor_equity`` show the same levels at the present transfers. ``next_day_ns`` is when the
    next day of the venue begins.
    """

    initial_equity: float
    cash: float
    transfers: float = 0.0
    realized: float = 0.0
    fees: float = 0.0
    funding: float = 0.0
    consecutive_losses: int = 0
    unrealized: float = 0.0
    profit: float = 0.0
    equity: float = 0.0
    peak_profit: float = 0.0
    peak_equity: float = 0.0
    drawdown: float = 0.0
    max_drawdown: float = 0.0
    next_day_ns: int = NEVER
    day_anchor_profit: float = 0.0
    day_anchor_equity: float = 0.0
    daily_pnl: float = 0.0
    day_peak_profit: float = 0.0
    daily_drawdown: float = 0.0
    day: VenueDay = field(default_factory=VenueDay)


def new_position(instrument: Instrument) -> Position:
    """Make the empty position of a market, with the instrument's lot, multiplier and kind.

    >>> new_position(Instrument(lot_size="0.001")).lot_den
    1000
    """
    num, den = instrument.lot
    return Position(num, den, float(instrument.multiplier), 1 if instrument.kind == "binary" else 0)


def new_account(initial_equity: Notional) -> Account:
    """Make an account that holds only cash, in account currency.

    >>> new_account(1000.0).equity
    1000.0
    """
    start = float(initial_equity)
    return Account(start, start, equity=start, peak_equity=start, day_anchor_equity=start)


@kernel
def size_of(p: Position, lots: Lots) -> Size:
    """Give lots in units of base: lots x lot_num / lot_den.

    >>> size_of(Position(1, 100, 1.0, 0), -250)
    -2.5
    """
    return price_of(lots, p.lot_num, p.lot_den)


@kernel
def value_of(p: Position, lots: Lots, price: Price) -> Notional:
    """Give the signed value of lots at a price: size x multiplier x price.

    >>> value_of(Position(1, 10, 5.0, 0), 20, 3.0)
    30.0
    """
    return size_of(p, lots) * p.multiplier * price


@kernel
def position_value(p: Position) -> Notional:
    """Give the value of the open position at its mark, before any mark at its last fill price.

    >>> position_value(Position(1, 1, 1.0, 0, lots=-3, mark=2.0, last_price=9.0))
    -6.0
    >>> position_value(Position(1, 1, 1.0, 0, lots=-3, last_price=9.0))
    -27.0
    """
    if p.lots == 0:
        return 0.0
    return value_of(p, p.lots, p.mark if p.mark == p.mark else p.last_price)


@kernel
def average_price(p: Position) -> Price:
    """Give the average entry price: cost / (size x multiplier); nan when flat.

    >>> average_price(Position(1, 1, 2.0, 0, lots=-3, cost=-30.0))
    5.0
    """
    if p.lots == 0:
        return NAN
    return p.cost / (size_of(p, p.lots) * p.multiplier)


@kernel
def exposure(p: Position) -> Notional:
    """Give the amount at risk now: abs(size) x `unit_loss` at the mark; 0 if flat, nan if unmarked.

    A risk that cannot be known is nan, which guards refuse: the last fill price does not stand in.

    >>> exposure(Position(1, 1, 1.0, 1, lots=-4, mark=0.75))
    1.0
    """
    if p.lots == 0:
        return 0.0
    return size_of(p, abs(p.lots)) * unit_loss(p.is_binary != 0, p.multiplier, p.lots > 0, p.mark)


@kernel
def apply_fill(a: Account, p: Position, side: int, lots: Lots, price: Price, fee: Notional) -> None:
    """Book an execution of `lots` > 0 at `price`, side 1 = buy, -1 = sell; fee > 0 is paid.

    Closes what it can of an opposite position, then opens the rest at `price`. Closing realises
    sign x (value closed) - cost x closed / held. A losing close adds one to the loss streak, a
    winning one ends it. A fill that arrives after the settlement is settled at once.

    >>> a, p = new_account(100.0), Position(1, 1, 1.0, 0)
    >>> apply_fill(a, p, 1, 2, 10.0, 0.5)
    >>> apply_fill(a, p, -1, 3, 12.0, 0.5)
    >>> p.lots, p.cost, a.realized, a.fees, a.cash
    (-1, -12.0, 4.0, 1.0, 115.0)
    """
    a.fees += fee
    p.fees += fee
    a.cash -= fee
    p.n_fills += 1
    if side > 0:
        p.bought_lots += lots
    else:
        p.sold_lots += lots
    _trade(a, p, side, lots, price, 1)


@kernel
def apply_funding(a: Account, p: Position, amount: Notional) -> None:
    """Book a payment for holding the position; amount > 0 is received.

    >>> a, p = new_account(100.0), Position(1, 1, 1.0, 0)
    >>> apply_funding(a, p, -0.25)
    >>> a.funding, a.cash
    (-0.25, 99.75)
    """
    a.funding += amount
    p.funding += amount
    a.cash += amount


@kernel
def apply_settlement(a: Account, p: Position, price: Price) -> None:
    """End the market at `price`: close all at it, keep it as the mark; counts as a close in the streak.

    >>> a, p = new_account(100.0), Position(1, 1, 1.0, 1, lots=-4, cost=-1.0)
    >>> apply_settlement(a, p, 1.0)
    >>> p.lots, p.cost, a.realized, a.consecutive_losses
    (0, 0.0, -3.0, 1)
    """
    p.mark = price
    p.settled = 1
    if p.lots != 0:
        _close(a, p, abs(p.lots), price, 1)


@kernel
def apply_transfer(a: Account, amount: Notional) -> None:
    """Book money paid in (> 0) or out: cash, but no profit, no drawdown.

    >>> a = new_account(100.0)
    >>> apply_transfer(a, -30.0)
    >>> a.cash, a.transfers
    (70.0, -30.0)
    """
    a.transfers += amount
    a.cash += amount


@kernel
def apply_correction(a: Account, p: Position, lots: Lots, price: Price, amount: Notional) -> None:
    """Book a repair: signed `lots` traded at `price` without fee, and `amount` as realised profit.

    It is no fill: neither the counts of fills nor the loss streak change.

    >>> a, p = new_account(100.0), Position(1, 1, 1.0, 0, lots=5, cost=50.0)
    >>> apply_correction(a, p, -1, 9.0, 0.25)
    >>> p.lots, p.cost, a.realized, a.cash
    (4, 40.0, -0.75, 109.25)
    """
    a.realized += amount
    p.realized += amount
    a.cash += amount
    if lots != 0:
        _trade(a, p, 1 if lots > 0 else -1, abs(lots), price, 0)


@kernel
def mark_position(p: Position, mid: Price, now_ns: UnixNs) -> None:
    """Mark a position at a mid; nan keeps the last mark, a settled market keeps its settlement.

    >>> p = Position(1, 1, 1.0, 0)
    >>> mark_position(p, 9.5, 7)
    >>> mark_position(p, NAN, 8)
    >>> p.mark, p.mark_ns
    (9.5, 7)
    """
    if mid == mid and p.settled == 0:
        p.mark = mid
        p.mark_ns = now_ns


@kernel
def value_account(a: Account, cells: Sequence[HasPosition], n_cells: int, now_ns: UnixNs) -> None:
    """Value the positions of the first cells, in order: equity, drawdown and daily profit as of now.

    unrealized = position value - cost. drawdown = the highest profit so far (at least 0) - profit.
    daily_pnl = profit - profit at the last valuation before the present day of the venue (its zone and
    start stand in `a.day`; without them UTC midnight); a clock that runs back over it does not move the
    anchor. daily_drawdown = the highest profit of the day, the anchor's included - profit.

    >>> a, p = new_account(100.0), Position(1, 1, 1.0, 0)
    >>> apply_fill(a, p, 1, 2, 10.0, 0.5)
    >>> mark_position(p, 9.0, 0)
    >>> from types import SimpleNamespace
    >>> value_account(a, [SimpleNamespace(position=p)], 1, 0)
    >>> a.unrealized, a.equity, a.drawdown, a.daily_pnl
    (-2.0, 97.5, 2.5, -2.5)
    """
    if now_ns >= a.next_day_ns:
        a.next_day_ns = next_day_ns(a.day, now_ns)
        a.day_anchor_profit = a.profit
        a.day_peak_profit = a.profit
    unrealized = 0.0
    for i in range(n_cells):
        p = cells[i].position
        p.unrealized = position_value(p) - p.cost
        unrealized += p.unrealized
    a.unrealized = unrealized
    a.profit = a.realized + unrealized + a.funding - a.fees
    a.equity = a.initial_equity + a.transfers + a.profit
    if a.profit > a.peak_profit:
        a.peak_profit = a.profit
    a.drawdown = a.peak_profit - a.profit
    if a.drawdown > a.max_drawdown:
        a.max_drawdown = a.drawdown
    a.peak_equity = a.initial_equity + a.transfers + a.peak_profit
    a.daily_pnl = a.profit - a.day_anchor_profit
    if a.profit > a.day_peak_profit:
        a.day_peak_profit = a.profit
    a.daily_drawdown = a.day_peak_profit - a.profit
    a.day_anchor_equity = a.initial_equity + a.transfers + a.day_anchor_profit


@kernel
def _trade(a: Account, p: Position, side: int, lots: int, price: float, counts: int) -> None:
    """Close against an opposite position, open the rest; `counts` = 1 where closes join the streak."""
    p.last_price = price
    held = p.lots * side
    closed = min(lots, -held) if held < 0 else 0
    if closed > 0:
        _close(a, p, closed, price, counts)
    opened = lots - closed
    if opened > 0:
        value = value_of(p, side * opened, price)
        p.lots += side * opened
        p.cost += value
        a.cash -= value
    if p.settled != 0 and p.lots != 0:
        _close(a, p, abs(p.lots), p.mark, counts)


@kernel
def _close(a: Account, p: Position, lots: int, price: float, counts: int) -> None:
    """Close 0 < lots <= abs(p.lots) at a price."""
    side = 1 if p.lots > 0 else -1
    held = abs(p.lots)
    left = held - lots
    value = value_of(p, side * lots, price)
    # Both parts are scaled, none is a difference: a small rest of a large position stays accurate.
    pnl = value - p.cost * (float(lots) / float(held))
    p.cost = p.cost * (float(left) / float(held)) if left > 0 else 0.0
    p.lots = side * left
    p.realized += pnl
    a.realized += pnl
    a.cash += value
    if counts != 0 and math.fabs(pnl) > SCRATCH * math.fabs(value):
        a.consecutive_losses = a.consecutive_losses + 1 if pnl < 0.0 else 0
