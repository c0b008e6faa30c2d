"""JSON inside text: parsed, redacted as data, and written back where it changed."""

import json
import re
from collections.abc import Callable
from typing import Any

_BRACKET = re.compile(r"[{\[]")
_STRING = re.compile(r"\"")
_DECODER = json.JSONDecoder()
_MISSES = 16  # brackets that open no JSON before the search ends


def redact_json_in(text: str, redact: Callable[[Any], Any]) -> str:
    """Return the text with each JSON object, array or whole JSON string redacted.

    Parts that hold no secret keep their characters.

    >>> redact_json_in("got [1, 2]", lambda value: value[:1])
    'got [1]'
    """
    if len(text) < 8 or not ("{" in text or "[" in text or text[0] == '"'):
        return text
    pieces: list[str] = []
    done = pos = misses = 0
    while misses < _MISSES:
        opening = _STRING.match(text) if pos == 0 else None
        opening = opening or _BRACKET.search(text, pos)
        if opening is None:
            break
        start = opening.start()
        try:
            parsed, end = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):  # not JSON: the caller reads it as plain text
            misses += 1
            pos = start + 1
            continue
        pos = end
        redacted = redact(parsed)
        if redacted != parsed:
            compact = '": ' not in text[start:end] and ", " not in text[start:end]
            separators = (",", ":") if compact else (", ", ": ")
            dumped = json.dumps(redacted, ensure_ascii=text.isascii(), separators=separators)
            pieces += [text[done:start], dumped]
            done = end
    return "".join(pieces) + text[done:] if pieces else text
