"""The health of one node: ScyllaDB's vectors, and what must hold whatever happens."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pynamodb_alternator.settings.values import Health
from pynamodb_alternator.topology.health import HealthStatus, Observation, State, active, quarantined, transition

VECTORS = Path(__file__).parent.parent / "vectors" / "node-health-transitions.tsv"
ROWS = [line.split("\t") for line in VECTORS.read_text().splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_transitions_equal_the_published_vectors(row: list[str]) -> None:
    _, initial, active_most, recovery, promotion, quarantine_most, observations, state, *counters = row
    policy = Health(
        active_failure_threshold=int(active_most),
        down_recovery_threshold=int(recovery),
        quarantine_promotion_threshold=int(promotion),
        quarantine_failure_threshold=int(quarantine_most),
    )
    status = {"ACTIVE": active(policy), "QUARANTINED": quarantined()}[initial]
    for name in observations.split(","):
        status = transition(status, Observation[name], policy)
    assert status == HealthStatus(State[state], *(int(counter) for counter in counters))


def test_there_are_all_of_them() -> None:
    assert len(ROWS) == 16


@pytest.mark.parametrize("state", [State.ACTIVE, State.QUARANTINED])
def test_a_confirmed_suspicion_takes_a_node_out_at_once(state: State) -> None:
    status = transition(HealthStatus(state, 1, 2, 5), Observation.SUSPICION_CONFIRMED, Health())
    # The probe is a failure as well: where no request failed before it, one failure took the node down, and not none.
    assert status == HealthStatus(State.DOWN, 2, 0, 6)


def test_a_suspicion_that_comes_late_is_a_failed_probe() -> None:
    status = HealthStatus(State.DOWN, failures=3, successes=1, generation=2)
    assert transition(status, Observation.SUSPICION_CONFIRMED, Health()) == status._replace(successes=0)


def test_nothing_new_is_the_same_object() -> None:
    well = active(Health())
    assert transition(well, Observation.TRAFFIC_SUCCESS, Health()) is well
    assert transition(well, Observation.PROBE_FAILURE, Health()) is well
    down = HealthStatus(State.DOWN, 3, 0, 1)
    assert transition(down, Observation.PROBE_FAILURE, Health()) is down


TRAFFIC = (Observation.TRAFFIC_SUCCESS, Observation.TRAFFIC_FAILURE)


class HealthMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.policy = Health(
            active_failure_threshold=3,
            down_recovery_threshold=2,
            quarantine_promotion_threshold=4,
            quarantine_failure_threshold=2,
        )
        self.status = quarantined()
        self.probes_in_a_row = 0

    @rule(observation=st.sampled_from(Observation))
    def observe(self, observation: Observation) -> None:
        before = self.status
        after = self.status = transition(before, observation, self.policy)
        if before.state is State.DOWN:
            answered = observation is Observation.PROBE_SUCCESS
            failed = observation in (Observation.PROBE_FAILURE, Observation.SUSPICION_CONFIRMED)
            self.probes_in_a_row = self.probes_in_a_row + 1 if answered else 0 if failed else self.probes_in_a_row
            if after.state is not State.DOWN:
                assert observation is Observation.PROBE_SUCCESS, "a down node leaves by probes only"
                assert self.probes_in_a_row == self.policy.down_recovery_threshold
                assert after.state is State.QUARANTINED, "and has to prove itself"
            if observation in TRAFFIC:
                assert after is before, "late traffic says nothing"
        entered = after.state is State.DOWN and before.state is not State.DOWN
        assert after.generation == before.generation + entered
        if entered:
            self.probes_in_a_row = 0
            assert observation in (Observation.TRAFFIC_FAILURE, Observation.SUSPICION_CONFIRMED)
        if before.state is State.ACTIVE:
            assert after.state is not State.QUARANTINED
            if observation in (Observation.PROBE_FAILURE, Observation.PROBE_SUCCESS):
                assert after is before

    @invariant()
    def counters_are_below_their_thresholds(self) -> None:
        status, policy = self.status, self.policy
        assert status.failures >= 0
        assert status.successes >= 0
        match status.state:
            case State.ACTIVE:
                assert status.failures < policy.active_failure_threshold
            case State.QUARANTINED:
                assert status.failures < policy.quarantine_failure_threshold
                assert status.successes < policy.quarantine_promotion_threshold
            case State.DOWN:
                assert status.successes < policy.down_recovery_threshold


TestHealthMachine = HealthMachine.TestCase
TestHealthMachine.settings = settings(deadline=None, max_examples=100, stateful_step_count=40)


@given(st.lists(st.sampled_from(Observation)), st.integers(1, 5))
def test_enough_probes_bring_any_node_back(observations: list[Observation], most: int) -> None:
    policy = Health(active_failure_threshold=most, down_recovery_threshold=most, quarantine_failure_threshold=most)
    status = quarantined()
    for observation in observations:
        status = transition(status, observation, policy)
    for _ in range(most + 1):
        status = transition(status, Observation.PROBE_SUCCESS, policy)
    # An active node may have some failures left: a probe is not traffic.
    assert status.state is State.ACTIVE
