"""The door to the broker: intents become orders, answers become reports; a dry run stops here."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from ami_engine.ports import Broker
from ami_engine.security.redaction import redact_text
from decision_schema.decode_report import decode_report
from decision_schema.errors import ContractError
from decision_schema.events import (
    BrokerNote,
    Correction,
    Event,
    Fill,
    Order,
    OrderUpdate,
    Report,
)
from decision_schema.units import NS_PER_MS, UnixNs


class Message(NamedTuple):
    """One intent on its way: what is asked, of which order.

    Args:
        op: ``submit``, ``replace`` or ``cancel``.
        client_order_id: The order it concerns (for a replacement: the new one).
        order: The order to place; None for a cancel.
        replaces: Id of the order that a replacement ends.
    """

    op: str
    client_order_id: str
    order: Order | None = None
    replaces: str = ""


class Gateway:
    """Sends intents and collects what the broker says, in order.

    No call is repeated: where a submit or a replacement raises or answers what cannot be read,
    the order is reported as ``unknown``.

    Args:
        broker: Carries out orders.
        dry_run: It is asked nothing.
        on_numbers: Shows the broker an event in numbers, as the loop has read it; False = it needs the event.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        dry_run: bool = False,
        on_numbers: Callable[[str, Any], bool] | None = None,
    ) -> None:
        self._broker = broker
        self._dry_run = dry_run
        self._on_numbers = on_numbers
        self._pending: list[Report] = []

    def on_event(self, event: Event, now_ns: UnixNs, numbers: Any = None) -> None:
        """Show the broker an accepted market event, or its `numbers` if these are all that it needs."""
        if self._dry_run:
            return
        done, note = False, None
        if self._on_numbers is not None:
            done, note = self._call("on_event", "", self._on_numbers, event.market_id, numbers)
        if not done and note is None:
            _, note = self._call("on_event", "", self._broker.on_event, event, now_ns)
        if note is not None:
            self._pending.append(note)

    def send(self, messages: Sequence[Message]) -> None:
        """Send intents in their order; the answers wait for `drain`."""
        for message in messages:
            if self._dry_run:
                self._pending.extend(_dry_answers(message))
            elif message.op == "cancel":
                self._cancel(message)
            else:
                self._place(message)

    def drain(self, now_ns: UnixNs) -> list[Report]:
        """Take all answers since the last call, then what the broker reports of itself."""
        reports, self._pending = self._pending, []
        if self._dry_run:
            return reports
        try:
            for item in self._broker.process_fills(now_ns // NS_PER_MS) or ():
                reports.append(_read("process_fills", item))  # what came before a failure stays
        except Exception as error:  # noqa: BLE001 - user code: any failure is reported, none ends the loop
            reports.append(BrokerNote(call="process_fills", error=type(error).__name__))
        return reports

    def query(self, order_id: str) -> None:
        """Ask for the state of an order of unknown state; no answer is no evidence."""
        raw, note = self._call("query_order", order_id, self._broker.query_order, order_id)
        if note is not None:
            self._pending.append(note)
        elif raw is None:
            self._pending.append(OrderUpdate(client_order_id=order_id, status="not_found"))
        else:
            self._pending.append(_answer("query_order", raw, order_id))

    def _place(self, message: Message) -> None:
        order = message.order
        if order is None:
            raise ContractError(f"a {message.op} without an order")
        order_id = message.client_order_id
        if message.op == "replace":
            raw, note = self._call(
                "replace_order", order_id, self._broker.replace_order, message.replaces, order
            )
        else:
            raw, note = self._call("submit_order", order_id, self._broker.submit_order, order)
        answer = note or _answer(f"{message.op}_order", raw, order_id, order.market_id)
        self._pending.append(answer)
        if isinstance(answer, BrokerNote):
            self._pending.append(OrderUpdate(client_order_id=order_id, status="unknown", reason=answer.error))

    def _cancel(self, message: Message) -> None:
        order_id = message.client_order_id
        raw, note = self._call("cancel_order", order_id, self._broker.cancel_order, order_id)
        if note is not None:
            self._pending.append(note)
        elif raw is not None:  # None = the request was taken, confirmation follows
            answer = _answer("cancel_order", raw, order_id)
            if (
                isinstance(answer, OrderUpdate) and answer.status == "rejected"
            ):  # the request was, not the order
                answer = BrokerNote(
                    call="cancel_order", error=f"rejected {answer.reason}", client_order_id=order_id
                )
            self._pending.append(answer)

    def _call(
        self, name: str, order_id: str, method: Callable[..., Any], *args: Any
    ) -> tuple[Any, BrokerNote | None]:
        """Call the broker; an exception becomes a note with its kind, its text goes nowhere."""
        try:
            return method(*args), None
        except Exception as error:  # noqa: BLE001 - user code: any failure is reported, none ends the loop
            return None, BrokerNote(call=name, error=type(error).__name__, client_order_id=order_id)


def _read(call: str, raw: Any, order_id: str = "", market_id: str = "") -> Report:
    """Decode and redact what the broker says; what cannot be read becomes a note."""
    try:
        report = decode_report(raw, order_id, market_id)
    except ContractError as error:
        return BrokerNote(call=call, error=redact_text(str(error)), client_order_id=order_id)
    except Exception as error:  # noqa: BLE001 - an object of the user's that raises on reading
        return BrokerNote(call=call, error=type(error).__name__, client_order_id=order_id)
    if isinstance(report, OrderUpdate | Correction) and report.reason:
        return msgspec.structs.replace(report, reason=redact_text(report.reason))
    return report


def _answer(call: str, raw: Any, order_id: str, market_id: str = "") -> Report:
    """Read the answer to a request; one that does not speak of the order is none."""
    report = _read(call, raw, order_id, market_id)
    if isinstance(report, BrokerNote):
        return report
    if isinstance(report, OrderUpdate | Fill) and report.client_order_id == order_id:
        return report
    return BrokerNote(call=call, error="an answer that is not about the order", client_order_id=order_id)


def _dry_answers(message: Message) -> list[Report]:
    """Answer as a venue would where all rests and nothing fills."""
    answers: list[Report] = []
    if message.op == "cancel":
        return [OrderUpdate(client_order_id=message.client_order_id, status="canceled", reason="dry_run")]
    order = message.order
    rests = order is not None and order.price is not None and order.time_in_force == "GTC"
    status: Any = "live" if rests else "canceled"
    answers.append(OrderUpdate(client_order_id=message.client_order_id, status=status, reason="dry_run"))
    return answers
