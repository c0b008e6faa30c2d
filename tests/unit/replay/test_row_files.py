"""Copies of files up to a row: packed as they are, no byte of the rows changed."""

import bz2
import gzip
import lzma
import zipfile

import pytest

from ami_engine.adapters.files.rows import RowReader
from ami_engine.adapters.files.unpack import kind_of
from ami_engine.replay.row_files import copy_parquet, copy_rows, copy_while, kind_of_file, not_blank
from ami_engine.replay.row_times import RowTime, find_row_time

ROWS = b"time,bid\r\n" + b"".join(b"%d,0.%d\r\n" % (i, i) for i in range(10, 30)) + b"30,0.3"


def zipped(file, body):
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("inner.csv", body)


PACKERS = {
    "plain": lambda file, body: file.write_bytes(body),
    "gzip": lambda file, body: file.write_bytes(gzip.compress(body)),
    "bz2": lambda file, body: file.write_bytes(bz2.compress(body)),
    "xz": lambda file, body: file.write_bytes(lzma.compress(body)),
    "zstd": lambda file, body: file.write_bytes(__import__("zstandard").compress(body)),
    "zip": zipped,
}


def texts(file):
    return [text for _, text in RowReader(file)]


@pytest.mark.parametrize("kind", PACKERS)
def test_the_copy_has_the_first_rows_and_is_packed_alike(kind, tmp_path):
    PACKERS[kind](tmp_path / "a.csv", ROWS)
    assert kind_of_file(tmp_path / "a.csv") == "text"
    assert copy_rows(tmp_path / "a.csv", tmp_path / "b.csv", 4) == 4
    assert kind_of((tmp_path / "b.csv").read_bytes()[:6]) == kind
    assert texts(tmp_path / "b.csv") == texts(tmp_path / "a.csv")[:4]
    assert copy_rows(tmp_path / "a.csv", tmp_path / "c.csv", 1_000) == 22
    assert texts(tmp_path / "c.csv") == texts(tmp_path / "a.csv")
    assert copy_while(tmp_path / "a.csv", tmp_path / "d.csv", lambda text: text < "13") == 0
    assert copy_while(tmp_path / "a.csv", tmp_path / "d.csv", lambda text: text > "t" or text < "13") == 4


def test_a_plain_copy_has_the_same_bytes_and_keeps_what_does_not_count(tmp_path):
    body = b"\xef\xbb\xbftime\n\n1\n \n2\n\n3\n"
    (tmp_path / "a").write_bytes(body)
    assert copy_rows(tmp_path / "a", tmp_path / "b", 2, lambda text: not_blank(text) and text != "time") == 2
    assert (tmp_path / "b").read_bytes() == b"\xef\xbb\xbftime\n\n1\n \n2\n\n"
    assert copy_rows(tmp_path / "a", tmp_path / "c", 0, lambda text: not_blank(text) and text != "time") == 0
    assert (tmp_path / "c").read_bytes() == b"\xef\xbb\xbftime\n\n"


def test_a_packed_file_that_is_cut_gives_what_it_has(tmp_path):
    body = b"".join(b"%d,row\n" % i for i in range(50_000))
    (tmp_path / "a.gz").write_bytes(gzip.compress(body)[:-2_000])
    rows = copy_rows(tmp_path / "a.gz", tmp_path / "b.gz", 10**9)
    assert 1_000 < rows < 50_000
    assert texts(tmp_path / "b.gz")[0] == "0,row"


def test_what_is_no_table_of_rows_is_not_cut(tmp_path):
    (tmp_path / "a.json").write_text('{"a":\n 1}\n')
    (tmp_path / "b.bin").write_bytes(b"ab\0\0\n")
    (tmp_path / "c.json.gz").write_bytes(gzip.compress(b"{}"))
    (tmp_path / "d.jsonl").write_text("{}\n{}\n")
    kinds = [kind_of_file(tmp_path / name) for name in ("a.json", "b.bin", "c.json.gz", "d.jsonl")]
    assert kinds == ["other", "other", "other", "text"]


def test_the_first_rows_of_a_parquet_file(tmp_path):
    polars = pytest.importorskip("polars")
    polars.DataFrame({"ts": range(100), "bid": [0.5] * 100}).write_parquet(tmp_path / "a.parquet")
    assert kind_of_file(tmp_path / "a.parquet") == "parquet"
    assert copy_parquet(tmp_path / "a.parquet", tmp_path / "b.parquet", 7) == 7
    assert polars.read_parquet(tmp_path / "b.parquet")["ts"].to_list() == list(range(7))
    assert copy_parquet(tmp_path / "a.parquet", tmp_path / "b.parquet", 1_000) == 100
    assert copy_parquet(tmp_path / "a.parquet", tmp_path / "b.parquet", 0) == 0


S = 1_723_161_256


@pytest.mark.parametrize(
    ("row", "time"),
    [
        ("{i},{s}000000000,0.5", RowTime(1, "ns")),
        ('{{"n":{i},"T":{s}000,"p":"0.5"}}', RowTime(1, "ms")),
        ("{s}.500 0.5", RowTime(0, "s")),
        ("x;2024-08-08 23:54:{sec}.5;7", RowTime(0, "iso")),
        ("7\t2024-08-09T01:54:{sec}.500+02:00", RowTime(1, "iso")),
    ],
)
def test_times_are_found_in_rows_of_any_form(row, time):
    half = ".5" in row.split(",")[0] or "00+" in row
    rows = ["head,er", *(row.format(i=100 + i, s=S + i, sec=16 + i) for i in range(20))]
    stamps = {(S + i) * 10**9 + 500_000_000 * half for i in range(20)}
    found = find_row_time(rows, stamps)
    assert found == time
    assert found.of(rows[0]) is None
    assert found.of(rows[3]) in stamps


def test_times_that_are_not_those_of_the_events_are_not_taken():
    assert (
        find_row_time(
            [f"{S + i},0.5" for i in range(20)], {(S + i) * 10**9 + 3_600 * 10**9 for i in range(20)}
        )
        is None
    )
    assert find_row_time(["a,b"], {5}) is None
    assert find_row_time([], {5}) is None
