"""Does each table's affinity mode fit its write isolation?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from ...core.write_isolation import read_write_isolation
from ...errors import error_code
from ...routing.tables import effective_affinity
from ...settings.values import KeyRouteAffinity
from ..values import Finding
from ..words import said

if TYPE_CHECKING:
    from ..examination import Examination

__all__ = ["check"]

_ID = "write_isolation"
_MOST_TABLES = 100
_PROBLEMS = {
    ("always", KeyRouteAffinity.RMW): "every write is a lightweight transaction, and only those that need a read first "
    "go to their key's coordinator",
    ("always", KeyRouteAffinity.NONE): "every write is a lightweight transaction, and writers of one key use "
    "different coordinators",
    ("only_rmw_uses_lwt", KeyRouteAffinity.NONE): "writes that need a read first are lightweight transactions, and "
    "writers of one key use different coordinators",
    ("only_rmw_uses_lwt", KeyRouteAffinity.ANY_WRITE): "plain writes use no lightweight transaction, and sending them "
    "to their key's coordinator only makes nodes with hot keys busier",
}
_PROBLEM_OF_OTHERS = "no write uses a lightweight transaction, and affinity only makes nodes with hot keys busier"


def check(examination: Examination) -> Iterator[Finding]:
    names = dict.fromkeys(examination.inside.tables.names())
    try:
        names.update(dict.fromkeys(examination.client.list_tables(Limit=_MOST_TABLES)["TableNames"]))
    except (BotoCoreError, ClientError, LookupError, ValueError) as error:
        if not names:
            yield Finding(_ID, "ok", "tables", f"The tables cannot be listed: {said(error)}")
            return
    for name in list(names)[:_MOST_TABLES]:
        yield _of_table(examination, name)
    if len(names) >= _MOST_TABLES:
        yield Finding(_ID, "ok", "tables", f"Only {_MOST_TABLES} tables were checked.")


def _of_table(examination: Examination, name: str) -> Finding:
    try:
        isolation = read_write_isolation(examination.client, name)
    except ClientError as error:
        if error_code(error) == "ResourceNotFoundException":
            return Finding(
                _ID,
                "warning",
                name,
                "The application names this table, and the cluster does not have it.",
                "Create it (Model.create_table()), or correct the name.",
            )
        return Finding(_ID, "ok", name, f"Its write isolation may not be read: {said(error)}")
    except (BotoCoreError, LookupError, ValueError) as error:
        return Finding(_ID, "warning", name, f"Its write isolation could not be read: {said(error)}", "Try it again.")
    if isolation is None:
        return Finding(_ID, "ok", name, "It has no tag, and the server's default may not be read.")
    return _against_affinity(examination, name, isolation)


def _against_affinity(examination: Examination, name: str, isolation: str) -> Finding:
    table = examination.inside.tables.get(name)
    mode = table.affinity or examination.config.key_route_affinity
    best = effective_affinity(KeyRouteAffinity.AUTO, table._replace(write_isolation=isolation))
    if mode in (KeyRouteAffinity.AUTO, best):
        meaning = f" (which means {best.name})" if mode is KeyRouteAffinity.AUTO else ""
        return Finding(_ID, "ok", name, f"{isolation}, with affinity {mode.name}{meaning}.")
    problem = _PROBLEMS.get((isolation, mode), _PROBLEM_OF_OTHERS)
    other = ", or its write isolation to what the application needs." if best is KeyRouteAffinity.NONE else "."
    return Finding(
        _ID,
        "warning",
        name,
        f"The table's write isolation is {isolation}, and key_route_affinity is {mode.name}: {problem}.",
        f"Set key_route_affinity to AUTO or {best.name} for this table{other}",
    )
