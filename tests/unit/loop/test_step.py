"""The order of things in a step, and what becomes of orders, exits and stops."""

import itertools
import json
import math
from itertools import chain
from pathlib import Path

import pytest

from ami_engine.clock import EventClock, WallClock
from ami_engine.config import ExecutionSection, RunConfig, RunSection
from ami_engine.kernels.event_clock import MAX_JUMP_NS
from ami_engine.loop.run_loop import run_loop
from ami_engine.testing import ListSource, ScriptedBroker, book, read_packets
from decision_schema.events import Bad, Event
from decision_schema.instruments import Instrument
from decision_schema.types import Action, Proposal
from dmc_core.dmc.risk_policy import RiskPolicy

T0 = 1_600_000_000_000
M = Instrument(market_id="M", tick_size="0.01", lot_size="1", kind="binary")
N = Instrument(market_id="N", tick_size="0.01", lot_size="1", kind="binary")
PLAIN = ("cancel", "query", "fills")  # a broker that cannot replace in one act


def at(ms, bid=0.49, ask=0.51, **parts):
    """A book at T0 + ms."""
    return book(bid, ask, ts_ms=T0 + ms, **parts)


def act(**params):
    return Proposal(action=Action.ACT, confidence=0.9, params=params)


def say(action):
    return Proposal(action=action, confidence=0.9, reasons=[f"model_says_{action}"])


BID = act(side="buy", price=0.49, size=2)
ASK = act(side="sell", price=0.51, size=2)
QUOTE = act(bid=0.49, ask=0.51, size=1)
HOLD, CANCEL, EXIT, STOP = (say(action) for action in (Action.HOLD, Action.CANCEL, Action.EXIT, Action.STOP))


def scripted(*proposals):
    """A model that proposes these in order, the last one for ever."""
    left = list(proposals)

    def model(features):
        proposal = left.pop(0) if len(left) > 1 else left[0]
        return proposal() if callable(proposal) else proposal

    return model


def loose(**limits):
    """Limits that do not disturb a test."""
    return RiskPolicy(
        **{
            "max_per_market_usd": 1e6, "max_total_exposure_usd": 1e6, "max_abs_inventory": 1e6, "daily_loss_stop_usd": 0,
            "adv15_max_ticks": 0, "adv60_max_ticks": 0, "throttle_refresh_ms": 0, "staleness_ms": 1e9,
            "circuit_breaker_failures": 0, "error_rate_max": 0, "cancel_rate_limit": 0, **limits,
        }
    )  # fmt: skip


def play(tmp_path, events, *proposals, broker=None, instruments=(M,), policy=None, run_id="r", **settings):
    """Run a list of events against a scripted model; give the summary and the packets."""
    broker = ScriptedBroker(abilities=PLAIN) if broker is None else broker
    summary = run_loop(
        ListSource(events, instruments=instruments), broker, decision_engine=scripted(*proposals),
        output_dir=tmp_path, run_id=run_id, risk_policy=loose() if policy is None else policy, **settings,
    )  # fmt: skip
    packets = read_packets(summary["run_dir"])
    assert [packet["step"] for packet in packets] == list(range(1, len(packets) + 1))
    return summary, packets


def actions(packets):
    return [p["final_action"]["action"] for p in packets]


def ops(packets):
    return [[i["op"] for i in p["intents"]] for p in packets]


def statuses(packet):
    return [o["status"] for o in packet["state_after"]["open_orders"]]


def fill_all(broker, **terms):
    """An event source item: let everything that works fill, then give the event."""
    for order in list(broker.working.values()):
        broker.fill(order, **terms)


def then(do, event):
    """Do something when the source is asked, then give an event."""

    def item():
        do()
        return event

    return item


# ---------------------------------------------------------------- order of things


def test_what_a_broker_answers_is_an_input_of_the_next_packet(tmp_path):
    answers = [None, {"status": "rejected", "reason": "no funds"}]
    broker = ScriptedBroker({"submit_order": answers}, PLAIN)
    _, packets = play(tmp_path, [at(0), at(1)], QUOTE, HOLD, broker=broker)
    buy, sell = (order.client_order_id for order in broker.placed)
    assert packets[0]["external"]["reports"] == []
    assert packets[1]["external"]["reports"] == [
        {"type": "order", "client_order_id": buy, "status": "live"},
        {"type": "order", "client_order_id": sell, "status": "rejected", "reason": "no funds"},
    ]
    assert statuses(packets[0]) == ["sent", "sent"]
    assert statuses(packets[1]) == ["live"]


def test_reports_stand_in_the_order_drained_the_answers_first(tmp_path):
    broker = ScriptedBroker(abilities=PLAIN)
    events = [at(0), then(lambda: fill_all(broker), at(1))]
    _, packets = play(tmp_path, events, QUOTE, HOLD, broker=broker)
    assert [r["type"] for r in packets[1]["external"]["reports"]] == ["order", "order", "fill", "fill"]


def test_what_arrives_after_the_last_step_goes_to_the_closing_record(tmp_path):
    broker = ScriptedBroker(abilities=PLAIN)
    summary, _packets = play(tmp_path, [at(0)], BID, broker=broker)
    closing = json.loads(Path(summary["run_dir"], "audit.jsonl").read_text().splitlines()[-1])["closing"]
    order_id = broker.placed[0].client_order_id
    assert [r["status"] for r in closing["reports"]] == ["live", "canceled"]
    assert [r["client_order_id"] for r in closing["reports"]] == [order_id, order_id]
    assert closing["state"]["open_orders"] == []


def test_the_packet_is_on_disk_before_its_messages_leave_to_a_live_broker(tmp_path):
    seen = []

    def on_call(*args):
        packets = read_packets(tmp_path / "r")
        order = args[-1]
        order_id = order if isinstance(order, str) else order.client_order_id
        seen.append([i["op"] for i in packets[-1]["intents"] if i["client_order_id"] == order_id])

    broker = ScriptedBroker({"submit_order": [on_call], "replace_order": [on_call]}, live=True)
    play(tmp_path, [at(0), at(10, 0.47, 0.49)], QUOTE, act(bid=0.47, ask=0.49, size=1), broker=broker)
    assert seen == [["submit"], ["submit"], ["replace"], ["replace"]]


def test_the_broker_sees_an_event_before_the_step_and_only_if_it_is_in_order(tmp_path):
    broker = ScriptedBroker(abilities=PLAIN)
    play(tmp_path, [at(0), at(1, "0.6", 0.5), at(2)], HOLD, broker=broker)
    assert [name for name, *_ in broker.calls][:5] == [
        "open",
        "on_event",
        "process_fills",
        "process_fills",
        "on_event",
    ]
    assert [event.ts_ns for event, _ in broker.called("on_event")] == [T0 * 10**6, (T0 + 2) * 10**6]


