"""``mdm policy check``: limits that contradict each other, or that trip always or never on given data."""

from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from ami_engine.adapters.inspecting.inspected import Inspection
from ami_engine.adapters.inspecting.inspection import inspect_file
from ami_engine.assembly import make_source
from ami_engine.cli.policy_file import load_policy
from ami_engine.replay.limits_seen import LimitsSeen, seen_in_data, seen_in_run
from decision_schema.errors import ConfigError, MarketDataError
from decision_schema.instruments import DEFAULT_INSTRUMENT, Instrument
from dmc_core.dmc.named_policies import number_text
from dmc_core.dmc.policy_check import Finding, contradictions
from dmc_core.dmc.risk_policy import RiskPolicy

OK, FAILED = 0, 1


def check_and_print(name: str, data: Path | None, run: Path | None, *, json: bool) -> int:
    """Check a policy by itself, and on a file, a folder or a run where one is given.

    Returns:
        The exit code: 1 where limits contradict each other or one refuses always, else 0.

    Raises:
        ConfigError: The policy, the run or the folder is none, or both data and a run are given.
        MarketDataError: The data cannot be read.
        TraceError: The run cannot be read.
    """
    if data is not None and run is not None:
        raise ConfigError("give --data or --run, not both")
    policy = load_policy(name)
    found = contradictions(policy)
    steps = 0
    if data is not None or run is not None:
        seen = seen_in_run(run, policy) if run is not None else _seen_in(data or Path(), policy)
        steps = seen.rows.steps
        found += seen.findings()
    console = Console(highlight=False, soft_wrap=True)
    if json:
        body = {"policy": name, "steps": steps, "findings": found}
        console.out(msgspec.json.encode(body).decode(), highlight=False)
    else:
        for line in check_words(name, found, steps):
            console.out(line, highlight=False)
    return FAILED if any(finding.kind in ("contradiction", "always") for finding in found) else OK


def check_words(name: str, found: list[Finding], steps: int) -> list[str]:
    """Say in plain text what is wrong with a policy, three lines a finding."""
    on = f" on {steps:,} steps" if steps else ""
    if not found:
        return [f"{name}: nothing found{on}"]
    lines = [f"{name}: {len(found)} found{on}"]
    for finding in found:
        limits = ", ".join(
            f"{limit} {number_text(number)}"
            for limit, number in zip(finding.limits, finding.numbers, strict=True)
        )
        lines += [f"{finding.kind}: {limits}", f"  seen: {finding.seen}", f"  do: {finding.todo}"]
    return lines


def _seen_in(data: Path, policy: RiskPolicy) -> LimitsSeen:
    """Read a file of recorded data, or those of a folder that are like its first one."""
    files = _files(data)
    looked, first = _first_known(files, data)
    alike = [file for file in files if file.suffixes == first.suffixes]
    params: dict[str, Any] = {**looked.params, "files": [str(file) for file in alike]}
    if looked.clock.offset_ms:
        params["clock_offset_ms"] = looked.clock.offset_ms
    instruments = [
        Instrument(
            market_id=market.market_id,
            tick_size=market.tick_hint or DEFAULT_INSTRUMENT.tick_size,
            lot_size=market.lot_hint or DEFAULT_INSTRUMENT.lot_size,
        )
        for market in looked.markets
    ]
    return seen_in_data(make_source(looked.format, params), policy, instruments)


def _files(data: Path) -> list[Path]:
    if data.is_file():
        return [data]
    found = sorted(file for file in data.glob("*") if file.is_file()) if data.is_dir() else []
    if not found:
        raise ConfigError(f"{data} is no file, and no folder with files")
    return found


def _first_known(files: list[Path], data: Path) -> tuple[Inspection, Path]:
    """Find the first file whose format is recognised; the reason of the last failure is told."""
    why = ""
    for file in files:
        try:
            return inspect_file(file), file
        except MarketDataError as error:
            why = str(error)
    raise MarketDataError(f"{data}: no file of it can be read as market data: {why}")
