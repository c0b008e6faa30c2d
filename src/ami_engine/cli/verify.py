"""``mdm verify``."""

from pathlib import Path

import msgspec
from rich.console import Console

from ami_engine.trace.trace_logger import MANIFEST
from ami_engine.trace.verify import verify
from decision_schema.errors import ConfigError


def verify_and_print(run_dir: Path, *, json: bool) -> int:
    """Verify a run and say what was found; a fault raises."""
    if not (run_dir / MANIFEST).is_file():
        raise ConfigError(f"{run_dir} is no run folder: it has no {MANIFEST}")
    found = verify(run_dir)
    console = Console(highlight=False, soft_wrap=True)
    if json:
        console.out(msgspec.json.encode(found._asdict()).decode(), highlight=False)
        return 0
    counts = f"{found.packets} packets and {found.audits} audit records"
    console.print(f"{run_dir}: sound. {counts}, each follows from the one before.", markup=False)
    if not found.closed:
        console.print("The run has no end on record: it was killed, or it still runs.")
    console.print(f"head {found.head}")
    return 0
