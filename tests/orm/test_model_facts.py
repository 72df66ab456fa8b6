"""What PynamoDB models say of themselves, as values."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import PurePosixPath
from types import ModuleType
from typing import Any

import pytest
from pynamodb import attributes as attr
from pynamodb import models as stock
from pynamodb.indexes import (
    AllProjection,
    GlobalSecondaryIndex,
    IncludeProjection,
    KeysOnlyProjection,
    LocalSecondaryIndex,
)

from pynamodb_alternator import (
    AlternatorConnection,
    ClusterConfig,
    Model,
    VectorAttribute,
    VectorIndex,
    install,
    uninstall,
)
from pynamodb_alternator.diagnostics.models import AttributeFacts, IndexFacts, KeyFacts, ModelFacts
from pynamodb_alternator.orm.model_facts import facts_of, models_in


class Score(attr.MapAttribute[str, Any]):
    points = attr.NumberSetAttribute()


class Game(attr.MapAttribute[str, Any]):
    scores = attr.ListAttribute(of=Score, attr_name="s")
    days = attr.ListAttribute(of=attr.NumberAttribute)
    free = attr.MapAttribute[str, Any]()


class ByCity(GlobalSecondaryIndex[Any]):
    class Meta:
        index_name = "by_city"
        projection = KeysOnlyProjection()

    city = attr.UnicodeAttribute(hash_key=True)
    version = attr.VersionAttribute(range_key=True)


class ByGame(GlobalSecondaryIndex[Any]):
    class Meta:
        projection = AllProjection()

    city = attr.UnicodeAttribute(hash_key=True)
    name = attr.UnicodeAttribute(hash_key=True, attr_name="n")


class ByDay(LocalSecondaryIndex[Any]):
    class Meta:
        index_name = "by_day"
        projection = IncludeProjection(["city"])

    name = attr.UnicodeAttribute(hash_key=True, attr_name="n")
    day = attr.NumberAttribute(range_key=True)


class Base(Model):
    city = attr.UnicodeAttribute()


class Player(Base):
    class Meta:
        table_name = "players"
        cluster = "games"
        write_isolation = "always"
        read_capacity_units = 1
        stream_view_type = "NEW_IMAGE"
        tags = {"owner": "me"}  # noqa: RUF012

    name = attr.UnicodeAttribute(hash_key=True, attr_name="n")
    born = attr.NumberAttribute(range_key=True)
    game = Game(null=True)
    expires = attr.TTLAttribute(null=True)
    version = attr.VersionAttribute()
    by_city = ByCity()
    by_game = ByGame()
    by_day = ByDay()


class Guest(Player):
    host = attr.UnicodeAttribute()


class AtAmazon(stock.Model):
    class Meta:
        table_name = "at_amazon"
        host = "https://dynamodb.eu-west-1.amazonaws.com"
        billing_mode = "PAY_PER_REQUEST"
        read_capacity_units = 1

    expires = attr.TTLAttribute(hash_key=True)


class Wrong(Model):
    class Meta:
        table_name = "wrong"
        load_balancing = "random"

    name = attr.UnicodeAttribute(hash_key=True)


def test_the_facts_of_a_model() -> None:
    facts = facts_of(Player)
    assert facts.position is not None
    assert facts.position.file.endswith("test_model_facts.py")
    name, city = KeyFacts("n", "HASH", "S"), KeyFacts("city", "HASH", "S")
    assert facts == ModelFacts(
        name="tests.orm.test_model_facts.Player",
        position=facts.position,
        table_name="players",
        keys=(KeyFacts("born", "RANGE", "N"), name),
        indexes=(
            IndexFacts("by_city", False, (city, KeyFacts("version", "RANGE", "N", is_whole=True)), "KEYS_ONLY"),
            IndexFacts("by_day", True, (name, KeyFacts("day", "RANGE", "N")), "INCLUDE"),
            IndexFacts("by_game", False, (city, name), "ALL"),
        ),
        attributes=(
            AttributeFacts("born", "N"),
            AttributeFacts("city", "S"),
            AttributeFacts("expires", "N", "ttl"),
            AttributeFacts("game", "M"),
            AttributeFacts("game.days", "L"),
            AttributeFacts("game.days[]", "N"),
            AttributeFacts("game.free", "M"),
            AttributeFacts("game.s", "L"),
            AttributeFacts("game.s[].points", "NS"),
            AttributeFacts("n", "S"),
            AttributeFacts("version", "N", "version"),
        ),
        is_base=True,
        cluster="games",
        write_isolation="always",
        has_capacity=True,
        stream="NEW_IMAGE",
        tags=(("owner", "me"),),
    )  # fmt: skip


def test_a_model_that_derives_from_another_has_what_that_has() -> None:
    base, derived = facts_of(Player), facts_of(Guest)
    assert not derived.is_base
    assert (derived.table_name, derived.keys, derived.indexes) == (base.table_name, base.keys, base.indexes)


def test_a_base_without_a_table() -> None:
    facts = facts_of(Base)
    assert (facts.table_name, facts.is_base, facts.refused) == (None, True, "")


@pytest.fixture
def _uninstalled() -> Iterator[None]:
    yield
    uninstall()


@pytest.mark.usefixtures("_uninstalled")
def test_facts_describe_a_plain_model() -> None:
    facts = facts_of(AtAmazon)
    assert (facts.is_on_cluster, facts.has_capacity) == (False, False)
    assert facts.host == "https://dynamodb.eu-west-1.amazonaws.com"
    assert facts.keys == (KeyFacts("expires", "HASH", "N", is_whole=True),)
    install(default=AlternatorConnection)
    assert facts_of(AtAmazon).is_on_cluster


def test_a_setting_that_the_first_request_would_refuse() -> None:
    facts = facts_of(Wrong)
    assert facts.refused.startswith("Meta does not take load_balancing.")


class Unready(AlternatorConnection):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise KeyError("REGION")


@pytest.mark.parametrize(
    ("meta", "refused"),
    [
        ({"hedge": 3}, "hedge must be Hedge(...)"),
        ({"max_pool_connections": "20"}, "max_pool_connections must be a whole number"),
        ({"token_aware": "never"}, "token_aware must be 'auto', True or False"),
        ({"key_route_affinity": "all"}, "key_route_affinity must be one of"),
        ({"canonical_numbers": "all"}, "canonical_numbers must be"),
        ({"silent_writes": "again"}, "silent_writes must be one of"),
        ({"read_timeout_seconds": -1}, "read_timeout_seconds must be"),
        ({"aws_access_key_id": "a"}, "aws_secret_access_key is missing."),
        ({"host": "nonsense://a"}, "host is taken as a seed URL, and is not one: "),
        ({"cluster": 5}, "cluster must be an alias, a URL, a Cluster or a ClusterConfig"),
        ({"cluster": "http://bad url"}, "ClusterConfig: the seed 'bad url' is neither"),
        ({"cluster": "configured-later"}, ""),
        ({"hedge": False, "token_aware": True, "host": "http://192.0.2.1:8000"}, ""),
        ({}, ""),
    ],
)
def test_what_the_first_request_would_say(meta: dict[str, Any], refused: str) -> None:
    class Refused(Model):
        name = attr.UnicodeAttribute(hash_key=True)
        Meta = type("Meta", (), {"table_name": "refused", **meta})

    facts = facts_of(Refused)
    assert facts.refused[: len(refused) or None] == refused
    assert facts.is_on_cluster


@pytest.mark.parametrize(
    ("meta", "refused"),
    [
        ({"connection_class": Unready}, "KeyError: 'REGION'"),
        ({"table_name": object(), "cluster": "http://192.0.2.1"}, ""),  # it has no table
        ({"host": PurePosixPath("192.0.2.1")}, ""),
        ({"cluster": "http://192.0.2.1:8000"}, ""),  # it has no partition key
    ],
)
def test_facts_describe_unusual_models(meta: dict[str, Any], refused: str) -> None:
    made: Any = type("Made", (Model,), {"Meta": type("Meta", (), {"table_name": "made", **meta})})
    facts = facts_of(made)
    assert facts.refused == refused
    assert facts.host in (None, "192.0.2.1")


def test_how_numbers_are_sent_is_said_by_meta_or_by_the_cluster() -> None:
    config = ClusterConfig(["192.0.2.1"])

    class Tally(Model):
        class Meta:
            table_name = "tallies"
            cluster = config

        number = attr.NumberAttribute(hash_key=True)

    assert facts_of(Tally).canonical_numbers == getattr(config, "canonical_numbers", None)
    vars_of_meta: Any = Tally.Meta
    vars_of_meta.canonical_numbers = True
    assert facts_of(Tally).canonical_numbers is True


def test_a_model_that_a_program_makes_has_no_source() -> None:
    made: Any = type("Made", (Model,), {"Meta": type("Meta", (), {"table_name": "made"}), "__module__": "nowhere"})
    facts = facts_of(made)
    assert (facts.name, facts.position, facts.table_name) == ("nowhere.Made", None, "made")


def test_a_map_that_holds_itself_is_walked_once() -> None:
    class Tree(attr.MapAttribute[str, Any]):
        number = attr.NumberAttribute()
        branches = attr.ListAttribute(of=attr.MapAttribute)

    Tree.branches.element_type = Tree

    class Wood(Model):
        class Meta:
            table_name = "wood"

        name = attr.UnicodeAttribute(hash_key=True)
        tree = Tree()

    assert [each.path for each in facts_of(Wood).attributes] == ["name", "tree", "tree.branches", "tree.number"]


# ---- which models ------------------------------------------------------------------------------------------------


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    modules = {name: ModuleType(name) for name in ("fshop", "fshop.models", "fshop.more", "fother.models")}
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    return modules


def define(module: ModuleType, name: str, base: type[Any] = Model, table: str | None = "t") -> type[Any]:
    meta = {"Meta": type("Meta", (), {"table_name": table})} if table else {}
    made = type(base)(name, (base,), {"__module__": module.__name__, **meta})
    setattr(module, name, made)
    return made  # type: ignore[no-any-return]


def test_the_models_of_a_module_and_those_that_it_imports(shop: dict[str, ModuleType]) -> None:
    abstract = define(shop["fother.models"], "Abstract", table=None)
    person = define(shop["fother.models"], "Person", abstract)
    order = define(shop["fshop.models"], "Order", person)
    base = define(shop["fshop.models"], "Base", table=None)
    vars(shop["fshop.models"]).update(Model=Model, Stock=stock.Model, Abstract=abstract, Person=person, Same=person)
    other = define(shop["fshop.more"], "Order")
    assert models_in([shop["fshop.models"]]) == [base, person, order]
    assert models_in([shop["fshop"]]) == [base, other, order]
    assert models_in([shop["fshop"], shop["fshop.models"]]) == [base, other, person, order]
    assert models_in([shop["fother.models"]]) == [abstract, person]


def test_models_that_a_function_makes_are_distinguished_by_their_tables() -> None:
    module = ModuleType("ftenants")
    first, second = (define(module, "Tenant", table=table) for table in ("tenant-1", "tenant-2"))
    assert models_in([module]) == [first, second]


@pytest.mark.parametrize(
    ("meta", "alias"),
    [
        ({}, None),
        ({"cluster": "archive"}, "archive"),
        ({"cluster": ClusterConfig(["192.0.2.1"])}, ""),
        ({"host": "http://192.0.2.1:8000"}, ""),
        ({"cluster": "archive", "host": "http://192.0.2.1:8000"}, "archive"),
    ],
)
def test_the_alias_of_a_models_cluster(meta: dict[str, Any], alias: str | None) -> None:
    made: Any = type("Made", (Model,), {"Meta": type("Meta", (), {"table_name": "made", **meta})})
    facts = facts_of(made)
    assert (facts.cluster, facts.keys) == (alias, ())  # and a model without a partition key can be looked at


def test_of_a_module_that_was_loaded_again_the_new_models_count() -> None:
    module = ModuleType("fagain")
    old = define(module, "Order")
    new = define(module, "Order")
    assert models_in([module]) == [new]
    assert old is not new


def test_vector_indexes_are_not_among_the_secondary_indexes() -> None:
    class Pictured(Model):
        class Meta:
            table_name = "pictured"

        name = attr.UnicodeAttribute(hash_key=True)
        picture = VectorAttribute(dimensions=3, null=True)
        by_picture = VectorIndex()
        by_city = ByCity()

    facts = facts_of(Pictured)
    assert [index.name for index in facts.indexes] == ["by_city"]
    (by_picture,) = facts.vector_indexes
    assert (by_picture.name, by_picture.attribute, by_picture.dimensions) == ("by_picture", "picture", 3)
    assert AttributeFacts("picture", "L") in facts.attributes


def test_a_vector_index_that_cannot_be() -> None:
    class Wrong(Model):
        class Meta:
            table_name = "wrong"

        name = attr.UnicodeAttribute(hash_key=True)
        by_picture = VectorIndex("picture")

    facts = facts_of(Wrong)
    assert facts.vector_indexes == ()
    assert "Wrong, vector index 'by_picture': attribute must be one of the model's VectorAttributes" in facts.refused
