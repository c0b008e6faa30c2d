"""Bad input: each item gives a packet or a one-line error, and nothing else is lost."""

import math
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from pathlib import Path

import msgspec
import numpy as np
import pytest

from ami_engine.adapters import Broker, MarketDataSource
from ami_engine.config import RunConfig, RunSection, config_from_dict
from ami_engine.kernels.channels import MAX_CHANNELS
from ami_engine.kernels.records import MAX_MARKETS
from ami_engine.loop.run_loop import MAX_SOURCE_FAILURES, run_loop
from ami_engine.testing import ListSource, ScriptedBroker, book, read_packets
from decision_schema.errors import ConfigError, RunExists
from decision_schema.events import Fill
from decision_schema.instruments import Instrument
from decision_schema.types import Action, Proposal
from dmc_core.dmc.risk_policy import RiskPolicy

T0 = 1_500_000_000_000  # 2017: data of one's own is old, and must trade
MARKET = Instrument(market_id="M", tick_size="0.01", lot_size="1", kind="binary")


def quote(features, **kwargs):
    """Quote at the touch."""
    half = features["spread"] / 2
    mid = features["mid"]
    return Proposal(
        action=Action.ACT, confidence=0.9, params={"bid": mid - half, "ask": mid + half, "size": 1}
    )


def acting(**params):
    """A model that always acts on the same params."""
    return lambda features, **kwargs: Proposal(action=Action.ACT, confidence=0.9, params=dict(params))


def play(tmp_path, events, broker=None, model=quote, **settings):
    """Run a list of events; give the summary and the packets."""
    settings.setdefault("run_id", "r")
    broker = ScriptedBroker() if broker is None else broker
    source = ListSource(events, instruments=settings.pop("instruments", (MARKET,)))
    summary = run_loop(source, broker, decision_engine=model, output_dir=tmp_path, **settings)
    packets = read_packets(summary["run_dir"])
    assert [packet["step"] for packet in packets] == list(range(1, len(packets) + 1))
    return summary, packets


def before(**parts):
    return book(0.49, 0.51, ts_ms=T0, **parts)


def after(**parts):
    """A book that moved, late enough for a new quote."""
    return book(0.47, 0.49, ts_ms=T0 + 2_000, **parts)


def check_one_bad(tmp_path, bad, reason, **settings):
    """Play good, bad, good: the bad one holds with its reason, both others act."""
    broker = ScriptedBroker()
    first = settings.pop("first", before())
    last = settings.pop("last", after())
    summary, packets = play(tmp_path, [first, bad, last], broker, **settings)
    assert len(packets) == summary["steps"] == 3
    assert summary["ended"] == "exhausted"
    assert [p["final_action"]["action"] for p in packets] == ["ACT", "HOLD", "ACT"], packets[1][
        "final_action"
    ]
    assert packets[1]["final_action"]["reasons"] == [reason]
    assert packets[1]["input"]["bad"]["reason"] == reason
    assert packets[1]["intents"] == []
    assert packets[1]["mdm"]["features"]["mid"] == 0.5
    assert [i["price"] for p in packets for i in p["intents"]] == [0.49, 0.51, 0.47, 0.49]
    assert summary["bad_inputs"] == {reason: 1}
    assert summary["stopped"] is None
    return packets[1]["input"]["bad"].get("raw")


# ---------------------------------------------------------------- the source


def test_a_source_that_raises_once_loses_nothing(tmp_path):
    summary, packets = play(tmp_path, [before(), OSError("line lost, api_key=abcdef0123456789"), after()])
    assert summary["ended"] == "exhausted"
    assert [p["final_action"]["action"] for p in packets] == ["ACT", "ACT"]
    audit = Path(summary["run_dir"], "audit.jsonl").read_text()
    assert '"kind":"source_failure","error":"OSError","in_a_row":1' in audit
    assert "abcdef0123456789" not in audit


def test_a_source_that_raises_now_and_then_goes_on(tmp_path):
    events = []
    for i in range(2 * MAX_SOURCE_FAILURES):
        events += [book(ts_ms=T0 + i), OSError("again")]
    summary, packets = play(tmp_path, events)
    assert (summary["ended"], len(packets)) == ("exhausted", 2 * MAX_SOURCE_FAILURES)


def test_a_source_that_raises_for_ever_ends_the_run(tmp_path):
    broker = ScriptedBroker()
    events = [before(), *[OSError("no route")] * 100]
    summary, packets = play(tmp_path, events, broker)
    assert summary["ended"] == "source_failed:OSError"
    assert len(packets) == 1
    assert broker.working == {}  # pulled at the end
    assert summary["open_orders_left"] == []


class _NoDict(Mapping):
    def __getitem__(self, key):
        raise RuntimeError("no key for you")

    def __iter__(self):
        raise RuntimeError("no keys at all")

    def __len__(self):
        return 3


def _cyclic():
    event = {"bid": "no price"}
    event["self"] = {"deeper": [event]}
    return event


JUNK = {
    "list": ([0.49, 0.51], [0.49, 0.51]),
    "int": (7, 7),
    "text": ("bid=0.49", "bid=0.49"),
    "bytes": (b"\x00\xff", ...),
    "object": (object(), "<object>"),
    "bool": (True, True),
    "nan": (math.nan, {"$float": "nan"}),
    "complex": (1j, ...),
    "lone surrogate": ("\ud800", ...),
    "numpy array": (np.array([1.0, math.nan]), [1.0, {"$float": "nan"}]),
    "huge int": (10**5000, ...),
    "class": (dict, ...),
    "set": ({1, 2}, [1, 2]),
    "a mapping that raises": (_NoDict(), ...),
    "huge list": ([1.0] * 100_000, "<left out: 400001 bytes>"),
}


