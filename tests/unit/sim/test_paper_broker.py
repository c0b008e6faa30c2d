"""The paper broker: orders in, answers and fills out; the conditions of a fill are tested in the kernels."""

from fractions import Fraction

import pytest

from ami_engine.ports import RunContext
from ami_engine.sim.microstructure_sim import MicrostructureSim
from ami_engine.sim.paper_broker import PaperBroker
from decision_schema.decode_event import decode_event
from decision_schema.decode_report import decode_report
from decision_schema.events import Event, Fill, Order, OrderUpdate
from decision_schema.instruments import Instrument

CENTS = Instrument(
    market_id="M",
    tick_size="0.01",
    lot_size="1",
    price_max=10.0,
    maker_fee=0.0,
    taker_fee=0.001,
    min_size=1.0,
)


@pytest.fixture
def broker() -> PaperBroker:
    """A broker that has seen 10 at 0.50 and 8 at 0.52 in market M."""
    broker = PaperBroker()
    broker.open(RunContext(run_id="r", instruments={"M": CENTS}))
    see(broker, bids=[(0.50, 10.0), (0.49, 20.0)], asks=[(0.52, 8.0), (0.53, 20.0)])
    return broker


def see(broker, now_ns=1_000, market_id="M", **parts):
    event = decode_event({"market_id": market_id, **parts})
    assert event.bad is None
    broker.on_event(event, now_ns)


def order(name="A", side="buy", price=0.50, size=5.0, **terms) -> Order:
    return Order(
        client_order_id=name,
        market_id=terms.pop("market_id", "M"),
        side=side,
        price=price,
        size=size,
        **terms,
    )


def sold(price, size):
    return {"price": price, "size": size, "aggressor_side": "sell"}


def test_all_capabilities_are_there():
    capabilities = PaperBroker().capabilities()
    assert capabilities.cancel
    assert capabilities.replace
    assert capabilities.query
    assert capabilities.fills
    assert not capabilities.live


def test_an_order_rests_queues_and_fills_in_parts(broker):
    assert broker.submit_order(order()).status == "live"
    see(broker, 2_000, trades=[sold(0.50, 12.0)])
    see(broker, 3_000, trades=[sold(0.49, 2.0), sold(0.49, 9.0)])
    fills = broker.process_fills(0)
    assert [(f.fill_id, f.price, f.size, f.liquidity_side, f.ts_ns) for f in fills] == [
        ("A-1", 0.50, 2.0, "maker", 2_000),
        ("A-2", 0.50, 2.0, "maker", 3_000),
        ("A-3", 0.50, 1.0, "maker", 3_000),
    ]
    assert broker.process_fills(0) == []
    assert broker.query_order("A") == OrderUpdate(
        client_order_id="A", status="filled", filled_size=5.0, avg_price=0.5, ts_ns=3_000
    )
    assert broker.get_state() == {"positions": {"M": 5.0}, "open_orders": []}


def test_a_taking_order_is_told_filled_and_pays(broker):
    update = broker.submit_order(order(price=0.53, size=10.0))
    assert (update.status, update.filled_size) == ("filled", 10.0)
    assert update.avg_price == pytest.approx(0.522)
    fills = broker.process_fills(0)
    assert [(f.price, f.size, f.liquidity_side) for f in fills] == [
        (0.52, 8.0, "taker"),
        (0.53, 2.0, "taker"),
    ]
    assert fills[0].fee == pytest.approx(0.52 * 8 * 0.001)


