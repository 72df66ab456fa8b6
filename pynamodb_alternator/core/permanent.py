"""Decides which failures of a question about a table are permanent, so that waiting does not help."""

from __future__ import annotations

from botocore.exceptions import ClientError

from ..errors import error_code

__all__ = ["is_permanent"]

_CODES = frozenset({"AccessDeniedException", "ResourceNotFoundException", "ValidationException"})


def is_permanent(error: Exception) -> bool:
    """Whether the failure is permanent: the table does not exist, we may not read it, or the server does not understand
    the question. All other failures are temporary: errors of servers and proxies, throttling, and failures of the
    transport."""
    if not isinstance(error, ClientError):
        return False
    return error_code(error) in _CODES or error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 403
