"""Runs side by side: results in order, failures under their name, and a clean end."""

import functools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ami_engine.loop.run_batch import run_batch
from ami_engine.loop.run_many import Done, run_many
from decision_schema.errors import ConfigError


def fills(half_spread_ticks):
    """Run a few rows; as in a process of a user's."""
    from ami_engine.config import config_from_dict

    rows = range(40)
    data = {
        "ts_ms": [1_000 * (i + 1) for i in rows],
        "bid": [0.49 + 0.01 * (i % 3) for i in rows],
        "ask": [0.51 + 0.01 * (i % 3) for i in rows],
        "depth": [90.0 for _ in rows],
    }
    config = config_from_dict({"execution": {"half_spread_ticks": half_spread_ticks}})
    done = run_batch(data, config=config, run_id="many", market_id="M", fast=False)
    return done.summary["steps"], done.summary["orders_submitted"], os.getpid()


def slow_then(value):
    time.sleep(0.5)
    return value


def fails():
    raise ValueError("no such file, token=abcdef0123456789abcdef")


def dies():
    os.kill(os.getpid(), signal.SIGKILL)


def gives_what_cannot_travel():
    return lambda: 1


def test_results_come_in_order_from_other_processes():
    jobs = {f"half-{ticks}": functools.partial(fills, ticks) for ticks in (0.5, 1.0, 2.0)}
    found = run_many(jobs)
    assert [done.name for done in found] == list(jobs)
    assert [done.error for done in found] == ["", "", ""]
    assert {done.result[0] for done in found} == {40}
    assert os.getpid() not in {done.result[2] for done in found}
    assert [done.result[:2] for done in found] == [fills(ticks)[:2] for ticks in (0.5, 1.0, 2.0)]


def test_a_job_that_fails_is_told_by_name_and_the_others_finish():
    jobs = {
        "first": functools.partial(slow_then, 1),
        "fails": fails,
        "local": lambda: 1,
        "dies": dies,
        "stays": gives_what_cannot_travel,
        "last": functools.partial(slow_then, 2),
    }
    found = {done.name: done for done in run_many(jobs, workers=2)}
    assert list(found) == list(jobs)
    assert found["first"] == Done("first", 1)
    assert found["last"] == Done("last", 2)
    assert found["fails"].error.startswith("ValueError: no such file")
    assert "abcdef0123456789" not in found["fails"].error
    assert "cannot be sent to a process" in found["local"].error
    assert "ended with code -9" in found["dies"].error
    assert "pickle" in found["stays"].error.lower()


@pytest.mark.parametrize("workers", [0, -1, 1.5, True])
def test_workers_are_counted(workers):
    with pytest.raises(ConfigError, match=r"workers is .*: give a whole number from 1 on"):
        run_many({"a": fails}, workers=workers)


PROGRAM = """
import os, signal, time
from ami_engine.loop.run_many import run_many
def waits(): os.write(1, b"runs\\n"); time.sleep(60)  # one write: two processes share the pipe
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background has it ignored
    try:
        run_many({"a": waits, "b": waits, "c": waits})
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


def test_an_interrupt_leaves_no_process(tmp_path):
    program = tmp_path / "many.py"
    program.write_text(PROGRAM)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, program], start_new_session=True, **pipes) as process:
        assert [process.stdout.readline() for _ in range(2)] == ["runs\n"] * 2
        os.killpg(process.pid, signal.SIGINT)
        out, errors = process.communicate(timeout=60)
    assert out == "interrupted\n"
    assert errors == ""
    assert process.returncode == 0
    left = [
        path for path in Path("/proc").glob("[0-9]*/cmdline") if str(program).encode() in _read(path)
    ] if Path("/proc").is_dir() else []  # fmt: skip
    assert left == []


def _read(path):
    try:
        return path.read_bytes()
    except OSError:
        return b""
