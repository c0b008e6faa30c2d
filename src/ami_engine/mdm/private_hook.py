"""Finds a user's private model, ``ami_engine/mdm/_private/model.py``, and tells absent from broken."""

import hashlib
import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from decision_schema.types import Proposal

Model: TypeAlias = Callable[..., Proposal]

HOOK_FILE = Path(__file__).resolve().parent / "_private" / "model.py"
FUNCTION = "compute_proposal_private"


def load_private_model(path: Path | None = None) -> tuple[Model, str] | None:
    """Load the private model.

    Args:
        path: Its file; None = ``ami_engine/mdm/_private/model.py``.

    Returns:
        The function and an id with the digest of its file; None where there is no file. A file
        that cannot be loaded gives a function that raises, so that every step holds and says so.
    """
    file = path or HOOK_FILE
    if not file.is_file():
        return None
    name = f"private:{hashlib.sha256(file.read_bytes()).hexdigest()[:16]}"
    try:
        if path is None:
            importlib.invalidate_caches()
            module = importlib.import_module("ami_engine.mdm._private.model")
        else:
            module = load_file(path, "mdm_private_model")
        return getattr(module, FUNCTION), name
    except Exception as error:  # noqa: BLE001 - whatever user code raises on import, the model is broken
        return _broken(error), name


def load_file(path: Path, name: str) -> Any:
    """Import a Python file as a module of the given name."""
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path.name} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _broken(error: Exception) -> Model:
    def model(_features: dict[str, float], **_kwargs: Any) -> Proposal:
        raise error.with_traceback(None)  # else it would grow by each raise

    return model
