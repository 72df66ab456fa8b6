"""The web pages of the shop with Django: ``python -m example_app.django_shop runserver``.

Set ``ALTERNATOR_URL`` to a node of the cluster, or let ``make demo SHOP=django`` start one. There is no SQL database:
sessions and messages are in signed cookies, and everything else is in the cluster.
"""

from __future__ import annotations

from typing import Any

from pynamodb_alternator.local import LocalCluster

__all__ = ["create_app"]


def create_app(url: str | None = None, local: LocalCluster | None = None) -> Any:
    """The WSGI application, in a process whose settings are not configured yet.

    `url`: a node of the cluster, by default that of ``ALTERNATOR_URL``. `local`: the `LocalCluster` if the cluster is
    embedded.
    """
    import django
    from django.conf import settings

    from . import settings as ours

    changed: dict[str, Any] = {} if url is None else {"ALTERNATOR": {"default": {"URL": url}}}
    settings.configure(**{**ours.as_dict(), **changed, "SHOP_LOCAL_CLUSTER": local})
    django.setup()
    from .wsgi import application

    return application
