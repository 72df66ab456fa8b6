"""Whose signature goes on a request: the config's `credentials`, asked anew for every request.

Credentials may rotate (an assumed role, a secret read from a vault): a botocore session, a botocore credentials object
and a callable are asked each time, and the `Signer` is kept as long as the answer stays the same.
"""

from __future__ import annotations

import inspect
import os
import threading
from typing import Any

from ..errors import ConfigurationError
from ..settings.values import Credentials, CredentialsSource
from .signing import Signer

__all__ = ["Signers"]

_Frozen = tuple[Any, Any, Any]

_REMEDY = (
    "Give Credentials(access_key, secret_key), a botocore session or credentials object that has credentials, or a "
    "callable that gives one of these; or credentials=None to send unsigned requests."
)


class Signers:
    """Gives the signer of each request, from a config's `credentials`. Threads may share it.

    `region`, `service`: of the signature's scope.
    """

    __slots__ = ("_latest", "_lock", "_pid", "_region", "_service", "_source")

    def __init__(self, credentials: CredentialsSource | None, region: str, service: str = "dynamodb") -> None:
        self._source = credentials
        self._region = region
        self._service = service
        self._latest: tuple[_Frozen, Signer] | None = None
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def current(self) -> Signer | None:
        """The signer for a request that is sent now; None where requests are to be unsigned.

        Raises `ConfigurationError` where the source gives no usable credentials. It tells the kind of a source's own
        error, and not its text, which may have a secret in it.
        """
        source = self._source
        if source is None:
            return None
        latest = self._latest
        if type(source) is Credentials:
            if latest is not None:
                return latest[1]
            frozen = _triple(source)
        else:
            frozen = self._ask(source)
        if latest is None or latest[0] != frozen:
            checked = Credentials(*frozen)  # raises for what is no credential
            signer = Signer(checked.access_key, checked.secret_key, checked.session_token, self._region, self._service)
            latest = self._latest = (frozen, signer)
        return latest[1]

    def _ask(self, source: Any) -> _Frozen:
        failure = ""
        try:
            found = self._frozen(source)
        except ConfigurationError:
            raise
        except Exception as error:
            failure = type(error).__name__
        if failure:
            # Raised here and not above, so that the other error, with its text, is not the context of this one.
            raise ConfigurationError(
                f"ClusterConfig: credentials: asking {_kind(source)} for credentials failed with {failure}. {_REMEDY}"
            )
        if found is None:
            raise ConfigurationError(f"ClusterConfig: credentials: {_kind(source)} gave none. {_REMEDY}")
        return found

    def _frozen(self, source: Any) -> _Frozen | None:
        if callable(source):
            source = source()
            if inspect.isawaitable(source):
                if inspect.iscoroutine(source):
                    source.close()
                raise ConfigurationError(
                    "ClusterConfig: credentials is an async function, and requests are made in ordinary ones. "
                    "Give an ordinary callable."
                )
        if hasattr(source, "get_credentials"):
            source = self._of_session(source)
        if hasattr(source, "get_frozen_credentials"):
            source = source.get_frozen_credentials()
        return None if source is None else _triple(source)

    def _of_session(self, session: Any) -> Any:
        if self._latest is not None:
            return session.get_credentials()  # the session has them by now
        # A session's first search for credentials is not made for several threads at once.
        if self._pid != os.getpid():
            # A fork may have copied the lock while another thread held it.
            self._lock, self._pid = threading.Lock(), os.getpid()
        with self._lock:
            return session.get_credentials()


def _triple(found: Any) -> _Frozen:
    """From a `Credentials`, or from botocore's frozen credentials."""
    if isinstance(found, Credentials):
        return found.access_key, found.secret_key, found.session_token
    try:
        return found.access_key, found.secret_key, found.token or None
    except AttributeError:
        pass
    raise ConfigurationError(
        f"ClusterConfig: credentials: a {type(found).__name__} is no credentials object. {_REMEDY}"
    )


def _kind(source: Any) -> str:
    return f"the {'callable' if callable(source) else type(source).__name__}"
