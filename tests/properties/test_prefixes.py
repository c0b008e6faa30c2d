"""A run over the first events gives the first packets of the run over all: every feature, every fill model."""

import inspect
import tempfile
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ami_engine.config import config_from_dict
from ami_engine.features.catalogue import FEATURES
from ami_engine.loop.run_loop import run_loop
from ami_engine.replay.compare import compare_traces, feature_names
from ami_engine.replay.lookahead import find_lookahead
from ami_engine.sim.microstructure_sim import MicrostructureSim
from ami_engine.sim.paper_broker import PaperBroker
from ami_engine.sim.synthetic_source import SyntheticSource
from ami_engine.testing import ListSource
from decision_schema.types import Action, Proposal
from tests.properties.test_loop import INSTRUMENTS, MARKETS, POLICY, T0, Model
from tests.properties.test_loop import events as book_events

TRACES = "traces.jsonl"


# ---------------------------------------------------------------- events


def _trade(rng: Random, price: float, ts_ms: int) -> dict[str, Any]:
    side = rng.choice(["buy", "sell", None])
    trade = {"price": round(price, 2), "size": float(rng.randint(1, 30)), "ts_ms": ts_ms}
    return trade if side is None else {**trade, "aggressor_side": side}


def level_events(rng: Random, count: int) -> list[Any]:
    """A snapshot, changes of levels numbered one by one, trades, late quotes; sometimes one is lost."""
    taken: list[Any] = []
    now_ms, seq, mid = T0, 0, rng.randint(30, 70)
    for i in range(count):
        now_ms += rng.choice([0, 1, 40, 200, 900])
        head: dict[str, Any] = {"market_id": "M", "ts_ms": now_ms}
        if rng.random() < 0.5:
            head["received_ms"] = now_ms + rng.choice([0, 2, 30])
        if i == 0 or rng.random() < 0.03:
            seq += 1
            mid = min(80, max(20, mid + rng.choice([-2, 0, 2])))
            bids = [(round((mid - 1 - k) / 100, 2), rng.randint(1, 40)) for k in range(5)]
            asks = [(round((mid + 1 + k) / 100, 2), rng.randint(1, 40)) for k in range(5)]
            taken.append({**head, "channel": "book", "seq": seq, "book_seq": seq, "bids": bids, "asks": asks})
            continue
        kind = rng.randrange(10)
        if kind < 6:
            before = seq
            seq += 2 if rng.random() < 0.03 else 1
            side, sign = rng.choice([("buy", -1), ("sell", 1)])
            deltas = [
                (side, round((mid + sign * rng.randint(1, 6)) / 100, 2), rng.choice([0, 5, 20, 40]))
                for _ in range(rng.randint(1, 3))
            ]
            taken.append({**head, "channel": "book", "seq": seq, "prev_seq": before if rng.random() < 0.98 else before + 1,
                          "book_seq": seq, "deltas": deltas})  # fmt: skip
        elif kind < 9:
            sign = rng.choice([-2, -1, 0, 1, 2])
            taken.append({**head, "channel": "trades", "trades": [_trade(rng, (mid + sign) / 100, now_ms)]})
        else:
            taken.append({**head, "channel": "quote", "book_seq": seq - rng.randint(0, 2), "bid": (mid - 1) / 100,
                          "bid_size": 4, "ask": (mid + 1) / 100, "ask_size": 6})  # fmt: skip
    return taken


