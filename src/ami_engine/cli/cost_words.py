"""What the fills of a run captured, lost and cost, as lines for the terminal."""

from typing import Any

_ROLES = ("maker", "taker", "unsaid")
_LATENCY = ("entry_latency_ms", "response_latency_ms", "latency_sigma")
_MARKETS = {
    "recorded": "the market does not see our orders",
    "reactive": "the market reacts to our orders",
}
_MAX_WORDS = 300


def cost_rows(costs: dict[str, Any]) -> list[tuple[str, str]]:
    """Give the name and the text of each line; none for a run in which nothing was earned or lost.

    >>> cost_rows(
    ...     {
    ...         "profit": 0.0,
    ...         "maker": {"fills": 0},
    ...         "taker": {"fills": 0},
    ...         "unsaid": {"fills": 0},
    ...         "fill_model": {"kind": "mine", "queue": "none"},
    ...     }
    ... )
    [('fill model', 'mine, queue none')]
    """
    rows = []
    fills = sum(costs[role]["fills"] for role in _ROLES)
    if fills or costs["profit"]:
        rows.append(("costs", profit_words(costs)))
    if fills:
        rows.append(("adverse", _adverse_words(costs)))
    rows += [(role, _role_words(costs[role])) for role in _ROLES if costs[role]["fills"]]
    if costs["fill_model"]:
        rows.append(("fill model", model_words(costs["fill_model"])))
    return rows


def profit_words(costs: dict[str, Any]) -> str:
    """Say what profit is made of: signed parts that add up to it.

    >>> profit_words({"spread_captured": 2.5, "adverse_selection": {"60s": 1.0}, "inventory_pnl": 0.25,
    ...               "funding": 0.0, "fees": 0.125, "profit": 1.625})
    'captured +2.5000 of spread, gave back -1.0000 within 60 s (adverse selection), inventory +0.2500, \
fees -0.1250 = profit +1.6250'
    """
    captured, against = costs["spread_captured"], costs["adverse_selection"]["60s"]
    parts = [
        f"{'paid' if captured < 0 else 'captured'} {captured:+z.4f} of spread",
        f"gave back {-against:+z.4f} within 60 s (adverse selection)"
        if against > 0
        else f"gained {-against:+z.4f} more within 60 s (no adverse selection)",
        f"inventory {costs['inventory_pnl']:+z.4f}",
    ]
    if costs["funding"]:
        parts.append(f"funding {costs['funding']:+z.4f}")
    parts.append(f"{'rebates' if costs['fees'] < 0 else 'fees'} {-costs['fees']:+z.4f}")
    return f"{', '.join(parts)} = profit {costs['profit']:+z.4f}"


def _adverse_words(costs: dict[str, Any]) -> str:
    lost = ", ".join(f"{at} {money:+z.4f}" for at, money in costs["adverse_selection"].items())
    waiting, unpriced = costs["markouts"]["60s"]["unresolved"], costs["unpriced_fills"]
    words = f"against us after {lost}"
    if waiting:
        words += f"; {waiting} without a mid 60 s later: in inventory"
    if unpriced:
        words += f"; {unpriced} came before any mid: nothing captured"
    return words


def _role_words(role: dict[str, Any]) -> str:
    size = "" if role["volume"] is None else f"size {role['volume']:,.10g}, "
    return (
        f"{role['fills']} {'fill' if role['fills'] == 1 else 'fills'}, {size}worth {role['value']:,.4f}, "
        f"spread {role['spread_captured']:+z.4f}, fees {role['fees']:z.4f}"
    )


def model_words(model: Any) -> str:
    """Say how orders filled; what a broker of the user's says is shown as it is.

    >>> model_words({"kind": "paper", "queue": "conservative", "partial_fills": True, "market": "recorded",
    ...              "entry_latency_ms": 0.0, "response_latency_ms": 0.0, "latency_sigma": 0.0})
    'paper, queue conservative, latency none, the market does not see our orders'
    >>> model_words({"kind": "paper", "entry_latency_ms": 5.0, "response_latency_ms": 2.5,
    ...              "latency_sigma": 0.3, "market": "reactive", "partial_fills": False})
    'paper, latency 5 ms to the venue and 2.5 ms back (sigma 0.3), the market reacts to our orders, \
no partial fills'
    """
    if not isinstance(model, dict):
        return str(model)[:_MAX_WORDS]
    left = dict(model)
    words = [str(left.pop("kind"))] if "kind" in left else []
    if "queue" in left:
        words.append(f"queue {left.pop('queue')}")
    if all(isinstance(left.get(name), int | float) for name in _LATENCY):
        entry, response, sigma = (left.pop(name) for name in _LATENCY)
        table = left.pop("latency_table", None)
        words.append(_latency_words(entry, response, sigma) if table is None else f"latency from {table}")
    if left.get("market") in ("recorded", "reactive"):
        words.append(_MARKETS[left.pop("market")])
    if isinstance(left.get("partial_fills"), bool) and not left.pop("partial_fills"):
        words.append("no partial fills")
    words += [f"{name} {value}" for name, value in left.items()]
    return ", ".join(words)[:_MAX_WORDS]


def _latency_words(entry: float, response: float, sigma: float) -> str:
    if entry == 0 and response == 0:
        return "latency none"
    varies = f" (sigma {sigma:g})" if sigma else ""
    return f"latency {entry:g} ms to the venue and {response:g} ms back{varies}"
