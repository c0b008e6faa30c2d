"""Recorded runs judged again: every verdict of a run comes out as it was, whatever kind of run it is."""

import json

import msgspec
import pytest

from ami_engine.adapters import MarketDataSource
from ami_engine.assembly import run_config
from ami_engine.config import config_from_dict
from ami_engine.loop import run_loop as run_loop_module
from ami_engine.loop.run_loop import run_loop
from ami_engine.mdm.kernel_model import kernel_model
from ami_engine.replay import tape as tape_module
from ami_engine.replay.tape import Tape
from ami_engine.replay.whatif import whatif, whatif_words
from ami_engine.sim.paper_broker import PaperBroker
from ami_engine.trace.reader import read_packets
from decision_schema.errors import ConfigError, TraceError
from decision_schema.instruments import Instrument
from decision_schema.types import Action, Proposal
from dmc_core.dmc.decide import ACT
from dmc_core.dmc.risk_policy import RiskPolicy
from tests.golden.scenario import EVENTS, POLICY

BEGIN_MS = 1_767_225_600_000


class Events(MarketDataSource):
    """Events by hand, of one binary market or several."""

    def __init__(self, events, markets=("RAIN",)):
        self.left, self.markets = iter(events), markets

    def next_event(self):
        return next(self.left, None)

    def instruments(self):
        return [Instrument(market_id=name, kind="binary", tick_size="0.005", lot_size="1") for name in self.markets]


def book(second, bid, ask, size=20.0, **more):
    return {"ts_ms": BEGIN_MS + int(1000 * second), "bids": [[bid, size]], "asks": [[ask, size]], **more}


def quotes(features):
    return Proposal(action=Action.ACT, confidence=0.9, params={"value": features["mid"]})


def simulated(tmp_path, events=1_200, **sections):
    sections.setdefault("run", {"run_id": "sim", "seed": 3})
    sections.setdefault("data", {"sim": {"num_events": events}})
    return run_config(config_from_dict({**sections, "trace": {"output_dir": str(tmp_path)}}))


def by_hand(tmp_path, events, model=quotes, markets=("RAIN",), **kwargs):
    return run_loop(Events(events, markets), PaperBroker(), decision_engine=model, run_id="hand", output_dir=tmp_path, **kwargs)


def stays_the_same(run_dir, policy=None):
    found = whatif(run_dir, policy or Tape(run_dir).engine.policy)
    assert found.steps == sum(1 for _ in read_packets(run_dir)) > 0
    assert found.changed == 0
    assert found.actions_before == found.actions_after
    assert all(counts.before == counts.after for counts in found.guards.values())
    return found


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"guards": {"max_abs_inventory": 1.0, "max_spread_bps": 150.0}},
        {"guards": {"daily_loss_stop_usd": 0.01}},
        {"guards": {"stale_cancel_ms": 1500.0, "adverse_cooldown_ms": 5_000}},
        {"guards": {"cancel_rate_limit": 2, "max_consecutive_losses": 2, "max_open_orders": 1, "min_order_usd": 0.5}},
        {"run": {"run_id": "sim", "seed": 3, "dry_run": True}},
        {"run": {"run_id": "sim", "timer_ms": 500}},
    ],
    ids=["plain", "tight", "stopped", "timers and cooldown", "all kinds of caps", "dry run", "timers"],
)
def test_a_simulated_run(tmp_path, sections):
    found = stays_the_same(simulated(tmp_path, **sections)["run_dir"])
    assert found.proposals > 0


def test_odd_events_by_hand(tmp_path):
    stays_the_same(by_hand(tmp_path, EVENTS, risk_policy=POLICY)["run_dir"])


def test_models_of_all_kinds(tmp_path):
    @kernel_model(reasons=("wide",))
    def both_sides(x, memory, proposed):
        proposed.action = ACT
        proposed.confidence = 0.5
        proposed.has_terms = 1
        proposed.n_terms = 2
        for k in range(2):
            terms = proposed.terms[k]
            terms.side = 1 - 2 * k
            terms.price = x.mid - 0.01 * terms.side
            terms.size = 2.0
            terms.level = 1

    answers = iter(
        [
            Proposal(action=Action.EXIT, confidence=0.1),
            Proposal(action=Action.ACT, confidence=0.5, params={"orders": []}),
            Proposal(action=Action.ACT, confidence=0.5, params={"side": "buy", "size": 3.0}),
            Proposal(action=Action.ACT, confidence=0.5, params={"value": float("nan")}),
            Proposal(action=Action.ACT, confidence=0.5, params={"bid": "cheap"}),
            Proposal(action=Action.ACT, confidence=0.5, params={"orders": [{"side": "sell", "price": 0.6, "size": 50.0}]}),
            Proposal(action=Action.CANCEL, confidence=0.5),
            "no proposal",
        ]
    )
    events = [book(second, 0.49, 0.51) for second in range(12)]
    for name, model in (("kernel", both_sides), ("answers", lambda features: next(answers))):
        (tmp_path / name).mkdir()
        stays_the_same(by_hand(tmp_path / name, events, model)["run_dir"])


