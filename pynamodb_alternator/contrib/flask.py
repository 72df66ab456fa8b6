"""Clusters for Flask applications.

>>> from flask import Flask
>>> from pynamodb_alternator.contrib.flask import Alternator
>>> alternator = Alternator()
>>> def create_app():
...     app = Flask(__name__)
...     app.config["ALTERNATOR_URL"] = "http://10.0.0.1,10.0.0.2:8000"
...     alternator.init_app(app)
...     return app

Inside an application's context, an alias means the cluster of that application. So several applications with different
clusters can run in one process, with the same models.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pynamodb.exceptions import PynamoDBException

from ..cluster import Cluster
from ..diagnostics.severities import FAIL_LEVELS, FailLevel
from ..errors import ConfigurationError, TransportError
from ..orm import model_tables
from ..registry import Aliases, add_source, get_cluster
from ..settings.config import ClusterConfig
from ..shell.output import ends_quietly
from ..shell.screen import Screen
from . import _commands as commands
from ._health import HEADERS, health_of, look_at
from ._settings import FIELDS, KEYS, config_from, known_aliases, setting_meant
from ._watch import missing

try:
    import click
    from flask import Blueprint, Flask, current_app, has_app_context
    from flask.cli import AppGroup

    from ._flask_errors import answer
except ImportError as _cause:
    missing("flask", "Flask", _cause)

__all__ = ["Alternator", "add_error_handlers"]

EXTENSION = "alternator"

_PREFIX = "ALTERNATOR_"
_OWN = {f"{_PREFIX}{name.upper()}": name for name in KEYS}
"""The settings of the default cluster."""
_DEFAULTS: dict[str, Any] = {
    **{setting: None for setting, name in _OWN.items() if name not in FIELDS},
    "ALTERNATOR_CLUSTERS": {},
    "ALTERNATOR_SHELL_MODELS": True,
}
_KNOWN = {*_OWN, *_DEFAULTS}


class Alternator:
    """The extension: ``Alternator(app)``, or ``Alternator()`` and `init_app` in an application factory.

    It reads the configuration of the application when it is initialised:

    - ``ALTERNATOR_URL``: the cluster under the alias ``default``.
    - ``ALTERNATOR_CLUSTERS``: a dict from alias to a URL or a dict of settings, for several clusters.
    - ``ALTERNATOR_`` and the name of a setting of `ClusterConfig`: a setting of the default cluster.
    - ``ALTERNATOR_SHELL_MODELS``: whether ``flask shell`` has the models as names.

    Nothing is connected before the first request to the cluster. The connections stay open between web requests.
    """

    def __init__(self, app: Flask | None = None) -> None:
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        """Register the clusters of `app`. Raises `ConfigurationError` for wrong settings, and if this was done
        before."""
        if not isinstance(app, Flask):
            raise ConfigurationError(
                f"Alternator.init_app() takes a Flask application (got {type(app).__name__}). Write Alternator(app)."
            )
        if EXTENSION in app.extensions:
            raise ConfigurationError(
                f"An Alternator was initialised on the application {app.name!r} before. Use that one "
                "(app.extensions['alternator']), and call init_app() once for each application."
            )
        for name, default in _DEFAULTS.items():
            app.config.setdefault(name, dict(default) if isinstance(default, dict) else default)
        _source.add(app, Aliases(_configs(app.config), "app.config, in the cluster {}"))
        app.extensions[EXTENSION] = self
        add_source(_source)
        app.cli.add_command(_commands())
        if app.config["ALTERNATOR_SHELL_MODELS"]:
            app.shell_context_processor(_shell_context)

    @property
    def cluster(self) -> Cluster:
        """The default cluster of the current application."""
        return self.get_cluster()

    def get_cluster(self, alias: str = "default") -> Cluster:
        """The cluster under an alias, of the current application.

        Raises `ConfigurationError` outside of an application's context.
        """
        if not has_app_context():
            raise ConfigurationError(
                "Alternator.get_cluster() was called outside of an application's context. "
                "Write `with app.app_context():` around it."
            )
        if current_app.extensions.get(EXTENSION) is not self:
            raise ConfigurationError(_source.hint(alias))
        return get_cluster(alias)

    def health(self, *aliases: str) -> tuple[dict[str, Any], int, dict[str, str]]:
        """The return value for a view such as ``/healthz``: 200 while every cluster has a node for requests, else 503,
        with a small JSON. It uses the known state of the nodes, and sends no request.

        `aliases`: the clusters; by default those of the current application. Raises `ConfigurationError` for an alias
        without a cluster.
        """
        names = aliases or _source.names() or ("default",)
        health = health_of({alias: look_at(self.get_cluster(alias)) for alias in names})
        return health.body, health.status, HEADERS


def add_error_handlers(app: Flask | Blueprint) -> None:
    """Answer requests that failed because of the cluster with 503 or 504 and a small JSON, and not with 500.

    503, with ``Retry-After``: no node can have seen the request (`NotSentError`, such as `NoNodesAvailableError`).
    504: the outcome is open (`OutcomeUnknownError`). This applies to errors of this library, to PynamoDB's errors that
    wrap them, and to a group of such errors, as ``asyncio.TaskGroup`` raises it. All other errors are handled as
    before. The error is logged as a warning. Your own handler has priority if it is for a subclass, such as
    ``PutError``, or if it is added later for the same class. Raises `ConfigurationError` if `app` is neither an
    application nor a blueprint, whose views alone it is for then.
    """
    if not isinstance(app, Flask | Blueprint):
        raise ConfigurationError(
            "add_error_handlers() takes a Flask application, or a Blueprint for its own views "
            f"(got {type(app).__name__})."
        )
    for error in (TransportError, PynamoDBException, ExceptionGroup):
        app.register_error_handler(error, answer)


class _CurrentApp:
    """A source of clusters: finds the cluster of an alias in the current application, if this was added."""

    def __init__(self) -> None:
        self._clusters: weakref.WeakKeyDictionary[Flask, Aliases] = weakref.WeakKeyDictionary()

    def add(self, app: Flask, clusters: Aliases) -> None:
        """Let aliases mean these clusters inside of the context of `app`. The application is not kept alive."""
        self._clusters[app] = clusters

    def find(self, alias: str) -> Cluster | None:
        clusters = self._current()
        return None if clusters is None else clusters.get(alias)

    def names(self) -> tuple[str, ...]:
        """The aliases of the current application."""
        clusters = self._current()
        return () if clusters is None else clusters.names

    def _current(self) -> Aliases | None:
        if not has_app_context():
            return None
        # The application itself, and not Flask's proxy.
        app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
        return self._clusters.get(app)

    def hint(self, alias: str) -> str:
        if not has_app_context():
            return "In a Flask application, wrap this in `with app.app_context():` to use the application's clusters."
        if EXTENSION not in current_app.extensions:
            return "The current Flask application has no Alternator of its own: call init_app(app) on one."
        setting = "ALTERNATOR_URL" if alias == "default" else f"ALTERNATOR_CLUSTERS = {{{alias!r}: ...}}"
        clusters = self._clusters.get(current_app._get_current_object())  # type: ignore[attr-defined]
        has = known_aliases("This Flask application", alias, () if clusters is None else clusters.names)
        return f"Or set {setting} in the configuration of the Flask application, before init_app(). {has}"

    def close(self) -> None:
        for clusters in list(self._clusters.values()):
            clusters.close()


_source = _CurrentApp()


# ---- configuration -----------------------------------------------------------------------------------------------


def _configs(settings: Mapping[str, Any]) -> dict[str, ClusterConfig]:
    for name in settings:
        if name.startswith(_PREFIX) and name not in _KNOWN:
            meant = setting_meant(name, _KNOWN)
            raise ConfigurationError(f"app.config[{name!r}] is not a setting of pynamodb_alternator. {meant}")
    named = settings["ALTERNATOR_CLUSTERS"]
    where = "app.config['ALTERNATOR_CLUSTERS']"
    if not isinstance(named, Mapping):
        raise ConfigurationError(
            f"{where} must be a dict from alias to a URL or settings, such as "
            f"{{'analytics': 'http://10.0.0.9:8000'}} (got {type(named).__name__})."
        )
    for alias in named:
        if not isinstance(alias, str) or not alias:
            raise ConfigurationError(f"{where} has the alias {alias!r}. An alias is a name such as 'analytics'.")
    configs = {alias: config_from(value, f"{where}[{alias!r}]", alias) for alias, value in named.items()}
    own = {name: value for name, value in settings.items() if name in _OWN and value is not None}
    if own:
        if "default" in configs:
            raise ConfigurationError(
                f"{where} has a 'default', and app.config[{next(iter(own))!r}] is set as well, which is about the "
                "same cluster. Write all of its settings in one of the two places."
            )
        shown = f"app.config (from {', '.join(sorted(own))})"
        values = {name.removeprefix(_PREFIX): value for name, value in own.items()}
        configs["default"] = config_from(values, shown, "default", _PREFIX)
    return configs


# ---- the shell ---------------------------------------------------------------------------------------------------


def _shell_context() -> dict[str, Any]:
    names: dict[str, Any] = {"get_cluster": get_cluster}
    for model in model_tables.models_of():
        if not model.__module__.startswith("pynamodb_alternator."):
            names.setdefault(model.__name__, model)
    return names


class _Seconds(click.FloatRange):
    """Click's own type only compares with the bounds, and so accepts NaN."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        seconds = float(super().convert(value, param, ctx))
        if math.isnan(seconds):
            self.fail(f"{value} is not a number of seconds.", param, ctx)
        return seconds


