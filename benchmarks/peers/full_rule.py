"""The full rule for a strategy compiled by numba: our features, model, plan and guards.

What is imported from the engine is compiled as it stands: the features, the markouts, the model, the
quotes, the counting windows and the judging of guard rows. What the engine keeps in objects that numba
cannot compile is written out here for one linear market: the account and the projection of the two
wanted orders on the caps (dmc_core/dmc/decide.py).
"""

import math

import numba
import numpy as np
from common import (
    INITIAL_EQUITY,
    LIMITS,
    LOT,
    MAX_INVENTORY,
    MAX_SKEW_TICKS,
    MIN_CONFIDENCE,
    SAMPLE_NS,
    TICK,
    TICK_DEN,
    TICK_NUM,
)
from compiled import compiled, record_of

from ami_engine.kernels import features, markouts, plan, score, telemetry
from dmc_core.dmc import guards
from dmc_core.dmc import judge as judging
from dmc_core.dmc.risk_policy import RiskPolicy

from decision_schema.instruments import Instrument  # isort: skip

advance_time = compiled(features.advance_time)
accept_book = compiled(features.accept_book)
accept_trade = compiled(features.accept_trade)
refresh_features = compiled(features.refresh_features)
advance_markouts = compiled(markouts.advance_markouts)
record_fill = compiled(markouts.record_fill)
refresh_own = compiled(markouts.refresh_own)
edge_ticks = compiled(score.edge_ticks)
confidence = compiled(score.confidence)
bid_ticks = compiled(plan.bid_ticks)
ask_ticks = compiled(plan.ask_ticks)
skew_ticks = compiled(plan.skew_ticks)
judge = compiled(judging.judge)
record_time = compiled(telemetry.record_time)
count_recent = compiled(telemetry.count_recent)
record_step = compiled(telemetry.record_step)

POLICY = RiskPolicy(**LIMITS)
MARKET_ROWS = np.array(guards.MARKET_ROWS)
LEG_ROWS = np.array(guards.LEG_ROWS)
BREACH, UNKNOWN = guards.BREACH, guards.UNKNOWN
ABSENT, PRESENT, MALFORMED = guards.ABSENT, guards.PRESENT, guards.MALFORMED
FEATURE_SLOTS = np.array(
    [
        (guards.SLOT[name], getattr(features, name.upper()))
        for name in (
            "staleness_ms", "depth", "spread_bps", "spread_ticks", "sigma_spike_z", "sigma_5m",
            "spread_med_5m", "depth_p10_5m", "staleness_max_5m", "adverse_15_ticks", "adverse_60_ticks",
        )
    ]
)  # fmt: skip
S_LOSS, S_DRAWDOWN, S_EQUITY = (guards.SLOT[n] for n in ("daily_loss_usd", "drawdown_usd", "equity_usd"))
S_FAILURES, S_ERRORS = guards.SLOT["recent_failures"], guards.SLOT["error_rate"]
S_MARKET, S_TOTAL = guards.SLOT["market_exposure_usd"], guards.SLOT["total_exposure_usd"]
S_INVENTORY, S_LOSSES = guards.SLOT["abs_inventory"], guards.SLOT["consecutive_losses"]
S_ADVERSE_LEFT = guards.SLOT["adverse_cooldown_left_ms"]
S_STREAK_LEFT, S_OPS_LEFT = guards.SLOT["streak_cooldown_left_ms"], guards.SLOT["ops_cooldown_left_ms"]
S_EDGE, S_CANCELS = guards.SLOT["edge_ticks"], guards.SLOT["cancels_in_window"]
S_RATE, S_RECONNECTS = guards.SLOT["rate_limited_in_window"], guards.SLOT["reconnects_in_window"]
S_P_MARKET = guards.SLOT["projected_market_exposure_usd"]
S_P_TOTAL = guards.SLOT["projected_total_exposure_usd"]
S_P_INVENTORY = guards.SLOT["projected_abs_inventory"]
S_P_OPEN, S_VALUE = guards.SLOT["projected_open_orders"], guards.SLOT["order_value_usd"]
SIGMA, ALPHA, MICROPRICE = features.SIGMA, features.MICROPRICE_ALPHA_TICKS, features.MICROPRICE
F_MID, F_SPREAD, F_SPREAD_TICKS = features.MID, features.SPREAD, features.SPREAD_TICKS
COST = features.COST_TICKS
CANCEL_WINDOW_NS = POLICY.cancel_window_ms * 1_000_000
FAILURE_WINDOW_NS = int(POLICY.circuit_breaker_window_sec * 1e9)
ERROR_STEPS = POLICY.error_window_steps
TARGET, DEFAULT_COST = float(POLICY.tp_ticks), float(POLICY.cost_ticks)
DAY_NS = 86_400_000_000_000

STATE = np.dtype(
    [
        ("position", "f8"), ("cash", "f8"), ("entry", "f8"), ("peak", "f8"), ("anchor", "f8"),
        ("day", "i8"), ("losses", "i8"), ("adverse_until", "i8"), ("streak_until", "i8"),
        ("ops_until", "i8"), ("acts", "i8"), ("refusals", "i8"),
        ("buy_ticks", "i8"), ("sell_ticks", "i8"), ("buy_allowed", "i8"), ("sell_allowed", "i8"),
    ],
    align=True,
)  # fmt: skip


