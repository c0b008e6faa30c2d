"""What was once written stays readable: a packet and a run folder of today, kept as text, for ever.

If a test here fails, do not change the texts: a change that cannot read them needs a new
``schema_version`` (packets) or a new ``format`` (chain), and a reader for the old one.
"""

import inspect
import json

import pytest

from ami_engine.trace.trace_logger import TraceLogger, read_manifest
from ami_engine.trace.verify import Verified, verify
from decision_schema.packet_v2 import SCHEMA_VERSION, STORED_ORDER, PacketV2

LINE_V2 = (
    '{"schema_version":2,"run_id":"old","step":7,'
    '"input":{"market_id":"M","ts_ns":1767225607000000000,"bid":0.49,"ask":0.51},'
    '"external":{"now_ns":1767225607000000000,"reports":[{"type":"order","client_order_id":"A","status":"live"}]},'
    '"mdm":{"features":{"mid":0.5},"proposal":{"action":"ACT","confidence":0.85,"reasons":["edge_pays"],'
    '"params":{"value":0.5,"odd":{"$float":"nan"}}},"model":"reference","terms_from":"value"},'
    '"guards":{"values":[null,400.0],"verdicts":[4,1],"refusing":[]},'
    '"final_action":{"action":"ACT","allowed":true,"reasons":["edge_pays"],"params":{"value":0.5,"orders":[]}},'
    '"mismatch":{"flags":[],"reason_codes":[],"throttle_refresh_ms":1500},'
    '"intents":[{"op":"cancel","client_order_id":"A"}],'
    '"state_after":{"positions_lots":{"M":-3},"open_orders":[],"equity":100.0},"latency_ms":0.0}'
)

MANIFEST_V1 = """{
  "chain": {
    "format": "mdm-trace-v1",
    "run_id": "old",
    "code_sha256": "a97876d0e014cf6772cf1f822de3fce9fd9bf35a659e8e0d2dea0856e2224db2",
    "manifest_sha256": "375f13e91a6536355146d7c5ca0d9223ca839daf00e9562bb521d5c7cf7ec855",
    "previous_head": ""
  },
  "seed": 7,
  "limit": 0.1
}
"""
HEAD_V1 = "1ac8ebebe32cb2dd5eef21866a966088c7f00217f5a9b7c501100eb5e48c3964"
TRACES_V1 = (
    '{"run_id":"old","step":1,"h":"027d4777eabe5bff28057aeffd6a0981d8c7959d91d5f6eca2e6c93409980ff6"}\n'
    f'{{"run_id":"old","step":2,"note":"ä","h":"{HEAD_V1}"}}\n'
)
AUDIT_V1 = (
    '{"kind":"start","h":"44afc0f76cc34b46e041830c737e33f01a0e06b94ed867b0efde7e2b3f8a7033"}\n'
    f'{{"kind":"stop","packets":2,"head":"{HEAD_V1}",'
    '"h":"00c6c5d2f74b6e769a1d42f9ca9b1f3009e76a4aaebdd08295062edaaebc070f"}\n'
)


@pytest.fixture
def old_run(tmp_path):
    folder = tmp_path / "old"
    folder.mkdir()
    for name, text in (
        ("manifest.json", MANIFEST_V1),
        ("traces.jsonl", TRACES_V1),
        ("audit.jsonl", AUDIT_V1),
    ):
        (folder / name).write_bytes(text.encode())
    return folder


def test_an_old_packet_is_read_and_written_without_loss():
    raw = json.loads(LINE_V2)
    packet = PacketV2.from_dict(raw)
    assert (packet.schema_version, packet.step, packet.extra) == (2, 7, {})
    assert packet.intents == [{"op": "cancel", "client_order_id": "A"}]
    assert list(packet.to_dict().items())[: len(raw)] == list(raw.items())


@pytest.mark.parametrize("field", sorted(json.loads(LINE_V2)))
def test_a_field_of_a_newer_version_changes_nothing_of_the_old(field):
    raw = json.loads(LINE_V2)
    packet = PacketV2.from_dict({**raw, f"{field}_2": {"newer": True}})
    assert packet.extra == {f"{field}_2": {"newer": True}}
    assert getattr(packet, field) == raw[field]


def test_fields_are_only_added():
    """New fields go to the end of the stored order and have a default."""
    assert STORED_ORDER[:12] == tuple(json.loads(LINE_V2))
    parameters = inspect.signature(PacketV2).parameters.values()
    required = [each.name for each in parameters if each.default is each.empty]
    assert required[:7] == ["run_id", "step", "input", "external", "mdm", "final_action", "latency_ms"]
    assert not required[7:]
    assert SCHEMA_VERSION == 2


def test_an_old_run_verifies(old_run):
    assert verify(old_run) == Verified(packets=2, audits=2, closed=True, head=HEAD_V1)
    assert read_manifest(old_run)["seed"] == 7


def test_an_old_run_goes_on(old_run):
    with TraceLogger("old", old_run.parent) as logger:
        logger.log_packet({"run_id": "old", "step": 3})
    assert verify(old_run)[:3] == (3, 3, False)
