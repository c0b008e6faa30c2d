"""TraceLogger: the guide's call, anything a user may hand in, a run that goes on, a folder that fails."""

import errno
import gc
import json
import os
from pathlib import Path

import msgspec
import numpy as np
import pytest

from ami_engine.trace.trace_logger import AUDIT, MANIFEST, SUMMARY, TRACES, TraceLogger, read_manifest
from ami_engine.trace.verify import verify
from decision_schema.errors import ConfigError, RunExists, TamperedTrace, TraceError
from decision_schema.events import Event
from decision_schema.packet_v2 import PacketV2, untag_floats
from decision_schema.step_packet import (
    External,
    FinalActionRecord,
    GuardsRecord,
    MdmRecord,
    MismatchRecord,
    ProposalRecord,
    StateRecord,
    StepPacket,
    packet_of,
)  # fmt: skip

NAN = float("nan")


def packet(step: int = 1, **changes) -> PacketV2:
    fields = {
        "input": {"bid": 0.49},
        "external": {"now_ns": 5},
        "mdm": {},
        "final_action": {"action": "HOLD"},
    }
    return PacketV2(run_id="run_1", step=step, latency_ms=0.0, **{**fields, **changes})


def refuse(literal):
    raise AssertionError(f"{literal} is no JSON")


def no_key_twice(pairs):
    assert len(dict(pairs)) == len(pairs), pairs
    return dict(pairs)


def records(folder: Path, name: str = TRACES) -> list[dict]:
    """All records of a log, each read as strictly as JSON can be; the hashes are left out."""
    read = []
    for line in (folder / name).read_bytes().decode("utf-8").split("\n")[:-1]:
        record = json.loads(line, parse_constant=refuse, object_pairs_hook=no_key_twice)
        assert list(record)[-1] == "h"
        del record["h"]
        read.append(record)
    return read


@pytest.fixture
def logger(tmp_path):
    with TraceLogger("run_1", tmp_path) as logger:
        yield logger


# ---------------------------------------------------------------- the guide


