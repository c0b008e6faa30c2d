"""The state of a compiled run: arrays, two crossings into compiled code a step, one flat answer."""

import struct
from collections.abc import Callable
from operator import attrgetter
from typing import Any

from ami_engine.kernels import fused
from ami_engine.kernels import outcome as places
from ami_engine.kernels.book import Book
from ami_engine.kernels.decision import Decision, Proposed, Rules
from ami_engine.kernels.fused import judge_and_pursue, plan_and_see
from ami_engine.kernels.inputs import Input, TradeRow
from ami_engine.kernels.model_input import ModelInput
from ami_engine.kernels.observed import see
from ami_engine.kernels.records import Cell, EngineState
from ami_engine.loop.core import OpenOrder, Shown
from ami_engine.loop.edge import Admitted
from decision_schema.reasons import OK
from dmc_core.dmc.guards import N_GUARDS, N_LEG_ROWS, N_OBSERVED
from dmc_core.jit import bound
from dmc_core.layout import RecordView, array_of, write_record

_INPUT_OF = attrgetter(*Input.__slots__)
_INPUT = struct.Struct("".join("d" if isinstance(v, float) else "q" for v in _INPUT_OF(Input())))
_BOOK = struct.Struct("6d2q")
_BOOK_OF = attrgetter("bid", "ask", "mid", "bid_depth", "ask_depth", "depth", "n_bids", "n_asks")
_TRADE = struct.Struct("ddq")
_PROPOSED = struct.Struct("qddqqqqd")


