"""The costs of a run: recomputed from its packets, printed, and whole whatever the broker says."""

import json
import math
from fractions import Fraction

import pytest
from rich.console import Console

from ami_engine.cli.cost_words import cost_rows, model_words
from ami_engine.cli.run import print_summary
from ami_engine.loop.run_loop import run_loop
from ami_engine.sim.microstructure_sim import MicrostructureSim
from ami_engine.sim.paper_broker import PaperBroker
from ami_engine.sim.synthetic_source import SyntheticSource
from ami_engine.testing import ListSource, ScriptedBroker, book, read_packets
from decision_schema.instruments import Instrument
from decision_schema.types import Action, Proposal
from dmc_core.dmc.risk_policy import RiskPolicy

T0 = 1_600_000_000_000
M = Instrument(market_id="M", tick_size="0.01", lot_size="1")
HORIZONS = ("1s", "5s", "15s", "60s")


def hold(features):
    return Proposal(action=Action.HOLD, confidence=0.9, reasons=["not_now"])


def fill(n, side, price, size=1.0, **parts):
    """A fill that the venue reports by itself."""
    parts = {"market_id": "M", "fee": 0.0, **parts}
    return {
        "type": "fill",
        "fill_id": f"f{n}",
        "client_order_id": "",
        "side": side,
        "price": price,
        "size": size,
        **parts,
    }


class Reporter(ScriptedBroker):
    """Gives a list of reports at each call of `process_fills`; the first call is that of the first step."""

    def __init__(self, *reports, described=None):
        super().__init__()
        self.reports, self.described = list(reports), described

    def process_fills(self, now_ms):
        return self.reports.pop(0) if self.reports else []

    def describe(self):
        if isinstance(self.described, BaseException):
            raise self.described
        return {} if self.described is None else self.described


def run(tmp_path, events, broker, instruments=(M,), **settings):
    source = ListSource(events, instruments=instruments)
    return run_loop(source, broker, decision_engine=hold, output_dir=tmp_path, run_id="r", **settings)


def whole(costs):
    """The identity, in every part of the summary that states it."""
    for part in (costs, *costs.get("by_market", {}).values()):
        total = (
            part["spread_captured"] - part["adverse_selection"]["60s"] + part["inventory_pnl"]
            + part["funding"] - part["fees"]
        )  # fmt: skip
        assert total == pytest.approx(part["profit"], rel=1e-12, abs=1e-12)
        roles = [part[role] for role in ("maker", "taker", "unsaid")]
        assert sum(role["spread_captured"] for role in roles) == pytest.approx(
            part["spread_captured"], abs=1e-12
        )
        assert sum(role["fees"] for role in roles) == pytest.approx(part["fees"], abs=1e-12)


def at(seconds, mid, **parts):
    return book(mid - 0.01, mid + 0.01, ts_ms=T0 + int(1000 * seconds), **parts)


def test_the_mid_at_a_fill_is_that_before_the_event_of_its_step(tmp_path):
    """Sold at 0.51 while the mid is 0.50; the event of that step moves it to 0.60."""
    costs = run(
        tmp_path, [at(0, 0.50), at(1, 0.60)], Reporter([], [fill(1, "sell", 0.51, liquidity_side="maker")])
    )["costs"]
    assert costs["spread_captured"] == pytest.approx(0.01)
    assert costs["position_pnl"] == costs["inventory_pnl"] == pytest.approx(-0.10)
    assert costs["maker"] == {
        "fills": 1,
        "volume": 1.0,
        "value": 0.51,
        "fees": 0.0,
        "spread_captured": costs["spread_captured"],
    }
    assert costs["markouts"]["1s"] == {"ticks": None, "money": 0.0, "fills": 0, "unresolved": 1}
    whole(costs)


