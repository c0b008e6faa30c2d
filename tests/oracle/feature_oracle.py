"""The features by their definitions: slow, over full histories, sharing no code with the engine.

An oracle is told what happened and recomputes everything that can be asked, from the beginning.
"""

import math
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

NAN = math.nan


@dataclass(frozen=True)
class BookTruth:
    """One state of the book; nan = unknown, and for a price also an empty side."""

    bid: float = NAN
    ask: float = NAN
    mid: float = NAN
    bid_depth: float = NAN
    ask_depth: float = NAN
    depth: float = NAN
    bids: tuple[tuple[float, float], ...] = ()
    asks: tuple[tuple[float, float], ...] = ()


def book_after(event: dict, before: BookTruth) -> BookTruth:
    """The book that an event describes in full, or with nothing but another total depth."""
    if set(event) & {"bid", "bids"}:
        if "bids" in event:
            bids = tuple(level for level in event["bids"] if level[1] > 0)[:20]
            asks = tuple(level for level in event["asks"] if level[1] > 0)[:20]
            bid_depth, ask_depth = in_order([s for _, s in bids]), in_order([s for _, s in asks])
        else:
            bid_depth, ask_depth = known(event["bid_depth"]), known(event["ask_depth"])
            bids = () if event["bid"] is None else ((event["bid"], bid_depth),)
            asks = () if event["ask"] is None else ((event["ask"], ask_depth),)
        bid, ask = (side[0][0] if side else NAN for side in (bids, asks))
        mid = known(event["mid"]) if "mid" in event else 0.5 * (bid + ask)
        sides = [x for x in (bid_depth, ask_depth) if not math.isnan(x)]
        before = BookTruth(bid, ask, mid, bid_depth, ask_depth, sum(sides) if sides else NAN, bids, asks)
    return replace(before, depth=known(event["depth"])) if "depth" in event else before


def known(value: float | None) -> float:
    return NAN if value is None else value


def in_order(values: list[float]) -> float:
    """The sum from left to right, as nobody has to be told."""
    return float(np.cumsum(values)[-1]) if len(values) else 0.0


@lru_cache(maxsize=100_000)
def std_in_bps(window: bytes) -> float:
    changes = np.frombuffer(window)
    changes = changes[~np.isnan(changes)]
    return 1e4 * float(np.std(changes)) if len(changes) > 1 else NAN


