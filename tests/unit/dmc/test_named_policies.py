"""Named policies: what is shipped is sound, and what is unsound is refused."""

import math
import re
from importlib.resources import files
from pathlib import Path

import pytest

from decision_schema.errors import ConfigError
from decision_schema.types import Action, Proposal
from dmc_core.dmc.explain import explain
from dmc_core.dmc.modulator import modulate
from dmc_core.dmc.named_policies import (
    POLICY_NAMES,
    load_named_policy,
    named_policy,
    number_text,
    parse_named_policy,
    table,
)
from dmc_core.dmc.risk_policy import ACCOUNT_LIMITS, RiskPolicy

# (policy, mid, tick, maker fee): instruments at usual fees, and at the edge of what the reasons promise.
USUAL = [
    ("crypto_perp", 61_800.0, 0.10, 0.0002),
    ("crypto_perp", 119_900.0, 0.10, 0.0002),
    ("crypto_perp", 2_600.0, 0.01, 0.0002),
    ("equity", 585.0, 0.01, 0.00005),
    ("equity", 585.0, 0.01, 0.00016),
    ("equity", 40.0, 0.01, 0.0002),
    ("fx", 1.39, 0.00001, 0.000025),
    ("fx", 1.39, 0.00001, 0.00006),
    ("binary", 0.5, 0.01, 0.01),
    ("binary", 0.99, 0.01, 0.01),
    ("binary", 0.5, 0.001, 0.0002),
]
DEAR = [("crypto_perp", 61_800.0, 0.10, 0.0005), ("fx", 1.39, 0.00001, 0.0001), ("binary", 0.5, 0.01, 0.03)]

# A usual book of each market: spread in bps and ticks, depth, and an order.
BOOKS = {
    "crypto_perp": {
        "mid": 61_800.05,
        "bid": 61_800.0,
        "ask": 61_800.1,
        "depth": 6.0,
        "tick": 0.1,
        "size": 0.1,
    },
    "equity": {"mid": 585.09, "bid": 585.0, "ask": 585.18, "depth": 200.0, "tick": 0.01, "size": 10.0},
    "fx": {"mid": 1.39005, "bid": 1.39, "ask": 1.3901, "tick": 0.00001, "size": 20_000.0},
    "binary": {
        "mid": 0.505,
        "bid": 0.5,
        "ask": 0.51,
        "depth": 700.0,
        "tick": 0.01,
        "size": 50.0,
        "kind": "binary",
    },
}


def cost_ticks(mid, tick, fee):
    return 2.0 * fee * mid / tick


def cost_row(name, mid, tick, fee):
    context = {"cost_ticks": cost_ticks(mid, tick, fee)}
    _, mismatch = modulate(Proposal(action=Action.HOLD, confidence=0.5), named_policy(name), context)
    return next(row for row in mismatch.guards if row.name == "cost")


def test_the_shipped_files_are_the_names():
    shipped = {file.name for file in files("dmc_core.dmc").joinpath("policies").iterdir()}
    assert shipped == {f"{name}.toml" for name in POLICY_NAMES}


@pytest.mark.parametrize("name", POLICY_NAMES)
class TestEach:
    def test_loads_the_same_each_time(self, name):
        assert isinstance(named_policy(name), RiskPolicy)
        assert named_policy(name) is named_policy(name)
        assert load_named_policy(name).policy is named_policy(name)

    def test_says_for_whom(self, name):
        about = load_named_policy(name).about
        assert 1 <= about.count(". ") + about.endswith(".") <= 2
        assert "account of " in about
        assert "tick of " in about

    def test_each_limit_has_one_sentence_of_reason(self, name):
        for limit in load_named_policy(name).limits:
            assert limit.reason.endswith("."), limit.name
            assert ". " not in limit.reason, limit.name
            assert not set("|\n`") & set(limit.reason), limit.name
            assert limit.value == getattr(named_policy(name), limit.name)
            assert limit.default == getattr(RiskPolicy(), limit.name)

    def test_what_is_not_named_is_the_default(self, name):
        found = load_named_policy(name)
        named = {limit.name for limit in found.limits}
        assert all(
            getattr(found.policy, field) == getattr(RiskPolicy(), field)
            for field in RiskPolicy.__struct_fields__
            if field not in named
        )

    def test_what_depends_on_the_market_is_named(self, name):
        named = {limit.name for limit in load_named_policy(name).limits}
        assert named >= {
            "staleness_ms", "min_depth", "max_spread_bps", "max_per_market_usd", "max_total_exposure_usd",
            "max_abs_inventory", "cancel_rate_limit", "cancel_window_ms", "throttle_refresh_ms", "daily_loss_stop_usd",
            "adv15_max_ticks", "adv60_max_ticks", "tp_ticks", "cost_ticks", "sigma_spike_z_max", "max_inventory_skew_ticks",
        }  # fmt: skip

    def test_requotes_stay_under_the_cancel_limit(self, name):
        policy = named_policy(name)
        a_market = 2 * policy.cancel_window_ms / policy.throttle_refresh_ms
        assert policy.cancel_rate_limit == 0 or 2 * a_market <= policy.cancel_rate_limit  # two markets

    def test_caps_are_in_order(self, name):
        policy = named_policy(name)
        assert 0 < policy.max_per_market_usd <= policy.max_total_exposure_usd
        assert 0 < policy.daily_loss_stop_usd < policy.max_drawdown_stop_usd < policy.max_total_exposure_usd
        assert policy.staleness_ms < policy.stale_cancel_ms
        assert policy.adv15_max_ticks < policy.adv60_max_ticks
        assert policy.spread_med_5m_max_bps < policy.max_spread_bps
        assert policy.depth_p10_5m_min == 0.0 or policy.min_depth > 0.0
        assert policy.tp_ticks - policy.cost_ticks >= policy.min_profit_ticks

    def test_table_has_a_row_for_each_limit(self, name):
        found, lines = load_named_policy(name), table(name).splitlines()
        assert lines[0] == found.about
        assert lines[2:4] == ["| limit | value | default | reason |", "|---|---|---|---|"]
        assert [line.split("`")[1] for line in lines[4:]] == [limit.name for limit in found.limits]
        assert all(line.count("|") == 5 for line in lines[4:])
        assert table(name) == table(name)

    def test_a_usual_quote_goes_out(self, name):
        final, mismatch = self.quote(name, 1.0)
        assert final.action is Action.ACT, explain(mismatch.guards)[:3]
        assert mismatch.flags == []

    def test_a_quote_in_a_torn_book_does_not(self, name):
        assert self.quote(name, 400.0)[1].flags[0] == "spread_bps"

    def quote(self, name, wider):
        book = BOOKS[name]
        half = (book["ask"] - book["bid"]) / 2.0 * wider
        bid, ask = max(book["mid"] - half, 0.01), book["mid"] + half
        context = {
            "now_ms": 1_700_000_000_000,
            "last_event_ts_ms": 1_699_999_999_500,
            "spread_bps": (ask - bid) / book["mid"] * 1e4,
            "spread_ticks": (ask - bid) / book["tick"],
            "mid": book["mid"], "bid": bid, "ask": ask,
            "current_total_exposure_usd": 0.0, "current_market_exposure_usd": 0.0,
            "abs_inventory": 0.0, "inventory": 0.0, "open_buy": 0.0, "open_sell": 0.0, "open_orders": 0.0,
            "kind": book.get("kind", "linear"),
        }  # fmt: skip
        if "depth" in book:
            context["depth"] = book["depth"]
        params = {"bid": book["bid"], "ask": book["ask"], "size": book["size"]}
        return modulate(
            Proposal(action=Action.ACT, confidence=0.8, params=params), named_policy(name), context
        )


