"""A live picture of the cluster for a web page, sent as server-sent events. This module uses no framework.

It makes the picture at most twice a second, however many browsers show it, and only while a browser does. It has no
thread: the stream that first needs a new picture makes it. A stream ends after `LONGEST` seconds, and the browser opens
the next one. So a server that waits for open responses when it stops does not wait for long.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, ClassVar

from pynamodb_alternator import Cluster
from pynamodb_alternator.errors import AlternatorError
from pynamodb_alternator.local import LocalCluster

from . import models, trade
from .faults import ACTIONS, Faults, Refused
from .looks import HEDGE_AFTER, Looks
from .traffic import Traffic

__all__ = ["STREAM_HEADERS", "AsyncStream", "Dashboard", "Stream", "TooManyStreams"]

INTERVAL = 0.5
"""Seconds between two pictures."""
LONGEST = 10.0
"""Seconds after which a stream ends. A server that waits for open responses when it stops does not wait longer."""
MOST_STREAMS = 16
"""The largest number of streams. Each needs a thread of a server with threads."""

STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

_NO_FAULTS = "This is a real cluster: its nodes are killed and revived where they run, and not from here."
_KEYS = (
    *((models.Product, sku, name) for sku, name, _, _ in trade.GOODS),
    (models.Counter, "orders", "counter: orders"),
    (models.Counter, "visits", "counter: visits"),
)
"""The partition keys that the page shows: model, key, label."""


class TooManyStreams(Exception):
    """As many dashboards are open as the server may serve. `text`, `status`, `headers`: the answer."""

    text = "Too many dashboards are open.\n"
    status = 503
    headers: ClassVar = {"Retry-After": "5"}


class Dashboard:
    """The picture of one cluster. `traffic` watches it; `local` is the embedded cluster, if it is one.

    `presses`: how often a visitor has pressed a button; `last`: what the last press did. `has_script`: a script kills
    and freezes nodes too, until the first press.
    """

    def __init__(
        self,
        cluster: Cluster,
        traffic: Traffic,
        local: LocalCluster | None = None,
        *,
        interval: float = INTERVAL,
        longest: float = LONGEST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.cluster = cluster
        self.traffic = traffic
        self.looks = Looks(cluster)
        self.faults = None if local is None else Faults(local)
        self.presses = 0
        self.last = ""
        self.has_script = False
        self.interval = interval
        self.longest = longest
        self.clock = clock
        self.closed = threading.Event()
        self._pressing = threading.Lock()
        self._making = threading.Lock()
        self._made: tuple[int, float, dict[str, Any], str] | None = None
        self._labels: dict[str, str] = {}
        self._homes: dict[tuple[str, str], str] = {}
        self._streams: weakref.WeakSet[Any] = weakref.WeakSet()

    def close(self) -> None:
        """End all streams at once."""
        self.closed.set()

    # ---- the picture -----------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """The picture of this moment."""
        with self._making:
            return self._make()[2]

    def latest(self) -> tuple[int, str]:
        """The number of a picture that is not too old, and the picture as JSON."""
        made = self._made
        if made is None or self.clock() - made[1] >= self.interval:
            # One stream makes the picture, and the others show the last one meanwhile.
            if self._making.acquire(blocking=made is None):
                try:
                    made = self._make()
                finally:
                    self._making.release()
            else:
                made = self._made or made
        assert made is not None
        return made[0], made[3]

    def _make(self) -> tuple[int, float, dict[str, Any], str]:
        state = self._look()
        number = 1 if self._made is None else self._made[0] + 1
        self._made = made = (number, self.clock(), state, json.dumps(state, separators=(",", ":")))
        return made

    def _look(self) -> dict[str, Any]:
        state = self.traffic.snapshot()
        nodes = state["nodes"]
        for node in nodes:
            address = node["address"]
            if address not in self._labels:
                # Letters are enough for the clusters that a page can show. Further nodes get numbers.
                count = len(self._labels)
                self._labels[address] = chr(ord("A") + count) if count < 26 else str(count + 1)
            node["label"] = self._labels[address]
            node["colour"] = list(self._labels).index(address) % 6 + 1
            node |= self._buttons(address)
        state["keys"] = self._keys(everybody_is_well=all(node["state"] == "active" for node in nodes))
        state["rate"] = sum(node["rate"] for node in nodes)
        state["scripted"] = self.has_script and not self.presses
        state |= self.looks.snapshot()
        return state

    def _keys(self, *, everybody_is_well: bool) -> list[dict[str, Any]]:
        keys = []
        for model, key, label in _KEYS:
            table = str(model.Meta.table_name)
            route = self.cluster.route(table, key)
            node = route.nodes[0] if route.reason is None and route.nodes else None
            if node is not None and everybody_is_well:
                self._homes[table, key] = node
            home = self._homes.get((table, key))
            holders = [self._labels[address] for address in route.all_replicas if address in self._labels]
            keys.append(
                {"table": table, "key": key, "label": label, "node": node, "home": home, "replicas": "".join(holders)}
            )
        return keys

    def _buttons(self, address: str) -> dict[str, Any]:
        """Which buttons of a node work, and what the buttons have done to it."""
        situation = None if self.faults is None else self.faults.situation(address)
        return {
            "situation": situation,
            "may": dict.fromkeys(ACTIONS, False) if self.faults is None else self.faults.may(address),
        }

    # ---- the buttons -----------------------------------------------------------------------------------------------

    @property
    def why_no_faults(self) -> str | None:
        """Why the buttons do not work, or None if they do."""
        return _NO_FAULTS if self.faults is None else None

    def press(self, action: str, address: str = "") -> str:
        """Do something to a node, or to the reads of visitors, and say what was done. Raises `Refused`."""
        with self._pressing:
            self.last = said = self._do(action, address)
            self.presses += 1
            return said

    def act(self, action: str, address: str = "") -> bool:
        """The same for a script. After a visitor has pressed a button, it does nothing and returns False, because the
        two would disturb each other."""
        with self._pressing:
            if not self.presses:
                self._do(action, address)
            return not self.presses

    def _do(self, action: str, address: str) -> str:
        return self._hedge(action == "hedge") if action in ("hedge", "wait") else self._change(action, address)

    def _change(self, action: str, address: str) -> str:
        if self.faults is None:
            raise Refused(_NO_FAULTS)
        return self.faults.do(action, address)

    def _hedge(self, on: bool) -> str:
        self.looks.hedged = on
        if not on:
            return "Reads are not hedged: each waits for the node that it went to."
        return f"Reads are hedged: after {HEDGE_AFTER * 1000:.0f} ms they go to a second node as well."

    # ---- streams ---------------------------------------------------------------------------------------------------

    def stream(self) -> Stream:
        """A stream for a server with threads (WSGI). Raises `TooManyStreams`."""
        stream = Stream(self)
        self._enter(stream)
        return stream

    def async_stream(self) -> AsyncStream:
        """A stream for an event loop (ASGI). Raises `TooManyStreams`."""
        stream = AsyncStream(self)
        self._enter(stream)
        return stream

    @property
    def streams(self) -> int:
        """How many streams are open."""
        return len(self._streams)

    def _enter(self, stream: _Pictures) -> None:
        if len(self._streams) >= MOST_STREAMS:
            raise TooManyStreams
        self._streams.add(stream)

    def leave(self, stream: object) -> None:
        self._streams.discard(stream)


class _Pictures:
    """Decides which event comes next. Both kinds of streams use it, and wait in different ways."""

    def __init__(self, dashboard: Dashboard) -> None:
        self._dashboard = dashboard
        self._ends = dashboard.clock() + dashboard.longest
        self._seen = 0
        self._is_over = False

    def _opening(self) -> str | None:
        """Sent before the first picture: the milliseconds after which the browser opens the next stream."""
        if self._seen == 0:
            self._seen = -1
            return "retry: 300\n\n"
        return None

    def _next(self) -> str | None:
        """The next event, or None at the end. If nothing has changed, it is a comment: when a server sends it, the
        server notices closed connections."""
        dashboard = self._dashboard
        if self._is_over or dashboard.closed.is_set() or dashboard.clock() >= self._ends:
            return None
        try:
            number, text = dashboard.latest()
        except AlternatorError:  # the cluster was closed meanwhile
            return None
        if number == self._seen:
            return ":\n\n"
        self._seen = number
        return f"id: {number}\nevent: state\ndata: {text}\n\n"

    def close(self) -> None:
        """Servers call it when the response is over, however it ended."""
        self._is_over = True
        self._dashboard.leave(self)


class Stream(_Pictures, Iterator[bytes]):
    def __next__(self) -> bytes:
        event = self._opening()
        if event is None:
            if self._seen > 0:
                self._dashboard.closed.wait(self._dashboard.interval)
            event = self._next()
        if event is None:
            self.close()
            raise StopIteration
        return event.encode()


class AsyncStream(_Pictures, AsyncIterator[bytes]):
    async def __anext__(self) -> bytes:
        event = self._opening()
        try:
            if event is None:
                if self._seen > 0:
                    await asyncio.sleep(self._dashboard.interval)
                # In a thread, because the cluster may have to send requests to its nodes.
                event = await asyncio.to_thread(self._next)
        except (
            asyncio.CancelledError
        ):  # the browser has closed the connection, and not every server closes its streams then
            self.close()
            raise
        if event is None:
            self.close()
            raise StopAsyncIteration
        return event.encode()