@dataclass
class FeatureOracle:
    """Everything that happened to one market."""

    tick: tuple[int, int]
    maker_fee: float
    sample_ns: int
    now: int = 0
    books: list[BookTruth] = field(default_factory=list)
    book_now: list[int] = field(default_factory=list)
    book_venue: list[int] = field(default_factory=list)
    flows: list[tuple[int, float]] = field(default_factory=list)
    trades: list[tuple[int, float, int]] = field(default_factory=list)

    def happen(self, now: int, venue: int, event: dict) -> None:
        """Tell that `event` happened at `now`; its trades were before its book."""
        self.now = now
        mid = self.books[-1].mid if self.books else NAN
        for trade in event.get("trades", ()) if self.books else ():
            side = {"buy": 1, "sell": -1, None: 0}[trade["aggressor_side"]]
            if side == 0 and not math.isnan(mid):
                side = int(np.sign(trade["price"] - mid))
            self.trades.append((now, trade["size"], side))
        if set(event) & {"bid", "bids", "depth"}:
            book = book_after(event, self.books[-1] if self.books else BookTruth())
            if self.books:
                self.flows.append((now, order_flow(self.books[-1], book)))
            self.books.append(book)
            self.book_now.append(now)
            self.book_venue.append(venue)

    def features(self) -> dict[str, float]:
        """All market features that are known now."""
        if not self.books:
            return {}
        found = self.snapshot() | self.windows() | self.running()
        return {name: float(value) for name, value in found.items() if math.isfinite(value)}

    # ------------------------------------------------------------ the book

    def ticks(self, price: float) -> float:
        ticks = price * self.tick[1] / self.tick[0]
        if math.isfinite(ticks) and abs(ticks) < 1e14 and abs(2 * ticks - round(2 * ticks)) <= 2e-6:
            return round(2 * ticks) / 2
        return ticks

    def snapshot(self) -> dict[str, float]:
        b = self.books[-1]
        bid_size, ask_size = (side[0][1] if side else 0.0 for side in (b.bids, b.asks))
        vwap_bid, vwap_ask = vwap(b.bids), vwap(b.asks)
        micro = ratio(b.bid * ask_size + b.ask * bid_size, bid_size + ask_size)
        pressure = ratio(vwap_bid * b.ask_depth + vwap_ask * b.bid_depth, b.bid_depth + b.ask_depth)
        weights = 0.5 ** np.arange(20)
        near_bid = in_order([w * s for w, (_, s) in zip(weights, b.bids, strict=False)])
        near_ask = in_order([w * s for w, (_, s) in zip(weights, b.asks, strict=False)])
        sizes_known = not math.isnan(b.bid_depth + b.ask_depth)
        return {
            "mid": b.mid,
            "spread": b.ask - b.bid,
            "spread_bps": ratio(1e4 * b.ask - 1e4 * b.bid, b.mid),
            "spread_ticks": self.ticks(b.ask) - self.ticks(b.bid),
            "depth": b.depth,
            "bid_depth": b.bid_depth,
            "ask_depth": b.ask_depth,
            "imbalance": ratio(b.bid_depth - b.ask_depth, b.bid_depth + b.ask_depth),
            "imbalance_w": ratio(near_bid - near_ask, near_bid + near_ask) if sizes_known else NAN,
            "microprice": micro,
            "microprice_alpha_ticks": self.ticks(micro) - self.ticks(b.mid),
            "vwap_bid": vwap_bid,
            "vwap_ask": vwap_ask,
            "pressure_ticks": self.ticks(pressure) - self.ticks(b.mid),
            "cost_ticks": 2 * self.maker_fee * self.ticks(abs(b.mid)),
        }

    # ------------------------------------------------------------ the sample grid

    def boundaries(self) -> np.ndarray:
        first = self.book_now[0] // self.sample_ns + 1
        return np.arange(first, self.now // self.sample_ns + 1, dtype=np.int64) * self.sample_ns

    def sampled(self, boundaries: np.ndarray) -> np.ndarray:
        """Index of the last book before each boundary."""
        return np.searchsorted(self.book_now, boundaries, side="left") - 1

    def sampled_mids(self) -> list[float]:
        return [self.books[i].mid for i in self.sampled(self.boundaries())]

    def windows(self) -> dict[str, float]:
        boundaries = self.boundaries()
        at = self.sampled(boundaries)
        if not len(at):
            return {}
        mids = np.array([b.mid for b in self.books])[at]
        changes = np.array([NAN] * len(mids))
        changes[1:][(mids[1:] == mids[:-1]) & (mids[1:] > 0)] = 0.0
        for i in np.flatnonzero(mids[1:] != mids[:-1]):
            if mids[i] > 0 and mids[i + 1] > 0:
                changes[i + 1] = math.log(mids[i + 1] / mids[i])
        ends = range(max(0, len(mids) - 300), len(mids))
        sigmas = np.array([std_in_bps(changes[max(0, i - 29) : i + 1].tobytes()) for i in ends])
        sigma = sigmas[-1]
        sigmas = sigmas[~np.isnan(sigmas)]
        z = NAN
        if len(sigmas) >= 60 and np.std(sigmas) > 1e-12 * np.mean(sigmas):
            z = (sigma - np.mean(sigmas)) / np.std(sigmas)
        spreads = np.array([ratio(1e4 * b.ask - 1e4 * b.bid, b.mid) for b in self.books])[at][-300:]
        depths = np.array([b.depth for b in self.books])[at][-300:]
        silences = (boundaries - np.array(self.book_venue)[at])[-300:] / 1e6
        spreads, depths = spreads[~np.isnan(spreads)], depths[~np.isnan(depths)]
        recent = changes[-300:][~np.isnan(changes[-300:])]
        return {
            "sigma": sigma,
            "sigma_5m": std_in_bps(changes[-300:].tobytes()),
            "sigma_spike_z": z,
            "realized_vol_5m": 1e4 * math.sqrt(np.sum(recent * recent)) if len(recent) else NAN,
            "spread_med_5m": np.median(spreads) if len(spreads) else NAN,
            "depth_p10_5m": np.percentile(depths, 10, method="linear") if len(depths) else NAN,
            "staleness_max_5m": silences.max(),
        }

    # ------------------------------------------------------------ the running interval

    def over_intervals(self, happened: list[tuple[int, float]], full: int) -> float:
        """The sum over the last `full` intervals of the grid, plus that of the running one."""
        running = self.now // self.sample_ns
        first = max(self.book_now[0] // self.sample_ns, running - full)
        sums = [0.0] * (running - first + 1)
        for now, value in happened:
            if now // self.sample_ns >= first:
                sums[now // self.sample_ns - first] += value
        return float(np.sum(sums[:-1])) + sums[-1]

    def running(self) -> dict[str, float]:
        found = {"staleness_ms": (self.now - self.book_venue[-1]) / 1e6}
        if self.flows and not math.isnan(best(self.books[-1])[1] + best(self.books[-1])[3]):
            found["order_flow_imbalance"] = self.over_intervals(self.flows, 9)
        if self.trades:
            bought = self.over_intervals([(t, s) for t, s, side in self.trades if side > 0], 60)
            sold = self.over_intervals([(t, s) for t, s, side in self.trades if side < 0], 60)
            count = self.over_intervals([(t, 1.0) for t, _, _ in self.trades], 60)
            start = max(self.book_now[0], (self.now // self.sample_ns - 60) * self.sample_ns)
            found["trade_imbalance"] = ratio(bought - sold, bought + sold)
            found["trade_intensity"] = ratio(count, (self.now - start) / 1e9)
        return found


def ratio(value: float, whole: float) -> float:
    return value / whole if whole > 0 else NAN


def vwap(levels: tuple[tuple[float, float], ...]) -> float:
    return ratio(in_order([p * s for p, s in levels]), in_order([s for _, s in levels]))


def best(book: BookTruth) -> tuple[float, float, float, float]:
    """Best bid, its size, best ask, its size; a side known to be empty stands at infinity."""
    bid, bid_size = book.bids[0] if book.bids else (-math.inf, 0.0 if book.bid_depth == 0 else NAN)
    ask, ask_size = book.asks[0] if book.asks else (math.inf, 0.0 if book.ask_depth == 0 else NAN)
    return bid, bid_size, ask, ask_size


def order_flow(before: BookTruth, after: BookTruth) -> float:
    """Cont, Kukanov and Stoikov (2014): the contribution e of one change of the best level."""
    (pb, qb, pa, qa), (pb1, qb1, pa1, qa1) = best(before), best(after)
    if math.isnan(qb + qa + qb1 + qa1):
        return NAN
    return (pb1 >= pb) * qb1 - (pb1 <= pb) * qb - (pa1 <= pa) * qa1 + (pa1 >= pa) * qa


@dataclass
class MarkoutOracle:
    """Our fills, and the mid before every step."""

    tick: tuple[int, int]
    steps: list[tuple[int, float]] = field(default_factory=list)
    fills: list[tuple[int, float, int, int]] = field(default_factory=list)

    def step(self, now: int, mid_before: float) -> None:
        self.steps.append((now, mid_before))

    def fill(self, now: int, price: float, side: int) -> None:
        self.fills.append((now, price, side, len(self.steps)))

    def markouts(self, seconds: int) -> list[float]:
        """In ticks, of the fills that are resolved, in their order."""
        ticks = FeatureOracle(self.tick, 0.0, 1).ticks
        found = []
        for now, price, side, since in self.fills:
            due = now + seconds * 10**9
            after = [mid for t, mid in self.steps[since:] if t >= due and not math.isnan(mid)]
            if after:
                found.append(side * (ticks(after[0]) - ticks(price)))
        return found

    def since_silence(self, seconds: int) -> list[float]:
        """The markouts after the last pause of more than five minutes between two that came due."""
        found = self.markouts(seconds)
        dues = [now + seconds * 10**9 for now, *_ in self.fills[: len(found)]]
        start = max((i for i in range(1, len(dues)) if dues[i] - dues[i - 1] > 300 * 10**9), default=0)
        return found[start:]

    def last_due(self, seconds: int) -> int:
        """When the newest resolved fill came due."""
        return self.fills[len(self.markouts(seconds)) - 1][0] + seconds * 10**9
