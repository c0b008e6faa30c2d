"""Time to start: `python benchmarks/start_up.py [TIMES]`.

Starts a new process for each case, several times in turn, and takes the best. `ratio` is against
`python -c pass` of the same run; ratios compare between machines better than seconds do. Byte code is
kept in a folder of its own, filled before the first measurement: what is measured is the second start.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SOURCES = Path(__file__).resolve().parents[1] / "src"
MDM = "import sys; sys.argv = ['mdm', *sys.argv[1:]]\nfrom ami_engine.cli import main\nmain()"
FIRST_DECISION = """
from ami_engine.adapters import Broker, MarketDataSource
from ami_engine.loop.run_loop import run_loop
from decision_schema.types import Action, Proposal

class Source(MarketDataSource):
    left = [{"bid": 0.49, "ask": 0.51, "depth": 100, "ts_ms": 1_000_000 + step} for step in range(3)]
    def next_event(self):
        return self.left.pop(0) if self.left else None

class FirstOrder(Broker):
    def submit_order(self, order):
        print("submitted", flush=True)

def model(features):
    return Proposal(action=Action.ACT, confidence=0.9, params={"side": "buy", "price": 0.48, "size": 1})

run_loop(Source(), FirstOrder(), decision_engine=model)
"""
BASE = "python -c pass"
CASES: dict[str, tuple[str, ...]] = {
    BASE: ("-c", "pass"),
    "import msgspec": ("-c", "import msgspec"),
    "import cyclopts": ("-c", "import cyclopts"),
    "import ami_engine": ("-c", "import ami_engine"),
    "import run_loop": ("-c", "import ami_engine.loop.run_loop"),
    "mdm --help": ("-c", MDM, "--help"),
    "first decision": ("-c", FIRST_DECISION),
    "mdm demo --events 20": ("-c", MDM, "demo", "--events", "20"),
    "mdm demo": ("-c", MDM, "demo"),
}
"""Measured to the first line that the process prints, or to its end where it prints none."""
SLOW = {"mdm demo": 3}
"""Cases that are run so many times only."""


def seconds(words: tuple[str, ...], folder: str) -> float:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"PYTHONPATH": str(SOURCES), "PYTHONPYCACHEPREFIX": str(Path(folder) / "bytecode")}
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *words],
        cwd=folder,
        env=environment | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    first = process.stdout.readline() if process.stdout else b""
    spent = time.perf_counter() - begun
    _, errors = process.communicate()
    if process.returncode:
        raise SystemExit(f"{' '.join(words)}: exit {process.returncode}: {errors.decode()}")
    return spent if first else time.perf_counter() - begun


def main(times: int) -> None:
    best = dict.fromkeys(CASES, float("inf"))
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(times + 1):
            for name, words in CASES.items():
                if turn > SLOW.get(name, times):
                    continue
                spent = seconds(words, folder)
                if turn:  # the first turn fills the byte code
                    best[name] = min(best[name], spent)
    print(f"best of {times}, Python {sys.version.split()[0]}")
    print(f"{'start':<22}{'ms':>8}{'ratio':>8}")
    for name, spent in best.items():
        print(f"{name:<22}{spent * 1e3:>8.0f}{spent / best[BASE]:>8.1f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
