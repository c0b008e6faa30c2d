"""`why` and `why_not`: what a step and a run say of themselves, on runs by hand whose truth is known."""

import json

import msgspec
import pytest

from ami_engine.replay.recorded import step_before
from ami_engine.replay.tape import Tape
from ami_engine.replay.why import why, why_words
from ami_engine.replay.why_not import why_not
from ami_engine.trace.reader import read_packets
from decision_schema.errors import ConfigError, ContractError, TraceError
from decision_schema.types import Action, Margin, Proposal
from dmc_core.dmc.guards import limits_of
from dmc_core.dmc.risk_policy import RiskPolicy
from dmc_core.dmc.smallest_change import change_words
from tests.unit.replay.test_judged_again import BEGIN_MS, book, by_hand, quotes, simulated


def wanting(**params):
    return lambda features: Proposal(action=Action.ACT, confidence=0.9, params=params)


def passes_under(run_dir, step, changes):
    """Run the same events under the changed policy: what a user would do."""
    tape, passed = Tape(run_dir), []

    def look(packet):
        if packet.step == step:
            tape.judge(tape.policy)
            other = msgspec.structs.replace(tape.policy, **{c.limit: c.needs for c in changes})
            judged = tape.judge_same_orders(limits_of(other))
            passed.append(judged.action == 0 and all(leg.allowed and not leg.clamped for leg in judged.legs))

    for _ in tape.steps(look):
        pass
    return passed[0]


def test_a_refusal_by_a_guard(tmp_path):
    run_dir = by_hand(tmp_path, [book(0, 0.49, 0.51), book(1, 0.30, 0.70)])["run_dir"]
    found = why(run_dir, 2)
    assert (found.action, found.because, found.market_id) == ("HOLD", ["spread_wide"], "RAIN")
    row = next(row for row in found.rows if row.name == "spread_bps")
    assert (row.verdict, round(row.value), row.limit, row.refuses) == ("breach", 8000, 500.0, True)
    (change,) = found.change.changes
    assert (change.limit, change.now, round(change.needs)) == ("max_spread_bps", 500.0, 8000)
    assert passes_under(run_dir, 2, found.change.changes)
    words = why_words(found)
    assert words[0] == "step 2, 2026-01-01 00:00:01.000000 UTC, market RAIN"
    assert "leg 0: buy 1, adds risk: refused by spread_bps" in words
    assert "decision HOLD: the spread is above the limit" in words
    assert words[-1] in ("  max_spread_bps from 500 to 8000 (spread_bps)", "  max_spread_bps from 500 to 8000.01 (spread_bps)")


def test_several_limits_and_the_size_that_fits(tmp_path):
    run_dir = by_hand(tmp_path, [book(0, 0.30, 0.70, size=0.1)], wanting(side="buy", price=0.5, size=30.0))["run_dir"]
    change = why(run_dir, 1).change
    assert [(c.limit, round(c.needs, 6)) for c in change.changes] == [
        ("min_depth", 0.2), ("max_spread_bps", 8000.0), ("max_per_market_usd", 15.0),
        ("max_total_exposure_usd", 15.0), ("max_abs_inventory", 30.0),
    ]  # fmt: skip
    assert passes_under(run_dir, 1, change.changes)
    for gone in change.changes:
        assert not passes_under(run_dir, 1, [c for c in change.changes if c is not gone])
    assert [(size.leg, size.asked, size.fits) for size in change.sizes] == [(0, 30.0, 10.0)]
    assert change_words(change)[-1] == "leg 0 (buy): 10 of 30 fits under the limits of size as they are"


def test_what_no_limit_decides(tmp_path):
    events = [book(second, 0.49, 0.51) for second in range(4)]
    answers = iter([Proposal(action=Action.STOP, confidence=0.5), *[quotes({"mid": 0.5})] * 3])
    run_dir = by_hand(tmp_path, events, lambda features: next(answers))["run_dir"]
    stopped = why(run_dir, 3)
    assert stopped.because[0] == "stop_latched"
    assert stopped.latches == ["stopped since step 1: stop_proposed"]
    assert stopped.change is None
    assert "no limit opens it" in stopped.no_change


def test_an_order_that_never_reached_the_guards(tmp_path):
    run_dir = by_hand(tmp_path, [book(0, 0.49, 0.51)], wanting(side="buy", price=0.5, size=0.1))["run_dir"]
    found = why(run_dir, 1)
    assert found.change.changes == []
    assert found.change.none == "the guards were not asked: leg_below_minimum"


