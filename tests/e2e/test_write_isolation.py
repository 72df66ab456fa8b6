"""A model says how its table's writes are isolated, and the table is tagged so."""

from __future__ import annotations

from typing import Any

import pytest
from pynamodb.attributes import NumberAttribute, UnicodeAttribute
from pynamodb.exceptions import TableError, UpdateError

from pynamodb_alternator import Cluster, Model
from pynamodb_alternator.errors import ConfigurationError

from .conftest import Recorder


def model_with(cluster: Cluster, isolation: str | None, name: str = "things") -> type[Any]:
    made = cluster

    class Thing(Model):
        class Meta:
            table_name = name
            billing_mode = "PAY_PER_REQUEST"
            cluster = made
            write_isolation = isolation
            tags = {"team": "shop"}  # noqa: RUF012 (as PynamoDB has it)

        key = UnicodeAttribute(hash_key=True)
        value = NumberAttribute(default=0)

    return Thing


@pytest.mark.parametrize("isolation", ["only_rmw_uses_lwt", "always", "forbid_rmw", "unsafe_rmw"])
def test_a_created_table_has_the_tag(cluster: Cluster, isolation: str) -> None:
    thing = model_with(cluster, isolation)
    thing.create_table()
    assert thing.alternator_write_isolation() == isolation
    arn = "arn:scylla:alternator:alternator_things:scylla:table/things"
    tags = {tag["Key"]: tag["Value"] for tag in cluster.client.list_tags_of_resource(ResourceArn=arn)["Tags"]}
    assert tags == {"team": "shop", "system:write_isolation": isolation}


def test_it_can_be_changed_and_the_server_obeys(cluster: Cluster) -> None:
    thing = model_with(cluster, "forbid_rmw")
    thing.create_table()
    item = thing("a")
    item.save()
    with pytest.raises(UpdateError) as caught:
        item.update([thing.value.add(1)])
    assert caught.value.cause_response_code == "ValidationException"
    assert thing.alternator_write_isolation("always") == "always"
    item.update([thing.value.add(1)])
    assert item.value == 1


def test_affinity_follows_it(cluster: Cluster, recorder: Recorder) -> None:
    """AUTO knows from the created table what helps, and need not ask."""
    policies = {}
    for isolation in ("always", "only_rmw_uses_lwt", "unsafe_rmw"):
        thing = model_with(cluster, isolation, name=isolation)
        thing.create_table()
        recorder.clear()
        thing("a").save()
        thing("b").save(thing.key.does_not_exist())
        policies[isolation] = [event["policy"] for event in recorder.of("request_routed")]
    assert policies == {
        "always": ["affinity", "affinity"],
        "only_rmw_uses_lwt": ["round_robin", "affinity"],
        "unsafe_rmw": ["round_robin", "round_robin"],
    }


def test_a_wrong_write_isolation_is_refused(cluster: Cluster) -> None:
    with pytest.raises(ConfigurationError, match=r"things.*write_isolation must be one of 'only_rmw_uses_lwt'"):
        model_with(cluster, "sometimes").create_table()
    thing = model_with(cluster, None)
    with pytest.raises(TableError, match="things"):
        thing.alternator_write_isolation()
    thing.create_table()
    assert thing.alternator_write_isolation() == "only_rmw_uses_lwt"
    with pytest.raises(ConfigurationError, match="write_isolation"):
        thing.alternator_write_isolation("never")
