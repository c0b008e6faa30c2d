"""What a run says of itself: the facts it began with, and the state it ended in."""

import hashlib
import math
import platform
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from ami_engine import __version__
from ami_engine.kernels.costs import (
    MAKER,
    TAKER,
    UNSAID,
    inventory_pnl,
    position_pnl,
    spread_captured,
)
from ami_engine.kernels.ledger import Account, Position
from ami_engine.kernels.markouts import HORIZON_60, HORIZONS_NS
from ami_engine.kernels.orders import CANCELING, FREE, SENT, UNKNOWN, OrderSlot
from ami_engine.kernels.records import Cell
from ami_engine.loop.edge import FeedCounts
from ami_engine.loop.engine import Engine, what_a_run_is
from ami_engine.loop.receive import storable
from ami_engine.ports import Broker, MarketDataSource
from decision_schema import reasons
from decision_schema.instruments import price_of
from decision_schema.units import NS_PER_SECOND
from dmc_core.dmc.guards import GUARDS, LIMIT_NAMES, OBSERVED, VERDICTS, limits_of


def open_orders(engine: Engine) -> list[tuple[str, OrderSlot]]:
    """List the orders whose end is not confirmed, with their ids."""
    return [
        (engine.ids.of(cell.index, i), cell.orders.slots[i])
        for cell in engine.cells
        for i in range(cell.orders.used)
        if cell.orders.slots[i].status != FREE
    ]


def end_state(engine: Engine, feeds: Mapping[str, FeedCounts], fill_model: object) -> dict[str, Any]:
    """Give the part of the summary that the state knows: latch, positions, money, costs, model."""
    state, account = engine.state, engine.state.account
    stopped = None
    if state.stopped != reasons.OK:
        stopped = {"step": state.stop_step, "reason": reasons.NAMES[state.stopped]}
    return {
        "stopped": stopped,
        "open_orders_left": [order_id for order_id, _ in open_orders(engine)],
        "positions": {
            market_id: engine.instrument(market_id).size(cell.position.lots)
            for market_id, cell in zip(engine.market_ids, engine.cells, strict=True)
        },
        "realized_pnl": account.realized,
        "unrealized_pnl": account.unrealized,
        "fees": account.fees,
        "funding": account.funding,
        "final_equity": account.equity,
        "max_drawdown": account.max_drawdown,
        # Ticks of different size have no average: of several markets each has its own.
        "markouts": _markouts(engine.cells) if len(engine.cells) == 1 else {},
        "costs": costs_of(engine, fill_model),
        "markets": markets_of(engine),
        "data": quality_of(engine, feeds),
        "model": engine.model.model_id,
        "model_errors": engine.model.errors,
    }


def markets_of(engine: Engine) -> dict[str, dict[str, Any]]:
    """Give position, fills, money and markouts (in its own ticks) of each market."""
    result: dict[str, dict[str, Any]] = {}
    for market_id, cell in zip(engine.market_ids, engine.cells, strict=True):
        position, instrument = cell.position, engine.instrument(market_id)
        result[market_id] = {
            "position": instrument.size(position.lots),
            "fills": position.n_fills,
            "bought": instrument.size(position.bought_lots),
            "sold": instrument.size(position.sold_lots),
            "realized_pnl": position.realized,
            "unrealized_pnl": position.unrealized,
            "fees": position.fees,
            "funding": position.funding,
            "markouts": _markouts([cell]),
        }
    return result


def _markouts(cells: list[Cell]) -> dict[str, dict[str, float]]:
    """Average the markouts of fills by horizon, in ticks; positive = good for us."""
    result: dict[str, dict[str, float]] = {}
    for horizon, horizon_ns in enumerate(HORIZONS_NS):
        count = sum(cell.markouts.done[horizon] for cell in cells)
        total = sum(cell.markouts.total[horizon] for cell in cells)
        if count:
            result[f"{horizon_ns // NS_PER_SECOND}s"] = {"mean_ticks": total / count, "fills": count}
    return result


def costs_of(engine: Engine, fill_model: object) -> dict[str, Any]:
    """Give the parts of profit that fills captured, lost and earned, of all markets and of each."""
    state = engine.state
    costs = {**_costs(state.account, engine.cells), "fill_model": fill_model}
    if len(engine.cells) > 1:
        costs["by_market"] = {
            market_id: _costs(cell.position, [cell])
            for market_id, cell in zip(engine.market_ids, engine.cells, strict=True)
        }
    return costs


