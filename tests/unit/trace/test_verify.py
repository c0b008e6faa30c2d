"""Verify a real run, then tamper with it in every way: what is found, where, and what cannot be found.

What a chain without signatures cannot show stands here too, as tests that end in a clean answer
(`test_unsigned_*`): docs/packet.md says the same in words.
"""

import errno
import hashlib
import json
import random
import re
import shutil

import pytest

from ami_engine.loop.run_loop import run_loop
from ami_engine.ports import MarketDataSource
from ami_engine.sim.microstructure_sim import MicrostructureSim
from ami_engine.sim.paper_broker import PaperBroker
from ami_engine.sim.synthetic_source import SyntheticSource
from ami_engine.trace.chain import ChainedFile
from ami_engine.trace.trace_logger import AUDIT, MANIFEST, SUMMARY, TRACES, TraceLogger, manifest_digest
from ami_engine.trace.verify import Verified, verify
from decision_schema.errors import TamperedTrace, TraceError

EVENTS = 300


def run(folder, run_id="run_1", source=None):
    source = source or SyntheticSource(MicrostructureSim(mid=0.5, spread=0.01, seed=5), num_events=EVENTS)
    return run_loop(source, PaperBroker(), run_id=run_id, output_dir=folder)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """Files of a run of some hundred packets, by name."""
    folder = tmp_path_factory.mktemp("runs")
    run(folder)
    return {file.name: file.read_bytes() for file in (folder / "run_1").iterdir()}


@pytest.fixture
def folder(tmp_path, original):
    """A copy of that run."""
    for name, raw in original.items():
        (tmp_path / name).write_bytes(raw)
    return tmp_path


def lines_of(raw: bytes) -> list[bytes]:
    """Lines with their ends; only a line feed ends one."""
    *whole, rest = raw.split(b"\n")
    return [line + b"\n" for line in whole] + [rest] * bool(rest)


def rechain(bodies: list[bytes], first: bytes) -> bytes:
    """Make a log anew from its bodies: what anyone who knows the format can do."""
    head, raw = first, b""
    for body in bodies:
        head = hashlib.sha256(head + body).digest()
        raw += body[:-1] + b',"h":"' + head.hex().encode() + b'"}\n'
    return raw


def bodies_of(raw: bytes) -> list[bytes]:
    return [line[:-72] + b"}" for line in raw.split(b"\n")[:-1]]


def first_of(manifest: bytes) -> bytes:
    chain = json.loads(manifest)["chain"]
    parts = [chain[key] for key in ("format", "run_id", "code_sha256", "manifest_sha256", "previous_head")]
    return hashlib.sha256("\n".join(parts).encode()).digest()


def head_of(log: bytes) -> str:
    return log[-67:-3].decode()


# ---------------------------------------------------------------- a sound run


def test_a_sound_run(folder, original):
    assert verify(folder) == Verified(EVENTS, 2, True, head_of(original[TRACES]))


def test_the_helpers_of_this_file_rebuild_the_run(original):
    first = first_of(original[MANIFEST])
    for name in (TRACES, AUDIT):
        assert rechain(bodies_of(original[name]), first) == original[name]


def test_redaction_leaves_the_manifest_of_a_run_alone(original):
    assert b"REDACTED" not in original[MANIFEST]


def test_a_run_that_was_interrupted_is_closed_by_the_loop(tmp_path):
    class Breaks(MarketDataSource):
        given = 0

        def next_event(self):
            self.given += 1
            if self.given > 20:
                raise KeyboardInterrupt
            return {"bid": 0.49, "ask": 0.51, "ts_ms": self.given}

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, source=Breaks())
    assert verify(tmp_path / "run_1")[:3] == (20, 2, True)


def test_a_killed_run_is_sound_and_not_closed(folder, original):
    lines = original[TRACES].split(b"\n")
    (folder / TRACES).write_bytes(b"\n".join(lines[:200]) + b"\n")
    (folder / AUDIT).write_bytes(original[AUDIT].split(b"\n")[0] + b"\n")
    assert verify(folder)[:3] == (200, 1, False)


