"""``mdm demo`` and ``mdm run``: run, show progress, print the summary, explain."""

import sys
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ami_engine.assembly import run_config, with_run
from ami_engine.cli.words import decision_words, pick_three
from ami_engine.config import RunConfig
from ami_engine.summary import RunSummary
from ami_engine.trace.reader import read_packets
from ami_engine.trace.trace_logger import TRACES, read_manifest

FAILED_ENDS = ("error:", "source_failed:")


def run_demo(
    events: int, seed: int, run_id: str | None, output_dir: Path | None, *, json: bool, quiet: bool
) -> int:
    """Run the simulated market with the default policy and explain three decisions."""
    config = RunConfig()
    simulated = msgspec.structs.replace(config.data.sim, num_events=events)
    config = msgspec.structs.replace(config, data=msgspec.structs.replace(config.data, sim=simulated))
    config = with_run(config, seed=seed, run_id=run_id, output_dir=output_dir)
    return run_and_print(config, json=json, quiet=quiet, explain=not json)


def run_and_print(config: RunConfig, *, json: bool, quiet: bool, explain: bool = False) -> int:
    """Run a config and print its summary; 1 where the run failed."""
    console = Console(highlight=False, soft_wrap=True)
    summary = _run_with_bar(config, shown=not (json or quiet) and sys.stderr.isatty())
    if json:
        console.out(msgspec.json.encode(summary).decode(), highlight=False)
    else:
        _print_summary(console, summary)
        if explain:
            _print_three(console, Path(summary["run_dir"]))
    return 1 if summary["ended"].startswith(FAILED_ENDS) else 0


def _run_with_bar(config: RunConfig, *, shown: bool) -> dict[str, Any]:
    if not shown:
        return run_config(config)
    total = config.run.steps
    if config.data.source == "sim":
        total = config.data.sim.num_events if total is None else min(total, config.data.sim.num_events)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task("events", total=total, rate="")

        def progress(done: int, counts: RunSummary) -> None:
            speed = bar.tasks[0].speed or 0.0
            fills = counts.bought + counts.sold
            bar.update(task, completed=done, rate=f"{speed:,.0f}/s, {counts.submitted} orders, {fills} fills")

        return run_config(config, progress)


def _print_summary(console: Console, summary: dict[str, Any]) -> None:
    def row(name: str, text: str) -> None:
        console.print(f"[bold]{name:<12}[/bold]{escape(text)}")

    def counts(found: dict[str, int], most: int = 4) -> str:
        shown = [f"{name} {count}" for name, count in list(found.items())[:most]]
        return ", ".join(shown + (["…"] if len(found) > most else [])) or "none"

    seconds, speed = summary["timing"]["seconds"], summary["timing"]["events_per_second"]
    row("events", f"{summary['steps']} in {seconds:.1f} s ({speed:,.0f}/s), ended: {summary['ended']}")
    row("decisions", counts({name: count for name, count in summary["action_counts"].items() if count}, 5))
    row("not acted", counts(summary["hold_reasons"]))
    row("refused by", counts(summary["refusals"]))
    if summary["bad_inputs"]:
        row("bad input", counts(summary["bad_inputs"]))
    row(
        "orders",
        f"{summary['orders_submitted']} sent, {summary['orders_canceled']} cancelled "
        f"({summary['orders_replaced']} of these replaced)",
    )
    sides = summary["fills_by_side"]
    row("fills", f"{summary['fills']} (buys {sides['buy']}, sells {sides['sell']})")
    row(
        "profit",
        f"realised {summary['realized_pnl']:+.4f}, unrealised {summary['unrealized_pnl']:+.4f}, "
        f"fees {summary['fees']:.4f}",
    )
    row("equity", f"{summary['final_equity']:.4f}, largest drawdown {summary['max_drawdown']:.4f}")
    if summary["markouts"]:
        row(
            "markouts",
            ", ".join(f"{at} {m['mean_ticks']:+.2f} ticks" for at, m in summary["markouts"].items()),
        )
    if summary["stopped"]:
        row("stopped", f"at step {summary['stopped']['step']}: {summary['stopped']['reason']}")
    row("trace", str(Path(summary["run_dir"]) / TRACES))
    for line in summary["explanation"]:
        console.print(line, markup=False)


def _print_three(console: Console, run_dir: Path) -> None:
    limits = list(read_manifest(run_dir)["guards"]["limits"].values())
    for packet in pick_three(read_packets(run_dir)):
        console.print()
        console.print(f"[bold]step {packet.step}: {packet.final_action['action']}[/bold]")
        for line in decision_words(packet, limits):
            console.print(f"  {line}", markup=False)
