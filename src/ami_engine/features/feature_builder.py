"""The stateless door to the features: one event and some past mids in, named features out."""

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from numbers import Integral, Real
from typing import Any

from ami_engine.features.catalogue import named
from ami_engine.kernels.book_builder import BookBuilder, build
from ami_engine.kernels.features import (
    SAMPLES_REMEMBERED,
    MarketState,
    accept_book,
    new_market_state,
    refresh_features,
    sample_mid,
)
from decision_schema.decode_event import MAX_NS, decode_event
from decision_schema.errors import ContractError
from decision_schema.events import Event
from decision_schema.instruments import DEFAULT_INSTRUMENT, Instrument
from decision_schema.reasons import AWAITING_SNAPSHOT, NAMES, OK, text_of
from decision_schema.units import NS_PER_MS, NS_PER_SECOND, UnixMs, UnixNs


def build_features(
    event: Mapping[str, Any],
    mid_history: Sequence[float],
    now_ms: UnixMs | float,
    instrument: Instrument | None = None,
) -> dict[str, float]:
    """Compute the features that one book and past mids determine, by the formulas of the loop.

    Args:
        event: A market event as a source yields it. Without a time, `now_ms` is its time.
        mid_history: The mids of successive samples (one second apart in the loop), oldest first.
        now_ms: The present, milliseconds.
        instrument: Grid, fees and price bounds; None = tick 0.01, no fees, prices above 0.

    Returns:
        Features by name; what cannot be known from these inputs is absent.

    Raises:
        ContractError: An argument cannot be used; the message says which and why.

    >>> event = {"mid": 0.5, "bid": 0.49, "ask": 0.51, "depth": 100}
    >>> features = build_features(event=event, mid_history=[0.49, 0.50, 0.51], now_ms=1234567890)
    >>> features["mid"], features["spread_bps"], features["depth"]
    (0.5, 400.0, 100.0)
    """
    now_ns = _now_ns(now_ms)
    if instrument is not None and not isinstance(instrument, Instrument):
        raise ContractError(f"instrument is a {type(instrument).__name__}: give an Instrument or None")
    m = new_market_state(DEFAULT_INSTRUMENT if instrument is None else instrument, NS_PER_SECOND)
    decoded = _decoded(event)
    for mid in _known_mids(mid_history)[-SAMPLES_REMEMBERED:]:
        sample_mid(m, mid)
    if decoded.has_book:
        _load_book(m, decoded, now_ns)
    refresh_features(m, now_ns)
    return named(m.features)


def _decoded(event: object) -> Event:
    if not isinstance(event, Mapping):
        raise ContractError(
            f"event is a {type(event).__name__}: give a dict like {{'bid': 0.49, 'ask': 0.51}}"
        )
    decoded = decode_event(event)
    if decoded.bad is not None:
        field = decoded.bad.reason.partition(":")[2]
        seen = f" is a {type(event[field]).__name__}" if field in event else ""
        raise ContractError(f"event[{field!r}]{seen}: {text_of(decoded.bad.reason)}; mend it or leave it out")
    return decoded


def _load_book(m: MarketState, event: Event, now_ns: UnixNs) -> None:
    reason = build(BookBuilder(), m.book, event, m.staged, m.price_min, m.price_max)
    book = m.staged
    if reason == AWAITING_SNAPSHOT:
        raise ContractError("event carries changes of a book alone: give bids and asks, the whole of it")
    if reason != OK:
        raise ContractError(
            f"event has bid {book.bid}, ask {book.ask}, mid {book.mid}: {text_of(NAMES[reason])}; "
            f"give prices in ({m.price_min}, {m.price_max}] with bid < ask and mid between"
        )
    stamp = event.received_ns if event.ts_ns is None else event.ts_ns
    accept_book(m, now_ns if stamp is None else stamp)


def _now_ns(now_ms: object) -> UnixNs:
    number = _finite(now_ms, "now_ms", "milliseconds since 1970")
    now_ns = int(now_ms) * NS_PER_MS if isinstance(now_ms, Integral) else int(number * NS_PER_MS)
    if not 0 <= now_ns <= MAX_NS:
        raise ContractError(f"now_ms is {now_ms}: give milliseconds since 1970, 0 to {MAX_NS // NS_PER_MS}")
    return now_ns


def _known_mids(mid_history: Any) -> list[float]:
    mids = mid_history.tolist() if hasattr(mid_history, "tolist") else mid_history  # an array is welcome
    if isinstance(mids, str | bytes) or not isinstance(mids, Sequence):
        raise ContractError(
            f"mid_history is a {type(mid_history).__name__}: give a list of mids, oldest first"
        )
    return [_finite(mid, f"mid_history[{i}]", "a finite number") for i, mid in enumerate(mids)]


def _finite(value: Any, field: str, wanted: str) -> float:
    if isinstance(value, bool) or not isinstance(value, Real | Decimal):
        raise ContractError(f"{field} is a {type(value).__name__}: give {wanted}")
    try:
        number = float(value)
    except (OverflowError, ValueError):  # a huge int, a signalling nan
        number = math.nan
    if not math.isfinite(number):
        raise ContractError(f"{field} is a {type(value).__name__} that is not finite: give {wanted}")
    return number
