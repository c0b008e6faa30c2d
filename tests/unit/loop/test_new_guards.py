"""Guards that need the loop: what it counts, remembers and latches, and what becomes of orders."""

import math
from datetime import UTC, datetime

import pytest

from ami_engine.config import RunConfig, RunSection, config_from_dict
from ami_engine.kernels.guard import enable_executions
from ami_engine.kernels.ledger import new_account, value_account
from ami_engine.kernels.observed import see
from ami_engine.kernels.orders import CANCELING, FREE, LIVE, SENT, UNKNOWN
from ami_engine.kernels.records import new_cell, new_state
from ami_engine.kernels.venue_day import next_day_ns
from ami_engine.loop.day_start import venue_day
from ami_engine.testing import ScriptedBroker, book
from decision_schema.errors import ConfigError
from dmc_core.dmc.context import GuardContext
from dmc_core.dmc.decide import ACT, Judgement, decide
from dmc_core.dmc.guards import FIRST_LEG_ROW, GUARD_SLOT, SLOT, VERDICTS, limits_of
from dmc_core.dmc.measures import gap_ticks
from dmc_core.dmc.worst_case import Leg
from tests.unit.loop.test_several_markets import WIDE, run, stream
from tests.unit.loop.test_step import (
    ASK,
    BID,
    CANCEL,
    HOLD,
    PLAIN,
    QUOTE,
    T0,
    M,
    act,
    actions,
    at,
    fill_all,
    loose,
    ops,
    play,
    then,
)

INF, NAN = math.inf, math.nan


def flags(packets):
    return [packet["mismatch"]["flags"] for packet in packets]


def value(packet, name):
    return packet["guards"]["values"][SLOT[name]]


def verdict(packet, name):
    return VERDICTS[packet["guards"]["verdicts"][GUARD_SLOT[name]]]


def bid(price, size=2):
    return act(side="buy", price=price, size=size)


# ---------------------------------------------------------------- messages


def test_new_orders_stop_at_the_reserve_and_cancels_go_on(tmp_path):
    policy = loose(max_messages=5, message_reserve=2, message_window_ms=1_000)
    events = [at(0), at(10), at(20), at(30), at(2_000)]
    _, packets = play(tmp_path, events, QUOTE, CANCEL, BID, CANCEL, BID, policy=policy)
    assert ops(packets) == [["submit", "submit"], ["cancel", "cancel"], [], [], ["submit"]]
    assert flags(packets)[2] == ["message_rate"]  # 4 were sent, 5 - 2 are for new orders
    assert value(packets[2], "projected_messages") == 6.0  # with the reserve


def test_an_order_that_stays_is_no_message(tmp_path):
    policy = loose(max_messages=1, message_window_ms=10_000)
    _, packets = play(tmp_path, [at(0), at(10)], BID, BID, policy=policy)
    assert ops(packets) == [["submit"], []]
    assert flags(packets)[1] == ["quote_kept"]


def test_the_orders_of_one_proposal_share_what_is_left_of_the_messages(tmp_path):
    _, packets = play(tmp_path, [at(0)], QUOTE, policy=loose(max_messages=1))
    assert ops(packets) == [["submit"]]
    assert flags(packets) == [["message_rate"]]


# ---------------------------------------------------------------- own orders


def test_an_order_never_meets_an_own_one(tmp_path):
    policy = loose(self_trade_min_ticks=1)
    both = act(orders=[{"side": "sell", "price": 0.55, "size": 1}, {"side": "buy", "price": 0.51, "size": 1}])
    events = [at(0), at(10, 0.50, 0.52), at(20, 0.50, 0.52)]
    _, packets = play(tmp_path, events, ASK, both, both, policy=policy)
    assert flags(packets)[1][0] == "self_trade"
    assert ops(packets) == [["submit"], ["cancel"], ["submit", "submit"]]  # first the old one has to be gone
    assert value(packets[1], "self_gap_ticks") is None  # of an order, not of the account


@pytest.mark.parametrize("crossing", [True, False])
def test_two_orders_of_one_proposal_never_meet(tmp_path, crossing):
    wanted = act(bid=0.5, ask=0.5 if crossing else 0.51, size=1)
    _, packets = play(tmp_path, [at(0)], wanted, policy=loose(self_trade_min_ticks=1))
    assert ops(packets) == [["submit"] if crossing else ["submit", "submit"]]


