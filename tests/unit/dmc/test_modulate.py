"""`modulate`: every row alone, every form of params, every severity, every kind of bad argument."""

import copy
import math
from fractions import Fraction
from types import MappingProxyType

import msgspec
import pytest

from decision_schema.reasons import NAMES
from decision_schema.terms import OrderTerms
from decision_schema.types import Action, Proposal
from dmc_core.dmc import modulator
from dmc_core.dmc.context import GuardContext, observe, read_context
from dmc_core.dmc.decide import Judgement, Leg, decide
from dmc_core.dmc.guards import (
    ABSENT,
    GUARDS,
    LEG_ROWS,
    LIMIT_SLOT,
    MALFORMED,
    N_GUARDS,
    OBSERVED,
    PRESENT,
    SLOT,
    limits_of,
    table,
)
from dmc_core.dmc.modulator import all_results, modulate
from dmc_core.dmc.risk_policy import TIGHTER, RiskPolicy

NOW = 1_000_000.0
SIX = {
    "now_ms": NOW,
    "last_event_ts_ms": NOW - 10,
    "depth": 100.0,
    "spread_bps": 400.0,
    "current_total_exposure_usd": 0.0,
    "abs_inventory": 0.0,
}
"""The inputs that an ACT needs."""
FLAT = {**SIX, "inventory": 0.0, "open_buy": 0.0, "open_sell": 0.0, "mid": 0.5}
QUOTE = {"bid": 0.49, "ask": 0.51, "size": 1.0}


@pytest.fixture(autouse=True)
def _no_private_hook(monkeypatch):
    monkeypatch.setattr(modulator, "_hook", lambda: None)


def at(inventory, **more):
    """A context with a signed position in a market at 0.5."""
    worth = abs(inventory) * 0.5
    return {
        **FLAT,
        "inventory": inventory,
        "abs_inventory": abs(inventory),
        "current_market_exposure_usd": worth,
        "current_total_exposure_usd": worth,
        **more,
    }


def propose(action="ACT", **params):
    return Proposal(action=action, confidence=0.8, reasons=["model"], params=params)


def order(side, size, price=0.5, **more):
    return {"side": side, "price": price, "size": size, **more}


# ---------------------------------------------------------------- the guide


def test_the_guide_call_acts_with_the_six_inputs():
    final, mismatch = modulate(propose(value=0.5), RiskPolicy(), SIX)
    assert (final.action, final.allowed, final.params) == (Action.ACT, True, {"value": 0.5})
    assert final.reasons == ["model"]
    assert (mismatch.flags, mismatch.reason_codes, mismatch.throttle_refresh_ms) == ([], [], 1500)
    assert len(mismatch.guards) == N_GUARDS
    assert not any(row.refuses for row in mismatch.guards)


@pytest.mark.parametrize("missing", SIX)
@pytest.mark.parametrize("params", [{}, QUOTE], ids=["none", "quote"])
def test_each_of_the_six_is_required(missing, params):
    context = {key: value for key, value in SIX.items() if key != missing}
    final, mismatch = modulate(propose(**params), RiskPolicy(), context)
    assert (final.action, final.allowed) == (Action.HOLD, False)
    assert final.reasons[0] == f"missing_input:{missing}"
    assert mismatch.flags


def test_the_six_suffice_for_orders():
    final, _ = modulate(propose(**QUOTE), RiskPolicy(), SIX)
    assert (final.action, final.params) == (Action.ACT, QUOTE)


# ---------------------------------------------------------------- each row alone

