"""The command line as a user meets it: output, one-line errors, exit codes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def mdm(tmp_path):
    def call(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", "from ami_engine.cli import main; main()", *words],
            cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    return call


def test_demo_trades_and_explains_three_decisions(mdm, tmp_path):
    done = mdm("demo", "--events", "2000", "--run-id", "d")
    assert done.returncode == 0, done.stderr
    explained = [line for line in done.stdout.splitlines() if line.startswith("step ")]
    assert len(explained) == 3
    assert any(line.endswith(": HOLD") for line in explained)
    assert "traces/d/traces.jsonl" in done.stdout
    summary = json.loads((tmp_path / "traces" / "d" / "summary.json").read_text())
    assert summary["fills_by_side"]["buy"] > 0
    assert summary["fills_by_side"]["sell"] > 0
    assert summary["orders_canceled"] > 0
    assert done.stderr == ""


def test_json_prints_only_json(mdm):
    done = mdm("demo", "--events", "50", "--run-id", "d", "--json")
    assert json.loads(done.stdout)["steps"] == 50


def test_the_same_twice_and_another_seed(mdm, tmp_path):
    for folder, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        mdm("demo", "--events", "300", "--run-id", "d", "--seed", seed, "--output-dir", folder)
    first, again, other = ((tmp_path / folder / "d" / "traces.jsonl").read_bytes() for folder in "abc")
    assert first == again
    assert first != other


def test_run_takes_a_config_and_overrides(mdm, tmp_path):
    (tmp_path / "run.toml").write_text("[run]\nseed = 3\n[data.sim]\nnum_events = 500\n[guards]\nmax_abs_inventory = 2.0\n")
    done = mdm("run", "-c", "run.toml", "--set", "data.sim.num_events=40", "--run-id", "r", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["steps"] == 40
    manifest = json.loads((tmp_path / "traces" / "r" / "manifest.json").read_text())
    assert manifest["seed"] == 3
    assert manifest["guards"]["limits"]["max_abs_inventory"] == 2.0


USER_PARTS = '''
from ami_engine.adapters import Broker, MarketDataSource
from decision_schema.types import Action, Proposal

class Source(MarketDataSource):
    def __init__(self, count):
        self.left = count

    def next_event(self):
        self.left -= 1
        if self.left < 0:
            return None
        return {"bid": 0.49, "ask": 0.51, "depth": 100, "ts_ms": 1_000_000 - self.left}

class RealBroker(Broker):
    live = True

    def submit_order(self, order):
        raise AssertionError("no order may leave")

def model(features):
    return Proposal(action=Action.ACT, confidence=0.9, params={"side": "buy", "price": 0.48, "size": 2})
'''


def test_run_takes_a_users_source_and_model(mdm, tmp_path):
    (tmp_path / "parts.py").write_text(USER_PARTS)
    (tmp_path / "run.toml").write_text(
        '[run]\nmode = "backtest"\n[data]\nsource = "parts.py:Source"\nparams = { count = 10 }\n'
        '[model]\nmodel = "parts.py:model"\n'
    )
    done = mdm("run", "-c", "run.toml", "--run-id", "r", "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["steps"], summary["orders_submitted"], summary["ended"]) == (10, 1, "exhausted")


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ("[run]\nsed = 1\n", "unknown key 'sed' in [run]: did you mean 'seed'?"),
        ("[guards]\nmax_spread = 1\n", "did you mean 'max_spread_bps'?"),
        ("[gards]\n", "did you mean 'guards'?"),
        ('[run]\nseed = "x"\n', "Expected `int`, got `str` - at `$.run.seed`"),
        ("[guards]\nmin_depth = -1.0\n", "min_depth is -1.0"),
        ("[run\n", "is no TOML"),
        ('[run]\nmode = "live"\n', "run.mode is 'live' but the broker is not live"),
        ('[run]\nmode = "paper"\n', "data.source is the simulator"),
        ('[data]\nsource = "nowhere.py:Source"\n', "the file nowhere.py does not exist"),
        ('[data]\nsource = "parts.py:Nothing"\n', "the module has no Nothing"),
        ('[data]\nsource = "parts.py:Source"\n', "does not take these params"),
        ('[broker]\nbroker = "parts.py:RealBroker"\n', "sends real orders"),
        ("[data.sim]\nspread = 0.0\n", "spread"),
        ('[[instruments]]\nmarket_id = "A"\ntick_size = "x"\n', "tick_size is 'x'"),
    ],
)
def test_bad_config_is_one_line_and_exit_2(mdm, tmp_path, config, says):
    (tmp_path / "parts.py").write_text(USER_PARTS)
    (tmp_path / "run.toml").write_text(config)
    done = mdm("run", "-c", "run.toml")
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "traces").exists()


def test_a_missing_config_file(mdm):
    done = mdm("run", "-c", "nowhere.toml")
    assert (done.returncode, done.stderr) == (2, "mdm: config file nowhere.toml does not exist\n")


def test_an_existing_run_is_refused_and_kept(mdm, tmp_path):
    mdm("demo", "--events", "20", "--run-id", "d")
    before = (tmp_path / "traces" / "d" / "traces.jsonl").read_bytes()
    done = mdm("demo", "--events", "20", "--run-id", "d")
    assert done.returncode == 2
    assert done.stderr == "mdm: run folder traces/d exists: give another run_id or output_dir\n"
    assert (tmp_path / "traces" / "d" / "traces.jsonl").read_bytes() == before


def test_verify_tells_sound_from_changed(mdm, tmp_path):
    mdm("demo", "--events", "30", "--run-id", "d")
    done = mdm("verify", "traces/d")
    assert done.returncode == 0
    assert "sound. 30 packets" in done.stdout
    file = tmp_path / "traces" / "d" / "traces.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    lines[9] = lines[9].replace(b'"action":"ACT"', b'"action":"HOLD"', 1)
    file.write_bytes(b"".join(lines))
    done = mdm("verify", "traces/d")
    assert done.returncode == 1
    assert "line 10 does not follow" in done.stderr.replace(": it ", " ")
    assert mdm("verify", "nowhere").returncode == 2


def test_help_and_version(mdm):
    assert "demo" in mdm("--help").stdout
    assert mdm("--version").stdout.strip() == "0.1.0"
    wrong = mdm("demo", "--evnts", "3")
    assert wrong.returncode == 2
    assert "--evnts" in wrong.stderr


def test_a_failing_source_fails_the_run(mdm, tmp_path):
    (tmp_path / "parts.py").write_text(USER_PARTS.replace("self.left -= 1", "raise OSError('gone')"))
    (tmp_path / "run.toml").write_text('[data]\nsource = "parts.py:Source"\nparams = { count = 10 }\n')
    done = mdm("run", "-c", "run.toml", "--run-id", "r", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["ended"] == "source_failed:OSError"
    assert Path(tmp_path, "traces", "r", "audit.jsonl").read_text().count("source_failure") == 5
