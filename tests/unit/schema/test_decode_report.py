"""Answers as brokers and client libraries give them."""

import pytest

from decision_schema.decode_report import decode_report
from decision_schema.errors import ContractError
from decision_schema.events import Fill, OrderUpdate


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (None, "live"),
        ({"status": "open"}, "live"),
        ({"status": "NEW", "type": "limit"}, "live"),  # the order's type, as client libraries call it
        ({"status": "closed", "type": "market"}, "filled"),
        ({"status": "cancelled"}, "canceled"),
        ({"type": "order", "status": "rejected", "reason": 17}, "rejected"),
        (OrderUpdate(client_order_id="A", status="expired"), "expired"),
    ],
)
def test_answers_that_are_read(raw, status):
    report = decode_report(raw, "A")
    assert isinstance(report, OrderUpdate)
    assert (report.client_order_id, report.status) == ("A", status)


def test_a_dict_with_a_fill_id_is_a_fill():
    raw = {"fill_id": 7, "price": 0.5, "size": 1, "side": "buy", "ts_ms": 5}
    with pytest.raises(ContractError):
        decode_report(raw, "A", "M")
    fill = decode_report({**raw, "fill_id": "7"}, "A", "M")
    assert isinstance(fill, Fill)
    assert (fill.client_order_id, fill.market_id, fill.ts_ns) == ("A", "M", 5_000_000)


@pytest.mark.parametrize("raw", [5, "ok", ["live"], {}, {"status": "maybe"}, {"type": "limit"}, {"type": []}])
def test_answers_that_are_not_read_say_why(raw):
    with pytest.raises(ContractError, match="broker"):
        decode_report(raw, "A")
