"""Verify a run: every record follows from the one before it, and none is missing at the end."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from ami_engine.trace.chain import link, open_line
from ami_engine.trace.trace_logger import AUDIT, TRACES, first_head, read_manifest
from decision_schema.errors import TamperedTrace, TraceError


class Verified(NamedTuple):
    """What was found sound.

    Args:
        packets: Records in traces.jsonl; a batch run of rows has no such file, and 0.
        audits: Records in audit.jsonl.
        closed: Whether the run's end is on record; if not, it was killed or is running.
        head: Hash of the last packet.
    """

    packets: int
    audits: int
    closed: bool
    head: str


def verify(run_dir: str | Path) -> Verified:
    """Check a run's manifest, both logs, and the lengths that its audit tells.

    Raises:
        TamperedTrace: The first record that was changed, moved, cut or is missing, by its line.
        TraceError: It is no run folder.
    """
    folder = Path(run_dir)
    first = first_head(read_manifest(folder))
    audits, closed, has_packets = 0, False, True
    told: dict[int, str] = {}  # how many packets there were when the run stopped or went on: their head
    for audits, body, _ in _records(folder / AUDIT, first):
        act = _decode(folder / AUDIT, audits, body)
        closed = act.get("kind") == "stop"
        if act.get("kind") == "start" and act.get("driver") == "batch":
            has_packets = False
        if act.get("kind") in ("stop", "continue"):
            packets, head = act.get("packets"), act.get("head")
            if not isinstance(packets, int) or not isinstance(head, str):
                raise TamperedTrace(
                    f"{folder / AUDIT}: line {audits}: it does not tell how many records there were"
                )
            told[packets] = head
    packets, head = 0, first.hex()
    is_there = has_packets or (folder / TRACES).exists()
    for packets, _, link_hash in _records(folder / TRACES, first) if is_there else ():
        head = link_hash.hex()
        if told.get(packets, head) != head:
            raise TamperedTrace(
                f"{folder / TRACES}: line {packets}: its hash is not the one on record in {AUDIT}: "
                "it or a line before it was changed and the chain made anew"
            )
    last = max(told, default=0)
    if packets < last:
        raise TamperedTrace(
            f"{folder / TRACES}: line {packets + 1} is missing: {AUDIT} tells of {last} records"
        )
    if closed and packets > last:
        raise TamperedTrace(f"{folder / TRACES}: line {last + 1} came after the end of the run")
    return Verified(packets, audits, closed, head)


def _records(path: Path, head: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Follow one log: number, body and hash of each line."""
    number = 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    raise TamperedTrace("it is torn: the run was killed while it wrote, or it was cut")
                body, found = open_line(line)
                head = link(head, body)
                if head != found:
                    raise TamperedTrace("it does not follow from the one before it")
                yield number, body, head
    except TamperedTrace as error:
        raise TamperedTrace(f"{path}: line {number}: {error}") from None
    except OSError:
        raise TraceError(f"{path} cannot be read: it was removed, or this is no run") from None


def _decode(path: Path, number: int, body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise TamperedTrace(f"{path}: line {number}: it is no JSON object") from None
