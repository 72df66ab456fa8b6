"""Vector search with models, over clusters that speak AWS's dialect, the older one, both, and none."""

from __future__ import annotations

import array
import json
import math
from collections.abc import Iterator
from typing import Any, ClassVar

import pynamodb.models
import pytest
from pynamodb.attributes import DiscriminatorAttribute, MapAttribute, NumberAttribute, UnicodeAttribute
from pynamodb.exceptions import PutError, QueryError, TableDoesNotExist, TableError
from pynamodb.expressions.operand import Path
from pynamodb.indexes import AllProjection, GlobalSecondaryIndex, IncludeProjection, KeysOnlyProjection
from pynamodb.signals import pre_dynamodb_send

from pynamodb_alternator import (
    AlternatorConnection,
    Cluster,
    Model,
    VectorAttribute,
    VectorIndex,
    close_all,
    configure,
    get_cluster,
    install,
)
from pynamodb_alternator.core.vector_dialects import AWS
from pynamodb_alternator.errors import ConfigurationError, VectorError
from pynamodb_alternator.local import LocalCluster

from .support import forget, received


class ByLanguage(GlobalSecondaryIndex["Document"]):
    class Meta:
        projection = AllProjection()

    language = UnicodeAttribute(hash_key=True, attr_name="lang")


class ByDotProduct(VectorIndex["Document"]):
    class Meta:
        index_name = "by-dot-product"
        attribute = "features"
        distance = "dot_product"


class Document(Model):
    class Meta:
        table_name = "documents"
        billing_mode = "PAY_PER_REQUEST"

    name = UnicodeAttribute(hash_key=True)
    language = UnicodeAttribute(default="en", attr_name="lang")
    year = NumberAttribute(default=2000)
    embedding = VectorAttribute(dimensions=2, null=True, attr_name="emb")
    features = VectorAttribute(dimensions=3, null=True)
    by_language = ByLanguage()
    embedding_index = VectorIndex(
        embedding, index_name="by-embedding", distance="euclidean", search_schema={"language": "INLINE_FILTER"}
    )
    feature_index = ByDotProduct()


VECTORS = {"east": (1.0, 0.0), "north": (0.0, 2.0), "northeast": (1.0, 1.0), "west": (-1.0, 0.0)}
LANGUAGES = {"east": "en", "north": "de", "northeast": "en", "west": "de"}


@pytest.fixture(params=["aws", "alternator", "both"])
def vectors(request: pytest.FixtureRequest) -> Iterator[LocalCluster]:
    """The default cluster, which speaks one dialect, or both."""
    with LocalCluster(nodes=2, vector_dialect=request.param) as local:
        configure(default=local.url)
        yield local
        close_all()
    assert local.failures == []


@pytest.fixture
def filled(vectors: LocalCluster) -> LocalCluster:
    Document.create_table(wait=True)
    with Document.batch_write() as batch:
        for number, (name, vector) in enumerate(VECTORS.items()):
            features = [number, 0, 1]
            batch.save(
                Document(name, language=LANGUAGES[name], year=2000 + number, embedding=vector, features=features)
            )
        batch.save(Document("nowhere"))
    return vectors


def is_of_aws() -> bool:
    """Whether the cluster is searched in AWS's dialect."""
    return get_cluster().core.questions.vector_dialect.dialect is AWS


def searches(local: LocalCluster, operation: str) -> int:
    """How many requests of this operation came for a table of ours."""
    return sum(not request.table.startswith(".") for request in received(local, operation))


def names(items: Any) -> list[str]:
    return [item.name for item in items]


# ---- searches ----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("filled")
def test_the_nearest_items_come_first_with_score_and_distance() -> None:
    results = Document.embedding_index.search([1, 0], k=3)
    assert names(results) == ["east", "northeast", "west"] or names(results) == ["east", "northeast", "north"]
    assert len(results) == 3
    first: Any = results[0]
    assert isinstance(first, Document)
    assert (first.score, first.distance) == (1.0, 0.0)
    assert (first.embedding, first.features, first.language, first.year) == ([1.0, 0.0], [0.0, 0.0, 1.0], "en", 2000)
    assert [results.scored()[1].score, results.scored()[1].distance] == pytest.approx([0.5, 1.0])
    assert names(results[1:]) == names(list(results))[1:]
    assert repr(results) == "<VectorResults of 3 items>"
    assert len(Document.embedding_index.search([1, 0], k=Whole(2))) == 2  # type: ignore[arg-type]