def _costs(money: Account | Position, cells: list[Cell]) -> dict[str, Any]:
    """Give the parts of profit; sums go by the order of the markets, and none is of unlike units."""
    captured = _in_order(spread_captured(cell.costs) for cell in cells)
    adverse = _in_order(cell.markouts.adverse[HORIZON_60] for cell in cells)
    position = position_pnl(money.realized, money.unrealized, captured)
    fills = sum(sum(cell.costs.fills) for cell in cells)
    found: dict[str, Any] = {
        "fees": money.fees,
        "spread_captured": captured,
        "position_pnl": position,
        "inventory_pnl": inventory_pnl(position, adverse),
        "funding": money.funding,
        "profit": money.realized + money.unrealized + money.funding - money.fees,
        "adverse_selection": {},
        "markouts": {},
    }
    for h, horizon_ns in enumerate(HORIZONS_NS):
        name = f"{horizon_ns // NS_PER_SECOND}s"
        done = sum(cell.markouts.done[h] for cell in cells)
        alone = cells[0].markouts if len(cells) == 1 and done else None
        found["adverse_selection"][name] = _in_order(cell.markouts.adverse[h] for cell in cells)
        found["markouts"][name] = {
            "ticks": None if alone is None else alone.total[h] / done,
            "money": _in_order(cell.markouts.money[h] for cell in cells),
            "fills": done,
            "unresolved": fills - done,
        }
    found["maker"] = _role(cells, MAKER)
    found["taker"] = _role(cells, TAKER)
    found["unsaid"] = _role(cells, UNSAID)
    found["unpriced_fills"] = sum(cell.costs.unpriced for cell in cells)
    found["untracked_fills"] = sum(cell.markouts.untracked for cell in cells)
    return found


def _role(cells: list[Cell], role: int) -> dict[str, Any]:
    """Give what the fills of one role were and cost; sizes of several markets have no sum."""
    volume = None
    if len(cells) == 1:
        position = cells[0].position
        volume = price_of(cells[0].costs.lots[role], position.lot_num, position.lot_den)
    return {
        "fills": sum(cell.costs.fills[role] for cell in cells),
        "volume": volume,
        "value": _in_order(cell.costs.value[role] for cell in cells),
        "fees": _in_order(cell.costs.fees[role] for cell in cells),
        "spread_captured": _in_order(cell.costs.captured[role] for cell in cells),
    }


def _in_order(amounts: Iterable[float]) -> float:
    """Add from the left: `sum` compensates from Python 3.12 on, and would give other bits."""
    total = 0.0
    for amount in amounts:
        total += amount
    return total


def manifest_of(engine: Engine) -> dict[str, Any]:
    """Give the facts that a reader of the packets needs, and that the chain is bound to."""
    config = engine.config
    return {
        "versions": {
            "mdm_engine": __version__,
            "python": platform.python_version(),
            "msgspec": msgspec.__version__,
        },
        "model": engine.model.model_id,
        "policy_sha256": _digest(engine.policy),
        "config_sha256": _digest(what_a_run_is(config)),
        "seed": config.run.seed,
        "config": msgspec.to_builtins(what_a_run_is(config)),
        "instruments": {name: msgspec.to_builtins(found) for name, found in engine.instruments.items()},
        "capabilities": msgspec.to_builtins(engine.capabilities),
        "guards": {
            "observed": [{"name": o.name, "unit": o.unit} for o in OBSERVED],
            "rows": [
                {
                    "name": g.name,
                    "observed": g.observed,
                    "limit": g.limit,
                    "scope": g.scope,
                    "severity": g.severity,
                }
                for g in GUARDS
            ],
            "verdicts": list(VERDICTS),
            "limits": dict(zip(LIMIT_NAMES, limits_of(engine.policy), strict=True)),
            **_limits_by_market(engine),
        },
        **({"run_key": engine.run_key.hex()} if engine.capabilities.live else {}),
    }


