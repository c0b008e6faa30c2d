"""Snapshots, changes, order messages and quotes through the whole loop: what is used, what holds, what fills."""

import pytest

from ami_engine.config import config_from_dict
from ami_engine.loop.run_loop import run_loop
from ami_engine.sim.paper_broker import PaperBroker
from ami_engine.testing import ListSource, ScriptedBroker, read_packets
from ami_engine.trace.verify import verify
from decision_schema.instruments import Instrument
from decision_schema.types import Action, Proposal

T0 = 1_600_000_000_000
M = Instrument(market_id="M", tick_size="0.01", lot_size="1")
POLICY = {
    "max_per_market_usd": 1e6, "max_total_exposure_usd": 1e6, "daily_loss_stop_usd": 0.0,
    "adv15_max_ticks": 0.0, "adv60_max_ticks": 0.0, "max_abs_inventory": 1e6,
}  # fmt: skip


def quote(features):
    return Proposal(action=Action.ACT, confidence=0.9, params={"value": features.get("mid", 10.0)})


def play(tmp_path, events, broker=None, model=quote, **guards):
    events = [{"market_id": "M", "ts_ms": T0 + 10 * i, **event} for i, event in enumerate(events)]
    summary = run_loop(
        ListSource(events, instruments=(M,)),
        broker or PaperBroker(),
        config=config_from_dict({"guards": {**POLICY, **guards}, "run": {"run_id": "r"}}),
        decision_engine=model,
        output_dir=tmp_path,
    )
    verify(summary["run_dir"])
    return summary, read_packets(summary["run_dir"])


def snapshot(seq=10, **more):
    return {"bids": [(9.9, 5.0), (9.8, 7.0)], "asks": [(10.1, 5.0), (10.2, 7.0)], "book_seq": seq, **more}


def change(seq, *deltas, before=None):
    return {
        "channel": "depth",
        "seq": seq,
        "prev_seq": seq - 1 if before is None else before,
        "deltas": list(deltas),
    }


def tops(packets):
    return [(p["mdm"]["features"].get("mid"), p["mdm"]["features"].get("depth")) for p in packets]


def why(packets):
    return [p["input"].get("bad", {}).get("reason", "") for p in packets]


def test_changes_follow_a_snapshot_and_a_gap_waits_for_the_next(tmp_path):
    events = [
        change(9, ("buy", 9.95, 1.0)),  # waits
        snapshot(),
        change(11, ("buy", 9.9, 0.0)),
        change(13, ("sell", 10.05, 3.0), before=12),  # 12 was lost
        change(14, ("buy", 9.85, 2.0)),
        snapshot(14),
        change(15, ("sell", 10.1, 9.0)),
    ]
    summary, packets = play(tmp_path, events)
    assert why(packets) == ["awaiting_snapshot", "", "", "gap", "awaiting_snapshot", "", ""]
    assert tops(packets)[1:4] == [(10.0, 24.0), (9.95, 19.0), (9.95, 19.0)]
    assert tops(packets)[-1] == (10.0, 28.0)
    data = summary["data"]["M"]
    assert (data["gaps"], data["resyncs"], data["snapshots"]) == (1, 1, 2)
    assert summary["bad_inputs"] == {"awaiting_snapshot": 2, "gap": 1}
    assert {p["final_action"]["action"] for p in packets if p["input"].get("bad")} == {"HOLD"}


def test_what_waited_and_is_newer_than_the_snapshot_is_applied_behind_it(tmp_path):
    events = [
        change(10, ("buy", 9.7, 1.0)),
        change(11, ("buy", 9.95, 4.0)),
        snapshot(10),
        change(11, ("buy", 9.96, 1.0)),
        snapshot(20),
        change(15, ("buy", 9.96, 1.0)),
    ]
    _, packets = play(tmp_path, events)
    assert tops(packets)[2] == ((9.95 + 10.1) / 2, 28.0)
    assert why(packets)[3:] == ["duplicate_seq", "", "superseded"]


def test_a_crossed_book_holds_and_the_next_change_is_merged_over_it(tmp_path):
    events = [snapshot(), change(11, ("buy", 10.15, 1.0)), change(12, ("sell", 10.1, 0.0))]
    _, packets = play(tmp_path, events)
    assert why(packets) == ["", "crossed_book", ""]
    assert tops(packets)[1] == tops(packets)[0]
    assert tops(packets)[2] == ((10.15 + 10.2) / 2, 20.0)


