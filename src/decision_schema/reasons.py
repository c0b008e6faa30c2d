"""The closed list of reason codes: a number for kernels, a name for records, a text for people.

A recorded reason is the name, with its subject where it has one: ``missing_input:depth``.
"""

_REASONS: list[tuple[str, str]] = []


def _reason(name: str, text: str) -> int:
    _REASONS.append((name, text))
    return len(_REASONS) - 1


OK = _reason("ok", "nothing to remark")

# Input: the event is recorded, the market state is not changed by it.
INVALID_INPUT = _reason("invalid_input", "a field cannot be used: wrong type, not finite, or out of range")
INVALID_BID = _reason("invalid_input:bid", "the bid is no finite number, or outside the price bounds")
INVALID_ASK = _reason("invalid_input:ask", "the ask is no finite number, or outside the price bounds")
INVALID_MID = _reason(
    "invalid_input:mid", "the mid is no finite number, or outside the bounds or bid and ask"
)
INVALID_TRADE = _reason(
    "invalid_input:trades", "a trade cannot be read, or its price is outside the price bounds"
)
INVALID_SETTLEMENT = _reason(
    "invalid_input:settlement", "a settlement price is no finite number, or outside the bounds"
)
UNSUPPORTED_INPUT = _reason(
    "unsupported_input", "the event carries a part that this version does not process"
)
OVERSIZE_EVENT = _reason("oversize_event", "the event holds more than a step accepts")
CROSSED_BOOK = _reason("crossed_book", "the bid is above the ask")
LOCKED_BOOK = _reason("locked_book", "the bid equals the ask")
DUPLICATE_SEQ = _reason("duplicate_seq", "the sequence number was seen already on this channel")
OUT_OF_ORDER = _reason("out_of_order", "the event is older than the last one of this channel")
DEFECT = _reason("defect", "the source says that this row of its data cannot be used")
GAP = _reason("gap", "messages of the book were lost: its levels wait for a snapshot")
AWAITING_SNAPSHOT = _reason("awaiting_snapshot", "changes of a book of which no snapshot has come yet")
SUPERSEDED = _reason("superseded", "changes that a later snapshot of the book holds already")
PRICE_JUMP = _reason("price_jump", "the mid is 100 times the last one, or less than a 100th of it")
FUTURE_EVENT = _reason("future_event", "the venue's time is ahead of the clock by more than the allowed skew")
CAPACITY = _reason("capacity", "a fixed capacity of the state is full")
TOO_MANY_MARKETS = _reason("capacity:markets", "more markets than the state holds")
TOO_MANY_CHANNELS = _reason("capacity:channels", "more channels than the state holds")
TOO_MANY_ORDERS = _reason("capacity:orders", "more working orders than the state holds")
TOO_MANY_MARKOUTS = _reason("capacity:markouts", "more fills await their markouts than the state holds")

# Model and plan.
WARMING_UP = _reason("warming_up", "the model asked for more history first")
MODEL_ERROR = _reason("model_error", "the model raised or returned what is no proposal")
NO_MARKET = _reason("no_market", "no valid book has been seen yet")
NO_ORDER_TERMS = _reason("no_order_terms", "an ACT names no orders and cannot be completed to any")
INVALID_ORDER_TERMS = _reason("invalid_order_terms", "the proposal's orders cannot be read")
LEG_BELOW_MINIMUM = _reason("leg_below_minimum", "after rounding the size is below the instrument's minimum")
LEG_OUT_OF_BOUNDS = _reason("leg_out_of_bounds", "the price is outside the price bounds of the instrument")
LEG_NO_SHORT = _reason("leg_no_short", "the market cannot be sold short and the sale exceeds the position")
LEG_NOTHING_TO_REDUCE = _reason("leg_nothing_to_reduce", "a reduce-only order without a position to reduce")
TIMER = _reason("timer", "a timer event: the model is not asked")
QUOTE_KEPT = _reason("quote_kept", "the working orders are already the wanted ones")

