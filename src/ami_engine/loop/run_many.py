"""`run_many`: independent runs side by side, each in a process of its own."""

import multiprocessing
import pickle
import signal
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection, wait
from typing import Any

import msgspec

from ami_engine.security.redaction import redact_text
from decision_schema.errors import ConfigError

PATIENCE_SECONDS = 30.0
"""How long a worker that is told to end may take: a batch run writes what it has."""


class Done(msgspec.Struct, frozen=True):
    """What became of a job.

    Args:
        name: Its name.
        result: What it gave back; None where it failed.
        error: Why it failed; empty = it did not.
    """

    name: str
    result: Any = None
    error: str = ""


def run_many(jobs: Mapping[str, Callable[[], Any]], *, workers: int = 2) -> list[Done]:
    """Run jobs in several processes; a job that fails stops no other one.

    Each process imports your file anew, so the call stands under ``if __name__ == "__main__":``. Let
    one run compile before you start many, or each process compiles for itself.

    Args:
        jobs: By name: functions of no arguments that stand at the level of a module, or
            ``functools.partial`` of such; what they give back is sent between processes.
        workers: Processes at once; more than the machine has cores gain nothing.

    Returns:
        What became of each, in the order of `jobs`.

    Raises:
        ConfigError: `workers` is no whole number above 0.
        KeyboardInterrupt: Ctrl-C; the processes have ended, batch runs with what they had.

    >>> run_many({})
    []
    """
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise ConfigError(f"workers is {workers!r}: give a whole number from 1 on")
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    left = list(jobs.items())[::-1]
    idle = [_Worker(context) for _ in range(min(workers, len(left)))]
    busy: list[_Worker] = []
    done: dict[str, Done] = {}
    try:
        while left or busy:
            while left and idle:
                name, job = left.pop()
                worker = idle.pop()
                refused = worker.start(name, job)
                if refused:
                    done[name] = Done(name, error=refused)
                    idle.append(worker)
                else:
                    busy.append(worker)
            ready = set(wait([worker.channel for worker in busy])) if busy else set()
            for worker in [worker for worker in busy if worker.channel in ready]:
                busy.remove(worker)
                found = worker.take()
                done[found.name] = found
                idle.append(worker if worker.process.is_alive() else _Worker(context))
    finally:
        _end([*idle, *busy])
    return [done[name] for name in jobs]


class _Worker:
    """A process that does one job after the other."""

    def __init__(self, context: Any) -> None:
        self.channel, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs,), daemon=False)
        self.process.start()
        theirs.close()
        self.name = ""  # of the job it is at

    def start(self, name: str, job: Callable[[], Any]) -> str:
        """Send a job; give why it cannot be sent, empty = it is under way."""
        try:
            sent = pickle.dumps(job)
        except Exception as error:  # noqa: BLE001 - pickle raises what it likes
            return (
                f"the job cannot be sent to a process: {redact_text(str(error))[:300]}: give a function at "
                "the level of a module, or functools.partial of one"
            )
        self.name = name
        self.channel.send_bytes(sent)
        return ""

    def take(self) -> Done:
        """Take what became of the job."""
        name, self.name = self.name, ""
        try:
            result, error = pickle.loads(self.channel.recv_bytes())  # noqa: S301 - from our own process
        except (EOFError, OSError):
            self.process.join()
            code = self.process.exitcode
            return Done(name, error=f"its process ended with code {code}: killed, or out of memory?")
        return Done(name, result, error)


def _work(channel: Connection) -> None:
    """Do jobs until the channel closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which tells us to end
    while True:
        try:
            given = channel.recv_bytes()
        except (EOFError, OSError):
            return
        try:
            answer = pickle.dumps((pickle.loads(given)(), ""))  # noqa: S301 - from our parent
        except Exception as error:  # noqa: BLE001 - user code: it is told under the job's name
            answer = pickle.dumps((None, f"{type(error).__name__}: {redact_text(str(error))[:2_000]}"))
        channel.send_bytes(answer)


def _end(workers: list[_Worker]) -> None:
    """End processes: those at rest by closing their channel, those at work by a signal."""
    for worker in workers:
        worker.channel.close()
        if worker.name:
            worker.process.terminate()
    for worker in workers:
        worker.process.join(PATIENCE_SECONDS)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
