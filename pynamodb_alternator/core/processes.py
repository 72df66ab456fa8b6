"""Tells the clusters of a process when it forks, and when it ends.

A forked child gets copies of the parent's locks and sockets, and none of its threads. Python calls a hook in the child,
which tells every core. If the hook was not called (uWSGI may skip it), a core notices the fork at its next use, by the
process id.

Exit handlers run in the reverse order of their registration. So the handler of this module runs before those that were
registered before the import of this package. These may still use a cluster, which then works without threads.
"""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from typing import Protocol

__all__ = ["is_ending", "keep", "kept"]


class _Core(Protocol):
    def after_fork(self) -> None: ...

    def go_on_without_threads(self) -> None: ...


_cores: weakref.WeakSet[_Core] = weakref.WeakSet()


def keep(core: _Core) -> None:
    """Tell `core` about forks, and stop its threads when the interpreter ends. `core` is not kept alive."""
    _cores.add(core)


def kept() -> tuple[_Core, ...]:
    """The cores of this process that exist now, closed ones included until they are collected."""
    return tuple(_cores)


def is_ending() -> bool:
    """Whether the interpreter ends. Exit handlers run then, and Python 3.12 starts no thread for them."""
    return not threading.main_thread().is_alive()


def _after_fork_in_child() -> None:
    for core in kept():
        core.after_fork()


def _stop_all_threads() -> None:
    # The clusters are not closed: handlers that were registered before this one run later, and may use them.
    for core in kept():
        core.go_on_without_threads()


atexit.register(_stop_all_threads)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
