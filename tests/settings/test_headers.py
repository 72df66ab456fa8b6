"""Headers of a user: they cannot end a header early, and cannot replace one that the transport writes."""

from __future__ import annotations

import traceback
from typing import Any

import pytest

from pynamodb_alternator import ClusterConfig, Credentials
from pynamodb_alternator.errors import ConfigurationError
from pynamodb_alternator.settings import headers
from pynamodb_alternator.settings.options import block_settings
from pynamodb_alternator.transport.request import build_head
from pynamodb_alternator.transport.signing import Signer

from .support import INJECTIONS, refused

SECRET = "wJalrXUtnFEMI-THE-SECRET"


class TestHeaders:
    @pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\n", "é", None, 1])
    def test_wrong_header_names_are_refused(self, name: Any) -> None:
        refused(lambda: ClusterConfig("a", extra_headers={name: "x"}), "extra_headers", "header name")

    @pytest.mark.parametrize("value", ["a\r\nb", "a\n", "\r", "a\0b", "\x7f", " a", "a "])
    def test_wrong_header_values_are_refused(self, value: str) -> None:
        message = refused(lambda: ClusterConfig("a", extra_headers={"X-Team": value}), "extra_headers", "X-Team")
        assert repr(value) not in message

    @pytest.mark.parametrize("value", [None, 1, b"x"])
    def test_values_are_strings(self, value: Any) -> None:
        refused(lambda: ClusterConfig("a", extra_headers={"X-Team": value}), "must be a string")

    @pytest.mark.parametrize("name", ["Host", "content-LENGTH", "Authorization", "X-Amz-Target", "Transfer-Encoding"])
    def test_headers_of_the_transport_are_refused(self, name: str) -> None:
        refused(lambda: ClusterConfig("a", extra_headers={name: "x"}), "leave it out")

    def test_one_name_in_two_spellings(self) -> None:
        refused(lambda: ClusterConfig("a", extra_headers={"X-Team": "a", "x-team": "b"}), "twice")

    def test_extra_headers_must_be_a_mapping(self) -> None:
        refused(lambda: ClusterConfig("a", extra_headers=["X"]), "mapping")  # type: ignore[arg-type]

    def test_good_headers_are_accepted(self) -> None:
        assert ClusterConfig("a", extra_headers={"X-Team": "shop\tfront"}).extra_headers == {"X-Team": "shop\tfront"}


@pytest.mark.parametrize("evil", INJECTIONS)
def test_no_setting_can_end_a_header(evil: str) -> None:
    attempts: list[Any] = [
        lambda: ClusterConfig(["h"], extra_headers={"X-A": evil}),
        lambda: ClusterConfig(["h"], extra_headers={evil: "a"}),
        lambda: ClusterConfig(["h"], user_agent=evil),
        lambda: ClusterConfig(["h"], region=evil),
        lambda: ClusterConfig([evil]),
        lambda: ClusterConfig.from_dict({"seeds": ["h"], "datacenter": evil}),
        lambda: Credentials(evil, SECRET),
        lambda: Credentials("a", SECRET, evil),
        lambda: Signer(evil, SECRET),
        lambda: Signer("a", SECRET, evil),
        lambda: block_settings({"extra_headers": {"X-A": evil}}),
    ]
    for attempt in attempts:
        with pytest.raises(ConfigurationError) as caught:
            attempt()
        assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_name_that_is_reserved_is_so_in_every_spelling() -> None:
    for name in headers.RESERVED:
        for spelling in (name, name.title(), name.upper()):
            refused(lambda spelling=spelling: headers.check("here", {spelling: "x"}), "here: ", "leave it out")


@pytest.mark.parametrize(("token", "missing"), [(None, {"X-Amz-Security-Token"}), ("token", set())])
def test_what_signs_a_request_is_what_is_reserved_for_it(token: str | None, missing: set[str]) -> None:
    signed = Signer("AKID", SECRET, token).headers("h", "t", b"", 0)
    assert {name for name, _ in signed} == {*headers.AUTHENTICATION} - missing


def test_the_head_of_a_request_has_what_is_reserved_for_it() -> None:
    names = {line.partition(b":")[0].decode().lower() for line in build_head("t", "h", 0).split(b"\r\n")[1:] if line}
    assert names == headers.REQUEST_HEAD


def test_values_are_in_no_repr() -> None:
    checked = headers.check("here", {"X-Token": SECRET})
    assert checked["X-Token"] == SECRET
    assert SECRET not in repr(checked)
    assert SECRET not in repr(dict(checked))


@pytest.mark.parametrize(
    "settings",
    [
        {"extra_headers": {"X-A": "a\ud800"}},
        {"user_agent": "\udfff"},
        {"credentials": {"access_key": "\ud800", "secret_key": "s"}},
        {"credentials": {"access_key": "a", "secret_key": "s", "session_token": "\udc00"}},
    ],
)
def test_half_a_character_is_refused_at_once(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="half a character"):
        ClusterConfig("127.0.0.1", **settings)
