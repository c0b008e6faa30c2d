"""The smallest change of limits: it lets the proposal through, less of it does not, and no limit of it is idle."""

import math

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from dmc_core.dmc.context import observe, read_context
from dmc_core.dmc.decide import ACT, Judgement, Leg, decide
from dmc_core.dmc.guards import LIMIT_NAMES, LIMIT_SLOT, SLOT, limits_of
from dmc_core.dmc.risk_policy import RiskPolicy
from dmc_core.dmc.smallest_change import _INTEGERS, Judged, change_words, passes, smallest_change
from tests.properties.test_guards import ALL_ON, GOOD


def judging(context: dict, wanted: list[tuple[int, float, float]], lot: float = 0.0):
    """Judge the same wanted orders in the same state under any limits."""

    def judge(limits: list[float]) -> Judged:
        seen = read_context(context, RiskPolicy())
        edge = context.get("tp_ticks", limits[LIMIT_SLOT["tp_ticks"]]) - context["cost_ticks"]
        observe(seen, SLOT["edge_ticks"], edge)
        legs = [Leg(side=side, price=price, size=size, lot=lot) for side, price, size in wanted]
        out = Judgement()
        decide(ACT, len(legs), legs, seen, limits, out, 0)
        refusing = out.refusing[: out.n_refusing]
        return Judged(
            out.action, 0, refusing, legs, list(out.verdicts), list(seen.observed), list(seen.presence)
        )

    return judge


def changed(limits: list[float], changes) -> list[float]:
    other = list(limits)
    for change in changes:
        other[LIMIT_SLOT[change.limit]] = change.needs
    return other


NUMBER = st.floats(0, 1e4).map(lambda x: round(x, 3))
POLICIES = st.builds(
    lambda fields: msgspec.structs.replace(ALL_ON, **fields),
    st.fixed_dictionaries(
        {},
        optional={
            name: st.integers(0, 30) if name in _INTEGERS else NUMBER
            for name in LIMIT_NAMES[1:]
            if name not in ("error_window_steps", "cancel_window_ms", "circuit_breaker_window_sec")
        },
    ),
)
INPUTS = {
    name: NUMBER
    for name in GOOD
    if name
    not in ("now_ms", "last_event_ts_ms", "kind", "ops_deny_actions", "ops_state", "bid", "ask", "mid")
    and not name.endswith("_until_ms")
    and name
    not in ("inventory", "abs_inventory", "current_total_exposure_usd", "current_market_exposure_usd")
}
CONTEXTS = st.builds(
    lambda inputs, inventory, total, age, gone: {
        name: value
        for name, value in {
            **GOOD,
            **inputs,
            "inventory": inventory,
            "abs_inventory": abs(inventory),
            "current_total_exposure_usd": total,
            "last_event_ts_ms": 1_000_000 - age,
        }.items()
        if name not in gone
    },
    st.fixed_dictionaries({}, optional=INPUTS),
    st.floats(-50, 50).map(lambda x: round(x, 2)),
    NUMBER,
    st.integers(0, 5000),
    st.sets(st.sampled_from(["depth", "spread_ticks", "open_orders", "sigma_spike_z", "mid"]), max_size=2),
)
WANTED = st.lists(
    st.tuples(
        st.sampled_from([1, -1]),
        st.floats(0.01, 2.0).map(lambda x: round(x, 3)),
        st.floats(0.1, 40).map(lambda x: round(x, 2)),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=200)
@given(POLICIES, CONTEXTS, WANTED)
def test_it_lets_the_proposal_through_and_less_does_not(policy, context, wanted):
    judge, limits = judging(context, wanted), limits_of(policy)
    found = smallest_change(judge, limits)
    before = judge(limits)
    if passes(before):
        assert not found.changes
        assert not found.none
        return
    assert bool(found.changes) != bool(found.none)
    assert change_words(found)
    if not found.changes:
        return
    assert passes(judge(changed(limits, found.changes)))
    RiskPolicy(
        **{  # it can be written into a policy
            name: int(value) if name in _INTEGERS else value
            for name, value in zip(LIMIT_NAMES[1:], changed(limits, found.changes)[1:], strict=True)
        }
    )
    for change in found.changes:
        others = [other for other in found.changes if other is not change]
        assert not passes(judge(changed(limits, others))), f"{change.limit} is idle"
        if change.off or math.isclose(change.needs, change.now, rel_tol=1e-6):
            continue
        least = changed(limits, others)
        if change.limit in _INTEGERS:
            least[LIMIT_SLOT[change.limit]] = change.needs - math.copysign(1.0, change.needs - change.now)
        else:
            least[LIMIT_SLOT[change.limit]] = change.now + 0.99 * (change.needs - change.now)
        assert not passes(judge(least)), f"less of {change.limit} is enough"


@settings(max_examples=100)
@given(POLICIES, CONTEXTS, WANTED)
def test_none_means_that_no_limits_let_it_through(policy, context, wanted):
    judge, limits = judging(context, wanted), limits_of(policy)
    if not smallest_change(judge, limits).none:
        return
    wide = [1e300 if value else 0.0 for value in limits]
    wide[0] = 0.0
    for name in ("min_depth", "min_profit_ticks", "equity_floor_usd", "depth_p10_5m_min", "min_order_usd"):
        wide[LIMIT_SLOT[name]] = 0.0
    judged = judge(wide)
    assert not passes(judged)


@settings(max_examples=100)
@given(POLICIES, CONTEXTS, WANTED, st.sampled_from([0.0, 0.01, 1.0]))
def test_the_size_that_fits_passes(policy, context, wanted, lot):
    judge, limits = judging(context, wanted, lot), limits_of(policy)
    found = smallest_change(judge, limits)
    for size in found.sizes:
        assert 0.0 <= size.fits < size.asked


def test_an_order_that_reduces_needs_only_what_asks_for_exit():
    context = {**GOOD, "depth": 0.0, "tp_ticks": 0.0, "inventory": 11.0, "abs_inventory": 11.0}
    found = smallest_change(judging(context, [(-1, 1.0, 1.0)]), limits_of(ALL_ON))
    assert [(change.limit, change.needs) for change in found.changes] == [("max_abs_inventory", 11.0)]
