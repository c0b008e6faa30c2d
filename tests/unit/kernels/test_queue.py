"""The queue models: what a fall of the displayed size does to the lots ahead of us."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_engine.kernels.queue import CONSERVATIVE, GIVEN, LOG, POWER, QueueModel, queue_after, share_behind

NAN = math.nan
MODELS = {
    "conservative": QueueModel(CONSERVATIVE),
    "power 1": QueueModel(POWER, 1.0),
    "power 3": QueueModel(POWER, 3.0),
    "log": QueueModel(LOG),
    "given": QueueModel(GIVEN),
}
HALF = 0.5  # what the function of the user's says, where one is asked


def after_change(name, *numbers):
    return queue_after(MODELS[name].kind, MODELS[name].power, HALF, *numbers)


lots = st.one_of(st.integers(0, 1_000).map(float), st.floats(0.0, 1e9))


@pytest.mark.parametrize(
    ("model", "given", "front", "back", "share"),
    [
        (QueueModel(POWER, 1.0), NAN, 6.0, 2.0, 2.0 / 8.0),
        (QueueModel(POWER, 2.0), NAN, 6.0, 2.0, 4.0 / 40.0),
        (QueueModel(POWER, 3.0), NAN, 2.0, 6.0, 216.0 / 224.0),
        (QueueModel(LOG), NAN, 6.0, 2.0, math.log(3.0) / (math.log(3.0) + math.log(7.0))),
        (QueueModel(POWER, 3.0), NAN, 5.0, 0.0, 0.0),
        (QueueModel(POWER, 3.0), NAN, 0.0, 5.0, 1.0),
        (QueueModel(POWER, 100.0), NAN, 1e9, 1e-9, 0.0),
        (QueueModel(POWER, 100.0), NAN, 1e-9, 1e9, 1.0),
        (QueueModel(GIVEN), 4.0, 2.0, 2.0, 1.0),
        (QueueModel(GIVEN), -1.0, 2.0, 2.0, 0.0),
        (QueueModel(GIVEN), NAN, 2.0, 2.0, 1.0),
    ],
)
def test_share_of_cancellations_behind_us(model, given, front, back, share):
    assert share_behind(model.kind, model.power, given, front, back) == pytest.approx(share, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "ahead", "shown", "traded", "displayed", "after"),
    [
        ("conservative", 8.0, 12.0, 0.0, 9.0, 8.0),  # the three may all have stood behind
        ("power 1", 8.0, 12.0, 0.0, 9.0, 6.0),  # a third stood behind
        ("given", 8.0, 12.0, 0.0, 9.0, 6.5),
        ("power 1", 8.0, 12.0, 3.0, 9.0, 8.0),  # what traded did not cancel
        ("power 1", 8.0, 12.0, 5.0, 9.0, 8.0),  # more traded than left: others joined
        ("power 1", 8.0, 8.0, 0.0, 20.0, 8.0),  # who joins stands behind
        ("power 3", 8.0, 12.0, 0.0, 2.0, 0.0),  # of ten cancelled 1.1 stood behind
        ("power 1", 8.0, NAN, 0.0, 9.0, 8.0),  # not displayed before: nothing is known of cancellations
        ("power 1", 8.0, 12.0, 0.0, NAN, 8.0),  # not displayed now: it stays
        ("power 1", NAN, NAN, 0.0, 9.0, 9.0),  # first seen: behind all of it
        ("log", 0.0, 12.0, 0.0, 6.0, 0.0),
        ("given", 1.0, 12.0, 0.0, 11.0, 0.5),
        ("given", 11.0, 12.0, 0.0, 6.0, 6.0),  # only one stood behind, so five left before us
    ],
)
def test_queue_after_a_change(name, ahead, shown, traded, displayed, after):
    assert after_change(name, ahead, shown, traded, displayed) == pytest.approx(after)


@given(st.sampled_from(sorted(MODELS)), lots, lots, lots, lots)
def test_a_model_stays_between_the_proven_and_the_possible(name, ahead, behind, traded, displayed):
    """However cancellations fall: nobody enters ahead, and no more leave than cancelled."""
    shown = ahead + behind + traded
    after = after_change(name, ahead, shown, traded, displayed)
    cancelled = max(0.0, shown - traded - displayed)
    slack = 1e-6 * (1.0 + shown)
    assert 0.0 <= after <= min(ahead, displayed)
    assert after <= after_change("conservative", ahead, shown, traded, displayed)
    assert after >= min(displayed, ahead - cancelled) - slack
