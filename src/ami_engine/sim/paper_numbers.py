"""The numbers of the paper broker: as records with interpreted kernels, or as arrays with compiled ones.

Both have the same methods.
"""

import struct
from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Any, NamedTuple

from ami_engine.kernels import paper_calls
from ami_engine.kernels.orders import CANCEL
from ami_engine.kernels.paper import (
    MAX_ENDS,
    MAX_REPORTS,
    NOBODY,
    Paper,
    PaperMarket,
    Report,
    can_cancel,
    count_due,
    know_replaced,
    next_report,
    show_event,
    write_request,
)
from ami_engine.ports import OrderTerms
from ami_engine.sim.paper_market import Door
from decision_schema.units import UnixNs
from dmc_core.jit import bound
from dmc_core.layout import RecordView, array_of, layout_of, write_record


class Numbers(NamedTuple):
    """An input that the loop has read, in numbers: what the step takes, and the broker before it.

    Args:
        inputs: The input, alone.
        cells: The markets of the run; in that of the input stand the book before it and the one behind.
        trades: Its public prints.
        departures: Lots that orders of others lost by it.
        compiled: Whether these are arrays for compiled kernels.
    """

    inputs: Any
    cells: Any
    trades: Any
    departures: Any
    compiled: bool


class End(NamedTuple):
    """How an order ended; see `kernels.paper.Ends`."""

    number: int
    status: int
    reason: int
    filled_lots: int
    paid: float
    ts_ns: UnixNs


_END_FIELDS = End._fields
_REPORT_OF = attrgetter(*Report.__slots__)
_REPORT = struct.Struct("".join("d" if isinstance(v, float) else "q" for v in _REPORT_OF(Report())))


class PaperRecords:
    """The numbers as records."""

    def __init__(self, paper: Paper, table: list[list[int]]) -> None:
        self.paper, self.table = paper, table
        self.doors: list[Door] = []
        self.markets: list[PaperMarket] = []
        self._heard = Report()

    def add(self, door: Door) -> None:
        """Take in a market; it has the next number."""
        self.doors.append(door)
        self.markets.append(door.market)

    def show(self, m: int, numbers: Numbers) -> None:
        """Show the record of a market an input that was read."""
        inp = numbers.inputs[0]
        seen = numbers.cells[inp.cell].market
        show_event(
            self.paper, self.markets, self.table, m, inp, seen.book, seen.staged,
            numbers.trades, numbers.departures,
        )  # fmt: skip

    def send(self, m: int, op: int, number: int, old_number: int, terms: OrderTerms) -> None:
        """Send a new order, or one in the place of another; `answer` says what we know at once."""
        side, limit, lots, tif, post_only, reduce_only = terms
        write_request(
            self.paper, op, number, old_number, side, limit, lots, tif, int(post_only), int(reduce_only)
        )
        self.doors[m].send(self.paper, self.table)

    def cancel(self, m: int, number: int) -> None:
        """Cancel an order, where that can be; `answer` says what we know at once."""
        door = self.doors[m]
        if can_cancel(self.paper, door.market, number):
            write_request(self.paper, CANCEL, NOBODY, number, 1, 0, 0, 0, 0, 0)
            door.send(self.paper, self.table)

    def know_old(self, m: int, old_number: int) -> bool:
        """Note what we know of the order to replace; False = it works no more, as we know."""
        self.paper.request.old_number = old_number
        return know_replaced(self.paper, self.markets[m])

    def advance(self, now_ns: UnixNs) -> int:
        """Let what is due arrive; count what we hear up to now."""
        paper = self.paper
        paper.now_ns = max(paper.now_ns, now_ns)
        for door in self.doors:
            if door.market.n_requests > 0:
                door.advance(paper, self.table, paper.now_ns - door.market.lag_ns - 1)
        return count_due(paper)

    def reports(self, count: int) -> Iterator[Report]:
        """Give what `advance` counted; each is valid until the next."""
        for _ in range(count):
            next_report(self.paper, self.markets, self._heard)
            yield self._heard

    def answer(self) -> Report:
        """Give what the last call said."""
        return self.paper.answer

    def n_ends(self) -> int:
        """Count the orders that ended so far."""
        return self.paper.ends.count

    def end(self, nth: int) -> End:
        """Tell how the n-th of them ended."""
        ends, at = self.paper.ends, nth % MAX_ENDS
        return End(
            ends.number[at], ends.status[at], ends.reason[at], ends.filled_lots[at], ends.paid[at],
            ends.ts_ns[at],
        )  # fmt: skip