MARKET_CASES = [
    # row, policy, inside, limit, beyond, context of a value
    ("ops_deny_actions", {}, 0, 0, 1, lambda v: {"ops_deny_actions": v}),
    ("ops_health_red", {}, 0, 0, 1, lambda v: {"ops_state": "red" if v else "green"}),
    ("daily_loss_stop", {}, 2.49, 2.5, 2.51, lambda v: {"daily_realized_pnl_usd": -v}),
    ("drawdown_stop", {"max_drawdown_stop_usd": 3}, 2.99, 3, 3.01, lambda v: {"drawdown_usd": v}),
    ("equity_floor", {"equity_floor_usd": 50}, 50.01, 50, 49.99, lambda v: {"equity_usd": v}),
    ("circuit_breaker", {}, 4, 5, 6, lambda v: {"recent_failures": v}),
    ("error_rate_high", {}, 0.09, 0.1, 0.11, lambda v: {"errors_in_window": v * 100, "steps_in_window": 100}),
    (
        "exposure_now",
        {},
        4.99,
        5,
        5.01,
        lambda v: {"current_market_exposure_usd": v, "current_total_exposure_usd": v},
    ),
    ("total_exposure_now", {}, 9.99, 10, 10.01, lambda v: {"current_total_exposure_usd": v}),
    ("inventory_now", {}, 9.99, 10, 10.01, lambda v: {"inventory": -v, "abs_inventory": v}),
    ("stale_cancel", {"stale_cancel_ms": 500}, 499, 500, 501, lambda v: {"last_event_ts_ms": NOW - v}),
    ("adverse_selection_high_15", {}, -5, 1, 1.01, lambda v: {"adverse_15_ticks": v}),
    ("adverse_selection_high_60", {}, 1.99, 2, 2.01, lambda v: {"adverse_60_ticks": v}),
    ("adverse_cooldown", {}, -50, 0, 1, lambda v: {"adverse_cooldown_until_ms": NOW + v}),
    ("loss_streak", {"max_consecutive_losses": 3}, 2, 3, 4, lambda v: {"consecutive_losses": v}),
    ("streak_cooldown", {}, -50, 0, 1, lambda v: {"streak_cooldown_until_ms": NOW + v}),
    ("staleness", {}, 999, 1000, 1001, lambda v: {"last_event_ts_ms": NOW - v}),
    ("depth", {}, 1.01, 1, 0.99, lambda v: {"depth": v}),
    ("spread_bps", {}, 499, 500, 501, lambda v: {"spread_bps": v}),
    ("spread_ticks", {"max_spread_ticks": 5}, 4, 5, 5.01, lambda v: {"spread_ticks": v}),
    ("sigma_spike", {}, -1, 2.5, 2.51, lambda v: {"sigma_spike_z": v}),
    ("cost", {"min_profit_ticks": 0.5}, 0.75, 0.5, 0.25, lambda v: {"tp_ticks": 2, "cost_ticks": 2 - v}),
    ("cancel_rate", {}, 19, 20, 21, lambda v: {"cancels_in_window": v}),
    ("ops_cooldown", {}, -50, 0, 1, lambda v: {"ops_cooldown_until_ms": NOW + v}),
    ("rate_limited", {"max_429_per_window": 3}, 2, 3, 4, lambda v: {"rate_limited_in_window": v}),
    ("reconnects", {"max_ws_reconnects_per_window": 3}, 2, 3, 4, lambda v: {"reconnects_in_window": v}),
    ("regime_sigma", {"sigma_5m_max_bps": 8}, 7, 8, 9, lambda v: {"sigma_5m": v}),
    ("regime_spread", {"spread_med_5m_max_bps": 8}, 7, 8, 9, lambda v: {"spread_med_5m": v}),
    ("regime_depth", {"depth_p10_5m_min": 8}, 9, 8, 7, lambda v: {"depth_p10_5m": v}),
    ("regime_staleness", {"staleness_max_5m_ms": 8}, 7, 8, 9, lambda v: {"staleness_max_5m": v}),
    ("daily_drawdown_stop", {"max_daily_drawdown_usd": 3}, 2.99, 3, 3.01, lambda v: {"daily_drawdown_usd": v}),
    ("repeated_execution", {"max_executions": 5}, 4, 5, 6, lambda v: {"executions_in_window": v}),
    ("crossed", {"max_crossed_ms": 50}, 49, 50, 51, lambda v: {"crossed_ms": v}),
    ("frozen", {"max_frozen_ms": 50}, 49, 50, 51, lambda v: {"frozen_ms": v}),
    ("volatility_halt", {"halt_vol_5m_bps": 90}, 89, 90, 91, lambda v: {"realized_vol_5m": v}),
    ("gap", {"gap_pause_ms": 50}, 51, 50, 49, lambda v: {"gap_age_ms": v}),
    ("jump", {"max_jump_bps": 30}, 29, 30, 31, lambda v: {"jump_bps": v}),
    ("jump_noise", {"max_jump_noise": 3}, 2, 3, 4, lambda v: {"jump_noise": v}),
    ("volatility_pause", {}, -50, 0, 1, lambda v: {"volatility_pause_until_ms": NOW + v}),
    ("answer_latency", {"max_answer_ms": 50}, 49, 50, 51, lambda v: {"unanswered_ms": v}),
]
"""Rows of the market and the account. ``spread_ticks`` and ``stale_cancel`` need their input once on."""

LEG_CASES = [
    # row, policy, inside, limit, beyond, context and order of a value; no room is left beyond the limit
    ("exposure_cap", {"max_abs_inventory": 99}, 8, 9, 10, lambda v: (at(v), order("buy", 1))),
    (
        "total_exposure_cap",
        {},
        9,
        9.5,
        10,
        lambda v: ({**FLAT, "current_total_exposure_usd": v}, order("buy", 1)),
    ),
    (
        "inventory_cap",
        {"max_per_market_usd": 99, "max_total_exposure_usd": 99},
        8,
        9,
        10,
        lambda v: (at(-v), order("sell", 1)),
    ),
    ("open_orders", {"max_open_orders": 3}, 1, 2, 3, lambda v: ({**FLAT, "open_orders": v}, order("buy", 1))),
    ("order_value", {"min_order_usd": 0.3}, 0.7, 0.6, 0.5, lambda v: (FLAT, order("buy", v))),
    ("long_cap", {"max_long": 3}, 1, 2, 3, lambda v: (at(v), order("buy", 1))),
    ("short_cap", {"max_short": 3}, 1, 2, 3, lambda v: (at(-v), order("sell", 1))),
    (
        "net_exposure",
        {"max_net_exposure_usd": 3},
        2.4,
        2.5,
        3,
        lambda v: ({**FLAT, "other_net_exposure_usd": v}, order("buy", 1)),
    ),
    (
        "leverage",
        {"max_leverage": 2},
        3.4,
        3.5,
        4,
        lambda v: ({**FLAT, "equity_usd": 2, "current_total_exposure_usd": v}, order("buy", 1)),
    ),
    (
        "concentration",
        {"max_concentration": 0.5},
        1,
        2,
        3,
        lambda v: (at(v, equity_usd=3), order("buy", 1)),
    ),
    (
        "allocation",
        {},
        9,
        9.5,
        10,
        lambda v: ({**FLAT, "reserved_exposure_usd": v}, order("buy", 1)),
    ),
    (
        "allocation_orders",
        {"max_open_orders": 3},
        1,
        2,
        3,
        lambda v: ({**FLAT, "open_orders": 0, "reserved_open_orders": v}, order("buy", 1)),
    ),
    (
        "message_rate",
        {"max_messages": 9, "message_reserve": 3},
        4,
        5,
        6,
        lambda v: ({**FLAT, "messages_in_window": v}, order("buy", 1)),
    ),
    ("order_value_max", {"max_order_usd": 1}, 1.9, 2, 2.1, lambda v: (FLAT, order("buy", v))),
    ("order_size_max", {"max_order_size": 2}, 1.9, 2, 2.1, lambda v: (FLAT, order("buy", v))),
    ("price_collar", {"price_collar_bps": 1000}, 0.46, 0.45, 0.44, lambda v: (FLAT, order("buy", 1, v))),
    (
        "price_collar_noise",
        {"price_collar_noise": 2},
        0.53,
        0.54,
        0.55,
        lambda v: (FLAT, order("sell", 1, v)),
    ),
    (
        "self_trade",
        {"self_trade_min_ticks": 2},
        0.47,
        0.48,
        0.49,
        lambda v: ({**FLAT, "open_sell": 1, "own_ask": 0.5, "tick": 0.01}, order("buy", 1, v)),
    ),
    (
        "fat_finger",
        {"fat_finger_multiple": 4},
        1.9,
        2,
        2.1,
        lambda v: ({**FLAT, "typical_order_size": 0.5}, order("buy", v)),
    ),
]


