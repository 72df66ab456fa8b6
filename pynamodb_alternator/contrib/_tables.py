"""Models and their tables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pynamodb import models as _models

from ..orm._pynamodb import AnyModel, connection_of
from ..orm.connection import AlternatorConnection
from ..orm.install import models_under
from ..orm.model import Model

__all__ = ["create_table", "is_on_cluster", "models_of"]


def models_of(modules: Iterable[str] | None = None) -> list[AnyModel]:
    """The models that have been defined, sorted by where; only those under `modules`, if any are given.

    That is every model with a table name, and no copy of one that a reloaded module left behind.
    """
    packages = None if modules is None else tuple(modules)
    models: dict[tuple[str, str], AnyModel] = {}
    for model in models_under(_models.Model):
        if model is Model or not getattr(getattr(model, "Meta", None), "table_name", None):
            continue
        module = model.__module__
        if packages is None or any(f"{module}.".startswith(f"{package}.") for package in packages):
            models[module, model.__qualname__] = model
    return [models[key] for key in sorted(models)]


def is_on_cluster(model: AnyModel) -> bool:
    """Whether the model's requests go to a cluster. Those of a plain PynamoDB model do so only after `install`."""
    return isinstance(connection_of(model).connection, AlternatorConnection)


def create_table(model: AnyModel) -> bool:
    """Create the model's table, and wait for it. False if it exists."""
    if model.exists():
        return False
    meta: Any = getattr(model, "Meta", None)
    if any(hasattr(meta, name) for name in ("billing_mode", "read_capacity_units", "write_capacity_units")):
        model.create_table(wait=True)
    else:
        model.create_table(wait=True, billing_mode="PAY_PER_REQUEST")
    return True
