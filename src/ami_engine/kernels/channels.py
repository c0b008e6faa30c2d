"""The order of messages on the channels of a market: by number, else by time."""

from dataclasses import dataclass, field

from decision_schema.events import UNSET, Event
from decision_schema.kernel import kernel
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


@kernel
def judge_order(channels: Channels, channel: int, seq: int, stamp_ns: int, is_snapshot: int) -> int:
    """Say whether a message follows the last one of its channel: OK, or the reason why not.

    A snapshot numbered 0 or 1 begins a channel anew.

    Args:
        channels: The channels of its market.
        channel: Number of its channel.
        seq: Its number; -1 = none.
        stamp_ns: The time that it carries; -1 = none.
        is_snapshot: 1 = it tells all levels of both sides.

    >>> channels = Channels()
    >>> note_order(channels, 0, 7, -1, -1, 1)
    >>> judge_order(channels, 0, 7, -1, 0) == DUPLICATE_SEQ, judge_order(channels, 0, 9, -1, 0)
    (True, 0)
    """
    if seq < 0:
        return OUT_OF_ORDER if 0 <= stamp_ns < channels.last_ns[channel] else OK
    last = channels.last_seq[channel]
    if last == NONE or seq > last:
        return OK
    if seq == last:
        return DUPLICATE_SEQ
    return OK if seq <= 1 and is_snapshot == 1 else OUT_OF_ORDER


@kernel
def note_order(
    channels: Channels, channel: int, seq: int, prev_seq: int, stamp_ns: int, has_book: int
) -> None:
    """Remember a message that is in order; `prev_seq` is the number of the one that it follows."""
    if seq >= 0:
        last = channels.last_seq[channel]
        if last != NONE and prev_seq > last and has_book == 0:
            channels.lost += 1
        channels.last_seq[channel] = seq
    if stamp_ns > channels.last_ns[channel]:
        channels.last_ns[channel] = stamp_ns


def take_in_order(channels: Channels, channel: int, event: Event) -> int:
    """Judge an event, and remember it where it is in order: OK, or the reason why it is not."""
    seq = NONE if event.seq is None else event.seq
    stamp = event.stamp_ns
    stamp_ns = NONE if stamp is None else stamp
    is_snapshot = int(event.bids is not UNSET and event.asks is not UNSET)
    code = judge_order(channels, channel, seq, stamp_ns, is_snapshot)
    if code == OK:
        before = NONE if event.prev_seq is None else event.prev_seq
        note_order(channels, channel, seq, before, stamp_ns, int(event.has_book))
    return code
