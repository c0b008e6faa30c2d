"""Where proposals come from: a given model, the private hook, the reference model; and what becomes of broken ones."""

import logging
import os
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

import ami_engine
from ami_engine.config import config_from_dict
from ami_engine.loop.run_loop import run_loop
from ami_engine.mdm.decision_engine import DecisionEngine, load_object
from ami_engine.mdm.private_hook import load_private_model
from ami_engine.testing import ListSource, ScriptedBroker, book, read_packets
from decision_schema.errors import ConfigError
from decision_schema.instruments import Instrument
from decision_schema.types import Action, Proposal

FEATURES = {"mid": 0.5, "spread": 0.02, "spread_ticks": 2.0, "spread_bps": 400.0}
GUIDE_MODEL = """
from decision_schema.types import Proposal, Action

def compute_confidence(features):
    return 0.9 if features.get("spread_bps", 0) >= 300 else 0.1

def compute_proposal_private(features, **kwargs):
    # Your proprietary MDM logic
    confidence = compute_confidence(features)
    return Proposal(
        action=Action.ACT if confidence > 0.7 else Action.HOLD,
        confidence=confidence,
        reasons=["custom_model"],
        params={"value": features.get("mid")},
    )
"""
M = Instrument(market_id="M", tick_size="0.01", lot_size="1", kind="binary")


@pytest.fixture
def hook(tmp_path):
    """Write a private model, give its path."""

    def write(text):
        file = tmp_path / "model.py"
        file.write_text(text)
        return file

    return write


def hold(features, **kwargs):
    return Proposal(action=Action.HOLD, confidence=1.0)


# ---------------------------------------------------------------- choice


def test_a_given_model_comes_first(hook):
    engine = DecisionEngine(hold, private_path=hook(GUIDE_MODEL))
    assert engine.model_id == "model:hold"
    assert engine.propose(FEATURES).action is Action.HOLD


def test_the_private_file_comes_before_the_reference(hook):
    engine = DecisionEngine(private_path=hook(GUIDE_MODEL))
    assert engine.model_id.startswith("private:")
    assert engine.propose(FEATURES) == Proposal(
        action=Action.ACT, confidence=0.9, reasons=["custom_model"], params={"value": 0.5}
    )


def test_the_id_of_a_private_model_is_the_digest_of_its_file(hook):
    first = DecisionEngine(private_path=hook(GUIDE_MODEL)).model_id
    assert DecisionEngine(private_path=hook(GUIDE_MODEL)).model_id == first
    assert DecisionEngine(private_path=hook(GUIDE_MODEL + "\n")).model_id != first


def test_absent_falls_back_to_the_reference():
    assert load_private_model() is None
    engine = DecisionEngine()
    assert engine.model_id == "reference"
    assert engine.propose(FEATURES).reasons[0] in ("edge_pays", "edge_too_small")
    assert engine.propose({}).reasons == ["no_two_sided_book"]


def test_a_path_that_was_named_must_be_there(tmp_path):
    with pytest.raises(ConfigError, match=r"model\.private_path .*gone\.py does not exist"):
        DecisionEngine(private_path=tmp_path / "gone.py")


