"""A view for load balancers: ``path("healthz", healthz)``."""

from __future__ import annotations

from collections.abc import Iterable

from django.http import HttpRequest, JsonResponse

from .._health import HEADERS, health_of, looks_at
from . import conf

__all__ = ["healthz"]


def healthz(request: HttpRequest, aliases: Iterable[str] | None = None) -> JsonResponse:
    """200 while every cluster of ``settings.ALTERNATOR`` has a node for requests, else 503; with a small JSON.

    It uses the known state of the nodes, and sends no request.

    `aliases`: other clusters, as in ``path("healthz", healthz, {"aliases": ["default"]})``. Raises `ConfigurationError`
    for an alias without a cluster.
    """
    health = health_of(looks_at(aliases or conf.aliases() or ("default",)))
    return JsonResponse(health.body, status=health.status, headers=HEADERS)
