"""Copies of data files that end after some row, packed as the file is."""

import bz2
import gzip
import importlib
import lzma
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias, cast

from ami_engine.adapters.files.unpack import Broken, Unpacked, kind_of
from decision_schema.errors import ConfigError, MarketDataError

Kind: TypeAlias = Literal["text", "parquet", "other"]
"""How a file can be cut; ``other`` = it cannot."""
RowTest: TypeAlias = Callable[[str], bool]

_NO_ROWS = frozenset(
    (".json", ".toml", ".yaml", ".yml", ".ini", ".cfg", ".xml", ".html", ".md", ".py", ".pkl", ".pickle")
)
"""Endings of texts that are one whole, not rows."""
_PACKED = frozenset((".gz", ".bz2", ".xz", ".zip", ".zst"))
_HEAD_BYTES = 512


def kind_of_file(file: Path) -> Kind:
    """Tell whether a file is a text of rows, packed or not, or Parquet.

    Raises:
        MarketDataError: It cannot be read.
    """
    endings = [ending.lower() for ending in file.suffixes]
    while endings and endings[-1] in _PACKED:
        endings.pop()
    if endings and endings[-1] in _NO_ROWS:
        return "other"
    try:
        with file.open("rb") as raw:
            head = raw.read(4)
        if head == b"PAR1":
            return "parquet"
        piece = next(iter(Unpacked(file)), b"")
    except OSError as error:
        raise MarketDataError(f"{file} cannot be read: {error.strerror}") from None
    except (Broken, MarketDataError):
        return "other"
    return "other" if b"\0" in piece[:_HEAD_BYTES] else "text"


def text_rows(file: Path) -> Iterator[bytes]:
    """Yield the rows of a text file with their ends; one that is cut or damaged ends there."""
    tail = b""
    try:
        for piece in Unpacked(file):
            rows = (tail + piece).split(b"\n")
            tail = rows.pop()
            for row in rows:
                yield row + b"\n"
    except Broken:
        return
    if tail:
        yield tail


def copy_rows(file: Path, copy: Path, rows: int, counts: RowTest | None = None) -> int:
    r"""Copy a text up to the end of a row.

    Args:
        file: The file.
        copy: Where to.
        rows: Rows that are kept; between them and behind them, also those that do not count.
        counts: Which rows count, by their text; None = all.

    Returns:
        Rows that counted.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.csv").write_bytes(b"time,bid\n1,2\n3,4\n5,6\n")
    >>> copy_rows(folder / "a.csv", folder / "b.csv", 2, lambda text: text[0].isdigit())
    2
    >>> (folder / "b.csv").read_text()
    'time,bid\n1,2\n3,4\n'
    """
    done = 0
    with packed_as(file, copy) as out:
        for row in text_rows(file):
            if counts is None or counts(_text(row)):
                if done == rows:
                    break
                done += 1
            out.write(row)
    return done


def copy_while(file: Path, copy: Path, keep: RowTest) -> int:
    """Copy the rows of a text before the first one that is not kept; return how many."""
    done = 0
    with packed_as(file, copy) as out:
        for row in text_rows(file):
            if not keep(_text(row)):
                break
            out.write(row)
            done += 1
    return done


def copy_parquet(file: Path, copy: Path, rows: int) -> int:
    """Copy the first rows of a Parquet file; return how many."""
    polars = _polars()
    scan = polars.scan_parquet(file)
    scan.head(rows).sink_parquet(copy)
    return min(rows, int(scan.select(polars.len()).collect().item()))


def not_blank(text: str) -> bool:
    """Tell whether a row holds something."""
    return bool(text) and not text.isspace()


def _text(row: bytes) -> str:
    return row.decode("utf-8", "replace").removesuffix("\n").removesuffix("\r").removeprefix("\ufeff")


def _polars() -> Any:
    try:
        return importlib.import_module("polars")
    except ImportError:
        raise ConfigError("polars is not installed: pip install 'mdm-engine[data]'") from None


@contextmanager
def packed_as(file: Path, copy: Path) -> Iterator[IO[bytes]]:
    """Open a file to write, packed as another one is."""
    with file.open("rb") as raw:
        kind = kind_of(raw.read(6))
    if kind == "gzip":
        with gzip.open(copy, "wb", compresslevel=1) as out:
            yield cast(IO[bytes], out)
    elif kind == "bz2":
        with bz2.open(copy, "wb", compresslevel=1) as out:
            yield cast(IO[bytes], out)
    elif kind == "xz":
        with lzma.open(copy, "wb", preset=0) as out:
            yield cast(IO[bytes], out)
    elif kind == "zstd":
        zstandard = importlib.import_module("zstandard")  # it has been read with it
        with copy.open("wb") as plain, zstandard.ZstdCompressor(level=1).stream_writer(plain) as out:
            yield out
    elif kind == "zip":
        with zipfile.ZipFile(file) as of:
            members = [info.filename for info in of.infolist() if not info.is_dir()]
        name = next((member for member in members if not member.startswith("__MACOSX/")), file.stem)
        with (
            zipfile.ZipFile(copy, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
            archive.open(name, "w", force_zip64=True) as out,
        ):
            yield out
    else:
        with copy.open("wb") as out:
            yield out
