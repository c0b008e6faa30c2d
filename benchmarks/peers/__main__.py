"""Run every side on the same data in turn and write RESULTS.md: `python -m benchmarks.peers`, `make peers`.

Needs nothing but Python: each side gets an environment of its own under .envs. See README.md.
"""

import argparse
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
import venv
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
ENVS = HERE / ".envs"
DATA = HERE / ".data"
OURS = "mdm-engine"


@dataclass
class Side:
    """One thing that is run: a script, its variant, and the row of ours that it is measured against."""

    env: str
    script: str
    variant: str
    what: str
    against: str = ""
    results: list[dict[str, Any]] = field(default_factory=list)
    failure: str = ""

    @property
    def best(self) -> dict[str, Any]:
        return min(self.results, key=lambda result: float(result["seconds"]))


def sides() -> list[Side]:
    hft, nautilus = ("hftbacktest", "peer_hftbacktest.py"), ("nautilus", "peer_nautilus.py")
    return [
        Side("ours", "ours.py", "plain", "mdm-engine, full rule, no latency"),
        Side(*hft, "plain", "hftbacktest, short rule, no latency", "plain"),
        Side("ours", "ours.py", "queue", "mdm-engine, full rule, 5 ms and queue"),
        Side(*hft, "queue", "hftbacktest, short rule, 5 ms and queue", "queue"),
        Side(*hft, "full", "hftbacktest, **full rule**, 5 ms and queue", "queue"),
        Side(*nautilus, "quoting", "NautilusTrader, short rule, no latency", "plain"),
        Side(*nautilus, "queue", "NautilusTrader, short rule, 5 ms", "queue"),
        Side(*nautilus, "noop", "NautilusTrader, a strategy that does nothing", "plain"),
    ]


# ---------------------------------------------------------------- environments


