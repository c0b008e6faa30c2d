"""The hash chain of a log file: each line is bound to all lines before it.

    h[-1] = SHA-256("mdm-trace-v1\\n" run_id "\\n" code hash "\\n" config hash "\\n" previous run's head)
    h[i]  = SHA-256(h[i-1] || body[i])      body = the line's JSON as written, without ``h``
    line  = body with ``,"h":"<hex of h[i]>"`` put in before its last brace

A cut, a changed byte, a missing or moved line breaks the chain at that line. (Who rewrites the
whole file can make a new chain: signed checkpoints are to come.)
"""

import hashlib
import os
from pathlib import Path
from typing import BinaryIO

from decision_schema.errors import TamperedTrace, TraceError

FORMAT = "mdm-trace-v1"
_MARK = b',"h":"'
_TAIL_BYTES = len(_MARK) + 64 + 2
BUFFER_BYTES = 1 << 18


def genesis(run_id: str, code_hash: str, config_hash: str, previous_head: str = "") -> bytes:
    """Give the hash that stands before the first line."""
    text = "\n".join((FORMAT, run_id, code_hash, config_hash, previous_head))
    return hashlib.sha256(text.encode()).digest()


def link(head: bytes, body: bytes) -> bytes:
    """Give the hash of a line from the hash before it and its body."""
    return hashlib.sha256(head + body).digest()


def seal_line(body: bytes, head: bytes) -> bytes:
    """Put the hash into a line: `body` is one JSON object, not an empty one.

    >>> seal_line(b'{"a":1}', bytes(2))
    b'{"a":1,"h":"0000"}\\n'
    """
    return b"%s%s%s\"}\n" % (body[:-1], _MARK, head.hex().encode())


def open_line(line: bytes) -> tuple[bytes, bytes]:
    """Split a line into its body and its hash.

    Raises:
        TamperedTrace: The line does not end in a hash.
    """
    stripped = line.removesuffix(b"\n")
    mark = stripped[-_TAIL_BYTES : -_TAIL_BYTES + len(_MARK)]
    if mark != _MARK or not stripped.endswith(b'"}'):
        raise TamperedTrace("a line does not end in its hash: it was changed or cut")
    try:
        head = bytes.fromhex(stripped[-66:-2].decode("ascii"))
    except (ValueError, UnicodeDecodeError):
        raise TamperedTrace("a line's hash is no hexadecimal number: it was changed") from None
    if stripped[-66:-2] != head.hex().encode():
        raise TamperedTrace("a line's hash is not in lower case: it was changed")
    return stripped[:-_TAIL_BYTES] + b"}", head


class ChainedFile:
    """A file of chained lines, opened to append.

    An existing file goes on after its last whole line, once that line is seen to follow from the
    one before it; a torn line at the end is cut, and `torn_bytes` says how long it was.

    Args:
        path: The file.
        first_head: Genesis of the chain.

    Raises:
        TamperedTrace: The last line does not follow from the one before it.
        TraceError: The file cannot be opened.
    """

    def __init__(self, path: Path, first_head: bytes) -> None:
        self.path = path
        self.head = first_head
        self.lines = 0
        self.torn_bytes = 0
        try:
            if path.exists():
                self._resume()
            self._file: BinaryIO = path.open("ab", buffering=BUFFER_BYTES)
        except OSError as error:
            raise TraceError(f"{path} cannot be opened: {error.strerror}") from None

    def append(self, body: bytes) -> None:
        """Append one JSON object, chained."""
        self.head = link(self.head, body)
        self.lines += 1
        self._file.write(seal_line(body, self.head))

    def flush(self) -> None:
        """Hand all lines to the operating system: they survive the death of the process."""
        self._file.flush()

    def sync(self) -> None:
        """Bring all lines to the disk: they survive the loss of power. A failure is never retried."""
        self._file.flush()
        os.fdatasync(self._file.fileno())

    def close(self) -> None:
        """Flush and close."""
        self._file.close()

    def _resume(self) -> None:
        raw = self.path.read_bytes()
        whole = raw.rfind(b"\n") + 1
        self.torn_bytes = len(raw) - whole
        if self.torn_bytes:
            os.truncate(self.path, whole)
        lines = raw[:whole].split(b"\n")[:-1]
        self.lines = len(lines)
        if not lines:
            return
        before = self.head if len(lines) == 1 else open_line(lines[-2])[1]
        body, head = open_line(lines[-1])
        if link(before, body) != head:
            raise TamperedTrace(f"{self.path}: line {len(lines)} does not follow from the one before it")
        self.head = head
