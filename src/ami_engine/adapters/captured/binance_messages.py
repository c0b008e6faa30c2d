"""What the messages of Binance mean, spot and futures: their kinds, and the parts of an event."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from ami_engine.adapters.captured.capture_peek import ACKNOWLEDGEMENT, NO_MARKET, Message
from ami_engine.adapters.captured.capture_values import (
    INFINITY,
    Unusable,
    best_first,
    levels,
    number,
    trade_time,
    venue_time,
    whole,
)

QUOTE = "bookTicker"
CHANGES = "depth"
TRADE = "trade"
SUMMED_TRADE = "aggTrade"
MARK = "markPrice"
SNAPSHOT = "snapshot"
TOP_LEVELS = "partial"
"""Kind of the 5, 10 or 20 best levels, sent again and again: on futures they look like changes."""
OTHER = "other"
ON_MARKET = "MARKET"
"""Futures: a trade of the public book. Others come from the insurance fund or from deleveraging."""

_KIND_OF_EVENT = {
    "bookTicker": QUOTE,
    "depthUpdate": CHANGES,
    "trade": TRADE,
    "aggTrade": SUMMED_TRADE,
    "markPriceUpdate": MARK,
}
_TOP_STREAMS = frozenset({"depth5", "depth10", "depth20"})
_PLAIN_STREAMS = frozenset({QUOTE, CHANGES, TRADE, SUMMED_TRADE, MARK})
_QUOTE_KEYS = frozenset("ubBaA")


def sort_message(message: dict[str, Any]) -> Message:
    """Say what a message is: by its stream, else by its event type, else by its keys.

    Raises:
        Unusable: It is no message of Binance, or the venue's word of an error.

    >>> sort_message({"stream": "btcusdt@depth@100ms", "data": {"s": "BTCUSDT"}})[:2]
    ('depth', 'BTCUSDT')
    >>> sort_message({"lastUpdateId": 7, "bids": [], "asks": []})[:2]
    ('snapshot', '')
    """
    stream = message.get("stream")
    if type(stream) is not str:
        return _sort_raw(message)
    data = message.get("data")
    if type(data) is not dict:
        return Message(NO_MARKET, "", {})  # a list about all symbols
    kind, symbol = kind_of_stream(stream)
    if kind == OTHER and "lastUpdateId" in data:
        kind = SNAPSHOT
    return _named(kind, _symbol_of(data) or symbol, data, stream)


def _sort_raw(data: dict[str, Any]) -> Message:
    event = data.get("e")
    if type(event) is str:
        return _named(_KIND_OF_EVENT.get(event, OTHER), _symbol_of(data), data, event)
    if data.keys() >= _QUOTE_KEYS:
        return Message(QUOTE, _symbol_of(data), data)
    if "lastUpdateId" in data:
        return Message(SNAPSHOT, _symbol_of(data), data)
    if "error" in data or ("code" in data and "msg" in data):
        raise Unusable("venue_error")
    if "result" in data and not isinstance(data["result"], dict):
        return Message(ACKNOWLEDGEMENT, "", data)
    raise Unusable("unknown_message")


def _named(kind: str, symbol: str, data: dict[str, Any], stream: str) -> Message:
    if kind == OTHER:
        return Message(kind if symbol else NO_MARKET, symbol, {**data, "stream": stream})
    return Message(kind, symbol, data)


def _symbol_of(data: Mapping[str, Any]) -> str:
    symbol = data.get("s") or data.get("symbol")
    if symbol is None and isinstance(order := data.get("o"), dict):  # a liquidation
        symbol = order.get("s")
    return symbol.upper() if type(symbol) is str else ""


@lru_cache(maxsize=256)
def kind_of_stream(stream: str) -> tuple[str, str]:
    """Read the name of a stream as kind and symbol.

    >>> kind_of_stream("btcusdt@depth5@100ms"), kind_of_stream("!bookTicker")
    (('partial', 'BTCUSDT'), ('bookTicker', ''))
    """
    symbol, _, rest = stream.partition("@")
    if symbol.startswith("!"):
        symbol, rest = "", symbol[1:]
    name = rest.partition("@")[0]
    kind = TOP_LEVELS if name in _TOP_STREAMS else name if name in _PLAIN_STREAMS else OTHER
    return kind, symbol.upper()


def quote_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """Read a best bid and ask; a side without price or size is empty.

    Raises:
        Unusable: A field is missing or no number.
    """
    bid, bid_size = number(data, "b"), number(data, "B")
    ask, ask_size = number(data, "a"), number(data, "A")
    book_seq = whole(data, "u")
    return {
        "channel": QUOTE,
        **time_of(data),
        "seq": book_seq,
        "book_seq": book_seq,
        "bid": bid if bid > 0.0 and bid_size > 0.0 else None,
        "bid_size": bid_size if bid > 0.0 else 0.0,
        "ask": ask if ask > 0.0 and ask_size > 0.0 else None,
        "ask_size": ask_size if ask > 0.0 else 0.0,
    }


def changes_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """Read changes of levels: futures name the message before (``pu``), spot the first update (``U``).

    Raises:
        Unusable: A field is missing or no number.
    """
    seq = whole(data, "u")
    deltas = [("buy", price, size) for price, size in levels(data, "b")]
    deltas += [("sell", price, size) for price, size in levels(data, "a")]
    return {
        "channel": CHANGES,
        **time_of(data),
        "seq": seq,
        "prev_seq": whole(data, "pu") if "pu" in data else max(0, whole(data, "U") - 1),
        "book_seq": seq,
        "deltas": deltas,
    }


def snapshot_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """Read levels that replace the book; on futures the 20 best have the keys of changes.

    Raises:
        Unusable: A field is missing or no number.
    """
    bids, asks, seq = ("bids", "asks", "lastUpdateId") if "lastUpdateId" in data else ("b", "a", "u")
    return {
        "channel": SNAPSHOT,
        **time_of(data),
        "book_seq": whole(data, seq),
        "bids": best_first(levels(data, bids), highest=True),
        "asks": best_first(levels(data, asks), highest=False),
    }


def trade_of(data: Mapping[str, Any], channel: str) -> dict[str, Any]:
    """Read a trade, single or summed; one that was not made on the market leaves only its number.

    Raises:
        Unusable: A field is missing or no number.
    """
    seq = whole(data, "t" if channel == TRADE else "a")
    price, size = number(data, "p"), number(data, "q")
    maker_bought = data.get("m")
    if type(maker_bought) is not bool:
        raise Unusable("missing_field:m" if maker_bought is None else "bad_number:m")
    event = {"channel": channel, **time_of(data), "seq": seq, "prev_seq": max(0, seq - 1)}
    origin = data.get("X", ON_MARKET)
    if origin != ON_MARKET or price == 0.0 or size == 0.0:
        return {**event, "origin": str(origin)}
    side = "sell" if maker_bought else "buy"
    trade = {"price": price, "size": size, "aggressor_side": side, **trade_time(data, "T")}
    return {**event, "trades": [trade]}


def mark_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """Read the mark price and the funding rate to come, which nobody pays yet.

    Raises:
        Unusable: A field is missing or no number.
    """
    event = {"channel": MARK, **time_of(data), "mark_price": number(data, "p")}
    if data.get("i"):
        event["index_price"] = number(data, "i")
    if data.get("r"):
        event["funding_rate_next"] = number(data, "r", -INFINITY)
    if data.get("T"):
        event["funding_due_ms"] = whole(data, "T")
    return event


def time_of(data: Mapping[str, Any]) -> dict[str, int]:
    """Read the time of the message, else that of what it tells; spot quotes carry none."""
    return venue_time(data, "E" if "E" in data else "T")
