"""A model written as a kernel: the same function live and, compiled, in a batch run.

@kernel_model(reasons=("edge_pays", "too_tight"), params={"least_ticks": 2.0})
def quoter(x, memory, proposed):
if not x.spread_ticks >= x.params[0]:
proposed.reason = 1
return
proposed.action, proposed.confidence, proposed.reason = ACT, 0.8, 0
proposed.value = x.microprice
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from ami_engine.kernels.decision import Proposed, Terms
from ami_engine.kernels.model_input import MAX_PARAMS, ModelInput
from ami_engine.kernels.records import MAX_MEMORY, Memory
from decision_schema.errors import ConfigError, ContractError
from decision_schema.kernel import is_kernel, kernel
from decision_schema.step_packet import ProposalRecord
from decision_schema.types import Proposal
from dmc_core.dmc.decide import ACT, STOP
from dmc_core.dmc.guards import ACTION_NAMES, ACTIONS

Propose: TypeAlias = Callable[[ModelInput, Memory, Proposed], None]


class KernelModel:
    """A model as a kernel, and the texts that go with its numbers.

    Args:
        function: Reads a ModelInput and a Memory, writes a Proposed (HOLD with confidence 0 as it comes).
        reasons: Words for ``proposed.reason``, by number.
        detail: Words for ``proposed.detail``, such as ``"edge {:.2f} ticks"``; empty = it is not shown.
        params: Names and defaults of ``x.params``, in their order; ``[model.params]`` changes them.
        memory: Names and first values of ``memory.values``, in their order.

    Raises:
        ConfigError: There are more params or memory than a kernel has room for.
    """

    def __init__(
        self,
        function: Propose,
        *,
        reasons: Sequence[str] = (),
        detail: str = "",
        params: Mapping[str, float] | None = None,
        memory: Mapping[str, float] | None = None,
    ) -> None:
        self.function: Propose = function if is_kernel(function) else kernel(function)
        self.reasons = tuple(reasons)
        self.detail = detail
        self.params = dict(params or {})
        self.memory = dict(memory or {})
        self.__name__ = function.__name__
        self.__qualname__ = function.__qualname__
        self.__module__ = function.__module__
        self.__doc__ = function.__doc__
        if len(self.params) > MAX_PARAMS or len(self.memory) > MAX_MEMORY:
            raise ConfigError(
                f"model {self.__name__}: {len(self.params)} params and {len(self.memory)} memory: give at "
                f"most {MAX_PARAMS} and {MAX_MEMORY}"
            )

    def propose(
        self, features: Mapping[str, float], params: Mapping[str, Any], memory: dict[str, Any]
    ) -> Proposal:
        """Ask the plain function by names, as any other model is asked: what is not given is nan.

        A run asks it in numbers instead; this door is for trying a model out.
        """
        x, kept, proposed = ModelInput(params=self.values_of(params)), Memory(self.first_memory()), Proposed()
        for name, value in features.items():
            if hasattr(x, name):
                setattr(x, name, value)
        for i, name in enumerate(self.memory):
            kept.values[i] = memory.get(name, kept.values[i])
        self.function(x, kept, proposed)
        memory.update(zip(self.memory, kept.values, strict=False))
        return self.proposal(proposed)

    def proposal(self, proposed: Proposed) -> Proposal:
        """Give a proposal in numbers as the one it stands for.

        Raises:
            ContractError: Its action or confidence is none.
        """
        if not ACT <= proposed.action <= STOP:
            raise ContractError(f"action is {proposed.action}: give ACT, HOLD, CANCEL, EXIT or STOP")
        return Proposal(
            action=ACTIONS[proposed.action],
            confidence=proposed.confidence,
            reasons=self.words(proposed.reason, proposed.detail),
            params=_params(proposed),
        )

    def told(self, proposed: Proposed) -> ProposalRecord:
        """Give a proposal in numbers, found to be one, as a packet tells it."""
        return ProposalRecord(
            ACTION_NAMES[proposed.action],
            float(proposed.confidence),
            self.words(proposed.reason, proposed.detail),
            _params(proposed),
        )

    def values_of(self, given: Mapping[str, Any]) -> list[float]:
        """Give the params as numbers, in their order: the given ones, else the defaults.

        A model that declares none takes any: it does not read them.

        Raises:
            ConfigError: A name is not declared, or a value is no finite number.
        """
        for name, value in given.items() if self.params else ():
            if name not in self.params:
                known = ", ".join(self.params)
                raise ConfigError(f"model {self.__name__} has no param {name!r}: it declares {known}")
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise ConfigError(f"model {self.__name__}: param {name} is {value!r}: give a finite number")
        values = [float(given.get(name, default)) for name, default in self.params.items()]
        return values + [math.nan] * (MAX_PARAMS - len(values))

    def first_memory(self) -> list[float]:
        """Give the memory of a market that the model has not seen."""
        values = [float(value) for value in self.memory.values()]
        return values + [math.nan] * (MAX_MEMORY - len(values))

    def words(self, reason: int, detail: float) -> list[str]:
        """Give the reasons of a proposal as texts."""
        words = [self.reasons[reason]] if 0 <= reason < len(self.reasons) else []
        if words and self.detail and detail == detail:
            words.append(self.detail.format(detail))
        return words


_TIFS = ("GTC", "IOC", "FOK")


def _params(proposed: Proposed) -> dict[str, Any]:
    """Give terms and value of a proposal as a model of the other kind would."""
    if proposed.has_terms:
        return {"orders": [_order(proposed.terms[i]) for i in range(proposed.n_terms)]}
    return {"value": proposed.value} if proposed.value == proposed.value else {}


def _order(terms: Terms) -> dict[str, Any]:
    """Give one order as a model of the other kind would."""
    order: dict[str, Any] = {"side": "buy" if terms.side > 0 else "sell", "level": terms.level}
    if terms.price == terms.price:
        order["price"] = terms.price
    if terms.size == terms.size:
        order["size"] = terms.size
    order["time_in_force"] = _TIFS[terms.tif]
    order["post_only"], order["reduce_only"] = bool(terms.post_only), bool(terms.reduce_only)
    if terms.ttl_ms >= 0:
        order["ttl_ms"] = terms.ttl_ms
    return order


def kernel_model(
    *,
    reasons: Sequence[str] = (),
    detail: str = "",
    params: Mapping[str, float] | None = None,
    memory: Mapping[str, float] | None = None,
) -> Callable[[Propose], KernelModel]:
    """Make a `KernelModel` of a function; the arguments are those of the class.

    >>> from dmc_core.dmc.decide import ACT
    >>> @kernel_model(reasons=("wide",), params={"least_ticks": 2.0})
    ... def wide(x, memory, proposed):
    ...     if x.spread_ticks >= x.params[0]:
    ...         proposed.action = ACT
    ...         proposed.reason = 0
    >>> wide.values_of({})[0], wide.words(0, math.nan)
    (2.0, ['wide'])
    """

    def make(function: Propose) -> KernelModel:
        return KernelModel(function, reasons=reasons, detail=detail, params=params, memory=memory)

    return make
