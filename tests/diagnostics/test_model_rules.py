"""What the rules of the check of models say of a model, of code and of a table: values in, findings out."""

from __future__ import annotations

import pkgutil
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pynamodb_alternator.core.vector_dialects import IndexDefinition
from pynamodb_alternator.diagnostics.models import (
    ALL_IDS,
    AttributeFacts,
    Ignored,
    IndexFacts,
    KeyFacts,
    ModelFacts,
    ModelFinding,
    ModelReport,
    Position,
    Project,
    inspect_project,
    inspector,
    rules,
)
from pynamodb_alternator.diagnostics.models.facts import SourceFacts, TableFacts, Use, UseKind
from pynamodb_alternator.diagnostics.severities import FAIL_LEVELS, SEVERITIES
from pynamodb_alternator.errors import ConfigurationError

TEXT_KEY = KeyFacts("name", "HASH", "S")
NUMBER_KEY = KeyFacts("number", "HASH", "N")
BY_CITY = IndexFacts("by_city", False, (KeyFacts("city", "HASH", "S"),), "ALL")
BY_LOOKS = IndexDefinition("by_looks", "looks", 3, "cosine")
ORDER = ModelFacts("shop.models.Order", Position("shop/models.py", 7), "orders", (TEXT_KEY,))
VERSION = AttributeFacts("version", "N", "version")
EXPIRES = AttributeFacts("expires", "N", "ttl")


def source(*uses: tuple[UseKind, str], model: str = "", **more: Any) -> SourceFacts:
    lines = (Use(kind, Position("shop/views.py", line), text, model) for line, (kind, text) in enumerate(uses, start=1))
    return SourceFacts("shop/views.py", "shop.views", tuple(lines), **more)


def said(project: Project) -> list[tuple[str, str, str]]:
    return [(finding.severity, finding.id, finding.detail) for finding in inspect_project(project)]


def of_model(tables: dict[str, TableFacts] | None = None, **facts: Any) -> list[tuple[str, str, str]]:
    """What is said of a model that differs in these facts from one of which nothing is said."""
    return said(Project((replace(ORDER, **facts),), tables=tables))


def test_of_a_model_that_behaves_the_same_nothing_is_said() -> None:
    assert of_model() == []
    assert of_model(indexes=(BY_CITY,), attributes=(AttributeFacts("n", "N"),)) == []


