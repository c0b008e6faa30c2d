"""A seeded market of agents with an order book, which our own orders enter.

Simulated time runs from action to action of the agents (`sim.agents`); every `interval_ms` the book is
shown as an event, with what traded since the event before. Every number is drawn by the number of its
action, so equal seeds and equal orders give equal events; and how often the book is shown changes
nothing in it.
"""

import dataclasses
import math
import zlib
from typing import Any, Literal

from ami_engine.kernels import rng
from ami_engine.kernels.venue import BUY
from ami_engine.sim.agents import DRAWS, Agents
from ami_engine.sim.fair_value import GRID_MS, FairValue
from ami_engine.sim.own_orders import SimVenue
from ami_engine.sim.presets import PRESETS, Preset
from decision_schema.errors import ContractError
from decision_schema.events import MAX_LEVELS
from decision_schema.instruments import Instrument, ceil_steps, floor_steps, price_of, steps_of
from decision_schema.units import NS_PER_MS, NS_PER_SECOND, Lots, Price, Ticks, UnixNs

START_NS = 1_704_067_200 * 1_000_000_000
"""2024-01-01T00:00:00Z, the time of the first event."""
MAX_INTERVAL_MS = 3_600_000
MAX_NUMBER = 1e12
"""Prices and sizes given are not above it."""
_GRID_NS = GRID_MS * NS_PER_MS


