"""The loop under random events, models and brokers, against a book-keeping of the broker's own."""

import math
import tempfile
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ami_engine.config import RunConfig, RunSection
from ami_engine.loop.run_loop import MAX_SOURCE_FAILURES, run_loop
from ami_engine.ports import Broker, Capabilities
from ami_engine.testing import ABILITIES, ListSource, book, read_packets
from ami_engine.trace.verify import verify
from decision_schema.events import Fill, Order
from decision_schema.instruments import Instrument
from decision_schema.types import Action, Proposal
from dmc_core.dmc.risk_policy import RiskPolicy

T0 = 1_600_000_000_000
MARKETS = ("M", "N")
INSTRUMENTS = tuple(
    Instrument(market_id=name, tick_size="0.01", lot_size="1", kind="binary") for name in MARKETS
)
MAX_POSITION, MAX_MARKET, MAX_TOTAL = 10, 4.0, 6.0
TOLERANCE = 1.0 + 1e-9


# ---------------------------------------------------------------- events

JUNK = (
    {"status": "open"}, [], [1, "a"], "bid", b"\xff", 7, True, math.nan, object(), {}, {"bid": "0.5"}, {"bids": [(1,)]},
    {"bid": math.nan}, {"ask": math.inf, "note": "\ud800"}, {"market_id": 3}, {"ts_ms": -1}, {"ts_ms": 10**30},
    {"note": {1: {2: {3, 4}}, (5, 6): [math.nan]}}, {"trades": "x"}, {"seq": 1.5}, {"deltas": [1]}, {"x": 10**4000},
    {"settlement": 7}, {"funding": []}, {"bid": Decimal("sNaN")}, {"bid": np.float32(0.5), "ask": np.float64("inf")},
    {"bid": 1e308, "ask": 1.5e308}, {"extra": "x" * 40_000},
)  # fmt: skip


def events(rng: Random, count: int) -> list[Any]:
    """Books that move in time, mixed with junk, mangled books, trades and sources that raise."""
    taken: list[Any] = []
    now_ms, ticks, calm = T0, rng.randint(20, 80), rng.random() < 0.6
    moves, widths = ([-1, 0, 0, 1], [1, 2, 2]) if calm else ([-30, -3, 0, 3, 30], [1, 2, 2, 4, 0, -1, 30])
    failures = 0
    for _ in range(count):
        now_ms += rng.choice([0, 1, 50, 400, 2_000, 2_000] if calm else [0, 50, 400, 2_000, -30, 61_000])
        ticks = min(95, max(5, ticks + rng.choice(moves)))
        bid, ask = ticks / 100, (ticks + rng.choice(widths)) / 100
        event: Any = book(bid, ask, rng.choice([0.5, 5.0, 50.0]), ts_ms=now_ms, market_id=rng.choice(MARKETS))
        kind = rng.randrange(60 if calm else 16)
        if kind == 0 and failures < MAX_SOURCE_FAILURES - 1:
            event, failures = OSError("line lost"), failures + 1
        else:
            failures = 0
        if kind == 1:
            event = rng.choice(JUNK)
        elif kind == 2:
            event = {**event, **rng.choice([part for part in JUNK if isinstance(part, dict)])}
        elif kind == 3:
            event["trades"] = [{"price": bid, "size": 3.0, "aggressor_side": rng.choice(["buy", "sell"])}]
        elif kind == 4:
            event[rng.choice(["bid", "ask"])] = None
        elif kind == 5:
            event["seq"] = rng.randint(0, 3)
        elif kind == 6:
            event["status"] = rng.choice(["halt", "open", "reconnected"])
        elif kind == 7:
            event["funding"] = 0.01
        taken.append(event)
    return taken


# ---------------------------------------------------------------- model


def _price(rng: Random, near: float) -> float:
    return round(near + rng.choice([-0.04, -0.02, -0.01, 0.0, 0.01, 0.02, 0.04, 0.6]), 2)


def _leg(rng: Random, near: float, level: int) -> dict[str, Any]:
    size = rng.choice([1, 1, 2, 3, 5, 8, 30, 0.5, 1e300])
    leg: dict[str, Any] = {"side": rng.choice(["buy", "sell"]), "size": size, "level": level}
    if rng.random() < 0.9:
        leg["price"] = _price(rng, near)
    if rng.random() < 0.1:
        leg["time_in_force"] = rng.choice(["IOC", "FOK"])
    if rng.random() < 0.1:
        leg["reduce_only"] = True
    if rng.random() < 0.1:
        leg["ttl_ms"] = 500
    return leg


