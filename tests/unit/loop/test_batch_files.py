"""Rows into Parquet parts: what goes in comes out, and whatever ends the run leaves valid parts."""

import math
import sys
import tempfile
from dataclasses import fields
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_engine.kernels.batch import BAD_FIELD, BAD_VALUE, GUARD_REASON, MODEL_REASON
from ami_engine.kernels.inputs import FIELDS
from ami_engine.kernels.orders import CANCEL, FOK, GTC, IOC, REPLACE, SUBMIT
from ami_engine.kernels.rows import DecisionRow, FillRow
from ami_engine.loop.batch_files import RowFiles, RowMemory
from ami_engine.loop.row_frames import ROW_KINDS, TABLES, columns_of, guard_names
from decision_schema import reasons
from decision_schema.errors import ConfigError, ContractError, RunExists, TraceError
from decision_schema.types import Action
from dmc_core.dmc.guards import GUARDS
from dmc_core.layout import array_of

MARKETS = ["A", "B"]
ROW = {guard.name: i for i, guard in enumerate(GUARDS)}


def decisions(n, **columns):
    rows = np.repeat(array_of([DecisionRow()]), n)
    rows["step"] = np.arange(1, n + 1)
    for name, values in columns.items():
        rows[name] = values
    return rows


def read(run_dir, table="decisions"):
    return pl.read_parquet(sorted((run_dir / table).glob("part-*.parquet")))


def parts(run_dir, table="decisions"):
    return sorted(file.name for file in (run_dir / table).iterdir())


def interrupted(files, rows, error):
    files.append("decisions", columns_of(rows))
    raise error


def shown(table, **values):
    """Give one row as it is read."""
    memory = RowMemory(MARKETS, model_reasons=["edge", "flat"])
    memory.append(table, columns_of(array_of([ROW_KINDS[table](**values)])))
    return memory.frame(table).row(0, named=True)


@pytest.mark.parametrize(
    ("table", "name", "value", "column", "read_as"),
    [
        ("decisions", "cell", 1, "market_id", "B"),
        ("decisions", "cell", -1, "market_id", None),
        ("decisions", "kind", 1, "kind", "timer"),
        ("decisions", "action", 4, "action", "STOP"),
        ("decisions", "proposed", 0, "proposed", "ACT"),
        ("decisions", "why", reasons.EXITING, "why", "exiting"),
        ("decisions", "bad", reasons.INVALID_BID, "bad", "invalid_input:bid"),
        ("decisions", "bad", 0, "bad", ""),
        ("decisions", "kept", reasons.QUOTE_KEPT, "kept", "quote_kept"),
        ("decisions", "why", len(reasons.NAMES) - 1, "why", reasons.NAMES[-1]),
        ("decisions", "reason", 1, "model_reason", "flat"),
        ("decisions", "reason", -1, "model_reason", ""),
        ("decisions", "flags", 0, "clamped", ""),
        ("decisions", "flags", 1, "clamped", "buy"),
        ("decisions", "flags", 2, "clamped", "sell"),
        ("decisions", "flags", 3, "clamped", "both"),
        ("decisions", "refusing", 0, "refusing", []),
        ("decisions", "refusing", 1 << 3 | 1, "refusing", [GUARDS[0].name, GUARDS[3].name]),
        ("decisions", "because", -1, "because", ""),
        ("decisions", "because", 0, "because", ""),
        ("decisions", "because", reasons.CROSSED_BOOK, "because", "crossed_book"),
        ("decisions", "because", BAD_FIELD + FIELDS.index("ask"), "because", "invalid_input:ask"),
        ("decisions", "because", BAD_VALUE, "because", "model_error:value"),
        ("decisions", "because", MODEL_REASON + 1, "because", "flat"),
        ("decisions", "because", GUARD_REASON + 4 * ROW["staleness"], "because", "staleness_exceeded"),
        ("decisions", "because", GUARD_REASON + 4 * ROW["depth"] + 1, "because", "missing_input:depth"),
        ("decisions", "bid", math.nan, "bid", None),
        ("decisions", "bid", math.inf, "bid", math.inf),
        ("decisions", "now_ns", 2**62 + 1, "now_ns", 2**62 + 1),
        ("fills", "side", 1, "side", "buy"),
        ("fills", "side", -1, "side", "sell"),
        ("fills", "side", 0, "side", ""),
        ("fills", "liquidity", 0, "liquidity", "maker"),
        ("fills", "liquidity", 1, "liquidity", "taker"),
        ("orders", "op", SUBMIT, "op", "submit"),
        ("orders", "op", REPLACE, "op", "replace"),
        ("orders", "op", CANCEL, "op", "cancel"),
        ("orders", "tif", GTC, "tif", "GTC"),
        ("orders", "tif", IOC, "tif", "IOC"),
        ("orders", "tif", FOK, "tif", "FOK"),
        ("orders", "post_only", 1, "post_only", True),
        ("orders", "old_step", -1, "old_step", -1),
    ],
)
def test_numbers_are_read_as_names(table, name, value, column, read_as):
    assert shown(table, **{name: value})[column] == read_as


