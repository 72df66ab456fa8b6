from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandError

from ...._tables import create_table
from ...checks import installed_models
from ._base import told


class Command(BaseCommand):
    help = (
        "Create the tables of all models on clusters that the installed applications define. Tables that exist are "
        "left as they are."
    )
    requires_system_checks: Sequence[str] = ()

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("app_label", nargs="*", help="Only the models of these applications.")
        parser.add_argument("--dry-run", action="store_true", help="Say which tables are missing; create none.")

    def handle(self, *app_labels: str, **options: Any) -> None:
        labels = [*app_labels, *options.get("app_label", [])]
        try:
            configs = [apps.get_app_config(label) for label in labels] or None
        except LookupError as wrong:
            raise CommandError(str(wrong)) from None
        with told():
            models = installed_models(configs)
        if not models:
            raise CommandError(
                "No model was found. Models are looked for in the modules of the installed applications that have been "
                "imported: define them in models.py, or import their module there or in AppConfig.ready()."
            )
        quiet = options["verbosity"] < 1
        created = 0
        for number, model in enumerate(models, 1):
            meta: Any = getattr(model, "Meta", None)
            if not quiet:
                self.stdout.write(f"[{number}/{len(models)}] {meta.table_name} ({model.__name__}) ... ", ending="")
                self.stdout.flush()
            with told():
                if options["dry_run"]:
                    missing = not model.exists()
                    said = "is missing" if missing else "exists"
                else:
                    missing = create_table(model)
                    said = self.style.SUCCESS("created") if missing else "exists"
            created += missing
            if not quiet:
                self.stdout.write(said)
        if not quiet:
            what = "missing" if options["dry_run"] else "created"
            self.stdout.write(f"{created} {what}, {len(models) - created} there already")