def test_several_markets_under_one_account(tmp_path):
    events = [book(second, 0.4 + 0.005 * (second % 3), 0.45, market_id=name) for second in range(40) for name in ("RAIN", "SNOW")]
    config = config_from_dict(
        {
            "guards": {"max_total_exposure_usd": 1.2, "max_per_market_usd": 1.0},
            "markets": [{"market_id": "SNOW", "guards": {"max_spread_bps": 1_200.0}}],
        }
    )
    run_dir = by_hand(tmp_path, events, markets=("RAIN", "SNOW"), config=config)["run_dir"]
    found = stays_the_same(run_dir)
    assert found.guards  # the limits did refuse


def test_a_private_policy_that_tightens_and_fails(tmp_path, monkeypatch):
    calls = []

    def hook(base, context):
        calls.append(context)
        if len(calls) % 5 == 0:
            raise RuntimeError("broken")
        return msgspec.structs.replace(base, max_spread_bps=100.0) if len(calls) % 2 else base

    monkeypatch.setattr(run_loop_module, "load_policy_hook", lambda: hook)
    run_dir = by_hand(tmp_path, [book(second, 0.49, 0.51) for second in range(20)])["run_dir"]
    assert any(packet.guards.get("tightened") for packet in read_packets(run_dir))
    stays_the_same(run_dir)


def test_another_policy_changes_what_its_limits_say(tmp_path):
    run_dir = simulated(tmp_path)["run_dir"]
    other = msgspec.structs.replace(Tape(run_dir).engine.policy, max_spread_bps=100.0)
    found = whatif(run_dir, other)
    refused = [
        packet.step
        for packet in read_packets(run_dir)
        if packet.mdm["proposal"]["action"] == "ACT"
        and packet.mdm["features"]["spread_bps"] > 100.0
        and any(leg["increasing"] and leg["allowed"] for leg in packet.guards.get("legs", ()))
        and packet.final_action["action"] == "ACT"
    ]
    assert found.changed == len(refused) > 0
    assert found.limits == {"max_spread_bps": (500.0, 100.0)}
    assert found.guards["spread_bps"].before == 0
    assert found.guards["spread_bps"].closed == found.changed
    assert found.examples[0].step == refused[0]
    assert found.examples[0].before.action is Action.ACT
    assert "spread_bps" in found.examples[0].after.guards
    words = whatif_words(found, "other")
    assert words[0].startswith("open loop")
    assert f"{found.changed} of {found.steps} decisions change" in words


def test_a_wider_policy_lets_the_recorded_order_through_in_full(tmp_path):
    buys = lambda features: Proposal(action=Action.ACT, confidence=0.9, params={"side": "buy", "price": 0.4, "size": 15.0})  # noqa: E731
    run_dir = by_hand(tmp_path, [book(0, 0.49, 0.51)], buys)["run_dir"]
    found = whatif(run_dir, RiskPolicy(max_abs_inventory=100.0, max_per_market_usd=100.0, max_total_exposure_usd=100.0))
    (example,) = found.examples
    assert ([order.size for order in example.before.orders], [order.size for order in example.after.orders]) == ([10.0], [15.0])


def test_a_changed_record_is_not_judged_silently(tmp_path):
    file = tmp_path / "sim" / "traces.jsonl"
    run_dir = simulated(tmp_path, events=50)["run_dir"]
    lines = file.read_text().splitlines()
    packet = json.loads(lines[30])
    packet["guards"]["values"][16] = 12345.0
    file.write_text("\n".join([*lines[:30], json.dumps(packet), *lines[31:]]) + "\n")
    with pytest.raises(TraceError, match="step 31 cannot be judged again: its verdicts"):
        whatif(run_dir, RiskPolicy())


def test_another_guard_table_is_named(tmp_path, monkeypatch):
    run_dir = simulated(tmp_path, events=50)["run_dir"]
    monkeypatch.setattr(tape_module, "GUARDS", tape_module.GUARDS[1:])
    with pytest.raises(TraceError, match="another guard table"):
        whatif(run_dir, RiskPolicy())


def test_a_command_ends_the_tape(tmp_path):
    run_dir = simulated(tmp_path, events=50)["run_dir"]
    file = tmp_path / "sim" / "traces.jsonl"
    lines = file.read_text().splitlines()
    packet = json.loads(lines[9])
    packet["input"] = {"kind": "command", "market_id": "SIM"}
    file.write_text("\n".join([*lines[:9], json.dumps(packet)]) + "\n")
    with pytest.raises(TraceError, match="step 10 is a command"):
        whatif(run_dir, RiskPolicy())


def test_rows_without_packets_say_what_is_missing(tmp_path):
    (tmp_path / "batch" / "decisions").mkdir(parents=True)
    with pytest.raises(ConfigError, match="packets=True"):
        whatif(tmp_path / "batch", RiskPolicy())
    with pytest.raises(ConfigError, match="no run folder"):
        whatif(tmp_path, RiskPolicy())


def test_an_error_of_who_looks_is_not_taken_for_a_failing_policy(tmp_path):
    tape = Tape(simulated(tmp_path, events=10)["run_dir"])
    with pytest.raises(KeyError, match="mine"):
        list(tape.steps(lambda packet: {}["mine"]))
