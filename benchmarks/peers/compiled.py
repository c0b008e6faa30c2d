"""The engine's own functions, compiled for use inside another engine's strategy.

The engine has a compiler of its own (dmc_core/jit.py), which wants every function marked. This one
takes them as they are, so that the comparison needs nothing of the engine but its formulas.
"""

import dataclasses
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import numba
import numpy as np

HERE = Path(__file__).resolve().parent
SOURCES = HERE.parents[1] / "src"
sys.path.insert(0, str(SOURCES))


def _digest() -> str:
    """Give the digest of all that may be compiled: numba itself looks at one file at a time."""
    digest = hashlib.sha256()
    for file in sorted((*SOURCES.rglob("*.py"), *HERE.glob("*.py"))):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


if not numba.config.CACHE_DIR:
    numba.config.CACHE_DIR = str(HERE / ".data" / f"numba-{_digest()}")

NO_NUMBERS = ("builder", "venue")
"""Fields that no kernel of the rule reads."""
_DONE: dict[FunctionType, Any] = {}


def compiled(function: Any) -> Any:
    """Give the compiled twin of a function and of all that it calls."""
    if function not in _DONE:
        names = dict(function.__globals__)
        for used in _names_of(function.__code__):
            value = names.get(used)
            if isinstance(value, FunctionType) and value is not function:
                names[used] = compiled(value)
            elif isinstance(value, tuple) and value and isinstance(value[0], int | float):
                names[used] = np.array(value)  # indexed faster than a tuple
        copy = FunctionType(function.__code__, names, function.__name__, function.__defaults__)
        copy.__module__ = function.__module__
        _DONE[function] = names[function.__name__] = numba.njit(cache=True, error_model="numpy")(copy)
    return _DONE[function]


def record_of(record: Any) -> np.ndarray:
    """Lay a slotted dataclass of numbers out as one cell of a structured array."""
    cell = np.zeros(1, _layout(record))
    _write(cell[0], record)
    return cell


def _names_of(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_of(constant)


def _layout(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        found = ((f.name, _layout(getattr(value, f.name))) for f in dataclasses.fields(value))
        return np.dtype([(n, k) for n, k in found if k is not None and n not in NO_NUMBERS], align=True)
    if isinstance(value, list) and value:
        item = _layout(value[0])
        return None if item is None else np.dtype((item, (len(value),)))
    return {bool: np.dtype("?"), int: np.dtype("i8"), float: np.dtype("f8")}.get(type(value))


def _write(place: Any, record: Any) -> None:
    for name in place.dtype.names:
        value = getattr(record, name)
        if dataclasses.is_dataclass(value):
            _write(place[name], value)
        elif isinstance(value, list) and dataclasses.is_dataclass(value[0]):
            for i, item in enumerate(value):
                _write(place[name][i], item)
        else:
            place[name] = value
