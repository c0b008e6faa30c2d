"""Where the bytes of the only file in a zip lie, also in a zip whose end is lost."""

import struct
import zipfile
from pathlib import Path
from typing import BinaryIO, NamedTuple

from decision_schema.errors import MarketDataError

_HEADER = struct.Struct("<4s5H3I2H")
"""Before each member: mark, version, flags, method, time, date, crc, two sizes, two lengths."""
_MARK = b"PK\x03\x04"
_ENCRYPTED = 1
_KINDS = {0: "stored", 8: "deflate", 12: "bz2", 93: "zstd"}
"""How a member can be packed, by the method's number."""
_MAC_COPIES = "__MACOSX/"
MAX_NAMES = 5
"""Members that an error names."""


class Member(NamedTuple):
    """Where a member lies.

    Args:
        kind: How it is packed: ``stored``, ``deflate``, ``bz2`` or ``zstd``.
        start: First byte in the file.
        end: Byte after the last one; None = not known.
        crc: Checksum of its content; None = not known, for the end of the zip is lost.
    """

    kind: str
    start: int
    end: int | None
    crc: int | None


def only_member(file: Path) -> Member | None:
    """Find the only file in a zip; None = the zip ends before its content begins.

    Folders and the copies that a Mac adds are left aside. A zip whose end is lost has no list of its
    members: then it is the first one.

    Raises:
        MarketDataError: It holds no file or several, or one that cannot be unpacked.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            infos = [
                i for i in archive.infolist() if not i.is_dir() and not i.filename.startswith(_MAC_COPIES)
            ]
    except (zipfile.BadZipFile, NotImplementedError, struct.error, OSError, ValueError):
        with file.open("rb") as raw:
            return _member_at(file, raw, 0)
    if len(infos) != 1:
        raise MarketDataError(
            f"{file.name} holds {_names(infos)}: unpack it, and name the file that you want"
            if infos
            else f"{file.name} is a zip without a file in it: download it again"
        )
    info = infos[0]
    with file.open("rb") as raw:
        member = _member_at(file, raw, info.header_offset)
    if member is None:
        return None
    return member._replace(end=member.start + info.compress_size, crc=info.CRC)


def _names(infos: list[zipfile.ZipInfo]) -> str:
    shown = ", ".join(info.filename for info in infos[:MAX_NAMES])
    return f"{len(infos)} files ({shown}{', ...' if len(infos) > MAX_NAMES else ''})"


def _member_at(file: Path, raw: BinaryIO, at: int) -> Member | None:
    """Read the header of the member that begins at a byte of the file."""
    raw.seek(at)
    header = raw.read(_HEADER.size)
    if len(header) < _HEADER.size or not header.startswith(_MARK):
        return None
    _, _, flags, method, _, _, _, packed, _, name_bytes, extra_bytes = _HEADER.unpack(header)
    if flags & _ENCRYPTED:
        raise MarketDataError(f"{file.name} is a zip with a password: unpack it first")
    if method not in _KINDS:
        raise MarketDataError(f"{file.name} is a zip packed by method {method}: unpack it first")
    start = at + _HEADER.size + name_bytes + extra_bytes
    # A size of 0 or of all bits is written elsewhere.
    known = 0 < packed < 0xFFFFFFFF
    return Member(_KINDS[method], start, start + packed if known else None, None)
