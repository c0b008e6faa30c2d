"""The state of a run and the kernels that move it: interpreted on records, or compiled on arrays.

Both forms hold the same numbers under the same names; what reads them (packets, summary, model views)
does not see which one it is.
"""

from collections.abc import Callable
from typing import Any

from ami_engine.kernels import fused
from ami_engine.kernels.book import Book, copy_book
from ami_engine.kernels.decision import Decision, Rules
from ami_engine.kernels.fused import judge_and_pursue, plan_and_see
from ami_engine.kernels.guard import see
from ami_engine.kernels.inputs import Input, TradeRow
from ami_engine.kernels.model_input import ModelInput
from ami_engine.kernels.proposing import check_proposed
from ami_engine.kernels.records import Cell, EngineState
from ami_engine.loop.edge import Admitted
from decision_schema.reasons import OK
from dmc_core.jit import compiled
from dmc_core.layout import RecordView, array_of, write_record


class Core:
    """The numbers of a run.

    Args:
        state: Account, windows, latch.
        blank: The cell of inputs that belong to no market.
        rules: What its orders would go by: those of the account.
        fast: Compiled; else interpreted.
    """

    def __init__(self, state: EngineState, blank: Cell, rules: Rules, *, fast: bool) -> None:
        self.fast = fast
        self._cells, self._rules = [blank], [rules]
        self._state, self._decision, self._x, self._input = [state], [Decision()], [ModelInput()], [Input()]
        self._trades: Any = [TradeRow()]
        self.at = -1
        if fast:
            self._state, self._decision, self._x, self._input, self._cells, self._rules, self._trades = (
                array_of(part)
                for part in (
                    self._state, self._decision, self._x, self._input, self._cells, self._rules, self._trades
                )
            )  # fmt: skip
        self._reads()
        self._open = self._kernel(fused.open_at)
        self._take = self._kernel(fused.take_at)
        self._decide = self._kernel(fused.decide_at)

    @property
    def states(self) -> Any:
        """The state as kernels take it: a list, or an array, of one."""
        return self._state

    @property
    def cell_records(self) -> Any:
        """The markets as kernels take them, the blank one last."""
        return self._cells

    @property
    def rule_records(self) -> Any:
        """What orders go by as kernels take it, that of the account last."""
        return self._rules

    def _kernel(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return compiled(function) if self.fast else function

    def _reads(self) -> None:
        """Look at the numbers by name, in either form."""
        show: Callable[[Any], Any] = RecordView if self.fast else (lambda record: record)
        self.state: EngineState = show(self._state[0])
        self.decision: Decision = show(self._decision[0])
        self.x: ModelInput = show(self._x[0])
        self.cells: list[Cell] = [show(cell) for cell in self._cells]

    def add(self, cell: Cell, rules: Rules) -> None:
        """Take in a market; it gets the next number."""
        if not self.fast:
            self._cells.insert(len(self._cells) - 1, cell)
            self._rules.insert(len(self._rules) - 1, rules)
        else:
            self._cells = _grown(self._cells, cell)
            self._rules = _grown(self._rules, rules)
        self._reads()
        self.state.n_cells += 1

    def open(self, now_ns: int) -> None:
        """Begin a step."""
        self._open(self._state, now_ns)

    def take(self, admitted: Admitted) -> int:
        """Observe an input; give the reason for which the model is not asked, OK = it is."""
        inp = admitted.inp
        self.at = inp.cell
        if inp.bad == OK and inp.has_book == 1:
            self._stage(admitted.book)
        if self.fast:
            write_record(self._input[0], inp)
            if inp.n_trades > len(self._trades):
                self._trades = array_of([TradeRow() for _ in range(2 * inp.n_trades)])
            for i, trade in enumerate(admitted.trades):
                self._trades[i] = (trade.price, trade.size, trade.side)
        else:
            self._input[0], self._trades = inp, admitted.trades
        return int(self._take(self._state, self._cells, self._decision, self._x, self._input, self._trades))

    def ask(self, model: Callable[..., None], at: int) -> int:
        """Ask a model that is a kernel; OK, or the reason for which its answer is no proposal."""
        if self.fast:
            memory, proposed = self._cells[at]["memory"], self._decision[0]["proposed"]
            compiled(model)(self._x[0], memory, proposed)
        else:
            model(self.x, self.cells[at].memory, self.decision.proposed)
        return check_proposed(self.decision.proposed)

    def decide(self, at: int, inconsistent: int) -> None:
        """Turn the proposal into messages."""
        self._decide(self._state, self._cells, self._rules, self._decision, at, inconsistent)

    def plan_and_see(self, at: int) -> None:
        """The first half of `decide`: complete the proposal to orders, write what the guards see."""
        plan_and_see(self.state, self.cells, self._rule_views(), self.decision, at)

    def see(self, at: int) -> None:
        """Write anew what the guards see, after `set_limits`."""
        cell, rules = self.cells[at], self._rule_views()[at]
        see(self.state, self.cells, cell, rules.limits, self.decision.context, self.state.now_ns)

    def judge_and_pursue(self, at: int, inconsistent: int, hook_failed: int) -> None:
        """The second half of `decide`."""
        judge_and_pursue(
            self.state, self.cells, self._rule_views(), self.decision, at, inconsistent, hook_failed
        )

    def set_limits(self, at: int, limits: list[float]) -> None:
        """Let a market go by other limits."""
        own = self._rule_views()[at].limits
        for i, limit in enumerate(limits):
            own[i] = limit

    def _rule_views(self) -> list[Rules]:
        return [RecordView(rules) for rules in self._rules] if self.fast else self._rules  # type: ignore[misc]

    def _stage(self, book: Book) -> None:
        """Put the book that an event leads to into its market."""
        if not self.fast:
            copy_book(book, self.cells[self.at].market.staged)
            return
        staged = self._cells[self.at]["market"]["staged"]
        for name in ("bid", "ask", "mid", "bid_depth", "ask_depth", "depth", "n_bids", "n_asks"):
            staged[name] = getattr(book, name)
        n_bids, n_asks = book.n_bids, book.n_asks
        staged["bid_prices"][:n_bids] = book.bid_prices[:n_bids]
        staged["bid_sizes"][:n_bids] = book.bid_sizes[:n_bids]
        staged["ask_prices"][:n_asks] = book.ask_prices[:n_asks]
        staged["ask_sizes"][:n_asks] = book.ask_sizes[:n_asks]

    def features(self, at: int) -> list[float]:
        """Give the feature vector of a market."""
        return self._numbers(self._cells[at]["market"]["features"] if self.fast else self.cells[at].market.features)

    def memory(self, at: int) -> list[float]:
        """Give what a model that is a kernel keeps of a market."""
        return self._numbers(self._cells[at]["memory"]["values"] if self.fast else self.cells[at].memory.values)

    def observed(self) -> list[float]:
        """Give the numbers that the guards saw, by slot."""
        context = self._decision[0]["context"]["observed"] if self.fast else self.decision.context.observed
        return self._numbers(context)

    def verdicts(self) -> list[int]:
        """Give the verdicts of the guards, by row."""
        judgement = self._decision[0]["judgement"]["verdicts"] if self.fast else self.decision.judgement.verdicts
        return self._numbers(judgement)

    def _numbers(self, values: Any) -> Any:
        return values.tolist() if self.fast else list(values)


def _grown(array: Any, record: Any) -> Any:
    """Give the array with one more entry before the last one."""
    import numpy as np

    grown = np.zeros(len(array) + 1, array.dtype)
    grown[:-2] = array[:-1]
    grown[-1] = array[-1]
    write_record(grown[-2], record)
    return grown
