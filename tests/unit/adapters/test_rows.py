"""Rows of files: how they are packed, how they end, and what a cut or damaged one still gives."""

import bz2
import gzip
import io
import lzma
import re
import struct
import sys
import tracemalloc
import zipfile
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ami_engine.adapters.files import rows, unpack
from ami_engine.adapters.files.rows import RowReader
from decision_schema.errors import MarketDataError

TEXT = "".join(f"{i},{i * 37 % 101}.5,name {i * i}\n" for i in range(60)).encode()
HALF = len(TEXT) // 2


def zipped(content=TEXT, names=("rows.csv",), method=zipfile.ZIP_DEFLATED):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        for name in names:
            archive.writestr(name, b"" if name.endswith("/") else content)
    return packed.getvalue()


def zstd(content=TEXT):
    zstandard = pytest.importorskip("zstandard")
    return zstandard.ZstdCompressor(write_checksum=True).compress(content)


PACKED = {
    "plain": lambda: TEXT,
    "gzip": lambda: gzip.compress(TEXT, mtime=0),
    "gzip, named": lambda: gzip.compress(TEXT)[:3] + b"\x08" + gzip.compress(TEXT, mtime=0)[4:10] + b"a.csv\0" + gzip.compress(TEXT, mtime=0)[10:],
    "gzip, members": lambda: gzip.compress(TEXT[:HALF]) + gzip.compress(b"") + gzip.compress(TEXT[HALF:]),
    "gzip, padded": lambda: gzip.compress(TEXT) + b"\0" * 200_000,
    "bz2": lambda: bz2.compress(TEXT),
    "bz2, streams": lambda: bz2.compress(TEXT[:HALF]) + bz2.compress(TEXT[HALF:]),
    "xz": lambda: lzma.compress(TEXT),
    "xz, streams": lambda: lzma.compress(TEXT[:HALF]) + bytes(8) + lzma.compress(TEXT[HALF:]),
    "zip": zipped,
    "zip, stored": lambda: zipped(method=zipfile.ZIP_STORED),
    "zip, bz2": lambda: zipped(method=zipfile.ZIP_BZIP2),
    "zip, of a Mac": lambda: zipped(names=("data/", "data/rows.csv", "__MACOSX/._rows.csv")),
    "zstd": zstd,
    "zstd, frames": lambda: b"\x50\x2a\x4d\x18\x04\0\0\0skip" + zstd(TEXT[:HALF]) + zstd(TEXT[HALF:]),
}  # fmt: skip
EXPECTED = list(enumerate(TEXT.decode().splitlines(), 1))


def read(file):
    """All rows with their flaws, and the error that ended them."""
    reader = RowReader(file)
    found = []
    try:
        for number, text in reader:
            found.append((number, text, reader.flaw))
    except MarketDataError as error:
        return found, str(error)
    assert reader.fraction == 1.0
    return found, ""


def read_bytes(tmp_path, content, name="data.csv"):
    file = tmp_path / name
    file.write_bytes(content)
    return read(file)


@pytest.mark.parametrize("how", PACKED)
@pytest.mark.parametrize("block", [7, unpack.READ_BYTES])
def test_packing_is_told_by_the_content(tmp_path, monkeypatch, how, block):
    monkeypatch.setattr(unpack, "READ_BYTES", block)
    monkeypatch.setattr(unpack, "PIECE_BYTES", max(block, 50))
    found, error = read_bytes(tmp_path, PACKED[how](), "a name that says nothing.gz")
    assert error == ""
    assert [(number, text) for number, text, _ in found] == EXPECTED
    assert {flaw for _, _, flaw in found} == {""}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"a\n\n b \n", ["a", "", " b "]),
        (b"\n", [""]),
        (b"\xef\xbb\xbftime\n\xef\xbb\xbfx\n", ["time", "\ufeffx"]),
        ("a\x0bb\x0cc\x1cd\x1ee\x85f\u2028g\u2029h\n".encode(), ["a\x0bb\x0cc\x1cd\x1ee\x85f\u2028g\u2029h"]),
        (b"a\rb\r\r\n", ["a\rb\r"]),
        (b"caf\xe9,1\n\xff\xfe2\n", ["caf\ufffd,1", "\ufffd\ufffd2"]),
        ("é€😀\n".encode(), ["é€😀"]),
        (b"cut \xf0\x9f\nnext\n", ["cut \ufffd", "next"]),
    ],
    ids=["windows", "blank rows", "one blank row", "byte order mark", "other separators", "lone returns", "latin-1", "utf-8", "torn character"],
)  # fmt: skip
@pytest.mark.parametrize("block", [1, 2, 1000])
def test_only_newlines_end_rows(tmp_path, monkeypatch, content, expected, block):
    monkeypatch.setattr(unpack, "READ_BYTES", block)
    found, error = read_bytes(tmp_path, content)
    assert error == ""
    assert found == [(number, text, "") for number, text in enumerate(expected, 1)]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress, zipped])
