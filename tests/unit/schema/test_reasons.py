"""The closed list of reason codes, and its page."""

import pytest

from decision_schema import reasons
from decision_schema.reasons import NAMES, TEXTS, table, text_of
from tests.conftest import ROOT

CONSTANTS = {name: value for name, value in vars(reasons).items() if name.isupper() and type(value) is int}


def test_each_code_has_one_name_and_one_text():
    assert sorted(CONSTANTS.values()) == list(range(len(NAMES)))
    assert len(set(NAMES)) == len(NAMES) == len(TEXTS)
    assert NAMES[0] == "ok"


@pytest.mark.parametrize("name", NAMES)
def test_names_are_words_and_texts_are_sentences(name):
    code, _, subject = name.partition(":")
    assert code.replace("_", "").isalnum()
    assert name == name.lower()
    assert subject == "" or code in NAMES
    text = TEXTS[name]
    assert text
    assert not text.endswith(".")
    assert text[0].islower()
    assert "|" not in text
    assert text_of(name) == text


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("spread_wide", "the spread is above the limit"),
        ("missing_input:mid", "an input that the guard needs is absent (mid)"),
        ("capacity:orders", "more working orders than the state holds"),  # a name with its subject
        ("capacity:other", "a fixed capacity of the state is full (other)"),
        ("not_in_the_list", "not_in_the_list"),
        ("not_in_the_list:x:y", "not_in_the_list (x:y)"),
        ("", ""),
    ],
)
def test_text_of(reason, text):
    assert text_of(reason) == text


def test_the_page_holds_the_table_of_the_code():
    page = (ROOT / "docs" / "reasons.md").read_text(encoding="utf-8")
    shown = page.split("<!-- generated: reasons -->\n")[1].split("\n<!-- end -->")[0]
    assert shown == table(), "paste decision_schema.reasons.table() into docs/reasons.md"
    assert shown.count("\n") == len(NAMES) + 1
