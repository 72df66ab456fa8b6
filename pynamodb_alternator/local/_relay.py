"""A child process for one node: it accepts connections and passes their bytes to the parent.

The file is run by its path, so that it imports only the standard library and starts within a few hundredths of a
second. A test can stop it (SIGSTOP) and kill it like a server's process. The parent has the data, the dialect and the
faults.

Arguments: the number of the inherited socket, which is bound to the node's address, and the parent's address. It ends
with its parent: on Linux the kernel sends it a signal, and everywhere it ends when its standard input ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import struct
import sys

_PR_SET_PDEATHSIG = 1


class Side(asyncio.Protocol):
    """One of the two connections of a relayed connection."""

    def __init__(self, other: Side | None = None) -> None:
        self.other = other
        self.transport: asyncio.Transport | None = None
        self.early: list[bytes] = []
        self.ended = False
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        for data in self.early:
            transport.write(data)
        self.early.clear()
        if self.ended:
            transport.write_eof()

    def data_received(self, data: bytes) -> None:
        assert self.other is not None
        self.other.send(data)

    def send(self, data: bytes) -> None:
        if self.transport is None:
            self.early.append(data)
        else:
            self.transport.write(data)

    def eof_received(self) -> bool:
        assert self.other is not None
        self.other.end()
        return True

    def end(self) -> None:
        self.ended = True
        if self.transport is not None and self.transport.can_write_eof() and not self.transport.is_closing():
            with contextlib.suppress(OSError):
                self.transport.write_eof()

    def pause_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        if self.other is not None:
            self.other.close(reset=error is not None)

    def close(self, *, reset: bool) -> None:
        if self.transport is None or self.transport.is_closing():
            return
        if reset:
            raw = self.transport.get_extra_info("socket")
            with contextlib.suppress(OSError):
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()
        else:
            self.transport.close()


async def relay(listener: socket.socket, host: str, port: int) -> None:
    loop = asyncio.get_running_loop()
    background: set[asyncio.Task[None]] = set()

    async def connect(near: Side) -> None:
        far = Side(near)
        near.other = far
        try:
            await loop.create_connection(lambda: far, host, port)
        except OSError:
            near.close(reset=True)
        if near.lost:
            far.close(reset=False)

    class Near(Side):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            # Nothing is read before the other connection exists, which gets the bytes.
            assert self.transport is not None
            self.transport.pause_reading()
            task = loop.create_task(self._join())
            background.add(task)
            task.add_done_callback(background.discard)

        async def _join(self) -> None:
            await connect(self)
            if self.transport is not None and not self.transport.is_closing():
                self.transport.resume_reading()

    server = await loop.create_server(Near, sock=listener, backlog=4096)
    over = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), over.set)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await over.wait()
    server.close()


def main() -> None:
    number, host, port, parent = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    if sys.platform.startswith("linux"):
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(relay(socket.socket(fileno=number), host, port))


if __name__ == "__main__":
    main()
    # The process exits at once: open connections have to break, as those of a killed server do.
    os._exit(0)