# Guards.
MISSING_INPUT = _reason("missing_input", "an input that the guard needs is absent")
INVALID_GUARD_INPUT = _reason("invalid_guard_input", "an input of the guard is not a finite number")
STALENESS_EXCEEDED = _reason("staleness_exceeded", "the last valid book is older than the limit")
LIQUIDITY_LOW = _reason("liquidity_low", "the displayed depth is below the limit")
SPREAD_WIDE = _reason("spread_wide", "the spread is above the limit")
EXPOSURE_CAP = _reason("exposure_cap", "the exposure, everything working filled, would exceed the cap")
INVENTORY_CAP = _reason("inventory_cap", "the position, everything working filled, would exceed the cap")
CANCEL_RATE_THROTTLE = _reason("cancel_rate_throttle", "too many cancels and replacements in the window")
DAILY_LOSS_STOP = _reason("daily_loss_stop", "the loss since the day's anchor reached the limit")
DRAWDOWN_STOP = _reason("drawdown_stop", "the fall from the highest equity reached the limit")
EQUITY_FLOOR = _reason("equity_floor", "the equity is below the floor")
ERROR_RATE_HIGH = _reason(
    "error_rate_high", "in too many of the last steps a call to the broker, or the policy hook, failed"
)
CIRCUIT_BREAKER = _reason("circuit_breaker", "too many failures of the broker in the window")
ADVERSE_SELECTION_HIGH_15 = _reason(
    "adverse_selection_high_15", "the price moved against our fills within 15 s"
)
ADVERSE_SELECTION_HIGH_60 = _reason(
    "adverse_selection_high_60", "the price moved against our fills within 60 s"
)
ADVERSE_COOLDOWN = _reason("adverse_cooldown_active", "a pause after adverse selection has not ended")
SIGMA_SPIKE = _reason("sigma_spike", "volatility is far above its five-minute level")
COST_INSUFFICIENT = _reason(
    "cost_insufficient", "the target profit does not cover costs and the least profit"
)
OPS_DENY_ACTIONS = _reason("ops_deny_actions", "operations deny any action")
OPS_HEALTH_RED = _reason("ops_health_red", "the health of operations is red")
OPS_COOLDOWN_ACTIVE = _reason("ops_cooldown_active", "a pause set by operations has not ended")
OPS_RATE_LIMITED = _reason("ops_rate_limited", "the venue limited our request rate too often in the window")
OPS_RECONNECTS = _reason("ops_reconnects", "the market data reconnected too often in the window")
LOSS_STREAK = _reason("loss_streak", "too many losing closes in a row")
STREAK_COOLDOWN = _reason("streak_cooldown_active", "a pause after a losing streak has not ended")
OPEN_ORDERS_CAP = _reason("open_orders_cap", "too many orders would be open")
ORDER_VALUE_LOW = _reason("order_value_low", "the value of the order is below the limit")
REGIME_SIGMA = _reason("regime_sigma_high", "the five-minute volatility is above the limit")
REGIME_SPREAD = _reason("regime_spread_wide", "the five-minute median spread is above the limit")
REGIME_DEPTH = _reason("regime_depth_low", "the five-minute low depth is below the limit")
REGIME_STALENESS = _reason("regime_staleness_high", "the five-minute longest silence is above the limit")
DAILY_DRAWDOWN_STOP = _reason(
    "daily_drawdown_stop", "the fall from the day's highest equity reached the limit"
)
REPEATED_EXECUTION = _reason(
    "repeated_execution", "too many executions in the window: a person has to enable trading again"
)
BOOK_CROSSED = _reason("book_crossed", "the feed has shown a crossed or locked book for too long")
BOOK_FROZEN = _reason("book_frozen", "the displayed book has not changed for too long")
MID_JUMP = _reason("mid_jump", "one event moved the mid by more than the limit")
VOLATILITY_HALT = _reason("volatility_halt", "the realised volatility of five minutes is above the limit")
VOLATILITY_PAUSE = _reason(
    "volatility_pause_active", "a pause after a jump or a volatility halt has not ended"
)
FEED_GAP = _reason("feed_gap", "messages of the book were lost too recently")
BROKER_SLOW = _reason("broker_slow", "the broker has left a request without an answer for too long")
LONG_CAP = _reason("long_cap", "the long position, everything working filled, would exceed the cap")
SHORT_CAP = _reason("short_cap", "the short position, everything working filled, would exceed the cap")
NET_EXPOSURE_CAP = _reason(
    "net_exposure_cap", "the net exposure of the account, everything working filled, would exceed the cap"
)
LEVERAGE_CAP = _reason(
    "leverage_cap", "the exposure of the account would exceed the allowed part of its equity"
)
CONCENTRATION_CAP = _reason(
    "concentration_cap", "the exposure in this market would exceed the allowed part of the equity"
)
ALLOCATION_RESERVED = _reason(
    "allocation_reserved", "what is left of an account limit is reserved for other markets"
)
ORDER_VALUE_HIGH = _reason("order_value_high", "the value of the order is above the limit")
ORDER_SIZE_HIGH = _reason("order_size_high", "the size of the order is above the limit")
PRICE_COLLAR = _reason("price_collar", "the price of the order is too far from the mid")
SELF_TRADE = _reason("self_trade", "the order would trade with an own resting order, or come too near to it")
FAT_FINGER = _reason("fat_finger", "the order is too large beside the own recent ones")
MESSAGE_RATE = _reason(
    "message_rate", "too many messages in the window: what is left of them is kept for cancels"
)
DUPLICATE_ORDER = _reason(
    "duplicate_order", "an order of the same side, price and size was sent too recently"
)
POLICY_HOOK_ERROR = _reason("policy_hook_error", "the private policy hook failed")
INVALID_POLICY = _reason("invalid_policy", "what was handed to the guards is no risk policy")
INVALID_PROPOSAL = _reason("invalid_proposal", "what was handed to the guards is no proposal")

