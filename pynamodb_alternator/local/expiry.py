"""Time to live: the operations that turn it on and off, the rule when an item has expired, and the sweep.

A sweep deletes the expired items of a table. The server does one in each period, and an expired item stays visible
until then. Here, a request to a table does the sweep before it is executed, if one is due. While no request comes,
nothing happens.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from .answers import Answer, DialectError, json_answer, validation
from .catalogue import Catalogue, TableInfo
from .engine_client import EngineClient
from .parsing import ITEM_OPERATIONS, Parsed, Rule
from .schema import check_table_name

_YEARS = 5 * 31_556_952
"""Five years in seconds. A time further in the past counts as a mistake, and the item does not expire."""

_LONGEST_NAME = 255


class Expiry:
    """One for each cluster. All methods may be called from any thread.

    `period`: the least number of seconds between two sweeps of a table; None if only `sweep` does sweeps.
    `clock` gives the Unix time; `monotonic` measures periods.
    """

    def __init__(
        self,
        client: EngineClient,
        catalogue: Catalogue,
        period: float | None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self._catalogue = catalogue
        self._period = period
        self._clock = clock
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._swept: dict[str, float] = {}
        """When the last sweep of each table began."""

    def rules(self) -> dict[str, Rule]:
        return {"UpdateTimeToLive": self._update, "DescribeTimeToLive": self._describe}

    def _update(self, parsed: Parsed) -> Answer:
        table = check_table_name(parsed.parameters.get("TableName"))
        self._catalogue.existing(table)
        specification = parsed.parameters.get("TimeToLiveSpecification")
        if not isinstance(specification, dict):
            raise validation("UpdateTimeToLive missing mandatory TimeToLiveSpecification")
        enabled, attribute = specification.get("Enabled"), specification.get("AttributeName")
        if not isinstance(enabled, bool):
            raise validation("UpdateTimeToLive requires boolean Enabled")
        if not isinstance(attribute, str):
            raise validation("UpdateTimeToLive requires string AttributeName")
        if not 1 <= len(attribute.encode("utf-8", "surrogatepass")) <= _LONGEST_NAME:
            raise validation(f"The length of AttributeName must be between 1 and {_LONGEST_NAME}")
        self._catalogue.set_ttl(table, attribute, enabled)
        with self._lock:
            self._swept[table] = self._monotonic()
        return json_answer({"TimeToLiveSpecification": specification})

    def _describe(self, parsed: Parsed) -> Answer:
        info = self._catalogue.existing(check_table_name(parsed.parameters.get("TableName")))
        description = {"TimeToLiveStatus": "DISABLED"}
        if info.ttl_attribute is not None:
            description = {"TimeToLiveStatus": "ENABLED", "AttributeName": info.ttl_attribute}
        return json_answer({"TimeToLiveDescription": description})

    # When

    def is_due(self, parsed: Parsed) -> bool:
        """Whether a sweep must be done before this request."""
        return any(self._is_due(table) for table in _tables(parsed))

    def sweep_before(self, parsed: Parsed) -> None:
        """Sweep those tables of a request for which a sweep is due. This may wait for the engine."""
        for table in _tables(parsed):
            if self._is_due(table) and self._begin(table):
                self._sweep_table(table, self._clock())

    def _is_due(self, table: str) -> bool:
        info = self._catalogue.known(table)
        if info is None or info.ttl_attribute is None or self._period is None:
            return False
        return self._monotonic() - self._swept.get(table, 0.0) >= self._period

    def _begin(self, table: str) -> bool:
        """Whether the caller must do the sweep. False if another thread does it."""
        with self._lock:
            due = self._is_due(table)
            if due:
                self._swept[table] = self._monotonic()
            return due

    # The sweep

    def sweep(self, table: str | None = None, now: float | None = None) -> int:
        """Delete the items of one table, or of all tables, that have expired at the Unix time `now` (None: the present
        time). Returns how many items were deleted.

        Raises LookupError for a table that does not exist.
        """
        moment = self._clock() if now is None else now
        if table is not None and self._catalogue.info(table) is None:
            raise LookupError(f"LocalCluster has no table {table!r}.")
        names = self._catalogue.tables() if table is None else [table]
        return sum(self._sweep_table(name, moment) for name in names)

    def _sweep_table(self, table: str, now: float) -> int:
        info = self._catalogue.info(table)
        if info is None or info.ttl_attribute is None:
            return 0
        expired = (item for item in self._client.items(table) if is_expired(item.get(info.ttl_attribute), now))
        return sum(self._delete(table, info, item) for item in expired)

    def _delete(self, table: str, info: TableInfo, item: Mapping[str, Any]) -> bool:
        """Delete an item, unless its time has changed since it was read. Returns whether it was deleted."""
        request = {
            "TableName": table,
            "Key": {name: item[name] for name in info.keys.types},
            "ConditionExpression": "#ttl = :read",
            "ExpressionAttributeNames": {"#ttl": info.ttl_attribute},
            "ExpressionAttributeValues": {":read": item[info.ttl_attribute or ""]},
        }
        try:
            self._client.result("DeleteItem", request)
        except DialectError as refused:
            if refused.answer().value().get("__type", "").endswith("ConditionalCheckFailedException"):
                return False
            raise
        return True


def is_expired(value: object, now: float) -> bool:
    """Whether an item with this attribute has expired at the Unix time `now`.

    As in the server's ttl.cc: the value is a number, and its whole part is a time in the past, at most five years ago.
    """
    number = value.get("N") if isinstance(value, dict) else None
    if number is None:
        return False
    try:
        moment = int(Decimal(number))
    except (InvalidOperation, OverflowError, ValueError):
        return False
    return int(now) - _YEARS < moment <= int(now)


def _tables(parsed: Parsed) -> list[str]:
    """The tables whose items a request reads or writes."""
    if parsed.operation not in ITEM_OPERATIONS:
        return []
    if parsed.table is not None:
        return [parsed.table]
    requested = parsed.parameters.get("RequestItems")
    return list(requested) if isinstance(requested, dict) else []
