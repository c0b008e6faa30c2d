"""The reference model as a compiled model: quote around the fair value where half the spread pays."""

import math

from ami_engine.kernels.decision import Proposed
from ami_engine.kernels.model_input import ModelInput
from ami_engine.kernels.records import Memory
from ami_engine.kernels.score import confidence, edge_ticks
from decision_schema.kernel import kernel
from dmc_core.dmc.decide import ACT, HOLD

MIN_CONFIDENCE = 0.6

NO_TWO_SIDED_BOOK, EDGE_TOO_SMALL, EDGE_PAYS = 0, 1, 2
REASONS = ("no_two_sided_book", "edge_too_small", "edge_pays")


@kernel
def propose_reference(x: ModelInput, _memory: Memory, proposed: Proposed) -> None:
    """Propose a two-sided quote around the size-weighted mid, or hold.

    Half the spread is what a quote earns; the expected move of one sample and the lean of the book are
    what it stands to lose (formula: `score.edge_ticks`). The confidence is the logistic of the
    difference in ticks.

    >>> proposed = Proposed()
    >>> propose_reference(ModelInput(mid=0.5, spread=0.01, spread_ticks=10.0), Memory(), proposed)
    >>> proposed.action == ACT, REASONS[proposed.reason], proposed.detail, proposed.value
    (True, 'edge_pays', 5.0, 0.5)
    """
    if not (x.mid == x.mid and x.spread > 0.0 and x.spread_ticks > 0.0):
        proposed.action = HOLD
        proposed.confidence = 1.0
        proposed.reason = NO_TWO_SIDED_BOOK
        return
    tick = x.spread / x.spread_ticks
    sigma = x.sigma if x.sigma == x.sigma else 0.0
    alpha = x.microprice_alpha_ticks if x.microprice_alpha_ticks == x.microprice_alpha_ticks else 0.0
    edge = edge_ticks(x.spread_ticks, sigma * 1e-4 * math.fabs(x.mid) / tick, alpha)
    probability = confidence(edge)
    proposed.detail = edge
    if not probability >= MIN_CONFIDENCE:
        proposed.action = HOLD
        proposed.confidence = 1.0 - probability if probability == probability else 1.0
        proposed.reason = EDGE_TOO_SMALL
        return
    proposed.action = ACT
    proposed.confidence = probability
    proposed.reason = EDGE_PAYS
    proposed.value = x.microprice if x.microprice == x.microprice else x.mid
