"""``mdm demo``: a simulated market with the default policy, and three decisions in words."""

import sys
from pathlib import Path

import msgspec
from rich.console import Console

from ami_engine.assembly import with_run
from ami_engine.cli.run import exit_code, print_summary, run_and_print, run_with_bar
from ami_engine.cli.words import decision_words, limits_for, pick_three
from ami_engine.config import RunConfig
from ami_engine.trace.reader import read_packets
from ami_engine.trace.trace_logger import read_manifest


def run_demo(
    events: int, seed: int, run_id: str | None, output_dir: Path | None, *, json: bool, quiet: bool
) -> int:
    """Run the simulated market and explain three decisions."""
    config = RunConfig()
    simulated = msgspec.structs.replace(config.data.sim, num_events=events)
    config = msgspec.structs.replace(config, data=msgspec.structs.replace(config.data, sim=simulated))
    config = with_run(config, seed=seed, run_id=run_id, output_dir=output_dir)
    if json:
        return run_and_print(config, json=True, quiet=quiet)
    summary = run_with_bar(config, shown=not quiet and sys.stderr.isatty())
    console = Console(highlight=False, soft_wrap=True)
    print_summary(console, summary)
    _print_three(console, Path(summary["run_dir"]))
    return exit_code(summary)


def _print_three(console: Console, run_dir: Path) -> None:
    manifest = read_manifest(run_dir)
    for packet in pick_three(read_packets(run_dir)):
        console.print()
        console.print(f"[bold]step {packet.step}: {packet.final_action['action']}[/bold]")
        for line in decision_words(packet, limits_for(packet, manifest)):
            console.print(f"  {line}", markup=False)
