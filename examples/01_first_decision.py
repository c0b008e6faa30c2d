"""Your data, your model, the engine's loop: two orders, and what happened at every step."""

from ami_engine.adapters import MarketDataSource
from ami_engine.loop.run_loop import run_loop
from ami_engine.sim.paper_broker import PaperBroker
from decision_schema.types import Action, Proposal


class Prices(MarketDataSource):
    """Three books of one market, with their times."""

    def __init__(self) -> None:
        self.events = iter(
            {
                "market_id": "COIN",
                "ts_ms": 1_700_000_000_000 + 100 * i,
                "bid": bid,
                "ask": bid + 0.02,
                "depth": 100,
            }
            for i, bid in enumerate((0.49, 0.49, 0.20))
        )

    def next_event(self):
        """Return the next event, or None."""
        return next(self.events, None)


def model(features):
    """Quote around the mid while the market is calm."""
    calm = features["spread_bps"] < 450
    return Proposal(
        action=Action.ACT if calm else Action.HOLD,
        confidence=0.8,
        reasons=["calm" if calm else "wide"],
        params={"value": features["mid"]},
    )


summary = run_loop(Prices(), PaperBroker(), decision_engine=model)
print(summary["action_counts"])
print(summary["orders_submitted"], "orders;", summary["explanation"][0])
