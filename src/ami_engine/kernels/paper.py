"""The paper broker in numbers: messages of ours under way, orders at the venue, reports under way to us.

An order is named by the `number` that the caller gives it, a market by its place among `markets`. A
message reaches the venue when its time has come; what the venue does comes back as reports, each after
its latency, in the order in which we hear of them. `sim.paper_broker` puts the texts around it.
"""

from dataclasses import dataclass, field

from ami_engine.kernels.book import Book
from ami_engine.kernels.inputs import DepartureRow, Input, TradeRow
from ami_engine.kernels.latency import AT, ENTRY, RESPONSE, Latency, is_none, way_ns
from ami_engine.kernels.matching import (
    ACCEPTED,
    NO_SLOT,
    NOT_WORKING,
    apply_book,
    arrive,
    on_departure,
    on_trade,
)
from ami_engine.kernels.matching import cancel as cancel_at_venue
from ami_engine.kernels.matching import replace as replace_at_venue
from ami_engine.kernels.orders import CANCEL, REPLACE, SUBMIT
from ami_engine.kernels.records import MAX_MARKETS
from ami_engine.kernels.venue import (
    ANY_PRICE,
    BUY,
    FILL,
    GTC,
    MAX_LOTS,
    MAX_VENUE_ORDERS,
    SELL,
    WORKING,
    Venue,
    aggressor_by_quote,
    load_side,
    market_lots,
    nearest_ticks,
    trade_ticks,
)
from decision_schema.instruments import GRID_TOLERANCE, price_of, steps_of
from decision_schema.kernel import kernel
from decision_schema.units import NS_PER_MS, NS_PER_SECOND

MAX_REQUESTS = 256
"""Messages of ours under way to one market; an order beyond is refused, a cancel is lost."""
MAX_REPORTS = 4096
"""Reports under way to us."""
REPORTS_KEPT_FREE = 1024
"""With fewer places free nothing is sent, arrives or fills: no report is lost."""
MAX_ENDS = 8192
"""Ended orders whose last state is known here: of more, none can be unheard of."""
MAX_LAG_NS = 60 * NS_PER_SECOND
"""An event that seems older was stamped by a clock that is wrong."""
NOBODY = -1
AT_ONCE = -(1 << 62)
"""When an answer is heard that came with the call: before all reports."""

NOTHING = 0
UPDATE, NOTE = 2, 3
"""Kinds of a report, beside FILL = 1: how an order stands; that a cancel was refused."""

IS_SENT, IS_LIVE, IS_FILLED, IS_CANCELED, IS_REJECTED, IS_NOT_FOUND = 1, 2, 3, 4, 5, 6
PAPER_STATUSES = ("", "sent", "live", "filled", "canceled", "rejected", "not_found")
"""How an order stands, by number; 0 = nothing is said."""

REPLACED, FILLED_MEANWHILE, NOT_FILLED_AT_ONCE, REDUCED = 7, 8, 9, 10
NOTHING_LEFT = 3
OFF_GRID_SIZE, BELOW_MIN_SIZE, OFF_GRID_PRICE, OUT_OF_BOUNDS, BELOW_MIN_NOTIONAL = 11, 12, 13, 14, 15
PAPER_REASONS = (
    "",
    "no_book",
    "post_only_would_take",
    "nothing_to_reduce",
    "no_short",
    "too_many_orders",
    "not_working",
    "replaced",
    "filled_meanwhile",
    "not_filled_at_once",
    "reduced",
    "off_grid_size",
    "below_min_size",
    "off_grid_price",
    "price_out_of_bounds",
    "below_min_notional",
)
"""Reasons by number; the first are the answers of `matching` to an order."""
NO_MARKET = 1


@dataclass(slots=True)
class Request:
    """A message of ours on its way to the venue.

    Args:
        op: SUBMIT, REPLACE or CANCEL.
        due_ns: When it arrives, by the venue's clock.
        number: The new order; -1 of a cancel.
        old_number: The order to replace or to cancel.
        side: BUY or SELL.
        limit: In ticks; ``side * ANY_PRICE`` = none.
        lots: Size of the new order.
        known_lots: What we knew to be filled of the order to replace.
    """

    op: int = SUBMIT
    due_ns: int = 0
    number: int = NOBODY
    old_number: int = NOBODY
    side: int = BUY
    limit: int = 0
    lots: int = 0
    tif: int = GTC
    post_only: bool = False
    reduce_only: bool = False
    known_lots: int = 0


@dataclass(slots=True)
class Ask:
    """What the venue is asked by a message that arrives; `op` NOTHING = it need not be asked.

    ``slot`` is the order to cancel or replace, ``new_slot`` where the new one was placed, -1 = it was not.
    """

    op: int = NOTHING
    slot: int = -1
    new_slot: int = -1
    side: int = BUY
    limit: int = 0
    lots: int = 0
    tif: int = GTC
    post_only: bool = False
    reduce_only: bool = False


