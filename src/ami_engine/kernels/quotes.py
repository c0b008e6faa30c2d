"""The single prices and sizes of an event, merged over the levels that are staged.

The part of the book builder that knows no levels: `book_builder.build` uses it for events, and
`kernels/admission.py` for rows of a table.
"""

from dataclasses import dataclass

from ami_engine.kernels.book import NAN, Book, check_book, copy_book
from decision_schema.kernel import kernel
from decision_schema.reasons import CROSSED_BOOK, LOCKED_BOOK, OK, PRICE_JUMP

BID, ASK, MID, BID_SIZE, ASK_SIZE, BID_DEPTH, ASK_DEPTH, DEPTH = 1, 2, 4, 8, 16, 32, 64, 128
"""Bits of `Parts.carried`."""
QUOTE = BID_SIZE | ASK_SIZE
"""With one of these each price that is carried is a quote."""
TOP = BID | ASK
BIDS, ASKS = BID | BID_SIZE, ASK | ASK_SIZE
SHOWS_BIDS, SHOWS_ASKS = BIDS | BID_DEPTH, ASKS | ASK_DEPTH
MAX_PRICE_FACTOR = 100.0
NONE = -1
INFINITY = float("inf")


@dataclass(slots=True)
class Parts:
    """What an event says in single numbers; nan where it says that there is none, or does not say.

    Args:
        carried: Bits of what it carries; 0 = nothing.
        levels_bids: 1 = it tells levels or orders of the bids, which are staged; likewise asks.
        book_seq: State of the book that it shows; -1 = not numbered.
    """

    carried: int = 0
    levels_bids: int = 0
    levels_asks: int = 0
    book_seq: int = NONE
    bid: float = NAN
    ask: float = NAN
    mid: float = NAN
    bid_size: float = NAN
    ask_size: float = NAN
    bid_depth: float = NAN
    ask_depth: float = NAN
    depth: float = NAN


@dataclass(slots=True)
class QuoteState:
    """What is known of a book from quotes, and whether what is staged is doubted.

    Args:
        quoted_bid: 1 = a quote newer than the levels stands before the bids; likewise asks.
        bid: Its price; nan = it says that the side is empty. Likewise `bid_size` to `ask_size`.
        quote_seq: State of the book that the quote shows; -1 = not numbered.
        held: 1 = what is staged is crossed, and the next message is merged over it.
        doubted_mid: Mid of the last event, where it jumped.
        late_quotes: Quotes older than the levels.
    """

    quoted_bid: int = 0
    quoted_ask: int = 0
    bid: float = NAN
    bid_size: float = NAN
    ask: float = NAN
    ask_size: float = NAN
    quote_seq: int = NONE
    held: int = 0
    doubted_mid: float = NAN
    late_quotes: int = 0


@kernel
def build_quote(
    quotes: QuoteState,
    parts: Parts,
    book: Book,
    staged: Book,
    lost: int,
    price_min: float,
    price_max: float,
) -> int:
    """Merge an event without levels, where none are known, over the last valid book; see `build`.

    Args:
        quotes: Moved on also by an event whose book cannot be used.
        parts: What the event says.
        book: The last valid book.
        staged: What it becomes where the answer is OK.
        lost: 1 = levels were known and lost: a side that no quote tells is not known.
        price_min: Prices must be above it.
        price_max: Prices must not be above it.

    >>> quotes, book, staged = QuoteState(), Book(), Book()
    >>> parts = Parts(BID | ASK | BID_SIZE | ASK_SIZE, bid=0.49, ask=0.51, bid_size=5.0, ask_size=2.0)
    >>> build_quote(quotes, parts, book, staged, 0, 0.0, 1.0) == OK, staged.mid, staged.depth
    (True, 0.5, 7.0)
    """
    quoted = parts.carried & QUOTE != 0
    is_whole = quoted and parts.carried & TOP == TOP and parts.book_seq < 0  # nothing of the last one stays
    if quotes.held == 0 and not is_whole:
        copy_book(book, staged)
    if not quoted:
        merge_parts(parts, staged)
    elif take_quote(quotes, parts, staged, NONE) == 1:
        show_quotes(quotes, staged, lost)
        merge_parts(parts, staged)
    return judge_staged(quotes, staged, book.mid, price_min, price_max)


@kernel
def take_quote(quotes: QuoteState, parts: Parts, staged: Book, levels_seq: int) -> int:
    """Let a quote stand before the levels; 0 = they, or another quote, are newer than it.

    Args:
        quotes: Takes the quote.
        parts: What the event says.
        staged: Gives the price of a side of which only the size is told.
        levels_seq: State of the book that the levels show; -1 = none, or it is not numbered.
    """
    seq = parts.book_seq
    if seq >= 0 and (seq < quotes.quote_seq or seq <= levels_seq):
        quotes.late_quotes += 1
        return 0
    quotes.quote_seq = seq
    if parts.carried & BIDS != 0:
        quotes.bid = parts.bid if parts.carried & BID != 0 else staged.bid
        quotes.bid_size = parts.bid_size
        if parts.bid_size == 0.0:
            quotes.bid = NAN
        quotes.quoted_bid = 1
    if parts.carried & ASKS != 0:
        quotes.ask = parts.ask if parts.carried & ASK != 0 else staged.ask
        quotes.ask_size = parts.ask_size
        if parts.ask_size == 0.0:
            quotes.ask = NAN
        quotes.quoted_ask = 1
    return 1