@pytest.mark.parametrize(
    ("terms", "status", "filled"),
    [
        ({"price": 0.52, "size": 9.0, "time_in_force": "IOC"}, "canceled", 8.0),
        ({"price": 0.52, "size": 9.0, "time_in_force": "FOK"}, "canceled", 0.0),
        ({"price": 0.52, "size": 9.0}, "live", 8.0),
        ({"price": None, "size": 99.0}, "canceled", 28.0),
        ({"side": "sell", "price": None, "size": 30.0}, "filled", 30.0),
    ],
)
def test_what_becomes_of_a_taking_order(broker, terms, status, filled):
    update = broker.submit_order(order(**terms))
    assert (update.status, update.filled_size) == (status, filled)
    assert sum(f.size for f in broker.process_fills(0)) == filled


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        ({"price": 0.505}, "off_grid_price"),
        ({"price": float("nan")}, "off_grid_price"),
        ({"price": float("inf")}, "off_grid_price"),
        ({"price": 0.0}, "price_out_of_bounds"),
        ({"price": -0.5}, "price_out_of_bounds"),
        ({"price": 10.01}, "price_out_of_bounds"),
        ({"size": 1.5}, "off_grid_size"),
        ({"size": float("nan")}, "off_grid_size"),
        ({"size": float("inf")}, "off_grid_size"),
        ({"size": 0.0}, "below_min_size"),
        ({"size": -1.0}, "below_min_size"),
        ({"side": "up"}, "invalid_side"),
        ({"time_in_force": "DAY"}, "invalid_time_in_force"),
        ({"price": 0.52, "post_only": True}, "post_only_would_take"),
        ({"reduce_only": True}, "nothing_to_reduce"),
        ({"market_id": "other"}, "no_book"),
    ],
)
def test_rejections_say_why(broker, terms, reason):
    update = broker.submit_order(order(**terms))
    assert (update.status, update.reason) == ("rejected", reason)
    assert broker.get_state() == {"positions": {"M": 0.0}, "open_orders": []}


def test_least_value_of_an_order():
    broker = PaperBroker([Instrument(market_id="M", tick_size="0.01", lot_size="1", min_notional=2.0)])
    see(broker, bid=0.50, ask=0.52)
    assert broker.submit_order(order("A", size=3.0)).reason == "below_min_notional"
    assert broker.submit_order(order("B", size=4.0)).status == "live"


def test_a_repeated_id_is_rejected_without_effect(broker):
    broker.submit_order(order())
    assert broker.submit_order(order(price=0.49)).reason == "duplicate_client_order_id"
    assert broker.replace_order("A", order(price=0.49)).reason == "duplicate_client_order_id"
    assert broker.query_order("A").status == "live"
    assert [o["price"] for o in broker.get_state()["open_orders"]] == [0.50]
    broker.cancel_order("A")
    assert broker.submit_order(order()).reason == "duplicate_client_order_id"
    assert broker.query_order("A").status == "canceled"


def test_cancel_says_what_was_filled(broker):
    broker.submit_order(order())
    see(broker, trades=[sold(0.50, 12.0)])
    update = broker.cancel_order("A")
    assert (update.status, update.filled_size, update.avg_price) == ("canceled", 2.0, 0.5)
    assert broker.cancel_order("A") == update
    assert broker.cancel_order("B").status == "not_found"
    see(broker, trades=[sold(0.40, 99.0)])
    assert len(broker.process_fills(0)) == 1


def test_cancel_of_a_filled_order_tells_that_it_filled(broker):
    broker.submit_order(order(price=0.52))
    assert broker.cancel_order("A").status == "filled"


def test_replace_is_one_act(broker):
    broker.submit_order(order())
    update = broker.replace_order("A", order("B", price=0.49))
    assert (update.client_order_id, update.status) == ("B", "live")
    assert broker.query_order("A").reason == "replaced"
    assert [o["client_order_id"] for o in broker.get_state()["open_orders"]] == ["B"]
    see(broker, trades=[sold(0.48, 99.0)])
    assert [f.client_order_id for f in broker.process_fills(0)] == ["B"]


def test_replace_in_place_keeps_the_queue_and_counts_anew(broker):
    broker.submit_order(order())
    see(broker, trades=[sold(0.50, 12.0)])
    broker.replace_order("A", order("B", size=2.0))
    see(broker, trades=[sold(0.50, 9.0)])
    assert [(f.fill_id, f.size) for f in broker.process_fills(0)] == [("A-1", 2.0), ("B-1", 2.0)]
    assert broker.query_order("B").filled_size == 2.0


