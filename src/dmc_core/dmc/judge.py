"""The one function that judges guard rows: arithmetic over the columns of the table."""

import math

from dmc_core.dmc.guards import (
    ABSENT,
    BREACH,
    LIMIT_OF,
    NOT_EVALUATED,
    OFF,
    OFF_WHEN_ZERO,
    PASS,
    PRESENT,
    REQUIRED,
    SIGN,
    STRICT,
    UNKNOWN,
    VALUE_SLOT,
)


def judge(
    rows: tuple[int, ...],
    observed: list[float],
    presence: list[int],
    limits: list[float],
    verdicts: list[int],
) -> None:
    """Judge the given rows and write their verdicts.

    Args:
        rows: Slots of the rows to judge.
        observed: Observed numbers by slot.
        presence: ABSENT, PRESENT or MALFORMED for each.
        limits: The policy as a vector.
        verdicts: Written: OFF, PASS, BREACH, UNKNOWN or NOT_EVALUATED, by slot of the row.

    >>> from dmc_core.dmc.guards import GUARD_SLOT, N_GUARDS, N_OBSERVED, SLOT, limits_of
    >>> from dmc_core.dmc.risk_policy import RiskPolicy
    >>> observed, presence, verdicts = [math.nan] * N_OBSERVED, [ABSENT] * N_OBSERVED, [OFF] * N_GUARDS
    >>> observed[SLOT["spread_bps"]], presence[SLOT["spread_bps"]] = 600.0, PRESENT
    >>> row = GUARD_SLOT["spread_bps"]
    >>> judge((row,), observed, presence, limits_of(RiskPolicy()), verdicts)
    >>> verdicts[row] == BREACH
    True
    """
    for i in rows:
        limit = limits[LIMIT_OF[i]]
        if OFF_WHEN_ZERO[i] == 1 and limit == 0.0:
            verdicts[i] = OFF
            continue
        slot = VALUE_SLOT[i]
        here = presence[slot]
        if here == ABSENT:
            verdicts[i] = UNKNOWN if REQUIRED[i] == 1 else NOT_EVALUATED
            continue
        value = observed[slot]
        if here != PRESENT or not math.isfinite(value):
            verdicts[i] = UNKNOWN
            continue
        margin = SIGN[i] * (limit - value)
        if margin > 0.0 or (margin == 0.0 and STRICT[i] == 0):
            verdicts[i] = PASS
        else:
            verdicts[i] = BREACH
