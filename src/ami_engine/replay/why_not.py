"""Why a run did not trade: from events to fills, what stood alone against an order, and what nearly went."""

import heapq
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from ami_engine.replay.guard_rows import GuardTable
from ami_engine.replay.recorded import read_facts
from ami_engine.replay.unfilled import OrderFates, Unfilled
from ami_engine.trace.reader import read_packets
from ami_engine.trace.trace_logger import AUDIT
from decision_schema.errors import TraceError
from decision_schema.packet_v2 import PacketV2
from decision_schema.types import Action, GuardResult

NEAREST = 10
MAX_REASONS = 1_000
"""Different reasons that are told apart; further ones are ``other``."""
_UNASKED = ("settled", "no_market", "warming_up")
_LATCHES = ("stop_latched", "exiting", "venue_inconsistent", "policy_hook_error")
_KEPT = ("quote_kept", "requote_throttled", "awaiting_broker", "order_open_no_cancel", "too_many_orders")


class Funnel(msgspec.Struct):
    """How many came how far.

    Args:
        packets: Steps on record, timers and commands included.
        events: Steps of market events.
        usable: Of these, with an input that could be used.
        asked: Of these, in which the model was asked.
        proposed: In which it wanted to act.
        judged: In which its orders came to the guards.
        acted: In which some order was let through, or all were to be pulled.
        legs: Orders that the guards judged.
        legs_allowed: Of these, let through, be it in part.
        sent: Orders that left: those that rest already are not sent again.
        filled: Of these, with a fill.
        fills: Fills.
    """

    packets: int = 0
    events: int = 0
    usable: int = 0
    asked: int = 0
    proposed: int = 0
    judged: int = 0
    acted: int = 0
    legs: int = 0
    legs_allowed: int = 0
    sent: int = 0
    filled: int = 0
    fills: int = 0


class Miss(msgspec.Struct, frozen=True, kw_only=True):
    """A refusal by one row alone: `short` = how far beyond the limit, as a part of the larger of both."""

    short: float
    step: int
    market_id: str
    guard: str
    leg: int | None
    value: float
    limit: float
    margin: float
    unit: str


class WhyNot(msgspec.Struct, kw_only=True):
    """What became of a run's chances to trade.

    Args:
        funnel: From events to fills.
        holds: Steps that did not act, by the first reason of the decision.
        refusals: Steps in which each row refused, by itself or with others.
        sole_blockers: Steps that would have acted, had this one row let go.
        nearest_misses: The ten refusals by one row alone that were nearest to its limit; one that goes on
            unchanged counts once.
        kept: Steps in which nothing had to leave, by why.
        dropped: Orders that did not come to the guards, by why.
        never_filled: Orders sent without any fill, by how they ended.
        never_filled_ticks: The same by the least distance of the far touch, in ticks.
        nearest_orders: The ten of them that the market came nearest to.
        closed: Whether the end of the run is on record.
        strange: Rows of the run's guard table that this version does not know.
    """

    funnel: Funnel
    holds: dict[str, int]
    refusals: dict[str, int]
    sole_blockers: dict[str, int]
    nearest_misses: list[Miss]
    kept: dict[str, int]
    dropped: dict[str, int]
    never_filled: dict[str, int]
    never_filled_ticks: dict[str, int]
    nearest_orders: list[Unfilled]
    closed: bool
    strange: list[str]


def why_not(run_dir: str | Path) -> WhyNot:
    """Read a run once, from its first packet to its last, and say why it did not trade more.

    Raises:
        ConfigError: It is no run with packets.
        TraceError: A packet cannot be read; the message names it.
    """
    facts = read_facts(run_dir)
    return _Reading(Path(run_dir), facts).read()


