"""The catalogue, the constants and the docs say the same."""

import math
from pathlib import Path

import pytest

from ami_engine.features.catalogue import FEATURES, named, table
from ami_engine.kernels import features as kernel

DOCS = Path(__file__).resolve().parents[3] / "docs" / "features.md"


def test_every_feature_stands_where_its_constant_says():
    assert [getattr(kernel, spec.name.upper()) for spec in FEATURES] == list(range(kernel.N_FEATURES))
    assert [spec.kind for spec in FEATURES].index("own") == kernel.N_MARKET_FEATURES


def test_the_windows_told_are_the_windows_kept():
    """The lengths in the catalogue are those of the kernel."""
    window = {spec.name: spec.window for spec in FEATURES}
    assert window["sigma"] == f"{kernel.WINDOW_SIGMA} samples"
    assert window["sigma_5m"] == f"{kernel.WINDOW_LONG} samples"
    assert window["order_flow_imbalance"] == f"{kernel.WINDOW_FLOW} samples + running"
    assert window["trade_intensity"] == f"{kernel.WINDOW_TRADES} samples + running"


def test_every_feature_is_told_in_full():
    for spec in FEATURES:
        assert spec.name
        assert spec.unit
        assert spec.window
        assert spec.formula
        assert not any("|" in part for part in (spec.unit, spec.window, spec.formula, spec.source))


def test_names_are_distinct():
    assert len({spec.name for spec in FEATURES}) == len(FEATURES)


def test_a_spec_cannot_be_changed():
    with pytest.raises(AttributeError):
        FEATURES[0].name = "middle"


def test_named_leaves_out_what_is_absent_and_keeps_the_order():
    values = [math.nan] * kernel.N_FEATURES
    values[kernel.SIGMA], values[kernel.MID], values[kernel.LAST_FILL_AGE_MS] = 2.0, 0.5, 0.0
    assert list(named(values).items()) == [("mid", 0.5), ("sigma", 2.0), ("last_fill_age_ms", 0.0)]


def test_the_docs_hold_the_table_as_it_is():
    text = DOCS.read_text(encoding="utf-8")
    generated = text.split("<!-- generated: features -->\n")[1].split("\n<!-- end -->")[0]
    assert generated.strip("\n") == table(), (
        "paste ami_engine.features.catalogue.table() into docs/features.md"
    )
