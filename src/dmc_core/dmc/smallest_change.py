"""The smallest change of limits that lets a refused proposal through, proven by judging it again.

With every limit that is compared wide open, all orders pass at full size: what is then observed is what
each limit has to allow. A row depends on its own limit alone, so the limits that fall short are the
smallest set, and what was observed is the least that each must be. The set found is judged again, and any
change that it passes without is dropped.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from typing import Any, NamedTuple

import msgspec

from decision_schema.errors import ConfigError
from decision_schema.events import Side
from decision_schema.reasons import NAMES, OK
from dmc_core.dmc.decide import ACT, EXIT, HOLD
from dmc_core.dmc.guards import (
    ABSENT,
    GUARD_SLOT,
    GUARDS,
    LEG_ROWS,
    LIMIT_NAMES,
    LIMIT_OF,
    LIMIT_SLOT,
    MARKET_ROWS,
    OBSERVED,
    OFF_WHEN_ZERO,
    PRESENT,
    REQUIRED,
    SEVERITY,
    SIGN,
    SLOT,
    STRICT,
    VALUE_SLOT,
)
from dmc_core.dmc.risk_policy import COUNTED, WINDOW_CAPACITY, RiskPolicy
from dmc_core.dmc.worst_case import Leg

OPEN = 1e300
"""A limit that nothing exceeds."""
_WIDER = (0.0, 1e-12, 1e-9, 1e-7)
"""Parts by which a limit is widened where rounding stands between it and what was observed."""
_INTEGERS = frozenset(name for name, kind in RiskPolicy.__annotations__.items() if kind is int)
_OF_LEGS = frozenset(LIMIT_OF[row] for row in LEG_ROWS)
_COST = GUARD_SLOT["cost"]
_TARGET = LIMIT_SLOT["tp_ticks"]
_NO_TERMS = SLOT["projected_market_exposure_usd"]


class Judged(NamedTuple):
    """What the guards say of a proposal under some limits, before any latch.

    Args:
        action: By severity number.
        hold: Reason code for which an ACT did not come to the guards; 0 = it did.
        refusing: Rows that refuse.
        legs: The orders, each with its judgement.
        verdicts: By row.
        values: Observed numbers by slot; nan = not known.
        presence: By slot.
    """

    action: int
    hold: int
    refusing: list[int]
    legs: list[Leg]
    verdicts: list[int]
    values: list[float]
    presence: list[int]


Judge = Callable[[list[float]], Judged]
"""Judges one and the same proposal, in one and the same state, under given limits."""


class LimitChange(msgspec.Struct, frozen=True):
    """One limit, and the least change of it.

    Args:
        limit: Field of the policy.
        now: What it is.
        needs: What it has to be at least (or at most, for a limit from below).
        guards: The rows that it is for.
        off: 0 turns it off: no other number helps, as where what it compares is not known.
    """

    limit: str
    now: float
    needs: float
    guards: list[str]
    off: bool = False


class LegSize(msgspec.Struct, frozen=True):
    """What of an order fits under the limits of size as they are: `fits` 0 = nothing."""

    leg: int
    side: Side
    asked: float
    fits: float


class SmallestChange(msgspec.Struct, frozen=True):
    """What would have let a proposal through.

    Args:
        changes: The smallest set of limits; empty = it passes as it is, or `none` says why nothing helps.
        none: Why no change of a limit lets it through; empty = one does.
        sizes: Orders that a limit of size refused or shrank: what of them fits, once the rest passes.
    """

    changes: list[LimitChange]
    none: str = ""
    sizes: list[LegSize] = msgspec.field(default_factory=list)


def passes(judged: Judged) -> bool:
    """Tell whether a proposal goes out whole: an ACT with all its orders in the size they were asked for."""
    return judged.action == ACT and all(leg.allowed == 1 and leg.clamped == 0 for leg in judged.legs)


def smallest_change(judge: Judge, limits: Sequence[float]) -> SmallestChange:
    """Find the smallest set of limits that lets a proposal through whole.

    Args:
        judge: Judges the proposal under the limits it is given.
        limits: The policy as a vector: guards.limits_of.
    """
    own = list(limits)
    if passes(judge(own)):
        return SmallestChange([])
    begun = _with_target(judge, own)
    wide = judge(_opened(begun, set()))
    if wide.hold != OK:
        return SmallestChange([], f"the guards were not asked: {NAMES[wide.hold]}")
    unknown = [row for row, value, here in _compared(wide, begun) if _is_unknown(row, value, here)]
    if not _adds_risk(wide):
        unknown = []  # what is not known refuses new risk only
    without = {LIMIT_OF[row] for row in unknown if OFF_WHEN_ZERO[row] == 1}
    if unknown:
        wide = judge(_opened(begun, without))
    unknown = [row for row in unknown if LIMIT_OF[row] not in without]
    if unknown:
        return SmallestChange([], f"not known: {_observed_names(unknown)}")
    needed = dict.fromkeys(without, 0.0)
    fixed: list[int] = []
    for row, value, here in _compared(wide, begun):
        if here == PRESENT and LIMIT_OF[row] not in without and _is_breach(row, value, begun):
            _note(row, value, needed, fixed)
    if fixed:
        return SmallestChange([], f"no limit decides it: {_observed_names(fixed)}")
    if begun[_TARGET] != own[_TARGET]:
        needed[_TARGET] = begun[_TARGET]
    proven = _proven(judge, own, needed)
    sizes = _sizes(judge, own, needed, wide.legs)
    if proven is None:
        return SmallestChange([], "it does not pass under wider limits either", sizes)
    problem = _problem(own, proven)
    if problem:
        return SmallestChange([], problem, sizes)
    changes = [
        LimitChange(LIMIT_NAMES[slot], own[slot], needs, _guards_of(slot), _turns_off(slot, needs))
        for slot, needs in sorted(proven.items())
    ]
    return SmallestChange(changes, sizes=sizes)


def _with_target(judge: Judge, own: list[float]) -> list[float]:
    """Raise the target where costs exceed it: no least profit is low enough then."""
    edge = judge(own).values[VALUE_SLOT[_COST]]
    if not edge < 0.0 or _is_off(_COST, own):
        return own
    least = own[LIMIT_OF[_COST]]
    for part in _WIDER:
        raised = _under(own, {_TARGET: (own[_TARGET] + (least - edge)) * (1.0 + part)})
        if judge(raised).values[VALUE_SLOT[_COST]] >= least:
            return raised
    return own  # it is not what the edge comes from


def _is_off(row: int, limits: Sequence[float]) -> bool:
    return OFF_WHEN_ZERO[row] == 1 and limits[LIMIT_OF[row]] == 0.0


def _opened(limits: list[float], without: set[int]) -> list[float]:
    """Open each limit that a row compares; those that are off stay so."""
    opened = list(limits)
    for row in range(len(GUARDS)):
        slot = LIMIT_OF[row]
        if slot != 0 and not _is_off(row, limits):
            opened[slot] = 0.0 if slot in without or SIGN[row] < 0.0 else OPEN
    return opened


def _compared(judged: Judged, limits: list[float]) -> list[tuple[int, float, int]]:
    """List the rows that count, with each number they compare and its presence.

    They are those that are on; where no order adds risk, only those that ask for EXIT or STOP.
    """
    least = HOLD if _adds_risk(judged) else EXIT
    found = [
        (row, judged.values[VALUE_SLOT[row]], judged.presence[VALUE_SLOT[row]])
        for row in MARKET_ROWS
        if SEVERITY[row] >= least and not _is_off(row, limits)
    ]
    for leg in judged.legs:
        for place, row in enumerate(LEG_ROWS):
            is_asked = leg.side != 0 or VALUE_SLOT[row] != _NO_TERMS or leg.presence[place] != ABSENT
            if leg.increasing == 1 and is_asked and not _is_off(row, limits):
                found.append((row, leg.values[place], leg.presence[place]))
    return found


def _adds_risk(judged: Judged) -> bool:
    return any(leg.increasing == 1 for leg in judged.legs)


def _is_unknown(row: int, value: float, here: int) -> bool:
    """Tell whether a row refuses since its number is not known."""
    if here == PRESENT:
        return not math.isfinite(value)
    return here != ABSENT or REQUIRED[row] == 1


def _is_breach(row: int, value: float, limits: list[float]) -> bool:
    margin = SIGN[row] * (limits[LIMIT_OF[row]] - value)
    return margin < 0.0 or (margin == 0.0 and STRICT[row] == 1)


def _note(row: int, value: float, needed: dict[int, float], fixed: list[int]) -> None:
    """Note what the limit of a breached row has to be, or that none decides it."""
    slot = LIMIT_OF[row]
    whole = LIMIT_NAMES[slot] in _INTEGERS
    if slot == 0 or (SIGN[row] < 0.0 and value < 0.0 and OFF_WHEN_ZERO[row] == 0):
        fixed.append(row)
    elif SIGN[row] < 0.0:
        least = math.floor(value) if whole else value
        needed[slot] = min(needed.get(slot, math.inf), max(0.0, float(least)))
    else:
        most = value
        if STRICT[row] == 1:
            most = math.floor(value) + 1 if whole else math.nextafter(value, math.inf)
        elif whole:
            most = math.ceil(value)
        if LIMIT_NAMES[slot] in COUNTED and most > WINDOW_CAPACITY:
            most = 0.0  # no larger one can be counted: off
        needed[slot] = max(needed.get(slot, 0.0), float(most))


def _under(limits: list[float], changes: Mapping[int, float]) -> list[float]:
    changed = list(limits)
    for slot, value in changes.items():
        changed[slot] = value
    return changed


def _proven(judge: Judge, own: list[float], needed: dict[int, float]) -> dict[int, float] | None:
    """Judge again under the changes, and drop those that it passes without; None = it does not pass."""
    for part in _WIDER:
        wider = {slot: _wider(value, own[slot], part) for slot, value in needed.items()}
        if passes(judge(_under(own, wider))):
            break
    else:
        return None
    for slot in list(wider):
        fewer = {other: value for other, value in wider.items() if other != slot}
        if passes(judge(_under(own, fewer))):
            wider = fewer
    return wider


def _wider(value: float, own: float, part: float) -> float:
    """Move a limit that was raised up by a part of itself, one that was lowered down."""
    return value * (1.0 + part) if value > own else value * (1.0 - part)


def _sizes(judge: Judge, own: list[float], needed: dict[int, float], asked: list[Leg]) -> list[LegSize]:
    """Give what of each order fits under the limits of size as they are, once the rest passes."""
    rest = {slot: value for slot, value in needed.items() if slot not in _OF_LEGS}
    found = judge(_under(own, rest)).legs
    return [
        LegSize(k, "buy" if leg.side > 0 else "sell", whole.size, leg.size if leg.allowed == 1 else 0.0)
        for k, (leg, whole) in enumerate(zip(found, asked, strict=True))
        if leg.side != 0 and (leg.allowed == 0 or leg.clamped == 1)
    ]


def _problem(own: list[float], changes: Mapping[int, float]) -> str:
    """Say why the limits needed are no policy; empty = they are one."""
    limits = _under(own, changes)
    values: dict[str, Any] = {}
    for slot in range(1, len(limits)):
        name = LIMIT_NAMES[slot]
        values[name] = int(limits[slot]) if name in _INTEGERS else limits[slot]
    try:
        RiskPolicy(**values)
    except ConfigError as error:
        return str(error)
    return ""


def _turns_off(slot: int, value: float) -> bool:
    return value == 0.0 and any(
        OFF_WHEN_ZERO[row] == 1 for row in range(len(GUARDS)) if LIMIT_OF[row] == slot
    )


def _guards_of(slot: int) -> list[str]:
    """Name the rows that compare a limit, or that the target of a round trip is part of."""
    if slot == _TARGET:
        return [GUARDS[_COST].name]
    return [guard.name for guard, own in zip(GUARDS, LIMIT_OF, strict=True) if own == slot]


def _observed_names(rows: Sequence[int]) -> str:
    return ", ".join(dict.fromkeys(OBSERVED[VALUE_SLOT[row]].name for row in rows))


def change_words(found: SmallestChange) -> list[str]:
    """Say in plain text what would have let a proposal through; numbers are rounded to the safe side.

    >>> change_words(SmallestChange([LimitChange("max_spread_bps", 500.0, 8000.0, ["spread_bps"])]))
    ['max_spread_bps from 500 to 8000 (spread_bps)']
    >>> change_words(SmallestChange([], "not known: depth"))
    ['no change of a limit: not known: depth']
    """
    lines = [_change_words(change) for change in found.changes]
    if found.none:
        lines.append(f"no change of a limit: {found.none}")
    for size in found.sizes:
        fits = (
            f"{size.fits:.6g} of {size.asked:.6g} fits" if size.fits else f"nothing of {size.asked:.6g} fits"
        )
        lines.append(f"leg {size.leg} ({size.side}): {fits} under the limits of size as they are")
    return lines


def _change_words(change: LimitChange) -> str:
    guards = ", ".join(change.guards)
    if change.off:
        return f"{change.limit} from {change.now:.6g} to 0, which turns it off ({guards})"
    needs = _rounded(change.needs, up=change.needs > change.now)
    return f"{change.limit} from {change.now:.6g} to {needs} ({guards})"


def _rounded(value: float, *, up: bool) -> str:
    """Round a number to six digits, up or down, so that what is read is enough.

    >>> _rounded(633.33333333, up=True), _rounded(633.33333333, up=False), _rounded(5.0, up=True)
    ('633.334', '633.333', '5')
    """
    exact = Decimal(value)
    rounding = ROUND_CEILING if up else ROUND_FLOOR
    near = Context(prec=6, rounding=rounding).create_decimal(exact)
    if abs(near - exact) > abs(exact) * Decimal("1e-15"):
        return f"{float(near):.6g}"
    return f"{value:.6g}"
