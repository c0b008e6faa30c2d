"""Counts of what went wrong or was sent lately, over windows of time or of steps."""

from dataclasses import dataclass, field

from decision_schema.kernel import kernel
from dmc_core.dmc.risk_policy import WINDOW_CAPACITY


@dataclass(slots=True)
class TimeWindow:
    """Times of the last events of one kind, oldest first; more than the capacity counts as full."""

    start: int = 0
    count: int = 0
    times_ns: list[int] = field(default_factory=lambda: [0] * WINDOW_CAPACITY)


@kernel
def record_time(window: TimeWindow, now_ns: int) -> None:
    """Count one event at `now_ns`; the oldest gives way when the window is full."""
    if window.count == WINDOW_CAPACITY:
        window.start = (window.start + 1) % WINDOW_CAPACITY
        window.count -= 1
    window.times_ns[(window.start + window.count) % WINDOW_CAPACITY] = now_ns
    window.count += 1


@kernel
def count_recent(window: TimeWindow, now_ns: int, window_ns: int) -> int:
    """Count the events less than `window_ns` old.

    >>> window = TimeWindow()
    >>> for now_ns in (0, 8):
    ...     record_time(window, now_ns)
    >>> count_recent(window, 9, 10), count_recent(window, 10, 10)
    (2, 1)
    """
    low, high = 0, window.count  # times ascend: find the first that is recent
    while low < high:
        middle = (low + high) // 2
        if now_ns - window.times_ns[(window.start + middle) % WINDOW_CAPACITY] >= window_ns:
            low = middle + 1
        else:
            high = middle
    return window.count - low


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
