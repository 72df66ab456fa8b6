"""What the end of an attempt means, for the request and for the node."""

from __future__ import annotations

import json

import pytest

from pynamodb_alternator.errors import (
    ClusterClosedError,
    ConnectionLostError,
    ConnectTimeoutError,
    MalformedAnswerError,
    NodeUnreachableError,
    PoolTimeoutError,
    ReadTimeoutError,
    RequestRefusedError,
    TlsError,
    TransportError,
)
from pynamodb_alternator.transport.http1 import Answer
from pynamodb_alternator.transport.large_answers import LARGE
from pynamodb_alternator.transport.outcome import (
    HandlerAnswer,
    Verdict,
    complaint,
    counts_against_node,
    error_type,
    is_foreign,
    is_silent,
    judge,
    makes_suspect,
)

from .request_world import (
    SHED,
    SICK,
)

REFUSED = b'{"__type":"com.amazonaws.dynamodb.v20120810#ValidationException","message":""}'


def broken_http() -> MalformedAnswerError:
    error = MalformedAnswerError("no HTTP")
    error.is_whole = False
    return error


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (200, b"{}", Verdict.FINAL),
        (302, b"", Verdict.FOREIGN),
        (400, SHED.body, Verdict.NEVER_EXECUTED),
        (400, b'{"__type":"RequestLimitExceeded"}', Verdict.NEVER_EXECUTED),
        (429, SHED.body, Verdict.NEVER_EXECUTED),
        (400, REFUSED, Verdict.FINAL),
        (413, b'{"__type":"PayloadTooLarge"}', Verdict.FINAL),
        (400, b"not json", Verdict.FOREIGN),
        (400, b"[]", Verdict.FOREIGN),
        (400, b'{"__type":7}', Verdict.FOREIGN),
        (400, b'{"message":"who are you?"}', Verdict.FOREIGN),
        (403, SHED.body, Verdict.FINAL),
        (403, b"<html>", Verdict.FOREIGN),
        (404, b"<html>", Verdict.FOREIGN),
        (413, b"", Verdict.FOREIGN),
        (429, b"slow down", Verdict.FOREIGN),
        (500, SHED.body, Verdict.UNKNOWN),
        (501, b"", Verdict.FOREIGN),
        (501, REFUSED, Verdict.FINAL),
        (500, b"<html>", Verdict.FOREIGN),
        (500, b"{}", Verdict.FOREIGN),
        (502, SICK.body, Verdict.FOREIGN),
        (503, SHED.body, Verdict.FOREIGN),
        (504, b"<html>", Verdict.FOREIGN),
    ],
)
def test_the_verdict_on_an_answer(status: int, body: bytes, verdict: Verdict) -> None:
    assert judge(Answer(status, {}, body)) is verdict


@pytest.mark.parametrize("status", [302, 400, 404, 413, 429])
def test_what_a_handler_answered_is_not_a_proxys(status: int) -> None:
    answer = HandlerAnswer(status, {}, b"<html>")
    assert judge(answer) is Verdict.FINAL


@pytest.mark.parametrize(
    ("answer", "of_repeatable", "of_others"),
    [
        (Answer(404, {}, b"<html>"), *["status 404 without an error of Alternator's"] * 2),
        (Answer(503, {}, b""), *["status 503 without an error of Alternator's"] * 2),
        (SICK, "status 500, InternalServerError", None),
        (Answer(503, {}, SICK.body), "status 503, InternalServerError", None),
        (HandlerAnswer(500, {}, SICK.body), None, None),
        (HandlerAnswer(503, {}, b"<html>"), None, None),
    ],
    ids=repr,
)
def test_what_an_answer_says_against_its_node(answer: Answer, of_repeatable: str | None, of_others: str | None) -> None:
    assert complaint(answer, repeatable=True) == of_repeatable
    assert complaint(answer, repeatable=False) == of_others


def test_the_name_of_an_error() -> None:
    assert error_type(SICK.body) == "InternalServerError"
    assert error_type(b'{"__type":"a#B:http://c"}') == "B"


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (
            {"__type": "x#ConditionalCheckFailedException", "Item": {"a": {"S": "x" * LARGE}}},
            "ConditionalCheckFailedException",
        ),
        (
            {"Item": {"a": {"S": "x" * LARGE}}, "__type": "x#ConditionalCheckFailedException"},
            "ConditionalCheckFailedException",
        ),
        # An attribute of that name, and a text that looks like it.
        ({"Item": {"a": {"S": "x" * LARGE}, "__type": {"S": "y"}}}, ""),
        ({"Item": {"a": {"S": "x" * LARGE}, "b": {"S": '"__type":"y"'}}}, ""),
        ("<html>" + "x" * LARGE, ""),
    ],
)
def test_the_name_of_a_large_error_is_found_without_reading_it(body: object, name: str) -> None:
    for separators in ((",", ":"), (", ", ": ")):
        assert error_type(json.dumps(body, separators=separators).encode()) == name


@pytest.mark.parametrize("out_of_time", [False, True])
@pytest.mark.parametrize(
    ("error", "suspect", "counts"),
    [
        (NodeUnreachableError("refused"), True, True),
        (ConnectTimeoutError("too long"), True, True),
        (TlsError("a certificate"), True, True),
        (ReadTimeoutError("too long"), True, True),
        (ConnectionLostError("reset"), True, True),
        (MalformedAnswerError("a page with 200"), True, False),
        (broken_http(), True, True),
        (PoolTimeoutError("full"), False, None),
        (ClusterClosedError("closed"), False, None),
        (RequestRefusedError("too long"), False, None),
    ],
    ids=repr,
)
def test_which_failures_make_a_node_suspect_and_which_count(
    error: TransportError, suspect: bool, counts: bool | None, out_of_time: bool
) -> None:
    assert makes_suspect(error) is suspect
    if counts is not None:
        assert counts_against_node(error, out_of_time=out_of_time) is (counts and not out_of_time)


def test_what_an_idle_connection_or_a_held_up_thread_explains_does_not_count() -> None:
    lost, late = ConnectionLostError("reset"), ConnectTimeoutError("too long")
    lost.was_idle = late.late = True
    for error in (lost, late):
        assert makes_suspect(error)
        assert not counts_against_node(error, out_of_time=False)


def test_a_whole_answer_that_is_not_alternators_is_foreign() -> None:
    assert is_foreign(MalformedAnswerError("a page with 200"))
    assert not is_foreign(broken_http())
    assert not is_foreign(ReadTimeoutError("too long"))


def test_after_silence_the_node_may_still_execute_the_request() -> None:
    assert is_silent(ReadTimeoutError("too long"))
    assert is_silent(TransportError("of a kind that is new here"))
    assert not is_silent(ConnectionLostError("reset"))
