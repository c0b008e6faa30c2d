"""``mdm why``, ``mdm why-not`` and ``mdm whatif``."""

from pathlib import Path

import msgspec
from rich.console import Console

from ami_engine.cli.policy_file import load_policy
from ami_engine.cli.why_not_words import why_not_words
from ami_engine.replay.recorded import read_facts, step_before
from ami_engine.replay.whatif import whatif, whatif_words
from ami_engine.replay.why import time_of, why, why_words
from ami_engine.replay.why_not import why_not
from decision_schema.errors import ConfigError


def why_and_print(run_dir: Path, step: int | None, at: str | None, market: str | None, *, json: bool) -> int:
    """Explain one step, by its number or as the last one of a market up to a time.

    Returns:
        The exit code, 0.

    Raises:
        ConfigError: Neither or both are given, or there is no such step.
        TraceError: The packet cannot be read.
    """
    if (step is None) == (at is None):
        raise ConfigError("give the number of a step, or --at TIME (and --market), not both")
    if step is None:
        read_facts(run_dir)
        step = step_before(run_dir, time_of(at or ""), market)
    elif market is not None:
        raise ConfigError("--market goes with --at: the number of a step has its market")
    found = why(run_dir, step)
    _print(found, why_words(found), json=json)
    return 0


def why_not_and_print(run_dir: Path, *, json: bool) -> int:
    """Say why a run did not trade more.

    Returns:
        The exit code, 0.
    """
    found = why_not(run_dir)
    _print(found, why_not_words(found), json=json)
    return 0


def whatif_and_print(run_dir: Path, policy: str, *, json: bool) -> int:
    """Judge a recorded run under another policy, and say what changes.

    Returns:
        The exit code, 0.
    """
    found = whatif(run_dir, load_policy(policy))
    _print(found, whatif_words(found, policy), json=json)
    return 0


def _print(found: msgspec.Struct, words: list[str], *, json: bool) -> None:
    console = Console(highlight=False, soft_wrap=True)
    if json:
        console.out(msgspec.json.encode(found).decode(), highlight=False)
        return
    for line in words:
        console.out(_printable(line), highlight=False)


def _printable(text: str) -> str:
    """Replace what a terminal would obey: names come from foreign data."""
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in text)
