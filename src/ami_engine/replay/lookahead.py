"""The look-ahead check: does a run over the first events give the first packets of the run over all?

Where it does not, something used what came later. The run over all events is done once, then runs
over some prefixes of them; their traces are compared line by line.
"""

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ami_engine.features.catalogue import FEATURES
from ami_engine.replay.compare import (
    SENT,
    Compared,
    Difference,
    compare_traces,
    feature_names,
    fills_in,
    is_event,
)
from ami_engine.replay.packet_fields import Field
from ami_engine.trace.trace_logger import TRACES, read_manifest
from decision_schema.errors import ConfigError, MdmError

PrefixRun = Callable[[int | None, Path], Mapping[str, Any]]
"""Runs the first events, None = all, with its run folder in a folder; gives the summary of `run_loop`."""

MAX_CUTS = 1_000
MAX_NARROWING_RUNS = 24
_FEATURES_FROM = 2_000
"""Packets from which the names of the features are taken."""
_MARKET_FEATURES = frozenset(f"feature {spec.name}" for spec in FEATURES if spec.kind == "market")


@dataclass
class Prefix:
    """One prefix, and how its run went.

    Args:
        events: Events in it.
        packets: Packets compared.
        fills: Fills in them.
        differing: Packets that are not those of the whole run.
        first: The first difference; None = there is none.
        failed: Why there is no run over it; empty = there is.
        ended_early: How its run ended, where that was before its last event; else empty.
    """

    events: int
    packets: int = 0
    fills: int = 0
    differing: int = 0
    first: Difference | None = None
    failed: str = ""
    ended_early: str = ""


