"""The state of a compiled run: arrays, two crossings into compiled code a step, one flat answer."""

import struct
from collections.abc import Callable
from operator import attrgetter
from typing import Any

from ami_engine.kernels import fused
from ami_engine.kernels.book import Book
from ami_engine.kernels.decision import Decision, Proposed, Rules
from ami_engine.kernels.fused import judge_and_pursue, plan_and_see
from ami_engine.kernels.inputs import DepartureRow, Input, TradeRow
from ami_engine.kernels.model_input import ModelInput
from ami_engine.kernels.observed import see
from ami_engine.kernels.outcome import (
    EQUITY,
    FEATURES,
    FILLS_BOUGHT,
    FILLS_SOLD,
    FLOAT_TAIL,
    FUNDING,
    LEG_FLOATS,
    LEG_INTS,
    MESSAGE_INTS,
    N_EXITING,
    N_LEGS,
    N_MESSAGES,
    N_OPEN,
    N_POSITIONS,
    N_UNKNOWN,
    N_UNSEEN,
    OBSERVED,
    STEP,
    STOP_STEP,
    STOPPED,
    TAIL,
    USED,
    VERDICTS,
    WANTED_INTS,
    Outcome,
)
from ami_engine.kernels.records import Cell, EngineState
from ami_engine.kernels.reports import take_fill_at, take_status_at
from ami_engine.loop.core import Known, OpenOrder, Shown
from ami_engine.loop.edge import Admitted
from ami_engine.sim.paper_numbers import Numbers
from decision_schema.events import MAX_LEVELS, UNSET
from decision_schema.reasons import OK
from dmc_core.dmc.guards import N_GUARDS, N_LEG_ROWS, N_OBSERVED
from dmc_core.jit import bound
from dmc_core.layout import RecordView, array_of, write_record

_INPUT_OF = attrgetter(*Input.__slots__)
_INPUT = struct.Struct("".join("d" if isinstance(v, float) else "q" for v in _INPUT_OF(Input())))
_BOOK = struct.Struct("6d2q")
_BOOK_OF = attrgetter("bid", "ask", "mid", "bid_depth", "ask_depth", "depth", "n_bids", "n_asks")
_LEVELS = [struct.Struct(f"{count}d") for count in range(MAX_LEVELS + 1)]
_TRADE = struct.Struct("ddq")
_DEPARTURE = struct.Struct("qddqq")
_PROPOSED = struct.Struct("qddqqqqd")
_TERMS = struct.Struct("qddqqqqq")


