"""Finds a user's private model, ``ami_engine/mdm/_private/model.py``, and tells absent from broken."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from decision_schema.types import Proposal
from dmc_core.dmc.policy_hook import load_source

Model: TypeAlias = Callable[..., Proposal]

HOOK_FILE = Path(__file__).resolve().parent / "_private" / "model.py"
FUNCTION = "compute_proposal_private"
_MODULE = "ami_engine.mdm._private.model"


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
    body = file.read_bytes()
    name = f"private:{hashlib.sha256(body).hexdigest()[:16]}"
    try:
        return getattr(load_source(_MODULE, file, body), FUNCTION), name
    except (Exception, SystemExit) as error:  # noqa: BLE001 - user code: whatever it raises, it is broken
        return _broken(error), name


def _broken(error: BaseException) -> Model:
    def model(_features: dict[str, float], **_kwargs: Any) -> Proposal:
        if isinstance(error, Exception):
            raise error.with_traceback(None)  # else it would grow by each raise
        raise ImportError(f"the file raised {type(error).__name__}")

    return model