def test_a_fill_in_this_steps_reports_is_in_this_steps_position(tmp_path):
    broker = ScriptedBroker(abilities=PLAIN)
    seen = []

    def model(features, view):
        seen.append(view.position)
        return BID

    run_loop(
        ListSource([at(0), then(lambda: fill_all(broker), at(1))], instruments=(M,)), broker,
        decision_engine=model, output_dir=tmp_path, risk_policy=loose(),
    )  # fmt: skip
    assert seen == [0.0, 2.0]


# ---------------------------------------------------------------- keep, replace, cancel


def test_an_unchanged_quote_is_an_act_without_messages(tmp_path):
    _, packets = play(tmp_path, [at(0), at(1)], QUOTE)
    assert actions(packets) == ["ACT", "ACT"]
    assert ops(packets) == [["submit", "submit"], []]
    assert packets[1]["mismatch"]["flags"] == ["quote_kept"]


def test_a_hold_keeps_what_rests_and_a_cancel_pulls_it(tmp_path):
    _, packets = play(tmp_path, [at(i) for i in range(5)], QUOTE, HOLD, CANCEL, HOLD)
    assert ops(packets) == [["submit", "submit"], [], ["cancel", "cancel"], [], []]
    assert actions(packets) == ["ACT", "HOLD", "CANCEL", "HOLD", "HOLD"]
    assert [len(statuses(p)) for p in packets] == [2, 2, 2, 0, 0]


def test_orders_that_nobody_wants_are_pulled(tmp_path):
    _, packets = play(tmp_path, [at(i) for i in range(3)], QUOTE, BID, act(orders=[]))
    assert ops(packets)[1:] == [["cancel"], ["cancel"]]  # the ask; then the bid


def test_a_moved_quote_waits_for_the_throttle(tmp_path):
    moved = act(bid=0.48, ask=0.51, size=1)
    policy = loose(throttle_refresh_ms=1_500)
    broker = ScriptedBroker()
    _, packets = play(tmp_path, [at(0), at(1_499), at(1_500)], QUOTE, moved, broker=broker, policy=policy)
    assert ops(packets) == [["submit", "submit"], [], ["replace"]]
    assert packets[1]["mismatch"]["flags"] == ["requote_throttled"]


def test_a_move_smaller_than_the_least_is_not_worth_a_message(tmp_path):
    config = RunConfig(execution=ExecutionSection(min_requote_ticks=2))
    events = [at(0), at(10), at(20)]
    _, packets = play(
        tmp_path, events, BID, act(side="buy", price=0.48, size=2), act(side="buy", price=0.47, size=2),
        broker=ScriptedBroker(), config=config,
    )  # fmt: skip
    assert ops(packets) == [["submit"], [], ["replace"]]


def test_a_size_that_must_shrink_does_not_wait(tmp_path):
    policy = loose(throttle_refresh_ms=60_000)
    smaller, larger = act(side="buy", price=0.49, size=1), act(side="buy", price=0.49, size=3)
    _, packets = play(
        tmp_path, [at(0), at(1), at(2)], BID, larger, smaller, broker=ScriptedBroker(), policy=policy
    )
    assert ops(packets) == [["submit"], [], ["replace"]]
    assert packets[2]["intents"][0]["size"] == 1.0


@pytest.mark.parametrize("how", ["policy", "order"])
def test_an_order_past_its_age_is_placed_anew(tmp_path, how):
    policy = loose(quote_ttl_ms=1_000 if how == "policy" else 0)
    terms = {"side": "buy", "price": 0.49, "size": 2}
    if how == "order":
        terms["ttl_ms"] = 1_000
    proposal = act(orders=[terms])
    _, packets = play(tmp_path, [at(0), at(999), at(1_000)], proposal, broker=ScriptedBroker(), policy=policy)
    assert ops(packets) == [["submit"], [], ["replace"]]


def test_a_replacement_is_one_message_where_the_broker_can_and_two_where_not(tmp_path):
    moved = act(side="buy", price=0.48, size=2)
    events = [at(0), at(10), at(20)]
    broker = ScriptedBroker()
    _, packets = play(tmp_path, events, BID, moved, broker=broker)
    assert ops(packets) == [["submit"], ["replace"], []]
    assert packets[1]["intents"][0]["replaces"] == packets[0]["intents"][0]["client_order_id"]
    assert statuses(packets[1]) == ["canceling", "sent"]  # both count until the answer
    assert statuses(packets[2]) == ["live"]

    broker = ScriptedBroker(abilities=PLAIN)
    _, packets = play(tmp_path, events, BID, moved, broker=broker, run_id="plain")
    assert ops(packets) == [["submit"], ["cancel"], ["submit"]]
    assert packets[1]["mismatch"]["flags"] == ["awaiting_broker"]
    assert [order.price for order in broker.placed] == [0.49, 0.48]


def test_a_rejected_replacement_leaves_the_old_order(tmp_path):
    broker = ScriptedBroker({"replace_order": [{"status": "rejected"}]})
    moved = act(side="buy", price=0.48, size=2)
    _, packets = play(tmp_path, [at(0), at(10), at(20)], BID, moved, HOLD, broker=broker)
    assert [o["client_order_id"] for o in packets[2]["state_after"]["open_orders"]] == [
        broker.placed[0].client_order_id
    ]
    assert statuses(packets[2]) == ["live"]


def test_a_replacement_without_evidence_makes_both_unknown_and_neither_is_sent_again(tmp_path):
    broker = ScriptedBroker({"replace_order": [OSError("lost")]}, ("cancel", "replace", "fills"))
    moved = act(side="buy", price=0.48, size=2)
    _, packets = play(tmp_path, [at(10 * i) for i in range(5)], BID, moved, broker=broker)
    assert statuses(packets[-1]) == ["unknown", "unknown"]
    assert [o["lots"] for o in packets[-1]["state_after"]["open_orders"]] == [2, 2]
    assert len(broker.placed) == 2


# ---------------------------------------------------------------- fills


def test_a_fill_that_beats_a_cancel_counts(tmp_path):
    broker = ScriptedBroker(
        {"cancel_order": [lambda order_id: broker.fill(broker.placed[0]) and {"status": "canceled"}]}, PLAIN
    )
    summary, packets = play(tmp_path, [at(0), at(1), at(2)], BID, CANCEL, HOLD, broker=broker)
    assert packets[2]["state_after"]["positions_lots"] == {"M": 2}
    assert packets[2]["state_after"]["open_orders"] == []
    assert summary["stopped"] is None


