"""``mdm policy list`` and ``mdm policy show``: what a user reads, and the JSON."""

import json

import pytest

from ami_engine.cli.policies import list_policies, show_policy
from decision_schema.errors import ConfigError
from dmc_core.dmc.named_policies import POLICY_NAMES, load_named_policy
from dmc_core.dmc.risk_policy import RiskPolicy


@pytest.fixture
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "240")


def test_list_has_a_line_for_each(capsys):
    assert list_policies(json=False) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(POLICY_NAMES)
    assert all(load_named_policy(line.split()[0]).about in line for line in lines)


def test_list_as_json(capsys):
    assert list_policies(json=True) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == [{"name": name, "about": load_named_policy(name).about} for name in POLICY_NAMES]


@pytest.mark.parametrize("name", POLICY_NAMES)
def test_show_has_a_row_for_each_limit(name, capsys, wide):
    assert show_policy(name, json=False) == 0
    out = capsys.readouterr().out
    header = next(line for line in out.splitlines() if line.startswith("limit "))
    assert header.split() == ["limit", "value", "default", "reason"]
    rows = out.split(header)[1].split("\nguard ")[0].split("\n")
    for limit in load_named_policy(name).limits:
        assert sum(row.startswith(f"{limit.name} ") for row in rows) == 1  # a reason goes on indented
    assert " ".join(load_named_policy(name).about.split()[:5]) in out


def test_show_prints_the_numbers_as_the_config_takes_them(capsys, wide):
    show_policy("fx", json=False)
    rows = [line.split()[:3] for line in capsys.readouterr().out.splitlines()]
    assert ["max_abs_inventory", "100000", "10"] in rows
    assert ["sigma_5m_max_bps", "0.8", "0"] in rows


def test_show_loses_nothing_on_a_narrow_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    show_policy("crypto_perp", json=False)
    out = capsys.readouterr().out
    assert all(limit.name in out for limit in load_named_policy("crypto_perp").limits)
    assert "…" not in out


@pytest.mark.parametrize("name", POLICY_NAMES)
def test_show_as_json(name, capsys):
    assert show_policy(name, json=True) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {"name", "about", "policy", "limits"}
    assert found["name"] == name
    assert set(found["policy"]) == set(RiskPolicy.__struct_fields__)
    assert all(set(limit) == {"name", "value", "default", "reason"} for limit in found["limits"])
    assert all(found["policy"][limit["name"]] == limit["value"] for limit in found["limits"])


@pytest.mark.parametrize("as_json", [False, True])
def test_unknown_name_is_an_error_before_any_output(as_json, capsys):
    with pytest.raises(ConfigError, match="did you mean 'equity'"):
        show_policy("equty", json=as_json)
    assert capsys.readouterr().out == ""
