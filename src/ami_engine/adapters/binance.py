"""BinanceSource: raw websocket captures of Binance, spot and futures."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ami_engine.adapters.captured.binance_messages import (
    CHANGES,
    MARK,
    OTHER,
    QUOTE,
    SNAPSHOT,
    SUMMED_TRADE,
    TOP_LEVELS,
    TRADE,
    changes_of,
    mark_of,
    quote_of,
    snapshot_of,
    sort_message,
    time_of,
    trade_of,
)
from ami_engine.adapters.captured.capture_lines import CaptureSource
from ami_engine.adapters.captured.capture_peek import Message

_FULLER = {SUMMED_TRADE: TRADE, TOP_LEVELS: CHANGES}
"""Of two streams that tell the same, the one that tells more."""


class BinanceSource(CaptureSource):
    """Yield the messages of raw Binance captures, one event for each; see `CaptureSource`.

    A row is ``<our stamp> <JSON>`` or JSON alone, with or without the name of its stream. Read are
    quotes (``bookTicker``), changes of levels (``depth``), best levels (``depth5`` to ``depth20``),
    snapshots of the REST interface, trades (``trade``, ``aggTrade``) and ``markPrice``; other
    streams give events without parts. Where a market has both ``trade`` and ``aggTrade``, or both
    changes and best levels, the second of the two gives events without parts: the first tells it all.

    >>> import tempfile
    >>> from pathlib import Path
    >>> file = Path(tempfile.mkdtemp()) / "capture"
    >>> row = '{"u": 7, "s": "BTCUSDT", "b": "9.5", "B": "1", "a": "9.6", "A": "2"}'
    >>> _ = file.write_text("1723161254087891268 " + row)
    >>> BinanceSource(file).next_event()["bid"]
    9.5
    """

    venue = "Binance"

    def _start(self) -> None:
        super()._start()
        self._told: set[tuple[str, str]] = set()

    def rows_of(self, file: Path) -> Iterator[Mapping[str, Any] | None]:
        """Yield the events of one file, None for a row that gives none."""
        self._told = set(self.peeks[file].seen)
        yield from super().rows_of(file)

    def sort(self, message: dict[str, Any]) -> Message:
        """Say what kind of message it is, and of which symbol."""
        return sort_message(message)

    def parts_of(self, kind: str, data: dict[str, Any], symbol: str) -> dict[str, Any]:
        """Return the keys of the event: all but its market and our time of receipt."""
        if kind == QUOTE:
            parts = quote_of(data)
            if parts["bid"] is None or parts["ask"] is None:
                self.counts["empty_side"] += 1
            return parts
        if (fuller := _FULLER.get(kind)) is not None and (fuller, symbol) in self._told:
            self.counts[f"beside_{fuller}"] += 1
            self.hint(f"{symbol} has both {fuller} and {kind}, which tell the same: {kind} is left out")
            return {"channel": OTHER, **time_of(data), "stream": kind}
        if kind in _FULLER.values():
            self._told.add((kind, symbol))
        if kind == CHANGES:
            return changes_of(data)
        if kind in (TRADE, SUMMED_TRADE):
            parts = trade_of(data, kind)
            if "trades" not in parts:
                self.counts["not_market_trade"] += 1
            return parts
        if kind in (SNAPSHOT, TOP_LEVELS):
            return snapshot_of(data)
        if kind == MARK:
            return mark_of(data)
        return {"channel": OTHER, **time_of(data), "stream": data["stream"]}
