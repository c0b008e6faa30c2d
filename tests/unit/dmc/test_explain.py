"""The guard table in words, and the page on the guards."""

import re

import pytest

from decision_schema.types import Action, Proposal
from dmc_core.dmc import modulator
from dmc_core.dmc.explain import explain, results_from_vectors
from dmc_core.dmc.guards import (
    BREACH,
    GUARD_SLOT,
    GUARDS,
    LIMIT_NAMES,
    MALFORMED,
    MARKET_ROWS,
    N_OBSERVED,
    OBSERVED,
    PASS,
    PRESENT,
    SLOT,
    UNKNOWN,
    guard_result,
    limits_of,
    table,
)
from dmc_core.dmc.modulator import modulate
from dmc_core.dmc.risk_policy import TIGHTER, RiskPolicy
from tests.conftest import ROOT

PAGE = ROOT / "docs" / "guards.md"
CONTEXT = {
    "now_ms": 1000,
    "last_event_ts_ms": 100,
    "depth": 1.5,
    "spread_bps": 400.0,
    "current_total_exposure_usd": 2.5,
    "abs_inventory": 5.0,
    "mid": 0.5,
    "sigma_spike_z": 9.0,
}


@pytest.fixture(autouse=True)
def _no_private_hook(monkeypatch):
    monkeypatch.setattr(modulator, "_hook", lambda: None)


def row(name, verdict, value, limit, **more):
    return guard_result(GUARD_SLOT[name], verdict, value, limit, PRESENT, **{"refuses": False, **more})


def test_nothing():
    assert explain([]) == []


def test_refusals_then_near_passes_then_the_count():
    proposal = Proposal(action=Action.ACT, confidence=0.8)
    _, mismatch = modulate(proposal, RiskPolicy(), CONTEXT)
    lines = explain(mismatch.guards)
    assert [line.split()[0] for line in lines[:4]] == ["sigma_spike", "staleness", "spread_bps", "depth"]
    assert lines[0].endswith("breach  HOLD: volatility is far above its five-minute level")
    assert all(line.endswith("  pass") for line in lines[1:-1])
    assert re.fullmatch(r"\d+ off, \d+ not evaluated", lines[-1])
    counted = sum(map(int, re.findall(r"\d+", lines[-1])))
    assert counted + len(lines) - 1 == len(mismatch.guards)


def test_columns_are_aligned():
    lines = explain(
        [row("depth", PASS, 100.0, 1.0), row("adverse_selection_high_15", BREACH, 12.0, 1.0, refuses=True)]
    )
    assert lines == [
        (
            "adverse_selection_high_15  12 ticks   limit 1  margin -11  breach  "
            "CANCEL: the price moved against our fills within 15 s"
        ),
        "depth                      100 units  limit 1  margin 99   pass",
    ]


def test_an_unknown_value_says_what_is_missing():
    unusable = guard_result(GUARD_SLOT["depth"], UNKNOWN, 0.0, 1.0, MALFORMED, refuses=True)
    assert explain([unusable]) == [
        "depth  no value  limit 1    unknown  HOLD: an input of the guard is not a finite number (depth)"
    ]


def test_a_breach_that_stops_nothing_stands_before_the_passes():
    lines = explain([row("depth", PASS, 1.0, 1.0), row("spread_bps", BREACH, 600.0, 500.0)])
    assert [line.split()[0] for line in lines] == ["spread_bps", "depth"]
    assert lines[0].endswith("breach")


def test_zero_of_zero_is_not_near():
    lines = explain([row("ops_cooldown", PASS, 0.0, 0.0), row("depth", PASS, 500.0, 1.0)])
    assert [line.split()[0] for line in lines] == ["depth", "ops_cooldown"]


def test_legs_are_named():
    assert explain([row("inventory_cap", PASS, 9.0, 10.0, leg=1)])[0].startswith(
        "inventory_cap, leg 1  9 units"
    )


@pytest.mark.parametrize("with_presence", [True, False])
def test_rows_from_the_vectors_of_a_packet(with_presence):
    """Rebuilt rows are those that `modulate` gave."""
    policy = RiskPolicy()
    proposal = Proposal(action=Action.ACT, confidence=0.8)
    context = {**CONTEXT, "equity_usd": 5.0}
    _, mismatch = modulate(proposal, policy, context)
    given = [result for result in mismatch.guards if result.leg is None]
    values = [None] * N_OBSERVED
    for i, result in zip(MARKET_ROWS, given, strict=True):
        values[SLOT[GUARDS[i].observed]] = result.value
    names = ["off", "pass", "breach", "unknown", "not_evaluated"]
    verdicts = [0] * len(GUARDS)
    for i, result in zip(MARKET_ROWS, given, strict=True):
        verdicts[i] = names.index(result.verdict)
    presence = [int(value is not None) for value in values] if with_presence else None
    refusing = [i for i, result in zip(MARKET_ROWS, given, strict=True) if result.refuses]
    assert refusing
    assert results_from_vectors(values, verdicts, limits_of(policy), presence, refusing) == given


def test_a_missing_input_in_a_packet():
    values, verdicts = [None] * N_OBSERVED, [UNKNOWN] * len(GUARDS)
    rows = results_from_vectors(values, verdicts, limits_of(RiskPolicy()), None, MARKET_ROWS)
    assert {result.reason.partition(":")[0] for result in rows} == {"missing_input"}
    assert all(result.refuses and result.severity is Action.HOLD for result in rows)


# ---------------------------------------------------------------- docs/guards.md


def test_the_page_holds_the_table_of_the_code():
    page = PAGE.read_text(encoding="utf-8")
    shown = page.split("<!-- generated: guards -->\n")[1].split("\n<!-- end -->")[0]
    assert shown == table(), "paste dmc_core.dmc.guards.table() into docs/guards.md"


def test_the_page_names_every_input_and_every_limit():
    page = PAGE.read_text(encoding="utf-8")
    keys = {observed.source for observed in OBSERVED} | {"now_ms", "steps_in_window", "tp_ticks"}
    missing = [name for name in sorted(keys | set(LIMIT_NAMES[1:])) if f"`{name}`" not in page]
    assert missing == []


def test_the_page_tells_the_default_of_every_limit():
    page = PAGE.read_text(encoding="utf-8")
    defaults = RiskPolicy()
    ways = {"lower": "lower", "lower_0_off": "lower; 0 = off", "higher": "higher", "none": "cannot change"}
    for name, way in TIGHTER.items():
        assert f"| `{name}` | {getattr(defaults, name):g} | {ways[way]} |" in page


def test_the_blocks_of_the_page_run():
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 4
    names = {}
    for block in blocks:
        exec(compile(block, PAGE.name, "exec"), names)
    assert all("assert" in block for block in blocks[1:])