def test_holds_bad_events_and_timers_have_no_change(tmp_path):
    events = [book(0, 0.49, 0.51), {"ts_ms": BEGIN_MS + 500, "bid": "0.49", "ask": 0.51}, book(3, 0.49, 0.51)]
    model = lambda features: Proposal(action=Action.HOLD, confidence=0.2, reasons=["dull"])  # noqa: E731
    run_dir = by_hand(tmp_path, events, model, risk_policy=RiskPolicy(stale_cancel_ms=2000))["run_dir"]
    told = [why(run_dir, packet.step) for packet in read_packets(run_dir)]
    assert all(found.change is None and not found.no_change for found in told)
    assert "input not used: a field of the input cannot be used (bid)" in why_words(told[1]) or told[1].bad.startswith("invalid_input")
    assert any(found.kind == "timer" and "a timer: the model is not asked" in why_words(found) for found in told)
    assert "(dull)" in "".join(why_words(told[0]))


def test_the_step_of_a_time_and_a_market(tmp_path):
    events = [book(second, 0.49, 0.51, market_id=name) for second in range(3) for name in ("RAIN", "SNOW")]
    run_dir = by_hand(tmp_path, events, markets=("RAIN", "SNOW"))["run_dir"]
    at = (BEGIN_MS + 1_500) * 10**6
    assert (step_before(run_dir, at, "RAIN"), step_before(run_dir, at, "SNOW"), step_before(run_dir, at, None)) == (3, 4, 4)
    with pytest.raises(ConfigError, match="no step of market 'HAIL': it has RAIN, SNOW"):
        step_before(run_dir, at, "HAIL")
    with pytest.raises(ConfigError, match="at or before that time"):
        step_before(run_dir, 5, None)
    with pytest.raises(ConfigError, match=r"step 7 is not in .*: give 1 to 6"):
        why(run_dir, 7)


def test_torn_and_damaged_traces(tmp_path):
    run_dir = simulated(tmp_path, events=30)["run_dir"]
    file = tmp_path / "sim" / "traces.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole[:-100])
    assert why_not(run_dir).funnel.packets == 29
    with pytest.raises(ConfigError, match="give 1 to 29"):
        why(run_dir, 30)
    lines = whole.splitlines(keepends=True)
    for broken in (b'{"a": 1}\n', b"not json\n", b"[]\n", lines[10]):
        file.write_bytes(b"".join([*lines[:4], broken, *lines[5:]]))
        with pytest.raises(TraceError):
            why(run_dir, 5)
    packet = json.loads(lines[4])
    del packet["guards"]["refusing"]
    file.write_bytes(b"".join([*lines[:4], json.dumps(packet).encode() + b"\n", *lines[5:]]))
    for ask in (lambda: why(run_dir, 5), lambda: why_not(run_dir)):
        with pytest.raises(TraceError, match="step 5 is no packet of the engine"):
            ask()


def test_the_funnel_is_the_summarys(tmp_path):
    summary = simulated(tmp_path, guards={"max_spread_bps": 150.0, "max_abs_inventory": 2.0})
    found = why_not(summary["run_dir"])
    assert (found.funnel.events, found.funnel.packets) == (summary["steps"], summary["packets"])
    assert found.funnel.acted == summary["action_counts"]["ACT"]
    assert found.funnel.sent == summary["orders_submitted"] + summary.get("orders_replaced", 0) or found.funnel.sent > 0
    assert found.funnel.fills == summary["fills"]
    assert found.refusals == {name: count for name, count in summary["refusals"].items() if count}
    assert found.closed
    assert found.funnel.sent == found.funnel.filled + sum(found.never_filled.values())
    assert sum(found.never_filled.values()) == sum(found.never_filled_ticks.values())
    assert sum(found.holds.values()) == found.funnel.packets - found.funnel.acted