@pytest.mark.parametrize(
    ("facts", "finding"),
    [
        (
            {"indexes": (replace(BY_CITY, projection="KEYS_ONLY"),)},
            ("warning", "index-projection", "index 'by_city' projects KEYS_ONLY"),
        ),
        (
            {"indexes": (IndexFacts("by_day", True, (TEXT_KEY, KeyFacts("day", "RANGE", "N")), "INCLUDE"),)},
            ("warning", "index-projection", "local index 'by_day' projects INCLUDE"),
        ),
        (
            {"indexes": (replace(BY_CITY, keys=(*BY_CITY.keys, KeyFacts("street", "HASH", "S"))),)},
            ("error", "composite-key", "index 'by_city' has 2 partition keys: city, street"),
        ),
        (
            {"indexes": (replace(BY_CITY, keys=(TEXT_KEY, *(KeyFacts(n, "RANGE", "S") for n in "abc"))),)},
            ("error", "composite-key", "index 'by_city' has 3 sort keys: a, b, c"),
        ),
        ({"keys": (NUMBER_KEY,)}, ("warning", "number-key", "partition key 'number' is a number")),
        (
            {"indexes": (replace(BY_CITY, keys=(NUMBER_KEY,)),)},
            ("warning", "number-key", "partition key 'number' of index 'by_city' is a number"),
        ),
        ({"attributes": (AttributeFacts("a.b[].c", "NS"),)}, ("note", "number-set", "'a.b[].c' is a number set")),
        ({"table_name": "größen"}, ("error", "table-name", "Meta.table_name is 'größen'")),
        ({"table_name": "ab"}, ("error", "table-name", "Meta.table_name is 'ab'")),
        ({"table_name": "a" * 193}, ("error", "table-name", f"Meta.table_name has 193 characters: {'a' * 40}...")),
        ({"indexes": (replace(BY_CITY, name="nach_größe"),)}, None),
        ({"keys": (replace(TEXT_KEY, name=":attrs"),)}, ("error", "attrs-name", "a key attribute is named ':attrs'")),
        (
            {"indexes": (replace(BY_CITY, keys=(replace(TEXT_KEY, name=":attrs"),)),)},
            ("error", "attrs-name", "a key attribute is named ':attrs'"),
        ),
        (
            {"tags": (("plain", "text"), ("owner", "Jürgen"))},
            ("error", "tag-text", "Meta.tags has 'owner': 'Jürgen'"),
        ),
        ({"attributes": (EXPIRES,)}, ("note", "ttl-delay", "items expire by 'expires'")),
        (
            {"attributes": (VERSION,)},
            ("note", "conditional-write", "the version attribute 'version' makes each save conditional"),
        ),
        ({"has_capacity": True}, None),
        ({"stream": "NEW_IMAGE"}, ("note", "stream", "Meta.stream_view_type is 'NEW_IMAGE'")),
        ({"host": "https://dynamodb.eu-west-1.amazonaws.com"}, ("error", "amazon-host", "Meta.host is Amazon's")),
        ({"host": "DynamoDB.eu-west-1.API.aws:443"}, ("error", "amazon-host", "Meta.host is Amazon's")),
        ({"is_on_cluster": False}, ("note", "plain-model", "table 'orders'")),
        ({"refused": "Meta does not take port."}, ("error", "meta-setting", "Meta does not take port.")),
        ({"table_name": None}, ("warning", "no-table-name", "no other model derives from it")),
        ({"write_isolation": "lwt"}, ("error", "write-isolation", "Meta.write_isolation is 'lwt'")),
    ],
)
def test_what_is_said_of_a_model(facts: dict[str, Any], finding: tuple[str, str, str] | None) -> None:
    findings = of_model(**facts)
    assert len(findings) == 1
    assert finding in (None, *findings)


@pytest.mark.parametrize(
    "facts",
    [
        {"host": "http://127.0.0.1:8000"},
        {"host": "http://amazonaws.com.example.org"},
        {"host": "http://[::1"},
        {"keys": (replace(NUMBER_KEY, is_whole=True),)},
        {"keys": (TEXT_KEY, KeyFacts("day", "RANGE", "N"))},  # sort keys are canonical on the server
        {"indexes": (IndexFacts("by_day", True, (NUMBER_KEY, KeyFacts("day", "RANGE", "N")), "ALL"),)},  # the table's
        {"table_name": "a" * 192},
        {"table_name": "a" * 192, "indexes": (replace(BY_CITY, name="i" * 29),)},
        {"table_name": "a" * 192, "indexes": (replace(BY_CITY, name="i" * 28, is_local=True),)},
        {"table_name": None, "is_base": True, "keys": (NUMBER_KEY,), "host": "dynamodb.amazonaws.com"},
        {"write_isolation": "a"},
        {"attributes": (AttributeFacts(":attrs", "S"), AttributeFacts("m.t", "N", "")), "write_isolation": "o"},
    ],
)
def test_what_nothing_is_said_of(facts: dict[str, Any]) -> None:
    assert of_model(**facts) == []


@pytest.mark.parametrize(("is_local", "most"), [(False, 221), (True, 220)])
def test_names_of_a_table_and_its_index_that_are_too_long_together(is_local: bool, most: int) -> None:
    index = replace(BY_CITY, is_local=is_local, name="i" * (most - 100))
    assert of_model(table_name="t" * 100, indexes=(index,)) == []
    ((severity, id, detail),) = of_model(table_name="t" * 101, indexes=(index,))
    assert (severity, id) == ("error", "index-name")
    assert f"have {most + 1} characters" in detail


