"""Reading an answer of ``/localnodes``: each entry is judged by itself.

`Discovery` and the diagnostics both read answers with these functions. `NodeFilter` remembers which node it made of an
entry, because the same list is read again and again, and seldom changes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import NamedTuple, TypeAlias
from urllib.parse import quote

from ..errors import ConfigurationError
from ..settings import addresses, checks
from ..settings.config import ClusterConfig
from ..settings.scopes import Scope
from ..settings.secrets import without_userinfo
from .node import MOST_NAMES, Node

__all__ = ["IMPOSSIBLE_RACK_PATH", "Listing", "NodeFilter", "path_for", "read_answer"]

IMPOSSIBLE_RACK_PATH = "/localnodes?rack=pynamodb_alternator/no-such-rack"
"""Asks for the nodes of a rack that cannot exist. A server that honours datacenter and rack gives an empty list. A
server before ScyllaDB 2025.1 ignores both, and lists all nodes of its datacenter."""

_UUID = r"(?i)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_WHY_NOT = {
    addresses.LOOPBACK: "listed by a node that is not on this machine",
    addresses.LINK_LOCAL: "listed by a node that is not on that link",
    addresses.UNSPECIFIED: "which no other machine can reach",
}
_MAX_ENTRIES = 10_000
"""No cluster is larger, so a longer list is a wrong answer."""


def path_for(scope: Scope) -> str:
    """The path that asks a node for the members of `scope`.

    Without ``dc`` a node answers with its own datacenter (`ClusterScope` asks one node of each).
    """
    query = [
        f"{name}={quote(value, safe='')}"
        for name, value in (("dc", scope.datacenter), ("rack", scope.rack))
        if value is not None
    ]
    return "/localnodes" + ("?" + "&".join(query) if query else "")


_Made: TypeAlias = dict[str | tuple[str, str, int | None], tuple[tuple[str, ...], "Node | str"]]
"""By entry, or by host and port where a translator is used: the names that the node had, and the node itself, or the
reason in words why there is no node."""
_MOST_MADE = 2 * _MAX_ENTRIES
_MOST_SOURCES = 100
"""Kinds of sources whose nodes are kept."""


class Listing(NamedTuple):
    """What one answer lists. `refused`: pairs of an entry that cannot be a node, and the reason."""

    nodes: tuple[Node, ...]
    refused: tuple[tuple[str, str], ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether the server listed nothing at all. Entries that we refuse are entries."""
        return not self.nodes and not self.refused


