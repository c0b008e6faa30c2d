"""The edge of the ledger: typed entries, each booked once, sizes turned into lots."""

from collections.abc import Iterator
from typing import TypeAlias

from ami_engine.kernels.ledger import (
    Account,
    Position,
    apply_correction,
    apply_fill,
    apply_funding,
    apply_settlement,
    apply_transfer,
)
from decision_schema.errors import ContractError
from decision_schema.events import Correction, Fill, Funding, LedgerEntry, Settlement, Transfer
from decision_schema.instruments import GRID_TOLERANCE, price_of, steps_of
from decision_schema.units import Lots, Size

EntryId: TypeAlias = tuple[str, str, str]
"""Kind, market and the venue's id: a repeated entry has all three the same."""

REMEMBERED = 65_536
"""Ids that an `EntryLog` keeps."""
MAX_LOTS = 2**50
"""Above it the rounding of a float size comes near half a lot."""


class EntryLog:
    """Remembers which entries were booked, so that a repeated report changes nothing.

    The last `capacity` ids are kept, in the order of their first arrival; an entry repeated after
    that many others would be booked again. Iterating gives the ids, oldest first.

    >>> log = EntryLog()
    >>> log.seen(("fill", "BTC", "f1")), log.seen(("fill", "BTC", "f1")), len(log)
    (False, True, 1)
    """

    def __init__(self, capacity: int = REMEMBERED) -> None:
        if capacity < 1:
            raise ContractError(f"capacity is {capacity}: keep at least 1 id")
        self.capacity = capacity
        self._ids: dict[EntryId, None] = {}

    def seen(self, entry: EntryId) -> bool:
        """Tell whether the id was given before, and record it."""
        if entry in self._ids:
            return True
        if len(self._ids) == self.capacity:
            del self._ids[next(iter(self._ids))]
        self._ids[entry] = None
        return False

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[EntryId]:
        return iter(self._ids)


def entry_id(entry: LedgerEntry) -> EntryId:
    """Give what makes an entry unique: its kind, its market ("" for a transfer) and its id.

    >>> entry_id(Transfer(entry_id="t1", amount=5.0))
    ('transfer', '', 't1')
    """
    if isinstance(entry, Fill):
        return ("fill", entry.market_id, entry.fill_id)
    if isinstance(entry, Transfer):
        return ("transfer", "", entry.entry_id)
    return (type(entry).__name__.lower(), entry.market_id, entry.entry_id)


def whole_lots(size: Size, lot_num: int, lot_den: int) -> Lots:
    """Give a size > 0 in whole lots of ``lot_num / lot_den``.

    Raises:
        ContractError: The size is more than 1e-6 lot off the grid, below one lot, or above 2**50 lots.

    >>> whole_lots(0.57, 1, 100)
    57
    """
    steps = steps_of(size, lot_num, lot_den)
    lot = f"lots of {price_of(1, lot_num, lot_den):g}"
    if not 0.0 < steps <= MAX_LOTS:
        raise ContractError(f"size {size} is not between one and 2**50 {lot}: give units of base, > 0")
    lots = round(steps)
    # A large size is the float nearest to its decimal, which may miss the grid by more than the tolerance.
    if lots == 0 or (abs(steps - lots) > GRID_TOLERANCE and price_of(lots, lot_num, lot_den) != size):
        raise ContractError(f"size {size} is {steps:.9g} {lot}: give whole lots, or correct lot_size")
    return lots


def apply_entry(account: Account, position: Position | None, entry: LedgerEntry) -> None:
    """Book an entry into the account and the position of its market, whether or not it is a repeat.

    Args:
        account: Sums over all markets.
        position: That of ``entry.market_id``; None will do for a transfer.
        entry: A typed entry with finite numbers, as `decode_report` gives it.

    Raises:
        ContractError: The entry does not fit the market; then nothing was changed.

    >>> from ami_engine.kernels.ledger import new_account
    >>> account, position = new_account(100.0), Position(1, 10, 1.0, 0)
    >>> fill = Fill(fill_id="f1", client_order_id="A", market_id="X", side="buy", price=10.0, size=0.3)
    >>> apply_entry(account, position, fill)
    >>> position.lots, position.cost
    (3, 3.0)
    """
    if isinstance(entry, Transfer):
        apply_transfer(account, entry.amount)
        return
    if position is None:
        raise ContractError(f"{entry_id(entry)} names market {entry.market_id!r}: give its position")
    if isinstance(entry, Fill):
        check_entry(position, entry)
        lots = whole_lots(entry.size, position.lot_num, position.lot_den)
        apply_fill(account, position, 1 if entry.side == "buy" else -1, lots, entry.price, entry.fee)
    elif isinstance(entry, Funding):
        apply_funding(account, position, entry.amount)
    elif isinstance(entry, Settlement):
        check_entry(position, entry)
        apply_settlement(account, position, entry.price)
    else:
        check_entry(position, entry)
        apply_correction(account, position, entry.lots, entry.price, entry.amount)


def check_entry(position: Position, entry: Fill | Settlement | Correction) -> None:
    """Refuse a price that the market cannot have.

    Raises:
        ContractError: The market is binary and the price outside 0 to 1.
    """
    if position.is_binary != 0 and not 0.0 <= entry.price <= 1.0:
        raise ContractError(f"{entry_id(entry)} has price {entry.price} in a binary market: give 0 to 1")
