"""What becomes of one request: every kind of operation, with every kind of outcome. No socket, no thread, no clock."""

from __future__ import annotations

import math
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pynamodb_alternator.errors import (
    ClusterClosedError,
    ConnectionLostError,
    ConnectTimeoutError,
    DeadlineAfterSendError,
    DeadlineBeforeSendError,
    MalformedAnswerError,
    NodeUnreachableError,
    NoNodesAvailableError,
    NotSentError,
    OutcomeUnknownError,
    PoolTimeoutError,
    ReadTimeoutError,
    RequestRefusedError,
    ServerFailureError,
    TlsError,
    TransportError,
)
from pynamodb_alternator.routing.plan import QueryPlan
from pynamodb_alternator.settings.values import Retries, Timeouts
from pynamodb_alternator.topology.node import Node
from pynamodb_alternator.topology.view import Topology, View
from pynamodb_alternator.transport.attempts import Wait
from pynamodb_alternator.transport.budget import RetryBudget
from pynamodb_alternator.transport.environment import PROOF_PAUSE
from pynamodb_alternator.transport.http1 import Answer
from pynamodb_alternator.transport.outcome import HandlerAnswer, error_type

from .request_world import (
    ALL,
    ENDED,
    NOT_SENT,
    OK,
    ONCE_ONLY,
    PAGE,
    READS,
    REPEATABLE,
    RING,
    SAFE,
    SHED,
    SICK,
    SILENT,
    UNKNOWN,
    A,
    B,
    C,
    World,
    error_answer,
)


@pytest.fixture
def world() -> World:
    return World()


# ---- surely not sent ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ALL.values(), ids=ALL)
@pytest.mark.parametrize("error", NOT_SENT)
def test_what_was_not_sent_goes_to_the_next_node_at_once(
    what: tuple[str, dict[str, Any]], error: type[TransportError]
) -> None:
    world = World()
    assert world.run(what, error, error, OK) is OK
    assert world.sent == [A, B, C]
    assert world.waits == []


@pytest.mark.parametrize("what", ALL.values(), ids=ALL)
def test_even_one_attempt_only_means_a_whole_cycle_of_nodes_that_refuse(what: tuple[str, dict[str, Any]]) -> None:
    world = World()
    once = Retries(max_attempts=1)
    assert world.run(what, NodeUnreachableError, NodeUnreachableError, OK, retries=once) is OK
    with pytest.raises(NodeUnreachableError):
        world.run(what, NodeUnreachableError, retries=once)
    assert world.sent == [A, B, C] * 2
    assert world.waits == []


def test_not_sent_costs_no_budget() -> None:
    world = World(budget=RetryBudget(ratio=0.0, reserve=0.0))
    assert world.run(ALL["increment"], NodeUnreachableError, NodeUnreachableError, OK) is OK


def test_after_a_whole_cycle_there_is_a_wait_and_then_another_cycle(world: World) -> None:
    assert world.run(ALL["increment"], *[NodeUnreachableError] * 3, OK) is OK
    assert world.sent == [A, B, C, A]
    assert len(world.waits) == 1


def test_max_attempts_bounds_the_cycles_and_the_wait_grows_up_to_its_limit(world: World) -> None:
    with pytest.raises(NodeUnreachableError):
        world.run(READS["get"], NodeUnreachableError, retries=Retries(5, 0.1, 0.3))
    assert world.sent == [A, B, C] * 5
    assert len(world.waits) == 4
    assert all(0 <= wait <= limit for wait, limit in zip(world.waits, (0.1, 0.2, 0.3, 0.3), strict=True))


def test_waits_have_full_jitter() -> None:
    waits = []
    world = World()
    for _ in range(200):
        world.run(READS["get"], *[NodeUnreachableError] * 3, OK, retries=Retries(4, 0.1, 1.0))
    waits = world.waits
    assert min(waits) < 0.01
    assert max(waits) > 0.09
    assert max(waits) <= 0.1


def test_a_certificate_does_not_get_better_by_trying_again(world: World) -> None:
    with pytest.raises(TlsError):
        world.run(READS["get"], TlsError)
    assert world.sent == [A, B, C]
    assert world.waits == []


def test_a_bad_certificate_and_dead_nodes_do_not_end_the_attempts(world: World) -> None:
    assert world.run(READS["get"], NodeUnreachableError, NodeUnreachableError, TlsError, OK) is OK
    assert world.sent == [A, B, C, A]


