"""The ledger in exact fractions, written from the definitions and not from the kernel.

A position is its net lots and its average price; profit and drawdown come from the whole history
of valuations; cash is the sum of all flows. Slow, and right.
"""

from dataclasses import dataclass, field
from fractions import Fraction

DAY_NS = 24 * 60 * 60 * 10**9


@dataclass
class Market:
    """One market: `unit` is what one lot of price 1 is worth."""

    unit: Fraction
    net: int = 0
    average: Fraction = Fraction(0)
    realized: Fraction = Fraction(0)
    fees: Fraction = Fraction(0)
    funding: Fraction = Fraction(0)
    mark: Fraction | None = None
    last: Fraction = Fraction(0)
    settled: bool = False

    @property
    def value(self) -> Fraction:
        price = self.last if self.mark is None else self.mark
        return self.net * self.unit * price

    @property
    def cost(self) -> Fraction:
        return self.net * self.unit * self.average


@dataclass
class Oracle:
    """All markets; `flows` is every change of cash, `closes` every realised profit of a close."""

    initial: Fraction
    markets: list[Market]
    flows: list[Fraction] = field(default_factory=list)
    transfers: Fraction = Fraction(0)
    corrections: Fraction = Fraction(0)
    closes: list[tuple[Fraction, Fraction]] = field(default_factory=list)
    valuations: list[tuple[int, Fraction]] = field(default_factory=list)
    turnover: Fraction = Fraction(0)
    largest_value: Fraction = Fraction(0)

    def fill(self, market: int, signed_lots: int, price: float, fee: float) -> None:
        m = self.markets[market]
        m.fees += Fraction(fee)
        self._flow(-Fraction(fee))
        self._trade(m, signed_lots, Fraction(price), counts=True)

    def correct(self, market: int, signed_lots: int, price: float, amount: float) -> None:
        self.corrections += Fraction(amount)
        self.markets[market].realized += Fraction(amount)
        self._flow(Fraction(amount))
        if signed_lots:
            self._trade(self.markets[market], signed_lots, Fraction(price), counts=False)

    def fund(self, market: int, amount: float) -> None:
        self.markets[market].funding += Fraction(amount)
        self._flow(Fraction(amount))

    def transfer(self, amount: float) -> None:
        self.transfers += Fraction(amount)
        self._flow(Fraction(amount))

    def settle(self, market: int, price: float) -> None:
        m = self.markets[market]
        m.settled, m.mark = True, Fraction(price)
        self._at_settlement(m, counts=True)

    def mark(self, market: int, price: float) -> None:
        if not self.markets[market].settled:
            self.markets[market].mark = Fraction(price)

    def value(self, now_ns: int) -> None:
        self.valuations.append((now_ns // DAY_NS, self.profit))
        self.largest_value = max(self.largest_value, sum((abs(m.value) for m in self.markets), Fraction(0)))

    @property
    def cash(self) -> Fraction:
        return self.initial + sum(self.flows)

    @property
    def equity(self) -> Fraction:
        return self.cash + sum(m.value for m in self.markets)

    @property
    def profit(self) -> Fraction:
        return self.equity - self.initial - self.transfers

    @property
    def realized(self) -> Fraction:
        return sum((m.realized for m in self.markets), Fraction(0))

    @property
    def unrealized(self) -> Fraction:
        return sum((m.value - m.cost for m in self.markets), Fraction(0))

    @property
    def drawdowns(self) -> list[Fraction]:
        profits = [profit for _, profit in self.valuations]
        return [max([Fraction(0), *profits[: i + 1]]) - profits[i] for i in range(len(profits))]

    @property
    def daily(self) -> Fraction:
        today, profit = self.valuations[-1]
        before = [earlier for day, earlier in self.valuations if day < today]
        return profit - (before[-1] if before else 0)

    @property
    def losing_streak(self) -> int:
        decisive = [pnl for pnl, value in self.closes if abs(pnl) > abs(value) / 10**9]
        wins = [i for i, pnl in enumerate(decisive) if pnl > 0]
        return len(decisive) - (wins[-1] + 1 if wins else 0)

    @property
    def gross(self) -> Fraction:
        return abs(self.initial) + self.turnover + sum(abs(m.value) for m in self.markets)

    def _flow(self, amount: Fraction) -> None:
        self.flows.append(amount)
        self.turnover += abs(amount)

    def _trade(self, m: Market, signed_lots: int, price: Fraction, *, counts: bool) -> None:
        m.last = price
        self._flow(-signed_lots * m.unit * price)
        after = m.net + signed_lots
        if m.net * signed_lots >= 0:
            m.average = (m.net * m.average + signed_lots * price) / after
        else:
            closed = max(-abs(m.net), -abs(signed_lots)) * (1 if signed_lots > 0 else -1)
            pnl = closed * m.unit * (price - m.average)
            m.realized += pnl
            if counts:
                self.closes.append((pnl, closed * m.unit * price))
            if after * m.net < 0:
                m.average = price
        m.net = after
        if m.settled:
            self._at_settlement(m, counts=counts)

    def _at_settlement(self, m: Market, *, counts: bool) -> None:
        if m.net:
            assert m.mark is not None
            pnl = m.value - m.cost
            m.realized += pnl
            if counts:
                self.closes.append((pnl, m.value))
            self._flow(m.value)
            m.net = 0
