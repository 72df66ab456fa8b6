"""Any DynamoDB endpoint as the engine."""

from __future__ import annotations

from pynamodb_alternator.local import LocalCluster

from .wire import BY_K, Wire, call, ok, s, until


def test_an_engine_by_url() -> None:
    with LocalCluster(nodes=1) as behind, LocalCluster(nodes=2, engine=behind.url) as cluster:
        with Wire(cluster.nodes[0]) as wire:
            described = wire.ok("CreateTable", {"TableName": "tab", **BY_K, "Tags": [{"Key": "a", "Value": "b"}]})
            arn = described["TableDescription"]["TableArn"]
            assert wire.ok("ListTagsOfResource", {"ResourceArn": arn}) == {"Tags": [{"Key": "a", "Value": "b"}]}
            puts = [{"PutRequest": {"Item": {"k": s(str(i))}}} for i in range(60)]
            assert wire.ok("BatchWriteItem", {"RequestItems": {"tab": puts}}) == {"UnprocessedItems": {}}
            assert wire.ok("Scan", {"TableName": "tab"})["Count"] == 60
            assert behind.nodes[0].operations["BatchWriteItem"] == 3
            assert (
                wire.refused("GetItem", {"TableName": "none", "Key": {"k": s("a")}})[0] == "ResourceNotFoundException"
            )
        # Connections are kept alive, and one that the engine has closed is opened again.
        opened = behind.nodes[0].connections
        behind.nodes[0].close_idle_connections()
        until(lambda: behind.nodes[0].open_connections == 0)
        assert ok(cluster.nodes[1], "ListTables", {})["TableNames"] == ["tab"]
        assert behind.nodes[0].connections == opened + 1
        behind.nodes[0].kill()
        status, answer = call(cluster.nodes[1], "ListTables", {})
        assert status == 500
        assert answer["__type"].endswith("#InternalServerError")
