"""What a scorer may read and give, and what is said where it may not."""

import logging

import numpy as np
import pytest

from ami_engine.features.catalogue import FEATURES
from ami_engine.mdm import scorer as module
from ami_engine.mdm.decision_engine import DecisionEngine
from ami_engine.mdm.kernel_model import kernel_model
from ami_engine.mdm.scorer import BLOCK, Scorer
from decision_schema.errors import ConfigError, ContractError
from dmc_core.dmc.decide import ACT


def first(rows):
    return rows[:, 0]


def rule(x, memory, proposed):
    proposed.action, proposed.confidence, proposed.value = ACT, 0.5, x.scores[0]


def test_market_features_are_those_of_the_catalogue():
    market = [spec.name for spec in FEATURES if spec.kind == "market"]
    assert list(module._MARKET) == market
    assert {spec.name for spec in FEATURES if spec.kind == "own"} < module._OWN


@pytest.mark.parametrize("name", ["position", "equity", "open_buy", "markout_5_ticks", "last_fill_age_ms"])
def test_what_hangs_on_own_orders_is_refused_by_name(name):
    with pytest.raises(ConfigError, match=f"scorer first reads {name}, which depends on our own orders"):
        Scorer(first, ("mid", name))


@pytest.mark.parametrize(
    ("score", "features", "said"),
    [
        (first, ("imbalanse",), "unknown feature 'imbalanse': did you mean 'imbalance'"),
        (first, ("now_ns",), "unknown feature 'now_ns': docs/features.md has the list"),
        (first, ("mid", "mid"), "each once"),
        (first, (), "name one feature at least"),
        (object(), ("mid",), "scorer object is no function"),
    ],
)
def test_what_makes_no_sense_is_refused(score, features, said):
    with pytest.raises(ConfigError, match=said):
        Scorer(score, features)


@pytest.mark.parametrize(
    ("score", "said"),
    [
        (lambda rows: rows[:3, 0], r"gives an array of shape \(3,\) for 16 rows: give \(16,\) or \(16, n\)"),
        (lambda rows: np.zeros((16, 9)), r"shape \(16, 9\)"),
        (lambda rows: 1.0, r"shape \(\)"),
        (lambda rows: None, r"gives|fails"),
        (lambda rows: ["a"] * 16, "fails on 16 rows of zeros: ValueError"),
        (lambda rows: 1 // int(rows[0, 0]), "fails on 16 rows of zeros: ZeroDivisionError"),
    ],
)
def test_a_scorer_that_can_never_work_is_told_before_the_run(score, said):
    with pytest.raises(ConfigError, match=said):
        DecisionEngine(kernel_model(scorer=Scorer(score, ("mid",)))(rule))


def test_a_row_has_the_same_scores_alone_and_among_others():
    rng = np.random.default_rng(3)
    weights = rng.normal(size=(5, 3))
    scorer = Scorer(lambda rows: np.tanh(rows @ weights), ("mid", "spread", "depth", "sigma", "imbalance"))
    rows = rng.normal(size=(83, 5))
    together = scorer.score_rows(rows)
    alone = np.array([scorer.score_rows(rows[i : i + 1])[0] for i in range(83)])
    assert together.tobytes() == alone.tobytes()


def test_rows_that_cannot_be_scored_do_not_touch_their_neighbours(caplog):
    def picky(rows):
        if (rows[:, 0] < 0.0).any():
            raise ValueError("below zero, token=abcdef0123456789abcdef")
        return np.column_stack([rows[:, 0], 1.0 / (rows[:, 0] - 5.0)])

    scorer = Scorer(picky, ("mid",))
    with caplog.at_level(logging.WARNING), np.errstate(divide="ignore"):
        scores = scorer.score_rows(np.array([[1.0], [-1.0], [5.0], [3.0]]))
    assert scores.tolist()[0] == [1.0, -0.25]
    assert np.isnan(scores[1:3]).all()
    assert scores.tolist()[3] == [3.0, -0.5]
    assert len(caplog.records) == 1
    assert "abcdef0123456789" not in caplog.text


def test_a_scorer_may_write_to_what_it_is_given():
    def rough(rows):
        rows *= 2.0
        return rows[:, 0]

    scorer = Scorer(rough, ("mid",))
    assert scorer.score_rows(np.ones((BLOCK + 1, 1))).tolist() == [[2.0]] * (BLOCK + 1)


def test_a_model_with_a_scorer_is_tried_by_names():
    model = kernel_model(scorer=Scorer(lambda rows: rows[:, 1] * 2.0, ("mid", "spread")))(rule)
    assert model.propose({"mid": 0.5, "spread": 0.25}, {}, {}).params == {"value": 0.5}
    with pytest.raises(ContractError, match="gives no finite score"):
        model.propose({"mid": 0.5}, {}, {})


def test_a_name_that_is_no_feature_is_told():
    model = kernel_model()(rule)
    with pytest.raises(ConfigError, match="model rule: unknown feature 'spred': did you mean 'spread'"):
        model.propose({"spred": 0.5}, {}, {})
    with pytest.raises(ConfigError, match="unknown feature 'params'"):
        model.propose({"params": 0.5}, {}, {})
