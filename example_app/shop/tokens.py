"""Which forms and scripts the shop takes: those of its own pages.

A form has a token, which a page of another site does not know; Django has one of its own, under the same name. And a
browser says by ``Origin`` whose page it is that sends a form, or that reads the stream of events in a script.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable

from markupsafe import Markup

__all__ = ["FIELD", "HEADER", "field_of", "fits", "is_foreign", "new_token", "once_each"]

FIELD, HEADER = "csrfmiddlewaretoken", "X-CSRFToken"
"""The field of a form, or the header of a script's request, that has the token."""


def new_token() -> str:
    return secrets.token_urlsafe(16)


def fits(sent: str | None, kept: str | None) -> bool:
    """Whether this is the token of the visitor's session. A new session has no token yet."""
    return bool(kept) and hmac.compare_digest((sent or "").encode(), (kept or "").encode())


def is_foreign(origin: str | None, host: str) -> bool:
    """Whether the headers ``Origin`` and ``Host`` tell of a page of another site. Without ``Origin`` nobody knows: the
    token decides."""
    return origin is not None and origin.lower() not in (f"http://{host}".lower(), f"https://{host}".lower())


def once_each(fields: Iterable[tuple[str, str]]) -> dict[str, str] | None:
    """The fields of a form; None if it has one of them twice: frameworks differ in which of the two they take."""
    all_fields = list(fields)
    by_name = dict(all_fields)
    return by_name if len(by_name) == len(all_fields) else None


def field_of(token: str) -> Markup:
    """The field of a form with the token."""
    return Markup('<input type="hidden" name="{}" value="{}">').format(FIELD, token)
