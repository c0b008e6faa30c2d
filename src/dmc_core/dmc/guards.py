"""The guard table: each guard is a row of data that one function judges (judge.py).

A row compares one observed number with one limit: ``margin = sign * (limit - value)``. It passes
on positive proof only: the value is there, finite, and the margin is not negative (not zero
either where the row is strict). What a row refuses depends on the direction of risk: nearly all
refuse only what increases it.

To add a guard: one row here, its limit in risk_policy.py, its reason in reasons.py and, if the
value is new, one observed slot and one scalar function (measures.py). Rows of legs stand last.
"""

from typing import Literal, NamedTuple

from decision_schema import reasons
from decision_schema.types import Action, GuardResult
from dmc_core.dmc.risk_policy import TIGHTER, RiskPolicy


class Observed(NamedTuple):
    """One observed number: its slot is its place in `OBSERVED`.

    Args:
        name: Name in records.
        unit: Its unit.
        source: The input that is missing where the number is.
    """

    name: str
    unit: str
    source: str


OBSERVED: tuple[Observed, ...] = (
    Observed("ops_deny_actions", "0/1", "ops_deny_actions"),
    Observed("ops_red", "0/1", "ops_state"),
    Observed("daily_loss_usd", "usd", "daily_realized_pnl_usd"),
    Observed("drawdown_usd", "usd", "drawdown_usd"),
    Observed("equity_usd", "usd", "equity_usd"),
    Observed("recent_failures", "count", "recent_failures"),
    Observed("error_rate", "part", "errors_in_window"),
    Observed("market_exposure_usd", "usd", "current_market_exposure_usd"),
    Observed("total_exposure_usd", "usd", "current_total_exposure_usd"),
    Observed("abs_inventory", "units", "abs_inventory"),
    Observed("adverse_15_ticks", "ticks", "adverse_15_ticks"),
    Observed("adverse_60_ticks", "ticks", "adverse_60_ticks"),
    Observed("adverse_cooldown_left_ms", "ms", "adverse_cooldown_until_ms"),
    Observed("consecutive_losses", "count", "consecutive_losses"),
    Observed("streak_cooldown_left_ms", "ms", "streak_cooldown_until_ms"),
    Observed("staleness_ms", "ms", "last_event_ts_ms"),
    Observed("depth", "units", "depth"),
    Observed("spread_bps", "bps", "spread_bps"),
    Observed("spread_ticks", "ticks", "spread_ticks"),
    Observed("sigma_spike_z", "sd", "sigma_spike_z"),
    Observed("edge_ticks", "ticks", "cost_ticks"),
    Observed("cancels_in_window", "count", "cancels_in_window"),
    Observed("ops_cooldown_left_ms", "ms", "ops_cooldown_until_ms"),
    Observed("rate_limited_in_window", "count", "rate_limited_in_window"),
    Observed("reconnects_in_window", "count", "reconnects_in_window"),
    Observed("sigma_5m", "bps", "sigma_5m"),
    Observed("spread_med_5m", "bps", "spread_med_5m"),
    Observed("depth_p10_5m", "units", "depth_p10_5m"),
    Observed("staleness_max_5m", "ms", "staleness_max_5m"),
    Observed("daily_drawdown_usd", "usd", "daily_drawdown_usd"),
    Observed("executions_in_window", "count", "executions_in_window"),
    Observed("crossed_ms", "ms", "crossed_ms"),
    Observed("frozen_ms", "ms", "frozen_ms"),
    Observed("jump_bps", "bps", "jump_bps"),
    Observed("jump_noise", "x", "jump_noise"),
    Observed("realized_vol_5m", "bps", "realized_vol_5m"),
    Observed("volatility_pause_left_ms", "ms", "volatility_pause_until_ms"),
    Observed("gap_age_ms", "ms", "gap_age_ms"),
    Observed("unanswered_ms", "ms", "unanswered_ms"),
    Observed("projected_market_exposure_usd", "usd", "mid"),
    Observed("projected_total_exposure_usd", "usd", "current_total_exposure_usd"),
    Observed("projected_abs_inventory", "units", "abs_inventory"),
    Observed("projected_open_orders", "count", "open_orders"),
    Observed("order_value_usd", "usd", "mid"),
    Observed("projected_long", "units", "abs_inventory"),
    Observed("projected_short", "units", "abs_inventory"),
    Observed("projected_net_exposure_usd", "usd", "other_net_exposure_usd"),
    Observed("projected_leverage", "x", "equity_usd"),
    Observed("projected_concentration", "part", "equity_usd"),
    Observed("allocated_exposure_usd", "usd", "reserved_exposure_usd"),
    Observed("allocated_open_orders", "count", "reserved_open_orders"),
    Observed("projected_messages", "count", "messages_in_window"),
    Observed("wanted_value_usd", "usd", "mid"),
    Observed("wanted_size", "units", "size"),
    Observed("price_distance_bps", "bps", "mid"),
    Observed("price_distance_noise", "x", "sigma_5m"),
    Observed("self_gap_ticks", "ticks", "own_ask"),
    Observed("size_multiple", "x", "typical_order_size"),
    Observed("same_order_age_ms", "ms", "same_order_age_ms"),
)
N_OBSERVED = len(OBSERVED)
SLOT: dict[str, int] = {observed.name: slot for slot, observed in enumerate(OBSERVED)}

