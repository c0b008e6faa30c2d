"""What `kernels.paper` reports in numbers, in the words of the contract."""

from typing import Literal, cast

from ami_engine.kernels.paper import PAPER_REASONS, PAPER_STATUSES, Report
from ami_engine.kernels.venue import BUY, FILL
from ami_engine.sim.order_terms import Grid
from decision_schema.events import Fill, OrderStatus, OrderUpdate

_SIDES: dict[int, Literal["buy", "sell"]] = {1: "buy", -1: "sell"}


def report_of(report: Report, order_id: str, market_id: str, grid: Grid) -> Fill | OrderUpdate:
    """Say what a report says of an order.

    >>> from ami_engine.kernels.paper import IS_LIVE, UPDATE
    >>> report_of(Report(UPDATE, status=IS_LIVE, filled_lots=0, ts_ns=5), "A", "M", Grid(1, 100, 1, 1, 1))
    OrderUpdate(client_order_id='A', status='live', filled_size=0.0, avg_price=None, reason='', ts_ns=5)
    """
    if report.kind == FILL:
        return Fill(
            fill_id=f"{order_id}-{report.nth}",
            client_order_id=order_id,
            market_id=market_id,
            side=_SIDES[BUY if report.side == BUY else -BUY],
            price=report.price,
            size=grid.size(report.lots),
            fee=report.fee,
            liquidity_side="maker" if report.maker == 1 else "taker",
            ts_ns=report.ts_ns,
        )
    return update_of(
        order_id, grid, report.status, report.reason, report.filled_lots, report.paid, report.ts_ns
    )


def update_of(
    order_id: str, grid: Grid, status: int, reason: int, filled_lots: int, paid: float, ts_ns: int
) -> OrderUpdate:
    """Say how an order stands; `filled_lots` -1 = that is not said."""
    return OrderUpdate(
        client_order_id=order_id,
        status=cast(OrderStatus, PAPER_STATUSES[status]),
        filled_size=grid.size(filled_lots) if filled_lots >= 0 else None,
        avg_price=paid / filled_lots if filled_lots > 0 else None,
        reason=PAPER_REASONS[reason],
        ts_ns=ts_ns,
    )