class Whole:
    """As much of a whole number of numpy as we use."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __index__(self) -> int:
        return self._number


@pytest.mark.usefixtures("filled")
def test_a_second_index_has_a_distance_of_its_own() -> None:
    results = Document.feature_index.search([2, 0, 0], k=10)
    assert names(results) == ["west", "northeast", "north", "east"]
    assert [item.score for item in results.scored()] == pytest.approx([6, 4, 2, 0])
    assert [item.distance for item in results.scored()] == pytest.approx([-6, -4, -2, 0])


@pytest.mark.parametrize(
    ("distance", "nearest", "distances"),
    [
        ("cosine", ["east", "northeast", "north", "west"], [0, 1 - math.sqrt(0.5), 1, 2]),
        ("euclidean", ["northeast", "east", "north", "west"], [math.hypot(2, 1), 2, math.hypot(3, 2), 4]),
        ("dot_product", ["east", "northeast", "north", "west"], [-3, -3, 0, 3]),
    ],
)
@pytest.mark.usefixtures("vectors")
def test_a_search_uses_the_distance_of_the_index(distance: Any, nearest: list[str], distances: list[float]) -> None:
    class Arrow(Model):
        class Meta:
            table_name = "arrows"

        name = UnicodeAttribute(hash_key=True)
        direction = VectorAttribute(2)
        index = VectorIndex(distance=distance)

    Arrow.create_table(wait=True, billing_mode="PAY_PER_REQUEST")
    for name, vector in VECTORS.items():
        Arrow(name, direction=vector).save()
    results = Arrow.index.search((3, 0), k=4)
    told = dict(zip(names(results), [item.distance for item in results.scored()], strict=True))
    assert told == pytest.approx(dict(zip(nearest, distances, strict=True)), abs=1e-6)
    assert sorted(told.values()) == list(told.values())
    scores = [item.score for item in results.scored()]
    assert sorted(scores, reverse=True) == scores


def test_the_dialect_is_learnt_once(filled: LocalCluster) -> None:
    forget(filled)
    for _ in range(3):
        Document.embedding_index.search([1, 0], k=1)
    asked = searches(filled, "SearchVectors"), searches(filled, "Query")
    assert asked == ((3, 0) if is_of_aws() else (0, 3))


@pytest.mark.parametrize("make", [tuple, list, lambda vector: array.array("f", vector), lambda vector: Like(vector)])
@pytest.mark.usefixtures("filled")
def test_vectors_may_be_arrays(make: Any) -> None:
    assert names(Document.embedding_index.search(make([1, 0]), k=1)) == ["east"]
    made = Document("made", embedding=make([5, 5]))
    assert made.embedding == [5.0, 5.0]
    made.save()
    made.update(actions=[Document.features.set(make([1, 2, 3]))])
    assert (made.embedding, made.features) == ([5.0, 5.0], [1.0, 2.0, 3.0])
    assert names(Document.embedding_index.search(make([5, 5]), k=1)) == ["made"]


class Like:
    """As much of an array of numpy as we use."""

    def __init__(self, numbers: Any) -> None:
        self._numbers = numbers

    def tolist(self) -> list[Any]:
        return list(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    def __eq__(self, other: object) -> Any:
        raise ValueError("The truth value of an array with more than one element is ambiguous.")

    __bool__ = __eq__  # type: ignore[assignment]
    __hash__ = None  # type: ignore[assignment]


@pytest.mark.usefixtures("filled")
def test_a_filter_by_the_search_schema_leaves_k_items_in_both_dialects() -> None:
    results = Document.embedding_index.search([1, 0], k=2, filter=Document.language == "de")
    assert sorted(names(results)) == ["north", "west"]
    both = (Document.language == "en") & (Document.language == "en")
    assert names(Document.embedding_index.search([1, 0], k=2, filter=both)) == ["east", "northeast"]
    assert names(Document.embedding_index.search([1, 0], k=2, filter=Document.language == "fr")) == []


@pytest.mark.usefixtures("filled")
def test_other_filters_are_those_of_the_older_dialect() -> None:
    index = Document.embedding_index
    filters = {
        ("north",): Document.name == "north",
        ("north", "northeast"): Document.name.between("north", "northeast"),
        ("northeast", "west"): Document.year >= 2002,
        ("north", "northeast", "west"): (Document.year == 2001) | (Document.year > 2001),
        ("west",): (Document.year > 2000) & Document.name.startswith("we"),
        ("east", "northeast"): Document.name.contains("east"),
    }
    aws = is_of_aws()
    for expected, condition in filters.items():
        if aws:
            with pytest.raises(VectorError, match="Document, vector index 'by-embedding': search: this server filters"):
                index.search([1, 0], k=4, filter=condition)
        else:
            assert sorted(names(index.search([1, 0], k=4, filter=condition))) == list(expected)


@pytest.mark.parametrize("attributes", [["name", "language"], [Document.name, Document.language]])
@pytest.mark.usefixtures("filled")
def test_items_have_the_attributes_that_were_asked_for(attributes: Any) -> None:
    (item,) = Document.embedding_index.search([1, 0], k=1, attributes=attributes, filter=Document.language == "en")
    assert (item.name, item.language, item.embedding, item.features) == ("east", "en", None, None)
    (item,) = Document.embedding_index.search([1, 0], k=1, attributes="language")
    assert (item.name, item.language) == (None, "en")


@pytest.mark.usefixtures("vectors")
def test_numbers_are_filtered_by_as_in_other_requests() -> None:
    """2003.0 is 2003 for DynamoDB, and for this library in all conditions, although not for Alternator."""

    class Film(Model):
        class Meta:
            table_name = "films"
            billing_mode = "PAY_PER_REQUEST"

        name = UnicodeAttribute(hash_key=True)
        year = NumberAttribute()
        v = VectorAttribute(dimensions=1)
        near = VectorIndex(v, search_schema={"year": "INLINE_FILTER"})

    Film.create_table(wait=True)
    Film("a", year=2003, v=[1]).save()
    Film("b", year=2004.0, v=[1]).save()
    for year, name in ((2003, "a"), (2003.0, "a"), (2004, "b"), (2004.0, "b")):
        assert names(Film.near.search([1], k=2, filter=Film.year == year)) == [name]


class Part(MapAttribute[Any, Any]):
    color = UnicodeAttribute(attr_name="c")
    size = NumberAttribute()


@pytest.mark.usefixtures("vectors")
def test_attributes_of_maps_and_with_any_name() -> None:
    class Machine(Model):
        class Meta:
            table_name = "machines"
            billing_mode = "PAY_PER_REQUEST"

        name = UnicodeAttribute(hash_key=True, attr_name="full.name")
        part = Part(attr_name="p")
        v = VectorAttribute(dimensions=1, attr_name="v#1")
        near = VectorIndex(v)

    Machine.create_table(wait=True)
    Machine("a", part=Part(color="red", size=3), v=[1]).save()
    (item,) = Machine.near.search([1], k=1, attributes=["name", Machine.part.color])
    assert (item.name, item.part.color, item.part.size, item.v) == ("a", "red", None, None)
    (item,) = Machine.near.search([1], k=1, attributes=(each for each in [Path(["p", "c"]), "v"]))
    assert (item.name, item.part.color, item.v) == (None, "red", [1.0])


@pytest.mark.usefixtures("filled")
def test_an_item_that_was_found_is_whole_and_can_be_saved() -> None:
    """AWS's dialect leaves the vector out, unless it is asked for: a save would take it out of the table."""
    (item,) = Document.embedding_index.search([1, 0], k=1)
    item.year = 1999
    item.save()
    assert Document.get("east").serialize() == item.serialize()
    assert names(Document.embedding_index.search([1, 0], k=1)) == ["east"]
    assert "score" not in Document.get("east").serialize()