class PaperArrays:
    """The numbers as arrays; the markets are records of data, none answers to our orders.

    Args:
        records: What they are laid out from. Its doors show the arrays from now on.
        numbers: An input of the run, for the kinds of the arrays that come with it.
    """

    def __init__(self, records: PaperRecords, numbers: Numbers) -> None:
        import numpy as np

        self.doors = records.doors
        self._papers = array_of([records.paper])
        self._markets = array_of(records.markets)
        self._table = np.array(records.table, dtype=np.int64).reshape(3, -1)
        self._heard = np.zeros(MAX_REPORTS, layout_of(Report()))
        self.paper: Paper = RecordView(self._papers[0])  # type: ignore[assignment]
        self._look()
        ends = self._papers[0]["ends"]
        self._ends = [ends[name] for name in _END_FIELDS]
        self._paper_bytes = self._papers.view(np.uint8).data
        self._heard_bytes = self._heard.view(np.uint8).data
        fields: Any = self._papers.dtype.fields
        self._answer_at = fields["answer"][1]
        self._count_at = fields["ends"][1] + fields["ends"][0].fields["count"][1]
        shared = (self._papers, self._markets, self._table)
        self._show: Callable[..., None] = bound(paper_calls.show_input, (*shared, 0, *numbers[:4]))
        self._send: Callable[..., None] = bound(paper_calls.send_request, (*shared, *[0] * 10))
        self._cancel: Callable[..., None] = bound(paper_calls.send_cancel, (*shared, 0, 0))
        self._know: Callable[..., bool] = bound(paper_calls.know_old, (*shared[:2], 0, 0))
        self._hear: Callable[..., int] = bound(paper_calls.hear_reports, (*shared, 0, self._heard))

    def _look(self) -> None:
        """Let the doors show the arrays, after they have grown."""
        for door, market in zip(self.doors, self._markets, strict=True):
            door.market = RecordView(market)  # type: ignore[assignment]

    @property
    def markets(self) -> list[PaperMarket]:
        """The markets as interpreted kernels read them."""
        return [door.market for door in self.doors]

    def add(self, door: Door) -> None:
        """Take in a market; it has the next number."""
        import numpy as np

        self._markets = np.concatenate([self._markets, np.zeros(1, self._markets.dtype)])
        write_record(self._markets[-1], door.market)
        self.doors.append(door)
        self._look()

    def show(self, m: int, numbers: Numbers) -> None:
        """Show the record of a market an input that was read."""
        self._show(
            self._papers, self._markets, self._table, m, numbers.inputs, numbers.cells, numbers.trades,
            numbers.departures,
        )  # fmt: skip

    def send(self, m: int, op: int, number: int, old_number: int, terms: OrderTerms) -> None:
        """Send a new order, or one in the place of another; `answer` says what we know at once."""
        side, limit, lots, tif, post_only, reduce_only = terms
        self._send(
            self._papers, self._markets, self._table, m, op, number, old_number, side, limit, lots, tif,
            int(post_only), int(reduce_only),
        )  # fmt: skip

    def cancel(self, m: int, number: int) -> None:
        """Cancel an order, where that can be; `answer` says what we know at once."""
        self._cancel(self._papers, self._markets, self._table, m, number)

    def know_old(self, m: int, old_number: int) -> bool:
        """Note what we know of the order to replace; False = it works no more, as we know."""
        return bool(self._know(self._papers, self._markets, m, old_number))

    def advance(self, now_ns: UnixNs) -> int:
        """Let what is due arrive; count what we hear up to now."""
        return int(self._hear(self._papers, self._markets, self._table, now_ns, self._heard))

    def reports(self, count: int) -> Iterator[Report]:
        """Give what `advance` counted."""
        for i in range(count):
            yield Report(*_REPORT.unpack_from(self._heard_bytes, i * _REPORT.size))

    def answer(self) -> Report:
        """Give what the last call said."""
        return Report(*_REPORT.unpack_from(self._paper_bytes, self._answer_at))

    def n_ends(self) -> int:
        """Count the orders that ended so far."""
        count: int = _COUNT.unpack_from(self._paper_bytes, self._count_at)[0]
        return count

    def end(self, nth: int) -> End:
        """Tell how the n-th of them ended."""
        at = nth % MAX_ENDS
        return End(*[column[at].item() for column in self._ends])


_COUNT = struct.Struct("q")
