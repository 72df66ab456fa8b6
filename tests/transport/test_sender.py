"""What sends the requests of all lanes."""

from __future__ import annotations

import gc

from pynamodb_alternator import ClusterConfig, Credentials
from pynamodb_alternator.settings.options import RequestOptions
from pynamodb_alternator.topology.node import Node
from pynamodb_alternator.transport.credentials import Signers
from pynamodb_alternator.transport.lanes import Sender
from pynamodb_alternator.transport.pool import Pools

NODE = Node("http", "127.0.0.1", 1)


def signers_kept() -> int:
    gc.collect()
    return sum(type(one) is Signers for one in gc.get_objects())


def test_credentials_that_change_with_each_connection_are_not_kept_for_ever() -> None:
    sender = Sender(ClusterConfig(["127.0.0.1"]), Pools())
    before = signers_kept()
    for number in range(3_500):
        options = RequestOptions(credentials=Credentials(f"role{number}", "secret"))
        signed = dict(sender.authentication(options, NODE, "DynamoDB_20120810.ListTables", b"{}"))
        assert f"Credential=role{number}/" in signed["Authorization"]
    assert 0 < signers_kept() - before <= 1_000
    del sender
    assert signers_kept() <= before


def test_the_signature_of_a_model_is_that_of_its_region_and_credentials() -> None:
    config = ClusterConfig(["127.0.0.1"], credentials=Credentials("cluster", "secret"), region="eu-north-1")
    sender = Sender(config, Pools(), wall_clock=lambda: 0.0)

    def scope(options: RequestOptions) -> str:
        signed = dict(sender.authentication(options, NODE, "DynamoDB_20120810.ListTables", b"{}"))
        return signed["Authorization"].split("Credential=")[1].split("/dynamodb")[0]

    assert scope(RequestOptions()) == "cluster/19700101/eu-north-1"
    assert scope(RequestOptions(region="us-west-2")) == "cluster/19700101/us-west-2"
    assert scope(RequestOptions(credentials=Credentials("model", "other"))) == "model/19700101/eu-north-1"
    unsigned = Sender(ClusterConfig(["127.0.0.1"]), Pools())
    assert unsigned.authentication(RequestOptions(), NODE, "DynamoDB_20120810.ListTables", b"{}") == []
