"""Reference tables in docs/ are generated from code: `python -m tests.docs.test_tables` writes them anew."""

import re
from functools import partial
from pathlib import Path

import pytest

from ami_engine import config
from ami_engine.features import catalogue
from decision_schema import reasons
from dmc_core.dmc import guards, named_policies, risk_policy

ROOT = Path(__file__).resolve().parents[2]
TABLES = (
    ("configuration.md", "config", config.table),
    ("features.md", "features", catalogue.table),
    ("guards.md", "guards", guards.table),
    ("guards.md", "limits", risk_policy.table),
    *(("policies.md", name, partial(named_policies.table, name)) for name in named_policies.POLICY_NAMES),
    ("reasons.md", "reasons", reasons.table),
)


def with_table(page: str, mark: str, table: str) -> str:
    block = f"<!-- generated: {mark} -->\n{table.strip()}\n<!-- end -->"
    found, count = re.subn(
        rf"<!-- generated: {mark} -->.*?<!-- end -->", lambda _: block, page, flags=re.DOTALL
    )
    assert count == 1
    return found


@pytest.mark.parametrize(("name", "mark", "table"), TABLES, ids=[mark for _, mark, _ in TABLES])
def test_table_is_the_codes(name, mark, table):
    page = (ROOT / "docs" / name).read_text(encoding="utf-8")
    assert page == with_table(page, mark, table()), "run: python -m tests.docs.test_tables"


if __name__ == "__main__":
    for name, mark, table in TABLES:
        file = ROOT / "docs" / name
        file.write_text(with_table(file.read_text(encoding="utf-8"), mark, table()), encoding="utf-8")
