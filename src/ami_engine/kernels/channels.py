"""The order of messages on the channels of a market: by number, else by time."""

from dataclasses import dataclass, field

from decision_schema.events import UNSET, Event
from decision_schema.reasons import DUPLICATE_SEQ, OK, OUT_OF_ORDER

MAX_CHANNELS = 16
"""Channels of one market whose order of arrival is followed apart."""
NONE = -1


def _none_array() -> list[int]:
    return [NONE] * MAX_CHANNELS


@dataclass(slots=True)
class Channels:
    """The last message of each channel.

    Args:
        last_seq: Its number; -1 = none yet.
        last_ns: The latest time of a channel; it orders messages without a number.
        lost: Gaps in the numbers of channels that tell nothing of the book.
    """

    last_seq: list[int] = field(default_factory=_none_array)
    last_ns: list[int] = field(default_factory=_none_array)
    lost: int = 0


def judge_order(channels: Channels, channel: int, event: Event) -> int:
    """Say whether a message follows the last one of its channel: OK, or the reason why not.

    A snapshot numbered 0 or 1 begins a channel anew.

    >>> channels = Channels()
    >>> note_order(channels, 0, Event(seq=7))
    >>> judge_order(channels, 0, Event(seq=7)) == DUPLICATE_SEQ, judge_order(channels, 0, Event(seq=9))
    (True, 0)
    """
    last = channels.last_seq[channel]
    if event.seq is None:
        stamp = event.stamp_ns
        return OUT_OF_ORDER if stamp is not None and stamp < channels.last_ns[channel] else OK
    if last == NONE or event.seq > last:
        return OK
    if event.seq == last:
        return DUPLICATE_SEQ
    anew = event.seq <= 1 and event.bids is not UNSET and event.asks is not UNSET
    return OK if anew else OUT_OF_ORDER


def note_order(channels: Channels, channel: int, event: Event) -> None:
    """Remember a message that is in order."""
    if event.seq is not None:
        last = channels.last_seq[channel]
        if event.prev_seq is not None and event.prev_seq > last != NONE and not event.has_book:
            channels.lost += 1
        channels.last_seq[channel] = event.seq
    stamp = event.stamp_ns
    if stamp is not None and stamp > channels.last_ns[channel]:
        channels.last_ns[channel] = stamp
