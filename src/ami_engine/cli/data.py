"""``mdm data inspect``: what is in a file of recorded market data."""

import sys
from pathlib import Path

import msgspec
from rich.console import Console
from rich.markup import escape

from ami_engine.adapters.inspecting.inspected import Inspection
from ami_engine.adapters.inspecting.inspection import inspect_file
from ami_engine.cli.config_snippet import snippet_lines
from ami_engine.cli.data_report import picture_lines, report_lines
from ami_engine.cli.picture import MAX_WIDTH
from ami_engine.security.redaction import redact_text

OK, BAD_INPUT = 0, 2


def inspect_and_print(file: Path, *, json: bool) -> int:
    """Inspect a file and print what is in it.

    Returns:
        0; 2 where the file broke off in the middle: what came before is reported.

    Raises:
        MarketDataError: The file cannot be read at all, or is not recognised.
    """
    seen = _inspect(file, shown=not json and sys.stderr.isatty())
    console = Console(highlight=False, soft_wrap=True)
    if json:
        console.out(msgspec.json.encode(seen).decode(), highlight=False)
    else:
        print_inspection(console, seen, file)
    if seen.broken:
        print(f"mdm: {redact_text(seen.broken)}", file=sys.stderr)  # noqa: T201 - the one line of a failure
        return BAD_INPUT
    return OK


def print_inspection(console: Console, seen: Inspection, file: Path) -> None:
    """Print the report, a picture of the busiest market, and a config that runs the file."""
    for name, text in report_lines(seen):
        console.print(f"[bold]{name:<12}[/bold]{escape(_printable(text))}")
    unicode = console.encoding.lower().startswith("utf")
    lines = picture_lines(seen, min(console.width, MAX_WIDTH), unicode=unicode)
    lines += ["", "# a config that runs it", *snippet_lines(seen, file)]
    for line in lines:
        console.print(_printable(line), markup=False)


def _inspect(file: Path, *, shown: bool) -> Inspection:
    """Inspect a file; where `shown`, with a bar."""
    if not shown:
        return inspect_file(file)
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn("{task.fields[done]}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task("", total=None, done="")

        def progress(events: int, fraction: float | None) -> None:
            total = None if fraction is None else 1.0
            bar.update(task, total=total, completed=fraction or 0.0, done=f"{events:,} events")

        return inspect_file(file, progress=progress)


def _printable(text: str) -> str:
    """Replace what a terminal would obey: names come from foreign files."""
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in text)
