"""Data that tell each order: who is ahead of us is known, not guessed."""

from hypothesis import given
from hypothesis import strategies as st

from ami_engine.sim.paper_broker import PaperBroker
from decision_schema.decode_event import decode_event
from decision_schema.events import Fill, Order
from decision_schema.instruments import Instrument

CENTS = Instrument(market_id="M", tick_size="0.01", lot_size="1", price_max=10.0)


class Floor:
    """A market told order by order, and our orders in it."""

    def __init__(self, **settings):
        self.broker = PaperBroker([CENTS], **settings)
        self.now = 0
        self.tell({"op": "clear"})

    def tell(self, *messages, **parts):
        self.now += 1_000_000
        event = decode_event({"market_id": "M", "ts_ns": self.now, "order_messages": list(messages), **parts})
        assert event.bad is None, event.bad
        self.broker.on_event(event, self.now)
        return [
            (r.client_order_id, r.price, r.size)
            for r in self.broker.process_fills(self.now // 1_000_000)
            if isinstance(r, Fill)
        ]

    def join(self, name, price=0.50, size=5.0, side="buy"):
        order = Order(client_order_id=name, market_id="M", side=side, price=price, size=size)
        return self.broker.submit_order(order).status

    def ahead(self, name):
        return next(
            o["queue_ahead"]
            for o in self.broker.get_state()["open_orders"]
            if o["client_order_id"] == name
        )


def add(number, price=0.50, size=10.0, side="buy"):
    return {"op": "add", "order_id": number, "side": side, "price": price, "size": size}


def gone(op, number, price=0.50, size=10.0, side="buy"):
    return {"op": op, "order_id": number, "side": side, "price": price, "size": size}


def opened(**settings):
    floor = Floor(**settings)
    floor.tell(add(1), add(2, size=7.0), add(9, 0.55, 20.0, "sell"))
    assert floor.join("A") == "live"
    floor.tell(add(3, size=30.0))
    assert floor.ahead("A") == 17.0
    return floor


def test_a_cancellation_counts_where_it_stood():
    floor = opened()
    floor.tell(gone("reduce", 3, size=10.0))
    assert floor.ahead("A") == 17.0
    floor.tell(gone("reduce", 1, size=4.0))
    assert floor.ahead("A") == 13.0
    floor.tell(gone("delete", 2, size=7.0))
    assert floor.ahead("A") == 6.0


def test_a_trade_takes_those_ahead_first_and_is_counted_once():
    floor = opened()
    trade = {"price": 0.50, "size": 10.0, "aggressor_side": "sell"}
    assert floor.tell(gone("execute", 1), trades=[trade]) == []
    assert floor.ahead("A") == 7.0
    assert floor.tell(gone("execute", 2, size=7.0)) == []
    assert floor.ahead("A") == 0.0
    assert floor.tell(gone("execute", 3, size=3.0)) == [("A", 0.50, 3.0)]
    assert floor.tell(gone("execute", 3, size=3.0)) == [("A", 0.50, 2.0)]


def test_an_execution_behind_us_proves_that_nobody_is_ahead():
    floor = opened()
    assert floor.tell(gone("execute", 3, size=2.0)) == [("A", 0.50, 2.0)]
    assert floor.ahead("A") == 0.0


def test_an_execution_at_a_worse_price_went_through_ours():
    floor = Floor()
    floor.tell(add(1), add(9, 0.55, 20.0, "sell"))
    floor.join("A", price=0.52)
    assert floor.tell(gone("execute", 1, size=2.0)) == [("A", 0.52, 2.0)]


def test_a_hidden_trade_uses_up_no_displayed_queue():
    floor = opened()
    hidden = {"price": 0.50, "size": 30.0, "aggressor_side": "sell"}
    assert floor.tell(trades=[hidden]) == []
    assert floor.ahead("A") == 17.0
    floor.tell(gone("delete", 1), gone("delete", 2, size=7.0))
    assert floor.tell(trades=[hidden]) == [("A", 0.50, 5.0)]


def test_who_grows_or_moves_goes_to_the_back():
    floor = opened()
    floor.tell({"op": "modify", "order_id": 1, "price": 0.50, "size": 12.0})
    assert floor.ahead("A") == 7.0
    floor.tell({"op": "modify", "order_id": 2, "price": 0.49, "size": 7.0})
    assert floor.ahead("A") == 0.0
    floor.tell({"op": "modify", "order_id": 2, "price": 0.50, "size": 7.0})
    assert floor.ahead("A") == 0.0


def test_who_shrinks_keeps_its_place():
    floor = opened()
    floor.tell({"op": "modify", "order_id": 1, "price": 0.50, "size": 4.0})
    assert floor.ahead("A") == 11.0
    floor.tell(gone("delete", 1, size=4.0))
    assert floor.ahead("A") == 7.0


def test_an_order_from_before_the_data_was_ahead():
    floor = Floor()
    floor.tell(bids=[(0.50, 12.0)], asks=[(0.55, 20.0)])
    floor.tell(add(5, 0.40))
    floor.join("A")
    floor.tell(add(6, size=8.0))
    assert floor.ahead("A") == 12.0
    floor.tell(gone("delete", 4_711, size=9.0))
    assert floor.ahead("A") == 3.0
    floor.tell(gone("delete", 6, size=8.0))
    assert floor.ahead("A") == 3.0


def test_an_unusable_event_moves_the_queue_but_fills_nobody():
    floor = opened()
    floor.tell(gone("delete", 1), gone("delete", 2, size=7.0))
    crossing = add(7, 0.60, 1.0)  # the book is crossed while it stands
    assert floor.tell(crossing) == []
    assert floor.tell(gone("execute", 3, size=3.0)) == []
    assert floor.tell(gone("delete", 7, 0.60, 1.0)) == []
    assert floor.tell(gone("execute", 3, size=3.0)) == [("A", 0.50, 3.0)]


@given(st.data())
def test_the_queue_is_that_of_a_list(data):
    """An oracle: the level as a list of orders, ours among them; whoever stands first trades first."""
    floor = Floor(queue="power")
    level: dict[object, float] = {1: 10.0}
    floor.tell(add(1), add(999, 0.55, 1_000.0, "sell"))
    floor.join("A", size=50.0)
    level["A"] = 50.0
    number = 1
    for _ in range(data.draw(st.integers(1, 25))):
        others = [key for key in level if key != "A"]
        act = data.draw(st.sampled_from(("add", "reduce", "delete", "execute") if others else ("add",)))
        if act == "add":
            number += 1
            size = float(data.draw(st.integers(1, 9)))
            level[number] = size
            floor.tell(add(number, size=size))
            continue
        key = next(iter(others)) if act == "execute" else data.draw(st.sampled_from(others))
        size = level[key] if act == "delete" else float(data.draw(st.integers(1, int(level[key]))))
        keys = list(level)
        ours_first = "A" in level and keys.index("A") < keys.index(key)
        filled = floor.tell(gone(act, key, size=size))
        level[key] -= size
        if level[key] == 0.0:
            del level[key]
        if act == "execute" and ours_first:
            taken = min(size, level["A"])
            assert filled == [("A", 0.50, taken)]
            level["A"] -= taken
            if level["A"] == 0.0:
                return
        else:
            assert filled == []
        keys = list(level)
        ahead = sum(level[key] for key in keys[: keys.index("A")])
        assert floor.ahead("A") == ahead


def test_the_last_order_of_the_market_before_ours_is_ahead():
    floor = Floor()
    floor.tell(add(9, 0.55, 20.0, "sell"), add(7))
    floor.join("A")
    assert floor.tell(gone("execute", 7, size=4.0)) == []
    assert floor.ahead("A") == 6.0


def test_an_order_that_comes_with_the_first_sight_of_our_price_is_ahead():
    floor = Floor()
    floor.tell(add(9, 0.55, 20.0, "sell"), add(7))
    floor.join("A", price=0.45)  # beyond the last level: nobody knows who is ahead
    floor.tell(add(8, 0.45))
    assert floor.ahead("A") == 10.0
    assert floor.tell(gone("execute", 7), gone("execute", 8, 0.45, 4.0)) == []
    assert floor.ahead("A") == 6.0


def test_a_trade_told_by_both_channels_fills_once():
    floor = opened()
    trade = {"price": 0.50, "size": 17.0, "aggressor_side": "sell"}
    assert floor.tell(gone("execute", 1), gone("execute", 2, size=7.0)) == []
    assert floor.tell(trades=[{**trade, "size": 4.0}]) == []
    assert floor.tell(gone("execute", 3, size=4.0)) == [("A", 0.50, 4.0)]
