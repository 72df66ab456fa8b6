"""Commands as a user runs them."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

PROGRAM = (sys.executable, "-m", "pynamodb_alternator")

Run = Callable[..., tuple[int, str, str]]
"""Runs a command: its exit status, and what it wrote to standard output and standard error."""


def in_terminal(arguments: list[str], url: str, columns: int = 90) -> tuple[int, str]:
    """Run the program in a terminal of its own: its status, and everything it wrote there."""
    leader, follower = pty.openpty()
    env = {**os.environ, "ALTERNATOR_URL": url, "COLUMNS": str(columns), "TERM": "xterm-256color", "LINES": "40"}
    process = subprocess.Popen(
        [*PROGRAM, *arguments],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env=env,
        close_fds=True,
    )
    os.close(follower)
    written = bytearray()

    def read() -> None:
        while True:
            try:
                part = os.read(leader, 65536)
            except OSError:  # how Linux says that the other end is closed
                return
            if not part:
                return
            written.extend(part)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        status = process.wait(60)
    finally:
        process.kill()
        reader.join(10)
        os.close(leader)
    return status, written.decode()


@contextlib.contextmanager
def start(*arguments: str, url: str, **streams: Any) -> Iterator[subprocess.Popen[str]]:
    """The program in a process of its own, which does not outlive the block."""
    env = {**os.environ, "ALTERNATOR_URL": url}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    with subprocess.Popen([*PROGRAM, *arguments], env=env, text=True, **streams) as process:
        try:
            yield process
        finally:
            process.kill()