def test_a_fill_long_after_the_cancel_counts_too(tmp_path):
    broker = ScriptedBroker(abilities=PLAIN)
    events = [at(0), at(1), at(2), at(3), then(lambda: broker.fill(broker.placed[0]), at(4))]
    summary, packets = play(tmp_path, events, BID, CANCEL, BID, BID, HOLD, broker=broker)
    assert len(broker.placed) == 2  # the second took the slot of the first
    assert packets[4]["state_after"]["positions_lots"] == {"M": 2}
    assert [o["lots"] for o in packets[4]["state_after"]["open_orders"]] == [2]
    assert summary["stopped"] is None


def test_partial_fills_leave_the_rest_working_and_the_last_one_ends_it(tmp_path):
    broker = ScriptedBroker(abilities=PLAIN)
    part = lambda: broker.fill(broker.placed[0], size=1.0)  # noqa: E731
    events = [at(0), then(part, at(1)), then(part, at(2))]
    summary, packets = play(tmp_path, events, BID, HOLD, broker=broker)
    assert [[o["lots"] for o in p["state_after"]["open_orders"]] for p in packets] == [[2], [1], []]
    assert [p["state_after"]["positions_lots"].get("M", 0) for p in packets] == [0, 1, 2]
    assert summary["positions"] == {"M": 2.0}


def test_a_repeated_fill_changes_nothing(tmp_path):
    broker = ScriptedBroker(abilities=PLAIN)
    twice = lambda: [broker.fill(broker.placed[0], size=1.0, fill_id="same") for _ in range(2)]  # noqa: E731
    summary, _packets = play(
        tmp_path, [at(0), then(twice, at(1)), then(twice, at(2))], BID, HOLD, broker=broker
    )
    assert summary["positions"] == {"M": 1.0}
    assert summary["stopped"] is None


INCONSISTENT = {
    "overfill": lambda broker: broker.fill(broker.placed[0], size=3.0),
    "overfill in parts": lambda broker: [broker.fill(broker.placed[0], size=2.0), broker.fill(broker.placed[0], size=1.0)],
    "unknown order": lambda broker: broker.reports.append(
        {"fill_id": "x", "client_order_id": "nobody", "market_id": "M", "side": "buy", "price": 0.5, "size": 1}
    ),
    "unknown live order": lambda broker: broker.reports.append({"client_order_id": "nobody", "status": "open"}),
    "other side": lambda broker: broker.reports.append(
        {"fill_id": "x", "client_order_id": broker.placed[0].client_order_id, "market_id": "M", "side": "sell",
         "price": 0.5, "size": 1}
    ),
    "other market": lambda broker: broker.reports.append(
        {"fill_id": "x", "client_order_id": broker.placed[0].client_order_id, "market_id": "X", "side": "buy",
         "price": 0.5, "size": 1}
    ),
    "half a lot": lambda broker: broker.fill(broker.placed[0], size=0.5),
    "impossible price": lambda broker: broker.fill(broker.placed[0], price=1.5),
}  # fmt: skip


@pytest.mark.parametrize("name", INCONSISTENT)
def test_what_our_orders_cannot_explain_stops(tmp_path, name):
    broker = ScriptedBroker(abilities=PLAIN)
    events = [at(0), then(lambda: INCONSISTENT[name](broker), at(1)), at(2)]
    summary, packets = play(tmp_path, events, BID, broker=broker)
    assert actions(packets) == ["ACT", "STOP", "STOP"]
    assert packets[1]["final_action"]["reasons"][0] == "venue_inconsistent"
    assert len(packets[1]["final_action"]["reasons"]) > 1  # what it was
    assert summary["stopped"] == {"step": 2, "reason": "venue_inconsistent"}


def test_an_overfill_is_seen_also_after_another_order_took_the_slot(tmp_path):
    broker = ScriptedBroker(abilities=PLAIN)
    full = lambda: broker.fill(broker.placed[0])  # noqa: E731
    events = [at(0), then(full, at(1)), at(2), then(full, at(3))]
    summary, packets = play(tmp_path, events, BID, broker=broker)
    assert len(broker.placed) == 2
    assert summary["stopped"] == {"step": 4, "reason": "venue_inconsistent"}
    assert packets[3]["state_after"]["positions_lots"] == {"M": 4}  # it is booked all the same


def test_a_foreign_order_that_ended_is_no_news(tmp_path):
    broker = ScriptedBroker(abilities=PLAIN)
    events = [
        at(0),
        then(lambda: broker.reports.append({"client_order_id": "x", "status": "canceled"}), at(1)),
    ]
    summary, _ = play(tmp_path, events, HOLD, broker=broker)
    assert summary["stopped"] is None


def test_fills_are_made_from_updates_where_a_broker_reports_none(tmp_path):
    updates = iter([
        {"status": "partially_filled", "filled_size": 1, "avg_price": 0.49},
        {"status": "partially_filled", "filled_size": 2, "avg_price": 0.48},
        {"status": "filled", "filled_size": 2, "avg_price": 0.48},
    ])  # fmt: skip
    broker = ScriptedBroker(
        {"submit_order": [OSError()], "query_order": [lambda _: next(updates)]}, ("query",)
    )
    events = [at(0), at(1_000), at(2_000), at(3_000)]
    summary, packets = play(tmp_path, events, act(side="buy", price=0.49, size=3), HOLD, broker=broker)
    assert packets[2]["state_after"]["positions_lots"] == {"M": 1}
    assert summary["positions"] == {"M": 1.0}  # a live order is not asked again


def test_an_answer_that_says_filled_is_the_fill_where_a_broker_reports_none(tmp_path):
    broker = ScriptedBroker({"submit_order": [{"status": "filled", "avg_price": 0.48}]}, ())
    summary, packets = play(tmp_path, [at(0), at(1)], BID, HOLD, broker=broker)
    assert packets[1]["state_after"]["positions_lots"] == {"M": 2}
    assert packets[1]["state_after"]["open_orders"] == []
    assert summary["unrealized_pnl"] == pytest.approx(2 * (0.50 - 0.48))


