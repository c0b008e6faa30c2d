"""What happens outside a step, as typed values: market events, orders, reports, ledger entries."""

from typing import Any, Literal, TypeAlias

import msgspec

from decision_schema.units import Lots, Notional, Price, Size, UnixNs

Side: TypeAlias = Literal["buy", "sell"]
TimeInForce: TypeAlias = Literal["GTC", "IOC", "FOK"]
Level: TypeAlias = tuple[Price, Size]
Delta: TypeAlias = tuple[Side, Price, Size]
"""The new size of one level (``buy`` = of the bids); 0 = the level is gone."""
OrderOp: TypeAlias = Literal["add", "reduce", "execute", "delete", "modify", "clear"]

MAX_LEVELS = 20
"""Levels a side that the market state keeps, best first."""
HALTS = frozenset({"halt", "halted", "closed", "paused", "suspended"})
"""Words of ``status``, in lower case, while which a market does not trade."""
UNSET = msgspec.UNSET
"""An absent part of an event (None means: carried, and empty)."""


class Trade(msgspec.Struct, frozen=True, omit_defaults=True):
    """One public print.

    Args:
        price: Traded price.
        size: Traded size.
        aggressor_side: Who took liquidity; None = not said (then judged against the mid).
        ts_ns: Venue time; None = that of the event.
    """

    price: Price
    size: Size
    aggressor_side: Side | None = None
    ts_ns: UnixNs | None = None


class OrderMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the venue says of one order of anybody, in a feed that tells each.

    Args:
        op: ``add`` with its size, ``reduce`` and ``execute`` by the size taken off, ``delete`` of
            the whole order, ``modify`` to a new price or size, ``clear`` of the whole book.
        order_id: The venue's number; a text is kept as 63 bits of its digest.
        side: Side on which the order rests.
    """

    op: OrderOp
    order_id: int = 0
    side: Side | None = None
    price: Price | None = None
    size: Size | None = None


class Bad(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was wrong with an input.

    Args:
        reason: Reason code, with its subject: ``invalid_input:bid``.
        raw: What was seen, made storable; None where the event itself shows it.
    """

    reason: str
    raw: Any = None


