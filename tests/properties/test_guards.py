"""What the guards promise for every input: no proof no ACT, never wider, reductions pass, never a raise."""

import itertools
import math
from collections.abc import Mapping
from fractions import Fraction

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decision_schema.instruments import unit_loss
from decision_schema.types import Action, FinalDecision, MismatchInfo, Proposal
from dmc_core.dmc import modulator
from dmc_core.dmc.context import GuardContext, read_context
from dmc_core.dmc.decide import Leg
from dmc_core.dmc.guards import MARKET_ROWS, N_GUARDS
from dmc_core.dmc.modulator import modulate
from dmc_core.dmc.risk_policy import TIGHTER, RiskPolicy, is_tighter

ALL_ON = RiskPolicy(
    max_spread_ticks=50,
    max_open_orders=10,
    min_order_usd=0.1,
    max_drawdown_stop_usd=5,
    equity_floor_usd=1,
    stale_cancel_ms=900,
    max_consecutive_losses=3,
    max_429_per_window=3,
    max_ws_reconnects_per_window=3,
    sigma_5m_max_bps=50,
    spread_med_5m_max_bps=500,
    depth_p10_5m_min=1,
    staleness_max_5m_ms=5000,
    max_daily_drawdown_usd=5,
    max_long=9,
    max_short=9,
    max_net_exposure_usd=9,
    max_leverage=2,
    max_concentration=0.5,
    max_order_usd=4,
    max_order_size=8,
    price_collar_bps=2000,
    price_collar_noise=5,
    self_trade_min_ticks=1,
    fat_finger_multiple=5,
    max_messages=50,
    message_reserve=5,
    duplicate_window_ms=1,
    max_executions=9,
    max_crossed_ms=500,
    max_frozen_ms=5000,
    max_jump_bps=100,
    max_jump_noise=3,
    halt_vol_5m_bps=300,
    gap_pause_ms=500,
    max_answer_ms=900,
)
"""No row is off, so every input counts."""
GOOD = {
    "now_ms": 1_000_000,
    "last_event_ts_ms": 999_990,
    "depth": 100.0,
    "spread_bps": 400.0,
    "spread_ticks": 2,
    "current_total_exposure_usd": 0.0,
    "current_market_exposure_usd": 0.0,
    "abs_inventory": 0.0,
    "inventory": 0.0,
    "open_buy": 0.0,
    "open_sell": 0.0,
    "open_orders": 0,
    "mid": 0.5,
    "bid": 0.49,
    "ask": 0.51,
    "kind": "linear",
    "multiplier": 1.0,
    "daily_realized_pnl_usd": 0.0,
    "drawdown_usd": 0.0,
    "equity_usd": 100.0,
    "recent_failures": 0,
    "errors_in_window": 0,
    "steps_in_window": 100,
    "cancels_in_window": 0,
    "consecutive_losses": 0,
    "adverse_15_ticks": 0.0,
    "adverse_60_ticks": 0.0,
    "adverse_cooldown_until_ms": 0,
    "streak_cooldown_until_ms": 0,
    "ops_cooldown_until_ms": 0,
    "ops_deny_actions": False,
    "ops_state": "GREEN",
    "rate_limited_in_window": 0,
    "reconnects_in_window": 0,
    "sigma_spike_z": 0.0,
    "sigma_5m": 5.0,
    "spread_med_5m": 100.0,
    "depth_p10_5m": 50.0,
    "staleness_max_5m": 500.0,
    "cost_ticks": 1.0,
    "tp_ticks": 2.0,
    "daily_drawdown_usd": 0.0,
    "executions_in_window": 0,
    "messages_in_window": 0,
    "unanswered_ms": 0.0,
    "crossed_ms": 0.0,
    "frozen_ms": 10.0,
    "gap_age_ms": 9000.0,
    "jump_bps": 1.0,
    "jump_noise": 0.1,
    "realized_vol_5m": 80.0,
    "volatility_pause_until_ms": 0,
    "typical_order_size": 1.0,
    "other_net_exposure_usd": 0.0,
    "reserved_exposure_usd": 1.0,
    "reserved_open_orders": 1,
}
SIX = {"now_ms", "last_event_ts_ms", "depth", "spread_bps", "current_total_exposure_usd", "abs_inventory"}
REQUIRED = {
    *("now_ms", "last_event_ts_ms", "depth", "spread_bps", "current_total_exposure_usd", "abs_inventory"),
    *("spread_ticks", "open_orders"),  # once their rows are on
    *("mid", "equity_usd", "other_net_exposure_usd"),
    *("open_buy", "open_sell"),  # untold, own orders may be in the way
}
NO_TERMS_NEEDED = {"mid", "equity_usd", "open_buy", "open_sell"}
"""While nothing is at risk and no order is named, these say nothing."""
MISSING = object()
NEVER = [
    math.nan,
    math.inf,
    -math.inf,
    None,
    "1",
    np.float64("nan"),
    np.float32("nan"),
    np.array([1.0, 2.0]),
    np.datetime64("2024-01-01"),
    b"1",
    [1.0],
    {},
    1j,
    10**400,
]
"""Values that no input of any kind can have."""
HARMLESS_WHEN_HUGE = {
    *("depth", "depth_p10_5m", "equity_usd", "daily_realized_pnl_usd", "steps_in_window", "tp_ticks"),
    *("gap_age_ms", "typical_order_size"),
    "ask",  # asked only of an order that takes
}
ACTS = [
    Proposal(action=Action.ACT, confidence=0.9, params={"bid": 0.49, "ask": 0.51, "size": 1.0}),
    Proposal(
        action=Action.ACT, confidence=0.9, params={"orders": [{"side": "buy", "price": 0.49, "size": 1.0}]}
    ),
    Proposal(action=Action.ACT, confidence=0.9, params={"side": "sell", "size": 1.0}),
    Proposal(action=Action.ACT, confidence=0.9, params={"value": 0.5}),
    Proposal(action=Action.ACT, confidence=0.9),
]