class Tenant(Model):
    class Meta:
        table_name = "tenants"
        billing_mode = "PAY_PER_REQUEST"

    name = UnicodeAttribute(hash_key=True)
    owner = UnicodeAttribute(attr_name="o")
    size = NumberAttribute(default=1)
    v = VectorAttribute(dimensions=1)
    index = VectorIndex(
        distance="euclidean",
        search_schema={"owner": "HASH", "size": "INLINE_FILTER", "name": "INLINE_FILTER"},
        projection=KeysOnlyProjection(),
    )


@pytest.mark.usefixtures("vectors")
def test_an_index_that_is_divided() -> None:
    Tenant.create_table(wait=True)
    for name, owner in (("a", "x"), ("b", "x"), ("c", "y")):
        Tenant(name, owner=owner, v=[1]).save()
    results = Tenant.index.search([1], k=3, filter=Tenant.owner == "x")
    assert sorted(names(results)) == ["a", "b"]
    assert [item.v for item in results] == [[1.0], [1.0]]
    one_of_them = Tenant.index.search([1], k=3, filter=(Tenant.owner == "x") & (Tenant.name == "b"))
    assert names(one_of_them) == ["b"]
    if is_of_aws():
        with pytest.raises(VectorError, match="the index is divided by 'o', which is HASH in its search_schema"):
            Tenant.index.search([1], k=3)
    else:
        assert len(Tenant.index.search([1], k=3)) == 3
    Tenant.index.delete()
    Tenant.index.create(wait=True)
    assert sorted(names(Tenant.index.search([1], k=3, filter=Tenant.owner == "x"))) == ["a", "b"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (([1], 1), "search: the vector must have 2 numbers (got 1)"),
        (([1, math.nan], 1), "search: the vector: element 1 must be a finite number (got nan)"),
        (([-math.inf, 1], 1), "search: the vector: element 0 must be a finite number (got -inf)"),
        (("ab", 1), "search: the vector must be a list of 2 numbers"),
        (([1, 0], 0), "search: k must be a whole number of at least 1 (got 0)"),
        (([1, 0], True), "search: k must be a whole number of at least 1 (got True)"),
        (([1, 0], 2.0), "search: k must be a whole number of at least 1 (got 2.0)"),
        (([1, 0], 1, "name = 'x'"), "search: filter must be a condition, such as Document.language == 'en'"),
        (([1, 0], "1"), "search: k must be a whole number of at least 1 (got '1')"),
        (([1, 0], 1, None, []), "search: attributes must name some"),
        (([1, 0], 1, None, 3), "search: attributes must be attributes of the model, or their names, such as ['name']"),
        (([1, 0], 1, None, ["name", None]), "search: attributes must be attributes of the model, or their names"),
        (([1, 0], 1, None, ""), "search: attributes must be attributes of the model, or their names"),
        (([1, 0], 1, None, ["a[b]"]), "search: attributes must be attributes of the model, or their names"),
    ],
)
def test_searches_that_cannot_be_are_errors_before_anything_is_sent(
    filled: LocalCluster, arguments: Any, says: str
) -> None:
    forget(filled)
    with pytest.raises(VectorError) as raised:
        Document.embedding_index.search(*arguments)
    assert str(raised.value).startswith(f"Document, vector index 'by-embedding': {says}")
    assert [request for node in filled.nodes for request in node.requests if request.operation] == []


