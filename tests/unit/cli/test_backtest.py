"""``mdm backtest`` on files: a run and its summary, and each kind of bad file in one line."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

T = 1_723_161_256_000
ROWS = "".join(
    f"{T + 100 * i},{0.49 + 0.001 * (i % 7):.3f},{0.51 + 0.001 * (i % 5):.3f},{20 + i % 3},30\n"
    for i in range(600)
)
QUOTES = "timestamp,bid,ask,bid_size,ask_size\n" + ROWS
CONFIG = """
[data]
source = "csv"
[data.params]
files = "{file}"
market_id = "M"
{more}
[[instruments]]
market_id = "M"
tick_size = "0.001"
lot_size = "1"
"""


@pytest.fixture
def backtest(tmp_path):
    def call(file, *words, more="", config=CONFIG, env=None):
        (tmp_path / "run.toml").write_text(config.format(file=file, more=more))
        return subprocess.run(
            [sys.executable, "-c", "from ami_engine.cli import main; main()", "backtest", "-c", "run.toml", *([] if "--run-id" in words else ["--run-id", "r"]), *words],
            cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
            env={"PATH": "", "HOME": str(tmp_path), "PYTHONPATH": os.environ.get("PYTHONPATH", ""), **(env or {})},
        )  # fmt: skip

    return call


def summary_of(tmp_path):
    return json.loads(Path(tmp_path, "traces", "r", "summary.json").read_text())


def test_a_file_runs_and_the_summary_says_what_the_data_were_like(backtest, tmp_path):
    (tmp_path / "q.csv").write_text(QUOTES)
    done = backtest("q.csv")
    assert (done.returncode, done.stderr) == (0, "")
    for words in (
        "events      600 in",
        "data        M: 59.9 s",
        "quotes 600",
        "files       q.csv: 600 rows",
        "orders",
    ):
        assert words in done.stdout
    manifest = json.loads(Path(tmp_path, "traces", "r", "manifest.json").read_text())
    assert manifest["config"]["run"]["mode"] == "backtest"


def test_the_packets_are_those_of_the_live_loop_and_no_tables_are_written(backtest, tmp_path):
    from ami_engine.assembly import run_config, with_run
    from ami_engine.config import load_config

    (tmp_path / "q.csv").write_text(QUOTES)
    assert backtest("q.csv").returncode == 0
    config = load_config(tmp_path / "run.toml", ("run.mode=backtest",))
    params = {**config.data.params, "files": str(tmp_path / "q.csv")}
    config = with_run(config, run_id="r", output_dir=tmp_path / "live")
    config = msgspec.structs.replace(config, data=msgspec.structs.replace(config.data, params=params))
    run_config(config)
    bodies = [
        [line.rpartition(b',"h":')[0] for line in Path(folder, "r", "traces.jsonl").read_bytes().splitlines()]
        for folder in (tmp_path / "traces", tmp_path / "live")
    ]
    intents = [[msgspec.json.decode(line + b"}") for line in body] for body in bodies]
    for packet in (packet for found in intents for packet in found):
        packet["intents"] = len(packet["intents"])  # the ids hang on the path of the file
        packet["external"] = packet["state_after"]["open_orders"] = None
    assert intents[0] == intents[1]
    assert sorted(path.name for path in Path(tmp_path, "traces", "r").iterdir()) == [
        "audit.jsonl", "manifest.json", "summary.json", "traces.jsonl",
    ]  # fmt: skip
    assert summary_of(tmp_path)["driver"] == "per event"
    assert summary_of(tmp_path)["timing"]["compile_seconds"] == 0.0  # a short run is not compiled


def test_without_packets_it_leaves_tables(backtest, tmp_path):
    pytest.importorskip("polars")
    (tmp_path / "q.csv").write_text(QUOTES)
    done = backtest("q.csv", "--no-packets")
    assert (done.returncode, done.stderr) == (0, "")
    assert "tables      traces/r\n" in done.stdout
    folder = Path(tmp_path, "traces", "r")
    assert {path.name for path in folder.iterdir()} == {
        "audit.jsonl", "manifest.json", "summary.json", "decisions", "fills", "orders",
    }  # fmt: skip
    assert summary_of(tmp_path)["driver"] == "interpreted"
    assert summary_of(tmp_path)["steps"] == 600
    whole = summary_of(tmp_path)
    (tmp_path / "q2.csv").write_text(QUOTES)
    assert backtest("q2.csv", "--run-id", "p").returncode == 0
    packets = json.loads(Path(tmp_path, "traces", "p", "summary.json").read_text())
    for name in ("final_equity", "action_counts", "hold_reasons", "fills", "orders_submitted", "costs", "data"):
        assert whole[name] == packets[name]


def test_the_folder_of_the_data_comes_from_the_environment_and_stands_in_no_record(backtest, tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "q.csv").write_text(QUOTES)
    done = backtest(
        "${{DATA}}/q.csv".replace("{{", "{").replace("}}", "}"), "--json", env={"DATA": str(tmp_path / "far")}
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["steps"] == 600
    assert str(tmp_path / "far") not in Path(tmp_path, "traces", "r", "manifest.json").read_text()


def test_a_packed_file_that_is_cut_keeps_what_came_before_and_ends_with_2(backtest, tmp_path):
    (tmp_path / "q.csv.gz").write_bytes(gzip.compress(QUOTES.encode(), mtime=0)[:-400])
    done = backtest("q.csv.gz")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("mdm: q.csv.gz: row ")
    assert "the gzip stream is cut" in done.stderr
    assert "download the file again" in done.stderr
    kept = summary_of(tmp_path)
    assert 0 < kept["steps"] < 600
    assert kept["ended"] == "exhausted"
    assert f"events      {kept['steps']}" in done.stdout


def test_a_torn_last_line_holds_and_the_rest_is_used(backtest, tmp_path):
    (tmp_path / "q.csv").write_text(QUOTES[:-20])
    assert backtest("q.csv", "--json").returncode == 0
    kept = summary_of(tmp_path)
    assert kept["bad_inputs"] == {"defect:torn_row": 1}
    assert kept["sources"][0]["defects"] == {"torn_row": 1}


def test_defects_stop_the_data_where_the_policy_says_so(backtest, tmp_path):
    (tmp_path / "q.csv").write_text(QUOTES.replace(",0.512,", ",x,", 1))
    done = backtest("q.csv", more='defects = "stop"')
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "q.csv: row " in done.stderr
    assert "bad_number:ask" in done.stderr


BAD = {
    "missing": (None, "", "does not exist"),
    "empty": ("", "", "is empty: it holds no row"),
    "wrong columns": (QUOTES, 'columns = {{ ts = "timestamp", bid = "bidd", ask = "ask" }}', "has no column 'bidd' for bid"),
    "microseconds as milliseconds": (QUOTES.replace(str(T)[:8], str(T)[:8] + "000"), 'time_unit = "ms"', "looks like microseconds: set time_unit = 'us'"),
    "another format": ('{"op":"mcm","pt":1}\n', "", "q.csv"),
    "offset without end": (QUOTES, 'clock_offset_ms = inf', "clock_offset_ms is inf: give milliseconds"),
    "unknown parameter": (QUOTES, 'file = "x"', "does not take these params"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_one_line_before_anything_ran(backtest, tmp_path, name):
    text, more, words = BAD[name]
    if text is not None:
        (tmp_path / "q.csv").write_text(text)
    done = backtest("q.csv", more=more.replace("{{", "{").replace("}}", "}"))
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("mdm: ")
    assert done.stderr.count("\n") == 1
    assert words in done.stderr
    assert not (tmp_path / "traces").exists()


def test_prices_scaled_by_ten_thousand_give_a_hint(backtest, tmp_path):
    rows = "".join(f"{T + 100 * i},5853300,5859400\n" for i in range(50))
    (tmp_path / "q.csv").write_text("timestamp,bid,ask\n" + rows)
    done = backtest("q.csv")
    assert done.returncode == 0
    assert "hint        prices look scaled by 10,000: set price_scale = 0.0001" in done.stdout


def test_a_format_that_is_misspelt_and_a_live_mode_are_refused(backtest, tmp_path):
    (tmp_path / "q.csv").write_text(QUOTES)
    done = backtest("q.csv", config=CONFIG.replace('"csv"', '"cvs"'))
    assert (done.returncode, "did you mean 'csv'?" in done.stderr) == (2, True)
    done = backtest("q.csv", "--set", "run.mode=live")
    assert (done.returncode, "mdm backtest runs 'backtest'" in done.stderr) == (2, True)
    done = backtest("q.csv", "--set", "data.sources=[{source='csv'}]")
    assert (done.returncode, "not both" in done.stderr) == (2, True)


def test_a_header_without_a_row_is_no_data(backtest, tmp_path):
    (tmp_path / "q.csv").write_text("timestamp,bid,ask\n")
    done = backtest("q.csv")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "q.csv: no row gave an event" in done.stderr


def test_a_market_of_the_config_that_the_data_do_not_have_is_told(backtest, tmp_path):
    (tmp_path / "q.csv").write_text(QUOTES)
    done = backtest("q.csv", config=CONFIG.replace('market_id = "M"\ntick', 'market_id = "SUN"\ntick'))
    assert done.returncode == 0
    assert "The config names SUN, the data M: a market without an instrument" in done.stdout
    assert "The config names" not in backtest("q.csv", "--run-id", "other").stdout


def test_a_market_id_that_is_no_text_is_refused_and_control_characters_reach_no_terminal(backtest, tmp_path):
    (tmp_path / "q.csv").write_text(QUOTES)
    done = backtest("q.csv", "--set", "data.params.market_id=5")
    assert (done.returncode, "market_id is 5: give a text" in done.stderr) == (2, True)
    (tmp_path / "s.csv").write_text(f"timestamp,symbol,bid,ask\n{T},A\x1b[31mred,0.49,0.51\n")
    done = backtest("s.csv", config=CONFIG.replace('market_id = "M"\n{more}', "{more}"))
    assert "\x1b[31m" not in done.stdout
    assert "red" in done.stdout


def test_times_that_go_back_have_a_remedy(backtest, tmp_path):
    head, *rows = QUOTES.splitlines(keepends=True)
    (tmp_path / "q.csv").write_text(head + "".join(reversed(rows)))
    done = backtest("q.csv")
    assert "out_of_order: times go back: files in the wrong order, newest rows first" in done.stdout


def test_the_bar_tells_what_takes_long_and_does_not_count_it(monkeypatch):
    from rich import progress as shapes

    from ami_engine.cli.run import run_with_bar
    from ami_engine.config import RunConfig
    from ami_engine.loop.run_loop import RunProgress
    from ami_engine.summary import RunSummary

    acts = []
    monkeypatch.setattr(shapes.Progress, "update", lambda bar, task, **told: acts.append(told["done"]))
    monkeypatch.setattr(shapes.Progress, "reset", lambda bar, task: acts.append("reset"))

    def run(config, progress):
        progress(RunProgress(0, None, RunSummary(), "compiling"))
        progress(RunProgress(256, 0.5, RunSummary()))
        progress(RunProgress(512, 1.0, RunSummary()))
        return {"steps": 512}

    assert run_with_bar(RunConfig(), run, shown=True) == {"steps": 512}
    assert acts[:2] == ["compiling", "reset"]
    assert [act.split(" events")[0] for act in acts[2:]] == ["256", "512"]
