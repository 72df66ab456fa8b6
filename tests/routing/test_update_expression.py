"""What an update does: whether the server reads first, and whether it may be repeated."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pynamodb_alternator.routing.idempotence import is_idempotent
from pynamodb_alternator.routing.read_before_write import needs_read_before_write
from pynamodb_alternator.routing.update_expression import UNPARSABLE, analyse

# ---- each row of the server's table: with and without aliases --------------------------------------------------------

READS_FIRST = [
    # a nested path on the left
    ("SET a.b = :v", "SET #a.#b = :v"),
    ("SET a[0] = :v", "SET #a[0] = :v"),
    ("SET a.b[1].c = :v", "SET #a.b[1].#c = :v"),
    ("REMOVE a.b", "REMOVE #a.#b"),
    ("REMOVE a[3]", "REMOVE #a[3]"),
    ("SET x = :v, a.b = :v", "SET #x = :v, a.#b = :v"),
    ("SET x = :v REMOVE a[0]", "SET #x = :v REMOVE #a[0]"),
    # the clauses ADD and DELETE
    ("ADD a :v", "ADD #a :v"),
    ("DELETE a :v", "DELETE #a :v"),
    ("SET x = :v ADD a :n", "SET #x = :v ADD #a :n"),
    ("REMOVE x DELETE a :n", "REMOVE #x DELETE #a :n"),
    # a right side that mentions a path
    ("SET a = b", "SET #a = #b"),
    ("SET a = a + :n", "SET #a = #a + :n"),
    ("SET a = :n - a", "SET #a = :n - #a"),
    ("SET a = if_not_exists(a, :v)", "SET #a = if_not_exists(#a, :v)"),
    ("SET a = list_append(a, :v)", "SET #a = list_append(#a, :v)"),
    ("SET a = list_append(:v, a)", "SET #a = list_append(:v, #a)"),
    ("SET a = if_not_exists(a, :z) + :n", "SET #a = if_not_exists(#a, :z) + :n"),
    ("SET a = list_append(if_not_exists(a, :e), :v)", "SET #a = list_append(if_not_exists(#a, :e), :v)"),
    ("SET x = :v, a = b.c[2]", "SET #x = :v, #a = #b.c[2]"),
]
WRITES_ONLY = [
    ("SET a = :v", "SET #a = :v"),
    ("SET a = :v, b = :w", "SET #a = :v, #b = :w"),
    ("REMOVE a", "REMOVE #a"),
    ("REMOVE a, b", "REMOVE #a, #b"),
    ("SET a = :v REMOVE b", "SET #a = :v REMOVE #b"),
    ("REMOVE b SET a = :v", "REMOVE #b SET #a = :v"),
    # Functions and sums of constants mention no path (check_needs_read_before_write(parsed::value)).
    ("SET a = :v + :w", "SET #a = :v + :w"),
    ("SET a = list_append(:v, :w)", "SET #a = list_append(:v, :w)"),
]
NAMES = {"#a": "a", "#b": "b", "#c": "c", "#x": "x"}


def update(expression: str, **more: Any) -> dict[str, Any]:
    return {"TableName": "t", "Key": {"id": {"S": "x"}}, "UpdateExpression": expression, **more}


@pytest.mark.parametrize("expression", [form for row in READS_FIRST for form in row])
def test_updates_for_which_the_server_reads_first(expression: str) -> None:
    assert needs_read_before_write("UpdateItem", update(expression, ExpressionAttributeNames=NAMES))
    assert analyse(expression) is not UNPARSABLE


@pytest.mark.parametrize("expression", [form for row in WRITES_ONLY for form in row])
def test_updates_that_only_write(expression: str) -> None:
    parameters = update(expression, ExpressionAttributeNames=NAMES)
    assert not needs_read_before_write("UpdateItem", parameters)
    assert needs_read_before_write("UpdateItem", parameters, force=True)


def test_a_dot_inside_an_aliased_name_is_top_level() -> None:
    parameters = update("SET #a = :v REMOVE #b", ExpressionAttributeNames={"#a": "x.y", "#b": "z[0]"})
    assert not needs_read_before_write("UpdateItem", parameters)


@pytest.mark.parametrize("operation", ["PutItem", "DeleteItem", "UpdateItem"])
@pytest.mark.parametrize(
    ("more", "reads"),
    [
        ({}, False),
        ({"ConditionExpression": "attribute_not_exists(id)"}, True),
        ({"Expected": {"a": {"Exists": False}}}, True),
        ({"Expected": {}}, True),
        ({"ConditionExpression": None, "Expected": None, "ReturnValues": None}, False),
        ({"ReturnValues": "NONE"}, False),
        ({"ReturnValues": "ALL_OLD"}, True),
        ({"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}, False),
    ],
)
def test_conditions_and_returned_values(operation: str, more: dict[str, Any], reads: bool) -> None:
    assert needs_read_before_write(operation, more) is reads


@pytest.mark.parametrize(
    ("returned", "reads"), [("UPDATED_NEW", False), ("UPDATED_OLD", True), ("ALL_NEW", True), ("ALL_OLD", True)]
)
def test_returned_values_of_an_update(returned: str, reads: bool) -> None:
    assert needs_read_before_write("UpdateItem", update("SET a = :v", ReturnValues=returned)) is reads


@pytest.mark.parametrize(
    ("entry", "reads"),
    [
        ({"Action": "PUT", "Value": {"N": "1"}}, False),
        ({"Value": {"N": "1"}}, False),
        ({"Action": "DELETE"}, False),
        ({"Action": "DELETE", "Value": None}, False),
        ({"Action": "DELETE", "Value": {"SS": ["x"]}}, True),
        ({"Action": "ADD", "Value": {"N": "1"}}, True),
    ],
)
def test_legacy_updates_say_whether_they_read(entry: dict[str, Any], reads: bool) -> None:
    put = {"Action": "PUT", "Value": {"S": "x"}}
    assert needs_read_before_write("UpdateItem", {"AttributeUpdates": {"a": put, "b": entry}}) is reads


def test_force_read_before_write_is_for_update_and_delete() -> None:
    assert needs_read_before_write("UpdateItem", {}, force=True)
    assert needs_read_before_write("DeleteItem", {}, force=True)
    assert not needs_read_before_write("PutItem", {}, force=True)
    assert not needs_read_before_write("BatchWriteItem", {}, force=True)


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "   ",
        "nonsense",
        "SET",
        "SET a",
        "SET a =",
        "SET a = :",
        "SET = :v",
        "SET a = :v,",
        "SET a = :v b = :w",
        "SET a = :v + ",
        "SET a = :v + :w + :x",
        "SET a = :v SET b = :w",
        "SET set = :v",
        "SET a. = :v",
        "SET a[x] = :v",
        "SET a[0 = :v",
        "SET a = f(",
        "SET a = f()",
        "SET a = f(:v",
        "SET a = #f(:v)",
        "SET a = 5",
        "SET a = 'x'",
        "SET _a = :v",
        "SET 1a = :v",
        "SET a\u00a0= :v",
        "SET \u00e4 = :v",
        "REMOVE",
        "REMOVE a b",
        "REMOVE :v",
        "ADD a",
        "ADD a b",
        "DELETE a = :v",
        "SET a = " + "f(" * 5000 + ":v" + ")" * 5000,
    ],
)
def test_what_cannot_be_parsed_counts_as_read_modify_write(expression: str) -> None:
    assert analyse(expression) is UNPARSABLE
    assert needs_read_before_write("UpdateItem", update(expression))
    assert not is_idempotent("UpdateItem", update(expression))


@pytest.mark.parametrize("expression", [5, b"SET a = :v", ["SET a = :v"], {}, True])
def test_an_expression_that_is_no_text(expression: object) -> None:
    assert needs_read_before_write("UpdateItem", {"UpdateExpression": expression})
    assert not is_idempotent("UpdateItem", {"UpdateExpression": expression})


def test_long_expressions_and_subclasses_of_str_are_read_too() -> None:
    class Text(str):
        __slots__ = ()

    long = "SET " + ", ".join(f"attribute{number} = :v{number}" for number in range(1000))
    assert not analyse(long).needs_read
    assert analyse(long + ", a = b").needs_read
    assert not analyse(Text("SET a = :v")).needs_read
    assert analyse(Text("SET a = b")).needs_read


# ---- expressions from a grammar --------------------------------------------------------------------------------------

WORDS = ["a", "b2", "c_d", "Name", "x9", "setting", "added", "INvoice"]
VALUES = [":v", ":w1", ":x_y"]


@st.composite
def paths(draw: st.DrawFn) -> list[str]:
    path = [draw(st.sampled_from(WORDS))]
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        if draw(st.booleans()):
            path += [".", draw(st.sampled_from(WORDS))]
        else:
            path += ["[", str(draw(st.integers(0, 99))), "]"]
    return path


@st.composite
def operands(draw: st.DrawFn, depth: int = 0) -> tuple[list[str], bool]:
    """The tokens, and whether they mention a path."""
    kind = draw(st.sampled_from(["value", "value", "path", "function"] if depth < 2 else ["value", "path"]))
    if kind == "value":
        return [draw(st.sampled_from(VALUES))], False
    if kind == "path":
        return draw(paths()), True
    function = draw(st.sampled_from(["if_not_exists", "list_append"]))
    left, left_reads = draw(operands(depth + 1))
    right, right_reads = draw(operands(depth + 1))
    return [function, "(", *left, ",", *right, ")"], left_reads or right_reads


@st.composite
def actions(draw: st.DrawFn, clause: str) -> tuple[list[str], bool]:
    path = draw(paths())
    nested = len(path) > 1
    if clause == "REMOVE":
        return path, nested
    if clause in ("ADD", "DELETE"):
        return [*path, draw(st.sampled_from(VALUES))], True
    right, reads = draw(operands())
    if draw(st.booleans()):
        more, more_reads = draw(operands())
        right = [*right, draw(st.sampled_from("+-")), *more]
        reads = reads or more_reads
    return [*path, "=", *right], nested or reads


@st.composite
def expressions(draw: st.DrawFn) -> tuple[list[str], bool]:
    """The tokens of a valid UpdateExpression, and whether the server reads first."""
    tokens: list[str] = []
    needs_read = False
    for clause in draw(st.lists(st.sampled_from(["SET", "REMOVE", "ADD", "DELETE"]), min_size=1, unique=True)):
        tokens.append(clause)
        for number in range(draw(st.integers(1, 3))):
            action, reads = draw(actions(clause))
            tokens += [",", *action] if number else action
            needs_read = needs_read or reads
    return tokens, needs_read


def spelled(tokens: list[str], rng: random.Random, *, aliases: bool) -> tuple[str, dict[str, str]]:
    """The tokens as text, with white space and the case of keywords at random."""
    names: dict[str, str] = {}
    text = ""
    for place, token in enumerate(tokens):
        following = tokens[place + 1] if place + 1 < len(tokens) else ""
        if aliases and token in WORDS and following != "(" and rng.random() < 0.7:
            alias = f"#n{len(names)}"
            names[alias] = token
            token = alias
        elif token in ("SET", "REMOVE", "ADD", "DELETE"):
            token = "".join(rng.choice([letter, letter.lower()]) for letter in token)
        space = "".join(rng.choice(" \t\r\n") for _ in range(rng.randrange(3)))
        glued = text[-1:].isalnum() and (token[0].isalnum())
        text += (space or (" " if glued else "")) + token
    return text + rng.choice(["", " ", "\n"]), names


@given(expressions(), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=500)
def test_aliases_white_space_and_case_change_nothing(expression: tuple[list[str], bool], rng: random.Random) -> None:
    tokens, needs_read = expression
    values = {":v": {"N": "1"}, ":w1": {"SS": ["a"]}, ":x_y": {"S": "t"}}
    plain, _ = spelled(tokens, rng, aliases=False)
    aliased, names = spelled(tokens, rng, aliases=True)
    assert analyse(plain) is not UNPARSABLE
    verdicts = {
        (
            needs_read_before_write("UpdateItem", update(text, ExpressionAttributeNames=known)),
            is_idempotent("UpdateItem", update(text, ExpressionAttributeNames=known, ExpressionAttributeValues=values)),
        )
        for text, known in [(plain, {}), (aliased, names), (" ".join(tokens), {})]
    }
    assert len(verdicts) == 1
    assert verdicts.pop()[0] is needs_read


@given(st.text(alphabet="SETadREMOVElist_(),.[]=+-:#v019 \t\n\x00é", max_size=40))
@settings(deadline=None, max_examples=500)
def test_any_text_is_classified(text: str) -> None:
    analysis = analyse(text)
    assert analysis is UNPARSABLE or any(word in text.upper() for word in ("SET", "REMOVE", "ADD", "DELETE"))


# ---- idempotence -----------------------------------------------------------------------------------------------------

SETS = {":ss": {"SS": ["a"]}, ":ns": {"NS": ["1"]}, ":bs": {"BS": [b"a"]}, ":n": {"N": "1"}, ":v": {"S": "x"}}


@pytest.mark.parametrize(
    ("expression", "repeatable"),
    [
        ("SET a = :v", True),
        ("SET a = :v, b = :n", True),
        ("SET a.b = :v", True),
        ("SET a = :n + :n", True),
        ("SET a = list_append(:v, :v)", True),
        ("REMOVE a", True),
        ("REMOVE a.b", True),
        ("SET a = :v REMOVE b", True),
        # an index beyond the end appends; a removed element moves the others
        ("SET a[0] = :v", False),
        ("SET a[0].b = :v", False),
        ("SET a[7] = if_not_exists(a[7], :v)", False),
        ("REMOVE a[0]", False),
        ("REMOVE a.b[0]", False),
        # sets and numbers
        ("ADD a :ss", True),
        ("ADD a.b :ns", True),
        ("ADD a :bs, b :ss", True),
        ("ADD a :n", False),
        ("ADD a :ss, b :n", False),
        ("ADD a :missing", False),
        ("ADD a[0] :ss", False),
        ("DELETE a :ss", True),
        ("DELETE a[0] :ss", False),
        # right sides that read
        ("SET a = a + :n", False),
        ("SET a = :n - a", False),
        ("SET a = list_append(a, :v)", False),
        ("SET a = b", False),
        ("SET a = if_not_exists(a, :v)", True),
        ("SET #a = if_not_exists(a, :v)", True),
        ("SET #a.b = if_not_exists(a.#b, :v)", True),
        ("SET #a = if_not_exists(#b, :v)", False),
        ("SET b = if_not_exists(a, :v)", False),
        ("SET a = if_not_exists(a, b)", False),
        ("SET a = if_not_exists(a, :n) + :n", False),
        ("SET a = :n + if_not_exists(a, :n)", False),
        ("SET a = list_append(if_not_exists(a, :v), :v)", False),
        ("SET a = if_not_exists(if_not_exists(a, :v), :v)", False),
        ("SET a = other(a, :v)", False),
    ],
)
def test_the_update_decides_whether_it_is_idempotent(expression: str, repeatable: bool) -> None:
    more = {"ExpressionAttributeNames": NAMES, "ExpressionAttributeValues": SETS}
    assert is_idempotent("UpdateItem", update(expression, **more)) is repeatable
    # PynamoDB's Model.update always asks for the new item, and that is the same each time.
    assert is_idempotent("UpdateItem", update(expression, ReturnValues="ALL_NEW", **more)) is repeatable
    assert not is_idempotent("UpdateItem", update(expression, ReturnValues="UPDATED_OLD", **more))
    assert not is_idempotent("UpdateItem", update(expression, ConditionExpression="attribute_exists(a)", **more))


@pytest.mark.parametrize(
    ("returned", "repeatable"),
    [
        (None, True),
        ("NONE", True),
        ("ALL_NEW", True),
        ("UPDATED_NEW", True),
        ("ALL_OLD", False),
        ("x", False),
        ([], False),
    ],
)
def test_returned_values_of_a_repeated_update(returned: object, repeatable: bool) -> None:
    assert is_idempotent("UpdateItem", update("SET a = :v", ReturnValues=returned)) is repeatable


@pytest.mark.parametrize("operation", ["PutItem", "DeleteItem"])
@pytest.mark.parametrize(
    ("more", "repeatable"),
    [
        ({}, True),
        ({"ReturnValues": "NONE"}, True),
        ({"ReturnValues": "ALL_OLD"}, False),
        ({"ConditionExpression": "attribute_not_exists(id)"}, False),
        ({"Expected": {}}, False),
        ({"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}, True),
    ],
)
def test_idempotent_puts_and_deletes(operation: str, more: dict[str, Any], repeatable: bool) -> None:
    assert is_idempotent(operation, more) is repeatable


@pytest.mark.parametrize(
    ("entry", "repeatable"),
    [
        ({"Action": "PUT", "Value": {"N": "1"}}, True),
        ({"Value": {"N": "1"}}, True),
        ({"Action": "DELETE"}, True),
        ({"Action": "DELETE", "Value": {"SS": ["x"]}}, True),
        ({"Action": "DELETE", "Value": {"S": "x"}}, False),
        ({"Action": "ADD", "Value": {"SS": ["x"]}}, True),
        ({"Action": "ADD", "Value": {"N": "1"}}, False),
        ({"Action": "ADD", "Value": {"L": []}}, False),
        ({"Action": "OTHER"}, False),
        ("nonsense", False),
        (None, False),
    ],
)
def test_legacy_updates_say_whether_they_are_idempotent(entry: Any, repeatable: bool) -> None:
    put = {"Action": "PUT", "Value": {"S": "x"}}
    assert is_idempotent("UpdateItem", {"AttributeUpdates": {"a": put, "b": entry}}) is repeatable


@pytest.mark.parametrize(
    ("operation", "repeatable"),
    [
        ("GetItem", True),
        ("BatchGetItem", True),
        ("Query", True),
        ("Scan", True),
        ("DescribeTable", True),
        ("DescribeTimeToLive", True),
        ("ListTables", True),
        ("ListTagsOfResource", True),
        ("BatchWriteItem", True),
        ("TagResource", True),
        ("UntagResource", True),
        ("UpdateItem", True),
        ("CreateTable", False),
        ("DeleteTable", False),
        ("UpdateTable", False),
        ("UpdateTimeToLive", False),
        ("TransactWriteItems", False),
        ("ExecuteStatement", False),
        ("BatchExecuteStatement", False),
        ("NoSuchOperation", False),
    ],
)
def test_the_operation_decides_whether_it_is_idempotent(operation: str, repeatable: bool) -> None:
    assert is_idempotent(operation, {"ClientRequestToken": "x"}) is repeatable
