"""Two traces, line by line: where the first packet differs, and which fields do, in constant memory."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

import msgspec

from ami_engine.replay.packet_fields import Field, differing, fields_of
from decision_schema.errors import TraceError
from decision_schema.units import UnixNs

MAX_JUDGED = 10_000
"""Packets that differ, of which the fields are counted."""
_HASH = b',"h":"'
_TIMER = b'"input":{"kind":'
"""In the packet of an input that is no event; ``kind`` is the first field of an input."""
FILL = b'"type":"fill"'
_BEFORE_REPORTS, _AFTER_REPORTS = b'"external":{', b',"mdm":{'
SENT = b'"intents":[{'


@dataclass(frozen=True)
class Difference:
    """The first field of a packet that is not the same in two runs.

    Args:
        step: Number of the packet.
        event: Number of its event, or of the last one before it if it is a timer's.
        now_ns: Its time.
        market_id: Its market.
        part: Which part of the packet, as `packet_fields.PARTS` names it.
        field: Name of the field.
        whole: Its value in the run over all events.
        prefix: Its value in the other run.
    """

    step: int
    event: int
    now_ns: UnixNs
    market_id: str
    part: str
    field: str
    whole: Any
    prefix: Any


@dataclass
class Compared:
    """What comparing two traces gave.

    Args:
        packets: Packets that both have and that were compared.
        events: Events among them.
        fills: Fills reported in them.
        first: The first difference; None = there is none.
        differing: Packets that are not the same.
        fields: Packets in which a field is not the same, by its kind.
    """

    packets: int = 0
    events: int = 0
    fills: int = 0
    first: Difference | None = None
    differing: int = 0
    fields: Counter[str] = field(default_factory=Counter)


def compare_traces(
    whole: Path,
    prefix: Path,
    events: int,
    *,
    counts: Callable[[Field], bool] | None = None,
    until: int | None = None,
) -> Compared:
    """Compare the packets of the first events.

    Args:
        whole: Trace of the run over all events.
        prefix: Trace of the other run; where it ends too early, its first missing event is a difference.
        events: Events whose packets are compared.
        counts: Which fields count; None = all.
        until: Last step that is compared; None = none.
    """
    found = Compared()
    decode = msgspec.json.Decoder().decode
    with whole.open("rb") as all_lines, prefix.open("rb") as some_lines:
        for line, other in zip_longest(_whole(all_lines), _whole(some_lines)):
            if found.events == events or (until is not None and found.packets == until) or line is None:
                break
            found.events += is_event(line)
            found.packets += 1
            found.fills += fills_in(line)
            if other is None:
                found.packets -= 1
                if found.first is None:
                    packet = _packet(decode, line, whole)
                    missing = Field("input", "event", "event")
                    found.first = _difference(packet, found, missing, "there", "missing")
                found.fields["event"] += 1
                break
            if line == other or line.rpartition(_HASH)[0] == other.rpartition(_HASH)[0]:
                continue
            if found.differing < MAX_JUDGED:
                _judge(found, _packet(decode, line, whole), _packet(decode, other, prefix), counts)
            else:
                found.differing += 1
    return found


def is_event(line: bytes) -> bool:
    """Tell whether a stored packet is that of an event; others are those of timers."""
    return _TIMER not in line


def fills_in(line: bytes) -> int:
    """Count the fills that the broker reported in a stored packet."""
    if FILL not in line:
        return 0
    begin = line.find(_BEFORE_REPORTS)
    return line.count(FILL, begin, line.find(_AFTER_REPORTS, begin))


def feature_names(trace: Path, packets: int) -> set[str]:
    """Collect the features that the first packets of a trace carry."""
    decode = msgspec.json.Decoder().decode
    names: set[str] = set()
    with trace.open("rb") as lines:
        for line, _ in zip(lines, range(packets), strict=False):
            names.update(_packet(decode, line, trace)["mdm"]["features"])
    return names


def _whole(lines: Any) -> Iterator[bytes]:
    return (line for line in lines if line.endswith(b"\n"))


def _packet(decode: Any, line: bytes, file: Path) -> dict[str, Any]:
    try:
        packet: dict[str, Any] = decode(line)
    except msgspec.DecodeError as error:
        raise TraceError(f"{file}: a line is no packet: {error}") from None
    return packet


def _judge(
    found: Compared,
    whole: dict[str, Any],
    prefix: dict[str, Any],
    counts: Callable[[Field], bool] | None,
) -> None:
    kinds: dict[str, None] = {}  # in the order of the step
    for named, value, other in differing(fields_of(whole), fields_of(prefix)):
        if counts is not None and not counts(named):
            continue
        kinds[named.kind] = None
        if found.first is None:
            found.first = _difference(whole, found, named, value, other)
    found.differing += bool(kinds)
    found.fields.update(list(kinds))


def _difference(packet: dict[str, Any], found: Compared, named: Field, whole: Any, prefix: Any) -> Difference:
    return Difference(
        step=packet["step"],
        event=found.events,
        now_ns=packet["external"]["now_ns"],
        market_id=packet["input"].get("market_id", ""),
        part=named.part,
        field=named.name,
        whole=whole,
        prefix=prefix,
    )
