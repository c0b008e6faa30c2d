"""``mdm lookahead`` on files: planted look-ahead is named, what is clean is not, and bad input ends with 2."""

import bz2
import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from ami_engine.cli import lookahead as command
from ami_engine.cli.lookahead_runs import run_cut
from ami_engine.config import config_from_dict, load_config
from decision_schema.errors import ConfigError

ROOT = Path(__file__).resolve().parents[3]
T0 = 1_723_161_256_000
COUNT = 160
BIDS = [round(0.40 + 0.001 * ((7 * i * i) % 53), 3) for i in range(COUNT)]
ROWS = [f"{T0 + 100 * i},{bid:.3f},{bid + 0.01:.3f},20,30" for i, bid in enumerate(BIDS)]
HEADER = "timestamp,bid,ask,bid_size,ask_size"
CODE = '''
import bz2, csv, gzip, random
from pathlib import Path
from ami_engine.ports import MarketDataSource
from decision_schema.types import Action, Proposal


def opened(file):
    pack = {".gz": gzip, ".bz2": bz2}.get(Path(file).suffix)
    return pack.open(file, "rt") if pack else open(file)


def rows_of(file):
    with opened(file) as stream:
        return list(csv.DictReader(stream))


def act(features, confidence=0.6, **params):
    return Proposal(action=Action.ACT, confidence=confidence, params={"value": features["mid"], **params})


def plain(features):
    return act(features)


KNOWN = {}


def scored(features, *, params):
    file = params["data"]["file"]
    if file not in KNOWN:
        bids = [float(row["bid"]) for row in rows_of(file)]
        KNOWN.clear()
        KNOWN[file] = sum(bids) / len(bids)
    return act(features, z=features["mid"] - KNOWN[file])


def coin(features):
    return act(features, random.random())


def ordered(features):
    return act(features, note=str({"some", "words", "in", "a", "set"}))


class Rows(MarketDataSource):
    """Each row as it is, with more as `more` says."""

    def __init__(self, file, more="", calendar="", **rest):
        self.rows, self.more, self.at = rows_of(file), more, 0
        if calendar:
            assert len(Path(calendar).read_text().splitlines()) == 200

    def next_event(self):
        i = self.at
        last = len(self.rows) - (self.more == "drops")
        if i >= last:
            return None
        self.at += 1
        row, price = self.rows[i], self.rows[i]
        event = {"market_id": "M", "ts_ms": int(row["timestamp"])}
        if self.more == "shift":
            event["ts_ms"] += 3_600_123
        if self.more in ("drops", "next"):
            price = self.rows[min(i + 1, len(self.rows) - 1)]
        event.update(bid=float(price["bid"]), ask=float(price["ask"]), bid_size=20.0, ask_size=30.0)
        if self.more == "centred":
            near = [float(row["bid"]) for row in self.rows[max(0, i - 5) : i + 6]]
            event["mean"] = sum(near) / len(near)
        return event


class Pairs(Rows):
    """Events of several files, merged by time; one may be a normalised one."""

    def __init__(self, files, norm=False):
        rows = [dict(row, market=str(n)) for n, file in enumerate(files) for row in rows_of(file)]
        self.rows = sorted(rows, key=lambda row: (int(row["timestamp"]), row["market"]))
        self.mean = sum(float(row["bid"]) for row in rows) / len(rows) if norm else 0.0
        self.at = 0

    def next_event(self):
        if self.at == len(self.rows):
            return None
        row = self.rows[self.at]
        self.at += 1
        return {"market_id": "M" + row["market"], "ts_ms": int(row["timestamp"]), "bid": float(row["bid"]),
                "ask": float(row["ask"]), "bid_size": 20.0, "ask_size": 30.0, "off": self.mean - float(row["bid"])}
'''


def config_of(data, model="", more=None):
    return {
        "run": {"mode": "backtest"},
        "guards": {"max_spread_bps": 1_000.0},
        "data": data,
        "model": {"model": model} if isinstance(model, str) else model,
        "instruments": [{"market_id": "M", "tick_size": "0.001", "lot_size": "1"}],
        **(more or {}),
    }


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "planted.py").write_text(CODE)
    (tmp_path / "q.csv").write_text("\n".join([HEADER, *ROWS]) + "\n")
    (tmp_path / "calendar.txt").write_text("a day off\n" * 200)
    return tmp_path


@pytest.fixture
def look(folder, monkeypatch, capsys):
    """Check a config, each run in this process, and give what is found."""

    def here(config, shown, events, output, tell, hash_seed="0"):
        return run_cut(config, shown, events, output)

    monkeypatch.setattr(command, "run_apart", here)

    def call(config, **more):
        config = config_from_dict(config) if isinstance(config, dict) else config
        code = command.lookahead_and_print(
            config,
            json=True,
            quiet=True,
            **{"cuts": 5, "at": (), "spare": 0, "narrow": False, "whole": (), **more},
        )
        found = json.loads(capsys.readouterr().out)
        assert code == (0 if found["clean"] else 1)
        return found

    return call


CSV = {"source": "csv", "params": {"files": "q.csv", "market_id": "M"}}


