"""The tables of all settings in docs/settings.md, made from the settings themselves.

``python -m tests.settings_table`` writes them; tests/settings/test_settings_table.py fails if they are out of date.
"""

from __future__ import annotations

import dataclasses
import enum
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pynamodb_alternator.contrib._settings import KEYS
from pynamodb_alternator.orm.meta_names import OF_CONNECTIONS, OF_OUR_CONNECTIONS
from pynamodb_alternator.settings import text
from pynamodb_alternator.settings.config import ClusterConfig
from pynamodb_alternator.settings.options import BLOCK_SETTINGS
from pynamodb_alternator.settings.tls import Tls
from pynamodb_alternator.settings.values import Credentials, Hedge

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"
BEGIN, END = "<!-- settings: begin -->", "<!-- settings: end -->"
PARTS: Mapping[str, type[Any]] = {**text.GROUPS, "hedge": Hedge, "tls": Tls, "credentials": Credentials}
"""The settings that have settings of their own."""
IN_META: Mapping[str, str] = {
    "host": "seeds",
    "region": "region",
    "connect_timeout_seconds": "timeouts.connect",
    "read_timeout_seconds": "timeouts.read",
    "max_retry_attempts": "retries.max_attempts",
    "max_pool_connections": "max_pool_connections",
    "extra_headers": "extra_headers",
    "aws_access_key_id": "credentials.access_key",
    "aws_secret_access_key": "credentials.secret_key",
    "aws_session_token": "credentials.session_token",
    "key_route_affinity": "key_route_affinity",
    "silent_writes": "retries.silent_writes",
    "token_aware": "token_aware",
    "hedge": "hedge",
    "canonical_numbers": "canonical_numbers",
}
"""What stands in a model's `Meta`, and the setting of the cluster in whose place it holds."""
OF_MODELS_ALONE = {"cluster", "write_isolation"}
"""What stands in `Meta`, and is not a setting of a cluster."""
MEANINGS: Mapping[str, str] = {
    "scheme": "`http` or `https`, of every node",
    "port": "The port of every listed node, and of the seeds that do not name a port",
    "key_route_affinity": "Which writes of a partition have one coordinator: `auto`, `none`, `rmw`, `any_write`",
    "rmw_rule": "Which updates need a read first: as the `server` decides, or as other drivers do (`driver`)",
    "token_aware_after": "After how many requests in this process `token_aware='auto'` begins for a table",
    "credentials": "What signs requests; None sends them unsigned",
    "credentials.access_key": "The name of a role",
    "credentials.secret_key": "Its salted hash, as the server has it",
    "credentials.session_token": "A token that is sent with the signature",
    "tls": "A `Tls`, for scheme https; None trusts the authorities that the system trusts",
    "timeouts": "A `Timeouts`: how long one call may wait, in seconds",
    "timeouts.connect": "Seconds in which a connection to a node must be made, TLS included",
    "timeouts.read": "Seconds to wait for the next bytes of an answer",
    "timeouts.total": "Seconds for the whole call, retries and back-off included",
    "timeouts.pool": "Seconds in which one of the connections to a node must become free, if all are in use",
    "retries": "A `Retries`: how often requests are sent",
    "retries.max_attempts": "How often a request may be sent, and how often it may try all nodes in turn",
    "retries.backoff_base": "The longest wait before the first retry, in seconds; it doubles with each retry",
    "retries.backoff_max": "The longest wait before any retry, in seconds",
    "discovery": "A `Discovery`: how the nodes are found, in seconds",
    "discovery.enabled": "False reads no node list: the seeds are the nodes",
    "discovery.interval": "Seconds between two readings of `/localnodes` while requests are made",
    "discovery.idle_interval": "Seconds between two readings of `/localnodes` while no requests are made",
    "discovery.idle_after": "Seconds without a request after which the cluster counts as idle",
    "discovery.timeout": "Seconds in which a node must answer with its node list",
    "discovery.startup_wait": "Seconds that the first request waits, at most, for the first node list",
    "discovery.scope_restore_after": "Seconds for which a better routing scope must have had active nodes before "
    "it is used again",
    "discovery.active_interval_max": "Seconds up to which `interval` may grow while no node comes, goes or fails",
    "health": "A `Health`: when a node counts as down, and as usable again",
    "health.enabled": "False makes no probes, and no node is ever down",
    "health.active_failure_threshold": "Failures in transport in a row after which an active node is down",
    "health.down_recovery_threshold": "Answered probes in a row after which a node that was down is quarantined",
    "health.quarantine_promotion_threshold": "Answers to requests in a row after which a quarantined node is active; "
    "one answered probe also makes it active",
    "health.quarantine_failure_threshold": "Failures in transport in a row after which a quarantined node is down",
    "health.suspect_after": "Seconds after which a request that waits for a node makes the library probe this node",
    "health.max_parallel_probes": "How many probes run at the same time",
    "health.probe_interval": "Seconds between two probes of a node that is not active",
    "health.probe_timeout": "Seconds in which a probe must be answered",
    "user_agent": "The text of the header `User-Agent`; `none` or `False` sends none",
    "extra_headers": "Headers that are sent with every request",
}
"""Where the docstring says it together with something else."""
COLUMNS = ("setting", "meaning", "default", "in a URL", "environment", "Flask", "Django", "in `Meta`", "in a block")
HEADINGS: Mapping[str, str] = {
    "": "The cluster",
    "credentials": "Credentials",
    "tls": "TLS",
    "timeouts": "Timeouts",
    "retries": "Retries",
    "hedge": "Hedged reads",
    "discovery": "Discovery",
    "health": "Health",
}
"""A table for each class: the settings of `ClusterConfig` itself, then those of its parts."""


