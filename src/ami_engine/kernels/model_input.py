"""What a compiled model sees: the features by name, and its account.

A number that is not known is nan.
"""

import math
from dataclasses import dataclass, field

from ami_engine.kernels.features import (
    ADVERSE_15_TICKS,
    ADVERSE_60_TICKS,
    ASK_DEPTH,
    BID_DEPTH,
    COST_TICKS,
    DEPTH,
    DEPTH_P10_5M,
    IMBALANCE,
    IMBALANCE_W,
    LAST_FILL_AGE_MS,
    MARKOUT_1_TICKS,
    MARKOUT_5_TICKS,
    MARKOUT_15_TICKS,
    MARKOUT_60_TICKS,
    MICROPRICE,
    MICROPRICE_ALPHA_TICKS,
    MID,
    ORDER_FLOW_IMBALANCE,
    PRESSURE_TICKS,
    REALIZED_VOL_5M,
    SIGMA,
    SIGMA_5M,
    SIGMA_SPIKE_Z,
    SPREAD,
    SPREAD_BPS,
    SPREAD_MED_5M,
    SPREAD_TICKS,
    STALENESS_MAX_5M,
    STALENESS_MS,
    TRADE_IMBALANCE,
    TRADE_INTENSITY,
    VWAP_ASK,
    VWAP_BID,
)
from ami_engine.kernels.ledger import average_price, size_of
from ami_engine.kernels.records import Cell, EngineState, open_sizes
from decision_schema.kernel import kernel

NAN = math.nan
NS_IN_MS = 1e6
MAX_PARAMS = 16
MAX_SCORES = 8
OWN_FIELDS = ("position", "average_price", "equity", "open_buy", "open_sell")
"""Fields that depend on our own orders, beside the own features."""


@dataclass(slots=True)
class ModelInput:
    """One step as a compiled model sees it: every feature of the catalogue by name, and more.

    Args:
        now_ns: Time of the step.
        step: Its number.
        market: Number of the market in the run, in the order of appearance.
        position: Signed, in units.
        average_price: Average cost of the open position; nan = flat.
        equity: Of the account.
        open_buy: Units that working buys may still fill; likewise `open_sell`.
        tick: Price step.
        lot: Size step.
        params: The model's own numbers, as it declares them.
        scores: What its scorer gave, where it has one; nan = nothing.
    """

    mid: float = NAN
    spread: float = NAN
    spread_bps: float = NAN
    spread_ticks: float = NAN
    depth: float = NAN
    bid_depth: float = NAN
    ask_depth: float = NAN
    imbalance: float = NAN
    imbalance_w: float = NAN
    microprice: float = NAN
    microprice_alpha_ticks: float = NAN
    vwap_bid: float = NAN
    vwap_ask: float = NAN
    pressure_ticks: float = NAN
    cost_ticks: float = NAN
    sigma: float = NAN
    sigma_5m: float = NAN
    sigma_spike_z: float = NAN
    realized_vol_5m: float = NAN
    spread_med_5m: float = NAN
    depth_p10_5m: float = NAN
    staleness_max_5m: float = NAN
    staleness_ms: float = NAN
    order_flow_imbalance: float = NAN
    trade_imbalance: float = NAN
    trade_intensity: float = NAN
    markout_1_ticks: float = NAN
    markout_5_ticks: float = NAN
    markout_15_ticks: float = NAN
    markout_60_ticks: float = NAN
    adverse_15_ticks: float = NAN
    adverse_60_ticks: float = NAN
    last_fill_age_ms: float = NAN
    now_ns: int = 0
    step: int = 0
    market: int = 0
    position: float = 0.0
    average_price: float = NAN
    equity: float = NAN
    open_buy: float = 0.0
    open_sell: float = 0.0
    tick: float = NAN
    lot: float = NAN
    params: list[float] = field(default_factory=lambda: [NAN] * MAX_PARAMS)
    scores: list[float] = field(default_factory=lambda: [NAN] * MAX_SCORES)


@kernel
def show_model(x: ModelInput, state: EngineState, cell: Cell) -> None:
    """Write what the model may see of this step; `params` and `scores` stay as they are."""
    f = cell.market.features
    x.mid = f[MID]
    x.spread = f[SPREAD]
    x.spread_bps = f[SPREAD_BPS]
    x.spread_ticks = f[SPREAD_TICKS]
    x.depth = f[DEPTH]
    x.bid_depth = f[BID_DEPTH]
    x.ask_depth = f[ASK_DEPTH]
    x.imbalance = f[IMBALANCE]
    x.imbalance_w = f[IMBALANCE_W]
    x.microprice = f[MICROPRICE]
    x.microprice_alpha_ticks = f[MICROPRICE_ALPHA_TICKS]
    x.vwap_bid = f[VWAP_BID]
    x.vwap_ask = f[VWAP_ASK]
    x.pressure_ticks = f[PRESSURE_TICKS]
    x.cost_ticks = f[COST_TICKS]
    x.sigma = f[SIGMA]
    x.sigma_5m = f[SIGMA_5M]
    x.sigma_spike_z = f[SIGMA_SPIKE_Z]
    x.realized_vol_5m = f[REALIZED_VOL_5M]
    x.spread_med_5m = f[SPREAD_MED_5M]
    x.depth_p10_5m = f[DEPTH_P10_5M]
    x.staleness_max_5m = f[STALENESS_MAX_5M]
    x.staleness_ms = f[STALENESS_MS]
    x.order_flow_imbalance = f[ORDER_FLOW_IMBALANCE]
    x.trade_imbalance = f[TRADE_IMBALANCE]
    x.trade_intensity = f[TRADE_INTENSITY]
    x.markout_1_ticks = f[MARKOUT_1_TICKS]
    x.markout_5_ticks = f[MARKOUT_5_TICKS]
    x.markout_15_ticks = f[MARKOUT_15_TICKS]
    x.markout_60_ticks = f[MARKOUT_60_TICKS]
    x.adverse_15_ticks = f[ADVERSE_15_TICKS]
    x.adverse_60_ticks = f[ADVERSE_60_TICKS]
    x.last_fill_age_ms = f[LAST_FILL_AGE_MS]
    x.now_ns = state.now_ns
    x.step = state.step
    x.market = cell.index
    x.position = size_of(cell.position, cell.position.lots)
    x.average_price = average_price(cell.position)
    x.equity = state.account.equity
    x.open_buy, x.open_sell = open_sizes(cell)
    x.tick = cell.market.tick_num / cell.market.tick_den
    x.lot = cell.market.lot_num / cell.market.lot_den


@kernel
def show_scores(x: ModelInput, scores: list[list[float]], i: int) -> None:
    """Write row `i` of some scores; without any, nothing."""
    if i < len(scores):
        for j in range(len(scores[i])):
            x.scores[j] = scores[i][j]