def test_after_a_minute_the_first_minute_is_adverse_selection_and_the_rest_inventory(tmp_path):
    events = [at(0, 0.50), at(1, 0.50), at(60.5, 0.47), at(61, 0.46), at(100, 0.40)]
    broker = Reporter([], [fill(1, "buy", 0.49, 2.0, fee=0.01, liquidity_side="maker")])
    costs = run(tmp_path, events, broker)["costs"]
    assert costs["spread_captured"] == pytest.approx(0.02)
    assert costs["adverse_selection"]["60s"] == pytest.approx(2 * 0.03)  # the mid known at 61 s is 0.47
    assert costs["inventory_pnl"] == pytest.approx(-2 * 0.07)
    assert costs["profit"] == pytest.approx(-2 * 0.09 - 0.01)
    assert costs["markouts"]["60s"] == {
        "ticks": pytest.approx(-2.0),
        "money": pytest.approx(-0.04),
        "fills": 1,
        "unresolved": 0,
    }
    whole(costs)


def test_a_fill_before_any_mid_is_counted_and_captures_nothing(tmp_path):
    costs = run(tmp_path, [at(0, 0.50)], Reporter([fill(1, "buy", 0.40, liquidity_side="taker")]))["costs"]
    assert (costs["unpriced_fills"], costs["spread_captured"]) == (1, 0.0)
    assert costs["inventory_pnl"] == pytest.approx(0.10)
    assert costs["taker"]["fills"] == 1
    whole(costs)


def test_a_settlement_and_a_fill_reported_after_it_are_inventory(tmp_path):
    """The late fill captures against the last mid of the market, 0.60; the jump to 1 is not spread."""
    events = [
        at(0, 0.50),
        at(1, 0.60),
        {"market_id": "M", "ts_ms": T0 + 2000, "settlement": 1.0},
        at(3, 0.90),
        at(4, 0.90),
    ]
    broker = Reporter([], [fill(1, "buy", 0.49)], [], [], [fill(2, "buy", 0.58)])
    costs = run(tmp_path, events, broker, (Instrument(market_id="M", lot_size="1", kind="binary"),))["costs"]
    assert costs["unsaid"]["spread_captured"] == pytest.approx(0.01 + 0.02)
    assert costs["position_pnl"] == pytest.approx(0.50 + 0.40)
    assert costs["profit"] == pytest.approx(0.51 + 0.42)
    whole(costs)


def test_corrections_are_inventory_and_funding_is_apart(tmp_path):
    repair = {
        "type": "correction",
        "entry_id": "c",
        "market_id": "M",
        "reason": "r",
        "lots": 2,
        "price": 0.30,
        "amount": 0.05,
    }
    paid = {"type": "funding", "entry_id": "p", "market_id": "M", "amount": -0.02}
    costs = run(tmp_path, [at(0, 0.50), at(1, 0.50), at(2, 0.50)], Reporter([], [repair, paid]))["costs"]
    assert (costs["spread_captured"], costs["maker"]["fills"]) == (0.0, 0)
    assert costs["inventory_pnl"] == pytest.approx(2 * 0.20 + 0.05)
    assert (costs["funding"], costs["profit"]) == (-0.02, pytest.approx(0.43))
    whole(costs)


def test_several_markets_have_each_their_own_and_one_sum(tmp_path):
    other = Instrument(market_id="N", tick_size="0.25", lot_size="1", multiplier=10.0)
    events = []
    for second in range(8):
        events.append(at(second, 0.50, market_id="M"))
        events.append(book(99.0, 101.0 + (second > 4), ts_ms=T0 + 1000 * second, market_id="N"))
    broker = Reporter(
        [],
        [],
        [fill(1, "buy", 0.49, liquidity_side="maker"), fill(1, "sell", 101.0, 3.0, market_id="N", fee=0.5)],
    )
    costs = run(tmp_path, events, broker, (M, other))["costs"]
    assert set(costs["by_market"]) == {"M", "N"}
    m, n = costs["by_market"]["M"], costs["by_market"]["N"]
    assert (m["spread_captured"], n["spread_captured"]) == (pytest.approx(0.01), 30.0)
    assert (m["unsaid"]["volume"], n["unsaid"]["volume"], costs["unsaid"]["volume"]) == (0.0, 3.0, None)
    assert n["adverse_selection"] == {"1s": 0.0, "5s": 15.0, "15s": 0.0, "60s": 0.0}
    assert (n["inventory_pnl"], n["markouts"]["5s"]["ticks"], costs["markouts"]["5s"]["ticks"]) == (
        -15.0,
        2.0,
        None,
    )
    assert costs["profit"] == pytest.approx(0.01 + 30.0 - 15.0 - 0.5)
    assert "fill_model" not in m
    whole(costs)


