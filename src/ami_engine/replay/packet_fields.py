"""A stored packet as a list of named fields, in the order in which a step makes them."""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from decision_schema.packet_v2 import STORED_ORDER
from dmc_core.dmc.guards import GUARDS, OBSERVED

PARTS: Final = ("input", "report", "feature", "proposal", "guard", "decision", "order", "state", "other")
"""Parts of a packet, in the order of the step."""
_OBSERVED = tuple(seen.name for seen in OBSERVED)
_ROWS = tuple(row.name for row in GUARDS)
_DONE = frozenset((*STORED_ORDER, "h"))


class Absent:
    """Stands where one of two packets has no such field."""

    def __repr__(self) -> str:
        return "absent"


ABSENT: Final = Absent()


class Field(NamedTuple):
    """One field of a packet.

    Args:
        part: One of PARTS.
        kind: Its name without the order that it belongs to, to count by.
        name: Its name.
    """

    part: str
    kind: str
    name: str


def fields_of(packet: dict[str, Any]) -> dict[Field, Any]:
    """Name the fields of a packet; the time is the first of the input.

    >>> packet = {"external": {"now_ns": 5, "reports": []}, "mdm": {"features": {"mid": 0.5}}}
    >>> [field.name for field in fields_of(packet)]
    ['time', 'feature mid']
    """
    fields: dict[Field, Any] = {}
    external, mdm = packet.get("external", {}), packet.get("mdm", {})
    fields[Field("input", "time", "time")] = external.get("now_ns")
    _add(fields, "input", "input ", packet.get("input", {}))
    _add_listed(fields, "report", _reports(external.get("reports", ())))
    for name, value in mdm.get("features", {}).items():
        fields[Field("feature", f"feature {name}", f"feature {name}")] = value
    _add(fields, "proposal", "proposal.", mdm.get("proposal", {}))
    for name, value in mdm.items():
        if name not in ("features", "proposal"):
            fields[Field("proposal", f"model {name}", f"model {name}")] = value
    guards = packet.get("guards", {})
    for key, names, words in (("values", _OBSERVED, "guard value "), ("verdicts", _ROWS, "guard ")):
        for number, value in enumerate(guards.get(key, ())):
            name = words + (names[number] if number < len(names) else str(number))
            fields[Field("guard", name, name)] = value
    rest = {name: value for name, value in guards.items() if name not in ("values", "verdicts")}
    _add(fields, "guard", "guards.", rest)
    _add(fields, "decision", "decision.", packet.get("final_action", {}))
    _add(fields, "decision", "decision.", packet.get("mismatch") or {})
    _add_listed(fields, "order", _intents(packet.get("intents", ())))
    _add(fields, "state", "state.", packet.get("state_after", {}))
    _add(fields, "other", "", {name: value for name, value in packet.items() if name not in _DONE})
    return fields


def differing(whole: dict[Field, Any], prefix: dict[Field, Any]) -> Iterator[tuple[Field, Any, Any]]:
    """Yield the fields that are not the same in two packets, in the order of the step.

    Of a report or an order that only one of them has, its values are not told one by one.
    """
    for part in PARTS:
        lone: set[str] = set()
        for field in (*whole, *(field for field in prefix if field not in whole)):
            if field.part != part or field.name.partition(": ")[0] in lone:
                continue
            value, other = whole.get(field, ABSENT), prefix.get(field, ABSENT)
            if value != other:
                if value is ABSENT or other is ABSENT:
                    lone.add(field.name)
                yield field, value, other


def _add(fields: dict[Field, Any], part: str, before: str, values: dict[str, Any]) -> None:
    """Add the values of a dict, and of dicts in it, by their path."""
    for key, value in values.items():
        if isinstance(value, dict) and value and "$float" not in value:
            _add(fields, part, f"{before}{key}.", value)
        else:
            fields[Field(part, before + key, before + key)] = value


def _add_listed(
    fields: dict[Field, Any], part: str, items: Iterator[tuple[str, str, dict[str, Any]]]
) -> None:
    """Add records of orders: that there is one, then each of its values."""
    for kind, name, values in items:
        free, number = name, 1
        while Field(part, kind, free) in fields:
            number += 1
            free = f"{name} #{number}"
        fields[Field(part, kind, free)] = "there"
        for key, value in values.items():
            fields[Field(part, f"{kind}: {key}", f"{free}: {key}")] = value


def _reports(reports: Any) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for report in reports:
        values = dict(report)
        kind = {"order": "report"}.get(str(values.get("type")), str(values.get("type")))
        order_id = values.pop("client_order_id", "")
        values.pop("type", None)
        yield kind, f"{kind} of order {order_id}" if order_id else kind, values


def _intents(intents: Any) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for intent in intents:
        values = dict(intent)
        op, order_id = values.pop("op", "intent"), values.pop("client_order_id", "")
        yield f"{op} order", f"{op} order {order_id}", values
