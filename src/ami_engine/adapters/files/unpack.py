"""The content of a file in pieces, unpacked as its first bytes say: gzip, bz2, xz, zip, zstd or plain.

Memory stays constant. What a cut or damaged stream gives is given up to the damage.
"""

import bz2
import importlib
import lzma
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal

from ami_engine.adapters.files.zip_member import only_member
from decision_schema.errors import MarketDataError

READ_BYTES = 65_536
"""Bytes of a file that are read at once."""
PIECE_BYTES = 262_144
"""Most bytes of a piece of content."""
ZSTD_READ_BYTES = 1_024
"""Bytes given to zstd at once: it has no bound on what it makes of them."""
_MARKS = (
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bz2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
)
_SKIPPED_FRAME = b"\x2a\x4d\x18"
"""Bytes 1 to 3 of a frame without content, with which a zstd file may begin; byte 0 is 0x50 to 0x5f."""
_MARK_BYTES = 6


class Broken(Exception):
    """A packed file ends too early, or cannot be unpacked any further."""

    def __init__(self, kind: str, how: Literal["cut", "damaged"]) -> None:
        self.kind, self.how = kind, how


def kind_of(head: bytes) -> str:
    r"""Tell how a file is packed by its first bytes.

    >>> kind_of(b"\x1f\x8b\x08"), kind_of(b"time,bid,ask")
    ('gzip', 'plain')
    """
    if head[1:4] == _SKIPPED_FRAME and 0x50 <= head[0] <= 0x5F:
        return "zstd"
    return next((kind for mark, kind in _MARKS if head.startswith(mark)), "plain")


class Unpacked:
    """Iterate over the content of a file in pieces of bytes.

    Args:
        file: Its first bytes say how it is packed, not its name.

    Raises:
        Broken: The file is cut or damaged; everything before was given.
        MarketDataError: A zip holds no file or several, or zstandard is not installed.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._size = max(1, file.stat().st_size)
        self._position = 0

    @property
    def fraction(self) -> float:
        """Part of the file, as it is packed, that has been read."""
        return min(1.0, self._position / self._size)

    def __iter__(self) -> Iterator[bytes]:
        with self._file.open("rb") as raw:
            kind = kind_of(raw.read(_MARK_BYTES))
            raw.seek(0)
            self._position = 0
            if kind == "zip":
                yield from self._zip(raw)
            elif kind == "plain":
                yield from self._plain(raw, None)
            else:
                yield from self._packed(raw, kind, None)

    def _read(self, raw: BinaryIO, end: int | None) -> bytes:
        data = raw.read(READ_BYTES if end is None else min(READ_BYTES, end - self._position))
        self._position += len(data)
        return data

    def _plain(self, raw: BinaryIO, end: int | None) -> Iterator[bytes]:
        while data := self._read(raw, end):
            yield data

    def _zip(self, raw: BinaryIO) -> Iterator[bytes]:
        member = only_member(self._file)
        if member is None:
            raise Broken("zip", "cut")
        raw.seek(member.start)
        self._position = member.start
        crc = 0
        stored = member.kind == "stored"
        pieces = self._plain(raw, member.end) if stored else self._packed(raw, member.kind, member.end)
        try:
            for piece in pieces:
                crc = zlib.crc32(piece, crc)
                yield piece
        except Broken as broken:
            raise Broken("zip", "cut" if member.crc is None else broken.how) from None
        if member.crc is None:
            raise Broken("zip", "cut")
        if member.crc != crc:
            raise Broken("zip", "damaged")
        self._position = self._size

    def _packed(self, raw: BinaryIO, kind: str, end: int | None) -> Iterator[bytes]:
        """Unpack the streams that follow each other, with or without zero bytes between them."""
        data = self._read(raw, end)
        while data:
            begin = self._position - len(data)
            stream = _Stream(kind)
            given = 0
            while data and not stream.eof:
                try:
                    for piece in stream.feed(data):
                        given += len(piece)
                        yield piece
                except stream.errors:
                    yield from self._rescued(kind, begin, self._position - len(data), given)
                    raise Broken(kind, "damaged") from None
                data = stream.unused if stream.eof else self._read(raw, end)
            if not stream.eof:
                raise Broken(kind, "cut")
            if kind == "deflate":  # what follows belongs to the zip
                return
            data = data.lstrip(b"\0")
            while not data and (data := self._read(raw, end)):
                data = data.lstrip(b"\0")

    def _rescued(self, kind: str, begin: int, bad: int, given: int) -> Iterator[bytes]:
        """Unpack a damaged stream again, byte by byte from the bad block on; yield what was not given.

        A block in which the damage is found gives nothing at all, not even what comes before it.
        """
        stream = _Stream(kind)
        with self._file.open("rb") as raw:
            raw.seek(begin)
            left = bad - begin
            try:
                while data := raw.read(min(READ_BYTES, left) if left else 1):
                    left -= min(left, len(data))
                    for piece in stream.feed(data):
                        fresh = piece[given:]
                        given -= len(piece) - len(fresh)
                        if fresh:
                            yield fresh
            except stream.errors:
                return


class _Stream:
    """One packed stream: bytes in, pieces of content out.

    `eof` tells that its end was seen and its checksum is right, `unused` what came behind it.
    """

    def __init__(self, kind: str) -> None:
        self.eof = False
        self.unused = b""
        self.errors: tuple[type[Exception], ...] = (zlib.error, lzma.LZMAError, OSError, EOFError)
        self._codec: Any
        if kind == "gzip":
            self._codec = zlib.decompressobj(16 + zlib.MAX_WBITS)
        elif kind == "deflate":
            self._codec = zlib.decompressobj(-zlib.MAX_WBITS)
        elif kind == "bz2":
            self._codec = bz2.BZ2Decompressor()
        elif kind == "xz":
            self._codec = lzma.LZMADecompressor(lzma.FORMAT_XZ)
        else:
            zstandard = _zstandard()
            self.errors = (zstandard.ZstdError,)
            self._codec = zstandard.ZstdDecompressor().decompressobj()
        self._pieces = {"gzip": self._inflated, "deflate": self._inflated, "zstd": self._unbounded}.get(
            kind, self._bounded
        )

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what more bytes give."""
        yield from self._pieces(data)
        self.eof = self._codec.eof
        self.unused = self._codec.unused_data + self.unused

    def _inflated(self, data: bytes) -> Iterator[bytes]:
        piece = b""
        while data or len(piece) == PIECE_BYTES:
            piece = self._codec.decompress(data, PIECE_BYTES)
            data = self._codec.unconsumed_tail
            if piece:
                yield piece

    def _bounded(self, data: bytes) -> Iterator[bytes]:
        more = True
        while more:
            piece = self._codec.decompress(data, PIECE_BYTES)
            data = b""
            more = not self._codec.eof and not self._codec.needs_input
            if piece:
                yield piece

    def _unbounded(self, data: bytes) -> Iterator[bytes]:
        for at in range(0, len(data), ZSTD_READ_BYTES):
            piece = self._codec.decompress(data[at : at + ZSTD_READ_BYTES])
            if piece:
                yield piece
            if self._codec.eof:
                self.unused = data[at + ZSTD_READ_BYTES :]
                return


def _zstandard() -> Any:
    try:
        return importlib.import_module("zstandard")
    except ImportError:
        raise MarketDataError("zstandard is not installed: pip install 'mdm-engine[data]'") from None