def test_full_pools_are_waited_for_in_one_cycle_only(world: World) -> None:
    """Each wait takes the pool timeout; four cycles over three nodes would be twelve of them."""
    with pytest.raises(PoolTimeoutError):
        world.run(READS["get"], PoolTimeoutError)
    assert world.sent == [A, B, C]


def test_a_node_with_a_free_connection_comes_before_those_without(world: World) -> None:
    attempts = world.attempts(READS["get"], has_room=lambda node: node == C)
    assert (attempts.next(), attempts.pool_wait) == (C, 0.0)
    attempts.failed(NodeUnreachableError("refused", node=C.address))
    # Now it waits, at the node that the plan names first.
    assert (attempts.next(), attempts.pool_wait) == (A, 30.0)
    attempts.failed(PoolTimeoutError("full", node=A.address))
    assert (attempts.next(), attempts.pool_wait) == (B, 0.0)


def test_if_all_pools_are_full_it_waits_once_at_the_first_node(world: World) -> None:
    attempts = world.attempts(READS["get"], Timeouts(pool=None), has_room=lambda node: False)
    assert (attempts.next(), attempts.pool_wait) == (A, math.inf)
    assert attempts.count == 1
    with pytest.raises(PoolTimeoutError):
        world.run(READS["get"], PoolTimeoutError, has_room=lambda node: False)
    assert world.sent == [A, B, C]


def test_a_free_connection_that_another_request_takes_first_is_a_full_pool(world: World) -> None:
    with pytest.raises(PoolTimeoutError) as raised:
        world.run(READS["get"], PoolTimeoutError, has_room=lambda node: node != B)
    assert world.sent == [A, C, A, B, C]
    assert raised.value.nodes_tried == (A.address, B.address, C.address)
    assert world.membership.said == []
    assert world.waits == []


def test_a_full_node_that_goes_down_is_not_waited_for(world: World) -> None:
    attempts = world.attempts(READS["get"], has_room=lambda node: node == C)
    assert attempts.next() == C
    world.membership.take_down(A)
    attempts.failed(NodeUnreachableError("refused", node=C.address))
    assert attempts.next() == B


@pytest.mark.parametrize("policy", ["affinity", "batch_affinity", "consistent_node"])
def test_with_affinity_the_coordinator_is_waited_for(
    world: World, policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world.environment.router, "plan_of", lambda *_, **__: QueryPlan(policy, None, True, (0,)))
    first = next(QueryPlan(policy, None, True, (0,)).order(world.environment.membership.view))
    attempts = world.attempts(READS["get"], has_room=lambda node: node != first)
    assert (attempts.next(), attempts.pool_wait) == (first, 30.0)


def test_a_timeout_that_was_noticed_late_does_not_count(world: World) -> None:
    late = ConnectTimeoutError("late", node=A.address)
    late.late = True
    world.run(READS["get"], late, ConnectTimeoutError, OK)
    assert [(what, node) for what, node, _ in world.membership.said] == [
        ("suspected", A),
        ("failed", B),
        ("succeeded", C),
    ]


def test_a_full_pool_says_nothing_of_the_node(world: World) -> None:
    world.run(READS["get"], PoolTimeoutError, OK)
    assert world.membership.said == [("succeeded", B, 0)]


def test_a_request_that_no_server_accepts_is_not_retried_and_counts_against_no_node(world: World) -> None:
    with pytest.raises(RequestRefusedError):
        world.run(REPEATABLE["put"], RequestRefusedError)
    assert world.sent == [A]
    assert world.membership.said == []


def test_a_closed_cluster_ends_the_request(world: World) -> None:
    with pytest.raises(ClusterClosedError):
        world.run(READS["get"], ClusterClosedError)
    assert world.sent == [A]
    assert world.membership.said == []


# ---- perhaps executed --------------------------------------------------------------------------------------------


def is_sent_again(what: tuple[str, dict[str, Any]], outcome: Any, silent_writes: Any, **settings: Any) -> bool:
    """Whether the request goes to another node, at once; else the caller gets that it is unknown whether it was
    executed, and whether it may still be."""
    world = World(**settings)
    attempts = world.attempts(what, retries=Retries(silent_writes=silent_writes))
    assert attempts.next() is A
    if isinstance(outcome, Answer):
        if not attempts.answered(outcome):
            return attempts.next() is B
        assert attempts.leaves_open(outcome) == (what not in READS.values())
        failure: OutcomeUnknownError = attempts.open_outcome({}, ServerFailureError)
        assert isinstance(failure, ClientError)
    else:
        try:
            attempts.failed(outcome("it broke", node=A.address))
            return attempts.next() is B
        except OutcomeUnknownError as error:
            failure = error
    assert failure.may_still_execute == (outcome in SILENT)
    assert failure.nodes_tried == (A.address,)
    assert world.waits == []
    return False


