"""The error handler of a Flask application: it answers with 503 or 504, or leaves the error to the next handler."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from flask import current_app, request

from ._answers import answer_to_request

__all__ = ["answer"]

_log = logging.getLogger("pynamodb_alternator.flask")


def answer(error: Exception) -> Any:
    """Answer an error of the cluster. Any other error is handled as if this handler were not there."""
    ours = answer_to_request(_log, request.method, request.path, error)
    if ours is not None:
        return ours.body, ours.status, ours.headers
    handler = _handler_without_ours(error)
    if handler is None:
        raise error
    return current_app.ensure_sync(handler)(error)


def _handler_without_ours(error: Exception) -> Callable[[Any], Any] | None:
    """The handler that Flask would call in place of `answer`. Flask first asks the blueprints and then the application,
    each for the class of the error and then for its bases."""
    for name in (*request.blueprints, None):
        handlers = current_app.error_handler_spec[name][None]
        for kind in type(error).__mro__:
            handler = handlers.get(kind)
            if handler is not None and handler is not answer:
                return handler
    return None
