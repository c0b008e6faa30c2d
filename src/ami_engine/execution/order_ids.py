"""Client order ids: one for ever for each intent, and the way back from an id to its order."""

import base64
import hashlib
from collections import OrderedDict
from typing import NamedTuple

ID_CHARACTERS = 26
MAX_CLOSED = 65_536
"""Ended orders that are remembered, so that a late fill finds its order."""


class Place(NamedTuple):
    """Where an order stands: its market and its slot, or -1 where another order took its slot."""

    market: int
    slot: int


def client_order_id(run_key: bytes, step: int, leg: int) -> str:
    """Name an intent: 26 base32 characters of SHA-256(run key, step, leg).

    >>> client_order_id(b"key", 7, 0)
    'ASA7HSK67HUAJME3CA3OZGT4BX'
    """
    digest = hashlib.sha256(b"%s|%d|%d" % (run_key, step, leg)).digest()
    return base64.b32encode(digest)[:ID_CHARACTERS].decode()


class OrderIds:
    """Ids of all working orders and of the last ended ones."""

    def __init__(self) -> None:
        self._working: dict[str, Place] = {}
        self._by_place: dict[Place, str] = {}
        self._closed: OrderedDict[str, Place] = OrderedDict()
        self._left: dict[str, int] = {}

    def add(self, order_id: str, market: int, slot: int, lots: int) -> None:
        """Remember an order that is being sent; what stood in its slot has ended."""
        place = Place(market, slot)
        before = self._by_place.pop(place, None)
        if before is not None:
            del self._working[before]
            self._closed[before] = Place(market, -1)
            if len(self._closed) > MAX_CLOSED:
                del self._left[self._closed.popitem(last=False)[0]]
        self._working[order_id] = place
        self._by_place[place] = order_id
        self._left[order_id] = lots

    def fill(self, order_id: str, lots: int) -> int:
        """Count a fill of a known order, ended or not; return what it has left, below 0 = overfilled."""
        self._left[order_id] -= lots
        return self._left[order_id]

    def find(self, order_id: str) -> Place | None:
        """Find an order by its id; None = not ours, or forgotten."""
        return self._working.get(order_id) or self._closed.get(order_id)

    def of(self, market: int, slot: int) -> str:
        """Give the id of the order in a slot."""
        return self._by_place[market, slot]  # type: ignore[index]  # a tuple is as good, and made faster