@pytest.mark.parametrize("silent_writes", ["raise", "wait", "repeat", "ambiguous"])
@pytest.mark.parametrize("what", ALL.values(), ids=ALL)
@pytest.mark.parametrize("outcome", [*ENDED, *SILENT])
def test_what_is_sent_again(what: tuple[str, dict[str, Any]], outcome: Any, silent_writes: str) -> None:
    """The table of the rule: reads, idempotent and other writes; a node that ended the exchange, or went silent."""
    if silent_writes == "ambiguous":
        assert is_sent_again(what, outcome, "raise", retry_ambiguous_writes=True)
        return
    expected = what in READS.values() or (
        what in REPEATABLE.values() and (outcome in ENDED or silent_writes == "repeat")
    )
    assert is_sent_again(what, outcome, silent_writes) == expected


@pytest.mark.parametrize("what", ALL.values(), ids=ALL)
def test_only_writes_wait_for_a_node_that_is_down_and_only_if_asked(what: tuple[str, dict[str, Any]]) -> None:
    is_write = what not in READS.values()
    for silent_writes in ("raise", "wait", "repeat"):
        retries = Retries(silent_writes=silent_writes)  # type: ignore[arg-type]
        assert World().attempts(what, retries=retries).patient == (is_write and silent_writes == "wait")
        assert not World(retry_ambiguous_writes=True).attempts(what, retries=retries).patient


def test_an_attempt_that_may_still_be_executed_is_told_of_after_one_that_may_not(world: World) -> None:
    with pytest.raises(ConnectionLostError) as raised:
        world.run(REPEATABLE["put"], ReadTimeoutError, ConnectionLostError, retries=Retries(2, silent_writes="repeat"))
    assert raised.value.may_still_execute
    with pytest.raises(ConnectionLostError) as raised:
        World().run(REPEATABLE["put"], ConnectionLostError, retries=Retries(2))
    assert not raised.value.may_still_execute


def test_an_answer_of_a_later_attempt_shows_the_outcome_of_the_write(world: World) -> None:
    attempts = world.attempts(REPEATABLE["put"])
    assert attempts.next() is A
    assert not attempts.answered(SICK)
    assert attempts.next() is B
    assert attempts.answered(OK)
    assert not attempts.leaves_open(OK)


REFUSALS = [
    error_answer("ValidationException"),
    error_answer("AccessDeniedException"),
    error_answer("ResourceNotFoundException"),
    error_answer("ItemCollectionSizeLimitExceededException"),
]
"""Errors that say nothing of whether an earlier attempt was executed."""


def last_word(
    world: World, what: tuple[str, dict[str, Any]], *script: Any, **settings: Any
) -> ServerFailureError | None:
    """The error of a request that ends with an answer which leaves its outcome open; None if it does not."""
    attempts = world.attempts(what, **settings)
    is_last = False
    for outcome in script:
        while isinstance(attempts.next(), Wait):
            pass
        if isinstance(outcome, Answer):
            is_last = attempts.answered(outcome)
        else:
            attempts.failed(outcome("it broke", node=str(attempts.node)))
    assert is_last
    code = error_type(script[-1].body)
    parsed = {"Error": {"Code": code, "Message": "no"}}
    return attempts.open_outcome(parsed, ServerFailureError) if attempts.leaves_open(script[-1]) else None


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: error_type(refusal.body))
@pytest.mark.parametrize("first", [SICK, *UNKNOWN])
@pytest.mark.parametrize("what", SAFE.values(), ids=SAFE)
def test_a_refusal_does_not_undo_an_attempt_that_may_have_been_executed(
    what: tuple[str, dict[str, Any]], first: Any, refusal: Answer
) -> None:
    """Seen: the caller got the refusal alone, and took the write for one that was not made."""
    retries = Retries(silent_writes="repeat")
    error = last_word(World(), what, first, refusal, retries=retries)
    if what in READS.values():
        assert error is None
        return
    assert error is not None
    assert error.response["Error"]["Code"] == error_type(refusal.body)
    assert error.node == B.address
    assert error.nodes_tried == (A.address, B.address)
    assert error.may_still_execute == (first in SILENT)
    assert f"Node {B.address} refused it, and an earlier attempt of the write may have been executed" in str(error)
    # Nothing of this where nothing can have been executed.
    assert last_word(World(), what, refusal) is None
    assert last_word(World(), what, NodeUnreachableError, SHED, refusal) is None