@dataclass(slots=True)
class Placed:
    """An order that the venue took; ``told_lots`` is what we have heard to be filled of it.

    ``number`` -1 = none; ``paid`` is the sum of price x lots; ``nth`` counts what was placed before it.
    """

    number: int = NOBODY
    nth: int = 0
    side: int = BUY
    lots: int = 0
    fills: int = 0
    filled_lots: int = 0
    told_lots: int = 0
    paid: float = 0.0


@dataclass(slots=True)
class PaperMarket:
    """One market: its venue, what is on its way there, and whose order stands in which slot.

    ``cell`` is its place among the markets, ``luck`` the number of its draws, ``is_open`` = 1 once it
    was shown; ``lag_ns`` is how late its last event came to us, ``heard_ns`` when its last answer will.
    The venue of a market that answers to orders is elsewhere; then only the grid of this one is read.
    """

    venue: Venue = field(default_factory=Venue)
    cell: int = 0
    luck: int = 0
    is_open: int = 0
    min_lots: int = 1
    min_notional: float = 0.0
    price_min: float = 0.0
    price_max: float = 0.0
    lag_ns: int = 0
    last_due_ns: int = 0
    heard_ns: int = 0
    position: int = 0
    first_request: int = 0
    n_requests: int = 0
    requests: list[Request] = field(default_factory=lambda: [Request() for _ in range(MAX_REQUESTS)])
    placed: list[Placed] = field(default_factory=lambda: [Placed() for _ in range(MAX_VENUE_ORDERS)])


@dataclass(slots=True)
class Report:
    """What we hear of an order.

    Args:
        kind: UPDATE, FILL, or NOTE = a cancel was refused; NOTHING = none.
        number: The order.
        cell: Its market.
        slot: Where it stands or stood; -1 = nowhere.
        status: How it stands, of PAPER_STATUSES.
        reason: Why, of PAPER_REASONS.
        filled_lots: Filled so far; -1 = not said.
        paid: Sum of price x lots of it.
        side: BUY or SELL, of a fill; likewise ticks, price, lots, fee and maker.
        nth: Number of the fill among those of its order, from 1.
        ts_ns: When it happened, by the venue's clock.
    """

    kind: int = NOTHING
    number: int = NOBODY
    cell: int = 0
    slot: int = -1
    status: int = 0
    reason: int = 0
    filled_lots: int = -1
    paid: float = 0.0
    side: int = 0
    ticks: int = 0
    price: float = 0.0
    lots: int = 0
    fee: float = 0.0
    maker: int = 0
    nth: int = 0
    ts_ns: int = 0


def _whole(count: int) -> list[int]:
    return [0] * count


def _real(count: int) -> list[float]:
    return [0.0] * count


@dataclass(slots=True)
class OnTheWay:
    """Reports on their way to us, by the time at which they are heard, then as they came.

    ``order`` has the places of all, those in use from `first` on; the fields of a report are columns.
    """

    first: int = 0
    used: int = 0
    order: list[int] = field(default_factory=lambda: list(range(MAX_REPORTS)))
    at_ns: list[int] = field(default_factory=lambda: _whole(MAX_REPORTS))
    kind: list[int] = field(default_factory=lambda: _whole(MAX_REPORTS))
    number: list[int] = field(default_factory=lambda: _whole(MAX_REPORTS))
    cell: list[int] = field(default_factory=lambda: _whole(MAX_REPORTS))
    slot: list[int] = field(default_factory=lambda: _whole(MAX_REPORTS))
    status: list[int] = field(default_factory=lambda: _whole(MAX_REPORTS))
    reason: list[int] = field(default_factory=lambda: _whole(MAX_REPORTS))
    filled_lots: list[int] = field(default_factory=lambda: _whole(MAX_REPORTS))
    paid: list[float] = field(default_factory=lambda: _real(MAX_REPORTS))
    side: list[int] = field(default_factory=lambda: _whole(MAX_REPORTS))
    ticks: list[int] = field(default_factory=lambda: _whole(MAX_REPORTS))
    price: list[float] = field(default_factory=lambda: _real(MAX_REPORTS))
    lots: list[int] = field(default_factory=lambda: _whole(MAX_REPORTS))
    fee: list[float] = field(default_factory=lambda: _real(MAX_REPORTS))
    maker: list[int] = field(default_factory=lambda: _whole(MAX_REPORTS))
    nth: list[int] = field(default_factory=lambda: _whole(MAX_REPORTS))
    ts_ns: list[int] = field(default_factory=lambda: _whole(MAX_REPORTS))


@dataclass(slots=True)
class Ends:
    """How the last orders ended; ``count`` is of all, the n-th stands at n modulo MAX_ENDS."""

    count: int = 0
    number: list[int] = field(default_factory=lambda: _whole(MAX_ENDS))
    heard_ns: list[int] = field(default_factory=lambda: _whole(MAX_ENDS))
    status: list[int] = field(default_factory=lambda: _whole(MAX_ENDS))
    reason: list[int] = field(default_factory=lambda: _whole(MAX_ENDS))
    filled_lots: list[int] = field(default_factory=lambda: _whole(MAX_ENDS))
    paid: list[float] = field(default_factory=lambda: _real(MAX_ENDS))
    ts_ns: list[int] = field(default_factory=lambda: _whole(MAX_ENDS))


