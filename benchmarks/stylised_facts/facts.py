"""Stylised facts of one market: what its book, its trades and its price are like, in numbers.

Sources of the facts and their formulas:

- R. Cont, "Empirical properties of asset returns: stylized facts and statistical issues", 2001:
  kurtosis, autocorrelation of returns and of absolute returns.
- A. Lo, A. C. MacKinlay, "Stock market prices do not follow random walks", 1988: variance ratio.
- F. Lillo, J. D. Farmer, "The long memory of the efficient market", 2004: signs of trades.
- J.-P. Bouchaud, Y. Gefen, M. Potters, M. Wyart, "Fluctuations and response in financial markets",
  2004: the response of the mid to a trade.
- U. Fano, 1947: variance over mean of counts; 1 = arrivals that know nothing of each other.

Numbers that the data do not tell are nan.
"""

from dataclasses import dataclass, field

import numpy as np

from ami_engine.ports import MarketDataSource
from benchmarks.stylised_facts.probes import DISTANCES, HORIZONS_S, LIFE_NS, Probe
from benchmarks.stylised_facts.tape import NS, Tape, record
from decision_schema.instruments import Instrument

NAN = float("nan")
SIGN_LAGS = (1, 2, 5, 10, 20, 50)
ABS_LAGS = range(1, 11)
WINDOWS_S = (1, 10)
IMPACT_S = (1, 5, 15)
MARKOUT_S = (1, 5, 15, 60)
FEWEST = 30
"""Observations below which a number is not told."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How a positive number is distributed."""

    mean: float = NAN
    p10: float = NAN
    median: float = NAN
    p90: float = NAN
    p99: float = NAN


@dataclass(frozen=True, slots=True)
class Returns:
    """Changes of the mid on a grid of time."""

    count: int = 0
    ticks: float = NAN
    bps: float = NAN
    kurtosis: float = NAN
    beyond3: float = NAN
    still: float = NAN
    lag1: float = NAN
    clustering: float = NAN


@dataclass(frozen=True, slots=True)
class Facts:
    """What one market is like. Sizes are lots, prices ticks, times seconds.

    Args:
        market: Its name.
        seconds: From the first two-sided book to the end.
        events: Events that were used.
        mid_ticks: Mean price.
        spread: In ticks, weighted by time; `spread_bps` likewise.
        spread_per_update: Mean over states of the book.
        updates_per_s: States of the best bid and ask that differ from the one before, a second.
        best: Displayed at the best price of a side; `deep` at its five best.
        trades_per_s: Prints a second; `orders_per_s` those merged into orders.
        print_lots: Size of a print; `order_lots` of an order.
        order_of_best: Size of an order over what the best price displayed before it.
        returns: By length of the grid in seconds.
        variance_ratio: Variance over 10 s divided by ten times that over 1 s.
        print_signs: Autocorrelation of the signs of prints by lag; `order_signs` of orders.
        print_fano: Variance over mean of counts by window in seconds; `order_fano` of orders.
        impact: Mean move of the mid the order's way, by seconds after it, in ticks.
        half_at_trades: Half the spread before an order, mean, in ticks.
        probes: One-lot orders placed at each distance.
        fill_chance: By distance in ticks and horizon in seconds.
        markout: Of probes filled within the longest horizon, by distance and seconds: how far the mid
            stood in their favour of the price they got, in ticks.
        half_spread: Mean over time, in ticks.
    """

    market: str
    seconds: float = 0.0
    events: int = 0
    mid_ticks: float = NAN
    spread: Spread = field(default_factory=Spread)
    spread_bps: Spread = field(default_factory=Spread)
    spread_per_update: float = NAN
    updates_per_s: float = NAN
    best: Spread = field(default_factory=Spread)
    deep: Spread = field(default_factory=Spread)
    trades_per_s: float = NAN
    orders_per_s: float = NAN
    print_lots: Spread = field(default_factory=Spread)
    order_lots: Spread = field(default_factory=Spread)
    order_of_best: Spread = field(default_factory=Spread)
    returns: dict[int, Returns] = field(default_factory=dict)
    variance_ratio: float = NAN
    print_signs: dict[int, float] = field(default_factory=dict)
    order_signs: dict[int, float] = field(default_factory=dict)
    print_fano: dict[int, float] = field(default_factory=dict)
    order_fano: dict[int, float] = field(default_factory=dict)
    impact: dict[int, float] = field(default_factory=dict)
    half_at_trades: float = NAN
    probes: int = 0
    fill_chance: dict[tuple[int, int], float] = field(default_factory=dict)
    markout: dict[tuple[int, int], float] = field(default_factory=dict)
    half_spread: float = NAN