def test_every_row_has_its_case():
    of_the_loop = {"duplicate_order"}  # its memory of orders: tests/unit/loop/test_new_guards.py
    named = {case[0] for case in [*MARKET_CASES, *LEG_CASES]}
    assert named | of_the_loop == {guard.name for guard in GUARDS}


@pytest.mark.parametrize(
    ("name", "policy", "inside", "limit", "beyond", "context_of"),
    MARKET_CASES,
    ids=[case[0] for case in MARKET_CASES],
)
def test_market_row_alone(name, policy, inside, limit, beyond, context_of):
    row = next(guard for guard in GUARDS if guard.name == name)
    # A severe row speaks on a HOLD, too; the others need an ACT.
    asked = propose(**QUOTE) if row.severity is Action.HOLD else propose("HOLD")
    for value, breach in ((inside, False), (limit, row.strict), (beyond, True)):
        context = {**FLAT, "spread_ticks": 1.0, **context_of(value)}
        final, mismatch = modulate(asked, RiskPolicy(**policy), context)
        assert mismatch.flags == ([name] if breach else []), value
        code = NAMES[row.reason]
        if breach:
            assert final.action is row.severity
            assert final.reasons == mismatch.reason_codes == [code]
            assert "order" not in str(final.params)
        else:
            assert final.action is asked.action
            assert final.allowed


@pytest.mark.parametrize(
    ("name", "policy", "inside", "limit", "beyond", "of"), LEG_CASES, ids=[case[0] for case in LEG_CASES]
)
def test_leg_row_alone(name, policy, inside, limit, beyond, of):
    row = next(guard for guard in GUARDS if guard.name == name)
    for value, breach in ((inside, False), (limit, row.strict), (beyond, True)):
        context, wanted = of(value)
        final, mismatch = modulate(propose(orders=[wanted]), RiskPolicy(**policy), context)
        assert final.action is (Action.HOLD if breach else Action.ACT), value
        assert mismatch.flags == ([name] if breach else []), value
        assert mismatch.reason_codes == ([NAMES[row.reason]] if breach else [])


NEEDED_ELSEWHERE = {"last_event_ts_ms", "mid", "abs_inventory", "size"}
CAN_BE_OFF = [
    g for g in GUARDS if g.off_when_zero and OBSERVED[SLOT[g.observed]].source not in NEEDED_ELSEWHERE
]
"""Rows that can be off and whose input no other row needs."""


@pytest.mark.parametrize("guard", CAN_BE_OFF, ids=lambda g: g.name)
def test_a_row_that_is_off_needs_no_input(guard):
    context = {**FLAT, OBSERVED[SLOT[guard.observed]].source: math.nan}
    final, mismatch = modulate(propose(**QUOTE), RiskPolicy(**{guard.limit: 0}), context)
    assert final.action is Action.ACT
    assert {row.verdict for row in mismatch.guards if row.name == guard.name} == {"off"}


def test_a_row_that_is_on_refuses_its_unusable_input():
    policy = RiskPolicy(max_open_orders=5)
    for bad, code in (
        (math.nan, "invalid_guard_input"),
        (None, "invalid_guard_input"),
        ("absent", "missing_input"),
    ):
        context = dict(FLAT) if bad == "absent" else {**FLAT, "open_orders": bad}
        for params in (QUOTE, {"value": 0.5}):
            final, mismatch = modulate(propose(**params), policy, context)
            assert final.action is Action.HOLD
            assert mismatch.reason_codes == [f"{code}:open_orders"]


@pytest.mark.parametrize("guard", GUARDS, ids=lambda g: g.name)
def test_the_hook_tightens_each_limit_the_way_its_row_reads_it(guard):
    if guard.limit == "zero":
        assert not guard.off_when_zero
        return
    expected = "higher" if guard.sign < 0 else "lower_0_off" if guard.off_when_zero else "lower"
    assert TIGHTER[guard.limit] == expected


