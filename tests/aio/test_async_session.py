"""The session of an event loop's client is aiobotocore's own, but made in less time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import botocore.handlers
import botocore.session
import pytest

pytest.importorskip("aiobotocore", reason="aiobotocore is not installed: pip install 'pynamodb-alternator[async]'")

from aiobotocore import hooks
from aiobotocore.session import AioSession

from pynamodb_alternator.transport._session import client_session

Kind = Callable[..., botocore.session.Session]


def handlers_of(session: Any) -> dict[Any, Any]:
    """The handlers for each event, in the order in which they are called."""
    emitter = session.get_component("event_emitter")._emitter
    handlers: dict[Any, Any] = {}

    def look(node: Any, path: tuple[str, ...]) -> None:
        if node["values"] is not None:
            handlers[path] = tuple(list(part) for part in node["values"])
        for name, child in node["children"].items():
            look(child, (*path, name))

    look(emitter._handlers._root, ())
    return handlers


@pytest.mark.parametrize("kind", [botocore.session.Session, AioSession])
def test_it_has_the_handlers_of_its_kind(kind: Kind) -> None:
    assert handlers_of(client_session(kind)) == handlers_of(kind())


@pytest.mark.parametrize("kind", [botocore.session.Session, AioSession])
def test_it_has_what_a_tool_has_added_to_them(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    def stub(**_: Any) -> None:
        """As moto's."""

    monkeypatch.setattr(
        botocore.handlers, "BUILTIN_HANDLERS", [*botocore.handlers.BUILTIN_HANDLERS, ("before-send", stub)]
    )
    assert handlers_of(client_session(kind)) == handlers_of(kind())
    assert stub in handlers_of(client_session(kind))["before-send",][1]


def test_an_aiobotocore_that_keeps_its_handlers_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    stock = handlers_of(AioSession())
    substitutes = hooks._HANDLER_MAPPING

    def verify_and_register(
        self: Any, event: str, handler: Any, unique_id: Any, register_method: Any, unique_id_uses_count: bool
    ) -> None:
        register_method(event, substitutes.get(handler, handler), unique_id, unique_id_uses_count)

    monkeypatch.setattr(hooks.AioHierarchicalEmitter, "_verify_and_register", verify_and_register)
    monkeypatch.delattr(hooks, "_HANDLER_MAPPING")
    assert handlers_of(client_session(AioSession)) == stock
