"""The one file that knows numba: kernels compiled, and records laid out for them.

A kernel (`decision_schema.kernel`) stays a plain Python function; `compiled` gives its compiled
twin, made of the same source: each kernel that it calls is compiled first, and a copy of the function
sees those in place of the plain ones. Both exist side by side, so either can check the other.

Compiled code is kept in a folder named by a hash of all our sources: numba itself looks at one file
at a time and would go on using a kernel whose callee has changed.
"""

import hashlib
import importlib
import importlib.util
import math
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType
from typing import Any, ParamSpec, TypeVar

from decision_schema.errors import ConfigError
from decision_schema.kernel import is_kernel
from dmc_core.raising_math import module_of, raising

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

PACKAGES = ("decision_schema", "dmc_core", "ami_engine")
CACHE_VARIABLE = "MDM_CACHE"
"""Environment variable with the folder of compiled kernels; unset = the user's cache folder."""
MISSING = "compiled kernels need numba: pip install 'mdm-engine[fast]'"

_COMPILED: dict[Any, Any] = {}


def can_compile() -> bool:
    """Tell whether numba is installed; it is not imported for it."""
    return importlib.util.find_spec("numba") is not None


@cache
def source_hash() -> str:
    """Give the digest of all our source files, once a process."""
    digest = hashlib.sha256()
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        roots = [] if spec is None else list(spec.submodule_search_locations or ())
        for root in map(Path, roots):
            for file in sorted(root.rglob("*.py")):
                if "_private" not in file.parts:
                    digest.update(f"{name}/{file.relative_to(root).as_posix()}\n".encode())
                    digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def cache_folder() -> Path:
    """Give the folder of the kernels compiled from the present sources."""
    given = os.environ.get(CACHE_VARIABLE)
    base = Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / ("" if given else "mdm-engine") / f"kernels-{source_hash()[:16]}"


def is_kept(function: Callable[..., Any]) -> bool:
    """Tell whether compiled code of a kernel lies in the cache, or was made in this process.

    >>> is_kept(lambda x: x)
    False
    """
    if function in _COMPILED:
        return True
    name = f"{function.__module__.rpartition('.')[2]}.{function.__qualname__}-*.nbi"
    return any(cache_folder().glob(f"*/{name}"))


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Give the compiled twin of a kernel; it is compiled at its first call, or taken from the cache.

    Raises:
        ConfigError: numba is not installed, or the function, or one that it calls, is no kernel.
    """
    if function not in _COMPILED:
        _COMPILED[function] = _compile(function, ())
    twin: Callable[P, R] = _COMPILED[function]
    return twin


def bound(
    function: Callable[..., R],
    arguments: Sequence[Any],
    model: tuple[str, Callable[..., Any]] | None = None,
) -> Callable[..., R]:
    """Compile a kernel for exactly these kinds of arguments, and give its entry point.

    It takes positional arguments of these kinds and checks nothing: a call costs a microsecond, where
    the compiled twin itself would look at the layout of each record first.

    Args:
        function: The kernel.
        arguments: What it will be called with.
        model: The name of a kernel that it calls, and what is to be called in its place.

    Raises:
        ConfigError: numba is missing, or cannot compile the model; one line says what and why.
    """
    numba = numba_module()
    kinds = tuple(numba.typeof(given) for given in arguments)
    twin: Any = compiled(function) if model is None else _with_model(function, *model)
    try:
        twin.compile(kinds)
    except Exception as error:  # a user's model: numba raises what it likes
        if model is None:
            raise
        raise _not_compiled(model[1], error) from None
    point: Callable[..., R] = twin.overloads[kinds].entry_point
    return point


def entry(
    function: Callable[..., R], arguments: Sequence[Any], model_at: int, layouts: Sequence[Any]
) -> tuple[Callable[..., R], Any]:
    """Compile a kernel for exactly these kinds of arguments, a model among them given by its address.

    So another model needs no other code, and the code is kept in the cache.

    Args:
        function: The kernel.
        arguments: What it will be called with; arrays of records, arrays, numbers, and the model.
        model_at: Place of the model among them.
        layouts: Layouts of the records that the model takes; it gives nothing back.

    Returns:
        The entry point, as `bound` gives it, and what to hand over in the model's place.

    Raises:
        ConfigError: numba is missing, or cannot compile the model; one line says what and why.
    """
    numba = numba_module()
    types = numba.core.types
    kinds = [None if i == model_at else numba.typeof(given) for i, given in enumerate(arguments)]
    model: Any = compiled(arguments[model_at])
    signature = tuple(numba.from_dtype(layout) for layout in layouts)
    try:
        model.compile(signature)
    except Exception as error:  # noqa: BLE001 - a user's model: numba raises what it likes
        raise _not_compiled(arguments[model_at], error) from None
    kinds[model_at] = types.FunctionType(types.void(*signature))
    twin: Any = compiled(function)
    twin.compile(tuple(kinds))
    point: Callable[..., R] = twin.overloads[tuple(kinds)].entry_point
    return point, model


def _with_model(function: Any, name: str, model: Callable[..., Any]) -> Any:
    """Compile a copy of a kernel that calls a model by `name`; of a model of the user's it is not kept."""
    names = dict(compiled(function).py_func.__globals__)  # type: ignore[attr-defined]
    names[name] = compiled(model)
    copy = FunctionType(function.__code__, names, function.__name__, function.__defaults__)
    copy.__module__, copy.__qualname__ = function.__module__, function.__qualname__
    return _njit(numba_module(), copy, apart=f"{model.__module__}.{model.__qualname__}")