def test_a_sole_blocker_lets_the_step_act_once_it_lets_go(tmp_path):
    run_dir = simulated(tmp_path, guards={"max_spread_bps": 150.0, "min_depth": 60.0})["run_dir"]
    found = why_not(run_dir)
    assert found.sole_blockers
    tape = Tape(run_dir)
    acted = dict.fromkeys(found.sole_blockers, 0)
    open_limits = {"spread_bps": {"max_spread_bps": 1e9}, "depth": {"min_depth": 0.0}, "sigma_spike": {"sigma_spike_z_max": 0.0}}

    def look(packet):
        wants = packet.mdm["proposal"]["action"] == "ACT" and packet.final_action["action"] != "ACT"
        for name in acted if wants else ():
            limits = limits_of(msgspec.structs.replace(tape.policy, **open_limits[name]))
            tape.judge(tape.policy)
            acted[name] += tape.judge_same_orders(limits).action == 0

    acted = {name: 0 for name in acted if name in open_limits}
    for _ in tape.steps(look):
        pass
    assert acted == {name: found.sole_blockers[name] for name in acted}
    nearest = [miss.short for miss in found.nearest_misses]
    assert nearest == sorted(nearest)


def test_an_order_that_never_filled_tells_how_near_the_market_came(tmp_path):
    events = [book(0, 0.49, 0.51), book(1, 0.485, 0.495), book(2, 0.49, 0.51)]
    run_dir = by_hand(tmp_path, events, wanting(side="buy", price=0.48, size=1.0))["run_dir"]
    (order,) = why_not(run_dir).nearest_orders
    assert (order.side, order.price, order.sent_step) == ("buy", 0.48, 1)
    assert (order.to_fill_ticks, order.behind_touch_ticks) == (3.0, 1.0)


# ---------------------------------------------------------------- margins of the model's own


def test_margins_of_a_model_stand_in_packet_and_table(tmp_path):
    margins = [Margin("edge", 0.7, 1.0, "ticks", least=True), {"name": "age", "value": 3, "limit": 5, "unit": "s"}]
    model = lambda features: Proposal(action=Action.HOLD, confidence=0.2, margins=margins)  # noqa: E731
    run_dir = by_hand(tmp_path, [book(0, 0.49, 0.51)], model)["run_dir"]
    (packet,) = read_packets(run_dir)
    assert packet.mdm["proposal"]["margins"] == [
        {"name": "edge", "value": 0.7, "limit": 1.0, "unit": "ticks", "least": True},
        {"name": "age", "value": 3.0, "limit": 5.0, "unit": "s"},
    ]
    rows = {row.name: (row.verdict, round(row.margin, 3), row.refuses) for row in why(run_dir, 1).rows if row.name.startswith("model.")}
    assert rows == {"model.edge": ("breach", -0.3, False), "model.age": ("pass", 2.0, False)}
    assert any(line.split()[:1] == ["model.edge"] for line in why_words(why(run_dir, 1)))


def test_a_packet_without_margins_has_no_such_field(tmp_path):
    run_dir = by_hand(tmp_path, [book(0, 0.49, 0.51)])["run_dir"]
    assert b"margins" not in (tmp_path / "hand" / "traces.jsonl").read_bytes()
    assert run_dir


def test_secrets_in_margins_are_redacted(tmp_path):
    secret = "sk-live-4f9a8b7c6d5e4f3a2b1c0d9e8f7a6b5c"
    model = lambda features: Proposal(action=Action.HOLD, confidence=0.2, margins=[Margin(secret, 1.0, 2.0)])  # noqa: E731
    by_hand(tmp_path, [book(0, 0.49, 0.51)], model)
    assert secret.encode() not in (tmp_path / "hand" / "traces.jsonl").read_bytes()


@pytest.mark.parametrize(
    "margins",
    [
        "edge", [1], [{"name": "a"}], [Margin("a", 1, 2)] * 2, [Margin(f"m{i}", 1, 2) for i in range(17)],
        [{"name": "a", "value": float("nan"), "limit": 1}], [{"name": "a", "value": 1, "limit": float("inf")}],
        [{"name": "a", "value": "1", "limit": 1}], [{"name": "", "value": 1, "limit": 1}],
        [{"name": "a" * 65, "value": 1, "limit": 1}], [{"name": "a", "value": True, "limit": 1}],
    ],
    ids=range(11),
)  # fmt: skip
def test_margins_that_cannot_be(margins, tmp_path):
    with pytest.raises(ContractError):
        Proposal(action=Action.HOLD, confidence=0.2, margins=margins)
    run_dir = by_hand(tmp_path, [book(0, 0.49, 0.51)], lambda f: Proposal(action=Action.HOLD, confidence=0.2, margins=margins))["run_dir"]
    assert why(run_dir, 1).because == ["model_error:ContractError"]
