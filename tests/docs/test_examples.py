"""The examples run as they stand."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.mark.parametrize("script", sorted(EXAMPLES.glob("*.py")), ids=lambda script: script.name)
def test_script(script, tmp_path):
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("config", sorted(EXAMPLES.glob("*.toml")), ids=lambda config: config.name)
def test_config(config, tmp_path):
    from ami_engine.assembly import run_config, with_run
    from ami_engine.config import load_config

    summary = run_config(with_run(load_config(config), steps=50, run_id="r", output_dir=tmp_path))
    assert summary["steps"] == 50
