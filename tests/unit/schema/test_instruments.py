"""The grid of an instrument: exact prices, and rounding that is never aggressive."""

import math
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from decision_schema.errors import ContractError
from decision_schema.instruments import (
    DEFAULT_INSTRUMENT,
    Instrument,
    ceil_steps,
    floor_steps,
    parse_step,
    price_of,
    steps_of,
    unit_loss,
)

GRIDS = [
    "0.01",
    "0.1",
    "0.05",
    "0.25",
    "0.00000001",
    "1e-8",
    "0.5",
    "1",
    "5",
    "0.000000000001",
    "1000000000000",
]
grids = st.sampled_from(GRIDS)
counts = st.one_of(st.integers(-1000, 1000), st.integers(-(10**6), 10**6), st.integers(-(2**49), 2**49))


@pytest.mark.parametrize(
    ("text", "fraction"),
    [
        ("0.01", (1, 100)),
        ("0.05", (1, 20)),
        ("0.25", (1, 4)),
        ("1e-8", (1, 10**8)),
        ("2.50", (5, 2)),
        ("1", (1, 1)),
    ],
)
def test_steps_are_exact(text, fraction):
    assert parse_step(text, "tick_size") == fraction


@pytest.mark.parametrize("text", ["", "abc", "1/3", "nan", "inf", "-inf", "sNaN", None, 0.01, 5, b"1", ["1"]])
def test_no_decimal(text):
    with pytest.raises(ContractError, match=r"tick_size is .*: give a decimal string"):
        parse_step(text, "tick_size")


@pytest.mark.parametrize("text", ["0", "-0.01", "1e-13", "1e13", "0.0000000000001", "1.0000000000001"])
@pytest.mark.parametrize("huge", ["", "e-999999999", "e999999999"])
def test_steps_out_of_bounds(text, huge):
    """A step with an absurd exponent is refused at once, too."""
    text = text.partition("e")[0] + huge if huge else text
    with pytest.raises(ContractError, match=r"lot_size is .*: give a step between 1e-12 and 1e12"):
        parse_step(text, "lot_size")


@given(counts, grids)
@example(57, "0.01")
@example(2**49 - 1, "0.00000001")
def test_a_price_is_the_float_nearest_to_the_decimal(ticks, grid):
    num, den = parse_step(grid, "tick_size")
    assert price_of(ticks, num, den) == float(Fraction(ticks) * Fraction(grid))


@given(counts, grids)
@example(506_620_316_190, "0.01")  # floats 1e-4 of a step below and above
@example(875_299_414_479, "0.01")
def test_a_price_on_the_grid_stays(ticks, grid):
    num, den = parse_step(grid, "tick_size")
    price = price_of(ticks, num, den)
    assert floor_steps(price, num, den) == ceil_steps(price, num, den) == ticks
    assert steps_of(price, num, den) == pytest.approx(ticks, rel=1e-15)


@given(st.integers(-(10**8), 10**8), st.integers(2, 10**6 - 2), grids)
def test_off_the_grid_a_buy_goes_down_and_a_sale_up(ticks, millionths, grid):
    num, den = parse_step(grid, "tick_size")
    price = float((Fraction(ticks) + Fraction(millionths, 10**6)) * Fraction(grid))
    assert (floor_steps(price, num, den), ceil_steps(price, num, den)) == (ticks, ticks + 1)


@pytest.mark.parametrize(
    ("steps", "down", "up"),
    [
        (10.0000009, 10, 10),  # within 1e-6 of the grid
        (9.9999991, 10, 10),
        (10.0000011, 10, 11),
        (9.9999989, 9, 10),
        (-10.0000009, -10, -10),
        (-10.5, -11, -10),
        (0.0, 0, 0),
        (2.0**53, 2**53, 2**53),
        (2.0**51 - 0.5, 2**51 - 1, 2**51),
    ],
)
def test_the_tolerance_of_the_grid(steps, down, up):
    assert (floor_steps(steps, 1, 1), ceil_steps(steps, 1, 1)) == (down, up)


