"""`core.write_isolation`: the tag, else the node's option, and which refusals are an answer."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from pynamodb_alternator.core.write_isolation import TAG, read_write_isolation, unparsed_isolation


class Client:
    """A client whose tag and option are given, or raised."""

    def __init__(self, tag: str | ClientError | None, option: str | ClientError | None) -> None:
        self._tag, self._option = tag, option

    def list_tags_of_resource(self, **_: Any) -> dict[str, Any]:
        if isinstance(self._tag, ClientError):
            raise self._tag
        return {"Tags": [] if self._tag is None else [{"Key": TAG, "Value": self._tag}]}

    def query(self, **_: Any) -> dict[str, Any]:
        if isinstance(self._option, ClientError):
            raise self._option
        return {"Items": [] if self._option is None else [{"value": {"S": self._option}}]}


def refused(operation: str, code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "no"}}, operation)


def test_the_tag_comes_before_the_option() -> None:
    assert read_write_isolation(Client("always", '"unsafe"'), "t") == "always"
    assert unparsed_isolation(Client("a", "forbid_rmw"), "t") == "a"
    assert read_write_isolation(Client(None, '"always"'), "t") == "always"
    assert read_write_isolation(Client(None, None), "t") is None


@pytest.mark.parametrize("code", ["AccessDeniedException", "ResourceNotFoundException", "ValidationException"])
def test_an_option_without_permission_to_read_it_is_none(code: str) -> None:
    client = Client(None, refused("Query", code))
    assert read_write_isolation(client, "t") is None
    with pytest.raises(ClientError):
        unparsed_isolation(client, "t")


def test_all_else_is_raised() -> None:
    for client in (
        Client(refused("ListTagsOfResource", "ResourceNotFoundException"), None),
        Client(None, refused("Query", "InternalServerError")),
    ):
        with pytest.raises(ClientError):
            read_write_isolation(client, "t")
