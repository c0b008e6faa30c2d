"""What a user should look at before recorded data are run: said once, with what to do."""

from collections.abc import Iterator, Sequence

from ami_engine.adapters.inspecting.clock_survey import SKEW_NS
from ami_engine.adapters.inspecting.grid_seen import UNITS
from ami_engine.adapters.inspecting.inspected import ClockFigures
from ami_engine.adapters.inspecting.market_survey import PARTS, MarketSurvey
from ami_engine.adapters.tables.stamps import MAX_NS, MIN_NS
from decision_schema.reasons import AWAITING_SNAPSHOT, CROSSED_BOOK, NAMES
from decision_schema.units import NS_PER_DAY, NS_PER_MS, NS_PER_SECOND, UnixNs

MANY_EVENTS = 100
"""Fewer say nothing of how close stamps are, or how often quotes are crossed."""
MAX_CROSSED = 0.05
MAX_SPAN_NS = 366 * NS_PER_DAY
SCALED_FROM = 100_000.0
SCALED_STEP = 100
MAX_UNPRICED = 0.1
"""Part of the time at the end without a price that is nothing to say."""
MARKETS_HINTED = 3
FAR_MS = 10_000.0
"""A clock that is so much further off than usual was wrong once, not always."""


def time_hints(
    events: int, first_ns: UnixNs | None, last_ns: UnixNs | None, said: Sequence[str] = ()
) -> Iterator[str]:
    """Give hints on the times of a file; what the source has `said` is not repeated.

    >>> list(time_hints(2, 1_723_161_256_000, 1_723_161_257_000))
    ['the first time is before 1990: the unit is wrong: check time_unit, or ts_ms for ts_ns']
    """
    if first_ns is None or last_ns is None:
        yield "no event has a time: silence, rates and the picture cannot be told"
        return
    for name, stamp in (("first", first_ns), ("last", last_ns)):
        if not MIN_NS <= stamp < MAX_NS:
            when = "before 1990" if stamp < MIN_NS else "after 2099"
            yield f"the {name} time is {when}: the unit is wrong: check time_unit, or ts_ms for ts_ns"
            return
    if any("check time_unit" in hint for hint in said):
        return
    if last_ns - first_ns > MAX_SPAN_NS:
        days = (last_ns - first_ns) // NS_PER_DAY
        yield f"the file spans {days:,} days: check time_unit and time_format, or look for a wrong stamp"
    elif last_ns - first_ns < NS_PER_MS and events >= MANY_EVENTS:
        yield f"{events:,} events lie within a millisecond: check time_unit and time_format"


def clock_hints(clock: ClockFigures) -> Iterator[str]:
    """Give hints on the recorder's clock."""
    if clock.min_ms is None or clock.median_ms is None or clock.offset_ms == 0:
        return
    if clock.ahead:
        yield (
            f"{clock.ahead:,} events are more than {SKEW_NS // NS_PER_MS:,} ms ahead of our clock and would "
            f"be held as future_event: set clock_offset_ms = {clock.offset_ms}"
        )
    if clock.min_ms < clock.median_ms - FAR_MS:
        yield (
            f"the venue's time is once {clock.median_ms - clock.min_ms:,.0f} ms further ahead than usual: "
            "look for a wrong stamp before you set clock_offset_ms"
        )


def market_hints(surveys: Sequence[MarketSurvey], said: Sequence[str]) -> Iterator[str]:
    """Give hints on prices, sizes, trades and books; what the source has `said` is not repeated."""
    priced = any(survey.grid.count for survey in surveys)
    if not priced:
        yield "no price was read: see the defects, and the events that cannot be used"
    if any(_is_scaled(survey) for survey in surveys) and not any("look scaled" in hint for hint in said):
        yield "prices look scaled by 10,000 (whole, multiples of 100, above 100,000): set price_scale"
    if priced and not any(survey.sizes.count for survey in surveys):
        yield "there are no sizes: a guard takes the unknown depth for none: set guards.min_depth = 0"
    parts = {name: sum(survey.parts[name] for survey in surveys) for name in PARTS}
    if priced and not parts["trades"]:
        yield "there are no trades: resting orders fill only where the market moves through them"
    waiting = sum(survey.refused[NAMES[AWAITING_SNAPSHOT]] for survey in surveys)
    if waiting and not parts["snapshots"]:
        yield (
            f"{waiting:,} changes of the book wait for a snapshot that never comes: read the file before "
            "this one too (files = [first, second]), or set opening = 'empty'"
        )
    crossed = sum(survey.refused[NAMES[CROSSED_BOOK]] for survey in surveys)
    shown = parts["quotes"] + parts["snapshots"] + parts["book_changes"]
    if shown >= MANY_EVENTS and crossed > MAX_CROSSED * shown and not any("crossed" in hint for hint in said):
        yield (
            f"{100.0 * crossed / shown:.1f} % of quotes and book changes are crossed: check that bid and ask "
            "are not swapped; a feed of several venues may be so"
        )


def price_hints(surveys: Sequence[MarketSurvey]) -> Iterator[str]:
    """Give hints on the prices of each market; of many markets the first ones."""
    for survey in surveys[:MARKETS_HINTED]:
        low, high = survey.prices
        if low > 0.0 and high < 1.0:
            yield (
                f"{survey.market_id}: prices lie between 0 and 1: set kind = 'binary' in [[instruments]] if "
                "the market settles at 0 or 1"
            )
        if survey.unpriced_ns > MAX_UNPRICED * survey.span_ns:
            yield (
                f"{survey.market_id}: the last {survey.unpriced_ns / NS_PER_SECOND:,.0f} s of "
                f"{survey.span_ns / NS_PER_SECOND:,.0f} s give no price that can be used: see what is refused"
            )


def _is_scaled(survey: MarketSurvey) -> bool:
    units = survey.grid.units
    return units > 0 and units % (SCALED_STEP * UNITS) == 0 and survey.prices[0] > SCALED_FROM