def test_the_call_of_the_guide(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    packet_v2 = packet()
    logger = TraceLogger(run_id="run_123", output_dir="./traces")
    logger.log_packet(packet_v2)
    assert records(tmp_path / "traces" / "run_123") == [packet_v2.to_dict()]  # at once, without a close
    assert verify("traces/run_123").packets == 1


def test_a_logger_that_is_let_go_leaves_nothing_open(tmp_path):
    logger = TraceLogger("run_1", tmp_path)
    logger.log_packet(packet())
    logger.append(packet(2))  # not yet flushed
    del logger
    gc.collect()  # a warning is an error here
    assert verify(tmp_path / "run_1").packets == 2


def test_a_packet_and_its_dict_are_stored_alike(tmp_path):
    for name, what in (("a", packet()), ("b", packet().to_dict())):
        with TraceLogger(name, tmp_path) as logger:
            logger.log_packet(what)
    assert records(tmp_path / "a") == records(tmp_path / "b")


def made(step):
    """A packet as the loop makes it."""
    return StepPacket(
        2, "run_1", step, Event(market_id="M", bid=0.49), External(5, []),
        MdmRecord(Note(1.5), ProposalRecord("HOLD", 1.0, ["ä"], {}), "m"), GuardsRecord([None, 1.5], [0, 1], []),
        FinalActionRecord("HOLD", True, ["ä"], {}), MismatchRecord([], [], 0), [], StateRecord({}, [], 1.0, 0.0, 0.0, 0.0, 0.0),
    )  # fmt: skip


class Note(msgspec.Struct):
    note: float


def test_log_packet_and_append_store_the_same_bytes(tmp_path):
    heads = set()
    for name, call in (
        ("x", lambda logger, step: logger.log_packet(packet_of(made(step)))), ("y", lambda logger, step: logger.append(made(step))),
    ):  # fmt: skip
        with TraceLogger("run_1", tmp_path / name) as logger:
            for step in range(3):
                call(logger, step)
            heads.add(logger.head)
    assert len(heads) == 1


def test_a_stored_packet_reads_back_equal(logger):
    made = packet(extra={"newer": {"a": [1]}}, mismatch={"flags": []})
    logger.log_packet(made)
    assert PacketV2.from_dict(records(logger.run_dir)[0]) == made


def test_newer_fields_pass_from_run_to_run(tmp_path):
    first = {**packet().to_dict(), "newer": [1, {"x": None}]}
    with TraceLogger("a", tmp_path) as logger:
        logger.log_packet(first)
    line = json.loads((tmp_path / "a" / TRACES).read_text())
    with TraceLogger("b", tmp_path) as logger:
        logger.log_packet(PacketV2.from_dict(line))
    assert records(tmp_path / "b") == [first]


# ---------------------------------------------------------------- what a user may hand in


CYCLE: dict = {"a": 1}
CYCLE["self"] = CYCLE
DEEP: dict = {}
for _ in range(5_000):
    DEEP = {"d": DEEP}


class Opaque:
    def __repr__(self):
        return "Opaque(password='hunter2-hunter2')"


class Liar(dict):
    """A dict whose parts cannot be read."""

    def items(self):
        raise RuntimeError("password=hunter2-hunter2")


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        (
            {"a": NAN, "b": [float("inf"), -float("inf")]},
            {"a": {"$float": "nan"}, "b": [{"$float": "inf"}, {"$float": "-inf"}]},
        ),
        (
            {"a": np.float64(0.5), "b": np.int32(2), "c": np.array([1.0, NAN]), "d": np.bool_(False)},
            {"a": 0.5, "b": 2, "c": [1.0, {"$float": "nan"}], "d": False},
        ),
        ({1: "a", None: "b", (1, 2): "c", 2.5: "d"}, {"1": "a", "null": "b", "[1,2]": "c", "2.5": "d"}),
        ({1: "a", "1": "b"}, {"1": "a", "1#2": "b"}),
        ({"h": 0.51, "l": 0.49}, {"h#2": 0.51, "l": 0.49}),
        ({"h": 1, "h#2": 2}, {"h#2#2": 1, "h#2": 2}),
        ({"h": "ab" * 32, "a": {"h": 1}}, {"h#2": "ab" * 32, "a": {"h": 1}}),
        ({"a": "\ud800", "\udfff": 1}, {"a": "\\ud800", "\\udfff": 1}),
        ({"a": 'ä€😀\u2028\x00\n"\\'}, {"a": 'ä€😀\u2028\x00\n"\\'}),
        ({"a": b"raw", "b": bytearray(b"raw")}, {"a": "cmF3", "b": "cmF3"}),
        ({"a": {"z", "y", "x"}}, {"a": ["x", "y", "z"]}),
        ({"a": Opaque()}, {"a": "<Opaque>"}),
        ({"a": CYCLE}, {"a": {"a": 1, "self": "***CYCLE***"}}),
        ({"a": 2**100, "b": -(2**100)}, {"a": 2**100, "b": -(2**100)}),
        ({"a": ValueError("no route")}, {"a": {"exception": "ValueError", "message": "no route"}}),
        ({"": {}}, {"": {}}),
        (Liar(a=1), {"hidden": "<Liar>"}),
    ],
    ids=lambda value: None,
)
def test_what_a_user_hands_in_becomes_strict_json(logger, given, stored):
    logger.log_packet(given)
    assert records(logger.run_dir) == [stored]
    assert verify(logger.run_dir).packets == 1


@pytest.mark.parametrize("where", ["packet", "audit", "summary", "manifest"])
def test_secrets_do_not_reach_any_file(tmp_path, where):
    secrets = {
        "api_key": "k3y-9f8e7d6c5b4a",
        "note": "Authorization: Bearer abcDEF123456ghiJKL7890",
        "password": "hunter2-hunter2",
    }
    manifest = {"config": secrets} if where == "manifest" else {}
    with TraceLogger("run_1", tmp_path, manifest=manifest) as logger:
        if where == "packet":
            logger.log_packet(packet(input=secrets, extra=secrets))
            logger.log_packet(secrets)
        elif where == "audit":
            logger.audit({"kind": "arm", **secrets})
        elif where == "summary":
            logger.write_summary(secrets)
    text = "".join(file.read_text() for file in (tmp_path / "run_1").iterdir())
    assert "***REDACTED***" in text
    for secret in ("9f8e7d6c5b4a", "abcDEF123456", "hunter2"):
        assert secret not in text
    verify(tmp_path / "run_1")


