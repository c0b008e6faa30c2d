"""Whether a run is compiled: where numba is there, and where the time that compiling takes comes back."""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ami_engine.adapters.recorded import RecordedSource
from ami_engine.loop.run_loop import Progress, RunProgress
from ami_engine.ports import MarketDataSource
from ami_engine.summary import RunSummary
from dmc_core.jit import can_compile, is_kept

PAYS_FROM = 200_000
"""Events from which on a run is compiled though nothing is in the cache yet."""
KEPT_PAYS_FROM = 10_000
"""The same where all is in the cache: to fetch it takes seconds."""
BYTES_AN_EVENT = 50
"""Of a file, about: a short line of text. Packed files hold more events than this says."""
COMPILING = "compiling the loop: once a version, 2 to 3 minutes"


def is_compiled(asked: bool | None, kernel: Callable[..., Any], events: int | None) -> bool:
    """Say whether a run is compiled.

    Args:
        asked: What the user wants; None = what pays.
        kernel: The one that would be compiled.
        events: How many the run has, about; None = not known.

    >>> is_compiled(True, len, 5), is_compiled(None, lambda x: x, 5)
    (True, False)
    """
    if asked is not None or not can_compile():
        return bool(asked)
    return events is None or events >= (KEPT_PAYS_FROM if is_kept(kernel) else PAYS_FROM)


def events_of(data: Any, steps: int | None) -> int | None:
    """Give how many events the data of a run have, of files about; None = not known.

    >>> events_of({"ts_ns": [1, 2, 3], "bid": [0.4, 0.4, 0.5]}, None), events_of(iter([]), 7)
    (3, 7)
    """
    found = _events_of(data)
    if steps is None:
        return found
    return steps if found is None else min(steps, found)


def _events_of(data: Any) -> int | None:
    if isinstance(data, RecordedSource):
        return sum(file.stat().st_size for file in data.files) // BYTES_AN_EVENT
    if isinstance(data, MarketDataSource):
        return None
    if isinstance(data, Mapping):
        return len(next(iter(data.values()), ()))
    if isinstance(data, Sequence):
        parts = [_events_of(part) for part in data]
        return None if None in parts else sum(part or 0 for part in parts)
    return len(data) if hasattr(data, "__len__") else None


def tell_compiling(kernel: Callable[..., Any], progress: Progress | None) -> None:
    """Say that a kernel is about to be compiled, where it is not kept: to `progress`, else on a terminal."""
    if is_kept(kernel):
        return
    if progress is not None:
        progress(RunProgress(0, None, RunSummary(), COMPILING))
    elif sys.stderr.isatty():
        sys.stderr.write(f"mdm: {COMPILING}\n")