def test_a_last_row_without_newline_is_whole(tmp_path, pack):
    found, error = read_bytes(tmp_path, pack(b"a\nb\r\nc"))
    assert (found, error) == ([(1, "a", ""), (2, "b", ""), (3, "c", "unterminated")], "")


def test_an_empty_content_has_no_row(tmp_path):
    assert read_bytes(tmp_path, gzip.compress(b"")) == ([], "")


# ------------------------------------------------------------ cut


def text_of(found):
    return "".join(text if flaw else f"{text}\n" for _, text, flaw in found)


def check_cut(found, error, name, kind):
    """What was given is a beginning of the text, and the error names the row that is cut."""
    assert TEXT.decode().startswith(text_of(found))
    assert [number for number, _, _ in found] == list(range(1, len(found) + 1))
    assert all(flaw == "" for _, _, flaw in found[:-1])
    whole = sum(flaw == "" for _, _, flaw in found)
    assert (
        error
        == f"{name}: row {whole + 1}: the {kind} stream is cut: {whole} rows before it are kept; download the file again"
    )


@pytest.mark.parametrize("how", ["gzip", "gzip, members", "bz2", "xz", "zip", "zip, stored", "zstd"])
def test_cut_at_every_byte(tmp_path, how):
    packed = PACKED[how]()
    kind = how.split(",")[0]
    ends = {len(packed)}
    if how == "gzip, members":  # between two members nothing is missed
        ends |= {len(gzip.compress(TEXT[:HALF])), len(gzip.compress(TEXT[:HALF]) + gzip.compress(b""))}
    kept = 0
    for cut in range(6, len(packed)):
        found, error = read_bytes(tmp_path, packed[:cut], "cut.bin")
        if cut in ends:
            assert error == ""
            continue
        check_cut(found, error, "cut.bin", kind)
        assert len(found) >= kept
        kept = len(found) if how != "gzip, members" else 0
    assert found[-1][:2] == EXPECTED[-1]


@pytest.mark.parametrize("block", [16, unpack.READ_BYTES])
def test_a_cut_gzip_gives_all_that_can_be_unpacked(tmp_path, monkeypatch, block):
    monkeypatch.setattr(unpack, "READ_BYTES", block)
    packed = gzip.compress(TEXT)
    for cut in range(2, len(packed)):
        known = zlib.decompressobj(31).decompress(packed[:cut])
        found, _ = read_bytes(tmp_path, packed[:cut])
        assert text_of(found).encode() == known


lines = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\n\0"), max_size=12), min_size=1, max_size=30
)


@settings(max_examples=60)
@given(lines=lines, part=st.floats(0.0, 1.0), block=st.integers(1, 40), data=st.data())
def test_rows_before_a_cut_are_those_of_the_text(tmp_path_factory, lines, part, block, data):
    content = "".join(f"{line}\n" for line in lines).encode()
    pack = data.draw(st.sampled_from([gzip.compress, bz2.compress, lzma.compress, zipped]))
    packed = pack(content)
    cut = 6 + int(part * (len(packed) - 6))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unpack, "READ_BYTES", block)
        patch.setattr(unpack, "PIECE_BYTES", block)
        found, error = read_bytes(tmp_path_factory.getbasetemp(), packed[:cut], "property.bin")
    assert (error == "") == (cut == len(packed))
    expected = [line.removesuffix("\r") for line in content.decode().removeprefix("\ufeff").split("\n")[:-1]]
    whole = [text for _, text, flaw in found if flaw == ""]
    assert whole == expected[: len(whole)]
    if not error:
        assert len(whole) == len(expected)


