"""Values that hold a secret are not shown."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest

from pynamodb_alternator.settings.secrets import Secret, SecretBytes, without_userinfo


@pytest.mark.parametrize("again", [str, copy.deepcopy, lambda secret: pickle.loads(pickle.dumps(secret))])
def test_a_secret_is_a_text_like_another(again: Callable[[Secret], str]) -> None:
    secret = Secret("hunter2")
    assert again(secret) == secret == "hunter2"
    assert hash(secret) == hash("hunter2")
    assert f"{secret}" == "hunter2"


def test_a_secret_is_in_no_repr_and_stays_a_secret() -> None:
    for secret in (Secret("hunter2"), copy.deepcopy(Secret("hunter2")), pickle.loads(pickle.dumps(Secret("hunter2")))):
        assert repr(secret) == "<hidden>"
        assert repr({"secret_key": secret}) == "{'secret_key': <hidden>}"


def test_bytes_may_be_a_secret_too() -> None:
    secret = SecretBytes(b"hunter2")
    for again in (secret, copy.deepcopy(secret), pickle.loads(pickle.dumps(secret))):
        assert again == b"hunter2"
        assert hash(again) == hash(b"hunter2")
        assert repr({"key": again}) == "{'key': <hidden>}"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("db:8000", "db:8000"),
        ("u:p@db:8000", "<hidden>@db:8000"),
        ("http://u:p@q@db", "<hidden>@db"),
        ("@", "<hidden>@"),
    ],
)
def test_text_before_an_at_sign_is_hidden(text: str, shown: str) -> None:
    assert without_userinfo(text) == shown
