"""Several markets in one run: sources merged by time, own limits for each, one account for all."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_engine.config import config_from_dict
from ami_engine.loop.feed import END, Failure, MergedFeed, Tap
from ami_engine.loop.run_loop import run_loop
from ami_engine.sim.paper_broker import PaperBroker
from ami_engine.testing import ListSource, ScriptedBroker, book, read_packets
from decision_schema.errors import ConfigError
from decision_schema.instruments import Instrument
from decision_schema.types import Action, Proposal

T0 = 1_600_000_000_000


def stream(market_id, times, **parts):
    return [book(market_id=market_id, ts_ms=T0 + at, **parts) for at in times]


def taken(*streams):
    feed = MergedFeed([Tap(ListSource(events), f"D{i}") for i, events in enumerate(streams)])
    result = []
    while (item := feed.take()) is not END:
        result.append(item)
    return result


def names(items):
    return [
        (item.market_id, None if item.stamp_ns is None else item.stamp_ns // 10**6 - T0) for item in items
    ]


# ---------------------------------------------------------------- the merge


def test_events_come_in_the_order_of_their_stamps_and_of_equal_ones_the_first_source_first():
    merged = taken(stream("A", [0, 10, 20]), stream("B", [5, 10, 30]))
    assert names(merged) == [("A", 0), ("B", 5), ("A", 10), ("B", 10), ("A", 20), ("B", 30)]


def test_the_stamp_of_receipt_decides_before_the_venues():
    early = [book(market_id="A", ts_ms=T0 + 50, received_ms=T0 + 1)]
    assert names(taken(stream("B", [0, 2]), early))[1] == ("A", 1)


def test_what_carries_no_stamp_goes_at_once_and_takes_the_market_of_its_source():
    merged = taken(stream("A", [0, 10]), [book(), *stream("B", [20])])
    assert names(merged)[:2] == [("D1", None), ("A", 0)]


def test_one_wrong_stamp_far_ahead_does_not_hold_its_source_back():
    wrong = stream("A", [0, 86_400_000, 20, 30])
    merged = taken(wrong, stream("B", list(range(0, 100, 10))))
    assert [at for market, at in names(merged) if market == "A"] == [0, 86_400_000, 20, 30]
    place = names(merged).index(("A", 86_400_000))
    assert max(at for market, at in names(merged)[:place] if market == "B") <= 20


def test_each_source_has_its_own_clock_offset():
    late = ListSource(stream("A", [0]))
    late.clock_offset_ns = 5 * 10**6
    feed = MergedFeed([Tap(late, "A"), Tap(ListSource(stream("B", [1])), "B")])
    assert names([feed.take(), feed.take()]) == [("B", 1), ("A", 5)]


def test_a_failure_of_one_source_is_told_and_nothing_is_lost():
    items = taken([*stream("A", [0]), OSError("cut"), *stream("A", [20])], stream("B", [10]))
    assert sum(isinstance(item, Failure) for item in items) == 1
    assert names([i for i in items if not isinstance(i, Failure)]) == [("A", 0), ("B", 10), ("A", 20)]


@given(st.lists(st.lists(st.integers(0, 50), max_size=12).map(sorted), min_size=1, max_size=4))
def test_a_merge_of_ordered_sources_is_ordered_and_keeps_each_ones_order(lanes):
    merged = names(taken(*(stream(f"M{i}", times) for i, times in enumerate(lanes))))
    assert all(before <= after for (_, before), (_, after) in pairwise(merged))
    for i, times in enumerate(lanes):
        assert [at for market, at in merged if market == f"M{i}"] == times
    ties = [(at, int(market[1:])) for market, at in merged]
    assert ties == sorted(ties)


# ---------------------------------------------------------------- the run


INSTRUMENTS = [
    Instrument(market_id="A", tick_size="0.01", lot_size="1"),
    Instrument(market_id="B", tick_size="0.1", lot_size="0.1"),
]


def bid(features):
    price = math.floor(features["mid"] * 10) / 10 - 0.1
    return Proposal(action=Action.ACT, confidence=0.9, params={"side": "buy", "price": price})


def run(tmp_path, raw, sources=None, broker=None, model=bid, **settings):
    config = config_from_dict({"run": {"run_id": "r", "initial_equity": 1e6}, **raw})
    if sources is None:
        sources = [
            ListSource(stream("A", range(0, 500, 100), bid=9.9, ask=10.1), instruments=INSTRUMENTS[:1]),
            ListSource(stream("B", range(50, 550, 100), bid=99.0, ask=101.0), instruments=INSTRUMENTS[1:]),
        ]
    return run_loop(
        sources,
        broker or ScriptedBroker(),
        config=config,
        decision_engine=model,
        output_dir=tmp_path,
        **settings,
    )


WIDE = {"max_per_market_usd": 1e9, "max_total_exposure_usd": 1e9, "max_abs_inventory": 1e9}


def test_each_market_has_its_own_size_and_limits(tmp_path):
    broker = ScriptedBroker()
    run(
        tmp_path,
        {
            "guards": WIDE,
            "execution": {"size": 7.0},
            "markets": [{"market_id": "B", "guards": {"max_abs_inventory": 0.3}, "execution": {"size": 0.5}}],
        },
        broker=broker,
    )
    assert {(order.market_id, order.size) for order in broker.placed} == {("A", 7.0), ("B", 0.3)}


def test_one_account_limit_stands_over_all_markets(tmp_path):
    """A takes 70 of 100; what B may take at 99 a unit is what is left."""
    broker = ScriptedBroker()
    summary = run(
        tmp_path,
        {
            "guards": {**WIDE, "max_total_exposure_usd": 100.0},
            "execution": {"size": 7.0},
            "markets": [{"market_id": "B", "execution": {"size": 2.0}}],
        },
        broker=broker,
    )
    placed = {order.market_id: order.size for order in broker.placed}
    assert placed["A"] == 7.0
    worth = 7.0 * 10.0 + placed.get("B", 0.0) * 100.0
    assert worth <= 100.0
    assert placed.get("B", 0.0) == pytest.approx(0.3)
    assert summary["refusals"].get("total_exposure_cap", 0) > 0 or placed["B"] < 2.0


def test_an_account_limit_in_a_market_is_refused_by_name():
    with pytest.raises(
        ConfigError, match=r"markets 'B': daily_loss_stop_usd is a limit of the whole account"
    ):
        config_from_dict({"markets": [{"market_id": "B", "guards": {"daily_loss_stop_usd": 1.0}}]})


def test_a_named_policy_of_a_market_leaves_the_accounts_limits_alone(tmp_path):
    summary = run(
        tmp_path,
        {
            "guards": {**WIDE, "daily_loss_stop_usd": 77.0},
            "markets": [{"market_id": "B", "guards": {"policy": "fx"}}],
        },
    )
    from ami_engine.trace.trace_logger import read_manifest

    guards = read_manifest(tmp_path / "r")["guards"]
    assert (
        guards["limits"]["daily_loss_stop_usd"] == guards["market_limits"]["B"]["daily_loss_stop_usd"] == 77.0
    )
    assert guards["market_limits"]["B"]["max_spread_bps"] != guards["limits"]["max_spread_bps"]
    assert summary["markets"].keys() == {"A", "B"}


def test_a_market_inherits_what_it_does_not_name_and_own_limits_win_over_the_named_policy():
    config = config_from_dict(
        {
            "guards": {"policy": "equity", "min_depth": 3.0},
            "execution": {"size": 5.0, "min_requote_ticks": 4},
            "markets": [
                {"market_id": "A"},
                {
                    "market_id": "B",
                    "guards": {"policy": "fx", "max_spread_bps": 9.0},
                    "execution": {"size": 1.0},
                },
            ],
        }
    )
    own = {market.market_id: market for market in config.markets}
    assert own["A"].guards == config.guards
    assert (own["A"].execution, own["B"].execution.min_requote_ticks) == (config.execution, 4)
    assert (own["B"].guards.max_spread_bps, own["B"].guards.min_depth) == (9.0, 0.0)
    assert config.guards.min_depth == 3.0


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"guards": {"policy": "fxx"}}, "did you mean 'fx'"),
        ({"guards": {"policy": 3}}, "give the name of one as text"),
        ({"guards": {"policy": "fx", "max_sprd_bps": 1}}, "did you mean 'max_spread_bps'"),
        ({"markets": [{"market_id": "A"}, {"market_id": "A"}]}, "markets repeat a market_id"),
        ({"markets": [{"market_id": "A", "execution": {"size": 0}}]}, "execution.size is 0"),
        ({"markets": [{"guards": {}}]}, "market_id"),
        ({"markets": {"market_id": "A"}}, "markets"),
        ({"markets": [7]}, "markets"),
        ({"guards": 7}, "guards"),
        ({"data": {"source": "csv", "sources": [{"source": "csv"}]}}, "not both"),
    ],
)
def test_a_wrong_table_is_refused_in_one_line(raw, words):
    with pytest.raises(ConfigError) as error:
        config_from_dict(raw)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_sources_of_two_kinds_or_none_or_twice_the_same_are_refused(tmp_path):
    one = ListSource([])
    for sources, words in (
        ([], "empty"),
        ([one, one], "twice"),
        ([one, ListSource([], live=True)], "live"),
        ([one, 3], "int"),
    ):
        with pytest.raises(ConfigError, match=words):
            run(tmp_path, {}, sources)


def test_two_live_sources_are_both_read_to_their_ends(tmp_path):
    sources = [ListSource([book(market_id=name) for _ in range(5)], live=True) for name in "AB"]
    summary = run(tmp_path, {}, sources)
    assert (summary["ended"], summary["steps"]) == ("exhausted", 10)
    assert {packet["input"]["market_id"] for packet in read_packets(tmp_path / "r")} == {"A", "B"}


def test_the_same_two_sources_give_the_same_bytes(tmp_path):
    files = []
    for folder in ("a", "b"):
        summary = run(tmp_path / folder, {"guards": WIDE}, broker=PaperBroker())
        files.append((tmp_path / folder / "r" / "traces.jsonl").read_bytes())
        assert summary["orders_submitted"] > 0
    assert files[0] == files[1]


def test_progress_and_quality_of_all_sources_are_told(tmp_path):
    class Half(ListSource):
        def progress(self):
            return 0.5

        def quality(self):
            return {"rows": 3, "note": math.nan}

    class Broken(ListSource):
        def quality(self):
            raise OSError("no")

    class Lost(Half):
        def progress(self):
            raise OSError("no")

    seen = []
    events = stream("A", range(0, 60_000, 100))
    run(tmp_path / "half", {}, [Half(events)], progress=lambda at: seen.append(at.fraction))
    run(tmp_path / "lost", {}, [Lost(events)], progress=lambda at: seen.append(at.fraction))
    run(tmp_path / "steps", {}, [Half(events)], progress=lambda at: seen.append(at.fraction), steps=320)
    assert seen == [0.5, 0.5, None, None, 0.8]
    seen.clear()
    summary = run(tmp_path, {}, [Half(events), Broken([])], progress=lambda at: seen.append(at.fraction))
    assert seen == [None, None]
    assert summary["sources"] == [
        {"rows": 3, "note": {"$float": "nan"}},
        {"source": "Broken", "error": "OSError"},
    ]
