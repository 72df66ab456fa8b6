"""A pytest plugin with which ScyllaDB's ``test/alternator`` runs without the rest of ScyllaDB's test framework.

The suite imports a few helpers of that framework: the scope of its fixtures, skips with a reason, CQL. Modules of our
own stand in for them in `sys.modules`. Where there is no CQL, the suite skips what needs it, or goes on with a user who
exists nowhere, which is right where no signature is demanded.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any, NoReturn

import pytest


class NoCql(Exception):
    """Raised by whatever would need CQL; the suite knows it as the driver's NoHostAvailable."""


def _skip(reason: str = "", **names: str) -> NoReturn:
    pytest.skip(reason or names.get("link", "skipped by the suite"))


def _no_cql(*arguments: object, **named: object) -> NoReturn:
    raise NoCql("these tests have no CQL")


def _module(name: str, **attributes: Any) -> None:
    module = ModuleType(name)
    module.__path__ = []
    for attribute, value in attributes.items():
        setattr(module, attribute, value)
    sys.modules[name] = module


def _host(request: pytest.FixtureRequest) -> None:
    return None


def _install() -> None:
    _module("test.conftest", dynamic_scope=lambda: "session")
    _module("test.cqlpy")
    _module("test.cqlpy.conftest", host=pytest.fixture(scope="session", name="host")(_host))
    _module("test.cqlpy.util", config_value_context=_no_cql)
    _module("test.pylib")
    _module("test.pylib.skip_types", skip_env=_skip, skip_bug=_skip)
    _module("test.pylib.driver_utils", safe_driver_shutdown=lambda cluster: None)
    _module("test.pylib.connect_options", add_host_option=lambda parser: None)
    _module("cassandra", ConsistencyLevel=object, InvalidRequest=NoCql)
    _module("cassandra.auth", PlainTextAuthProvider=lambda **names: None)
    _module("cassandra.cluster", Cluster=_no_cql, NoHostAvailable=NoCql)
    _module("cassandra.query", SimpleStatement=_no_cql)


_install()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for name in ("skip_env", "skip_bug"):
            marker = item.get_closest_marker(name)
            if marker is not None:
                item.add_marker(pytest.mark.skip(reason=str(marker.kwargs.get("reason", name))))
