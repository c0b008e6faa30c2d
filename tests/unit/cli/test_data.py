"""``mdm data inspect`` as a user meets it: report, picture, a config that runs, exit codes."""

import gzip
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from ami_engine.assembly import make_sources, run_config, with_run
from ami_engine.cli.data import inspect_and_print
from ami_engine.config import load_config
from decision_schema.errors import MarketDataError

START = 1_723_161_256_000
TABLE = "ts,received,bid,ask,bid_size,ask_size\n" + "".join(
    f"{START + 100 * n},{START + 100 * n - 1_277},9.{n % 7}1,9.{n % 7}3,1,2\n" for n in range(300)
)


@pytest.fixture
def shown(tmp_path, capsys):
    """Write a file, inspect it, and give exit code, output and error output."""

    def call(content, name="btcusdt.csv", *, json=False):
        file = tmp_path / name
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        code = inspect_and_print(file, json=json)
        return code, *capsys.readouterr()

    return call


def rows_of(output):
    return {line.split()[0]: line[12:] for line in output.splitlines() if line and line[0].islower()}


def test_the_report(shown):
    code, output, errors = shown(TABLE)
    rows = rows_of(output.partition("# a config")[0])
    assert (code, errors) == (0, "")
    assert rows["file"] == "btcusdt.csv, 12.6 kB, 300 rows, 300 events"
    assert rows["format"].startswith("csv: a table of quotes: ts 'ts', received 'received'")
    assert rows["params"] == "market_id = 'BTCUSDT' (a guess)"
    assert rows["span"] == "2024-08-08 23:54:14.723 to 2024-08-08 23:54:44.623 UTC (29.9 s, ours of receipt)"
    assert rows["venue"] == "2024-08-08 23:54:16.000 to 2024-08-08 23:54:45.900 UTC"
    assert rows["market"] == "BTCUSDT: 300 events, longest silence 0.100 s"
    assert rows["parts"] == "quotes 300 (10/s)"
    assert rows["price"] == "mid: first 9.02, last 9.52, low 9.02, high 9.62"
    assert rows["spread"] == "median 0.02, 5 % 0.02, 95 % 0.02; in bps 21.5, 20.8, 22.2"
    assert rows["grid"].startswith("prices are multiples of 0.01, sizes are multiples of 1: a hint")
    assert "min -1,277.0 ms, median -1,277.0, 95 % -1,277.0; clock_offset_ms = -1277" in rows["clock"]
    assert "300 events are more than 1,000 ms ahead of our clock" in output
    assert "      9.62 │" in output
    assert "BTCUSDT: mid, spread below" in output


def test_the_config_it_gives_runs(shown, tmp_path):
    _, output, _ = shown(TABLE)
    file = tmp_path / "run.toml"
    file.write_text(output.partition("# a config that runs it\n")[2])
    config = load_config(file, ())
    assert config.data.params["clock_offset_ms"] == -1277
    assert config.instruments[0].tick_size == "0.01"
    summary = run_config(with_run(config, output_dir=tmp_path))
    assert (summary["steps"], summary["bad_inputs"]) == (300, {})


NAMES = ['a "quoted" name.csv', "back\\slash.csv", "tab\tname.csv", "ünïcode.csv", "🙂.csv", "#.csv"]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_of_a_file_is_valid_toml(shown, tmp_path, name):
    _, output, _ = shown(TABLE, name)
    config = output.partition("# a config that runs it\n")[2]
    if name.isprintable():
        assert tomllib.loads(config)["data"]["params"]["files"] == [str(tmp_path / name)]


def test_every_kind_of_param_is_valid_toml(shown, tmp_path):
    messages = "34200.1,1,7,18,5853300,1\n34200.2,1,8,18,5853500,-1\n"
    (tmp_path / "AAPL_2012-06-21_orderbook_1.csv").write_text("5853500,18,5853300,18\n")
    _, output, _ = shown(messages, "AAPL_2012-06-21_message_1.csv")
    file = tmp_path / "run.toml"
    file.write_text(output.partition("# a config that runs it\n")[2])
    (source,) = make_sources(load_config(file, ()))
    assert source.next_event()["bids"] == [(585.33, 18.0)]


