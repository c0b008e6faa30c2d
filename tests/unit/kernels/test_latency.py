"""Latency: constant, drawn, from a table."""

import statistics

import pytest

from ami_engine.kernels.latency import ENTRY, FEED, RESPONSE, Latency, delay_ns, is_none, no_table, way_ns


def test_a_constant_is_the_same_at_any_time():
    latency = Latency(ENTRY, 5_000)
    assert {delay_ns(latency, seed, 1, at) for seed in range(3) for at in range(50)} == {5_000}


def test_what_is_drawn_has_its_median_and_spread():
    latency = Latency(ENTRY, 1_000_000, 0.5)
    drawn = sorted(delay_ns(latency, 0, 1, at) for at in range(4_000))
    assert statistics.median(drawn) == pytest.approx(1_000_000, rel=0.05)
    inside = sum(1_000_000 / 1.6487 <= delay <= 1_000_000 * 1.6487 for delay in drawn) / len(drawn)
    assert inside == pytest.approx(0.683, abs=0.03)  # exp(0.5): one standard deviation


def test_luck_hangs_on_seed_market_way_and_time_alone():
    draws = [
        delay_ns(Latency(ENTRY, 10**6, 0.5), 0, 1, 7),
        delay_ns(Latency(RESPONSE, 10**6, 0.5), 0, 1, 7),
        delay_ns(Latency(FEED, 10**6, 0.5), 0, 1, 7),
        delay_ns(Latency(ENTRY, 10**6, 0.5), 1, 1, 7),
        delay_ns(Latency(ENTRY, 10**6, 0.5), 0, 2, 7),
        delay_ns(Latency(ENTRY, 10**6, 0.5), 0, 1, 8),
    ]
    assert len(set(draws)) == len(draws)
    assert delay_ns(Latency(ENTRY, 10**6, 0.5), 0, 1, 7) == draws[0]


@pytest.mark.parametrize(
    ("at", "delay"), [(0, 10), (100, 10), (125, 15), (200, 30), (250, 25), (300, 20), (10**18, 20)]
)
def test_a_table_is_interpolated_and_held_at_its_ends(at, delay):
    table = [[100, 200, 300], [10, 30, 20], [0, 0, 0]]
    assert way_ns(Latency(ENTRY, 7), table, 0, 0, at) == delay
    assert way_ns(Latency(RESPONSE, 7), table, 0, 0, at) == 0
    assert way_ns(Latency(ENTRY, 7), no_table(), 0, 0, at) == 7


def test_none_is_only_what_never_delays():
    assert is_none(Latency())
    assert not is_none(Latency(median_ns=1))
