"""A cluster of three nodes in this process."""

from __future__ import annotations

from tests.e2e.conftest import cluster, local, nothing_is_left

__all__ = ["cluster", "local", "nothing_is_left"]
