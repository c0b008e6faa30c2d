"""What the agents of a simulated market are like, for four kinds of markets."""

from dataclasses import dataclass
from typing import Literal

from decision_schema.units import Price


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """The market and its agents. What `MicrostructureSim` takes as an argument is explained there.

    Args:
        mid: Price.
        spread: Price.
        tick_size: Price step.
        lot_size: Size step.
        kind: ``binary`` or ``linear``.
        maker_fee: Part of the value.
        taker_fee: Part of the value.
        depth_lots: Lots.
        trade_rate: A second.
        trade_lots: Lots.
        volatility: Spreads per square root of a second.
        informed: Part of the takers.
        impact: Spreads.
        momentum: Part of the takers that follow recent flow.
        flow_s: Memory of those, in seconds.
        branching: Takers that one taker brings about, below 1 (Hawkes 1971; about 0.7 in Bacry,
            Mastromatteo, Muzy 2015, section 4).
        excite_s: Time in which that fades by a factor e, in seconds.
        parents: Large orders that are being worked at a time, piece by piece.
        pieces: Least number of pieces of one.
        parent_tail: Exponent of their number of pieces; signs of trades then remember each other with
            exponent ``parent_tail - 1`` (Lillo, Mike, Farmer 2005).
        size_sigma: Of the logarithm of a trade's size.
        conviction: What a spread between fair value and mid adds to the probability that a new large
            order goes that way.
        reach: How far beyond where makers usually quote takers go, in spreads, and at least 2 ticks.
        touch_only: Part of the trades that take no more than the best price offers (85 % on the
            London exchange: Farmer, Gillemot, Lillo, Mike, Sen 2004).
        patient_at_best: Mean number of patient orders at the best price.
        patient_s: Mean life of a patient order, in seconds.
        width: Scale of their distance from the best price, in spreads.
        width_ticks: Least such scale, in ticks.
        tail: Exponent of that distance (1.6 in Bouchaud, Mezard, Potters 2002).
        inside: Part of the patient orders that better the best price where there is room.
        patient_lots: Their mean size, as a part of `depth_lots`.
        makers: Market makers.
        maker_rate: How often each looks at its quotes, a second.
        maker_lots: Mean size of their quotes, as a part of `depth_lots`.
        maker_step: What each quotes wider than the one before, as a part of the spread.
        tighten: Half distance of the first one's quotes, in half spreads.
        slack: How far a quote may be off before it is moved, in spreads, beside 0.75 ticks.
        lean: How far they move towards the thinner side of the book, in spreads at most (Gould,
            Bonart 2016: the imbalance tells the next move).
        spread_sigma: Of the logarithm of what they ask as spread.
        spread_s: Time in which that comes back by a factor e, in seconds.
        expect: Part of the expected sign of the next trade that makers have in their prices already, so
            that only surprises move them (Bouchaud, Farmer, Lillo 2009, section 5).
        learn_s: Time in which they learn the fair value by other means than trades, in seconds.
        vol_sigma: Of the logarithm of volatility and activity.
        vol_s: Time in which it comes back by a factor e, in seconds.
        jump_s: Mean time between news, in seconds.
        jump: Size of news, as the move of a second at usual volatility.
        home_s: Time in which the fair value is drawn back to `mid` by a factor e, in seconds.
    """

    mid: Price = 0.5
    spread: Price = 0.01
    tick_size: str = "0.001"
    lot_size: str = "1"
    kind: Literal["binary", "linear"] = "binary"
    maker_fee: float = 0.0002
    taker_fee: float = 0.001
    depth_lots: float = 20.0
    trade_rate: float = 1.0
    trade_lots: float = 12.0
    volatility: float = 0.1
    informed: float = 0.4
    impact: float = 0.18
    momentum: float = 0.2
    flow_s: float = 5.0
    branching: float = 0.45
    excite_s: float = 1.0
    parents: int = 4
    pieces: float = 4.0
    parent_tail: float = 1.5
    size_sigma: float = 1.0
    conviction: float = 0.6
    reach: float = 3.0
    touch_only: float = 0.85
    patient_at_best: float = 4.0
    patient_s: float = 6.0
    width: float = 0.5
    width_ticks: float = 3.0
    tail: float = 1.6
    inside: float = 0.03
    patient_lots: float = 0.3
    makers: int = 3
    maker_rate: float = 4.0
    maker_lots: float = 0.7
    maker_step: float = 0.15
    tighten: float = 1.5
    slack: float = 0.15
    lean: float = 0.15
    spread_sigma: float = 0.25
    spread_s: float = 5.0
    expect: float = 0.3
    learn_s: float = 30.0
    vol_sigma: float = 0.5
    vol_s: float = 60.0
    jump_s: float = 60.0
    jump: float = 3.0
    home_s: float = 3_600.0


