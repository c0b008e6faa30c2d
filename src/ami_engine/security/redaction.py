"""Hide secrets in any value before it is written: `redact_secrets`, `redact_text`.

The result has the shape of the input and shares no dict, list or set with it. These types
change on the way:

* an exception becomes a dict of its type, message, notes, cause and context;
* a record (dataclass, msgspec Struct, attrs, pydantic) with something to hide becomes a dict
  of its fields; one with nothing to hide comes back as it is;
* numpy scalars and arrays become Python numbers and lists;
* an object of any other type becomes its type's name in angle brackets: its repr is never
  called, since reprs print secrets.

A container inside itself becomes `CYCLE`, one deeper than 40 levels `TOO_DEEP`.
Pure: no input is mutated, nothing is raised, redacting twice equals redacting once.
If the walk itself fails, the whole value becomes `MARKER`.
"""

from typing import Any

from ami_engine.security.key_names import KeyClass
from ami_engine.security.value_patterns import MARKER
from ami_engine.security.walk import CYCLE, TOO_DEEP, Walk

__all__ = ["CYCLE", "MARKER", "TOO_DEEP", "redact_secrets", "redact_text"]


def redact_secrets(value: Any) -> Any:
    """Return the value with every recognised secret replaced by `MARKER`.

    Args:
        value: anything; usually a dict of an event, a config, a request or an exception.

    Returns:
        The same shape with the secrets replaced (see the module docstring for the types that
        change). A secret found under its name is also hidden where it occurs again.

    >>> redact_secrets({"api_key": "secret123", "mid": 0.5})
    {'api_key': '***REDACTED***', 'mid': 0.5}
    """
    try:
        walk = Walk()
        result = walk.value(value, KeyClass.PLAIN, 0)
        if walk.found:
            again = Walk(tuple(sorted(walk.found, key=lambda text: (-len(text), text))))
            result = again.value(result, KeyClass.PLAIN, 0)
        return result
    except Exception:  # noqa: BLE001  # the promise is never to raise: what cannot be read is hidden whole
        return MARKER


def redact_text(text: str) -> str:
    """Return a text (a log line, a message, a URL, JSON) with its secrets replaced.

    >>> redact_text("GET /order?symbol=BTCUSDT&signature=c8db56825ae71d6d79447849e617115f")
    'GET /order?symbol=BTCUSDT&signature=***REDACTED***'
    """
    redacted = redact_secrets(text)
    return redacted if isinstance(redacted, str) else MARKER
