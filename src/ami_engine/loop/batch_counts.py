"""What the rows of a batch run add up to: the counts of its summary."""

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from ami_engine.kernels.batch import (
    BAD_FIELD,
    BAD_PROPOSAL,
    BAD_VALUE,
    GUARD_REASON,
    MODEL_REASON,
    NO_REASON,
    BatchState,
)
from ami_engine.kernels.inputs import FIELDS, MARKET
from ami_engine.kernels.orders import CANCEL, REPLACE, SUBMIT
from ami_engine.kernels.paper import PAPER_REASONS
from ami_engine.kernels.records import EngineState
from ami_engine.kernels.rows import DecisionRow
from ami_engine.summary import RunSummary
from decision_schema import reasons
from decision_schema.reasons import NAMES
from dmc_core.dmc.decide import ACT
from dmc_core.dmc.guards import ABSENT, ACTIONS, BREACH, GUARDS, MALFORMED, UNKNOWN, reason_of

if TYPE_CHECKING:
    import numpy as np

_FIELDS = tuple(field.name for field in fields(DecisionRow))


def text_of_reason(because: int, model_reasons: tuple[str, ...] = ()) -> str:
    """Give the text of a decision's first reason, as `DecisionRow.because` codes it; '' = it has none.

    >>> text_of_reason(GUARD_REASON), text_of_reason(BAD_FIELD + FIELDS.index("bid_size"))
    ('ops_deny_actions', 'invalid_input:bid_size')
    """
    if because in (NO_REASON, reasons.OK):
        return ""
    if because >= GUARD_REASON:
        row, kind = divmod(because - GUARD_REASON, 4)
        presence = {0: ABSENT, 1: ABSENT, 2: MALFORMED}[kind]
        return reason_of(row, BREACH if kind == 0 else UNKNOWN, presence)
    if because == BAD_VALUE:
        return f"{NAMES[reasons.MODEL_ERROR]}:value"
    if because == BAD_PROPOSAL:
        return f"{NAMES[reasons.MODEL_ERROR]}:ContractError"
    if because >= MODEL_REASON:
        number = because - MODEL_REASON
        return model_reasons[number] if number < len(model_reasons) else f"reason {number}"
    if because >= BAD_FIELD:
        return f"{NAMES[reasons.INVALID_INPUT]}:{FIELDS[because - BAD_FIELD]}"
    return NAMES[because]


class BatchCounts:
    """Folds rows into a `RunSummary`: `count` with each chunk, `finish` at the end.

    Of inputs that have reasons of their own (a source calls a row defective) `words` has them, by step.
    """

    def __init__(self, model_reasons: tuple[str, ...]) -> None:
        self.summary = RunSummary()
        self.words: dict[int, str] = {}
        self._model_reasons = model_reasons
        self._bad: dict[int, tuple[int, int]] = {}

    def count(self, decisions: "np.ndarray[Any, Any]", orders: "np.ndarray[Any, Any] | None") -> None:
        """Count one chunk of decisions, field by field, and the messages that they sent."""
        import numpy as np

        summary = self.summary
        rows = dict(zip(_FIELDS, decisions, strict=True))
        summary.steps += decisions.shape[1]
        summary.events += int((rows["kind"] == MARKET).sum())
        for counter, name in ((summary.actions, "action"), (summary.proposed, "proposed")):
            for action, count in zip(ACTIONS, np.bincount(rows[name], minlength=len(ACTIONS)), strict=True):
                if count:
                    counter[str(action)] += int(count)
        is_held = (rows["action"] != ACT) & (rows["because"] != NO_REASON)
        if self.words:
            self._count_worded(rows, is_held)
        for because, _, count in _in_order(rows["because"][is_held]):
            summary.hold_reasons[text_of_reason(because, self._model_reasons)] += count
        for kept, _, count in _in_order(rows["kept"][rows["kept"] != 0]):
            summary.remarks[NAMES[kept]] += count
        bad = rows["bad"][rows["bad"] != 0]
        for code, first, count in _in_order(bad):
            if code != reasons.INVALID_INPUT:
                known = self._bad.get(code)
                step = int(rows["step"][np.flatnonzero(rows["bad"] != 0)[first]])
                self._bad[code] = (step, count) if known is None else (known[0], known[1] + count)
        if orders is not None and len(orders):
            op = orders["op"]
            summary.submitted += int((op != CANCEL).sum())
            summary.replaced += int((op == REPLACE).sum())
            summary.canceled += int((op != SUBMIT).sum())

    def _count_worded(self, rows: Any, is_held: Any) -> None:
        """Count the rows that hold for a reason in words, and take them out of those that `is_held`."""
        import numpy as np

        worded = is_held & np.isin(rows["step"], list(self.words)) & (rows["bad"] != 0)
        because = rows["because"]
        worded &= (because == rows["bad"]) | ((because >= BAD_FIELD) & (because < MODEL_REASON))
        for step in rows["step"][worded].tolist():
            self.summary.count_hold(self.words[step])
        is_held &= ~worded
        done = int(rows["step"][-1])
        self.words = {step: text for step, text in self.words.items() if step > done}

    def finish(self, batch: BatchState, state: EngineState) -> None:
        """Take what the loop has counted itself."""
        summary = self.summary
        summary.set_fills(state.fills_bought, state.fills_sold)
        refused = [(batch.first_refusal[i], guard.name, batch.refusals[i]) for i, guard in enumerate(GUARDS)]
        for _, name, count in sorted(refused):
            if count:
                summary.refusals[name] += count
        rejected = [
            (batch.first_rejection[i], text or "no reason given", batch.rejections[i])
            for i, text in enumerate(PAPER_REASONS)
        ]
        for _, text, count in sorted(rejected):
            if count:
                summary.rejected[text] += count

    def finish_bad_inputs(self, batch: BatchState) -> None:
        """Take what the rows say of inputs that could not be used, where no text says it better."""
        bad = [(first, NAMES[code], count) for code, (first, count) in self._bad.items()]
        for i, field in enumerate(FIELDS):
            if batch.bad_fields[i]:
                text = f"{NAMES[reasons.INVALID_INPUT]}:{field}"
                bad.append((batch.first_bad_field[i], text, batch.bad_fields[i]))
        for _, text, count in sorted(bad):
            self.summary.bad_inputs[text] += count


def _in_order(values: Any) -> list[tuple[int, int, int]]:
    """Give the different values with their first place and their number, in order of appearance."""
    import numpy as np

    found, firsts, counts = np.unique(values, return_index=True, return_counts=True)
    return [(int(found[i]), int(firsts[i]), int(counts[i])) for i in np.argsort(firsts, kind="stable")]