@dataclass(slots=True)
class Paper:
    """The broker: its time, its latencies, what is on its way to us.

    ``answer`` is what the last call said, ``request`` and ``ask`` belong to the message in hand,
    ``shown`` has the markets in the order in which they were first shown.
    """

    now_ns: int = 0
    seed: int = 0
    n_placed: int = 0
    n_shown: int = 0
    entry: Latency = field(default_factory=lambda: Latency(ENTRY))
    response: Latency = field(default_factory=lambda: Latency(RESPONSE))
    request: Request = field(default_factory=Request)
    ask: Ask = field(default_factory=Ask)
    answer: Report = field(default_factory=Report)
    shown: list[int] = field(default_factory=lambda: _whole(MAX_MARKETS))
    ends: Ends = field(default_factory=Ends)
    reports: OnTheWay = field(default_factory=OnTheWay)


# ---------------------------------------------------------------- reports


@kernel
def is_full(paper: Paper) -> bool:
    """Tell whether so many reports are under way that no more may be made.

    >>> is_full(Paper())
    False
    """
    return paper.reports.used > MAX_REPORTS - REPORTS_KEPT_FREE


@kernel
def put_answer(paper: Paper, at_ns: int) -> None:
    """Put `paper.answer` on its way to us, behind what is heard no later."""
    reports, answer = paper.reports, paper.answer
    if reports.used >= MAX_REPORTS:
        return
    end = reports.first + reports.used
    place = reports.order[end % MAX_REPORTS]
    reports.at_ns[place] = at_ns
    reports.kind[place] = answer.kind
    reports.number[place] = answer.number
    reports.cell[place] = answer.cell
    reports.slot[place] = answer.slot
    reports.status[place] = answer.status
    reports.reason[place] = answer.reason
    reports.filled_lots[place] = answer.filled_lots
    reports.paid[place] = answer.paid
    reports.side[place] = answer.side
    reports.ticks[place] = answer.ticks
    reports.price[place] = answer.price
    reports.lots[place] = answer.lots
    reports.fee[place] = answer.fee
    reports.maker[place] = answer.maker
    reports.nth[place] = answer.nth
    reports.ts_ns[place] = answer.ts_ns
    while end > reports.first and reports.at_ns[reports.order[(end - 1) % MAX_REPORTS]] > at_ns:
        reports.order[end % MAX_REPORTS] = reports.order[(end - 1) % MAX_REPORTS]
        end -= 1
    reports.order[end % MAX_REPORTS] = place
    reports.used += 1


@kernel
def count_due(paper: Paper) -> int:
    """Count the reports that are heard by now; `next_report` gives each.

    >>> count_due(Paper())
    0
    """
    reports = paper.reports
    due = 0
    while due < reports.used:
        place = reports.order[(reports.first + due) % MAX_REPORTS]
        if reports.at_ns[place] > paper.now_ns:
            break
        due += 1
    return due


@kernel
def next_report(paper: Paper, markets: list[PaperMarket], out: Report) -> None:
    """Take the first report that is on its way into `out`; there must be one."""
    reports = paper.reports
    place = reports.order[reports.first % MAX_REPORTS]
    reports.first = (reports.first + 1) % MAX_REPORTS
    reports.used -= 1
    out.kind = reports.kind[place]
    out.number = reports.number[place]
    out.cell = reports.cell[place]
    out.slot = reports.slot[place]
    out.status = reports.status[place]
    out.reason = reports.reason[place]
    out.filled_lots = reports.filled_lots[place]
    out.paid = reports.paid[place]
    out.side = reports.side[place]
    out.ticks = reports.ticks[place]
    out.price = reports.price[place]
    out.lots = reports.lots[place]
    out.fee = reports.fee[place]
    out.maker = reports.maker[place]
    out.nth = reports.nth[place]
    out.ts_ns = reports.ts_ns[place]
    if out.kind == FILL:
        placed = markets[out.cell].placed[out.slot]
        if placed.number == out.number:
            placed.told_lots += out.lots


@kernel
def say(paper: Paper, cell: int, number: int, status: int, reason: int, ts_ns: int) -> None:
    """Make `paper.answer` an update that says no more than a status."""
    answer = paper.answer
    answer.kind = UPDATE if status != NOTHING else NOTHING
    answer.number = number
    answer.cell = cell
    answer.slot = -1
    answer.status = status
    answer.reason = reason
    answer.filled_lots = -1
    answer.paid = 0.0
    answer.side = 0
    answer.ticks = 0
    answer.price = 0.0
    answer.lots = 0
    answer.fee = 0.0
    answer.maker = 0
    answer.nth = 0
    answer.ts_ns = ts_ns


@kernel
def heard_at(paper: Paper, market: PaperMarket, table: list[list[int]], ts_ns: int) -> int:
    """Give when we hear of what happens now at the venue: no sooner than of what happened before."""
    at_ns = ts_ns + way_ns(paper.response, table, paper.seed, market.luck, ts_ns)
    if at_ns > market.heard_ns:
        market.heard_ns = at_ns
    return market.heard_ns