def test_what_takes_meets_whatever_rests(tmp_path):
    take = act(side="buy", size=1)
    _, packets = play(tmp_path, [at(0), at(10)], ASK, take, policy=loose(self_trade_min_ticks=1))
    assert flags(packets)[1] == ["self_trade"]


def test_a_size_ten_times_the_usual_is_refused_and_not_shrunk(tmp_path):
    policy = loose(fat_finger_multiple=10)
    sent = [bid(0.49 - i / 100, 2) for i in range(5)]
    events = [at(10 * i) for i in range(8)]
    big, edge = bid(0.40, 21), bid(0.41, 20)
    _, packets = play(tmp_path, events, *sent, big, edge, policy=policy, broker=ScriptedBroker())
    assert flags(packets)[5] == ["fat_finger"]
    assert ops(packets)[5:7] == [[], ["replace"]]
    assert [row["name"] for row in packets[5]["guards"]["refusals"]] == ["fat_finger"]
    assert packets[5]["guards"]["refusals"][0]["value"] == 10.5


def test_the_same_order_again_is_refused_for_a_while(tmp_path):
    policy = loose(duplicate_window_ms=500)
    broker = ScriptedBroker(abilities=PLAIN)
    events = [at(0), at(10), then(lambda: fill_all(broker), at(20)), at(30), at(600)]
    _, packets = play(tmp_path, events, BID, BID, BID, bid(0.48), BID, policy=policy, broker=broker)
    assert flags(packets)[1] == ["quote_kept"]  # it rests: nothing is sent again
    assert flags(packets)[2] == ["duplicate_order"]
    assert packets[2]["guards"]["refusals"][0]["value"] == 20.0
    assert ops(packets)[3] == ["submit"]  # another price
    assert flags(packets)[4][0] != "duplicate_order"


def test_the_same_order_twice_in_one_proposal(tmp_path):
    one = {"side": "buy", "price": 0.49, "size": 1}
    twice = act(orders=[one, {**one, "level": 1}])
    _, packets = play(tmp_path, [at(0)], twice, policy=loose(duplicate_window_ms=500))
    assert ops(packets) == [["submit"]]
    assert flags(packets) == [["duplicate_order"]]


@pytest.mark.parametrize(
    ("side", "price", "own_bid", "own_ask", "tick", "gap"),
    [
        (1, 0.5, -INF, 0.52, 0.01, 2.0),
        (-1, 0.5, 0.52, INF, 0.01, -2.0),
        (1, 0.5, 0.9, INF, 0.01, 1e6),  # none of the other side
        (1, 0.5, -INF, -INF, 0.01, -1e6),  # one that takes is under way
        (1, NAN, -INF, 0.9, 0.01, 0.0),  # this one takes
        (1, 0.5, -INF, 0.9, NAN, 1.0),  # another price is a tick away, at least
        (1, 0.5, -INF, 0.4, NAN, -1.0),
        (1, 0.5, -INF, 0.5, NAN, 0.0),
        (1, 0.5, -INF, 1e300, 0.01, 1e6),
        (1, 1e300, -INF, 0.5, 0.01, -1e6),
    ],
)
def test_the_distance_to_own_orders(side, price, own_bid, own_ask, tick, gap):
    assert gap_ticks(side, price, own_bid, own_ask, tick) == pytest.approx(gap)


def test_own_orders_untold_are_not_taken_for_none():
    assert math.isnan(gap_ticks(1, 0.5, 0.4, NAN, 0.01))


def test_the_nearest_own_orders_of_each_side():
    cell = new_cell(0, M, 10**9, True, True)
    terms = [
        (1, 45, 0, LIVE),
        (1, 47, 0, CANCELING),
        (1, 60, 0, FREE),
        (-1, 55, 0, SENT),
        (-1, 53, 0, UNKNOWN),
    ]
    for slot, (side, ticks, takes, status) in zip(cell.orders.slots, terms, strict=False):
        slot.side, slot.price_ticks, slot.takes, slot.status, slot.lots = side, ticks, takes, status, 1
    cell.orders.used = len(terms)
    context, state = GuardContext(), new_state(100.0)
    state.n_cells = 1
    limits = limits_of(loose(self_trade_min_ticks=1, max_answer_ms=50))
    see(state, [cell], cell, limits, context, 10**9)
    assert (context.own_bid, context.own_ask, context.tick) == (0.47, 0.53, 0.01)
    assert context.observed[SLOT["unanswered_ms"]] == 1_000.0
    cell.orders.slots[3].takes = 1
    see(state, [cell], cell, limits, context, 10**9)
    assert context.own_ask == -math.inf
    cell.orders.slots[0].takes = 1
    see(state, [cell], cell, limits, context, 10**9)
    assert context.own_bid == math.inf
    see(state, [cell], cell, limits_of(loose()), context, 10**9)
    assert math.isnan(context.own_bid)
    assert math.isnan(context.observed[SLOT["unanswered_ms"]])


