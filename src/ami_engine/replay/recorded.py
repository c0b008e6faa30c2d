"""The folder of a recorded run, opened for questions: its manifest, and one packet of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from ami_engine.trace.trace_logger import MANIFEST, TRACES, read_manifest
from decision_schema.errors import ConfigError, TraceError
from decision_schema.packet_v2 import PacketV2


class _External(msgspec.Struct):
    now_ns: int


class _Input(msgspec.Struct):
    market_id: str = ""


class _Head(msgspec.Struct):
    """What of a packet is needed to choose one."""

    step: int
    external: _External
    input: _Input


_head = msgspec.json.Decoder(_Head).decode


def read_facts(run_dir: str | Path) -> dict[str, Any]:
    """Read the manifest of a run that has packets.

    Raises:
        ConfigError: It is no run folder, or a batch run that wrote rows only.
        TraceError: The manifest cannot be read, or is not of a run of the engine.
    """
    folder = Path(run_dir)
    traces = folder / TRACES
    if (folder / "decisions").is_dir() and not (traces.is_file() and traces.stat().st_size):
        raise ConfigError(
            f"{folder} has rows of decisions but no packets, which hold what the guards saw: run it again "
            "with run_batch(..., packets=True), or with run_loop"
        )
    if not traces.is_file():
        raise ConfigError(f"{folder} is no run folder: it has no {TRACES}")
    if not (folder / MANIFEST).is_file():
        raise ConfigError(f"{folder} is no run folder: it has no {MANIFEST}")
    facts = read_manifest(folder)
    guards = facts.get("guards")
    if not isinstance(guards, dict) or not {"observed", "rows", "verdicts", "limits"} <= guards.keys():
        raise TraceError(f"{folder}: its {MANIFEST} has no guard table: it is no run of the engine")
    return facts


def packet_at(run_dir: str | Path, step: int) -> PacketV2:
    """Read the packet of a step.

    Raises:
        ConfigError: The run has no such step; the message names the steps that it has.
        TraceError: The packet cannot be read.
    """
    last = 0
    for number, line in _lines(run_dir):
        last = number
        if number == step:
            return _packet(run_dir, number, line)
    if last == 0:
        raise ConfigError(f"{run_dir} has no steps: its {TRACES} is empty")
    raise ConfigError(f"step {step} is not in {run_dir}: give 1 to {last}")


def step_before(run_dir: str | Path, at_ns: int, market_id: str | None) -> int:
    """Find the last step of a market (None = of any) at a time or before it.

    Raises:
        ConfigError: There is none.
        TraceError: A packet cannot be read.
    """
    found, first_ns, last_ns = 0, None, 0
    markets: set[str] = set()
    for number, line in _lines(run_dir):
        try:
            head = _head(line)
        except (msgspec.DecodeError, ValueError) as error:
            raise TraceError(f"{run_dir}: line {number} is no packet: {error}") from None
        if len(markets) < _MOST_NAMED:
            markets.add(head.input.market_id)
        if market_id not in (None, head.input.market_id):
            continue
        now_ns = head.external.now_ns
        first_ns, last_ns = now_ns if first_ns is None else first_ns, now_ns
        if now_ns <= at_ns:
            found = head.step
    if first_ns is None:
        names = ", ".join(sorted(filter(None, markets))) or "none"
        raise ConfigError(f"{run_dir} has no step of market {market_id!r}: it has {names}")
    if not found:
        raise ConfigError(
            f"no step of {run_dir} is at or before that time: the first is at {first_ns} ns, the last at "
            f"{last_ns} ns"
        )
    return found


_MOST_NAMED = 20


def _lines(run_dir: str | Path) -> Iterator[tuple[int, bytes]]:
    """Give the whole lines of a trace with their numbers; a torn last one is left out."""
    file = Path(run_dir) / TRACES
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.endswith(b"\n"):
                    yield number, line
    except OSError as error:
        raise TraceError(f"{file} cannot be read: {error.strerror}") from None


def _packet(run_dir: str | Path, number: int, line: bytes) -> PacketV2:
    try:
        packet = PacketV2.from_dict(msgspec.json.decode(line))
    except (msgspec.DecodeError, ValueError) as error:
        raise TraceError(f"{run_dir}: line {number} is no packet: {error}") from None
    if packet.step != number:
        raise TraceError(f"{run_dir}: line {number} has step {packet.step}: lines are missing or moved")
    return packet