@kernel
def remember(paper: Paper, heard_ns: int) -> None:
    """Remember how an order ended: `paper.answer` says it."""
    ends, answer = paper.ends, paper.answer
    at = ends.count % MAX_ENDS
    ends.number[at] = answer.number
    ends.heard_ns[at] = heard_ns
    ends.status[at] = answer.status
    ends.reason[at] = answer.reason
    ends.filled_lots[at] = answer.filled_lots
    ends.paid[at] = answer.paid
    ends.ts_ns[at] = answer.ts_ns
    ends.count += 1


@kernel
def find_end(paper: Paper, number: int) -> int:
    """Give the place of an order among the ended ones; -1 = it is not there.

    >>> find_end(Paper(), 7)
    -1
    """
    n = paper.ends.count
    last = n - MAX_ENDS if n > MAX_ENDS else 0
    while n > last:
        n -= 1
        if paper.ends.number[n % MAX_ENDS] == number:
            return n % MAX_ENDS
    return -1


@kernel
def say_end(paper: Paper, cell: int, at: int) -> None:
    """Make `paper.answer` say how an order ended."""
    ends = paper.ends
    say(paper, cell, ends.number[at], ends.status[at], ends.reason[at], ends.ts_ns[at])
    paper.answer.filled_lots = ends.filled_lots[at]
    paper.answer.paid = ends.paid[at]


# ---------------------------------------------------------------- orders at the venue


@kernel
def find_placed(market: PaperMarket, number: int) -> int:
    """Give the slot of a working order; -1 = it does not work.

    >>> find_placed(PaperMarket(), 7)
    -1
    """
    for slot in range(MAX_VENUE_ORDERS):
        if market.placed[slot].number == number:
            return slot
    return -1


@kernel
def is_under_way(market: PaperMarket, number: int) -> bool:
    """Tell whether a new order is still on its way to the venue.

    >>> is_under_way(PaperMarket(), 7)
    False
    """
    for i in range(market.n_requests):
        if market.requests[(market.first_request + i) % MAX_REQUESTS].number == number:
            return True
    return False


@kernel
def is_unheard(paper: Paper, number: int) -> bool:
    """Tell whether an order has ended and we have not heard of it yet.

    >>> is_unheard(Paper(), 7)
    False
    """
    at = find_end(paper, number)
    return at >= 0 and paper.ends.heard_ns[at] > paper.now_ns


@kernel
def say_placed(paper: Paper, market: PaperMarket, slot: int, status: int, reason: int, ts_ns: int) -> None:
    """Make `paper.answer` say how a placed order stands."""
    placed = market.placed[slot]
    say(paper, market.cell, placed.number, status, reason, ts_ns)
    paper.answer.slot = slot
    paper.answer.filled_lots = placed.filled_lots
    paper.answer.paid = placed.paid


@kernel
def finish(
    paper: Paper, market: PaperMarket, table: list[list[int]], slot: int, status: int, reason: int, ts_ns: int
) -> None:
    """End a placed order; `paper.answer` says how."""
    say_placed(paper, market, slot, status, reason, ts_ns)
    remember(paper, heard_at(paper, market, table, ts_ns))
    market.placed[slot].number = NOBODY


@kernel
def reject(
    paper: Paper, market: PaperMarket, table: list[list[int]], number: int, reason: int, ts_ns: int
) -> None:
    """Let the venue refuse a new order; `paper.answer` says so."""
    say(paper, market.cell, number, IS_REJECTED, reason, ts_ns)
    remember(paper, heard_at(paper, market, table, ts_ns))


@kernel
def note_execution(
    paper: Paper,
    market: PaperMarket,
    table: list[list[int]],
    kind: int,
    slot: int,
    ticks: int,
    lots: int,
    open_lots: int,
    maker: bool,
    fee: float,
    ts_ns: int,
) -> None:
    """Turn one thing that the venue did into reports; the numbers are those of `venue.Execution`."""
    placed = market.placed[slot]
    if placed.number == NOBODY:
        return
    if kind != FILL:
        finish(paper, market, table, slot, IS_CANCELED, NOTHING_LEFT, ts_ns)
        put_answer(paper, heard_at(paper, market, table, ts_ns))
        return
    price = price_of(ticks, market.venue.tick_num, market.venue.tick_den)
    placed.fills += 1
    placed.filled_lots += lots
    placed.paid += price * float(lots)
    market.position += placed.side * lots
    say(paper, market.cell, placed.number, NOTHING, 0, ts_ns)
    answer = paper.answer
    answer.kind = FILL
    answer.slot = slot
    answer.side = placed.side
    answer.ticks = ticks
    answer.price = price
    answer.lots = lots
    answer.fee = fee
    answer.maker = 1 if maker else 0
    answer.nth = placed.fills
    put_answer(paper, heard_at(paper, market, table, ts_ns))
    if open_lots == 0:
        if placed.filled_lots >= placed.lots:
            finish(paper, market, table, slot, IS_FILLED, 0, ts_ns)
        else:  # the venue had cut it down
            finish(paper, market, table, slot, IS_CANCELED, REDUCED, ts_ns)
            put_answer(paper, heard_at(paper, market, table, ts_ns))