class MicrostructureSim:
    """A simulated market of one instrument.

    What is None is that of the preset.

    Args:
        mid: Where the fair value begins, and is drawn back to.
        spread: Mean distance of ask and bid, in price, about; at least a tick.
        preset: ``prediction_market``, ``equity``, ``crypto`` or ``fx``: the character of the market.
        seed: Of all chance; None = that of the run which opens the source, 0 without one.
        tick_size: Price step as a decimal string.
        lot_size: Size step as a decimal string.
        levels: Displayed prices a side, at most; 1 to 20.
        interval_ms: Time between events in milliseconds.
        market_id: Name of the market; it also makes its chance its own.
        kind: ``binary`` (prices between 0 and 1) or ``linear`` (prices above 0).
        maker_fee: Fee of a resting fill as a part of its value.
        taker_fee: Fee of a taking fill as a part of its value; 0.001 = 10 bps.
        depth_lots: Size displayed at a price, in lots, about.
        trade_rate: Taking orders a second.
        trade_lots: Mean size that a taker wants, in lots.
        volatility: Of the fair value, in spreads per square root of a second.
        informed: Part of the takers who know the fair value.
        impact: What a taking order of mean size moves the makers' belief its own way, in spreads.

    Raises:
        ContractError: An argument makes no market.

    >>> sim = MicrostructureSim(mid=0.5, spread=0.01, seed=1)
    >>> event = sim.next_state()
    >>> event["bids"][0][0] < 0.5 < event["asks"][0][0]
    True
    """

    def __init__(
        self,
        mid: Price | None = None,
        spread: Price | None = None,
        *,
        preset: str = "prediction_market",
        seed: int | None = None,
        tick_size: str | None = None,
        lot_size: str | None = None,
        levels: int = 5,
        interval_ms: int = 100,
        market_id: str = "SIM",
        kind: Literal["binary", "linear"] | None = None,
        maker_fee: float | None = None,
        taker_fee: float | None = None,
        depth_lots: float | None = None,
        trade_rate: float | None = None,
        trade_lots: float | None = None,
        volatility: float | None = None,
        informed: float | None = None,
        impact: float | None = None,
    ) -> None:
        own = _chosen(
            preset, mid=mid, spread=spread, tick_size=tick_size, lot_size=lot_size, kind=kind,
            maker_fee=maker_fee, taker_fee=taker_fee, depth_lots=depth_lots, trade_rate=trade_rate,
            trade_lots=trade_lots, volatility=volatility, informed=informed, impact=impact,
        )  # fmt: skip
        self._instrument = Instrument(
            market_id=market_id,
            kind=own.kind,
            quote="USD",
            tick_size=own.tick_size,
            lot_size=own.lot_size,
            maker_fee=own.maker_fee,
            taker_fee=own.taker_fee,
        )
        _check_numbers(own)
        _check_whole("levels", levels, 1, MAX_LEVELS)
        _check_whole("interval_ms", interval_ms, 1, MAX_INTERVAL_MS)
        if seed is not None:
            _check_whole("seed", seed, -(2**63), 2**63 - 1)
        self._seed = seed
        self._levels = levels
        self._interval_ns = interval_ms * NS_PER_MS
        self._tick = self._instrument.tick
        self._lot = self._instrument.lot
        self._market = zlib.crc32(market_id.encode())
        self._make_agents(own)
        self._venue = SimVenue(self._instrument, self._own_took)
        self.reset()

    @property
    def instrument(self) -> Instrument:
        """The instrument that is traded."""
        return self._instrument

    @property
    def venue(self) -> SimVenue:
        """Where orders of ours enter the book."""
        return self._venue

    def reset(self, seed: int = 0) -> None:
        """Go back to before the first event; `seed` counts only where the market has none of its own."""
        chance = seed if self._seed is None else self._seed
        self._n = 0
        self._actions = 0
        self._venue.reset()
        self._book = self._venue.book
        self._book.now_ns = START_NS
        self._fair.reset(rng.stream_key(chance, rng.SIM_FAIR, self._market, 0))
        opening = rng.stream_key(chance, rng.SIM_OPENING, self._market, 0)
        self._word = rng.stream_key(chance, rng.SIM_ACTION, self._market, 0)
        self._agents.open_book(self._book, opening, self._word)
        self._book.prints.clear()
        self._next_grid_ns = START_NS + _GRID_NS
        self._rate = self._agents.rate()
        self._next_ns = START_NS + self._wait_ns()

    def next_state(self) -> dict[str, Any]:
        """Advance by one interval and return the event, as a source yields it.

        Its trades happened first, in their order; then the book was as the event shows it.
        """
        n = self._n
        self._n = n + 1
        now_ns = START_NS + n * self._interval_ns
        self._run_until(now_ns)
        self._venue.is_open = True
        prints, self._book.prints = self._book.prints, []
        tick_num, tick_den = self._tick
        lot_num, lot_den = self._lot
        return {
            "market_id": self._instrument.market_id,
            "ts_ns": now_ns,
            "seq": n,
            "bids": self._priced(self._book.shown(1, self._levels)),
            "asks": self._priced(self._book.shown(-1, self._levels)),
            "trades": [
                {
                    "price": price_of(ticks, tick_num, tick_den),
                    "size": price_of(lots, lot_num, lot_den),
                    "aggressor_side": "buy" if side == BUY else "sell",
                    "ts_ns": ts_ns,
                }
                for ts_ns, side, ticks, lots in prints
            ],
        }

    step = next_state

    # ------------------------------------------------------------ time

    def _run_until(self, until_ns: UnixNs) -> None:
        """Let everything happen up to a time."""
        venue, agents, fair = self._venue, self._agents, self._fair
        while True:
            if self._next_grid_ns <= self._next_ns:
                if self._next_grid_ns > until_ns:
                    break
                fair.step()
                agents.learn()
                self._rescale(self._next_grid_ns)
                self._next_grid_ns += _GRID_NS
                continue
            now_ns = self._next_ns
            if now_ns > until_ns:
                break
            venue.move_on(now_ns)
            agents.act(self._actions, self._rate, (now_ns - START_NS) / NS_PER_SECOND)
            self._actions += 1
            self._rate = agents.rate()
            self._next_ns = now_ns + self._wait_ns()
        venue.move_on(until_ns)
        agents.mend()

    def _wait_ns(self) -> int:
        """Draw the time until the next action, by the last of its draws."""
        u = rng.uniform(self._word, self._actions * DRAWS + DRAWS - 1)
        return 1 + int(-math.log(1.0 - u) / self._rate * NS_PER_SECOND)

    def _rescale(self, now_ns: UnixNs) -> None:
        """Let the wait for the next action go on at another rate: what is left of it is memoryless."""
        rate = self._agents.rate()
        if rate != self._rate:
            left = self._next_ns - now_ns
            if left > 0:
                self._next_ns = now_ns + max(1, int(left * (self._rate / rate)))
            self._rate = rate

    def _own_took(self, side: int, lots: Lots) -> None:
        now_ns = self._book.now_ns
        self._agents.took(side, lots, (now_ns - START_NS) / NS_PER_SECOND)
        self._rescale(now_ns)

    # ------------------------------------------------------------ scales

    def _make_agents(self, own: Preset) -> None:
        start, spread = steps_of(own.mid, *self._tick), steps_of(own.spread, *self._tick)
        low, high = self._instrument.price_min, self._instrument.price_max
        if spread < 1.0 - 1e-9:
            raise ContractError(
                f"spread is {own.spread}: give at least the tick {own.tick_size}, or a smaller tick_size"
            )
        lowest = floor_steps(low, *self._tick) + 1
        highest = 2**53 if high == math.inf else ceil_steps(high, *self._tick) - 1
        if highest <= lowest:
            raise ContractError(
                f"tick_size is {own.tick_size}: give a smaller one, so that there are two prices "
                f"between {low} and {high}"
            )
        least, most = lowest - 1 + spread, highest + 1 - spread
        if not least <= start <= most:
            other = "" if high == math.inf else '; for other prices give kind="linear" and a tick_size'
            raise ContractError(
                f"mid is {own.mid}: it must lie at least one spread ({own.spread}) inside the price bounds "
                f"{low} and {high}{other}"
            )
        width = 0.0 if high == math.inf else steps_of(high, *self._tick)
        self._fair = FairValue(own, start, spread, least, most, width)
        self._agents = Agents(own, self._fair, spread, lowest, highest)

    def _priced(self, levels: list[tuple[Ticks, Lots]]) -> list[tuple[float, float]]:
        tick_num, tick_den = self._tick
        lot_num, lot_den = self._lot
        return [
            (price_of(ticks, tick_num, tick_den), price_of(lots, lot_num, lot_den)) for ticks, lots in levels
        ]


def _chosen(preset: str, **given: Any) -> Preset:
    """Give the preset of a name with what was given in its place."""
    if preset not in PRESETS:
        raise ContractError(f"preset is {preset!r}: give one of {', '.join(PRESETS)}")
    given = {name: value for name, value in given.items() if value is not None}
    return dataclasses.replace(PRESETS[preset], **given)


def _check_numbers(own: Preset) -> None:
    _check_number("mid", own.mid, 0.0, MAX_NUMBER)
    _check_number("spread", own.spread, 0.0, MAX_NUMBER)
    _check_number("depth_lots", own.depth_lots, 1.0, MAX_NUMBER)
    _check_number("trade_rate", own.trade_rate, 0.0, 1_000.0)
    _check_number("trade_lots", own.trade_lots, 1.0, MAX_NUMBER)
    _check_number("volatility", own.volatility, 0.0, 1_000.0)
    _check_number("informed", own.informed, 0.0, 1.0)
    _check_number("impact", own.impact, 0.0, 1_000.0)


def _check_number(name: str, value: object, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ContractError(f"{name} is {value!r}: give a number from {low:g} to {high:g}")


def _check_whole(name: str, value: object, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise ContractError(f"{name} is {value!r}: give a whole number from {low} to {high}")
