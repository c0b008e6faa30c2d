"""What the live loop asks of the paper broker in a compiled run: each in one crossing.

The kernels are those of `paper`; each record is held in a list of one.
"""

from ami_engine.kernels.inputs import DepartureRow, Input, TradeRow
from ami_engine.kernels.orders import CANCEL
from ami_engine.kernels.paper import (
    NOBODY,
    Paper,
    PaperMarket,
    Report,
    can_cancel,
    know_replaced,
    next_report,
    send,
    show_event,
    take_reports,
    write_request,
)
from ami_engine.kernels.records import Cell
from decision_schema.kernel import kernel


@kernel
def show_input(
    papers: list[Paper],
    markets: list[PaperMarket],
    table: list[list[int]],
    m: int,
    inputs: list[Input],
    cells: list[Cell],
    trades: list[TradeRow],
    departures: list[DepartureRow],
) -> None:
    """Show the venue of market `m` an input that was read, its book staged in its cell."""
    inp = inputs[0]
    market = cells[inp.cell].market
    show_event(papers[0], markets, table, m, inp, market.book, market.staged, trades, departures)


@kernel
def send_request(
    papers: list[Paper],
    markets: list[PaperMarket],
    table: list[list[int]],
    m: int,
    op: int,
    number: int,
    old_number: int,
    side: int,
    limit: int,
    lots: int,
    tif: int,
    post_only: int,
    reduce_only: int,
) -> None:
    """Send a new order, or one in the place of another; the paper's `answer` says what we know at once."""
    paper = papers[0]
    write_request(paper, op, number, old_number, side, limit, lots, tif, post_only, reduce_only)
    send(paper, markets[m], table)


@kernel
def send_cancel(
    papers: list[Paper], markets: list[PaperMarket], table: list[list[int]], m: int, number: int
) -> None:
    """Cancel an order, where that can be; the paper's `answer` says what we know at once."""
    paper, market = papers[0], markets[m]
    if can_cancel(paper, market, number):
        write_request(paper, CANCEL, NOBODY, number, 1, 0, 0, 0, 0, 0)
        send(paper, market, table)


@kernel
def know_old(papers: list[Paper], markets: list[PaperMarket], m: int, old_number: int) -> bool:
    """Note what we know of the order to replace; False = it works no more, as we know."""
    papers[0].request.old_number = old_number
    return know_replaced(papers[0], markets[m])


@kernel
def hear_reports(
    papers: list[Paper],
    markets: list[PaperMarket],
    table: list[list[int]],
    now_ns: int,
    reports: list[Report],
) -> int:
    """Let what is due arrive; take what we hear up to now into `reports`, and count it."""
    count = take_reports(papers[0], markets, table, now_ns)
    for i in range(count):
        next_report(papers[0], markets, reports[i])
    return count