ABSENT, PRESENT, MALFORMED = 0, 1, 2
"""Presence of an observed number: not given, a finite number, or given as something else."""

OFF, PASS, BREACH, UNKNOWN, NOT_EVALUATED = 0, 1, 2, 3, 4
VERDICTS = ("off", "pass", "breach", "unknown", "not_evaluated")

LIMIT_NAMES: tuple[str, ...] = ("zero", *TIGHTER)
"""Slots of the limits vector: a constant 0, then the policy's fields."""
N_LIMITS = len(LIMIT_NAMES)
LIMIT_SLOT: dict[str, int] = {name: slot for slot, name in enumerate(LIMIT_NAMES)}


class Guard(NamedTuple):
    """One row.

    Args:
        name: Its name, unique.
        observed: Name of the observed number.
        limit: Name of the policy's field, or ``zero``.
        sign: +1 the value must not exceed the limit, -1 must not fall below it.
        strict: The limit itself is a breach already.
        off_when_zero: A limit of 0 turns the row off; its input is then not required.
        required: Absence refuses; else an absent input is ``not_evaluated``.
        scope: What it is judged for.
        blocks: Which legs it refuses.
        severity: Action asked for on a breach. CANCEL, EXIT and STOP act also on a HOLD.
        resting: What happens to orders that rest.
        reason: Reason code.
        citation: The rule or practice it answers to.
    """

    name: str
    observed: str
    limit: str
    sign: int
    strict: bool
    off_when_zero: bool
    required: bool
    scope: Literal["leg", "market", "account"]
    blocks: Literal["increase", "any"]
    severity: Action
    resting: Literal["keep", "cancel_increasing", "cancel_all"]
    reason: int
    citation: str


def _row(
    name: str,
    observed: str,
    limit: str,
    reason: int,
    *,
    least: bool = False,
    strict: bool = False,
    off_when_zero: bool = True,
    required: bool = False,
    scope: Literal["leg", "market", "account"] = "market",
    severity: Action = Action.HOLD,
    resting: Literal["keep", "cancel_increasing", "cancel_all"] = "keep",
    citation: str = "practice",
) -> Guard:
    return Guard(
        name, observed, limit, -1 if least else 1, strict, off_when_zero, required, scope,
        "increase", severity, resting, reason, citation,
    )  # fmt: skip


_STOP = Action.STOP
_RTS6 = "Regulation (EU) 2017/589"
_SEC = "17 CFR 240.15c3-5"

