"""What the commands of Flask and Django show of a cluster, as the shell shows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.table_description import attribute_types_of, hash_key_of, index_keys_of
from ..errors import ConfigurationError
from ..orm._pynamodb import description_of
from ..registry import get_cluster
from ..settings import values
from ..shell.check_models import show_report
from ..shell.render import NodeLine, show_finding, show_nodes, show_route, show_total
from ..shell.tables import key_value
from ._tables import models_of

if TYPE_CHECKING:
    from ..cluster import Cluster
    from ..diagnostics.severities import FailLevel
    from ..shell.screen import Screen

__all__ = ["check", "models", "nodes", "only_with_models", "route"]


def nodes(cluster: Cluster, screen: Screen) -> None:
    """Show the nodes as this process knows them."""
    lines = [NodeLine.of(node) for node in cluster.nodes()]
    if cluster.config.process_number is None:
        # A subset at random would be this command's, and that of no other process.
        lines = [replace(line, in_subset=line.in_scope) for line in lines]
    show_nodes(screen, lines, str(cluster.topology.scope))


def check(cluster: Cluster, screen: Screen) -> bool:
    """Show what the doctor says. True if it has found no error."""
    findings = cluster.check()
    for finding in findings:
        show_finding(screen, finding, cluster.name)
    show_total(screen, findings)
    return all(finding.severity != "error" for finding in findings)


def only_with_models(options: Mapping[str, object]) -> None:
    """Refuse what the doctor does not take. `options`: their values by name. Raises `ConfigurationError`."""
    for name, value in options.items():
        if value:
            raise ConfigurationError(f"--{name.replace('_', '-')} is for the check of models. Add --models.")


def models(
    names: Sequence[str],
    screen: Screen,
    *,
    alias: str | None,
    ignore: Iterable[str],
    level: FailLevel,
    sources: Iterable[str | Path] = (),
) -> bool:
    """Show what behaves differently in the models of these modules. True if nothing is as severe as `level`.

    `alias`: the cluster whose tables to look at; None for none. Raises `ConfigurationError`.
    """
    # Here, because applications that never check their models do without it.
    from ..diagnostics.models import Ignored
    from ..orm.model_check import check_models

    report = check_models(
        names,
        sources=[Path(source) for source in sources],
        cluster=None if alias is None else get_cluster(alias),
        alias=alias,
        ignored=Ignored.of(ignore),
    )
    show_report(screen, report, how_to_compare="Add --cluster ALIAS to compare them.")
    return not report.fails(level)


def route(
    cluster: Cluster, table: str, key: str, screen: Screen, *, index: str | None = None, token_aware: bool = False
) -> None:
    """Show where the requests of a key go. What is known of the table is what its model says.

    `token_aware`: read the token ring, whatever the settings say. Raises `ConfigurationError`.
    """
    value: Any = key
    mode: Any = None
    numbers: Any = None
    for model in models_of():
        meta: Any = getattr(model, "Meta", None)
        if meta.table_name != table:
            continue
        affinity = getattr(meta, "key_route_affinity", None)
        if affinity is not None:
            affinity = values.affinity(f"{model.__qualname__}: Meta.key_route_affinity", affinity)
        mode, numbers = getattr(meta, "token_aware", None), getattr(meta, "canonical_numbers", None)
        description = description_of(model)
        index_keys = index_keys_of(description)
        cluster.register_table(table, hash_key_of(description), affinity, index_keys)
        if index is not None and index not in index_keys:
            has = f"Its indexes are: {', '.join(index_keys) or 'none'}."
            raise ConfigurationError(f"{model.__qualname__} has no index {index!r}. {has}")
        name = hash_key_of(description) if index is None else index_keys[index]
        value = key_value(key, attribute_types_of(description)[name])
        break
    with cluster.options(token_aware=True if token_aware else mode, canonical_numbers=numbers):
        show_route(screen, cluster.route(table, value, index), key)
