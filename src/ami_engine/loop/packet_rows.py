"""The stored packets of a run as the rows that a batch run writes.

What a packet says in words becomes the code of kernels/batch.py again. The book is built anew from the
recorded events; an order is named by the step and the place of the message that sent it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from ami_engine.kernels.batch import (
    BAD_FIELD,
    BAD_PROPOSAL,
    BAD_VALUE,
    GUARD_REASON,
    MODEL_REASON,
    NO_REASON,
)
from ami_engine.kernels.book import Book
from ami_engine.kernels.book_builder import BookBuilder, build_parts, pass_by, read_parts
from ami_engine.kernels.costs import MAKER, TAKER, UNSAID
from ami_engine.kernels.inputs import MARKET, TIMER
from ami_engine.kernels.orders import CANCEL, FOK, GTC, IOC, REPLACE, SUBMIT
from ami_engine.kernels.rows import DecisionRow, FillRow, OrderRow
from ami_engine.loop.edge import READ, code_of
from ami_engine.loop.row_frames import Table
from ami_engine.sim.order_terms import Grid, grid_of
from ami_engine.trace.reader import read_packets
from ami_engine.trace.trace_logger import AUDIT, read_manifest
from decision_schema import reasons
from decision_schema.errors import TraceError
from decision_schema.events import Event
from decision_schema.instruments import DEFAULT_INSTRUMENT, Instrument
from decision_schema.packet_v2 import PacketV2
from decision_schema.reasons import NAMES, OK
from dmc_core.dmc.decide import ACT, HOLD
from dmc_core.dmc.guards import ACTIONS, BREACH, FIRST_LEG_ROW, SEVERITY, SLOT, UNKNOWN
from dmc_core.layout import array_of

if TYPE_CHECKING:
    import numpy as np

ROWS = 16_384
"""Steps of which rows are given at once."""
NAN = float("nan")
_CODES = {name: code for code, name in enumerate(NAMES)}
_ACTIONS = {str(action): number for number, action in enumerate(ACTIONS)}
_MARKS = (reasons.VENUE_INCONSISTENT, reasons.STOP_LATCHED, reasons.EXITING, reasons.NOTHING_TO_EXIT)
_UNASKED = (reasons.SETTLED, reasons.NO_MARKET, reasons.WARMING_UP)
_HOLDS = (
    reasons.SESSION_CLOSED, reasons.TOO_MANY_MARKOUTS, reasons.NO_MARKET, reasons.NO_ORDER_TERMS,
    reasons.INVALID_ORDER_TERMS, reasons.LEG_BELOW_MINIMUM, reasons.LEG_OUT_OF_BOUNDS, reasons.LEG_NO_SHORT,
    reasons.LEG_NOTHING_TO_REDUCE,
)  # fmt: skip
_KEPT = (
    reasons.QUOTE_KEPT, reasons.REQUOTE_THROTTLED, reasons.AWAITING_BROKER, reasons.ORDER_OPEN_NO_CANCEL,
    reasons.TOO_MANY_ORDERS,
)  # fmt: skip
_BAD_VALUE_TEXT = f"{NAMES[reasons.MODEL_ERROR]}:value"
_BAD_PROPOSAL_TEXT = f"{NAMES[reasons.MODEL_ERROR]}:ContractError"
_SIDES = {"buy": 1, "sell": -1}
_OPS = {"submit": SUBMIT, "replace": REPLACE, "cancel": CANCEL}
_TIFS = {"GTC": GTC, "IOC": IOC, "FOK": FOK}
_ROLES = {"maker": MAKER, "taker": TAKER}
MAX_REASONS = 1_000
"""Different reasons of a model that are told apart; further ones are ``other``."""


class Rows(NamedTuple):
    """Rows of some steps; what has none is None."""

    decisions: "np.ndarray[Any, Any] | None"
    fills: "np.ndarray[Any, Any] | None"
    orders: "np.ndarray[Any, Any] | None"


@dataclass(slots=True)
class _Sent:
    """An order as it was sent, and what of it was filled as its updates say."""

    step: int
    leg: int
    cell: int
    side: int
    size: float
    price: float
    filled_lots: int = 0
    paid: float = 0.0


@dataclass(slots=True)
class _Market:
    """What is known of one market: its number, its bounds, its grid, its book."""

    number: int
    price_min: float
    price_max: float
    grid: Grid
    builder: BookBuilder = field(default_factory=BookBuilder)
    book: Book = field(default_factory=Book)
    staged: Book = field(default_factory=Book)


class PacketRows:
    """Reads the packets of a run into rows.

    Args:
        run_dir: Folder of the run.
        model_reasons: The model's own reasons by number; None = they are numbered as they come, in
            `model_reasons`, which grows like `market_ids`.
    """

    def __init__(self, run_dir: str | Path, model_reasons: Sequence[str] | None = ()) -> None:
        self.run_dir = Path(run_dir)
        self.market_ids: list[str] = []
        self.model_reasons = ["other"] if model_reasons is None else list(model_reasons)
        self._learns = model_reasons is None
        manifest = read_manifest(self.run_dir)
        self._instruments = {
            name: msgspec.convert(found, Instrument, strict=False)
            for name, found in manifest["instruments"].items()
        }
        self._tells_fills = manifest["capabilities"]["fills"]
        self._reasons: dict[str, int] = {}
        for number, text in enumerate(self.model_reasons):
            self._reasons.setdefault(text, number)
        self._markets: dict[str, _Market] = {}
        self._sent: dict[str, _Sent] = {}
        self._fills_seen: set[str] = set()
        self._decisions: list[DecisionRow] = []
        self._fills: list[FillRow] = []
        self._orders: list[OrderRow] = []
        self._last = (0, 0)

    def read(self) -> Iterator[Rows]:
        """Give the rows of the run, some steps at a time, those of its end last.

        Raises:
            TraceError: The folder holds no run that this version can read.
        """
        for packet in read_packets(self.run_dir):
            try:
                self._read_packet(packet)
            except (KeyError, IndexError, TypeError, msgspec.ValidationError) as error:
                raise TraceError(
                    f"{self.run_dir}: packet {packet.step} cannot be read as rows: {error!r}"
                ) from None
            if len(self._decisions) >= ROWS:
                yield self._taken()
        self._read_closing()
        yield self._taken()

    def _taken(self) -> Rows:
        parts = self._decisions, self._fills, self._orders
        self._decisions, self._fills, self._orders = [], [], []
        return Rows(*(array_of(part) if part else None for part in parts))

    # ------------------------------------------------------------ one packet

    def _read_packet(self, packet: PacketV2) -> None:
        event = msgspec.convert(packet.input, Event)
        bad, _ = (OK, -1) if event.bad is None else code_of(event.bad.reason)
        now_ns = packet.external["now_ns"]
        self._last = packet.step, now_ns
        market = self._market_of(event, bad)
        cell = -1 if market is None else market.number
        for report in packet.external["reports"]:  # they come before the event
            self._read_report(report, packet.step, now_ns)
        if market is not None and event.kind == "market" and bad in READ and not is_undecoded(event):
            _build(market, event)
        for leg, intent in enumerate(packet.intents):  # a message's number in its step names its order
            self._read_intent(intent, packet.step, now_ns, leg)
        row = DecisionRow(step=packet.step, now_ns=now_ns, cell=cell, bad=bad)
        row.kind = MARKET if event.kind == "market" else TIMER
        proposal, final, guards = packet.mdm["proposal"], packet.final_action, packet.guards
        row.proposed, row.action = _ACTIONS[proposal["action"]], _ACTIONS[final["action"]]
        row.confidence = float(proposal["confidence"])
        why, hold, mark = _why(event, bad, proposal), _hold(proposal, final, guards), _mark(final, proposal)
        asked = why == OK
        if asked and proposal["reasons"]:
            row.reason = self._reason_of(proposal["reasons"][0])
        row.because = self._because(event, bad, packet, why, hold, mark, row.reason)
        row.why = mark or hold or why
        flags = (packet.mismatch or {}).get("flags", [])
        row.kept = _CODES[flags[-1]] if flags and _CODES.get(flags[-1]) in _KEPT else OK
        row.refusing = sum(1 << i for i in guards["refusing"])
        row.flags = int("clamped:buy" in flags) | 2 * int("clamped:sell" in flags)
        row.n_messages, row.n_reports = len(packet.intents), len(packet.external["reports"])
        self._write_state(row, packet, market)
        self._decisions.append(row)

    def _market_of(self, event: Event, bad: int) -> _Market | None:
        """Find the market of an event; the first event that can be read makes it."""
        market = self._markets.get(event.market_id)
        if market is None and bad != reasons.TOO_MANY_MARKETS and not is_undecoded(event):
            found = self._instruments.get(event.market_id, DEFAULT_INSTRUMENT)
            bounds = float(found.price_min), float(found.price_max)
            market = _Market(len(self._markets), *bounds, grid_of(found))
            self._markets[event.market_id] = market
            self.market_ids.append(event.market_id)
        return market

    def _reason_of(self, text: str) -> int:
        """Give the number of a model's own reason; -1 = it has none."""
        found = self._reasons.get(text)
        if found is None and self._learns:
            if len(self.model_reasons) == MAX_REASONS:
                return 0
            found = self._reasons[text] = len(self.model_reasons)
            self.model_reasons.append(text)
        return -1 if found is None else found

    def _because(
        self, event: Event, bad: int, packet: PacketV2, why: int, hold: int, mark: int, reason: int
    ) -> int:
        """Code the first reason of the decision; see kernels/batch.py."""
        words = packet.final_action["reasons"]
        first = words[0] if words else ""
        if mark:
            return mark
        if hold:
            return BAD_VALUE if hold == reasons.MODEL_ERROR else hold
        if first == NAMES[reasons.POLICY_HOOK_ERROR] and why == OK:
            return reasons.POLICY_HOOK_ERROR
        if packet.guards["refusing"]:
            return _guard_reason(packet)
        if event.bad is not None:
            place = code_of(event.bad.reason)[1]
            return BAD_FIELD + place if bad == reasons.INVALID_INPUT and place >= 0 else bad
        if why == reasons.MODEL_ERROR:
            return BAD_PROPOSAL if first == _BAD_PROPOSAL_TEXT else why
        if why != OK:
            return why
        return MODEL_REASON + reason if reason >= 0 else NO_REASON

    def _write_state(self, row: DecisionRow, packet: PacketV2, market: _Market | None) -> None:
        """Write what the step left behind."""
        state = packet.state_after
        row.equity, row.fees = float(state["equity"]), float(state["fees"])
        row.realized_pnl, row.unrealized_pnl = float(state["realized_pnl"]), float(state["unrealized_pnl"])
        row.drawdown = _number(packet.guards["values"][SLOT["drawdown_usd"]])
        if market is None:
            return
        row.bid, row.ask, row.mid = market.book.bid, market.book.ask, market.book.mid
        row.position_lots = state["positions_lots"].get(self.market_ids[market.number], 0)
        for order in state["open_orders"]:
            sent = self._sent[order["client_order_id"]]
            if sent.cell == market.number and sent.side > 0:
                row.open_buy_lots += order["lots"]
            elif sent.cell == market.number:
                row.open_sell_lots += order["lots"]

    # ------------------------------------------------------------ orders and fills

    def _read_intent(self, intent: Mapping[str, Any], step: int, now_ns: int, leg: int) -> None:
        order_id = intent["client_order_id"]
        row = OrderRow(step=step, now_ns=now_ns, op=_OPS[intent["op"]])
        if row.op != CANCEL:
            cell = self._markets[intent["market_id"]].number
            row.side, row.tif = _SIDES[intent["side"]], _TIFS[intent["time_in_force"]]
            row.post_only, row.reduce_only = int(intent["post_only"]), int(intent["reduce_only"])
            row.level, row.size, row.price = intent["level"], float(intent["size"]), _number(intent["price"])
            self._sent[order_id] = _Sent(step, leg, cell, row.side, row.size, row.price)
        sent = self._sent[order_id]
        row.cell, row.order_step, row.order_leg = sent.cell, sent.step, sent.leg
        if row.op == REPLACE:
            old = self._sent[intent["replaces"]]
            row.old_step, row.old_leg = old.step, old.leg
        self._orders.append(row)

    def _read_report(self, report: Mapping[str, Any], step: int, now_ns: int) -> None:
        """Take a fill that the ledger took: each once, of a market that was seen."""
        if report.get("type") == "order" and not self._tells_fills:
            self._read_update(report, step, now_ns)
        if report.get("type") != "fill" or report["fill_id"] in self._fills_seen:
            return
        sent = self._sent.get(report["client_order_id"])
        market = self._markets.get(report["market_id"]) if report["market_id"] else None
        if market is None and (sent is None or report["market_id"]):
            return
        self._fills_seen.add(report["fill_id"])
        row = FillRow(step=step, now_ns=now_ns, ts_ns=report.get("ts_ns") or 0)
        row.cell = sent.cell if market is None and sent is not None else market.number if market else -1
        row.order_step, row.order_leg = (-1, -1) if sent is None else (sent.step, sent.leg)
        row.side, row.liquidity = _SIDES[report["side"]], _ROLES.get(report.get("liquidity_side", ""), UNSAID)
        row.price, row.size, row.fee = (
            float(report["price"]), float(report["size"]), float(report.get("fee", 0.0)),
        )  # fmt: skip
        self._fills.append(row)

    def _read_update(self, report: Mapping[str, Any], step: int, now_ns: int) -> None:
        """Take the fill that an update proves, as loop/reports.py does where no fills are reported."""
        sent = self._sent.get(report["client_order_id"])
        filled = report.get("filled_size")
        if filled is None and sent is not None and report["status"] == "filled":
            filled = sent.size
        if sent is None or filled is None:
            return
        market = self._markets[self.market_ids[sent.cell]]
        grid = market.grid
        lots = round((filled - grid.size(sent.filled_lots)) * grid.lot_den / grid.lot_num)
        if lots <= 0:
            return
        row = FillRow(step=step, now_ns=now_ns, cell=sent.cell, side=sent.side, liquidity=UNSAID)
        row.order_step, row.order_leg, row.size = sent.step, sent.leg, grid.size(lots)
        row.price = sent.price if sent.price == sent.price else market.book.mid
        if report.get("avg_price") is not None:
            row.price = (report["avg_price"] * (sent.filled_lots + lots) - sent.paid) / lots
        if row.price - row.price != 0.0:
            return
        sent.filled_lots += lots
        sent.paid += row.price * lots
        self._fills.append(row)

    def _read_closing(self) -> None:
        """Take the fills that came while the run was closed; they count to its last step."""
        file = self.run_dir / AUDIT
        try:
            lines = file.read_bytes().splitlines()
            records = [msgspec.json.decode(line) for line in lines]
        except (OSError, msgspec.DecodeError) as error:
            raise TraceError(f"{file} cannot be read: {error}") from None
        step, _ = self._last
        for record in records:
            closing = record.get("closing") if record.get("kind") == "stop" else None
            for report, now_ns in zip(closing["reports"], closing["now_ns"], strict=True) if closing else ():
                self._read_report(report, step, now_ns)


