"""Columns as a source of events: what a batch run reads, for drivers that take one event at a time."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ami_engine.loop.columns import FLOATS, ROWS, Columns, chunks_of
from ami_engine.ports import MarketDataSource, RunContext
from decision_schema.errors import MdmError
from decision_schema.instruments import Instrument

_QUOTES = tuple(name for name in FLOATS if not name.startswith("trade_"))
_SIDES = {1: "buy", -1: "sell"}


class ColumnSource(MarketDataSource):
    """Yield the rows of columns as events, cells that are absent left out.

    Args:
        data: As in `columns.read_columns`. An iterator can be read once only; of anything else each
            run begins at the first row.
        market_id: Name of the market where no column names it.
        instruments: Of the markets, as far as known.

    After a failure `failed` holds it: no further row can be read.

    >>> source = ColumnSource({"ts_ns": [1, 2], "bid": [0.5, None], "ask": [0.52, 0.53]}, "M")
    >>> source.next_event()
    {'market_id': 'M', 'ts_ns': 1, 'bid': 0.5, 'ask': 0.52}
    >>> source.next_event(), source.next_event()
    ({'market_id': 'M', 'ts_ns': 2, 'ask': 0.53}, None)
    """

    def __init__(self, data: Any, market_id: str = "", instruments: Iterable[Instrument] = ()) -> None:
        self._data, self._market_id = data, market_id
        self._instruments = tuple(instruments)
        self._rows: Iterator[dict[str, Any]] | None = None
        self.failed: MdmError | None = None

    def open(self, context: RunContext) -> None:
        """Begin at the first row."""
        self._rows, self.failed = None, None

    def next_event(self) -> Mapping[str, Any] | None:
        """Return the next row as an event, or None after the last.

        Raises:
            ConfigError: The columns make no sense, as `columns.chunks_of` says.
            ContractError: A cell cannot be read.
        """
        if self.failed is not None:
            raise self.failed
        if self._rows is None:
            self._rows = _rows_of(self._data, self._market_id)
        try:
            return next(self._rows, None)
        except MdmError as error:
            self.failed = error  # there is nothing behind it: it must not look like the end
            raise

    def instruments(self) -> Sequence[Instrument]:
        """Return the instruments that were given."""
        return self._instruments


def _rows_of(data: Any, market_id: str) -> Iterator[dict[str, Any]]:
    for columns in chunks_of(data, ROWS, market_id=market_id):
        yield from events_of(columns)


def events_of(columns: Columns) -> Iterator[dict[str, Any]]:
    """Give each row of a piece as the dict of what it carries."""
    named = [name for name in _QUOTES if columns.has(name)]
    cells = [getattr(columns, name).tolist() for name in named]
    stamps = columns.ts_ns.tolist(), columns.received_ns.tolist(), columns.seq.tolist()
    has_trades = columns.has("trade_price")
    prints = (columns.trade_price.tolist(), columns.trade_size.tolist(), columns.trade_side.tolist())
    market_ids, markets = columns.market_ids, columns.market.tolist()
    for i in range(columns.length):
        event: dict[str, Any] = {"market_id": market_ids[markets[i]]}
        for name, whole in zip(("ts_ns", "received_ns", "seq"), stamps, strict=True):
            if whole[i] != -1:
                event[name] = whole[i]
        for name, numbers in zip(named, cells, strict=True):
            if numbers[i] == numbers[i]:
                event[name] = numbers[i]
        if has_trades:
            price, size = prints[0][i], prints[1][i]
            if price == price or size == size:
                event["trades"] = [_trade_of(price, size, prints[2][i])]
        yield event


def _trade_of(price: float, size: float, side: int) -> dict[str, Any]:
    """Give a print as a source would; half of one is kept, so that it is refused by name."""
    trade: dict[str, Any] = {}
    if price == price:
        trade["price"] = price
    if size == size:
        trade["size"] = size
    if side:
        trade["aggressor_side"] = _SIDES.get(side, side)
    return trade
