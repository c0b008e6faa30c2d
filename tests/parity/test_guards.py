"""The guards, interpreted and compiled: the same bits after any sequence of states and proposals."""

import copy
import math
import random
from dataclasses import dataclass, field

import pytest

from ami_engine.kernels.decision import Decision, Rules
from ami_engine.kernels.guard import judge_plan
from ami_engine.kernels.observed import see
from ami_engine.kernels.orders import OrderSlot
from ami_engine.kernels.recent_orders import remember_order
from ami_engine.kernels.records import new_cell, new_state
from ami_engine.kernels.telemetry import StepWindow, TimeWindow, count_recent, record_step, record_time
from ami_engine.loop.decide import PolicyInUse
from ami_engine.loop.verdict_words import words_of
from decision_schema.instruments import Instrument
from decision_schema.reasons import LEG_NO_SHORT, MODEL_ERROR, NO_ORDER_TERMS, OK
from dmc_core.dmc.context import GuardContext
from dmc_core.dmc.decide import ACT, MAX_LEGS, STOP, Judgement, Leg, decide
from dmc_core.dmc.guards import (
    ABSENT,
    ACTIONS,
    LIMIT_NAMES,
    LIMIT_SLOT,
    MALFORMED,
    N_OBSERVED,
    PRESENT,
    limits_of,
)
from dmc_core.dmc.risk_policy import WINDOW_CAPACITY, RiskPolicy
from dmc_core.jit import can_compile, compiled
from dmc_core.layout import RecordView, array_of, read_record, write_record

pytestmark = pytest.mark.skipif(not can_compile(), reason="numba is not installed: nothing to compare with")

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
INSTRUMENTS = (
    Instrument(market_id="A", tick_size="0.01", lot_size="1", kind="binary", min_size=2),
    Instrument(market_id="B", tick_size="25", lot_size="0.001", multiplier=10.0),
    Instrument(market_id="C", tick_size="0.003", lot_size="0.5", price_min=-1e9),
)
STRANGE = (math.nan, math.inf, -math.inf, -0.0, 5e-324, 1e300, -1e300)
POLICY = limits_of(RiskPolicy())
NO_HOLD = (OK,) * 20 + (NO_ORDER_TERMS, MODEL_ERROR)


def same(plain, place):
    """Compare a record with its place in an array, bit for bit; nan equals nan."""
    other = copy.deepcopy(plain)
    read_record(place, other)
    got, want = repr(other), repr(plain)
    at = next((i for i, (a, b) in enumerate(zip(got, want, strict=False)) if a != b), 0)
    assert got == want, f"compiled ...{got[at - 90 : at + 30]} but ...{want[at - 90 : at + 30]}"


def number(rng, scale=10.0):
    if rng.random() < 0.04:
        return rng.choice(STRANGE)
    return rng.choice([0.0, scale, rng.uniform(-scale, scale), rng.uniform(0.0, 0.1), 1.0])


def make_limits(rng):
    """Mostly the defaults, so that there is something to be refused by a single row."""
    limits = list(POLICY)
    for _ in range(rng.choice([0, 1, 3, 12])):
        limits[rng.randrange(1, len(limits))] = rng.choice([0.0, 0.5, 2.0, 10.0, 1000.0])
    limits[LIMIT_SLOT["error_window_steps"]] = float(rng.choice([1, 100, WINDOW_CAPACITY]))
    if rng.random() < 0.5:
        for name in ("max_per_market_usd", "max_total_exposure_usd", "max_abs_inventory"):
            limits[LIMIT_SLOT[name]] = rng.choice([50.0, 5_000.0, 1e6])
    return limits