def test_a_dearer_level_of_a_binary_short_is_the_lower_price(tmp_path):
    wanted = [{"side": "sell", "price": p, "size": 4, "level": i} for i, p in enumerate((0.60, 0.55, 0.70))]
    broker = ScriptedBroker()
    play(
        tmp_path, [at(0, 0.5, 0.52)], act(orders=wanted), policy=loose(max_per_market_usd=4.9), broker=broker
    )
    assert [order.size for order in broker.placed] == [4, 4, 2]  # 10 x (1 - 0.51) is 4.9


def test_numbers_of_rare_limits_leave_with_them():
    """A private hook may turn a limit on for a step: nothing of it is left in the next one."""
    context, out = GuardContext(inventory=1.0, mid=0.5, other_exposure=0.0), Judgement()
    legs = [Leg(side=1, price=0.5, size=1.0)]
    decide(ACT, 1, legs, context, limits_of(loose(max_long=5)), out, 0)
    assert context.observed[SLOT["projected_long"]] == 1.0
    assert legs[0].values[GUARD_SLOT["long_cap"] - FIRST_LEG_ROW] == 2.0
    decide(ACT, 1, legs, context, limits_of(loose()), out, 0)
    assert math.isnan(context.observed[SLOT["projected_long"]])
    assert math.isnan(legs[0].values[GUARD_SLOT["long_cap"] - FIRST_LEG_ROW])


def test_a_limit_on_a_count_that_is_never_reached_is_refused():
    with pytest.raises(ConfigError, match="max_messages is 5000: give at most 1024"):
        loose(max_messages=5_000)


# ---------------------------------------------------------------- repeated executions


def test_repeated_executions_disable_trading_until_a_person_enables_it(tmp_path):
    policy = loose(max_executions=2, execution_window_ms=1_000)
    broker = ScriptedBroker(abilities=PLAIN)
    fill = [then(lambda: fill_all(broker), at(20 * i)) for i in (1, 2, 3)]
    events = [at(0), *fill, at(500_000)]
    _, packets = play(tmp_path, events, BID, policy=policy, broker=broker)
    assert [f == ["repeated_execution"] for f in flags(packets)] == [False, False, True, True, True]
    assert value(packets[-1], "executions_in_window") == 2.0  # long after the window


def test_a_person_enables_them():
    state = new_state(100.0)
    state.tripped_executions, state.executions.added = 7, 9
    enable_executions(state)
    assert (state.tripped_executions, state.executions_since) == (0, 9)


# ---------------------------------------------------------------- the data


def test_a_book_that_stays_crossed_pulls_orders(tmp_path):
    policy = loose(max_crossed_ms=1_500)
    events = [at(0), at(100, 0.53, 0.51), at(3_500, 0.53, 0.51), at(3_600)]
    _, packets = play(tmp_path, events, BID, HOLD, policy=policy)
    seen = [(value(p, "crossed_ms"), ops([p])[0]) for p in packets if p["input"].get("kind") == "timer"]
    assert seen == [(900.0, []), (1_900.0, ["cancel"]), (2_900.0, [])]
    assert value(packets[-1], "crossed_ms") == 0.0


def test_a_book_that_does_not_change_is_frozen(tmp_path):
    policy = loose(max_frozen_ms=500)
    events = [at(0, depth=9), at(400, depth=9), at(600, depth=9), at(700, depth=8)]
    _, packets = play(tmp_path, events, BID, policy=policy, config=RunConfig(run=RunSection(timer_ms=0)))
    assert [value(p, "frozen_ms") for p in packets] == [0.0, 400.0, 600.0, 0.0]
    assert [verdict(p, "frozen") for p in packets] == ["pass", "pass", "breach", "pass"]
    assert ops(packets)[2] == ["cancel"]


