"""Fields of a packet by name, in the order of the step."""

from ami_engine.replay.packet_fields import ABSENT, PARTS, differing, fields_of


def packet(**parts):
    return {
        "schema_version": 2, "run_id": "r", "step": 1, "input": {"market_id": "M", "bid": 0.4, "extra": {"z": 1}},
        "external": {"now_ns": 5, "reports": []}, "mdm": {"features": {"mid": 0.5}, "proposal": {"action": "ACT", "params": {"value": 1}}},
        "guards": {"values": [1.0, None], "verdicts": [0, 1], "refusing": []}, "final_action": {"action": "ACT"},
        "mismatch": {"flags": []}, "intents": [], "state_after": {"equity": 5.0}, "latency_ms": 0.0, "h": "00", **parts,
    }  # fmt: skip


def names(one, other):
    return [field.name for field, _, _ in differing(fields_of(one), fields_of(other))]


FILL = {"type": "fill", "fill_id": "A-1", "client_order_id": "A", "price": 0.5}


def test_each_part_of_a_packet_is_compared_and_what_says_nothing_is_not():
    assert names(packet(), packet(run_id="s", h="11", latency_ms=3.0)) == []
    changed = packet(
        input={"market_id": "M", "bid": 0.5, "extra": {"z": 2}, "ask": {"$float": "nan"}},
        external={"now_ns": 6, "reports": [{**FILL, "price": 0.6}]},
        mdm={"features": {"mid": 0.6, "depth": 1.0}, "proposal": {"action": "HOLD", "params": {}}, "memory": "ab"},
        guards={"values": [2.0, None], "verdicts": [0, 2], "refusing": ["x"]}, final_action={"action": "HOLD"},
        mismatch={"flags": ["a"]}, intents=[{"op": "cancel", "client_order_id": "B"}], state_after={"equity": 4.0}, newer=1,
    )  # fmt: skip
    found = list(differing(fields_of(packet(external={"now_ns": 5, "reports": [FILL]})), fields_of(changed)))
    seen = [field.name for field, _, _ in found]
    for name in ("time", "input bid", "input extra.z", "input ask", "fill of order A: price", "feature mid", "feature depth",
                 "proposal.action", "proposal.params", "proposal.params.value", "model memory", "guards.refusing", "decision.action",
                 "decision.flags", "cancel order B", "state.equity", "newer"):  # fmt: skip
        assert name in seen or name == "proposal.params", (name, seen)
    order = [PARTS.index(field.part) for field, _, _ in found]
    assert order == sorted(order)
    assert any(name.startswith("guard value ") for name in seen)


def test_an_order_or_report_that_only_one_has_is_told_once():
    report = {"now_ns": 5, "reports": [FILL]}
    found = list(differing(fields_of(packet(external=report)), fields_of(packet())))
    assert [(field.name, value, other) for field, value, other in found] == [
        ("fill of order A", "there", ABSENT)
    ]
    twice = {"now_ns": 5, "reports": [FILL, {**FILL, "price": 0.7}]}
    assert names(packet(external=report), packet(external=twice)) == ["fill of order A #2"]
    assert repr(ABSENT) == "absent"