@pytest.mark.parametrize("vector", [[1.0], [1.0, math.nan], [math.inf, 0.0], [1.0, "x"], 5])
def test_vectors_that_cannot_be_are_errors_before_anything_is_saved(filled: LocalCluster, vector: Any) -> None:
    forget(filled)
    item = Document("wrong", embedding=vector)
    for save in (
        item.save,
        lambda: item.update(actions=[Document.embedding.set(vector)]),
        lambda: Document.embedding_index.search(vector, k=1),
    ):
        with pytest.raises(VectorError, match=r"Document\.emb|by-embedding"):
            save()
    assert [request for node in filled.nodes for request in node.requests if request.operation] == []


@pytest.mark.usefixtures("filled")
def test_pynamodbs_signals_report_searches() -> None:
    told: list[str] = []

    def receive(sender: Any, operation_name: str, **_: Any) -> None:
        told.append(operation_name)

    with pre_dynamodb_send.connected_to(receive):
        assert names(Document.embedding_index.search([1, 0], k=1)) == ["east"]
    assert told[-1] in ("SearchVectors", "Query")


# ---- values ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vectors", ["alternator", "both"], indirect=True)
@pytest.mark.usefixtures("filled")
def test_what_is_stored_as_scylladbs_own_type_is_read_as_well() -> None:
    get_cluster().client.put_item(
        TableName="documents", Item={"name": {"S": "far"}, "emb": {"FLOAT32VECTOR": [9, 9.5]}, "lang": {"S": "en"}}
    )
    assert Document.get("far").embedding == [9.0, 9.5]
    (nearest,) = Document.embedding_index.search([9, 9], k=1)
    assert (nearest.name, nearest.embedding) == ("far", [9.0, 9.5])
    assert [item.embedding for item in Document.scan(Document.name == "far")] == [[9.0, 9.5]]


@pytest.mark.usefixtures("filled")
def test_what_is_not_a_list_of_numbers_cannot_be_read() -> None:
    """Its attribute has no index, or the server would have refused it."""

    class Other(Model):
        class Meta:
            table_name = "documents"

        name = UnicodeAttribute(hash_key=True)
        text = VectorAttribute(dimensions=2, null=True)

    get_cluster().client.put_item(TableName="documents", Item={"name": {"S": "a"}, "text": {"L": [{"S": "x"}]}})
    with pytest.raises(VectorError, match=r"Other\.text: the item has a list that is not one of numbers"):
        Other.get("a")


@pytest.mark.usefixtures("filled")
def test_vectors_are_as_other_attributes() -> None:
    item = Document.get("north")
    assert item.to_simple_dict()["emb"] == [0, 2]
    copied = Document()
    copied.from_dynamodb_dict(json.loads(json.dumps(item.to_dynamodb_dict())))
    assert copied.embedding == item.embedding == [0.0, 2.0]
    with pytest.raises(PutError):
        item.save(condition=Document.embedding == (0, 3))
    item.save(condition=Document.embedding == (0, 2))
    item.save(condition=Document.embedding != array.array("d", [0, 3]))
    item.update(actions=[Document.features.set(Document.features | (1, 2, 3))])
    assert item.features == [1.0, 0.0, 1.0]
    item.update(actions=[Document.embedding.remove()])
    assert Document.get("north").embedding is None
    assert "north" not in names(Document.embedding_index.search([0, 2], k=5))
    assert item.update(actions=[Document.year.set(1)], condition=Document.embedding.does_not_exist())
    assert sorted(names(Document.by_language.query("de"))) == ["north", "west"]


@pytest.mark.usefixtures("filled")
def test_conditions_and_updates_take_what_a_vector_may_be() -> None:
    item = Document.get("north")
    for vector in (
        [0, 2],
        (0, 2),
        array.array("f", [0, 2]),
        Like([0, 2]),
        range(0, 4, 2),
        {"L": [{"N": "0"}, {"N": "2.0"}]},
    ):
        item.update(actions=[Document.embedding.set(vector)])
        assert item.embedding == [0.0, 2.0]
        item.save(condition=Document.embedding == vector)
        item.save(condition=Document.embedding.is_in(vector, (1, 1)))
        with pytest.raises(PutError):
            item.save(condition=Document.embedding != vector)
    item.save(condition=Document.embedding.contains(2) & Document.embedding.contains(LikeNumber(0)))
    item.save(condition=Document.embedding == Document.embedding)
    with pytest.raises(PutError):
        item.save(condition=Document.embedding.contains(7))
    with pytest.raises(VectorError, match=r"Document\.emb: contains: element 0 must be a number"):
        Document.embedding.contains("2")
    for wrong in ("ab", b"ab", 5, {1, 2}):
        for use in (
            Document.embedding.set,
            Document.embedding.__eq__,
            Document.embedding.__ne__,
            Document.embedding.__or__,
            Document.embedding.is_in,
        ):
            with pytest.raises(
                VectorError, match=r"Document\.emb must be a list of 2 numbers, an array\.array, or an "
            ):
                use(wrong)


