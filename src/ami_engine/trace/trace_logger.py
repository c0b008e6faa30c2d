"""RunFolder, TraceLogger: what a run leaves on disk, redacted, chained, flushed by rule."""

import hashlib
import re
import weakref
from collections.abc import Mapping
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any, Self

import msgspec

import ami_engine
import decision_schema
import dmc_core
from ami_engine import clock
from ami_engine.config import check_run_id
from ami_engine.security.redaction import redact_secrets
from ami_engine.trace.chain import FORMAT, ChainedFile, genesis
from decision_schema.errors import RunExists, TamperedTrace, TraceError
from decision_schema.packet_v2 import PacketV2, tag_floats, untag_floats
from decision_schema.step_packet import StepPacket

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


class RunFolder:
    """The folder ``output_dir/run_id`` and what every run leaves in it: audit, manifest, summary.

    An existing run is continued after its tail is verified.

    Args:
        run_id: Name of the run, a plain folder name.
        output_dir: Folder that holds the runs; made where it is missing.
        manifest: Facts of the run for manifest.json, whose digest stands in the chain's first hash.
        must_be_new: Refuse a run that is there already.

    Raises:
        ConfigError: The run id is no plain folder name.
        RunExists: The run is there and must be new.
        TamperedTrace: The manifest was changed, or a last record does not follow from the one before.
        TraceError: The folder cannot be written, or its manifest is missing.
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
        facts = tag_floats(redact_secrets(dict(manifest or {})))
        try:
            self._continues = (self.run_dir / MANIFEST).exists() or (self.run_dir / TRACES).exists()
            if self._continues and must_be_new:
                raise RunExists(f"run folder {self.run_dir} exists: give another run_id or output_dir")
            self.run_dir.mkdir(parents=True, exist_ok=True)
            if not self._continues:
                self._write_whole(MANIFEST, _new_manifest(run_id, facts))
            self.first_head = first_head(read_manifest(self.run_dir))
        except OSError as error:
            raise TraceError(f"run folder {self.run_dir} cannot be written: {error.strerror}") from None
        self._audit = ChainedFile(self.run_dir / AUDIT, self.first_head)
        self._close_at_end = weakref.finalize(self, _close, [self._audit])
        self._encoder = msgspec.json.Encoder()

    def audit(self, record: Mapping[str, Any]) -> None:
        """Store an act or event of the run: start, stop, what an operator did; kept when it returns."""
        self._audit.append(self._encode(record))
        self._audit.flush()

    def _encode(self, record: Mapping[str, Any]) -> bytes:
        """Redact a record and encode it as one JSON object that leaves the key ``h`` to the chain."""
        if not record:
            raise TraceError("an empty record cannot be stored: give at least one field")
        plain = tag_floats(redact_secrets(record))
        if not isinstance(plain, dict):  # it could not even be read, and is hidden whole
            plain = {"hidden": plain}
        if "h" in plain:
            free = "h#2"
            while free in plain:
                free += "#2"
            plain = {free if key == "h" else key: item for key, item in plain.items()}
        try:
            return self._encoder.encode(plain)
        except (ValueError, RecursionError) as error:
            raise TraceError(f"a record cannot be stored as JSON: {error}") from None

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Write summary.json whole: a reader sees the old one or the new one."""
        write_summary(self.run_dir, summary)

    def close(self) -> None:
        """Flush and close the logs; a folder that is let go closes itself."""
        self._close_at_end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write_whole(self, name: str, body: bytes) -> None:
        _write_whole(self.run_dir / name, body)