@given(st.floats(0, 2.0**53), grids)
def test_rounding_moves_less_than_a_step(value, grid):
    num, den = parse_step(grid, "lot_size")
    steps = Fraction(value) / Fraction(grid)
    if steps <= 2**53:
        slack = Fraction(1, 10**6) + steps * Fraction(1, 2**50)
        assert steps - 1 - slack < floor_steps(value, num, den) <= steps + slack
        assert steps - slack <= ceil_steps(value, num, den) < steps + 1 + slack


@pytest.mark.parametrize(
    ("size", "lots"), [(0.3, 3), (0.1 + 0.2, 3), (0.39, 3), (0.29999, 2), (0.0, 0), (0.09, 0)]
)
def test_sizes_go_down(size, lots):
    assert Instrument(lot_size="0.1").lots(size) == lots


@pytest.mark.parametrize(
    ("lot_size", "min_size", "least"),
    [("1", 0.0, 1), ("0.1", 0.3, 3), ("0.1", 0.31, 4), ("0.25", 1, 4), ("5", 3, 1)],
)
def test_the_least_order_in_lots(lot_size, min_size, least):
    instrument = Instrument(lot_size=lot_size, min_size=min_size)
    assert instrument.min_lots == least
    assert instrument.size(least) >= min_size - 1e-6
    assert instrument.lots(instrument.size(least)) == least


def test_of_an_instrument():
    instrument = Instrument(market_id="ES", tick_size="0.25", lot_size="1", multiplier=50)
    assert (instrument.tick, instrument.lot, instrument.price(20_001)) == ((1, 4), (1, 1), 5000.25)
    assert DEFAULT_INSTRUMENT.tick == (1, 100)


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({}, (0.0, 1.0)),
        ({"price_max": 100}, (0.0, 1.0)),
        ({"price_min": -1}, (0.0, 1.0)),
        ({"price_min": 0.1, "price_max": 0.9}, (0.1, 0.9)),
    ],
)
def test_a_binary_market_lies_between_0_and_1(bounds, expected):
    instrument = Instrument(kind="binary", **bounds)
    assert (instrument.price_min, instrument.price_max) == expected
    assert Instrument().price_max == math.inf


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", "future"),
        ("short", True),
        ("tick_size", "0"),
        ("lot_size", 0.1),
        ("min_size", -1.0),
        ("min_size", math.nan),
        ("min_notional", math.inf),
        ("maker_fee", 1.0),
        ("maker_fee", math.nan),
        ("taker_fee", -1.0),
        ("multiplier", 0.0),
        ("multiplier", math.nan),
        ("price_min", math.inf),
        ("price_min", math.nan),
        ("price_max", 0.0),
        ("price_max", math.nan),
    ],
)
@pytest.mark.parametrize("kind", ["linear", "binary"])
def test_what_makes_no_sense(field, value, kind):
    with pytest.raises(ContractError, match=field):
        Instrument(**{"kind": kind, field: value})


def test_binary_bounds_that_leave_nothing():
    for bounds in ({"price_min": 2.0}, {"price_min": 1.0}, {"price_max": -1.0}):
        with pytest.raises(ContractError, match="price_m"):
            Instrument(kind="binary", **bounds)


@pytest.mark.parametrize(
    ("is_binary", "multiplier", "long", "price", "loss"),
    [
        (False, 1.0, True, 10.0, 10.0),
        (False, 1.0, False, 10.0, 10.0),
        (False, 5.0, True, -2.0, 10.0),
        (True, 1.0, True, 0.25, 0.25),
        (True, 1.0, False, 0.25, 0.75),
        (True, 100.0, False, 0.25, 75.0),
        (True, 1.0, False, 1.5, 0.0),
        (True, 1.0, False, math.nan, math.nan),
        (True, 1.0, True, math.nan, math.nan),
        (False, 1.0, True, math.nan, math.nan),
    ],
)
def test_unit_loss(is_binary, multiplier, long, price, loss):
    assert unit_loss(is_binary, multiplier, long, price) == pytest.approx(loss, nan_ok=True, abs=0.0)