@pytest.mark.parametrize("what", [*REPEATABLE.values(), *ONCE_ONLY.values()], ids=[*REPEATABLE, *ONCE_ONLY])
@pytest.mark.parametrize("first", [*UNKNOWN, SICK])
def test_who_repeats_everything_hears_of_it_too(what: tuple[str, dict[str, Any]], first: Any) -> None:
    error = last_word(World(retry_ambiguous_writes=True), what, first, REFUSALS[0])
    assert isinstance(error, OutcomeUnknownError)
    # This one does speak of the item, as it is now: an earlier attempt may be why.
    failed_condition = error_answer("ConditionalCheckFailedException")
    assert last_word(World(retry_ambiguous_writes=True), what, first, failed_condition) is None


@pytest.mark.parametrize("what", ONCE_ONLY.values(), ids=ONCE_ONLY)
@pytest.mark.parametrize("error", UNKNOWN)
def test_what_may_not_be_repeated_is_not(what: tuple[str, dict[str, Any]], error: type[TransportError]) -> None:
    world = World()
    with pytest.raises(OutcomeUnknownError) as raised:
        world.run(what, NodeUnreachableError, error)
    assert raised.type is error
    assert world.sent == [A, B]
    assert raised.value.nodes_tried == (A.address, B.address)
    later = "may still execute it" if error in SILENT else "executes nothing later"
    assert str(raised.value) == (
        f"it broke. The write may have been executed; if not, the node {later} "
        "(nodes tried: 10.0.0.1:8000, 10.0.0.2:8000)"
    )


@pytest.mark.parametrize("what", ONCE_ONLY.values(), ids=ONCE_ONLY)
def test_a_500_is_the_answer_to_what_may_not_be_repeated(what: tuple[str, dict[str, Any]]) -> None:
    world = World()
    assert world.run(what, SICK) is SICK
    assert world.sent == [A]


@pytest.mark.parametrize("what", ALL.values(), ids=ALL)
@pytest.mark.parametrize("outcome", [*UNKNOWN, SICK])
def test_who_wants_the_ways_of_aws_gets_them(what: tuple[str, dict[str, Any]], outcome: Any) -> None:
    world = World(retry_ambiguous_writes=True)
    assert world.run(what, outcome, OK) is OK
    assert world.sent == [A, B]


@pytest.mark.parametrize("outcome", [*UNKNOWN, SICK])
def test_max_attempts_counts_what_was_sent(outcome: Any) -> None:
    for most in (1, 2, 4, 7):
        world = World()
        if isinstance(outcome, Answer):
            assert world.run(READS["get"], outcome, retries=Retries(most)) is outcome
        else:
            with pytest.raises(outcome):
                world.run(READS["get"], outcome, retries=Retries(most))
        assert len(world.sent) == most
        # Three nodes: a wait after the third attempt, and one after the sixth.
        assert len(world.waits) == (most - 1) // 3


@pytest.mark.parametrize("outcome", [*UNKNOWN, SICK, SHED])
def test_repetitions_end_with_the_budget(outcome: Any) -> None:
    world = World(budget=RetryBudget(ratio=0.2, reserve=2.0))
    for number in range(100):
        if isinstance(outcome, Answer):
            assert world.run(READS["get"], outcome) is outcome
        else:
            with pytest.raises(outcome):
                world.run(READS["get"], outcome)
        if number == 0:
            assert len(world.sent) == 3  # the reserve
    assert 100 + 2 <= len(world.sent) <= 100 + 2 + 20


def test_the_error_is_the_ambiguous_one_if_any_attempt_was(world: World) -> None:
    with pytest.raises(ConnectionLostError) as raised:
        world.run(REPEATABLE["put"], ConnectionLostError, NodeUnreachableError)
    assert not isinstance(raised.value, NotSentError)
    assert raised.value.nodes_tried == (A.address, B.address, C.address)