@pytest.fixture(autouse=True, scope="module")
def _no_private_hook():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(modulator, "_hook", lambda: None)
        yield


def with_bad(*changes):
    context = dict(GOOD)
    for key, bad in changes:
        if bad is MISSING:
            context.pop(key, None)
        else:
            context[key] = bad
    return context


# ---------------------------------------------------------------- no proof, no ACT


@pytest.mark.parametrize("proposal", ACTS, ids=range(len(ACTS)))
def test_the_good_context_acts(proposal):
    final, mismatch = modulate(proposal, ALL_ON, GOOD)
    assert (final.action, mismatch.flags) == (Action.ACT, [])
    assert "off" not in {row.verdict for row in mismatch.guards}


@pytest.mark.parametrize("key", GOOD)
def test_no_act_with_a_value_that_cannot_be(key):
    for proposal, bad in itertools.product(ACTS, NEVER):
        final, mismatch = modulate(proposal, ALL_ON, with_bad((key, bad)))
        assert final.action is not Action.ACT, (key, bad)
        assert not final.allowed
        assert final.reasons == mismatch.reason_codes
        assert mismatch.reason_codes[0].startswith("invalid_guard_input:")


@pytest.mark.parametrize("key", GOOD)
def test_missing_true_and_huge(key):
    for proposal in ACTS:
        final, _ = modulate(proposal, ALL_ON, with_bad((key, MISSING)))
        may = key not in REQUIRED or (key in NO_TERMS_NEEDED and proposal in ACTS[-2:])
        assert (final.action is Action.ACT) == may, key

        final, _ = modulate(proposal, ALL_ON, with_bad((key, True)))
        assert final.action is (Action.STOP if key == "ops_deny_actions" else Action.HOLD), key

        huge, _ = modulate(proposal, ALL_ON, with_bad((key, 1e308)))
        # While nothing is at risk and no order is named, no price matters.
        may = key in HARMLESS_WHEN_HUGE or (key == "mid" and proposal in ACTS[-2:])
        # A huge multiplier shrinks the sizes to next to nothing; long elsewhere, a sale is a hedge.
        if key not in ("multiplier", "other_net_exposure_usd"):
            assert (huge.action is Action.ACT) == may, key


