"""Counting windows against lists that forget nothing."""

from hypothesis import given
from hypothesis import strategies as st

from ami_engine.kernels.telemetry import StepWindow, TimeWindow, count_recent, record_step, record_time
from dmc_core.dmc.risk_policy import WINDOW_CAPACITY


@given(st.lists(st.integers(0, 50), max_size=200), st.lists(st.integers(1, 400), min_size=1, max_size=3))
def test_recent_events_are_counted_as_a_list_would(gaps, widths):
    window, times, now = TimeWindow(), [], 0
    for gap in gaps:
        now += gap
        record_time(window, now)
        times.append(now)
        for width in widths:  # in any order: a short window takes nothing from a long one
            assert count_recent(window, now, width) == sum(now - time < width for time in times)


def test_a_full_window_counts_its_capacity_and_forgets_the_oldest():
    window = TimeWindow()
    for now in range(3 * WINDOW_CAPACITY + 5):
        record_time(window, now)
    assert count_recent(window, now, 10**9) == WINDOW_CAPACITY
    assert count_recent(window, now, 7) == 7
    assert count_recent(window, now + WINDOW_CAPACITY, WINDOW_CAPACITY) == 0


def test_an_event_exactly_as_old_as_the_window_is_out():
    window = TimeWindow()
    record_time(window, 100)
    assert (count_recent(window, 109, 10), count_recent(window, 110, 10)) == (1, 0)


def test_an_empty_window_counts_nothing():
    assert count_recent(TimeWindow(), 5, 10) == 0


@given(st.lists(st.booleans(), max_size=300), st.integers(1, 40))
def test_errors_of_the_last_steps_are_counted_as_a_list_would(flags, size):
    window = StepWindow()
    for done, flag in enumerate(flags, 1):
        record_step(window, int(flag), size)
        assert window.errors == sum(flags[max(0, done - size) : done])
        assert window.steps == min(done, size)


def test_a_window_of_the_whole_capacity_forgets_too():
    window = StepWindow()
    for i in range(2 * WINDOW_CAPACITY):
        record_step(window, int(i < WINDOW_CAPACITY), WINDOW_CAPACITY)
        assert window.errors == min(i + 1, WINDOW_CAPACITY, 2 * WINDOW_CAPACITY - 1 - i)
