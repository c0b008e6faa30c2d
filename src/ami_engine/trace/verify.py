"""Verify a run: every record follows from the one before it, and none is missing at the end."""

import hashlib
from pathlib import Path
from typing import NamedTuple

import msgspec

from ami_engine.trace.chain import genesis, link, open_line
from ami_engine.trace.trace_logger import AUDIT, MANIFEST, TRACES, read_manifest
from decision_schema.errors import TamperedTrace, TraceError
from decision_schema.packet_v2 import tag_floats


class Verified(NamedTuple):
    """What was found sound.

    Args:
        packets: Records in traces.jsonl.
        audits: Records in audit.jsonl.
        closed: Whether the run's end is on record; if not, it was killed or is running.
        head: Hash of the last packet.
    """

    packets: int
    audits: int
    closed: bool
    head: str


def verify(run_dir: str | Path) -> Verified:
    """Check a run's manifest, both logs, and their lengths.

    Raises:
        TamperedTrace: The first record that was changed, moved, cut or is missing, by its line.
        TraceError: It is no run folder.
    """
    folder = Path(run_dir)
    manifest = read_manifest(folder)
    bound = manifest.pop("chain")
    facts = msgspec.json.encode(tag_floats(manifest), order="deterministic")
    if hashlib.sha256(facts).hexdigest() != bound["config_sha256"]:
        raise TamperedTrace(f"{folder / MANIFEST}: its facts are not those that the run began with")
    first = genesis(bound["run_id"], bound["code_sha256"], bound["config_sha256"], bound["previous_head"])
    packets, head, _ = _follow(folder / TRACES, first)
    audits, _, last = _follow(folder / AUDIT, first)
    end = msgspec.json.decode(last) if last else {}
    closed = end.get("kind") == "stop"
    if closed and (end.get("packets"), end.get("head")) != (packets, head.hex()):
        raise TamperedTrace(f"{folder / TRACES}: {packets} records, but the run ended with {end.get('packets')}")
    return Verified(packets, audits, closed, head.hex())


def _follow(path: Path, head: bytes) -> tuple[int, bytes, bytes]:
    """Follow one log; return its number of lines, its head and its last body."""
    count, body = 0, b""
    try:
        with path.open("rb") as file:
            for line in file:
                count += 1
                if not line.endswith(b"\n"):
                    raise TamperedTrace("it is torn: the run was killed while it wrote, or it was cut")
                body, found = open_line(line)
                head = link(head, body)
                if head != found:
                    raise TamperedTrace("it does not follow from the one before it")
    except TamperedTrace as error:
        raise TamperedTrace(f"{path}: line {count}: {error}") from None
    except OSError:
        raise TraceError(f"{path} cannot be read: it was removed, or this is no run") from None
    return count, head, body
