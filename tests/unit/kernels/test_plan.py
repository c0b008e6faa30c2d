"""Where the plan quotes, and how a proposal becomes orders on the grid."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_engine.execution.plan import read_proposed, travels_of
from ami_engine.kernels.decision import TERMS_FROM, Plan, Proposed, Rules
from ami_engine.kernels.features import MICROPRICE
from ami_engine.kernels.orders import FOK, GTC, IOC
from ami_engine.kernels.plan import ask_ticks, bid_ticks, fair_value, plan_orders, skew_ticks
from ami_engine.kernels.records import Cell, new_cell
from decision_schema.instruments import Instrument
from decision_schema.reasons import NAMES
from decision_schema.types import Action, Proposal
from dmc_core.dmc.guards import limits_of
from dmc_core.dmc.risk_policy import RiskPolicy

CENTS = Instrument(market_id="M", tick_size="0.01", lot_size="1", kind="binary")


def cell(bid=0.49, ask=0.51, mid=None, microprice=math.nan, lots=0, instrument=CENTS) -> Cell:
    made = new_cell(0, instrument, 10**9, True, True)
    book = made.market.book
    book.bid, book.ask = bid, ask
    book.mid = 0.5 * (bid + ask) if mid is None else mid
    made.market.features[MICROPRICE] = microprice
    made.position.lots = lots
    return made


def plan(params, market=None, settings=None, policy=None):
    proposed, made = Proposed(), Plan()
    read_proposed(Proposal(action=Action.ACT, confidence=0.9, params=params), "M", proposed)
    rules = Rules(limits=limits_of(policy or RiskPolicy()), **(settings or {}))
    plan_orders(proposed, cell() if market is None else market, rules, made)
    return made


def wanted(made):
    return made.wanted[: made.n_wanted]


def why(made):
    return NAMES[made.reason] if made.reason else ""


def dropped(made):
    return [NAMES[code] for code in made.dropped[: made.n_dropped]]


def terms(made):
    return [(w.side, w.price_ticks, w.lots) for w in wanted(made)]


# ---------------------------------------------------------------- formulas


def test_the_fair_value_is_the_models_else_the_microprice_else_the_mid():
    assert fair_value(0.4, 0.5, 0.6) == 0.4
    assert fair_value(math.nan, 0.5, 0.6) == 0.5
    assert fair_value(math.nan, math.nan, 0.6) == 0.6
    assert math.isnan(fair_value(math.nan, math.nan, math.nan))


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6), st.floats(0, 100))
def test_the_skew_leans_against_the_position_and_is_bounded(position, most, ticks):
    skew = skew_ticks(position, most, ticks)
    assert abs(skew) <= ticks
    assert skew * position <= 0.0


@given(
    st.floats(0.02, 0.98), st.floats(0.0, 0.3), st.floats(-8, 8), st.integers(1, 98), st.integers(1, 20),
)  # fmt: skip
def test_quotes_never_take_and_lie_outside_the_half_spread(fair, half, skew, bid, width):
    best_bid, best_ask = bid / 100, (bid + width) / 100
    buy = bid_ticks(fair, half, skew, best_ask, 1, 100)
    sell = ask_ticks(fair, half, skew, best_bid, 1, 100)
    assert buy < bid + width
    assert sell > bid
    assert buy / 100 <= fair - half + skew / 100 + 1e-8
    assert sell / 100 >= fair + half + skew / 100 - 1e-8


def test_an_empty_side_does_not_bound():
    assert bid_ticks(0.5, 0.01, 0.0, math.nan, 1, 100) == 49
    assert ask_ticks(0.5, 0.01, 0.0, math.nan, 1, 100) == 51


# ---------------------------------------------------------------- completing


def test_an_act_without_terms_is_quoted_around_its_value():
    made = plan({"value": 0.52, "note": "x"})
    assert TERMS_FROM[made.terms_from] == "value"
    assert terms(made) == [(1, 50, 1), (-1, 53, 1)]  # a bid of 0.51 would take
    assert travels_of({"value": 0.52, "note": "x", "bid": 0.5}) == {"value": 0.52, "note": "x"}
    assert all(w.post_only for w in wanted(made))


def test_without_a_value_it_is_quoted_around_the_microprice_or_the_mid():
    made = plan({}, cell(microprice=0.505))
    assert (TERMS_FROM[made.terms_from], terms(made)) == ("microprice", [(1, 49, 1), (-1, 52, 1)])
    made = plan({"value": None})
    assert (TERMS_FROM[made.terms_from], terms(made)) == ("mid", [(1, 49, 1), (-1, 51, 1)])


def test_a_long_position_lowers_both_quotes():
    made = plan(
        {"value": 0.5}, cell(lots=5), policy=RiskPolicy(max_abs_inventory=10, max_inventory_skew_ticks=2)
    )
    assert terms(made) == [(1, 48, 1), (-1, 50, 1)]


def test_the_configured_distance_and_size_are_taken():
    made = plan({"value": 0.5}, settings={"half_spread_ticks": 3.0, "size": 2.0})
    assert terms(made) == [(1, 47, 2), (-1, 53, 2)]


@pytest.mark.parametrize("value", [math.nan, math.inf, "0.5", True, [0.5], 10**400], ids=range(6))
def test_a_value_that_is_no_number_is_an_error_of_the_model(value):
    made = plan({"value": value})
    assert (why(made), wanted(made)) == ("model_error", [])


@pytest.mark.parametrize("value", [1e308, -1e308, 1e17])
def test_a_value_beyond_the_grid_gives_no_orders(value):
    assert why(plan({"value": value})) == "leg_out_of_bounds"


def test_a_one_sided_market_cannot_be_completed():
    assert why(plan({"value": 0.5}, cell(ask=math.nan))) == "no_order_terms"
    assert terms(plan({"value": 0.5}, cell(ask=math.nan), {"half_spread_ticks": 1.0})) == [
        (1, 49, 1),
        (-1, 51, 1),
    ]


def test_near_the_bounds_only_the_side_that_fits_is_quoted():
    made = plan({"value": 0.01}, cell(bid=0.01, ask=0.02))
    assert terms(made) == [(-1, 2, 1)]
    assert dropped(made) == ["leg_out_of_bounds"]


# ---------------------------------------------------------------- own terms


def test_own_terms_are_rounded_away_from_the_market_and_sizes_down():
    made = plan({"bid": 0.4999, "ask": 0.5001, "size": 1.9})
    assert (TERMS_FROM[made.terms_from], terms(made)) == ("model", [(1, 49, 1), (-1, 51, 1)])
    made = plan({"bid": 0.49 + 1e-12, "ask": 0.51 - 1e-12})  # on the grid but for the float
    assert terms(made) == [(1, 49, 1), (-1, 51, 1)]


def test_terms_keep_what_they_say():
    made = plan({"orders": [
        {"side": "buy", "price": 0.4, "size": 2, "level": 3, "time_in_force": "FOK", "post_only": True, "ttl_ms": 7},
        {"side": "sell", "size": 1, "reduce_only": True},
    ]}, cell(lots=10**9))  # fmt: skip
    first, second = wanted(made)
    assert (first.level, first.tif, first.post_only, first.ttl_ns, first.takes) == (3, FOK, 1, 7_000_000, 0)
    assert (second.tif, second.takes, second.reduce_only, second.ttl_ns) == (IOC, 1, 1, 0)
    assert wanted(plan({"bid": 0.4}))[0].tif == GTC


def test_an_empty_list_is_a_plan_that_wants_nothing():
    made = plan({"orders": []})
    assert (wanted(made), why(made), TERMS_FROM[made.terms_from]) == ([], "", "model")


DROPPED = {
    "below a lot": ({"bid": 0.4, "size": 0.5}, "leg_below_minimum"),
    "too dear": ({"ask": 1.01}, "leg_out_of_bounds"),
    "at zero": ({"bid": 0.001}, "leg_out_of_bounds"),
    "huge price": ({"ask": 1e300}, "leg_out_of_bounds"),
    "huge size": ({"bid": 0.4, "size": 1e300}, "leg_out_of_bounds"),
}


@pytest.mark.parametrize("name", DROPPED)
def test_a_leg_that_rounding_or_bounds_remove_is_the_reason(name):
    params, reason = DROPPED[name]
    made = plan(params)
    assert (wanted(made), why(made), dropped(made)) == ([], reason, [reason])


def test_one_dropped_leg_leaves_the_other():
    made = plan({"bid": 0.4, "ask": 1.5})
    assert (terms(made), why(made), dropped(made)) == ([(1, 40, 1)], "", ["leg_out_of_bounds"])


def test_minimum_size_and_value_of_the_instrument():
    strict = Instrument(market_id="M", tick_size="0.01", lot_size="1", min_size=3, min_notional=2.0)
    assert why(plan({"bid": 0.9, "size": 2}, cell(instrument=strict))) == "leg_below_minimum"
    assert why(plan({"bid": 0.5, "size": 3}, cell(instrument=strict))) == "leg_below_minimum"
    assert terms(plan({"bid": 0.7, "size": 3}, cell(instrument=strict))) == [(1, 70, 3)]


def test_without_shorts_all_sales_together_are_the_position_at_most():
    spot = Instrument(market_id="M", tick_size="0.01", lot_size="1", short="no")
    sells = {"orders": [{"side": "sell", "price": 0.5 + i / 100, "size": 2, "level": i} for i in range(3)]}
    assert terms(plan(sells, cell(lots=3, instrument=spot))) == [(-1, 50, 2), (-1, 51, 1)]
    assert why(plan(sells, cell(instrument=spot))) == "leg_no_short"


def test_another_market_is_refused_and_the_own_one_may_be_named():
    assert why(plan({"orders": [{"side": "buy", "price": 0.4, "market_id": "X"}]})) == "invalid_order_terms"
    assert terms(plan({"orders": [{"side": "buy", "price": 0.4, "market_id": "M"}]})) == [(1, 40, 1)]
