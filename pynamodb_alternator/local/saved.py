"""Tables and items in a file of JSON lines, which `LocalCluster.save` writes and `LocalCluster.load` reads.

Each line is a JSON object with the name of an operation and its parameters, as the API has them::

    {"CreateTable": {"TableName": "users", …}}
    {"UpdateTimeToLive": {"TableName": "users", …}}
    {"PutItem": {"TableName": "users", "Item": {"name": {"S": "alice"}}}}

For files that people write, PutItem has a short form, whose values are plain JSON: text becomes S, a number N, true and
false BOOL, null NULL, a list L, an object M::

    {"table": "users", "item": {"name": "alice", "age": 41}}
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson

from ..errors import AlternatorError, ConfigurationError
from .answers import DialectError
from .catalogue import Catalogue
from .engine_client import EngineClient

Execute = Callable[[str, dict[str, Any]], Any]
"""Executes an operation as a node does, and raises `DialectError`."""
Complete = Callable[[dict[str, Any]], dict[str, Any]]
"""Adds to a CreateTable the parts of a table that engines do not store: its vector indexes."""

_OPERATIONS = ("CreateTable", "UpdateTimeToLive", "PutItem")
_INDEXES = ("GlobalSecondaryIndexes", "LocalSecondaryIndexes")


def load(execute: Execute, path: str | os.PathLike[str]) -> int:
    """Execute the lines of a file. Returns how many items it had. A table that exists already is not changed.

    Raises `ConfigurationError` for a file that cannot be read, and, with its number, for a line that has another form
    or is refused. The effects of the lines before it stay.
    """
    items = 0
    try:
        with open(path, "rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    items += _execute(execute, line, f"{os.fspath(path)}, line {number}")
    except OSError as wrong:
        raise ConfigurationError(f"LocalCluster.load: {os.fspath(path)} cannot be read ({wrong}).") from wrong
    return items


def _execute(execute: Execute, line: bytes, where: str) -> bool:
    """Execute one line. Returns whether it was an item."""
    operation, parameters = _request(line, where)
    try:
        execute(operation, parameters)
    except DialectError as refused:
        error = refused.answer().value()
        kind = str(error.get("__type", "")).rpartition("#")[2]
        if operation == "CreateTable" and kind == "ResourceInUseException":
            return False
        if operation == "UpdateTimeToLive" and error.get("message") == "TTL is already enabled":
            return False
        hint = ""
        if kind == "ResourceNotFoundException":
            hint = ' Write a line {"CreateTable": {…}} before the items of a table that does not exist yet.'
        raise ConfigurationError(
            f"LocalCluster.load: {where} was refused: {kind}: {error.get('message')}.{hint}"
        ) from refused
    return operation == "PutItem"


def _request(line: bytes, where: str) -> tuple[str, dict[str, Any]]:
    try:
        request = orjson.loads(line)
    except orjson.JSONDecodeError as wrong:
        raise ConfigurationError(f"LocalCluster.load: {where} is not JSON ({wrong}).") from None
    if isinstance(request, dict):
        if request.keys() == {"table", "item"} and isinstance(request["item"], dict):
            # Parse it again, and keep all digits of numbers: numbers in items have more digits than floats.
            exact = json.loads(line, parse_float=Decimal)["item"]
            item = {name: _attribute(value, where) for name, value in exact.items()}
            return "PutItem", {"TableName": request["table"], "Item": item}
        if len(request) == 1:
            ((operation, parameters),) = request.items()
            if operation in _OPERATIONS and isinstance(parameters, dict):
                return operation, parameters
    raise ConfigurationError(
        f'LocalCluster.load: {where} must be an object such as {{"table": "users", "item": {{"name": "alice"}}}}, or '
        f"one whose only member is {', '.join(_OPERATIONS)}, with the parameters of the operation."
    )


def _attribute(value: object, where: str) -> dict[str, Any]:
    """The attribute value for plain JSON."""
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case int() | Decimal():
            return {"N": str(value)}
        case str():
            return {"S": value}
        case list():
            return {"L": [_attribute(element, where) for element in value]}
        case dict():
            return {"M": {name: _attribute(element, where) for name, element in value.items()}}
        case _:
            raise ConfigurationError(f"LocalCluster.load: {where} has a value that JSON does not have.")


def save(client: EngineClient, catalogue: Catalogue, complete: Complete, path: str | os.PathLike[str]) -> None:
    """Write all tables and items to a file. An existing file is replaced when the new one is complete.

    Raises `AlternatorError` if the file cannot be written, or the tables cannot be read.
    """
    target = Path(path)
    try:
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=target.name, delete=False) as file:
            try:
                for line in _lines(client, catalogue, complete):
                    file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
                file.close()
                os.replace(file.name, target)
            except BaseException:
                os.unlink(file.name)
                raise
    except OSError as wrong:
        raise AlternatorError(f"LocalCluster.save: {target} cannot be written ({wrong}).") from wrong
    except DialectError as refused:
        error = refused.answer().value()
        raise AlternatorError(f"LocalCluster.save: the tables cannot be read ({error.get('message')}).") from refused


def _lines(client: EngineClient, catalogue: Catalogue, complete: Complete) -> Iterator[dict[str, Any]]:
    for name in catalogue.tables():
        try:
            yield from _lines_of_table(client, catalogue, complete, name)
        except DialectError:
            if client.call("DescribeTable", {"TableName": name}).status != 400:
                raise
            # The table was deleted in the meantime. Its lines so far stay in the file, until the next save.


def _lines_of_table(
    client: EngineClient, catalogue: Catalogue, complete: Complete, name: str
) -> Iterator[dict[str, Any]]:
    described = client.result("DescribeTable", {"TableName": name})["Table"]
    info = catalogue.existing(name)
    yield {"CreateTable": complete(_creation(described, info.tags))}
    if info.ttl_attribute is not None:
        specification = {"AttributeName": info.ttl_attribute, "Enabled": True}
        yield {"UpdateTimeToLive": {"TableName": name, "TimeToLiveSpecification": specification}}
    for item in client.items(name):
        yield {"PutItem": {"TableName": name, "Item": item}}


def _creation(described: Mapping[str, Any], tags: Mapping[str, str]) -> dict[str, Any]:
    """The parameters of a CreateTable that makes the same table again."""
    creation: dict[str, Any] = {
        name: described[name] for name in ("TableName", "KeySchema", "AttributeDefinitions") if name in described
    }
    for kind in _INDEXES:
        if described.get(kind):
            creation[kind] = [
                {name: index[name] for name in ("IndexName", "KeySchema", "Projection")} for index in described[kind]
            ]
    throughput = described.get("ProvisionedThroughput") or {}
    read, write = throughput.get("ReadCapacityUnits"), throughput.get("WriteCapacityUnits")
    if read and write:
        creation["ProvisionedThroughput"] = {"ReadCapacityUnits": read, "WriteCapacityUnits": write}
    else:
        creation["BillingMode"] = "PAY_PER_REQUEST"
    if described.get("StreamSpecification", {}).get("StreamEnabled"):
        creation["StreamSpecification"] = described["StreamSpecification"]
    if tags:
        creation["Tags"] = [{"Key": key, "Value": value} for key, value in tags.items()]
    return creation
