"""The parts of profit against exact fractions, each accumulated by its definition, on random histories."""

import math
from dataclasses import dataclass, field
from fractions import Fraction
from types import SimpleNamespace

from hypothesis import event, given, settings, target
from hypothesis import strategies as st

from ami_engine.kernels.costs import (
    N_ROLES,
    CostState,
    inventory_pnl,
    position_pnl,
    record_cost,
    see_mid,
    spread_captured,
)
from ami_engine.kernels.ledger import (
    apply_correction,
    apply_fill,
    apply_funding,
    apply_settlement,
    mark_position,
    new_account,
    new_position,
    size_of,
    value_account,
)
from ami_engine.kernels.markouts import HORIZON_60, HORIZONS_NS, MarkoutState, advance_markouts, record_fill
from decision_schema.instruments import Instrument


def value(account, positions, now_ns):
    """Value positions that no cells hold."""
    cells = [SimpleNamespace(position=p) for p in positions]
    value_account(account, cells, len(cells), now_ns)


NAN = math.nan
SECOND = 10**9
EPSILON = Fraction(1, 2**52)
INSTRUMENTS = [
    Instrument(market_id="spot", lot_size="0.000001", tick_size="0.01"),
    Instrument(market_id="future", lot_size="1", multiplier=0.1, tick_size="0.25"),
    Instrument(market_id="event", lot_size="0.01", kind="binary", tick_size="0.001"),
]
EVENT = 2