def test_one_sided_updates_that_cross_are_not_lost(tmp_path):
    events = [{"bid": 9.9, "ask": 10.1}, {"bid": 10.2}, {"ask": 10.4}]
    _, packets = play(tmp_path, events)
    assert why(packets) == ["", "crossed_book", ""]
    assert tops(packets)[2][0] == pytest.approx(10.3)


def test_time_moves_on_while_a_book_cannot_be_used_and_stale_orders_are_pulled(tmp_path):
    lost = [change(20 + i, ("buy", 9.9, 1.0), before=18 + i) for i in range(400)]
    broker = ScriptedBroker()
    summary, packets = play(tmp_path, [snapshot(), *lost], broker, stale_cancel_ms=1_000.0)
    pulled = next(p for p in packets if p["final_action"]["action"] == "CANCEL")
    assert 1_000 < pulled["external"]["now_ns"] // 10**6 - T0 <= 2_100
    assert broker.working == {}
    assert summary["data"]["M"]["gaps"] == 1


def test_a_quote_stands_before_the_levels_until_they_are_newer(tmp_path):
    events = [
        snapshot(10),
        {"channel": "quote", "bid": 9.85, "bid_size": 2.0, "ask": 10.1, "ask_size": 4.0, "book_seq": 12},
        change(11, ("sell", 10.3, 1.0)),  # older than the quote
        change(12, ("buy", 9.9, 0.0)),
        {"channel": "quote", "bid": 9.9, "bid_size": 2.0, "book_seq": 11},  # late
    ]
    summary, packets = play(tmp_path, events)
    assert tops(packets)[1] == ((9.85 + 10.1) / 2, 2.0 + 7.0 + 4.0 + 7.0)
    assert tops(packets)[2] == ((9.85 + 10.1) / 2, 2.0 + 7.0 + 4.0 + 7.0 + 1.0)
    assert tops(packets)[3] == ((9.8 + 10.1) / 2, 7.0 + 5.0 + 7.0 + 1.0)
    assert tops(packets)[4] == tops(packets)[3]
    assert summary["data"]["M"]["late_quotes"] == 1


def test_orders_fill_against_a_book_built_from_order_messages(tmp_path):
    def orders(*messages, **more):
        keys = ("op", "order_id", "side", "price", "size")
        return {"order_messages": [dict(zip(keys, message, strict=False)) for message in messages], **more}

    events = [
        orders(("clear",), ("add", 1, "buy", 9.9, 5.0), ("add", 2, "sell", 10.1, 5.0)),
        orders(("add", 3, "buy", 9.95, 1.0)),
        orders(("delete", 3)),
        orders(
            ("execute", 1, "buy", 9.9, 5.0), trades=[{"price": 9.9, "size": 5.0, "aggressor_side": "sell"}]
        ),
        orders(("add", 4, "buy", 9.7, 51.0), ("execute", 4, "buy", 9.7, 50.0)),  # through our bid
        orders(("add", 5, "buy", 9.8, 1.0), ("modify", 2, "sell", 10.0, 2.0)),
    ]
    _, packets = play(tmp_path, events)
    mids = [p["mdm"]["features"].get("mid") for p in packets]
    assert [mid and round(mid, 9) for mid in mids] == [10.0, 10.025, 10.0, None, 9.9, 9.9]
    fills = [r for p in packets for r in p["external"]["reports"] if r["type"] == "fill"]
    assert [fill["side"] for fill in fills] == ["buy"]


def test_the_paper_broker_keeps_its_book_through_events_that_hold(tmp_path):
    """What a crossed event changes is known to the broker when the book is uncrossed again."""
    taker = iter([None, None, None, {"side": "buy", "size": 3}, None])

    def model(features):
        order = next(taker)
        if order is None:
            return Proposal(action=Action.HOLD, confidence=0.5)
        return Proposal(action=Action.ACT, confidence=0.9, params={"orders": [{**order, "price": 10.3}]})

    events = [
        snapshot(),
        {},
        {},
        change(11, ("buy", 10.15, 1.0)),  # crossed: the model is not asked
        change(12, ("sell", 10.1, 0.0)),
        {},
    ]
    summary, packets = play(tmp_path, events, model=model)
    assert why(packets)[3] == "crossed_book"
    fills = [r for p in packets for r in p["external"]["reports"] if r["type"] == "fill"]
    assert [(fill["price"], fill["size"]) for fill in fills] == [(10.2, 3.0)]
    assert summary["fills_by_side"] == {"buy": 1, "sell": 0}