def test_no_act_with_any_pair_of_bad_values():
    """A second bad value never repairs the first."""
    bads = [math.nan, None, MISSING, "1", 1e308]
    for one, other in itertools.permutations(GOOD, 2):
        for bad, second in itertools.product([math.nan, MISSING], bads):
            if bad is not MISSING or one in REQUIRED:
                final, _ = modulate(ACTS[1], ALL_ON, with_bad((one, bad), (other, second)))
                assert final.action is not Action.ACT, (one, bad, other, second)


@pytest.mark.parametrize("key", ["own_bid", "own_ask", "tick"])
def test_own_orders_that_cannot_be_read_refuse(key):
    """They are asked for while own orders work; what is given as something else refuses in any case."""
    working = {**GOOD, "open_buy": 1.0, "open_sell": 1.0, "own_bid": 0.4, "own_ask": 0.6, "tick": 0.01}
    assert modulate(ACTS[0], ALL_ON, working)[0].action is Action.ACT
    for bad in NEVER:
        for proposal in ACTS:
            final, mismatch = modulate(proposal, ALL_ON, {**working, key: bad})
            assert final.action is Action.HOLD, bad
            assert mismatch.reason_codes[0].startswith("invalid_guard_input:own_")
    told = {name: value for name, value in working.items() if name != key}
    final, mismatch = modulate(ACTS[0], ALL_ON, told)
    left = {"own_bid": {"bid"}, "own_ask": {"ask"}, "tick": {"bid", "ask"}}[key]
    assert set(final.params) & {"bid", "ask"} == left
    assert mismatch.reason_codes == ([] if key == "tick" else [f"missing_input:{key}"])


def test_numbers_of_numpy_are_numbers():
    context = {
        key: np.float32(value)
        if isinstance(value, float)
        else np.int64(value)
        if type(value) is int
        else value
        for key, value in GOOD.items()
    }
    assert modulate(ACTS[0], ALL_ON, {**context, "ops_deny_actions": np.False_})[0].action is Action.ACT
    assert modulate(ACTS[0], ALL_ON, {**context, "ops_deny_actions": np.True_})[0].action is Action.STOP
    assert modulate(ACTS[0], ALL_ON, {**context, "depth": np.array(100.0)})[0].action is Action.ACT


# ---------------------------------------------------------------- never raises


class Raises(Mapping):
    """A mapping that raises at a chosen call."""

    def __init__(self, data, fails):
        self.data, self.fails, self.calls = data, fails, 0

    def _call(self):
        self.calls += 1
        if self.calls >= self.fails:
            raise (KeyError, ValueError, RuntimeError, ZeroDivisionError)[self.fails % 4]("no")

    def __getitem__(self, key):
        self._call()
        return self.data[key]

    def __iter__(self):
        self._call()
        return iter(self.data)

    def __len__(self):
        self._call()
        return len(self.data)


class Nasty:
    """A value whose every use raises."""

    def _raise(self, *args):
        raise RuntimeError("no")

    __eq__ = __lt__ = __le__ = __gt__ = __ge__ = __float__ = __int__ = __bool__ = __str__ = __repr__ = _raise
    __hash__ = None
    item = shape = property(_raise)


class NastyFloat(float):
    def __float__(self):
        raise RuntimeError("no")


anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.complex_numbers(),
    st.builds(Nasty),
    st.builds(NastyFloat),
    st.lists(st.integers(), max_size=2),
    st.sampled_from(
        [object(), Ellipsis, np.nan, np.float32(1), np.array([1, 2]), {"a": 1}, Fraction(1, 3), int]
    ),
)