def test_severer_rows_stand_first_in_the_table():
    assert len({guard.name for guard in GUARDS}) == N_GUARDS
    assert set(LIMIT_SLOT) == {"zero", *RiskPolicy.__struct_fields__}
    assert table().count("\n") == N_GUARDS + 1


# ---------------------------------------------------------------- forms of params


@pytest.mark.parametrize(
    ("params", "out"),
    [
        ({}, {}),
        ({"value": 0.5}, {"value": 0.5}),
        ({"orders": []}, {"orders": []}),
        (QUOTE, QUOTE),
        ({"bid": 0.49, "size": 1}, {"bid": 0.49, "size": 1}),
        ({"bid": 0.49, "ask": None, "size": 1}, {"bid": 0.49, "ask": None, "size": 1}),
        ({"ask": 0.51, "ask_size": 2}, {"ask": 0.51, "ask_size": 2}),
        ({"side": "buy", "price": 0.5, "size": 1}, {"side": "buy", "price": 0.5, "size": 1}),
        ({"side": "sell", "size": 1}, {"side": "sell", "size": 1}),
    ],
)
def test_what_passes_keeps_its_form(params, out):
    final, mismatch = modulate(propose(**params, tag={"deep": [1]}), RiskPolicy(), FLAT)
    assert final.action is Action.ACT
    assert final.params == {**out, "tag": {"deep": [1]}}
    assert mismatch.flags == []


def test_orders_keep_their_fields():
    wanted = order("buy", 1, level=2, time_in_force="IOC", post_only=True, reduce_only=True, ttl_ms=50)
    final, _ = modulate(propose(orders=[wanted]), RiskPolicy(), FLAT)
    assert final.params["orders"] == [wanted]


@pytest.mark.parametrize(
    ("params", "out"),
    [
        (
            {"bid": 0.5, "ask": 0.5, "size": 30},
            {"bid": 0.5, "ask": 0.5, "bid_size": 10.0, "ask_size": 10.0},
        ),
        (
            {"bid": 0.5, "bid_size": 12, "ask": 0.5, "size": 3},
            {"bid": 0.5, "bid_size": 10.0, "ask": 0.5, "ask_size": 3.0},
        ),
        ({"side": "sell", "price": 0.5, "size": 30}, {"side": "sell", "price": 0.5, "size": 10.0}),
        ({"side": "buy", "size": 30}, {"side": "buy", "size": 10.0}),
    ],
)
def test_a_limit_shrinks_the_size(params, out):
    final, mismatch = modulate(propose(**params), RiskPolicy(), FLAT)
    assert final.action is Action.ACT
    assert final.params == out
    assert all(flag.startswith("clamped:") for flag in mismatch.flags)
    assert mismatch.flags


def test_what_other_markets_risk_leaves_less_room():
    context = {**FLAT, "current_total_exposure_usd": 8.0}
    final, _ = modulate(propose(bid=0.5, size=30), RiskPolicy(), context)
    assert final.params["bid_size"] == pytest.approx(4.0)


@pytest.mark.parametrize("opens", ["open_buy", "open_sell"])
def test_an_act_without_terms_is_judged_on_the_worst_side(opens):
    final, mismatch = modulate(propose(), RiskPolicy(), {**FLAT, opens: 30.0})
    assert final.action is Action.HOLD
    assert mismatch.flags == ["exposure_cap", "total_exposure_cap", "inventory_cap"]


def test_orders_share_the_room_in_their_order():
    wanted = [order("buy", 6), order("buy", 6, level=1), order("buy", 6, level=2)]
    final, mismatch = modulate(propose(orders=wanted), RiskPolicy(), FLAT)
    assert [(o["level"], o["size"]) for o in final.params["orders"]] == [(0, 6.0), (1, 4.0)]
    assert mismatch.flags == ["exposure_cap", "inventory_cap", "clamped:buy"]


def test_earlier_dearer_orders_count_at_their_price():
    """Ten at 0.9 and ten at 0.4 can lose 13, though the last alone is cheap."""
    policy = RiskPolicy(max_per_market_usd=10, max_abs_inventory=99)
    wanted = [order("buy", 10, 0.9), order("buy", 10, 0.4, level=1)]
    for mid in (0.5, None):
        context = {**FLAT, "mid": mid} if mid else {k: v for k, v in FLAT.items() if k != "mid"}
        final, _ = modulate(propose(orders=wanted), policy, context)
        sizes = [Fraction(o["size"]) * Fraction(o["price"]) for o in final.params["orders"]]
        assert sum(sizes) <= 10


def test_the_least_value_is_taken_at_the_order_s_own_price():
    final, mismatch = modulate(propose(orders=[order("buy", 5, 0.1)]), RiskPolicy(min_order_usd=1), FLAT)
    assert final.action is Action.HOLD
    assert mismatch.flags == ["order_value"]


def test_limits_of_decimal_sums_are_met_exactly():
    """0.1 three times is not above 0.3."""
    wanted = [order("buy", 0.1, level=i) for i in range(3)]
    final, mismatch = modulate(propose(orders=wanted), RiskPolicy(max_abs_inventory=0.3), FLAT)
    assert (len(final.params["orders"]), mismatch.flags) == (3, [])


