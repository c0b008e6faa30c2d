"""A market whose data are a record, as the kernels take it: each event in numbers, beside its books.

Our orders meet the record, it does not know of them. `kernels.paper` takes what is made here to
`kernels.matching`, where the conditions of a fill stand.
"""

from ami_engine.kernels.book import Book
from ami_engine.kernels.book_builder import BookBuilder, build, pass_by
from ami_engine.kernels.inputs import NONE, DepartureRow, Input, TradeRow
from ami_engine.kernels.venue import BUY, SELL
from decision_schema.events import UNSET, Event
from decision_schema.instruments import Instrument
from decision_schema.reasons import OK
from decision_schema.units import UnixNs

_TAKERS = {"buy": BUY, "sell": SELL}


class RecordedVenue:
    """The events of one market of recorded or live data, one by one.

    After `read` the event stands in ``inp``, ``trades`` and ``departures``, between the book ``before``
    it and the one ``after`` it; `keep` makes the latter the book before the next.

    Args:
        instrument: Its bounds.
    """

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument
        self._builder = BookBuilder()
        self.before, self.after = Book(), Book()
        self.inp = Input(is_read=1)
        self.trades: list[TradeRow] = []
        self.departures: list[DepartureRow] = []

    def read(self, event: Event, now_ns: UnixNs) -> None:
        """Read an event, in order on its channel; with a defect it changes the book only."""
        inp, builder, bounds = self.inp, self._builder, self._instrument
        code = OK
        if event.has_book:
            code = build(builder, self.before, event, self.after, bounds.price_min, bounds.price_max)
        else:
            pass_by(builder, event)
        inp.bad = 0 if event.bad is None and code == OK else 1
        inp.now_ns = now_ns
        inp.ts_ns = NONE if event.ts_ns is None else max(0, event.ts_ns)
        inp.has_book = int(event.has_book)
        inp.by_order = builder.follows_orders
        inp.public_orders = builder.orders.added
        built = event.deltas is not UNSET or len(event.order_messages) > 0
        inp.shows_bids = int(
            built
            or not (
                event.bids is UNSET
                and event.bid is UNSET
                and event.bid_size is UNSET
                and event.bid_depth is UNSET
            )
        )
        inp.shows_asks = int(
            built
            or not (
                event.asks is UNSET
                and event.ask is UNSET
                and event.ask_size is UNSET
                and event.ask_depth is UNSET
            )
        )
        self._read_trades(event)
        self._read_departures(event)

    def keep(self) -> None:
        """Keep the book that the event led to, where it can be used."""
        if self.inp.bad == 0 and self.inp.has_book == 1:
            self.before, self.after = self.after, self.before

    def _read_trades(self, event: Event) -> None:
        self.inp.n_trades = len(event.trades)
        while len(self.trades) < self.inp.n_trades:
            self.trades.append(TradeRow())
        for row, trade in zip(self.trades, event.trades, strict=False):
            row.price, row.size = trade.price, trade.size
            row.side = _TAKERS.get(trade.aggressor_side or "", 0)

    def _read_departures(self, event: Event) -> None:
        departed = self._builder.departures if event.order_messages else []
        self.inp.n_departures = len(departed)
        while len(self.departures) < len(departed):
            self.departures.append(DepartureRow())
        for row, (side, price, size, number, executed) in zip(self.departures, departed, strict=False):
            row.side, row.price, row.size, row.number, row.executed = side, price, size, number, int(executed)
