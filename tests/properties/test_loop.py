"""The loop under random events, models and brokers, against a book-keeping of the broker's own."""

import math
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from hypothesis import HealthCheck, given, settings
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
INSTRUMENTS = tuple(Instrument(market_id=name, tick_size="0.01", lot_size="1", kind="binary") for name in MARKETS)
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

prices = st.integers(5, 105).map(lambda ticks: ticks / 100)
sizes = st.sampled_from([0.5, 5.0, 50.0])


@st.composite
def events(draw: Any) -> list[Any]:
    """Books that move in time, mixed with junk, mangled books, trades and sources that raise."""
    taken: list[Any] = []
    now_ms, failures, ticks, calm = T0, 0, draw(st.integers(20, 80)), draw(st.booleans())
    moves, widths = ([-1, 0, 0, 1], [1, 2, 2]) if calm else ([-30, -3, 0, 3, 30], [1, 2, 2, 4, 0, -1, 30])
    for _ in range(draw(st.integers(3, 40))):
        now_ms += draw(st.sampled_from([0, 1, 50, 400, 2_000, 2_000] if calm else [0, 50, 2_000, -30, 61_000]))
        ticks = min(95, max(5, ticks + draw(st.sampled_from(moves))))
        bid, ask = ticks / 100, (ticks + draw(st.sampled_from(widths))) / 100
        event: Any = book(bid, ask, draw(sizes), ts_ms=now_ms, market_id=draw(st.sampled_from(MARKETS)))
        kind = draw(st.integers(0, 59 if calm else 19))
        if kind == 0 and failures < MAX_SOURCE_FAILURES - 1:
            event, failures = OSError("line lost"), failures + 1
        else:
            failures = 0
        if kind == 1:
            junk = draw(st.sampled_from(JUNK))
            event = (lambda given: lambda: given)(junk)
        elif kind == 2:
            event = {**event, **draw(st.sampled_from([part for part in JUNK if isinstance(part, dict)]))}
        elif kind == 3:
            event["trades"] = [{"price": bid, "size": 3.0, "aggressor_side": draw(st.sampled_from(["buy", "sell"]))}]
        elif kind == 4:
            event[draw(st.sampled_from(["bid", "ask"]))] = None
        elif kind == 5:
            event["seq"] = draw(st.integers(0, 3))
        elif kind == 6:
            event["status"] = draw(st.sampled_from(["halt", "open", "reconnected"]))
        elif kind == 7:
            event["funding"] = 0.01
        taken.append(event)
    return taken


# ---------------------------------------------------------------- model

sizes_wanted = st.sampled_from([1, 2, 3, 5, 8, 30, 0.5, 1e-9, 1e300])
legs = st.fixed_dictionaries(
    {"side": st.sampled_from(["buy", "sell"]), "size": sizes_wanted, "level": st.integers(0, 3)},
    optional={
        "price": prices, "time_in_force": st.sampled_from(["GTC", "IOC", "FOK"]), "reduce_only": st.booleans(),
        "ttl_ms": st.sampled_from([1, 500]), "post_only": st.booleans(),
    },
)  # fmt: skip
terms = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"value": st.one_of(prices, st.sampled_from([math.nan, 1e308, -5, "x", 0.5]))}),
    st.fixed_dictionaries({"bid": prices, "ask": prices, "size": sizes_wanted}),
    *[st.fixed_dictionaries({"orders": st.lists(legs, max_size=4, unique_by=lambda leg: (leg["side"], leg["level"]))})] * 4,
    st.fixed_dictionaries({"orders": st.just([]), "note": st.sampled_from(["\ud800", math.inf, object(), {1: 2}])}),
)
weighted = [Action.ACT] * 20 + [Action.HOLD, Action.CANCEL, Action.EXIT]
answers = st.one_of(
    *[st.tuples(st.sampled_from(weighted), terms)] * 8,
    st.sampled_from([ZeroDivisionError("x"), None, 5, (Action.STOP, {})]),
)


class Model:
    """Gives the drawn answers in turn, and remembers the mid of each market."""

    def __init__(self, drawn: list[Any]) -> None:
        self.drawn, self.asked, self.mids = drawn, 0, dict.fromkeys(MARKETS, math.nan)

    def propose(self, features: dict[str, float], event: Any, instrument: Instrument) -> Any:
        self.mids[instrument.market_id] = features.get("mid", math.nan)
        answer = self.drawn[self.asked % len(self.drawn)]
        self.asked += 1
        if isinstance(answer, Exception):
            raise answer
        if not isinstance(answer, tuple):
            return answer
        return Proposal(action=answer[0], confidence=0.5, params=dict(answer[1]))


# ---------------------------------------------------------------- broker


class Open(NamedTuple):
    """An order at the venue, and what of it is not filled."""

    order: Order
    left: int


