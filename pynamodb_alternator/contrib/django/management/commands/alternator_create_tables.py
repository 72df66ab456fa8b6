from __future__ import annotations

from typing import Any

from django.apps import apps
from django.core.management.base import CommandError

from ...._commands import create_tables
from ...checks import installed_models
from ._base import ClusterCommand, told


class Command(ClusterCommand):
    help = (
        "Create the tables of all models on clusters that the installed applications define. Tables that exist are "
        "left as they are."
    )

    cluster_help = "Only the models of this cluster."

    def add_arguments(self, parser: Any) -> None:
        super().add_arguments(parser)
        parser.set_defaults(cluster=None)  # tables of all clusters
        parser.add_argument("app_label", nargs="*", help="Only the models of these applications.")
        parser.add_argument("--dry-run", action="store_true", help="Say which tables are missing; create none.")

    def handle(self, *app_labels: str, **options: Any) -> None:
        labels = [*app_labels, *options.get("app_label", [])]
        try:
            configs = [apps.get_app_config(label) for label in labels] or None
        except LookupError as wrong:
            raise CommandError(str(wrong), returncode=2) from None
        with told():
            models = installed_models(configs)
        if not models:
            raise CommandError(
                "No model was found. Models are looked for in the modules of the installed applications that have been "
                "imported: define them in models.py, or in another module of the application that models.py or "
                "AppConfig.ready() imports. A package with models that is not an application belongs into "
                "INSTALLED_APPS.",
                returncode=2,
            )
        with told():
            create_tables(
                self.screen(options),
                models,
                alias=options["cluster"],
                dry_run=options["dry_run"],
                quiet=options["verbosity"] < 1,
                timeout=options["timeout"],
            )