class FastCore:
    """The numbers of a run as arrays; the arguments are those of `Core`."""

    fast = True

    def __init__(self, state: EngineState, blank: Cell, rules: Rules) -> None:
        self._states, self._cells, self._rules = array_of([state]), array_of([blank]), array_of([rules])
        self._decisions, self._xs = array_of([Decision()]), array_of([ModelInput()])
        self._inputs = array_of([Input()])
        self._trades, self._departures = array_of([TradeRow()]), array_of([DepartureRow()])
        self._outs = array_of([Outcome()])
        self._ints, self._floats = self._outs[0]["ints"].data, self._outs[0]["floats"].data
        self._read_ints: list[int] = []
        self._read_floats: list[float] = []
        self.state: EngineState = RecordView(self._states[0])  # type: ignore[assignment]
        self.x: ModelInput = RecordView(self._xs[0])  # type: ignore[assignment]
        self.proposed: Proposed = RecordView(self._decisions[0]["proposed"])  # type: ignore[assignment]
        self.decision = Decision()
        self._proposed_at = self._decisions.dtype.fields["proposed"][1]
        self._terms_at = self._proposed_at + self._decisions.dtype["proposed"].fields["terms"][1]
        in_market = self._cells.dtype["market"]
        self._staged_at = self._cells.dtype.fields["market"][1] + in_market.fields["staged"][1]
        self._levels_at = [
            in_market["staged"].fields[name][1]
            for name in ("bid_prices", "bid_sizes", "ask_prices", "ask_sizes")
        ]
        self._ask: Callable[..., int] | None = None
        self._look()
        arguments = (self._states, self._cells, self._rules, self._decisions)
        self._open = bound(fused.open_at, (self._states, 0))
        self._take = bound(
            fused.take_at,
            (self._states, self._cells, self._decisions, self._xs, self._inputs, self._trades),
        )
        self._take_status = bound(take_status_at, (self._cells, 0, 0, 0, 0))
        self._take_fill = bound(take_fill_at, (self._states, self._cells, 0, 0, 0, 0, 0.0, 0.0, 0, 0))
        self._decide = bound(fused.decide_and_show, (*arguments, self._outs, 0, 0))
        self._show = bound(fused.show_outcome, (self._states, self._cells, self._decisions, self._outs, 0))

    def _look(self) -> None:
        """Look at the arrays by name and by byte, after they have grown."""
        import numpy as np

        self.cells: list[Cell] = [RecordView(cell) for cell in self._cells]  # type: ignore[misc]
        self._bytes = self._cells.view(np.uint8).data
        self._decision_bytes = self._decisions.view(np.uint8).data
        self._input_bytes = self._inputs.view(np.uint8).data
        self._trade_bytes = self._trades.view(np.uint8).data
        self._departure_bytes = self._departures.view(np.uint8).data
        self._numbers = Numbers(self._inputs, self._cells, self._trades, self._departures, compiled=True)
        self._memories = [cell["memory"] for cell in self._cells]

    @property
    def states(self) -> Any:
        """The state as a batch loop takes it: an array of one."""
        return self._states

    @property
    def cell_records(self) -> Any:
        """The markets as a batch loop takes them, the blank one last."""
        return self._cells

    @property
    def rule_records(self) -> Any:
        """What orders go by as a batch loop takes it, that of the account last."""
        return self._rules

    def add(self, cell: Cell, rules: Rules) -> None:
        """Take in a market; it gets the next number."""
        self._cells = _grown(self._cells, cell)
        self._rules = _grown(self._rules, rules)
        self._look()
        self.state.n_cells += 1

    def open(self, now_ns: int) -> None:
        """Begin a step."""
        self._open(self._states, now_ns)

    def take_status(self, at: int, slot: int, status: int, now_ns: int) -> None:
        """Take the state in which the broker says that an order of market `at` is."""
        self._take_status(self._cells, at, slot, status, now_ns)

    def take_fill(
        self, at: int, slot: int, side: int, lots: int, price: float, fee: float, role: int, now_ns: int
    ) -> int:
        """Book an execution in market `at`, slot -1 = of no order; 1 = its order stands on the other side."""
        wrong: int = self._take_fill(
            self._states, self._cells, at, slot, side, lots, price, fee, role, now_ns
        )
        return wrong

    def stage(self, admitted: Admitted) -> Numbers:
        """Write an input, and the book that it leads to into its market; give them, for the broker."""
        inp = admitted.inp
        if inp.bad == OK and inp.has_book == 1:
            self._stage_book(admitted.book, inp.cell)
        _INPUT.pack_into(self._input_bytes, 0, *_INPUT_OF(inp))
        if inp.n_trades:
            if inp.n_trades > len(self._trades):
                self._trades = array_of([TradeRow() for _ in range(2 * inp.n_trades)])
                self._look()
            place = 0
            for trade in admitted.trades:
                _TRADE.pack_into(self._trade_bytes, place, trade.price, trade.size, trade.side)
                place += _TRADE.size
        if inp.n_departures:
            if inp.n_departures > len(self._departures):
                self._departures = array_of([DepartureRow() for _ in range(2 * inp.n_departures)])
                self._look()
            for i, departure in enumerate(admitted.departures):
                _DEPARTURE.pack_into(self._departure_bytes, i * _DEPARTURE.size, *departure)
        admitted.is_staged = True
        return self._numbers

    def take(self, admitted: Admitted) -> int:
        """Observe an input; give the reason for which the model is not asked, OK = it is."""
        if not admitted.is_staged:
            self.stage(admitted)
        why: int = self._take(
            self._states, self._cells, self._decisions, self._xs, self._inputs, self._trades
        )
        return why

    def _stage_book(self, book: Book, at: int) -> None:
        """Put the book that an event leads to into its market."""
        place = at % len(self._cells) * self._cells.itemsize + self._staged_at
        _BOOK.pack_into(self._bytes, place, *_BOOK_OF(book))
        bid_prices, bid_sizes, ask_prices, ask_sizes = self._levels_at
        count = book.n_bids
        if count:
            pack = _LEVELS[count].pack_into
            pack(self._bytes, place + bid_prices, *book.bid_prices[:count])
            pack(self._bytes, place + bid_sizes, *book.bid_sizes[:count])
        count = book.n_asks
        if count:
            pack = _LEVELS[count].pack_into
            pack(self._bytes, place + ask_prices, *book.ask_prices[:count])
            pack(self._bytes, place + ask_sizes, *book.ask_sizes[:count])

    def prepare(self, model: Callable[..., None]) -> Callable[..., int]:
        """Compile what asks a model that is a kernel, before a run has to wait for it."""
        if self._ask is None:
            arguments = (self._xs, self._cells, self._decisions, 0)
            self._ask = bound(fused.ask_at, arguments, ("ask_model", model))
        return self._ask

    def ask(self, model: Callable[..., None], at: int) -> int:
        """Ask a model that is a kernel; OK, or the reason for which its answer is no proposal."""
        code: int = self.prepare(model)(self._xs, self._cells, self._decisions, at)
        return code

    def answer(self) -> Proposed:
        """Give what the model answered."""
        read = self.decision.proposed
        (
            read.action, read.confidence, read.value, read.problem, read.has_terms, read.n_terms, read.reason,
            read.detail,
        ) = _PROPOSED.unpack_from(self._decision_bytes, self._proposed_at)  # fmt: skip
        if read.has_terms:
            for i in range(read.n_terms):
                terms = read.terms[i]
                (
                    terms.side, terms.price, terms.size, terms.level, terms.tif, terms.post_only,
                    terms.reduce_only, terms.ttl_ms,
                ) = _TERMS.unpack_from(self._decision_bytes, self._terms_at + i * _TERMS.size)  # fmt: skip
        return read

    def decide(self, at: int, inconsistent: int) -> None:
        """Turn the proposal into messages."""
        self._decide(self._states, self._cells, self._rules, self._decisions, self._outs, at, inconsistent)
        self._read()

    def refresh(self) -> None:
        """Read what stands in the arrays now."""
        self._show(self._states, self._cells, self._decisions, self._outs, -1)
        self._read()

    def _read(self) -> None:
        """Read the flat answer into the decision that texts are made from."""
        ints = self._read_ints = self._ints[: self._ints[USED]].tolist()
        n_floats = FLOAT_TAIL + ints[N_LEGS] * LEG_FLOATS
        floats = self._read_floats = self._floats[:n_floats].tolist()
        decision = self.decision
        verdict, judgement, plan = decision.verdict, decision.judgement, decision.plan
        verdict.action, verdict.hold, verdict.mark, verdict.kept, judgement.action = ints[:5]
        judgement.n_refusing, decision.n_legs, plan.n_wanted, plan.n_dropped, plan.terms_from = ints[7:12]
        decision.n_messages = ints[N_MESSAGES]
        at = TAIL + ints[N_UNKNOWN] + ints[N_UNSEEN]
        if judgement.n_refusing:
            judgement.verdicts = ints[VERDICTS : VERDICTS + N_GUARDS]
            judgement.refusing = ints[at : at + judgement.n_refusing]
            at += judgement.n_refusing
            decision.context.presence = ints[at : at + N_OBSERVED]
            decision.context.observed = floats[OBSERVED : OBSERVED + N_OBSERVED]
            at += N_OBSERVED
        for k in range(decision.n_legs):
            leg = decision.legs[k]
            leg.side, leg.increasing, leg.allowed, leg.clamped = ints[at : at + 4]
            leg.presence = ints[at + 4 : at + 4 + N_LEG_ROWS]
            leg.verdicts = ints[at + 4 + N_LEG_ROWS : at + LEG_INTS]
            place = FLOAT_TAIL + k * LEG_FLOATS
            leg.size, leg.values = floats[place], floats[place + 1 : place + LEG_FLOATS]
            at += LEG_INTS
        for k in range(plan.n_wanted):
            want = plan.wanted[k]
            want.side, want.level, want.takes, want.price_ticks, want.lots, want.allowed = ints[
                at : at + WANTED_INTS
            ]
            at += WANTED_INTS
        if plan.n_dropped:
            plan.dropped[: plan.n_dropped] = ints[at : at + plan.n_dropped]
            at += plan.n_dropped
        for k in range(decision.n_messages):
            m = decision.messages[k]
            (
                m.op, m.cell, m.slot, m.step, m.leg, m.old_slot, m.side, m.takes, m.price_ticks, m.lots,
                m.tif, m.post_only, m.reduce_only, m.level, m.old_step,
            ) = ints[at : at + MESSAGE_INTS]  # fmt: skip
            at += MESSAGE_INTS
        self._state_at = at

    def plan_and_see(self, at: int) -> None:
        """The first half of `decide`: complete the proposal to orders, write what the guards see."""
        plan_and_see(self.state, self.cells, self._rule_views(), self._decision_view(), at)
        observed = self._decision_view().context.observed
        self.decision.context.observed = [observed[i] for i in range(N_OBSERVED)]
        self.decision.context.inventory = self._decision_view().context.inventory

    def see(self, at: int) -> None:
        """Write anew what the guards see, after `set_limits`."""
        limits = self._rule_views()[at].limits
        see(self.state, self.cells, self.cells[at], limits, self._decision_view().context, self.state.now_ns)

    def judge_and_pursue(self, at: int, inconsistent: int, hook_failed: int) -> None:
        """The second half of `decide`."""
        judge_and_pursue(
            self.state, self.cells, self._rule_views(), self._decision_view(), at, inconsistent, hook_failed
        )
        self._show(self._states, self._cells, self._decisions, self._outs, at)
        self._read()

    def set_limits(self, at: int, limits: list[float]) -> None:
        """Let a market go by other limits."""
        self._rules[at]["limits"][:] = limits

    def _rule_views(self) -> Any:
        return [RecordView(rules) for rules in self._rules]

    def _decision_view(self) -> Any:
        return RecordView(self._decisions[0])

    def features(self, at: int) -> list[float]:
        """Give the feature vector of a market."""
        found: list[float] = self._cells[at]["market"]["features"].tolist()
        return found

    def memory(self, at: int) -> list[float]:
        """Give what a model that is a kernel keeps of a market."""
        found: list[float] = self._memories[at]["values"].tolist()
        return found

    def known_features(self, at: int) -> list[Known]:
        """Give the features of the market that was decided, UNSET where one is not known."""
        known: list[Known] = self._read_floats[FEATURES:OBSERVED]  # type: ignore[assignment]
        end = TAIL + self._read_ints[N_UNKNOWN]
        for i in self._read_ints[TAIL:end]:
            known[i] = UNSET
        return known

    def observed(self) -> list[float | None]:
        """Give the numbers that the guards saw, by slot; None where one is not finite."""
        ints = self._read_ints
        seen: list[float | None] = self._read_floats[OBSERVED:FLOAT_TAIL]  # type: ignore[assignment]
        at = TAIL + ints[N_UNKNOWN]
        for i in ints[at : at + ints[N_UNSEEN]]:
            seen[i] = None
        return seen

    def verdicts(self) -> list[int]:
        """Give the verdicts of the guards, by row."""
        return self._read_ints[VERDICTS : VERDICTS + N_GUARDS]

    def fills(self) -> tuple[int, int]:
        """Give the fills of buys and of sales that the ledger took."""
        return self._read_ints[FILLS_BOUGHT], self._read_ints[FILLS_SOLD]

    def open_orders(self) -> list[OpenOrder]:
        """List the orders whose end was not confirmed when the step ended."""
        ints = self._read_ints
        if ints[N_OPEN] == 0:
            return []
        begin = self._state_at + 2 * ints[N_POSITIONS]
        end = begin + 4 * ints[N_OPEN]
        cells, slots, statuses, lots = (ints[at:end:4] for at in range(begin, begin + 4))
        return list(zip(cells, slots, statuses, lots, strict=True))

    def shown(self) -> Shown:
        """Give what the step left behind."""
        ints, floats, at = self._read_ints, self._read_floats, self._state_at
        positions = []
        for _ in range(ints[N_POSITIONS]):
            positions.append((ints[at], ints[at + 1]))
            at += 2
        at += 4 * ints[N_OPEN]
        exiting = ints[at : at + ints[N_EXITING]]
        equity, realized, unrealized, fees, drawdown, funding = floats[EQUITY : FUNDING + 1]
        return Shown(
            ints[STEP], ints[STOPPED], ints[STOP_STEP], equity, realized, unrealized,
            fees, drawdown, funding, positions, self.open_orders(), exiting,
        )  # fmt: skip


def _grown(array: Any, record: Any) -> Any:
    """Give the array with one more entry before the last one."""
    import numpy as np

    grown = np.zeros(len(array) + 1, array.dtype)
    grown[:-2] = array[:-1]
    grown[-1] = array[-1]
    write_record(grown[-2], record)
    return grown
