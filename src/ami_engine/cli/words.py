"""A packet in words: what was proposed, what the guards said, what was sent."""

from collections.abc import Callable, Iterable
from typing import Any

from decision_schema.packet_v2 import PacketV2
from decision_schema.reasons import TEXTS, text_of
from decision_schema.types import Action, GuardResult
from dmc_core.dmc.explain import explain, results_from_vectors
from dmc_core.dmc.guards import ABSENT, LEG_ROWS, LIMIT_OF, LIMIT_SLOT, PRESENT, guard_result

SHOWN_ROWS = 6


def limits_for(packet: PacketV2, manifest: dict[str, Any]) -> list[float]:
    """Give the policy that a packet's market is judged by, as a vector."""
    guards = manifest["guards"]
    own = guards.get("market_limits", {}).get(packet.input.get("market_id", ""))
    return list((own or guards["limits"]).values())


def decision_words(packet: PacketV2, limits: list[float]) -> list[str]:
    """Explain one decision in a few lines.

    Args:
        packet: The decision.
        limits: The policy as a vector (`limits_for`).
    """
    decision, proposal = packet.final_action, packet.mdm["proposal"]
    event = packet.input
    lines = [_market_words(event, packet.mdm["features"])]
    bad = event.get("bad")
    if bad:
        lines.append(f"input not used: {text_of(bad['reason'])}")
    words = f" ({', '.join(proposal['reasons'])})" if proposal["reasons"] else ""
    asked = f"proposed {proposal['action']} with confidence {proposal['confidence']:.2f}"
    lines.append(f"model {packet.mdm['model']} {asked}{words}")
    rows = guard_rows(packet, limits)
    lines.extend(f"  {line}" for line in _shortened(explain(rows), rows))
    said = [text_of(code) if code in TEXTS or ":" in code else code for code in decision["reasons"]]
    lines.append(f"decision {decision['action']}" + (f": {'; '.join(said)}" if said else ""))
    lines.extend(f"  {_intent_words(intent)}" for intent in packet.intents)
    if not packet.intents:
        kept = [
            flag
            for flag in (packet.mismatch or {}).get("flags", [])
            if flag in ("quote_kept", "requote_throttled")
        ]
        lines.append(f"  no order leaves{': ' + text_of(kept[0]) if kept else ''}")
    return lines


def guard_rows(packet: PacketV2, limits: list[float]) -> list[GuardResult]:
    """Rebuild the readable guard rows of a packet: the market's, then each leg's."""
    guards = packet.guards
    if guards.get("tightened"):
        limits = list(limits)
        for name, value in guards["tightened"].items():
            limits[LIMIT_SLOT[name]] = value
    rows = results_from_vectors(guards["values"], guards["verdicts"], limits, None, guards["refusing"])
    for number, leg in enumerate(guards.get("legs", ())):
        for place, row in enumerate(LEG_ROWS):
            value = leg["values"][place]
            refuses = leg["increasing"] and row in guards["refusing"] and leg["verdicts"][place] in (2, 3)
            rows.append(
                guard_result(
                    row,
                    leg["verdicts"][place],
                    float("nan") if value is None else value,
                    limits[LIMIT_OF[row]],
                    ABSENT if value is None else PRESENT,
                    refuses=refuses,
                    leg=number,
                )
            )
    return rows


def _shortened(lines: list[str], rows: list[GuardResult]) -> list[str]:
    """Keep the refusals, the nearest passes, and one line that counts the rest."""
    keep = max(SHOWN_ROWS, sum(row.refuses for row in rows))
    body, last = (lines[:-1], lines[-1:]) if lines and lines[-1][:1].isdigit() else (lines, [])
    if len(body) <= keep:
        return lines
    return [*body[:keep], f"and {len(body) - keep} more rows that pass or do not apply; {''.join(last)}"]


def _market_words(event: dict[str, Any], features: dict[str, float]) -> str:
    parts = [f"market {event.get('market_id', '')}"]
    parts += [
        f"{name} {features[name]:.6g}"
        for name in ("mid", "spread_ticks", "depth", "sigma")
        if name in features
    ]
    return ", ".join(parts)


def _intent_words(intent: dict[str, Any]) -> str:
    if intent["op"] == "cancel":
        return f"cancel {intent['client_order_id']}"
    price = "any price" if intent["price"] is None else f"{intent['price']:.6g}"
    reduce = ", reduce only" if intent["reduce_only"] else ""
    terms = f"{intent['side']} {intent['size']:.6g} at {price}{reduce}"
    return f"{intent['op']} {terms}, {intent['client_order_id']}"


_WORTH_EXPLAINING: tuple[Callable[[PacketV2], bool], ...] = (
    lambda p: p.final_action["action"] == Action.ACT and len(p.intents) >= 2,
    lambda p: p.final_action["action"] == Action.HOLD and bool(p.guards["refusing"]),
    lambda p: p.final_action["action"] == Action.HOLD,
    lambda p: p.final_action["action"] not in (Action.ACT, Action.HOLD) and bool(p.intents),
    lambda p: p.final_action["action"] not in (Action.ACT, Action.HOLD),
    lambda p: any(report["type"] == "fill" for report in p.external["reports"]),
)
"""Kinds of decisions, the most instructive first; the first packet of a kind stands for it."""


def pick_three(packets: Iterable[PacketV2]) -> list[PacketV2]:
    """Choose up to three decisions worth explaining, a HOLD among them if there is one."""
    first: dict[int, PacketV2] = {}
    for packet in packets:
        for kind, fits in enumerate(_WORTH_EXPLAINING):
            if kind not in first and packet not in first.values() and fits(packet):
                first[kind] = packet
    chosen = [first[kind] for kind in sorted(first)][:3]
    return sorted(chosen, key=lambda packet: packet.step)
