"""``create_app()`` returns the FastAPI application.

Only the home page and the dashboard know about nodes: they show what the signals report. If no node could take a
request of the shop, the answer is a page that says so (503), and the visitor may try again.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.responses import Response
from fastapi.staticfiles import StaticFiles
from pynamodb.exceptions import PynamoDBException
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.middleware.sessions import SessionMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pynamodb_alternator import get_cluster
from pynamodb_alternator.contrib.fastapi import alternator_lifespan
from pynamodb_alternator.errors import AlternatorError
from pynamodb_alternator.local import LocalCluster

from ..shop import models, pages
from ..shop.dashboard import Dashboard
from ..shop.traffic import Traffic
from .routes import router
from .visits import templates

__all__ = ["create_app", "dashboard_of"]

_log = logging.getLogger(__name__)


def create_app(url: str | None = None, local: LocalCluster | None = None) -> FastAPI:
    """The shop, whose tables are created when it starts.

    `url`: a node of the cluster, by default that of ``ALTERNATOR_URL``. `local`: the `LocalCluster` if the cluster is
    embedded, so that the dashboard can kill its nodes.
    """

    @asynccontextmanager
    async def open_shop(app: FastAPI) -> AsyncIterator[None]:
        cluster = get_cluster()
        app.state.board = board = Dashboard(cluster, Traffic().watch(cluster), local)
        try:
            yield
        finally:
            board.close()
            board.traffic.close()

    app = FastAPI(
        lifespan=alternator_lifespan(url, lifespan=open_shop, create_tables=models.TABLES),
        openapi_url=None,  # these are pages for people, not an API for programs
    )
    app.add_middleware(SessionMiddleware, secret_key=pages.secret_key())
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=pages.hosts(), www_redirect=False)
    app.add_middleware(Strict)
    app.mount("/static", StaticFiles(directory=pages.STATIC), name="static")
    app.include_router(router)
    app.add_exception_handler(pages.NotFound, _not_found)
    app.add_exception_handler(pages.BadRequest, _bad_request)
    app.add_exception_handler(StarletteHTTPException, _refused)
    app.add_exception_handler(AlternatorError, _unavailable)
    app.add_exception_handler(PynamoDBException, _unavailable)
    return app


def dashboard_of(app: FastAPI) -> Dashboard:
    """The dashboard of an application that has started. It also has the count of requests."""
    board: Dashboard = app.state.board
    return board


class Strict:
    """A middleware that adds the headers for strict browsers to every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_strictly(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in pages.HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_strictly)


# ---- errors --------------------------------------------------------------------------------------------------------


async def _not_found(request: Request, error: Exception) -> Response:
    return templates.TemplateResponse(request, "message.html", pages.MISSING.context, 404)


async def _bad_request(request: Request, error: Exception) -> Response:
    return templates.TemplateResponse(request, "message.html", pages.WRONG.context, 400)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, StarletteHTTPException)
    message = {404: pages.MISSING, 403: pages.FOREIGN}.get(error.status_code, pages.WRONG)
    return templates.TemplateResponse(request, "message.html", message.context, error.status_code, error.headers)


async def _unavailable(request: Request, error: Exception) -> Response:
    if not pages.is_unavailable(error):
        raise error
    _log.warning("%s %s: %s", request.method, request.url.path, error)
    return templates.TemplateResponse(request, "message.html", pages.UNAVAILABLE.context, 503)
