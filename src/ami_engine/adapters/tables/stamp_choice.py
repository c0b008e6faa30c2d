"""Which reader fits the times of a column, judged by its first stamp; what is odd is said at once."""

from dataclasses import dataclass, replace
from datetime import UTC, date, tzinfo
from typing import Literal, TypeAlias

from ami_engine.adapters.tables.stamp_patterns import pattern_reader
from ami_engine.adapters.tables.stamps import (
    MIN_NS,
    NS_PER_UNIT,
    StampReader,
    decimal_ns,
    epoch_reader,
    iso_reader,
    midnight_reader,
)
from decision_schema.errors import MarketDataError
from decision_schema.units import NS_PER_DAY

TimeUnit: TypeAlias = Literal["auto", "s", "ms", "us", "ns", "iso"]

_UNIT_NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
_COMPACT = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S", 17: "%Y%m%d%H%M%S%f", 20: "%Y%m%d%H%M%S%f"}
"""Patterns of times that are written as one number, by its length."""


@dataclass(frozen=True)
class StampRules:
    """What is known of the times of a table.

    Args:
        unit: Unit of numbers; ``iso`` = text; ``auto`` = judged by the first stamp.
        time_format: Pattern of text; empty = ISO 8601.
        zone: Of text without an offset, and of midnight.
        day: Day of times since midnight, where it is known.
    """

    unit: TimeUnit = "auto"
    time_format: str = ""
    zone: tzinfo = UTC
    day: date | None = None


def choose_reader(first: str, where: str, rules: StampRules) -> StampReader:
    """Choose the reader of a column by its first stamp.

    Args:
        first: The stamp.
        where: Its file, column and row, for messages.
        rules: What is known.

    Raises:
        MarketDataError: The stamp is no time, or one before 1990 or from 2100 on.

    >>> choose_reader("1723161256000000", "a.csv: column 'ts', row 2", StampRules())("1723161256000001")
    1723161256000001000
    """
    if rules.time_format:
        return _tried(pattern_reader(rules.time_format, rules.zone, rules.day), first, where, rules)
    if rules.unit == "iso" or not _is_number(first):
        return _tried(iso_reader(rules.zone), first, where, rules)
    fitting = next((unit for unit, ns in NS_PER_UNIT.items() if _fits(first, ns)), None)
    if fitting is not None and rules.unit in ("auto", fitting):
        return epoch_reader(NS_PER_UNIT[fitting])
    unit: str | None = None if rules.unit == "auto" else rules.unit
    if rules.day is not None and (unit is not None or not _compact_pattern(first)):
        unit = unit or _midnight_unit(first)
        if unit is not None and 0 <= decimal_ns(first, NS_PER_UNIT[unit]) < NS_PER_DAY:
            return midnight_reader(rules.day, rules.zone, NS_PER_UNIT[unit])
    raise MarketDataError(f"{where}: {first[:40]} {_why(first, unit, fitting, rules.day)}")


def _tried(reader: StampReader, first: str, where: str, rules: StampRules) -> StampReader:
    try:
        reader(first)
    except ValueError:
        if _is_read(first, replace(rules, zone=UTC)):
            remedy = f"was shown by no clock in {rules.zone}: there they went forward: check timezone"
        elif rules.time_format:
            remedy = f"does not fit time_format = {rules.time_format!r}: correct it"
        else:
            remedy = (
                "is no time of 1990 to 2099 that is known: set time_format, such as '%d.%m.%Y %H:%M:%S.%f'"
            )
        raise MarketDataError(f"{where}: {first[:40]!r} {remedy}") from None
    return reader


def _is_read(text: str, rules: StampRules) -> bool:
    try:
        if rules.time_format:
            pattern_reader(rules.time_format, rules.zone, rules.day)(text)
        else:
            iso_reader(rules.zone)(text)
    except ValueError:
        return False
    return True


def _is_number(text: str) -> bool:
    try:
        decimal_ns(text, 1)
    except ValueError:
        return False
    return True


def _fits(text: str, unit_ns: int) -> bool:
    try:
        epoch_reader(unit_ns)(text)
    except ValueError:
        return False
    return True


def _midnight_unit(text: str) -> str | None:
    """Say in which unit a small number counts since midnight; None = in more than one it may be.

    What is above a day in one unit is of the next finer one; a fraction is one of seconds.
    """
    if "." in text:
        return "s"
    if decimal_ns(text, NS_PER_UNIT["s"]) < NS_PER_DAY:
        return None
    return next((unit for unit, ns in NS_PER_UNIT.items() if decimal_ns(text, ns) < NS_PER_DAY), None)


def _why(text: str, unit: str | None, fitting: str | None, day: date | None) -> str:
    """Say what is wrong with a number, and what to set."""
    if fitting is not None:
        early = decimal_ns(text, NS_PER_UNIT[str(unit)]) < MIN_NS
        limit = "before the year 1990" if early else "beyond the year 2100"
        return f"read as {unit} is {limit}: it looks like {_UNIT_NAMES[fitting]}: set time_unit = '{fitting}'"
    if pattern := _compact_pattern(text):
        return f"looks like a date: set time_format = '{pattern}'"
    small = unit or _midnight_unit(text)
    elapsed = decimal_ns(text, NS_PER_UNIT[small or "ms"])
    if not 0 <= elapsed < NS_PER_DAY:
        return "is no time of 1990 to 2099 in s, ms, us or ns: map ts to another column"
    if small is None:
        remedy = "set time_unit = 'ms' or 's'" + ("" if day else " and date = '2014-05-06'")
        return f"looks like milliseconds or seconds since midnight: {remedy}"
    return f"looks like {_UNIT_NAMES[small]} since midnight: set date = '2014-05-06' with its day"


def _compact_pattern(text: str) -> str:
    pattern = _COMPACT.get(len(text), "") if text.isdigit() else ""
    if pattern:
        try:
            pattern_reader(pattern, UTC)(text)
        except ValueError:
            return ""
    return pattern
