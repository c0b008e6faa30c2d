"""Admitted events laid side by side, so that the compiled loop takes many of them in one call."""

import struct
from operator import attrgetter
from typing import Any, Protocol

from ami_engine.kernels.book import Book
from ami_engine.kernels.inputs import DepartureRow, Input, TradeRow
from ami_engine.loop.edge import Admitted
from decision_schema.reasons import OK
from dmc_core.layout import layout_of

INPUTS = 1_024
"""Inputs of a chunk, timers among them: with their books 1 MB."""
_INPUT_OF = attrgetter(*Input.__slots__)
_INPUT = struct.Struct("".join("d" if isinstance(v, float) else "q" for v in _INPUT_OF(Input())))
_BOOK = struct.Struct("6d2q")
_BOOK_OF = attrgetter("bid", "ask", "mid", "bid_depth", "ask_depth", "depth", "n_bids", "n_asks")
_TRADE = struct.Struct("ddq")
_TRADE_OF = attrgetter("price", "size", "side")
_DEPARTURE = struct.Struct("qddqq")
_DEPARTURE_OF = attrgetter("side", "price", "size", "number", "executed")


class InputChunk(Protocol):
    """Inputs on their way into the loop, as `kernels.batch.run_inputs` takes them."""

    inputs: Any
    books: Any
    trades: Any
    departures: Any
    length: int
    is_full: bool

    def put(self, admitted: Admitted) -> None:
        """Take in what was admitted; it must be taken away at once where the chunk `is_full` then."""

    def clear(self) -> None:
        """Begin anew."""


class InputList:
    """The chunk of an interpreted run: one input, as it stands."""

    def __init__(self) -> None:
        self.inputs: list[Input] = []
        self.books: list[Book] = []
        self.trades: list[Any] = []
        self.departures: list[Any] = []
        self.length, self.is_full = 0, False

    def put(self, admitted: Admitted) -> None:
        """Take in what was admitted."""
        self.inputs, self.books = [admitted.inp], [admitted.book]
        self.trades, self.departures = admitted.trades, admitted.departures
        self.length, self.is_full = 1, True

    def clear(self) -> None:
        """Begin anew."""
        self.length, self.is_full = 0, False


class InputArrays:
    """The chunk of a compiled run: arrays that are copied into.

    Of a book only its levels are written, behind their number: what stands beyond is of no account.

    >>> from ami_engine.kernels.inputs import Input
    >>> from decision_schema.events import Event
    >>> chunk = InputArrays(2)
    >>> chunk.put(Admitted(Event(), Input(n_trades=1), Book(), [TradeRow(0.5, 3.0, 1)], []))
    >>> chunk.length, chunk.is_full, chunk.trades["price"][0].item()
    (1, False, 0.5)
    """

    def __init__(self, count: int = INPUTS) -> None:
        import numpy as np

        self.inputs = np.zeros(count, layout_of(Input()))
        self.books = np.zeros(count, layout_of(Book()))
        fields = self.books.dtype.fields
        self._levels_at = [fields[name][1] for name in ("bid_prices", "bid_sizes", "ask_prices", "ask_sizes")]
        self._input_bytes, self._book_bytes = _bytes_of(self.inputs), _bytes_of(self.books)
        self.trades = np.zeros(count, layout_of(TradeRow()))
        self.departures = np.zeros(count, layout_of(DepartureRow()))
        self.clear()

    def put(self, admitted: Admitted) -> None:
        """Take in what was admitted."""
        inp, at = admitted.inp, self.length
        inp.trade_at, inp.departure_at = self._n_trades, self._n_departures
        _INPUT.pack_into(self._input_bytes, at * _INPUT.size, *_INPUT_OF(inp))
        if inp.bad == OK and inp.has_book == 1:
            self._put_book(admitted.book, at * self.books.itemsize)
        if inp.n_trades > 0:
            self._n_trades += inp.n_trades
            self.trades = _with_room(self.trades, self._n_trades)
            _write(_TRADE, self.trades, inp.trade_at, map(_TRADE_OF, admitted.trades))
        if inp.n_departures > 0:
            self._n_departures += inp.n_departures
            self.departures = _with_room(self.departures, self._n_departures)
            _write(_DEPARTURE, self.departures, inp.departure_at, map(_DEPARTURE_OF, admitted.departures))
        self.length += 1
        self.is_full = self.length == len(self.inputs)

    def _put_book(self, book: Book, place: int) -> None:
        _BOOK.pack_into(self._book_bytes, place, *_BOOK_OF(book))
        sides = (
            (book.n_bids, book.bid_prices), (book.n_bids, book.bid_sizes),
            (book.n_asks, book.ask_prices), (book.n_asks, book.ask_sizes),
        )  # fmt: skip
        for offset, (count, numbers) in zip(self._levels_at, sides, strict=True):
            if count:
                struct.pack_into(f"{count}d", self._book_bytes, place + offset, *numbers[:count])

    def clear(self) -> None:
        """Begin anew."""
        self.length = self._n_trades = self._n_departures = 0
        self.is_full = False


def _bytes_of(array: Any) -> Any:
    import numpy as np

    return array.view(np.uint8).data


def _with_room(array: Any, count: int) -> Any:
    """Give an array of at least so many entries, those there are in front."""
    if count <= len(array):
        return array
    import numpy as np

    return np.concatenate([array, np.zeros(2 * count - len(array), array.dtype)])


def _write(form: struct.Struct, array: Any, first: int, rows: Any) -> None:
    held = _bytes_of(array)
    for place, row in enumerate(rows, first):
        form.pack_into(held, place * form.size, *row)
