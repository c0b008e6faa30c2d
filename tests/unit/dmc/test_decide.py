"""Legs that share a side: what one level gives up is no room for the next."""

import math

import pytest

from dmc_core.dmc.context import GuardContext, observe
from dmc_core.dmc.decide import ACT, Judgement, Leg, decide
from dmc_core.dmc.guards import SLOT, limits_of
from dmc_core.dmc.risk_policy import RiskPolicy


def context(inventory: float, open_buy: float) -> GuardContext:
    seen = GuardContext(inventory=inventory, open_buy=open_buy, other_exposure=0.0, mid=0.1, bid=0.09, ask=0.11)
    for name, value in (
        ("staleness_ms", 0.0), ("depth", 100.0), ("spread_bps", 100.0), ("edge_ticks", 1.0),
        ("total_exposure_usd", 0.0), ("market_exposure_usd", 0.0), ("abs_inventory", abs(inventory)),
    ):  # fmt: skip
        observe(seen, SLOT[name], value)
    return seen


@pytest.mark.parametrize(
    ("first", "second_size"),
    [
        (Leg(side=1, price=0.09, size=1.0, replaces=5.0), 3.0),  # the 5 of the level may still fill: 2 + 5 + 3
        (Leg(side=1, price=0.09, size=5.0, replaces=1.0), 3.0),  # the 5 it grows to: 2 + 5 + 3
        (Leg(side=1, price=0.09, size=5.0), None),  # 5 more on top of the 5 that work, none left
    ],
)
def test_a_shrinking_level_leaves_no_room_before_its_end_is_confirmed(first, second_size):
    second = Leg(side=1, price=0.08, size=8.0)
    seen = context(inventory=2.0, open_buy=5.0 if first.replaces != 1.0 else 1.0)
    judgement = Judgement()
    decide(ACT, 2, [first, second], seen, limits_of(RiskPolicy(max_abs_inventory=10.0)), judgement, 0)
    assert second.allowed == (second_size is not None)
    if second_size is not None:
        assert second.size == second_size
        assert second.clamped
    assert not math.isnan(second.size)