class Row(NamedTuple):
    name: str
    meaning: str
    default: str
    url: str = ""
    environment: str = ""
    settings_file: str = ""
    meta: str = ""
    block: str = ""

    @property
    def group(self) -> str:
        """The setting in which it stands; empty for one of the cluster itself."""
        if self.name == "client_key":
            return "tls"
        return self.name.partition(".")[0] if "." in self.name else ""

    def cells(self) -> Iterator[str]:
        yield _code(self.name)
        yield self.meaning
        yield _code(self.default)
        yield _code(self.url)
        yield _code(self.environment)
        yield _code(f"ALTERNATOR_{self.settings_file}" if self.settings_file else "")
        yield _code(self.settings_file)
        yield _code(self.meta)
        yield _code(self.block)


def rows() -> Iterator[Row]:
    """One for each setting, in the order in which the classes have them."""
    for field in dataclasses.fields(ClusterConfig):
        if field.name == "seeds":
            yield Row(
                "url", "The cluster as a URL", "", environment="ALTERNATOR_URL", settings_file="URL", meta="cluster"
            )
        yield _row(field, ClusterConfig)
        if field.name == "routing_scope":
            yield _in_text("datacenter", "Stands for `DatacenterScope(...)`")
            yield _in_text("rack", "Stands for `RackScope(...)`, beside `datacenter`")
        for part in dataclasses.fields(PARTS[field.name]) if field.name in PARTS else ():
            yield _row(part, PARTS[field.name], field.name)
            if part.name == "client_cert":
                yield _in_text("client_key", "The key of `client_cert`, where that does not have it")


def _row(field: dataclasses.Field[Any], kind: type[Any], group: str | None = None) -> Row:
    name = f"{group}.{field.name}" if group else field.name
    key = next((key for key, into in text.IN_TEXT.items() if (into.group, into.name or key) == (group, field.name)), "")
    own_key = field.name if group in ("credentials", "tls") and field.name in KEYS else ""
    capitals = field.name.upper()
    return Row(
        name,
        MEANINGS.get(name) or _meaning(kind, field.name),
        _default(field),
        key,
        _environment(field.name) if group in (None, "credentials", "tls") else "",
        own_key.upper() or (f'{group.upper()}["{capitals}"]' if group else capitals),
        ", ".join(meta for meta, of in IN_META.items() if of == name),
        _block(group, field.name),
    )


def _in_text(name: str, meaning: str) -> Row:
    """What stands in texts for a setting that is not a text."""
    return Row(name, meaning, "", name, _environment(name), name.upper())


def _environment(name: str) -> str:
    variables = (*text.SCOPE_NAMES, *text.CREDENTIALS, *text.TLS_FILES, "process_number")
    return f"ALTERNATOR_{name.upper()}" if name in variables else ""


def _block(group: str | None, name: str) -> str:
    if group is None:
        return name if name in BLOCK_SETTINGS else ""
    if group == "timeouts":
        return f'timeouts={{"{name}": ...}}'
    return name if group == "retries" and name in BLOCK_SETTINGS else ""


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default_factory is not dataclasses.MISSING:
        made = field.default_factory()
        return f"{type(made).__name__}()" if dataclasses.is_dataclass(made) else repr(made)
    if field.default is dataclasses.MISSING:
        return ""
    value = field.default
    return repr(value.value) if isinstance(value, enum.Enum) else repr(value)


def _meaning(kind: type[Any], name: str) -> str:
    """The first sentence of what the docstring of its class says of a setting; empty if that says nothing."""
    docstring = " ".join(inspect.getdoc(kind).split())  # type: ignore[union-attr]
    start = re.search(rf"`{name}`(?:, `\w+`)*: ", docstring)
    if start is None:
        return ""
    rest = re.split(r" (?=`\w+`(?:, `\w+`)*: )", docstring[start.end() :])[0]
    sentence = re.match(r".*?[.;:](?=\s|$)", rest)
    said = (sentence[0] if sentence else rest).rstrip(".;: ").replace("``", "`")
    return said[:1].upper() + said[1:]


def _code(value: str) -> str:
    return f"`{value}`" if value else ""


def tables() -> str:
    """A heading and a table for each class."""
    groups: dict[str, list[Row]] = {group: [] for group in HEADINGS}
    for row in rows():
        groups[row.group].append(row)
    return "\n\n".join(f"## {HEADINGS[group]}\n\n{_table(of_group)}" for group, of_group in groups.items())


def _table(of_group: Iterable[Row]) -> str:
    """Without the columns in which nothing would stand."""
    columns = [column for column in zip(COLUMNS, *(row.cells() for row in of_group), strict=True) if any(column[1:])]
    headings, *lines = zip(*columns, strict=True)
    written = [headings, ("---",) * len(headings), *lines]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in written)


def written() -> str:
    """The tables as they stand in the page."""
    return PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].strip()


def write() -> None:
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n\n{tables()}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")


__all__ = ["IN_META", "OF_CONNECTIONS", "OF_MODELS_ALONE", "OF_OUR_CONNECTIONS", "rows", "tables", "write", "written"]

if __name__ == "__main__":
    write()