class World:
    """Account, three markets and a blank one, rules and decision in both forms."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        cells = [new_cell(i, one, SECOND, True, False) for i, one in enumerate(INSTRUMENTS)]
        self.cells = [*cells, new_cell(-1, Instrument(), SECOND, True, False)]
        self.state, self.decision, self.rules = new_state(1_000.0), Decision(), Rules()
        self.state.n_cells, self.state.now_ns = len(INSTRUMENTS), START
        self.fast_state, self.fast_rules = array_of([self.state]), array_of([self.rules])
        self.fast_decision, self.fast_cells = array_of([self.decision]), array_of(self.cells)

    def move(self, calm):
        """Bring both forms into a new state: what the stages before the guards would have done."""
        rng, state, account = self.rng, self.state, self.state.account
        state.now_ns += rng.choice([0, 1, 10**6, SECOND, 70 * SECOND])
        state.step += 1
        account.equity = 1_000.0
        account.daily_pnl = account.drawdown = 0.0
        if not calm:
            account.daily_pnl, account.drawdown, account.equity = (number(rng) for _ in range(3))
            account.daily_drawdown = number(rng)
            account.consecutive_losses = rng.randrange(4)
            state.ops_until_ns = state.now_ns + rng.choice([0, SECOND])
        if calm or rng.random() < 0.5:
            state.stopped = OK
        state.reserved_part = rng.choice([0.0, 0.0, 0.75])
        if rng.random() < 0.2:
            state.tripped_executions = 0
            state.executions_since = state.executions.added
        windows = (state.cancels, state.failures, state.rate_limits, state.reconnects)
        for window in (*windows, state.executions, state.messages):
            for _ in range(rng.choice([0] * 20 + [1, 3, WINDOW_CAPACITY + 9])):
                record_time(window, state.now_ns)
        record_step(state.errors, int(rng.random() < 0.05), 100)
        write_record(self.fast_state[0], state)
        for cell, fast in zip(self.cells, self.fast_cells, strict=True):
            self._move_market(cell, fast, calm)
        self.rules.limits = make_limits(rng)
        write_record(self.fast_rules[0], self.rules)

    def _move_market(self, cell, fast, calm):
        rng, market, position, orders = self.rng, cell.market, cell.position, cell.orders
        if cell.index >= 0:
            position.lots = rng.choice([0, 0, 1, -1, 5, -2000])
            position.mark = market.book.mid
        market.book.mid = rng.choice([0.5, 0.31, 0.97])
        market.book.bid, market.book.ask = market.book.mid - 0.01, market.book.mid + 0.01
        cell.session_open, cell.markouts.untracked = 1, 0
        for i in range(len(market.features)):
            market.features[i] = 0.5
        market.features[4] = 100.0  # the displayed depth
        if not calm:
            position.mark = number(rng)
            position.lots *= rng.choice([1, 1, 1000, 10**12])
            market.book.mid, market.book.bid, market.book.ask = (number(rng, 1.0) for _ in range(3))
            for _ in range(5):
                market.features[rng.randrange(len(market.features))] = number(rng)
            cell.session_open = int(rng.random() < 0.95)
            cell.exiting = int(rng.random() < 0.05)
            cell.adverse_until_ns = rng.choice([0, self.state.now_ns + 5])
            cell.markouts.untracked = int(rng.random() < 0.1)
            cell.markouts.added, cell.markouts.done[:] = 5000, [905, 904 + rng.randrange(2), 905, 4000]
        self._move_memory(cell)
        orders.used = rng.randrange(5) if cell.index >= 0 else 0
        for slot in orders.slots[: orders.used]:
            slot.status, slot.side, slot.level = rng.randrange(5), rng.choice([1, -1]), rng.randrange(2)
            slot.lots = rng.choice([1, 2, 5, 10**9])
            slot.filled_lots, slot.step = rng.choice([0, 1]), rng.randrange(9)
            slot.is_exit = int(rng.random() < 0.1)
            slot.takes, slot.price_ticks = int(rng.random() < 0.1), rng.choice([40, 50])
            slot.created_ns = slot.cancel_ns = self.state.now_ns - rng.choice([0, 10**6])
        for name in ("position", "orders", "sanity", "recent"):
            write_record(fast[name], getattr(cell, name))
        write_record(fast["market"]["book"], market.book)
        fast["market"]["features"] = market.features
        for name in ("untracked", "added", "done"):
            fast["markouts"][name] = getattr(cell.markouts, name)
        for name in ("session_open", "exiting", "adverse_until_ns", "reserved_part"):
            fast[name] = getattr(cell, name)

    def _move_memory(self, cell):
        rng, now, sanity = self.rng, self.state.now_ns, cell.sanity
        sanity.crossed_ns, sanity.changed_ns, sanity.gap_ns = (rng.choice([-1, now, now - SECOND]) for _ in range(3))
        sanity.jump_bps = number(rng)
        cell.reserved_part = rng.choice([0.0, 0.25])
        for _ in range(rng.randrange(3)):
            sent = OrderSlot(side=rng.choice([1, -1]), takes=rng.randrange(2), price_ticks=rng.choice([40, 50]))
            sent.lots = rng.choice([1, 2, 5])
            remember_order(cell.recent, sent, now - rng.choice([0, 10**6]))

    def propose(self):
        rng, plan = self.rng, self.decision.plan
        self.decision.proposed.action = ACT if rng.random() < 0.7 else rng.randrange(STOP + 1)
        plan.reason = rng.choice(NO_HOLD)
        plan.n_wanted = 0 if plan.reason else rng.choice([0, 1, 2, 2, 3, MAX_LEGS])
        plan.n_dropped = rng.randrange(2)
        plan.dropped[0] = LEG_NO_SHORT
        for want in plan.wanted[: plan.n_wanted]:
            want.side, want.level, want.takes = rng.choice([1, -1]), rng.randrange(3), rng.randrange(2)
            want.price_ticks = rng.choice([1, 40, 50, 99, -7, 10**15])
            want.lots = rng.choice([1, 2, 5, 100, 20_000, 10**15])
            want.allowed = 1
        write_record(self.fast_decision[0], self.decision)

    def judge(self):
        rng, state, limits = self.rng, self.state, self.rules.limits
        at = rng.choice([0, 1, 2, 2, -1])
        inconsistent, hook_failed = int(rng.random() < 0.03), int(rng.random() < 0.1)
        see(state, self.cells, self.cells[at], limits, self.decision.context, state.now_ns)
        judge_plan(state, self.cells[at], limits, self.decision, inconsistent, hook_failed, state.now_ns)
        fast_state, decision = self.fast_state[0], self.fast_decision[0]
        fast_limits = self.fast_rules[0]["limits"]
        compiled(see)(
            fast_state, self.fast_cells, self.fast_cells[at], fast_limits, decision["context"], state.now_ns
        )
        compiled(judge_plan)(
            fast_state, self.fast_cells[at], fast_limits, decision, inconsistent, hook_failed, state.now_ns
        )
        return PolicyInUse(RiskPolicy(), limits, [], hook_failed == 1)

    def check(self):
        same(self.state, self.fast_state[0])
        same(self.decision, self.fast_decision[0])
        for cell, fast in zip(self.cells, self.fast_cells, strict=True):
            assert (cell.exiting, cell.adverse_until_ns) == (fast["exiting"], fast["adverse_until_ns"])
            assert cell.sanity.pause_until_ns == fast["sanity"]["pause_until_ns"]


@pytest.mark.parametrize("calm", [False, True])
def test_see_and_judge(calm):
    world, seen = World(7), set()
    for _ in range(120):
        world.move(calm)
        world.propose()
        in_use = world.judge()
        world.check()
        proposed = ACTIONS[world.decision.proposed.action]
        words = words_of(world.decision, proposed, ["mine"], ["odd"], in_use)
        other = words_of(RecordView(world.fast_decision[0]), proposed, ["mine"], ["odd"], in_use)
        assert repr(words[:-1]) == repr(other[:-1])
        assert len(words.legs) == len(other.legs)
        seen.add(words.action)
    for cell, fast in zip(world.cells, world.fast_cells, strict=True):
        same(cell, fast)
    assert len(seen) >= 4, seen


@dataclass(slots=True)
class Case:
    """What `decide` reads and writes."""

    context: GuardContext = field(default_factory=GuardContext)
    legs: list[Leg] = field(default_factory=lambda: [Leg() for _ in range(MAX_LEGS)])
    judgement: Judgement = field(default_factory=Judgement)


def make_context(rng, context, calm):
    for slot in range(N_OBSERVED):
        context.presence[slot] = rng.choice([PRESENT] * 30 + [ABSENT, MALFORMED])
        context.observed[slot] = rng.choice([0.0, 0.5, 5.0]) if calm else number(rng)
    context.inventory = rng.choice([0.0, 3.0, -3.0, 9.9]) if calm else number(rng)
    context.signed, context.opens_known = (int(rng.random() < 0.9) for _ in range(2))
    context.open_buy, context.open_sell = rng.choice([0.0, 1.5]), rng.choice([0.0, 4.0])
    context.open_orders = rng.choice([0.0, 3.0, math.nan])
    context.other_exposure = rng.choice([0.0, 1.0, math.nan, 1e300])
    context.mid, context.bid, context.ask = 0.5, 0.49, 0.51
    if not calm or rng.random() < 0.2:
        context.mid, context.bid, context.ask = (number(rng, 1.0) for _ in range(3))
    context.multiplier = rng.choice([1.0, 50.0, 1e-300])
    context.is_binary = rng.randrange(2)
    context.other_net_long, context.other_net_short = rng.choice([0.0, 2.0, math.nan]), rng.choice([0.0, -2.0])
    context.reserved_exposure, context.reserved_orders = rng.choice([math.nan, 1.0]), rng.choice([math.nan, 2.0])
    context.messages, context.typical_size = rng.choice([math.nan, 4.0]), rng.choice([math.nan, 0.5])
    context.own_bid, context.own_ask = rng.choice([math.nan, -math.inf, 0.4]), rng.choice([math.inf, 0.4])
    context.tick = rng.choice([math.nan, 0.01])


def make_legs(rng, legs, calm):
    for leg in legs:
        leg.side = rng.choice([1, -1, 1, -1, 0])
        leg.price = rng.choice([0.4, 0.5, math.nan]) if calm else number(rng)
        leg.size = rng.choice([1.0, 3.0, 0.1, 50.0]) if calm else number(rng)
        leg.lot = rng.choice([0.0, 0.1, 1.0, 1e-300])
        leg.min_size = rng.choice([0.0, 1.0])
        leg.replaces = rng.choice([0.0, 0.0, 1.0, 5.0])
        leg.keeps, leg.twin_age_ms = rng.randrange(2), rng.choice([math.nan, 0.0, 5.0])
        leg.clamped = rng.randrange(2)  # of the step before: must not count


@pytest.mark.parametrize("calm", [False, True])
def test_decide(calm):
    """Also what the loop never shows: unknown signs, unusable inputs, an ACT without terms."""
    rng, case = random.Random(11), Case()
    fast = array_of([case])[0]
    actions = set()
    for _ in range(400):
        limits = Rules(limits=make_limits(rng) if rng.random() < 0.97 else [math.nan] * len(LIMIT_NAMES))
        fast_limits = array_of([limits])[0]["limits"]
        make_context(rng, case.context, calm)
        make_legs(rng, case.legs, calm)
        write_record(fast, case)
        action = rng.choice([ACT, ACT, rng.randrange(STOP + 1)])
        n, no_new_risk = rng.choice([0, 1, 1, 2, MAX_LEGS]), int(rng.random() < 0.1)
        out = case.judgement
        decide(action, n, case.legs, case.context, limits.limits, out, no_new_risk)
        compiled(decide)(
            action, n, fast["legs"], fast["context"], fast_limits, fast["judgement"], no_new_risk
        )
        same(case, fast)
        rows = out.refusing[: out.n_refusing]
        assert rows == sorted(set(rows))
        actions.add(out.action)
    assert len(actions) >= (4 if calm else 3), actions


def test_windows():
    rng, times, steps = random.Random(5), TimeWindow(), StepWindow()
    fast_times, fast_steps = array_of([times])[0], array_of([steps])[0]
    now, stamps = 0, []
    for i in range(3 * WINDOW_CAPACITY):
        now += rng.choice([0, 1, 7])
        stamps = [*stamps, now][-WINDOW_CAPACITY:]
        had_error, width = int(rng.random() < 0.3), rng.choice([1, 5, 300, 10**6])
        for kernel, arguments, place in (
            (record_time, (now,), (times, fast_times)),
            (record_step, (had_error, 100), (steps, fast_steps)),
        ):
            kernel(place[0], *arguments)
            compiled(kernel)(place[1], *arguments)
        recent = count_recent(times, now, width)
        assert recent == compiled(count_recent)(fast_times, now, width)
        if i % 16 == 0:
            assert recent == sum(now - stamp < width for stamp in stamps)
    same(times, fast_times)
    same(steps, fast_steps)