@kernel
def collect(paper: Paper, market: PaperMarket, table: list[list[int]]) -> None:
    """Turn what the venue of a recorded market did into reports, in its order."""
    venue = market.venue
    for i in range(venue.n_executions):
        e = venue.executions[i]
        note_execution(
            paper, market, table, e.kind, e.slot, e.ticks, e.lots, e.open_lots, e.maker, e.fee, e.ts_ns
        )
    venue.n_executions = 0


# ---------------------------------------------------------------- a message arrives


@kernel
def prepare(paper: Paper, market: PaperMarket, request: Request) -> None:
    """Say in `paper.ask` what a message that arrives asks of the venue."""
    say(paper, market.cell, NOBODY, NOTHING, 0, 0)
    ask = paper.ask
    ask.op = request.op
    ask.slot = -1
    ask.new_slot = -1
    ask.side = request.side
    ask.limit = request.limit
    ask.lots = request.lots
    ask.tif = request.tif
    ask.post_only = request.post_only
    ask.reduce_only = request.reduce_only
    if request.op == SUBMIT:
        return
    ask.slot = find_placed(market, request.old_number)
    if ask.slot < 0:
        ask.op = NOTHING
    elif request.op == REPLACE:  # what the old one filled meanwhile is taken off the new one
        ask.lots -= market.placed[ask.slot].filled_lots - request.known_lots
        if ask.lots <= 0:
            ask.op = CANCEL


@kernel
def ask_venue(market: PaperMarket, ask: Ask) -> tuple[int, int]:
    """Ask the venue of a recorded market: ACCEPTED and a slot, or a refusal and -1."""
    if ask.op == SUBMIT:
        return arrive(market.venue, ask.side, ask.limit, ask.lots, ask.tif, ask.post_only, ask.reduce_only)
    if ask.op == REPLACE:
        return replace_at_venue(
            market.venue, ask.slot, ask.side, ask.limit, ask.lots, ask.tif, ask.post_only, ask.reduce_only
        )
    if ask.op == CANCEL and cancel_at_venue(market.venue, ask.slot):
        return ACCEPTED, ask.slot
    return NOT_WORKING, -1


@kernel
def settle(
    paper: Paper,
    market: PaperMarket,
    table: list[list[int]],
    request: Request,
    code: int,
    slot: int,
    ts_ns: int,
) -> None:
    """Take the venue's word on a message; of an order that it took, `conclude` says how it stands."""
    ask = paper.ask
    if request.op == CANCEL:
        if code == ACCEPTED:
            finish(paper, market, table, ask.slot, IS_CANCELED, 0, ts_ns)
        return
    if ask.op == NOTHING:
        reject(paper, market, table, request.number, NOT_WORKING, ts_ns)
        return
    if ask.op == CANCEL:
        finish(paper, market, table, ask.slot, IS_CANCELED, FILLED_MEANWHILE, ts_ns)
        put_answer(paper, heard_at(paper, market, table, ts_ns))
        reject(paper, market, table, request.number, FILLED_MEANWHILE, ts_ns)
        return
    if code != ACCEPTED:
        reject(paper, market, table, request.number, code, ts_ns)
        return
    if request.op == REPLACE:
        finish(paper, market, table, ask.slot, IS_CANCELED, REPLACED, ts_ns)
    placed = market.placed[slot]
    placed.number = request.number
    placed.nth = paper.n_placed
    placed.side = request.side
    placed.lots = request.lots
    placed.fills = 0
    placed.filled_lots = 0
    placed.told_lots = 0
    placed.paid = 0.0
    paper.n_placed += 1
    ask.new_slot = slot


@kernel
def conclude(
    paper: Paper, market: PaperMarket, table: list[list[int]], number: int, is_working: bool, ts_ns: int
) -> None:
    """Say in `paper.answer` how a new order stands, once all is known that it did on arrival."""
    slot = paper.ask.new_slot
    if market.placed[slot].number != number:
        say_end(paper, market.cell, find_end(paper, number))
    elif is_working:
        say_placed(paper, market, slot, IS_LIVE, 0, ts_ns)
    else:
        finish(paper, market, table, slot, IS_CANCELED, NOT_FILLED_AT_ONCE, ts_ns)


@kernel
def carry_out(
    paper: Paper, market: PaperMarket, table: list[list[int]], request: Request, ts_ns: int
) -> None:
    """Let one message arrive at the venue of a recorded market; `paper.answer` says what came of it."""
    if ts_ns > market.venue.now_ns:
        market.venue.now_ns = ts_ns
    prepare(paper, market, request)
    code, slot = ask_venue(market, paper.ask)
    settle(paper, market, table, request, code, slot, ts_ns)
    if paper.ask.new_slot >= 0:
        collect(paper, market, table)
        is_working = market.venue.orders[slot].state == WORKING
        conclude(paper, market, table, request.number, is_working, ts_ns)


