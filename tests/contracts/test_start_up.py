"""What start-up may load: names of modules, not times (`benchmarks/start_up.py` measures those)."""

import subprocess
import sys

import pytest

HEAVY = ("numpy", "numba", "polars", "pyarrow", "rich", "cyclopts", "asyncio")
HELP = "import sys; sys.argv = ['mdm', '--help']\nfrom ami_engine.cli import main\nmain()"
LOADED = """
import sys
code, *names = sys.argv[1:]
try:
    exec(code, {"__name__": "started"})
except SystemExit as end:
    assert not end.code, end
print("loaded:", *sorted(set(names) & set(sys.modules)))
"""
FIRST_DECISION = """
from ami_engine.adapters import Broker, MarketDataSource
from ami_engine.loop.run_loop import run_loop

class Source(MarketDataSource):
    left = 3

    def next_event(self):
        self.left -= 1
        return {"bid": 0.49, "ask": 0.51, "depth": 100, "ts_ms": 1_000_000 - self.left} if self.left >= 0 else None

class OurBroker(Broker):
    def submit_order(self, order):
        return None

assert run_loop(Source(), OurBroker(), run_id="first")["steps"] == 3
"""


def loaded(code, names, folder):
    command = [sys.executable, "-c", LOADED, code, *names]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].split()[1:]


@pytest.mark.parametrize(
    "code",
    [
        "import ami_engine",
        "import ami_engine.cli",
        "import ami_engine.loop.run_loop",
        "import ami_engine.config",
        FIRST_DECISION,
    ],
    ids=["ami_engine", "cli", "run_loop", "config", "first decision"],
)
def test_loads_no_heavy_library(code, tmp_path):
    assert loaded(code, HEAVY, tmp_path) == []


def test_the_loop_loads_no_reader_of_settings_files(tmp_path):
    names = ("tomllib", "difflib", "importlib.resources", "dmc_core.dmc.named_policies")
    assert loaded("import ami_engine.config", names, tmp_path) == []


def test_help_loads_neither_the_runtime_nor_a_markdown_parser(tmp_path):
    names = (
        "msgspec",
        "markdown_it",
        "rich.markdown",
        "pygments",
        "rich.progress",
        "ami_engine.loop",
        "dmc_core",
    )
    heavy = tuple(name for name in HEAVY if name not in ("rich", "cyclopts"))
    assert loaded(HELP, (*names, *heavy), tmp_path) == []


def test_a_run_that_shows_no_bar_loads_none(tmp_path):
    demo = HELP.replace("'--help'", "'demo', '--events', '3', '--quiet'")
    assert loaded(demo, ("rich.progress", "markdown_it", "numba", "polars"), tmp_path) == []
