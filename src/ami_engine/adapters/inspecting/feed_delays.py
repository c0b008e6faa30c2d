"""How long the messages of recorded data were under way: a table of latencies from it."""

import statistics
from typing import NamedTuple

from ami_engine.ports import MarketDataSource
from decision_schema.decode_event import decode_event
from decision_schema.units import DurationNs, UnixNs


class FeedDelays(NamedTuple):
    """The delays of a source's messages, each interval by its median.

    Args:
        rows: Time of receipt at which an interval begins, and the median delay of its messages.
        messages: Messages that carry both times.
        negative: Messages received before they happened: a clock was off. They count as no delay.
    """

    rows: list[tuple[UnixNs, DurationNs]]
    messages: int
    negative: int


def measure_delays(source: MarketDataSource, interval_ns: DurationNs) -> FeedDelays:
    """Measure the delays of a source: time of receipt less the venue's time, offset applied.

    Args:
        source: Open.
        interval_ns: Length of the intervals; one without a message has no row.
    """
    rows: list[tuple[UnixNs, DurationNs]] = []
    messages = negative = 0
    begun, delays = -1, list[DurationNs]()
    while (raw := source.next_event()) is not None:
        event = decode_event(raw, "default", source.clock_offset_ns)
        if event.bad is not None or event.received_ns is None or event.ts_ns is None:
            continue
        messages += 1
        delay = event.received_ns - event.ts_ns
        negative += delay < 0
        at = event.received_ns - event.received_ns % interval_ns
        if at > begun:
            if delays:
                rows.append((begun, round(statistics.median(delays))))
            begun, delays = at, []
        delays.append(max(0, delay))
    if delays:
        rows.append((begun, round(statistics.median(delays))))
    return FeedDelays(rows, messages, negative)