def rows_of_run(run_dir: str | Path, model_reasons: Sequence[str] | None = ()) -> dict[Table, Any]:
    """Give all rows of a run by table, None where there is none.

    Raises:
        TraceError: The folder holds no run that this version can read.
    """
    import numpy as np

    pieces = list(PacketRows(run_dir, model_reasons).read())
    found: dict[Table, list[Any]] = {
        "decisions": [piece.decisions for piece in pieces if piece.decisions is not None],
        "fills": [piece.fills for piece in pieces if piece.fills is not None],
        "orders": [piece.orders for piece in pieces if piece.orders is not None],
    }
    return {table: np.concatenate(parts) if parts else None for table, parts in found.items()}


# ---------------------------------------------------------------- words into codes


def _number(value: Any) -> float:
    return NAN if value is None else float(value)


def is_undecoded(event: Event) -> bool:
    """Tell whether an event could not be read: then it has no part, and makes no market."""
    bad = event.bad
    return bad is not None and (bad.raw is not None or bad.reason.startswith(NAMES[reasons.OVERSIZE_EVENT]))


def _build(market: _Market, event: Event) -> None:
    """Let an event that came in order move the book on, as loop/edge.py does."""
    builder, parts = market.builder, market.builder.parts
    read_parts(parts, event)
    if parts.carried == 0 and parts.levels_bids == 0 and parts.levels_asks == 0:
        pass_by(builder, event)
        return
    build_parts(builder, parts, market.book, event, market.staged, market.price_min, market.price_max)
    if event.bad is None:
        market.book, market.staged = market.staged, market.book