def test_a_price_scaled_by_ten_thousand_holds_and_a_true_new_level_is_followed(tmp_path):
    scaled = {"bid": 99_000.0, "ask": 101_000.0}
    _, packets = play(tmp_path, [snapshot(), scaled, snapshot(), scaled, scaled, scaled])
    assert why(packets) == ["", "price_jump", "", "price_jump", "", ""]
    assert tops(packets)[2][0] == 10.0


def test_prices_with_a_bound_may_jump(tmp_path):
    binary = Instrument(market_id="M", kind="binary", tick_size="0.001", lot_size="1")
    events = [
        {"ts_ms": T0 + i, "market_id": "M", "bid": bid, "ask": bid + 0.002}
        for i, bid in enumerate((0.002, 0.99))
    ]
    summary = run_loop(ListSource(events, instruments=(binary,)), PaperBroker(), output_dir=tmp_path)
    assert summary["bad_inputs"] == {}


def test_trades_outside_the_quote_lost_messages_and_halts_are_counted(tmp_path):
    def trade(seq, price, before=None):
        trades = [{"price": price, "size": 1.0, "aggressor_side": "buy"}]
        return {
            "channel": "trades",
            "seq": seq,
            "prev_seq": seq - 1 if before is None else before,
            "trades": trades,
        }

    events = [snapshot(), trade(1, 10.1), trade(2, 10.4), trade(5, 9.5, before=4), {"status": "halted"},
              {"status": "paused"}, {"status": "trading"}, {"bids": [], "asks": [(10.1, 1.0)]}]  # fmt: skip
    summary, packets = play(tmp_path, events)
    data = summary["data"]["M"]
    assert (data["trades"], data["trades_outside_quote"], data["messages_lost"]) == (3, 2, 1)
    assert (data["halts"], data["one_sided"]) == (1, 1)
    assert (
        packets[4]["final_action"]["reasons"] == packets[5]["final_action"]["reasons"] == ["session_closed"]
    )
    assert packets[6]["final_action"]["action"] == "ACT"


def test_a_row_that_its_source_calls_defective_holds_with_what_was_seen(tmp_path):
    _, packets = play(tmp_path, [snapshot(), {"defect": "torn_row", "row": 7, "raw": "9.9,10"}, snapshot(11)])
    assert why(packets) == ["", "defect:torn_row", ""]
    assert packets[1]["input"]["bad"]["raw"]["row"] == 7
    assert packets[1]["final_action"]["action"] == "HOLD"


def test_a_channel_that_begins_anew_at_one_is_followed(tmp_path):
    def numbered(seq):
        return {**snapshot(None), "seq": seq, "channel": "book"}

    _, packets = play(tmp_path, [numbered(500), numbered(501), numbered(1), numbered(2), numbered(2)])
    assert why(packets) == ["", "", "", "", "duplicate_seq"]


def test_text_order_ids_are_followed(tmp_path):
    def one(op, size=None):
        message = {"op": op, "order_id": "6d2d3a0b-9c1e", "side": "buy", "price": 9.95}
        return {"order_messages": [message if size is None else {**message, "size": size}]}

    _, packets = play(tmp_path, [snapshot(), one("add", 2.0), one("reduce", 1.5), one("delete")])
    assert [round(depth, 9) for _, depth in tops(packets)] == [24.0, 26.0, 24.5, 24.0]


