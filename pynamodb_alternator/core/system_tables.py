"""ScyllaDB's system tables through Alternator: virtual tables named ``.scylla.alternator.<keyspace>.<table>``.

Only Scan and Query work on them. With authorization, SELECT must be granted for each of them. Source:
``try_get_internal_table`` in the server's ``alternator/executor.cc``.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ..errors import AlternatorError, ConfigurationError, SystemTableError, error_code, error_message
from ..routing.attribute_value import attribute_value
from ..routing.tables import SYSTEM_TABLES
from ..settings import addresses
from ..topology.membership import Membership
from ..topology.reading import Location

__all__ = [
    "NodeLocations",
    "key_query",
    "known_address",
    "query_system_table",
    "read_locations",
    "read_system_table",
]

_log = logging.getLogger("pynamodb_alternator.cluster")

_DENIED = "AccessDeniedException"
_MISSING = "ResourceNotFoundException"
_TOKEN_RING = "system.token_ring"
"""The table of token rings. The library reads it on its own, so its error must not say that a name is wrong."""
_REST, _REST_IF_DENIED = 10.0, 300.0
"""Seconds before the locations of the nodes are read again after a failure, and after a refusal."""

AtOneNode = Callable[[], AbstractContextManager[Any]]
"""Makes a ``with`` block whose requests all prefer the same node, because each node has its own system tables."""


def read_system_table(
    client: Any, name: str, equals: Mapping[str, Any], at_one_node: AtOneNode
) -> Iterator[dict[str, Any]]:
    """The rows of a system table as plain dicts. If `equals` names a value of the partition key, only the rows with it.

    Numbers are int or Decimal, binary values bytes, sets are sets and maps dicts, and all other values are the text
    that the server makes of them. Raises `ConfigurationError` for a wrong name, `SystemTableError` and transport
    errors.
    """
    keyspace, dot, table = name.partition(".") if isinstance(name, str) else ("", "", "")
    if not dot or not keyspace or not table:
        raise ConfigurationError(
            f"system_table({name!r}): name a keyspace and a table, such as system_table('system.local')."
        )
    if len(equals) > 1:
        raise ConfigurationError(
            f"system_table({name!r}): give one value at most, that of the partition key (got {', '.join(equals)})."
        )
    if not equals:
        return _rows(client.scan, {"TableName": SYSTEM_TABLES + name}, name, at_one_node)
    return query_system_table(client, name, equals, at_one_node)


def query_system_table(
    client: Any, name: str, equals: Mapping[str, Any], at_one_node: AtOneNode
) -> Iterator[dict[str, Any]]:
    """Like `read_system_table`, for a name that was checked. `equals`: values for the first columns of its key,
    partition key first."""
    values = {key: _key(name, key, value) for key, value in equals.items()}
    return _rows(client.query, key_query(name, values), name, at_one_node)


def key_query(name: str, equals: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The parameters of a Query for the rows of a system table whose keys have these attribute values."""
    numbers = range(len(equals))
    return {
        "TableName": SYSTEM_TABLES + name,
        "KeyConditionExpression": " AND ".join(f"#key{number} = :value{number}" for number in numbers),
        "ExpressionAttributeNames": {f"#key{number}": key for number, key in enumerate(equals)},
        "ExpressionAttributeValues": {f":value{number}": value for number, value in enumerate(equals.values())},
    }


def _rows(read: Any, parameters: dict[str, Any], name: str, at_one_node: AtOneNode) -> Iterator[dict[str, Any]]:
    while True:
        try:
            # The block does not contain the `yield`: requests of the caller between two rows must not be in it.
            with at_one_node():
                page = read(**parameters)
        except ClientError as error:
            raise _explained(name, error) from error
        for item in page.get("Items", ()):
            yield {column: _plain(value) for column, value in item.items()}
        last = page.get("LastEvaluatedKey")
        if not last:
            return
        parameters["ExclusiveStartKey"] = last


def _explained(name: str, error: ClientError) -> SystemTableError:
    code, message = error_code(error), error_message(error)
    if code == _DENIED:
        return SystemTableError(
            f"The role may not read {name}. Let an administrator run in CQL: GRANT SELECT ON {name} TO <the role>. "
            f"(The server says: {message})"
        )
    if code == _MISSING and name == _TOKEN_RING:
        return SystemTableError(
            f"This server does not tell token rings: there is no table {name} on old versions. "
            f"Requests are routed without them. (It says: {message})"
        )
    if code == _MISSING:
        return SystemTableError(
            f"There is no system table {name} on this server. Correct the name. (It says: {message})"
        )
    return SystemTableError(f"The system table {name} cannot be read: {code}: {message}")


