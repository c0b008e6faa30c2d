"""What `mdm data inspect` found, in lines."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from ami_engine.adapters.inspecting.inspected import ClockFigures, Inspection, MarketFigures
from ami_engine.cli.picture import draw
from decision_schema.units import NS_PER_MS, NS_PER_SECOND, UnixNs

MAX_MARKETS_SHOWN = 20
MAX_COUNTS_SHOWN = 12
_SIZES = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def report_lines(seen: Inspection) -> Iterator[tuple[str, str]]:
    """Yield name and text of each line but the picture."""
    yield "file", f"{seen.file}, {_bytes(seen.bytes)}, {seen.rows:,} rows, {seen.events:,} events"
    yield "format", f"{seen.format}: {seen.why}"
    if seen.params:
        yield "params", ", ".join(_param(name, value, seen.guessed) for name, value in seen.params.items())
    yield "span", _span(seen)
    if seen.first_received_ns is not None and seen.first_venue_ns is not None:
        yield "venue time", _from_to(seen.first_venue_ns, seen.last_venue_ns)
    if seen.defects:
        yield "defects", counts(seen.defects)
    if seen.remarks:
        yield "remarks", counts(seen.remarks)
    if seen.unreadable:
        yield "not used", counts(seen.unreadable)
    if seen.time_back:
        yield "order", f"{seen.time_back:,} events are older than the one before them"
    for market in seen.markets[:1]:
        yield from _market_lines(market)
    for market in seen.markets[1:MAX_MARKETS_SHOWN]:
        yield "market", f"{market.market_id}: {market.events:,} events, {_parts(market)}"
    if len(seen.markets) > MAX_MARKETS_SHOWN:
        yield "market", f"and {len(seen.markets) - MAX_MARKETS_SHOWN:,} more"
    yield "clock", _clock(seen.clock)
    for hint in seen.hints:
        yield "hint", hint


def picture_lines(seen: Inspection, width: int, *, unicode: bool) -> list[str]:
    """Draw the busiest market; nothing where no price has a time."""
    market = next(iter(seen.markets), None)
    if market is None or market.picture is None or market.price is None:
        return []
    spread = ", spread below" if market.spread is not None else ""
    title = f"{market.market_id}: {market.price.of}{spread}"
    return ["", title, *draw(market.picture, width, unicode=unicode)]


def counts(found: Mapping[str, int]) -> str:
    """List counts by name.

    >>> counts({"trades_outside_quote": 9599, "gaps": 1})
    'trades outside quote 9,599, gaps 1'
    """
    shown = [f"{name.replace('_', ' ')} {count:,}" for name, count in found.items()]
    return ", ".join(shown[:MAX_COUNTS_SHOWN] + ["…"] * (len(shown) > MAX_COUNTS_SHOWN))


def decimal(number: float) -> str:
    """Write a number to ten decimals, without those that are zero at the end.

    >>> decimal(0.00002), decimal(61800.0)
    ('0.00002', '61800')
    """
    return f"{number:.10f}".rstrip("0").rstrip(".")


def _market_lines(market: MarketFigures) -> Iterator[tuple[str, str]]:
    silence = f"longest silence {market.longest_silence_seconds:,.3f} s"
    yield "market", f"{market.market_id}: {market.events:,} events, {silence}"
    yield "parts", _parts(market)
    if market.refused:
        yield "refused", counts(market.refused)
    if market.odd:
        yield "odd", counts(market.odd)
    if (price := market.price) is not None:
        first, last, low, high = map(decimal, (price.first, price.last, price.low, price.high))
        yield "price", f"{price.of}: first {first}, last {last}, low {low}, high {high}"
    if (spread := market.spread) is not None:
        median, p5, p95 = map(decimal, (spread.median, spread.p5, spread.p95))
        bps = f"{spread.median_bps:.3g}, {spread.p5_bps:.3g}, {spread.p95_bps:.3g}"
        yield "spread", f"median {median}, 5 % {p5}, 95 % {p95}; in bps {bps}"
    steps = (("prices", market.tick_hint), ("sizes", market.lot_hint))
    if seen := [f"{name} are multiples of {step}" for name, step in steps if step]:
        yield "grid", f"{', '.join(seen)}: a hint, take the venue's rule"


def _parts(market: MarketFigures) -> str:
    shown = []
    for name, count in market.parts.items():
        if count:
            rate = market.per_second.get(name, 0.0)
            by_second = f" ({rate:,.3g}/s)" if count > 1 and rate > 0.0 else ""
            shown.append(f"{name.replace('_', ' ')} {count:,}{by_second}")
    return ", ".join(shown) or "no part of a market"


def _clock(clock: ClockFigures) -> str:
    words = f"clock_offset_ms = {clock.offset_ms}: {clock.why}"
    if clock.min_ms is None:
        return words
    return (
        f"received less venue time: min {clock.min_ms:,.1f} ms, median {clock.median_ms:,.1f}, 95 % "
        f"{clock.p95_ms:,.1f}; {words}"
    )


def _span(seen: Inspection) -> str:
    if seen.first_received_ns is not None:
        span, whose = _from_to(seen.first_received_ns, seen.last_received_ns), "ours of receipt"
    elif seen.first_venue_ns is not None:
        span, whose = _from_to(seen.first_venue_ns, seen.last_venue_ns), "the venue's"
    else:
        return "no event has a time"
    return f"{span} ({seen.seconds:,.1f} s, {whose})"


def _from_to(first: UnixNs | None, last: UnixNs | None) -> str:
    return f"{_time(first)} to {_time(last)} UTC"


def _time(stamp: UnixNs | None) -> str:
    if stamp is None:
        return "?"
    whole, rest = divmod(stamp, NS_PER_SECOND)
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%d %H:%M:%S}.{rest // NS_PER_MS:03d}"


def _bytes(count: int) -> str:
    for size, name in _SIZES:
        if count >= size:
            return f"{count / size:.1f} {name}"
    return f"{count} bytes"


def _param(name: str, value: Any, guessed: list[str]) -> str:
    return f"{name} = {value!r}" + (" (a guess)" if name in guessed else "")
