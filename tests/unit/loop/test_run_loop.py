"""The driver: how a run ends, what it says at its end, and that equal runs give equal bytes."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ami_engine.config import RunConfig, RunSection, config_from_dict
from ami_engine.loop import run_loop as module
from ami_engine.loop.feed import END, NOTHING, Failure, PumpedFeed, Tap
from ami_engine.loop.run_loop import run_loop
from ami_engine.sim.microstructure_sim import MicrostructureSim
from ami_engine.sim.paper_broker import PaperBroker
from ami_engine.sim.synthetic_source import SyntheticSource
from ami_engine.testing import ListSource, ScriptedBroker, book, read_packets
from decision_schema.instruments import Instrument
from decision_schema.types import Action, Proposal
from dmc_core.dmc.risk_policy import RiskPolicy

T0 = 1_600_000_000_000
M = Instrument(market_id="M", tick_size="0.01", lot_size="1", kind="binary")


def quote(features):
    return Proposal(action=Action.ACT, confidence=0.9, params={"bid": 0.49, "ask": 0.51, "size": 1})


def hold(features):
    return Proposal(action=Action.HOLD, confidence=0.9, reasons=["not_now"])


def books(count):
    return [book(ts_ms=T0 + 100 * i) for i in range(count)]


def run(tmp_path, events, broker=None, model=quote, **settings):
    live = settings.pop("live", False)
    source = events if not isinstance(events, list) else ListSource(events, live=live, instruments=(M,))
    settings.setdefault("run_id", "r")
    broker = ScriptedBroker() if broker is None else broker
    return run_loop(source, broker, decision_engine=model, output_dir=tmp_path, **settings)


# ---------------------------------------------------------------- ends


def test_a_run_ends_by_steps_or_when_the_source_is_exhausted(tmp_path):
    assert run(tmp_path, books(5), steps=3)["ended"] == "steps"
    summary = run(tmp_path, books(5), steps=9, run_id="s")
    assert (summary["ended"], summary["steps"]) == ("exhausted", 5)
    summary = run(tmp_path, books(5), steps=0, run_id="t")
    assert (summary["ended"], summary["steps"], summary["packets"]) == ("steps", 0, 0)


def test_at_the_end_orders_are_pulled_then_both_ends_are_closed(tmp_path):
    closed = []

    class Source(ListSource):
        def close(self):
            closed.append("source")

    broker = ScriptedBroker({"close": [lambda: closed.append("broker")]})
    summary = run(tmp_path, Source(books(2), instruments=(M,)), broker)
    assert closed == ["broker", "source"]
    assert [name for name, *_ in broker.calls][-4:] == [
        "cancel_order",
        "cancel_order",
        "process_fills",
        "close",
    ]
    assert summary["open_orders_left"] == []


def test_cancels_at_the_end_that_fail_are_tried_within_a_bound(tmp_path):
    broker = ScriptedBroker({"cancel_order": [OSError("down")]})
    summary = run(tmp_path, books(1), broker)
    assert len(broker.called("cancel_order")) == 2 * module.CLOSING_ROUNDS
    assert len(summary["open_orders_left"]) == 2


def test_an_error_of_our_own_ends_the_run_with_its_records(tmp_path, monkeypatch):
    def broken(*args):
        raise RuntimeError("a bug")

    broker = ScriptedBroker()
    events = [*books(1), lambda: monkeypatch.setattr(module, "step", broken) or books(1)[0]]
    with pytest.raises(RuntimeError, match="a bug"):
        run(tmp_path, events, broker)
    assert json.loads(Path(tmp_path, "r", "summary.json").read_text())["ended"] == "error:RuntimeError"
    assert broker.working == {}
    assert len(read_packets(tmp_path / "r")) == 1


SCRIPT = """
import signal, sys, time
from ami_engine.loop.run_loop import run_loop
from ami_engine.testing import ListSource, ScriptedBroker, book
live, folder = sys.argv[1] == "live", sys.argv[2]
before = [signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)]
def events():
    for i in range(10**6):
        if i == 3:
            print("running", flush=True)
        time.sleep(0.005)
        yield book(ts_ms=10**12 + i)