def test_actions_are_ordered_by_severity():
    memory = RowMemory(MARKETS)
    memory.append("decisions", columns_of(decisions(5, action=range(5))))
    column = memory.frame("decisions")["action"]
    assert column.dtype == pl.Enum(list(map(str, Action)))
    assert (column >= "CANCEL").to_list() == [False, False, True, True, True]


def test_guards_are_named_by_their_bits():
    assert guard_names(0) == ()
    assert guard_names((1 << len(GUARDS)) - 1) == tuple(guard.name for guard in GUARDS)
    assert guard_names(1 << 3 | 1) == (GUARDS[0].name, GUARDS[3].name)


def test_words_take_little_room_on_disk(tmp_path):
    """A file of 10,000 rows names each reason and each guard once."""
    n = 10_000
    rows = decisions(
        n,
        because=[GUARD_REASON + 4 * ROW["depth"], -1] * (n // 2),
        refusing=[1 << ROW["depth"], 0] * (n // 2),
    )
    with RowFiles(tmp_path, MARKETS) as files:
        files.append("decisions", columns_of(rows))
    stored = (tmp_path / "decisions" / "part-00000.parquet").read_bytes()
    assert stored.count(b"liquidity_low") < 10  # in the dictionary and the statistics
    frame = read(tmp_path)
    assert frame["because"].value_counts().sort("because").rows() == [("", n // 2), ("liquidity_low", n // 2)]
    assert frame.filter(pl.col("refusing").list.contains("depth"))["step"].to_list() == list(range(1, n, 2))
    assert len(stored) < 200_000


def test_parts_hold_all_rows_in_order(tmp_path):
    rows = decisions(25, bid=np.arange(25.0))
    with RowFiles(tmp_path, MARKETS, part_rows=10) as files:
        for begin, end in ((0, 3), (3, 3), (3, 24), (24, 25)):
            files.append("decisions", columns_of(rows[begin:end]))
    assert parts(tmp_path) == ["part-00000.parquet", "part-00001.parquet", "part-00002.parquet"]
    assert [len(pl.read_parquet(tmp_path / "decisions" / name)) for name in parts(tmp_path)] == [10, 10, 5]
    assert read(tmp_path)["step"].to_list() == list(range(1, 26))
    assert files.rows == {"decisions": 25, "fills": 0, "orders": 0}


def test_the_callers_array_may_be_used_again(tmp_path):
    rows = decisions(4)
    memory = RowMemory(MARKETS)
    with RowFiles(tmp_path, MARKETS, part_rows=3) as files:
        for i in range(5):
            rows["step"] = i
            files.append("decisions", columns_of(rows))
            memory.append("decisions", columns_of(rows))
            rows["step"] = -7
    expected = [i for i in range(5) for _ in range(4)]
    assert read(tmp_path)["step"].to_list() == memory.arrays("decisions")["step"].tolist() == expected


def test_a_table_without_rows_still_tells_its_columns(tmp_path):
    RowFiles(tmp_path, MARKETS).close()
    for table in TABLES:
        assert parts(tmp_path, table) == ["part-00000.parquet"]
        assert read(tmp_path, table).shape == (0, len(fields(ROW_KINDS[table])))


def test_markets_may_come_while_the_run_goes_on(tmp_path):
    market_ids = ["A"]
    with RowFiles(tmp_path, market_ids, part_rows=2) as files:
        files.append("decisions", columns_of(decisions(2, cell=0)))
        market_ids.append("B")
        files.append("decisions", columns_of(decisions(2, cell=[1, 0])))
    assert read(tmp_path)["market_id"].to_list() == ["A", "A", "B", "A"]


def test_what_breaks_a_run_leaves_its_rows(tmp_path):
    with pytest.raises(KeyboardInterrupt), RowFiles(tmp_path, MARKETS, part_rows=10) as files:
        interrupted(files, decisions(15), KeyboardInterrupt())
    assert len(read(tmp_path)) == 15


def test_a_part_that_is_being_written_is_none_yet(tmp_path, monkeypatch):
    """A process that ends amid a write leaves the parts before it, and none that is cut."""

    def cut(frame, file, **_):
        Path(file).write_bytes(b"PAR1")
        raise OSError(28, "No space left on device")

    files = RowFiles(tmp_path, MARKETS, part_rows=10)
    files.append("decisions", columns_of(decisions(10)))
    files._wait("decisions")
    monkeypatch.setattr(pl.DataFrame, "write_parquet", cut)
    files.append("decisions", columns_of(decisions(10)))
    with pytest.raises(TraceError, match=r"part-00001\.parquet cannot be written: No space left on device"):
        files.close()
    monkeypatch.undo()
    assert len(read(tmp_path)) == 10


def test_after_the_end_no_rows_are_taken(tmp_path):
    files = RowFiles(tmp_path, MARKETS)
    files.close()
    files.close()
    with pytest.raises(TraceError, match="is closed: rows of decisions come too late"):
        files.append("decisions", columns_of(decisions(1)))


def test_after_a_failed_write_there_is_no_gap(tmp_path, monkeypatch):
    """It is told at the next part, and then again: what is written stays the beginning of the run."""

    def fail(frame, file, **_):
        raise pl.exceptions.ComputeError("no\nway")

    files = RowFiles(tmp_path, MARKETS, part_rows=2)
    files.append("decisions", columns_of(decisions(2)))
    files._wait("decisions")
    with monkeypatch.context() as patched:
        patched.setattr(pl.DataFrame, "write_parquet", fail)
        files.append("decisions", columns_of(decisions(2)))
        for _ in range(2):
            with pytest.raises(TraceError, match=r"part-00001\.parquet cannot be written: no$"):
                files.append("decisions", columns_of(decisions(2)))
    with pytest.raises(TraceError, match=r"no$"):
        files.close()
    assert parts(tmp_path) == ["part-00000.parquet"]


def test_the_error_of_a_run_is_not_hidden_by_one_of_its_files(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pl.DataFrame, "write_parquet", full)
    with pytest.raises(ValueError, match="mine"), RowFiles(tmp_path, MARKETS) as files:
        interrupted(files, decisions(2), ValueError("mine"))


def test_parts_of_another_run_are_not_mixed_in(tmp_path):
    RowFiles(tmp_path, MARKETS).close()
    with pytest.raises(RunExists, match="decisions holds parts of a run"):
        RowFiles(tmp_path, MARKETS)


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TraceError, match="cannot be made"):
        RowFiles(tmp_path / "file", MARKETS)


@pytest.mark.parametrize("part_rows", [0, -1, 1.5, True])
def test_part_rows_are_a_whole_number(tmp_path, part_rows):
    with pytest.raises(ConfigError, match="part_rows is"):
        RowFiles(tmp_path, MARKETS, part_rows=part_rows)


def test_files_need_polars_and_memory_does_not(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(ConfigError, match=r"Parquet output needs polars: pip install 'mdm-engine\[data\]'"):
        RowFiles(tmp_path, MARKETS)
    memory = RowMemory(MARKETS)
    memory.append("decisions", columns_of(decisions(3, equity=1.5)))
    assert memory.arrays("decisions")["equity"].tolist() == [1.5] * 3
    assert memory.arrays("fills")["price"].tolist() == []
    with pytest.raises(ConfigError, match="needs polars"):
        memory.frame("decisions")


@pytest.mark.parametrize(
    "columns", [columns_of(decisions(2)), np.zeros(2), [1], None, np.zeros((11, 2), np.int32)]
)
def test_columns_of_another_kind_are_refused(tmp_path, columns):
    memory = RowMemory(MARKETS)
    with RowFiles(tmp_path, MARKETS) as files:
        for sink in (files, memory):
            with pytest.raises(ContractError, match=r"columns of fills have shape .*: give 11 rows of 8-byte"):
                sink.append("fills", columns)
            with pytest.raises(ContractError, match="table 'fill' is unknown"):
                sink.append("fill", columns_of(array_of([FillRow()])))


def test_columns_of_one_row_are_no_view_of_it():
    rows = array_of([FillRow(step=1)])
    columns = columns_of(rows)
    rows["step"] = 9
    assert columns[0].tolist() == [1]


def test_rows_that_are_not_in_one_piece(tmp_path):
    memory = RowMemory(MARKETS)
    with RowFiles(tmp_path, MARKETS) as files:
        for sink in (files, memory):
            sink.append("decisions", columns_of(decisions(10)[::3]))
    assert read(tmp_path)["step"].to_list() == memory.arrays("decisions")["step"].tolist() == [1, 4, 7, 10]


WHOLE = st.integers(-(2**63), 2**63 - 1)
RAW = st.builds(
    FillRow, step=WHOLE, now_ns=WHOLE, ts_ns=WHOLE, cell=st.integers(0, 1), order_step=WHOLE,
    order_leg=st.integers(0, 31), side=st.sampled_from([-1, 1]), liquidity=st.integers(0, 1),
    price=st.floats(), size=st.floats(), fee=st.floats(),
)  # fmt: skip


@given(st.lists(RAW, max_size=10), st.integers(1, 4), st.integers(1, 6))
def test_what_goes_in_comes_out(rows, chunk, part_rows):
    """Files, memory and the rows themselves tell the same."""
    memory = RowMemory(MARKETS)
    with tempfile.TemporaryDirectory() as folder:
        with RowFiles(folder, MARKETS, part_rows=part_rows) as files:
            for begin in range(0, len(rows), chunk):
                array = array_of(rows[begin : begin + chunk])
                files.append("fills", columns_of(array))
                memory.append("fills", columns_of(array))
        frame = read(Path(folder), "fills")
    assert frame.equals(memory.frame("fills"))
    assert frame.schema == memory.frame("fills").schema
    arrays = memory.arrays("fills")
    for field in fields(FillRow):
        given_values = [getattr(row, field.name) for row in rows]
        np.testing.assert_array_equal(arrays[field.name], given_values)
        if field.name in frame.columns and field.name not in ("side", "liquidity"):
            absent = [None if value != value else value for value in given_values]
            assert frame[field.name].to_list() == absent
    assert frame["market_id"].to_list() == [MARKETS[row.cell] for row in rows]
