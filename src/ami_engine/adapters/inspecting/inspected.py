"""What `mdm data inspect` says of a file: plain values, ready for JSON."""

from typing import Any, Literal

import msgspec

from ami_engine.adapters.inspecting.course import Bucket
from decision_schema.units import Bps, DurationMs, DurationNs, Price, UnixNs


class PriceFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Prices of a market.

    Args:
        of: ``mid`` of the books that can be used; ``trade`` where there is no such book.
    """

    of: Literal["mid", "trade"]
    first: Price
    last: Price
    low: Price
    high: Price


class SpreadFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Spreads of a market over the states of its book; 5 % of them are below `p5`."""

    median: Price
    p5: Price
    p95: Price
    median_bps: Bps
    p5_bps: Bps
    p95_bps: Bps


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """The course of a price: a bucket each `width_ns`, from `begin_ns` to `end_ns`."""

    begin_ns: UnixNs
    end_ns: UnixNs
    width_ns: DurationNs
    buckets: list[Bucket]


class MarketFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What one market's events were like.

    Args:
        parts: Events with ``quotes``, ``snapshots`` and ``book_changes``; ``order_messages`` and
            ``trades`` one by one. Those that cannot be used count too.
        per_second: The same by the second; empty where no time passed.
        refused: Events that the engine would hold, by reason.
        odd: What is odd, but used: trades outside the quote, one-sided books, halts ...
        tick_hint: Largest step of which all best prices are multiples, as decimal text; likewise
            `lot_hint` for sizes. Empty = not known.
        picture: Course of the price; None = no price has a time.
    """

    market_id: str
    events: int
    first_ns: UnixNs | None
    last_ns: UnixNs | None
    longest_silence_seconds: float
    parts: dict[str, int]
    per_second: dict[str, float]
    refused: dict[str, int]
    odd: dict[str, int]
    price: PriceFigures | None
    spread: SpreadFigures | None
    tick_hint: str
    lot_hint: str
    picture: Picture | None


class ClockFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Our time of receipt less the venue's.

    Args:
        count: Events that carry both.
        ahead: Of these, events more than a second ahead of ours: the engine holds them.
        offset_ms: Suggested ``clock_offset_ms``.
        why: Why it is that.
    """

    count: int
    ahead: int
    min_ms: DurationMs | None
    median_ms: DurationMs | None
    p95_ms: DurationMs | None
    offset_ms: int
    why: str


class Inspection(msgspec.Struct, frozen=True, kw_only=True):
    """What is in a file of recorded data.

    Args:
        format: Name of the source in the config, or of a class.
        why: By what it was recognised.
        params: Arguments of the source beside ``files``.
        guessed: Which of them are guesses.
        bytes: Size of the file, as it is packed.
        rows: Rows read.
        events: Events that the source gave.
        broken: Why reading ended too early; empty = it did not.
        first_received_ns: Earliest of our times of receipt; likewise the others.
        seconds: From the earliest event to the latest, by our time of receipt, else the venue's.
        time_back: Events whose time is before that of the one in front of them.
        defects: Rows by defect, as the source counts them.
        remarks: What else the source counted.
        unreadable: Events that cannot be decoded, by reason.
        markets: The busiest first.
        hints: What a user should look at.
    """

    file: str
    format: str
    why: str
    params: dict[str, Any]
    guessed: list[str]
    bytes: int
    rows: int
    events: int
    broken: str
    first_received_ns: UnixNs | None
    last_received_ns: UnixNs | None
    first_venue_ns: UnixNs | None
    last_venue_ns: UnixNs | None
    seconds: float
    longest_silence_seconds: float
    time_back: int
    defects: dict[str, int]
    remarks: dict[str, int]
    unreadable: dict[str, int]
    clock: ClockFigures
    markets: list[MarketFigures]
    hints: list[str]