def test_no_tolerance_around_zero():
    final, _ = modulate(propose(orders=[order("buy", 1e-10)]), RiskPolicy(max_abs_inventory=0), FLAT)
    assert final.action is Action.HOLD


@pytest.mark.parametrize(
    "params", [{"bid": 0.5}, {"side": "buy"}, {"orders": [{"side": "sell", "price": 0.5}]}]
)
def test_an_order_without_a_size_cannot_be_judged(params):
    final, mismatch = modulate(propose(**params, tag=1), RiskPolicy(), at(5.0))
    assert (final.action, final.allowed, final.params) == (Action.HOLD, False, {"tag": 1})
    assert final.reasons == mismatch.flags == ["missing_input:size"]


@pytest.mark.parametrize(
    "params",
    [
        {"bid": math.nan, "size": 1},
        {"bid": 10**400, "size": 1},
        {"bid": "0.5", "size": 1},
        {"bid": 0.5, "size": 0},
        {"bid": 0.5, "size": -1},
        {"side": "long", "size": 1},
        {"orders": 5},
        {"orders": [5]},
        {"orders": [{"side": "buy", "size": 1, "colour": "red"}]},
        {"orders": [OrderTerms(side="up", size=1.0)]},
        {"orders": [OrderTerms(side="buy", size=1.0, level="0")]},
        {"orders": [order("buy", 1), order("buy", 2)]},
        {"orders": [order("buy", 1, level=i) for i in range(17)]},
    ],
)
def test_terms_that_cannot_be_read_hold(params):
    final, mismatch = modulate(propose(**params), RiskPolicy(), FLAT)
    assert (final.action, final.allowed, final.params) == (Action.HOLD, False, {})
    assert final.reasons == mismatch.reason_codes == mismatch.flags == ["invalid_order_terms"]


def test_terms_that_cannot_be_read_do_not_hide_a_stop():
    final, mismatch = modulate(propose(bid=math.nan), RiskPolicy(), {**FLAT, "ops_deny_actions": True})
    assert final.action is Action.STOP
    assert final.reasons == ["ops_deny_actions", "invalid_order_terms"]
    assert mismatch.flags == ["ops_deny_actions", "invalid_order_terms"]


def test_an_order_of_another_market_is_not_judged_on_this_position():
    sells = propose(orders=[order("sell", 5, market_id="B")])
    for context in (at(5.0), at(5.0, market_id="A"), at(5.0, market_id=["B"])):
        final, _ = modulate(sells, RiskPolicy(), context)
        assert (final.action, final.reasons) == (Action.HOLD, ["invalid_order_terms"])
    final, _ = modulate(sells, RiskPolicy(), at(5.0, market_id="B"))
    assert final.action is Action.ACT


# ---------------------------------------------------------------- direction of risk

BAD_MARKET = {"spread_bps": 9999.0}


def test_a_refused_bid_keeps_the_ask_that_reduces():
    final, mismatch = modulate(propose(**QUOTE), RiskPolicy(), at(5.0, **BAD_MARKET))
    assert (final.action, final.allowed) == (Action.ACT, True)
    assert final.params == {"ask": 0.51, "size": 1.0}
    assert final.reasons == ["model"]
    assert mismatch.flags == ["spread_bps"]


def test_the_mirror_keeps_the_bid():
    final, _ = modulate(propose(**QUOTE), RiskPolicy(), at(-5.0, **BAD_MARKET))
    assert final.params == {"bid": 0.49, "size": 1.0}


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("position", "working", "size", "left"),
    [
        (5, 0, 5, 5),  # closes whole
        (5, 0, 7, 5),  # would flip: the part that closes
        (5, 3, 2, 2),  # what works on that side already closes 3
        (5, 3, 4, 2),
        (5, 5, 1, None),  # nothing left to close
        (5, 9, 1, None),
        (0, 0, 1, None),
        (0.3, 0.1, 0.2, 0.2),  # 0.3 - 0.1 is not 0.2 in binary
    ],
)
def test_in_a_bad_market_only_what_cannot_flip_goes_out(sign, position, working, size, left):
    side, opens = ("sell", "open_sell") if sign > 0 else ("buy", "open_buy")
    context = at(sign * float(position), **BAD_MARKET, **{opens: working})
    final, _ = modulate(propose(orders=[order(side, size)]), RiskPolicy(), context)
    if left is None:
        assert final.action is Action.HOLD
    else:
        assert [o["size"] for o in final.params["orders"]] == [pytest.approx(left)]


def test_two_sales_close_a_position_only_once():
    wanted = [order("sell", 4), order("sell", 4, level=1), order("sell", 4, level=2)]
    final, _ = modulate(propose(orders=wanted), RiskPolicy(), at(6.0, **BAD_MARKET))
    assert [o["size"] for o in final.params["orders"]] == [4.0, 2.0]


def test_dust_is_no_reduction():
    final, _ = modulate(propose(orders=[order("buy", 1e-10)]), RiskPolicy(), at(0.0, **BAD_MARKET))
    assert final.action is Action.HOLD


@pytest.mark.parametrize("untold", ["inventory", "open_buy", "open_sell"])
def test_without_direction_every_order_counts_as_increasing(untold):
    context = {key: value for key, value in at(5.0, **BAD_MARKET).items() if key != untold}
    final, _ = modulate(propose(**QUOTE), RiskPolicy(), context)
    assert final.action is Action.HOLD


