"""PacketV2: everything that one step saw and did, as it is stored.

Strict JSON: a number that is not finite is stored as ``{"$float": "nan"}`` (``"inf"``, ``"-inf"``).
Fields that a newer version added are kept in ``extra`` across a read and a write. Rules of
change: fields are only added, never renamed or given another meaning; a reader ignores what it
does not know; a new meaning is a new ``schema_version``.
"""

import math
from collections import deque
from collections.abc import Mapping
from enum import Enum
from typing import Any

import msgspec

from decision_schema.errors import ContractError

SCHEMA_VERSION = 2


class PacketV2(msgspec.Struct):
    """One step's record; the table of fields stands in docs/packet.md.

    >>> packet = PacketV2(
    ...     run_id="r",
    ...     step=1,
    ...     input={},
    ...     external={"now_ns": 5},
    ...     mdm={},
    ...     final_action={"action": "HOLD"},
    ...     latency_ms=0,
    ... )
    >>> PacketV2.from_dict({**packet.to_dict(), "newer": 1}).to_dict()["newer"]
    1
    """

    run_id: str
    step: int
    input: dict[str, Any]
    external: dict[str, Any]
    mdm: dict[str, Any]
    final_action: dict[str, Any]
    latency_ms: float
    mismatch: dict[str, Any] | None = None
    guards: dict[str, Any] = msgspec.field(default_factory=dict)
    intents: list[dict[str, Any]] = msgspec.field(default_factory=list)
    state_after: dict[str, Any] = msgspec.field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION
    extra: dict[str, Any] = msgspec.field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Give the packet as a dict in the order of the stored fields; `extra` is spread out."""
        known = {name: getattr(self, name) for name in STORED_ORDER}
        return {**known, **{key: value for key, value in self.extra.items() if key not in known}}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> "PacketV2":
        """Read a packet from a dict, which is not changed; a stored line's hash ``h`` is left out.

        Raises:
            ContractError: A field is missing or of another type; the message names it.
        """
        if not isinstance(raw, Mapping):
            raise ContractError(f"a packet is of type {type(raw).__name__}: give a dict")
        known = {key: value for key, value in raw.items() if key in STORED_ORDER}
        extra = {key: value for key, value in raw.items() if key not in STORED_ORDER and key != "h"}
        if "latency_ms" in known:
            known["latency_ms"] = untag_floats(known["latency_ms"])
        try:
            return msgspec.convert({**known, "extra": extra}, cls)
        except msgspec.ValidationError as error:
            raise ContractError(f"packet: {error}") from None


STORED_ORDER: tuple[str, ...] = (
    "schema_version",
    "run_id",
    "step",
    "input",
    "external",
    "mdm",
    "guards",
    "final_action",
    "mismatch",
    "intents",
    "state_after",
    "latency_ms",
)
"""Fields of a stored packet, in their order; the chain adds ``h`` last."""

_TAG = "$float"


_NOT_FINITE = ("nan", "inf", "-inf")
_MAX_BITS = 2_048  # a longer integer could be neither written nor read: Python limits its digits


def tag_floats(value: Any) -> Any:
    """Make a value strict JSON: what JSON has no form for is tagged or spelled out, the rest is kept.

    Numbers that are not finite are tagged; keys become texts, numbered where two become one; sets
    become sorted lists; half characters (lone surrogates) become escapes; dates, decimals and
    records what msgspec makes of them; any other object its type's name in angle brackets.

    >>> tag_floats({"a": [1.0, float("nan")], 2: {3, 1}})
    {'a': [1.0, {'$float': 'nan'}], '2': [1, 3]}
    """
    kind = type(value)
    if kind is float:
        return value if math.isfinite(value) else {_TAG: repr(value)}
    if kind is str:
        return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()
    if kind is int:
        return value if value.bit_length() <= _MAX_BITS else f"<integer of {value.bit_length()} bits>"
    if value is None or kind is bool:
        return value
    if kind is list or kind is tuple:
        return [tag_floats(item) for item in value]
    if kind is dict or isinstance(value, Mapping):
        return _tag_mapping(value)
    return _spell_out(value)


def _tag_mapping(value: Mapping[Any, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, item in value.items():
        text = key if type(key) is str and key.isascii() else _text(tag_floats(key))
        free, number = text, 1
        while free in result:
            number += 1
            free = f"{text}#{number}"
        result[free] = tag_floats(item)
    return result


def _text(plain: Any) -> str:
    return plain if isinstance(plain, str) else msgspec.json.encode(plain).decode()


def _spell_out(value: Any) -> Any:
    """Give plain data for a value of another type; its repr is never asked for."""
    if isinstance(value, Enum):
        return tag_floats(value.value)
    if isinstance(value, str):
        return tag_floats(str.__str__(value))
    if isinstance(value, float):
        return tag_floats(float.__float__(value))
    if isinstance(value, int):
        return tag_floats(int.__index__(value))
    if isinstance(value, list | tuple | deque):
        return [tag_floats(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((tag_floats(item) for item in value), key=msgspec.json.encode)
    if hasattr(type(value), "dtype") and hasattr(type(value), "tolist"):  # numpy, without importing it
        return tag_floats(value.tolist())
    try:
        plain = msgspec.to_builtins(value)
    except (TypeError, ValueError, RecursionError):
        plain = value
    return f"<{type(value).__name__}>" if plain is value else tag_floats(plain)


def untag_floats(value: Any) -> Any:
    """Undo `tag_floats`.

    >>> untag_floats({"$float": "-inf"}), untag_floats({"$float": "7"})
    (-inf, {'$float': '7'})
    """
    if isinstance(value, dict):
        if len(value) == 1 and value.get(_TAG) in _NOT_FINITE:
            return float(value[_TAG])
        return {key: untag_floats(item) for key, item in value.items()}
    if isinstance(value, list):
        return [untag_floats(item) for item in value]
    return value
