"""Counts of what went wrong or was sent lately, over windows of time or of steps."""

from dataclasses import dataclass, field

from decision_schema.kernel import kernel
from dmc_core.dmc.risk_policy import WINDOW_CAPACITY


@dataclass(slots=True)
class TimeWindow:
    """Times of the last events of one kind; more than the capacity counts as full.

    Args:
        added: Events so far; number i stands at place ``i % WINDOW_CAPACITY``.
        recent: Number of the first one that was recent when that was last asked.
    """

    added: int = 0
    recent: int = 0
    times_ns: list[int] = field(default_factory=lambda: [0] * WINDOW_CAPACITY)


@kernel
def record_time(window: TimeWindow, now_ns: int) -> None:
    """Count one event at `now_ns`; the oldest gives way when the window is full."""
    window.times_ns[window.added % WINDOW_CAPACITY] = now_ns
    window.added += 1


@kernel
def count_recent(window: TimeWindow, now_ns: int, window_ns: int) -> int:
    """Count the events less than `window_ns` old.

    >>> window = TimeWindow()
    >>> for now_ns in (0, 8):
    ...     record_time(window, now_ns)
    >>> count_recent(window, 9, 10), count_recent(window, 10, 10)
    (2, 1)
    """
    # Times ascend, and little changes from one step to the next: go on where it was last time.
    oldest = max(0, window.added - WINDOW_CAPACITY)
    first = max(oldest, window.recent)
    while first > oldest and now_ns - window.times_ns[(first - 1) % WINDOW_CAPACITY] < window_ns:
        first -= 1
    while first < window.added and now_ns - window.times_ns[first % WINDOW_CAPACITY] >= window_ns:
        first += 1
    window.recent = first
    return window.added - first


@dataclass(slots=True)
class StepWindow:
    """Whether each of the last steps had an error."""

    place: int = 0
    errors: int = 0
    steps: int = 0
    flags: list[int] = field(default_factory=lambda: [0] * WINDOW_CAPACITY)


@kernel
def record_step(window: StepWindow, had_error: int, size: int) -> None:
    """Note one step; the window holds the last `size` steps.

    >>> window = StepWindow()
    >>> for had_error in (1, 0, 0):
    ...     record_step(window, had_error, 2)
    >>> window.errors, window.steps
    (0, 2)
    """
    if window.steps == size:
        window.errors -= window.flags[(window.place - size) % WINDOW_CAPACITY]
    else:
        window.steps += 1
    window.flags[window.place] = had_error
    window.errors += had_error
    window.place = (window.place + 1) % WINDOW_CAPACITY