# ---------------------------------------------------------------- under way


@kernel
def push_request(paper: Paper, market: PaperMarket) -> None:
    """Put `paper.request` on its way; there must be room."""
    source = paper.request
    request = market.requests[(market.first_request + market.n_requests) % MAX_REQUESTS]
    request.op = source.op
    request.due_ns = source.due_ns
    request.number = source.number
    request.old_number = source.old_number
    request.side = source.side
    request.limit = source.limit
    request.lots = source.lots
    request.tif = source.tif
    request.post_only = source.post_only
    request.reduce_only = source.reduce_only
    request.known_lots = source.known_lots
    market.n_requests += 1


@kernel
def next_request(paper: Paper, market: PaperMarket, ts_ns: int) -> int:
    """Take the place of the message that arrives next, if it is due by the venue's time; else -1."""
    if market.n_requests == 0 or is_full(paper):
        return -1
    at = market.first_request
    if market.requests[at].due_ns > ts_ns:
        return -1
    market.first_request = (at + 1) % MAX_REQUESTS
    market.n_requests -= 1
    return at


@kernel
def hear_answer(paper: Paper, market: PaperMarket, table: list[list[int]], ts_ns: int) -> None:
    """Put the answer to a message on its way to us, if there is one."""
    if paper.answer.status != NOTHING:
        put_answer(paper, heard_at(paper, market, table, ts_ns))


@kernel
def advance(paper: Paper, market: PaperMarket, table: list[list[int]], ts_ns: int) -> None:
    """Let the messages arrive that are due by the venue's time, at a recorded market."""
    at = next_request(paper, market, ts_ns)
    while at >= 0:
        request = market.requests[at]
        carry_out(paper, market, table, request, request.due_ns)
        hear_answer(paper, market, table, request.due_ns)
        at = next_request(paper, market, ts_ns)


@kernel
def begin_send(paper: Paper, market: PaperMarket, table: list[list[int]]) -> int:
    """Send `paper.request`: 2 = it arrives and is answered now, 1 = it is under way, 0 = refused."""
    request = paper.request
    if is_full(paper) or market.n_requests >= MAX_REQUESTS:
        if request.op == CANCEL:
            say(paper, market.cell, NOBODY, NOTHING, 0, 0)
        else:
            say(paper, market.cell, request.number, IS_REJECTED, NO_SLOT, paper.now_ns)
        return 0
    due_ns = paper.now_ns + way_ns(paper.entry, table, paper.seed, market.luck, paper.now_ns)
    if due_ns > market.last_due_ns:
        market.last_due_ns = due_ns
    request.due_ns = market.last_due_ns
    at_once = market.n_requests == 0 and request.due_ns <= paper.now_ns - market.lag_ns
    if at_once and is_none(paper.response) and len(table[AT]) == 0:
        if request.op == REPLACE:
            slot = find_placed(market, request.old_number)
            if slot >= 0:
                request.known_lots = market.placed[slot].filled_lots
        return 2
    push_request(paper, market)
    return 1


@kernel
def end_send(paper: Paper, market: PaperMarket) -> None:
    """Make `paper.answer` that of a message which is under way."""
    if paper.request.op == CANCEL:
        say(paper, market.cell, NOBODY, NOTHING, 0, 0)
    else:
        say(paper, market.cell, paper.request.number, IS_SENT, 0, paper.now_ns)


@kernel
def send(paper: Paper, market: PaperMarket, table: list[list[int]]) -> None:
    """Send `paper.request` to a recorded market; `paper.answer` says what we know at once."""
    way = begin_send(paper, market, table)
    if way == 2:
        carry_out(paper, market, table, paper.request, paper.now_ns)
    elif way == 1:
        advance(paper, market, table, paper.now_ns - market.lag_ns)
        end_send(paper, market)


