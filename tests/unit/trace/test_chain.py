"""The chained file: its bytes, what it accepts when it goes on, and what a failing disk leaves behind."""

import errno
import hashlib
import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ami_engine.trace import chain
from ami_engine.trace.chain import ChainedFile, genesis, link, open_line, seal_line
from decision_schema.errors import TamperedTrace, TraceError

FIRST = bytes(32)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log.jsonl"


def write(path, *bodies, first=FIRST):
    file = ChainedFile(path, first)
    for body in bodies:
        file.append(body)
    file.close()
    return file


def sound(path, first=FIRST) -> int:
    """Follow a file by the rule of the documentation; return its lines."""
    head, count = first, 0
    for line in path.read_bytes().splitlines(keepends=True):
        record = json.loads(line)
        found = record.pop("h")
        body = line[: -len(f',"h":"{found}"}}\n')] + b"}"
        assert json.loads(body) == record
        head = hashlib.sha256(head + body).digest()
        assert found == head.hex()
        count += 1
    return count


# ---------------------------------------------------------------- bytes


def test_genesis_by_hand():
    text = "mdm-trace-v1\nrun_1\ncode\nmanifest\nbefore"
    assert genesis("run_1", "code", "manifest", "before") == hashlib.sha256(text.encode()).digest()


@pytest.mark.parametrize("place", range(4))
def test_genesis_depends_on_each_part(place):
    parts = ["run", "code", "manifest", "before"]
    other = list(parts)
    other[place] += "x"
    assert genesis(*parts) != genesis(*other)


def test_a_line_by_hand(path):
    write(path, b'{"a":1}', b'{"b":"\xc3\xa4"}')
    one = hashlib.sha256(FIRST + b'{"a":1}').hexdigest()
    two = hashlib.sha256(bytes.fromhex(one) + b'{"b":"\xc3\xa4"}').hexdigest()
    assert path.read_bytes() == f'{{"a":1,"h":"{one}"}}\n{{"b":"ä","h":"{two}"}}\n'.encode()


@given(st.binary(min_size=1).filter(lambda raw: b"\n" not in raw), st.binary(min_size=32, max_size=32))
def test_open_line_undoes_seal_line(inside, head):
    body = b"{" + inside + b"}"
    assert open_line(seal_line(body, head)) == (body, head)


GOOD = seal_line(b'{"a":"b"}', link(FIRST, b'{"a":"b"}'))


def test_a_good_line_follows():
    body, head = open_line(GOOD)
    assert link(FIRST, body) == head


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"{}\n",
        b'{"a":1}\n',
        b'"}\n',
        GOOD[:-2] + b"\n",
        GOOD[:-1] + b" \n",
        GOOD[:-1] + b"\r\n",
        GOOD[:-1] + b"\n\n",
        GOOD.replace(b',"h":"', b',"H":"'),
        GOOD.replace(b',"h":"', b', "h":"'),
        GOOD[:-67] + GOOD[-67:].upper(),
        GOOD[:-5] + b"g" + GOOD[-4:],
        GOOD[:-5] + b" " + GOOD[-4:],
        GOOD[:-5] + b"\xff" + GOOD[-4:],
        GOOD[:-67] + GOOD[-65:],
        GOOD + GOOD,
    ],
)
def test_a_line_of_another_form_does_not_follow(line):
    try:
        body, head = open_line(line)
    except TamperedTrace:
        return
    assert link(FIRST, body) != head


# ---------------------------------------------------------------- going on


def test_a_file_goes_on_where_it_ended(path):
    write(path, b'{"a":1}', b'{"a":2}')
    again = ChainedFile(path, FIRST)
    assert (again.lines, again.torn_bytes) == (2, 0)
    again.append(b'{"a":3}')
    again.close()
    assert sound(path) == 3
    at_once = path.with_name("at_once")
    write(at_once, b'{"a":1}', b'{"a":2}', b'{"a":3}')
    assert at_once.read_bytes() == path.read_bytes()


def test_an_empty_file_begins_the_chain(path):
    path.touch()
    write(path, b'{"a":1}')
    assert sound(path) == 1


@pytest.mark.parametrize("whole", [0, 1, 3])
@pytest.mark.parametrize("torn", [b"{", b'{"a":9,"h":"00', GOOD[:-1], b"\0" * 5000])
def test_a_torn_last_line_is_cut(path, whole, torn):
    write(path, *[b'{"a":%d}' % n for n in range(whole)])
    before = path.read_bytes()
    path.write_bytes(before + torn)
    file = ChainedFile(path, FIRST)
    assert (file.lines, file.torn_bytes) == (whole, len(torn))
    assert path.read_bytes() == before
    file.append(b'{"a":9}')
    file.close()
    assert sound(path) == whole + 1


@pytest.mark.parametrize("whole", [1, 2, 5])
@pytest.mark.parametrize("torn", [b"", b'{"half'])
def test_a_changed_last_line_is_refused_and_left_as_it_is(path, whole, torn):
    write(path, *[b'{"a":%d}' % n for n in range(whole)])
    raw = bytearray(path.read_bytes() + torn)
    raw[raw.rindex(b'"a":') + 4] ^= 1
    path.write_bytes(raw)
    with pytest.raises(TamperedTrace, match=f"line {whole}: it does not follow"):
        ChainedFile(path, FIRST)
    assert path.read_bytes() == raw


def test_a_file_of_another_run_is_refused(path):
    write(path, b'{"a":1}')
    with pytest.raises(TamperedTrace, match="line 1"):
        ChainedFile(path, bytes(31) + b"\1")


