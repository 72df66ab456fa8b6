"""Routing scopes: which part of the cluster a request may go to, and what to fall back to.

    RackScope("dc1", "r1", fallback=DatacenterScope("dc1", fallback=ClusterScope()))

A scope without `fallback` is strict: when it has no usable node, requests fail.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import ConfigurationError
from . import checks

__all__ = ["ClusterScope", "DatacenterScope", "RackScope", "Scope", "chain", "check"]


def _name(scope: str, field: str, value: object) -> None:
    if not isinstance(value, str) or not value.strip():
        raise ConfigurationError(
            f"{scope}: {field} must be the name of a {field} as the cluster spells it (got {checks.shown(value)}). "
            f"To use every node, write ClusterScope()."
        )
    checks.no_control_characters(f"{scope}: {field} {value!r}", value)


def _fallback(scope: str, value: object) -> None:
    if value is not None and not isinstance(value, ClusterScope | DatacenterScope | RackScope):
        raise ConfigurationError(
            f"{scope}: fallback must be None, a ClusterScope, a DatacenterScope or a RackScope "
            f"(got {checks.shown(value)})."
        )


@dataclass(frozen=True, slots=True)
class ClusterScope:
    """Every node that the seeds and the known nodes report."""

    @property
    def fallback(self) -> None:
        """Always None: there is no wider scope than the cluster."""
        return None

    @property
    def datacenter(self) -> None:
        return None

    @property
    def rack(self) -> None:
        return None

    def __str__(self) -> str:
        return "cluster"


@dataclass(frozen=True, slots=True)
class DatacenterScope:
    """The nodes of one datacenter."""

    datacenter: str
    fallback: Scope | None = None

    def __post_init__(self) -> None:
        _name("DatacenterScope", "datacenter", self.datacenter)
        _fallback("DatacenterScope", self.fallback)

    @property
    def rack(self) -> None:
        return None

    def __str__(self) -> str:
        return f"datacenter {self.datacenter}"


@dataclass(frozen=True, slots=True)
class RackScope:
    """The nodes of one rack of a datacenter."""

    datacenter: str
    rack: str
    fallback: Scope | None = None

    def __post_init__(self) -> None:
        _name("RackScope", "datacenter", self.datacenter)
        _name("RackScope", "rack", self.rack)
        _fallback("RackScope", self.fallback)

    def __str__(self) -> str:
        return f"rack {self.rack} of datacenter {self.datacenter}"


Scope = ClusterScope | DatacenterScope | RackScope


def check(where: str, value: object) -> Scope:
    """`value`, if it is a scope. Raises `ConfigurationError` otherwise."""
    if not isinstance(value, ClusterScope | DatacenterScope | RackScope):
        raise ConfigurationError(
            f"{where} must be ClusterScope(), DatacenterScope('dc1') or RackScope('dc1', 'r1') "
            f"(got {checks.shown(value)})."
        )
    return value


def chain(scope: Scope) -> Iterator[Scope]:
    """The scope, its fallback, the fallback of its fallback, and so on."""
    current: Scope | None = scope
    while current is not None:
        yield current
        current = current.fallback
