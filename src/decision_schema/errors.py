"""The whole exception tree.

    MdmError
    ├── ConfigError            a setting is unknown, missing or out of range
    ├── ContractError          a value breaks the contract of its type      (also a ValueError)
    ├── MarketDataError        a source cannot deliver                       recoverable
    ├── BrokerError            a broker refused or cannot do what is asked   recoverable
    │   └── UnsupportedByBroker    the broker has no such operation
    ├── ModelError             a model raised or returned what is no proposal   recoverable
    └── TraceError             a trace cannot be written or read
        ├── RunExists          the run folder is there already
        └── TamperedTrace      a record does not follow from the one before

A refusal by a guard is a value, never an exception. ``recoverable`` says whether the loop may
go on after it; each message names what was wrong, the value seen, the limit and what to do.
"""

__all__ = [
    "BrokerError",
    "ConfigError",
    "ContractError",
    "MarketDataError",
    "MdmError",
    "ModelError",
    "RunExists",
    "TamperedTrace",
    "TraceError",
    "UnsupportedByBroker",
]


class MdmError(Exception):
    """Anything this project raises on purpose."""

    recoverable: bool = False


class ConfigError(MdmError):
    """A setting is unknown, missing or out of range: correct the configuration."""


class ContractError(MdmError, ValueError):
    """A value breaks the contract of its type: correct the caller."""


class MarketDataError(MdmError):
    """A source cannot deliver: the loop counts it and asks again."""

    recoverable = True


class BrokerError(MdmError):
    """A broker refused or failed: the outcome of the order is unknown until evidence comes."""

    recoverable = True


class UnsupportedByBroker(BrokerError):
    """The broker has no such operation: implement it, or run without what needs it."""


class ModelError(MdmError):
    """A model raised or returned what is no proposal: the step holds."""

    recoverable = True


class TraceError(MdmError):
    """A trace cannot be written or read."""


class RunExists(TraceError):
    """The run folder is there already: choose another run id or output folder."""


class TamperedTrace(TraceError):
    """A record does not follow from the one before it: the file was changed or cut."""
