"""Each row of the table at, below and above its limit, as docs/guards.md states it."""

import pytest

from ami_engine.kernels import pursue
from ami_engine.kernels.decision import Decision
from decision_schema.reasons import NAMES
from decision_schema.types import Action
from dmc_core.dmc.context import GuardContext
from dmc_core.dmc.decide import ACT, HOLD, MAX_LEGS, Judgement, decide
from dmc_core.dmc.guards import (
    ACTIONS,
    BREACH,
    FIRST_LEG_ROW,
    GUARD_SLOT,
    GUARDS,
    LIMIT_SLOT,
    MOST_GUARDS,
    N_GUARDS,
    PRESENT,
    SLOT,
    limits_of,
)
from dmc_core.dmc.judge import judge
from dmc_core.dmc.risk_policy import ACCOUNT_LIMITS, RiskPolicy
from dmc_core.dmc.worst_case import Leg
from tests.oracle.page_rows import PASSES, differs, page_rows

ROWS = page_rows()
EFFECTS = ("keep", "cancel_increasing", "cancel_all")


def test_the_page_and_the_code_have_the_same_rows():
    assert [row.name for row in ROWS] == [guard.name for guard in GUARDS]
    assert N_GUARDS <= MOST_GUARDS
    assert all(row.scope == "leg" for row in ROWS[FIRST_LEG_ROW:])
    assert all(row.scope != "leg" for row in ROWS[:FIRST_LEG_ROW])
    for row, guard in zip(ROWS, GUARDS, strict=True):
        assert (row.scope, row.reason) == (guard.scope, NAMES[guard.reason])
        if row.limit != "zero" and row.scope != "leg":
            assert (row.limit in ACCOUNT_LIMITS) == (row.scope == "account")


def test_what_a_rule_demands_is_cited():
    cited = {row.name: row.citation for row in ROWS if row.citation != "practice"}
    for letter, names in {
        "15(1)(a)": {"price_collar", "price_collar_noise"},
        "15(1)(b)": {"order_value_max"},
        "15(1)(c)": {"order_size_max"},
        "15(1)(d)": {"cancel_rate", "message_rate"},
        "15(3)": {"repeated_execution"},
    }.items():
        assert {name for name, text in cited.items() if letter in text} == names


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_each_row_at_below_and_above_its_limit(row):
    assert differs(row, judge) is None


def calm(policy):
    """A context in which every row of market and account passes, and its limits."""
    limits = limits_of(policy)
    context = GuardContext(inventory=0.0, other_exposure=0.0, mid=0.5, bid=0.49, ask=0.51)
    for row in ROWS[:FIRST_LEG_ROW]:
        limit = limits[LIMIT_SLOT[row.limit]]
        inside = next(value for value in (limit, limit - 0.5, limit + 0.5) if PASSES[row.sense](value, limit))
        slot = SLOT[row.observed]
        if context.presence[slot] != PRESENT:
            context.observed[slot], context.presence[slot] = inside, PRESENT
    for name, value in (("staleness_ms", 1.0), ("total_exposure_usd", 0.0), ("market_exposure_usd", 0.0)):
        context.observed[SLOT[name]] = value
    context.observed[SLOT["abs_inventory"]] = 0.0
    return context, limits


def all_on():
    names = {row.limit for row in ROWS[:FIRST_LEG_ROW] if row.off}
    more = {name: 4 for name in names if getattr(RiskPolicy(), name) == 0}
    return RiskPolicy(**{**more, "stale_cancel_ms": 2_000})


@pytest.mark.parametrize("row", ROWS[:FIRST_LEG_ROW], ids=lambda row: row.name)
@pytest.mark.parametrize("asked", [HOLD, ACT])
def test_each_row_of_market_and_account_asks_for_what_the_page_says(row, asked):
    check_what_it_asks_for(row, asked)


def check_what_it_asks_for(row, asked):
    context, limits = calm(all_on())
    legs = [Leg(side=1, price=0.49, size=1.0)] + [Leg() for _ in range(MAX_LEGS - 1)]
    out = Judgement()
    decide(asked, 1, legs, context, limits, out, 0)
    assert (out.action, out.n_refusing) == (asked, 0)
    limit = limits[LIMIT_SLOT[row.limit]]
    beyond = limit + 1.0 if "<" in row.sense else limit - 1.0
    context.observed[SLOT[row.observed]] = beyond
    decide(asked, 1, legs, context, limits, out, 0)
    assert ACTIONS[out.action] is Action(row.severity)
    assert out.verdicts[GUARD_SLOT[row.name]] == BREACH
    names = [GUARDS[i].name for i in out.refusing[: out.n_refusing]]
    assert (row.name in names) == (asked == ACT or row.severity != "HOLD")


def effect_of(row):
    """Give what a breach of a row does to resting orders."""
    decision, slot = Decision(), GUARD_SLOT[row.name]
    if slot >= FIRST_LEG_ROW:
        return EFFECTS[pursue._RESTING[slot]]
    decision.judgement.n_refusing = 1
    decision.judgement.refusing[0] = slot
    decision.judgement.verdicts[slot] = BREACH
    return EFFECTS[pursue._resting_effect(decision)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_each_row_does_to_resting_orders_what_the_page_says(row):
    assert effect_of(row) == row.resting