def _commands() -> AppGroup:
    group = AppGroup(EXTENSION, short_help="Look at the ScyllaDB Alternator clusters of this application.")
    alias = click.option("--cluster", "alias", default="default", show_default=True, help="The cluster's alias.")
    timeout = click.option(
        "--timeout",
        type=_Seconds(0.001, 3600),
        default=commands.TIMEOUT,
        show_default=True,
        metavar="SECONDS",
        help="For each question.",
    )
    as_json = click.option("--json", "as_json", is_flag=True, help="One JSON document, for machines.")

    @group.command("nodes")
    @click.option(
        "--watch",
        "every",
        is_flag=False,
        flag_value=commands.EVERY,
        type=_Seconds(0.1, 3600),
        metavar="SECONDS",
        help=f"Look again every so many seconds ({commands.EVERY:g}), until Ctrl-C.",
    )
    @timeout
    @as_json
    @alias
    def nodes(every: float | None, timeout: float, as_json: bool, alias: str) -> None:
        """The nodes, their datacenters and racks, their state and latency. The exit status is 1 if none answers."""
        with _told():
            _ended(commands.nodes(get_cluster(alias), Screen(as_json=as_json), timeout=timeout, every=every))

    @group.command("route")
    @click.argument("table")
    @click.argument("key")
    @click.option("--index", help="KEY is one of this index.")
    @click.option("--token-aware", is_flag=True, help="Read the table's token ring, and show the key's replicas.")
    @timeout
    @as_json
    @alias
    def route(
        table: str, key: str, index: str | None, token_aware: bool, timeout: float, as_json: bool, alias: str
    ) -> None:
        """To which nodes the requests of KEY, a partition key of TABLE, go. The exit status is 1 if no node answers.

        The type of the key comes from the table, or from its model if the table cannot be read. Binary keys are in
        base64.
        """
        screen = Screen(as_json=as_json)
        with _told():
            cluster = get_cluster(alias)
            _ended(commands.route(cluster, table, key, screen, index=index, token_aware=token_aware, timeout=timeout))

    @group.command("tables")
    @timeout
    @as_json
    @alias
    def tables(timeout: float, as_json: bool, alias: str) -> None:
        """The tables of a cluster, and which models use them. The exit status is 1 if one is missing."""
        with _told():
            _ended(commands.tables(get_cluster(alias), Screen(as_json=as_json), timeout=timeout))

    @group.command("create-tables")
    @click.option("--models", "modules", multiple=True, metavar="MODULE", help="Only the models of this module.")
    @click.option("--dry-run", is_flag=True, help="Say which tables are missing; create none.")
    @click.option("--cluster", "alias", help="Only the models of this cluster.")
    @timeout
    @as_json
    def create_tables(
        modules: tuple[str, ...], dry_run: bool, alias: str | None, timeout: float, as_json: bool
    ) -> None:
        """Create the tables of the models. Existing tables are not changed."""
        with _told():
            chosen = commands.models_in(modules) if modules else None
            screen = Screen(as_json=as_json)
            commands.create_tables(screen, chosen, alias=alias, dry_run=dry_run, timeout=timeout)

    @group.command("check")
    @click.option("--cluster", "alias", help="The cluster's alias (default; with --models none).")
    @click.option("--models", "modules", multiple=True, metavar="MODULE", help="Check the models of this module.")
    @click.option("--source", "sources", multiple=True, metavar="PATH", help="With --models: search this as well.")
    @click.option("--ignore", multiple=True, metavar="NAME", help="With --models: accept the findings of this name.")
    @click.option("--fail-level", type=click.Choice(FAIL_LEVELS), help="With --models: what sets the status to 1.")
    @click.option("--format", "form", type=click.Choice(["text", "json"]), help="json is --json.")
    @timeout
    @as_json
    def check(
        alias: str | None,
        modules: tuple[str, ...],
        sources: tuple[str, ...],
        ignore: tuple[str, ...],
        fail_level: FailLevel | None,
        form: str | None,
        timeout: float,
        as_json: bool,
    ) -> None:
        """Ask all nodes, and say what is wrong. The exit status is 1 if anything is.

        With --models: report what behaves differently on Alternator in the PynamoDB models of a module, such as
        shop.models, or of a package whose modules the application imports. Add --cluster to compare them with the
        tables of a cluster.
        """
        with _told():
            if modules:
                screen = Screen(as_json=as_json or form == "json")
                level = fail_level or "error"
                well = commands.models(modules, screen, alias=alias, ignore=ignore, level=level, sources=sources)
            else:
                options = {"source": sources, "ignore": ignore, "fail_level": fail_level}
                commands.only_with_models(options)
                screen = Screen(as_json=as_json or form == "json")
                well = commands.check(get_cluster(alias or "default"), screen, timeout=timeout)
            _ended(well)

    return group


def _ended(well: bool) -> None:
    """Set the exit status of a command."""
    if not well:
        raise click.exceptions.Exit(1)


class _Mistake(click.ClickException):
    exit_code = 2


@contextmanager
def _told() -> Iterator[None]:
    """A context manager: errors become lines on the terminal, and not tracebacks. They have the exit status of the
    shell's commands."""
    try:
        with ends_quietly():
            yield
    except model_tables.ERRORS as error:
        kind = _Mistake if commands.exit_status(error) == _Mistake.exit_code else click.ClickException
        raise kind(commands.message_of(error)) from None
