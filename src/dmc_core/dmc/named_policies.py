"""Named policies: limits for a kind of market, each with the reason for its number, as TOML files."""

import difflib
import tomllib
from functools import cache
from importlib.resources import files

import msgspec

from decision_schema.errors import ConfigError
from dmc_core.dmc.risk_policy import RiskPolicy

POLICY_NAMES: tuple[str, ...] = ("crypto_perp", "equity", "fx", "binary")
"""The policies that are shipped: each is a file ``policies/<name>.toml``."""


class NamedLimit(msgspec.Struct, frozen=True):
    """One limit that a named policy sets.

    Args:
        name: Field of RiskPolicy.
        value: What the policy sets it to.
        default: What it is without the policy.
        reason: Why that number.
    """

    name: str
    value: float
    default: float
    reason: str


class NamedPolicy(msgspec.Struct, frozen=True):
    """A policy with a name, and why it is as it is.

    Args:
        name: Its name.
        about: For whom it is, and what it assumes.
        policy: All limits; those not set are the defaults.
        limits: The limits it sets, in the order of RiskPolicy.
    """

    name: str
    about: str
    policy: RiskPolicy
    limits: tuple[NamedLimit, ...]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    about: str
    limits: dict[str, int | float]
    reasons: dict[str, str]


def named_policy(name: str) -> RiskPolicy:
    """Return the limits of a named policy.

    Args:
        name: One of POLICY_NAMES.

    Raises:
        ConfigError: There is no policy of that name; the message gives the nearest and all.

    >>> named_policy("fx").max_spread_bps
    3.0
    >>> named_policy("crypto")
    Traceback (most recent call last):
    decision_schema.errors.ConfigError: unknown policy 'crypto': did you mean 'crypto_perp'? known are
    crypto_perp, equity, fx, binary
    """
    return load_named_policy(name).policy


def load_named_policy(name: str) -> NamedPolicy:
    """Return a named policy with its reasons.

    Args:
        name: One of POLICY_NAMES.

    Raises:
        ConfigError: There is no policy of that name; the message gives the nearest and all.

    >>> load_named_policy("equity").limits[0].name
    'staleness_ms'
    """
    if name not in POLICY_NAMES:
        near = difflib.get_close_matches(str(name), POLICY_NAMES, n=1, cutoff=0.5)
        hint = f" did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"unknown policy {name!r}:{hint} known are {', '.join(POLICY_NAMES)}")
    return _load(name)


@cache
def _load(name: str) -> NamedPolicy:
    text = files("dmc_core.dmc").joinpath("policies", f"{name}.toml").read_text(encoding="utf-8")
    return parse_named_policy(name, text)


def parse_named_policy(name: str, text: str) -> NamedPolicy:
    r"""Read a policy from TOML: ``about``, a table ``[limits]``, and ``[reasons]`` for each of them.

    Args:
        name: Its name.
        text: The file.

    Raises:
        ConfigError: It is no TOML, a limit is unknown or unusable, or limits and reasons do not agree.

    >>> text = 'about = "Mine."\n[limits]\nmin_depth = 2\n[reasons]\nmin_depth = "Two lots."'
    >>> parse_named_policy("mine", text).limits
    (NamedLimit(name='min_depth', value=2.0, default=1.0, reason='Two lots.'),)
    """
    try:
        file = msgspec.convert(tomllib.loads(text), _File)
        _check_names(file)
        policy = msgspec.convert(file.limits, RiskPolicy)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, ConfigError) as error:
        raise ConfigError(f"policy {name}: {error}") from None
    default = RiskPolicy()
    limits = tuple(
        NamedLimit(field, getattr(policy, field), getattr(default, field), file.reasons[field])
        for field in RiskPolicy.__struct_fields__
        if field in file.limits
    )
    return NamedPolicy(name, file.about, policy, limits)


def _check_names(file: _File) -> None:
    """Refuse a limit that is none, and one without a reason or a reason without one."""
    known = RiskPolicy.__struct_fields__
    for field in (*file.limits, *file.reasons):
        if field not in known:
            near = difflib.get_close_matches(field, known, n=1, cutoff=0.5)
            raise ConfigError(f"unknown limit {field!r}" + (f": did you mean {near[0]!r}?" if near else ""))
        if field not in file.limits:
            raise ConfigError(f"{field} has a reason but no limit")
        if not file.reasons.get(field, "").strip():
            raise ConfigError(f"{field} has no reason")
    if not file.about.strip():
        raise ConfigError("about is empty")


def number_text(value: float) -> str:
    """Write a limit without idle zeros.

    >>> number_text(150_000.0), number_text(0.4)
    ('150000', '0.4')
    """
    return str(int(value)) if value == int(value) else repr(value)


def table(name: str) -> str:
    """Lay a named policy out as Markdown for the docs: what it is for, then a row a limit.

    Args:
        name: One of POLICY_NAMES.

    Raises:
        ConfigError: There is no policy of that name.

    >>> table("equity").splitlines()[6][:35]
    '| `max_spread_bps` | 20 | 500 | The'
    """
    found = load_named_policy(name)
    lines = [found.about, "", "| limit | value | default | reason |", "|---|---|---|---|"]
    for limit in found.limits:
        value, default = number_text(limit.value), number_text(limit.default)
        lines.append(f"| `{limit.name}` | {value} | {default} | {limit.reason} |")
    return "\n".join(lines)
