"""The Django application."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.signals import setting_changed

from ...registry import add_source
from .conf import source


class AlternatorConfig(AppConfig):
    """Registers ``settings.ALTERNATOR`` as a source of clusters, and the checks. It does not connect, and reads no
    setting yet."""

    name = "pynamodb_alternator.contrib.django"
    label = "alternator"
    verbose_name = "ScyllaDB Alternator"

    def ready(self) -> None:
        from . import checks  # noqa: F401

        add_source(source)
        setting_changed.connect(source.setting_changed, dispatch_uid="pynamodb_alternator")