class Event(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One message of the venue, or a timer, or a command, decoded.

    An absent part (`msgspec.UNSET`) leaves the market state as it is; None says that the side
    is empty. ``bids`` and ``asks`` are (price, size), best first, and win over the scalars.
    ``prev_seq`` is the number of the message that this one follows; ``book_seq`` numbers the
    states of the book across all channels of its market.
    """

    kind: Literal["market", "timer", "command"] = "market"
    market_id: str = ""
    channel: str = ""
    ts_ns: UnixNs | None = None
    received_ns: UnixNs | None = None
    seq: int | None = None
    prev_seq: int | None = None
    book_seq: int | None = None
    bid: Price | msgspec.UnsetType | None = UNSET
    ask: Price | msgspec.UnsetType | None = UNSET
    mid: Price | msgspec.UnsetType | None = UNSET
    bid_size: Size | msgspec.UnsetType | None = UNSET
    ask_size: Size | msgspec.UnsetType | None = UNSET
    bid_depth: Size | msgspec.UnsetType | None = UNSET
    ask_depth: Size | msgspec.UnsetType | None = UNSET
    depth: Size | msgspec.UnsetType | None = UNSET
    bids: tuple[Level, ...] | msgspec.UnsetType = UNSET
    asks: tuple[Level, ...] | msgspec.UnsetType = UNSET
    deltas: tuple[Delta, ...] | msgspec.UnsetType = UNSET
    order_messages: tuple[OrderMessage, ...] = ()
    trades: tuple[Trade, ...] = ()
    funding_rate: float | None = None
    settlement: Price | None = None
    status: str | None = None
    extra: dict[str, Any] = msgspec.field(default_factory=dict)
    bad: Bad | None = None

    @property
    def stamp_ns(self) -> UnixNs | None:
        """The time that the event carries: ours of receipt, else the venue's; None = none."""
        return self.ts_ns if self.received_ns is None else self.received_ns

    @property
    def has_quote(self) -> bool:
        """Whether the event carries a size at the best price of a side."""
        return not (self.bid_size is UNSET and self.ask_size is UNSET)

    @property
    def has_book(self) -> bool:
        """Whether the event carries any part of the book."""
        return not (
            self.bid is UNSET
            and self.ask is UNSET
            and self.bids is UNSET
            and self.asks is UNSET
            and self.deltas is UNSET
            and not self.order_messages
            and self.mid is UNSET
            and self.depth is UNSET
            and self.bid_depth is UNSET
            and self.ask_depth is UNSET
            and not self.has_quote
        )


class Order(msgspec.Struct, frozen=True):
    """What a broker is asked to place.

    Args:
        client_order_id: 26 characters, one for ever; the venue's name for it may differ.
        price: Limit; None = take at any price.
        level: The model's own level on that side, 0 first.
        action: ``ACT`` or ``EXIT``.
        params: The proposal's other params, for the broker.
    """

    client_order_id: str
    market_id: str
    side: Side
    price: Price | None
    size: Size
    time_in_force: TimeInForce = "GTC"
    post_only: bool = False
    reduce_only: bool = False
    level: int = 0
    action: str = "ACT"
    params: dict[str, Any] = msgspec.field(default_factory=dict)


OrderStatus: TypeAlias = Literal[
    "sent", "live", "filled", "canceled", "rejected", "expired", "unknown", "not_found"
]


class OrderUpdate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="order"):
    """What a broker says of one order.

    Args:
        status: ``sent`` = on its way, the answer follows; ``unknown`` = no evidence; ``not_found`` = the
            venue does not know the id.
        filled_size: Filled so far, where the broker says so.
        avg_price: Average price of what is filled so far.
        reason: Free text or code of the venue.
    """

    client_order_id: str
    status: OrderStatus
    filled_size: Size | None = None
    avg_price: Price | None = None
    reason: str = ""
    ts_ns: UnixNs | None = None


class Fill(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="fill"):
    """An execution of ours: a ledger entry.

    Args:
        fill_id: The venue's id of this execution; a repeated one changes nothing.
        fee: In account currency, positive = paid.
        liquidity_side: Whether our order rested (``maker``) or took (``taker``).
    """

    fill_id: str
    client_order_id: str
    market_id: str
    side: Side
    price: Price
    size: Size
    fee: Notional = 0.0
    liquidity_side: Literal["maker", "taker", ""] = ""
    ts_ns: UnixNs | None = None


class Funding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="funding"):
    """A payment for holding a position: a ledger entry; positive = received."""

    entry_id: str
    market_id: str
    amount: Notional


class Settlement(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="settlement"):
    """The end of a market at a price (binary: 0 or 1): a ledger entry that closes the position."""

    entry_id: str
    market_id: str
    price: Price


class Transfer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="transfer"):
    """Money paid in (positive) or out: a ledger entry that is no profit."""

    entry_id: str
    amount: Notional


class Correction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="correction"):
    """A repair by the venue or an operator: a ledger entry, with its reason.

    Args:
        lots: Change of the position, in lots, at `price`.
        amount: Change of cash beside it.
    """

    entry_id: str
    market_id: str
    reason: str
    lots: Lots = 0
    price: Price = 0.0
    amount: Notional = 0.0


class BrokerNote(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="note"):
    """A broker call that failed or answered what cannot be read.

    Args:
        call: Method that was called.
        error: Kind of the failure; the exception's text never stands here unredacted.
    """

    call: str
    error: str
    client_order_id: str = ""


LedgerEntry: TypeAlias = Fill | Funding | Settlement | Transfer | Correction
Report: TypeAlias = OrderUpdate | Fill | Funding | Settlement | Transfer | Correction | BrokerNote
