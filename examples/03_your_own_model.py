"""A model that remembers and looks at its account: it quotes around a slow mean, less when it holds more."""

from ami_engine.loop.run_loop import run_loop
from ami_engine.mdm.decision_engine import DecisionEngine
from ami_engine.sim.microstructure_sim import MicrostructureSim
from ami_engine.sim.paper_broker import PaperBroker
from ami_engine.sim.synthetic_source import SyntheticSource
from decision_schema.types import Action, Proposal


def model(features, *, view, memory, params, instrument):
    """Ask for what you need by name: each of these four is given because it stands in the signature."""
    mid = features.get("mid")
    if mid is None:
        return Proposal(action=Action.HOLD, confidence=1.0, reasons=["no_two_sided_book"])

    # Kept from step to step; its digest stands in every packet.
    mean = memory["mean"] = memory.get("mean", mid) + params["weight"] * (mid - memory.get("mean", mid))

    # Lean against the position: each unit held moves both prices by one tick.
    tick = float(instrument.tick_size)
    fair = 0.5 * (mid + mean) - view.position * tick
    half = params["half_spread_ticks"] * tick

    orders = []
    if view.budget_long >= 1:  # room under max_abs_inventory, everything working filled
        orders.append({"side": "buy", "price": min(fair - half, mid - tick), "size": 1, "post_only": True})
    if view.budget_short >= 1:
        orders.append({"side": "sell", "price": max(fair + half, mid + tick), "size": 1, "post_only": True})
    return Proposal(
        action=Action.ACT,
        confidence=0.7,
        reasons=[f"mean {mean:.4f}", f"position {view.position:g}"],
        params={"orders": orders},  # the complete set wanted: what works and is not in it is pulled
    )


engine = DecisionEngine(model, warmup_ms=5_000, weight=0.02, half_spread_ticks=3.0)
source = SyntheticSource(MicrostructureSim(mid=0.5, spread=0.01), num_events=2_000)
summary = run_loop(source, PaperBroker(), decision_engine=engine, run_id="own_model")

print("decisions", {name: count for name, count in summary["action_counts"].items() if count})
print("held     ", summary["hold_reasons"])
print("refused  ", summary["refusals"])
print("fills    ", summary["fills_by_side"], "left with", summary["positions"])
print("memory   ", engine.memory, "errors", summary["model_errors"])
