"""TraceLogger: packets into a run folder, redacted, chained, flushed by rule."""

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

import ami_engine
import decision_schema
import dmc_core
from ami_engine.config import check_run_id
from ami_engine.security.redaction import redact_secrets
from ami_engine.trace.chain import FORMAT, ChainedFile, genesis
from decision_schema.errors import RunExists, TraceError
from decision_schema.packet_v2 import PacketV2, tag_floats, untag_floats

TRACES, AUDIT, MANIFEST, SUMMARY = "traces.jsonl", "audit.jsonl", "manifest.json", "summary.json"


@cache
def code_hash() -> str:
    """Give the digest of all our source files, once a process."""
    digest = hashlib.sha256()
    for package in (decision_schema, dmc_core, ami_engine):
        root = Path(package.__path__[0])
        for file in sorted(root.rglob("*.py")):
            if "_private" not in file.parts:
                digest.update(f"{root.name}/{file.relative_to(root).as_posix()}\n".encode())
                digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def pretty_json(value: Any) -> bytes:
    """Encode for people: indented, keys in order, one line feed at the end."""
    return msgspec.json.format(msgspec.json.encode(tag_floats(value)), indent=2) + b"\n"


class TraceLogger:
    """The folder ``output_dir/run_id``: traces.jsonl, audit.jsonl, manifest.json, summary.json.

    An existing run is continued after its tail is verified.

    Args:
        run_id: Name of the run, a plain folder name.
        output_dir: Folder that holds the runs; made where it is missing.
        manifest: Facts of the run for manifest.json; their digest stands in the chain's first hash.
        must_be_new: Refuse a run that is there already.

    Raises:
        ConfigError: The run id is no plain folder name.
        RunExists: The run is there and must be new.
        TamperedTrace: The last record does not follow from the one before it.
        TraceError: The folder cannot be written.

    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> logger = TraceLogger("run_1", folder.name)
    >>> logger.log_packet({"run_id": "run_1", "step": 1, "note": float("nan")})
    >>> logger.close()
    >>> Path(folder.name, "run_1", "traces.jsonl").read_text()[:53]
    '{"run_id":"run_1","step":1,"note":{"$float":"nan"},"h'
    >>> folder.cleanup()
    """

    def __init__(
        self,
        run_id: str,
        output_dir: str | Path,
        *,
        manifest: Mapping[str, Any] | None = None,
        must_be_new: bool = False,
    ) -> None:
        check_run_id(run_id)
        self.run_id = run_id
        self.run_dir = Path(output_dir) / run_id
        facts = dict(manifest or {})
        try:
            existing = (self.run_dir / MANIFEST).exists() or (self.run_dir / TRACES).exists()
            if existing and must_be_new:
                raise RunExists(f"run folder {self.run_dir} exists: give another run_id or output_dir")
            self.run_dir.mkdir(parents=True, exist_ok=True)
            self.first_head = self._first_head(facts, existing)
        except OSError as error:
            raise TraceError(f"run folder {self.run_dir} cannot be written: {error.strerror}") from None
        self._traces = ChainedFile(self.run_dir / TRACES, self.first_head)
        self._audit = ChainedFile(self.run_dir / AUDIT, self.first_head)
        self._encoder = msgspec.json.Encoder()
        for file in (self._traces, self._audit):
            if file.torn_bytes:
                self.audit({"kind": "torn_line_cut", "file": file.path.name, "bytes": file.torn_bytes})

    def log_packet(self, packet: PacketV2 | Mapping[str, Any]) -> None:
        """Redact a packet, store it chained, and hand it to the operating system.

        Raises:
            TraceError: It is neither a PacketV2 nor a dict, or an empty one.
        """
        if isinstance(packet, PacketV2):
            raw: Any = packet.to_dict()
        elif isinstance(packet, Mapping):
            raw = dict(packet)
        else:
            raise TraceError(f"log_packet got a {type(packet).__name__}: give a PacketV2 or a dict")
        raw.pop("h", None)
        if not raw:
            raise TraceError("log_packet got an empty dict: a record needs at least one field")
        self._traces.append(self._encoder.encode(tag_floats(redact_secrets(raw))))
        self._traces.flush()

    def append(self, packet: PacketV2) -> None:
        """Store a packet that the loop made: its parts were redacted and tagged when they entered."""
        self._traces.append(self._encoder.encode(packet.to_dict()))

    def audit(self, record: Mapping[str, Any]) -> None:
        """Store an act or event of the run: start, stop, what an operator did; on disk when it returns."""
        self._audit.append(self._encoder.encode(tag_floats(redact_secrets(dict(record)))))
        self._audit.flush()

    @property
    def packets(self) -> int:
        """Packets stored so far."""
        return self._traces.lines

    @property
    def head(self) -> str:
        """Hash of the last packet."""
        return self._traces.head.hex()

    def flush(self) -> None:
        """Hand all packets to the operating system."""
        self._traces.flush()

    def sync(self) -> None:
        """Bring all packets to the disk."""
        self._traces.sync()

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Write summary.json whole: a reader sees the old one or the new one."""
        self._write_whole(SUMMARY, pretty_json(redact_secrets(dict(summary))))

    def close(self) -> None:
        """Flush and close both logs."""
        self._traces.close()
        self._audit.close()

    def __enter__(self) -> "TraceLogger":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _first_head(self, facts: dict[str, Any], existing: bool) -> bytes:
        file = self.run_dir / MANIFEST
        if existing and file.exists():
            bound = read_manifest(self.run_dir)["chain"]
        else:
            body = msgspec.json.encode(tag_floats(facts), order="deterministic")
            bound = {
                "format": FORMAT,
                "run_id": self.run_id,
                "code_sha256": code_hash(),
                "config_sha256": hashlib.sha256(body).hexdigest(),
                "previous_head": "",
            }
            self._write_whole(MANIFEST, pretty_json({"chain": bound, **facts}))
        return genesis(bound["run_id"], bound["code_sha256"], bound["config_sha256"], bound["previous_head"])

    def _write_whole(self, name: str, body: bytes) -> None:
        part = self.run_dir / f"{name}.part"
        part.write_bytes(body)
        part.replace(self.run_dir / name)


def read_manifest(run_dir: Path) -> dict[str, Any]:
    """Read a run's manifest.

    Raises:
        TraceError: It is missing or no manifest.
    """
    file = run_dir / MANIFEST
    try:
        manifest: Any = untag_floats(msgspec.json.decode(file.read_bytes()))
    except OSError:
        raise TraceError(f"{run_dir} is no run folder: it has no {MANIFEST}") from None
    except msgspec.DecodeError as error:
        raise TraceError(f"{file} is no JSON: {error}") from None
    keys = ("run_id", "code_sha256", "config_sha256", "previous_head")
    bound = manifest.get("chain") if isinstance(manifest, dict) else None
    if not isinstance(bound, dict) or not all(isinstance(bound.get(key), str) for key in keys):
        raise TraceError(f"{file} does not say how its chain begins: it was changed")
    return dict(manifest)
