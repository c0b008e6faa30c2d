"""Files that the params of a config name: found, and put in the place of others."""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ami_engine.adapters.recorded import expand_path
from decision_schema.errors import ConfigError


def texts_in(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield the texts in params, each with the outermost key above it."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, os.PathLike):
        yield key, os.fspath(value)
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from texts_in(item, key or str(name))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from texts_in(item, key)


def with_texts(value: Any, change: Callable[[str], str]) -> Any:
    """Change the texts in params."""
    if isinstance(value, str | os.PathLike):
        return change(os.fspath(value))
    if isinstance(value, Mapping):
        return {key: with_texts(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [with_texts(item, change) for item in value]
    return value


def without(value: Any, gone: set[str]) -> Any:
    """Leave files without rows out of lists."""
    if isinstance(value, Mapping):
        return {key: without(item, gone) for key, item in value.items()}
    if isinstance(value, list):
        kept = [item for item in value if not (isinstance(item, str) and item in gone)]
        return kept or value
    return value


def file_named(text: str) -> Path | None:
    """Give the file that a text names, by that name; None = it names none."""
    if not text or len(text) > 4_096 or "\0" in text or "\n" in text:
        return None
    try:
        path = expand_path(text)
        return path.absolute() if path.is_file() else None
    except (ConfigError, OSError, RuntimeError, ValueError):
        return None
