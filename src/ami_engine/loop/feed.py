"""How the driver takes events: straight from the source, or from a thread that reads a live one."""

import queue
import threading
from typing import Any, Final, NamedTuple, Protocol

from ami_engine.ports import MarketDataSource

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
"""The source has no more events."""
NOTHING: Final = _Mark()
"""No event is there yet."""


class Feed(Protocol):
    """What the driver asks for the next input."""

    def take(self) -> Any:
        """Give an event as the source yields it, or a Failure, END or NOTHING."""

    def close(self) -> None:
        """Stop taking."""


class DirectFeed:
    """Asks the source when the loop is ready: for recorded and simulated data."""

    def __init__(self, source: MarketDataSource) -> None:
        self._source = source

    def take(self) -> Any:
        """Give an event as the source yields it, or a Failure or END."""
        try:
            raw = self._source.next_event()
        except Exception as error:  # noqa: BLE001 - user code: a failing source is counted, and asked again
            return Failure(error)
        return END if raw is None else raw

    def close(self) -> None:
        """Do nothing: there is no thread to stop."""


class PumpedFeed:
    """Reads a live source in a thread into a bounded queue, so that timers and signals never wait for it."""

    def __init__(self, source: MarketDataSource) -> None:
        self._direct = DirectFeed(source)
        self._queue: queue.Queue[Any] = queue.Queue(QUEUE_EVENTS)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._pump, name="mdm-source", daemon=True)
        self._thread.start()

    def take(self) -> Any:
        """Give the next event, or NOTHING after a short wait."""
        try:
            item = self._queue.get(timeout=TAKE_SECONDS)
        except queue.Empty:
            return NOTHING
        if isinstance(item, _Escaped):
            raise item.error
        return item

    def close(self) -> None:
        """Ask the thread to end; one that hangs in the source is left behind."""
        self._stop.set()
        self._thread.join(timeout=1.0)

    def _pump(self) -> None:
        while not self._stop.is_set():
            item: Any
            try:
                item = self._direct.take()
            except BaseException as error:  # noqa: BLE001 - handed to the loop, which raises it
                item = _Escaped(error)
            while not self._stop.is_set():
                try:
                    self._queue.put(item, timeout=TAKE_SECONDS)
                    break
                except queue.Full:
                    continue
            if item is END or isinstance(item, _Escaped):
                return
            if isinstance(item, Failure):
                self._stop.wait(PAUSE_AFTER_FAILURE_SECONDS)