def test_without_a_sign_both_sides_are_projected():
    context = {key: value for key, value in at(8.0).items() if key != "inventory"}
    policy = RiskPolicy(max_per_market_usd=99, max_total_exposure_usd=99)
    final, _ = modulate(propose(bid=0.5, ask=0.5, size=5), policy, context)
    assert final.params["bid_size"] == final.params["ask_size"] == 2.0


def test_a_position_given_twice_must_agree():
    final, mismatch = modulate(propose(**QUOTE), RiskPolicy(), {**at(5.0), "abs_inventory": 4.0})
    assert final.action is Action.HOLD
    assert "invalid_guard_input:abs_inventory" in mismatch.reason_codes


def test_a_market_cannot_be_worth_more_than_the_account():
    context = {**at(1.0), "current_market_exposure_usd": 4.0, "current_total_exposure_usd": 3.0}
    final, mismatch = modulate(propose(bid=0.5, size=1), RiskPolicy(), context)
    assert final.action is Action.HOLD
    assert mismatch.reason_codes == ["invalid_guard_input:current_market_exposure_usd"]


@pytest.mark.parametrize(
    ("kind", "mid", "most"), [("binary", 0.9, 10.0), ("binary", 0.2, 2.5), ("linear", 0.9, 2 / 0.9)]
)
def test_a_binary_short_loses_what_is_left_to_one(kind, mid, most):
    """Two usd buy 20 shorts at 0.9 (capped by inventory at 10), but only 2.5 at 0.2."""
    context = {**FLAT, "mid": mid, "kind": kind}
    policy = RiskPolicy(max_per_market_usd=2)
    final, _ = modulate(propose(side="sell", price=mid, size=99), policy, context)
    assert final.params["size"] == pytest.approx(most)


def test_a_binary_short_is_judged_at_the_lower_of_price_and_mid():
    context = {**FLAT, "mid": 0.2, "kind": "binary"}
    final, _ = modulate(propose(side="sell", price=0.6, size=99), RiskPolicy(max_per_market_usd=2), context)
    assert final.params["size"] == pytest.approx(2.5)


def test_the_multiplier_counts():
    final, _ = modulate(propose(bid=0.5, size=99), RiskPolicy(), {**FLAT, "multiplier": 10.0})
    assert final.params["bid_size"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    "bad",
    [
        {"mid": 0.0},
        {"mid": "0.5"},
        {"bid": math.nan},
        {"ask": None},
        {"bid": 0.6, "ask": 0.4},
        {"kind": "future"},
        {"kind": 5},
        {"kind": None},
        {"multiplier": 0.0},
        {"multiplier": math.inf},
    ],
    ids=str,
)
@pytest.mark.parametrize("params", [{}, QUOTE], ids=["none", "quote"])
def test_prices_and_terms_of_the_market_must_be_usable(bad, params):
    final, mismatch = modulate(propose(**params), RiskPolicy(), {**FLAT, **bad})
    assert final.action is Action.HOLD
    assert mismatch.reason_codes == ["invalid_guard_input:mid"]


def test_a_taking_order_is_judged_at_the_far_touch():
    context = {**FLAT, "bid": 0.4, "ask": 0.6}
    final, _ = modulate(propose(side="buy", size=99), RiskPolicy(), context)
    assert final.params["size"] == pytest.approx(5 / 0.6)
    final, _ = modulate(
        propose(side="sell", size=99), RiskPolicy(min_order_usd=4.1, max_abs_inventory=99), context
    )
    assert final.action is Action.HOLD  # 10 at the bid of 0.4 are worth 4


def test_a_taking_order_without_any_price_cannot_be_judged():
    context = {key: value for key, value in FLAT.items() if key != "mid"}
    final, mismatch = modulate(propose(side="buy", size=1), RiskPolicy(), context)
    assert final.action is Action.HOLD
    assert mismatch.reason_codes[0] == "missing_input:mid"


# ---------------------------------------------------------------- severities

SEVERE = [
    ({}, Action.ACT),
    ({"spread_bps": 9999.0}, Action.HOLD),
    ({"adverse_15_ticks": 9.0}, Action.CANCEL),
    ({"current_total_exposure_usd": 99.0}, Action.EXIT),
    ({"ops_deny_actions": True}, Action.STOP),
]


@pytest.mark.parametrize("asked", ["HOLD", "CANCEL", "EXIT", "STOP"])
@pytest.mark.parametrize(("breach", "severity"), SEVERE, ids=[s for _, s in SEVERE])
def test_the_most_severe_action_wins(asked, breach, severity):
    final, mismatch = modulate(propose(asked, tag=1, bid=0.5), RiskPolicy(), {**FLAT, **breach})
    order_of = list(Action)
    expected = max(Action(asked), severity, key=order_of.index)
    assert final.action is expected
    assert final.allowed == (expected == asked)
    assert final.params == {"tag": 1}
    assert final.reasons == (["model"] if final.allowed else mismatch.reason_codes)


@pytest.mark.parametrize(("breach", "severity"), SEVERE, ids=[s for _, s in SEVERE])
def test_an_act_under_each_severity(breach, severity):
    final, _ = modulate(propose(**QUOTE), RiskPolicy(), {**FLAT, **breach})
    assert final.action is severity


