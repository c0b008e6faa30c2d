"""RecordedSource: what every source of recorded files has in common.

A format reads its rows and yields dicts; here stand the rules for rows that cannot be used, the
counts, and the order of the files.
"""

import os
import re
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from ami_engine.ports import MarketDataSource, RunContext
from decision_schema.errors import ConfigError, MarketDataError
from decision_schema.units import NS_PER_MS

OnDefect: TypeAlias = Literal["hold", "skip", "stop"]
OnRepeat: TypeAlias = Literal["keep", "hold", "skip"]
Opening: TypeAlias = Literal["snapshot", "empty"]
Files: TypeAlias = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

MAX_OFFSET_MS = 366 * 86_400_000
MAX_RAW_CHARACTERS = 512
"""Characters of an unreadable row that its packet keeps."""
_STAMPS = ("received_ns", "received_ms", "ts_ns", "ts_ms")
_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


class RecordedSource(MarketDataSource):
    """Yield the events of one or several files, read one after the other as one stream.

    A format implements `rows_of`. A row that cannot be used becomes an event that holds (or is
    skipped, or ends the run); what a file gave before it broke is kept.

    Args:
        files: Path or paths; ``${NAME}`` stands for an environment variable, ``${NAME:-text}``
            for it or the text.
        market_id: Name of the market; empty = as the data or the config says.
        clock_offset_ms: Added to the venue's times.
        defects: What becomes of a row that cannot be used: ``hold`` = an event that holds, ``skip``
            = counted only, ``stop`` = the data end there with an error.
        repeats: What becomes of a row that equals the one before it: ``keep`` = used, and counted;
            ``hold`` = an event that holds; ``skip`` = counted only.
        opening: ``snapshot`` = changes wait for a snapshot of the book; ``empty`` = the book is taken
            to be empty at the start, so that levels never touched since stay unknown.

    Raises:
        ConfigError: No file is named, a variable is not set, or an argument is none of the above.
        MarketDataError: A file is missing, empty or not readable.
    """

    def __init__(
        self,
        files: Files,
        *,
        market_id: str = "",
        clock_offset_ms: float = 0,
        defects: OnDefect = "hold",
        repeats: OnRepeat = "keep",
        opening: Opening = "snapshot",
    ) -> None:
        given = [files] if isinstance(files, str | os.PathLike) else list(files)
        if not given:
            raise ConfigError("files is empty: give at least one path")
        self.files = [expand_path(file) for file in given]
        for file in self.files:
            check_file(file)
        if not isinstance(market_id, str) or len(market_id) > 128 or not (market_id + " ").isprintable():
            raise ConfigError(
                f"market_id is {market_id!r:.80}: give a text of at most 128 printable characters"
            )
        self.market_id = market_id
        number = isinstance(clock_offset_ms, int | float) and not isinstance(clock_offset_ms, bool)
        if not (number and abs(clock_offset_ms) <= MAX_OFFSET_MS):
            raise ConfigError(
                f"clock_offset_ms is {clock_offset_ms!r}: give milliseconds, at most a year either way"
            )
        self.clock_offset_ns = round(clock_offset_ms * NS_PER_MS)
        self.defects = one_of("defects", defects, OnDefect)
        self.repeats = one_of("repeats", repeats, OnRepeat)
        self.opening = one_of("opening", opening, Opening)
        self._start()

    def _start(self) -> None:
        self.rows = 0
        self.events = 0
        self._unused: set[str] = set()
        self.counts: Counter[str] = Counter()
        self.hints: list[str] = []
        self._done_files = 0
        self._events: Iterator[Mapping[str, Any]] | None = None

    @abstractmethod
    def rows_of(self, file: Path) -> Iterator[Mapping[str, Any] | None]:
        """Yield the events of one file, None for a row that gives none.

        It counts `rows` itself, and hands a row that cannot be used to `unusable`.

        Raises:
            MarketDataError: The file cannot be read, or not on from here.
        """

    def opening_markets(self) -> Sequence[str]:
        """Return the markets whose book is taken to be empty at the start; empty = the run's only one."""
        return [self.market_id]

    def fraction_of(self, file: Path) -> float:
        """Return the part of the present file that has been read."""
        return 0.0

    def open(self, context: RunContext) -> None:
        """Begin anew."""
        self._start()

    def next_event(self) -> Mapping[str, Any] | None:
        """Return the next event; after an error, None: what came before it is kept.

        Raises:
            MarketDataError: A file is cut or damaged; the message names the row and the remedy.
        """
        if self._events is None:
            self._events = self._all()
        for event in self._events:
            self.events += 1
            return event
        return None

    def _all(self) -> Iterator[Mapping[str, Any]]:
        opened = self.opening == "snapshot"
        for number, file in enumerate(self.files):
            self._done_files = number
            for event in self.rows_of(file):
                if event is None:
                    continue
                stamps = {name: event[name] for name in _STAMPS if event.get(name) is not None}
                if not opened and stamps:
                    opened = True
                    for name in self.opening_markets():
                        market = {"market_id": name} if name else {}
                        yield {**market, **stamps, "channel": "opening", "bids": [], "asks": []}
                yield event
        self._done_files = len(self.files)

    def unusable(self, reason: str, row: int, raw: str) -> Mapping[str, Any] | None:
        """Judge a row that cannot be used, by the policy: an event that holds, None, or an error.

        Args:
            reason: What is wrong, as a code with its subject: ``torn_row``, ``bad_number:price``.
            row: Number of the row in its file, 1 first.
            raw: The row as text.
        """
        self.counts[reason] += 1
        self._unused.add(reason)
        if self.defects == "stop":
            raise MarketDataError(
                f"{self.files[self._done_files].name}: row {row}: {reason}: {raw[:80]!r}; mend the row, or "
                "set defects = 'hold' to go on with a packet that holds"
            )
        if self.defects == "skip":
            return None
        return self._held(reason, row, raw)

    def lost(self, reason: str, rows: int) -> None:
        """Count rows that a damaged file does not give."""
        self.counts[reason] += rows
        self._unused.add(reason)

    def repeated(self, row: int, raw: str, event: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Judge a row that equals the one before it, by the policy."""
        self.counts["repeated_row"] += 1
        self._unused.add("repeated_row")
        if self.repeats == "keep":
            return event
        return self._held("repeated_row", row, raw) if self.repeats == "hold" else None

    def _held(self, reason: str, row: int, raw: str) -> Mapping[str, Any]:
        market = {"market_id": self.market_id} if self.market_id else {}
        return {**market, "defect": reason, "row": row, "raw": raw[:MAX_RAW_CHARACTERS]}

    def hint(self, text: str) -> None:
        """Remember something a user should know of the data, once."""
        if text not in self.hints:
            self.hints.append(text)

    def progress(self) -> float | None:
        """Return the part of all files that has been read."""
        if self._done_files >= len(self.files):
            return 1.0
        return (self._done_files + self.fraction_of(self.files[self._done_files])) / len(self.files)

    def quality(self) -> dict[str, Any]:
        """Return rows read, events given, rows by defect, remarks that are none, and hints."""
        found = self.counts.most_common()
        return {
            "source": type(self).__name__,
            "files": [file.name for file in self.files],
            "rows": self.rows,
            "events": self.events,
            "defects": {code: count for code, count in found if code in self._unused},
            "remarks": {code: count for code, count in found if code not in self._unused},
            "hints": list(self.hints),
        }


def one_of(name: str, value: Any, choices: Any) -> Any:
    """Return a value that is one of the choices of a Literal.

    Raises:
        ConfigError: It is none of them.
    """
    known = get_args(choices)
    if value not in known:
        raise ConfigError(f"{name} is {value!r}: give one of {', '.join(known)}")
    return value


def expand_path(path: str | os.PathLike[str]) -> Path:
    """Put environment variables and the home folder into a path.

    >>> expand_path("${MDM_NO_SUCH_VARIABLE:-data}/a.csv").as_posix()
    'data/a.csv'

    Raises:
        ConfigError: A variable is not set and no text stands for it.
    """

    def value(found: re.Match[str]) -> str:
        text = os.environ.get(found[1], found[2])
        if text is None:
            raise ConfigError(
                f"path {os.fspath(path)!r}: the environment variable {found[1]} is not set: export it"
            )
        return text

    return Path(_VARIABLE.sub(value, os.fspath(path))).expanduser()


def check_file(file: Path) -> None:
    """Refuse a path that is no readable file with content.

    Raises:
        MarketDataError: It is missing, a folder, empty or not readable.
    """
    if file.is_dir():
        raise MarketDataError(f"{file} is a folder: name the file in it")
    try:
        with file.open("rb") as stream:
            first = stream.read(1)
    except FileNotFoundError:
        raise MarketDataError(f"{file} does not exist: check the path and MDM_DATA") from None
    except OSError as error:
        raise MarketDataError(f"{file} cannot be read: {error.strerror}") from None
    if not first:
        raise MarketDataError(f"{file} is empty: it holds no row; download it again") from None
