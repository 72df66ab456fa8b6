"""`Model.count()` without a key, by a scan that counts, because Alternator's DescribeTable has no ItemCount."""

from __future__ import annotations

import logging
import weakref
from typing import Any

from pynamodb.connection.base import BOTOCORE_EXCEPTIONS
from pynamodb.constants import (
    CONSISTENT_READ,
    COUNT,
    EXCLUSIVE_START_KEY,
    INDEX_NAME,
    LIMIT,
    SCAN,
    SELECT,
    TABLE_NAME,
)
from pynamodb.exceptions import ScanError, TableDoesNotExist
from pynamodb.pagination import ResultIterator

from ..cluster import Cluster
from ..errors import error_code, error_message
from ._pynamodb import AnyModel, connection_of
from .connection import AlternatorConnection
from .waits import paced

__all__ = ["count_of"]

_log = logging.getLogger("pynamodb_alternator.orm")
_told: weakref.WeakKeyDictionary[Cluster, frozenset[str]] = weakref.WeakKeyDictionary()
"""For each cluster: the tables for which it was logged already that `count()` reads the whole table."""


def count_of(
    stock: Any,
    model: AnyModel,
    hash_key: Any = None,
    range_key_condition: Any = None,
    filter_condition: Any = None,
    consistent_read: bool = False,
    index_name: str | None = None,
    limit: int | None = None,
    rate_limit: float | None = None,
) -> int:
    """The result of PynamoDB's method `stock`. Without a key, on a cluster: the number of items in the table.

    Like ItemCount, it includes all items of the table, also those of other models; with `index_name`, all items of the
    index. `limit` and `rate_limit` work as with a key. Raises `TableDoesNotExist`, as PynamoDB's method does, and
    otherwise `ScanError`, as PynamoDB's scan does.
    """
    table = connection_of(model) if hash_key is None and filter_condition is None else None
    if table is None or not isinstance(table.connection, AlternatorConnection):
        counted: int = stock(
            hash_key, range_key_condition, filter_condition, consistent_read, index_name, limit, rate_limit
        )
        return counted
    _say_once(table.connection.cluster, table.table_name)
    scan = _CountingScan(table.connection, table.table_name)
    settings = {"consistent_read": consistent_read, "index_name": index_name, "limit": limit}
    pages: ResultIterator[Any] = ResultIterator(scan.page, (), settings, limit=limit, rate_limit=rate_limit)
    list(paced(pages))  # the pages have no items, and the iterator adds up their counts
    return pages.total_count


class _CountingScan:
    """Makes the request for each page of PynamoDB's iterator."""

    def __init__(self, connection: AlternatorConnection, table_name: str) -> None:
        self._connection = connection
        self._table_name = table_name

    def page(
        self,
        *,
        consistent_read: bool,
        index_name: str | None,
        limit: int | None,
        exclusive_start_key: Any = None,
        return_consumed_capacity: str | None = None,
    ) -> dict[str, Any]:
        """The number of items of a page. Each request asks for the consumed capacity."""
        settings = {
            INDEX_NAME: index_name,
            LIMIT: limit,
            EXCLUSIVE_START_KEY: exclusive_start_key,
            CONSISTENT_READ: consistent_read,
        }
        request = {TABLE_NAME: self._table_name, SELECT: COUNT}
        request.update({name: value for name, value in settings.items() if value})
        try:
            return self._connection.dispatch(SCAN, request)
        except BOTOCORE_EXCEPTIONS as error:
            if error_code(error) == "ResourceNotFoundException":
                raise TableDoesNotExist(error_message(error)) from error
            raise ScanError(f"Failed to count the items of {self._table_name}: {error}", error) from error


def _say_once(cluster: Cluster, table_name: str) -> None:
    told = _told.get(cluster, frozenset())
    if table_name not in told:
        _told[cluster] = told | {table_name}
        _log.warning(
            "count() without a key reads all of the table %s, because Alternator's DescribeTable has no ItemCount. "
            "This is logged once for each table.",
            table_name,
        )
