"""PacketV2: built as the guide builds it, read and written without loss; values made strict JSON."""

import copy
import dataclasses
import datetime
import decimal
import enum
import fractions
import inspect
import json
import math
from collections import OrderedDict, deque, namedtuple

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from decision_schema.errors import ContractError
from decision_schema.packet_v2 import STORED_ORDER, PacketV2, tag_floats, untag_floats

NAN, INF = float("nan"), float("inf")


def packet(**changes) -> PacketV2:
    fields = {
        "run_id": "r",
        "step": 1,
        "input": {"bid": 0.49},
        "external": {"now_ns": 5, "reports": []},
        "mdm": {"features": {"mid": 0.5}},
        "final_action": {"action": "HOLD"},
        "latency_ms": 0.25,
    }
    return PacketV2(**{**fields, **changes})


def refuse(literal):
    raise AssertionError(f"{literal} is no JSON")


def strict(value):
    """What strict JSON makes of a value: no NaN literal passes, neither out nor in."""
    return json.loads(json.dumps(value, allow_nan=False), parse_constant=refuse)


# ---------------------------------------------------------------- construction


def test_positional_and_keyword_construction_agree():
    by_place = PacketV2(
        "r",
        1,
        {"bid": 0.49},
        {"now_ns": 5, "reports": []},
        {"features": {"mid": 0.5}},
        {"action": "HOLD"},
        0.25,
    )
    assert by_place == packet()
    assert PacketV2("r", 1, {}, {}, {}, {}, 0.0, {"flags": []}).mismatch == {"flags": []}


def test_the_leading_fields_stand_in_the_order_of_the_ecosystem():
    names = list(inspect.signature(PacketV2).parameters)
    assert names[:8] == [
        "run_id", "step", "input", "external", "mdm", "final_action", "latency_ms", "mismatch",
    ]  # fmt: skip


def test_defaults_are_not_shared():
    one, other = packet(), packet()
    one.intents.append({"op": "submit"})
    one.extra["x"] = 1
    assert (other.intents, other.extra, other.guards, other.mismatch) == ([], {}, {}, None)


def test_a_field_too_few_is_refused():
    with pytest.raises(TypeError, match="latency_ms"):
        PacketV2("r", 1, {}, {}, {}, {})


# ---------------------------------------------------------------- to_dict, from_dict


def test_to_dict_gives_the_stored_order_then_what_is_newer():
    raw = packet(extra={"newer": 1, "step": "not this"}).to_dict()
    assert list(raw) == [*STORED_ORDER, "newer"]
    assert raw["step"] == 1


def test_unknown_newer_fields_are_kept_across_a_read_and_a_write():
    raw = {**packet().to_dict(), "regime": {"name": "calm", "p": [0.25, None]}, "extra": {"nested": True}}
    assert PacketV2.from_dict(raw).to_dict() == raw
    assert PacketV2.from_dict(PacketV2.from_dict(raw).to_dict()) == PacketV2.from_dict(raw)


def test_a_newer_schema_version_is_read():
    assert PacketV2.from_dict({**packet().to_dict(), "schema_version": 3}).schema_version == 3


def test_an_older_packet_without_the_later_fields_is_read():
    raw = packet().to_dict()
    for name in ("guards", "mismatch", "intents", "state_after", "schema_version"):
        del raw[name]
    assert PacketV2.from_dict(raw) == packet()


def test_from_dict_never_changes_its_argument():
    raw = {**packet(latency_ms=0).to_dict(), "newer": [1, {"a": 2}], "h": "ab" * 32}
    before, keys = copy.deepcopy(raw), list(raw)
    PacketV2.from_dict(raw)
    assert raw == before
    assert list(raw) == keys


def test_from_dict_takes_any_mapping():
    assert PacketV2.from_dict(OrderedDict(packet().to_dict())) == packet()