def _not_compiled(model: object, error: Exception) -> ConfigError:
    name = getattr(model, "__qualname__", "?")
    return ConfigError(
        f"model {name} cannot be compiled: {_first_cause(str(error))}; mend it, or give it as a plain "
        "function of named features, which runs slower"
    )


_CAUSES = (
    re.compile(r"Untyped global name '(?P<name>[^']+)'"),
    re.compile(r"NameError: name '(?P<name>[^']+)'"),
    re.compile(r"attribute '(?P<name>[^']+)' of"),
    re.compile(r"Cannot resolve setattr: .*\.(?P<name>\w+) ="),
    re.compile(r"Use of unsupported (?P<name>[^\n]+)"),
    re.compile(r"(?P<name>[\w ]*(?:not supported|unsupported)[^\n]*)", re.IGNORECASE),
)
_PLACE = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)')


def _first_cause(text: str) -> str:
    """Say in one line what numba could not compile, and where; it prints whole layouts of records."""
    places = _PLACE.findall(text)
    where = f" ({Path(places[0][0]).name}, line {places[0][1]})" if places else ""
    for cause in _CAUSES:
        found = cause.search(text)
        if found is not None:
            return f"a kernel cannot use {found['name'].strip()[:80]!r}{where}"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = [line for line in lines if "Record(" not in line and not line.startswith(("File", "During", "-"))]
    return f"{(said or ['numba gives no reason'])[-1][:120]}{where}"


def _compile(function: Any, callers: tuple[str, ...]) -> Any:
    if not isinstance(function, FunctionType):
        raise ConfigError(f"{function!r} is no plain function: a kernel is one, at the level of a module")
    name = f"{function.__module__}.{function.__qualname__}"
    numba = numba_module()
    names = dict(function.__globals__)
    for used in sorted(_names_of(function.__code__)):
        value = names.get(used)
        if isinstance(value, tuple):
            names[used] = _column(value)
        elif not _is_ours(function.__module__):
            names.update(_of_user(used, names))
        if value is function or not isinstance(value, FunctionType):
            continue
        if not is_kernel(value):
            raise ConfigError(f"{name} cannot be compiled: it calls {used}, which is no @kernel")
        if value not in _COMPILED:
            _COMPILED[value] = _compile(value, (*callers, name))
        names[used] = _COMPILED[value]
    copy = FunctionType(function.__code__, names, function.__name__, function.__defaults__)
    copy.__module__, copy.__qualname__ = function.__module__, function.__qualname__
    twin = _njit(numba, copy)
    names[function.__name__] = twin  # a kernel that calls itself
    return twin


def _column(values: tuple[Any, ...]) -> Any:
    """Give a constant tuple of numbers of one kind as an array: compiled code indexes it much faster."""
    import numpy as np

    for kind, layout in ((int, np.int64), (float, np.float64)):
        if values and all(type(value) is kind for value in values):
            column = np.array(values, layout)
            column.flags.writeable = False
            return column
    return values


@cache
def _raising() -> dict[Any, Any]:
    """Give what kernels of users get in the place of `math`, of its functions and of `int`, compiled."""
    njit = numba_module().njit(nogil=True, error_model="python")
    functions = {plain: njit(function) for plain, function in raising().items()}
    return {**functions, math: module_of(functions)}


def _of_user(name: str, names: dict[str, Any]) -> dict[str, Any]:
    """Give what a kernel of a user's sees under a name, where it is not what stands there."""
    value = names.get(name, int if name == "int" else None)
    known = value is math or isinstance(value, BuiltinFunctionType) or value is int
    return {name: _raising()[value]} if known and value in _raising() else {}


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in PACKAGES


def _njit(numba: Any, function: FunctionType, apart: str = "") -> Any:
    """Hand a function to numba, whose own settings are as before when this returns.

    Only our own kernels are kept in the cache: what a user's file imports is not in the name of its
    folder. Those of a user raise where Python does: at a division by zero, at a place that is not
    there, in functions of math. Ours guard these. `apart` names a folder of its own for a copy.
    """
    is_ours = _is_ours(apart or function.__module__)
    before = numba.config.CACHE_DIR
    try:
        numba.config.CACHE_DIR = str(_writable_cache() / apart)
        errors = "numpy" if is_ours else "python"
        return numba.njit(cache=is_ours, nogil=True, error_model=errors, boundscheck=not is_ours)(function)
    finally:
        numba.config.CACHE_DIR = before


@cache
def _writable_cache() -> Path:
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix="mdm-kernels-"))  # this process compiles for itself


@cache
def numba_module() -> Any:
    """Import numba, on first use.

    Raises:
        ConfigError: It is not installed.
    """
    if not can_compile():
        raise ConfigError(MISSING)
    os.environ.setdefault("NUMBA_DISABLE_INTEL_SVML", "1")  # its functions differ in the last bit
    return importlib.import_module("numba")


def _names_of(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_of(constant)
