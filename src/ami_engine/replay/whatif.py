"""A recorded run judged under another policy: which decisions would have been others.

Open loop: each step is judged in the state that the run had. Positions, fills, working orders, latches and
pauses are as recorded, so what follows from a decision that changes is not seen: that takes a new run.
"""

from pathlib import Path
from typing import Any

import msgspec

from ami_engine.replay.tape import Tape
from decision_schema.packet_v2 import PacketV2
from decision_schema.reasons import OK
from decision_schema.types import Action
from dmc_core.dmc.decide import ACT
from dmc_core.dmc.guards import ACTIONS, GUARDS
from dmc_core.dmc.risk_policy import RiskPolicy, market_policy
from dmc_core.dmc.smallest_change import Judged
from dmc_core.dmc.worst_case import Leg

EXAMPLES = 10


class OrderThen(msgspec.Struct, frozen=True):
    """An order that a policy lets through."""

    side: str
    price: float | None
    size: float


class Side(msgspec.Struct, frozen=True):
    """What one policy makes of a step."""

    action: Action
    guards: list[str]
    orders: list[OrderThen]


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """A step that the two policies decide otherwise."""

    step: int
    now_ns: int
    market_id: str
    before: Side
    after: Side


class GuardCounts(msgspec.Struct):
    """Steps in which a row refuses, and those decided otherwise in which only one policy's refuses.

    Args:
        before: Steps in which it refuses under the run's policy.
        after: The same under the other policy.
        opened: Steps decided otherwise in which it refuses no more.
        closed: Steps decided otherwise in which it refuses now.
    """

    before: int = 0
    after: int = 0
    opened: int = 0
    closed: int = 0


class WhatIf(msgspec.Struct, kw_only=True):
    """A run judged under two policies, in the state that it had.

    Args:
        open_loop: Always true: what follows from a changed decision is not seen.
        steps: Steps judged; each came out as recorded under the run's own policy.
        proposals: Of these, with a proposal to act.
        limits: Limits that differ: of the run, and of the other policy.
        actions_before: Steps by what the guards decide, before any latch, under the run's policy.
        actions_after: The same under the other one.
        changed: Steps decided otherwise: another action, or other orders.
        changes: These by ``HOLD -> ACT``; ``ACT -> ACT`` = other orders.
        latched: Of the steps decided otherwise, those that a latch of the run would still have barred.
        guards: By row, where any differs or refuses.
        examples: The first of each kind of change, by action and by the guards that differ; at most ten.
    """

    open_loop: bool = True
    steps: int = 0
    proposals: int = 0
    limits: dict[str, tuple[float, float]]
    actions_before: dict[str, int]
    actions_after: dict[str, int]
    changed: int = 0
    changes: dict[str, int]
    latched: int = 0
    guards: dict[str, GuardCounts]
    examples: list[Example]


def whatif(run_dir: str | Path, policy: RiskPolicy) -> WhatIf:
    """Judge a recorded run under another policy, in the state that it had.

    Of markets with limits of their own in the run's config, the other policy replaces the limits of the
    account only.

    Raises:
        ConfigError: It is no run with packets.
        TraceError: A step cannot be read, or does not come out as recorded under the run's own policy.
    """
    tape = Tape(run_dir)
    own = tape.engine.policy
    found = WhatIf(
        limits={
            name: (float(getattr(own, name)), float(getattr(policy, name)))
            for name in RiskPolicy.__struct_fields__
            if getattr(own, name) != getattr(policy, name)
        },
        actions_before=_no_actions(),
        actions_after=_no_actions(),
        changes={},
        guards={},
        examples=[],
    )
    seen: list[tuple[Judged, bool]] = []
    shown: set[Any] = set()

    def look(packet: PacketV2) -> None:
        other = market_policy(policy, tape.policy) if _has_own_limits(tape, packet) else policy
        seen[:] = [(tape.judge(other), bool(tape.latched))]

    for packet in tape.steps(look):
        ((after, latched),) = seen
        _add(found, packet, tape.own(), after, shown, latched=latched)
    found.guards = dict(sorted(found.guards.items(), key=lambda item: _PLACES[item[0]]))
    return found


_PLACES = {guard.name: place for place, guard in enumerate(GUARDS)}


def _has_own_limits(tape: Tape, packet: PacketV2) -> bool:
    return packet.input.get("market_id", "") in tape.engine.market_rules


