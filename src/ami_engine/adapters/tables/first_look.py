"""What the first events of recorded data tell that a user should know, but no row is wrong for."""

from collections.abc import Mapping, Sequence
from typing import Any

from decision_schema.units import NS_PER_DAY, NS_PER_MS

FIRST_EVENTS = 1_000
"""Events that are looked at."""
MIN_EVENTS = 100
"""Fewer say nothing of how close stamps are, or how often quotes are crossed."""
MAX_CROSSED = 0.05
"""Share of crossed quotes above which the user is told."""
SCALES = ((1e9, 1_000, "1,000,000,000", "1e-9"), (1e5, 100, "10,000", "0.0001"))
"""Prices above the first, all multiples of the second, look scaled by the third: give the fourth."""


def hints_of(events: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return hints on scaled prices, units of times, and crossed quotes.

    >>> hints_of([{"ts_ns": 0, "bid": 5853300.0, "ask": 5859400.0}])
    ['prices look scaled by 10,000: set price_scale = 0.0001']
    """
    hints = [_scale_hint(events), _span_hint(events), _crossed_hint(events)]
    return [hint for hint in hints if hint]


def _scale_hint(events: Sequence[Mapping[str, Any]]) -> str:
    prices = [price for event in events for price in _prices(event)]
    for least, step, factor, scale in SCALES:
        if prices and all(price > least and price % step == 0.0 for price in prices):
            return f"prices look scaled by {factor}: set price_scale = {scale}"
    return ""


def _prices(event: Mapping[str, Any]) -> list[float]:
    found = [event.get("bid"), event.get("ask")]
    found += [level[0] for side in ("bids", "asks") for level in event.get(side, ())]
    found += [delta[1] for delta in event.get("deltas", ())]
    found += [part.get("price") for name in ("trades", "order_messages") for part in event.get(name, ())]
    return [price for price in found if price is not None]


def _span_hint(events: Sequence[Mapping[str, Any]]) -> str:
    stamps = [event["ts_ns"] for event in events if "ts_ns" in event]
    if not stamps:
        return ""
    span = max(stamps) - min(stamps)
    length = ""
    if span > 365 * NS_PER_DAY:
        length = f"{span // NS_PER_DAY:,} days"
    elif span < NS_PER_MS and len(stamps) >= MIN_EVENTS:
        length = f"{span:,} ns"
    return length and f"the first {len(stamps):,} events span {length}: check time_unit and time_format"


def _crossed_hint(events: Sequence[Mapping[str, Any]]) -> str:
    quotes = [top for event in events if (top := _top(event)) is not None]
    crossed = sum(bid > ask for bid, ask in quotes)
    if len(quotes) < MIN_EVENTS or crossed <= MAX_CROSSED * len(quotes):
        return ""
    share = 100.0 * crossed / len(quotes)
    return (
        f"{share:.1f} % of the first {len(quotes):,} quotes are crossed: check that bid and ask are not "
        "swapped; a feed of several venues may be so"
    )


def _top(event: Mapping[str, Any]) -> tuple[float, float] | None:
    bid, ask = event.get("bid"), event.get("ask")
    if bid is None and event.get("bids") and event.get("asks"):
        bid, ask = event["bids"][0][0], event["asks"][0][0]
    return None if bid is None or ask is None else (bid, ask)