def new_state() -> tuple[np.ndarray, ...]:
    """Make what the rule remembers: market, markouts, windows, account, guard vectors."""
    market = features.new_market_state(Instrument(tick_size="0.01", lot_size="1"), SAMPLE_NS)
    own = np.zeros(1, STATE)
    own["peak"] = own["anchor"] = INITIAL_EQUITY
    windows = [record_of(telemetry.TimeWindow()) for _ in range(4)]
    return (
        record_of(market),
        record_of(markouts.MarkoutState()),
        np.concatenate(windows),
        record_of(telemetry.StepWindow()),
        own,
        np.full(guards.N_OBSERVED, math.nan),
        np.full(guards.N_OBSERVED, ABSENT),
        np.array(guards.limits_of(POLICY)),
        np.full(guards.N_GUARDS, guards.OFF),
    )


@numba.njit(cache=True, error_model="numpy")
def note_fill(m, k, own, side, price, now_ns):
    """Book one fill of a lot: markout, cash, streak of losses."""
    record_fill(k, price, side, now_ns, LOT, m.book.mid)
    if own.position * side < 0.0:
        own.losses = own.losses + 1 if (price - own.entry) * side > 0.0 else 0
    else:
        held = abs(own.position)
        own.entry = (own.entry * held + price * LOT) / (held + LOT)
    own.position += side * LOT
    own.cash -= side * LOT * price


@numba.njit(cache=True, error_model="numpy")
def _set(observed, presence, slot, value):
    observed[slot] = value
    presence[slot] = PRESENT if math.isfinite(value) else MALFORMED


@numba.njit(cache=True, error_model="numpy")
def _observe(m, windows, errors, own, observed, presence, now_ns):
    """Write the observed numbers that the rows of market and account judge."""
    for i in range(len(FEATURE_SLOTS)):
        slot = FEATURE_SLOTS[i, 0]
        value = m.features[FEATURE_SLOTS[i, 1]]
        observed[slot] = value
        presence[slot] = ABSENT if math.isnan(value) else PRESENT
    mid = m.book.mid
    equity = INITIAL_EQUITY + own.cash + own.position * mid
    day = now_ns // DAY_NS
    if day != own.day:
        own.day, own.anchor = day, equity
    own.peak = max(own.peak, equity)
    at_risk = 0.0 if own.position == 0.0 else abs(own.position) * abs(mid)
    cost = m.features[COST]
    _set(observed, presence, S_LOSS, own.anchor - equity)
    _set(observed, presence, S_DRAWDOWN, own.peak - equity)
    _set(observed, presence, S_EQUITY, equity)
    _set(observed, presence, S_FAILURES, float(count_recent(windows[1], now_ns, FAILURE_WINDOW_NS)))
    _set(observed, presence, S_ERRORS, errors.errors / ERROR_STEPS)
    _set(observed, presence, S_MARKET, at_risk)
    _set(observed, presence, S_TOTAL, at_risk)
    _set(observed, presence, S_INVENTORY, abs(own.position))
    _set(observed, presence, S_ADVERSE_LEFT, max(0, own.adverse_until - now_ns) / 1e6)
    _set(observed, presence, S_LOSSES, float(own.losses))
    _set(observed, presence, S_STREAK_LEFT, max(0, own.streak_until - now_ns) / 1e6)
    _set(observed, presence, S_EDGE, TARGET - (DEFAULT_COST if math.isnan(cost) else cost))
    _set(observed, presence, S_CANCELS, float(count_recent(windows[0], now_ns, CANCEL_WINDOW_NS)))
    _set(observed, presence, S_OPS_LEFT, max(0, own.ops_until - now_ns) / 1e6)
    _set(observed, presence, S_RATE, float(count_recent(windows[2], now_ns, FAILURE_WINDOW_NS)))
    _set(observed, presence, S_RECONNECTS, float(count_recent(windows[3], now_ns, FAILURE_WINDOW_NS)))


@numba.njit(cache=True, error_model="numpy")
def _project(observed, presence, long, short, long_price, short_price, side, orders, value):
    """Write the observed numbers of the leg rows: the worst case with a leg filled, too (0 = none)."""
    long_risk = 0.0 if long <= 0.0 else long * abs(long_price)
    short_risk = 0.0 if short >= 0.0 else -short * abs(short_price)
    either = max(long_risk, short_risk)
    own = either if side == 0 else long_risk if side > 0 else short_risk
    reach = max(abs(long), abs(short)) if side == 0 else abs(long) if side > 0 else abs(short)
    _set(observed, presence, S_P_INVENTORY, reach)
    _set(observed, presence, S_P_MARKET, own)
    _set(observed, presence, S_P_TOTAL, either)
    _set(observed, presence, S_P_OPEN, orders)
    observed[S_VALUE] = value
    presence[S_VALUE] = ABSENT if math.isnan(value) else PRESENT


