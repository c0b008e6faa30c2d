"""Read one scalar of a foreign value: a finite number, a size, a whole number, a short text."""

import math
from decimal import Decimal
from numbers import Integral, Real
from typing import Any


class Reject(Exception):
    """Carries what is wrong with a field out of the decoder."""

    def __init__(self, field: str, code: str = "invalid_input") -> None:
        self.reason = f"{code}:{field}" if field else code


def read_number(value: object, field: str) -> float:
    """Read a finite number of any library; a text or a bool is none.

    >>> read_number(Decimal("0.5"), "bid")
    0.5
    """
    if type(value) is not float:
        if type(value) is not int and (isinstance(value, bool) or not isinstance(value, Real | Decimal)):
            raise Reject(field)
        try:
            value = float(value)
        except (OverflowError, ValueError):  # beyond a float; a signalling NaN
            raise Reject(field) from None
    if not math.isfinite(value):
        raise Reject(field)
    return value


def is_whole(value: Any) -> bool:
    """Tell whether a value is a whole number of any library; a bool is none."""
    return type(value) is int or (isinstance(value, Integral) and not isinstance(value, bool))


def read_size(value: object, field: str) -> float:
    """Read a finite number >= 0."""
    number = read_number(value, field)
    if number < 0.0:
        raise Reject(field)
    return number


def read_text(value: object, field: str) -> str:
    """Read a text of at most 128 characters that can be stored."""
    if not isinstance(value, str) or len(value) > 128:
        raise Reject(field)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Reject(field) from None
    return str.__str__(value)