@given(st.integers(1, 60))
def test_a_mapping_that_raises_refuses(fails):
    final, _ = modulate(ACTS[0], ALL_ON, Raises(GOOD, fails))
    reads = 1 + len(GOOD)
    assert (final.action is Action.ACT) == (fails > reads)


@given(
    st.one_of(
        anything, st.dictionaries(st.one_of(st.sampled_from(sorted(GOOD)), st.text(max_size=3)), anything)
    ),
    st.sampled_from(ACTS),
)
def test_no_context_makes_it_raise_or_act(context, proposal):
    final, mismatch = modulate(proposal, RiskPolicy(), context)
    assert isinstance(final, FinalDecision)
    assert isinstance(mismatch, MismatchInfo)
    if not (isinstance(context, dict) and context.keys() >= SIX):
        assert final.action is not Action.ACT
    if isinstance(context, dict):
        assert (
            modulate(proposal, RiskPolicy(), {**GOOD, "ops_state": Nasty(), **context})[0].action is not None
        )


@given(
    st.dictionaries(
        st.sampled_from(["orders", "bid", "ask", "size", "bid_size", "side", "price", "x"]), anything
    )
)
def test_no_params_make_it_raise(params):
    proposal = Proposal(action=Action.ACT, confidence=0.5, params=params)
    final, _ = modulate(proposal, RiskPolicy(), GOOD)
    named = params.get("bid") is not None or params.get("ask") is not None or params.get("side") is not None
    if final.action is Action.ACT and named and "orders" not in params:
        assert isinstance(
            final.params.get("size", final.params.get("bid_size")), int | float | Fraction | np.number
        )


# ---------------------------------------------------------------- random states

units = st.one_of(st.sampled_from([0.0, 0.1, 1.0, 5.0, 9.9, 10.0]), st.integers(0, 200).map(lambda n: n / 10))
signed = st.tuples(units, st.sampled_from([1, -1])).map(lambda pair: pair[0] * pair[1])
prices = st.integers(1, 99).map(lambda n: n / 100)


@st.composite
def states(draw):
    """A context near its limits, now and then with something missing or broken."""
    inventory = draw(signed)
    mid = draw(prices)
    kind = draw(st.sampled_from(["linear", "binary"]))
    part = abs(inventory) * unit_loss(kind == "binary", 1.0, inventory > 0, mid)
    context = {
        **GOOD,
        "inventory": inventory,
        "abs_inventory": abs(inventory),
        "open_buy": draw(units),
        "open_sell": draw(units),
        "open_orders": draw(st.integers(0, 12)),
        "mid": mid,
        "bid": max(0.005, mid - 0.01),
        "ask": mid + 0.01,
        "kind": kind,
        "current_market_exposure_usd": part,
        "current_total_exposure_usd": part + draw(st.sampled_from([0.0, 1.0, 5.0, 9.0])),
        "spread_bps": draw(st.sampled_from([1.0, 400.0, 500.0, 501.0])),
        "depth": draw(st.sampled_from([0.5, 1.0, 100.0])),
        "adverse_15_ticks": draw(st.sampled_from([0.0, 1.0, 1.5])),
        "daily_realized_pnl_usd": draw(st.sampled_from([0.0, -2.0, -2.5])),
        "cost_ticks": draw(st.sampled_from([0.0, 1.0, 2.0, 2.5])),
        "other_net_exposure_usd": draw(st.sampled_from([0.0, 1.5, -1.5])),
        "reserved_exposure_usd": draw(st.sampled_from([0.0, 0.0, 4.0])),
        "messages_in_window": draw(st.integers(0, 6)),
        "executions_in_window": draw(st.integers(0, 6)),
        "jump_bps": draw(st.sampled_from([0.0, 4.0, 6.0])),
        "own_bid": draw(prices),
        "own_ask": draw(prices),
    }
    for key in draw(st.lists(st.sampled_from(sorted(GOOD)), max_size=2)):
        bad = draw(st.sampled_from([math.nan, None, MISSING, MISSING, MISSING]))
        if bad is MISSING:
            context.pop(key, None)
        else:
            context[key] = bad
            break
    return context


