"""Decides which forms and scripts the shop accepts: those of its own pages.

A form has a token, which a page of another site does not have. Django has its own token under the same name. In the
header ``Origin``, a browser also names the site whose page sends a form, or whose script reads the stream of events.
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
    """Whether the headers ``Origin`` and ``Host`` show a page of another site. Without ``Origin``, only the token
    decides."""
    return origin is not None and origin.lower() not in (f"http://{host}".lower(), f"https://{host}".lower())


def once_each(fields: Iterable[tuple[str, str]]) -> dict[str, str] | None:
    """The fields of a form. None if it has a field twice, because frameworks differ in which of the two they use."""
    all_fields = list(fields)
    by_name = dict(all_fields)
    return by_name if len(by_name) == len(all_fields) else None


def field_of(token: str) -> Markup:
    """The field of a form with the token."""
    return Markup('<input type="hidden" name="{}" value="{}">').format(FIELD, token)