class FastCore:
    """The numbers of a run as arrays; the arguments are those of `Core`."""

    fast = True

    def __init__(self, state: EngineState, blank: Cell, rules: Rules) -> None:
        self._states, self._cells, self._rules = array_of([state]), array_of([blank]), array_of([rules])
        self._decisions, self._xs = array_of([Decision()]), array_of([ModelInput()])
        self._inputs, self._trades = array_of([Input()]), array_of([TradeRow()])
        self._outs = array_of([places.Outcome()])
        self._ints, self._floats = self._outs[0]["ints"], self._outs[0]["floats"]
        self._read_ints: list[int] = []
        self._read_floats: list[float] = []
        self.state: EngineState = RecordView(self._states[0])  # type: ignore[assignment]
        self.x: ModelInput = RecordView(self._xs[0])  # type: ignore[assignment]
        self.proposed: Proposed = RecordView(self._decisions[0]["proposed"])  # type: ignore[assignment]
        self.decision = Decision()
        self._proposed_at = self._decisions.dtype.fields["proposed"][1]
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

    def take(self, admitted: Admitted) -> int:
        """Observe an input; give the reason for which the model is not asked, OK = it is."""
        inp = admitted.inp
        if inp.bad == OK and inp.has_book == 1:
            self._stage(admitted.book, inp.cell)
        _INPUT.pack_into(self._input_bytes, 0, *_INPUT_OF(inp))
        if inp.n_trades:
            if inp.n_trades > len(self._trades):
                self._trades = array_of([TradeRow() for _ in range(2 * inp.n_trades)])
                self._look()
            for i in range(inp.n_trades):
                trade = admitted.trades[inp.trade_at + i]
                place = (inp.trade_at + i) * _TRADE.size
                _TRADE.pack_into(self._trade_bytes, place, trade.price, trade.size, trade.side)
        why: int = self._take(
            self._states, self._cells, self._decisions, self._xs, self._inputs, self._trades
        )
        return why

    def _stage(self, book: Book, at: int) -> None:
        """Put the book that an event leads to into its market."""
        place = at % len(self._cells) * self._cells.itemsize + self._staged_at
        _BOOK.pack_into(self._bytes, place, *_BOOK_OF(book))
        sides = (
            (book.n_bids, book.bid_prices), (book.n_bids, book.bid_sizes),
            (book.n_asks, book.ask_prices), (book.n_asks, book.ask_sizes),
        )  # fmt: skip
        for offset, (count, numbers) in zip(self._levels_at, sides, strict=True):
            if count:
                struct.pack_into(f"{count}d", self._bytes, place + offset, *numbers[:count])

    def ask(self, model: Callable[..., None], at: int) -> int:
        """Ask a model that is a kernel; OK, or the reason for which its answer is no proposal."""
        if self._ask is None:
            arguments = (self._xs, self._cells, self._decisions, 0)
            self._ask = bound(fused.ask_at, arguments, ("ask_model", model))
        code: int = self._ask(self._xs, self._cells, self._decisions, at)
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
                seen, terms = self.proposed.terms[i], read.terms[i]
                for name in terms.__slots__:
                    setattr(terms, name, getattr(seen, name))
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
        used = int(self._ints[places.USED])
        ints = self._read_ints = self._ints[:used].tolist()
        floats = self._read_floats = self._floats.tolist()
        decision = self.decision
        verdict, judgement, plan = decision.verdict, decision.judgement, decision.plan
        verdict.action, verdict.hold, verdict.mark, verdict.kept, judgement.action = ints[:5]
        judgement.n_refusing, decision.n_legs, plan.n_wanted, plan.n_dropped, plan.terms_from = ints[7:12]
        decision.n_messages = ints[places.N_MESSAGES]
        if judgement.n_refusing:
            judgement.refusing = ints[places.REFUSING : places.REFUSING + N_GUARDS]
            judgement.verdicts = ints[places.VERDICTS : places.VERDICTS + N_GUARDS]
            decision.context.presence = ints[places.PRESENCE : places.PRESENCE + N_OBSERVED]
            decision.context.observed = floats[places.OBSERVED : places.OBSERVED + N_OBSERVED]
        at = places.TAIL
        for k in range(decision.n_legs):
            leg = decision.legs[k]
            leg.side, leg.increasing, leg.allowed, leg.clamped = ints[at : at + 4]
            leg.presence = ints[at + 4 : at + 4 + N_LEG_ROWS]
            leg.verdicts = ints[at + 4 + N_LEG_ROWS : at + places.LEG_INTS]
            place = places.FLOAT_TAIL + k * places.LEG_FLOATS
            leg.size, *leg.values = floats[place : place + places.LEG_FLOATS]
            at += places.LEG_INTS
        for k in range(plan.n_wanted):
            want = plan.wanted[k]
            want.side, want.level, want.takes, want.price_ticks, want.lots, want.allowed = ints[
                at : at + places.WANTED_INTS
            ]
            at += places.WANTED_INTS
        plan.dropped[: plan.n_dropped] = ints[at : at + plan.n_dropped]
        at += plan.n_dropped
        for k in range(decision.n_messages):
            m = decision.messages[k]
            (
                m.op, m.cell, m.slot, m.step, m.leg, m.old_slot, m.side, m.takes, m.price_ticks, m.lots,
                m.tif, m.post_only, m.reduce_only, m.level, m.old_step,
            ) = ints[at : at + places.MESSAGE_INTS]  # fmt: skip
            at += places.MESSAGE_INTS
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

    def observed(self) -> list[float]:
        """Give the numbers that the guards saw, by slot."""
        return self._read_floats[places.OBSERVED : places.OBSERVED + N_OBSERVED]

    def verdicts(self) -> list[int]:
        """Give the verdicts of the guards, by row."""
        return self._read_ints[places.VERDICTS : places.VERDICTS + N_GUARDS]

    def fills(self) -> tuple[int, int]:
        """Give the fills of buys and of sales that the ledger took."""
        return self._read_ints[places.FILLS_BOUGHT], self._read_ints[places.FILLS_SOLD]

    def shown(self) -> Shown:
        """Give what the step left behind."""
        ints, floats, at = self._read_ints, self._read_floats, self._state_at
        positions = []
        for _ in range(ints[places.N_POSITIONS]):
            positions.append((ints[at], ints[at + 1]))
            at += 2
        orders = []
        for _ in range(ints[places.N_OPEN]):
            orders.append(OpenOrder(*ints[at : at + 4]))
            at += 4
        exiting = ints[at : at + ints[places.N_EXITING]]
        equity, realized, unrealized, fees, drawdown, funding = floats[places.EQUITY : places.FUNDING + 1]
        return Shown(
            ints[places.STEP], ints[places.STOPPED], ints[places.STOP_STEP], equity, realized, unrealized,
            fees, drawdown, funding, positions, orders, exiting,
        )  # fmt: skip


def _grown(array: Any, record: Any) -> Any:
    """Give the array with one more entry before the last one."""
    import numpy as np

    grown = np.zeros(len(array) + 1, array.dtype)
    grown[:-2] = array[:-1]
    grown[-1] = array[-1]
    write_record(grown[-2], record)
    return grown