policies = st.builds(
    RiskPolicy,
    max_abs_inventory=st.sampled_from([0.0, 1.0, 5.0, 10.0, 30.0]),
    max_per_market_usd=st.sampled_from([0.0, 1.0, 5.0, 30.0]),
    max_total_exposure_usd=st.sampled_from([1.0, 10.0, 30.0]),
    max_open_orders=st.sampled_from([0, 1, 5]),
    min_order_usd=st.sampled_from([0.0, 0.5]),
    max_spread_bps=st.sampled_from([100.0, 500.0]),
    min_depth=st.sampled_from([0.0, 1.0]),
    adv15_max_ticks=st.sampled_from([0.0, 1.0]),
    max_long=st.sampled_from([0.0, 2.0]),
    max_short=st.sampled_from([0.0, 2.0]),
    max_net_exposure_usd=st.sampled_from([0.0, 2.0]),
    max_leverage=st.sampled_from([0.0, 0.05]),
    max_concentration=st.sampled_from([0.0, 0.02]),
    max_order_usd=st.sampled_from([0.0, 1.0]),
    max_order_size=st.sampled_from([0.0, 3.0]),
    price_collar_bps=st.sampled_from([0.0, 1000.0]),
    self_trade_min_ticks=st.sampled_from([0.0, 1.0]),
    fat_finger_multiple=st.sampled_from([0.0, 2.0]),
    max_messages=st.sampled_from([0, 5]),
    max_executions=st.sampled_from([0, 5]),
    max_jump_bps=st.sampled_from([0.0, 5.0]),
)


@st.composite
def wanted(draw, most=5):
    places = draw(
        st.lists(st.tuples(st.sampled_from(["buy", "sell"]), st.integers(0, 15)), max_size=most, unique=True)
    )
    orders = [
        {
            "side": side,
            "level": level,
            "size": draw(units) + 0.1,
            **draw(st.sampled_from([{}, {"price": draw(prices)}])),
        }
        for side, level in places
    ]
    return Proposal(action=Action.ACT, confidence=0.5, params={"orders": orders, "tag": 1})


def place(order):
    return order["side"], order["level"]


@given(wanted(), policies, states())
def test_never_wider(proposal, policy, context):
    """What goes out is some of what was wanted, each at its price and at most at its size."""
    final, _ = modulate(proposal, policy, context)
    before = {place(order): order for order in proposal.params["orders"]}
    for order in final.params.get("orders", []):
        given_order = before[place(order)]
        assert 0.0 < order["size"] <= given_order["size"]
        assert order.get("price") == given_order.get("price")
    assert final.params["tag"] == 1
    assert set(final.params) <= {"orders", "tag"}


@given(st.sampled_from([a for a in Action if a is not Action.ACT]), policies, states())
def test_never_an_act_of_another_proposal_and_never_milder(action, policy, context):
    final, _ = modulate(Proposal(action=action, confidence=0.5), policy, context)
    severities = list(Action)
    assert severities.index(final.action) >= severities.index(action)


@given(wanted(), policies, states())
def test_equal_inputs_give_equal_outputs(proposal, policy, context):
    assert modulate(proposal, policy, context) == modulate(proposal, policy, dict(reversed(context.items())))


