"""The packet of a step while it is made: records in the order and form in which they are stored.

`PacketV2` is the same packet as a reader sees it. Each record here is encoded once, as it stands; what
is UNSET is left out.
"""

from typing import Any

import msgspec

from decision_schema.events import UNSET, Event, Report, Side, TimeInForce
from decision_schema.packet_v2 import PacketV2
from decision_schema.types import GuardResult, Margin
from decision_schema.units import Lots, Notional, Price, Size, UnixNs


class External(msgspec.Struct):
    """What entered beside the event: the time, and what the broker said."""

    now_ns: UnixNs
    reports: list[Report]


class ProposalRecord(msgspec.Struct):
    """What the model wanted."""

    action: str
    confidence: float
    reasons: list[str]
    params: dict[str, Any]
    margins: list[Margin] | msgspec.UnsetType = UNSET


class MdmRecord(msgspec.Struct):
    """Features, proposal and model; `features` is a record with one field for each of them."""

    features: msgspec.Struct
    proposal: ProposalRecord
    model: str
    terms_from: str | msgspec.UnsetType = UNSET
    memory: str | msgspec.UnsetType = UNSET


class LegRecord(msgspec.Struct):
    """One wanted order as the guards judged it."""

    side: Side
    size: Size
    increasing: bool
    allowed: bool
    values: list[float | None]
    verdicts: list[int]


class GuardsRecord(msgspec.Struct):
    """Values and verdicts in the order of the manifest's guard table; full rows of the refusals."""

    values: list[float | None]
    verdicts: list[int]
    refusing: list[int]
    legs: list[LegRecord] | msgspec.UnsetType = UNSET
    refusals: list[GuardResult] | msgspec.UnsetType = UNSET
    tightened: dict[str, float] | msgspec.UnsetType = UNSET


class FinalActionRecord(msgspec.Struct):
    """What went out."""

    action: str
    allowed: bool
    reasons: list[str]
    params: dict[str, Any]


class MismatchRecord(msgspec.Struct):
    """How it differs from the proposal."""

    flags: list[str]
    reason_codes: list[str]
    throttle_refresh_ms: int


class IntentRecord(msgspec.Struct):
    """One message to the broker; a cancel names its order only."""

    op: str
    client_order_id: str
    market_id: str | msgspec.UnsetType = UNSET
    side: Side | msgspec.UnsetType = UNSET
    price: Price | msgspec.UnsetType | None = UNSET
    size: Size | msgspec.UnsetType = UNSET
    time_in_force: TimeInForce | msgspec.UnsetType = UNSET
    post_only: bool | msgspec.UnsetType = UNSET
    reduce_only: bool | msgspec.UnsetType = UNSET
    level: int | msgspec.UnsetType = UNSET
    replaces: str | msgspec.UnsetType = UNSET


class OpenOrderRecord(msgspec.Struct):
    """An order whose end is not confirmed, and what of it may still fill."""

    client_order_id: str
    status: str
    lots: Lots


class StoppedRecord(msgspec.Struct):
    """The latched STOP."""

    step: int
    reason: str


class StateRecord(msgspec.Struct):
    """What the step left behind."""

    positions_lots: dict[str, Lots]
    open_orders: list[OpenOrderRecord]
    equity: Notional
    realized_pnl: Notional
    unrealized_pnl: Notional
    fees: Notional
    max_drawdown: Notional
    funding: Notional | msgspec.UnsetType = UNSET
    stopped: StoppedRecord | msgspec.UnsetType = UNSET
    exiting: list[str] | msgspec.UnsetType = UNSET


class StepPacket(msgspec.Struct):
    """One step's record; the fields are those of `PacketV2`, in the order in which they are stored."""

    schema_version: int
    run_id: str
    step: int
    input: Event
    external: External
    mdm: MdmRecord
    guards: GuardsRecord
    final_action: FinalActionRecord
    mismatch: MismatchRecord
    intents: list[IntentRecord]
    state_after: StateRecord
    latency_ms: float = 0.0


def packet_of(made: StepPacket) -> PacketV2:
    """Give a packet as a reader of the trace will see it."""
    return PacketV2.from_dict(msgspec.to_builtins(made))