@kernel
def show_quotes(quotes: QuoteState, staged: Book, lost: int) -> None:
    """Write what quotes tell into the staged book, where no levels are known."""
    if quotes.quoted_bid == 1:
        staged.bid = quotes.bid
        if quotes.bid == quotes.bid:
            staged.n_bids = 1
            staged.bid_depth = quotes.bid_size
            staged.bid_prices[0] = quotes.bid
            staged.bid_sizes[0] = quotes.bid_size
        else:
            staged.n_bids = 0
            staged.bid_depth = 0.0
    elif lost == 1:
        staged.n_bids = 0
        staged.bid_depth = 0.0
        staged.bid = NAN
    if quotes.quoted_ask == 1:
        staged.ask = quotes.ask
        if quotes.ask == quotes.ask:
            staged.n_asks = 1
            staged.ask_depth = quotes.ask_size
            staged.ask_prices[0] = quotes.ask
            staged.ask_sizes[0] = quotes.ask_size
        else:
            staged.n_asks = 0
            staged.ask_depth = 0.0
    elif lost == 1:
        staged.n_asks = 0
        staged.ask_depth = 0.0
        staged.ask = NAN


@kernel
def merge_parts(parts: Parts, staged: Book) -> None:
    """Merge the single prices and sizes of an event over levels that are staged already.

    A carried price without a size at the best replaces its side by one level of the carried (else
    unknown) depth. The depth is the carried one, else the sum of sides where one changed. The mid
    is the carried one, else the middle of a book whose top was carried, else unchanged.
    """
    carried = parts.carried
    quoted = carried & QUOTE != 0  # then each price that it carries is a quote
    has_bids = parts.levels_bids == 1 or carried & BID_SIZE != 0 or (quoted and carried & BID != 0)
    has_asks = parts.levels_asks == 1 or carried & ASK_SIZE != 0 or (quoted and carried & ASK != 0)
    if not has_bids and carried & BID != 0:
        if carried & BID_DEPTH == 0 and parts.bid != staged.bid:
            staged.bid_depth = NAN
        staged.bid = parts.bid
    if not has_asks and carried & ASK != 0:
        if carried & ASK_DEPTH == 0 and parts.ask != staged.ask:
            staged.ask_depth = NAN
        staged.ask = parts.ask
    if carried & BID_DEPTH != 0:
        staged.bid_depth = parts.bid_depth
    if carried & ASK_DEPTH != 0:
        staged.ask_depth = parts.ask_depth
    if not has_bids and carried & (BID | BID_DEPTH) != 0:
        staged.n_bids = 1 if staged.bid == staged.bid else 0
        staged.bid_prices[0] = staged.bid
        staged.bid_sizes[0] = staged.bid_depth
    if not has_asks and carried & (ASK | ASK_DEPTH) != 0:
        staged.n_asks = 1 if staged.ask == staged.ask else 0
        staged.ask_prices[0] = staged.ask
        staged.ask_sizes[0] = staged.ask_depth
    if carried & DEPTH != 0:
        staged.depth = parts.depth
    elif has_bids or has_asks or carried & (BID_DEPTH | ASK_DEPTH) != 0:
        staged.depth = _sum_of_known(staged.bid_depth, staged.ask_depth)
    if carried & MID != 0:
        staged.mid = parts.mid
    elif has_bids or has_asks or carried & (BID | ASK) != 0:
        staged.mid = 0.5 * (staged.bid + staged.ask)


@kernel
def judge_staged(
    quotes: QuoteState, staged: Book, last_mid: float, price_min: float, price_max: float
) -> int:
    """Judge the staged book: OK, or the reason code for which it must not be used.

    A crossed or locked one is held. A mid far from the last one is, too, unless the one before it was
    as far: then it is true. Prices with an upper bound, such as those from 0 to 1, may jump as they like.
    """
    code = check_book(staged, price_min, price_max)
    quotes.held = int(code in (CROSSED_BOOK, LOCKED_BOOK))
    if code != OK:
        return code
    mid = staged.mid
    doubted = quotes.doubted_mid
    quotes.doubted_mid = NAN
    if price_max < INFINITY or not (last_mid > 0.0 and mid > 0.0):
        return OK
    if _near(last_mid, mid) or _near(doubted, mid):
        return OK
    quotes.doubted_mid = mid
    return PRICE_JUMP


@kernel
def _near(price: float, other: float) -> bool:
    return price < other * MAX_PRICE_FACTOR and other < price * MAX_PRICE_FACTOR


@kernel
def _sum_of_known(first: float, second: float) -> float:
    if first != first:
        return second
    if second != second:
        return first
    return first + second