GUARDS: tuple[Guard, ...] = (
    _row("ops_deny_actions", "ops_deny_actions", "zero", reasons.OPS_DENY_ACTIONS,
         off_when_zero=False, scope="account", severity=_STOP, resting="cancel_all",
         citation=f"{_RTS6}, Art. 12"),
    _row("ops_health_red", "ops_red", "zero", reasons.OPS_HEALTH_RED,
         off_when_zero=False, scope="account", severity=_STOP, resting="cancel_all",
         citation=f"{_RTS6}, Art. 16"),
    _row("daily_loss_stop", "daily_loss_usd", "daily_loss_stop_usd", reasons.DAILY_LOSS_STOP,
         strict=True, scope="account", severity=_STOP, resting="cancel_all"),
    _row("drawdown_stop", "drawdown_usd", "max_drawdown_stop_usd", reasons.DRAWDOWN_STOP,
         strict=True, scope="account", severity=_STOP, resting="cancel_all"),
    _row("daily_drawdown_stop", "daily_drawdown_usd", "max_daily_drawdown_usd", reasons.DAILY_DRAWDOWN_STOP,
         strict=True, scope="account", severity=_STOP, resting="cancel_all"),
    _row("equity_floor", "equity_usd", "equity_floor_usd", reasons.EQUITY_FLOOR,
         least=True, scope="account", severity=_STOP, resting="cancel_all"),
    _row("circuit_breaker", "recent_failures", "circuit_breaker_failures", reasons.CIRCUIT_BREAKER,
         strict=True, scope="account", severity=_STOP, resting="cancel_all"),
    _row("error_rate_high", "error_rate", "error_rate_max", reasons.ERROR_RATE_HIGH,
         scope="account", severity=_STOP, resting="cancel_all"),
    _row("exposure_now", "market_exposure_usd", "max_per_market_usd", reasons.EXPOSURE_CAP,
         off_when_zero=False, severity=Action.EXIT, resting="cancel_all"),
    _row("total_exposure_now", "total_exposure_usd", "max_total_exposure_usd", reasons.EXPOSURE_CAP,
         off_when_zero=False, required=True, scope="account", severity=Action.EXIT, resting="cancel_all"),
    _row("inventory_now", "abs_inventory", "max_abs_inventory", reasons.INVENTORY_CAP,
         off_when_zero=False, required=True, severity=Action.EXIT, resting="cancel_all"),
    _row("repeated_execution", "executions_in_window", "max_executions", reasons.REPEATED_EXECUTION,
         strict=True, scope="account", severity=Action.CANCEL, resting="cancel_increasing",
         citation=f"{_RTS6}, Art. 15(3)"),
    _row("stale_cancel", "staleness_ms", "stale_cancel_ms", reasons.STALENESS_EXCEEDED,
         required=True, severity=Action.CANCEL, resting="cancel_all"),
    _row("crossed", "crossed_ms", "max_crossed_ms", reasons.BOOK_CROSSED,
         severity=Action.CANCEL, resting="cancel_increasing"),
    _row("frozen", "frozen_ms", "max_frozen_ms", reasons.BOOK_FROZEN,
         severity=Action.CANCEL, resting="cancel_increasing"),
    _row("volatility_halt", "realized_vol_5m", "halt_vol_5m_bps", reasons.VOLATILITY_HALT,
         severity=Action.CANCEL, resting="cancel_increasing"),
    _row("adverse_selection_high_15", "adverse_15_ticks", "adv15_max_ticks",
         reasons.ADVERSE_SELECTION_HIGH_15, severity=Action.CANCEL, resting="cancel_increasing"),
    _row("adverse_selection_high_60", "adverse_60_ticks", "adv60_max_ticks",
         reasons.ADVERSE_SELECTION_HIGH_60, severity=Action.CANCEL, resting="cancel_increasing"),
    _row("adverse_cooldown", "adverse_cooldown_left_ms", "zero", reasons.ADVERSE_COOLDOWN,
         off_when_zero=False),
    _row("loss_streak", "consecutive_losses", "max_consecutive_losses", reasons.LOSS_STREAK,
         strict=True, scope="account", severity=Action.CANCEL, resting="cancel_increasing"),
    _row("streak_cooldown", "streak_cooldown_left_ms", "zero", reasons.STREAK_COOLDOWN,
         off_when_zero=False, scope="account"),
    _row("staleness", "staleness_ms", "staleness_ms", reasons.STALENESS_EXCEEDED,
         off_when_zero=False, required=True),
    _row("depth", "depth", "min_depth", reasons.LIQUIDITY_LOW, least=True, required=True),
    _row("spread_bps", "spread_bps", "max_spread_bps", reasons.SPREAD_WIDE,
         off_when_zero=False, required=True),
    _row("spread_ticks", "spread_ticks", "max_spread_ticks", reasons.SPREAD_WIDE, required=True),
    _row("gap", "gap_age_ms", "gap_pause_ms", reasons.FEED_GAP, least=True),
    _row("jump", "jump_bps", "max_jump_bps", reasons.MID_JUMP),
    _row("jump_noise", "jump_noise", "max_jump_noise", reasons.MID_JUMP),
    _row("volatility_pause", "volatility_pause_left_ms", "zero", reasons.VOLATILITY_PAUSE,
         off_when_zero=False),
    _row("sigma_spike", "sigma_spike_z", "sigma_spike_z_max", reasons.SIGMA_SPIKE),
    _row("cost", "edge_ticks", "min_profit_ticks", reasons.COST_INSUFFICIENT,
         least=True, off_when_zero=False),
    _row("cancel_rate", "cancels_in_window", "cancel_rate_limit", reasons.CANCEL_RATE_THROTTLE,
         strict=True, scope="account", citation=f"{_RTS6}, Art. 15(1)(d)"),
    _row("ops_cooldown", "ops_cooldown_left_ms", "zero", reasons.OPS_COOLDOWN_ACTIVE,
         off_when_zero=False, scope="account"),
    _row("rate_limited", "rate_limited_in_window", "max_429_per_window", reasons.OPS_RATE_LIMITED,
         scope="account"),
    _row("reconnects", "reconnects_in_window", "max_ws_reconnects_per_window", reasons.OPS_RECONNECTS,
         scope="account"),
    _row("answer_latency", "unanswered_ms", "max_answer_ms", reasons.BROKER_SLOW,
         scope="account"),
    _row("regime_sigma", "sigma_5m", "sigma_5m_max_bps", reasons.REGIME_SIGMA),
    _row("regime_spread", "spread_med_5m", "spread_med_5m_max_bps", reasons.REGIME_SPREAD),
    _row("regime_depth", "depth_p10_5m", "depth_p10_5m_min", reasons.REGIME_DEPTH, least=True),
    _row("regime_staleness", "staleness_max_5m", "staleness_max_5m_ms", reasons.REGIME_STALENESS),
    _row("exposure_cap", "projected_market_exposure_usd", "max_per_market_usd", reasons.EXPOSURE_CAP,
         off_when_zero=False, required=True, scope="leg", resting="cancel_increasing",
         citation=f"{_RTS6}, Art. 15(4)"),
    _row("total_exposure_cap", "projected_total_exposure_usd", "max_total_exposure_usd", reasons.EXPOSURE_CAP,
         off_when_zero=False, required=True, scope="leg", resting="cancel_increasing",
         citation=f"{_RTS6}, Art. 15(4)"),
    _row("inventory_cap", "projected_abs_inventory", "max_abs_inventory", reasons.INVENTORY_CAP,
         off_when_zero=False, required=True, scope="leg", resting="cancel_increasing"),
    _row("open_orders", "projected_open_orders", "max_open_orders", reasons.OPEN_ORDERS_CAP,
         required=True, scope="leg"),
    _row("order_value", "order_value_usd", "min_order_usd", reasons.ORDER_VALUE_LOW,
         least=True, scope="leg"),
    _row("long_cap", "projected_long", "max_long", reasons.LONG_CAP,
         required=True, scope="leg", resting="cancel_increasing", citation=f"{_RTS6}, Art. 15(4)"),
    _row("short_cap", "projected_short", "max_short", reasons.SHORT_CAP,
         required=True, scope="leg", resting="cancel_increasing", citation=f"{_RTS6}, Art. 15(4)"),
    _row("net_exposure", "projected_net_exposure_usd", "max_net_exposure_usd", reasons.NET_EXPOSURE_CAP,
         required=True, scope="leg", resting="cancel_increasing", citation=f"{_RTS6}, Art. 15(4)"),
    _row("leverage", "projected_leverage", "max_leverage", reasons.LEVERAGE_CAP,
         required=True, scope="leg", resting="cancel_increasing", citation=f"{_SEC}(c)(1)(i)"),
    _row("concentration", "projected_concentration", "max_concentration", reasons.CONCENTRATION_CAP,
         required=True, scope="leg", resting="cancel_increasing"),
    _row("allocation", "allocated_exposure_usd", "max_total_exposure_usd", reasons.ALLOCATION_RESERVED,
         off_when_zero=False, scope="leg", resting="cancel_increasing"),
    _row("allocation_orders", "allocated_open_orders", "max_open_orders", reasons.ALLOCATION_RESERVED,
         scope="leg"),
    _row("message_rate", "projected_messages", "max_messages", reasons.MESSAGE_RATE,
         scope="leg", citation=f"{_RTS6}, Art. 15(1)(d)"),
    _row("order_value_max", "wanted_value_usd", "max_order_usd", reasons.ORDER_VALUE_HIGH,
         required=True, scope="leg", citation=f"{_RTS6}, Art. 15(1)(b)"),
    _row("order_size_max", "wanted_size", "max_order_size", reasons.ORDER_SIZE_HIGH,
         required=True, scope="leg", citation=f"{_RTS6}, Art. 15(1)(c)"),
    _row("price_collar", "price_distance_bps", "price_collar_bps", reasons.PRICE_COLLAR,
         required=True, scope="leg", citation=f"{_RTS6}, Art. 15(1)(a); {_SEC}(c)(1)(ii)"),
    _row("price_collar_noise", "price_distance_noise", "price_collar_noise", reasons.PRICE_COLLAR,
         required=True, scope="leg", citation=f"{_RTS6}, Art. 15(1)(a)"),
    _row("self_trade", "self_gap_ticks", "self_trade_min_ticks", reasons.SELF_TRADE,
         least=True, required=True, scope="leg", citation="FIA best practices, self-match prevention"),
    _row("fat_finger", "size_multiple", "fat_finger_multiple", reasons.FAT_FINGER,
         scope="leg", citation=f"{_SEC}(c)(1)(ii)"),
    _row("duplicate_order", "same_order_age_ms", "duplicate_window_ms", reasons.DUPLICATE_ORDER,
         least=True, scope="leg", citation=f"{_SEC}(c)(1)(ii)"),
)  # fmt: skip
"""All rows, in the order in which refusals are reported."""

