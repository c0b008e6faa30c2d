"""The files of a config, cut for a look-ahead check: copies in a folder of their own."""

import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from ami_engine.adapters.captured.capture_peek import ROWS_PEEKED
from ami_engine.adapters.lobster import PEEKED_ROWS
from ami_engine.adapters.tables.table_source import SAMPLE_ROWS
from ami_engine.assembly import FORMATS
from ami_engine.cli.named_files import file_named, texts_in, with_texts, without
from ami_engine.config import RunConfig
from ami_engine.replay.row_files import (
    Kind,
    RowTest,
    copy_parquet,
    copy_rows,
    copy_while,
    kind_of_file,
    not_blank,
)
from ami_engine.replay.row_times import RowTime
from ami_engine.replay.walk import Mark
from decision_schema.units import UnixNs

End: TypeAlias = int
"""Rows that a source has read, or the time of its last event."""

_LOOKED_AT = {"csv": SAMPLE_ROWS + 1, "parquet": SAMPLE_ROWS, "lobster": PEEKED_ROWS}
"""First rows by which a format of ours knows a file, ROWS_PEEKED for captures: a copy holds these."""
MAX_BESIDE = 1_000
"""Files beside a data file that are linked into the folder of its copy."""
_FILES, _OPENING_BOOK, _BOOK = "files", "opening_book", "orderbook"
_MICRO = 1_000


@dataclass
class DataFile:
    """A file that the params of a source name.

    Args:
        path: The file.
        copy: What the runs read in its place.
        key: The param that names it.
        kind: How it can be cut.
        header: The row that names the columns; None = none, or not known.
        row_time: Where its rows tell their time; None = not known.
    """

    path: Path
    copy: Path
    key: str
    kind: Kind
    header: str | None = None
    row_time: RowTime | None = None


@dataclass
class Lane:
    """One source of the config, and its files.

    Args:
        number: Its place among the sources.
        source: A format of ours, or ``module:name``.
        files: In the order of the params.
        by: How its files are cut: ``event`` = after the row of an event, ``time`` = after the rows up
            to its time, ``rows`` = after so many rows as give so many events; empty = they are not.
        uses_receipt: The time of the rows is our time of receipt, not the venue's.
    """

    number: int
    source: str
    files: list[DataFile] = field(default_factory=list)
    by: str = ""
    uses_receipt: bool = False

    @property
    def ours(self) -> bool:
        """Whether it is a format of ours, which tells how far it has read."""
        return self.source in FORMATS

    def time_of(self, mark: Mark) -> UnixNs | None:
        """Give the time by which its files are cut."""
        return mark.received_ns if self.uses_receipt else mark.ts_ns


