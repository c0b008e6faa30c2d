"""What `run_batch` does around its loop: the broker of the config, what ends a run, what it leaves."""

import json
import os
import signal

import pytest

from ami_engine.config import config_from_dict
from ami_engine.loop import compile_choice
from ami_engine.loop.batch_files import RowFiles
from ami_engine.loop.compile_choice import COMPILING, events_of, is_compiled, tell_compiling
from ami_engine.loop.run_batch import run_batch
from ami_engine.mdm.reference_model import propose_reference
from ami_engine.ports import MarketDataSource
from ami_engine.sim.microstructure_sim import MicrostructureSim
from ami_engine.sim.synthetic_source import SyntheticSource
from ami_engine.trace.trace_logger import TRACES
from ami_engine.trace.verify import verify
from decision_schema.errors import ContractError, TraceError

polars = pytest.importorskip("polars")
ROW = {"ts_ms": [1_000], "bid": [0.49], "ask": [0.51], "bid_size": [40.0], "ask_size": [40.0]}


def rows(first, count=50):
    """Give columns of quotes, one a second."""
    return {name: [(first + i) * 1_000 if name == "ts_ms" else cells[0] for i in range(count)] for name, cells in ROW.items()}


class Quotes(MarketDataSource):
    """Yields quotes; `at` some of them something happens first."""

    def __init__(self, at=(), act=lambda: None, count=2_000):
        self._at, self._act, self._count, self._given = at, act, count, 0

    def next_event(self):
        self._given += 1
        if self._given in self._at:
            self._act()
        if self._given > self._count:
            return None
        return {name: self._given * 1_000 if name == "ts_ms" else cells[0] for name, cells in ROW.items()}


def interrupt():
    """Do what Ctrl-C does."""
    os.kill(os.getpid(), signal.SIGINT)


def run(data, tmp_path, **more):
    return run_batch(
        data, model=propose_reference, run_id="r", output_dir=tmp_path, fast=False, market_id="M", **more
    )  # fmt: skip


def left(tmp_path):
    """Read what an ended run left: its summary, and how many rows of decisions."""
    folder = tmp_path / "r"
    summary = json.loads((folder / "summary.json").read_bytes())
    assert verify(folder).closed
    assert not (folder / TRACES).exists()
    assert not list(folder.rglob("*.part"))
    decisions = polars.read_parquet(sorted((folder / "decisions").glob("*.parquet")))
    assert decisions["step"].to_list() == list(range(1, decisions.height + 1))
    assert summary["packets"] == decisions.height
    return summary, decisions.height


# ---------------------------------------------------------------- the broker of the config


@pytest.mark.parametrize("of_events", [False, True])
def test_the_broker_of_the_config_is_taken(of_events):
    config = config_from_dict({"broker": {"paper": {"entry_latency_ms": 7.0, "queue": "log"}}})
    data = Quotes(count=20) if of_events else rows(1, 20)
    told = run_batch(data, model=propose_reference, config=config, fast=False).summary["costs"]["fill_model"]
    assert (told["entry_latency_ms"], told["queue"]) == (7.0, "log")


def test_a_queue_function_in_the_config_goes_event_by_event():
    config = config_from_dict({"broker": {"paper": {"queue": "tests.parity.test_drivers:half"}}})
    summary = run_batch(rows(1, 5), model=propose_reference, config=config, fast=False).summary
    assert summary["driver"] == "per event"
    assert summary["costs"]["fill_model"]["queue"] == "tests.parity.test_drivers:half"


# ---------------------------------------------------------------- what a folder of rows holds


@pytest.mark.parametrize("of_events", [False, True])
def test_a_folder_of_rows_has_no_packets_and_is_sound(of_events, tmp_path):
    run(Quotes(count=300) if of_events else rows(1, 300), tmp_path)
    summary, height = left(tmp_path)
    assert (summary["ended"], height) == ("exhausted", 300)
    assert {"seconds", "compile_seconds", "events_per_second"} <= summary["timing"].keys()
    assert summary["timing"]["compile_seconds"] == 0.0


def test_a_market_that_answers_is_not_read_ahead():
    source = SyntheticSource(MicrostructureSim(mid=0.5, spread=0.02), num_events=10)
    summary = run_batch(source, model=propose_reference, fast=False).summary
    assert summary["driver"] == "per event"
    assert summary["explanation"][-1].endswith("the market of the source answers to our orders.")


# ---------------------------------------------------------------- what ends a run


def pieces(act, *, at=(3,)):
    for number in range(6):
        if number in at:
            act()
        yield rows(1 + 50 * number)