def order_events(rng: Random, count: int) -> list[Any]:
    """Every order of a venue, added, reduced, executed and deleted; sometimes one that nobody knows."""
    taken: list[Any] = []
    orders: dict[int, tuple[str, float, int]] = {}
    now_ms, number, mid = T0, 0, 50
    for i in range(count):
        now_ms += rng.choice([0, 0, 1, 20, 300, 2_000])
        head = {
            "market_id": "M",
            "ts_ms": now_ms,
            "channel": "orders",
            "seq": i + 1,
            "prev_seq": i,
            "book_seq": i + 1,
        }
        if i == 0:
            taken.append({**head, "order_messages": [{"op": "clear"}]})
            continue
        if len(orders) < 8 or rng.random() < 0.4:
            number += 1
            side, sign = rng.choice([("buy", -1), ("sell", 1)])
            price, size = (mid + sign * rng.randint(1, 4)) / 100, rng.randint(1, 40)
            orders[number] = (side, price, size)
            taken.append(
                {
                    **head,
                    "order_messages": [
                        {"op": "add", "order_id": number, "side": side, "price": price, "size": size}
                    ],
                }
            )
            continue
        order_id = rng.choice(list(orders))
        side, price, size = orders[order_id]
        some = rng.randint(1, size)
        op = rng.choice(["reduce", "execute", "delete"])
        message: dict[str, Any] = {
            "op": op,
            "order_id": order_id if rng.random() < 0.98 else 10**6,
            "side": side,
            "price": price,
        }
        if op != "delete":
            message["size"] = some
        if op == "delete" or some == size:
            del orders[order_id]
        else:
            orders[order_id] = (side, price, size - some)
        event: dict[str, Any] = {**head, "order_messages": [message]}
        if op == "execute":
            event["trades"] = [
                {"price": price, "size": float(some), "aggressor_side": "sell" if side == "buy" else "buy"}
            ]
        taken.append(event)
    return taken


STREAMS = {"books": book_events, "levels": level_events, "orders": order_events}


# ---------------------------------------------------------------- fill models


def a_share(front: float, back: float) -> float:
    return back / (front + back) if front + back else 0.0


