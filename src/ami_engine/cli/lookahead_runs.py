"""The runs of a look-ahead check, each in a Python of its own: none finds what another left behind."""

import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ami_engine.assembly import make_sources, with_run
from ami_engine.config import RunConfig
from ami_engine.loop.configured_broker import make_broker
from ami_engine.loop.run_loop import Progress, RunProgress, run_loop
from ami_engine.mdm.decision_engine import DecisionEngine
from decision_schema import errors
from decision_schema.errors import ConfigError, MdmError

Tell = Callable[[int, float | None], None]
"""Takes the events done, and the part of all, while a run goes on."""

_HASH_SEED = "PYTHONHASHSEED"
POLL_SECONDS = 0.2
END_SECONDS = 5.0


def run_cut(
    config: RunConfig,
    shown: RunConfig,
    events: int | None,
    folder: Path,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Run a prefix in this process.

    Args:
        config: What the user gave; the ids of orders are made of it, so that they are those of any run.
        shown: The same with sources, and params, that see the prefix alone.
        events: Events of the prefix; None = as many as the config says.
        folder: Folder of the run.
        progress: As of `run_loop`.
    """
    sources, broker = make_sources(shown), make_broker(shown)
    if any(source.live for source in sources) or broker.capabilities().live:
        raise ConfigError("a live source or broker has no prefixes: check the model on recorded data")
    section = config.model
    model = DecisionEngine(
        section.model,
        private_path=section.private_path,
        warmup_ms=section.warmup_ms,
        **shown.model.params,
    )
    config = with_run(config, steps=events, output_dir=folder)
    return run_loop(sources, broker, decision_engine=model, config=config, progress=progress)


def run_apart(
    config: RunConfig, shown: RunConfig, events: int | None, folder: Path, tell: Tell, hash_seed: str = "0"
) -> dict[str, Any]:
    """Run a prefix in a process of its own.

    Args:
        config: See `run_cut`.
        shown: See `run_cut`.
        events: See `run_cut`.
        folder: See `run_cut`.
        tell: Told of the progress.
        hash_seed: Which order sets of texts have.

    Raises:
        MdmError: What the run raised; or its process ended without a word.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(theirs, config, shown, events, folder))
    with _environment(_HASH_SEED, hash_seed):
        process.start()
    theirs.close()
    try:
        return _listen(ours, tell)
    except EOFError:
        process.join(END_SECONDS)
        raise MdmError(f"the process of a run ended without a word (exit code {process.exitcode})") from None
    finally:
        ours.close()
        process.join(END_SECONDS)
        if process.is_alive():
            process.terminate()
            process.join()


def _listen(ours: Connection, tell: Tell) -> dict[str, Any]:
    while True:
        if not ours.poll(POLL_SECONDS):
            continue
        kind, content = ours.recv()
        if kind == "at":
            tell(*content)
        elif kind == "done":
            summary: dict[str, Any] = content
            return summary
        elif kind == "stopped":
            raise KeyboardInterrupt
        else:
            raise _error_of(kind, content)


def _error_of(kind: str, text: str) -> MdmError:
    found = getattr(errors, kind, MdmError)
    if isinstance(found, type) and issubclass(found, MdmError):
        return found(text)
    return MdmError(f"{kind}: {text}")


def _child(theirs: Connection, config: RunConfig, shown: RunConfig, events: int | None, folder: Path) -> None:
    """Run, and send what comes of it."""
    sys.stdout = sys.stderr  # what a model prints is no part of the report

    def progress(at: RunProgress) -> None:
        theirs.send(("at", (at.events, at.fraction)))

    with suppress(BrokenPipeError):
        try:
            theirs.send(("done", run_cut(config, shown, events, folder, progress)))
        except KeyboardInterrupt:
            theirs.send(("stopped", None))
        except MdmError as error:
            theirs.send((type(error).__name__, str(error)))
    theirs.close()


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before: Mapping[str, str] = dict(os.environ)
    os.environ[name] = value
    try:
        yield
    finally:
        if name in before:
            os.environ[name] = before[name]
        else:
            del os.environ[name]