def test_an_answer_that_leaves_the_outcome_open_is_not_undone_by_a_refused_connection(world: World) -> None:
    assert world.run(REPEATABLE["put"], SICK, NodeUnreachableError) is SICK


def test_shed_does_not_undo_an_attempt_that_may_have_been_executed(world: World) -> None:
    """The answer says "never executed", and an earlier attempt may have been."""
    with pytest.raises(ConnectionLostError):
        world.run(REPEATABLE["put"], ConnectionLostError, SHED)
    assert World().run(REPEATABLE["put"], SICK, SHED) is SICK
    world = World(budget=RetryBudget(ratio=0.0, reserve=1.0))
    with pytest.raises(ConnectionLostError):
        world.run(REPEATABLE["put"], ConnectionLostError, SHED)
    assert len(world.sent) == 2


def test_a_cluster_closed_meanwhile_does_not_either(world: World) -> None:
    with pytest.raises(ConnectionLostError):
        world.run(REPEATABLE["put"], ConnectionLostError, ClusterClosedError)
    assert world.sent == [A, B]


# ---- answers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ALL.values(), ids=ALL)
@pytest.mark.parametrize("shed", [SHED, error_answer("ThrottlingException"), error_answer("ThrottlingException", 429)])
def test_shed_goes_to_another_node_after_a_pause(what: tuple[str, dict[str, Any]], shed: Answer) -> None:
    world = World()
    assert world.run(what, shed, OK) is OK
    assert world.sent == [A, B]
    assert len(world.waits) == 1
    assert 0 <= world.waits[0] <= 0.025
    assert world.membership.said == [("succeeded", A, 0), ("succeeded", B, 0)]


def test_shed_everywhere_is_the_answer(world: World) -> None:
    assert world.run(ALL["increment"], SHED) is SHED
    assert len(world.sent) == 4


@pytest.mark.parametrize(
    "kind",
    [
        "ConditionalCheckFailedException",
        "ValidationException",
        "ResourceNotFoundException",
        "UnrecognizedClientException",
        "UnknownOperationException",
    ],
)
@pytest.mark.parametrize("what", ALL.values(), ids=ALL)
def test_other_errors_are_the_callers_and_the_node_is_well(what: tuple[str, dict[str, Any]], kind: str) -> None:
    world = World()
    answer = error_answer(kind)
    assert world.run(what, answer) is answer
    assert world.sent == [A]
    assert world.membership.said == [("succeeded", A, 0)]


def test_a_500_is_a_failed_answer_and_says_nothing_of_the_nodes_health(world: World) -> None:
    world.run(READS["get"], SICK, OK)
    assert world.membership.said == [("answer failed", A, "status 500, InternalServerError"), ("succeeded", B, 0)]


@pytest.mark.parametrize("what", ALL.values(), ids=ALL)
def test_which_failed_answers_are_held_against_the_node(what: tuple[str, dict[str, Any]]) -> None:
    """Of errors of Alternator's those of reads and plain writes; of any other, all."""
    once = Retries(1)
    for answer, always in ((PAGE, True), (Answer(404, {}, b"<html>"), True), (SICK, False)):
        world = World()
        assert world.run(what, answer, retries=once) is answer
        said = [(kind, node) for kind, node, _ in world.membership.said]
        assert said == ([("answer failed", A)] if always or what not in ONCE_ONLY.values() else [])


@pytest.mark.parametrize("outcome", [SICK, PAGE, Answer(404, {}, b""), MalformedAnswerError])
def test_failed_answers_to_look_ups_count_for_no_node(world: World, outcome: Any) -> None:
    assert world.run(READS["describe"], outcome, OK, is_lookup=True) is OK
    assert "answer failed" not in [kind for kind, *_ in world.membership.said]
    assert "unreadable answer" not in [kind for kind, *_ in world.membership.said]


def test_a_page_with_200_is_a_failed_answer_and_a_probe_looks_at_the_node(world: World) -> None:
    world.run(READS["get"], MalformedAnswerError("no JSON"), OK)
    assert world.membership.said == [("suspected", A, 0), ("unreadable answer", A, "no JSON"), ("succeeded", B, 0)]


@pytest.mark.parametrize("what", ALL.values(), ids=ALL)
def test_what_a_handler_refused_is_the_callers_and_not_the_nodes(what: tuple[str, dict[str, Any]]) -> None:
    world, answer = World(), HandlerAnswer(404, {}, b"")
    assert world.run(what, answer) is answer
    assert world.sent == [A]


