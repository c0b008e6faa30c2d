"""PacketV2: everything that one step saw and did, as it is stored.

Strict JSON: a number that is not finite is stored as ``{"$float": "nan"}`` (``"inf"``, ``"-inf"``).
Fields that a newer version added are kept in ``extra`` across a read and a write. Rules of
change: fields are only added, never renamed or given another meaning; a reader ignores what it
does not know; a new meaning is a new ``schema_version``.
"""

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from decision_schema.errors import ContractError

SCHEMA_VERSION = 2


class PacketV2(msgspec.Struct, kw_only=True):
    """One step's record; the table of fields stands in docs/packet.md.

    >>> packet = PacketV2(run_id="r", step=1, input={}, external={"now_ns": 5}, mdm={},
    ...                   final_action={"action": "HOLD"}, latency_ms=0)
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
        """Read a packet from a dict, which is not changed.

        Raises:
            ContractError: A field is missing or of another type; the message names it.
        """
        if not isinstance(raw, Mapping):
            raise ContractError(f"a packet is of type {type(raw).__name__}: give a dict")
        known = {key: value for key, value in raw.items() if key in STORED_ORDER}
        extra = {key: value for key, value in raw.items() if key not in STORED_ORDER}
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


def tag_floats(value: Any) -> Any:
    """Replace numbers that are not finite by tagged ones; containers without any are kept.

    >>> tag_floats({"a": [1.0, float("nan")]})
    {'a': [1.0, {'$float': 'nan'}]}
    """
    if isinstance(value, float):
        return value if math.isfinite(value) else {_TAG: repr(value)}
    if isinstance(value, dict):
        return {key: tag_floats(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [tag_floats(item) for item in value]
    return value


def untag_floats(value: Any) -> Any:
    """Undo `tag_floats`.

    >>> untag_floats({"$float": "-inf"})
    -inf
    """
    if isinstance(value, dict):
        if len(value) == 1 and isinstance(value.get(_TAG), str):
            return float(value[_TAG])
        return {key: untag_floats(item) for key, item in value.items()}
    if isinstance(value, list):
        return [untag_floats(item) for item in value]
    return value
