"""Files that are known by their first bytes or rows, but that no source reads: what to do with each."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

OWN_SOURCE = "write a MarketDataSource that reads it: docs/your_own_data.md"

_MARKS = (
    (b"DBN", "Databento's DBN", f"convert it to csv or parquet by the databento package, or {OWN_SOURCE}"),
    (b"RDX", "R data", "save it in R as csv, such as write.csv(x, 'x.csv', row.names = FALSE)"),
    (b"RDA", "R data", "save it in R as csv, such as write.csv(x, 'x.csv', row.names = FALSE)"),
    (b"\x89HDF", "HDF5", "export its table as parquet or csv"),
    (b"ARROW1", "Arrow IPC (Feather)", "export it as parquet"),
    (b"Obj\x01", "Avro", "export it as parquet or csv"),
    (b"SQLite format 3", "an SQLite database", "export its table as csv"),
    (b"\x93NUMPY", "a numpy array", "save it as csv with names of columns"),
    (b"%PDF", "a PDF", "name the data file itself"),
    (b"\x1f\x8b", "packed twice", "unpack it once"),
    (b"PK\x03\x04", "a zip in a packed file", "unpack it once"),
)
_TAR_AT = 257
_PITCH = re.compile(r"S?\d{8}[A-Za-z][0-9A-Z]{6,}", re.ASCII)
_WEB_PAGE = ("<!doctype", "<html", "<?xml")
SHOWN_KEYS = 6
SHOWN_CHARACTERS = 60


def foreign_bytes(head: bytes) -> str:
    """Say what a file is, and what to do, by its first bytes; empty = they say nothing.

    >>> foreign_bytes(b"SQLite format 3...")
    'looks like an SQLite database: export its table as csv'
    """
    for mark, name, remedy in _MARKS:
        if head.startswith(mark):
            return f"looks like {name}: {remedy}"
    if head[_TAR_AT : _TAR_AT + 5] == b"ustar":
        return "looks like a tar archive: unpack it, and name the file that you want"
    return ""


def foreign_rows(rows: Sequence[str]) -> str:
    """Say what a text file is, and what to do, by its first rows; empty = they say nothing.

    >>> foreign_rows(["28800012ABK27GA00000KB001000SSO   0000763800Y"])
    'looks like BATS PITCH: write a MarketDataSource that reads it: docs/your_own_data.md'
    """
    first = rows[0].lstrip()
    if first.lower().startswith(_WEB_PAGE):
        return "looks like a web page, not data: download the file again"
    if first.startswith("version https://git-lfs"):
        return "is a pointer of Git LFS, not the data: fetch them by git lfs pull"
    if first.startswith("wss://"):
        return f"looks like a raw capture of cryptofeed: {OWN_SOURCE}"
    if first.startswith("["):
        shown = first[:SHOWN_CHARACTERS]
        return f"looks like one JSON array ({shown!r}): write its objects as csv, or {OWN_SOURCE}"
    if message := next(filter(None, map(_message_in, rows)), None):
        if message.get("op") == "mcm":
            return f"looks like a stream of the Betfair Exchange: {OWN_SOURCE}"
        keys = ", ".join(key[:SHOWN_CHARACTERS] for key in [*message][:SHOWN_KEYS])
        return f"looks like JSON messages of no venue that is known (keys {keys}): {OWN_SOURCE}"
    if first.startswith("{"):
        return f"looks like JSON that cannot be read ({first[:SHOWN_CHARACTERS]!r}): {OWN_SOURCE}"
    return _foreign_text(rows)


def _message_in(row: str) -> dict[str, Any]:
    """Decode the JSON that a row ends with; empty = there is none."""
    at = row.find("{")
    if at < 0 or not row.rstrip().endswith("}"):
        return {}
    try:
        message = msgspec.json.decode(row[at:])
    except (msgspec.DecodeError, RecursionError):
        return {}
    return message if type(message) is dict else {}


def _foreign_text(rows: Sequence[str]) -> str:
    if any(mark in row for row in rows for mark in ",;\t"):
        return ""
    if all(_PITCH.match(row) for row in rows):
        return f"looks like BATS PITCH: {OWN_SOURCE}"
    for sign in "| ":
        counts = {row.count(sign) for row in rows}
        if len(counts) == 1 and counts.pop() >= 2:
            remedy = f"use the csv source with delimiter = {sign!r}"
            return f"looks like a table with {sign!r} between cells: {remedy}"
    return f"looks like plain text ({rows[0][:SHOWN_CHARACTERS]!r}): {OWN_SOURCE}"