class NodeFilter:
    """Makes nodes from listed addresses, and refuses what cannot be one.

    `allowed_networks`: if it is not empty, only addresses in these networks are allowed. `translate`: returns the
    address to use instead of a listed one (NAT), as ``"host"`` or ``"host:port"``; None refuses the entry. `port`: of
    each listed node; None means the port of the node that lists it. `names_of`: returns the configured names that
    resolve to a host.

    A listed node's certificate may be issued for the name of the source that lists it, for the name that resolves to
    it, or for its address. The source has proved its own identity, so the addresses that it lists can be trusted.

    If a node is listed again without a change, the filter returns the same object as before. The translator and the
    resolver are called each time.
    """

    def __init__(
        self,
        *,
        allowed_networks: Sequence[IPv4Network | IPv6Network] = (),
        translate: Callable[[str], str | None] | None = None,
        port: int | None = None,
        names_of: Callable[[str], Sequence[str]] = lambda host: (),
    ) -> None:
        self._allowed = tuple(allowed_networks)
        self._translate = translate
        self._port = port
        self._names_of = names_of
        self._made: dict[tuple[object, ...], _Made] = {}

    @classmethod
    def of(cls, config: ClusterConfig, names_of: Callable[[str], Sequence[str]] = lambda host: ()) -> NodeFilter:
        """The filter that a configuration asks for."""
        networks = [network for network in config.allowed_networks if not isinstance(network, str)]
        return cls(
            allowed_networks=networks,
            translate=config.address_translator,
            port=config.node_port,
            names_of=names_of,
        )

    def made_of(self, source: Node, scope: Scope) -> _Made:
        """What was made of entries that were listed for `scope` by nodes such as `source`."""
        # These are all the properties of a source that `_make` uses.
        like = (source.scheme, source.port, source.server_name, source.kind, source.may_name_this_machine)
        key = (*like, scope.datacenter, scope.rack)
        made = self._made.get(key)
        if made is None or len(made) > _MOST_MADE:
            if len(self._made) >= _MOST_SOURCES:
                self._made.clear()
            made = self._made[key] = {}
        return made

    def node(self, entry: object, source: Node, scope: Scope, made: _Made) -> Node | str:
        """The node that `source` listed as `entry`, or in words why there is none. `made`: see `made_of`."""
        if not isinstance(entry, str) or not entry.strip():
            return "no address"
        host = listed = entry.strip()
        if host.count("-") == 4 and re.fullmatch(_UUID, host):
            return "a host id and no address"
        port: int | None = None
        if self._translate is not None:
            try:
                translated: object = self._translate(listed)
            except Exception as error:
                return f"address_translator failed: {error!r}"
            if translated is None:
                return "refused by address_translator"
            if not isinstance(translated, str):
                return f"address_translator gave no string: {checks.shown(translated)}"
            try:
                host, port = addresses.split_port(translated, "address_translator")
            except ConfigurationError as error:
                return str(error)
        key = listed if host is listed else (listed, host, port)
        known = made.get(key)
        if known is not None and known[0] == self._names(host, source):
            return known[1]
        try:
            addresses.check_host(host, "entry")
        except ConfigurationError:
            return "neither an IP address nor a host name"
        names = self._names(host, source)
        # A translator may return the end of a tunnel on this machine. Then the address is not the listed one.
        node = self._make(host, port, names, source, scope, is_listed=host == listed)
        made[key] = names, node
        return node

    def _make(
        self, host: str, port: int | None, names: tuple[str, ...], source: Node, scope: Scope, *, is_listed: bool
    ) -> Node | str:
        is_listed_name = is_listed and addresses.ip_address_of(addresses.without_brackets(host)) is None
        node = Node(
            source.scheme,
            host,
            port or self._port or source.port,
            datacenter=scope.datacenter,
            rack=scope.rack,
            server_name=names[0] if names else None,
            other_names=(*names[1:], addresses.without_brackets(host)) if names else (),
            is_listed_name=is_listed_name and not source.may_name_this_machine,
        )
        if is_listed and node.kind is not None and not _may_list(source, node):
            return f"{node.kind}, {_WHY_NOT.get(node.kind, 'which is not that of a node')}"
        if self._allowed and not self._is_allowed(node.host):
            return "outside allowed_networks"
        return node

    def _names(self, host: str, source: Node) -> tuple[str, ...]:
        """The names that the certificate of `host`, listed by `source`, may have. They are tried before its address."""
        if source.scheme != "https":
            return ()
        names = dict.fromkeys(name for name in (source.server_name, *self._names_of(host)) if name is not None)
        return tuple(names)[: MOST_NAMES - 1]

    def _is_allowed(self, host: str) -> bool:
        address = addresses.ip_address_of(host)
        if address is None:
            return False
        return any(address in network for network in self._allowed)


def _may_list(source: Node, node: Node) -> bool:
    """Whether the special address of `node`, such as a loopback one, means the same machine for `source` as for us."""
    if node.kind == addresses.LINK_LOCAL:
        return source.kind in (addresses.LINK_LOCAL, addresses.LOOPBACK)
    # Another special address (multicast, broadcast) cannot be a node at all.
    return node.kind == source.kind and node.kind in (addresses.LOOPBACK, addresses.UNSPECIFIED)


def read_answer(body: bytes, source: Node, scope: Scope, nodes: NodeFilter, *, status: int = 200) -> Listing:
    """What `source` lists in the answer with this `status` and `body`.

    Raises ValueError if the answer as a whole is not a list.
    """
    if status != 200:
        raise ValueError(f"/localnodes was answered with status {status}")
    try:
        entries = json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError("the answer is not JSON") from None
    if not isinstance(entries, list):
        raise ValueError("the answer is not a list")
    if len(entries) > _MAX_ENTRIES:
        raise ValueError(f"the answer lists more than {_MAX_ENTRIES} nodes")
    made = nodes.made_of(source, scope)
    listed: dict[Node, None] = {}
    refused: list[tuple[str, str]] = []
    for entry in entries:
        node = nodes.node(entry, source, scope, made)
        if isinstance(node, Node):
            listed[node] = None
        else:
            refused.append((without_userinfo(repr(entry))[:80], node))
    return Listing(tuple(listed), tuple(refused))