def test_a_last_line_without_a_hash_is_refused(path):
    write(path, b'{"a":1}')
    with path.open("ab") as file:
        file.write(b'{"a":2}\n')
    with pytest.raises(TamperedTrace, match="line 2: a line does not end in its hash"):
        ChainedFile(path, FIRST)


def test_a_folder_in_its_place_is_refused(path):
    path.mkdir()
    with pytest.raises(TraceError, match="cannot be opened"):
        ChainedFile(path, FIRST)


# ---------------------------------------------------------------- life


def test_lines_wait_until_they_are_flushed(path):
    file = ChainedFile(path, FIRST)
    file.append(b'{"a":1}')
    assert path.read_bytes() == b""
    file.flush()
    assert sound(path) == 1
    file.sync()
    file.close()


def test_a_full_buffer_is_handed_on(path):
    file = ChainedFile(path, FIRST)
    for _ in range(10):
        file.append(b'{"a":"%s"}' % (b"x" * 100_000))
    assert path.stat().st_size > 500_000
    file.close()
    assert sound(path) == 10


def test_after_close_nothing_is_stored(path):
    file = write(path, b'{"a":1}')
    file.close()
    for call in (lambda: file.append(b'{"a":2}'), file.flush, file.sync):
        with pytest.raises(TraceError, match="is closed"):
            call()
    assert (sound(path), file.lines) == (1, 1)


def test_two_writers_cannot_break_the_chain(path):
    one, other = ChainedFile(path, FIRST), ChainedFile(path, FIRST)
    one.append(b'{"a":1}')
    one.flush()
    other.append(b'{"b":1}')
    with pytest.raises(TraceError, match="changed or removed by others"):
        other.flush()
    one.append(b'{"a":2}')
    one.close()
    other.close()
    assert sound(path) == 2


@pytest.mark.parametrize("harm", ["cut", "removed"])
def test_a_file_changed_under_the_writer_is_not_written_to(path, harm):
    file = ChainedFile(path, FIRST)
    file.append(b'{"a":1}')
    file.flush()
    if harm == "cut":
        os.truncate(path, 10)
    else:
        path.unlink()
    file.append(b'{"a":2}')
    with pytest.raises(TraceError, match="changed or removed by others"):
        file.flush()
    with pytest.raises(TraceError):
        file.append(b'{"a":3}')
    file.close()


# ---------------------------------------------------------------- a failing disk


class Disk:
    """The file of a ChainedFile on a disk that takes only so many more bytes, a few at a time."""

    def __init__(self, file, room: int, number: int = errno.ENOSPC, most: int = 1 << 30) -> None:
        self.file, self.room, self.number, self.most = file, room, number, most
        self.refusals = 0

    def write(self, raw) -> int:
        raw = bytes(raw[: min(self.room, self.most)])
        if not raw:
            self.refusals += 1
            raise OSError(self.number, os.strerror(self.number))
        self.room -= len(raw)
        return self.file.write(raw)

    def __getattr__(self, name):
        return getattr(self.file, name)


def on(file: ChainedFile, *args, **kwargs) -> Disk:
    file._file = disk = Disk(file._file, *args, **kwargs)
    return disk


def test_short_writes_are_gone_on_with(path):
    file = ChainedFile(path, FIRST)
    on(file, 1 << 30, most=7)
    for n in range(5):
        file.append(b'{"a":%d}' % n)
    file.close()
    assert sound(path) == 5


@settings(max_examples=60)
@given(room=st.integers(0, 420), each=st.booleans())
def test_a_full_disk_leaves_whole_lines_and_the_truth(tmp_path_factory, room, each):
    path = tmp_path_factory.mktemp("disk") / "log.jsonl"
    file = ChainedFile(path, FIRST)
    disk = on(file, room)
    with pytest.raises(TraceError, match="No space left"):  # noqa: PT012 - where it comes is drawn
        for n in range(6):
            file.append(b'{"a":%d}' % n)
            if each:
                file.flush()
        file.flush()
    assert file.lines == sound(path)
    for call in (lambda: file.append(b'{"a":9}'), file.flush, file.sync):
        with pytest.raises(TraceError, match="records are lost"):
            call()
    file.close()
    assert disk.refusals == 1  # a failed write is never tried again
    again = ChainedFile(path, FIRST)
    assert (again.lines, again.head, again.torn_bytes) == (file.lines, file.head, 0)
    again.close()


def test_where_not_even_cutting_works_the_torn_line_is_cut_later(path, monkeypatch):
    file = ChainedFile(path, FIRST)
    on(file, 100, errno.EIO)
    file.append(b'{"a":1}')
    file.append(b'{"a":2}')

    def broken(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(chain.os, "truncate", broken)
    with pytest.raises(TraceError, match="Input/output error"):
        file.flush()
    file.close()
    monkeypatch.undo()
    again = ChainedFile(path, FIRST)
    assert (again.lines, again.torn_bytes) == (1, 100 - len(seal_line(b'{"a":1}', FIRST)))
    again.close()
    assert sound(path) == 1


def test_a_failed_sync_is_never_tried_again(path, monkeypatch):
    calls = []

    def broken(descriptor):
        calls.append(descriptor)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(chain, "_sync", broken)
    file = ChainedFile(path, FIRST)
    file.append(b'{"a":1}')
    for _ in range(3):
        with pytest.raises(TraceError, match="brought to the disk"):
            file.sync()
    assert len(calls) == 1
    file.close()
    assert sound(path) == file.lines == 1