def propose(rng: Random, near: float) -> Any:
    """Propose mostly sensible orders near a price, sometimes anything."""
    action = rng.choice([Action.ACT] * 20 + [Action.HOLD, Action.CANCEL, Action.EXIT])
    kind = rng.randrange(24)
    params: dict[str, Any] = {}
    if kind == 0:
        return rng.choice([None, 5, Proposal(action=rng.choice(list(Action)), confidence=1.0)])
    if kind == 1:
        raise ZeroDivisionError
    if kind == 2:
        params = {"value": rng.choice([math.nan, 1e308, -5, "x", 10**400])}
    elif kind == 3:
        params = {"orders": [], "note": rng.choice(["\ud800", math.inf, object(), {1: 2}])}
    elif kind < 8:
        params = {"value": _price(rng, near)}
    elif kind < 12:
        params = {"bid": _price(rng, near), "ask": _price(rng, near), "size": rng.choice([1, 2, 5, 20])}
    else:
        params = {"orders": [_leg(rng, near, level) for level in rng.sample(range(5), rng.randint(1, 4))]}
    return Proposal(action=action, confidence=0.5, params=params)


class Model:
    """Proposes at random, and remembers the mid of each market."""

    def __init__(self, rng: Random) -> None:
        self.rng, self.mids = rng, dict.fromkeys(MARKETS, math.nan)

    def propose(self, features: dict[str, float], instrument: Instrument) -> Any:
        mid = self.mids[instrument.market_id] = features.get("mid", math.nan)
        return propose(self.rng, 0.5 if math.isnan(mid) else mid)


# ---------------------------------------------------------------- broker


class Open(NamedTuple):
    """An order at the venue, and what of it is not filled."""

    order: Order
    left: int