@kernel
def write_request(
    paper: Paper,
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
    """Write `paper.request`; what is known of an order to replace stays as `know_replaced` left it."""
    request = paper.request
    request.op = op
    request.number = number
    request.old_number = old_number
    request.side = side
    request.limit = limit
    request.lots = lots
    request.tif = tif
    request.post_only = post_only == 1
    request.reduce_only = reduce_only == 1


@kernel
def know_replaced(paper: Paper, market: PaperMarket) -> bool:
    """Note in `paper.request` what we know of the order to replace; False = it works no more, as we know."""
    slot = find_placed(market, paper.request.old_number)
    paper.request.known_lots = market.placed[slot].told_lots if slot >= 0 else 0
    return slot >= 0 or is_unheard(paper, paper.request.old_number)


@kernel
def can_cancel(paper: Paper, market: PaperMarket, number: int) -> bool:
    """Tell whether a cancel is to be sent; if not, `paper.answer` says how the order stands, if we heard."""
    if find_placed(market, number) >= 0 or is_under_way(market, number):
        return True
    at = find_end(paper, number)
    if at < 0:
        say(paper, market.cell, number, IS_NOT_FOUND, 0, paper.now_ns)
    elif paper.ends.heard_ns[at] > paper.now_ns:
        say(paper, market.cell, NOBODY, NOTHING, 0, 0)
    else:
        say_end(paper, market.cell, at)
    return False


@kernel
def say_standing(paper: Paper, market: PaperMarket, number: int) -> None:
    """Make `paper.answer` say how an order stands or ended, as far as we have heard."""
    slot = find_placed(market, number)
    if slot >= 0:
        say_placed(paper, market, slot, IS_LIVE, 0, paper.now_ns)
    elif is_under_way(market, number):
        say(paper, market.cell, number, IS_SENT, 0, paper.now_ns)
    else:
        at = find_end(paper, number)
        if at < 0:
            say(paper, market.cell, number, IS_NOT_FOUND, 0, paper.now_ns)
        elif paper.ends.heard_ns[at] > paper.now_ns:
            say(paper, market.cell, number, IS_LIVE, 0, paper.now_ns)
        else:
            say_end(paper, market.cell, at)


# ---------------------------------------------------------------- events


@kernel
def begin_event(paper: Paper, market: PaperMarket, now_ns: int, ts_ns: int) -> int:
    """Take the time of an event, `ts_ns` -1 = none; give when it happened, by the venue's clock."""
    paper.now_ns = now_ns
    if market.is_open == 0:
        market.is_open = 1
        paper.shown[paper.n_shown] = market.cell
        paper.n_shown += 1
    happened_ns = now_ns
    if ts_ns >= 0:
        if ts_ns < now_ns:
            happened_ns = ts_ns
        if happened_ns < now_ns - MAX_LAG_NS:
            happened_ns = now_ns - MAX_LAG_NS
    market.lag_ns = now_ns - happened_ns
    return happened_ns


@kernel
def meet_event(
    paper: Paper,
    markets: list[PaperMarket],
    table: list[list[int]],
    m: int,
    inp: Input,
    book_before: Book,
    book_after: Book,
    trades: list[TradeRow],
    departures: list[DepartureRow],
) -> bool:
    """Let what is due arrive, then the trades meet our orders; True = `meet_book` is to follow."""
    market = markets[m]
    venue = market.venue
    happened_ns = begin_event(paper, market, inp.now_ns, inp.ts_ns)
    advance(paper, market, table, happened_ns - 1)  # what happens then comes first
    if happened_ns > venue.now_ns:
        venue.now_ns = happened_ns
    venue.by_order = inp.by_order
    venue.public_orders = inp.public_orders
    is_usable = inp.bad == 0
    for i in range(inp.departure_at, inp.departure_at + inp.n_departures):
        row = departures[i]
        if row.executed == 1:
            venue.executions_told = 1
        if not is_full(paper):
            ticks = nearest_ticks(row.price, venue.tick_num, venue.tick_den)
            lots = market_lots(row.size, venue.lot_num, venue.lot_den)
            on_departure(venue, row.side, ticks, lots, row.number, row.executed == 1 and is_usable)
            collect(paper, market, table)
    if not is_usable:
        return False
    if not (venue.by_order == 1 and venue.executions_told == 1):
        for i in range(inp.trade_at, inp.trade_at + inp.n_trades):
            trade = trades[i]
            side = trade.side
            if side == 0:
                side = aggressor_by_quote(trade.price, book_before.mid)
            if side != 0 and not is_full(paper):
                ticks = trade_ticks(trade.price, side, venue.tick_num, venue.tick_den)
                on_trade(venue, side, ticks, market_lots(trade.size, venue.lot_num, venue.lot_den))
                collect(paper, market, table)
    if inp.has_book == 0:
        return False
    if inp.shows_bids == 1:
        load_side(venue, BUY, book_after.n_bids, book_after.bid_prices, book_after.bid_sizes)
    if inp.shows_asks == 1:
        load_side(venue, SELL, book_after.n_asks, book_after.ask_prices, book_after.ask_sizes)
    return inp.shows_bids == 1 or inp.shows_asks == 1


@kernel
def meet_book(paper: Paper, market: PaperMarket, table: list[list[int]]) -> None:
    """Let the book that was loaded meet our orders."""
    if not is_full(paper):
        apply_book(market.venue)
        collect(paper, market, table)


@kernel
def show_event(
    paper: Paper,
    markets: list[PaperMarket],
    table: list[list[int]],
    m: int,
    inp: Input,
    book_before: Book,
    book_after: Book,
    trades: list[TradeRow],
    departures: list[DepartureRow],
) -> None:
    """Show one event of a recorded market to its venue; one that was not read is none.

    Args:
        paper: Changed.
        markets: The markets; changed.
        table: Measured latencies, see `latency.no_table`.
        m: Number of the market.
        inp: The event.
        book_before: The last valid book.
        book_after: The book that the event leads to; read where `inp` is admitted and has a book.
        trades: Those of the event stand from `inp.trade_at` on.
        departures: Likewise.
    """
    if inp.is_read == 0:
        return
    if meet_event(paper, markets, table, m, inp, book_before, book_after, trades, departures):
        meet_book(paper, markets[m], table)


# ---------------------------------------------------------------- what a batch run calls


@kernel
def _is_on_grid(value: float, steps: int, num: int, den: int) -> bool:
    """Tell whether a price or size is the whole number of steps that it was made of."""
    found = steps_of(value, num, den)
    return abs(found) < float(MAX_LOTS) and abs(found - float(steps)) <= GRID_TOLERANCE


@kernel
def refusal_before(market: PaperMarket, ticks: int, takes: int, lots: int, reduce_only: int) -> int:
    """Say why an order need not be sent, else 0: its market, its grid, as `order_terms.read_terms` does.

    >>> refusal_before(PaperMarket(), 50, 0, 1, 0) == NO_MARKET
    True
    """
    if market.is_open == 0:
        return NO_MARKET
    venue = market.venue
    size = price_of(lots, venue.lot_num, venue.lot_den)
    if not _is_on_grid(size, lots, venue.lot_num, venue.lot_den):
        return OFF_GRID_SIZE
    if lots < market.min_lots:
        return BELOW_MIN_SIZE
    if takes == 1:
        return 0
    price = price_of(ticks, venue.tick_num, venue.tick_den)
    if not _is_on_grid(price, ticks, venue.tick_num, venue.tick_den):
        return OFF_GRID_PRICE
    if not (market.price_min < price and price <= market.price_max):
        return OUT_OF_BOUNDS
    if price * size * venue.multiplier < market.min_notional and reduce_only == 0:
        return BELOW_MIN_NOTIONAL
    return 0


@kernel
def submit(
    paper: Paper,
    markets: list[PaperMarket],
    table: list[list[int]],
    m: int,
    number: int,
    side: int,
    ticks: int,
    takes: int,
    lots: int,
    tif: int,
    post_only: int,
    reduce_only: int,
) -> None:
    """Place one order; the answer is heard before all reports: live, filled, canceled, rejected or sent.

    Args:
        paper: Changed.
        markets: The markets; changed.
        table: Measured latencies.
        m: Number of the market.
        number: Name of the order, never used before.
        side: BUY or SELL.
        ticks: Its limit.
        takes: 1 = it has no limit.
        lots: Its size.
        tif: GTC, IOC or FOK.
        post_only: 1 = refuse rather than take.
        reduce_only: 1 = never more than the opposite position.
    """
    market = markets[m]
    reason = refusal_before(market, ticks, takes, lots, reduce_only)
    if reason != 0:
        say(paper, m, number, IS_REJECTED, reason, paper.now_ns)
    else:
        limit = side * ANY_PRICE if takes == 1 else ticks
        write_request(paper, SUBMIT, number, NOBODY, side, limit, lots, tif, post_only, reduce_only)
        send(paper, market, table)
    put_answer(paper, AT_ONCE)


@kernel
def replace(
    paper: Paper,
    markets: list[PaperMarket],
    table: list[list[int]],
    m: int,
    old_number: int,
    number: int,
    side: int,
    ticks: int,
    takes: int,
    lots: int,
    tif: int,
    post_only: int,
    reduce_only: int,
) -> None:
    """Replace one order by another; the answer, heard before all reports, is about the new one."""
    market = markets[m]
    limit = side * ANY_PRICE if takes == 1 else ticks
    write_request(paper, REPLACE, number, old_number, side, limit, lots, tif, post_only, reduce_only)
    reason = NOT_WORKING
    if know_replaced(paper, market):
        reason = refusal_before(market, ticks, takes, lots, reduce_only)
    if reason != 0:
        say(paper, m, number, IS_REJECTED, reason, paper.now_ns)
    else:
        send(paper, market, table)
    put_answer(paper, AT_ONCE)


@kernel
def cancel(paper: Paper, markets: list[PaperMarket], table: list[list[int]], m: int, number: int) -> None:
    """Cancel one order; the answer, if there is one at once, is heard before all reports."""
    market = markets[m]
    if can_cancel(paper, market, number):
        write_request(paper, CANCEL, NOBODY, number, BUY, 0, 0, GTC, 0, 0)
        send(paper, market, table)
    if paper.answer.status == IS_REJECTED:
        paper.answer.kind = NOTE
    if paper.answer.status != NOTHING:
        put_answer(paper, AT_ONCE)


@kernel
def query(paper: Paper, markets: list[PaperMarket], m: int, number: int) -> None:
    """Ask how an order stands or ended, as far as we have heard; the answer is heard before all reports."""
    if not is_full(paper):
        say_standing(paper, markets[m], number)
        put_answer(paper, AT_ONCE)


@kernel
def take_reports(paper: Paper, markets: list[PaperMarket], table: list[list[int]], now_ns: int) -> int:
    """Let what is due arrive and count what we hear up to now, to the millisecond; `next_report` gives it."""
    heard_ns = now_ns // NS_PER_MS * NS_PER_MS
    if heard_ns > paper.now_ns:
        paper.now_ns = heard_ns
    for i in range(paper.n_shown):
        market = markets[paper.shown[i]]
        if market.n_requests > 0:
            advance(paper, market, table, paper.now_ns - market.lag_ns - 1)
    return count_due(paper)
