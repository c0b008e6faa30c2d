"""Spread captured, adverse selection and inventory in cases computed by hand."""

import math

import pytest

from ami_engine.kernels.costs import (
    MAKER,
    TAKER,
    UNSAID,
    CostState,
    inventory_pnl,
    position_pnl,
    record_cost,
    see_mid,
    spread_captured,
)
from ami_engine.kernels.markouts import HORIZON_60, MAX_PENDING, MarkoutState, advance_markouts, record_fill
from decision_schema.reasons import OK, TOO_MANY_MARKOUTS

NAN = math.nan
SECOND = 10**9
BUY, SELL = 1, -1


@pytest.mark.parametrize(
    ("mid", "side", "price", "amount", "captured", "against"),
    [
        (10.0, BUY, 9.5, 2.0, 1.0, 10.0),
        (10.0, SELL, 10.5, 2.0, 1.0, 10.0),
        (10.0, BUY, 10.5, 2.0, -1.0, 10.0),
        (10.0, SELL, 9.5, 2.0, -1.0, 10.0),
        (10.0, BUY, 10.0, 2.0, 0.0, 10.0),
        (10.0, BUY, 9.5, 0.25, 0.125, 10.0),
        (NAN, BUY, 9.5, 2.0, 0.0, 9.5),
        (NAN, SELL, 9.5, 2.0, 0.0, 9.5),
    ],
    ids=[
        "bid is hit", "ask is lifted", "buys at the ask", "sells at the bid", "at the mid", "a quarter of a unit",
        "buys before any mid", "sells before any mid",
    ],
)  # fmt: skip
def test_what_a_fill_captures(mid, side, price, amount, captured, against):
    k = CostState(mid=mid)
    assert record_cost(k, MAKER, side, 3, amount, price, 0.5) == against
    assert k.captured == [captured, 0.0, 0.0]
    assert (k.fills, k.lots) == ([1, 0, 0], [3, 0, 0])
    assert (k.value, k.fees) == ([price * amount, 0.0, 0.0], [0.5, 0.0, 0.0])
    assert k.unpriced == (1 if math.isnan(mid) else 0)


def test_makers_takers_and_those_of_whom_nothing_is_said_are_apart():
    k = CostState(mid=10.0)
    record_cost(k, MAKER, BUY, 1, 1.0, 9.0, -0.25)
    record_cost(k, TAKER, SELL, 2, 2.0, 9.5, 0.5)
    record_cost(k, UNSAID, BUY, 4, 4.0, 9.75, 0.125)
    assert k.captured == [1.0, -1.0, 1.0]
    assert (k.lots, k.fees) == ([1, 2, 4], [-0.25, 0.5, 0.125])
    assert spread_captured(k) == 1.0


def test_the_mid_is_the_last_valid_one_before_the_end_of_the_market():
    k = CostState()
    for mid, settled, kept in ((NAN, 0, NAN), (5.0, 0, 5.0), (NAN, 0, 5.0), (6.0, 0, 6.0), (7.0, 1, 6.0)):
        see_mid(k, mid, settled)
        assert k.mid == pytest.approx(kept, nan_ok=True, abs=0.0)


def test_money_at_each_horizon_is_weighted_by_size_and_falls_into_captured_and_adverse():
    """Buy 2 at 9.5 and sell 1 at 10.5 around 10; the mid is 9.75 after 1 s, 9 after 5, 10.5 after 60."""
    k = MarkoutState()
    assert record_fill(k, 9.5, BUY, 0, 2.0, 10.0) == OK
    assert record_fill(k, 10.5, SELL, 0, 1.0, 10.0) == OK
    for seconds, mid in ((1, 9.75), (5, 9.0), (15, NAN), (60, 10.5)):
        advance_markouts(k, seconds * SECOND, mid, 1, 4)
    assert k.money == [2 * 0.25 + 0.75, 2 * -0.5 + 1.5, 2.0, 2.0]  # 15 s waited for the next mid
    assert k.adverse == [0.25, 1.0, -0.5, -0.5]
    assert [money + lost for money, lost in zip(k.money, k.adverse, strict=True)] == [1.5] * 4
    assert [total / done for total, done in zip(k.total, k.done, strict=True)] == [2.0, 2.0, 2.0, 2.0]


@pytest.mark.parametrize(
    ("now_ns", "done"),
    [
        (SECOND - 1, [0, 0, 0, 0]),
        (SECOND, [1, 0, 0, 0]),
        (5 * SECOND, [1, 1, 0, 0]),
        (60 * SECOND - 1, [1, 1, 1, 0]),
        (60 * SECOND, [1, 1, 1, 1]),
    ],
)
def test_a_fill_is_resolved_at_its_horizon(now_ns, done):
    k = MarkoutState()
    record_fill(k, 10.0, BUY, 0, 4.0, 10.0)
    advance_markouts(k, now_ns, 9.0, 1, 1)
    assert k.done == done
    assert k.adverse == [4.0 * at for at in done]


def test_a_mid_that_is_not_given_is_the_price_and_no_amount_is_no_money():
    k = MarkoutState()
    record_fill(k, 10.0, BUY, 0, 4.0, NAN)
    record_fill(k, 10.0, BUY, 0, 0.0, NAN)
    advance_markouts(k, SECOND, 9.0, 1, 1)
    assert (k.money[0], k.adverse[0], k.total[0]) == (-4.0, 4.0, -2.0)


def test_fills_beyond_the_capacity_have_no_markout_but_capture_all_the_same():
    k, m = CostState(mid=10.0), MarkoutState()
    said = [
        record_fill(m, 9.5, BUY, 0, 1.0, record_cost(k, MAKER, BUY, 1, 1.0, 9.5, 0.0))
        for _ in range(MAX_PENDING + 2)
    ]
    assert said == [OK] * MAX_PENDING + [TOO_MANY_MARKOUTS] * 2
    advance_markouts(m, 60 * SECOND, 9.75, 1, 4)
    assert (m.untracked, k.fills[MAKER], spread_captured(k)) == (2, MAX_PENDING + 2, 0.5 * (MAX_PENDING + 2))
    assert m.adverse == [0.25 * MAX_PENDING] * 4
    # At a mark of 9.75 all is unrealised: 0.25 each. The two without a markout are inventory.
    moved = position_pnl(0.0, 0.25 * (MAX_PENDING + 2), spread_captured(k))
    assert inventory_pnl(moved, m.adverse[HORIZON_60]) == -0.5