def test_a_rejected_replacement_leaves_the_old_order(broker):
    broker.submit_order(order())
    assert broker.replace_order("A", order("B", price=0.52, post_only=True)).reason == "post_only_would_take"
    assert broker.replace_order("A", order("C", price=0.505)).reason == "off_grid_price"
    assert broker.replace_order("A", order("D", market_id="N")).reason == "other_market"
    assert broker.query_order("A").status == "live"


@pytest.mark.parametrize("act", ["fill", "cancel", "never"])
def test_only_a_working_order_can_be_replaced(broker, act):
    if act != "never":
        broker.submit_order(order())
    if act == "fill":
        see(broker, trades=[sold(0.49, 99.0)])
    if act == "cancel":
        broker.cancel_order("A")
    assert broker.replace_order("A", order("B")).reason == "not_working"
    assert broker.get_state()["open_orders"] == []


def test_cancel_all_of_one_market_or_of_all(broker):
    see(broker, market_id="N", bid=0.5, ask=0.6, bid_depth=3.0, ask_depth=3.0)
    for name, market_id in (("A", "M"), ("B", "N"), ("C", "M")):
        broker.submit_order(order(name, market_id=market_id))
    broker.cancel_all("M")
    assert [(u.client_order_id, u.status) for u in broker.process_fills(0)] == [
        ("A", "canceled"),
        ("C", "canceled"),
    ]
    broker.cancel_all()
    assert [u.client_order_id for u in broker.process_fills(0)] == ["B"]


def test_markets_do_not_meet(broker):
    see(broker, market_id="N", bids=[(0.50, 1.0)], asks=[(0.52, 1.0)])
    broker.submit_order(order("A"))
    broker.submit_order(order("B", market_id="N"))
    see(broker, market_id="N", trades=[sold(0.40, 99.0)])
    assert [(f.client_order_id, f.market_id) for f in broker.process_fills(0)] == [("B", "N")]
    assert broker.get_state()["positions"] == {"M": 0.0, "N": 5.0}


def test_the_venue_reports_the_reduce_only_order_it_cancels(broker):
    broker.submit_order(order("A", price=0.52))
    broker.submit_order(order("B", "sell", 0.55, reduce_only=True))
    broker.submit_order(order("C", "sell", 0.50))
    reports = [(r.client_order_id, getattr(r, "status", "fill")) for r in broker.process_fills(0)]
    assert reports == [("A", "fill"), ("C", "fill"), ("B", "canceled")]


def test_a_market_nobody_describes_has_the_default_instrument():
    broker = PaperBroker()
    see(broker, market_id="X", bid=99.98, ask=100.0)
    assert broker.submit_order(order(market_id="X", price=99.99, size=0.000001)).status == "live"
    assert broker.submit_order(order("B", market_id="X", price=99.995)).reason == "off_grid_price"


def test_quotes_alone_fill_by_the_book_and_by_trades_through(broker):
    """Without sizes the queue is unknown, so a trade at the price does not fill."""
    broker = PaperBroker([CENTS])
    see(broker, bid=0.50, ask=0.52)
    broker.submit_order(order("A"))
    broker.submit_order(order("B", "sell", 0.52))
    see(broker, trades=[sold(0.50, 99.0)])
    assert broker.process_fills(0) == []
    see(broker, bid=0.48, ask=0.50)
    assert [(f.client_order_id, f.size) for f in broker.process_fills(0)] == [("A", 5.0)]
    see(broker, trades=[{"price": 0.53, "size": 2.0}])
    assert [(f.client_order_id, f.size) for f in broker.process_fills(0)] == [("B", 2.0)]


def test_trades_meet_the_book_before_their_event(broker):
    """The mid before is 0.51: a print at 0.50 without a side was a sale, whatever the new book says."""
    broker.submit_order(order("A"))
    see(broker, bids=[(0.40, 9.0)], asks=[(0.42, 9.0)], trades=[{"price": 0.50, "size": 11.0}])
    assert [f.size for f in broker.process_fills(0)] == [1.0, 4.0]


