"""Killing, freezing and reviving the nodes of an embedded cluster, as the dashboard's buttons do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from pynamodb_alternator.local import LocalCluster

__all__ = ["ACTIONS", "FROZEN", "KILLED", "RUNNING", "Faults", "Refused"]

RUNNING, KILLED, FROZEN = "running", "killed", "frozen"
ACTIONS = ("kill", "freeze", "revive")


class Refused(Exception):
    """A button cannot do what it says now. `status`: the HTTP status of the answer."""

    def __init__(self, text: str, status: int = 409) -> None:
        super().__init__(text)
        self.status = status


class Faults:
    """The faults of one embedded cluster. At least one of its nodes always runs, so that the shop stays open."""

    def __init__(self, local: LocalCluster) -> None:
        self._local = local
        self._lock = threading.Lock()
        self._frozen: set[str] = set()

    def situation(self, address: str) -> str | None:
        """``running``, ``killed`` or ``frozen``; None for a node that is not of this cluster."""
        with self._lock:
            node = self._find(address)
            return None if node is None else self._situation(node)

    def may(self, address: str) -> dict[str, bool]:
        """Which of ``kill``, ``freeze`` and ``revive`` are possible now and change something."""
        with self._lock:
            node = self._find(address)
            situation = None if node is None else self._situation(node)
            can_be_spared = situation == RUNNING and not self._is_the_last(node)
            return {
                "kill": can_be_spared or situation == FROZEN,
                "freeze": can_be_spared,
                "revive": situation in (KILLED, FROZEN),
            }

    def do(self, action: str, address: str) -> str:
        """``kill``, ``freeze`` or ``revive`` a node, and return a sentence that says what was done. Raises
        `Refused`."""
        actions: dict[str, Callable[[Any], str]] = dict(
            zip(ACTIONS, (self._kill, self._freeze, self._revive), strict=True)
        )
        if action not in actions:
            raise Refused(f"There is no action {action[:20]!r}: choose kill, freeze or revive.", 400)
        with self._lock:
            node = self._find(address)
            if node is None:
                raise Refused(f"There is no node {address[:60]!r} in the embedded cluster.", 404)
            return actions[action](node)

    def heal(self) -> None:
        """Let all nodes run."""
        with self._lock:
            for node in self._local.nodes:
                self._revive(node)

    # ---- with the lock ---------------------------------------------------------------------------------------------

    def _find(self, address: str) -> Any:
        return next((node for node in self._local.nodes if node.address == address), None)

    def _situation(self, node: Any) -> str:
        if not node.up:
            return KILLED
        return FROZEN if node.hung or node.address in self._frozen else RUNNING

    def _kill(self, node: Any) -> str:
        if self._situation(node) == KILLED:
            return f"{node.address} is killed already."
        self._spare_the_last(node)
        self._frozen.discard(node.address)
        # The other nodes notice this only after a while, and still list the node meanwhile: so health checks have to
        # find out.
        node.kill(still_listed=True)
        return f"{node.address} was killed: it refuses connections."

    def _freeze(self, node: Any) -> str:
        situation = self._situation(node)
        if situation == KILLED:
            raise Refused(f"{node.address} is killed. Revive it first, then freeze it.")
        if situation == FROZEN:
            return f"{node.address} is frozen already."
        self._spare_the_last(node)
        # The system can stop only a node in its own process.
        getattr(node, "freeze", node.hang)()
        self._frozen.add(node.address)
        return f"{node.address} was frozen: it accepts connections and answers nothing."

    def _revive(self, node: Any) -> str:
        if self._situation(node) == RUNNING:
            return f"{node.address} is running already."
        if self._situation(node) == FROZEN:
            node.resume()
            getattr(node, "thaw", node.resume)()
        else:
            node.revive()
        self._frozen.discard(node.address)
        return f"{node.address} was revived."

    def _is_the_last(self, node: Any) -> bool:
        """Whether no other node runs."""
        return not any(self._situation(other) == RUNNING for other in self._local.nodes if other is not node)

    def _spare_the_last(self, node: Any) -> None:
        if self._situation(node) == RUNNING and self._is_the_last(node):
            raise Refused(f"{node.address} is the last node that runs, and the shop needs one. Revive another first.")
