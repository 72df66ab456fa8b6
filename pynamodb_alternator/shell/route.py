"""``pynamodb-alternator route TABLE KEY``."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from ..core.table_description import attribute_types_of, hash_key_of, index_keys_of
from ..core.write_isolation import read_write_isolation
from ..diagnostics import KeyRoute, ping, said
from ..errors import ConfigurationError
from ..routing.reasons import NO_TOKEN_RING, TOKEN_AWARENESS_OFF
from ..settings.checks import did_you_mean
from . import settings
from .names import describe, key_value
from .render import show_route
from .screen import Screen

if TYPE_CHECKING:
    from ..cluster import Cluster
    from ..settings.values import KeyRouteAffinity


_NOT_READ = (NO_TOKEN_RING, TOKEN_AWARENESS_OFF)
"""Reasons that only mean that the replicas have not been requested yet."""

__all__ = ["KnownTable", "add", "ask", "run", "show"]


def add(commands: Any) -> None:
    command = commands.add_parser(
        "route",
        help="which nodes the requests of a key go to, and why",
        description="The hash of a partition key, and the nodes that its writes with affinity go to, in order; its "
        "token, and with --token-aware its replicas. The table's definition is asked of the cluster, unless "
        "--partition-key says what it needs. Nothing is written. Exit status 1 if no node answers, or "
        "the definition cannot be read.",
    )
    command.add_argument("table", metavar="TABLE")
    command.add_argument("key", metavar="KEY", help="the partition key's value; binary ones in base64")
    command.add_argument("--type", choices=("S", "N", "B"), help="the key's type (default: as the table has it, or S)")
    command.add_argument("--partition-key", metavar="NAME", help="the partition key's name; the cluster is not asked")
    command.add_argument("--index", metavar="NAME", help="the key is that of this index")
    settings.add_token_aware(command, "read the table's token ring, and show the key's replicas")
    settings.add(command)
    command.set_defaults(run=run)


@dataclass(frozen=True, slots=True)
class KnownTable:
    """What is known of the table from the cluster, the options or a model. `key_type`: None if it is unknown.
    `is_guess`: the name of the key is not known, and perhaps not its type."""

    key_type: str | None = None
    write_isolation: str | None = None
    note: str = ""
    is_guess: bool = False


def run(options: argparse.Namespace) -> int:
    screen = Screen(as_json=options.json)
    with settings.open_cluster(options, reads_rings=True) as cluster:
        if options.partition_key is None:
            with screen.waiting("asking for the table"):
                table = ask(cluster, options.table, options.index, key_type=options.type)
        else:
            table = _stated(cluster, options)
        with cluster.options(token_aware=True if options.token_aware else None):
            is_well = show(
                *(cluster, screen, options.table, options.key, table),
                index=options.index,
                token_aware=options.token_aware,
                timeout=options.timeout,
            )
    return int(not is_well)


def show(
    cluster: Cluster,
    screen: Screen,
    name: str,
    key: str,
    table: KnownTable,
    *,
    index: str | None,
    token_aware: bool,
    timeout: float,
) -> bool:
    """Show where the requests of a key of the table `name` go. True if a node answers, and the key is known.

    `key`: as the user wrote it. `token_aware`: whether the caller has requested the token ring, independently of the
    configuration. `timeout`: seconds for each request. Raises `ConfigurationError`.
    """
    with screen.waiting("asking where the key is"):
        route = cluster.route(name, key_value(key, table.key_type or "S"), index)
    with screen.waiting("asking the nodes"):
        answers = ping(cluster.core, timeout=timeout)
    shown = dict.fromkeys((*route.ring, *route.all_replicas))
    silent = [address for address in shown if not isinstance(answers.get(address), float)]
    notes = [table.note] if table.note else []
    if route.replicas_reason in _NOT_READ and not token_aware and cluster.config.token_aware is not True:
        notes.append("Add --token-aware to see the key's replicas.")
    is_well = any(isinstance(answer, float) for answer in answers.values())
    if not is_well:
        notes.append("No node answers. The command for the check says why.")
    isolation = table.write_isolation
    if screen.as_json:
        document = _for_machines(route, key)
        screen.document(document | {"write_isolation": isolation, "not_answering": silent, "notes": notes})
    else:
        show_route(screen, route, key, write_isolation=isolation, silent=silent, notes=notes)
    return is_well and not table.is_guess


def _stated(cluster: Cluster, options: argparse.Namespace) -> KnownTable:
    if not options.partition_key:
        raise ConfigurationError("--partition-key: write the name of the table's partition key, such as id.")
    # With --index it is the key of the index, and the table's own key does not matter.
    index_keys = {} if options.index is None else {options.index: options.partition_key}
    cluster.register_table(options.table, options.partition_key, index_keys=index_keys)
    return KnownTable(options.type)


def ask(
    cluster: Cluster,
    name: str,
    index: str | None,
    *,
    key_type: str | None = None,
    instead: Mapping[str, Any] | None = None,
    affinity: KeyRouteAffinity | None = None,
) -> KnownTable:
    """Look up the table `name` on the cluster, which then uses the result for its routing too.

    `key_type`: as the user stated it. `instead`: a model's description of the table, which is used if the table cannot
    be looked up. `affinity`: the mode of the table, if it has its own mode. Raises `ConfigurationError`.
    """
    isolation, note = None, ""
    try:
        description: Mapping[str, Any] = describe(cluster, name)
        isolation = read_write_isolation(cluster.client, name)
    except (BotoCoreError, ClientError, ConfigurationError) as error:
        if instead is None:
            if isinstance(error, ConfigurationError):
                raise
            note = f"The table's definition could not be read ({said(error)}). Name its key with --partition-key."
            return KnownTable(key_type, note=note, is_guess=True)
        description, note = instead, f"The table could not be looked at, so this is what its model says: {said(error)}"
    index_keys = index_keys_of(description)
    cluster.register_table(name, hash_key_of(description), affinity, index_keys)
    if isolation is not None:
        cluster.learn_write_isolation(name, isolation)
    if index is not None and index not in index_keys:
        meant = did_you_mean(index, index_keys) or f"Its indexes are: {', '.join(index_keys) or 'none'}."
        raise ConfigurationError(f"--index: {name} has no index {index!r}. {meant}")
    key_name = hash_key_of(description) if index is None else index_keys[index]
    real_type = attribute_types_of(description)[key_name]
    if key_type not in (None, real_type):
        raise ConfigurationError(
            f"--type {key_type}: the partition key {key_name} of {index or name} is of type {real_type}. "
            "Leave out --type."
        )
    return KnownTable(real_type, isolation, note)


def _for_machines(route: KeyRoute, key: str) -> dict[str, Any]:
    return {
        "table": route.table,
        "partition_key": route.partition_key,
        "type": next(iter(route.key)),
        "key": key,
        "hash": route.hash,
        "affinity": route.affinity.value,
        "nodes": list(route.nodes),
        "ring": list(route.ring),
        "ring_scope": route.ring_scope,
        "ring_order": route.ring_order,
        "reason": route.reason,
        "explanation": route.explanation,
        "index": route.index,
        "token": route.token,
        "replicas": list(route.replicas),
        "all_replicas": list(route.all_replicas),
        "token_ring_age": None if route.token_ring_age is None else round(route.token_ring_age, 3),
        "replicas_reason": route.replicas_reason,
        "replicas_explanation": route.replicas_explanation,
        "reads": list(route.reads),
        "plain_writes": list(route.plain_writes),
    }
