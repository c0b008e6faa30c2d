"""The batch driver: columns in, rows of decisions out, the whole loop compiled.

What one step does is the same as in run_loop.py, by the same kernels; only Python between the steps is
gone. What a compiled loop cannot call (a Python model, a policy hook, a broker of one's own, a market
that answers to orders) goes through run_loop.py instead, and gives the same.
"""

from collections.abc import Callable
from typing import Any

from ami_engine import clock
from ami_engine.execution.order_ids import client_order_id
from ami_engine.kernels import batch as kernels
from ami_engine.kernels.admission import NEW, MarketFeed
from ami_engine.kernels.event_clock import EventTime
from ami_engine.kernels.inputs import DepartureRow, TradeRow
from ami_engine.kernels.ledger import value_account
from ami_engine.kernels.orders import FREE
from ami_engine.kernels.records import MAX_MARKETS
from ami_engine.kernels.rows import DECISIONS, DecisionColumns, FillRow, OrderRow
from ami_engine.loop.arguments import timer_interval_ns
from ami_engine.loop.batch_counts import BatchCounts
from ami_engine.loop.batch_files import RowFiles, RowMemory
from ami_engine.loop.columns import Columns
from ami_engine.loop.edge import FeedCounts
from ami_engine.loop.engine import Engine
from ami_engine.loop.market_rows import CHUNK, MarketRows, feed_at
from ami_engine.loop.record_arrays import laid_out, placed
from ami_engine.loop.row_frames import columns_of, fields_of
from ami_engine.loop.watch import Watch, feed_latency, feed_of, scores_of
from ami_engine.sim.paper_broker import PaperBroker
from decision_schema.units import NS_PER_SECOND
from dmc_core.jit import entry
from dmc_core.layout import RecordView, array_of, layout_of

ROOM = 1_024
"""Least room for fills and orders of one step: more than it can make of them."""
CLOSING_ROUNDS = 20
CLOSING_NS = 10 * NS_PER_SECOND


