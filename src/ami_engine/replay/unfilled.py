"""Orders that never filled, and how near the market came to them while they worked."""

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from decision_schema.instruments import DEFAULT_INSTRUMENT, Instrument
from decision_schema.packet_v2 import PacketV2

NEAREST = 10
WITHIN_TICKS = (0.5, 1.5, 2.5, 5.5, 10.5, 50.5)
"""Bounds of the counts by distance; whole ticks lie between them."""
_NAMES = ("0", "1", "2", "3 to 5", "6 to 10", "11 to 50", "more than 50")


class Unfilled(msgspec.Struct, frozen=True, kw_only=True):
    """An order that ended, or was left, without a fill.

    Args:
        sent_step: The step that sent it.
        end_step: The step after which it was gone; None = it was open at the end.
        ended: Its last known state.
        to_fill_ticks: Least distance of the far touch while it worked: the ask less a buy's price, a
            sale's price less the bid; None = no book came while it worked.
        behind_touch_ticks: Least distance behind the best price of its own side; negative = ahead of it.
    """

    client_order_id: str
    market_id: str
    side: str
    price: float
    size: float
    sent_step: int
    end_step: int | None
    ended: str
    to_fill_ticks: float | None
    behind_touch_ticks: float | None


@dataclass(slots=True)
class _Working:
    market_id: str
    side: str
    price: float | None
    size: float
    sent_step: int
    filled: bool = False
    status: str = "sent"
    to_fill: float = float("inf")
    behind: float = float("inf")


class OrderFates:
    """Follows the orders of a run from their packets; holds only those that work.

    Args:
        facts: The manifest of the run.
    """

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self._ticks: dict[str, float] = {}
        self._instruments = facts.get("instruments", {})
        self._working: dict[str, _Working] = {}
        self._nearest: list[tuple[float, int, Unfilled]] = []
        self._number = 0
        self.sent = 0
        self.filled = 0
        self.fills = 0
        self.by_end: dict[str, int] = {}
        self.by_distance: dict[str, int] = {}

    def take(self, packet: PacketV2) -> None:
        """Move on by one packet."""
        for report in packet.external["reports"]:
            self._report(report)
        for intent in packet.intents:
            if intent["op"] == "cancel":
                continue
            replaced = self._working.get(intent.get("replaces", ""))
            if replaced is not None:
                replaced.status = "replaced"
            self.sent += 1
            self._working[intent["client_order_id"]] = _Working(
                intent["market_id"], intent["side"], intent["price"], intent["size"], packet.step
            )
        if not self._working:
            return
        self._come_near(packet)
        left = {order["client_order_id"] for order in packet.state_after["open_orders"]}
        for order_id in [order_id for order_id in self._working if order_id not in left]:
            self._end(order_id, packet.step)

    def close(self, reports: Iterable[Mapping[str, Any]]) -> None:
        """Take what the broker said while the run was closed, and count what is left."""
        for report in reports:
            self._report(report)
        for order_id in list(self._working):
            self._end(order_id, None)

    @property
    def never_filled(self) -> int:
        """Orders without any fill."""
        return sum(self.by_end.values())

    def nearest(self) -> list[Unfilled]:
        """Give the orders that the market came nearest to, the nearest first."""
        return [order for _, _, order in sorted(self._nearest, key=lambda entry: (-entry[0], -entry[1]))]

    def _report(self, report: Mapping[str, Any]) -> None:
        order = self._working.get(report.get("client_order_id", ""))
        if report["type"] == "fill":
            self.fills += 1
            if order is not None and not order.filled:
                order.filled = True
                self.filled += 1
        elif report["type"] == "order" and order is not None:
            if order.status != "replaced":
                order.status = report["status"]
            is_filled = report["status"] == "filled" or bool(report.get("filled_size"))
            if is_filled and not order.filled:
                order.filled = True
                self.filled += 1

    def _come_near(self, packet: PacketV2) -> None:
        """Note how near the touch of this market is to its working orders."""
        features, market = packet.mdm["features"], packet.input.get("market_id", "")
        mid, spread = features.get("mid"), features.get("spread")
        if mid is None or spread is None:
            return
        tick = self._tick(market)
        for order in self._working.values():
            if order.market_id != market or order.price is None:
                continue
            sign = 1.0 if order.side == "buy" else -1.0
            from_mid = sign * (mid - order.price)
            order.to_fill = min(order.to_fill, _whole((from_mid + spread / 2.0) / tick))
            order.behind = min(order.behind, _whole((from_mid - spread / 2.0) / tick))

    def _tick(self, market: str) -> float:
        if market not in self._ticks:
            found = self._instruments.get(market)
            made = DEFAULT_INSTRUMENT if found is None else msgspec.convert(found, Instrument, strict=False)
            num, den = made.tick
            self._ticks[market] = num / den
        return self._ticks[market]

    def _end(self, order_id: str, step: int | None) -> None:
        order = self._working.pop(order_id)
        if order.filled:
            return
        ended = "open at the end" if step is None else order.status
        self.by_end[ended] = self.by_end.get(ended, 0) + 1
        if order.price is None or order.to_fill == float("inf"):
            self._count("not known")
            return
        place = sum(order.to_fill > bound for bound in WITHIN_TICKS)
        self._count(_NAMES[place])
        self._number += 1
        entry = Unfilled(
            client_order_id=order_id,
            market_id=order.market_id,
            side=order.side,
            price=order.price,
            size=order.size,
            sent_step=order.sent_step,
            end_step=step,
            ended=ended,
            to_fill_ticks=order.to_fill,
            behind_touch_ticks=order.behind,
        )
        heapq.heappush(self._nearest, (-order.to_fill, -self._number, entry))
        if len(self._nearest) > NEAREST:
            heapq.heappop(self._nearest)

    def _count(self, name: str) -> None:
        self.by_distance[name] = self.by_distance.get(name, 0) + 1


def _whole(ticks: float) -> float:
    """Take a number of ticks that is whole but for rounding as whole."""
    near = round(ticks, 6)
    return float(near) + 0.0
