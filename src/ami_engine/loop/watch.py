"""Scores for rows of columns, before the loop takes them: features first, then the scorer, in blocks."""

from collections.abc import Callable, Sequence
from typing import Any

from ami_engine.kernels.admission import NEW, MarketFeed
from ami_engine.kernels.event_clock import EventTime
from ami_engine.kernels.features import new_market_state
from ami_engine.kernels.inputs import Input, TradeRow
from ami_engine.kernels.latency import FEED, Latency
from ami_engine.kernels.records import MAX_MARKETS
from ami_engine.kernels.watching import watch_rows
from ami_engine.loop.engine import Engine
from ami_engine.loop.market_rows import feed_at
from ami_engine.loop.record_arrays import laid_out, placed
from ami_engine.mdm.scorer import Scorer
from decision_schema.instruments import DEFAULT_INSTRUMENT
from decision_schema.units import NS_PER_MS
from dmc_core.jit import bound
from dmc_core.layout import RecordView


class Watch:
    """Markets of its own that see the rows first; nothing of them hangs on our orders.

    Args:
        engine: Says the instruments, the seed, the feed's latency, and whether kernels are compiled.
        places: Features wanted, by index.
    """

    def __init__(self, engine: Engine, places: list[int]) -> None:
        self._engine, self._fast = engine, engine.core.fast
        self._sample_ns = engine.config.sample_ns
        self._states = self._laid_out([new_market_state(DEFAULT_INSTRUMENT, self._sample_ns)])
        self._times = self._laid_out([EventTime()])
        self._feeds = self._laid_out([MarketFeed(cell=NEW)])
        self._latency = self._laid_out([feed_latency(engine)])
        self._scratch = [self._laid_out([record]) for record in (Input(), TradeRow())]
        self._places = places
        self._feed_ids: list[str] = []
        self._n_markets = 0
        self._run: Callable[..., tuple[int, int]] | None = None

    def _laid_out(self, records: list[Any]) -> Any:
        return laid_out(records, fast=self._fast)

    def features(self, rows: Any, last: int, feed_ids: Sequence[str], wall_ns: int) -> tuple[Any, Any]:
        """Give the features of the first `last` rows as a matrix, a row each for which a model may be asked.

        Args:
            rows: As `MarketRows` gives them.
            last: How many of them.
            feed_ids: Name of the market of each feed; there may be more than last time.
            wall_ns: The wall's time.

        Returns:
            The matrix, and the numbers of these rows.
        """
        import numpy as np

        for market_id in feed_ids[len(self._feed_ids) :]:
            self._feeds = placed(self._feeds, len(self._feed_ids), feed_of(self._engine, market_id))
            self._feed_ids.append(market_id)
        found: Any = np.zeros((last, len(self._places)))
        found_at: Any = np.zeros(last, np.int64)
        places: Any = np.array(self._places, np.int64)
        if not self._fast:
            found, found_at, places = found.tolist(), found_at.tolist(), self._places
        at = count = 0
        while at < last:
            arguments = (
                self._states, self._times, self._feeds, self._latency, self._engine.config.run.seed, wall_ns,
                rows, at, last, *self._scratch, places, found, found_at, count,
            )  # fmt: skip
            if self._run is None:
                self._run = bound(watch_rows, arguments) if self._fast else watch_rows
            at, count = self._run(*arguments)
            if at < last:
                self._add_market(feed_at(rows, at))
        matrix = np.asarray(found, np.float64).reshape(last, len(self._places))
        return matrix[:count], np.asarray(found_at, np.int64)[:count]

    def _add_market(self, code: int) -> None:
        feed = RecordView(self._feeds[code]) if self._fast else self._feeds[code]
        if self._n_markets >= MAX_MARKETS:
            feed.cell = -1
            return
        feed.cell = self._n_markets
        made = new_market_state(self._engine.instrument(self._feed_ids[code]), self._sample_ns)
        blank = new_market_state(DEFAULT_INSTRUMENT, self._sample_ns)
        self._states = placed(placed(self._states, self._n_markets, made), self._n_markets + 1, blank)
        self._n_markets += 1


def scores_of(
    watch: Watch, scorer: Scorer, rows: Any, last: int, feed_ids: Sequence[str], wall_ns: int
) -> Any:
    """Give the scores of the first `last` rows as a matrix; nan where none can be given."""
    import numpy as np

    features, at = watch.features(rows, last, feed_ids, wall_ns)
    scored = scorer.score_rows(features)
    scores = np.full((last, scorer.width), np.nan)
    scores[at] = scored
    return scores


def feed_of(engine: Engine, market_id: str) -> MarketFeed:
    """Make the feed of a market of which no row has come."""
    bounds = engine.instrument(market_id)
    return MarketFeed(
        cell=NEW,
        price_min=float(bounds.price_min),
        price_max=float(bounds.price_max),
        max_skew_ns=engine.config.run.max_clock_skew_ms * NS_PER_MS,
    )


def feed_latency(engine: Engine) -> Latency:
    """Give how long rows are under way to us."""
    data = engine.config.data
    return Latency(FEED, round(data.feed_latency_ms * NS_PER_MS), float(data.feed_latency_sigma))
