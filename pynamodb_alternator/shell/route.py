"""``pynamodb-alternator route TABLE KEY``."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from ..core.table_description import attribute_types_of, hash_key_of, index_keys_of
from ..core.write_isolation import read_write_isolation
from ..diagnostics import KeyRoute, ping
from ..errors import ConfigurationError
from ..routing.reasons import TOKEN_AWARENESS_OFF
from ..settings.checks import did_you_mean
from . import settings
from .render import show_route
from .screen import Screen
from .tables import describe, key_value

if TYPE_CHECKING:
    from ..cluster import Cluster


def add(commands: Any) -> None:
    command = commands.add_parser(
        "route",
        help="which nodes the requests of a key go to, and why",
        description="The hash of a partition key, and the nodes that its writes with affinity go to, in order; its "
        "token, and with --token-aware its replicas. The table's definition is asked of the cluster, unless "
        "--partition-key says what it needs. Nothing is written.",
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
class _Table:
    """What the cluster or the options say of the table. `key_type`: None if neither says it."""

    key_type: str | None = None
    write_isolation: str | None = None
    note: str = ""


def run(options: argparse.Namespace) -> int:
    screen = Screen(as_json=options.json)
    with settings.open_cluster(options) as cluster:
        if options.partition_key is None:
            with screen.waiting("asking for the table"):
                table = _asked(cluster, options)
        else:
            table = _stated(cluster, options)
        with screen.waiting("asking where the key is"):
            route = cluster.route(options.table, key_value(options.key, table.key_type or "S"), options.index)
        with screen.waiting("asking the nodes"):
            answers = ping(cluster.core, timeout=options.timeout)
        shown = dict.fromkeys((*route.ring, *route.all_replicas))
        silent = [address for address in shown if not isinstance(answers.get(address), float)]
    notes = [table.note] if table.note else []
    if route.replicas_reason == TOKEN_AWARENESS_OFF:
        notes.append("Add --token-aware to see the key's replicas.")
    if screen.as_json:
        document = _for_machines(route, options.key)
        screen.document(document | {"write_isolation": table.write_isolation, "not_answering": silent, "notes": notes})
    else:
        isolation = table.write_isolation
        show_route(screen, route, options.key, write_isolation=isolation, silent=silent, notes=notes)
    return 0


def _stated(cluster: Cluster, options: argparse.Namespace) -> _Table:
    if not options.partition_key:
        raise ConfigurationError("--partition-key: write the name of the table's partition key, such as id.")
    # With --index it is the index's, and the table's own does not matter.
    index_keys = {} if options.index is None else {options.index: options.partition_key}
    cluster.register_table(options.table, options.partition_key, index_keys=index_keys)
    return _Table(options.type)


def _asked(cluster: Cluster, options: argparse.Namespace) -> _Table:
    try:
        description = describe(cluster, options.table)
        isolation = read_write_isolation(cluster.client, options.table)
    except (BotoCoreError, ClientError) as error:
        note = f"The table's definition could not be read ({error}). Name its key with --partition-key."
        return _Table(options.type, note=note)
    index_keys = index_keys_of(description)
    cluster.register_table(options.table, hash_key_of(description), index_keys=index_keys)
    if isolation is not None:
        cluster.learn_write_isolation(options.table, isolation)
    if options.index is not None and options.index not in index_keys:
        meant = did_you_mean(options.index, index_keys) or f"Its indexes are: {', '.join(index_keys) or 'none'}."
        raise ConfigurationError(f"--index: {options.table} has no index {options.index!r}. {meant}")
    name = hash_key_of(description) if options.index is None else index_keys[options.index]
    key_type = attribute_types_of(description)[name]
    if options.type not in (None, key_type):
        raise ConfigurationError(
            f"--type {options.type}: the partition key {name} of {options.index or options.table} is of type "
            f"{key_type}. Leave out --type."
        )
    return _Table(key_type, isolation)


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
