"""The parts of a step, interpreted and compiled: the same bits after any sequence of inputs."""

import copy
import math
import random
from types import SimpleNamespace

import pytest

from ami_engine.kernels.decision import MAX_MESSAGES, Decision, Rules
from ami_engine.kernels.inputs import Input, TradeRow
from ami_engine.kernels.observe import observe
from ami_engine.kernels.orders import CANCEL, FREE, LIVE, MAX_INTENTS, fail_cancel
from ami_engine.kernels.plan import plan_orders
from ami_engine.kernels.pursue import pursue
from ami_engine.kernels.records import new_cell, new_state
from ami_engine.kernels.reports import slot_of, take_failure, take_fill, take_status
from decision_schema.instruments import Instrument
from decision_schema.reasons import INVALID_ORDER_TERMS, MODEL_ERROR, STOP_PROPOSED
from dmc_core.dmc.guards import FIRST_LEG_ROW, LIMIT_SLOT, N_GUARDS, N_LEG_ROWS
from dmc_core.jit import can_compile, compiled
from dmc_core.layout import array_of, read_record, write_record

pytestmark = pytest.mark.skipif(not can_compile(), reason="numba is not installed: nothing to compare with")

SECOND = 1_000_000_000
INSTRUMENTS = (
    Instrument(market_id="A", tick_size="0.01", lot_size="1", kind="binary", short="no", min_size=2),
    Instrument(market_id="B", tick_size="25", lot_size="0.001", multiplier=10.0, min_notional=5.0, taker_fee=1e-3),
    Instrument(market_id="C", tick_size="0.003", lot_size="0.5", price_min=-1e9, fee_per="unit", maker_fee=0.01),
)  # fmt: skip
STRANGE = (math.nan, math.inf, -math.inf, 0.0, -0.0, 5e-324, 1e-300, 1e15, 1e17, 1e300, -1e300)


def get(record, *names):
    """Reach into a record of either form."""
    for name in names:
        record = getattr(record, name) if hasattr(type(record), "__slots__") else record[name]
    return record


class Worlds:
    """One state in both forms; each call is made on both."""

    def __init__(self):
        n = len(INSTRUMENTS)
        cells = [new_cell(i, one, SECOND, True, i == 1) for i, one in enumerate(INSTRUMENTS)]
        cells.append(new_cell(-1, Instrument(), SECOND, True, True))
        state = new_state(1_000.0)
        state.n_cells = n
        self.plain = SimpleNamespace(
            states=[state], cells=cells, decisions=[Decision()], inputs=[Input()], rules=[Rules()],
            trades=[TradeRow() for _ in range(4)],
        )  # fmt: skip
        self.names = tuple(vars(self.plain))
        self.fast = SimpleNamespace(**{name: array_of(getattr(self.plain, name)) for name in self.names})

    def call(self, kernel, arguments):
        plain, fast = kernel(*arguments(self.plain)), compiled(kernel)(*arguments(self.fast))
        assert plain == fast, kernel.__name__
        return plain

    def write(self, place):
        """Bring what was written into the plain form into the other one."""
        write_record(place(self.fast), place(self.plain))

    def check(self):
        for name in self.names:
            for plain, fast in zip(getattr(self.plain, name), getattr(self.fast, name), strict=True):
                other = copy.deepcopy(plain)
                read_record(fast, other)
                got, want = repr(other), repr(plain)
                at = next((i for i, (a, b) in enumerate(zip(got, want, strict=False)) if a != b), 0)
                assert got == want, f"{name}: ...{got[at - 90 : at + 30]} but ...{want[at - 90 : at + 30]}"