def test_a_second_part_is_booked_at_its_own_price(tmp_path):
    """An average price is that of all so far: 1 at 0.50, then 2 at 0.48 on average, so the second cost 0.46."""
    seen = []
    broker = ScriptedBroker(
        {
            "submit_order": [{"status": "partial", "filled_size": 1, "avg_price": 0.50}],
            "cancel_order": [{"status": "canceled", "filled_size": 2, "avg_price": 0.48}],
        },
        ("cancel",),
    )

    def model(features, view):
        seen.append((view.position, view.average_price))
        return act(side="buy", price=0.5, size=3) if len(seen) == 1 else CANCEL

    run_loop(
        ListSource([at(0), at(1), at(2)], instruments=(M,)),
        broker,
        decision_engine=model,
        output_dir=tmp_path,
        risk_policy=loose(),
    )
    assert [position for position, _ in seen] == [0.0, 1.0, 2.0]
    assert seen[2][1] == pytest.approx(0.48)


# ---------------------------------------------------------------- unknown orders


def test_an_unknown_order_counts_in_full_blocks_its_level_and_is_never_sent_again(tmp_path):
    broker = ScriptedBroker({"submit_order": [OSError("timeout")]}, ("fills",))
    summary, packets = play(tmp_path, [at(20_000 * i) for i in range(5)], BID, broker=broker)
    assert len(broker.placed) == 1
    assert [statuses(p) for p in packets] == [["sent"], *[["unknown"]] * 4]
    assert all(o["lots"] == 2 for p in packets for o in p["state_after"]["open_orders"])
    assert packets[2]["mismatch"]["flags"] == ["awaiting_broker"]
    assert summary["open_orders_left"] == [broker.placed[0].client_order_id]


@pytest.mark.parametrize(
    ("evidence", "left"),
    [
        ({"status": "live"}, ["live"]),
        ({"status": "canceled"}, []),
        ({"status": "expired"}, []),
        ({"status": "rejected"}, []),
        ({"status": "unknown"}, ["unknown"]),
        (OSError("no answer"), ["unknown"]),
        ("junk", ["unknown"]),
    ],
)
def test_an_unknown_order_ends_only_by_evidence(tmp_path, evidence, left):
    broker = ScriptedBroker(
        {"submit_order": [OSError()], "query_order": [evidence]}, ("cancel", "query", "fills")
    )
    _, packets = play(tmp_path, [at(0), at(1_000), at(1_500)], BID, HOLD, broker=broker)
    assert statuses(packets[2]) == left
    assert len(broker.placed) == 1


def test_not_found_is_evidence_only_after_the_lifetime_of_a_request(tmp_path):
    broker = ScriptedBroker(
        {"submit_order": [OSError()], "query_order": [None]}, ("cancel", "query", "fills")
    )
    _, packets = play(tmp_path, [at(1_000 * i) for i in range(13)], BID, HOLD, broker=broker)
    assert [statuses(p) for p in packets[1:10]] == [["unknown"]] * 9
    assert statuses(packets[12]) == []


def test_a_query_is_asked_at_most_once_a_second(tmp_path):
    broker = ScriptedBroker({"submit_order": [OSError()], "query_order": [OSError()]}, ("query", "fills"))
    play(tmp_path, [at(100 * i) for i in range(31)], BID, HOLD, broker=broker)
    assert len(broker.called("query_order")) == 3


# ---------------------------------------------------------------- cancels that fail


@pytest.mark.parametrize("answer", [OSError("down"), "junk", {"status": "rejected", "reason": "too late"}])
def test_a_failed_cancel_leaves_the_order_and_is_asked_for_again(tmp_path, answer):
    broker = ScriptedBroker({"cancel_order": [answer, answer, {"status": "canceled"}]}, ("cancel", "fills"))
    _, packets = play(tmp_path, [at(i) for i in range(5)], BID, CANCEL, broker=broker)
    assert ops(packets) == [["submit"], ["cancel"], ["cancel"], ["cancel"], []]
    assert [len(statuses(p)) for p in packets] == [1, 1, 1, 1, 0]


def test_a_cancel_that_finds_no_order_is_asked_for_until_it_can_no_more_arrive(tmp_path):
    broker = ScriptedBroker({"cancel_order": [{"status": "not_found"}]}, ("cancel", "fills"))
    _, packets = play(tmp_path, [at(4_000 * i) for i in range(5)], BID, CANCEL, broker=broker)
    assert ops(packets) == [["submit"], ["cancel"], ["cancel"], [], []]
    assert [len(statuses(p)) for p in packets] == [1, 1, 1, 0, 0]


def test_a_cancel_that_got_lost_is_asked_for_again(tmp_path):
    """The request was taken (None), but a second later the order is still live."""
    broker = ScriptedBroker(
        {"cancel_order": [None, {"status": "canceled"}], "query_order": [{"status": "live"}]},
        ("cancel", "query", "fills"),
    )
    _, packets = play(tmp_path, [at(600 * i) for i in range(7)], BID, CANCEL, broker=broker)
    assert [*chain(*ops(packets))] == ["submit", "cancel", "cancel"]
    assert statuses(packets[-1]) == []


# ---------------------------------------------------------------- STOP


def _stopped_run(tmp_path, broker, *more, policy=None):
    return play(
        tmp_path, [at(0, market_id="N"), at(1, market_id="M"), at(2, market_id="M"), *more],
        QUOTE, QUOTE, STOP, QUOTE, broker=broker, instruments=(M, N), policy=policy,
    )  # fmt: skip


def test_stop_pulls_all_markets_latches_and_packets_go_on(tmp_path):
    broker = ScriptedBroker(abilities=PLAIN)
    more = [at(3 + i, market_id=market) for i in range(4) for market in "MN"]
    summary, packets = _stopped_run(tmp_path, broker, *more)
    assert ops(packets)[2] == ["cancel"] * 4
    assert len(packets) == 11
    assert actions(packets)[3:] == ["STOP"] * 8
    assert packets[5]["final_action"]["reasons"] == ["stop_latched"]
    assert [*chain(*ops(packets)[3:])] == []
    assert broker.working == {}
    assert summary["stopped"] == {"step": 3, "reason": "stop_proposed"}
    assert summary["ended"] == "exhausted"
    assert packets[-1]["state_after"]["stopped"] == {"step": 3, "reason": "stop_proposed"}


def test_after_a_stop_only_reduce_only_orders_leave(tmp_path):
    broker = ScriptedBroker(abilities=PLAIN)
    events = [at(0), then(lambda: fill_all(broker), at(1)), at(2), at(3), at(4), at(5)]
    _, packets = play(
        tmp_path, events, BID, STOP, act(side="sell", price=0.51, size=2), EXIT, EXIT, broker=broker
    )
    assert actions(packets) == ["ACT", "STOP", "STOP", "EXIT", "EXIT", "EXIT"]
    late = [order for order in broker.placed if not order.reduce_only]
    assert len(late) == 1  # the one before the stop
    assert broker.placed[1].reduce_only
    assert broker.placed[1].side == "sell"


