from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.apps import apps
from django.core.management.base import CommandError

from pynamodb_alternator.diagnostics.models import is_installed
from pynamodb_alternator.diagnostics.severities import FAIL_LEVELS
from pynamodb_alternator.errors import ConfigurationError
from pynamodb_alternator.orm.model_tables import models_of
from pynamodb_alternator.registry import get_cluster

from ...._commands import check, models, only_with_models
from ._base import ClusterCommand, told


class Command(ClusterCommand):
    help = (
        "Ask all nodes of a cluster, and say what is wrong. With --models: say what behaves differently on Alternator "
        "in the PynamoDB models, and look at a cluster only if --cluster names it. The exit status is 1 if anything is "
        "wrong."
    )

    cluster_help = "The cluster's alias (default; with --models none)."

    def add_arguments(self, parser: Any) -> None:
        super().add_arguments(parser)
        parser.set_defaults(cluster=None)  # with --models, no cluster is read unless it is named
        parser.add_argument(
            "--models",
            nargs="*",
            metavar="MODULE",
            help="Check the models of these modules; without a name, those of the installed applications.",
        )
        parser.add_argument(
            "--source", nargs="+", default=[], metavar="PATH", help="With --models: search this as well."
        )
        parser.add_argument(
            "--ignore", nargs="+", default=[], metavar="NAME", help="With --models: accept the findings of this name."
        )
        parser.add_argument("--fail-level", choices=FAIL_LEVELS, help="With --models: what sets the exit status to 1.")
        parser.add_argument("--format", choices=("text", "json"), help="json is --json.")

    def handle(self, **options: Any) -> None:
        with told():
            if options["models"] is None:
                only_with_models({name: options[name] for name in ("source", "ignore", "fail_level")})
                screen = self.screen(options, as_json=options["format"] == "json")
                well = check(get_cluster(options["cluster"] or "default"), screen, timeout=options["timeout"])
            else:
                well = self._models(options)
        if not well:
            raise CommandError(
                "The models have findings." if options["models"] is not None else "The cluster has errors."
            )

    def _models(self, options: Mapping[str, Any]) -> bool:
        names, sources = (options["models"], []) if options["models"] else _installed()
        return models(
            names,
            self.screen(options, as_json=options["format"] == "json"),
            alias=options["cluster"],
            ignore=options["ignore"],
            level=options["fail_level"] or "error",
            sources=[*sources, *options["source"]],
        )


def _installed() -> tuple[list[str], list[str]]:
    """The packages of the applications that have models, and the folders of all applications of the user."""
    own = [config for config in apps.get_app_configs() if config.label != "alternator"]
    names = [config.name for config in own if models_of([config.name])]
    if not names:
        raise ConfigurationError(
            "No model was found. Models are looked for in the modules of the installed applications that have been "
            "imported: define them in models.py, or name their module: --models shop.tables"
        )
    return names, [config.path for config in own if not is_installed(Path(config.path))]
