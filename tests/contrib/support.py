"""What several tests of this folder need."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from blinker import NamedSignal

ROOT = Path(__file__).parents[2]


def run_python(code: str, *, without: tuple[str, ...] = (), cwd: Path | None = None, **env: str) -> str:
    """What a fresh interpreter prints. `without`: modules that it cannot import."""
    blocked = "".join(f"sys.modules[{name!r}] = None\n" for name in without)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import sys\n{blocked}{code}"],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class Once:
    """Waits until a signal says something wanted."""

    def __init__(self, signal: NamedSignal, matches: Callable[[dict[str, Any]], bool] = lambda payload: True) -> None:
        self._signal, self._matches = signal, matches
        self._seen = threading.Event()

    def _receive(self, sender: Any, **payload: Any) -> None:
        if self._matches(payload):
            self._seen.set()

    def __enter__(self) -> Once:
        self._signal.connect(self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        self._signal.disconnect(self._receive)

    def wait(self) -> None:
        assert self._seen.wait(10), f"no {self._signal.name}"