def test_the_hash_of_a_stored_line_is_no_field():
    read = PacketV2.from_dict({**packet().to_dict(), "h": "ab" * 32})
    assert read == packet()
    assert "h" not in read.to_dict()


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_a_latency_that_is_no_number_survives_the_file(value):
    read = PacketV2.from_dict(strict(tag_floats(packet(latency_ms=value).to_dict())))
    assert repr(read.latency_ms) == repr(value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"step": "1"}, "Expected `int`, got `str` - at `$.step`"),
        ({"step": True}, "Expected `int`, got `bool` - at `$.step`"),
        ({"run_id": None}, r"\$.run_id"),
        ({"input": []}, r"\$.input"),
        ({"input": {1: 2}}, "key"),
        ({"intents": {}}, r"\$.intents"),
        ({"intents": ["submit"]}, r"\$.intents\[0\]"),
        ({"latency_ms": "fast"}, r"\$.latency_ms"),
        ({"latency_ms": {"$float": "fast"}}, r"\$.latency_ms"),
        ({"schema_version": None}, r"\$.schema_version"),
    ],
)
def test_a_wrong_type_is_named(change, words):
    with pytest.raises(ContractError, match=words.replace("$.step", r"\$.step")):
        PacketV2.from_dict({**packet().to_dict(), **change})


def test_a_missing_field_is_named():
    raw = packet().to_dict()
    del raw["mdm"]
    with pytest.raises(ContractError, match="mdm"):
        PacketV2.from_dict(raw)


@pytest.mark.parametrize("junk", [None, 1, "text", [], [("run_id", "r")], object()])
def test_what_is_no_dict_is_refused(junk):
    with pytest.raises(ContractError, match="give a dict"):
        PacketV2.from_dict(junk)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
).map(tag_floats)
json_dicts = st.dictionaries(st.text(max_size=8), json_values, max_size=3)
packets = st.builds(
    PacketV2,
    run_id=st.text(max_size=20),
    step=st.integers(0, 2**63 - 1),
    input=json_dicts,
    external=json_dicts,
    mdm=json_dicts,
    final_action=json_dicts,
    latency_ms=st.floats(allow_nan=False),
    mismatch=st.none() | json_dicts,
    guards=json_dicts,
    intents=st.lists(json_dicts, max_size=3),
    state_after=json_dicts,
    schema_version=st.integers(0, 9),
    extra=st.dictionaries(
        st.text(max_size=8).filter(lambda key: key not in {*STORED_ORDER, "h"}), json_values, max_size=3
    ),
)


@settings(max_examples=30)
@given(packets)
def test_round_trip_through_a_dict(made):
    assert PacketV2.from_dict(made.to_dict()) == made


@settings(max_examples=30)
@given(packets)
def test_round_trip_through_json(made):
    line = msgspec.json.encode(tag_floats(made.to_dict()))
    assert PacketV2.from_dict(json.loads(line, parse_constant=refuse)) == made
    assert PacketV2.from_dict(msgspec.json.decode(line)) == made


# ---------------------------------------------------------------- strict JSON


class Colour(enum.Enum):
    RED = "red"
    NONE = NAN


class Level(enum.IntEnum):
    TOP = 3


class Words(str):
    __slots__ = ()


class Price(float):
    def __repr__(self):
        return "a price"


class Lots(int):
    pass


@dataclasses.dataclass
class Quote:
    bid: float
    note: object = None


