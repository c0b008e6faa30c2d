"""Values of other types, opened up into plain data without asking them for their repr.

Types are told by what they have, so neither numpy nor msgspec is imported.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

# Values of these modules hold nothing but dates, numbers and identifiers.
_SAFE_MODULES = frozenset({"datetime", "decimal", "fractions", "uuid", "ipaddress", "zoneinfo"})
_ATOMS = (str, int, float, bool, type(None))


class Record(NamedTuple):
    """The fields of a dataclass-like object; `complete` if it holds nothing besides them."""

    fields: dict[str, Any]
    complete: bool


def open_up(value: Any) -> Any:
    """Return plain data that stands for the value, or a `Record`, or the value if it is safe.

    >>> open_up(ValueError("no route"))
    {'exception': 'ValueError', 'message': 'no route'}
    >>> open_up(object())
    '<object>'
    """
    if isinstance(value, BaseException):
        return _open_exception(value)
    cls = type(value)
    if cls.__module__ in _SAFE_MODULES:
        return value
    if isinstance(value, int):
        return int.__index__(value)
    if hasattr(cls, "dtype") and hasattr(cls, "tolist"):
        return _open_array(value)
    if isinstance(value, float):
        return float.__float__(value)
    names = _field_names(cls)
    if names is not None:
        fields = {name: getattr(value, name) for name in names if hasattr(value, name)}
        return Record(fields, set(getattr(value, "__dict__", ())) <= set(fields))
    if cls.__module__.partition(".")[0] == "pathlib":
        return str(value)
    return f"<{cls.__name__}>"


def _field_names(cls: type) -> Iterable[str] | None:
    """Names of the fields of a record type, or None for any other type."""
    if hasattr(cls, "__dataclass_fields__"):
        import dataclasses  # loaded already by whoever made the value; costly otherwise

        return [field.name for field in dataclasses.fields(cls)]
    if hasattr(cls, "__struct_fields__"):  # msgspec
        return list(cls.__struct_fields__)
    if hasattr(cls, "__attrs_attrs__"):
        return [attribute.name for attribute in cls.__attrs_attrs__]
    if hasattr(cls, "__pydantic_fields__"):
        return list(cls.__pydantic_fields__)
    return None


def _open_array(value: Any) -> Any:
    """Python value of a numpy scalar or array; records become dicts."""
    names = value.dtype.names
    plain = value.tolist()
    if names is None:
        return plain
    if isinstance(plain, tuple):
        return dict(zip(names, plain, strict=True))
    if value.ndim == 1:
        return [dict(zip(names, row, strict=True)) for row in plain]
    return f"<{type(value).__name__}>"


def _open_exception(exc: BaseException) -> dict[str, Any]:
    opened: dict[str, Any] = {"exception": type(exc).__name__}
    if all(type(arg) in _ATOMS for arg in exc.args):
        opened["message"] = str(exc)
    else:  # str(exc) would print the repr of an argument
        opened["args"] = list(exc.args)
    notes = getattr(exc, "__notes__", None)
    if notes:
        opened["notes"] = list(notes)
    if isinstance(exc, BaseExceptionGroup):
        opened["exceptions"] = list(exc.exceptions)
    if exc.__cause__ is not None:
        opened["cause"] = exc.__cause__
    elif exc.__context__ is not None and not exc.__suppress_context__:
        opened["context"] = exc.__context__
    return opened