def measure(
    source: MarketDataSource, instrument: Instrument, seconds: float | None = None, every_s: float = 5.0
) -> Facts:
    """Measure one market.

    Args:
        source: Read from where it stands.
        instrument: Its market, tick and lot.
        seconds: Stop after so much time from the first two-sided book; None = at the end.
        every_s: Time between two placements of probes.
    """
    return facts_of(instrument.market_id, record(source, instrument, seconds, every_s))


def facts_of(market: str, tape: Tape) -> Facts:
    """Make the facts of what was seen of a market."""
    books, trades, end = tape.books, tape.trades, tape.end
    if len(books) < 2:
        return Facts(market, end, tape.events)
    held = np.diff(np.append(books["at"], end))
    spread = books["ask"] - books["bid"]
    mid = 0.5 * (books["bid"] + books["ask"])
    moved = np.count_nonzero(np.diff(books["bid"]) != 0.0) + np.count_nonzero(np.diff(books["ask"]) != 0.0)
    orders = merged(trades)
    traded = len(trades) > 0
    half = float(np.average(spread, weights=held)) / 2
    both = np.concatenate((held, held))
    ten = returns_of(books["at"], mid, end, 10)
    one = returns_of(books["at"], mid, end, 1)
    return Facts(
        market=market,
        seconds=end,
        events=tape.events,
        mid_ticks=float(np.average(mid, weights=held)),
        spread=spread_of(spread, held),
        spread_bps=spread_of(1e4 * spread / mid, held),
        spread_per_update=float(spread.mean()),
        updates_per_s=moved / end,
        best=spread_of(np.concatenate((books["bid1"], books["ask1"])), both),
        deep=spread_of(np.concatenate((books["bid5"], books["ask5"])), both),
        trades_per_s=len(trades) / end if traded else NAN,
        orders_per_s=len(orders) / end if traded else NAN,
        print_lots=spread_of(trades["lots"]),
        order_lots=spread_of(orders["lots"]),
        order_of_best=spread_of(orders["lots"] / orders["best"]),
        returns={1: one, 10: ten},
        variance_ratio=(ten.ticks / one.ticks) ** 2 / 10 if one.ticks > 0.0 else NAN,
        print_signs={lag: autocorrelation(_signs(trades), lag) for lag in SIGN_LAGS},
        order_signs={lag: autocorrelation(_signs(orders), lag) for lag in SIGN_LAGS},
        print_fano={window: fano(trades["at"], end, window) for window in WINDOWS_S},
        order_fano={window: fano(orders["at"], end, window) for window in WINDOWS_S},
        impact={after: _impact(orders, books["at"], mid, end, after) for after in IMPACT_S},
        half_at_trades=float(orders["half"][orders["sign"] != 0].mean()) if traded else NAN,
        probes=len(tape.probes) // len(DISTANCES),
        fill_chance={
            (distance, horizon): _fill_chance(tape.probes, distance, horizon, end)
            for distance in DISTANCES
            for horizon in HORIZONS_S
        },
        markout={
            (distance, after): _markout(tape, mid, distance, after)
            for distance in DISTANCES
            for after in MARKOUT_S
        },
        half_spread=half,
    )


def spread_of(values: np.ndarray, weights: np.ndarray | None = None) -> Spread:
    """Describe how numbers are distributed; those that are not known are left out.

    >>> spread_of(np.array([1.0, 2.0, 9.0]), np.array([1.0, 8.0, 1.0])).median
    2.0
    """
    weights = np.ones(len(values)) if weights is None else weights
    known = np.isfinite(values) & (weights > 0.0)
    if not known.any():
        return Spread()
    values, weights = values[known], weights[known]
    order = np.argsort(values)
    sums = np.cumsum(weights[order])
    places = np.searchsorted(sums, np.array((0.1, 0.5, 0.9, 0.99)) * sums[-1])
    p10, median, p90, p99 = values[order][np.minimum(places, len(values) - 1)].tolist()
    return Spread(float(np.average(values, weights=weights)), p10, median, p90, p99)