def test_a_loss_stops_with_its_own_reason(tmp_path):
    broker = ScriptedBroker(abilities=PLAIN)
    events = [at(0), then(lambda: fill_all(broker), at(1)), at(2, 0.09, 0.11), at(3, 0.09, 0.11)]
    buy = act(side="buy", price=0.49, size=10)
    summary, packets = play(tmp_path, events, buy, HOLD, broker=broker, policy=loose(daily_loss_stop_usd=2.5))
    assert actions(packets) == ["ACT", "HOLD", "STOP", "STOP"]
    assert summary["stopped"] == {"step": 3, "reason": "daily_loss_stop"}


def test_a_stop_that_comes_with_an_exit_of_nothing_keeps_its_reason(tmp_path):
    broker = ScriptedBroker(abilities=PLAIN)
    broker.reports.append({"type": "funding", "entry_id": "1", "market_id": "M", "amount": -3.0})
    broker.reports, waiting = [], broker.reports
    events = [at(0), then(lambda: broker.reports.extend(waiting), at(1))]
    _, packets = play(tmp_path, events, HOLD, EXIT, broker=broker, policy=loose(daily_loss_stop_usd=2.5))
    assert actions(packets)[1] == "STOP"
    assert packets[1]["final_action"]["reasons"] == ["daily_loss_stop"]


def test_a_stop_asks_again_for_cancels_that_fail(tmp_path):
    broker = ScriptedBroker(
        {"cancel_order": [OSError(), OSError(), {"status": "canceled"}]}, ("cancel", "fills")
    )
    _, packets = play(tmp_path, [at(i) for i in range(6)], BID, STOP, HOLD, broker=broker)
    assert ops(packets) == [["submit"], ["cancel"], ["cancel"], ["cancel"], [], []]


# ---------------------------------------------------------------- EXIT


def _long(broker, *more):
    """Buy 2, let it fill, then go on."""
    return [at(0), then(lambda: fill_all(broker), at(1)), *more]


def test_an_exit_pulls_confirms_and_then_takes_until_flat(tmp_path):
    """Rounds: what rests is pulled; half is filled; the rest; flat."""

    def taken(order):
        if order.reduce_only:
            broker.fill(order, size=1.0, price=0.48)
            return {"status": "canceled", "filled_size": 1.0}
        return None

    broker = ScriptedBroker({"submit_order": [taken]}, PLAIN)
    events = _long(broker, *[at(2 + i) for i in range(5)])
    exit_once = [BID, act(side="sell", price=0.55, size=2), EXIT, QUOTE]
    summary, packets = play(tmp_path, events, *exit_once, broker=broker)
    assert actions(packets) == ["ACT", "ACT", "EXIT", "EXIT", "EXIT", "ACT", "ACT"]
    assert ops(packets)[2:6] == [["cancel"], ["submit"], ["submit"], ["submit", "submit"]]
    first = packets[3]["intents"][0]
    assert (first["side"], first["price"], first["size"]) == ("sell", 0.47, 2.0)  # the bid less 2 ticks
    assert (first["time_in_force"], first["reduce_only"]) == ("IOC", True)
    assert packets[4]["intents"][0]["size"] == 1.0
    assert packets[3]["final_action"]["reasons"][0] == "exiting"
    assert packets[2]["state_after"]["exiting"] == ["M"]
    assert "exiting" not in packets[5]["state_after"]
    assert summary["positions"] == {"M": 0.0}


def test_an_exit_of_a_short_buys_at_the_ask_within_the_bounds(tmp_path):
    broker = ScriptedBroker(abilities=PLAIN)
    events = [at(0, 0.96, 0.99), then(lambda: fill_all(broker), at(1, 0.96, 0.99)), at(2, 0.96, 0.99)]
    play(tmp_path, events, act(side="sell", price=0.99, size=2), EXIT, broker=broker)
    assert [(o.side, o.price, o.reduce_only) for o in broker.placed[1:]] == [("buy", 1.0, True)]  # not 1.01


def test_an_exit_where_prices_have_no_bounds(tmp_path):
    spread = Instrument(market_id="S", tick_size="0.01", lot_size="1", price_min=-math.inf)
    broker = ScriptedBroker(abilities=PLAIN)
    events = [at(0, 0.01, 0.02), then(lambda: fill_all(broker), at(1, 0.01, 0.02))]
    policy = loose(max_spread_bps=1e9)
    buy = act(side="buy", price=0.01, size=2)
    play(tmp_path, events, buy, EXIT, broker=broker, instruments=(spread,), policy=policy)
    assert [(o.side, o.price) for o in broker.placed] == [("buy", 0.01), ("sell", -0.01)]


def test_no_guard_blocks_an_exit(tmp_path):
    broker = ScriptedBroker(abilities=PLAIN)
    events = _long(broker, at(2, 0.2, 0.9, size=0.1), at(3, 0.2, 0.9, size=0.1))
    policy = loose(max_spread_bps=500, min_depth=10, staleness_ms=0)
    _, packets = play(tmp_path, events, BID, HOLD, EXIT, EXIT, broker=broker, policy=policy)
    assert packets[2]["intents"][0]["reduce_only"]


def test_an_exit_goes_on_at_bad_events_and_timers(tmp_path):
    broker = ScriptedBroker(
        {"submit_order": [lambda order: {"status": "canceled"} if order.reduce_only else None]}, PLAIN
    )
    events = _long(broker, at(2), "junk", at(2_500))
    config = RunConfig(run=RunSection(timer_ms=1_000))
    _, packets = play(tmp_path, events, BID, EXIT, HOLD, broker=broker, config=config)
    assert [p["input"].get("kind", "market") for p in packets] == [
        "market",
        "market",
        "market",
        "market",
        "timer",
        "timer",
        "market",
    ]
    assert [i["reduce_only"] for p in packets[1:] for i in p["intents"]] == [True] * 6


def test_an_exit_waits_for_a_touch(tmp_path):
    broker = ScriptedBroker(abilities=PLAIN)
    events = _long(broker, at(2, None, 0.51), at(3))
    _, packets = play(tmp_path, events, BID, HOLD, EXIT, broker=broker)
    assert ops(packets)[2:] == [[], ["submit"]]


