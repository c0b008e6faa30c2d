"""One cell of a table: text in, a number or a side out.

Numbers become the float nearest to the decimal that stands there, also where prices are scaled.
"""

from collections.abc import Callable, Mapping
from decimal import Context, Decimal
from typing import Literal, TypeAlias

from ami_engine.adapters.captured.capture_values import Unusable
from decision_schema.errors import ConfigError
from decision_schema.events import Side

NumberReader: TypeAlias = Callable[[str], float | None]

EMPTY = frozenset(("", "nan", "null", "none", "na", "n/a"))
"""What stands where there is no number, in small letters."""
SIDES: Mapping[str, Side | None] = {
    **dict.fromkeys(("b", "buy", "buyer", "bid", "1", "+1"), "buy"),
    **dict.fromkeys(("s", "sell", "seller", "a", "ask", "offer", "-1"), "sell"),
    **dict.fromkeys(("", "n", "none", "null", "nan", "unknown"), None),
}
"""Sides as they are written, in small letters; 0 is not among them: here a sale, there unknown."""
TRUTHS = {
    "true": True,
    "t": True,
    "1": True,
    "yes": True,
    "false": False,
    "f": False,
    "0": False,
    "no": False,
}
MAX_WHOLE = 2**53
"""Below it a float holds every whole number."""
_EXACT = Context(prec=60)


def number_reader(field: str, scale: float = 1.0) -> NumberReader:
    """Make a function that reads a cell as a number times `scale`; None = the cell is empty.

    >>> number_reader("price", 0.0001)("5853301")
    585.3301

    Raises:
        Unusable: ``bad_number:<field>``; by the function.
    """

    def read(text: str) -> float | None:
        try:
            value = float(text)
        except ValueError:
            if text.strip().lower() in EMPTY:
                return None
            raise Unusable(f"bad_number:{field}") from None
        if value - value != 0.0:
            if value != value:
                return None
            raise Unusable(f"bad_number:{field}")
        if "_" in text:  # Python would read 1_0 as 10
            raise Unusable(f"bad_number:{field}")
        return value

    if scale == 1.0:
        return read
    inverse = round(1.0 / scale)
    divides = inverse > 0 and 1.0 / inverse == scale
    factor = Decimal(repr(scale))

    def read_scaled(text: str) -> float | None:
        value = read(text)
        if value is None:
            return None
        if divides and -MAX_WHOLE < value < MAX_WHOLE and value.is_integer():
            return value / inverse
        return float(_EXACT.multiply(Decimal(text.strip()), factor))

    return read_scaled


def check_scale(name: str, scale: float) -> float:
    """Return a factor of prices or sizes.

    Raises:
        ConfigError: It is no number above 0.
    """
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not 0.0 < scale < float("inf"):
        raise ConfigError(f"{name} is {scale!r}: give a number above 0")
    return float(scale)


def check_texts(name: str, given: Mapping[str, str] | None, values: Mapping[str, object]) -> dict[str, str]:
    """Return what a user says that texts stand for, by the text in small letters.

    Raises:
        ConfigError: It is no table, or a value is none of `values`.
    """
    if given is not None and not isinstance(given, Mapping):
        raise ConfigError(f"{name} is {given!r}: give a table such as {{'X' = {next(iter(values))!r}}}")
    for text, value in (given or {}).items():
        if value not in values:
            raise ConfigError(f"{name}: {text!r} is {value!r}: give one of {', '.join(values)}")
    return {str(text).strip().lower(): value for text, value in (given or {}).items()}


def find(texts: Mapping[str, object], cell: str, reason: Literal["side", "action", "flag"]) -> object:
    """Look up what a text stands for, however its letters are.

    Raises:
        Unusable: ``unknown_<reason>``.
    """
    try:
        return texts[cell]
    except KeyError:
        pass
    try:
        return texts[cell.strip().lower()]
    except KeyError:
        raise Unusable(f"unknown_{reason}") from None


def read_whole(text: str, field: str) -> int | None:
    """Read a whole number from 0 on; None = the cell is empty.

    Raises:
        Unusable: ``bad_number:<field>``.
    """
    stripped = text.strip()
    if stripped.isdigit() and stripped.isascii() and len(stripped) < 20:
        return int(stripped)
    if stripped.lower() in EMPTY:
        return None
    raise Unusable(f"bad_number:{field}")
