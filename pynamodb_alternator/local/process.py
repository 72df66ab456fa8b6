"""A node with its own process, which has the node's address, so that a test can stop it with SIGSTOP.

The child (`_relay.py`) only passes bytes to the parent: everything that `LocalNode` can do works here too. Only the
child has the node's address. This process listens on another port of the same host, to which the child connects.
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
from typing import ClassVar

from ..errors import AlternatorError
from .addresses import bound
from .node import LocalNode
from .server import NodeServer

_RELAY = str(Path(__file__).with_name("_relay.py"))
_SECONDS = 20.0


class ProcessServer(NodeServer):
    """The sockets of a node that has its own process, and the process."""

    _child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The child's process id; None while there is none."""
        return self._child.pid if self._child is not None else None

    @property
    def up(self) -> bool:
        return self._child is not None

    def listen(self) -> None:
        if self.up:
            return
        public = self._take_placeholder()
        try:
            inner = bound(self.host, 0)
            self._accept_on(inner)
            self._child = self._spawn(public, inner.getsockname()[1])
        finally:
            # Only the child may have this socket: otherwise the kernel would still accept connections after the child's
            # end.
            public.close()

    def _spawn(self, public: socket.socket, port: int) -> subprocess.Popen[bytes]:
        # The child is started in this thread, which lives as long as the cluster: the kernel ends a child when the
        # thread that started it ends. With its own process group, Ctrl-C does not end the nodes before the program.
        return subprocess.Popen(
            [sys.executable, "-I", "-S", _RELAY, str(public.fileno()), self.host, str(port), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[public.fileno()],
            process_group=0,
        )

    def await_ready(self) -> None:
        """Wait in the calling thread until the child listens, so that all children can start at the same time."""
        child = self._child
        assert child is not None
        assert child.stdout is not None
        ready, _, _ = select.select([child.stdout], [], [], _SECONDS)
        if not ready or child.stdout.readline() != b"ready\n":
            self.end_child()
            raise AlternatorError(f"The process of node {self.host}:{self.port} did not start.")

    def signal_child(self, number: signal.Signals) -> None:
        """Send a signal to the child. From any thread. Raises `AlternatorError` while there is no child."""
        child = self._child
        if child is None:
            raise AlternatorError(f"{self.host}:{self.port} is killed: revive() it first.")
        os.kill(child.pid, number)

    def end_child(self) -> None:
        """End the child (SIGKILL) and wait for its end. From any thread."""
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        child.wait(_SECONDS)
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def shut(self) -> None:
        self.end_child()
        super().shut()


class ProcessNode(LocalNode):
    """A node that has its own process: `kill` is SIGKILL, and `freeze` is SIGSTOP."""

    server_type: ClassVar[type[NodeServer]] = ProcessServer
    server: ProcessServer

    @property
    def pid(self) -> int | None:
        """The child's process id; None while the node is killed."""
        return self.server.pid

    def kill(self, *, still_listed: bool = False) -> None:
        self.server.end_child()
        super().kill(still_listed=still_listed)

    def revive(self) -> None:
        if self.up:
            return
        super().revive()
        self.server.await_ready()

    def clear_faults(self) -> None:
        """As `LocalNode.clear_faults`; a frozen process is thawed, too. A killed node stays killed."""
        super().clear_faults()
        if self.up:
            self.thaw()

    def freeze(self) -> None:
        """Stop the process (SIGSTOP). The kernel still accepts connections for it, but requests are not answered."""
        self.server.signal_child(signal.SIGSTOP)

    def thaw(self) -> None:
        """Continue a frozen process (SIGCONT). It answers the requests that came in the meantime."""
        self.server.signal_child(signal.SIGCONT)