def merged(trades: np.ndarray) -> np.ndarray:
    """Merge neighbouring prints of one venue time and one side: they were one order."""
    if len(trades) == 0:
        return trades
    new = np.append(True, (np.diff(trades["stamp"]) != 0.0) | (np.diff(trades["sign"]) != 0.0))
    starts = np.flatnonzero(new)
    orders = trades[starts].copy()
    orders["lots"] = np.add.reduceat(trades["lots"], starts)
    return orders


def at_times(times: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Give the last value at or before each time; nan before the first."""
    places = np.searchsorted(times, wanted, side="right") - 1
    return np.where(places >= 0, values[np.maximum(places, 0)], NAN)


def returns_of(times: np.ndarray, mid: np.ndarray, end: float, step: int) -> Returns:
    """Describe the changes of the mid on a grid of `step` seconds.

    Standard deviation and kurtosis are over all changes of that length that begin at a whole second, so
    that they overlap; autocorrelations are of changes that do not.
    """
    grid = at_times(times, mid, np.arange(times[0], end, 1.0))
    if len(grid) <= FEWEST + step:
        return Returns()
    changes = grid[step:] - grid[:-step]
    apart = np.diff(grid[::step])
    centred = changes - changes.mean()
    variance = float(np.mean(centred**2))
    enough = len(apart) > FEWEST
    absolute = [autocorrelation(np.abs(apart), lag) for lag in ABS_LAGS]
    return Returns(
        count=len(apart),
        ticks=variance**0.5,
        bps=float(np.std(1e4 * np.log(grid[step:] / grid[:-step]))),
        kurtosis=float(np.mean(centred**4)) / variance**2 - 3.0 if enough and variance > 0.0 else NAN,
        beyond3=float(np.mean(np.abs(centred) > 3.0 * variance**0.5)) if variance > 0.0 else NAN,
        still=float(np.mean(changes == 0.0)),
        lag1=autocorrelation(apart, 1),
        clustering=float(np.mean(absolute)),
    )


def autocorrelation(series: np.ndarray, lag: int) -> float:
    """Give the sample autocorrelation; nan for a short or constant series.

    >>> autocorrelation(np.tile([1.0, -1.0], 50), 2) > 0.97
    True
    """
    if len(series) < FEWEST + lag:
        return NAN
    centred = series - series.mean()
    variance = float(np.dot(centred, centred))
    return float(np.dot(centred[lag:], centred[:-lag])) / variance if variance > 0.0 else NAN


def fano(times: np.ndarray, end: float, window: int) -> float:
    """Give variance over mean of the counts in windows that do not overlap.

    >>> fano(np.arange(0.5, 100.0, 1.0), 100.0, 1)
    0.0
    """
    windows = int(end // window)
    if windows < FEWEST or len(times) == 0:
        return NAN
    counts = np.bincount((times[times < windows * window] // window).astype(int), minlength=windows)
    return float(counts.var() / counts.mean()) if counts.any() else NAN


def _signs(trades: np.ndarray) -> np.ndarray:
    return np.extract(trades["sign"] != 0.0, trades["sign"])


def _impact(orders: np.ndarray, times: np.ndarray, mid: np.ndarray, end: float, after: int) -> float:
    """Give the mean move of the mid, the order's way, from before it until `after` seconds after it."""
    told = orders[(orders["sign"] != 0.0) & (orders["at"] + after <= end) & np.isfinite(orders["mid"])]
    if len(told) < FEWEST:
        return NAN
    return float(np.mean(told["sign"] * (at_times(times, mid, told["at"] + after) - told["mid"])))


def _fill_chance(probes: list[Probe], distance: int, horizon: int, end: float) -> float:
    """Give the share of probes filled within the horizon, of those whose horizon the data cover."""
    life = horizon * NS
    covered = [p for p in probes if p.distance == distance and p.placed_ns + life <= end * NS]
    if len(covered) < FEWEST:
        return NAN
    return sum(p.filled_within(life) for p in covered) / len(covered)


def _markout(tape: Tape, mid: np.ndarray, distance: int, after: int) -> float:
    filled = [
        (p.filled_ns / NS + after, p.side, p.ticks)
        for p in tape.probes
        if p.distance == distance and p.filled_within(LIFE_NS) and p.filled_ns / NS + after <= tape.end
    ]
    if len(filled) < FEWEST:
        return NAN
    when, side, ticks = np.array(filled).T
    return float(np.mean(side * (at_times(tape.books["at"], mid, when) - ticks)))