@given(wanted(), policies, states())
def test_no_fills_break_a_limit_and_reductions_pass(proposal, policy, context):
    """Whatever subset fills: beyond the limits only reductions went out; and every reduction did."""
    final, _ = modulate(proposal, policy, context)
    seen = read_context(context, policy)
    known = seen.signed and seen.opens_known and not math.isnan(seen.inventory + seen.mid)
    if final.action is not Action.ACT or not known:
        return
    position = Fraction(seen.inventory)
    ways = {"buy": (1, Fraction(seen.open_buy)), "sell": (-1, Fraction(seen.open_sell))}
    touch = {"buy": seen.ask, "sell": seen.bid}
    out = {place(order): order for order in final.params["orders"]}
    slack = Fraction(1, 10**8)
    for side, (sign, working) in ways.items():
        worst = sign * position + working  # units on this side of zero, all working filled
        dearest = [seen.mid]
        for order in proposal.params["orders"]:
            if order["side"] != side:
                continue
            size = Fraction(order["size"])
            if worst + size <= 0:  # cannot flip: must be let through whole
                assert out[place(order)]["size"] == order["size"]
            if place(order) not in out:
                continue
            price = order.get("price", touch[side])
            dearest.append(seen.mid if math.isnan(price) else price)
            worst += Fraction(out[place(order)]["size"])
            if worst > slack:
                loss = max(Fraction(unit_loss(seen.is_binary, 1.0, side == "buy", p)) for p in dearest)
                assert worst <= Fraction(policy.max_abs_inventory) * (1 + slack)
                assert worst * loss <= Fraction(policy.max_per_market_usd) * (1 + slack)
                assert Fraction(seen.other_exposure) + worst * loss <= Fraction(
                    policy.max_total_exposure_usd
                ) * (1 + slack)


# ---------------------------------------------------------------- tighter policies

FIELDS = sorted(name for name, way in TIGHTER.items() if way != "none" and "cooldown" not in name)
values = st.sampled_from([0, 0.05, 0.5, 1, 2, 3, 5, 10, 100, 400, 500, 900])


@st.composite
def tightened(draw):
    """A policy and the same with one field tighter."""
    policy = draw(st.one_of(st.just(ALL_ON), policies))
    name = draw(st.sampled_from(FIELDS))
    value = draw(values)
    if not is_tighter(name, getattr(policy, name), value):
        return policy, policy
    return policy, msgspec.structs.replace(policy, **{name: value})


@given(wanted(most=1), tightened(), states())
@settings(max_examples=300)
def test_tightening_one_limit_never_lets_more_through(proposal, pair, context):
    policy, tighter = pair
    loose, loose_info = modulate(proposal, policy, context)
    tight, tight_info = modulate(proposal, tighter, context)
    severities = list(Action)
    assert severities.index(tight.action) >= severities.index(loose.action)
    if tight.action is Action.ACT:
        for mine, other in zip(tight.params["orders"], loose.params["orders"], strict=True):
            assert mine["size"] <= other["size"] * (1 + 1e-12)
    for mine, other in zip(tight_info.guards[: len(MARKET_ROWS)], loose_info.guards, strict=False):
        if other.verdict in ("breach", "unknown"):
            assert mine.verdict in ("breach", "unknown"), mine.name


@given(wanted(), tightened(), states())
def test_tightening_one_limit_never_makes_an_act(proposal, pair, context):
    """Of many orders, too: a smaller first one may leave room to the second, but never from nothing."""
    policy, tighter = pair
    loose, _ = modulate(proposal, policy, context)
    tight, _ = modulate(proposal, tighter, context)
    severities = list(Action)
    assert severities.index(tight.action) >= severities.index(loose.action)


# ---------------------------------------------------------------- all rows, every step


@given(st.sampled_from([*ACTS, *(Proposal(action=a, confidence=0.5) for a in Action)]), policies, states())
def test_all_rows_are_judged_whatever_the_proposal(proposal, policy, context):
    final, mismatch = modulate(proposal, policy, context)
    rows = [row for row in mismatch.guards if row.leg is None]
    assert len(rows) == len(MARKET_ROWS)
    assert {row.name for row in mismatch.guards if row.refuses} <= set(mismatch.flags)
    assert bool(mismatch.reason_codes) == any(row.refuses for row in mismatch.guards)
    assert len(MARKET_ROWS) <= N_GUARDS
    if final.action is Action.ACT and "orders" not in proposal.params and not proposal.params:
        assert all(row.verdict in ("pass", "off", "not_evaluated") for row in rows)


def test_a_fresh_context_proves_nothing():
    assert math.isnan(GuardContext().inventory)
    assert Leg(side=1, price=0.5, size=1.0).allowed == 0