# ------------------------------------------------------------ damaged


@pytest.mark.parametrize("how", ["gzip", "bz2", "xz", "zip", "zip, stored", "zstd"])
def test_a_changed_byte_is_found_or_changes_nothing(tmp_path, how):
    packed = PACKED[how]()
    found_damage = 0
    for at in range(6, len(packed)):
        for change in (0x01, 0xFF):
            damaged = packed[:at] + bytes([packed[at] ^ change]) + packed[at + 1 :]
            found, error = read_bytes(tmp_path, damaged)
            if error:
                found_damage += 1
            else:
                assert [(number, text) for number, text, _ in found] == EXPECTED
    assert found_damage > len(packed)


def unpacked_bytewise(packed):
    codec, known = zlib.decompressobj(31), []
    try:
        known.extend(codec.decompress(bytes([byte])) for byte in packed)
    except zlib.error:
        return b"".join(known)
    raise AssertionError("nothing is damaged")


@pytest.mark.parametrize("place", [0.2, 0.5, 0.9])
def test_all_before_the_damage_is_kept(tmp_path, place):
    content = "".join(f"{i * 7919 % 1_000_003},{i * 104_729 % 15_485_863}\n" for i in range(30_000)).encode()
    packed = bytearray(gzip.compress(content))
    at = int(place * len(packed))
    packed[at : at + 40] = b"\xff" * 40
    known = unpacked_bytewise(packed)
    found, error = read_bytes(tmp_path, packed, "big.gz")
    assert text_of(found) == known.decode("utf-8", "replace")
    whole = known.count(b"\n")
    assert whole > 30_000 * place * 0.8
    assert (
        error
        == f"big.gz: row {whole + 1}: the gzip stream is damaged: {whole} rows before it are kept; download the file again"
    )


def test_a_wrong_checksum_is_damage(tmp_path):
    packed = bytearray(gzip.compress(TEXT))
    packed[-5] ^= 1
    found, error = read_bytes(tmp_path, packed)
    assert len(found) == 60
    assert "row 61: the gzip stream is damaged: 60 rows before it are kept" in error


@pytest.mark.parametrize("rest", [b"what is this\n", gzip.compress(b"x", mtime=0)[:9] + b"no", b"\0\0 "])
def test_what_follows_a_stream_is_damage(tmp_path, rest):
    found, error = read_bytes(tmp_path, gzip.compress(TEXT) + rest)
    assert len(found) == 60
    assert re.search("row 61: the gzip stream is (cut|damaged)", error)


# ------------------------------------------------------------ refused


def flagged(content):
    at = 6
    return content[:at] + bytes([content[at] | 1]) + content[at + 1 :]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (zipped(names=("a.csv", "b.csv")), "f.bin holds 2 files (a.csv, b.csv): unpack it, and name the file that you want"),
        (zipped(names=tuple(f"{i}.csv" for i in range(9))), "f.bin holds 9 files (0.csv, 1.csv, 2.csv, 3.csv, 4.csv, ...): unpack it, and name the file that you want"),
        (zipped(names=()), "f.bin is a zip without a file in it: download it again"),
        (zipped(names=("folder/",)), "f.bin is a zip without a file in it: download it again"),
        (flagged(zipped()), "f.bin is a zip with a password: unpack it first"),
        (zipped(method=zipfile.ZIP_LZMA), "f.bin is a zip packed by method 14: unpack it first"),
        (b"DBN\x03\0\0\0\0rows", "f.bin is no text: it holds zero bytes: unpack or export it as text first"),
        (gzip.compress(b"RDX2\nX\n\0\0\0\2\0", mtime=0), "f.bin is no text: it holds zero bytes: unpack or export it as text first"),
        ("time,bid\n".encode("utf-16"), "f.bin is no text: it holds zero bytes: save it as UTF-8"),
    ],
    ids=["two files", "many files", "empty zip", "only a folder", "password", "method", "binary", "binary in gzip", "utf-16"],
)  # fmt: skip
def test_refused(tmp_path, content, message):
    assert read_bytes(tmp_path, content, "f.bin") == ([], message)


