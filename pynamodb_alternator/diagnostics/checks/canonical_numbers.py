"""Are the partition keys that are numbers stored in canonical form, so that ``canonical_numbers=True`` finds them?

The server answers with all numbers in canonical form, even if the key of an item was saved as 1.0. So a sample of keys
is read, and each item is requested with the key that was read. If it is not found, it is stored under another form of
the number.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from ...core.table_description import attribute_types_of, hash_key_of, index_keys_of, key_types_of
from ...errors import AlternatorError, error_code
from ..values import Finding
from ..words import said

if TYPE_CHECKING:
    from ..examination import Examination
    from ..questions import NodesClient

__all__ = ["check"]

_ID = "canonical_numbers"
_MOST_TABLES = 100
_MOST_ITEMS = 100
"""The largest number of items of a table that are read. The server accepts as many in one BatchGetItem."""
_MOST_PAGES = 10
"""The largest number of pages that are read to find items. A page may have no items if many were deleted."""
_MOST_KEYS_OF_INDEX = 10
"""The largest number of keys of an index that are queried, one by one."""
_TROUBLE = (AlternatorError, BotoCoreError, ClientError, LookupError, ValueError)

Key = Mapping[str, Any]


class _Sample(NamedTuple):
    """`looked_at`: how many keys were requested. `astray`: the keys that are not stored in the form in which they are
    read. `is_all`: whether the table has no other keys."""

    looked_at: int
    astray: frozenset[str]
    is_all: bool


def check(examination: Examination) -> Iterator[Finding]:
    """A table is skipped if neither it nor its indexes have a number as a partition key."""
    names = dict.fromkeys(examination.inside.tables.names())
    with contextlib.suppress(*_TROUBLE):  # another check reports this
        names.update(dict.fromkeys(examination.client.list_tables(Limit=_MOST_TABLES)["TableNames"]))
    for name in list(names)[:_MOST_TABLES]:
        yield from _of_table(examination, name)


def _of_table(examination: Examination, table: str) -> Iterator[Finding]:
    client = examination.client
    try:
        description = client.describe_table(TableName=table)["Table"]
        types = attribute_types_of(description)
        if types[hash_key_of(description)] == "N":
            yield _finding(examination, table, "", _twice(partial(_sample_of_table, client, table, description)))
        for index, key in index_keys_of(description).items():
            # A local index has the partition key of its table.
            if types[key] == "N" and key != hash_key_of(description):
                sample = _twice(partial(_sample_of_index, client, table, index, key))
                yield _finding(examination, table, f" of the index {index}", sample)
    except _TROUBLE as error:
        if isinstance(error, ClientError) and error_code(error) == "ResourceNotFoundException":
            return  # another check reports this
        message = f"Its keys could not be checked for numbers in canonical form: {said(error)}"
        yield Finding(_ID, "ok", table, message)


def _twice(take: Callable[[], _Sample]) -> _Sample:
    """A sample. If an item was not found, it may have been deleted meanwhile, or may not be in the index yet. So it is
    requested again."""
    first = take()
    if not first.astray:
        return first
    second = take()
    return _Sample(second.looked_at, first.astray & second.astray, second.is_all)


def _finding(examination: Examination, table: str, of: str, sample: _Sample) -> Finding:
    if not sample.looked_at:
        return _without_items(table, of, sample.is_all)
    some = "all" if sample.is_all else "a sample"
    observation = f"The partition keys{of} of {some} of its items ({sample.looked_at:,}) are in canonical form"
    is_on = examination.config.canonical_numbers is True
    if not sample.astray:
        safe = "" if sample.is_all else ", as far as a sample tells"
        verdict = "they are found" if is_on else f"canonical_numbers=True is safe for it{safe}"
        return Finding(_ID, "ok", table, f"{observation}: {verdict}.")
    keys = f"{len(sample.astray):,} of {sample.looked_at:,} partition keys{of} that were checked"
    stored = f"{keys} are numbers that are not stored in canonical form (for example 1.0 for 1)"
    how = (
        "read them with canonical_numbers=False, in the form in which they were saved, save them with True, and delete "
        "those of the old form with False; if an item is stored under both forms, this replaces the item under the "
        "canonical form"
    )
    if is_on:
        return Finding(
            _ID,
            "error",
            table,
            f"{stored}: with canonical_numbers=True, as the cluster has it, their items are not found.",
            "Set canonical_numbers='sets' for the cluster, and True in the Meta of the models of other tables; "
            f"or move the items: {how}.",
        )
    return Finding(
        _ID,
        "warning",
        table,
        f"{stored}: an item is found only with the form in which it was saved. canonical_numbers=True would hide them.",
        f"Leave canonical_numbers as it is for this table until the items are moved: {how}.",
    )


def _without_items(table: str, of: str, is_all: bool) -> Finding:
    if is_all:
        where = of.removeprefix(" of the ") or "table"
        return Finding(_ID, "ok", table, f"The {where} has no item: canonical_numbers=True is safe for it.")
    message = (
        f"Whether the partition keys{of} of its items are in canonical form is not known: no item was read in the "
        f"first {_MOST_PAGES} pages."
    )
    return Finding(_ID, "ok", table, message)


def _sample_of_table(client: NodesClient, table: str, description: Mapping[str, Any]) -> _Sample:
    names = list(key_types_of(description))
    items, is_all = _scanned(client, names, {"TableName": table, "ConsistentRead": True, "Limit": _MOST_ITEMS})
    keys: dict[str, Key] = {}
    astray = set()
    for item in items:
        key = {name: item[name] for name in names}
        if str(key) in keys:
            astray.add(str(key))  # two items that are one key in canonical form
        keys[str(key)] = key
    there = _existing(client, table, names, list(keys.values())) if keys else set()
    return _Sample(len(keys), frozenset(astray | (keys.keys() - there)), is_all)


def _existing(client: NodesClient, table: str, names: list[str], keys: list[Key]) -> set[str]:
    """The keys that have an item, and those that the server has left unprocessed."""
    request = {"Keys": keys, "ConsistentRead": True, **_projection(names)}
    answer = client.batch_get_item(RequestItems={table: request})
    read = [{name: item[name] for name in names} for item in answer["Responses"].get(table, ())]
    left = answer.get("UnprocessedKeys", {}).get(table, {}).get("Keys", ())
    return {str({name: key[name] for name in names}) for key in (*read, *left)}


def _sample_of_index(client: NodesClient, table: str, index: str, name: str) -> _Sample:
    where = {"TableName": table, "IndexName": index}
    items, is_all = _scanned(client, [name], {**where, "Limit": _MOST_ITEMS})
    values = {str(item[name]): item[name] for item in items}
    items_of = Counter(str(item[name]) for item in items)
    chosen = list(values)[:_MOST_KEYS_OF_INDEX]
    astray = set()
    for key in chosen:
        answer = client.query(
            **where,
            Select="COUNT",
            Limit=items_of[key],
            KeyConditionExpression="#0 = :0",
            ExpressionAttributeNames={"#0": name},
            ExpressionAttributeValues={":0": values[key]},
        )
        if answer["Count"] < items_of[key]:
            astray.add(key)
    return _Sample(len(chosen), frozenset(astray), is_all and len(chosen) == len(values))


def _scanned(client: NodesClient, names: list[str], where: Mapping[str, Any]) -> tuple[list[Any], bool]:
    """These attributes of the items of the first page that has items, and whether there are no more items."""
    for _ in range(_MOST_PAGES):
        answer = client.scan(**where, **_projection(names))
        start = answer.get("LastEvaluatedKey")
        if answer["Items"] or start is None:
            break
        where = {**where, "ExclusiveStartKey": start}
    return answer["Items"], start is None


def _projection(names: list[str]) -> dict[str, Any]:
    references = {f"#{number}": name for number, name in enumerate(names)}
    return {"ProjectionExpression": ", ".join(references), "ExpressionAttributeNames": references}
