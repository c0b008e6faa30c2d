"""The state of an interpreted run, and the kernels that move it on.

`FastCore` (fast_core.py) is the same over arrays, with compiled kernels: same numbers, same names, so
that what reads them (packets, summary, model views) does not see which one it is.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import msgspec

from ami_engine.kernels.book import copy_book
from ami_engine.kernels.decision import Decision, Proposed, Rules
from ami_engine.kernels.fused import decide_step, judge_and_pursue, open_step, plan_and_see, take_input
from ami_engine.kernels.model_input import ModelInput
from ami_engine.kernels.observed import see
from ami_engine.kernels.orders import FREE
from ami_engine.kernels.proposing import check_proposed
from ami_engine.kernels.records import Cell, EngineState
from ami_engine.kernels.reports import take_fill_at, take_status_at
from ami_engine.loop.edge import Admitted
from ami_engine.sim.paper_numbers import Numbers
from decision_schema.events import UNSET
from decision_schema.reasons import OK

Known: TypeAlias = float | msgspec.UnsetType


OpenOrder: TypeAlias = tuple[int, int, int, int]
"""An order whose end is not confirmed: its market, slot and status by number, what may still fill."""


class Shown(NamedTuple):
    """What a step left behind, as a packet tells it.

    Args:
        positions: Market and lots of each that is not flat.
        exiting: Markets whose position is being closed.
    """

    step: int
    stopped: int
    stop_step: int
    equity: float
    realized: float
    unrealized: float
    fees: float
    max_drawdown: float
    funding: float
    positions: list[tuple[int, int]]
    open_orders: list[OpenOrder]
    exiting: list[int]


class Core:
    """The numbers of a run as records.

    Args:
        state: Account, windows, latch.
        blank: The cell of inputs that belong to no market.
        rules: What its orders would go by: those of the account.
    """

    fast = False

    def __init__(self, state: EngineState, blank: Cell, rules: Rules) -> None:
        self.state = state
        self.cells = [blank]
        self.decision = Decision()
        self.x = ModelInput()
        self._rules = [rules]

    @property
    def states(self) -> Any:
        """The state as a batch loop takes it: a list of one."""
        return [self.state]

    @property
    def cell_records(self) -> Any:
        """The markets as a batch loop takes them, the blank one last."""
        return self.cells

    @property
    def rule_records(self) -> Any:
        """What orders go by as a batch loop takes it, that of the account last."""
        return self._rules

    @property
    def proposed(self) -> Proposed:
        """The proposal in numbers, to be written."""
        return self.decision.proposed

    def add(self, cell: Cell, rules: Rules) -> None:
        """Take in a market; it gets the next number."""
        self.cells.insert(len(self.cells) - 1, cell)
        self._rules.insert(len(self._rules) - 1, rules)
        self.state.n_cells += 1

    def open(self, now_ns: int) -> None:
        """Begin a step."""
        open_step(self.state, now_ns)

    def take_status(self, at: int, slot: int, status: int, now_ns: int) -> None:
        """Take the state in which the broker says that an order of market `at` is."""
        take_status_at(self.cells, at, slot, status, now_ns)

    def take_fill(
        self, at: int, slot: int, side: int, lots: int, price: float, fee: float, role: int, now_ns: int
    ) -> int:
        """Book an execution in market `at`, slot -1 = of no order; 1 = its order stands on the other side."""
        return take_fill_at(self.states, self.cells, at, slot, side, lots, price, fee, role, now_ns)

    def stage(self, admitted: Admitted) -> Numbers:
        """Put the book that an input leads to into its market; give the input in numbers, for the broker."""
        inp = admitted.inp
        if inp.bad == OK and inp.has_book == 1:
            copy_book(admitted.book, self.cells[inp.cell].market.staged)
        admitted.is_staged = True
        return Numbers([inp], self.cells, admitted.trades, admitted.departures, compiled=False)

    def take(self, admitted: Admitted) -> int:
        """Observe an input; give the reason for which the model is not asked, OK = it is."""
        if not admitted.is_staged:
            self.stage(admitted)
        return take_input(self.state, self.cells, self.decision, self.x, admitted.inp, admitted.trades)

    def ask(self, model: Callable[..., None], at: int) -> int:
        """Ask a model that is a kernel; OK, or the reason for which its answer is no proposal."""
        model(self.x, self.cells[at].memory, self.decision.proposed)
        return check_proposed(self.decision.proposed)

    def answer(self) -> Proposed:
        """Give what the model answered."""
        return self.decision.proposed

    def decide(self, at: int, inconsistent: int) -> None:
        """Turn the proposal into messages."""
        decide_step(self.state, self.cells, self._rules, self.decision, at, inconsistent)

    def plan_and_see(self, at: int) -> None:
        """The first half of `decide`: complete the proposal to orders, write what the guards see."""
        plan_and_see(self.state, self.cells, self._rules, self.decision, at)

    def see(self, at: int) -> None:
        """Write anew what the guards see, after `set_limits`."""
        limits = self._rules[at].limits
        see(self.state, self.cells, self.cells[at], limits, self.decision.context, self.state.now_ns)

    def judge_and_pursue(self, at: int, inconsistent: int, hook_failed: int) -> None:
        """The second half of `decide`."""
        judge_and_pursue(self.state, self.cells, self._rules, self.decision, at, inconsistent, hook_failed)

    def set_limits(self, at: int, limits: list[float]) -> None:
        """Let a market go by other limits."""
        self._rules[at].limits[:] = limits

    def features(self, at: int) -> list[float]:
        """Give the feature vector of a market."""
        return self.cells[at].market.features

    def memory(self, at: int) -> list[float]:
        """Give what a model that is a kernel keeps of a market."""
        return self.cells[at].memory.values

    def known_features(self, at: int) -> list[Known]:
        """Give the features of the market that was decided, UNSET where one is not known."""
        return [value if value == value else UNSET for value in self.cells[at].market.features]

    def observed(self) -> list[float | None]:
        """Give the numbers that the guards saw, by slot; None where one is not finite."""
        return [value if value - value == 0.0 else None for value in self.decision.context.observed]

    def verdicts(self) -> list[int]:
        """Give the verdicts of the guards, by row."""
        return list(self.decision.judgement.verdicts)

    def fills(self) -> tuple[int, int]:
        """Give the fills of buys and of sales that the ledger took."""
        return self.state.fills_bought, self.state.fills_sold

    def open_orders(self) -> list[OpenOrder]:
        """List the orders whose end was not confirmed when the step ended."""
        return self.shown().open_orders

    def shown(self) -> Shown:
        """Give what the step left behind."""
        state, account = self.state, self.state.account
        positions, exiting = [], []
        orders: list[OpenOrder] = []
        for number in range(state.n_cells):
            cell = self.cells[number]
            if cell.position.lots != 0:
                positions.append((number, cell.position.lots))
            if cell.exiting == 1:
                exiting.append(number)
            for i in range(cell.orders.used):
                slot = cell.orders.slots[i]
                if slot.status != FREE:
                    orders.append((number, i, slot.status, slot.lots - slot.filled_lots))
        return Shown(
            state.step, state.stopped, state.stop_step, account.equity, account.realized, account.unrealized,
            account.fees, account.max_drawdown, account.funding, positions, orders, exiting,
        )  # fmt: skip

    def refresh(self) -> None:
        """Nothing: what is shown is read from the records themselves."""
