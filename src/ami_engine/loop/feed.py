"""How the driver takes events: from a source, from several merged by time, or from threads."""

import queue
import threading
from collections import deque
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from ami_engine.loop.receive import receive
from ami_engine.ports import MarketDataSource, OrderVenue
from decision_schema.events import Event

QUEUE_EVENTS = 10_000
"""Events that may wait for the loop; then the reader waits, nothing is dropped."""
TAKE_SECONDS = 0.05
PAUSE_AFTER_FAILURE_SECONDS = 0.05


class Failure(NamedTuple):
    """The source raised instead of giving an event."""

    error: Exception


class _Escaped(NamedTuple):
    """What is no Exception left the source, such as SystemExit."""

    error: BaseException


class _Mark:
    """A value that no source can yield."""


END: Final = _Mark()
"""There are no more events."""
NOTHING: Final = _Mark()
"""No event is there yet."""
Taken: TypeAlias = Event | Failure | _Mark
_NO_EVENT = (Failure, _Mark)


class Tap(NamedTuple):
    """One source, and the market of its events that name none."""

    source: MarketDataSource
    default_market: str

    def ask(self) -> Any:
        """Give an event as the source yields it, or a Failure or END."""
        try:
            raw = self.source.next_event()
        except Exception as error:  # noqa: BLE001 - user code: a failing source is counted, and asked again
            return Failure(error)
        return END if raw is None else raw

    def decode(self, asked: Any) -> Taken:
        """Turn what the source yields into an event."""
        if isinstance(asked, _NO_EVENT):
            return asked
        return receive(asked, self.default_market, self.source.clock_offset_ns)


class Feed(Protocol):
    """What the driver asks for the next input."""

    def take(self) -> Taken:
        """Give an event, or a Failure, END or NOTHING."""

    def close(self) -> None:
        """Stop taking."""


class DirectFeed:
    """Asks one source when the loop is ready: for recorded and simulated data."""

    def __init__(self, tap: Tap) -> None:
        self._tap = tap

    def take(self) -> Taken:
        """Give the next event, or a Failure or END."""
        return self._tap.decode(self._tap.ask())

    def close(self) -> None:
        """Do nothing: there is no thread to stop."""


class MergedFeed:
    """Merges several sources of recorded data into one stream, in the order of their stamps.

    Of equal stamps the source named first goes first, and the order within a source is never
    changed. What carries no stamp goes at once. Each source is read two events ahead: an event
    whose stamp is above that of the next one waits no longer than the next one would, so that one
    wrong stamp does not hold a source back. A simulated market that takes our orders is read one
    event ahead: it must not go on before it has them.
    """

    def __init__(self, taps: Sequence[Tap]) -> None:
        self._lanes: list[tuple[Tap, deque[Taken], int]] = [
            (tap, deque(), 1 if isinstance(tap.source.venue, OrderVenue) else 2) for tap in taps
        ]

    def take(self) -> Taken:
        """Give the next event of all, or a Failure or END."""
        first: deque[Taken] | None = None
        first_ns = 0
        for tap, ahead, depth in self._lanes:
            while len(ahead) < depth and not (ahead and ahead[-1] is END):
                taken = tap.decode(tap.ask())
                if isinstance(taken, Failure):
                    return taken
                ahead.append(taken)
            if ahead[0] is END:
                continue
            due_ns = min(_stamp_of(taken) for taken in ahead)
            if first is None or due_ns < first_ns:
                first, first_ns = ahead, due_ns
        return END if first is None else first.popleft()

    def close(self) -> None:
        """Do nothing: there is no thread to stop."""


_NEVER_NS = 2**63


def _stamp_of(taken: Taken) -> int:
    if not isinstance(taken, Event):
        return _NEVER_NS
    return -1 if taken.stamp_ns is None else taken.stamp_ns


class PumpedFeed:
    """Reads live sources in threads into one bounded queue: timers and signals never wait for them."""

    def __init__(self, taps: Sequence[Tap]) -> None:
        self._queue: queue.Queue[Any] = queue.Queue(QUEUE_EVENTS)
        self._stop = threading.Event()
        self._running = len(taps)
        self._threads = [
            threading.Thread(target=self._pump, args=(tap,), name=f"mdm-source-{number}", daemon=True)
            for number, tap in enumerate(taps)
        ]
        for thread in self._threads:
            thread.start()

    def take(self) -> Taken:
        """Give the next event in the order of arrival, or NOTHING after a short wait."""
        try:
            tap, item = self._queue.get(timeout=TAKE_SECONDS)
        except queue.Empty:
            return NOTHING
        if isinstance(item, _Escaped):
            raise item.error
        if item is END:
            self._running -= 1
            return END if self._running == 0 else NOTHING
        taken: Taken = tap.decode(item)
        return taken

    def close(self) -> None:
        """Ask the threads to end; one that hangs in its source is left behind."""
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=1.0)

    def _pump(self, tap: Tap) -> None:
        while not self._stop.is_set():
            item: Any
            try:
                item = tap.ask()
            except BaseException as error:  # noqa: BLE001 - handed to the loop, which raises it
                item = _Escaped(error)
            while not self._stop.is_set():
                try:
                    self._queue.put((tap, item), timeout=TAKE_SECONDS)
                    break
                except queue.Full:
                    continue
            if item is END or isinstance(item, _Escaped):
                return
            if isinstance(item, Failure):
                self._stop.wait(PAUSE_AFTER_FAILURE_SECONDS)
