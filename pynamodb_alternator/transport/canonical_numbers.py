"""Changes the numbers of requests to DynamoDB's canonical form, as `ClusterConfig.canonical_numbers` says.

One search in the bytes of a request tells whether it may have a number that would change; hardly any request has one.
Only such a request is searched member by member, and changed in a copy: the caller's parameters are not changed. The
copy is serialized again and used for routing, so that hash and token are computed from the key that is sent.

These numbers change: elements of number sets, because the server compares them by their text; numbers with which a
condition or filter compares, for the same reason; and with True the numbers at the top level of keys, items and
updates. The partition keys of tables and indexes are among these. The server makes the others canonical anyway when it
reads them, so it does not matter which attributes are keys.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ..errors import WRONG_VALUE
from ..routing.canonical_number import canonical_number, is_canonical
from ..routing.expression_values import CONDITIONS, EXPRESSIONS, rewritten
from ..routing.key_condition import queried_key
from ..routing.partition_key import as_mapping, attributes_of_write
from ..routing.tables import Tables
from ..settings.options import RequestOptions
from ..settings.values import CanonicalNumbers

__all__ = ["NumberForms", "canonical_request", "may_change"]

_log = logging.getLogger("pynamodb_alternator.routing")

_CANONICAL = rb'(?:[1-9][0-9]*|0|-?(?:0|[1-9][0-9]*)\.[0-9]*[1-9]|-[1-9][0-9]*)"'
may_change: Callable[[bytes], Any] = re.compile(
    rb'N(?:": ?"(?!%b)|S": ?\[(?!(?:"%b(?:, ?)?)*\]))' % (_CANONICAL, _CANONICAL)
).search
"""Finds bodies of requests that may have a number in another form. It also finds some others, because the name of an
attribute may end with the letters of a number's type. The pattern begins with a single letter, because the search for
one letter is fast."""

_VALUES = "ExpressionAttributeValues"
_COMPARING = frozenset((_VALUES, "Expected", "QueryFilter", "ScanFilter", "TransactItems"))
"""The members of a request that may compare numbers."""

Rule = Callable[[Any], Any]
"""Changes a part of a request: returns a changed copy, or the same object if nothing changes."""


class NumberForms:
    """Changes the numbers of each request as its settings say. Threads may share it.

    `default`: the cluster's setting. `options`: returns the options of the present request. `tables`: knows the
    partition keys.
    """

    def __init__(self, default: CanonicalNumbers, options: Callable[[], RequestOptions], tables: Tables) -> None:
        self._default = default
        self._options = options
        self._tables = tables
        self._told: dict[str, object] = {}

    def of(self, parameters: Mapping[str, Any], body: bytes) -> Mapping[str, Any]:
        """The parameters to send: a changed copy if a number changes, else the same object.

        `body`: the parameters as JSON.
        """
        mode = self._options().canonical_numbers
        if mode is None:
            mode = self._default
        if mode is False:
            return parameters
        try:
            if mode == "sets":
                self._tell_of_keys(parameters)
                if b'"NS"' not in body and _COMPARING.isdisjoint(parameters):
                    return parameters
            return canonical_request(parameters, keys=mode is True)
        except WRONG_VALUE:
            # The server will raise an error about the parameters.
            _log.debug("The numbers of a request cannot be made canonical.", exc_info=True)
            return parameters

    def _tell_of_keys(self, parameters: Mapping[str, Any]) -> None:
        """Log once for each table that a partition key is not in the canonical form."""
        for table, value in self._keys(parameters):
            number = _number(value)
            if number is None or table in self._told or is_canonical(number) or not isinstance(table, str):
                continue
            mark = object()
            if self._told.setdefault(table, mark) is mark:
                _log.warning(
                    "Table %r: a request has a number as a partition key, of the table or of an index, that is not "
                    "written as DynamoDB writes it, such as 1.0 for 1. For DynamoDB these are the same key. For "
                    "Alternator they are two keys, and an item that is saved under one is not found under the other. "
                    "`pynamodb-alternator check` tells whether "
                    "canonical_numbers=True, which makes them one, is safe for the items that are stored.",
                    table,
                )

    def _keys(self, parameters: Mapping[str, Any]) -> Iterable[tuple[Any, Any]]:
        """The partition keys in a request, as far as their names are known, with their tables."""
        table = parameters.get("TableName")
        name = self._tables.get(table).partition_key
        if "KeyConditionExpression" in parameters or "KeyConditions" in parameters:
            index = parameters.get("IndexName")
            if index is not None:
                name = self._tables.get(table).index_keys.get(index)
            yield table, queried_key(parameters, name)
        for member in ("Key", "Item"):
            attributes = as_mapping(parameters.get(member))
            if attributes is not None:
                yield from self._keys_of(table, attributes)
                if name is None and member == "Key" and len(attributes) == 1:
                    yield table, next(iter(attributes.values()))
        for table, requests in (as_mapping(parameters.get("RequestItems")) or {}).items():
            if table in self._told:
                continue
            for attributes in _attributes_in(requests):
                yield from self._keys_of(table, attributes)

    def _keys_of(self, table: Any, attributes: Mapping[Any, Any]) -> Iterable[tuple[Any, Any]]:
        """The partition keys of the table and of its indexes in a key or an item."""
        known = self._tables.get(table)
        return [(table, attributes.get(name)) for name in (known.partition_key, *known.index_keys.values())]


def _attributes_in(requests: Any) -> Iterable[Mapping[Any, Any]]:
    """The keys and items of one table in a batch."""
    of_reads = as_mapping(requests)
    if of_reads is not None:
        return [key for key in of_reads.get("Keys") or () if as_mapping(key) is not None]
    return [attributes for write in requests if (attributes := attributes_of_write(write)) is not None]


def canonical_request(parameters: Mapping[str, Any], *, keys: bool) -> Mapping[str, Any]:
    """The parameters of an operation with canonical numbers: a changed copy if a number changes, else the same object.

    `keys`: whether numbers at the top level of keys, items and updates change too. Elements of a set that become equal
    are sent once.
    """

    made = _members(parameters, _RULES[keys])
    return made if as_mapping(made) is None else _with_expressions(made, keys)


def _rules(keys: bool) -> Mapping[str, Rule]:
    """The rule for each member of a request."""

    def value(typed: Any) -> Any:
        return _value(typed, keys)

    def compared(typed: Any) -> Any:
        return _value(typed, True)

    def attributes(named: Any) -> Any:
        return _each(named, value)

    def write(request: Any) -> Any:
        return _each(request, lambda body: _each(body, attributes))

    of_reads = {"Keys": _of_all(attributes)}
    of_writes = _of_all(write)

    def batch(requests: Any) -> Any:
        return of_writes(requests) if as_mapping(requests) is None else _members(requests, of_reads)

    def each_of(members: Mapping[str, Rule]) -> Rule:
        return lambda named: _each(named, lambda body: _members(body, members))

    condition = each_of({"Value": compared, "AttributeValueList": _of_all(compared)})
    return {
        "Key": attributes,
        "Item": attributes,
        "ExclusiveStartKey": attributes,
        _VALUES: lambda named: _each(named, _nested),
        "RequestItems": lambda tables: _each(tables, batch),
        "TransactItems": _of_all(lambda item: _each(item, lambda body: canonical_request(body, keys=keys))),
        "AttributeUpdates": each_of({"Value": value}),
        "KeyConditions": each_of({"AttributeValueList": _of_all(value)}),
        "Expected": condition,
        "QueryFilter": condition,
        "ScanFilter": condition,
    }


def _with_expressions(parameters: Mapping[str, Any], keys: bool) -> Mapping[str, Any]:
    """The parameters with changes of the numbers to which the request's expressions refer."""
    members = [member for member in (EXPRESSIONS if keys else CONDITIONS) if member in parameters]
    values = as_mapping(parameters.get(_VALUES))
    if not members or values is None:
        return parameters
    forms = {
        reference: canonical
        for reference, typed in values.items()
        if (number := _number(typed)) is not None and (canonical := canonical_number(number)) != number
    }
    if not forms:
        return parameters
    twins = {reference: _unused(f"{reference}_canonical", values) for reference in forms}
    made = rewritten(parameters, members, twins)
    if not made.changed and not made.added:
        return parameters
    canonical_values = {reference: {"N": forms[reference]} for reference in made.changed}
    canonical_values |= {twins[reference]: {"N": forms[reference]} for reference in made.added}
    return {**parameters, **made.expressions, _VALUES: {**values, **canonical_values}}


