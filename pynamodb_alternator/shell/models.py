"""The models of a command: those of the modules that its options name, on the cluster that its options name."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .. import registry
from ..errors import ConfigurationError
from ..settings.checks import did_you_mean
from . import settings

if TYPE_CHECKING:
    from ..cluster import Cluster

Model = Any
"""A model class of PynamoDB, which this room does not import."""

__all__ = ["add", "by_table", "defined_in", "name_of", "open_cluster"]


def add(command: argparse.ArgumentParser, what: str, *, required: bool = False) -> None:
    """The options that name models. `what`: what the command does with them."""
    group = command.add_argument_group("models", "The modules are imported, which runs them.")
    group.add_argument("--models", nargs="+", action="extend", metavar="MODULE", required=required, help=what)
    group.add_argument(
        "--alias",
        default="default",
        metavar="ALIAS",
        help="the models of this cluster: default, or what Meta.cluster says",
    )


@contextmanager
def open_cluster(options: argparse.Namespace) -> Iterator[tuple[Cluster, list[Model]]]:
    """The cluster of the options and its models. In the ``with`` block the options' alias means this cluster.

    Raises `ConfigurationError`, also if none of the models has this alias.
    """
    with settings.open_cluster(options) as cluster:
        if not options.models:
            yield cluster, []
            return
        with registry.replaced({options.alias: cluster.config}):
            cluster = registry.get_cluster(options.alias)
            yield cluster, _models_on(cluster, options.models, options.alias)


def _models_on(cluster: Cluster, modules: Sequence[str], alias: str) -> list[Model]:
    # Imported here, because the other commands do not need them.
    from ..diagnostics.models import importable_here
    from ..orm.model_tables import models_on

    with importable_here():
        every = defined_in(modules)
    models = models_on(cluster, every)
    if not models:
        raise ConfigurationError(_no_models(modules, every, alias))
    return models


def defined_in(modules: Sequence[str]) -> list[Model]:
    """The models that these modules define; the modules are imported. Raises `ConfigurationError`."""
    from ..diagnostics.models import import_module
    from ..orm.model_tables import models_of

    for module in modules:
        import_module(module)
    return models_of(modules)


def _no_models(modules: Sequence[str], models: Iterable[Model], alias: str) -> str:
    text = f"--models {' '.join(modules)}: no model"
    aliases = sorted({_alias_of(model) for model in models})
    if not aliases:
        return f"{text} was found. Name the modules that define the models, such as shop.models."
    meant = did_you_mean(alias, aliases) or f"Theirs are: {', '.join(aliases)}."
    return (
        f"{text} is on the cluster {alias!r}. {meant} Choose with --alias. Models of PynamoDB itself are on a cluster "
        "after pynamodb_alternator.install()."
    )


def _alias_of(model: Model) -> str:
    cluster = getattr(getattr(model, "Meta", None), "cluster", None)
    return cluster if isinstance(cluster, str) else "default"


def name_of(model: Model) -> str:
    """The model's name without its module."""
    return str(model.__qualname__)


def by_table(models: Iterable[Model]) -> Mapping[str, Sequence[str]]:
    """The names of the models of each table."""
    names: dict[str, list[str]] = {}
    for model in models:
        names.setdefault(model.Meta.table_name, []).append(name_of(model))
    return names
