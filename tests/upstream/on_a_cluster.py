"""The plugin with which PynamoDB's tests run over this library: their connections and models are ours.

Loaded by ``-p on_a_cluster``, before the tests are imported. Many of them put something in the place of the method by
which botocore sends a request. This library does not send by it, so each request is handed to it here, as long as it is
not botocore's own: to what a stub of botocore would hook. Requests that nobody hooks go to a local cluster of one node.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import botocore.exceptions
import pytest
from botocore.httpsession import URLLib3Session

import pynamodb_alternator
from pynamodb_alternator import AlternatorConnection, errors, get_cluster
from pynamodb_alternator.local import LocalCluster

STOCK = URLLib3Session.send
LIST = tomllib.loads(Path(__file__).with_name("differing.toml").read_text(encoding="utf-8"))
LOCAL = pytest.StashKey[LocalCluster]()


def pytest_configure(config: pytest.Config) -> None:
    local = config.stash[LOCAL] = LocalCluster(nodes=1)
    local.start()
    pynamodb_alternator.configure(default=local.url)
    pynamodb_alternator.install(AlternatorConnection)
    get_cluster().client.meta.events.register_first("before-send.dynamodb", send)


def pytest_unconfigure(config: pytest.Config) -> None:
    pynamodb_alternator.close_all()
    config.stash[LOCAL].close()


def send(request: Any, **_: Any) -> Any:
    """What stands in the place of botocore's method answers, or raises, in the words of this library."""
    if URLLib3Session.send is STOCK:
        return None
    try:
        return URLLib3Session().send(request)
    except botocore.exceptions.ReadTimeoutError as error:
        raise errors.ReadTimeoutError(str(error)) from error
    except botocore.exceptions.ConnectionError as error:
        raise errors.ConnectionLostError(str(error)) from error


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that is listed has to fail, and each other to pass."""
    if len(items) != LIST["tests"]:
        raise pytest.UsageError(f"There are {len(items)} tests, and not {LIST['tests']}")
    reasons = {name: group["reason"] for group in LIST["differing"] for name in group["tests"]}
    for item in items:
        if (reason := reasons.pop(item.nodeid.removeprefix("tests/"), None)) is not None:
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))
    if reasons:
        raise pytest.UsageError(f"differing.toml names tests that do not exist: {', '.join(reasons)}")
