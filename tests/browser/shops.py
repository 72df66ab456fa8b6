"""The shops in this process, on an embedded cluster, for visitors and for a browser."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

from example_app.demo import serving
from example_app.demo.applications import Shop, url_of
from pynamodb_alternator import close_all
from pynamodb_alternator.local import LocalCluster


@contextlib.contextmanager
def at_flask(local: LocalCluster, *, real: bool = False) -> Iterator[Shop]:
    """`real`: as if the cluster were not an embedded one."""
    from example_app.flask_shop import create_app, dashboard_of

    app = create_app({"ALTERNATOR_URL": url_of(local), "SHOP_LOCAL_CLUSTER": None if real else local, "TESTING": True})
    with _closed(dashboard_of(app)) as board:
        yield Shop(app, lambda: board, app.app_context)


@contextlib.contextmanager
def at_django(local: LocalCluster, *, asgi: bool = False) -> Iterator[Shop]:
    import django
    from django.conf import settings
    from django.test import override_settings

    from example_app.django_shop import settings as shop_settings

    if not settings.configured:
        settings.configure(SECRET_KEY="of the tests")
        django.setup()
    ours = {**shop_settings.as_dict(), "ALTERNATOR": {"default": {"URL": url_of(local)}}, "SHOP_LOCAL_CLUSTER": local}
    with override_settings(**ours):
        from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler, StaticFilesHandler
        from django.core.handlers.asgi import ASGIHandler
        from django.core.handlers.wsgi import WSGIHandler

        from example_app.django_shop.views import board

        app = ASGIStaticFilesHandler(ASGIHandler()) if asgi else StaticFilesHandler(WSGIHandler())
        with _closed(board()):
            yield Shop(app, board, is_async=asgi)


@contextlib.contextmanager
def at_fastapi(local: LocalCluster) -> Iterator[Shop]:
    from example_app.demo.applications import fastapi_shop

    yield fastapi_shop(local)
    close_all()


SHOPS: dict[str, Callable[[LocalCluster], AbstractContextManager[Shop]]] = {
    "flask": at_flask,
    "django": at_django,
    "fastapi": at_fastapi,
}
WITH_ASGI = {**SHOPS, "django-asgi": lambda local: at_django(local, asgi=True)}
"""Django's has its stream of events in two ways."""


@contextlib.contextmanager
def _closed(board: Any) -> Iterator[Any]:
    try:
        yield board
    finally:
        board.close()
        board.traffic.close()
        close_all()


@contextlib.contextmanager
def opened(shop: Shop, **stock: int) -> Iterator[serving.Served]:
    """The shop, which is seeded, open to visitors."""
    with serving.served(shop) as place, ThreadPoolExecutor(1) as thread, shop.context():
        # Not in this thread: Playwright keeps an event loop in it, and the shop with FastAPI refuses to hold one up.
        thread.submit(_seed, shop, stock).result()
        yield place


def _seed(shop: Shop, stock: dict[str, int]) -> None:
    from example_app.shop import models, trade

    with shop.context():
        models.create_tables()
        trade.seed(**stock)


@contextlib.contextmanager
def busy(shop: Shop, *, pause: float = 0.15, **stock: int) -> Iterator[str]:
    """The URL of the shop, while customers order something and look around."""
    with opened(shop, **stock) as place:
        customers = place.customers(pause)
        customers.start()
        try:
            yield place.url
        finally:
            customers.stop()
