"""An application on a real uvicorn, in a thread of this process."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ..chaos.support import until

PATIENCE = 30.0


@contextmanager
def served(app: Any, *, lifespan: str = "auto") -> Iterator[str]:
    """The URL at which uvicorn serves the application. At the end it has stopped, and its event loop is closed."""
    uvicorn = pytest.importorskip("uvicorn", reason="uvicorn is not installed")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan=lifespan))
        failures: list[BaseException] = []

        def run() -> None:
            try:
                server.run(sockets=[listener])
            except BaseException as failure:
                failures.append(failure)

        thread = threading.Thread(target=run, name="uvicorn", daemon=True)
        thread.start()

        def has_started() -> bool:
            assert thread.is_alive(), failures or "uvicorn has stopped"
            return server.started

        until(has_started, "uvicorn has started", timeout=PATIENCE)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(PATIENCE)
            assert not thread.is_alive(), "uvicorn has not stopped"
    assert failures == []
