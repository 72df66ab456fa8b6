"""Models and their tables, and lines for people who look at a cluster in a shell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from pynamodb import models as _pynamodb

from .. import config
from ..client import Cluster
from ..errors import ConfigurationError
from ..models import Model

__all__ = ["as_table", "check_lines", "create_table", "drop_table", "models_of", "node_lines", "route_lines"]

AnyModel = type[_pynamodb.Model]


def models_of(modules: Iterable[str] | None = None) -> list[AnyModel]:
    """The models that have been defined, sorted by where; only those under `modules`, if any are given.

    That is every model with a table name, and no copy of one that a reloaded module left behind.
    """
    packages = None if modules is None else tuple(modules)
    found: dict[tuple[str, str], AnyModel] = {}
    for model in _subclasses(_pynamodb.Model):
        if model is Model or not getattr(getattr(model, "Meta", None), "table_name", None):
            continue
        module = model.__module__
        if packages is None or any(module == one or module.startswith(f"{one}.") for one in packages):
            found[module, model.__qualname__] = model
    return [found[key] for key in sorted(found)]


def _subclasses(model: AnyModel) -> Iterator[AnyModel]:
    for one in model.__subclasses__():
        yield one
        yield from _subclasses(one)


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


def drop_table(model: AnyModel) -> bool:
    """Delete the model's table. False if there is none."""
    if not model.exists():
        return False
    model.delete_table()
    return True


def as_table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def node_lines(cluster: Cluster) -> list[str]:
    """The nodes of a cluster as a table."""
    rows = [("ADDRESS", "STATE", "DATACENTER", "RACK", "NOTE")]
    for node in cluster.nodes():
        note = node.error or ""
        if node.down_for is not None:
            note = f"down for {node.down_for:.0f} s{': ' if note else ''}{note}"
        elif not node.in_scope:
            note = "outside the routing scope in use"
        rows.append((node.address, node.state.value, node.datacenter or "-", node.rack or "-", note))
    return as_table(rows)


def check_lines(cluster: Cluster) -> tuple[list[str], bool]:
    """What the doctor finds, and whether there is no error among it."""
    findings = cluster.check()
    lines = []
    for found in findings:
        lines.append(f"{found.severity:<7}  {found.id}: {found.subject}: {found.message}")
        if found.remedy:
            lines.append(f"{'':<7}  -> {found.remedy}")
    errors = sum(found.severity == "error" for found in findings)
    warnings = sum(found.severity == "warning" for found in findings)
    lines.append(f"{errors} errors, {warnings} warnings, {len(findings) - errors - warnings} good")
    return lines, errors == 0


def route_lines(cluster: Cluster, table: str, key: str) -> list[str]:
    """Where the writes of a key go. What is known of the table is what its model says."""
    value: Any = key
    for model in models_of():
        meta: Any = getattr(model, "Meta", None)
        if meta.table_name != table:
            continue
        attribute = model._hash_key_attribute()
        mode = getattr(meta, "key_route_affinity", None)
        if mode is not None:
            mode = config.affinity(f"{model.__qualname__}: Meta.key_route_affinity", mode)
        cluster.register_table(table, attribute.attr_name, mode)
        value = _key_value(attribute.attr_type, table, key)
        break
    route = cluster.route(table, value)
    lines = [f"table          {table}"]
    lines.append(f"partition key  {route.partition_key or 'not known'} = {key}")
    lines.append(f"affinity       {route.affinity.value}{f' ({route.reason})' if route.reason else ''}")
    if route.hash is not None:
        lines.append(f"hash           {route.hash}")
    if route.nodes:
        lines.append(f"nodes          {', '.join(route.nodes)}")
    return [*lines, route.explanation] if route.explanation else lines


def _key_value(kind: str, table: str, key: str) -> Any:
    if kind == "N":
        try:
            return Decimal(key)
        except InvalidOperation:
            raise ConfigurationError(
                f"The partition key of the table {table!r} is a number (got {key!r}). Write one such as 42."
            ) from None
    return key.encode() if kind == "B" else key