@numba.njit(cache=True, error_model="numpy")
def _refused(rows, verdicts):
    refused = False
    for i in rows:
        refused |= verdicts[i] == BREACH or verdicts[i] == UNKNOWN
    return refused


@numba.njit(cache=True, error_model="numpy")
def _guard(m, own, observed, presence, limits, verdicts, open_buy, open_sell):
    """Judge all rows, then each of the two wanted orders on the worst case that the first one leaves."""
    judge(MARKET_ROWS, observed, presence, limits, verdicts)
    blocked = _refused(MARKET_ROWS, verdicts)
    mid = m.book.mid
    long, short = own.position + open_buy, own.position - open_sell
    orders = (1.0 if open_buy > 0.0 else 0.0) + (1.0 if open_sell > 0.0 else 0.0)
    _project(observed, presence, long, short, mid, mid, 0, orders, math.nan)
    judge(LEG_ROWS, observed, presence, limits, verdicts)

    price = own.buy_ticks * TICK
    after, replaced = long - open_buy + LOT, open_buy > 0.0
    increases = after > 1e-9 * max(abs(long - open_buy), LOT)
    then = orders if replaced else orders + 1.0
    _project(observed, presence, after, short, max(mid, price), mid, 1, then, LOT * price)
    judge(LEG_ROWS, observed, presence, limits, verdicts)
    own.buy_allowed = 0 if increases and (blocked or _refused(LEG_ROWS, verdicts)) else 1
    if own.buy_allowed == 1:
        long, orders = max(long, after), then

    price = own.sell_ticks * TICK
    after, replaced = short + open_sell - LOT, open_sell > 0.0
    increases = after < -1e-9 * max(abs(short + open_sell), LOT)
    then = orders if replaced else orders + 1.0
    _project(observed, presence, long, after, mid, max(mid, price), -1, then, LOT * price)
    judge(LEG_ROWS, observed, presence, limits, verdicts)
    own.sell_allowed = 0 if increases and (blocked or _refused(LEG_ROWS, verdicts)) else 1
    own.refusals += (1 - own.buy_allowed) + (1 - own.sell_allowed)


@numba.njit(cache=True, error_model="numpy")
def begin(m, k, now_ns):
    """Let time pass before the row at hand changes the market."""
    advance_markouts(k, now_ns, m.book.mid, TICK_NUM, TICK_DEN)
    advance_time(m, now_ns)


@numba.njit(cache=True, error_model="numpy")
def see_quote(m, bid, ask, bid_size, ask_size, now_ns):
    """Take a quote as the new book."""
    staged = m.staged
    staged.bid, staged.ask, staged.mid = bid, ask, 0.5 * (bid + ask)
    staged.bid_depth, staged.ask_depth, staged.depth = bid_size, ask_size, bid_size + ask_size
    staged.n_bids = staged.n_asks = 1
    staged.bid_prices[0], staged.bid_sizes[0] = bid, bid_size
    staged.ask_prices[0], staged.ask_sizes[0] = ask, ask_size
    accept_book(m, now_ns)


@numba.njit(cache=True, error_model="numpy")
def decide(m, k, windows, errors, own, observed, presence, limits, verdicts, open_buy, open_sell, now_ns):
    """Write features, ask the model, plan and guard; true where the two orders are wanted."""
    refresh_features(m, now_ns)
    refresh_own(m, k, now_ns)
    record_step(errors, 0, ERROR_STEPS)
    _observe(m, windows, errors, own, observed, presence, now_ns)
    f = m.features
    mid, spread, spread_ticks = f[F_MID], f[F_SPREAD], f[F_SPREAD_TICKS]
    act = False
    if spread_ticks > 0.0 and spread > 0.0:
        sigma, alpha = f[SIGMA], f[ALPHA]
        sigma_ticks = 0.0 if math.isnan(sigma) else sigma * 1e-4 * abs(mid) / (spread / spread_ticks)
        edge = edge_ticks(spread_ticks, sigma_ticks, 0.0 if math.isnan(alpha) else alpha)
        act = confidence(edge) >= MIN_CONFIDENCE
    if not act:  # the rows are judged on a hold, too
        judge(MARKET_ROWS, observed, presence, limits, verdicts)
        long, short = own.position + open_buy, own.position - open_sell
        orders = (1.0 if open_buy > 0.0 else 0.0) + (1.0 if open_sell > 0.0 else 0.0)
        _project(observed, presence, long, short, mid, mid, 0, orders, math.nan)
        judge(LEG_ROWS, observed, presence, limits, verdicts)
        return False
    skew = skew_ticks(own.position, float(MAX_INVENTORY), MAX_SKEW_TICKS)
    half = 0.5 * (m.book.ask - m.book.bid)
    own.buy_ticks = bid_ticks(f[MICROPRICE], half, skew, m.book.ask, TICK_NUM, TICK_DEN)
    own.sell_ticks = ask_ticks(f[MICROPRICE], half, skew, m.book.bid, TICK_NUM, TICK_DEN)
    own.acts += 1
    _guard(m, own, observed, presence, limits, verdicts, open_buy, open_sell)
    return True
