"""What a batch run writes of each step: one short row a decision, a fill, a message."""

import math
from dataclasses import dataclass, field

NAN = math.nan
DECISIONS = 8_200
"""Decisions that the loop writes before they are taken away: no power of two, else the cells of all columns
of a row fall on one place of the cache and drive each other out."""


@dataclass(slots=True)
class DecisionRow:
    """One step.

    Args:
        kind: MARKET or TIMER of inputs.py.
        bad: Reason code of an input that changed no state; 0 = it was admitted.
        proposed: The model's action, by severity number; `action` the final one.
        why: Reason code for which the model was not asked, or a latch or the plan decided; 0 = none.
        reason: Which of the model's own reasons; -1 = none.
        because: The first reason of the decision, coded as batch.py says.
        refusing: Bit i = row i of the guard table refuses.
        flags: Bit 0 = a buy was clamped, bit 1 = a sell was.
        open_buy_lots: What working buys may still fill.
    """

    step: int = 0
    now_ns: int = 0
    cell: int = 0
    kind: int = 0
    bad: int = 0
    proposed: int = 0
    action: int = 0
    why: int = 0
    reason: int = -1
    because: int = -1
    kept: int = 0
    refusing: int = 0
    flags: int = 0
    n_messages: int = 0
    n_reports: int = 0
    position_lots: int = 0
    open_buy_lots: int = 0
    open_sell_lots: int = 0
    confidence: float = NAN
    bid: float = NAN
    ask: float = NAN
    mid: float = NAN
    equity: float = NAN
    realized_pnl: float = NAN
    unrealized_pnl: float = NAN
    fees: float = NAN
    drawdown: float = NAN


def _whole() -> list[int]:
    return [0] * DECISIONS


def _floats() -> list[float]:
    return [NAN] * DECISIONS


@dataclass(slots=True)
class DecisionColumns:
    """Many of them, field by field: so that the loop writes columns, and nobody turns rows afterwards."""

    step: list[int] = field(default_factory=_whole)
    now_ns: list[int] = field(default_factory=_whole)
    cell: list[int] = field(default_factory=_whole)
    kind: list[int] = field(default_factory=_whole)
    bad: list[int] = field(default_factory=_whole)
    proposed: list[int] = field(default_factory=_whole)
    action: list[int] = field(default_factory=_whole)
    why: list[int] = field(default_factory=_whole)
    reason: list[int] = field(default_factory=_whole)
    because: list[int] = field(default_factory=_whole)
    kept: list[int] = field(default_factory=_whole)
    refusing: list[int] = field(default_factory=_whole)
    flags: list[int] = field(default_factory=_whole)
    n_messages: list[int] = field(default_factory=_whole)
    n_reports: list[int] = field(default_factory=_whole)
    position_lots: list[int] = field(default_factory=_whole)
    open_buy_lots: list[int] = field(default_factory=_whole)
    open_sell_lots: list[int] = field(default_factory=_whole)
    confidence: list[float] = field(default_factory=_floats)
    bid: list[float] = field(default_factory=_floats)
    ask: list[float] = field(default_factory=_floats)
    mid: list[float] = field(default_factory=_floats)
    equity: list[float] = field(default_factory=_floats)
    realized_pnl: list[float] = field(default_factory=_floats)
    unrealized_pnl: list[float] = field(default_factory=_floats)
    fees: list[float] = field(default_factory=_floats)
    drawdown: list[float] = field(default_factory=_floats)


@dataclass(slots=True)
class FillRow:
    """One fill as the ledger took it; the order is named by the step and leg that sent it.

    ``liquidity`` 0 = maker, 1 = taker, 2 = not said; ``order_step`` -1 = no order of ours.
    ``ts_ns`` is the venue's time of it.
    """

    step: int = 0
    now_ns: int = 0
    ts_ns: int = 0
    cell: int = 0
    order_step: int = 0
    order_leg: int = 0
    side: int = 0
    liquidity: int = 0
    price: float = NAN
    size: float = NAN
    fee: float = 0.0


@dataclass(slots=True)
class OrderRow:
    """One message to the broker; ``price`` nan = none; ``old_step`` -1 where it replaces nothing."""

    step: int = 0
    now_ns: int = 0
    cell: int = 0
    op: int = 0
    order_step: int = 0
    order_leg: int = 0
    old_step: int = -1
    old_leg: int = -1
    side: int = 0
    tif: int = 0
    post_only: int = 0
    reduce_only: int = 0
    level: int = 0
    price: float = NAN
    size: float = NAN
