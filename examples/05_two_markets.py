"""Two markets, two sources, one account: each market has its policy, and one limit holds for both."""

from ami_engine.config import config_from_dict
from ami_engine.loop.run_loop import run_loop
from ami_engine.sim.microstructure_sim import MicrostructureSim
from ami_engine.sim.paper_broker import PaperBroker
from ami_engine.sim.synthetic_source import SyntheticSource

CONFIG = {
    "run": {"initial_equity": 100_000.0},
    "guards": {
        "policy": "crypto_perp",
        "max_total_exposure_usd": 15_000.0,  # of the account: both markets together
    },
    "execution": {"size": 0.05},
    "markets": [
        {"market_id": "BTC", "guards": {"max_abs_inventory": 0.2}},  # all else as in [guards]
        {
            "market_id": "EURUSD",
            "guards": {"policy": "fx", "min_profit_ticks": 0.0},  # another policy, one limit of it changed
            "execution": {"size": 5_000.0},
        },
    ],
}

bitcoin = MicrostructureSim(
    mid=60_000.0, spread=1.0, tick_size="0.1", lot_size="0.001", kind="linear", market_id="BTC",
    maker_fee=0.0, taker_fee=0.0, depth_lots=1_000, trade_lots=700, seed=1,
)  # fmt: skip
euro = MicrostructureSim(
    mid=1.1, spread=0.0001, tick_size="0.00001", lot_size="1000", kind="linear", market_id="EURUSD",
    maker_fee=0.0, taker_fee=0.0, interval_ms=250, seed=2,
)  # fmt: skip

# Their events are merged by time; the files of two venues would be two sources as well.
sources = [SyntheticSource(bitcoin, num_events=2_000), SyntheticSource(euro, num_events=800)]
summary = run_loop(sources, PaperBroker(), config=config_from_dict(CONFIG), run_id="two_markets")

print(summary["steps"], "events, refused:", summary["refusals"])
print("by the limit of the account:", summary["refusals"].get("total_exposure_cap", 0))
for name, market in summary["markets"].items():
    money = market["realized_pnl"] + market["unrealized_pnl"] - market["fees"]
    print(f"{name:<7}{market['fills']} fills, position {market['position']:g}, profit {money:+.2f}")
print(f"account {summary['fills']} fills, equity {summary['final_equity']:.2f}")
