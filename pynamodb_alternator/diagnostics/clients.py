"""Finds the clients of the cluster in the nodes' own tables ``system.clients``.

In this table a node lists the connections of CQL drivers. Of Alternator's clients it lists only those whose request it
is answering at that moment. So each node is asked again and again for a while, and the rows are summed up. Source:
``server::get_client_data`` in the server's ``alternator/server.cc``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ..errors import TransportError
from ..routing.tables import SYSTEM_TABLES
from .questions import Questions, at_once, refusal
from .words import answered, said

if TYPE_CHECKING:
    from ..topology.node import Node
    from .inside import Inside

__all__ = ["Clients", "SeenClient", "clients", "summed_up"]

_TABLE: Final = SYSTEM_TABLES + "system.clients"
_PAUSE = 0.05
"""Seconds between two questions to a node."""
_MOST_PAGES = 100
_CONNECTION = ("address", "port", "client_type", "driver_name")
"""The columns by which rows of a node are distinguished."""
_ANONYMOUS = ("", "anonymous")


@dataclass(frozen=True, slots=True)
class SeenClient:
    """One program on one machine, as the nodes list it.

    `address`: the address of the machine. `program`: the name that it sends, which is the User-Agent of Alternator's
    clients; empty if it sends none. `user`: the role of its login; empty without a login. `protocol`: ``alternator`` or
    ``cql``. `tls`: whether its connections are encrypted; None if the node does not tell this. `connections`: on how
    many connections it was seen. `nodes`: the addresses of the nodes that list it.
    """

    address: str
    program: str
    user: str
    protocol: str
    tls: bool | None
    connections: int
    nodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Clients:
    """The clients that the nodes list. `refusals`: by the address of a node, why its list could not be read."""

    clients: tuple[SeenClient, ...]
    asked: tuple[str, ...]
    refusals: Mapping[str, str]


def clients(inside: Inside, *, seconds: float, timeout: float = 2.0, own: str = "") -> Clients:
    """Ask every node for its clients, and ask the nodes that answer again and again for so many `seconds`.

    `timeout`: seconds for each question. `own`: the User-Agent of the questions themselves, which is left out. Raises
    `ClusterClosedError`.
    """
    inside.prepare(time.monotonic(), timeout)
    questions = Questions(inside, timeout)
    every = inside.membership.view.topology.ring
    nodes = list(every)
    deadline: float | None = None
    rows: dict[tuple[str, ...], tuple[str, Mapping[str, str]]] = {}
    refusals: dict[str, str] = {}
    told: set[str] = set()
    while nodes:
        for node, answer in zip(nodes, at_once(lambda node: _look_at(questions, node), nodes), strict=True):
            if isinstance(answer, str):
                refusals[node.address] = answer
                continue
            told.add(node.address)
            for row in answer:
                if not (own and row.get("driver_name") == own):
                    connection = (node.address, *(row.get(name, "") for name in _CONNECTION))
                    rows[connection] = node.address, row
        # A frozen node would delay the questions to the others.
        nodes = [node for node in nodes if node.address not in refusals]
        now = time.monotonic()
        if deadline is None:
            deadline = now + seconds
        if now >= deadline:
            break
        time.sleep(_PAUSE)
    refused = {address: reason for address, reason in refusals.items() if address not in told}
    return Clients(summed_up(rows.values()), tuple(node.address for node in every), refused)


def _look_at(questions: Questions, node: Node) -> list[dict[str, str]] | str:
    """The rows that a node lists now, or why they cannot be read."""
    try:
        return list(_rows(lambda more: _page(questions, node, more)))
    except Exception as error:
        return said(error)


def _page(questions: Questions, node: Node, more: Mapping[str, Any]) -> Mapping[str, Any]:
    answer = questions.post(node, "Scan", {"TableName": _TABLE, **more})
    if answer.status != 200:
        code, message = refusal(answer)
        raise TransportError(answered(code, message))
    page = json.loads(answer.body)
    return page if isinstance(page, dict) else {}


def _rows(page_after: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> Iterator[dict[str, str]]:
    more: dict[str, Any] = {}
    for _ in range(_MOST_PAGES):
        page = page_after(more)
        for item in page.get("Items", ()):
            # Columns of all types become text here.
            yield {name: str(next(iter(value.values()))) for name, value in item.items()}
        if not page.get("LastEvaluatedKey"):
            return
        more = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def summed_up(rows: Iterable[tuple[str, Mapping[str, str]]]) -> tuple[SeenClient, ...]:
    """One `SeenClient` for all rows of the same program on the same machine, sorted by machine and program."""
    groups: dict[tuple[str, str, str, str, str], set[tuple[str, str]]] = {}
    for node, row in rows:
        program = " ".join(filter(None, (row.get("driver_name"), row.get("driver_version"))))
        user = row.get("username", "")
        key = (
            row.get("address", ""),
            program,
            "" if user in _ANONYMOUS else user,
            row.get("client_type", ""),
            row.get("ssl_enabled", "").lower(),
        )
        groups.setdefault(key, set()).add((node, row.get("port", "")))
    return tuple(
        SeenClient(
            *(address, program, user, protocol),
            tls={"true": True, "false": False}.get(tls),
            connections=len(seen),
            nodes=tuple(sorted({node for node, _ in seen})),
        )
        for (address, program, user, protocol, tls), seen in sorted(groups.items())
    )
