"""Regular expressions that are compiled at their first use, so that start-up compiles none."""

import re
from typing import Any, cast


class _LatePattern:
    """Stands in for a compiled pattern; each method is fetched once and then found like any attribute."""

    def __init__(self, pattern: str, flags: int) -> None:
        self._given = (pattern, flags)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)  # copy and pickle ask for what is not there
        value = getattr(re.compile(*self._given), name)
        setattr(self, name, value)
        return value


def late(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """Give a pattern that is compiled when it is first used.

    >>> late(r"a+").sub("b", "caat")
    'cbt'
    """
    return cast("re.Pattern[str]", _LatePattern(pattern, flags))
