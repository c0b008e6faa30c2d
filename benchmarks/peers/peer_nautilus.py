"""NautilusTrader on the short rule: `python peer_nautilus.py DATA.npz --variant NAME`.

Prints one line of JSON. `quoting`: the short rule on its BacktestEngine; `queue`: the same with 5 ms of
latency; `noop`: a strategy that receives every row and does nothing.
Runs in an environment of its own (requirements-nautilus.txt), on the first rows only.
"""

import time
from decimal import Decimal
from typing import Any

import numpy as np
from common import (
    INITIAL_EQUITY,
    LATENCY_NS,
    LOT,
    MAX_INVENTORY,
    THROTTLE_NS,
    TICK_DEN,
    arguments,
    load,
    short_rule,
    since_start,
    tell,
)
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.backtest.models import LatencyModel
from nautilus_trader.config import LoggingConfig, RiskEngineConfig
from nautilus_trader.model.currencies import USD
from nautilus_trader.model.data import QuoteTick, TradeTick
from nautilus_trader.model.enums import AccountType, AggressorSide, BookType, OmsType, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, Symbol, TradeId, Venue
from nautilus_trader.model.instruments import Equity
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.trading.strategy import Strategy

VARIANTS = ("quoting", "queue", "noop")
ROWS = {"quoting": 60_000, "queue": 60_000, "noop": 240_000}
"""Rows of each variant; speed does not grow with their number."""
WARM_ROWS = 500
VENUE = Venue("SIM")
ID = InstrumentId(Symbol("M"), VENUE)


def instrument() -> Equity:
    """Describe the instrument of the rule: tick 0.01, lot 1, no fees."""
    return Equity(
        instrument_id=ID,
        raw_symbol=Symbol("M"),
        currency=USD,
        price_precision=2,
        price_increment=Price(1 / TICK_DEN, 2),
        lot_size=Quantity.from_int(1),
        ts_event=0,
        ts_init=0,
        margin_init=Decimal("0.01"),
        margin_maint=Decimal("0.01"),
        maker_fee=Decimal(0),
        taker_fee=Decimal(0),
    )


def feed_of(columns: dict[str, np.ndarray]) -> list[Any]:
    """Give the rows as its ticks."""
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    feed: list[Any] = []
    for number, (ts, bid, ask, bid_size, ask_size, price, size, side) in enumerate(rows):
        if side:
            taker = AggressorSide.BUYER if side > 0 else AggressorSide.SELLER
            name = TradeId(str(number))
            feed.append(TradeTick(ID, Price(price, 2), Quantity(size, 0), taker, name, ts, ts))
        else:
            quote = Price(bid, 2), Price(ask, 2), Quantity(bid_size, 0), Quantity(ask_size, 0)
            feed.append(QuoteTick(ID, *quote, ts, ts))
    return feed


class Noop(Strategy):
    """Receive every row and do nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.counts = dict.fromkeys(("wakes", "acts", "sent", "modified", "cancelled", "fills"), 0)
        self.position = 0.0
        self.farthest = 0.0

    def on_start(self) -> None:
        self.subscribe_quote_ticks(ID)
        self.subscribe_trade_ticks(ID)

    def on_quote_tick(self, tick: QuoteTick) -> None:
        self.counts["wakes"] += 1

    def on_trade_tick(self, tick: TradeTick) -> None:
        self.counts["wakes"] += 1


class Quoting(Noop):
    """Keep one order a side at the prices of the short rule."""

    def __init__(self) -> None:
        super().__init__()
        self.lot = Quantity(LOT, 0)
        self.orders: dict[int, Any] = {1: None, -1: None}
        self.placed_ns = {1: 0, -1: 0}
        self.last: tuple[float, float, float, float] | None = None

    def on_quote_tick(self, tick: QuoteTick) -> None:
        prices = tick.bid_price.as_double(), tick.ask_price.as_double()
        self.last = *prices, tick.bid_size.as_double(), tick.ask_size.as_double()
        self.follow(tick.ts_event)

    def on_trade_tick(self, tick: TradeTick) -> None:
        if self.last is not None:
            self.follow(tick.ts_event)

    def follow(self, now_ns: int) -> None:
        self.counts["wakes"] += 1
        act, buy, sell = short_rule(*self.last, self.position)
        if act:
            self.counts["acts"] += 1
            self.farthest = max(self.farthest, abs(self.position))
            self.pursue(1, buy, self.position < MAX_INVENTORY, now_ns)
            self.pursue(-1, sell, self.position > -MAX_INVENTORY, now_ns)

    def pursue(self, side: int, ticks: int, allowed: bool, now_ns: int) -> None:
        order = self.orders[side]
        if order is None or order.is_closed:
            if not allowed:
                return
            order = self.order_factory.limit(
                ID, OrderSide.BUY if side > 0 else OrderSide.SELL, self.lot, Price(ticks / TICK_DEN, 2),
                post_only=True,
            )  # fmt: skip
            self.orders[side] = order
            self.placed_ns[side] = now_ns
            self.counts["sent"] += 1
            self.submit_order(order)
        elif order.is_inflight or not order.is_open:
            return
        elif not allowed:
            self.counts["cancelled"] += 1
            self.cancel_order(order)
        elif (
            round(order.price.as_double() * TICK_DEN) != ticks
            and now_ns - self.placed_ns[side] >= THROTTLE_NS
        ):
            self.placed_ns[side] = now_ns
            self.counts["modified"] += 1
            self.modify_order(order, price=Price(ticks / TICK_DEN, 2))

    def on_order_filled(self, event: Any) -> None:
        self.counts["fills"] += 1
        self.position += LOT if event.order_side == OrderSide.BUY else -LOT


def run(feed: list[Any], variant: str) -> tuple[float, Noop]:
    """Run one variant; give the seconds of the run itself and the strategy."""
    engine = BacktestEngine(
        BacktestEngineConfig(
            logging=LoggingConfig(bypass_logging=True),
            risk_engine=RiskEngineConfig(bypass=True),
            run_analysis=False,
        )
    )
    engine.add_venue(
        venue=VENUE,
        oms_type=OmsType.NETTING,
        account_type=AccountType.MARGIN,
        base_currency=USD,
        starting_balances=[Money(INITIAL_EQUITY, USD)],
        latency_model=LatencyModel(base_latency_nanos=LATENCY_NS) if variant == "queue" else None,
        book_type=BookType.L1_MBP,
        bar_execution=False,
        trade_execution=True,
    )
    engine.add_instrument(instrument())
    engine.add_data(feed, sort=False)
    strategy = Noop() if variant == "noop" else Quoting()
    engine.add_strategy(strategy)
    begun = time.perf_counter()
    engine.run()
    seconds = time.perf_counter() - begun
    engine.dispose()
    return seconds, strategy


def main() -> None:
    given = arguments(VARIANTS)
    begun = time.perf_counter()
    columns = load(given.data, given.rows or ROWS[given.variant])
    feed = feed_of(columns)
    reading = time.perf_counter() - begun
    run(feed[:WARM_ROWS], given.variant)
    start_seconds = since_start() - reading
    seconds, strategy = run(feed, given.variant)
    tell(
        "nautilus_trader",
        given.variant,
        columns,
        [seconds],
        start_seconds,
        ("nautilus_trader", "numpy"),
        position=strategy.position,
        farthest_position=strategy.farthest,
        **strategy.counts,
    )


if __name__ == "__main__":
    main()