def test_json_has_all_fields(shown):
    code, output, errors = shown(TABLE, json=True)
    seen = json.loads(output)
    assert (code, errors) == (0, "")
    assert (seen["format"], seen["rows"], seen["broken"]) == ("csv", 300, "")
    assert seen["clock"]["offset_ms"] == -1277
    assert seen["markets"][0]["tick_hint"] == "0.01"
    assert len(seen["markets"][0]["picture"]["buckets"]) <= 512


def test_a_file_that_breaks_off(shown):
    cut = gzip.compress(TABLE.encode())[:-60]
    for as_json in (False, True):
        code, output, errors = shown(cut, json=as_json)
        assert code == 2
        assert errors.startswith("mdm: btcusdt.csv: row ")
        assert "the gzip stream is cut" in errors
        assert len(errors.splitlines()) == 1
        assert "events" in output


def test_several_markets(shown):
    rows = [f"{START + n},{chr(65 + n % 25)},9.1,9.2\n" for n in range(77)]
    _, output, _ = shown("ts,symbol,bid,ask\n" + "".join(rows))
    assert "market      A: 4 events, longest silence 0.025 s" in output
    assert "market      C: 3 events, quotes 3 (60/s)" in output
    assert "market      and 5 more" in output
    assert output.count("[[instruments]]") == 20


def test_names_from_a_file_cannot_steer_the_terminal(shown):
    _, output, _ = shown(f"ts,symbol,bid,ask\n{START},\x1b[31mX[bold]\x07,9.1,9.2\n")
    assert "\x1b" not in output
    assert "\x07" not in output
    assert "\ufffd[31mX[bold]\ufffd" in output


def test_no_price_no_picture(shown):
    code, output, _ = shown(f"ts,bid,ask\n{START},,\n")
    assert code == 0
    assert "no price was read" in output
    assert "│" not in output


@pytest.mark.parametrize("encoding", ["ascii", "utf-8", "latin-1"])
def test_any_encoding_of_the_output(tmp_path, encoding):
    (tmp_path / "btcusdt.csv").write_text(TABLE)
    done = mdm(tmp_path, "data", "inspect", "btcusdt.csv", encoding=encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    text = done.stdout.decode(encoding)
    assert ("│" in text) == (encoding == "utf-8")
    assert 'files = ["btcusdt.csv"]' in text
    assert all(len(line) <= 60 for line in text.splitlines() if "|" in line or "│" in line)


BAD = {
    "missing": (None, "does not exist: check the path and MDM_DATA"),
    "empty": (b"", "is empty: it holds no row"),
    "binary": (b"\x00\x01\x02" * 100, "is binary and of no format that is known"),
    "unknown": (b"a,b,c\n1,2,3\n", "no columns of bid and ask"),
    "other json": (b'{"type":"l2update"}\n', "JSON messages of no venue that is known"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_read_is_one_line_and_exit_2(tmp_path, case):
    content, says = BAD[case]
    if content is not None:
        (tmp_path / "x").write_bytes(content)
    done = mdm(tmp_path, "data", "inspect", "x")
    assert (done.returncode, done.stdout) == (2, b"")
    assert says in done.stderr.decode()
    assert len(done.stderr.splitlines()) == 1
    with pytest.raises(MarketDataError, match=says):
        inspect_and_print(tmp_path / "x", json=True)


def mdm(folder: Path, *words: str, encoding: str = "utf-8") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", "from ami_engine.cli import main; main()", *words],
        cwd=folder, capture_output=True, timeout=120, check=False,
        env={"PYTHONIOENCODING": encoding, "COLUMNS": "60", "PATH": ""},
    )  # fmt: skip