def test_a_jump_starts_a_pause(tmp_path):
    policy = loose(max_jump_bps=300, volatility_pause_ms=1_000)
    events = [at(0), at(10, 0.52, 0.54), at(20, 0.52, 0.54), at(1_100, 0.52, 0.54)]
    _, packets = play(tmp_path, events, HOLD, BID, policy=policy)
    assert [round(value(p, "jump_bps") or 0.0) for p in packets] == [0, 600, 0, 0]
    assert flags(packets)[1] == ["jump"]  # by one event
    assert flags(packets)[2] == ["volatility_pause"]
    assert value(packets[2], "volatility_pause_left_ms") == 990.0
    assert actions(packets)[3] == "ACT"


def test_a_jump_in_spreads(tmp_path):
    events = [at(0), at(10, 0.52, 0.54)]
    _, packets = play(tmp_path, events, HOLD, BID, policy=loose(max_jump_noise=1.5))
    assert value(packets[1], "jump_noise") == pytest.approx(600 / (0.02 / 0.53 * 1e4))
    assert flags(packets)[1] == ["jump_noise"]


def test_lost_messages_are_remembered_for_a_while(tmp_path):
    def delta(ms, seq, prev):
        return {
            "market_id": "M",
            "ts_ms": T0 + ms,
            "deltas": [("bid", 0.49, 5)],
            "seq": seq,
            "prev_seq": prev,
        }

    def snapshot(ms, seq):
        levels = {"bids": [(0.49, 9)], "asks": [(0.51, 9)]}
        return {"market_id": "M", "ts_ms": T0 + ms, **levels, "seq": seq}

    events = [snapshot(0, 1), delta(10, 2, 1), delta(20, 5, 4), snapshot(30, 6), snapshot(600, 7)]
    _, packets = play(tmp_path, events, BID, policy=loose(gap_pause_ms=500))
    assert packets[2]["input"]["bad"]["reason"] == "gap"
    assert [value(p, "gap_age_ms") for p in packets] == [None, None, 0.0, 10.0, 580.0]
    assert flags(packets)[3] == ["gap"]
    assert "gap" not in flags(packets)[4]


def test_a_request_without_an_answer(tmp_path):
    broker = ScriptedBroker({"submit_order": [{"status": "sent"}]}, ("cancel", "fills"))
    events = [at(0), at(400), at(600)]
    _, packets = play(tmp_path, events, BID, QUOTE, policy=loose(max_answer_ms=500), broker=broker)
    assert [value(p, "unanswered_ms") for p in packets] == [0.0, 400.0, 600.0]
    assert flags(packets)[2] == ["answer_latency"]


# ---------------------------------------------------------------- the day


def instant(text):
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


@pytest.mark.parametrize(
    ("zone", "start", "now", "begins"),
    [
        ("UTC", "00:00", "2024-03-10T05:00:00", "2024-03-11T00:00:00"),
        ("UTC", "00:00", "2024-03-11T00:00:00", "2024-03-12T00:00:00"),
        ("America/New_York", "17:00", "2024-01-10T21:59:59", "2024-01-10T22:00:00"),
        ("America/New_York", "17:00", "2024-01-10T22:00:00", "2024-01-11T22:00:00"),
        ("America/New_York", "17:00", "2024-03-09T22:00:00", "2024-03-10T21:00:00"),  # 23 hours
        ("America/New_York", "17:00", "2024-11-02T21:00:00", "2024-11-03T22:00:00"),  # 25 hours
        ("America/New_York", "00:00", "2024-03-10T06:30:00", "2024-03-11T04:00:00"),
        ("America/New_York", "02:30", "2024-03-10T06:59:00", "2024-03-10T07:30:00"),  # that day has no 02:30
        ("Asia/Tokyo", "00:00", "2024-06-01T14:59:59", "2024-06-01T15:00:00"),
        (
            "Europe/London",
            "01:30",
            "2024-10-27T00:30:00",
            "2024-10-28T01:30:00",
        ),  # comes twice: the first counts
        ("Europe/London", "01:30", "2024-10-27T01:30:00", "2024-10-28T01:30:00"),
        ("Europe/London", "00:00", "1980-06-01T00:00:00", "1980-06-02T00:00:00"),  # before the known years
    ],
)
def test_the_next_day_of_a_venue(zone, start, now, begins):
    pytest.importorskip("tzdata")
    assert next_day_ns(venue_day(zone, start), instant(now)) == instant(begins)


