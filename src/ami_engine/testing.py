"""Builders for tests of your own: events, a source that plays a list, a broker that follows a script.

`check_model` tries a model out. The project's own tests use them, too.

>>> import tempfile
>>> from ami_engine.loop.run_loop import run_loop
>>> broker = ScriptedBroker()
>>> with tempfile.TemporaryDirectory() as folder:
...     summary = run_loop(ListSource([book(0.49, 0.51), book(0.49, 0.51)]), broker, output_dir=folder)
...     packets = read_packets(summary["run_dir"])
>>> [packet["final_action"]["action"] for packet in packets], [order.side for order in broker.placed]
(['ACT', 'ACT'], ['buy', 'sell'])
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ami_engine.loop.check_model import ModelCheck, check_model
from ami_engine.ports import Broker, Capabilities, MarketDataSource, RunContext
from ami_engine.trace.trace_logger import TRACES
from decision_schema.errors import UnsupportedByBroker
from decision_schema.events import Event, Fill, Order, Report
from decision_schema.instruments import Instrument
from decision_schema.units import Price, Size, UnixMs, UnixNs

__all__ = [
    "ABILITIES", "ListSource", "ModelCheck", "ScriptedBroker", "book", "check_model", "read_packets",
]  # fmt: skip

ABILITIES = ("cancel", "replace", "query", "fills")
"""What a broker may be able to do besides submitting."""


def book(bid: Any = 0.49, ask: Any = 0.51, size: Any = 50.0, **parts: Any) -> dict[str, Any]:
    """Build the event of a two-sided book, with `size` on each side and any further keys.

    >>> book(0.49, 0.51, ts_ms=7)
    {'bid': 0.49, 'ask': 0.51, 'bid_depth': 50.0, 'ask_depth': 50.0, 'ts_ms': 7}
    """
    return {"bid": bid, "ask": ask, "bid_depth": size, "ask_depth": size, **parts}


def _play(item: Any, *args: Any) -> Any:
    """Raise what is an exception, call what can be called, return the rest."""
    if isinstance(item, BaseException):
        raise item
    return item(*args) if callable(item) else item


class ListSource(MarketDataSource):
    """Plays a list: an exception in it is raised, a callable is called, anything else is yielded.

    Args:
        events: What `next_event` gives, in order; then None.
        live: Whether the wall clock stamps the events.
        instruments: What the source knows of its markets.

    >>> source = ListSource([book(), ValueError("lost the line")])
    >>> source.next_event()["bid"]
    0.49
    """

    def __init__(
        self, events: Iterable[Any], live: bool = False, instruments: Sequence[Instrument] = ()
    ) -> None:
        self.live = live
        self._events = iter(events)
        self._instruments = instruments

    def next_event(self) -> Any:
        """Play the next item of the list."""
        return _play(next(self._events, None))

    def instruments(self) -> Sequence[Instrument]:
        """Return the given instruments."""
        return self._instruments


class ScriptedBroker(Broker):
    """Records every call, and answers by a script, else as a venue where all rests and nothing fills.

    Args:
        script: By method name the answers in order, the last one for ever: an exception is
            raised, a callable is called with the method's arguments, anything else is returned.
        abilities: Some of `ABILITIES`: what the broker says that it can do.
        live: Whether orders count as real: packets are then made durable before any leaves.

    Attributes:
        script: The answers that are left.
        calls: Every call: its name, then its arguments.
        placed: Every order submitted or sent as a replacement.
        working: Orders that rest, by id.
        reports: What the next `process_fills` gives; `fill` adds to it.

    >>> broker = ScriptedBroker({"submit_order": [{"status": "rejected", "reason": "no funds"}, None]})
    >>> order = Order(client_order_id="A", market_id="M", side="buy", price=0.5, size=1.0)
    >>> broker.submit_order(order)["status"], broker.submit_order(order), len(broker.calls)
    ('rejected', None, 2)
    """

    def __init__(
        self,
        script: Mapping[str, Sequence[Any]] | None = None,
        abilities: Iterable[str] = ABILITIES,
        live: bool = False,
    ) -> None:
        self.live = live
        self.abilities = frozenset(abilities)
        self.calls: list[tuple[Any, ...]] = []
        self.placed: list[Order] = []
        self.working: dict[str, Order] = {}
        self.reports: list[Any] = []
        self.script = {name: list(answers) for name, answers in (script or {}).items()}
        self._fills = 0

    def called(self, name: str) -> list[tuple[Any, ...]]:
        """Give the arguments of every call of a method."""
        return [args for call, *args in self.calls if call == name]  # type: ignore[misc]

    def fill(
        self, order: Order, size: Size | None = None, price: Price | None = None, fill_id: str = ""
    ) -> Fill:
        """Let the next `process_fills` report a fill; by default of the whole order at its price."""
        self._fills += 1
        size = order.size if size is None else size
        known = order.price if price is None else price
        filled = Fill(
            fill_id=fill_id or f"f{self._fills}",
            client_order_id=order.client_order_id,
            market_id=order.market_id,
            side=order.side,
            price=0.5 if known is None else known,
            size=size,
        )
        self.reports.append(filled)
        if size == order.size:
            self.working.pop(order.client_order_id, None)
        return filled

    def open(self, context: RunContext) -> None:
        """Record the call, and follow the script."""
        self._answer("open", None, context)

    def on_event(self, event: Event, now_ns: UnixNs) -> None:
        """Record the call, and follow the script."""
        self._answer("on_event", None, event, now_ns)

    def submit_order(self, order: Order) -> Any:
        """Follow the script, else let the order rest."""
        self.placed.append(order)
        self.working[order.client_order_id] = order
        return self._answer("submit_order", None, order)

    def replace_order(self, client_order_id: str, order: Order) -> Any:
        """Follow the script, else let the new order rest in place of the old one."""
        self._need("replace")
        self.placed.append(order)
        self.working.pop(client_order_id, None)
        self.working[order.client_order_id] = order
        return self._answer("replace_order", None, client_order_id, order)

    def cancel_order(self, client_order_id: str) -> Any:
        """Follow the script, else confirm."""
        self._need("cancel")
        self.working.pop(client_order_id, None)
        return self._answer("cancel_order", {"status": "canceled"}, client_order_id)

    def query_order(self, client_order_id: str) -> Any:
        """Follow the script, else tell whether the order rests."""
        self._need("query")
        rests = {"status": "live"} if client_order_id in self.working else None
        return self._answer("query_order", rests, client_order_id)

    def process_fills(self, now_ms: UnixMs) -> Any:
        """Follow the script, else give the reports that wait."""
        reports: list[Report] = []
        if "fills" in self.abilities:
            reports, self.reports = self.reports, []
        return self._answer("process_fills", reports, now_ms)

    def capabilities(self) -> Capabilities:
        """Tell the given abilities."""
        return Capabilities(**dict.fromkeys(sorted(self.abilities), True), live=self.live)

    def close(self) -> None:
        """Record the call, and follow the script."""
        self._answer("close", None)

    def _need(self, ability: str) -> None:
        if ability not in self.abilities:
            raise UnsupportedByBroker(f"this broker was made without {ability}")

    def _answer(self, name: str, default: Any, *args: Any) -> Any:
        self.calls.append((name, *args))
        answers = self.script.get(name)
        if not answers:
            return default
        return _play(answers.pop(0) if len(answers) > 1 else answers[0], *args)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def read_packets(run_dir: str | Path) -> list[dict[str, Any]]:
    """Read the packets of a run, as strict JSON.

    >>> read_packets("no/such/run")
    []
    """
    file = Path(run_dir) / TRACES
    if not file.exists():
        return []
    return [json.loads(line, parse_constant=_refuse_constant) for line in file.read_bytes().splitlines()]
