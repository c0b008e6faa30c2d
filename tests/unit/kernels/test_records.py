"""Sizes of what works at the broker: the floats of `price_of`, also where whole numbers would not fit 64 bits."""

import pytest

from ami_engine.kernels.orders import LIVE
from ami_engine.kernels.plan import MAX_STEPS
from ami_engine.kernels.records import new_cell, open_sizes
from decision_schema.instruments import Instrument, price_of
from dmc_core.jit import can_compile, compiled
from dmc_core.layout import array_of

LOTS = int(MAX_STEPS) - 1


def cell_with_orders(lot_size):
    cell = new_cell(0, Instrument(market_id="M", lot_size=lot_size), 10**9, can_cancel=True, can_replace=True)
    cell.orders.used = 4
    for slot, (side, lots, filled) in zip(
        cell.orders.slots, [(1, LOTS, 3), (-1, 7, 2), (1, 5, 0), (-1, LOTS, 0)], strict=False
    ):
        slot.status, slot.side, slot.lots, slot.filled_lots = LIVE, side, lots, filled
    return cell


LOT_SIZES = ["1000000000000", "0.999999999989", "999999999989", "0.001"]


@pytest.mark.parametrize("lot_size", LOT_SIZES)
def test_open_sizes_are_those_of_the_price_rule(lot_size):
    cell = cell_with_orders(lot_size)
    num, den = cell.market.lot_num, cell.market.lot_den
    assert open_sizes(cell) == (price_of(LOTS + 2, num, den), price_of(LOTS + 5, num, den))


@pytest.mark.skipif(not can_compile(), reason="numba is not installed: nothing to compare with")
def test_compiled_open_sizes_do_not_overflow():
    twin = compiled(open_sizes)
    for lot_size in LOT_SIZES:
        cell = cell_with_orders(lot_size)
        assert twin(array_of([cell])[0]) == open_sizes(cell)
