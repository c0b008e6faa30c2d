"""Inputs at the edge: a source's dict becomes an event, decoded and redacted."""

import msgspec

from ami_engine.security.redaction import redact_secrets
from decision_schema import reasons
from decision_schema.decode_event import decode_event
from decision_schema.events import Bad, Event
from decision_schema.packet_v2 import tag_floats
from decision_schema.reasons import NAMES

MAX_EXTRA_BYTES = 32_768
"""Most bytes of an event's unknown fields, or of a bad input, that a packet keeps."""


def receive(raw: object, default_market: str, clock_offset_ns: int) -> Event:
    """Decode and redact what a source yields, so that the model sees what is stored."""
    event = decode_event(raw, default_market, clock_offset_ns)
    if event.bad is not None:
        return msgspec.structs.replace(event, bad=Bad(event.bad.reason, storable(event.bad.raw)))
    if event.extra:
        extra = storable(event.extra)
        if not isinstance(extra, dict):
            name = NAMES[reasons.OVERSIZE_EVENT]
            return Event(market_id=event.market_id, ts_ns=event.ts_ns, received_ns=event.received_ns,
                         channel=event.channel, seq=event.seq, bad=Bad(f"{name}:extra"))  # fmt: skip
        return msgspec.structs.replace(event, extra=extra)
    return event


def storable(raw: object) -> object:
    """Redact a foreign value and make it plain; one too large for a packet becomes a note of its size."""
    plain = tag_floats(redact_secrets(raw))
    try:
        size = len(msgspec.json.encode(plain))
    except (ValueError, RecursionError) as error:  # a whole number of thousands of digits
        return f"<left out: {type(error).__name__}>"
    return plain if size <= MAX_EXTRA_BYTES else f"<left out: {size} bytes>"
