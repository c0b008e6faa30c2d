"""The ledger in cases computed by hand, and the edge that feeds it."""

import math
from types import SimpleNamespace

import pytest

from ami_engine.execution.entries import EntryLog, apply_entry, entry_id, whole_lots
from ami_engine.kernels.ledger import (
    Account,
    Position,
    apply_correction,
    apply_fill,
    apply_funding,
    apply_settlement,
    apply_transfer,
    average_price,
    exposure,
    mark_position,
    new_account,
    new_position,
    value_account,
)
from decision_schema.errors import ContractError
from decision_schema.events import Correction, Fill, Funding, Settlement, Transfer
from decision_schema.instruments import Instrument
from decision_schema.units import NS_PER_DAY, NS_PER_SECOND


def value(account, positions, now_ns):
    """Value positions that no cells hold."""
    cells = [SimpleNamespace(position=p) for p in positions]
    value_account(account, cells, len(cells), now_ns)


NAN = math.nan


def linear(multiplier: float = 1.0) -> Position:
    return new_position(Instrument(lot_size="1", multiplier=multiplier))


def binary() -> Position:
    return new_position(Instrument(lot_size="1", kind="binary"))


def trade(a: Account, p: Position, signed_lots: int, price: float, fee: float = 0.0) -> None:
    apply_fill(a, p, 1 if signed_lots > 0 else -1, abs(signed_lots), price, fee)


@pytest.mark.parametrize(
    ("fills", "lots", "average", "cost", "realized", "cash"),
    [
        ([(2, 10.0)], 2, 10.0, 20.0, 0.0, 980.0),
        ([(-2, 10.0)], -2, 10.0, -20.0, 0.0, 1020.0),
        ([(2, 10.0), (2, 12.0)], 4, 11.0, 44.0, 0.0, 956.0),
        ([(-1, 10.0), (-3, 14.0)], -4, 13.0, -52.0, 0.0, 1052.0),
        ([(4, 10.0), (-1, 12.0)], 3, 10.0, 30.0, 2.0, 972.0),
        ([(-4, 10.0), (1, 12.0)], -3, 10.0, -30.0, -2.0, 1028.0),
        ([(4, 10.0), (-4, 12.0)], 0, NAN, 0.0, 8.0, 1008.0),
        ([(-4, 10.0), (4, 12.0)], 0, NAN, 0.0, -8.0, 992.0),
        ([(2, 10.0), (-5, 12.0)], -3, 12.0, -36.0, 4.0, 1040.0),
        ([(-2, 10.0), (5, 12.0)], 3, 12.0, 36.0, -4.0, 960.0),
        ([(2, 10.0), (-1, 11.0), (1, 13.0), (-2, 12.0)], 0, NAN, 0.0, 2.0, 1002.0),
    ],
    ids=[
        "open long",
        "open short",
        "add to long",
        "add to short",
        "reduce long",
        "reduce short",
        "close long",
        "close short",
        "flip to short",
        "flip to long",
        "reduce, add, close",
    ],
)
def test_average_cost(fills, lots, average, cost, realized, cash):
    a, p = new_account(1000.0), linear()
    for signed, price in fills:
        trade(a, p, signed, price)
    assert (p.lots, p.cost, p.realized, a.realized, a.cash) == (lots, cost, realized, realized, cash)
    assert average_price(p) == pytest.approx(average, nan_ok=True, abs=0.0)
    assert p.n_fills == len(fills)
    assert p.bought_lots - p.sold_lots == lots


def test_multiplier_and_lot_scale_the_money():
    a, p = new_account(0.0), new_position(Instrument(lot_size="0.5", multiplier=10.0))
    trade(a, p, 3, 4.0)
    mark_position(p, 5.0, 0)
    value(a, [p], 0)
    assert (p.cost, average_price(p), exposure(p), a.unrealized) == (60.0, 4.0, 75.0, 15.0)


