"""Asks single nodes. The questions change nothing, do not count for health, and send no signals."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ClientError

from ..errors import NoNodesAvailableError, TransportError
from ..settings.compression import Compression
from ..settings.options import NO_OPTIONS
from ..settings.scopes import Scope
from ..topology.localnodes import Listing, NodeFilter, read_answer
from ..topology.node import Node
from ..transport.compression import compress
from ..transport.control import own_time
from ..transport.outcome import error_type
from ..transport.request import build_head

if TYPE_CHECKING:
    from ..transport.http1 import Answer
    from ..transport.signing import Signer
    from .inside import Inside

__all__ = ["NodesClient", "Questions", "at_once", "refusal"]

_AT_ONCE = 8
"""The largest number of nodes that are asked at the same time."""

_T = TypeVar("_T")
_R = TypeVar("_R")


class Questions:
    """Asks single nodes of one cluster. `timeout`: seconds for each question.

    `signer`: returns the signer of all questions; None for the cluster's own. It is called again only if it fails.
    """

    def __init__(self, inside: Inside, timeout: float, signer: Callable[[], Signer | None] | None = None) -> None:
        self._inside = inside
        self._timeout = timeout
        self._filter = NodeFilter.of(inside.config)
        self._ask_signer = signer or inside.sender.signers(NO_OPTIONS).current
        self._signers: tuple[Signer | None, ...] = ()

    def signer(self) -> Signer | None:
        """The signer of signed questions. The first call may wait. Raises what a callable for credentials raises."""
        if not self._signers:
            self._signers = (self._ask_signer(),)
        return self._signers[0]

    def get(self, node: Node, path: str) -> Answer:
        """The answer to a GET. Raises `TransportError`."""
        return self._inside.control.fetch(node, path, timeout=self._timeout)

    def node_list(self, node: Node, path: str, scope: Scope) -> Listing:
        """The node's list for a path of ``/localnodes``.

        Raises `TransportError`, and ValueError for an answer that is not a list.
        """
        answer = self.get(node, path)
        return read_answer(answer.body, node, scope, self._filter, status=answer.status)

    def post(
        self,
        node: Node,
        operation: str,
        parameters: Mapping[str, Any],
        *,
        signed: bool = True,
        compression: Compression | None = None,
        accept: str = "",
    ) -> Answer:
        """The answer to one DynamoDB request.

        `accept`: the Accept-Encoding. Raises `TransportError`, and what a callable for credentials raises.
        """
        sender, pools = self._inside.sender, self._inside.pools
        target = f"DynamoDB_20120810.{operation}"
        body, coding = json.dumps(parameters).encode(), None
        if compression is not None:
            body, coding = compress(compression, body)
        headers = [pair for pair in sender.extra_headers(NO_OPTIONS) if pair[0].lower() != "accept-encoding"]
        headers += [("Content-Encoding", coding)] if coding else []
        headers += [("Accept-Encoding", accept)] if accept else []
        if signed:
            headers += sender.signature(self.signer(), node, target, body)
        head = build_head(target, node.host_header, len(body), headers)
        deadline = time.monotonic() + self._timeout
        with own_time(node, operation, self._timeout):
            connection = pools.acquire(node, self._timeout, deadline)
            try:
                return connection.exchange(head, body, read_timeout=self._timeout, deadline=deadline)
            finally:
                pools.release(connection)


class NodesClient:
    """A small botocore client with the operations that diagnostics need.

    Each request goes to the first of its nodes that answers, for any routing scope. Raises botocore's errors, and those
    of `Questions.post`.
    """

    def __init__(self, questions: Questions, nodes: Sequence[Node]) -> None:
        self._questions = questions
        self._nodes = nodes

    def list_tables(self, **parameters: Any) -> dict[str, Any]:
        return self._ask("ListTables", parameters)

    def list_tags_of_resource(self, **parameters: Any) -> dict[str, Any]:
        return self._ask("ListTagsOfResource", parameters)

    def describe_table(self, **parameters: Any) -> dict[str, Any]:
        return self._ask("DescribeTable", parameters)

    def batch_get_item(self, **parameters: Any) -> dict[str, Any]:
        return self._ask("BatchGetItem", parameters)

    def scan(self, **parameters: Any) -> dict[str, Any]:
        return self._ask("Scan", parameters)

    def query(self, **parameters: Any) -> dict[str, Any]:
        return self._ask("Query", parameters)

    def _ask(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        error: TransportError = NoNodesAvailableError(
            "No node answers: look at address, port and scheme of the cluster."
        )
        for node in self._nodes:
            try:
                answer = self._questions.post(node, operation, parameters)
            except TransportError as failure:
                error = failure
                continue
            if answer.status >= 300:
                code, message = refusal(answer)
                raise ClientError({"Error": {"Code": code, "Message": message}}, operation)
            parsed = json.loads(answer.body)
            return parsed if isinstance(parsed, dict) else {}
        raise error


def refusal(answer: Answer) -> tuple[str, str]:
    """Code and message of an error answer."""
    try:
        content = json.loads(answer.body)
    except ValueError:
        content = None
    message = content.get("message") or content.get("Message") if isinstance(content, dict) else ""
    return error_type(answer.body) or f"status {answer.status}", str(message or "")


def at_once(ask: Callable[[_T], _R], subjects: Iterable[_T]) -> list[_R]:
    """The results of `ask` for all subjects, in their order. Several are asked at the same time."""
    subjects = list(subjects)
    if len(subjects) < 2:
        return [ask(subject) for subject in subjects]
    with ThreadPoolExecutor(min(_AT_ONCE, len(subjects)), "pynamodb_alternator-check") as pool:
        return list(pool.map(ask, subjects))