N_GUARDS = len(GUARDS)
MOST_GUARDS = 62
"""Sets of rows are bits of one whole number of 64."""
GUARD_SLOT: dict[str, int] = {guard.name: slot for slot, guard in enumerate(GUARDS)}
_ORDER = {Action.ACT: 0, Action.HOLD: 1, Action.CANCEL: 2, Action.EXIT: 3, Action.STOP: 4}

# The table as columns of numbers: what judge.py walks.
VALUE_SLOT: tuple[int, ...] = tuple(SLOT[guard.observed] for guard in GUARDS)
LIMIT_OF: tuple[int, ...] = tuple(LIMIT_SLOT[guard.limit] for guard in GUARDS)
SIGN: tuple[float, ...] = tuple(float(guard.sign) for guard in GUARDS)
STRICT: tuple[int, ...] = tuple(int(guard.strict) for guard in GUARDS)
OFF_WHEN_ZERO: tuple[int, ...] = tuple(int(guard.off_when_zero) for guard in GUARDS)
REQUIRED: tuple[int, ...] = tuple(int(guard.required) for guard in GUARDS)
SEVERITY: tuple[int, ...] = tuple(_ORDER[guard.severity] for guard in GUARDS)
MARKET_ROWS: tuple[int, ...] = tuple(i for i, guard in enumerate(GUARDS) if guard.scope != "leg")
LEG_ROWS: tuple[int, ...] = tuple(i for i, guard in enumerate(GUARDS) if guard.scope == "leg")
FIRST_LEG_ROW = N_GUARDS - len(LEG_ROWS)
"""The rows of legs stand last: row `FIRST_LEG_ROW` + k is the k-th of a leg."""
N_LEG_ROWS = len(LEG_ROWS)

