"""Contradictions of policies, each rule on both sides; rows judged on what was seen."""

import math

import msgspec
import pytest

from dmc_core.dmc.guards import N_OBSERVED, SLOT
from dmc_core.dmc.named_policies import POLICY_NAMES, load_named_policy, named_policy
from dmc_core.dmc.policy_check import (
    ENOUGH,
    RowsSeen,
    contradictions,
    grid_findings,
    interval_findings,
    size_findings,
)
from dmc_core.dmc.risk_policy import RiskPolicy

CASES = [
    ({"max_per_market_usd": 10.0}, {"max_per_market_usd": 10.1}),
    ({"min_order_usd": 5.0}, {"min_order_usd": 5.1}),
    ({"stale_cancel_ms": 1000}, {"stale_cancel_ms": 999}),
    ({"staleness_max_5m_ms": 1000}, {"staleness_max_5m_ms": 999}),
    ({"spread_med_5m_max_bps": 499}, {"spread_med_5m_max_bps": 500}),
    ({"max_drawdown_stop_usd": 2.5}, {"max_drawdown_stop_usd": 2.4}),
    ({"max_spread_ticks": 1}, {"max_spread_ticks": 0.5}),
    ({"max_open_orders": 2}, {"max_open_orders": 1}),
    ({"cancel_rate_limit": 13}, {"cancel_rate_limit": 12}),
    ({"tp_ticks": 1}, {"tp_ticks": 0.9}),
    ({"adverse_cooldown_ms": 5, "adv60_max_ticks": 0}, {"adverse_cooldown_ms": 5, "adv60_max_ticks": 0, "adv15_max_ticks": 0}),
    ({"max_consecutive_losses": 3}, {"max_consecutive_losses": 3, "streak_cooldown_ms": 0}),
    ({"quote_ttl_ms": 1500}, {"quote_ttl_ms": 1499}),
    ({"error_rate_max": 0.01}, {"error_rate_max": 0.009}),
    ({"error_rate_max": 0.99}, {"error_rate_max": 1.0}),
    ({"max_abs_inventory": 0.1}, {"max_abs_inventory": 0}),
    ({"max_spread_bps": 0.1}, {"max_spread_bps": 0}),
]


@pytest.mark.parametrize(("sound", "wrong"), CASES, ids=[str(wrong) for _, wrong in CASES])
def test_each_contradiction_and_its_bound(sound, wrong):
    assert contradictions(msgspec.structs.replace(RiskPolicy(), **sound)) == []
    (found,) = contradictions(msgspec.structs.replace(RiskPolicy(), **wrong))
    assert found.kind == "contradiction"
    assert set(found.limits) & set(wrong)
    assert found.numbers == [float({**msgspec.structs.asdict(RiskPolicy()), **wrong}[name]) for name in found.limits]
    assert found.seen
    assert found.todo


@pytest.mark.parametrize("name", POLICY_NAMES)
def test_named_policies_contradict_nothing_and_have_a_reason_for_each_number(name):
    assert contradictions(named_policy(name)) == []
    found = load_named_policy(name)
    told = {limit.name for limit in found.limits}
    assert all(len(limit.reason) > 20 for limit in found.limits)
    changed = {field for field in RiskPolicy.__struct_fields__ if getattr(found.policy, field) != getattr(RiskPolicy(), field)}
    assert changed <= told


def seen(policy, steps, **values):
    rows = RowsSeen(policy)
    for step in range(steps):
        observed = [math.nan] * N_OBSERVED
        for name, value in values.items():
            observed[SLOT[name]] = value(step) if callable(value) else value
        rows.take(observed)
    return {(found.kind, found.limits[0]) for found in rows.findings()}


def test_rows_that_trip_always_mostly_never():
    policy = RiskPolicy()
    known = {"staleness_ms": 0.0, "depth": 2.0, "total_exposure_usd": 0.0, "abs_inventory": 0.0}
    assert seen(policy, ENOUGH, spread_bps=400.0, **known) == set()
    assert seen(policy, ENOUGH, spread_bps=501.0, **known) == {("always", "max_spread_bps")}
    assert seen(policy, ENOUGH, spread_bps=lambda step: 501.0 if step % 2 else 400.0, **known) == {("mostly", "max_spread_bps")}
    assert seen(policy, ENOUGH, spread_bps=lambda step: 501.0 if step % 3 == 1 else 400.0, **known) == set()
    assert seen(policy, ENOUGH, spread_bps=49.0, **known) == {("never", "max_spread_bps")}
    assert seen(policy, ENOUGH - 1, spread_bps=501.0, **known) == set()
    assert ("always", "min_depth") in seen(policy, ENOUGH, spread_bps=400.0, staleness_ms=0.0)


def test_the_grid():
    policy = RiskPolicy(max_spread_bps=500.0)
    assert grid_findings(policy, 0.01, 0.2, 0.6) == []
    (found,) = grid_findings(policy, 0.01, 0.19, 0.6)
    assert (found.kind, "below 0.2" in found.seen) == ("mostly", True)
    assert grid_findings(policy, 0.01, 0.05, 0.19)[0].kind == "always"


def test_the_wait_between_books():
    policy = RiskPolicy(staleness_ms=1000, stale_cancel_ms=3000)
    assert interval_findings(policy, 100, 900, 2000) == []
    assert [(f.kind, f.limits[0]) for f in interval_findings(policy, 1100, 3100, 9000)] == [
        ("always", "staleness_ms"), ("mostly", "stale_cancel_ms"),
    ]  # fmt: skip
    assert interval_findings(policy, 1, 5, 50)[0].kind == "never"


def test_the_smallest_order():
    assert size_findings(RiskPolicy(), 5.0) == []
    assert [f.limits for f in size_findings(RiskPolicy(), 10.5)] == [["max_per_market_usd"], ["max_total_exposure_usd"]]