def _no_actions() -> dict[str, int]:
    return {str(action): 0 for action in ACTIONS}


def _add(
    found: WhatIf, packet: PacketV2, before: Judged, after: Judged, shown: set[Any], *, latched: bool
) -> None:
    found.steps += 1
    found.proposals += packet.mdm["proposal"]["action"] == Action.ACT
    found.actions_before[str(ACTIONS[before.action])] += 1
    found.actions_after[str(ACTIONS[after.action])] += 1
    for row in before.refusing:
        _counts(found, row).before += 1
    for row in after.refusing:
        _counts(found, row).after += 1
    if before.action == after.action and _orders(before) == _orders(after):
        return
    found.changed += 1
    found.latched += latched
    kind = f"{ACTIONS[before.action]} -> {ACTIONS[after.action]}"
    found.changes[kind] = found.changes.get(kind, 0) + 1
    for row in set(before.refusing) - set(after.refusing):
        _counts(found, row).opened += 1
    for row in set(after.refusing) - set(before.refusing):
        _counts(found, row).closed += 1
    sort = (kind, frozenset(before.refusing) ^ frozenset(after.refusing))
    if len(found.examples) < EXAMPLES and sort not in shown:
        shown.add(sort)
        found.examples.append(
            Example(
                step=packet.step,
                now_ns=packet.external["now_ns"],
                market_id=packet.input.get("market_id", ""),
                before=_side(before),
                after=_side(after),
            )
        )


def _counts(found: WhatIf, row: int) -> GuardCounts:
    return found.guards.setdefault(GUARDS[row].name, GuardCounts())


def _side(judged: Judged) -> Side:
    return Side(ACTIONS[judged.action], [GUARDS[row].name for row in judged.refusing], _orders(judged))


def _orders(judged: Judged) -> list[OrderThen]:
    if judged.action != ACT or judged.hold != OK:
        return []
    return [_order(leg) for leg in judged.legs if leg.allowed == 1]


def _order(leg: Leg) -> OrderThen:
    price = leg.price if leg.price == leg.price else None
    return OrderThen("buy" if leg.side > 0 else "sell", price, leg.size)


def whatif_words(found: WhatIf, name: str) -> list[str]:
    """Say in plain text what another policy would have decided, a line each.

    Args:
        found: The comparison.
        name: What the other policy is called.
    """
    lines = [
        f"open loop: {found.steps} steps judged again under {name}, each in the state that the run had;",
        "positions, fills and latches are as recorded, so what follows from a change is not seen",
        "under the run's own policy every verdict came out as recorded",
    ]
    if not found.limits:
        lines.append("the policy has the limits of the run's own")
    lines += [f"  {limit}: {now:.6g} -> {then:.6g}" for limit, (now, then) in found.limits.items()]
    lines.append(f"{found.changed} of {found.steps} decisions change")
    lines += [f"  {kind}: {count}" for kind, count in sorted(found.changes.items(), key=lambda i: -i[1])]
    if found.latched:
        lines.append(f"  {found.latched} of them a latch of the run would still have barred")
    lines.append("decisions of the guards, before and after:")
    lines += [
        f"  {action}: {count} -> {found.actions_after[action]}"
        for action, count in found.actions_before.items()
        if count or found.actions_after[action]
    ]
    if found.guards:
        lines.append("steps in which a guard refuses, before and after:")
    lines += [
        f"  {guard}: {counts.before} -> {counts.after}" + _moved(counts)
        for guard, counts in found.guards.items()
    ]
    if found.examples:
        lines.append("the first of them:")
    lines += [
        f"  step {e.step} {e.market_id}: {_side_words(e.before)} -> {_side_words(e.after)}"
        for e in found.examples
    ]
    return lines


def _moved(counts: GuardCounts) -> str:
    parts = [
        f"{words} in {count}"
        for words, count in (("no longer", counts.opened), ("newly", counts.closed))
        if count
    ]
    return f" ({', '.join(parts)})" if parts else ""


def _side_words(side: Side) -> str:
    orders = ", ".join(_order_words(order) for order in side.orders)
    guards = ", ".join(side.guards)
    return f"{side.action}" + (f" {orders}" if orders else "") + (f" [{guards}]" if guards else "")


def _order_words(order: OrderThen) -> str:
    price = "any price" if order.price is None else f"{order.price:.6g}"
    return f"{order.side} {order.size:.6g} at {price}"
