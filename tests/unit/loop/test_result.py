"""The result of a batch run: the same from files and from memory."""

import sys

import polars as pl
import pytest

from ami_engine.execution.order_ids import client_order_id
from ami_engine.kernels.orders import REPLACE, SUBMIT
from ami_engine.kernels.rows import DecisionRow, FillRow, OrderRow
from ami_engine.loop.batch_files import RowFiles, RowMemory
from ami_engine.loop.result import BatchResult
from ami_engine.loop.row_frames import columns_of
from decision_schema.errors import ConfigError, ContractError, TraceError
from dmc_core.dmc.guards import GUARDS
from dmc_core.layout import array_of, layout_of

SUMMARY = {"run_id": "r<1>", "steps": 6, "ended": "exhausted", "final_equity": 1234.5678, "markets": {}}


def name_order(step, leg):
    return client_order_id(b"key", step, leg)


def rows():
    money = [(10.0, 0.0), (10.0, 0.0), (10.0, 0.5), (9.0, 0.5), (9.0, 0.5), (9.0, 0.5)]
    return {
        "decisions": array_of(
            [
                DecisionRow(step=i + 1, now_ns=i * 10, equity=equity, fees=fees, refusing=i)
                for i, (equity, fees) in enumerate(money)
            ]
        ),
        "fills": array_of([FillRow(step=3, order_step=2, order_leg=1, side=1, price=0.5, size=1.0)]),
        "orders": array_of(
            [
                OrderRow(step=2, op=SUBMIT, order_step=2, order_leg=1, side=1),
                OrderRow(step=3, op=REPLACE, order_step=3, order_leg=0, old_step=2, old_leg=1, side=1),
            ]
        ),
    }


@pytest.fixture(params=["memory", "files"])
def result(request, tmp_path):
    if request.param == "memory":
        memory = RowMemory(["M"])
        for table, array in rows().items():
            memory.append(table, columns_of(array))
        return BatchResult(SUMMARY, rows=memory, name_order=name_order)
    run_dir = tmp_path / "runs [x]*" / "r"  # a path with signs that mean something in patterns
    with RowFiles(run_dir, ["M"], part_rows=4) as files:
        for table, array in rows().items():
            files.append(table, columns_of(array))
    return BatchResult(SUMMARY, run_dir=run_dir, name_order=name_order)


def test_frames_hold_the_rows(result):
    assert result.decisions["step"].to_list() == [1, 2, 3, 4, 5, 6]
    assert result.decisions["market_id"].to_list() == ["M"] * 6
    assert result.fills.select("side", "price", "liquidity").rows() == [("buy", 0.5, "maker")]
    assert result.orders["op"].to_list() == ["submit", "replace"]
    assert result.decisions is result.decisions
    assert hasattr(result.fills, "__arrow_c_stream__")


def test_equity_holds_the_first_step_the_last_and_each_change(result):
    assert result.equity.columns == [
        "step",
        "now_ns",
        "equity",
        "realized_pnl",
        "unrealized_pnl",
        "fees",
        "drawdown",
    ]
    assert result.equity.select("step", "equity", "fees").rows() == [
        (1, 10.0, 0.0), (3, 10.0, 0.5), (4, 9.0, 0.5), (6, 9.0, 0.5),
    ]  # fmt: skip


def test_orders_are_named_by_the_step_and_leg_that_sent_them(result):
    assert result.fills["client_order_id"].to_list() == [name_order(2, 1)]
    assert result.orders["client_order_id"].to_list() == [name_order(2, 1), name_order(3, 0)]
    assert result.orders["old_client_order_id"].to_list() == [None, name_order(2, 1)]


def test_ids_are_made_only_where_they_are_asked_for(result):
    result._name_order = lambda step, leg: 1 / 0
    assert result.scan("orders").select("step").collect()["step"].to_list() == [2, 3]
    result._name_order = None
    assert "client_order_id" not in result.orders.columns


def test_tables_are_scanned_lazily(result):
    lazy = result.scan("decisions")
    assert isinstance(lazy, pl.LazyFrame)
    assert lazy.filter(pl.col("step") > 4).select("equity").collect().rows() == [(9.0,), (9.0,)]
    assert isinstance(result.scan_equity(), pl.LazyFrame)
    with pytest.raises(ContractError, match="table 'fill' is unknown: give one of decisions, fills, orders"):
        result.scan("fill")


@pytest.mark.parametrize(("step", "bits"), [(1, ()), (2, (0,)), (3, (1,)), (6, (0, 2))])
def test_refusals_of_a_step(result, step, bits):
    assert result.refusals(step) == tuple(GUARDS[bit].name for bit in bits)


@pytest.mark.parametrize("step", [0, 7, -1])
def test_refusals_of_no_step(result, step):
    with pytest.raises(ContractError, match=f"step {step} is not in this run"):
        result.refusals(step)


def test_it_shows_itself_shortly(result):
    page = result._repr_html_()
    assert page.startswith("<table><tr><th>run_id</th><td>r&lt;1&gt;</td></tr>")
    assert "1,234.57" in page
    assert "markets" not in page
    assert repr(result).startswith("BatchResult(run_id='r<1>', steps=6")


def test_it_is_told_as_plain_values(result):
    told = result.to_dict()
    assert told == {**SUMMARY, "run_dir": None if result.run_dir is None else str(result.run_dir)}


def test_without_polars_rows_in_memory_can_be_read(result, monkeypatch):
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(ConfigError, match="needs polars"):
        _ = result.decisions
    if result.run_dir is None:
        assert result.arrays("decisions")["equity"].tolist() == [10.0, 10.0, 10.0, 9.0, 9.0, 9.0]
        assert result.refusals(6) == (GUARDS[0].name, GUARDS[2].name)
        with pytest.raises(ContractError, match="table 'x' is unknown"):
            result.arrays("x")
    else:
        with pytest.raises(ConfigError, match=r"rows of decisions are in .*: read \.decisions"):
            result.arrays("decisions")


def test_a_run_without_rows():
    result = BatchResult({}, rows=RowMemory(["M"]))
    assert result.equity.shape == (0, 7)
    assert result.decisions.shape == (0, len(layout_of(DecisionRow()).names))


def test_a_folder_without_parts(tmp_path):
    with pytest.raises(TraceError, match="has no decisions: give the folder of a finished batch run"):
        _ = BatchResult({}, run_dir=tmp_path).decisions


def test_a_result_of_nothing():
    with pytest.raises(ConfigError, match="neither rows nor run_dir"):
        BatchResult({})
