"""A model with a scorer gives the same live and in a batch run, whatever the scorer does."""

import math

import numpy as np
import pytest

from ami_engine.config import RunConfig, RunSection
from ami_engine.loop.column_source import ColumnSource
from ami_engine.loop.run_batch import run_batch
from ami_engine.mdm.kernel_model import kernel_model
from ami_engine.mdm.scorer import BLOCK, Scorer
from decision_schema.errors import ConfigError
from dmc_core.dmc.decide import ACT
from tests.parity.test_drivers import (
    BROKERS,
    FORMS,
    INSTRUMENTS,
    WIDE,
    Setup,
    by_batch,
    check,
    check_rows,
    needs_numba,
    packets_of,
    random_table,
)

FEATURES = ("imbalance", "spread_ticks", "sigma", "trade_imbalance", "staleness_max_5m", "mid")
WEIGHTS = np.random.default_rng(1).normal(size=(len(FEATURES), 3))
SEEN = []


def linear(rows):
    SEEN.append(rows.shape)
    known = np.nan_to_num(rows, nan=0.1)
    return np.tanh(known / (1.0 + np.abs(known)) @ WEIGHTS)


def broken(rows):
    """Raise where a mid is high, give nan or inf elsewhere."""
    if (rows[:, 0] > 0.6).any():
        raise OverflowError("too high")
    scores = rows[:, 0] * 3.0
    scores[rows[:, 1] == 2.0] = math.nan
    scores[rows[:, 1] == 4.0] = math.inf
    return scores


def fits(rows):
    """Give one shape for zeros and another one for rows."""
    return np.zeros(3 if (rows[:, 0] > 0.6).any() else BLOCK)


@kernel_model(reasons=("up", "down"), detail="{:.17g}", memory={"asked": 0.0}, scorer=Scorer(linear, FEATURES))
def leans(x, memory, proposed):
    """Show each bit of the scores in what is decided."""
    memory.values[0] += x.scores[0]
    proposed.detail = x.scores[1]
    proposed.reason = 0 if x.scores[0] > x.scores[1] else 1
    proposed.confidence = 0.75 + 0.25 * x.scores[2]
    if x.scores[0] > -0.9:
        proposed.action = ACT
        proposed.value = x.mid + x.scores[0] * x.tick - x.position * x.tick


@kernel_model(reasons=("quotes",), scorer=Scorer(broken, ("mid", "spread_ticks")))
def fails(x, memory, proposed):
    """Quote around what a scorer gives that often gives nothing."""
    proposed.action, proposed.confidence, proposed.reason = ACT, 0.5, 0
    proposed.value = x.mid + 0.001 * x.scores[0]


@kernel_model(reasons=("quotes",), scorer=Scorer(fits, ("mid",)))
def misfits(x, memory, proposed):
    """Quote where there is a score."""
    proposed.action, proposed.confidence, proposed.reason = ACT, 0.5, 0


@kernel_model(reasons=("quotes",), memory={"asked": 0.0})
def divides(x, memory, proposed):
    """Divide by zero in each fourth step, and reach for a place that is not there in each seventh."""
    memory.values[0] += 1.0
    proposed.action, proposed.confidence, proposed.reason = ACT, 0.5, 0
    if int(memory.values[0]) % 7 == 3:
        at = 14 + int(memory.values[0]) % 7  # 17: there are 16
        proposed.value = x.params[at]
    proposed.value = x.mid + x.tick / float(int(memory.values[0]) % 4)


@pytest.mark.parametrize("seed", [21, 22, 23])
@pytest.mark.parametrize("model", [leans, fails, misfits, divides])
def test_drivers_give_the_same(model, seed):
    config = RunConfig(run=RunSection(timer_ms=2_000 if seed == 21 else 0), instruments=INSTRUMENTS)
    setup = Setup(model=model, policy=WIDE, broker=BROKERS[seed % len(BROKERS)], config=config, seed=seed)
    _, summary, _ = check(random_table(seed, 400), setup)
    assert summary["orders_submitted"] > 5
    assert (summary["hold_reasons"].get("model_error:ContractError", 0) > 10) == (model is not leans)


def test_a_scorer_sees_blocks_alone():
    SEEN.clear()
    check(random_table(24, 100), Setup(model=leans, policy=WIDE), forms=(False,))
    assert set(SEEN) == {(BLOCK, len(FEATURES))}
    assert len(SEEN) > 60


@pytest.mark.parametrize("fast", FORMS)
def test_pieces_and_limits_change_no_score(fast):
    data = random_table(25, 300)
    setup = Setup(model=leans, policy=WIDE, broker=BROKERS[1])
    whole = by_batch(data, setup, fast=fast)
    pieces = [{name: column[i : i + 37] for name, column in data.items()} for i in range(0, 300, 37)]
    check_rows(whole[0], by_batch(iter(pieces), setup, fast=fast)[0])
    part = by_batch(data, Setup(model=leans, policy=WIDE, broker=BROKERS[1], steps=100), fast=fast)
    check_rows({**part[0], "fills": {}}, {**whole[0], "fills": {}}, steps=100)


@needs_numba
@pytest.mark.parametrize("model", [leans, fails, divides])
def test_the_packets_of_the_compiled_core_are_the_same_bytes(model, tmp_path):
    data = random_table(28, 200)
    made = [
        packets_of(ColumnSource(data, "A"), tmp_path / str(fast), fast=fast, decision_engine=model, risk_policy=WIDE)
        for fast in (False, True)
    ]
    assert made[0] == made[1]
    assert (b"model_error:ContractError" in made[0]) == (model is not leans)


@needs_numba
def test_a_long_run_with_a_scorer_is_the_same_compiled():
    config = RunConfig(run=RunSection(timer_ms=10_000), instruments=INSTRUMENTS)
    setup = Setup(model=leans, policy=WIDE, broker=BROKERS[2], config=config)
    assert check(random_table(26, 5_000), setup, forms=(True,))[1]["fills"] > 50


def test_a_scorer_of_a_wrong_shape_is_told_before_the_run():
    model = kernel_model(scorer=Scorer(lambda rows: rows[:3, 0], ("mid",)))(leans.function)
    with pytest.raises(ConfigError, match=r"gives an array of shape \(3,\) for 16 rows: give \(16,\) or"):
        run_batch(random_table(27, 10), model=model, market_id="A", fast=False)
