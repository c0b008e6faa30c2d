"""The two interfaces a user implements, each with one abstract method and honest defaults.

Beside them the door that a simulated market opens to our orders.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import msgspec

from decision_schema.errors import UnsupportedByBroker
from decision_schema.events import Event, Fill, Order, OrderUpdate
from decision_schema.instruments import Instrument
from decision_schema.units import DurationNs, Lots, Notional, Ticks, UnixMs, UnixNs


class OrderTerms(NamedTuple):
    """An order as a venue takes it, on its grid; the numbers are those of `kernels.venue`.

    Args:
        side: BUY or SELL.
        limit: In ticks; ``side * ANY_PRICE`` = no limit.
        lots: At least 1.
        time_in_force: GTC, IOC or FOK.
        post_only: Refuse rather than take.
        reduce_only: Never more than the opposite position.
    """

    side: int
    limit: Ticks
    lots: Lots
    time_in_force: int
    post_only: bool
    reduce_only: bool


class VenueExecution(NamedTuple):
    """What happened to an order of ours at a venue.

    Args:
        kind: FILL, or CANCEL = the venue ended the order by itself.
        slot: The order.
        ticks: Price of the fill.
        lots: Size of the fill.
        open_lots: What the order has open after it.
        maker: The order rested.
        fee: Of the fill, positive = paid.
        ts_ns: When, by the venue's clock.
    """

    kind: int
    slot: int
    ticks: Ticks
    lots: Lots
    open_lots: Lots
    maker: bool
    fee: Notional
    ts_ns: UnixNs


@runtime_checkable
class OrderVenue(Protocol):
    """One market that our orders enter: recorded data, or a simulated book that answers to them.

    An order is named by its slot; a slot may be used again once its order works no more.
    """

    @property
    def market_id(self) -> str:
        """Name of the market."""

    def attach(self, before: Callable[[UnixNs], None]) -> None:
        """Have `before` called with each time that the market is about to move on to."""

    def arrive(self, terms: OrderTerms) -> tuple[int, int]:
        """Let an order reach the market: ACCEPTED and its slot, or a refusal of `matching` and -1."""

    def cancel(self, slot: int) -> bool:
        """Cancel a working order; False, and nothing happens, if it works no more."""

    def replace(self, slot: int, terms: OrderTerms) -> tuple[int, int]:
        """Replace a working order in one act; refused, the old one works on."""

    def is_working(self, slot: int) -> bool:
        """Tell whether the order in a slot works."""

    def open_lots(self, slot: int) -> Lots:
        """Give what an order has open."""

    def queue_ahead(self, slot: int) -> float:
        """Give the lots of others before a working order at its price; nan = not known."""

    def take_executions(self) -> list[VenueExecution]:
        """Give what happened since the last call, in order."""


class RunContext(msgspec.Struct, frozen=True, kw_only=True):
    """What a source and a broker are told when a run opens them.

    Args:
        run_id: Name of the run.
        seed: Seed of every chance in the run.
        instruments: By market id, as far as known at the start.
        dry_run: True where no order will be sent.
        venues: Markets that take our orders into their own book, by market id.
    """

    run_id: str
    seed: int = 0
    instruments: Mapping[str, Instrument] = msgspec.field(default_factory=dict)
    dry_run: bool = False
    venues: Mapping[str, OrderVenue] = msgspec.field(default_factory=dict)


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a broker can do, as its overridden methods show."""

    cancel: bool = False
    replace: bool = False
    query: bool = False
    fills: bool = False
    live: bool = False
    thread_safe: bool = False


class MarketDataSource(ABC):
    """Yields market events. Only `next_event` must be written."""

    live: bool = False
    """True: events come as they happen, and the wall clock stamps them."""
    clock_offset_ns: DurationNs = 0
    """Added to the venue's times; constant for a run, and recorded."""
    venue: object = None
    """An `OrderVenue` where simulated orders enter the source's own book; anything else says nothing."""

    @abstractmethod
    def next_event(self) -> Mapping[str, Any] | None:
        """Return the next event as a dict, or None when there are no more."""

    def open(self, context: RunContext) -> None:
        """Prepare for a run."""

    def close(self) -> None:
        """Release what `open` took."""

    def instruments(self) -> Sequence[Instrument]:
        """Return the instruments this source knows; empty = the config or the default says."""
        return ()

    def progress(self) -> float | None:
        """Return the part of the data that has been read, from 0 to 1; None = not known."""
        return None

    def quality(self) -> dict[str, Any]:
        """Return what the source counted of its data: rows, defects by kind, hints for the user."""
        return {}


class Broker(ABC):
    """Carries out orders. Only `submit_order` must be written.

    Answers are None (= accepted), a dict, or an `OrderUpdate`; they are inputs of the next
    packet. An exception means that the outcome is unknown: such an order counts at its full
    size until evidence comes, and is never sent again.
    """

    live: bool = False
    """True: orders reach a venue; packets are made durable before any is sent."""
    thread_safe: bool = False
    """True: methods may be called from another thread."""

    @abstractmethod
    def submit_order(self, order: Order) -> OrderUpdate | Mapping[str, Any] | None:
        """Send one order."""

    def open(self, context: RunContext) -> None:
        """Prepare for a run."""

    def on_event(self, event: Event, now_ns: UnixNs) -> None:
        """Take a market event that the loop accepted; simulated brokers match against it.

        Also one whose book cannot be used (crossed, with a gap …) comes here, `event.bad` saying so:
        who builds a book of its own must read it, and match nothing against it.
        """

    def cancel_order(self, client_order_id: str) -> OrderUpdate | Mapping[str, Any] | None:
        """Cancel one order; None = the request was taken, confirmation follows."""
        raise UnsupportedByBroker(
            "this broker has no cancel_order: its orders rest until they fill or expire"
        )

    def replace_order(self, client_order_id: str, order: Order) -> OrderUpdate | Mapping[str, Any] | None:
        """Replace one order by another in one act of the venue: never both can fill."""
        raise UnsupportedByBroker(
            "this broker has no replace_order: the loop cancels first and submits after"
        )

    def cancel_all(self, market_id: str | None = None) -> None:
        """Cancel every order of one market, or of all."""
        raise UnsupportedByBroker("this broker has no cancel_all: the loop cancels one by one")

    def query_order(self, client_order_id: str) -> OrderUpdate | Mapping[str, Any] | None:
        """Ask for the state of one order; None = the venue does not know the id."""
        raise UnsupportedByBroker("this broker has no query_order: an unknown outcome stays unknown")

    def process_fills(self, now_ms: UnixMs) -> Sequence[Fill | OrderUpdate | Mapping[str, Any]]:
        """Return what happened to our orders since the last call, in order."""
        return []

    def get_state(self) -> dict[str, Any]:
        """Return account readings of the venue, such as positions and balances."""
        return {}

    def describe(self) -> dict[str, Any]:
        """Return how orders fill here, such as the queue and latency model; the summary shows it."""
        return {}

    def capabilities(self) -> Capabilities:
        """Tell what this broker can do, by which methods it overrides."""

        def overrides(name: str) -> bool:
            return getattr(type(self), name) is not getattr(Broker, name)

        return Capabilities(
            cancel=overrides("cancel_order"),
            replace=overrides("replace_order"),
            query=overrides("query_order"),
            fills=overrides("process_fills"),
            live=self.live,
            thread_safe=self.thread_safe,
        )

    def close(self) -> None:
        """Release what `open` took."""
