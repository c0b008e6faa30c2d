"""The explainable reference model: quote around the fair value when half the spread pays for the risk."""

import math

from ami_engine.kernels.score import confidence, edge_ticks
from decision_schema.types import Action, Proposal

MIN_CONFIDENCE = 0.6


def propose_reference(features: dict[str, float]) -> Proposal:
    """Propose a two-sided quote around the size-weighted mid, or hold.

    Half the spread is what a quote earns; the expected move of one sample and the lean of the
    book are what it stands to lose (formula: ``kernels.score.edge_ticks``). The confidence is
    the logistic of the difference in ticks.

    Args:
        features: Needs ``mid``, ``spread`` and ``spread_ticks``; ``sigma`` and
            ``microprice_alpha_ticks`` count where they are known.

    >>> quote = propose_reference({"mid": 0.5, "spread": 0.01, "spread_ticks": 10.0})
    >>> quote.action, quote.reasons
    (<Action.ACT: 'ACT'>, ['edge_pays', 'edge 5.00 ticks'])
    """
    mid, spread, spread_ticks = features.get("mid"), features.get("spread"), features.get("spread_ticks")
    if mid is None or spread is None or spread_ticks is None or spread_ticks <= 0.0 or spread <= 0.0:
        return Proposal(action=Action.HOLD, confidence=1.0, reasons=["no_two_sided_book"])
    tick = spread / spread_ticks
    sigma_ticks = features.get("sigma", 0.0) * 1e-4 * abs(mid) / tick
    edge = edge_ticks(spread_ticks, sigma_ticks, features.get("microprice_alpha_ticks", 0.0))
    probability = confidence(edge)
    words = f"edge {edge:.2f} ticks"
    if not math.isfinite(probability) or probability < MIN_CONFIDENCE:
        return Proposal(action=Action.HOLD, confidence=1.0 - probability, reasons=["edge_too_small", words])
    value = features.get("microprice", mid)
    return Proposal(
        action=Action.ACT, confidence=probability, reasons=["edge_pays", words], params={"value": value}
    )