# Execution.
STOP_PROPOSED = _reason("stop_proposed", "the model asked for a STOP")
STOP_LATCHED = _reason("stop_latched", "a STOP holds until an operator arms again")
EXITING = _reason("exiting", "the position is being closed; no new risk until it is flat")
NOTHING_TO_EXIT = _reason("nothing_to_exit", "an EXIT without a position: the orders are pulled")
ORDER_OPEN_NO_CANCEL = _reason(
    "order_open_no_cancel", "an order rests on this side and the broker cannot cancel"
)
AWAITING_BROKER = _reason("awaiting_broker", "the order on this level awaits evidence from the broker")
REQUOTE_THROTTLED = _reason("requote_throttled", "the last replacement is too recent, or the move too small")
VENUE_INCONSISTENT = _reason("venue_inconsistent", "the venue reported what our orders cannot explain")
SESSION_CLOSED = _reason("session_closed", "the venue says that the market does not trade")
SETTLED = _reason("settled", "the market has settled")

NAMES: tuple[str, ...] = tuple(name for name, _ in _REASONS)
TEXTS: dict[str, str] = dict(_REASONS)


def table() -> str:
    """Lay the reason codes out as Markdown for the docs."""
    rows = [f"| `{name}` | {text} |" for name, text in _REASONS]
    return "\n".join(["| code | meaning |", "|---|---|", *rows])


def text_of(reason: str) -> str:
    """Explain a recorded reason in words.

    >>> text_of("missing_input:depth")
    'an input that the guard needs is absent (depth)'
    """
    if reason in TEXTS:
        return TEXTS[reason]
    name, _, subject = reason.partition(":")
    text = TEXTS.get(name, name)
    return f"{text} ({subject})" if subject else text
