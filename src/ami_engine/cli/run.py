"""``mdm run`` and ``mdm backtest``: run, show progress, print the summary."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.markup import escape

from ami_engine.assembly import backtest_config, run_config
from ami_engine.cli.cost_words import cost_rows
from ami_engine.config import RunConfig
from ami_engine.loop.run_loop import Progress, RunProgress
from ami_engine.trace.trace_logger import TRACES
from decision_schema.errors import ConfigError

FAILED_ENDS = ("error:", "source_failed:")
OK, FAILED, BAD_INPUT = 0, 1, 2
_SHOWN_REASONS = 8
_SHOWN_MARKETS = 10


def run_and_print(config: RunConfig, *, json: bool, quiet: bool) -> int:
    """Run a config and print its summary.

    Returns:
        0; 1 where the run failed; 2 where recorded data broke off: what came before is in the run.
    """
    return _print(run_with_bar(config, shown=_is_shown(json=json, quiet=quiet)), json=json)


def _is_shown(*, json: bool, quiet: bool) -> bool:
    return not (json or quiet) and sys.stderr.isatty()


def _print(summary: dict[str, Any], *, json: bool) -> int:
    console = Console(highlight=False, soft_wrap=True)
    if json:
        console.out(msgspec.json.encode(summary).decode(), highlight=False)
    else:
        print_summary(console, summary)
    return exit_code(summary)


def backtest_and_print(config: RunConfig, *, packets: bool, json: bool, quiet: bool) -> int:
    """Run a config on recorded data; the simulator and live parts are refused."""
    if config.run.mode not in ("sim", "backtest"):
        raise ConfigError(
            f"config: run.mode is {config.run.mode!r}: mdm backtest runs 'backtest'; use mdm run"
        )
    config = msgspec.structs.replace(config, run=msgspec.structs.replace(config.run, mode="backtest"))
    run = partial(backtest_config, packets=packets)
    return _print(run_with_bar(config, run, shown=_is_shown(json=json, quiet=quiet)), json=json)


def exit_code(summary: dict[str, Any]) -> int:
    """Say how a run went, and why on the error output where its data broke off."""
    if "MarketDataError" in summary["source_failures"]:
        for words in summary["source_errors"]:
            print(f"mdm: {words}", file=sys.stderr)  # noqa: T201 - the one line of a failure
        return BAD_INPUT
    files = [name for source in summary["sources"] for name in source.get("files", ())]
    if files and summary["steps"] == 0 and summary["ended"] == "exhausted":
        print(f"mdm: {', '.join(files)}: no row gave an event: look with `mdm data inspect`", file=sys.stderr)  # noqa: T201
        return BAD_INPUT
    return FAILED if summary["ended"].startswith(FAILED_ENDS) else OK


def run_with_bar(
    config: RunConfig, run: Callable[[RunConfig, Progress], dict[str, Any]] = run_config, *, shown: bool
) -> dict[str, Any]:
    """Run a config; where `shown`, with a bar of events, speed and time left."""
    if not shown:
        return run(config, _say_nothing)
    simulated = None
    if config.data.source == "sim" and not config.data.sources:
        simulated = config.data.sim.num_events
        simulated = simulated if config.run.steps is None else min(config.run.steps, simulated)
    from rich import progress as shapes

    bar = shapes.Progress(
        shapes.TextColumn("{task.fields[done]}"),
        shapes.BarColumn(),
        shapes.TaskProgressColumn(),
        shapes.TextColumn("left"),
        shapes.TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task("", total=None, done="")

        was_noted = False

        def progress(at: RunProgress) -> None:
            nonlocal was_noted
            if at.note:
                bar.update(task, done=at.note)
                was_noted = True
                return
            if was_noted:
                bar.reset(task)  # what took so long was not the events
                was_noted = False
            fraction = at.events / simulated if simulated else at.fraction
            seconds = bar.tasks[0].elapsed or 0.0
            speed = at.events / seconds if seconds > 0.0 else 0.0
            fills = at.summary.bought + at.summary.sold
            done = f"{at.events:,} events, {speed:,.0f}/s, {at.summary.submitted} orders, {fills} fills"
            if fraction is None:
                bar.update(task, done=done)
            else:
                bar.update(task, total=1.0, completed=min(1.0, fraction), done=done)

        return run(config, progress)


def _say_nothing(_: RunProgress) -> None:
    """Take the progress of a run that is to be quiet."""


def print_summary(console: Console, summary: dict[str, Any]) -> None:
    """Print what became of a run, a line for each matter."""

    def row(name: str, text: str) -> None:
        console.print(f"[bold]{name:<12}[/bold]{escape(printable(text))}")

    def not_shown(name: str, of: int) -> None:
        if of > _SHOWN_MARKETS:
            row(name, f"and {of - _SHOWN_MARKETS} more: see summary.json")

    timing = summary["timing"]
    seconds, speed = timing["seconds"], timing["events_per_second"]
    row("events", f"{summary['steps']} in {seconds:.1f} s ({speed:,.0f}/s), ended: {summary['ended']}")
    row("decisions", counts({name: count for name, count in summary["action_counts"].items() if count}))
    row("not acted", counts(summary["hold_reasons"]))
    row("refused by", counts(summary["refusals"]))
    if summary["bad_inputs"]:
        row("not used", counts(summary["bad_inputs"]))
    row(
        "orders",
        f"{summary['orders_submitted']} sent, {summary['orders_canceled']} cancelled "
        f"({summary['orders_replaced']} of these replaced)",
    )
    if summary["orders_rejected"]:
        row("rejected", counts(summary["orders_rejected"]))
    sides = summary["fills_by_side"]
    row("fills", f"{summary['fills']} (buys {sides['buy']}, sells {sides['sell']})")
    row(
        "profit",
        f"realised {summary['realized_pnl']:+.4f}, unrealised {summary['unrealized_pnl']:+.4f}, "
        f"fees {summary['fees']:.4f}",
    )
    row("equity", f"{summary['final_equity']:.4f}, largest drawdown {summary['max_drawdown']:.4f}")
    for name, text in cost_rows(summary["costs"]):
        row(name, text)
    several = len(summary["markets"]) > 1
    if summary["markouts"] and not several:
        row("markouts", _markout_words(summary["markouts"]))
    for market_id, market in list(summary["markets"].items())[:_SHOWN_MARKETS]:
        if several:
            money = market["realized_pnl"] + market["unrealized_pnl"] - market["fees"] + market["funding"]
            row(
                "market",
                f"{market_id}: {market['fills']} fills, position {market['position']:g}, profit "
                f"{money:+.4f}, markouts {_markout_words(market['markouts']) or 'none'}",
            )
    not_shown("market", len(summary["markets"]))
    for market_id, data in list(summary["data"].items())[:_SHOWN_MARKETS]:
        row("data", f"{market_id}: {_data_words(data)}")
    not_shown("data", len(summary["data"]))
    for source in summary["sources"]:
        if source.get("files"):
            row("files", f"{', '.join(source['files'])}: {source['rows']} rows{_defect_words(source)}")
        for hint in source.get("hints", ()):
            row("hint", hint)
    if summary["stopped"]:
        row("stopped", f"at step {summary['stopped']['step']}: {summary['stopped']['reason']}")
    trace = Path(summary["run_dir"]) / TRACES
    row("trace" if trace.exists() else "tables", str(trace if trace.exists() else trace.parent))
    for line in summary["explanation"]:
        console.print(printable(line), markup=False)


def printable(text: str) -> str:
    """Give a text without control characters: names of markets come from data."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)