def test_what_is_handed_in_is_not_changed(logger):
    given = {"h": 1, "api_key": "k3y-9f8e7d6c5b4a", "a": [NAN, {"b": {1, 2}}]}
    before = repr(given)
    logger.log_packet(given)
    made = packet(input={"password": "hunter2-hunter2"})
    logger.log_packet(made)
    assert repr(given) == before
    assert made.input == {"password": "hunter2-hunter2"}


def test_deep_nesting_is_bounded(logger):
    logger.log_packet({"a": DEEP})
    assert "***TOO DEEP***" in (logger.run_dir / TRACES).read_text()
    assert verify(logger.run_dir).packets == 1


def test_a_huge_packet_is_stored(logger):
    logger.log_packet({"bids": [[n / 1_000, float(n)] for n in range(60_000)]})
    logger.log_packet({"text": "word " * 250_000})
    logger.log_packet(packet(2))
    assert [len(str(record)) > 1_000_000 for record in records(logger.run_dir)] == [True, True, False]
    assert verify(logger.run_dir).packets == 3


def test_an_integer_too_long_to_be_read_is_told_by_its_size(logger):
    logger.log_packet({"a": 10**10_000, "b": 2**100})
    assert records(logger.run_dir) == [{"a": "<integer of 33220 bits>", "b": 2**100}]


@pytest.mark.parametrize("junk", [None, 1, "text", b"raw", [], [{"a": 1}], object(), PacketV2])
def test_what_is_no_packet_is_refused(logger, junk):
    with pytest.raises(TraceError, match=r"log_packet got a .*: give a PacketV2 or a dict"):
        logger.log_packet(junk)
    assert logger.packets == 0


def test_an_empty_record_is_refused(logger):
    for call in (logger.log_packet, logger.audit):
        with pytest.raises(TraceError, match="an empty record"):
            call({})
    assert (records(logger.run_dir), records(logger.run_dir, AUDIT)) == ([], [])


def test_append_stores_also_what_the_loop_should_not_have_let_in(logger):
    foreign = {"who": Opaque(), "half": "\ud800", "number": np.float64(0.5), "key": {None: 1}}
    logger.append(packet(final_action={"action": "ACT", "params": foreign}))
    stored = records(logger.run_dir) if logger.flush() is None else []
    assert stored[0]["final_action"]["params"] == {
        "who": "<Opaque>",
        "half": "\\ud800",
        "number": 0.5,
        "key": {"null": 1},
    }


def test_fields_of_a_packet_may_be_of_any_type(logger):
    logger.log_packet(
        PacketV2(
            run_id=7,
            step=np.int64(3),
            input=None,
            external=[NAN],
            mdm="x",
            final_action=Opaque(),
            latency_ms=NAN,
        )
    )
    stored = records(logger.run_dir)[0]
    assert (stored["run_id"], stored["step"], stored["final_action"]) == (7, 3, "<Opaque>")
    assert repr(untag_floats(stored["latency_ms"])) == "nan"


# ---------------------------------------------------------------- the folder


def test_the_files_of_a_run(tmp_path):
    with TraceLogger(
        "run_1", tmp_path, manifest={"seed": 7, "limits": [NAN], "by": {2: "b", 10: "a"}}
    ) as logger:
        logger.audit({"kind": "start"})
        logger.log_packet(packet())
        logger.write_summary({"steps": 1, "worst": float("-inf")})
    assert sorted(file.name for file in (tmp_path / "run_1").iterdir()) == [AUDIT, MANIFEST, SUMMARY, TRACES]
    manifest = read_manifest(tmp_path / "run_1")
    assert manifest["chain"]["run_id"] == "run_1"
    assert (manifest["seed"], repr(manifest["limits"]), manifest["by"]) == (7, "[nan]", {"2": "b", "10": "a"})
    for name in (MANIFEST, SUMMARY):
        json.loads((tmp_path / "run_1" / name).read_text(), parse_constant=refuse)
    assert json.loads((tmp_path / "run_1" / SUMMARY).read_text())["worst"] == {"$float": "-inf"}
    verify(tmp_path / "run_1")