def _unused(reference: str, values: Mapping[str, Any]) -> str:
    while reference in values:
        reference += "_"
    return reference


def _number(typed: Any) -> str | None:
    """The text of a number's attribute value."""
    value = as_mapping(typed)
    number = value.get("N") if value is not None and len(value) == 1 else None
    return number if isinstance(number, str) else None


def _value(typed: Any, is_number_meant: bool) -> Any:
    """A changed attribute value. Its own number changes only if `is_number_meant`. Elements of number sets in it always
    change."""
    value = as_mapping(typed)
    if value is None or len(value) != 1:
        return typed
    ((kind, content),) = value.items()
    if kind == "N" and is_number_meant and isinstance(content, str):
        made: Any = canonical_number(content)
        return typed if made == content else {kind: made}
    if kind == "NS":
        made = _set(content)
    elif kind == "M":
        made = _each(content, _nested)
    elif kind == "L":
        made = _of_all(_nested)(content)
    else:
        return typed
    return typed if made is content else {kind: made}


def _nested(typed: Any) -> Any:
    return _value(typed, False)


def _set(elements: Any) -> Any:
    if not isinstance(elements, list | tuple | set | frozenset):
        return elements
    if all(map(is_canonical, elements)):
        return elements
    made = [canonical_number(element) if isinstance(element, str) else element for element in elements]
    return list(dict.fromkeys(made))


def _members(body: Any, rules: Mapping[str, Rule]) -> Any:
    """A copy in which the rules have changed these members; `body` itself if none changes."""
    if as_mapping(body) is None:
        return body
    changed = {}
    for name, rule in rules.items():
        if name in body:
            made = rule(body[name])
            if made is not body[name]:
                changed[name] = made
    return {**body, **changed} if changed else body


def _each(named: Any, rule: Rule) -> Any:
    """A copy in which the rule has changed all members; `named` itself if none changes."""
    if as_mapping(named) is None:
        return named
    changed = {}
    for name, value in named.items():
        made = rule(value)
        if made is not value:
            changed[name] = made
    return {**named, **changed} if changed else named


def _of_all(rule: Rule) -> Rule:
    """A rule that changes all elements of a list."""

    def of_list(elements: Any) -> Any:
        if not isinstance(elements, list | tuple):
            return elements
        made = [rule(element) for element in elements]
        return made if any(new is not old for new, old in zip(made, elements, strict=True)) else elements

    return of_list


_RULES = {keys: _rules(keys) for keys in (False, True)}