class Venue(Broker):
    """Answers at random, never untruly; keeps its own books and checks the limits at each order."""

    def __init__(self, model: Model, rng: Random, abilities: frozenset[str], evil: bool) -> None:
        self.model, self.rng, self.abilities, self.evil = model, rng, abilities, evil
        self.orders: dict[str, Open] = {}
        self.ids: list[str] = []
        self.executed = dict.fromkeys(MARKETS, 0)
        self.waiting: list[Any] = []
        self.delivered: dict[str, Fill] = {}
        self.fills = 0
        self.filled: set[str] = set()
        self.arrived = False
        self.broken: list[Any] = []

    def capabilities(self) -> Capabilities:
        return Capabilities(**dict.fromkeys(self.abilities, True))

    def must(self, holds: bool, *what: Any) -> None:
        """Note a broken promise: raising it here would be a failure of the broker, which the loop survives."""
        if not holds:
            self.broken.append(what)

    def at_risk(self, market: str, order: Order | None, gone: str) -> tuple[int, int, float, float]:
        """Give the worst position and the most that can be lost, long and short, with a new order or without."""
        long, short = self.executed[market], -self.executed[market]
        for order_id, (other, left) in self.orders.items():
            if other.market_id == market and order_id != gone:
                long += left if other.side == "buy" else 0
                short += left if other.side == "sell" else 0
        dear = cheap = self.model.mids[market]
        if order is not None and order.side == "buy":
            long, dear = long + round(order.size), max(dear, order.price or dear)
        elif order is not None:
            short, cheap = short + round(order.size), min(cheap, order.price or cheap)
        return (
            long,
            short,
            max(0, long) * dear if long > 0 else 0.0,
            short * (1.0 - cheap) if short > 0 else 0.0,
        )

    def check(self, order: Order, replaces: str = "") -> None:
        """No id comes twice; no order leaves that adds risk beyond a limit, everything open filled."""
        self.must(order.client_order_id not in self.ids, "an id twice", order)
        self.ids.append(order.client_order_id)
        long, short, lost_long, lost_short = self.at_risk(order.market_id, order, replaces)
        if self.evil or order.reduce_only or (long if order.side == "buy" else short) <= 0:
            return
        position, lost = (long, lost_long) if order.side == "buy" else (short, lost_short)
        self.must(position <= MAX_POSITION, "position", order, position)
        self.must(lost <= MAX_MARKET * TOLERANCE, "market", order, lost)
        others = sum(max(self.at_risk(name, None, "")[2:]) for name in MARKETS if name != order.market_id)
        before = others + max(self.at_risk(order.market_id, None, "")[2:])
        after = others + max(lost_long, lost_short)
        self.must(after <= max(before, MAX_TOTAL) * TOLERANCE, "account", order, before, after)

    def execute(self, order_id: str, lots: int) -> Fill:
        order, left = self.orders.pop(order_id)
        self.fills += 1
        if left > lots:
            self.orders[order_id] = Open(order, left - lots)
        else:
            self.filled.add(order_id)
        self.executed[order.market_id] += lots if order.side == "buy" else -lots
        price = 0.5 if order.price is None else order.price
        return Fill(
            fill_id=f"f{self.fills}", client_order_id=order_id, market_id=order.market_id, side=order.side,
            price=price, size=float(lots), fee=0.001,
        )  # fmt: skip

    def place(self, order: Order) -> Any:
        chance = self.rng.randrange(12)
        self.arrived = chance > 1
        if chance == 0:
            return {"status": "rejected", "reason": "\ud800 no funds"}
        if chance == 1:
            raise ConnectionError("never arrived")
        self.orders[order.client_order_id] = Open(order, round(order.size))
        if chance == 2:
            raise TimeoutError("arrived, but nobody knows")
        if chance == 3:
            return {"status": [1]}
        if chance == 4 and "fills" in self.abilities:
            self.waiting.append(self.execute(order.client_order_id, round(order.size)))
            return {"status": "filled"}
        if order.time_in_force != "GTC" or chance == 5:
            del self.orders[order.client_order_id]
            return {"status": "canceled"}
        return {"status": "live"} if chance == 6 else None

    def submit_order(self, order: Order) -> Any:
        self.check(order)
        return self.place(order)

    def replace_order(self, client_order_id: str, order: Order) -> Any:
        news = any(getattr(report, "client_order_id", "") == client_order_id for report in self.waiting)
        if client_order_id not in self.orders or news:  # it is not what the loop takes it for
            self.ids.append(order.client_order_id)
            return {"status": "rejected", "reason": "nothing to replace"}
        self.check(order, client_order_id)
        before = self.orders.pop(client_order_id)
        try:
            return self.place(order)
        finally:
            if not self.arrived:
                self.orders[client_order_id] = before

    def cancel_order(self, client_order_id: str) -> Any:
        chance = self.rng.randrange(8)
        if chance == 0:
            raise ConnectionError("never arrived")
        if chance == 1:
            return {"status": "rejected", "reason": "too busy"}
        if client_order_id not in self.orders:
            return {"status": "filled" if client_order_id in self.filled else "not_found"}
        del self.orders[client_order_id]
        if chance == 2:
            raise TimeoutError("arrived")
        if chance == 3:
            return 5
        if chance == 4 and "fills" in self.abilities:
            self.waiting.append({"status": "canceled", "client_order_id": client_order_id})
            return None
        return {"status": "canceled"}

    def query_order(self, client_order_id: str) -> Any:
        chance = self.rng.randrange(6)
        if chance == 0:
            raise ConnectionError("line")
        if chance == 1:
            return "?"
        if client_order_id in self.filled:
            return {"status": "filled"}
        return {"status": "live"} if client_order_id in self.orders else None

    def process_fills(self, now_ms: int) -> Any:
        if "fills" not in self.abilities:
            return ()
        for order_id in list(self.orders):
            chance = self.rng.randrange(5)
            if chance == 0:
                self.waiting.append(self.execute(order_id, self.orders[order_id].left))
            elif chance == 1:
                self.waiting.append(self.execute(order_id, 1))
        chance = self.rng.randrange(14)
        # Late fills are those of orders that still count; the venue says of no other that it ended.
        counted = all(r.client_order_id in self.orders or r.client_order_id in self.filled
                      for r in self.waiting if isinstance(r, Fill))  # fmt: skip
        if chance == 0 and counted:
            raise OSError("line")
        if chance == 1 and counted:
            return []
        reports, self.waiting = self.waiting, []
        again = [fill for fill in self.delivered.values() if chance == 2]
        self.delivered.update((fill.fill_id, fill) for fill in reports if isinstance(fill, Fill))
        wild = [5, {"type": []}, {"status": "live"}] if chance == 3 else []
        if self.evil and chance == 4:
            wild = [{"fill_id": "e", "client_order_id": self.ids[-1] if self.ids else "x", "market_id": "M",
                     "side": "buy", "price": 0.5, "size": 99}]  # fmt: skip
        return [*again, *reports, *wild]


