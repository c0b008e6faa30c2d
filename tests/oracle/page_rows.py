"""The guard table as docs/guards.md states it: what the code is checked against, row by row."""

import math
import re
from pathlib import Path
from typing import NamedTuple

from dmc_core.dmc.guards import (
    ABSENT,
    GUARD_SLOT,
    LIMIT_NAMES,
    LIMIT_SLOT,
    MALFORMED,
    N_GUARDS,
    N_OBSERVED,
    PRESENT,
    SLOT,
    VERDICTS,
)

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guards.md"
ROW = re.compile(
    r"^\| `(?P<name>\w+)` \| `(?P<observed>\w+)` \((?P<unit>[^),]+)(?P<needed>, needed)?\) \| (?P<sense>\S+) limit"
    r"(?P<off>, 0 = off)? \| `?(?P<limit>\w+)`? \| (?P<scope>\w+) \| (?P<severity>\w+) \| (?P<resting>\w+) "
    r"\| `(?P<reason>\w+)` \| (?P<citation>[^|]+) \|$",
    re.MULTILINE,
)


class PageRow(NamedTuple):
    """One row as the page states it."""

    name: str
    observed: str
    unit: str
    needed: bool
    sense: str
    off: bool
    limit: str
    scope: str
    severity: str
    resting: str
    reason: str
    citation: str


def page_rows() -> list[PageRow]:
    """Read the table of the page."""
    table = PAGE.read_text(encoding="utf-8").split("<!-- generated: guards -->")[1].split("<!-- end -->")[0]
    rows = []
    for found in ROW.finditer(table):
        cells = found.groupdict()
        cells["needed"], cells["off"] = bool(cells["needed"]), bool(cells["off"])
        cells["limit"] = "zero" if cells["limit"] == "0" else cells["limit"]
        rows.append(PageRow(**cells))
    assert len(rows) == table.count("\n") - 3
    return rows


PASSES = {
    "<=": lambda value, limit: value <= limit,
    "<": lambda value, limit: value < limit,
    ">=": lambda value, limit: value >= limit,
    ">": lambda value, limit: value > limit,
}
LIMIT, OTHER_LIMIT = 5.0, 7.0


def cases(row):
    """Give presence, value, limit and the verdict that the page promises: below, at and above, and worse."""
    limit = 0.0 if row.limit == "zero" else LIMIT
    near = (math.nextafter(limit, -math.inf), limit, math.nextafter(limit, math.inf))
    for value in (*near, limit - 1e308, limit + 1e308, limit - 1.0, limit + 1.0):
        yield PRESENT, value, limit, "pass" if PASSES[row.sense](value, limit) else "breach"
    for value in (math.nan, math.inf, -math.inf):
        yield PRESENT, value, limit, "unknown"
    for presence, value in ((MALFORMED, math.nan), (MALFORMED, limit), (MALFORMED, limit + 1.0)):
        yield presence, value, limit, "unknown"
    for value in (math.nan, limit, limit + 1.0):
        yield ABSENT, value, limit, "unknown" if row.needed else "not_evaluated"
    if row.limit != "zero":
        for presence, value in ((PRESENT, -1.0), (PRESENT, 0.0), (PRESENT, 1.0), (ABSENT, math.nan)):
            if row.off:
                verdict = "off"
            elif presence == ABSENT:
                verdict = "unknown" if row.needed else "not_evaluated"
            else:
                verdict = "pass" if PASSES[row.sense](value, 0.0) else "breach"
            yield presence, value, 0.0, verdict


def differs(row, judge):
    """Tell where a judge differs from the page: the first case, or None."""
    slot = GUARD_SLOT[row.name]
    for presence, value, limit, verdict in cases(row):
        limits = [OTHER_LIMIT] * len(LIMIT_NAMES)
        limits[0] = 0.0
        limits[LIMIT_SLOT[row.limit]] = limit
        observed, presences = [math.nan] * N_OBSERVED, [ABSENT] * N_OBSERVED
        observed[SLOT[row.observed]], presences[SLOT[row.observed]] = value, presence
        verdicts = [-1] * N_GUARDS
        try:
            bits = judge(slot, slot + 1, observed, presences, limits, verdicts)
        except Exception as error:  # noqa: BLE001 - a mutant may do anything
            return presence, value, limit, repr(error)
        expected = (int(verdict == "breach") << slot, int(verdict == "unknown") << slot)
        others = [given for i, given in enumerate(verdicts) if i != slot]
        if verdicts[slot] != VERDICTS.index(verdict) or bits != expected or set(others) != {-1}:
            return presence, value, limit, (verdicts[slot], bits)
    return None
