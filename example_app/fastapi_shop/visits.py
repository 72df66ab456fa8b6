"""Finds out who a visitor is and which forms are accepted: dependencies of the routes, and the names for templates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any
from urllib.parse import parse_qsl

from fastapi import Depends, HTTPException, Request
from fastapi.templating import Jinja2Templates

from ..shop import pages, tokens
from ..shop.dashboard import Dashboard

__all__ = ["Board", "Customer", "Form", "OwnPages", "say", "templates"]

MOST_BYTES = 64 * 1024
"""Of a form."""
FORM = "application/x-www-form-urlencoded"


# These are coroutines, because FastAPI runs an ordinary function in a thread.


async def board_of(request: Request) -> Dashboard:
    board: Dashboard = request.app.state.board
    return board


async def customer_of(request: Request) -> str:
    """The visitor's name. A new one gets a name and a token, and keeps them in a signed cookie."""
    request.session.setdefault("token", tokens.new_token())
    return str(request.session.setdefault("customer", pages.new_customer()))


async def own_pages_only(request: Request) -> None:
    """Answer a script on a page of another site with 403."""
    if tokens.is_foreign(request.headers.get("Origin"), request.headers.get("Host", "")):
        raise HTTPException(403)


async def form_of(request: Request) -> Mapping[str, str]:
    """A form of the shop's own pages. A form that another site has sent has no token, and is answered with 403."""
    await own_pages_only(request)
    fields = tokens.once_each(_fields(request.headers.get("Content-Type", ""), await _body(request)))
    if fields is None:
        raise HTTPException(400)
    if not tokens.fits(request.headers.get(tokens.HEADER) or fields.get(tokens.FIELD), request.session.get("token")):
        raise HTTPException(403)
    return fields


async def _body(request: Request) -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise HTTPException(413)
    return body


def _fields(content_type: str, body: bytes) -> list[tuple[str, str]]:
    """The fields of a form; None if the body is not a form."""
    if content_type.partition(";")[0].strip().lower() != FORM:
        return []
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=100)
    except ValueError:
        raise HTTPException(400) from None


Board = Annotated[Dashboard, Depends(board_of)]
Customer = Annotated[str, Depends(customer_of)]
Form = Annotated[Mapping[str, str], Depends(form_of)]
OwnPages = Depends(own_pages_only)


def say(request: Request, text: str) -> None:
    """Show this text on the visitor's next page."""
    request.session.setdefault("notes", []).append(text)


def _notes(request: Request) -> Iterator[str]:
    yield from request.session.pop("notes", [])


def _names(request: Request) -> dict[str, Any]:
    """The names that all templates use, with every framework."""
    token = request.session.get("token", "")
    route = request.scope.get("route")
    return {
        "url": request.app.url_path_for,
        "static": lambda name: request.app.url_path_for("static", path=name),
        "page": None if route is None else route.name,
        "customer": request.session.get("customer", "new here"),
        "notes": lambda: _notes(request),
        "csrf_token": token,
        "csrf_input": tokens.field_of(token),
    }


templates = Jinja2Templates(directory=pages.TEMPLATES, context_processors=[_names])
templates.env.globals.update(pages.IN_TEMPLATES)
