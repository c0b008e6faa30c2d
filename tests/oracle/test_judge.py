"""`judge` against a slow oracle: exact fractions and a decision table written out."""

import math
from fractions import Fraction

from hypothesis import example, given
from hypothesis import strategies as st

from dmc_core.dmc.guards import (
    ABSENT,
    GUARDS,
    LIMIT_NAMES,
    LIMIT_SLOT,
    MALFORMED,
    N_GUARDS,
    N_OBSERVED,
    PRESENT,
    SLOT,
    VERDICTS,
    Guard,
)
from dmc_core.dmc.judge import judge

DECISIONS = {
    # (sign, strict, how value stands to limit): verdict
    (1, False, "below"): "pass",
    (1, False, "equal"): "pass",
    (1, False, "above"): "breach",
    (1, True, "below"): "pass",
    (1, True, "equal"): "breach",
    (1, True, "above"): "breach",
    (-1, False, "below"): "breach",
    (-1, False, "equal"): "pass",
    (-1, False, "above"): "pass",
    (-1, True, "below"): "breach",
    (-1, True, "equal"): "breach",
    (-1, True, "above"): "pass",
}


def oracle(guard: Guard, presence: int, value: float, limit: float) -> str:
    if guard.off_when_zero and limit == 0:
        return "off"
    if presence == ABSENT:
        return "unknown" if guard.required else "not_evaluated"
    if presence == MALFORMED or not math.isfinite(value):
        return "unknown"
    exact = Fraction(value) - Fraction(limit)
    stands = "below" if exact < 0 else "above" if exact > 0 else "equal"
    return DECISIONS[guard.sign, guard.strict, stands]


near = st.sampled_from([0.0, -0.0, 1.0, 2.5, 5.0, 500.0, 1e-300, 1e300, 0.1 + 0.2, 0.3])
limits = st.one_of(near, st.floats(0, 1e300, allow_nan=False))
values = st.one_of(near, st.floats(allow_nan=True, allow_infinity=True))
presences = st.sampled_from([ABSENT, PRESENT, PRESENT, PRESENT, MALFORMED])


@given(
    st.lists(limits, min_size=len(LIMIT_NAMES), max_size=len(LIMIT_NAMES)),
    st.lists(st.tuples(values, presences), min_size=N_OBSERVED, max_size=N_OBSERVED),
    st.booleans(),
)
@example([5.0] * len(LIMIT_NAMES), [(5.0, PRESENT)] * N_OBSERVED, False)
@example([0.0] * len(LIMIT_NAMES), [(0.0, PRESENT)] * N_OBSERVED, False)
@example([5.0] * len(LIMIT_NAMES), [(math.nan, PRESENT)] * N_OBSERVED, False)
@example([5.0] * len(LIMIT_NAMES), [(math.nextafter(5.0, 9), PRESENT)] * N_OBSERVED, False)
@example([5.0] * len(LIMIT_NAMES), [(math.nextafter(5.0, 0), PRESENT)] * N_OBSERVED, False)
def test_every_row_against_the_decision_table(vector, seen, at_the_limit):
    observed = [value for value, _ in seen]
    presence = [here for _, here in seen]
    if at_the_limit:
        for guard in GUARDS:
            observed[SLOT[guard.observed]] = vector[LIMIT_SLOT[guard.limit]]
    verdicts = [-1] * N_GUARDS
    judge(0, N_GUARDS, observed, presence, vector, verdicts)
    for i, guard in enumerate(GUARDS):
        slot, limit = SLOT[guard.observed], vector[LIMIT_SLOT[guard.limit]]
        expected = oracle(guard, presence[slot], observed[slot], limit)
        assert VERDICTS[verdicts[i]] == expected, guard.name


def test_only_the_given_rows_are_written():
    verdicts = [-1] * N_GUARDS
    judge(3, 5, [1.0] * N_OBSERVED, [PRESENT] * N_OBSERVED, [9.0] * len(LIMIT_NAMES), verdicts)
    assert [i for i, verdict in enumerate(verdicts) if verdict != -1] == [3, 4]


def test_a_limit_that_is_no_number_never_passes():
    verdicts = [-1] * N_GUARDS
    judge(
        0,
        N_GUARDS,
        [1.0] * N_OBSERVED,
        [PRESENT] * N_OBSERVED,
        [math.nan] * len(LIMIT_NAMES),
        verdicts,
    )
    assert {VERDICTS[verdict] for verdict in verdicts} == {"breach"}
