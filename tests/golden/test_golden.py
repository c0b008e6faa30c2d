"""The packets of a small fixed run, byte for byte.

They change only with a stated reason: regenerate them with ``python -m tests.golden.regenerate``,
read the difference, and say in a line of CHANGELOG.md what decides or records differently and why.
"""

import json

from decision_schema.packet_v2 import PacketV2
from tests.golden.scenario import EVENTS, GOLDEN, run

HINT = "stated in CHANGELOG.md? then: python -m tests.golden.regenerate"


def test_the_packets_are_the_golden_ones():
    golden, now = GOLDEN.read_bytes().decode("utf-8").splitlines(), run().splitlines()
    for number, (old, new) in enumerate(zip(golden, now, strict=False), 1):
        if old != new:
            assert json.loads(new) == json.loads(old), f"packet {number}: {HINT}"  # pytest shows the field
            raise AssertionError(f"packet {number} has the same content in other bytes: {HINT}")
    assert len(now) == len(golden) == len(EVENTS), HINT


def test_the_same_run_gives_the_same_packets():
    assert run() == run()


def test_the_scenario_shows_what_matters():
    packets = [
        PacketV2.from_dict(json.loads(line)) for line in GOLDEN.read_text(encoding="utf-8").splitlines()
    ]
    assert {packet.final_action["action"] for packet in packets} >= {"ACT", "HOLD"}
    assert {intent["op"] for packet in packets for intent in packet.intents} == {
        "submit",
        "replace",
        "cancel",
    }
    sides = {
        report["side"]
        for packet in packets
        for report in packet.external["reports"]
        if report["type"] == "fill"
    }
    assert sides == {"buy", "sell"}
    assert any(packet.guards.get("refusals") for packet in packets)
    assert sum("bad" in packet.input for packet in packets) == 4
    assert "not-to-be-seen" not in GOLDEN.read_text(encoding="utf-8")
    for packet in packets:
        assert PacketV2.from_dict(packet.to_dict()) == packet
