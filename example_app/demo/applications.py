"""The shop with each framework, on a local cluster."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from pynamodb_alternator.local import LocalCluster

from ..shop.dashboard import Dashboard

__all__ = ["NEEDS", "SHOPS", "Shop", "url_of"]


@dataclass(frozen=True)
class Shop:
    """A web application of the shop, for WSGI or, if it `is_async`, for ASGI.

    `find_board`: returns its dashboard, which exists at the latest when the application is served. `context`: the
    context in which code outside of its requests uses its models.
    """

    app: Any
    find_board: Callable[[], Dashboard]
    context: Callable[[], AbstractContextManager[Any]] = contextlib.nullcontext
    is_async: bool = False

    @property
    def board(self) -> Dashboard:
        return self.find_board()


def url_of(local: LocalCluster) -> str:
    """With token awareness from the first request on: the shop sends too few requests for the default."""
    return f"{local.url}/?token_aware=true"


def flask_shop(local: LocalCluster) -> Shop:
    from ..flask_shop import create_app, dashboard_of

    app = create_app({"ALTERNATOR_URL": url_of(local), "SHOP_LOCAL_CLUSTER": local})
    return Shop(app, lambda: dashboard_of(app), app.app_context)


def django_shop(local: LocalCluster) -> Shop:
    from ..django_shop import create_app

    app = create_app(url_of(local), local)
    from ..django_shop.views import board

    return Shop(app, board)


def fastapi_shop(local: LocalCluster) -> Shop:
    from ..fastapi_shop import create_app, dashboard_of

    # A request that blocks the event loop is an error.
    app = create_app(f"{url_of(local)}&sync_in_loop=error", local)
    return Shop(app, lambda: dashboard_of(app), is_async=True)


SHOPS: dict[str, Callable[[LocalCluster], Shop]] = {
    "flask": flask_shop,
    "django": django_shop,
    "fastapi": fastapi_shop,
}
NEEDS = {
    "flask": ("flask",),
    "django": ("django", "jinja2"),
    "fastapi": ("fastapi", "uvicorn", "jinja2", "itsdangerous", "aiobotocore", "greenlet"),
}
"""The modules of optional packages that each shop imports."""
