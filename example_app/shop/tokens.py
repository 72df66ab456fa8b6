"""The token in the forms, by which the shop knows its own. Django has one of its own, under the same name."""

from __future__ import annotations

import hmac
import secrets

from markupsafe import Markup

__all__ = ["FIELD", "HEADER", "field_of", "fits", "new_token"]

FIELD, HEADER = "csrfmiddlewaretoken", "X-CSRFToken"
"""Where a form, or a script, sends it."""


def new_token() -> str:
    return secrets.token_urlsafe(16)


def fits(sent: str | None, kept: str | None) -> bool:
    """Whether what was sent is the token of the visitor's session. A new session has none yet."""
    return bool(kept) and hmac.compare_digest((sent or "").encode(), (kept or "").encode())


def field_of(token: str) -> Markup:
    """The field of a form that holds it."""
    return Markup('<input type="hidden" name="{}" value="{}">').format(FIELD, token)
