"""What every side shares: the numbers of the rule, the data, and how a result is told.

Needs numpy alone, so that it runs in every environment. The rule itself stands in rule.md.
"""

import argparse
import json
import math
import os
import platform
import resource
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

TICK_NUM, TICK_DEN = 1, 100
TICK = TICK_NUM / TICK_DEN
LOT = 1.0
MAX_INVENTORY = 10
MAX_SKEW_TICKS = 4.0
MIN_CONFIDENCE = 0.6
THROTTLE_NS = 100_000_000
LATENCY_NS = 5_000_000
QUEUE_POWER = 3.0
SAMPLE_NS = 1_000_000_000
INITIAL_EQUITY = 1e6

COLUMNS = (
    "ts_ns", "bid", "ask", "bid_size", "ask_size", "trade_price", "trade_size", "trade_side",
)  # fmt: skip

LIMITS: dict[str, float] = {
    "staleness_ms": 60_000,
    "min_depth": 1,
    "max_spread_bps": 1e4,
    "max_spread_ticks": 1_000,
    "max_per_market_usd": 1e6,
    "max_total_exposure_usd": 1e6,
    "max_abs_inventory": MAX_INVENTORY,
    "max_open_orders": 10,
    "min_order_usd": 1,
    "cancel_rate_limit": 1_000,
    "cancel_window_ms": 10_000,
    "daily_loss_stop_usd": 1e6,
    "max_drawdown_stop_usd": 1e6,
    "equity_floor_usd": 1,
    "error_rate_max": 1,
    "circuit_breaker_failures": 1_000,
    "throttle_refresh_ms": THROTTLE_NS // 1_000_000,
    "adv15_max_ticks": 1e4,
    "adv60_max_ticks": 1e4,
    "sigma_spike_z_max": 1e4,
    "max_inventory_skew_ticks": MAX_SKEW_TICKS,
    "max_consecutive_losses": 1_000_000,
    "max_429_per_window": 1_000,
    "max_ws_reconnects_per_window": 1_000,
    "sigma_5m_max_bps": 1e4,
    "spread_med_5m_max_bps": 1e4,
    "depth_p10_5m_min": 1,
    "staleness_max_5m_ms": 60_000,
}
"""The policy of the full rule: every row of the guard table is switched on, and none trips in ordinary
trading but the cap of the inventory. What is not named here keeps its default."""


_IMPORTED_NS = time.time_ns()


def since_start() -> float:
    """Give the seconds since this process was started, as far as that is known."""
    return (time.time_ns() - int(os.environ.get("PEERS_STARTED_NS", _IMPORTED_NS))) / 1e9


def load(file: Path, rows: int | None = None) -> dict[str, np.ndarray]:
    """Read the columns of the first rows."""
    with np.load(file) as data:
        return {name: data[name][:rows] for name in COLUMNS}


def is_trade(columns: dict[str, np.ndarray]) -> np.ndarray:
    """Tell which rows are trades; the others are quotes."""
    return columns["trade_side"] != 0


def arguments(variants: tuple[str, ...]) -> argparse.Namespace:
    """Read what the run tells one side."""
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--variant", choices=variants, default=variants[0])
    parser.add_argument("--rows", type=int, help="only the first rows")
    return parser.parse_args()


def tell(
    peer: str,
    variant: str,
    columns: dict[str, np.ndarray],
    times: list[float],
    start_seconds: float,
    packages: tuple[str, ...],
    **more: Any,
) -> None:
    """Print one line of JSON: what was run, how fast at best of its `times` (s), and what came out."""
    rows, seconds = len(columns["ts_ns"]), min(times)
    quotes = rows - int(is_trade(columns).sum())
    result = {
        "peer": peer,
        "variant": variant,
        "rows": rows,
        "quotes": quotes,
        "seconds": seconds,
        "rows_per_s": rows / seconds,
        "worst_rows_per_s": rows / max(times),
        "quotes_per_s": quotes / seconds,
        "start_seconds": start_seconds,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "versions": {"python": platform.python_version(), **{p: metadata.version(p) for p in packages}},
        **more,
    }
    print(json.dumps(result, allow_nan=False), flush=True)


def short_rule(
    bid: float, ask: float, bid_size: float, ask_size: float, position: float
) -> tuple[bool, int, int]:
    """Give (act, ticks of the buy, ticks of the sell) by the short rule, in plain Python.

    >>> short_rule(100.0, 100.03, 10.0, 10.0, 0.0)
    (True, 10000, 10003)
    """
    micro = (bid * ask_size + ask * bid_size) / (bid_size + ask_size)
    mid = 0.5 * (bid + ask)
    half = 0.5 * (ask - bid)
    edge = (half - abs(micro - mid)) * TICK_DEN
    if 1.0 / (1.0 + math.exp(-edge)) < MIN_CONFIDENCE:
        return False, 0, 0
    skew = -max(-1.0, min(1.0, position / MAX_INVENTORY)) * MAX_SKEW_TICKS
    buy = math.floor((micro - half) * TICK_DEN + skew + 1e-6)
    sell = math.ceil((micro + half) * TICK_DEN + skew - 1e-6)
    return True, min(buy, round(ask * TICK_DEN) - 1), max(sell, round(bid * TICK_DEN) + 1)