def test_what_is_closed_whole_leaves_exactly_nothing():
    """Prices and sizes that no float holds exactly, opened in parts and closed in other parts."""
    a, p = new_account(0.0), new_position(Instrument(lot_size="0.1", multiplier=0.3))
    for signed, price in ((7, 0.1), (11, 0.7), (-5, 0.3), (-13, 0.9)):
        trade(a, p, signed, price)
    assert (p.lots, math.copysign(1.0, p.cost), p.cost) == (0, 1.0, 0.0)
    trade(a, p, -3, 0.1)
    trade(a, p, 3, 0.1)
    assert math.copysign(1.0, p.cost) == 1.0


def test_a_small_rest_of_a_huge_position_keeps_its_average_price():
    """A cost kept by subtraction would be off by a third here."""
    a, p = new_account(0.0), linear()
    trade(a, p, 10**15, 0.3)
    for left in (10**12 + 7, 10**9 + 3, 10**6 + 1, 1):
        trade(a, p, left - p.lots, 0.3)
    assert p.lots == 1
    assert average_price(p) == pytest.approx(0.3, rel=1e-14)
    assert a.consecutive_losses == 0


def test_fees_funding_transfers_and_corrections_each_have_their_place():
    a, p = new_account(100.0), linear()
    trade(a, p, 1, 10.0, fee=0.5)
    trade(a, p, 1, 10.0, fee=-0.125)
    apply_funding(a, p, -0.25)
    apply_funding(a, p, 0.125)
    apply_transfer(a, 50.0)
    apply_correction(a, p, 0, 0.0, 2.0)
    apply_correction(a, p, 1, 7.0, 0.0)
    mark_position(p, 9.0, 5)
    value(a, [p], 5)
    assert (a.fees, a.funding, a.transfers, a.realized, p.lots, p.cost) == (0.375, -0.125, 50.0, 2.0, 3, 27.0)
    assert (p.fees, p.funding, p.realized) == (0.375, -0.125, 2.0)
    assert (a.unrealized, a.profit, a.equity) == (0.0, 1.5, 151.5)
    assert a.equity == a.cash + 3 * 9.0
    assert (p.n_fills, p.bought_lots, p.mark_ns) == (2, 2, 5)


@pytest.mark.parametrize(
    ("held", "at", "outcome", "realized"),
    [
        (4, 0.25, 1.0, 3.0),
        (4, 0.25, 0.0, -1.0),
        (-4, 0.25, 1.0, -3.0),
        (-4, 0.25, 0.0, 1.0),
        (4, 0.25, 0.5, 1.0),
    ],
)
def test_settlement_closes_at_its_price(held, at, outcome, realized):
    a, p = new_account(10.0), binary()
    trade(a, p, held, at)
    assert exposure(p) != exposure(p)
    mark_position(p, at, 0)
    worst = exposure(p)
    apply_settlement(a, p, outcome)
    assert (p.lots, p.cost, p.realized, p.settled, a.cash) == (0, 0.0, realized, 1, 10.0 + realized)
    assert a.consecutive_losses == (1 if realized < 0.0 else 0)
    assert realized >= -worst
    assert exposure(p) == 0.0


def test_a_fill_after_the_settlement_is_worth_the_settlement():
    """In either order the account ends the same."""
    results = []
    for late in (False, True):
        a, p = new_account(10.0), binary()
        if late:
            apply_settlement(a, p, 1.0)
            mark_position(p, 0.5, 9)
        trade(a, p, 4, 0.25, fee=0.5)
        if not late:
            apply_settlement(a, p, 1.0)
        value(a, [p], 0)
        results.append((p.lots, p.cost, a.realized, a.cash, a.equity, p.mark))
    assert results[0] == results[1] == (0, 0.0, 3.0, 12.5, 12.5, 1.0)


def test_before_any_mark_the_last_fill_values_the_position_but_not_its_risk():
    a, p = new_account(100.0), linear()
    trade(a, p, 2, 10.0)
    trade(a, p, 1, 13.0)
    value(a, [p], 0)
    assert a.unrealized == 6.0
    assert exposure(p) != exposure(p)
    mark_position(p, 11.0, 3)
    mark_position(p, NAN, 4)
    value(a, [p], 4)
    assert (a.unrealized, exposure(p), p.mark_ns) == (0.0, 33.0, 3)


