"""HyperliquidSource and BybitSource: raw websocket captures of two more venues."""

from collections.abc import Mapping
from typing import Any

from ami_engine.adapters.captured.capture_lines import CaptureSource
from ami_engine.adapters.captured.capture_peek import ACKNOWLEDGEMENT, NO_MARKET, Message
from ami_engine.adapters.captured.capture_values import (
    Unusable,
    best_first,
    levels,
    number,
    trade_time,
    venue_time,
    whole,
)

BOOK = "l2Book"
TRADES = "trades"
_HYPERLIQUID_ANSWERS = frozenset({"subscriptionResponse", "pong"})
_HYPERLIQUID_SIDES = {"B": "buy", "A": "sell"}

ORDERBOOK = "orderbook"
PUBLIC_TRADES = "publicTrade"
_BYBIT_SIDES = {"Buy": "buy", "Sell": "sell"}


class HyperliquidSource(CaptureSource):
    """Yield the messages of raw Hyperliquid captures, one event for each; see `CaptureSource`.

    Read are books of up to 20 levels a side (``l2Book``) and ``trades``, which carry the venue's ids
    as ``trade_ids``. The first message of ``trades`` tells of trades before the capture.
    """

    venue = "Hyperliquid"

    def sort(self, message: dict[str, Any]) -> Message:
        """Say what kind of message it is, and of which coin."""
        channel, data = message.get("channel"), message.get("data")
        if type(channel) is not str:
            raise Unusable("unknown_message")
        if channel in _HYPERLIQUID_ANSWERS:
            return Message(ACKNOWLEDGEMENT, "", {})
        if channel == TRADES and type(data) is list and data:
            return Message(channel, _coin_of(data), {TRADES: data})
        if type(data) is not dict:
            return Message(NO_MARKET, "", {})
        coin = data.get("coin")
        if type(coin) is not str or not coin:
            return Message(NO_MARKET, "", {})
        return Message(BOOK if channel == BOOK else "other", coin, {**data, "stream": channel})

    def parts_of(self, kind: str, data: dict[str, Any], symbol: str) -> dict[str, Any]:
        """Return the keys of the event: all but its market and our time of receipt."""
        if kind == BOOK:
            return _book_of(data)
        if kind == TRADES:
            trades = [
                _trade_of(item, "px", "sz", "side", _HYPERLIQUID_SIDES, "time") for item in data[TRADES]
            ]
            ids = [item["tid"] for item in data[TRADES] if "tid" in item]
            times = [trade["ts_ns"] for trade in trades if "ts_ns" in trade]
            latest = {"ts_ns": max(times)} if times else {}
            return {"channel": TRADES, **latest, "trades": trades, "trade_ids": ids}
        return {"channel": "other", **venue_time(data, "time"), "stream": data["stream"]}


def _coin_of(trades: list[Any]) -> str:
    coins = [item.get("coin") if type(item) is dict else None for item in trades]
    if type(coins[0]) is not str or any(coin != coins[0] for coin in coins):
        raise Unusable("bad_coin")
    return coins[0]


def _book_of(data: Mapping[str, Any]) -> dict[str, Any]:
    sides = data.get("levels")
    if type(sides) is not list or len(sides) != 2:
        raise Unusable("missing_field:levels" if sides is None else "bad_number:levels")
    bids, asks = (levels({"levels": side}, "levels", "px", "sz") for side in sides)
    return {
        "channel": BOOK,
        **venue_time(data, "time"),
        "bids": best_first(bids, highest=True),
        "asks": best_first(asks, highest=False),
    }


class BybitSource(CaptureSource):
    """Yield the messages of raw Bybit captures (v5), one event for each; see `CaptureSource`.

    Read are ``orderbook``, a snapshot and then changes, and ``publicTrade``; block trades are left
    out of it. Other topics give events without parts.
    """

    venue = "Bybit"

    def sort(self, message: dict[str, Any]) -> Message:
        """Say what kind of message it is, and of which symbol."""
        topic, data = message.get("topic"), message.get("data")
        if type(topic) is not str:
            if "op" in message or "success" in message:
                return Message(ACKNOWLEDGEMENT, "", {})
            raise Unusable("unknown_message")
        kind, _, rest = topic.partition(".")
        symbol = rest.rpartition(".")[2].upper()
        known = kind in (ORDERBOOK, PUBLIC_TRADES)
        return Message(kind if known or symbol else NO_MARKET, symbol, {**message, "data": data})

    def parts_of(self, kind: str, data: dict[str, Any], symbol: str) -> dict[str, Any]:
        """Return the keys of the event: all but its market and our time of receipt."""
        event = {"channel": str(data["topic"]).removesuffix(f".{symbol}"), **venue_time(data, "ts")}
        if kind == ORDERBOOK:
            return event | _changes_of(data)
        if kind == PUBLIC_TRADES:
            items = data["data"] if type(data["data"]) is list else [data["data"]]
            shown = [item for item in items if not (type(item) is dict and item.get("BT") is True)]
            if len(shown) < len(items):
                self.counts["block_trade"] += len(items) - len(shown)
            return event | {"trades": [_trade_of(item, "p", "v", "S", _BYBIT_SIDES, "T") for item in shown]}
        return {**event, "channel": "other", "stream": data["topic"]}


def _changes_of(message: Mapping[str, Any]) -> dict[str, Any]:
    data = message["data"]
    if type(data) is not dict:
        raise Unusable("missing_field:data")
    seq = whole(data, "u")
    bids, asks = levels(data, "b"), levels(data, "a")
    event: dict[str, Any] = {"seq": seq, "book_seq": seq}
    if message.get("type") == "snapshot":
        event["bids"] = best_first(bids, highest=True)
        event["asks"] = best_first(asks, highest=False)
        return event
    event["prev_seq"] = max(0, seq - 1)
    event["deltas"] = [("buy", *level) for level in bids] + [("sell", *level) for level in asks]
    return event


def _trade_of(
    item: Any, price: str, size: str, side: str, sides: Mapping[str, str], time: str
) -> dict[str, Any]:
    """Read one trade by the names of its fields."""
    if type(item) is not dict:
        raise Unusable("missing_field:data")
    taken = item.get(side)
    if type(taken) is not str or taken not in sides:
        raise Unusable(f"missing_field:{side}" if taken is None else f"bad_side:{side}")
    trade = {"price": number(item, price), "size": number(item, size), "aggressor_side": sides[taken]}
    for field, name in ((price, "price"), (size, "size")):
        if trade[name] == 0.0:
            raise Unusable(f"bad_number:{field}")
    return trade | trade_time(item, time)
