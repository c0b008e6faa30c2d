"""A price and its spread over time as a few lines of text: braille and blocks, or plain ASCII."""

from datetime import UTC, datetime
from typing import NamedTuple

from ami_engine.adapters.inspecting.course import Bucket
from ami_engine.adapters.inspecting.inspected import Picture
from decision_schema.units import NS_PER_SECOND, Bps, Price, UnixNs

PRICE_ROWS = 10
SPREAD_ROWS = 4
MIN_WIDTH, MAX_WIDTH = 40, 100
LABEL_WIDTH = 10
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Bits of the dots in a braille character, from the top, left and right."""
_BRAILLE = 0x2800
_BLOCKS = " ▁▂▃▄▅▆▇█"


class Column(NamedTuple):
    """What one column shows."""

    low: Price
    high: Price
    last: Price
    spread_bps: Bps


def draw(picture: Picture, width: int, *, unicode: bool = True) -> list[str]:
    """Draw the price, and below it the spread where there is one.

    Args:
        picture: The course of the price.
        width: Characters of a line; held between 40 and 100.
        unicode: False = ASCII only.

    >>> course = [Bucket(low=9.0, high=9.0, last=9.0, count=1), Bucket(low=8.0, high=8.5, last=8.5, count=1)]
    >>> picture = Picture(begin_ns=0, end_ns=2 * 10**9, width_ns=10**9, buckets=course)
    >>> for line in draw(picture, 44, unicode=False)[-3:]:
    ...     print(line)
               |                ****************
             8 |                ****************
                1970-01-01 00:00:00 00:00:02 UTC
    """
    width = min(max(width, MIN_WIDTH), MAX_WIDTH)
    low = min(bucket.low for bucket in picture.buckets if bucket.count)
    high = max(bucket.high for bucket in picture.buckets if bucket.count)
    widest = max(_mean_spread(bucket) for bucket in picture.buckets)
    labels = [f"{high:.10g}", f"{low:.10g}"]
    margin = max(LABEL_WIDTH, *(len(label) for label in labels))
    room = width - margin - 2
    columns = columns_of(picture.buckets, room * 2 if unicode else room)
    rows = _braille(columns, low, high) if unicode else _stars(columns, low, high)
    lines = _framed(rows, labels, margin, unicode=unicode)
    if widest > 0.0:
        shown = columns_of(picture.buckets, room)
        top = max(column.spread_bps for column in shown)
        bars = _bars(shown, top, unicode=unicode)
        most = f"{top:,.0f}" if top >= 100.0 else f"{top:.3g}"
        lines += _framed(bars, [f"{most} bps", "0 bps"], margin, unicode=unicode)
    return [*lines, " " * (margin + 2) + _times(picture.begin_ns, picture.end_ns, room)]


def columns_of(buckets: list[Bucket], count: int) -> list[Column]:
    """Spread buckets over a number of columns; where nothing came, the last price stands on."""
    columns: list[Column] = []
    held = Column(0.0, 0.0, 0.0, 0.0)
    for place in range(count):
        first = place * len(buckets) // count
        end = max(first + 1, (place + 1) * len(buckets) // count)
        found = [bucket for bucket in buckets[first:end] if bucket.count]
        if found:
            many = sum(bucket.count for bucket in found)
            held = Column(
                min(bucket.low for bucket in found),
                max(bucket.high for bucket in found),
                found[-1].last,
                sum(bucket.spread_bps for bucket in found) / many,
            )
        else:
            held = Column(held.last, held.last, held.last, held.spread_bps)
        columns.append(held)
    return columns


def _mean_spread(bucket: Bucket) -> float:
    return bucket.spread_bps / bucket.count if bucket.count else 0.0


def _steps(columns: list[Column], low: Price, high: Price, steps: int) -> list[tuple[int, int]]:
    """Give lowest and highest step of each column, 0 at the bottom, each joined to the one before."""

    def step(price: Price) -> int:
        return round((price - low) / (high - low) * (steps - 1)) if high > low else steps // 2

    spans: list[tuple[int, int]] = []
    for column in columns:
        bottom, top = step(column.low), step(column.high)
        if spans:
            before_bottom, before_top = spans[-1]
            joined_bottom = min(bottom, before_top + 1) if bottom > before_top else bottom
            joined_top = max(top, before_bottom - 1) if top < before_bottom else top
            bottom, top = joined_bottom, joined_top
        spans.append((bottom, top))
    return spans


def _braille(columns: list[Column], low: Price, high: Price) -> list[str]:
    dots = PRICE_ROWS * len(_DOTS)
    cells = [[0] * (len(columns) // 2) for _ in range(PRICE_ROWS)]
    for x, (bottom, top) in enumerate(_steps(columns, low, high, dots)):
        for step in range(bottom, top + 1):
            row, dot = divmod(dots - 1 - step, len(_DOTS))
            cells[row][x // 2] |= _DOTS[dot][x % 2]
    return ["".join(chr(_BRAILLE + bits) if bits else " " for bits in row) for row in cells]


def _stars(columns: list[Column], low: Price, high: Price) -> list[str]:
    spans = _steps(columns, low, high, PRICE_ROWS)
    return [
        "".join("*" if bottom <= step <= top else " " for bottom, top in spans)
        for step in reversed(range(PRICE_ROWS))
    ]


def _bars(columns: list[Column], top: Bps, *, unicode: bool) -> list[str]:
    """Draw a bar for each column, from 0 at the bottom."""
    eighths = len(_BLOCKS) - 1
    rows: list[str] = []
    for row in reversed(range(SPREAD_ROWS)):
        levels = [column.spread_bps / top * SPREAD_ROWS - row for column in columns]
        parts = [min(max(level, 0.0), 1.0) for level in levels]
        signs = (_BLOCKS[round(part * eighths)] if unicode else " #"[part >= 0.5] for part in parts)
        rows.append("".join(signs))
    return rows


def _framed(rows: list[str], labels: list[str], margin: int, *, unicode: bool) -> list[str]:
    """Put the highest label before the first row and the lowest before the last."""
    named = [labels[0], *[""] * (len(rows) - 2), labels[1]]
    edge = "│" if unicode else "|"
    return [f"{name:>{margin}} {edge}{row}".rstrip() for name, row in zip(named, rows, strict=True)]


def _times(begin_ns: UnixNs, end_ns: UnixNs, room: int) -> str:
    first, last = (datetime.fromtimestamp(stamp // NS_PER_SECOND, UTC) for stamp in (begin_ns, end_ns))
    begin = first.strftime("%Y-%m-%d %H:%M:%S")
    end = last.strftime("%H:%M:%S UTC" if first.date() == last.date() else "%Y-%m-%d %H:%M:%S UTC")
    if len(begin) + len(end) + 1 > room:
        begin, end = first.strftime("%m-%d %H:%M"), last.strftime("%m-%d %H:%M")
    return begin + end.rjust(room - len(begin))
