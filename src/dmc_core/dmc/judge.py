"""The one function that judges guard rows: arithmetic over the columns of the table."""

from decision_schema.kernel import kernel
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


@kernel
def judge(
    first: int,
    last: int,
    observed: list[float],
    presence: list[int],
    limits: list[float],
    verdicts: list[int],
) -> tuple[int, int]:
    """Judge the rows from `first` up to, not including, `last`, and write their verdicts.

    Args:
        first: Slot of the first row to judge.
        last: Slot behind the last one.
        observed: Observed numbers by slot.
        presence: ABSENT, PRESENT or MALFORMED for each.
        limits: The policy as a vector.
        verdicts: Written: OFF, PASS, BREACH, UNKNOWN or NOT_EVALUATED, by slot of the row.

    Returns:
        Bits of the rows that are breached, and of those that are unknown.

    >>> import math
    >>> from dmc_core.dmc.guards import GUARD_SLOT, N_GUARDS, N_OBSERVED, SLOT, limits_of
    >>> from dmc_core.dmc.risk_policy import RiskPolicy
    >>> observed, presence, verdicts = [math.nan] * N_OBSERVED, [ABSENT] * N_OBSERVED, [OFF] * N_GUARDS
    >>> observed[SLOT["spread_bps"]], presence[SLOT["spread_bps"]] = 600.0, PRESENT
    >>> row = GUARD_SLOT["spread_bps"]
    >>> judge(row, row + 1, observed, presence, limits_of(RiskPolicy()), verdicts) == (1 << row, 0)
    True
    >>> verdicts[row] == BREACH
    True
    """
    breaches = 0
    unknowns = 0
    for i in range(first, last):
        limit = limits[LIMIT_OF[i]]
        if OFF_WHEN_ZERO[i] == 1 and limit == 0.0:
            verdicts[i] = OFF
            continue
        slot = VALUE_SLOT[i]
        here = presence[slot]
        value = observed[slot]
        if here == PRESENT and value - value == 0.0:
            margin = SIGN[i] * (limit - value)
            if margin > 0.0 or (margin == 0.0 and STRICT[i] == 0):
                verdicts[i] = PASS
            else:
                verdicts[i] = BREACH
                breaches |= 1 << i
        elif here == ABSENT and REQUIRED[i] == 0:
            verdicts[i] = NOT_EVALUATED
        else:
            verdicts[i] = UNKNOWN
            unknowns |= 1 << i
    return breaches, unknowns