def _markout_words(markouts: dict[str, dict[str, float]]) -> str:
    return ", ".join(f"{at} {found['mean_ticks']:+.2f} ticks" for at, found in markouts.items())


def counts(found: dict[str, int], most: int = _SHOWN_REASONS) -> str:
    """List counts by name, the most frequent ones first."""
    shown = [f"{name} {count}" for name, count in list(found.items())[:most]]
    return ", ".join(shown + (["…"] if len(found) > most else [])) or "none"


_DATA_WORDS = {
    "snapshots": "snapshots",
    "changes": "book changes",
    "quotes": "quotes",
    "trades": "trades",
    "trades_outside_quote": "trades outside the quote",
    "one_sided": "one-sided",
    "halts": "halts",
    "gaps": "gaps",
    "resyncs": "resyncs",
    "messages_lost": "messages lost",
    "late_quotes": "late quotes",
    "unknown_orders": "unknown orders",
    "venue_time_back": "venue time back",
}


def _data_words(data: dict[str, Any]) -> str:
    parts = [f"{data['seconds']:,.1f} s", f"longest silence {data['longest_silence_seconds']:.2f} s"]
    parts += [f"{words} {data[name]}" for name, words in _DATA_WORDS.items() if data[name]]
    return ", ".join(parts)


def _defect_words(source: dict[str, Any]) -> str:
    found = {**source["defects"], **source.get("remarks", {})}
    return f", {counts(found)}" if found else ""
