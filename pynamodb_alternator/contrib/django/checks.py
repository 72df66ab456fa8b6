"""System checks.

| id | meaning |
|---|---|
| alternator.E001 | ``settings.ALTERNATOR`` is not a dict from alias to cluster |
| alternator.E002 | the settings of one cluster are wrong |
| alternator.E003 | a model names a cluster that is not configured |
| alternator.W001 | the alias ``default`` is not configured, and a model needs it |
| alternator.E100, alternator.W100 | what the doctor (`Cluster.check`) found; only under ``--tag alternator`` |
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from types import FrameType
from typing import Any

from django.apps import AppConfig, apps
from django.core import checks

from ...errors import AlternatorError, ConfigurationError
from ...orm import model_tables as tables
from ...orm._pynamodb import AnyModel
from ...orm.model import Model
from ...registry import get_cluster
from .conf import SETTING, SettingError, aliases, config_of

__all__ = ["TAG", "check_clusters", "check_models", "check_settings"]

TAG = "alternator"


@checks.register(TAG)
def check_settings(**_: Any) -> list[checks.CheckMessage]:
    """E001, E002: check the setting without a connection."""
    try:
        known = aliases()
    except SettingError as wrong:
        return [checks.Error(str(wrong), id="alternator.E001")]
    messages: list[checks.CheckMessage] = []
    for alias, value in known.items():
        try:
            config_of(alias, value)
        except SettingError as wrong:
            messages.append(checks.Error(str(wrong), id="alternator.E002"))
    return messages


@checks.register(TAG)
def check_models(app_configs: Sequence[AppConfig] | None = None, **_: Any) -> list[checks.CheckMessage]:
    """E003, W001: check whether the models' clusters are configured."""
    messages: list[checks.CheckMessage] = []
    without: list[str] = []
    for model in installed_models(app_configs):
        meta: Any = getattr(model, "Meta", None)
        cluster = getattr(meta, "cluster", None)
        alias = cluster if isinstance(cluster, str) else "default"
        if (cluster is not None and not isinstance(cluster, str)) or "://" in alias:
            continue
        if cluster is None and getattr(meta, "host", None):
            continue
        if _is_configured(alias):
            continue
        name = f"{model.__module__}.{model.__qualname__}"
        if cluster is None:
            without.append(name)
        else:
            messages.append(
                checks.Error(
                    f"{name}: Meta.cluster is {alias!r}, and no cluster has this alias.",
                    hint=f"Add {alias!r} to settings.{SETTING}, or name another alias in Meta.cluster.",
                    obj=model,
                    id="alternator.E003",
                )
            )
    if without:
        messages.append(
            checks.Warning(
                f"Nothing says which cluster the alias 'default' means, and {', '.join(without[:3])}"
                f"{' and others need' if len(without) > 3 else ' needs' if len(without) == 1 else ' need'} it.",
                hint=f"Set {SETTING} = {{'default': {{'SEEDS': ['10.0.0.1']}}}}, or the environment variable "
                "ALTERNATOR_URL.",
                id="alternator.W001",
            )
        )
    return messages


def _is_configured(alias: str) -> bool:
    try:
        if alias in aliases():
            return True
    except SettingError:
        return True  # E001 reports this
    if alias == "default" and os.environ.get("ALTERNATOR_URL"):
        return True
    try:
        get_cluster(alias)  # `configure` may know it; this does not connect
    except ConfigurationError as wrong:
        return isinstance(wrong, SettingError)  # E002 reports this
    return True


@checks.register(TAG)
def check_clusters(**_: Any) -> list[checks.CheckMessage]:
    """E100, W100: ask the clusters. Only with ``--tag alternator``, because it needs the network."""
    if not _asked_by_tag():
        return []
    messages: list[checks.CheckMessage] = []
    try:
        known = [alias for alias, value in aliases().items() if config_of(alias, value)]
    except SettingError:
        return []  # E001 or E002 reports this
    for alias in known or (["default"] if os.environ.get("ALTERNATOR_URL") else []):
        try:
            findings = get_cluster(alias).check()
        except AlternatorError as wrong:
            messages.append(checks.Error(f"Cluster {alias!r}: {wrong}", id="alternator.E100"))
            continue
        for finding in findings:
            kind, number = {"error": (checks.Error, "E100"), "warning": (checks.Warning, "W100")}.get(
                finding.severity, (None, "")
            )
            if kind is not None:
                message = f"Cluster {alias!r}: {finding.id}: {finding.subject}: {finding.message}"
                messages.append(kind(message, hint=finding.remedy or None, id=f"alternator.{number}"))
    return messages


def _asked_by_tag() -> bool:
    """Whether ``--tag`` names the check. Django does not pass the tags to a check, so they are read from its caller."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_name == "run_checks" and frame.f_globals.get("__name__") == "django.core.checks.registry":
            return TAG in (frame.f_locals.get("tags") or ())
        frame = frame.f_back
    return False


def installed_models(app_configs: Iterable[Any] | None = None) -> list[AnyModel]:
    """The PynamoDB models on clusters that the modules of the installed applications define."""
    configs = apps.get_app_configs() if app_configs is None else app_configs
    models = tables.models_of([config.name for config in configs])
    # Plain PynamoDB models without install() are left out, because their requests go to Amazon.
    return [model for model in models if issubclass(model, Model) or tables.is_on_cluster(model)]
