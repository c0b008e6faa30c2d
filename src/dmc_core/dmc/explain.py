"""The guard table in words: what refused, and how near the rest was."""

import math
from collections.abc import Collection, Sequence

from decision_schema.reasons import text_of
from decision_schema.types import GuardResult
from dmc_core.dmc.guards import ABSENT, LIMIT_OF, MARKET_ROWS, PRESENT, VALUE_SLOT, guard_result

_SILENT = ("off", "not_evaluated")


def explain(results: Sequence[GuardResult]) -> list[str]:
    """Give one aligned line a row, in plain text.

    Refusals come first, with their reason in words; then what is beyond its limit or unknown and
    stops nothing here; then the passes, the nearest first by margin / the larger of limit and value.
    The last line counts the rows that are off or had no input.

    >>> from dmc_core.dmc.guards import BREACH, GUARD_SLOT, OFF, PASS, PRESENT, guard_result
    >>> rows = [
    ...     guard_result(GUARD_SLOT["depth"], PASS, 100.0, 1.0, PRESENT, refuses=False),
    ...     guard_result(GUARD_SLOT["spread_bps"], BREACH, 600.0, 500.0, PRESENT, refuses=True),
    ...     guard_result(GUARD_SLOT["order_value"], OFF, 5.0, 0.0, PRESENT, refuses=False),
    ... ]
    >>> for line in explain(rows):
    ...     print(line)
    spread_bps  600 bps    limit 500  margin -100  breach  HOLD: the spread is above the limit
    depth       100 units  limit 1    margin 99    pass
    1 off
    """
    shown = sorted((row for row in results if row.verdict not in _SILENT), key=_rank)
    columns = [_columns(row) for row in shown]
    widths = [max(map(len, column)) for column in zip(*columns, strict=True)]
    lines = [
        "  ".join(text.ljust(width) for text, width in zip(texts, widths, strict=True)).rstrip()
        for texts in columns
    ]
    counts = {verdict: sum(row.verdict == verdict for row in results) for verdict in _SILENT}
    rest = [f"{count} {verdict.replace('_', ' ')}" for verdict, count in counts.items() if count]
    return [*lines, ", ".join(rest)] if rest else lines


def _rank(row: GuardResult) -> tuple[int, float]:
    if row.refuses:
        return 0, 0.0
    if row.verdict != "pass" or row.margin is None or row.value is None:
        return 1, 0.0
    scale = max(abs(row.limit), abs(row.value))
    return 2, row.margin / scale if scale > 0.0 else math.inf  # 0 of 0, as no pause: not near


def _columns(row: GuardResult) -> tuple[str, ...]:
    return (
        row.name if row.leg is None else f"{row.name}, leg {row.leg}",
        "no value" if row.value is None else f"{row.value:.6g} {row.unit}",
        f"limit {row.limit:.6g}",
        "" if row.margin is None else f"margin {row.margin:.6g}",
        row.verdict,
        f"{row.severity}: {text_of(row.reason)}" if row.refuses else "",
    )


def results_from_vectors(
    values: Sequence[float | None],
    verdicts: Sequence[int],
    limits: Sequence[float],
    presence: Sequence[int] | None,
    refusing: Collection[int],
) -> list[GuardResult]:
    """Build the readable rows of the market and the account from the vectors that a packet stores.

    Args:
        values: Observed numbers by slot of guards.OBSERVED; None = absent.
        verdicts: Verdicts by row.
        limits: The policy as a vector: guards.limits_of.
        presence: Presence by slot; None = absent exactly where there is no value.
        refusing: Rows that refused.

    >>> from dmc_core.dmc.guards import BREACH, GUARD_SLOT, N_GUARDS, N_OBSERVED, OFF, SLOT, limits_of
    >>> from dmc_core.dmc.risk_policy import RiskPolicy
    >>> values, verdicts, row = [None] * N_OBSERVED, [OFF] * N_GUARDS, GUARD_SLOT["depth"]
    >>> values[SLOT["depth"]], verdicts[row] = 0.5, BREACH
    >>> rows = results_from_vectors(values, verdicts, limits_of(RiskPolicy()), None, [row])
    >>> explain(rows)[0]
    'depth  0.5 units  limit 1  margin -0.5  breach  HOLD: the displayed depth is below the limit'
    """
    results = []
    for i in MARKET_ROWS:
        value = values[VALUE_SLOT[i]]
        here = ABSENT if value is None else PRESENT
        if presence is not None:
            here = presence[VALUE_SLOT[i]]
        number = math.nan if value is None else value
        limit = limits[LIMIT_OF[i]]
        results.append(guard_result(i, verdicts[i], number, limit, here, refuses=i in refusing))
    return results