@pytest.mark.parametrize(("name", "mid", "tick", "fee"), USUAL)
def test_usual_fees_pass_the_cost_guard(name, mid, tick, fee):
    row = cost_row(name, mid, tick, fee)
    assert row.verdict == "pass"
    assert math.isclose(row.value, named_policy(name).tp_ticks - cost_ticks(mid, tick, fee))


@pytest.mark.parametrize(("name", "mid", "tick", "fee"), DEAR)
def test_dear_fees_do_not(name, mid, tick, fee):
    assert cost_row(name, mid, tick, fee).verdict == "breach"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (
            "crypto",
            "unknown policy 'crypto': did you mean 'crypto_perp'? known are crypto_perp, equity, fx, binary",
        ),
        ("equities", "did you mean 'equity'?"),
        ("zzz", "unknown policy 'zzz': known are crypto_perp, equity, fx, binary"),
        ("../fx", "unknown policy '../fx'"),
        ("", "unknown policy ''"),
    ],
)
def test_unknown_name(name, says):
    for ask in (named_policy, load_named_policy, table):
        with pytest.raises(ConfigError) as caught:
            ask(name)
        assert says in str(caught.value)


SOUND = 'about = "Mine."\n[limits]\nmin_depth = 2\n[reasons]\nmin_depth = "Two lots."\n'


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        ("min_depth = 2", "min_dept = 2", "policy mine: unknown limit 'min_dept': did you mean 'min_depth'?"),
        ("min_depth = 2", "zzzz = 2", "policy mine: unknown limit 'zzzz'"),
        ("min_depth = 2", "min_depth = -2", "min_depth is -2"),
        ("min_depth = 2", "min_depth = nan", "min_depth is nan"),
        ("min_depth = 2", 'min_depth = "2"', "got `str`"),
        ("min_depth = 2", "min_depth = true", "got `bool`"),
        ("min_depth = 2", "min_depth = 2\ncancel_rate_limit = 3.5", "cancel_rate_limit has no reason"),
        ("min_depth = 2", "", "min_depth has a reason but no limit"),
        ('min_depth = "Two lots."', "", "min_depth has no reason"),
        ('"Two lots."', '" "', "min_depth has no reason"),
        ('"Two lots."', '"Two lots."\nzzzz = "None."', "unknown limit 'zzzz'"),
        ('about = "Mine."', "", "about"),
        ('about = "Mine."', 'about = ""', "about is empty"),
        ('about = "Mine."', 'about = "Mine."\nabuot = 1', "abuot"),
        ("[limits]", "[limits", "policy mine: "),
    ],
)
def test_unsound_files_are_refused(before, after, says):
    assert parse_named_policy("mine", SOUND).policy == RiskPolicy(min_depth=2.0)
    assert before in SOUND
    with pytest.raises(ConfigError) as caught:
        parse_named_policy("mine", SOUND.replace(before, after, 1))
    assert says in str(caught.value)
    assert str(caught.value).startswith("policy mine: ")


def test_a_whole_number_stays_whole():
    text = SOUND + 'cancel_rate_limit = "Few."\n'
    with pytest.raises(ConfigError, match="Expected `int`"):
        parse_named_policy("mine", text.replace("min_depth = 2", "min_depth = 2\ncancel_rate_limit = 3.5"))


def test_number_text():
    assert [number_text(value) for value in (0, 0.0, 20, 1_000.0, 0.8)] == ["0", "0", "20", "1000", "0.8"]


def test_the_page_names_all_limits_of_the_account():
    page = (Path(__file__).resolve().parents[3] / "docs" / "policies.md").read_text(encoding="utf-8")
    part = page.split("## The account's limits")[1].split("\n## ")[0]
    assert set(re.findall(r"`(\w+)`", part)) == ACCOUNT_LIMITS