PRESETS = {
    # A lively market like those of Betfair in play: in spreads, it moves 0.15 in a second, and by 0.15 with
    # a trade. But it has ten times their trades, so that a short run has some.
    "prediction_market": Preset(),
    # AAPL on NASDAQ, 2012-06-21, 09:30 to 10:30 (LOBSTER): spread 19.5 ticks, 1.3 taking orders a second,
    # 161 shares at the best price, 5.2 ticks a second. Fees: 0.30 cents a share, 0.20 rebate, at 585.
    "equity": Preset(
        mid=585.0,
        spread=0.195,
        tick_size="0.01",
        kind="linear",
        maker_fee=-0.0000034,
        taker_fee=0.0000051,
        depth_lots=150.0,
        trade_rate=1.3,
        trade_lots=150.0,
        volatility=0.31,
        informed=0.6,
        impact=0.33,
        momentum=0.1,
        branching=0.8,
        excite_s=0.5,
        parents=1,
        pieces=5.0,
        size_sigma=1.2,
        conviction=1.0,
        reach=1.5,
        touch_only=0.7,
        patient_s=3.0,
        patient_lots=0.5,
        maker_rate=8.0,
        maker_lots=1.2,
        tighten=2.0,
        slack=0.1,
        expect=0.4,
        vol_sigma=1.2,
        jump=6.0,
    ),
    # BTCUSDT perpetual on Binance, 2024-08-09: a spread of one tick, 16 taking orders a second, 3.8 BTC at
    # the best price and little behind it, 86 ticks a second in bursts. Fees: regular user.
    "crypto": Preset(
        mid=61_700.0,
        spread=0.1,
        tick_size="0.1",
        lot_size="0.001",
        kind="linear",
        taker_fee=0.0005,
        depth_lots=3_000.0,
        trade_rate=7.0,
        trade_lots=900.0,
        volatility=70.0,
        informed=0.2,
        impact=75.0,
        flow_s=1.0,
        branching=0.85,
        excite_s=0.2,
        parents=3,
        size_sigma=2.3,
        conviction=0.01,
        reach=60.0,
        touch_only=0.9,
        patient_at_best=3.0,
        patient_s=3.0,
        width_ticks=30.0,
        inside=0.3,
        patient_lots=0.1,
        maker_rate=30.0,
        maker_lots=0.5,
        tighten=1.0,
        slack=25.0,
        spread_sigma=0.1,
        learn_s=20.0,
        vol_sigma=1.3,
    ),
    # EURUSD at Oanda, 2014-05-08, quotes only: spread 11.5 ticks, 2.2 ticks a second with very heavy tails.
    # Sizes and trades are a guess. Quotes are moved by news rather than by trades: makers learn at once.
    "fx": Preset(
        mid=1.389,
        spread=0.000115,
        tick_size="0.00001",
        lot_size="1000",
        kind="linear",
        maker_fee=0.00002,
        taker_fee=0.00002,
        depth_lots=1_000.0,
        trade_rate=0.5,
        trade_lots=500.0,
        volatility=0.2,
        informed=0.5,
        impact=0.15,
        conviction=0.5,
        inside=0.01,
        tighten=1.6,
        slack=0.25,
        spread_sigma=0.15,
        learn_s=0.3,
        vol_sigma=1.1,
        vol_s=120.0,
        jump_s=120.0,
        jump=6.0,
    ),
}
"""By name."""
