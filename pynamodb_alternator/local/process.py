"""A node whose address is held by a process of its own, so that a test can stop it with SIGSTOP.

The child (`_relay.py`) hands bytes to the parent and nothing more: all that `LocalNode` does works here too.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

from ..errors import AlternatorError
from .node import LocalNode, bound

_RELAY = str(Path(__file__).with_name("_relay.py"))
_SECONDS = 20.0


class ProcessNode(LocalNode):
    """A node in a process of its own: `kill` is SIGKILL, and `freeze` is SIGSTOP."""

    _child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The child's process id; None while the node is killed."""
        return self._child.pid if self._child is not None else None

    @property
    def up(self) -> bool:
        return self._child is not None

    def kill(self, *, still_listed: bool = False) -> None:
        self._end()
        super().kill(still_listed=still_listed)

    def revive(self) -> None:
        if self.up:
            return
        super().revive()
        self._await_child()

    def freeze(self) -> None:
        """Stop the process (SIGSTOP). The kernel still accepts connections for it, and nothing is answered."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen process go on (SIGCONT). It handles what it received meanwhile."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        child = self._child
        if child is None:
            raise AlternatorError(f"{self.address} is killed: revive() it first.")
        os.kill(child.pid, number)

    # In the event loop

    def _listen(self) -> None:
        if self.up:
            return
        self._bind()
        public, self._placeholder = self._placeholder, None
        assert public is not None
        try:
            inner = bound(self.host, 0)
            self._serve(inner)
            self._child = self._spawn(public, inner.getsockname()[1])
        finally:
            # The child alone may hold it: otherwise the kernel would go on accepting after its death.
            public.close()

    def _spawn(self, public: socket.socket, port: int) -> subprocess.Popen[bytes]:
        # From this thread, which lives as long as the cluster: the kernel ends the child with the thread that made it.
        # A process group of its own keeps a Ctrl-C from ending the nodes before the program.
        return subprocess.Popen(
            [sys.executable, "-I", "-S", _RELAY, str(public.fileno()), self.host, str(port), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[public.fileno()],
            process_group=0,
        )

    def _await_child(self) -> None:
        """Wait until the child listens (from the calling thread, so that the nodes start side by side)."""
        child = self._child
        assert child is not None
        assert child.stdout is not None
        ready, _, _ = select.select([child.stdout], [], [], _SECONDS)
        if not ready or child.stdout.readline() != b"ready\n":
            self._end()
            raise AlternatorError(f"The process of node {self.address} did not start.")

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        child.wait(_SECONDS)
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _shut(self) -> None:
        self._end()
        super()._shut()
