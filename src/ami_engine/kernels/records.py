"""The one state of a run: what influences a decision stands here, and nowhere else."""

import math
from dataclasses import dataclass, field

from ami_engine.kernels.channels import Channels
from ami_engine.kernels.costs import CostState
from ami_engine.kernels.features import MarketState, new_market_state
from ami_engine.kernels.ledger import Account, Position, new_account, new_position
from ami_engine.kernels.markouts import MarkoutState
from ami_engine.kernels.orders import Orders, remaining_lots
from ami_engine.kernels.quality import DataQuality
from ami_engine.kernels.recent_orders import RecentOrders
from ami_engine.kernels.sanity import Sanity
from ami_engine.kernels.telemetry import StepWindow, TimeWindow
from decision_schema.instruments import Instrument, price_of
from decision_schema.kernel import kernel

MAX_MARKETS = 256
MAX_MEMORY = 32
"""Numbers that a compiled model can keep of a market."""
NONE = -1


@dataclass(slots=True)
class Memory:
    """What a compiled model keeps of one market from step to step; only the model writes it."""

    values: list[float] = field(default_factory=lambda: [math.nan] * MAX_MEMORY)


@dataclass(slots=True)
class Cell:
    """All state of one market.

    Args:
        index: Its place in the run.
        market: Book, windows and features.
        position: Its part of the ledger.
        orders: Own orders whose end is not confirmed.
        markouts: What the mid did after our fills.
        costs: What our fills captured and cost.
        channels: The last message of each channel.
        exiting: 1 = the position is being closed.
        session_open: 0 = the venue said that the market does not trade.
        adverse_until_ns: End of the pause after adverse selection.
        min_lots: Least size of an order in lots.
        quality: What the data were like.
        memory: The memory of a compiled model.
        sanity: What was odd about its data lately.
        recent: Its last own orders, where a limit asks for them.
        reserved_part: Part of the account's limits that is kept for it.
    """

    index: int
    market: MarketState
    position: Position
    orders: Orders
    markouts: MarkoutState
    costs: CostState
    quality: DataQuality
    channels: Channels
    memory: Memory = field(default_factory=Memory)
    min_lots: int = 1
    min_notional: float = 0.0
    can_short: int = 1
    exiting: int = 0
    session_open: int = 1
    adverse_until_ns: int = 0
    sanity: Sanity = field(default_factory=Sanity)
    recent: RecentOrders = field(default_factory=RecentOrders)
    reserved_part: float = 0.0


@dataclass(slots=True)
class EngineState:
    """The account, what went wrong lately, the latch; the markets stand beside it, in a list of cells.

    The last cell of the list is a blank one, for inputs that belong to no market: number -1.

    Args:
        n_cells: Markets seen so far.
        is_live: 1 = a live broker, which reports funding and settlement itself.
        warmup_ns: Time after the first event before the model is asked.
        step: Steps done.
        now_ns: Time of the present step.
        first_ns: Time of the first accepted market event; -1 = none yet.
        stopped: Reason code of the latched STOP; 0 = none.
        stop_step: Step at which it latched.
        had_error: 1 = a call to the broker or the policy hook failed in the present step.
        streak_until_ns: End of the pause after a losing streak.
        ops_until_ns: End of the pause after operations reported trouble.
        fills_bought: Fills of buys that the ledger took, each once.
        fills_sold: Fills of sales.
        executions: Times of the fills.
        executions_since: Number of the first fill that counts: those before a person enabled trading again
            do not.
        tripped_executions: How many fills disabled trading until a person enables it; 0 = it is enabled.
        messages: Times of the messages sent.
        reserved_part: Part of the account's limits that is kept for single markets, of all of them.
    """

    account: Account
    cancels: TimeWindow = field(default_factory=TimeWindow)
    failures: TimeWindow = field(default_factory=TimeWindow)
    rate_limits: TimeWindow = field(default_factory=TimeWindow)
    reconnects: TimeWindow = field(default_factory=TimeWindow)
    executions: TimeWindow = field(default_factory=TimeWindow)
    messages: TimeWindow = field(default_factory=TimeWindow)
    errors: StepWindow = field(default_factory=StepWindow)
    n_cells: int = 0
    is_live: int = 0
    warmup_ns: int = 0
    step: int = 0
    now_ns: int = 0
    first_ns: int = NONE
    stopped: int = 0
    stop_step: int = 0
    had_error: int = 0
    streak_until_ns: int = 0
    ops_until_ns: int = 0
    fills_bought: int = 0
    fills_sold: int = 0
    executions_since: int = 0
    tripped_executions: int = 0
    reserved_part: float = 0.0


def new_state(initial_equity: float) -> EngineState:
    """Make the state of a run that has seen nothing yet."""
    return EngineState(new_account(initial_equity))


def new_cell(index: int, instrument: Instrument, sample_ns: int, can_cancel: bool, can_replace: bool) -> Cell:
    """Make the state of a market that has seen nothing yet."""
    return Cell(
        index=index,
        market=new_market_state(instrument, sample_ns),
        position=new_position(instrument),
        orders=Orders(can_cancel=int(can_cancel), can_replace=int(can_replace)),
        markouts=MarkoutState(),
        costs=CostState(),
        quality=DataQuality(),
        channels=Channels(),
        min_lots=instrument.min_lots,
        min_notional=instrument.min_notional,
        can_short=0 if instrument.short == "no" else 1,
    )


@kernel
def open_sizes(cell: Cell) -> tuple[float, float]:
    """Sum what working orders may still buy and sell, in units."""
    market = cell.market
    buy = sell = 0
    for i in range(cell.orders.used):
        order = cell.orders.slots[i]
        if order.side > 0:
            buy += remaining_lots(order)
        else:
            sell += remaining_lots(order)
    return price_of(buy, market.lot_num, market.lot_den), price_of(sell, market.lot_num, market.lot_den)
