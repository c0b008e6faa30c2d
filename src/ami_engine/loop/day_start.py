"""When the days of a venue begin: a zone's name and a time of day, in numbers for the kernels."""

from datetime import UTC, datetime, timedelta, tzinfo

from ami_engine.kernels.venue_day import MAX_CHANGES, VenueDay
from decision_schema.errors import ConfigError
from decision_schema.units import NS_PER_SECOND

FIRST_YEAR, LAST_YEAR = 1990, 2100
"""Years whose changes of the clock are known; before and after them the nearest offset holds."""
_DAY = timedelta(days=1)


def venue_day(zone: str = "UTC", start: str = "00:00") -> VenueDay:
    """Read the zone and the start of the day of a venue.

    Args:
        zone: Name of a time zone, such as ``America/New_York``.
        start: Time of day, ``HH:MM`` by the clock of that zone.

    Raises:
        ConfigError: There is no such zone.

    >>> day = venue_day("America/New_York", "17:00")
    >>> day.start_ns // (3600 * NS_PER_SECOND), day.offset_ns[0] // (3600 * NS_PER_SECOND)
    (17, -5)
    """
    hours, _, minutes = start.partition(":")
    day = VenueDay(start_ns=(int(hours) * 3600 + int(minutes) * 60) * NS_PER_SECOND)
    if zone == "UTC":
        return day
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        found = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(
            f"config: run.day_zone is {zone!r}: give a name such as 'America/New_York'; where the system has "
            "no time zones: pip install tzdata"
        ) from None
    changes = _changes(found)[:MAX_CHANGES]
    day.n_changes = len(changes)
    for i, (since, offset) in enumerate(changes):
        day.since_ns[i] = int(since.timestamp()) * NS_PER_SECOND
        day.offset_ns[i] = int(offset.total_seconds()) * NS_PER_SECOND
    return day


def _changes(zone: tzinfo) -> list[tuple[datetime, timedelta]]:
    """List from when on each offset of a zone holds: looked for by day, then by second."""
    at = datetime(FIRST_YEAR, 1, 1, tzinfo=UTC)
    offset = _offset(zone, at)
    changes = [(at, offset)]
    while at.year < LAST_YEAR:
        later = at + 7 * _DAY  # no zone goes to and fro within a week
        if _offset(zone, later) != offset:
            low, high = at, later
            while high - low > timedelta(seconds=1):
                middle = low + timedelta(seconds=int((high - low).total_seconds()) // 2)
                low, high = (middle, high) if _offset(zone, middle) == offset else (low, middle)
            offset = _offset(zone, high)
            changes.append((high, offset))
        at = later
    return changes


def _offset(zone: tzinfo, instant: datetime) -> timedelta:
    return instant.astimezone(zone).utcoffset() or timedelta()
