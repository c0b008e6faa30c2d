"""RowReader: the rows of a text file, packed or not, one at a time and in constant memory."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypeAlias

from ami_engine.adapters.files.unpack import Broken, Unpacked
from decision_schema.errors import MarketDataError

Flaw: TypeAlias = Literal["", "unterminated", "torn", "oversize", "binary"]
"""What is odd about a row; see `RowReader`."""

MAX_ROW_BYTES = 8 * 1024 * 1024
"""A row longer than this is not kept."""
KEPT_BYTES = 512
"""Bytes of a row too long that are given."""
HEAD_BYTES = 512
"""First bytes of a file, in which a zero byte says that it is no text."""
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")


class RowReader:
    r"""Iterate over (number, text) of the rows of a file; the first is number 1.

    A row ends with ``\n`` or ``\r\n`` and with nothing else; bytes that are no UTF-8 become U+FFFD.
    While a row is at hand, `flaw` says what is odd about it: ``unterminated`` = the last row of a file
    that does not end with a newline; ``torn`` = the file is cut or damaged within it; ``oversize`` =
    it is longer than MAX_ROW_BYTES, and only its beginning is given; ``binary`` = it holds a zero byte.

    Args:
        file: Text, as it is or packed by gzip, bz2, xz, zip or zstd, which its content tells.

    Raises:
        MarketDataError: The file is no text or cannot be read, or is cut: all rows before were given.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "rows.txt"
    >>> _ = file.write_bytes(b"a,1\r\nb,2")
    >>> reader = RowReader(file)
    >>> [(number, text, reader.flaw) for number, text in reader]
    [(1, 'a,1', ''), (2, 'b,2', 'unterminated')]
    >>> reader.fraction
    1.0
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.flaw: Flaw = ""
        self._content: Unpacked | None = None

    @property
    def fraction(self) -> float:
        """Part of the file, as it is packed, that has been read."""
        return 0.0 if self._content is None else self._content.fraction

    def __iter__(self) -> Iterator[tuple[int, str]]:
        number = 0
        self.flaw = ""
        broken: Broken | None = None
        try:
            self._content = Unpacked(self.file)
            for chunk, flaw in _chunks(self._checked(self._content)):
                rows = chunk.decode("utf-8", "replace").split("\n")
                if number == 0:
                    rows[0] = rows[0].removeprefix("\ufeff")
                zeros = b"\0" in chunk
                self.flaw = flaw
                for text in rows:
                    number += 1
                    if zeros:
                        self.flaw = flaw or ("binary" if "\0" in text else "")
                    yield number, text.removesuffix("\r")
        except Broken as error:
            broken = error
            if self.flaw != "torn":
                number += 1
        except OSError as error:
            raise MarketDataError(f"{self.file} cannot be read: {error.strerror}") from None
        if broken is not None:
            raise MarketDataError(
                f"{self.file.name}: row {number}: the {broken.kind} stream is {broken.how}: "
                f"{number - 1} rows before it are kept; download the file again"
            )

    def _checked(self, content: Unpacked) -> Iterator[bytes]:
        """Hand the content on, unless its head is no text."""
        for place, piece in enumerate(content):
            if place == 0 and b"\0" in piece[:HEAD_BYTES]:
                utf_16 = piece.startswith(_UTF_16_MARKS)
                remedy = "save it as UTF-8" if utf_16 else "unpack or export it as text first"
                raise MarketDataError(f"{self.file.name} is no text: it holds zero bytes: {remedy}")
            yield piece


def _chunks(content: Iterator[bytes]) -> Iterator[tuple[bytes, Flaw]]:
    """Yield whole rows, many at a time, without the last newline; one with a flaw comes alone.

    Raises:
        Broken: The file is cut or damaged; its last row was yielded as torn.
    """
    tail = bytearray()
    oversize = False
    try:
        for piece in content:
            if oversize:
                at = piece.find(b"\n")
                if at < 0:
                    continue
                yield bytes(tail), "oversize"
                oversize = False
                tail.clear()
                piece = piece[at + 1 :]
            at = piece.rfind(b"\n")
            if at < 0:
                tail += piece
                if len(tail) > MAX_ROW_BYTES:
                    oversize = True
                    del tail[KEPT_BYTES:]
                continue
            yield bytes(tail) + piece[:at], ""
            tail = bytearray(piece[at + 1 :])
    except Broken:
        if tail:
            yield bytes(tail), "torn"
        raise
    if tail:
        yield bytes(tail), "oversize" if oversize else "unterminated"