@pytest.mark.parametrize(("breach", "severity"), SEVERE[1:], ids=[s for _, s in SEVERE[1:]])
def test_a_reducing_act_goes_out_unless_the_position_is_closed_anyway(breach, severity):
    for params in ({"ask": 0.51, "size": 5}, {"orders": []}):
        final, mismatch = modulate(propose(**params), RiskPolicy(), at(5.0, **breach))
        assert final.action is (severity if severity in (Action.EXIT, Action.STOP) else Action.ACT)
        assert bool(mismatch.flags) == (severity is not Action.HOLD)


def test_the_deciding_reason_comes_first():
    context = at(1.0, adverse_cooldown_until_ms=NOW + 1, consecutive_losses=9, equity_usd=math.nan)
    policy = RiskPolicy(max_consecutive_losses=3, equity_floor_usd=1)
    final, mismatch = modulate(propose(bid=0.5, size=1), policy, context)
    assert final.action is Action.CANCEL
    assert mismatch.flags == ["equity_floor", "adverse_cooldown", "loss_streak"]
    assert final.reasons == ["loss_streak", "invalid_guard_input:equity_usd", "adverse_cooldown_active"]


def test_nothing_given_holds_and_still_lets_pull_and_close():
    for context in ({}, None, 5, "x", [("depth", 1)], MappingProxyType({})):
        assert modulate(propose(**QUOTE), RiskPolicy(), context)[0].action is Action.HOLD
        assert modulate(propose(), RiskPolicy(), context)[0].action is Action.HOLD
        for action in ("HOLD", "CANCEL", "EXIT", "STOP"):
            final, mismatch = modulate(propose(action), RiskPolicy(), context)
            assert (final.action, final.allowed, mismatch.flags) == (action, True, [])
        final, _ = modulate(propose(orders=[]), RiskPolicy(), context)
        assert (final.action, final.params) == (Action.ACT, {"orders": []})


def test_unreadable_params_stop_only_an_act():
    """An EXIT with nonsense in its params is an EXIT."""
    for action in ("HOLD", "CANCEL", "EXIT", "STOP"):
        final, _ = modulate(propose(action, side="long", bid=math.nan, orders=5, tag=1), RiskPolicy(), SIX)
        assert (final.action, final.allowed, final.params) == (action, True, {"tag": 1})


# ---------------------------------------------------------------- arguments of the wrong type


@pytest.mark.parametrize("wrong", [None, {}, "policy", RiskPolicy], ids=str)
def test_no_policy(wrong):
    final, mismatch = modulate(propose(**QUOTE), wrong, FLAT)
    assert (final.action, final.allowed, final.reasons) == (Action.HOLD, False, ["invalid_policy"])
    assert mismatch.flags == ["invalid_policy"]
    assert modulate(None, wrong, FLAT)[0].action is Action.HOLD
    for action in ("HOLD", "CANCEL", "EXIT", "STOP"):
        final, _ = modulate(propose(action), wrong, FLAT)
        assert (final.action, final.allowed) == (action, True)


@pytest.mark.parametrize("wrong", [None, {}, "ACT", Action.ACT, Proposal], ids=str)
def test_no_proposal(wrong):
    final, mismatch = modulate(wrong, RiskPolicy(), FLAT)
    assert (final.action, final.allowed, final.reasons) == (Action.HOLD, False, ["invalid_proposal"])
    assert mismatch.flags == ["invalid_proposal"]
    assert modulate(wrong, RiskPolicy(), {**FLAT, "ops_deny_actions": 1})[0].action is Action.STOP


class Hostile(dict):
    """Raises on reading."""

    def get(self, *args):
        raise RuntimeError("no")

    __getitem__ = keys = items = __iter__ = get


def test_params_that_raise_hold():
    proposal = propose()
    msgspec.structs.force_setattr(proposal, "params", Hostile(bid=1))
    final, _ = modulate(proposal, RiskPolicy(), FLAT)
    assert (final.action, final.reasons) == (Action.HOLD, ["invalid_order_terms"])
    final, _ = modulate(propose(orders=[Hostile(side="buy")]), RiskPolicy(), FLAT)
    assert (final.action, final.reasons) == (Action.HOLD, ["invalid_order_terms"])


def test_a_context_that_raises_proves_nothing():
    final, mismatch = modulate(propose(**QUOTE), RiskPolicy(), Hostile(FLAT))
    assert final.action is Action.HOLD
    assert "invalid_guard_input:depth" in mismatch.reason_codes
    assert "invalid_guard_input:current_total_exposure_usd" in mismatch.reason_codes


def test_inputs_are_left_as_they_were():
    params = {"orders": [order("buy", 30, level=1), order("sell", 30)], "tag": {"deep": [1]}}
    context = at(5.0, ops_state="green")
    proposal, before, seen = propose(**params), copy.deepcopy(params), copy.deepcopy(context)
    first = modulate(proposal, RiskPolicy(), context)
    assert (proposal.params, context) == (before, seen)
    assert modulate(proposal, RiskPolicy(), MappingProxyType(context)) == first


# ---------------------------------------------------------------- beneath modulate


def leg_context(inventory=0.0, **more):
    context = GuardContext(inventory=inventory, other_exposure=0.0, mid=0.5, open_orders=0.0, **more)
    for name in ("staleness_ms", "total_exposure_usd", "abs_inventory", "spread_bps"):
        observe(context, SLOT[name], 0.0)
    observe(context, SLOT["depth"], 9.0)
    return context


def judged(leg, context, policy=None):
    out, limits = Judgement(), limits_of(policy or RiskPolicy())
    decide(0, 1, [leg], context, limits, out, 0)
    return out, all_results(out, [leg], context, limits, refusals_only=True)


def test_clamping_respects_lots():
    leg = Leg(side=1, price=0.5, size=100.0, lot=3.0)
    judged(leg, leg_context())
    assert (leg.size, leg.clamped, leg.allowed) == (9.0, True, True)


def test_a_leg_that_would_shrink_below_its_minimum_is_refused_whole():
    leg = Leg(side=1, price=0.5, size=100.0, lot=1.0, min_size=11.0)
    _out, refusals = judged(leg, leg_context())
    assert (leg.allowed, leg.clamped, leg.size) == (False, False, 100.0)
    assert [row.name for row in refusals] == ["exposure_cap", "total_exposure_cap", "inventory_cap"]
    assert [row.leg for row in refusals] == [0, 0, 0]


def test_the_part_that_closes_respects_lots_and_minimum():
    for lot, least, left in ((1.0, 0.0, 5.0), (2.0, 0.0, 4.0), (1.0, 6.0, None), (9.0, 0.0, None)):
        context = leg_context(5.5)
        observe(context, SLOT["spread_bps"], 9999.0)
        leg = Leg(side=-1, price=0.5, size=8.0, lot=lot, min_size=least)
        out, _ = judged(leg, context)
        assert (leg.size if leg.allowed else None) == left
        assert ACT_OR_HOLD[leg.allowed] == out.action


ACT_OR_HOLD = {True: 0, False: 1}


def test_a_replaced_order_counts_once():
    policy = RiskPolicy(max_open_orders=1)
    context = leg_context(5.0, open_buy=5.0)
    context.open_orders = 1.0
    leg = Leg(side=1, price=0.5, size=5.0, replaces=5.0)
    judged(leg, context, policy)
    assert (leg.allowed, leg.size) == (True, 5.0)
    context = leg_context(-5.0, open_sell=5.0)
    leg = Leg(side=-1, price=0.5, size=5.0, replaces=5.0)
    judged(leg, context)
    assert leg.allowed
    leg = Leg(side=-1, price=0.5, size=5.0)
    judged(leg, context)
    assert not leg.allowed


def test_an_unknown_size_working_refuses():
    leg = Leg(side=1, price=0.5, size=1.0)
    judged(leg, leg_context(open_sell=math.nan))
    assert not leg.allowed
    leg = Leg(side=1, price=0.5, size=math.nan)
    judged(leg, leg_context())
    assert (leg.allowed, leg.clamped) == (False, False)


def test_no_new_risk_lets_only_reductions_pass():
    limits = limits_of(RiskPolicy())
    legs = [Leg(side=1, price=0.5, size=1.0), Leg(side=-1, price=0.5, size=9.0)]
    decide(0, 2, legs, leg_context(5.0), limits, Judgement(), 1)
    assert [(leg.allowed, leg.size) for leg in legs] == [(False, 1.0), (True, 5.0)]


def test_rows_of_legs_are_left_as_the_account_is():
    """What is recorded by row is the state without the wanted orders; each leg keeps its own verdicts."""
    limits, context = limits_of(RiskPolicy(max_open_orders=1)), leg_context()
    asked, held = Judgement(), Judgement()
    leg = Leg(side=1, price=0.5, size=1.0, lot=9.0)
    context.open_orders = 1.0
    decide(1, 0, [], context, limits, held, 0)
    before = list(context.observed)
    decide(0, 1, [leg], context, limits, asked, 0)
    assert not leg.allowed
    assert asked.verdicts == held.verdicts
    assert str(context.observed) == str(before)
    assert leg.verdicts != [held.verdicts[row] for row in LEG_ROWS]


def test_without_a_clock_no_pause_has_ended():
    context = {**FLAT, "adverse_cooldown_until_ms": NOW - 50}
    for now, verdict in ((NOW, "pass"), (math.nan, "unknown"), (None, "unknown")):
        _, mismatch = modulate(propose(), RiskPolicy(), {**context, "now_ms": now})
        assert {row.verdict for row in mismatch.guards if row.name == "adverse_cooldown"} == {verdict}


def test_presence_of_what_was_read():
    context = read_context({**FLAT, "sigma_spike_z": None, "open_orders": 2}, RiskPolicy())
    seen = {name: context.presence[SLOT[name]] for name in ("depth", "sigma_spike_z", "equity_usd")}
    assert seen == {"depth": PRESENT, "sigma_spike_z": MALFORMED, "equity_usd": ABSENT}
    assert context.open_orders == 2.0
    observe(context, SLOT["depth"], math.nan)
    assert context.presence[SLOT["depth"]] == ABSENT


@pytest.mark.parametrize(
    ("now", "last", "passes"),
    [
        (NOW, NOW, True),
        (NOW, NOW + 1000, True),  # within the skew
        (NOW, NOW + 1001, False),
        (1e308, 1e308, False),  # no such time
        (-1.0, -1.0, False),
        (10**18, 10**18, False),  # nanoseconds where milliseconds belong
    ],
)
def test_times(now, last, passes):
    final, _ = modulate(propose(), RiskPolicy(), {**FLAT, "now_ms": now, "last_event_ts_ms": last})
    assert (final.action is Action.ACT) == passes
