"""The paper broker of a compiled run: the packets of an interpreted one, to the byte."""

import pytest

from ami_engine.sim.paper_broker import PaperBroker
from dmc_core.jit import can_compile
from tests.unit.loop.test_numbers_for_the_broker import BROKERS, Counted, packets_of

pytestmark = pytest.mark.skipif(not can_compile(), reason="numba is not installed")


@pytest.mark.parametrize("settings", BROKERS, ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_the_packets_of_a_compiled_broker_are_the_same_bytes(seed, settings, tmp_path):
    compiled, summary = packets_of(Counted(**settings), seed, tmp_path / "fast", fast=True, count=1_000)
    plain, _ = packets_of(PaperBroker(**settings), seed, tmp_path / "plain", count=1_000)
    assert compiled == plain
    assert summary["fills"] > 0


def test_a_compiled_broker_tells_what_an_interpreted_one_tells(tmp_path):
    brokers = PaperBroker(entry_latency_ms=4.0), PaperBroker(entry_latency_ms=4.0)
    for broker, fast in zip(brokers, (True, False), strict=True):
        packets_of(broker, 3, tmp_path / str(fast), fast=fast)
    fast, plain = brokers
    assert fast.get_state() == plain.get_state()
    assert list(fast._ended) == list(plain._ended)
    for order_id in list(plain._ended)[-20:]:
        assert fast.query_order(order_id) == plain.query_order(order_id)
        assert fast.cancel_order(order_id) == plain.cancel_order(order_id)
    fast.cancel_all()
    plain.cancel_all()
    assert fast.process_fills(2 * 10**12) == plain.process_fills(2 * 10**12)
