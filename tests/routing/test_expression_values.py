"""Where the numbers of an expression are to be canonical, and how the expression is written then."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pynamodb_alternator.routing.expression_values import CONDITIONS, EXPRESSIONS, Rewritten, rewritten

TWINS = {f":{letter}": f":{letter.upper()}" for letter in "abcdpvxyz"}
"""The twins of the references that the tests use: those of one small letter have a number that would change."""


def in_condition(expression: Any, member: str = "FilterExpression") -> Rewritten:
    return rewritten({member: expression}, CONDITIONS, TWINS)


@pytest.mark.parametrize(
    ("condition", "references"),
    [
        ("a = :a", {":a"}),
        ("#0 = :a", {":a"}),
        (":a = a", {":a"}),
        (":a = size(m.a)", {":a"}),
        ("a<>:a AND b=:b", {":a", ":b"}),
        ("(#0 = :a AND #1 <> :b)", {":a", ":b"}),
        ("NOT a = :a OR (b = :b)", {":a", ":b"}),
        ("a IN (:a, :b,:c)", {":a", ":b", ":c"}),
        ("a in (:a)", {":a"}),
        ("a IN (:a, m.x, :x)", {":a", ":x"}),
        ("size (#0) = :a", {":a"}),
        ("a = :a AND b = :a", {":a"}),
        # By value, or nothing that could be a number.
        ("a < :a AND b BETWEEN :b AND :c", set()),
        ("a <= :a OR a >= :b", set()),
        ("begins_with(a, :a) AND attribute_type(b, :b)", set()),
        # Nested: stored as it was sent.
        ("m.a = :a", set()),
        ("m . a = :a", set()),
        ("l[0] = :a", set()),
        ("l [ 0 ] <> :a", set()),
        ("l[0] . a <> :a", set()),
        ("m.#a IN (:a, :b)", set()),
        ("l[0] IN (:a, :b)", set()),
        (":a = m.a", set()),
        (":a = l[0]", set()),
        # The number of this one would not change.
        ("a = :other", set()),
    ],
)
@pytest.mark.parametrize("member", CONDITIONS)
def test_what_is_compared_with_a_whole_attribute(condition: str, references: set[str], member: str) -> None:
    assert in_condition(condition, member) == Rewritten({}, frozenset(references), frozenset())


@pytest.mark.parametrize(
    ("update", "references"),
    [
        ("SET a = :a, #b = :b", {":a", ":b"}),
        ("SET a = if_not_exists(a, :a)", {":a"}),
        ("SET a = if_not_exists (m.x[0], :a)", {":a"}),
        ("SET a = :a + :b", {":a"}),
        ("ADD a :a, #b :b REMOVE c", {":a", ":b"}),
        ("SET m.a = :a", set()),
        ("SET m.a = if_not_exists(m.a, :a), l[0] = if_not_exists(a, :b)", set()),
        ("SET l[1] = :a REMOVE b ADD m.c :c", set()),
        ("SET a = list_append(a, :a)", set()),
        ("SET a = b + :a", set()),
        ("SET a = if_not_exists(a, :a) + :b", {":a"}),
    ],
)
def test_what_is_assigned_to_a_whole_attribute(update: str, references: set[str]) -> None:
    parameters = {"UpdateExpression": update}
    assert rewritten(parameters, EXPRESSIONS, TWINS) == Rewritten({}, frozenset(references), frozenset())
    assert rewritten(parameters, CONDITIONS, TWINS) == Rewritten({}, frozenset(), frozenset())


@pytest.mark.parametrize(
    ("condition", "made", "changed"),
    [
        ("a = :a AND m.a = :a", "a = :A AND m.a = :a", ""),
        ("m.a=:a AND a=:a", "m.a=:a AND a=:A", ""),
        ("a = :a AND a < :a", "a = :A AND a < :a", ""),
        ("l[0] = :a AND a IN (:a, :b)", "l[0] = :a AND a IN (:A, :b)", ":b"),
        ("l [ 0 ] . x = :a AND :a <> a", "l[0].x = :a AND :A <> a", ""),
        # An element of a list is stored as it was sent, one of a set is not.
        ("contains(a, :x)", "(contains(a, :x) OR contains(a, :X))", ""),
        ("NOT contains (#0, :x)", "NOT (contains(#0, :x) OR contains(#0, :X))", ""),
        ("(contains(a, :x))", "(contains(a, :x) OR contains(a, :X))", ""),
        ("(contains(a, :x) AND b = :x)", "((contains(a, :x) OR contains(a, :X)) AND b = :X)", ""),
        ("(b = :x AND contains(a, :x))", "(b = :X AND (contains(a, :x) OR contains(a, :X)))", ""),
        ("b = :y AND contains(a, :x)", "b = :y AND (contains(a, :x) OR contains(a, :X))", ":y"),
        ("contains(m.a[0].#b, :x)", "(contains(m.a[0].#b, :x) OR contains(m.a[0].#b, :X))", ""),
    ],
)
def test_a_number_may_be_used_in_several_places(condition: str, made: str, changed: str) -> None:
    twin = frozenset(re.findall(r":[a-z]\b", made)) & {reference.lower() for reference in re.findall(r":[A-Z]", made)}
    changing = frozenset([changed] if changed else [])
    assert in_condition(condition) == Rewritten({"FilterExpression": made}, changing, twin)


@pytest.mark.parametrize(
    "condition", ["contains(a, :other) AND b < :x", "begins_with(a, :x)", "#contains < :x", "contains(a, b)"]
)
def test_other_conditions_stay(condition: str) -> None:
    assert in_condition(condition) == Rewritten({}, frozenset(), frozenset())


def test_a_number_of_two_expressions() -> None:
    both = {"UpdateExpression": "SET a = :a, m.b = :b", "ConditionExpression": "a = :a AND b = :b"}
    condition = {"ConditionExpression": "a = :a AND b = :B"}
    assert rewritten(both, EXPRESSIONS, TWINS) == Rewritten(condition, frozenset({":a"}), frozenset({":b"}))
    condition = {"ConditionExpression": "a = :A AND b = :B"}
    assert rewritten(both, CONDITIONS, TWINS) == Rewritten(condition, frozenset(), frozenset({":a", ":b"}))


def test_a_partition_key_that_is_compared_with_a_nested_number_too() -> None:
    query = {"KeyConditionExpression": "p = :p AND c > :c", "FilterExpression": "m.x = :p"}
    key = {"KeyConditionExpression": "p = :P AND c > :c"}
    assert rewritten(query, EXPRESSIONS, TWINS) == Rewritten(key, frozenset(), frozenset({":p"}))
    assert rewritten(query, CONDITIONS, TWINS) == Rewritten({}, frozenset(), frozenset())


@pytest.mark.parametrize("expression", [None, 5, "", "=", "a = :", "contains(", "IN (:a", "contains(a, :x"])
def test_wrong_expressions_have_no_values(expression: object) -> None:
    assert in_condition(expression) == Rewritten({}, frozenset(), frozenset())


def test_an_expression_does_not_become_too_long() -> None:
    condition = " OR ".join(f"contains(attribute{number}, :x)" for number in range(80))
    assert len(condition) < 4096
    assert in_condition(condition) == Rewritten({}, frozenset({":x"}), frozenset())
    mixed = f"{condition} OR m.a = :x"
    assert in_condition(mixed) == Rewritten(
        {"FilterExpression": f"{condition.replace(':x', ':X')} OR m.a = :x"}, frozenset(), frozenset({":x"})
    )
    long = {":x": ":x" + "_" * 80}
    assert rewritten({"FilterExpression": mixed}, CONDITIONS, long) == Rewritten({}, frozenset(), frozenset())


# ---- a law: whatever the condition is, it holds for the same items as on DynamoDB -----------------------------------

ATOMS = st.one_of(
    st.builds(
        "{} {} {}".format, st.sampled_from(["a", "#b", "m.a", "l[0]"]), st.sampled_from(["=", "<>", "<"]), st.just("?")
    ),
    st.builds("? {} {}".format, st.sampled_from(["=", "<>"]), st.sampled_from(["a", "#b", "m.a", "l[0]"])),
    st.builds("{} IN (?, ?)".format, st.sampled_from(["a", "m.a"])),
    st.builds("contains({}, ?)".format, st.sampled_from(["a", "m.l"])),
    st.just("a BETWEEN ? AND ?"),
)
CONDITION = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.builds("({} AND {})".format, inner, inner),
        st.builds("{} OR {}".format, inner, inner),
        st.builds("NOT ({})".format, inner),
    ),
    max_leaves=5,
)


@settings(deadline=None)
@given(CONDITION, st.data())
def test_each_place_has_the_form_that_it_needs(condition: str, data: st.DataObject) -> None:
    while "?" in condition:
        condition = condition.replace("?", data.draw(st.sampled_from([":a", ":b", ":other"])), 1)
    made = in_condition(condition)
    text = made.expressions.get("FilterExpression", condition)
    canonical = made.changed | set(TWINS.values())
    assert made.changed.isdisjoint(made.added)
    # A reference that the expression does not have would be refused, and so would one without a value.
    used = set(re.findall(r":\w+", text))
    assert used == {*re.findall(r":\w+", condition), *(TWINS[reference] for reference in made.added)}
    for path, reference in re.findall(r"([\w#.\[\]]+) (?:=|<>) (:\w+)", text):
        is_whole = "." not in path and "[" not in path
        assert (reference in canonical) == (is_whole and reference != ":other")
    # Without what was added, it is what it was.
    without = re.sub(r"\((contains\([^()]*\)) OR contains\([^()]*:[AB]\)\)", r"\1", text)
    assert re.sub(r"[()]", "", without.replace(":A", ":a").replace(":B", ":b")) == re.sub(r"[()]", "", condition)
