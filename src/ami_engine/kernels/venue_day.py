"""The day of a venue: when it begins, in a zone whose offset from UTC changes."""

from dataclasses import dataclass, field

from decision_schema.kernel import kernel
from decision_schema.units import NS_PER_DAY

MAX_CHANGES = 256
"""Changes of the offset that a zone has room for: 128 years of summer time."""
NEVER = -(2**62)


def _none() -> list[int]:
    return [0] * MAX_CHANGES


@dataclass(slots=True)
class VenueDay:
    """When the days of a venue begin.

    Args:
        start_ns: Time of the day at which one begins, by the venue's clock.
        n_changes: So many entries of the lists count, ascending.
        since_ns: From when on an offset holds; the first one also holds before it.
        offset_ns: The venue's clock less UTC.
    """

    start_ns: int = 0
    n_changes: int = 0
    since_ns: list[int] = field(default_factory=_none)
    offset_ns: list[int] = field(default_factory=_none)


@kernel
def offset_at(day: VenueDay, now_ns: int) -> int:
    """Give the venue's clock less UTC at an instant, in ns.

    >>> offset_at(VenueDay(), 5)
    0
    """
    if day.n_changes == 0:
        return 0
    low, high = 0, day.n_changes
    while high - low > 1:
        middle = (low + high) // 2
        if day.since_ns[middle] <= now_ns:
            low = middle
        else:
            high = middle
    return day.offset_ns[low]


@kernel
def next_day_ns(day: VenueDay, now_ns: int) -> int:
    """Give the next instant after `now_ns` at which a day of the venue begins.

    >>> next_day_ns(VenueDay(), 5) == NS_PER_DAY
    True
    >>> hour = 3_600_000_000_000
    >>> next_day_ns(VenueDay(start_ns=17 * hour), 0) // hour
    17
    """
    offset = offset_at(day, now_ns)
    begins = ((now_ns + offset - day.start_ns) // NS_PER_DAY + 1) * NS_PER_DAY + day.start_ns
    instant = begins - offset_at(day, begins - offset)
    if instant > now_ns:
        return instant
    return begins - offset  # a time that a change of the clock leaves out: by the clock before it
