"""Runs client and nodes on one core of the machine, so that figures do not depend on the other cores.

Sending wakes the process of the nodes. Where that sleeps on a core that is idle, waking it costs the sender tens of
microseconds on some machines, virtual ones above all, and next to nothing where something else keeps that core busy.
On one core the kernel just switches to it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator

__all__ = ["on_all_cores", "on_one_core"]


@contextlib.contextmanager
def on_one_core() -> Iterator[None]:
    """``with`` it, the threads and processes that this thread starts share one core with it, as far as the platform
    can be told so."""
    with _on(lambda before: {max(before)}):
        yield


@contextlib.contextmanager
def on_all_cores() -> Iterator[None]:
    """Inside `on_one_core`, this thread and those that it starts may run on every core again. Threads that share
    work have costs that one core hides, because only there they never wait for one another."""
    with _on(lambda before: range(os.cpu_count() or 1)):
        yield


@contextlib.contextmanager
def _on(cores: Callable[[set[int]], Iterable[int]]) -> Iterator[None]:
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores(before))
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
