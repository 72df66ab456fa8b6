"""The pages. While they wait for the cluster, the event loop serves other visitors.

Each page calls the same function as the other shops. `aio.run` lets this function wait in the event loop. Functions
that do not wait for a model's request, such as the one for the picture of the cluster, run in a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import (
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)

from pynamodb_alternator import aio

from ..shop import pages
from ..shop.dashboard import STREAM_HEADERS, TooManyStreams
from .visits import Board, Customer, Form, OwnPages, say, templates

__all__ = ["router"]

router = APIRouter(default_response_class=HTMLResponse)


def _page(request: Request, template: str, context: Mapping[str, Any]) -> HTMLResponse:
    return templates.TemplateResponse(request, template, dict(context))


def _go_to(request: Request, name: str, **parts: str) -> RedirectResponse:
    return RedirectResponse(request.app.url_path_for(name, **parts), 303)


# ---- the shop ------------------------------------------------------------------------------------------------------


@router.get("/")
async def home(request: Request, board: Board, customer: Customer, category: str | None = None) -> HTMLResponse:
    return _page(request, "home.html", await aio.run(pages.home, board, category))


@router.get("/state.json", dependencies=[OwnPages])
async def state(board: Board) -> JSONResponse:
    return JSONResponse(await aio.run(pages.state, board.traffic), headers={"Cache-Control": "no-store"})


@router.get("/cart")
async def cart(request: Request, customer: Customer) -> HTMLResponse:
    return _page(request, "cart.html", await aio.run(pages.cart, customer))


@router.post("/cart/add")
async def add(request: Request, form: Form, customer: Customer) -> RedirectResponse:
    say(request, await aio.run(pages.add_to_cart, customer, form.get("sku", ""), form.get("quantity", "1")))
    return _go_to(request, "cart" if form.get("back") == "cart" else "home")


@router.post("/orders/new")
async def checkout(request: Request, form: Form, customer: Customer) -> RedirectResponse:
    order_id = form.get("order_id", "")
    await aio.run(pages.check_out, customer, order_id)
    return _go_to(request, "order", order_id=order_id)


@router.get("/orders/{order_id}")
async def order(request: Request, order_id: str, customer: Customer) -> HTMLResponse:
    return _page(request, "order.html", await aio.run(pages.order, customer, order_id))


@router.get("/orders")
async def orders(request: Request, customer: Customer) -> HTMLResponse:
    return _page(request, "orders.html", await aio.run(pages.orders, customer))


# ---- the dashboard -------------------------------------------------------------------------------------------------


@router.get("/dashboard")
async def dashboard(request: Request, board: Board, customer: Customer) -> HTMLResponse:
    return _page(request, "dashboard.html", await asyncio.to_thread(pages.dashboard, board))


@router.get("/dashboard/events", dependencies=[OwnPages])
async def events(board: Board) -> Response:
    try:
        stream = board.async_stream()
    except TooManyStreams as refused:
        return PlainTextResponse(refused.text, refused.status, refused.headers)
    return StreamingResponse(stream, headers=STREAM_HEADERS, media_type="text/event-stream")


@router.post("/dashboard/nodes")
async def press(request: Request, form: Form, board: Board) -> Response:
    said, status = await asyncio.to_thread(pages.press, board, form.get("action", ""), form.get("node", ""))
    if request.headers.get("Accept") == "application/json":
        return JSONResponse({"said": said}, status)
    say(request, said)
    return _go_to(request, "dashboard")