@pytest.mark.parametrize(
    "event",
    [
        {"bid": 0.6, "ask": 0.5},
        {"bid": 0.5, "ask": 0.5},
        {"bid": -1.0, "ask": 0.4},
        {"bid": "x", "trades": [sold(0.1, 99.0)]},
        {"bid": 0.6, "ask": 0.5, "trades": [sold(0.1, 99.0)]},
    ],
)
def test_an_unusable_event_changes_nothing(broker, event):
    broker.submit_order(order())
    before = broker.get_state()
    broker.on_event(decode_event({"market_id": "M", **event}), 9_000)
    assert (broker.get_state(), broker.process_fills(0)) == (before, [])


def test_timers_are_not_market_data(broker):
    broker.on_event(Event(kind="timer", market_id="M", trades=()), 9_000)
    assert broker.submit_order(order()).ts_ns == 1_000


def test_a_mid_alone_does_not_show_the_levels_again(broker):
    broker.submit_order(order("A", price=0.52, size=8.0))
    see(broker, mid=0.51)
    assert broker.submit_order(order("B", price=0.52, size=8.0, time_in_force="IOC")).filled_size == 0.0


def test_open_forgets_the_last_run(broker):
    broker.submit_order(order(price=0.52))
    broker.open(RunContext(run_id="s", instruments={"M": CENTS}))
    assert broker.get_state() == {"positions": {}, "open_orders": []}
    assert broker.process_fills(0) == []
    assert broker.query_order("A") is None


def test_every_answer_can_be_decoded(broker):
    answers = [broker.submit_order(order()), broker.submit_order(order()), broker.cancel_order("Z")]
    answers += [broker.submit_order(order("B", price=0.52)), *broker.process_fills(0)]
    assert [decode_report(answer) for answer in answers] == answers


def test_cash_and_position_are_those_of_the_fills():
    """2,000 events with orders of every kind: what the venue holds is the exact sum of its fills."""
    sim = MicrostructureSim(seed=3)
    broker = PaperBroker([sim.instrument])
    position = Fraction(0)
    ids = 0
    limits: dict[str, Order] = {}
    open_size: dict[str, Fraction] = {}
    for n in range(2_000):
        event = decode_event(sim.next_state())
        broker.on_event(event, event.ts_ns)
        bid, ask = event.bids[0][0], event.asks[0][0]
        if n % 3 == 0:
            ids += 1
            side = "buy" if n % 2 else "sell"
            price = [bid, ask, None, round(bid - 0.002, 3)][ids % 4]
            terms = {"time_in_force": ["GTC", "IOC", "FOK"][ids % 5 % 3], "reduce_only": ids % 7 == 0}
            new = Order(
                client_order_id=f"{ids}", market_id="SIM", side=side, price=price, size=ids % 9 + 1.0, **terms
            )
            limits[new.client_order_id], open_size[new.client_order_id] = new, Fraction(new.size)
            broker.submit_order(new)
        if n % 11 == 0:
            for resting in broker.get_state()["open_orders"][:3]:
                broker.cancel_order(resting["client_order_id"])
        for fill in broker.process_fills(0):
            if not isinstance(fill, Fill):
                continue
            sign = 1 if fill.side == "buy" else -1
            asked = limits[fill.client_order_id]
            assert asked.side == fill.side
            assert asked.price is None or sign * fill.price <= sign * asked.price
            rate = 0.001 if fill.liquidity_side == "taker" else 0.0002
            assert fill.fee == pytest.approx(fill.price * fill.size * rate, rel=1e-12)
            open_size[fill.client_order_id] -= Fraction(fill.size)
            position += sign * Fraction(fill.size)
        assert broker.get_state()["positions"]["SIM"] == position
    assert min(open_size.values()) >= 0
    assert sum(size < limits[name].size for name, size in open_size.items()) > 100


