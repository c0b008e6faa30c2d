"""The paper broker with latency: messages under way, fills that beat a cancel, late knowledge."""

import pytest

from ami_engine.sim.paper_broker import PaperBroker
from decision_schema.decode_event import decode_event
from decision_schema.errors import ConfigError
from decision_schema.events import Fill, Order
from decision_schema.instruments import Instrument

CENTS = Instrument(market_id="M", tick_size="0.01", lot_size="1", price_max=10.0)
MS = 1_000_000
BIDS, ASKS = [(0.50, 10.0), (0.49, 20.0)], [(0.52, 8.0), (0.53, 20.0)]


class Desk:
    """A broker and the times at which it is asked, in milliseconds."""

    def __init__(self, **settings):
        self.broker = PaperBroker([CENTS], **settings)

    def see(self, at, seen=None, **parts):
        """Show an event that happened at `at` and is seen at `seen`; return what is heard then."""
        seen = at if seen is None else seen
        event = decode_event({"market_id": "M", "ts_ns": at * MS, "received_ns": seen * MS, **parts})
        self.broker.on_event(event, seen * MS)
        return self.hear(seen)

    def hear(self, at):
        return [
            ("fill", r.client_order_id, r.price, r.size, r.ts_ns // MS)
            if isinstance(r, Fill)
            else (r.status, r.client_order_id, r.reason, r.ts_ns // MS)
            for r in self.broker.process_fills(at)
        ]

    def send(self, name, side="buy", price=0.50, size=5.0, **terms):
        return self.broker.submit_order(order(name, side, price, size, **terms)).status


def order(name, side="buy", price=0.50, size=5.0, **terms):
    return Order(client_order_id=name, market_id="M", side=side, price=price, size=size, **terms)


def sold(price, size):
    return {"price": price, "size": size, "aggressor_side": "sell"}


def test_an_order_joins_the_queue_that_is_there_when_it_arrives():
    desk = Desk(entry_latency_ms=5)
    desk.see(0, bids=BIDS, asks=ASKS)
    assert desk.send("A") == "sent"
    assert desk.see(4, bids=[(0.50, 3.0)]) == []
    assert desk.see(6, bids=[(0.50, 9.0)]) == [("live", "A", "", 5)]
    assert desk.broker.get_state()["open_orders"][0]["queue_ahead"] == 3.0


def test_a_taker_meets_the_book_of_its_arrival():
    desk = Desk(entry_latency_ms=5)
    desk.see(0, bids=BIDS, asks=ASKS)
    assert desk.send("A", price=0.52, time_in_force="IOC") == "sent"
    desk.see(3, asks=[(0.54, 8.0)])
    assert desk.hear(6) == [("canceled", "A", "not_filled_at_once", 5)]


def test_the_answer_is_heard_after_its_way_back():
    desk = Desk(entry_latency_ms=5, response_latency_ms=7)
    desk.see(0, bids=BIDS, asks=ASKS)
    desk.send("A", price=0.52)
    assert desk.hear(11) == []
    assert desk.broker.query_order("A").status == "live"  # not known yet to have ended
    assert desk.hear(12) == [("fill", "A", 0.52, 5.0, 5), ("filled", "A", "", 5)]
    assert desk.broker.query_order("A").status == "filled"


def test_response_latency_alone_delays_what_we_hear_not_what_happens():
    desk = Desk(response_latency_ms=7)
    desk.see(0, bids=BIDS, asks=ASKS)
    assert desk.send("A") == "sent"
    assert desk.broker.get_state()["open_orders"][0]["client_order_id"] == "A"
    assert desk.hear(6) == []
    assert desk.hear(7) == [("live", "A", "", 0)]


def test_a_fill_beats_the_cancel_that_is_under_way():
    desk = Desk(entry_latency_ms=5, response_latency_ms=5)
    desk.see(0, bids=BIDS, asks=ASKS)
    desk.send("A", price=0.51)
    assert desk.hear(10) == [("live", "A", "", 5)]
    assert desk.broker.cancel_order("A") is None
    assert desk.see(14, trades=[sold(0.51, 9.0)]) == []
    assert desk.hear(30) == [("fill", "A", 0.51, 5.0, 14)]
    assert desk.broker.cancel_order("A").status == "filled"


def test_a_cancel_that_comes_first_is_confirmed():
    desk = Desk(entry_latency_ms=5, response_latency_ms=5)
    desk.see(0, bids=BIDS, asks=ASKS)
    desk.send("A", price=0.51)
    desk.hear(10)
    desk.broker.cancel_order("A")
    assert desk.see(16, trades=[sold(0.51, 9.0)]) == []
    assert desk.hear(20) == [("canceled", "A", "", 15)]


def test_a_cancel_sent_before_the_order_was_heard_of_follows_it():
    desk = Desk(entry_latency_ms=5)
    desk.see(0, bids=BIDS, asks=ASKS)
    desk.send("A")
    assert desk.broker.cancel_order("A") is None
    assert desk.hear(6) == [("live", "A", "", 5), ("canceled", "A", "", 5)]


def test_a_replacement_is_cut_by_what_filled_on_its_way():
    desk = Desk(entry_latency_ms=5, response_latency_ms=5)
    desk.see(0, bids=[(0.49, 20.0)], asks=ASKS)
    desk.send("A", price=0.50, size=5.0)
    desk.hear(10)
    assert desk.broker.replace_order("A", order("B", price=0.51, size=5.0)).status == "sent"
    desk.see(12, trades=[sold(0.50, 3.0)])  # two of A are left, and so is B when it arrives
    heard = desk.see(16, trades=[sold(0.51, 9.0)])
    assert heard == []
    assert desk.hear(30) == [
        ("fill", "A", 0.50, 3.0, 12),
        ("live", "B", "", 15),
        ("fill", "B", 0.51, 2.0, 16),
        ("canceled", "B", "reduced", 16),
    ]
    assert desk.broker.get_state()["positions"] == {"M": 5.0}


def test_a_replacement_of_what_was_filled_is_refused():
    desk = Desk(entry_latency_ms=5)
    desk.see(0, bids=[(0.49, 20.0)], asks=ASKS)
    desk.send("A", price=0.50, size=5.0)
    desk.hear(6)
    desk.broker.replace_order("A", order("B", price=0.51, size=5.0))
    desk.see(7, trades=[sold(0.50, 5.0)])
    assert desk.hear(12) == [("rejected", "B", "not_working", 11)]
    assert desk.broker.get_state()["positions"] == {"M": 5.0}


def test_a_smaller_replacement_than_what_filled_ends_both():
    desk = Desk(entry_latency_ms=5, response_latency_ms=9)
    desk.see(0, bids=[(0.49, 20.0)], asks=ASKS)
    desk.send("A", price=0.50, size=5.0)
    desk.hear(14)
    desk.broker.replace_order("A", order("B", price=0.51, size=2.0))
    desk.see(16, trades=[sold(0.50, 3.0)])
    assert desk.hear(40) == [
        ("fill", "A", 0.50, 3.0, 16),
        ("canceled", "A", "filled_meanwhile", 19),
        ("rejected", "B", "filled_meanwhile", 19),
    ]


def test_what_we_see_late_has_moved_on_when_our_order_arrives():
    """An event that happened at 10 and is seen at 40: an order sent then meets what came after 10."""
    desk = Desk()
    desk.see(10, seen=40, bids=BIDS, asks=ASKS)
    assert desk.send("A", price=0.52, time_in_force="IOC") == "sent"
    desk.see(39, seen=69, asks=[(0.54, 8.0)])
    assert desk.see(41, seen=71, asks=[(0.52, 8.0)]) == [("canceled", "A", "not_filled_at_once", 40)]


def test_a_quiet_market_answers_by_the_time_of_its_last_delay():
    desk = Desk(entry_latency_ms=5)
    desk.see(10, seen=12, bids=BIDS, asks=ASKS)
    desk.send("A")
    assert desk.hear(19) == []  # 17 at the venue: what happens then comes first
    assert desk.hear(20) == [("live", "A", "", 17)]


def test_a_venue_whose_clock_is_ahead_delays_nothing():
    desk = Desk()
    desk.see(1_000, seen=10, bids=BIDS, asks=ASKS)
    assert desk.send("A", price=0.52) == "filled"
    assert desk.hear(10) == [("fill", "A", 0.52, 5.0, 10)]


def test_what_happens_in_the_same_nanosecond_comes_first():
    desk = Desk(entry_latency_ms=5)
    desk.see(0, bids=BIDS, asks=ASKS)
    desk.send("A", price=0.51)
    assert desk.see(5, trades=[sold(0.51, 9.0)]) == []
    desk.broker.cancel_order("A")
    assert desk.see(10, trades=[sold(0.51, 9.0)]) == [("live", "A", "", 5), ("fill", "A", 0.51, 5.0, 10)]


def test_messages_keep_their_order_however_their_luck_falls():
    desk = Desk(entry_latency_ms=20, latency_sigma=1.5)
    desk.see(0, bids=BIDS, asks=ASKS)
    names = [f"A{at}" for at in range(1, 40)]
    heard = []
    for at, name in enumerate(names, 1):
        heard += desk.hear(at)
        assert desk.send(name, price=0.49) == "sent"
    heard += desk.hear(10_000)
    assert [entry[1] for entry in heard] == names
    times = [entry[3] for entry in heard]
    assert times == sorted(times)
    assert len(set(times)) > 2


def test_the_same_seed_gives_the_same_run():
    def run():
        desk = Desk(entry_latency_ms=20, response_latency_ms=3, latency_sigma=0.8)
        desk.see(0, bids=BIDS, asks=ASKS)
        heard = []
        for at in range(1, 60):
            heard += desk.see(at, trades=[sold(0.50, 2.0)])
            desk.send(f"A{at}")
        return heard

    assert run() == run()
    assert any(entry[0] == "fill" for entry in run())


def test_a_table_says_when_messages_arrive(tmp_path):
    table = tmp_path / "latency.csv"
    table.write_text("ts_ns,entry_ns,response_ns,note\n0,1000000,0,calm\n100000000,11000000,5000000,busy\n")
    desk = Desk(latency_table=table)
    desk.see(50, bids=BIDS, asks=ASKS)
    desk.send("A")
    assert desk.hear(58) == []  # 6 ms to the venue, 2.8 back
    assert desk.hear(59) == [("live", "A", "", 56)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ts_ns,entry_ns\n1,2\n", "lacks the columns response_ns"),
        ("ts_ns,entry_ns,response_ns\n", "has no rows"),
        ("ts_ns,entry_ns,response_ns\n1,2,x\n", "line 2: response_ns is 'x'"),
        ("ts_ns,entry_ns,response_ns\n1,2\n", "line 2: response_ns is None"),
        ("ts_ns,entry_ns,response_ns\n5,1,1\n5,1,1\n", "line 3: ts_ns is 5: give it ascending"),
        ("ts_ns,entry_ns,response_ns\n5,-1,1\n", "line 2: entry_ns is -1"),
        ("ts_ns,entry_ns,response_ns\n5,1,99999999999999\n", "response_ns is 99999999999999"),
    ],
)
def test_a_bad_table_is_refused(tmp_path, text, words):
    table = tmp_path / "latency.csv"
    table.write_text(text)
    with pytest.raises(ConfigError, match=words):
        PaperBroker(latency_table=table)


def _raises(front, back):
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"queue": "pwoer"}, "did you mean 'power'"),
        ({"queue": "fifo"}, "give conservative, power or log"),
        ({"queue": "power", "queue_power": 0.0}, "queue_power is 0.0"),
        ({"queue": "power", "queue_power": float("nan")}, "queue_power is nan"),
        ({"queue": lambda front, back: 2.0}, "gave 2.0"),
        ({"queue": _raises}, "raised ZeroDivisionError"),
        ({"entry_latency_ms": -1.0}, "entry_latency_ms is -1.0"),
        ({"response_latency_ms": float("inf")}, "response_latency_ms is inf"),
        ({"entry_latency_ms": 1.0, "latency_sigma": 9.0}, "latency_sigma is 9.0"),
        ({"entry_latency_ms": 1.0, "latency_table": "x.csv"}, "not both"),
        ({"latency_table": "no/such.csv"}, "cannot be read"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, words):
    with pytest.raises(ConfigError, match=words):
        PaperBroker(**settings)
