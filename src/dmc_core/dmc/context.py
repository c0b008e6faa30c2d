"""What the guards see: observed numbers with their presence, and the position at stake.

`read_context` decodes the dict of `modulate` once. Nothing is taken for safe: an absent key is
absent, anything that is no finite number of the right sign is malformed. The loop fills the
same record from its state instead.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from decision_schema.kernel import kernel
from decision_schema.units import NS_PER_MS
from dmc_core.dmc.guards import ABSENT, MALFORMED, N_OBSERVED, PRESENT, SLOT
from dmc_core.dmc.risk_policy import RiskPolicy

NAN = math.nan
MAX_SKEW_MS = 1_000.0
"""A last event later than now by more than this is no time to trust."""
MAX_TIME_MS = 2.0**63 / NS_PER_MS
"""A time beyond what nanoseconds in 64 bits hold is none."""
SAME = 1e-9
"""Two given numbers that say the same thing may differ by this part."""
_POSITIVE = 5e-324


@dataclass(slots=True)
class GuardContext:
    """Observed numbers by slot, and the position and prices that legs are projected on.

    Args:
        observed: Numbers by slot of guards.OBSERVED; nan where not present.
        presence: ABSENT, PRESENT or MALFORMED by slot.
        inventory: Position in units, signed where `signed`, else its size; nan = unknown.
        signed: 1 = the sign is known; if not, every order counts as increasing.
        open_buy: Units that working buys may still fill.
        open_sell: Units that working sells may still fill.
        opens_known: 1 = those two were told; if not, every order counts as increasing.
        open_orders: Orders working in the account.
        other_exposure: Worst-case exposure of the account's other markets.
        mid, bid, ask: Last valid prices; nan = unknown.
        multiplier: Units of base in one unit of size.
        is_binary: 1 = the market settles at 0 or 1: a short then loses 1 - price.
        other_net_long: What the other markets risk on the long side less the short one, their buys filled;
            `other_net_short` the mirror, their sales filled.
        reserved_exposure: Exposure kept free for other markets; nan = the account reserves nothing.
        reserved_orders: Orders kept free for them.
        messages: Messages sent in the window of the policy.
        own_bid: Highest own buy of the market; -inf = none. `own_ask` the lowest own sale; inf = none.
        tick: Price step of the market.
        typical_size: Median size of the last own orders; nan = too few.
        projects_all: 1 = the numbers of leg rows that are rarely on stand in `observed`, too.
        market_id: The market that all this is of; empty = not told.
        sources: The input that is missing where it is another than the slot's own.
    """

    observed: list[float] = field(default_factory=lambda: [NAN] * N_OBSERVED)
    presence: list[int] = field(default_factory=lambda: [ABSENT] * N_OBSERVED)
    inventory: float = NAN
    signed: int = 1
    open_buy: float = 0.0
    open_sell: float = 0.0
    opens_known: int = 1
    open_orders: float = 0.0
    other_exposure: float = NAN
    mid: float = NAN
    bid: float = NAN
    ask: float = NAN
    multiplier: float = 1.0
    is_binary: int = 0
    other_net_long: float = NAN
    other_net_short: float = NAN
    reserved_exposure: float = NAN
    reserved_orders: float = NAN
    messages: float = NAN
    own_bid: float = NAN
    own_ask: float = NAN
    tick: float = NAN
    typical_size: float = NAN
    projects_all: int = 0
    market_id: str = ""
    sources: dict[int, str] = field(default_factory=dict)


AS_GIVEN = ("adverse_15_ticks", "adverse_60_ticks", "sigma_spike_z", "equity_usd")
"""Keys of the context that are observed numbers as they stand, of either sign ..."""
AS_GIVEN_NOT_NEGATIVE = (
    "depth",
    "spread_bps",
    "spread_ticks",
    "sigma_5m",
    "spread_med_5m",
    "depth_p10_5m",
    "staleness_max_5m",
    "recent_failures",
    "cancels_in_window",
    "consecutive_losses",
    "drawdown_usd",
    "rate_limited_in_window",
    "reconnects_in_window",
    "daily_drawdown_usd",
    "executions_in_window",
    "crossed_ms",
    "frozen_ms",
    "jump_bps",
    "jump_noise",
    "realized_vol_5m",
    "gap_age_ms",
    "unanswered_ms",
)
"""... and never negative."""


@kernel
def observe(context: GuardContext, slot: int, value: float) -> None:
    """Set an observed number; nan makes it absent."""
    context.observed[slot] = value
    context.presence[slot] = ABSENT if value != value else PRESENT


def _read(
    raw: Mapping[object, object], key: str, *, least: float = -math.inf, most: float = math.inf
) -> tuple[float, int]:
    if key not in raw:
        return NAN, ABSENT
    value = raw[key]
    if isinstance(value, bool) or not isinstance(value, int | float):
        item = getattr(value, "item", None)  # a numpy scalar is a number, too
        value = item() if callable(item) and getattr(value, "shape", None) == () else None
        if isinstance(value, bool) or not isinstance(value, int | float):
            return NAN, MALFORMED
    try:
        number = float(value)
    except OverflowError:
        return NAN, MALFORMED
    if not math.isfinite(number) or not least <= number <= most:
        return NAN, MALFORMED
    return number, PRESENT


def _worst(*presences: int) -> int:
    return MALFORMED if MALFORMED in presences else ABSENT if ABSENT in presences else PRESENT


def read_context(raw: object, policy: RiskPolicy) -> GuardContext:
    """Decode the context of `modulate`; never raises.

    Args:
        raw: The dict; anything else counts as an empty one.
        policy: Gives the error window, and costs and target where the context has none.
    """
    context = GuardContext()
    try:
        _fill(context, dict(raw) if isinstance(raw, Mapping) else {}, policy)
    except Exception:  # noqa: BLE001 - a mapping that raises on reading: nothing is proven, all refuses
        context = GuardContext()
        context.presence = [MALFORMED] * N_OBSERVED
    return context


def _put(context: GuardContext, name: str, number: float, presence: int) -> None:
    slot = SLOT[name]
    context.presence[slot] = presence
    context.observed[slot] = number if presence == PRESENT else NAN


def _fill(context: GuardContext, raw: Mapping[object, object], policy: RiskPolicy) -> None:
    def put(name: str, number: float, presence: int) -> None:
        _put(context, name, number, presence)

    now, now_here = _read(raw, "now_ms", least=0.0, most=MAX_TIME_MS)
    last, last_here = _read(raw, "last_event_ts_ms", least=0.0, most=MAX_TIME_MS)
    staleness = now - last
    here = _worst(now_here, last_here)
    put("staleness_ms", max(0.0, staleness), MALFORMED if staleness < -MAX_SKEW_MS else here)
    if now_here != PRESENT:
        context.sources[SLOT["staleness_ms"]] = "now_ms"
    for name, key in (
        ("adverse_cooldown_left_ms", "adverse_cooldown_until_ms"),
        ("streak_cooldown_left_ms", "streak_cooldown_until_ms"),
        ("ops_cooldown_left_ms", "ops_cooldown_until_ms"),
        ("volatility_pause_left_ms", "volatility_pause_until_ms"),
    ):
        until, until_here = _read(raw, key)
        put(name, max(0.0, until - now), until_here if until_here != PRESENT else now_here)

    for name in AS_GIVEN_NOT_NEGATIVE:
        put(name, *_read(raw, name, least=0.0))
    for name in AS_GIVEN:
        put(name, *_read(raw, name))

    pnl, pnl_here = _read(raw, "daily_realized_pnl_usd")
    put("daily_loss_usd", -pnl, pnl_here)
    errors, errors_here = _read(raw, "errors_in_window", least=0.0)
    steps, steps_here = _read(raw, "steps_in_window", least=0.0)
    errors_here = MALFORMED if steps_here == MALFORMED else errors_here
    window = max(1.0, steps) if steps_here == PRESENT else float(policy.error_window_steps)
    put("error_rate", errors / window, errors_here)
    cost, cost_here = _read(raw, "cost_ticks")
    target, target_here = _read(raw, "tp_ticks")
    cost = policy.cost_ticks if cost_here == ABSENT else cost
    target = policy.tp_ticks if target_here == ABSENT else target
    put("edge_ticks", target - cost, MALFORMED if MALFORMED in (cost_here, target_here) else PRESENT)

    if "ops_deny_actions" in raw:
        deny = raw["ops_deny_actions"]
        known = isinstance(deny, bool) or deny in (0, 1)
        put("ops_deny_actions", 1.0 if deny else 0.0, PRESENT if known else MALFORMED)
    if "ops_state" in raw:
        state = str(raw["ops_state"]).upper()
        put("ops_red", float(state == "RED"), PRESENT if state in ("GREEN", "YELLOW", "RED") else MALFORMED)

    _fill_position(context, raw)
    _fill_account(context, raw)
    _fill_orders(context, raw)


def _fill_position(context: GuardContext, raw: Mapping[object, object]) -> None:
    context.mid, mid_here = _read(raw, "mid", least=_POSITIVE)
    context.bid, bid_here = _read(raw, "bid", least=_POSITIVE)
    context.ask, ask_here = _read(raw, "ask", least=_POSITIVE)
    multiplier, multiplier_here = _read(raw, "multiplier", least=_POSITIVE)
    context.multiplier = multiplier if multiplier_here == PRESENT else 1.0
    kind, market_id = raw.get("kind", "linear"), raw.get("market_id", "")
    context.is_binary = int(kind == "binary")
    context.market_id = market_id if isinstance(market_id, str) else ""
    usable = MALFORMED not in (mid_here, bid_here, ask_here, multiplier_here)
    if not usable or kind not in ("linear", "binary") or context.bid > context.ask:
        _put(context, "projected_market_exposure_usd", NAN, MALFORMED)

    size, size_here = _read(raw, "abs_inventory", least=0.0)
    signed, signed_here = _read(raw, "inventory")
    open_buy, buy_here = _read(raw, "open_buy", least=0.0)
    open_sell, sell_here = _read(raw, "open_sell", least=0.0)
    bad = MALFORMED in (signed_here, buy_here, sell_here)
    if abs(abs(signed) - size) > SAME * max(abs(signed), size):  # nan, where one is not given, compares false
        bad = True
    context.signed = int(signed_here == PRESENT)
    context.opens_known = int(buy_here == PRESENT and sell_here == PRESENT)
    context.inventory = signed if context.signed == 1 else size
    context.open_buy = open_buy if buy_here == PRESENT else 0.0
    context.open_sell = open_sell if sell_here == PRESENT else 0.0
    inventory_here = MALFORMED if bad else size_here
    if inventory_here != PRESENT:
        context.inventory = NAN
    _put(context, "abs_inventory", size, inventory_here)
    _put(context, "projected_abs_inventory", NAN, inventory_here)


def _fill_account(context: GuardContext, raw: Mapping[object, object]) -> None:
    context.open_orders, orders_here = _read(raw, "open_orders", least=0.0)
    _put(context, "projected_open_orders", NAN, orders_here)
    total, total_here = _read(raw, "current_total_exposure_usd", least=0.0)
    market, market_here = _read(raw, "current_market_exposure_usd", least=0.0)
    if market > total * (1.0 + SAME):  # a part that exceeds the whole
        market_here = MALFORMED
    _put(context, "total_exposure_usd", total, total_here)
    _put(context, "projected_total_exposure_usd", NAN, total_here)
    _put(context, "market_exposure_usd", market, market_here)
    # Without this market's own part, all of the total counts as other markets': the safe side.
    known_part = market if market_here == PRESENT else 0.0
    context.other_exposure = max(0.0, total - known_part) if total_here == PRESENT else NAN
    net, net_here = _read(raw, "other_net_exposure_usd")
    context.other_net_long, context.other_net_short = net, -net
    _put(context, "projected_net_exposure_usd", NAN, net_here)
    for slot, name in (
        ("allocated_exposure_usd", "reserved_exposure_usd"),
        ("allocated_open_orders", "reserved_open_orders"),
    ):
        _put(context, slot, NAN, _read(raw, name, least=0.0)[1])
    context.reserved_exposure, _ = _read(raw, "reserved_exposure_usd", least=0.0)
    context.reserved_orders, _ = _read(raw, "reserved_open_orders", least=0.0)
    equity_here = context.presence[SLOT["equity_usd"]]
    for name in ("projected_leverage", "projected_concentration"):
        _put(context, name, NAN, equity_here)


def _fill_orders(context: GuardContext, raw: Mapping[object, object]) -> None:
    """Read what is known of our own orders."""
    context.messages, messages_here = _read(raw, "messages_in_window", least=0.0)
    _put(context, "projected_messages", NAN, messages_here)
    context.typical_size, size_here = _read(raw, "typical_order_size", least=_POSITIVE)
    _put(context, "size_multiple", NAN, size_here)
    context.tick, tick_here = _read(raw, "tick", least=_POSITIVE)
    bid, bid_here = _read(raw, "own_bid")
    ask, ask_here = _read(raw, "own_ask")
    # Without orders that work on a side there is none to meet; untold, nothing is proven.
    none_bought = bid_here == ABSENT and context.opens_known == 1 and context.open_buy == 0.0
    none_sold = ask_here == ABSENT and context.opens_known == 1 and context.open_sell == 0.0
    context.own_bid = -math.inf if none_bought else bid
    context.own_ask = math.inf if none_sold else ask
    unusable = MALFORMED in (tick_here, bid_here, ask_here)
    _put(context, "self_gap_ticks", NAN, MALFORMED if unusable else ABSENT)
    if not (none_bought or bid_here == PRESENT):
        context.sources[SLOT["self_gap_ticks"]] = "own_bid"
