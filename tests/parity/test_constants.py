"""Constants of a module in compiled kernels: the numbers are the same, and of the same kind."""

import pytest

from decision_schema.kernel import kernel
from dmc_core.jit import can_compile, compiled

pytestmark = pytest.mark.skipif(not can_compile(), reason="numba is not installed: nothing to compare with")

COUNTS = (3, -(2**62), 2**62, 0)
PARTS = (0.1, -0.0, 5e-324)
MIXED = (1, 0.5)


@kernel
def pick(i: int) -> tuple[int, float, float]:
    return COUNTS[i], PARTS[i % len(PARTS)], MIXED[0] + MIXED[1]


def test_tuples_are_indexed_by_a_variable():
    fast = compiled(pick)
    for i in (*range(len(COUNTS)), -1):
        assert repr(fast(i)) == repr(pick(i))
