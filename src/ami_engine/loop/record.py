"""The packet of a step: what it saw, what it judged, what it did, what it left behind."""

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from ami_engine.execution.gateway import Message
from ami_engine.execution.plan import Plan
from ami_engine.features.catalogue import named
from ami_engine.kernels.orders import FREE, STATUS_NAMES, remaining_lots
from ami_engine.kernels.records import Cell
from ami_engine.loop.engine import Engine
from ami_engine.loop.guard import Verdict
from ami_engine.loop.propose import params_record, proposal_record
from ami_engine.loop.pursue import message_record
from decision_schema import reasons
from decision_schema.events import Event, Report
from decision_schema.packet_v2 import PacketV2
from decision_schema.reasons import NAMES
from decision_schema.types import Action, Proposal
from decision_schema.units import UnixNs
from dmc_core.dmc.risk_policy import RiskPolicy


def record(
    engine: Engine,
    cell: Cell,
    event: Event,
    reports: Sequence[Report],
    now_ns: UnixNs,
    proposal: Proposal,
    plan: Plan,
    verdict: Verdict,
    messages: Sequence[Message],
) -> PacketV2:
    """Build the packet; every number in it is finite or tagged."""
    mdm: dict[str, Any] = {
        "features": named(cell.market.features),
        "proposal": proposal_record(proposal),
        "model": engine.model.model_id,
    }
    if plan.terms_from:
        mdm["terms_from"] = plan.terms_from
    memory = engine.model.memory_digest()
    if memory is not None:
        mdm["memory"] = memory
    return PacketV2(
        run_id=engine.run_id,
        step=engine.state.step,
        input=msgspec.to_builtins(event),
        external={"now_ns": now_ns, "reports": [msgspec.to_builtins(report) for report in reports]},
        mdm=mdm,
        final_action={
            "action": str(verdict.action),
            "allowed": verdict.action is proposal.action,
            "reasons": verdict.reasons,
            "params": _params_out(cell, plan, verdict),
        },
        latency_ms=0.0,
        mismatch={
            "flags": verdict.flags,
            "reason_codes": verdict.codes,
            "throttle_refresh_ms": verdict.policy.throttle_refresh_ms,
        },
        guards=_guards(engine.rules_of(cell).policy, verdict),
        intents=[message_record(message) for message in messages],
        state_after=state_record(engine),
    )


def _params_out(cell: Cell, plan: Plan, verdict: Verdict) -> dict[str, Any]:
    """Give what went out of an ACT: the surviving orders on the grid, and what travels with them."""
    if verdict.action is not Action.ACT:
        return {}
    instrument = cell.market
    orders = []
    for want in plan.wanted:
        if want.allowed:
            order: dict[str, Any] = {
                "side": "buy" if want.side > 0 else "sell",
                "size": want.lots * instrument.lot_num / instrument.lot_den,
                "level": want.level,
            }
            if not want.takes:
                order["price"] = want.price_ticks * instrument.tick_num / instrument.tick_den
            orders.append(order)
    return {**params_record(plan.travels), "orders": orders}


def _guards(policy: RiskPolicy, verdict: Verdict) -> dict[str, Any]:
    """Give values and verdicts as vectors in the order of the manifest's guard table (null = absent)."""
    observed = verdict.context.observed
    guards: dict[str, Any] = {
        "values": [value if math.isfinite(value) else None for value in observed],
        "verdicts": verdict.judgement.verdicts,
        "refusing": verdict.judgement.refusing,
    }
    if verdict.legs:
        guards["legs"] = [
            {
                "side": "buy" if leg.side > 0 else "sell",
                "size": leg.size,
                "increasing": leg.increasing,
                "allowed": leg.allowed,
                "values": [value if math.isfinite(value) else None for value in leg.values],
                "verdicts": leg.verdicts,
            }
            for leg in verdict.legs
        ]
    if verdict.refusals:
        guards["refusals"] = [msgspec.to_builtins(row) for row in verdict.refusals]
    if verdict.policy is not policy:
        guards["tightened"] = {
            name: getattr(verdict.policy, name)
            for name in policy.__struct_fields__
            if getattr(verdict.policy, name) != getattr(policy, name)
        }
    return guards


def state_record(engine: Engine) -> dict[str, Any]:
    """Give the state that a step leaves: positions in lots, open orders, money, latches."""
    state = engine.state
    positions: dict[str, int] = {}
    orders: list[dict[str, Any]] = []
    exiting: list[str] = []
    for cell in state.cells:
        market_id = engine.market_ids[cell.index]
        if cell.position.lots:
            positions[market_id] = cell.position.lots
        if cell.exiting:
            exiting.append(market_id)
        for i in range(cell.orders.used):
            slot = cell.orders.slots[i]
            if slot.status != FREE:
                orders.append(
                    {
                        "client_order_id": engine.ids.of(cell.index, i),
                        "status": STATUS_NAMES[slot.status],
                        "lots": remaining_lots(slot),
                    }
                )
    account = state.account
    record: dict[str, Any] = {
        "positions_lots": positions,
        "open_orders": orders,
        "equity": account.equity,
        "realized_pnl": account.realized,
        "unrealized_pnl": account.unrealized,
        "fees": account.fees,
        "max_drawdown": account.max_drawdown,
    }
    if account.funding:
        record["funding"] = account.funding
    if state.stopped != reasons.OK:
        record["stopped"] = {"step": state.stop_step, "reason": NAMES[state.stopped]}
    if exiting:
        record["exiting"] = exiting
    return record