def python_of(env: str) -> Path:
    """Make the environment of a side unless it stands and its requirements are the same; give its Python."""
    folder, wanted = ENVS / env, HERE / f"requirements-{env}.txt"
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    stamp, digest = folder / ".made", hashlib.sha256(wanted.read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text() == digest:
        return python
    print(f"making the environment of {env}", flush=True)
    venv.create(folder, with_pip=True, clear=True)
    command = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check", "-r", str(wanted)]
    if env == "ours":
        command += ["-c", str(ROOT / "constraints.txt"), "-e", str(ROOT)]
    subprocess.run(command, check=True)
    stamp.write_text(digest)
    return python


# ---------------------------------------------------------------- running


def run(side: Side, python: Path, data: Path, rows: int | None = None) -> None:
    """Run one side once, in a process of its own; a failure is kept and ends nothing else."""
    environment = os.environ | {
        "PEERS_STARTED_NS": str(time.time_ns()),
        "NUMBA_CACHE_DIR": str(DATA / "numba"),
        "MDM_CACHE": str(DATA / "mdm"),
    }
    command = [str(python), str(HERE / side.script), str(data), "--variant", side.variant]
    command += [] if rows is None else ["--rows", str(rows)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        error = (done.stderr.strip().splitlines() or ["no word"])[-1]
        side.failure = error.replace(str(ROOT), ".").replace(str(Path.home()), "~")
        print(f"  {side.what}: FAILED: {side.failure}", flush=True)
        return
    result = json.loads(lines[-1])
    side.results.append(result)
    print(f"  {side.what}: {result['rows_per_s']:,.0f} events/s", flush=True)


# ---------------------------------------------------------------- the report


def rounded(value: float) -> str:
    """Write a number with three digits that count.

    >>> rounded(1234567.0), rounded(0.1234)
    ('1,230,000', '0.123')
    """
    if value >= 1_000:
        return f"{float(f'{value:.3g}'):,.0f}"
    return f"{value:.3g}"


def processor() -> str:
    """Name the kind of processor, as far as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        named = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        named = platform.processor() or platform.machine()
    return f"{named}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}"


def table(ran: list[Side]) -> str:
    """Lay out speeds, and how many times ours is."""
    ours = {side.variant: side.best for side in ran if side.env == "ours" and side.results}
    lines = [
        "| side | rows | events/s (worst) | quotes/s | feed rows/s | ours / it | ... feed rows | start (s) |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for side in ran:
        if not side.results:
            lines.append(f"| {side.what} | | failed: {side.failure} | | | | | |")
            continue
        best = side.best
        worst = min(result["worst_rows_per_s"] for result in side.results)
        base = ours.get(side.against)
        ratio = f"{base['rows_per_s'] / best['rows_per_s']:.3g}" if base else ""
        feed = rounded(best["feed_rows_per_s"]) if "feed_rows_per_s" in best else ""
        on_feed = ""
        if base and "feed_rows_per_s" in best:
            on_feed = f"{base['rows_per_s'] / best['feed_rows_per_s']:.3g}"
        starts = [result["start_seconds"] for result in side.results]
        later = f"{min(starts[1:]):.2f}" if len(starts) > 1 else ""
        lines.append(
            f"| {side.what} | {best['rows']:,} | {rounded(best['rows_per_s'])} ({rounded(worst)}) "
            f"| {rounded(best['quotes_per_s'])} | {feed} | {ratio} | {on_feed} | {starts[0]:.2f}, {later} |"
        )
    return "\n".join(lines)


def counts(ran: list[Side]) -> str:
    """Lay out what each side did, per 1,000 rows, so that a side that does less shows."""
    lines = [
        "| side | rows seen | wants to quote | new orders | replaced | fills | farthest position |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for side in ran:
        if not side.results:
            continue
        best, rows = side.best, side.best["rows"] / 1_000
        seen = f"{best['wakes']:,}" if "wakes" in best else f"{best['rows']:,}"
        each = [
            f"{best[key] / rows:.1f}" if best.get(key) is not None else ""
            for key in ("acts", "sent", "modified", "fills")
        ]
        farthest = f"{best['farthest_position']:g}" if "farthest_position" in best else ""
        lines.append(f"| {side.what} | {seen} | {' | '.join(each)} | {farthest} |")
    return "\n".join(lines)


def same_rows(ran: list[Side], python: Path, data: Path) -> str:
    """Say whether ours and hftbacktest want to quote at as many of the same rows."""
    ours = next((s.best for s in ran if s.env == "ours" and s.variant == "queue" and s.results), None)
    side = next(s for s in ran if s.env == "hftbacktest" and s.variant == "full")
    if ours is None or not side.results:
        return "Not compared: one of the sides failed."
    theirs = side.best
    if theirs["rows"] != ours["rows"]:
        other = Side(side.env, side.script, side.variant, f"{side.what}, the rows of ours")
        run(other, python, data, rows=ours["rows"])
        if not other.results:
            return "Not compared: the second run failed."
        theirs = other.best
    verdict = "as often" if theirs["acts"] == ours["acts"] else "**not as often: the rules differ**"
    wants = f"mdm-engine wants to quote at {ours['acts']:,} and hftbacktest at {theirs['acts']:,}: {verdict}."
    return f"On the same {ours['rows']:,} rows, with the full rule, {wants}"


def report(ran: list[Side], rounds: int, agreement: str) -> str:
    versions = {side.env: side.best["versions"] for side in ran if side.results}
    told = "; ".join(
        f"for {env} " + ", ".join(f"{name} {number}" for name, number in found.items())
        for env, found in versions.items()
    )
    return f"""\
# Speed beside other engines

Written by `make peers`: the best of {rounds} rounds, the sides in turn within a round. The rule is in
[rule.md](rule.md), how to run it in [README.md](README.md). Trust the ratios of one run; absolute figures
hang on the machine and on what else it does.

Machine: {processor()}. Versions: {told}.

## Speed

"ours / it" is how many times as many events a second mdm-engine does, **with the full rule**, at the same
latency and queue model; below 1 the other one is faster. Beside it, against the rows of its own feed. The
start is told first with empty caches, then the best later one.

{table(ran)}

## What each did, per 1,000 rows

{counts(ran)}

{agreement}

{(HERE / "not_the_same.md").read_text(encoding="utf-8")}"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quotes", type=int, default=1_000_000)
    parser.add_argument("--out", type=Path, default=HERE / "RESULTS.md")
    for env in ("ours", "hftbacktest", "nautilus"):
        parser.add_argument(f"--{env}", type=Path, metavar="PYTHON", help=f"of another environment for {env}")
    given = parser.parse_args()
    ran = sides()
    pythons = {env: getattr(given, env) or python_of(env) for env in dict.fromkeys(side.env for side in ran)}
    data = DATA / f"market-{given.quotes}.npz"
    if not data.is_file():
        command = [str(pythons["hftbacktest"]), str(HERE / "make_data.py"), str(data)]
        subprocess.run([*command, "--quotes", str(given.quotes)], check=True)
    for cache in ("numba", "mdm"):
        shutil.rmtree(DATA / cache, ignore_errors=True)
    for number in range(given.rounds):
        print(f"round {number + 1} of {given.rounds}", flush=True)
        for side in ran:
            if not side.failure:
                run(side, pythons[side.env], data)
    agreement = same_rows(ran, pythons["hftbacktest"], data)
    given.out.write_text(report(ran, given.rounds, agreement), encoding="utf-8")
    print(f"written: {given.out.name}")
    sys.exit(any(side.failure for side in ran))


if __name__ == "__main__":
    main()