def test_the_days_of_a_year_follow_each_other():
    from zoneinfo import ZoneInfo

    for zone, start in (
        ("America/New_York", "17:00"),
        ("Australia/Lord_Howe", "00:00"),
        ("Asia/Kolkata", "09:15"),
    ):
        day, now = venue_day(zone, start), instant("2023-12-31T00:00:00")
        for _ in range(400):
            later = next_day_ns(day, now)
            assert now < later <= now + 25 * 3600 * 10**9
            local = datetime.fromtimestamp(later // 10**9, ZoneInfo(zone))
            assert f"{local:%H:%M}" == start
            now = later


def test_the_loss_of_the_day_counts_from_the_venues_day():
    account = new_account(100.0)
    account.day = venue_day("America/New_York", "17:00")
    seen = []
    for text, realized in (("20:00", -1.0), ("21:30", 2.0), ("21:59", 1.0), ("22:00", -3.0), ("23:59", -1.0)):
        account.realized = realized
        value_account(account, [], 0, instant(f"2024-01-10T{text}:00"))
        seen.append((account.daily_pnl, account.daily_drawdown))
    assert seen == [(-1.0, 1.0), (2.0, 0.0), (1.0, 1.0), (-4.0, 4.0), (-2.0, 2.0)]
    assert account.drawdown == 3.0


def test_a_fall_within_the_day_stops(tmp_path):
    broker = ScriptedBroker(abilities=PLAIN)
    policy = loose(max_daily_drawdown_usd=0.1)
    events = [at(0), then(lambda: fill_all(broker), at(10)), at(20, 0.6, 0.62), at(30, 0.53, 0.55)]
    _, packets = play(tmp_path, events, BID, HOLD, policy=policy, broker=broker)
    assert actions(packets) == ["ACT", "HOLD", "HOLD", "STOP"]
    assert packets[3]["final_action"]["reasons"] == ["daily_drawdown_stop"]


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ({"day_zone": "Nowhere/Else"}, "run.day_zone is 'Nowhere/Else'"),
        ({"day_zone": "../UTC"}, "run.day_zone is '../UTC'"),
    ],
)
def test_an_unknown_zone_is_refused(tmp_path, section, says):
    with pytest.raises(ConfigError, match=says):
        run(tmp_path, {"run": {"run_id": "r", **section}})


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        ({"run": {"day_start": "24:00"}}, "run.day_start is '24:00'"),
        ({"run": {"day_start": "9:00"}}, "run.day_start is '9:00'"),
        ({"run": {"allocation": "reserve"}}, "needs .*markets"),
        ({"markets": [{"market_id": "A", "share": 0.5}]}, "goes with run.allocation"),
        ({"run": {"allocation": "reserve"}, "markets": [{"market_id": "A", "share": 1.5}]}, "share is 1.5"),
        (
            {
                "run": {"allocation": "reserve"},
                "markets": [{"market_id": "A", "share": 0.7}, {"market_id": "B", "share": 0.4}],
            },
            "add up to 1.1",
        ),
    ],
)
def test_settings_that_make_no_sense_are_refused(raw, says):
    with pytest.raises(ConfigError, match=says):
        config_from_dict(raw)


# ---------------------------------------------------------------- several markets


def two_markets(allocation, shares=(0.5, 0.5), **limits):
    markets = [{"market_id": name} for name in "AB"]
    if allocation == "reserve":
        for market, share in zip(markets, shares, strict=True):
            market["share"] = share
    guards = {**WIDE, "max_total_exposure_usd": 200.0, **limits}
    return {
        "run": {"run_id": "r", "initial_equity": 1e6, "allocation": allocation},
        "guards": guards,
        "markets": markets,
        "execution": {"size": 20.0},
    }


@pytest.mark.parametrize(
    ("allocation", "shares", "bought"),
    [
        ("first", (0.5, 0.5), {"A": 20.0}),  # A takes all of the 200
        ("reserve", (0.5, 0.5), {"A": 10.0, "B": 1.0}),  # 100 each
        ("reserve", (0.25, 0.5), {"A": 10.0, "B": 1.0}),  # what B does not keep is open to all
        ("reserve", (0.5, 0.0), {"A": 20.0}),
    ],
)
def test_who_may_use_the_exposure_of_the_account(tmp_path, allocation, shares, bought):
    from ami_engine.testing import ListSource, read_packets
    from decision_schema.types import Action, Proposal
    from tests.unit.loop.test_several_markets import INSTRUMENTS

    def model(features):
        price = 10.0 if features["mid"] < 50 else 100.0
        return Proposal(action=Action.ACT, confidence=0.9, params={"side": "buy", "price": price})

    sources = [
        ListSource(stream("A", [0, 100], bid=9.9, ask=10.1), instruments=INSTRUMENTS[:1]),
        ListSource(stream("B", [50, 150], bid=99.0, ask=101.0), instruments=INSTRUMENTS[1:]),
    ]
    broker = ScriptedBroker()
    raw = two_markets(allocation, shares)
    raw["guards"].update(max_spread_bps=1e6, min_depth=0.0)
    summary = run(tmp_path, raw, sources, broker, model)
    sent = {}
    for order in broker.placed:
        sent[order.market_id] = order.size
    assert sent == pytest.approx(bought)
    packets = read_packets(summary["run_dir"])
    starved = [f for p in packets for f in p["mismatch"]["reason_codes"] if f == "allocation_reserved"]
    assert not starved or allocation == "reserve"


