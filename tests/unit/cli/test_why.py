"""``mdm why``, ``why-not``, ``whatif``, ``policy check``: words, JSON, exit codes, one-line errors."""

import json

import pytest

from ami_engine.cli import app
from tests.unit.replay.test_judged_again import simulated

pytestmark = pytest.mark.filterwarnings("ignore:Cyclopts application:UserWarning")


@pytest.fixture
def mdm(capsys, monkeypatch):
    def call(*words):
        monkeypatch.setattr("sys.argv", ["mdm", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            app.start()
        told = capsys.readouterr()
        return end.value.code, told.out, told.err

    return call


@pytest.fixture
def run_dir(tmp_path):
    return simulated(tmp_path, events=400, guards={"max_spread_bps": 150.0})["run_dir"]


def test_why(mdm, run_dir):
    code, out, err = mdm("why", run_dir, 3)
    assert (code, err) == (0, "")
    assert out.startswith("step 3, ")
    assert "decision " in out
    code, out, _ = mdm("why", run_dir, 3, "--json")
    assert (code, json.loads(out)["step"]) == (0, 3)
    code, out, _ = mdm("why", run_dir, "--at", "2030-01-01", "--market", "SIM", "--json")
    assert (code, json.loads(out)["step"]) == (0, 400)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["401"], "step 401 is not in"),
        (["0"], "give 1 to 400"),
        ([], "give the number of a step, or --at TIME"),
        (["3", "--at", "2030-01-01"], "not both"),
        (["3", "--market", "SIM"], "--market goes with --at"),
        (["--at", "noon"], "time 'noon' is none"),
        (["--at", "2030-01-01", "--market", "X"], "it has SIM"),
        (["--at", "1999-01-01"], "at or before that time"),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, list) else "",
)
def test_why_of_no_step_is_bad_input(mdm, run_dir, words, said):
    code, out, err = mdm("why", run_dir, *words)
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("verb", [["why", 1], ["why-not"], ["whatif", "--policy", "fx"]], ids=lambda verb: verb[0])
def test_no_run_folder_is_bad_input(mdm, tmp_path, verb):
    code, _, err = mdm(verb[0], tmp_path, *verb[1:])
    assert code == 2
    assert "is no run folder" in err


def test_why_not(mdm, run_dir):
    code, out, _ = mdm("why-not", run_dir)
    assert code == 0
    assert out.startswith("from events to fills:\n  400  events")
    assert "nearest misses" in out
    code, out, _ = mdm("why-not", run_dir, "--json")
    assert json.loads(out)["funnel"]["events"] == 400


def test_whatif_by_name_and_by_files_of_all_forms(mdm, run_dir, tmp_path):
    assert mdm("whatif", run_dir, "--policy", "binary")[0] == 0
    (tmp_path / "a.toml").write_text("max_spread_bps = 100\n")
    (tmp_path / "b.toml").write_text("[guards]\nmax_spread_bps = 100\n[run]\nseed = 1\n")
    (tmp_path / "c.toml").write_text('about = "Mine."\n[limits]\nmax_spread_bps = 100\n[reasons]\nmax_spread_bps = "So."\n')
    found = [json.loads(mdm("whatif", run_dir, "--policy", tmp_path / f"{name}.toml", "--json")[1]) for name in "abc"]
    assert found[0] == found[1] == found[2]
    assert found[0]["open_loop"] is True
    assert found[0]["limits"] == {"max_spread_bps": [150.0, 100.0]}


@pytest.mark.parametrize(
    ("text", "said"),
    [("max_spred_bps = 1", "did you mean 'max_spread_bps'"), ("min_depth = -1", "finite number >= 0"), ("x = [", "cannot be read")],
)
def test_a_policy_file_that_is_none(mdm, run_dir, tmp_path, text, said):
    (tmp_path / "p.toml").write_text(text)
    code, _, err = mdm("whatif", run_dir, "--policy", tmp_path / "p.toml")
    assert code == 2
    assert said in err
    code, _, err = mdm("whatif", run_dir, "--policy", "crypto")
    assert code == 2
    assert "crypto_perp" in err


def test_policy_check(mdm, run_dir, tmp_path):
    code, out, _ = mdm("policy", "check", "fx")
    assert (code, out) == (0, "fx: nothing found\n")
    (tmp_path / "p.toml").write_text("max_per_market_usd = 20\nmax_spread_bps = 50\n")
    code, out, _ = mdm("policy", "check", tmp_path / "p.toml", "--run", run_dir, "--json")
    assert code == 1
    found = {(finding["kind"], *finding["limits"]) for finding in json.loads(out)["findings"]}
    assert {("contradiction", "max_per_market_usd", "max_total_exposure_usd"), ("always", "max_spread_bps")} <= found
    code, _, err = mdm("policy", "check", "fx", "--run", run_dir, "--data", tmp_path)
    assert (code, "not both" in err) == (2, True)


def test_policy_check_on_a_file_and_a_folder(mdm, tmp_path):
    rows = "".join(f"{1_767_225_600_000 + 3_000 * i},{0.05 + 0.01 * (i % 2):.2f},{0.06 + 0.01 * (i % 2):.2f}\n" for i in range(60))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "quotes.csv").write_text("ts_ms,bid,ask\n" + rows)
    for data in (tmp_path / "data" / "quotes.csv", tmp_path / "data"):
        (tmp_path / "p.toml").write_text("min_depth = 0\n")
        code, out, err = mdm("policy", "check", tmp_path / "p.toml", "--data", data, "--json")
        assert (code, err) == (1, "")
        found = {(f["kind"], f["limits"][0]) for f in json.loads(out)["findings"]}
        assert ("always", "max_spread_bps") in found  # one tick of 0.01 at 0.055 is 1,818 bps
        assert ("always", "staleness_ms") in found  # a quote every three seconds
    code, _, err = mdm("policy", "check", "fx", "--data", tmp_path / "nowhere")
    assert (code, "is no file" in err) == (2, True)
