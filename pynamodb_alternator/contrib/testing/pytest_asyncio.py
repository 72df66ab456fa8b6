"""The fixtures behind `alternator_async_client` for pytest-asyncio: one for each scope that an event loop may have."""

from __future__ import annotations

from typing import Any, Literal

import pytest
import pytest_asyncio

from .asynchronous import client_here, name_for

__all__ = ["class_client", "function_client", "module_client", "package_client", "session_client"]


def _fixture(loop_scope: Literal["function", "class", "module", "package", "session"]) -> Any:
    async def client(request: pytest.FixtureRequest) -> Any:
        return await client_here(request)

    return pytest_asyncio.fixture(client, name=name_for(loop_scope), loop_scope=loop_scope)


function_client: Any = _fixture("function")
class_client: Any = _fixture("class")
module_client: Any = _fixture("module")
package_client: Any = _fixture("package")
session_client: Any = _fixture("session")
