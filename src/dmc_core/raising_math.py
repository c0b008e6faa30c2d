"""Functions of math that raise in compiled code as they do in Python: for kernels of users.

Compiled ones give nan, inf or any whole number instead. The kind of the exception is not kept: it holds.
"""

import math
from types import FunctionType, ModuleType
from typing import Any

_WHOLE = (int, math.ceil, math.floor, math.trunc)
_ONE = (
    math.acos, math.acosh, math.asin, math.atanh, math.cos, math.cosh, math.exp, math.expm1, math.gamma,
    math.lgamma, math.log, math.log10, math.log1p, math.log2, math.sin, math.sinh, math.sqrt, math.tan,
)  # fmt: skip
_TWO = (math.fmod, math.pow)


def _whole(x: Any) -> Any:
    if not math.isfinite(x):
        raise ValueError("cannot convert float NaN or infinity to integer")
    return plain(x)  # type: ignore[name-defined] # noqa: F821 - the function of math, put in for each


def _one(x: Any) -> Any:
    found = plain(x)  # type: ignore[name-defined] # noqa: F821
    if (math.isnan(found) and not math.isnan(x)) or (math.isinf(found) and math.isfinite(x)):
        raise ValueError("math domain error")
    return found


def _two(x: Any, y: Any) -> Any:
    found = plain(x, y)  # type: ignore[name-defined] # noqa: F821
    known = not math.isnan(x) and not math.isnan(y)
    if (math.isnan(found) and known) or (math.isinf(found) and math.isfinite(x) and math.isfinite(y)):
        raise ValueError("math domain error")
    return found


def raising() -> dict[Any, FunctionType]:
    """Give a function that raises for each one that has to, to be compiled.

    >>> raising()[math.sqrt](4.0)
    2.0
    """
    made = {}
    for template, functions in ((_whole, _WHOLE), (_one, _ONE), (_two, _TWO)):
        for function in functions:
            names = {"math": math, "plain": function}
            made[function] = FunctionType(template.__code__, names, function.__name__)
    return made


def module_of(functions: dict[Any, Any]) -> ModuleType:
    """Give `math` with other functions in the place of some.

    >>> module_of({math.sqrt: abs}).sqrt(-2.0), module_of({}).pi == math.pi
    (2.0, True)
    """
    module = ModuleType("math")
    vars(module).update({name: value for name, value in vars(math).items() if not name.startswith("_")})
    vars(module).update({plain.__name__: found for plain, found in functions.items()})
    return module
