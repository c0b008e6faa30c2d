"""Limits of a policy that contradict each other, or that trip never or always on what was seen."""

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from dmc_core.dmc.guards import (
    ABSENT,
    FIRST_LEG_ROW,
    GUARDS,
    N_GUARDS,
    N_OBSERVED,
    NOT_EVALUATED,
    OBSERVED,
    OFF,
    PASS,
    PRESENT,
    UNKNOWN,
    VALUE_SLOT,
    limits_of,
)
from dmc_core.dmc.judge import judge
from dmc_core.dmc.risk_policy import RiskPolicy

Kind: TypeAlias = Literal["contradiction", "always", "mostly", "never"]
ENOUGH = 20
"""Steps from which on something is said of a row."""
MOSTLY = 0.5
FAR = 10.0
"""A limit so many times beyond all that was seen will never trip on such data."""


class Finding(msgspec.Struct, frozen=True):
    """One thing that is wrong with a policy.

    Args:
        kind: ``contradiction`` between limits; on data ``always``, ``mostly`` (half of it) or ``never``.
        limits: The fields it is about.
        numbers: Their values.
        seen: What was seen.
        todo: What to do.
    """

    kind: Kind
    limits: list[str]
    numbers: list[float]
    seen: str
    todo: str


class _Rule(NamedTuple):
    limits: tuple[str, ...]
    is_wrong: Callable[[RiskPolicy], bool]
    seen: str
    todo: str