class BatchRun:
    """One run over columns: state and rows as arrays (or, interpreted, as lists of records).

    Args:
        engine: Model (a kernel), policy, instruments; its core holds the state.
        broker: Says how orders fill.
        sink: Where rows go.
    """

    def __init__(self, engine: Engine, broker: PaperBroker, sink: RowFiles | RowMemory) -> None:
        self.engine, self.broker, self.sink = engine, broker, sink
        self.fast = engine.core.fast
        self.counts = BatchCounts(model_reasons_of(engine))
        self.events = 0
        self.limit = engine.config.run.steps
        config = engine.config
        timer_ns = timer_interval_ns(config, live=False)
        reasons = model_reasons_of(engine)
        door = kernels.Door(paper=broker.paper_for(config.run.seed), n_reasons=len(reasons))
        if engine.model.kernel_model is not None:
            door.x.params[:] = engine.model.kernel_model.values_of(engine.model.params)
        self.feed_ids: list[str] = []
        self._batches = self._laid_out([kernels.BatchState(timer_ns=timer_ns)])
        self._doors = self._laid_out([door])
        self._times = self._laid_out([EventTime()])
        self._latency = self._laid_out([feed_latency(engine)])
        self._trades, self._departures = self._laid_out([TradeRow()]), self._laid_out([DepartureRow()])
        self._market_rows = MarketRows(fast=self.fast)
        self._decisions = self._laid_out([DecisionColumns()])
        self._fills = self._empty(FillRow)
        self._orders = self._empty(OrderRow)
        self._markets: Any = None
        self._feeds: Any = None
        self._blank_market = broker.market_for(engine.instrument(""), 0)
        self._markets = self._laid_out([self._blank_market])
        self._feeds = self._laid_out([MarketFeed(cell=NEW)])
        self._table = self._table_of(broker.table)
        self.wall_ns = 0
        scorer = None if engine.model.kernel_model is None else engine.model.kernel_model.scorer
        self._scoring = None if scorer is None else (Watch(engine, scorer.places), scorer)
        self._scores = self._no_scores()
        self._run: Callable[..., Any] | None = None
        self.compile_ns = 0

    def _laid_out(self, records: list[Any]) -> Any:
        return laid_out(records, fast=self.fast)

    def _empty(self, kind: type) -> Any:
        """Make room for the fills or the orders of as many steps as decisions have room."""
        if not self.fast:
            return [kind() for _ in range(2 * ROOM)]
        import numpy as np

        return np.zeros(DECISIONS, layout_of(kind()))

    def _no_scores(self) -> Any:
        if not self.fast:
            return []
        import numpy as np

        return np.zeros((0, 1))

    def _table_of(self, table: list[list[int]]) -> Any:
        if not self.fast:
            return table
        import numpy as np

        return np.array(table, dtype=np.int64).reshape(3, -1)

    def _seen(self, array: Any) -> Any:
        return RecordView(array[0]) if self.fast else array[0]

    # ------------------------------------------------------------ rows in

    def take(self, columns: Columns) -> None:
        """Take rows of market data through the system."""
        for market_id in columns.market_ids[len(self.feed_ids) :]:
            self._add_feed(market_id)
        last = columns.length
        if self.limit is not None:
            last = min(last, self.limit - self.events)
        for first in range(0, last, CHUNK):
            count = min(CHUNK, last - first)
            rows, at = self._market_rows.load(columns, first, first + count), 0
            self._score(rows, count)
            while at < count:
                at, why = self._call(rows, at, count)
                self._take_rows()
                if why == kernels.NEEDS_MARKET:
                    self._add_market(feed_at(rows, at))
        self.events += last

    def _score(self, rows: Any, count: int) -> None:
        """Score the rows at hand, where the model has a scorer."""
        if self._scoring is not None:
            scores = scores_of(*self._scoring, rows, count, self.feed_ids, self.wall_ns)
            self._scores = scores if self.fast else scores.tolist()

    def _call(self, rows: Any, at: int, last: int) -> tuple[int, int]:
        core = self.engine.core
        arguments = [
            self._batches, core.states, core.cell_records, core.rule_records, self._doors, self._model(),
            self._markets, self._table, self._times, self._feeds, self._latency,
            self.engine.config.run.seed, self.wall_ns, rows, self._scores, at, last,
            self._decisions, self._fills, self._orders, ROOM, self._trades, self._departures,
        ]  # fmt: skip
        reached, why = self._call_kernel(kernels.run_columns, arguments)
        return int(reached), int(why)

    def _call_kernel(self, kernel: Callable[..., Any], arguments: list[Any]) -> Any:
        """Call the kernel of this run, compiled with the first arguments; the model stands among them."""
        if self._run is None:
            self._run, self._pointer = kernel, arguments[_MODEL_AT]
            if self.fast:
                begun_ns = clock.elapsed_ns()
                self._run, self._pointer = entry(kernel, arguments, _MODEL_AT, self._model_layouts())
                self.compile_ns += clock.elapsed_ns() - begun_ns
        arguments[_MODEL_AT] = self._pointer
        return self._run(*arguments)

    def _model(self) -> Any:
        model = self.engine.model.kernel_model
        assert model is not None  # noqa: S101 - who makes a BatchRun has seen to it
        return model.asked

    def _model_layouts(self) -> tuple[Any, ...]:
        door = self._doors.dtype
        return door["x"], self.engine.core.cell_records.dtype["memory"], door["decision"]["proposed"]

    def _add_feed(self, market_id: str) -> None:
        self._feeds = placed(self._feeds, len(self.feed_ids), feed_of(self.engine, market_id))
        self.feed_ids.append(market_id)

    def _add_market(self, code: int) -> None:
        """Make the market of a feed whose first row that can be read has come."""
        number = len(self.engine.market_ids)
        feed = RecordView(self._feeds[code]) if self.fast else self._feeds[code]
        if number >= MAX_MARKETS:
            feed.cell = -1
            return
        feed.cell = number
        self._make_market(self.feed_ids[code])

    def _make_market(self, market_id: str) -> None:
        """Make the next market, for the engine and at the paper venue."""
        engine, number = self.engine, len(self.engine.market_ids)
        engine.add_market(market_id)
        made = self.broker.market_for(engine.instrument(market_id), number)
        self._markets = placed(self._markets, number, made)

    # ------------------------------------------------------------ rows out

    def _take_rows(self) -> None:
        batch = self._seen(self._batches)
        n_rows, n_fills, n_orders = batch.n_rows, batch.n_fills, batch.n_orders
        batch.n_rows = batch.n_fills = batch.n_orders = 0  # also where they cannot be stored
        fills, orders = self._fills[:n_fills], self._orders[:n_orders]
        if not self.fast:
            fills, orders = (array_of(part) if part else None for part in (fills, orders))
        if n_rows:
            decisions = self._written_columns(n_rows)
            self.counts.count(decisions, orders)
            self.sink.append("decisions", decisions)
        if n_fills:
            self.sink.append("fills", columns_of(fills))
        if n_orders:
            self.sink.append("orders", columns_of(orders))

    def _written_columns(self, count: int) -> Any:
        """Give the decisions written since the last call: a row of 8-byte cells for each field."""
        import numpy as np

        written, names = self._decisions[0], fields_of("decisions")
        lists = [written[name] if self.fast else np.array(getattr(written, name)) for name in names]
        return np.stack([cells[:count].view(np.int64) for cells in lists])

    # ------------------------------------------------------------ the end

    def close(self) -> None:
        """Cancel what still rests and take the confirmations, within a bound, as the live loop does."""
        self._take_rows()  # those of a run that an error ended
        core = self.engine.core
        now_ns = core.state.now_ns
        views = self._views()
        batches, states, cells, rules, doors, markets = views
        table = [list(map(int, row)) for row in self._table]
        for _ in range(CLOSING_ROUNDS):
            fills = [FillRow() for _ in range(2 * ROOM)]
            n_open = kernels.close_round(batches, states, cells, rules, doors, markets, table, fills, now_ns)
            n_fills = batches[0].n_fills
            if n_fills:
                self.sink.append("fills", columns_of(array_of(fills[:n_fills])))
                batches[0].n_fills = 0
            if n_open == 0:
                break
            now_ns += CLOSING_NS
            kernels.close_cancel(states, cells, doors, markets, table)
        self._name_open_orders()
        value_account(core.state.account, core.cells, len(core.cells) - 1, core.state.now_ns)
        if batches[0].unusable:
            self.engine.model.unusable()  # it is told once a kind
        self.counts.finish(batches[0], core.state)
        self._count_bad_inputs(batches[0])

    def _count_bad_inputs(self, batch: kernels.BatchState) -> None:
        self.counts.finish_bad_inputs(batch)

    def _name_open_orders(self) -> None:
        """Give the orders whose end is not confirmed their names, for the summary."""
        engine = self.engine
        for number, cell in enumerate(engine.cells):
            for i in range(cell.orders.used):
                slot = cell.orders.slots[i]
                if slot.status != FREE:
                    name = client_order_id(engine.run_key, slot.step, slot.leg)
                    engine.ids.add(name, number, i, slot.lots)

    def _views(self) -> tuple[Any, ...]:
        """Give the records as the interpreted kernels read them."""
        core = self.engine.core
        arrays = (
            self._batches, core.states, core.cell_records, core.rule_records, self._doors, self._markets
        )  # fmt: skip
        if not self.fast:
            return arrays
        return tuple([RecordView(record) for record in array] for array in arrays)

    def feed_counts(self) -> dict[str, FeedCounts]:
        """Give what went wrong with the rows, by market."""
        views = [RecordView(feed) for feed in self._feeds] if self.fast else self._feeds
        return {
            name: FeedCounts(messages_lost=views[i].channels.lost, late_quotes=views[i].quotes.late_quotes)
            for i, name in enumerate(self.feed_ids)
        }


def model_reasons_of(engine: Engine) -> tuple[str, ...]:
    """Give the words of a model that is a kernel, by number."""
    model = engine.model.kernel_model
    return () if model is None else model.reasons


_MODEL_AT = 5
