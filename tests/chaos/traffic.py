"""Traffic of every kind: increments, conditional puts, plain puts of new keys, and reads of what was acknowledged.

Counters tell twice-applied increments exactly: each increment adds one to a number, and its own name to a set in the
same item. What the number exceeds the set by was applied twice.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence

from botocore.exceptions import ClientError

from pynamodb_alternator import Cluster
from pynamodb_alternator.local import LocalCluster

from .chaos import Chaos
from .support import TABLE, put

_PER_COUNTER = 40


class Traffic(Chaos):
    """Eight threads."""

    def __init__(self, name: str, local: LocalCluster, cluster: Cluster, rng: random.Random) -> None:
        super().__init__(name, local, cluster, rng)
        self._numbers = itertools.count(1)
        self._acknowledged: list[str] = []
        self._increments: dict[str, list[str]] = {}

    def users(self) -> Sequence[Callable[[int], None]]:
        return [self.count] * 2 + [self.put_once] + [self.put_unique] * 2 + [self.read] * 3

    def count(self, thread: int) -> None:
        number = next(self._numbers)
        key, name = f"counter-{thread}-{number // _PER_COUNTER}", f"i{number}"
        with self.request(thread, may_be_unknown="always") as request:
            self.cluster.client.update_item(
                TableName=TABLE,
                Key={"id": {"S": key}},
                UpdateExpression="ADD #v :one, #names :name",
                ExpressionAttributeNames={"#v": "value", "#names": "names"},
                ExpressionAttributeValues={":one": {"N": "1"}, ":name": {"SS": [name]}},
            )
        if request.ok:
            with self.lock:
                self._increments.setdefault(key, []).append(name)

    def put_once(self, thread: int) -> None:
        key = f"once-{next(self._numbers)}"
        with self.request(thread, may_be_unknown="always") as request:
            try:
                self.cluster.client.put_item(
                    TableName=TABLE,
                    Item={"id": {"S": key}, "value": {"N": "1"}},
                    ConditionExpression="attribute_not_exists(id)",
                )
            except ClientError as error:
                if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                    raise
                # Nobody else writes this key.
                self.row.twice += 1
                self.note(f"conditional put of {key} met itself")
        if request.ok:
            with self.lock:
                self._acknowledged.append(key)

    def put_unique(self, thread: int) -> None:
        key = f"unique-{next(self._numbers)}"
        with self.request(thread, may_be_unknown="if silent") as request:
            put(self.cluster.client, key, 1)
        if request.ok:
            with self.lock:
                self._acknowledged.append(key)

    def read(self, thread: int) -> None:
        with self.lock:
            known = self._acknowledged[-1] if self._acknowledged else None
        if known is None:
            return
        with self.request(thread):
            if next(self._numbers) % 5:
                answer = self.cluster.client.get_item(TableName=TABLE, Key={"id": {"S": known}}, ConsistentRead=True)
                exists = "Item" in answer
            else:
                answer = self.cluster.client.query(
                    TableName=TABLE,
                    KeyConditionExpression="id = :id",
                    ExpressionAttributeValues={":id": {"S": known}},
                    ConsistentRead=True,
                )
                exists = answer["Count"] == 1
            if not exists:
                self.row.lost += 1
                self.note(f"{known} was acknowledged and is not read")

    def verify(self) -> None:
        """What the table says, against what was acknowledged."""
        items = {}
        for page in self.cluster.client.get_paginator("scan").paginate(TableName=TABLE, ConsistentRead=True):
            items.update({item["id"]["S"]: item for item in page["Items"]})
        row = self.row
        for key in self._acknowledged:
            if key not in items:
                row.lost += 1
                self.note(f"{key} was acknowledged, and is lost")
        for key, item in items.items():
            if "names" in item:
                names = set(item["names"]["SS"])
                row.twice += int(item["value"]["N"]) - len(names)
                row.lost += len(set(self._increments.get(key, ())) - names)
        row.lost += sum(len(names) for key, names in self._increments.items() if key not in items)
        row.acknowledged = len(self._acknowledged) + sum(map(len, self._increments.values()))
