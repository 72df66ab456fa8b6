"""Finds the signer of each request, from the config's `credentials`, which are asked anew for every request.

Credentials may change (an assumed role, a secret from a vault). So a botocore session, a botocore credentials object or
a callable is asked each time, and the `Signer` is kept as long as the answer stays the same.

The source may wait for a network or a file. A thread waits for it (`Signers.current`). An event loop must not wait: it
checks `would_wait` first, and uses `current_in_loop`, which asks in a thread, or awaits an asynchronous source.
"""

from __future__ import annotations

import inspect
import logging
import os
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

from botocore.credentials import Credentials as StockCredentials
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import BotoCoreError, ClientError

from ..errors import ConfigurationError, CredentialsError
from ..settings.values import Credentials, CredentialsSource
from .signing import Signer

__all__ = ["InThread", "Signers"]

_log = logging.getLogger("pynamodb_alternator.cluster")

_Frozen = tuple[Any, Any, Any]
InThread = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Calls a function in a thread, and returns its result."""

_REMEDY = (
    "Give Credentials(access_key, secret_key), a botocore session or credentials object that has credentials, or a "
    "callable that gives one of these; or credentials=None to send unsigned requests."
)
_REST = 5.0
"""For so many seconds after a failed refresh, credentials that have not expired are used without another refresh."""


class Signers:
    """Returns the signer of each request, from a config's `credentials`. Threads may share it.

    `region`, `service`: for the scope of the signature.
    """

    __slots__ = ("_clock", "_holder", "_latest", "_lock", "_pid", "_region", "_rests_until", "_service", "_source")

    def __init__(
        self,
        credentials: CredentialsSource | None,
        region: str,
        service: str = "dynamodb",
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = credentials
        self._region = region
        self._service = service
        self._clock = clock
        self._latest: tuple[_Frozen, Signer] | None = None
        # The object that gave the latest credentials, if it knows when they expire.
        self._holder: RefreshableCredentials | None = None
        self._rests_until = 0.0
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def current(self) -> Signer | None:
        """The signer for a request that is sent now; None if requests are not signed. May wait for the source.

        If a refresh fails, the old credentials are used as long as they have not expired. Otherwise raises
        `CredentialsError` if the source fails, and `ConfigurationError` if it gives no usable credentials. Of an error
        that is not botocore's, they show only the type, because the text may contain a secret.
        """
        source = self._source
        if source is None:
            return None
        if self._latest is not None and (type(source) is Credentials or self._rests()):
            return self._latest[1]
        try:
            frozen = self._frozen(source)
        except _Asynchronous:
            if self._latest is None:
                raise _only_in_event_loops(source) from None
            return self._latest[1]  # the signer that an event loop got last
        except ConfigurationError:
            raise
        except Exception as error:
            failure = error
        else:
            return self._taken(frozen)
        # Raised outside of the handler, so that the original error, which may contain a secret, is not its context.
        return self._failed(failure)

    def would_wait(self) -> bool:
        """Whether `current` may wait now, for a network or a file. An event loop must not call it then."""
        source = self._source
        if source is None or type(source) is Credentials or self._rests():
            return False
        if callable(source):
            return True  # nobody knows what it does
        if hasattr(source, "get_credentials"):
            if self._latest is None or inspect.iscoroutinefunction(source.get_credentials):
                return True
            if not type(source).__module__.startswith("botocore."):
                return True  # nobody knows what it does
            source = source.get_credentials()  # the session has loaded them already
        if isinstance(source, RefreshableCredentials):
            return inspect.iscoroutinefunction(source.get_frozen_credentials) or source.refresh_needed()
        return hasattr(source, "get_frozen_credentials") and type(source) is not StockCredentials

    async def current_in_loop(self, in_thread: InThread) -> Signer | None:
        """Like `current`, but it does not block the event loop: an asynchronous source is awaited, and others are asked
        in a thread.

        Sessions and credentials objects of aiobotocore, and asynchronous functions, are accepted here too.
        """
        source = self._source
        if source is None:
            return None
        try:
            frozen = await self._frozen_in_loop(source, in_thread)
        except ConfigurationError:
            raise
        except Exception as error:
            failure = error
        else:
            return self._taken(frozen)
        return self._failed(failure)

    # ---- asking ------------------------------------------------------------------------------------------------

    def _frozen(self, source: Any) -> _Frozen | None:
        if callable(source):
            source = _at_once(source())
        if hasattr(source, "get_credentials"):
            source = _at_once(self._of_session(source))
        holder = source
        if hasattr(source, "get_frozen_credentials"):
            source = _at_once(source.get_frozen_credentials())
        return self._noted(holder, source)

    async def _frozen_in_loop(self, source: Any, in_thread: InThread) -> _Frozen | None:
        if callable(source):
            source = await _awaited(source, in_thread)
        session = source
        if hasattr(session, "get_credentials"):
            is_async = inspect.iscoroutinefunction(session.get_credentials)
            source = await _awaited(
                session.get_credentials if is_async else lambda: self._of_session(session), in_thread
            )
        holder = source
        if hasattr(source, "get_frozen_credentials"):
            source = await _awaited(source.get_frozen_credentials, in_thread)
        return self._noted(holder, source)

    def _noted(self, holder: Any, told: Any) -> _Frozen | None:
        frozen = None if told is None else _triple(told)
        self._holder = holder if isinstance(holder, RefreshableCredentials) else None
        return frozen

    def _of_session(self, session: Any) -> Any:
        if self._latest is not None:
            return session.get_credentials()  # the session has loaded them already
        # A session's first search for credentials must not run in several threads at the same time.
        if self._pid != os.getpid():
            # A fork may have copied the lock while another thread held it.
            self._lock, self._pid = threading.Lock(), os.getpid()
        with self._lock:
            return session.get_credentials()

    # ---- what came of it ---------------------------------------------------------------------------------------

    def _taken(self, frozen: _Frozen | None) -> Signer:
        if frozen is None:
            raise ConfigurationError(f"ClusterConfig: credentials: {_kind(self._source)} gave none. {_REMEDY}")
        latest = self._latest
        if latest is None or latest[0] != frozen:
            checked = Credentials(*frozen)  # raises for what cannot be one
            signer = Signer(checked.access_key, checked.secret_key, checked.session_token, self._region, self._service)
            latest = self._latest = (frozen, signer)
        self._rests_until = 0.0
        return latest[1]

    def _rests(self) -> bool:
        return self._rests_until > 0.0 and self._clock() < self._rests_until and self._has_not_expired()

    def _has_not_expired(self) -> bool:
        return self._holder is not None and not self._holder.refresh_needed(refresh_in=0)

    def _failed(self, error: Exception) -> Signer:
        latest, is_stock = self._latest, isinstance(error, BotoCoreError | ClientError)
        what = type(error).__name__
        what += f": {error}".rstrip(".") if is_stock else " (its text is left out: it may have a secret in it)"
        if latest is not None and self._has_not_expired():
            self._rests_until = self._clock() + _REST
            _log.warning("The credentials cannot be refreshed, and are used until they expire: %s.", what)
            return latest[1]
        raise CredentialsError(
            f"ClusterConfig: credentials: asking {_kind(self._source)} for credentials failed with {what}. Nothing was "
            "sent. Retry if the trouble was short; else correct what gives the credentials."
        ) from (error if is_stock else None)


class _Asynchronous(Exception):
    """A source returned an awaitable, but there is no event loop."""


def _at_once(told: Any) -> Any:
    if inspect.isawaitable(told):
        if inspect.iscoroutine(told):
            told.close()
        raise _Asynchronous
    return told


async def _awaited(ask: Callable[[], Any], in_thread: InThread) -> Any:
    told = ask() if inspect.iscoroutinefunction(ask) else await in_thread(ask)
    return await told if inspect.isawaitable(told) else told


def _only_in_event_loops(source: Any) -> ConfigurationError:
    return ConfigurationError(
        f"ClusterConfig: credentials: {_kind(source)} is asynchronous, and can only be asked by an AsyncCluster. "
        "Give an ordinary callable, or a botocore session instead of aiobotocore's."
    )


def _triple(told: Any) -> _Frozen:
    """The three parts of a `Credentials`, or of botocore's frozen credentials."""
    if isinstance(told, Credentials):
        return told.access_key, told.secret_key, told.session_token
    try:
        return told.access_key, told.secret_key, told.token or None
    except AttributeError:
        pass
    raise ConfigurationError(
        f"ClusterConfig: credentials: a {type(told).__name__} is not a credentials object. {_REMEDY}"
    )


def _kind(source: Any) -> str:
    return f"the {'callable' if callable(source) else type(source).__name__}"
