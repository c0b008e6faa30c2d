"""DecisionEngine: asks the chosen model for a proposal; a failing model holds."""

import hashlib
import importlib
import inspect
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from ami_engine.mdm.kernel_model import KernelModel
from ami_engine.mdm.private_hook import Model, load_private_model
from ami_engine.mdm.reference_model import propose_reference
from ami_engine.security.redaction import redact_secrets, redact_text
from decision_schema.errors import ConfigError, ContractError
from decision_schema.packet_v2 import tag_floats
from decision_schema.types import MAX_MARGIN_TEXT, Action, Margin, Proposal
from dmc_core.dmc.policy_hook import load_source

_log = logging.getLogger(__name__)

MAX_REASONS = 16
MAX_REASON = 200
"""Most words of a model that are kept, and their longest, in characters."""


class DecisionEngine:
    """The model of a run and the rules around it.

    Choice: the given model, else the private hook, else the reference model.

    Args:
        model: A callable ``(features, **kwargs) -> Proposal``, or an object with ``propose``; or the
            text ``module:name`` or ``path/file.py:name``.
        private_path: File of the private hook; None = ``ami_engine/mdm/_private/model.py``.
        warmup_ms: Time after the first event before the model is asked.
        **params: Handed to the model as ``params``.

    >>> DecisionEngine(lambda features: None).propose({}).reasons
    ['model_error:NoneType']
    """

    def __init__(
        self,
        model: Any = None,
        *,
        private_path: str | Path | None = None,
        warmup_ms: int = 0,
        **params: Any,
    ) -> None:
        self.params = params
        self.warmup_ms = warmup_ms
        self.memory: dict[str, Any] = {}
        self.errors: dict[str, str] = {}
        self.model_id, self._model = _choose(model, None if private_path is None else Path(private_path))
        owner = getattr(self._model, "__self__", None)
        self.kernel_model: KernelModel | None = owner if isinstance(owner, KernelModel) else None
        if self.kernel_model is not None:
            self.kernel_model.values_of(params)  # a wrong one is told before the run
            if self.kernel_model.scorer is not None:
                self.kernel_model.scorer.check()
        self._accepts = _accepted_keywords(self._model)

    def propose(self, features: dict[str, float], **kwargs: Any) -> Proposal:
        """Ask the model; never raises.

        Args:
            features: Features by name; what is unknown is absent.
            **kwargs: What the loop offers: view, instrument, params, memory, event, now_ns, rng. A
                model gets those that its signature takes.

        Returns:
            Its proposal, redacted; or HOLD with ``model_error:<kind>`` where it raised or returned
            what is no proposal. The text of an exception goes to the log, redacted, once a kind.
        """
        offered = {"params": self.params, "memory": self.memory, **kwargs}
        if self._accepts is not None:
            offered = {name: value for name, value in offered.items() if name in self._accepts}
        try:
            proposal = self._model(features, **offered)
            if not isinstance(proposal, Proposal):
                return self._hold(type(proposal).__name__, None)
            if not proposal.params and not proposal.reasons and not proposal.margins:
                return proposal
            return msgspec.structs.replace(  # which checks again what the model may have changed since
                proposal,
                reasons=tag_floats(
                    [redact_text(reason)[:MAX_REASON] for reason in proposal.reasons[:MAX_REASONS]]
                ),
                params=redact_secrets(proposal.params),
                margins=[_redacted(margin) for margin in proposal.margins],
            )
        except Exception as error:  # noqa: BLE001 - user code: any failure holds
            return self._hold(type(error).__name__, error)

    def unusable(self) -> Proposal:
        """Give the HOLD that stands for an answer of a compiled model that is no proposal."""
        return self._hold("ContractError", ContractError("it raised, or its action or confidence is none"))

    def wants(self, name: str) -> bool:
        """Tell whether the model takes a keyword, so that the loop builds only what is read."""
        return self._accepts is None or name in self._accepts

    def memory_digest(self) -> str | None:
        """Give the digest of the model's declared memory; None where it is empty.

        Memory that cannot be encoded has the digest ``unencodable``.
        """
        if not self.memory:
            return None
        try:
            return hashlib.sha256(msgspec.json.encode(self.memory, order="deterministic")).hexdigest()[:16]
        except (TypeError, ValueError, RecursionError):
            return "unencodable"

    def _hold(self, kind: str, error: Exception | None) -> Proposal:
        if kind not in self.errors:
            text = "returned no Proposal" if error is None else redact_text(str(error))[:500]
            self.errors[kind] = text
            _log.warning("model %s failed: %s: %s", self.model_id, kind, text)
        return Proposal(action=Action.HOLD, confidence=0.0, reasons=[f"model_error:{kind}"])


def _redacted(margin: Margin) -> Margin:
    """Redact the words of a margin; what hides a secret may be longer than it."""
    name, unit = (redact_text(text)[:MAX_MARGIN_TEXT] for text in (margin.name, margin.unit))
    return Margin(tag_floats(name), margin.value, margin.limit, tag_floats(unit), margin.least)


def _choose(model: Any, private_path: Path | None) -> tuple[str, Model]:
    if isinstance(model, str):
        return f"model:{model}", _callable(load_object(model), model)
    if model is not None:
        name = getattr(model, "__qualname__", type(model).__qualname__)
        return f"model:{name}", _callable(model, name)
    private = load_private_model(private_path)
    if private is not None:
        function, name = private
        return name, function
    if private_path is not None:
        raise ConfigError(f"model.private_path {private_path} does not exist")
    return "reference", propose_reference.propose


def _callable(model: Any, name: str) -> Model:
    if isinstance(model, type):
        model = model()
    function: Callable[..., Any] | None = getattr(model, "propose", model)
    if not callable(function):
        raise ConfigError(
            f"model {name} is of type {type(model).__name__}: give a callable or an object with propose"
        )
    return function


def load_object(text: str) -> Any:
    """Load ``module:name`` or ``path/file.py:name``.

    Raises:
        ConfigError: The text has another form, or nothing of that name can be loaded.
    """
    place, colon, name = text.rpartition(":")
    if not colon or not place or not name:
        raise ConfigError(f"{text!r} is not of the form module:name or file.py:name")
    try:
        if place.endswith(".py"):
            path = Path(place)
            if not path.is_file():
                raise ConfigError(f"{text!r}: the file {place} does not exist")
            module: Any = load_source(f"mdm_user_{path.stem}", path, path.read_bytes())
        else:
            module = importlib.import_module(place)
    except ImportError as error:
        raise ConfigError(f"{text!r} cannot be imported: {redact_text(str(error))}") from None
    try:
        return getattr(module, name)
    except AttributeError:
        raise ConfigError(f"{text!r}: the module has no {name}") from None


def _accepted_keywords(function: Model) -> frozenset[str] | None:
    """Name the keywords a model takes; None = any."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return None
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    # The first one, whatever its name, takes the features.
    return frozenset(p.name for p in parameters[1:] if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD))
