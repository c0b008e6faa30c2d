"""Times of a pattern that the user gives."""

import re
from datetime import date, tzinfo

from ami_engine.adapters.tables.stamps import StampReader, minute_reader, whole_stamp
from decision_schema.errors import ConfigError
from decision_schema.units import UnixNs


def pattern_reader(time_format: str, zone: tzinfo, day: date | None = None) -> StampReader:
    """Read times of a pattern as of ``strptime``, with ``%f`` of 1 to 9 digits.

    Args:
        time_format: Known are ``%Y %y %m %b %d %H %I %M %S %f %p %z %%``.
        zone: Of times that carry no offset.
        day: Of times that name no day.

    Raises:
        ConfigError: The pattern holds something else, or no day, and none is given.

    >>> from datetime import UTC
    >>> pattern_reader("%Y%m%d %H%M%S%f", UTC)("20200101 170000065")
    1577898000065000000
    """
    pattern = _compile(time_format)
    if not {"Y", "y"} & pattern.groupindex.keys() and day is None:
        raise ConfigError(f"time_format {time_format!r} names no year: add date")
    minute_ns = minute_reader(zone)
    fixed = {"Y": str(day.year), "m": str(day.month), "d": str(day.day)} if day is not None else {}

    def read(text: str) -> UnixNs:
        found = pattern.fullmatch(text) or pattern.fullmatch(text.strip())
        if found is None:
            raise ValueError(text)
        parts = fixed | {name: value for name, value in found.groupdict().items() if value is not None}
        if "y" in parts:
            parts["Y"] = ("20" if parts["y"] < "69" else "19") + parts["y"]
        if "b" in parts:
            parts["m"] = str(_MONTHS.index(parts["b"].lower()) + 1)
        hour = parts.get("H", "0")
        if "I" in parts:
            hour = str(int(parts["I"]) % 12 + 12 * (parts.get("p", "AM").upper() == "PM"))
        stamp = minute_ns(
            parts["Y"], parts.get("m", "1"), parts.get("d", "1"), hour, parts.get("M", "0"), parts.get("z")
        )
        return whole_stamp(stamp, parts.get("S"), parts.get("f"))

    return read


_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DIRECTIVES = {
    **dict.fromkeys("mdHIMS", r"\d\d"),
    "Y": r"\d{4}",
    "y": r"\d\d",
    "f": r"\d{1,9}",
    "b": "(?i:" + "|".join(_MONTHS) + ")",
    "p": "[AaPp][Mm]",
    "z": r"Z|[+-]\d\d:?\d\d",
}
_OR_ONE_DIGIT = r"|\d"


def _compile(time_format: str) -> re.Pattern[str]:
    """Make an expression of a pattern; where a literal bounds a number, its leading 0 may be absent."""
    parts = re.findall(r"%.?|[^%]+", time_format)
    expression = ""
    for place, part in enumerate(parts):
        name = part[1:]
        if not part.startswith("%") or name == "%":
            expression += re.escape(part[:1] if name == "%" else part)
            continue
        if name not in _DIRECTIVES or f"(?P<{name}>" in expression:
            raise ConfigError(
                f"time_format {time_format!r}: {part} is twice there, or none of "
                "%Y %y %m %b %d %H %I %M %S %f %p %z %%"
            )
        tight = any(
            near.startswith("%") for near in (*parts[place - 1 : place], *parts[place + 1 : place + 2])
        )
        loose = name in "mdHIMS" and not tight
        expression += f"(?P<{name}>{_DIRECTIVES[name]}{_OR_ONE_DIGIT if loose else ''})"
    return re.compile(expression, re.ASCII)