# ---- code --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "severity", "id"),
    [
        ("transaction", "error", "transactions"),
        ("partiql", "error", "partiql"),
        ("missing_operation", "error", "missing-operation"),
        ("throughput", "error", "update-table"),
        ("index_capacity", "error", "consumed-capacity"),
        ("item_count", "warning", "count"),
        ("rate_limit", "warning", "rate-limit"),
        ("plain_client", "note", "plain-client"),
        ("number_condition", "note", "number-condition"),
        ("nested_number_condition", "warning", "nested-number-condition"),
        ("remove_only", "note", "remove-only"),
        ("condition", "note", "conditional-write"),
        ("update", "note", "conditional-write"),
    ],
)
def test_what_is_said_of_code(kind: UseKind, severity: str, id: str) -> None:
    (finding,) = inspect_project(Project((ORDER,), (source((kind, "x")),)))
    assert (finding.severity, finding.id, finding.detail) == (severity, id, "x")
    assert (finding.subject, str(finding.position)) == ("shop.views", "shop/views.py:1")
    assert finding.remedy


def test_a_count_reads_the_table_and_pynamodbs_own_gives_none() -> None:
    code = source(("count", "Order.count()"), model=ORDER.name)
    (finding,) = inspect_project(Project((ORDER,), (code,)))
    assert (finding.severity, finding.id, finding.detail) == ("warning", "count", "Order.count()")
    assert finding.remedy.startswith("This library counts by a Scan")
    stock = replace(ORDER, is_on_cluster=False)
    findings = {each.id: each for each in inspect_project(Project((stock,), (code,)))}
    assert findings["count"].severity == "warning"
    assert findings["count"].remedy.startswith("PynamoDB's own models give None.")


def test_source_files_that_cannot_be_read_and_models_that_were_not_imported() -> None:
    broken = source(problem="it is not Python", problem_line=3)
    assert said(Project((ORDER,), (broken,))) == [("warning", "unreadable-source", "it is not Python")]
    others = source(models=(("Order", 1), ("Gift", 5)))
    for named, severity in ((("shop",), "warning"), (("shop.views",), "warning"), (("shop.models",), "note")):
        ((said_severity, id, detail),) = said(Project((ORDER,), (others,), named))
        assert (said_severity, id) == (severity, "model-not-checked")
        assert detail == "Order, Gift (--models shop.views)"
    known = (replace(ORDER, name="shop.views.Order"), replace(ORDER, name="shop.views.Gift"))
    assert said(Project(known, (others,))) == []


# ---- the cluster -------------------------------------------------------------------------------------------------

TABLE = TableFacts(keys=(TEXT_KEY,), indexes=(BY_CITY,), write_isolation="only_rmw_uses_lwt", ttl_attribute="")


@pytest.mark.parametrize(
    ("facts", "table", "finding"),
    [
        ({}, {"exists": False}, ("warning", "table-missing", "table 'orders'")),
        ({}, {"problem": "no answer"}, ("error", "table-unreadable", "table 'orders': no answer")),
        (
            {"keys": (NUMBER_KEY,), "attributes": ()},
            {"keys": (replace(NUMBER_KEY, kind="S"), KeyFacts("day", "RANGE", "N"))},
            (
                "error",
                "key-schema",
                "the model has number (HASH, N), and table 'orders' has number (HASH, S), day (RANGE, N)",
            ),
        ),
        (
            {"indexes": (BY_CITY,)},
            {"indexes": ()},
            ("error", "index-missing", "index 'by_city' of table 'orders'"),
        ),
        (
            {"indexes": (replace(BY_CITY, keys=(KeyFacts("town", "HASH", "S"),)),)},
            {},
            (
                "error",
                "index-key-schema",
                "the model's index 'by_city' has town (HASH, S), and that of the table has city (HASH, S)",
            ),
        ),
        (
            {"vector_indexes": (BY_LOOKS,)},
            {"vector_indexes": (replace(BY_LOOKS, name="by_look"),)},
            ("error", "vector-index-missing", "vector index 'by_looks' of table 'orders'"),
        ),
        *(
            (
                {"vector_indexes": (BY_LOOKS,)},
                {"vector_indexes": (replace(BY_LOOKS, **{name: value}),)},
                (
                    "error",
                    "vector-index",
                    f"the model's vector index 'by_looks' has 3 dimensions of 'looks' by cosine, "
                    f"and that of the table has {said}",
                ),
            )
            for name, value, said in (
                ("dimensions", 4, "4 dimensions of 'looks' by cosine"),
                ("attribute", "v", "3 dimensions of 'v' by cosine"),
                ("distance", "euclidean", "3 dimensions of 'looks' by euclidean"),
            )
        ),
        (
            {"indexes": (replace(BY_CITY, is_local=True),)},
            {},
            (
                "error",
                "index-key-schema",
                "the model's local index 'by_city' has city (HASH, S), "
                "and that of the table is a global one with city (HASH, S)",
            ),
        ),
        (
            {"write_isolation": "always"},
            {},
            ("warning", "write-isolation", "Meta.write_isolation is 'always', and the table has 'only_rmw_uses_lwt'"),
        ),
        (
            {"attributes": (VERSION,)},
            {"write_isolation": "forbid_rmw"},
            (
                "error",
                "write-isolation",
                "the table's write isolation is 'forbid_rmw', and there is a version attribute 'version': "
                "each save is refused",
            ),
        ),
        (
            {"attributes": (VERSION,), "write_isolation": "u"},
            {"write_isolation": None},
            (
                "error",
                "write-isolation",
                "Meta.write_isolation is 'unsafe_rmw', and there is a version attribute 'version': "
                "two writers of a version may both succeed",
            ),
        ),
        (
            {"attributes": (EXPIRES,)},
            {},
            (
                "warning",
                "ttl-disabled",
                "items are to expire by 'expires', and the time to live of the table is off",
            ),
        ),
        (
            {"attributes": (EXPIRES,)},
            {"ttl_attribute": "gone_at"},
            (
                "warning",
                "ttl-disabled",
                "items are to expire by 'expires', and the time to live of the table names 'gone_at'",
            ),
        ),
    ],
)
def test_what_is_said_of_a_table(facts: dict[str, Any], table: dict[str, Any], finding: tuple[str, str, str]) -> None:
    findings = of_model(tables={"orders": replace(TABLE, **table)}, **facts)
    other = [each for each in findings if each[1] not in ("number-key", "ttl-delay")]
    assert other == [finding]


