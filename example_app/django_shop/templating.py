"""What the templates know, whichever framework fills them."""

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
    return {
        "page": request.resolver_match.url_name if request.resolver_match else None,
        "customer": request.session.get("customer", "new here"),
        "notes": lambda: get_messages(request),
    }
