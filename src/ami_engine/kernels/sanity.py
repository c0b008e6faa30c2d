"""What was odd about the data of one market lately: crossed, frozen, jumping, with gaps."""

import math
from dataclasses import dataclass

from ami_engine.kernels.book import Book
from decision_schema.kernel import kernel
from decision_schema.reasons import CROSSED_BOOK, GAP, LOCKED_BOOK
from decision_schema.units import NS_PER_MS
from dmc_core.dmc.measures import distance_bps

NAN = math.nan
NONE = -1
_NS_IN_MS = float(NS_PER_MS)


@dataclass(slots=True)
class Sanity:
    """What the guards ask of the data.

    Args:
        crossed_ns: Since when the feed has shown a crossed or locked book; -1 = it does not.
        changed_ns: When the displayed book last changed; -1 = none has been seen.
        gap_ns: When messages of the book were last missed; -1 = never.
        jump_bps: How far the present event moved the mid; nan = not known.
        pause_until_ns: End of the pause after a jump or a halt.
    """

    crossed_ns: int = NONE
    changed_ns: int = NONE
    gap_ns: int = NONE
    jump_bps: float = NAN
    pause_until_ns: int = 0


@kernel
def see_refused(s: Sanity, bad: int, now_ns: int) -> None:
    """Note an event that changes no state, by its reason code.

    >>> s = Sanity()
    >>> see_refused(s, CROSSED_BOOK, 5), see_refused(s, CROSSED_BOOK, 9), s.crossed_ns
    (None, None, 5)
    """
    if bad == CROSSED_BOOK or bad == LOCKED_BOOK:
        if s.crossed_ns < 0:
            s.crossed_ns = now_ns
    elif bad == GAP:
        s.gap_ns = now_ns


@kernel
def see_book(s: Sanity, before: Book, after: Book, now_ns: int) -> None:
    """Note a valid book, `after`, and what it changes.

    >>> s = Sanity()
    >>> see_book(s, Book(bid=0.49, ask=0.51, mid=0.5), Book(bid=0.51, ask=0.53, mid=0.52), 7)
    >>> s.changed_ns, round(s.jump_bps)
    (7, 400)
    """
    s.crossed_ns = NONE
    # A number that is unknown before and after has not changed.
    same = (
        (before.mid == after.mid or (before.mid != before.mid and after.mid != after.mid))
        and (before.bid == after.bid or (before.bid != before.bid and after.bid != after.bid))
        and (before.ask == after.ask or (before.ask != before.ask and after.ask != after.ask))
        and (before.depth == after.depth or (before.depth != before.depth and after.depth != after.depth))
    )
    if not same or s.changed_ns < 0:
        s.changed_ns = now_ns
    s.jump_bps = distance_bps(after.mid, before.mid)


@kernel
def since_ms(then_ns: int, now_ns: int) -> float:
    """Give how long ago something was, in ms; nan where it never was (-1).

    >>> since_ms(1_000_000, 3_500_000), since_ms(-1, 5)
    (2.5, nan)
    """
    return NAN if then_ns < 0 else float(now_ns - then_ns) / _NS_IN_MS


@kernel
def crossed_ms(s: Sanity, now_ns: int) -> float:
    """Give how long the feed has shown a crossed or locked book, in ms; 0 = it does not.

    >>> crossed_ms(Sanity(), 5)
    0.0
    """
    return 0.0 if s.crossed_ns < 0 else since_ms(s.crossed_ns, now_ns)