Pair = namedtuple("Pair", "a b")


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (NAN, {"$float": "nan"}),
        (-INF, {"$float": "-inf"}),
        ([1.0, (INF, 2)], [1.0, [{"$float": "inf"}, 2]]),
        (Price("nan"), {"$float": "nan"}),
        (Price(1.5), 1.5),
        (Lots(7), 7),
        (np.float64("nan"), {"$float": "nan"}),
        (np.float32(0.5), 0.5),
        (np.int64(-3), -3),
        (np.bool_(True), True),
        (np.str_("word"), "word"),
        (np.array([[1.0, NAN]]), [[1.0, {"$float": "nan"}]]),
        (Words("word"), "word"),
        (Colour.RED, "red"),
        (Colour.NONE, {"$float": "nan"}),
        (Level.TOP, 3),
        (Pair(1, NAN), [1, {"$float": "nan"}]),
        (deque([1, 2]), [1, 2]),
        ({"b", "a", "c"}, ["a", "b", "c"]),
        (frozenset({2, 10, 1}), [1, 10, 2]),
        (b"ab", "YWI="),
        (bytearray(b"ab"), "YWI="),
        (decimal.Decimal("0.10"), "0.10"),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (Quote(NAN), {"bid": {"$float": "nan"}, "note": None}),
        (Quote(1.0, object()), "<Quote>"),
        (fractions.Fraction(1, 3), "<Fraction>"),
        (1j, "<complex>"),
        (object(), "<object>"),
        (len, "<builtin_function_or_method>"),
        ("\ud83d\ude00", "\\ud83d\\ude00"),  # two halves do not make one whole
        ("ä \udfff", "ä \\udfff"),
        (2**80, 2**80),
        (-(2**2_000), -(2**2_000)),
        (10**10_000, "<integer of 33220 bits>"),
        ({1: "a", "1": "b"}, {"1": "a", "1#2": "b"}),
        ({"1#2": 0, "1": 1, 1: 2}, {"1#2": 0, "1": 1, "1#3": 2}),
        ({None: 1, True: 2, 1.5: 3, (1, 2): 4}, {"null": 1, "true": 2, "1.5": 3, "[1,2]": 4}),
        ({b"h": 1, Colour.RED: 2, "\ud800": 3}, {"aA==": 1, "red": 2, "\\ud800": 3}),
        (OrderedDict(a=NAN), {"a": {"$float": "nan"}}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_any_value_becomes_strict_json(value, stored):
    plain = tag_floats(value)
    assert plain == stored
    assert strict(plain) == stored
    assert msgspec.json.decode(msgspec.json.encode(plain)) == stored
    assert tag_floats(plain) == plain


def test_a_plain_value_is_kept_as_it_is():
    value = {"a": [1, 2.5, "ä", None, True, {"b": []}]}
    assert tag_floats(value) == value


@pytest.mark.parametrize(
    ("stored", "value"),
    [
        ({"$float": "7"}, {"$float": "7"}),
        ({"$float": "abc"}, {"$float": "abc"}),
        ({"$float": ["nan"]}, {"$float": ["nan"]}),
        ({"$float": None}, {"$float": None}),
        ({"$float": "inf", "b": 1}, {"$float": "inf", "b": 1}),
        ([{"$float": "-inf"}], [-INF]),
        ({"a": {"$float": "inf"}}, {"a": INF}),
    ],
)
def test_only_our_own_tags_are_untagged(stored, value):
    assert untag_floats(stored) == value


finite_or_not = st.recursive(
    st.floats() | st.integers() | st.text(st.characters(codec="utf-8")) | st.none(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=20,
)


@given(finite_or_not)
def test_tagging_is_undone_exactly(value):
    plain = tag_floats(value)
    assert repr(untag_floats(strict(plain))) == repr(value)


@given(st.text(st.characters()))
def test_any_text_can_be_stored(text):
    plain = tag_floats({text: text})
    assert msgspec.json.decode(msgspec.json.encode(plain)) == plain


@given(
    st.sets(st.one_of(st.integers(), st.text(max_size=3), st.booleans(), st.none()), max_size=6), st.randoms()
)
def test_a_set_has_one_order(members, chance):
    shuffled = list(members)
    chance.shuffle(shuffled)
    assert tag_floats(set(shuffled)) == tag_floats(members)


def test_math_is_not_touched():
    assert math.copysign(1.0, tag_floats(-0.0)) == -1.0