def test_a_run_without_fills_has_every_key_and_all_are_zero(tmp_path):
    for steps in (None, 0):
        summary = run(tmp_path / str(steps), [at(0, 0.5)], ScriptedBroker(), steps=steps)
        costs = summary["costs"]
        assert list(costs["adverse_selection"]) == list(costs["markouts"]) == list(HORIZONS)
        assert {
            costs[name] for name in ("fees", "spread_captured", "position_pnl", "inventory_pnl", "profit")
        } == {0.0}
        assert cost_rows(costs) == []
        assert costs["fill_model"] == {}
        assert "by_market" not in costs


def test_the_costs_of_a_simulated_run_are_those_of_its_packets(tmp_path):
    """Every amount once more, in fractions, from what the packets recorded."""

    def model(features):
        side = "buy" if features.get("microprice_alpha_ticks", 0) > 2 else None
        mid = features.get("mid")
        if side and mid:
            return Proposal(
                action=Action.ACT, confidence=0.9, params={"side": "buy", "price": mid + 0.02, "size": 2}
            )
        return Proposal(action=Action.ACT, confidence=0.9, params={"value": mid})

    source = SyntheticSource(MicrostructureSim(mid=0.5, spread=0.01), num_events=1500)
    calm = RiskPolicy(
        adv15_max_ticks=0,
        adv60_max_ticks=0,
        max_abs_inventory=100,
        max_per_market_usd=1e3,
        max_total_exposure_usd=1e3,
    )
    summary = run_loop(
        source,
        PaperBroker(),
        decision_engine=model,
        risk_policy=calm,
        output_dir=tmp_path,
        run_id="r",
        seed=3,
    )
    costs = summary["costs"]
    fills, mids = [], []
    for packet in read_packets(tmp_path / "r"):
        now = packet["external"]["now_ns"]
        for report in packet["external"]["reports"]:
            if report["type"] == "fill":
                signed = Fraction(report["size"]) * (1 if report["side"] == "buy" else -1)
                known = [mid for _, mid in mids if mid is not None]
                fills.append((now, signed, Fraction(report["price"]), known[-1], report))
        mid = packet["mdm"]["features"].get("mid")
        mids.append((now, None if mid is None else Fraction(mid)))
    end = [mid for _, mid in mids if mid is not None][-1]

    def later(t, seconds):
        """The mid that was known when the first event at or after the horizon came."""
        before = (mids[i - 1][1] for i, (now, _) in enumerate(mids) if now >= t + seconds * 10**9)
        return next((mid for mid in before if mid is not None), None)

    def near(exact):
        return pytest.approx(float(exact), rel=1e-9, abs=1e-12)

    assert len(fills) == summary["fills"] > 20
    assert min(costs["maker"]["fills"], costs["taker"]["fills"]) > 0
    assert costs["taker"]["spread_captured"] < 0.0 < costs["maker"]["spread_captured"]
    assert costs["spread_captured"] == near(sum(q * (mid - price) for _, q, price, mid, _ in fills))
    for role in ("maker", "taker"):
        own = [x for x in fills if x[4]["liquidity_side"] == role]
        assert costs[role] == {
            "fills": len(own),
            "volume": near(sum(abs(q) for _, q, *_ in own)),
            "value": near(sum(abs(q) * price for _, q, price, *_ in own)),
            "fees": near(sum(Fraction(x[4].get("fee", 0.0)) for x in own)),
            "spread_captured": near(sum(q * (mid - price) for _, q, price, mid, _ in own)),
        }
    for name in HORIZONS:
        done = [
            (q, price, mid, after)
            for t, q, price, mid, _ in fills
            if (after := later(t, int(name[:-1]))) is not None
        ]
        assert costs["markouts"][name]["fills"] == len(done)
        assert costs["markouts"][name]["unresolved"] == len(fills) - len(done)
        assert costs["markouts"][name]["money"] == near(
            sum(q * (after - price) for q, price, _, after in done)
        )
        assert costs["adverse_selection"][name] == near(sum(q * (mid - after) for q, _, mid, after in done))
    assert costs["position_pnl"] == near(sum(q * (end - mid) for _, q, _, mid, _ in fills))
    rest = sum(q * (end - (mid if (after := later(t, 60)) is None else after)) for t, q, _, mid, _ in fills)
    assert costs["inventory_pnl"] == near(rest)
    assert (
        costs["profit"]
        == summary["realized_pnl"] + summary["unrealized_pnl"] + summary["funding"] - summary["fees"]
    )
    whole(costs)


