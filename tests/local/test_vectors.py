"""Vector search of the embedded cluster: both dialects, over real sockets, and nothing of the library in between."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pynamodb_alternator.errors import ConfigurationError
from pynamodb_alternator.local import LocalCluster

from .wire import BY_K, Wire, n, s

OLDER = {"IndexName": "vec", "VectorAttribute": {"AttributeName": "v", "Dimensions": 2}}
NEWER = {
    "IndexName": "vec",
    "VectorAttribute": {"AttributeName": "v"},
    "Dimensions": 2,
    "DistanceFunction": "COSINE",
    "Projection": {"ProjectionType": "ALL"},
    "SearchSchema": [{"AttributeName": "kind", "SearchSchemaElementType": "INLINE_FILTER"}],
}
DEFINED = {
    **BY_K,
    "AttributeDefinitions": [*BY_K["AttributeDefinitions"], {"AttributeName": "kind", "AttributeType": "S"}],
}
VECTORS = {"east": (1, 0), "north": (0, 2), "northeast": (1, 1), "west": (-1, 0)}


def as_list(*numbers: float) -> dict[str, Any]:
    return {"L": [{"N": str(number)} for number in numbers]}


def running(dialect: Any = "both", **settings: Any) -> LocalCluster:
    return LocalCluster(nodes=1, vector_dialect=dialect, **settings)


def schema_of(index: dict[str, Any]) -> dict[str, Any]:
    """What a table needs for this index, beside it."""
    return DEFINED if "SearchSchema" in index else BY_K


def fill(wire: Wire, index: dict[str, Any]) -> None:
    wire.ok("CreateTable", {"TableName": "tab", **schema_of(index), "VectorIndexes": [index]})
    for name, numbers in VECTORS.items():
        kind = "axis" if 0 in numbers else "between"
        item = {"k": s(name), "v": as_list(*numbers), "kind": s(kind), "len": n(len(name))}
        wire.ok("PutItem", {"TableName": "tab", "Item": item})
    wire.ok("PutItem", {"TableName": "tab", "Item": {"k": s("nowhere"), "kind": s("axis")}})


@pytest.fixture
def older() -> Iterator[Wire]:
    with running("alternator") as cluster, Wire(cluster.nodes[0]) as wire:
        fill(wire, OLDER)
        yield wire
    assert cluster.failures == []


@pytest.fixture
def newer() -> Iterator[Wire]:
    with running("aws") as cluster, Wire(cluster.nodes[0]) as wire:
        fill(wire, NEWER)
        yield wire
    assert cluster.failures == []


def search(**more: Any) -> dict[str, Any]:
    request = {"TableName": "tab", "IndexName": "vec", "SearchVector": as_list(1, 0)["L"], "TopK": 2}
    return {name: value for name, value in {**request, **more}.items() if value is not None}


def query(vector: Any = None, returns: str | None = "SIMILARITY", **more: Any) -> dict[str, Any]:
    nearest = {"QueryVector": vector or as_list(1, 0)} | ({"ReturnScores": returns} if returns else {})
    request = {"TableName": "tab", "IndexName": "vec", "Limit": 2, "VectorSearch": nearest, **more}
    return {name: value for name, value in request.items() if value is not None}


def keys(items: list[Any]) -> list[str]:
    return [item["k"]["S"] for item in items]


# ---- indexes -----------------------------------------------------------------------------------------------------


def test_each_dialect_describes_its_own_form(older: Wire, newer: Wire) -> None:
    (index,) = older.ok("DescribeTable", {"TableName": "tab"})["Table"]["VectorIndexes"]
    projection = {"ProjectionType": "KEYS_ONLY"}
    assert index == {**OLDER, "SimilarityFunction": "COSINE", "Projection": projection, "IndexStatus": "ACTIVE"}
    (index,) = newer.ok("DescribeTable", {"TableName": "tab"})["Table"]["VectorIndexes"]
    arn = "arn:scylla:alternator:alternator_tab:scylla:table/tab/index/vec"
    assert index == {**NEWER, "IndexStatus": "ACTIVE", "IndexArn": arn}


def test_a_new_index_is_being_created() -> None:
    with running() as cluster, Wire(cluster.nodes[0]) as wire:
        for number, index in enumerate((OLDER, NEWER)):
            made = wire.ok("CreateTable", {"TableName": f"tab{number}", **schema_of(index), "VectorIndexes": [index]})
            assert [index["IndexStatus"] for index in made["TableDescription"]["VectorIndexes"]] == ["CREATING"]
            table = wire.ok("DescribeTable", {"TableName": f"tab{number}"})["Table"]
            (described,) = table["VectorIndexes"]
            assert described["Dimensions"] == described["VectorAttribute"]["Dimensions"] == 2
            assert described["IndexStatus"] == "ACTIVE"


def test_indexes_come_and_go_with_update_table(older: Wire) -> None:
    def update(**action: Any) -> dict[str, Any]:
        return {"TableName": "tab", "VectorIndexUpdates": [action]}

    second = {"IndexName": "second", "VectorAttribute": {"AttributeName": "w", "Dimensions": 3}}
    made = older.ok("UpdateTable", update(Create=second))["TableDescription"]["VectorIndexes"]
    assert [(index["IndexName"], index["IndexStatus"]) for index in made] == [("vec", "ACTIVE"), ("second", "CREATING")]
    for name, attribute, reason in (
        ("vec", "x", "exists"),
        ("third", "v", "AttributeName"),
        ("third", "k", "AttributeN"),
    ):
        third = {"IndexName": name, "VectorAttribute": {"AttributeName": attribute, "Dimensions": 3}}
        kind, message = older.refused("UpdateTable", update(Create=third))
        assert kind == "ValidationException"
        assert reason in message
    older.ok("UpdateTable", update(Delete={"IndexName": "second"}))
    assert older.refused("UpdateTable", update(Delete={"IndexName": "second"}))[0] == "ResourceNotFoundException"
    both = [{"Delete": {"IndexName": "vec"}}, {"Create": second}]
    refusal = older.refused("UpdateTable", {"TableName": "tab", "VectorIndexUpdates": both})
    assert refusal[0] == "LimitExceededException"
    assert older.refused("UpdateTable", {"TableName": "tab", "VectorIndexUpdates": []})[0] == "ValidationException"
    older.ok("UpdateTable", update(Delete={"IndexName": "vec"}))
    assert "VectorIndexes" not in older.ok("DescribeTable", {"TableName": "tab"})["Table"]
    assert older.refused("Query", query())[0] == "ValidationException"


def test_an_index_of_another_kind_cannot_have_its_name_or_attribute(older: Wire) -> None:
    def by_g(name: str, attribute: str) -> dict[str, Any]:
        schema = [{"AttributeName": attribute, "KeyType": "HASH"}]
        index = {"IndexName": name, "KeySchema": schema, "Projection": {"ProjectionType": "ALL"}}
        types = [{"AttributeName": attribute, "AttributeType": "S"}]
        return {
            "TableName": "tab",
            "AttributeDefinitions": types,
            "GlobalSecondaryIndexUpdates": [{"Create": index}],
        }

    assert "exists" in older.refused("UpdateTable", by_g("vec", "g"))[1]
    assert "AttributeDefinitions" in older.refused("UpdateTable", by_g("by_v", "v"))[1]
    older.ok("UpdateTable", by_g("by_k", "k"))
    assert older.ok("Query", query())["Count"] == 2  # the vector index is still there


@pytest.mark.parametrize("form", ["older", "newer"])
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"IndexName": "xy"}, "IndexName"),
        ({"IndexName": "x" * 193}, "IndexName"),
        ({"IndexName": "hello world"}, "IndexName"),
        ({"IndexName": None}, "IndexName"),
        ({"attribute": ""}, "AttributeName"),
        ({"attribute": "k"}, "AttributeName"),
        ({"attribute": None}, "AttributeName"),
        ({"dimensions": 0}, "Dimensions"),
        ({"dimensions": 16_001}, "Dimensions"),
        ({"dimensions": 1.5}, "Dimensions"),
        ({"dimensions": "2"}, "Dimensions"),
        ({"dimensions": None}, "Dimensions"),
        ({"function": "MANHATTAN"}, "Function"),
        ({"projection": "SOME"}, "Projection"),
    ],
)
def test_indexes_that_cannot_be(form: str, change: dict[str, Any], reason: str) -> None:
    base = OLDER if form == "older" else NEWER
    index: dict[str, Any] = {**base, "VectorAttribute": {**base["VectorAttribute"]}}  # type: ignore[dict-item]
    if "IndexName" in change:
        index["IndexName"] = change["IndexName"]
    if "attribute" in change:
        index["VectorAttribute"]["AttributeName"] = change["attribute"]
    if "dimensions" in change:
        (index["VectorAttribute"] if form == "older" else index)["Dimensions"] = change["dimensions"]
    if "function" in change:
        index["SimilarityFunction" if form == "older" else "DistanceFunction"] = change["function"]
    if "projection" in change:
        index["Projection"] = {"ProjectionType": change["projection"]}
    with running("alternator" if form == "older" else "aws") as cluster, Wire(cluster.nodes[0]) as wire:
        kind, message = wire.refused("CreateTable", {"TableName": "tab", **schema_of(index), "VectorIndexes": [index]})
        assert kind == "ValidationException"
        assert reason in message
        assert wire.ok("ListTables", {})["TableNames"] == []
    assert cluster.failures == []


def test_two_indexes_cannot_share_a_name_or_an_attribute() -> None:
    with running() as cluster, Wire(cluster.nodes[0]) as wire:
        other = {"IndexName": "other", "VectorAttribute": {"AttributeName": "w", "Dimensions": 2}}
        for second in ({**other, "IndexName": "vec"}, {**OLDER, "IndexName": "other"}):
            message = wire.refused("CreateTable", {"TableName": "tab", **BY_K, "VectorIndexes": [OLDER, second]})[1]
            assert "Duplicate" in message
        wire.ok("CreateTable", {"TableName": "tab", **BY_K, "VectorIndexes": [OLDER, other]})


def test_two_indexes_of_awss_may_share_an_attribute_of_the_same_dimensions(newer: Wire) -> None:
    second = {**NEWER, "IndexName": "second", "DistanceFunction": "EUCLIDEAN"}
    del second["SearchSchema"]
    add = {"TableName": "tab", "VectorIndexUpdates": [{"Create": {**second, "Dimensions": 3}}]}
    assert "Dimensions" in newer.refused("UpdateTable", add)[1]
    add["VectorIndexUpdates"] = [{"Create": second}]
    newer.ok("UpdateTable", add)
    results = newer.ok("SearchVectors", search(IndexName="second", TopK=1))["SearchResults"]
    assert (results[0]["Item"]["k"], results[0]["Score"]) == (s("east"), 0)


# ---- the search schema of AWS's dialect --------------------------------------------------------------------------


def schema(**kinds: str) -> list[dict[str, str]]:
    return [{"AttributeName": name, "SearchSchemaElementType": kind} for name, kind in kinds.items()]


def with_schema(**change: Any) -> dict[str, Any]:
    """A table with an index that is divided by `h`, and filters by `f`."""
    definitions = [*BY_K["AttributeDefinitions"], {"AttributeName": "h", "AttributeType": "S"}]
    definitions.append({"AttributeName": "f", "AttributeType": "N"})
    index = {**NEWER, "SearchSchema": schema(h="HASH", f="INLINE_FILTER"), **change.pop("index", {})}
    return {"TableName": "div", **BY_K, "AttributeDefinitions": definitions, "VectorIndexes": [index], **change}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"index": {"SearchSchema": []}}, "SearchSchema"),
        ({"index": {"SearchSchema": schema(h="hash")}}, "SearchSchemaElementType"),
        ({"index": {"SearchSchema": schema(h="HASH") * 2}}, "Duplicate"),
        ({"index": {"SearchSchema": schema(h="HASH", f="HASH")}}, "SearchSchema"),
        ({"index": {"SearchSchema": schema(missing="HASH")}}, "attribute definitions"),
        ({"index": {"Projection": {"ProjectionType": "INCLUDE"}}}, "NonKeyAttributes"),
        ({"index": {"Projection": {"ProjectionType": "ALL", "NonKeyAttributes": ["x"]}}}, "NonKeyAttributes"),
        ({"AttributeDefinitions": BY_K["AttributeDefinitions"]}, "attribute definitions"),
        (
            {"AttributeDefinitions": [*BY_K["AttributeDefinitions"], {"AttributeName": "h", "AttributeType": "L"}]},
            "'L'",
        ),
    ],
)
def test_search_schemas_that_cannot_be(newer: Wire, change: dict[str, Any], reason: str) -> None:
    kind, message = newer.refused("CreateTable", with_schema(**change))
    assert kind == "ValidationException"
    assert reason in message


def test_what_a_search_schema_needs_is_described(newer: Wire) -> None:
    created = with_schema()
    newer.ok("CreateTable", created)
    described = newer.ok("DescribeTable", {"TableName": "div"})["Table"]
    assert sorted(map(str, described["AttributeDefinitions"])) == sorted(map(str, created["AttributeDefinitions"]))
    newer.ok("UpdateTable", {"TableName": "div", "VectorIndexUpdates": [{"Delete": {"IndexName": "vec"}}]})
    described = newer.ok("DescribeTable", {"TableName": "div"})["Table"]
    assert described["AttributeDefinitions"] == BY_K["AttributeDefinitions"]
    (index,) = created["VectorIndexes"]
    add = {"TableName": "div", "VectorIndexUpdates": [{"Create": index}]}
    assert "attribute definitions" in newer.refused("UpdateTable", add)[1]
    add["AttributeDefinitions"] = created["AttributeDefinitions"][1:]
    described = newer.ok("UpdateTable", add)["TableDescription"]
    assert sorted(map(str, described["AttributeDefinitions"])) == sorted(map(str, created["AttributeDefinitions"]))


def test_an_index_that_is_divided(newer: Wire) -> None:
    newer.ok("CreateTable", with_schema())
    for name, more in (
        ("both", {"h": s("x"), "f": n(1)}),
        ("other", {"h": s("y"), "f": n(1)}),
        ("no filter", {"h": s("x")}),
        ("no hash", {"f": n(1)}),
    ):
        newer.ok("PutItem", {"TableName": "div", "Item": {"k": s(name), "v": as_list(1, 0), **more}})

    def nearest(condition: str, **values: Any) -> set[str]:
        request = {
            "SearchConditionExpression": condition,
            "ExpressionAttributeValues": {f":{name}": value for name, value in values.items()},
        }
        answer = newer.ok("SearchVectors", search(TableName="div", TopK=9, **request))
        return set(keys([result["Item"] for result in answer["SearchResults"]]))

    assert nearest("h = :h", h=s("x")) == {"both", "no filter"}
    assert nearest("h = :h AND f = :f", h=s("x"), f=n(1)) == {"both"}
    assert "HASH" in newer.refused("SearchVectors", search(TableName="div"))[1]
    wrong = {"SearchConditionExpression": "h = :h", "ExpressionAttributeValues": {":h": n(1)}}
    assert "type S" in newer.refused("SearchVectors", search(TableName="div", **wrong))[1]


def test_writes_of_what_the_index_cannot_filter_by(newer: Wire) -> None:
    newer.ok("CreateTable", with_schema())
    for wrong in ({"h": n(1)}, {"h": s("")}, {"f": s("x")}):
        item = {"k": s("a"), **wrong}
        assert newer.refused("PutItem", {"TableName": "div", "Item": item})[0] == "ValidationException"
    newer.ok("PutItem", {"TableName": "div", "Item": {"k": s("a"), "h": s("x"), "f": n(1)}})


def test_items_from_before_an_index_that_filters(newer: Wire) -> None:
    created = with_schema()
    (index,) = created.pop("VectorIndexes")
    definitions = created.pop("AttributeDefinitions")
    newer.ok("CreateTable", {**created, "AttributeDefinitions": definitions[:1]})
    for name, more in (
        ("good", {"h": s("x")}),
        ("bad hash", {"h": n(1)}),
        ("empty", {"h": s("")}),
        ("bad filter", {"h": s("x"), "f": s("1")}),
    ):
        newer.ok("PutItem", {"TableName": "div", "Item": {"k": s(name), "v": as_list(1, 0), **more}})
    add = {"TableName": "div", "AttributeDefinitions": definitions[1:], "VectorIndexUpdates": [{"Create": index}]}
    newer.ok("UpdateTable", add)
    condition = {"SearchConditionExpression": "h = :h", "ExpressionAttributeValues": {":h": s("x")}}
    answer = newer.ok("SearchVectors", search(TableName="div", TopK=9, **condition))
    assert keys([result["Item"] for result in answer["SearchResults"]]) == ["good"]


def test_tables_with_vnodes_have_none() -> None:
    with running(tablets=None) as cluster, Wire(cluster.nodes[0]) as wire:
        assert "vnodes" in wire.refused("CreateTable", {"TableName": "tab", **BY_K, "VectorIndexes": [OLDER]})[1]


# ---- a server that does not speak a dialect ----------------------------------------------------------------------


def test_the_other_dialect_is_not_understood(older: Wire, newer: Wire) -> None:
    assert older.refused("SearchVectors", search())[0] == "UnknownOperationException"
    assert newer.refused("Query", query())[0] == "ValidationException"
    for wire, form in ((older, NEWER), (newer, OLDER)):
        refused = wire.refused("CreateTable", {"TableName": "new", **schema_of(form), "VectorIndexes": [form]})
        assert refused[0] == "ValidationException"


@pytest.mark.parametrize("settings", [{"dialect": None}, {"version": "2026.1"}])
def test_servers_without_vector_search(settings: dict[str, Any]) -> None:
    with running(**settings) as cluster, Wire(cluster.nodes[0]) as wire:
        fill(wire, OLDER)
        assert "VectorIndexes" not in wire.ok("DescribeTable", {"TableName": "tab"})["Table"]
        assert wire.refused("SearchVectors", search())[0] == "UnknownOperationException"
        assert wire.refused("Query", query())[0] == "ValidationException"
        wire.ok("PutItem", {"TableName": "tab", "Item": {"k": s("x"), "v": s("not a vector")}})


def test_only_these_words_name_dialects() -> None:
    with pytest.raises(ConfigurationError, match="vector_dialect must be 'both', 'aws', 'alternator' or None"):
        LocalCluster(vector_dialect="older")  # type: ignore[arg-type]


# ---- SearchVectors -----------------------------------------------------------------------------------------------


def test_a_search_returns_the_nearest_items(newer: Wire) -> None:
    results = newer.ok("SearchVectors", search(TopK=10))["SearchResults"]
    assert keys([result["Item"] for result in results]) == ["east", "northeast", "north", "west"]
    assert [result["Score"] for result in results] == pytest.approx([0, 0.29289323, 1, 2])
    assert results[0]["Item"] == {"k": s("east"), "kind": s("axis"), "len": n(4)}
    results = newer.ok("SearchVectors", search(TopK=1, ProjectionExpression="v, len"))["SearchResults"]
    assert results[0]["Item"] == {"v": as_list(1, 0), "len": n(4)}


def test_search_vectors_filters_first(newer: Wire) -> None:
    condition = {"SearchConditionExpression": "#k = :k", "ExpressionAttributeNames": {"#k": "kind", "#i": "k"}}
    values = {"ExpressionAttributeValues": {":k": s("axis")}, "ProjectionExpression": "#i, len"}
    results = newer.ok("SearchVectors", search(**condition, **values))["SearchResults"]
    assert [result["Item"] for result in results] == [{"k": s("east"), "len": n(4)}, {"k": s("north"), "len": n(5)}]


@pytest.mark.parametrize(("function", "scores"), [("EUCLIDEAN", [0, 1]), ("DOT_PRODUCT", [1, 1])])
def test_scores_of_search_vectors(function: str, scores: list[float]) -> None:
    with running() as cluster, Wire(cluster.nodes[0]) as wire:
        fill(wire, {**NEWER, "DistanceFunction": function})
        results = wire.ok("SearchVectors", search())["SearchResults"]
        assert {"east", "northeast"} == set(keys([result["Item"] for result in results]))
        assert [result["Score"] for result in results] == scores


def test_what_the_index_projects_is_shown() -> None:
    with running() as cluster, Wire(cluster.nodes[0]) as wire:
        some = {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["len"]}
        fill(wire, {**NEWER, "Projection": some})
        first = wire.ok("SearchVectors", search())["SearchResults"][0]["Item"]
        assert first == {"k": s("east"), "kind": s("axis"), "len": n(4)}
    with running() as cluster, Wire(cluster.nodes[0]) as wire:
        fill(wire, {**NEWER, "Projection": {"ProjectionType": "KEYS_ONLY"}})
        assert wire.ok("SearchVectors", search())["SearchResults"][0]["Item"] == {"k": s("east"), "kind": s("axis")}
        named = search(TopK=1, ProjectionExpression="v, len")
        assert wire.ok("SearchVectors", named)["SearchResults"][0]["Item"] == {"v": as_list(1, 0)}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"IndexName": None}, "IndexName"),
        ({"IndexName": "other"}, "other"),
        ({"SearchVector": as_list(1)["L"]}, "length"),
        ({"SearchVector": as_list(1, 2, 3)["L"]}, "length"),
        ({"SearchVector": [s("1"), s("2")]}, "only numbers"),
        ({"SearchVector": as_list(1, 1e39)["L"]}, "32-bit"),
        ({"SearchVector": []}, "SearchVector"),
        ({"TopK": 0}, "TopK"),
        ({"TopK": None}, "TopK"),
        ({"TopK": 1001}, "TopK"),
        ({"TopK": "2"}, "TopK"),
        ({"SearchConditionExpression": "len = :s", "ExpressionAttributeValues": {":s": n(4)}}, "SearchSchema"),
        ({"SearchConditionExpression": "kind < :s", "ExpressionAttributeValues": {":s": s("x")}}, "only ="),
        ({"SearchConditionExpression": "kind = :s OR k = :s", "ExpressionAttributeValues": {":s": s("x")}}, "OR"),
        ({"ExpressionAttributeValues": {":s": s("x")}}, ":s"),
        ({"ExpressionAttributeNames": {"#s": "x"}}, "#s"),
    ],
)
def test_searches_that_are_refused(newer: Wire, change: dict[str, Any], reason: str) -> None:
    kind, message = newer.refused("SearchVectors", search(**change))
    assert kind == "ValidationException"
    assert reason in message


def test_a_search_of_no_table(newer: Wire) -> None:
    assert newer.refused("SearchVectors", search(TableName="none"))[0] == "ResourceNotFoundException"


# ---- Query with VectorSearch -------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", [as_list(1, 0), {"FLOAT32VECTOR": [1, 0.0]}])
def test_a_query_returns_the_nearest_items(older: Wire, vector: Any) -> None:
    answer = older.ok("Query", query(vector, Limit=10))
    assert answer["Items"] == [{"k": s(name)} for name in ("east", "northeast", "north", "west")]
    assert (answer["Count"], answer["ScannedCount"]) == (4, 4)
    assert answer["Scores"] == pytest.approx([1, 0.85355339, 0.5, 0])
    assert "Scores" not in older.ok("Query", query(vector, returns=None))


def test_what_a_query_shows(older: Wire) -> None:
    def shown(**more: Any) -> Any:
        return older.ok("Query", query(Limit=1, **more)).get("Items")

    everything = {"k": s("east"), "v": as_list(1, 0), "kind": s("axis"), "len": n(4)}
    assert shown(Select="ALL_ATTRIBUTES") == [everything]
    assert shown(Select="ALL_PROJECTED_ATTRIBUTES") == [{"k": s("east")}]
    assert shown(ProjectionExpression="#0, len", ExpressionAttributeNames={"#0": "kind"}) == [
        {"kind": s("axis"), "len": n(4)}
    ]
    assert shown(AttributesToGet=["len"]) == [{"len": n(4)}]
    counted = older.ok("Query", query(returns=None, Select="COUNT"))
    assert counted == {"Count": 2, "ScannedCount": 2}


def test_a_query_filters_before_and_after(older: Wire) -> None:
    values = {"ExpressionAttributeValues": {":a": s("north"), ":b": s("west")}}
    before = older.ok("Query", query(KeyConditionExpression="k IN (:a, :b)", **values))
    assert keys(before["Items"]) == ["north", "west"]
    between = older.ok("Query", query(KeyConditionExpression="k BETWEEN :a AND :b AND (k >= :a)", **values))
    assert keys(between["Items"]) == ["northeast", "north"]
    after = older.ok("Query", query(FilterExpression="kind <> :k", ExpressionAttributeValues={":k": s("axis")}))
    assert (keys(after["Items"]), after["Count"], after["ScannedCount"]) == (["northeast"], 1, 2)
    assert after["Scores"] == pytest.approx([0.85355339])


@pytest.mark.parametrize(("function", "scores"), [("EUCLIDEAN", [1, 0.5]), ("DOT_PRODUCT", [1, 1])])
def test_a_query_returns_scores(function: str, scores: list[float]) -> None:
    with running() as cluster, Wire(cluster.nodes[0]) as wire:
        fill(wire, {**OLDER, "SimilarityFunction": function})
        assert wire.ok("Query", query())["Scores"] == scores


def test_the_older_dialects_score_is_of_the_squared_distance() -> None:
    with running() as cluster, Wire(cluster.nodes[0]) as wire:
        fill(wire, {**OLDER, "SimilarityFunction": "EUCLIDEAN"})
        assert wire.ok("Query", query(as_list(4, 0), Limit=1))["Scores"] == pytest.approx([1 / (1 + 3 * 3)])


def test_a_score_is_a_number_of_json() -> None:
    with running() as cluster, Wire(cluster.nodes[0]) as wire:
        fill(wire, {**OLDER, "SimilarityFunction": "DOT_PRODUCT"})
        wire.ok("PutItem", {"TableName": "tab", "Item": {"k": s("far"), "v": as_list(3e38, 0)}})
        assert wire.ok("Query", query(as_list(3e38, 0)))["Scores"][0] == pytest.approx(3.4028235e38)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"IndexName": None}, "IndexName"),
        ({"IndexName": "other"}, "is not a vector index"),
        ({"VectorSearch": {}}, "QueryVector"),
        ({"VectorSearch": {"QueryVector": s("x")}}, "list of numbers"),
        ({"VectorSearch": {"QueryVector": {"L": [n(1), s("b")]}}}, "only numbers"),
        ({"VectorSearch": {"QueryVector": as_list(1)}}, "length"),
        ({"VectorSearch": {"QueryVector": {"FLOAT32VECTOR": [1, 2, 3]}}}, "length"),
        ({"VectorSearch": {"QueryVector": as_list(1, 0), "ReturnScores": "ALL"}}, "ReturnScores"),
        ({"Limit": None}, "Limit"),
        ({"Limit": 0}, "Limit"),
        ({"Limit": 1001}, "Limit"),
        ({"Limit": 1.5}, "Limit"),
        ({"ConsistentRead": True}, "ConsistentRead"),
        ({"ExclusiveStartKey": {"k": s("a")}}, "ExclusiveStartKey"),
        ({"ScanIndexForward": True}, "ScanIndexForward"),
        ({"QueryFilter": {}}, "QueryFilter"),
        ({"KeyConditions": {}}, "KeyConditions"),
        ({"Select": "SOME"}, "Select"),
        ({"Select": "SPECIFIC_ATTRIBUTES"}, "SPECIFIC_ATTRIBUTES"),
        ({"Select": "ALL_ATTRIBUTES", "ProjectionExpression": "k"}, "SPECIFIC_ATTRIBUTES"),
        ({"Select": "COUNT"}, "COUNT"),
        ({"ExpressionAttributeValues": {":val2": s("a")}}, ":val2"),
        ({"KeyConditionExpression": "kind = :s", "ExpressionAttributeValues": {":s": s("x")}}, "projected"),
        ({"KeyConditionExpression": "k = :s OR k = :s", "ExpressionAttributeValues": {":s": s("x")}}, "OR"),
        ({"KeyConditionExpression": "NOT k = :s", "ExpressionAttributeValues": {":s": s("x")}}, "KeyCondition"),
        ({"KeyConditionExpression": "k <> :s", "ExpressionAttributeValues": {":s": s("x")}}, "<>"),
        ({"KeyConditionExpression": "attribute_exists(k)"}, "KeyCondition"),
        ({"KeyConditionExpression": "k.b = :s", "ExpressionAttributeValues": {":s": s("x")}}, "nested"),
        ({"KeyConditionExpression": "k = :s", "ExpressionAttributeValues": {":s": n(1)}}, "Type mismatch"),
        ({"KeyConditionExpression": "k = :s", "ExpressionAttributeValues": {":s": {"L": []}}}, "type S or N"),
    ],
)
def test_queries_that_are_refused(older: Wire, change: dict[str, Any], reason: str) -> None:
    kind, message = older.refused("Query", {name: v for name, v in {**query(), **change}.items() if v is not None})
    assert kind == "ValidationException"
    assert reason in message


def test_an_ordinary_query_of_a_vector_index(older: Wire) -> None:
    plain = {"TableName": "tab", "IndexName": "vec", "KeyConditionExpression": "k = :k"}
    kind, message = older.refused("Query", {**plain, "ExpressionAttributeValues": {":k": s("a")}})
    assert (kind, "VectorSearch" in message) == ("ValidationException", True)
    assert "index type" in older.refused("Scan", {"TableName": "tab", "IndexName": "vec"})[1]


# ---- writes ------------------------------------------------------------------------------------------------------

WRONG = [
    s("not a list"),
    as_list(1),
    as_list(1, 2, 3),
    {"L": [n(1), s("two")]},
    as_list(1, 1e100),
    {"FLOAT32VECTOR": [1]},
    {"FLOAT32VECTOR": [1, 1e100]},
    {"FLOAT32VECTOR": [1, "2"]},
]


@pytest.mark.parametrize("value", WRONG)
def test_writes_of_what_is_not_a_vector_of_the_index(older: Wire, value: Any) -> None:
    item = {"k": s("new"), "v": value}
    assert older.refused("PutItem", {"TableName": "tab", "Item": item})[0] == "ValidationException"
    good = {"k": s("good"), "v": as_list(1, 2)}
    batch = {"RequestItems": {"tab": [{"PutRequest": {"Item": each}} for each in (good, item)]}}
    assert older.refused("BatchWriteItem", batch)[0] == "ValidationException"
    update = {"TableName": "tab", "Key": {"k": s("east")}}
    for change in (
        {"UpdateExpression": "SET v = :v", "ExpressionAttributeValues": {":v": value}},
        {
            "UpdateExpression": "SET len = :s, #v = if_not_exists(w, :v)",
            "ExpressionAttributeValues": {":v": value, ":s": n(1)},
            "ExpressionAttributeNames": {"#v": "v"},
        },
        {"AttributeUpdates": {"v": {"Action": "PUT", "Value": value}}},
    ):
        assert older.refused("UpdateItem", {**update, **change})[0] == "ValidationException"
    assert older.ok("Query", query(Limit=10))["Count"] == 4
    assert older.ok("GetItem", {"TableName": "tab", "Key": {"k": s("good")}}) == {}


def test_float_vectors_are_read_as_they_were_written(older: Wire) -> None:
    more = {"l": {"L": [{"FLOAT32VECTOR": [0.5]}]}, "m": {"M": {"FLOAT32VECTOR": s("a name"), "M": n(1)}}}
    item = {"k": s("float"), "v": {"FLOAT32VECTOR": [1.0, 0.25]}, "nothing": {"FLOAT32VECTOR": []}, **more}
    older.ok("PutItem", {"TableName": "tab", "Item": item})
    assert older.ok("GetItem", {"TableName": "tab", "Key": {"k": s("float")}})["Item"] == item
    assert keys(older.ok("Query", query())["Items"]) == ["east", "float"]
    update = {"UpdateExpression": "SET v = :v", "ExpressionAttributeValues": {":v": {"FLOAT32VECTOR": [-9, 0.1]}}}
    older.ok("UpdateItem", {"TableName": "tab", "Key": {"k": s("float")}, **update})
    after = older.ok("GetItem", {"TableName": "tab", "Key": {"k": s("float")}})["Item"]["v"]["FLOAT32VECTOR"]
    assert after == pytest.approx([-9, 0.1])
    assert after != [-9, 0.1]  # 4 bytes each
    assert keys(older.ok("Query", query(Limit=1, vector=as_list(-1, 0)))["Items"]) == ["west"]
    items = older.ok("Scan", {"TableName": "tab", "FilterExpression": "attribute_exists(nothing)"})["Items"]
    assert items[0]["nothing"] == {"FLOAT32VECTOR": []}


def test_items_from_before_the_index_are_left_out(older: Wire) -> None:
    older.ok("CreateTable", {"TableName": "old", **BY_K})
    for name, value in (("text", s("x")), ("short", as_list(1)), ("good", as_list(1, 2)), ("none", {"NULL": True})):
        older.ok("PutItem", {"TableName": "old", "Item": {"k": s(name), "v": value}})
    older.ok("UpdateTable", {"TableName": "old", "VectorIndexUpdates": [{"Create": OLDER}]})
    assert keys(older.ok("Query", query(TableName="old"))["Items"]) == ["good"]
    assert older.refused("PutItem", {"TableName": "old", "Item": {"k": s("x"), "v": s("x")}})


def test_deleted_items_are_not_found(older: Wire) -> None:
    older.ok("DeleteItem", {"TableName": "tab", "Key": {"k": s("east")}})
    assert keys(older.ok("Query", query())["Items"]) == ["northeast", "north"]
    older.ok("DeleteTable", {"TableName": "tab"})
    assert older.refused("Query", query())[0] == "ResourceNotFoundException"


def test_a_table_that_is_made_again_has_no_index(older: Wire) -> None:
    older.ok("DeleteTable", {"TableName": "tab"})
    older.ok("CreateTable", {"TableName": "tab", **BY_K})
    assert "VectorIndexes" not in older.ok("DescribeTable", {"TableName": "tab"})["Table"]
    older.ok("PutItem", {"TableName": "tab", "Item": {"k": s("x"), "v": s("not a vector")}})


# ---- saved and loaded --------------------------------------------------------------------------------------------


def test_indexes_and_vectors_are_saved(tmp_path: Path) -> None:
    path = tmp_path / "saved.jsonl"
    with running() as cluster, Wire(cluster.nodes[0]) as wire:
        fill(wire, NEWER)
        wire.ok("CreateTable", {**with_schema(), "TableName": "old", "VectorIndexes": [OLDER], **BY_K})
        item = {"k": s("a"), "v": {"FLOAT32VECTOR": [0.5, 1]}}
        wire.ok("PutItem", {"TableName": "old", "Item": item})
        described = [wire.ok("DescribeTable", {"TableName": name})["Table"]["VectorIndexes"] for name in ("tab", "old")]
        cluster.save(path)
    with running() as cluster, Wire(cluster.nodes[0]) as wire:
        assert cluster.load(path) == len(VECTORS) + 2
        again = [wire.ok("DescribeTable", {"TableName": name})["Table"]["VectorIndexes"] for name in ("tab", "old")]
        assert again == described
        assert wire.ok("GetItem", {"TableName": "old", "Key": {"k": s("a")}})["Item"] == item
        results = wire.ok("SearchVectors", search(TopK=1))["SearchResults"]
        assert keys([result["Item"] for result in results]) == ["east"]
        assert keys(wire.ok("Query", query(TableName="old"))["Items"]) == ["a"]


def test_a_server_without_float_vectors_refuses_them() -> None:
    for settings in ({"vector_dialect": "aws"}, {"version": "2025.1"}):
        with LocalCluster(1, **settings) as cluster, Wire(cluster.nodes[0]) as wire:
            wire.ok("CreateTable", {"TableName": "tab", **BY_K})
            for value in ({"FLOAT32VECTOR": [1]}, {"L": [{"M": {"a": {"FLOAT32VECTOR": [1]}}}]}):
                put = {"TableName": "tab", "Item": {"k": s("a"), "v": value}}
                kind, message = wire.refused("PutItem", put)
                assert (kind, "unknown type FLOAT32VECTOR" in message) == ("ValidationException", True)
            wire.ok("PutItem", {"TableName": "tab", "Item": {"k": s("a"), "FLOAT32VECTOR": n(1)}})
            wire.ok("PutItem", {"TableName": "tab", "Item": {"k": s("b"), "v": {"M": {"FLOAT32VECTOR": n(1)}}}})
            assert wire.ok("Scan", {"TableName": "tab"})["Count"] == 2
