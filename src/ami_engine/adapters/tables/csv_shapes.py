"""Files without a header that are known by their form."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ami_engine.adapters.tables.row_heads import Cells
from ami_engine.adapters.tables.stamp_choice import StampRules
from decision_schema.errors import MarketDataError

QUOTES = {"ts": 0, "bid": 1, "ask": 2}
MAX_RATIO = 1.1
"""Bid and ask of one row are no further apart; a price and a size would be."""
MS_PER_DAY = 86_400_000
HISTDATA_FORMAT = "%Y%m%d %H%M%S%f"
_HISTDATA_STAMP = re.compile(r"\d{8} \d{9}", re.ASCII)


@dataclass(frozen=True)
class Shape:
    """A known form: its columns, how its times are read, and what the user should know."""

    columns: dict[str, int]
    stamps: StampRules
    hint: str = ""


def known_shape(where: str, samples: Sequence[tuple[int, Cells]], stamps: StampRules) -> Shape | None:
    """Recognise quotes of two forms; None = it is neither.

    Milliseconds since midnight, bid, ask, as of LEAN; and ``YYYYMMDD HHMMSSmmm``, bid, ask, volume,
    as of HistData.

    Raises:
        MarketDataError: It is the first of them, and the day is not known.
    """
    rows = [cells for _, cells in samples]
    if stamps.time_format or not rows or not all(_is_quote(cells) for cells in rows):
        return None
    width = len(rows[0])
    if width == 4 and all(_HISTDATA_STAMP.fullmatch(cells[0]) for cells in rows):
        hint = ""
        if stamps.zone.utcoffset(None) is not None and not stamps.zone.utcoffset(None):
            hint = "times of HistData are New York's without daylight saving: set timezone = '-05:00'"
        return Shape(QUOTES, replace(stamps, time_format=HISTDATA_FORMAT), hint)
    if width != 3 or stamps.unit not in ("auto", "ms") or not _are_day_times([cells[0] for cells in rows]):
        return None
    if stamps.day is None:
        raise MarketDataError(
            f"{where}: row {samples[0][0]} {','.join(rows[0])!r} looks like milliseconds since midnight, bid "
            "and ask: set date = '2014-05-06' with its day"
        )
    return Shape(QUOTES, replace(stamps, unit="ms"))


def _is_quote(cells: Cells) -> bool:
    try:
        bid, ask = float(cells[1]), float(cells[2])
    except (ValueError, IndexError):
        return False
    return 0.0 < bid < MAX_RATIO * ask and ask < MAX_RATIO * bid


def _are_day_times(texts: Sequence[str]) -> bool:
    if not all(text.isdigit() and text.isascii() for text in texts):
        return False
    numbers = [int(text) for text in texts]
    return numbers == sorted(numbers) and numbers[-1] < MS_PER_DAY
