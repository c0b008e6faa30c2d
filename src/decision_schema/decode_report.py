"""From what a broker answers or reports to a typed `Report`."""

import math
from collections.abc import Mapping
from decimal import Decimal
from numbers import Real
from typing import Any, cast

import msgspec

from decision_schema.errors import ContractError
from decision_schema.events import (
    Correction,
    Fill,
    Funding,
    OrderStatus,
    OrderUpdate,
    Report,
    Settlement,
    Transfer,
)
from decision_schema.scalars import Reject, is_whole, read_number, read_text
from decision_schema.units import NS_PER_MS

_STATUS: dict[str, OrderStatus] = {
    **dict.fromkeys(
        ("live", "open", "new", "accepted", "working", "ack", "acknowledged", "pending_new"), "live"
    ),
    **dict.fromkeys(("partially_filled", "partial"), "live"),
    "sent": "sent",
    **dict.fromkeys(("filled", "closed"), "filled"),
    **dict.fromkeys(("canceled", "cancelled"), "canceled"),
    **dict.fromkeys(("rejected", "refused"), "rejected"),
    "expired": "expired",
    "unknown": "unknown",
    "not_found": "not_found",
}


def decode_report(raw: object, client_order_id: str = "", market_id: str = "") -> Report:
    """Decode what a broker answers or reports.

    Args:
        raw: None (= accepted, live), an `OrderUpdate`, a `Fill` or another ledger entry, or a dict:
            with ``type`` as tag, or with ``price``, ``size`` and ``fill_id`` a fill, or with
            ``status`` an update.
        client_order_id: The order that was asked for, where the answer names none.
        market_id: Its market.

    Raises:
        ContractError: The answer cannot be read; the caller records the order as unknown.

    >>> decode_report(None, "A").status
    'live'
    >>> decode_report({"status": "REJECTED", "reason": "no funds"}, "A").reason
    'no funds'
    """
    if raw is None and client_order_id:
        return OrderUpdate(client_order_id=client_order_id, status="live")
    if isinstance(raw, OrderUpdate | Fill | Funding | Settlement | Transfer | Correction):
        fields: dict[str, Any] = {name: getattr(raw, name) for name in raw.__struct_fields__}
        tag: Any = raw.__struct_config__.tag
    elif isinstance(raw, Mapping):
        fields = {key: value for key, value in raw.items() if isinstance(key, str) and value is not None}
        tag = fields.pop("type", None)
        if tag is None or (isinstance(tag, str) and tag not in _REPORTS and "status" in fields):
            tag = "fill" if "fill_id" in fields else "order"  # many venues call limit or market a type
    else:
        raise ContractError(
            f"a broker answered a {type(raw).__name__}: return None, a dict or an OrderUpdate"
        )
    kind = _REPORTS.get(tag) if isinstance(tag, str) else None
    if kind is None:
        raise ContractError(f"a broker reported type {_shown(tag)}: give one of {', '.join(_REPORTS)}")
    if kind in (OrderUpdate, Fill):
        fields.setdefault("client_order_id", client_order_id)
    if "market_id" in kind.__struct_fields__:
        fields.setdefault("market_id", market_id)
    if kind is OrderUpdate:
        status = fields.get("status")
        if not isinstance(status, str) or status.lower() not in _STATUS:
            raise ContractError(
                f"a broker answered status {_shown(status)}: give one of {', '.join(_STATUS)}"
            )
        fields["status"] = _STATUS[status.lower()]
        fields["reason"] = _words(fields.get("reason"))
    if "ts_ms" in fields and "ts_ns" not in fields and is_whole(fields["ts_ms"]):
        fields["ts_ns"] = int(fields["ts_ms"]) * NS_PER_MS
    try:
        known = {name: _plain(fields[name], name) for name in kind.__struct_fields__ if name in fields}
        report = cast("Report", msgspec.convert(known, kind))
    except Reject as reject:
        raise ContractError(f"a broker's {tag} cannot be read: {reject.reason}") from None
    except msgspec.ValidationError as error:
        raise ContractError(f"a broker's {tag} cannot be read: {error}") from None
    _check_finite(report)
    return report


_REPORTS: dict[str, type[msgspec.Struct]] = {
    str(cls.__struct_config__.tag): cls
    for cls in (OrderUpdate, Fill, Funding, Settlement, Transfer, Correction)
}
MAX_WORDS = 500
"""Characters of a broker's free text that are kept."""


def _plain(value: object, field: str) -> object:
    """Give a number of any library as int or float, a text as str."""
    if isinstance(value, str):
        return value if field == "reason" else read_text(value, field)
    if is_whole(value):
        return int(cast("int", value))
    return (
        read_number(value, field)
        if isinstance(value, Real | Decimal) and not isinstance(value, bool)
        else value
    )


def _words(value: object) -> str:
    """Give free text, or a venue's code, in storable form."""
    text = value if isinstance(value, str) else str(value) if isinstance(value, int) else ""
    return text[:MAX_WORDS].encode("utf-8", "backslashreplace").decode()


def _shown(value: object) -> str:
    """Show what was answered, short; the repr of an unknown object is never asked for."""
    return repr(str.__str__(value)[:40]) if isinstance(value, str) else f"of type {type(value).__name__}"


def _check_finite(report: Report) -> None:
    for name in report.__struct_fields__:
        value = getattr(report, name)
        if isinstance(value, float) and not math.isfinite(value):
            raise ContractError(f"a broker's report has {name} = {value}: give a finite number")
    if isinstance(report, OrderUpdate) and not report.client_order_id:
        raise ContractError("an order update names no order: give its client_order_id")
    if isinstance(report, Fill) and (report.size <= 0.0 or not report.fill_id):
        raise ContractError(
            f"a fill has size {report.size} and id {report.fill_id!r}: give a size > 0 and an id"
        )