class _Reading:
    """One pass over the packets of a run."""

    def __init__(self, run_dir: Path, facts: Mapping[str, Any]) -> None:
        self.run_dir = run_dir
        self.table = GuardTable(facts)
        self.orders = OrderFates(facts)
        self.funnel = Funnel()
        self.holds: dict[str, int] = {}
        self.refusals: dict[str, int] = {}
        self.sole: dict[str, int] = {}
        self.kept: dict[str, int] = {}
        self.dropped: dict[str, int] = {}
        self.misses: list[tuple[float, int, Miss]] = []
        self.last_miss: dict[str, tuple[str, float]] = {}

    def read(self) -> WhyNot:
        step = 0
        for packet in read_packets(self.run_dir):
            step = packet.step
            try:
                self._take(packet)
            except (KeyError, IndexError, TypeError, AttributeError, msgspec.ValidationError) as error:
                raise TraceError(
                    f"{self.run_dir}: step {step} is no packet of the engine: {error!r}"
                ) from None
        closed = False
        for record in _audits(self.run_dir):
            if record.get("kind") == "stop":
                closed = True
                self.orders.close(record.get("closing", {}).get("reports", ()))
        if not closed:
            self.orders.close(())
        self.funnel.sent, self.funnel.filled = self.orders.sent, self.orders.filled
        self.funnel.fills = self.orders.fills
        return WhyNot(
            funnel=self.funnel,
            holds=_ordered(self.holds),
            refusals=_ordered(self.refusals),
            sole_blockers=_ordered(self.sole),
            nearest_misses=[miss for _, _, miss in sorted(self.misses, key=lambda e: (-e[0], -e[1]))],
            kept=_ordered(self.kept),
            dropped=_ordered(self.dropped),
            never_filled=_ordered(self.orders.by_end),
            never_filled_ticks=self.orders.by_distance,
            nearest_orders=self.orders.nearest(),
            closed=closed,
            strange=self.table.strange,
        )

    def _take(self, packet: PacketV2) -> None:
        funnel, legs = self.funnel, packet.guards.get("legs", ())
        self.orders.take(packet)
        funnel.packets += 1
        if packet.input.get("kind", "market") == "market":
            funnel.events += 1
            if not packet.input.get("bad"):
                funnel.usable += 1
                funnel.asked += not _was_not_asked(packet.mdm["proposal"])
        wants = packet.mdm["proposal"]["action"] == Action.ACT
        acts = packet.final_action["action"] == Action.ACT
        funnel.proposed += wants
        funnel.judged += bool(legs)
        funnel.acted += acts
        funnel.legs += len(legs)
        if acts:
            funnel.legs_allowed += sum(leg["allowed"] for leg in legs)
        else:
            reasons = packet.final_action["reasons"]
            _count(self.holds, reasons[0] if reasons else "no reason given")
        for row in packet.guards["refusing"]:
            _count(self.refusals, self.table.names[row])
        for flag in (packet.mismatch or {}).get("flags", ()):
            if flag in _KEPT:
                _count(self.kept, flag)
            elif flag.startswith("leg_"):
                _count(self.dropped, flag)
        if wants and not acts and legs:
            self._block(packet, legs)

    def _block(self, packet: PacketV2, legs: list[dict[str, Any]]) -> None:
        """Name the row that stood alone against a step that wanted to act."""
        reasons = packet.final_action["reasons"]
        if reasons and reasons[0] in _LATCHES:
            return
        bars = self.table.bars(packet)
        of_legs = [self.table.leg_bars(leg) for leg in legs]
        if len(bars) == 1 and [] in of_legs:
            alone = {bars[0]}
        elif not bars:
            alone = {rows[0] for rows in of_legs if len(rows) == 1}
        else:
            return
        for row in sorted(alone):
            _count(self.sole, self.table.names[row])
        rows = self.table.rows(packet)
        for row in sorted(alone):
            near = [found for found in rows if found.name == self.table.names[row] and _is_miss(found)]
            if near:
                self._miss(packet, min(near, key=_shortfall))

    def _miss(self, packet: PacketV2, row: GuardResult) -> None:
        market = packet.input.get("market_id", "")
        if row.value is None or row.margin is None or self.last_miss.get(market) == (row.name, row.value):
            return  # the same miss goes on
        self.last_miss[market] = (row.name, row.value)
        miss = Miss(
            short=_shortfall(row),
            step=packet.step,
            market_id=market,
            guard=row.name,
            leg=row.leg,
            value=row.value,
            limit=row.limit,
            margin=row.margin,
            unit=row.unit,
        )
        heapq.heappush(self.misses, (-miss.short, -packet.step, miss))
        if len(self.misses) > NEAREST:
            heapq.heappop(self.misses)


def _is_miss(row: GuardResult) -> bool:
    return row.refuses and row.verdict == "breach" and row.margin is not None


def _shortfall(row: GuardResult) -> float:
    """Give how far beyond its limit a row is, as a part of the larger of value and limit."""
    scale = max(abs(row.limit), abs(row.value or 0.0))
    return abs(row.margin or 0.0) / scale if scale > 0.0 else 0.0


def _was_not_asked(proposal: Mapping[str, Any]) -> bool:
    words = proposal["reasons"]
    return proposal["confidence"] == 1.0 and len(words) == 1 and words[0] in _UNASKED


def _count(counts: dict[str, int], name: str) -> None:
    if name not in counts and len(counts) >= MAX_REASONS:
        name = "other"
    counts[name] = counts.get(name, 0) + 1


def _ordered(counts: dict[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _audits(run_dir: Path) -> Iterator[dict[str, Any]]:
    """Give the whole records of the audit; without one the end of the run is not known."""
    try:
        lines = (run_dir / AUDIT).read_bytes().splitlines(keepends=True)
    except OSError:
        return
    for line in lines:
        try:
            record = msgspec.json.decode(line)
        except msgspec.DecodeError:
            continue
        if line.endswith(b"\n") and isinstance(record, dict):
            yield record