@pytest.mark.parametrize("what", ALL.values(), ids=ALL)
def test_only_what_may_be_sent_again_tests_a_node_that_returns(what: tuple[str, dict[str, Any]]) -> None:
    for silent_writes in ("raise", "wait", "repeat"):
        world = World()
        world.membership.view = View(Topology(RING, RING, RING), set_aside=frozenset({A}), returning=frozenset({B}))
        world.run(what, OK, retries=Retries(silent_writes=silent_writes))  # type: ignore[arg-type]
        is_safe = what in READS.values() or (what in REPEATABLE.values() and silent_writes == "repeat")
        assert world.sent == ([B] if is_safe else [C])


# ---- health ------------------------------------------------------------------------------------------------------


def test_failures_are_told_with_the_generation_in_which_the_attempt_began(world: World) -> None:
    world.membership.generations = {A: 3}
    attempts = world.attempts(READS["get"])
    assert attempts.next() is A
    world.membership.generations[A] = 4  # it went down and came back meanwhile
    attempts.failed(ReadTimeoutError("late", node=A.address))
    assert attempts.next() is B
    attempts.answered(OK)
    assert world.membership.said == [("failed", A, 3), ("succeeded", B, 0)]


def test_a_dead_idle_connection_only_raises_suspicion(world: World) -> None:
    lost = ConnectionLostError("closed", node=A.address)
    lost.was_idle = True
    world.run(READS["get"], lost, OK)
    assert world.membership.said == [("suspected", A, 0), ("succeeded", B, 0)]


def test_nodes_that_went_down_meanwhile_are_skipped(world: World) -> None:
    attempts = world.attempts(READS["get"])
    assert attempts.next() is A
    world.membership.take_down(B)
    attempts.failed(NodeUnreachableError("refused"))
    assert attempts.next() is C
    assert attempts.count == 2


def test_the_next_cycle_sees_nodes_that_came_meanwhile(world: World) -> None:
    new = Node("http", "10.0.0.9", 8000)
    attempts = world.attempts(READS["get"])
    for _ in RING:
        assert isinstance(attempts.next(), Node)
        attempts.failed(NodeUnreachableError("refused"))
    world.membership.view = View(Topology((new,), (new,), (new,)))
    assert isinstance(attempts.next(), Wait)
    assert attempts.next() is new


def test_no_node_at_all() -> None:
    world = World(ring=())
    with pytest.raises(NoNodesAvailableError, match=r"No node is known.* Seeds: 10\.0\.0\.1"):
        world.run(READS["get"], OK)
    assert len(world.waits) == 3
    world = World()
    world.membership.take_down(*RING)
    with pytest.raises(NoNodesAvailableError, match=r"No node of the routing scope .* is usable"):
        world.run(READS["get"], OK)


@pytest.mark.parametrize("error", [NodeUnreachableError, ConnectTimeoutError, ReadTimeoutError, ConnectionLostError])
def test_a_failed_look_up_makes_a_node_suspect_and_counts_for_nothing(
    world: World, error: type[TransportError]
) -> None:
    assert world.run(READS["describe"], error, OK, is_lookup=True) is OK
    assert world.membership.said == [("suspected", A, 0), ("succeeded", B, 0)]
    counts = world.environment.counts
    assert (counts[A.address].failures, counts[B.address].answers) == (0, 1)
    world.membership.said.clear()
    world.run(READS["describe"], error, OK)
    assert world.membership.said == [("failed", A, 0), ("succeeded", B, 0)]
    assert counts[A.address].failures == 1


# ---- deadlines ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ALL.values(), ids=ALL)
def test_the_deadline_before_anything_was_sent(what: tuple[str, dict[str, Any]]) -> None:
    world = World()
    world.takes = 0.4
    with pytest.raises(DeadlineBeforeSendError, match=r"its total timeout of 1 s; the last attempt said: it broke"):
        world.run(what, ConnectTimeoutError, timeouts=Timeouts(total=1.0))
    assert world.sent == [A, B, C]
    # The third was ended by our deadline, which is not the node's fault.
    assert [kind for kind, *_ in world.membership.said] == ["failed", "failed", "suspected"]


