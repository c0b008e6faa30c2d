"""Order terms: the complete form, the shorthands, and all that cannot be read."""

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from decision_schema.errors import ContractError
from decision_schema.terms import MAX_ORDERS, TERM_KEYS, OrderTerms, read_terms


def short(terms):
    return None if terms is None else [(t.side, t.price, t.size, t.time_in_force) for t in terms]


@pytest.mark.parametrize(
    ("params", "terms"),
    [
        ({}, None),
        ({"value": 0.5}, None),
        ({"size": 2}, None),
        ({"price": 0.5, "size": 2}, None),  # no side
        ({"bid": None, "ask": None, "size": 2}, None),
        ({"orders": []}, []),
        ({"orders": (), "bid": 0.5}, []),  # the complete form wins
        ({"bid": 0.49, "ask": 0.51, "size": 2}, [("buy", 0.49, 2.0, "GTC"), ("sell", 0.51, 2.0, "GTC")]),
        ({"bid": 0.49}, [("buy", 0.49, None, "GTC")]),
        ({"ask": 1, "ask_size": 3, "size": 2}, [("sell", 1.0, 3.0, "GTC")]),
        ({"bid": 1, "ask": 2, "bid_size": 3}, [("buy", 1.0, 3.0, "GTC"), ("sell", 2.0, None, "GTC")]),
        ({"bid": 0.5, "side": "sell"}, [("buy", 0.5, None, "GTC")]),  # a quote wins over one order
        ({"side": "buy"}, [("buy", None, None, "IOC")]),
        ({"side": "sell", "price": 0.5, "size": 2}, [("sell", 0.5, 2.0, "GTC")]),
        ({"side": "buy", "size": 2, "price": None}, [("buy", None, 2.0, "IOC")]),
        ({"orders": [{"side": "buy"}]}, [("buy", None, None, "GTC")]),
        ({"orders": [{"side": "buy", "price": -37.5, "size": 1}]}, [("buy", -37.5, 1.0, "GTC")]),
        ({"orders": [OrderTerms(side="sell", price=1, size=2)]}, [("sell", 1.0, 2.0, "GTC")]),
    ],
)
def test_forms(params, terms):
    assert short(read_terms(params)) == terms


@pytest.mark.parametrize(
    "number",
    [2, 2.0, Decimal(2), Fraction(2), np.float64(2), np.float32(2), np.int64(2)],
    ids=lambda n: type(n).__name__,
)
def test_every_kind_of_number(number):
    for params in (
        {"bid": number, "size": number},
        {"side": "buy", "price": number, "size": number},
        {"orders": [{"side": "buy", "price": number, "size": number}]},
        {"orders": [OrderTerms(side="buy", price=number, size=number)]},
    ):
        (term,) = read_terms(params)
        assert (term.price, term.size) == (2.0, 2.0)
        assert type(term.price) is type(term.size) is float


BAD_NUMBERS = [
    *(math.nan, math.inf, -math.inf, "1", True, [1], {}, b"1", 1j, 10**400, Fraction(10**400)),
    *(Decimal("NaN"), Decimal("sNaN"), np.float32("nan"), np.bool_(True)),
]


@pytest.mark.parametrize("bad", BAD_NUMBERS, ids=lambda bad: type(bad).__name__)
def test_no_number(bad):
    for params in (
        {"bid": bad},
        {"bid": 1, "size": bad},
        {"ask": 1, "ask_size": bad},
        {"side": "buy", "price": bad},
        {"side": "buy", "size": bad},
        {"orders": [{"side": "buy", "price": bad}]},
        {"orders": [{"side": "buy", "size": bad}]},
        {"orders": [OrderTerms(side="buy", size=bad)]},
    ):
        with pytest.raises(ContractError, match=r"params: .*: give a (finite )?number"):
            read_terms(params)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"bid": 1, "size": 0}, "size is 0.0: give a finite number > 0"),
        ({"bid": 1, "size": -1}, "size is -1.0: give a finite number > 0"),
        ({"side": "long"}, "side: Invalid enum value 'long'"),
        ({"side": 1}, "side: Expected `str`"),
        ({"side": []}, "side: Expected `str`"),
        ({"orders": None}, "orders is of type NoneType: give a list of dicts"),
        ({"orders": {"side": "buy"}}, "orders is of type dict"),
        ({"orders": "buy"}, "orders is of type str"),
        ({"orders": [None]}, r"orders\[0\] is of type NoneType: give a dict"),
        ({"orders": [{}]}, r"orders\[0\]: Object missing required field `side`"),
        ({"orders": [{"side": "buy", "colour": 1}]}, "unknown field `colour`"),
        ({"orders": [{"side": "buy", 5: 1}]}, r"orders\[0\]"),
        ({"orders": [{"side": "buy", "level": 16}]}, "level is 16: give 0 to 15"),
        ({"orders": [{"side": "buy", "level": -1}]}, "level is -1"),
        ({"orders": [{"side": "buy", "level": 1.5}]}, "Expected `int`"),
        ({"orders": [{"side": "buy", "level": True}]}, "Expected `int`"),
        ({"orders": [{"side": "buy", "ttl_ms": 0}]}, "ttl_ms is 0: give a number > 0"),
        ({"orders": [{"side": "buy", "time_in_force": "DAY"}]}, "Invalid enum value 'DAY'"),
        ({"orders": [{"side": "buy", "post_only": 1}]}, "Expected `bool`"),
        ({"orders": [{"side": "buy", "market_id": 5}]}, "Expected `str`"),
        ({"orders": [OrderTerms(side="up")]}, "Invalid enum value 'up'"),
        ({"orders": [OrderTerms(side="buy", level="0")]}, "Expected `int`"),
        ({"orders": [OrderTerms(side="buy", market_id=[])]}, "Expected `str`"),
        ({"orders": [{"side": "buy"}, {"side": "buy"}]}, "share a market, a side and a level"),
        ({"orders": [{"side": "buy", "level": i % 16} for i in range(17)]}, "17 orders: give at most 16"),
    ],
)
def test_what_cannot_be_read(params, message):
    with pytest.raises(ContractError, match=message):
        read_terms(params)


def test_places_of_orders():
    orders = [{"side": side, "level": level} for side in ("buy", "sell") for level in range(8)]
    assert len(read_terms({"orders": orders})) == MAX_ORDERS
    other = {"side": "buy", "market_id": "B"}
    assert [term.market_id for term in read_terms({"orders": [{"side": "buy"}, other]})] == ["", "B"]


def test_what_was_given_stays():
    raw = {"side": "buy", "price": np.float64(1), "size": 1}
    params = {"orders": [raw]}
    read_terms(params)
    assert params == {"orders": [raw]}
    assert list(raw) == ["side", "price", "size"]
    assert {"value", "orders"} - TERM_KEYS == {"value"}