@pytest.mark.parametrize("side", ["buy", "sell"])
def test_fees_by_the_unit_are_counted_by_size(side):
    shares = Instrument(market_id="M", lot_size="1", maker_fee=-0.002, taker_fee=0.003, fee_per="unit")
    broker = PaperBroker([shares])
    see(broker, bids=[(50.0, 10.0)], asks=[(52.0, 8.0)])
    broker.submit_order(order(side=side, price=52.0 if side == "buy" else 50.0, size=4.0))
    (fill,) = broker.process_fills(0)
    assert fill.fee == pytest.approx(0.012)
    broker.submit_order(order("B", side=side, price=51.0, size=4.0))
    taker = "sell" if side == "buy" else "buy"
    see(broker, trades=[{"price": 51.0, "size": 9.0, "aggressor_side": taker}])
    (fill,) = broker.process_fills(0)
    assert fill.fee == pytest.approx(-0.008)


def test_without_partial_fills_an_order_fills_whole():
    broker = PaperBroker([CENTS], partial_fills=False)
    see(broker, bids=[(0.50, 10.0)], asks=[(0.52, 8.0), (0.53, 20.0)])
    assert broker.submit_order(order(size=20.0)).status == "live"
    see(broker, trades=[sold(0.50, 10.0)])
    assert broker.process_fills(0) == []
    see(broker, trades=[sold(0.50, 1.0)])
    assert [(fill.price, fill.size) for fill in broker.process_fills(0)] == [(0.50, 20.0)]
    assert broker.submit_order(order("B", price=0.53, size=20.0, time_in_force="FOK")).status == "filled"
    assert [(fill.price, fill.size) for fill in broker.process_fills(0)] == [(0.52, 20.0)]


def test_what_traded_is_no_cancellation_also_where_the_book_shows_it_late():
    """Ten ahead, ten behind; five trade; then only the other side is shown; then the fifteen that are left."""
    broker = PaperBroker([CENTS], queue="power", queue_power=1.0)
    see(broker, bids=[(0.50, 10.0)], asks=[(0.52, 8.0)])
    broker.submit_order(order())
    see(broker, bids=[(0.50, 20.0)])
    see(broker, trades=[sold(0.50, 5.0)])
    see(broker, asks=[(0.52, 9.0)])
    see(broker, deltas=[("sell", 0.52, 10.0)])
    see(broker, deltas=[("buy", 0.50, 15.0)])
    assert broker.get_state()["open_orders"][0]["queue_ahead"] == 5.0
    see(broker, deltas=[("buy", 0.50, 12.0)])  # three cancel: one of them was ahead
    assert broker.get_state()["open_orders"][0]["queue_ahead"] == 4.0


@pytest.mark.parametrize("queue", ["conservative", "power", "log"])
def test_a_trade_that_comes_after_its_book_is_counted_once(queue):
    """Ten ahead; the book falls by four, then the four trade; and again, with two of them ahead at the end."""
    broker = PaperBroker([CENTS], queue=queue)
    ms = 1_000_000
    see(broker, ms, bids=[(0.50, 10.0)], asks=[(0.52, 8.0)])
    broker.submit_order(order())
    for at, left in ((100, 6.0), (200, 2.0)):
        see(broker, at * ms, bids=[(0.50, left)])
        see(broker, (at + 3) * ms, trades=[sold(0.50, 4.0)])
        assert broker.get_state()["open_orders"][0]["queue_ahead"] == left
    see(broker, 300 * ms, bids=[(0.49, 5.0)])  # the last two are gone: by a trade of four, as it turns out
    see(broker, 301 * ms, trades=[sold(0.50, 1.0)])
    see(broker, 301 * ms, trades=[sold(0.50, 3.0)])
    assert [fill.size for fill in broker.process_fills(301)] == [2.0]


def test_a_trade_long_after_the_book_fell_is_another_one():
    broker = PaperBroker([CENTS])
    ms = 1_000_000
    see(broker, ms, bids=[(0.50, 10.0)], asks=[(0.52, 8.0)])
    broker.submit_order(order())
    see(broker, 100 * ms, bids=[(0.50, 6.0)])
    see(broker, 150 * ms, trades=[sold(0.50, 4.0)])
    assert broker.get_state()["open_orders"][0]["queue_ahead"] == 2.0