class TraceLogger(RunFolder):
    """A run folder with packets, in traces.jsonl; made as a `RunFolder` is.

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
        super().__init__(run_id, output_dir, manifest=manifest, must_be_new=must_be_new)
        try:
            self._traces = ChainedFile(self.run_dir / TRACES, self.first_head)
        except TraceError:
            self.close()
            raise
        self._close_at_end.detach()
        self._close_at_end = weakref.finalize(self, _close, [self._traces, self._audit])
        for file in (self._traces, self._audit):
            if file.torn_bytes:
                self.audit({"kind": "torn_line_cut", "file": file.path.name, "bytes": file.torn_bytes})
        if self._continues:
            self.audit(
                {"kind": "continue", "at": clock.wall_text(), "packets": self.packets, "head": self.head}
            )

    def log_packet(self, packet: PacketV2 | Mapping[str, Any]) -> None:
        """Redact a packet, store it chained, and hand it to the operating system.

        A key that two fields would share, also ``h``, which is the chain's, is numbered: ``h#2``.

        Raises:
            TraceError: It is neither a PacketV2 nor a dict, or an empty one; or it cannot be written.
        """
        if isinstance(packet, PacketV2):
            packet = packet.to_dict()
        elif not isinstance(packet, Mapping):
            raise TraceError(f"log_packet got a {type(packet).__name__}: give a PacketV2 or a dict")
        self._traces.append(self._encode(packet))
        self._traces.flush()

    def append(self, packet: StepPacket) -> None:
        """Store a packet that the loop made: its parts were redacted and tagged when they entered."""
        try:
            body = self._encoder.encode(packet)
        except (TypeError, ValueError, RecursionError):  # something foreign came along
            body = self._encode({name: getattr(packet, name) for name in packet.__struct_fields__})
        self._traces.append(body)

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


def write_summary(run_dir: Path, summary: Mapping[str, Any]) -> None:
    """Write the summary.json of a run whole.

    Raises:
        TraceError: It cannot be written.
    """
    _write_whole(run_dir / SUMMARY, pretty_json(redact_secrets(dict(summary))))


def _write_whole(file: Path, body: bytes) -> None:
    part = file.with_name(f"{file.name}.part")
    try:
        part.write_bytes(body)
        part.replace(file)
    except OSError as error:
        raise TraceError(f"{file} cannot be written: {error.strerror}") from None


def _close(files: list[ChainedFile]) -> None:
    with ExitStack() as stack:
        for file in reversed(files):
            stack.callback(file.close)


_DIGEST = re.compile(rb'"manifest_sha256": "[0-9a-f]{64}"')
_NO_DIGEST = b'"manifest_sha256": "%s"' % (b"0" * 64)


def manifest_digest(raw: bytes) -> str:
    """Give the SHA-256 of a manifest file in which its own digest reads 64 zeros."""
    return hashlib.sha256(_DIGEST.sub(_NO_DIGEST, raw, count=1)).hexdigest()


def _new_manifest(run_id: str, facts: dict[str, Any]) -> bytes:
    if "chain" in facts:
        raise TraceError("manifest: the key 'chain' is taken, give the fact another name")
    chain = {
        "format": FORMAT,
        "run_id": run_id,
        "code_sha256": code_hash(),
        "manifest_sha256": "0" * 64,
        "previous_head": "",
    }
    raw = pretty_json({"chain": chain, **facts})
    return raw.replace(_NO_DIGEST, b'"manifest_sha256": "%s"' % manifest_digest(raw).encode(), 1)


def read_manifest(run_dir: Path) -> dict[str, Any]:
    """Read a run's manifest.

    Raises:
        TraceError: It is missing, no manifest, or of an unknown format.
        TamperedTrace: It is not as it was written.
    """
    file = run_dir / MANIFEST
    try:
        raw = file.read_bytes()
        manifest: Any = untag_floats(msgspec.json.decode(raw))
    except OSError:
        raise TraceError(f"{run_dir} is no run folder: it has no {MANIFEST}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise TraceError(f"{file} is no JSON: {error}") from None
    chain = manifest.get("chain") if isinstance(manifest, dict) else None
    if not isinstance(chain, dict) or not all(isinstance(chain.get(key), str) for key in _CHAIN_KEYS):
        raise TraceError(f"{file} does not say how its chain begins: it was changed, or is no manifest")
    if chain["format"] != FORMAT:
        raise TraceError(f"{file}: format {chain['format']!r} is unknown: this version reads {FORMAT}")
    if chain["manifest_sha256"] != manifest_digest(raw):
        raise TamperedTrace(f"{file}: it is not as it was written when the run began")
    return dict(manifest)


_CHAIN_KEYS = ("format", "run_id", "code_sha256", "manifest_sha256", "previous_head")


def first_head(manifest: Mapping[str, Any]) -> bytes:
    """Give the hash that stands before the first record of both logs."""
    chain = manifest["chain"]
    return genesis(chain["run_id"], chain["code_sha256"], chain["manifest_sha256"], chain["previous_head"])