def make_input(rng, w, now):
    at = rng.choice([0, 0, 0, 1, 1, 2, -1])
    tick = [0.01, 25.0, 0.003][at]
    inp = w.plain.inputs[0]
    inp.cell, inp.now_ns = at, now
    inp.kind = int(rng.random() < 0.1 or at < 0)
    inp.bad = int(rng.random() < 0.05)
    inp.ts_ns = rng.choice([-1, now - 5, now + 5, now - rng.randrange(SECOND)])
    inp.has_book, inp.is_quote, inp.is_change = int(rng.random() < 0.9), 1, rng.randrange(2)
    inp.trade_at, inp.n_trades = rng.choice([(0, 0), (0, 0), (1, 2), (0, 4)])
    inp.status = rng.choice([0] * 30 + [1, 2, 3])
    inp.funding_rate = rng.choice([math.nan] * 20 + [0.001, 1e300])
    inp.settlement = rng.choice([math.nan] * 300 + [0.5, 2.0])
    book = w.plain.cells[at].market.staged
    middle = rng.randrange(20, 80) * tick
    count = [rng.choice([0, 1, 3, 20]) if rng.random() < 0.1 else 3 for _ in range(2)]
    strange = rng.random() < 0.02
    for side, prices, sizes in ((-1, book.bid_prices, book.bid_sizes), (1, book.ask_prices, book.ask_sizes)):
        for i in range(20):
            prices[i] = middle + side * tick * (1 + i)
            sizes[i] = rng.choice([rng.uniform(0.0, 50.0), 5.0, rng.choice(STRANGE) if strange else 1.0])
    book.n_bids, book.n_asks = count
    book.bid = book.bid_prices[0] if count[0] else math.nan
    book.ask = book.ask_prices[0] if count[1] else math.nan
    if strange and count[1]:
        book.ask = book.ask_prices[0] = rng.choice([1e17, 1e300, math.nan])
    book.mid = 0.5 * (book.bid + book.ask)
    book.bid_depth, book.ask_depth = (
        sum(book.bid_sizes[: count[0]], 0.0),
        sum(book.ask_sizes[: count[1]], 0.0),
    )
    book.depth = book.bid_depth + book.ask_depth
    for trade in w.plain.trades:
        trade.price, trade.size = middle + tick * rng.randrange(-2, 3), rng.uniform(0.0, 9.0)
        trade.side = rng.randrange(-1, 2)
    w.write(lambda v: v.inputs[0])
    w.write(lambda v: get(v.cells[at], "market", "staged"))
    for i in range(4):
        w.write(lambda v, i=i: v.trades[i])
    return at


def make_rules(rng, w):
    rules = w.plain.rules[0]
    for name, values in (
        ("max_abs_inventory", [0.0, 10.0, 5e-324]), ("max_inventory_skew_ticks", [0.0, 2.0, 1e300]),
        ("quote_ttl_ms", [0.0, 1500.0, 1e300]), ("throttle_refresh_ms", [0.0, 100.0, 1e18]),
    ):  # fmt: skip
        rules.limits[LIMIT_SLOT[name]] = rng.choice(values)
    rules.size = rng.choice([1.0, 2.0, 0.0012, 1e300])
    rules.half_spread_ticks = rng.choice([math.nan, 0.0, 1.5])
    rules.min_requote_ticks, rules.exit_slippage_ticks = rng.randrange(3), rng.randrange(5)
    w.write(lambda v: v.rules[0])


def make_proposed(rng, w, tick):
    """A proposal as `check_proposed` or the text edge leaves it: what cannot be read is its problem."""
    proposed = w.plain.decisions[0].proposed
    proposed.problem = rng.choice([0] * 20 + [INVALID_ORDER_TERMS, MODEL_ERROR])
    proposed.value = rng.choice([math.nan, 50 * tick, rng.uniform(10, 90) * tick, 1e17, -1e300, 0.0])
    proposed.has_terms, proposed.n_terms = int(rng.random() < 0.5), rng.choice([0, 1, 2, 5, 16])
    for i, terms in enumerate(proposed.terms):
        terms.side, terms.level = rng.choice([1, -1]), i
        terms.price = rng.choice([math.nan, rng.uniform(10, 90) * tick, rng.choice([1e17, -1e300, 5e-324])])
        terms.size = rng.choice([math.nan, 2.0, 5.0, 1e300, 5e-324])
        terms.tif, terms.post_only, terms.reduce_only = (rng.randrange(3), rng.randrange(2), rng.randrange(2))
        terms.ttl_ms = rng.choice([-1, 7, 10**9, 2**62])
    w.write(lambda v: get(v.decisions[0], "proposed"))


def make_verdict(rng, w, at):
    """What the guards might leave."""
    decision = w.plain.decisions[0]
    plan, verdict, judgement = decision.plan, decision.verdict, decision.judgement
    verdict.action = rng.choice([0] * 12 + [1, 1, 2, 3, 4])
    decision.n_legs = plan.n_wanted if verdict.action == 0 else 0
    w.fast.decisions[0]["n_legs"] = decision.n_legs
    for i in range(decision.n_legs):
        leg = decision.legs[i]
        leg.allowed = plan.wanted[i].allowed = int(rng.random() < 0.8)
        for row in range(N_LEG_ROWS):
            leg.verdicts[row] = rng.randrange(5)
        w.write(lambda v, i=i: get(v.decisions[0], "legs")[i])
        w.write(lambda v, i=i: get(v.decisions[0], "plan", "wanted")[i])
    judgement.n_refusing = rng.choice([0, 0, 0, 1, 3])
    for i in range(judgement.n_refusing):
        judgement.refusing[i] = rng.randrange(FIRST_LEG_ROW + 2)
    for row in range(N_GUARDS):
        judgement.verdicts[row] = rng.randrange(5)
    w.write(lambda v: get(v.decisions[0], "verdict"))
    w.write(lambda v: get(v.decisions[0], "judgement"))
    exiting = int(rng.random() < 0.1 and w.plain.cells[at].position.lots != 0)
    w.plain.cells[at].exiting = exiting
    w.fast.cells[at]["exiting"] = exiting