@pytest.mark.parametrize("name", JUNK)
def test_junk_in_place_of_an_event_holds(tmp_path, name):
    junk, stored = JUNK[name]
    events = [before(), junk, after()]
    raw = check_one_bad(tmp_path, junk, "invalid_input:event") if not callable(junk) else None
    if raw is None:  # ListSource would call it
        raw = check_one_bad(tmp_path / "b", lambda: events[1], "invalid_input:event", run_id="b")
    if stored is not ...:
        assert raw == stored


@pytest.mark.parametrize("junk", [[], 0, "bid", object()])
def test_junk_before_any_time_is_known_does_not_age_the_old_data_after_it(tmp_path, junk):
    _, packets = play(tmp_path, [junk, {}, {"note": "hello"}, before(), after()])
    assert [p["final_action"]["action"] for p in packets] == ["HOLD", "HOLD", "HOLD", "ACT", "ACT"]
    assert [p["external"]["now_ns"] // 10**6 for p in packets] == [0, 0, 0, T0, T0 + 2_000]


def test_junk_first_does_not_shorten_the_warm_up(tmp_path):
    config = config_from_dict({"model": {"warmup_ms": 1_000}})
    _, packets = play(tmp_path, [[], before(), after()], config=config, model=None, instruments=())
    assert packets[1]["final_action"]["reasons"] == ["warming_up"]
    assert packets[2]["final_action"]["reasons"] != ["warming_up"]


UNUSABLE = {
    "nan bid": ({"bid": math.nan}, "invalid_input:bid"),
    "inf ask": ({"ask": math.inf}, "invalid_input:ask"),
    "-inf mid": ({"mid": -math.inf}, "invalid_input:mid"),
    "text price": ({"bid": "0.49"}, "invalid_input:bid"),
    "bool price": ({"bid": True}, "invalid_input:bid"),
    "list price": ({"bid": [0.49]}, "invalid_input:bid"),
    "Decimal NaN": ({"bid": Decimal("NaN")}, "invalid_input:bid"),
    "Decimal sNaN": ({"bid": Decimal("sNaN")}, "invalid_input:bid"),
    "Decimal too large": ({"bid": Decimal("1e400")}, "invalid_input:bid"),
    "int too large": ({"bid": 10**400}, "invalid_input:bid"),
    "numpy NaN": ({"ask": np.float64("nan")}, "invalid_input:ask"),
    "numpy bool": ({"ask": np.bool_(True)}, "invalid_input:ask"),
    "complex price": ({"ask": 0.51 + 0j}, "invalid_input:ask"),
    "negative price": ({"bid": -0.49}, "invalid_input:bid"),
    "zero price": ({"bid": 0.0}, "invalid_input:bid"),
    "price above its bound": ({"ask": 1.5}, "invalid_input:ask"),
    "negative size": ({"bid_depth": -1.0}, "invalid_input:bid_depth"),
    "negative depth": ({"depth": -1}, "invalid_input:depth"),
    "crossed": ({"bid": 0.52}, "crossed_book"),
    "locked": ({"bid": 0.51}, "locked_book"),
    "mid outside": ({"mid": 0.6}, "invalid_input:mid"),
    "crossed levels": ({"bids": [(0.52, 1.0)], "asks": [(0.51, 1.0)]}, "crossed_book"),
    "levels out of order": ({"bids": [(0.48, 1.0), (0.49, 1.0)]}, "invalid_input:bids"),
    "levels of three": ({"bids": [(0.48, 1.0, 3)]}, "invalid_input:bids"),
    "negative level size": ({"asks": [(0.51, -1.0)]}, "invalid_input:asks"),
    "nan level": ({"asks": [(math.nan, 1.0)]}, "invalid_input:asks"),
    "text levels": ({"asks": "0.51"}, "invalid_input:asks"),
    "too many levels": ({"asks": [(0.51, 1.0)] * 5_001}, "oversize_event:asks"),
    "trades no list": ({"trades": 5}, "invalid_input:trades"),
    "trade no dict": ({"trades": [5]}, "invalid_input:trades"),
    "trade without size": ({"trades": [{"price": 0.5}]}, "invalid_input:trades"),
    "trade of nothing": ({"trades": [{"price": 0.5, "size": 0}]}, "invalid_input:trades"),
    "trade side": ({"trades": [{"price": 0.5, "size": 1, "aggressor_side": "up"}]}, "invalid_input:trades"),
    "trade side type": (
        {"trades": [{"price": 0.5, "size": 1, "aggressor_side": []}]},
        "invalid_input:trades",
    ),
    "trade price": ({"trades": [{"price": 2.0, "size": 1}]}, "invalid_input:trades"),
    "market": ({"market_id": 5}, "invalid_input:market_id"),
    "market surrogate": ({"market_id": "\ud800"}, "invalid_input:market_id"),
    "market too long": ({"market_id": "M" * 200}, "invalid_input:market_id"),
    "channel": ({"channel": []}, "invalid_input:channel"),
    "text time": ({"ts_ms": "now"}, "invalid_input:ts_ms"),
    "negative time": ({"ts_ms": -1}, "invalid_input:ts_ms"),
    "time in the wrong unit": ({"ts_ms": T0 * 10**6}, "invalid_input:ts_ms"),
    "nan time": ({"received_ms": math.nan}, "invalid_input:received_ms"),
    "Decimal sNaN time": ({"ts_ms": Decimal("sNaN")}, "invalid_input:ts_ms"),
    "huge int time": ({"ts_ms": 10**5000}, "invalid_input:ts_ms"),
    "seq text": ({"seq": "1"}, "invalid_input:seq"),
    "seq bool": ({"seq": True}, "invalid_input:seq"),
    "seq negative": ({"seq": -1}, "invalid_input:seq"),
    "funding": ({"funding": "0.1"}, "invalid_input:funding"),
    "settlement": ({"settlement": {"price": None}}, "invalid_input:settlement"),
    "settlement out of bounds": ({"settlement": 2.0}, "invalid_input:settlement"),
    "status": ({"status": 5}, "invalid_input:status"),
    "instrument": ({"instrument": {"tick_size": "0.1"}}, "unsupported_input:instrument"),
    "deltas no list": ({"deltas": "buy"}, "invalid_input:deltas"),
    "delta of two": ({"deltas": [("buy", 0.49)]}, "invalid_input:deltas"),
    "delta without side": ({"deltas": [(None, 0.49, 1)]}, "invalid_input:deltas"),
    "delta side": ({"deltas": [("up", 0.49, 1)]}, "invalid_input:deltas"),
    "delta text": ({"deltas": [("buy", "0.49", 1)]}, "invalid_input:deltas"),
    "delta nan": ({"deltas": [("buy", 0.49, math.nan)]}, "invalid_input:deltas"),
    "delta negative": ({"deltas": [("buy", 0.49, -1.0)]}, "invalid_input:deltas"),
    "deltas too many": ({"deltas": [("buy", 0.49, 1.0)] * 5_001}, "oversize_event:deltas"),
    "order op": ({"order_messages": [{"op": "eat", "order_id": 1}]}, "invalid_input:order_messages"),
    "order no dict": ({"order_messages": [7]}, "invalid_input:order_messages"),
    "order without id": ({"order_messages": [{"op": "delete"}]}, "invalid_input:order_messages"),
    "order add without side": (
        {"order_messages": [{"op": "add", "order_id": 1, "price": 0.4, "size": 1.0}]},
        "invalid_input:order_messages",
    ),
    "order add without size": (
        {"order_messages": [{"op": "add", "order_id": 1, "side": "buy", "price": 0.4}]},
        "invalid_input:order_messages",
    ),
    "order negative": (
        {"order_messages": [{"op": "reduce", "order_id": 1, "size": -1.0}]},
        "invalid_input:order_messages",
    ),
    "prev_seq": ({"prev_seq": "1"}, "invalid_input:prev_seq"),
    "book_seq": ({"book_seq": 1.5}, "invalid_input:book_seq"),
    "bid_size": ({"bid_size": -1.0}, "invalid_input:bid_size"),
    "defect": ({"defect": "torn_row"}, "defect:torn_row"),
    "huge dict": ({"note": "x" * 40_000}, "oversize_event:extra"),
    "huge nested": ({"note": [{"a": list(range(1_000))}] * 100}, "oversize_event:extra"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_field_that_cannot_be_used_holds(tmp_path, name):
    parts, reason = UNUSABLE[name]
    raw = check_one_bad(tmp_path, {**book(ts_ms=T0 + 1_000), **parts}, reason)
    if reason.startswith("invalid_input") and "price" not in name and "out" not in name and "mid" not in name:
        assert raw is not None


def test_nan_is_kept_as_nan(tmp_path):
    raw = check_one_bad(tmp_path, book(math.nan, 0.51, ts_ms=T0 + 1_000), "invalid_input:bid")
    assert raw["bid"] == {"$float": "nan"}


def test_a_cyclic_event_holds(tmp_path):
    raw = check_one_bad(tmp_path, _cyclic(), "invalid_input:bid")
    assert raw["bid"] == "no price"


STRANGE_EXTRA = {
    "other keys": {1: "a", (2, 3): "b", None: "c", b"k": "d", 1.5: "e"},
    "colliding keys": {1: "a", "1": "b"},
    "lone surrogate": {"note": "\ud800", "\udfff": 1},
    "cyclic": _cyclic()["self"],
    "nan": {"x": math.nan, "y": [math.inf]},
    "numpy": {"x": np.float32(1.5), "y": np.int64(3), "z": np.array([1, 2])},
    "Decimal": {"x": Decimal("0.1"), "y": Fraction(1, 3)},
    "objects": {"x": object(), "y": dict, "z": 1j, "s": {1, "a"}},
    "huge int": {"x": 10**5000},
    "deep": {"x": reduce(lambda inner, _: [inner], range(200), 1)},
    "enum": {"x": Action.ACT, Action.HOLD: 1},
}


@pytest.mark.parametrize("name", STRANGE_EXTRA)
def test_strange_unknown_fields_do_not_keep_an_event_from_acting(tmp_path, name):
    seen = []

    def model(features, event=None):
        seen.append(event)
        return quote(features)

    event = {**STRANGE_EXTRA[name], **after()}
    _summary, packets = play(tmp_path, [before(), event], model=model)
    assert [p["final_action"]["action"] for p in packets] == ["ACT", "ACT"]
    assert len(packets[1]["intents"]) == 2
    stored = msgspec.json.decode(msgspec.json.encode(seen[1]))
    assert stored == packets[1]["input"]  # the model sees what is stored


def test_a_secret_in_an_unknown_field_reaches_neither_model_nor_trace(tmp_path):
    seen = []

    def model(features, event=None):
        seen.append(str(event))
        return quote(features)

    play(tmp_path, [before(api_key="k3y-0123456789abcdef")], model=model)
    assert "k3y" not in seen[0]
    assert b"k3y" not in Path(tmp_path, "r", "traces.jsonl").read_bytes()


def test_numpy_scalars_and_decimals_are_numbers(tmp_path):
    stamp = T0 * 10**6 + 123_456_789
    event = {
        "bid": np.float64(0.49), "ask": Decimal("0.51"), "bid_depth": np.int32(50), "ask_depth": Fraction(101, 2),
        "ts_ns": np.int64(stamp), "seq": np.int64(4), "market_id": np.str_("M"),
    }  # fmt: skip
    _summary, packets = play(tmp_path, [event])
    assert packets[0]["final_action"]["action"] == "ACT"
    assert packets[0]["input"]["ts_ns"] == packets[0]["external"]["now_ns"] == stamp  # to the nanosecond
    assert packets[0]["input"]["seq"] == 4
    assert (packets[0]["mdm"]["features"]["bid_depth"], packets[0]["mdm"]["features"]["ask_depth"]) == (
        50.0,
        50.5,
    )


ORDER = {
    "repeated seq": (before(seq=5), book(ts_ms=T0 + 1, seq=5), after(seq=6), "duplicate_seq"),
    "older seq": (before(seq=5), book(ts_ms=T0 + 1, seq=4), after(seq=6), "out_of_order"),
    "older receipt": (
        book(received_ms=T0 + 500), book(received_ms=T0 + 499), book(0.47, 0.49, received_ms=T0 + 2_500),
        "out_of_order",
    ),
    "older time": (book(ts_ms=T0 + 500), book(ts_ms=T0 + 499), book(0.47, 0.49, ts_ms=T0 + 2_500), "out_of_order"),
    "future": (
        before(), book(ts_ms=T0 + 2_001, received_ms=T0 + 1_000), book(0.47, 0.49, ts_ms=T0 + 2_000), "future_event",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ORDER)
def test_a_repeated_older_or_future_event_holds(tmp_path, name):
    first, bad, last, reason = ORDER[name]
    check_one_bad(tmp_path, bad, reason, first=first, last=last)


def test_equal_stamps_and_other_channels_are_in_order(tmp_path):
    events = [
        before(seq=5, channel="a"), before(seq=1, channel="b"), before(), book(ts_ms=T0 + 900),
        book(ts_ms=T0 + 1, channel="late"), book(received_ms=T0 + 1_000, ts_ms=T0 + 2_000),
    ]  # fmt: skip
    summary, packets = play(tmp_path, events)
    assert summary["bad_inputs"] == {}
    assert [p["final_action"]["action"] for p in packets] == ["ACT"] * 6


def test_a_number_that_was_refused_may_come_again_corrected(tmp_path):
    events = [before(seq=1), book("no", 0.51, ts_ms=T0 + 1, seq=2), book(ts_ms=T0 + 2, seq=2)]
    _, packets = play(tmp_path, events)
    assert [p["final_action"]["action"] for p in packets] == ["ACT", "HOLD", "ACT"]


def test_more_channels_than_capacity_hold(tmp_path):
    events = [book(ts_ms=T0 + i, channel=f"c{i}") for i in range(MAX_CHANNELS + 1)]
    summary, packets = play(tmp_path, [*events, book(ts_ms=T0 + 100, channel="c0")])
    assert summary["bad_inputs"] == {"capacity:channels": 1}
    assert packets[MAX_CHANNELS]["final_action"]["reasons"] == ["capacity:channels"]
    assert packets[-1]["final_action"]["action"] == "ACT"


def test_more_markets_than_capacity_hold(tmp_path):
    events = [book(ts_ms=T0 + i, market_id=f"m{i}") for i in range(MAX_MARKETS + 2)]
    policy = RiskPolicy(max_total_exposure_usd=1e9)
    summary, packets = play(
        tmp_path, [*events, book(ts_ms=T0 + 900, market_id="m0")], risk_policy=policy, instruments=()
    )
    assert summary["bad_inputs"] == {"capacity:markets": 2}
    assert packets[MAX_MARKETS]["final_action"] == {
        "action": "HOLD", "allowed": True, "reasons": ["capacity:markets"], "params": {},
    }  # fmt: skip
    assert packets[-1]["final_action"]["action"] == "ACT"


@pytest.mark.parametrize(
    "stamp", [{"ts_ns": 2**63 - 1}, {"received_ns": 2**63 - 1}, {"ts_ms": T0 + 367 * 86_400_000}]
)
def test_one_stamp_far_ahead_holds_and_does_not_make_the_rest_old(tmp_path, stamp):
    wrong = book()
    wrong.pop("ts_ms", None)
    summary, packets = play(tmp_path, [before(), {**wrong, **stamp}, after()])
    assert packets[1]["final_action"]["reasons"] == ["future_event"]
    assert packets[2]["final_action"]["action"] == "ACT"
    assert summary["bad_inputs"] == {"future_event": 1}


def test_a_gap_of_a_year_does_not_hang_the_timers(tmp_path):
    config = RunConfig(run=RunSection(timer_ms=1))
    broker = ScriptedBroker()
    summary, packets = play(tmp_path, [before(), book(ts_ms=T0 + 360 * 86_400_000)], broker, config=config)
    assert summary["ended"] == "exhausted"
    assert len(packets) < 20_000
    assert packets[-2]["input"]["kind"] == "timer"


def test_a_mid_beyond_floats_is_no_price(tmp_path):
    events = [before(), book(1.6e308, 1.7e308, ts_ms=T0 + 1)]
    _, packets = play(tmp_path, events, instruments=())
    assert packets[1]["final_action"]["reasons"] == ["invalid_input:mid"]


def test_own_data_with_old_timestamps_trades(tmp_path):
    events = [
        book(0.49 + 0.01 * (i // 20 % 2), 0.51 + 0.01 * (i // 20 % 2), ts_ms=T0 + 100 * i) for i in range(60)
    ]
    broker = ScriptedBroker(
        {"on_event": [lambda event, now_ns: broker.working and broker.fill(*_first(broker), 1.0)]}
    )
    summary, _packets = play(tmp_path, events, broker)
    assert summary["orders_submitted"] > 2
    assert summary["fills"] > 0
    assert summary["hold_reasons"].get("staleness_exceeded") is None


def _first(broker):
    return [next(iter(broker.working.values()))]


# ---------------------------------------------------------------- the model


def _recurses(features):
    return _recurses(features)


def _wild_params():
    return {
        "value": 0.5, "nan": math.nan, "object": object(), "surrogate": "\ud800", "deep": {None: {b"k": 1j}},
    }  # fmt: skip


MODELS = {
    "raises": (lambda features: 1 / 0, "model_error:ZeroDivisionError"),
    "recurses": (_recurses, "model_error:RecursionError"),
    "None": (lambda features: None, "model_error:NoneType"),
    "dict": (lambda features: {"action": "ACT"}, "model_error:dict"),
    "class": (lambda features: Proposal, "model_error:StructMeta"),
    "nan confidence": (lambda features: Proposal(action=Action.ACT, confidence=math.nan), "model_error:ContractError"),
    "confidence 2": (lambda features: Proposal(action=Action.ACT, confidence=2), "model_error:ContractError"),
    "unknown action": (lambda features: Proposal(action="BUY", confidence=1), "model_error:ContractError"),
    "nan value": (acting(value=math.nan), "model_error:value"),
    "text value": (acting(value="0.5"), "model_error:value"),
    "orders no list": (acting(orders=5), "invalid_order_terms"),
    "order no dict": (acting(orders=[5]), "invalid_order_terms"),
    "order without side": (acting(orders=[{"price": 0.5, "size": 1}]), "invalid_order_terms"),
    "unknown side": (acting(side="up", price=0.5, size=1), "invalid_order_terms"),
    "nan price": (acting(bid=math.nan), "invalid_order_terms"),
    "text price": (acting(bid="0.5"), "invalid_order_terms"),
    "negative size": (acting(side="buy", price=0.49, size=-1), "invalid_order_terms"),
    "same level twice": (acting(orders=[{"side": "buy", "price": 0.4, "size": 1}] * 2), "invalid_order_terms"),
    "another market": (
        acting(orders=[{"side": "buy", "price": 0.4, "size": 1, "market_id": "X"}]), "invalid_order_terms",
    ),
    "17 orders": (
        acting(orders=[{"side": "buy", "price": 0.4, "size": 1, "level": i % 16} for i in range(17)]),
        "invalid_order_terms",
    ),
    "tiny size": (acting(side="buy", price=0.49, size=1e-9), "leg_below_minimum"),
    "huge size": (acting(side="buy", price=0.49, size=1e300), "leg_out_of_bounds"),
    "price out of bounds": (acting(side="sell", price=1.5, size=1), "leg_out_of_bounds"),
    "huge price": (acting(side="sell", price=1e308, size=1), "leg_out_of_bounds"),
    "tiny price": (acting(side="buy", price=1e-300, size=1), "leg_out_of_bounds"),
    "huge value": (acting(value=1e308), "leg_out_of_bounds"),
    "hugely negative value": (acting(value=-1e308), "leg_out_of_bounds"),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_a_model_that_fails_holds_and_the_next_step_acts(tmp_path, name):
    broken, reason = MODELS[name]
    asked = []

    def model(features):
        asked.append(1)
        return broken(features) if len(asked) == 2 else quote(features)

    summary, packets = play(tmp_path, [before(), book(ts_ms=T0 + 1), after()], model=model)
    assert [p["final_action"]["action"] for p in packets] == ["ACT", "HOLD", "ACT"]
    assert packets[1]["final_action"]["reasons"] == [reason]
    assert packets[1]["intents"] == []
    assert len(packets[1]["state_after"]["open_orders"]) == 2  # what rested stays
    assert len(packets[2]["intents"]) == 2
    if reason.startswith("model_error") and "value" not in reason:
        assert list(summary["model_errors"]) == [reason.partition(":")[2]]


@pytest.mark.parametrize("name", ["raises", "nan value"])
def test_a_model_that_fails_for_ever_holds_and_stops_nothing(tmp_path, name):
    summary, packets = play(tmp_path, [book(ts_ms=T0 + i) for i in range(150)], model=MODELS[name][0])
    assert len(packets) == 150
    assert summary["stopped"] is None
    assert summary["action_counts"]["HOLD"] == 150
    assert summary["hold_reasons"] == {MODELS[name][1]: 150}


def test_a_broker_that_fails_for_ever_stops_by_the_error_rate(tmp_path):
    policy = RiskPolicy(circuit_breaker_failures=0)
    broker = ScriptedBroker({"process_fills": [OSError("down")] * 20})
    summary, packets = play(tmp_path, [book(ts_ms=T0 + i) for i in range(20)], broker, risk_policy=policy)
    assert len(packets) == 20
    assert summary["stopped"] == {"step": 12, "reason": "error_rate_high"}


def test_the_text_of_a_models_exception_reaches_no_packet_and_no_secret_reaches_the_summary(tmp_path):
    def model(features):
        raise RuntimeError("failed with password=hunter2hunter2")

    summary, _ = play(tmp_path, [before()], model=model)
    for name in ("traces.jsonl", "summary.json", "audit.jsonl", "manifest.json"):
        assert b"hunter2" not in Path(summary["run_dir"], name).read_bytes()


def test_huge_sizes_are_clamped_to_the_limits(tmp_path):
    broker = ScriptedBroker()
    model = acting(bid=0.49, ask=0.51, size=1_000_000)
    _, packets = play(tmp_path, [before()], broker, model)
    assert packets[0]["mismatch"]["flags"] == ["clamped:buy", "clamped:sell"]
    assert [order.size for order in broker.placed] == [10.0, 10.0]


def test_wild_params_are_stored_as_strict_json_and_travel(tmp_path):
    broker = ScriptedBroker()

    def model(features, memory):
        memory["seen"] = memory.get("seen", 0) + 1
        proposal = Proposal(action=Action.ACT, confidence=0.9, params={"value": 0.5}, reasons=["\ud800"])
        proposal.params.update(_wild_params())  # after its check
        return proposal

    _, packets = play(tmp_path, [before(), after()], broker, model)
    assert [p["final_action"]["action"] for p in packets] == ["ACT", "ACT"]
    for params in (packets[0]["mdm"]["proposal"]["params"], packets[0]["final_action"]["params"]):
        assert params["nan"] == {"$float": "nan"}
        assert params["object"] == "<object>"
    assert math.isnan(broker.placed[0].params["nan"])


@pytest.mark.parametrize(("field", "value"), [("params", {1: 2}), ("params", 5), ("confidence", 2.0)])
def test_a_proposal_changed_after_its_check_is_checked_again(tmp_path, field, value):
    def model(features):
        proposal = Proposal(action=Action.ACT, confidence=0.9, reasons=["words"], params={"value": 0.5})
        msgspec.structs.force_setattr(proposal, field, value)
        return proposal

    _, packets = play(tmp_path, [before(), after()], model=model)
    assert [p["final_action"]["reasons"] for p in packets] == [["model_error:ContractError"]] * 2


@pytest.mark.parametrize("huge", ["x" * 100_000, 10**5000], ids=["text", "int"])
def test_params_too_large_for_a_packet_are_left_out_of_it(tmp_path, huge):
    _, packets = play(tmp_path, [before(), after()], model=acting(value=0.5, note=huge))
    assert [p["final_action"]["action"] for p in packets] == ["ACT", "ACT"]
    assert len(msgspec.json.encode(packets[0])) < 64 * 1024


@pytest.mark.parametrize(
    "memory",
    [{"x": object()}, {"x": 10**5000}, {(1,): 2}, {"x": "\ud800"}, "cyclic"],
    ids=["object", "int", "key", "surrogate", "cyclic"],
)
def test_memory_that_cannot_be_encoded_is_said_to_be_so(tmp_path, memory):
    def model(features, memory_=None, memory=None):
        memory.update(given)
        return quote(features)

    given = {"x": 1} if memory == "cyclic" else memory
    if memory == "cyclic":
        given["self"] = given
    _, packets = play(tmp_path, [before()], model=model)
    assert packets[0]["mdm"]["memory"] == "unencodable"
    assert packets[0]["final_action"]["action"] == "ACT"


# ---------------------------------------------------------------- the broker


@pytest.mark.parametrize(
    "method", ["on_event", "process_fills", "submit_order", "replace_order", "cancel_order"]
)
def test_a_broker_that_raises_once_loses_nothing(tmp_path, method):
    broker = ScriptedBroker(
        abilities=("cancel", "query", "fills")
        if method == "cancel_order"
        else ("cancel", "replace", "query", "fills")
    )
    done = []

    def fail_once(*args):
        if not done:
            done.append(1)
            raise ConnectionError("token=abcdef0123456789abcdef")
        return {"status": "canceled"} if method == "cancel_order" else None

    broker.script[method] = [fail_once]
    events = [before(), after(), book(0.45, 0.47, ts_ms=T0 + 4_000), book(0.45, 0.47, ts_ms=T0 + 4_100)]
    summary, packets = play(tmp_path, events, broker)
    assert done
    assert len(packets) == 4
    assert summary["ended"] == "exhausted"
    notes = [r for p in packets for r in p["external"]["reports"] if r["type"] == "note"]
    assert [(n["call"], n["error"]) for n in notes] == [(method, "ConnectionError")]
    assert b"abcdef0123456789" not in Path(summary["run_dir"], "traces.jsonl").read_bytes()
    assert packets[-2]["final_action"]["action"] == "ACT"
    ids = [order.client_order_id for order in broker.placed]
    assert len(set(ids)) == len(ids)


def test_a_broker_whose_close_raises_does_not_lose_the_summary(tmp_path):
    broker = ScriptedBroker({"close": [OSError("socket")]})
    summary, _ = play(tmp_path, [before()], broker)
    assert summary["ended"] == "exhausted"
    audit = Path(summary["run_dir"], "audit.jsonl").read_text()
    assert '"kind":"close_failed","what":"ScriptedBroker","error":"OSError"' in audit
    assert '"kind":"stop"' in audit


def test_a_broker_whose_open_raises_ends_the_run_and_leaves_its_records(tmp_path):
    broker = ScriptedBroker({"open": [OSError("no route")]})
    with pytest.raises(OSError, match="no route"):
        play(tmp_path, [before()], broker)
    assert '"ended":"error:OSError"' in Path(tmp_path, "r", "audit.jsonl").read_text()
    assert '"ended": "error:OSError"' in Path(tmp_path, "r", "summary.json").read_text()
    assert broker.placed == []


def test_a_broker_that_raises_for_ever_stops_by_the_circuit_breaker(tmp_path):
    broker = ScriptedBroker({"submit_order": [OSError("down")]})
    summary, packets = play(
        tmp_path, [book(ts_ms=T0 + 100 * i) for i in range(30)], broker, model=acting(orders=[
            {"side": "buy", "price": 0.4, "size": 1, "level": i} for i in range(6)
        ]), config=RunConfig(), risk_policy=RiskPolicy(max_total_exposure_usd=100, max_per_market_usd=100),
    )  # fmt: skip
    assert summary["stopped"] == {"step": 2, "reason": "circuit_breaker"}
    assert len(packets) == 30
    assert len(broker.placed) == 6


REJECTIONS = [
    {"status": "rejected", "reason": "no funds"},
    {"status": "REFUSED"},
    {"status": "expired", "client_order_id": None},
    {"status": "canceled", "filled_size": 0.0},
]


@pytest.mark.parametrize("answer", REJECTIONS)
def test_a_rejected_order_is_gone_and_may_be_wanted_again(tmp_path, answer):
    broker = ScriptedBroker({"submit_order": [answer, answer, None]})
    late = book(ts_ms=T0 + 1_600)  # a refused level waits for the throttle
    summary, packets = play(tmp_path, [before(), book(ts_ms=T0 + 1), late], broker)
    wanted_again = packets[1]["intents"] + packets[2]["intents"]
    assert len(wanted_again) == 2
    assert packets[2]["state_after"]["open_orders"] != []
    assert summary["stopped"] is None


JUNK_ANSWERS = [
    5, True, "ok", b"ok", [], [1], {}, {"status": "hm"}, {"status": 5}, {"type": []}, {"type": "bar"}, object(),
    math.nan, {"status": "live", "client_order_id": 5}, {"status": "live", "filled_size": "1"},
    {"status": "live", "filled_size": math.nan}, {"status": "live", "client_order_id": "\ud800"},
    {"status": "live", "client_order_id": "x" * 1000}, {"status": "live", "client_order_id": "another"},
    {"fill_id": "f", "size": math.inf, "price": 0.5, "side": "buy"}, _NoDict(),
    {"type": "transfer", "entry_id": "t", "amount": 1.0}, {"status": "live", "filled_size": 10**400},
    {"status": "\ud800"},
]  # fmt: skip


@pytest.mark.parametrize("answer", JUNK_ANSWERS, ids=range(len(JUNK_ANSWERS)))
def test_a_junk_answer_to_a_submit_is_no_evidence(tmp_path, answer):
    broker = ScriptedBroker({"submit_order": [answer, None]}, abilities=())
    summary, packets = play(tmp_path, [before(), after()], broker)
    statuses = [order["status"] for order in packets[1]["state_after"]["open_orders"]]
    assert statuses == ["unknown", "live"]
    assert (
        "awaiting_broker" in packets[1]["mismatch"]["flags"]
        or "order_open_no_cancel" in packets[1]["mismatch"]["flags"]
    )
    assert len(broker.placed) == 2
    assert summary["stopped"] is None


def _endless():
    while True:
        yield {"status": "live"}


def _breaks():
    yield {"fill_id": "g1", "client_order_id": "?", "side": "buy", "price": 0.5, "size": 1.0}
    raise OSError("line lost")


JUNK_REPORTS = [
    5,
    True,
    "fills",
    b"x",
    {"a": 1},
    object(),
    [5, None, "x"],
    [{"type": []}],
    np.array([1.0, 2.0]),
    [_NoDict()],
]


@pytest.mark.parametrize("answer", JUNK_REPORTS, ids=lambda a: type(a).__name__)
def test_junk_reports_are_noted_and_the_rest_goes_on(tmp_path, answer):
    broker = ScriptedBroker({"process_fills": [answer, []]})
    _summary, packets = play(
        tmp_path, [before(), after()], broker, risk_policy=RiskPolicy(circuit_breaker_failures=0)
    )
    assert all(r["type"] == "note" for r in packets[0]["external"]["reports"])
    assert packets[0]["external"]["reports"]
    assert [p["final_action"]["action"] for p in packets] == ["ACT", "ACT"]


def test_reports_may_come_from_a_generator(tmp_path):
    def fills(now_ms):
        yield from [broker.fill(order) for order in list(broker.working.values())]

    broker = ScriptedBroker({"process_fills": [[], fills, []]})
    summary, _ = play(tmp_path, [before(), book(ts_ms=T0 + 1)], broker)
    assert summary["fills"] == 2


def test_a_generator_of_reports_that_breaks_is_noted(tmp_path):
    broker = ScriptedBroker({"process_fills": [lambda now_ms: _breaks(), []]})
    _summary, packets = play(tmp_path, [before(), after()], broker)
    assert {"type": "note", "call": "process_fills", "error": "OSError"} in packets[0]["external"]["reports"]
    assert len(packets) == 2


def test_a_secret_in_a_brokers_words_is_redacted(tmp_path):
    secret = "abcdef0123456789abcdef0123456789"
    broker = ScriptedBroker(
        {"submit_order": [{"status": "rejected", "reason": f"bad api_key={secret} \ud800"}]}
    )
    summary, packets = play(tmp_path, [before(), after()], broker)
    assert any(r.get("reason", "").startswith("bad api_key=***") for r in packets[1]["external"]["reports"])
    for file in Path(summary["run_dir"]).iterdir():
        assert secret.encode() not in file.read_bytes()


def test_a_long_answer_does_not_fill_the_packet(tmp_path):
    broker = ScriptedBroker(
        {"submit_order": [{"status": "rejected", "reason": "x" * 10**6}, {"status": "y" * 10**6}]}
    )
    _, packets = play(tmp_path, [before(), after()], broker)
    assert len(msgspec.json.encode(packets[1])) < 64 * 1024


def test_numbers_of_reports_may_be_decimal_or_numpy(tmp_path):
    def fills(now_ms):
        return [
            {"fill_id": o.side, "client_order_id": o.client_order_id, "market_id": "M", "side": o.side,
             "price": Decimal("0.5"), "size": np.int64(1), "fee": np.float64(0.25), "ts_ms": np.int64(T0)}
            for o in broker.working.values()
        ]  # fmt: skip

    broker = ScriptedBroker({"process_fills": [[], fills, []]})
    summary, _packets = play(tmp_path, [before(), book(ts_ms=T0 + 1)], broker)
    assert (summary["fills"], summary["fees"], summary["stopped"]) == (2, 0.5, None)


def test_a_fill_without_a_market_is_that_of_its_order(tmp_path):
    def fills(now_ms):
        return [
            {
                "fill_id": "1",
                "client_order_id": o.client_order_id,
                "side": o.side,
                "price": o.price,
                "size": 1,
            }
            for o in list(broker.working.values())[:1]
        ]

    def taken(order):
        return {"fill_id": "2", "side": order.side, "price": order.price, "size": order.size}

    broker = ScriptedBroker({"process_fills": [[], fills, []], "submit_order": [None, taken, None]})
    summary, _packets = play(tmp_path, [before(), book(ts_ms=T0 + 1)], broker)
    assert (summary["fills_by_side"], summary["stopped"]) == ({"buy": 1, "sell": 1}, None)


def test_a_broker_that_can_only_submit_counts_its_orders(tmp_path):
    """The guide's broker: what it was sent rests for ever as far as anybody can know."""
    broker = ScriptedBroker(abilities=())
    events = [before(), after(), book(0.45, 0.47, ts_ms=T0 + 4_000)]
    summary, packets = play(tmp_path, events, broker)
    assert [p["final_action"]["action"] for p in packets] == ["ACT", "ACT", "ACT"]
    assert [len(p["intents"]) for p in packets] == [2, 0, 0]
    assert packets[1]["mismatch"]["flags"] == ["order_open_no_cancel"]
    assert [o["lots"] for o in packets[2]["state_after"]["open_orders"]] == [1, 1]
    assert {name for name, *_ in broker.calls} <= {
        "open",
        "on_event",
        "submit_order",
        "process_fills",
        "close",
    }
    assert len(summary["open_orders_left"]) == 2


def test_orders_that_cannot_be_cancelled_count_against_the_limits(tmp_path):
    broker = ScriptedBroker(abilities=())
    levels = [acting(orders=[{"side": "buy", "price": 0.49, "size": 6, "level": i}]) for i in range(3)]
    asked = []

    def model(features):
        asked.append(1)
        return levels[len(asked) - 1](features)

    _, packets = play(tmp_path, [book(ts_ms=T0 + i) for i in range(3)], broker, model)
    assert [order.size for order in broker.placed] == [6.0, 4.0]  # the cap is 10
    assert packets[2]["final_action"]["action"] == "HOLD"
    assert packets[2]["final_action"]["reasons"] == ["exposure_cap", "inventory_cap"]


# ---------------------------------------------------------------- settings


def test_an_unknown_config_key_is_one_line_with_the_nearest():
    with pytest.raises(ConfigError) as caught:
        config_from_dict({"run": {"stepss": 5}})
    assert str(caught.value) == "config: unknown key 'stepss' in [run]: did you mean 'steps'?"


def test_an_existing_run_folder_is_one_line_and_is_left_alone(tmp_path):
    play(tmp_path, [before()])
    untouched = {file.name: file.read_bytes() for file in Path(tmp_path, "r").iterdir()}
    broker = ScriptedBroker()
    with pytest.raises(RunExists) as caught:
        play(tmp_path, [before()], broker)
    assert str(caught.value) == f"run folder {tmp_path / 'r'} exists: give another run_id or output_dir"
    assert broker.calls == []
    assert {file.name: file.read_bytes() for file in Path(tmp_path, "r").iterdir()} == untouched


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"run_id": "a/b"}, "run id 'a/b' is no plain folder name"),
        ({"run_id": ""}, "run id '' is no plain folder name"),
        ({"steps": -1}, "run.steps is -1"),
        ({"steps": 1.5}, "run.steps is 1.5"),
        ({"seed": -1}, "run.seed is -1"),
        ({"seed": "one"}, "run.seed is 'one'"),
        ({"risk_policy": {}}, "risk_policy is a dict"),
        ({"decision_engine": 5}, "model int is of type int"),
        ({"decision_engine": "no_such_module:model"}, "cannot be imported"),
    ],
)
def test_a_wrong_argument_is_one_line(tmp_path, arguments, message):
    with pytest.raises(ConfigError, match=message) as caught:
        run_loop(ListSource([]), ScriptedBroker(), **{"output_dir": tmp_path, **arguments})
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("source", "broker"), [([], ScriptedBroker()), (ListSource([]), print)])
def test_what_is_no_source_or_broker_is_one_line(tmp_path, source, broker):
    with pytest.raises(ConfigError, match="give a"):
        run_loop(source, broker, output_dir=tmp_path)


def test_a_fill_is_a_struct_too(tmp_path):
    broker = ScriptedBroker()

    def report(now_ms):
        order = broker.placed[0]
        return [
            Fill(
                fill_id="1",
                client_order_id=order.client_order_id,
                market_id="M",
                side="buy",
                price=0.49,
                size=1.0,
            )
        ]

    broker.script["process_fills"] = [[], report, []]
    summary, _ = play(tmp_path, [before(), book(ts_ms=T0 + 1)], broker)
    assert summary["positions"] == {"M": 1.0}


@pytest.mark.parametrize("wrong", [{"bid": math.nan}, {"bid": "0.49"}, {"seq": 1}])
def test_a_refused_event_moves_no_clock(tmp_path, wrong):
    """A bad event with a stamp a day ahead: what follows is as fresh as before."""
    first = book(ts_ms=T0, seq=1)
    bad = {**book(ts_ms=T0 + 86_400_000, seq=2), **wrong}
    events = [first, bad, *(book(ts_ms=T0 + 100 * i, seq=2 + i) for i in range(1, 6))]
    summary, packets = play(tmp_path, events)
    assert packets[1]["final_action"]["action"] == "HOLD"
    assert [packet["final_action"]["action"] for packet in packets[2:]] == ["ACT"] * 5
    assert sum(summary["bad_inputs"].values()) == 1


def test_fills_are_counted_as_the_ledger_books_them(tmp_path):
    """A broker with one method that fills at once, and one that repeats all fills at each call."""

    class FillsAtOnce(Broker):
        def submit_order(self, order):
            return {"status": "filled", "filled_size": order.size, "avg_price": order.price}

    summary, _ = play(tmp_path / "a", [book(ts_ms=T0 + 100 * i) for i in range(4)], FillsAtOnce())
    assert summary["fills"] > 0
    assert summary["fills"] == sum(summary["fills_by_side"].values())

    class Repeats(Broker):
        def __init__(self):
            self.done = []

        def submit_order(self, order):
            self.done.append({
                "fill_id": str(len(self.done)), "client_order_id": order.client_order_id, "market_id": order.market_id,
                "side": order.side, "price": order.price, "size": order.size,
            })  # fmt: skip

        def process_fills(self, now_ms):
            return list(self.done)

    broker = Repeats()
    summary, _ = play(tmp_path / "b", [book(ts_ms=T0 + 100 * i) for i in range(6)], broker)
    assert 0 < summary["fills"] <= len(broker.done)


def test_a_reduce_only_order_needs_a_position(tmp_path):
    model = acting(orders=[{"side": "buy", "price": 0.51, "size": 1, "reduce_only": True}])
    broker = ScriptedBroker()
    summary, packets = play(tmp_path, [before(), after()], broker, model=model)
    assert summary["orders_submitted"] == 0
    assert packets[0]["final_action"]["reasons"] == ["leg_nothing_to_reduce"]


def test_the_summary_names_a_failing_source_and_a_stop(tmp_path):
    class Fails(MarketDataSource):
        def next_event(self):
            raise ValueError("gone")

    summary = run_loop(Fails(), ScriptedBroker(), run_id="r", output_dir=tmp_path)
    assert summary["source_failures"] == {"ValueError": 5}
    assert summary["explanation"][0] == "The source failed 5 times: ValueError."
