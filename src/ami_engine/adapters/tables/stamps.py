"""Times written as text, read exactly: no stamp passes through a float.

Each function makes a reader: text in, nanoseconds UTC out, ValueError where the text is no such time.
"""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from decimal import Decimal, DecimalException
from functools import lru_cache
from typing import TypeAlias
from zoneinfo import ZoneInfo, available_timezones

from decision_schema.errors import ConfigError
from decision_schema.units import NS_PER_DAY, NS_PER_SECOND, UnixNs

StampReader: TypeAlias = Callable[[str], UnixNs]

MIN_NS = 631_152_000 * NS_PER_SECOND
"""1990-01-01; an earlier stamp is taken for a wrong one."""
MAX_NS = 4_102_444_800 * NS_PER_SECOND
"""2100-01-01; a stamp at or after it is taken for a wrong one."""
NS_PER_UNIT = {"s": NS_PER_SECOND, "ms": 1_000_000, "us": 1_000, "ns": 1}
"""In no two units is one number a time between the two."""
NS_PER_HOUR = 3_600 * NS_PER_SECOND

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)?", re.ASCII)
_ISO = re.compile(
    r"(\d{4})[-/.]?(\d\d)[-/.]?(\d\d)(?:[T ](\d\d):?(\d\d)(?::?(\d\d)(?:[.,](\d+))?)?)?"
    r" ?(Z|UTC|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII,
)


def zone_of(name: str) -> tzinfo:
    """Return the time zone of a name: ``UTC``, ``America/New_York``, ``-05:00``.

    >>> zone_of("-05:00").utcoffset(None) == timedelta(hours=-5)
    True

    Raises:
        ConfigError: There is no such zone, or no time zone database.
    """
    try:
        return _offset_of(name)
    except (TypeError, ValueError):
        pass
    try:
        return ZoneInfo(name)
    except (KeyError, TypeError, ValueError, OSError):
        if not available_timezones():
            raise ConfigError(
                f"timezone is {name!r}, but this machine has no time zone database: pip install tzdata"
            ) from None
    raise ConfigError(f"timezone is {name!r}: give one such as UTC, America/New_York or -05:00")


def _offset_of(text: str) -> tzinfo:
    if text in ("UTC", "Z"):
        return UTC
    found = _OFFSET.fullmatch(text)
    if found is None:
        raise ValueError(text)
    length = timedelta(hours=int(found[2]), minutes=int(found[3] or 0))
    return timezone(length if found[1] == "+" else -length)  # raises from a day on


def date_of(text: str | date) -> date:
    """Read a day such as ``2012-06-21`` or ``20120621``; TOML may have read it already.

    Raises:
        ConfigError: It is none.
    """
    if isinstance(text, date):
        return text
    try:
        return date.fromisoformat(text)
    except (TypeError, ValueError):
        raise ConfigError(f"date is {text!r}: give a day such as 2012-06-21") from None


def decimal_ns(text: str, unit_ns: int) -> int:
    """Read a decimal number of units as whole nanoseconds; what is finer is dropped.

    >>> decimal_ns("34200.004241176", NS_PER_SECOND)
    34200004241176

    Raises:
        ValueError: It is no number.
    """
    if text.isdigit():
        return int(text) * unit_ns
    whole, _, fraction = text.partition(".")
    if whole.isdigit() and fraction.isdigit():
        digits = len(str(unit_ns)) - 1
        return int(whole) * unit_ns + int(fraction[:digits].ljust(digits, "0") or 0)
    try:
        number = Decimal(text)
    except DecimalException:
        raise ValueError(text) from None
    # Adjusted bounds the size: an exponent of a million digits is no time.
    if not number.is_finite() or number.adjusted() > 19 or "_" in text:
        raise ValueError(text)
    return int(number * unit_ns)


def epoch_reader(unit_ns: int) -> StampReader:
    """Read numbers of units since 1970-01-01 UTC."""

    def read(text: str) -> UnixNs:
        stamp = decimal_ns(text, unit_ns)
        if not MIN_NS <= stamp < MAX_NS:
            raise ValueError(text)
        return stamp

    return read


def midnight_reader(day: date, zone: tzinfo, unit_ns: int) -> StampReader:
    """Read numbers of units since midnight of a day, as the clock on the wall shows them."""

    @lru_cache(maxsize=32)
    def hour_ns(hour: int) -> int:
        return _ns(datetime(day.year, day.month, day.day, hour, tzinfo=zone))

    def read(text: str) -> UnixNs:
        elapsed = decimal_ns(text, unit_ns)
        if not 0 <= elapsed < NS_PER_DAY:
            raise ValueError(text)
        hour, rest = divmod(elapsed, NS_PER_HOUR)
        return hour_ns(hour) + rest

    return read


def iso_reader(zone: tzinfo) -> StampReader:
    """Read ISO 8601 times to the nanosecond; those without an offset are of the zone.

    Where clocks are set back, the hour that comes twice is taken for the first one; where they go
    forward, the hour that is left out is no time.

    >>> iso_reader(UTC)("2013-01-01 22:00:00.295+00:00")
    1357077600295000000
    """
    minute_ns = minute_reader(zone)

    def read(text: str) -> UnixNs:
        found = _ISO.fullmatch(text) or _ISO.fullmatch(text.strip())
        if found is None:
            raise ValueError(text)
        year, month, day, hour, minute, second, fraction, offset = found.groups()
        stamp = minute_ns(year, month, day, hour or "0", minute or "0", offset)
        return whole_stamp(stamp, second, fraction)

    return read


def minute_reader(zone: tzinfo) -> Callable[[str, str, str, str, str, str | None], int]:
    """Make a function from the texts of a minute to its start; it remembers the last ones.

    Raises:
        ValueError: There is no such minute or offset; by the function.
    """

    @lru_cache(maxsize=1024)
    def minute_ns(year: str, month: str, day: str, hour: str, minute: str, offset: str | None) -> int:
        of = zone if offset is None else _offset_of(offset)
        return _ns(datetime(int(year), int(month), int(day), int(hour), int(minute), tzinfo=of))

    return minute_ns


def _ns(moment: datetime) -> int:
    """Give a local time in nanoseconds UTC.

    Raises:
        ValueError: No clock showed it: there the clocks went forward.
    """
    if moment.astimezone(UTC).astimezone(moment.tzinfo) != moment:
        raise ValueError(moment)
    return (moment - _EPOCH) // _SECOND * NS_PER_SECOND


def whole_stamp(stamp: int, second: str | None, fraction: str | None) -> UnixNs:
    """Add the texts of seconds and their fraction to the start of a minute.

    Raises:
        ValueError: It is not between 1990 and 2100.
    """
    seconds = int(second or 0)
    stamp += seconds * NS_PER_SECOND + int((fraction or "")[:9].ljust(9, "0"))
    if seconds > 59 or not MIN_NS <= stamp < MAX_NS:
        raise ValueError(stamp)
    return stamp
