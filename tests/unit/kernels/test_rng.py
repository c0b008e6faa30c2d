"""The keyed draws: known values, the right shape, and no influence of one on another."""

import itertools
import math

import pytest

from ami_engine.kernels import rng

N = 100_000


@pytest.fixture(scope="module")
def uniforms() -> list[float]:
    word = rng.stream_key(0, rng.SIM_FAIR, 0, 0)
    return [rng.uniform(word, n) for n in range(N)]


def test_draws_are_those_of_splitmix64():
    """The published test vector of SplitMix64 for the state 1234567."""
    assert [rng.draw(1234567, n) for n in range(5)] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ((0, rng.SIM_FAIR, 0, 0, 0), 17990875778844135198),
        ((1, rng.SIM_ACTION, 2, 3, 4), 7575529049147372201),
        ((2**63 - 1, rng.MODEL, 7, -1, 2**40), 12034943554426101896),
    ],
)
def test_golden_values(words, value):
    assert rng.draw_u64(*words) == value


def test_each_word_of_the_key_matters():
    base = (5, 1, 2, 3, 4)
    values = {rng.draw_u64(*base)}
    for i in range(5):
        values.add(rng.draw_u64(*(word + (i == j) for j, word in enumerate(base))))
    assert len(values) == 6


def test_words_count_by_their_lowest_64_bits():
    assert rng.draw_u64(-1, 1, 0, 0, 0) == rng.draw_u64(2**64 - 1, 1, 0, 0, 0)


def test_uniform_fills_its_bins_evenly(uniforms):
    """Chi-square of 100 bins: mean 99, standard deviation 14; five of them allowed."""
    counts = [0] * 100
    for u in uniforms:
        assert 0.0 <= u < 1.0
        counts[int(u * 100)] += 1
    expected = N / 100
    assert sum((count - expected) ** 2 / expected for count in counts) < 99 + 5 * 14


def test_first_draws_of_consecutive_keys_are_uniform():
    """Keys that differ by one, as steps do, must not show it."""
    counts = [0] * 100
    for key in range(20_000):
        counts[int(rng.uniform(rng.stream_key(0, 1, 0, key), 0) * 100)] += 1
    assert sum((count - 200) ** 2 / 200 for count in counts) < 99 + 5 * 14


def test_neighbours_are_uncorrelated(uniforms):
    products = sum((a - 0.5) * (b - 0.5) for a, b in itertools.pairwise(uniforms))
    assert abs(products / N * 12) < 5 / math.sqrt(N)


def test_normal_moments():
    word = rng.stream_key(0, rng.MODEL, 0, 0)
    values = [rng.normal(word, n) for n in range(N)]
    mean = sum(values) / N
    assert abs(mean) < 5 / math.sqrt(N)
    assert abs(sum(v * v for v in values) / N - 1.0) < 5 * math.sqrt(2 / N)
    assert abs(sum(v**3 for v in values) / N) < 5 * math.sqrt(15 / N)
    assert abs(sum(v**4 for v in values) / N - 3.0) < 5 * math.sqrt(96 / N)
    assert abs(sum(v < 1.0 for v in values) / N - 0.8413) < 0.006


def test_bernoulli_wins_as_often_as_told():
    word = rng.stream_key(0, rng.MODEL, 0, 1)
    assert abs(sum(rng.bernoulli(word, n, 0.3) for n in range(N)) / N - 0.3) < 5 * math.sqrt(0.21 / N)


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_bernoulli_at_the_ends(p):
    assert {rng.bernoulli(9, n, p) for n in range(1_000)} == {p == 1.0}


def test_geometric_moments():
    """Mean m and variance m (m - 1)."""
    word = rng.stream_key(0, rng.MODEL, 0, 2)
    values = [rng.geometric(word, n, 5.0) for n in range(N)]
    assert min(values) == 1
    assert abs(sum(values) / N - 5.0) < 5 * math.sqrt(20 / N)
    assert abs(sum(v == 1 for v in values) / N - 0.2) < 5 * math.sqrt(0.16 / N)


@pytest.mark.parametrize("mean", [1.0, 0.0, -3.0, math.nan])
def test_geometric_of_a_mean_that_allows_only_one(mean):
    assert rng.geometric_of(0.9999, mean) == 1


def test_draws_under_one_key_do_not_shift_those_under_another():
    alone = [rng.draw_u64(0, rng.QUEUE, 0, 8, n) for n in range(10)]
    mixed = []
    for n in range(10):
        rng.draw_u64(0, rng.QUEUE, 0, 7, n)
        mixed.append(rng.draw_u64(0, rng.QUEUE, 0, 8, n))
        rng.normal(rng.stream_key(0, rng.QUEUE, 1, 8), n)
    assert mixed == alone


def test_streams_are_distinct():
    streams = [rng.SIM_FAIR, rng.SIM_OPENING, rng.SIM_ACTION, rng.MODEL, rng.LATENCY, rng.QUEUE]
    assert len(set(streams)) == len(streams)
