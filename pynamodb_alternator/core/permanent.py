"""Which answers to a question about a table waiting does not change."""

from __future__ import annotations

from botocore.exceptions import ClientError

from ..errors import error_code

__all__ = ["is_permanent"]

_CODES = frozenset({"AccessDeniedException", "ResourceNotFoundException", "ValidationException"})


def is_permanent(error: Exception) -> bool:
    """Whether waiting will not mend it: there is no such table, it may not be looked at, or the server does not take
    the question. All else may pass: errors of servers and proxies, throttling, and whatever happened on the way."""
    if not isinstance(error, ClientError):
        return False
    return error_code(error) in _CODES or error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 403