# ---------------------------------------------------------------- the fill model


@pytest.mark.parametrize(
    ("described", "found"),
    [
        ({"kind": "mine", "queue": "none"}, {"kind": "mine", "queue": "none"}),
        ({"x": math.nan, 2: {3}}, {"x": {"$float": "nan"}, "2": [3]}),
        ({"api_key": "sk-live-0123456789abcdef0123456789abcdef"}, {"api_key": "***REDACTED***"}),
        ({"x": "y" * 40_000}, "<left out: 40008 bytes>"),
        (RuntimeError("no"), {"broker": "Reporter", "error": "RuntimeError"}),
        (7, {"broker": "Reporter", "error": "TypeError"}),
    ],
    ids=["a dict", "odd values", "a secret", "too long", "raises", "no dict"],
)
def test_what_a_broker_says_of_its_fills_ends_no_run(tmp_path, described, found):
    summary = run(tmp_path, [at(0, 0.5)], Reporter(described=described))
    assert summary["ended"] == "exhausted"
    assert summary["costs"]["fill_model"] == found
    assert json.loads((tmp_path / "r" / "summary.json").read_text())["costs"]["fill_model"] == found
    assert model_words(found)


# ---------------------------------------------------------------- in words


def test_the_summary_is_printed_in_words_that_add_up(tmp_path, capsys):
    events = [at(0, 0.50), at(1, 0.50), at(60.5, 0.47), at(62, 0.46), at(100, 0.40)]
    reports = [
        fill(1, "buy", 0.49, 2.0, fee=0.01, liquidity_side="maker"),
        fill(2, "sell", 0.49, liquidity_side="taker"),
    ]
    summary = run(
        tmp_path, events, Reporter([], reports, described={"kind": "paper", "queue": "conservative"})
    )
    print_summary(Console(highlight=False, soft_wrap=True), summary)
    lines = capsys.readouterr().out.splitlines()
    assert [
        line for line in lines if line.startswith(("costs", "adverse", "maker", "taker", "fill model"))
    ] == [
        "costs       captured +0.0100 of spread, gave back -0.0300 within 60 s (adverse selection), inventory -0.0700, fees -0.0100 = profit -0.1000",
        "adverse     against us after 1s +0.0000, 5s +0.0000, 15s +0.0000, 60s +0.0300",
        "maker       1 fill, size 2, worth 0.9800, spread +0.0200, fees 0.0100",
        "taker       1 fill, size 1, worth 0.4900, spread -0.0100, fees 0.0000",
        "fill model  paper, queue conservative",
    ]


def test_payments_rebates_luck_and_what_is_unknown_have_their_words(tmp_path):
    broker = Reporter([fill(1, "buy", 0.40)], [fill(2, "buy", 0.52, fee=-0.01)])
    funding = {"type": "funding", "entry_id": "p", "market_id": "M", "amount": -0.02}
    broker.reports[1].append(funding)
    rows = dict(cost_rows(run(tmp_path, [at(0, 0.50), at(1, 0.55), at(2.5, 0.55)], broker)["costs"]))
    assert rows["costs"] == (
        "paid -0.0200 of spread, gained +0.0000 more within 60 s (no adverse selection), inventory +0.2000, "
        "funding -0.0200, rebates +0.0100 = profit +0.1700"
    )
    assert rows["adverse"] == (
        "against us after 1s -0.1500, 5s +0.0000, 15s +0.0000, 60s +0.0000; 2 without a mid 60 s later: in inventory; "
        "1 came before any mid: nothing captured"
    )
    assert set(rows) == {"costs", "adverse", "unsaid"}
