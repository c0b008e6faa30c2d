"""``mdm lookahead``: run prefixes of the data, and name the first thing that used what came later."""

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.markup import escape

from ami_engine.assembly import with_run
from ami_engine.cli.lookahead_ends import Ends
from ami_engine.cli.lookahead_files import CutFiles
from ami_engine.cli.lookahead_runs import Tell, run_apart
from ami_engine.cli.run import counts, printable
from ami_engine.config import RunConfig
from ami_engine.replay.compare import Difference
from ami_engine.replay.lookahead import Lookahead, Prefix, find_lookahead
from decision_schema.errors import ConfigError
from decision_schema.packet_v2 import tag_floats
from decision_schema.units import NS_PER_SECOND

NOTHING, FOUND = 0, 1
RUN_ID = "lookahead"
SHOWN_FIELDS = 12
SHOWN_CHARACTERS = 60
_WHOSE = {
    "input": "the source",
    "report": "the broker",
    "feature": "the features",
    "proposal": "your model",
    "guard": "the guards",
    "decision": "the decision",
    "order": "the orders",
    "state": "the account",
    "other": "the packet",
}
_LIMITS = (
    "A prefix check proves look-ahead where it finds it; where it finds nothing, these prefixes show none. "
    "What looks a few events ahead shows only at the end of a prefix: more --cuts look at more ends."
)


def lookahead_and_print(
    config: RunConfig,
    *,
    cuts: int,
    at: Sequence[int],
    spare: int,
    narrow: bool,
    whole: Sequence[Path],
    json: bool,
    quiet: bool,
) -> int:
    """Check a config for look-ahead and print what was found.

    Returns:
        0 = nothing was found; 1 = something used the future, or two equal runs differ.
    """
    if config.run.mode not in ("sim", "backtest"):
        raise ConfigError(f"config: run.mode is {config.run.mode!r}: mdm lookahead runs 'sim' and 'backtest'")
    config = with_run(config, run_id=config.run.run_id or RUN_ID)
    with tempfile.TemporaryDirectory(prefix="mdm-lookahead-data-") as folder:
        files = CutFiles(config, Path(folder), whole)
        with _bar(shown=not (json or quiet) and sys.stderr.isatty()) as bar:

            def run(events: int | None, output: Path, hash_seed: str = "0") -> dict[str, Any]:
                name = "the whole run" if events is None else f"a prefix of {events:,} events"
                return run_apart(
                    config, files.show(events), events, output, bar(name, events), hash_seed=hash_seed
                )

            found = find_lookahead(
                run,
                cuts=cuts,
                at=at,
                spare=spare,
                narrow=narrow,
                again=lambda events, output: run(events, output, hash_seed="1"),
                settle=Ends(files).settle,
            )
        found.notes += files.notes
        cut = _cut_words(files)
    console = Console(highlight=False, soft_wrap=True)
    if json:
        told = {"clean": found.clean, **asdict(found), "cut": cut}
        console.out(msgspec.json.encode(tag_floats(told)).decode(), highlight=False)
    else:
        print_lookahead(console, found, cut)
    return NOTHING if found.clean else FOUND


def print_lookahead(console: Console, found: Lookahead, cut: Sequence[str]) -> None:
    """Print what was checked, what was found, and what a check like this cannot see."""

    def row(name: str, text: str) -> None:
        console.print(f"[bold]{name:<12}[/bold]{escape(printable(text))}")

    done = [prefix for prefix in found.prefixes if not prefix.failed]
    ends = ", ".join(f"{prefix.events:,}" for prefix in found.prefixes)
    size = f"{found.events:,} events, {found.packets:,} packets"
    row("run", f"{size}, {found.features} features, {found.fills} fills")
    row("prefixes", f"the first {ends} events")
    for words in cut:
        row("cut", words)
    row(
        "compared",
        f"{sum(p.packets for p in done):,} packets with {sum(p.fills for p in done):,} fills, "
        f"{sum(p.differing for p in done):,} of them differ",
    )
    for prefix in found.prefixes:
        if prefix.failed:
            row("not run", f"{prefix.events:,} events: {prefix.failed}")
    if found.unstable is not None:
        _print_unstable(row, found, found.unstable)
    if found.first is not None:
        _print_first(row, found, found.first)
    for note in found.notes:
        row("note", note)
    console.print(_result(found), markup=False)
    console.print(_LIMITS, markup=False)