@pytest.mark.parametrize(
    ("facts", "table"),
    [
        ({"indexes": (BY_CITY,)}, {}),
        ({}, {}),  # an index more than the model has
        ({"keys": (KeyFacts("day", "RANGE", "N"), TEXT_KEY)}, {"keys": (TEXT_KEY, KeyFacts("day", "RANGE", "N"))}),
        ({"attributes": (VERSION,)}, {}),
        ({"write_isolation": "only_rmw_uses_lwt"}, {}),
        ({"write_isolation": "o", "attributes": (VERSION,)}, {"write_isolation": None}),
    ],
)
def test_tables_that_fit(facts: dict[str, Any], table: dict[str, Any]) -> None:
    assert of_model(tables={"orders": replace(TABLE, **table)}, **facts) == []


def test_time_to_live_that_fits_or_may_not_be_read() -> None:
    for attribute in ("expires", None):
        tables = {"orders": replace(TABLE, ttl_attribute=attribute)}
        assert [id for _, id, _ in of_model(tables=tables, attributes=(EXPIRES,))] == ["ttl-delay"]


def test_conditions_of_a_table_that_forbids_them() -> None:
    code = source(*[("condition", f"save {number}") for number in range(5)])
    project = Project((ORDER,), (code,), tables={"orders": replace(TABLE, write_isolation="forbid_rmw")})
    ((severity, id, detail),) = said(project)
    assert (severity, id) == ("warning", "write-isolation")
    assert detail.endswith("shop/views.py:1, shop/views.py:2, shop/views.py:3 and 2 more")
    assert said(replace(project, tables={"orders": TABLE})) == []


def test_with_canonical_numbers_they_are_what_they_are_on_dynamodb() -> None:
    model = replace(ORDER, keys=(NUMBER_KEY,), attributes=(AttributeFacts("n", "NS"),))
    ids = {
        setting: [(severity, id) for severity, id, _ in said(Project((model,), canonical_numbers=setting))]
        for setting in (None, "sets", True, False)
    }
    assert ids[None] == ids["sets"] == [("warning", "number-key"), ("note", "number-set")]
    assert ids[True] == [("note", "number-set")]
    assert ids[False] == [("warning", "number-key"), ("warning", "number-set")]