@pytest.mark.parametrize(
    ("marks", "drawdowns"),
    [
        ([10.0, 12.0, 11.0, 13.0], [0.0, 0.0, 1.0, 0.0]),
        ([9.0, 8.0, 10.0], [1.0, 2.0, 0.0]),
        ([12.0, 7.0, 9.0], [0.0, 5.0, 3.0]),
    ],
    ids=["from a peak", "from the start", "recovering"],
)
def test_drawdown_is_measured_from_the_highest_equity(marks, drawdowns):
    a, p = new_account(100.0), linear()
    trade(a, p, 1, 10.0)
    seen = []
    for mark in marks:
        mark_position(p, mark, 0)
        value(a, [p], 0)
        seen.append(a.drawdown)
        assert a.peak_equity == a.equity + a.drawdown
    assert seen == drawdowns
    assert a.max_drawdown == max(drawdowns)


def test_a_transfer_is_neither_profit_nor_drawdown():
    a, p = new_account(100.0), linear()
    trade(a, p, 1, 10.0)
    mark_position(p, 8.0, 0)
    value(a, [p], 0)
    apply_transfer(a, -60.0)
    value(a, [p], 0)
    assert (a.equity, a.peak_equity, a.drawdown, a.daily_pnl) == (38.0, 40.0, 2.0, -2.0)
    assert a.day_anchor_equity == 40.0


@pytest.mark.parametrize(
    ("valuations", "daily"),
    [
        ([(0, 11.0), (1, 12.0)], [1.0, 2.0]),
        ([(NS_PER_DAY - 1, 11.0), (NS_PER_DAY, 13.0)], [1.0, 2.0]),
        ([(5, 11.0), (NS_PER_DAY + 5, 13.0), (NS_PER_DAY + 6, 9.0)], [1.0, 2.0, -2.0]),
        ([(5, 11.0), (4 * NS_PER_DAY, 8.0)], [1.0, -3.0]),
        ([(5, 11.0), (NS_PER_DAY, 12.0), (2 * NS_PER_DAY, 15.0)], [1.0, 1.0, 3.0]),
        ([(NS_PER_DAY, 9.0), (NS_PER_DAY - 1, 8.0), (NS_PER_DAY, 7.0)], [-1.0, -2.0, -3.0]),
        ([(20_000 * NS_PER_DAY + 7 * NS_PER_SECOND, 9.0)], [-1.0]),
    ],
    ids=[
        "one day",
        "at midnight",
        "within the next day",
        "days without a step",
        "three days",
        "clock runs back",
        "first step",
    ],
)
def test_daily_profit_counts_from_the_last_valuation_before_midnight(valuations, daily):
    a, p = new_account(100.0), linear()
    trade(a, p, 1, 10.0)
    seen = []
    for now_ns, mark in valuations:
        mark_position(p, mark, now_ns)
        value(a, [p], now_ns)
        seen.append(a.daily_pnl)
        assert a.day_anchor_equity == a.equity - a.daily_pnl
    assert seen == daily


@pytest.mark.parametrize(
    ("fills", "streak"),
    [
        ([(1, 10.0), (-1, 9.0)], 1),
        ([(1, 10.0), (-1, 9.0), (-1, 9.0), (1, 10.0)], 2),
        ([(1, 10.0), (-1, 9.0), (1, 10.0), (-1, 11.0)], 0),
        ([(4, 10.0), (-1, 9.0), (-1, 9.0), (-1, 9.0)], 3),
        ([(1, 10.0), (-1, 9.0), (1, 10.0), (-1, 10.0)], 1),
        ([(1, 10.0), (-1, 9.0), (1, 8.0)], 1),
        ([(1, 10.0), (-3, 9.0)], 1),
        ([(1, 0.1), (1, 0.2), (1, 0.3), (-3, 0.2)], 0),
    ],
    ids=[
        "one loss",
        "long, then short",
        "a win ends it",
        "each reducing fill counts",
        "break even leaves it",
        "opening leaves it",
        "a flip closes",
        "rounding is no loss",
    ],
)
def test_loss_streak(fills, streak):
    a, p = new_account(100.0), linear()
    for signed, price in fills:
        trade(a, p, signed, price, fee=1.0)
    assert a.consecutive_losses == streak


