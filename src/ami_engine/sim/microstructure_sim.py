"""A seeded market that looks like one, for demos and tests.

A fair value wanders (a random walk drawn back to where it began). Bid and ask stay where they are
until the fair value has left them by a slack, and then follow it by whole ticks. The sizes on the
ladder persist and change by arrivals and cancellations. Trades eat what is displayed, level by
level, and each one moves the fair value its own way: that is the adverse selection which a resting
order meets. Every number is drawn by its event and its purpose, so equal seeds give equal events.

Source: Glosten, Milgrom, "Bid, ask and transaction prices in a specialist market with
heterogeneously informed traders", 1985 (why trades move the fair value); the rest is plain.
"""

import math
import zlib
from typing import Any, Literal

from ami_engine.kernels import rng
from ami_engine.sim.ladder import Ladder
from decision_schema.errors import ContractError
from decision_schema.events import MAX_LEVELS
from decision_schema.instruments import Instrument, ceil_steps, floor_steps, price_of, steps_of
from decision_schema.units import NS_PER_MS, Price

START_NS = 1_704_067_200 * 1_000_000_000
"""2024-01-01T00:00:00Z, the time of the first event."""
REVERSION_S = 300.0
"""Time in which the fair value is drawn back by a factor e, in seconds."""
SPREAD_PERSISTENCE = 0.98
SPREAD_NOISE = 0.04
MAX_SPREAD_LOG = 0.5
"""The wanted spread is `spread` times exp(x), x autoregressive within this bound."""
SLACK_TICKS = 0.75
SLACK_SPREADS = 0.15
"""How far a quote may be off its wanted price before it moves: hysteresis."""


MAX_NUMBER = 1e12
"""Prices and sizes given are not above it."""