def test_a_run_that_fills_the_disk_ends_and_tells_what_it_kept(tmp_path, monkeypatch):
    begin = ChainedFile.__init__

    class Full:
        def __init__(self, file):
            self.file, self.room = file, 400_000

        def write(self, raw):
            if self.room == 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            raw = raw[: self.room]
            self.room -= len(raw)
            return self.file.write(raw)

        def __getattr__(self, name):
            return getattr(self.file, name)

    def small(self, path, first_head):
        begin(self, path, first_head)
        if path.name == TRACES:
            self._file = Full(self._file)

    monkeypatch.setattr(ChainedFile, "__init__", small)
    with pytest.raises(TraceError, match=r"traces.jsonl cannot be written: No space left"):
        run(tmp_path)
    found = verify(tmp_path / "run_1")
    assert found.closed
    assert 0 < found.packets < EVENTS
    stop = json.loads((tmp_path / "run_1" / AUDIT).read_text().splitlines()[-1])
    assert (stop["ended"], stop["packets"]) == ("error:TraceError", found.packets)


# ---------------------------------------------------------------- hundreds of tamperings


def flip(raw, chance):
    place = chance.randrange(len(raw))
    return raw[:place] + bytes([raw[place] ^ 1 << chance.randrange(8)]) + raw[place + 1 :]


def anywhere(raw, chance, kind) -> int:
    """Draw the place of a byte of a kind."""
    while True:
        place = chance.randrange(len(raw))
        if kind(raw[place : place + 1]):
            return place


def change_case(raw, chance):
    place = anywhere(raw, chance, bytes.isalpha)
    return raw[:place] + raw[place : place + 1].swapcase() + raw[place + 1 :]


def change_digit(raw, chance):
    place = anywhere(raw, chance, bytes.isdigit)
    return raw[:place] + b"%d" % ((raw[place] - 48 + chance.randrange(1, 10)) % 10) + raw[place + 1 :]


def insert_byte(raw, chance):
    place = chance.randrange(len(raw) + 1)
    return raw[:place] + chance.choice([b" ", b"\n", b"\r", b"\0", b"}", b"0"]) + raw[place:]


def delete_bytes(raw, chance):
    place = chance.randrange(len(raw))
    return raw[:place] + raw[place + chance.randrange(1, 200) :]


def cut(raw, chance):
    return raw[: chance.randrange(len(raw))]


def remove_line(raw, chance):
    lines = raw.splitlines(keepends=True)
    del lines[chance.randrange(len(lines))]
    return b"".join(lines)


def swap_lines(raw, chance):
    lines = raw.splitlines(keepends=True)
    one, other = chance.sample(range(len(lines)), 2)
    lines[one], lines[other] = lines[other], lines[one]
    return b"".join(lines)


def duplicate_line(raw, chance):
    lines = raw.splitlines(keepends=True)
    place = chance.randrange(len(lines))
    lines.insert(place, lines[place])
    return b"".join(lines)


def insert_line(raw, chance):
    lines = raw.splitlines(keepends=True)
    forged = chance.choice(lines).replace(b'"HOLD"', b'"ACT"').replace(b'"step":', b'"step":1')
    lines.insert(chance.randrange(len(lines) + 1), chance.choice([forged, b"\n", b"{}\n", lines[0]]))
    return b"".join(lines)


def move_line(raw, chance):
    lines = raw.splitlines(keepends=True)
    line = lines.pop(chance.randrange(len(lines)))
    lines.insert(chance.randrange(len(lines) + 1), line)
    return b"".join(lines)


def drop_tail(raw, chance):
    lines = raw.splitlines(keepends=True)
    return b"".join(lines[: -chance.randrange(1, len(lines) + 1)])


def repeat_tail(raw, chance):
    lines = raw.splitlines(keepends=True)
    return b"".join([*lines, *lines[-chance.randrange(1, 9) :]])


def crlf(raw, chance):
    return raw.replace(b"\n", b"\r\n")


def edit_and_rehash_one(raw, chance):
    """Change a line and give it the hash that its new body would have: the next line tells."""
    bodies, lines = bodies_of(raw), raw.splitlines(keepends=True)
    place = chance.randrange(1, len(lines) - 1)
    head = bytes.fromhex(lines[place - 1][-67:-3].decode())
    lines[place] = rechain([bodies[place].replace(b"{", b'{"x":1,', 1)], head)
    return b"".join(lines)


TAMPERINGS = [
    flip, change_case, change_digit, insert_byte, delete_bytes, cut, remove_line, swap_lines, duplicate_line,
    insert_line, move_line, drop_tail, repeat_tail, crlf, edit_and_rehash_one,
]  # fmt: skip


def bad_line(before: bytes, after: bytes) -> int:
    """Number of the first line of `after` that is not the one of `before`; one past its end if cut."""
    old, new = lines_of(before), lines_of(after)
    same = 0
    while same < min(len(old), len(new)) and old[same] == new[same]:
        same += 1
    return same + 1


