"""The broker that a config describes, and objects of the user's that it names."""

from typing import Any

from ami_engine.adapters.recorded import expand_path
from ami_engine.config import PaperSection, RunConfig
from ami_engine.mdm.decision_engine import load_object
from ami_engine.ports import Broker
from ami_engine.security.redaction import redact_text
from ami_engine.sim.paper_broker import PaperBroker
from decision_schema.errors import ConfigError, MdmError


def make_broker(config: RunConfig) -> Broker:
    """Make the broker of ``[broker]``."""
    section = config.broker
    if section.broker != "paper":
        broker = made(section.broker, section.params, "broker.broker")
        if section.paper != PaperSection():
            raise ConfigError(f"config: broker.paper goes with the paper broker, not with {section.broker!r}")
        if not isinstance(broker, Broker):
            raise ConfigError(f"config: broker.broker gave a {type(broker).__name__}: give a Broker")
        return broker
    if section.params:
        raise ConfigError(
            "config: broker.params goes with a broker of your own; the paper broker takes [broker.paper]"
        )
    settings = {name: getattr(section.paper, name) for name in section.paper.__struct_fields__}
    if section.paper.latency_table is not None:
        settings["latency_table"] = expand_path(section.paper.latency_table)
    if ":" in section.paper.queue:
        settings["queue"] = load_object(section.paper.queue)
    try:
        return PaperBroker(**settings)
    except ConfigError as error:
        raise ConfigError(f"config: broker.paper: {error}") from None


def made(text: str, params: dict[str, Any], place: str) -> object:
    """Call the class or function that ``module:name`` names."""
    factory = load_object(text)
    if not callable(factory):
        raise ConfigError(f"config: {place} {text!r} is no class or function")
    try:
        return factory(**params)
    except MdmError:
        raise
    except TypeError as error:
        raise ConfigError(f"config: {place} {text!r} does not take these params: {error}") from None
    except Exception as error:  # noqa: BLE001 - user code: one line instead of a traceback
        words = redact_text(f"{type(error).__name__}: {error}")
        raise ConfigError(f"config: {place} {text!r} cannot be made: {words}") from None
