"""The default engine: moto's DynamoDB, called in process without its HTTP layer.

Each `MotoEngine` has its own backend, which is not in moto's registries. So `mock_aws` in the user's process does not
see or reset it, and two clusters share nothing.
"""

from __future__ import annotations

import base64
import datetime
import functools
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from .engine import EngineAnswer
from .moto_table import backend_class

_log = logging.getLogger(__name__)

_REGION = "us-east-1"
_ACCOUNT = "123456789012"
_HEADERS = {"content-type": "application/x-amz-json-1.0"}
# Fields that moto's handlers add to a result although DynamoDB's model does not have them, or the request did not ask
# for them.
_STRAY = ("ConsumedCapacityUnits", "ConsumedCapacity", "ItemCollectionMetrics")


class MotoEngine:
    """moto's DynamoDB with one lock.

    The lock is necessary: moto reads, copies and writes an item without a lock, and with several threads it loses
    updates.
    """

    batch_limit = 100

    def __init__(self) -> None:
        self.lock: Any = threading.RLock()
        self._handler, backend, self._attribute, self._kept = _moto()
        self._backend = backend(_REGION, _ACCOUNT)
        self._actions: dict[str, str] = {}

    def call(self, headers: Mapping[str, str], body: bytes) -> EngineAnswer:
        operation = headers["x-amz-target"].rpartition(".")[2]
        with self.lock:
            tracked = [(kind.instances_tracked, len(kind.instances_tracked)) for kind in self._kept]
            try:
                return self._call(operation, orjson.loads(body))
            except Exception as wrong:
                return _error_answer(operation, wrong)
            finally:
                # moto keeps every item and table that was ever made, for the dashboard of its server. Without this
                # line, we would run out of memory, and keep the tables of closed clusters.
                for instances, before in tracked:
                    del instances[before:]

    def _call(self, operation: str, parameters: dict[str, Any]) -> EngineAnswer:
        if operation == "UpdateItem" and "UpdateExpression" not in parameters:
            # An update that has only a key is legal, but moto fails on it.
            parameters.setdefault("AttributeUpdates", {})
        handler = self._handler(self._backend, parameters)
        action = self._action(operation)
        result = getattr(handler, action)()
        if isinstance(result, str):
            result = orjson.loads(result)
        elif hasattr(result, "result"):
            result = result.result
        if result is None:
            return 200, _HEADERS, b""
        for name in _STRAY:
            result.pop(name, None)
        return 200, _HEADERS, orjson.dumps(result, self._plain, orjson.OPT_PASSTHROUGH_DATETIME)

    def _action(self, operation: str) -> str:
        action = self._actions.get(operation)
        if action is None:
            action = "".join("_" + c.lower() if c.isupper() else c for c in operation).lstrip("_")
            if not hasattr(self._handler, action):
                raise LookupError(f"moto has no operation {operation}")
            self._actions[operation] = action
        return action

    def _plain(self, value: Any) -> Any:
        """The value that orjson writes in place of a type that it does not support."""
        if isinstance(value, self._attribute):
            return {value.type: value.value}
        if isinstance(value, bytes):
            return base64.b64encode(value).decode()
        if isinstance(value, datetime.datetime):
            if value.tzinfo is None:
                value = value.replace(tzinfo=datetime.UTC)
            return round(value.timestamp(), 3)
        if hasattr(value, "to_json"):
            return value.to_json()
        raise TypeError(f"moto answered with a {type(value).__name__}")


def _error_answer(operation: str, wrong: Exception) -> EngineAnswer:
    """moto's exception as a JSON error. An unexpected exception is an InternalServerError, as in Alternator."""
    description = getattr(wrong, "description", None)
    if isinstance(description, str) and description.startswith("{"):
        return int(getattr(wrong, "code", 400) or 400), _HEADERS, description.encode()
    code, message = getattr(wrong, "code", None), getattr(wrong, "message", None)
    if isinstance(code, str) and isinstance(message, str):
        return 400, _HEADERS, orjson.dumps({"__type": code, "message": message})
    if isinstance(wrong, KeyError | TypeError | AttributeError | ValueError):
        # moto validates little, and fails on malformed requests, which the server would have refused.
        _log.debug("moto failed on %s", operation, exc_info=wrong)
        text = f"the request is malformed ({type(wrong).__name__}: {wrong})"
        return 400, _HEADERS, orjson.dumps({"__type": "ValidationException", "message": text})
    _log.warning("moto failed on %s", operation, exc_info=wrong)
    text = f"the engine failed ({type(wrong).__name__}: {wrong})"
    return 500, _HEADERS, orjson.dumps({"__type": "InternalServerError", "message": text})


@functools.cache
def _moto() -> tuple[Callable[..., Any], Callable[..., Any], type[Any], tuple[type[Any], ...]]:
    """The classes of moto that we use: the request handler, the backend, the type of attributes, and the types it
    tracks."""
    backend, handler, attribute, kept = backend_class()

    class Handler(handler):  # type: ignore[misc,valid-type,unused-ignore]
        """moto's handler with our backend, and without the request object that its own `__init__` needs."""

        def __init__(self, backend: Any, parameters: dict[str, Any]) -> None:
            super().__init__()
            self._backend = backend
            self.body = self.params = parameters
            self.region, self.current_account, self.partition = _REGION, _ACCOUNT, "aws"
            self.headers: Any = {}
            self.response_headers: dict[str, str] = {}
            self.uri_match: dict[str, Any] = {}
            self.querystring: dict[str, Any] = {}

        @property
        def dynamodb_backend(self) -> Any:
            return self._backend

    return Handler, backend, attribute, kept
