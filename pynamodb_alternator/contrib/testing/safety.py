"""Safe tests with pytest: applies the addresses that the ini file allows, while a fixture is active."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager

import pytest

__all__ = ["ALLOW_HOSTS", "safe"]

ALLOW_HOSTS = "alternator_allow_hosts"


def safe(
    config: pytest.Config, port: int | None, opened: Iterable[tuple[str, int]] = ()
) -> AbstractContextManager[None]:
    """A context manager: inside, clusters connect only to embedded clusters, and to what the ini file allows.

    `port`: of the embedded cluster, if there is one. `opened`: allowed seeds of a cluster that is not embedded. Raises
    `pytest.UsageError` for a wrong ini file.
    """
    # Imported here, because the plugin imports nothing of the library before a test uses a fixture.
    from ...errors import ConfigurationError
    from .. import _safety

    try:
        hosts = _safety.Hosts.of(config.getini(ALLOW_HOSTS), ALLOW_HOSTS)
    except ConfigurationError as wrong:
        raise pytest.UsageError(
            f"The ini file of pytest: {wrong} Write hosts such as 10.0.0.1, 10.0.0.1:8000, *.test.example or "
            "10.0.0.0/8, with spaces between them."
        ) from None
    words = _safety.Words(
        whose="tests with the alternator fixtures",
        aliases="'default', or one that @pytest.mark.alternator(aliases=[...]) or the fixture "
        "alternator_cluster_options names",
        allow=f"in the ini file of pytest: {ALLOW_HOSTS} = {{}}",
    )
    return _safety.safe(port, hosts, words, opened)