def test_a_manifest_may_not_name_the_chain(tmp_path):
    with pytest.raises(TraceError, match="'chain' is taken"):
        TraceLogger("run_1", tmp_path, manifest={"chain": 1})


@pytest.mark.parametrize("facts", [{"a": "0" * 64}, {"manifest_sha256": "0" * 64}, {"": 1e300, "x": 1e-7}])
def test_no_fact_confuses_the_digest(tmp_path, facts):
    TraceLogger("0" * 64, tmp_path, manifest=facts).close()
    manifest = read_manifest(tmp_path / ("0" * 64))
    assert {key: manifest[key] for key in manifest if key != "chain"} == facts


@pytest.mark.parametrize(
    "run_id",
    [
        "",
        ".",
        "..",
        ".hidden",
        "a/b",
        "../up",
        "a\\b",
        "c:",
        "a\n",
        "a\0",
        "x" * 129,
        "\ud800",
        "a?",
        'a"',
        None,
        7,
    ],
)
def test_a_run_id_that_is_no_folder_name_is_refused(tmp_path, run_id):
    with pytest.raises(ConfigError, match="no plain folder name"):
        TraceLogger(run_id, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_run_id_may_hold_any_letters(tmp_path):
    with TraceLogger("Lauf 1-ä_é", tmp_path) as logger:
        logger.log_packet(packet())
    assert verify(tmp_path / "Lauf 1-ä_é").packets == 1


def test_a_name_too_long_for_the_file_system_is_one_line(tmp_path):
    with pytest.raises(TraceError, match="cannot be written"):
        TraceLogger("ä" * 128, tmp_path)


def test_a_run_that_must_be_new(tmp_path):
    TraceLogger("run_1", tmp_path, must_be_new=True).close()
    with pytest.raises(RunExists, match="give another run_id or output_dir"):
        TraceLogger("run_1", tmp_path, must_be_new=True)


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_an_output_dir_that_is_a_file(tmp_path, place):
    (tmp_path / "file").write_text("x")
    with pytest.raises(TraceError, match="cannot be written"):
        TraceLogger("run_1", tmp_path / place)


def test_an_output_dir_that_may_not_be_written(tmp_path, monkeypatch):
    def denied(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", denied)
    with pytest.raises(TraceError, match="cannot be written: Permission denied"):
        TraceLogger("run_1", tmp_path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_output_dir(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(TraceError, match="cannot be written"):
            TraceLogger("run_1", tmp_path)
    finally:
        tmp_path.chmod(0o700)


def test_a_full_disk_at_the_manifest_and_at_the_summary(tmp_path, monkeypatch):
    logger = TraceLogger("run_1", tmp_path)
    logger.log_packet(packet())
    logger.write_summary({"steps": 0})

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(TraceError, match=r"summary.json cannot be written: No space left"):
        logger.write_summary({"steps": 1})
    with pytest.raises(TraceError, match=r"manifest.json cannot be written: No space left"):
        TraceLogger("run_2", tmp_path)
    logger.close()
    assert json.loads((tmp_path / "run_1" / SUMMARY).read_text()) == {"steps": 0}  # the old one, whole


def test_a_full_disk_at_a_packet_leaves_no_half_record(logger):
    logger.log_packet(packet(1))
    real, room = logger._traces._file, [40]

    class Full:
        def write(self, raw):
            if not room:
                raise OSError(errno.ENOSPC, "No space left on device")
            return real.write(raw[: room.pop()])

        def __getattr__(self, name):
            return getattr(real, name)

    logger._traces._file = Full()
    for _ in range(2):
        with pytest.raises(TraceError, match=r"traces.jsonl cannot be written: No space left .* 1 are kept"):
            logger.log_packet(packet(2))
    logger.audit({"kind": "stop", "packets": logger.packets, "head": logger.head})
    assert verify(logger.run_dir)._replace(head="") == (1, 1, True, "")


# ---------------------------------------------------------------- going on


def test_an_existing_run_goes_on(tmp_path):
    for step in range(1, 4):
        with TraceLogger("run_1", tmp_path) as logger:
            assert logger.packets == step - 1
            logger.log_packet(packet(step))
    assert [record["step"] for record in records(tmp_path / "run_1")] == [1, 2, 3]
    acts = records(tmp_path / "run_1", AUDIT)
    assert [(act["kind"], act["packets"]) for act in acts] == [("continue", 1), ("continue", 2)]
    assert verify(tmp_path / "run_1") == (3, 2, False, logger.head)


def test_a_run_that_was_closed_may_go_on(tmp_path):
    with TraceLogger("run_1", tmp_path) as logger:
        logger.log_packet(packet(1))
        logger.audit({"kind": "stop", "packets": logger.packets, "head": logger.head})
    assert verify(tmp_path / "run_1").closed
    with TraceLogger("run_1", tmp_path) as logger:
        logger.log_packet(packet(2))
    assert not verify(tmp_path / "run_1").closed


def test_a_torn_last_line_is_cut_and_audited(tmp_path):
    with TraceLogger("run_1", tmp_path) as logger:
        logger.log_packet(packet(1))
    with (tmp_path / "run_1" / TRACES).open("ab") as file:
        file.write(b'{"step":2,"half')
    with pytest.raises(TamperedTrace, match=r"traces.jsonl: line 2: it is torn"):
        verify(tmp_path / "run_1")
    with TraceLogger("run_1", tmp_path) as logger:
        logger.log_packet(packet(2))
    acts = records(tmp_path / "run_1", AUDIT)
    assert acts[0] == {"kind": "torn_line_cut", "file": TRACES, "bytes": 15}
    assert (acts[1]["kind"], acts[1]["packets"]) == ("continue", 1)
    assert verify(tmp_path / "run_1").packets == 2


@pytest.mark.parametrize("name", [TRACES, AUDIT])
def test_a_changed_last_line_is_refused(tmp_path, name):
    with TraceLogger("run_1", tmp_path) as logger:
        logger.log_packet(packet(1))
        logger.audit({"kind": "note", "step": 1})
    file = tmp_path / "run_1" / name
    file.write_bytes(file.read_bytes().replace(b'"step":1', b'"step":2'))
    before = {each.name: each.read_bytes() for each in file.parent.iterdir()}
    with pytest.raises(TamperedTrace, match=f"{name}: line 1"):
        TraceLogger("run_1", tmp_path)
    gc.collect()  # nothing was left open
    assert {each.name: each.read_bytes() for each in file.parent.iterdir()} == before


def test_a_run_without_its_manifest_is_not_given_a_new_one(tmp_path):
    with TraceLogger("run_1", tmp_path) as logger:
        logger.log_packet(packet(1))
    (tmp_path / "run_1" / MANIFEST).unlink()
    with pytest.raises(TraceError, match="it has no manifest"):
        TraceLogger("run_1", tmp_path)
    assert not (tmp_path / "run_1" / MANIFEST).exists()


def test_a_run_with_a_changed_manifest_does_not_go_on(tmp_path):
    TraceLogger("run_1", tmp_path, manifest={"limit": 5}).close()
    file = tmp_path / "run_1" / MANIFEST
    file.write_text(file.read_text().replace('"limit": 5', '"limit": 6'))
    with pytest.raises(TamperedTrace, match="not as it was written"):
        TraceLogger("run_1", tmp_path)


def test_two_loggers_cannot_interleave(tmp_path):
    one, other = TraceLogger("run_1", tmp_path), TraceLogger("run_1", tmp_path)
    one.log_packet(packet(1))
    with pytest.raises(TraceError, match="changed or removed by others"):
        other.log_packet(packet(1))
    with pytest.raises(TraceError):
        one.audit({"kind": "note"})  # the other has written there
    one.log_packet(packet(2))
    one.close()
    other.close()
    assert verify(tmp_path / "run_1").packets == 2


def test_after_close_nothing_is_stored(tmp_path):
    logger = TraceLogger("run_1", tmp_path)
    logger.close()
    logger.close()
    for call in (
        lambda: logger.log_packet(packet()),
        lambda: logger.append(packet()),
        lambda: logger.audit({"a": 1}),
    ):
        with pytest.raises(TraceError, match="is closed"):
            call()
