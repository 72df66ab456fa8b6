"""The cluster as a user holds it."""

from __future__ import annotations

import gc
import weakref

from pynamodb_alternator import Cluster


def test_a_cluster_that_nobody_holds_is_collected_with_its_settings() -> None:
    gone = weakref.ref(Cluster("http://127.0.0.1:1"))
    gc.collect()
    assert gone() is None
