"""Proposal checks what it is told; the actions are ordered."""

import math
from decimal import Decimal

import msgspec
import numpy as np
import pytest

from decision_schema.errors import ContractError
from decision_schema.types import Action, FinalDecision, GuardResult, MismatchInfo, Proposal


def test_actions_from_mildest_to_most_severe():
    assert list(Action) == ["ACT", "HOLD", "CANCEL", "EXIT", "STOP"]


@pytest.mark.parametrize(
    ("given", "confidence"),
    [(0, 0.0), (1, 1.0), (0.5, 0.5), (Decimal("0.25"), 0.25), (np.float32(0.5), 0.5), (np.array(0.5), 0.5)],
)
def test_a_probability_becomes_a_float(given, confidence):
    proposal = Proposal(action="HOLD", confidence=given, reasons=("a", "b"))
    assert (proposal.confidence, type(proposal.confidence)) == (confidence, float)
    assert (proposal.action, proposal.reasons, proposal.params) == (Action.HOLD, ["a", "b"], {})


@pytest.mark.parametrize(
    "given",
    [
        math.nan,
        math.inf,
        -math.inf,
        -1e-09,
        1 + 1e-09,
        True,
        "0.5",
        b"0.5",
        None,
        [0.5],
        10**400,
        1j,
        np.float64("nan"),
        Decimal("sNaN"),
        {},
    ],
    ids=lambda given: f"{type(given).__name__}",
)
def test_no_probability(given):
    with pytest.raises(ContractError, match=r"confidence is .*: give a finite probability"):
        Proposal(action=Action.ACT, confidence=given)


@pytest.mark.parametrize("given", ["act", "", None, 0, ["ACT"], {}])
def test_no_action(given):
    with pytest.raises(ContractError, match="give one of ACT, HOLD, CANCEL, EXIT, STOP"):
        Proposal(action=given, confidence=0.5)


@pytest.mark.parametrize("given", [None, "abc", [1], {"a"}, 5])
def test_no_reasons(given):
    with pytest.raises(ContractError, match="reasons must be a list of strings"):
        Proposal(action="ACT", confidence=0.5, reasons=given)


@pytest.mark.parametrize("given", [None, [], "bid", {1: 2}])
def test_no_params(given):
    with pytest.raises(ContractError, match="params must be a dict with string keys"):
        Proposal(action="ACT", confidence=0.5, params=given)


def test_a_proposal_cannot_be_changed():
    proposal = Proposal(action="ACT", confidence=0.5)
    with pytest.raises(AttributeError):
        proposal.confidence = 1.0


def test_decoding_checks_as_well():
    assert msgspec.json.decode(b'{"action": "ACT", "confidence": 1}', type=Proposal).confidence == 1.0
    with pytest.raises(msgspec.ValidationError, match="confidence"):
        msgspec.json.decode(b'{"action": "ACT", "confidence": 2}', type=Proposal)


def test_results_survive_json():
    row = GuardResult(
        name="depth", verdict="pass", value=2.0, limit=1.0, margin=1.0, unit="units", refuses=False,
        severity=Action.HOLD, reason="liquidity_low",
    )  # fmt: skip
    for value in (
        FinalDecision(action=Action.ACT, allowed=True, reasons=["a"], params={"bid": 1.0}),
        MismatchInfo(flags=["depth"], reason_codes=["liquidity_low"], guards=[row]),
    ):
        assert msgspec.json.decode(msgspec.json.encode(value), type=type(value)) == value