BROKEN = {
    "syntax": ("def compute(:", "SyntaxError"),
    "import": ("import no_such_module_at_all", "ModuleNotFoundError"),
    "raises on import": ("raise RuntimeError('password=hunter2hunter2')", "RuntimeError"),
    "no function": ("x = 1", "AttributeError"),
    "no callable": ("compute_proposal_private = 5", "TypeError"),
    "raises": ("def compute_proposal_private(features, **kwargs):\n    raise KeyError('x')", "KeyError"),
    "returns None": ("def compute_proposal_private(features, **kwargs):\n    pass", "NoneType"),
    "takes nothing": ("def compute_proposal_private():\n    pass", "TypeError"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_is_not_absent_every_step_holds_and_says_so(hook, name, caplog):
    text, kind = BROKEN[name]
    with caplog.at_level(logging.WARNING):
        engine = DecisionEngine(private_path=hook(text))
        for _ in range(3):
            proposal = engine.propose(FEATURES)
            assert (proposal.action, proposal.reasons) == (Action.HOLD, [f"model_error:{kind}"])
    assert len(caplog.records) == 1  # once a kind
    assert "hunter2" not in caplog.text
    assert list(engine.errors) == [kind]


def test_a_broken_file_does_not_grow_by_each_step(hook):
    engine = DecisionEngine(private_path=hook("raise RuntimeError('x')"))
    seen = []
    engine._hold = lambda kind, error: seen.append(_depth(error))  # type: ignore[method-assign]
    for _ in range(50):
        engine.propose(FEATURES)
    assert set(seen) == {seen[0]}


def _depth(error):
    depth, traceback = 0, error.__traceback__
    while traceback is not None:
        depth, traceback = depth + 1, traceback.tb_next
    return depth


def test_the_default_path_absent_present_and_broken(tmp_path):
    """On a copy of the sources, as a user of a checkout has them."""
    sources = Path(ami_engine.__file__).parents[1]
    for package in ("ami_engine", "dmc_core", "decision_schema"):
        shutil.copytree(
            sources / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__", "_private")
        )
    private = tmp_path / "ami_engine" / "mdm" / "_private"
    script = (
        "from ami_engine.mdm.decision_engine import DecisionEngine\n"
        "engine = DecisionEngine()\n"
        f"proposal = engine.propose({FEATURES!r})\n"
        "print(engine.model_id.partition(':')[0], proposal.action, *proposal.reasons[:1])\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}

    def ask():
        result = subprocess.run(
            [sys.executable, "-c", script],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        return result.stdout.split()

    assert ask()[0] == "reference"
    private.mkdir()
    assert ask()[0] == "reference"
    (private / "model.py").write_text(GUIDE_MODEL)
    assert ask() == ["private", "ACT", "custom_model"]
    (private / "helper.py").write_text("LEVEL = 0.9")
    (private / "model.py").write_text("from .helper import LEVEL\n" + GUIDE_MODEL)
    assert ask() == ["private", "ACT", "custom_model"]
    (private / "model.py").write_text("def broken(:")
    assert ask() == ["private", "HOLD", "model_error:SyntaxError"]


def test_the_guides_model_leads_to_orders(hook, tmp_path):
    """It returns only a value: the plan completes it to a quote on both sides."""
    config = config_from_dict({"model": {"private_path": str(hook(GUIDE_MODEL))}})
    broker = ScriptedBroker()
    summary = run_loop(ListSource([book()], instruments=(M,)), broker, config=config, output_dir=tmp_path)
    assert [(o.side, o.price, o.size) for o in broker.placed] == [("buy", 0.49, 1.0), ("sell", 0.51, 1.0)]
    assert read_packets(summary["run_dir"])[0]["mdm"]["terms_from"] == "value"


class Counting:
    """A model as an object."""

    def propose(self, features, memory):
        memory["n"] = memory.get("n", 0) + 1
        return Proposal(action=Action.HOLD, confidence=1.0, reasons=[str(memory["n"])])


def test_models_are_objects_classes_partials_or_names(tmp_path):
    for model in (Counting(), Counting):
        engine = DecisionEngine(model)
        assert [engine.propose({}).reasons for _ in range(2)] == [["1"], ["2"]]
        assert engine.model_id == "model:Counting"
    assert DecisionEngine(partial(hold, limit=3)).propose({}).action is Action.HOLD
    file = tmp_path / "mine.py"
    file.write_text(GUIDE_MODEL)
    engine = DecisionEngine(f"{file}:compute_proposal_private")
    assert engine.propose(FEATURES).reasons == ["custom_model"]
    assert (
        DecisionEngine("ami_engine.mdm.reference_model:propose_reference").propose(FEATURES).action in Action
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nothing", "not of the form"), (":x", "not of the form"), ("x:", "not of the form"),
        ("no_such_module_xyz:f", "cannot be imported"), ("gone.py:f", "does not exist"), ("json:nothing", "has no nothing"),
        ("json:__version__", "give a callable"),
    ],
)  # fmt: skip
def test_a_name_that_leads_nowhere_is_one_line(text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        DecisionEngine(text)
    assert "\n" not in str(caught.value)


def test_load_object_finds_what_it_names():
    assert load_object("ami_engine.mdm.decision_engine:DecisionEngine") is DecisionEngine


# ---------------------------------------------------------------- keywords

OFFERED = {"view": 1, "instrument": 2, "event": 3, "now_ns": 4, "rng": 5}


def seen_by(model_of, **params):
    seen = {}

    def note(names):
        seen.update(names)
        return hold({})

    DecisionEngine(model_of(note), **params).propose({}, **OFFERED)
    return seen


def test_a_model_gets_the_keywords_its_signature_takes():
    assert seen_by(lambda note: lambda features: note({})) == {}
    assert seen_by(lambda note: lambda features, view: note({"view": view})) == {"view": 1}
    assert seen_by(lambda note: lambda features, *, rng, now_ns: note({"rng": rng, "now": now_ns})) == {
        "rng": 5,
        "now": 4,
    }
    assert set(seen_by(lambda note: lambda features, **kwargs: note(kwargs))) == {
        *OFFERED,
        "params",
        "memory",
    }
    assert seen_by(lambda note: lambda features, params: note(params), a=1) == {"a": 1}


def test_the_first_parameter_takes_the_features_whatever_its_name():
    assert seen_by(lambda note: lambda view, event: note({"view": view, "event": event})) == {
        "view": {},
        "event": 3,
    }


def test_the_loop_builds_only_what_is_wanted():
    engine = DecisionEngine(lambda features, view: hold(features))
    assert engine.wants("view")
    assert not engine.wants("event")
    assert DecisionEngine(hold).wants("event")


# ---------------------------------------------------------------- what comes back


def test_params_and_words_are_redacted():
    def model(features):
        return Proposal(
            action=Action.ACT, confidence=1.0, reasons=["used api_key=abcdef0123456789abcdef"],
            params={"value": 0.5, "api_key": "abcdef0123456789abcdef", "inner": {"password": "hunter2hunter2"}},
        )  # fmt: skip

    proposal = DecisionEngine(model).propose({})
    assert proposal.params == {
        "value": 0.5,
        "api_key": "***REDACTED***",
        "inner": {"password": "***REDACTED***"},
    }
    assert "abcdef0123456789" not in proposal.reasons[0]


def test_memory_is_the_models_own_and_has_a_digest():
    engine = DecisionEngine(Counting())
    assert engine.memory_digest() is None
    engine.propose({})
    first = engine.memory_digest()
    engine.propose({})
    assert first != engine.memory_digest()
    assert len(first) == 16


def test_chance_for_a_model_replays(tmp_path):
    def draws(name, seed=0):
        drawn = []

        def model(features, rng):
            drawn.append((rng.uniform(), rng.uniform(), rng.normal()))
            return hold(features)

        source = ListSource([book(ts_ms=i) for i in range(3)], instruments=(M,))
        run_loop(source, ScriptedBroker(), decision_engine=model, output_dir=tmp_path, run_id=name, seed=seed)
        return drawn

    first = draws("a")
    assert draws("b") == first
    assert draws("c", seed=1) != first
    assert len({value for three in first for value in three}) == 9
