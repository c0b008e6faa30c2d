"""The private policy hook: ``dmc_core/_private/policy.py`` with ``override_policy``.

    def override_policy(base_policy, context):
        return msgspec.structs.replace(base_policy, max_spread_bps=200.0)

It can only tighten: each field takes the tighter of both, and a looser one leaves a flag. A hook
that is there and fails refuses all new risk; a missing file is no failure.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

from dmc_core.dmc.risk_policy import RiskPolicy, tighten

PolicyHook: TypeAlias = Callable[[RiskPolicy, Mapping[str, Any]], RiskPolicy]

HOOK_FILE = Path(__file__).resolve().parent.parent / "_private" / "policy.py"
_MODULE = "dmc_core._private.policy"


def _broken(error: BaseException) -> PolicyHook:
    def hook(_base_policy: RiskPolicy, _context: Mapping[str, Any]) -> RiskPolicy:
        if isinstance(error, Exception):
            raise error.with_traceback(None)  # else it would grow by each raise
        raise ImportError(f"the file raised {type(error).__name__}")

    return hook


def load_policy_hook(path: Path | None = None) -> PolicyHook | None:
    """Load the hook; None where nobody wrote one.

    Args:
        path: File to load, which must be there; None = ``dmc_core/_private/policy.py``, if it is.

    Returns:
        The hook. A file that cannot be loaded gives a hook that raises, so that it refuses.
    """
    file = path or HOOK_FILE
    try:
        if path is None and not file.is_file():
            return None
        hook: PolicyHook = load_source(_MODULE, file, file.read_bytes()).override_policy
    except (Exception, SystemExit) as error:  # noqa: BLE001 - user code: whatever it raises, it is broken
        return _broken(error)
    return hook


def load_source(name: str, file: Path, body: bytes) -> ModuleType:
    """Run the source of a file as a fresh module: what is in the file now, not what was cached of it."""
    module = ModuleType(name)
    module.__file__ = str(file)
    module.__package__ = name.rpartition(".")[0]
    sys.modules[name] = module  # as an import would: the classes of the file look it up
    exec(compile(body, str(file), "exec"), module.__dict__)  # noqa: S102 - the user's own file
    return module


def apply_hook(
    hook: PolicyHook | None, base: RiskPolicy, context: Mapping[str, Any]
) -> tuple[RiskPolicy, list[str], bool]:
    """Let the hook tighten a policy; it sees a copy of the context.

    Returns:
        The policy to judge by, flags, and whether the hook failed (then nothing new may go out).
    """
    if hook is None:
        return base, [], False
    try:
        other = hook(base, dict(context) if isinstance(context, Mapping) else {})
        if not isinstance(other, RiskPolicy):
            return base, [f"policy_hook_error:{type(other).__name__}"], True
        policy, looser = tighten(base, other)
    except Exception as error:  # noqa: BLE001 - user code: any failure refuses, its text is not recorded
        return base, [f"policy_hook_error:{type(error).__name__}"], True
    return policy, [f"policy_hook_looser:{field}" for field in looser], False