@dataclass
class Lookahead:
    """What the check found.

    Args:
        events: Events of the whole run.
        packets: Its packets.
        features: Features that they carry.
        fills: Fills in them.
        prefixes: The prefixes, the shortest first.
        first: The earliest difference; None = nothing was found.
        needs_more_than: Its value needs more events than so many after its own.
        needs_at_most: With so many events after its own its value was the same; None = with none.
        fields: In how many compared packets a field differs, by its kind, in all prefixes together, the
            fields of the first difference first.
        unstable: The first difference between two runs over the same prefix; None = there is none.
        unstable_fields: Fields that differ between these, by kind.
        notes: What a user should know of how it was done.
    """

    events: int = 0
    packets: int = 0
    features: int = 0
    fills: int = 0
    prefixes: list[Prefix] = field(default_factory=list)
    first: Difference | None = None
    needs_more_than: int = 0
    needs_at_most: int | None = None
    fields: dict[str, int] = field(default_factory=dict)
    unstable: Difference | None = None
    unstable_fields: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether nothing was found, neither look-ahead nor chance."""
        return self.first is None and self.unstable is None


def find_lookahead(
    run: PrefixRun,
    *,
    cuts: int = 5,
    at: Sequence[int] = (),
    spare: int = 0,
    narrow: bool = False,
    again: PrefixRun | None = None,
    settle: Callable[[Sequence[int]], Sequence[int]] | None = None,
) -> Lookahead:
    """Run all events and some prefixes of them, and say what is not the same.

    Args:
        run: Runs a prefix. Everything must be made anew in it, from the first events alone, and the
            name of the run must always be the same.
        cuts: How many prefixes, spread over the run; each ends at a fill or an order if one is near.
        at: Prefixes of exactly these events, instead.
        spare: Events at the end of each prefix that are not compared: for a source that needs the
            rows after an event to make it.
        narrow: Run further prefixes to learn how much of the future is needed.
        again: Runs the shortest prefix a second time, to see whether it gives the same; None = `run`.
        settle: Moves prefixes to where they can end.

    Raises:
        ConfigError: An argument makes no sense, or the run has no events or another name each time.

    >>> from ami_engine.loop.run_loop import run_loop
    >>> from ami_engine.sim.paper_broker import PaperBroker
    >>> from ami_engine.testing import ListSource, book
    >>> prices = [0.4, 0.41, 0.43, 0.42, 0.44, 0.45]
    >>> def run(events, folder):
    ...     seen = prices[:events]  # None = all
    ...     source = ListSource(
    ...         {**book(p, p + 0.02), "ts_ms": 1000 * i, "z": p - max(seen)} for i, p in enumerate(seen)
    ...     )
    ...     return run_loop(source, PaperBroker(), run_id="r", output_dir=folder)
    >>> found = find_lookahead(run, at=(2, 4))
    >>> found.first.event, found.first.field, found.needs_more_than, found.needs_at_most
    (1, 'input extra.z', 3, 5)
    """
    _check(cuts, at, spare)
    result = Lookahead()
    with tempfile.TemporaryDirectory(prefix="mdm-lookahead-") as name:
        folder = Path(name)
        summary = _run(run, None, folder / "whole")
        whole = Path(summary["run_dir"]) / TRACES
        result.events = summary["steps"]
        whole_data = summary["ended"] != "steps"
        ends = _place(result, whole, cuts, at, whole_data=whole_data)
        if settle is not None:
            ends = [end for end in settle(ends) if end <= result.events - whole_data]
        ends = [end for end in ends if end > spare]
        if not ends:
            raise ConfigError(f"a run of {result.events} events has no prefix to check: give it more events")
        runs = _Prefixes(run, again or run, whole, folder / "prefix", spare)
        for number, end in enumerate(sorted(set(ends))):
            result.prefixes.append(runs.compare(result, end, twice=number == 0))
        if result.prefixes and all(prefix.failed for prefix in result.prefixes):
            raise ConfigError(f"no prefix can be run: {result.prefixes[0].failed}")
        result.fields = dict(runs.fields)
        _conclude(result, whole_data=whole_data)
        if narrow and result.first is not None:
            _narrow(result, result.first, runs, settle)
    return result


def _check(cuts: int, at: Sequence[int], spare: int) -> None:
    if not 1 <= cuts <= MAX_CUTS or len(at) > MAX_CUTS:
        raise ConfigError(f"cuts is {max(cuts, len(at))}: give a number from 1 to {MAX_CUTS}")
    if spare < 0:
        raise ConfigError(f"spare is {spare}: give a number of events, 0 or more")
    for end in at:
        if end < 1:
            raise ConfigError(f"a prefix of {end} events was asked for: give at least 1")


def _run(run: PrefixRun, events: int | None, folder: Path) -> Mapping[str, Any]:
    summary = run(events, folder)
    if str(summary["ended"]).startswith("signal:"):
        raise KeyboardInterrupt
    return summary


# ---------------------------------------------------------------- where prefixes end


def _place(result: Lookahead, whole: Path, cuts: int, at: Sequence[int], *, whole_data: bool) -> list[int]:
    """Choose where the prefixes end, and count what the whole run has.

    Of a run that took all data the whole is no prefix of its own; one that ended before is.
    """
    parts = cuts + 1 if whole_data else cuts
    even = [max(1, round(result.events * i / parts)) for i in range(1, cuts + 1)]
    most = result.events - whole_data
    window = max(1, result.events // (2 * parts))
    wanted = [(end, min(end + window, most)) for end in sorted(set(even)) if end <= most and not at]
    ends = [end for end in at if end <= most]
    event, best, best_score = 0, 0, -1
    with whole.open("rb") as lines:
        for line in lines:
            result.packets += 1
            fills = fills_in(line)
            result.fills += fills
            if not is_event(line):
                continue
            event += 1
            if not wanted or event < wanted[0][0]:
                continue
            score = 2 if fills else int(SENT in line)
            if score > best_score:
                best, best_score = event, score
            if score == 2 or event >= wanted[0][1]:
                ends.append(best)
                best_score = -1
                while wanted and wanted[0][0] <= event:
                    wanted.pop(0)
    if not result.events or not ends:
        told = ", ".join(map(str, at))
        asked = f"a prefix of {told} events is none of" if at else "there are no prefixes of"
        raise ConfigError(f"{asked} a run of {result.events} events: give it more events")
    result.features = len(feature_names(whole, _FEATURES_FROM))
    return ends


# ---------------------------------------------------------------- runs over prefixes


class _Prefixes:
    """Runs prefixes and compares each with the whole run; its trace is removed after that."""

    def __init__(self, run: PrefixRun, again: PrefixRun, whole: Path, folder: Path, spare: int) -> None:
        self._run, self._again, self._whole, self._folder = run, again, whole, folder
        self._chain = read_manifest(whole.parent)["chain"]
        self._spare = spare
        self._counts: Callable[[Field], bool] | None = None
        self.fields: Counter[str] = Counter()

    def compare(self, result: Lookahead, end: int, *, twice: bool = False) -> Prefix:
        """Run a prefix, twice where asked, and compare."""
        prefix = Prefix(end)
        try:
            with self._traced(self._run, end, "one") as (summary, trace):
                if summary["steps"] < end:
                    prefix.ended_early = _how(summary)
                if twice:
                    self._judge_chance(result, end, trace)
                found = compare_traces(self._whole, trace, end - self._spare, counts=self._counts)
        except MdmError as error:
            if isinstance(error, _NotTheSame):
                raise
            prefix.failed = str(error)
            return prefix
        prefix.packets, prefix.fills, prefix.first = found.packets, found.fills, found.first
        prefix.differing = found.differing
        self.fields.update(found.fields)
        return prefix

    def same(self, end: int, step: int) -> bool:
        """Tell whether a prefix gives the packets up to a step."""
        with self._traced(self._run, end, "one") as (_, trace):
            return compare_traces(self._whole, trace, end, counts=self._counts, until=step).first is None

    def _judge_chance(self, result: Lookahead, end: int, trace: Path) -> None:
        """Run the same prefix again: what differs then says nothing of the future."""
        with self._traced(self._again, end, "two") as (_, other):
            found: Compared = compare_traces(trace, other, end)
        if found.first is None:
            return
        result.unstable, result.unstable_fields = found.first, dict(found.fields)
        unstable = frozenset(found.fields)
        # What depends on our own orders may differ by chance; the market and its features may not.
        self._counts = lambda named: (
            named.kind not in unstable and (named.part == "input" or named.kind in _MARKET_FEATURES)
        )

    def _check_same(self, chain: Mapping[str, str]) -> None:
        if chain["run_id"] != self._chain["run_id"]:
            names = f"{self._chain['run_id']!r} and {chain['run_id']!r}"
            raise _NotTheSame(
                f"the runs are named {names}: give run_loop one run_id for all; order ids are made of it"
            )
        if chain["code_sha256"] != self._chain["code_sha256"]:
            raise _NotTheSame("the code of the engine was changed during the check: start it again")

    @contextmanager
    def _traced(self, run: PrefixRun, end: int, name: str) -> Iterator[tuple[Mapping[str, Any], Path]]:
        folder = self._folder / name
        try:
            summary = _run(run, end, folder)
            run_dir = Path(summary["run_dir"])
            self._check_same(read_manifest(run_dir)["chain"])
            yield summary, run_dir / TRACES
        finally:
            shutil.rmtree(folder, ignore_errors=True)


class _NotTheSame(ConfigError):
    """The runs cannot be compared."""


def _how(summary: Mapping[str, Any]) -> str:
    words = [str(summary["ended"]), *map(str, summary.get("source_errors", ()))]
    return ": ".join(word for word in words if word)


# ---------------------------------------------------------------- what it means


def _conclude(result: Lookahead, *, whole_data: bool) -> None:
    """Choose the earliest difference, and bound how much of the future it needs."""
    found = [(prefix.first.step, prefix.events, prefix.first) for prefix in result.prefixes if prefix.first]
    if not found:
        return
    _, _, first = min(found, key=lambda each: each[:2])
    result.first = first
    most = result.events - first.event if whole_data else None
    for prefix in result.prefixes:
        after = prefix.events - first.event
        if prefix.failed or after < 0:
            continue
        if prefix.first is not None and prefix.first.step == first.step:
            result.needs_more_than = max(result.needs_more_than, after)
        else:
            most = after if most is None else min(most, after)
    result.needs_at_most = most


def _narrow(
    result: Lookahead,
    first: Difference,
    runs: _Prefixes,
    settle: Callable[[Sequence[int]], Sequence[int]] | None,
) -> None:
    """Search for the shortest prefix that gives the packet of the first difference: farther, then nearer."""
    beyond = result.events - first.event + 1
    low, high = result.needs_more_than, beyond if result.needs_at_most is None else result.needs_at_most
    stride, known = 1, False
    for _ in range(MAX_NARROWING_RUNS):
        if high - low <= 1:
            break
        guess = (low + high) // 2 if known else min(low + stride, high - 1)
        stride *= 2
        end = first.event + guess
        if settle is not None:
            settled = settle([end])
            end = settled[0] if settled else end
            if not low < end - first.event < high:
                break
        try:
            same = runs.same(end, first.step)
        except MdmError:
            break
        if same:
            high, known = end - first.event, True
        else:
            low = end - first.event
    result.needs_more_than, result.needs_at_most = low, None if high == beyond else high
