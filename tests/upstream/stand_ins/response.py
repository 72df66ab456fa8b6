"""What stands for an answer in PynamoDB's tests of connections, and its source distribution leaves out."""

from __future__ import annotations


class HttpOK:
    """An answer that nobody reads."""
