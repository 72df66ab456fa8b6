"""The commands of Flask and Django. They show the same as the shell's, for the clusters and models of the
application."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError
from ..orm._pynamodb import AnyModel, description_of
from ..orm.model_tables import clusters_of, is_on_cluster, models_of, models_on
from ..registry import get_cluster
from ..settings import values
from ..shell import create_tables as shell_create_tables
from ..shell import nodes as shell_nodes
from ..shell import route as shell_route
from ..shell import tables as shell_tables
from ..shell.check import show as check
from ..shell.check_models import show_report
from ..shell.create_tables import message_of
from ..shell.models import by_table, defined_in
from ..shell.nodes import EVERY

if TYPE_CHECKING:
    from ..cluster import Cluster
    from ..diagnostics.severities import FailLevel
    from ..shell.screen import Screen

__all__ = [
    "EVERY",
    "TIMEOUT",
    "check",
    "create_tables",
    "exit_status",
    "message_of",
    "models",
    "models_in",
    "nodes",
    "only_with_models",
    "route",
    "tables",
]

TIMEOUT = 2.0
"""The default of ``--timeout``: seconds for each question."""


def exit_status(error: Exception) -> int:
    """That of a command which this error ends: 2 for a mistake in options or settings, as in the shell."""
    return 2 if isinstance(error, ConfigurationError) else 1


@contextmanager
def _within(cluster: Cluster, timeout: float) -> Iterator[None]:
    """A context manager: requests inside have the time limit of the command, and not that of the settings."""
    with cluster.options(timeouts={"connect": timeout, "read": timeout, "total": 2 * timeout}):
        yield


def nodes(cluster: Cluster, screen: Screen, *, timeout: float = TIMEOUT, every: float | None = None) -> bool:
    """Show the nodes. True if one answers. `every`: show them again every so many seconds, until Ctrl-C."""
    if every is not None:
        return shell_nodes.watch(cluster, screen, timeout=timeout, every=every)
    return shell_nodes.show(cluster, screen, timeout=timeout)


def only_with_models(options: Mapping[str, object]) -> None:
    """Refuse options that only the check of models has. `options`: their values by name. Raises
    `ConfigurationError`."""
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
    """Show what behaves differently in the models of these modules. True if no finding is as severe as `level`.

    `alias`: the cluster with whose tables the models are compared; None for none. Raises `ConfigurationError`.
    """
    # Imported here, because only applications that check their models need it.
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
    cluster: Cluster,
    table: str,
    key: str,
    screen: Screen,
    *,
    index: str | None = None,
    token_aware: bool = False,
    timeout: float = TIMEOUT,
) -> bool:
    """Show where the requests of a key go, with the settings of the table's model. True if a node answers.

    `token_aware`: read the token ring, even if the settings do not. Raises `ConfigurationError`.
    """
    model = next((model for model in models_of() if _table_of(model) == table), None)
    meta: Any = getattr(model, "Meta", None)
    affinity = getattr(meta, "key_route_affinity", None)
    if model is not None and affinity is not None:
        affinity = values.affinity(f"{model.__qualname__}: Meta.key_route_affinity", affinity)
    mode, numbers = getattr(meta, "token_aware", None), getattr(meta, "canonical_numbers", None)
    instead = None if model is None else description_of(model)
    with (
        _within(cluster, timeout),
        cluster.options(token_aware=True if token_aware else mode, canonical_numbers=numbers),
    ):
        known = shell_route.ask(cluster, table, index, instead=instead, affinity=affinity)
        return shell_route.show(
            *(cluster, screen, table, key, known),
            index=index,
            token_aware=token_aware or mode is True,
            timeout=timeout,
        )


def _table_of(model: AnyModel) -> Any:
    meta: Any = getattr(model, "Meta", None)
    return meta.table_name


def tables(cluster: Cluster, screen: Screen, *, timeout: float = TIMEOUT) -> bool:
    """Show the tables of the cluster, and which models use them. True if none is missing."""
    with _within(cluster, timeout):
        return shell_tables.show(cluster, screen, by_table(models_on(cluster, models_of())))


def models_in(modules: Sequence[str]) -> list[AnyModel]:
    """Import these modules, and return the models on clusters that they define. Raises `ConfigurationError`."""
    return [model for model in defined_in(modules) if is_on_cluster(model)]


def create_tables(
    screen: Screen,
    chosen: Sequence[AnyModel] | None = None,
    *,
    alias: str | None = None,
    dry_run: bool = False,
    quiet: bool = False,
    timeout: float = TIMEOUT,
) -> None:
    """Create the missing tables of models. `chosen`: None for all models on clusters. `alias`: only tables of this
    cluster. `timeout`: seconds for each question, and not for the creation of a table. Raises one of
    `model_tables.ERRORS`."""
    models = [model for model in models_of() if is_on_cluster(model)] if chosen is None else chosen
    if alias is not None:
        cluster = get_cluster(alias)
        models = models_on(cluster, models)
        if not models:
            raise ConfigurationError(f"No model is on the cluster {alias!r}, so there is no table to create.")
    if not models:
        raise ConfigurationError(
            "No model was found. Models are looked for in the modules that the application has imported: import the "
            "module that defines them, or name it: --models shop.models"
        )
    with ExitStack() as stack:
        for cluster in clusters_of(models):
            stack.enter_context(_within(cluster, timeout))
        shell_create_tables.create(models, screen, dry_run=dry_run, quiet=quiet)
