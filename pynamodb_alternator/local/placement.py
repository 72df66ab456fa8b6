"""The datacenter and rack of each node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import ConfigurationError
from ..settings import checks

DATACENTER = "datacenter1"
RACK = "rack1"
"""The default names of ScyllaDB, if its snitch is not configured."""

MOST_NODES = 65_000


@dataclass(frozen=True, slots=True)
class Location:
    """The datacenter and rack of one node."""

    datacenter: str
    rack: str


def locations(
    nodes: int | None,
    datacenters: Mapping[str, int] | Sequence[str] | None,
    racks: Mapping[str, Mapping[str, int]] | Mapping[str, int] | Sequence[str] | None,
) -> tuple[Location, ...]:
    """One location for each node, in the order of the nodes.

    - ``datacenters={"dc1": 3, "dc2": 2}``: the number of nodes in each, one datacenter after the other.
    - ``datacenters=["dc1", "dc2"]``: the nodes are distributed in turn (1 → dc1, 2 → dc2, 3 → dc1, …).
    - ``racks=["r1", "r2"]``: the nodes of each datacenter are distributed to these racks in turn.
    - ``racks={"r1": 2, "r2": 1}``: the number of nodes in each rack of each datacenter.
    - ``racks={"dc1": {"r1": 2, "r2": 1}, "dc2": {"r1": 2}}``: the number of nodes in each rack of each named
      datacenter. Without `datacenters`, these are all datacenters.

    Raises `ConfigurationError` if the numbers contradict each other or `nodes`.
    """
    by_datacenter = _racks_by_datacenter(racks)
    if datacenters is None and by_datacenter:
        datacenters = {name: sum(counts.values()) for name, counts in by_datacenter.items()}
    spread = _datacenters(nodes, datacenters, racks if by_datacenter is None else None)
    if by_datacenter is not None:
        checks.known_names(by_datacenter, dict.fromkeys(spread), "LocalCluster: racks")
    placed: dict[str, int] = {}
    result = []
    for datacenter in spread:
        index = placed.get(datacenter, 0)
        placed[datacenter] = index + 1
        names = _rack_names(datacenter, spread.count(datacenter), racks, by_datacenter)
        result.append(Location(datacenter, names[index % len(names)]))
    return tuple(result)


def _racks_by_datacenter(racks: object) -> dict[str, dict[str, int]] | None:
    if not isinstance(racks, Mapping) or not any(isinstance(value, Mapping) for value in racks.values()):
        return None
    by_datacenter: dict[str, dict[str, int]] = {}
    for datacenter, counts in racks.items():
        if not isinstance(counts, Mapping) or not counts:
            raise ConfigurationError(
                f"LocalCluster: racks[{datacenter!r}] must map rack names to numbers of nodes (got {counts!r})."
            )
        by_datacenter[_name("datacenter", datacenter)] = _counts(f"racks[{datacenter!r}]", counts)
    return by_datacenter


def _datacenters(nodes: int | None, datacenters: object, racks: object) -> list[str]:
    if nodes is not None:
        checks.whole("LocalCluster: nodes", nodes, 1, MOST_NODES)
    if isinstance(datacenters, Mapping):
        counts = _counts("datacenters", datacenters)
        total = sum(counts.values())
        if nodes is not None and nodes != total:
            raise ConfigurationError(
                f"LocalCluster: nodes={nodes}, but the datacenters have {total} nodes. Leave out `nodes`."
            )
        return [name for name, count in counts.items() for _ in range(count)]
    if datacenters is None:
        names = [DATACENTER]
    elif isinstance(datacenters, str | bytes) or not isinstance(datacenters, Sequence) or not datacenters:
        raise ConfigurationError(
            "LocalCluster: datacenters must be a list of names, or map names to numbers of nodes, "
            f"such as {{'dc1': 3, 'dc2': 3}} (got {datacenters!r})."
        )
    else:
        names = [_name("datacenter", name) for name in datacenters]
        if len(set(names)) != len(names):
            raise ConfigurationError(f"LocalCluster: datacenters has a name twice (got {datacenters!r}).")
    if nodes is None:
        per_datacenter = sum(_counts("racks", racks).values()) if isinstance(racks, Mapping) else 3
        nodes = per_datacenter * len(names)
    if nodes < len(names):
        raise ConfigurationError(f"LocalCluster: {nodes} nodes cannot fill {len(names)} datacenters.")
    return [names[index % len(names)] for index in range(nodes)]


def _rack_names(
    datacenter: str, count: int, racks: object, by_datacenter: dict[str, dict[str, int]] | None
) -> list[str]:
    if racks is None:
        return [RACK]
    if isinstance(racks, Mapping):
        counts = by_datacenter.get(datacenter) if by_datacenter is not None else _counts("racks", racks)
        if counts is None:
            return [RACK]
        if sum(counts.values()) != count:
            raise ConfigurationError(
                f"LocalCluster: the racks of {datacenter!r} have {sum(counts.values())} nodes, but it has {count}."
            )
        return [name for name, number in counts.items() for _ in range(number)]
    if isinstance(racks, str | bytes) or not isinstance(racks, Sequence) or not racks:
        raise ConfigurationError(
            "LocalCluster: racks must be a list of names, or map names to numbers of nodes, "
            f"such as {{'dc1': {{'r1': 2, 'r2': 1}}}} (got {racks!r})."
        )
    return [_name("rack", name) for name in racks]


def _counts(setting: str, numbers: Mapping[object, object]) -> dict[str, int]:
    if not numbers:
        raise ConfigurationError(f"LocalCluster: {setting} is empty.")
    counts: dict[str, int] = {}
    for name, count in numbers.items():
        checks.whole(f"LocalCluster: {setting}[{name!r}]", count, 1, MOST_NODES)
        assert isinstance(count, int)
        counts[_name("datacenter or rack", name)] = count
    return counts


def _name(kind: str, name: object) -> str:
    if not isinstance(name, str) or not name:
        raise ConfigurationError(f"LocalCluster: the name of a {kind} must be a non-empty string (got {name!r}).")
    checks.no_control_characters(f"LocalCluster: the name of a {kind}", name)
    return name