def test_a_model_says_itself_how_its_numbers_are_sent() -> None:
    model = replace(ORDER, keys=(NUMBER_KEY,), attributes=(AttributeFacts("n", "NS"),), canonical_numbers=True)
    assert [id for _, id, _ in said(Project((model,), canonical_numbers="sets"))] == ["number-set"]
    model = replace(model, canonical_numbers=False)
    code = source(("number_condition", "Order.n == 1.0"), model=ORDER.name)
    assert [(severity, id) for severity, id, _ in said(Project((model,), (code,), canonical_numbers=True))] == [
        ("warning", "number-key"),
        ("warning", "number-set"),
        ("warning", "number-condition"),
    ]
    (finding,) = (each for each in inspect_project(Project((model,), (code,))) if each.id == "number-condition")
    assert "canonical_numbers is False" in finding.remedy


# ---- all of them -------------------------------------------------------------------------------------------------


def test_an_inherited_fault_is_reported_once() -> None:
    index = replace(BY_CITY, projection="KEYS_ONLY")
    base = replace(ORDER, indexes=(index,), is_base=True)
    gift = replace(base, name="shop.models.Gift")
    other_table = replace(base, name="shop.models.Old", table_name="old_orders")
    subjects = [finding.subject for finding in inspect_project(Project((base, gift, other_table)))]
    assert subjects == ["shop.models.Order", "shop.models.Old"]


def test_the_same_fault_on_two_lines_is_reported_twice() -> None:
    code = source(("transaction", "TransactWrite"), ("transaction", "TransactWrite"))
    assert len(inspect_project(Project((ORDER,), (code,)))) == 2


def finding_of(severity: Any, id: str = "ttl-delay", subject: str = "shop.models.Order") -> ModelFinding:
    return ModelFinding(id, severity, subject, "", "", "")


@given(st.lists(st.sampled_from(SEVERITIES), max_size=5))
def test_a_lower_level_fails_whatever_a_higher_one_fails(severities: list[Any]) -> None:
    report = ModelReport((), 0, False, tuple(map(finding_of, severities)))
    fails = [report.fails(level) for level in FAIL_LEVELS]
    assert fails == [
        "error" in severities,
        not {"error", "warning"}.isdisjoint(severities),
        bool(severities),
        False,
    ]


def test_the_most_severe_come_first_and_those_of_a_rule_together() -> None:
    index = replace(BY_CITY, projection="KEYS_ONLY", keys=(NUMBER_KEY,))
    facts: dict[str, Any] = {"indexes": (index,), "attributes": (EXPIRES,), "tags": (("ä", ""), ("ö", ""))}
    models = tuple(replace(ORDER, name=f"m.{n}", table_name=f"{n}00", **facts) for n in "ab")
    ids = [id for _, id, _ in said(Project(models))]
    assert ids == [id for id in ("tag-text", "tag-text", "number-key", "index-projection", "ttl-delay") for _ in models]


def test_a_finding_is_ignored_by_its_name() -> None:
    ignored = Ignored.of(["ttl-delay, count:shop.views", "number-key:shop.models.Order", ""])
    assert finding_of("note") in ignored
    assert finding_of("error", "count", "shop.views") in ignored
    assert finding_of("error", "count", "shop.forms") not in ignored
    assert finding_of("error", "number-key") in ignored
    assert finding_of("error", "number-key", "shop.models.Gift") not in ignored
    assert finding_of("error", "key-schema") not in ignored


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("number-keys", "no finding has the name 'number-keys'. Did you mean 'number-key'?"),
        ("index_projection", "Did you mean 'index-projection'?"),
        ("???", "The names are: amazon-host, attrs-name,"),
        ("shop.models.Order:count", "no finding has the name 'shop.models.Order'"),
    ],
)
def test_an_unknown_name_to_ignore_is_a_mistake(text: str, says: str) -> None:
    with pytest.raises(ConfigurationError) as wrong:
        Ignored.of([text])
    assert says in str(wrong.value)


@pytest.mark.parametrize("name", [module.name for module in pkgutil.iter_modules(rules.__path__)])
def test_each_module_of_rules_is_looked_at(name: str) -> None:
    assert hasattr(inspector, name)


def test_each_rule_has_a_name_of_its_own() -> None:
    assert len(set(ALL_IDS)) == len(ALL_IDS)
