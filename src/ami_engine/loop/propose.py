"""Ask the model, unless the input itself says that this step holds."""

from typing import Any, NamedTuple

import msgspec

from ami_engine.execution.plan import read_proposed, travels_of
from ami_engine.features.catalogue import named
from ami_engine.kernels.ledger import average_price, size_of
from ami_engine.kernels.orders import FREE, STATUS_NAMES, remaining_lots
from ami_engine.kernels.records import open_sizes
from ami_engine.loop.edge import Admitted
from ami_engine.loop.engine import Engine
from ami_engine.loop.receive import storable
from ami_engine.mdm.view import ModelRng, View, WorkingOrder
from decision_schema import reasons
from decision_schema.events import UNSET
from decision_schema.instruments import price_of
from decision_schema.reasons import NAMES
from decision_schema.step_packet import ProposalRecord
from decision_schema.types import Action, Proposal
from decision_schema.units import NS_PER_MS, UnixNs
from dmc_core.dmc.decide import HOLD
from dmc_core.dmc.guards import ACTIONS

_NO_PARAMS: dict[str, Any] = {}


class Asked(NamedTuple):
    """What the model answered, or stands for its answer; the same in numbers is in the core.

    Args:
        action: What it wants.
        told: The proposal as the packet tells it.
        travels: Params that travel with the orders.
        is_plain: Whether a packet can hold them as they are.
    """

    action: Action
    told: ProposalRecord
    travels: dict[str, Any]
    is_plain: bool


def propose(engine: Engine, admitted: Admitted, why: int) -> Asked:
    """Give the model's proposal, or HOLD with the reason for which it is not asked.

    Args:
        engine: The proposal is left in its core, too.
        admitted: The input of the step.
        why: Reason code for which the model is not asked; OK = it is.
    """
    core, event = engine.core, admitted.event
    if why != reasons.OK:
        pulls = why == reasons.SETTLED and core.proposed.action != HOLD
        action = Action.CANCEL if pulls else Action.HOLD
        name = NAMES[why] if event.bad is None else event.bad.reason
        return Asked(action, ProposalRecord(str(action), 1.0, [name], _NO_PARAMS), _NO_PARAMS, True)
    kernel_model = engine.model.kernel_model
    if kernel_model is not None:
        if kernel_model.scorer is not None:
            kernel_model.show_scores(core.x, core.features(admitted.inp.cell))
        if core.ask(kernel_model.asked, admitted.inp.cell) != reasons.OK:
            return _in_words(engine.model.unusable())
        proposed = core.answer()
        told = kernel_model.told(proposed)
        travels = {} if proposed.has_terms else told.params  # no other keys than the terms, or the value
        is_plain = core.fast and proposed.problem == reasons.OK  # its numbers are Python's own, and finite
        if not is_plain:
            told.params = params_record(told.params)
        return Asked(ACTIONS[proposed.action], told, travels, is_plain)
    proposal = engine.model.propose(named(core.features(admitted.inp.cell)), **_offered(engine, admitted))
    read_proposed(proposal, event.market_id, core.proposed)
    return _in_words(proposal)


def _in_words(proposal: Proposal) -> Asked:
    """Take what a model answered in words; the packet's copy of its params is made storable."""
    told = ProposalRecord(
        str(proposal.action),
        proposal.confidence,
        proposal.reasons,
        params_record(proposal.params),
        proposal.margins or UNSET,
    )
    return Asked(proposal.action, told, travels_of(proposal.params), False)


def _offered(engine: Engine, admitted: Admitted) -> dict[str, Any]:
    """Give what the model's signature asks for beside the features."""
    model, inp, event = engine.model, admitted.inp, admitted.event
    offered: dict[str, Any] = {"now_ns": inp.now_ns}
    if model.wants("view"):
        offered["view"] = view_of(engine, inp.cell, inp.now_ns)
    if model.wants("instrument"):
        offered["instrument"] = engine.instrument(event.market_id)
    if model.wants("event"):
        offered["event"] = msgspec.to_builtins(event)
    if model.wants("rng"):
        offered["rng"] = ModelRng(engine.config.run.seed, inp.cell, engine.state.step)
    return offered


def view_of(engine: Engine, number: int, now_ns: UnixNs) -> View:
    """Show the model its account: position, budget under the limits, and working orders."""
    cell = engine.core.cells[number]
    market, position = cell.market, cell.position
    inventory = size_of(position, position.lots)
    open_buy, open_sell = open_sizes(cell)
    limit = engine.rules[number].policy.max_abs_inventory
    orders = []
    for i in range(cell.orders.used):
        order = cell.orders.slots[i]
        if order.status == FREE:
            continue
        price = None if order.takes else price_of(order.price_ticks, market.tick_num, market.tick_den)
        orders.append(
            WorkingOrder(
                side="buy" if order.side > 0 else "sell",
                level=order.level,
                price=price,
                size=size_of(position, remaining_lots(order)),
                status=STATUS_NAMES[order.status],
                age_ms=(now_ns - order.created_ns) / NS_PER_MS,
                queue_ahead=None if order.queue_ahead != order.queue_ahead else order.queue_ahead,
            )
        )
    filled_ns = cell.markouts.last_fill_ns
    return View(
        position=inventory,
        average_price=None if position.lots == 0 else average_price(position),
        equity=engine.state.account.equity,
        budget_long=max(0.0, limit - inventory - open_buy),
        budget_short=max(0.0, limit + inventory - open_sell),
        orders=tuple(orders),
        last_fill_age_ms=None if filled_ns < 0 else (now_ns - filled_ns) / NS_PER_MS,
    )


def params_record(params: dict[str, Any]) -> dict[str, Any]:
    """Give params as they are stored; what a packet cannot hold is left out of it."""
    plain = storable(params) if params else {}
    return plain if isinstance(plain, dict) else {"left_out": plain}
