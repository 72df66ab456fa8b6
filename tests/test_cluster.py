"""The cluster as a user holds it."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from pynamodb_alternator import Cluster


@pytest.mark.parametrize("again", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_cluster_is_not_pickled_or_copied_and_says_what_to_pass_instead(again: Callable[[Any], Any]) -> None:
    with Cluster("http://127.0.0.1") as cluster:
        for held in (cluster, {"cluster": [cluster]} if again is not copy.copy else cluster):
            with pytest.raises(TypeError, match=r"sockets and threads.*cluster\.config.*Cluster\(config\)"):
                again(held)
        with Cluster(pickle.loads(pickle.dumps(cluster.config))) as other:
            assert other.config == cluster.config


def test_a_cluster_without_references_is_collected_with_its_settings() -> None:
    gone = weakref.ref(Cluster("http://127.0.0.1:1"))
    gc.collect()
    assert gone() is None
