"""The integration guide's own blocks run as written; only its ``...`` are filled in."""

import json
import re
from pathlib import Path

import pytest

from ami_engine.ports import MarketDataSource
from decision_schema.packet_v2 import PacketV2
from decision_schema.types import Action

CONTEXT = {
    "now_ms": 1_000,
    "last_event_ts_ms": 990,
    "depth": 100.0,
    "spread_bps": 400.0,
    "current_total_exposure_usd": 0.0,
    "abs_inventory": 0.0,
}
PACKET = PacketV2(
    run_id="run_123", step=1, input={"mid": 0.5}, external={}, mdm={}, final_action={"action": "HOLD"}, latency_ms=0.0
)


def fill_in(block: str) -> str:
    """Fill the guide's ``...``: a depth where a dict goes on, nothing where a call does."""
    block = block.replace(', ...}', ', "depth": 100}')
    return re.sub(r",\s*\.\.\.\)", ")", block)


@pytest.fixture
def blocks(guide_text: str) -> list[str]:
    found = re.findall(r"```python\n(.*?)```", guide_text, flags=re.DOTALL)
    assert len(found) >= 7
    return [fill_in(block) for block in found]


def block_with(blocks: list[str], mark: str) -> str:
    return next(block for block in blocks if mark in block)


def test_all_blocks_run_in_order_in_one_namespace(blocks, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    space = {"context": CONTEXT, "packet_v2": PACKET, "compute_confidence": lambda features: 0.9, "Action": Action}
    for block in blocks:
        exec(compile(block, "guide", "exec"), space)
    assert space["features"]["mid"] == 0.5
    assert space["features"]["spread_bps"] == 400
    assert space["features"]["depth"] == 100
    assert space["final_action"].action is Action.ACT
    assert space["mismatch"].flags == []
    assert space["safe_dict"] == {"api_key": "***REDACTED***", "mid": 0.5}
    assert (tmp_path / "traces" / "run_123" / "traces.jsonl").read_text().count("\n") == 1
    assert space["summary"]["steps"] == 100


def test_the_loop_block_sends_orders(blocks, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sent = []
    block = block_with(blocks, "class MyBroker").replace("pass", "sent.append(order)")
    space = {"sent": sent}
    exec(compile(block, "guide", "exec"), space)
    assert space["summary"]["steps"] == 100
    assert [(order.side, order.price) for order in sent] == [("buy", 0.49), ("sell", 0.51)]
    assert issubclass(space["MyMarketDataSource"], MarketDataSource)


def test_the_guides_private_model_leads_to_orders(blocks, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    from ami_engine.loop.run_loop import run_loop
    from ami_engine.mdm import private_hook

    hook = tmp_path / "model.py"
    block = block_with(blocks, "def compute_proposal_private")
    hook.write_text(block + "\n\ndef compute_confidence(features):\n    return 0.9\n")
    real = private_hook.load_private_model
    monkeypatch.setattr("ami_engine.mdm.decision_engine.load_private_model", lambda path: real(path or hook))
    space = {"sent": []}
    exec(compile(block_with(blocks, "class MyBroker").replace("pass", "sent.append(order)"), "guide", "exec"), space)
    assert {order.side for order in space["sent"]} == {"buy", "sell"}
    assert space["summary"]["model"].startswith("private:")

    hook.write_text(block)  # compute_confidence is not defined: broken, so it holds and says so
    summary = run_loop(space["MyMarketDataSource"](), space["MyBroker"](), steps=5)
    assert summary["orders_submitted"] == 0
    assert summary["hold_reasons"] == {"model_error:NameError": 5}


def test_the_simulation_block_trades(blocks, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    block = block_with(blocks, "MicrostructureSim").replace("num_events=100", "num_events=2000").replace(
        "steps=100", "steps=2000"
    )
    from ami_engine.loop.run_loop import run_loop

    space: dict[str, object] = {"run_loop": run_loop}
    exec(compile(block, "guide", "exec"), space)
    summary = space["summary"]
    assert summary["orders_submitted"] > 0
    assert summary["orders_canceled"] > 0
    assert summary["fills_by_side"]["buy"] > 0
    assert summary["fills_by_side"]["sell"] > 0
    lines = Path(summary["run_dir"], "traces.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(1, 2001))


