"""The queue at one price: how many lots of others come before an order of ours.

The data show how much is displayed at a price, not who stands where. When the displayed size falls
by more than has traded, somebody cancelled; the models differ in the share of it that stood behind
us. Sizes are lots.

Source: E. Rigtorp, "Estimating order queue position", 2013; the probabilistic form after
R. Cont, A. de Larrard, "Price dynamics in a Markovian limit order market", 2013, section 2.
"""

import math
from dataclasses import dataclass

from decision_schema.instruments import GRID_TOLERANCE
from decision_schema.kernel import kernel

CONSERVATIVE, POWER, LOG, GIVEN = 0, 1, 2, 3
MAX_EXPONENT = 700.0
"""exp of more is no float."""


WHOLE = float(1 << 53)
"""From here on every float is whole."""


@dataclass(slots=True)
class QueueModel:
    """What is assumed of cancellations at our price.

    Args:
        kind: CONSERVATIVE: all stood behind us, as far as that is possible. POWER and LOG: each lot
            stood behind with the chance f(back) / (f(back) + f(front)), f(x) = x to the power of
            `power`, or log(1 + x). GIVEN: a function of the user's says, asked before the book is met
            (`sim.fill_settings.ask_shares`): it cannot be compiled.
        power: Exponent; 1 = every lot is as likely to leave, more = those at the back leave sooner
            where the back is the longer part.
    """

    kind: int = CONSERVATIVE
    power: float = 3.0


@kernel
def share_behind(kind: int, power: float, given: float, front: float, back: float) -> float:
    """Give the share of cancelled lots that stood behind us, with `front` before us and `back` behind.

    `given` is what a function of the user's said, nan = nothing; other kinds do not read it.

    >>> share_behind(CONSERVATIVE, 0.0, 0.0, 5.0, 5.0), share_behind(POWER, 1.0, 0.0, 2.0, 2.0)
    (1.0, 0.5)
    """
    if kind == CONSERVATIVE:
        return 1.0
    if back <= 0.0:
        return 0.0
    if front <= 0.0:
        return 1.0
    if kind == POWER:
        exponent = power * (math.log(front) - math.log(back))
        return 0.0 if exponent > MAX_EXPONENT else 1.0 / (1.0 + math.exp(exponent))
    if kind == LOG:
        behind = math.log1p(back)
        return behind / (behind + math.log1p(front))
    if given < 0.0:
        return 0.0
    return min(1.0, given)


@kernel
def _settle(lots: float) -> float:
    """Give the whole number of lots that is as good as meant: the last digits must not cost one."""
    if not lots < WHOLE:
        return lots
    nearest = float(math.floor(lots + 0.5))
    return nearest if abs(lots - nearest) <= GRID_TOLERANCE else lots


@kernel
def queue_after(
    kind: int, power: float, given: float, ahead: float, shown: float, traded: float, displayed: float
) -> float:
    """Give the queue ahead after the market showed a size at our price.

    Args:
        kind: What is assumed of cancellations, as in QueueModel.
        power: Likewise.
        given: Share that a function of the user's said; nan = none.
        ahead: The queue before; nan = not known.
        shown: Displayed when last seen; nan = the price was not displayed.
        traded: Traded at the price since, already taken off `ahead`.
        displayed: Displayed now; nan = the price is not displayed.

    Eight were ahead of us and four behind; six cancelled:

    >>> queue_after(CONSERVATIVE, 0.0, 0.0, 8.0, 12.0, 0.0, 6.0)
    6.0
    >>> queue_after(POWER, 1.0, 0.0, 8.0, 12.0, 0.0, 6.0)
    4.0
    """
    if ahead != ahead:
        return displayed
    before = shown - traded
    cancelled = before - displayed
    if kind != CONSERVATIVE and cancelled > 0.0 and ahead > 0.0:
        back = before - ahead if before > ahead else 0.0
        behind = share_behind(kind, power, given, ahead, back) * cancelled
        if not behind < back:
            behind = back
        left = ahead - (cancelled - behind)
        ahead = _settle(left) if left > 0.0 else 0.0
    return displayed if displayed < ahead else ahead  # noqa: FURB136 - min and nan: not the same compiled
