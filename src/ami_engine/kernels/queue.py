"""The queue at one price: how many lots of others come before an order of ours.

The data show how much is displayed at a price, not who stands where. When the displayed size falls
by more than has traded, somebody cancelled; the models differ in the share of it that stood behind
us. Sizes are lots.

Source: E. Rigtorp, "Estimating order queue position", 2013; the probabilistic form after
R. Cont, A. de Larrard, "Price dynamics in a Markovian limit order market", 2013, section 2.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from decision_schema.instruments import GRID_TOLERANCE

CONSERVATIVE, POWER, LOG, GIVEN = 0, 1, 2, 3
MAX_EXPONENT = 700.0
"""exp of more is no float."""


@dataclass(slots=True)
class QueueModel:
    """What is assumed of cancellations at our price.

    Args:
        kind: CONSERVATIVE: all stood behind us, as far as that is possible. POWER and LOG: each lot
            stood behind with the chance f(back) / (f(back) + f(front)), f(x) = x to the power of
            `power`, or log(1 + x). GIVEN: `share` says.
        power: Exponent; 1 = every lot is as likely to leave, more = those at the back leave sooner
            where the back is the longer part.
        share: Gives the share of cancelled lots that stood behind us, from 0 to 1, of the lots
            before us and behind us.
    """

    kind: int = CONSERVATIVE
    power: float = 3.0
    share: Callable[[float, float], float] | None = None


def share_behind(model: QueueModel, front: float, back: float) -> float:
    """Give the share of cancelled lots that stood behind us, with `front` before us and `back` behind.

    >>> share_behind(QueueModel(CONSERVATIVE), 5.0, 5.0), share_behind(QueueModel(POWER, 1.0), 2.0, 2.0)
    (1.0, 0.5)
    """
    if model.kind == CONSERVATIVE:
        return 1.0
    if back <= 0.0:
        return 0.0
    if front <= 0.0:
        return 1.0
    if model.kind == POWER:
        exponent = model.power * (math.log(front) - math.log(back))
        return 0.0 if exponent > MAX_EXPONENT else 1.0 / (1.0 + math.exp(exponent))
    if model.kind == LOG:
        behind = math.log1p(back)
        return behind / (behind + math.log1p(front))
    if model.share is None:
        return 1.0
    share = model.share(front, back)
    return min(1.0, max(0.0, share)) if share == share else 1.0


def _settle(lots: float) -> float:
    """Give the whole number of lots that is as good as meant: the last digits must not cost one."""
    nearest = float(math.floor(lots + 0.5))
    return nearest if abs(lots - nearest) <= GRID_TOLERANCE else lots


def queue_after(model: QueueModel, ahead: float, shown: float, traded: float, displayed: float) -> float:
    """Give the queue ahead after the market showed a size at our price.

    Args:
        model: What is assumed of cancellations.
        ahead: The queue before; nan = not known.
        shown: Displayed when last seen; nan = the price was not displayed.
        traded: Traded at the price since, already taken off `ahead`.
        displayed: Displayed now; nan = the price is not displayed.

    Eight were ahead of us and four behind; six cancelled:

    >>> queue_after(QueueModel(CONSERVATIVE), 8.0, 12.0, 0.0, 6.0)
    6.0
    >>> queue_after(QueueModel(POWER, 1.0), 8.0, 12.0, 0.0, 6.0)
    4.0
    """
    if ahead != ahead:
        return displayed
    before = shown - traded
    cancelled = before - displayed
    if model.kind != CONSERVATIVE and cancelled > 0.0 and ahead > 0.0:
        back = max(0.0, before - ahead)
        behind = min(back, share_behind(model, ahead, back) * cancelled)
        ahead = _settle(max(0.0, ahead - (cancelled - behind)))
    return displayed if displayed < ahead else ahead  # noqa: FURB136 - min and nan: not the same compiled
