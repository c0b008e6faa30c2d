"""A model for the backtests of this folder: quote both sides, farther away when the market is fast.

It is named in a config as ``model = "examples/quoter.py:quote"``, with
``params = { half_spread_bps = 1.0, per_sigma = 0.5 }``.
"""

from decision_schema.types import Action, Proposal


def quote(features, *, params):
    """Quote around the size-weighted mid; hold where a side of the book is empty.

    Params: `half_spread_bps`, the least distance of a quote from the fair value, and `per_sigma`,
    the distance added for each basis point that the mid moves in a second.
    """
    fair = features.get("microprice", features.get("mid"))
    if fair is None:
        return Proposal(action=Action.HOLD, confidence=1.0, reasons=["no_two_sided_book"])
    away_bps = params.get("half_spread_bps", 1.0) + params.get("per_sigma", 0.5) * features.get("sigma", 0.0)
    away = fair * away_bps * 1e-4
    return Proposal(
        action=Action.ACT,
        confidence=0.6,
        reasons=[f"{away_bps:.2f} bps away"],
        params={"bid": fair - away, "ask": fair + away},
    )