def test_zstd_needs_its_library(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "zstandard", None)
    found, error = read_bytes(tmp_path, b"\x28\xb5\x2f\xfd rest")
    assert (found, error) == ([], "zstandard is not installed: pip install 'mdm-engine[data]'")


def test_a_missing_file(tmp_path):
    with pytest.raises(MarketDataError, match=r"gone.csv cannot be read: No such file"):
        next(iter(RowReader(tmp_path / "gone.csv")))


# ------------------------------------------------------------ odd rows


def test_zero_bytes_behind_the_head_flag_their_rows(tmp_path):
    content = TEXT + b"1,\0\0\0\n" + TEXT
    found, error = read_bytes(tmp_path, content)
    assert error == ""
    assert [(number, flaw) for number, _, flaw in found if flaw] == [(61, "binary")]
    assert len(found) == 121


@pytest.mark.parametrize("block", [10, 999, 100_000])
def test_a_row_too_long_is_flagged_and_not_kept(tmp_path, monkeypatch, block):
    monkeypatch.setattr(rows, "MAX_ROW_BYTES", 2_000)
    monkeypatch.setattr(unpack, "READ_BYTES", block)
    content = b"before\n" + b"x" * 300_000 + b"\nafter\n" + b"y" * 300_000
    found, error = read_bytes(tmp_path, content)
    assert error == ""
    assert [(number, text, flaw) for number, text, flaw in found] == [
        (1, "before", ""),
        (2, "x" * rows.KEPT_BYTES, "oversize"),
        (3, "after", ""),
        (4, "y" * rows.KEPT_BYTES, "oversize"),
    ]


def peak_bytes(file):
    count = 0
    tracemalloc.start()
    try:
        reader = RowReader(file)
        for _ in reader:
            count += 1
        return tracemalloc.get_traced_memory()[1], count
    finally:
        tracemalloc.stop()


def packed_file(tmp_path, pieces):
    file = tmp_path / "large"
    with gzip.open(file, "wb", compresslevel=1) as stream:
        for piece in pieces:
            stream.write(piece)
    return file


def test_memory_is_constant(tmp_path):
    small, _ = peak_bytes(packed_file(tmp_path, [TEXT * 500] * 2))
    large, count = peak_bytes(packed_file(tmp_path, [TEXT * 500] * 10))
    assert count == 300_000
    assert large < small * 1.2 < 8_000_000


def test_memory_is_bounded_for_a_row_without_end(tmp_path):
    peak, count = peak_bytes(packed_file(tmp_path, [b"a" * 1_000_000] * 100))
    assert count == 1
    assert peak < 4 * rows.MAX_ROW_BYTES


def test_reading_begins_anew(tmp_path):
    file = tmp_path / "rows"
    file.write_bytes(gzip.compress(TEXT))
    reader = RowReader(file)
    assert reader.fraction == 0.0
    assert next(iter(reader)) == EXPECTED[0]
    assert list(reader) == EXPECTED
    assert list(reader) == EXPECTED


def test_a_zip_whose_sizes_stand_behind_the_content(tmp_path):
    packed = io.BytesIO()
    stream = type(
        "Unseekable", (), {"write": lambda self, data: packed.write(data), "flush": lambda self: None}
    )()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("rows.csv", TEXT)
    content = packed.getvalue()
    assert struct.unpack_from("<I", content, 18) == (0,)
    assert [row[:2] for row in read_bytes(tmp_path, content)[0]] == EXPECTED
    found, error = read_bytes(tmp_path, content[:-10])
    assert [row[:2] for row in found] == EXPECTED
    assert "the zip stream is cut" in error
