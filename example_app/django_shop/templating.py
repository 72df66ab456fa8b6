"""The names that all templates use, with every framework."""

from __future__ import annotations

from typing import Any

from django.contrib.messages import get_messages
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse
from jinja2 import Environment

from ..shop import pages


def environment(**options: Any) -> Environment:
    environment = Environment(**options)
    environment.globals.update(
        **pages.IN_TEMPLATES, static=static, url=lambda name, **parts: reverse(name, kwargs=parts)
    )
    return environment


def names(request: HttpRequest) -> dict[str, Any]:
    """A context processor. Django itself adds ``csrf_token`` and ``csrf_input``."""
    # A static file that does not exist is answered before there is a session.
    session = getattr(request, "session", {})
    return {
        "page": request.resolver_match.url_name if request.resolver_match else None,
        "customer": session.get("customer", "new here"),
        "notes": lambda: get_messages(request),
    }
