"""``mdm policy list`` and ``mdm policy show``."""

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dmc_core.dmc.guards import GUARDS
from dmc_core.dmc.named_policies import POLICY_NAMES, load_named_policy, number_text


def list_policies(*, json: bool) -> int:
    """Print the named policies and what each is for.

    Args:
        json: Print one list of ``name`` and ``about``, and nothing else.

    Returns:
        The exit code, 0.
    """
    console = Console(highlight=False, soft_wrap=True)
    found = [load_named_policy(name) for name in POLICY_NAMES]
    if json:
        rows = [{"name": policy.name, "about": policy.about} for policy in found]
        console.out(msgspec.json.encode(rows).decode(), highlight=False)
        return 0
    width = max(map(len, POLICY_NAMES))
    for policy in found:
        console.print(Text.assemble((f"{policy.name:<{width}}", "bold"), f"  {policy.about}"))
    return 0


def show_policy(name: str, *, json: bool) -> int:
    """Print a named policy: each limit, its default and why it is what it is.

    Args:
        name: Its name.
        json: Print the policy as one object, and nothing else; ``policy`` in it has all limits.

    Returns:
        The exit code, 0.

    Raises:
        ConfigError: There is no policy of that name.
    """
    found = load_named_policy(name)
    console = Console(highlight=False)
    if json:
        console.out(msgspec.json.encode(found).decode(), highlight=False)
        return 0
    console.print(Text(found.about))
    rows = Table(box=None, pad_edge=False)
    rows.add_column("limit", no_wrap=True)
    rows.add_column("value", justify="right")
    rows.add_column("default", justify="right")
    rows.add_column("reason", overflow="fold")
    for limit in found.limits:
        rows.add_row(limit.name, number_text(limit.value), number_text(limit.default), Text(limit.reason))
    console.print(rows)
    console.print()
    console.print(_guards_of({limit.name for limit in found.limits}))
    return 0


def _guards_of(limits: set[str]) -> Table:
    """Lay out the guards that compare these limits: whom each is for, and what it does."""
    rows = Table(box=None, pad_edge=False)
    for name in ("guard", "of", "scope", "asks for", "resting orders", "citation"):
        rows.add_column(name, overflow="fold")
    for guard in GUARDS:
        if guard.limit in limits:
            texts = (guard.name, guard.limit, guard.scope, str(guard.severity), guard.resting, guard.citation)
            rows.add_row(*map(Text, texts))
    return rows
