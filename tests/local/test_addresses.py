"""The addresses of the nodes, and the remedies where they cannot be had."""

from __future__ import annotations

import socket

import pytest

from pynamodb_alternator.errors import ConfigurationError
from pynamodb_alternator.local import LocalCluster
from pynamodb_alternator.local.addresses import host_of, reserve


def test_a_port_in_use_is_an_error_that_says_so(cluster: LocalCluster) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot bind 127\.0\.0\.1:\d+.*Leave out `port`"):
        LocalCluster(nodes=2, port=cluster.port).start()


def test_a_missing_address_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    from pynamodb_alternator.local import addresses

    def bound(host: str, port: int) -> socket.socket:
        if host != "127.0.0.1":
            raise OSError(errno.EADDRNOTAVAIL, "Can't assign requested address")
        return real(host, port)

    real = addresses.bound
    monkeypatch.setattr(addresses, "bound", bound)
    with pytest.raises(ConfigurationError, match=r"sudo ifconfig lo0 alias 127\.0\.0\.2 up"):
        LocalCluster(nodes=2).start()


def test_a_host_for_each_number() -> None:
    assert [host_of(number) for number in (1, 254, 255)] == ["127.0.0.1", "127.0.0.254", "127.0.1.1"]


def test_a_reservation_that_fails_keeps_no_address() -> None:
    (taken,) = reserve(["127.0.0.3"], None)
    with taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=r"cannot bind 127\.0\.0\.3:"):
            reserve(["127.0.0.2", "127.0.0.3"], port)
        (free,) = reserve(["127.0.0.2"], port)
        free.close()
