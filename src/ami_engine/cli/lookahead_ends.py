"""Where prefixes of recorded data can end, so that each file is cut between two of its rows."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

from ami_engine.adapters.csv_source import CsvSource
from ami_engine.adapters.files.first_rows import first_rows
from ami_engine.assembly import make_source, make_sources
from ami_engine.cli.lookahead_files import CutFiles, DataFile, End, Lane, copy_first
from ami_engine.ports import MarketDataSource
from ami_engine.replay.row_times import ROWS_TRIED, RowTime, find_row_time
from ami_engine.replay.walk import At, Mark, count_events, walk
from decision_schema.errors import MarketDataError, MdmError
from decision_schema.units import UnixNs

MAX_SEARCHES = 6
"""Copies that are tried to find how many rows give so many events."""
MAX_STAMPS = 1_000
"""First events whose times are looked for in the rows."""


class Ends:
    """Finds how the files of a config can be cut, and moves the ends of prefixes to where they can.

    Args:
        files: The files; how each prefix is cut is noted there.
    """

    def __init__(self, files: CutFiles) -> None:
        self._files = files
        self._prepared = False

    def settle(self, ends: Sequence[int]) -> list[int]:
        """Move ends, in events, to where all files can be cut.

        Raises:
            MdmError: A source cannot be made.
        """
        files = self._files
        files.show_whole()
        if not any(lane.files for lane in files.lanes):
            return list(ends)
        sources = make_sources(files.config)
        if not self._prepared:
            self._prepared = True
            for lane, source in zip(files.lanes, sources, strict=True):
                self._prepare(lane, source)
        if [lane.by for lane in files.lanes] == ["rows"]:
            return self._settle_by_rows(files.lanes[0], ends)
        return self._settle_by_events(sources, ends)

    def _prepare(self, lane: Lane, source: MarketDataSource) -> None:
        """Find out once how the files of a source can be cut."""
        if lane.ours:
            if isinstance(source, CsvSource):
                for file in lane.files:
                    file.header = source.look_at(file.copy).header
            return
        if not lane.files:
            return
        if self._find_times(lane):
            lane.by = "time"
            return
        names = ", ".join(dict.fromkeys(file.copy.name for file in lane.files))
        if len(self._files.lanes) == 1 and len({file.path for file in lane.files}) == 1:
            lane.by = "rows"
            self._files.notes.append(
                f"{names}: its rows do not tell the times of the events, so it is cut after so many rows as "
                "give the events: an event that comes too late, or not at all, is not seen"
            )
            return
        self._files.notes.append(
            f"{names}: not cut, for the rows do not tell the times of the events: what {lane.source} or the "
            "model reads ahead in it is not seen"
        )

    def _find_times(self, lane: Lane) -> bool:
        """Find where the rows of each text tell the times of the events."""
        source = make_source(lane.source, self._params_of(lane))
        marks = [at.mark for at in islice(walk([source]), MAX_STAMPS)]
        for lane.uses_receipt in (False, True):
            stamps = [stamp for mark in marks if (stamp := lane.time_of(mark)) is not None]
            found = [_row_time(file, stamps) for file in lane.files]
            if any(found):
                for file, row_time in zip(lane.files, found, strict=True):
                    file.row_time = row_time
                    if row_time is None:
                        self._files.notes.append(
                            f"{file.copy.name}: not cut, for its rows do not tell the times of events"
                        )
                return True
        return False

    def _params_of(self, lane: Lane) -> dict[str, Any]:
        section = self._files.config.data
        return dict(section.sources[lane.number].params if section.sources else section.params)

    def _settle_by_events(self, sources: Sequence[MarketDataSource], ends: Sequence[int]) -> list[int]:
        """Walk over the events, and stop at the first clean place at or behind each end."""
        lanes = self._files.lanes
        settled: list[int] = []
        wanted = sorted(set(ends))
        last: list[End] = [0] * len(lanes)
        latest: list[Mark | None] = [None] * len(lanes)
        for at in walk(sources):
            lane = lanes[at.lane]
            latest[at.lane] = at.mark
            last[at.lane] = max(
                last[at.lane], at.mark.rows if lane.by == "event" else lane.time_of(at.mark) or 0
            )
            if at.number >= wanted[0] and _is_clean(lanes, at, latest, last):
                self._files.ends[at.number] = list(last)
                settled.append(at.number)
                wanted = [end for end in wanted if end > at.number]
                if not wanted:
                    break
        return settled

    def _settle_by_rows(self, lane: Lane, ends: Sequence[int]) -> list[int]:
        """Find for each end how many rows give so many events; it may be a few less or more."""
        settled = set()
        for end in ends:
            rows, events = end + 1, 0
            for _ in range(MAX_SEARCHES):
                for file in lane.files:
                    copy_first(file, rows)
                try:
                    events = count_events(make_source(lane.source, self._params_of(lane)), 2 * end)
                except MdmError:
                    events = 0
                if events == end:
                    break
                tried, rows = rows, max(1, round(rows + (end - events) * rows / max(1, events)))
                if events:
                    self._files.ends[events] = [tried]
            if events:
                self._files.ends[events] = [rows] if events == end else self._files.ends[events]
                settled.add(events)
        self._files.show_whole()
        return sorted(settled)


def _is_clean(lanes: Sequence[Lane], at: At, latest: Sequence[Mark | None], last: Sequence[End]) -> bool:
    """Tell whether the events so far are those before some row of each file, whatever comes behind it."""
    for lane, mark, end, following in zip(lanes, latest, last, at.following, strict=True):
        if following is None:
            continue
        if lane.by == "time":
            stamp = lane.time_of(following)
            if stamp is None or stamp <= end:
                return False
        if len(lanes) > 1 and mark is not None and _order(following) < _order(mark):
            return False  # the merging sees the next one, and takes this one sooner
    return True


def _order(mark: Mark) -> int:
    return -1 if mark.event.stamp_ns is None else mark.event.stamp_ns


def _row_time(file: DataFile, stamps: Sequence[UnixNs]) -> RowTime | None:
    if file.kind != "text" or not stamps:
        return None
    try:
        rows = first_rows(file.path, ROWS_TRIED)
    except MarketDataError:
        return None
    return find_row_time((text for _, text in rows), stamps)
