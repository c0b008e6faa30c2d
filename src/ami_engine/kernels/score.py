"""The reference model's confidence: does half the spread pay for the move against us?"""

import math

from decision_schema.kernel import kernel

SCALE_TICKS = 1.0
"""Edge, in ticks, that brings the confidence from 0.5 to 0.73."""


@kernel
def edge_ticks(spread_ticks: float, sigma_ticks: float, alpha_ticks: float) -> float:
    """Give what a quote at the touch earns less what it stands to lose, in ticks.

    Half the spread is earned if filled; the expected move against us over one sample is
    sigma x sqrt(2 / pi) / 2 (half the mean absolute move of a normal walk), and a book that leans
    by `alpha_ticks` moves by that much.

    Source: the trade-off of a dealer, Glosten & Milgrom (1985), section 2, in its simplest form.

    >>> round(edge_ticks(10.0, 2.0, 0.5), 3)
    3.702
    """
    return 0.5 * spread_ticks - 0.5 * sigma_ticks * 0.7978845608028654 - abs(alpha_ticks)


@kernel
def confidence(edge: float) -> float:
    """Map an edge in ticks to a probability by the logistic function.

    >>> confidence(0.0)
    0.5
    """
    if edge > 30.0 * SCALE_TICKS:
        return 1.0
    if edge < -30.0 * SCALE_TICKS:
        return 0.0
    return 1.0 / (1.0 + math.exp(-edge / SCALE_TICKS))
