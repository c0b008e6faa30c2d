"""CaptureSource: files of raw messages, a row each: our stamp, if there is one, then the venue's JSON.

What all venues have in common stands here: stamps, rows that cannot be read, which market a message
belongs to. A venue says what its messages mean.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ami_engine.adapters.captured.capture_peek import (
    ACKNOWLEDGEMENT,
    NO_MARKET,
    NO_STAMP,
    Message,
    peek_file,
    split_stamp,
    unit_of,
)
from ami_engine.adapters.captured.capture_values import MAX_WHOLE, Unusable
from ami_engine.adapters.files.rows import RowReader
from ami_engine.adapters.recorded import Files, OnDefect, OnRepeat, Opening, RecordedSource
from decision_schema.units import UnixNs

_SHOWN_SYMBOLS = 5


class CaptureSource(RecordedSource):
    """Yield one event for each message of a raw capture.

    A message that does not say its symbol belongs to the only one of its file. Without `market_id`
    each symbol is a market of its own. Rows whose stamp goes back are counted and given as they are.

    Args:
        files: Path or paths; see `RecordedSource`, also for the arguments that are not told here.
        symbol: Read only this one; empty = all, or the first one if `market_id` is given.
        market_id: Name of the market; empty = its symbol.

    Raises:
        ConfigError: An argument makes no sense.
        MarketDataError: A file is missing or empty, or its first rows are not of this venue.
    """

    venue = ""
    """Name in messages."""

    def __init__(
        self,
        files: Files,
        *,
        symbol: str = "",
        market_id: str = "",
        clock_offset_ms: float = 0,
        defects: OnDefect = "hold",
        repeats: OnRepeat = "keep",
        opening: Opening = "snapshot",
    ) -> None:
        self.symbol = symbol
        self._decode = msgspec.json.Decoder().decode
        super().__init__(
            files,
            market_id=market_id,
            clock_offset_ms=clock_offset_ms,
            defects=defects,
            repeats=repeats,
            opening=opening,
        )
        self.peeks = {file: peek_file(file, self.sort, self.venue) for file in self.files}

    def _start(self) -> None:
        super()._start()
        self._reader: RowReader | None = None
        self._unit_ns = NO_STAMP
        self._last_ns: UnixNs = 0
        self._last_payload = ""
        self._wanted = self.symbol
        self._markets: dict[str, str | None] = {}

    @abstractmethod
    def sort(self, message: dict[str, Any]) -> Message:
        """Say what kind of message it is, and of which symbol, in capitals.

        Raises:
            Unusable: It is no message of this venue.
        """

    @abstractmethod
    def parts_of(self, kind: str, data: dict[str, Any], symbol: str) -> dict[str, Any]:
        """Return the keys of the event: all but its market and our time of receipt.

        Raises:
            Unusable: A field is missing or no number.
        """

    def opening_markets(self) -> Sequence[str]:
        """Return the markets that the first rows name."""
        symbols = [symbol for peek in self.peeks.values() for _, symbol in peek.seen if symbol]
        markets = dict.fromkeys(self._market_of(symbol) for symbol in symbols)
        return [market for market in markets if market is not None] or [self.market_id]

    def fraction_of(self, file: Path) -> float:
        """Return the part of the present file that has been read."""
        return 0.0 if self._reader is None or self._reader.file != file else self._reader.fraction

    def rows_of(self, file: Path) -> Iterator[Mapping[str, Any] | None]:
        """Yield the events of one file, None for a row that gives none.

        Raises:
            MarketDataError: The file is cut or damaged; what came before was given.
        """
        peek = self.peeks[file]
        self._unit_ns = peek.unit_ns
        self._markets = {}
        for _, symbol in peek.seen:
            if symbol:
                self._market_of(symbol)
        self._reader = RowReader(file)
        for number, text in self._reader:
            self.rows += 1
            if text and not text.isspace():
                yield self._event_of(number, text, self._reader.flaw)
        if self.symbol and self._markets and not any(self._markets.values()):
            others = ", ".join([*self._markets][:_SHOWN_SYMBOLS])
            self.hint(f"{file.name} holds no symbol {self.symbol}, but {others}: correct symbol")

    def _event_of(self, row: int, text: str, flaw: str) -> Mapping[str, Any] | None:
        known: dict[str, Any] = {}
        stamp, payload = split_stamp(text)
        repeated = payload == self._last_payload
        self._last_payload = payload
        try:
            event = self._event(stamp, payload, flaw, known)
        except Unusable as error:
            reason = str(error)
        else:
            if not repeated or event is None:
                return event
            taken = self.repeated(row, text, event)
            return taken if taken is None or taken is event else {**taken, **known}
        held = self.unusable(reason, row, text)
        return None if held is None else {**self._sole_name(), **held, **known}

    def _sole_name(self) -> dict[str, str]:
        """Name the market of a row that does not say it, where the file has only one."""
        names = {market for market in self._markets.values() if market}
        return {"market_id": names.pop()} if len(names) == 1 else {}

    def _event(self, stamp: str, payload: str, flaw: str, known: dict[str, Any]) -> dict[str, Any] | None:
        """Make the event of a row; `known` takes its market and our time of receipt once they are known."""
        message = self._read(payload, flaw)
        self._take_stamp(stamp, known)
        kind, symbol, data = self.sort(message)
        if kind in (ACKNOWLEDGEMENT, NO_MARKET):
            self.counts[kind] += 1
            return None
        market = self._market_of(symbol) if symbol else self._only_market()
        if market is None:
            self.counts["other_symbol"] += 1
            return None
        if market:
            known["market_id"] = market
        return known | self.parts_of(kind, data, symbol)

    def _read(self, payload: str, flaw: str) -> dict[str, Any]:
        try:
            message = self._decode(payload)
        except (msgspec.DecodeError, RecursionError):
            torn = flaw in ("torn", "unterminated")
            raise Unusable("torn_row" if torn else f"{flaw or 'unreadable'}_row") from None
        if type(message) is not dict:
            raise Unusable("unreadable_row")
        return message

    def _take_stamp(self, stamp: str, known: dict[str, Any]) -> None:
        received = int(stamp) * self._unit_ns if stamp and unit_of(stamp) == self._unit_ns else 0
        if (stamp or self._unit_ns) and not 0 < received <= MAX_WHOLE:
            raise Unusable("bad_stamp")
        if stamp:
            if received < self._last_ns:
                self.counts["clock_back"] += 1
            self._last_ns = known["received_ns"] = received

    def _market_of(self, symbol: str) -> str | None:
        """Return the market of a symbol; None = it is not asked for."""
        if symbol not in self._markets:
            if not self._wanted and self.market_id:
                self._wanted = symbol
            if not self._wanted or symbol.casefold() == self._wanted.casefold():
                self._markets[symbol] = self.market_id or symbol
            else:
                self._markets[symbol] = None
                if not self.symbol:
                    self.hint(
                        f"market_id is {self.market_id!r}, but the data hold several symbols: only "
                        f"{self._wanted} is read; name the one you want by symbol"
                    )
        return self._markets[symbol]

    def _only_market(self) -> str | None:
        """Return the market of a message that does not say its symbol; empty = nothing names one."""
        if len(self._markets) > 1:
            raise Unusable("missing_field:symbol")
        return next(iter(self._markets.values()), self.market_id or self.symbol.upper())