class LikeNumber(Like):
    """A number of numpy."""

    def tolist(self) -> Any:
        return self._numbers


class Plain(pynamodb.models.Model):
    """As `Document`, where nothing of ours makes instances of items."""

    class Meta:
        table_name = "documents"
        connection_class = AlternatorConnection

    name = UnicodeAttribute(hash_key=True)
    language = UnicodeAttribute(default="en", attr_name="lang")
    embedding = VectorAttribute(dimensions=2, null=True, attr_name="emb")
    embedding_index = VectorIndex(
        "embedding", index_name="by-embedding", distance="euclidean", search_schema={"language": "INLINE_FILTER"}
    )


@pytest.mark.usefixtures("vectors")
def test_plain_models_have_vector_indexes_where_they_are_installed() -> None:
    with pytest.raises(ConfigurationError, match="Plain, vector index 'by-embedding': the model's connection_class"):
        Plain.embedding_index.search([1, 0], k=1)
    install()
    Plain.create_table(wait=True, billing_mode="PAY_PER_REQUEST")
    Plain.embedding_index.wait_until_active()
    Plain("a", embedding=[3, 4]).save()
    (item,) = Plain.embedding_index.search([0, 0], k=5, filter=Plain.language == "en")
    assert type(item) is Plain
    assert (item.name, item.embedding) == ("a", [3.0, 4.0])
    assert item.distance == pytest.approx(5)  # type: ignore[attr-defined]


# ---- models ------------------------------------------------------------------------------------------------------


class Zoo(Model):
    class Meta:
        table_name = "zoo"
        billing_mode = "PAY_PER_REQUEST"

    kind = DiscriminatorAttribute(attr_name="kd")
    name = UnicodeAttribute(hash_key=True)
    looks = VectorAttribute(dimensions=1)
    by_looks = VectorIndex(index_name="by-looks", distance="euclidean")


class Bird(Zoo, discriminator="bird"):
    song = VectorAttribute(dimensions=2, null=True)
    by_song = VectorIndex("song", index_name="by-song")


class Cat(Zoo, discriminator="cat"):
    pass


@pytest.mark.usefixtures("vectors")
def test_models_that_share_a_table() -> None:
    Zoo.create_table(wait=True)
    assert Zoo.by_looks.status() == Bird.by_song.status() == Cat.by_looks.status() == "ACTIVE"
    Bird("wren", looks=[1], song=[1, 1]).save()
    Cat("tom", looks=[2]).save()
    results = Zoo.by_looks.search([0], k=2)
    assert [type(item) for item in results] == [Bird, Cat]
    assert names(Cat.by_looks.search([0], k=2)) == ["tom"]
    assert names(Bird.by_song.search([0, 1], k=2)) == ["wren"]
    # Whatever is read of an item, what it is of is known.
    for attributes in ("name", ["name", "kind"], ["name", "kd"], ["name", Zoo.kind]):
        results = Zoo.by_looks.search([0], k=2, attributes=attributes)
        assert [(type(item), item.name, item.looks) for item in results] == [(Bird, "wren", None), (Cat, "tom", None)]
        assert names(Cat.by_looks.search([0], k=2, attributes=attributes)) == ["tom"]


@pytest.mark.parametrize("projection", [KeysOnlyProjection(), IncludeProjection(["looks"]), AllProjection()])
@pytest.mark.usefixtures("vectors")
def test_what_an_index_projects_of_models_that_share_a_table(projection: Any) -> None:
    class Plant(Model):
        class Meta:
            table_name = "plants"
            billing_mode = "PAY_PER_REQUEST"

        kind = DiscriminatorAttribute()
        name = UnicodeAttribute(hash_key=True)
        looks = VectorAttribute(dimensions=1)
        by_looks = VectorIndex(projection=projection, search_schema={"kind": "INLINE_FILTER"})

    class Tree(Plant, discriminator="tree"):
        pass

    class Herb(Plant, discriminator="herb"):
        pass

    Plant.create_table(wait=True)
    Tree("oak", looks=[1]).save()
    Herb("mint", looks=[1]).save()
    assert {type(item) for item in Plant.by_looks.search([1], k=2)} == {Tree, Herb}
    assert names(Tree.by_looks.search([1], k=2)) == ["oak"]
    for model, name in ((Tree, "oak"), (Herb, "mint")):
        assert names(model.by_looks.search([1], k=1, filter=Plant.kind == model)) == [name]