def _print_first(row: Callable[[str, str], None], found: Lookahead, first: Difference) -> None:
    row("used future", f"{_WHOSE[first.part]}: {first.field}")
    row("where", _place(first))
    row("whole run", _value(first.whole))
    shortest = next(prefix for prefix in found.prefixes if prefix.first == first)
    row("prefix", f"{_value(first.prefix)}, with the first {shortest.events:,} events{_why(shortest)}")
    row("needs", _need(found))
    row("fields", counts(found.fields, SHOWN_FIELDS))


def _print_unstable(row: Callable[[str, str], None], found: Lookahead, first: Difference) -> None:
    row("by chance", f"{_WHOSE[first.part]}: {first.field}")
    row("where", _place(first))
    row("two runs", f"{_value(first.whole)} and {_value(first.prefix)}, of the same prefix")
    row("fields", counts(found.unstable_fields, SHOWN_FIELDS))


def _result(found: Lookahead) -> str:
    used = (
        f"{_WHOSE[found.first.part]} used events that came later ({found.first.field})" if found.first else ""
    )
    if found.unstable is not None:
        more = "Only the events and the market's features were compared with the whole run: "
        return (
            "Not reproducible: two runs over the same events differ, by chance, by the clock or by the order "
            f"of a set. {more}{used or 'they show no look-ahead'}."
        )
    if not used:
        return "Nothing found: each prefix gave the first packets of the whole run."
    return f"Look-ahead: {used}."


def _place(first: Difference) -> str:
    seconds, rest = divmod(first.now_ns, NS_PER_SECOND)
    time = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
    market = f", market {first.market_id}" if first.market_id else ""
    return f"step {first.step:,}, event {first.event:,}, {time}{market}"


def _need(found: Lookahead) -> str:
    least, most = found.needs_more_than + 1, found.needs_at_most
    if most is None:
        return f"more than {least - 1:,} events after its own: the longest prefix does not do"
    return (
        f"{most:,} events after its own" if least >= most else f"{least:,} to {most:,} events after its own"
    )


def _why(prefix: Prefix) -> str:
    return f" (it ended: {prefix.ended_early})" if prefix.ended_early else ""


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value) if not isinstance(value, float) else f"{value!r}"
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"


def _cut_words(files: CutFiles) -> list[str]:
    """Say how each source was cut."""
    if not files.lanes:
        return ["the simulator, which makes its events one by one: it was asked for fewer"]
    words = []
    for lane in files.lanes:
        names = ", ".join(dict.fromkeys(file.copy.name for file in lane.files))
        how = {
            "event": f"{names}: copies that end behind the row of the last event, for the model as well",
            "time": f"{names}: copies that end behind the rows of the time of the last event",
            "rows": f"{names}: copies that end behind as many rows as give the events",
        }
        words.append(
            how.get(lane.by)
            or f"{lane.source}: only the events were limited, so that what it or the model reads ahead of "
            "them is not seen"
        )
    return words


def _silent(_name: str, _events: int | None) -> Tell:
    def tell(_done: int, _fraction: float | None) -> None:
        """Say nothing."""

    return tell


@contextmanager
def _bar(*, shown: bool) -> Iterator[Callable[[str, int | None], Tell]]:
    """Give what makes the teller of a run: a bar where `shown`, else nothing."""
    if not shown:
        yield _silent
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task("", total=None)

        def teller(name: str, events: int | None) -> Tell:
            bar.reset(task, description=name, total=events)

            def tell(done: int, fraction: float | None) -> None:
                if events is not None:
                    bar.update(task, completed=done)
                elif fraction is not None:
                    bar.update(task, total=1.0, completed=min(1.0, fraction))

            return tell

        yield teller