broker = ScriptedBroker()
summary = run_loop(ListSource(events(), live=live), broker, run_id="r", output_dir=folder)
assert [signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)] == before
assert broker.working == {}
print(summary["ended"], summary["steps"] == summary["packets"] or live)
"""


@pytest.mark.parametrize("kind", ["live", "recorded"])
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_ends_a_run_cleanly(tmp_path, kind, name):
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, kind, tmp_path], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "running\n"
    process.send_signal(getattr(signal, name))
    out, _ = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, f"signal:{name} True\n")
    lines = Path(tmp_path, "r", "audit.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["ended"] == f"signal:{name}"
    assert json.loads(lines[-1])["packets"] == len(read_packets(tmp_path / "r"))


def test_handlers_are_restored_also_after_an_error(tmp_path):
    before = [signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)]
    inside = []
    events = [lambda: inside.append(signal.getsignal(signal.SIGINT)) or book(ts_ms=T0), KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, events)
    assert inside[0] != before[0]
    assert [signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)] == before


def test_in_a_thread_signals_are_left_alone(tmp_path):
    before, inside, result = signal.getsignal(signal.SIGINT), [], []
    events = [lambda: inside.append(signal.getsignal(signal.SIGINT)) or book(ts_ms=T0)]
    thread = threading.Thread(target=lambda: result.append(run(tmp_path, events)))
    thread.start()
    thread.join(30)
    assert result[0]["ended"] == "exhausted"
    assert inside == [before]


# ---------------------------------------------------------------- live sources


def test_a_live_source_is_read_in_a_thread_and_stamped_by_the_wall(tmp_path):
    names = []
    events = [lambda: names.append(threading.current_thread().name) or book() for _ in range(3)]
    summary = run(tmp_path, events, live=True)
    packets = read_packets(tmp_path / "r")
    assert set(names) == {"mdm-source-0"}
    assert (summary["ended"], len(packets)) == ("exhausted", 3)
    assert abs(packets[0]["external"]["now_ns"] - time.time_ns()) < 60 * 10**9


def test_timers_go_on_while_a_live_source_is_silent(tmp_path):
    quiet = threading.Event()
    events = [book(), lambda: quiet.wait(0.4) and None]
    run(tmp_path, events, live=True, config=RunConfig(run=RunSection(timer_ms=50)))
    packets = read_packets(tmp_path / "r")
    timers = [p for p in packets if p["input"].get("kind") == "timer"]
    assert len(timers) >= 3
    assert all(p["external"]["now_ns"] % (50 * 10**6) == 0 for p in timers)


def test_old_stamps_are_stale_to_a_live_source(tmp_path):
    summary = run(tmp_path, books(2), live=True)
    assert summary["orders_submitted"] == 0
    assert summary["hold_reasons"] == {"staleness_exceeded": 2}


def test_a_live_source_that_hangs_does_not_keep_a_run_from_ending(tmp_path):
    release = threading.Event()
    begun = time.monotonic()
    summary = run(tmp_path, [book(), book(), lambda: release.wait(20) and None], live=True, steps=2)
    assert (summary["ended"], summary["steps"]) == ("steps", 2)
    assert time.monotonic() - begun < 10
    release.set()


def test_a_live_source_that_raises_is_asked_again_and_in_the_end_given_up(tmp_path):
    summary = run(tmp_path, [book(), OSError(), book(), *[OSError()] * 9], live=True)
    assert (summary["ended"], summary["steps"]) == ("source_failed:OSError", 2)


def test_what_is_no_exception_leaves_a_live_source_as_it_leaves_any(tmp_path):
    for live in (True, False):
        with pytest.raises(SystemExit):
            run(tmp_path, [book(), SystemExit(3)], live=live, run_id=f"r{live}")


def test_a_pump_waits_when_its_queue_is_full_and_drops_nothing(monkeypatch):
    from ami_engine.loop import feed as feed_module

    monkeypatch.setattr(feed_module, "QUEUE_EVENTS", 2)
    feed = PumpedFeed([Tap(ListSource([{"n": i} for i in range(20)] + [OSError("x")]), "M")])
    taken = []
    while (item := feed.take()) is not END:
        if item is not NOTHING:
            taken.append(item)
    feed.close()
    assert [item.extra["n"] for item in taken[:-1]] == list(range(20))
    assert isinstance(taken[-1], Failure)


# ---------------------------------------------------------------- the summary


KEYS = [
    "run_id",
    "run_dir",
    "steps",
    "ended",
    "stopped",
    "action_counts",
    "hold_reasons",
    "refusals",
    "orders_submitted",
    "orders_canceled",
    "fills",
    "realized_pnl",
    "unrealized_pnl",
    "fees",
    "final_equity",
    "max_drawdown",
    "markouts",
    "timing",
    "explanation",
]


def test_the_summary_has_its_keys_and_is_stored(tmp_path):
    summary = run(tmp_path, books(3))
    assert set(KEYS) <= set(summary)
    assert (summary["run_id"], summary["run_dir"]) == ("r", str(tmp_path / "r"))
    assert summary["action_counts"] == {"ACT": 3, "HOLD": 0, "CANCEL": 0, "EXIT": 0, "STOP": 0}
    stored = json.loads(Path(tmp_path, "r", "summary.json").read_text())
    assert stored == json.loads(json.dumps(summary))


def test_without_a_run_id_each_run_has_its_own(tmp_path):
    names = {run(tmp_path, [], run_id=None)["run_id"] for _ in range(3)}
    assert len(names) == 3


def _orders_away(features):
    return Proposal(action=Action.ACT, confidence=0.9, params={"side": "buy", "price": 2.0, "size": 1})


WHY = {
    "no event": ({"events": []}, "The source gave no event"),
    "junk only": ({"events": ["junk"] * 4}, "4 of 4 events could not be used: invalid_input:event 4."),
    "the model never acts": ({"model": hold}, "The model never proposed to act in 4 steps."),
    "why it holds": ({"model": hold}, "4 x not_now"),
    "the model fails": ({"model": lambda features: None}, "4 x model_error:NoneType"),
    "a guard refuses": ({"risk_policy": RiskPolicy(max_spread_bps=1)}, "4 x spread_wide: the spread is above the limit"),
    "no order was sent": (
        {"risk_policy": RiskPolicy(max_spread_bps=1)}, "The model proposed to act 4 times, but no order was sent."
    ),
    "out of bounds": ({"model": _orders_away}, "4 x leg_out_of_bounds"),
    "warm-up": ({"config": config_from_dict({"model": {"warmup_ms": 9_000}}), "model": None}, "4 x warming_up"),
    "halted": ({"events": [book(ts_ms=T0, status="halt")]}, "1 x session_closed"),
    "rejected": ({"broker": {"submit_order": [{"status": "rejected", "reason": "no funds"}]}}, "x rejected by the broker: no funds"),
    "nothing filled": ({}, "2 orders were sent and none filled"),
    "nobody answers": ({"broker": {"submit_order": [OSError()]}}, "x awaiting_broker: the order on this level awaits"),
    "dry run": ({"dry_run": True}, "A dry run: the model proposed to act 4 times; 2 orders, none of them sent."),
}  # fmt: skip


@pytest.mark.parametrize("name", WHY)
def test_a_run_that_did_not_trade_says_why(tmp_path, name):
    settings, words = WHY[name]
    settings = dict(settings)
    events = settings.pop("events", books(4))
    broker = ScriptedBroker(settings.pop("broker", None), ("fills",))
    summary = run(tmp_path, events, broker, **settings)
    assert summary["fills"] == 0
    assert any(words in line for line in summary["explanation"]), summary["explanation"]


def test_a_run_that_traded_says_how_much(tmp_path):
    summary = _simulate(tmp_path, "a", 400)
    assert summary["fills"] > 0
    assert f"{summary['fills']} fills" in summary["explanation"][0]
    assert set(summary["markouts"]) == {"1s", "5s", "15s"}
    assert summary["final_equity"] == pytest.approx(
        100.0 + summary["realized_pnl"] + summary["unrealized_pnl"] - summary["fees"]
    )


def test_progress_is_told_now_and_then(tmp_path):
    told = []
    run(
        tmp_path,
        books(600),
        progress=lambda at: told.append((at.events, at.fraction, at.summary.get()["packets"])),
    )
    assert told == [(256, None, 256), (512, None, 512)]


def test_secrets_of_the_config_are_in_no_file(tmp_path):
    secret = "sk-live-0123456789abcdef0123456789abcdef"
    config = config_from_dict(
        {
            "broker": {"params": {"api_key": secret}},
            "data": {"params": {"password": secret}},
            "model": {"params": {"token": secret}},
        }
    )
    run(tmp_path, books(2), config=config, model=None)
    for file in Path(tmp_path, "r").iterdir():
        assert secret not in file.read_text(), file.name


# ---------------------------------------------------------------- equal runs


def _simulate(folder, name, events=300, seed=0, steps=None):
    source = SyntheticSource(MicrostructureSim(mid=0.5, spread=0.01), num_events=events)
    return run_loop(source, PaperBroker(), steps, run_id="same", output_dir=folder / name, seed=seed)


def _bytes(folder, name):
    return Path(folder, name, "same", "traces.jsonl").read_bytes()


def test_the_same_run_gives_the_same_bytes_in_another_folder_and_another_seed_does_not(tmp_path):
    first = _simulate(tmp_path, "a")
    second = _simulate(tmp_path, "b")
    _simulate(tmp_path, "c", seed=1)
    assert _bytes(tmp_path, "a") == _bytes(tmp_path, "b")
    assert _bytes(tmp_path, "a") != _bytes(tmp_path, "c")
    for summary in (first, second):
        del summary["run_dir"], summary["timing"]
    assert first == second


def test_a_prefix_of_the_data_gives_the_prefix_of_the_packets(tmp_path):
    _simulate(tmp_path, "whole")
    _simulate(tmp_path, "steps", steps=120)
    whole, part = _bytes(tmp_path, "whole").splitlines(), _bytes(tmp_path, "steps").splitlines()
    assert part == whole[:120]


AGAIN = """
import sys
from pathlib import Path
from ami_engine.loop.run_loop import run_loop
from ami_engine.sim.microstructure_sim import MicrostructureSim
from ami_engine.sim.paper_broker import PaperBroker
from ami_engine.sim.synthetic_source import SyntheticSource
source = SyntheticSource(MicrostructureSim(mid=0.5, spread=0.01), num_events=300)
run_loop(source, PaperBroker(), run_id="same", output_dir=Path(sys.argv[1]))
"""


def test_neither_hash_seed_nor_time_zone_nor_locale_changes_a_byte(tmp_path):
    _simulate(tmp_path, "here")
    for number, (seed, zone) in enumerate([("1", "Asia/Kathmandu"), ("2", "America/St_Johns")]):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "TZ": zone, "LC_ALL": "C"}
        folder = tmp_path / str(number)
        subprocess.run([sys.executable, "-c", AGAIN, folder], check=True, env=environment, timeout=60)
        assert _bytes(tmp_path, str(number)) == _bytes(tmp_path, "here")
        manifests = [
            Path(tmp_path, name, "same", "manifest.json").read_bytes() for name in ("here", str(number))
        ]
        assert manifests[0] == manifests[1]