def with_table(folder: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """Write the table of latencies that a fill model names."""
    if "latency_table" not in settings:
        return settings
    rows = [f"{(T0 + 1_000 * i) * 10**6},{(1 + i % 7) * 10**6},{(2 + i % 5) * 10**6}" for i in range(60)]
    (folder / "latency.csv").write_text("\n".join(["ts_ns,entry_ns,response_ns", *rows]) + "\n")
    return {**settings, "latency_table": folder / "latency.csv"}


QUEUES = {
    "default": {},
    "power": {"queue": "power", "queue_power": 2.0},
    "log": {"queue": "log"},
    "given": {"queue": a_share},
    "whole": {"partial_fills": False},
}
LATENCIES = {
    "at once": {},
    "constant": {"entry_latency_ms": 35.0, "response_latency_ms": 60.0},
    "drawn": {"entry_latency_ms": 20.0, "response_latency_ms": 20.0, "latency_sigma": 0.8},
    "table": {"latency_table": ""},
}
KNOWN = frozenset(inspect.signature(PaperBroker).parameters)
"""Settings that this version of the broker has: a fill model with others is left out."""
FILL_MODELS = {
    f"{queue}, {latency}": {**of_queue, **of_latency}
    for queue, of_queue in QUEUES.items()
    for latency, of_latency in LATENCIES.items()
    if KNOWN.issuperset({*of_queue, *of_latency})
}


def steady(features: dict[str, float]) -> Proposal:
    """Quote a little away from the mid, and leave the orders where they are while it stands still."""
    if "mid" not in features:
        return Proposal(action=Action.HOLD, confidence=1.0)
    ticks = round(100 * features["mid"])
    return Proposal(
        action=Action.ACT,
        confidence=0.5,
        params={"bid": (ticks - 1) / 100, "ask": (ticks + 1) / 100, "size": 3},
    )


def traced(
    folder: Path, name: str, events: list[Any], seed: int, fills: dict[str, Any], timer_ms: int = 0, feed_ms: float = 0.0,
    *, wild: bool = True,
) -> Path:  # fmt: skip
    """Run events under a model that proposes at random, or a steady one; give its trace."""
    data = {"feed_latency_ms": feed_ms, "feed_latency_sigma": 0.5} if feed_ms else {}
    summary = run_loop(
        ListSource(events, instruments=INSTRUMENTS), PaperBroker(**with_table(folder, fills)),
        decision_engine=Model(Random(seed + 1)) if wild else steady, risk_policy=POLICY, run_id="r", output_dir=folder / name,
        config=config_from_dict({"run": {"timer_ms": timer_ms, "seed": seed % 1_000}, "data": data}),
    )  # fmt: skip
    return Path(summary["run_dir"]) / TRACES


@pytest.mark.parametrize("fills", FILL_MODELS.values(), ids=FILL_MODELS.keys())
@settings(max_examples=10)
@given(
    seed=st.integers(0, 2**32), stream=st.sampled_from(sorted(STREAMS)), length=st.integers(2, 70), part=st.floats(0.0, 1.0),
    timer_ms=st.sampled_from([0, 0, 250]), feed_ms=st.sampled_from([0.0, 0.0, 40.0]), wild=st.booleans(),
)  # fmt: skip
def test_a_prefix_gives_the_first_packets(fills, seed, stream, length, part, timer_ms, feed_ms, wild):
    events = STREAMS[stream](Random(seed), length)
    cut = max(1, round(part * (length - 1)))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole = traced(folder, "whole", events, seed, fills, timer_ms, feed_ms, wild=wild)
        prefix = traced(folder, "prefix", events[:cut], seed, fills, timer_ms, feed_ms, wild=wild)
        given = sum(not isinstance(event, Exception) for event in events[:cut])
        found = compare_traces(whole, prefix, given)
        assert found.first is None, found.first
        assert found.events == given
        assert whole.read_bytes().startswith(prefix.read_bytes())


def test_every_feature_comes_in_these_runs(tmp_path):
    """The feature vector is compared whole; so that this says something, each feature must have been there."""
    seen: set[str] = set()
    for seed, (name, stream) in enumerate(STREAMS.items()):
        trace = traced(tmp_path, name, stream(Random(seed), 700), seed, {}, 250)
        seen |= feature_names(trace, 100_000)
    assert {spec.name for spec in FEATURES} - seen == set()


@pytest.mark.parametrize("fills", FILL_MODELS.values(), ids=FILL_MODELS.keys())
def test_each_fill_model_fills_in_these_runs(fills, tmp_path):
    assert (
        b'"type":"fill"'
        in traced(tmp_path, "r", level_events(Random(1), 200), 1, fills, wild=False).read_bytes()
    )


@pytest.mark.parametrize("fills", [{}, LATENCIES["drawn"]], ids=["at once", "drawn"])
def test_the_simulated_market_is_the_same_however_long_it_runs(fills, tmp_path):
    if not KNOWN.issuperset(fills):
        pytest.skip("this broker has no such setting")

    def run(events, folder):
        source = SyntheticSource(
            MicrostructureSim(mid=0.5, spread=0.02), num_events=400 if events is None else events
        )
        return run_loop(source, PaperBroker(**fills), run_id="r", output_dir=folder)

    found = find_lookahead(run, cuts=3)
    assert found.clean, found.first or found.unstable
    assert found.fills > 0


@pytest.mark.parametrize("market", MARKETS)
def test_the_check_would_see_a_feature_that_knows_the_next_book(market, tmp_path):
    """The property above can fail: with one input moved forward it does."""
    events = [event for event in book_events(Random(5), 40) if isinstance(event, dict) and "bid" in event]
    ahead = [{**event, "hint": events[min(i + 1, len(events) - 1)]["bid"]} for i, event in enumerate(events)]
    cut = next(
        i
        for i in range(12, 40)
        if events[i]["bid"] != events[i - 1]["bid"] and events[i]["market_id"] == market
    )
    short = [{**event, "hint": events[min(i + 1, cut - 1)]["bid"]} for i, event in enumerate(events[:cut])]
    whole = traced(tmp_path, "whole", ahead, 5, {})
    prefix = traced(tmp_path, "prefix", short, 5, {})
    found = compare_traces(whole, prefix, cut)
    assert (found.first.field, found.first.event) == ("input extra.hint", cut)
