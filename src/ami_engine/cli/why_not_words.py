"""What `mdm why-not` found, in plain text."""

from collections.abc import Mapping

from ami_engine.replay.why_not import Funnel, WhyNot
from decision_schema.reasons import TEXTS, text_of

_SHOWN = 10
_STEPS = (
    ("events", "events", "market events"),
    ("usable", "usable", "whose input could be used"),
    ("asked", "asked", "in which the model was asked"),
    ("proposed", "proposed", "in which it wanted to act"),
    ("judged", "judged", "in which its orders came to the guards"),
    ("acted", "acted", "in which some of it was let through"),
)


def why_not_words(found: WhyNot) -> list[str]:
    """Say why a run did not trade more, a line each."""
    lines = ["from events to fills:", *_funnel_lines(found.funnel)]
    if not found.closed:
        lines.append("  the run has no end on record: it was killed, or it still runs")
    lines += _counted("steps that did not act, by the reason:", found.holds, reasons=True)
    lines += _counted("steps in which a guard refused, by itself or with others:", found.refusals)
    lines += _counted("steps that would have acted, had this one guard let go:", found.sole_blockers)
    if found.nearest_misses:
        lines.append("nearest misses (refusals by one guard alone):")
    for miss in found.nearest_misses:
        leg = "" if miss.leg is None else f", leg {miss.leg}"
        lines.append(
            f"  step {miss.step} {miss.market_id}: {miss.guard}{leg} {miss.value:.6g} {miss.unit}, limit "
            f"{miss.limit:.6g}, short by {-miss.margin:.6g} ({100.0 * miss.short:.2g} %)"
        )
    lines += _counted("nothing had to leave:", found.kept, reasons=True)
    lines += _counted("orders that did not come to the guards:", found.dropped, reasons=True)
    lines += _counted("orders that never filled, by how they ended:", found.never_filled)
    lines += _counted("... by how many ticks the far touch stayed away:", found.never_filled_ticks)
    if found.nearest_orders:
        lines.append("those that the market came nearest to:")
    for order in found.nearest_orders:
        end = "the end" if order.end_step is None else f"step {order.end_step}"
        lines.append(
            f"  {order.side} {order.size:.6g} at {order.price:.6g} {order.market_id}, step {order.sent_step} "
            f"to {end}: {order.to_fill_ticks:.6g} ticks off the touch, {_behind(order.behind_touch_ticks)}"
        )
    if found.strange:
        lines.append(f"rows that this version does not know: {', '.join(found.strange)}")
    return lines


def _funnel_lines(funnel: Funnel) -> list[str]:
    rows = [(getattr(funnel, name), short, words) for name, short, words in _STEPS]
    rows += [
        (funnel.legs, "legs", f"orders judged, of which {funnel.legs_allowed} were let through"),
        (funnel.sent, "sent", "orders that left; what rests already is not sent again"),
        (funnel.filled, "filled", f"of these, with {funnel.fills} fills"),
    ]
    width = max(len(str(count)) for count, _, _ in rows)
    return [f"  {count:>{width}}  {short:<8}  {words}" for count, short, words in rows]


def _counted(title: str, counts: Mapping[str, int], *, reasons: bool = False) -> list[str]:
    if not counts:
        return []
    width = max(len(str(count)) for count in counts.values())
    lines = [title]
    for name, count in list(counts.items())[:_SHOWN]:
        known = reasons and (name in TEXTS or ":" in name)
        lines.append(f"  {count:>{width}}  {name}" + (f": {text_of(name)}" if known else ""))
    if len(counts) > _SHOWN:
        lines.append(f"  and {len(counts) - _SHOWN} more, see --json")
    return lines


def _behind(ticks: float | None) -> str:
    if ticks is None:
        return "its own side not known"
    if ticks > 0.0:
        return f"{ticks:.6g} behind the best of its side"
    return "at the best of its side" if ticks == 0.0 else f"{-ticks:.6g} ahead of the others"