@pytest.mark.parametrize("what", ALL.values(), ids=ALL)
def test_the_deadline_after_it_was_sent(what: tuple[str, dict[str, Any]]) -> None:
    world = World()
    world.takes = 1.0
    with pytest.raises(DeadlineAfterSendError) as raised:
        world.run(what, ReadTimeoutError, timeouts=Timeouts(total=1.0))
    assert isinstance(raised.value, OutcomeUnknownError)
    assert not isinstance(raised.value, NotSentError)
    assert raised.value.nodes_tried == (A.address,)
    assert world.membership.said == [("suspected", A, 0)]


def test_the_deadline_comes_in_a_later_attempt_that_was_not_sent(world: World) -> None:
    world.takes = 0.6
    with pytest.raises(DeadlineAfterSendError, match="refused"):
        world.run(REPEATABLE["put"], ConnectionLostError, NodeUnreachableError("refused"), timeouts=Timeouts(total=1.0))


def test_no_wait_goes_beyond_the_deadline(world: World) -> None:
    with pytest.raises(DeadlineBeforeSendError):
        world.run(READS["get"], NodeUnreachableError, timeouts=Timeouts(total=0.001), retries=Retries(9, 5.0, 9.0))
    assert world.now - 100.0 <= 0.001


def test_the_deadline_of_a_request_that_never_had_a_node() -> None:
    world = World(ring=())
    with pytest.raises(DeadlineBeforeSendError) as raised:
        world.run(READS["get"], OK, timeouts=Timeouts(total=0.0001), retries=Retries(9, 5.0, 9.0))
    assert raised.value.node is None


# ---- words -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("reason", "words"), [("it broke", "it broke. The"), ("It broke.", "It broke. The")])
def test_what_may_have_been_executed_says_so_once(world: World, reason: str, words: str) -> None:
    failure = ReadTimeoutError(reason, node=A.address)
    with pytest.raises(OutcomeUnknownError) as raised:
        world.run(ONCE_ONLY["increment"], failure)
    assert str(raised.value).startswith(
        f"{words} write may have been executed; if not, the node may still execute it ("
    )


def test_a_read_says_nothing_of_being_executed(world: World) -> None:
    with pytest.raises(OutcomeUnknownError) as raised:
        world.run(READS["get"], ReadTimeoutError, retries=Retries(max_attempts=1))
    assert "execute" not in str(raised.value)


def test_the_deadline_after_a_write_was_sent_says_what_may_become_of_it(world: World) -> None:
    world.takes = 10.0
    with pytest.raises(DeadlineAfterSendError, match=r"The write may have been executed; if not, the node may still"):
        world.run(REPEATABLE["put"], ReadTimeoutError, timeouts=Timeouts(total=5.0))


@pytest.mark.parametrize("kind", [NodeUnreachableError, ConnectTimeoutError, ConnectionLostError])
def test_an_attempt_that_we_cut_says_nothing_new_of_its_node(world: World, kind: type[TransportError]) -> None:
    """The reason for the cut was counted before. If it were counted again, the cut would become its own reason."""
    world.run(READS["get"], kind("cut", node=A.address, was_cut=True), OK)
    assert world.sent == [A, B]
    assert world.membership.said == [("succeeded", B, 0)]


class TestNodesThatAreUnproven:
    """A plan names them, and no request goes there before they have answered a probe."""

    @staticmethod
    def world(*unproven: Node) -> World:
        world = World()
        view = world.membership.view
        world.membership.view = view._replace(down=frozenset(unproven), unproven=frozenset(unproven))
        return world

    def test_the_first_one_that_is_named_is_probed_and_the_next_node_takes_the_request(self) -> None:
        names = set()
        for _ in range(60):
            world = self.world(RING[0], RING[1])
            world.run(READS["get"], OK)
            names.update(world.membership.said)
            assert {said[1] for said in world.membership.said if said[0] == "succeeded"} <= set(RING[2:])
        assert ("named", RING[0]) in names or ("named", RING[1]) in names

    def test_where_there_is_no_other_it_waits_until_one_is_proven(self) -> None:
        world = self.world(*RING)
        with world.attempts(READS["get"], retries=Retries(max_attempts=1)) as attempts:
            for _ in range(20):
                assert attempts.next() == Wait(PROOF_PAUSE)
            world.membership.view = View(world.membership.view.topology)
            assert attempts.next() in RING

    def test_it_waits_no_longer_than_for_a_connection(self) -> None:
        world = self.world(*RING)
        with pytest.raises(NoNodesAvailableError):
            world.run(READS["get"], OK)
        assert world.sent == []
        assert 2.0 <= sum(world.waits) < 3.0