def test_an_exit_without_position_pulls_and_says_so(tmp_path):
    _, packets = play(tmp_path, [at(i) for i in range(4)], QUOTE, EXIT, EXIT, QUOTE)
    assert actions(packets) == ["ACT", "EXIT", "EXIT", "ACT"]
    assert ops(packets) == [["submit", "submit"], ["cancel", "cancel"], [], ["submit", "submit"]]
    assert packets[1]["final_action"]["reasons"] == ["nothing_to_exit"]


def test_an_exit_that_cannot_pull_leaves_what_rests_on_its_side(tmp_path):
    """The broker cannot cancel: a resting sale of 1 may still fill, so only 1 of 2 is sold."""
    broker = ScriptedBroker(abilities=("fills",))
    events = [at(0), then(lambda: broker.fill(broker.placed[0]), at(1)), at(2), at(3)]
    play(
        tmp_path, events, BID, act(orders=[{"side": "sell", "price": 0.55, "size": 1}]), EXIT, broker=broker,
    )  # fmt: skip
    assert [(o.side, o.size, o.reduce_only) for o in broker.placed] == [
        ("buy", 2.0, False), ("sell", 1.0, False), ("sell", 1.0, True),
    ]  # fmt: skip


def test_an_exit_order_of_unknown_outcome_is_not_sent_again(tmp_path):
    lost = lambda order: (_ for _ in ()).throw(OSError()) if order.reduce_only else None  # noqa: E731
    broker = ScriptedBroker({"submit_order": [lost]}, ("cancel", "fills"))
    events = _long(broker, *[at(2 + i) for i in range(4)])
    play(tmp_path, events, BID, EXIT, broker=broker)
    assert [o.reduce_only for o in broker.placed] == [False, True]


def test_an_exposure_above_the_cap_now_exits_by_itself(tmp_path):
    broker = ScriptedBroker(abilities=PLAIN)
    events = [at(0), then(lambda: fill_all(broker), at(1, 0.89, 0.91)), at(2, 0.89, 0.91)]
    policy = loose(max_per_market_usd=5.0)
    _, packets = play(
        tmp_path, events, act(side="buy", price=0.49, size=10), HOLD, broker=broker, policy=policy
    )
    assert actions(packets)[1:] == ["EXIT", "EXIT"]
    assert packets[1]["final_action"]["reasons"] == ["exposure_cap"]
    assert broker.placed[-1].reduce_only


# ---------------------------------------------------------------- dry run, ids, clock


def test_a_dry_run_sends_nothing_and_all_else_happens(tmp_path):
    never = [AssertionError("a dry run must not call this")]
    broker = ScriptedBroker(
        {"submit_order": never, "replace_order": never, "cancel_order": never, "query_order": never},
        live=True,
    )
    events = [at(0), at(10, 0.47, 0.49), at(20), at(30), at(40)]
    moved = act(bid=0.47, ask=0.49, size=1)
    summary, packets = play(tmp_path, events, QUOTE, moved, CANCEL, EXIT, STOP, broker=broker, dry_run=True)
    assert {name for name, *_ in broker.calls} == {"open", "close"}
    assert ops(packets) == [["submit", "submit"], ["replace", "replace"], ["cancel", "cancel"], [], []]
    assert not any(r["type"] == "note" for p in packets for r in p["external"]["reports"])
    assert summary["open_orders_left"] == []
    assert summary["fills"] == 0
    assert any("dry run" in line for line in summary["explanation"])


