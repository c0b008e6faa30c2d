"""The packet of a step: what it saw, what it judged, what it did, what it left behind."""

from collections.abc import Sequence
from typing import Any

import msgspec

from ami_engine.execution.gateway import Message
from ami_engine.features.catalogue import NAMES as FEATURE_NAMES
from ami_engine.kernels.decision import TERMS_FROM
from ami_engine.kernels.orders import STATUS_NAMES
from ami_engine.loop.address import intent_of
from ami_engine.loop.core import Shown
from ami_engine.loop.decide import PolicyInUse
from ami_engine.loop.edge import Admitted
from ami_engine.loop.engine import Engine
from ami_engine.loop.propose import Asked, params_record
from ami_engine.loop.verdict_words import Words
from decision_schema import reasons
from decision_schema.events import UNSET, Report
from decision_schema.instruments import price_of
from decision_schema.packet_v2 import SCHEMA_VERSION
from decision_schema.reasons import NAMES
from decision_schema.step_packet import (
    External,
    FinalActionRecord,
    GuardsRecord,
    LegRecord,
    MdmRecord,
    MismatchRecord,
    OpenOrderRecord,
    ProposalRecord,
    StateRecord,
    StepPacket,
    StoppedRecord,
)
from decision_schema.types import Action
from dmc_core.dmc.guards import N_LEG_ROWS

Features: Any = msgspec.defstruct(
    "Features", [(name, float | msgspec.UnsetType, UNSET) for name in FEATURE_NAMES]
)
"""The features of a packet by name; what is not known is left out."""


def record(
    engine: Engine,
    admitted: Admitted,
    reports: Sequence[Report],
    asked: Asked,
    in_use: PolicyInUse,
    words: Words,
    messages: Sequence[Message],
) -> StepPacket:
    """Build the packet; every number in it is finite or tagged."""
    core, proposal = engine.core, asked.proposal
    shown = core.shown()
    mdm = MdmRecord(
        Features(*[value if value == value else UNSET for value in core.features(admitted.inp.cell)]),
        ProposalRecord(
            str(proposal.action),
            proposal.confidence,
            proposal.reasons,
            params_record(proposal.params),
            proposal.margins or UNSET,
        ),
        engine.model.model_id,
    )
    plan = core.decision.plan
    if proposal.action is Action.ACT and plan.terms_from:
        mdm.terms_from = TERMS_FROM[plan.terms_from]
    memory = engine.memory_digest(admitted.inp.cell)
    if memory is not None:
        mdm.memory = memory
    return StepPacket(
        SCHEMA_VERSION,
        engine.run_id,
        shown.step,
        admitted.event,
        External(admitted.inp.now_ns, list(reports)),
        mdm,
        _guards(engine, admitted.inp.cell, in_use, words),
        FinalActionRecord(
            str(words.action),
            words.action is proposal.action,
            words.reasons,
            _params_out(engine, admitted.inp.cell, asked, words),
        ),
        MismatchRecord(words.flags, words.codes, in_use.policy.throttle_refresh_ms),
        [intent_of(message) for message in messages],
        _state(engine, shown),
    )


def _params_out(engine: Engine, number: int, asked: Asked, words: Words) -> dict[str, Any]:
    """Give what went out of an ACT: the surviving orders on the grid, and what travels with them."""
    if words.action is not Action.ACT:
        return {}
    plan, orders = engine.core.decision.plan, []
    tick_num, tick_den, lot_num, lot_den = engine.grids[number]
    for i in range(plan.n_wanted):
        want = plan.wanted[i]
        if want.allowed:
            order: dict[str, Any] = {
                "side": "buy" if want.side > 0 else "sell",
                "size": price_of(want.lots, lot_num, lot_den),
                "level": want.level,
            }
            if not want.takes:
                order["price"] = price_of(want.price_ticks, tick_num, tick_den)
            orders.append(order)
    return {**params_record(asked.travels), "orders": orders}


def _known(values: Sequence[float]) -> list[float | None]:
    """Give numbers as they are stored: null where one is not finite."""
    return [value if value - value == 0.0 else None for value in values]


def _guards(engine: Engine, number: int, in_use: PolicyInUse, words: Words) -> GuardsRecord:
    """Give values and verdicts as vectors in the order of the manifest's guard table (null = absent)."""
    core = engine.core
    judgement = core.decision.judgement
    guards = GuardsRecord(
        _known(core.observed()), core.verdicts(), [judgement.refusing[i] for i in range(judgement.n_refusing)]
    )
    if words.legs:
        guards.legs = [
            LegRecord(
                "buy" if leg.side > 0 else "sell",
                leg.size,
                leg.increasing == 1,
                leg.allowed == 1,
                _known([leg.values[row] for row in range(N_LEG_ROWS)]),
                [leg.verdicts[row] for row in range(N_LEG_ROWS)],
            )
            for leg in words.legs
        ]
    if words.refusals:
        guards.refusals = words.refusals
    own = engine.rules[number].policy
    if in_use.policy is not own:
        guards.tightened = {
            name: getattr(in_use.policy, name)
            for name in own.__struct_fields__
            if getattr(in_use.policy, name) != getattr(own, name)
        }
    return guards


def state_record(engine: Engine) -> StateRecord:
    """Give the state as it stands now: positions in lots, open orders, money, latches."""
    engine.core.refresh()
    return _state(engine, engine.core.shown())


def _state(engine: Engine, shown: Shown) -> StateRecord:
    """Give the state that a step leaves."""
    names = engine.market_ids
    record = StateRecord(
        {names[number]: lots for number, lots in shown.positions},
        [
            OpenOrderRecord(engine.ids.of(order.cell, order.slot), STATUS_NAMES[order.status], order.lots)
            for order in shown.open_orders
        ],
        shown.equity, shown.realized, shown.unrealized, shown.fees, shown.max_drawdown,
    )  # fmt: skip
    if shown.funding:
        record.funding = shown.funding
    if shown.stopped != reasons.OK:
        record.stopped = StoppedRecord(shown.stop_step, NAMES[shown.stopped])
    if shown.exiting:
        record.exiting = [names[number] for number in shown.exiting]
    return record
