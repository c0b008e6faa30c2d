r"""The hash chain of a log file: each line is bound to all lines before it.

    h[-1] = SHA-256("mdm-trace-v1\n" run_id "\n" code hash "\n" manifest hash "\n" previous run's head)
    h[i]  = SHA-256(h[i-1] || body[i])      body = the line's JSON as written, without ``h``
    line  = body with ``,"h":"<hex of h[i]>"`` put in before its last brace

A cut, a changed byte, a missing or moved line breaks the chain at that line. (Who rewrites the
whole file can make a new chain: signed checkpoints are to come.)
"""

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from decision_schema.errors import TamperedTrace, TraceError

FORMAT = "mdm-trace-v1"
_MARK = b',"h":"'
_TAIL_BYTES = len(_MARK) + 64 + 2
BUFFER_BYTES = 1 << 18


def genesis(run_id: str, code_hash: str, manifest_hash: str, previous_head: str = "") -> bytes:
    """Give the hash that stands before the first line."""
    text = f"{FORMAT}\n{run_id}\n{code_hash}\n{manifest_hash}\n{previous_head}"
    return hashlib.sha256(text.encode()).digest()


def link(head: bytes, body: bytes) -> bytes:
    """Give the hash of a line from the hash before it and its body."""
    return hashlib.sha256(head + body).digest()


def seal_line(body: bytes, head: bytes) -> bytes:
    r"""Put the hash into a line: `body` is one JSON object, not an empty one.

    >>> seal_line(b'{"a":1}', bytes(2))
    b'{"a":1,"h":"0000"}\n'
    """
    return b'%s%s%s"}\n' % (body[:-1], _MARK, head.hex().encode())


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

    The first write that fails is the last one: what did not reach the file whole is given up,
    `head` and `lines` tell what is there, and every further line raises.

    Args:
        path: The file.
        first_head: Genesis of the chain.

    Raises:
        TamperedTrace: The last line does not follow from the one before it.
        TraceError: The file cannot be opened; later: cannot be written, or was changed by others.
    """

    def __init__(self, path: Path, first_head: bytes) -> None:
        self.path = path
        self.head = first_head
        self.lines = 0
        self.torn_bytes = 0
        self._size = 0
        self._failed = ""
        self._pending = bytearray()
        try:
            if path.exists():
                self._resume()
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            raise TraceError(f"{path} cannot be opened: {error.strerror}") from None
        self._kept = (self.head, self.lines)

    def append(self, body: bytes) -> None:
        """Append one JSON object, not an empty one, chained."""
        if self._failed:
            raise TraceError(self._failed)
        self.head = link(self.head, body)
        self.lines += 1
        self._pending += seal_line(body, self.head)
        if len(self._pending) >= BUFFER_BYTES:
            self.flush()

    def flush(self) -> None:
        """Hand all lines to the operating system: they survive the death of the process."""
        if self._failed:
            raise TraceError(self._failed)
        if not self._pending:
            return
        try:
            self._check_ours()
            left = memoryview(self._pending)
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            with suppress(OSError):  # if not even this can be done, the torn line says so
                os.truncate(self._file.fileno(), self._size)
            self._fail(f"cannot be written: {error.strerror}")
        self._size += len(self._pending)
        self._kept = (self.head, self.lines)
        self._pending = bytearray()

    def sync(self) -> None:
        """Bring all lines to the disk: they survive the loss of power. A failure is never retried."""
        self.flush()
        try:
            _sync(self._file.fileno())
        except OSError as error:
            self._fail(f"cannot be brought to the disk: {error.strerror}")

    def close(self) -> None:
        """Flush and close; what comes after raises."""
        if self._file.closed:
            return
        try:
            if not self._failed:
                self.flush()
        finally:
            self._file.close()
            self._failed = self._failed or f"{self.path} is closed: nothing more can be stored"

    def _check_ours(self) -> None:
        """Refuse to write where another process wrote, cut or removed the file: the chain would break."""
        found = os.fstat(self._file.fileno())
        if found.st_size != self._size or found.st_nlink == 0:
            self._fail("was changed or removed by others while it was open")

    def _fail(self, what: str) -> NoReturn:
        lost = self.lines - self._kept[1]
        self.head, self.lines = self._kept
        self._pending = bytearray()
        self._failed = f"{self.path} {what} ({lost} records are lost, {self.lines} are kept)"
        raise TraceError(self._failed)

    def _resume(self) -> None:
        before = last = b""
        with self.path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    self.torn_bytes = len(line)
                    break
                before, last = last, line
                self.lines += 1
                self._size += len(line)
        try:
            if last:
                head = open_line(before)[1] if before else self.head
                body, self.head = open_line(last)
                if link(head, body) != self.head:
                    raise TamperedTrace("it does not follow from the one before it")
        except TamperedTrace as error:
            raise TamperedTrace(f"{self.path}: line {self.lines}: {error}") from None
        if self.torn_bytes:
            os.truncate(self.path, self._size)


_sync = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync
