"""Which column holds what: common names, the user's mapping, levels, and what cannot be told."""

import pytest

from ami_engine.adapters.tables.columns import check_columns, find_places
from decision_schema.errors import ConfigError, MarketDataError


def find(header, columns=None, rows="auto"):
    names = header.split(",") if header else []
    return find_places("a.csv", names, len(names) or 3, columns or {}, rows)


@pytest.mark.parametrize(
    ("header", "kind", "at"),
    [
        ("timestamp,bid,ask", "quotes", {"ts": 0, "bid": 1, "ask": 2}),
        ("Bid Price,OFFER,Time", "quotes", {"ts": 2, "bid": 0, "ask": 1}),
        ("DT,EX,BID,BIDSIZ,OFR,OFRSIZ,SYMBOL", "quotes",
         {"ts": 0, "market_id": 6, "bid": 2, "ask": 4, "bid_size": 3, "ask_size": 5}),
        ("DT,EX,SYMBOL,COND,SIZE,PRICE,CORR", "trades", {"ts": 0, "market_id": 2, "price": 5, "size": 4}),
        ("exchange,symbol,timestamp,local_timestamp,ask_amount,ask_price,bid_price,bid_amount", "quotes",
         {"ts": 2, "received": 3, "market_id": 1, "bid": 6, "ask": 5, "bid_size": 7, "ask_size": 4}),
        ("exchange,symbol,timestamp,local_timestamp,id,side,price,amount", "trades",
         {"ts": 2, "received": 3, "market_id": 1, "price": 6, "size": 7, "side": 5, "trade_id": 4}),
        ("exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount", "deltas",
         {"ts": 2, "received": 3, "market_id": 1, "price": 6, "size": 7, "side": 5, "is_snapshot": 4}),
        ("id,timestamp,exchange.timestamp,price,volume,action,direction", "orders",
         {"ts": 1, "price": 3, "size": 4, "side": 6, "order_id": 0, "action": 5}),
        ("ts_recv,ts_event,rtype,publisher_id,instrument_id,action,side,price,size,order_id,sequence", "orders",
         {"ts": 1, "received": 0, "price": 7, "size": 8, "side": 6, "order_id": 9, "action": 5}),
    ],
)  # fmt: skip
def test_common_names_are_known(header, kind, at):
    places = find(header)
    assert (places.kind, places.at) == (kind, at)


@pytest.mark.parametrize(
    ("header", "bids", "asks"),
    [
        ("ts,bid_price_00,bid_size_00,ask_price_00,ask_size_00", ((1, 2),), ((3, 4),)),
        ("ts_event,bid_px_00,ask_px_00,bid_sz_00,ask_sz_00,bid_ct_00,ask_ct_00,bid_px_01,ask_px_01,bid_sz_01,ask_sz_01",
         ((1, 3), (7, 9)), ((2, 4), (8, 10))),
        ("timestamp,asks[0].price,asks[0].amount,bids[0].price,bids[0].amount,asks[1].price,asks[1].amount",
         ((3, 4),), ((1, 2), (5, 6))),
        ("time,bid1_price,bid1_qty,ask1_price,ask1_qty", ((1, 2),), ((3, 4),)),
        ("ts,bid_price_10,bid_size_10,bid_price_9,bid_size_9,ask_price_9", ((3, 4), (1, 2)), ()),
    ],
)  # fmt: skip
def test_levels_are_known_by_their_names(header, bids, asks):
    places = find(header)
    assert (places.kind, places.bids, places.asks) == ("quotes", bids, asks)
    assert not {"bid", "ask", "bid_size", "ask_size"} & places.at.keys()


def test_the_users_mapping_is_all_there_is():
    places = find("a,b,timestamp,size", {"ts": "a", "bid": "B", "ask": 2})
    assert places.at == {"ts": 0, "bid": 1, "ask": 2}
    assert find("", {"received": 0, "price": 1, "size": 2}).at == {"received": 0, "price": 1, "size": 2}
    assert find("t,bid_price_0,bid_size_0", {"ts": "t"}).bids == ((1, 2),)
    assert find("t,p,bid_price_0,bid_size_0", {"ts": "t", "bid": "p"}).bids == ()


def test_numbers_of_messages_are_never_guessed():
    assert not {"seq", "prev_seq", "status"} & find("timestamp,seq,prev_seq,status,bid,ask").at.keys()


@pytest.mark.parametrize(
    ("header", "columns", "rows", "message"),
    [
        ("time,bid,ask", {"ts": "tyme", "bid": "bid", "ask": "ask"}, "auto",
         "a.csv has no column 'tyme' for ts: did you mean 'time'? It has: time, bid, ask"),
        ("time,bid,ask", {"ts": "zzzz"}, "auto", "a.csv has no column 'zzzz' for ts: it has: time, bid, ask"),
        ("time,x,x", {"ts": "time", "bid": "x"}, "auto",
         "a.csv has 2 columns 'x': give the index of the one for bid"),
        ("ts,bid,ask,bid", {}, "auto",
         ("a.csv has 2 columns 'bid', at 1, 3: give the index of the one that counts, such as "
         "columns = {ts = 0, bid = 1, ask = 2}")),
        ("ts,bid_price_00,bid_size_00, bid_size_00", {}, "auto",
         ("a.csv has 2 columns 'bid_size_00', at 2, 3: give the index of the one that counts, such as "
         "columns = {ts = 0, bid = 1, ask = 2}")),
        ("time,bid,ask", {"ts": 7}, "auto", "a.csv: columns: ts is 7, but a row has 3 columns: give 0 to 2"),
        ("", {"ts": "time"}, "auto",
         "a.csv: columns: ts is 'time', but the file has no header: give the index, 0 first"),
        ("time,open,close", {}, "auto",
         ("a.csv: no columns of bid and ask, nor of price and size: give columns, such as "
         "columns = {ts = 'time', bid = 'b', ask = 'a'}. It has: time, open, close")),
        ("time,bid,ask,price,size", {}, "auto",
         "a.csv has quotes and trades in a row: set rows = 'quotes' or 'trades'"),
        ("bid,ask,x", {}, "auto",
         "a.csv: rows of quotes need a column of ts: give columns = {ts = '…'}. It has: bid, ask, x"),
        ("time,price,x", {}, "trades",
         "a.csv: rows of trades need a column of size: give columns = {size = '…'}. It has: time, price, x"),
        ("", {"ts": 0, "price": 1}, "quotes",
         "a.csv: rows of quotes need a column of bid and ask: give columns = {bid = 1, ask = 2}."),
    ],
)  # fmt: skip
def test_what_is_missing_is_said_in_one_line(header, columns, rows, message):
    with pytest.raises(MarketDataError) as caught:
        find(header, columns, rows)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"tss": "x"}, "columns: the field 'tss' is unknown: did you mean 'ts'?"),
        ({"zzz": "x"}, ("columns: the field 'zzz' is unknown: give one of ts, received, seq, prev_seq, market_id, bid, "
         "ask, bid_size, ask_size, price, size, side, trade_id, order_id, action, is_snapshot, status")),
        ({"ts": -1}, "columns: ts is -1: give a column's name, or its index from 0 on"),
        ({"ts": True}, "columns: ts is True: give a column's name, or its index from 0 on"),
        ("ts", "columns is 'ts': give a table such as {ts = 'time', bid = 'b', ask = 'a'}"),
    ],
)  # fmt: skip
def test_a_mapping_that_is_none_is_refused(columns, message):
    with pytest.raises(ConfigError) as caught:
        check_columns(columns)
    assert str(caught.value) == message


def test_a_name_that_comes_twice_matters_only_where_it_is_needed():
    assert find("ts,bid,ask,flag,flag").at == {"ts": 0, "bid": 1, "ask": 2}
    assert find("ts,bid,ask,bid", {"ts": "ts", "bid": 3, "ask": "ask"}).at == {"ts": 0, "bid": 3, "ask": 2}