def own(**params):
    return {"source": "planted.py:Rows", "params": params}


# ---------------------------------------------------------------- found


def test_a_model_with_the_score_over_the_whole_file(look):
    model = {"model": "planted.py:scored", "params": {"data": {"file": "q.csv"}}}
    found = look(config_of(CSV, model))
    assert found["first"]["field"] == "proposal.params.z"
    assert found["first"]["step"] == 1
    assert "q.csv: copies that end behind the row of the last event" in found["cut"][0]
    assert found["notes"] == []


@pytest.mark.parametrize("name", ["q.csv.gz", "q.csv.bz2"])
def test_a_model_that_reads_a_packed_file(look, folder, name):
    pack = gzip.compress if name.endswith("gz") else bz2.compress
    (folder / name).write_bytes(pack((folder / "q.csv").read_bytes()))
    model = {"model": "planted.py:scored", "params": {"data": {"file": str(folder / name)}}}
    data = {"source": "csv", "params": {"files": [name], "market_id": "M"}}
    found = look(config_of(data, model), cuts=2)
    assert found["first"]["field"] == "proposal.params.z"


@pytest.mark.parametrize(
    ("more", "field", "needs"),
    [("next", "input bid", (0, 1)), ("drops", "event", (0, 1)), ("centred", "input extra.mean", (0, 1))],
)
def test_a_source_that_reads_ahead(look, more, field, needs):
    found = look(config_of(own(file="q.csv", more=more), "planted.py:plain"), narrow=True)
    assert found["first"]["field"] == field
    if more != "centred":
        assert (found["needs_more_than"], found["needs_at_most"]) == needs
        assert found["first"]["event"] == found["prefixes"][0]["events"]
    else:
        assert (
            found["prefixes"][0]["events"] - found["first"]["event"] == 4
        )  # five rows: the last misses all five
        assert (found["needs_more_than"], found["needs_at_most"]) == (4, 5)
    assert "the rows of the time of the last event" in found["cut"][0]


def test_rows_that_do_not_tell_the_time_are_counted(look):
    found = look(config_of(own(file="q.csv", more="shift"), "planted.py:plain"))
    assert found["clean"]
    assert "its rows do not tell the times of the events" in found["notes"][0]
    assert all(prefix["packets"] == prefix["events"] for prefix in found["prefixes"])


def test_a_calendar_is_left_whole_where_that_is_said(look):
    data = own(file="q.csv", calendar="calendar.txt")
    assert look(config_of(data, "planted.py:plain"), whole=[Path("calendar.txt")])["clean"]


def test_several_files_of_a_source_are_cut_at_one_time(look, folder):
    other = [f"{T0 + 130 * i},{bid:.3f},{bid + 0.01:.3f},20,30" for i, bid in enumerate(BIDS[:100])]
    (folder / "p.csv").write_text("\n".join([HEADER, *other]) + "\n")
    data = {"source": "planted.py:Pairs", "params": {"files": ["q.csv", "p.csv"]}}
    found = look(config_of(data, "planted.py:plain"), cuts=3)
    assert found["clean"], found
    assert found["events"] == COUNT + 100
    data["params"]["norm"] = True
    found = look(config_of(data, "planted.py:plain"), cuts=1)
    assert found["first"]["field"] == "input extra.off"


def test_another_file_of_a_model_is_told(look, folder):
    model = {"model": "planted.py:plain", "params": {"weights": "calendar.txt"}}
    found = look(config_of(CSV, model))
    assert found["clean"]
    assert "model.params.weights names calendar.txt, which is not cut" in found["notes"][0]


def test_files_read_one_after_the_other(look, folder):
    (folder / "a.csv").write_text("\n".join([HEADER, *ROWS[:100]]) + "\n")
    (folder / "b.csv").write_text("\n".join([HEADER, "", *ROWS[100:]]) + "\n")
    data = {"source": "csv", "params": {"files": ["a.csv", "b.csv"], "market_id": "M"}}
    model = {"model": "planted.py:scored", "params": {"data": {"file": "b.csv"}}}
    found = look(config_of(data, "planted.py:plain"), at=[30, 99, 100, 101, 159])
    assert found["clean"], found
    found = look(config_of(data, model), at=[130])
    assert found["first"]["field"] == "proposal.params.z"


def test_levels_of_one_message_in_several_rows(look, folder):
    rows = ["ts,side,price,size,is_snapshot"]
    for i in range(60):
        rows += [f"{T0 + 100 * i},{side},{price + 0.001 * (i % 5):.3f},{10 + i},{str(i == 0).lower()}"
                 for side, price in (("buy", 0.40), ("sell", 0.41), ("buy", 0.39))]  # fmt: skip
    (folder / "d.csv").write_text("\n".join(rows) + "\n")
    data = {"source": "csv", "params": {"files": "d.csv", "market_id": "M"}}
    found = look(config_of(data, "planted.py:plain"), at=[1, 2, 25, 40, 59])
    assert (found["events"], found["clean"]) == (60, True)


