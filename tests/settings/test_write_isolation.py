"""The spellings of a write isolation, the same as the server's."""

from __future__ import annotations

from typing import Any

import pytest

from pynamodb_alternator.local import isolation as of_the_server
from pynamodb_alternator.settings import write_isolation

from .support import refused


@pytest.mark.parametrize("spelling", of_the_server.MODES)
def test_every_spelling_of_the_server_is_known_and_means_the_same(spelling: str) -> None:
    name = write_isolation.parse(spelling)
    assert name is not None
    assert of_the_server.MODES[name] == of_the_server.MODES[spelling]
    assert write_isolation.check("here", spelling) == name
    assert write_isolation.parse(name) == name


@pytest.mark.parametrize("text", ["", "ALWAYS", "lwt", None, 5, b"a", ["always"]])
def test_others_are_not_known(text: Any) -> None:
    assert write_isolation.parse(text) is None
    refused(
        lambda: write_isolation.check("here", text),
        "here must be one of 'only_rmw_uses_lwt', 'always', 'forbid_rmw', 'unsafe_rmw'",
    )
