"""Who trades in the simulated market. All see the book, and ours is part of it.

Patient traders leave limit orders at power-law distances from the first maker's quote, now and then
within the spread, and take them back after a while. Makers quote around what they believe the price to
be, and stay until it has left them by a slack; they learn from trades, from the imbalance of the book
and, slowly, from elsewhere. Takers come in self-exciting bursts: the informed take what the fair value
is beyond, followers go with recent flow, the others work large orders piece by piece.

Each action has a number, and all its chance is drawn by that number.

Sources: Cont, Stoikov, Talreja, "A stochastic model for order book dynamics", 2010 (limit orders by
distance, cancellation by order); Smith, Farmer, Gillemot, Krishnamurthy, 2003 (the Santa Fe model);
Hawkes 1971, and Bacry, Mastromatteo, Muzy, "Hawkes processes in finance", 2015 (bursts); Lillo, Mike,
Farmer, "Theory for long memory in supply and demand", 2005 (pieces of large orders); Glosten, Milgrom
1985 (makers learn from trades); Harris 1991 (round prices).
"""

import math
from dataclasses import dataclass

from ami_engine.kernels import rng
from ami_engine.kernels.venue import BUY, SELL
from ami_engine.sim.fair_value import GRID_MS, FairValue
from ami_engine.sim.limit_book import Entry, LimitBook
from ami_engine.sim.presets import Preset
from decision_schema.units import Lots, Ticks

DRAWS = 8
"""Draws reserved for each action; the last is for the wait before it."""
SLACK_TICKS = 0.75
"""A maker's quote may always be off by so much before it moves."""
PRICES_A_SPREAD = 10
"""Patient orders choose among this many prices a spread, where it has more ticks."""
FARTHEST = 15.0
"""Greatest distance of a patient order, in scales of that distance."""
MAX_IMPACT = 4.0
"""One taking order moves beliefs by at most so many times `impact`."""
EXPECTED_PART = 0.15
"""Makers expect the mean sign of the last trades, each counting for so much."""
MAX_PIECES = 1_000
"""Of one large order."""
MAX_BURST = 50.0
"""The excited rate of takers stays below so many times the usual one."""
MAX_PATIENT = 300.0
"""Mean patient orders a side are not more."""
MAX_SIZE = 1 << 50
"""Lots of one order of an agent."""


@dataclass(slots=True)
class _Maker:
    """One market maker: where it quotes in ticks, what it has in the book, and how much of it there was."""

    wider: float
    bid_wanted: float = -math.inf
    ask_wanted: float = math.inf
    bid: Entry | None = None
    ask: Entry | None = None
    bid_lots: Lots = 0
    ask_lots: Lots = 0