def test_parquet_is_cut_as_well(look, folder):
    polars = pytest.importorskip("polars")
    polars.read_csv(folder / "q.csv").write_parquet(folder / "q.parquet")
    data = {"source": "parquet", "params": {"files": "q.parquet", "market_id": "M"}}
    (folder / "reader.py").write_text(
        "import polars\nfrom planted import act\n"
        "def top(features, *, params):\n"
        "    return act(features, top=polars.read_parquet(params['file'])['ask_size'].len())\n".replace(
            "from planted import act", "exec(__import__('pathlib').Path('planted.py').read_text())"
        )
    )
    assert look(config_of(data, "planted.py:plain"), cuts=2)["clean"]
    found = look(config_of(data, {"model": "reader.py:top", "params": {"file": "q.parquet"}}), cuts=2)
    assert found["first"]["field"] == "proposal.params.top"


def test_the_simulator_is_asked_for_fewer_events(look):
    found = look(config_from_dict({"data": {"sim": {"num_events": 200}}}))
    assert found["clean"]
    assert "the simulator" in found["cut"][0]


def test_chance_is_told_apart(look):
    found = look(config_of(CSV, "planted.py:coin"))
    assert (found["clean"], found["first"]) == (False, None)
    assert found["unstable"]["field"] == "proposal.confidence"


def test_what_cannot_be_checked_is_refused(look):
    with pytest.raises(ConfigError, match="mdm lookahead runs"):
        look(config_of(CSV, "", {"run": {"mode": "paper"}}))
    with pytest.raises(ConfigError, match="cuts is 0"):
        look(config_of(CSV), cuts=0)


# ---------------------------------------------------------------- the shipped examples


@pytest.mark.parametrize("config", sorted((ROOT / "examples").glob("*.toml")), ids=lambda config: config.name)
def test_the_examples_are_clean(config, look, request, monkeypatch):
    if "${MDM_DATA}" in config.read_text(encoding="utf-8"):
        monkeypatch.setenv("MDM_DATA", str(request.getfixturevalue("mdm_data")))
    monkeypatch.chdir(ROOT)  # they name examples/quoter.py
    found = look(load_config(config, ("run.steps=200",)), cuts=3)
    assert found["clean"], found["first"] or found["unstable"]
    assert found["events"] == 200
    assert len(found["prefixes"]) == 3
    assert all(prefix["packets"] >= prefix["events"] for prefix in found["prefixes"])


def test_books_are_cut_with_their_messages(look, mdm_data):
    day = mdm_data / "lobster-aapl-20120621"
    params = {
        "files": str(day / "AAPL_2012-06-21_message_50.csv.gz"),
        "orderbook": str(day / "AAPL_2012-06-21_orderbook_50.first672.csv.gz"),
    }
    config = config_of(
        {"source": "lobster", "params": params},
        "planted.py:plain",
        {"run": {"mode": "backtest", "steps": 150}},
    )
    found = look(config, at=[40, 150])
    assert found["clean"], found["first"] or found["prefixes"]
    assert "message_50.csv.gz, AAPL_2012-06-21_orderbook_50" in found["cut"][0]


# ---------------------------------------------------------------- the command


@pytest.fixture
def mdm(folder):
    def call(text, *words):
        (folder / "run.toml").write_text(text)
        return subprocess.run(
            [sys.executable, "-c", "from ami_engine.cli import main; main()", "lookahead", "-c", "run.toml", *words],
            cwd=folder, capture_output=True, text=True, timeout=120, check=False,
            env={"PATH": "", "HOME": str(folder)},
        )  # fmt: skip

    return call


TOML = """
[run]
mode = "backtest"
[data]
source = "csv"
[data.params]
files = "q.csv"
market_id = "M"
[model]
model = "planted.py:{model}"
params = {{ data = {{ file = "q.csv" }} }}
[guards]
max_spread_bps = 1000.0
[[instruments]]
market_id = "M"
tick_size = "0.001"
lot_size = "1"
"""


def test_the_command_says_what_used_the_future(mdm, folder):
    done = mdm(TOML.format(model="scored"), "--cuts", "2")
    assert (done.returncode, done.stderr) == (1, "")
    for words in (
        "used future your model: proposal.params.z",
        "where       step 1, event 1, 2024-08-08T23:54:16.000000000Z, market M",
        "Look-ahead: your model used events that came later",
        "A prefix check proves look-ahead where it finds it",
    ):
        assert words in done.stdout, done.stdout
    assert not (folder / "traces").exists()


def test_the_command_ends_with_0_where_nothing_is_found_and_2_for_bad_input(mdm):
    done = mdm(TOML.format(model="plain"), "--cuts", "1")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Nothing found: each prefix gave the first packets of the whole run." in done.stdout
    for words, error in ((("--cuts", "x"), ""), (("--set", "run.steps=0"), "give it more events")):
        done = mdm(TOML.format(model="plain"), *words)
        assert done.returncode == 2
        assert error in done.stderr


def test_the_order_of_a_set_is_chance(mdm):
    done = mdm(TOML.format(model="ordered"), "--cuts", "1", "--json")
    assert done.returncode == 1
    found = json.loads(done.stdout)
    assert found["unstable"]["field"] == "proposal.params.note"
    assert found["first"] is None