def test_a_snapshot_numbered_on_the_channel_of_its_changes_shows_a_gap(tmp_path):
    def on(channel, seq, **parts):
        return {"channel": channel, "seq": seq, **parts}

    shown = {"bids": [(9.9, 5.0)], "asks": [(10.1, 5.0)]}
    lost = {"prev_seq": 12, "deltas": [("buy", 9.95, 1.0)]}
    next_one = {"prev_seq": 13, "deltas": [("buy", 9.95, 2.0)]}
    _, packets = play(
        tmp_path / "one", [on("book", 10, **shown), on("book", 13, **lost), on("book", 14, **next_one)]
    )
    assert why(packets) == ["", "gap", "awaiting_snapshot"]
    # numbers of another channel say nothing of it; among themselves they do
    later = {"prev_seq": 15, "deltas": [("buy", 9.95, 2.0)]}
    events = [
        on("rest", 10, **shown),
        on("book", 13, **lost),
        on("book", 14, **next_one),
        on("book", 16, **later),
    ]
    _, packets = play(tmp_path / "two", events)
    assert why(packets) == ["", "", "", "gap"]


def test_changes_of_an_event_that_cannot_be_used_are_known_to_the_paper_broker(tmp_path):
    """A level outside the bounds of the prices, and a trade outside them: the broker's book goes on."""
    binary = Instrument(market_id="M", kind="binary", tick_size="0.01", lot_size="1")

    def model(features, *, event):
        if not event.get("extra"):
            return Proposal(action=Action.HOLD, confidence=0.5)
        return Proposal(
            action=Action.ACT, confidence=0.9, params={"orders": [{"side": "buy", "price": 0.55, "size": 2}]}
        )

    events = [
        {"bids": [(0.5, 9.0)], "asks": [(0.6, 9.0)], "book_seq": 10},
        change(11, ("buy", 1.5, 1.0)),
        change(12, ("buy", 1.5, 0.0)),
        {**change(13, ("sell", 0.55, 4.0)), "trades": [{"price": 7.0, "size": 1.0}]},
        change(14, ("sell", 0.6, 1.0)),
        {"go": True},
        {},
    ]
    events = [{"market_id": "M", "ts_ms": T0 + 10 * i, **event} for i, event in enumerate(events)]
    config = config_from_dict({"guards": {**POLICY, "max_spread_bps": 1e5}, "run": {"run_id": "r"}})
    summary = run_loop(
        ListSource(events, instruments=(binary,)),
        PaperBroker(),
        config=config,
        decision_engine=model,
        output_dir=tmp_path,
    )
    packets = read_packets(summary["run_dir"])
    assert why(packets) == ["", "invalid_input:bid", "", "invalid_input:trades", "", "", ""]
    fills = [r for p in packets for r in p["external"]["reports"] if r["type"] == "fill"]
    assert [(fill["price"], fill["size"]) for fill in fills] == [(0.55, 2.0)]


def test_a_message_without_changes_among_the_changes_is_no_gap(tmp_path):
    def numbered(seq, **parts):
        return {"channel": "feed", "seq": seq, "prev_seq": seq - 1, **parts}

    trade = {"trades": [{"price": 10.1, "size": 1.0, "aggressor_side": "buy"}]}
    events = [
        numbered(10, bids=[(9.9, 5.0)], asks=[(10.1, 5.0)]),
        numbered(11, deltas=[("buy", 9.95, 1.0)]),
        numbered(12, **trade),
        numbered(13, status="trading"),
        numbered(14, deltas=[("buy", 9.95, 0.0)]),
        numbered(16, **trade),  # 15 was lost: it may have been a change
        numbered(17, deltas=[("buy", 9.95, 3.0)]),
    ]
    _, packets = play(tmp_path, events)
    assert why(packets) == ["", "", "", "", "", "", "gap"]


def test_after_a_gap_a_quote_of_one_side_leaves_the_other_unknown(tmp_path):
    events = [
        snapshot(),
        change(13, ("buy", 9.85, 2.0), before=12),
        {"channel": "quote", "bid": 9.9, "bid_size": 2.0},
        {"channel": "quote", "ask": 10.0, "ask_size": 2.0},
    ]
    _, packets = play(tmp_path, events)
    assert tops(packets)[2:] == [(None, 2.0), (9.95, 4.0)]


def test_a_quote_of_size_zero_is_an_empty_side(tmp_path):
    _, packets = play(tmp_path, [snapshot(), {"bid": 9.9, "bid_size": 0.0, "ask": 10.1, "ask_size": 1.0}])
    assert [p["mdm"]["features"].get("bid_depth") for p in packets] == [12.0, 0.0]
    assert tops(packets)[1][0] is None