def _key(name: str, key: str, value: object) -> dict[str, Any]:
    made = attribute_value(value)
    if made is None:
        raise ConfigurationError(
            f"system_table({name!r}): {key} must be a string, a number or bytes (got {type(value).__name__})."
        )
    return made


def _plain(value: Any) -> Any:
    """An attribute value as a plain value of Python. Never raises."""
    if not isinstance(value, Mapping) or len(value) != 1:
        return value
    ((kind, content),) = value.items()
    try:
        match kind:
            case "N":
                return _number(content)
            case "NULL":
                return None
            case "NS":
                return {_number(element) for element in content}
            case "SS" | "BS":
                return set(content)
            case "L":
                return [_plain(element) for element in content]
            case "M":
                return {key: _plain(element) for key, element in content.items()}
    except (TypeError, ValueError, ArithmeticError, AttributeError):
        pass  # the value does not fit its type, so it is returned unchanged
    return content


def _number(text: str) -> int | Decimal:
    number = Decimal(text)
    return int(number) if number == number.to_integral_value() and abs(number) < 10**30 else number


# ---- datacenter and rack of each node ---------------------------------------------------------------------------


def read_locations(rows: Callable[[str], Iterable[Mapping[str, Any]]]) -> dict[str, Location]:
    """Datacenter and rack of each node, by the address that is listed for it. `rows` reads a system table of one
    node."""
    locations: dict[str, Location] = {}
    for table in ("system.local", "system.peers"):
        for row in rows(table):
            location = (_text(row.get("data_center")), _text(row.get("rack")))
            # /localnodes lists the address for clients. A node that is just joining does not have it yet.
            for column in ("rpc_address", "broadcast_address", "peer"):
                address = _text(row.get(column))
                if address is not None and location != (None, None):
                    locations.setdefault(address, location)
                    break
    return locations


def known_address(
    listed: str, translate: Callable[[str], str | None] | None, port: int | None = None
) -> tuple[str, int | None]:
    """The host and the port that are used for the node that is listed as `listed`.

    `translate`: the configuration's `address_translator`. `port`: the port if the translator names none.
    """
    try:
        address = listed if translate is None else translate(listed)
        host, own_port = addresses.split_port(address or listed, "address_translator")
    except Exception:  # a translator of the user may raise anything
        return listed, port
    return addresses.without_brackets(host.lower()), own_port or port


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


class NodeLocations:
    """Tells the membership the datacenter and rack of each node, if the system tables may be read.

    `one_node`: picks a node, and returns a function that reads a system table of this node. `translate`: the
    configuration's `address_translator`.
    """

    def __init__(
        self,
        membership: Membership,
        one_node: Callable[[], Callable[[str], Iterable[Mapping[str, Any]]]],
        *,
        translate: Callable[[str], str | None] | None,
        clock: Callable[[], float],
    ) -> None:
        self._membership = membership
        self._one_node = one_node
        self._translate = translate
        self._clock = clock
        self._known_for: object = ()
        self._not_before = 0.0
        self.after_fork()

    def after_fork(self) -> None:
        self._reading = threading.Lock()

    def update(self) -> None:
        """Read the locations, if nodes have come or gone since they were read. Never raises.

        If another call is reading them (for example if a receiver of the request's signals calls this), it does not
        wait.
        """
        view = self._membership.view
        ring = view.topology.ring
        if ring == self._known_for or len(view.down) == len(ring) or self._clock() < self._not_before:
            return
        if not self._reading.acquire(blocking=False):
            return
        try:
            locations = {
                known_address(address, self._translate)[0]: location
                for address, location in read_locations(self._one_node()).items()
            }
        except (AlternatorError, BotoCoreError, ClientError) as error:
            denied = isinstance(error, SystemTableError)
            self._not_before = self._clock() + (_REST_IF_DENIED if denied else _REST)
            _log.debug("Datacenter and rack of the nodes cannot be read: %s", error)
        else:
            self._membership.learn_locations(locations)
            self._known_for = ring
            if not all(node.host in locations for node in ring):
                # The node that was asked does not know all the other nodes yet.
                self._known_for, self._not_before = (), self._clock() + _REST
        finally:
            self._reading.release()