_RULES: tuple[_Rule, ...] = (
    _Rule(
        ("max_per_market_usd", "max_total_exposure_usd"),
        lambda p: p.max_per_market_usd > p.max_total_exposure_usd,
        "one market may risk more than the account: the limit of the market is never reached",
        "lower max_per_market_usd to at most max_total_exposure_usd",
    ),
    _Rule(
        ("min_order_usd", "max_per_market_usd"),
        lambda p: p.min_order_usd > min(p.max_per_market_usd, p.max_total_exposure_usd),
        "the least order risks more than the caps allow: no order can pass",
        "lower min_order_usd below max_per_market_usd and max_total_exposure_usd",
    ),
    _Rule(
        ("staleness_ms", "stale_cancel_ms"),
        lambda p: 0 < p.stale_cancel_ms < p.staleness_ms,
        "resting orders are pulled at an age at which new ones may still be placed: they go in and out",
        "raise stale_cancel_ms to at least staleness_ms",
    ),
    _Rule(
        ("staleness_ms", "staleness_max_5m_ms"),
        lambda p: 0 < p.staleness_max_5m_ms < p.staleness_ms,
        "a silence that staleness_ms lets pass closes the market for five minutes",
        "raise staleness_max_5m_ms to at least staleness_ms",
    ),
    _Rule(
        ("spread_med_5m_max_bps", "max_spread_bps"),
        lambda p: p.spread_med_5m_max_bps > 0 and p.spread_med_5m_max_bps >= p.max_spread_bps,
        "a median beyond it means that half of the books were refused by max_spread_bps already",
        "lower spread_med_5m_max_bps below max_spread_bps, or set it to 0 (off)",
    ),
    _Rule(
        ("max_drawdown_stop_usd", "daily_loss_stop_usd"),
        lambda p: 0 < p.max_drawdown_stop_usd < p.daily_loss_stop_usd,
        "the fall from the highest equity is at least the day's loss: the daily stop never comes first",
        "raise max_drawdown_stop_usd above daily_loss_stop_usd",
    ),
    _Rule(
        ("max_spread_ticks",),
        lambda p: 0 < p.max_spread_ticks < 1,
        "a spread is one tick at least: every book is refused",
        "raise max_spread_ticks to 1 or more, or set it to 0 (off)",
    ),
    _Rule(
        ("max_open_orders",),
        lambda p: p.max_open_orders == 1,
        "a quote has two sides: the second order is refused",
        "raise max_open_orders to 2 or more for each market",
    ),
    _Rule(
        ("cancel_rate_limit", "cancel_window_ms", "throttle_refresh_ms"),
        lambda p: 0 < p.cancel_rate_limit <= 2 * (p.cancel_window_ms // max(1, p.throttle_refresh_ms)),
        "two sides of one market, requoted at every throttle, reach the limit on cancels",
        "raise throttle_refresh_ms above 2 x cancel_window_ms / cancel_rate_limit, or cancel_rate_limit",
    ),
    _Rule(
        ("tp_ticks", "cost_ticks", "min_profit_ticks"),
        lambda p: p.tp_ticks - p.cost_ticks < p.min_profit_ticks,
        "the target less the cost is below the least profit: where fees are not known, all is refused",
        "raise tp_ticks to at least cost_ticks + min_profit_ticks",
    ),
    _Rule(
        ("adverse_cooldown_ms", "adv15_max_ticks", "adv60_max_ticks"),
        lambda p: p.adverse_cooldown_ms > 0 and p.adv15_max_ticks == 0 == p.adv60_max_ticks,
        "the pause after adverse selection never starts: both its guards are off",
        "set adv15_max_ticks or adv60_max_ticks, or adverse_cooldown_ms to 0",
    ),
    _Rule(
        ("max_consecutive_losses", "streak_cooldown_ms"),
        lambda p: p.max_consecutive_losses > 0 and p.streak_cooldown_ms == 0,
        "a losing streak starts a pause of no length",
        "give streak_cooldown_ms a length, or set max_consecutive_losses to 0 (off)",
    ),
    _Rule(
        ("quote_ttl_ms", "throttle_refresh_ms"),
        lambda p: 0 < p.quote_ttl_ms < p.throttle_refresh_ms,
        "quotes age out before they may be replaced",
        "raise quote_ttl_ms to at least throttle_refresh_ms",
    ),
    _Rule(
        ("error_rate_max", "error_window_steps"),
        lambda p: 0 < p.error_rate_max * p.error_window_steps < 1,
        "a single error in the window is above the rate: the first one stops the run",
        "raise error_rate_max to at least 1 / error_window_steps, or the window",
    ),
    _Rule(
        ("error_rate_max",),
        lambda p: p.error_rate_max >= 1,
        "no more than every step can fail: it never trips",
        "lower error_rate_max below 1, or set it to 0 (off)",
    ),
    *(
        _Rule(
            (name,),
            lambda p, name=name: getattr(p, name) == 0,  # type: ignore[misc]
            f'0 is no "off" here: {words}',
            f"give {name} a number above 0",
        )
        for name, words in (
            ("max_abs_inventory", "no position may be taken"),
            ("max_per_market_usd", "no position may be taken"),
            ("max_total_exposure_usd", "no position may be taken"),
            ("max_spread_bps", "every spread is refused"),
        )
    ),
)


def contradictions(policy: RiskPolicy) -> list[Finding]:
    """Find limits that contradict each other, or that let nothing or everything through by themselves.

    >>> contradictions(RiskPolicy())
    []
    >>> contradictions(RiskPolicy(max_per_market_usd=20.0))[0].limits
    ['max_per_market_usd', 'max_total_exposure_usd']
    """
    return [
        Finding(
            "contradiction",
            list(rule.limits),
            [float(getattr(policy, name)) for name in rule.limits],
            rule.seen,
            rule.todo,
        )
        for rule in _RULES
        if rule.is_wrong(policy)
    ]


class RowsSeen:
    """What the rows of the market and the account make of observed numbers under a policy.

    Args:
        policy: The limits.

    >>> seen, values = RowsSeen(RiskPolicy(max_spread_bps=5.0)), [math.nan] * N_OBSERVED
    >>> values[next(i for i, o in enumerate(OBSERVED) if o.name == "spread_bps")] = 40.0
    >>> for _ in range(ENOUGH):
    ...     seen.take(values)
    >>> [(found.kind, found.limits) for found in seen.findings() if "max_spread_bps" in found.limits]
    [('always', ['max_spread_bps'])]
    """

    def __init__(self, policy: RiskPolicy) -> None:
        self._limits = limits_of(policy)
        self._policy = policy
        self._verdicts = [OFF] * N_GUARDS
        self.steps = 0
        self.low = [math.inf] * N_OBSERVED
        self.high = [-math.inf] * N_OBSERVED
        self.known = [0] * N_OBSERVED
        self.passed = [0] * FIRST_LEG_ROW
        self.unknown = [0] * FIRST_LEG_ROW
        self.unasked = [0] * FIRST_LEG_ROW

    def take(self, observed: Sequence[float]) -> None:
        """Judge one step's observed numbers, by slot; nan = not known."""
        values = list(observed)
        presence = [PRESENT if value - value == 0.0 else ABSENT for value in values]
        judge(0, FIRST_LEG_ROW, values, presence, self._limits, self._verdicts)
        self.steps += 1
        for slot, value in enumerate(values):
            if presence[slot] == PRESENT:
                self.known[slot] += 1
                self.low[slot] = min(self.low[slot], value)
                self.high[slot] = max(self.high[slot], value)
        for row in range(FIRST_LEG_ROW):
            verdict = self._verdicts[row]
            self.passed[row] += verdict == PASS
            self.unknown[row] += verdict == UNKNOWN
            self.unasked[row] += verdict in (OFF, NOT_EVALUATED)

    def findings(self) -> list[Finding]:
        """Give the limits of market data that trip always, mostly or never; of others, always or mostly."""
        found = []
        for row in range(FIRST_LEG_ROW):
            asked = self.steps - self.unasked[row]
            if asked >= ENOUGH and GUARDS[row].limit != "zero":
                finding = self._finding(row, asked)
                if finding is not None:
                    found.append(finding)
        return found

    def _finding(self, row: int, asked: int) -> Finding | None:
        guard, slot = GUARDS[row], VALUE_SLOT[row]
        limit = float(getattr(self._policy, guard.limit))
        observed = OBSERVED[slot]
        if self.unknown[row] == asked:
            off = f"set {guard.limit} to 0 (off), or " if guard.off_when_zero else ""
            return Finding(
                "always", [guard.limit], [limit], f"{observed.name} is never known: {guard.name} refuses all",
                f"{off}use data that have it",
            )  # fmt: skip
        low, high = self.low[slot], self.high[slot]
        span = f"{observed.name} was {low:.6g} to {high:.6g} {observed.unit} in {asked} steps"
        refused = asked - self.passed[row]
        way, enough = ("raise", high) if guard.sign > 0 else ("lower", low)
        if refused >= MOSTLY * asked:
            kind: Kind = "always" if refused == asked else "mostly"
            part = 100.0 * refused / asked
            return Finding(
                kind, [guard.limit], [limit], f"{span}; {guard.name} refused {part:.3g} %",
                f"{way} {guard.limit}; at {enough:.6g} all of it passes",
            )  # fmt: skip
        is_data = guard.scope == "market" and observed.name in _OF_DATA
        far = high * FAR < limit if guard.sign > 0 else low > limit * FAR
        if is_data and far and refused == 0:
            near = "lower" if guard.sign > 0 else "raise"
            return Finding(
                "never",
                [guard.limit],
                [limit],
                span,
                f"{near} {guard.limit} if it shall guard against such data",
            )
        return None


_OF_DATA = frozenset(
    {
        "depth", "spread_bps", "spread_ticks", "sigma_spike_z", "sigma_5m", "spread_med_5m", "depth_p10_5m",
        "staleness_max_5m",
    }
)  # fmt: skip
"""Numbers that come from the market alone."""


def grid_findings(policy: RiskPolicy, tick: float, low: float, high: float) -> list[Finding]:
    """Find a limit on the spread that a grid of prices makes meaningless.

    Args:
        policy: The limits.
        tick: Least step of prices.
        low: Lowest mid seen.
        high: Highest.

    >>> grid_findings(RiskPolicy(max_spread_bps=500.0), 0.01, 0.05, 0.60)[0].seen
    'one tick of 0.01 is 2000 bps at the lowest mid 0.05: a spread of one tick is refused below 0.2'
    """
    limit = policy.max_spread_bps
    if not (low > 0.0 and limit > 0.0 and tick / low * 1e4 > limit):
        return []
    below = tick * 1e4 / limit
    widest = tick / low * 1e4
    return [
        Finding(
            "always" if high < below else "mostly",
            ["max_spread_bps"],
            [limit],
            f"one tick of {tick:.6g} is {widest:.6g} bps at the lowest mid {low:.6g}: a spread of one tick "
            f"is refused below {below:.6g}",
            f"raise max_spread_bps to {widest:.6g}, use max_spread_ticks instead, or keep out of such prices",
        )
    ]


def interval_findings(
    policy: RiskPolicy, median_ms: float, p95_ms: float, longest_ms: float
) -> list[Finding]:
    """Find limits on the age of the book that the usual wait between two books exceeds.

    >>> interval_findings(RiskPolicy(staleness_ms=1000), 2500.0, 9000.0, 60000.0)[0].kind
    'always'
    """
    found = []
    for name in ("staleness_ms", "stale_cancel_ms"):
        limit = float(getattr(policy, name))
        if (name == "stale_cancel_ms" and limit == 0.0) or limit >= p95_ms:
            continue
        found.append(
            Finding(
                "always" if limit < median_ms else "mostly",
                [name],
                [limit],
                f"between two books {median_ms:.6g} ms pass in half of the cases, {p95_ms:.6g} in 5 %, at "
                f"most {longest_ms:.6g}: with timers, a book is too old in much of the time",
                f"raise {name} to {p95_ms:.6g} or more, or use a feed that tells more often",
            )
        )
    if policy.staleness_ms > FAR * longest_ms > 0.0:
        found.append(
            Finding(
                "never", ["staleness_ms"], [float(policy.staleness_ms)],
                f"the longest wait between two books was {longest_ms:.6g} ms",
                f"lower staleness_ms to a few times {p95_ms:.6g}, so that it notices a lost feed",
            )
        )  # fmt: skip
    return found


def size_findings(policy: RiskPolicy, least_usd: float) -> list[Finding]:
    """Find caps that not even the smallest order fits under.

    Args:
        policy: The limits.
        least_usd: What one lot, or the least size of the venue, puts at risk at the lowest mid.

    >>> size_findings(RiskPolicy(max_per_market_usd=5.0), 61.8)[0].limits
    ['max_per_market_usd']
    """
    return [
        Finding(
            "always",
            [name],
            [float(getattr(policy, name))],
            f"the smallest order of the instrument puts {least_usd:.6g} at risk: none fits",
            f"raise {name} above {least_usd:.6g}, in proportion to the account",
        )
        for name in ("max_per_market_usd", "max_total_exposure_usd")
        if getattr(policy, name) < least_usd
    ]
