"""``mdm data latency``: measured from recorded data, taken by the paper broker."""

import csv
import subprocess
import sys

import pytest

from ami_engine.assembly import make_broker
from ami_engine.config import load_config

T = 1_723_161_256_000
CONFIG = """
[data]
source = "csv"
[data.params]
files = "q.csv"
market_id = "M"
[broker.paper]
latency_table = "l.csv"
"""


@pytest.fixture
def measure(tmp_path):
    (tmp_path / "run.toml").write_text(CONFIG)

    def call(rows, *words):
        lines = [f"{T + at},{T + at + delay},0.49,0.51\n" for at, delay in rows]
        (tmp_path / "q.csv").write_text("timestamp,received_ms,bid,ask\n" + "".join(lines))
        return subprocess.run(
            [sys.executable, "-c", "from ami_engine.cli import main; main()", "data", "latency",
             "-c", "run.toml", "--to", "l.csv", *words],
            cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    return call


def test_a_row_is_the_median_of_its_interval(measure, tmp_path, monkeypatch):
    rows = [(0, 5), (100, 7), (200, 90), (1_500, 20), (1_600, 40), (5_000, 3)]
    done = measure(rows, "--entry", "2", "--response", "0.5")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("6 messages in 3 intervals of 1000 ms\n")
    with (tmp_path / "l.csv").open() as file:
        table = [[int(value) for value in row.values()] for row in csv.DictReader(file)]
    ms = 1_000_000
    assert table == [
        [T * ms, 7 * ms, 14 * ms, 7 * ms // 2],
        [(T + 1_000) * ms, 30 * ms, 60 * ms, 15 * ms],
        [(T + 5_000) * ms, 3 * ms, 6 * ms, 3 * ms // 2],
    ]
    monkeypatch.chdir(tmp_path)
    assert make_broker(load_config("run.toml")).describe()["latency_table"] == "l.csv"


def test_clocks_that_disagree_are_told(measure):
    done = measure([(0, -5), (100, -7), (200, 1)])
    assert done.returncode == 2
    assert "2 of 3 messages were received before they happened: set clock_offset_ms" in done.stderr
    done = measure([(0, -5), (100, 7), (200, 1)])
    assert "1 were received before they happened and count as 0" in done.stdout


def test_what_cannot_be_written_is_refused(measure, tmp_path):
    (tmp_path / "l.csv").write_text("mine")
    assert "l.csv exists already" in measure([(0, 5)]).stderr
    assert (tmp_path / "l.csv").read_text() == "mine"
    (tmp_path / "l.csv").unlink()
    assert "--interval-ms is 0" in measure([(0, 5)], "--interval-ms", "0").stderr
    assert "--entry is -1.0" in measure([(0, 5)], "--entry=-1").stderr
