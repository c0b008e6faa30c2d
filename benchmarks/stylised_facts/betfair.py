"""A reader for streams of the Betfair Exchange: one runner of one market, while it is in play.

Odds become prices from 0 to 1: what is available to back is offered at 1 / odds, what is available to
lay is bid. A stake becomes contracts that pay 1: stake times odds. The stream tells the volume traded at
each odds, of both sides; half of what it grew by is a print, and nobody says who took.
"""

import bz2
import gzip
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from ami_engine.ports import MarketDataSource
from decision_schema.events import MAX_LEVELS

DECIMALS = 3
"""Prices are rounded to 0.001; a step of odds is about five of it."""


class BetfairSource(MarketDataSource):
    """Yield a snapshot with its prints for each message about one runner, from kick-off on."""

    live = False

    def __init__(self, file: Path, runner: int, market_id: str) -> None:
        self._events = self._read(file, runner, market_id)

    def next_event(self) -> Mapping[str, Any] | None:
        """Return the next event, or None after the last."""
        return next(self._events, None)

    def _read(self, file: Path, runner: int, market_id: str) -> Iterator[dict[str, Any]]:
        backs: dict[float, float] = {}
        lays: dict[float, float] = {}
        traded: dict[float, float] = {}
        playing = False
        opened = bz2.open if file.suffix == ".bz2" else gzip.open
        with opened(file, "rb") as lines:
            for line in lines:
                message = msgspec.json.decode(line.replace(b"NaN", b"null"))
                for change in message.get("mc", ()):
                    told = change.get("marketDefinition")
                    if told is not None:
                        playing = told["inPlay"] and told["status"] == "OPEN"
                    ours = [each for each in change.get("rc", ()) if each["id"] == runner]
                    if change.get("img"):
                        backs.clear()
                        lays.clear()
                    prints = []
                    for each in ours:
                        _change(backs, each.get("atb", ()))
                        _change(lays, each.get("atl", ()))
                        for odds, size in each.get("trd", ()):
                            grown = (size - traded.get(odds, 0.0)) / 2
                            traded[odds] = size
                            if grown > 0.0:
                                prints.append({"price": _price(odds), "size": grown * odds})
                    if playing and ours:
                        yield {
                            "market_id": market_id,
                            "ts_ms": message["pt"],
                            "bids": _levels(lays, -1),
                            "asks": _levels(backs, 1),
                            "trades": prints,
                        }


def _change(side: dict[float, float], changes: list[list[float]]) -> None:
    for odds, stake in changes:
        if stake:
            side[odds] = stake
        else:
            side.pop(odds, None)


def _price(odds: float) -> float:
    return round(1.0 / odds, DECIMALS)


def _levels(side: dict[float, float], sign: int) -> list[tuple[float, float]]:
    """Give the best levels; odds that round to one price are one level."""
    sizes: dict[float, float] = {}
    for odds, stake in side.items():
        price = _price(odds)
        sizes[price] = sizes.get(price, 0.0) + stake * odds
    return sorted(sizes.items(), key=lambda level: sign * level[0])[:MAX_LEVELS]