@pytest.mark.parametrize("tamper", TAMPERINGS, ids=lambda each: each.__name__)
def test_a_tampered_log_is_refused_at_its_first_bad_line(folder, original, tamper):
    chance = random.Random(tamper.__name__)
    before = original[TRACES]
    found = 0
    while found < (1 if tamper is crlf else 40):
        after = tamper(before, chance)
        if after == before:
            continue
        found += 1
        (folder / TRACES).write_bytes(after)
        with pytest.raises(TamperedTrace) as caught:
            verify(folder)
        expected = bad_line(before, after) + (tamper is edit_and_rehash_one)
        assert re.search(r"traces\.jsonl: line (\d+)", str(caught.value))[1] == str(expected), caught.value
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("tamper", [flip, change_case, change_digit, remove_line, swap_lines, duplicate_line])
def test_a_tampered_audit_is_refused_at_its_first_bad_line(folder, original, tamper):
    chance = random.Random(tamper.__name__)
    before = original[AUDIT]
    for _ in range(20):
        after = tamper(before, chance)
        if bad_line(before, after) > len(lines_of(after)):
            continue  # its end was cut cleanly: see test_unsigned_cut_of_both_logs
        (folder / AUDIT).write_bytes(after)
        with pytest.raises(TamperedTrace, match=rf"audit\.jsonl: line {bad_line(before, after)}:"):
            verify(folder)


def spread_out(raw, chance):
    return json.dumps(json.loads(raw), indent=chance.choice([None, 0, 1, 3])).encode()


def set_a_fact(raw, chance):
    facts = json.loads(raw)
    part = facts["config"]["guards"]
    part[chance.choice(list(part))] = 1e9
    return json.dumps(facts, indent=2).encode() + b"\n"


def repeat_a_key(raw, chance):
    return raw.replace(b'\n  "seed": 0', b'\n  "seed": 1,\n  "seed": 0')


@pytest.mark.parametrize(
    "tamper",
    [flip, change_case, change_digit, insert_byte, delete_bytes, cut, spread_out, set_a_fact, repeat_a_key],
)
def test_a_tampered_manifest_is_refused(folder, original, tamper):
    chance = random.Random(tamper.__name__)
    before = original[MANIFEST]
    for _ in range(60):
        after = tamper(before, chance)
        assert after != before
        (folder / MANIFEST).write_bytes(after)
        with pytest.raises(TraceError) as caught:
            verify(folder)
        assert "\n" not in str(caught.value)


def test_a_letter_case_that_means_nothing_to_json_counts(tmp_path):
    with TraceLogger("run_1", tmp_path, manifest={"limit": 1e-7}) as logger:
        logger.log_packet({"a": 1})
    file = tmp_path / "run_1" / MANIFEST
    raw = file.read_bytes()
    file.write_bytes(raw.replace(b"1e-7", b"1E-7"))
    assert json.loads(file.read_bytes()) == json.loads(raw)
    with pytest.raises(TamperedTrace, match="manifest"):
        verify(tmp_path / "run_1")


def test_a_manifest_with_a_new_digest_does_not_fit_the_logs(folder, original):
    raw = original[MANIFEST].replace(b'"max_spread_bps": 500.0', b'"max_spread_bps": 900.0')
    old = json.loads(raw)["chain"]["manifest_sha256"]
    (folder / MANIFEST).write_bytes(raw.replace(old.encode(), manifest_digest(raw).encode()))
    with pytest.raises(TamperedTrace, match="line 1: it does not follow"):
        verify(folder)


# ---------------------------------------------------------------- files


@pytest.mark.parametrize("name", [TRACES, AUDIT, MANIFEST])
def test_a_removed_file_is_missed(folder, name):
    (folder / name).unlink()
    with pytest.raises(TraceError, match=name.removesuffix("l")):
        verify(folder)


@pytest.mark.parametrize("name", [TRACES, AUDIT, MANIFEST])
def test_a_folder_in_place_of_a_file(folder, name):
    (folder / name).unlink()
    (folder / name).mkdir()
    with pytest.raises(TraceError):
        verify(folder)


@pytest.mark.parametrize("place", ["", "nowhere", "traces.jsonl"])
def test_what_is_no_run_folder(tmp_path, place):
    (tmp_path / "traces.jsonl").touch()
    with pytest.raises(TraceError, match="no run folder"):
        verify(tmp_path / place)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"[]",
        b"1",
        b"null",
        b'{"chain":1}',
        b'{"chain":{"format":"mdm-trace-v1"}}',
        b"\xff",
        b"[" * 100_000,
    ],
)
def test_what_is_no_manifest(folder, raw):
    (folder / MANIFEST).write_bytes(raw)
    with pytest.raises(TraceError) as caught:
        verify(folder)
    assert "\n" not in str(caught.value)


