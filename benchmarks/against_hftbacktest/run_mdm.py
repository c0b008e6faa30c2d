"""Send the orders of a tape through PaperBroker."""

import math
from collections.abc import Callable

from ami_engine.sim.paper_broker import PaperBroker
from benchmarks.against_hftbacktest.bridge import Fill
from benchmarks.against_hftbacktest.cases import Case
from benchmarks.against_hftbacktest.market import BUY, FOK, GTC, GTX, IOC, LEVEL, SELL, Tape, messages
from decision_schema.decode_event import decode_event
from decision_schema.events import Event, Order
from decision_schema.instruments import Instrument

MARKET = "M"
_SIDES = {BUY: "buy", SELL: "sell"}
_TIMES_IN_FORCE = {GTC: "GTC", GTX: "GTC", FOK: "FOK", IOC: "IOC"}


def events_of(tape: Tape) -> list[Event]:
    """Decode the tape once: first the whole book, then changes and trades."""
    events = []
    for number, (ts, kind, parts) in enumerate(messages(tape.rows)):
        told = [(_SIDES[side], ticks / tape.tick_den, lots / tape.lot_den) for side, ticks, lots in parts]
        event: dict[str, object] = {"market_id": MARKET, "ts_ns": ts}
        if kind != LEVEL:
            event["trades"] = [
                {"price": price, "size": size, "aggressor_side": side} for side, price, size in told
            ]
        elif number:
            event["deltas"] = told
        else:
            event["bids"] = sorted(((p, s) for side, p, s in told if side == "buy"), reverse=True)
            event["asks"] = sorted((p, s) for side, p, s in told if side == "sell")
        decoded = decode_event(event)
        if decoded.bad is not None:
            raise ValueError(f"{tape.name}, message {number}: {decoded.bad}")
        events.append(decoded)
    return events


def queue_of(case: Case) -> str | Callable[[float, float], float]:
    """Give the queue model of a case as PaperBroker takes it."""
    n = case.power
    given: dict[str, Callable[[float, float], float]] = {
        "power2": lambda front, back: back**n / (back + front) ** n,
        "power3": lambda front, back: 1.0 - (front / (front + back)) ** n,
        "log2": lambda front, back: math.log(1.0 + back) / math.log(1.0 + back + front),
    }
    return given.get(case.queue, case.queue)


def run(tape: Tape, events: list[Event], case: Case) -> list[Fill]:
    """Give the fills of one case; an event is received in the instant in which it happens."""
    tick, lot = str(1 / tape.tick_den), str(1 / tape.lot_den)
    broker = PaperBroker(
        [Instrument(market_id=MARKET, tick_size=tick, lot_size=lot)],
        queue=queue_of(case),
        queue_power=case.power or 3.0,
        partial_fills=case.partial,
        entry_latency_ms=case.entry_ms,
        response_latency_ms=case.response_ms,
    )
    sent = []
    for number, ts, side, ticks, lots, tif, cancel_ts in tape.orders.tolist():
        order = Order(
            client_order_id=str(number),
            market_id=MARKET,
            side=_SIDES[side],
            price=ticks / tape.tick_den,
            size=lots / tape.lot_den,
            time_in_force=_TIMES_IN_FORCE[tif],
            post_only=tif == GTX,
        )
        sent += [(ts, 0, number, order), (cancel_ts, 1, number, order)]
    at = 0
    for ts, kind, _, order in sorted(sent, key=lambda message: message[:3]):
        while at < len(events) and events[at].ts_ns <= ts:
            broker.on_event(events[at], events[at].ts_ns)
            at += 1
        broker.on_event(Event(market_id=MARKET, ts_ns=ts), ts)  # says nothing but the time
        if kind == 0:
            broker.submit_order(order)
        else:
            broker.cancel_order(order.client_order_id)
    for event in events[at:]:
        broker.on_event(event, event.ts_ns)
    return [
        Fill(
            int(report.client_order_id),
            report.ts_ns,
            round(report.price * tape.tick_den),
            round(report.size * tape.lot_den),
        )
        for report in broker.process_fills(1 << 60)
        if hasattr(report, "fill_id")
    ]
