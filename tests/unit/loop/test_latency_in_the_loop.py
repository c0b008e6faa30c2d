"""Latency through the whole loop: what is under way counts, nothing is lost at the end, all is the same twice."""

import random

import pytest

from ami_engine.assembly import make_broker, run_config
from ami_engine.config import config_from_dict
from ami_engine.loop.run_loop import run_loop
from ami_engine.sim.paper_broker import PaperBroker
from ami_engine.testing import ListSource, read_packets
from ami_engine.trace.verify import verify
from decision_schema.errors import ConfigError
from decision_schema.instruments import Instrument
from decision_schema.types import Action, Proposal

T0 = 1_600_000_000_000
MS = 1_000_000
M = Instrument(market_id="M", tick_size="0.01", lot_size="1", maker_fee=0.0001, taker_fee=0.0005)
POLICY = {
    "max_per_market_usd": 1e6, "max_total_exposure_usd": 1e6, "daily_loss_stop_usd": 0.0,
    "adv15_max_ticks": 0.0, "adv60_max_ticks": 0.0, "max_abs_inventory": 50.0,
}  # fmt: skip
SETTINGS = [
    {},
    {"entry_latency_ms": 20.0},
    {"entry_latency_ms": 20.0, "response_latency_ms": 30.0, "queue": "log"},
    {"entry_latency_ms": 40.0, "response_latency_ms": 90.0, "latency_sigma": 0.7, "queue": "power"},
    {"entry_latency_ms": 700.0, "response_latency_ms": 1_900.0, "latency_sigma": 0.2, "partial_fills": False},
]


def market(n=400, seed=5):
    """A walking book with trades, seen between 3 and 30 ms after it happened."""
    chance = random.Random(seed)
    mid, received, events = 1_000, 0, []
    for i in range(n):
        mid += chance.choice((-1, 0, 0, 0, 1))
        at = T0 * MS + i * 100 * MS
        received = max(received, at + chance.randint(3, 30) * MS)
        trades = []
        if chance.random() < 0.5:
            side = chance.choice(("buy", "sell"))
            price = mid + (1 if side == "buy" else -1)
            trades = [{"price": price / 100, "size": float(chance.randint(1, 25)), "aggressor_side": side}]
        events.append({
            "market_id": "M", "ts_ns": at, "received_ns": received, "trades": trades,
            "bids": [((mid - 1 - k) / 100, float(chance.randint(1, 20))) for k in range(4)],
            "asks": [((mid + 1 + k) / 100, float(chance.randint(1, 20))) for k in range(4)],
        })  # fmt: skip
    return events


def join(features):
    mid = features["mid"]
    return Proposal(
        action=Action.ACT, confidence=0.9, params={"bid": mid - 0.01, "ask": mid + 0.01, "size": 3}
    )


def play(folder, settings, run_id="r", **run):
    broker = PaperBroker(**settings)
    config = {"guards": POLICY, "run": {"run_id": run_id, **run}}
    summary = run_loop(
        ListSource(market(), instruments=(M,)),
        broker,
        config=config_from_dict(config),
        decision_engine=join,
        output_dir=folder,
    )
    verify(summary["run_dir"])
    return summary, read_packets(summary["run_dir"]), broker


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_the_books_agree_and_every_order_ends(tmp_path, settings):
    summary, packets, broker = play(tmp_path, settings, timer_ms=50)
    assert summary["fills"] > 0
    assert broker.get_state()["open_orders"] == []
    assert summary["positions"].get("M", 0.0) == broker.get_state()["positions"]["M"]
    assert not any("inconsistent" in str(p.get("mismatch")) for p in packets)
    assert len(packets) > 400


@pytest.mark.parametrize("settings", SETTINGS[1:], ids=str)
def test_nothing_arrives_or_is_heard_before_its_time(tmp_path, settings):
    _, packets, _ = play(tmp_path, settings)
    entry = int(settings["entry_latency_ms"]) * MS if "latency_sigma" not in settings else 0
    response = int(settings.get("response_latency_ms", 0.0)) * MS if "latency_sigma" not in settings else 0
    sent, heard = {}, 0
    for packet in packets:
        now = packet["external"]["now_ns"]
        for report in packet["external"]["reports"]:
            name = report["client_order_id"]
            if report.get("status") == "sent":
                continue
            heard += 1
            assert report["ts_ns"] >= sent[name] + entry
            assert now >= report["ts_ns"] + response
        for intent in packet["intents"]:
            sent.setdefault(intent["client_order_id"], now)
    assert heard > 20


def test_latency_costs_fills_and_the_same_seed_gives_the_same_bytes(tmp_path):
    slow = {"entry_latency_ms": 60.0, "response_latency_ms": 60.0, "latency_sigma": 0.5}
    first = [path.read_bytes() for path in _traces(tmp_path / "a", slow)]
    assert first == [path.read_bytes() for path in _traces(tmp_path / "b", slow)]
    assert first != [path.read_bytes() for path in _traces(tmp_path / "c", slow, seed=1)]


def _traces(folder, settings, **run):
    summary, _, _ = play(folder, settings, **run)
    return [folder / summary["run_id"] / "traces.jsonl"]


def test_the_feed_can_be_late_where_the_data_do_not_say(tmp_path):
    rows = [{"market_id": "M", "ts_ms": T0 + 100 * i, "bid": 9.99, "ask": 10.01} for i in range(5)]
    config = {"data": {"feed_latency_ms": 25.0}, "run": {"run_id": "r"}, "guards": POLICY}
    run_loop(
        ListSource(rows, instruments=(M,)),
        PaperBroker(),
        config=config_from_dict(config),
        output_dir=tmp_path,
    )
    times = [packet["external"]["now_ns"] for packet in read_packets(tmp_path / "r")]
    assert times == [(T0 + 100 * i + 25) * MS for i in range(5)]
    ages = [packet["mdm"]["features"]["staleness_ms"] for packet in read_packets(tmp_path / "r")]
    assert ages == [25.0] * 5


def test_a_config_chooses_the_fill_model(tmp_path):
    raw = {
        "broker": {"paper": {"queue": "power", "queue_power": 2.0, "entry_latency_ms": 5.0}},
        "data": {"sim": {"num_events": 30}},
        "trace": {"output_dir": str(tmp_path)},
        "run": {"run_id": "r"},
    }
    config = config_from_dict(raw)
    told = make_broker(config).describe()
    assert (told["queue"], told["queue_power"], told["entry_latency_ms"]) == ("power", 2.0, 5.0)
    assert run_config(config)["steps"] == 30


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"broker": {"paper": {"queue": "pro-rata"}}}, "broker.paper: queue is 'pro-rata'"),
        ({"broker": {"paper": {"queu": "log"}}}, "did you mean 'queue'"),
        ({"broker": {"params": {"queue": "log"}}}, r"the paper broker takes \[broker.paper\]"),
        ({"data": {"feed_latency_ms": -1.0}}, "data.feed_latency_ms is -1.0"),
        (
            {"broker": {"broker": "ami_engine.testing:ScriptedBroker", "paper": {"queue": "log"}}},
            "broker.paper goes with the paper broker",
        ),
    ],
)
def test_settings_that_make_no_sense_are_refused(raw, words):
    with pytest.raises(ConfigError, match=words):
        make_broker(config_from_dict(raw))


def test_a_config_names_a_queue_function_of_the_user(tmp_path):
    file = tmp_path / "queues.py"
    file.write_text("def half(front, back):\n    return 0.5\n")
    config = config_from_dict({"broker": {"paper": {"queue": f"{file}:half"}}})
    assert make_broker(config).describe()["queue"].endswith(":half")
