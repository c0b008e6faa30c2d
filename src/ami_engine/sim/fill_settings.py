"""The settings of the paper broker, checked: queue models, latencies, tables of latencies."""

import csv
import difflib
import math
from collections.abc import Callable
from pathlib import Path

from ami_engine.kernels.latency import AT, ENTRY, MAX_SIGMA, RESPONSE, Latency, no_table
from ami_engine.kernels.queue import CONSERVATIVE, GIVEN, LOG, POWER, QueueModel
from ami_engine.kernels.venue import Venue, displayed_at
from decision_schema.errors import ConfigError
from decision_schema.units import NS_PER_MS

QUEUE_MODELS = {"conservative": CONSERVATIVE, "power": POWER, "log": LOG}
MAX_LATENCY_MS = 60_000.0
MAX_POWER = 100.0
TABLE_COLUMNS = ("ts_ns", "entry_ns", "response_ns")
_PROBES = ((1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (7.0, 5.0), (1e6, 0.5), (0.5, 1e6))


def read_queue_model(queue: str | Callable[[float, float], float], power: float) -> QueueModel:
    """Make a queue model from its name or from a function of the user's, which is tried out.

    Raises:
        ConfigError: No such model; the power is no number > 0; the function fails, or gives no
            number from 0 to 1.

    >>> read_queue_model("power", 2.0).power
    2.0
    >>> read_queue_model("prob", 2.0)
    Traceback (most recent call last):
    decision_schema.errors.ConfigError: queue is 'prob': give conservative, power or log, or a function
    """
    if callable(queue):
        for front, back in _PROBES:
            _try_share(queue, front, back)
        return QueueModel(GIVEN)
    if queue not in QUEUE_MODELS:
        near = difflib.get_close_matches(str(queue), QUEUE_MODELS, n=1, cutoff=0.6)
        hint = f"did you mean {near[0]!r}?" if near else "give conservative, power or log, or a function"
        raise ConfigError(f"queue is {queue!r}: {hint}")
    if isinstance(power, bool) or not isinstance(power, int | float) or not 0.0 < power <= MAX_POWER:
        raise ConfigError(f"queue_power is {power!r}: give a number above 0, at most {MAX_POWER:g}")
    return QueueModel(QUEUE_MODELS[queue], float(power))


def _try_share(function: Callable[[float, float], float], front: float, back: float) -> None:
    """Ask a user's function once, before it is trusted with a run."""
    call = f"the queue function, asked for ({front:g}, {back:g}),"
    try:
        share = function(front, back)
    except Exception as error:  # noqa: BLE001 - user code: one line instead of a traceback
        raise ConfigError(f"{call} raised {type(error).__name__}") from None
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0.0 <= share <= 1.0:
        raise ConfigError(f"{call} gave {share!r}: give the share that stood behind us, from 0 to 1")


def read_latency(name: str, way: int, median_ms: float, sigma: float) -> Latency:
    """Make the latency of one way from its median in milliseconds.

    Raises:
        ConfigError: A number is out of range.

    >>> read_latency("entry_latency_ms", ENTRY, 2.5, 0.0).median_ns
    2500000
    """
    if not _is_number(median_ms) or not 0.0 <= median_ms <= MAX_LATENCY_MS:
        raise ConfigError(f"{name} is {median_ms!r}: give milliseconds from 0 to {MAX_LATENCY_MS:g}")
    if not _is_number(sigma) or not 0.0 <= sigma <= MAX_SIGMA:
        raise ConfigError(f"latency_sigma is {sigma!r}: give a number from 0 to {MAX_SIGMA:g}")
    if sigma > 0.0 and median_ms == 0.0:
        return Latency(way)
    return Latency(way, round(median_ms * NS_PER_MS), float(sigma))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def ask_shares(venue: Venue, share: Callable[[float, float], float]) -> None:
    """Ask a user's queue function, for each resting order, what `matching.apply_book` will need of it.

    Called once the sides are loaded; it answers the share of cancelled lots that stood behind us, of the
    lots before us and behind us.
    """
    if venue.by_order == 1:
        return
    for own in (venue.bids, venue.asks):
        for slot in own.ranked[: own.n_orders]:
            order = venue.orders[slot]
            front, before = order.queue_ahead, order.shown - order.traded
            if front > 0.0 and before > front and before > displayed_at(own, order.side, order.ticks):
                order.share = share(front, before - front)


def read_latency_table(path: Path) -> list[list[int]]:
    """Read measured latencies from a CSV file: rows of times, entry and response, for `latency.way_ns`.

    Its columns are ``ts_ns`` (when the message was sent, ascending), ``entry_ns`` and ``response_ns``;
    others are ignored.

    Raises:
        ConfigError: The file cannot be read, lacks a column, or a row makes no sense.
    """
    table = no_table()
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            missing = [name for name in TABLE_COLUMNS if name not in (rows.fieldnames or ())]
            if missing:
                raise ConfigError(f"latency table {path} lacks the columns {', '.join(missing)}")
            for row in rows:
                at_ns, entry_ns, response_ns = (
                    _whole(path, rows.line_num, name, row[name]) for name in TABLE_COLUMNS
                )
                if table[AT] and at_ns <= table[AT][-1]:
                    raise ConfigError(
                        f"latency table {path}, line {rows.line_num}: ts_ns is {at_ns}: give it ascending"
                    )
                table[AT].append(at_ns)
                table[1 + ENTRY].append(_delay(path, rows.line_num, "entry_ns", entry_ns))
                table[1 + RESPONSE].append(_delay(path, rows.line_num, "response_ns", response_ns))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"latency table {path} cannot be read: {error}") from None
    if not table[AT]:
        raise ConfigError(f"latency table {path} has no rows")
    return table


def _whole(path: Path, line: int, name: str, text: str | None) -> int:
    try:
        return int(text or "")
    except ValueError:
        raise ConfigError(
            f"latency table {path}, line {line}: {name} is {text!r}: give whole nanoseconds"
        ) from None


def _delay(path: Path, line: int, name: str, delay_ns: int) -> int:
    limit_ns = round(MAX_LATENCY_MS * NS_PER_MS)
    if not 0 <= delay_ns <= limit_ns:
        raise ConfigError(
            f"latency table {path}, line {line}: {name} is {delay_ns}: give nanoseconds from 0 to {limit_ns}"
        )
    return delay_ns