POLICY = RiskPolicy(
    max_abs_inventory=MAX_POSITION, max_per_market_usd=MAX_MARKET, max_total_exposure_usd=MAX_TOTAL,
    throttle_refresh_ms=100, circuit_breaker_failures=0, error_rate_max=0.0, cancel_rate_limit=0,
    daily_loss_stop_usd=0.0, staleness_ms=100_000, max_spread_bps=5_000, adv15_max_ticks=0, adv60_max_ticks=0,
    sigma_spike_z_max=0.0, min_depth=0.0,
)  # fmt: skip


ALL = frozenset(ABILITIES)
SOME_ABILITIES = (
    ALL,
    ALL - {"replace"},
    ALL - {"fills"},
    frozenset(["cancel", "fills"]),
    frozenset(["fills"]),
    frozenset(),
)
seeds = st.integers(0, 2**32)
lengths = st.integers(3, 60)


@settings(max_examples=300)
@given(seed=seeds, length=lengths, abilities=st.sampled_from(SOME_ABILITIES), timer_ms=st.sampled_from([0, 0, 0, 5_000]),
       evil=st.sampled_from([False, False, False, True]), dry_run=st.sampled_from([False] * 9 + [True]))  # fmt: skip
def test_the_loop_keeps_its_promises(seed, length, abilities, timer_ms, evil, dry_run):
    given_events = events(Random(seed), length)
    model = Model(Random(seed + 1))
    venue = Venue(model, Random(seed + 2), abilities, evil)
    config = RunConfig(run=RunSection(timer_ms=timer_ms, dry_run=dry_run))
    with tempfile.TemporaryDirectory() as folder:
        summary = run_loop(
            ListSource(given_events, instruments=INSTRUMENTS), venue, decision_engine=model, risk_policy=POLICY,
            config=config, output_dir=folder, run_id="r",
        )  # fmt: skip
        packets = read_packets(Path(folder, "r"))
        verify(Path(folder, "r"))

    assert [packet["step"] for packet in packets] == list(range(1, len(packets) + 1))
    inputs = [packet for packet in packets if "kind" not in packet["input"]]
    assert len(inputs) == summary["steps"] == sum(not isinstance(event, Exception) for event in given_events)
    assert venue.broken == []
    stopped = False
    sent: list[str] = []
    for packet in packets:
        orders = [intent for intent in packet["intents"] if intent["op"] != "cancel"]
        sent += [intent["client_order_id"] for intent in orders]
        if "bad" in packet["input"]:
            assert packet["final_action"]["action"] != "ACT"
        if packet["final_action"]["action"] != "ACT":
            assert all(intent["reduce_only"] for intent in orders)
        stopped = stopped or "stopped" in packet["state_after"]
        if stopped:
            assert all(intent["reduce_only"] for intent in orders)
            assert packet["final_action"]["action"] != "ACT"
    assert len(set(sent)) == len(sent)
    if dry_run:
        assert venue.ids == []
    else:
        assert venue.ids == sent
    if not evil:
        for market in summary["positions"]:
            known = sum(
                fill.size * (1 if fill.side == "buy" else -1)
                for fill in venue.delivered.values()
                if fill.market_id == market
            )
            assert summary["positions"][market] == known
        assert summary["stopped"] is None or summary["stopped"]["reason"] != "venue_inconsistent"


@settings(max_examples=25)
@given(seed=seeds, length=lengths, cut=lengths)
def test_the_same_inputs_give_the_same_bytes_and_a_prefix_gives_the_prefix(seed, length, cut):
    def lines(count):
        model = Model(Random(seed + 1))
        venue = Venue(model, Random(seed + 2), ALL, evil=False)
        with tempfile.TemporaryDirectory() as folder:
            run_loop(
                ListSource(events(Random(seed), length)[:count], instruments=INSTRUMENTS), venue,
                decision_engine=model, risk_policy=POLICY, output_dir=folder, run_id="r",
            )  # fmt: skip
            return Path(folder, "r", "traces.jsonl").read_bytes().splitlines()

    first = lines(length)
    assert lines(length) == first
    prefix = lines(cut)
    assert prefix == first[: len(prefix)]
