"""A middleware that answers requests which failed because of the cluster with 503 or 504, and not with 500."""

from __future__ import annotations

import logging

from django.http import HttpRequest, JsonResponse
from django.utils.deprecation import MiddlewareMixin

from .._answers import answer_to_request

__all__ = ["AlternatorErrorMiddleware"]

_log = logging.getLogger("pynamodb_alternator.django")


class AlternatorErrorMiddleware(MiddlewareMixin):
    """Answer requests that failed because of the cluster with 503 or 504 and a small JSON, and not with 500.

    503, with ``Retry-After``: no node can have seen the request (`NotSentError`, such as `NoNodesAvailableError`).
    504: the outcome is open (`OutcomeUnknownError`). This applies to errors of this library, to PynamoDB's errors that
    wrap them, and to a group of such errors, as ``asyncio.TaskGroup`` raises it. All other errors are handled as
    before. The error is logged as a warning.

    It is for ``MIDDLEWARE``, and for ordinary and asynchronous views. It sees what a view and its template raise. An
    error that the view's own code or a middleware further down handles does not come here.
    """

    def process_exception(self, request: HttpRequest, exception: Exception) -> JsonResponse | None:
        """Django calls this with what a view has raised. None: Django goes on as before."""
        answer = answer_to_request(_log, request.method, request.path, exception)
        return None if answer is None else JsonResponse(answer.body, status=answer.status, headers=answer.headers)
