"""The examples run as they stand; docs/backtest.md explains one of them as it is.

`python -m tests.docs.test_examples` writes the output on that page anew (MDM_DATA must be set).
"""

import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import pytest

from tests.docs.test_readme import masked

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
PAGE = ROOT / "docs" / "backtest.md"
OUTPUT = re.compile(r"```\n(mdm backtest -c (\S+)[^\n]*)\n```\n\n```text\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize("script", sorted(EXAMPLES.glob("[0-9]*_*.py")), ids=lambda script: script.name)
def test_script(script, tmp_path):
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("config", sorted(EXAMPLES.glob("*.toml")), ids=lambda config: config.name)
def test_config(config, tmp_path, request, monkeypatch):
    from ami_engine.assembly import run_config, with_run
    from ami_engine.config import load_config

    if "${MDM_DATA}" in config.read_text(encoding="utf-8"):
        monkeypatch.setenv("MDM_DATA", str(request.getfixturevalue("mdm_data")))
    monkeypatch.chdir(ROOT)  # they name examples/quoter.py
    summary = run_config(with_run(load_config(config), steps=50, run_id="r", output_dir=tmp_path))
    assert summary["steps"] == 50
    assert summary["model_errors"] == {}


def shown() -> re.Match[str]:
    found = OUTPUT.search(PAGE.read_text(encoding="utf-8"))
    assert found
    return found


def backtest(words: str) -> str:
    """Run the page's command in the repository, its traces elsewhere."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", "from ami_engine.cli import main; main()", *words.split()[1:]]
        done = subprocess.run(
            [*command, "--output-dir", folder],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.replace(folder, "traces")


def test_the_backtest_page_explains_the_config_as_it_is():
    page = PAGE.read_text(encoding="utf-8")
    explained = "\n".join(re.findall(r"```toml\n(.*?)```", page.partition("## The summary")[0], re.DOTALL))
    assert tomllib.loads(explained) == tomllib.loads((EXAMPLES / "btc_perp.toml").read_text(encoding="utf-8"))


def test_the_backtest_page_shows_what_is_printed(mdm_data, monkeypatch):
    monkeypatch.setenv("MDM_DATA", str(mdm_data))
    found = shown()
    assert masked(backtest(found[1])) == masked(found[3])


if __name__ == "__main__":
    found = shown()
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(text[: found.start(3)] + backtest(found[1]) + text[found.end(3) :], encoding="utf-8")
