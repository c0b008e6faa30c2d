"""The first rows of a raw capture: whose it is, which symbols it holds, what its stamps count."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import msgspec

from ami_engine.adapters.captured.capture_values import Unusable
from ami_engine.adapters.files.rows import RowReader
from decision_schema.errors import MarketDataError

ACKNOWLEDGEMENT = "acknowledgement"
"""Kind of a message that only confirms a request: it is counted, and gives no event."""
NO_MARKET = "no_market"
"""Kind of a message about no market, or many at once: likewise."""
ROWS_PEEKED = 50
"""Rows with text at the start of a file that tell whose capture it is."""
SHOWN_CHARACTERS = 80
NO_STAMP = 0
NS_PER_UNIT = {19: 1, 16: 1_000, 13: 1_000_000}
"""Nanoseconds of one unit, by the digits of a stamp: ns, us or ms since 1970."""


class Message(NamedTuple):
    """What a row holds.

    Args:
        kind: The venue's own names, ACKNOWLEDGEMENT or NO_MARKET.
        symbol: As the venue writes it; empty = the message does not say.
        data: The part that carries the values.
    """

    kind: str
    symbol: str
    data: dict[str, Any]


Sort: TypeAlias = Callable[[dict[str, Any]], Message]
"""Says what a message is; raises Unusable if it is none of the venue."""


class Peek(NamedTuple):
    """What the first rows of a file tell.

    Args:
        unit_ns: Nanoseconds of one unit of its stamps, 0 = it has none.
        seen: (kind, symbol) of the messages in it, in order.
    """

    unit_ns: int
    seen: tuple[tuple[str, str], ...]


def peek_file(file: Path, sort: Sort, venue: str) -> Peek:
    """Read the first rows of a file; the unit of its stamps is that of most of them.

    Raises:
        MarketDataError: None of them is a message of the venue, or none has a stamp that can be read.
    """
    units: Counter[int] = Counter()
    seen: dict[tuple[str, str], None] = {}
    first = ""
    left = ROWS_PEEKED
    decode = msgspec.json.Decoder().decode
    try:
        for _, text in RowReader(file):
            if not text or text.isspace():
                continue
            first = first or text
            stamp, payload = split_stamp(text)
            try:
                message = decode(payload)
                if type(message) is dict:
                    kind, symbol, _ = sort(message)
                    units[unit_of(stamp)] += 1
                    if kind not in (ACKNOWLEDGEMENT, NO_MARKET):
                        seen[kind, symbol] = None
            except (Unusable, msgspec.DecodeError, RecursionError):
                pass  # the run judges it
            left -= 1
            if left == 0:
                break
    except MarketDataError:
        if not seen:
            raise
    begins = f"row 1 is {first[:SHOWN_CHARACTERS]!r}" if first else "it holds no row"
    if not seen:
        raise MarketDataError(
            f"{file.name} is no {venue} capture: {begins}: try `mdm data inspect {file.name}`"
        )
    unit_ns = max(units, key=units.__getitem__)
    if unit_ns < 0:
        raise MarketDataError(f"{file.name}: {begins}: give stamps of ns, us or ms since 1970, or none")
    return Peek(unit_ns, tuple(seen))


def split_stamp(text: str) -> tuple[str, str]:
    """Split a row that is not blank into our stamp, empty if there is none, and the message.

    >>> split_stamp('1723161254087 {"e":1}'), split_stamp('{"e":1}')
    (('1723161254087', '{"e":1}'), ('', '{"e":1}'))
    """
    if not "0" <= text[0] <= "9":
        return "", text
    parts = text.split(None, 1)
    return parts[0], parts[1] if len(parts) == 2 else ""


def unit_of(stamp: str) -> int:
    """Return the nanoseconds of one unit of a stamp; 0 = there is no stamp, -1 = it is none.

    >>> unit_of("1723161254087896568"), unit_of("1723161254087"), unit_of(""), unit_of("12:30")
    (1, 1000000, 0, -1)
    """
    if not stamp:
        return NO_STAMP
    return NS_PER_UNIT.get(len(stamp), -1) if stamp.isdigit() and stamp.isascii() else -1