def test_order_ids_are_deterministic_unique_and_of_26_characters(tmp_path):
    def ids(folder, **settings):
        broker = ScriptedBroker()
        events = [at(10 * i, 0.49 + 0.01 * (i % 5), 0.51 + 0.01 * (i % 5)) for i in range(40)]
        quotes = [act(bid=0.49 + 0.01 * (i % 5), ask=0.51 + 0.01 * (i % 5), size=1) for i in range(40)]
        play(tmp_path / folder, events, *quotes, broker=broker, **settings)
        return [order.client_order_id for order in broker.placed]

    first = ids("a")
    assert len(first) == len(set(first)) == 80
    assert all(len(name) == 26 and set(name) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") for name in first)
    assert ids("b") == first
    assert not set(ids("c", seed=1)) & set(first)
    assert not set(ids("d", run_id="other")) & set(first)


def test_two_live_runs_never_share_an_order_id(tmp_path):
    def ids(folder):
        broker = ScriptedBroker(live=True)
        play(tmp_path / folder, [at(0)], QUOTE, broker=broker)
        return {order.client_order_id for order in broker.placed}

    assert not ids("a") & ids("b")


def test_timers_come_at_exact_multiples_before_inputs_of_equal_time(tmp_path):
    config = RunConfig(run=RunSection(timer_ms=500))
    events = [at(100), at(1_000), at(1_001), at(2_600)]
    summary, packets = play(tmp_path, events, HOLD, config=config)
    assert [(p["input"].get("kind", "market"), p["external"]["now_ns"] // 10**6 - T0) for p in packets] == [
        ("market", 100), ("timer", 500), ("timer", 1_000), ("market", 1_000), ("market", 1_001),
        ("timer", 1_500), ("timer", 2_000), ("timer", 2_500), ("market", 2_600),
    ]  # fmt: skip
    assert (summary["steps"], summary["packets"]) == (4, 9)
    assert packets[1]["final_action"]["reasons"] == ["timer"]


def test_timers_come_for_each_market_and_steps_count_events_only(tmp_path):
    config = RunConfig(run=RunSection(timer_ms=500))
    events = [at(0, market_id="M"), at(1, market_id="N"), at(1_000, market_id="M"), at(1_001, market_id="M")]
    summary, packets = play(tmp_path, events, HOLD, config=config, instruments=(M, N), steps=3)
    timers = [p["input"]["market_id"] for p in packets if p["input"].get("kind") == "timer"]
    assert timers == ["M", "N", "M", "N"]
    assert (summary["steps"], summary["ended"]) == (3, "steps")


def test_a_timer_pulls_a_stale_quote(tmp_path):
    config = RunConfig(run=RunSection(timer_ms=100))
    _, packets = play(
        tmp_path,
        [at(0), at(1_000)],
        QUOTE,
        config=config,
        policy=loose(stale_cancel_ms=250, staleness_ms=250),
    )
    pulled = next(p for p in packets if p["final_action"]["action"] == "CANCEL")
    assert pulled["external"]["now_ns"] // 10**6 - T0 == 300
    assert [i["op"] for i in pulled["intents"]] == ["cancel", "cancel"]


def test_the_event_clock_takes_our_time_then_the_venues_and_never_goes_back():
    clock = EventClock()

    def take(event):
        return clock.settle(event, clock.stamp(event), in_order=event.bad is None)

    assert take(Event(ts_ns=5, received_ns=9)) == 9
    assert take(Event(ts_ns=12)) == 12
    assert take(Event(ts_ns=11)) == 12
    assert take(Event(ts_ns=99, bad=Bad("crossed_book"))) == 12  # refused: the time stays
    assert take(Event(bid=0.5)) == 12  # it lost its time


def test_the_event_clock_follows_a_jump_of_years_once_it_is_borne_out():
    clock = EventClock()

    def take(event):
        return clock.settle(event, clock.stamp(event), in_order=event.bad is None)

    years = 2 * MAX_JUMP_NS
    assert take(Event(ts_ns=0)) == 0
    assert clock.stamp(Event(ts_ns=years)) == 0
    assert take(Event(ts_ns=years + 5)) == years + 5


def test_the_event_clock_reads_the_wall_only_for_books_without_any_time():
    clock = EventClock()
    assert clock.stamp(Event(status="open")) == 0
    first = clock.stamp(Event(bid=0.5))
    assert first > 1_600_000_000 * 10**9
    assert clock.stamp(Event(bid=0.5)) >= first


def test_the_wall_clock_passes_by_itself():
    clock = WallClock()
    first = clock.stamp(Event(ts_ns=5))
    assert clock.stamp(Event(ts_ns=2**62)) - first < 10**12


def test_a_clock_offset_is_added_to_the_venues_times_and_recorded(tmp_path):
    class Early(ListSource):
        clock_offset_ns = -1_270_000_000

    source = Early([book(received_ms=T0, ts_ms=T0 + 1_270)], instruments=(M,))
    summary = run_loop(source, ScriptedBroker(), decision_engine=scripted(QUOTE), output_dir=tmp_path)
    packet = read_packets(summary["run_dir"])[0]
    assert packet["input"]["ts_ns"] == T0 * 10**6
    assert packet["mdm"]["features"]["staleness_ms"] == 0.0
    assert packet["final_action"]["action"] == "ACT"


def test_latency_is_measured_only_with_a_wall_clock(tmp_path):
    def latencies(live):
        source = ListSource([book(), book()], live=live, instruments=(M,))
        summary = run_loop(source, ScriptedBroker(), decision_engine=scripted(HOLD), output_dir=tmp_path)
        return [p["latency_ms"] for p in read_packets(summary["run_dir"])]

    assert latencies(False) == [0.0, 0.0]
    assert all(latency > 0.0 for latency in latencies(True))


# ---------------------------------------------------------------- session, warm-up, corporate events


def test_warm_up_counts_from_the_first_event(tmp_path):
    from ami_engine.mdm.decision_engine import DecisionEngine

    source = ListSource([at(0), at(999), at(1_000)], instruments=(M,))
    engine = DecisionEngine(scripted(QUOTE), warmup_ms=1_000)
    summary = run_loop(source, ScriptedBroker(), decision_engine=engine, output_dir=tmp_path)
    assert actions(read_packets(summary["run_dir"])) == ["HOLD", "HOLD", "ACT"]
    assert summary["hold_reasons"] == {"warming_up": 2}


def test_a_halted_session_holds_every_act_until_it_is_open_again(tmp_path):
    events = [at(0, status="HALTED"), at(1), {"ts_ms": T0 + 2, "status": "open"}, at(3)]
    _, packets = play(tmp_path, events, QUOTE)
    assert actions(packets) == ["HOLD", "HOLD", "ACT", "ACT"]
    assert packets[1]["final_action"]["reasons"] == ["session_closed"]


def test_no_market_yet_is_a_reason(tmp_path):
    _, packets = play(tmp_path, [{"ts_ms": T0, "status": "open"}, at(1)], QUOTE)
    assert packets[0]["final_action"]["reasons"] == ["no_market"]


@pytest.mark.parametrize(("price", "realized"), [(1.0, 2 * 0.51), (0.0, -2 * 0.49)])
def test_a_binary_market_settles_at_0_or_1_and_its_orders_are_pulled(tmp_path, price, realized):
    broker = ScriptedBroker(abilities=PLAIN)
    events = [*_long(broker), {"ts_ms": T0 + 2, "settlement": {"price": price}}, at(3), at(4)]
    summary, packets = play(tmp_path, events, BID, ASK, QUOTE, broker=broker)
    assert packets[2]["final_action"]["reasons"] == ["settled"]
    assert ops(packets)[2:] == [["cancel"], [], []]
    assert actions(packets)[2:] == ["CANCEL", "CANCEL", "HOLD"] or actions(packets)[2:] == [
        "CANCEL",
        "HOLD",
        "HOLD",
    ]
    assert packets[2]["state_after"]["positions_lots"] == {}
    assert summary["realized_pnl"] == pytest.approx(realized)
    assert summary["final_equity"] == pytest.approx(100.0 + realized)


def test_funding_is_paid_on_the_position_each_time(tmp_path):
    """Two payments with equal stamps and no number are two payments."""
    broker = ScriptedBroker(abilities=PLAIN)
    events = [
        *_long(broker),
        {"ts_ms": T0 + 2, "funding": 0.01},
        {"ts_ms": T0 + 2, "funding": {"rate": 0.01}},
    ]
    summary, _ = play(tmp_path, events, BID, HOLD, broker=broker)
    assert summary["funding"] == pytest.approx(-2 * 0.01 * 2 * 0.5)


def test_a_live_account_books_only_what_the_venue_reports(tmp_path):
    broker = ScriptedBroker(abilities=PLAIN, live=True)
    events = [*_long(broker), {"ts_ms": T0 + 2, "funding": 0.01, "settlement": 1.0}]
    summary, _ = play(tmp_path, events, BID, HOLD, broker=broker)
    assert (summary["funding"], summary["positions"]) == (0.0, {"M": 2.0})


def test_entries_of_the_broker_are_booked_once(tmp_path):
    broker = ScriptedBroker(abilities=PLAIN)
    entries = [
        {"type": "funding", "entry_id": "1", "market_id": "M", "amount": -0.5},
        {"type": "transfer", "entry_id": "1", "amount": 10.0},
        {"type": "correction", "entry_id": "1", "market_id": "M", "reason": "bust", "amount": 0.25},
    ]
    events = [at(0), *[then(lambda: broker.reports.extend(entries), at(i)) for i in (1, 2)]]
    summary, _ = play(tmp_path, events, HOLD, broker=broker)
    assert summary["final_equity"] == 100.0 + 10.0 - 0.5 + 0.25
    assert summary["stopped"] is None


# ---------------------------------------------------------------- limits


def test_two_markets_share_the_limit_of_the_account(tmp_path):
    broker = ScriptedBroker(abilities=PLAIN)
    buy = act(side="buy", price=0.5, size=16)
    events = [at(i, market_id=market) for i, market in enumerate("MNMN")]
    _, packets = play(
        tmp_path, events, buy, broker=broker, instruments=(M, N), policy=loose(max_total_exposure_usd=10.0)
    )
    assert [(o.market_id, o.size) for o in broker.placed] == [("M", 16.0), ("N", 4.0)]
    assert packets[1]["mismatch"]["flags"] == ["clamped:buy"]


def test_what_works_counts_in_full_also_while_it_is_cancelled(tmp_path):
    """The cancel of 16 is not confirmed: only 4 more may be bought on another level, then none."""
    broker = ScriptedBroker({"cancel_order": [None]}, ("cancel", "fills"))
    policy = loose(max_abs_inventory=20)
    first = act(orders=[{"side": "buy", "price": 0.5, "size": 16}])
    other = act(orders=[{"side": "buy", "price": 0.4, "size": 16, "level": 1}])
    third = act(orders=[{"side": "buy", "price": 0.3, "size": 16, "level": 2}])
    _, packets = play(
        tmp_path, [at(0), at(1), at(2), at(3)], first, other, third, broker=broker, policy=policy
    )
    assert [o.size for o in broker.placed] == [16.0, 4.0]
    assert statuses(packets[3]) == ["canceling", "live"]
    assert packets[3]["final_action"]["reasons"] == ["inventory_cap"]


@pytest.mark.parametrize("abilities", [PLAIN, ("cancel", "replace", "fills")])
def test_what_a_level_gives_up_counts_until_its_end_is_confirmed(tmp_path, abilities):
    """5 and 5 work, the cap is 10: shrinking one to 1 does not make room for another 4 in the same step."""

    def buys(*sizes):
        return act(
            orders=[{"side": "buy", "price": 0.4, "size": n, "level": i} for i, n in enumerate(sizes) if n]
        )

    broker = ScriptedBroker(abilities=abilities)
    events = [at(0), at(1), at(2), at(3)]
    _, packets = play(
        tmp_path, events, buys(5, 5), buys(1, 5, 4), broker=broker, policy=loose(max_abs_inventory=10)
    )
    assert [order.size for order in broker.placed] == [5.0, 5.0, 1.0, 4.0]
    assert "inventory_cap" in packets[1]["final_action"]["reasons"]
    assert [i["size"] for i in packets[1]["intents"] if i["op"] != "cancel"] in ([], [1.0])
    assert packets[1]["guards"]["legs"][2]["allowed"] is False


def test_a_market_without_shorts_never_sells_more_than_it_holds(tmp_path):
    spot = Instrument(market_id="M", tick_size="0.01", lot_size="1", short="no")
    broker = ScriptedBroker(abilities=PLAIN)
    sells = act(orders=[{"side": "sell", "price": 0.51 + 0.01 * i, "size": 2, "level": i} for i in range(3)])
    events = [at(0), then(lambda: fill_all(broker), at(1)), at(2)]
    _, packets = play(
        tmp_path, events, act(side="buy", price=0.49, size=3), sells, broker=broker, instruments=(spot,)
    )
    assert [(o.side, o.size) for o in broker.placed] == [("buy", 3.0), ("sell", 2.0), ("sell", 1.0)]
    assert packets[1]["mismatch"]["flags"] == ["leg_no_short"]


def test_a_hook_tightens_what_the_observed_numbers_are_made_of(tmp_path, monkeypatch):
    import msgspec

    from ami_engine.loop import run_loop as module

    monkeypatch.setattr(
        module, "load_policy_hook", lambda: lambda base, context: msgspec.structs.replace(base, tp_ticks=0.2)
    )
    _, packets = play(tmp_path, [at(0)], QUOTE, policy=loose(min_profit_ticks=0.5))
    assert packets[0]["guards"]["tightened"] == {"tp_ticks": 0.2}
    assert packets[0]["final_action"]["reasons"] == ["cost_insufficient"]


def test_a_hook_tightens_the_window_of_cancels(tmp_path, monkeypatch):
    import msgspec

    from ami_engine.loop import run_loop as module

    monkeypatch.setattr(
        module,
        "load_policy_hook",
        lambda: lambda base, context: msgspec.structs.replace(base, cancel_window_ms=60_000),
    )
    events = [at(10_000 * i) for i in range(5)]
    quotes = [act(side="buy", price=0.40 + 0.01 * i, size=1) for i in range(5)]
    policy = loose(cancel_rate_limit=2, cancel_window_ms=5_000)
    _, packets = play(tmp_path, events, *quotes, broker=ScriptedBroker(), policy=policy)
    assert ops(packets) == [["submit"], ["replace"], ["replace"], [], []]
    assert packets[3]["final_action"]["reasons"] == ["cancel_rate_throttle"]


def test_levels_that_nobody_answers_wait_each_for_itself(tmp_path):
    broker = ScriptedBroker({"submit_order": [OSError()]}, ("fills",))
    levels = [
        act(orders=[{"side": side, "price": price, "size": 1, "level": level} for level in range(16)])
        for side, price in (("buy", 0.3), ("sell", 0.7))
    ]
    summary, packets = play(tmp_path, [at(i) for i in range(4)], *levels, broker=broker)
    assert len(broker.placed) == 32
    assert len(summary["open_orders_left"]) == 32
    assert packets[3]["mismatch"]["flags"] == ["awaiting_broker"]


def test_the_broker_gets_the_models_own_params(tmp_path):
    broker = ScriptedBroker()
    play(tmp_path, [at(0)], act(bid=0.49, ask=0.51, size=1, urgency="low"), broker=broker)
    assert [o.params for o in broker.placed] == [{"urgency": "low"}] * 2
    assert {o.action for o in broker.placed} == {"ACT"}


def test_steps_go_on_counting_through_everything(tmp_path):
    broker = ScriptedBroker(abilities=PLAIN)
    config = RunConfig(run=RunSection(timer_ms=1))
    events = list(itertools.chain.from_iterable((at(i), "junk", {}) for i in range(20)))
    summary, packets = play(tmp_path, events, QUOTE, broker=broker, config=config)
    assert summary["packets"] == len(packets)
    assert sum("kind" not in p["input"] for p in packets) == 60