@pytest.mark.usefixtures("vectors")
def test_each_class_searches_its_own_table() -> None:
    class Drawer(Document):
        class Meta:
            table_name = "drawers"
            billing_mode = "PAY_PER_REQUEST"

        width = NumberAttribute(default=1)

    Document.create_table(wait=True)
    Drawer.create_table(wait=True)
    Document("a", embedding=[1, 1]).save()
    Drawer("b", embedding=[1, 1]).save()
    assert names(Document.embedding_index.search([1, 1], k=5)) == ["a"]
    (item,) = Drawer.embedding_index.search([1, 1], k=5)
    assert (type(item), item.name) == (Drawer, "b")


@pytest.mark.usefixtures("vectors")
def test_a_model_with_attributes_of_these_names_keeps_them() -> None:
    class Game(Model):
        class Meta:
            table_name = "games"
            billing_mode = "PAY_PER_REQUEST"

        name = UnicodeAttribute(hash_key=True)
        score = NumberAttribute()
        shape = VectorAttribute(dimensions=1)
        by_shape = VectorIndex(distance="euclidean")

    Game.create_table(wait=True)
    Game("a", score=7, shape=[3]).save()
    results = Game.by_shape.search([0], k=1)
    assert results[0].score == 7
    (only,) = results.scored()
    assert (only.item, only.score) == (results[0], pytest.approx(0.25))


# ---- indexes -----------------------------------------------------------------------------------------------------


def test_an_index_is_added_to_a_table_and_deleted(filled: LocalCluster) -> None:
    index = Document.embedding_index
    assert index.status() == "ACTIVE"
    index.delete()
    assert index.status() is None
    assert Document.feature_index.status() == "ACTIVE"
    with pytest.raises(TableError, match="the table documents has no such index"):
        index.wait_until_active()
    with pytest.raises(QueryError, match="Failed to search for vectors"):
        index.search([1, 0], k=1)
    with pytest.raises(TableError, match="Failed to update table"):
        index.delete()
    index.create(wait=True)
    assert names(index.search([1, 0], k=1)) == ["east"]
    with pytest.raises(TableError, match="Failed to update table"):
        index.create()


@pytest.mark.usefixtures("vectors")
def test_a_table_that_does_not_exist() -> None:
    index = Document.embedding_index
    with pytest.raises(QueryError):
        index.search([1, 0], k=1)
    with pytest.raises(TableDoesNotExist):
        index.status()
    with pytest.raises(TableError):
        index.create()


def test_create_table_leaves_a_table_that_exists_as_it_is(filled: LocalCluster) -> None:
    Document.embedding_index.delete()
    Document.create_table(wait=True)
    assert Document.embedding_index.status() is None


WITHOUT = "This server does not know vector indexes. ScyllaDB has them from 2026.2 on"


def test_a_server_without_vector_search_says_so() -> None:
    with LocalCluster(nodes=1, vector_dialect=None) as local:
        configure(default=local.url)
        with pytest.raises(TableError, match=r"made without its vector index by-embedding, by-dot-product\. This se"):
            Document.create_table(wait=True)
        assert Document.exists()
        for _ in range(2):
            with pytest.raises(QueryError, match=WITHOUT):
                Document.embedding_index.search([1, 0], k=1)
        for update in (Document.embedding_index.create, Document.embedding_index.delete):
            with pytest.raises(TableError, match=WITHOUT):
                update()
        Document("a", embedding=[1, 0]).save()
        assert Document.get("a").embedding == [1.0, 0.0]


def test_what_the_server_refuses_is_a_put_error(filled: LocalCluster) -> None:
    """A model whose dimensions are not those of the index."""

    class Wrong(Model):
        class Meta:
            table_name = "documents"

        name = UnicodeAttribute(hash_key=True)
        embedding = VectorAttribute(dimensions=3, attr_name="emb")

    with pytest.raises(PutError):
        Wrong("x", embedding=[1, 2, 3]).save()


class Slow(AlternatorConnection):
    """Its indexes are not ACTIVE at the first looks."""

    looks: ClassVar[list[str]] = []

    def _make_api_call(self, operation_name: str, operation_kwargs: dict[str, Any]) -> dict[str, Any]:
        answer = super()._make_api_call(operation_name, operation_kwargs)
        if operation_name == "DescribeTable" and self.looks:
            answer["Table"]["VectorIndexes"][0]["IndexStatus"] = self.looks.pop()
        return answer