def report(rng, w, now):
    at = rng.randrange(len(INSTRUMENTS))
    orders = w.plain.cells[at].orders
    busy = [i for i in range(orders.used) if orders.slots[i].status != FREE]
    if busy and rng.random() < 0.7:
        slot = rng.choice(busy)
        order = orders.slots[slot]
        step, leg = order.step, order.leg
        assert w.call(slot_of, lambda v: (get(v.cells[at], "orders"), step, leg)) == slot
        if rng.random() < 0.4:
            lots, price = rng.randrange(1, order.lots - order.filled_lots + 1), rng.choice([0.25, 0.5, 1.0])
            fee, role = rng.uniform(-0.1, 0.1), rng.randrange(3)
            side = order.side if rng.random() < 0.95 else -order.side
            w.call(take_fill, lambda v: (v.states[0], v.cells[at], slot, side, lots, price, fee, role, now))
        else:
            status = rng.choice([0, 1, 1, 1, 1, 2, 3, 4, 5, 6, 7])
            w.call(take_status, lambda v: (get(v.cells[at], "orders"), slot, status, now))
    elif busy and rng.random() < 0.3:
        w.call(fail_cancel, lambda v: (get(v.cells[at], "orders"), busy[0]))
    elif rng.random() < 0.2:
        limited, pause = rng.randrange(2), rng.choice([0, SECOND])
        w.call(take_failure, lambda v: (v.states[0], limited, pause, now))
    elif rng.random() < 0.2:
        lots = rng.randrange(1, 50)
        w.call(take_fill, lambda v: (v.states[0], v.cells[at], -1, 1, lots, 0.5, 0.0, 0, now))


@pytest.mark.parametrize("seed", range(4))
def test_the_parts_of_a_step_give_the_same_bits_compiled(seed):
    rng, w, now = random.Random(seed), Worlds(), 1_700_000_000 * SECOND
    sent = 0
    for step in range(1, 301):
        now += rng.choice([0, 1_000, 10**8, SECOND, 5 * SECOND, 400 * SECOND if rng.random() < 0.05 else 7])
        w.plain.states[0].step = step
        w.fast.states[0]["step"] = step
        stopped = STOP_PROPOSED if 150 < step < 165 else 0
        w.plain.states[0].stopped = stopped
        w.fast.states[0]["stopped"] = stopped
        for _ in range(rng.randrange(4)):
            report(rng, w, now)
        at = make_input(rng, w, now)
        w.call(
            observe, lambda v, at=at, now=now: (v.states[0], v.cells, v.cells[at], v.inputs[0], v.trades, now)
        )
        make_rules(rng, w)
        make_proposed(rng, w, [0.01, 25.0, 0.003][at])
        w.call(
            plan_orders,
            lambda v, at=at: (
                get(v.decisions[0], "proposed"), v.cells[at], v.rules[0], get(v.decisions[0], "plan"),
            ),
        )  # fmt: skip
        make_verdict(rng, w, at)
        w.call(
            pursue,
            lambda v, at=at, now=now: (v.states[0], v.cells, v.cells[at], v.rules[0], v.decisions[0], now),
        )
        sent += w.plain.decisions[0].n_messages
        if step % 60 == 0 or step < 3:
            w.check()
    assert sent > 100  # it did something


def test_cancels_without_room_follow_in_the_next_steps():
    cells = [new_cell(i, INSTRUMENTS[0], SECOND, True, False) for i in range(8)]
    state, decision = new_state(0.0), Decision()
    state.n_cells, state.stopped = len(cells), STOP_PROPOSED
    for cell in cells:
        cell.orders.used = 64
        for i, slot in enumerate(cell.orders.slots):
            slot.status, slot.side, slot.lots, slot.step, slot.leg = LIVE, 1, 1, 7, i
    cancelled = []
    for step in range(8, 14):
        state.step = step
        pursue(state, cells, cells[3], Rules(), decision, step)
        assert decision.n_messages <= MAX_MESSAGES - MAX_INTENTS + 64
        for message in decision.messages[: decision.n_messages]:
            assert (message.op, message.step, message.leg) == (CANCEL, 7, message.slot)
            cancelled.append((message.cell, message.slot))
    assert sorted(cancelled) == [(c, i) for c in range(8) for i in range(64)]  # each once
    assert state.cancels.added == 512
