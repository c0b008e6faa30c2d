"""One input of a step in numbers: what the edge made of an event, or a timer.

The edge (loop/edge.py for events, kernels/admission.py for columns) decodes, stamps and admits; the
book that the event leads to is handed over beside it, as are its trades and departures.
"""

import math
from dataclasses import dataclass

MARKET, TIMER = 0, 1
"""Kinds of an input."""

NO_STATUS, OPEN, HALTED, RECONNECTED = 0, 1, 2, 3
"""What an event says of the session: nothing, that it trades, that it does not, that the feed is back."""

NONE = -1
FIELDS = (
    "event", "market_id", "channel", "received_ns", "received_ms", "ts_ns", "ts_ms", "seq", "prev_seq",
    "book_seq", "defect", "instrument", "bid", "ask", "mid", "bid_size", "ask_size", "bid_depth", "ask_depth",
    "depth", "bids", "asks", "deltas", "order_messages", "trades", "funding", "settlement", "status", "extra",
)  # fmt: skip
"""Fields that an input can be refused for, by number, in the order in which they are read."""


@dataclass(slots=True)
class Input:
    """One input of a step.

    Args:
        kind: MARKET or TIMER.
        cell: Number of the market; -1 = none, nothing is traded.
        bad: Reason code for which it changes no state; 0 = it is admitted.
        bad_field: The field that cannot be read, by its place in FIELDS; -1 = `bad` names no field.
        is_read: 1 = it came in order: the venue sees it, whether its book can be used or not.
        now_ns: Time of the step.
        ts_ns: The venue's time; -1 = not carried.
        has_book: 1 = it carries a part of the book.
        shows_bids: 1 = the bids that it leads to are to be shown to our orders; likewise asks.
        is_snapshot: 1 = all levels of both sides; `is_change` of levels or orders; `is_quote`.
        trade_at: Place of its first trade among the trades handed over; `n_trades` of them.
        departure_at: Place of the first lots that orders of others lost; `n_departures` of them.
        by_order: 1 = the data tell each order of the market; `public_orders` of them so far.
        has_order_messages: 1 = it tells of single orders.
        status: NO_STATUS, OPEN, HALTED or RECONNECTED.
        funding_rate: nan = none.
        settlement: Price at which the market ends; nan = it does not.
        asks_after: 1 = after it the broker may be asked for orders that lack evidence: of the timers of
            one instant only the last one.
    """

    kind: int = MARKET
    cell: int = NONE
    bad: int = 0
    bad_field: int = NONE
    is_read: int = 0
    now_ns: int = 0
    ts_ns: int = NONE
    has_book: int = 0
    shows_bids: int = 0
    shows_asks: int = 0
    is_snapshot: int = 0
    is_change: int = 0
    is_quote: int = 0
    trade_at: int = 0
    n_trades: int = 0
    departure_at: int = 0
    n_departures: int = 0
    by_order: int = 0
    public_orders: int = 0
    has_order_messages: int = 0
    status: int = NO_STATUS
    funding_rate: float = math.nan
    settlement: float = math.nan
    asks_after: int = 1


@dataclass(slots=True)
class TradeRow:
    """A public print; side +1 where a buyer took, -1 a seller, 0 where none is said."""

    price: float = math.nan
    size: float = math.nan
    side: int = 0


@dataclass(slots=True)
class DepartureRow:
    """Lots that an order of somebody else lost; see `book_builder.Departure`."""

    side: int = 0
    price: float = math.nan
    size: float = math.nan
    number: int = 0
    executed: int = 0
