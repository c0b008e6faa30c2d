"""The paper broker against a second model of its fills, which is itself proven against hftbacktest.

`benchmarks/against_hftbacktest` compares that model with hftbacktest; here it needs no hftbacktest.
"""

from pathlib import Path

import pytest

if not (Path(__file__).parents[2] / "benchmarks").is_dir():
    pytest.skip("the benchmarks are not here", allow_module_level=True)

from benchmarks.against_hftbacktest import bridge, run_mdm
from benchmarks.against_hftbacktest.cases import Case
from benchmarks.against_hftbacktest.market import REGIMES, Regime, synthetic_tape

OURS = frozenset(bridge.RULES)


SOME = (
    Case("conservative", 0.0, True, 5, 5),
    Case("conservative", 0.0, False),
    Case("power", 3.0, True),
    Case("power", 2.0, False, 5, 5),
    Case("log", 0.0, True, 5, 5),
    Case("power3", 2.0, True),  # a function of the user's
)


@pytest.mark.parametrize("regime", REGIMES, ids=lambda regime: regime.name)
def test_every_fill_is_that_of_the_model(regime: Regime) -> None:
    tape = synthetic_tape(regime, actions=600, count=200, seed=7)
    steps, events = bridge.steps_of(tape.rows), run_mdm.events_of(tape)
    for case in SOME:
        fills = bridge.merge(bridge.run(tape, steps, case, OURS))
        assert bridge.merge(run_mdm.run(tape, events, case)) == fills, case
        assert len(fills) > 50
        assert fills != bridge.merge(bridge.run(tape, steps, case, frozenset()))
