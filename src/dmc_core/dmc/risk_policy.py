"""RiskPolicy: every limit of the guards, its unit in its name, and which way is tighter."""

import math
from typing import Literal, TypeAlias

import msgspec

from decision_schema.errors import ConfigError

Tighter: TypeAlias = Literal["lower", "lower_0_off", "higher", "none"]


class RiskPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits for one market and the account. ``0 = off`` holds where it is said.

    The defaults suit a small account in markets priced from 0 to 1; "usd" is account currency.

    Args:
        staleness_ms: Oldest valid book that an order may rest on.
        min_depth: Least displayed size, both sides together; 0 = off.
        max_spread_bps: Widest spread, in parts of the mid.
        max_spread_ticks: Widest spread in ticks; 0 = off.
        max_per_market_usd: Most at risk in one market, everything working filled.
        max_total_exposure_usd: Most at risk in the account, everything working filled.
        max_abs_inventory: Largest position either way, everything working filled.
        max_open_orders: Most orders working in the account; 0 = off.
        min_order_usd: Least value of an order; 0 = off.
        cancel_rate_limit: Cancels and replacements allowed in `cancel_window_ms`; 0 = off.
        cancel_window_ms: Window of the count of cancels.
        daily_loss_stop_usd: Loss since the day's anchor (realised and unrealised) that stops; 0 = off.
        max_drawdown_stop_usd: Fall from the highest equity that stops; 0 = off.
        equity_floor_usd: Equity under which all stops; 0 = off.
        error_rate_max: Part of the last `error_window_steps` steps in which the broker or the policy hook
            may fail; 0 = off.
        error_window_steps: Window of the error rate.
        circuit_breaker_failures: Failures of the broker in the window that stop; 0 = off.
        circuit_breaker_window_sec: Window of the failures.
        throttle_refresh_ms: Least time between two replacements of one order.
        quote_ttl_ms: Age at which a resting order is placed anew; 0 = never.
        stale_cancel_ms: Age of the book at which resting orders are pulled; 0 = off.
        adv15_max_ticks: Mean adverse move 15 s after our fills; 0 = off.
        adv60_max_ticks: Mean adverse move 60 s after our fills; 0 = off.
        adverse_cooldown_ms: Pause after adverse selection; 0 = only as long as it is seen.
        sigma_spike_z_max: Volatility above its five-minute level, in standard deviations; 0 = off.
        cost_ticks: Cost of a round trip where it is not measured.
        tp_ticks: Target profit of a round trip.
        min_profit_ticks: Least of target profit less cost.
        max_inventory_skew_ticks: Shift of the plan's quotes at full inventory.
        max_consecutive_losses: Losing closes in a row that start a pause; 0 = off.
        streak_cooldown_ms: Length of that pause.
        ops_cooldown_ms: Pause after operations report trouble; 0 = off.
        max_429_per_window: Rate-limit answers of the venue in `circuit_breaker_window_sec`; 0 = off.
        max_ws_reconnects_per_window: Reconnects of the feed in `circuit_breaker_window_sec`; 0 = off.
        sigma_5m_max_bps: Five-minute volatility per sample; 0 = off.
        spread_med_5m_max_bps: Five-minute median spread; 0 = off.
        depth_p10_5m_min: Five-minute 10th percentile of depth; 0 = off.
        staleness_max_5m_ms: Longest silence of the book in five minutes; 0 = off.

    Raises:
        ConfigError: A limit is negative or not finite; the message names it.

    >>> RiskPolicy(max_spread_bps=50.0).max_spread_bps
    50.0
    >>> RiskPolicy(min_depth=-1)
    Traceback (most recent call last):
    decision_schema.errors.ConfigError: risk policy: min_depth is -1: give a finite number >= 0
    """

    staleness_ms: float = 1000
    min_depth: float = 1.0
    max_spread_bps: float = 500.0
    max_spread_ticks: float = 0.0
    max_per_market_usd: float = 5.0
    max_total_exposure_usd: float = 10.0
    max_abs_inventory: float = 10.0
    max_open_orders: int = 0
    min_order_usd: float = 0.0
    cancel_rate_limit: int = 20
    cancel_window_ms: int = 10_000
    daily_loss_stop_usd: float = 2.5
    max_drawdown_stop_usd: float = 0.0
    equity_floor_usd: float = 0.0
    error_rate_max: float = 0.1
    error_window_steps: int = 100
    circuit_breaker_failures: int = 5
    circuit_breaker_window_sec: float = 60.0
    throttle_refresh_ms: int = 1500
    quote_ttl_ms: int = 0
    stale_cancel_ms: float = 0.0
    adv15_max_ticks: float = 1.0
    adv60_max_ticks: float = 2.0
    adverse_cooldown_ms: int = 0
    sigma_spike_z_max: float = 2.5
    cost_ticks: float = 1.0
    tp_ticks: float = 1.0
    min_profit_ticks: float = 0.0
    max_inventory_skew_ticks: float = 4.0
    max_consecutive_losses: int = 0
    streak_cooldown_ms: int = 120_000
    ops_cooldown_ms: int = 0
    max_429_per_window: int = 0
    max_ws_reconnects_per_window: int = 0
    sigma_5m_max_bps: float = 0.0
    spread_med_5m_max_bps: float = 0.0
    depth_p10_5m_min: float = 0.0
    staleness_max_5m_ms: float = 0.0

    def __post_init__(self) -> None:
        """Refuse limits that are no finite number >= 0."""
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
                raise ConfigError(f"risk policy: {name} is {value!r}: give a finite number >= 0")
        if any(getattr(self, name) > WINDOW_CAPACITY for name in COUNTED):
            raise ConfigError(
                f"risk policy: a count limit is above {WINDOW_CAPACITY}, the most that is counted"
            )
        if not 1 <= self.error_window_steps <= WINDOW_CAPACITY:
            raise ConfigError(
                f"risk policy: error_window_steps is {self.error_window_steps}: give 1 to {WINDOW_CAPACITY}"
            )


WINDOW_CAPACITY = 1024
"""Most events that a counting window holds; a limit above it could never trip."""
COUNTED = ("cancel_rate_limit", "circuit_breaker_failures")
"""Limits that may therefore not be above it."""

TIGHTER: dict[str, Tighter] = {
    "staleness_ms": "lower",
    "min_depth": "higher",
    "max_spread_bps": "lower",
    "max_spread_ticks": "lower_0_off",
    "max_per_market_usd": "lower",
    "max_total_exposure_usd": "lower",
    "max_abs_inventory": "lower",
    "max_open_orders": "lower_0_off",
    "min_order_usd": "higher",
    "cancel_rate_limit": "lower_0_off",
    "cancel_window_ms": "higher",
    "daily_loss_stop_usd": "lower_0_off",
    "max_drawdown_stop_usd": "lower_0_off",
    "equity_floor_usd": "higher",
    "error_rate_max": "lower_0_off",
    "error_window_steps": "none",
    "circuit_breaker_failures": "lower_0_off",
    "circuit_breaker_window_sec": "higher",
    "throttle_refresh_ms": "higher",
    "quote_ttl_ms": "lower_0_off",
    "stale_cancel_ms": "lower_0_off",
    "adv15_max_ticks": "lower_0_off",
    "adv60_max_ticks": "lower_0_off",
    "adverse_cooldown_ms": "higher",
    "sigma_spike_z_max": "lower_0_off",
    "cost_ticks": "higher",
    "tp_ticks": "lower",
    "min_profit_ticks": "higher",
    "max_inventory_skew_ticks": "none",
    "max_consecutive_losses": "lower_0_off",
    "streak_cooldown_ms": "higher",
    "ops_cooldown_ms": "higher",
    "max_429_per_window": "lower_0_off",
    "max_ws_reconnects_per_window": "lower_0_off",
    "sigma_5m_max_bps": "lower_0_off",
    "spread_med_5m_max_bps": "lower_0_off",
    "depth_p10_5m_min": "higher",
    "staleness_max_5m_ms": "lower_0_off",
}
"""Which change of a limit lets less through; ``none`` = neither way, so a hook cannot change it."""


ACCOUNT_LIMITS = frozenset(
    {
        "max_total_exposure_usd",
        "max_open_orders",
        "cancel_rate_limit",
        "cancel_window_ms",
        "daily_loss_stop_usd",
        "max_drawdown_stop_usd",
        "equity_floor_usd",
        "error_rate_max",
        "error_window_steps",
        "circuit_breaker_failures",
        "circuit_breaker_window_sec",
        "max_consecutive_losses",
        "streak_cooldown_ms",
        "ops_cooldown_ms",
        "max_429_per_window",
        "max_ws_reconnects_per_window",
    }
)
"""Limits on what all markets of an account share; the others stand for each market alone."""


def market_policy(account: RiskPolicy, market: RiskPolicy) -> RiskPolicy:
    """Give the policy of one market: its own limits, and the account's where they are shared.

    >>> market_policy(RiskPolicy(daily_loss_stop_usd=9), RiskPolicy(min_depth=0)).daily_loss_stop_usd
    9
    """
    return msgspec.structs.replace(market, **{name: getattr(account, name) for name in ACCOUNT_LIMITS})


def is_tighter(field: str, base: float, other: float) -> bool:
    """Tell whether `other` lets strictly less through than `base`.

    >>> is_tighter("max_spread_bps", 500, 400), is_tighter("max_spread_ticks", 0, 3)
    (True, True)
    """
    way = TIGHTER[field]
    if way == "higher":
        return other > base
    if way == "lower":
        return other < base
    if way == "lower_0_off":
        return other != 0 and (base == 0 or other < base)
    return False


def tighten(base: RiskPolicy, other: RiskPolicy) -> tuple[RiskPolicy, list[str]]:
    """Take the tighter of two policies, field by field.

    Returns:
        The policy, and the names of the fields where `other` was looser and did not count.
    """
    changes: dict[str, float] = {}
    looser: list[str] = []
    for field in TIGHTER:
        before, after = getattr(base, field), getattr(other, field)
        if is_tighter(field, before, after):
            changes[field] = after
        elif after != before:
            looser.append(field)
    return msgspec.structs.replace(base, **changes) if changes else base, looser
