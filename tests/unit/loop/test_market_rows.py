"""Cells of columns side by side: as records for compiled code, as a list for the interpreted twin."""

import math

import numpy as np
import pytest

from ami_engine.kernels.admission import MarketRow
from ami_engine.loop.columns import chunks_of, read_columns
from ami_engine.loop.market_rows import CHUNK, MarketRows
from dmc_core.layout import read_record

FIELDS = MarketRow.__slots__


def bits(row):
    return [value if value == value else "nan" for value in (getattr(row, name) for name in FIELDS)]


def rows_of(loader, columns, first, last):
    rows = loader.load(columns, first, last)
    if isinstance(rows, list):
        return [bits(row) for row in rows]
    found = []
    for i in range(last - first):
        row = MarketRow()
        read_record(rows[i], row)
        found.append(bits(row))
    return found


@pytest.mark.parametrize("fast", [False, True])
def test_a_row_holds_the_cells_of_its_columns(fast):
    columns = read_columns(
        {
            "ts_ns": [5, 6],
            "bid": [0.4, math.nan],
            "ask": [0.5, 0.6],
            "trade_side": [1, -1],
            "market_id": ["A", "B"],
        }
    )
    loader = MarketRows(fast=fast)
    wanted = [
        bits(MarketRow(feed=0, ts_ns=5, bid=0.4, ask=0.5, trade_side=1)),
        bits(MarketRow(feed=1, ts_ns=6, ask=0.6, trade_side=-1)),
    ]
    assert rows_of(loader, columns, 0, 2) == wanted
    assert rows_of(loader, columns, 1, 2) == wanted[1:]


@pytest.mark.parametrize("fast", [False, True])
def test_a_column_that_is_missing_in_the_next_data_is_absent(fast):
    loader = MarketRows(fast=fast)
    full = {"ts_ns": [5], "bid": [0.4], "ask": [0.5], "depth": [7.0], "seq": [9]}
    assert rows_of(loader, read_columns(full), 0, 1) == [
        bits(MarketRow(ts_ns=5, bid=0.4, ask=0.5, depth=7.0, seq=9))
    ]
    short = {"ts_ns": [6], "mid": [0.45]}
    assert rows_of(loader, read_columns(short), 0, 1) == [bits(MarketRow(ts_ns=6, mid=0.45))]


def test_both_forms_hold_the_same():
    rng = np.random.default_rng(1)
    n = CHUNK + 100
    data = {"ts_ns": np.arange(n), "bid": rng.random(n), "ask": np.where(rng.random(n) < 0.5, 1.0, np.nan)}
    (columns,) = chunks_of(data)
    slow, quick = MarketRows(fast=False), MarketRows(fast=True)
    for first, last in ((0, CHUNK), (CHUNK, n)):
        assert rows_of(slow, columns, first, last) == rows_of(quick, columns, first, last)
