"""Why a step did what it did: its guard table in words, and what would have let its proposal through."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from ami_engine.replay.guard_rows import GuardTable
from ami_engine.replay.recorded import packet_at, read_facts
from ami_engine.replay.tape import Tape
from decision_schema.errors import ConfigError, TraceError
from decision_schema.packet_v2 import PacketV2
from decision_schema.reasons import TEXTS, text_of
from decision_schema.types import Action, GuardResult
from decision_schema.units import NS_PER_SECOND, UnixNs
from dmc_core.dmc.explain import explain
from dmc_core.dmc.smallest_change import SmallestChange, change_words, smallest_change


class LegWhy(msgspec.Struct, frozen=True, kw_only=True):
    """One wanted order: ``size`` is what the guards left of it, `blockers` what it does not get past."""

    side: str
    size: float
    increasing: bool
    allowed: bool
    blockers: list[str]


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """One recorded step, explained.

    Args:
        step: Its number.
        now_ns: Its time.
        market_id: Its market; empty = none.
        kind: ``market``, ``timer`` or ``command``.
        bad: Why the input was not used; empty = it was.
        reports: What the broker said since the last step.
        model: Who was asked.
        proposed: ``action``, ``confidence``, ``reasons``, ``params`` of the proposal.
        terms_from: Whose prices the orders have; empty = there are none.
        rows: Every guard, then every guard of each leg, then the model's own margins.
        legs: The orders, as they were judged.
        action: What was decided.
        allowed: Whether that is what was proposed.
        because: Reason codes of the decision.
        remarks: What else was noted, such as ``clamped:buy``, ``quote_kept``.
        intents: What left for the broker.
        latches: What was latched after the step.
        change: What would have let the proposal through; None = it is not asked for, or see `no_change`.
        no_change: Why that cannot be said.
        strange: Rows of the run's guard table that this version does not know.
    """

    step: int
    now_ns: UnixNs
    market_id: str
    kind: str
    bad: str
    reports: list[dict[str, Any]]
    model: str
    proposed: dict[str, Any]
    terms_from: str
    rows: list[GuardResult]
    legs: list[LegWhy]
    action: str
    allowed: bool
    because: list[str]
    remarks: list[str]
    intents: list[dict[str, Any]]
    latches: list[str]
    change: SmallestChange | None
    no_change: str
    strange: list[str]


def why(run_dir: str | Path, step: int) -> Why:
    """Explain one step of a recorded run.

    Where the model wanted to act and not all of it went out, the run is stepped through up to there, so
    that the smallest change of limits is proven on the state of that step.

    Raises:
        ConfigError: It is no run with packets, or has no such step.
        TraceError: The packet cannot be read.
    """
    facts = read_facts(run_dir)
    packet = packet_at(run_dir, step)
    try:
        table = GuardTable(facts)
        change, no_change = _change(run_dir, packet) if _is_cut(packet) else (None, "")
        return _why(packet, table, change, no_change)
    except (KeyError, IndexError, TypeError, msgspec.ValidationError) as error:
        raise TraceError(f"{run_dir}: step {step} is no packet of the engine: {error!r}") from None


def _is_cut(packet: PacketV2) -> bool:
    """Tell whether the model wanted to act and not all of it went out."""
    if packet.mdm["proposal"]["action"] != Action.ACT:
        return False
    flags = (packet.mismatch or {}).get("flags", ())
    legs = packet.guards.get("legs", ())
    whole = all(leg["allowed"] for leg in legs) and not any(flag.startswith("clamped:") for flag in flags)
    return packet.final_action["action"] != Action.ACT or not whole


def _change(run_dir: str | Path, packet: PacketV2) -> tuple[SmallestChange | None, str]:
    """Find the smallest change on the state of a step; or say why that cannot be done."""
    found: list[SmallestChange] = []
    barred: list[str] = []
    try:
        tape = Tape(run_dir)

        def look(at: PacketV2) -> None:
            if at.step == packet.step:
                barred.append(_barred(tape, packet))
                tape.judge(tape.policy)
                found.append(smallest_change(tape.judge_same_orders, tape.limits))

        for done in tape.steps(look):
            if done.step == packet.step:
                break
    except (TraceError, ConfigError) as error:
        return None, str(error)
    return (None, barred[0]) if barred[0] else (found[0], "")


def _barred(tape: Tape, packet: PacketV2) -> str:
    """Name what no limit changes; empty = nothing."""
    if tape.failed:
        return "the private policy failed, so nothing new may go out"
    if tape.latched:
        return f"a latch is closed ({tape.latched}); no limit opens it"
    reasons = packet.final_action["reasons"]
    if reasons and reasons[0] == "venue_inconsistent":
        return "the broker reported what our orders cannot explain"
    return ""


def _why(packet: PacketV2, table: GuardTable, change: SmallestChange | None, no_change: str) -> Why:
    bad, proposal, state = packet.input.get("bad"), packet.mdm["proposal"], packet.state_after
    latches = []
    if state.get("stopped"):
        latches.append(f"stopped since step {state['stopped']['step']}: {state['stopped']['reason']}")
    latches += [f"exiting {market}" for market in state.get("exiting", ())]
    bars = [table.names[i] for i in table.bars(packet)]
    return Why(
        step=packet.step,
        now_ns=packet.external["now_ns"],
        market_id=packet.input.get("market_id", ""),
        kind=packet.input.get("kind", "market"),
        bad=bad["reason"] if bad else "",
        reports=packet.external["reports"],
        model=packet.mdm["model"],
        proposed=proposal,
        terms_from=packet.mdm.get("terms_from", ""),
        rows=table.rows(packet),
        legs=[
            LegWhy(
                side=leg["side"],
                size=leg["size"],
                increasing=leg["increasing"],
                allowed=leg["allowed"],
                blockers=[*bars, *(table.names[i] for i in table.leg_bars(leg))] if leg["increasing"] else [],
            )
            for leg in packet.guards.get("legs", ())
        ],
        action=packet.final_action["action"],
        allowed=packet.final_action["allowed"],
        because=packet.final_action["reasons"],
        remarks=[flag for flag in (packet.mismatch or {}).get("flags", ()) if flag not in table.names],
        intents=packet.intents,
        latches=latches,
        change=change,
        no_change=no_change,
        strange=table.strange,
    )


# ---------------------------------------------------------------- words


def why_words(found: Why) -> list[str]:
    """Put a step into words, a line each."""
    market = f", market {found.market_id}" if found.market_id else ""
    lines = [f"step {found.step}, {time_text(found.now_ns)}{market}"]
    if found.bad:
        lines.append(f"input not used: {text_of(found.bad)}")
    elif found.kind != "market":
        lines.append(f"a {found.kind}: the model is not asked")
    if found.reports:
        lines.append(f"the broker said: {', '.join(_report_words(report) for report in found.reports)}")
    lines.append(_proposal_words(found))
    lines += [f"  {line}" for line in explain(found.rows)]
    lines += [_leg_words(number, leg) for number, leg in enumerate(found.legs)]
    said = "; ".join(_reason_words(code) for code in found.because)
    lines.append(f"decision {found.action}" + (f": {said}" if said else ""))
    lines += [f"  latched: {latch}" for latch in found.latches]
    if found.remarks:
        lines.append(f"  noted: {'; '.join(_reason_words(flag) for flag in found.remarks)}")
    lines += [f"  {intent_words(intent)}" for intent in found.intents] or ["  no order leaves"]
    lines += _change_lines(found)
    if found.strange:
        lines.append(f"rows that this version does not know: {', '.join(found.strange)}")
    return lines


def _change_lines(found: Why) -> list[str]:
    if found.no_change:
        return [f"no change of a limit can be named: {found.no_change}"]
    if found.change is None:
        return []
    words = change_words(found.change)
    if not found.change.changes:
        return ["what would have let it through:", *(f"  {line}" for line in words)]
    return [
        "the smallest change that would have let it through, judged again:",
        *(f"  {line}" for line in words),
    ]


def _proposal_words(found: Why) -> str:
    proposed = found.proposed
    reasons = f" ({', '.join(proposed['reasons'])})" if proposed["reasons"] else ""
    terms = f", orders from its {found.terms_from}" if found.terms_from not in ("", "model") else ""
    return (
        f"model {found.model} proposed {proposed['action']} with confidence "
        f"{proposed['confidence']:.2f}{reasons}{terms}"
    )


def _leg_words(number: int, leg: LegWhy) -> str:
    direction = "adds risk" if leg.increasing else "reduces"
    verdict = "goes out" if leg.allowed else "refused"
    stopped = f" by {', '.join(leg.blockers)}" if leg.blockers and not leg.allowed else ""
    return f"leg {number}: {leg.side} {leg.size:.6g}, {direction}: {verdict}{stopped}"


def _report_words(report: dict[str, Any]) -> str:
    if report["type"] == "fill":
        return f"fill {report['side']} {report['size']:.6g} at {report['price']:.6g}"
    return f"{report['type']} {report.get('status', report.get('error', ''))}".rstrip()


def _reason_words(code: str) -> str:
    return text_of(code) if code in TEXTS or ":" in code else code


def intent_words(intent: dict[str, Any]) -> str:
    """Put a message to the broker into words."""
    if intent["op"] == "cancel":
        return f"cancel {intent['client_order_id']}"
    price = "any price" if intent["price"] is None else f"{intent['price']:.6g}"
    reduce = ", reduce only" if intent["reduce_only"] else ""
    terms = f"{intent['side']} {intent['size']:.6g} at {price}{reduce}"
    return f"{intent['op']} {terms}, {intent['client_order_id']}"


def time_text(now_ns: UnixNs) -> str:
    """Write a time for people, in UTC, to the microsecond.

    >>> time_text(1_767_225_602_500_000_000)
    '2026-01-01 00:00:02.500000 UTC'
    """
    seconds, rest = divmod(now_ns, NS_PER_SECOND)
    try:
        whole = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return f"{now_ns} ns"
    return f"{whole:%Y-%m-%d %H:%M:%S}.{rest // 1000:06d} UTC"


def time_of(text: str) -> UnixNs:
    """Read a time: nanoseconds since 1970, or as ISO 8601 (UTC where it names no zone).

    Raises:
        ConfigError: It is neither.

    >>> time_of("2026-01-01T00:00:02Z"), time_of("1767225602000000000")
    (1767225602000000000, 1767225602000000000)
    """
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"time {text!r} is none: give nanoseconds, or as 2026-01-01T00:00:02Z") from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * NS_PER_SECOND + since.microseconds * 1_000