class MicrostructureSim:
    """A simulated market of one instrument.

    Args:
        mid: Where the fair value begins, and is drawn back to.
        spread: Mean distance of ask and bid, in price; at least a tick.
        seed: Of all chance; None = that of the run which opens the source, 0 without one.
        tick_size: Price step as a decimal string.
        lot_size: Size step as a decimal string.
        levels: Displayed levels a side, 1 to 20.
        interval_ms: Time between events in milliseconds.
        market_id: Name of the market; it also makes its chance its own.
        kind: ``binary`` (prices between 0 and 1) or ``linear`` (prices above 0).
        maker_fee: Fee of a resting fill as a part of its value.
        taker_fee: Fee of a taking fill as a part of its value; 0.001 = 10 bps.
        depth_lots: Mean size of a level, in lots.
        trade_rate: Probability that an event carries a trade.
        trade_lots: Mean size of a trade, in lots.
        volatility: Of the fair value without trades, in spreads per square root of a second.
        impact: What a trade moves the fair value its own way, in spreads.

    Raises:
        ContractError: An argument makes no market.

    >>> sim = MicrostructureSim(mid=0.5, spread=0.01, seed=1)
    >>> event = sim.next_state()
    >>> event["bids"][0][0] < 0.5 < event["asks"][0][0]
    True
    """

    def __init__(
        self,
        mid: Price = 0.5,
        spread: Price = 0.01,
        *,
        seed: int | None = None,
        tick_size: str = "0.001",
        lot_size: str = "1",
        levels: int = 5,
        interval_ms: int = 100,
        market_id: str = "SIM",
        kind: Literal["binary", "linear"] = "binary",
        maker_fee: float = 0.0002,
        taker_fee: float = 0.001,
        depth_lots: float = 20.0,
        trade_rate: float = 0.08,
        trade_lots: float = 14.0,
        volatility: float = 0.03,
        impact: float = 0.15,
    ) -> None:
        self._instrument = Instrument(
            market_id=market_id,
            kind=kind,
            quote="USD",
            tick_size=tick_size,
            lot_size=lot_size,
            maker_fee=maker_fee,
            taker_fee=taker_fee,
        )
        _check_number("mid", mid, 0.0, MAX_NUMBER)
        _check_number("spread", spread, 0.0, MAX_NUMBER)
        _check_number("depth_lots", depth_lots, 1.0, MAX_NUMBER)
        _check_number("trade_rate", trade_rate, 0.0, 1.0)
        _check_number("trade_lots", trade_lots, 1.0, MAX_NUMBER)
        _check_number("volatility", volatility, 0.0, 10.0)
        _check_number("impact", impact, 0.0, 10.0)
        _check_whole("levels", levels, 1, MAX_LEVELS)
        _check_whole("interval_ms", interval_ms, 1, 86_400_000)
        if seed is not None:
            _check_whole("seed", seed, -(2**63), 2**63 - 1)
        self._seed = seed
        self._tick = self._instrument.tick
        self._lot = self._instrument.lot
        self._start = steps_of(mid, *self._tick)
        self._spread = steps_of(spread, *self._tick)
        self._set_bounds(mid, spread)
        self._levels = levels
        self._interval_ns = interval_ms * NS_PER_MS
        self._seconds = interval_ms / 1_000
        self._depth_lots = float(depth_lots)
        self._trade_rate = trade_rate
        self._trade_lots = float(trade_lots)
        self._step_sigma = volatility * self._spread * math.sqrt(self._seconds)
        self._impact = impact * self._spread
        self._market = zlib.crc32(market_id.encode())
        self.reset()

    @property
    def instrument(self) -> Instrument:
        """The instrument that is traded."""
        return self._instrument

    def reset(self, seed: int = 0) -> None:
        """Go back to before the first event; `seed` counts only where the market has none of its own."""
        self._chance = seed if self._seed is None else self._seed
        self._n = 0
        self._fair = self._start
        self._spread_log = 0.0
        best_bid, best_ask = self._wanted_quotes()
        self._bids = Ladder(1, best_bid, self._lowest)
        self._asks = Ladder(-1, best_ask, self._highest)

    def next_state(self) -> dict[str, Any]:
        """Advance by one interval and return the event, as a source yields it.

        Its trades happened first, at the prices of the event before; then the book became what the
        event shows.
        """
        n = self._n
        word = rng.stream_key(self._chance, rng.SIM_SIZE, self._market, n)
        trades = self._trade(n) if n > 0 else []
        self._move_quotes(n)
        self._bids.change(word, 0, self._levels, self._depth_lots)
        self._asks.change(word, 1, self._levels, self._depth_lots)
        self._n = n + 1
        return {
            "market_id": self._instrument.market_id,
            "ts_ns": START_NS + n * self._interval_ns,
            "seq": n,
            "bids": [(self._price(ticks), self._size(lots)) for ticks, lots in self._bids.shown()],
            "asks": [(self._price(ticks), self._size(lots)) for ticks, lots in self._asks.shown()],
            "trades": trades,
        }

    step = next_state

    def _set_bounds(self, mid: Price, spread: Price) -> None:
        low, high = self._instrument.price_min, self._instrument.price_max
        if self._spread < 1.0 - 1e-9:
            tick = self._instrument.tick_size
            raise ContractError(f"spread is {spread}: give at least the tick {tick}, or a smaller tick_size")
        self._lowest = floor_steps(low, *self._tick) + 1
        self._highest = 2**53 if high == math.inf else ceil_steps(high, *self._tick) - 1
        self._fair_min = self._lowest - 1 + self._spread
        self._fair_max = self._highest + 1 - self._spread
        if not self._fair_min <= self._start <= self._fair_max:
            inside = f"it must lie at least one spread ({spread}) inside the price bounds {low} and {high}"
            other = "" if high == math.inf else '; for other prices give kind="linear" and a tick_size'
            raise ContractError(f"mid is {mid}: {inside}{other}")

    def _trade(self, n: int) -> list[dict[str, Any]]:
        """Let at most one order take, and move the fair value; the prints, level by level."""
        word = rng.stream_key(self._chance, rng.SIM_TRADE, self._market, n)
        prints: list[tuple[int, int]] = []
        sign = 0
        side = ""
        if rng.bernoulli(word, 0, self._trade_rate):
            mid = 0.5 * (self._bids.best + self._asks.best)
            lean = (self._fair - mid) / self._spread
            buys = rng.bernoulli(word, 1, min(0.95, max(0.05, 0.5 + lean)))
            sign, side = (1, "buy") if buys else (-1, "sell")
            ladder = self._asks if buys else self._bids
            prints = ladder.take(rng.geometric(word, 2, self._trade_lots))
        self._move_fair(n, sign)
        return [
            {"price": self._price(ticks), "size": self._size(lots), "aggressor_side": side}
            for ticks, lots in prints
        ]

    def _move_fair(self, n: int, sign: int) -> None:
        word = rng.stream_key(self._chance, rng.SIM_FAIR, self._market, n)
        pull = (self._start - self._fair) * min(1.0, self._seconds / REVERSION_S)
        fair = self._fair + pull + self._step_sigma * rng.normal(word, 0) + self._impact * sign
        self._fair = min(self._fair_max, max(self._fair_min, fair))
        noise = SPREAD_NOISE * rng.normal(word, 1)
        self._spread_log = min(
            MAX_SPREAD_LOG, max(-MAX_SPREAD_LOG, SPREAD_PERSISTENCE * self._spread_log + noise)
        )

    def _wanted_quotes(self) -> tuple[int, int]:
        half = self._half_spread()
        bid = max(self._lowest, floor_steps(self._fair - half + 0.5, 1, 1))
        ask = min(self._highest, max(bid + 1, floor_steps(self._fair + half + 0.5, 1, 1)))
        return min(bid, ask - 1), ask

    def _half_spread(self) -> float:
        return 0.5 * self._spread * math.exp(self._spread_log)

    def _move_quotes(self, n: int) -> None:
        """Let a quote that is off its wanted price by more than the slack go there."""
        half = self._half_spread()
        slack = SLACK_TICKS + SLACK_SPREADS * self._spread
        wanted_bid, wanted_ask = self._wanted_quotes()
        bid, ask = self._bids.best, self._asks.best
        if abs(self._fair - half - bid) > slack:
            bid = wanted_bid
        if abs(self._fair + half - ask) > slack:
            ask = wanted_ask
        if ask <= bid:
            bid, ask = wanted_bid, wanted_ask
        self._bids.move(bid)
        self._asks.move(ask)

    def _price(self, ticks: int) -> float:
        return price_of(ticks, *self._tick)

    def _size(self, lots: int) -> float:
        return price_of(lots, *self._lot)


def _check_number(name: str, value: object, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ContractError(f"{name} is {value!r}: give a number from {low:g} to {high:g}")


def _check_whole(name: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ContractError(f"{name} is {value!r}: give a whole number from {low} to {high}")
