"""The catalogue of features: name, unit, window, kind, formula, source, in the order of the vector."""

import math
from typing import Literal

import msgspec


class FeatureSpec(msgspec.Struct, frozen=True):
    """What one feature means.

    Args:
        name: Key in the dict a model gets.
        unit: Unit of its value.
        window: What it looks at: the book, the moment, or how many samples.
        kind: ``market`` = the same for everyone; ``own`` = depends on our fills.
        formula: How it is computed.
        source: Author and year, where it comes from the literature.
    """

    name: str
    unit: str
    window: str
    kind: Literal["market", "own"]
    formula: str
    source: str = ""


def _market(name: str, unit: str, window: str, formula: str, source: str = "") -> FeatureSpec:
    return FeatureSpec(name, unit, window, "market", formula, source)


def _own(name: str, unit: str, window: str, formula: str, source: str = "") -> FeatureSpec:
    return FeatureSpec(name, unit, window, "own", formula, source)


FEATURES: tuple[FeatureSpec, ...] = (
    _market("mid", "price", "book", "mid of the source, else (bid + ask) / 2"),
    _market("spread", "price", "book", "ask - bid"),
    _market("spread_bps", "bps", "book", "(10⁴ ask - 10⁴ bid) / mid; mid > 0"),
    _market("spread_ticks", "ticks", "book", "ask / tick - bid / tick"),
    _market("depth", "base", "book", "depth of the source, else bid_depth + ask_depth as far as known"),
    _market("bid_depth", "base", "book", "size of the kept bid levels, or what the source says it is"),
    _market("ask_depth", "base", "book", "size of the kept ask levels, or what the source says it is"),
    _market("imbalance", "-1 to 1", "book", "(bid_depth - ask_depth) / (bid_depth + ask_depth)"),
    _market(
        "imbalance_w",
        "-1 to 1",
        "book",
        "(B - A) / (B + A), B = sum of 2⁻ⁱ size over the bid levels i = 0, 1, …, A likewise of the asks",
    ),
    _market(
        "microprice",
        "price",
        "book",
        "(bid ask_size + ask bid_size) / (bid_size + ask_size), best levels: the size-weighted mid, "
        "not the estimator of Stoikov (2018)",
    ),
    _market("microprice_alpha_ticks", "ticks", "book", "(microprice - mid) / tick"),
    _market("vwap_bid", "price", "book", "sum of price size / sum of size over the kept bid levels"),
    _market("vwap_ask", "price", "book", "sum of price size / sum of size over the kept ask levels"),
    _market(
        "pressure_ticks",
        "ticks",
        "book",
        "(P - mid) / tick, P = (vwap_bid ask_depth + vwap_ask bid_depth) / (bid_depth + ask_depth)",
    ),
    _market(
        "cost_ticks",
        "ticks",
        "book",
        "maker fees of a round trip: 2 fee abs(mid) / tick; per unit 2 fee / (multiplier tick)",
    ),
    _market(
        "sigma",
        "bps per sample",
        "30 samples",
        "10⁴ population standard deviation of r = log(mid / mid one sample before); from 2 changes r on",
    ),
    _market("sigma_5m", "bps per sample", "300 samples", "as sigma, over the longer window"),
    _market(
        "sigma_spike_z",
        "standard deviations",
        "300 samples",
        "(sigma - mean of sigma) / standard deviation of sigma, over the sigmas of the samples; "
        "from 60 sigmas on, and only where they differ",
    ),
    _market(
        "realized_vol_5m",
        "bps",
        "300 samples",
        "10⁴ square root of the sum of r²",
        "Andersen and Bollerslev (1998)",
    ),
    _market("spread_med_5m", "bps", "300 samples", "median of spread_bps"),
    _market("depth_p10_5m", "base", "300 samples", "10th percentile of depth, linear between neighbours"),
    _market(
        "staleness_max_5m",
        "ms",
        "300 samples",
        "maximum of (time of the sample - venue time of the last book before it)",
    ),
    _market("staleness_ms", "ms", "now", "now - venue time of the last valid book"),
    _market(
        "order_flow_imbalance",
        "base",
        "9 samples + running",
        "sum over book changes of 1{b' ≥ b} q' - 1{b' ≤ b} q at the best bid (price b, size q), minus its "
        "mirror at the best ask; from the second book on; absent while a size in the window is unknown",
        "Cont, Kukanov and Stoikov (2014)",
    ),
    _market(
        "trade_imbalance",
        "-1 to 1",
        "60 samples + running",
        "(bought - sold) / (bought + sold), volumes; a trade without a side is judged against the mid before "
        "it: bought above, sold below, neither at it",
    ),
    _market(
        "trade_intensity",
        "trades per second",
        "60 samples + running",
        "trades / seconds of the window since the first book; from the first trade on",
    ),
    _own("markout_1_ticks", "ticks", "20 fills", "mean of side (mid 1 s after the fill - its price) / tick"),
    _own("markout_5_ticks", "ticks", "20 fills", "the same, 5 s after"),
    _own("markout_15_ticks", "ticks", "20 fills", "the same, 15 s after"),
    _own("markout_60_ticks", "ticks", "20 fills", "the same, 60 s after"),
    _own(
        "adverse_15_ticks",
        "ticks",
        "5 to 20 fills",
        "-mean of markouts at 15 s since a silence of 5 m; absent 5 m after the last",
    ),
    _own(
        "adverse_60_ticks",
        "ticks",
        "5 to 20 fills",
        "-mean of markouts at 60 s since a silence of 5 m; absent 5 m after the last",
    ),
    _own("last_fill_age_ms", "ms", "now", "now - time of our last fill"),
)

NAMES: tuple[str, ...] = tuple(spec.name for spec in FEATURES)
"""Names of the features, in the order of the feature vector."""


def named(values: list[float]) -> dict[str, float]:
    """Name a feature vector; what is absent (nan) is left out.

    >>> named([0.5, math.nan, 400.0])
    {'mid': 0.5, 'spread_bps': 400.0}
    """
    return {name: value for name, value in zip(NAMES, values, strict=False) if not math.isnan(value)}


def table() -> str:
    """Write the catalogue as a Markdown table, one line a feature.

    >>> print(table().splitlines()[2])
    | `mid` | price | book | market | mid of the source, else (bid + ask) / 2 |  |
    """
    lines = ["| name | unit | window | kind | formula | source |", "|---|---|---|---|---|---|"]
    for spec in FEATURES:
        cells = (f"`{spec.name}`", spec.unit, spec.window, spec.kind, spec.formula, spec.source)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
