"""What a failed call to the broker starts."""

import pytest

from ami_engine.execution import order_ids
from ami_engine.loop.run_loop import run_loop
from ami_engine.ports import Broker
from ami_engine.testing import ListSource, ScriptedBroker, book, read_packets
from decision_schema.instruments import Instrument
from decision_schema.types import Action, Proposal
from dmc_core.dmc.guards import SLOT
from dmc_core.dmc.risk_policy import RiskPolicy

T0 = 1_600_000_000_000
M = Instrument(market_id="M", tick_size="0.01", lot_size="1", kind="binary")


def quote(features):
    return Proposal(action=Action.ACT, confidence=0.9, params={"bid": 0.49, "ask": 0.51, "size": 1})


def test_a_pause_of_a_million_years_is_one_of_139(tmp_path):
    """Nanoseconds fit 64 bits, as the compiled state needs: what is longer is cut."""
    policy = RiskPolicy(ops_cooldown_ms=10**18)
    broker = ScriptedBroker({"submit_order": [ConnectionError("429 too many requests")]})
    source = ListSource([book(ts_ms=T0 + 1_000 * i) for i in range(3)], instruments=(M,))
    summary = run_loop(
        source, broker, decision_engine=quote, risk_policy=policy, output_dir=tmp_path, run_id="r"
    )
    last = list(read_packets(summary["run_dir"]))[-1]
    assert "ops_cooldown_active" in last["final_action"]["reasons"]
    assert 138 * 365 * 86_400_000.0 < last["guards"]["values"][SLOT["ops_cooldown_left_ms"]] < 2**63 / 1e6


class Silent(Broker):
    """Sends and cancels, and never says what became of it."""

    answer = None

    def submit_order(self, order):
        return None

    def cancel_order(self, client_order_id):
        return self.answer


class Confirming(Silent):
    answer = {"status": "canceled"}  # noqa: RUF012 - nobody changes it


class Asked(Silent):
    def query_order(self, client_order_id):
        return None


@pytest.mark.parametrize("broker", [Silent, Confirming, Asked])
def test_orders_that_no_broker_call_can_confirm_count_on_and_are_explained(tmp_path, broker):
    """They are never taken for cancelled, and never sent again: nobody has evidence of their end."""

    def quote_once_higher(features, *, now_ns, **_):
        away = 0.01 if now_ns >= (T0 + 5_000) * 10**6 else 0.0
        return Proposal(
            action=Action.ACT, confidence=0.9, params={"bid": 0.45 - away, "ask": 0.55 + away, "size": 1}
        )

    source = ListSource([book(ts_ms=T0 + 1_000 * i) for i in range(30)], instruments=(M,))
    policy = RiskPolicy(throttle_refresh_ms=0)
    summary = run_loop(
        source,
        broker(),
        decision_engine=quote_once_higher,
        risk_policy=policy,
        output_dir=tmp_path,
        run_id="r",
    )
    told = [line for line in summary["explanation"] if "nobody knows how they ended" in line]
    if broker is not Silent:
        assert told == []
        return
    assert (summary["orders_submitted"], len(summary["open_orders_left"])) == (2, 2)
    last = list(read_packets(summary["run_dir"]))[-1]
    assert [order["status"] for order in last["state_after"]["open_orders"]] == ["canceling", "canceling"]
    assert told[0].startswith("Of 2 orders nobody knows how they ended, so they count at full size")


@pytest.mark.parametrize(("remembered", "stopped"), [(100, None), (3, "venue_inconsistent")])
def test_a_fill_of_an_order_that_is_long_forgotten_is_booked_and_stops(
    tmp_path, monkeypatch, remembered, stopped
):
    """Each step quotes anew, so each ends two orders; the fill is of the first of all."""
    monkeypatch.setattr(order_ids, "MAX_CLOSED", remembered)

    class Late(ScriptedBroker):
        def process_fills(self, now_ms):
            if now_ms == T0 + 9_000:
                self.fill(self.placed[0])
            return super().process_fills(now_ms)

    def requote(features, *, now_ns, **_):
        away = 0.01 * (now_ns // 10**9 % 2)
        return Proposal(
            action=Action.ACT, confidence=0.9, params={"bid": 0.45 - away, "ask": 0.55 + away, "size": 1}
        )

    source = ListSource([book(ts_ms=T0 + 1_000 * i) for i in range(12)], instruments=(M,))
    policy = RiskPolicy(throttle_refresh_ms=0)
    summary = run_loop(
        source, Late(), decision_engine=requote, risk_policy=policy, output_dir=tmp_path, run_id="r"
    )
    assert summary["fills"] == 1
    assert (summary["stopped"] and summary["stopped"]["reason"]) == stopped