def test_a_market_that_is_starved_says_so(tmp_path):
    """B keeps all of the open orders, and has not even been seen."""
    raw = two_markets("reserve", (0.0, 1.0), max_open_orders=20, max_total_exposure_usd=1e5)
    raw["guards"].update(max_spread_bps=1e6, min_depth=0.0)
    summary = run(tmp_path, raw)
    assert summary["refusals"]["allocation"] > 0
    assert summary["refusals"]["allocation_orders"] > 0
    assert {"total_exposure_cap", "open_orders"}.isdisjoint(summary["refusals"])


def test_the_net_exposure_counts_a_hedge(tmp_path):
    from ami_engine.testing import ListSource
    from decision_schema.types import Action, Proposal
    from tests.unit.loop.test_several_markets import INSTRUMENTS

    def model(features):
        cheap = features["mid"] < 50
        side, price = ("buy", 10.0) if cheap else ("sell", 100.0)
        return Proposal(
            action=Action.ACT,
            confidence=0.9,
            params={"side": side, "price": price, "size": 20 if cheap else 2},
        )

    def sized(hedged):
        sources = [
            ListSource(stream("A", [0, 100], bid=9.9, ask=10.1), instruments=INSTRUMENTS[:1]),
            ListSource(stream("B", [-50, 50], bid=99.0, ask=101.0), instruments=INSTRUMENTS[1:]),
        ]
        broker = ScriptedBroker()
        if hedged:  # the sale of 2 fills: short 200 elsewhere
            broker.on_event = lambda event, now_ns: fill_all(broker)
        guards = {**WIDE, "max_net_exposure_usd": 150.0, "max_spread_bps": 1e6, "min_depth": 0.0}
        guards |= {"daily_loss_stop_usd": 0.0}
        raw = {"guards": guards}
        run(tmp_path / str(hedged), raw, sources, broker, model)
        return next(order.size for order in broker.placed if order.market_id == "A")

    assert sized(False) == pytest.approx(15.0)
    assert sized(True) == pytest.approx(20.0)


def test_leverage_and_concentration_shrink_an_order(tmp_path):
    for limit, left in (({"max_leverage": 0.01}, 2), ({"max_concentration": 0.005}, 1), ({"max_long": 3}, 3)):
        broker = ScriptedBroker()
        play(
            tmp_path, [at(0)], act(side="buy", price=0.5, size=9), policy=loose(**limit), broker=broker,
            run_id=next(iter(limit)),
        )  # fmt: skip
        assert broker.placed[0].size == left, limit


def test_numbers_stand_in_the_packet_also_where_their_limit_is_off(tmp_path):
    """So that a run can be judged under another policy later."""
    _, packets = play(tmp_path, [at(0), at(10, 0.52, 0.54)], HOLD)
    cheap = (
        "daily_drawdown_usd",
        "crossed_ms",
        "frozen_ms",
        "jump_bps",
        "jump_noise",
        "volatility_pause_left_ms",
    )
    for name in cheap:
        assert math.isfinite(value(packets[1], name)), name
    dear = ("executions_in_window", "unanswered_ms", "projected_messages", "projected_net_exposure_usd")
    assert [value(packets[1], name) for name in dear] == [None] * 4


def test_a_book_of_a_mid_alone_can_freeze_too(tmp_path):
    events = [{"market_id": "M", "mid": 0.5, "ts_ms": T0 + ms} for ms in (0, 10)]
    events += [{"market_id": "M", "mid": 0.51, "ts_ms": T0 + 20}, book(0.5, 0.52, ts_ms=T0 + 30)]
    _, packets = play(tmp_path, events, HOLD)
    assert [value(p, "frozen_ms") for p in packets] == [0.0, 10.0, 0.0, 0.0]
