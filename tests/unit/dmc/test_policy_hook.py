"""The private policy hook: it may only tighten, and a broken one refuses."""

import math
import sys

import msgspec
import pytest

from decision_schema.types import Action, Proposal
from dmc_core.dmc import modulator, policy_hook
from dmc_core.dmc.modulator import modulate
from dmc_core.dmc.policy_hook import apply_hook, load_policy_hook
from dmc_core.dmc.risk_policy import TIGHTER, RiskPolicy, is_tighter, tighten

CONTEXT = {
    "now_ms": 1000,
    "last_event_ts_ms": 1000,
    "depth": 100.0,
    "spread_bps": 400.0,
    "current_total_exposure_usd": 2.5,
    "abs_inventory": 5.0,
    "inventory": 5.0,
    "open_buy": 0.0,
    "open_sell": 0.0,
    "mid": 0.5,
}
QUOTE = Proposal(action=Action.ACT, confidence=0.8, params={"bid": 0.49, "ask": 0.51, "size": 1.0})

TIGHTER_HOOK = """
from __future__ import annotations
from dataclasses import dataclass
import msgspec

@dataclass
class Mine:  # its annotations are looked up in the module
    limit: float

def override_policy(base_policy, context):
    return msgspec.structs.replace(base_policy, max_spread_bps=Mine(200.0).limit)
"""
BROKEN = {
    "no_syntax": "def override_policy(:",
    "raises_on_import": "raise RuntimeError('key=abc')",
    "import_error": "import no_such_module_of_mine",
    "no_function": "x = 1",
    "no_callable": "override_policy = 5",
    "raises": "def override_policy(base_policy, context): return 1 / 0",
    "returns_none": "def override_policy(base_policy, context): pass",
    "returns_dict": "def override_policy(base_policy, context): return {'min_depth': 5}",
    "wrong_signature": "def override_policy(): pass",
}


@pytest.fixture
def hook_file(monkeypatch, tmp_path):
    """Where `modulate` looks for the hook; nothing is loaded yet."""
    file = tmp_path / "_private" / "policy.py"
    file.parent.mkdir()
    monkeypatch.setattr(policy_hook, "HOOK_FILE", file)
    monkeypatch.setattr(modulator, "_LOADED", {})
    monkeypatch.delitem(sys.modules, "dmc_core._private.policy", raising=False)
    yield file
    sys.modules.pop("dmc_core._private.policy", None)


def test_absent_is_no_failure(hook_file):
    assert load_policy_hook() is None
    final, mismatch = modulate(QUOTE, RiskPolicy(), CONTEXT)
    assert (final.params, mismatch.flags) == (QUOTE.params, [])


def test_a_configured_file_must_be_there(hook_file, tmp_path):
    """A path with a typing error must not silently leave the looser policy."""
    hook = load_policy_hook(tmp_path / "polcy.py")
    assert apply_hook(hook, RiskPolicy(), {}) == (RiskPolicy(), ["policy_hook_error:FileNotFoundError"], True)


def test_a_tighter_limit_counts(hook_file):
    hook_file.write_text(TIGHTER_HOOK)
    final, mismatch = modulate(QUOTE, RiskPolicy(), CONTEXT)
    assert final.params == {"ask": 0.51, "size": 1.0}
    assert mismatch.flags == ["spread_bps"]
    assert next(row.limit for row in mismatch.guards if row.name == "spread_bps") == 200.0


def test_a_configured_path_is_loaded(hook_file, tmp_path):
    mine = tmp_path / "mine.py"
    mine.write_text(TIGHTER_HOOK)
    policy, flags, failed = apply_hook(load_policy_hook(mine), RiskPolicy(), CONTEXT)
    assert (policy, flags, failed) == (RiskPolicy(max_spread_bps=200.0), [], False)


def test_no_python_file(hook_file, tmp_path):
    other = tmp_path / "policy.toml"
    other.write_text("")
    assert apply_hook(load_policy_hook(other), RiskPolicy(), {})[1:] == (
        ["policy_hook_error:AttributeError"],
        True,
    )