markets = st.integers(0, len(INSTRUMENTS) - 1)
ticks = st.one_of(st.integers(1, 9), st.integers(400, 600), st.integers(1, 10**9))
cents = st.integers(-(10**6), 10**6).map(lambda n: n / 100)
entries = st.one_of(
    st.tuples(
        st.just("fill"), markets, st.sampled_from([1, -1]), st.integers(1, 10**6), ticks, cents,
        st.integers(0, N_ROLES - 1),
    ),
    st.tuples(st.just("fund"), markets, cents),
    st.tuples(st.just("correct"), markets, st.integers(-1000, 1000), ticks, cents),
)  # fmt: skip
steps = st.lists(
    st.tuples(
        markets,
        st.sampled_from([0, 1, SECOND // 2, SECOND, 5 * SECOND, 14 * SECOND, 61 * SECOND]),
        st.lists(entries, max_size=3),
        st.one_of(ticks, ticks, ticks, st.none()),
        st.sampled_from([None] * 9 + [0.0, 1.0]),
    ),
    min_size=1,
    max_size=40,
)


def price_in(market: int, n: int) -> float:
    """A price in the market's range: 0.001 to 0.999, or n cents."""
    return (n % 999 + 1) / 1000 if market == EVENT else n / 100


@dataclass
class Exact:
    """One market by definition: a position, the price it is valued at, and every fill with its mids."""

    unit: Fraction
    held: Fraction = Fraction(0)
    reference: Fraction | None = None
    mid: Fraction | None = None
    book: Fraction | None = None
    settled: bool = False
    moves: Fraction = Fraction(0)
    corrections: list[tuple[Fraction, Fraction, Fraction]] = field(default_factory=list)
    fills: list[dict] = field(default_factory=list)
    fees: Fraction = Fraction(0)
    funding: Fraction = Fraction(0)
    turnover: Fraction = Fraction(0)
    n: int = 0

    def _move_to(self, price: Fraction) -> None:
        if self.reference is not None:
            self.moves += self.held * (price - self.reference)
        self.reference = price

    def _traded(self, price: Fraction) -> None:
        """A trade before any mid: what is held is valued at it."""
        if self.mid is None and not self.settled:
            self._move_to(price)

    def fill(self, now: int, side: int, lots: int, price: Fraction, fee: Fraction, role: int) -> None:
        self._traded(price)
        amount = lots * self.unit
        mid = price if self.mid is None else self.mid
        self.fills.append(
            {
                "t": now,
                "signed": side * amount,
                "price": price,
                "mid": mid,
                "later": {},
                "role": role,
                "fee": fee,
                "unpriced": self.mid is None,
            }
        )
        if self.settled:
            self.moves += side * amount * (self.reference - mid)
        else:
            self.held += side * amount
        self.fees += fee
        self.turnover += amount * price + abs(fee)
        self.n += 1

    def correct(self, lots: int, price: Fraction, amount: Fraction) -> None:
        if lots:
            self._traded(price)
        self.moves += amount
        self.corrections.append((lots * self.unit, price, amount))
        if lots:
            self.moves += lots * self.unit * (self.reference - price)
            self.held += 0 if self.settled else lots * self.unit
        self.turnover += abs(lots * self.unit * price) + abs(amount)
        self.n += 1

    def advance(self, now: int) -> None:
        if self.book is not None:
            for fill in self.fills:
                for h, horizon in enumerate(HORIZONS_NS):
                    if fill["t"] + horizon <= now:
                        fill["later"].setdefault(h, self.book)

    def settle(self, price: Fraction) -> None:
        self._move_to(price)
        self.turnover += abs(self.held * price)
        self.held, self.settled = Fraction(0), True
        self.n += 1

    def see(self, mid: Fraction | None) -> None:
        self.book = mid
        if mid is not None and not self.settled:
            self._move_to(mid)
            self.mid = mid

    @property
    def captured(self) -> Fraction:
        return sum((f["signed"] * (f["mid"] - f["price"]) for f in self.fills), Fraction(0))

    def adverse(self, h: int) -> Fraction:
        return sum(
            (f["signed"] * (f["mid"] - f["later"][h]) for f in self.fills if h in f["later"]), Fraction(0)
        )

    def money(self, h: int) -> Fraction:
        return sum(
            (f["signed"] * (f["later"][h] - f["price"]) for f in self.fills if h in f["later"]), Fraction(0)
        )

    @property
    def inventory(self) -> Fraction:
        """What each fill earned from 60 s after it, or from the fill where that never came, to the end."""
        end = self.reference
        own = sum(
            (f["signed"] * (end - f["later"].get(HORIZON_60, f["mid"])) for f in self.fills), Fraction(0)
        )
        return own + sum(
            (amount + (lots * (end - price) if lots else 0) for lots, price, amount in self.corrections),
            Fraction(0),
        )

    @property
    def gross(self) -> Fraction:
        """All that is measured: trades, fees, corrections, the position, and fills at each of their mids."""
        worth = abs(self.held * self.reference) if self.held else Fraction(0)
        for f in self.fills:
            worth += abs(f["signed"]) * (f["mid"] + sum(f["later"].values()))
        return self.turnover + abs(self.funding) + worth


def play(history):
    """Take a history through the kernels in the order of a step, and through the definitions."""
    account = new_account(0.0)
    positions = [new_position(i) for i in INSTRUMENTS]
    costs, markouts = [CostState() for _ in INSTRUMENTS], [MarkoutState() for _ in INSTRUMENTS]
    books = [NAN for _ in INSTRUMENTS]
    exact = [Exact(Fraction(*i.lot) * Fraction(i.multiplier)) for i in INSTRUMENTS]
    now = 0
    for here, gap, reports, tick, settlement in history:
        now += gap
        for kind, m, *rest in reports:
            if kind == "fill":
                side, lots, tick_paid, fee, role = rest
                price = price_in(m, tick_paid)
                apply_fill(account, positions[m], side, lots, price, fee)
                amount = size_of(positions[m], lots) * positions[m].multiplier
                mid = record_cost(costs[m], role, side, lots, amount, price, fee)
                record_fill(markouts[m], price, side, now, amount, mid)
                exact[m].fill(now, side, lots, Fraction(price), Fraction(fee), role)
            elif kind == "fund":
                apply_funding(account, positions[m], rest[0])
                exact[m].funding += Fraction(rest[0])
                exact[m].n += 1
            else:
                lots, tick_paid, amount = rest
                price = price_in(m, tick_paid)
                apply_correction(account, positions[m], lots, price, amount)
                exact[m].correct(lots, Fraction(price), Fraction(amount))
        advance_markouts(markouts[here], now, books[here], *INSTRUMENTS[here].tick)
        exact[here].advance(now)
        if here == EVENT and settlement is not None and not exact[here].settled:
            apply_settlement(account, positions[here], settlement)
            exact[here].settle(Fraction(settlement))
        books[here] = NAN if tick is None else price_in(here, tick)
        mark_position(positions[here], books[here], now)
        see_mid(costs[here], books[here], positions[here].settled)
        exact[here].see(None if tick is None else Fraction(books[here]))
        value(account, positions, now)
    value(account, positions, now)
    return account, positions, costs, markouts, exact


def added(values):
    total = 0.0
    for value in values:
        total += value
    return total


@settings(max_examples=300)
@given(steps)
def test_each_part_of_profit_is_its_definition_within_the_stated_bound(history):
    account, positions, costs, markouts, exact = play(history)
    n = sum(e.n for e in exact)
    worst = Fraction(0)

    def check(pairs, gross):
        nonlocal worst
        bound = 4 * (n + len(INSTRUMENTS) + 1) * EPSILON * gross
        for found, true in pairs:
            assert abs(Fraction(found) - true) <= bound
            if bound:
                worst = max(worst, abs(Fraction(found) - true) / bound)

    for p, k, m, e in zip(positions, costs, markouts, exact, strict=True):
        captured = spread_captured(k)
        position = position_pnl(p.realized, p.unrealized, captured)
        inventory = inventory_pnl(position, m.adverse[HORIZON_60])
        profit = p.realized + p.unrealized + p.funding - p.fees
        parts = e.captured - e.adverse(HORIZON_60) + e.inventory + e.funding - e.fees
        check(
            [
                (captured, e.captured),
                (position, e.moves),
                (inventory, e.inventory),
                (profit, parts),
                *((m.money[h], e.money(h)) for h in range(4)),
                *((m.adverse[h], e.adverse(h)) for h in range(4)),
                *((k.fees[r], sum(f["fee"] for f in e.fills if f["role"] == r)) for r in range(N_ROLES)),
            ],
            e.gross,
        )
        assert e.moves == e.inventory - e.adverse(HORIZON_60)  # the two ways to say it, exactly
        assert m.done == [sum(h in f["later"] for f in e.fills) for h in range(4)]
        assert k.unpriced == sum(f["unpriced"] for f in e.fills)
        assert k.fills == [sum(f["role"] == r for f in e.fills) for r in range(N_ROLES)]

    captured = added(spread_captured(k) for k in costs)
    adverse = added(m.adverse[HORIZON_60] for m in markouts)
    inventory = inventory_pnl(position_pnl(account.realized, account.unrealized, captured), adverse)
    total = captured - adverse + inventory + account.funding - account.fees
    gross = sum(e.gross for e in exact)
    check(
        [
            (total, Fraction(account.profit)),
            (inventory, sum(e.inventory for e in exact)),
            (captured, sum(e.captured for e in exact)),
        ],
        gross,
    )
    target(float(worst), label="part of the bound")
    event(f"fills: {min(3, sum(len(e.fills) for e in exact))}, settled: {exact[EVENT].settled}")


@given(steps)
def test_a_market_knows_only_its_own_fills_and_mids(history):
    """To the bit, whatever happens in the others."""
    _, _, costs, markouts, _ = play(history)
    for m in range(len(INSTRUMENTS)):
        now, alone = 0, []
        for here, gap, reports, tick, settlement in history:
            now += gap
            own = [report for report in reports if report[1] == m]
            if here == m:
                alone.append((m, now, own, tick, settlement))
                now = 0
            elif own:
                alone.append(((m + 1) % len(INSTRUMENTS), now, own, None, None))
                now = 0
        _, _, found, later, _ = play(alone)
        assert repr((found[m], later[m])) == repr((costs[m], markouts[m]))