def _why(event: Event, bad: int, proposal: Mapping[str, Any]) -> int:
    """Give the code for which the model was not asked, or its answer was none."""
    if event.bad is not None:
        return bad
    if event.kind != "market":
        return reasons.TIMER
    words = proposal["reasons"]
    if not words:
        return OK
    if proposal["confidence"] == 1.0 and len(words) == 1 and _CODES.get(words[0]) in _UNASKED:
        return _CODES[words[0]]
    is_error = words[0].startswith(f"{NAMES[reasons.MODEL_ERROR]}:")
    return reasons.MODEL_ERROR if is_error and proposal["action"] == "HOLD" else OK


def _mark(final: Mapping[str, Any], proposal: Mapping[str, Any]) -> int:
    """Give the code of the latch that decided; 0 = none."""
    words = final["reasons"]
    code = _CODES.get(words[0], OK) if words else OK
    return code if code in _MARKS and words != proposal["reasons"] else OK


def _hold(proposal: Mapping[str, Any], final: Mapping[str, Any], guards: Mapping[str, Any]) -> int:
    """Give the code of what stood against an ACT before any guard was asked; 0 = nothing."""
    if _ACTIONS[proposal["action"]] != ACT or _ACTIONS[final["action"]] != HOLD or guards.get("legs"):
        return OK
    words = final["reasons"]
    first = words[0] if words else ""
    if first == _BAD_VALUE_TEXT:
        return reasons.MODEL_ERROR
    code = _CODES.get(first, OK)
    return code if code in _HOLDS else OK


def _guard_reason(packet: PacketV2) -> int:
    """Code the reason of the first refusal that asks for the action taken, else of the first."""
    guards, action = packet.guards, _ACTIONS[packet.final_action["action"]]
    verdicts: list[int] = guards["verdicts"]
    row: int = guards["refusing"][0]
    for asker in guards["refusing"]:
        asks_for = SEVERITY[asker] if verdicts[asker] == BREACH else HOLD
        if asks_for == action:
            row = asker
            break
    verdict = verdicts[row]
    if row >= FIRST_LEG_ROW:
        for leg in guards["legs"]:
            if leg["increasing"] and leg["verdicts"][row - FIRST_LEG_ROW] in (BREACH, UNKNOWN):
                verdict = leg["verdicts"][row - FIRST_LEG_ROW]
                break
    if verdict != UNKNOWN:
        return GUARD_REASON + 4 * row
    missing = packet.final_action["reasons"][0].startswith(NAMES[reasons.MISSING_INPUT])
    return GUARD_REASON + 4 * row + (1 if missing else 2)
