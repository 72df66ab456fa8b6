"""The two shops in this process, on an embedded cluster, for test clients and for a browser."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from pynamodb_alternator import close_all
from pynamodb_alternator.local import LocalCluster


@dataclass(frozen=True)
class Shop:
    """`wsgi`: the application. `board`: its dashboard. `context`: what its models are used in, outside of requests."""

    kind: str
    wsgi: Any
    board: Any
    context: Callable[[], AbstractContextManager[Any]]


@contextlib.contextmanager
def at_flask(local: LocalCluster, *, real: bool = False) -> Iterator[Shop]:
    """`real`: as if the cluster were not an embedded one."""
    from example_app.demo import url_of
    from example_app.flask_shop import create_app, dashboard_of

    app = create_app({"ALTERNATOR_URL": url_of(local), "SHOP_LOCAL_CLUSTER": None if real else local, "TESTING": True})
    with _closed(dashboard_of(app)) as board:
        yield Shop("flask", app, board, app.app_context)


@contextlib.contextmanager
def at_django(local: LocalCluster) -> Iterator[Shop]:
    import django
    from django.conf import settings
    from django.test import override_settings

    from example_app.demo import url_of
    from example_app.django_shop import settings as shop_settings

    if not settings.configured:
        settings.configure(SECRET_KEY="of the tests")
        django.setup()
    ours = {**shop_settings.as_dict(), "ALTERNATOR": {"default": {"URL": url_of(local)}}, "SHOP_LOCAL_CLUSTER": local}
    with override_settings(**ours):
        from django.contrib.staticfiles.handlers import StaticFilesHandler
        from django.core.handlers.wsgi import WSGIHandler

        from example_app.django_shop.views import board

        with _closed(board()):
            yield Shop("django", StaticFilesHandler(WSGIHandler()), board(), contextlib.nullcontext)


SHOPS: dict[str, Callable[[LocalCluster], AbstractContextManager[Shop]]] = {"flask": at_flask, "django": at_django}


@contextlib.contextmanager
def _closed(board: Any) -> Iterator[Any]:
    try:
        yield board
    finally:
        board.close()
        board.traffic.close()
        close_all()


@contextlib.contextmanager
def seeded(shop: Shop, **stock: int) -> Iterator[Shop]:
    from example_app.shop import models, trade

    with shop.context():
        models.create_tables()
        trade.seed(**stock)
        yield shop


@contextlib.contextmanager
def served(shop: Shop, *, pause: float = 0.15) -> Iterator[str]:
    """The shop's URL, while customers order something."""
    from werkzeug.serving import WSGIRequestHandler, make_server

    from example_app.demo import Orders

    class Quiet(WSGIRequestHandler):
        timeout = 10.0

        def log(self, type: str, message: str, *args: Any) -> None:
            pass

    server = make_server("127.0.0.1", 0, shop.wsgi, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    orders = Orders(pause=pause, context=shop.context)
    orders.start()
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        shop.board.close()
        orders.stop()
        server.shutdown()
        thread.join(10)
        server.server_close()
