"""What happens to the clusters of a process when it forks, and when it ends.

A forked child gets copies of the parent's locks and sockets, and none of its threads. The hook that Python calls in the
child tells every core; one that it did not reach (uWSGI may skip the hook) notices by the process id at its next use.

Exit handlers run in the reverse order of their registration. Ours comes before those that were registered before the
import of this package, and they may use a cluster: it has no threads then, and works without.
"""

from __future__ import annotations

import atexit
import os
import weakref
from typing import Protocol

__all__ = ["keep", "kept"]


class _Core(Protocol):
    def after_fork(self) -> None: ...

    def go_on_without_threads(self) -> None: ...


_cores: weakref.WeakSet[_Core] = weakref.WeakSet()


def keep(core: _Core) -> None:
    """Tell `core` of forks, and stop its threads when the interpreter ends. It is not kept alive for that."""
    _cores.add(core)


def kept() -> tuple[_Core, ...]:
    """The cores of this process that exist now, closed ones included until they are collected."""
    return tuple(_cores)


def _after_fork_in_child() -> None:
    for core in kept():
        core.after_fork()


def _stop_all_threads() -> None:
    # Not the end for the clusters: handlers that were registered before this one run after it, and may use them.
    for core in kept():
        core.go_on_without_threads()


atexit.register(_stop_all_threads)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
