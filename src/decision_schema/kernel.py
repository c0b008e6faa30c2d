"""`@kernel`: marks a function that runs interpreted as it stands, and compiled by `dmc_core.jit`.

A kernel takes numbers, lists of numbers and records (slotted dataclasses of such fields) and changes
the records it is given; it reads no clock, no text and no dict. docs/determinism.md has the rules.
"""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

MARK = "__mdm_kernel__"


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Mark a module-level function as a kernel; it is returned unchanged.

    >>> @kernel
    ... def twice(x: float) -> float:
    ...     return x + x
    >>> twice(1.5), is_kernel(twice)
    (3.0, True)
    """
    setattr(function, MARK, True)
    return function


def is_kernel(function: object) -> bool:
    """Tell whether a function was marked."""
    return getattr(function, MARK, False) is True