def test_a_correction_leaves_the_loss_streak():
    a, p = new_account(100.0), linear()
    trade(a, p, 2, 10.0)
    apply_correction(a, p, -2, 1.0, -5.0)
    assert (a.consecutive_losses, a.realized) == (0, -23.0)


def test_positions_are_summed_over_markets():
    a, p, q = new_account(100.0), linear(), linear(10.0)
    trade(a, p, 1, 10.0)
    trade(a, q, -1, 2.0)
    mark_position(p, 13.0, 0)
    mark_position(q, 3.0, 0)
    value(a, [p, q], 0)
    assert (p.unrealized, q.unrealized, a.unrealized, a.equity) == (3.0, -10.0, -7.0, 93.0)


def fill(size: float = 1.0, price: float = 0.5, market_id: str = "X", fill_id: str = "f") -> Fill:
    return Fill(fill_id=fill_id, client_order_id="", market_id=market_id, side="sell", price=price, size=size)


@pytest.mark.parametrize(
    ("size", "num", "den", "lots"),
    [
        (0.57, 1, 100, 57),
        (0.29, 1, 100, 29),
        (1000.0, 250, 1, 4),
        (0.0100000099, 1, 100, 1),
        (123456789.123456, 1, 10**6, 123456789123456),
    ],
)
def test_whole_lots(size, num, den, lots):
    assert whole_lots(size, num, den) == lots


@pytest.mark.parametrize("size", [0.0, -1.0, 1e-9, 0.015, 0.0100001, 1e15, math.nan, math.inf])
def test_a_size_off_the_grid_is_refused(size):
    with pytest.raises(ContractError, match=r"lots of 0\.01"):
        whole_lots(size, 1, 100)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (fill(size=0.5), "whole lots"),
        (fill(price=1.5), "binary"),
        (Settlement(entry_id="s", market_id="X", price=100.0), "binary"),
        (Correction(entry_id="c", market_id="X", reason="typo", lots=1, price=-0.5), "binary"),
    ],
)
def test_a_refused_entry_changes_nothing(entry, message):
    a, p = new_account(10.0), binary()
    before = repr((a, p))
    with pytest.raises(ContractError, match=message):
        apply_entry(a, p, entry)
    assert repr((a, p)) == before


def test_only_a_transfer_needs_no_position():
    a = new_account(10.0)
    apply_entry(a, None, Transfer(entry_id="t", amount=5.0))
    assert a.cash == 15.0
    with pytest.raises(ContractError, match="'X'"):
        apply_entry(a, None, Funding(entry_id="f", market_id="X", amount=1.0))


def test_every_kind_of_entry_reaches_its_function():
    a, p = new_account(10.0), binary()
    entries = [
        fill(size=4.0, price=0.75),
        Funding(entry_id="1", market_id="X", amount=0.5),
        Correction(entry_id="2", market_id="X", reason="bust", lots=1, price=0.75, amount=0.25),
        Transfer(entry_id="3", amount=-1.0),
        Settlement(entry_id="4", market_id="X", price=0.0),
    ]
    for entry in entries:
        apply_entry(a, p, entry)
    value(a, [p], 0)
    assert (a.realized, a.funding, a.transfers, a.cash, a.equity) == (2.5, 0.5, -1.0, 12.0, 12.0)


def test_ids_are_unique_per_kind_and_market():
    log = EntryLog()
    entries = [
        fill(fill_id="1"),
        fill(fill_id="1", market_id="Y"),
        Funding(entry_id="1", market_id="X", amount=0.5),
        Settlement(entry_id="1", market_id="X", price=0.0),
        Correction(entry_id="1", market_id="X", reason=""),
        Transfer(entry_id="1", amount=-1.0),
    ]
    assert not any(log.seen(entry_id(e)) for e in entries)
    assert all(log.seen(entry_id(e)) for e in entries)


def test_a_log_of_no_ids_is_refused():
    with pytest.raises(ContractError, match="capacity is 0"):
        EntryLog(0)
