"""Node health as a pure state machine.

States, counters and thresholds follow ScyllaDB's specification for its Alternator drivers
(``tests/vectors/node-health-transitions.tsv``). One observation is our own: `Observation.SUSPICION_CONFIRMED`. It means
that traffic to the node has just failed, and that the probe which followed has failed too. Then the node is down at
once.
"""

from __future__ import annotations

import enum
import functools
from typing import NamedTuple

from ..settings.values import Health

__all__ = ["PROBE_PATH", "HealthStatus", "Observation", "State", "active", "is_well", "quarantined", "transition"]

PROBE_PATH = "/"
"""What a probe asks for."""


def is_well(status: int) -> bool:
    """Whether a node that answers a probe with this HTTP status is well."""
    return status == 200


class State(enum.Enum):
    """Whether a node gets requests."""

    ACTIVE = "active"
    """Gets traffic."""
    QUARANTINED = "quarantined"
    """On trial: gets traffic only when no active node is left to try."""
    DOWN = "down"
    """Gets no traffic, only probes."""


class Observation(enum.Enum):
    TRAFFIC_SUCCESS = "traffic success"
    """A request got a final HTTP answer that does not show a sick server."""
    TRAFFIC_FAILURE = "traffic failure"
    """A request failed in transport: it was refused or reset, timed out, or got an answer that cannot be read."""
    PROBE_SUCCESS = "probe success"
    """The node answered ``GET /`` or ``/localnodes`` with 200."""
    PROBE_FAILURE = "probe failure"
    SUSPICION_CONFIRMED = "suspicion confirmed"
    """A probe of a suspect failed: its traffic had failed, or had waited for a long time."""


class HealthStatus(NamedTuple):
    """The state of one node with its counters.

    `generation` grows each time the node goes down. The result of a request or probe that began in an earlier
    generation says nothing about the present one.
    """

    state: State
    failures: int = 0
    successes: int = 0
    generation: int = 0

    @property
    def is_unproven(self) -> bool:
        """Whether the node is new: it has not answered a probe since it was listed, and has not gone down.

        Only an answer to ``GET /`` makes such a node active. A node that was down has answered several probes before it
        is on trial again, so it is not unproven.
        """
        return self.state is State.QUARANTINED and self.generation == 0


def quarantined() -> HealthStatus:
    """How seeds and newly listed nodes start."""
    return HealthStatus(State.QUARANTINED)


def active(policy: Health) -> HealthStatus:
    return _well(policy.quarantine_promotion_threshold, 0)


def transition(status: HealthStatus, observation: Observation, policy: Health) -> HealthStatus:
    """The status after `observation`. The same object is returned when nothing changes."""
    if status.state is State.DOWN:
        return _from_down(status, observation, policy)
    if observation is Observation.SUSPICION_CONFIRMED:
        return _demoted(status, status.failures + 1)
    is_active = status.state is State.ACTIVE
    if observation is Observation.TRAFFIC_FAILURE:
        failures = status.failures + 1
        threshold = policy.active_failure_threshold if is_active else policy.quarantine_failure_threshold
        return _demoted(status, failures) if failures >= threshold else status._replace(failures=failures, successes=0)
    return _from_active(status, observation, policy) if is_active else _from_quarantined(status, observation, policy)


def _from_active(status: HealthStatus, observation: Observation, policy: Health) -> HealthStatus:
    if observation is Observation.TRAFFIC_SUCCESS and status.failures:
        return _promoted(status, policy)
    # A probe of an active node proves little about its traffic, in either direction.
    return status


def _from_quarantined(status: HealthStatus, observation: Observation, policy: Health) -> HealthStatus:
    if observation is Observation.PROBE_SUCCESS:
        return _promoted(status, policy)
    if observation is Observation.TRAFFIC_SUCCESS:
        successes = status.successes + 1
        if successes >= policy.quarantine_promotion_threshold:
            return _promoted(status, policy)
        return status._replace(successes=successes)
    return status


def _from_down(status: HealthStatus, observation: Observation, policy: Health) -> HealthStatus:
    if observation is Observation.PROBE_SUCCESS:
        successes = status.successes + 1
        if successes >= policy.down_recovery_threshold:
            return HealthStatus(State.QUARANTINED, generation=status.generation)
        return status._replace(successes=successes)
    if observation in (Observation.PROBE_FAILURE, Observation.SUSPICION_CONFIRMED) and status.successes:
        return status._replace(successes=0)
    # A result of traffic belongs to a request that was sent before the node went down.
    return status


def _promoted(status: HealthStatus, policy: Health) -> HealthStatus:
    return _well(policy.quarantine_promotion_threshold, status.generation)


@functools.lru_cache(64)
def _well(successes: int, generation: int) -> HealthStatus:
    """One object that many nodes share, because nearly all nodes have the same status."""
    return HealthStatus(State.ACTIVE, 0, successes, generation)


def _demoted(status: HealthStatus, failures: int) -> HealthStatus:
    return HealthStatus(State.DOWN, failures, 0, status.generation + 1)
