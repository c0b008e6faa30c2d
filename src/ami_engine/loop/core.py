"""The state of a run and the kernels that move it: interpreted on records, or compiled on arrays.

Both forms hold the same numbers under the same names; what reads them (packets, summary, model views)
does not see which one it is.
"""

from collections.abc import Callable
from typing import Any

from ami_engine.kernels import fused
from ami_engine.kernels.decision import Decision, Rules
from ami_engine.kernels.inputs import Input, TradeRow
from ami_engine.kernels.model_input import ModelInput
from ami_engine.kernels.records import Cell, EngineState
from dmc_core.jit import compiled
from dmc_core.layout import RecordView, array_of, write_record

MAX_TRADES = 5_000
"""Trades of one input: as many as an event may carry."""


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
        self._n_trades = 1
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

    def write_input(self, inp: Input, trades: list[TradeRow]) -> None:
        """Bring the input of the next step."""
        if not self.fast:
            self._input[0] = inp
            self._trades = trades
            return
        write_record(self._input[0], inp)
        if len(trades) > len(self._trades):
            self._trades = array_of([TradeRow() for _ in range(2 * len(trades))])
        for i, trade in enumerate(trades):
            self._trades[i] = (trade.price, trade.size, trade.side)

    def open(self, now_ns: int) -> None:
        """Begin a step."""
        self._open(self._state, now_ns)

    def take(self) -> int:
        """Observe the input; give the reason for which the model is not asked, OK = it is."""
        return int(self._take(self._state, self._cells, self._decision, self._x, self._input, self._trades))

    def decide(self, at: int, inconsistent: int) -> None:
        """Turn the proposal into messages."""
        self._decide(self._state, self._cells, self._rules, self._decision, at, inconsistent)


def _grown(array: Any, record: Any) -> Any:
    """Give the array with one more entry before the last one."""
    import numpy as np

    grown = np.zeros(len(array) + 1, array.dtype)
    grown[:-2] = array[:-1]
    grown[-1] = array[-1]
    write_record(grown[-2], record)
    return grown
