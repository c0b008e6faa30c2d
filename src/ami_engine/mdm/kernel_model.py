"""A model written as a kernel: the same function live and, compiled, in a batch run.

@kernel_model(reasons=("edge_pays", "too_tight"), params={"least_ticks": 2.0})
def quoter(x, memory, proposed):
if not x.spread_ticks >= x.params[0]:
proposed.reason = 1
return
proposed.action, proposed.confidence, proposed.reason = ACT, 0.8, 0
proposed.value = x.microprice
"""

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from types import FunctionType
from typing import Any, TypeAlias, cast

from ami_engine.kernels.decision import Proposed, Terms
from ami_engine.kernels.features import N_FEATURES
from ami_engine.kernels.model_input import MAX_PARAMS, ModelInput
from ami_engine.kernels.records import MAX_MEMORY, Memory
from ami_engine.mdm.scorer import Scorer
from decision_schema.errors import ConfigError, ContractError
from decision_schema.kernel import is_kernel, kernel
from decision_schema.step_packet import ProposalRecord
from decision_schema.types import Proposal
from dmc_core.dmc.decide import ACT, STOP
from dmc_core.dmc.guards import ACTION_NAMES, ACTIONS

Propose: TypeAlias = Callable[[ModelInput, Memory, Proposed], None]
NO_ANSWER = -1
"""An action that is none: what stands for the answer of a model that raised, or that has no scores."""
_FIELDS = tuple(name for name in ModelInput.__slots__ if name not in ("params", "scores"))


@kernel
def ask_model(_x: ModelInput, _memory: Memory, _proposed: Proposed) -> None:
    """Stand where the model is put in."""


@kernel
def ask_caught(x: ModelInput, memory: Memory, proposed: Proposed) -> None:
    """Ask the model; where it raises there is no answer, interpreted and compiled alike."""
    try:
        ask_model(x, memory, proposed)
    except Exception:  # noqa: BLE001 - user code: any failure holds
        proposed.action = NO_ANSWER


@kernel
def ask_scored(x: ModelInput, memory: Memory, proposed: Proposed) -> None:
    """Ask the model, unless its scorer gave nothing for this row."""
    if x.scores[0] == x.scores[0]:
        try:
            ask_model(x, memory, proposed)
        except Exception:  # noqa: BLE001 - user code: any failure holds
            proposed.action = NO_ANSWER
    else:
        proposed.action = NO_ANSWER


class KernelModel:
    """A model as a kernel, and the texts that go with its numbers.

    Args:
        function: Reads a ModelInput and a Memory, writes a Proposed (HOLD with confidence 0 as it comes).
        reasons: Words for ``proposed.reason``, by number.
        detail: Words for ``proposed.detail``, such as ``"edge {:.2f} ticks"``; empty = it is not shown.
        params: Names and defaults of ``x.params``, in their order; ``[model.params]`` changes them.
        memory: Names and first values of ``memory.values``, in their order.
        scorer: Fills ``x.scores`` before the function is asked; where it fails the step holds.

    `asked` is the function as a run asks it: an exception is an answer that is none.

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
        scorer: Scorer | None = None,
    ) -> None:
        self.function: Propose = function if is_kernel(function) else kernel(function)
        self.reasons = tuple(reasons)
        self.detail = detail
        self.params = dict(params or {})
        self.memory = dict(memory or {})
        self.scorer = scorer
        self.asked: Propose = _asking(ask_caught if scorer is None else ask_scored, self.function)
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

        A run asks it in numbers instead; this door is for trying a model out, so what it raises comes
        through.

        Raises:
            ConfigError: A name is no field of a ModelInput, or a param is not declared.
            ContractError: The scorer gives no score, or the answer is no proposal.
        """
        x, kept, proposed = ModelInput(params=self.values_of(params)), Memory(self.first_memory()), Proposed()
        for name, value in features.items():
            if name not in _FIELDS:
                raise ConfigError(f"model {self.__name__}: unknown feature {name!r}: {_nearest(name)}")
            setattr(x, name, value)
        for i, name in enumerate(self.memory):
            kept.values[i] = memory.get(name, kept.values[i])
        if self.scorer is not None:
            self.show_scores(x, [getattr(x, name) for name in _FIELDS[:N_FEATURES]])
            if not x.scores[0] == x.scores[0]:
                raise ContractError(f"scorer {self.scorer.name} gives no finite score for these features")
        self.function(x, kept, proposed)
        memory.update(zip(self.memory, kept.values, strict=False))
        return self.proposal(proposed)

    def show_scores(self, x: ModelInput, features: Sequence[float]) -> None:
        """Write the scores of a feature vector, where there is a scorer."""
        if self.scorer is not None:
            for i, score in enumerate(self.scorer.score_row(features)):
                x.scores[i] = score

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


def _asking(template: Propose, model: Propose) -> Propose:
    """Give a copy of `template` that asks this model, under the model's name."""
    names = {**template.__globals__, "ask_model": model}
    copy = FunctionType(cast(FunctionType, template).__code__, names, model.__name__)
    copy.__module__, copy.__qualname__ = model.__module__, model.__qualname__
    return cast(Propose, kernel(copy))


def _nearest(name: str) -> str:
    near = difflib.get_close_matches(str(name), _FIELDS, 1)
    return f"did you mean {near[0]!r}?" if near else "docs/features.md has the list"


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
    scorer: Scorer | None = None,
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
        return KernelModel(
            function, reasons=reasons, detail=detail, params=params, memory=memory, scorer=scorer
        )

    return make