class Venue(Broker):
    """Answers at random, never untruly; keeps its own books and checks the limits at each order."""

    def __init__(self, model: Model, chances: list[int], abilities: frozenset[str], evil: bool) -> None:
        self.model, self.chances, self.drawn, self.abilities, self.evil = model, chances, 0, abilities, evil
        self.orders: dict[str, Open] = {}
        self.ids: list[str] = []
        self.executed = dict.fromkeys(MARKETS, 0)
        self.waiting: list[Any] = []
        self.delivered: dict[str, Fill] = {}
        self.fills = 0
        self.arrived = False

    def chance(self, outcomes: int) -> int:
        self.drawn += 1
        return self.chances[self.drawn % len(self.chances)] % outcomes

    def capabilities(self) -> Capabilities:
        return Capabilities(**dict.fromkeys(self.abilities, True))

    def check(self, order: Order, replaces: str = "") -> None:
        """No order id comes twice, and no order leaves that could break a limit, all open ones filled."""
        assert order.client_order_id not in self.ids
        self.ids.append(order.client_order_id)
        if self.evil:
            return
        at_risk = {}
        for market in MARKETS:
            sums = {"buy": 0, "sell": 0}
            for order_id, (other, left) in self.orders.items():
                if other.market_id == market and order_id != replaces:
                    sums[other.side] += left
            if market == order.market_id:
                sums[order.side] += round(order.size)
            long = max(0, self.executed[market] + sums["buy"])
            short = max(0, sums["sell"] - self.executed[market])
            mid = self.model.mids[market]
            dear, cheap = mid, mid
            if market == order.market_id:
                dear, cheap = max(mid, order.price or mid), min(mid, order.price or mid)
            at_risk[market] = {"buy": long * dear if long else 0.0, "sell": short * (1.0 - cheap) if short else 0.0}
            if market == order.market_id and not order.reduce_only:
                assert (long if order.side == "buy" else short) <= MAX_POSITION
        if order.reduce_only or self.reduces(order, replaces):
            return
        assert at_risk[order.market_id][order.side] <= MAX_MARKET * TOLERANCE
        assert sum(max(sides.values()) for sides in at_risk.values()) <= MAX_TOTAL * TOLERANCE

    def reduces(self, order: Order, replaces: str) -> bool:
        """Whether it cannot flip the position even if its whole side fills."""
        side = sum(
            left for name, (other, left) in self.orders.items()
            if other.market_id == order.market_id and other.side == order.side and name != replaces
        ) + round(order.size)  # fmt: skip
        position = self.executed[order.market_id]
        return position + side <= 0 if order.side == "buy" else position - side >= 0

    def execute(self, order_id: str, lots: int) -> Fill:
        order, left = self.orders.pop(order_id)
        self.fills += 1
        if left > lots:
            self.orders[order_id] = Open(order, left - lots)
        self.executed[order.market_id] += lots if order.side == "buy" else -lots
        price = 0.5 if order.price is None else order.price
        return Fill(
            fill_id=f"f{self.fills}", client_order_id=order_id, market_id=order.market_id, side=order.side,
            price=price, size=float(lots), fee=0.001,
        )  # fmt: skip

    def place(self, order: Order) -> Any:
        chance = self.chance(12)
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
        self.check(order, client_order_id if client_order_id in self.orders else "")
        if client_order_id not in self.orders:
            return {"status": "rejected", "reason": "nothing to replace"}
        before = self.orders.pop(client_order_id)
        try:
            return self.place(order)
        finally:
            if not self.arrived:
                self.orders[client_order_id] = before

    def cancel_order(self, client_order_id: str) -> Any:
        chance = self.chance(8)
        if chance == 0:
            raise ConnectionError("never arrived")
        if chance == 1:
            return {"status": "rejected", "reason": "too busy"}
        if client_order_id not in self.orders:
            return {"status": "not_found"}
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
        chance = self.chance(6)
        if chance == 0:
            raise ConnectionError("line")
        if chance == 1:
            return "?"
        return {"status": "live"} if client_order_id in self.orders else None

    def process_fills(self, now_ms: int) -> Any:
        if "fills" not in self.abilities:
            return ()
        for order_id in list(self.orders):
            chance = self.chance(5)
            if chance == 0:
                self.waiting.append(self.execute(order_id, self.orders[order_id].left))
            elif chance == 1:
                self.waiting.append(self.execute(order_id, 1))
        chance = self.chance(14)
        if chance == 0:
            raise OSError("line")
        if chance == 1:
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


@settings(max_examples=250, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    given_events=events(),
    drawn=st.lists(answers, min_size=1, max_size=12),
    chances=st.lists(st.integers(0, 840), min_size=3, max_size=40),
    abilities=st.sampled_from([frozenset(ABILITIES), frozenset(ABILITIES) - {"replace"}, frozenset(["cancel", "fills"]), frozenset(["fills"]), frozenset()]),
    timer_ms=st.sampled_from([0, 0, 0, 1_000]),
    evil=st.sampled_from([False, False, False, True]),
    dry_run=st.sampled_from([False] * 9 + [True]),
)
def test_the_loop_keeps_its_promises(given_events, drawn, chances, abilities, timer_ms, evil, dry_run):
    model = Model(drawn)
    venue = Venue(model, chances, abilities, evil)
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


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    given_events=events(),
    drawn=st.lists(answers, min_size=1, max_size=12),
    chances=st.lists(st.integers(0, 840), min_size=3, max_size=40),
    cut=st.integers(0, 40),
)
def test_the_same_inputs_give_the_same_bytes_and_a_prefix_gives_the_prefix(given_events, drawn, chances, cut):
    def lines(taken):
        model = Model(drawn)
        venue = Venue(model, chances, frozenset(ABILITIES), evil=False)
        with tempfile.TemporaryDirectory() as folder:
            run_loop(
                ListSource(taken, instruments=INSTRUMENTS), venue, decision_engine=model, risk_policy=POLICY,
                output_dir=folder, run_id="r",
            )  # fmt: skip
            return Path(folder, "r", "traces.jsonl").read_bytes().splitlines()

    first = lines(given_events)
    assert lines(given_events) == first
    prefix = lines(given_events[:cut])
    assert prefix == first[: len(prefix)]