def _limits_by_market(engine: Engine) -> dict[str, Any]:
    """Give the limits of the markets that have their own."""
    found = {
        market_id: dict(zip(LIMIT_NAMES, rules.limits, strict=True))
        for market_id, rules in engine.market_rules.items()
    }
    return {"market_limits": found} if found else {}


def quality_of(engine: Engine, feeds: Mapping[str, FeedCounts]) -> dict[str, dict[str, Any]]:
    """Give what the data of each market were like."""
    result: dict[str, dict[str, Any]] = {}
    for market_id, cell in zip(engine.market_ids, engine.cells, strict=True):
        q, feed = cell.quality, feeds[market_id]
        result[market_id] = {
            "events": q.events,
            "seconds": (q.last_ns - q.first_ns) / NS_PER_SECOND,
            "longest_silence_seconds": q.longest_silence_ns / NS_PER_SECOND,
            "snapshots": q.snapshots,
            "changes": q.changes,
            "quotes": q.quotes,
            "trades": q.trades,
            "trades_outside_quote": q.trades_outside,
            "one_sided": q.one_sided,
            "halts": q.halts,
            "gaps": feed.gaps,
            "resyncs": feed.resyncs,
            "messages_lost": feed.messages_lost,
            "late_quotes": feed.late_quotes,
            "unknown_orders": feed.unknown_orders,
            "venue_time_back": q.venue_time_back,
        }
    return result


def strays(engine: Engine) -> list[str]:
    """Say what was left over: markets of the config that the data do not have, orders without an end."""
    return [*_absent_markets(engine), *_unconfirmed_orders(engine)]


def _unconfirmed_orders(engine: Engine) -> list[str]:
    """Say how many orders are left that the broker has no way to tell of; such ones count until evidence."""
    able = engine.capabilities
    if not able.cancel or able.query or able.fills or engine.config.run.dry_run:
        return []
    waiting = (SENT, CANCELING, UNKNOWN)
    left = sum(
        cell.orders.slots[i].status in waiting for cell in engine.cells for i in range(cell.orders.used)
    )
    if not left:
        return []
    words = (
        f"Of {left} orders nobody knows how they ended, so they count at full size: cancel_order of this "
        "broker confirmed nothing, and it has neither process_fills nor query_order to tell later. Let "
        "cancel_order return {'status': 'canceled'} where the venue confirms, or write query_order."
    )
    return [words]


def _absent_markets(engine: Engine) -> list[str]:
    """Say which markets of the config the data do not have, where others ran without an instrument."""
    config = engine.config
    told = [*(i.market_id for i in config.instruments), *(market.market_id for market in config.markets)]
    absent = [name for name in dict.fromkeys(told) if name not in engine.market_ids]
    if not absent or not engine.market_ids:
        return []
    seen = ", ".join(engine.market_ids[:3]) + (", …" if len(engine.market_ids) > 3 else "")
    words = f"The config names {', '.join(absent)}, the data {seen}"
    return [f"{words}: a market without an instrument of its own runs with tick 0.01 and no fees."]


def quality_of_source(source: MarketDataSource) -> object:
    """Give what a source says of its data, as a record can hold it."""
    try:
        return storable(dict(source.quality()))
    except Exception as error:  # noqa: BLE001 - user code: its failure ends no run
        return {"source": type(source).__name__, "error": type(error).__name__}


def fraction_done(sources: Sequence[MarketDataSource], events: int, steps: int | None) -> float | None:
    """Give the part of the steps or of the data that is done; the larger one ends the run first."""
    try:
        parts = [source.progress() for source in sources]
        read = None if None in parts or not parts else math.fsum(part or 0.0 for part in parts) / len(parts)
    except Exception:  # noqa: BLE001 - user code: a source that cannot tell ends no run
        read = None
    return max(events / steps, read or 0.0) if steps else read


def fill_model_of(broker: Broker) -> object:
    """Give what a broker says of how orders fill, as a record can hold it."""
    try:
        return storable(dict(broker.describe()))
    except Exception as error:  # noqa: BLE001 - user code: its failure ends no run
        return {"broker": type(broker).__name__, "error": type(error).__name__}


def peak_memory_mb() -> float | None:
    """Give the most memory that this process has held, in MB; None where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def _digest(value: msgspec.Struct) -> str:
    return hashlib.sha256(msgspec.json.encode(value, order="deterministic")).hexdigest()
