"""The router: it makes the query plan of each request."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Mapping
from random import Random
from typing import Any, NamedTuple

from ..errors import WRONG_VALUE
from ..settings.config import ClusterConfig
from ..settings.options import RequestOptions
from ..settings.values import KeyRouteAffinity
from ..settings.write_isolation import ALWAYS
from ..topology.node import Node
from ..topology.replicas import Replicas
from ..topology.view import View
from . import reasons
from .by_replica import ByReplica, Holders, KeyReplicas, TokenAware, in_subset
from .idempotence import READS, is_vector_search
from .partition_key import KEY_PARAMETERS, as_mapping, attributes_of_write, partition_key_hash, value_hash
from .plan import AFFINITY, BATCH_AFFINITY, CANONICAL, CONSISTENT_NODE, RANDOM, REPLICA, ROUND_ROBIN, QueryPlan
from .read_before_write import counts_as_read_modify_write, needs_read_before_write
from .ring import AffinityRing
from .tables import PARTITION_KEY, WRITE_ISOLATION, Table, Tables, effective_affinity

__all__ = ["KeyRoute", "Router"]

_log = logging.getLogger("pynamodb_alternator.routing")

_new = tuple.__new__
"""Makes a plan from all its fields in order. Each request makes a plan, and `QueryPlan(...)`, a function in Python, is
slower."""


class KeyRoute(NamedTuple):
    """Where the requests of one partition key go, and why.

    `affinity`: the mode that is used for the table. `hash`: the key's hash, None if there is none. `ring`: the nodes
    over which keys are spread, in the configured order. `nodes`: the order in which a write with affinity tries them
    now. `reason`: why there is no affinity for this key, as a word of `routing.reasons`. `replicas`: the nodes that
    hold the key. `reads`: the order in which the next read tries the nodes; reads take turns. `plain_writes`: the order
    in which a write without affinity tries them; empty if the table has no such writes, because all have affinity, or
    are lightweight transactions.
    """

    table: str
    partition_key: str | None
    affinity: KeyRouteAffinity
    hash: int | None
    ring: tuple[Node, ...]
    nodes: tuple[Node, ...]
    reason: str | None
    replicas: KeyReplicas
    reads: tuple[Node, ...]
    plain_writes: tuple[Node, ...]


class Router:
    """Makes the query plan of each request of one cluster.

    `tables`: what is known of the cluster's tables. `random`: chooses where the round-robin order starts, and the nodes
    of the random order. `replicas`: which nodes hold the tables' keys.
    """

    def __init__(self, config: ClusterConfig, tables: Tables, random: Random, replicas: Replicas | None = None) -> None:
        self._tables = tables
        self._random = random
        self._turns = itertools.count(random.getrandbits(16))
        self._affinity = config.key_route_affinity
        self._server_rule = config.rmw_rule == "server"
        self._force_read = config.force_read_before_write
        self._ring = AffinityRing(config.affinity_ring_order)
        self._by_replica = ByReplica(config, tables, replicas or Replicas(config.token_aware_after))
        self._is_random = config.load_balancing == "random"

    def after_fork(self) -> None:
        """Choose a new start for the round-robin order, so that child processes do not all begin at the same node."""
        self._random.seed()
        self._turns = itertools.count(self._random.getrandbits(16))

    def plan(
        self,
        operation: str,
        parameters: Mapping[str, Any],
        view: View,
        *,
        affinity: KeyRouteAffinity | None = None,
        token_aware: TokenAware | None = None,
    ) -> QueryPlan:
        """The query plan of one request. Never raises, whatever the parameters are.

        `affinity`, `token_aware`: the request's own options; they win over those of the table and the cluster.
        """
        try:
            if operation in KEY_PARAMETERS:
                plan = self._plan_write(operation, parameters, view, affinity)
                if isinstance(plan, QueryPlan):
                    return plan
                return self._plan_plain_write(operation, parameters, view, token_aware, plan)
            if operation == "GetItem":
                holders = self._by_replica.of_read(parameters, view.topology, token_aware)
                return self._plan_read(operation, holders, view)
            if operation == "Query" and not is_vector_search(operation, parameters):
                holders = self._by_replica.of_query(parameters, view.topology, token_aware)
                return self._plan_read(operation, holders, view)
            if operation == "BatchWriteItem":
                return self._plan_batch(parameters, view, affinity)
            return self._spread(reasons.READ if operation in READS else reasons.NOT_AN_ITEM_WRITE)
        except WRONG_VALUE:
            # The serializer or the server will raise an error about the parameters.
            _log.debug("The parameters of a %s cannot be routed by key.", operation, exc_info=True)
            return self._spread(reasons.MALFORMED_PARAMETERS)

    def plan_of(self, operation: str, parameters: Mapping[str, Any], view: View, options: RequestOptions) -> QueryPlan:
        """The query plan of a request with these options. With `consistent_node`, all requests of a block prefer the
        same node, as long as it is well."""
        number = options.consistent_node
        if number is None or number is False:
            return self.plan(
                operation,
                parameters,
                view,
                affinity=options.key_route_affinity,
                token_aware=options.token_aware,
            )
        return QueryPlan(CONSISTENT_NODE, None, False, (number,))

    def route_key(
        self,
        table: str,
        key_value: object,
        view: View,
        *,
        index: str | None = None,
        token_aware: TokenAware | None = None,
    ) -> KeyRoute:
        """Where the requests of one partition key go. Never raises.

        `key_value`: the partition key's attribute value, such as ``{"S": "alice"}``. `index`: the index to which the
        key belongs, which can only be read; None for the table. `token_aware`: as in `plan`.
        """
        known = self._tables.get(table)
        wish = known.affinity or self._affinity
        mode = effective_affinity(wish, known)
        try:
            hash_or_reason: int | str = reasons.READ if index is not None else value_hash(key_value)
        except WRONG_VALUE:
            hash_or_reason = reasons.NO_KEY_VALUE
        plan = self._affinity_plan(view, hash_or_reason, AFFINITY)
        reason = plan.reason
        if reason is None and mode is KeyRouteAffinity.NONE:
            reason = _reason_for_none(wish is KeyRouteAffinity.AUTO)
        if reason is None and known.partition_key is None:
            reason = reasons.NO_PARTITION_KEY_NAME
        try:
            replicas = self._by_replica.of_key(table, index, key_value, view.topology, token_aware)
        except WRONG_VALUE:
            replicas = KeyReplicas(reason=reasons.NO_KEY_VALUE)
        if replicas.reason is None and view.subset and isinstance(in_subset(replicas.in_scope, view), str):
            replicas = replicas._replace(reason=reasons.NO_REPLICA_IN_SUBSET)
        all_writes_have_affinity = mode is KeyRouteAffinity.ANY_WRITE and reason is None
        has_plain_writes = index is None and known.write_isolation != ALWAYS and not all_writes_have_affinity
        return KeyRoute(
            table,
            self._by_replica.key_name(table, index),
            mode,
            hash_or_reason if isinstance(hash_or_reason, int) else None,
            self._ring(view.topology),
            tuple(plan.order(view)) if plan.reason is None else (),
            reason,
            replicas,
            tuple(self._plan_read("GetItem", replicas.reason or replicas.in_scope, view).order(view)),
            tuple(self._plan_write_of_key(hash_or_reason, replicas, view).order(view)) if has_plain_writes else (),
        )

    def _plan_write_of_key(self, hash_or_reason: int | str, replicas: KeyReplicas, view: View) -> QueryPlan:
        """The plan of a write without affinity, as `_plan_plain_write` makes it."""
        if replicas.reason is not None or not isinstance(hash_or_reason, int):
            return self._spread(replicas.reason or reasons.NO_KEY_VALUE)
        return self._plan_of_all_writers(replicas.in_scope, hash_or_reason, view)

    def _plan_read(self, operation: str, holders: Holders, view: View) -> QueryPlan:
        """Reads take turns among the replicas."""
        if view.subset:
            holders = in_subset(holders, view)
        if isinstance(holders, tuple):
            return _to_replicas(holders, self._next_turn(), view)
        return self._spread(holders or reasons.READ)

    def _plan_of_all_writers(self, holders: tuple[Node, ...], hashed: int, view: View) -> QueryPlan:
        """The plan by which all writers of a key take the same replica, if it is in their subsets."""
        used = in_subset(holders, view) if view.subset else holders
        if isinstance(used, tuple):
            return _to_replicas(used, hashed, view, takes_turns=False)
        return self._spread(used or reasons.NO_REPLICA_IN_SUBSET)

    def _plan_plain_write(
        self, operation: str, parameters: Mapping[str, Any], view: View, token_aware: TokenAware | None, reason: str
    ) -> QueryPlan:
        """The plan of a write without affinity; `reason`: why it has none. All writers of a key take the same replica,
        because the coordinator sets the timestamp of a write by its own clock, and the write with the later timestamp
        wins."""
        if self._tables.get(parameters.get("TableName")).write_isolation == ALWAYS:
            return self._spread(reason)  # a lightweight transaction: without affinity, any node may be its coordinator
        held = self._by_replica.of_write(operation, parameters, view.topology, token_aware)
        if isinstance(held, tuple):
            return self._plan_of_all_writers(*held, view)
        return self._spread(held or reason)

    def _plan_write(
        self, operation: str, parameters: Mapping[str, Any], view: View, affinity: KeyRouteAffinity | None
    ) -> QueryPlan | str:
        """The plan of a write with affinity, or the reason why affinity does not apply to it."""
        name = parameters.get("TableName")
        table = self._tables.get(name)
        mode = affinity or table.affinity or self._affinity
        if mode is KeyRouteAffinity.AUTO:
            if table.write_isolation is None and isinstance(name, str):
                self._tables.report_unknown(name, WRITE_ISOLATION)
            mode = effective_affinity(mode, table)
            if mode is KeyRouteAffinity.NONE:
                return reasons.NO_LWT_IN_TABLE
        if mode is KeyRouteAffinity.NONE:
            return reasons.AFFINITY_OFF
        if mode is KeyRouteAffinity.RMW and not self._is_read_modify_write(operation, parameters):
            return reasons.NOT_READ_MODIFY_WRITE
        if table.partition_key is None:
            if isinstance(name, str):
                self._tables.report_unknown(name, PARTITION_KEY)
            return self._spread(reasons.NO_PARTITION_KEY_NAME, wanted_affinity=True)
        hash_or_reason = self._hash(name, table.partition_key, parameters.get(KEY_PARAMETERS[operation]))
        return self._affinity_plan(view, hash_or_reason, AFFINITY)

    def _plan_batch(self, parameters: Mapping[str, Any], view: View, affinity: KeyRouteAffinity | None) -> QueryPlan:
        """A BatchWriteItem has no read-modify-writes, so affinity is for ANY_WRITE only.

        The server writes the whole batch with lightweight transactions if one of its tables is ``always``
        (``do_batch_write`` in ``alternator/executor.cc``). Then the keys of all tables vote, except those of tables for
        which affinity was switched off.
        """
        requests = as_mapping(parameters.get("RequestItems")) or {}
        # Each table is read only once, because a lookup may end meanwhile, and then half of the batch would not vote.
        voters: list[tuple[str, Table]] = []
        modes: set[KeyRouteAffinity] = set()
        wishes: set[KeyRouteAffinity] = set()
        for name in requests:
            if not isinstance(name, str):
                continue
            table = self._tables.get(name)
            wish = affinity or table.affinity or self._affinity
            if wish is KeyRouteAffinity.AUTO and table.write_isolation is None:
                self._tables.report_unknown(name, WRITE_ISOLATION)
            wishes.add(wish)
            modes.add(effective_affinity(wish, table))
            if wish is not KeyRouteAffinity.NONE:
                voters.append((name, table))
        if not modes:
            # A batch without a table has the mode of the request, or of the cluster.
            modes.add(affinity or self._affinity)
        if KeyRouteAffinity.ANY_WRITE not in modes:
            if modes == {KeyRouteAffinity.NONE}:
                return self._spread(_reason_for_none(KeyRouteAffinity.AUTO in wishes))
            return self._spread(reasons.NOT_READ_MODIFY_WRITE)
        return self._plan_votes(requests, voters, view)

    def _plan_votes(self, requests: Mapping[Any, Any], voters: list[tuple[str, Table]], view: View) -> QueryPlan:
        seeds: list[int] = []
        problems: set[str] = set()
        for name, table in voters:
            if table.partition_key is None:
                self._tables.report_unknown(name, PARTITION_KEY)
                problems.add(reasons.NO_PARTITION_KEY_NAME)
                continue
            writes = requests[name]
            for write in writes if isinstance(writes, list | tuple) else ():
                hash_or_reason = self._hash(name, table.partition_key, attributes_of_write(write))
                if isinstance(hash_or_reason, int):
                    seeds.append(hash_or_reason)
                else:
                    problems.add(hash_or_reason)
        if seeds:
            return self._affinity_plan(view, seeds[0], BATCH_AFFINITY, tuple(seeds))
        for reason in (reasons.NO_PARTITION_KEY_NAME, reasons.UNSUPPORTED_KEY_TYPE):
            if reason in problems:
                return self._spread(reason, wanted_affinity=True)
        return self._spread(reasons.NO_KEY_VALUE, wanted_affinity=True)

    def _hash(self, table: object, partition_key: str, attributes: object) -> int | str:
        """The hash of the key in a request's `Key` or `Item`, or the reason why there is none."""
        hash_or_reason = partition_key_hash(attributes, partition_key)
        if hash_or_reason == reasons.NO_KEY_VALUE and (item := as_mapping(attributes)):
            self._tables.doubt_partition_key(table, item)
        return hash_or_reason

    def _is_read_modify_write(self, operation: str, parameters: Mapping[str, Any]) -> bool:
        if self._server_rule:
            return needs_read_before_write(operation, parameters, force=self._force_read)
        return counts_as_read_modify_write(operation, parameters)

    def _affinity_plan(
        self, view: View, hash_or_reason: int | str, policy: str, seeds: tuple[int, ...] = ()
    ) -> QueryPlan:
        if isinstance(hash_or_reason, str):
            return self._spread(hash_or_reason, wanted_affinity=True)
        if not view.topology.affinity_ring:
            return self._spread(reasons.NO_AFFINITY_NODES, wanted_affinity=True)
        return QueryPlan(policy, None, True, seeds or (hash_or_reason,), self._ring)

    def _spread(self, reason: str, *, wanted_affinity: bool = False) -> QueryPlan:
        policy = RANDOM if self._is_random else ROUND_ROBIN
        return _new(QueryPlan, (policy, reason, wanted_affinity, (self._next_turn(),), CANONICAL, (), None, None, True))

    def _next_turn(self) -> int:
        return self._random.getrandbits(31) if self._is_random else next(self._turns)


def _to_replicas(replicas: tuple[Node, ...], turn: int, view: View, *, takes_turns: bool = True) -> QueryPlan:
    return _new(QueryPlan, (REPLICA, None, False, (turn,), CANONICAL, replicas, view.topology, None, takes_turns))


def _reason_for_none(is_learnt: bool) -> str:
    """Why no write of the table has affinity. `is_learnt`: the mode is AUTO, and it has learnt that affinity cannot
    help."""
    return reasons.NO_LWT_IN_TABLE if is_learnt else reasons.AFFINITY_OFF