def test_an_interrupt_ends_a_run_over_columns_after_the_piece_at_hand(tmp_path):
    run(pieces(interrupt), tmp_path)
    summary, height = left(tmp_path)
    assert (summary["ended"], height) == ("signal:SIGINT", 200)


def test_an_interrupt_ends_a_run_over_sources(tmp_path):
    run(Quotes(at=(700,), act=interrupt), tmp_path)
    summary, height = left(tmp_path)
    assert summary["ended"] == "signal:SIGINT"
    assert 700 <= height < 1_000


@pytest.mark.parametrize("of_events", [False, True])
def test_a_second_interrupt_ends_a_run_at_once_and_leaves_it_whole(of_events, tmp_path):
    def twice():
        interrupt()
        interrupt()

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(Quotes(at=(700,), act=twice) if of_events else pieces(twice), tmp_path)
    summary, height = left(tmp_path)
    assert (summary["ended"], height) == ("error:KeyboardInterrupt", 699 if of_events else 150)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_cell_that_cannot_be_read_leaves_the_rows_before_it(tmp_path):
    def broken():
        yield rows(1)
        yield {**rows(51), "bid": ["x"] * 50}

    with pytest.raises(ContractError, match=r"bid\[50\]"):
        run(broken(), tmp_path)
    summary, height = left(tmp_path)
    assert (summary["ended"], height) == ("error:ContractError", 50)


def test_a_source_that_breaks_leaves_the_rows_before_it(tmp_path):
    def leave():
        raise SystemExit

    with pytest.raises(SystemExit):
        run(Quotes(at=(700,), act=leave), tmp_path)
    summary, height = left(tmp_path)
    assert (summary["ended"], height) == ("error:SystemExit", 699)


def test_a_full_disk_ends_a_run_with_what_was_stored(tmp_path, monkeypatch):
    written = RowFiles._write_part

    def full(files, table, columns, file):
        if table == "decisions" and file.name != "part-00000.parquet":
            raise TraceError(f"{file} cannot be written: No space left on device")
        written(files, table, columns, file)

    monkeypatch.setattr(RowFiles, "_write_part", full)
    monkeypatch.setattr(RowFiles.__init__, "__kwdefaults__", {"model_reasons": (), "part_rows": 100})
    with pytest.raises(TraceError, match="No space left"):
        run(pieces(lambda: None), tmp_path)
    summary = json.loads((tmp_path / "r" / "summary.json").read_bytes())
    assert summary["ended"] == "error:TraceError"
    assert polars.read_parquet(sorted((tmp_path / "r" / "decisions").glob("*.parquet"))).height == 100


# ---------------------------------------------------------------- whether it is compiled


@pytest.mark.parametrize(
    ("asked", "kept", "events", "compiled"),
    [
        (None, False, 100, False), (None, False, 199_999, False), (None, False, 200_000, True),
        (None, False, None, True), (None, True, 100, False), (None, True, 10_000, True),
        (True, False, 1, True), (False, True, 10**9, False),
    ],
)  # fmt: skip
def test_a_run_is_compiled_where_it_pays(asked, kept, events, compiled, monkeypatch):
    monkeypatch.setattr(compile_choice, "can_compile", lambda: True)
    monkeypatch.setattr(compile_choice, "is_kept", lambda kernel: kept)
    assert is_compiled(asked, run, events) == compiled
    monkeypatch.setattr(compile_choice, "can_compile", lambda: False)
    assert is_compiled(None, run, events) is False


def test_the_size_of_files_tells_how_many_events_there_are(tmp_path):
    from ami_engine.adapters.csv_source import CsvSource

    (tmp_path / "q.csv").write_text("time,bid,ask\n" + "1723161256000,0.49,0.51\n" * 100)
    source = CsvSource(tmp_path / "q.csv")
    assert 20 < events_of([source], None) < 100
    assert events_of([source, Quotes()], None) is None
    assert events_of([source, Quotes()], 30) == 30
    assert events_of(rows(1, 50), None) == 50


def test_a_first_compile_is_told_to_who_asks_for_progress(monkeypatch, capsys):
    seen = []
    monkeypatch.setattr(compile_choice, "is_kept", lambda kernel: False)
    tell_compiling(run, seen.append)
    tell_compiling(run, None)  # no terminal: nobody looks
    assert [at.note for at in seen] == [COMPILING]
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    tell_compiling(run, None)
    assert capsys.readouterr().err == f"mdm: {COMPILING}\n"
    monkeypatch.setattr(compile_choice, "is_kept", lambda kernel: True)
    tell_compiling(run, seen.append)
    assert len(seen) == 1
