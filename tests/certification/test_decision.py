"""Decision rules: one vote per answer, always the same."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certification.decision import (
    AnyOf,
    InTopK,
    LabelMap,
    Prediction,
    Top1,
    normalise,
    parse_rule,
    ranked,
)
from certification.errors import InvalidParameter

PLAIN = LabelMap()


def answer(*pairs):
    return [Prediction(name, score) for name, score in pairs]


def test_top1_takes_the_highest_score():
    assert Top1()(answer(("Dog", 0.2), ("Cat", 0.7)), PLAIN) == "cat"


def test_an_empty_answer_abstains_under_top1_and_is_a_no_under_the_others():
    assert Top1()([], PLAIN) is None
    assert AnyOf(("cat",), 0.5)([], PLAIN) == "no"
    assert InTopK(("cat",), 3)([], PLAIN) == "no"


def test_ties_leaf_before_parent_then_name():
    tie = [
        Prediction("Animal", 0.9),
        Prediction("Mammal", 0.9, parents=("Animal",)),
        Prediction("Dog", 0.9, parents=("Mammal", "Animal")),
        Prediction("Cat", 0.9, parents=("Mammal", "Animal")),
    ]
    for order in itertools.permutations(tie):
        assert [p.name for p in ranked(order)] == ["Cat", "Dog", "Animal", "Mammal"]


@given(st.permutations(answer(("a", 0.5), ("b", 0.5), ("c", 0.1), ("d", 0.9), ("e", 0.9))))
def test_the_order_of_the_answer_does_not_matter(order):
    assert Top1()(order, PLAIN) == "d"
    assert InTopK(("e",), 2)(order, PLAIN) == "yes"
    assert InTopK(("b",), 3)(order, PLAIN) == "no"


def test_labels_are_compared_after_normalisation():
    assert normalise("  Straße ") == "strasse"
    assert normalise("ﬁsh") == "fish"
    assert Top1()(answer(("  CAT ", 1.0)), PLAIN) == "cat"


def test_the_stable_id_is_the_key():
    assert Top1()([Prediction("Cat", 1.0, id="/m/01yrx")], PLAIN) == "/m/01yrx"
    assert AnyOf(("cat",), 0.5)([Prediction("Cat", 1.0, id="/m/01yrx")], PLAIN) == "yes"
    assert AnyOf(("/m/01yrx",), 0.5)([Prediction("Cat", 1.0, id="/m/01yrx")], PLAIN) == "yes"


def test_any_of_includes_the_threshold():
    rule = AnyOf(("Weapon", "Blood"), 0.8)
    assert rule(answer(("blood", 0.8)), PLAIN) == "yes"
    assert rule(answer(("blood", 0.7999), ("cat", 1.0)), PLAIN) == "no"


def test_a_label_map_joins_synonyms():
    synonyms = LabelMap.of({"Human": "Person", "Man": "person"})
    assert Top1()(answer(("Human", 1.0)), synonyms) == "person"
    assert AnyOf(("human",), 0.5)(answer(("Man", 0.9)), synonyms) == "yes"
    with pytest.raises(InvalidParameter, match="mapped"):
        LabelMap.of({"a": "b", "b": "c"})


@pytest.mark.parametrize("target", ["Person", "ai_8S2V"])
def test_a_label_with_an_id_is_counted_with_those_that_are_mapped_to_it(target):
    synonyms = LabelMap.of({"Human": target})
    human, person = Prediction("Human", 0.9, id="ai_x"), Prediction("Person", 0.9, id="ai_8S2V")
    assert Top1()([human], synonyms) == Top1()([person], synonyms) == target.casefold()
    assert Top1()([Prediction("Cat", 0.9, id="ai_Y")], synonyms) == "ai_Y"


@pytest.mark.parametrize(
    "spec",
    [
        "top1",
        {"rule": "any_of", "labels": ["Cat", "dog"], "threshold": 0.5},
        {"rule": "in_top_k", "labels": ["cat"], "k": 5},
    ],
)
def test_rules_are_read_and_described(spec):
    rule = parse_rule(spec)
    assert parse_rule(rule.describe()) == parse_rule(rule.describe())
    assert rule.describe()["rule"] == (spec if isinstance(spec, str) else spec["rule"])


@pytest.mark.parametrize(
    "spec",
    [
        "top5",
        "",
        {},
        {"rule": None},
        {"rule": "top1", "k": 1},
        {"rule": "any_of", "labels": ["a"]},
        {"rule": "any_of", "labels": [], "threshold": 0.5},
        {"rule": "any_of", "labels": [" "], "threshold": 0.5},
        {"rule": "any_of", "labels": [3], "threshold": 0.5},
        {"rule": "any_of", "labels": "cat", "threshold": 0.5},
        {"rule": "any_of", "labels": ["a"], "threshold": float("nan")},
        {"rule": "any_of", "labels": ["a"], "threshold": 1.1},
        {"rule": "any_of", "labels": ["a"], "threshold": True},
        {"rule": "any_of", "labels": ["a"], "threshold": 0.5, "extra": 1},
        {"rule": "in_top_k", "labels": ["a"], "k": 0},
        {"rule": "in_top_k", "labels": ["a"], "k": 1.5},
        {"rule": "in_top_k", "labels": ["a"], "k": True},
        {"rule": ["top1"]},
    ],
)
def test_bad_rules_are_refused(spec):
    with pytest.raises(InvalidParameter):
        parse_rule(spec)


def test_an_empty_id_is_no_id():
    """Protobuf's default: all labels would be one."""
    assert LabelMap().key(Prediction("Cat", 0.9, id="")) == "cat"
    assert AnyOf(("x",), 0.0)((Prediction("cat", 0.9, id=""),), LabelMap()) == "no"


@pytest.mark.parametrize(
    "synonyms", [{"x": " "}, {" ": "x"}, {"a": "b", "b": "c"}, {"Cat": "x", "cat": "y"}], ids=str
)
def test_label_maps_that_are_refused(synonyms):
    with pytest.raises(InvalidParameter) as caught:
        LabelMap.of(synonyms)
    assert caught.value.field == "synonyms"


def test_a_rule_keeps_its_labels_normalised_and_once():
    rule = AnyOf(("Dog", " cat", "CAT"), 0.5)
    assert rule.describe()["labels"] == ["cat", "dog"]
    with pytest.raises(InvalidParameter, match="at most 1000"):
        AnyOf(tuple(map(str, range(1001))), 0.5)


def test_lone_surrogates_become_question_marks():
    assert LabelMap().key(Prediction("c\ud800t", 0.9)) == "c?t"