ACTIONS: tuple[Action, ...] = tuple(_ORDER)
ACTION_NAMES: tuple[str, ...] = tuple(map(str, ACTIONS))
"""Actions by severity number: ACT 0 to STOP 4."""


def limits_of(policy: RiskPolicy) -> list[float]:
    """Lay the policy out as the vector that the rows' limit slots index."""
    return [0.0, *(float(getattr(policy, name)) for name in TIGHTER)]


def reason_of(slot: int, verdict: int, presence: int, source: str = "") -> str:
    """Name the reason of a refusal: the row's code, or the input that is missing or unusable."""
    if verdict == UNKNOWN:
        code = reasons.MISSING_INPUT if presence == ABSENT else reasons.INVALID_GUARD_INPUT
        return f"{reasons.NAMES[code]}:{source or OBSERVED[VALUE_SLOT[slot]].source}"
    return reasons.NAMES[GUARDS[slot].reason]


def guard_result(
    slot: int,
    verdict: int,
    value: float,
    limit: float,
    presence: int,
    *,
    refuses: bool,
    leg: int | None = None,
    source: str = "",
) -> GuardResult:
    """Build the readable row of one verdict."""
    guard = GUARDS[slot]
    known = verdict == PASS or verdict == BREACH
    return GuardResult(
        guard.name,
        VERDICTS[verdict],
        value if known else None,
        limit,
        guard.sign * (limit - value) + 0.0 if known else None,  # + 0.0: no minus zero
        OBSERVED[VALUE_SLOT[slot]].unit,
        refuses,
        Action.HOLD if verdict == UNKNOWN else guard.severity,
        reason_of(slot, verdict, presence, source),
        leg,
    )


def table() -> str:
    """Lay the guard table out as Markdown for the docs."""
    lines = [
        "| guard | value (unit) | passes when | limit | scope | asks for | resting orders | reason | rule |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for guard in GUARDS:
        observed = OBSERVED[SLOT[guard.observed]]
        sense = {(1, False): "<=", (1, True): "<", (-1, False): ">=", (-1, True): ">"}[
            guard.sign, guard.strict
        ]
        off = ", 0 = off" if guard.off_when_zero else ""
        limit = "0" if guard.limit == "zero" else f"`{guard.limit}`"
        need = ", needed" if guard.required else ""
        lines.append(
            f"| `{guard.name}` | `{observed.name}` ({observed.unit}{need}) | {sense} limit{off} | {limit} "
            f"| {guard.scope} | {guard.severity} | {guard.resting} | `{reasons.NAMES[guard.reason]}` "
            f"| {guard.citation} |"
        )
    return "\n".join(lines)
