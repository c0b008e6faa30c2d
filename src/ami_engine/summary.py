"""RunSummary: counts over the packets of a run, and a few sentences that explain them."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from decision_schema.events import UNSET, OrderUpdate, Report
from decision_schema.reasons import text_of
from decision_schema.step_packet import StepPacket
from decision_schema.types import Action

_WAITING = ("order_open_no_cancel", "awaiting_broker")
"""Remarks of an ACT that say why no order followed."""
REMEDIES = {
    "future_event": "the venue's times are ahead of ours: set clock_offset_ms as mdm data inspect suggests",
    "awaiting_snapshot": "no snapshot came before these changes: give one, or set opening = 'empty'",
    "out_of_order": "times go back: files in the wrong order, newest rows first, a midnight or a change of "
    "the clock crossed, or one wrong time far ahead of the others",
    "gap": "messages are missing from the data: the book waits for the next snapshot",
}
"""What to do about input that could not be used, by reason."""
MAX_ERRORS_KEPT = 10
MAX_REASONS = 1_000
"""Different reasons that are counted apart; further ones count as ``other``."""


class RunSummary:
    """Folds packets: `update` with each, `get` at any time; `dry_run` = no order is really sent."""

    def __init__(self, *, dry_run: bool = False) -> None:
        self.dry_run = dry_run
        self.steps = 0
        self.events = 0
        self.actions: Counter[str] = Counter(dict.fromkeys(map(str, Action), 0))
        self.proposed: Counter[str] = Counter()
        self.hold_reasons: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.bad_inputs: Counter[str] = Counter()
        self.remarks: Counter[str] = Counter()
        self.submitted = 0
        self.canceled = 0
        self.replaced = 0
        self.bought = 0
        self.sold = 0
        self.source_failures: Counter[str] = Counter()
        self.source_errors: list[str] = []
        self.rejected: Counter[str] = Counter()

    def update(self, packet: StepPacket) -> None:
        """Count one packet."""
        self.steps += 1
        self.events += packet.input.kind == "market"
        decision = packet.final_action
        self.actions[decision.action] += 1
        self.proposed[packet.mdm.proposal.action] += 1
        if decision.action != "ACT" and decision.reasons:
            self.count_hold(decision.reasons[0])
        for code in packet.mismatch.flags:
            self._count(self.remarks, code)
        if packet.guards.refusals is not UNSET:
            for row in packet.guards.refusals:
                self._count(self.refusals, row.name)
        if packet.input.bad is not None:
            self.count_bad_input(packet.input.bad.reason)
        for intent in packet.intents:
            self.submitted += intent.op != "cancel"
            self.replaced += intent.op == "replace"
            self.canceled += intent.op != "submit"
        if packet.external.reports:
            self.count_reports(packet.external.reports)

    def count_reports(self, reports: Sequence[Report]) -> None:
        """Count rejections among reports; fills are counted where the ledger takes them."""
        for report in reports:
            if isinstance(report, OrderUpdate) and report.status == "rejected":
                self._count(self.rejected, report.reason or "no reason given")

    def count_bad_input(self, reason: str) -> None:
        """Count an input that could not be used, by its reason in words."""
        self._count(self.bad_inputs, reason)

    def count_hold(self, reason: str) -> None:
        """Count a decision that did not act, by its first reason in words."""
        self._count(self.hold_reasons, reason)

    def count_source_failure(self, kind: str, words: str) -> None:
        """Count a failure of a source; its first words are kept."""
        self.source_failures[kind] += 1
        if len(self.source_errors) < MAX_ERRORS_KEPT:
            self.source_errors.append(words)

    def set_fills(self, bought: int, sold: int) -> None:
        """Take the numbers of fills that the ledger has booked."""
        self.bought, self.sold = bought, sold

    def get(self) -> dict[str, Any]:
        """Give the counts, most frequent first; a replacement is one order submitted and one cancelled."""
        return {
            "steps": self.events,
            "packets": self.steps,
            "action_counts": {str(action): self.actions[str(action)] for action in Action},
            "hold_reasons": dict(self.hold_reasons.most_common()),
            "refusals": dict(self.refusals.most_common()),
            "bad_inputs": dict(self.bad_inputs.most_common()),
            "orders_submitted": self.submitted,
            "orders_replaced": self.replaced,
            "orders_canceled": self.canceled,
            "orders_rejected": dict(self.rejected.most_common()),
            "fills": self.bought + self.sold,
            "fills_by_side": {"buy": self.bought, "sell": self.sold},
            "source_failures": dict(self.source_failures.most_common()),
            "source_errors": list(self.source_errors),
        }

    def explain(self, stopped: dict[str, Any] | None = None) -> list[str]:
        """Say in words what became of the events, above all where nothing traded.

        Args:
            stopped: Step and reason of a latched STOP.
        """
        lines = []
        acts, fills = self.proposed["ACT"], self.bought + self.sold
        if stopped is not None:
            lines.append(
                f"STOP at step {stopped['step']}: {text_of(stopped['reason'])}. No new risk after it."
            )
        for kind, count in self.source_failures.most_common(3):
            lines.append(f"The source failed {'once' if count == 1 else f'{count} times'}: {kind}.")
        if self.steps == 0:
            return [*lines, "The source gave no event: nothing could be decided."]
        if acts == 0:
            lines.append(f"The model never proposed to act in {self.steps} steps.")
        elif self.submitted == 0:
            lines.append(f"The model proposed to act {acts} times, but no order was sent.")
        elif self.dry_run:
            lines.append(
                f"A dry run: the model proposed to act {acts} times; {self.submitted} orders, none of them "
                "sent."
            )
        elif self.rejected.total() >= self.submitted:
            lines.append(f"{self.submitted} orders were sent and all rejected.")
        elif fills == 0:
            lines.append(
                f"{self.submitted} orders were sent and none filled: no trade reached their place in the "
                "queue, or the data has no trades or sizes to fill against."
            )
        else:
            lines.append(f"The model proposed to act {acts} times; {self.submitted} orders, {fills} fills.")
        if fills == 0:
            lines += [
                f"{count} x {reason}" + (f": {text_of(reason)}" if text_of(reason) != reason else "")
                for reason, count in self.hold_reasons.most_common(5)
            ]
            lines += [
                f"{count} x {mark}: {text_of(mark)}"
                for mark, count in self.remarks.items()
                if mark in _WAITING
            ]
            lines += [
                f"{count} x rejected by the broker: {why}" for why, count in self.rejected.most_common(3)
            ]
        if self.bad_inputs:
            total = sum(self.bad_inputs.values())
            most = ", ".join(f"{reason} {count}" for reason, count in self.bad_inputs.most_common(3))
            lines.append(f"{total} of {self.events} events could not be used: {most}.")
            lines += [
                f"{reason}: {remedy}."
                for reason, remedy in REMEDIES.items()
                if self.bad_inputs[reason] * 100 > self.events
            ]
        return lines

    @staticmethod
    def _count(counter: Counter[str], key: str) -> None:
        counter[key if key in counter or len(counter) < MAX_REASONS else "other"] += 1
