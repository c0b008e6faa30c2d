"""What rows do to the markets alone, without a model and orders: the features that a scorer reads.

The records are the watcher's own. Market features hang on the rows alone, so they are those of the step.
"""

from ami_engine.kernels.admission import NEW, MarketFeed, MarketRow, admit_row, feed_delay, read_row
from ami_engine.kernels.event_clock import EventTime
from ami_engine.kernels.features import MarketState, advance_time, refresh_features
from ami_engine.kernels.inputs import Input, TradeRow
from ami_engine.kernels.latency import Latency
from ami_engine.kernels.observe import take_market
from decision_schema.kernel import kernel
from decision_schema.reasons import OK


@kernel
def watch_rows(
    states: list[MarketState],
    times: list[EventTime],
    feeds: list[MarketFeed],
    feed_latencies: list[Latency],
    seed: int,
    wall_ns: int,
    rows: list[MarketRow],
    first: int,
    last: int,
    inputs: list[Input],
    trades: list[TradeRow],
    places: list[int],
    found: list[list[float]],
    found_at: list[int],
    n_found: int,
) -> tuple[int, int]:
    """Take rows `first` to `last` into their markets: `states` by number, a blank one last.

    Of each row for which a model may be asked the features `places` are written to `found`, from
    `n_found` on, and its number to `found_at`.

    Returns:
        How far it came: before `last` where the market of a row is to be made; and how many were found.
    """
    inp = inputs[0]
    for i in range(first, last):
        row = rows[i]
        feed = feeds[row.feed]
        if feed.seen == 0 and feed.cell == NEW and read_row(feed.parts, row) < 0:
            return i, n_found
        state = states[feed.cell if feed.cell >= 0 else -1]
        delay = feed_delay(row, feed, feed_latencies[0], seed)
        admit_row(feed, state.book, state.staged, times[0], row, delay, wall_ns, trades, 0, inp)
        if inp.bad != OK:
            continue
        advance_time(state, inp.now_ns)
        take_market(state, inp, trades, inp.now_ns)
        refresh_features(state, inp.now_ns)
        if state.books > 0:
            for j in range(len(places)):
                found[n_found][j] = state.features[places[j]]
            found_at[n_found] = i
            n_found += 1
    return last, n_found
