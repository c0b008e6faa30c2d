"""Where the time of an event stands in the rows of a file whose form is not known."""

import re
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from decision_schema.units import NS_PER_MS, NS_PER_SECOND, UnixNs

ROWS_TRIED = 1_000
MIN_FOUND = 2
NEEDED = 0.8
"""Share of the rows whose time is that of an event, or of the events whose time stands in a row."""
PLACES = 24
"""Words of a row in which a time is looked for."""
_WORD = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?: ?(?:Z|[+-]\d\d:?\d\d))?|\d+(?:\.\d+)?", re.ASCII
)
_UNITS = {"ns": 1, "us": 1_000, "ms": NS_PER_MS, "s": NS_PER_SECOND}
_FORMS = (*_UNITS, "iso")
_MICRO = 1_000


class RowTime(NamedTuple):
    """Where a row tells its time.

    Args:
        place: Which of its words that are numbers or times.
        form: ``ns``, ``us``, ``ms`` or ``s`` since 1970, or ``iso``; without an offset it is of UTC.
    """

    place: int
    form: str

    def of(self, text: str) -> UnixNs | None:
        """Read the time of a row; None = it tells none there.

        >>> RowTime(0, "ms").of("1723161256000,0.49"), RowTime(0, "iso").of("1970-01-01 00:00:01,5")
        (1723161256000000000, 1000000000)
        """
        for number, word in enumerate(_WORD.finditer(text)):
            if number == self.place:
                return _read(word[0], self.form)
        return None


def find_row_time(rows: Iterable[str], stamps: Collection[UnixNs]) -> RowTime | None:
    """Find where the first rows of a file hold the times of the first events; None = they do not.

    >>> find_row_time(["t,p", "7,1723161256,5", "8,1723161257,5"], {1723161256 * 10**9, 1723161257 * 10**9})
    RowTime(place=1, form='s')
    """
    wanted = {stamp // _MICRO for stamp in stamps}
    tried: dict[RowTime, list[int]] = {}
    for text in rows:
        for place, word in enumerate(_WORD.findall(text)[:PLACES]):
            for form in _FORMS:
                stamp = _read(word, form)
                if stamp is not None:
                    tried.setdefault(RowTime(place, form), []).append(stamp // _MICRO)
    best: tuple[float, RowTime] | None = None
    for time, found in tried.items():
        hits = sum(stamp in wanted for stamp in found)
        share = max(hits / len(found), len(wanted.intersection(found)) / max(1, len(wanted)))
        if hits >= min(MIN_FOUND, len(found)) and share >= NEEDED and (best is None or share > best[0]):
            best = (share, time)
    return None if best is None else best[1]


def _read(word: str, form: str) -> UnixNs | None:
    if form == "iso":
        if "-" not in word:
            return None
        try:
            at = datetime.fromisoformat(word.replace(" +", "+").replace(" Z", "Z"))
        except ValueError:
            return None
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
        since = at - datetime(1970, 1, 1, tzinfo=UTC)
        return (since.days * 86_400 + since.seconds) * NS_PER_SECOND + since.microseconds * 1_000
    if "-" in word:
        return None
    if word.isdigit():
        return int(word) * _UNITS[form] if len(word) <= 20 else None
    try:
        return int(Decimal(word) * _UNITS[form])
    except InvalidOperation:
        return None
