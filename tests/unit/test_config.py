"""The configuration: TOML, overrides, unknown keys with the nearest known one, types and ranges."""

import math

import pytest

from ami_engine.config import (
    DataSection,
    ExecutionSection,
    FeaturesSection,
    RunConfig,
    RunSection,
    SimSection,
    apply_overrides,
    config_from_dict,
    load_config,
)
from decision_schema.errors import ConfigError
from decision_schema.instruments import Instrument

TOML = """
[run]
seed = 7
steps = 100

[data.sim]
spread = 0.02

[model]
params = { threshold = 0.7, nested = { a = 1 } }

[guards]
max_spread_bps = 50

[execution]
half_spread_ticks = 1.5

[[instruments]]
market_id = "BTC"
tick_size = "0.1"

[[instruments]]
market_id = "ETH"
kind = "linear"
"""


def refused(raw):
    with pytest.raises(ConfigError) as caught:
        config_from_dict(raw)
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_file_is_read(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text(TOML)
    config = load_config(file)
    assert (config.run.seed, config.run.steps, config.data.sim.spread) == (7, 100, 0.02)
    assert config.model.params == {"threshold": 0.7, "nested": {"a": 1}}
    assert (config.guards.max_spread_bps, config.execution.half_spread_ticks) == (50, 1.5)
    assert [i.market_id for i in config.instruments] == ["BTC", "ETH"]
    assert config.sample_ns == 10**9


def test_overrides_win_and_are_read_as_toml_else_as_text(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text(TOML)
    config = load_config(
        file,
        ("run.seed=8", "data.sim.spread = 0.03", "run.dry_run=true", "trace.output_dir=my/runs", 'run.run_id="x-1"',
         "model.params.nested.b=[1, 2]"),
    )  # fmt: skip
    assert (config.run.seed, config.data.sim.spread, config.run.dry_run) == (8, 0.03, True)
    assert (config.trace.output_dir, config.run.run_id) == ("my/runs", "x-1")
    assert config.model.params["nested"] == {"a": 1, "b": [1, 2]}
    assert config.run.steps == 100


@pytest.mark.parametrize("override", ["run.seed", "=5", "run..seed=5", ".seed=5", "run.seed.more=5"])
def test_an_override_of_another_form_is_refused(override):
    with pytest.raises(ConfigError, match="override"):
        apply_overrides({"run": {"seed": 1}}, (override,))


def test_an_override_is_checked_like_the_file(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text("")
    with pytest.raises(ConfigError, match="unknown key 'sede' in \\[run\\]: did you mean 'seed'"):
        load_config(file, ("run.sede=1",))


UNKNOWN = [
    ({"runn": {}}, "config: unknown key 'runn' in the top level: did you mean 'run'?"),
    ({"run": {"sed": 1}}, "config: unknown key 'sed' in [run]: did you mean 'seed'?"),
    ({"data": {"sorce": "sim"}}, "config: unknown key 'sorce' in [data]: did you mean 'source'?"),
    ({"data": {"sim": {"spred": 1}}}, "did you mean 'spread'?"),
    ({"guards": {"max_spred_bps": 1}}, "config: unknown key 'max_spred_bps' in [guards]: did you mean 'max_spread_bps'?"),
    ({"execution": {"sise": 1}}, "did you mean 'size'?"),
    ({"model": {"warmup": 1}}, "did you mean 'warmup_ms'?"),
    ({"trace": {"out_dir": "x"}}, "did you mean 'output_dir'?"),
    ({"features": {"samplems": 1}}, "did you mean 'sample_ms'?"),
    ({"broker": {"brokr": 1}}, "did you mean 'broker'?"),
    ({"instruments": [{"market_id": "A"}, {"tik_size": "1"}]}, "config: unknown key 'tik_size' in [[instruments]]: did you mean 'tick_size'?"),
    ({"run": {"xyzzy": 1}}, "config: unknown key 'xyzzy' in [run]: known keys are allocation, day_start, day_zone"),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "message"), UNKNOWN)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(raw, message):
    assert message in refused(raw)


def test_params_of_ones_own_take_any_key():
    config = config_from_dict(
        {"model": {"params": {"anything": 1}}, "data": {"params": {"x": 2}}, "broker": {"params": {"y": 3}}}
    )
    assert (config.model.params, config.data.params, config.broker.params) == (
        {"anything": 1},
        {"x": 2},
        {"y": 3},
    )


WRONG = [
    ({"run": {"seed": "one"}}, "$.run.seed"),
    ({"run": {"seed": 1.5}}, "$.run.seed"),
    ({"run": {"steps": True}}, "steps"),
    ({"run": {"mode": "fast"}}, "$.run.mode"),
    ({"run": 5}, "$.run"),
    ({"data": {"sim": []}}, "$.data.sim"),
    ({"guards": {"min_depth": "deep"}}, "min_depth"),
    ({"guards": {"min_depth": -1}}, "min_depth is -1"),
    ({"guards": {"error_window_steps": 0}}, "error_window_steps is 0"),
    ({"instruments": {"market_id": "A"}}, "$.instruments"),
    ({"instruments": [5]}, "$.instruments"),
    ({"instruments": [{"tick_size": "0"}]}, "tick_size is '0'"),
    ({"instruments": [{"tick_size": 0.01}]}, "tick_size"),
    ({"instruments": [{"market_id": "A"}, {"market_id": "A"}]}, "repeat a market_id"),
    ({"execution": {"size": 0}}, "execution.size is 0"),
    ({"execution": {"size": math.nan}}, "execution.size is nan"),
    ({"execution": {"half_spread_ticks": -1}}, "execution.half_spread_ticks is -1"),
    ({"execution": {"min_requote_ticks": -1}}, "execution.min_requote_ticks is -1"),
    ({"execution": {"exit_slippage_ticks": -1}}, "execution.exit_slippage_ticks is -1"),
    ({"features": {"sample_ms": 0}}, "features.sample_ms is 0"),
    ({"model": {"warmup_ms": -1}}, "model.warmup_ms is -1"),
    ({"run": {"steps": -1}}, "run.steps is -1"),
    ({"run": {"timer_ms": -1}}, "run.timer_ms is -1"),
    ({"run": {"max_clock_skew_ms": -1}}, "run.max_clock_skew_ms is -1"),
    ({"run": {"seed": 2**64}}, "run.seed is 18446744073709551616"),
    ({"run": {"initial_equity": math.inf}}, "run.initial_equity is inf"),
    ({"run": {"run_id": "a/b"}}, "run id 'a/b'"),
    ({"run": {"run_id": ".hidden"}}, "run id '.hidden'"),
    ({"run": {"run_id": ""}}, "run id ''"),
    ({"data": {"sim": {"num_events": -1}}}, "data.sim.num_events is -1"),
]


@pytest.mark.parametrize(("raw", "message"), WRONG, ids=range(len(WRONG)))
def test_a_wrong_type_or_range_is_one_line_that_names_the_place(raw, message):
    text = refused(raw)
    assert text.startswith(("config: ", "risk policy: ", "run id "))
    assert message in text


MADE = [
    lambda: RunConfig(run=RunSection(seed="x")),
    lambda: RunConfig(run=RunSection(seed=True)),
    lambda: RunConfig(run=RunSection(steps="3")),
    lambda: RunConfig(run=RunSection(initial_equity="100")),
    lambda: RunConfig(execution=ExecutionSection(size=None)),
    lambda: RunConfig(execution=ExecutionSection(size=True)),
    lambda: RunConfig(features=FeaturesSection(sample_ms=0.5)),
    lambda: RunConfig(data=DataSection(sim=SimSection(num_events="x"))),
    lambda: RunConfig(instruments=[Instrument(market_id="A")] * 2),
]


@pytest.mark.parametrize("make", MADE, ids=range(len(MADE)))
def test_a_config_made_in_code_is_checked_too(make):
    with pytest.raises(ConfigError, match="config: "):
        make()


def test_the_defaults_are_sound_and_frozen():
    config = RunConfig()
    assert config == config_from_dict({})
    with pytest.raises(AttributeError):
        config.run.seed = 5  # type: ignore[misc]


def test_a_file_that_cannot_be_read_is_one_line(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        load_config(tmp_path / "gone.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path)
    file = tmp_path / "run.toml"
    file.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(file)
    file.write_text("[run\nseed = 1")
    with pytest.raises(ConfigError, match="is no TOML"):
        load_config(file)