def test_a_newer_format_is_named(folder, original):
    (folder / MANIFEST).write_bytes(original[MANIFEST].replace(b"mdm-trace-v1", b"mdm-trace-v2"))
    with pytest.raises(TraceError, match="'mdm-trace-v2' is unknown: this version reads mdm-trace-v1"):
        verify(folder)


def test_logs_of_another_run_do_not_fit(tmp_path, folder, original):
    run(tmp_path / "other", "run_2")
    for name in (TRACES, AUDIT):
        shutil.copy(tmp_path / "other" / "run_2" / name, folder / name)
        with pytest.raises(TamperedTrace, match="line 1: it does not follow"):
            verify(folder)
        (folder / name).write_bytes(original[name])


# ---------------------------------------------------------------- a forger who knows the format


def forge(original, change) -> bytes:
    """Change the bodies of the packets and make their chain anew."""
    bodies = bodies_of(original[TRACES])
    change(bodies)
    return rechain(bodies, first_of(original[MANIFEST]))


def edit(bodies):
    bodies[100] = bodies[100].replace(b'"bids":[[0.', b'"bids":[[1.', 1)


def grow(bodies):
    bodies.append(bodies[-1])


def shrink(bodies):
    del bodies[250:]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (edit, f"line {EVENTS}: its hash is not the one on record in audit.jsonl"),
        (grow, f"line {EVENTS + 1} came after the end of the run"),
        (shrink, "line 251 is missing: audit.jsonl tells of 300 records"),
    ],
)
def test_a_chain_made_anew_does_not_fit_the_audit(folder, original, change, words):
    (folder / TRACES).write_bytes(forge(original, change))
    with pytest.raises(TamperedTrace, match=words):
        verify(folder)


def test_a_cut_run_that_goes_on_is_still_missed(folder, original):
    """The stop record keeps its word also when later records follow it."""
    (folder / TRACES).write_bytes(b"".join(original[TRACES].splitlines(keepends=True)[:250]))
    moved = folder / "run_1"
    moved.mkdir()
    for name in original:
        shutil.move(folder / name, moved / name)
    with TraceLogger("run_1", folder) as logger:
        for _ in range(60):
            logger.log_packet({"step": 1})
    with pytest.raises(TamperedTrace, match="line 300: its hash is not the one on record"):
        verify(moved)


@pytest.mark.parametrize(
    "act",
    [
        b'{"kind":"stop"}',
        b'{"kind":"stop","packets":[],"head":1}',
        b'{"kind":"stop","packets":1}',
        b"{x}",
        b'{"a":"\xff"}',
    ],
)
def test_a_forged_audit_of_another_form_is_one_line(folder, original, act):
    bodies = bodies_of(original[AUDIT])
    (folder / AUDIT).write_bytes(rechain([bodies[0], act], first_of(original[MANIFEST])))
    with pytest.raises(TamperedTrace, match=r"audit\.jsonl: line 2"):
        verify(folder)


def test_unsigned_forgery_of_both_logs_is_not_found(folder, original):
    """Whoever rewrites packets AND audit with new chains is not found: that takes signed checkpoints."""
    first = first_of(original[MANIFEST])
    traces = forge(original, edit)
    start, stop = bodies_of(original[AUDIT])
    stop = stop.replace(head_of(original[TRACES]).encode(), head_of(traces).encode())
    (folder / TRACES).write_bytes(traces)
    (folder / AUDIT).write_bytes(rechain([start, stop], first))
    assert verify(folder) == Verified(EVENTS, 2, True, head_of(traces))
    # The head is another one: who noted it elsewhere can tell.
    assert head_of(traces) != head_of(original[TRACES])


def test_unsigned_cut_of_both_logs_looks_like_a_killed_run(folder, original):
    """Cut the end of the packets and the stop record: what is left is sound, and not closed."""
    (folder / TRACES).write_bytes(b"".join(original[TRACES].splitlines(keepends=True)[:123]))
    (folder / AUDIT).write_bytes(original[AUDIT].splitlines(keepends=True)[0])
    assert verify(folder)[:3] == (123, 1, False)


def test_the_summary_is_not_covered(folder, original):
    """It is a digest for people, made from the packets; verify does not read it."""
    (folder / SUMMARY).write_bytes(original[SUMMARY].replace(b'"final_equity": ', b'"final_equity": 1'))
    assert verify(folder).closed
    (folder / SUMMARY).unlink()
    assert verify(folder).closed
