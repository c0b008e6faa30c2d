"""`check_model` tells what a run would meet."""

import math

import numpy as np
import pytest

from ami_engine.mdm.kernel_model import kernel_model
from ami_engine.mdm.scorer import Scorer
from ami_engine.testing import check_model
from decision_schema.errors import ConfigError
from decision_schema.types import Action, Proposal
from dmc_core.dmc.decide import ACT
from dmc_core.jit import can_compile

needs_numba = pytest.mark.skipif(not can_compile(), reason="numba is not installed")
FORMS = (False, pytest.param(True, marks=needs_numba))


@kernel_model(memory={"asked": 0.0}, params={"lean": 1.0})
def sound(x, memory, proposed):
    memory.values[0] += 1.0
    proposed.action, proposed.confidence = ACT, 0.7
    proposed.value = x.mid - x.params[0] * x.position * x.tick


@kernel_model()
def divides(x, memory, proposed):
    proposed.action, proposed.confidence = ACT, 0.7
    proposed.value = x.mid + x.tick * x.imbalance / x.sigma


@kernel_model()
def domains(x, memory, proposed):
    """Step out of what math takes, each in turn."""
    proposed.action, proposed.confidence = ACT, 0.7
    found = float(int(x.mid > 0.5))
    if x.step % 7 == 0:
        found = math.log(x.position)
    elif x.step % 7 == 1:
        found = math.sqrt(x.imbalance)
    elif x.step % 7 == 2:
        found = math.exp(x.spread_ticks * 200.0)
    elif x.step % 7 == 3:
        found = float(math.floor(x.sigma_5m))
    elif x.step % 7 == 4:
        found = float(int(x.sigma))
    elif x.step % 7 == 5:
        found = x.params[int(x.spread_ticks) * 4]
    proposed.value = x.mid + 0.001 * found


@kernel_model()
def unmarked(x, memory, proposed):
    proposed.value = helper(x.mid)


def helper(mid):
    return mid


@kernel_model()
def misspelt(x, memory, proposed):
    proposed.value = x.midd


@kernel_model()
def overconfident(x, memory, proposed):
    proposed.confidence = 2.0


@pytest.mark.parametrize("fast", FORMS)
def test_a_sound_model_has_no_problem(fast):
    found = check_model(sound, params={"lean": 2.0}, fast=fast)
    assert found.ok
    assert found.actions == {"ACT": found.samples}
    assert found.samples > 900
    assert str(found).startswith("sound: compiled; of " if fast else "sound: a kernel, not compiled here; of ")


@pytest.mark.parametrize("fast", FORMS)
def test_a_division_by_zero_is_found_though_the_data_have_none(fast):
    data = {"ts_ms": [1, 2], "bid": [0.49, 0.49], "ask": [0.51, 0.51], "bid_size": [1.0, 1.0], "ask_size": [3.0, 2.0]}
    found = check_model(divides, data, fast=fast)
    assert found.raised == {"ZeroDivisionError: float division by zero": 1}
    assert found.problems == [
        "it raises ZeroDivisionError: float division by zero in 1 samples: there a run holds"
    ]


@pytest.mark.parametrize("fast", FORMS)
def test_what_python_raises_is_the_same_compiled(fast):
    found = check_model(domains, fast=fast)
    kinds = {text.partition(":")[0] for text in found.raised}
    assert kinds == {"ValueError", "OverflowError", "IndexError"}
    assert not any("differs" in problem for problem in found.problems)


@needs_numba
@pytest.mark.parametrize(
    ("model", "said"),
    [
        (unmarked, "unmarked cannot be compiled: it calls helper, which is no @kernel"),
        (misspelt, "model misspelt cannot be compiled: .*'midd'"),
    ],
)
def test_what_cannot_be_compiled_is_told_in_a_line_with_the_slower_path(model, said):
    found = check_model(model)
    assert "fast=False" in found.speed
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(found.problems[0])
    assert "\n" not in found.problems[0]


def test_an_answer_that_is_none_is_told():
    found = check_model(overconfident, fast=False)
    assert found.raised == {"nothing, but answers action 1, confidence 2.0": found.samples}


def test_a_python_model_is_asked_by_names():
    def slow(features):
        return Proposal(action=Action.ACT, confidence=0.5, params={"value": features["mid"] / features["sigma"]})

    found = check_model(slow)
    assert found.speed == "per event"
    assert set(found.raised) == {"KeyError: 'sigma'", "ZeroDivisionError: float division by zero"}


def test_a_scorer_whose_rows_hang_on_each_other_is_told():
    def ranks(rows):
        return rows[:, 0] - rows[:, 0].mean()

    def counts(rows, seen=[]):  # noqa: B006 - it is meant to remember
        seen.append(1)
        return rows[:, 0] * float(len(seen))

    def rule(x, memory, proposed):
        proposed.value = x.scores[0]

    for score, words in ((ranks, "other scores among other rows"), (counts, "other scores asked twice")):
        model = kernel_model(scorer=Scorer(score, ("mid",)))(rule)
        assert any(words in problem for problem in check_model(model, fast=False).problems)
    good = kernel_model(scorer=Scorer(lambda rows: rows @ np.array([0.3, 0.7]), ("mid", "microprice")))(rule)
    assert [p for p in check_model(good, fast=False).problems if "other scores" in p] == []


def test_data_without_a_book_are_refused():
    with pytest.raises(ConfigError, match="no row with a book"):
        check_model(sound, {"ts_ms": [1], "bid": [math.nan], "ask": [0.5], "bid_size": [-1.0]}, fast=False)