def test_waiting_until_an_index_is_active(local: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(default=local.url)

    class Patient(Model):
        class Meta:
            table_name = "patients"
            billing_mode = "PAY_PER_REQUEST"
            connection_class = Slow

        name = UnicodeAttribute(hash_key=True)
        v = VectorAttribute(dimensions=1)
        index = VectorIndex()

    monkeypatch.setattr(Slow, "looks", [])
    Patient.create_table()
    Slow.looks[:] = ["CREATING"] * 3
    Patient.create_table(wait=True)
    assert Slow.looks == []
    Slow.looks[:] = ["CREATING"] * 100
    with pytest.raises(TimeoutError, match=r"Patient, vector index 'index' is still being created after 0\.2 s"):
        Patient.index.wait_until_active(timeout=0.2)
    assert Slow.looks != []
    Patient.index.delete()
    Slow.looks[:] = []
    Patient.index.create()
    Patient.index.wait_until_active()


# ---- settings ----------------------------------------------------------------------------------------------------


def model_with(made: Any) -> Any:
    class Item(Model):
        class Meta:
            table_name = "items"
            host = "http://127.0.0.1:1"

        key = UnicodeAttribute(hash_key=True)
        kind = UnicodeAttribute(attr_name="k")
        a = VectorAttribute(dimensions=2)
        b = VectorAttribute(dimensions=2)
        index = made

    return Item


def index_with(**settings: Any) -> Any:
    class Index(VectorIndex[Any]):
        Meta = type("Meta", (), settings)

    return Index()


@pytest.mark.parametrize(
    ("index", "says"),
    [
        (VectorIndex(), "attribute must be one of the model's VectorAttributes (a, b) (got None)"),
        (VectorIndex("A"), "(a, b) (got 'A'). Did you mean 'a'?"),
        (VectorIndex("kind"), "attribute must be one of the model's VectorAttributes (a, b) (got 'kind')"),
        (VectorIndex(VectorAttribute(2)), "attribute must be one of the model's VectorAttributes (a, b)"),
        (index_with(attribute=7), "attribute must be one of the model's VectorAttributes (a, b) (got 7)"),
        (index_with(attribute="a", distance="cosinus"), "distance must be one of 'cosine', 'euclidean', 'dot_product'"),
        (index_with(attribute="a", distanse="cosine"), "Meta does not take 'distanse'. Did you mean 'distance'?"),
        (index_with(attribute="a", search_schema={"kind": "RANGE"}), "search_schema must map names of attributes to"),
        (index_with(attribute="a", search_schema=["kind"]), "search_schema must map names of attributes to"),
        (index_with(attribute="a", search_schema={"kind": []}), "search_schema must map names of attributes to"),
        (index_with(attribute="a", search_schema={"knd": "HASH"}), "search_schema does not take 'knd'. Did you mean"),
        (
            index_with(attribute="a", search_schema={"b": "HASH"}),
            "search_schema takes attributes that are text, numbers",
        ),
        (
            index_with(attribute="a", search_schema={"kind": "HASH", "key": "HASH"}),
            "search_schema must have one HASH at most",
        ),
        (index_with(attribute="a", projection="ALL"), "projection must be one of PynamoDB's"),
    ],
)
def test_settings_that_an_index_cannot_have(index: Any, says: str) -> None:
    model = model_with(index)
    for use in (lambda: model.index.search([1, 2], k=1), model.index.create, model.index.definition):
        with pytest.raises(ConfigurationError) as raised:
            use()
        assert "Item, vector index 'index': " in str(raised.value)
        assert says in str(raised.value)


@pytest.mark.parametrize("name", ["ab", "a" * 193, "a b", 5])
def test_names_that_an_index_cannot_have(name: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"index_name must have 3 to 192 of the characters .* \(got "):
        model_with(VectorIndex("a", index_name=name)).index.definition()


def test_two_indexes_of_a_model_cannot_share_a_name() -> None:
    """PynamoDB keeps the last of them: searches of the other would be in that one's vectors."""

    class Nearest(VectorIndex[Any]):
        class Meta:
            index_name = "nearest"

    class Item(Model):
        class Meta:
            table_name = "items"
            host = "http://127.0.0.1:1"

        key = UnicodeAttribute(hash_key=True)
        a = VectorAttribute(dimensions=2)
        b = VectorAttribute(dimensions=2)
        near_a = Nearest(a)
        near_b = Nearest(b)

    for use in (lambda: Item.near_a.search([1, 2], k=1), Item.near_a.create, Item.near_b.definition):
        with pytest.raises(ConfigurationError, match="Item, vector index 'nearest': the model has another index of"):
            use()


def test_the_definition_of_an_index() -> None:
    index = VectorIndex("b", projection=IncludeProjection(["kind", "other"]), search_schema={"kind": "HASH"})
    definition = model_with(index).index.definition()
    assert (definition.name, definition.attribute, definition.dimensions) == ("index", "b", 2)
    assert definition.distance == "cosine"
    assert definition.projection == {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["k", "other"]}
    assert definition.search_schema == {"k": "HASH"}
    assert definition.search_types == {"k": "S"}
    both = index_with(attribute="a", distance="euclidean", projection=KeysOnlyProjection(), index_name="of-a")
    definition = model_with(both).index.definition()
    assert (definition.name, definition.distance) == ("of-a", "euclidean")
    assert definition.projection == {"ProjectionType": "KEYS_ONLY"}


def test_an_index_does_not_name_its_attribute() -> None:
    """The class that holds an index's settings is not the one that the attribute is in."""

    class Item(Model):
        class Meta:
            table_name = "items"

        key = UnicodeAttribute(hash_key=True)
        a = VectorAttribute(dimensions=2)
        b = VectorAttribute(dimensions=3)
        near_a = VectorIndex(a)
        near_b = VectorIndex(b)

    assert [Item.a.attr_name, Item.b.attr_name] == ["a", "b"]
    assert [Item.near_a.definition().attribute, Item.near_b.definition().attribute] == ["a", "b"]
    assert Item("x", a=[1, 2], b=[1, 2, 3]).serialize().keys() == {"key", "a", "b"}
    with pytest.raises(VectorError, match=r"Item\.b must have 3 numbers"):
        Item("x", a=[1, 2], b=[1]).serialize()


def test_an_index_follows_its_attribute_into_subclasses() -> None:
    class Base(Model):
        key = UnicodeAttribute(hash_key=True)
        a = VectorAttribute(dimensions=2)
        only = VectorIndex()
        stated = VectorIndex(a)
        named = VectorIndex("a")

    class WithMore(Base):
        class Meta:
            table_name = "items"

        b = VectorAttribute(dimensions=3)

    class WithAnother(Base):
        class Meta:
            table_name = "others"

        a = VectorAttribute(dimensions=4, attr_name="vector")

    for model, dimensions, name in ((WithMore, 2, "a"), (WithAnother, 4, "vector")):
        for index in (model.only, model.stated, model.named):
            assert (index.definition().dimensions, index.definition().attribute) == (dimensions, name)


def test_two_indexes_of_one_class_have_names_of_their_own() -> None:
    class Near(VectorIndex[Any]):
        class Meta:
            distance = "euclidean"

    class Item(Model):
        class Meta:
            table_name = "items"

        key = UnicodeAttribute(hash_key=True)
        a = VectorAttribute(dimensions=2)
        b = VectorAttribute(dimensions=3)
        near_a = Near("a")
        near_b = Near("b", distance="cosine")

    assert [Item.near_a.definition().name, Item.near_b.definition().name] == ["near_a", "near_b"]
    assert [Item.near_a.definition().distance, Item.near_b.definition().distance] == ["euclidean", "cosine"]
    assert [Item.near_a.definition().dimensions, Item.near_b.definition().dimensions] == [2, 3]


def test_an_index_has_no_attributes_no_keys_and_a_model() -> None:
    class Wrong(VectorIndex[Any]):
        class Meta:
            pass

        embedding = VectorAttribute(dimensions=2)

    with pytest.raises(ConfigurationError, match="Wrong: a vector index has no attributes of its own"):
        Wrong()
    for name in ("query", "count"):
        with pytest.raises(TypeError, match=r"Document, vector index 'by-embedding' has no keys .* Use search"):
            getattr(Document, name)("x", index_name="by-embedding")
    for method in (Document.embedding_index.query, Document.embedding_index.scan, Document.embedding_index.count):
        with pytest.raises(TypeError, match=r"Document, vector index 'by-embedding' has no keys .* Use search"):
            method("x")
    with pytest.raises(ConfigurationError, match="VectorIndex: write it into a model"):
        VectorIndex("a").search([1], k=1)


@pytest.mark.parametrize("dimensions", [0, -1, 16_001, 2.0, True, "2", None])
def test_dimensions_that_no_server_has(dimensions: Any) -> None:
    with pytest.raises(ConfigurationError, match="VectorAttribute: dimensions must be a whole number from 1 to 16000"):
        VectorAttribute(dimensions)


def test_a_vector_attribute_has_a_default() -> None:
    class Item(Model):
        class Meta:
            table_name = "items"

        key = UnicodeAttribute(hash_key=True)
        a = VectorAttribute(dimensions=2, default=(0.0, 1.0))
        b = VectorAttribute(dimensions=2, default_for_new=lambda: array.array("d", [1, 2]))

    item = Item("x")
    assert (item.a, item.b) == ([0.0, 1.0], [1.0, 2.0])
    item.a.append(5.0)
    assert Item("y").a == [0.0, 1.0]


def test_clusters_learn_their_dialects_by_themselves() -> None:
    with (
        LocalCluster(nodes=1, vector_dialect="aws") as newer,
        LocalCluster(nodes=1, vector_dialect="alternator") as older,
        Cluster(newer.url) as first,
        Cluster(older.url) as second,
    ):
        for cluster in (first, second):

            class Item(Model):
                class Meta:
                    table_name = "items"

                key = UnicodeAttribute(hash_key=True)
                v = VectorAttribute(dimensions=1)
                index = VectorIndex()

            Item.Meta.cluster = cluster  # type: ignore[attr-defined]
            Item.create_table(wait=True, billing_mode="PAY_PER_REQUEST")
            Item("a", v=[1]).save()
            assert Item.index.search([2], k=1)[0].key == "a"
        assert searches(newer, "Query") == 0
        assert searches(older, "Query") == 1
