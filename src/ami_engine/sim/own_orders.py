"""The door of the simulated market: our orders in its book, by the conditions of `kernels.matching`.

Where the two differ, it is because here the book is real: our queue is what stands before us, our size
is displayed, what we take is gone, and agents see it. Orders of ours never trade with each other: one
that takes passes our own resting ones by.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ami_engine.kernels.matching import (
    ACCEPTED,
    NO_BOOK,
    NO_SHORT,
    NO_SLOT,
    NOT_WORKING,
    NOTHING_TO_REDUCE,
    WOULD_TAKE,
    fee_of,
)
from ami_engine.kernels.venue import (
    ANY_PRICE,
    BUY,
    CANCEL,
    FILL,
    FOK,
    GTC,
    MAX_VENUE_ORDERS,
    NAN,
    SELL,
    venue_for,
)
from ami_engine.ports import OrderTerms, VenueExecution
from ami_engine.sim.limit_book import Entry, LimitBook
from decision_schema.instruments import Instrument
from decision_schema.units import Lots, Ticks, UnixNs


@dataclass(slots=True)
class _Own:
    """One slot; `entry` is where its order rests."""

    side: int = BUY
    ticks: Ticks = 0
    lots: Lots = 0
    reduce_only: bool = False
    working: bool = False
    entry: Entry | None = None


class SimVenue:
    """An `OrderVenue` on the book of a simulated market.

    Args:
        instrument: Of the market.
        taken: Called with the side and the lots of what an order of ours took.
    """

    def __init__(self, instrument: Instrument, taken: Callable[[int, Lots], None]) -> None:
        self._market_id = instrument.market_id
        self._instrument = instrument
        self._taken = taken
        self._before: Callable[[UnixNs], None] | None = None
        self.reset()

    def reset(self) -> None:
        """Forget all orders, executions and the position; who is attached stays so."""
        self.book = LimitBook(self._fill_resting)
        self.is_open = False
        self._record = venue_for(self._instrument)
        self._slots = [_Own() for _ in range(MAX_VENUE_ORDERS)]
        self._executions: list[VenueExecution] = []

    def move_on(self, now_ns: UnixNs) -> None:
        """Say that the market is about to move on to a time; orders that were on their way may arrive."""
        self.book.now_ns = now_ns
        if self._before is not None:
            self._before(now_ns)

    # ------------------------------------------------------------ OrderVenue

    @property
    def market_id(self) -> str:
        """Name of the market."""
        return self._market_id

    def attach(self, before: Callable[[UnixNs], None]) -> None:
        """Have `before` called with each time that the market is about to move on to; the last one counts."""
        self._before = before

    def arrive(self, terms: OrderTerms) -> tuple[int, int]:
        """Let an order reach the market: ACCEPTED and its slot, or a refusal of `matching` and -1."""
        refusal = self._refusal(terms, -1)
        return (refusal, -1) if refusal != ACCEPTED else (ACCEPTED, self._place(terms))

    def cancel(self, slot: int) -> bool:
        """Cancel a working order; False, and nothing happens, if it works no more."""
        own = self._slots[slot]
        if not own.working:
            return False
        self._end(own)
        return True

    def replace(self, slot: int, terms: OrderTerms) -> tuple[int, int]:
        """Replace a working order in one act; refused, the old one works on."""
        own = self._slots[slot]
        if not own.working or own.entry is None:
            return NOT_WORKING, -1
        refusal = self._refusal(terms, slot)
        if refusal != ACCEPTED:
            return refusal, -1
        lots = min(terms.lots, self._reducible(terms.side, slot)) if terms.reduce_only else terms.lots
        same = terms.side == own.side and terms.limit == own.ticks and terms.time_in_force == GTC
        if same and lots <= own.lots:
            if lots < own.lots:
                self.book.reduce(own.entry, own.lots - lots)
            own.lots = lots
            own.reduce_only = terms.reduce_only
            return ACCEPTED, slot
        self._end(own)
        return ACCEPTED, self._place(terms)

    def is_working(self, slot: int) -> bool:
        """Tell whether the order in a slot works."""
        return self._slots[slot].working

    def open_lots(self, slot: int) -> Lots:
        """Give what an order has open, or had when it ended."""
        return self._slots[slot].lots

    def queue_ahead(self, slot: int) -> float:
        """Give the lots of others before a working order at its price; nan = it works no more."""
        entry = self._slots[slot].entry
        return NAN if entry is None else float(self.book.ahead_of(entry))

    def take_executions(self) -> list[VenueExecution]:
        """Give what happened since the last call, in order."""
        executions, self._executions = self._executions, []
        return executions

    # ------------------------------------------------------------ conditions

    def _refusal(self, terms: OrderTerms, leaving: int) -> int:
        if not self.is_open:
            return NO_BOOK
        no_limit = terms.limit == terms.side * ANY_PRICE
        if terms.post_only and (no_limit or self.book.takeable(terms.side, terms.limit) > 0):
            return WOULD_TAKE
        lots = terms.lots
        if terms.reduce_only:
            lots = min(lots, self._reducible(terms.side, leaving))
            if lots == 0:
                return NOTHING_TO_REDUCE
        if terms.side == SELL and not self._record.can_short:
            offered = sum(
                own.lots
                for slot, own in enumerate(self._slots)
                if own.working and own.side == SELL and slot != leaving
            )
            if lots > self._record.position - offered:
                return NO_SHORT
        if leaving < 0 and self._free_slot() < 0:
            return NO_SLOT
        return ACCEPTED

    def _reducible(self, side: int, leaving: int) -> Lots:
        room = -side * self._record.position
        for slot, own in enumerate(self._slots):
            if own.working and own.reduce_only and own.side == side and slot != leaving:
                room -= own.lots
        return max(0, room)

    def _free_slot(self) -> int:
        """Give a slot whose order works no more; if there is one, of which all has been told."""
        free = [slot for slot, own in enumerate(self._slots) if not own.working]
        untold = {execution.slot for execution in self._executions}
        return next((slot for slot in free if slot not in untold), free[0] if free else -1)

    def _place(self, terms: OrderTerms) -> int:
        slot = self._free_slot()
        own = self._slots[slot]
        own.side, own.ticks, own.lots = terms.side, terms.limit, terms.lots
        own.reduce_only, own.entry = terms.reduce_only, None
        if terms.reduce_only:
            own.lots = min(own.lots, self._reducible(terms.side, -1))
        own.working = True
        if terms.time_in_force != FOK or self.book.takeable(own.side, own.ticks) >= own.lots:
            self._take(slot, own)
        if own.lots > 0 and terms.time_in_force == GTC and terms.limit != terms.side * ANY_PRICE:
            own.entry = self.book.rest(own.side, own.ticks, own.lots, slot)
        else:
            self._end(own)
        self._end_reduce_only()
        return slot

    # ------------------------------------------------------------ fills

    def _take(self, slot: int, own: _Own) -> None:
        lots = own.lots
        if own.reduce_only:
            lots = min(lots, max(0, -own.side * self._record.position))
        prints = self.book.take_as_own(own.side, own.ticks, lots)
        for ticks, part in prints:
            self._fill(slot, own, ticks, part, maker=False)
        if prints:
            self._taken(own.side, sum(part for _, part in prints))

    def _fill_resting(self, entry: Entry, available: Lots) -> Lots:
        """Fill a resting order that an agent reached; one that may reduce no further goes instead."""
        own = self._slots[entry.owner]
        lots = min(own.lots, available)
        if own.reduce_only:
            lots = min(lots, max(0, -own.side * self._record.position))
        if lots > 0:
            self.book.reduce(entry, lots)
            self._fill(entry.owner, own, entry.ticks, lots, maker=True)
            if own.lots == 0:
                self._end(own)
        self._end_reduce_only()
        return lots

    def _fill(self, slot: int, own: _Own, ticks: Ticks, lots: Lots, *, maker: bool) -> None:
        own.lots -= lots
        self._record.position += own.side * lots
        fee = fee_of(self._record, ticks, lots, maker)
        self._executions.append(
            VenueExecution(FILL, slot, ticks, lots, own.lots, maker, fee, self.book.now_ns)
        )

    def _end(self, own: _Own) -> None:
        if own.entry is not None:
            self.book.leave(own.entry)
            own.entry = None
        own.working = False

    def _end_reduce_only(self) -> None:
        """Cancel working reduce-only orders that have no opposite position left."""
        for slot, own in enumerate(self._slots):
            if own.working and own.reduce_only and own.side * self._record.position >= 0:
                self._end(own)
                self._executions.append(
                    VenueExecution(CANCEL, slot, own.ticks, 0, own.lots, True, 0.0, self.book.now_ns)
                )