def test_the_hook_is_loaded_again_where_its_file_changed(hook_file):
    hook_file.write_text(TIGHTER_HOOK)
    assert modulate(QUOTE, RiskPolicy(), CONTEXT)[1].flags == ["spread_bps"]
    hook_file.write_text(BROKEN["raises"])
    assert modulate(QUOTE, RiskPolicy(), CONTEXT)[1].flags[0].startswith("policy_hook_error")
    hook_file.unlink()
    assert modulate(QUOTE, RiskPolicy(), CONTEXT)[1].flags == []


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_a_broken_hook_refuses_new_risk_and_nothing_else(hook_file, text):
    hook_file.write_text(text)
    final, mismatch = modulate(QUOTE, RiskPolicy(), CONTEXT)
    assert (final.action, final.params) == (Action.ACT, {"ask": 0.51, "size": 1.0})  # the ask reduces
    assert mismatch.reason_codes == ["policy_hook_error"]
    assert [flag.partition(":")[0] for flag in mismatch.flags] == ["policy_hook_error"]
    assert "abc" not in str(mismatch)

    buy = Proposal(action=Action.ACT, confidence=0.8, params={"bid": 0.49, "size": 1.0})
    final, _ = modulate(buy, RiskPolicy(), CONTEXT)
    assert (final.action, final.allowed, final.reasons) == (Action.HOLD, False, ["policy_hook_error"])
    bare = Proposal(action=Action.ACT, confidence=0.8)
    assert modulate(bare, RiskPolicy(), CONTEXT)[0].action is Action.HOLD
    for action in (Action.HOLD, Action.CANCEL, Action.EXIT, Action.STOP):
        final, mismatch = modulate(Proposal(action=action, confidence=0.8), RiskPolicy(), CONTEXT)
        assert (final.action, final.allowed, mismatch.reason_codes) == (action, True, [])
    stop = modulate(buy, RiskPolicy(), {**CONTEXT, "ops_deny_actions": True})[0]
    assert (stop.action, stop.reasons) == (Action.STOP, ["ops_deny_actions", "policy_hook_error"])


def test_a_hook_that_cannot_be_looked_at_refuses(hook_file, monkeypatch):
    class Locked:
        def is_file(self):
            raise PermissionError("locked")

    monkeypatch.setattr(policy_hook, "HOOK_FILE", Locked())
    assert apply_hook(load_policy_hook(), RiskPolicy(), {})[1:] == (
        ["policy_hook_error:PermissionError"],
        True,
    )


LOOSER = {"lower": 2.0, "lower_0_off": 2.0, "higher": 0.5}
LIMITED = RiskPolicy(**{name: 8 for name, way in TIGHTER.items() if way != "none"})


@pytest.mark.parametrize("name", [name for name, way in TIGHTER.items() if way != "none"])
def test_each_field_only_tightens(name):
    way = TIGHTER[name]
    looser, tighter = int(8 * LOOSER[way]), int(8 / LOOSER[way])
    other = msgspec.structs.replace(LIMITED, **{name: looser})
    assert tighten(LIMITED, other) == (LIMITED, [name])
    assert apply_hook(lambda base, context: other, LIMITED, {}) == (
        LIMITED,
        [f"policy_hook_looser:{name}"],
        False,
    )
    other = msgspec.structs.replace(LIMITED, **{name: tighter})
    assert tighten(LIMITED, other) == (other, [])
    off = msgspec.structs.replace(LIMITED, **{name: 0})
    if way == "lower":
        assert tighten(LIMITED, off) == (off, [])  # nothing at all passes
    else:
        assert tighten(LIMITED, off) == (LIMITED, [name])
        if way == "lower_0_off":
            assert tighten(off, LIMITED) == (LIMITED, [])


@pytest.mark.parametrize("name", [name for name, way in TIGHTER.items() if way == "none"])
def test_what_has_no_tighter_way_stays(name):
    other = msgspec.structs.replace(RiskPolicy(), **{name: 7})
    assert tighten(RiskPolicy(), other) == (RiskPolicy(), [name])
    assert not is_tighter(name, 7, 8)
    assert not is_tighter(name, 8, 7)


def test_a_hook_may_tighten_one_field_and_loosen_another():
    def hook(base, context):
        return msgspec.structs.replace(base, min_depth=context["depth"], max_spread_bps=9999.0)

    policy, flags, failed = apply_hook(hook, RiskPolicy(), CONTEXT)
    assert (policy, flags, failed) == (
        RiskPolicy(min_depth=100.0),
        ["policy_hook_looser:max_spread_bps"],
        False,
    )


@pytest.mark.parametrize("bad", [math.nan, math.inf, "5", None])
def test_a_policy_forced_into_nonsense_is_a_failure_or_does_not_count(bad):
    def hook(base, context):
        policy = RiskPolicy()
        msgspec.structs.force_setattr(policy, "min_depth", bad)
        return policy

    policy, flags, _ = apply_hook(hook, RiskPolicy(), {})
    assert policy == RiskPolicy()
    assert len(flags) == 1


def test_a_hook_cannot_change_what_the_guards_see(monkeypatch):
    def hook(base, context):
        context["depth"] = 1e9
        context.pop("spread_bps", None)
        return base

    monkeypatch.setattr(modulator, "_hook", lambda: hook)
    thin = {**CONTEXT, "depth": 0.5}
    _final, mismatch = modulate(QUOTE, RiskPolicy(), thin)
    assert (mismatch.flags, thin["depth"]) == (["depth"], 0.5)
    assert modulate(QUOTE, RiskPolicy(), None)[0].action is Action.HOLD