class Agents:
    """All agents of a market.

    Args:
        preset: What they are like.
        fair: The fair value.
        spread: In ticks.
        lowest: Least price in ticks.
        highest: Greatest price in ticks.
    """

    def __init__(self, preset: Preset, fair: FairValue, spread: float, lowest: Ticks, highest: Ticks) -> None:
        self._preset, self._fair, self._spread = preset, fair, spread
        self._lowest, self._highest = lowest, highest
        self._round = max(1, int(spread / PRICES_A_SPREAD))
        self._scale = max(preset.width_ticks, preset.width * spread / self._round)
        at_best = 1.0 - math.pow(1.0 + 1.0 / self._scale, -preset.tail)
        self._patient = min(MAX_PATIENT, preset.patient_at_best / at_best)
        self._limit_rate = 2.0 * self._patient / preset.patient_s
        self._cancel_rate = 1.0 / preset.patient_s
        self._quote_rate = preset.makers * preset.maker_rate
        self._calm_rate = preset.trade_rate * (1.0 - preset.branching)
        self._excite = preset.branching / preset.excite_s
        self._max_excited = MAX_BURST * preset.trade_rate
        self._learn = 1.0 - math.exp(-GRID_MS / 1_000 / preset.learn_s)
        self._impact = preset.impact * spread
        self._slack = SLACK_TICKS + preset.slack * spread
        self._reach = max(2, int(preset.reach * spread))
        self._patient_mean = max(1.0, preset.patient_lots * preset.depth_lots)
        self._maker_mean = max(1.0, preset.maker_lots * preset.depth_lots)

    # ------------------------------------------------------------ life

    def open_book(self, book: LimitBook, opening: int, actions: int) -> None:
        """Fill an empty book as it might be at any time.

        Args:
            book: The book.
            opening: Stream key of the draws for it.
            actions: Stream key of the draws for actions.
        """
        preset = self._preset
        self._book = book
        self._word = opening
        self._makers = [_Maker(1.0 + preset.maker_step * i) for i in range(preset.makers)]
        self._belief = self._fair.ticks
        self._excited = preset.branching * preset.trade_rate
        self._flow = 0.0
        self._expected = 0.0
        self._burst_s = 0.0
        n = 0
        for maker in self._makers:
            self._quote(maker, n)
            n += DRAWS
        self._parents = [self._new_parent(n + i * DRAWS) for i in range(preset.parents)]
        n += preset.parents * DRAWS
        for i in range(2 * round(self._patient)):
            self._leave_patient(n + i * DRAWS)
        self._word = actions

    def rate(self) -> float:
        """Give the rate of all actions together, a second; it only falls until the next."""
        return (
            self._limit_rate
            + self._cancel_rate * len(self._book.patient)
            + self._quote_rate
            + self._calm_rate * self._fair.activity
            + self._excited
        )

    def learn(self) -> None:
        """Let makers learn from elsewhere, once each GRID_MS."""
        self._belief += self._learn * (self._fair.ticks - self._belief)

    def act(self, n: int, rate: float, now_s: float) -> None:
        """Let action `n` happen: chosen by its part of the rate, or nothing where that has fallen since.

        Source: Ogata, "On Lewis' simulation method for point processes", 1981 (thinning).
        """
        first = n * DRAWS
        book = self._book
        chosen = rng.uniform(self._word, first) * rate - self._limit_rate
        if chosen < 0.0:
            self._leave_patient(first)
        elif (chosen := chosen - self._cancel_rate * len(book.patient)) < 0.0:
            u = rng.uniform(self._word, first + 1)
            book.leave(book.patient[int(u * len(book.patient))])
        elif (chosen := chosen - self._quote_rate) < 0.0:
            which = -int(chosen / self._preset.maker_rate) - 1
            self._quote(self._makers[which], first)
        else:
            self._calm_down(now_s)
            if chosen < self._calm_rate * self._fair.activity + self._excited:
                self._send_taker(first, now_s)
        self.mend()

    def took(self, side: int, lots: Lots, now_s: float) -> None:
        """Let everybody see that somebody, of the agents or of us, took so much."""
        self._calm_down(now_s)
        self._excited = min(self._max_excited, self._excited + self._excite)
        self._flow += side
        size = min(MAX_IMPACT, math.sqrt(lots / self._preset.trade_lots))
        surprise = side * size - self._preset.expect * self._expected
        self._expected += EXPECTED_PART * (side - self._expected)
        belief = self._belief + self._impact * surprise
        self._belief = min(self._fair.high, max(self._fair.low, belief))

    def mend(self) -> None:
        """Let the first maker quote at once where nobody but us is left on a side."""
        book = self._book
        if book.bids.others > 0 and book.asks.others > 0:
            return
        bid, ask = self._wanted(self._makers[0])
        lots = max(1, round(self._maker_mean))
        for side, wanted in ((BUY, bid), (SELL, ask)):
            if book.side(side).others == 0:
                other = book.side(-side).best
                ticks = wanted if other is None else side * min(side * wanted, side * other - 1)
                self._enter(side, ticks, lots)

    def _calm_down(self, now_s: float) -> None:
        """Let excitement and the memory of flow fade up to now."""
        past = now_s - self._burst_s
        if past > 0.0:
            self._burst_s = now_s
            self._excited *= math.exp(-past / self._preset.excite_s)
            self._flow *= math.exp(-past / self._preset.flow_s)

    # ------------------------------------------------------------ patient traders

    def _leave_patient(self, first: int) -> None:
        book, preset = self._book, self._preset
        u = 2.0 * rng.uniform(self._word, first + 1)
        side, u = (BUY, u) if u < 1.0 else (SELL, u - 1.0)
        best, other = book.side(side).best, book.side(-side).best
        if best is None or other is None:
            return
        room = side * (other - best)
        v = rng.uniform(self._word, first + 2)
        if room > 1 and u * self._spread**2 < preset.inside * room**2:
            ticks = best + side * (1 + int(v * 0.5 * (room - 1)))
        else:
            quote = self._makers[0].bid if side == BUY else self._makers[0].ask
            if quote is not None and quote.lots > 0:
                best = quote.ticks
            away = self._scale * (math.pow(1.0 - v, -1.0 / preset.tail) - 1.0)
            ticks = best - side * self._round * int(min(away, FARTHEST * self._scale))
            if self._round > 1:
                ticks = side * (side * ticks // self._round) * self._round
        lots = rng.geometric(self._word, first + 3, self._patient_mean)
        if side * (other - ticks) <= 0:
            ticks = other - side
        if self._lowest <= ticks <= self._highest:
            book.rest(side, ticks, lots, patient=True)

    # ------------------------------------------------------------ makers

    def _wanted(self, maker: _Maker) -> tuple[float, float]:
        """Give the bid and ask that a maker wants, in ticks."""
        bids, asks, preset = self._book.bids, self._book.asks, self._preset
        centre = self._belief
        if bids.keys and asks.keys:
            bid_lots, ask_lots = bids.levels[bids.keys[-1]].lots, asks.levels[asks.keys[-1]].lots
            centre += preset.lean * self._spread * (bid_lots - ask_lots) / (bid_lots + ask_lots)
        half = 0.5 * self._spread * preset.tighten * self._fair.spread_factor * maker.wider
        return centre - half, centre + half

    def _quote(self, maker: _Maker, first: int) -> None:
        """Let a maker move both quotes if one is too far off, else put back what is gone or nearly so."""
        bid, ask = self._wanted(maker)
        slack, old_bid, old_ask = self._slack, maker.bid, maker.ask
        if abs(bid - maker.bid_wanted) > slack or abs(ask - maker.ask_wanted) > slack:
            maker.bid_wanted, maker.ask_wanted = bid, ask
            new_bid = new_ask = True
        else:
            new_bid = old_bid is None or 2 * old_bid.lots < maker.bid_lots
            new_ask = old_ask is None or 2 * old_ask.lots < maker.ask_lots
        if new_bid and old_bid is not None:
            self._book.leave(old_bid)
        if new_ask and old_ask is not None:
            self._book.leave(old_ask)
        if new_bid:
            maker.bid_lots = rng.geometric(self._word, first + 1, self._maker_mean)
            maker.bid = self._enter(BUY, maker.bid_wanted, maker.bid_lots)
        if new_ask:
            maker.ask_lots = rng.geometric(self._word, first + 2, self._maker_mean)
            maker.ask = self._enter(SELL, maker.ask_wanted, maker.ask_lots)

    def _enter(self, side: int, wanted: float, lots: Lots) -> Entry | None:
        """Quote at the price nearest to the wanted one; what stands in the way is taken first."""
        ticks = math.floor(wanted + 0.5)
        ticks = min(self._highest - 1, max(self._lowest, ticks)) if side == BUY else ticks
        ticks = max(self._lowest + 1, min(self._highest, ticks)) if side == SELL else ticks
        other = self._book.side(-side).best
        if other is not None and side * (ticks - other) >= 0:
            lots -= sum(part for _, part in self._book.take(side, ticks, lots))
        return self._book.rest(side, ticks, lots) if lots > 0 else None

    # ------------------------------------------------------------ takers

    def _send_taker(self, first: int, now_s: float) -> None:
        book, preset = self._book, self._preset
        bid, ask = book.bids.best, book.asks.best
        if bid is None or ask is None:
            return
        u = rng.uniform(self._word, first + 1)
        fair = self._fair.ticks
        side, limit = 0, 0
        if u < preset.informed:
            if fair > ask:
                side, limit = BUY, math.floor(fair)
            elif fair < bid:
                side, limit = SELL, math.ceil(fair)
        elif u > 1.0 - preset.momentum and self._flow != 0.0:
            side = BUY if self._flow > 0.0 else SELL
        if side == 0:
            side = self._next_piece(first)
        if limit == 0:
            half = 0.5 * self._spread * preset.tighten * self._fair.spread_factor
            limit = math.floor(self._belief + side * (half + self._reach) + 0.5)
        sigma = preset.size_sigma
        z = rng.normal(self._word, first + 2)
        lots = max(1, round(min(MAX_SIZE, preset.trade_lots * math.exp(sigma * z - 0.5 * sigma * sigma))))
        if rng.uniform(self._word, first + 3) < preset.touch_only:
            against = book.side(-side)
            lots = min(lots, against.levels[against.keys[-1]].lots)
        taken = sum(part for _, part in book.take(side, limit, lots))
        if taken > 0:
            self.took(side, taken, now_s)

    def _next_piece(self, first: int) -> int:
        """Give the side of the next piece of one of the large orders."""
        which = int(rng.uniform(self._word, first + 4) * len(self._parents))
        side, left = self._parents[which]
        self._parents[which] = (side, left - 1) if left > 1 else self._new_parent(first)
        return side

    def _new_parent(self, first: int) -> tuple[int, int]:
        bid, ask = self._book.bids.best, self._book.asks.best
        mid = self._belief if bid is None or ask is None else 0.5 * (bid + ask)
        buys = 0.5 + self._preset.conviction * (self._fair.ticks - mid) / self._spread
        side = BUY if rng.bernoulli(self._word, first + 5, min(0.95, max(0.05, buys))) else SELL
        u = rng.uniform(self._word, first + 6)
        pieces = self._preset.pieces * math.pow(1.0 - u, -1.0 / self._preset.parent_tail)
        return side, int(min(pieces, MAX_PIECES))