class CutFiles:
    """All data files of a config, and what the runs of a check read in their place.

    The runs over all events and over each prefix find the files under the same names.

    Args:
        config: The config.
        folder: A new folder for the copies.
        whole: Files that are left whole, such as a calendar.

    Attributes:
        lanes: The sources of the config; none = the simulator.
        config: The config with copies in the place of the files.
        ends: By the events of a prefix, where the files of each lane are cut.
        notes: What a user should know.
    """

    def __init__(self, config: RunConfig, folder: Path, whole: Sequence[Path] = ()) -> None:
        self._given, self._folder = config, folder
        self._left_whole = {path.resolve() for path in whole}
        self._folders: dict[Path, Path] = {}
        self._copies: dict[Path, Path] = {}
        self.notes: list[str] = []
        self.ends: dict[int, list[End]] = {}
        section = config.data
        entries = [(entry.source, entry.params) for entry in section.sources]
        if not entries and section.source != "sim":
            entries = [(section.source, section.params)]
        self.lanes = [self._lane(number, source, params) for number, (source, params) in enumerate(entries)]
        self.config = self._with_copies()
        self.show_whole()
        self._tell_others()

    def _lane(self, number: int, source: str, params: Mapping[str, Any]) -> Lane:
        lane = Lane(number, source)
        for key, text in texts_in(params):
            named = file_named(text)
            if named is None or (lane.ours and key not in (_FILES, _OPENING_BOOK, _BOOK)):
                continue
            path = named.resolve()
            if path in self._left_whole:
                continue
            kind: Kind = kind_of_file(path)
            if kind == "other":
                self.notes.append(f"{named.name} is no table of rows: it is not cut")
                continue
            copy = self._copies.setdefault(path, self._folder_for(named) / named.name)
            lane.files.append(DataFile(path, copy, key, kind))
        lane.by = "event" if lane.ours and lane.files else ""
        return lane

    def _folder_for(self, named: Path) -> Path:
        """Give the folder that stands for that of a file; what lies beside the file is linked there."""
        folder = self._folders.get(named.parent)
        if folder is None:
            folder = self._folders[named.parent] = self._folder / f"data{len(self._folders) + 1}"
            folder.mkdir(parents=True)
            with suppress(OSError):  # a system without links: such files are not found
                for other in islice(named.parent.iterdir(), MAX_BESIDE):
                    (folder / other.name).symlink_to(other)
        return folder

    def _with_copies(self) -> RunConfig:
        """Give the config with copies in place of the files that its params name."""

        def change(text: str) -> str:
            named = file_named(text) if self._copies else None
            return text if named is None else str(self._copies.get(named.resolve(), text))

        replace = msgspec.structs.replace
        config, section = self._given, self._given.data
        return replace(
            config,
            data=replace(
                section,
                params=with_texts(section.params, change),
                sources=[
                    replace(entry, params=with_texts(entry.params, change)) for entry in section.sources
                ],
            ),
            model=replace(config.model, params=with_texts(config.model.params, change)),
            broker=replace(config.broker, params=with_texts(config.broker.params, change)),
        )

    def _tell_others(self) -> None:
        """Say which other files the params name: what they know of the future stays."""
        config = self._given
        for place, values in (
            ("model.params", config.model.params),
            ("broker.params", config.broker.params),
            ("broker.paper", msgspec.structs.asdict(config.broker.paper)),
        ):
            for key, text in texts_in(values):
                named = file_named(text)
                if named is not None and named.resolve() not in self._copies:
                    self.notes.append(
                        f"{place}.{key} names {named.name}, which is not cut: what it knows of the future is "
                        "not seen"
                    )

    def show_whole(self) -> None:
        """Put the whole files in place."""
        for path, copy in self._copies.items():
            copy.unlink(missing_ok=True)
            try:
                copy.symlink_to(path)
            except OSError:
                shutil.copyfile(path, copy)

    def show(self, events: int | None) -> RunConfig:
        """Put the files of a prefix in place, None = all; give the config whose sources read them."""
        self.show_whole()
        if events is None:
            return self.config
        empty: set[str] = set()
        for lane, end in zip(self.lanes, self.ends.get(events, ()), strict=False):
            empty |= self._cut(lane, end)
        replace = msgspec.structs.replace
        section = self.config.data
        return replace(
            self.config,
            data=replace(
                section,
                sim=replace(section.sim, num_events=min(events, section.sim.num_events)),
                params=without(section.params, empty),
                sources=[replace(entry, params=without(entry.params, empty)) for entry in section.sources],
            ),
        )

    def _cut(self, lane: Lane, end: End) -> set[str]:
        """Cut the files of a lane; return the copies without any row."""
        if lane.by == "event":
            return _cut_ours(lane, end)
        empty = set()
        for file in lane.files:
            if lane.by == "rows":
                rows = copy_first(file, end)
            elif lane.by == "time" and file.row_time is not None:
                file.copy.unlink(missing_ok=True)
                rows = copy_while(file.path, file.copy, _until(file.row_time, end))
            else:
                continue
            if rows == 0:
                empty.add(str(file.copy))
        return empty


def copy_first(file: DataFile, rows: int, counts: RowTest | None = None) -> int:
    """Put a copy with the first rows in place; return how many rows counted."""
    file.copy.unlink(missing_ok=True)
    if file.kind == "parquet":
        return copy_parquet(file.path, file.copy, rows)
    return copy_rows(file.path, file.copy, rows, counts)


def _cut_ours(lane: Lane, rows: int) -> set[str]:
    """Cut the files of a format of ours, read one after the other, and the books beside them.

    The rows that it looks at first are always there: it takes no more events than it should.
    """
    empty: set[str] = set()
    done: list[int] = []
    least = _LOOKED_AT.get(lane.source, ROWS_PEEKED)
    for file in (file for file in lane.files if file.key == _FILES):
        left = max(0, rows - sum(done))
        kept = max(left, least) if left or not done else 0
        done.append(min(left, copy_first(file, kept, _row_test(lane, file))))
        if not kept:
            empty.add(str(file.copy))
    for key in (_OPENING_BOOK, _BOOK):
        beside = [file for file in lane.files if file.key == key]
        for number, (file, count) in enumerate(zip(beside, done, strict=False)):
            kept = max(count, least) if count or number == 0 else 0
            copy_first(file, kept, not_blank)
            if not kept:
                empty.add(str(file.copy))
    return empty


def _row_test(lane: Lane, file: DataFile) -> RowTest | None:
    """Tell which rows a format of ours counts; None = all."""
    if lane.source == "lobster":
        return not_blank
    if lane.source == "csv":
        return lambda text: not_blank(text) and text != file.header
    return None


def _until(row_time: RowTime, end_ns: UnixNs) -> RowTest:
    def keep(text: str) -> bool:
        stamp = row_time.of(text)
        return stamp is None or stamp // _MICRO <= end_ns // _MICRO

    return keep
