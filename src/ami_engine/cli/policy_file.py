"""A policy as the command line names it: a named one, or a TOML file."""

import difflib
import tomllib
from pathlib import Path

from ami_engine.config import config_from_dict
from decision_schema.errors import ConfigError
from dmc_core.dmc.named_policies import POLICY_NAMES, named_policy
from dmc_core.dmc.risk_policy import RiskPolicy


def load_policy(text: str) -> RiskPolicy:
    """Load a policy by its name, or from a file.

    A file has the limits in a table ``[guards]``, as a config does (``policy`` in it names one to begin
    from), in a table ``[limits]``, as a named policy does, or by themselves.

    Raises:
        ConfigError: It is neither, or a limit is unknown or unusable.

    >>> load_policy("fx").max_spread_bps
    3.0
    """
    if text in POLICY_NAMES:
        return named_policy(text)
    file = Path(text)
    if not file.is_file():
        near = difflib.get_close_matches(text, POLICY_NAMES, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"the names are {', '.join(POLICY_NAMES)}"
        raise ConfigError(f"policy {text!r} is no file and no name: {hint}")
    try:
        raw = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"policy file {file} cannot be read: {error}") from None
    limits = raw.get("guards", raw.get("limits", raw))
    if not isinstance(limits, dict):
        raise ConfigError(f"policy file {file}: give the limits as a table [guards]")
    try:
        return config_from_dict({"guards": limits}).guards
    except ConfigError as error:
        raise ConfigError(f"policy file {file}: {error}") from None
